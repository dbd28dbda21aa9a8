"""GE MUSE XML (``RestingECG``): 16-bit samples in Base64, eight leads of which the other four follow.

There is no public text of the format. What is read here was checked on an exported file: sample rate as ``SampleBase`` times
ten to the ``SampleExponent``, ``LeadAmplitudeUnitsPerBit`` with its unit, dates as month-day-year, and ``LeadDataCRC32``, which
is the usual CRC-32 over the decoded bytes.
"""

from __future__ import annotations

import zlib
from datetime import date
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, Filters
from encoders.errors import RecordingError
from encoders.readers.border import age_on, check_size, known_age, sex_letter, stated_filters
from encoders.readers.leads import MV_PER_UNIT, check_duration, finish, lead_name, unit_name
from encoders.readers.xml import base64_bytes, clock_of, day_of, iso_time, number, parse_xml, root_name, text_of

__all__ = ["is_muse", "read_muse"]

_DATE = "%m-%d-%Y"
_YEARS_PER = {"YEARS": 1.0, "MONTHS": 1 / 12, "WEEKS": 7 / 365.25, "DAYS": 1 / 365.25, "HOURS": 1 / 8766}


def is_muse(head: bytes) -> bool:
    """True where the first bytes are those of a GE MUSE XML file."""
    return root_name(head) == "RestingECG"


def read_muse(path: Path, *, age_years: float | None = None, sex: str | None = None) -> ECG:
    """The rhythm waveform of a MUSE file as an ``ECG`` in mV, the missing limb leads derived.

    ``age_years`` and ``sex`` go before the file's. The median beat that MUSE stores beside it is no recording and is passed
    over. Raises RecordingError, in one sentence without a word of the file's text.
    """
    label = path.stem
    root = parse_xml(path, label)
    if root.tag != "RestingECG":
        raise RecordingError(f"{label} is no MUSE file, its root element is not RestingECG; export it as MUSE XML.")
    waveform = _rhythm(root, label)
    fs_hz = _rate(waveform, label)
    rows: list[NDArray[np.float64]] = []
    leads: list[str] = []
    begins = set()
    for position, node in enumerate(waveform.findall("LeadData")):
        name, sign = lead_name(text_of(node, "LeadID"), position)
        rows.append(sign * _samples(node, name, label, fs_hz))
        leads.append(name)
        begins.add(number(text_of(node, "LeadTimeOffset")) or 0.0)
    if not rows:
        raise RecordingError(f"{label} holds no lead in its rhythm waveform; export the recording again.")
    if len({len(row) for row in rows}) > 1 or len(begins) > 1:
        raise RecordingError(f"The leads of {label} do not begin and end together; export a simultaneous recording.")
    check_size(len(rows), len(rows[0]), label)
    day, birth = day_of(text_of(root, "TestDemographics/AcquisitionDate"), _DATE), _birth(root)
    age = age_on(birth, day)
    return finish(
        np.stack(rows), leads, fs_hz, label=label, source="muse",
        age_years=age_years if age_years is not None else age if age is not None else _stated_age(root),
        sex=sex or sex_letter(text_of(root, "PatientDemographics/Gender")),
        recorded_at=iso_time(day, clock_of(text_of(root, "TestDemographics/AcquisitionTime"))), filters=_filters(waveform),
    )  # fmt: skip


def _rhythm(root: Element, label: str) -> Element:
    """The longest waveform of the kind "Rhythm"."""
    found = [node for node in root.findall("Waveform") if text_of(node, "WaveformType").lower() == "rhythm"]
    if not found:
        raise RecordingError(f"{label} holds no rhythm waveform, a median beat at most; export it from MUSE with the rhythm.")
    return max(found, key=lambda node: number(text_of(node, "LeadData/LeadSampleCountTotal")) or 0.0)


def _rate(waveform: Element, label: str) -> float:
    base, exponent = number(text_of(waveform, "SampleBase")), number(text_of(waveform, "SampleExponent") or "0")
    if base is None or exponent is None or not -6 <= exponent <= 6 or not 0 < base * 10.0**exponent < 1e5:
        raise RecordingError(f"{label} states no valid sampling rate (SampleBase, SampleExponent); export the recording again.")
    return float(base * 10.0**exponent)


def _filters(waveform: Element) -> Filters:
    """``HighPassFilter`` is written in hundredths of a hertz (16 is 0.16 Hz; recalled), the others in hertz; NONE is none."""
    stated = [text_of(waveform, name) for name in ("HighPassFilter", "LowPassFilter", "ACFilter")]
    high, low, mains = (0.0 if text.upper() in ("NONE", "OFF") else number(text) for text in stated)
    return stated_filters(high / 100 if high is not None and high >= 1 else high, low, mains)


def _samples(node: Element, name: str, label: str, fs_hz: float) -> NDArray[np.float64]:
    """One lead in mV."""
    unit = unit_name(text_of(node, "LeadAmplitudeUnits").rstrip("Ss"))
    per_bit = number(text_of(node, "LeadAmplitudeUnitsPerBit"))
    if unit is None or per_bit is None or per_bit <= 0:
        raise RecordingError(f"{label} does not say how many microvolts a bit of lead {name} is; export the recording again.")
    if number(text_of(node, "LeadSampleSize") or "2") != 2:
        raise RecordingError(f"Lead {name} of {label} is not stored in 2 bytes a sample, which is all that is read.")
    raw = base64_bytes(text_of(node, "WaveFormData"), f"lead {name}", label)
    stated = number(text_of(node, "LeadSampleCountTotal"))
    if len(raw) % 2 or not raw or (stated is not None and len(raw) < 2 * stated):
        raise RecordingError(f"The signal of lead {name} in {label} is shorter than announced; it is cut off: export it again.")
    checksum = number(text_of(node, "LeadDataCRC32"))
    if checksum and int(checksum) & 0xFFFFFFFF != zlib.crc32(raw):
        raise RecordingError(f"The signal of lead {name} in {label} does not fit its checksum; export the recording again.")
    check_duration(len(raw) / 2 / fs_hz, label)
    return np.frombuffer(raw, "<i2") * (per_bit * MV_PER_UNIT[unit])


def _birth(root: Element) -> date | None:
    return day_of(text_of(root, "PatientDemographics/DateofBirth"), _DATE)


def _stated_age(root: Element) -> float | None:
    value = number(text_of(root, "PatientDemographics/PatientAge"))
    per = _YEARS_PER.get(text_of(root, "PatientDemographics/AgeUnits").upper() or "YEARS")
    return None if value is None or per is None else known_age(value * per)
