"""What the language model is aligned on: each training recording's evidence, out of fold, and what annotators listed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistant.evidence import ABSENT, PRESENT, Evidence, Finding
from assistant.language.align import AlignmentSet
from encoders.ptbxl import SEXES, PtbXl
from encoders.quality import Quality
from encoders.table import MeasuredTable
from encoders.vocabulary import CODES
from retrieval.case import Case
from retrieval.neighbours import NEIGHBOURS, Agreement, neighbours_say

__all__ = ["alignment_set", "evidence_rows", "person", "truth_rows"]

#: Cases of a prompt, and recordings whose neighbours are held at a time.
_SHOWN, _CHUNK = 10, 1000


def person(data: PtbXl, row: int) -> tuple[float | None, str | None]:
    """Age in years (90 for PTB-XL's masked 300) and sex."""
    age, sex = float(data.table["age"].iloc[row]), data.table["sex"].iloc[row]
    return (None if np.isnan(age) else min(age, 90.0)), SEXES.get(int(sex)) if sex == sex else None


def evidence_rows(
    data: PtbXl, probabilities: NDArray[np.float32], measured: MeasuredTable, thresholds: Any,
    cases: Sequence[tuple[Any, ...]] | None = None, neighbours: Sequence[tuple[Agreement, ...]] | None = None,
) -> list[Evidence]:  # fmt: skip
    """Evidence of every recording from arrays: probabilities (n, 71), measurements, optional cases and what neighbours say."""
    from assistant.decide import heard, states

    quality = Quality("usable", 1.0)
    out = []
    for row in range(len(data)):
        measurements = measured.measurements(row)
        age, sex = person(data, row)
        say = tuple(neighbours[row]) if neighbours is not None else ()
        findings, conflicts = states(probabilities[row], measurements, thresholds, age, sex, quality, neighbours=say)
        near = tuple(cases[row]) if cases is not None else ()
        out.append(Evidence(
            quality, measurements, findings, near, conflicts, age, sex, str(data.ids[row]), neighbours=heard(say, findings)
        ))  # fmt: skip
    return out


def truth_rows(data: PtbXl, measured: MeasuredTable) -> list[Evidence]:
    """Evidence as the annotators would have it: what is listed is present, all else absent."""
    quality = Quality("usable", 1.0)
    out = []
    for row in range(len(data)):
        listed = data.labels[row] > 0
        findings = tuple(
            Finding(code, 0.97 if listed[i] else 0.01, PRESENT if listed[i] else ABSENT) for i, code in enumerate(CODES)
        )
        age, sex = person(data, row)
        out.append(Evidence(quality, measured.measurements(row), findings, (), (), age, sex, str(data.ids[row])))
    return out


def alignment_set(
    data: PtbXl, unseen: dict[str, NDArray[Any]], measured: MeasuredTable, library: Path, encoder_hash: str
) -> AlignmentSet:
    """Everything the alignment reads. Neighbours, and what they say, never include the recording itself or its patient."""
    from assistant.risk import fit_risk
    from retrieval.library import CaseLibrary

    thresholds = fit_risk(data.labels, unseen["probabilities"])
    shelf = CaseLibrary.open(library, encoder_hash)
    common, count = shelf.prevalences(), shelf.count
    cases: list[tuple[Case, ...]] = []
    say: list[tuple[Agreement, ...]] = []
    for start in range(0, len(data), _CHUNK):
        here = slice(start, start + _CHUNK)
        away = [str(p) for p in data.patients[here]]
        for near in shelf.search_batch(unseen["embeddings"][here], k=NEIGHBOURS, exclude_patients=away):
            cases.append(tuple(near[:_SHOWN]))
            say.append(neighbours_say(near, common, count))
    return AlignmentSet(
        evidence_rows(data, unseen["probabilities"], measured, thresholds, cases, say), truth_rows(data, measured),
        unseen["tokens"],
    )  # fmt: skip
