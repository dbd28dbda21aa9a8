"""Which values stand together: the probability of whole sets of values, not of each by itself.

Annotators write sets (sinus rhythm with left anterior fascicular block), and exact match asks for the whole set. The sets written
in folds 1-7 are the candidates. One hidden layer gives each value a score; a set's is the sum of its members' and a bias of its
own, and a softmax over all candidates is trained on the set that was written. So what stands together need not be derived from
what stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assistant.ecgqa.truth import Truth
from assistant.ecgqa.values import EXTRAS, FAMILIES, FEATURES, NAME_OF, NOISES, STAGE_UNKNOWN, STAGES
from encoders.vocabulary import CODES

__all__ = ["BASE", "FIELDS", "SCORES", "Likely", "SetTable", "names_of", "rows_of", "written"]

#: What sets are made of, by what a question asks; "diagnostic, sure" leaves uncertain statements out.
FIELDS: dict[str, tuple[str, ...]] = {
    **{family: tuple(NAME_OF[code] for code in codes) for family, codes in FAMILIES.items()},
    "diagnostic, sure": tuple(NAME_OF[code] for code in FAMILIES["diagnostic"]),
    "noise": NOISES,
    "stage_of_infarction": (*STAGES, STAGE_UNKNOWN),
    "extra_systole": EXTRAS,
    "numeric_feature": FEATURES,
}
#: Where each field's scores lie among all of them.
SCORES: dict[str, slice] = {}
_at = 0
for _field, _names in FIELDS.items():
    SCORES[_field] = slice(_at, _at + len(_names))
    _at += len(_names)
_COLUMN = {NAME_OF[code]: i for i, code in enumerate(CODES) if code in NAME_OF}
#: Per score the statement (0-70) whose log-odds it starts from, -1 for none.
BASE: NDArray[np.int64] = np.array([_COLUMN.get(name, -1) for names in FIELDS.values() for name in names])

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Likely:
    """The likeliest sets of one recording: ``sets`` bool (n, values), ``p`` float64 (n,) summing to 1."""

    sets: NDArray[np.bool_]
    p: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SetTable:
    """The candidates of one field: ``members`` bool (n, values) and ``bias`` float32 (n,) of each set."""

    members: NDArray[np.bool_]
    bias: Floats

    def log_p(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Log-probability of every candidate, float64 (n,), from the values' scores (values,)."""
        z = self.members @ np.asarray(scores, np.float64) + self.bias
        z = z - z.max()
        return np.asarray(z - np.log(np.exp(z).sum()))

    def likely(self, scores: NDArray[np.floating], most: int) -> Likely:
        """The ``most`` likeliest sets."""
        log_p = self.log_p(scores)
        best = np.argsort(-log_p, kind="stable")[:most]
        p = np.exp(log_p[best])
        return Likely(self.members[best], p / p.sum())


def names_of(truth: Truth, field: str) -> frozenset[str] | None:
    """The set of values that the labels give a recording; None where they do not tell all of them."""
    if field == "numeric_feature":
        return frozenset(f for f in FEATURES if truth.abnormal[f]) if len(truth.abnormal) == len(FEATURES) else None
    if field == "noise":
        return frozenset(truth.noise)
    if field == "stage_of_infarction":
        return frozenset(truth.stages)
    if field == "extra_systole":
        return frozenset(truth.extras)
    listed = truth.sure if field == "diagnostic, sure" else truth.listed
    return frozenset(NAME_OF[code] for code in listed if code in NAME_OF) & frozenset(FIELDS[field])


def written(truths: Sequence[Truth], field: str, least: int = 2) -> NDArray[np.bool_]:
    """The sets written at least ``least`` times, the empty one and every single value, bool (n, values), commonest first."""
    counts: dict[frozenset[str], int] = {}
    for truth in truths:
        one = names_of(truth, field)
        if one is not None:
            counts[one] = counts.get(one, 0) + 1
    names = FIELDS[field]
    kept = {one: n for one, n in counts.items() if n >= least}
    for single in (frozenset[str](), *(frozenset({name}) for name in names)):
        kept.setdefault(single, counts.get(single, 0))
    ordered = sorted(kept, key=lambda one: (-kept[one], sorted(one)))
    return np.array([[name in one for name in names] for one in ordered])


def rows_of(truths: Sequence[Truth], field: str, members: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Row of ``members`` that each recording's set is, -1 where it is none of them or unknown."""
    row = {frozenset(np.asarray(FIELDS[field], object)[one]): i for i, one in enumerate(members)}
    return np.array([row.get(names, -1) if (names := names_of(t, field)) is not None else -1 for t in truths])


