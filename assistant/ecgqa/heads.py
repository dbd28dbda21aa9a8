"""Small heads on the encoder's output and the signal's own signs, for what ECG-QA asks beyond the statements.

Noise per lead, infarction stage, extra systoles, intervals as ECG-QA measures them, and the annotator's "not sure". One hidden
layer serves all but the intervals, which have one on the signs alone; statements keep what the encoder says of them and are only
corrected. A third layer scores values for whole sets of them (``assistant.ecgqa.sets``). The weights are 16 bit, bound to the
encoder by its hash, and carry the share of cases of every output, which decisions
need (``assistant.ecgqa.decide``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistant.ecgqa.features import FEATURE_COUNT, GENERAL_COUNT
from assistant.ecgqa.outputs import OUTPUTS
from assistant.ecgqa.sets import BASE, FIELDS, SetTable
from encoders.errors import ArtefactError
from encoders.files import file_sha256
from encoders.fusion import silu
from encoders.vocabulary import CODES

__all__ = ["CARD", "WEIGHTS", "Heads", "general", "inputs_of", "own_signs", "save_heads"]

_FOLDER = Path(__file__).parents[1] / "weights"
WEIGHTS, CARD = "ecgqa.safetensors", "ecgqa.json"
_LAYERS = ("mean", "scale", "w1", "b1", "w2", "b2")
_NAMES = (
    *_LAYERS, *(f"n_{name}" for name in _LAYERS), *(f"s_{name}" for name in _LAYERS), "skip", "s_skip", "slope", "offset",
    "curve_slope", "curve_offset",
)  # fmt: skip

_SIGNS = 256 + len(CODES)
_STATEMENTS = slice(256, _SIGNS)

Floats = NDArray[np.float32]


def inputs_of(embeddings: NDArray[np.floating], base: NDArray[np.floating], features: NDArray[np.floating]) -> Floats:
    """What the heads read, float32 (n, 256 + 71 + FEATURE_COUNT): embedding, log-odds of statements, signs of the signal."""
    return np.concatenate([16 * embeddings, np.clip(base, -9, 9), features], axis=1).astype(np.float32)


def general(inputs: Floats) -> Floats:
    """What the first layer reads of ``inputs_of``: all but the intervals of lead II."""
    return inputs[:, : _SIGNS + GENERAL_COUNT]


def own_signs(inputs: Floats) -> Floats:
    """What the layer for intervals reads: the signs of the signal."""
    return inputs[:, _SIGNS:]


@dataclass(frozen=True, eq=False)
class Heads:
    """``arrays``: the layers by name; ``prior``: share of cases by output; ``card``: how they were made.

    ``tables``: by field the sets that annotators wrote.
    """

    arrays: dict[str, Floats]
    prior: dict[str, float]
    card: dict[str, Any]
    tables: dict[str, SetTable]

    @classmethod
    def load(cls, encoder_hash: str, folder: str | Path | None = None) -> Heads:
        """The built-in heads, or those in ``folder``. ArtefactError where they are missing, damaged or of another encoder."""
        from safetensors.numpy import load_file

        place = Path(folder) if folder is not None else _FOLDER
        try:
            card = json.loads((place / CARD).read_text(encoding="utf-8"))
            digest = file_sha256(place / WEIGHTS)
        except (OSError, ValueError):
            raise ArtefactError(
                "The weights for ECG-QA's convention are missing; reinstall, or run `ecg-assistant train questions`."
            ) from None
        if card["sha256"] != digest:
            raise ArtefactError("The weights for ECG-QA's convention differ from their card (sha256); reinstall or train again.")
        if card["encoder"] != encoder_hash:
            raise ArtefactError(
                "The weights for ECG-QA's convention belong to another encoder; run `ecg-assistant train questions`."
            )
        if tuple(card["outputs"]) != OUTPUTS or card["features"] != FEATURE_COUNT:
            raise ArtefactError(
                "The weights for ECG-QA's convention know other outputs than this version; run `ecg-assistant train questions`."
            )
        found = load_file(place / WEIGHTS)
        if not found.keys() >= {*_NAMES, *(f"{kind}:{field}" for field in FIELDS for kind in ("sets", "bias"))}:
            raise ArtefactError(
                "The weights for ECG-QA's convention lack layers of this version; run `ecg-assistant train questions`."
            )
        arrays = {name: found[name].astype(np.float32) for name in _NAMES}
        tables = {
            field: SetTable(
                np.unpackbits(found[f"sets:{field}"], axis=1)[:, : len(names)].astype(bool),
                found[f"bias:{field}"].astype(np.float32),
            )
            for field, names in FIELDS.items()
        }
        return cls(arrays, dict(zip(OUTPUTS, card["prior"], strict=True)), card, tables)

    def base(self, scores: NDArray[np.floating]) -> Floats:
        """Scores of network and measurements (n, 71; ``encoders.fusion``) as log-odds, by curves fitted on fold 8."""
        return np.asarray(scores * self.arrays["curve_slope"] + self.arrays["curve_offset"], np.float32)

    def _layer(self, inputs: Floats, prefix: str) -> Floats:
        a = self.arrays
        x = np.clip((inputs - a[f"{prefix}mean"]) / a[f"{prefix}scale"], -5, 5)
        hidden = x @ a[f"{prefix}w1"].T + a[f"{prefix}b1"]
        return np.asarray(silu(hidden) @ a[f"{prefix}w2"].T + a[f"{prefix}b2"], np.float32)

    def raw(self, inputs: Floats) -> Floats:
        """Log-odds before the last calibration, float32 (n, outputs), from ``inputs_of``."""
        out = self._layer(general(inputs), "")
        out[:, : len(CODES)] += self.arrays["skip"] * inputs[:, _STATEMENTS]
        return np.concatenate([out, self._layer(own_signs(inputs), "n_")], axis=1)

    def set_scores(self, inputs: Floats) -> Floats:
        """Scores of the values of every field of ``assistant.ecgqa.sets``, float32 (n, scores), from ``inputs_of``."""
        base = np.where(BASE >= 0, inputs[:, _STATEMENTS][:, np.maximum(BASE, 0)], 0)
        return np.asarray(self._layer(inputs, "s_") + self.arrays["s_skip"] * base, np.float32)

    def log_odds(self, embeddings: NDArray[np.floating], scores: NDArray[np.floating], features: NDArray[np.floating]) -> Floats:
        """Calibrated log-odds float32 (n, outputs) of recordings as encoder, measurements and ``signal_features`` read them."""
        raw = self.raw(inputs_of(embeddings, self.base(scores), features))
        return np.asarray(raw * self.arrays["slope"] + self.arrays["offset"], np.float32)


def save_heads(arrays: dict[str, NDArray[Any]], card: dict[str, Any], tables: dict[str, SetTable], folder: Path) -> None:
    """Writes weights (16 bit) and card; ``card`` must name encoder and prior. Raises ArtefactError where an array is missing."""
    from safetensors.numpy import save_file

    lacking = [name for name in _NAMES if name not in arrays]
    if lacking:
        raise ArtefactError(f"The heads lack {lacking[0]}; train them again.")
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, NDArray[Any]] = {name: np.ascontiguousarray(arrays[name], np.float16) for name in _NAMES}
    for field, table in tables.items():
        tensors |= {f"sets:{field}": np.packbits(table.members, axis=1), f"bias:{field}": table.bias.astype(np.float16)}
    save_file(tensors, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)
    full = {"sha256": file_sha256(folder / WEIGHTS), "features": FEATURE_COUNT, **card, "outputs": list(OUTPUTS)}
    (folder / CARD).write_text(json.dumps(full) + "\n", encoding="utf-8")
