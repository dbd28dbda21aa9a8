"""Measurements and gate verdicts of many recordings as arrays, computed on every core and kept beside the run."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements
from encoders.ptbxl import PtbXl

__all__ = ["MeasuredTable", "measure_table"]


@dataclass(frozen=True, eq=False)
class MeasuredTable:
    """``values`` float32 (n, m), NaN where not measurable; ``reliability`` float32 (n, m), 0-1; ``usable`` bool (n,).

    Columns in the order of MEASUREMENT_NAMES.
    """

    values: NDArray[np.float32]
    reliability: NDArray[np.float32]
    usable: NDArray[np.bool_]

    def measurements(self, row: int) -> Measurements:
        """One row as a record (how many beats and which leads it rested on is not kept)."""
        return Measurements(
            tuple(
                Measurement(name, None if np.isnan(v) else float(v), reliability=float(r))
                for name, v, r in zip(MEASUREMENT_NAMES, self.values[row], self.reliability[row], strict=True)
            )
        )

    def columns(self) -> dict[str, NDArray[np.float32]]:
        """Values by name."""
        return {name: self.values[:, i] for i, name in enumerate(MEASUREMENT_NAMES)}


def _one(task: tuple[str, bool]) -> tuple[list[float], list[float], bool]:
    from encoders.gate import check
    from encoders.measure import measure
    from encoders.readers import read

    path, gate = task
    ecg = read(path)
    found = measure(ecg)
    values = [np.nan if (v := found.value(name)) is None else float(v) for name in MEASUREMENT_NAMES]
    return values, [found[name].reliability for name in MEASUREMENT_NAMES], check(ecg).usable if gate else True


def measure_table(data: PtbXl, run: Path, workers: int | None = None, *, gate: bool = True) -> MeasuredTable:
    """Measures (and with ``gate`` judges) every recording of the set; kept in ``run`` and read from there next time.

    Without ``gate`` every recording counts as usable.
    """
    from safetensors.numpy import load_file, save_file

    file = run / f"measured-{'gated-' if gate else ''}{len(data)}-{int(data.ids.sum())}.safetensors"
    if not file.exists():
        paths = [(str(data.path(int(i))) + ".hea", gate) for i in data.ids]
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            rows = list(tqdm(pool.map(_one, paths, chunksize=32), total=len(paths), desc="measuring", unit="rec", disable=None))
        run.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {
            "values": np.array([r[0] for r in rows], np.float32),
            "reliability": np.array([r[1] for r in rows], np.float32),
            "usable": np.array([r[2] for r in rows], np.uint8),
        }
        save_file(arrays, file.with_suffix(".part"))
        file.with_suffix(".part").rename(file)
    found = load_file(file)
    return MeasuredTable(found["values"], found["reliability"], found["usable"].astype(bool))
