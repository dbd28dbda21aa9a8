"""Beats on the signal as recorded, without the network: bands, QRS centres, beats of one shape.

Every lead is brought to 500 Hz (so that thresholds in milliseconds mean the same for 100 and 1000 Hz input), wander is taken
off, and beats are found on the QRS energy of all leads together (band-pass, squaring and moving window after Pan and Tompkins
1985, doi:10.1109/TBME.1985.325532; leads are pooled and clipped, so that one noisy lead cannot lead). The gate judges with
these; delineation takes its beats from the network and uses the bands and the alignment for the averaged beat.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks, resample_poly

from encoders.ecg import ECG

__all__ = [
    "WORK_FS_HZ",
    "BeatsAndBands",
    "align",
    "at_work_rate",
    "bands",
    "beats_and_bands",
    "filled",
    "regular_beats",
    "windows",
    "without_steps",
]

WORK_FS_HZ = 500.0
_FLAT_MV = 0.015
#: Least size of a step of the baseline, and the share of it that must stay.
_STEP_MV, _STAYS = 0.5, 0.7
_MIN_RR = int(0.22 * WORK_FS_HZ)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BeatsAndBands:
    """All leads at 500 Hz, as filled, without wander, below 45 Hz, and between 25 and 45 Hz; QRS centres in samples."""

    filled: Floats
    wander_free: Floats
    smooth: Floats
    high: Floats
    centres: NDArray[np.int64]
    live: NDArray[np.bool_]


def filled(signal_mv: NDArray[np.float32]) -> tuple[Floats, NDArray[np.bool_]]:
    """Gaps bridged by straight lines, and which leads hold enough signal to work with."""
    x = signal_mv.astype(np.float64)
    known = np.isfinite(x)
    live = known.mean(axis=1) > 0.8
    for row in np.flatnonzero(~known.all(axis=1)):
        if known[row].any():
            at = np.flatnonzero(known[row])
            x[row] = np.interp(np.arange(x.shape[1]), at, x[row, at])
        else:
            x[row] = 0.0
    x -= np.median(x, axis=1, keepdims=True)
    if x.shape[1]:
        low, high = np.percentile(x, (1, 99), axis=1)
        live &= (high - low) > _FLAT_MV
    return np.clip(x, -50.0, 50.0), live


def without_steps(x: Floats, fs_hz: float) -> Floats:
    """The same rows without jumps of the baseline that stay (an electrode pulled, an amplifier that resets).

    A step is a change within 12 ms of 0.5 mV at least, half as large as a beat's usual one in that lead, which the levels of
    the 50 ms, the 0.2 s and the second on either side share to 70 %. A QRS, a spike or an artefact comes back and stays as it is.
    ``x`` (leads, samples) in mV; the same array where there is no step.
    """
    n, lag = x.shape[1], max(1, round(0.012 * fs_hz))
    widths = [max(2, round(s * fs_hz)) for s in (0.05, 0.2, 1.0)]
    near, far, span = widths[1], widths[2], round(2 * fs_hz)
    if n < 2 * far:
        return x
    jump = x[:, lag:] - x[:, :-lag]
    size = np.abs(jump)
    usual = np.median([size[:, s : s + span].max(axis=1) for s in range(0, max(n - span // 2, 1), span)], axis=0)
    out = x
    least = np.maximum(_STEP_MV, 0.5 * usual)
    for row in np.flatnonzero(size.max(axis=1) > least):
        places, _ = find_peaks(size[row], height=float(least[row]), distance=near)
        for at in places.tolist():
            before, after = at, at + lag + 1
            if before < near or n - after < near:
                continue
            levels = [
                float(np.median(x[row, after : after + width]) - np.median(x[row, max(0, before - width) : before]))
                for width in widths
            ]
            if min(level / float(jump[row, at]) for level in levels) > _STAYS:
                out = out.copy() if out is x else out
                # Between the two levels the samples are on their way: they take the line.
                out[row, after:] -= levels[1]
                out[row, before:after] = np.linspace(out[row, before - 1], out[row, after], after - before + 2)[1:-1]
    return out


def _edge(freqs_hz: Floats, low: float, high: float) -> Floats:
    """0 below ``low``, 1 above ``high``, a raised cosine between."""
    ramp: Floats = 0.5 - 0.5 * np.cos(np.pi * np.clip((freqs_hz - low) / (high - low), 0, 1))
    return ramp


def bands(x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Wander-free signal, the same without what lies above 45 Hz, the QRS band (8-25 Hz), and the noise band (25-45 Hz)."""
    n = x.shape[1]
    pad = min(int(WORK_FS_HZ), n - 1)
    padded = np.pad(x, ((0, 0), (pad, pad)), mode="reflect", reflect_type="odd")
    freqs: Floats = np.fft.rfftfreq(padded.shape[1], 1 / WORK_FS_HZ).astype(np.float64)
    spectrum = np.fft.rfft(padded, axis=1)
    wander = _edge(freqs, 0.2, 0.6)
    smooth = wander * (1 - _edge(freqs, 40.0, 50.0))
    qrs = _edge(freqs, 5.0, 10.0) * (1 - _edge(freqs, 20.0, 30.0))
    high = _edge(freqs, 22.0, 28.0) * (1 - _edge(freqs, 40.0, 50.0))
    out = [np.fft.irfft(spectrum * g, n=padded.shape[1], axis=1)[:, pad : pad + n] for g in (wander, smooth, qrs, high)]
    return out[0], out[1], out[2], out[3]


def at_work_rate(x: Floats, fs_hz: float) -> Floats:
    if fs_hz == WORK_FS_HZ:
        return x
    ratio = Fraction(WORK_FS_HZ / fs_hz).limit_denominator(2000)
    return np.asarray(resample_poly(x, ratio.numerator, ratio.denominator, axis=1, padtype="line"))


def beats_and_bands(ecg: ECG) -> BeatsAndBands:
    """Bands and beats of every lead of a recording of at least 1 s, for whoever looks at quality; never raises."""
    x, live = filled(ecg.signal_mv)
    x = at_work_rate(x, ecg.fs_hz)
    wander_free, smooth, qrs, high = bands(x)
    centres = _find_beats(qrs[live]) if live.any() else np.zeros(0, np.int64)
    return BeatsAndBands(x, wander_free, smooth, high, centres, live)


def _boxcar(x: Floats, width: int) -> Floats:
    kernel = np.ones(width) / width
    if x.ndim == 1:
        return np.convolve(x, kernel, mode="same")
    return np.stack([np.convolve(row, kernel, mode="same") for row in x])


def _find_beats(band: Floats) -> NDArray[np.int64]:
    """QRS centres (samples at 500 Hz) on the pooled energy of all leads."""
    size = np.percentile(np.abs(band), 98, axis=1, keepdims=True)
    energy = np.minimum((band / np.maximum(size, 1e-6)) ** 2, 6.0)
    # A lead whose energy stands in few short bursts shows beats; one whose energy is everywhere shows noise.
    burst = 1.0 / np.maximum(np.median(energy, axis=1) / np.maximum(energy.mean(axis=1), 1e-9), 0.02)
    weight = np.minimum(burst, 20.0) / np.minimum(burst, 20.0).sum()
    pooled = _boxcar(weight @ energy, int(0.09 * WORK_FS_HZ))
    peaks, _ = find_peaks(pooled, distance=_MIN_RR)
    if len(peaks) == 0:
        return np.zeros(0, np.int64)
    heights = pooled[peaks]
    floor = float(np.median(pooled))
    # The level of a true beat: the tallest peak in each 2 s, then the median of these.
    span = int(2 * WORK_FS_HZ)
    tallest = [heights[(peaks >= s) & (peaks < s + span)].max(initial=0.0) for s in range(0, len(pooled), span)]
    level = float(np.median([t for t in tallest if t > 0]))
    if level < 3 * floor:
        return np.zeros(0, np.int64)
    keep = list(peaks[heights > floor + 0.30 * (level - floor)])
    # A beat that T follows: a much lower peak within 360 ms after a beat is its T wave.
    chosen: list[int] = []
    for peak in keep:
        if chosen and peak - chosen[-1] < 0.36 * WORK_FS_HZ and pooled[peak] < 0.5 * pooled[chosen[-1]]:
            continue
        chosen.append(int(peak))
    # Search back: in a gap of more than 1.6 usual intervals a beat of half the size counts.
    if len(chosen) > 2:
        usual = float(np.median(np.diff(chosen)))
        for a, b in zip(chosen[:-1], chosen[1:], strict=True):
            if b - a > 1.6 * usual:
                inside = peaks[(peaks > a + 0.36 * WORK_FS_HZ) & (peaks < b - 0.36 * WORK_FS_HZ)]
                inside = inside[pooled[inside] > floor + 0.12 * (level - floor)]
                if len(inside):
                    chosen.append(int(inside[np.argmax(pooled[inside])]))
    return np.array(sorted(chosen), np.int64)


def windows(x: Floats, at: NDArray[np.int64], before: int, after: int) -> Floats:
    """(beats, leads, before + after) around the samples ``at``; edges repeat the outermost sample."""
    index = np.clip(at[:, None] + np.arange(-before, after)[None, :], 0, x.shape[1] - 1)
    return np.ascontiguousarray(np.swapaxes(x[:, index], 0, 1))


def _unit(v: Floats) -> Floats:
    flat = v.reshape(len(v), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))


def _likeness(wide: Floats, template: Floats) -> Floats:
    """Correlation of each window of ``wide`` (beats, leads, samples) with ``template`` (leads, width; flat mean 0, norm 1):
    (beats, samples - width + 1)."""
    leads, width = template.shape

    def summed(rows: Floats) -> Floats:
        run = np.cumsum(np.pad(rows, ((0, 0), (1, 0))), axis=1)
        return np.asarray(run[:, width:] - run[:, :-width])

    dot = np.einsum("blsk,lk->bs", np.lib.stride_tricks.sliding_window_view(wide, width, axis=2), template)
    spread = summed((wide**2).sum(axis=1)) - summed(wide.sum(axis=1)) ** 2 / (leads * width)
    return np.asarray(dot / np.sqrt(np.maximum(spread, 1e-18)))


def align(y: Floats, beats: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Beats moved onto a common centre, and which of them have the prevailing shape."""
    half, reach = 50, 20
    shapes = _unit(windows(y, beats, half, half))
    likeness = shapes @ shapes.T
    seed = int(np.argmax((likeness > 0.75).sum(axis=1) + likeness.mean(axis=1)))
    template, moved = shapes[seed], beats.copy()
    match = np.zeros(len(beats))
    for _ in range(2):
        score = _likeness(windows(y, beats, half + reach, half + reach), template.reshape(len(y), 2 * half))
        best = score.argmax(axis=1)
        moved, match = beats + best - reach, score[np.arange(len(beats)), best]
        typical = match > 0.8
        if typical.sum() < 2:
            break
        template = _unit(np.median(windows(y, moved[typical], half, half), axis=0)[None])[0]
    return moved, match > 0.8


def regular_beats(centres: NDArray[np.int64], typical: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Typical beats that are neither early nor next after an atypical or early one."""
    out = typical.copy()
    if len(centres) < 4:
        return out
    rr = np.diff(centres).astype(float)
    for i in range(1, len(centres)):
        around = np.delete(rr, i - 1)[max(0, i - 5) : i + 4]
        if rr[i - 1] < 0.8 * np.median(around):
            out[i] = False
    early = ~out
    out[1:] &= ~early[:-1]
    # In a wholly irregular rhythm every other beat is "early"; then all typical beats count.
    return out if out.sum() >= max(3, 0.4 * typical.sum()) else typical.copy()
