"""The entropy code of SCP-ECG: Huffman tables (section 2) and the decoding of one lead's bits into sample values."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.errors import RecordingError

__all__ = ["DEFAULT_TABLE", "USE_DEFAULT_TABLE", "Code", "decode", "parse_tables"]

#: The number of tables that stands for "the default table of the standard" (EN 1064:2005, section 2).
USE_DEFAULT_TABLE = 19999

_MAX_TABLES = 64
_MAX_CODES = 4096
_WINDOW_BITS = 32


@dataclass(frozen=True)
class Code:
    """One code structure: after ``prefix`` (``prefix_bits`` long, first transmitted bit highest) follow the rest of
    ``total_bits`` as a signed number, to which ``value`` is added; where ``switches``, the code carries no sample and
    ``value`` is the number (from 1) of the table that holds from here on."""

    prefix_bits: int
    total_bits: int
    value: int
    prefix: int
    switches: bool = False


def _default_codes() -> tuple[Code, ...]:
    """The default table (EN 1064:2005, C.2.7.4; its rows as three open implementations agree on them): 0 is "0"; ±1 to ±8 are
    that many ones, a zero and the sign; ten bits 1111111110 announce a number of 8 bits, 1111111111 one of 16."""
    small = [Code(1, 1, 0, 0)]
    for size in range(1, 9):
        ones = ((1 << size) - 1) << 2
        small += [Code(size + 2, size + 2, size, ones), Code(size + 2, size + 2, -size, ones | 1)]
    return (*small, Code(10, 18, 0, 0b1111111110), Code(10, 26, 0, 0b1111111111))


DEFAULT_TABLE = _default_codes()


def parse_tables(body: bytes, label: str) -> tuple[tuple[Code, ...], ...]:
    """The tables of section 2's data; an empty tuple means that samples are stored uncompressed.

    Each table has a count and, per code, 9 bytes: bits in the prefix, bits in all, mode (0 switches the table), value,
    and the prefix with its first transmitted bit lowest. Raises RecordingError for cut-off or ambiguous tables.
    """
    damaged = RecordingError(f"{label} has damaged Huffman tables (SCP-ECG section 2); export the recording again.")
    if len(body) < 2:
        raise damaged
    n_tables = int.from_bytes(body[:2], "little")
    if n_tables == USE_DEFAULT_TABLE:
        return (DEFAULT_TABLE,)
    if n_tables > _MAX_TABLES:
        raise RecordingError(f"{label} announces {n_tables} Huffman tables; up to {_MAX_TABLES} are accepted: export it again.")
    tables: list[tuple[Code, ...]] = []
    at = 2
    for _ in range(n_tables):
        n_codes = int.from_bytes(body[at : at + 2], "little")
        at += 2
        if not 1 <= n_codes <= _MAX_CODES or at + 9 * n_codes > len(body):
            raise damaged
        codes = []
        for row in struct.iter_unpack("<BBBhI", body[at : at + 9 * n_codes]):
            prefix_bits, total_bits, mode, value, reversed_prefix = row
            if not 1 <= prefix_bits <= _WINDOW_BITS or not 0 <= total_bits - prefix_bits <= _WINDOW_BITS:
                raise damaged
            if reversed_prefix >> prefix_bits or (mode == 0 and not 1 <= value <= n_tables):
                raise damaged
            prefix = int(f"{reversed_prefix:0{prefix_bits}b}"[::-1], 2)
            codes.append(Code(prefix_bits, total_bits, value, prefix, switches=mode == 0))
        at += 9 * n_codes
        table = tuple(sorted(codes, key=_first_window))
        if any(_end_window(a) > _first_window(b) for a, b in zip(table, table[1:], strict=False)):
            raise damaged
        tables.append(table)
    return tuple(tables)


def _first_window(code: Code) -> int:
    """The smallest number of 32 bits that begins with the prefix."""
    return code.prefix << (_WINDOW_BITS - code.prefix_bits)


def _end_window(code: Code) -> int:
    """One more than the largest number of 32 bits that begins with the prefix."""
    return (code.prefix + 1) << (_WINDOW_BITS - code.prefix_bits)


@dataclass(frozen=True)
class _Matches:
    """For each bit position: which code of a table begins there, how long it is (0: none), which table follows it."""

    code: NDArray[np.int64]
    steps: list[int]
    jumps: list[int]


def _match(table: tuple[Code, ...], windows: NDArray[np.uint64]) -> _Matches:
    ordered = sorted(table, key=_first_window)
    starts = np.array([_first_window(c) for c in ordered], np.uint64)
    ends = np.array([_end_window(c) for c in ordered], np.uint64)
    code = np.searchsorted(starts, windows, side="right").astype(np.int64) - 1
    valid = (code >= 0) & (windows < ends[code])
    steps = np.where(valid, np.array([c.total_bits for c in ordered])[code], 0)
    jumps = np.where(valid, np.array([c.value if c.switches else 0 for c in ordered])[code], 0)
    return _Matches(code, steps.tolist(), jumps.tolist())


def decode(data: bytes, count: int, tables: tuple[tuple[Code, ...], ...], label: str) -> NDArray[np.int64]:
    """``count`` values out of a lead's bits (first bit highest in each byte), beginning with the first table.

    All bit positions are matched at once, then the chain of codes is followed, so time and memory grow with the number
    of bits and not with the size of the tables. Raises RecordingError where the bits end too early or fit no code.
    """
    cut = RecordingError(f"{label} holds fewer samples than it announces (SCP-ECG); it is damaged: export the recording again.")
    n_bits = 8 * len(data)
    if count > n_bits:
        raise cut
    octets = np.frombuffer(data + bytes(8), np.uint8).astype(np.uint64)
    wide = np.zeros(len(data) + 4, np.uint64)
    for place in range(5):
        wide |= octets[place : place + len(wide)] << np.uint64(8 * (4 - place))
    windows = ((wide[:, None] >> np.arange(8, 0, -1, dtype=np.uint64)) & np.uint64(0xFFFFFFFF)).ravel()

    matched: dict[int, _Matches] = {}
    current, position = 1, 0
    places: list[int] = []
    used: list[int] = []
    while len(places) < count:
        if current not in matched:
            matched[current] = _match(tables[current - 1], windows[:n_bits])
        at = matched[current]
        if position >= n_bits or not at.steps[position]:
            raise cut
        if at.jumps[position]:
            position, current = position + at.steps[position], at.jumps[position]
            continue
        places.append(position)
        used.append(current)
        position += at.steps[position]
    if position > n_bits:
        raise cut
    return _values(np.array(places, np.int64), np.array(used, np.int64), matched, tables, windows)


def _values(
    places: NDArray[np.int64],
    used: NDArray[np.int64],
    matched: dict[int, _Matches],
    tables: tuple[tuple[Code, ...], ...],
    windows: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """The value of the code at each place: its base plus the signed number that follows the prefix."""
    values = np.zeros(len(places), np.int64)
    for number, matches in matched.items():
        rows = np.flatnonzero(used == number)
        ordered = sorted(tables[number - 1], key=_first_window)
        code = matches.code[places[rows]]
        base = np.array([c.value for c in ordered], np.int64)[code]
        prefix = np.array([c.prefix_bits for c in ordered], np.int64)[code]
        extra = np.array([c.total_bits - c.prefix_bits for c in ordered], np.int64)[code]
        raw = (windows[places[rows] + prefix] >> (_WINDOW_BITS - extra).astype(np.uint64)).astype(np.int64)
        negative = (extra > 0) & ((raw >> np.maximum(extra - 1, 0)) & 1 == 1)
        values[rows] = base + raw - np.where(negative, np.int64(1) << extra, 0)
    return values
