"""What the nearest cases say of a statement: a share that weighs the nearer more and knows how common the statement is.

Neighbours are evidence of their own: cases that cardiologists have read, found by how the whole tracing looks, not by the
network's threshold for one statement. Where they do not bear out what the network states, that is a reason to look again.
The figures behind the constants come from ``tests/benchmarks/neighbours.py`` (PTB-XL fold 9 against folds 1-8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders.vocabulary import CODES
from retrieval.case import Case
from retrieval.store import CaseRow

__all__ = ["Agreement", "NEIGHBOURS", "neighbour_agreement", "neighbours_say", "prevalences", "says_doubt"]

#: Cases asked: 50 predict listed statements better than 10 (log loss 4.74 against 5.00 a recording; the plain share of
#: ten 6.87, prevalence alone 7.52).
NEIGHBOURS = 50
#: Fall in cosine over which a case's weight falls to 1/e.
_FADES_OVER = 0.05
#: Cases of the library at large that are counted in, at its own share of the statement.
_PRIOR_CASES = 2.0
#: A present finding is in doubt below this corrected share, an absent one from the other upwards. On fold 9: of 256 absent
#: ones in doubt 38 % are listed after all, of the others 1.4 % (in the halves of the patients 41 and 35 against 1.4 and 1.4);
#: of 25 present ones in doubt 16 % are not listed, of the others 4.6 %, too few to promise anything.
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
    def lift(self) -> float | None:
        return self.corrected / self.prevalence if self.prevalence > 0 else None

    def to_json(self) -> dict[str, Any]:
        return {
            "listed": self.listed,
            "asked": self.asked,
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
    read = [case for case in cases if case.statements]
    if not read:
        return Agreement(statement, 0, 0, 0.0, 0.0, prevalence, known=known)
    similarity = np.array([case.similarity for case in read])
    weights = np.exp((similarity - similarity.max()) / _FADES_OVER)
    lists = np.array([statement in case.statements for case in read])
    return Agreement(
        statement, int(lists.sum()), len(read), float(weights[lists].sum() / weights.sum()),
        float(weights.sum() ** 2 / (weights**2).sum()), prevalence, float(similarity.max()), known,
    )  # fmt: skip


def neighbours_say(cases: Sequence[Case], prevalence: Mapping[str, float], count: int | None = None) -> tuple[Agreement, ...]:
    """`neighbour_agreement` for every statement of the vocabulary, the highest corrected share first. ``count``: the library's
    cases."""
    shares = {code: prevalence.get(code, 0.0) for code in CODES}
    said = [neighbour_agreement(cases, c, p, None if count is None else round(p * count)) for c, p in shares.items()]
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


def prevalences(rows: Iterable[CaseRow]) -> dict[str, float]:
    """Code → share of the rows with statements that list it, 0-1; every code of the vocabulary is there."""
    counts, total = dict.fromkeys(CODES, 0), 0
    for row in rows:
        total += bool(row.statements)
        for code in row.statements:
            if code in counts:
                counts[code] += 1
    return {code: n / max(1, total) for code, n in counts.items()}
