"""Fits the quality gate's model on the PhysioNet/CinC Challenge 2011 recordings and writes ``weights/gate.json``.

Command: ``python -c "from encoders.gate_fit import fit_gate; fit_gate('CINC2011_FOLDER')"``. The same data give the same file.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.errors import RecordingError
from encoders.gate_features import FEATURE_NAMES, feature_vector, lead_signs
from encoders.readers import read

__all__ = ["CHOSEN", "cross_validated", "fit_gate", "fit_logistic", "load_challenge"]

Floats = NDArray[np.float64]

#: Features that do not depend on the device's gain or rate: absolute millivolts would only tell the 2011 phone from carts.
CHOSEN = tuple(
    name
    for name in FEATURE_NAMES
    if any(word in name for word in ("coherence", "flat", "ratio", "burst", "jump", "rr_spread", "dead"))
)
_RIDGE = 10.0
_REPEATS, _PARTS = 4, 10


def load_challenge(folder: str | Path) -> tuple[Floats, Floats]:
    """Features (records, len(CHOSEN)) and labels (1 acceptable, 0 not) of a folder with ``labels.csv`` and WFDB records."""
    folder = Path(folder)
    file = folder / "labels.csv"
    if not file.exists():
        raise RecordingError(f"There is no labels.csv in {folder.name!r}; give the folder of the unpacked challenge recordings.")
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    at = [FEATURE_NAMES.index(name) for name in CHOSEN]
    features = [feature_vector(lead_signs(read(folder / row["record"])))[at] for row in rows]
    return np.array(features), np.array([float(row["acceptable"]) for row in rows])


def fit_logistic(x: Floats, y: Floats, ridge: float = _RIDGE) -> tuple[Floats, float]:
    """Weights and intercept of a logistic regression by Newton's method, L2 penalty ``ridge``/2 on the weights."""
    design = np.column_stack([x, np.ones(len(x))])
    penalty = np.diag([ridge] * x.shape[1] + [1e-9])
    w = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ w, -30, 30)))
        gradient = design.T @ (p - y) + penalty @ w
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + penalty
        step = np.linalg.solve(hessian, gradient)
        w -= step
        if np.abs(step).max() < 1e-8:
            break
    return w[:-1], float(w[-1])


def _standard(x: Floats) -> tuple[Floats, Floats]:
    return x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)


def _score(x: Floats, mean: Floats, scale: Floats, weights: Floats, intercept: float) -> Floats:
    return np.asarray(1 / (1 + np.exp(-(np.clip((x - mean) / scale, -4, 4) @ weights + intercept))))


def _auroc(y: Floats, score: Floats) -> float:
    wins = score[y == 1][:, None] - score[y == 0][None]
    return float((wins > 0).mean() + 0.5 * (wins == 0).mean())


def cross_validated(x: Floats, y: Floats) -> dict[str, float]:
    """AUROC, the threshold with the best balanced accuracy (grid of 0.05) and what it gives, on held-out parts."""
    held = np.zeros((_REPEATS, len(y)))
    for repeat in range(_REPEATS):
        part = np.zeros(len(y), int)
        rng = np.random.default_rng(repeat)
        for label in (0, 1):
            rows = rng.permutation(np.flatnonzero(y == label))
            part[rows] = np.arange(len(rows)) % _PARTS
        for k in range(_PARTS):
            mean, scale = _standard(x[part != k])
            fitted = fit_logistic(np.clip((x[part != k] - mean) / scale, -4, 4), y[part != k])
            held[repeat, part == k] = _score(x[part == k], mean, scale, *fitted)
    grid = np.round(np.arange(0.3, 0.9, 0.05), 2)
    balanced = [float(((held[:, y == 1] >= t).mean() + (held[:, y == 0] < t).mean()) / 2) for t in grid]
    threshold = float(grid[int(np.argmax(balanced))])
    return {
        "unusable_below": threshold,
        "auroc": round(float(np.mean([_auroc(y, row) for row in held])), 4),
        "sensitivity_to_unacceptable": round(float((held[:, y == 0] < threshold).mean()), 4),
        "false_alarms_on_acceptable": round(float((held[:, y == 1] < threshold).mean()), 4),
    }


def fit_gate(folder: str | Path, out: str | Path | None = None) -> dict[str, object]:
    """Fits on all recordings, cross-validates (10 parts, 4 repeats), writes the model with its card, and gives the card.

    What ``encoders.placement_fit`` wrote into the same file stays.
    """
    x, y = load_challenge(folder)
    figures = cross_validated(x, y)
    threshold = figures.pop("unusable_below")
    mean, scale = _standard(x)
    weights, intercept = fit_logistic(np.clip((x - mean) / scale, -4, 4), y)
    card: dict[str, object] = {
        "data": "PhysioNet/CinC Challenge 2011 set A, 300 recordings (188 acceptable, 112 not), ODC-By 1.0",
        "model": "logistic regression on gain-free signs of the leads, clipped at 4 standard deviations",
        "command": "encoders.gate_fit.fit_gate(folder)",
        "cross_validation": f"{_PARTS} parts, {_REPEATS} repeats",
        **figures,
    }
    model: dict[str, object] = {
        "card": card,
        "features": list(CHOSEN),
        "mean": [round(float(v), 6) for v in mean],
        "scale": [round(float(v), 6) for v in scale],
        "weights": [round(float(v), 6) for v in weights],
        "intercept": round(intercept, 6),
        "unusable_below": threshold,
    }
    file = Path(out) if out is not None else Path(__file__).with_name("weights") / "gate.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8")).get("placement")
        model |= {} if kept is None else {"placement": kept}
    file.write_text(json.dumps(model, separators=(",", ":")) + "\n", encoding="utf-8")
    return card
