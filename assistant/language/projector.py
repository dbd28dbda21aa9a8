"""From the encoder's tokens to the language model's input space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from encoders.network import N_TOKENS, TOKEN_DIM

__all__ = ["Projector"]


class Projector(nn.Module):
    """Two-layer perceptron with a place for each slot: (B, 16, 256) → (B, 16, width).

    Each slot sees its own token beside the mean and the maximum over all tokens, so a slot can carry what the recording shows
    as a whole as well as its own stretch of time. The last normalisation brings the result to the size of the base's own
    word embeddings, so that a frozen base is not shaken by inputs of another scale.
    """

    def __init__(self, width: int, hidden: int = 512, embedding_rms: float = 0.02) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(3 * TOKEN_DIM)
        self.inner = nn.Linear(3 * TOKEN_DIM, hidden)
        self.outer = nn.Linear(hidden, width)
        self.place = nn.Parameter(0.5 * torch.randn(N_TOKENS, hidden))
        self.scale = nn.LayerNorm(width)
        nn.init.constant_(self.scale.weight, embedding_rms)

    def forward(self, tokens_BTD: Tensor) -> Tensor:
        whole_BTD = tokens_BTD.mean(1, keepdim=True).expand_as(tokens_BTD)
        peak_BTD = tokens_BTD.amax(1, keepdim=True).expand_as(tokens_BTD)
        seen = self.norm(torch.cat([tokens_BTD, whole_BTD, peak_BTD], dim=-1))
        projected: Tensor = self.scale(self.outer(nn.functional.gelu(self.inner(seen) + self.place)))
        return projected
