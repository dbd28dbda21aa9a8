"""SCP-ECG records (EN 1064:2005+A1:2007, ISO 11073-91064): the exchange format of European carts and the OpenECG tools.

The text of the standard was not at hand while this was written: structure and tables follow what open implementations
agree on, checked on records of two makers and on records that the tests write.
"""

from __future__ import annotations

import binascii
import datetime as dt
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, Filters
from encoders.errors import RecordingError
from encoders.readers.border import age_on, check_size, file_bytes, known_age, stated_filters
from encoders.readers.leads import MV_PER_UNIT, check_duration, finish, lead_name
from encoders.readers.scp_huffman import Code, decode, parse_tables
from encoders.readers.scp_restore import Beat, add_reference_beats, restore_full_rate, stored_count

__all__ = ["is_scp", "read_scp"]

_HEADER = 6
_SECTION_HEADER = 16
_MAX_LEADS = 64
_MAX_BEATS = 5000
_MAX_FACTOR = 16
#: Some carts (Cardioline) write this where they have not calculated a checksum.
_NO_CRC = 0xFFFF

#: Lead numbers of the standard's table (section 3); -aVR is turned round when read, others become ``ch1``, ``ch2`` …
_LEADS = {
    1: "I", 2: "II", 3: "V1", 4: "V2", 5: "V3", 6: "V4", 7: "V5", 8: "V6", 9: "V7", 10: "V2R", 11: "V3R", 12: "V4R",
    13: "V5R", 14: "V6R", 15: "V7R", 16: "X", 17: "Y", 18: "Z", 19: "CC5", 20: "CM5", 61: "III", 62: "aVR", 63: "aVL",
    64: "aVF", 65: "-aVR", 66: "V8", 67: "V9", 68: "V8R", 69: "V9R", 70: "D", 71: "A", 72: "J",
}  # fmt: skip
#: Units of the age (section 1, tag 4) in years; 0 is "unspecified".
_AGE_UNITS = {1: 1.0, 2: 1 / 12, 3: 7 / 365.25, 4: 1 / 365.25, 5: 1 / 8766}
_SEXES = {1: "M", 2: "F"}
#: All that is looked at of section 1: age, birth date, sex, day and time of the recording, filters.
_WANTED_TAGS = frozenset((4, 5, 8, 25, 26, 27, 28, 29))


@dataclass(frozen=True)
class _Lead:
    """A lead's number in the standard's table and its first and last sample, counted from 1."""

    first: int
    last: int
    number: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class _Data:
    """The head of section 5 or 6 and the bytes of each lead: nV per step, µs per sample, order of the differences."""

    nanovolts: int
    interval_us: int
    differences: int
    bimodal: bool
    leads: tuple[bytes, ...]


def is_scp(head: bytes) -> bool:
    """Whether a file that begins with ``head`` (at least 32 bytes) is an SCP-ECG record.

    Section 0 carries the letters SCPECG; where old writers left them out, its header and its pointer to itself tell.
    """
    if len(head) < 32:
        return False
    if head[16:22] == b"SCPECG":
        return True
    number, length = struct.unpack_from("<HI", head, 8)
    return number == 0 and 120 <= length <= 10_000 and struct.unpack_from("<HII", head, 22) == (0, length, 7)


def read_scp(path: Path, *, age_years: float | None = None, sex: str | None = None) -> ECG:
    """One SCP-ECG record as an ``ECG`` in mV.

    Samples are read uncompressed or by Huffman tables (the default one or the record's own), as they are or as first or
    second differences, with reference beats subtracted and with samples left out between beats (bimodal compression).
    Leads that begin at different times are set side by side, NaN where a lead was not recorded. Of the patient's data
    only age (or the age that birth date and day of recording give) and sex are taken, unless the arguments give them.

    Raises RecordingError, in one sentence that names the file's stem only, for a checksum that does not fit, for damaged
    or missing sections, and for what ``finish`` refuses.
    """
    label = path.stem
    record = _checked_record(path, label)
    sections = _sections(record, label)
    for needed, what in ((3, "lead definition"), (6, "rhythm data")):
        if needed not in sections:
            raise RecordingError(f"{label} is an SCP-ECG record without {what} (section {needed}); export it with its signal.")
    leads, subtracted = _leads(sections[3], label)
    tables = parse_tables(sections[2], label) if 2 in sections else ()
    signal_mv, fs_hz = _signal(sections, leads, subtracted, tables, label)
    names = [lead_name(_LEADS.get(lead.number, ""), i) for i, lead in enumerate(leads)]
    tags = _tags(sections.get(1, b""))
    found_age, found_sex, moment = _person(tags)
    return finish(
        signal_mv * np.array([[sign] for _, sign in names]),
        [name for name, _ in names],
        fs_hz,
        label=label,
        source="scp",
        age_years=found_age if age_years is None else age_years,
        sex=found_sex if sex is None else sex,
        recorded_at=moment,
        filters=_filters(tags),
    )


def _damaged(label: str, what: str) -> RecordingError:
    return RecordingError(f"{label} is a damaged SCP-ECG record ({what}); export the recording again.")


def _checked_record(path: Path, label: str) -> bytes:
    """The record's bytes, of the length and with the checksum (CRC-CCITT, section 5.2 of the standard) it states."""
    content = file_bytes(path, label)
    if len(content) < _HEADER + _SECTION_HEADER:
        raise _damaged(label, "it is cut off")
    stated, length = struct.unpack_from("<HI", content)
    if not _HEADER + _SECTION_HEADER <= length <= len(content):
        raise _damaged(label, f"{len(content)} bytes where it announces {length}")
    record = content[:length]
    # What stands behind the record's own length is padding. A section's checksum adds nothing where this one is right.
    if stated not in (binascii.crc_hqx(record[2:], 0xFFFF), _NO_CRC):
        raise _damaged(label, "its checksum does not agree with its content")
    return record


def _sections(record: bytes, label: str) -> dict[int, bytes]:
    """The data of sections 1 to 6 by the pointers of section 0 (a section's number, length and place, counted from 1)."""
    number, length = struct.unpack_from("<HI", record, _HEADER + 2)
    end = _HEADER + length
    if number != 0 or length < _SECTION_HEADER or end > len(record):
        raise _damaged(label, "its table of sections is wrong")
    pointers = record[_HEADER + _SECTION_HEADER : end]
    sections: dict[int, bytes] = {}
    for number, length, index in struct.iter_unpack("<HII", pointers[: len(pointers) // 10 * 10]):
        if not 1 <= number <= 6 or length == 0:
            continue
        start = index - 1
        if length < _SECTION_HEADER or start < 0 or start + length > len(record):
            raise _damaged(label, f"section {number} lies outside")
        whole = record[start : start + length]
        crc, stated = struct.unpack_from("<HH", whole)
        if stated != number:
            raise _damaged(label, f"section {number} is not where its pointer says")
        if struct.unpack_from("<H", record) == (_NO_CRC,) and crc not in (binascii.crc_hqx(whole[2:], 0xFFFF), _NO_CRC):
            raise _damaged(label, f"the checksum of section {number} does not agree with its content")
        sections[number] = whole[_SECTION_HEADER:]
    return sections


def _leads(body: bytes, label: str) -> tuple[list[_Lead], bool]:
    """The leads of section 3, and whether a reference beat was subtracted from them (bit 0 of its flags)."""
    if len(body) < 2 or len(body) < 2 + 9 * body[0]:
        raise _damaged(label, "its lead definition is cut off")
    if not 1 <= body[0] <= _MAX_LEADS:
        raise RecordingError(f"{label} announces {body[0]} leads; 1 to {_MAX_LEADS} are accepted: export the recording again.")
    leads = [_Lead(*struct.unpack_from("<IIB", body, 2 + 9 * i)) for i in range(body[0])]
    if any(lead.first < 1 or lead.last <= lead.first for lead in leads):
        raise _damaged(label, "a lead has no samples")
    return leads, bool(body[1] & 1)


def _beats(body: bytes, label: str) -> tuple[float, int, list[Beat]]:
    """Section 4: length of the reference beat in ms, its fiducial sample (from 1), and the beats of the recording."""
    if len(body) < 6:
        raise _damaged(label, "its QRS locations are cut off")
    length_ms, fiducial, n_beats = struct.unpack_from("<HHH", body)
    if n_beats > _MAX_BEATS or 6 + 14 * n_beats > len(body):
        raise _damaged(label, f"{n_beats} QRS locations announced")
    beats, at = [], 6 + 14 * n_beats
    has_areas = at + 8 * n_beats <= len(body)
    for i in range(n_beats):
        kind, start, peak, end = struct.unpack_from("<HIII", body, 6 + 14 * i)
        area = struct.unpack_from("<II", body, at + 8 * i) if has_areas else (0, 0)
        beats.append(Beat(kind, start, peak, end, area[0], area[1]))
    return float(length_ms), fiducial, beats


def _data(body: bytes, n_leads: int, label: str) -> _Data:
    """The head and the leads' bytes of section 5 or 6."""
    if len(body) < 6 + 2 * n_leads:
        raise _damaged(label, "its signal is cut off")
    nanovolts, interval_us, differences, bimodal = struct.unpack_from("<HHBB", body)
    if nanovolts == 0 or interval_us == 0 or differences > 2:
        raise _damaged(label, "gain, sampling interval or kind of differences is out of range")
    leads, at = [], 6 + 2 * n_leads
    for size in struct.unpack_from(f"<{n_leads}H", body, 6):
        if at + size > len(body):
            raise _damaged(label, "its signal is cut off")
        leads.append(body[at : at + size])
        at += size
    return _Data(nanovolts, interval_us, differences, bimodal == 1, tuple(leads))


def _samples(data: bytes, count: int, head: _Data, tables: tuple[tuple[Code, ...], ...], label: str) -> NDArray[np.float64]:
    """One lead's samples in nV. Differences are undone modulo 2**16: writers let second differences of large jumps wrap."""
    if tables:
        values = decode(data, count, tables, label)
    elif 2 * count <= len(data):
        values = np.frombuffer(data, "<i2", count).astype(np.int64)
    else:
        raise _damaged(label, "fewer samples than it announces")
    if head.differences == 2 and count > 1:
        # The first two values are samples: x0, x1, then x[n] - 2 x[n-1] + x[n-2].
        values[1] -= values[0]
        values[1:] = np.cumsum(values[1:])
    if head.differences:
        values = np.cumsum(values)
    return ((values + 32768) % 65536 - 32768).astype(np.float64) * head.nanovolts


def _signal(
    sections: dict[int, bytes], leads: list[_Lead], subtracted: bool, tables: tuple[tuple[Code, ...], ...], label: str
) -> tuple[NDArray[np.float64], float]:
    """The rhythm signal in mV (leads, samples), NaN where a lead was not recorded, and its rate in Hz."""
    rhythm = _data(sections[6], len(leads), label)
    reference: _Data | None = None
    length_ms, fiducial, factor = 0.0, 0, 1
    beats: list[Beat] = []
    if subtracted or rhythm.bimodal:
        if 4 not in sections or 5 not in sections:
            raise RecordingError(
                f"{label} is compressed by reference beats but lacks them (SCP-ECG sections 4 and 5); export it uncompressed."
            )
        length_ms, fiducial, beats = _beats(sections[4], label)
        reference = _data(sections[5], len(leads), label)
        factor = round(rhythm.interval_us / reference.interval_us)
        if not 1 <= factor <= _MAX_FACTOR or abs(rhythm.interval_us - factor * reference.interval_us) > factor:
            raise _damaged(label, f"rhythm and reference beat at {rhythm.interval_us} and {reference.interval_us} µs per sample")
    fs_hz = _rate(reference.interval_us if reference else rhythm.interval_us)
    first, last = min(lead.first for lead in leads), max(lead.last for lead in leads)
    check_duration((last - first + 1) / fs_hz, label)
    check_size(len(leads), last - first + 1, label)

    areas = [(beat.protected_first, beat.protected_last) for beat in beats] if rhythm.bimodal else []
    signal_nv = np.full((len(leads), last - first + 1), np.nan)
    for row, lead in enumerate(leads):
        count = stored_count(lead.first, lead.last, areas, factor)
        stored = _samples(rhythm.leads[row], count, rhythm, tables, label)
        zones = [(beat.first, beat.last) for beat in beats if beat.kind == 0] if subtracted else []
        values = restore_full_rate(stored, lead.first, lead.last, areas, zones, factor)
        if subtracted and reference is not None:
            n_beat = round(length_ms * 1000 / reference.interval_us)
            beat = _samples(reference.leads[row], n_beat, reference, tables, label)
            add_reference_beats(values, lead.first, beat, fiducial, beats)
        signal_nv[row, lead.first - first : lead.last - first + 1] = values
    return signal_nv * MV_PER_UNIT["nV"], fs_hz


def _rate(interval_us: int) -> float:
    """Samples per second; the interval is a whole number of µs, so 1667 µs stands for 600 Hz."""
    whole = round(1e6 / interval_us)
    return float(whole) if round(1e6 / whole) == interval_us else 1e6 / interval_us


def _tags(body: bytes) -> dict[int, bytes]:
    """Values of section 1 by their tag (tag, length, value); only those of ``_WANTED_TAGS``.

    Nothing is taken from a section whose lengths do not add up, as a name could then be read for an age.
    """
    tags: dict[int, bytes] = {}
    at = 0
    while at + 3 <= len(body) and body[at] != 255:
        length = int.from_bytes(body[at + 1 : at + 3], "little")
        if at + 3 + length > len(body):
            return {}
        if body[at] in _WANTED_TAGS:
            tags.setdefault(body[at], body[at + 3 : at + 3 + length])
        at += 3 + length
    return tags


def _filters(tags: dict[int, bytes]) -> Filters:
    """Baseline filter in hundredths of a hertz (tag 27), low-pass in hertz (28), notches as bits (29: 1 is 60 Hz, 2 is 50 Hz).

    A cut-off of 0 says nothing: converters write it where the original states a filter.
    """
    high, low, bits = (int.from_bytes(tags[n][:2], "little") if tags.get(n) else None for n in (27, 28, 29))
    notch = None if bits is None else 60.0 if bits & 1 else 50.0 if bits & 2 else 0.0
    return stated_filters(high / 100 if high else None, low or None, notch)


def _person(tags: dict[int, bytes]) -> tuple[float | None, str | None, str | None]:
    """Age in years, sex and ISO time of the recording."""
    born, day = _date(tags.get(5, b"")), _date(tags.get(25, b""))
    age = age_on(born, day)
    stated = tags.get(4, b"")
    # An age of 0 is "not stated": a newborn's is given in days or hours.
    if len(stated) >= 3 and stated[2] in _AGE_UNITS and stated[:2] != b"\0\0":
        age = known_age(int.from_bytes(stated[:2], "little") * _AGE_UNITS[stated[2]])
    moment = day.isoformat() if day is not None else None
    clock = tags.get(26, b"")
    if day is not None and len(clock) >= 3 and clock[0] < 24 and clock[1] < 60 and clock[2] < 60:
        moment = dt.datetime.combine(day, dt.time(*clock[:3])).isoformat()
    code = tags.get(8, b"")
    return age, _SEXES.get(code[0]) if code else None, moment


def _date(value: bytes) -> dt.date | None:
    """A date of four bytes (year, month, day), None where there is none or it lies outside 1870 to 2200."""
    if len(value) < 4:
        return None
    year, month, day = struct.unpack_from("<HBB", value)
    try:
        return dt.date(year, month, day) if 1870 <= year <= 2200 else None
    except ValueError:
        return None
