"""First step of the alignment: the projector learns to read statements from tokens, so that it has something to say."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from assistant.language.projector import Projector
from encoders.vocabulary import STATEMENTS

__all__ = ["name_vectors", "train_reading"]

_BATCH = 128


def name_vectors(table_VW: Tensor, tokenizer: Any) -> Tensor:
    """A unit vector per statement from the words of its name, what all names share taken out: (71, width)."""
    rows = [table_VW[tokenizer(" " + s.name, add_special_tokens=False)["input_ids"]].mean(0) for s in STATEMENTS]
    names = torch.stack(rows).detach().float()
    return nn.functional.normalize(names - names.mean(0), dim=-1)


def train_reading(
    projector: Projector, tokens: NDArray[np.float16], labels: NDArray[np.uint8], *, epochs: int = 10, lr: float = 2e-3,
    seed: int = 0,
) -> list[float]:  # fmt: skip
    """Trains what ``Projector.read`` needs by binary cross-entropy on the listed statements; returns the loss per epoch.

    ``tokens`` (n, 16, 256), ``labels`` (n, 71).
    """
    torch.manual_seed(seed)
    batch = min(_BATCH, len(tokens))
    parts = (projector.norm, projector.inner, projector.outer)
    parameters = [p for part in parts for p in part.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=max(epochs * (len(tokens) // batch), 1))
    rng, history = np.random.default_rng(seed), []
    for epoch in range(epochs):
        order, losses = rng.permutation(len(tokens)), []
        for start in range(0, len(order) - batch + 1, batch):
            rows = order[start : start + batch]
            logits = projector.read(torch.from_numpy(tokens[rows].astype(np.float32)), dropout=True)
            loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels[rows].astype(np.float32)))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        history.append(float(np.mean(losses)))
        print(f"reading {epoch + 1}/{epochs} loss {history[-1]:.4f}", flush=True)
    return history
