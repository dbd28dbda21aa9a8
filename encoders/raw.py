"""What a network says of many prepared recordings, before calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.network import EncoderNetwork

__all__ = ["Raw", "encode_all"]


@dataclass(frozen=True, eq=False)
class Raw:
    """Network output over a set: logits (n, 71), embeddings (n, 256), tokens float16 (n, 16, 256)."""

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    tokens: NDArray[np.float16]


def encode_all(network: EncoderNetwork, signals: NDArray[np.float16], batch: int = 64) -> Raw:
    """Runs the network over prepared signals (n, 12, 1000)."""
    network.eval()
    device = next(network.parameters()).device
    logits, embeddings, tokens = [], [], []
    with torch.inference_mode():
        for start in tqdm(range(0, len(signals), batch), desc="encoding", unit="batch", disable=None):
            x = torch.from_numpy(np.array(signals[start : start + batch], dtype=np.float32)).to(device)
            out = network.encode(x)
            logits.append(out[0].cpu().numpy())
            embeddings.append(out[1].cpu().numpy())
            tokens.append(out[2].cpu().numpy().astype(np.float16))
    return Raw(np.concatenate(logits), np.concatenate(embeddings), np.concatenate(tokens))
