"""Fitting the scores that join network and measurements (``encoders.fusion``), and how well they do on patients left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from encoders.calibrate import log_odds
from encoders.fusion import BOUND, Columns, Fusion, Rows, ptbxl_rows
from encoders.metrics import SUPERCLASS_COLUMNS, by_superclass, macro_auroc
from encoders.ptbxl import PtbXl
from encoders.table import MeasuredTable

__all__ = ["FEW_LEADS", "HELD_OUT", "SETTINGS", "Settings", "cross_fused", "fit_fusion", "left_out_table", "unseen_scores"]

#: Folds that fits leave out in turn to be scored; the networks that read them had not seen them either.
HELD_OUT = ((6, 7), (2, 4), (1, 5))


@dataclass(frozen=True)
class Settings:
    """How network and measurements are joined; chosen on HELD_OUT.

    Of the linear part: penalties of ``weights`` and ``others``, and its ``share`` β. Of the hidden layer: ``units``, ``dropout``,
    passes over the recordings (``epochs``) and the weight of the ``superclasses`` in what it is trained for. ``cases``: with how
    many of them a statement hears the hidden layer and the linear part alike.
    """

    weights: float = 30.0
    others: float = 30.0
    share: float = 0.7
    units: int = 384
    dropout: float = 0.5
    epochs: int = 40
    superclasses: float = 2.0
    cases: float = 400.0


SETTINGS = Settings()
#: Of fewer leads: three such layers must fit beside the network in what an encoder may weigh (384 units: 0.001 to 0.002 more).
FEW_LEADS = replace(SETTINGS, units=128)
_STEPS = 120
_BATCH, _RATE, _DECAY = 256, 2e-3, 1e-2


def fit_fusion(
    logits: NDArray[np.floating], rows: Rows, labels: NDArray[np.uint8], encoder_hash: str, settings: Settings = SETTINGS
) -> Fusion:
    """A linear part by maximum likelihood with a quadratic penalty, and a hidden layer for statements with many cases.

    ``logits`` (n, 71) of networks that had not seen the recordings, or the weight of the network would be too large; ``rows``
    (n, COLUMNS); ``labels`` (n, 71).
    """
    columns = Columns.of(rows)
    centre, spread = logits.mean(axis=0, dtype=np.float64), logits.std(axis=0, dtype=np.float64) + 1e-6
    z, x = torch.tensor((logits - centre) / spread, dtype=torch.float32), torch.tensor(columns(rows), dtype=torch.float32)
    y = torch.tensor(labels, dtype=torch.float32)
    own, offset, weights, others = _linear(z, x, y, settings)
    deep_own, deep_offset, inner, inner_offset, outer = _deep(z, x, y, settings)
    cases = labels.sum(axis=0, dtype=np.float64)
    deep = cases / (cases + settings.cases)
    return Fusion(
        columns, own=(1 - deep) * own + deep * deep_own, offset=(1 - deep) * offset + deep * deep_offset,
        others=(1 - deep) * others, weights=(1 - deep) * weights, share=settings.share, inner=inner, inner_offset=inner_offset,
        outer=deep * outer, logit_centre=centre, logit_spread=spread, encoder_hash=encoder_hash,
    )  # fmt: skip


def _numpy(*tensors: Tensor) -> tuple[Rows, ...]:
    return tuple(t.detach().numpy().astype(np.float64) for t in tensors)


def _linear(z: Tensor, x: Tensor, y: Tensor, settings: Settings) -> tuple[Rows, ...]:
    """own, offset, weights, others."""
    count = y.shape[1]
    own, offset = torch.ones(count, requires_grad=True), torch.full((count,), -3.0, requires_grad=True)
    weights = torch.zeros(x.shape[1], count, requires_grad=True)
    others = torch.zeros(count, count, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, own, offset, others], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        score = own * z + offset + x @ weights + z @ others
        loss = binary_cross_entropy_with_logits(score, y, reduction="sum")
        loss = (loss + settings.weights * weights.square().sum() + settings.others * others.square().sum()) / len(x)
        loss.backward()
        return loss

    optimizer.step(closure)
    return _numpy(own, offset, weights, others)


def _deep(z: Tensor, x: Tensor, y: Tensor, settings: Settings, seed: int = 0) -> tuple[Rows, ...]:
    """own, offset, inner, inner offset, outer: a hidden layer beside each statement's own logit.

    Trained for the statements and for the superclasses, whose score is the (smooth) highest of their statements', so that
    what speaks for any of them is heard where it is not clear for which.
    """
    generator = torch.Generator().manual_seed(seed)
    read = torch.cat([z, x], dim=1).clamp(-BOUND, BOUND)
    inner, outer = nn.Linear(read.shape[1], settings.units), nn.Linear(settings.units, y.shape[1])
    with torch.no_grad():
        inner.weight.uniform_(-1, 1, generator=generator).div_(read.shape[1] ** 0.5)
        inner.bias.zero_()
        outer.weight.zero_()
        outer.bias.copy_(torch.logit(y.mean(0).clamp(1e-4, 0.9)))
    own, lift = nn.Parameter(torch.ones(y.shape[1])), nn.Parameter(torch.zeros(len(SUPERCLASS_COLUMNS)))
    above = torch.from_numpy(by_superclass(y.numpy()))
    optimizer = torch.optim.AdamW([*inner.parameters(), *outer.parameters(), own, lift], lr=_RATE, weight_decay=_DECAY)
    steps = settings.epochs * -(-len(z) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)

    def dropped(values: Tensor, share: float) -> Tensor:
        kept = torch.rand(values.shape, generator=generator) >= share
        return values * kept / (1 - share)

    for _ in range(settings.epochs):
        for here in torch.randperm(len(z), generator=generator).split(_BATCH):
            hidden = dropped(nn.functional.silu(inner(dropped(read[here], 0.1))), settings.dropout)
            score = own * z[here] + outer(hidden)
            highest = torch.stack([score[:, group].logsumexp(1) for group in SUPERCLASS_COLUMNS], 1) + lift
            loss = binary_cross_entropy_with_logits(score, y[here], reduction="sum")
            loss = loss + settings.superclasses * binary_cross_entropy_with_logits(highest, above[here], reduction="sum")
            optimizer.zero_grad()
            (loss / len(here)).backward()
            optimizer.step()
            schedule.step()
    return _numpy(own, outer.bias, inner.weight.T, inner.bias, outer.weight.T)


def _left_out(
    logits: NDArray[np.floating], rows: Rows, labels: NDArray[np.uint8], away: NDArray[np.bool_], settings: Settings = SETTINGS
) -> NDArray[np.float32]:
    """Scores of the recordings ``away`` by a fit to all others."""
    fusion = fit_fusion(logits[~away], rows[~away], labels[~away], "", settings)
    return fusion.apply(logits[away], rows[away])


def cross_fused(
    logits: NDArray[np.floating], rows: Rows, labels: NDArray[np.uint8], folds: NDArray[np.int64], settings: Settings = SETTINGS
) -> NDArray[np.float32]:
    """Scores (n, 71) in log odds, each fold's by a fit to the folds but itself and one more."""
    out = np.zeros(logits.shape, np.float32)
    numbers = np.unique(folds).tolist()
    for at in range(0, len(numbers), 2):
        away = np.isin(folds, numbers[at : at + 2])
        out[away] = _left_out(logits, rows, labels, away, settings)
    return out


def unseen_scores(
    data: PtbXl, probabilities: NDArray[np.floating], table: MeasuredTable, settings: Settings = SETTINGS
) -> NDArray[np.float32]:
    """``cross_fused`` of a set, from probabilities of networks that had not seen its recordings, and their measurements."""
    return cross_fused(log_odds(probabilities), ptbxl_rows(data, table), data.labels, data.folds, settings)


def left_out_table(
    logits: NDArray[np.floating], rows: Rows, labels: NDArray[np.uint8], folds: NDArray[np.int64],
    held: tuple[tuple[int, ...], ...], settings: Settings = SETTINGS,
) -> list[dict[str, Any]]:  # fmt: skip
    """Macro AUROC of statements and superclasses on each group of folds, of the network alone and of a fit to all other folds."""
    out: list[dict[str, Any]] = []
    for group in held:
        away = np.isin(folds, group)
        fused = _left_out(logits, rows, labels, away, settings)
        y, both = labels[away], {"network": logits[away], "fused": fused}
        above = by_superclass(y)
        out.append({
            "folds": list(group),
            **{name: round(macro_auroc(y, found), 4) for name, found in both.items()},
            **{f"{name}, superclasses": round(macro_auroc(above, by_superclass(found)), 4) for name, found in both.items()},
        })  # fmt: skip
    return out
