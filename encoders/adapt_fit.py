"""Fitting a head: penalised logistic or ridge regression on frozen embeddings, folds by patient, curves and intervals.

Every label is fitted on its own, on the rows where it is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from encoders.adapt_scores import COVERAGE

__all__ = [
    "FOLDS", "Linear", "calibrated", "cross_calibrated", "curve", "fit_linear", "half_width", "out_of_fold", "patient_folds",
]  # fmt: skip

FOLDS = 5
#: Penalties that are tried, on features of about unit variance and the sum (not the mean) of the loss; strongest first, so that
#: each fit starts from its stronger neighbour. (Taking the strongest within half or one standard error of the best, tried on
#: PTB-XL at 50 to 500 labels, was better for some questions and worse for others.)
STRENGTHS = (10000.0, 3000.0, 1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)
#: A feature that hardly varies in few recordings may vary in others; divided by its own tiny spread it would then throw any
#: score off. So none is divided by less than this share of the features' root mean square spread.
_LEAST_SCALE = 0.3
#: Pull of the curve towards "as is", in cases; with fifty labels slope and offset would else be noise.
_PRIOR_CASES = 8.0

_Rows = NDArray[np.int64]
_Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Linear:
    """Scores = embedding · weights + bias: weights float64 (labels, D), bias (labels,); ``strengths`` chosen per label.

    Scores are logits, or for regression values in the label's own unit.
    """

    weights: _Values
    bias: _Values
    strengths: tuple[float, ...] = ()

    def scores(self, features: NDArray[np.floating]) -> _Values:
        """(n, D) → (n, labels)."""
        return np.asarray(features.astype(np.float64) @ self.weights.T + self.bias)


def patient_folds(patients: _Rows, values: _Values, folds: int = FOLDS, seed: int = 0) -> _Rows:
    """Fold 0 … folds-1 of each recording, int (n,): patients never cross, and labels are spread evenly over the folds.

    Patients are sorted by the mean of their values (rarest label first) and dealt out in random order, ``folds`` at a time.
    """
    unique, inverse = np.unique(patients, return_inverse=True)
    columns = np.where(np.isnan(values), 0.0, values)
    counts = np.bincount(inverse)
    means = np.stack([np.bincount(inverse, weights=column) / counts for column in columns.T], axis=1)
    rng = np.random.default_rng(seed)
    rare_first = np.argsort(means.mean(axis=0))
    order = np.lexsort((rng.random(len(unique)), *(means[:, c] for c in rare_first[::-1])))
    dealt = np.empty(len(unique), np.int64)
    for start in range(0, len(unique), folds):
        block = order[start : start + folds]
        dealt[block] = rng.permutation(folds)[: len(block)]
    return np.asarray(dealt[inverse])


def _logistic(x: _Values, y: _Values, strength: float, start: _Values) -> _Values:
    """Newton's method on log-loss + strength/2·|w|², the constant last and not penalised."""
    penalty = np.full(x.shape[1], strength)
    penalty[-1] = 1e-6
    w = start

    def loss(at: _Values) -> float:
        z = x @ at
        return float(np.sum(np.logaddexp(0, z) - y * z) + 0.5 * np.sum(penalty * at * at))

    now = loss(w)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -500, 500)))
        gradient = x.T @ (p - y) + penalty * w
        hessian = (x * np.maximum(p * (1 - p), 1e-9)[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (then := loss(w - size * step)) > now and size > 1e-4:
            size /= 2
        if now - then <= 1e-6 * abs(now):
            break
        w, now = w - size * step, then
    return w


def _path(x: _Values, y: _Values, *, binary: bool, strengths: tuple[float, ...]) -> list[_Values]:
    """Solutions for falling strengths on features (n, D) with a constant column appended: each (D+1,)."""
    x1 = np.c_[x, np.ones(len(x))]
    out: list[_Values] = []
    if binary:
        w = np.zeros(x1.shape[1])
        for strength in strengths:
            w = _logistic(x1, y, strength, w)
            out.append(w)
        return out
    centre, mean = x.mean(axis=0), float(y.mean())
    values, vectors = np.linalg.eigh((x - centre).T @ (x - centre))
    inner = vectors.T @ ((x - centre).T @ (y - mean))
    for strength in strengths:
        w = vectors @ (inner / (np.maximum(values, 0) + strength))
        out.append(np.r_[w, mean - float(centre @ w)])
    return out


def _loss(z: _Values, y: _Values, *, binary: bool) -> float:
    return float(np.mean(np.logaddexp(0, z) - y * z)) if binary else float(np.mean((z - y) ** 2))


def fit_linear(features: NDArray[np.floating], values: _Values, patients: _Rows, *, binary: bool, seed: int = 0) -> Linear:
    """A head per label, its strength chosen by inner cross-validation between patients (log-loss, or squared error).

    ``features`` (n, D); ``values`` (n, labels), NaN where not known.
    """
    weights, bias, chosen = [], [], []
    for column in values.T:
        rows = np.flatnonzero(~np.isnan(column))
        x, y, who = features[rows].astype(np.float64), column[rows], patients[rows]
        mean, spread = x.mean(axis=0), x.std(axis=0)
        scale = np.maximum(spread, max(1e-9, _LEAST_SCALE * float(np.sqrt(np.mean(spread**2)))))
        x = (x - mean) / scale
        inner = patient_folds(who, y[:, None], FOLDS, seed + 1)
        losses = np.zeros(len(STRENGTHS))
        for fold in range(FOLDS):
            inside, outside = inner == fold, inner != fold
            if inside.any() and outside.any():
                for i, w in enumerate(_path(x[outside], y[outside], binary=binary, strengths=STRENGTHS)):
                    losses[i] += inside.sum() * _loss(x[inside] @ w[:-1] + w[-1], y[inside], binary=binary)
        best = int(np.argmin(losses))
        w = _path(x, y, binary=binary, strengths=STRENGTHS[: best + 1])[-1]
        weights.append(w[:-1] / scale)
        bias.append(w[-1] - float(np.sum(w[:-1] * mean / scale)))
        chosen.append(STRENGTHS[best])
    return Linear(np.stack(weights), np.array(bias), tuple(chosen))


def out_of_fold(fit: Callable[[_Rows], Callable[[_Rows], _Values]], folds: _Rows, labels: int) -> _Values:
    """Scores (n, labels) of every recording from a model that did not see its patient.

    ``fit`` takes the rows to learn from and gives back what scores other rows.
    """
    out = np.zeros((len(folds), labels))
    for fold in np.unique(folds):
        unseen = np.flatnonzero(folds == fold)
        out[unseen] = fit(np.flatnonzero(folds != fold))(unseen)
    return out


# From scores to what may be said --------------------------------------------------------------------------------------


def curve(z: _Values, y: _Values) -> tuple[float, float]:
    """Platt's curve p = sigmoid(a·z + b) on scores of unseen patients, shrunk towards a = 1, b = 0 like the encoder's own."""

    def loss(at: _Values) -> tuple[float, _Values]:
        a, b = at
        s = a * z + b
        p = 1 / (1 + np.exp(-np.clip(s, -500, 500)))
        value = float(np.sum(np.logaddexp(0, s) - y * s)) + _PRIOR_CASES * (8 * (a - 1) ** 2 + 0.5 * b**2)
        return value, np.array([np.sum((p - y) * z) + 16 * _PRIOR_CASES * (a - 1), np.sum(p - y) + _PRIOR_CASES * b])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.05, 5.0), (-15.0, 15.0)])
    return float(found.x[0]), float(found.x[1])


def calibrated(z: _Values, slope: float | _Values, offset: float | _Values) -> _Values:
    """Probabilities of scores."""
    return np.asarray(1 / (1 + np.exp(-np.clip(slope * z + offset, -500, 500))))


def half_width(residuals: _Values) -> float:
    """Half of the interval that holds COVERAGE of new values: the split-conformal quantile of |residual| (n,) of unseen patients.

    The ⌈(n+1)·COVERAGE⌉-th smallest (Vovk et al. 2005; Lei et al. 2018, doi:10.1080/01621459.2017.1307116). The
    guarantee is for exchangeable recordings; here the residuals come from cross-validation, so it holds about, not exactly.
    """
    ordered = np.sort(np.abs(residuals))
    return float(ordered[min(len(ordered), int(np.ceil((len(ordered) + 1) * COVERAGE))) - 1])


def cross_calibrated(z: _Values, y: _Values, folds: _Rows, *, binary: bool) -> _Values:
    """Probabilities (n,) or half widths (n,) in which each fold takes its curve or width from the others."""
    out = np.zeros(len(z))
    for fold in np.unique(folds):
        inside, others = folds == fold, folds != fold
        if binary:
            out[inside] = calibrated(z[inside], *curve(z[others], y[others]))
        else:
            out[inside] = half_width((y - z)[others])
    return out
