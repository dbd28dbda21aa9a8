"""WFDB records (PhysioNet): a .hea header beside one or more .dat or .mat signal files."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import RecordingError
from encoders.readers.leads import MV_PER_UNIT, check_duration, finish, lead_name, unit_name

__all__ = ["read_wfdb"]

_MAX_SIGNALS = 64
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
    per frame are read. Channels that are no voltage (pressure, pleth) are left out, and so are channels beyond the
    twelve standard leads whose signal file is missing. Of the comments only age and sex are taken, unless the arguments
    give them; an age above 130, by which some sets mask the old, counts as 90.

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
    if info.sig_len:
        check_duration(int(info.sig_len) / fs_hz, label)
    segments = getattr(info, "seg_name", None)
    channels = None if segments else _check_signal_files(info, header, label)
    if segments:
        _check_segments(header, list(segments), label)
    signals, names, units, rate = _signals(header, label, channels, fs_hz, bool(segments))
    rows, leads = [], []
    for position, (values, name, unit) in enumerate(zip(signals, names, units, strict=True)):
        volt = unit_name(unit)
        if volt is not None:
            lead, sign = lead_name(str(name or ""), position)
            rows.append(values * (sign * MV_PER_UNIT[volt]))
            leads.append(lead)
    if not rows:
        raise RecordingError(f"{label} holds no channel in volts; give an electrocardiogram in V, mV or uV.")
    found_age, found_sex = _age_and_sex(list(info.comments or []))
    moment = getattr(info, "base_datetime", None)
    return finish(
        np.stack(rows),
        leads,
        rate,
        label=label,
        source="wfdb",
        age_years=found_age if age_years is None else age_years,
        sex=found_sex if sex is None else sex,
        recorded_at=moment.isoformat() if moment is not None else None,
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
    if not name or "/" in name or "\\" in name or name.startswith(".") or "\0" in name:
        raise RecordingError(f"{label}.hea names a signal file outside its own folder; files must lie side by side.")
    return header.parent / name


def _check_signal_files(info: Any, header: Path, label: str) -> list[int]:
    """Channels whose signal file is there and long enough; raises where one that is needed is not."""
    files, formats = list(info.file_name or []), [str(f) for f in (info.fmt or [])]
    if len(files) != info.n_sig or len(formats) != info.n_sig:
        raise RecordingError(f"{label}.hea describes {len(files)} of {info.n_sig} signals; the header is cut off.")
    frames = info.samps_per_frame or [1] * info.n_sig
    offsets = info.byte_offset or [None] * info.n_sig
    kept: list[int] = []
    for name in dict.fromkeys(files):
        rows = [i for i, file in enumerate(files) if file == name]
        path = _inside(header, name, label)
        shown = f"{label}{path.suffix}"
        if not path.is_file():
            if all(lead_name(str(info.sig_name[i] or ""), i)[0] not in STANDARD_LEADS for i in rows) and len(rows) < len(files):
                continue
            raise RecordingError(f"{label}.hea has no signal file {shown} beside it; give the .hea and its signal file together.")
        if path.stat().st_size == 0:
            raise RecordingError(f"The signal file {shown} is empty; copy it again.")
        width = _BYTES.get(formats[rows[0]])
        if width is not None and info.sig_len:
            needed = int(info.sig_len) * sum(int(frames[i] or 1) for i in rows) * width + int(offsets[rows[0]] or 0)
            # Packed formats may end within a byte group.
            if path.stat().st_size + 4 < needed:
                raise RecordingError(
                    f"The signal file {shown} has {path.stat().st_size} bytes where its header announces {needed:.0f}; "
                    "it is cut off: copy it again."
                )
        kept += rows
    if not kept:
        raise RecordingError(f"{label}.hea has none of its signal files beside it; give the header and signal files together.")
    return sorted(kept)


def _check_segments(header: Path, segments: list[str], label: str) -> None:
    for name in segments:
        if name != "~" and not _inside(header, f"{name}.hea", label).is_file():
            raise RecordingError(f"{label} is made of segments of which one is missing; give all segment files together.")


def _signals(
    header: Path, label: str, channels: list[int] | None, fs_hz: float, segmented: bool
) -> tuple[list[NDArray[np.float64]], list[str], list[str], float]:
    """Physical signals, their names and units, and the sampling rate."""
    stem = str(header.with_suffix(""))
    if segmented:
        record = _call(label, "signal", lambda wfdb: wfdb.rdrecord(stem, m2s=True))
    else:
        record = _call(label, "signal", lambda wfdb: wfdb.rdrecord(stem, channels=channels, smooth_frames=False))
    names, units = list(record.sig_name or []), [u or "mV" for u in (record.units or [])]
    per_frame = {int(n or 1) for n in (record.samps_per_frame or [1])}
    if not segmented and len(per_frame) == 1:
        rows = [np.asarray(row, np.float64) for row in record.e_p_signal]
        return rows, names, units, fs_hz * per_frame.pop()
    if not segmented:
        # Channels of different rates are brought to the frame rate by averaging, as WFDB itself does.
        record = _call(label, "signal", lambda wfdb: wfdb.rdrecord(stem, channels=channels))
    if record.p_signal is None:
        raise RecordingError(f"The signal of {label} cannot be read as WFDB; export the recording again.")
    return list(np.asarray(record.p_signal, np.float64).T), names, units, fs_hz


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
