"""What a sentence claims, as data: the grammar makes these, the checker holds them against the evidence."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CaseClaim",
    "CertaintyClaim",
    "Claim",
    "CompareClaim",
    "DefinitionClaim",
    "FindingClaim",
    "FixedClaim",
    "MeasurementClaim",
    "NormalClaim",
    "QualityClaim",
    "ReplyClaim",
    "ReviewClaim",
]


@dataclass(frozen=True)
class FindingClaim:
    """``polarity``: present, probable, absent, undetermined, not assessed or unstated (merely not present).

    ``quantifier``: "all" (each code) or "any" (a group of statements named as one). ``hedge``: a doubt said in a
    weaker form than "undetermined" ("possible").
    """

    codes: tuple[str, ...]
    polarity: str
    quantifier: str = "all"


@dataclass(frozen=True)
class MeasurementClaim:
    """``printed``: the number as it was written, "" where only a word was said, a placeholder kept as it stands.

    ``word``: a key of ``lexicon.JUDGEMENTS``, "not " in front where it was denied; "not measurable" for a missing value.
    """

    name: str
    value: float | None = None
    unit: str = ""
    word: str | None = None
    printed: str = ""


@dataclass(frozen=True)
class CaseClaim:
    """``n`` of ``k`` similar cases list one of ``codes``; -1 for a placeholder, ``k`` None where it was not said."""

    codes: tuple[str, ...]
    n: int
    k: int | None


@dataclass(frozen=True)
class QualityClaim:
    """``word``: "usable", "limited", "unusable", or "reason" with the gate's own sentence in ``text``."""

    word: str
    text: str = ""


@dataclass(frozen=True)
class CertaintyClaim:
    """The probability of a statement, ``printed`` in whole percent ("93 %", "over 99 %") or as a placeholder."""

    codes: tuple[str, ...]
    printed: str = ""


@dataclass(frozen=True)
class NormalClaim:
    """``polarity``: present, probable, undetermined, not assessed or absent ("this is not a normal ECG").

    ``otherwise``: it was called otherwise normal, so that other findings may stand beside it.
    """

    polarity: str = "present"
    otherwise: bool = False


@dataclass(frozen=True)
class ReviewClaim:
    """A fixed sentence that asks for a human, or says what this assistant does not do. ``urgent``: it asks for haste."""

    urgent: bool = False


@dataclass(frozen=True)
class FixedClaim:
    """A fixed sentence of ``frames.FIXED`` that says something about the report itself; ``kind`` is its key there."""

    kind: str


@dataclass(frozen=True)
class DefinitionClaim:
    """A sentence equal to the criteria of a statement (``code``), or to the citation of one.

    ``named``: the statement's name or "Criteria" stands before it, so that it does not read as a remark on this ECG.
    """

    code: str
    citation: bool = False
    named: bool = False


@dataclass(frozen=True)
class ReplyClaim:
    """A leading or lone "yes" or "no"."""

    yes: bool


@dataclass(frozen=True)
class CompareClaim:
    """``kind``: "new", "resolved" or "unchanged" for ``codes``; "change" for ``name``, second minus first.

    ``sign``: 1 for more or longer, -1 for less or shorter, 0 for unchanged. ``printed``: the amount as written.
    """

    kind: str
    codes: tuple[str, ...] = ()
    name: str = ""
    sign: int = 0
    unit: str = ""
    printed: str = ""
    values: tuple[str, ...] = ()


Claim = (
    FindingClaim
    | MeasurementClaim
    | CaseClaim
    | QualityClaim
    | CertaintyClaim
    | NormalClaim
    | ReviewClaim
    | FixedClaim
    | DefinitionClaim
    | ReplyClaim
    | CompareClaim
)
