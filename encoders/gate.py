"""The quality gate: is this recording good enough to be read, and if not, what should be done about it.

It looks at the signal as recorded. What can be stated as a rule is a rule (length, rate, missing, flat, clipped, gain,
swapped arms); how noisy is too noisy is a small logistic model on signs of every lead, fitted on recordings that experts
called acceptable or not (``encoders.gate_fit``; Silva, Moody and Celi 2011, PhysioNet/CinC Challenge 2011).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.delineate import WORK_FS_HZ, Delineation, delineate
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import ArtefactError
from encoders.gate_features import FEATURE_NAMES, LEAD_FEATURES, LeadSigns, feature_vector, lead_signs
from encoders.quality import Quality

__all__ = ["MIN_DURATION_S", "MIN_FS_HZ", "arm_swap_suspected", "check"]

#: The encoder was trained on 10 s; with less than 8 s too few beats remain for rhythm and averages.
MIN_DURATION_S = 8.0
#: Below about 90 Hz QRS boundaries are lost altogether (AHA/ACC/HRS 2007, part I asks for 500 Hz).
MIN_FS_HZ = 90.0
#: A QRS above 10 mV in the middle lead does not come from a heart; neither does one below 0.02 mV in every lead.
_MAX_QRS_MV, _MIN_QRS_MV = 10.0, 0.02
_LOW_QRS_MV = 0.1
#: Share of samples that sit on one and the same extreme value: more is a rail.
_RAIL_SHARE = 0.006
_NOISY_COHERENCE = 0.6
_EINTHOVEN = 0.35

Floats = NDArray[np.float64]


@dataclass
class _Notes:
    """What has been found so far; ``worst`` 0 usable, 1 limited, 2 unusable."""

    worst: int = 0
    reasons: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)

    def add(self, level: int, flag: str, reason: str, bad: tuple[str, ...] = ()) -> None:
        self.worst = max(self.worst, level)
        self.reasons.append(reason)
        if flag not in self.flags:
            self.flags.append(flag)
        self.bad |= set(bad)


@dataclass(frozen=True)
class _Model:
    columns: tuple[int, ...]
    mean: Floats
    scale: Floats
    weights: Floats
    intercept: float
    unusable_below: float

    def score(self, features: Floats) -> float:
        z = np.clip((features[list(self.columns)] - self.mean) / self.scale, -4, 4)
        return float(1 / (1 + np.exp(-(z @ self.weights + self.intercept))))


@cache
def _model() -> _Model:
    file = Path(__file__).with_name("weights") / "gate.json"
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        return _Model(
            columns=tuple(FEATURE_NAMES.index(name) for name in raw["features"]),
            mean=np.array(raw["mean"]),
            scale=np.array(raw["scale"]),
            weights=np.array(raw["weights"]),
            intercept=float(raw["intercept"]),
            unusable_below=float(raw["unusable_below"]),
        )
    except (OSError, ValueError, KeyError) as error:
        raise ArtefactError(
            "The quality gate's weights (gate.json) are missing or damaged; install the package again."
        ) from error


def check(ecg: ECG) -> Quality:
    """Verdict on a recording as recorded: "usable", "limited" or "unusable", with reasons that a person can act on.

    ``score`` is continuous, 0-1: the model's probability that experts would accept the recording, pulled down where a
    rule calls it unusable. ``lead_noise_mv`` is the size of what lies between 25 and 45 Hz between the beats. Takes any
    ``ECG`` and never raises on a signal.
    """
    notes = _Notes()
    _duration_rate_leads(ecg, notes)
    if ecg.duration_s < 1.0 or ecg.fs_hz < 50:
        return Quality("unusable", 0.0, tuple(notes.reasons), tuple(notes.flags))
    dead = _dead_leads(ecg, notes)
    if len(dead) == len(ecg.leads):
        return _quality(0.0, notes, {})
    gain = _gain(ecg, dead)
    usual = ecg if gain == 1.0 else replace(ecg, signal_mv=ecg.signal_mv * np.float32(gain))
    signs = lead_signs(usual)
    score = _model().score(feature_vector(signs))
    noise = dict(zip(ecg.leads, (signs.hf_mv / gain).tolist(), strict=True))
    _rails(ecg, dead, notes)
    _amplitude(signs, gain, dead, ecg, notes)
    _noise(signs, score, dead, ecg, notes)
    if signs.einthoven > _EINTHOVEN and not {"I", "II", "III"} & (dead | notes.bad):
        notes.add(
            1,
            "limb_leads_inconsistent",
            "Lead II is not the sum of I and III: limb leads are mislabelled or not simultaneous; check the lead order.",
        )
    if arm_swap_suspected(usual):
        notes.add(
            1,
            "arm_swap_suspected",
            "P, QRS and T are upside down in lead I while the chest leads are as usual: the arm electrodes look swapped; "
            "check them and record again.",
            ("I", "II", "III", "aVR", "aVL"),
        )
    return _quality(score, notes, noise)


def _quality(score: float, notes: _Notes, noise: dict[str, float]) -> Quality:
    # A recording that a rule calls unusable never scores above one that the model calls usable.
    score = score * 0.5 if notes.worst == 2 and score >= _model().unusable_below else score
    order = {name: i for i, name in enumerate(STANDARD_LEADS)}
    bad = tuple(sorted(notes.bad, key=lambda name: (order.get(name, 99), name)))
    verdict = ("usable", "limited", "unusable")[notes.worst]
    return Quality(verdict, min(1.0, max(0.0, score)), tuple(notes.reasons), tuple(notes.flags), bad, noise)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _duration_rate_leads(ecg: ECG, notes: _Notes) -> None:
    if ecg.duration_s < MIN_DURATION_S:
        notes.add(
            2, "too_short", f"The recording lasts {ecg.duration_s:.1f} s; at least 8 s are needed, 10 s are usual: record again."
        )
    if ecg.fs_hz < MIN_FS_HZ:
        notes.add(2, "low_rate", f"It was sampled at {ecg.fs_hz:.0f} Hz; at least 90 Hz are needed: export it at its full rate.")
    missing = [name for name in STANDARD_LEADS if name not in ecg.leads]
    if missing:
        notes.add(
            2,
            "missing_leads",
            f"{'Lead' if len(missing) == 1 else 'Leads'} {_listed(missing)} {'is' if len(missing) == 1 else 'are'} not in the "
            "recording; a report needs the twelve standard leads: give the full recording.",
        )


def _dead_leads(ecg: ECG, notes: _Notes) -> set[str]:
    """Leads that carry nothing over most of the recording."""
    known = np.isfinite(ecg.signal_mv)
    gaps = {name for name, row in zip(ecg.leads, known, strict=True) if row.mean() < 0.8}
    flat, zero = set(), set()
    width = max(2, round(0.5 * ecg.fs_hz))
    n = ecg.n_samples // width
    for name, values in zip(ecg.leads, ecg.signal_mv, strict=True):
        if name in gaps:
            continue
        parts = np.ptp(np.nan_to_num(values[: n * width].astype(np.float64)).reshape(n, width), axis=1)
        # A lead with gain 1/1000 moves by a microvolt; one that is off does not move at all, or drifts without a beat.
        if (parts < 1e-5).mean() > 0.5:
            flat.add(name)
            if not np.nan_to_num(values).any():
                zero.add(name)
    dead = gaps | flat
    everything = len(dead) == len(ecg.leads)
    if everything and zero == dead:
        notes.add(2, "flat", "Every sample is zero: nothing was recorded; connect the electrodes and record again.", tuple(dead))
        return dead
    if everything and flat:
        notes.add(2, "flat", "No lead shows any signal; connect the electrodes and record again.", tuple(dead))
        return dead
    for names, flag, single, several in (
        (flat, "lead_off", "shows a flat line", "show flat lines"),
        (gaps, "missing_samples", "lacks more than a fifth of its samples", "lack more than a fifth of their samples"),
    ):
        if names:
            listed = _listed([name for name in ecg.leads if name in names])
            level = 2 if names & set(STANDARD_LEADS) else 1
            many = len(names) > 1
            notes.add(
                level,
                flag,
                f"{'Leads' if many else 'Lead'} {listed} {several if many else single}; "
                "check the electrode and its cable and record again.",
                tuple(names),
            )
    return dead


def _gain(ecg: ECG, dead: set[str]) -> float:
    """1, or the factor that brings a recording of quite another size to about 1 mV so that its shape can be looked at."""
    rows = [values for name, values in zip(ecg.leads, ecg.signal_mv, strict=True) if name not in dead]
    # Differences over 40 ms leave wander and offsets out.
    lag = max(1, round(0.04 * ecg.fs_hz))
    sizes = [float(np.nanpercentile(np.abs(row[lag:] - row[:-lag]), 98)) for row in rows]
    size = float(np.median([s for s in sizes if np.isfinite(s)] or [1.0]))
    return 1.0 if 0.004 < size < 12.0 or size <= 0 else 0.5 / size


def _amplitude(signs: LeadSigns, gain: float, dead: set[str], ecg: ECG, notes: _Notes) -> None:
    live = [i for i, name in enumerate(ecg.leads) if name not in dead]
    qrs = signs.qrs_mv[live] / gain
    if signs.beats < 3 or not qrs.any():
        if gain != 1.0:
            size = "far above" if gain < 1 else "far below"
            notes.add(2, "wrong_gain", f"Amplitudes are {size} those of a heart; check gain and unit, and the electrodes.")
        return
    middle, largest = float(np.median(qrs)), float(qrs.max())
    if middle > _MAX_QRS_MV:
        notes.add(
            2, "wrong_gain", f"QRS complexes measure {middle:.3g} mV, hearts give 0.2 to 5 mV: correct the gain or the unit."
        )
    elif largest < _MIN_QRS_MV:
        notes.add(
            2, "wrong_gain", f"QRS complexes measure {largest:.2g} mV, hearts give 0.2 to 5 mV: correct the gain or the unit."
        )
    elif largest < _LOW_QRS_MV:
        notes.add(
            1,
            "low_amplitude",
            f"QRS complexes measure at most {largest:.2f} mV in any lead; check the gain before relying on voltages.",
        )


def _rails(ecg: ECG, dead: set[str], notes: _Notes) -> None:
    clipped = []
    for name, values in zip(ecg.leads, ecg.signal_mv, strict=True):
        x = values[np.isfinite(values)]
        if name in dead or len(x) < 100:
            continue
        middle = float(np.median(x))
        usual = float(np.median(np.abs(x - middle)))
        for end in (float(x.max()), float(x.min())):
            share = float(np.mean(np.abs(x - end) <= 1e-6 * max(1.0, abs(end))))
            if share > _RAIL_SHARE and abs(end - middle) > max(3 * usual, 1e-4):
                clipped.append(name)
                break
            if share > 0.1 and abs(end - middle) > 1e-4 and len(np.unique(x)) > 2:
                clipped.append(name)
                break
    if clipped:
        one = len(clipped) == 1
        notes.add(
            1 if one else 2,
            "clipped",
            f"{'Lead' if one else 'Leads'} {_listed(clipped)} {'is' if one else 'are'} cut off at a fixed level (the amplifier "
            "or the export saturated); widen the range and record again.",
            tuple(clipped),
        )


def _noise(signs: LeadSigns, score: float, dead: set[str], ecg: ECG, notes: _Notes) -> None:
    coherence = signs.table[:, LEAD_FEATURES.index("coherence")]
    wander = signs.table[:, LEAD_FEATURES.index("log_wander_ratio")]
    noisy = [n for n, c in zip(ecg.leads, coherence, strict=True) if c < _NOISY_COHERENCE and n not in dead]
    drifting = [n for n, w in zip(ecg.leads, wander, strict=True) if w > 0.3 and n not in dead and n not in noisy]
    if signs.beats < 3:
        notes.add(2, "no_beats", "No heartbeats can be told from the signal; check the electrodes and record again.")
        return
    if noisy:
        few = len(noisy) <= 6
        where = f"lead{'s' if len(noisy) > 1 else ''} {_listed(noisy)}" if few else f"{len(noisy)} of {len(ecg.leads)} leads"
        notes.add(
            1 if few else 2,
            "noise",
            f"Beats do not resemble each other in {where}: noise, movement or a loose electrode; record again at rest, or do not "
            "rely on what these leads show.",
            tuple(noisy),
        )
    if drifting:
        notes.add(
            1,
            "wander",
            f"The baseline wanders by more than the beats' size in {_listed(drifting)}; ST "
            "levels there are uncertain: record again at rest.",
            tuple(drifting),
        )
    if score < _model().unusable_below and notes.worst < 2:
        notes.add(
            2,
            "noise",
            "Noise, movement or loose electrodes disturb the recording too much to be read; check the electrodes and record "
            "again at rest.",
        )


#: Weights of the arm-swap score: how far P, QRS and T of lead I go against V6 (cosines), and how negative they are.
#: Fitted on 700 recordings of PTB-XL fold 8 as they are and with the arms exchanged.
_SWAP_COSINES = {"p": 2.0, "qrs": 1.85, "t": 1.2}
_SWAP_LEVELS = {"p": (0.72, 0.03), "qrs": (2.0, 0.2), "t": (0.67, 0.1)}  # weight, mV that counts as 1
_SWAP_NEEDED = 2.0


def arm_swap_suspected(ecg: ECG, found: Delineation | None = None) -> bool:
    """True where P, QRS and T of lead I are upside down and go against V6, while the chest leads are as usual.

    Swapped arm electrodes turn lead I upside down and exchange II with III and aVR with aVL (Kligfield et al. 2007,
    AHA/ACC/HRS part I). The chest leads stay, so lead I goes against V6, which it otherwise resembles; with the heart on
    the right V6 would be small instead. Needs P waves: in atrial fibrillation it is never suspected. ``found``: the
    recording's delineation where it is at hand.
    """
    if not ecg.is_standard_12:
        return False
    found = found if found is not None else delineate(ecg)
    if found is None or not {"I", "V1", "V6"} <= set(found.leads) or not found.regular.any():
        return False
    w, c, step = found.waves, found.centre, WORK_FS_HZ / 1000
    bounds = (w.p_on_ms, w.p_off_ms, w.qrs_on_ms, w.qrs_off_ms, w.t_off_ms)
    if any(b is None for b in bounds) or found.has_p[found.regular].mean() < 0.5 or found.p_ratio < 2.5:
        return False
    p_on, p_off, qrs_on, qrs_off, t_off = (c + round(float(b) * step) for b in bounds if b is not None)
    parts = {"p": slice(max(0, p_on), p_off), "qrs": slice(qrs_on, qrs_off), "t": slice(qrs_off + round(60 * step), t_off)}
    if any(part.stop - part.start < 10 for part in parts.values()):
        return False
    row = {name: found.average_mv[i] for i, name in enumerate(found.leads)}
    if np.ptp(row["V6"][parts["qrs"]]) < 0.2 * np.ptp(row["V1"][parts["qrs"]]):
        return False
    score, level = 0.0, {}
    for name, part in parts.items():
        one, six = row["I"][part], row["V6"][part]
        if name == "p":
            one_p = one - np.linspace(one[0], one[-1], len(one))
            level[name] = float(one_p.mean())
        else:
            level[name] = float(one.mean())
        cosine = float(one @ six) / max(1e-9, float(np.linalg.norm(one) * np.linalg.norm(six)))
        weight, size = _SWAP_LEVELS[name]
        score -= _SWAP_COSINES[name] * cosine + weight * float(np.clip(level[name] / size, -2, 2))
    return score > _SWAP_NEEDED and level["p"] < 0.0
