"""What a network says of many prepared recordings, before calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.folded import folded
from encoders.leadsets import ALL_LEADS, LEAD_SETS, masked
from encoders.network import N_TOKENS, TOKEN_DIM, EncoderNetwork

__all__ = ["Raw", "encode_all", "encode_lead_sets"]


@dataclass(frozen=True, eq=False)
class Raw:
    """Network output over a set: logits (n, 71), embeddings (n, 256), tokens float16 (n, 16, 256)."""

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    tokens: NDArray[np.float16]


def encode_all(network: EncoderNetwork, signals: NDArray[np.float16], batch: int = 64) -> Raw:
    """Runs the network over prepared signals (n, 12, 1000)."""
    device = next(network.parameters()).device
    running = folded(network)
    logits, embeddings, tokens = [], [], []
    with torch.inference_mode():
        for start in tqdm(range(0, len(signals), batch), desc="encoding", unit="batch", disable=None):
            x = torch.from_numpy(np.array(signals[start : start + batch], dtype=np.float32)).to(device)
            out = running.encode(x)
            logits.append(out[0].cpu().numpy())
            embeddings.append(out[1].cpu().numpy())
            # Contiguous, for the network hands tokens out as a transposed view and safetensors writes memory as it lies.
            tokens.append(np.ascontiguousarray(out[2].cpu().numpy().astype(np.float16)))
    return Raw(np.concatenate(logits), np.concatenate(embeddings), np.concatenate(tokens))


def encode_lead_sets(
    network: EncoderNetwork, signals: NDArray[np.float16], kept: Path, batch: int = 64
) -> dict[str, Raw]:
    """What the network says of the same recordings (n, 12, 1000) read from every set of leads, by its name.

    Tokens come with all twelve leads only; with fewer they are left empty, (0, 16, 256). Each set is kept as one file
    beside the path ``kept`` (its name must tell encoder and recordings apart) and read from there next time.
    """
    from safetensors.numpy import load_file, save_file

    out = {}
    for one in LEAD_SETS:
        file = kept.with_name(f"{kept.name}-{one.name}.safetensors")
        if not file.exists():
            raw = encode_all(network, masked(signals, one.name), batch)
            arrays: dict[str, NDArray[Any]] = {"logits": raw.logits, "embeddings": raw.embeddings}
            if one.name == ALL_LEADS:
                arrays["tokens"] = raw.tokens
            kept.parent.mkdir(parents=True, exist_ok=True)
            save_file(arrays, file.with_suffix(".part"))
            file.with_suffix(".part").rename(file)
        found = load_file(file)
        none = np.zeros((0, N_TOKENS, TOKEN_DIM), np.float16)
        out[one.name] = Raw(found["logits"], found["embeddings"], found.get("tokens", none))
    return out
