"""Measurements of one recording: rate and rhythm, intervals, axes, voltages, ST levels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from encoders.amplitudes import amplitudes, lead_table
from encoders.delineate import Delineation, delineate, irregularity
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.measurements import MEASUREMENT_NAMES, MORE_NAMES, LeadMeasurement, Measurement, Measurements
from encoders.quality import limited_by_filters
from encoders.rhythm import rhythm

__all__ = ["measure", "measure_delineation"]

#: Mean probability of a P wave in front of the regular beats (the delineation network's) below which no PR is given.
_P_NEEDED = 0.5
#: A P wave in front of fewer beats than this gives no PR interval, whatever the probability.
_P_SHARE_NEEDED = 0.5
#: Beat-to-beat irregularity (RMSSD over mean RR) above which QTc is called an average over unequal beats.
IRREGULAR = 0.12
_MIN_BEATS_FOR_INTERVALS = 3
#: Rates between which Bazett's correction is used without a flag, /min; outside it over- or undercorrects (part IV, 2009).
_BAZETT_BPM = (60.0, 90.0)
#: From this QRS duration QT holds much depolarisation and every QTc is flagged (part IV, 2009).
_WIDE_MS = 120.0


def measure(ecg: ECG) -> Measurements:
    """All measurements of ``MEASUREMENT_NAMES`` and ``MORE_NAMES``, and the per-lead table, on the signal as recorded.

    Intervals come from the averaged beat (``encoders.delineate``), early and odd beats left out; the rate comes from all
    beats. QTc, with RR in s (AHA/ACC/HRS 2009, part IV): Fridericia QT / RR^(1/3), which decides; Bazett QT / RR^(1/2),
    flagged outside 60 to 90/min; Framingham QT + 154 ms (1 - RR); Hodges QT + 1.75 ms (rate - 60); all flagged from a QRS of
    120 ms. No PR is given without P waves in front of most beats. Axes, voltages and ST: ``encoders.amplitudes``; RR
    statistics, pauses, premature beats and atrial rate: ``encoders.rhythm``.

    Poor input never raises: a value that cannot be had is None with a note.
    """
    return measure_delineation(ecg, delineate(ecg))


def measure_delineation(ecg: ECG, found: Delineation | None) -> Measurements:
    """The same as ``measure`` for a recording that is already delineated (``found`` None: no beats were found)."""
    if found is None:
        note = "no heartbeats could be told from the signal"
        return Measurements(
            tuple(Measurement(name, None, note=note) for name in MEASUREMENT_NAMES),
            tuple(Measurement(name, None, note=note) for name in MORE_NAMES),
            tuple(LeadMeasurement(name, note=note if name in ecg.leads else "lead not recorded") for name in STANDARD_LEADS),
        )
    intervals = {m.name: m for m in _intervals(ecg, found)}
    with_p = intervals["pr_ms"].value is not None
    leads = lead_table(ecg, found, with_p=with_p)
    qrs = intervals["qrs_ms"]
    others = (*rhythm(ecg, found, qrs.value), *amplitudes(ecg, found, leads, qrs, with_p=with_p))
    limited = set(limited_by_filters(ecg.filters))
    values = {name: _filtered(m, ecg, limited) for name, m in {**intervals, **{m.name: m for m in others}}.items()}
    return Measurements(
        tuple(values[name] for name in MEASUREMENT_NAMES), tuple(values[name] for name in MORE_NAMES), leads
    )


def _filtered(item: Measurement, ecg: ECG, limited: set[str]) -> Measurement:
    """The same value, with the filter of the file named that may have changed it."""
    if item.name not in limited or item.value is None:
        return item
    hz, kind = (ecg.filters.high_pass_hz, "high-pass") if item.name.startswith("st_j") else (ecg.filters.low_pass_hz, "low-pass")
    said = f"the file states a {kind} filter of {hz:g} Hz"
    return replace(item, note=f"{item.note}; {said}" if item.note else said)


def _certainty(spread_ms: float, beats: int) -> float:
    """1 where leads agree within 2 ms, 0.5 where their median is uncertain by 8 ms; fewer than five beats count less."""
    if math.isnan(spread_ms):
        return 0.0
    return float(1 / (1 + (spread_ms / 8) ** 2)) * min(1.0, beats / 5)


def _intervals(ecg: ECG, found: Delineation) -> list[Measurement]:
    w, beats = found.waves, int(found.regular.sum())
    leads = tuple(name for name, ok in zip(found.leads, found.good, strict=True) if ok)
    p_se, on_se, off_se, t_se = found.spread_ms
    rr_s = float(np.median(np.diff(found.centres_s)))
    names = ("p_ms", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms", "qtc_bazett_ms", "qtc_framingham_ms", "qtc_hodges_ms")
    if beats < _MIN_BEATS_FOR_INTERVALS:
        note = f"only {beats} beats of one shape"
        return [Measurement(name, None, beats, leads, 0.0, note) for name in names]
    pr = _pr(found, beats, leads, p_se, on_se)
    out = [_p_duration(found, pr), pr]
    qrs = None if w.qrs_on_ms is None or w.qrs_off_ms is None else w.qrs_off_ms - w.qrs_on_ms
    if qrs is not None and not 40 <= qrs <= 260:
        out.append(Measurement("qrs_ms", None, beats, leads, 0.0, "QRS boundaries are not plausible"))
        qrs = None
    elif qrs is None:
        out.append(Measurement("qrs_ms", None, beats, leads, 0.0, "QRS boundaries were not found"))
    else:
        weak = "sampled at about 100 Hz: good to about 10 ms" if ecg.fs_hz < 200 else ""
        out.append(Measurement("qrs_ms", qrs, beats, leads, _certainty(math.hypot(on_se, off_se), beats), weak))
    qt = None if w.t_off_ms is None or w.qrs_on_ms is None or qrs is None else w.t_off_ms - w.qrs_on_ms
    if qt is None or not 180 <= qt <= 800:
        return out + [Measurement(name, None, beats, leads, 0.0, "the end of T was not found") for name in names[3:]]
    sure = _certainty(math.hypot(on_se, t_se) / 2, beats)
    # QTc rests on the interval before the measured beats, not on the mean over ectopic ones and their pauses.
    before = np.diff(found.centres_s)[found.regular[1:]]
    rr_before = float(np.median(before)) if len(before) else rr_s
    rate = 60 / rr_before
    notes = ["irregular rhythm: QTc is an average"] if irregularity(found) > IRREGULAR else []
    if qrs is not None and qrs >= _WIDE_MS:
        notes.append("QRS is 120 ms or more: QT holds much of the depolarisation")
    off_range = [] if _BAZETT_BPM[0] <= rate <= _BAZETT_BPM[1] else ["Bazett misjudges rates outside 60 to 90/min"]
    out.append(Measurement("qt_ms", qt, beats, leads, sure))
    for name, value, more in (
        ("qtc_ms", qt / rr_before ** (1 / 3), []),
        ("qtc_bazett_ms", qt / rr_before**0.5, off_range),
        ("qtc_framingham_ms", qt + 154 * (1 - rr_before), []),
        ("qtc_hodges_ms", qt + 1.75 * (rate - 60), []),
    ):
        said = [*notes, *more]
        out.append(Measurement(name, value, beats, leads, sure * 0.7 ** len(said), "; ".join(said)))
    return out


def _p_duration(found: Delineation, pr: Measurement) -> Measurement:
    """P from its earliest to its latest boundary, where there is a PR interval to go with it."""
    w = found.waves
    if pr.value is None:
        return Measurement("p_ms", None, pr.beats, pr.leads, 0.0, pr.note)
    if w.p_on_ms is None or w.p_off_ms is None or not 30 <= w.p_off_ms - w.p_on_ms <= 220:
        return Measurement("p_ms", None, pr.beats, pr.leads, 0.0, "the P wave's end was not found")
    return Measurement("p_ms", w.p_off_ms - w.p_on_ms, pr.beats, pr.leads, pr.reliability)


def _pr(found: Delineation, beats: int, leads: tuple[str, ...], p_se: float, on_se: float) -> Measurement:
    """PR, or None with the reason where P waves do not stand in front of most beats."""
    w = found.waves
    share = float(found.has_p[found.regular].mean())
    p_there = found.p_probability
    if share < _P_SHARE_NEEDED or p_there < _P_NEEDED:
        return Measurement("pr_ms", None, beats, leads, 0.0, "no P waves found in a fixed place before most beats")
    if w.p_on_ms is None or w.qrs_on_ms is None:
        return Measurement("pr_ms", None, beats, leads, 0.0, "the P wave's beginning was not found")
    pr = w.qrs_on_ms - w.p_on_ms
    if not 60 <= pr <= 400:
        return Measurement("pr_ms", None, beats, leads, 0.0, "the P wave's place is not plausible")
    return Measurement("pr_ms", pr, beats, leads, _certainty(math.hypot(p_se, on_se), beats) * share * p_there)
