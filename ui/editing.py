"""What a reader makes of the drafted sentences while the page is open: decisions that grow into what is signed.

``ui.drafted`` says which sentences of a report are judged and what a decision is; here the decisions are gathered, one at a
time, with nothing stored. A sentence without a decision stands as drafted, and is accepted by the signature.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from encoders.errors import QueryError
from ui.drafted import (
    ACCEPTED,
    ADDED,
    CHANGED,
    MAX_SENTENCE,
    REJECTED,
    SIGNED_SECTIONS,
    Edit,
    Sentence,
    drafted_sentences,
    signed_sentences,
)

__all__ = ["DRAFTED", "Edition", "Row", "stated_codes"]

DRAFTED = "drafted"


@dataclass(frozen=True)
class Row:
    """One sentence as the page shows it: ``key`` names it in a decision ("3", or "+0" for an added one), ``state`` is
    "drafted" or a kind of ``ui.drafted``, ``text`` as it stands, ``drafted`` as it was written ("" where a human added it)."""

    key: str
    section: str
    state: str
    text: str
    drafted: str
    evidence: tuple[str, ...]
    source: str

    def to_json(self) -> dict[str, Any]:
        """A document of plain types."""
        return {
            "section": self.section, "state": self.state, "text": self.text, "drafted": self.drafted,
            "evidence": list(self.evidence), "source": self.source,
        }  # fmt: skip


@dataclass(frozen=True)
class Edition:
    """Drafted sentences and the decisions so far. Every decision gives a new edition."""

    drafted: tuple[Sentence, ...]
    edits: tuple[Edit, ...] = ()

    @classmethod
    def of(cls, document: dict[str, Any]) -> Edition:
        """The sentences of a report's or referral's document, none judged yet."""
        return cls(drafted_sentences(document))

    # Decisions --------------------------------------------------------------------------------------------------------

    def _decided(self, n: int) -> Edit | None:
        return next((edit for edit in self.edits if edit.sentence == n), None)

    def _with(self, n: int, edit: Edit | None) -> Edition:
        rest = tuple(one for one in self.edits if one.sentence != n or one.kind == ADDED)
        return replace(self, edits=rest if edit is None else (*rest, edit))

    def _added(self) -> list[Edit]:
        return [edit for edit in self.edits if edit.kind == ADDED]

    def _with_added(self, added: Iterable[Edit]) -> Edition:
        return replace(self, edits=(*(edit for edit in self.edits if edit.kind != ADDED), *added))

    def _number(self, key: str, most: int) -> int:
        digits = key.removeprefix("+")
        if not digits.isascii() or not digits.isdigit() or int(digits) >= most:
            raise QueryError("That sentence is not in this draft; choose one that is shown.")
        return int(digits)

    def accept(self, key: str) -> Edition:
        """The sentence stands as drafted, also where it was changed before; accepting twice takes the decision back."""
        if key.startswith("+"):
            return self
        n = self._number(key, len(self.drafted))
        old = self._decided(n)
        return self._with(n, None if old is not None and old.kind == ACCEPTED else Edit(ACCEPTED, n))

    def reject(self, key: str) -> Edition:
        """The sentence is no part of the report; rejecting twice takes that back. An added one is gone."""
        if key.startswith("+"):
            added = self._added()
            del added[self._number(key, len(added))]
            return self._with_added(added)
        n = self._number(key, len(self.drafted))
        old = self._decided(n)
        return self._with(n, None if old is not None and old.kind == REJECTED else Edit(REJECTED, n))

    def change(self, key: str, text: str) -> Edition:
        """The sentence in other words. Raises QueryError for an empty or endless one."""
        words = _checked(text)
        if key.startswith("+"):
            added = self._added()
            n = self._number(key, len(added))
            added[n] = replace(added[n], text=words, codes=stated_codes(words) or ())
            return self._with_added(added)
        n = self._number(key, len(self.drafted))
        if words == self.drafted[n].text:
            return self._with(n, Edit(ACCEPTED, n))
        return self._with(n, Edit(CHANGED, n, words, stated_codes(words)))

    def add(self, text: str, section: str = SIGNED_SECTIONS[0]) -> Edition:
        """A sentence of the reader's own. Raises QueryError for an empty or endless one, or a section that is none."""
        if section not in SIGNED_SECTIONS:
            raise QueryError("That section is not in the report; choose one of those offered.")
        words = _checked(text)
        return replace(self, edits=(*self.edits, Edit(ADDED, None, words, stated_codes(words) or (), section)))

    def carried_to(self, drafted: tuple[Sentence, ...]) -> Edition:
        """The same decisions over another draft of the recording, as far as its sentences are the same."""
        new = {(sentence.section, sentence.text): n for n, sentence in enumerate(drafted)}
        kept = []
        for edit in self.edits:
            if edit.kind == ADDED:
                kept.append(edit)
            elif edit.sentence is not None:
                old = self.drafted[edit.sentence]
                n = new.get((old.section, old.text))
                kept += [] if n is None else [replace(edit, sentence=n)]
        return Edition(drafted, tuple(kept))

    # What stands ------------------------------------------------------------------------------------------------------

    def whole(self) -> tuple[Edit, ...]:
        """A decision for every sentence: what was left as drafted is accepted. This is what a signature covers."""
        decided = [self._decided(n) or Edit(ACCEPTED, n) for n in range(len(self.drafted))]
        return (*decided, *self._added())

    def standing(self) -> tuple[tuple[str, tuple[Sentence, ...]], ...]:
        """The report as it stands: sections in order with their sentences, empty ones left out."""
        sentences = signed_sentences(self.drafted, self.whole())
        each = ((name, tuple(s for s in sentences if s.section == name)) for name in SIGNED_SECTIONS)
        return tuple((name, rows) for name, rows in each if rows)

    @property
    def open(self) -> int:
        """How many drafted sentences nobody has judged yet."""
        return sum(self._decided(n) is None for n in range(len(self.drafted)))

    def rows(self) -> tuple[tuple[str, tuple[Row, ...]], ...]:
        """All sentences as the page shows them, rejected ones too, section by section; empty sections are left out."""
        found: dict[str, list[Row]] = {name: [] for name in SIGNED_SECTIONS}
        for n, sentence in enumerate(self.drafted):
            edit = self._decided(n)
            text = edit.text if edit is not None and edit.kind == CHANGED else sentence.text
            state = DRAFTED if edit is None else edit.kind
            found[sentence.section].append(
                Row(str(n), sentence.section, state, text, sentence.text, sentence.evidence, sentence.source)
            )
        for n, edit in enumerate(self._added()):
            found[edit.section].append(Row(f"+{n}", edit.section, ADDED, edit.text, "", (), "human"))
        return tuple((name, tuple(rows)) for name, rows in found.items() if rows)


def stated_codes(text: str) -> tuple[str, ...] | None:
    """Findings that a typed sentence states as present; None where the checker's grammar cannot read it for certain."""
    from assistant.claims import FindingClaim
    from assistant.grammar import parse

    claims = parse(text if text.endswith(".") else f"{text}.")
    if claims is None:
        return None
    found = [claim for claim in claims if isinstance(claim, FindingClaim) and claim.polarity == "present"]
    if any(claim.quantifier != "all" for claim in found):
        return None
    return tuple(dict.fromkeys(code for claim in found for code in claim.codes))


def _checked(text: str) -> str:
    words = " ".join(text.split())
    if not words:
        raise QueryError("The sentence is empty; type it, or reject it instead.")
    if len(words) > MAX_SENTENCE:
        raise QueryError(f"The sentence has {len(words)} characters; up to {MAX_SENTENCE} are accepted, so split it.")
    return words
