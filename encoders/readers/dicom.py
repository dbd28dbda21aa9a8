"""DICOM waveforms: 12-lead, general and ambulatory ECG objects (DICOM PS3.3, Waveform Module, C.10.9), read through pydicom."""

from __future__ import annotations

import datetime as dt
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS, Filters
from encoders.errors import RecordingError
from encoders.readers.border import (
    age_on,
    check_size,
    file_bytes,
    known_age,
    most_filtered,
    sex_letter,
    stated_filters,
)
from encoders.readers.leads import MV_PER_UNIT, check_duration, finish, given_unit, lead_name, unit_name

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["is_dicom", "read_dicom"]

#: Lead by the number in SCP-ECG codes (5.6.3-9-x, EN 1064 table of leads) and in MDC codes (2:x, ISO/IEEE 11073-10101); DICOM
#: PS3.16 CID 3001 lists both. The numbers are the same in both for the standard leads; 65 is aVR turned over.
_LEAD_NUMBERS = {
    1: "I", 2: "II", 3: "V1", 4: "V2", 5: "V3", 6: "V4", 7: "V5", 8: "V6", 9: "V7", 10: "V2R", 11: "V3R", 12: "V4R", 13: "V5R",
    14: "V6R", 15: "V7R", 16: "X", 17: "Y", 18: "Z", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF", 65: "-aVR", 66: "V8", 67: "V9",
}  # fmt: skip
_CODE = re.compile(r"^(?:5\.6\.3-9-|2:)(\d{1,3})$")
#: Numpy type of each Waveform Sample Interpretation that stands for plain integers (C.10.9.1.5).
_TYPES = {"SB": "i1", "UB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4"}
#: Words in a group's label that tell an averaged beat from the recording.
_AVERAGED = re.compile(r"median|averag|template|representative|mean beat|ensemble", re.IGNORECASE)
#: The transfer syntax "Deflated Explicit VR Little Endian" (PS3.5, A.5).
_DEFLATED = b"1.2.840.10008.1.2.1.99"
#: All that is looked at; everything else, names and numbers of the patient among it, is passed over while parsing.
_WANTED = (
    "SpecificCharacterSet", "PatientAge", "PatientBirthDate", "PatientSex", "AcquisitionDateTime", "AcquisitionDate",
    "AcquisitionTime", "ContentDate", "ContentTime", "StudyDate", "StudyTime", "WaveformSequence",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Group:
    """One multiplex group: its ECG channels in mV (leads, samples), and when it starts against the others."""

    signal_mv: NDArray[np.float64]
    leads: tuple[str, ...]
    fs_hz: float
    offset_s: float
    averaged: bool
    filters: Filters

    def rank(self) -> tuple[bool, int, int]:
        """The recording is original, has most of the standard leads, and is longest."""
        standard = sum(lead in STANDARD_LEADS for lead in self.leads)
        return not self.averaged, standard, self.signal_mv.shape[1]


def is_dicom(head: bytes) -> bool:
    """True where a file's first bytes are a DICOM preamble (128 bytes) and its prefix."""
    return head[128:132] == b"DICM"


def read_dicom(path: Path, *, unit: str | None = None, age_years: float | None = None, sex: str | None = None) -> ECG:
    """One DICOM ECG object as an ``ECG`` in mV.

    A value is (stored x Channel Sensitivity x Correction Factor + Channel Baseline) in the channel's unit (UCUM uV, mV, V);
    where the file states neither, ``unit`` says it for a sensitivity of one. Leads come from SCP-ECG or MDC codes, from the
    code's meaning or the channel's label, in this order. Of several multiplex groups the original one with most standard
    leads is the recording, averaged (median) beats are not; leads that stand in further groups of the same rate only are
    added at their time offset, NaN elsewhere. Channels that are no voltage are left out; padding values become NaN.
    Annotations and a machine's own statements are not read. Age comes from Patient's Age, else from the birth date on the
    day of the recording.

    Raises RecordingError for a damaged or shortened object, one without waveform or without voltage, samples that are not
    plain integers (mu-law and A-law), or a compressed (deflated) data set.
    """
    label = path.stem
    raw = file_bytes(path, label)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            data, big_endian = _open(raw, label)
            groups = _groups(data, big_endian, unit, label)
            signal, leads, fs_hz, filters = _joined(groups, label)
            moment = _recorded_at(data)
            found_age, found_sex = _age(data, moment), sex_letter(str(data.get("PatientSex") or ""))
    except RecordingError:
        raise
    except Exception as error:  # pydicom trips over damaged elements with errors of many types
        raise RecordingError(f"{label} is a damaged DICOM file; export the recording again.") from error
    return finish(
        signal,
        leads,
        fs_hz,
        label=label,
        source="dicom",
        age_years=found_age if age_years is None else age_years,
        sex=found_sex if sex is None else sex,
        recorded_at=moment.isoformat() if moment is not None else None,
        filters=filters,
    )


def _open(raw: bytes, label: str) -> tuple[Dataset, bool]:
    """The wanted elements, and whether numbers are stored with the largest byte first."""
    import pydicom

    if _DEFLATED in raw:
        # A deflated data set unfolds to a size that its file does not tell, and pydicom unfolds it before any check.
        raise RecordingError(f"{label} is a compressed (deflated) DICOM file; export it uncompressed.")
    data = pydicom.dcmread(io.BytesIO(raw), specific_tags=list(_WANTED))
    return data, data.original_encoding[1] is False


def _groups(data: Dataset, big_endian: bool, unit: str | None, label: str) -> list[_Group]:
    given = given_unit(unit)
    items: Sequence[Dataset] = data.get("WaveformSequence") or []
    if not items:
        raise RecordingError(f"{label} is a DICOM file without a waveform; give a DICOM ECG, not an image or a report.")
    groups = [group for item in items if (group := _group(item, big_endian, given, label)) is not None]
    if not groups:
        raise RecordingError(f"{label} holds no channel in volts; give an electrocardiogram in V, mV or uV.")
    return groups


def _group(item: Dataset, big_endian: bool, given: str | None, label: str) -> _Group | None:
    channels: Sequence[Dataset] = item.get("ChannelDefinitionSequence") or []
    count, samples = int(item.NumberOfWaveformChannels), int(item.NumberOfWaveformSamples)
    check_size(count, samples, label)
    if len(channels) != count:
        raise RecordingError(f"{label} describes {len(channels)} of {count} channels; it is damaged: export the recording again.")
    fs_hz = float(item.SamplingFrequency)
    if not (np.isfinite(fs_hz) and fs_hz > 0):
        raise RecordingError(f"{label} states a sampling rate of {fs_hz:g} Hz; it must be above 0: export the recording again.")
    scales = [_scale(channel, given, label) for channel in channels]
    if not any(scale is not None for scale in scales):
        return None
    check_duration(samples / fs_hz, label)
    kind = _TYPES.get(str(item.WaveformSampleInterpretation))
    if kind is None or int(item.WaveformBitsAllocated) != 8 * int(kind[1]):
        raise RecordingError(f"{label} stores samples that are not plain integers of 8, 16 or 32 bits; export it as such.")
    dtype = np.dtype(kind).newbyteorder(">" if big_endian else "<")
    content, needed = bytes(item.WaveformData), count * samples * dtype.itemsize
    if len(content) < needed:
        raise RecordingError(f"{label} holds {len(content)} of {needed} bytes of its waveform; it is cut off: copy it again.")
    # Interleaved: all channels of the first sample, then of the second (C.10.9.1.7).
    stored = np.frombuffer(content, dtype, count * samples).reshape(samples, count).T
    padding = item.get("WaveformPaddingValue")
    fill = np.frombuffer(bytes(padding), dtype, 1)[0] if padding and len(bytes(padding)) >= dtype.itemsize else None
    rows, leads, filters = [], [], []
    for position, (channel, scale) in enumerate(zip(channels, scales, strict=True)):
        if scale is None:
            continue
        lead, sign = lead_name(_lead_text(channel), position)
        values = sign * (stored[position].astype(np.float64) * scale[0] + scale[1])
        rows.append(values if fill is None else np.where(stored[position] == fill, np.nan, values))
        leads.append(lead)
        filters.append(_filters(channel))
    offset_ms = float(item.get("MultiplexGroupTimeOffset") or 0)
    derived = str(item.get("WaveformOriginality") or "").upper() == "DERIVED"
    averaged = derived or bool(_AVERAGED.search(str(item.get("MultiplexGroupLabel") or "")))
    offset_s = offset_ms / 1000 if np.isfinite(offset_ms) else 0.0
    return _Group(np.stack(rows), tuple(leads), fs_hz, offset_s, averaged, most_filtered(filters))


def _filters(channel: Dataset) -> Filters:
    """Filter Low Frequency is the high-pass, Filter High Frequency the low-pass (C.10.9.1.4); they may be empty."""
    names = ("FilterLowFrequency", "FilterHighFrequency", "NotchFilterFrequency")
    high, low, notch = (None if (v := channel.get(name)) in (None, "") else float(v) for name in names)
    return stated_filters(high, low, notch)


def _scale(channel: Dataset, given: str | None, label: str) -> tuple[float, float] | None:
    """Millivolts per stored unit and the millivolts of a stored 0; None for a channel that is no voltage."""
    units: Sequence[Dataset] = channel.get("ChannelSensitivityUnitsSequence") or []
    code = str(units[0].get("CodeValue") or units[0].get("CodeMeaning") or "") if units else ""
    stated = unit_name(code)
    if code and stated is None:
        return None
    if stated and given and stated != given:
        raise RecordingError(f"{label} states {stated} for its channels, but {given} was given; leave the unit out.")
    if stated is None and given is None:
        raise RecordingError(f"{label} does not say the unit of its channels; give it (mV, uV or V).")
    mv = MV_PER_UNIT[stated or given or "mV"]
    sensitivity = _number(channel.get("ChannelSensitivity"), 1.0)
    sensitivity *= _number(channel.get("ChannelSensitivityCorrectionFactor"), 1.0)
    baseline = _number(channel.get("ChannelBaseline"), 0.0)
    if not np.isfinite([sensitivity, baseline]).all() or sensitivity == 0:
        raise RecordingError(f"{label} states a channel sensitivity of {sensitivity:g}; it must not be 0: export it again.")
    return sensitivity * mv, baseline * mv


def _number(value: Any, default: float) -> float:
    return default if value is None or value == "" else float(value)


def _lead_text(channel: Dataset) -> str:
    """The lead's name by its code, else by the code's meaning, else by the channel's label."""
    sources: Sequence[Dataset] = channel.get("ChannelSourceSequence") or []
    label = str(channel.get("ChannelLabel") or "")
    if not sources:
        return label
    code, meaning = str(sources[0].get("CodeValue") or "").strip(), str(sources[0].get("CodeMeaning") or "")
    number = _CODE.match(code)
    if number and int(number[1]) in _LEAD_NUMBERS:
        return _LEAD_NUMBERS[int(number[1])]
    for text in (code, meaning, label):
        # "Lead I (Einthoven)", "MDC_ECG_LEAD_I"
        bare = re.sub(r"\s*\(.*?\)\s*", "", text)
        if lead_name(bare, 0)[0] in STANDARD_LEADS:
            return bare
    return label or meaning


def _joined(groups: list[_Group], label: str) -> tuple[NDArray[np.float64], list[str], float, Filters]:
    """The recording out of its groups: the best one, and leads that only other original groups of its rate hold; its filters."""
    best = max(groups, key=_Group.rank)
    parts: list[tuple[_Group, list[int]]] = [(best, list(range(len(best.leads))))]
    taken = set(best.leads)
    for group in groups:
        fresh = [i for i, lead in enumerate(group.leads) if lead not in taken and lead in STANDARD_LEADS]
        if group is not best and fresh and not group.averaged and not best.averaged and group.fs_hz == best.fs_hz:
            parts.append((group, fresh))
            taken |= {group.leads[i] for i in fresh}
    if best.averaged:
        raise RecordingError(f"{label} holds averaged beats only; give the recording of some seconds that they come from.")
    start_s = min(group.offset_s for group, _ in parts)
    places = [round((group.offset_s - start_s) * best.fs_hz) for group, _ in parts]
    length = max(place + group.signal_mv.shape[1] for place, (group, _) in zip(places, parts, strict=True))
    check_duration(length / best.fs_hz, label)
    check_size(len(taken), length, label)
    rows, leads = [], []
    for place, (group, chosen) in zip(places, parts, strict=True):
        for i in chosen:
            row = np.full(length, np.nan)
            row[place : place + group.signal_mv.shape[1]] = group.signal_mv[i]
            rows.append(row)
            leads.append(group.leads[i])
    return np.stack(rows), leads, best.fs_hz, most_filtered(group.filters for group, _ in parts)


def _recorded_at(data: Dataset) -> dt.date | None:
    """When it was recorded, to the second, or a day alone; None where the file has no readable date."""
    stamps = [str(data.get("AcquisitionDateTime") or "")]
    for kind in ("Acquisition", "Content", "Study"):
        stamps.append(str(data.get(f"{kind}Date") or "").strip() + str(data.get(f"{kind}Time") or "").strip())
    for stamp in stamps:
        match = re.match(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?", stamp)
        if match:
            year, month, day, hour, minute, second = (int(g) if g else 0 for g in match.groups())
            try:
                return dt.datetime(year, month, day, hour, minute, second) if match[4] else dt.date(year, month, day)
            except ValueError:
                continue
    return None


def _age(data: Dataset, moment: dt.date | None) -> float | None:
    """Years by Patient's Age (an age string such as 042Y, 018M, 030W, 005D), else by the birth date."""
    match = re.fullmatch(r"(\d{3})([YMWD])", str(data.get("PatientAge") or "").strip())
    if match and int(match[1]):
        years = int(match[1]) / {"Y": 1, "M": 12, "W": 365.25 / 7, "D": 365.25}[match[2]]
        return known_age(years if match[2] == "Y" else float(int(years)))
    digits = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", str(data.get("PatientBirthDate") or "").strip())
    try:
        birth = dt.date(int(digits[1]), int(digits[2]), int(digits[3])) if digits else None
    except ValueError:
        birth = None
    return age_on(birth, moment)
