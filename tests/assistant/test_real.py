"""The whole house with the weights that ship: demo recordings, and fold 9 where real recordings are at hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from assistant import Assistant
from assistant.answer import Answer
from assistant.check import check
from assistant.evidence import PRESENT
from assistant.report import Draft, Referral
from encoders.ptbxl import SEXES, load_ptbxl
from encoders.readers import read
from ui.demo import DEMOS, demo


@pytest.fixture(scope="module")
def assistant() -> Assistant:
    return Assistant.load()


@pytest.fixture(scope="module")
def reports(assistant):
    return {subject.name: assistant.report(demo(subject.name)) for subject in DEMOS}


def test_demo_recordings_read_as_what_they_show(reports):
    def present(name: str) -> set[str]:
        return {f.code for f in reports[name].report.evidence.in_state(PRESENT)}

    assert {"SR", "NORM"} & present("normal")
    assert "AFIB" in present("af")
    assert "CLBBB" in present("lbbb")
    assert isinstance(reports["normal"], Draft) and isinstance(reports["af"], Draft)


def test_what_cannot_be_read_is_referred_with_a_reason(reports):
    noisy, swapped = reports["noisy"], reports["swapped"]
    assert isinstance(noisy, Referral) and noisy.reasons
    assert isinstance(swapped, Referral) and any("swapped" in reason.text for reason in swapped.reasons)


def test_st_elevation_is_shown_as_critical_whatever_the_status(reports):
    assert any("M:st_j" in " ".join(item.evidence) for item in reports["stemi"].report.critical)


def test_every_printed_sentence_of_an_impression_is_supported_and_cited(reports):
    for name, report in reports.items():
        evidence = report.report.evidence
        for line in report.report.impression:
            if line.source == "language model":
                assert check(line.text, evidence).supported, (name, line.text)
            cited = [i for i in line.evidence if i.startswith("F:")]
            assert all(evidence.finding(i[2:]) for i in cited)


def test_the_model_itself_wrote_most_of_the_impressions(reports):
    lines = [line for name in ("normal", "af", "lbbb") for line in reports[name].report.impression]
    assert sum(line.source == "language model" for line in lines) >= len(lines) / 2


def test_reports_are_json_and_the_same_twice(assistant, reports):
    again = assistant.report(demo("af")).to_json()
    assert json.loads(json.dumps(again)) == again == reports["af"].to_json()


@pytest.mark.parametrize(
    ("name", "question", "value"),
    [
        ("af", "Is there atrial fibrillation?", "yes"),
        ("lbbb", "does it show LBBB", "yes"),
        ("normal", "Any sign of atrial fibrillation?", "no"),
    ],
)
def test_plain_questions_get_plain_answers(assistant, name, question, value):
    answer = assistant.ask(demo(name), question)
    assert isinstance(answer, Answer), answer.to_text()
    assert answer.values == (value,)
    assert answer.to_json()["evidence"]


def test_a_number_comes_from_measurement(assistant):
    answer = assistant.ask(demo("normal"), "What is the QRS duration?")
    expected = assistant.analyse(demo("normal")).measurements["qrs_ms"].text()
    assert answer.values == (expected,) and expected in answer.to_text()


def test_a_critical_measurement_goes_before_the_answer(assistant):
    for question in ("Please summarise.", "Is there an infarction?", "Is there ST elevation?"):
        said = assistant.ask(demo("stemi"), question).to_json()
        assert said["sentences"][0]["text"].startswith("Critical: "), question
        assert "No abnormal finding was stated." not in said["text"]
    assert not assistant.ask(demo("stemi"), "What is the QRS duration?").to_json()["text"].startswith("Critical")


def test_swapped_leads_leave_the_rate_but_not_the_axis(assistant):
    assert isinstance(assistant.ask(demo("swapped"), "What is the axis?"), Referral)
    assert isinstance(assistant.ask(demo("swapped"), "What is the heart rate?"), Answer)


@pytest.mark.parametrize("question", ["Which dose of amiodarone should I give?", "Will she survive the year?", "Tell me a joke"])
def test_out_of_scope_is_declined(assistant, question):
    assert isinstance(assistant.ask(demo("af"), question), Referral)


def test_a_higher_minimum_confidence_declines_more(assistant):
    strict = Assistant(
        encoder=assistant.encoder, library=assistant.library, decision=assistant.decision, language=assistant.language,
        min_confidence=0.9999,
    )  # fmt: skip
    assert isinstance(strict.ask(demo("af"), "Is there atrial fibrillation?"), Referral)


def test_fold_9_drafts_hold_nothing_that_the_evidence_does_not_bear_out(ecg_data, assistant):
    data = load_ptbxl(ecg_data / "ptb-xl", (9,))
    rows = np.random.default_rng(1).permutation(len(data))[:12]
    drafts = 0
    for row in rows:
        age, sex = float(data.table["age"].iloc[row]), data.table["sex"].iloc[row]
        ecg = read(
            str(data.path(int(data.ids[row]))) + ".hea",
            age_years=None if np.isnan(age) else min(age, 90.0), sex=None if sex != sex else SEXES[int(sex)],
        )  # fmt: skip
        made = assistant.report(ecg)
        drafts += isinstance(made, Draft)
        evidence = made.report.evidence
        said = {i for line in made.report.impression for i in line.evidence}
        assert {f.id for f in evidence.in_state(PRESENT)} <= said
        for line in made.report.impression:
            if line.source == "language model":
                assert check(line.text, evidence).supported, line.text
    assert drafts >= len(rows) / 2
