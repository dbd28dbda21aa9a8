"""First step of the alignment: projected ECG tokens are drawn to the words of the statements they show.

A small base has learned to find an asked name among the words of its evidence. Where a recording's slots lie close to the
word embeddings of its statements, the same skill reads the recording. Only the projector learns here, so it takes minutes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from assistant.language.joined import Joined
from encoders.vocabulary import STATEMENTS

__all__ = ["statement_words", "train_words"]

_BATCH = 128
#: Sharpness of the agreement between a slot and a name.
_SHARPNESS = 16.0


def statement_words(model: Joined) -> Tensor:
    """Mean word embedding of each statement's name, centred on all names, unit length: (71, width)."""
    table = model.base.get_input_embeddings().weight.detach().float()
    rows = [table[model.tokenizer(" " + s.name, add_special_tokens=False)["input_ids"]].mean(0) for s in STATEMENTS]
    names = torch.stack(rows)
    return nn.functional.normalize(names - names.mean(0), dim=-1)


def train_words(
    model: Joined, tokens: NDArray[np.float16], labels: NDArray[np.uint8], *, epochs: int = 15, lr: float = 3e-3, seed: int = 0
) -> list[float]:
    """Trains the projector so that, for each listed statement, some slot points at its name; returns the loss per epoch.

    ``tokens`` (n, 16, 256), ``labels`` (n, 71). Binary cross-entropy on a soft maximum over slots, with a free offset per
    statement for how common it is.
    """
    torch.manual_seed(seed)
    names_SW = statement_words(model)
    offset = nn.Parameter(torch.full((len(STATEMENTS),), -4.0))
    gain = nn.Parameter(torch.tensor(1.0))
    batch = min(_BATCH, len(tokens))
    parameters: list[Any] = [*model.projector.parameters(), offset, gain]
    steps = epochs * (len(tokens) // batch)
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=max(steps, 1))
    rng, history = np.random.default_rng(seed), []
    model.projector.train()
    for epoch in range(epochs):
        order, losses = rng.permutation(len(tokens)), []
        for start in range(0, len(order) - batch + 1, batch):
            rows = order[start : start + batch]
            slots_BTW = nn.functional.normalize(model.projector(torch.from_numpy(tokens[rows].astype(np.float32))), dim=-1)
            agreement_BTS = _SHARPNESS * slots_BTW @ names_SW.T
            logits_BS = gain * torch.logsumexp(agreement_BTS, dim=1) + offset
            target = torch.from_numpy(labels[rows].astype(np.float32))
            loss = nn.functional.binary_cross_entropy_with_logits(logits_BS, target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        history.append(float(np.mean(losses)))
        print(f"words {epoch + 1}/{epochs} loss {history[-1]:.4f}", flush=True)
    return history
