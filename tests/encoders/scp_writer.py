"""A writer of SCP-ECG records for tests, after the same rules as the reader but with none of its code.

Bits are strings of "0" and "1", tables are dictionaries from value to bits, so that each rule can be read off here. Test files
load this module by its path, as test folders are no packages.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAD_NUMBERS", "CodeRow", "ScpRecord", "default_bits", "tag", "write_scp"]

Steps = NDArray[np.int64]

LEAD_NUMBERS = {
    "I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64, "-aVR": 65,
}  # fmt: skip


@dataclass(frozen=True)
class CodeRow:
    """A row of a Huffman table: the bits of the prefix, how many bits follow, the value (or the next table's number)."""

    prefix: str
    extra: int
    value: int
    switches: bool = False

    def packed(self) -> bytes:
        mode = 0 if self.switches else 1
        number = int(self.prefix[::-1], 2)
        return struct.pack("<BBBhI", len(self.prefix), len(self.prefix) + self.extra, mode, self.value, number)

    def holds(self, value: int) -> bool:
        if self.switches:
            return False
        half = 1 << (self.extra - 1) if self.extra else 0
        return value == self.value if not self.extra else -half <= value - self.value < half

    def bits(self, value: int) -> str:
        return self.prefix + (f"{(value - self.value) % (1 << self.extra):0{self.extra}b}" if self.extra else "")


@dataclass
class ScpRecord:
    """What a record is written from. ``steps``: rhythm samples (leads, samples) in steps of ``nanovolts``.

    ``coding``: "none" (no section 2), "default", or a list of tables. ``beats``: rows (kind, first, fiducial, last, protected
    first, protected last). ``reference``: (leads, samples) in steps of ``reference_nanovolts``; it is subtracted where
    ``subtract``. ``factor`` > 1 thins out samples outside protected areas. ``firsts``: number of each lead's first sample.
    """

    steps: Steps
    leads: Sequence[str | int]
    interval_us: int = 2000
    nanovolts: int = 2500
    differences: int = 2
    coding: str | list[list[CodeRow]] = "default"
    tags: bytes = b""
    beats: Sequence[tuple[int, int, int, int, int, int]] = ()
    reference: Steps | None = None
    reference_nanovolts: int = 2500
    fiducial: int = 1
    subtract: bool = False
    factor: int = 1
    firsts: Sequence[int] = ()
    extra_sections: dict[int, bytes] = field(default_factory=dict)
    marked: bool = True


def tag(number: int, value: bytes) -> bytes:
    """One field of section 1."""
    return struct.pack("<BH", number, len(value)) + value


def default_bits(value: int) -> str:
    """A value in the default table."""
    if value == 0:
        return "0"
    if abs(value) <= 8:
        return "1" * abs(value) + "0" + ("1" if value < 0 else "0")
    if -128 <= value < 128:
        return "1111111110" + f"{value % 256:08b}"
    return "1111111111" + f"{value % 65536:016b}"


def _wrapped(value: int) -> int:
    return (value + 32768) % 65536 - 32768


def _differences(samples: Sequence[int], order: int) -> list[int]:
    out = []
    for n, x in enumerate(samples):
        if order == 1 and n > 0:
            x = x - samples[n - 1]
        elif order == 2 and n > 1:
            x = x - 2 * samples[n - 1] + samples[n - 2]
        out.append(_wrapped(x))
    return out


def _coded(values: Sequence[int], coding: str | list[list[CodeRow]]) -> bytes:
    if coding == "none":
        return struct.pack(f"<{len(values)}h", *values)
    bits, current = [], 1
    for value in values:
        if isinstance(coding, str):
            bits.append(default_bits(value))
            continue
        row = next((r for r in coding[current - 1] if r.holds(value)), None)
        while row is None:  # not in this table: switch on to the next
            switch = next(r for r in coding[current - 1] if r.switches)
            bits.append(switch.prefix)
            current = switch.value
            row = next((r for r in coding[current - 1] if r.holds(value)), None)
        bits.append(row.bits(value))
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big") if text else b""


def _thinned(samples: Steps, first: int, record: ScpRecord) -> list[int]:
    """Samples outside protected areas averaged in groups; a rest that makes no group stays."""
    if record.factor == 1:
        return [int(x) for x in samples]
    inside = np.zeros(len(samples), bool)
    for _, _, _, _, start, end in record.beats:
        inside[max(0, start - first) : max(0, end - first + 1)] = True
    out: list[int] = []
    at = 0
    while at < len(samples):
        end = at
        while end < len(samples) and inside[end] == inside[at]:
            end += 1
        run = samples[at:end]
        whole = 0 if inside[at] else len(run) // record.factor * record.factor
        out += [round(float(group.mean())) for group in run[:whole].reshape(-1, record.factor)]
        out += [int(x) for x in run[whole:]]
        at = end
    return out


def _residual(record: ScpRecord, row: int, first: int) -> Steps:
    samples = record.steps[row].astype(np.int64).copy()
    if not record.subtract or record.reference is None:
        return samples
    ratio, rest = divmod(record.reference_nanovolts, record.nanovolts)
    assert rest == 0, "the reference beat must be a whole number of steps"
    for kind, start, fiducial, end, _, _ in record.beats:
        for n in range(start, end + 1):
            place, in_beat = n - first, record.fiducial - fiducial + n - 1
            if kind == 0 and 0 <= place < len(samples) and 0 <= in_beat < record.reference.shape[1]:
                samples[place] -= record.reference[row, in_beat] * ratio
    return samples


def _signal_section(nanovolts: int, interval_us: int, differences: int, bimodal: bool, leads: list[bytes]) -> bytes:
    head = struct.pack("<HHBB", nanovolts, interval_us, differences, bimodal)
    return head + struct.pack(f"<{len(leads)}H", *map(len, leads)) + b"".join(leads)


def _section(number: int, body: bytes, marked: bool = False) -> bytes:
    body += b"\0" * (len(body) % 2)
    rest = struct.pack("<HIBB", number, len(body) + 16, 20, 20) + (b"SCPECG" if marked else b"\0" * 6) + body
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def write_scp(path: Path, record: ScpRecord) -> Path:
    """The record as a file; ``path`` is given back."""
    n_leads, n_samples = record.steps.shape
    firsts = list(record.firsts) or [1] * n_leads
    bodies: dict[int, bytes] = {}
    bodies[1] = record.tags + struct.pack("<BH", 255, 0)
    if record.coding == "default":
        bodies[2] = struct.pack("<H", 19999)
    elif not isinstance(record.coding, str):
        tables: list[Any] = [struct.pack("<H", len(t)) + b"".join(r.packed() for r in t) for t in record.coding]
        bodies[2] = struct.pack("<H", len(tables)) + b"".join(tables)
    flags = int(record.subtract) | 4 | n_leads << 3
    numbers = [LEAD_NUMBERS[name] if isinstance(name, str) else name for name in record.leads]
    bodies[3] = bytes([n_leads, flags & 255])
    for first, number in zip(firsts, numbers, strict=True):
        bodies[3] += struct.pack("<IIB", first, first + n_samples - 1, number)
    if record.reference is not None or record.beats:
        length_ms = 0 if record.reference is None else round(record.reference.shape[1] * record.interval_us / 1000)
        bodies[4] = struct.pack("<HHH", length_ms, record.fiducial, len(record.beats))
        bodies[4] += b"".join(struct.pack("<HIII", *beat[:4]) for beat in record.beats)
        bodies[4] += b"".join(struct.pack("<II", *beat[4:]) for beat in record.beats)
    if record.reference is not None:
        coded = [_coded(_differences([int(x) for x in row], record.differences), record.coding) for row in record.reference]
        bodies[5] = _signal_section(record.reference_nanovolts, record.interval_us, record.differences, False, coded)
    coded = []
    for row in range(n_leads):
        samples = _thinned(_residual(record, row, firsts[row]), firsts[row], record)
        coded.append(_coded(_differences(samples, record.differences), record.coding))
    bodies[6] = _signal_section(
        record.nanovolts, record.interval_us * record.factor, record.differences, record.factor > 1, coded
    )
    bodies |= record.extra_sections

    sections = {number: _section(number, body) for number, body in sorted(bodies.items())}
    size = 16 + 10 * 12
    pointers, at = struct.pack("<HII", 0, size, 7), 6 + size
    for number in range(1, 12):
        length = len(sections.get(number, b""))
        pointers += struct.pack("<HII", number, length, at + 1 if length else 0)
        at += length
    whole = _section(0, pointers, marked=record.marked) + b"".join(sections.values())
    content = struct.pack("<I", len(whole) + 6) + whole
    path.write_bytes(struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content)
    return path
