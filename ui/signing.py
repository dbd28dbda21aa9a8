"""A report on its way out: the draft, what a human made of it, and who signed. The patient's label passes through only.

The label that a clinician types at sign-off is an argument of the functions that print, and no field of anything here: it
stands on the print or in the download, and nowhere else.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from encoders.errors import QueryError
from ui import texts
from ui.drafted import Sentence
from ui.editing import Edition

if TYPE_CHECKING:
    from ui.audit import Actor, AuditStore

__all__ = [
    "BESIDE", "MAX_LABEL", "Part", "Signed", "SignedReport", "checked_label", "further", "pressing", "quality_remarks", "when",
]  # fmt: skip

MAX_LABEL = 120
#: What a report is once it is signed, be it drafted as "draft" or "referral".
SIGNED_STATUS = "signed"
#: Fields of a document that tell what was drafted, whatever became of it.
_AS_DRAFTED = ("status", "impression", "sections", "critical", "reasons", "reason_kinds", "who_should_look")
#: Over what the machine drafted beside the sentences that were signed.
BESIDE = "Drafted by the machine, not part of what was signed"
#: A heading and its sentences.
Part = tuple[str, list[str]]


@dataclass(frozen=True)
class Signed:
    """Who answers for a report, and since when (UTC, ISO 8601)."""

    name: str
    at: str


def _one_line(text: str | None) -> str:
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text or "")
    return " ".join(kept.encode("utf-8", "ignore").decode().split())


def checked_label(label: str | None) -> str:
    """The patient's label as it is printed. Raises QueryError where it is empty or endless; the sentence never repeats it."""
    words = _one_line(label)
    if not words or len(words) > MAX_LABEL:
        raise QueryError(texts.LABEL_MISSING.format(MAX_LABEL))
    return words


@dataclass(frozen=True)
class SignedReport:
    """A report's document with the reader's edition, and the signature where there is one.

    ``document`` is what ``Draft`` or ``Referral`` gave; ``draft_id`` its number in the audit store ("": it is in none);
    ``recorded_at`` the recording's own time, where its file tells it.
    """

    document: dict[str, Any]
    edition: Edition
    draft_id: str = ""
    recorded_at: str | None = None
    signed: Signed | None = None

    @classmethod
    def of(cls, document: dict[str, Any], *, draft_id: str = "", recorded_at: str | None = None) -> SignedReport:
        """The report as drafted."""
        return cls(document, Edition.of(document), draft_id, recorded_at)

    @property
    def state(self) -> str:
        """The state in words, as page and prints show it."""
        return texts.BANNER if self.signed is None else texts.SIGNED_BY.format(name=self.signed.name, at=when(self.signed.at))

    @property
    def said(self) -> tuple[tuple[str, tuple[Sentence, ...]], ...]:
        """The sentences that stand, by section. That no finding was stated is left out where one stands in its section."""
        from assistant.frames import FIXED

        nothing = FIXED["no such finding"]
        each = ((name, tuple(s for s in rows if s.text not in nothing), rows) for name, rows in self.edition.standing())
        return tuple((name, found or rows) for name, found, rows in each)

    def edited(self, edition: Edition) -> SignedReport:
        """The report with another edition. Raises QueryError once it is signed."""
        if self.signed is not None:
            raise QueryError(texts.SIGNED_ALREADY)
        return replace(self, edition=edition)

    def sign(self, store: AuditStore, actor: Actor, name: str | None, label: str | None) -> SignedReport:
        """The report signed by a named user, once the store has it on record; what was left as drafted is accepted.

        ``label``: the patient's; it must be there, and goes no further. Raises QueryError where it or the name is missing, the
        report contradicts itself or is signed already, and ArtefactError where the store cannot be written.
        """
        if self.signed is not None:
            raise QueryError(texts.SIGNED_ALREADY)
        checked_label(label)
        edits = self.edition.whole()
        kept = store.sign(self.draft_id, actor, _one_line(name), edits)
        return replace(self, signed=Signed(kept.signer, kept.at), edition=replace(self.edition, edits=edits))

    def to_json(self, label: str | None = None) -> dict[str, Any]:
        """The document with its state, the sentences as they stand and what became of each; ``label`` only in this copy.

        What the machine wrote stands under "drafted", so that nobody takes a rejected sentence for the report.
        """
        known = {name: value for name, value in self.document.items() if name not in _AS_DRAFTED}
        out = {
            **known,
            "status": self.document["status"] if self.signed is None else SIGNED_STATUS,
            "drafted": {name: self.document[name] for name in _AS_DRAFTED if name in self.document},
            "state": texts.BANNER if self.signed is None else texts.SIGNED,
            "unconfirmed": self.signed is None,
            "signed_by": None if self.signed is None else self.signed.name,
            "signed_at": None if self.signed is None else self.signed.at,
            "draft_id": self.draft_id or None,
            "report": {name: [s.text for s in rows] for name, rows in self.said},
            "sentences": [row.to_json() for _, rows in self.edition.rows() for row in rows],
            "recorded_at": self.recorded_at,
            "intended_use": texts.INTENDED_USE,
        }
        return {"patient_label": checked_label(label), **out} if label else out


def when(at: str) -> str:
    """A UTC time as people read it: to the minute."""
    return f"{at[:10]} {at[11:16]} UTC"


# What the machine drafted beside the sentences ------------------------------------------------------------------------------


def pressing(document: dict[str, Any]) -> tuple[Part, ...]:
    """What comes before everything in a draft: critical remarks, and whom a referral goes to and why."""
    critical = (texts.CRITICAL, [item["text"] for item in document.get("critical") or ()])
    if document["status"] != "referral":
        return (critical,)
    who = f"{texts.WHO_LOOKS}: {document['who_should_look']}."
    return critical, (texts.REFERRAL_LEAD, [who, *document["reasons"]])


def quality_remarks(document: dict[str, Any]) -> Part:
    """What is wrong with the recording, if anything."""
    quality = document["quality"]
    return texts.RECORDING_IS.format(quality["verdict"]), list(quality["reasons"])


def further(document: dict[str, Any]) -> tuple[Part, ...]:
    """What must stand beside any draft: what could not be judged or was not assessed, conflicts, research and limits."""

    def named(state: str) -> list[str]:
        names = [finding["name"] for finding in document["findings"] if finding["state"] == state]
        return [f"{', '.join(names)}."] if names else []

    return (
        (texts.CANNOT_BE_JUDGED, named("undetermined")),
        (texts.NOT_ASSESSED, named("not assessed")),
        (texts.CONFLICTS, [item["text"] for item in document.get("conflicts") or ()]),
        (texts.RESEARCH, [item["text"] for item in document.get("research") or ()]),
        (texts.LIMITS, list(document.get("limits") or ())),
    )
