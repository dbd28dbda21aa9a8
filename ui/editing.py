"""What a reader makes of the drafted sentences while the page is open: decisions that grow into what is signed.

``ui.drafted`` says which sentences of a report are judged and what a decision is; here the decisions are gathered, one at a
time, with nothing stored. A sentence without a decision stands as drafted, and is accepted by the signature.

A reader who rejects a finding rejects it wherever it stands: sentences that state nothing else follow a decision on one of them,
until that is taken back or they are judged on their own.
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
    COMPARISON,
    HUMAN,
    MAX_SENTENCE,
    REJECTED,
    SIGNED_SECTIONS,
    Edit,
    Sentence,
    denied,
    drafted_sentences,
    signed_sentences,
)
from ui.reading import stated_codes

__all__ = ["DRAFTED", "Edition", "Row"]

DRAFTED = "drafted"


@dataclass(frozen=True)
class Row:
    """One sentence as the page shows it: ``key`` names it in a decision ("3", or "+0" for an added one), ``state`` is
    "drafted" or a kind of ``ui.drafted``, ``text`` as it stands, ``drafted`` as it was written ("" where a human added it),
    ``follows`` the section of a sentence whose decision it follows ("": none), ``unread`` whether a human wrote it and nobody
    could read what it states."""

    key: str
    section: str
    state: str
    text: str
    drafted: str
    evidence: tuple[str, ...]
    source: str
    follows: str = ""
    unread: bool = False

    def to_json(self) -> dict[str, Any]:
        """A document of plain types."""
        return {
            "section": self.section, "state": self.state, "text": self.text, "drafted": self.drafted,
            "evidence": list(self.evidence), "source": self.source,
        }  # fmt: skip


@dataclass(frozen=True)
class Edition:
    """Drafted sentences and the reader's own decisions so far. Every decision gives a new edition."""

    drafted: tuple[Sentence, ...]
    edits: tuple[Edit, ...] = ()

    @classmethod
    def of(cls, document: dict[str, Any]) -> Edition:
        """The sentences of a report's or referral's document, none judged yet."""
        return cls(drafted_sentences(document))

    # Decisions --------------------------------------------------------------------------------------------------------

    def _own(self, n: int) -> Edit | None:
        return next((edit for edit in self.edits if edit.sentence == n), None)

    def _decided(self, n: int) -> Edit | None:
        """The reader's decision about a sentence, or what follows for it from one about another."""
        return self._own(n) or self._following(n)

    def _rewords(self, edit: Edit, n: int) -> bool:
        """Whether new words of another sentence are for this one, too: both stated the same, which those words may not."""
        if edit.kind != CHANGED or edit.sentence is None:
            return False
        other, sentence = self.drafted[edit.sentence], self.drafted[n]
        alike = set(other.codes) == set(sentence.codes) and COMPARISON not in (other.section, sentence.section)
        return alike and bool(denied(other, edit))

    def _reaching(self, n: int) -> list[Edit]:
        """Decisions about other sentences that touch what this one states."""
        codes = set(self.drafted[n].codes)
        others = ((edit, edit.sentence) for edit in self.edits if edit.sentence not in (None, n))
        return [
            edit for edit, m in others
            if codes and m is not None and (denied(self.drafted[m], edit) & codes or self._rewords(edit, n))
        ]  # fmt: skip

    def _following(self, n: int) -> Edit | None:
        """What follows from decisions about other sentences: the same new words, or rejection where nothing it states is left."""
        reaching = self._reaching(n)
        new_words = [edit for edit in reaching if self._rewords(edit, n)]
        if new_words:
            return replace(new_words[-1], sentence=n)
        gone = {code for edit in reaching if edit.sentence is not None for code in denied(self.drafted[edit.sentence], edit)}
        return Edit(REJECTED, n) if reaching and gone.issuperset(self.drafted[n].codes) else None

    def _without(self, gone: Iterable[Edit]) -> Edition:
        left = list(gone)
        return replace(self, edits=tuple(edit for edit in self.edits if edit not in left))

    def _with(self, n: int, edit: Edit) -> Edition:
        """With a decision; an earlier acceptance of what follows from it is taken back, so that the later one counts."""
        own = self._own(n)
        rest = self if own is None else self._without([own])
        new = replace(rest, edits=(*rest.edits, edit))
        reached = [
            one for one in rest.edits
            if one.kind == ACCEPTED and one.sentence is not None and edit in new._reaching(one.sentence)
            and new._following(one.sentence) is not None
        ]  # fmt: skip
        return new._without(reached)

    def _taken_back(self, n: int) -> Edition:
        """As drafted again: without the decision about the sentence, or else without those that it follows."""
        own = self._own(n)
        rest = self if own is None else self._without([own])
        return rest if rest._following(n) is None else rest._without(rest._reaching(n))

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
        old = self._own(n)
        return self._without([old]) if old is not None and old.kind == ACCEPTED else self._with(n, Edit(ACCEPTED, n))

    def reject(self, key: str) -> Edition:
        """The sentence is no part of the report, nor are others that state nothing but its findings; rejecting one of them
        again takes that back. An added one is gone."""
        if key.startswith("+"):
            added = self._added()
            del added[self._number(key, len(added))]
            return self._with_added(added)
        n = self._number(key, len(self.drafted))
        old = self._decided(n)
        return self._taken_back(n) if old is not None and old.kind == REJECTED else self._with(n, Edit(REJECTED, n))

    def change(self, key: str, text: str) -> Edition:
        """The sentence in other words; those that stated the same get them too, unless the words still state it for certain.
        Words that cannot be read state no finding. Raises QueryError for an empty or endless one."""
        words = _checked(text)
        if key.startswith("+"):
            added = self._added()
            n = self._number(key, len(added))
            added[n] = replace(added[n], text=words, codes=stated_codes(words))
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
        return replace(self, edits=(*self.edits, Edit(ADDED, None, words, stated_codes(words), section)))

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

    def _follows(self, n: int) -> str:
        """The section of the sentence whose decision this one follows, of several the last; "" where it follows none."""
        if self._own(n) is not None or self._following(n) is None:
            return ""
        last = [edit.sentence for edit in self._reaching(n)][-1]
        return "" if last is None else self.drafted[last].section

    def rows(self) -> tuple[tuple[str, tuple[Row, ...]], ...]:
        """All sentences as the page shows them, rejected ones too, section by section; empty sections are left out."""
        found: dict[str, list[Row]] = {name: [] for name in SIGNED_SECTIONS}
        for n, sentence in enumerate(self.drafted):
            edit = self._decided(n)
            text = edit.text if edit is not None and edit.kind == CHANGED else sentence.text
            state = DRAFTED if edit is None else edit.kind
            unread = state == CHANGED and edit is not None and edit.codes is None
            found[sentence.section].append(Row(
                str(n), sentence.section, state, text, sentence.text, sentence.evidence, sentence.source, self._follows(n), unread
            ))  # fmt: skip
        for n, edit in enumerate(self._added()):
            row = Row(f"+{n}", edit.section, ADDED, edit.text, "", (), HUMAN, unread=edit.codes is None)
            found[edit.section].append(row)
        return tuple((name, tuple(rows)) for name, rows in found.items() if rows)


def _checked(text: str) -> str:
    words = " ".join(text.split())
    if not words:
        raise QueryError("The sentence is empty; type it, or reject it instead.")
    if len(words) > MAX_SENTENCE:
        raise QueryError(f"The sentence has {len(words)} characters; up to {MAX_SENTENCE} are accepted, so split it.")
    return words
