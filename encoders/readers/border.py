"""What every reader does where bytes come in: bounds on what is taken into memory, and ages in place of birth dates."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable
from pathlib import Path

from encoders.ecg import Filters
from encoders.errors import QueryError, RecordingError

__all__ = [
    "MAX_BYTES",
    "MAX_SAMPLES",
    "age_on",
    "check_size",
    "file_bytes",
    "in_utf16",
    "known_age",
    "most_filtered",
    "sex_letter",
    "stated_filters",
    "text_lines",
    "utf8_text",
]

#: Largest file that is taken into memory. Ten minutes of twelve leads at 2000 Hz and 32 bits are 58 MB.
MAX_BYTES = 64_000_000
#: Most values (leads times samples) that a recording may announce: ten minutes of twelve leads at 2000 Hz are 14.4 million.
MAX_SAMPLES = 16_000_000
#: Most lines of a text file; each takes memory of its own. Ten minutes at 2000 Hz are 1.2 million.
_MAX_LINES = 2_000_000


def file_bytes(path: Path, label: str) -> bytes:
    """The whole file. Raises RecordingError where it cannot be opened or is larger than ``MAX_BYTES``."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordingError(
                f"{label} has {path.stat().st_size / 1e6:.0f} MB; recordings of up to {MAX_BYTES // 1_000_000} MB are accepted: "
                "cut out the part of interest."
            )
        return path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{label} cannot be opened; check that it is there and may be read.") from error


def check_size(leads: int, samples: int, label: str) -> None:
    """Raises RecordingError where a file announces no values, or more than ``MAX_SAMPLES`` of them; call before reading them."""
    if leads < 1 or samples < 1:
        raise RecordingError(f"{label} announces {leads} leads of {samples} samples; at least one of each is needed.")
    if leads * samples > MAX_SAMPLES:
        raise RecordingError(
            f"{label} announces {leads} leads of {samples} samples each; up to {MAX_SAMPLES // 1_000_000} million values are "
            "accepted: cut out the part of interest, or check whether the file is damaged."
        )


def text_lines(raw: bytes, label: str) -> list[str]:
    """Lines of a text file in UTF-8 or Latin-1, whatever ends them. Raises RecordingError for more than two million."""
    count = raw.count(b"\n") + raw.count(b"\r")
    if count > 2 * _MAX_LINES:
        raise RecordingError(f"{label} has over {_MAX_LINES // 1_000_000} million lines; cut out the part of interest.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return re.split(r"\r\n|\n|\r", text)


def in_utf16(raw: bytes) -> bool:
    """Whether the bytes are text in UTF-16, which a spreadsheet calls "Unicode text"; without its mark, as far as the first
    bytes show it: one half of them is 0, and the other half holds no control character but ends of lines and tabs."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    head = raw[:4096]
    halves = (head[0::2], head[1::2])
    return any(
        len(said) > 1 and not any(empty) and all(c >= 32 or c in b"\t\n\r" for c in said)
        for empty, said in (halves, halves[::-1])
    )


def utf8_text(file: Path, what: str) -> str:
    """The text of a list or table that a user named; ``what``: how it is called in the message, such as "list".

    Raises QueryError where it does not exist, cannot be read or is not in UTF-8, with the name as it was given.
    """
    try:
        raw = file.read_bytes()
        if not in_utf16(raw):
            return raw.decode("utf-8-sig")
        why = "is in UTF-16; save it as UTF-8"
    except FileNotFoundError:
        why = "does not exist; check its name and its folder"
    except OSError:
        why = "cannot be read; check that it is a file and may be read"
    except UnicodeDecodeError:
        why = "is not text in UTF-8; save it as UTF-8"
    raise QueryError(f"The {what} {str(file)!r} {why}.")


def age_on(birth: dt.date | None, day: dt.date | None) -> float | None:
    """Completed years between two dates; None where one is unknown, or where they give no human age (0 to 130 years)."""
    if birth is None or day is None:
        return None
    return known_age(day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day)))


def known_age(years: float | None) -> float | None:
    """The same age in years, or None where it is no human age: files write 999 and the like for "unknown"."""
    return float(years) if years is not None and 0 <= years <= 130 else None


def sex_letter(text: str | None) -> str | None:
    """ "F", "M" or None out of a file's word or letter for sex."""
    folded = (text or "").strip().lower()
    if folded in ("f", "female", "w", "woman", "weiblich", "féminin", "femenino", "femminile"):
        return "F"
    if folded in ("m", "male", "man", "männlich", "masculin", "masculino", "maschile"):
        return "M"
    return None


def stated_filters(high_pass_hz: float | None, low_pass_hz: float | None, notch_hz: float | None) -> Filters:
    """What a file states, without what no filter of an ECG has: a high-pass from 10 Hz, a low-pass or notch below 10 Hz."""

    def within(value: float | None, low: float, high: float) -> float | None:
        kept = value is not None and math.isfinite(value) and (value == 0 or low <= value <= high)
        return float(value) if kept and value is not None else None

    return Filters(within(high_pass_hz, 1e-4, 10), within(low_pass_hz, 10, 1e5), within(notch_hz, 10, 1e3))


def most_filtered(each: Iterable[Filters]) -> Filters:
    """One statement for all leads: the highest high-pass, the lowest low-pass, and any notch."""
    found = list(each)
    high = [f.high_pass_hz for f in found if f.high_pass_hz is not None]
    low = [f.low_pass_hz for f in found if f.low_pass_hz is not None]
    notch = [f.notch_hz for f in found if f.notch_hz is not None]
    return Filters(max(high, default=None), min((hz for hz in low if hz), default=0.0 if low else None), max(notch, default=None))
