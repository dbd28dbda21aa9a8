"""A stand-in for the assistant: the same interface and the real record types, but no model behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from assistant.evidence import PRESENT, Evidence, Finding
from encoders.ecg import ECG
from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements
from encoders.quality import Quality
from encoders.vocabulary import CODES
from retrieval.case import Case


@dataclass
class Result:
    """A Draft, Referral or Answer by its two faces."""

    document: dict[str, Any]
    text: str

    def to_json(self) -> dict[str, Any]:
        return self.document

    def to_text(self) -> str:
        return self.text


def evidence_of(ecg: ECG) -> Evidence:
    """Evidence whose numbers depend on the recording, so that a mix-up of recordings shows."""
    rate = 60.0 + ecg.n_samples / 500
    known = {"rate_bpm": rate, "qrs_ms": 100.0}
    items = tuple(
        Measurement(name, known[name], 9, ("II",), 0.9) if name in known else Measurement(name, None)
        for name in MEASUREMENT_NAMES
    )
    states = {"AFIB": (0.97, PRESENT), "SR": (0.01, "absent"), "IMI": (0.3, "undetermined"), "WPW": (0.2, "not assessed")}
    findings = tuple(Finding(code, *states[code]) for code in CODES if code in states)
    cases = (Case("17", 0.91, 70.0, "M", {"AFIB": 0.0}, {}, "PTB-XL 1.0.3 record 17"),)
    return Evidence(Quality("usable", 0.9), Measurements(items), findings, cases, (), ecg.age_years, ecg.sex, ecg.content_hash())


@dataclass
class StubChat:
    readings: tuple[ECG, ...]
    questions: list[str] = field(default_factory=list)

    def ask(self, question: str) -> Result:
        self.questions.append(question)
        text = f"Answer {len(self.questions)} to <b>{question}</b> [M:rate_bpm]."
        return Result({"status": "answer", "text": text, "values": ["x"], "confidence": 0.9, "evidence": ["M:rate_bpm"]}, text)


class StubLibrary:
    def __init__(self) -> None:
        self.asked: list[tuple[Any, int, str | None]] = []

    def search(self, embedding: Any, k: int, where: str | None = None) -> list[Case]:
        self.asked.append((np.asarray(embedding).shape, k, where))
        return [Case("17", 0.91, 70.0, "M", {"AFIB": 0.0})][:k]

    def close(self) -> None:
        pass

    def search_text(self, text: str, k: int, where: str | None = None) -> list[Case]:
        self.asked.append((text, k, where))
        return [Case("18", 0.5, None, None, {"CLBBB": 100.0})][:k]


@dataclass
class StubEncoding:
    probabilities: Any
    embedding: Any


class StubEncoder:
    hash = "0" * 64

    def encode(self, ecgs: Any) -> list[StubEncoding]:
        return [StubEncoding(np.full(71, 0.25, np.float32), np.ones(256, np.float32)) for _ in ecgs]


class StubAssistant:
    """The interface of ``assistant.Assistant`` as ``ui`` uses it."""

    def __init__(self) -> None:
        self.encoder, self.library = StubEncoder(), StubLibrary()
        self.seen: list[ECG] = []

    def report(self, ecg: ECG, *, k: int = 10) -> Result:
        self.seen.append(ecg)
        evidence = evidence_of(ecg).to_json()
        line = {"text": "Atrial fibrillation <i>.", "evidence": ["F:AFIB"], "source": "renderer"}
        document = {
            "status": "draft",
            "reasons": [],
            "sections": {"rhythm": [line], "impression": [line], "quality": []},
            "impression": [line],
            "critical": [],
            "conflicts": [],
            "limits": ["A limit."],
            "guarantee": "A promise.",
            "versions": {"schema": "1.0"},
            **{name: evidence[name] for name in ("quality", "measurements", "findings", "cases")},
        }
        return Result(document, "DRAFT\nAtrial fibrillation [F:AFIB].")

    def ask(self, ecgs: list[ECG], question: str, history: Any = None) -> Result:
        self.seen += ecgs
        text = f"{len(ecgs)} recordings: {question}"
        return Result(
            {"status": "answer", "text": text, "values": ["yes"], "confidence": 0.9, "evidence": [], "reasons": []}, text
        )

    def chat(self, ecg: ECG) -> StubChat:
        return StubChat((ecg,))

    def report_of(self, reading: ECG) -> Result:
        return self.report(reading)


@pytest.fixture
def stub() -> StubAssistant:
    return StubAssistant()
