"""What the language model is aligned on: each training recording's evidence, out of fold, and what annotators listed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistant.evidence import ABSENT, PRESENT, Evidence, Finding
from assistant.language.align import AlignmentSet
from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements
from encoders.ptbxl import SEXES, PtbXl
from encoders.quality import Quality
from encoders.vocabulary import CODES

__all__ = ["alignment_set", "evidence_rows", "measurements_from_row", "person"]


def measurements_from_row(row: NDArray[np.float32]) -> Measurements:
    """Measurements from one row of a table in the order of MEASUREMENT_NAMES, NaN where not measurable."""
    return Measurements(
        tuple(
            Measurement(name, None if np.isnan(v) else float(v), beats=0 if np.isnan(v) else 8, reliability=float(not np.isnan(v)))
            for name, v in zip(MEASUREMENT_NAMES, row, strict=True)
        )
    )


def person(data: PtbXl, row: int) -> tuple[float | None, str | None]:
    """Age in years (90 for PTB-XL's masked 300) and sex."""
    age, sex = float(data.table["age"].iloc[row]), data.table["sex"].iloc[row]
    return (None if np.isnan(age) else min(age, 90.0)), SEXES.get(int(sex)) if sex == sex else None


def evidence_rows(
    data: PtbXl, probabilities: NDArray[np.float32], measured: NDArray[np.float32], thresholds: Any,
    cases: Sequence[tuple[Any, ...]] | None = None,
) -> list[Evidence]:  # fmt: skip
    """Evidence of every recording from arrays: probabilities (n, 71), measurements (n, names), optional cases."""
    from assistant.decide import states

    quality = Quality("usable", 1.0)
    out = []
    for row in range(len(data)):
        measurements = measurements_from_row(measured[row])
        age, sex = person(data, row)
        findings, conflicts = states(probabilities[row], measurements, thresholds, age, sex, quality)
        out.append(
            Evidence(
                quality, measurements, findings, tuple(cases[row]) if cases is not None else (), conflicts, age, sex, str(data.ids[row])
            )
        )
    return out


def _truth(data: PtbXl, measured: NDArray[np.float32]) -> list[Evidence]:
    quality = Quality("usable", 1.0)
    out = []
    for row in range(len(data)):
        listed = data.labels[row] > 0
        findings = tuple(
            Finding(code, 0.97 if listed[i] else 0.01, PRESENT if listed[i] else ABSENT) for i, code in enumerate(CODES)
        )
        age, sex = person(data, row)
        out.append(Evidence(quality, measurements_from_row(measured[row]), findings, (), (), age, sex, str(data.ids[row])))
    return out


def alignment_set(
    data: PtbXl, unseen: dict[str, NDArray[Any]], measured: NDArray[np.float32], library: Path, encoder_hash: str
) -> AlignmentSet:
    """Everything the alignment reads. Neighbours never include the recording itself or its patient."""
    from assistant.risk import fit_risk
    from retrieval.library import CaseLibrary

    thresholds = fit_risk(data.labels, unseen["probabilities"])
    shelf = CaseLibrary.open(library, encoder_hash)
    cases = shelf.search_batch(unseen["embeddings"], k=10, exclude_patients=[str(p) for p in data.patients])
    return AlignmentSet(
        evidence_rows(data, unseen["probabilities"], measured, thresholds, cases), _truth(data, measured), unseen["tokens"]
    )
