"""Training text: the layout of prompts, truth of targets, coverage, and that the checker reads all of it."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

import pytest

from assistant import corpus
from assistant.bare import values
from assistant.check import check_text
from assistant.corpus import HELD_OUT, SPECIAL_TOKENS, TEMPLATES, example, prompt, questions, random_evidence, serialise
from assistant.evidence import ABSENT, PRESENT, UNDETERMINED
from assistant.filling import fill
from assistant.intents import INTENTS, Question
from encoders.vocabulary import CODES, statement


def test_about_a_fifth_of_the_wordings_is_held_out_and_none_is_shared() -> None:
    assert set(HELD_OUT) == set(TEMPLATES)
    for kind, held in HELD_OUT.items():
        assert not {t.lower().rstrip("?.") for t in held} & {t.lower().rstrip("?.") for t in TEMPLATES[kind]}
    shares = [len(HELD_OUT[k]) / (len(HELD_OUT[k]) + len(TEMPLATES[k])) for k in TEMPLATES]
    assert min(shares) > 0.1 and 0.15 < sum(shares) / len(shares) < 0.3


def test_the_layout_of_a_prompt() -> None:
    evidence = random_evidence(Random(1), ["AFIB", "CLBBB"])
    evidence = replace(evidence, quality=replace(evidence.quality, verdict="usable"))
    question = Question("Is there AF?", "verify", ("AFIB",))
    bare = prompt(evidence, question, "tokens", 16)
    asked = "<|evidence|>asked: verify; <|shows:6:AFIB|>."
    assert bare == "<|ecg|>" * 16 + asked + "<|question|> Is there AF?<|answer|>", "what is asked, and nothing of its state"
    report = prompt(evidence, None, "both", 4)
    assert report.startswith("<|ecg|>" * 4 + "<|evidence|>present: ") and report.endswith("<|report|><|answer|>")
    assert "<|ecg|>" not in prompt(evidence, None, "evidence")
    two = prompt(evidence, question, "tokens", 2, 2, evidence)
    assert two.count("<|ecg|>") == 4
    with pytest.raises(ValueError, match="mode"):
        prompt(evidence, None, "all")


def test_evidence_text_has_words_and_no_measured_numbers() -> None:
    rng = Random(4)
    for _ in range(100):
        evidence = random_evidence(rng)
        question = questions(evidence, rng, 1)[0]
        text = serialise(evidence, with_findings=True, with_measurements=True, with_cases=False, question=question)
        assert not re.search(r"\d", re.sub(r"V\d", "", text)), text
    assert serialise(None, with_findings=True, with_measurements=True, with_cases=True) == ""


def test_evidence_text_lists_states_and_what_was_asked() -> None:
    evidence = random_evidence(Random(9), ["SR", "LVH"], frozenset())
    findings = tuple(
        replace(f, state=UNDETERMINED if f.code == "3AVB" else PRESENT if f.code in ("SR", "LVH") else ABSENT,
                probability={"SR": 0.95, "LVH": 0.6}.get(f.code, 0.05))
        for f in evidence.findings
    )  # fmt: skip
    evidence = replace(evidence, findings=findings, quality=replace(evidence.quality, verdict="usable"), cases=())
    text = serialise(evidence, with_findings=True, with_measurements=False, with_cases=False)
    assert text == (
        "present: left ventricular hypertrophy (probable); sinus rhythm (certain). undetermined: third-degree AV block."
    )
    asked = serialise(
        evidence, with_findings=True, with_measurements=False, with_cases=True, question=Question("AF?", "verify", ("AFIB",))
    )
    assert asked.endswith("cases: none. asked: atrial fibrillation absent.")


@pytest.mark.parametrize("templates", [TEMPLATES, HELD_OUT], ids=["training", "held out"])
def test_questions_cover_all_statements_and_intents_with_yes_and_no_in_balance(templates: dict[str, tuple[str, ...]]) -> None:
    rng = Random(11)
    codes: set[str] = set()
    intents: set[str] = set()
    answers = {"yes": 0, "no": 0}
    for _ in range(350):
        evidence = random_evidence(rng)
        for question in questions(evidence, rng, 6, templates):
            assert "{" not in question.text and question.text
            intents.add(question.intent)
            codes |= set(question.codes)
            if question.intent == "verify" and values(evidence, question) in (["yes"], ["no"]):
                answers[values(evidence, question)[0]] += 1
    assert intents == set(INTENTS) - {"compare"}
    assert codes == set(CODES)
    assert 0.4 < answers["yes"] / sum(answers.values()) < 0.65


def test_random_evidence_reaches_every_statement_and_keeps_the_exclusions() -> None:
    rng = Random(0)
    seen: set[str] = set()
    blocks = long = 0
    for _ in range(1200):
        evidence = random_evidence(rng)
        present = {f.code for f in evidence.in_state(PRESENT)}
        seen |= present
        assert not ("AFIB" in present and present & {"SR", "1AVB"})
        assert not ("NORM" in present and present & {"IMI", "CLBBB", "LVH"})
        if "1AVB" in present and evidence.measurements.value("pr_ms") is not None:
            blocks, long = blocks + 1, long + ((evidence.measurements.value("pr_ms") or 0) > 200)
        assert len(evidence.findings) == len(CODES)
    # Measurements mostly go with the findings, and not always: they are to be read.
    assert seen == set(CODES) and 0.8 < long / blocks < 1


def test_the_checker_reads_and_supports_every_sentence_of_the_corpus() -> None:
    rng = Random(21)
    dropped = []
    total = 0
    for _ in range(120):
        evidence = random_evidence(rng)
        for question in (None, *questions(evidence, rng, 2)):
            target = example(evidence, question, "evidence", rng).target
            code = question.codes[0] if question is not None and question.codes else None
            for text, slots in ((target, True), (fill(target, evidence, code), False)):
                for sentence in check_text(text, evidence, question=question, placeholders=slots):
                    total += 1
                    dropped += [] if sentence.supported else [(sentence.text, sentence.reason)]
    assert total > 800
    assert len(dropped) <= total * 0.005, dropped[:5]


def test_comparisons_are_supported_too() -> None:
    rng = Random(22)
    for _ in range(60):
        skipped = frozenset(rng.sample(CODES, 3))
        first, second = random_evidence(rng, None, skipped), random_evidence(rng, ["SR", "LVH", "IMI"], skipped)
        if not (first.quality.usable and second.quality.usable):
            continue
        question = corpus.comparison(rng)
        made = example(first, question, "evidence", rng, second)
        assert made.prompt.count("<|evidence|>") == 2
        checked = check_text(made.target, first, question=question, second=second, placeholders=True)
        assert all(c.supported for c in checked), [(c.text, c.reason) for c in checked if not c.supported]


def test_targets_from_tokens_alone_follow_the_truth_and_never_speak_of_cases() -> None:
    rng = Random(6)
    evidence, truth = random_evidence(rng, ["SR"], frozenset()), random_evidence(rng, ["AFIB"], frozenset())
    truth = replace(truth, quality=replace(truth.quality, verdict="usable"))
    question = Question("Is there AF?", "verify", ("AFIB",))
    for _ in range(30):
        target = example(evidence, question, "tokens", rng, truth=truth).target
        assert target.startswith(" Yes") and "cases" not in target


def test_text_is_short_varied_reproducible_and_keeps_special_tokens_whole() -> None:
    texts = [corpus.pretraining_text(Random(i)) for i in range(300)]
    assert texts == [corpus.pretraining_text(Random(i)) for i in range(300)]
    assert len(set(texts)) > 280
    assert sum(len(t.split()) for t in texts) / len(texts) < 90
    assert len(set(SPECIAL_TOKENS)) == len(SPECIAL_TOKENS)
    for text in texts:
        assert set(re.findall(r"<\|\w+\|>|\[\w+\]", text)) <= set(SPECIAL_TOKENS)


def test_definitions_quote_the_table() -> None:
    rng = Random(8)
    criteria = {s.criteria for s in map(statement, CODES)}
    found = [t for t in (corpus.pretraining_text(rng) for _ in range(400)) if any(c in t for c in criteria)]
    assert len(found) > 5
