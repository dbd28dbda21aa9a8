"""The quality gate: is this recording good enough to be read, and if not, what should be done about it.

It looks at the signal as recorded. What can be stated as a rule is a rule (``encoders.gate_rules``); how noisy is too noisy is
a small logistic model on signs of every lead, fitted on recordings that experts called acceptable or not
(``encoders.gate_fit``; Silva, Moody and Celi 2011, PhysioNet/CinC Challenge 2011); whether electrodes were exchanged is a
small network's judgement of the averaged beat (``encoders.placement``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.beats import beats_and_bands
from encoders.ecg import ECG, STANDARD_LEADS, Filters
from encoders.errors import ArtefactError, QueryError
from encoders.gate_features import FEATURE_NAMES, feature_vector, lead_signs
from encoders.gate_rules import (
    MIN_DURATION_S,
    MIN_FS_HZ,
    Notes,
    amplitude,
    clipping,
    dead_leads,
    filtered,
    gain_of,
    length_rate_leads,
    noise,
)
from encoders.placement import Placement, judge_placement
from encoders.placement_beat import average_beat
from encoders.quality import Quality, limited_by

__all__ = ["MIN_DURATION_S", "MIN_FS_HZ", "check"]

#: I + III - II on the averaged QRS over the size of the three: leads that have nothing to do with each other give about 1. LUDB,
#: whose limb leads were not taken at quite the same time, reaches 0.53.
_EINTHOVEN = 0.6

Floats = NDArray[np.float64]


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


def check(ecg: ECG, *, wanted: tuple[str, ...] = STANDARD_LEADS) -> Quality:
    """Verdict on a recording as recorded: "usable", "limited" or "unusable", with reasons that a person can act on.

    ``wanted``: the standard leads that the reading is to rest on (one to twelve); only these are judged, and one that neither
    is there nor follows from two other limb leads makes the recording unusable. ``score`` is continuous, 0-1: the model's
    probability that experts would accept the recording, pulled down where a rule calls it unusable. Takes any ``ECG`` and
    never raises on a signal; QueryError where ``wanted`` is empty or names no standard lead.
    """
    strange = [name for name in wanted if name not in STANDARD_LEADS]
    if strange or not wanted:
        named = ", ".join(strange) or "none"
        raise QueryError(f"The leads wanted are {named}; give one or more of {', '.join(STANDARD_LEADS)}.")
    notes = Notes()
    length_rate_leads(ecg, wanted, notes)
    if set(wanted) != set(STANDARD_LEADS):
        seen = tuple(name for name in ecg.leads if name in wanted)
        ecg = ecg.select(seen or ecg.leads)
    if ecg.duration_s < 1.0 or ecg.fs_hz < 50:
        return Quality("unusable", 0.0, tuple(notes.reasons), tuple(notes.flags), filters=ecg.filters)
    dead = dead_leads(ecg, wanted, notes)
    if len(dead) == len(ecg.leads):
        return _quality(0.0, notes, ecg.filters)
    gain = gain_of(ecg, dead)
    usual = ecg if gain == 1.0 else replace(ecg, signal_mv=ecg.signal_mv * np.float32(gain))
    bands = beats_and_bands(usual)
    signs = lead_signs(usual, bands)
    score = _model().score(feature_vector(signs))
    noise_mv = dict(zip(ecg.leads, (signs.hf_mv / gain).tolist(), strict=True))
    filtered(ecg, notes)
    clipping(ecg, dead, notes)
    amplitude(signs, gain, dead, ecg, notes)
    kinds = noise(signs, score, _model().unusable_below, dead, ecg, notes)
    consistent = not (signs.einthoven > _EINTHOVEN and not {"I", "II", "III"} & (dead | notes.bad))
    if not consistent:
        notes.add(
            1,
            "limb_leads_inconsistent",
            "Lead II is not the sum of I and III: limb leads are mislabelled or not simultaneous; check the lead order.",
            tuple(name for name in STANDARD_LEADS[:6] if name in ecg.leads),
        )
    # Leads whose beats do not resemble each other say nothing of where the electrodes were; wander and hum are averaged out.
    fit = frozenset(name for name in ecg.leads if name not in dead and "movement" not in kinds.get(name, ()))
    placement = judge_placement(average_beat(bands, ecg.leads), fit) if consistent else Placement("cannot be told")
    if placement.reason:
        notes.add(1, placement.flag, placement.reason, tuple(n for n in placement.leads if n in ecg.leads))
    return _quality(score, notes, ecg.filters, noise_mv, kinds, placement)


def _quality(
    score: float,
    notes: Notes,
    filters: Filters,
    noise_mv: dict[str, float] | None = None,
    kinds: dict[str, tuple[str, ...]] | None = None,
    placement: Placement | None = None,
) -> Quality:
    # A recording that a rule calls unusable never scores above one that the model calls usable.
    score = score * 0.5 if notes.worst == 2 and score >= _model().unusable_below else score
    order = {name: i for i, name in enumerate(STANDARD_LEADS)}
    bad = tuple(sorted(notes.bad, key=lambda name: (order.get(name, 99), name)))
    placement = placement or Placement("not examined")
    return Quality(
        verdict=("usable", "limited", "unusable")[notes.worst],
        score=min(1.0, max(0.0, score)),
        reasons=tuple(notes.reasons),
        flags=tuple(notes.flags),
        bad_leads=bad,
        lead_noise_mv=noise_mv or {},
        lead_noise_kinds=kinds or {},
        limited=limited_by(bad, filters),
        placement=placement.state,
        exchange=placement.kind,
        exchange_probability=placement.probability,
        filters=filters,
    )
