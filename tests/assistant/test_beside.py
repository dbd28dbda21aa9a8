"""What is told behind and before an answer, and what a rule's critical remark does to a referral."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assistant.answer import bare_answer, declined_before, preceded
from assistant.answers import answer
from assistant.bare import meant
from assistant.beside import (
    abnormal_lines,
    basis_lines,
    beat_lines,
    carrier_lines,
    denial_lines,
    likely_lines,
    range_lines,
    sign_lines,
    st_lines,
    unassessed,
    urgent_lines,
    why_open,
)
from assistant.compose import UNUSABLE, review_is_urgent, sections
from assistant.decide import SWAPPED, Reason, critical_by_rule
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence, Finding
from assistant.filling import fill
from assistant.phrasing import View
from assistant.question import understand_by_rules
from assistant.report import Line, Referral
from assistant.scope import INTENDED_USE, REASONS, person_for
from encoders.ecg import STANDARD_LEADS
from encoders.measurements import MEASUREMENT_NAMES, MORE_NAMES, LeadMeasurement, Measurement, Measurements
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


@pytest.mark.parametrize("value", [{"qtc_ms": 532.0}, {"rate_bpm": 199.0}])
def test_what_is_urgent_by_measurement_is_never_denied(value):
    asked = understand_by_rules("Is it urgent?")
    for told in (evidence(value), evidence(value, ISCIN=(UNDETERMINED, 0.2))):
        text = " ".join(line.text for line in urgent_lines(asked, told))
        assert text.startswith("Yes: a measurement is critical.") and "No urgent finding" not in text
        bare = bare_answer(asked, told)
        assert bare.values == ("yes",) and not bare.open and bare.ids == (f"M:{next(iter(value))}",)
    assert "Besides, these cannot be excluded: inferior isch" in text
    turned = understand_by_rules("No urgent finding, right?")
    assert bare_answer(turned, told).values == (PRESENT,) and not urgent_lines(turned, told)[0].text.startswith("Yes")


def _text(text, told):
    asked = understand_by_rules(text)
    return " ".join(line.text for line in (*denial_lines(asked, told), *sign_lines(asked, told)))


@pytest.mark.parametrize(
    "text", ["Is there ischaemia?", "Any sign of ischaemia?", "Can ischaemia be ruled out?", "Is there anterior ischaemia?"]
)
@pytest.mark.parametrize("sign", ["INJIN", "STD_", "STE_"])
@pytest.mark.parametrize("state", [PRESENT, UNDETERMINED])
def test_ischaemia_is_not_denied_beside_what_can_be_a_sign_of_it(text, sign, state):
    told = evidence(**{sign: (state, 0.9 if state == PRESENT else 0.2)})
    said, bare = _text(text, told), bare_answer(understand_by_rules(text), told)
    assert said.startswith("Cannot be judged: no pattern of ") and INTENDED_USE in said
    assert ("is present and can" if state == PRESENT else "cannot be excluded and can") in said
    assert bare.values == ("cannot be judged",) and bare.open and bare.ids == (f"F:{sign}",)


def test_ischaemia_that_is_denied_carries_the_sentence_on_acute_infarction():
    said = _text("Is there ischaemia?", evidence())
    assert said == f"No pattern of ischaemia is stated. {INTENDED_USE}"
    assert bare_answer(understand_by_rules("Is there ischaemia?"), evidence()).values == ("no",)
    sure = understand_by_rules("How sure are you that there is no ischaemia?")
    assert sign_lines(sure, evidence(INJIN=(UNDETERMINED, 0.2))) and denial_lines(sure, evidence()) == ()
    assert denial_lines(understand_by_rules("Is there ischaemia?"), evidence(ISCIN=(UNDETERMINED, 0.2))) == ()
    assert denial_lines(understand_by_rules("Is there LVH?"), evidence()) == ()


@pytest.mark.parametrize(
    "text",
    ["Am I having a heart attack?", "Is there a STEMI?", "Is this an acute infarction?", "STEMI or NSTEMI?", "acute MI?"],
)
def test_a_heart_attack_is_never_answered_by_a_bare_no(text):
    asked = understand_by_rules(text)
    said = _text(text, evidence())
    assert said.startswith("No pattern of myocardial infarction") and " is stated." in said
    assert INTENDED_USE in asked.reason and bare_answer(asked, evidence()).values == ("none stated",)
    assert denial_lines(asked, evidence(IMI=(UNDETERMINED, 0.3))) == ()


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("How sure?", "Is the QTc prolonged?"),
        ("Why?", "Is the QT prolonged?"),
        ("What makes you think that?", "Is the QTc too long?"),
        ("How sure are you of the QTc?", None),
    ],
)
def test_a_measurement_is_explained_by_value_limit_and_reliability(text, before):
    asked = understand_by_rules(text, None if before is None else understand_by_rules(before))
    told = evidence({"qtc_ms": 465.0}, SR=(PRESENT, 0.97), LNGQT=(UNDETERMINED, 0.01))
    told = replace(told, findings=tuple(replace(f, reason="settles it neither way") for f in told.findings))
    lines = basis_lines(asked, told)
    said = " ".join(line.text for line in lines)
    assert said.startswith("QTc interval 465 ms, prolonged. ") and "460 ms or more" in said and "Rautaharju" in said
    assert "on 10 beats" in said and "reliability of 0.95" in said
    assert {i for line in lines for i in line.evidence} == {"M:qtc_ms"} and why_open(asked, told) == ()
    bare = bare_answer(asked, told)
    assert (bare.values, bare.confidence, bare.open) == (("465 ms",), 0.95, "")
    assert [one.claims for one in answer(told, asked, None)] == [("M:qtc_ms",)]


def test_explaining_a_statement_stays_with_the_statement():
    for text in ("Why is there left ventricular hypertrophy?", "How sure are you of the atrial fibrillation?"):
        assert basis_lines(understand_by_rules(text), evidence()) == (), text
    sure = understand_by_rules("How certain are you of the long QT?")
    lines = basis_lines(sure, evidence({"qtc_ms": 465.0}, LNGQT=(UNDETERMINED, 0.01)))
    assert lines and all(line.evidence == ("M:qtc_ms",) for line in lines)
    unlimited = basis_lines(understand_by_rules("How sure are you of the RR interval?"), evidence({"rr_ms": 800.0}))
    assert unlimited[1].text == "No limit was applied to it."


@pytest.mark.parametrize(
    ("text", "codes", "name"),
    [
        ("First-degree AV block?", ("1AVB",), "pr_ms"),
        ("Is there AV block?", ("2AVB",), "pr_ms"),
        ("Any bundle branch block?", ("IRBBB",), "qrs_ms"),
        ("Is there sinus bradycardia?", ("SBRAD",), "rate_bpm"),
    ],
)
def test_the_measurement_behind_an_open_statement_is_told(text, codes, name):
    told = evidence({"pr_ms": 320.0}, **dict.fromkeys(codes, (UNDETERMINED, 0.3)))
    (line,) = carrier_lines(understand_by_rules(text), told)
    assert line.evidence == (f"M:{name}",) and told.measurements[name].text() in line.text
    assert carrier_lines(understand_by_rules(text), evidence()) == ()
    assert carrier_lines(understand_by_rules("Any conduction disturbance?"), told) == (), "several stand behind it"


@pytest.mark.parametrize("code", ["STACH", "SBRAD", "SARRH"])
def test_sinus_rhythm_is_not_denied_beside_a_sinus_rhythm_of_another_name(code):
    told = evidence(**{code: (PRESENT, 0.98)})
    asked = meant(understand_by_rules("Is the patient in sinus rhythm?"), View.of(told))
    assert asked.codes == (code,) and bare_answer(asked, told).values == ("yes",)
    assert answer(told, asked, None)[0].text.startswith("Yes, sinus ")
    choice = meant(understand_by_rules("atrial fibrillation or sinus rhythm?"), View.of(told))
    assert set(choice.codes) == {"AFIB", code}
    for other in (evidence(SR=(PRESENT, 0.98)), evidence(AFIB=(PRESENT, 0.98))):
        assert meant(understand_by_rules("Is it sinus rhythm?"), View.of(other)).codes == ("SR",)


@pytest.mark.parametrize("text", ["Is the ECG normal?", "Normal ECG?", "Anything abnormal?"])
def test_not_normal_names_what_is_abnormal(text):
    told = evidence({"axis_deg": -60.0}, ASMI=(PRESENT, 0.9), NORM=(ABSENT, 0.01))
    cited = Line("No, the ECG is not normal.", ("F:NORM", "F:ASMI"))
    lines = abnormal_lines(understand_by_rules(text), told, (cited,))
    assert "nteroseptal myocardial infarction" in lines[0].text and "-60°" in lines[1].text and len(lines) == 2
    assert abnormal_lines(understand_by_rules(text), told, (*lines, cited)) == ()
    assert abnormal_lines(understand_by_rules("Is there AF?"), told, (cited,)) == ()


def test_no_plain_normal_beside_a_measurement_beyond_its_limit():
    told = evidence({"pr_ms": 204.0}, NORM=(PRESENT, 0.95), SR=(PRESENT, 0.99))
    asked = understand_by_rules("Is the ECG normal?")
    assert answer(told, asked, None)[0].text == "Yes, the ECG is otherwise normal."
    assert [line.evidence for line in abnormal_lines(asked, told, ())] == [("M:pr_ms",)]
    asked = understand_by_rules("Is there anything abnormal?")
    assert answer(told, asked, None)[0].text == "The ECG is otherwise normal.", "no bare no beside what was measured"


def test_least_and_most_sure_are_told_in_that_order():
    told = evidence(SR=(PRESENT, 0.99), LVH=(PRESENT, 0.7), IMI=(PRESENT, 0.9))

    def named(text):
        asked = understand_by_rules(text)
        assert not asked.codes, text
        assert bare_answer(asked, told).ids == tuple(i for one in answer(told, asked, None) for i in one.claims)
        return [one.claims for one in answer(told, asked, None)]

    for text in ("Which finding are you least sure of?", "Least certain finding?"):
        assert named(text) == [("F:LVH",), ("F:IMI",)], text
    for text in ("Which finding are you most certain of?", "How sure are you?"):
        assert named(text) == [("F:SR",), ("F:IMI",)], text


def test_whether_any_is_there_is_denied_by_no():
    asked = understand_by_rules("Is there any AV block, and of which degree?")
    asked = replace(asked, intent="query")
    assert answer(evidence(), asked, None)[0].text.startswith("No, ") and bare_answer(asked, evidence()).values == ("no",)
    which = understand_by_rules("Which AV block is there?")
    assert answer(evidence(), which, None)[0].text.startswith("None: ") and bare_answer(which, evidence()).values == ("none",)


def test_a_j_point_that_lies_on_the_qrs_is_not_cited():
    told = evidence({f"st_j_mv_{lead}": 0.02 for lead in STANDARD_LEADS} | {"st_j_mv_V6": 1.61, "st_j_mv_V4": 0.08},
                    STE_=(NOT_ASSESSED, 0.01))  # fmt: skip
    asked = understand_by_rules("Is there ST elevation?")
    for later, said in ((-0.12, "highest in V4, at 0.08 mV"), (1.5, "highest in V6")):
        table = replace(told.measurements, per_lead=(LeadMeasurement("V6", st_j60_mv=later),))
        (line,) = st_lines(asked, replace(told, measurements=table))
        assert said in line.text


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
