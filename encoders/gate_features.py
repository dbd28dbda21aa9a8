"""What the quality gate looks at: numbers per lead and per recording, on the signal as recorded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.beats import WORK_FS_HZ, BeatsAndBands, beats_and_bands
from encoders.ecg import ECG

__all__ = ["FEATURE_NAMES", "LEAD_FEATURES", "LeadSigns", "feature_vector", "lead_signs"]

Floats = NDArray[np.float64]

#: Columns of ``LeadSigns.table``. Logarithms are to base 10, of mV or of ratios.
LEAD_FEATURES = (
    "log_range",  # 1st to 99th percentile without wander
    "log_raw_range",  # whole range as recorded
    "log_wander",  # RMS below 0.6 Hz
    "log_hf",  # median size of what lies between 25 and 45 Hz: muscle, mains, contact noise
    "log_hf_ratio",  # the same over the beat's size
    "log_wander_ratio",  # wander over the beat's size
    "coherence",  # how like its own average the beats are, -1..1
    "flat_share",  # share of 200 ms stretches without any movement
    "log_burst",  # largest 1 s range over the median one
    "log_jump",  # largest 40 ms step over the median beat's largest
)
_WORST_IS_LOW = ("coherence", "log_range")
FEATURE_NAMES = tuple(f"{kind}_{name}" for kind in ("worst", "third", "mean") for name in LEAD_FEATURES) + (
    "beats_found",
    "log_rr_spread",
    "dead_leads",
)


@dataclass(frozen=True)
class LeadSigns:
    """Signs of quality of one recording.

    ``table`` (leads, len(LEAD_FEATURES)); ``hf_mv`` (leads,) high-frequency noise in mV; ``mains_mv`` (leads,) amplitude of
    hum at 50 or 60 Hz, 0 where the rate does not carry it; ``qrs_mv`` (leads,) the averaged beat's QRS size; ``likeness``
    (leads,) how like their second-best match among the others the beats are, -1..1 (1 with fewer than four beats);
    ``beats`` how many were found; ``rr_spread``: inter-quartile range of RR over its median; ``einthoven``: RMS of
    I + III - II over the size of the three on the averaged QRS, NaN where one is missing or beats are too few.
    """

    table: Floats
    hf_mv: Floats
    mains_mv: Floats
    qrs_mv: Floats
    likeness: Floats
    beats: int
    rr_spread: float
    einthoven: float


def _log(x: Floats | float, least: float = 1e-4) -> Floats:
    return np.asarray(np.log10(np.maximum(x, least)))


def _flat_share(x: Floats, width: int) -> Floats:
    """Share of stretches of ``width`` samples within which a lead does not move by 2 microvolts, (leads,)."""
    n = x.shape[1] // width
    if n == 0:
        return np.zeros(len(x))
    cut = x[:, : n * width].reshape(len(x), n, width)
    still = np.nan_to_num(np.ptp(cut, axis=2), nan=0.0) < 0.002
    return np.asarray(still.mean(axis=1))


def _mains(filled: Floats, fs_hz: float) -> Floats:
    """Amplitude of the stronger of 50 and 60 Hz in mV, above what the neighbouring frequencies hold, (leads,)."""
    n = filled.shape[1]
    out = np.zeros(len(filled))
    if n < 2 * WORK_FS_HZ:
        return out
    power = np.abs(np.fft.rfft(filled * np.hanning(n), axis=1)) ** 2
    step = WORK_FS_HZ / n
    for hum in (50.0, 60.0):
        if fs_hz < 2.6 * hum:
            continue
        near = power[:, round((hum - 0.5) / step) : round((hum + 0.5) / step) + 1]
        around = np.concatenate(
            [power[:, round((hum + a) / step) : round((hum + a + 2) / step)] for a in (-4.0, 2.0)], axis=1
        ).mean(axis=1)
        # Parseval with a Hann window: its mean square is 3/8, and a sine of amplitude A has A²/2.
        line = np.maximum(near.sum(axis=1) - near.shape[1] * around, 0.0)
        out = np.maximum(out, np.sqrt(line * 2 * 2 / (0.375 * n * n)))
    return out


def _second_best(unit: Floats) -> Floats:
    """Median over beats of each beat's second-best likeness to another one, (leads,); ``unit`` (beats, leads, samples)."""
    rows = np.swapaxes(unit[:30], 0, 1)
    if rows.shape[1] < 4:
        return np.ones(len(rows))
    like = rows @ np.swapaxes(rows, 1, 2)
    like[:, np.arange(rows.shape[1]), np.arange(rows.shape[1])] = -2.0
    return np.asarray(np.median(np.sort(like, axis=2)[:, :, -2], axis=1))


def lead_signs(ecg: ECG, bands: BeatsAndBands | None = None) -> LeadSigns:
    """Signs of every lead; NaN samples count as not moving. Never raises on a signal of at least 1 s.

    ``bands``: what ``beats_and_bands`` gives for this recording, where it is at hand.
    """
    raw = ecg.signal_mv.astype(np.float64)
    flat = _flat_share(raw, max(2, round(0.2 * ecg.fs_hz)))
    b = bands if bands is not None else beats_and_bands(ecg)
    n_leads = len(ecg.leads)
    raw_range = np.ptp(b.filled, axis=1)
    low, high = np.percentile(b.wander_free, (1, 99), axis=1)
    wander = np.sqrt(np.mean((b.filled - b.wander_free) ** 2, axis=1))
    hf = np.median(np.abs(b.high), axis=1) / 0.6745
    qrs, coherence, likeness = np.zeros(n_leads), np.zeros(n_leads), np.ones(n_leads)
    second = int(WORK_FS_HZ)
    seconds = max(1, b.smooth.shape[1] // second)
    cut = b.smooth[:, : seconds * second].reshape(n_leads, seconds, -1) if b.smooth.shape[1] >= second else b.smooth[:, None]
    ranges = np.ptp(cut, axis=2)
    burst = ranges.max(axis=1) / np.maximum(np.median(ranges, axis=1), 0.01)
    step = np.abs(b.wander_free[:, 20:] - b.wander_free[:, :-20])
    usual_step = np.full(n_leads, 0.05)
    beats, einthoven = b.centres, float("nan")
    inside = beats[(beats > 60) & (beats < b.smooth.shape[1] - 160)]
    if len(inside) >= 3:
        windows = np.swapaxes(b.smooth[:, inside[:, None] + np.arange(-60, 160)[None]], 0, 1)
        average = np.median(windows, axis=0)
        qrs = np.ptp(average[:, 10:110], axis=1)
        a = average - average.mean(axis=1, keepdims=True)
        einthoven = _einthoven(ecg, a[:, 30:95])
        w = windows - windows.mean(axis=2, keepdims=True)
        unit = w / np.maximum(np.linalg.norm(w, axis=2, keepdims=True), 1e-9)
        coherence = np.median(np.einsum("blt,lt->bl", unit, a) / np.maximum(np.linalg.norm(a, axis=1), 1e-9), axis=0)
        likeness = _second_best(unit)
        around = step[:, np.clip(inside[:, None] + np.arange(-50, 40)[None], 0, step.shape[1] - 1)]
        usual_step = np.median(around.max(axis=2), axis=1)
    size = np.where(qrs > 0.02, qrs, np.maximum(high - low, 0.02))
    jump = (step.max(axis=1) if step.shape[1] else usual_step) / np.maximum(usual_step, 0.02)
    table = np.column_stack(
        [
            _log(high - low, 1e-3),
            _log(raw_range, 1e-3),
            _log(wander, 1e-3),
            _log(hf, 5e-4),
            _log(hf / size, 1e-3),
            _log(wander / size, 1e-2),
            coherence,
            flat,
            _log(burst, 0.5),
            _log(jump, 0.5),
        ]
    )
    rr = np.diff(beats)
    spread = float(np.subtract(*np.percentile(rr, (75, 25))) / np.median(rr)) if len(rr) > 2 else 1.0
    return LeadSigns(table, hf, _mains(b.filled, ecg.fs_hz), qrs, likeness, len(beats), spread, einthoven)


def _einthoven(ecg: ECG, average: Floats) -> float:
    row = {name: average[i] for i, name in enumerate(ecg.leads)}
    if not {"I", "II", "III"} <= row.keys():
        return float("nan")
    size = np.sqrt(np.mean(row["I"] ** 2) + np.mean(row["II"] ** 2) + np.mean(row["III"] ** 2))
    return float(np.sqrt(np.mean((row["I"] + row["III"] - row["II"]) ** 2)) / max(float(size), 1e-3))


def feature_vector(signs: LeadSigns) -> Floats:
    """One row of ``FEATURE_NAMES``: the worst, the third worst and the mean over leads, and the recording's own signs."""
    worst, third = [], []
    for column, name in enumerate(LEAD_FEATURES):
        ranked = np.sort(signs.table[:, column])
        if name not in _WORST_IS_LOW:
            ranked = ranked[::-1]
        worst.append(ranked[0])
        third.append(ranked[min(2, len(ranked) - 1)])
    own = [
        float(min(signs.beats, 30)) / 10,
        float(_log(signs.rr_spread, 1e-2)),
        float((signs.table[:, LEAD_FEATURES.index("flat_share")] > 0.5).sum()) / 3,
    ]
    return np.array(worst + third + list(signs.table.mean(axis=0)) + own)
