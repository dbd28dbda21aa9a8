"""Answers about the signal, about what was left open, and about normality beside what cannot be excluded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assistant.answer import bare_answer, more_lines, open_lines, signal_lines
from assistant.answers import answer
from assistant.bare import asks_abnormal
from assistant.beside import masked_lines, st_lines
from assistant.compose import renderer, sections
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence, Finding
from assistant.intents import Question
from assistant.question import understand_by_rules
from assistant.scope import INTENDED_USE
from assistant.synonyms import MORE_SYNONYMS
from encoders.measurements import MEASUREMENT_NAMES, MORE_NAMES, Measurement, Measurements
from encoders.quality import Quality
from encoders.vocabulary import CODES, STATEMENTS


def _evidence(quality: Quality | None = None, **states: tuple[str, float]) -> Evidence:
    findings = tuple(Finding(c, states[c][1], states[c][0]) if c in states else Finding(c, 0.01, ABSENT) for c in CODES)
    items = tuple(Measurement(n, None, 0) for n in MEASUREMENT_NAMES)
    return Evidence(quality or Quality("usable", 0.97), Measurements(items), findings, (), (), 60.0, "M", "")


def _said(text: str, quality: Quality) -> tuple[str, tuple[str, ...]]:
    evidence, asked = _evidence(quality), understand_by_rules(text)
    return " ".join(line.text for line in signal_lines(asked, evidence)), bare_answer(asked, evidence).values


LIMITED = Quality(
    "limited", 0.7, ("Noise in V3; do not rely on what it shows.",), ("noise",), ("V3",), lead_noise_kinds={"V3": ("muscle",)},
    placement="as expected",
)  # fmt: skip
SWAPPED = Quality(
    "limited", 0.9, ("Lead I looks upside down; check the electrodes.",), ("arm_swap_suspected",), placement="doubted"
)


@pytest.mark.parametrize(
    ("text", "quality", "start", "value"),
    [
        ("Could the signal be trusted in V3?", LIMITED, "No: lead V3 should not be relied on (muscle noise).", "no"),
        ("Could the signal be trusted in V3?", Quality("usable", 0.97), "Yes: lead V3 can be relied on", "yes"),
        ("Is V3 noisy?", LIMITED, "Yes: lead V3 should not be relied on", "yes"),
        ("Is V4 noisy?", LIMITED, "No: lead V4 can be relied on: no disturbance was found there.", "no"),
        ("Can I trust leads V3 and V5?", LIMITED, "No: lead V3 should not be relied on (muscle noise). Lead V5 can", "no"),
        ("Are the electrodes placed correctly?", SWAPPED, "No: the direction of the leads speaks against", "no"),
        ("Are the electrodes swapped?", SWAPPED, "Yes: the direction", "yes"),
        ("Are the electrodes placed correctly?", LIMITED, "Yes: the leads run as they do", "yes"),
        ("Are the electrodes placed correctly?", Quality("usable", 0.9), "Whether the electrodes are", "cannot be judged"),
        ("Is V3 noisy?", Quality("unusable", 0.1, ("Leads are flat.",), bad_leads=("V3",)), "Yes: lead V3 should not", "yes"),
    ],
)
def test_a_question_on_the_signal_is_answered_as_it_is_put(text: str, quality: Quality, start: str, value: str) -> None:
    said, values = _said(text, quality)
    assert said.startswith(start) and values == (value,)


def test_a_question_that_is_not_on_the_signal_gets_no_bare_yes() -> None:
    for text in ("Would you call the heart's electrical timing okay?", "Does all that hold together?"):
        asked = Question(text, "quality")
        (line,) = signal_lines(asked, _evidence())
        assert line.text == "The recording is usable." and bare_answer(asked, _evidence()).values == ("usable",)
    for text in ("Is the tracing good enough?", "Can I trust it?", "Is there much noise?", "And V3?"):
        assert signal_lines(Question(text, "quality"), _evidence())[0].text.startswith(("Yes: ", "No: ")), text


def test_bad_leads_are_named_and_limits_told() -> None:
    said, _ = _said("Which leads would you not trust?", LIMITED)
    assert said == "Lead V3 should not be relied on. Noise in V3; do not rely on what it shows."
    clean, _ = _said("Which leads would you not trust?", Quality("usable", 1.0))
    assert clean.startswith("No lead was found that should not be relied on.")
    assert signal_lines(understand_by_rules("Is there AF?"), _evidence(LIMITED)) == ()


@pytest.mark.parametrize(
    ("text", "share", "said"),
    [
        ("Do P waves come before every QRS?", 1.0, "Yes: a P wave was found before every beat."),
        ("Do P waves come before every QRS?", 0.6, "Not before every beat: a P wave was found before 60 % of the beats."),
        ("Do P waves come before every QRS?", 0.0, "No: no P wave was found before any beat."),
        ("What share of beats has a P wave?", 0.97, "A P wave was found before 97 % of the beats."),
        ("Do P waves come before every QRS?", None, ""),
    ],
)
def test_p_waves_before_beats_are_told_in_words(text: str, share: float | None, said: str) -> None:
    items = tuple(Measurement(n, share if n == "p_wave_share" else None, 10) for n in MEASUREMENT_NAMES)
    evidence, asked = replace(_evidence(), measurements=Measurements(items)), understand_by_rules(text)
    assert asked.measurements == ("p_wave_share",)
    assert " ".join(line.text for line in signal_lines(asked, evidence)) == said


def test_urgency_is_a_question_of_the_urgent_findings() -> None:
    urgent = {s.code for s in STATEMENTS if s.urgency in ("critical", "urgent")}
    texts = ("Anything urgent?", "any red flags here", "What are the urgent findings?", "how urgent is this ECG")
    for text in texts:
        asked = understand_by_rules(text)
        assert asked.intent in ("verify", "query") and set(asked.codes) == urgent, text
    flutter = _evidence(AFLT=(PRESENT, 0.98), SR=(ABSENT, 0.01))
    assert bare_answer(understand_by_rules("Anything urgent?"), flutter).values[0] == "yes"
    assert "atrial flutter" in answer(flutter, understand_by_rules("Anything urgent?"), None)[0].text
    assert bare_answer(understand_by_rules("Anything urgent?"), _evidence()).values[0] == "no"


def test_certainty_of_the_rhythm_begins_with_what_is_stated() -> None:
    flutter = _evidence(AFLT=(PRESENT, 0.98), SVTAC=(UNDETERMINED, 0.2))
    said = [one.text for one in answer(flutter, understand_by_rules("How sure are you about the rhythm?"), None)]
    assert "trial flutter is present" in said[0] and "upraventricular tachycardia is undetermined" in said[1]


def test_trust_in_a_lead_is_a_question_of_quality_and_trust_in_a_finding_is_not() -> None:
    for text in ("Could the signal be trusted in V3?", "is V3 reliable", "can I believe what lead II shows", "do you trust aVL?"):
        assert understand_by_rules(text).intent == "quality", text
    assert understand_by_rules("how reliable is the QTc?").intent == "certainty"
    assert understand_by_rules("is the ST elevation in V3 reliable?").intent == "verify"


def test_what_was_left_open_is_listed_by_state() -> None:
    evidence = _evidence(AFLT=(NOT_ASSESSED, 0.01), LVH=(UNDETERMINED, 0.3))
    for text in ("What is not assessed?", "Which findings stay open?", "What could you not judge?"):
        asked = understand_by_rules(text)
        assert asked.intent == "query", text
        lines = open_lines(asked, evidence)
        assert [line.evidence for line in lines] == [("F:LVH",), ("F:AFLT",)]
        assert bare_answer(asked, evidence).values and not bare_answer(asked, evidence).open
    assert open_lines(understand_by_rules("What is the rhythm?"), evidence) == ()


def test_no_plain_normal_beside_an_infarction_that_cannot_be_excluded() -> None:
    normal = Question("Is this ECG normal?", "normal", ("NORM",))
    calm = _evidence(NORM=(PRESENT, 0.95), SR=(PRESENT, 0.99))
    open_ = _evidence(NORM=(PRESENT, 0.95), SR=(PRESENT, 0.99), IMI=(UNDETERMINED, 0.4))
    assert open_.pressing() and not calm.pressing()
    said = " ".join(s.text for s in renderer(open_))
    assert "Otherwise normal ECG." in said and "Inferior myocardial infarction cannot be excluded." in said
    assert "Normal ECG." in " ".join(s.text for s in renderer(calm))
    text = " ".join(s.text for s in answer(open_, normal, None))
    assert text.startswith("Yes, the ECG is otherwise normal.") and "cannot be excluded" in text
    assert [s.text for s in answer(calm, normal, None)] == ["Yes, the ECG is normal."]
    nothing = _evidence(SR=(PRESENT, 0.99), IMI=(UNDETERMINED, 0.4))
    assert "No abnormal finding was stated" not in " ".join(s.text for s in renderer(nothing))


def test_sections_exclude_nothing_that_the_impression_does_not_name() -> None:
    weak = _evidence(NORM=(PRESENT, 0.95), SR=(PRESENT, 0.99), LMI=(UNDETERMINED, 0.001))
    assert not weak.pressing()
    text = " ".join(s.text for s in sections(weak)["infarction and ST-T"])
    assert "Lateral myocardial infarction cannot be judged." in text and "excluded" not in text


def test_absence_of_infarction_patterns_never_stands_as_a_rule_out() -> None:
    for text in ("Is there a myocardial infarction?", "Can you exclude an inferior infarct?"):
        assert understand_by_rules(text).reason == INTENDED_USE, text
    assert understand_by_rules("Is there left ventricular hypertrophy?").reason == ""


def test_how_bad_is_not_answered_with_yes_or_no_to_normality() -> None:
    assert asks_abnormal(Question("Anything critical?", "normal", ("NORM",))) is None
    assert asks_abnormal(Question("Anything odd here?", "normal", ("NORM",))) is True
    assert asks_abnormal(Question("Is it normal?", "normal", ("NORM",))) is False


def test_what_hides_infarction_is_said_beside_its_absence() -> None:
    asked = understand_by_rules("Can you exclude an infarction?")
    blocked = _evidence(CLBBB=(PRESENT, 0.97))
    (line,) = masked_lines(asked, blocked)
    assert line.text == "Complete left bundle branch block hides infarction, so that its absence says little here."
    assert masked_lines(asked, _evidence(CRBBB=(PRESENT, 0.97))) == ()
    assert masked_lines(asked, _evidence(CLBBB=(PRESENT, 0.97), IMI=(PRESENT, 0.9))) == ()
    assert masked_lines(understand_by_rules("Is there AF?"), blocked) == ()


def test_st_levels_are_told_where_the_statement_was_not_assessed() -> None:
    asked = understand_by_rules("Is there ST elevation?")
    evidence = _evidence(STE_=(NOT_ASSESSED, 0.01))

    def measured(v3_mv: float) -> Evidence:
        items = tuple(
            Measurement(n, v3_mv if n[-2:] in ("V2", "V3") else 0.02, 8, reliability=0.9)
            if n.startswith("st_j_mv_")
            else Measurement(n, None, 0)
            for n in MEASUREMENT_NAMES
        )
        return replace(evidence, measurements=Measurements(items))

    (line,) = st_lines(asked, measured(0.08))
    assert "no two contiguous leads" in line.text and "0.08 mV" in line.text and "does not rule out" in line.text
    assert st_lines(asked, measured(0.3)) == () and st_lines(asked, evidence) == ()
    assert st_lines(understand_by_rules("Is there AF?"), measured(0.08)) == ()


@pytest.mark.parametrize(
    ("text", "value", "said"),
    [
        ("How many pauses?", 0.0, "Pauses of 2 s and more: none in this recording; the longest RR interval is 1040 ms."),
        ("number of pauses", 2.0, "Pauses of 2 s and more: 2 in this recording; the longest RR interval is 1040 ms."),
        ("is the T axis normal?", 40.0, "T axis: 40°. No limit was applied to it."),
        ("what is the longest RR interval", None, "Longest RR interval: 1040 ms."),
        ("QTc by Hodges please", 431.0, "QTc after Hodges: 431 ms."),
        ("How many PVCs are there?", 3.0, "Premature ventricular beats by measurement: 3 among 12 beats."),
        ("What is the R wave progression like?", 3.5, "R wave transition: R outgrows S between V3 and V4."),
        ("R wave progression?", 4.0, "R wave transition: R outgrows S in V4."),
        ("how wide is the P wave", 112.0, "P duration: 112 ms."),
        ("T axis?", 40.0, "T axis: 40°."),
        ("atrial rate?", None, "Atrial rate: not measurable (P waves do not outnumber the beats)."),
    ],
)
def test_values_that_no_statement_speaks_of_can_be_asked_for(text: str, value: float | None, said: str) -> None:
    asked = understand_by_rules(text)
    assert asked.intent == "measurement" and len(asked.measurements) == 1
    named = asked.measurements[0]
    found = {named: value, "rr_max_ms": 1040.0}
    more = tuple(
        Measurement(n, found.get(n), 12, (), 0.9) if found.get(n) is not None
        else Measurement(n, None, 12, (), 0.0, "P waves do not outnumber the beats")
        for n in MORE_NAMES
    )
    evidence = _evidence()
    evidence = replace(evidence, measurements=replace(evidence.measurements, more=more))
    lines = more_lines(asked, evidence)
    assert " ".join(line.text for line in lines) == said
    assert lines[0].evidence[0] == f"M:{named}"
    bare = bare_answer(asked, evidence)
    assert bare.values == (evidence.measurements[named].text(),) and (bare.confidence > 0.5) == (found.get(named) is not None)


def test_every_further_value_has_words_and_is_never_taken_for_one_that_is_generated() -> None:
    assert set(MORE_SYNONYMS) == set(MORE_NAMES)
    for name, texts in MORE_SYNONYMS.items():
        for text in texts[1:] or texts:  # the first is how it is printed
            text += " QTc" if text == "Framingham" else ""  # alone it is the risk score
            assert understand_by_rules(f"what is the {text}?").measurements == (name,), text
    for text in ("is the QTc prolonged?", "PVCs?", "what is the heart rate?", "P waves?"):
        assert more_lines(understand_by_rules(text), _evidence()) == ()


def _with(**values: float | None) -> Evidence:
    more = tuple(Measurement(n, values.get(n), 12, (), 0.9, "R stays smaller than S up to V6" if n == "r_transition" else "")
                 for n in MORE_NAMES)  # fmt: skip
    evidence = _evidence(PVC=(ABSENT, 0.01))
    return replace(evidence, measurements=replace(evidence.measurements, more=more))


@pytest.mark.parametrize(("count", "said", "value"), [(0.0, "No: pauses of 2 s", "no"), (2.0, "Yes: pauses of 2 s", "yes")])
def test_whether_there_are_pauses_is_answered_by_yes_or_no(count: float, said: str, value: str) -> None:
    asked, evidence = understand_by_rules("Are there any pauses?"), _with(pauses_2s_n=count)
    assert more_lines(asked, evidence)[0].text.startswith(said) and bare_answer(asked, evidence).values == (value,)


def test_that_there_is_no_transition_is_an_answer() -> None:
    asked, evidence = understand_by_rules("Is there poor R wave progression?"), _with()
    assert more_lines(asked, evidence)[0].text == "R wave transition: R stays smaller than S up to V6."
    bare = bare_answer(asked, evidence)
    assert bare.values == ("R stays smaller than S up to V6",) and not bare.open and bare.confidence == 0.9


def test_values_stand_beside_findings_and_before_and_after() -> None:
    for text in ("are there PVCs or pauses?", "Is there AF with long pauses?", "Is there AF? And pauses?"):
        asked = understand_by_rules(text)
        assert asked.intent == "verify" and asked.codes and asked.beside == ("pauses_2s_n",) and asked.measurements == (), text
    before = understand_by_rules("QTc by Hodges?", recordings=2)
    for asked in (
        understand_by_rules("and before?", before, recordings=2),
        understand_by_rules("Is the Hodges QTc different from before?", recordings=2),
    ):
        assert asked.intent == "compare" and asked.measurements == ("qtc_hodges_ms",)
        said = more_lines(asked, _with(qtc_hodges_ms=431.0), _with(qtc_hodges_ms=470.0))
        assert [line.text for line in said] == ["QTc after Hodges: 431 ms in the first recording, 470 ms in the second."]


def test_a_long_p_wave_is_asked_for_only_where_it_is_the_p_wave() -> None:
    for text in ("how wide is the P wave", "is the P wave prolonged?", "are the P waves broad"):
        assert understand_by_rules(text).measurements == ("p_ms",), text
    for text in ("How wide is the QRS and is there a P wave before every beat?", "Do P waves come before every wide QRS?"):
        assert "p_ms" not in understand_by_rules(text).measurements, text
    assert understand_by_rules("Framingham score?").intent == "out_of_scope"
    assert understand_by_rules("what does pNN50 mean?").intent in ("unclear", "measurement")


@pytest.mark.parametrize(
    ("text", "value", "bare", "said"),
    [
        ("Is the rhythm regular?", 0.05, "yes", "Yes: the beats follow each other evenly (RR irregularity 0.05;"),
        ("Is the rhythm regular?", 0.32, "no", "No: the beats follow each other unevenly (RR irregularity 0.32;"),
        ("Is the pulse irregular?", 0.32, "yes", "Yes: the beats follow each other unevenly"),
        ("is this heartbeat regular or irregular", 0.32, "irregular", "The beats follow each other unevenly"),
    ],
)
def test_whether_the_beats_are_regular(text: str, value: float, bare: str, said: str) -> None:
    item = Measurement("rr_irregularity", value, 10, ("II",), 0.9)
    measured = Measurements(tuple(item if n == "rr_irregularity" else Measurement(n, None, 0) for n in MEASUREMENT_NAMES))
    evidence, asked = replace(_evidence(), measurements=measured), understand_by_rules(text)
    (line,) = signal_lines(asked, evidence)
    assert line.text.startswith(said) and line.evidence == ("M:rr_irregularity",)
    assert bare_answer(asked, evidence).values == (bare,)
    weak = replace(evidence, measurements=Measurements(tuple(replace(m, reliability=0.1) for m in measured.items)))
    assert signal_lines(asked, weak) == ()
    assert signal_lines(understand_by_rules("What is the RR irregularity?"), evidence) == ()
