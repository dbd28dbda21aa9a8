"""Fitting the scores that join network and measurements (``encoders.fusion``), and how well they do on patients left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.fusion import Columns, Fusion, Rows
from encoders.metrics import macro_auroc

__all__ = ["HELD_OUT", "SETTINGS", "cross_fused", "fit_fusion", "left_out_table"]

#: Folds that fits leave out in turn to be scored; the networks that read them had not seen them either.
HELD_OUT = ((6, 7), (2, 4), (1, 5))
#: Chosen on HELD_OUT; the mean of its three macro AUROCs is 0.914 of the network alone.
SETTINGS = {"weights": 30.0, "others": 30.0, "share": 0.7}
_STEPS = 120


def fit_fusion(
    logits: NDArray[np.floating], rows: Rows, labels: NDArray[np.uint8], encoder_hash: str, settings: dict[str, float]
) -> Fusion:
    """Maximum likelihood with a quadratic penalty on ``others`` and ``weights``.

    ``logits`` (n, 71) of networks that had not seen the recordings, or the weight of the network would be too large; ``rows``
    (n, COLUMNS); ``labels`` (n, 71). ``settings``: penalties "weights" and "others", and "share".
    """
    import torch

    columns = Columns.of(rows)
    centre, spread = logits.mean(axis=0, dtype=np.float64), logits.std(axis=0, dtype=np.float64) + 1e-6
    z = torch.tensor((logits - centre) / spread, dtype=torch.float32)
    x, y = torch.tensor(columns(rows), dtype=torch.float32), torch.tensor(labels, dtype=torch.float32)
    count = labels.shape[1]
    own, offset = torch.ones(count, requires_grad=True), torch.full((count,), -3.0, requires_grad=True)
    weights = torch.zeros(x.shape[1], count, requires_grad=True)
    others = torch.zeros(count, count, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, own, offset, others], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        score = own * z + offset + x @ weights + z @ others
        loss = torch.nn.functional.binary_cross_entropy_with_logits(score, y, reduction="sum")
        loss = (loss + settings["weights"] * weights.square().sum() + settings["others"] * others.square().sum()) / len(x)
        loss.backward()
        return loss

    optimizer.step(closure)
    own_, offset_, weights_, others_ = (t.detach().numpy().astype(np.float64) for t in (own, offset, weights, others))
    return Fusion(columns, own_, offset_, others_, weights_, settings["share"], centre, spread, encoder_hash)


def _left_out(
    logits: NDArray[np.floating], rows: Rows, labels: NDArray[np.uint8], away: NDArray[np.bool_], settings: dict[str, float]
) -> NDArray[np.float32]:
    """Scores of the recordings ``away`` by a fit to all others."""
    fusion = fit_fusion(logits[~away], rows[~away], labels[~away], "", settings)
    return fusion.apply(logits[away], rows[away])


def cross_fused(
    logits: NDArray[np.floating], rows: Rows, labels: NDArray[np.uint8], folds: NDArray[np.int64], settings: dict[str, float]
) -> NDArray[np.float32]:
    """Probabilities (n, 71), each fold's by a fit to the folds but itself and one more."""
    out = np.zeros(logits.shape, np.float32)
    numbers = np.unique(folds).tolist()
    for at in range(0, len(numbers), 2):
        away = np.isin(folds, numbers[at : at + 2])
        out[away] = 1 / (1 + np.exp(-_left_out(logits, rows, labels, away, settings)))
    return out


def left_out_table(
    logits: NDArray[np.floating], rows: Rows, labels: NDArray[np.uint8], folds: NDArray[np.int64],
    held: tuple[tuple[int, ...], ...], settings: dict[str, float],
) -> dict[str, Any]:  # fmt: skip
    """Macro AUROC on each group of folds, of the network alone and of a fit to all other folds."""
    out = []
    for group in held:
        away = np.isin(folds, group)
        fused = _left_out(logits, rows, labels, away, settings)
        alone = macro_auroc(labels[away], logits[away])
        out.append({"folds": list(group), "network": round(alone, 4), "fused": round(macro_auroc(labels[away], fused), 4)})
    return {"left out": out}
