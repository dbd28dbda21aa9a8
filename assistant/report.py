"""What leaves the house: a drafted report, or a referral with all that is known all the same. Versioned, serialisable."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assistant.decide import SWAPPED, Critical, Reason
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence
from encoders.vocabulary import statement
from retrieval.case import left_out_words

if TYPE_CHECKING:
    from encoders.heads import HeadAnswer, HeadRefusal
    from retrieval.neighbours import Agreement

__all__ = ["INTENDED_USE", "SCHEMA_VERSION", "SECTIONS", "Draft", "Line", "Referral", "Report", "who_should_look"]

SCHEMA_VERSION = "1.0"
INTENDED_USE = (
    "Unconfirmed draft for a clinician to review; adults, 12-lead resting recordings; no treatment advice. "
    "That no acute infarction was stated never means that there is none."
)
#: Order of the sections in every report of this schema.
SECTIONS = (
    "quality", "rhythm", "rate and intervals", "axis", "conduction", "chambers", "infarction and ST-T", "comparison",
    "impression", "not assessed", "referral",
)  # fmt: skip
#: Shown in the text of a report; a table holds all.
_SHOWN_MEASUREMENTS = ("rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms", "axis_deg", "sokolow_lyon_mv", "cornell_mv")

_GATHERED = {UNDETERMINED: "Cannot be judged", NOT_ASSESSED: "Not assessed, too few known cases"}
#: Open findings below this probability are counted, not listed, in the text of a report.
_LISTED_FROM = 0.05

_WHO = {
    "unusable": "whoever recorded the ECG, to record it again",
    "unfamiliar": "a cardiologist, on the original tracing",
    "intended use": "a cardiologist or another physician who reads such recordings",
    "critical": "a physician at once, on the original tracing",
    "nothing": "a cardiologist, on the original tracing",
}


def who_should_look(reasons: Sequence[Reason]) -> str:
    """Who a recording goes to, by the most pressing of its reasons; swapped electrodes to whoever can put them right."""
    if any(reason.text == SWAPPED for reason in reasons) and all(reason.kind != "critical" for reason in reasons):
        return _WHO["unusable"]
    for kind in ("critical", "unusable", "intended use", "unfamiliar", "nothing"):
        if any(reason.kind == kind for reason in reasons):
            return _WHO[kind]
    return "the physician responsible for the patient"


@dataclass(frozen=True)
class Line:
    """One sentence with the evidence ids it rests on; ``source``: "language model" or "renderer"."""

    text: str
    evidence: tuple[str, ...] = ()
    source: str = "renderer"

    def to_json(self) -> dict[str, Any]:
        return {"text": self.text, "evidence": list(self.evidence), "source": self.source}


@dataclass(frozen=True)
class Report:
    """What drafts and referrals of a recording have in common.

    ``sections``: lines by name of SECTIONS. ``checker``: sentences the language model wrote, and how many were dropped.
    ``versions``: schema, program and artefact hashes. ``limits``: what this recording cannot show. ``guarantee``: the
    promise the states rest on. ``research``: what heads trained by the user say, where they were asked for; it is no
    evidence, and nothing else in the report rests on it.
    """

    evidence: Evidence
    sections: dict[str, tuple[Line, ...]]
    impression: tuple[Line, ...]
    critical: tuple[Critical, ...] = ()
    checker: dict[str, int] = field(default_factory=lambda: {"sentences": 0, "dropped": 0})
    versions: dict[str, str] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    guarantee: str = ""
    research: tuple[HeadAnswer | HeadRefusal, ...] = ()

    def to_json(self, status: str, reasons: Sequence[Reason]) -> dict[str, Any]:
        """The document of this schema: measured values, findings and lines, nothing that names the patient."""
        known = self.evidence.to_json()
        return {
            "schema_version": SCHEMA_VERSION,
            "status": status,
            "reasons": [reason.text for reason in reasons],
            "reason_kinds": [reason.kind for reason in reasons],
            "unconfirmed": True,
            "intended_use": INTENDED_USE,
            "critical": [item.to_json() for item in self.critical],
            "quality": known["quality"],
            "measurements": known["measurements"],
            "findings": known["findings"],
            "conflicts": known["conflicts"],
            "sections": {name: [line.to_json() for line in self.sections.get(name, ())] for name in SECTIONS},
            "impression": [line.to_json() for line in self.impression],
            "cases": known["cases"],
            "left_out": known["left_out"],
            "neighbours": known["neighbours"],
            "age_years": known["age_years"],
            "sex": known["sex"],
            "recording": known["recording"],
            "familiarity": known["familiarity"],
            "lead_set": known["lead_set"],
            "limits": list(self.limits),
            "guarantee": self.guarantee,
            "research": [item.to_json() for item in self.research],
            "checker": dict(self.checker),
            "versions": {"schema": SCHEMA_VERSION, **self.versions},
        }

    def to_text(self, title: str, head: Sequence[str]) -> str:
        """Plain text of at most 100 columns, evidence ids in brackets behind each sentence."""
        out = [title, INTENDED_USE, *head]
        if self.critical:
            out += ["", "CRITICAL"]
            out += [f"- {item.text} [{', '.join(item.evidence)}] ({item.citation})" for item in self.critical]
        out += ["", "Impression", *(_told(line) for line in self.impression)]
        for name in SECTIONS:
            lines = self.sections.get(name, ())
            if lines and name not in ("impression", "referral"):
                out += ["", name[0].upper() + name[1:], *(_told(line) for line in self._shortened(lines))]
        measured = [self.evidence.measurements[name] for name in _SHOWN_MEASUREMENTS]
        out += ["", "Measurements", "; ".join(f"{m.name} {m.text()}" for m in measured)]
        out += ["", "Findings", *self._findings()]
        if self.evidence.conflicts:
            out += ["", "Conflicts", *(f"- {c.text} [{c.id}] ({c.citation})" for c in self.evidence.conflicts)]
        if self.evidence.cases:
            out += ["", "Similar cases"]
            out += [
                f"- C:{c.case_id}, similarity {c.similarity:.2f}: {', '.join(sorted(c.statements)) or 'no statements'}"
                for c in self.evidence.cases[:5]
            ]
            left_out = left_out_words(*self.evidence.left_out)
            out += [f"- {left_out}"] if left_out else []
        if self.research:
            out += ["", "Research only, not for clinical decisions", *(f"- {item.text} [{item.id}]" for item in self.research)]
        if self.limits:
            out += ["", "Limits", *(f"- {limit}" for limit in self.limits)]
        if self.guarantee:
            out += ["", self.guarantee]
        return "\n".join("\n".join(textwrap.wrap(line, 100, subsequent_indent="  ")) if line else "" for line in out)

    def _shortened(self, lines: Sequence[Line]) -> list[Line]:
        """Single statements that are open or not assessed, dozens at times, become one line each kind; JSON keeps them."""
        states = {f.id: f.state for f in self.evidence.findings}
        gathered: dict[str, list[str]] = {}
        rest = []
        for line in lines:
            state = states.get(line.evidence[0]) if len(line.evidence) == 1 else None
            if state in _GATHERED:
                gathered.setdefault(str(state), []).append(line.evidence[0])
            else:
                rest.append(line)
        for state, ids in gathered.items():
            lead, names = _GATHERED[state], ", ".join(statement(i[2:]).name for i in ids)
            if state == NOT_ASSESSED and not self.evidence.quality.usable:
                lead, names = "Not assessed", "every statement, since the recording is not usable"
            rest.append(Line(f"{lead}: {names}.", tuple(ids)))
        return rest

    def _findings(self) -> list[str]:
        opened = self.evidence.in_state(UNDETERMINED)
        likely = [f for f in opened if f.probability >= _LISTED_FROM or f.against]
        said = {one.code: one for one in self.evidence.neighbours}
        rows = [
            f"- {statement(f.code).name} ({f.code}): {f.state}, probability {f.probability:.2f} [{f.id}]"
            + (f"; {_counted(said[f.code])}" if f.code in said else "")
            for f in (*self.evidence.in_state(PRESENT), *likely)
        ]
        counts = {state: len(self.evidence.in_state(state)) for state in (ABSENT, NOT_ASSESSED)}
        fewer = len(opened) - len(likely)
        tail = f"{fewer} more undetermined with a probability below {_LISTED_FROM:g}, " if fewer else ""
        return [*rows, f"- {tail}{counts[ABSENT]} absent, {counts[NOT_ASSESSED]} not assessed"]


def _counted(said: Agreement) -> str:
    return f"listed by {said.listed} of {said.asked} similar cases, {said.expected:.1f} by chance [{said.id}]"


def _told(line: Line) -> str:
    return f"- {line.text}" + (f" [{', '.join(line.evidence)}]" if line.evidence else "")


@dataclass(frozen=True)
class Draft:
    """A report that a clinician may confirm or change. Never final."""

    report: Report

    @property
    def evidence(self) -> Evidence:
        return self.report.evidence

    @property
    def impression(self) -> tuple[Line, ...]:
        return self.report.impression

    @property
    def status(self) -> str:
        return "draft"

    def to_json(self) -> dict[str, Any]:
        return self.report.to_json("draft", ())

    def to_text(self) -> str:
        return self.report.to_text("ECG report, draft", ())


@dataclass(frozen=True)
class Referral:
    """Declining: why, what is known all the same, and who should look.

    ``report`` is there where a recording was referred. Where a question was declined, ``text`` is what the person reads,
    ``values`` the bare answer, ``confidence`` 0-1 and ``ids`` the evidence of what is known.
    """

    reasons: tuple[Reason, ...]
    who: str
    report: Report | None = None
    text: str = ""
    values: tuple[str, ...] = ()
    confidence: float = 0.0
    ids: tuple[str, ...] = ()
    sentences: tuple[Line, ...] = ()
    checker: dict[str, int] = field(default_factory=lambda: {"sentences": 0, "dropped": 0})

    @property
    def evidence(self) -> Evidence | None:
        return None if self.report is None else self.report.evidence

    @property
    def impression(self) -> tuple[Line, ...]:
        return () if self.report is None else self.report.impression

    @property
    def status(self) -> str:
        return "referral"

    def to_json(self) -> dict[str, Any]:
        if self.report is not None:
            return {**self.report.to_json("referral", self.reasons), "who_should_look": self.who}
        return {
            "schema_version": SCHEMA_VERSION,
            "status": "referral",
            "text": self.text,
            "values": list(self.values),
            "confidence": round(self.confidence, 4),
            "evidence": list(self.ids),
            "reasons": [reason.text for reason in self.reasons],
            "reason_kinds": [reason.kind for reason in self.reasons],
            "who_should_look": self.who,
            "sentences": [line.to_json() for line in self.sentences],
            "checker": dict(self.checker),
            "intended_use": INTENDED_USE,
        }

    def to_text(self) -> str:
        if self.report is not None:
            head = ["", "Referral", *(f"- {reason.text}" for reason in self.reasons), f"- To look at it: {self.who}."]
            return self.report.to_text("ECG report, referral to a human", head)
        known = f" [{', '.join(self.ids)}]" if self.ids else ""
        return "\n".join(textwrap.wrap(f"{self.text}{known}", 100))
