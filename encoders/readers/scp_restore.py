"""What SCP-ECG's lossy compression took out is put back: samples left out between beats, and subtracted reference beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Beat", "add_reference_beats", "restore_full_rate", "stored_count"]

#: First and last sample of a stretch, both within it, counted from 1.
Stretch = tuple[int, int]


@dataclass(frozen=True)
class Beat:
    """One row of section 4: kind (0 is the reference beat's), where that beat was subtracted, and the protected area.

    Samples count from 1; a protected area of 0 to 0 is none.
    """

    kind: int
    first: int
    fiducial: int
    last: int
    protected_first: int
    protected_last: int


def _runs(first: int, last: int, areas: Sequence[Stretch], factor: int) -> Iterator[tuple[int, int, bool]]:
    """A lead's samples cut into runs (first, last, thinned), in order: protected areas are stored sample by sample."""
    at = first
    for start, end in sorted(areas) if factor > 1 else [(first, last)]:
        start, end = max(start, at), min(end, last)
        if end < start:
            continue
        if start > at:
            yield at, start - 1, True
        yield start, end, False
        at = end + 1
    if at <= last:
        yield at, last, True


def stored_count(first: int, last: int, areas: Sequence[Stretch], factor: int) -> int:
    """How many samples the record holds for a lead that runs from ``first`` to ``last``.

    Outside protected areas each ``factor`` samples are stored as one; what is left over in such a run is stored as it is.
    """
    lengths = ((end - start + 1, thinned) for start, end, thinned in _runs(first, last, areas, factor))
    return sum(n // factor + n % factor if thinned else n for n, thinned in lengths)


def restore_full_rate(
    stored: NDArray[np.float64],
    first: int,
    last: int,
    areas: Sequence[Stretch],
    zones: Sequence[Stretch],
    factor: int,
) -> NDArray[np.float64]:
    """A lead at its full rate: ``stored`` holds ``stored_count`` samples, the result ``last - first + 1``.

    Between protected areas values are drawn as straight lines from centre to centre of the groups that they stand for
    (flat before the first and after the last), then smoothed by a mean of three. Smoothing stops where a subtraction
    zone begins or ends, as the residual jumps there. Other decoders set a value half a sample after its group's centre.
    """
    out = np.empty(last - first + 1)
    taken = 0
    for start, end, thinned in _runs(first, last, areas, factor):
        n = end - start + 1
        rows = slice(start - first, end - first + 1)
        if not thinned:
            out[rows] = stored[taken : taken + n]
            taken += n
            continue
        groups, rest = divmod(n, factor)
        values = np.empty(n)
        if groups:
            centres = np.arange(groups) * factor + (factor - 1) / 2
            values[: groups * factor] = np.interp(np.arange(groups * factor), centres, stored[taken : taken + groups])
        values[groups * factor :] = stored[taken + groups : taken + groups + rest]
        taken += groups + rest
        edges = {edge for zone in zones for edge in (zone[0], zone[1] + 1) if start < edge <= end}
        for piece in np.split(values, sorted(edge - start for edge in edges)):
            if len(piece) > 2:
                piece[1:-1] = (piece[:-2] + piece[1:-1] + piece[2:]) / 3
        out[rows] = values
    return out


def add_reference_beats(
    signal: NDArray[np.float64], first: int, reference: NDArray[np.float64], fiducial: int, beats: Sequence[Beat]
) -> None:
    """Adds the reference beat to ``signal``, whose first sample is number ``first``, wherever it was subtracted.

    Its sample number ``fiducial`` (from 1) lies on each beat's own; within each zone what the beat covers is added.
    """
    last = first + len(signal) - 1
    for beat in beats:
        shift = beat.fiducial - fiducial
        start = max(beat.first, first, shift + 1)
        end = min(beat.last, last, shift + len(reference))
        if beat.kind == 0 and start <= end:
            signal[start - first : end - first + 1] += reference[start - shift - 1 : end - shift]
