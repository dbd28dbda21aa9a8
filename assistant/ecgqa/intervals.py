"""Intervals of lead II as ECG-QA's questions see them, which is not how this project measures.

Its normal ranges were recovered from its question files: which recordings they call normal follows closely (91 % for QRS and QT)
when QRS runs from the trough before R to the trough after it, QT from the first of these to the end of T, P and T to where their
slope has fallen to 0.4 of its steepest; all in lead II alone, averaged over beats. Normal is then RR 600-1000 ms, P up to about
118 ms, QRS up to about 108 ms, QT about 325-423 ms. None of this goes into a clinical answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

__all__ = ["INTERVAL_COUNT", "beat_intervals"]

Floats = NDArray[np.float64]

_FINE = 5  # from 100 to 500 Hz
_FS = 500.0
_FALLEN = 0.4
INTERVAL_COUNT = 16


def _fine(x: Floats) -> Floats:
    """A signal drawn at 500 Hz, mirrored at its ends so that they do not ring."""
    n = len(x)
    line = np.linspace(x[0], x[-1], n)
    bent = np.fft.rfft(np.r_[x - line, -(x - line)[::-1]])
    drawn = np.fft.irfft(bent, 2 * n * _FINE)[: n * _FINE] * _FINE
    return np.asarray(drawn + np.interp(np.arange(n * _FINE) / _FINE, np.arange(n), line))


def _box(x: Floats, width: int) -> Floats:
    return np.convolve(x, np.ones(width) / width, mode="same")


def _foot(slope: Floats, first: bool) -> int | None:
    """Where a flank begins (``first``: the last steepest point, looked at backwards) or ends, in samples from the start."""
    tops, _ = find_peaks(slope)
    if not len(tops):
        return None
    top = tops[-1] if first else tops[0]
    part = slope[:top] if first else slope[top:]
    low = np.flatnonzero(part < _FALLEN * slope[top])
    if not len(low):
        return None
    return int(low[-1]) if first else int(top + low[0])


def _wave(x: Floats, slope: Floats, span: tuple[int, int], target: float, reach: int, r: int) -> tuple[float, float, float]:
    """Onset, peak and end of the upright wave in ``span`` that is high and near ``target`` (s from R); NaN where none is."""
    none = (np.nan, np.nan, np.nan)
    low, high = max(1, span[0]), min(len(x) - 2, span[1])
    if high - low < 10:
        return none
    part = slope[low:high]
    tops = np.flatnonzero((part[:-1] > 0) & (part[1:] <= 0))
    if not len(tops):
        return none
    worth = x[low + tops] - 0.5 * np.abs((low + tops - r) / _FS - target)
    peak = low + int(tops[int(np.argmax(worth))])
    begin = max(0, peak - reach)
    on, off = _foot(slope[begin:peak], True), _foot(-slope[peak : peak + reach], False)
    return (np.nan if on is None else begin + on), float(peak), (np.nan if off is None else peak + off)


def beat_intervals(lead_ii_mv: Floats, centres: NDArray[np.int64]) -> Floats:
    """16 numbers from lead II (samples,) at 100 Hz without wander and QRS centres: marks against R and intervals in ms.

    Q and S trough, QRS; P onset, peak, end, duration, PR; T onset, peak, end, QT; RR; QT by Bazett from the trough and from R;
    the share of marks that were not found. 0 where there is nothing to measure.
    """
    x = _box(_fine(np.asarray(lead_ii_mv, np.float64)), 10)
    n = len(x)
    starts = [max(0, int(c) - 40) for c in centres * _FINE if c < n]
    tops = np.array([start + int(np.argmax(x[start : min(n, start + 80)])) for start in starts])
    if len(tops) < 2:
        return np.zeros(INTERVAL_COUNT)
    rr = float(np.median(np.diff(tops))) / _FS
    slope = np.gradient(_box(x, int(max(5, 20 * min(1.5, rr)))))
    rows = []
    for r in tops:
        if r < 180 or r > n - 250:
            continue
        before, after = x[r - 175 : r + 1], x[r : r + 250]
        left, _ = find_peaks(-before, height=0.05 * np.ptp(before))
        right, _ = find_peaks(-after, height=0.05 * np.ptp(after))
        q = r - 175.0 + left[-1] if len(left) else np.nan
        s = r + float(right[0]) if len(right) else np.nan
        reach = int(0.3 * rr * _FS)
        p = _wave(x, slope, (r - int(0.4 * rr * _FS), r - 33), -0.2 * rr, reach, r)
        t = _wave(x, slope, (r + 33, r + int(0.5 * rr * _FS)), 0.25 * rr, reach, r)
        marks = [q - r, s - r, s - q, p[0] - r, p[1] - r, p[2] - r, p[2] - p[0], q - p[0], t[0] - r, t[1] - r, t[2] - r]
        rows.append([*marks, t[2] - q])
    if not rows:
        return np.zeros(INTERVAL_COUNT)
    table = np.array(rows) * (1000 / _FS)
    there = ~np.isnan(table)
    mean = np.where(there, table, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    root = max(float(np.sqrt(rr)), 0.3)
    return np.asarray(np.r_[mean, rr * 1000, mean[11] / root, mean[10] / root, 1 - there.mean()], np.float64)
