"""LUDB as a training and evaluation set (Kalyakulina et al. 2020, doi:10.1109/ACCESS.2020.3029211): signals and boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

from encoders.ecg import STANDARD_LEADS
from encoders.errors import RecordingError

__all__ = ["LEAD_SYMBOLS", "Annotated", "LeadMarks", "load_ludb", "read_marks"]

#: Wave names and the symbols that LUDB gives their peaks.
LEAD_SYMBOLS = {"P": "p", "QRS": "N", "T": "t"}


@dataclass(frozen=True, eq=False)
class LeadMarks:
    """Cardiologists' marks of one lead, in samples of the file.

    ``waves``: per wave name float64 (n, 3) of onset, peak, offset, NaN where a boundary is not marked. ``span``: from the
    onset of the first to the offset of the last annotated QRS; beats and waves outside were not annotated.
    """

    waves: dict[str, NDArray[np.float64]]
    span: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Annotated:
    """One recording: ``name``, ``signal_mv`` float32 (12, samples), ``fs_hz``, marks per lead in standard order."""

    name: str
    signal_mv: NDArray[np.float32]
    fs_hz: float
    marks: tuple[LeadMarks, ...]


def read_marks(stem: Path, extension: str) -> LeadMarks:
    """The marks of one lead (annotation file ``stem.extension``)."""
    a = wfdb.rdann(str(stem), extension)
    symbols, at = list(a.symbol), np.asarray(a.sample, float)
    waves: dict[str, NDArray[np.float64]] = {}
    for name, letter in LEAD_SYMBOLS.items():
        rows = [
            (
                at[k - 1] if k and symbols[k - 1] == "(" else np.nan,
                at[k],
                at[k + 1] if k + 1 < len(symbols) and symbols[k + 1] == ")" else np.nan,
            )
            for k, symbol in enumerate(symbols)
            if symbol == letter
        ]
        waves[name] = np.array(rows, float).reshape(-1, 3)
    qrs = waves["QRS"]
    if len(qrs) == 0:
        return LeadMarks(waves, (0.0, 0.0))
    first = qrs[0, 0] if np.isfinite(qrs[0, 0]) else qrs[0, 1]
    last = qrs[-1, 2] if np.isfinite(qrs[-1, 2]) else qrs[-1, 1]
    return LeadMarks(waves, (float(first), float(last)))


def load_ludb(folder: str | Path) -> list[Annotated]:
    """All recordings below ``folder``/data in order of their numbers. Raises RecordingError where there are none."""
    stems = sorted((Path(folder) / "data").glob("*.hea"), key=lambda p: int(p.stem))
    if not stems:
        raise RecordingError(f"There are no recordings in {Path(folder).name!r}; give the folder of an unpacked LUDB.")
    out = []
    for header in stems:
        stem = header.with_suffix("")
        physical, fields = wfdb.rdsamp(str(stem))
        row = {name.lower(): k for k, name in enumerate(fields["sig_name"])}
        signal = physical.T[[row[lead.lower()] for lead in STANDARD_LEADS]].astype(np.float32)
        marks = tuple(read_marks(stem, lead.lower()) for lead in STANDARD_LEADS)
        out.append(Annotated(header.stem, signal, float(fields["fs"]), marks))
    return out
