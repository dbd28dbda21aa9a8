"""Two recordings of one patient side by side: values, findings and what can be said of their change."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from assistant.evidence import Evidence
from encoders.compare import (
    CANNOT_JUDGE,
    NEW,
    RESOLVED,
    UNCHANGED,
    FindingChange,
    ValueChange,
    finding_changes,
    value_changes,
)
from encoders.ecg import ECG
from encoders.vocabulary import statement

__all__ = ["NOTHING_SURE", "Comparison", "compare_evidence", "compared_findings", "order_caution"]

NOTHING_SURE = "No finding is certain enough in both recordings to be compared."
SAME = "The two recordings are one and the same: there is nothing to compare."
LATER_FIRST = "The first recording was made after the second ({} and {}): change their places, or every change is told backwards."
TWO_SEXES = "The recordings state different sexes ({} and {}): make sure that they are of one patient."
TWO_AGES = "The recordings state the ages {:.0f} and {:.0f}, {:.0f} years apart: make sure that they are of one patient."
#: Ages are told in whole years, some as they were on another day. From 89 on, files keep the age to themselves: 90 may be any.
_AGES_APART, _AGE_HIDDEN = 2.0, 89.0

#: How a change is printed: a normal ECG or a rhythm that is gone was not "resolved".
_KINDS = {NEW: "newly stated", RESOLVED: "no longer stated", UNCHANGED: "unchanged", CANNOT_JUDGE: "cannot be judged"}
#: How measurements are called in the printed comparison; ST levels by their lead.
_SHOWN = {
    "rate_bpm": "Ventricular rate", "pr_ms": "PR interval", "qrs_ms": "QRS duration", "qt_ms": "QT interval",
    "qtc_ms": "QTc (Fridericia)", "axis_deg": "QRS axis", "sokolow_lyon_mv": "Sokolow-Lyon voltage",
    "cornell_mv": "Cornell voltage", "t_axis_deg": "T axis", "p_axis_deg": "P axis",
}  # fmt: skip


def compared_findings(first: Evidence, second: Evidence) -> tuple[FindingChange, ...]:
    """Changes of the stated findings, as every answer, report and command compares them (``encoders.compare``)."""
    states = [{f.code: f.state for f in evidence.findings} for evidence in (first, second)]
    return finding_changes(*states)


@dataclass(frozen=True)
class Comparison:
    """What changed from the first recording to the second. ``caution``: why it may be less than it seems."""

    values: tuple[ValueChange, ...]
    findings: tuple[FindingChange, ...]
    caution: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A document of plain types."""
        return {
            "caution": list(self.caution),
            "measurements": [change.to_json() for change in self.values],
            "findings": [
                {"id": f"F:{f.code}", "name": statement(f.code).name, "change": f.change, "before": f.before, "after": f.after}
                for f in self.findings
            ],
        }

    def to_text(self) -> str:
        """Plain text: findings by what became of them, changed values, then those within noise."""
        out = ["SERIAL COMPARISON (first → second recording)", *self.caution, "", "Findings"]
        for kind, shown in _KINDS.items():
            names = [f"{statement(f.code).name} [F:{f.code}]" for f in self.findings if f.change == kind]
            if names:
                out.append(f"- {shown}: {', '.join(names)}")
        if not self.findings:
            out.append("- nothing is stated in either recording")
        changed = [v for v in self.values if v.changed]
        out += ["", "Beyond the noise of a repeated recording"]
        out += [f"- {_line(v)} ({v.source})" for v in changed] or ["- no measurement"]
        same = [v for v in self.values if v.change == "within noise"]
        out += ["", "Within noise", *(f"- {_line(v)}" for v in same if not v.name.startswith("st_j"))]
        levels = [v.name.rsplit("_", 1)[-1] for v in same if v.name.startswith("st_j")]
        if levels:
            out.append(f"- ST level at J: {', '.join(levels)}")
        rest = [v for v in self.values if not v.changed and v.change != "within noise"]
        if rest:
            out += ["", "Not compared", *(f"- {_name(v)} {v.before} → {v.after}: {v.change}" for v in rest)]
        return "\n".join(out)


def _name(change: ValueChange) -> str:
    if change.name.startswith("st_j_mv_"):
        return f"ST at J in {change.name.rsplit('_', 1)[-1]}"
    return _SHOWN.get(change.name, change.name)


def _line(change: ValueChange) -> str:
    places = 0 if change.unit in ("ms", "°", "/min") else 2
    # No sign before nothing.
    step = f"{change.difference:{'+' if change.difference else ''}.{places}f}" if change.difference is not None else ""
    unit = f"{'' if change.unit in ('°', '/min') else ' '}{change.unit}"
    limit = f"{change.limit:.{places}f}"
    return f"{_name(change)} {change.before} → {change.after}: {step}{unit}, limit {limit}{unit} [M:{change.name}]"


def order_caution(first: ECG, second: ECG) -> tuple[str, ...]:
    """Why two recordings may not be the earlier and the later one of one patient, by what they say themselves; a sentence each.

    Ages are held against the time between the recordings, unless they are the same: then somebody may have typed one for both.
    """
    if first.content_hash() == second.content_hash():
        return (SAME,)
    out = []
    moments = _moments(first.recorded_at, second.recorded_at)
    if moments is not None and moments[0] > moments[1]:
        out.append(LATER_FIRST.format(first.recorded_at, second.recorded_at))
    if first.sex and second.sex and first.sex != second.sex:
        out.append(TWO_SEXES.format(first.sex, second.sex))
    young, old = first.age_years, second.age_years
    if moments is not None and young is not None and old is not None and young != old and max(young, old) < _AGE_HIDDEN:
        years = (moments[1] - moments[0]).days / 365.25
        if abs(old - young - years) > _AGES_APART:
            out.append(TWO_AGES.format(young, old, abs(years)))
    return tuple(out)


def _moments(first: str | None, second: str | None) -> tuple[datetime.datetime, datetime.datetime] | None:
    """When the two were recorded, as far as both tell it: days where one is a day alone, and clocks without a zone where one has
    none. None where one tells nothing."""
    if not first or not second:
        return None
    try:
        moments = [datetime.datetime.fromisoformat(text) for text in (first, second)]
    except ValueError:
        return None
    if any(moment.tzinfo is None for moment in moments):
        moments = [moment.replace(tzinfo=None) for moment in moments]
    if ":" not in first or ":" not in second:
        moments = [moment.replace(hour=0, minute=0, second=0, microsecond=0) for moment in moments]
    return moments[0], moments[1]


def compare_evidence(first: Evidence, second: Evidence, ecgs: tuple[ECG, ECG] | None = None) -> Comparison:
    """The comparison of two analysed recordings of one patient, the earlier one first.

    Values whose leads the gate limits in one of the two (``Quality.limited``) are not compared; an unusable recording is
    compared in nothing. ``ecgs``: the recordings, for a caution where their own words speak against the order or the patient.
    """
    caution = [] if ecgs is None else [*order_caution(*ecgs)]
    for which, evidence in (("first", first), ("second", second)):
        if not evidence.quality.usable:
            caution.append(f"The {which} recording is not usable: nothing can be compared.")
        elif evidence.quality.reasons:
            caution.append(f"The {which} recording is of limited quality: {' '.join(evidence.quality.reasons)}")
    if not (first.quality.usable and second.quality.usable):
        return Comparison((), (), tuple(caution))
    limited = {*first.quality.limited, *second.quality.limited}
    values = tuple(v for v in value_changes(first.measurements, second.measurements) if v.name not in limited)
    return Comparison(values, compared_findings(first, second), tuple(caution))
