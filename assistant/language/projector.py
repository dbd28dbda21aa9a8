"""From the encoder's tokens to the language model's input space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from encoders.network import N_TOKENS, TOKEN_DIM

__all__ = ["Projector"]


class Projector(nn.Module):
    """Two-layer perceptron per token with a learned place in time: (B, 16, 256) → (B, 16, width).

    The last normalisation brings the result to the size of the base's own word embeddings, so that a frozen base
    is not shaken by inputs of another scale.
    """

    def __init__(self, width: int, hidden: int = 512, embedding_rms: float = 0.02) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(TOKEN_DIM)
        self.inner = nn.Linear(TOKEN_DIM, hidden)
        self.outer = nn.Linear(hidden, width)
        self.place = nn.Parameter(torch.zeros(N_TOKENS, width))
        self.scale = nn.LayerNorm(width)
        nn.init.constant_(self.scale.weight, embedding_rms)

    def forward(self, tokens_BTD: Tensor) -> Tensor:
        hidden = nn.functional.gelu(self.inner(self.norm(tokens_BTD)))
        projected: Tensor = self.scale(self.outer(hidden) + self.place)
        return projected
