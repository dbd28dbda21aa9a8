"""Serial comparison: what changed between two recordings of one patient, and what is within the noise of a repetition.

Pure functions on measurements and on states of findings; ``assistant.serial`` brings the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from encoders.measurements import Measurement, Measurements

__all__ = [
    "CANNOT_JUDGE",
    "CHANGE_LIMITS",
    "NEW",
    "RESOLVED",
    "UNCHANGED",
    "ChangeLimit",
    "FindingChange",
    "ValueChange",
    "finding_changes",
    "value_changes",
]

@dataclass(frozen=True)
class ChangeLimit:
    """A change of ``name`` up to and including ``limit`` (in the value's own unit) is noise. ``source`` says whence it is."""

    name: str
    limit: float
    source: str


_PAIRS = (
    "95 % of 300 repetitions on PTB-XL folds 1-8 (100 Hz; one patient, the same statements, within a year, median 10 days apart)"
    " changed less"
)


def _pairs(limit: float, *names: str) -> tuple[ChangeLimit, ...]:
    return tuple(ChangeLimit(name, limit, _PAIRS) for name in names)


#: Below which a change is noise, in the order of the printed comparison. It holds a patient's day-to-day variation, electrode
#: placement and the measurement's own error at 100 Hz together (Schijvenaars et al. 2008, doi:10.1016/j.jelectrocard.2008.01.012,
#: describe the sources), and is rounded up from the 95th percentile of the absolute difference.
CHANGE_LIMITS: tuple[ChangeLimit, ...] = (
    *_pairs(25, "rate_bpm"),
    *_pairs(31, "pr_ms"),
    *_pairs(10, "qrs_ms"),
    *_pairs(60, "qt_ms"),
    *_pairs(45, "qtc_ms"),
    *_pairs(30, "axis_deg"),
    *_pairs(40, "p_axis_deg"),
    *_pairs(51, "t_axis_deg"),
    *_pairs(0.85, "sokolow_lyon_mv"),
    *_pairs(0.75, "cornell_mv"),
    *_pairs(0.07, *(f"st_j_mv_{lead}" for lead in ("I", "II", "III", "aVR", "aVL", "aVF", "V1"))),
    *_pairs(0.12, "st_j_mv_V2", "st_j_mv_V3", "st_j_mv_V4"),
    *_pairs(0.10, "st_j_mv_V5", "st_j_mv_V6"),
)
#: Reliability below which a value is not compared.
_LEAST_RELIABLE = 0.3


@dataclass(frozen=True)
class ValueChange:
    """One measurement in both recordings.

    ``change``: "higher", "lower", "within noise", "only in the first", "only in the second" or "not comparable" (weak in one).
    ``difference``: second less first in the value's unit (an axis by the shorter way round), of the values as they are printed,
    so that it is theirs to the last digit; None where one is missing. ``change`` goes by what was measured.
    """

    name: str
    unit: str
    before: str
    after: str
    difference: float | None
    limit: float
    change: str
    source: str

    @property
    def changed(self) -> bool:
        """Whether the change is beyond the noise of a repetition."""
        return self.change in ("higher", "lower")

    def to_json(self) -> dict[str, Any]:
        return {
            "id": f"M:{self.name}",
            "before": self.before,
            "after": self.after,
            "unit": self.unit,
            "difference": None if self.difference is None else round(self.difference, 3),
            "noise_limit": self.limit,
            "change": self.change,
            "source": self.source,
        }


NEW, RESOLVED, UNCHANGED, CANNOT_JUDGE = "new", "resolved", "unchanged", "cannot be judged"


@dataclass(frozen=True)
class FindingChange:
    """A finding that is present in one recording at least. ``before`` and ``after`` are its states."""

    code: str
    change: str
    before: str
    after: str


def finding_changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[FindingChange, ...]:
    """What became of every finding that is "present" in one of the two, those of the second recording first.

    ``before``, ``after``: state by code ("present", "absent", "undetermined", "not assessed"; a code that is not there was not
    assessed). New: absent, then present. Resolved: present, then absent. Unchanged: present in both. All else cannot be judged:
    silence in one recording is no absence.
    """
    there = [c for c, state in after.items() if state == "present"]
    codes = dict.fromkeys((*there, *(c for c, state in before.items() if state == "present")))
    kinds = {("absent", "present"): NEW, ("present", "absent"): RESOLVED, ("present", "present"): UNCHANGED}
    out = []
    for code in codes:
        pair = (before.get(code, "not assessed"), after.get(code, "not assessed"))
        out.append(FindingChange(code, kinds.get(pair, CANNOT_JUDGE), *pair))
    return tuple(out)


def _difference(name: str, before: float, after: float) -> float:
    step = after - before
    return (step + 180) % 360 - 180 if name.endswith("_deg") else step


def _one(limit: ChangeLimit, first: Measurement, second: Measurement) -> ValueChange:
    before, after = first.printed, second.printed
    difference = None if before is None or after is None else round(_difference(limit.name, before, after), 2)
    if first.value is None or second.value is None:
        both = first.value is None and second.value is None
        change = "not comparable" if both else "only in the second" if first.value is None else "only in the first"
    else:
        step = _difference(limit.name, first.value, second.value)
        if min(first.reliability, second.reliability) < _LEAST_RELIABLE:
            change = "not comparable"
        elif abs(step) <= limit.limit:
            change = "within noise"
        else:
            change = "higher" if step > 0 else "lower"
    return ValueChange(limit.name, first.unit, first.text(), second.text(), difference, limit.limit, change, limit.source)


def value_changes(first: Measurements, second: Measurements) -> tuple[ValueChange, ...]:
    """The change of every measurement of CHANGE_LIMITS from the first recording to the second, in the table's order."""
    return tuple(_one(limit, first[limit.name], second[limit.name]) for limit in CHANGE_LIMITS)
