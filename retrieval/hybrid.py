"""A recording and words at once: one order out of two, by weighted sum.

``tests/benchmarks/neighbours.py`` compares it with reciprocal rank fusion (Cormack, Clarke and Büttcher 2009,
doi:10.1145/1571941.1572114) on fold 9; the choice and the weight stand there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["WORDS_WEIGHT", "blended", "reciprocal_ranks"]

#: What a full answer to the words is worth in cosine: from 0.7 upwards nDCG@10 is 0.70 ("like this, but with ..."), by reciprocal
#: ranks 0.17, by words alone 0.51, by the recording alone 0.01.
WORDS_WEIGHT = 0.7
_RANK_CONSTANT = 60.0  # as in the paper


def blended(cosine: NDArray[np.floating], share: NDArray[np.floating], weight: float = WORDS_WEIGHT) -> NDArray[np.float64]:
    """Score of each case, (n,): cosine with the recording, -1..1, plus ``weight`` times the share of the words that it answers,
    0..1."""
    return np.asarray(cosine, np.float64) + weight * np.asarray(share, np.float64)


def reciprocal_ranks(cosine: NDArray[np.floating], share: NDArray[np.floating]) -> NDArray[np.float64]:
    """Score of each case, (n,): 1 / (60 + rank) by cosine and the same by share, added; equal shares have the best of their
    ranks."""
    total = np.zeros(len(cosine))
    for values in (np.asarray(cosine, np.float64), np.round(np.asarray(share, np.float64), 4)):
        rank = len(values) - np.searchsorted(np.sort(values), values, side="right")
        total += 1.0 / (_RANK_CONSTANT + 1 + rank)
    return total
