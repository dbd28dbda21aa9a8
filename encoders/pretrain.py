"""Pretraining without labels: masked leads and time, and contrast between views, plain or weighted by clinical distance.

Two crops of one patient (of one recording, or of two recordings where the patient has several) are a positive pair; every
other pair of the batch is a negative one. In the guided variant a negative pair weighs the more the further apart the two
patients are clinically, after the idea of CLEF (clinically guided contrastive learning for ECG, 2025): people alike in age,
sex, build and electrical axis are not pushed apart as hard as people who differ. Distances are Gower's (1971), so a value
missing on either side leaves that attribute out of that pair, and a pair with nothing to compare has weight 1.

Labels are never read here. The reconstruction half asks the tokens for what was masked in every lead.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.files import load_state, save_state
from encoders.network import POSITIONS, TOKEN_DIM, WINDOW, EncoderConfig, EncoderNetwork, Tower
from encoders.ptbxl import PtbXl
from encoders.train import random_windows

__all__ = ["PretrainConfig", "clinical_distance", "pair_weights", "pretrain"]

#: Attributes of PTB-XL's table that are compared, with the difference at which two patients count as wholly unlike.
_SCALES = {"age": 40.0, "height": 30.0, "weight": 40.0}
_AXES = {"LAD": -1.0, "ALAD": -2.0, "MID": 0.0, "RAD": 1.0, "ARAD": 2.0, "AXR": 1.0, "AXL": -1.0}
#: The smallest weight of a negative pair, so that even like patients are told apart.
_FLOOR = 0.2
_TEMPERATURE = 0.1


@dataclass(frozen=True)
class PretrainConfig:
    """One dial per choice; ``guided`` weighs negative pairs by clinical distance."""

    folds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    guided: bool = False
    epochs: int = 10
    batch: int = 256
    lr: float = 3e-3
    masked_share: float = 0.4
    reconstruction: float = 1.0
    seed: int = 0


def clinical_distance(table: pd.DataFrame) -> NDArray[np.float32]:
    """One row per recording: age, sex, height, weight, electrical axis, each on a scale where 1 is wholly unlike; NaN unknown.

    ``table`` is PTB-XL's (ages of 300 stand for 90 or older and are read as 90).
    """
    columns = []
    for name, scale in _SCALES.items():
        values = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)
        if name == "age":
            values = np.where(values > 120, 90.0, values)
        columns.append(values / scale)
    columns.append(pd.to_numeric(table["sex"], errors="coerce").to_numpy(dtype=np.float64))
    columns.append(table["heart_axis"].map(_AXES).to_numpy(dtype=np.float64) / 2)
    return np.stack(columns, axis=1).astype(np.float32)


def pair_weights(features_BF: Tensor) -> Tensor:
    """Weights (B, B) of negative pairs from ``clinical_distance`` rows: mean 1 per row off the diagonal, NaN pairs left out.

    Gower distance: the mean over the attributes known on both sides of min(1, difference).
    """
    apart = (features_BF[:, None] - features_BF[None]).abs().clamp(max=1.0)
    known = ~apart.isnan()
    distance = torch.where(known, apart, torch.zeros_like(apart)).sum(-1) / known.sum(-1).clamp(min=1)
    weight = torch.where(known.any(-1), _FLOOR + (1 - _FLOOR) * distance, torch.full_like(distance, float("nan")))
    weight = weight.masked_fill(torch.eye(len(weight), dtype=torch.bool), float("nan"))
    weight = weight / weight.nanmean(dim=1, keepdim=True)
    return weight.nan_to_num(1.0)


def _contrast(a_BD: Tensor, b_BD: Tensor, patients: Tensor, weights: Tensor | None) -> Tensor:
    """InfoNCE in both directions; pairs of one patient are no negatives."""
    a_BD, b_BD = nn.functional.normalize(a_BD, dim=-1), nn.functional.normalize(b_BD, dim=-1)
    same = (patients[:, None] == patients[None]) & ~torch.eye(len(a_BD), dtype=torch.bool)
    logits = a_BD @ b_BD.T / _TEMPERATURE
    if weights is not None:
        logits = logits + weights.log().fill_diagonal_(0.0)
    logits = logits.masked_fill(same, float("-inf"))
    target = torch.arange(len(a_BD))
    return (nn.functional.cross_entropy(logits, target) + nn.functional.cross_entropy(logits.T, target)) / 2


def _mask(shape: tuple[int, int, int], share: float, rng: np.random.Generator) -> Tensor:
    """True where the input is hidden: blocks of one token's length over all leads, and whole leads."""
    batch, leads, samples = shape
    blocks = rng.random((batch, 1, POSITIONS)) < share / 2
    time_mask = np.repeat(blocks, -(-samples // POSITIONS), axis=2)[:, :, :samples]
    return torch.from_numpy(time_mask | (rng.random((batch, leads, 1)) < share))


def _partners(patients: NDArray[np.int64], rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """For every row another recording of the same patient where there is one, else the row itself."""
    order = rows[np.argsort(patients[rows], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(patients[order])) + 1)
    partner = np.arange(len(patients))
    for group in groups:
        if len(group) > 1:
            partner[group] = np.roll(group, int(rng.integers(1, len(group))))
    return partner


def pretrain(data: PtbXl, out: Path, config: PretrainConfig, shape: EncoderConfig, cache: Path | None = None) -> EncoderNetwork:
    """Pretrains a network of one tower; resumable from ``out`` (a working file). Returns it in eval mode, its head untrained.

    ``shape`` must name one tower. Raises ValueError otherwise.
    """
    if len(shape.complete_only) != 1:
        raise ValueError(f"Pretraining takes one tower; {len(shape.complete_only)} were named.")
    out.mkdir(parents=True, exist_ok=True)
    signals = torch.from_numpy(np.array(data.signals(cache)))
    rows = np.flatnonzero(np.isin(data.folds, config.folds))
    torch.manual_seed(config.seed)
    network = EncoderNetwork(shape)
    network.fit_lead_scale(signals, rows)
    samples = -(-WINDOW // POSITIONS)
    heads = nn.ModuleDict({
        "project": nn.Sequential(nn.Linear(2 * TOKEN_DIM, 256), nn.ReLU(), nn.Linear(256, 128)),
        "restore": nn.Conv1d(TOKEN_DIM, samples * signals.shape[1], 1),
    })  # fmt: skip
    tower = cast(Tower, network.towers[0])
    both = nn.ModuleList([tower, heads])
    features = torch.from_numpy(clinical_distance(data.table))
    patients = torch.from_numpy(data.patients)
    optimizer = torch.optim.AdamW(both.parameters(), lr=config.lr, weight_decay=0.02)
    steps = len(rows) // config.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=config.epochs * steps, pct_start=0.2)
    file = out / "pretrain.ckpt"
    kept = {"both": both, "optimizer": optimizer, "schedule": schedule}
    for epoch in range(load_state(file, kept), config.epochs):
        network.train()
        rng = np.random.default_rng([config.seed, epoch])
        torch.manual_seed(config.seed * 1009 + epoch)
        order, partner = rng.permutation(rows), _partners(data.patients, rows, rng)
        sums, began = np.zeros(2), time.monotonic()
        for step in range(steps):
            here = order[step * config.batch : (step + 1) * config.batch]
            views = torch.cat([random_windows(signals, some, rng, 0.7, 1.4) for some in (here, partner[here])])
            views = views / network.lead_scale_mv[:, None]
            hidden = _mask((len(views), views.shape[1], WINDOW), config.masked_share, rng)
            with torch.autocast("cpu", torch.bfloat16):
                tokens, pooled = tower.pooled(views.masked_fill(hidden, 0.0))
                one, two = heads["project"](pooled).float().chunk(2)
                restored = heads["restore"](tokens).float()
            weights = pair_weights(features[torch.from_numpy(here)]) if config.guided else None
            contrast = _contrast(one, two, patients[torch.from_numpy(here)], weights)
            restored = restored.unflatten(1, (views.shape[1], samples)).transpose(2, 3).flatten(2)[..., :WINDOW]
            # Limited, so that a few large beats or artefacts do not own the loss.
            error = nn.functional.smooth_l1_loss(restored, views, reduction="none")
            restore = (error * hidden).sum() / hidden.expand_as(error).sum()
            loss = contrast + config.reconstruction * restore
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(both.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            sums += [float(contrast.detach()), float(restore.detach())]
        took = time.monotonic() - began
        means = f"contrast {sums[0] / steps:.3f} restore {sums[1] / steps:.4f}"
        print(f"epoch {epoch + 1}/{config.epochs} {means} {took:.0f} s", flush=True)
        save_state(file, epoch + 1, kept)
    return network.eval()
