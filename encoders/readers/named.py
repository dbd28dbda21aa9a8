"""Leads as a file spells them, for whoever has to speak of the file again (tables of boundaries, for instance)."""

from __future__ import annotations

import re
from pathlib import Path

from encoders.ecg import STANDARD_LEADS
from encoders.readers.leads import distinct, lead_name
from encoders.readers.watch import is_watch

__all__ = ["names_in_file"]

_HEAD_BYTES = 65536
_UNIT = re.compile(r"[\s_/]*[\[(]?\s*(?:mV|uV|µV|μV|nV|V)\s*[\])]?$", re.IGNORECASE)


def names_in_file(path: str | Path) -> dict[str, str]:
    """Standard spelling to the file's own, e.g. {"aVR": "avr"}, of a WFDB header, an EDF file or a table; else empty.

    Only leads that the file holds are there (derived limb leads are not); what ``lead_name`` does not keep stands
    there as ``ch1``, ``ch2`` …, so that nothing else of a header gets out. Never raises: a file that cannot be
    read names nothing.
    """
    path = Path(path)
    header = path if path.suffix.lower() == ".hea" else path.with_suffix(".hea")
    try:
        if header.is_file():
            words = _wfdb(header.read_text(encoding="utf-8", errors="replace"))
        elif path.is_file():
            with open(path, "rb") as handle:
                head = handle.read(_HEAD_BYTES)
            words = _edf(head) if head[:8] == b"0       " else _table(head)
        else:
            return {}
    except (OSError, ValueError):
        return {}
    out: dict[str, str] = {}
    names = [lead_name(word, position) for position, word in enumerate(words)]
    numbered = distinct([name for name, _ in names])
    for word, (standard, sign), own in zip(words, names, numbered, strict=True):
        if sign > 0:
            # A name that is not kept, or that stands there twice, is called as the reader calls it.
            out.setdefault(own, word.strip() if own == standard and _same(word, standard) else own)
    return out


def _same(word: str, standard: str) -> bool:
    return standard in STANDARD_LEADS or word.strip() == standard


def _wfdb(text: str) -> list[str]:
    """The description that ends each signal line: file, format, gain, bits, zero, first, checksum, block, description."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines or "/" in lines[0].split()[0]:  # a record of several segments names its leads in its parts
        return []
    return [parts[8] if len(parts := line.split(None, 8)) > 8 else "" for line in lines[1:]]


def _edf(head: bytes) -> list[str]:
    signals = int(head[252:256])
    return [head[256 + 16 * i : 272 + 16 * i].decode("ascii", "replace") for i in range(max(0, min(signals, 200)))]


def _table(head: bytes) -> list[str]:
    """The first row's cells, without units."""
    if b"\x00" in head or head.lstrip()[:1] == b"<" or is_watch(head):
        return []
    lines = head.decode("utf-8-sig", "replace").splitlines()
    if not lines:
        return []
    separator = max(";\t,", key=lines[0].count)
    return [_UNIT.sub("", cell.strip().strip("\"'")) for cell in lines[0].split(separator)]
