"""Out-of-fold encodings of training recordings, in the token space of the encoder that ships.

The shipped encoder has seen folds 1-7, so what it says of them is better than it will ever be again. Two helper
networks, each trained on one half of those folds, read the other half instead. Their tokens and embeddings live in
spaces of their own; a ridge regression fitted on fold 8, which none of the three has seen, carries them into the
shipped one. Helper probabilities are calibrated on fold 8 too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.calibrate import fit_calibration
from encoders.metrics import macro_auroc
from encoders.network import EncoderConfig, EncoderNetwork
from encoders.ptbxl import PtbXl
from encoders.raw import encode_all
from encoders.train import TrainConfig, train_encoder

__all__ = ["HALVES", "OutOfFold", "out_of_fold", "train_halves"]

HALVES = ((1, 2, 3, 4), (5, 6, 7))
BRIDGE_FOLD = 8
RIDGE = 1.0


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Per recording of folds 1-8, in the set's order: calibrated probabilities, embeddings and tokens as if unseen.

    ``report`` tells how well the bridge fits: share of token variance explained and the networks' scores on fold 8.
    """

    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    tokens: NDArray[np.float16]
    report: dict[str, float]


def train_halves(data: PtbXl, out: Path, config: TrainConfig, network: EncoderConfig, cache: Path | None) -> list[EncoderNetwork]:
    """The two helper networks (one tower each), resumable like the encoder itself."""
    single = replace(network, complete_only=(False,))
    # Training examples for the language model have twelve leads; crops of few leads would only weaken the helpers.
    config = replace(config, subsets=0.0)
    return [
        train_encoder(data, out / f"half{i}", replace(config, folds=folds, seed=config.seed + 100 + i), single, cache)
        for i, folds in enumerate(HALVES)
    ]


def _bridge(source: NDArray[np.floating], target: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """Ridge map with a constant term, (D+1, D'), and the share of the target's variance it explains on held-out rows."""

    def solve(rows: slice) -> NDArray[np.float64]:
        x = np.c_[source[rows], np.ones(len(source[rows]))].astype(np.float64)
        gram = x.T @ x + RIDGE * np.eye(x.shape[1])
        return np.asarray(np.linalg.solve(gram, x.T @ target[rows].astype(np.float64)))

    cut = int(0.8 * len(source))
    trial = solve(slice(0, cut))
    rest = target[cut:].astype(np.float64)
    residual = rest - np.c_[source[cut:], np.ones(len(rest))] @ trial
    return solve(slice(0, len(source))), float(1 - residual.var(axis=0).sum() / rest.var(axis=0).sum())


def out_of_fold(data: PtbXl, shipped: EncoderNetwork, halves: list[EncoderNetwork], signals: NDArray[np.float16]) -> OutOfFold:
    """Out-of-fold view of folds 1-8; fold 8 itself is read by the shipped encoder, which has not seen it."""
    folds = data.folds
    bridge_rows = np.flatnonzero(folds == BRIDGE_FOLD)
    ship = encode_all(shipped, signals[bridge_rows])
    n = len(data)
    probabilities = np.zeros((n, data.labels.shape[1]), np.float32)
    embeddings = np.zeros((n, ship.embeddings.shape[1]), np.float32)
    tokens = np.zeros((n, *ship.tokens.shape[1:]), np.float16)
    bridge_labels = data.labels[bridge_rows]
    probabilities[bridge_rows] = fit_calibration(ship.logits, bridge_labels, "").apply(ship.logits)
    embeddings[bridge_rows], tokens[bridge_rows] = ship.embeddings, ship.tokens
    report = {"shipped_fold8_auroc": macro_auroc(bridge_labels, ship.logits)}
    for number, network in enumerate(halves):
        unseen = np.flatnonzero(np.isin(folds, HALVES[1 - number]))
        at_bridge = encode_all(network, signals[bridge_rows])
        here = encode_all(network, signals[unseen])
        width = tokens.shape[-1]
        token_map, token_r2 = _bridge(at_bridge.tokens.reshape(-1, width), ship.tokens.reshape(-1, width))
        embedding_map, embedding_r2 = _bridge(at_bridge.embeddings, ship.embeddings)
        flat = here.tokens.reshape(-1, width).astype(np.float32)
        carried = flat @ token_map[:-1].astype(np.float32) + token_map[-1].astype(np.float32)
        tokens[unseen] = carried.reshape(len(unseen), -1, width).astype(np.float16)
        moved = here.embeddings @ embedding_map[:-1] + embedding_map[-1]
        embeddings[unseen] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        probabilities[unseen] = fit_calibration(at_bridge.logits, bridge_labels, "").apply(here.logits)
        report[f"half{number}_token_r2"] = token_r2
        report[f"half{number}_embedding_r2"] = embedding_r2
        report[f"half{number}_fold8_auroc"] = macro_auroc(bridge_labels, at_bridge.logits)
        report[f"half{number}_unseen_auroc"] = macro_auroc(data.labels[unseen], here.logits)
    return OutOfFold(probabilities, embeddings, tokens, report)
