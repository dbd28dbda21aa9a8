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
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from assistant.asking import ASKING, SURELY_ECG
from assistant.content import GENERIC, content_of
from assistant.intents import INTENTS, Question, parted
from assistant.plain_words import clauses, leads_named
from assistant.question import (
    AGE_UNKNOWN,
    ASK_BACK,
    GUESS,
    INTERVALS,
    LONGEST_QUESTION,
    NO_PREVIOUS,
    UNCLEAR_BELOW,
    asks_urgency,
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
#: The same for what is asked when the patient's story around it is left out.
REQUEST_BELOW = 0.3
#: Probability of "out of scope" of every sentence that asks, from which nothing else in the text is answered.
ASKED_OUT_FROM = 0.95
#: Topics of which such a story would be part of what is asked.
_NO_STORY = ("instructions", "identity")


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
    sure = asked.reason == NO_PREVIOUS or AGE_UNKNOWN in asked.reason or asks_urgency(text)
    if not parts or len(text) > LONGEST_QUESTION or sure:
        return asked
    kept = _answerable_text(parts) if asked.intent not in ("unclear", "out_of_scope") else None
    pieces, request = _pieces(text), _request(text)
    try:
        model = encoder or _own_encoder()
        judged = _judged((kept or text, *pieces, *((request,) if request else ())), recordings, model)
    except (ArtefactError, MissingExtraError, ImportError, OSError):  # the rules' outcome stands without the model
        return asked
    if previous is not None and _leans(parts) and judged[0].out < LEANING_DECLINE_FROM:
        return asked
    whole = combined(asked, judged[0], recordings=recordings, previous=previous)
    if whole.intent != "out_of_scope":
        asking = [verdict for piece, verdict in zip(pieces, judged[1:], strict=False) if _asks(piece)]
        if asking and min(verdict.out for verdict in asking) >= ASKED_OUT_FROM:  # "The axis is left. Is that why he is tired?"
            return declined_as(text, asking[-1].topic, recordings, round(asking[-1].out, 3))
        return whole
    found = None
    somebody_else = whole.reason == reason_for("other_patient")
    if request and whole.reason not in map(reason_for, _NO_STORY) and (_OPENED.search(request) or not somebody_else):
        found = _alone(request, judged[-1], REQUEST_BELOW, previous, recordings)  # "62M, on aspirin. Any ST elevation?"
    if found is None and not somebody_else:
        for piece, verdict in zip(pieces, judged[1:], strict=False):  # "Is it AF? Which drug would help?"
            found = found or (_alone(piece, verdict, PIECE_BELOW, previous, recordings, whole.reason) if _asks(piece) else None)
    if found is None and whole.reason == reason_for("instructions"):  # "obey me: is there AF"
        fine = [piece for piece in _FINE.split(text) if piece.strip() and _about_ecg(piece.lower())]
        for piece, verdict in zip(fine, _judged(fine, recordings, model) if fine else (), strict=True):
            found = found or _alone(piece, verdict, REQUEST_BELOW, previous, recordings, whole.reason)
    return whole if found is None else replace(found, text=text)


def _judged(texts: Sequence[str], recordings: int, model: TextEncoder) -> Sequence[Judgement]:
    return scope_model().judge(texts, np.array([traits(text, recordings=recordings) for text in texts], np.float32), model)


def _alone(
    part: str, verdict: Judgement, below: float, previous: Question | None, recordings: int, note: str = ""
) -> Question | None:
    """What a part of a text asks by itself, where rules and judge take it for in scope; None else. ``note``: why the rest is
    not answered."""
    asked = combined(
        understand_by_rules(part, previous, recordings=recordings), verdict, recordings=recordings, previous=previous
    )
    if asked.intent in ("unclear", "out_of_scope") or verdict.out >= below:
        return None
    said = " ".join(dict.fromkeys(x for x in (asked.reason, note) if x))
    return replace(asked, reason=said, confidence=min(asked.confidence, 0.85))


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
    settled = ({"verify", "measurement"}, {"verify", "choose"}, {"choose", "certainty"})
    if {intent, asked.intent} in settled or asked.beside or len(statements) < needed.get(intent, 0):
        return asked  # whether "is the QT long" is a finding or a value, and what "?AF ?SVT" is, are the rules' conventions
    if intent in ("normal", "query") and asked.intent == "measurement":  # "QRS normal?" asks of that value
        return asked
    if asked.intent == "compare" and asked.codes == ("NORM",):  # "has the ECG become normal?"
        return asked
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
    of_a_lead = intent == "measurement" and not content.measurements and leads_named(asked.text)  # intervals are no lead's
    if of_a_lead or intent in ("verify", "choose", "define") and not content.mentions:
        return Question(asked.text, "unclear", recordings=recordings, confidence=0.3, reason=ASK_BACK)
    codes = ("NORM",) if intent == "normal" else ()
    measurements = INTERVALS if intent == "measurement" else ()
    values, beside = parted(intent, content.measurements, content.measurements or measurements)
    return Question(
        asked.text,
        intent,
        content.codes or codes,
        values,
        2 if intent == "compare" else recordings,
        round(judged.inside * judged.intent_p, 3),
        beside=beside,
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
    """The clauses beside those that the rules set aside, or None where they set none aside, or where what is left asks nothing of
    an ECG: "... because of the long QT?", "BNP 900, what does it mean"."""
    kept = [part for part in parts if not topic_of(part[0], has_content=bool(content_of(part[0]).mentions))]
    asks = [clause for clause, _ in kept if _about_ecg(clause) and not _REASON.match(clause)]
    return None if len(kept) == len(parts) or not asks else " ".join(f"{c}{'?' if mark else '.'}" for c, mark in kept)


def _about_ecg(clause: str) -> bool:
    return bool(content_of(clause).mentions or SURELY_ECG.search(clause) or _PART.search(clause))


_PART = re.compile(r"\b(?:leads?|waves?|beats?|complex\w*|segments?|intervals?|v[1-6]|av[rlf]|st|qrs|rr)\b")
_REASON = re.compile(r"(?:because|due|owing|since|given|despite|after|with)\b")
_PIECE = re.compile(
    r"(?<=[?!.;\n])\s+|,?\s(?:and|but)\s(?=(?:what|which|should|shall|can|will|is|are|does|do|how|who|when|may)\b)"
)


def _pieces(text: str) -> tuple[str, ...]:
    """The sentences of a text, and what "and should I ..." joins to them; none where there is but one."""
    pieces = tuple(piece for piece in _PIECE.split(text) if piece and piece.strip())
    return pieces if len(pieces) > 1 else ()


_FINE = re.compile(
    r"(?<=[?!.;\n])\s+|[,:;>]\s*|#+|\s+[-\u2013\u2014]+\s+"
    r"|\s(?:and|then|so|n|or at least)\s"
    r"(?=(?:then|after that|tell|report|state|say|give|read|show|check|what|which|is|are|does)\b)"
)
_BREAK = re.compile(r"(?<=[?!.;\n])\s+|[,:;]\s+|\s+[-\u2013\u2014]+\s+|\.{2,}\s*")
_WISH = re.compile(r"\b(?:please|pls|plz|asks? for|wondering|(?:want|need)s?(?:ed)? (?:to know|the))\b", re.IGNORECASE)
#: "His ECG", said of the one that is open.
_OPENED = re.compile(
    r"^(?!.*\b(?:was|were|had)\b).*\b(?:his|her|their|this|the) (?:ecg|ekg|trac(?:e|ing)|strip|recording)\b", re.IGNORECASE
)


def _request(text: str) -> str:
    """From the first part of a text that asks to the last, without what is told before and after; empty where that is all of
    it, nothing, or not about an ECG."""
    cuts = [0, *(found.end() for found in _BREAK.finditer(text)), len(text)]
    asking = [(a, b) for a, b in pairwise(cuts) if _asks(text[a:b]) or _WISH.search(text[a:b])]
    if not asking or len(asking) == len(cuts) - 1:
        return ""
    found = text[asking[0][0] : asking[-1][1]].strip()
    return found if any(_about_ecg(clause) for clause, _ in clauses(found)) else ""


def _asks(piece: str) -> bool:
    return any(mark or ASKING.search(clause) for clause, mark in clauses(piece))


@cache
def _own_encoder() -> TextEncoder:
    from retrieval.text import TextEncoder

    return TextEncoder()
