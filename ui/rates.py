"""How often clinicians edit what was drafted, and how often they see it otherwise, per finding: out of the audit store."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from encoders.vocabulary import CODES, statement
from ui.audit import Entry
from ui.drafted import ACCEPTED, ADDED, CHANGED, REJECTED, Edit, Sentence

__all__ = ["FindingRate", "Rates", "edit_rates", "wilson"]

_Z = 1.959963984540054  # two-sided 95 %


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953); 0 to 1 where n is 0."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = hits / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == n else middle + half)


@dataclass(frozen=True)
class FindingRate:
    """Signed drafts of one finding.

    ``drafted``: signed drafts that stated it; of these ``accepted`` (every sentence with it stands as drafted), ``rejected``
    (none of them stands, or none states it any more for certain) and ``changed`` (the rest). ``added``: signed drafts that did
    not state it, though the signed text does.
    """

    code: str
    drafted: int
    accepted: int
    changed: int
    rejected: int
    added: int

    @property
    def edited(self) -> int:
        return self.changed + self.rejected

    @property
    def disagreed(self) -> int:
        """Drafts in which only one of machine and human states the finding."""
        return self.rejected + self.added

    @property
    def stated(self) -> int:
        """Drafts in which machine or human states the finding."""
        return self.drafted + self.added

    def to_json(self) -> dict[str, Any]:
        """A document of plain types; rates are null where there is nothing to count."""

        def rate(name: str, hits: int, n: int) -> dict[str, Any]:
            low, high = wilson(hits, n)
            values = (hits / n, low, high) if n else (None, None, None)
            keys = (f"{name}_rate", f"{name}_low", f"{name}_high")
            return {key: None if v is None else round(v, 4) for key, v in zip(keys, values, strict=True)}

        counts = {
            "drafted": self.drafted, "accepted": self.accepted, "changed": self.changed, "rejected": self.rejected,
            "added": self.added,
        }  # fmt: skip
        name = statement(self.code).name if self.code in CODES else self.code
        return {
            "code": self.code, "name": name, **counts, **rate("edit", self.edited, self.drafted),
            **rate("disagreement", self.disagreed, self.stated),
        }  # fmt: skip


@dataclass(frozen=True)
class Rates:
    """All findings that were stated in a signed draft; ``drafts``: drafts and referrals written, ``signed``: of these signed."""

    drafts: int
    signed: int
    findings: tuple[FindingRate, ...]

    def to_json(self) -> dict[str, Any]:
        """A document of plain types."""
        return {"drafts": self.drafts, "signed": self.signed, "findings": [finding.to_json() for finding in self.findings]}


def edit_rates(entries: Iterable[Entry]) -> Rates:
    """Counts per finding over all signed drafts among the entries, the most often stated findings first."""
    drafted: dict[str, tuple[Sentence, ...]] = {}
    counts: dict[str, Counter[str]] = {}
    drafts = signed = 0
    for entry in entries:
        if entry.action == "report":
            drafts += 1
            drafted[entry.id] = tuple(Sentence.from_json(item) for item in entry.body.get("sentences", ()))
        elif entry.action == "sign" and entry.about in drafted:
            signed += 1
            edits = [Edit.from_json(item) for item in entry.body["edits"]]
            for code, fate in _fates(drafted.pop(str(entry.about)), edits).items():
                counts.setdefault(code, Counter())[fate] += 1
    found = [
        FindingRate(code, sum(c[k] for k in (ACCEPTED, CHANGED, REJECTED)), c[ACCEPTED], c[CHANGED], c[REJECTED], c[ADDED])
        for code, c in counts.items()
    ]
    return Rates(drafts, signed, tuple(sorted(found, key=lambda rate: (-rate.stated, rate.code))))


def _fates(sentences: tuple[Sentence, ...], edits: list[Edit]) -> dict[str, str]:
    """What became of each finding of one signed draft: accepted, changed, rejected or added."""
    kinds: dict[str, list[str]] = {}
    added: set[str] = set()
    for edit in edits:
        before = () if edit.sentence is None else sentences[edit.sentence].codes
        after = edit.codes or ()  # words that nobody could read state nothing
        for code in before:
            gone = edit.kind == REJECTED or (edit.kind == CHANGED and code not in after)
            kinds.setdefault(code, []).append(REJECTED if gone else edit.kind)
        if edit.kind in (CHANGED, ADDED):
            added.update(code for code in after if code not in before)
    fates = {code: kind[0] if len(set(kind)) == 1 else CHANGED for code, kind in kinds.items()}
    for code in added:
        # Taken out of one sentence and written into another, it is changed, not gone.
        fates[code] = ADDED if code not in fates else CHANGED if fates[code] == REJECTED else fates[code]
    return fates
