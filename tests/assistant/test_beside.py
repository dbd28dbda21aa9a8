"""What is told behind and before an answer, and what a rule's critical remark does to a referral."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assistant.answer import declined_before, preceded
from assistant.answers import answer
from assistant.beside import beat_lines, likely_lines, range_lines, st_lines, unassessed, urgent_lines, why_open
from assistant.compose import UNUSABLE, review_is_urgent, sections
from assistant.decide import SWAPPED, Reason, critical_by_rule
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence, Finding
from assistant.filling import fill
from assistant.question import understand_by_rules
from assistant.report import Line, Referral
from assistant.scope import REASONS, person_for
from encoders.measurements import MEASUREMENT_NAMES, MORE_NAMES, Measurement, Measurements
from encoders.quality import Quality
from encoders.vocabulary import CODES


def evidence(values: dict[str, float] | None = None, usable: bool = True, **states: tuple[str, float]) -> Evidence:
    usual = {"rate_bpm": 72.0, "pr_ms": 160.0, "qrs_ms": 92.0, "qt_ms": 390.0, "qtc_ms": 410.0, "axis_deg": 40.0}
    known = {**usual, **(values or {})}
    items = tuple(Measurement(n, known.get(n), beats=10, reliability=0.95) for n in MEASUREMENT_NAMES)
    more = tuple(Measurement(n, known.get(n), beats=10, reliability=0.95) for n in MORE_NAMES)
    rest = (ABSENT if usable else NOT_ASSESSED, 0.001)
    findings = tuple(Finding(c, *reversed(states.get(c, rest))) for c in CODES)
    quality = Quality("usable" if usable else "unusable", 0.9, (), ())
    return Evidence(quality, Measurements(items, more), findings, (), (), 60.0, "F", "x")


def test_premature_beats_that_were_measured_stand_behind_an_open_statement():
    told = evidence({"premature_ventricular_n": 1.0, "premature_atrial_n": 0.0}, PVC=(UNDETERMINED, 0.8))
    (line,) = beat_lines(understand_by_rules("any ectopics?"), told)
    assert line.evidence == ("M:premature_ventricular_n",) and " 1 among " in line.text
    assert beat_lines(understand_by_rules("any atrial fibrillation?"), told) == ()


def test_a_normal_range_is_told_with_its_source_and_this_recording_s_value():
    lines = range_lines(understand_by_rules("what is a normal PR?"), evidence())
    assert [line.evidence for line in lines] == [("M:pr_ms",)] * 2
    assert lines[0].text.startswith("A PR interval of 120 to 200 ms is normal in adults. (") and "160 ms" in lines[1].text
    assert len(range_lines(understand_by_rules("what is normal for QTc"), evidence())) == 3, "men, women, this recording"
    assert range_lines(understand_by_rules("what is LAFB?"), evidence()) == ()


def test_what_is_likelier_than_not_is_told_where_normality_is_asked_for():
    told = evidence(NORM=(PRESENT, 0.95), PVC=(UNDETERMINED, 0.8), LVH=(UNDETERMINED, 0.3))
    (line,) = likely_lines(understand_by_rules("is there anything abnormal?"), told)
    assert line.evidence == ("F:PVC",) and "ventricular premature" in line.text
    assert likely_lines(understand_by_rules("is there anything abnormal?"), evidence(NORM=(PRESENT, 0.95))) == ()


def test_why_of_an_open_finding_gives_its_reason():
    told = evidence(CLBBB=(UNDETERMINED, 0.03))
    told = replace(told, findings=tuple(replace(f, reason="settles it neither way") for f in told.findings))
    before = understand_by_rules("Is there a complete left bundle branch block?")
    (line,) = why_open(understand_by_rules("Why?", before), told)
    assert "settles it neither way" in line.text and line.evidence == ("F:CLBBB",)
    assert why_open(before, told) == ()


def test_urgent_findings_that_stay_open_are_named_the_likeliest_first():
    asked = understand_by_rules("anything urgent?")
    (line,) = urgent_lines(asked, evidence(AFLT=(UNDETERMINED, 0.02), PSVT=(UNDETERMINED, 0.2)))
    assert line.evidence == ("F:PSVT",), "what presses is named alone"
    (line,) = urgent_lines(asked, evidence(AFLT=(UNDETERMINED, 0.02), ISCIN=(UNDETERMINED, 0.03)))
    assert line.evidence == ("F:ISCIN", "F:AFLT") and line.text.startswith("No urgent finding is stated, but")
    assert urgent_lines(asked, evidence(AFIB=(PRESENT, 0.98), PSVT=(UNDETERMINED, 0.2))) == () == urgent_lines(asked, evidence())


def test_members_that_were_not_assessed_are_told_beside_open_ones():
    told = evidence(**{"1AVB": (UNDETERMINED, 0.2), "3AVB": (NOT_ASSESSED, 0.01)})
    line = unassessed(understand_by_rules("any AV block?"), told)
    assert line is not None and line.evidence == ("F:3AVB",)


def test_st_levels_say_little_where_electrodes_seem_exchanged():
    told = replace(evidence(STE_=(NOT_ASSESSED, 0.01)), quality=Quality("limited", 0.8, (), ("precordial_swap_suspected",)))
    (line,) = st_lines(understand_by_rules("any ST elevation?"), told)
    assert line.evidence == ("Q",) and "exchanged" in line.text


def test_a_critical_measurement_makes_review_urgent():
    fast = evidence({"rate_bpm": 199.0})
    assert [one.state for one in critical_by_rule(fast)] == ["present"] and review_is_urgent(fast)
    assert not critical_by_rule(evidence()) and not review_is_urgent(evidence())
    assert "DESIGN" not in critical_by_rule(fast)[0].citation


def test_an_unusable_recording_is_not_called_normal():
    made = sections(evidence(usable=False))
    for name in ("rhythm", "conduction", "chambers", "infarction and ST-T"):
        assert [one.text for one in made[name]] == [UNUSABLE], name
    said = " ".join(fill(one.text, evidence()) for one in (*made["rate and intervals"], *made["axis"]))
    assert "160 ms" in said and "normal" not in said


def test_a_short_qtc_is_told_to_be_common():
    said = [one.text for one in sections(evidence({"qtc_ms": 375.0}))["rate and intervals"]]
    assert said[-1] == "Many healthy people lie below that limit."
    assert len(said) == 1 + len(sections(evidence())["rate and intervals"])


def test_a_prolonged_pr_is_not_called_open_in_the_same_report():
    told = evidence({"pr_ms": 251.0}, LPR=(UNDETERMINED, 0.3), IVCD=(UNDETERMINED, 0.3))
    ids = {i for one in sections(told)["conduction"] for i in one.claims}
    assert "F:IVCD" in ids and "F:LPR" not in ids


def test_rhythm_may_be_asked_for_where_limb_leads_are_swapped():
    swapped = (Reason("intended use", SWAPPED),)
    assert declined_before(understand_by_rules("is there atrial fibrillation?"), swapped) is None
    assert declined_before(understand_by_rules("is there LVH?"), swapped) is not None


def test_what_is_declined_names_somebody_who_can_help():
    assert person_for(REASONS["off_topic"]) == "a general source" and person_for(REASONS["treatment"]) == "the treating physician"
    declined = declined_before(understand_by_rules("which drug should I give?"), ())
    assert isinstance(declined, Referral) and declined.who == "the treating physician"
    first = preceded(declined, (Line("Critical: 199/min.", ("M:rate_bpm",)),))
    assert first.sentences[0].text == "Critical: 199/min." and first.text.startswith("Critical: ") and first.who == declined.who
    assert preceded(declined, ()) is declined


@pytest.mark.parametrize(
    ("text", "said"), [("Which leads show ST elevation?", "ST elevation"), ("list abnormalities", "abnormality")]
)
def test_none_of_what_was_asked_is_named(text, said):
    (made,) = answer(evidence(), understand_by_rules(text), None)
    assert said in made.text and ("abnormality" in made.text) == (said == "abnormality")
