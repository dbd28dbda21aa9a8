"""Prompts as token ids with ECG slots, for the bundled base and for any other tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["SLOT", "Batch", "collate", "encode_prompt", "encode_target"]

#: Marks the place of one ECG token in prompt text. Never reaches a tokenizer.
SLOT = "<|ecg|>"
#: Targets that loss skips.
IGNORE = -100


@dataclass(frozen=True)
class Batch:
    """Padded ids (B, L), attention (B, L), slot mask (B, L) and labels (B, L), -100 where no loss falls."""

    ids: Tensor
    attention: Tensor
    slots: Tensor
    labels: Tensor


def encode_prompt(tokenizer: Any, prompt: str) -> tuple[list[int], list[bool]]:
    """Ids and slot mask of a prompt; the base's chat template goes around it where it has one."""
    text = prompt
    if getattr(tokenizer, "chat_template", None):
        text = str(
            tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True)
        )
    ids: list[int] = []
    slots: list[bool] = []
    for number, piece in enumerate(text.split(SLOT)):
        if number:
            ids.append(tokenizer.pad_token_id)
            slots.append(True)
        if piece:
            more = tokenizer(piece, add_special_tokens=False)["input_ids"]
            ids += more
            slots += [False] * len(more)
    return ids, slots


def encode_target(tokenizer: Any, target: str) -> list[int]:
    """Ids of what the model is to write, closed by the end token."""
    return [*tokenizer(target, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


def collate(
    rows: Sequence[tuple[list[int], list[bool], list[int]]], pad_id: int, *, left: bool = False, loss_on_prompt: bool = False
) -> Batch:
    """Rows of (prompt ids, slot mask, target ids) as one padded batch; ``left`` pads in front, for generation."""
    length = max(len(p) + len(t) for p, _, t in rows)
    ids = torch.full((len(rows), length), pad_id)
    attention = torch.zeros(len(rows), length, dtype=torch.long)
    slots = torch.zeros(len(rows), length, dtype=torch.bool)
    labels = torch.full((len(rows), length), IGNORE)
    for row, (prompt, mask, target) in enumerate(rows):
        n = len(prompt) + len(target)
        start = length - n if left else 0
        ids[row, start : start + n] = torch.tensor(prompt + target)
        attention[row, start : start + n] = 1
        slots[row, start : start + len(prompt)] = torch.tensor(mask)
        begin = start + (0 if loss_on_prompt else len(prompt))
        labels[row, begin : start + n] = ids[row, begin : start + n]
    labels[slots] = IGNORE
    return Batch(ids, attention, slots, labels)
