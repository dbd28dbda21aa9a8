"""Beats and their boundaries, on the signal as recorded.

The way through: every lead is brought to 500 Hz (so that thresholds in milliseconds mean the same for 100 and 1000 Hz
input), wander is taken off, beats are found on the QRS energy of all leads together (band-pass, squaring and moving
window after Pan and Tompkins 1985, doi:10.1109/TBME.1985.325532; leads are pooled and clipped, so that one noisy lead
cannot lead), beats of the prevailing shape that do not come early are aligned and averaged by the median, and the
boundaries of P, QRS and T are read off the averaged beat, lead by lead, and pooled over the leads by the median. An
averaged beat is what carts measure (AHA/ACC/HRS 2007, part I), and it carries 100 Hz recordings below their sampling step,
because beats fall on different phases of the sampling clock.

Thresholds were chosen on LUDB (Kalyakulina et al. 2020, doi:10.1109/ACCESS.2020.3029211), see
``tests/benchmarks/ludb_intervals.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks, resample_poly

from encoders.ecg import ECG

__all__ = ["WORK_FS_HZ", "BeatMarks", "BeatsAndBands", "Delineation", "Waves", "beats_and_bands", "delineate", "fiducials"]

WORK_FS_HZ = 500.0
_STEP_MS = 1000.0 / WORK_FS_HZ
#: The averaged beat reaches from 450 ms before the QRS centre to 700 ms after it.
_PRE, _POST = 225, 350
_FLAT_MV = 0.015
_MIN_RR = int(0.22 * WORK_FS_HZ)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Waves:
    """Boundaries in ms from the QRS centre of the averaged beat (negative: before it); None where not found."""

    p_on_ms: float | None
    p_peak_ms: float | None
    p_off_ms: float | None
    qrs_on_ms: float | None
    qrs_off_ms: float | None
    t_peak_ms: float | None
    t_off_ms: float | None


@dataclass(frozen=True)
class Delineation:
    """What was found in one recording.

    Attributes
    ----------
    centres_s : QRS centres in s from the start of the recording, (beats,).
    typical : True for beats of the prevailing shape, (beats,).
    regular : typical beats that do not come early and do not follow an early beat, (beats,): intervals rest on these.
    has_p : beats with a P wave like the averaged one in front, (beats,).
    average_mv : the averaged beat (leads, samples) at 500 Hz, in mV against the level just before QRS onset.
    centre : sample of the QRS centre in ``average_mv``.
    leads : lead of each row; ``good``: rows that boundaries rest on.
    waves : boundaries on the averaged beat.
    p_ratio : size of the averaged P wave over the noise of the averaged beat.
    spread_ms : standard error of (p_on, qrs_on, qrs_off, t_off) over the leads, NaN where not found.
    """

    centres_s: Floats
    typical: NDArray[np.bool_]
    regular: NDArray[np.bool_]
    has_p: NDArray[np.bool_]
    average_mv: Floats
    centre: int
    leads: tuple[str, ...]
    good: NDArray[np.bool_]
    waves: Waves
    p_ratio: float
    spread_ms: tuple[float, float, float, float]


@dataclass(frozen=True)
class BeatMarks:
    """One beat's boundaries in samples of the recording as it came; None where not found.

    ``typical`` is False for beats of another shape (ectopic, paced, artefact): of these only the QRS is marked.
    """

    qrs: int
    qrs_on: int | None
    qrs_off: int | None
    p_on: int | None
    p_off: int | None
    t_peak: int | None
    t_off: int | None
    typical: bool


@dataclass(frozen=True)
class BeatsAndBands:
    """All leads at 500 Hz, as filled, without wander, below 45 Hz, and between 25 and 45 Hz; QRS centres in samples."""

    filled: Floats
    wander_free: Floats
    smooth: Floats
    high: Floats
    centres: NDArray[np.int64]
    live: NDArray[np.bool_]


def _filled(signal_mv: NDArray[np.float32]) -> tuple[Floats, NDArray[np.bool_]]:
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


def _edge(freqs_hz: Floats, low: float, high: float) -> Floats:
    """0 below ``low``, 1 above ``high``, a raised cosine between."""
    ramp: Floats = 0.5 - 0.5 * np.cos(np.pi * np.clip((freqs_hz - low) / (high - low), 0, 1))
    return ramp


def _bands(x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
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


def _at_work_rate(x: Floats, fs_hz: float) -> Floats:
    if fs_hz == WORK_FS_HZ:
        return x
    ratio = Fraction(WORK_FS_HZ / fs_hz).limit_denominator(2000)
    return np.asarray(resample_poly(x, ratio.numerator, ratio.denominator, axis=1, padtype="line"))


def beats_and_bands(ecg: ECG) -> BeatsAndBands:
    """Bands and beats of every lead of a recording of at least 1 s, for whoever looks at quality; never raises."""
    x, live = _filled(ecg.signal_mv)
    x = _at_work_rate(x, ecg.fs_hz)
    wander_free, smooth, qrs, high = _bands(x)
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


def _windows(x: Floats, at: NDArray[np.int64], before: int, after: int) -> Floats:
    """(beats, leads, before + after) around the samples ``at``; edges repeat the outermost sample."""
    index = np.clip(at[:, None] + np.arange(-before, after)[None, :], 0, x.shape[1] - 1)
    return np.ascontiguousarray(np.swapaxes(x[:, index], 0, 1))


def _unit(v: Floats) -> Floats:
    flat = v.reshape(len(v), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))


def _align(y: Floats, beats: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Beats moved onto a common centre, and which of them have the prevailing shape."""
    half, reach = 50, 20
    shapes = _unit(_windows(y, beats, half, half))
    likeness = shapes @ shapes.T
    seed = int(np.argmax((likeness > 0.75).sum(axis=1) + likeness.mean(axis=1)))
    template, moved = shapes[seed], beats.copy()
    match = np.zeros(len(beats))
    for _ in range(2):
        wide = _windows(y, beats, half + reach, half + reach)
        best = np.full(len(beats), -2.0)
        for shift in range(-reach, reach + 1):
            score = _unit(wide[:, :, reach + shift : reach + shift + 2 * half]) @ template
            better = score > best
            best[better], moved[better] = score[better], beats[better] + shift
        match = best
        typical = match > 0.8
        if typical.sum() < 2:
            break
        template = _unit(np.median(_windows(y, moved[typical], half, half), axis=0)[None])[0]
    return moved, match > 0.8


def _regular(centres: NDArray[np.int64], typical: NDArray[np.bool_]) -> NDArray[np.bool_]:
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


def _extent(speed: Floats, share: float, centre: int, hold: int = 6) -> tuple[int, int]:
    """First and last sample of the run around ``centre`` where ``speed`` stays above a share of its peak."""
    threshold = share * float(speed[centre - 60 : centre + 61].max())
    core = np.flatnonzero(speed[centre - 35 : centre + 36] > threshold)
    if len(core) == 0:
        return centre, centre
    first, last = centre - 35 + int(core[0]), centre - 35 + int(core[-1])
    # A pause shorter than ``hold`` samples (12 ms) is a turning point of the wave, not its end.
    i, still = first, 0
    while i > max(0, centre - 100) and still < hold:
        i -= 1
        first, still = (i, 0) if speed[i] > threshold else (first, still + 1)
    i, still = last, 0
    while i < min(len(speed) - 1, centre + 120) and still < hold:
        i += 1
        last, still = (i, 0) if speed[i] > threshold else (last, still + 1)
    return first, last


def _qrs(average: Floats, centre: int) -> tuple[float, float, float, float]:
    """QRS onset and offset (samples) with their standard errors over the leads.

    The offset is where the pooled speed (root mean square of the leads' derivatives) falls below 10 % of its peak.
    The onset is the mean of a low pooled threshold, which sees a slow beginning (delta wave), and of the median of the
    leads' own 20 % crossings, which noise before the QRS does not move; each carries its fixed lag behind the boundary
    that cardiologists mark (LUDB).
    """
    speed = _boxcar(np.abs(np.gradient(average, axis=1)), 7)
    pooled = np.sqrt((speed**2).mean(axis=0))
    low_on, off = _extent(pooled, 0.10, centre)
    each = np.array([_extent(row, 0.20, centre) for row in speed], dtype=float)
    lead_on = float(np.median(each[:, 0]))
    spread = 1.25 / np.sqrt(len(each))
    on = 0.35 * (low_on - 3.5) + 0.65 * (lead_on - 9.5)
    return on, off + 1.0, float(each[:, 0].std() * spread), float(each[:, 1].std() * spread)


def _t_wave(average: Floats, qrs_on: int, qrs_off: int, rr: float, centre: int) -> tuple[float, float, float, float] | None:
    """T peak, T offset, the offset's standard error over leads, and the size of T in mV; None where there is no T.

    Each lead's steepest return from its T peak is drawn on to the level at the end of the window (tangent method,
    Lepeschkin and Surawicz 1952, doi:10.1161/01.CIR.6.3.378); the median over the leads counts.
    """
    n = average.shape[1]
    start = min(qrs_off + 20, centre + 200)
    end = int(min(n - 10, qrs_off + 250, centre + 0.92 * rr - 40 if rr < 450 else n - 10))
    end = max(end, start + 40)
    base = np.median(average[:, max(0, qrs_on - 12) : max(1, qrs_on)], axis=1, keepdims=True)
    z = _boxcar(average - base, 35)
    slope = np.gradient(z, axis=1)
    size = np.sqrt((z[:, start:end] ** 2).mean(axis=0))
    arch = size - np.linspace(size[0], size[-1], len(size))
    peak = min(start + int(np.argmax(arch)), end - 7)
    ends = []
    for row, rise in zip(z, slope, strict=True):
        near = max(start, peak - 25)
        top = near + int(np.argmax(np.abs(row[near : peak + 26])))
        if top >= end - 2:
            continue
        sign = np.sign(row[top])
        steep = top + int(np.argmin(sign * rise[top:end]))
        if sign * rise[steep] < 0:
            level = float(np.median(row[end - 10 : end]))
            ends.append(float(np.clip(steep - (row[steep] - level) / rise[steep], start, end + 20)))
    if len(ends) < max(1, len(z) // 3):
        return None
    return float(peak), float(np.median(ends)) - 0.5, float(np.std(ends) * 1.25 / np.sqrt(len(ends))), float(arch.max())


def _p_window(qrs_on: int, rr: float, centre: int) -> tuple[int, int]:
    """Where a P wave may lie on the averaged beat: at most 300 ms before QRS onset and after the T wave before it."""
    start = int(max(10, qrs_on - 150, centre - rr + min(0.42 * rr + 20, 200)))
    return min(start, qrs_on - 50), qrs_on


def _detrended(segment: Floats) -> Floats:
    """(…, samples) less the straight line between the means of the first and last 10 ms."""
    first, last = segment[..., :5].mean(axis=-1, keepdims=True), segment[..., -5:].mean(axis=-1, keepdims=True)
    return np.asarray(segment - (first + (last - first) * np.linspace(0, 1, segment.shape[-1])))


def _p_wave(average: Floats, start: int, stop: int) -> tuple[float, float, float, float, float]:
    """P onset, peak, offset (samples), the onset's standard error over leads, and the wave's size in mV.

    Each lead's steepest rise is drawn back to the lead's lowest level before it; the median over the leads counts.
    """
    z = _boxcar(average, 21)
    segment, slope = z[:, start:stop], np.gradient(z, axis=1)[:, start:stop]
    wave = _detrended(segment)
    size = np.sqrt((wave**2).mean(axis=0))
    peak, n = int(np.argmax(size)), stop - start
    ons, offs = [], []
    for row, flat, rise in zip(segment, wave, slope, strict=True):
        near = max(0, peak - 15)
        top = near + int(np.argmax(np.abs(flat[near : peak + 16])))
        sign, before, after = np.sign(flat[top]), max(0, top - 40), min(n, top + 41)
        up = before + int(np.argmax(sign * rise[before : top + 1]))
        if sign * rise[up] > 0:
            level = sign * float(np.min(sign * row[before : up + 1]))
            ons.append(up - (row[up] - level) / rise[up])
        down = top + int(np.argmin(sign * rise[top:after]))
        if sign * rise[down] < 0:
            level = sign * float(np.min(sign * row[down:after]))
            offs.append(down - (row[down] - level) / rise[down])
    on = float(np.median(np.clip(ons, 0, n))) if ons else float(max(0, peak - 25))
    off = float(np.median(np.clip(offs, 0, n))) if offs else float(min(n, peak + 25))
    spread = float(np.std(np.clip(ons, 0, n)) * 1.25 / np.sqrt(len(ons))) if ons else float("nan")
    return start + on - 2.0, float(start + peak), start + off, spread, float(size[peak])


def _p_per_beat(beats: Floats, start: int, stop: int) -> tuple[Floats, Floats]:
    """How like the mean of the other beats each beat's P window is: correlation and gain over all leads, (beats,).

    Leaving the beat itself out matters: an average of fibrillation resembles each of its parts a little.
    """
    parts = _detrended(_boxcar(beats.reshape(-1, beats.shape[2]), 11).reshape(beats.shape)[:, :, start:stop])
    flat = parts.reshape(len(parts), -1)
    others = (flat.sum(axis=0, keepdims=True) - flat) / max(len(flat) - 1, 1)
    dot = (flat * others).sum(axis=1)
    power = (others**2).sum(axis=1)
    likeness = dot / np.maximum(np.linalg.norm(flat, axis=1) * np.sqrt(power), 1e-9)
    return likeness, dot / np.maximum(power, 1e-9)


def delineate(ecg: ECG) -> Delineation | None:
    """Beats and averaged-beat boundaries of one recording; None where no beats can be told.

    Takes any leads at 50-2000 Hz; NaN samples are bridged, flat or mostly missing leads left out. Never raises on a
    signal, however poor. Several minutes are fine: cost grows with the length.
    """
    x, live = _filled(ecg.signal_mv)
    if not live.any() or ecg.duration_s < 1.0 or ecg.fs_hz < 50:
        return None
    names = tuple(name for name, ok in zip(ecg.leads, live, strict=True) if ok)
    x = _at_work_rate(x[live], ecg.fs_hz)
    wander_free, smooth, band, _ = _bands(x)
    beats = _find_beats(band)
    if len(beats) < 2:
        return None
    centres, typical = _align(smooth, beats)
    order = np.argsort(centres)
    centres, typical = centres[order], typical[order]
    regular = _regular(centres, typical)
    chosen = centres[regular]
    whole = chosen[(chosen >= _PRE) & (chosen < x.shape[1] - _POST)]
    chosen = whole if len(whole) >= 2 else chosen
    if len(chosen) == 0:
        return None
    windows = _windows(smooth, chosen, _PRE, _POST)
    average = np.median(windows, axis=0)
    good = _good_leads(windows, average)
    rr = float(np.median(np.diff(centres)))
    on, off, on_se, off_se = _qrs(average[good], _PRE)
    on_i, off_i = int(round(on)), int(round(off))
    t = _t_wave(average[good], on_i, off_i, rr, _PRE)
    start, stop = _p_window(on_i, rr, _PRE)
    p_on, p_peak, p_off, p_se, p_size = _p_wave(average[good], start, stop)
    # Noise of the averaged beat: the half difference of the averages over odd and even beats, in the P window.
    if len(windows) > 3:
        half = 0.5 * (windows[::2].mean(axis=0) - windows[1::2].mean(axis=0))[good][:, start:stop]
        noise = float(np.sqrt((_detrended(_boxcar(half, 11)) ** 2).mean()))
    else:
        noise = p_size / 2
    likeness, gain = _p_per_beat(_windows(smooth[good], centres, _PRE, 0), start, stop)
    p_ratio = p_size / max(noise, 0.002)
    has_p = (likeness > 0.45) & (gain > 0.3) & (p_size > 0.008)

    def ms(sample: float | None) -> float | None:
        return None if sample is None else (sample - _PRE) * _STEP_MS

    precise = np.median(_windows(wander_free, chosen, _PRE, _POST), axis=0)
    precise = precise - np.median(precise[:, max(0, on_i - 8) : max(1, on_i)], axis=1, keepdims=True)
    return Delineation(
        centres_s=centres / WORK_FS_HZ,
        typical=typical,
        regular=regular,
        has_p=has_p,
        average_mv=precise,
        centre=_PRE,
        leads=names,
        good=good,
        waves=Waves(
            p_on_ms=ms(p_on),
            p_peak_ms=ms(p_peak),
            p_off_ms=ms(p_off),
            qrs_on_ms=ms(on),
            qrs_off_ms=ms(off),
            t_peak_ms=ms(t[0]) if t else None,
            t_off_ms=ms(t[1]) if t else None,
        ),
        p_ratio=p_ratio,
        spread_ms=(p_se * _STEP_MS, on_se * _STEP_MS, off_se * _STEP_MS, t[2] * _STEP_MS if t else float("nan")),
    )


def _good_leads(windows: Floats, average: Floats) -> NDArray[np.bool_]:
    """Leads whose beats resemble each other; all of them where none does."""
    centre = slice(_PRE - 50, _PRE + 200)
    residue = np.median(np.abs(windows[:, :, centre] - average[None, :, centre]), axis=(0, 2))
    size = np.ptp(average[:, _PRE - 50 : _PRE + 50], axis=1)
    good = (residue < 0.15 * size) & (size > 0.05)
    if good.sum() < min(3, len(good)):
        good = size >= np.sort(size)[-min(3, len(size))]
    return np.asarray(good)


def fiducials(ecg: ECG) -> list[BeatMarks]:
    """Per-beat boundaries in samples of the recording as it came, for drawing; an empty list where no beats are found.

    Typical beats carry the averaged beat's boundaries on their own centre, P only where the beat has one; beats of
    another shape carry their QRS centre alone.
    """
    found = delineate(ecg)
    if found is None:
        return []
    w = found.waves

    def at(centre_s: float, offset_ms: float | None, wanted: bool) -> int | None:
        if offset_ms is None or not wanted:
            return None
        sample = round((centre_s + offset_ms / 1000) * ecg.fs_hz)
        return sample if 0 <= sample < ecg.n_samples else None

    marks = []
    for centre, typical, has_p in zip(found.centres_s, found.typical, found.has_p, strict=True):
        p, usual = bool(typical and has_p), bool(typical)
        marks.append(
            BeatMarks(
                qrs=min(ecg.n_samples - 1, max(0, round(centre * ecg.fs_hz))),
                qrs_on=at(centre, w.qrs_on_ms, usual),
                qrs_off=at(centre, w.qrs_off_ms, usual),
                p_on=at(centre, w.p_on_ms, p),
                p_off=at(centre, w.p_off_ms, p),
                t_peak=at(centre, w.t_peak_ms, usual),
                t_off=at(centre, w.t_off_ms, usual),
                typical=usual,
            )
        )
    return marks
