"""Per-lead amplitudes, axes, voltages and ST levels of one recording, read off its averaged beat."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.beats import WORK_FS_HZ
from encoders.delineate import Delineation
from encoders.ecg import ECG, PRECORDIAL_LEADS, STANDARD_LEADS
from encoders.measurements import LeadMeasurement, Measurement

__all__ = ["amplitudes", "lead_table"]

_STEP_MS = 1000.0 / WORK_FS_HZ
#: A deflection below this size is noise, not a Q, R or S wave (CSE: 0.02 mV; twice that, since 100 Hz input is coarser).
_WAVE_MV = 0.04
#: The level at J is the mean of the 8 ms behind QRS offset.
_J_SAMPLES = 4
#: ST of a single beat counts as agreeing with the averaged one within this many mV, or within half of it.
_AGREE_MV = 0.05
_MIN_AREA_MV = 0.02

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Spans:
    """Samples of the averaged beat: P, QRS and T from first to last; None where the wave was not found."""

    p: tuple[int, int] | None
    qrs: tuple[int, int]
    t: tuple[int, int] | None


def _spans(found: Delineation, with_p: bool) -> _Spans:
    w, c, n = found.waves, found.centre, found.average_mv.shape[1]

    def at(ms: float | None, otherwise: float) -> int:
        return int(min(n - 1, max(0, c + round((otherwise if ms is None else ms) / _STEP_MS))))

    on = at(w.qrs_on_ms, -50)
    off = min(n - 5, max(at(w.qrs_off_ms, 50), on + 4))
    p = (at(w.p_on_ms, 0), at(w.p_off_ms, 0)) if with_p and w.p_on_ms is not None and w.p_off_ms is not None else None
    t_first = off + round(60 / _STEP_MS)
    t = (t_first, at(w.t_off_ms, 0)) if w.t_off_ms is not None and at(w.t_off_ms, 0) > t_first + 10 else None
    if p is not None and p[1] - p[0] < 10:
        p = None
    return _Spans(p, (on, off), t)


def _agreement(ecg: ECG, found: Delineation, spans: _Spans, level: Floats) -> Floats:
    """Share of the regular beats whose own ST level at J agrees with the averaged one, per lead, 0-1.

    Each beat is read against its own level before QRS, so that wander between beats does not count.
    """
    centres = found.centres_s[found.regular]
    on_s = (spans.qrs[0] - found.centre) / WORK_FS_HZ
    off_s = (spans.qrs[1] - found.centre) / WORK_FS_HZ
    before = centres[:, None] + on_s - np.linspace(0.016, 0.002, 4)[None]
    behind = centres[:, None] + off_s + np.linspace(0.002, 0.008, 4)[None]
    inside = (before[:, 0] >= 0) & (behind[:, -1] < (ecg.n_samples - 1) / ecg.fs_hz)
    if not inside.any():
        return np.zeros(len(found.leads))
    out = np.zeros(len(found.leads))
    clock = np.arange(ecg.n_samples) / ecg.fs_hz
    for i, name in enumerate(found.leads):
        x = ecg.lead(name).astype(np.float64)
        each = np.interp(behind[inside], clock, x).mean(axis=1) - np.interp(before[inside], clock, x).mean(axis=1)
        # NaN (not recorded) agrees with nothing.
        out[i] = float(np.mean(np.abs(each - level[i]) <= max(_AGREE_MV, 0.5 * abs(level[i]))))
    return out


def _q_r_s(qrs: Floats, st_mv: float) -> tuple[float, float, float, float]:
    """Q size, Q length (ms), R size and S size of one QRS, 0 where a wave is not there.

    A raised or lowered ST is no R or S: a wave must stand out from the level at J, too. Without R all of it is Q (QS).
    """
    r = float(qrs.max())
    r = r if r > _WAVE_MV and r > st_mv + _WAVE_MV else 0.0
    first_r = int(np.argmax(qrs > _WAVE_MV)) if r else len(qrs)
    q_part, s_part = qrs[:first_r], qrs[first_r:]
    q = float(-q_part.min()) if len(q_part) else 0.0
    # Where ST lies below the line, a QS must still go deeper than it.
    q = q if q > _WAVE_MV and (r > 0 or q > _WAVE_MV - st_mv) else 0.0
    below = np.flatnonzero(q_part < 0)
    q_ms = float((below[-1] - below[0] + 1) * _STEP_MS) if q else 0.0
    s = float(-s_part.min()) if len(s_part) else 0.0
    return q, q_ms, r, s if s > _WAVE_MV and s > _WAVE_MV - st_mv else 0.0


def _wave_extreme(row: Floats, first: int, last: int, *, straight: bool) -> float:
    part = row[first : last + 1]
    if straight:  # P rides on what came before it: its size is taken from the line between its ends
        part = part - np.linspace(part[0], part[-1], len(part))
    return float(part[int(np.argmax(np.abs(part)))])


def lead_table(ecg: ECG, found: Delineation, *, with_p: bool) -> tuple[LeadMeasurement, ...]:
    """One record per standard lead, in standard order. ``with_p``: whether P waves stand before the beats.

    The reliability of a lead is lowered where it is noisy and where single beats disagree with the averaged ST level.
    """
    spans, beats = _spans(found, with_p), int(found.regular.sum())
    on, off = spans.qrs
    row_of = {name: i for i, name in enumerate(found.leads)}
    average, n = found.average_mv, found.average_mv.shape[1]
    st_j = average[:, off + 1 : off + 1 + _J_SAMPLES].mean(axis=1)
    agreement = _agreement(ecg, found, spans, st_j)
    out = []
    for name in STANDARD_LEADS:
        if name not in row_of:
            note = "lead flat or missing in this recording" if name in ecg.leads else "lead not recorded"
            out.append(LeadMeasurement(name, note=note))
            continue
        i = row_of[name]
        row = average[i]
        qrs = row[on : off + 1]
        q_mv, q_ms, r_mv, s_mv = _q_r_s(qrs, float(st_j[i]))

        def level(ms: float, row: Floats = row) -> float | None:
            first = off + 1 + round(ms / _STEP_MS)
            return float(row[first : first + _J_SAMPLES].mean()) if first + _J_SAMPLES <= n else None

        good = bool(found.good[i])
        sure = min(1.0, beats / 5) * (1.0 if good else 0.3) * (0.25 + 0.75 * float(agreement[i]))
        notes = [] if good else [f"noise in {name}"]
        if agreement[i] < 2 / 3:
            notes.append("beats disagree on the ST level")
        if spans.p is None:
            notes.append("no P waves found")
        if spans.t is None:
            notes.append("the end of T was not found")
        out.append(
            LeadMeasurement(
                name,
                p_mv=None if spans.p is None else _wave_extreme(row, *spans.p, straight=True),
                q_mv=q_mv,
                q_ms=q_ms,
                r_mv=r_mv,
                s_mv=s_mv,
                qrs_area_mvms=float(qrs.sum() * _STEP_MS),
                st_j_mv=float(st_j[i]),
                st_j60_mv=level(60),
                st_j80_mv=level(80),
                t_mv=None if spans.t is None else _wave_extreme(row, *spans.t, straight=False),
                beats=beats,
                reliability=sure,
                note="; ".join(notes),
            )
        )
    return tuple(out)


def amplitudes(
    ecg: ECG, found: Delineation, leads: tuple[LeadMeasurement, ...], qrs: Measurement, *, with_p: bool
) -> list[Measurement]:
    """Axes of QRS, P and T, Sokolow-Lyon and Cornell, R progression, and ST at J per lead.

    Axes are the direction of the wave's net areas in I and aVF, aVF scaled by 2/sqrt(3) since the leads differ in strength.
    Sokolow and Lyon 1949: S in V1 + the larger R of V5 and V6; Cornell: R in aVL + S in V3 (Casale et al. 1987), its product
    with QRS duration (Molloy et al. 1992); S is the deepest point of QRS, whether or not an R comes before it.
    """
    spans, beats = _spans(found, with_p), int(found.regular.sum())
    row = {name: found.average_mv[i] for i, name in enumerate(found.leads)}
    good = {name for name, ok in zip(found.leads, found.good, strict=True) if ok}
    lead = {item.lead: item for item in leads}
    out = [
        _axis("axis_deg", row, spans.qrs, beats, good, "QRS", straight=False),
        _axis("p_axis_deg", row, spans.p, beats, good, "P", straight=True),
        _axis("t_axis_deg", row, spans.t, beats, good, "T", straight=False),
    ]

    def deepest(name: str) -> float:
        return max(lead[name].s_mv or 0.0, lead[name].q_mv or 0.0)

    def tall(name: str) -> float:
        return lead[name].r_mv or 0.0

    chest = tuple(n for n in ("V5", "V6") if n in row)
    if "V1" in row and chest:
        best = max(chest, key=tall)
        out.append(_found("sokolow_lyon_mv", deepest("V1") + tall(best), beats, ("V1", best), good))
    else:
        out.append(_absent("sokolow_lyon_mv", beats, ("V1", "V5", "V6"), row))
    if {"aVL", "V3"} <= row.keys():
        cornell = tall("aVL") + deepest("V3")
        out.append(_found("cornell_mv", cornell, beats, ("aVL", "V3"), good))
        if qrs.value is None:
            out.append(Measurement("cornell_product_mvms", None, beats, ("aVL", "V3"), 0.0, qrs.note))
        else:
            product = _found("cornell_product_mvms", cornell * qrs.value, beats, ("aVL", "V3"), good)
            out.append(product)
    else:
        out += [_absent(name, beats, ("aVL", "V3"), row) for name in ("cornell_mv", "cornell_product_mvms")]
    out.append(_transition(lead, beats, good))
    for name in STANDARD_LEADS:
        item = lead[name]
        notes = [n for n in item.note.split("; ") if "ST level" in n or "noise" in n or item.st_j_mv is None]
        out.append(Measurement(f"st_j_mv_{name}", item.st_j_mv, item.beats or beats, (name,), item.reliability, "; ".join(notes)))
    return out


def _sure(beats: int, names: tuple[str, ...], good: set[str]) -> float:
    return min(1.0, beats / 5) * (1.0 if all(n in good for n in names) else 0.3)


def _weak(names: tuple[str, ...], good: set[str]) -> str:
    noisy = [n for n in names if n not in good]
    return f"noise in {', '.join(noisy)}" if noisy else ""


def _found(name: str, value: float, beats: int, names: tuple[str, ...], good: set[str]) -> Measurement:
    return Measurement(name, value, beats, names, _sure(beats, names, good), _weak(names, good))


def _absent(name: str, beats: int, needed: tuple[str, ...], row: dict[str, Floats]) -> Measurement:
    return Measurement(name, None, beats, needed, 0.0, f"needs {' and '.join(n for n in needed if n not in row)}")


def _axis(
    name: str, row: dict[str, Floats], span: tuple[int, int] | None, beats: int, good: set[str], wave: str, *, straight: bool
) -> Measurement:
    needed = ("I", "aVF")
    if span is None:
        note = "no P waves found" if wave == "P" else "the end of T was not found"
        return Measurement(name, None, beats, needed, 0.0, note)
    if not set(needed) <= row.keys():
        return _absent(name, beats, needed, row)

    def net(lead: str) -> float:
        part = row[lead][span[0] : span[1] + 1]
        line = np.linspace(part[0], part[-1], len(part)) if straight else 0.0
        return float((part - line).sum())

    x, y = net("I"), net("aVF") * 2 / math.sqrt(3)
    length = math.hypot(x, y) / (span[1] - span[0] + 1)
    least = _MIN_AREA_MV * (0.5 if wave == "P" else 1.0)
    # Where both areas are near zero the direction is arbitrary (indeterminate axis).
    if length < least:
        return Measurement(name, None, beats, needed, 0.0, f"net {wave} areas in I and aVF are near zero")
    certain = _sure(beats, needed, good) * min(1.0, length / (4 * least))
    return Measurement(name, math.degrees(math.atan2(y, x)), beats, needed, certain, _weak(needed, good))


def _transition(lead: dict[str, LeadMeasurement], beats: int, good: set[str]) -> Measurement:
    """Chest position at which R becomes as large as S, between the last lead with R < S and the next: 1 (or below V1) to 6."""
    name, leads = "r_transition", PRECORDIAL_LEADS
    if any(lead[n].r_mv is None for n in leads):
        return Measurement(name, None, beats, leads, 0.0, "needs all of V1 to V6")
    share = []
    for n in leads:
        r, s = lead[n].r_mv or 0.0, max(lead[n].s_mv or 0.0, lead[n].q_mv or 0.0)
        share.append((r - s) / max(r + s, 0.05))
    certain, note = _sure(beats, leads, good), _weak(leads, good)
    if share[0] >= 0:
        return Measurement(name, 1.0, beats, leads, certain, "R outgrows S in V1 already")
    below = [i for i in range(6) if share[i] < 0]
    last = below[-1]
    if last == 5:
        return Measurement(name, None, beats, leads, certain, "R stays smaller than S up to V6: no transition")
    step = -share[last] / (share[last + 1] - share[last])
    return Measurement(name, last + 1 + step, beats, leads, certain, note)
