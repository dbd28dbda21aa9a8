"""The network as it runs once it is trained: the same function, a third less to compute on a CPU.

Every normalisation is folded into the convolution before it, and the convolutions are two-dimensional with a height of one,
features innermost in memory, which a CPU does faster than one-dimensional ones. Logits agree within 1e-5; what trains,
adapts or explains a network uses ``encoders.network`` itself.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from encoders.network import Block, EncoderNetwork, SqueezeExcite, Tower

__all__ = ["folded"]


def _flat(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """Convolution and normalisation as one convolution over (batch, features, 1, time)."""
    one = fuse_conv_bn_eval(cast(nn.Conv1d, conv), cast(nn.BatchNorm1d, norm))
    size = (1, one.kernel_size[0])
    out = nn.Conv2d(one.in_channels, one.out_channels, size, (1, one.stride[0]), (0, cast(int, one.padding[0])))
    with torch.no_grad():
        out.weight.copy_(one.weight[:, :, None])
        cast(Tensor, out.bias).copy_(cast(Tensor, one.bias))
    return out.to(device=one.weight.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


class _Block(nn.Module):
    def __init__(self, block: Block) -> None:
        super().__init__()
        self.first, self.second = _flat(block.conv1, block.norm1), _flat(block.conv2, block.norm2)
        self.gate: SqueezeExcite = block.gate
        self.shortcut: nn.Module = nn.Identity()
        if isinstance(block.shortcut, nn.Sequential):
            pool, conv, norm = block.shortcut
            half = nn.AvgPool2d((1, 2), ceil_mode=True) if isinstance(pool, nn.AvgPool1d) else nn.Identity()
            self.shortcut = nn.Sequential(half, _flat(conv, norm))

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(torch.relu(self.first(x)))
        gate = torch.sigmoid(self.gate.up(torch.relu(self.gate.down(y.mean((2, 3))))))
        return torch.relu(torch.addcmul(self.shortcut(x), y, gate[:, :, None, None]))


class _Tower(nn.Module):
    """(B, leads, 250) → tokens and logits, as ``encoders.network.Tower`` gives them when it does not train."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.stem = _flat(tower.stem[0], tower.stem[1])
        self.trunk = nn.Sequential(*(_Block(cast(Block, block)) for block in tower.trunk))
        self.to_token = _flat(tower.to_token[0], tower.to_token[1])
        self.head = tower.head

    def forward(self, x_BLS: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.stem(x_BLS[:, :, None].contiguous(memory_format=torch.channels_last)))
        tokens_BDL = torch.relu(self.to_token(self.trunk(x)))[:, :, 0]
        return tokens_BDL, self.head(torch.cat([tokens_BDL.mean(-1), tokens_BDL.amax(-1)], dim=-1))


def folded(network: EncoderNetwork) -> EncoderNetwork:
    """A copy for inference only; the network itself stays as it is. What is no ``EncoderNetwork`` is handed back."""
    if not isinstance(network, EncoderNetwork):
        return network
    out = copy.deepcopy(network).eval()
    out.towers = nn.ModuleList(_Tower(cast(Tower, tower)) for tower in out.towers)
    return out
