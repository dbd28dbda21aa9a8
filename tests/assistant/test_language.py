"""Joined model: slots, saving and loading, and the swap to another causal LM with the same training command."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from assistant import corpus
from assistant.language.align import AlignConfig, AlignmentSet, align
from assistant.language.base import new_base, train_tokenizer
from assistant.language.joined import add_lora, base_identity, join, load_joined, save_joined
from assistant.language.model import LanguageModel
from assistant.language.prompts import IGNORE, SLOT, collate, encode_prompt, encode_target
from encoders.errors import ArtefactError

RNG = random.Random(5)


@pytest.fixture(scope="module")
def tokenizer():
    rows = []
    rng = random.Random(1)
    for _ in range(300):
        evidence = corpus.random_evidence(rng)
        example = corpus.example(evidence, None, "both", rng)
        rows.append(example.prompt.replace(SLOT, "") + example.target)
    return train_tokenizer(rows)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory, tokenizer) -> Path:
    """A second architecture, randomly initialised, as somebody else's base would lie on a disk."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("qwen2")
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.3,  # a frozen random head must be able to say something
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def some_batch(tokenizer, n: int = 3):
    rng = random.Random(2)
    rows = []
    for _ in range(n):
        evidence = corpus.random_evidence(rng)
        example = corpus.example(evidence, None, "both", rng)
        rows.append((*encode_prompt(tokenizer, example.prompt), encode_target(tokenizer, example.target)))
    return collate(rows, tokenizer.pad_token_id), torch.randn(n, 16, 256, generator=torch.Generator().manual_seed(3))


def test_a_prompt_has_one_slot_per_ecg_token(tokenizer):
    ids, slots = encode_prompt(tokenizer, SLOT * 16 + "<|report|><|answer|>")
    assert sum(slots) == 16 and slots[:16] == [True] * 16
    assert len(ids) == 18  # the two markers are single tokens


def test_loss_skips_prompt_padding_and_slots(tokenizer):
    batch, _ = some_batch(tokenizer)
    assert (batch.labels[batch.slots] == IGNORE).all()
    assert (batch.labels[batch.attention == 0] == IGNORE).all()
    assert (batch.labels != IGNORE).any(dim=1).all()


def test_the_slots_carry_the_recording(tokenizer):
    model = join(new_base(len(tokenizer)), tokenizer).eval()
    batch, tokens = some_batch(tokenizer)
    with torch.no_grad():
        here = model(batch, tokens)[1]
        other = model(batch, tokens.flip(0))[1]
    assert not torch.allclose(here, other)


def test_another_architecture_trains_saves_reloads_and_gives_equal_logits(tmp_path, qwen, tokenizer):
    rng = random.Random(4)
    evidence = [corpus.random_evidence(rng) for _ in range(24)]
    tokens = np.random.default_rng(0).normal(size=(24, 16, 256)).astype(np.float16)
    config = AlignConfig(projector_steps=6, lora_steps=60, batch=8, lora_lr=5e-3)
    summary = align(AlignmentSet(evidence, evidence, tokens), qwen, tmp_path / "aligned", "a" * 64, config)
    assert summary["lora_loss"] < 0.85 * summary["first_loss"]

    model = load_joined(tmp_path / "aligned", "a" * 64)
    batch, ecg = some_batch(tokenizer)
    with torch.no_grad():
        before = model(batch, ecg)[1]
    again = load_joined(tmp_path / "aligned", "a" * 64)
    with torch.no_grad():
        assert torch.equal(again(batch, ecg)[1], before)
    generated = LanguageModel(again).generate([SLOT * 16 + "<|report|><|answer|>"], [[tokens[0].astype(np.float32)]], 5)
    assert len(generated) == 1 and 0 <= generated[0].confidence <= 1


def test_round_trip_after_a_training_step(tmp_path, qwen, tokenizer):
    from transformers import AutoModelForCausalLM

    model = join(AutoModelForCausalLM.from_pretrained(qwen, dtype=torch.float32), tokenizer)
    add_lora(model)
    batch, tokens = some_batch(tokenizer)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    model.train()
    model(batch, tokens)[0].backward()
    optimizer.step()
    save_joined(model, tmp_path, base=str(qwen), base_sha256=base_identity(qwen), encoder_hash="b" * 64, card={})
    with torch.no_grad():
        trained = model.eval()(batch, tokens)[1]
        restored = load_joined(tmp_path)(batch, tokens)[1]
    assert torch.allclose(trained, restored, atol=0.02)  # weights ship in half precision


def test_a_model_for_another_encoder_or_base_is_refused(tmp_path, qwen, tokenizer):
    from transformers import AutoModelForCausalLM

    model = join(AutoModelForCausalLM.from_pretrained(qwen, dtype=torch.float32), tokenizer)
    save_joined(model, tmp_path, base=str(qwen), base_sha256="0" * 64, encoder_hash="b" * 64, card={})
    with pytest.raises(ArtefactError, match="another encoder|aligned to another"):
        load_joined(tmp_path, "c" * 64)
    with pytest.raises(ArtefactError, match="base"):
        load_joined(tmp_path, "b" * 64)
    (tmp_path / "projector.safetensors").write_bytes(b"x")
    with pytest.raises(ArtefactError, match="damaged"):
        load_joined(tmp_path, "b" * 64)


def test_generation_is_the_same_alone_and_in_a_batch(tokenizer):
    torch.manual_seed(0)
    model = LanguageModel(join(new_base(len(tokenizer)), tokenizer))
    rng = np.random.default_rng(1)
    ecgs = [rng.normal(size=(16, 256)).astype(np.float32) for _ in range(2)]
    prompts = [SLOT * 16 + "<|report|><|answer|>", SLOT * 16 + "<|question|> is there AF?<|answer|>"]
    together = model.generate(prompts, [[e] for e in ecgs], 6)
    alone = [model.generate([p], [[e]], 6)[0] for p, e in zip(prompts, ecgs, strict=True)]
    assert [g.text for g in together] == [g.text for g in alone]
