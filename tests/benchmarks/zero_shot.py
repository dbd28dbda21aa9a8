"""Statements from sentences alone: zero-shot AUROC of the map between ECG and text, on PTB-XL fold 9.

    python tests/benchmarks/zero_shot.py PTBXL_DIR [--out TABLE.json] [--embeddings FILE.npz]

Ten statements (`retrieval.aligned.HELD_OUT`) took no part in fitting the map. The encoder beneath it, though, was trained with
all 71 labels, so that its embeddings may know what the map never saw. ``--embeddings`` gives the same table for another
encoder, such as one pretrained without labels: a file with ``train`` (folds 1-8) and ``test`` (fold 9), (n, d) each, in
the order of PTB-XL's own table; its map is fitted here. Beside the held-out mean stands what one and the same sentence for every
statement earns: ECGs that look abnormal have more of nearly everything.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.encode import Encoder
from encoders.errors import EcgAssistantError, InputError
from encoders.metrics import resampled_patients
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.raw import encode_all
from retrieval.aligned import AlignedSpace, train_aligned, zero_shot_scores
from retrieval.library import BUILTIN
from retrieval.text import TextEncoder

BOOTSTRAPS = 200
SHIPPED = "the encoder was trained with all 71 labels, the map without the ten"
GIVEN = "embeddings from the given file, the map fitted without the ten"


def flat(scores: dict[str, Any]) -> dict[str, float]:
    """One level of names: those of groups stand before a slash."""
    out: dict[str, float] = {}
    for name, value in scores.items():
        out.update({f"{name}/{part}": v for part, v in value.items()} if isinstance(value, dict) else {name: value})
    return out


def with_intervals(
    space: AlignedSpace, embeddings: NDArray[np.floating], data: PtbXl, text: TextEncoder, bootstraps: int
) -> dict[str, dict[str, Any]]:
    """Name → AUROC and its 95 % interval from resampling patients."""
    found = flat(zero_shot_scores(space, embeddings, data.labels, text))
    drawn: dict[str, list[float]] = {name: [] for name in found}
    for rows in resampled_patients(data.patients, bootstraps):
        for name, value in flat(zero_shot_scores(space, embeddings[rows], data.labels[rows], text)).items():
            drawn[name].append(value)
    return {
        name: {"auroc": value, **({"interval": np.nanquantile(drawn[name], [0.025, 0.975]).tolist()} if bootstraps else {})}
        for name, value in found.items()
    }


def show(title: str, table: dict[str, dict[str, Any]]) -> None:
    """Prints one table."""
    print(f"\n{title}")
    for name, row in table.items():
        low, high = row.get("interval", (float("nan"), float("nan")))
        print(f"  {name:<22} {row['auroc']:.3f}  [{low:.3f}, {high:.3f}]")


def given(file: Path, train: PtbXl, test: PtbXl, text: TextEncoder) -> tuple[AlignedSpace, NDArray[np.float32]]:
    """The map fitted on the file's training embeddings, and its test embeddings, all brought to unit length."""
    with np.load(file) as arrays:
        both = [np.asarray(arrays[name], np.float32) for name in ("train", "test")]
    for part, data, name in zip(both, (train, test), ("train", "test"), strict=True):
        if part.ndim != 2 or len(part) != len(data):
            raise InputError(f"{name} has shape {part.shape}; {len(data)} rows are needed, one per recording of its folds.")
    fitted, held = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9) for part in both)
    return train_aligned(fitted, train.labels, "given", text), held


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ptbxl", metavar="PTBXL_DIR", type=Path)
    parser.add_argument("--out", type=Path, metavar="TABLE.json")
    parser.add_argument("--embeddings", type=Path, metavar="FILE.npz", help="train and test embeddings of another encoder")
    parser.add_argument("--cache", type=Path, help="where cleaned signals are kept, as `ecg-assistant train` does under its run")
    parser.add_argument("--bootstraps", type=int, default=BOOTSTRAPS)
    args = parser.parse_args()
    text = TextEncoder()
    test = load_ptbxl(args.ptbxl, (9,))
    encoder = Encoder.load()
    space = AlignedSpace.load(BUILTIN, encoder.hash)
    read = encode_all(encoder.network, test.signals(args.cache))
    tables: dict[str, dict[str, Any]] = {}
    tables["shipped"] = {"note": SHIPPED, "scores": with_intervals(space, read.embeddings, test, text, args.bootstraps)}
    if args.embeddings is not None:
        train = load_ptbxl(args.ptbxl, (1, 2, 3, 4, 5, 6, 7, 8))
        other, held = given(args.embeddings, train, test, text)
        tables["given"] = {"note": GIVEN, "scores": with_intervals(other, held, test, text, args.bootstraps)}
    for name, table in tables.items():
        show(f"{name}: {table['note']}", table["scores"])
    if args.out is not None:
        whole = {"fold": 9, "recordings": len(test), "encoder": encoder.hash, "bootstraps": args.bootstraps, **tables}
        args.out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except EcgAssistantError as error:
        raise SystemExit(str(error)) from None
