"""Draft and Referral: every key of the schema, nothing unserialisable, critical findings first, ids behind sentences."""

from __future__ import annotations

import json

import pytest

from assistant.decide import Critical, Reason
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Conflict, Evidence, Finding
from assistant.report import INTENDED_USE, SECTIONS, Draft, Line, Referral, Report, who_should_look
from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements
from encoders.quality import Quality
from encoders.vocabulary import CODES
from retrieval.case import Case

STATE = {"AFIB": (PRESENT, 0.97), "IMI": (UNDETERMINED, 0.4), "LVH": (UNDETERMINED, 0.01), "PSVT": (NOT_ASSESSED, 0.001)}


@pytest.fixture
def report() -> Report:
    items = tuple(
        Measurement(n, 104.0, 17, ("II",), 0.9) if n == "rate_bpm" else Measurement(n, None) for n in MEASUREMENT_NAMES
    )
    findings = tuple(Finding(c, STATE.get(c, (ABSENT, 0.01))[1], STATE.get(c, (ABSENT, 0.01))[0]) for c in CODES)
    evidence = Evidence(
        Quality("usable", 0.9), Measurements(items), findings, (Case("17", 0.91, 70, "M", {"AFIB": 0.0}),),
        (Conflict("R:af-or-sinus", ("F:AFIB", "F:SR"), "Both cannot be.", "a guideline"),), 71, "M", "f" * 64, 0.8,
    )  # fmt: skip
    line = Line("Atrial fibrillation at 104/min.", ("F:AFIB", "M:rate_bpm"), "language model")
    opened = Line("Inferior myocardial infarction cannot be excluded.", ("F:IMI",))
    sections = {"rhythm": (line,), "infarction and ST-T": (opened,), "impression": (line,)}
    critical = (Critical("rule", "present", "QTc 520 ms.", ("M:qtc_ms",), "a guideline"),)
    return Report(
        evidence, sections, (line,), critical, {"sentences": 3, "dropped": 2}, {"encoder": "e"}, ("A limit.",), "A promise."
    )


def test_draft_holds_every_key_of_the_schema(report: Report) -> None:
    document = Draft(report).to_json()
    assert document["status"] == "draft" and document["reasons"] == []
    assert set(document) >= {
        "schema_version", "status", "reasons", "quality", "measurements", "findings", "sections", "impression", "cases",
        "versions", "intended_use", "unconfirmed", "critical", "checker", "limits", "conflicts", "guarantee", "familiarity",
    }  # fmt: skip
    assert tuple(document["sections"]) == SECTIONS
    assert document["unconfirmed"] is True and document["intended_use"] == INTENDED_USE
    assert document["impression"] == [
        {"text": "Atrial fibrillation at 104/min.", "evidence": ["F:AFIB", "M:rate_bpm"], "source": "language model"}
    ]
    assert len(document["findings"]) == len(CODES)
    assert set(document["findings"][0]) >= {"code", "name", "probability", "state", "urgency"}
    assert document["measurements"]["pr_ms"]["value"] is None
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_referral_keeps_all_that_is_known_and_says_who(report: Report) -> None:
    reasons = (Reason("nothing", "Nothing is certain enough."), Reason("critical", "Third-degree AV block cannot be excluded."))
    referral = Referral(reasons, who_should_look(reasons), report)
    document = referral.to_json()
    assert document["status"] == "referral"
    assert document["reasons"] == [r.text for r in reasons]
    assert document["who_should_look"].startswith("a physician at once")
    assert document["critical"][0]["text"] == "QTc 520 ms."
    assert {k for k in Draft(report).to_json()} <= set(document)
    text = referral.to_text()
    assert text.index("Nothing is certain enough.") < text.index("CRITICAL") < text.index("Impression")


def test_text_is_readable_and_cites(report: Report) -> None:
    text = Draft(report).to_text()
    flat = " ".join(text.split())
    assert INTENDED_USE in flat
    assert "Atrial fibrillation at 104/min. [F:AFIB, M:rate_bpm]" in flat
    assert "QTc 520 ms. [M:qtc_ms] (a guideline)" in flat
    assert "Cannot be judged: inferior myocardial infarction." in flat
    assert "left ventricular hypertrophy (LVH)" not in flat and "1 more undetermined" in flat
    assert "R:af-or-sinus" in flat and "C:17" in flat and "A limit." in flat and "A promise." in flat
    assert "pr_ms not measurable" in flat
    assert max(map(len, text.splitlines())) <= 100


def test_a_declined_question_is_a_referral_without_a_report() -> None:
    reason = Reason("out of scope", "Treatment is not decided here; please ask the treating physician.")
    referral = Referral((reason,), "the treating physician", text=reason.text)
    document = referral.to_json()
    assert document["status"] == "referral" and document["values"] == [] and document["reasons"] == [reason.text]
    assert referral.evidence is None and "treating physician" in referral.to_text()
