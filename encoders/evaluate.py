"""Scores of the encoder on folds that no training saw: AUROC, calibration error, baselines, all by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.calibrate import fit_calibration
from encoders.fusion import FUSED, READ_FROM
from encoders.leadsets import ALL_LEADS, lead_set
from encoders.metrics import auroc_per_statement, by_superclass, calibration_error, resampled_patients
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
    return float(np.nanmean(picked)) if np.isfinite(picked).any() else float("nan")


def _macro(labels: NDArray[np.uint8], scores: NDArray[np.float32]) -> dict[str, float]:
    """Macro AUROC of every group of statements, and of the superclasses."""
    values = auroc_per_statement(labels, scores)
    groups = {"all": CODES, **{name: codes_in(name) for name in ("diagnostic", "form", "rhythm")}}
    out = {name: _mean(values, codes) for name, codes in groups.items()}
    out["superclasses"] = float(np.nanmean(auroc_per_statement(by_superclass(labels), by_superclass(scores))))
    return out


def _bootstrapped(data: PtbXl, logits: NDArray[np.float32], bootstraps: int) -> dict[str, dict[str, Any]]:
    """``_macro`` with 95 % intervals from ``bootstraps`` resamplings of patients."""
    drawn: dict[str, list[float]] = {}
    for rows in resampled_patients(data.patients, bootstraps):
        for name, value in _macro(data.labels[rows], logits[rows]).items():
            drawn.setdefault(name, []).append(value)
    out: dict[str, dict[str, Any]] = {}
    for name, value in _macro(data.labels, logits).items():
        out[name] = {"value": value}
        if bootstraps:
            out[name]["interval"] = [float(q) for q in np.nanquantile(drawn[name], [0.025, 0.975])]
    return out


def _ece(errors: NDArray[np.float64]) -> dict[str, Any]:
    worst = int(np.argmax(errors))
    return {"mean": float(errors.mean()), "worst": float(errors[worst]), "worst_statement": CODES[worst]}


def evaluate_encoder(
    data: PtbXl, logits: NDArray[np.float32] | Mapping[str, NDArray[np.float32]], *, bootstraps: int = BOOTSTRAPS
) -> dict[str, Any]:
    """Every figure of one encoder on one set, as plain JSON.

    ``logits``: (n, 71) by name of the set of leads they were read from (all twelve among them; FUSED_READINGS: joined with
    measurements), or one array, from all twelve. AUROC with 95 % intervals from ``bootstraps`` resamplings of patients;
    calibration errors are cross-fitted between halves of the patients, for every set of leads on its own. The figures at the
    top are those of all twelve, with measurements where given; "lead_sets" holds a row for each.
    """
    by_set = logits if isinstance(logits, Mapping) else {ALL_LEADS: logits}
    top = FUSED if FUSED in by_set else ALL_LEADS
    labels, full = data.labels, by_set[top]
    areas = {name: auroc_per_statement(labels, z) for name, z in by_set.items()}
    errors = {name: calibration_error(labels, cross_calibrate(z, labels, data.patients)) for name, z in by_set.items()}
    macro = {name: _bootstrapped(data, z, bootstraps) for name, z in by_set.items()}
    superclass = auroc_per_statement(by_superclass(labels), by_superclass(full))
    return {
        "recordings": len(data),
        "macro_auroc": {name: value for name, value in macro[top].items() if name != "superclasses"},
        "superclasses": {
            "macro_auroc": macro[top]["superclasses"]["value"],
            **{name: value for name, value in macro[top]["superclasses"].items() if name == "interval"},
            **{name: float(v) for name, v in zip(SUPERCLASSES, superclass, strict=True)},
        },
        "calibration_error": _ece(errors[top]),
        "lead_sets": {
            name: {
                "leads": list(lead_set(READ_FROM.get(name, name)).leads),
                "macro_auroc": macro[name],
                "calibration_error": _ece(errors[name]),
                "by_group": _by_group(data, by_set[name]),
            }
            for name in by_set
        },
        "by_group": _by_group(data, full),
        "per_statement": {
            code: {
                "cases": int(labels[:, i].sum()),
                "auroc": _rounded(areas[top][i]),
                "calibration_error": round(float(errors[top][i]), 4),
                "auroc_by_lead_set": {name: _rounded(values[i]) for name, values in areas.items()},
            }
            for i, code in enumerate(CODES)
        },
    }


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _by_group(data: PtbXl, logits: NDArray[np.float32]) -> dict[str, dict[str, Any]]:
    """Recordings and macro AUROC of every band of age and of either sex, where there are any."""
    sexes = data.table["sex"].to_numpy(float)
    masks = {**age_bands(data.table["age"].to_numpy(float)), "M": sexes == 0, "F": sexes == 1}
    return {
        name: {
            "recordings": int(mask.sum()),
            "macro_auroc": float(np.nanmean(auroc_per_statement(data.labels[mask], logits[mask]))),
        }
        for name, mask in masks.items()
        if mask.any()
    }
