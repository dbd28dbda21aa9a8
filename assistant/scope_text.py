"""The judge's own reading of a question: all-MiniLM-L6-v2 with LoRA tuned on the training sentences of ``assistant.scope_fit``.

The embedding that everything else uses stays as it is; this one is a second network with the low-rank weights merged into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import ArtefactError
from retrieval.text import TEXT_DIM, TextEncoder

__all__ = ["SCALE", "TunedTextEncoder", "low_rank_of", "with_lora"]

#: Rank of the low-rank weights in each of the 36 linear layers: 663,552 numbers.
RANK = 16
#: Unit vectors are brought to one per number, as the other features of the judge are.
SCALE = float(np.sqrt(np.float32(TEXT_DIM)))


def with_lora(transformer: Any) -> Any:
    """The transformer with trainable low-rank weights (peft) beside each linear layer, which itself is frozen."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, lora_dropout=0.05, target_modules=["query", "key", "value", "dense"],
        exclude_modules=["pooler.dense"],
    )  # fmt: skip
    return get_peft_model(transformer, config)


def low_rank_of(model: Any) -> dict[str, NDArray[np.float16]]:
    """Its low-rank weights by name, in half precision, as they ship."""
    from peft import get_peft_model_state_dict

    return {name: value.detach().numpy().astype(np.float16) for name, value in get_peft_model_state_dict(model).items()}


class TunedTextEncoder(TextEncoder):
    """Short texts to unit vectors float32 (n, 384) with ``low_rank`` merged into the text model."""

    def __init__(self, low_rank: Mapping[str, NDArray[Any]]) -> None:
        super().__init__()
        self._low_rank = low_rank

    def load(self) -> Any:
        """The model with its low-rank weights merged in. Raises ArtefactError where they do not fit."""
        import torch
        from peft import set_peft_model_state_dict

        model = super().load()
        tuned = with_lora(model[0].model)
        told = {name: torch.from_numpy(value.astype(np.float32)) for name, value in self._low_rank.items()}
        try:
            result: Any = set_peft_model_state_dict(tuned, told)
        except RuntimeError as error:  # another rank
            raise ArtefactError(_MISFIT) from error
        missing = [name for name in result.missing_keys if "lora_" in name]
        if result.unexpected_keys or missing:
            raise ArtefactError(_MISFIT)
        model[0].model = tuned.merge_and_unload()
        return model


_MISFIT = "The low-rank weights of the judge do not fit the text model; reinstall, or run python -m assistant.scope_fit."
