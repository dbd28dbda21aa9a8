"""Measurements of one recording: rate, rhythm regularity, intervals, axis, voltages, ST level."""

from __future__ import annotations

import math

import numpy as np

from encoders.delineate import WORK_FS_HZ, Delineation, delineate
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements

__all__ = ["measure", "measure_delineation"]

#: Logistic weights of (share of beats with P, log of the averaged P wave over its noise, log of irregularity + 0.01, 1) for
#: "sinus P waves, not fibrillation". Fitted on 950 recordings of PTB-XL folds 1-7 (AFIB against SR, STACH, SARRH, 1AVB).
_P_WEIGHTS = (4.36, 2.01, -1.69, -10.23)
#: Probability of P waves below which no PR is given: 3 % of fibrillations and 96 % of sinus rhythms pass (same folds).
_P_NEEDED = 0.75
#: A P wave in front of fewer beats than this gives no PR interval, whatever the probability.
_P_SHARE_NEEDED = 0.5
#: Beat-to-beat irregularity (RMSSD over mean RR) above which QTc is called an average over unequal beats.
IRREGULAR = 0.12
_MIN_BEATS_FOR_INTERVALS = 3


def measure(ecg: ECG) -> Measurements:
    """All measurements of ``MEASUREMENT_NAMES`` on the signal as recorded, at its own rate.

    Intervals come from the averaged beat (``encoders.delineate``), early and odd beats left out; the rate comes from all
    beats. QTc is Fridericia's QT / RR^(1/3) and Bazett's QT / RR^(1/2), RR in s (AHA/ACC/HRS 2009, part IV). The axis is
    the direction of the net QRS areas in I and aVF, aVF scaled by 2/sqrt(3) since the leads differ in strength. Voltages:
    Sokolow and Lyon 1949 (S V1 + larger R of V5, V6), Cornell (R aVL + S V3; Casale et al. 1987). ST is the level at J
    against the level just before QRS onset. No PR is given without P waves in front of most beats.

    Poor input never raises: a value that cannot be had is None with a note.
    """
    return measure_delineation(ecg, delineate(ecg))


def measure_delineation(ecg: ECG, found: Delineation | None) -> Measurements:
    """The same as ``measure`` for a recording that is already delineated (``found`` None: no beats were found)."""
    if found is None:
        note = "no heartbeats could be told from the signal"
        return Measurements(tuple(Measurement(name, None, note=note) for name in MEASUREMENT_NAMES))
    values = {m.name: m for m in (*_rhythm(found), *_intervals(ecg, found), *_amplitudes(ecg, found))}
    return Measurements(tuple(values[name] for name in MEASUREMENT_NAMES))


def _rhythm(found: Delineation) -> list[Measurement]:
    rr_ms = np.diff(found.centres_s) * 1000
    beats, leads = len(found.centres_s), found.leads
    mean = float(rr_ms.mean())
    sure = min(1.0, beats / 6) * float(found.good.mean()) ** 0.5
    out = [
        Measurement("rate_bpm", 60000 / mean, beats, leads, sure),
        Measurement("rr_ms", mean, beats, leads, sure),
    ]
    if len(rr_ms) < 3:
        note = "fewer than four beats"
        out += [Measurement(name, None, beats, leads, 0.0, note) for name in ("rr_sd_ms", "rr_irregularity", "p_wave_share")]
        return out
    rmssd = float(np.sqrt(np.mean(np.diff(rr_ms) ** 2)))
    share = float(found.has_p[found.regular].mean()) if found.regular.any() else 0.0
    clear = min(1.0, abs(share - 0.5) * 2)
    out += [
        Measurement("rr_sd_ms", float(rr_ms.std(ddof=1)), beats, leads, sure),
        Measurement("rr_irregularity", rmssd / mean, beats, leads, sure),
        Measurement("p_wave_share", share, int(found.regular.sum()), leads, sure * clear),
    ]
    return out


def _irregularity(found: Delineation) -> float:
    """RMSSD over mean RR, only over intervals between regular beats, so that single ectopic beats do not count."""
    rr = np.diff(found.centres_s)
    both = found.regular[1:] & found.regular[:-1]
    if both.sum() < 3:
        return 0.0
    kept = rr[both]
    return float(np.sqrt(np.mean(np.diff(kept) ** 2)) / kept.mean())


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
    names = ("pr_ms", "qrs_ms", "qt_ms", "qtc_ms", "qtc_bazett_ms")
    if beats < _MIN_BEATS_FOR_INTERVALS:
        note = f"only {beats} beats of one shape"
        return [Measurement(name, None, beats, leads, 0.0, note) for name in names]
    out = [_pr(found, beats, leads, p_se, on_se)]
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
        return out + [Measurement(name, None, beats, leads, 0.0, "the end of T was not found") for name in names[2:]]
    sure = _certainty(math.hypot(on_se, t_se) / 2, beats)
    # QTc rests on the interval before the measured beats, not on the mean over ectopic ones and their pauses.
    before = np.diff(found.centres_s)[found.regular[1:]]
    rr_before = float(np.median(before)) if len(before) else rr_s
    note = "irregular rhythm: QTc is an average" if _irregularity(found) > IRREGULAR else ""
    out += [
        Measurement("qt_ms", qt, beats, leads, sure),
        Measurement("qtc_ms", qt / rr_before ** (1 / 3), beats, leads, sure * (0.7 if note else 1.0), note),
        Measurement("qtc_bazett_ms", qt / rr_before**0.5, beats, leads, sure * (0.7 if note else 1.0), note),
    ]
    return out


def _pr(found: Delineation, beats: int, leads: tuple[str, ...], p_se: float, on_se: float) -> Measurement:
    """PR, or None with the reason where P waves do not stand in front of most beats."""
    w = found.waves
    share = float(found.has_p[found.regular].mean())
    terms = (share, math.log(min(max(found.p_ratio, 0.5), 100.0)), math.log(_irregularity(found) + 0.01), 1.0)
    p_there = 1 / (1 + math.exp(-sum(a * b for a, b in zip(_P_WEIGHTS, terms, strict=True))))
    if share < _P_SHARE_NEEDED or p_there < _P_NEEDED:
        return Measurement("pr_ms", None, beats, leads, 0.0, "no P wave in a fixed place before most beats")
    if w.p_on_ms is None or w.qrs_on_ms is None:
        return Measurement("pr_ms", None, beats, leads, 0.0, "the P wave's beginning was not found")
    pr = w.qrs_on_ms - w.p_on_ms
    if not 60 <= pr <= 400:
        return Measurement("pr_ms", None, beats, leads, 0.0, "the P wave's place is not plausible")
    return Measurement("pr_ms", pr, beats, leads, _certainty(math.hypot(p_se, on_se), beats) * share * p_there)


def _amplitudes(ecg: ECG, found: Delineation) -> list[Measurement]:
    beats, w, c = int(found.regular.sum()), found.waves, found.centre
    on = c + round((w.qrs_on_ms if w.qrs_on_ms is not None else -50) * WORK_FS_HZ / 1000)
    off = c + round((w.qrs_off_ms if w.qrs_off_ms is not None else 50) * WORK_FS_HZ / 1000)
    on, off = max(0, on), min(found.average_mv.shape[1] - 5, max(off, on + 4))
    row = {name: found.average_mv[i] for i, name in enumerate(found.leads)}
    good = {name for name, ok in zip(found.leads, found.good, strict=True) if ok}

    def absent(name: str, needed: tuple[str, ...]) -> Measurement:
        return Measurement(name, None, beats, needed, 0.0, f"needs {' and '.join(n for n in needed if n not in row)}")

    def sure(*names: str) -> float:
        return min(1.0, beats / 5) * (1.0 if all(n in good for n in names) else 0.3)

    def weak(*names: str) -> str:
        noisy = [n for n in names if n not in good]
        return f"noise in {', '.join(noisy)}" if noisy else ""

    def r_mv(name: str) -> float:
        return float(max(0.0, row[name][on : off + 1].max()))

    def s_mv(name: str) -> float:
        return float(max(0.0, -row[name][on : off + 1].min()))

    out = []
    if {"I", "aVF"} <= row.keys():
        x = float(row["I"][on : off + 1].sum())
        y = float(row["aVF"][on : off + 1].sum()) * 2 / math.sqrt(3)
        length = math.hypot(x, y) / (off - on + 1)
        # Where both areas are near zero the direction is arbitrary (indeterminate axis).
        if length < 0.02:
            out.append(Measurement("axis_deg", None, beats, ("I", "aVF"), 0.0, "net QRS areas in I and aVF are near zero"))
        else:
            certain = sure("I", "aVF") * min(1.0, length / 0.08)
            out.append(Measurement("axis_deg", math.degrees(math.atan2(y, x)), beats, ("I", "aVF"), certain, weak("I", "aVF")))
    else:
        out.append(absent("axis_deg", ("I", "aVF")))
    chest = tuple(n for n in ("V5", "V6") if n in row)
    if "V1" in row and chest:
        best = max(chest, key=r_mv)
        value = s_mv("V1") + r_mv(best)
        out.append(Measurement("sokolow_lyon_mv", value, beats, ("V1", best), sure("V1", best), weak("V1", best)))
    else:
        out.append(absent("sokolow_lyon_mv", ("V1", "V5", "V6")))
    if {"aVL", "V3"} <= row.keys():
        value = r_mv("aVL") + s_mv("V3")
        out.append(Measurement("cornell_mv", value, beats, ("aVL", "V3"), sure("aVL", "V3"), weak("aVL", "V3")))
    else:
        out.append(absent("cornell_mv", ("aVL", "V3")))
    for name in STANDARD_LEADS:
        if name in row:
            level = float(row[name][off + 1 : off + 5].mean())
            out.append(Measurement(f"st_j_mv_{name}", level, beats, (name,), sure(name), weak(name)))
        else:
            note = "lead flat or missing in this recording" if name in ecg.leads else "lead not recorded"
            out.append(Measurement(f"st_j_mv_{name}", None, beats, (name,), 0.0, note))
    return out
