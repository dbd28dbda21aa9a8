"""What a typed question asks, by rules and a trained judge together.

Rules (``assistant.question``) type what they know. A small trained judge on sentence embeddings (``assistant.scope_model``)
declines what no pattern foresaw and types what the rules leave open; without the sentence model the rules stand alone.
Everything is deterministic.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from assistant.asking import ASKING
from assistant.intents import INTENTS, Question
from assistant.plain_words import clauses
from assistant.question import (
    ASK_BACK,
    GENERIC,
    GUESS,
    INTERVALS,
    LONGEST_QUESTION,
    NO_PREVIOUS,
    UNCLEAR_BELOW,
    content_of,
    declined_as,
    typed_by_rules,
    understand_by_rules,
)
from assistant.scope import TOPICS, reason_for, topic_of
from assistant.scope_model import Judgement, scope_model
from encoders.errors import ArtefactError, MissingExtraError

if TYPE_CHECKING:
    from retrieval.text import TextEncoder

__all__ = ["DECLINE_FROM", "combined", "traits", "understand"]

#: Probability of "out of scope" from which the judge declines what the rules would answer; chosen on topics and wordings left out
#: (``by_threshold`` in the card of ``assistant.scope_fit``).
DECLINE_FROM = 0.5
#: The same, where the rules could not type the question.
UNKNOWN_DECLINE_FROM = 0.4
#: The same, where the rules knew hardly a word.
ILLEGIBLE_DECLINE_FROM = 0.7
#: Probability of "in scope" from which the judge's intent stands where the rules found none.
INSIDE_FROM = 0.6
#: ... and the share of that intent among all in scope.
INTENT_FROM = 0.45
#: Probability of "in scope" from which a topic that the rules saw is passed over.
OVERRULE_FROM = 0.8
#: The same for a few words after another question.
LEANING_DECLINE_FROM = 0.9
#: Probability of "in scope", and within it of an intent, from which that intent replaces the rules'.
RETYPE_FROM = 0.7
#: A sentence among several is answered by itself below this probability of "out of scope".
PIECE_BELOW = 0.4


def understand(
    text: str, previous: Question | None = None, *, recordings: int = 1, encoder: TextEncoder | None = None
) -> Question:
    """What a typed text asks of one ECG, or of two.

    ``previous`` is the question before it in the same conversation ("why?", "and flutter?" lean on it); ``recordings`` how
    many are open (1 or 2). The answer's ``confidence`` is 0-1; below ``UNCLEAR_BELOW`` the intent is "unclear" and
    ``reason`` asks back. ``reason`` of an out-of-scope question says why and who can help; on an answerable one it names a
    part that is left out, or the limit of intended use (acute infarction). ``encoder``: the sentence model to share; one
    is loaded on first need where none is given, and where its weights are missing the rules decide alone. Codes of a group
    stand for any of its members; a "normal" question without NORM asks whether anything is abnormal; see
    ``asks_for_absence`` for questions whose "yes" means absent. Never raises on any text.
    """
    asked = understand_by_rules(text, previous, recordings=recordings)
    parts = clauses(text)
    if not parts or len(text) > LONGEST_QUESTION or asked.reason == NO_PREVIOUS:
        return asked
    kept = _answerable_text(parts) if asked.intent not in ("unclear", "out_of_scope") else None
    pieces = _pieces(text) if kept is None else ()
    judged_texts = (kept or text, *(pieces if len(pieces) > 1 else ()))
    try:
        model = encoder or _own_encoder()
        judged = scope_model().judge(
            judged_texts, np.array([traits(t, recordings=recordings) for t in judged_texts], np.float32), model
        )
    except (ArtefactError, MissingExtraError, ImportError, OSError):  # the rules' outcome stands without the model
        return asked
    if previous is not None and _leans(parts) and judged[0].out < LEANING_DECLINE_FROM:
        return asked
    whole = combined(asked, judged[0], recordings=recordings, previous=previous)
    if whole.intent == "out_of_scope" and len(judged) > 1 and whole.reason != reason_for("other_patient"):
        for piece, verdict in zip(pieces, judged[1:], strict=True):  # "Is it AF? Which drug would help?"
            alone = understand_by_rules(piece, previous, recordings=recordings)
            if alone.intent not in ("unclear", "out_of_scope") and verdict.out < PIECE_BELOW and _asks(piece):
                note = " ".join(dict.fromkeys(x for x in (alone.reason, whole.reason) if x))
                return replace(alone, text=text, reason=note, confidence=min(alone.confidence, 0.85))
    return whole


def combined(
    asked: Question, judged: Judgement, *, recordings: int = 1, previous: Question | None = None,
    decline_from: float = DECLINE_FROM,
) -> Question:  # fmt: skip
    """The outcome of rules and judge together: where they differ, the surer one speaks (bounds chosen across topics).

    ``asked``: what ``understand_by_rules`` made of a text; ``judged``: of the same text, or of its answerable part.
    """
    text = asked.text
    if asked.intent == "out_of_scope":
        sure = asked.confidence > GUESS
        if judged.inside < (OVERRULE_FROM if sure else INSIDE_FROM):
            topic = next(name for name in TOPICS if reason_for(name) == asked.reason)
            return asked if sure else declined_as(text, judged.topic if judged.out > 0.3 else topic, recordings, asked.confidence)
        typed = typed_by_rules(text, clauses(text), previous, recordings)
        if typed.intent not in ("out_of_scope", "unclear"):
            return replace(typed, confidence=round(min(typed.confidence, judged.inside), 3))
        return _by_judgement(typed, judged, recordings) if not sure else asked
    if asked.intent == "unclear":
        if judged.out >= (ILLEGIBLE_DECLINE_FROM if asked.confidence == 0 else UNKNOWN_DECLINE_FROM):
            return declined_as(text, judged.topic, recordings, round(judged.out, 3))
        return _by_judgement(asked, judged, recordings) if asked.confidence > 0 else asked
    if judged.out >= decline_from:
        return declined_as(text, judged.topic, recordings, round(judged.out, 3))
    if previous is None and judged.intent != asked.intent and min(judged.inside, judged.intent_p) >= RETYPE_FROM:
        asked = _retyped(asked, judged.intent, recordings)
    return replace(asked, confidence=round(max(UNCLEAR_BELOW, min(asked.confidence, 1 - 0.5 * judged.out)), 3))


def _retyped(asked: Question, intent: str, recordings: int) -> Question:
    """The same question with the judge's intent, where what it names can carry that; else as the rules typed it."""
    parts = clauses(asked.text)
    content = content_of(" ".join(clause for clause, _ in parts))
    statements = {named for kind, named in content.mentions if kind != "measurement"}
    needed = {"verify": 1, "choose": 2, "query": 0, "explain": 0, "certainty": 0, "define": 0}
    if {intent, asked.intent} in ({"verify", "measurement"}, {"verify", "choose"}) or len(statements) < needed.get(intent, 0):
        return asked  # whether "is the QT long" is a finding or a value, and what "?AF ?SVT" is, are the rules' conventions
    if intent == "measurement" and not content.measurements or intent == "define" and not content.mentions:
        return asked
    typed = typed_by_rules(asked.text, parts, None, recordings, told=intent)
    return typed if typed.intent == intent else asked


def _by_judgement(asked: Question, judged: Judgement, recordings: int) -> Question:
    """The judge's intent for a text that the rules could not type, where it is sure and the text names what that needs."""
    if judged.inside < INSIDE_FROM or judged.intent_p < INTENT_FROM:
        return asked if asked.intent == "unclear" else Question(asked.text, "unclear", reason=ASK_BACK, confidence=0.3)
    intent = judged.intent
    content = content_of(" ".join(clause for clause, _ in clauses(asked.text)))
    if intent in ("verify", "choose", "define") and not content.mentions:
        return Question(asked.text, "unclear", recordings=recordings, confidence=0.3, reason=ASK_BACK)
    codes = ("NORM",) if intent == "normal" else ()
    measurements = INTERVALS if intent == "measurement" else ()
    return Question(
        asked.text,
        intent,
        content.codes or codes,
        content.measurements or measurements,
        2 if intent == "compare" else recordings,
        round(judged.inside * judged.intent_p, 3),
    )


def traits(text: str, *, recordings: int = 1) -> tuple[float, ...]:
    """What the rules find in a text, as TRAITS numbers for the judge: topics, intent, what is named, how much is known."""
    asked = understand_by_rules(text, recordings=recordings)
    parts = clauses(text)
    contents = [content_of(clause) for clause, _ in parts]
    topics = {topic_of(clause, has_content=bool(c.mentions)) for (clause, _), c in zip(parts, contents, strict=True)}
    kinds = {kind for c in contents for kind, _ in c.mentions}
    total = sum(c.total for c in contents)
    return (
        *(float(topic in topics) for topic in TOPICS),
        *(float(asked.intent == intent) for intent in INTENTS),
        asked.confidence,
        float("measurement" in kinds),
        float(bool(kinds - {"measurement", *GENERIC})),
        float(bool(kinds & set(GENERIC))),
        float(any(c.unassessed for c in contents)),
        1 - sum(c.covered for c in contents) / max(total, 1),
        min(total, 20) / 10,
        float("?" in text),
    )


def _leans(parts: Sequence[tuple[str, bool]]) -> bool:
    """Few words after an earlier question ("and in V3?") mean little alone, so the judge of single questions must be sure."""
    return sum(len(clause.split()) for clause, _ in parts) <= 5


def _answerable_text(parts: Sequence[tuple[str, bool]]) -> str | None:
    """The clauses beside those that the rules set aside, or None where they set none aside."""
    kept = [part for part in parts if not topic_of(part[0], has_content=bool(content_of(part[0]).mentions))]
    return None if len(kept) == len(parts) or not kept else " ".join(f"{c}{'?' if mark else '.'}" for c, mark in kept)


_PIECE = re.compile(
    r"(?<=[?!.;\n])\s+|,?\s(?:and|but)\s(?=(?:what|which|should|shall|can|will|is|are|does|do|how|who|when|may)\b)"
)


def _pieces(text: str) -> tuple[str, ...]:
    """The sentences of a text, and what "and should I ..." joins to them."""
    return tuple(piece for piece in _PIECE.split(text) if piece and piece.strip())


def _asks(piece: str) -> bool:
    return any(mark or ASKING.search(clause) for clause, mark in clauses(piece))


@cache
def _own_encoder() -> TextEncoder:
    from retrieval.text import TextEncoder

    return TextEncoder()
