"""The phrases that writer, checker and question parser share."""

from __future__ import annotations

import subprocess
import sys

import pytest

from assistant import lexicon
from assistant.lexicon import GROUPS, HEDGES, JUDGEMENTS, PHRASES, find_phrases, longest_match, tokens, words
from assistant.synonyms import GROUP_SYNONYMS, MEASUREMENT_SYNONYMS, STATEMENT_SYNONYMS, UNASSESSED, WRITTEN
from encoders.measurements import MEASUREMENT_NAMES
from encoders.vocabulary import CODES, STATEMENTS


def test_every_statement_has_name_urgency_criteria_and_citation() -> None:
    for s in STATEMENTS:
        assert s.name and s.name[-1] != "."
        assert s.urgency in ("critical", "urgent", "routine", "normal")
        assert s.criteria.endswith(".") and s.criteria.count(". ") == 0, s.code
        assert s.citation
    assert len({s.name for s in STATEMENTS}) == len(STATEMENTS) == 71


def test_urgency_of_the_statements_that_matter_most() -> None:
    urgency = {s.code: s.urgency for s in STATEMENTS}
    assert urgency["3AVB"] == "critical"
    assert urgency["NORM"] == urgency["SR"] == "normal"
    assert {urgency[c] for c in CODES if c.startswith("INJ")} == {"urgent"}
    assert {urgency[c] for c in ("AFLT", "SVTAC", "PSVT", "STE_", "2AVB")} == {"urgent"}


@pytest.mark.parametrize("code", CODES)
def test_every_synonym_of_a_statement_means_that_statement_alone(code: str) -> None:
    for text in (lexicon.canonical(code), *STATEMENT_SYNONYMS[code]):
        found = words(text)
        match = longest_match(found, 0)
        assert match is not None and match.end == len(found), text
        assert match.phrase.codes == (code,), text
        assert match.phrase.kind == ("normal" if code == "NORM" else "statement")


def test_written_forms_are_a_part_of_the_readings() -> None:
    assert set(WRITTEN) == set(STATEMENT_SYNONYMS) == set(CODES)
    for code, forms in WRITTEN.items():
        assert len(forms) >= 2 or code in ("INJAS",), code
        assert set(forms) <= set(STATEMENT_SYNONYMS[code])


@pytest.mark.parametrize(
    ("table", "kind"),
    [(GROUP_SYNONYMS, "group"), (MEASUREMENT_SYNONYMS, "measurement"), (UNASSESSED, "unassessed"), (HEDGES, "hedge"),
     (JUDGEMENTS, "judgement")],
)  # fmt: skip
def test_no_phrase_of_a_table_is_taken_by_another_meaning(table: dict[str, tuple[str, ...]], kind: str) -> None:
    for value, texts in table.items():
        for text in texts:
            match = longest_match(words(text), 0)
            assert match is not None and (match.phrase.kind, match.phrase.value) == (kind, value), text


def test_groups_hold_known_codes_and_measurements_are_all_named() -> None:
    assert all(set(codes) <= set(CODES) and codes for codes in GROUPS.values())
    assert set(GROUP_SYNONYMS) <= set(GROUPS)
    assert set(MEASUREMENT_SYNONYMS) == set(MEASUREMENT_NAMES)
    assert not any(c.startswith("INJ") for c in GROUPS["myocardial infarction"])


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Is there a-fib?", ("AFIB",)),
        ("first-degree heart block", ("1AVB",)),
        ("1st degree AV block", ("1AVB",)),
        ("LVH", ("LVH",)),
        ("inferior wall infarction", ("IMI",)),
        ("inferior wall infarct", ("IMI",)),
        ("Anterior ischaemic changes", ("ISCAN",)),
        ("anterior ischemic changes", ("ISCAN",)),
        ("LBBB", GROUPS["left bundle branch block"]),
        ("complete LBBB", ("CLBBB",)),
        ("infarktion", GROUPS["myocardial infarction"]),
        ("AV block of any degree", ("1AVB", "2AVB", "3AVB")),
    ],
)
def test_how_people_write_is_understood(text: str, codes: tuple[str, ...]) -> None:
    found = find_phrases(text, ("statement", "group"))
    assert [m.phrase.codes for m in found] == [codes]


def test_an_irregular_heartbeat_is_not_every_arrhythmia() -> None:
    """Sinus tachycardia is one, and as regular as can be."""
    assert not any(m.phrase.codes for m in find_phrases("Is there an irregular heartbeat?"))


def test_the_longest_phrase_wins() -> None:
    found = find_phrases("voltage criteria for left ventricular hypertrophy, not left ventricular hypertrophy")
    assert [m.phrase.value for m in found] == ["VCLVH", "no", "LVH"]


def test_what_no_statement_answers_is_not_taken_for_a_near_one() -> None:
    for text in ("acute inferior infarction", "ventricular fibrillation", "wide complex tachycardia", "acute MI", "STEMI"):
        found = find_phrases(text)
        assert [m.phrase.kind for m in found] == ["unassessed"], text


def test_tokens_keep_numbers_units_and_placeholders() -> None:
    assert tokens("QRS 142 ms, axis -35°, [qtc_ms]; 72/min.") == (
        "qrs", "142", "ms", ",", "axis", "-35", "°", ",", "[qtc_ms]", ";", "72", "/min", ".",
    )  # fmt: skip
    assert words("ST-T changes (V1-V3)") == ("st", "t", "changes", "v1", "v3")


def test_phrases_are_normalised_and_unique() -> None:
    assert len({p.words for p in PHRASES}) == len(PHRASES) > 1000
    assert all(words(" ".join(p.words)) == p.words for p in PHRASES)


def test_the_lexicon_loads_nothing_heavy() -> None:
    code = "import sys, assistant.lexicon; print([m for m in ('torch', 'transformers', 'numpy', 'faiss') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() in ("[]", "['numpy']")
