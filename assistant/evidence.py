"""All that is known about one recording, in one frozen record that text can cite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from encoders.leadsets import ALL_LEADS
from encoders.measurements import Measurements
from encoders.quality import Quality
from encoders.vocabulary import statement
from retrieval.case import Case
from retrieval.neighbours import Agreement

__all__ = ["ABSENT", "NOT_ASSESSED", "PRESENT", "UNDETERMINED", "Conflict", "Evidence", "Finding"]

#: Probability from which an urgent statement that cannot be judged is worth a word in the impression. Below it the
#: sections still list it: an impression that names everything with one chance in fifty cries wolf.
PRESSING = 0.1
PRESENT, ABSENT, UNDETERMINED, NOT_ASSESSED = "present", "absent", "undetermined", "not assessed"


@dataclass(frozen=True)
class Finding:
    """A statement of the vocabulary with its calibrated probability and what was decided of it.

    ``against``: ids of evidence that speaks against what the network says of it (``N:SR``: similar cases); the decision on it is
    in ``state`` already.
    """

    code: str
    probability: float
    state: str
    reason: str = ""
    against: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"F:{self.code}"

    @property
    def percent(self) -> str:
        """The probability as it is written; never as none or as certainty."""
        shown = f"{100 * self.probability:.0f} %"
        return {"0 %": "under 1 %", "100 %": "over 99 %"}.get(shown, shown)

    def to_json(self) -> dict[str, Any]:
        s = statement(self.code)
        return {
            "id": self.id,
            "code": self.code,
            "name": s.name,
            "probability": round(self.probability, 4),
            "state": self.state,
            "urgency": s.urgency,
            "reason": self.reason,
            "against": list(self.against),
            "criteria": s.criteria,
            "citation": s.citation,
        }


@dataclass(frozen=True)
class Conflict:
    """Two items that cannot both hold; ``id`` cites the rule, ``items`` the evidence ids it sets against each other."""

    id: str
    items: tuple[str, ...]
    text: str
    citation: str

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "items": list(self.items), "text": self.text, "citation": self.citation}


@dataclass(frozen=True)
class Evidence:
    """One recording's evidence. Ids that text cites: ``Q``, ``M:qrs_ms``, ``F:CLBBB``, ``C:12345``, ``R:rule``, ``N:CLBBB``.

    ``neighbours``: what the 50 most similar cases say of a statement, for those that one of them lists or that are present; of
    the library that familiarity is measured against, whichever ``cases`` come from. ``left_out``: cases passed over on the way
    to the last one shown, the patient's own and those that are this very recording.
    """

    quality: Quality
    measurements: Measurements
    findings: tuple[Finding, ...]
    cases: tuple[Case, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    age_years: float | None = None
    sex: str | None = None
    recording_hash: str = ""
    familiarity: float = 1.0  # share of fold-9 recordings that lie farther from the library than this one
    lead_set: str | None = ALL_LEADS  # name of the set of leads that findings were read from; None where none could be read
    neighbours: tuple[Agreement, ...] = ()
    left_out: tuple[int, int] = (0, 0)

    def finding(self, code: str) -> Finding:
        for finding in self.findings:
            if finding.code == code:
                return finding
        raise KeyError(code)

    def in_state(self, state: str) -> tuple[Finding, ...]:
        """Findings in one state, most urgent first, then by probability."""
        rank = {"critical": 0, "urgent": 1, "routine": 2, "normal": 3}
        chosen = [f for f in self.findings if f.state == state]
        return tuple(sorted(chosen, key=lambda f: (rank[statement(f.code).urgency], -f.probability)))

    def pressing(self) -> tuple[Finding, ...]:
        """Undetermined findings that an impression must name: critical ones, and urgent ones from PRESSING upwards or that
        similar cases would not let be absent (one such finding in three is listed after all). Not one whose own measurement
        says it already: beside "QTc 485 ms, prolonged" a prolonged QT interval is not left open."""
        from assistant.judged import said_by_value

        rank = {"critical": 0.0, "urgent": PRESSING}
        found = tuple(
            f for f in self.in_state(UNDETERMINED)
            if f.probability >= rank.get(statement(f.code).urgency, 2.0)
            or (f.against and statement(f.code).urgency in rank)
        )  # fmt: skip
        return tuple(f for f in found if said_by_value(self, f.code) is None)

    def doubts(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What similar cases speak against: a sentence each, and the id that it rests on. The finding itself is not cited: the
        sentence does not state it."""
        said = {one.id: one for one in self.neighbours}
        return tuple(
            (said[i].doubt(PRESENT if f.state == PRESENT else ABSENT), (i,))
            for f in self.findings for i in f.against if i in said
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            "quality": self.quality.to_json(),
            "measurements": self.measurements.to_json(),
            "findings": [f.to_json() for f in self.findings],
            "cases": [c.to_json() for c in self.cases],
            "left_out": {"own": self.left_out[0], "duplicates": self.left_out[1]},
            "neighbours": [one.to_json() for one in self.neighbours],
            "conflicts": [c.to_json() for c in self.conflicts],
            "age_years": self.age_years,
            "sex": self.sex,
            "recording": self.recording_hash,
            "familiarity": round(self.familiarity, 4),
            "lead_set": self.lead_set,
        }
