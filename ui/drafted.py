"""What was drafted, sentence by sentence, and what a human made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from assistant.decide import capital
from assistant.rules import RULES
from encoders.errors import QueryError
from encoders.vocabulary import CODES, statement
from ui.masking import masked
from ui.reading import NORMAL, read

__all__ = [
    "ACCEPTED",
    "ADDED",
    "CHANGED",
    "COMPARISON",
    "HUMAN",
    "KINDS",
    "MAX_EDITS",
    "MAX_SENTENCE",
    "REJECTED",
    "SIGNED_SECTIONS",
    "Edit",
    "Sentence",
    "check_agreement",
    "denied",
    "drafted_sentences",
    "masked_edit",
    "outright",
    "signed_sentences",
]

ACCEPTED, CHANGED, REJECTED, ADDED = KINDS = ("accepted", "changed", "rejected", "added")
#: Sections that a human signs, the impression first; the others tell what the machine could not do.
SIGNED_SECTIONS = (
    "impression", "rhythm", "rate and intervals", "axis", "conduction", "chambers", "infarction and ST-T", "comparison",
)  # fmt: skip
#: Its sentences tell what became of a finding, which may be wrong though the finding is there.
COMPARISON = "comparison"
#: Source of a sentence that a human wrote or reworded; what the draft rests on is not what it says.
HUMAN = "human"
_OPEN = ("undetermined", "not assessed")
MAX_SENTENCE = 1000
MAX_EDITS = 500


@dataclass(frozen=True)
class Sentence:
    """One sentence of a draft: ``evidence`` ids, and ``codes`` of the findings that it states as present."""

    text: str
    section: str = "impression"
    evidence: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    source: str = "renderer"

    def to_json(self) -> dict[str, Any]:
        """A document of plain types."""
        return {
            "text": self.text, "section": self.section, "evidence": list(self.evidence), "codes": list(self.codes),
            "source": self.source,
        }  # fmt: skip

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Sentence:
        """The sentence of such a document."""
        return cls(
            item["text"], item["section"], tuple(item["evidence"]), tuple(item["codes"]), item["source"]
        )


@dataclass(frozen=True)
class Edit:
    """What the signer decided about one drafted sentence, or a sentence of their own.

    ``kind``: one of KINDS. ``sentence``: its number in the draft, from 0; None for an added one. ``text``: the new wording of
    a changed or added sentence. ``codes``: findings that the new wording states as present (SCP codes of the vocabulary); None
    where nobody could read it, and then it states none: what the draft said there is not what a human wrote. ``section``: where
    an added sentence goes.
    """

    kind: str
    sentence: int | None = None
    text: str = ""
    codes: tuple[str, ...] | None = None
    section: str = "impression"

    def to_json(self) -> dict[str, Any]:
        """A document of plain types."""
        return {
            "kind": self.kind, "sentence": self.sentence, "text": self.text,
            "codes": None if self.codes is None else list(self.codes), "section": self.section,
        }  # fmt: skip

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Edit:
        """The edit of such a document."""
        codes = item.get("codes")
        return cls(
            item["kind"], item.get("sentence"), item.get("text", ""), None if codes is None else tuple(codes),
            item.get("section", "impression"),
        )  # fmt: skip


def drafted_sentences(document: dict[str, Any]) -> tuple[Sentence, ...]:
    """The sentences of a report, referral or answer (its JSON document) that a human is asked about, in order.

    Of a report: the impression, then the sections from rhythm to comparison. Sentences that only say of single findings that
    they cannot be judged are left out, except in the impression. Of an answer: its sentences.
    """
    states = {finding["code"]: finding["state"] for finding in document.get("findings", ())}

    def sentence(line: dict[str, Any], section: str) -> Sentence:
        codes = tuple(i[2:] for i in line["evidence"] if i.startswith("F:") and states.get(i[2:]) == "present")
        return Sentence(line["text"], section, tuple(line["evidence"]), codes, line["source"])

    if "sections" not in document:
        return tuple(sentence(line, "answer") for line in document.get("sentences", ()))
    found = []
    for section in SIGNED_SECTIONS:
        for line in document["sections"].get(section, ()):
            said = [states.get(i[2:]) for i in line["evidence"] if i.startswith("F:")]
            only_open = bool(said) and len(said) == len(line["evidence"]) and all(state in _OPEN for state in said)
            if section == "impression" or not only_open:
                found.append(sentence(line, section))
    return tuple(found)


def signed_sentences(drafted: Sequence[Sentence], edits: Sequence[Edit]) -> tuple[Sentence, ...]:
    """What is signed: accepted and changed sentences in their order, then what was added.

    Raises QueryError where a drafted sentence has no decision or two, or an edit makes no sense.
    """
    if len(edits) > MAX_EDITS:
        raise QueryError(f"There are {len(edits)} decisions; send at most {MAX_EDITS}.")
    decided: dict[int, Edit] = {}
    added = []
    for edit in edits:
        _check(edit)
        if edit.kind == ADDED:
            added.append(Sentence(edit.text.strip(), edit.section, (), edit.codes or (), HUMAN))
            continue
        if edit.sentence is None or not 0 <= edit.sentence < len(drafted):
            raise QueryError(f"A decision is about sentence {edit.sentence}; the draft has sentences 0 to {len(drafted) - 1}.")
        if edit.sentence in decided:
            raise QueryError(f"Sentence {edit.sentence} has two decisions; give one.")
        decided[edit.sentence] = edit
    missing = [str(number) for number in range(len(drafted)) if number not in decided]
    if missing:
        raise QueryError(f"No decision is given for sentence {', '.join(missing)}; accept, change or reject every drafted one.")
    kept = []
    for number, sentence in enumerate(drafted):
        edit = decided[number]
        if edit.kind == CHANGED:
            kept.append(replace(sentence, text=edit.text.strip(), codes=edit.codes or (), source=HUMAN))
        elif edit.kind == ACCEPTED:
            kept.append(sentence)
    return (*kept, *added)


def denied(sentence: Sentence, edit: Edit) -> frozenset[str]:
    """Findings that the decision about a drafted sentence takes out of it.

    None where it is about a comparison: that something changed is denied, and not that it is there.
    """
    return frozenset() if sentence.section == COMPARISON else frozenset(sentence.codes).difference(_kept(sentence, edit))


def check_agreement(drafted: Sequence[Sentence], edits: Sequence[Edit]) -> None:
    """Raises QueryError where what would be signed says nothing, or contradicts itself.

    It does where a finding that was taken out of one drafted sentence still stands in another, where one sentence denies what
    another states, and where findings stand that exclude each other by the rules of the draft. What a human states anew is else
    left alone: it may say in other words, or elsewhere, what was rejected as it was drafted.
    """
    _check_taken_out(drafted, edits)
    said = signed_sentences(drafted, edits)
    if not any(sentence.evidence or sentence.source == HUMAN for sentence in said):
        raise QueryError(
            "Nothing would be signed: no sentence of the draft that rests on evidence is left; add a sentence of your own."
        )
    stated = {code: sentence for sentence in said for code in outright(sentence)}
    for sentence in said:
        found = read(sentence.text)
        for code in found.denied if found is not None else ():
            if code in stated:
                raise QueryError(
                    f"{_quoted(sentence)} denies {statement(code).name}, which {_quoted(stated[code])} states;"
                    " change or reject one of them."
                )
    for rule in RULES:
        # A one-sided rule tells what the ECG cannot show beside something else; a clinician may know it all the same.
        one, other = (next((code for code in codes if code in stated), None) for codes in (rule.codes, rule.against))
        if one is not None and other is not None and not rule.one_sided:
            raise QueryError(
                f"{_quoted(stated[one])} states {statement(one).name}, and {_quoted(stated[other])} states"
                f" {statement(other).name}. {rule.why} Change or reject one of them."
            )


def outright(sentence: Sentence) -> tuple[str, ...]:
    """The codes of a sentence but for a normal ECG that it calls normal only otherwise."""
    found = read(sentence.text) if NORMAL in sentence.codes else None
    return tuple(code for code in sentence.codes if code != NORMAL or found is None or not found.otherwise)


def _quoted(sentence: Sentence) -> str:
    return f'"{sentence.text}" under {sentence.section}'


def _check_taken_out(drafted: Sequence[Sentence], edits: Sequence[Edit]) -> None:
    decided = [(drafted[edit.sentence], edit) for edit in edits if edit.sentence is not None]
    gone = {code: (sentence.section, edit) for sentence, edit in decided for code in denied(sentence, edit)}
    for sentence, edit in decided:
        text = edit.text.strip() if edit.kind == CHANGED else sentence.text
        for code in _kept(sentence, edit):
            if code in gone:
                section, first = gone[code]
                unread = first.kind == CHANGED and first.codes is None
                why = f' ("{first.text.strip()}" cannot be read as stating it)' if unread else ""
                raise QueryError(
                    f"{capital(statement(code).name)} was taken out under {section}{why}, but \"{text}\" under"
                    f" {sentence.section} still states it; reject or change that sentence too, or take the first decision back."
                )


def _kept(sentence: Sentence, edit: Edit) -> tuple[str, ...]:
    """Findings of a drafted sentence that it states after the decision, too."""
    if edit.kind == ACCEPTED:
        return sentence.codes
    return tuple(code for code in sentence.codes if edit.kind == CHANGED and code in (edit.codes or ()))


def _check(edit: Edit) -> None:
    if edit.kind not in KINDS:
        raise QueryError(f"A decision is {edit.kind[:20]!r}; give one of {', '.join(KINDS)}.")
    if edit.kind in (CHANGED, ADDED):
        if not edit.text.strip():
            raise QueryError("A changed or added sentence is empty; write it, or reject the drafted one.")
        if len(edit.text) > MAX_SENTENCE:
            raise QueryError(f"A sentence has {len(edit.text)} characters; write at most {MAX_SENTENCE}.")
    if edit.kind == ADDED and (edit.sentence is not None or edit.section not in SIGNED_SECTIONS):
        raise QueryError(f"An added sentence has no number and goes into one of {', '.join(SIGNED_SECTIONS)}.")
    unknown = [code for code in edit.codes or () if code not in CODES]
    if unknown:
        raise QueryError("A decision names a finding that the vocabulary does not know; give SCP codes such as AFIB.")


def masked_edit(edit: Edit) -> Edit:
    """The edit as it is kept: nothing in its text that may name a patient; no text where none counts."""
    return replace(edit, text=masked(edit.text) if edit.kind in (CHANGED, ADDED) else "")
