"""Base, projector and LoRA as one model; saved and loaded as one thing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from assistant.language.projector import Projector
from assistant.language.prompts import Batch
from assistant.language.reading import name_vectors
from encoders.errors import ArtefactError
from encoders.files import file_sha256
from encoders.quiet import no_loading_bar

__all__ = ["Joined", "add_lora", "base_identity", "join", "load_joined", "save_joined"]

LORA_RANK = 16


class Joined(nn.Module):
    """A causal LM that reads ECG tokens in the slots of its prompt."""

    def __init__(self, base: Any, tokenizer: Any, projector: Projector) -> None:
        super().__init__()
        self.base = base
        self.tokenizer = tokenizer
        self.projector = projector

    def embed(self, batch: Batch, tokens_NTD: Tensor | None) -> Tensor:
        """Word embeddings with what the recordings show in the slots and behind named statements: (B, L, width).

        ``tokens_NTD``: the recordings of all rows one after the other, 16 tokens each; None where there are no slots.
        """
        embeds: Tensor = self.base.get_input_embeddings()(batch.ids)
        if tokens_NTD is not None and batch.slots.any():
            strengths_NS = self.projector.strengths(tokens_NTD)
            slots = self.projector.slots(tokens_NTD, strengths_NS).flatten(0, 1).to(embeds.dtype)
            embeds = embeds.masked_scatter(batch.slots[..., None].expand_as(embeds), slots)
            row, position, recording, code = batch.states.unbind(1)
            said = self.projector.state(strengths_NS[recording, code]).to(embeds.dtype)
            embeds = embeds.index_put((row, position), said)
        return embeds

    def forward(self, batch: Batch, tokens_NTD: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean loss over the labels and logits (B, L, vocabulary)."""
        out = self.base(inputs_embeds=self.embed(batch, tokens_NTD), attention_mask=batch.attention, labels=batch.labels)
        return out.loss, out.logits


def join(base: Any, tokenizer: Any) -> Joined:
    """A base with a fresh projector of its width, which starts from the base's own words."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    table = base.get_input_embeddings().weight.detach().float()
    words = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in (" absent", " present")]
    ends = torch.stack([table[ids].mean(0) for ids in words])
    rms = float(table.pow(2).mean().sqrt())
    return Joined(base, tokenizer, Projector(table.shape[1], name_vectors(table, tokenizer), ends, embedding_rms=rms))


def add_lora(model: Joined, rank: int = LORA_RANK) -> None:
    """Low-rank adapters (Hu et al. 2021) on every linear layer of the base but the word table."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM", lora_dropout=0.0)
    model.base = get_peft_model(model.base, config)


def base_identity(folder: Path) -> str:
    """SHA-256 over the weights of a base in Hugging Face layout: what adapters name as the base they belong to."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ArtefactError("The base language model has no safetensors weights; give a folder in Hugging Face layout.")
    return hashlib.sha256("".join(file_sha256(f) for f in files).encode()).hexdigest()


def save_joined(model: Joined, folder: Path, *, base: str, base_sha256: str, encoder_hash: str, card: dict[str, object]) -> None:
    """Projector and adapter, and a manifest written last that names base and encoder by hash.

    ``base`` is where the base stands: "base" for the folder beside the manifest, else a name or a path. The base itself
    is not copied.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in model.projector.state_dict().items()}, folder / "projector.safetensors")
    parts = ["projector.safetensors"]
    if hasattr(model.base, "peft_config"):
        model.base.save_pretrained(folder / "adapter", safe_serialization=True)
        file = folder / "adapter" / "adapter_model.safetensors"
        from safetensors.torch import load_file

        save_file({k: v.half().contiguous() for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
        (folder / "adapter" / "README.md").unlink(missing_ok=True)
        settings = json.loads((folder / "adapter" / "adapter_config.json").read_text())
        settings["base_model_name_or_path"] = base
        settings["target_modules"] = sorted(settings["target_modules"])
        (folder / "adapter" / "adapter_config.json").write_text(json.dumps(settings, indent=1) + "\n")
        parts.append("adapter/adapter_model.safetensors")
    manifest = {
        "base": base,
        "base_sha256": base_sha256,
        "encoder": encoder_hash,
        "parts": {part: file_sha256(folder / part) for part in parts},
        **card,
    }
    (folder / "language.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def load_joined(
    folder: Path, encoder_hash: str | None = None, *, trainable: bool = False, adapters: bool = True
) -> Joined:
    """What ``save_joined`` wrote, without its LoRA where ``adapters`` is False.

    Raises ArtefactError where a part is missing, damaged or made for another encoder.
    """
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = folder / "language.json"
    if not file.exists():
        raise ArtefactError("The language model is missing (language.json); reinstall or run `ecg-assistant train align`.")
    manifest = json.loads(file.read_text(encoding="utf-8"))
    if encoder_hash is not None and manifest["encoder"] != encoder_hash:
        raise ArtefactError("The language model was aligned to another encoder; run `ecg-assistant train all`.")
    for part, digest in manifest["parts"].items():
        if not (folder / part).exists() or file_sha256(folder / part) != digest:
            raise ArtefactError(f"The language model's {part} is missing or damaged; reinstall or train again.")
    where = folder / "base" if manifest["base"] == "base" else Path(manifest["base"])
    if where.exists() and base_identity(where) != manifest["base_sha256"]:
        raise ArtefactError("The base language model is not the one that the adapters were trained on; give that base.")
    name = str(where) if where.exists() else manifest["base"]
    with no_loading_bar():
        base = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(name)
    model = join(base, tokenizer)
    model.projector.load_state_dict({k: v.float() for k, v in load_file(folder / "projector.safetensors").items()})
    if adapters and (folder / "adapter").exists():
        from peft import PeftModel

        model.base = PeftModel.from_pretrained(base, str(folder / "adapter"), is_trainable=trainable)
        if not trainable:
            model.base = model.base.merge_and_unload()
    return model.train(trainable)
