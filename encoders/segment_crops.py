"""Training crops for the delineation network: recordings with soft targets, and what an augmented crop of one looks like.

A crop is stretched in time as a whole, in its rests and in its waves, loses P waves, gets larger or smaller P and T waves and
pacing spikes (LUDB's QRS begins after the spike), is band-limited as by a lower rate, flipped, scaled, and gets wander, hum,
muscle noise and single bad leads; leads lose their names. Samples outside the annotated span do not count.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import lfilter

from encoders.ludb import Annotated
from encoders.segment import CLASSES, UNKNOWN_LEAD, prepared
from encoders.waves import SEGMENT_FS_HZ

__all__ = ["SOURCE_FS_HZ", "CropConfig", "Source", "annotated", "crop", "taught"]

Floats = NDArray[np.float64]
#: Rate of the recordings that crops are cut from.
SOURCE_FS_HZ = 500.0
#: Probability from which the averaged network's own word counts as a target.
_SURE = 0.9
#: Phases of a beat: 1 P, 2 QRS, 3 T, and the rests between them by the waves on either side.
_P_QRS, _QRS_T, _T_NEXT = 4, 5, 6
_REST = {(1, 2): _P_QRS, (2, 3): _QRS_T, (3, 1): _T_NEXT, (3, 2): _T_NEXT}
#: Room around a wave, in samples at 250 Hz.
_ROOM = 8


@dataclass(frozen=True)
class CropConfig:
    """``samples`` at 250 Hz; ``stretch``: range of the logarithm of the pace; ``p_less``, ``paced``, ``nameless``: shares of
    crops without P waves, with pacing spikes, without lead names; ``resized``: share with smaller or larger P, T waves;
    ``warped``: share with P, QRS, ST or T lengthened or shortened, by up to exp(``warp``)."""

    samples: int = 2048
    stretch: float = 0.25
    p_less: float = 0.12
    paced: float = 0.10
    nameless: float = 0.35
    resized: float = 0.25
    warped: float = 0.4
    warp: float = 0.3


@dataclass(frozen=True, eq=False)
class Source:
    """A recording at 500 Hz: signal (leads, samples), targets float16 (leads, 4, samples / 2), mask (leads, samples / 2), the
    phase of the beat int8 (samples / 2,), 0 where unknown, and the spans of the waves of each class, P and T with room."""

    signal: NDArray[np.float32]
    target: NDArray[np.float16]
    mask: NDArray[np.bool_]
    phase: NDArray[np.int8]
    spans: dict[int, list[tuple[int, int]]]


def _phases(target: NDArray[np.float16]) -> tuple[NDArray[np.int8], dict[int, list[tuple[int, int]]]]:
    """``Source.phase`` and ``Source.spans`` from the targets of all leads."""
    wave = np.argmax(target.astype(np.float32).mean(axis=0), axis=0)
    out = wave.astype(np.int8)
    spans: dict[int, list[tuple[int, int]]] = {1: [], 2: [], 3: []}
    edges = np.concatenate([[0], np.flatnonzero(np.diff(wave)) + 1, [len(wave)]])
    for a, b in itertools.pairwise(edges.tolist()):
        before, after = (wave[a - 1] if a else 0), (wave[b] if b < len(wave) else 0)
        if wave[a] == 0:
            out[a:b] = _REST.get((int(before), int(after)), 0)
        elif a > _ROOM and b < len(wave) - _ROOM:
            # A little room around P and T, but not into another wave.
            room = _ROOM if wave[a] != 2 else 0
            left = next((k for k in range(room) if wave[a - 1 - k]), room)
            right = next((k for k in range(room) if wave[b + k]), room)
            spans[int(wave[a])].append((a - left, b + right))
    return out, spans


def annotated(recording: Annotated) -> Source:
    """Soft targets: the share of each 4 ms sample that lies within a wave."""
    x = recording.signal_mv.astype(np.float64)
    step = recording.fs_hz / SEGMENT_FS_HZ
    n = int(x.shape[1] / step)
    centre = np.arange(n, dtype=float)
    target = np.zeros((len(x), len(CLASSES), n), np.float16)
    mask = np.zeros((len(x), n), bool)
    for row, marks in enumerate(recording.marks):
        first, last = marks.span[0] / step, marks.span[1] / step
        mask[row] = (centre > first - 3) & (centre < last + 3)
        for k, name in enumerate(CLASSES[1:], start=1):
            for on, peak, off in marks.waves[name] / step:
                if np.isfinite(on) and np.isfinite(off):
                    inside = np.minimum(np.clip(centre - on + 0.5, 0, 1), np.clip(off - centre + 0.5, 0, 1))
                    target[row, k] = np.maximum(target[row, k], inside)
                else:
                    mask[row] &= np.abs(centre - peak) > 40
        total = target[row, 1:].sum(axis=0)
        target[row, 1:] /= np.maximum(total, 1)
        target[row, 0] = 1 - np.minimum(total, 1)
    return Source(x.astype(np.float32), target, mask, *_phases(target))


def taught(signal: NDArray[np.float32], p: NDArray[np.float32], without_p: bool) -> Source:
    """A recording (leads, samples) with a network's probabilities ``p`` (leads, 4, samples / 2) as targets; ``without_p``: what
    it takes for P is none. Where it is unsure (at boundaries, above all) only the cardiologists teach."""
    if without_p:
        p = p.copy()
        p[:, 0] += p[:, 1]
        p[:, 1] = 0
    target = p.astype(np.float16)
    return Source(signal, target, np.asarray(p.max(axis=1) > _SURE), *_phases(target))


def _noisy(x: Floats, rng: np.random.Generator) -> Floats:
    """(leads, samples) at 250 Hz with wander, hum and muscle noise, sized against each lead's own range."""
    leads, n = x.shape
    t = np.arange(n) / SEGMENT_FS_HZ
    size = np.maximum(np.percentile(np.abs(x), 99, axis=1, keepdims=True), 0.05)
    common = np.zeros((leads, n))
    if rng.random() < 0.7:
        for _ in range(3):
            hz, phase = rng.uniform(0.05, 0.7), rng.uniform(0, 6.28)
            common += rng.uniform(-0.5, 0.5, (leads, 1)) * np.sin(6.2832 * hz * t + phase)
    if rng.random() < 0.3:
        common += 10 ** rng.uniform(-2.5, -0.8) * np.sin(6.2832 * rng.choice([50.0, 60.0]) * rng.uniform(0.98, 1.02) * t)
    if rng.random() < 0.7:
        level = 10 ** rng.uniform(-2.5, -0.9, (leads, 1))
        bad = rng.random((leads, 1)) < 0.05
        level = np.where(bad, rng.uniform(0.2, 1.0), level)
        pole = rng.uniform(0.0, 0.9)
        noise = lfilter([1.0], [1.0, -pole], rng.standard_normal((leads, n)), axis=1)
        common += level * noise * np.sqrt(1 - pole**2)
    return np.asarray(x + size * common)


def _line(x: Floats, first: int, last: int) -> Floats:
    """The straight line under a wave from sample ``first`` to ``last``, (leads, last - first)."""
    ends = x[:, first - 3 : first + 4].mean(axis=1), x[:, last - 3 : last + 4].mean(axis=1)
    return np.asarray(np.linspace(*ends, last - first, axis=1))


def _without_p(x: Floats, target: Floats, spans: list[tuple[int, int]], rng: np.random.Generator) -> None:
    """Takes P waves out, some or all, in place: a straight line in all leads and "none". Else P is what comes before a QRS."""
    some = rng.choice([0.4, 1.0])
    for a, b in spans:
        if rng.random() < some:
            first, last = max(3, 2 * a), 2 * b
            rough = x[:, first:last] - uniform_filter1d(x[:, first:last], 5, axis=1)
            x[:, first:last] = _line(x, first, last) + rough
            target[:, 0, a:b] += target[:, 1, a:b]
            target[:, 1, a:b] = 0.0


def _resized(x: Floats, spans: list[tuple[int, int]], rng: np.random.Generator) -> None:
    """Makes all waves of one class smaller or larger, in place."""
    gain = np.exp(rng.uniform(-0.9, 0.4) + rng.uniform(-0.2, 0.2, (len(x), 1)))
    for a, b in spans:
        first, last = max(3, 2 * a), 2 * b
        line = _line(x, first, last)
        x[:, first:last] = line + gain * (x[:, first:last] - line)


def _paced(x: Floats, source: Source, rng: np.random.Generator) -> None:
    """Pacing spikes of 2-4 ms, 4-50 ms before each QRS, perhaps before each P, in place on (leads, samples) at 500 Hz."""
    size = np.maximum(np.percentile(np.abs(x - np.median(x, axis=1, keepdims=True)), 99, axis=1), 0.05)
    places = [2 * a for a, _ in source.spans[2]]
    if rng.random() < 0.3:
        places += [2 * (a + _ROOM) for a, _ in source.spans[1]]
    height, second = size * rng.uniform(-2.0, 2.0, len(x)), rng.uniform(-0.3, 1.0)
    latency = rng.uniform(2, 25)
    for place in places:
        at = int(place - latency - rng.uniform(0, 2))
        if 0 <= at < x.shape[1] - 1:
            x[:, at] += height
            x[:, at + 1] += second * height


def crop(
    source: Source, leads: NDArray[np.int64], config: CropConfig, rng: np.random.Generator
) -> tuple[NDArray[np.generic], ...]:
    """One augmented crop: network input (leads, n), targets (leads, 4, n), mask (leads, n), lead numbers (leads,)."""
    x, target = source.signal[leads].astype(np.float64), source.target[leads].astype(np.float64)
    if rng.random() < config.p_less:
        _without_p(x, target, source.spans[1], rng)
    for wave in (1, 3):
        if rng.random() < config.resized:
            _resized(x, source.spans[wave], rng)
    paced = rng.random() < config.paced
    if paced:
        _paced(x, source, rng)
    # What the network's own rate or a lower one lets through; 100 Hz recordings are the most frequent of the lower ones.
    rate = rng.choice([100.0, 100.0, 125.0, 180.0, 250.0]) if rng.random() < 0.5 else SEGMENT_FS_HZ
    freqs = np.fft.rfftfreq(x.shape[1], 1 / SOURCE_FS_HZ)
    keep = np.clip((0.49 * rate - freqs) / (0.06 * rate), 0, 1)
    x = np.fft.irfft(np.fft.rfft(x, axis=1) * keep, n=x.shape[1], axis=1)
    # A faster heart rests less between T and P, a first-degree block rests longer between P and QRS.
    pace = np.full(len(source.phase), float(np.exp(rng.uniform(-config.stretch, config.stretch))))
    pace[source.phase == _T_NEXT] *= np.exp(rng.uniform(-2.5, 0.4)) if rng.random() < 0.5 else 1.0
    pace[source.phase == _P_QRS] *= np.exp(rng.uniform(-0.5, 1.6)) if rng.random() < 0.3 and not paced else 1.0
    for phase in (1, 2, 3, _QRS_T):
        if rng.random() < config.warped:
            pace[source.phase == phase] *= np.exp(rng.uniform(-config.warp, config.warp))
    clock = np.concatenate([[0.0], np.cumsum(pace)[:-1]])
    start = rng.uniform(min(0.0, clock[-1] - config.samples), max(0.0, clock[-1] - config.samples))
    wanted = start + np.arange(config.samples)
    inside = (wanted >= 0) & (wanted < clock[-1])
    at = np.interp(wanted, clock, np.arange(len(clock), dtype=float))
    fine = np.clip(at * SOURCE_FS_HZ / SEGMENT_FS_HZ, 0, x.shape[1] - 1.001)
    low, share = fine.astype(int), fine - fine.astype(int)
    x = x[:, low] * (1 - share) + x[:, low + 1] * share
    coarse = np.clip(at, 0, source.mask.shape[1] - 1.001)
    low, share = coarse.astype(int), coarse - coarse.astype(int)
    target = target[:, :, low] * (1 - share) + target[:, :, low + 1] * share
    mask = source.mask[leads][:, low] & source.mask[leads][:, low + 1] & inside
    if rng.random() < 0.15:
        # A cart's own high-pass of the first order (0.05-0.5 Hz).
        pole = float(np.exp(-6.2832 * rng.uniform(0.05, 0.5) / SEGMENT_FS_HZ))
        x = lfilter([1.0, -1.0], [1.0, -pole], x - x[:, :1], axis=1)
    x = _noisy(x, rng)
    x *= np.where(rng.random((len(leads), 1)) < 0.3, -1.0, 1.0)
    x = np.exp(rng.uniform(-0.35, 0.35, (len(leads), 1))) * prepared(x, SEGMENT_FS_HZ)
    if len(leads) > 2:
        x[rng.random(len(leads)) < 0.03] = 0.0
    hidden = rng.random(len(leads)) < (1.0 if rng.random() < config.nameless else 0.1)
    return x, target, mask, np.where(hidden, UNKNOWN_LEAD, leads)
