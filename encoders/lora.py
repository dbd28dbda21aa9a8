"""Low-rank adapters (LoRA; Hu et al. 2021, arXiv:2106.09685) in an encoder's convolutions and linear layers.

A layer's weight W, written as a matrix (outputs, all the rest), becomes W + B·A with A (rank, rest) and B (outputs, rank). This
is a parametrisation of the weight alone, so it fits any network made of Conv1d and Linear, grouped ones included, and
merging it is one addition.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize
from tqdm import tqdm

from encoders.adapt_fit import Linear, fit_linear, patient_folds
from encoders.errors import ArtefactError

if TYPE_CHECKING:
    from encoders.network import EncoderNetwork

__all__ = ["Adapters", "LoraConfig", "LoraFit", "embeddings_of", "fit_lora", "merged"]

#: Matrices by the name of the layer they change: (A float32 (rank, rest), B float32 (outputs, rank)).
Adapters = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class LoraConfig:
    """One dial per choice. ``crop``: samples at 100 Hz that a training step reads; 2.5 s is the least any encoder here takes."""

    rank: int = 4
    epochs: int = 10
    patience: int = 2
    batch: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.01
    crop: int = 250
    seed: int = 0


@dataclass(frozen=True, eq=False)
class LoraFit:
    """Adapters, the head on the adapted embedding, and after how many epochs it was best (0: adapters did not help)."""

    adapters: Adapters
    head: Linear
    epochs: int


class _LowRank(nn.Module):
    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        outputs, rest = weight.shape[0], weight[0].numel()
        rank = min(rank, outputs, rest)
        self.a = nn.Parameter(torch.randn(rank, rest, generator=generator).to(weight.device) / rest**0.5)
        self.b = nn.Parameter(torch.zeros(outputs, rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.b @ self.a).view_as(weight)


def _adapted(network: EncoderNetwork, rank: int, seed: int) -> tuple[EncoderNetwork, dict[str, _LowRank]]:
    """A frozen copy with an adapter in every Conv1d and Linear."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    layers = {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv1d | nn.Linear)}
    adapters = {name: _LowRank(layer.weight, rank, generator) for name, layer in layers.items()}
    for name, layer in layers.items():
        parametrize.register_parametrization(layer, "weight", adapters[name], unsafe=True)
    return network, adapters


def merged(network: EncoderNetwork, adapters: Adapters) -> EncoderNetwork:
    """A copy of the network with the adapters added to its weights. Raises ArtefactError where they do not fit it."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    layers = dict(network.named_modules())
    for name, (a, b) in adapters.items():
        weight = getattr(layers.get(name), "weight", None)
        if not isinstance(weight, Tensor) or len(b) != weight.shape[0] or a.shape[1] != weight[0].numel():
            raise ArtefactError(f"The head's adapter for {name} fits no layer of this encoder; train the head again.")
        weight.data += torch.from_numpy(b @ a).view_as(weight).to(weight)
    return network


def embeddings_of(network: EncoderNetwork, signals: NDArray[np.float16], batch: int = 64) -> NDArray[np.float32]:
    """Embeddings (n, 256) of prepared signals (n, 12, 1000)."""
    device = next(network.parameters()).device
    out = []
    with torch.inference_mode():
        for start in range(0, len(signals), batch):
            x = torch.from_numpy(signals[start : start + batch].astype(np.float32)).to(device)
            out.append(network.encode(x)[1].float().cpu().numpy())
    return np.concatenate(out)


def _loss(scores: Tensor, target: Tensor, *, binary: bool) -> Tensor:
    """Mean over known cells; regression targets come standardised."""
    known = ~torch.isnan(target)
    if binary:
        return nn.functional.binary_cross_entropy_with_logits(scores[known], target[known])
    return nn.functional.mse_loss(scores[known], target[known])


def fit_lora(
    network: EncoderNetwork,
    signals: NDArray[np.float16],
    values: NDArray[np.float64],
    patients: NDArray[np.int64],
    features: NDArray[np.float32],
    *,
    binary: bool,
    config: LoraConfig | None = None,
    epochs: int | None = None,
) -> LoraFit:
    """Adapters and head together, from the linear head on, so that nothing is lost where adapters do not help.

    ``signals`` (n, 12, 1000) in mV; ``values`` (n, labels), NaN where not known; ``features`` (n, D): the unadapted embeddings.
    A fifth of the patients tells when to stop; with ``epochs`` all of them train, for so many epochs.
    """
    config = config or LoraConfig()
    adapted, adapters = _adapted(network, config.rank, config.seed)
    device = next(network.parameters()).device
    held = patient_folds(patients, values, 5, config.seed + 2) == 0 if epochs is None else np.zeros(len(values), bool)
    watch, train = np.flatnonzero(held), np.flatnonzero(~held)
    start = fit_linear(features[train], values[train], patients[train], binary=binary, seed=config.seed)
    mean = np.zeros(values.shape[1]) if binary else np.nanmean(values[train], axis=0)
    scale = np.ones(values.shape[1]) if binary else np.maximum(np.nanstd(values[train], axis=0), 1e-9)
    target = torch.from_numpy(((values - mean) / scale).astype(np.float32)).to(device)
    head = nn.Linear(start.weights.shape[1], values.shape[1]).to(device)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(start.weights / scale[:, None]))
        head.bias.copy_(torch.from_numpy((start.bias - mean) / scale))
    matrices = [p for adapter in adapters.values() for p in (adapter.a, adapter.b)]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": config.weight_decay}, {"params": head.parameters(), "weight_decay": 0.0}],
        lr=config.lr,
    )
    rng = np.random.default_rng(config.seed)

    def now() -> tuple[dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]], Linear]:
        # What the embedding does not pass through (the statements' own head) has learned nothing and is not kept.
        kept = {
            name: (m.a.detach().cpu().numpy().copy(), m.b.detach().cpu().numpy().copy())
            for name, m in adapters.items() if bool(m.b.detach().any())
        }  # fmt: skip
        weights = head.weight.detach().cpu().numpy().astype(np.float64) * scale[:, None]
        return kept, Linear(weights, head.bias.detach().cpu().numpy() * scale + mean, start.strengths)

    def watched() -> float:
        with torch.no_grad():
            scores = head(torch.from_numpy(embeddings_of(adapted, signals[watch])).to(device))
            return float(_loss(scores, target[torch.from_numpy(watch).to(device)], binary=binary))

    best, best_loss, best_epoch = now(), watched() if len(watch) else float("inf"), 0
    last = config.epochs if epochs is None else epochs
    for epoch in tqdm(range(1, last + 1), desc="adapting", unit="epoch", disable=None, leave=False):
        order = rng.permutation(train)
        for begin in range(0, len(order), config.batch):
            rows = order[begin : begin + config.batch]
            if np.isnan(values[rows]).all():
                continue
            at = rng.integers(0, signals.shape[-1] - config.crop + 1, len(rows))
            crops = np.stack([signals[r, :, a : a + config.crop] for r, a in zip(rows, at, strict=True)]).astype(np.float32)
            scores = head(adapted.encode(torch.from_numpy(crops).to(device))[1])
            loss = _loss(scores, target[torch.from_numpy(rows).to(device)], binary=binary)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_([*matrices, *head.parameters()], 1.0)
            optimizer.step()
        if not len(watch):
            best, best_epoch = now(), epoch
            continue
        after = watched()
        if after < best_loss:
            best, best_loss, best_epoch = now(), after, epoch
        elif epoch - best_epoch >= config.patience:
            break
    return LoraFit(*best, best_epoch)
