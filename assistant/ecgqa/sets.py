"""Which statements stand together: the probability of whole sets of statements, not of each by itself.

Annotators write sets (sinus rhythm with left anterior fascicular block), and exact match asks for the whole set. A set's
probability is the product of its statements' probabilities, as if independent, times how much more often the set was written in
folds 1-7 than independence would have it, to a power fitted on fold 8. Only sets that were written are candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.vocabulary import CODES

__all__ = ["Likely", "SetTable"]


@dataclass(frozen=True, eq=False)
class Likely:
    """The likeliest sets of one recording: ``sets`` frozensets of codes, ``p`` float64 (n,) summing to 1."""

    sets: tuple[frozenset[str], ...]
    p: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SetTable:
    """Sets that annotators wrote: ``members`` bool (n, 71), ``counts`` float64 (n,)."""

    members: NDArray[np.bool_]
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, written: Sequence[frozenset[str]], least: int = 2) -> SetTable:
        """The table of sets written at least ``least`` times, and of every single statement."""
        counts: dict[frozenset[str], int] = {}
        for one in written:
            counts[one] = counts.get(one, 0) + 1
        kept = {one: n for one, n in counts.items() if n >= least}
        for code in CODES:
            kept.setdefault(frozenset({code}), 1)
        ordered = sorted(kept, key=lambda one: (-kept[one], sorted(one)))
        members = np.array([[code in one for code in CODES] for one in ordered])
        return cls(members, np.array([float(kept[one]) for one in ordered]))

    @classmethod
    def unpacked(cls, packed: NDArray[np.uint8], counts: NDArray[np.floating]) -> SetTable:
        """From what ``packed`` gives."""
        return cls(np.unpackbits(packed, axis=1)[:, : len(CODES)].astype(bool), np.asarray(counts, np.float64))

    def packed(self) -> NDArray[np.uint8]:
        """Members as bits, uint8 (n, 9)."""
        return np.packbits(self.members, axis=1)

    def likely(self, p: NDArray[np.float64], prior: NDArray[np.float64], lift: float, most: int) -> Likely:
        """The ``most`` likeliest sets given the statements' probabilities ``p`` (71,) and their shares ``prior`` (71,)."""
        p, prior = np.clip(p, 1e-5, 1 - 1e-5), np.clip(prior, 1e-4, 1 - 1e-4)
        alone = self.members @ np.log(p / (1 - p))
        usual = self.members @ np.log(prior / (1 - prior)) + np.log(1 - prior).sum()
        together = np.log(self.counts / self.counts.sum()) - usual
        score = alone + lift * together
        best = np.argsort(-score)[:most]
        weight = np.exp(score[best] - score[best[0]])
        sets = tuple(frozenset(CODES[c] for c in np.flatnonzero(self.members[row])) for row in best)
        return Likely(sets, weight / weight.sum())
