"""Scores of the encoder on folds that no training saw: AUROC, calibration error, baselines, all by group."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.calibrate import fit_calibration
from encoders.metrics import auroc_per_statement, calibration_error
from encoders.ptbxl import PtbXl
from encoders.vocabulary import CODES, SUPERCLASSES, codes_in

__all__ = ["AGE_BANDS", "age_bands", "cross_calibrate", "evaluate_encoder", "patient_halves"]

BOOTSTRAPS = 200
#: Lower and upper bound in years; PTB-XL writes 300 for "90 or older".
AGE_BANDS = ((0, 18), (18, 40), (40, 60), (60, 80), (80, 131))


def patient_halves(patients: NDArray[np.int64], seed: int = 0) -> NDArray[np.bool_]:
    """True for the recordings of one half of the patients, bool (n,); the split depends on patients and seed alone."""
    unique = np.unique(patients)
    first = np.random.default_rng(seed).permutation(unique)[: len(unique) // 2]
    return np.isin(patients, first)


def cross_calibrate(logits: NDArray[np.float32], labels: NDArray[np.uint8], patients: NDArray[np.int64]) -> NDArray[np.float32]:
    """Calibrated probabilities in which each half of the patients is calibrated on the other half."""
    half = patient_halves(patients)
    out = np.zeros(logits.shape, np.float32)
    for side in (half, ~half):
        out[side] = fit_calibration(logits[~side], labels[~side], "").apply(logits[side])
    return out


def age_bands(ages: NDArray[np.floating]) -> dict[str, NDArray[np.bool_]]:
    """Masks per band of age in years, e.g. "age 40-59"; unknown ages (NaN) are in none."""
    capped = np.minimum(ages, 130)
    return {f"age {low}-{high - 1}": (capped >= low) & (capped < high) for low, high in AGE_BANDS}


def _mean(values: NDArray[np.float64], codes: tuple[str, ...]) -> float:
    picked = values[[CODES.index(c) for c in codes]]
    return float(np.nanmean(picked))


def evaluate_encoder(data: PtbXl, logits: NDArray[np.float32], *, bootstraps: int = BOOTSTRAPS) -> dict[str, Any]:
    """Every figure of one encoder on one set, as plain JSON.

    AUROC with 95 % intervals from ``bootstraps`` resamplings of patients; calibration errors are cross-fitted between
    halves of the patients.
    """
    labels = data.labels
    per_statement = auroc_per_statement(labels, logits)
    groups = {"all": CODES, **{name: codes_in(name) for name in ("diagnostic", "form", "rhythm")}}
    scores = {name: [_mean(per_statement, codes)] for name, codes in groups.items()}
    columns = {name: [CODES.index(c) for c in codes_in(name)] for name in SUPERCLASSES}
    super_labels = np.stack([labels[:, c].max(axis=1) for c in columns.values()], axis=1)
    super_scores = np.stack([logits[:, c].max(axis=1) for c in columns.values()], axis=1)
    superclass = auroc_per_statement(super_labels, super_scores)
    patients = data.patients
    unique, inverse = np.unique(patients, return_inverse=True)
    rng = np.random.default_rng(0)
    rows_of = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    drawn: dict[str, list[float]] = {name: [] for name in groups}
    for _ in range(bootstraps):
        rows = np.concatenate([rows_of[i] for i in rng.integers(0, len(unique), len(unique))])
        values = auroc_per_statement(labels[rows], logits[rows])
        for name, codes in groups.items():
            drawn[name].append(_mean(values, codes))
    probabilities = cross_calibrate(logits, labels, patients)
    ece = calibration_error(labels, probabilities)
    worst = int(np.argmax(ece))
    by_group = {}
    ages = data.table["age"].to_numpy(float)
    sexes = data.table["sex"].to_numpy(float)
    masks = {**age_bands(ages), "M": sexes == 0, "F": sexes == 1}
    for name, mask in masks.items():
        if not mask.any():
            continue
        values = auroc_per_statement(labels[mask], logits[mask])
        by_group[name] = {"recordings": int(mask.sum()), "macro_auroc": float(np.nanmean(values))}
    return {
        "recordings": len(data),
        "macro_auroc": {
            name: {"value": value[0], "interval": [float(q) for q in np.nanquantile(drawn[name], [0.025, 0.975])]}
            if bootstraps
            else {"value": value[0]}
            for name, value in scores.items()
        },
        "superclasses": {
            "macro_auroc": float(np.nanmean(superclass)),
            **{name: float(v) for name, v in zip(SUPERCLASSES, superclass, strict=True)},
        },
        "calibration_error": {"mean": float(ece.mean()), "worst": float(ece[worst]), "worst_statement": CODES[worst]},
        "by_group": by_group,
        "per_statement": {
            code: {
                "cases": int(labels[:, i].sum()),
                "auroc": None if np.isnan(per_statement[i]) else round(float(per_statement[i]), 4),
                "calibration_error": round(float(ece[i]), 4),
            }
            for i, code in enumerate(CODES)
        },
    }
