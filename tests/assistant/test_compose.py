"""Text from evidence: complete, hedged where it must be, without numbers of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

import pytest

from assistant.answers import answer, compare, values
from assistant.compose import STYLES, impression, renderer, sections
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Conflict, Evidence, Finding
from assistant.filling import fill
from assistant.intents import INTENTS, Question
from assistant.lexicon import GROUPS
from assistant.phrasing import TOPICS
from assistant.synthetic import random_evidence
from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements
from encoders.quality import Quality
from encoders.vocabulary import CODES, statement
from retrieval.case import Case


def made(
    present: dict[str, float] | None = None,
    undetermined: tuple[str, ...] = (),
    skipped: tuple[str, ...] = (),
    measured: dict[str, float] | None = None,
    cases: tuple[Case, ...] = (),
    quality: Quality | None = None,
) -> Evidence:
    present = present or {}
    known = {"rate_bpm": 72.0, "pr_ms": 160.0, "qrs_ms": 92.0, "qt_ms": 390.0, "qtc_ms": 414.0, "axis_deg": 40.0} | (
        measured or {}
    )
    findings = tuple(
        Finding(c, present[c], PRESENT)
        if c in present
        else Finding(c, 0.3, UNDETERMINED)
        if c in undetermined
        else Finding(c, 0.02, NOT_ASSESSED if c in skipped else ABSENT)
        for c in CODES
    )
    items = tuple(Measurement(n, known.get(n), 8 if n in known else 0) for n in MEASUREMENT_NAMES)
    return Evidence(quality or Quality("usable", 1.0), Measurements(items), findings, cases, (), 60.0, "M", "")


def said(sentences: list) -> str:  # type: ignore[type-arg]
    return " ".join(s.text for s in sentences)


def test_every_statement_but_normal_has_one_topic() -> None:
    for code in CODES:
        assert sum(code in topic for topic in TOPICS.values()) == (0 if code == "NORM" else 1), code


def test_the_renderer_joins_rhythm_rate_and_conduction() -> None:
    evidence = made({"SR": 0.97, "1AVB": 0.9}, measured={"pr_ms": 230.0})
    text = said(renderer(evidence))
    assert text == "Sinus rhythm at [rate_bpm] with first-degree AV block. Clinical review is needed."
    assert fill(text, evidence).startswith("Sinus rhythm at 72/min with first-degree AV block.")


def test_a_doubtful_finding_is_probable_and_a_sure_one_is_not() -> None:
    assert "Probable left ventricular hypertrophy." in said(renderer(made({"AFIB": 0.95, "LVH": 0.7})))
    assert "with probable complete left bundle branch block." in said(renderer(made({"AFIB": 0.95, "CLBBB": 0.7})))
    assert "robable" not in said(renderer(made({"AFIB": 0.95, "CLBBB": 0.85})))


def test_probable_never_stands_in_front_of_a_sure_finding() -> None:
    for seed in range(200):
        for s in impression(made({"SR": 0.9, "LVH": 0.6, "INVT": 0.95, "STD_": 0.9}), Random(seed), "prose"):
            if "robabl" in s.text or "ikely" in s.text:
                assert s.claims[-1] == "F:LVH", s.text
                assert not re.search(r"([Pp]robabl|[Ll]ikely).*( T-wave| T wave|ST)", s.text), s.text


def test_normal_and_otherwise_normal() -> None:
    assert "Normal ECG." in said(renderer(made({"SR": 0.99, "NORM": 0.95})))
    assert "Otherwise normal ECG." in said(renderer(made({"SR": 0.99, "SARRH": 0.9, "NORM": 0.95})))
    assert "Normal ECG cannot be judged." in said(renderer(made({"SR": 0.99}, undetermined=("NORM",))))
    assert "The ECG is not normal." in said(renderer(made({"SR": 0.99})))
    assert "No abnormal finding was stated." in said(renderer(made({"SR": 0.99}, skipped=("NORM",))))


def test_abnormal_measurements_that_no_finding_carries_stand_in_the_impression() -> None:
    wide = {"qrs_ms": 141.0, "axis_deg": -114.0}
    text = said(renderer(made({"SR": 0.99}, skipped=("NORM",), measured=wide)))
    assert "QRS duration [qrs_ms], wide." in text and "Extreme axis deviation at [axis_deg]." in text
    assert "No abnormal finding" not in text  # beside a wide QRS it would read as if nothing were the matter
    assert "QRS duration" not in said(renderer(made({"SR": 0.99, "CRBBB": 0.9}, measured=wide)))
    slow = made({"SR": 0.99, "NORM": 0.95}, measured={"pr_ms": 204.0})
    assert said(renderer(slow)).index("PR interval [pr_ms], prolonged.") < said(renderer(slow)).index("Otherwise normal ECG.")
    rng = Random(3)
    for _ in range(20):
        assert "[qrs_ms]" in said(impression(made({"SR": 0.99}, measured=wide), rng, rng.choice(STYLES)))
        assert "[qrs_ms]" not in said(impression(made({"SR": 0.99}, measured=wide), rng, measured=False))


def test_a_statement_that_its_own_measurement_makes_is_not_left_open() -> None:
    assert "Prolonged QT interval cannot be excluded." in said(renderer(made({"SR": 0.99}, undetermined=("LNGQT",))))
    text = said(renderer(made({"SR": 0.99}, undetermined=("LNGQT",), measured={"qtc_ms": 485.0})))
    assert "QTc interval [qtc_ms], prolonged." in text and "excluded" not in text


def test_a_comparison_says_what_cannot_be_compared() -> None:
    nothing, flutter = made(), made({"AFLT": 0.9})
    unusable = replace(flutter, quality=Quality("unusable", 0.0, ("Flat.",)))
    assert said(sections(nothing, nothing)["comparison"]) == "No finding is certain enough in both recordings to be compared."
    assert said(sections(unusable, flutter)["comparison"]) == "The second recording is not usable: nothing can be compared."
    assert said(sections(flutter, unusable)["comparison"]) == "The first recording is not usable: nothing can be compared."
    assert "have not changed" in said(sections(flutter, flutter)["comparison"])


def test_critical_findings_come_first_and_urgent_topics_before_others() -> None:
    sentences = renderer(made({"SR": 0.9, "3AVB": 0.9, "LVH": 0.95, "IMI": 0.85}))
    order = [c for s in sentences for c in s.claims if c.startswith("F:")]
    assert order == ["F:3AVB", "F:SR", "F:IMI", "F:LVH"]
    assert sentences[-1].text == "Urgent clinical review is needed."


def test_open_urgent_statements_cannot_be_excluded_and_open_routine_ones_stay_out() -> None:
    text = said(renderer(made({"SR": 0.9, "LVH": 0.9}, undetermined=("3AVB", "IRBBB"))))
    assert "Third-degree AV block cannot be excluded." in text
    assert "right bundle" not in text


def test_a_family_that_is_open_throughout_is_named_once() -> None:
    text = said(renderer(made({"SR": 0.9, "LVH": 0.9}, undetermined=("IMI", "AMI", "ASMI", "LMI"))))
    assert text.count("infarction") == 1 and "Myocardial infarction cannot be excluded." in text


@pytest.mark.parametrize("style", STYLES)
def test_every_present_finding_is_claimed_once_and_no_other_as_present(style: str) -> None:
    rng = Random(7)
    for _ in range(150):
        evidence = random_evidence(rng)
        if not evidence.quality.usable:
            continue
        sentences = impression(evidence, rng, style)
        claims = [c.removeprefix("F:") for s in sentences for c in s.claims if c.startswith("F:")]
        present = {f.code for f in evidence.in_state(PRESENT)}
        assert all(claims.count(c) == 1 for c in present)
        assert {evidence.finding(c).state for c in claims if c not in {*present, "NORM"}} <= {UNDETERMINED}


def test_no_literal_number_is_written() -> None:
    rng = Random(3)
    for _ in range(200):
        evidence = random_evidence(rng)
        texts = said(impression(evidence, rng, rng.choice(STYLES)))
        for lines in sections(evidence).values():
            texts += said(lines)
        assert not re.search(r"\d", re.sub(r"\[\w+\]|V\d", "", texts)), texts


def test_the_renderer_is_deterministic_and_the_writer_is_not() -> None:
    evidence = made({"SR": 0.9, "LVH": 0.9, "IMI": 0.7, "PVC": 0.9})
    assert said(renderer(evidence)) == said(renderer(evidence))
    assert len({said(impression(evidence, Random(i), "prose")) for i in range(40)}) > 25
    assert said(impression(evidence, Random(1), "terse")) == said(impression(evidence, Random(1), "terse"))


def test_an_unusable_recording_gets_no_findings() -> None:
    evidence = made({"AFIB": 0.9}, quality=Quality("unusable", 0.0, ("All leads are flat; please record again.",), ("flat",)))
    text = fill(said(renderer(evidence)), evidence)
    assert text == "The recording is not usable. All leads are flat; please record again."
    assert "fibrillation" not in fill(said(answer(evidence, Question("AF?", "verify", ("AFIB",)), None)), evidence)


def test_never_no_acute_infarction() -> None:
    rng = Random(5)
    for _ in range(100):
        text = said([s for lines in sections(random_evidence(rng)).values() for s in lines])
        assert "A recording alone cannot exclude an acute infarction." in text
        assert "No acute" not in text and "no acute" not in text


def test_sections_name_conflicts_and_what_was_not_assessed() -> None:
    evidence = made({"SR": 0.9}, undetermined=("AFIB",), skipped=("SEHYP",))
    conflict = Conflict("af_sr", ("F:AFIB", "F:SR"), "Atrial fibrillation and sinus rhythm cannot both hold.", "x")
    named = sections(replace(evidence, conflicts=(conflict,)))
    assert list(named) == [
        "rhythm", "rate and intervals", "axis", "conduction", "chambers", "infarction and ST-T", "comparison", "not assessed",
    ]  # fmt: skip
    assert conflict.text in said(named["rhythm"])
    assert ("R:af_sr", "F:AFIB", "F:SR") in [s.claims for s in named["rhythm"]]
    assert "Atrial fibrillation cannot be excluded." in said(named["rhythm"])
    assert "Not assessed: septal hypertrophy." in said(named["not assessed"])


@pytest.mark.parametrize(
    ("question", "text", "bare"),
    [
        (Question("Is there AF?", "verify", ("AFIB",)), "Yes, atrial fibrillation is present.", ["yes"]),
        (Question("Is there LVH?", "verify", ("LVH",)), "No, left ventricular hypertrophy is not present.", ["no"]),
        (Question("Flutter?", "verify", ("AFLT",)), "Cannot be judged: atrial flutter is undetermined.", ["undetermined"]),
        (Question("SEHYP?", "verify", ("SEHYP",)), "Not assessed: septal hypertrophy.", ["not assessed"]),
        (Question("Can LVH be excluded?", "verify", ("LVH",)), "Left ventricular hypertrophy is absent.", ["absent"]),
        (Question("Any MI?", "verify", GROUPS["myocardial infarction"]), "No, myocardial infarction is not present.", ["no"]),
        (Question("AF or flutter?", "choose", ("AFIB", "AFLT")), "Atrial fibrillation.", ["atrial fibrillation"]),
        (Question("LVH or RVH?", "choose", ("LVH", "RVH")),
         "Neither: no left ventricular hypertrophy or right ventricular hypertrophy.", ["none"]),
        (Question("Which bundle branch block?", "query", GROUPS["bundle branch block"]),
         "Probable complete left bundle branch block.", ["complete left bundle branch block"]),
        (Question("Which hypertrophy?", "query", GROUPS["ventricular hypertrophy"]),
         "None: no ventricular hypertrophy was found.", ["none"]),
        (Question("Is it normal?", "normal", ("NORM",)), "No, the ECG is not normal.", ["no"]),
        (Question("Is anything abnormal?", "normal", ("NORM",)), "Yes, the ECG is not normal.", ["yes"]),
        (Question("Normal or abnormal?", "normal", ("NORM",)), "The ECG is not normal.", ["abnormal"]),
        (Question("What is the QRS duration?", "measurement", (), ("qrs_ms",)), "QRS duration [qrs_ms], wide.", ["150 ms"]),
        (Question("Is the QRS wide?", "measurement", (), ("qrs_ms",)), "Yes, the QRS duration is wide at [qrs_ms].", ["yes"]),
        (Question("Is the QRS normal?", "measurement", (), ("qrs_ms",)), "No, the QRS duration is wide at [qrs_ms].", ["no"]),
        (Question("How long is PR?", "measurement", (), ("pr_ms",)), "Cannot be judged: the PR interval is not measurable.",
         ["not measurable"]),
    ],
)  # fmt: skip
def test_answers_begin_with_the_bare_answer(question: Question, text: str, bare: list[str]) -> None:
    evidence = made({"AFIB": 0.95, "CLBBB": 0.7}, ("AFLT",), ("SEHYP",), {"qrs_ms": 150.0})
    items = tuple(Measurement(m.name, None) if m.name == "pr_ms" else m for m in evidence.measurements.items)
    evidence = replace(evidence, measurements=Measurements(items))
    assert answer(evidence, question, None)[0].text == text
    assert values(evidence, question) == bare


def test_plain_tachycardia_is_answered_by_the_rate_where_no_statement_carries_it() -> None:
    question = Question("Is there tachycardia?", "verify", GROUPS["tachycardia"])
    fast = made({"AFIB": 0.9}, measured={"rate_bpm": 131.0})
    assert answer(fast, question, None)[0].text == "Yes, the ventricular rate is fast at [rate_bpm]."
    assert values(fast, question) == ["yes"]
    assert values(made({"AFIB": 0.9}), question) == ["no"]


def test_a_measured_long_pr_is_not_denied_by_an_absent_statement() -> None:
    question = Question("Is the PR interval prolonged?", "verify", ("LPR",))
    long = made({"SR": 0.9}, measured={"pr_ms": 240.0})
    assert answer(long, question, None)[0].text == "Yes, the PR interval is prolonged at [pr_ms]."
    assert values(long, question) == ["yes"]
    assert answer(made({"SR": 0.9}), question, None)[0].text == "No, prolonged PR interval is not present."


def test_how_long_asks_for_the_value() -> None:
    question = Question("How long is the QRS?", "measurement", (), ("qrs_ms",))
    assert values(made({"SR": 0.9}), question) == ["92 ms"]


def test_every_intent_gets_an_answer_in_every_wording() -> None:
    rng = Random(2)
    for intent in INTENTS:
        for _ in range(20):
            evidence = random_evidence(rng)
            question = Question("What?", intent, ("AFIB",) if intent != "measurement" else (), ("qtc_ms",))
            for generator in (None, rng):
                assert all(s.text[-1] in ".]" and s.text for s in answer(evidence, question, generator, random_evidence(rng)))


def test_comparison_calls_nothing_new_that_one_recording_could_not_judge() -> None:
    first = made({"SR": 0.9, "LVH": 0.9}, undetermined=("IMI",))
    second = made({"AFIB": 0.9, "LVH": 0.9, "IMI": 0.9})
    assert said(compare(first, second, None)) == (
        "New: atrial fibrillation. No longer present: sinus rhythm. Change cannot be judged: inferior myocardial infarction. "
        "Unchanged: left ventricular hypertrophy."
    )
    assert said(compare(first, first, None)).startswith("The stated findings have not changed.")


def test_fill_takes_values_from_the_evidence_only() -> None:
    cases = tuple(Case(str(i), 0.9, statements={"CLBBB": 100.0} if i < 3 else {"SR": 0.0}) for i in range(5))
    evidence = made({"CLBBB": 0.93}, measured={"qrs_ms": 151.6, "axis_deg": -35.2}, cases=cases)
    assert fill("QRS [qrs_ms], axis [axis_deg].", evidence) == "QRS 152 ms, axis -35°."
    assert (
        fill("Of [n_cases] similar cases, [k_cases] had complete LBBB.", evidence) == "Of 5 similar cases, 3 had complete LBBB."
    )
    assert (
        fill("Of [n_cases] similar cases, [k_cases] had atrial flutter.", evidence) == "Of 5 similar cases, 0 had atrial flutter."
    )
    assert fill("CLBBB is present: probability [probability].", evidence) == "CLBBB is present: probability 93 %."
    assert fill("What it is: [criteria]. Source: [citation].", evidence, "CLBBB") == (
        f"What it is: {statement('CLBBB').criteria} Source: {statement('CLBBB').citation}."
    )
    assert fill("The ST level in aVR is [st_j_mv_avr].", evidence) == "The ST level in aVR is not measurable."
    assert fill("[made_up] stays.", evidence) == "[made_up] stays."
