"""The encoder's network: a one-dimensional residual network with squeeze-and-excitation over 2.5 s windows.

Every window gives 4 tokens; a recording gives ``N_TOKENS`` tokens, one embedding and one logit per statement.
Logits are linear in the pooled tokens, so a token says how much its 0.6 s speak for each statement.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["EMBEDDING_DIM", "N_TOKENS", "TOKEN_DIM", "EncoderConfig", "EncoderNetwork", "windows"]

TOKEN_DIM = 256
EMBEDDING_DIM = 256
N_TOKENS = 16
WINDOW = 250  # samples at 100 Hz: 2.5 s
TOKENS_PER_WINDOW = 4


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the network. Token and embedding widths are fixed for all encoders and not part of it."""

    towers: int = 2
    n_leads: int = 12
    n_statements: int = 71
    stem: int = 64
    widths: tuple[int, ...] = (64, 128, 192, 256)
    blocks: int = 2
    kernel: int = 7
    dropout: float = 0.25


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
        token_dim = TOKEN_DIM // config.towers
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

    def forward(self, x_BLS: Tensor) -> tuple[Tensor, Tensor]:
        """(B, leads, samples) → tokens (B, D/towers, L) and logits (B, statements)."""
        tokens_BDL = self.to_token(self.trunk(self.stem(x_BLS)))
        pooled_B2D = torch.cat([tokens_BDL.mean(-1), tokens_BDL.amax(-1)], dim=-1)
        return tokens_BDL, self.head(self.drop(pooled_B2D))


class EncoderNetwork(nn.Module):
    """Windows → statement logits, embedding and tokens. Several towers are averaged in the logits, joined in width."""

    lead_scale_mv: Tensor

    def __init__(self, config: EncoderConfig | None = None) -> None:
        super().__init__()
        self.config = config or EncoderConfig()
        self.towers = nn.ModuleList(Tower(self.config) for _ in range(self.config.towers))
        #: Typical size of each lead in mV (training set); a constant, so millivolts survive.
        self.register_buffer("lead_scale_mv", torch.ones(self.config.n_leads))

    def forward(self, x_BLS: Tensor) -> Tensor:
        """Logits of one window per row: (B, leads, 250) in mV → (B, towers, statements)."""
        x_BLS = x_BLS / self.lead_scale_mv[:, None]
        return torch.stack([tower(x_BLS)[1] for tower in self.towers], dim=1)

    def encode(self, x_BLS: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Whole recordings (B, leads, S ≥ 250) in mV → logits (B, 71), embedding (B, 256), tokens (B, 16, 256).

        Windows overlap by half; logits are averaged over windows and towers. Tokens come from windows that tile the
        recording, so their order is time. The embedding has unit length.
        """
        views_BVLW = windows(x_BLS)
        batch, views = views_BVLW.shape[:2]
        x = (views_BVLW / self.lead_scale_mv[:, None]).flatten(0, 1)
        tokens, logits = zip(*(tower(x) for tower in self.towers), strict=True)
        logits_B71 = torch.stack(list(logits)).mean(0).unflatten(0, (batch, views)).mean(1)
        map_BVDL = torch.cat(list(tokens), dim=1).unflatten(0, (batch, views))
        embedding_BD = nn.functional.normalize(map_BVDL.mean(dim=(1, 3)), dim=-1)
        tiled_BDT = map_BVDL[:, ::2].permute(0, 2, 1, 3).flatten(2)
        tokens_BTD = nn.functional.adaptive_avg_pool1d(tiled_BDT, N_TOKENS).transpose(1, 2)
        return logits_B71, embedding_BD, tokens_BTD


def windows(x_BLS: Tensor) -> Tensor:
    """Half-overlapping 2.5 s windows: (B, leads, S) → (B, views, leads, 250); shorter signals are padded with 0 mV."""
    short = WINDOW - x_BLS.shape[-1]
    if short > 0:
        x_BLS = nn.functional.pad(x_BLS, (0, short))
    return x_BLS.unfold(-1, WINDOW, WINDOW // 2).permute(0, 2, 1, 3)
