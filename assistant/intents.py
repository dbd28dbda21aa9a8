"""What a question can ask: the contract between the question parser, the corpus and the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from encoders.measurements import MEASUREMENT_NAMES

__all__ = ["INTENTS", "Question", "parted"]

#: verify: is X there (codes: any of them); choose: which of these; query: which of a family (codes: the family) are there;
#: measurement: a value, or whether it is abnormal; normal: is it normal; summary: what does it show; explain: what speaks
#: for X; cases: what similar cases had; quality: can it be read; certainty: how sure; define: what X is; compare: two
#: recordings; out_of_scope: nothing this assistant answers; unclear: not understood.
INTENTS = (
    "verify",
    "choose",
    "query",
    "measurement",
    "normal",
    "summary",
    "explain",
    "cases",
    "quality",
    "certainty",
    "define",
    "compare",
    "out_of_scope",
    "unclear",
)


@dataclass(frozen=True)
class Question:
    """A question with what it asks for.

    ``codes``: SCP codes it names (all codes of a group it names). ``measurements``: names of MEASUREMENT_NAMES and, of a
    measurement or a comparison, of MORE_NAMES; ``beside``: values that a question on findings asks for too, and names of
    MORE_NAMES that any other question does.
    ``recordings``: how many it concerns, 1 or 2. ``confidence``: 0-1, how sure the parser is. ``reason``: why it is out of
    scope or unclear, one sentence.
    """

    text: str
    intent: str
    codes: tuple[str, ...] = ()
    measurements: tuple[str, ...] = ()
    recordings: int = 1
    confidence: float = 1.0
    reason: str = ""
    beside: tuple[str, ...] = ()


def parted(intent: str, named: Sequence[str], asked: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """``measurements`` and ``beside`` of a question: values of MORE_NAMES stand among the former only where values are all it
    asks for, since generated text does not know them. ``named``: all that its text names."""
    if intent in ("measurement", "compare"):
        return asked, ()
    kept = tuple(m for m in asked if m in MEASUREMENT_NAMES)
    both = intent in ("verify", "choose", "query")  # "is there AV block, and how long is the PR?"
    return kept, tuple(m for m in named if m not in kept and (both or m not in MEASUREMENT_NAMES))
