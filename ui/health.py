"""What this installation is: versions, and hashes of the artefacts on disk. Loads no model."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ui.desk import Desk

__all__ = ["health"]

PACKAGES = ("torch", "transformers", "peft", "faiss-cpu", "fastapi", "gradio", "numpy")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _encoder_hash() -> str | None:
    import encoders

    card = Path(str(encoders.__file__)).parent / "weights" / "encoder.json"
    if not card.exists():
        return None
    return str(json.loads(card.read_text(encoding="utf-8")).get("sha256"))


def health(desk: Desk) -> dict[str, Any]:
    """``status`` "ok", or "incomplete" where the encoder's weights are missing; versions; hashes; whether it is loaded."""
    encoder = _encoder_hash()
    return {
        "status": "ok" if encoder else "incomplete",
        "version": _version("ecg-assistant") or "0",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "encoder": encoder,
        "loaded": desk.loaded,
    }
