"""WFDB records (PhysioNet): a .hea header beside one or more .dat or .mat signal files."""

from __future__ import annotations

import os
import re
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import RecordingError
from encoders.readers.border import check_size
from encoders.readers.leads import MV_PER_UNIT, check_duration, finish, lead_name, unit_name
from encoders.readers.rates import at_one_rate

__all__ = ["read_wfdb"]

_MAX_SIGNALS = 64
#: Beyond this a number of samples is no number that can be divided; what fits into memory is checked later.
_MOST_SAMPLES = 1 << 53
#: File systems refuse longer names (most beyond 255 bytes) in ways of their own.
_MAX_NAME_BYTES = 250
_MAX_SEGMENTS = 1000
_MAX_HEADER_BYTES = 1_000_000
#: Bytes per sample of the formats with a fixed width (https://wfdb.io/spec/signal.html); 212, 310 and 311 are packed.
_BYTES = {
    "8": 1.0, "16": 2.0, "24": 3.0, "32": 4.0, "61": 2.0, "80": 1.0, "160": 2.0, "212": 1.5, "310": 4 / 3, "311": 4 / 3,
}  # fmt: skip
_AGE = re.compile(r"<?\bage\b>?\s*[:=]?\s*(\d{1,3}(?:\.\d+)?)", re.IGNORECASE)
_SEX = re.compile(r"<?\b(?:sex|gender)\b>?\s*[:=]?\s*(female|male|woman|man|f|m|w)\b", re.IGNORECASE)
#: The first comment of the MIT-BIH family: "69 M 1085 1629 x1".
_AGE_SEX = re.compile(r"^\s*(\d{1,3})\s+([MF])\b")


def read_wfdb(header: Path, *, age_years: float | None = None, sex: str | None = None) -> ECG:
    """One WFDB record by its .hea file, as an ``ECG`` in mV.

    Every signal format that the wfdb package knows, several signal files, several segments (gaps stay NaN) and samples
    per frame are read; leads with fewer samples per frame than others are interpolated. Channels that are no voltage
    (pressure, pleth) are left out, and so are channels beyond the twelve standard leads whose signal file is missing. Of
    the comments only age and sex are taken, unless the arguments give them; an age above 130, by which some sets mask the
    old, counts as 90.

    Raises RecordingError, in one sentence that names the file's stem only, for a damaged header, a missing or shortened
    signal file, a recording without voltage channels, and what ``finish`` refuses.
    """
    label = header.stem
    _check_header_text(header, label)
    info = _call(label, "header", lambda wfdb: wfdb.rdheader(str(header.with_suffix(""))))
    fs_hz, n_signals = float(info.fs or 0), int(info.n_sig or 0)
    if not 0 < fs_hz < 1e6 or not np.isfinite(fs_hz):
        raise RecordingError(f"{label}.hea states a sampling rate of {fs_hz:g} Hz; it must be above 0: correct the header.")
    if not 1 <= n_signals <= _MAX_SIGNALS:
        raise RecordingError(f"{label}.hea announces {n_signals} signals; 1 to {_MAX_SIGNALS} are accepted: check the header.")
    if int(info.sig_len or 0) > _MOST_SAMPLES:
        raise RecordingError(f"{label}.hea announces more samples than any recording has; correct the header.")
    check_duration(int(info.sig_len or 0) / fs_hz, label)
    if getattr(info, "seg_name", None):
        _check_segments(info, header, label)
        signals, names, units, per_frame = _segments_signals(header, label)
    else:
        channels = _check_signal_files(info, header, label)
        signals, names, units, per_frame = _signals(header, label, channels)
    rows, leads, rates = [], [], []
    for position, (values, name, unit) in enumerate(zip(signals, names, units, strict=True)):
        volt = unit_name(unit)
        if volt is not None:
            lead, sign = lead_name(str(name or ""), position)
            rows.append(values * (sign * MV_PER_UNIT[volt]))
            leads.append(lead)
            rates.append(Fraction(fs_hz) * per_frame[position])
    if not rows:
        raise RecordingError(f"{label} holds no channel in volts; give an electrocardiogram in V, mV or uV.")
    signal, rate = at_one_rate(rows, rates, label)
    found_age, found_sex = _age_and_sex(list(info.comments or []))
    moment = getattr(info, "base_datetime", None)
    return finish(
        signal,
        leads,
        rate,
        label=label,
        source="wfdb",
        age_years=found_age if age_years is None else age_years,
        sex=found_sex if sex is None else sex,
        recorded_at=moment.isoformat(timespec="seconds") if moment is not None else None,
    )


def _call(label: str, what: str, action: Any) -> Any:
    """What ``action`` gives; whatever the wfdb package trips over becomes one sentence (its errors are of many types)."""
    import wfdb

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return action(wfdb)
    except MemoryError as error:
        raise RecordingError(f"{label} announces more samples than fit into memory; check its header.") from error
    except Exception as error:
        raise RecordingError(
            f"The {what} of {label} cannot be read as WFDB; it is damaged or of another type: export the recording again."
        ) from error


def _check_header_text(header: Path, label: str) -> None:
    try:
        size, raw = header.stat().st_size, header.open("rb").read(_MAX_HEADER_BYTES)
    except OSError as error:
        raise RecordingError(f"{label}.hea cannot be opened; check that it is there and may be read.") from error
    if size == 0:
        raise RecordingError(f"{label}.hea is empty; give the header that belongs to the signal file.")
    if size > _MAX_HEADER_BYTES or b"\0" in raw:
        raise RecordingError(f"{label}.hea is not a WFDB header; give the text header that belongs to the signal file.")


def _inside(header: Path, name: str, label: str) -> Path:
    """A signal file's path. Headers name files beside them; a name that leads elsewhere is refused."""
    if not name or any(c in name for c in "/\\:\0") or name.startswith("."):
        raise RecordingError(f"{label}.hea names a signal file outside its own folder; files must lie side by side.")
    if len(os.fsencode(name)) > _MAX_NAME_BYTES:
        raise RecordingError(f"{label}.hea names a file by over {_MAX_NAME_BYTES} characters, which none can have; correct it.")
    return header.parent / name


def _check_signal_files(info: Any, header: Path, label: str) -> list[int]:
    """Channels whose signal file is there and long enough; raises where one that is needed is not.

    Everything that decides how much memory reading takes (length, samples per frame, skew) is checked here.
    """
    files, formats = list(info.file_name or []), [str(f) for f in (info.fmt or [])]
    if len(files) != info.n_sig or len(formats) != info.n_sig:
        raise RecordingError(f"{label}.hea describes {len(files)} of {info.n_sig} signals; the header is cut off.")
    frames = [int(n or 1) for n in (info.samps_per_frame or [1] * info.n_sig)]
    skews = [int(n or 0) for n in (info.skew or [0])]
    offsets = info.byte_offset or [None] * info.n_sig
    if min(frames) < 1 or min(skews) < 0 or max(skews) > max(int(info.sig_len or 0), 1000):
        raise RecordingError(f"{label}.hea states samples per frame or a skew that no recording has; correct the header.")
    check_size(sum(frames), int(info.sig_len or 1), label)
    kept: list[int] = []
    for name in dict.fromkeys(files):
        rows = [i for i, file in enumerate(files) if file == name]
        path = _inside(header, name, label)
        shown = f"{label}{path.suffix}"
        if not path.is_file():
            if all(lead_name(str(info.sig_name[i] or ""), i)[0] not in STANDARD_LEADS for i in rows) and len(rows) < len(files):
                continue
            raise RecordingError(f"{label}.hea has no signal file {shown} beside it; give the .hea and its signal file together.")
        if rows != list(range(rows[0], rows[-1] + 1)) or len({formats[i] for i in rows}) > 1:
            raise RecordingError(f"{label}.hea mixes its signal files or their formats; list each file's signals together.")
        size, skipped = path.stat().st_size, int(offsets[rows[0]] or 0)
        if size == 0:
            raise RecordingError(f"The signal file {shown} is empty; copy it again.")
        width, per_frame = _BYTES.get(formats[rows[0]]), sum(frames[i] for i in rows)
        if width is not None and info.sig_len:
            needed = int(info.sig_len) * per_frame * width + skipped
            # Packed formats may end within a byte group.
            if size + 4 < needed:
                raise RecordingError(
                    f"The signal file {shown} has {size} bytes where its header announces {needed:.0f}; "
                    "it is cut off: copy it again."
                )
        elif width is not None:
            # A header may leave the length out; then the file's size tells.
            length = int((size - skipped) / width / per_frame)
            check_size(sum(frames), length, label)
            check_duration(length / float(info.fs), label)
        kept += rows
    if not kept:
        raise RecordingError(f"{label}.hea has none of its signal files beside it; give the header and signal files together.")
    return sorted(kept)


def _check_segments(info: Any, header: Path, label: str) -> None:
    """Checks the header and signal file of every segment; ``~`` stands for a gap."""
    check_size(int(info.n_sig), int(info.sig_len or 1), label)
    if len(info.seg_name) > _MAX_SEGMENTS:
        raise RecordingError(f"{label} is made of {len(info.seg_name)} segments; up to {_MAX_SEGMENTS} are accepted.")
    if min(int(n or 0) for n in info.seg_len) < 0 or sum(int(n or 0) for n in info.seg_len) > int(info.sig_len or 0):
        raise RecordingError(f"{label} is made of segments that are longer than it is; correct its header.")
    for name in dict.fromkeys(info.seg_name):
        if name == "~":
            continue
        beside = _inside(header, f"{name}.hea", label)
        if not beside.is_file():
            raise RecordingError(f"{label} is made of segments of which one is missing; give all segment files together.")
        _check_header_text(beside, label)
        segment = _call(label, "header", lambda wfdb, beside=beside: wfdb.rdheader(str(beside.with_suffix(""))))
        if getattr(segment, "seg_name", None):
            raise RecordingError(f"{label} is made of segments that are made of segments; only one level is accepted.")
        files = list(segment.file_name or [])
        # The first segment of a record with changing layout has no samples: it lists all signals, their file is "~".
        if files and any(file != "~" for file in files):
            _check_signal_files(segment, beside, label)


_Signals = tuple[list[NDArray[np.float64]], list[str], list[str], list[int]]


def _signals(header: Path, label: str, channels: list[int]) -> _Signals:
    """Physical signals, their names, units and samples per frame."""
    stem = str(header.with_suffix(""))
    record = _call(label, "signal", lambda wfdb: wfdb.rdrecord(stem, channels=channels, smooth_frames=False))
    rows = [np.asarray(row, np.float64) for row in record.e_p_signal]
    per_frame = [int(n or 1) for n in (record.samps_per_frame or [1] * len(rows))]
    return rows, list(record.sig_name or []), [u or "mV" for u in (record.units or [])], per_frame


def _segments_signals(header: Path, label: str) -> _Signals:
    """The same over all segments, gaps between them NaN, at the frame rate."""
    record = _call(label, "signal", lambda wfdb: wfdb.rdrecord(str(header.with_suffix("")), m2s=True))
    if record.p_signal is None:
        raise RecordingError(f"The signal of {label} cannot be read as WFDB; export the recording again.")
    rows = list(np.asarray(record.p_signal, np.float64).T)
    return rows, list(record.sig_name or []), [u or "mV" for u in (record.units or [])], [1] * len(rows)


def _age_and_sex(comments: list[str]) -> tuple[float | None, str | None]:
    """Age and sex out of header comments; no other text is looked at."""
    age: float | None = None
    sex: str | None = None
    for line in comments:
        both = _AGE_SEX.match(line)
        if both and age is None and sex is None:
            age, sex = float(both.group(1)), both.group(2)
        if age is None and (match := _AGE.search(line)):
            age = float(match.group(1))
        if sex is None and (match := _SEX.search(line)):
            sex = "F" if match.group(1).lower() in ("f", "female", "w", "woman") else "M"
    if age is not None and age > 130:
        age = 90.0
    return age, sex
