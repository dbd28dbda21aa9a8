"""The language model's reading matter: prompts from evidence, targets from the writer, questions in many wordings.

Layout of a prompt: the slots of the ECG's tokens, the evidence in words, ``<|report|>`` or ``<|question|>`` with the question,
``<|answer|>``. Whoever encodes the target closes it with ``<|end|>``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from assistant.answers import answer
from assistant.bare import asked_group, case_counts, query_codes
from assistant.compose import STYLES, impression
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence
from assistant.intents import Question
from assistant.lexicon import CASE_PLACEHOLDERS, GROUPS, OTHER_PLACEHOLDERS, PLACEHOLDERS, find_phrases, synonyms
from assistant.phrasing import CARRIERS, TOPICS, View, measurement_name, name_of
from assistant.synonyms import GROUP_SYNONYMS, MEASUREMENT_SYNONYMS
from assistant.synthetic import random_codes, random_evidence
from assistant.wordings import HELD_OUT, TEMPLATES
from encoders.measurements import MEASUREMENT_NAMES
from encoders.vocabulary import CODES, STATEMENTS, statement

__all__ = [
    "ECG",
    "END",
    "HELD_OUT",
    "MODES",
    "READ_KINDS",
    "SHOWS",
    "SPECIAL_TOKENS",
    "TEMPLATES",
    "Example",
    "example",
    "pretraining_text",
    "prompt",
    "questions",
    "random_codes",
    "random_evidence",
    "serialise",
]

ECG, EVIDENCE, REPORT, QUESTION, ANSWER, END = "<|ecg|>", "<|evidence|>", "<|report|>", "<|question|>", "<|answer|>", "<|end|>"
#: All tokens that a tokenizer must keep whole.
SPECIAL_TOKENS: tuple[str, ...] = (
    ECG, EVIDENCE, REPORT, QUESTION, ANSWER, END, *PLACEHOLDERS, *CASE_PLACEHOLDERS, *OTHER_PLACEHOLDERS,
)  # fmt: skip
#: What a prompt holds: ECG tokens alone; evidence text alone (pretraining); both; both with similar cases.
MODES = ("tokens", "evidence", "both", "both+cases")

#: Marks, in a prompt of ECG tokens alone, where the statements that show are named: how many at most, and of which.
SHOWS = re.compile(r"<\|shows:(?P<most>\d+):(?P<codes>[^|]*)\|>")
_MOST_ASKED, _MOST_SHOWN = 6, 8

#: Measurements whose judging word stands in the evidence text, with the name it goes by there.
_MEASURED = {"rate_bpm": "rate", "pr_ms": "PR", "qrs_ms": "QRS", "qtc_ms": "QTc", "axis_deg": "axis"}


@dataclass(frozen=True)
class Example:
    """A prompt and what the model is to write behind it (without END, which the encoding of targets adds)."""

    prompt: str
    target: str


def serialise(
    evidence: Evidence | None,
    *,
    with_findings: bool,
    with_measurements: bool,
    with_cases: bool,
    question: Question | None = None,
) -> str:
    """The compact evidence text of a prompt, in words.

    "present: complete left bundle branch block (certain); atrial fibrillation (probable). undetermined: ... . measured: rate
    fast; QRS wide; PR none. cases: 10; complete left bundle branch block 7. asked: atrial flutter absent." Undetermined
    statements are listed where they are critical or urgent, normality, or a rhythm while none is stated; absent ones only
    where ``question`` asks for them.
    """
    if evidence is None:
        return ""
    view = View.of(evidence)
    if not evidence.quality.usable:
        return "quality: unusable."
    parts: list[str] = []
    if with_findings:
        if evidence.quality.verdict == "limited" or (question is not None and question.intent == "quality"):
            parts.append(f"quality: {evidence.quality.verdict}.")
        stated = [
            f"{statement(f.code).name} ({'probable' if view.doubtful(f.code) else 'certain'})" for f in evidence.in_state(PRESENT)
        ]
        parts.append(f"present: {'; '.join(stated) or 'none'}.")
        if question is None or question.intent in ("summary", "normal"):
            rhythm = TOPICS["rhythm"] if not any(c in TOPICS["rhythm"] for c in view.present) else frozenset()
            pressing = evidence.pressing()
            opened = [f.code for f in evidence.in_state(UNDETERMINED) if f in pressing or f.code == "NORM" or f.code in rhythm]
            if opened:
                parts.append(f"undetermined: {'; '.join(statement(c).name for c in opened)}.")
    if with_measurements:
        names = dict(_MEASURED)
        for name in question.measurements if question is not None else ():
            names.setdefault(name, measurement_name(name, None))
        for code in question.codes[:3] if question is not None else ():
            if code in CARRIERS:
                names.setdefault(CARRIERS[code], measurement_name(CARRIERS[code], None))
        words = []
        for name, shown in names.items():
            missing = evidence.measurements.value(name) is None
            words.append(f"{shown} {'none' if missing else view.words.get(name, 'measured')}")
        parts.append(f"measured: {'; '.join(words)}.")
    if with_cases:
        if evidence.cases:
            counts = case_counts(evidence)
            top = [c for c, _ in counts.most_common(3)]
            listed = "; ".join(f"{statement(c).name} {counts[c]}" for c in top)
            parts.append(f"cases: {len(evidence.cases)}; {listed}.")
        else:
            parts.append("cases: none.")
    if with_findings and question is not None and (question.codes or question.intent == "query"):
        parts.append(f"asked: {_asked(view, question)}.")
    return " ".join(parts)


def _asked(view: View, question: Question) -> str:
    """State of what a question names: a group by its name and its open members, single statements one by one."""
    codes = query_codes(question)
    group = asked_group(codes) if question.codes else "abnormality"
    if group is None:
        return "; ".join(f"{statement(c).name} {_state_word(view, c)}" for c in question.codes[:6])
    state = view.state_of_any(codes)
    opened = [f.code for f in view.evidence.in_state(UNDETERMINED) if f.code in codes and f.code != "NORM"][:4]
    named = [f.code for f in view.evidence.in_state(PRESENT) if f.code in codes]
    members = [f"{statement(c).name} {_state_word(view, c)}" for c in (*named, *opened)]
    return "; ".join((f"{group} {state}", *members))


def _shows(question: Question | None) -> str:
    """Which statements the reader of the tokens names: those asked for, the strongest of a group, or the strongest of all."""
    if question is None or not question.codes:
        return f"shown: <|shows:{_MOST_SHOWN}:|>."
    group = asked_group(question.codes)
    head = f"{question.intent}; " + (f"{group}; " if group is not None else "")
    return f"asked: {head}<|shows:{_MOST_ASKED}:{','.join(question.codes)}|>."


def _state_word(view: View, code: str) -> str:
    state = view.state(code)
    return "probable" if state == PRESENT and view.doubtful(code) else state


def prompt(
    evidence: Evidence | None,
    question: Question | None,
    mode: str,
    ecg_slots: int = 16,
    recordings: int = 1,
    second: Evidence | None = None,
) -> str:
    """The prompt for a report (``question`` None) or an answer, up to and with ``<|answer|>``.

    ``mode`` is one of MODES; ``ecg_slots`` is the number of tokens per recording; ``second`` is the later recording of a
    comparison, whose evidence follows the first's. With ECG tokens alone it holds a mark
    where whoever reads the tokens names statements, each with how strongly it shows (``SHOWS``).
    """
    if mode not in MODES:
        raise ValueError(f"The mode is {mode!r}; it must be one of {', '.join(MODES)}.")
    parts: list[str] = []
    for one in (evidence, second)[: max(1, min(recordings, 2))]:
        text = "" if mode == "evidence" else ECG * ecg_slots
        if mode == "tokens":
            text += EVIDENCE + _shows(question)
        if mode != "tokens" and one is not None:
            text += EVIDENCE + serialise(
                one,
                with_findings=True,
                with_measurements=True,
                with_cases=mode == "both+cases" or (mode == "evidence" and bool(one.cases)),
                question=question,
            )
        parts.append(text)
    # What a person types is text and never a mark.
    ask = REPORT if question is None else f"{QUESTION} {question.text.replace('<|', '< |')}"
    return f"{''.join(parts)}{ask}{ANSWER}"


def example(
    evidence: Evidence,
    question: Question | None,
    mode: str,
    rng: Random,
    second: Evidence | None = None,
    ecg_slots: int = 16,
    truth: Evidence | None = None,
) -> Example:
    """A prompt from the evidence and a target worded at random, without numbers.

    ``truth``: evidence whose findings the target is written from where the prompt holds ECG tokens alone (mode "tokens");
    elsewhere the target follows the evidence, so that the model learns to report what it is given.
    """
    source = truth if mode == "tokens" and truth is not None else evidence
    if mode in ("tokens", "both") and source.cases:
        source = replace(source, cases=())
    if question is None:  # what the tokens alone do not show is not learned as if they did
        said = impression(source, rng, rng.choice(STYLES), measured=mode != "tokens")
    else:
        said = answer(source, question, rng, second)
    recordings = 2 if second is not None else 1
    return Example(prompt(evidence, question, mode, ecg_slots, recordings, second), " " + " ".join(s.text for s in said))


# Questions ------------------------------------------------------------------------------------------------------------

#: How often each kind of question is made; verify kinds weigh most.
_KINDS: dict[str, int] = {
    "verify": 30, "verify_group": 9, "verify_two": 4, "choose": 8, "query": 9, "query_all": 3, "measurement": 12,
    "measurement_judged": 12, "measurement_two": 3, "normal": 6, "summary": 5, "explain": 4, "cases": 3, "quality": 2,
    "certainty": 3, "define": 3, "out_of_scope": 1, "unclear": 1,
}  # fmt: skip
#: What the statements that ECG tokens show can answer, without measurements.
READ_KINDS: dict[str, int] = {
    "verify": 30, "verify_group": 9, "verify_two": 4, "choose": 10, "query": 10, "query_all": 3, "normal": 5, "summary": 4,
}  # fmt: skip
_INTENT_OF = {"verify_group": "verify", "verify_two": "verify", "query_all": "query", "measurement_judged": "measurement",
              "measurement_two": "measurement"}  # fmt: skip
#: Groups whose own name means the group and not one statement of it.
_GROUP_NAMES = tuple(
    g
    for g in GROUPS
    if g not in ("abnormality", "diagnostic", "form", "rhythm", "chamber abnormality") and find_phrases(g)[0].phrase.value == g
)
_QUERY_GROUPS = (*_GROUP_NAMES, "rhythm", "form", "diagnostic")
_ASKED_MEASUREMENTS = ("rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms", "axis_deg")
_ASKED_WORDS: dict[str, tuple[str, ...]] = {
    "rate_bpm": ("normal", "fast", "slow", "high", "low", "too fast", "too slow"),
    "pr_ms": ("normal", "prolonged", "long", "short"),
    "qrs_ms": ("normal", "wide", "broad", "prolonged", "narrow", "widened"),
    "qtc_ms": ("normal", "prolonged", "long", "short"),
    "axis_deg": ("normal", "deviated to the left", "left", "right", "deviated to the right", "abnormal"),
}
_ALL = tuple(s.code for s in STATEMENTS if s.code not in ("NORM", "SR"))


def questions(
    evidence: Evidence,
    rng: Random,
    n: int,
    templates: Mapping[str, Sequence[str]] | None = None,
    kinds: Mapping[str, int] | None = None,
) -> list[Question]:
    """``n`` questions about this evidence: all intents but comparison, yes and no in balance, all statements covered.

    ``templates``: the wordings, TEMPLATES by default; HELD_OUT for scores on wordings that training never saw. ``kinds``:
    weights of kinds of question by name of template list.
    """
    wordings = TEMPLATES if templates is None else templates
    weights = _KINDS if kinds is None else kinds
    view = View.of(evidence)
    chosen = rng.choices(tuple(weights), tuple(weights.values()), k=n)
    return [_question(view, kind, wordings[kind], rng) for kind in chosen]


def comparison(rng: Random, templates: Mapping[str, Sequence[str]] | None = None) -> Question:
    """A question that compares two recordings."""
    text = _rough(rng.choice((TEMPLATES if templates is None else templates)["compare"]), rng)
    return Question(text, "compare", recordings=2)


def _pick(view: View, rng: Random) -> str:
    """A code to ask for: present in about half of all draws, else absent, undetermined or not assessed."""
    draw = rng.random()
    pool: Sequence[str] = ()
    if draw < 0.48:
        pool = [c for c in view.present if c != "NORM"]
    elif draw < 0.6:
        pool = [c for c in view.undetermined if c != "NORM"]
    elif draw < 0.65:
        pool = [c for c in CODES if view.state(c) == NOT_ASSESSED]
    if not pool:
        pool = _ALL
        code = rng.choice(pool)
        return code if draw < 0.48 or view.state(code) == ABSENT else rng.choice(pool)
    return rng.choice(list(pool))


def _others(view: View, rng: Random, code: str, count: int) -> tuple[str, ...]:
    """Codes that go with ``code`` in a choice, mostly from its own topic."""
    topic = next((sorted(t) for t in TOPICS.values() if code in t), list(_ALL))
    made: list[str] = []
    while len(made) < count:
        other = rng.choice(topic) if rng.random() < 0.7 and len(topic) > 3 else rng.choice(_ALL)
        if other != code and other not in made:
            made.append(other)
    return tuple(made)


def _asked_name(code: str, rng: Random) -> str:
    """A name as a person asking would write it."""
    return name_of(code, None) if rng.random() < 0.35 else rng.choice(synonyms(code))


def _group_name(group: str, rng: Random) -> str:
    return rng.choice((group, *GROUP_SYNONYMS.get(group, ())))


def _question(view: View, kind: str, wordings: Sequence[str], rng: Random) -> Question:
    template = rng.choice(wordings)
    codes: tuple[str, ...] = ()
    measurements: tuple[str, ...] = ()
    filled: dict[str, str] = {}
    if kind in ("verify_group", "query"):
        names = _QUERY_GROUPS if kind == "query" else _GROUP_NAMES
        with_present = [g for g in names if any(c in view.present for c in GROUPS[g])] if rng.random() < 0.5 else []
        group = rng.choice(with_present or names)
        codes, filled["g"] = GROUPS[group], _group_name(group, rng)
    elif kind == "normal":
        codes = ("NORM",)
    elif kind.startswith("measurement"):
        pool = tuple(_ASKED_WORDS) if kind == "measurement_judged" else _ASKED_MEASUREMENTS
        name = rng.choice(pool) if rng.random() < 0.85 or kind == "measurement_judged" else rng.choice(MEASUREMENT_NAMES)
        measurements = (name,)
        filled["m"] = rng.choice(MEASUREMENT_SYNONYMS[name][:8])
        if kind == "measurement_judged":
            word = view.words.get(name)
            filled["w"] = word if word in _ASKED_WORDS[name] and rng.random() < 0.4 else rng.choice(_ASKED_WORDS[name])
            if "too {w}" in template:
                filled["w"] = filled["w"].removeprefix("too ")
            if filled["w"] in ("prolonged", "long") and name in ("pr_ms", "qtc_ms"):
                codes = ("LPR",) if name == "pr_ms" else ("LNGQT",)  # as the question parser reads it
        if kind == "measurement_two":
            second = rng.choice([m for m in _ASKED_MEASUREMENTS if m != name])
            measurements = (name, second)
            filled["n"] = rng.choice(MEASUREMENT_SYNONYMS[second][:5])
    elif "{x}" in template:
        code = _pick(view, rng)
        codes = (code, *_others(view, rng, code, 2 if "{z}" in template else 1 if "{y}" in template else 0))
        shuffled = list(codes)
        rng.shuffle(shuffled)
        codes = tuple(shuffled)
        filled.update(zip("xyz", (_asked_name(c, rng) for c in codes), strict=False))
        if codes == ("PRC(S)",):  # "premature beats" of no stated origin: any of them answers
            codes = GROUPS["premature beats"]
    text = template
    for slot, value in filled.items():
        text = text.replace("{" + slot + "}", value)
    return Question(_rough(text[0].upper() + text[1:], rng), _INTENT_OF.get(kind, kind), codes, measurements)


def _rough(text: str, rng: Random) -> str:
    """A text as people type: at times all lower case, without its question mark, or with a slip of the finger."""
    draw = rng.random()
    if draw < 0.2:
        text = text.lower()
    if rng.random() < 0.15:
        text = text.rstrip("?.")
    if rng.random() < 0.06:
        parts = text.split(" ")
        long = [i for i, w in enumerate(parts) if len(w) > 6 and w.isalpha()]
        if long:
            at = rng.choice(long)
            word = parts[at]
            spot = rng.randrange(1, len(word) - 2)
            how = rng.random()
            if how < 0.4:  # two letters change places
                word = word[:spot] + word[spot + 1] + word[spot] + word[spot + 2 :]
            elif how < 0.8:  # one is lost
                word = word[:spot] + word[spot + 1 :]
            else:  # one is doubled
                word = word[:spot] + word[spot] + word[spot:]
            parts[at] = word
            text = " ".join(parts)
    return text


# Pretraining ----------------------------------------------------------------------------------------------------------


def pretraining_text(rng: Random) -> str:
    """One piece of reading for the base: mostly an example from made-up evidence, at times a definition."""
    draw = rng.random()
    if draw < 0.06:
        return _definition(rng)
    evidence = random_evidence(rng)
    mode = "evidence"
    if draw < 0.12:
        later = random_evidence(rng, _altered(evidence, rng), _skipped(evidence))
        if not (evidence.quality.usable and later.quality.usable):  # a comparison needs two recordings that can be read
            return pretraining_text(rng)
        made = example(evidence, comparison(rng), mode, rng, later)
    elif draw < 0.45:
        made = example(evidence, None, mode, rng)
    else:
        made = example(evidence, questions(evidence, rng, 1)[0], mode, rng)
    return made.prompt + made.target


def _altered(evidence: Evidence, rng: Random) -> list[str]:
    """Present statements of a later recording of the same person: most stay, some go, some come."""
    kept = [f.code for f in evidence.findings if f.state == PRESENT and rng.random() < 0.75]
    return list(dict.fromkeys((*kept, *(c for c in random_codes(rng) if rng.random() < 0.3))))


def _skipped(evidence: Evidence) -> frozenset[str]:
    return frozenset(f.code for f in evidence.findings if f.state == NOT_ASSESSED)


def _definition(rng: Random) -> str:
    s = rng.choice(STATEMENTS)
    name = name_of(s.code, rng)
    forms = (
        f"{name[0].upper()}{name[1:]}: {s.criteria} Source: {s.citation}.",
        f"{QUESTION} What is {rng.choice(synonyms(s.code))}?{ANSWER} {s.criteria}",
        f"{QUESTION} {rng.choice(synonyms(s.code))} means?{ANSWER} {name[0].upper()}{name[1:]}.",
        f"{QUESTION} Criteria for {name}?{ANSWER} {s.criteria} Source: {s.citation}.",
    )
    return rng.choice(forms)


def _covered() -> bool:
    return set().union(*TOPICS.values()) | {"NORM"} == set(CODES)


assert _covered()
