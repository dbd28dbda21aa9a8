"""What the quality gate says of a recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Quality"]


@dataclass(frozen=True)
class Quality:
    """Verdict on a recording as recorded, before any cleaning.

    ``verdict``: "usable", "limited" (some leads or measurements should not be relied on) or "unusable".
    ``reasons``: one sentence each that a person can act on (empty where all is well).
    ``bad_leads``: leads not to be relied on. ``score``: 0 (hopeless) to 1 (clean), continuous.
    ``flags``: short machine words behind the reasons, e.g. "lead_off", "clipped", "wrong_gain", "too_short",
    "noise", "flat", "arm_swap_suspected", "missing_leads".
    """

    verdict: str
    score: float
    reasons: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    bad_leads: tuple[str, ...] = ()
    lead_noise_mv: dict[str, float] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        return self.verdict != "unusable"

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "score": round(self.score, 4),
            "reasons": list(self.reasons),
            "flags": list(self.flags),
            "bad_leads": list(self.bad_leads),
            "lead_noise_mv": {k: round(v, 4) for k, v in self.lead_noise_mv.items()},
        }
