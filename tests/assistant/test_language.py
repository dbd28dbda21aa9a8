"""Joined model: slots, saving and loading, and the swap to another causal LM with the same training command."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from assistant import corpus
from assistant.intents import Question
from assistant.language.align import AlignConfig, AlignmentSet, align
from assistant.language.base import new_base, train_tokenizer
from assistant.language.joined import add_lora, base_identity, join, load_joined, save_joined
from assistant.language.model import LanguageModel
from assistant.language.projector import Projector, strength
from assistant.language.prompts import IGNORE, SLOT, collate, encode_prompt, encode_target
from assistant.language.reading import train_reading
from encoders.errors import ArtefactError
from encoders.vocabulary import CODES, statement

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
        rows.append((encode_prompt(tokenizer, example.prompt), encode_target(tokenizer, example.target)))
    return collate(rows, tokenizer.pad_token_id), torch.randn(n, 16, 256, generator=torch.Generator().manual_seed(3))


def test_a_prompt_has_one_slot_per_ecg_token(tokenizer):
    made = encode_prompt(tokenizer, SLOT * 16 + "<|report|><|answer|>")
    assert made.slots == [True] * 16 + [False] * 2 and made.recordings == 1
    assert len(made.ids) == 18 and not made.states  # the two markers are single tokens


def test_where_tokens_are_read_the_strongest_statements_are_named(tokenizer):
    strengths = np.zeros(71, np.float32)
    for code, value in (("AFIB", 1.5), ("PVC", 1.9), ("SR", 0.2)):
        strengths[CODES.index(code)] = value
    asked = Question("Is there AF or sinus rhythm?", "choose", ("SR", "AFIB"))
    for question, named in ((asked, ["SR", "AFIB"]), (None, ["PVC", "AFIB", "SR"])):
        made = encode_prompt(tokenizer, corpus.prompt(None, question, "tokens"), [strengths])
        assert [CODES[code] for _, _, code in made.states][: len(named)] == named
        for position, recording, code in made.states:
            behind = tokenizer.decode(made.ids[:position])
            assert recording == 0 and behind.endswith(statement(CODES[code]).name)
    assert not encode_prompt(tokenizer, corpus.prompt(None, asked, "tokens")).states, "without a reading nothing is named"
    typed = Question(f"Is there {SLOT}<|shows:9:|> AF?", "verify", ("AFIB",))
    made = encode_prompt(tokenizer, corpus.prompt(None, typed, "tokens"), [strengths])
    assert made.recordings == 1 and len(made.states) == 1, "what a person types is text"


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


def test_a_statement_is_spoken_in_its_own_slot_as_strongly_as_it_shows():
    projector = Projector(8)
    tokens = torch.zeros(2, 16, 256)
    silent = projector.slots(tokens, torch.zeros(2, 71))
    assert torch.equal(silent[0], projector.place)
    for code in ("AFIB", "CLBBB", "NORM"):
        column = CODES.index(code)
        strengths = torch.zeros(2, 71)
        strengths[0, column], strengths[1, column] = 1.0, 2.0
        said = projector.slots(tokens, strengths) - silent
        slot = int(projector.slot_of[column])
        assert torch.allclose(said[0, slot], projector.names[column], atol=1e-6)
        assert torch.allclose(said[1], 2 * said[0], atol=1e-6)
        assert not said[:, [i for i in range(16) if i != slot]].any()
    assert set(torch.bincount(projector.slot_of, minlength=16).tolist()) == {4, 5}
    assert strength(torch.tensor([-9.0, -4.0, 0.0, 4.0, 9.0])).tolist() == [0.0, 0.0, 1.0, 2.0, 2.0]
    ends = projector.state(torch.tensor([0.0, 1.0, 2.0]))
    assert torch.allclose(ends[1], (ends[0] + ends[2]) / 2) and torch.equal(ends[2], projector.ends[1])


def test_the_state_of_a_named_statement_reaches_the_model(tokenizer):
    model = join(new_base(len(tokenizer)), tokenizer).eval()
    question = Question("Is there AF?", "verify", ("AFIB",))
    tokens = torch.randn(1, 16, 256, generator=torch.Generator().manual_seed(3))
    column = CODES.index("AFIB")
    made = []
    for shift in (-50.0, 50.0):
        with torch.no_grad():
            model.projector.outer.bias[column] = shift
            strengths = model.projector.strengths(tokens).numpy()
            batch = collate([(encode_prompt(tokenizer, corpus.prompt(None, question, "tokens"), strengths), [])], 0)
            position = int(batch.states[0, 1])
            made.append(model.embed(batch, tokens)[0, position])
    assert torch.equal(made[0], model.projector.ends[0]) and torch.equal(made[1], model.projector.ends[1])


def test_the_projector_learns_to_read_statements():
    rng = np.random.default_rng(0)
    labels = (rng.random((400, 71)) < 0.3).astype(np.uint8)
    tokens = rng.normal(0, 0.3, (400, 16, 256)).astype(np.float16)
    tokens[:, :, :71] += labels[:, None, :].astype(np.float16)
    losses = train_reading(Projector(16), tokens, labels, epochs=12, lr=5e-3)
    assert losses[-1] < 0.5 * losses[0]


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
    with torch.no_grad():
        untrained = model.eval()(batch, tokens)[1]
    model.train()
    model(batch, tokens)[0].backward()
    optimizer.step()
    save_joined(model, tmp_path, base=str(qwen), base_sha256=base_identity(qwen), encoder_hash="b" * 64, card={})
    with torch.no_grad():
        trained = model.eval()(batch, tokens)[1]
        restored = load_joined(tmp_path)(batch, tokens)[1]
    gap = (trained - restored).abs()  # weights ship in half precision
    assert gap.mean() < 0.002 and gap.max() < 0.1 < (trained - untrained).abs().max()


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
