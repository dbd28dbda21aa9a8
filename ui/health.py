"""What this installation is: versions, and hashes of the artefacts on disk. Loads no model."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
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


def _digests() -> dict[str, str | None]:
    """SHA-256 of the card of every artefact that ships, None where it is missing."""
    import assistant
    import encoders
    import retrieval

    def beside(package: ModuleType, *parts: str) -> Path:
        return Path(str(package.__file__)).parent.joinpath(*parts)

    cards = {
        "encoder": beside(encoders, "weights", "encoder.json"),
        "fusion": beside(encoders, "weights", "fusion.json"),
        "library": beside(retrieval, "builtin", "manifest.json"),
        "decision": beside(assistant, "weights", "decision.json"),
        "language": beside(assistant, "weights", "language", "language.json"),
    }
    return {name: hashlib.sha256(card.read_bytes()).hexdigest() if card.is_file() else None for name, card in cards.items()}


def health(desk: Desk) -> dict[str, Any]:
    """``status`` "ok", or "incomplete" where an artefact is missing; versions; hashes of the artefacts; what is loaded."""
    artefacts = _digests()
    return {
        "status": "ok" if all(artefacts.values()) else "incomplete",
        "version": _version("ecg-assistant") or "0",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "artefacts": artefacts,
        "loaded": desk.loaded,
    }
