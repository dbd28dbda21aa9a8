"""The language model's text, made fit to print: numbers put in, every sentence checked, what is missing added.

The order is fixed: the model writes with placeholders, placeholders are filled from measurements, the final text is
checked sentence by sentence against the evidence, what is not supported is dropped and counted. Only then is it asked
whether what is left says what has to be said; the renderer says the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from assistant.answers import answer
from assistant.check import check_text
from assistant.claims import FindingClaim
from assistant.compose import renderer
from assistant.corpus import prompt
from assistant.evidence import PRESENT, Evidence
from assistant.filling import fill
from assistant.frames import CLOSINGS
from assistant.intents import Question
from assistant.phrasing import measurement_name
from assistant.report import Line
from encoders.vocabulary import statement

__all__ = ["Writer", "Written", "write_answer", "write_report"]

MODEL, RENDERER = "language model", "renderer"
_CLOSINGS = {text: kind for kind, texts in CLOSINGS.items() for text in texts}
_BARE_WORDS = (
    "yes", "no", "cannot be judged", "undetermined", "not assessed", "neither", "none", "both", "out of scope", "unclear",
)  # fmt: skip
_REPORT_TOKENS, _ANSWER_TOKENS = 128, 96


class Writer(Protocol):
    """What is asked of a language model: prompts and each prompt's ECG tokens (16, 256) in, one text each out."""

    def generate(
        self, prompts: Sequence[str], tokens: Sequence[Sequence[NDArray[np.float32]]], max_new_tokens: int = 96
    ) -> Sequence[Any]:
        """One object with ``text`` and ``confidence`` per prompt."""
        ...


@dataclass(frozen=True)
class Written:
    """Lines fit to print; how many sentences the model wrote and how many of them were dropped."""

    lines: tuple[Line, ...]
    sentences: int
    dropped: int

    @property
    def checker(self) -> dict[str, int]:
        own = sum(line.source == MODEL for line in self.lines)
        return {"sentences": self.sentences, "dropped": self.dropped, "kept": own, "printed": len(self.lines)}


def _mode(evidence: Evidence) -> str:
    return "both+cases" if evidence.cases else "both"


def write_report(
    model: Writer, evidences: Sequence[Evidence], tokens: Sequence[NDArray[np.float32]]
) -> list[Written]:
    """The impression of each recording, in one batch of the model.

    Every present finding and every critical or urgent one that cannot be judged is in it, whatever the model wrote.
    An unusable recording, or one whose leads could not be read, gets the renderer's sentences alone: its tokens say nothing.
    """
    readable = [i for i, e in enumerate(evidences) if e.quality.usable and e.findings and e.lead_set is not None]
    texts = model.generate(
        [prompt(evidences[i], None, _mode(evidences[i])) for i in readable], [[tokens[i]] for i in readable], _REPORT_TOKENS
    ) if readable else ()  # fmt: skip
    raw = {i: str(made.text) for i, made in zip(readable, texts, strict=True)}
    return [_report(evidence, raw.get(i)) for i, evidence in enumerate(evidences)]


def _report(evidence: Evidence, raw: str | None) -> Written:
    must = [Line(fill(s.text, evidence), s.claims, RENDERER) for s in renderer(evidence)]
    if raw is None:
        return Written(tuple(must), 0, 0)
    own, total = _checked(raw, evidence, None, None)
    needed = {f.id for f in evidence.in_state(PRESENT)}
    needed |= {f.id for f in evidence.pressing()}
    said = {i for line in own for i in line.evidence}
    # One closing line is enough, and it comes last. Every draft says of itself that it is unconfirmed, so the renderer adds
    # one only where the model missed that review is urgent.
    body = _new_only([line for line in own if line.text not in _CLOSINGS])
    closing = [line for line in own if line.text in _CLOSINGS][:1]
    added = [line for line in must if (set(line.evidence) & needed) - said]
    first = [line for line in added if _critical(line)]
    lines = [*first, *body, *(line for line in added if line not in first)]
    if not lines:
        lines = [line for line in must if line.text not in _CLOSINGS]
    wanted = [line for line in must if _CLOSINGS.get(line.text) == "urgent"]
    if wanted and not (closing and _CLOSINGS[closing[0].text] == "urgent"):
        closing = wanted
    return Written((*lines, *closing[:1]), total, total - len(own))


def _new_only(lines: Sequence[Line]) -> list[Line]:
    """Lines that cite something no earlier line cites; a line without citation stands."""
    said: set[str] = set()
    out = []
    for line in lines:
        if not line.evidence or set(line.evidence) - said:
            out.append(line)
            said |= set(line.evidence)
    return out


def _critical(line: Line) -> bool:
    return any(i.startswith("F:") and statement(i[2:]).urgency == "critical" for i in line.evidence)


def write_answer(
    model: Writer,
    question: Question,
    evidence: Evidence,
    tokens: Sequence[NDArray[np.float32]],
    second: Evidence | None = None,
) -> Written:
    """The answer's lines. The model's stand where they carry the bare answer on what was asked; else the renderer's do."""
    must = _rendered(question, evidence, second)
    if question.intent == "compare" and question.measurements and second is not None:
        # Two values of one measurement: there is nothing to word freely.
        return Written(tuple(must), 0, 0)
    slots = len(tokens)
    made = model.generate(
        [prompt(evidence, question, _mode(evidence), recordings=slots, second=second)], [list(tokens)], _ANSWER_TOKENS
    )
    own, total = _checked(str(made[0].text), evidence, question, second)
    if not _carries(own, must):
        return Written(tuple(must), total, total - len(own))
    said = {i for line in own for i in line.evidence}
    unsaid = [line for line in must[1:] if set(line.evidence) - said and _weighty(line)]
    return Written((*own, *unsaid), total, total - len(own))


def _both_values(name: str, first: Evidence, second: Evidence) -> Line:
    shown = measurement_name(name, None)
    before, after = first.measurements[name].text(), second.measurements[name].text()
    text = f"{shown[:1].upper()}{shown[1:]} {before} in the first recording, {after} in the second."
    return Line(text, (f"M:{name}",), RENDERER)


def _carries(own: Sequence[Line], must: Sequence[Line]) -> bool:
    """Whether the model's first sentence says what the renderer's first one does: the same evidence, the same bare word."""
    if not own or not must:
        return False
    if must[0].evidence and not set(must[0].evidence) <= {i for line in own for i in line.evidence}:
        return False
    return _bare_word(own[0].text) == _bare_word(must[0].text)


def _bare_word(text: str) -> str:
    """"yes", "no", "cannot be judged" and their like where an answer opens with one; else nothing."""
    head = text.lower()
    for word in _BARE_WORDS:
        if head.startswith(word) and not head[len(word) : len(word) + 1].isalpha():
            return {"undetermined": "cannot be judged"}.get(word, word)
    return ""


def _weighty(line: Line) -> bool:
    return any(i.startswith("F:") and statement(i[2:]).urgency in ("critical", "urgent") for i in line.evidence)


def _rendered(question: Question, evidence: Evidence, second: Evidence | None) -> list[Line]:
    if question.intent == "compare" and question.measurements and second is not None:
        return [_both_values(name, evidence, second) for name in question.measurements]
    code = question.codes[0] if question.codes else None
    return [Line(fill(s.text, evidence, code), s.claims, RENDERER) for s in answer(evidence, question, None, second)]


def _checked(
    raw: str, evidence: Evidence, question: Question | None, second: Evidence | None
) -> tuple[list[Line], int]:
    """The model's sentences that the evidence supports, each once, and how many it wrote."""
    code = question.codes[0] if question is not None and question.codes else None
    checked = check_text(fill(raw, evidence, code), evidence, question=question, second=second)
    kept: dict[str, Line] = {}
    fit = [item for item in checked if item.supported and not _stammers(item.claims)]
    for item in fit:
        kept.setdefault(item.text.strip(), Line(item.text.strip(), item.evidence_ids, MODEL))
    repeated = len(fit) - len(kept)
    return list(kept.values()), len(checked) - repeated


def _stammers(claims: Sequence[Any]) -> bool:
    """Whether one sentence names the same statement twice in the same way."""
    named = [(code, claim.polarity) for claim in claims if isinstance(claim, FindingClaim) for code in claim.codes]
    return len(named) > len(set(named))
