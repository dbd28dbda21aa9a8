"""Out-of-fold encodings of training recordings, in the token space of the encoder that ships.

The shipped encoder has seen folds 1-7, so what it says of them is better than it will ever be again. Two helper
networks, each trained on one half of those folds, read the other half instead; fewer leads are read by each after ten more
epochs, in which it sees few-lead crops. Their tokens and embeddings live in
spaces of their own; a ridge regression fitted on fold 8, which none of the three has seen, carries them into the
shipped one. Helper probabilities are calibrated on fold 8 too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.calibrate import fit_calibration
from encoders.leadsets import ALL_LEADS, LEAD_SETS, masked
from encoders.metrics import macro_auroc
from encoders.network import EncoderConfig, EncoderNetwork
from encoders.ptbxl import PtbXl
from encoders.raw import encode_all
from encoders.train import Cycle, TrainConfig, train_encoder

__all__ = ["HALVES", "Helper", "OutOfFold", "out_of_fold", "out_of_fold_file", "probabilities_key", "train_halves"]

HALVES = ((1, 2, 3, 4), (5, 6, 7))
BRIDGE_FOLD = 8
RIDGE = 1.0


#: What a helper goes through from reading all leads to reading any.
FEW = Cycle(10, 2.5e-3)


@dataclass(frozen=True, eq=False)
class Helper:
    """A network that one half of the folds trained: for complete recordings, and for those of few leads."""

    complete: EncoderNetwork
    few: EncoderNetwork


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Per recording of folds 1-8, in the set's order: calibrated probabilities (by set of leads), embeddings and tokens (of all
    twelve leads) as if unseen.

    ``report`` tells how well the bridge fits: share of token variance explained and the networks' scores on fold 8.
    """

    probabilities: dict[str, NDArray[np.float32]]
    embeddings: NDArray[np.float32]
    tokens: NDArray[np.float16]
    report: dict[str, float]


def probabilities_key(lead_set: str) -> str:
    """Name of the probabilities read from a set of leads, in the file that keeps an ``OutOfFold``."""
    return "probabilities" if lead_set == ALL_LEADS else f"probabilities {lead_set}"


def out_of_fold_file(run: Path, encoder_hash: str) -> Path:
    """Where a run folder keeps the ``OutOfFold`` of an encoder."""
    return run / f"unseen-{encoder_hash[:12]}.safetensors"


def train_halves(data: PtbXl, out: Path, config: TrainConfig, network: EncoderConfig, cache: Path | None) -> list[Helper]:
    """The two helpers (networks of one tower), resumable like the encoder itself."""
    single = replace(network, complete_only=(False,))
    # Crops of few leads would weaken what a single tower says of twelve.
    first = tuple(replace(cycle, subsets=0.0) for cycle in config.cycles)
    helpers = []
    for i, folds in enumerate(HALVES):
        own = replace(config, folds=folds, seed=config.seed + 100 + i)
        helpers.append(Helper(*(
            train_encoder(data, out / f"half{i}", replace(own, cycles=cycles), single, cache)
            for cycles in (first, (*first, FEW))
        )))  # fmt: skip
    return helpers


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


def out_of_fold(data: PtbXl, shipped: EncoderNetwork, halves: list[Helper], signals: NDArray[np.float16]) -> OutOfFold:
    """Out-of-fold view of folds 1-8; fold 8 itself is read by the shipped encoder, which has not seen it."""
    folds = data.folds
    bridge_rows = np.flatnonzero(folds == BRIDGE_FOLD)
    at_bridge = np.array(signals[bridge_rows])
    ship = encode_all(shipped, at_bridge)
    n = len(data)
    probabilities = {one.name: np.zeros((n, data.labels.shape[1]), np.float32) for one in LEAD_SETS}
    embeddings = np.zeros((n, ship.embeddings.shape[1]), np.float32)
    tokens = np.zeros((n, *ship.tokens.shape[1:]), np.float16)
    bridge_labels = data.labels[bridge_rows]
    for name, found in probabilities.items():
        logits = ship.logits if name == ALL_LEADS else encode_all(shipped, masked(at_bridge, name)).logits
        found[bridge_rows] = fit_calibration(logits, bridge_labels, "").apply(logits)
    embeddings[bridge_rows], tokens[bridge_rows] = ship.embeddings, ship.tokens
    report = {"shipped_fold8_auroc": macro_auroc(bridge_labels, ship.logits)}
    for number, helper in enumerate(halves):
        unseen = np.flatnonzero(np.isin(folds, HALVES[1 - number]))
        away = np.array(signals[unseen])
        there, here = (encode_all(helper.complete, part) for part in (at_bridge, away))
        width = tokens.shape[-1]
        token_map, token_r2 = _bridge(there.tokens.reshape(-1, width), ship.tokens.reshape(-1, width))
        embedding_map, embedding_r2 = _bridge(there.embeddings, ship.embeddings)
        flat = here.tokens.reshape(-1, width).astype(np.float32)
        carried = flat @ token_map[:-1].astype(np.float32) + token_map[-1].astype(np.float32)
        tokens[unseen] = carried.reshape(len(unseen), -1, width).astype(np.float16)
        moved = here.embeddings @ embedding_map[:-1] + embedding_map[-1]
        embeddings[unseen] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        for name, found in probabilities.items():
            known, logits = there.logits, here.logits
            if name != ALL_LEADS:
                known, logits = (encode_all(helper.few, masked(part, name)).logits for part in (at_bridge, away))
            found[unseen] = fit_calibration(known, bridge_labels, "").apply(logits)
            report[f"half{number}_unseen_auroc {name}"] = macro_auroc(data.labels[unseen], logits)
        report[f"half{number}_token_r2"] = token_r2
        report[f"half{number}_embedding_r2"] = embedding_r2
        report[f"half{number}_fold8_auroc"] = macro_auroc(bridge_labels, there.logits)
    return OutOfFold(probabilities, embeddings, tokens, report)
