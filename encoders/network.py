"""The encoder's network: one-dimensional residual towers with squeeze-and-excitation over 2.5 s windows.

Every window gives 16 tokens per tower; a recording gives ``N_TOKENS`` tokens, one embedding and one logit per statement.
A lead that is not there is a row of zeros. One tower learned from complete recordings only and keeps silent where a lead
is missing or flat; the other learned from all subsets of leads and reads any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["EMBEDDING_DIM", "N_TOKENS", "TOKEN_DIM", "EncoderConfig", "EncoderNetwork", "windows"]

TOKEN_DIM = 256
EMBEDDING_DIM = 256
N_TOKENS = 16
WINDOW = 250  # samples at 100 Hz: 2.5 s
POSITIONS = 16  # tokens of one window, before they are averaged over time


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the network. ``complete_only`` has one entry per tower: True for a tower that reads complete recordings only.

    Token and embedding widths are fixed for all encoders and not part of it.
    """

    complete_only: tuple[bool, ...] = (True, False)
    n_leads: int = 12
    n_statements: int = 71
    stem: int = 64
    widths: tuple[int, ...] = (48, 96, 160, 208)
    blocks: int = 2
    kernel: int = 9
    dropout: float = 0.25

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> EncoderConfig:
        """The shape as a card holds it, lists turned back into tuples."""
        shaped: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return cls(**shaped)


class SqueezeExcite(nn.Module):
    """Channel gates from the window's mean (Hu et al. 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, width // 8)
        self.up = nn.Linear(width // 8, width)

    def forward(self, x_BCL: Tensor) -> Tensor:
        gate_BC = torch.sigmoid(self.up(torch.relu(self.down(x_BCL.mean(-1)))))
        return x_BCL * gate_BC[..., None]


class Block(nn.Module):
    """Two convolutions with batch normalisation, a gate and a shortcut."""

    def __init__(self, inputs: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, width, kernel, stride, kernel // 2, bias=False)
        self.norm1 = nn.BatchNorm1d(width)
        self.conv2 = nn.Conv1d(width, width, kernel, 1, kernel // 2, bias=False)
        self.norm2 = nn.BatchNorm1d(width)
        self.gate = SqueezeExcite(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            pool = nn.AvgPool1d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
            self.shortcut = nn.Sequential(pool, nn.Conv1d(inputs, width, 1, bias=False), nn.BatchNorm1d(width))
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x_BCL: Tensor) -> Tensor:
        y_BCL = torch.relu(self.norm1(self.conv1(x_BCL)))
        y_BCL = self.gate(self.norm2(self.conv2(y_BCL)))
        return torch.relu(y_BCL + self.shortcut(x_BCL))


class Tower(nn.Module):
    """One residual trunk with its share of the token width and its own statement head."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        token_dim = TOKEN_DIM // len(config.complete_only)
        self.stem = nn.Sequential(
            nn.Conv1d(config.n_leads, config.stem, 15, 1, 7, bias=False), nn.BatchNorm1d(config.stem), nn.ReLU()
        )
        inputs, layers = config.stem, []
        for width in config.widths:
            for block in range(config.blocks):
                layers.append(Block(inputs, width, config.kernel, 2 if block == 0 else 1))
                inputs = width
        self.trunk = nn.Sequential(*layers)
        self.to_token = nn.Sequential(nn.Conv1d(inputs, token_dim, 1, bias=False), nn.BatchNorm1d(token_dim), nn.ReLU())
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * token_dim, config.n_statements)

    def pooled(self, x_BLS: Tensor) -> tuple[Tensor, Tensor]:
        """(B, leads, 250) → tokens (B, 256/towers, 16) and what the head reads: their mean and maximum (B, 512/towers)."""
        tokens_BDL = self.to_token(self.trunk(self.stem(x_BLS)))
        return tokens_BDL, torch.cat([tokens_BDL.mean(-1), tokens_BDL.amax(-1)], dim=-1)

    def forward(self, x_BLS: Tensor) -> tuple[Tensor, Tensor]:
        """(B, leads, 250) → tokens (B, 256/towers, 16) and logits (B, statements)."""
        tokens_BDL, pooled_B2D = self.pooled(x_BLS)
        return tokens_BDL, self.head(self.drop(pooled_B2D))


class EncoderNetwork(nn.Module):
    """Windows → statement logits, embedding and tokens. Several towers are averaged in the logits, joined in width."""

    lead_scale_mv: Tensor

    def __init__(self, config: EncoderConfig | None = None) -> None:
        super().__init__()
        self.config = config or EncoderConfig()
        if all(self.config.complete_only):
            raise ValueError("Every tower reads complete recordings only; one must read any leads.")
        self.towers = nn.ModuleList(Tower(self.config) for _ in self.config.complete_only)
        #: Typical size of each lead in mV (training set); a constant, so millivolts survive.
        self.register_buffer("lead_scale_mv", torch.ones(self.config.n_leads))

    def fit_lead_scale(self, signals: Tensor, rows: NDArray[np.int64]) -> None:
        """Takes ``lead_scale_mv`` from some 2000 of the training ``rows`` of signals (n, leads, samples) in mV."""
        self.lead_scale_mv.copy_(signals[rows[:: max(1, len(rows) // 2000)]].float().std(dim=(0, 2)))

    def forward(self, x_BLS: Tensor) -> Tensor:
        """Logits of one window per row: (B, leads, 250) in mV → (B, towers, statements)."""
        x_BLS = x_BLS / self.lead_scale_mv[:, None]
        return torch.stack([tower(x_BLS)[1] for tower in self.towers], dim=1)

    def encode(self, x_BLS: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Whole recordings (B, leads, S) in mV → logits (B, 71), embedding (B, 256), tokens (B, 16, 256).

        Windows tile the recording, so tokens come in the order of time. A recording's logit lies halfway between the mean
        and the highest of its windows' logits, averaged over the towers: what lasts counts, and so does a single ectopic
        beat (chosen on fold 8: rhythm statements gain, none lose). The embedding has unit length.
        """
        views_BVLW = windows(x_BLS)
        batch, views = views_BVLW.shape[:2]
        x = (views_BVLW / self.lead_scale_mv[:, None]).flatten(0, 1)
        complete_B = (x_BLS != 0).any(-1).all(-1)
        logit_sum, readers_B = torch.zeros(batch, self.config.n_statements, device=x.device), torch.zeros_like(complete_B).float()
        tokens = []
        for tower, complete_only in zip(self.towers, self.config.complete_only, strict=True):
            reads_B = complete_B.float() if complete_only else torch.ones_like(readers_B)
            tokens_NDL, logits_NC = tower(x)
            logits_BVC = logits_NC.unflatten(0, (batch, views))
            logit_sum = logit_sum + reads_B[:, None] * (logits_BVC.mean(1) + logits_BVC.amax(1)) / 2
            readers_B = readers_B + reads_B
            tokens.append(tokens_NDL.unflatten(0, (batch, views)) * reads_B[:, None, None, None])
        map_BVDL = torch.cat(tokens, dim=2)
        embedding_BD = nn.functional.normalize(map_BVDL.mean(dim=(1, 3)), dim=-1)
        in_time_BDT = map_BVDL.permute(0, 2, 1, 3).flatten(2)
        tokens_BTD = nn.functional.adaptive_avg_pool1d(in_time_BDT, N_TOKENS).transpose(1, 2)
        return logit_sum / readers_B[:, None], embedding_BD, tokens_BTD


def windows(x_BLS: Tensor) -> Tensor:
    """2.5 s windows that tile the recording: (B, leads, S) → (B, views, leads, 250); the last is filled up with 0 mV."""
    short = -x_BLS.shape[-1] % WINDOW if x_BLS.shape[-1] else WINDOW
    if short:
        x_BLS = nn.functional.pad(x_BLS, (0, short))
    return x_BLS.unfold(-1, WINDOW, WINDOW).permute(0, 2, 1, 3)
