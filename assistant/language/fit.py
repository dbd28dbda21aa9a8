"""One training loop for base, projector and adapters: seeded, resumable, the same on CPU and GPU (through accelerate)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from assistant.language.joined import Joined
from assistant.language.prompts import Batch
from encoders.files import keep_state

__all__ = ["FitConfig", "fit"]


@dataclass(frozen=True)
class FitConfig:
    """Steps, peak learning rate (one cosine cycle with warm-up), and how often a checkpoint and a line are written."""

    steps: int
    lr: float
    warmup: int = 50
    weight_decay: float = 0.01
    log_every: int = 50
    save_every: int = 200


def fit(
    model: Joined,
    parameters: Iterable[nn.Parameter],
    next_batch: Callable[[int], tuple[Batch, Tensor | None]],
    config: FitConfig,
    checkpoint: Path | None = None,
) -> list[float]:
    """Trains ``parameters`` on ``next_batch(step)`` and returns the loss of every step.

    The data depend on the step alone, so a killed run goes on from its checkpoint as if nothing had happened.
    """
    from accelerate import Accelerator

    trained = [p for p in parameters if p.requires_grad]
    accelerator = Accelerator(mixed_precision="bf16")
    optimizer = torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.lr, total_steps=config.steps, pct_start=min(0.3, config.warmup / config.steps)
    )
    losses: list[float] = []
    if checkpoint is not None and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        for parameter, saved in zip(trained, state["parameters"], strict=True):
            parameter.data.copy_(saved)
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        losses = list(state["losses"])
    prepared, optimizer = accelerator.prepare(model, optimizer)
    prepared.train()
    began, words = time.monotonic(), 0
    for step in range(len(losses), config.steps):
        batch, tokens = next_batch(step)
        device = accelerator.device
        batch = replace(batch, **{field.name: getattr(batch, field.name).to(device) for field in fields(batch)})
        with accelerator.autocast():
            loss, _ = prepared(batch, None if tokens is None else tokens.to(device))
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        words += int(batch.attention.sum())
        if (step + 1) % config.log_every == 0:
            recent = sum(losses[-config.log_every :]) / config.log_every
            rate = words / (time.monotonic() - began)
            print(f"step {step + 1}/{config.steps} loss {recent:.4f} {rate:.0f} tokens/s", flush=True)
        if checkpoint is not None and ((step + 1) % config.save_every == 0 or step + 1 == config.steps):
            state = {
                "parameters": [p.data for p in trained],
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "losses": losses,
            }
            keep_state(state, checkpoint)
    return losses
