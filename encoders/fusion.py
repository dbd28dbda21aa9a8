"""What the network says together with what is measured: one score for each statement.

The network sees windows of 2.5 s at 100 Hz, and neither age nor sex. Rate, rhythm over the whole recording, intervals, axes,
voltages and ST levels are measured; a statement's score is

    s = a z + b + β (u · Z + w · X) + v · h(Z, X)

with its own logit z, the logits Z of all statements and the columns X below, all in units of their spread; h is one hidden layer
(SiLU), which counts the more the commoner a statement is. All weights are fitted (``encoders.fusion_fit``) on logits of networks
that had not seen the recordings. Every set of leads (``encoders.leadsets``) has weights of its own, for what is measured on
these leads; a value that could not be measured, and an unknown age or sex, count as the usual one.

Columns: MEASUREMENT_NAMES, MORE_NAMES, LEAD_VALUES of each lead, age and sex, clipped to what 98 % of the recordings show; the
square of age; and, for MEASUREMENT_NAMES, whether it could not be measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import STANDARD_LEADS
from encoders.errors import ArtefactError
from encoders.files import file_sha256
from encoders.leadsets import ALL_LEADS, LEAD_SETS
from encoders.measurements import LEAD_VALUES, MEASUREMENT_NAMES, MORE_NAMES, Measurements
from encoders.vocabulary import CODES

if TYPE_CHECKING:
    from encoders.ptbxl import PtbXl
    from encoders.table import MeasuredTable

__all__ = [
    "COLUMNS", "FUSED", "FUSED_READINGS", "READ_FROM", "Columns", "Fusion", "Weighed", "joined", "load_fusions", "measured_row",
    "ptbxl_rows", "row_names", "save_fusions", "silu",
]  # fmt: skip

#: Name of this reading beside those of the sets of leads: all twelve leads, with measurements, age and sex.
FUSED = "12 leads and measurements"
#: The same of every set of leads, by the set's name.
FUSED_READINGS = {one.name: FUSED if one.name == ALL_LEADS else f"{one.name} and measurements" for one in LEAD_SETS}
#: The set of leads that a joined reading was made from.
READ_FROM = {reading: name for name, reading in FUSED_READINGS.items()}
WEIGHTS, CARD = "fusion.safetensors", "fusion.json"
Rows = NDArray[np.float64]
_WORTH_TELLING = 0.2
#: What the hidden layer reads is clipped to this, in units of spread.
BOUND = 5.0


def silu(x: NDArray[Any]) -> NDArray[Any]:
    """x / (1 + e^-x), the hidden layers' bend, without overflow."""
    return np.asarray(x / (1 + np.exp(-np.clip(x, -30, 30))))


def row_names() -> tuple[str, ...]:
    """Names of the numbers that go in, in order."""
    return (
        *MEASUREMENT_NAMES, *MORE_NAMES, *(f"{name} {lead}" for lead in STANDARD_LEADS for name in LEAD_VALUES), "age", "female"
    )  # fmt: skip


#: How many numbers of one recording go in.
COLUMNS = len(row_names())


def measured_row(measurements: Measurements, age_years: float | None, sex: str | None) -> Rows:
    """(COLUMNS,) of one recording, NaN where a value is not known. ``sex``: "F", "M" or None."""
    per_lead = {item.lead: item for item in measurements.per_lead}
    values: list[float | None] = [m.value for m in (*measurements.items, *measurements.more)]
    for lead in STANDARD_LEADS:
        item = per_lead.get(lead)
        values += [None if item is None else item.value(name) for name in LEAD_VALUES]
    values += [age_years, None if sex is None else float(sex == "F")]
    return np.array([np.nan if value is None else float(value) for value in values])


def joined(
    fusions: Mapping[str, Fusion], data: PtbXl, tables: Mapping[str, MeasuredTable], logits: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Scores (n, 71) by reading: the network's logits by set of leads, and, by FUSED_READINGS, these joined with what was
    measured on the same leads. All three arguments by name of the set of leads."""
    told = {FUSED_READINGS[name]: fusions[name].apply(z, ptbxl_rows(data, tables[name])) for name, z in logits.items()}
    return {**logits, **told}


def ptbxl_rows(data: PtbXl, table: MeasuredTable) -> Rows:
    """(n, COLUMNS) of the recordings of a set and their measurements."""
    female = data.table["sex"].to_numpy(float)  # 1 is female in PTB-XL
    parts = [table.values, table.more, table.per_lead.reshape(len(data), -1), data.ages[:, None], female[:, None]]
    return np.concatenate([np.asarray(part, np.float64) for part in parts], axis=1)


@dataclass(frozen=True, eq=False)
class Columns:
    """How numbers become columns: ``low``, ``high`` (what they are clipped to), ``centre`` and ``spread``, each (COLUMNS,)."""

    low: Rows
    high: Rows
    centre: Rows
    spread: Rows

    @classmethod
    def of(cls, rows: Rows) -> Columns:
        """From the numbers (n, COLUMNS) of the recordings that are learned from; a number that none of them has (a lead that is
        not in the set) counts as not measured, whatever it is."""
        rows = np.where(np.isnan(rows).all(axis=0), 0.0, rows)
        low, high = np.nanquantile(rows, [0.01, 0.99], axis=0)
        centre = np.nanmedian(rows, axis=0)
        low[-1], high[-1], centre[-1] = 0.0, 1.0, 0.5  # sex
        return cls(low, high, centre, np.nanstd(np.clip(rows, low, high), axis=0) + 1e-6)

    def __call__(self, rows: Rows) -> Rows:
        """(n, COLUMNS) → (n, columns); see the module's docstring for their order."""
        rows = np.where(self.low == self.high, np.nan, rows)
        known = np.where(np.isnan(rows), self.centre, rows)
        x = (np.clip(known, self.low, self.high) - self.centre) / self.spread
        missing = np.isnan(rows[:, : len(MEASUREMENT_NAMES)]).astype(np.float64)
        return np.concatenate([x, x[:, -2:-1] ** 2, missing], axis=1)


@dataclass(frozen=True)
class Weighed:
    """A number of ``row_names``, its value (None: not known) and what it adds to a statement's log odds before calibration,
    against the usual value."""

    name: str
    value: float | None
    log_odds: float


@dataclass(frozen=True, eq=False)
class Fusion:
    """``own``, ``offset`` (71,), ``others`` (71, 71; from, to), ``weights`` (columns, 71), ``share`` β, and the spread of the
    logits: ``logit_centre``, ``logit_spread`` (71,). The hidden layer: ``inner`` (71 + columns, units), ``inner_offset``
    (units,), ``outer`` (units, 71)."""

    columns: Columns
    own: Rows
    offset: Rows
    others: Rows
    weights: Rows
    share: float
    inner: Rows
    inner_offset: Rows
    outer: Rows
    logit_centre: Rows
    logit_spread: Rows
    encoder_hash: str

    def apply(self, logits: NDArray[np.floating], rows: Rows) -> NDArray[np.float32]:
        """Scores (n, 71) from the network's logits (n, 71) and measured numbers (n, COLUMNS)."""
        z = (np.asarray(logits, np.float64) - self.logit_centre) / self.logit_spread
        x = self.columns(rows)
        told = z @ self.others + x @ self.weights
        hidden = np.clip(np.concatenate([z, x], axis=1), -BOUND, BOUND) @ self.inner + self.inner_offset
        return np.asarray(self.own * z + self.offset + self.share * told + silu(hidden) @ self.outer, np.float32)

    def weighed(self, code: str, logits: NDArray[np.floating], row: Rows, *, most: int = 4) -> tuple[Weighed, ...]:
        """What of one recording's numbers (COLUMNS,) moved the score of ``code`` most, at least by 0.2, beside its logits (71,):
        the score against what it would be if that number were the usual one."""
        rows = np.vstack([row, np.where(np.eye(COLUMNS, dtype=bool), self.columns.centre, row)])
        found = self.apply(np.broadcast_to(logits, (len(rows), len(CODES))), rows)[:, CODES.index(code)].astype(np.float64)
        each = found[0] - found[1:]
        names = row_names()
        best = [i for i in np.argsort(-np.abs(each), kind="stable")[:most] if abs(each[i]) >= _WORTH_TELLING]
        return tuple(Weighed(names[i], None if np.isnan(row[i]) else float(row[i]), float(each[i])) for i in best)

    def arrays(self) -> dict[str, Rows]:
        """All numbers by name, ``share`` apart."""
        columns = {name: getattr(self.columns, name) for name in _COLUMNS}
        return {**columns, **{name: getattr(self, name) for name in _ARRAYS}}


def save_fusions(fusions: Mapping[str, Fusion], folder: Path, card: dict[str, Any]) -> None:
    """Writes the weights of every set of leads, the large ones in half precision, into one file, and their card."""
    from safetensors.numpy import save_file

    arrays = {
        f"{reading}/{name}": np.ascontiguousarray(value, np.float16 if name in _LARGE else np.float32)
        for reading, fusion in fusions.items() for name, value in fusion.arrays().items()
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    save_file(arrays, folder / WEIGHTS)
    head: dict[str, Any] = {"sha256": file_sha256(folder / WEIGHTS), "encoder": next(iter(fusions.values())).encoder_hash}
    head |= {"share": {name: fusion.share for name, fusion in fusions.items()}}
    (folder / CARD).write_text(json.dumps(head | card, indent=1) + "\n", encoding="utf-8")


def load_fusions(folder: Path, encoder_hash: str) -> dict[str, Fusion]:
    """By name of the set of leads. Raises ArtefactError where the file is missing, damaged or belongs to another encoder."""
    from safetensors.numpy import load_file

    if not (folder / WEIGHTS).exists():
        raise ArtefactError("The weights of the measurements are missing (fusion.safetensors); run `ecg-assistant train`.")
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    if card["sha256"] != file_sha256(folder / WEIGHTS):
        raise ArtefactError("The weights of the measurements differ from their card (sha256); reinstall or train again.")
    if card["encoder"] != encoder_hash:
        raise ArtefactError("The weights of the measurements belong to another encoder; run `ecg-assistant train all`.")
    found = {name: value.astype(np.float64) for name, value in load_file(folder / WEIGHTS).items()}
    out = {}
    for one in LEAD_SETS:
        own = {name.partition("/")[2]: value for name, value in found.items() if name.partition("/")[0] == one.name}
        columns = Columns(*(own.pop(name, np.zeros(0)) for name in _COLUMNS))
        if len(columns.low) != COLUMNS or own.keys() != set(_ARRAYS):
            raise ArtefactError("The weights of the measurements are of an older version; run `ecg-assistant train all`.")
        out[one.name] = Fusion(columns=columns, share=float(card["share"][one.name]), encoder_hash=encoder_hash, **own)
    return out


_ARRAYS = ("own", "offset", "others", "weights", "inner", "inner_offset", "outer", "logit_centre", "logit_spread")
_COLUMNS = ("low", "high", "centre", "spread")
_LARGE = ("others", "weights", "inner", "outer")
