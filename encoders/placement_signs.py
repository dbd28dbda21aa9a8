"""What an averaged beat says of where its electrodes were, in a form on which exchanged electrodes act linearly.

Every sign is a function of the leads' binned waves and of their inner products over P, QRS and ST-T, so that any exchange
(a matrix on the eight independent leads) can be tried without looking at the signal again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.placement_beat import BEAT_BEFORE, PlacementBeat

__all__ = ["SIGN_COUNT", "LIMB_SIGN_COUNT", "Waveforms", "signs_under", "waveforms"]

Floats = NDArray[np.float64]

_QRS_BINS, _T_BINS, _P_BINS = 10, 6, 3
_BINS = _P_BINS + _QRS_BINS + 1 + _T_BINS
#: I, II, III, V1-V6 out of I, II, V1-V6.
_WITH_THREE = np.zeros((9, 8))
_WITH_THREE[0, 0] = _WITH_THREE[1, 1] = _WITH_THREE[2, 1] = 1.0
_WITH_THREE[2, 0] = -1.0
_WITH_THREE[np.arange(3, 9), np.arange(2, 8)] = 1.0
#: Pairs of the nine rows whose likeness is looked at: limb leads among each other, with the chest, chest neighbours.
_LIMB_PAIRS = ((0, 1), (0, 2), (1, 2))
_PAIRS = (
    *_LIMB_PAIRS,
    *((limb, chest) for limb in (0, 1) for chest in (3, 5, 6, 7, 8)),
    *((chest, chest + 1) for chest in range(3, 8)),
    *((chest, chest + 2) for chest in range(3, 7)),
)


@dataclass(frozen=True, eq=False)
class Waveforms:
    """``bins`` (8, 20): P, QRS, ST and T of I, II, V1-V6 in mV; ``products`` (3, 8, 8): inner products over P, QRS and ST-T in
    mV² (means over the samples); ``context`` (6,): what no exchange changes: certainty of P, its log, log RR, log irregularity,
    log QRS duration, log of chest over limb size."""

    bins: Floats
    products: Floats
    context: Floats


def _spans(speed: Floats) -> tuple[int, int]:
    """QRS onset and offset (samples): the run around the centre where the pooled speed stays above 12 % of its peak."""
    c = BEAT_BEFORE
    below = speed < 0.12 * float(speed[c - 60 : c + 61].max())
    held = np.convolve(below, np.ones(6), mode="valid") > 5.5  # six samples (12 ms) in a row from here
    first = np.flatnonzero(~below[c - 35 : c + 36])
    lo, hi = (c - 35 + int(first[0]), c - 35 + int(first[-1])) if len(first) else (c - 20, c + 20)
    before = np.flatnonzero(held[max(0, lo - 90) : max(1, lo - 5)])
    after = np.flatnonzero(held[hi : hi + 110])
    on = max(0, lo - 90) + int(before[-1]) + 6 if len(before) else lo - 25
    off = hi + int(after[0]) if len(after) else hi + 25
    return max(on, c - 90), min(max(off, on + 20), c + 120)


def _binned(x: Floats, edges: Floats) -> Floats:
    """Means of (rows, samples) between successive edges (samples)."""
    total = np.concatenate([np.zeros((len(x), 1)), np.cumsum(x, axis=1)], axis=1)
    at = np.clip(np.round(edges).astype(int), 0, x.shape[1])
    return np.asarray((total[:, at[1:]] - total[:, at[:-1]]) / np.maximum(np.diff(at), 1))


def _line_free(x: Floats) -> Floats:
    first, last = x[:, :8].mean(axis=1, keepdims=True), x[:, -8:].mean(axis=1, keepdims=True)
    return np.asarray(x - (first + (last - first) * np.linspace(0, 1, x.shape[1])))


def waveforms(beat: PlacementBeat) -> Waveforms:
    """Bins and products of one averaged beat; rows that are NaN count as zero. I and II must be there."""
    x = np.nan_to_num(beat.average_mv)
    three = np.vstack([x[:2], x[1] - x[0]])
    chest = x[2:]

    def pooled(limb: Floats, v: Floats) -> Floats:
        a, b = (limb**2).mean(axis=0), (v**2).mean(axis=0)
        return np.asarray(a / max(float(a.max()), 1e-9) + b / max(float(b.max()), 1e-9))

    kernel = np.ones(7) / 7
    speed = np.sqrt(np.convolve(pooled(np.gradient(three, axis=1), np.gradient(chest, axis=1)), kernel, mode="same"))
    on, off = _spans(speed)
    base = np.median(x[:, max(0, on - 8) : max(1, on)], axis=1, keepdims=True)
    x = x - base
    rr = beat.rr_s * 500.0
    # P lies within 260 ms before QRS, and behind the T wave before it.
    start = int(max(8, on - 130, BEAT_BEFORE - rr + min(0.45 * rr, 210)))
    start, stop = min(start, on - 45), on - 4
    start = max(start, 0)
    p = _line_free(x[:, start:stop])
    smooth = np.stack([np.convolve(row, np.ones(11) / 11, mode="same") for row in p])
    size = (smooth[:2] ** 2).sum(axis=0) + (smooth[1] - smooth[0]) ** 2
    peak = int(np.argmax(size[8:-8])) + 8
    p_part = p[:, max(0, peak - 27) : peak + 28]
    p_bins = _binned(p, np.array([peak - 27, peak - 9, peak + 9, peak + 27], float))
    noise = _line_free(np.nan_to_num(beat.noise_mv)[:, start:stop])
    limb_noise = float(np.sqrt((noise[:2] ** 2).mean())) + 0.003
    p_ratio = float(np.sqrt(size[peak] / 2)) / limb_noise
    qrs = x[:, on:off]
    t_on, t_off = off + 20, int(min(BEAT_BEFORE + 0.42 * min(rr, 600) + 40, x.shape[1] - 5))
    t_off = max(t_off, t_on + 40)
    st_t = x[:, t_on:t_off]
    bins = np.hstack(
        [
            p_bins,
            _binned(x, np.linspace(on, off, _QRS_BINS + 1)),
            _binned(x, np.array([off, t_on], float)),
            _binned(x, np.linspace(t_on, t_off, _T_BINS + 1)),
        ]
    )
    products = np.stack([part @ part.T / max(1, part.shape[1]) for part in (p_part, qrs, st_t)])
    context = np.array(
        [
            p_ratio / (1 + p_ratio),
            np.log(np.clip(p_ratio, 0.3, 100)),
            np.log(np.clip(beat.rr_s, 0.25, 2.5)),
            np.log(np.clip(beat.rr_spread, 0, 1) + 0.01),
            np.log((off - on) / 50),
            0.0,
        ]
    )
    q = np.diag(products[1])
    limb = q[0] + q[1] + q[0] + q[1] - 2 * products[1][0, 1]
    context[5] = 0.5 * np.log(max(float(q[2:].mean()), 1e-6) / max(float(limb) / 3, 1e-6))
    return Waveforms(bins, products, context)


def signs_under(bins: Floats, products: Floats, context: Floats, exchanges: Floats, *, limb_only: bool = False) -> Floats:
    """Signs of n recordings as they would be after each of k exchanges, (n, k, SIGN_COUNT or LIMB_SIGN_COUNT).

    ``bins`` (n, 8, 20), ``products`` (n, 3, 8, 8), ``context`` (n, 6), ``exchanges`` (k, 8, 8).
    """
    m = np.einsum("ab,kbc->kac", _WITH_THREE, exchanges)
    rows = np.einsum("kab,nbc->nkac", m, bins)
    g = np.einsum("kab,nsbc,kdc->nksad", m, products, m, optimize=True)
    keep = 3 if limb_only else 9
    pairs = _LIMB_PAIRS if limb_only else _PAIRS
    rows, g = rows[:, :, :keep], g[:, :, :, :keep, :keep]
    size = np.einsum("nksaa->nksa", g)
    limb = np.sqrt(np.maximum(size[:, :, :, :3].mean(axis=3), 1e-8))  # (n, k, 3) over P, QRS, ST-T
    unit = np.repeat(limb[:, :, 1, None], keep, axis=2)
    if not limb_only:
        unit[:, :, 3:] = np.sqrt(np.maximum(size[:, :, 1, 3:].mean(axis=2), 1e-8))[:, :, None]
    certain = context[:, None, None, None, 0]
    p = np.clip(rows[..., :_P_BINS] / np.maximum(limb[:, :, 0, None, None], 0.01), -4, 4) * certain
    rest = np.clip(rows[..., _P_BINS:] / np.maximum(unit[..., None], 0.02), -5, 5)
    q = rest[..., :_QRS_BINS]
    r, s = np.maximum(q.max(axis=3), 0), np.maximum((-q).max(axis=3), 0)
    share = r / np.maximum(r + s, 0.05)
    sizes = 0.5 * np.log(np.maximum(size[:, :, 1:], 1e-6) / np.maximum(unit[:, :, None] ** 2, 1e-6))
    a, b = np.array(pairs).T
    norm = np.sqrt(np.maximum(size[..., a] * size[..., b], 1e-12))
    likeness = g[..., a, b] / np.maximum(norm, 1e-5)
    likeness[:, :, 0] *= context[:, None, None, 0]
    n, k = rows.shape[:2]
    parts = [p, rest, r, s, share, np.clip(sizes, -4, 2), likeness]
    flat = [part.reshape(n, k, -1) for part in parts]
    kept = context[:, :5] if limb_only else context
    return np.concatenate([*flat, np.repeat(kept[:, None], k, axis=1)], axis=2)


LIMB_SIGN_COUNT = 3 * (_BINS + 3 + 2) + 3 * len(_LIMB_PAIRS) + 5
SIGN_COUNT = 9 * (_BINS + 3 + 2) + 3 * len(_PAIRS) + 6
