"""Measurements and gate verdicts of many recordings as arrays, computed on every core and kept beside the run."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.ecg import STANDARD_LEADS
from encoders.files import file_sha256
from encoders.leadsets import ALL_LEADS, lead_set
from encoders.measurements import LEAD_VALUES, MEASUREMENT_NAMES, MORE_NAMES, LeadMeasurement, Measurement, Measurements
from encoders.ptbxl import PtbXl

__all__ = ["MeasuredTable", "measure_table", "one_thread"]


@dataclass(frozen=True, eq=False)
class MeasuredTable:
    """Measurements of n recordings, NaN where not measurable.

    ``values``, ``reliability`` (0-1) float32 (n, m), columns in the order of MEASUREMENT_NAMES; ``usable`` bool (n,).
    ``more``, ``more_reliability`` float32 (n, k) in the order of MORE_NAMES; ``per_lead`` float32 (n, 12, v) in the order of the
    standard leads and LEAD_VALUES, ``lead_reliability`` float32 (n, 12).
    """

    values: NDArray[np.float32]
    reliability: NDArray[np.float32]
    usable: NDArray[np.bool_]
    more: NDArray[np.float32]
    more_reliability: NDArray[np.float32]
    per_lead: NDArray[np.float32]
    lead_reliability: NDArray[np.float32]

    def measurements(self, row: int) -> Measurements:
        """One row as a record (how many beats and which leads it rested on, and why values are missing, is not kept)."""
        return Measurements(
            _items(MEASUREMENT_NAMES, self.values[row], self.reliability[row]),
            _items(MORE_NAMES, self.more[row], self.more_reliability[row]),
            tuple(
                replace(LeadMeasurement(lead, reliability=float(sure)), **_lead_values(values))
                for lead, values, sure in zip(STANDARD_LEADS, self.per_lead[row], self.lead_reliability[row], strict=True)
            ),
        )

    def take(self, keep: NDArray[np.bool_]) -> MeasuredTable:
        """The same table, only the rows where ``keep`` is true."""
        return MeasuredTable(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})

    def columns(self) -> dict[str, NDArray[np.float32]]:
        """Values of MEASUREMENT_NAMES by name: what a case library stores."""
        return {name: self.values[:, i] for i, name in enumerate(MEASUREMENT_NAMES)}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _lead_values(values: NDArray[np.float32]) -> dict[str, Any]:
    return {name: _known(value) for name, value in zip(LEAD_VALUES, values, strict=True)}


def _items(
    names: tuple[str, ...], values: NDArray[np.float32], reliability: NDArray[np.float32]
) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(name, _known(v), reliability=float(r)) for name, v, r in zip(names, values, reliability, strict=True)
    )


def _numbers(values: Iterable[float | None]) -> list[float]:
    return [np.nan if v is None else float(v) for v in values]


def one_thread() -> None:
    """For worker processes: one thread each, since there are as many of them as cores."""
    import torch

    torch.set_num_threads(1)


def _one(task: tuple[str, bool, str]) -> dict[str, Any]:
    from encoders.gate import check
    from encoders.measure import measure
    from encoders.readers import read

    path, gate, name = task
    ecg = read(path)
    if name != ALL_LEADS:
        ecg = ecg.select(lead_set(name).leads)
    found = measure(ecg)
    return {
        "values": _numbers(m.value for m in found.items),
        "reliability": [m.reliability for m in found.items],
        "usable": check(ecg, wanted=lead_set(name).leads).usable if gate else True,
        "more": _numbers(m.value for m in found.more),
        "more_reliability": [m.reliability for m in found.more],
        "per_lead": [_numbers(item.value(v) for v in LEAD_VALUES) for item in found.per_lead],
        "lead_reliability": [item.reliability for item in found.per_lead],
    }


def measure_table(
    data: PtbXl, run: Path, workers: int | None = None, *, gate: bool = True, read_from: str = ALL_LEADS
) -> MeasuredTable:
    """Measures (and with ``gate`` judges) every recording of the set; kept in ``run`` and read from there next time.

    Without ``gate`` every recording counts as usable. ``read_from``: name of the set of leads that is measured and judged.
    """
    from safetensors.numpy import load_file, save_file

    part = "" if read_from == ALL_LEADS else f"{read_from}-"
    # The name changes with what is kept and with the delineation, so that a run folder of an older version is measured again.
    marks = file_sha256(Path(__file__).parent / "weights" / "delineation.safetensors")[:8]
    file = run / f"measured2-{marks}-{part}{'gated-' if gate else ''}{len(data)}-{int(data.ids.sum())}.safetensors"
    if not file.exists():
        paths = [(str(data.path(int(i))) + ".hea", gate, read_from) for i in data.ids]
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=one_thread) as pool:
            rows = list(tqdm(pool.map(_one, paths, chunksize=32), total=len(paths), desc="measuring", unit="rec", disable=None))
        run.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {
            key: np.array([r[key] for r in rows], np.uint8 if key == "usable" else np.float32) for key in rows[0]
        }
        save_file(arrays, file.with_suffix(".part"))
        file.with_suffix(".part").rename(file)
    found = load_file(file)
    usable = found.pop("usable").astype(bool)
    return MeasuredTable(usable=usable, **found)
