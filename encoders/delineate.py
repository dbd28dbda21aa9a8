"""Waves of a recording: P, QRS and T with onset, peak and offset, per lead and beat, and over all leads.

How to use it::

    found = delineate(ecg)                 # Delineation, or None where no two beats can be told
    for wave in found.fiducials.waves:     # Wave(lead="II", wave="P", beat=3, onset=…, peak=…, offset=…, reliability=…)
        …                                  # positions are floats in samples of the file (ecg.fs_hz); never NaN
    found.fiducials.overall                # the same with lead "global": earliest onset to latest offset over the leads
    found.waves                            # medians over regular beats and good leads, in ms from the QRS centre
    found.overall                          # the same for the global boundaries

``beat`` is the index into ``centres_s`` (and ``typical``, ``regular``, ``has_p``) of the beat that a P wave leads to, that the
QRS is, or that the T wave ends; None for P waves that lead to no QRS and T waves whose QRS lies before the recording.

The way through: leads without signal are set aside, the rest goes through ``encoders.segment`` (250 Hz, any number of leads),
whose probabilities become waves in ``encoders.waves``. Beats are then aligned on their shape and averaged by the median
(``encoders.beats``): an averaged beat is what carts measure amplitudes on (AHA/ACC/HRS 2007, part I). Figures on LUDB
(Kalyakulina et al. 2020, doi:10.1109/ACCESS.2020.3029211), beside NeuroKit2's: ``tests/benchmarks/ludb.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from encoders.beats import WORK_FS_HZ, align, at_work_rate, bands, filled, regular_beats, windows, without_steps
from encoders.ecg import ECG
from encoders.waves import SEGMENT_FS_HZ, Event, find_events, peaks, place

if TYPE_CHECKING:
    from encoders.segment import SegmentNetwork

__all__ = [
    "Delineation",
    "Fiducials",
    "Wave",
    "Waves",
    "delineate",
    "fiducials",
    "irregularity",
    "without_fibrillation_p",
]

#: The averaged beat reaches from 450 ms before the QRS centre to 700 ms after it.
_PRE, _POST = 225, 350
_STEP_MS = 1000.0 / WORK_FS_HZ
#: Shares of the per-lead boundaries that count as the earliest onset and the latest offset: one lead in ten may stray.
_EARLIEST, _LATEST = 0.1, 0.9
#: Longer recordings go through the network in pieces of this many s, with as much as ``_OVERLAP_S`` seen on either side.
_PIECE_S, _OVERLAP_S = 60.0, 4.0
#: Share of the steepness of a recording's QRS complexes below which a "QRS" is a P wave.
_SMALL_QRS = 0.25
_NEIGHBOURS = 40
#: RMSSD over mean RR above which, and share of beats with P below which, P waves are taken for fibrillatory ones.
_UNEVEN, _P_EXPECTED = 0.10, 0.5
_WAVE_NAMES = ("none", "P", "QRS", "T")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Wave:
    """One wave in one lead ("global": over all leads). ``wave`` is "P", "QRS" or "T"; ``onset``, ``peak`` and ``offset`` are in
    samples of the file, between samples; ``reliability`` 0-1 is the network's best probability within the wave in that lead.
    """

    lead: str
    wave: str
    beat: int | None
    onset: float
    peak: float
    offset: float
    reliability: float


@dataclass(frozen=True)
class Fiducials:
    """All waves, in order of lead and time, and the same over all leads together, in order of time."""

    waves: tuple[Wave, ...]
    overall: tuple[Wave, ...]


@dataclass(frozen=True)
class Waves:
    """Boundaries in ms from the QRS centre (negative: before it); None where not found."""

    p_on_ms: float | None
    p_peak_ms: float | None
    p_off_ms: float | None
    qrs_on_ms: float | None
    qrs_off_ms: float | None
    t_on_ms: float | None
    t_peak_ms: float | None
    t_off_ms: float | None


@dataclass(frozen=True)
class Delineation:
    """What was found in one recording.

    Attributes
    ----------
    fiducials : every wave of every beat.
    centres_s : QRS centres in s from the start of the recording, (beats,).
    typical : True for beats of the prevailing shape, (beats,).
    regular : typical beats that do not come early and do not follow an early beat, (beats,): intervals rest on these.
    has_p : beats with a P wave that leads to them, (beats,).
    average_mv : the averaged beat (leads, samples) at 500 Hz, in mV against the level just before QRS onset.
    centre : sample of the QRS centre in ``average_mv``.
    leads : lead of each row; ``good``: rows that boundaries rest on.
    waves : medians over regular beats and good leads of the leads' own boundaries.
    overall : medians over regular beats of the global boundaries.
    pr_ms : PR of each beat (medians of the good leads' boundaries), (beats,), NaN where no P wave leads to it: how steady it is
        tells conduction from dissociation.
    p_probability : 0-1, the mean over regular beats of the network's probability of a P wave in front.
    spread_ms : standard error of (p_on, qrs_on, qrs_off, t_off) over the leads, NaN where not found.
    """

    fiducials: Fiducials
    centres_s: Floats
    typical: NDArray[np.bool_]
    regular: NDArray[np.bool_]
    has_p: NDArray[np.bool_]
    average_mv: Floats
    centre: int
    leads: tuple[str, ...]
    good: NDArray[np.bool_]
    waves: Waves
    overall: Waves
    pr_ms: Floats
    p_probability: float
    spread_ms: tuple[float, float, float, float]


@lru_cache(maxsize=1)
def _shipped() -> SegmentNetwork:
    from encoders.segment import load_segmenter

    return load_segmenter(Path(__file__).with_name("weights"))


def delineate(ecg: ECG, network: SegmentNetwork | None = None) -> Delineation | None:
    """Waves of one recording; None where no two beats can be told. ``network``: another than the shipped one.

    Takes any leads at 50-2000 Hz, and knows the twelve standard ones by name; NaN samples are bridged, flat or mostly missing
    leads left out. Never raises on a signal, however poor; raises ArtefactError where the weights are damaged. Cost grows with
    the length.
    """
    if ecg.duration_s < 1.0 or ecg.fs_hz < 50:
        return None
    x, live = filled(ecg.signal_mv)
    if not live.any():
        return None
    names = tuple(name for name, ok in zip(ecg.leads, live, strict=True) if ok)
    x = x[live]
    if ecg.duration_s > _PIECE_S:
        # In 600 resting recordings this never changed a beat, so these stay as they are.
        x = without_steps(x, ecg.fs_hz)
    seen, p_L4T = _probabilities(x, ecg.fs_hz, names, network or _shipped())
    p_L4T = _small_qrs_to_p(seen, p_L4T, find_events(p_L4T.mean(axis=0)))
    events = find_events(p_L4T.mean(axis=0))
    n_beats = sum(e.kind == 2 for e in events)
    if n_beats < 2:
        return None
    marks = _marks(seen, p_L4T, events)
    work = at_work_rate(x, ecg.fs_hz)
    return _summarised(ecg, names, work, events, marks)


def fiducials(ecg: ECG, network: SegmentNetwork | None = None) -> Fiducials:
    """Only the waves of ``delineate``, as ``without_fibrillation_p`` leaves them; none where no two beats can be told."""
    found = delineate(ecg, network)
    return without_fibrillation_p(found) if found is not None else Fiducials((), ())


def without_fibrillation_p(found: Delineation) -> Fiducials:
    """The waves, without P where the rhythm looks like atrial fibrillation: irregular, and P before less than half of the beats.

    Single fibrillatory waves look like P. On 120 recordings of PTB-XL labelled as fibrillation this leaves P before 3 % of the
    beats (14 % without it); of 60 each with sinus arrhythmia, first-degree block and atrial extrasystoles it silences 1 or 2.
    """
    if irregularity(found) <= _UNEVEN or found.has_p.mean() >= _P_EXPECTED:
        return found.fiducials
    each, overall = found.fiducials.waves, found.fiducials.overall
    return Fiducials(tuple(w for w in each if w.wave != "P"), tuple(w for w in overall if w.wave != "P"))


def irregularity(found: Delineation) -> float:
    """RMSSD over mean RR, only over intervals between regular beats, so that single ectopic beats do not count."""
    rr = np.diff(found.centres_s)
    both = found.regular[1:] & found.regular[:-1]
    if both.sum() < 3:
        return 0.0
    kept = rr[both]
    return float(np.sqrt(np.mean(np.diff(kept) ** 2)) / kept.mean())


def _probabilities(
    x: Floats, fs_hz: float, names: tuple[str, ...], network: SegmentNetwork
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The prepared leads (leads, n) at 250 Hz and the class probabilities (leads, 4, n)."""
    from encoders.segment import prepared, probabilities

    seen = prepared(x, fs_hz)
    n, piece, overlap = seen.shape[1], int(_PIECE_S * SEGMENT_FS_HZ), int(_OVERLAP_S * SEGMENT_FS_HZ)
    if n <= piece + 2 * overlap:
        return seen, probabilities(network, [seen], names)[0]
    starts = range(0, n, piece)
    parts = probabilities(network, [seen[:, max(0, s - overlap) : s + piece + overlap] for s in starts], names)
    kept = [p[..., s - max(0, s - overlap) :][..., :piece] for s, p in zip(starts, parts, strict=True)]
    return seen, np.concatenate(kept, axis=2)


def _small_qrs_to_p(seen: NDArray[np.float32], p_L4T: NDArray[np.float32], events: list[Event]) -> NDArray[np.float32]:
    """Probabilities in which a "QRS" far less steep than the recording's others is a P wave instead.

    Without this, P waves that are not conducted (AV block) were counted as beats, which doubled the rate: the network has seen
    few of them. Steepness is the largest slope, root mean square over the leads, and is compared with the upper quartile
    of the ``_NEIGHBOURS`` beats on either side.
    """
    speed = np.sqrt((np.gradient(seen.astype(np.float64), axis=1) ** 2).mean(axis=0))
    beats = [e for e in events if e.kind == 2]
    if len(beats) < 3:
        return p_L4T
    steep = np.array([speed[max(0, int(e.first)) : int(e.last) + 2].max(initial=0.0) for e in beats])
    usual = np.quantile(steep, 0.75)
    if len(steep) > _NEIGHBOURS + 1:
        usual = np.array([np.quantile(steep[max(0, i - _NEIGHBOURS) : i + _NEIGHBOURS + 1], 0.75) for i in range(len(steep))])
    small = steep < _SMALL_QRS * usual
    if not small.any():
        return p_L4T
    out = p_L4T.copy()
    for event, is_small in zip(beats, small, strict=True):
        if is_small:
            a, b = max(0, int(event.first) - 5), int(event.last) + 6
            out[:, 1, a:b] += out[:, 2, a:b]
            out[:, 2, a:b] = 0.0
    return out


def _marks(seen: NDArray[np.float32], p_L4T: NDArray[np.float32], events: list[Event]) -> Floats:
    """(events, leads, 4): onset, peak, offset in samples at 250 Hz and the lead's probability.

    A lead that shows no boundary of its own takes the median of the others, and the pooled run's where none has one.
    """
    out = np.zeros((len(events), len(seen), 4))
    for i, event in enumerate(events):
        on, off, top = place(p_L4T[:, event.kind], event)
        own = np.isfinite(on) & np.isfinite(off) & (top > 0.3)
        if not own.all():
            on = np.where(own, on, np.median(on[own]) if own.any() else event.first)
            off = np.where(own, off, np.median(off[own]) if own.any() else event.last)
        out[i, :, 0], out[i, :, 2] = on, off
        out[i, :, 3] = top
        out[i, :, 1] = peaks(seen, out[i, :, 0], out[i, :, 2], event.kind)
    return out


def _over_leads(marks: Floats) -> Floats:
    """(events, 4): earliest onset, median peak, latest offset, mean probability over the leads that show the wave."""
    shown = marks[:, :, 3] > 0.5
    shown |= ~shown.any(axis=1, keepdims=True)
    count = shown.sum(axis=1)

    def at_share(column: int, share: float) -> Floats:
        # The quantile over the leads that count: the others sort to the end.
        ranked = np.sort(np.where(shown, marks[:, :, column], np.inf), axis=1)
        place, rows = share * (count - 1), np.arange(len(marks))
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, count - 1)
        return np.asarray(ranked[rows, low] + (place - low) * (ranked[rows, high] - ranked[rows, low]), np.float64)

    columns = [at_share(0, _EARLIEST), at_share(1, 0.5), at_share(2, _LATEST), marks[:, :, 3].mean(axis=1)]
    return np.stack(columns, axis=1)


def _fiducials(names: tuple[str, ...], events: list[Event], marks: Floats, pooled: Floats, scale: float) -> Fiducials:
    """Waves in samples of the file; ``scale``: samples of the file per sample at 250 Hz."""

    def waves(lead: str, rows: Floats) -> list[Wave]:
        table = np.concatenate([rows[:, :3] * scale, rows[:, 3:]], axis=1).tolist()
        return [Wave(lead, _WAVE_NAMES[e.kind], e.beat, *row) for e, row in zip(events, table, strict=True)]

    each = [wave for lead, name in enumerate(names) for wave in waves(name, marks[:, lead])]
    return Fiducials(tuple(each), tuple(waves("global", pooled)))


def _medians(events: list[Event], at: Floats, centres: Floats, chosen: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Boundaries against the QRS centre: medians over the chosen beats, (leads, 9), and over beats and leads, (9,); NaN where
    no chosen beat has the wave. ``at`` (events, leads, 3) and ``centres`` (beats,) in ms."""
    parts: list[list[Floats]] = [[], [], []]
    for event, row in zip(events, at, strict=True):
        if event.beat is not None and chosen[event.beat]:
            parts[event.kind - 1].append(row - centres[event.beat])
    each, all_of = np.full((at.shape[1], 9), np.nan), np.full(9, np.nan)
    for k, rows in enumerate(parts):
        if rows:
            each[:, 3 * k : 3 * k + 3] = np.median(rows, axis=0)
            all_of[3 * k : 3 * k + 3] = np.median(np.concatenate(rows), axis=0)
    return each, all_of


def _waves(nine: Floats) -> Waves:
    p_on, p_peak, p_off, qrs_on, _, qrs_off, t_on, t_peak, t_off = (float(v) if np.isfinite(v) else None for v in nine)
    return Waves(p_on, p_peak, p_off, qrs_on, qrs_off, t_on, t_peak, t_off)


def _good_leads(beats: Floats, average: Floats) -> NDArray[np.bool_]:
    """Leads whose beats resemble each other; all of them where none does."""
    centre = slice(_PRE - 50, _PRE + 200)
    residue = np.median(np.abs(beats[:, :, centre] - average[None, :, centre]), axis=(0, 2))
    size = np.ptp(average[:, _PRE - 50 : _PRE + 50], axis=1)
    good = (residue < 0.15 * size) & (size > 0.05)
    if good.sum() < min(3, len(good)):
        good = size >= np.sort(size)[-min(3, len(size))]
    return np.asarray(good)


def _summarised(ecg: ECG, names: tuple[str, ...], x: Floats, events: list[Event], marks: Floats) -> Delineation:
    """The averaged beat at 500 Hz (``x``: leads, samples) and the medians of the boundaries."""
    wander_free, smooth, _, _ = bands(x)
    middle = np.median(marks[[e.kind == 2 for e in events]][:, :, [0, 2]].mean(axis=2), axis=1)
    at_500 = np.clip(np.rint(middle * WORK_FS_HZ / SEGMENT_FS_HZ), 0, x.shape[1] - 1).astype(np.int64)
    centres, typical = align(smooth, at_500)
    regular = regular_beats(centres, typical)
    if not regular.any():
        typical, regular = np.ones_like(typical), np.ones_like(regular)
    chosen = centres[regular]
    whole = chosen[(chosen >= _PRE) & (chosen < x.shape[1] - _POST)]
    chosen = whole if len(whole) >= 2 else chosen
    shapes = windows(smooth, chosen, _PRE, _POST)
    good = _good_leads(shapes, np.median(shapes, axis=0))
    pooled = _over_leads(marks)
    ms, centres_ms = 1000 / SEGMENT_FS_HZ, np.asarray(centres * _STEP_MS, np.float64)
    each, median = _medians(events, marks[:, good, :3] * ms, centres_ms, regular)
    _, widest = _medians(events, pooled[:, None, :3] * ms, centres_ms, regular)
    spread = each[:, [0, 3, 5, 8]].std(axis=0) * 1.25 / np.sqrt(len(each))
    p_of = {e.beat: e.probability for e in events if e.kind == 1 and e.beat is not None}
    pr_ms = np.full(len(centres), np.nan)
    onsets = np.median(marks[:, good, 0], axis=1)
    onset_of = {(e.kind, e.beat): float(onset) for e, onset in zip(events, onsets, strict=True)}
    for beat in p_of:
        pr_ms[beat] = (onset_of[2, beat] - onset_of[1, beat]) * ms
    average = np.median(windows(wander_free, chosen, _PRE, _POST), axis=0)
    onset = int(np.clip(_PRE + round((median[3] if np.isfinite(median[3]) else -50.0) / _STEP_MS), 9, _PRE))
    average = average - np.median(average[:, onset - 8 : onset], axis=1, keepdims=True)
    return Delineation(
        fiducials=_fiducials(names, events, marks, pooled, ecg.fs_hz / SEGMENT_FS_HZ),
        centres_s=centres / WORK_FS_HZ,
        typical=typical,
        regular=regular,
        has_p=np.array([k in p_of for k in range(len(centres))]),
        average_mv=average,
        centre=_PRE,
        leads=names,
        good=good,
        waves=_waves(median),
        overall=_waves(widest),
        pr_ms=pr_ms,
        p_probability=float(np.mean([p_of.get(k, 0.0) for k in np.flatnonzero(regular).tolist()])),
        spread_ms=(float(spread[0]), float(spread[1]), float(spread[2]), float(spread[3])),
    )
