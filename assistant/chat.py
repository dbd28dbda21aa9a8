"""A conversation about one recording or two of a patient: the evidence is made once, and a question may lean on the one before
it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assistant.answer import Answer
from assistant.intents import Question
from assistant.question import NEEDS_SECOND
from assistant.report import Line, Referral

if TYPE_CHECKING:
    from assistant.assistant import Assistant, Reading

__all__ = ["Chat", "Turn"]


@dataclass(frozen=True)
class Turn:
    """One question as it was understood, and what came back."""

    question: Question
    reply: Answer | Referral


@dataclass
class Chat:
    """Keeps its context: ``turns`` so far and the readings it talks about. A referral does not end it."""

    assistant: Assistant
    readings: tuple[Reading, ...]
    turns: list[Turn] = field(default_factory=list)

    def ask(self, question: str) -> Answer | Referral:
        """Answers or declines one question and remembers it."""
        # What was out of scope or not understood is no ground for "and flutter?".
        leaned_on = [t.question for t in self.turns if t.question.intent not in ("out_of_scope", "unclear")]
        understood, reply = self.assistant.reply(self.readings, question, leaned_on[-1] if leaned_on else None)
        self.turns.append(Turn(understood, reply))
        return reply

    def stream(self, question: str) -> Iterator[Line]:
        """The same, sentence by sentence, with what each cites; the whole reply is then the last turn's.

        No sentence is shown before the whole answer is checked: what comes first can depend on what had to be dropped later.
        """
        reply = self.ask(question)
        yield from reply.sentences
        if isinstance(reply, Referral):
            said = {line.text for line in reply.sentences}
            open_said = {"undetermined"} if said else set()  # the sentences tell what cannot be judged
            yield from (Line(one.text) for one in reply.reasons if one.text not in said and one.kind not in open_said)
            names_somebody = any(one.kind in ("out of scope", "unclear") for one in reply.reasons)
            if not names_somebody and self.turns[-1].question.reason != NEEDS_SECOND:
                yield Line(f"Please ask {reply.who}.")
