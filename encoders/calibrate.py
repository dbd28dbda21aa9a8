"""Calibration of statement probabilities: one logistic curve per statement and set of leads, shrunk towards a common one.

Platt's form, p = sigmoid(a·z + b), fitted by penalised maximum likelihood on recordings that no training saw. Rare
statements have too few cases for a curve of their own, so slope and offset are pulled towards the pooled fit with the
weight of ``PRIOR_CASES`` cases. What the network says of fewer leads means less, so every set of leads
(``encoders.leadsets``) has curves of its own, and so have the scores that join it with measurements (``encoders.fusion``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from encoders.errors import ArtefactError
from encoders.fusion import FUSED_READINGS
from encoders.leadsets import ALL_LEADS, LEAD_SETS
from encoders.vocabulary import CODES

__all__ = ["READINGS", "Calibration", "Curves", "fit_calibration", "log_odds"]

PRIOR_CASES = 8.0
#: What has curves of its own.
READINGS = (*(one.name for one in LEAD_SETS), *FUSED_READINGS.values())


@dataclass(frozen=True, eq=False)
class Curves:
    """Slope and offset per statement, float64 (71,) each, for one set of leads."""

    slope: NDArray[np.float64]
    offset: NDArray[np.float64]

    def apply(self, logits: NDArray[np.floating]) -> NDArray[np.float32]:
        """Calibrated probabilities, same shape as the logits (..., 71)."""
        return (1 / (1 + np.exp(-(logits * self.slope + self.offset)))).astype(np.float32)

    def each(self, logits: Sequence[NDArray[np.floating]]) -> tuple[NDArray[np.float64], ...]:
        """The same of one array of logits per statement."""
        curves = zip(logits, self.slope, self.offset, strict=True)
        return tuple(np.asarray(1 / (1 + np.exp(-(z * a + b))), np.float64) for z, a, b in curves)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Curves by name of READINGS, and the hash of the encoder they belong to."""

    curves: Mapping[str, Curves]
    encoder_hash: str

    @classmethod
    def identity(cls, encoder_hash: str) -> Calibration:
        """Curves that leave logits as they are, for every reading."""
        return cls({name: Curves(np.ones(len(CODES)), np.zeros(len(CODES))) for name in READINGS}, encoder_hash)

    def apply(self, logits: NDArray[np.floating], lead_sets: str | Sequence[str] = ALL_LEADS) -> NDArray[np.float32]:
        """Calibrated probabilities of logits (..., 71) read from one set of leads, or (n, 71) with the set of each row."""
        if isinstance(lead_sets, str):
            return self.curves[lead_sets].apply(logits)
        out = np.zeros(logits.shape, np.float32)
        names = np.array(lead_sets, object)
        for name in dict.fromkeys(lead_sets):
            out[names == name] = self.curves[name].apply(logits[names == name])
        return out

    def save(self, file: Path, note: dict[str, object]) -> None:
        """Writes the file that ``load`` reads; ``note``: what the curves were fitted on."""
        rows = {
            name: {
                code: [round(float(a), 5), round(float(b), 5)]
                for code, a, b in zip(CODES, curves.slope, curves.offset, strict=True)
            }
            for name, curves in self.curves.items()
        }
        head = json.dumps({"encoder": self.encoder_hash, "form": "sigmoid(a*logit+b)", **note}, indent=1)
        sets = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in rows.items())
        file.write_text(f'{head[:-2]},\n "curves": {{\n{sets}\n }}\n}}\n', encoding="utf-8")

    @classmethod
    def load(cls, file: Path, encoder_hash: str) -> Calibration:
        """Raises ArtefactError where the file is missing, lacks a set of leads or belongs to another encoder."""
        if not file.exists():
            raise ArtefactError("The calibration is missing (calibration.json); reinstall or run `ecg-assistant train`.")
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["encoder"] != encoder_hash:
            raise ArtefactError("The calibration belongs to another encoder; run `ecg-assistant train all`.")
        lacking = [name for name in READINGS if name not in data["curves"]]
        if lacking:
            raise ArtefactError(f"The calibration lacks the lead set {lacking[0]}; run `ecg-assistant train all`.")
        read = {}
        for name in READINGS:
            values = np.array([data["curves"][name][code] for code in CODES])
            read[name] = Curves(values[:, 0], values[:, 1])
        return cls(read, encoder_hash)


def log_odds(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Finite log odds of probabilities, also of 0 and 1."""
    p = np.clip(np.asarray(probabilities, np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)))


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


def _fit_set(logits: NDArray[np.floating], labels: NDArray[np.uint8]) -> Curves:
    z, y = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    a0, b0 = _fit_curve(z.ravel(), y.ravel(), 1.0, 0.0, 0.0)
    curves = [_fit_curve(z[:, c], y[:, c], a0, b0, PRIOR_CASES) for c in range(z.shape[1])]
    return Curves(np.array([c[0] for c in curves]), np.array([c[1] for c in curves]))


def fit_calibration(
    logits: NDArray[np.floating] | Mapping[str, NDArray[np.floating]], labels: NDArray[np.uint8], encoder_hash: str
) -> Calibration:
    """Curves from logits (records, 71) and labels (records, 71) of recordings that no training saw.

    ``logits``: by name of the set of leads they were read from, or one array, read from all twelve.
    """
    by_set = logits if isinstance(logits, Mapping) else {ALL_LEADS: logits}
    return Calibration({name: _fit_set(z, labels) for name, z in by_set.items()}, encoder_hash)
