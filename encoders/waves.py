"""From class probabilities to waves: which beats and waves there are (all leads together), where each begins and ends.

The mean probability over the leads decides what exists, since LUDB's cardiologists, like anyone who reads twelve leads, mark a
wave in all leads or in none. Each lead's own probability places the boundaries, between samples, where it crosses a share of
its peak. Everything here is in samples at 250 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SEGMENT_FS_HZ", "Event", "find_events", "peaks", "place"]

#: Rate of the network's input and output.
SEGMENT_FS_HZ = 250.0
Floats = NDArray[np.float64]
_P, _QRS, _T = 1, 2, 3
#: A run of the mean probability counts from here to here, if it reaches ``_SURE`` and holds at least this many ms.
_RUN, _SURE = 0.3, 0.5
_LEAST_MS = {_P: 28.0, _QRS: 32.0, _T: 48.0}
#: Runs of one wave closer than this are one wave.
_GAP_MS = {_P: 20.0, _QRS: 40.0, _T: 60.0}
#: Two QRS complexes closer than this are one: the larger stays.
_REFRACTORY_MS = 180.0
#: A P wave further in front of the QRS than this does not lead to it.
_LONGEST_PR_MS = 450.0
#: How far a lead's boundary may lie outside the pooled wave.
_REACH_MS = {_P: 60.0, _QRS: 60.0, _T: 100.0}
#: Where a wave begins: the share of a lead's best probability that is crossed there, and what is added in ms so that the mean
#: error is zero. A slow start is uncertain, its end is not, so a high share spreads less. Chosen on the 47 LUDB recordings that
#: fold 0 of 3 withholds; chosen on two thirds of them, the third has an SD of 8.7 ms at QRS onset (9.0 with one half) and of
#: 14.2 at P onset (14.3). For T, and for all ends, one half does as well as any share.
_BEGINS = {_P: (0.7, -5.0), _QRS: (0.7, -3.5), _T: (0.5, 0.0)}
_ENDS = 0.5


@dataclass(frozen=True)
class Event:
    """One wave of the recording: class index (1 P, 2 QRS, 3 T), first and last sample of the pooled run, mean probability,
    and the beat (index of its QRS) it belongs to, None for a P wave without QRS or a T wave whose QRS is not recorded."""

    kind: int
    first: int
    last: int
    probability: float
    beat: int | None


def _runs(p: NDArray[np.floating], kind: int) -> list[tuple[int, int, float]]:
    """(first, last, area in ms) of the runs of one class's mean probability."""
    step = 1000 / SEGMENT_FS_HZ
    edge = np.diff(np.concatenate([[0], (p > _RUN).astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1) - 1
    merged: list[list[int]] = []
    for a, b in zip(starts.tolist(), ends.tolist(), strict=True):
        if merged and (a - merged[-1][1]) * step < _GAP_MS[kind]:
            merged[-1][1] = b
        else:
            merged.append([a, b])
    out = []
    for first, last in merged:
        part = p[first : last + 1]
        area = float(part.sum()) * step
        if part.max() > _SURE and area > _LEAST_MS[kind]:
            out.append((first, last, area))
    return out


def find_events(mean_4T: NDArray[np.floating]) -> list[Event]:
    """All waves of a recording from the mean probabilities (4, samples), in order of time; beats are numbered from 0."""
    step = 1000 / SEGMENT_FS_HZ
    beats: list[tuple[int, int, float]] = []
    for run in _runs(mean_4T[_QRS], _QRS):
        if beats and (run[0] + run[1] - beats[-1][0] - beats[-1][1]) / 2 * step < _REFRACTORY_MS:
            if run[2] > beats[-1][2]:
                beats[-1] = run
        else:
            beats.append(run)
    middle = np.array([(a + b) / 2 for a, b, _ in beats])

    def event(kind: int, run: tuple[int, int, float], beat: int | None) -> Event:
        return Event(kind, run[0], run[1], float(mean_4T[kind, run[0] : run[1] + 1].max()), beat)

    out = [event(_QRS, run, k) for k, run in enumerate(beats)]
    last_p: dict[int, Event] = {}
    for run in _runs(mean_4T[_P], _P):
        following = int(np.searchsorted(middle, (run[0] + run[1]) / 2))
        near = following < len(beats) and (beats[following][0] - run[0]) * step < _LONGEST_PR_MS
        found = event(_P, run, following if near else None)
        if near and following in last_p:
            # Only the last P wave before a QRS leads to it.
            out.remove(last_p[following])
            earlier = last_p[following]
            out.append(Event(_P, earlier.first, earlier.last, earlier.probability, None))
        if near:
            last_p[following] = found
        out.append(found)
    best_t: dict[int, tuple[int, int, float]] = {}
    for run in _runs(mean_4T[_T], _T):
        beat = int(np.searchsorted(middle, (run[0] + run[1]) / 2)) - 1
        if beat not in best_t or run[2] > best_t[beat][2]:
            best_t[beat] = run
    out += [event(_T, run, beat if beat >= 0 else None) for beat, run in best_t.items()]
    return sorted(out, key=lambda e: e.first)


def place(p_LT: NDArray[np.floating], event: Event) -> tuple[Floats, Floats, NDArray[np.floating]]:
    """Onset, offset (samples, NaN where a lead shows none) and the lead's own probability, (leads,) each.

    ``p_LT``: this class's probability per lead, (leads, samples).
    """
    reach = int(_REACH_MS[event.kind] * SEGMENT_FS_HZ / 1000)
    low, high = max(0, event.first - reach), min(p_LT.shape[1], event.last + reach + 1)
    part = p_LT[:, low:high]
    core = part[:, event.first - low : event.last - low + 1]
    top = core.max(axis=1)
    # From the middle of the lead's own run outward.
    weight = np.where(core > 0.5 * top[:, None], core, 0.0)
    mean = (weight * np.arange(core.shape[1])).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    centre = np.rint(mean).astype(int) + event.first - low
    share, added_ms = _BEGINS[event.kind]
    on = low + _left(part, centre, share * top) + added_ms * SEGMENT_FS_HZ / 1000
    return np.maximum(on, 0.0), low + _right(part, centre, _ENDS * top), top


def _right(part: NDArray[np.floating], centre: NDArray[np.int_], threshold: NDArray[np.floating]) -> Floats:
    """Per row, where the value first falls below the threshold right of ``centre``, between samples; NaN where it does not, or
    where it is below at the centre."""
    rows, below = np.arange(len(part)), part < threshold[:, None]
    beyond = below & (np.arange(part.shape[1]) > centre[:, None])
    at = np.argmax(beyond, axis=1)
    before, after = part[rows, np.maximum(at - 1, 0)], part[rows, at]
    share = np.clip((before - threshold) / np.maximum(before - after, 1e-6), 0, 1)
    out: Floats = np.where(beyond.any(axis=1) & ~below[rows, centre], at - 1 + share, np.nan)
    return out


def _left(part: NDArray[np.floating], centre: NDArray[np.int_], threshold: NDArray[np.floating]) -> Floats:
    """The same left of ``centre``."""
    last = part.shape[1] - 1
    return np.asarray(last - _right(part[:, ::-1], last - centre, threshold), np.float64)


def peaks(x_LT: NDArray[np.floating], on: Floats, off: Floats, kind: int) -> Floats:
    """Per lead, where the wave stands furthest from its level between its boundaries, between samples by a parabola: (leads,).

    The level of a QRS is that of its onset, that of P and T the mean of both ends. ``x_LT`` (leads, samples).
    """
    n, rows = x_LT.shape[1], np.arange(len(x_LT))
    first = np.minimum(np.maximum(np.ceil(on), 0), n - 1).astype(int)
    last = np.maximum(np.minimum(np.floor(off), n - 1).astype(int), first)
    level = x_LT[rows, first] if kind == _QRS else (x_LT[rows, first] + x_LT[rows, last]) / 2
    low, high = int(first.min()), int(last.max()) + 1
    at = np.arange(low, high)
    size = np.abs(x_LT[:, low:high] - level[:, None])
    size[(at < first[:, None]) | (at > last[:, None])] = -1.0
    k = size.argmax(axis=1)
    before, top, after = (size[rows, np.minimum(np.maximum(k + d, 0), size.shape[1] - 1)] for d in (-1, 0, 1))
    bend = before - 2 * top + after
    inner = (before >= 0) & (after >= 0) & (k > 0) & (k < size.shape[1] - 1) & (bend < 0)
    shift = np.where(inner, 0.5 * (before - after) / np.where(inner, bend, 1.0), 0.0)
    return np.asarray(np.minimum(np.maximum(low + k + shift, on), off), np.float64)
