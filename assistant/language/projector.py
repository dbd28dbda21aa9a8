"""From the encoder's tokens to the language model's input space, by way of the statements they show."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from assistant.phrasing import TOPICS
from encoders.network import N_TOKENS, TOKEN_DIM
from encoders.vocabulary import CODES, STATEMENTS

__all__ = ["Projector", "strength"]

#: Log-odds at which a statement begins to show, and log-odds per unit of strength.
_FAINTEST, _PER_UNIT = -4.0, 4.0
_DROPOUT = 0.2


def strength(logits: Tensor) -> Tensor:
    """How strongly statements show, 0-2, from their log-odds: 0 below 2 %, 1 at even odds, 2 above 98 %."""
    return ((logits - _FAINTEST) / _PER_UNIT).clamp(0.0, 2.0)


def _slot_of() -> Tensor:
    """The slot that speaks each statement, (71,): statements of one topic stand together, four or five to a slot."""
    ordered = [c for topic in TOPICS.values() for c in CODES if c in topic]
    ordered += [c for c in CODES if c not in ordered]
    place = {code: position * N_TOKENS // len(ordered) for position, code in enumerate(ordered)}
    return torch.tensor([place[code] for code in CODES])


class Projector(nn.Module):
    """Tokens (B, 16, 256) → what the language model reads of a recording.

    ``strengths``: a perceptron on the tokens' mean and maximum over time says how strongly each statement shows. The 16 slots
    at the head of the prompt hold, each in its slot, the vectors that stand for the statements, as strongly as they show, and
    the slot's own stretch of time. Where the prompt names a statement, ``state`` says behind the name how strongly that one
    shows, between the words "absent" and "present" of a base that has learned to read these words there.
    """

    slot_of: Tensor

    def __init__(
        self, width: int, names_SW: Tensor | None = None, ends_2W: Tensor | None = None, hidden: int = 512,
        embedding_rms: float = 0.02,
    ) -> None:  # fmt: skip
        super().__init__()
        self.norm = nn.LayerNorm(2 * TOKEN_DIM)
        self.inner = nn.Linear(2 * TOKEN_DIM, hidden)
        self.outer = nn.Linear(hidden, len(STATEMENTS))
        start = torch.randn(len(STATEMENTS), width) / width**0.5 if names_SW is None else names_SW
        # As long as a word, so that a frozen base is not shaken by inputs of another scale.
        self.names = nn.Parameter(start * embedding_rms * width**0.5)
        self.place = nn.Parameter(embedding_rms * torch.randn(N_TOKENS, width))
        self.own = nn.Linear(TOKEN_DIM, width, bias=False)
        nn.init.zeros_(self.own.weight)
        self.ends = nn.Parameter(embedding_rms * torch.randn(2, width) if ends_2W is None else ends_2W.clone())
        self.register_buffer("slot_of", _slot_of(), persistent=False)

    def read(self, tokens_BTD: Tensor, dropout: bool = False) -> Tensor:
        """Log-odds of the statements, (B, 71)."""
        seen = self.norm(torch.cat([tokens_BTD.mean(1), tokens_BTD.amax(1)], dim=-1))
        seen = nn.functional.dropout(seen, _DROPOUT, dropout)
        out: Tensor = self.outer(nn.functional.dropout(nn.functional.gelu(self.inner(seen)), _DROPOUT, dropout))
        return out

    def strengths(self, tokens_BTD: Tensor) -> Tensor:
        """How strongly each statement shows, 0-2: (B, 71)."""
        return strength(self.read(tokens_BTD))

    def slots(self, tokens_BTD: Tensor, strengths_BS: Tensor) -> Tensor:
        """The 16 slots of each recording, (B, 16, width)."""
        spoken_BSW = strengths_BS[..., None] * self.names
        place_BTW = self.place.expand(len(tokens_BTD), -1, -1)
        out: Tensor = place_BTW.index_add(1, self.slot_of, spoken_BSW) + self.own(tokens_BTD)
        return out

    def state(self, strengths_K: Tensor) -> Tensor:
        """The vector that stands behind a named statement, (K, width): from ``ends[0]`` at strength 0 to ``ends[1]`` at 2."""
        share_K1 = strengths_K[:, None] / 2
        return (1 - share_K1) * self.ends[0] + share_K1 * self.ends[1]
