"""Alignment: the projector reads statements, then speaks them to the frozen base, then projector and LoRA learn together.

Tasks are recording → impression and recording + question → answer.

What the model reads of a training recording is out of fold (encoders.outoffold), without the recording and its patient
among the neighbours. Four kinds of prompt, so that it neither ignores nor parrots any one source: ECG tokens only (the
target is what the annotators listed), evidence only, tokens with evidence, and both with cases (the target follows the evidence).
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assistant import corpus
from assistant.evidence import PRESENT, Evidence
from assistant.language.base import sorted_batches
from assistant.language.fit import FitConfig, fit
from assistant.language.joined import add_lora, base_identity, join, save_joined
from assistant.language.projector import Projector
from assistant.language.prompts import Batch, collate, encode_prompt, encode_target
from assistant.language.reading import train_reading

__all__ = ["AlignConfig", "AlignmentSet", "align"]


@dataclass(frozen=True, eq=False)
class AlignmentSet:
    """Per training recording: its evidence out of fold, the same with the annotators' statements as findings, its tokens."""

    evidence: Sequence[Evidence]
    truth: Sequence[Evidence]
    tokens: NDArray[np.float16]

    def labels(self) -> NDArray[np.uint8]:
        """The annotators' statements, uint8 (n, 71)."""
        return np.array([[f.state == PRESENT for f in one.findings] for one in self.truth], np.uint8)


@dataclass(frozen=True)
class AlignConfig:
    """Three steps. ``modes``: share of each kind of prompt; ``reports``, ``comparisons``: share of these among the tasks."""

    reading_epochs: int = 10
    projector_steps: int = 60
    lora_steps: int = 700
    projector_lr: float = 2e-3
    lora_lr: float = 1e-3
    batch: int = 48
    reports: float = 0.3
    comparisons: float = 0.05
    seed: int = 0
    modes: tuple[tuple[str, float], ...] = (("tokens", 0.5), ("evidence", 0.1), ("both", 0.15), ("both+cases", 0.25))


def _example(data: AlignmentSet, config: AlignConfig, rng: random.Random) -> tuple[corpus.Example, tuple[int, ...]]:
    """One task and the rows of the recordings in its prompt."""
    row = rng.randrange(len(data.evidence))
    mode = rng.choices([m for m, _ in config.modes], [w for _, w in config.modes])[0]
    source = data.truth if mode == "tokens" else data.evidence
    task = rng.random()
    if task < config.reports:
        return corpus.example(source[row], None, mode, rng), (row,)
    if task < config.reports + config.comparisons:
        later = rng.randrange(len(data.evidence))
        return corpus.example(source[row], corpus.comparison(rng), mode, rng, source[later]), (row, later)
    kinds = corpus.READ_KINDS if mode == "tokens" else None
    return corpus.example(source[row], corpus.questions(source[row], rng, 1, kinds=kinds)[0], mode, rng), (row,)


def _strengths(projector: Projector, tokens: NDArray[np.float16]) -> NDArray[np.float32]:
    """How strongly every statement shows in every recording, (n, 71); what is read stays as it is from here on."""
    for part in (projector.norm, projector.inner, projector.outer):
        part.requires_grad_(False)
    with torch.no_grad():
        parts = np.array_split(tokens, 1 + len(tokens) // 1024)
        rows = [projector.strengths(torch.from_numpy(part.astype(np.float32))) for part in parts]
    return torch.cat(rows).numpy()


def align(
    data: AlignmentSet, base: str | Path, out: Path, encoder_hash: str, config: AlignConfig, *, base_name: str | None = None
) -> dict[str, Any]:
    """Trains projector and adapters for ``base`` (a name or a folder) and saves them to ``out``; returns the summary.

    ``base_name`` is what the manifest calls the base ("base" for the folder beside it); by default ``base`` itself.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(config.seed)
    tokenizer = AutoTokenizer.from_pretrained(str(base))
    model = join(AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32), tokenizer)
    out.mkdir(parents=True, exist_ok=True)
    group = 8
    for parameter in model.base.parameters():
        parameter.requires_grad_(False)
    reading = train_reading(model.projector, data.tokens, data.labels(), epochs=config.reading_epochs, seed=config.seed)
    strengths = _strengths(model.projector, data.tokens)

    def batches(stage: str) -> Any:
        pool: dict[int, list[list[Any]]] = {}

        def next_batch(step: int) -> tuple[Batch, Tensor | None]:
            chunk, place = divmod(step, group)
            if chunk not in pool:
                rng = random.Random(f"{config.seed}-{stage}-{chunk}")
                rows = []
                for _ in range(config.batch * group):
                    example, recordings = _example(data, config, rng)
                    made = encode_prompt(tokenizer, example.prompt, [strengths[recording] for recording in recordings])
                    rows.append((made, encode_target(tokenizer, example.target), recordings))
                pool.clear()
                pool[chunk] = sorted_batches(rows, config.batch, lambda r: len(r[0].ids) + len(r[1]), rng)
            chosen = pool[chunk][place]
            batch = collate([r[:2] for r in chosen], tokenizer.pad_token_id)
            with_slots = [recording for r in chosen if r[0].recordings for recording in r[2]]
            tokens = torch.from_numpy(data.tokens[with_slots].astype(np.float32)) if with_slots else None
            return batch, tokens

        return next_batch

    first = fit(
        model, model.projector.parameters(), batches("projector"),
        FitConfig(config.projector_steps, config.projector_lr), out / "projector.ckpt",
    )  # fmt: skip
    add_lora(model)
    second = fit(
        model, model.parameters(), batches("lora"), FitConfig(config.lora_steps, config.lora_lr), out / "lora.ckpt"
    )  # fmt: skip
    summary = {
        "reading_loss": reading[-1],
        "projector_loss": float(np.mean(first[-20:])),
        "lora_loss": float(np.mean(second[-20:])),
        "first_loss": float(np.mean(first[:5])),
        "config": {k: v for k, v in config.__dict__.items() if k != "modes"} | {"modes": dict(config.modes)},
        "recordings": len(data.evidence),
    }
    digest = base_identity(Path(base)) if Path(base).exists() else "named"
    named = base_name or str(base)
    save_joined(model, out, base=named, base_sha256=digest, encoder_hash=encoder_hash, card={"training": summary})
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary
