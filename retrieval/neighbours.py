"""What the nearest cases say of a statement: a share that weighs the nearer more and knows how common the statement is.

Neighbours are evidence of their own: cases that cardiologists have read, found by how the whole tracing looks, not by the
network's threshold for one statement. Where they do not bear out what the network states, that is a reason to look again.
The figures behind the constants come from ``tests/benchmarks/neighbours.py`` (PTB-XL fold 9 against folds 1-8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders.vocabulary import CODES, statement
from retrieval.case import Case

__all__ = ["Agreement", "NEIGHBOURS", "neighbour_agreement", "neighbours_say", "prevalences", "says_doubt"]

#: Cases asked: 50 predict listed statements better than 10 (log loss 4.74 against 5.00 a recording; the plain share of
#: ten 6.87, prevalence alone 7.52).
NEIGHBOURS = 50
#: Fall in cosine over which a case's weight falls to 1/e.
_FADES_OVER = 0.05
#: Cases of the library at large that are counted in, at its own share of the statement.
_PRIOR_CASES = 2.0
#: A present finding is in doubt below this corrected share, an absent one from the other upwards. Both were chosen on fold 9,
#: which also calibrates, when the network stood alone: of 256 absent ones in doubt 38 % were listed after all, of the others
#: 1.4 % (in the halves of the patients 41 and 35 against 1.4 and 1.4). Joined with its measurements: 31 % of 319 against
#: 1.1 %; and of 83 present ones in doubt 12 % are not listed, of the others 3.9 %.
DOUBTS_PRESENT = 0.75
DOUBTS_ABSENT = 0.25
#: A library in which fewer cases list a statement cannot speak against it.
LEAST_KNOWN = 20
#: Fewer cases than this, as counted by weight, say nothing, nor do cases of which none is near: in a small library the nearest
#: may be unlike (of fold 9's recordings 99 in 100 have a case of the built-in library at 0.84 or nearer).
LEAST_EFFECTIVE, LEAST_NEAR = 5.0, 0.80


@dataclass(frozen=True)
class Agreement:
    """What ``asked`` cases say of one statement; ``listed`` of them list it.

    ``share`` 0-1: the same, each case weighted by exp((similarity - highest similarity) / 0.05). ``effective_n``: to how many
    equally weighted cases that amounts, (Σw)²/Σw². ``prevalence`` 0-1: share of the library's cases that list it.
    ``corrected`` 0-1: (effective_n · share + 2 · prevalence) / (effective_n + 2), so that few cases claim little and a rare
    statement is not stated for want of neighbours. ``lift``: corrected / prevalence; None where the library never lists it.
    ``nearest``: the highest similarity among them. ``known``: cases of the library that list it, None where not counted.
    """

    code: str
    listed: int
    asked: int
    share: float
    effective_n: float
    prevalence: float
    nearest: float = 0.0
    known: int | None = None

    @property
    def corrected(self) -> float:
        return (self.effective_n * self.share + _PRIOR_CASES * self.prevalence) / (self.effective_n + _PRIOR_CASES)

    @property
    def id(self) -> str:
        """What text cites, such as ``N:AFIB``."""
        return f"N:{self.code}"

    @property
    def expected(self) -> float:
        """How many of the cases asked would list it if they were drawn from the library at random."""
        return self.prevalence * self.asked

    @property
    def text(self) -> str:
        """The count as a sentence."""
        name = statement(self.code).name
        return f"{self.listed} of the {self.asked} most similar cases list {name} ({self.expected:.1f} expected by chance)."

    def doubt(self, state: str) -> str:
        """A sentence on what the cases speak against, where `says_doubt`: ``state`` is "present" or "absent"."""
        name, count = statement(self.code).name, f"{self.listed} of the {self.asked} most similar list it"
        if state == "present":
            return f"Similar cases bear out {name} less than usual: {count}."
        return f"Similar cases leave the absence of {name} in doubt: {count}, so that it cannot be judged."

    @property
    def lift(self) -> float | None:
        return self.corrected / self.prevalence if self.prevalence > 0 else None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "text": self.text,
            "listed": self.listed,
            "asked": self.asked,
            "expected": round(self.expected, 1),
            "share": round(self.share, 4),
            "effective_n": round(self.effective_n, 1),
            "prevalence": round(self.prevalence, 4),
            "corrected": round(self.corrected, 4),
            "lift": None if self.lift is None else round(self.lift, 2),
        }


def neighbour_agreement(
    cases: Sequence[Case], statement: str, prevalence: float = 0.0, known: int | None = None
) -> Agreement:
    """What ``cases`` (the nearest ones of a recording, any order) say of the statement with the code ``statement``.

    ``prevalence``: share of the library's cases that list it (`prevalences`); ``known``: how many those are. Cases that carry no
    statement at all are not asked: nobody has read them.
    """
    (said,) = _agreements(cases, {statement: prevalence}, {statement: known})
    return said


def _agreements(
    cases: Sequence[Case], prevalence: Mapping[str, float], known: Mapping[str, int | None]
) -> list[Agreement]:
    """What the cases say of each statement that ``prevalence`` names, in its order."""
    read = [case for case in cases if case.statements]
    if not read:
        return [Agreement(code, 0, 0, 0.0, 0.0, p, known=known[code]) for code, p in prevalence.items()]
    similarity = np.array([case.similarity for case in read], np.float64)
    weights = np.exp((similarity - similarity.max()) / _FADES_OVER)
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    lists = np.array([[code in case.statements for code in prevalence] for case in read])  # (cases, statements)
    counts, shares = lists.sum(0).tolist(), (weights @ lists / weights.sum()).tolist()
    return [
        Agreement(code, count, len(read), share, effective, p, float(similarity.max()), known[code])
        for (code, p), count, share in zip(prevalence.items(), counts, shares, strict=True)
    ]


def neighbours_say(cases: Sequence[Case], prevalence: Mapping[str, float], count: int | None = None) -> tuple[Agreement, ...]:
    """`neighbour_agreement` for every statement of the vocabulary, the highest corrected share first. ``count``: the library's
    cases."""
    shares = {code: prevalence.get(code, 0.0) for code in CODES}
    said = _agreements(cases, shares, {code: None if count is None else round(p * count) for code, p in shares.items()})
    return tuple(sorted(said, key=lambda one: -one.corrected))


def says_doubt(agreement: Agreement, state: str) -> bool:
    """Whether neighbours speak against the network's ``state`` of the statement ("present" or "absent").

    A present finding of which their corrected share is below 0.75 (and which at least 20 cases of the library list), or an absent
    one of which it is at least 0.25. Other states, fewer than five cases by weight, and cases none of which is near (0.80), give
    no doubt.
    """
    if agreement.effective_n < LEAST_EFFECTIVE or agreement.nearest < LEAST_NEAR:
        return False
    if state == "present":
        return agreement.corrected < DOUBTS_PRESENT and (agreement.known is None or agreement.known >= LEAST_KNOWN)
    return state == "absent" and agreement.corrected >= DOUBTS_ABSENT


def prevalences(listed: Iterable[tuple[Iterable[str], int]]) -> dict[str, float]:
    """Code → share of the cases with statements that list it, 0-1; every code of the vocabulary is there. ``listed``: which codes
    cases list, and how many cases list just these (`Store.listed`)."""
    counts, total = Counter[str](), 0
    for codes, cases in listed:
        known = set(codes)
        total += cases if known else 0
        for code in known:
            counts[code] += cases
    return {code: counts[code] / max(1, total) for code in CODES}
