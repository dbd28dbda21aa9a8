"""Calibration of statement probabilities: one logistic curve per statement, shrunk towards a common one.

Platt's form, p = sigmoid(a·z + b), fitted by penalised maximum likelihood on recordings that no training saw. Rare
statements have too few cases for a curve of their own, so slope and offset are pulled towards the pooled fit with the
weight of ``PRIOR_CASES`` cases.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from encoders.errors import ArtefactError
from encoders.vocabulary import CODES

__all__ = ["Calibration", "fit_calibration"]

PRIOR_CASES = 8.0


@dataclass(frozen=True, eq=False)
class Calibration:
    """Slope and offset per statement, float64 (71,) each, and the hash of the encoder they belong to."""

    slope: NDArray[np.float64]
    offset: NDArray[np.float64]
    encoder_hash: str

    def apply(self, logits: NDArray[np.floating]) -> NDArray[np.float32]:
        """Calibrated probabilities, same shape as the logits (..., 71)."""
        return (1 / (1 + np.exp(-(logits * self.slope + self.offset)))).astype(np.float32)

    def save(self, file: Path, note: dict[str, object]) -> None:
        rows = {code: [round(float(a), 5), round(float(b), 5)] for code, a, b in zip(CODES, self.slope, self.offset, strict=True)}
        text = json.dumps({"encoder": self.encoder_hash, "form": "sigmoid(a*logit+b)", **note, "curves": rows}, indent=1)
        file.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, file: Path, encoder_hash: str) -> Calibration:
        """Raises ArtefactError where the file is missing or belongs to another encoder."""
        if not file.exists():
            raise ArtefactError("The calibration is missing (calibration.json); reinstall or run `ecg-assistant train`.")
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["encoder"] != encoder_hash:
            raise ArtefactError("The calibration belongs to another encoder; run `ecg-assistant train all`.")
        curves = np.array([data["curves"][code] for code in CODES])
        return cls(curves[:, 0], curves[:, 1], encoder_hash)


def _fit_curve(z: NDArray[np.float64], y: NDArray[np.float64], a0: float, b0: float, prior: float) -> tuple[float, float]:
    def loss(params: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        a, b = params
        s = a * z + b
        p = 1 / (1 + np.exp(-s))
        nll = float(np.sum(np.logaddexp(0, s) - y * s))
        # A quadratic pull whose stiffness is that of `prior` cases at the scale of one logit.
        value = nll + prior * (8 * (a - a0) ** 2 + 0.5 * (b - b0) ** 2)
        grad = np.array([np.sum((p - y) * z) + 16 * prior * (a - a0), np.sum(p - y) + prior * (b - b0)])
        return value, grad

    result = minimize(loss, np.array([a0, b0]), jac=True, method="L-BFGS-B", bounds=[(0.1, 5.0), (-15.0, 15.0)])
    return float(result.x[0]), float(result.x[1])


def fit_calibration(logits: NDArray[np.floating], labels: NDArray[np.uint8], encoder_hash: str) -> Calibration:
    """Curves from logits (records, 71) and labels (records, 71) of recordings that no training saw."""
    z, y = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    a0, b0 = _fit_curve(z.ravel(), y.ravel(), 1.0, 0.0, 0.0)
    curves = [_fit_curve(z[:, c], y[:, c], a0, b0, PRIOR_CASES) for c in range(z.shape[1])]
    return Calibration(np.array([c[0] for c in curves]), np.array([c[1] for c in curves]), encoder_hash)
