"""Scores over statements: AUROC, calibration error, bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from encoders.vocabulary import CODES, SUPERCLASSES, codes_in

__all__ = [
    "SUPERCLASS_COLUMNS", "auroc_per_statement", "best_f1_thresholds", "by_superclass", "calibration_error", "macro_auroc",
    "resampled_patients",
]  # fmt: skip

#: Columns of the statements of each superclass, in the order of SUPERCLASSES.
SUPERCLASS_COLUMNS = tuple([CODES.index(code) for code in codes_in(name)] for name in SUPERCLASSES)


def auroc_per_statement(labels: NDArray[np.uint8], scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Area under the ROC curve of each column by ranks (Mann-Whitney), NaN where a column has one class only."""
    out = np.full(labels.shape[1], np.nan)
    for column in range(labels.shape[1]):
        positive = labels[:, column] > 0
        n1, n0 = int(positive.sum()), int((~positive).sum())
        if n1 and n0:
            ranks = rankdata(scores[:, column])
            out[column] = (ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)
    return out


def macro_auroc(labels: NDArray[np.uint8], scores: NDArray[np.float32]) -> float:
    """Mean AUROC over the statements that have cases and non-cases."""
    return float(np.nanmean(auroc_per_statement(labels, scores)))


def by_superclass(values: NDArray[Any]) -> NDArray[Any]:
    """(n, 71) → (n, 5): a superclass has the labels and the highest score of its statements."""
    return np.stack([values[:, columns].max(axis=1) for columns in SUPERCLASS_COLUMNS], axis=1)


def best_f1_thresholds(labels: NDArray[np.uint8], probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Per column the threshold with the best F1; 0.5 where there is no case."""
    out = np.full(labels.shape[1], 0.5)
    for column in np.flatnonzero(labels.any(axis=0)):
        y = labels[:, column] > 0
        order = np.argsort(-probabilities[:, column], kind="stable")
        f1 = 2 * np.cumsum(y[order]) / (np.arange(1, len(y) + 1) + y.sum())
        out[column] = probabilities[order[int(np.argmax(f1))], column]
    return out


def resampled_patients(patients: NDArray[np.int64], times: int) -> Iterator[NDArray[np.int64]]:
    """``times`` bootstrap samples as rows: as many patients as there are, drawn with replacement, each with all recordings.

    ``patients`` (n,); the draws depend on it and on ``times`` alone.
    """
    unique, inverse = np.unique(patients, return_inverse=True)
    rows_of = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    rng = np.random.default_rng(0)
    for _ in range(times):
        yield np.concatenate([rows_of[i] for i in rng.integers(0, len(unique), len(unique))])


def calibration_error(labels: NDArray[np.uint8], probabilities: NDArray[np.float32], bins: int = 15) -> NDArray[np.float64]:
    """Expected calibration error of each column: equal-width bins, gaps weighted by their share of recordings."""
    out = np.zeros(labels.shape[1])
    for column in range(labels.shape[1]):
        p, y = probabilities[:, column], labels[:, column]
        which = np.minimum((p * bins).astype(int), bins - 1)
        for b in range(bins):
            inside = which == b
            if inside.any():
                out[column] += inside.mean() * abs(p[inside].mean() - y[inside].mean())
    return out
