"""Prompts as token ids with ECG slots, for the bundled base and for any other tokenizer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assistant.corpus import SHOWS
from encoders.network import N_TOKENS
from encoders.vocabulary import CODES, statement

__all__ = ["SLOT", "Batch", "Encoded", "collate", "encode_prompt", "encode_target"]

#: Marks the place of one ECG token in prompt text. Never reaches a tokenizer.
SLOT = "<|ecg|>"
#: Targets that loss skips.
IGNORE = -100
_MARKS = re.compile(f"({re.escape(SLOT)}|{SHOWS.pattern})")


@dataclass(frozen=True)
class Encoded:
    """A prompt's ids, which of them are ECG slots, and where a statement's state stands: (position, recording, statement)."""

    ids: list[int]
    slots: list[bool]
    states: list[tuple[int, int, int]]

    @property
    def recordings(self) -> int:
        return sum(self.slots) // N_TOKENS


@dataclass(frozen=True)
class Batch:
    """Padded ids (B, L), attention (B, L), slot mask (B, L), labels (B, L), -100 where no loss falls, and states (K, 4): row,
    position, recording counted over the batch, statement."""

    ids: Tensor
    attention: Tensor
    slots: Tensor
    labels: Tensor
    states: Tensor


def encode_prompt(tokenizer: Any, prompt: str, strengths: Sequence[NDArray[np.floating]] = ()) -> Encoded:
    """Ids and slots of a prompt; the base's chat template goes around it where it has one.

    ``strengths``: for each recording of the prompt how strongly the 71 statements show, 0-2; where the prompt asks what shows,
    the strongest of the statements it asks for are named in their order. A recording without has nothing named.
    """
    text = prompt
    if getattr(tokenizer, "chat_template", None):
        text = str(
            tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True)
        )
    ids: list[int] = []
    slots: list[bool] = []
    states: list[tuple[int, int, int]] = []

    def say(piece: str) -> None:
        more = tokenizer(piece, add_special_tokens=False)["input_ids"] if piece else []
        ids.extend(more)
        slots.extend([False] * len(more))

    def name(asked: re.Match[str]) -> None:
        recording = sum(slots) // N_TOKENS - 1
        if recording >= len(strengths):
            return
        codes = [CODES.index(code) for code in asked["codes"].split(",")] if asked["codes"] else list(range(len(CODES)))
        most = int(asked["most"])
        # What is asked for stands in the order of the question; of more than there is room for, the strongest.
        shown = codes if len(codes) <= most else sorted(codes, key=lambda c: -float(strengths[recording][c]))[:most]
        for number, code in enumerate(shown):
            say(("; " if number else "") + statement(CODES[code]).name)
            states.append((len(ids), recording, code))
            ids.append(tokenizer.pad_token_id)
            slots.append(False)

    done = 0
    for mark in _MARKS.finditer(text):
        say(text[done : mark.start()])
        done = mark.end()
        if mark.group() == SLOT:
            ids.append(tokenizer.pad_token_id)
            slots.append(True)
        else:
            name(mark)
    say(text[done:])
    return Encoded(ids, slots, states)


def encode_target(tokenizer: Any, target: str) -> list[int]:
    """Ids of what the model is to write, closed by the end token."""
    return [*tokenizer(target, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


def collate(
    rows: Sequence[tuple[Encoded, list[int]]], pad_id: int, *, left: bool = False
) -> Batch:
    """Rows of (prompt, target ids) as one padded batch; ``left`` pads in front, for generation."""
    length = max(len(p.ids) + len(t) for p, t in rows)
    ids = torch.full((len(rows), length), pad_id)
    attention = torch.zeros(len(rows), length, dtype=torch.long)
    slots = torch.zeros(len(rows), length, dtype=torch.bool)
    labels = torch.full((len(rows), length), IGNORE)
    states: list[tuple[int, int, int, int]] = []
    recordings = 0
    for row, (prompt, target) in enumerate(rows):
        n = len(prompt.ids) + len(target)
        start = length - n if left else 0
        ids[row, start : start + n] = torch.tensor(prompt.ids + target)
        attention[row, start : start + n] = 1
        slots[row, start : start + len(prompt.ids)] = torch.tensor(prompt.slots)
        begin = start + len(prompt.ids)
        labels[row, begin : start + n] = ids[row, begin : start + n]
        for position, recording, code in prompt.states:
            states.append((row, start + position, recordings + recording, code))
        recordings += prompt.recordings
    return Batch(ids, attention, slots, labels, torch.tensor(states, dtype=torch.long).reshape(-1, 4))
