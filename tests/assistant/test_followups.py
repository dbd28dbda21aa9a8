"""Follow-ups that lean on the question before, and short wordings that were once taken for something else."""

from __future__ import annotations

from functools import cache

import pytest

from assistant.intents import Question
from assistant.lexicon import GROUPS
from assistant.question import asks_urgency, understand_by_rules
from assistant.scope import INTENDED_USE
from assistant.understanding import understand
from encoders.ecg import STANDARD_LEADS
from encoders.vocabulary import codes_in
from retrieval.text import TextEncoder

INFARCTION = {code for code in codes_in("MI") if not code.startswith("INJ")}
ALL_ST = {f"st_j_mv_{lead}" for lead in STANDARD_LEADS}


@cache
def _encoder() -> TextEncoder:
    return TextEncoder()


def last(*texts: str) -> Question:
    """The last of these questions, each understood with the one before it."""
    asked = None
    for text in texts:
        asked = understand(text, asked, encoder=_encoder())
    assert asked is not None
    return asked


@pytest.mark.parametrize(
    ("text", "measurement"),
    [
        ("rate then vs now", "rate_bpm"),
        ("axis then and now", "axis_deg"),
        ("rate before and now", "rate_bpm"),
        ("PR now and then", "pr_ms"),
        ("QTc earlier vs now", "qtc_ms"),
        ("what was the rate then and what is it now", "rate_bpm"),
    ],
)
def test_then_and_now_compares_the_value(text, measurement):
    asked = understand_by_rules(text, recordings=2)
    assert (asked.intent, asked.measurements, asked.recordings) == ("compare", (measurement,), 2)
    assert understand(text, recordings=2, encoder=_encoder()).intent == "compare"


def test_gone_still_compares():
    asked = understand_by_rules("has the flutter gone", recordings=2)
    assert (asked.intent, asked.codes) == ("compare", ("AFLT",))


@pytest.mark.parametrize(
    ("before", "text", "codes", "measurements"),
    [
        ("pr?", "is that prolonged", ("LPR",), ("pr_ms",)),
        ("pr?", "is that normal?", (), ("pr_ms",)),
        ("axis?", "is it ok?", (), ("axis_deg",)),
        ("rate?", "too fast?", (), ("rate_bpm",)),
        ("QT?", "is that long?", ("LNGQT",), ("qtc_ms",)),
        ("longest RR?", "is that too long", (), ("rr_max_ms",)),
    ],
)
def test_a_word_on_the_value_asked_before_judges_that_value(before, text, codes, measurements):
    asked = last(before, text)
    assert (asked.intent, asked.codes, asked.measurements) == ("measurement", codes, measurements)


def test_normality_of_the_whole_ecg_is_not_taken_for_a_value():
    for text in ("normal?", "is this a normal ecg?", "is the rhythm normal"):
        assert "pr_ms" not in last("pr?", text).measurements
    assert last("any AF?", "is that normal?").intent == "normal"


@pytest.mark.parametrize("text", ["which leads", "where exactly?", "in which leads", "which leads is it in", "and in V3?"])
def test_where_asks_after_the_finding_before(text):
    asked = last("any old inferior MI?", text)
    assert (asked.intent, asked.codes) == ("explain", ("IMI",))
    asked = last("any old inferior MI?", "which leads", text)
    assert (asked.intent, asked.codes) == ("explain", ("IMI",))


def test_a_lead_after_the_st_segment_gets_its_level():
    for before in (("ST elevation?",), ("ST elevation?", "which leads")):
        asked = last(*before, "and in V3?")
        assert (asked.intent, asked.codes, asked.measurements) == ("verify", ("STE_",), ("st_j_mv_V3",))
    assert last("ST elevation?", "is V3 reliable?").intent == "quality"


def test_an_explicit_normal_beats_what_was_asked_before():
    asked = last("normal?", "any AF?", "how sure is normal")
    assert (asked.intent, asked.codes) == ("certainty", ("NORM",))
    assert last("any AF?", "how sure is that").codes == ("AFIB",)


@pytest.mark.parametrize("text", ["which ones swapped", "which ones are swapped", "which ones?", "which leads?"])
def test_which_ones_stays_with_the_electrodes(text):
    assert last("are the electrodes right?", text).intent == "quality"


@pytest.mark.parametrize("text", ["why not judged", "why was it not judged"])
def test_why_not_judged_explains_what_was_asked_before(text):
    asked = last("PR?", text)
    assert (asked.intent, asked.measurements) == ("explain", ("pr_ms",))
    assert (last("any AF?", text).intent, last("any AF?", text).codes) == ("explain", ("AFIB",))


@pytest.mark.parametrize(
    "text", ["any high grade block?", "high-grade AV block", "high degree heart block?", "advanced AV block?"]
)
def test_high_grade_block_is_of_second_or_third_degree(text):
    asked = understand_by_rules(text)
    assert (asked.intent, asked.codes) == ("verify", ("2AVB", "3AVB"))
    assert understand_by_rules("any AV block?").codes == GROUPS["AV block"]


@pytest.mark.parametrize(
    ("text", "moved"),
    [("STEMI?", "STE_"), ("is this a STEMI", "STE_"), ("NSTEMI?", "STD_"), ("non-ST-elevation MI?", "STD_")],
)
def test_stemi_asks_for_infarction_and_the_st_segment(text, moved):
    asked = last(text)
    assert asked.intent == "verify" and set(asked.codes) == INFARCTION | {moved}
    assert INTENDED_USE in asked.reason


def test_stemi_or_nstemi_is_no_choice_between_two_patterns():
    asked = understand_by_rules("STEMI or NSTEMI?")
    assert asked.intent == "verify" and set(asked.codes) == INFARCTION | {"STE_", "STD_"}
    assert set(understand_by_rules("acute MI?").codes) == set(codes_in("MI"))


@pytest.mark.parametrize("text", ["st depression where", "which leads show ST depression", "where is the ST depression"])
def test_where_st_depression_is(text):
    asked = last(text)
    assert asked.intent in ("query", "explain") and asked.codes == ("STD_",)


def test_the_depth_of_st_depression_is_the_level_of_that_lead():
    asked = last("how deep is st depression in V5")
    assert (asked.intent, asked.codes, asked.measurements) == ("measurement", ("STD_",), ("st_j_mv_V5",))


@pytest.mark.parametrize("text", ["st in all leads", "ST levels in every lead", "ST levels?"])
def test_st_of_all_leads_is_every_level(text):
    asked = last(text)
    assert asked.intent == "measurement" and set(asked.measurements) == ALL_ST


def test_st_of_all_leads_of_a_wall_is_theirs():
    assert last("ST in all limb leads").measurements == tuple(f"st_j_mv_{lead}" for lead in STANDARD_LEADS[:6])


def test_st_findings_in_all_leads_stay_findings():
    assert understand_by_rules("is there ST elevation in all leads?").codes == ("STE_",)


@pytest.mark.parametrize(
    "text", ["T wave amplitude in V3", "T in V3", "R wave V1", "how tall is R in V5", "P wave amplitude in II"]
)
def test_the_size_of_a_wave_is_asked_back(text):
    asked = last(text)
    assert asked.intent == "unclear" and not asked.measurements and "single waves" in asked.reason


@pytest.mark.parametrize(
    ("text", "intent", "named"),
    [
        ("low T wave amplitude?", "verify", ("LOWT",)),
        ("T wave amplitude low?", "verify", ("LOWT",)),
        ("Q waves in III?", "verify", ("QWAVE",)),
        ("R wave progression?", "measurement", ("r_transition",)),
        ("P waves in II?", "measurement", ("p_wave_share",)),
        ("T wave inversion in V3?", "verify", ("INVT",)),
    ],
)
def test_waves_that_are_judged_stay_answered(text, intent, named):
    asked = understand_by_rules(text)
    assert (asked.intent, asked.codes or asked.measurements) == (intent, named)


@pytest.mark.parametrize(
    "text",
    [
        "is this heartbeat regular or irregular",
        "Is the pulse irregular?",
        "Is there an irregular heartbeat?",
        "Is the heart rate regular?",
        "Are the RR intervals regular?",
        "Are the beats evenly spaced?",
        "Is the rhythm regular?",
    ],
)
def test_regular_asks_how_even_the_beats_are_and_not_how_fast(text):
    for asked in (understand_by_rules(text), last(text)):
        assert (asked.intent, asked.codes, asked.measurements) == ("measurement", (), ("rr_irregularity",))


def test_regular_beside_a_rhythm_or_a_rate_is_told_with_it():
    asked = last("Is the AF regular?")
    assert (asked.intent, asked.codes, asked.beside) == ("verify", ("AFIB",), ("rr_irregularity",))
    assert last("What is the rate and is it regular?").measurements == ("rate_bpm", "rr_irregularity")
    assert last("What is the rhythm, and is it regular?").beside == ("rr_irregularity",)
    assert last("irregular sinus rhythm?").codes == ("SARRH",)
    assert last("Is the P wave regular?").measurements == ("p_wave_share",)
    assert last("Is the PR interval regular?").measurements == ("pr_ms",)


@pytest.mark.parametrize(
    ("text", "intent", "codes", "beside"),
    [
        ("Is there AV block, and how long is the PR?", "verify", GROUPS["AV block"], ("pr_ms",)),
        ("How wide is the QRS, and is it LBBB?", "verify", GROUPS["left bundle branch block"], ("qrs_ms",)),
        ("What is the QRS duration and is there a bundle branch block?", "verify", GROUPS["bundle branch block"], ("qrs_ms",)),
        ("Is there LVH, and which voltages support it?", "verify", ("LVH",), ("sokolow_lyon_mv", "cornell_mv")),
        ("which bundle branch block is it and how wide is the QRS?", "query", GROUPS["bundle branch block"], ("qrs_ms",)),
        ("AF or flutter, and what is the ventricular rate?", "choose", ("AFIB", "AFLT"), ("rate_bpm",)),
        ("Is there sinus tachycardia? What is the rate?", "verify", ("STACH",), ("rate_bpm",)),
        ("LAFB with left axis deviation?", "verify", ("LAFB",), ("axis_deg",)),
        ("What is the rhythm and how fast is it going?", "query", GROUPS["rhythm"], ("rate_bpm",)),
        ("rhythm and rate?", "query", GROUPS["rhythm"], ("rate_bpm",)),
        ("tell me the rhythm, rate and axis", "query", GROUPS["rhythm"], ("rate_bpm", "axis_deg")),
        ("Rhythm, rate and intervals?", "query", GROUPS["rhythm"], ("rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms")),
    ],
)
def test_a_value_asked_for_beside_a_finding_is_kept(text, intent, codes, beside):
    for asked in (understand_by_rules(text), last(text)):
        assert (asked.intent, asked.codes, asked.measurements, asked.beside) == (intent, codes, (), beside)


def test_a_word_on_the_value_beside_a_finding_judges_that_value():
    asked = last("Is there AV block, and how long is the PR?", "is that prolonged?")
    assert (asked.intent, asked.measurements) == ("measurement", ("pr_ms",))


def test_what_is_told_of_a_value_is_not_asked_for():
    assert understand_by_rules("HR 42, sinus bradycardia?").beside == ()
    assert understand_by_rules("Is there LBBB given the QRS of 150?").beside == ()


def test_two_values_are_both_asked_for():
    assert last("Give me QT and QTc please").measurements == ("qt_ms", "qtc_ms")
    asked = last("Are QT and QTc prolonged?")
    assert (asked.codes, asked.measurements) == (("LNGQT",), ("qt_ms", "qtc_ms"))


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Could it be atrial fibrillation rather than sinus rhythm?", ("AFIB", "SR")),
        ("Is this flutter instead of fibrillation?", ("AFLT", "AFIB")),
        ("Is it left as opposed to right bundle branch block?", (*GROUPS["left bundle branch block"], "CRBBB", "IRBBB")),
        ("AF versus flutter?", ("AFIB", "AFLT")),
        ("Is it AF and not flutter?", ("AFIB", "AFLT")),
        ("Is AF more likely than flutter?", ("AFIB", "AFLT")),
    ],
)
def test_one_finding_against_another_is_a_choice(text, codes):
    for asked in (understand_by_rules(text), last(text)):
        assert (asked.intent, set(asked.codes)) == ("choose", set(codes))


@pytest.mark.parametrize(
    "text",
    ["Old or new infarct?", "Is the infarct old or new?", "How old is the infarct?", "Is the MI recent?", "fresh or old MI?"],
)
def test_the_age_of_an_infarction_is_no_yes_and_no_comparison(text):
    for asked in (understand_by_rules(text), last(text)):
        assert asked.intent == "query" and set(asked.codes) >= INFARCTION
        assert asked.reason.startswith("How old") and INTENDED_USE in asked.reason
    assert understand_by_rules(text, recordings=2).intent in ("compare", "verify")


def test_the_place_of_an_infarction_is_asked_for_in_plain_words_too():
    asked = last("Is the infarct in the front or in the back?")
    assert (asked.intent, set(asked.codes)) == ("query", INFARCTION)
    assert set(last("Is the infarction on the front wall?").codes) == set(understand_by_rules("MI in the anterior wall?").codes)
    assert last("any old inferior MI?").intent == "verify" and last("Is there an old infarction?").intent == "verify"


@pytest.mark.parametrize(
    "text",
    [
        "Would you call the heart's electrical timing okay?",
        "Are the conduction times normal?",
        "How is the heart's timing?",
        "Are all time intervals within limits?",
    ],
)
def test_electrical_timing_is_the_intervals(text):
    for asked in (understand_by_rules(text), last(text)):
        assert (asked.intent, asked.measurements) == ("measurement", ("pr_ms", "qrs_ms", "qt_ms", "qtc_ms"))


@pytest.mark.parametrize(
    ("text", "codes", "measurements"),
    [
        ("Was the earlier ECG normal?", ("NORM",), ()),
        ("Has the ECG become normal?", ("NORM",), ()),
        ("Has it normalised?", ("NORM",), ()),
        ("Is the heart beating slower now?", (), ("rate_bpm",)),
        ("Is it going faster than before?", (), ("rate_bpm",)),
        ("Is the axis more to the left now?", (), ("axis_deg",)),
        ("Is it worse?", (), ()),
    ],
)
def test_what_changed_between_two_recordings_is_told_of_what_is_named(text, codes, measurements):
    for asked in (understand_by_rules(text, recordings=2), understand(text, recordings=2, encoder=_encoder())):
        assert (asked.intent, asked.codes, asked.measurements) == ("compare", codes, measurements)


def test_normality_of_the_later_recording_is_no_comparison():
    for text in ("Is the second ECG normal?", "Is the latest tracing normal?"):
        assert understand_by_rules(text, recordings=2).intent == "normal"


@pytest.mark.parametrize("before", ["Is the QRS complex broadened?", "What is the QRS duration?"])
@pytest.mark.parametrize("text", ["how sure?", "why?", "what makes you think that?", "are you sure?"])
def test_what_is_asked_of_an_answer_keeps_its_measurement(before, text):
    asked = last(before, text)
    assert (asked.intent in ("certainty", "explain"), asked.codes, asked.measurements) == (True, (), ("qrs_ms",))


@pytest.mark.parametrize("text", ["narrow or broad complex tachycardia?", "is it a wide or a narrow complex tachycardia"])
def test_narrow_or_broad_asks_for_width_and_rate(text):
    asked = last(text)
    assert (asked.intent, set(asked.measurements)) == ("measurement", {"qrs_ms", "rate_bpm"})


def test_one_kind_of_tachycardia_is_still_a_finding_or_not_assessed():
    assert understand_by_rules("narrow complex tachycardia?").codes == ("SVTAC",)
    assert understand_by_rules("broad complex tachycardia?").intent == "out_of_scope"


@pytest.mark.parametrize("text", ["whats the rate, is it brady?", "what is the rate and is it tachycardic"])
def test_the_rate_is_told_where_it_is_asked_for(text):
    for asked in (understand_by_rules(text), last(text)):
        assert asked.intent == "measurement" and "rate_bpm" in asked.measurements


@pytest.mark.parametrize(("text", "codes"), [("is it brady?", ("SBRAD",)), ("tachy?", GROUPS["tachycardia"])])
def test_brady_and_tachy_alone_stay_statements(text, codes):
    assert (last(text).intent, last(text).codes) == ("verify", codes)


def test_a_rate_that_is_told_stays_a_hint():
    assert understand_by_rules("HR 42, sinus bradycardia?").codes == ("SBRAD",)


def test_svt_alone_means_both_of_its_statements():
    asked = last("svt or sinus tach?")
    assert (asked.intent, asked.codes) == ("choose", ("SVTAC", "PSVT", "STACH"))
    assert understand_by_rules("paroxysmal SVT?").codes == ("PSVT",)


@pytest.mark.parametrize("text", ["list everything thats abnormal", "list all that is abnormal", "name everything abnormal"])
def test_a_list_of_what_is_abnormal_is_a_query(text):
    for asked in (understand_by_rules(text), last(text)):
        assert (asked.intent, asked.codes) == ("query", ())


@pytest.mark.parametrize("text", ["what is normal pr", "what is a normal PR", "normal PR range", "PR normal range"])
def test_a_normal_range_is_a_definition(text):
    for asked in (understand_by_rules(text), last(text)):
        assert (asked.intent, asked.measurements) == ("define", ("pr_ms",))


@pytest.mark.parametrize(
    "text", ["is the PR in the normal range", "QT within normal limits?", "normal PR?", "PR above normal range?"]
)
def test_whether_a_value_is_normal_is_no_definition(text):
    assert understand_by_rules(text).intent == "measurement"


def test_a_value_that_is_named_is_judged_and_not_the_whole_ecg():
    asked = last("QRS normal?")
    assert (asked.intent, asked.measurements) == ("measurement", ("qrs_ms",))


@pytest.mark.parametrize(
    "text",
    [
        "is this urgent?",
        "is it urgent",
        "does anyone need to see this now",
        "who should look at this",
        "should someone see this?",
        "Is this an emergency?",
        "Can this wait until tomorrow?",
        "Does this need a doctor today?",
        "Any life-threatening finding?",
        "Is anything here dangerous?",
        "Does the ECG show anything acutely dangerous?",
        "How urgent is it?",
        "How dangerous is this ECG?",
        "Is there anything that needs immediate attention?",
        "Does it need urgent review?",
        "Is there a finding that must be acted on at once?",
        "Anything that can't wait?",
        "Is there any immediate danger?",
        "Anything serious?",
        "Are any of these findings dangerous?",
        "Is there anything I should act on immediately?",
    ],
)
def test_who_must_look_is_the_question_after_urgent_findings(text):
    asked = last(text)
    assert asks_urgency(text) and (asked.intent, asked.codes) == ("verify", GROUPS["urgent finding"])
    assert asked.codes == understand_by_rules("anything urgent?").codes


def test_which_findings_are_urgent_is_a_list():
    for text in ("Which findings are urgent?", "What is dangerous here?"):
        assert (last(text).intent, last(text).codes) == ("query", GROUPS["urgent finding"])


@pytest.mark.parametrize(
    "text",
    [
        "is it urgent to cardiovert?",
        "who should see this patient",
        "is this urgent surgery?",
        "is it urgent to refer him",
        "How soon should he be seen?",
        "Should I go to the emergency room?",
        "Does this need urgent treatment?",
        "Does he need a doctor today?",
        "Is AF dangerous?",
        "Do I need an ambulance?",
        "Is this operation urgent?",
    ],
)
def test_urgency_of_what_is_done_is_still_declined(text):
    assert not asks_urgency(text) and last(text).intent == "out_of_scope"
