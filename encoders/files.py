"""Where a user's own things lie, what a file is by its content, and training states that are written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["file_sha256", "keep_state", "load_state", "save_state", "user_folder"]


def user_folder() -> Path:
    """Where heads, kept embeddings and the secret for patients lie: $ECG_ASSISTANT_HOME, else ~/.local/share/ecg-assistant."""
    home = os.environ.get("ECG_ASSISTANT_HOME")
    return Path(home) if home else Path.home() / ".local" / "share" / "ecg-assistant"


def file_sha256(file: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits; OSError where it cannot be read."""
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def keep_state(state: dict[str, Any], file: Path) -> None:
    """Writes a training state (a working file, never shipped): a killed process leaves the old one or the new one, whole."""
    import torch

    torch.save(state, file.with_suffix(".part"))
    file.with_suffix(".part").rename(file)


def save_state(file: Path, epoch: int, parts: Mapping[str, Any]) -> None:
    """Keeps what has a ``state_dict`` (a network, an optimizer, a schedule) under its name, with the epochs done."""
    keep_state({**{name: part.state_dict() for name, part in parts.items()}, "epoch": epoch}, file)


def load_state(file: Path, parts: Mapping[str, Any]) -> int:
    """Puts the kept states back into ``parts`` and returns the epochs done; 0, and nothing changed, where none is kept."""
    import torch

    if not file.exists():
        return 0
    state = torch.load(file, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["epoch"])
