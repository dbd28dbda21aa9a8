"""Two recordings of one patient side by side: values, findings and what can be said of their change."""

from __future__ import annotations

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
from encoders.vocabulary import statement

__all__ = ["NOTHING_SURE", "Comparison", "compare_evidence", "compared_findings"]

NOTHING_SURE = "No finding is certain enough in both recordings to be compared."

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
        for kind in (NEW, RESOLVED, UNCHANGED, CANNOT_JUDGE):
            names = [f"{statement(f.code).name} [F:{f.code}]" for f in self.findings if f.change == kind]
            if names:
                out.append(f"- {kind}: {', '.join(names)}")
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


def compare_evidence(first: Evidence, second: Evidence) -> Comparison:
    """The comparison of two analysed recordings of one patient, the earlier one first.

    Values whose leads the gate limits in one of the two (``Quality.limited``) are not compared; an unusable recording is
    compared in nothing.
    """
    caution = []
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
