"""What the small heads for ECG-QA's own attributes look at: signs of noise per lead, beats, and the average beat, at 100 Hz.

Noise, extra systoles, the axis and the intervals are asked about recordings that the gate would refuse too, so nothing here
rests on the gate or on the delineation; every number has a value for every signal. It takes about 3 ms a recording, which is
what lets thousands of recordings be read for questions on two cores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from assistant.ecgqa.intervals import INTERVAL_COUNT, beat_intervals

__all__ = ["FEATURE_COUNT", "FS_HZ", "GENERAL_COUNT", "N_SAMPLES", "Beats", "axis_signs", "beats_of", "signal_features"]

Floats = NDArray[np.float64]

#: Rate and length that everything here is computed at: that of PTB-XL's small files and of the encoder.
FS_HZ = 100.0
N_SAMPLES = 1000
_BEFORE, _AFTER = 40, 60  # samples of the average beat before and after R
_FINE = 5  # the average beat of lead II is searched at 500 Hz
_LEAD_II = 1
_LEADS_I_AVF = (0, 5)


@dataclass(frozen=True, eq=False)
class Beats:
    """QRS complexes: ``centres`` in samples at 100 Hz, ``typical`` whether each is like the average one.

    ``average`` (12, 100) in mV without wander: the typical beat from 0.4 s before to 0.6 s after its centre.
    """

    centres: NDArray[np.int64]
    typical: NDArray[np.bool_]
    average: Floats
    likeness: Floats


def _bands(x: Floats) -> tuple[Floats, Floats, Floats]:
    """Signal without what lies below 0.5 Hz, the QRS band (8-25 Hz) and what lies above 25 Hz; each (12, samples)."""
    n = x.shape[1]
    padded = np.concatenate([2 * x[:, :1] - x[:, 100:0:-1], x, 2 * x[:, -1:] - x[:, -2:-102:-1]], axis=1)
    freqs = np.fft.rfftfreq(padded.shape[1], 1 / FS_HZ)
    spectrum = np.fft.rfft(padded, axis=1)

    def kept(gain: Floats) -> Floats:
        return np.asarray(np.fft.irfft(spectrum * gain, padded.shape[1], axis=1)[:, 100 : 100 + n])

    def ramp(low: float, high: float) -> Floats:
        return np.asarray(np.clip((freqs - low) / (high - low), 0, 1))

    return kept(ramp(0.3, 0.6)), kept(ramp(6, 9) * (1 - ramp(22, 28))), kept(ramp(22, 28))


def beats_of(signal_mv: NDArray[np.floating]) -> Beats:
    """Beats of a recording (12, samples) at 100 Hz, wander already off: peaks of the QRS energy of all leads together."""
    x = np.asarray(signal_mv, np.float64)
    _, band, _ = _bands(x)
    size = np.maximum(np.percentile(np.abs(band), 99, axis=1, keepdims=True), 0.02)
    energy = np.minimum((band / size) ** 2, 1.5).sum(axis=0)
    energy = np.convolve(energy, np.ones(9) / 9, mode="same")
    top = float(np.percentile(energy, 98))
    centres, _ = find_peaks(energy, height=max(0.25 * top, 1e-6), distance=25)
    inside = centres[(centres >= _BEFORE) & (centres < x.shape[1] - _AFTER)]
    if len(inside) == 0:
        return Beats(centres, np.ones(len(centres), bool), np.zeros((12, _BEFORE + _AFTER)), np.ones(len(centres)))
    cut = x[:, inside[:, None] + np.arange(-_BEFORE, _AFTER)]  # (12, beats, 100)
    average = np.median(cut, axis=1)
    qrs = slice(_BEFORE - 12, _BEFORE + 14)
    one = cut[:, :, qrs] - cut[:, :, qrs].mean(axis=2, keepdims=True)
    mean = average[:, qrs] - average[:, qrs].mean(axis=1, keepdims=True)
    like = np.einsum("lbt,lt->b", one, mean) / np.maximum(
        np.sqrt(np.einsum("lbt,lbt->b", one, one) * np.einsum("lt,lt->", mean, mean)), 1e-9
    )
    typical = like > 0.8
    if typical.sum() >= 2:
        average = np.median(cut[:, typical], axis=1)
    everywhere = np.ones(len(centres))
    everywhere[np.isin(centres, inside)] = like
    return Beats(centres, everywhere > 0.8, average, everywhere)


def axis_signs(average: Floats) -> tuple[float, float]:
    """Net QRS deflection of the average beat (12, 100) in leads I and aVF, in mV.

    Half by height (the highest point plus the lowest one), half by area (over 40 ms): where the two ways of netting a QRS
    disagree, the axis lies near the border of its quadrant.

    Their signs give the axis by quadrant, as ECG-QA takes it: normal, left, right, extreme.
    """
    values = []
    for lead in _LEADS_I_AVF:
        beat = average[lead]
        level = float(np.median(beat[_BEFORE - 10 : _BEFORE - 6]))
        qrs = beat[_BEFORE - 6 : _BEFORE + 8] - level
        values.append(float((qrs.max() + qrs.min() + qrs.sum() / 4) / 2))
    return values[0], values[1]


def _log(x: Floats, least: float) -> Floats:
    return np.asarray(np.log10(np.maximum(x, least)))


def _lead_signs(raw: Floats, flat: Floats, high: Floats) -> Floats:
    """(12, 12): sizes of wander, its largest second-to-second step, noise above 25 Hz, bursts, jumps, flat stretches."""
    wander = raw - flat
    seconds = raw.shape[1] // 100
    size = np.maximum(np.subtract(*np.percentile(flat, (99, 1), axis=1)), 0.02)
    per_second = wander[:, : seconds * 100].reshape(12, seconds, 100).mean(axis=2)
    noise = np.abs(high)
    noise_s = noise[:, : seconds * 100].reshape(12, seconds, 100)
    quiet = np.percentile(noise, 50, axis=1) / 0.6745
    loud = np.median(noise_s, axis=2)
    ranges = np.ptp(flat[:, : seconds * 100].reshape(12, seconds, 100), axis=2)
    step = np.abs(flat[:, 4:] - flat[:, :-4])
    return np.column_stack(
        [
            _log(wander.std(axis=1), 1e-3),
            _log(np.ptp(per_second, axis=1), 1e-3),
            _log(np.abs(np.diff(per_second, axis=1)).max(axis=1), 1e-3),
            _log(wander.std(axis=1) / size, 1e-2),
            _log(quiet, 5e-4),
            _log(quiet / size, 1e-3),
            _log(loud.max(axis=1), 5e-4),
            _log(loud.max(axis=1) / np.maximum(loud.min(axis=1), 5e-4), 0.5),
            _log(ranges.max(axis=1) / np.maximum(np.median(ranges, axis=1), 0.01), 0.5),
            _log(step.max(axis=1) / np.maximum(np.percentile(step, 98, axis=1), 0.02), 0.5),
            _log(size, 0.02),
            (np.ptp(flat[:, : seconds * 100].reshape(12, seconds * 5, 20), axis=2) < 0.004).mean(axis=1),
        ]
    )


def _rhythm(beats: Beats) -> Floats:
    """12 numbers on RR intervals and on beats that come early or look different."""
    rr = np.diff(beats.centres) * 10.0
    if len(rr) == 0:
        return np.zeros(12)
    usual = float(np.median(rr))
    like = beats.likeness
    early = rr < 0.85 * usual
    late_like = like[1:]
    after = np.r_[rr[1:], usual]
    strange = late_like < 0.8
    return np.array(
        [
            rr.mean() / 1000, usual / 1000, rr.std() / usual, rr.min() / usual, rr.max() / usual,
            np.sqrt(np.mean(np.diff(rr) ** 2)) / usual if len(rr) > 1 else 0.0,
            early.sum(), (early & strange).sum(), (early & ~strange).sum(), strange.sum(),
            (early & (after > 1.1 * usual)).sum(), float(np.sort(like)[: max(1, len(like) // 5)].mean()),
        ]
    )  # fmt: skip


def _fine(beat: Floats) -> Floats:
    """A beat (100,) drawn at 500 Hz."""
    n = len(beat)
    line = np.linspace(beat[0], beat[-1], n)
    bent = np.fft.rfft(np.r_[beat - line, -(beat - line)[::-1]])
    fine = np.fft.irfft(bent, 2 * n * _FINE)[: n * _FINE] * _FINE
    return np.asarray(fine + np.interp(np.arange(n * _FINE) / _FINE, np.arange(n), line))


def _troughs(beat: Floats, top: int) -> tuple[float, float]:
    """Ms from R back to the trough before it and on to the one after it, troughs of 5 % of the beat's size and more."""
    depth = 0.05 * np.ptp(beat)
    before, _ = find_peaks(-beat[: top + 1], prominence=depth * 0.3)
    after, _ = find_peaks(-beat[top:], prominence=depth * 0.3)
    left = 2.0 * (top - before[-1]) if len(before) else 150.0
    right = 2.0 * after[0] if len(after) else 150.0
    return min(left, 300.0), min(right, 400.0)


def _wave_marks(beat: Floats, top: int) -> Floats:
    """P onset, peak and end and T peak and end against R in lead II (ms), by the steepest slopes on either side of a peak."""
    out = []
    for start, stop in ((max(0, top - 160), max(1, top - 25)), (top + 40, min(len(beat) - 1, top + 290))):
        part = beat[start:stop]
        slope = np.gradient(np.convolve(part, np.ones(9) / 9, mode="same")) if len(part) > 12 else np.zeros(len(part))
        smooth = part - np.linspace(part[0], part[-1], len(part)) if len(part) else part
        peak = int(np.argmax(np.abs(smooth))) if len(part) else 0
        size = float(smooth[peak]) if len(part) else 0.0
        direction = 1.0 if size >= 0 else -1.0
        rising = int(np.argmax(direction * slope[: peak + 1])) if peak > 0 else 0
        falling = peak + int(np.argmin(direction * slope[peak:])) if len(part) else 0

        def foot(at: int, step: int, slope: Floats = slope, direction: float = direction) -> int:
            steep = abs(float(slope[at])) if len(slope) else 0.0
            while 0 < at < len(slope) - 1 and direction * slope[at] * -step > 0.4 * steep:
                at += step
            return at

        begin, end = foot(rising, -1), foot(falling, 1)
        out += [2.0 * (start + mark - top) for mark in (begin, peak, end)] + [2.0 * (end - begin), size]
    return np.array(out)


def signal_features(raw_mv: NDArray[np.floating]) -> tuple[NDArray[np.float32], Floats]:
    """All features of one recording (12, 1000) at 100 Hz in mV as recorded (gaps as NaN), and its average beat.

    Features float32 (FEATURE_COUNT,); the beat as in ``Beats``.

    Never raises on a signal of the right shape; silent leads give the values of silence.
    """
    raw = np.nan_to_num(np.asarray(raw_mv, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    raw = np.clip(raw - np.median(raw, axis=1, keepdims=True), -20, 20)
    flat, _, high = _bands(raw)
    beats = beats_of(flat)
    signs = _lead_signs(raw, flat, high)
    average = beats.average - np.median(beats.average[:, _BEFORE - 10 : _BEFORE - 6], axis=1, keepdims=True)
    second = _fine(average[_LEAD_II])
    near = slice((_BEFORE - 5) * _FINE, (_BEFORE + 8) * _FINE)
    top = near.start + int(np.argmax(np.abs(second[near])))
    high_top = near.start + int(np.argmax(second[near]))
    qrs = average[:, _BEFORE - 6 : _BEFORE + 9]
    after = average[:, _BEFORE + 16 : _BEFORE + 45]
    shape = np.concatenate([second[a : a + 10].mean(keepdims=True) for a in range(0, len(second), 10)])
    scale = max(float(np.ptp(second)), 0.05)
    values = np.concatenate(
        [
            signs.ravel(),
            signs.mean(axis=0),
            signs.max(axis=0),
            _rhythm(beats),
            np.array([*_troughs(second, top), *_troughs(second, high_top)]) / 100,
            [sum(_troughs(second, top)) / 100, sum(_troughs(second, high_top)) / 100],
            _wave_marks(second, top) / 100,
            _wave_marks(second, high_top) / 100,
            np.clip(shape / scale, -1, 1),
            np.clip((qrs.max(axis=1) + qrs.min(axis=1)), -3, 3),
            np.clip(qrs.max(axis=1), -1, 4),
            np.clip(qrs.min(axis=1), -4, 1),
            np.clip(average[:, _BEFORE + 12], -1, 1),
            np.clip(after.max(axis=1) + after.min(axis=1), -2, 2),
            beat_intervals(flat[_LEAD_II], beats.centres) / 100,
        ]
    )
    return np.nan_to_num(values).astype(np.float32), beats.average


#: What comes before the intervals of lead II in the vector.
GENERAL_COUNT = 12 * 12 + 12 + 12 + 12 + 6 + 20 + 50 + 5 * 12
#: Length of the vector that ``signal_features`` gives; heads name it, so that a change here asks for new heads.
FEATURE_COUNT = GENERAL_COUNT + INTERVAL_COUNT
