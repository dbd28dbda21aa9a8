"""Comma-, semicolon- or tab-separated text.

The contract: the first row names the columns, one per lead (``I``, ``aVR``, ``V1`` …, in any case and order), with the unit
in the name (``I_mV``, ``I (uV)``) or given as ``unit``. A column ``time_s``, ``time_ms``, ``time`` or ``t`` (seconds where it
does not say) gives the sampling rate; without one ``fs_hz`` must be given. Columns ``sample``, ``index`` or without a name
are passed over. One row per sample; empty cells and ``nan`` are missing values. With semicolons or tabs between the cells, or
with a single column, numbers may have decimal commas. UTF-8 or Latin-1.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG
from encoders.errors import RecordingError
from encoders.readers.border import check_size, file_bytes, in_utf16, text_lines
from encoders.readers.leads import MV_PER_UNIT, check_duration, finish, given_unit, lead_name, unit_name

__all__ = ["read_csv"]

_MAX_COLUMNS = 80
_TIME = re.compile(r"^(?:time|t)(?:[\s_]*[\[(]?\s*(s|sec|seconds|ms)\s*[\])]?)?$", re.IGNORECASE)
_UNIT = re.compile(r"^(.*?)[\s_/]*[\[(]?\s*(mV|uV|µV|μV|nV|V)\s*[\])]?$", re.IGNORECASE)
_PASSED_OVER = ("", "sample", "samples", "index", "n", "unnamed: 0")
_MISSING = ("", "nan", "na", "n/a", "null", "none", "-nan")


def read_csv(
    path: Path,
    *,
    fs_hz: float | None = None,
    unit: str | None = None,
    age_years: float | None = None,
    sex: str | None = None,
) -> ECG:
    """One text table as an ``ECG`` in mV; the module's docstring is the contract.

    ``fs_hz``: samples per second, needed where there is no time column; ``unit``: "mV", "uV" or "V", needed where the
    header names none. Raises RecordingError, in one sentence, for anything outside the contract.
    """
    label = path.name
    lines = _lines(path, label)
    separator = max(";\t,", key=lines[0].count)
    if lines[0].count(separator) == 0:
        separator = ","
    header = [cell.strip().strip('"').strip("'").strip() for cell in lines[0].split(separator)]
    if len(header) > _MAX_COLUMNS:
        raise RecordingError(f"{label} has {len(header)} columns; up to {_MAX_COLUMNS} are accepted: one row per sample.")
    if all(_is_number(cell) for cell in header if cell):
        raise RecordingError(f"{label} has numbers in its first row; the first row must name the leads, e.g. I_mV,II_mV.")
    time_at = next((i for i, cell in enumerate(header) if _TIME.match(cell)), None)
    columns = [i for i, cell in enumerate(header) if i != time_at and cell.lower() not in _PASSED_OVER]
    if not columns:
        raise RecordingError(f"{label} names no lead in its first row; name one column per lead, e.g. I_mV,II_mV.")
    leads, scale = _columns([header[i] for i in columns], unit, label)
    if len(lines) < 3:
        raise RecordingError(f"{label} holds {len(lines) - 1} rows of values; a recording of some seconds is needed.")
    check_size(len(header), len(lines) - 1, label)
    # A single column leaves no other meaning to a comma than that of a decimal point.
    table = _table(lines[1:], len(header), separator if len(header) > 1 else "\t", label)
    rate = _rate(header[time_at], table[:, time_at], label) if time_at is not None else None
    if rate is not None and fs_hz is not None and abs(rate - fs_hz) > 0.01 * rate:
        raise RecordingError(f"{label} runs at {rate:g} Hz by its time column, but {fs_hz:g} Hz was given; leave the rate out.")
    rate = rate if rate is not None else fs_hz
    if rate is None:
        raise RecordingError(f"{label} has no time column; give the sampling rate in Hz.")
    if not 0 < rate < 1e6:
        raise RecordingError(f"A sampling rate of {rate:g} Hz was given for {label}; it must be above 0.")
    check_duration(len(table) / rate, label)
    signal = table[:, columns].T * np.array(scale)[:, None]
    return finish(signal, leads, rate, label=label, source="csv", age_years=age_years, sex=sex)


def _lines(path: Path, label: str) -> list[str]:
    """The file's lines without empty ones at the end."""
    raw = file_bytes(path, label)
    if not raw.strip():
        raise RecordingError(f"{label} is empty; give a table with lead names in the first row.")
    if in_utf16(raw):
        raise RecordingError(f"{label} is text in UTF-16; save it as UTF-8 (in a spreadsheet: CSV UTF-8) and give it again.")
    control = sum(raw[:4096].count(bytes([c])) for c in range(32) if c not in (9, 10, 13))
    if control:
        raise RecordingError(f"{label} is not text; give a WFDB record or a table of comma-separated values.")
    lines = text_lines(raw, label)
    while lines and not lines[-1].strip():
        lines.pop()
    first = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    if first == len(lines):
        raise RecordingError(f"{label} holds only comments; give a table with lead names in the first row.")
    return lines[first:]


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _columns(header: list[str], unit: str | None, label: str) -> tuple[list[str], list[float]]:
    """Lead names and millivolts per file unit of every column."""
    given = given_unit(unit)
    parts = [_parted(cell) for cell in header]
    if given is None and not any(stated or _is_lead(name) for name, stated in parts):
        raise RecordingError(f"{label} is no ECG table: its first row names no lead like I_mV.")
    leads, scale = [], []
    for position, (cell, stated) in enumerate(parts):
        if stated and given and stated != given:
            raise RecordingError(f"{label} states {stated} in its header, but {given} was given; leave the unit out.")
        if stated is None and given is None:
            raise RecordingError(
                f"{label} does not say its unit; name the columns like I_mV or give the unit (mV, uV or V)."
            )
        lead, sign = lead_name(cell, position)
        leads.append(lead)
        scale.append(sign * MV_PER_UNIT[stated or given or "mV"])
    return leads, scale


def _parted(cell: str) -> tuple[str, str | None]:
    """A column's name without its unit, and the unit where it has one."""
    match = _UNIT.match(cell)
    # "V" at the end of "aVR" or alone as in "V" is a lead; a unit needs a separator or a bracket before it.
    if match and match.group(1) and not cell[len(match.group(1))].isalnum():
        return match.group(1), unit_name(match.group(2))
    return cell, None


def _is_lead(name: str) -> bool:
    """Whether a column is called after a lead: other names give way to a number."""
    return lead_name(name, -1)[0] != "ch0"


def _table(lines: list[str], width: int, separator: str, label: str) -> NDArray[np.float64]:
    """(rows, columns) of numbers, NaN where a cell is empty."""
    decimal_comma = separator != ","
    out = np.empty((len(lines), width))
    for i, line in enumerate(lines):
        cells = (line.replace(",", ".") if decimal_comma else line).split(separator)
        if len(cells) != width:
            raise RecordingError(
                f"Row {i + 2} of {label} has {len(cells)} values where the first row names {width} columns; "
                "the file is cut off or not a plain table."
            )
        try:
            out[i] = cells
        except ValueError:
            out[i] = [_number(cell, i + 2, label) for cell in cells]
    return out


def _number(cell: str, row: int, label: str) -> float:
    bare = cell.strip().strip('"').strip()
    if bare.lower() in _MISSING:
        return float("nan")
    try:
        return float(bare)
    except ValueError:
        raise RecordingError(
            f"Row {row} of {label} holds something that is no number; only numbers may follow the names."
        ) from None


def _rate(name: str, seconds: NDArray[np.float64], label: str) -> float:
    """Samples per second from the time column, which must run evenly."""
    stated = _TIME.match(name)
    in_ms = bool(stated and stated.group(1) and stated.group(1).lower() == "ms")
    t = seconds / 1000 if in_ms else seconds
    if not np.isfinite(t).all():
        raise RecordingError(f"The time column of {label} has gaps; every row needs its time.")
    step = (t[-1] - t[0]) / (len(t) - 1)
    if not np.isfinite(step) or step <= 0 or (np.diff(t) < 0).any():
        raise RecordingError(f"The time column of {label} does not run forwards; rows must follow in time.")
    drift = np.abs(t - t[0] - step * np.arange(len(t))).max()
    if drift > 2.5 * step:
        raise RecordingError(f"The time column of {label} runs unevenly; samples must be evenly spaced, without gaps.")
    rate = 1 / step
    if rate < 10 and not in_ms:
        raise RecordingError(f"The time column of {label} advances by {step:g} a row; name it time_s or time_ms to say its unit.")
    near = round(float(rate))
    return float(near) if near and abs(rate - near) < 2e-3 * rate else float(rate)
