"""The averaged beat that electrode placement is judged on: eight independent leads on one clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.beats import WORK_FS_HZ, BeatsAndBands
from encoders.ecg import PRECORDIAL_LEADS

__all__ = ["BEAT_AFTER", "BEAT_BEFORE", "ROWS", "PlacementBeat", "average_beat", "independent_rows"]

Floats = NDArray[np.float64]

#: Rows of ``PlacementBeat.average_mv``: the other limb leads follow from I and II.
ROWS = ("I", "II", *PRECORDIAL_LEADS)
#: The averaged beat reaches from 450 ms before the QRS centre to 700 ms after it, at 500 Hz.
BEAT_BEFORE, BEAT_AFTER = 225, 350
_HALF, _REACH, _STRIDE = 50, 16, 2


@dataclass(frozen=True, eq=False)
class PlacementBeat:
    """``average_mv`` (8, 575) in the order of ROWS at 500 Hz, rows that are not recorded NaN; ``noise_mv`` (8, 575): half the
    difference between the averages over odd and even beats; ``beats``: how many it rests on; ``rr_s``: median RR interval;
    ``rr_spread``: inter-quartile range of RR over its median."""

    average_mv: Floats
    noise_mv: Floats
    beats: int
    rr_s: float
    rr_spread: float


def independent_rows(signal: Floats, leads: tuple[str, ...]) -> Floats:
    """Rows I, II, V1-V6 out of (leads, samples): I and II are computed from III where one lacks, NaN where not possible."""
    row = {name: signal[i] for i, name in enumerate(leads)}
    if "III" in row and "I" not in row and "II" in row:
        row["I"] = row["II"] - row["III"]
    if "III" in row and "II" not in row and "I" in row:
        row["II"] = row["I"] + row["III"]
    missing = np.full(signal.shape[1], np.nan)
    return np.stack([row.get(name, missing) for name in ROWS])


def average_beat(bands: BeatsAndBands, leads: tuple[str, ...]) -> PlacementBeat | None:
    """Median over the aligned beats of the prevailing shape that do not come early; None with fewer than three beats."""
    x = independent_rows(bands.smooth, leads)
    known = np.isfinite(x[:, 0]) if x.shape[1] else np.zeros(len(x), bool)
    centres = bands.centres
    n = x.shape[1]
    inside = centres[(centres >= BEAT_BEFORE + _REACH) & (centres < n - BEAT_AFTER - _REACH)]
    if not known.any() or len(inside) < 3:
        return None
    rr = np.diff(centres) / WORK_FS_HZ
    y = x[known]

    def shapes(at: NDArray[np.int64]) -> Floats:
        cut = np.swapaxes(y[:, at[:, None] + np.arange(-_HALF, _HALF, _STRIDE)], 0, 1).reshape(len(at), -1)
        cut = cut - cut.mean(axis=1, keepdims=True)
        return np.asarray(cut / np.maximum(np.linalg.norm(cut, axis=1, keepdims=True), 1e-9))

    first = shapes(inside)
    likeness = first @ first.T
    template = first[int(np.argmax((likeness > 0.75).sum(axis=1) + likeness.mean(axis=1)))]
    shifts = np.arange(-_REACH, _REACH + 1, 2)
    scores = np.stack([shapes(inside + s) @ template for s in shifts])
    moved = inside + shifts[scores.argmax(axis=0)]
    typical = scores.max(axis=0) > 0.75
    before = np.full(len(centres), np.median(rr))
    before[1:] = rr
    early = before[np.searchsorted(centres, inside)] < 0.8 * np.median(rr)
    chosen = typical & ~early
    if chosen.sum() < max(3, 0.4 * typical.sum()):
        chosen = typical
    if chosen.sum() < 3:
        chosen = np.ones(len(inside), bool)
    windows = np.swapaxes(x[:, moved[chosen][:, None] + np.arange(-BEAT_BEFORE, BEAT_AFTER)], 0, 1)
    odd, even = windows[::2].mean(axis=0), windows[1::2].mean(axis=0)
    spread = float(np.subtract(*np.percentile(rr, (75, 25))) / np.median(rr))
    return PlacementBeat(np.median(windows, axis=0), 0.5 * (odd - even), int(chosen.sum()), float(np.median(rr)), spread)
