"""The language model as the assistant uses it: prompts and ECG tokens in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from assistant.language.joined import Joined

__all__ = ["WEIGHTS", "Generation", "LanguageModel"]

WEIGHTS = Path(__file__).parent.parent / "weights" / "language"


@dataclass(frozen=True)
class Generation:
    """Text as the model wrote it, unchecked, and the mean probability it gave its own words (0-1)."""

    text: str
    confidence: float


class _Avoid:
    """Keeps each row's word from being the first that is written."""

    def __init__(self, words: list[int]) -> None:
        self.words = words

    def __call__(self, ids_BL: Any, scores_BV: Any) -> Any:
        if ids_BL.shape[1] == 0:
            scores_BV = scores_BV.clone()
            scores_BV[range(len(self.words)), self.words] = -float("inf")
        return scores_BV


class LanguageModel:
    """Greedy and deterministic: the same prompt and tokens give the same text. Not safe for several threads at a time."""

    def __init__(self, model: Joined) -> None:
        self.model = model.eval()

    @classmethod
    def load(cls, path: str | Path | None = None, encoder_hash: str | None = None, *, adapters: bool = True) -> LanguageModel:
        """The model in ``path`` (a folder with language.json), built-in by default; ArtefactError where it does not fit.

        ``adapters`` False leaves LoRA away, for comparison.
        """
        from assistant.language.joined import load_joined

        return cls(load_joined(Path(path) if path is not None else WEIGHTS, encoder_hash, adapters=adapters))

    def generate(
        self, prompts: Sequence[str], tokens: Sequence[Sequence[NDArray[np.float32]]], max_new_tokens: int = 96,
        begun: Sequence[str] = (), avoid: Sequence[str] = (),
    ) -> list[Generation]:  # fmt: skip
        """One text per prompt. ``tokens``: per prompt its recordings' tokens, each (16, 256), in the order of the slots.

        ``begun``: per prompt, text that is written already and gone on from (not given back); ``avoid``: per prompt, a sentence
        whose first word does not come next, "" for the end of the text. Both are for a second try, and empty for a first.
        """
        import torch
        from transformers import LogitsProcessorList

        from assistant.language.prompts import collate, encode_prompt

        if not prompts:
            return []
        tokenizer = self.model.tokenizer
        flat = [part for several in tokens for part in several]
        stacked = torch.from_numpy(np.stack(flat).astype(np.float32)) if flat else None
        with torch.inference_mode():
            strengths = iter([] if stacked is None else self.model.projector.strengths(stacked).numpy())
        encoded = [
            encode_prompt(tokenizer, prompt, [next(strengths) for _ in several])
            for prompt, several in zip(prompts, tokens, strict=True)
        ]
        for one, text in zip(encoded, begun, strict=False):
            more = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
            one.ids.extend(more)
            one.slots.extend([False] * len(more))
        end = tokenizer.eos_token_id
        first = [tokenizer(f" {text.strip()}", add_special_tokens=False)["input_ids"][0] if text else end for text in avoid]
        batch = collate([(one, []) for one in encoded], tokenizer.pad_token_id, left=True)
        with torch.inference_mode():
            out = self.model.base.generate(
                inputs_embeds=self.model.embed(batch, stacked),
                attention_mask=batch.attention,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=end,
                logits_processor=LogitsProcessorList([_Avoid(first)] if first else []),
                output_logits=True,
                return_dict_in_generate=True,
            )
        written = out.sequences
        logits = torch.stack(out.logits, dim=1).float()
        chosen = logits.softmax(-1).gather(-1, written[..., None])[..., 0]
        results = []
        for row in range(len(prompts)):
            ids = written[row].tolist()
            n = ids.index(end) if end in ids else len(ids)
            text = tokenizer.decode(ids[:n], skip_special_tokens=False).strip()
            results.append(Generation(text, float(chosen[row, : max(n, 1)].mean())))
        return results
