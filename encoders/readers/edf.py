"""EDF and EDF+ (edfplus.info/specs: EDF, Kemp et al. 1992; EDF+, Kemp and Olivan 2003), read through edfio."""

from __future__ import annotations

import datetime as dt
import re
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS, Filters
from encoders.errors import RecordingError
from encoders.readers.border import age_on, check_size, file_bytes, most_filtered, sex_letter, stated_filters
from encoders.readers.leads import MV_PER_UNIT, check_duration, finish, given_unit, lead_name, unit_name
from encoders.readers.rates import at_one_rate

if TYPE_CHECKING:
    from edfio import Edf, EdfSignal

__all__ = ["is_edf", "read_edf"]

_MAX_SIGNALS = 256
_ANNOTATIONS = b"EDF Annotations"
#: Kinds of signal that are measured in volts and are no ECG: first word of the label in the EDF+ standard texts, section 2.3.
_OTHER_KINDS = (
    "eeg", "eog", "emg", "erg", "ecog", "seeg", "eng", "ep", "meg", "mcg", "resp", "sao2", "pleth", "ref", "trigger", "status",
)  # fmt: skip
#: A time constant ("HP:3.0s") is no frequency.
_PREFILTER = re.compile(r"\b(HP|LP|N)\s*[:=]?\s*(DC|NONE|OFF|\d{1,5}(?:[.,]\d{1,5})?)(?![\d.,]|\s*S)")
_ECG_LABEL = re.compile(r"^(?:ecg|ekg)\b|^(?:ecg|ekg)[\dIVa_-]", re.IGNORECASE)


@dataclass(frozen=True)
class _Layout:
    """The sizes that a header announces. ``samples``: per data record and signal; ``labels`` as they stand."""

    header_bytes: int
    records: int
    record_s: Fraction
    labels: tuple[bytes, ...]
    samples: tuple[int, ...]
    continuous: bool

    def record_bytes(self) -> int:
        """EDF stores two bytes per sample."""
        return 2 * sum(self.samples)


def is_edf(head: bytes) -> bool:
    """True where a file's first bytes are an EDF header: version "0" and the size of the header in characters."""
    return head[:8] == b"0       " and (len(head) < 192 or head[184:192].strip().isdigit())


def read_edf(path: Path, *, unit: str | None = None, age_years: float | None = None, sex: str | None = None) -> ECG:
    """One EDF, EDF+C or EDF+D file as an ``ECG`` in mV.

    Physical values come from each signal's own ranges and dimension (V, mV, uV, nV); ``unit`` says it where the file has
    none. Signals that are no voltage, or are named as another kind (EEG, EMG …), are left out; where some are named as ECG
    or as a standard lead, only those are taken. ECG signals of different rates are brought to the highest among them
    (polyphase filter). Gaps of an EDF+D file become NaN. Annotations are not read. Of the patient field, EDF+'s sex and
    birth date are looked at, the date for the age on the day of the recording only. Anonymised fields count as unknown.

    Raises RecordingError for a damaged or shortened file, one without ECG signal, without unit (give ``--unit``), or with
    overlapping data records.
    """
    label = path.stem
    raw = file_bytes(path, label)
    layout = _layout(raw, label)
    starts_s = None if layout.continuous else _record_starts(raw, layout, label)
    seconds = float(layout.records * layout.record_s)
    check_duration(seconds if starts_s is None else float(starts_s[-1] - starts_s[0] + layout.record_s), label)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            edf = _open(raw)
            chosen = _ecg_signals(edf, layout, unit, label)
            check_size(len(chosen), layout.records * max(layout.samples[position] for *_, position in chosen), label)
            rows, leads, rates, filters = [], [], [], []
            for signal, lead, scale, position in chosen:
                count = layout.records * layout.samples[position]
                rows.append(_physical(signal, count, label) * scale)
                rates.append(Fraction(layout.samples[position]) / layout.record_s)
                leads.append(lead)
                filters.append(_filters(signal.prefiltering))
            moment = _recorded_at(edf, raw)
            found_age, found_sex = _age_and_sex(edf, moment)
    except RecordingError:
        raise
    except Exception as error:  # edfio trips over damaged fields with errors of many types
        raise _damaged(label) from error
    if starts_s is not None:
        rows = [_with_gaps(row, float(r), layout, starts_s, label) for row, r in zip(rows, rates, strict=True)]
    together, fs_hz = at_one_rate(rows, rates, label)
    return finish(
        together,
        leads,
        fs_hz,
        label=label,
        source="edf",
        age_years=found_age if age_years is None else age_years,
        sex=found_sex if sex is None else sex,
        recorded_at=moment.isoformat() if moment is not None else None,
        filters=most_filtered(filters),
    )


def _damaged(label: str) -> RecordingError:
    return RecordingError(f"{label} is a damaged EDF file: its header is cut off or overwritten; export the recording again.")


def _open(raw: bytes) -> Edf:
    import edfio

    return edfio.read_edf(raw, lazy_load_data=True)


def _layout(raw: bytes, label: str) -> _Layout:
    """Sizes out of the header's fixed fields, checked against the file before anything is read."""
    try:
        count = int(raw[252:256])
        header_bytes, records = int(raw[184:192]), int(raw[236:244])
        duration = raw[244:252].decode("ascii").strip()
        if not 0 < float(duration) < 1e6:
            raise RecordingError(f"{label} states data records of {duration} s; they must be longer than 0: export it again.")
        record_s = Fraction(duration)
        if not 1 <= count <= _MAX_SIGNALS or header_bytes != 256 * (count + 1) or len(raw) < header_bytes:
            raise ValueError
        labels = tuple(raw[256 + 16 * i : 272 + 16 * i].strip() for i in range(count))
        at = 256 + 216 * count
        samples = tuple(int(raw[at + 8 * i : at + 8 * i + 8]) for i in range(count))
        if min(samples) < 0 or sum(samples) < 1:
            raise ValueError
    except ValueError as error:
        raise _damaged(label) from error
    size = 2 * sum(samples)
    there = (len(raw) - header_bytes) // size
    if records == -1:  # the count is unknown while recording (EDF specification); the file's size tells
        records = there
    if records < 1 or there < 1:
        raise RecordingError(f"{label} holds no data record; give a recording with samples.")
    if there < records:
        raise RecordingError(f"{label} holds {there} of the {records} data records it announces; it is cut off: copy it again.")
    continuous = not raw[192:197].startswith(b"EDF+D")
    return _Layout(header_bytes, records, record_s, labels, samples, continuous)


def _ecg_signals(edf: Edf, layout: _Layout, unit: str | None, label: str) -> list[tuple[EdfSignal, str, float, int]]:
    """Signal, lead name, mV per physical unit and position in the file of each ECG signal."""
    given = given_unit(unit)
    found: list[tuple[EdfSignal, str, float, int, bool]] = []
    positions = [i for i, text in enumerate(layout.labels) if text != _ANNOTATIONS]
    for position, signal in zip(positions, edf.signals, strict=True):  # edfio leaves annotations out of `signals`
        name, sign = lead_name(signal.label, position)
        named = name in STANDARD_LEADS or bool(_ECG_LABEL.match(signal.label.strip()))
        dimension = signal.physical_dimension.strip()
        stated = unit_name(dimension)
        if signal.label.strip().lower().split(" ")[0].split("-")[0] in _OTHER_KINDS or (dimension and stated is None):
            continue
        if stated and given and stated != given and named:
            raise RecordingError(f"{label} states {stated} for its signals, but {given} was given; leave the unit out.")
        if stated is None and given is None:
            if named:
                raise RecordingError(f"{label} does not say the unit of its ECG signals; give it (mV, uV or V).")
            continue
        found.append((signal, name, sign * MV_PER_UNIT[stated or given or "mV"], position, named))
    if any(named for *_, named in found):
        found = [entry for entry in found if entry[-1]]
    if not found:
        raise RecordingError(f"{label} holds no ECG signal in volts; give an electrocardiogram in V, mV or uV.")
    return [entry[:4] for entry in found]


def _filters(text: str) -> Filters:
    """Prefiltering as EDF writes it: "HP:0.1Hz LP:75Hz N:50Hz" (EDF specification, note 3); "HP:DC" is none."""
    found: dict[str, float] = {}
    for key, value in _PREFILTER.findall(text.upper()):
        found.setdefault(key, 0.0 if value in ("DC", "NONE", "OFF") else float(value.replace(",", ".")))
    return stated_filters(found.get("HP"), found.get("LP"), found.get("N"))


def _physical(signal: EdfSignal, count: int, label: str) -> NDArray[np.float64]:
    """The first ``count`` samples in the signal's physical unit; ranges that give no scale are refused."""
    low, high = signal.physical_range
    bottom, top = signal.digital_range
    if not (np.isfinite([low, high]).all() and low != high and bottom < top):
        raise RecordingError(
            f"{label} states a physical range of {low:g} to {high:g} for digital {bottom} to {top}; without a range there are no "
            "millivolts: export the recording again."
        )
    gain = (high - low) / (top - bottom)
    return (signal.digital[:count].astype(np.float64) - bottom) * gain + low


def _record_starts(raw: bytes, layout: _Layout, label: str) -> list[Fraction]:
    """Start in s of each data record, from the first annotation of each (EDF+ specification, section 2.2.4)."""
    if _ANNOTATIONS not in layout.labels:
        raise RecordingError(f"{label} is an interrupted recording (EDF+D) without times of its parts; export it as EDF+C.")
    at = layout.labels.index(_ANNOTATIONS)
    offset, width = 2 * sum(layout.samples[:at]), 2 * layout.samples[at]
    starts: list[Fraction] = []
    for record in range(layout.records):
        begin = layout.header_bytes + record * layout.record_bytes() + offset
        match = re.match(rb"([+-]\d{1,9}(?:\.\d{1,9})?)[\x14\x15]", raw[begin : begin + width])
        if match is None:
            raise RecordingError(f"{label} is an interrupted recording (EDF+D) with a part without its time; export it again.")
        starts.append(Fraction(match.group(1).decode()))
    if any(b - a < layout.record_s * Fraction(999, 1000) for a, b in zip(starts, starts[1:], strict=False)):
        raise RecordingError(f"{label} is an interrupted recording (EDF+D) whose parts overlap in time; export it again.")
    return starts


def _with_gaps(
    row: NDArray[np.float64], rate: float, layout: _Layout, starts_s: list[Fraction], label: str
) -> NDArray[np.float64]:
    """The samples at their times, NaN between the parts."""
    per_record = len(row) // layout.records
    places = [round(float(start - starts_s[0]) * rate) for start in starts_s]
    check_size(1, places[-1] + per_record, label)
    out = np.full(places[-1] + per_record, np.nan)
    for i, place in enumerate(places):
        out[place : place + per_record] = row[i * per_record : (i + 1) * per_record]
    return out


def _recorded_at(edf: Edf, raw: bytes) -> dt.date | None:
    """Start of the recording, to the second (a day alone where the time is unreadable); None where it is anonymised."""
    from edfio.edf_header import AnonymizedDateError

    day: dt.date | None
    try:
        day = edf.recording.startdate  # EDF+: a year of four digits
    except AnonymizedDateError:
        return None
    except ValueError:
        day = _legacy_date(raw[168:176])
    if day is None:
        return None
    digits = re.fullmatch(rb"(\d\d)[.:](\d\d)[.:](\d\d)", raw[176:184])
    try:
        return dt.datetime.combine(day, dt.time(int(digits[1]), int(digits[2]), int(digits[3]))) if digits else day
    except ValueError:
        return day


def _legacy_date(field: bytes) -> dt.date | None:
    """dd.mm.yy with the clipping date 1985 of the EDF specification; 01.01.85 stands for "anonymised"."""
    match = re.fullmatch(r"(\d\d)\.(\d\d)\.(\d\d)", field.decode("ascii", "replace").strip())
    if match is None:
        return None
    day, month, year = (int(g) for g in match.groups())
    try:
        found = dt.date(year + (1900 if year >= 85 else 2000), month, day)
    except ValueError:
        return None
    return None if found == dt.date(1985, 1, 1) else found


def _age_and_sex(edf: Edf, moment: dt.date | None) -> tuple[float | None, str | None]:
    """Age on the day of the recording, and sex, from the EDF+ patient field (section 2.1.3.3: code, sex, birth date, name)."""
    try:
        birth: dt.date | None = edf.patient.birthdate
    except ValueError:
        birth = None
    letter = edf.patient.sex
    return age_on(birth, moment), sex_letter(letter) if letter in ("F", "M") else None
