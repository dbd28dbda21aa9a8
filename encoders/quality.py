"""What the quality gate says of a recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from encoders.ecg import LIMB_LEADS, PRECORDIAL_LEADS, Filters
from encoders.measurements import MEASUREMENT_NAMES, MORE_NAMES

__all__ = ["HIGH_PASS_HZ", "LOW_PASS_HZ", "PLACEMENT_FLAGS", "Quality", "limited_by", "limited_by_filters"]

#: Flags that doubt where the electrodes were: they limit axis, amplitudes and whatever depends on the leads' directions.
PLACEMENT_FLAGS = frozenset(
    (
        "arm_swap_suspected",
        "limb_swap_suspected",
        "precordial_swap_suspected",
        "dextrocardia_suspected",
        "limb_leads_inconsistent",
    )
)

#: Leads that a measurement of the whole recording rests on; per-lead ones end in their lead's name, intervals rest on all.
_RESTS_ON: dict[str, tuple[str, ...]] = {
    "axis_deg": ("I", "aVF"),
    "p_axis_deg": ("I", "aVF"),
    "t_axis_deg": ("I", "aVF"),
    "sokolow_lyon_mv": ("V1", "V5", "V6"),
    "cornell_mv": ("aVL", "V3"),
    "cornell_product_mvms": ("aVL", "V3"),
    "r_transition": PRECORDIAL_LEADS,
}


#: Cut-offs beyond which a filter changes what is measured in adults (Kligfield et al. 2007, AHA/ACC/HRS part I: low-frequency
#: cut-off of at most 0.05 Hz, or 0.67 Hz where the phase is linear, which no file states; high-frequency cut-off of 150 Hz).
HIGH_PASS_HZ, LOW_PASS_HZ = 0.05, 150.0
_ST_NAMES = tuple(name for name in MEASUREMENT_NAMES if name.startswith("st_j_mv_"))
_VOLTAGES = ("sokolow_lyon_mv", "cornell_mv", "cornell_product_mvms")


def limited_by_filters(filters: Filters) -> tuple[str, ...]:
    """Names of the measurements that the stated filters may have changed: ST levels, and voltages of QRS."""
    high = _ST_NAMES if filters.high_pass_hz and filters.high_pass_hz > HIGH_PASS_HZ + 1e-6 else ()
    low = _VOLTAGES if filters.low_pass_hz and filters.low_pass_hz < LOW_PASS_HZ else ()
    return (*low, *high)


def limited_by(bad_leads: tuple[str, ...], filters: Filters | None = None) -> tuple[str, ...]:
    """Names of the measurements (of MEASUREMENT_NAMES and MORE_NAMES) that rest on one of these leads, or that these filters
    may have changed.

    Rates and intervals rest on all leads together, so a few bad ones do not limit them.
    """
    bad, filtered = set(bad_leads), set(limited_by_filters(filters or Filters()))
    known = (*LIMB_LEADS, *PRECORDIAL_LEADS)
    out = []
    for name in (*MEASUREMENT_NAMES, *MORE_NAMES):
        last = name.rsplit("_", 1)[-1]
        if name in filtered or bad & set(_RESTS_ON.get(name, (last,) if last in known else ())):
            out.append(name)
    return tuple(out)


@dataclass(frozen=True)
class Quality:
    """Verdict on a recording as recorded, before any cleaning.

    Attributes
    ----------
    verdict : "usable", "limited" (some leads or measurements should not be relied on) or "unusable".
    score : 0 (hopeless) to 1 (clean), continuous; ``p_unacceptable`` is 1 less the score.
    reasons : one sentence each that a person can act on (empty where all is well).
    flags : short machine words behind the reasons: "too_short", "low_rate", "missing_leads", "flat", "lead_off",
        "missing_samples", "clipped", "wrong_gain", "low_amplitude", "no_beats", "noise", "muscle", "mains", "wander",
        "high_pass", "low_pass", and those of PLACEMENT_FLAGS.
    bad_leads : leads not to be relied on.
    lead_noise_mv : size of what lies between 25 and 45 Hz between the beats, in mV, per lead.
    lead_noise_kinds : kinds of noise per disturbed lead, out of "wander", "mains", "muscle", "movement".
    limited : measurements not to be relied on, names of ``encoders.measurements``; rates and intervals stand as they are.
    placement : "as expected", "doubted", "cannot be told" (no P waves and an ambiguous direction, or noise where it matters), or
        "not examined" (too few leads).
    exchange : the likeliest exchange where the placement is doubted, e.g. "RA-LA", "V2-V3", else None.
    exchange_probability : of all exchanges together, 0-1; 0 where not examined.
    filters : what the file says that the signal went through.
    """

    verdict: str
    score: float
    reasons: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    bad_leads: tuple[str, ...] = ()
    lead_noise_mv: dict[str, float] = field(default_factory=dict)
    lead_noise_kinds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    limited: tuple[str, ...] = ()
    placement: str = "not examined"
    exchange: str | None = None
    exchange_probability: float = 0.0
    filters: Filters = Filters()

    @property
    def usable(self) -> bool:
        return self.verdict != "unusable"

    @property
    def p_unacceptable(self) -> float:
        """Probability that experts would call the recording unacceptable, 0-1."""
        return 1.0 - self.score

    def to_json(self) -> dict[str, Any]:
        """Everything, numbers to four decimals."""
        return {
            "verdict": self.verdict,
            "score": round(self.score, 4),
            "p_unacceptable": round(self.p_unacceptable, 4),
            "reasons": list(self.reasons),
            "flags": list(self.flags),
            "bad_leads": list(self.bad_leads),
            "lead_noise_mv": {k: round(v, 4) for k, v in self.lead_noise_mv.items()},
            "lead_noise_kinds": {k: list(v) for k, v in self.lead_noise_kinds.items()},
            "limited": list(self.limited),
            "placement": self.placement,
            "exchange": self.exchange,
            "exchange_probability": round(self.exchange_probability, 4),
            "filters": self.filters.to_json(),
        }
