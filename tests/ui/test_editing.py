"""Decisions about drafted sentences."""

from __future__ import annotations

from typing import Any

import pytest

from encoders.errors import QueryError
from ui.demo import demo
from ui.drafted import (
    ACCEPTED,
    ADDED,
    CHANGED,
    REJECTED,
    Edit,
    Sentence,
    check_agreement,
    outright,
    signed_sentences,
)
from ui.editing import DRAFTED, Edition
from ui.reading import read, stated_codes


@pytest.fixture
def edition(stub: Any) -> Edition:
    return Edition.of(stub.report(demo("af")).to_json())


def states(edition: Edition) -> dict[str, str]:
    return {row.key: row.state for _, rows in edition.rows() for row in rows}


def test_every_drafted_sentence_is_shown_once_and_none_is_judged_yet(edition: Edition) -> None:
    shown = [row.text for _, rows in edition.rows() for row in rows]
    assert sorted(shown) == sorted(sentence.text for sentence in edition.drafted)
    assert set(states(edition).values()) == {DRAFTED} and edition.open == len(edition.drafted)


def test_accept_change_reject_and_add_are_decisions_that_can_be_taken_back(edition: Edition) -> None:
    done = edition.change("0", "  Atrial   flutter. ").accept("1").reject("2").add("See the earlier ECG.", "comparison")
    assert {key: states(done)[key] for key in ("0", "1", "2", "+0")} == {"0": CHANGED, "1": ACCEPTED, "2": REJECTED, "+0": ADDED}
    assert done.open == edition.open - 3
    assert "Atrial flutter." in [row.text for _, rows in done.rows() for row in rows]
    back = done.accept("0").reject("2").reject("+0")
    assert states(back)["0"] == ACCEPTED and states(back)["2"] == DRAFTED and "+0" not in states(back)
    assert states(back.accept("0"))["0"] == DRAFTED
    assert states(edition.change("0", edition.drafted[0].text))["0"] == ACCEPTED  # the same words are no change


def test_what_stands_is_what_the_signature_covers(edition: Edition) -> None:
    done = edition.change("0", "Atrial flutter.").reject("1").add("Mine.")
    whole = done.whole()
    assert len([e for e in whole if e.kind != ADDED]) == len(edition.drafted)  # left as drafted: accepted
    signed = signed_sentences(edition.drafted, whole)
    standing = [s for _, rows in done.standing() for s in rows]
    assert sorted(s.text for s in standing) == sorted(s.text for s in signed)
    assert edition.drafted[1].text not in [s.text for s in standing if s.section == edition.drafted[1].section]
    assert done.standing()[0] == ("impression", tuple(s for s in signed if s.section == "impression"))


def test_decisions_go_along_to_another_draft_of_the_same_recording(edition: Edition) -> None:
    done = edition.reject("1").change("0", "Other words.").add("Mine.")
    other = done.carried_to((edition.drafted[1], edition.drafted[3]))
    assert states(other) == {"0": REJECTED, "1": DRAFTED, "+0": ADDED}


@pytest.mark.parametrize("key", ["99", "-1", "x", "+0", "", "²"])
def test_a_sentence_that_is_not_there_cannot_be_judged(edition: Edition, key: str) -> None:
    with pytest.raises(QueryError, match="not in this draft"):
        edition.reject(key)


def test_empty_and_endless_sentences_and_unknown_sections_are_refused(edition: Edition) -> None:
    for wrong in (lambda: edition.change("0", "  "), lambda: edition.add("x" * 2000), lambda: edition.add("x", "nowhere")):
        with pytest.raises(QueryError):
            wrong()


def test_findings_of_a_typed_sentence_are_read_where_that_is_certain() -> None:
    assert stated_codes("Atrial flutter.") == ("AFLT",) and stated_codes("No atrial fibrillation") == ()
    assert stated_codes("please see me about this one") is None
    assert stated_codes("Normal ECG") == ("NORM",) and stated_codes("Sinus rhythm. No infarction.") == ("SR",)
    assert stated_codes("New: atrial fibrillation.") == ("AFIB",) and stated_codes("Left bundle branch block.") is None


@pytest.mark.parametrize(
    "words",
    [
        "Not atrial fibrillation.", "AF excluded", "Artefact mimics atrial fibrillation; rhythm is sinus.",
        "Atrial fibrillation?", "Atrial fibrillation. No.", "Sinus rhythm with frequent atrial ectopics, no atrial fibrillation.",
    ],
)  # fmt: skip
def test_words_that_may_deny_a_finding_never_state_it(edition: Edition, words: str) -> None:
    assert "AFIB" not in (stated_codes(words) or ())
    done = edition.change("0", words)
    assert not any("AFIB" in s.codes for _, rows in done.standing() for s in rows)
    unread = {row.key for _, rows in done.rows() for row in rows if row.unread}
    assert unread == ({"0", "1"} if stated_codes(words) is None else set())  # the rhythm section follows with the same words
    assert {row.key for _, rows in edition.add(words).rows() for row in rows if row.unread} <= {"+0"}


def test_an_otherwise_normal_ecg_is_told_from_a_normal_one() -> None:
    found = read("Sinus rhythm, otherwise normal ECG.")
    assert found is not None and found.otherwise and found.stated == ("SR", "NORM")
    assert outright(Sentence("Otherwise normal ECG.", codes=("NORM",))) == ()
    assert outright(Sentence("Normal ECG.", codes=("NORM", "SR"))) == ("NORM", "SR")


# One finding in several sentences ---------------------------------------------------------------------------------------

#: Infarction in the impression, its section and the comparison, with hypertrophy in one sentence and alone; a rate with none.
TWINS = Edition((
    Sentence("Anteroseptal myocardial infarction.", "impression", ("F:ASMI",), ("ASMI",)),
    Sentence("Sinus rhythm with left ventricular hypertrophy.", "impression", ("F:SR", "F:LVH"), ("SR", "LVH")),
    Sentence("Sinus rhythm.", "rhythm", ("F:SR",), ("SR",)),
    Sentence("Ventricular rate 91/min, normal.", "rate and intervals", ("M:rate_bpm",)),
    Sentence("Left ventricular hypertrophy.", "chambers", ("F:LVH",), ("LVH",)),
    Sentence("Anteroseptal myocardial infarction.", "infarction and ST-T", ("F:ASMI",), ("ASMI",)),
    Sentence("Unchanged: anteroseptal myocardial infarction.", "comparison", ("F:ASMI",), ("ASMI",)),
))  # fmt: skip


def judged(edition: Edition) -> dict[str, str]:
    return {key: state for key, state in states(edition).items() if state != DRAFTED}


def follows(edition: Edition) -> dict[str, str]:
    return {row.key: row.follows for _, rows in edition.rows() for row in rows if row.follows}


def test_a_rejected_finding_is_rejected_wherever_it_stands_and_comes_back_as_one() -> None:
    done = TWINS.reject("0")
    assert judged(done) == dict.fromkeys("056", REJECTED) and done.open == 4
    assert follows(done) == {"5": "impression", "6": "impression"}
    assert not any("ASMI" in s.codes for _, rows in done.standing() for s in rows)
    assert done.reject("0") == TWINS and done.reject("5") == TWINS  # taken back at either of them
    assert judged(TWINS.reject("5")) == dict.fromkeys("056", REJECTED)
    # Of two findings in one sentence both go; the sentence stays where only one of them is rejected.
    assert judged(TWINS.reject("1")) == dict.fromkeys("124", REJECTED)
    one = TWINS.reject("2")
    assert judged(one) == {"2": REJECTED} and judged(one.reject("4")) == dict.fromkeys("124", REJECTED)
    # That nothing changed may be wrong though the finding is there; a value is no finding.
    assert judged(TWINS.reject("6")) == {"6": REJECTED} and judged(TWINS.reject("3")) == {"3": REJECTED}


def test_the_later_of_two_decisions_on_one_finding_counts() -> None:
    assert judged(TWINS.accept("5").reject("0"))["5"] == REJECTED
    later = TWINS.reject("0").accept("5")
    assert judged(later) == {"0": REJECTED, "5": ACCEPTED, "6": REJECTED} and follows(later) == {"6": "impression"}
    assert judged(later.accept("3"))["5"] == ACCEPTED and judged(later.accept("5"))["5"] == REJECTED


@pytest.mark.parametrize(("words", "codes"), [("Septal artefact.", None), ("No infarction.", ()), ("Atrial flutter.", ("AFLT",))])
def test_new_words_reach_what_stated_the_same(words: str, codes: tuple[str, ...] | None) -> None:
    assert stated_codes(words) == codes
    done = TWINS.change("0", words)
    texts = {row.key: row.text for _, rows in done.rows() for row in rows if row.state == CHANGED}
    assert texts == {"0": words, "5": words} and follows(done)["5"] == "impression"
    assert states(done)["6"] == REJECTED  # what was read in the old words is not what the new ones say
    assert judged(done.accept("0")) == {"0": ACCEPTED}


def test_new_words_that_still_state_it_stay_where_they_are() -> None:
    assert judged(TWINS.change("2", "The rhythm is sinus rhythm.")) == {"2": CHANGED}
    fewer = TWINS.change("1", "Sinus rhythm.")
    assert judged(fewer) == {"1": CHANGED, "4": REJECTED}


def test_what_follows_goes_along_to_another_draft() -> None:
    done = TWINS.reject("0").carried_to((*TWINS.drafted[:1], *TWINS.drafted[4:]))
    assert judged(done) == {"0": REJECTED, "2": REJECTED, "3": REJECTED} and done.reject("0").edits == ()


@pytest.mark.parametrize(
    ("edition", "named"),
    [
        (TWINS.reject("0").accept("5"), "infarction and ST-T"),
        (TWINS.change("0", "Septal artefact.").accept("5"), '("Septal artefact." cannot be read as stating it)'),
        (TWINS.reject("4"), "Sinus rhythm with left ventricular hypertrophy."),
        (TWINS.change("0", "No infarction.").accept("6"), "comparison"),
    ],
)
def test_a_finding_that_went_and_stands_all_the_same_is_no_report(edition: Edition, named: str) -> None:
    with pytest.raises(QueryError, match=r"^[A-Z][^.]* was taken out under .* take the first decision back\.$") as refused:
        check_agreement(edition.drafted, edition.whole())
    assert named in str(refused.value)


def test_what_a_human_states_anew_contradicts_nothing() -> None:
    for edition in (TWINS, TWINS.reject("0").add("Anteroseptal myocardial infarction."), TWINS.reject("6"), TWINS.reject("1")):
        check_agreement(edition.drafted, edition.whole())
    moved = (Edit(REJECTED, 0), Edit(CHANGED, 1, "Both.", ("LVH", "AFIB")))
    check_agreement((Sentence("A.", codes=("AFIB",)), Sentence("B.", codes=("LVH",))), moved)


@pytest.mark.parametrize(
    ("edition", "named"),
    [
        (TWINS.add("Atrial fibrillation."), "Atrial fibrillation or flutter and sinus rhythm exclude each other."),
        (TWINS.change("3", "Normal ECG."), "states normal ECG"),
        (TWINS.add("No infarction."), '"No infarction." under impression denies anteroseptal myocardial infarction'),
        (Edition((Sentence("No infarction."), Sentence("A.", evidence=("F:AMI",), codes=("AMI",)))), "denies anterior"),
        (Edition((Sentence("A."), Sentence("Urgent clinical review is needed."))).reject("0"), "add a sentence of your own"),
    ],
)
def test_what_excludes_itself_or_says_nothing_is_not_signed(edition: Edition, named: str) -> None:
    with pytest.raises(QueryError, match=r"\.$") as refused:
        check_agreement(edition.drafted, edition.whole())
    assert named in str(refused.value)


def test_what_a_clinician_may_know_beside_a_block_or_an_otherwise_normal_ecg_is_signed() -> None:
    said = (
        "Complete left bundle branch block.", "Anterior myocardial infarction.", "Left ventricular hypertrophy.",
        "Otherwise normal ECG.",
    )  # fmt: skip
    edition = Edition(())
    for words in said:
        edition = edition.add(words)
    assert all(s.codes for _, rows in edition.standing() for s in rows)
    check_agreement((), edition.whole())
