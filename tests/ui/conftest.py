"""A stand-in for the assistant: the same interface and the real record types, but no model behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import assistant
from assistant.answer import Answer
from assistant.compose import sections
from assistant.decide import Reason
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence, Finding
from assistant.filling import fill
from assistant.intents import Question
from assistant.report import Critical, Draft, Line, Referral, Report, who_should_look
from encoders.ecg import ECG
from encoders.gate import check
from encoders.leadsets import ALL_LEADS
from encoders.measure import measure
from encoders.vocabulary import CODES
from retrieval.case import Case
from retrieval.library import Found
from retrieval.neighbours import neighbours_say

PROBABILITIES = {"AFIB": 0.97, "IMI": 0.3, "NST_": 0.6, "WPW": 0.2, "SR": 0.02}


#: Of 50 similar cases all list AFIB, and 20 LAFB, which is open for it.
SAY = neighbours_say(
    [Case(str(i), 0.9, statements={"AFIB": 0.0} | ({"LAFB": 0.0} if i < 20 else {})) for i in range(50)],
    {"AFIB": 0.07, "LAFB": 0.08}, 17_000,
)  # fmt: skip


def evidence_of(ecg: ECG) -> Evidence:
    """Measured for real; the findings are always those of PROBABILITIES, and LAFB is open for SAY."""

    def finding(code: str) -> Finding:
        p = PROBABILITIES.get(code, 0.005)
        if code == "LAFB":
            return Finding(code, p, UNDETERMINED, "Similar cases.", ("N:LAFB",))
        if code in ("WPW", "TRIGU", "BIGU"):
            return Finding(code, p, NOT_ASSESSED)
        return Finding(code, p, PRESENT if p > 0.5 else UNDETERMINED if p > 0.1 else ABSENT)

    cases = (Case("17", 0.91, 70.0, "M", {"AFIB": 0.0}, {}, "PTB-XL 1.0.3 record 17"),)
    return Evidence(
        check(ecg), measure(ecg), tuple(finding(code) for code in CODES), cases, (), ecg.age_years, ecg.sex, ecg.content_hash(),
        neighbours=tuple(one for one in SAY if one.listed), left_out=(2, 1),
    )  # fmt: skip


def report_of(ecg: ECG) -> Draft | Referral:
    """A draft with a sentence that looks like HTML; a referral where the recording is unusable."""
    evidence = evidence_of(ecg)
    said = {
        name: tuple(Line(fill(s.text, evidence), s.claims) for s in lines) for name, lines in sections(evidence).items()
    }
    impression = (Line("Atrial fibrillation <i>.", ("F:AFIB",), "language model"),)
    critical = (Critical("rule", "cannot exclude", "Something critical.", ("F:IMI",), "A citation."),)
    said["impression"] = impression
    report = Report(evidence, said, impression, critical, limits=("A limit.",), guarantee="A promise.")
    if evidence.quality.usable:
        return Draft(report)
    reasons = tuple(Reason("unusable", reason) for reason in evidence.quality.reasons)
    return Referral(reasons, who_should_look(reasons), report)


def answer(text: str) -> Answer:
    return Answer(text, ("yes",), 0.9, ("M:rate_bpm",), (Line(text, ("M:rate_bpm",)),), Question(text, "verify"))


@dataclass
class StubChat:
    readings: tuple[ECG, ...]
    questions: list[str] = field(default_factory=list)

    def ask(self, question: str) -> Answer:
        self.questions.append(question)
        return answer(f"Answer {len(self.questions)} to <b>{question}</b>.")


@dataclass(frozen=True)
class StubReading:
    ecg: ECG
    evidence: Evidence


class StubLibrary:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def find(self, **asked: Any) -> Found:
        self.asked.append(asked)
        by_words = asked["embedding"] is None
        case = Case("18", 0.5, None, None, {"CLBBB": 100.0}) if by_words else Case("17", 0.91, 70.0, "M", {"AFIB": 0.0})
        said = () if by_words else neighbours_say([case] * 50, {"AFIB": 0.1}, 100)
        return Found((case,)[: asked["k"]], 2, 1, None, said, 0 if by_words else 50)

    def close(self) -> None:
        pass


@dataclass
class StubEncoding:
    probabilities: Any
    embedding: Any
    lead_set: str = ALL_LEADS


class StubEncoder:
    hash = "0" * 64

    def encode(self, ecgs: Any) -> list[StubEncoding]:
        return [StubEncoding(np.full(71, 0.2, np.float32), np.ones(256, np.float32)) for _ in ecgs]

    def with_measurements(self, encoding: StubEncoding, measurements: Any, *_: Any) -> StubEncoding:
        assert measurements.value("rate_bpm")
        return StubEncoding(encoding.probabilities + 0.05, encoding.embedding)


class StubAssistant:
    """The interface of ``assistant.Assistant`` as ``ui`` uses it."""

    def __init__(self) -> None:
        self.encoder, self.library = StubEncoder(), StubLibrary()
        self.seen: list[ECG] = []
        self.questions: list[str] = []

    def report(self, ecg: ECG, *, k: int = 10) -> Draft | Referral:
        self.seen.append(ecg)
        return report_of(ecg)

    def read(self, ecgs: list[ECG], *, k: int = 10) -> list[StubReading]:
        return [StubReading(ecg, evidence_of(ecg)) for ecg in ecgs]

    def report_of(self, reading: StubReading, earlier: StubReading | None = None) -> Draft | Referral:
        return self.report(reading.ecg)

    def reply(self, readings: tuple[StubReading, ...], question: str, previous: Question | None) -> tuple[Question, Answer]:
        self.questions.append(question)
        said = answer(f"Answer {len(self.questions)} to <b>{question}</b>.")
        return said.question, said

    def ask(self, ecgs: list[ECG], question: str, history: Any = None) -> Answer:
        self.seen += ecgs
        return answer(f"{len(ecgs)} recordings: {question}")

    def chat(self, ecg: ECG) -> StubChat:
        return StubChat((ecg,))

    def versions(self) -> dict[str, str]:
        return {"ecg-assistant": "0", "encoder": self.encoder.hash}


@pytest.fixture
def stub() -> StubAssistant:
    return StubAssistant()


@pytest.fixture
def stubbed(stub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Commands get the stand-in; ``stub.options`` holds what they loaded it with."""

    class Loader:
        @staticmethod
        def load(**options: Any) -> Any:
            stub.options = options
            print("a library that chatters on stdout")
            return stub

    monkeypatch.setitem(assistant.__dict__, "Assistant", Loader)
    return stub
