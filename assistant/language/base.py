"""The bundled base: a small Llama with its own tokenizer, pretrained on text that the project generates."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from assistant import corpus
from assistant.language.fit import FitConfig, fit
from assistant.language.joined import base_identity, join
from assistant.language.prompts import SLOT, Batch, collate, encode_prompt, encode_target

__all__ = ["BATCH", "new_base", "pretrain", "pretraining_rows", "sorted_batches", "train_tokenizer"]

BATCH = 48
VOCABULARY = 3072
END, PAD = "<|end|>", "<|pad|>"


def train_tokenizer(texts: list[str]) -> Any:
    """A byte-level BPE tokenizer over these texts; the corpus's special tokens are single ids."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [PAD, END, *(t for t in corpus.SPECIAL_TOKENS if t not in (PAD, END, SLOT))]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False)


def new_base(vocabulary: int) -> Any:
    """A randomly initialised Llama of about 6 M parameters."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=256, intermediate_size=704, num_hidden_layers=6, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=1024, tie_word_embeddings=True, bos_token_id=None,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def pretraining_rows(rng: random.Random, n: int) -> list[tuple[str, str]]:
    """Prompt and target of n examples made from synthetic facts: no recording, so no ECG slot is filled.

    Loss falls on targets alone; free text (definitions) is all target.
    """
    rows: list[tuple[str, str]] = []
    while len(rows) < n:
        if rng.random() < 0.15:
            rows.append(("", corpus.pretraining_text(rng)))
            continue
        evidence = corpus.random_evidence(rng)
        mode = rng.choice(["evidence", "evidence", "both+cases"])
        questions = [None] if rng.random() < 0.35 else corpus.questions(evidence, rng, 2)
        for question in questions:
            example = corpus.example(evidence, question, mode, rng)
            rows.append((example.prompt.replace(SLOT, ""), example.target))
    return rows[:n]


def sorted_batches(rows: list[Any], size: int, length: Callable[[Any], int], rng: random.Random) -> list[list[Any]]:
    """Batches of rows of like length, in random order."""
    ordered = sorted(rows, key=length)
    batches = [ordered[i : i + size] for i in range(0, len(ordered), size)]
    rng.shuffle(batches)
    return batches


def pretrain(out: Path, *, steps: int = 1250, lr: float = 2e-3, seed: int = 0) -> list[float]:
    """Trains tokenizer and base and writes them to ``out`` in Hugging Face layout (half precision)."""
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(["\n".join(row) for row in pretraining_rows(random.Random(seed), 30_000)])
    torch.manual_seed(seed)
    model = join(new_base(len(tokenizer)), tokenizer)
    group = 8
    pool: dict[int, list[list[Any]]] = {}

    def next_batch(step: int) -> tuple[Batch, None]:
        chunk, place = divmod(step, group)
        if chunk not in pool:
            rng = random.Random(f"{seed}-{chunk}")
            encoded = []
            for prompt, target in pretraining_rows(rng, BATCH * group):
                encoded.append((encode_prompt(tokenizer, prompt), encode_target(tokenizer, target)))
            pool.clear()
            pool[chunk] = sorted_batches(encoded, BATCH, lambda r: len(r[0].ids) + len(r[1]), rng)
        return collate(pool[chunk][place], tokenizer.pad_token_id), None

    losses = fit(model, model.base.parameters(), next_batch, FitConfig(steps=steps, lr=lr), out / "base.ckpt")
    folder = out / "base"
    model.base.half().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    summary = {"steps": steps, "final_loss": sum(losses[-100:]) / len(losses[-100:]), "sha256": base_identity(folder)}
    (out / "base.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return losses
