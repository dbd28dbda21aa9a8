"""Decisions about drafted sentences."""

from __future__ import annotations

from typing import Any

import pytest

from encoders.errors import QueryError
from ui.demo import demo
from ui.drafted import ACCEPTED, ADDED, CHANGED, REJECTED, signed_sentences
from ui.editing import DRAFTED, Edition, stated_codes


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
    done = edition.accept("1").change("0", "  Atrial   flutter. ").reject("2").add("See the earlier ECG.", "comparison")
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
