"""A head: the answer to one new question, trained on somebody's own recordings (``encoders.adapt``), with its card.

A head speaks for research only. Each of its labels answers only if it cleared the bar (``encoders.adapt_scores``) on patients it
had not seen; otherwise it refuses, which is a value with a reason. On disk a head is a folder with ``head.safetensors`` and
``head.json`` (the card), bound to the encoder it was made with.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.adapt_data import embed, prepared
from encoders.adapt_fit import Linear, calibrated
from encoders.adapt_scores import shortfall
from encoders.ecg import ECG
from encoders.errors import ArtefactError, QueryError, RecordingError
from encoders.files import file_sha256, user_folder
from encoders.leadsets import lead_set

if TYPE_CHECKING:
    from encoders.encode import Encoder
    from encoders.lora import Adapters
    from encoders.network import EncoderNetwork

__all__ = [
    "RESEARCH_ONLY", "Head", "HeadAnswer", "HeadRefusal", "check_name", "head_folder", "installed_cards", "load_head",
    "remove_head", "save_head",
]  # fmt: skip

FORMAT = 1
RESEARCH_ONLY = "research-only"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class HeadAnswer:
    """What a head says of one recording: a calibrated probability, or a value with its 90 % interval in the label's own unit."""

    head: str
    label: str
    value: float
    interval: tuple[float, float] | None
    basis: str

    @property
    def id(self) -> str:
        return f"H:{self.head}/{self.label}"

    @property
    def text(self) -> str:
        if self.interval is None:
            said = f"probability of {self.label} {self.value:.2f}"
        else:
            said = f"{self.label} {self.value:.3g} (90 % interval {self.interval[0]:.3g} to {self.interval[1]:.3g})"
        return f"{RESEARCH_ONLY}: {said}; head {self.head}, {self.basis}; not for clinical decisions."

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id, "head": self.head, "label": self.label, "status": "answer", "value": round(self.value, 4),
            "interval": None if self.interval is None else [round(v, 4) for v in self.interval], "text": self.text,
        }  # fmt: skip


@dataclass(frozen=True)
class HeadRefusal:
    """That a head does not answer, and why."""

    head: str
    label: str
    reason: str

    @property
    def id(self) -> str:
        return f"H:{self.head}/{self.label}"

    @property
    def text(self) -> str:
        return f"{RESEARCH_ONLY}: head {self.head} does not answer on {self.label}. {self.reason}"

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id, "head": self.head, "label": self.label, "status": "refusal", "reason": self.reason, "text": self.text,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Head:
    """``linear`` gives scores; ``slope``, ``offset`` (labels,) make them probabilities; ``half_widths`` (labels,) intervals.

    ``adapters``: low-rank changes of the encoder, empty for a linear head; ``network``: the encoder with them merged.
    """

    card: Mapping[str, Any]
    linear: Linear
    slope: NDArray[np.float64]
    offset: NDArray[np.float64]
    half_widths: NDArray[np.float64]
    adapters: Adapters = field(default_factory=dict)
    network: EncoderNetwork | None = None

    @property
    def name(self) -> str:
        return str(self.card["name"])

    @property
    def task(self) -> str:
        return str(self.card["task"])

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.card["labels"])

    @property
    def encoder_hash(self) -> str:
        return str(self.card["encoder"])

    def shortfalls(self) -> dict[str, str]:
        """Per label why it may not answer, from the figures in the card; empty where it cleared the bar."""
        return {label: shortfall(self.task, self.card["figures"][label]) for label in self.labels}

    def predict(self, encoder: Encoder, signals: NDArray[np.float16], kept: Path | None = None) -> NDArray[np.float64]:
        """Probabilities or values (n, labels) of prepared signals (n, 12, 1000), cleared or not: for scoring, not for readers.

        ``kept``: embeddings kept between runs (``encoders.adapt_data.embed``); a head with adapters has no use for them.
        """
        if self.adapters:
            from encoders.lora import embeddings_of, merged

            network = self.network if self.network is not None else merged(encoder.network, self.adapters)
            scores = self.linear.scores(embeddings_of(network, signals))
        else:
            scores = self.linear.scores(embed(encoder, signals, kept))
        return scores if self.task == "regression" else calibrated(scores, self.slope, self.offset)

    def answer(self, encoder: Encoder, ecg: ECG, withheld: str = "") -> tuple[HeadAnswer | HeadRefusal, ...]:
        """One answer or refusal per label. ``withheld``: a reason of the caller's not to answer on this recording.

        Raises ArtefactError where the head belongs to another encoder.
        """
        if encoder.hash != self.encoder_hash:
            raise ArtefactError(_other_encoder(self.name))
        short = self.shortfalls()
        values: NDArray[np.float64] | None = None
        if not withheld and not all(short.values()):
            try:
                values = self.predict(encoder, prepared(ecg, lead_set(self.card["leads"]))[None])[0]
            except RecordingError as error:
                withheld = " ".join(str(error).split())
        out: list[HeadAnswer | HeadRefusal] = []
        for i, label in enumerate(self.labels):
            if short[label] or values is None:
                out.append(HeadRefusal(self.name, label, short[label] or withheld))
                continue
            value, interval = float(values[i]), None
            if self.task == "regression":
                interval = (value - float(self.half_widths[i]), value + float(self.half_widths[i]))
            out.append(HeadAnswer(self.name, label, value, interval, _basis(self.task, self.card["figures"][label])))
        return tuple(out)


def _basis(task: str, figures: Mapping[str, Any]) -> str:
    kind, name = ("r2", "R²") if task == "regression" else ("auroc", "AUROC")
    low, high = figures[kind]["interval"]
    return f"{name} {figures[kind]['value']:.2f} [{low:.2f}, {high:.2f}] on {figures['patients']} unseen patients"


def _other_encoder(name: str) -> str:
    return f"The head {name} was made with another encoder; train it again with `ecg-assistant adapt`."


# On disk --------------------------------------------------------------------------------------------------------------


def check_name(name: str) -> str:
    """The name itself; raises QueryError where it could not be a folder's name everywhere."""
    if not _NAME.fullmatch(name):
        raise QueryError(f"The head's name is {name[:60]!r}; use 1 to 40 of a-z, 0-9, - and _, a letter or digit first.")
    return name


def head_folder(name: str) -> Path:
    """Where the head of this name is kept."""
    return user_folder() / "heads" / check_name(name)


def save_head(head: Head, folder: Path, *, replace: bool = False) -> dict[str, Any]:
    """Writes the folder, whole or not at all; returns the card with the hash of the weights.

    Raises QueryError where there is a head already and ``replace`` is not set, or the folder cannot be written.
    """
    from safetensors.numpy import save_file

    if folder.exists() and not (replace and (folder / "head.json").is_file()):
        what = "a head" if (folder / "head.json").is_file() else "something else"
        raise QueryError(f"There is {what} at {folder.name!r} already; choose another name, or replace a head with --replace.")
    tensors = {
        "weights": head.linear.weights.astype(np.float32), "bias": head.linear.bias.astype(np.float32),
        "slope": head.slope.astype(np.float32), "offset": head.offset.astype(np.float32),
        "half_widths": head.half_widths.astype(np.float32),
    }  # fmt: skip
    for layer, (a, b) in head.adapters.items():
        tensors[f"adapter.{layer}.a"], tensors[f"adapter.{layer}.b"] = a, b
    part = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, part / "head.safetensors")
        digest = file_sha256(part / "head.safetensors")
        card = {"format": FORMAT, "sha256": digest, **head.card}
        (part / "head.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    except OSError as error:
        raise QueryError(f"The head cannot be written to {folder.name!r} ({error.strerror}); name another folder.") from None
    return card


def load_head(spec: str | Path, encoder: Encoder) -> Head:
    """A head by its name, or by the folder it lies in.

    Raises ArtefactError where it is missing, damaged or made for another encoder.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(spec)
    if not (folder / "head.json").is_file():
        folder = head_folder(str(spec)) if _NAME.fullmatch(str(spec)) else folder
    if not (folder / "head.json").is_file():
        raise ArtefactError(f"There is no head {folder.name!r}; `ecg-assistant heads list` shows those that are there.")
    card = _card(folder)
    if card["encoder"] != encoder.hash:
        raise ArtefactError(_other_encoder(str(card["name"])))
    damaged = ArtefactError(f"The head {card['name']} is damaged; train it again with `ecg-assistant adapt`.")
    file = folder / "head.safetensors"
    try:
        if file_sha256(file) != card["sha256"]:
            raise damaged
        tensors = load_file(file)
    except (OSError, SafetensorError):
        raise damaged from None
    adapters = {
        key[len("adapter.") : -len(".a")]: (value, tensors[f"{key[:-2]}.b"])
        for key, value in tensors.items() if key.startswith("adapter.") and key.endswith(".a")
    }  # fmt: skip
    network = None
    if adapters:
        from encoders.lora import merged

        network = merged(encoder.network, adapters)
    wide = {key: tensors[key].astype(np.float64) for key in ("weights", "bias", "slope", "offset", "half_widths")}
    return Head(
        card, Linear(wide["weights"], wide["bias"]), wide["slope"], wide["offset"], wide["half_widths"], adapters, network
    )


def _card(folder: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads((folder / "head.json").read_text(encoding="utf-8"))
        known = card["format"]
        if not {"name", "task", "labels", "leads", "encoder", "sha256", "figures"} <= set(card):
            raise KeyError("card")
    except (OSError, ValueError, KeyError, TypeError):
        raise ArtefactError(f"The card of the head {folder.name!r} cannot be read; train it again.") from None
    if known != FORMAT:
        raise ArtefactError(f"The head {folder.name!r} has format {known}; this version reads {FORMAT}: train it again.")
    return card


def installed_cards() -> list[dict[str, Any]]:
    """Cards of all heads in the user's folder, by name; damaged ones raise ArtefactError."""
    folder = user_folder() / "heads"
    return [_card(f) for f in sorted(folder.iterdir()) if (f / "head.json").is_file()] if folder.is_dir() else []


def remove_head(name: str) -> None:
    """Removes a head from the user's folder; raises QueryError where there is none of that name."""
    folder = head_folder(name)
    if not (folder / "head.json").is_file():
        raise QueryError(f"There is no head {name!r}; `ecg-assistant heads list` shows those that are there.")
    shutil.rmtree(folder)
