"""From records to cases: what each worker makes of a recording, and what of it goes into the store.

Workers read, measure and encode (`worker`, for an engine of `retrieval.engine`); one process keeps what they made (`Intake`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG
from encoders.errors import EcgAssistantError
from encoders.measurements import MEASUREMENT_NAMES, Measurements
from encoders.readers import read
from retrieval.engine import Lost
from retrieval.metadata import Record
from retrieval.store import CaseRow, Store, patient_key, unit_vectors

__all__ = ["BuildReport", "Intake", "Made", "Tools", "worker"]


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    ``added``: new cases; ``skipped``: cases that were there just so; ``updated``: cases whose recording was there and whose
    metadata are new; ``replaced``: cases whose recording is another one now (under the same name, out of the same place).
    ``duplicates``: (recording, id of the case that holds the same recording already). ``failed``: (recording, reason), not
    taken in. ``remarks``: (recording, sentence) on cells that were left out of a case that was taken in.
    ``without_row``: recordings in the folder that the table has no row for. ``unknown_codes``: codes in the table that the
    vocabulary lacks, each with the lines that hold it. ``ignored_columns``: columns that are not kept.
    """

    added: int = 0
    skipped: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    unknown_codes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    updated: int = 0
    replaced: int = 0
    duplicates: tuple[tuple[str, str], ...] = ()
    remarks: tuple[tuple[str, str], ...] = ()
    ignored_columns: tuple[str, ...] = ()
    without_row: int = 0


def _read(record: Record) -> ECG:
    return read(record.root / record.file, age_years=record.age_years, sex=record.sex)


@dataclass(frozen=True)
class Tools:
    """What a worker needs. ``encode``: recordings → embeddings (n, 256), called with up to 32, and one by one where a batch
    fails; ``measure``: recording → measurements; ``read_record``: record → recording."""

    encode: Callable[[list[ECG]], NDArray[np.floating]]
    measure: Callable[[ECG], Measurements]
    read_record: Callable[[Record], ECG] = _read


# --- what workers do -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """What became of a record: its row, with its embedding (256,) unless the library's own will do; or the reason why not."""

    row: CaseRow | None = None
    embedding: NDArray[np.floating] | None = None
    reason: str = ""


def worker(tools: Callable[[], Tools], dim: int) -> Callable[[list[tuple[Record, str]]], list[Made]]:
    """Work for an engine: (record, content hash of the case of that id, or "") → what became of it."""
    kit = tools()

    def work(items: list[tuple[Record, str]]) -> list[Made]:
        out: list[Made] = []
        fresh: list[tuple[int, ECG]] = []
        for record, known_hash in items:
            try:
                ecg = kit.read_record(record)
                row = _row(record, ecg)
                if row.content_hash != known_hash:  # else it was measured and encoded before
                    values = {m.name: float(m.value) for m in kit.measure(ecg).items if m.value is not None}
                    known = {name: value for name, value in values.items() if name in MEASUREMENT_NAMES}
                    row = replace(row, measurements=known).normalised()
                    fresh.append((len(out), ecg))
                out.append(Made(row))
            except Exception as error:  # one recording, whatever is wrong with it, must not stop the others
                out.append(Made(reason=_reason(error)))
        for place, embedding in zip((i for i, _ in fresh), _encoded(kit, [ecg for _, ecg in fresh], dim), strict=True):
            failed = isinstance(embedding, str)
            out[place] = Made(reason=str(embedding)) if failed else replace(out[place], embedding=embedding)
        return out

    return work


def _encoded(kit: Tools, ecgs: list[ECG], dim: int) -> list[Any]:
    """Each recording's embedding, or the reason why there is none; where the batch as a whole fails, each goes on its own."""
    if not ecgs:
        return []
    try:
        return list(unit_vectors(kit.encode(ecgs), dim))
    except Exception as error:
        return [_reason(error)] if len(ecgs) == 1 else [one for ecg in ecgs for one in _encoded(kit, [ecg], dim)]


def _row(record: Record, ecg: ECG) -> CaseRow:
    return CaseRow(
        case_id=record.case_id,
        patient_key=patient_key(record.patient or ecg.patient),
        age_years=ecg.age_years,
        sex=ecg.sex,
        statements=record.statements,
        where=record.at,
        content_hash=ecg.content_hash()[:32],
    ).normalised()


def _reason(error: Exception) -> str:
    """One sentence; what was not foreseen is named by its kind, in front of its own words."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, EcgAssistantError) else f"{type(error).__name__}: {text}"


# --- what goes in ----------------------------------------------------------------------------------------------------


class Intake:
    """Keeps what workers made, a batch at a time, and notes what was done. What `take` stored stays, whatever comes after."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.without_row = 0  #: recordings that were passed over, as the table has no row for them
        self._added = self._skipped = self._updated = self._replaced = 0
        self._failed: list[tuple[str, str]] = []
        self._remarks: list[tuple[str, str]] = []
        self._duplicates: list[tuple[str, str]] = []

    def fail(self, name: str, reason: str) -> None:
        """Note a recording that was not taken in."""
        self._failed.append((name, reason))

    def remark(self, name: str, sentences: Iterable[str]) -> None:
        """Note what was left out of a case."""
        self._remarks += [(name, sentence) for sentence in sentences]

    def take(self, batch: Sequence[tuple[Record, Made | Lost]]) -> None:
        """Records with what became of them. One transaction of the store, where the ids in the batch differ."""
        good: list[tuple[Record, Made, CaseRow]] = []
        for record, made in batch:
            if isinstance(made, Lost) or made.row is None:
                self.fail(record.file, made.reason)
            else:
                good.append((record, made, made.row))
        held = self.store.with_content(row.content_hash for _, _, row in good)
        ready: dict[str, tuple[CaseRow, NDArray[np.floating]]] = {}
        for record, made, row in good:
            if row.case_id in ready:
                self._keep(ready)
            known = self.store.get([row.case_id, row.where])
            there = known.get(row.case_id)
            if there is not None and there.content_hash == row.content_hash:
                fresh = _merged(there, row, record)
                if fresh == there:
                    self._skipped += 1
                else:  # the same recording, more or other words about it
                    self.store.add([row.case_id], self.store.vectors([row.case_id]), [fresh])
                    self._updated += 1
            elif held.setdefault(row.content_hash, row.case_id) != row.case_id:
                self._duplicates.append((record.file, held[row.content_hash]))
            elif made.embedding is None:
                self.fail(record.file, "The case was changed meanwhile by another run; add it again.")
            elif there is None or there.where == row.where:
                ready[row.case_id] = (row, made.embedding)
            elif not record.own_id and row.where not in known and row.where not in ready:
                held[row.content_hash] = row.where  # files of one name in two folders: the folder tells them apart
                ready[row.where] = (replace(row, case_id=row.where), made.embedding)
            else:
                self.fail(record.file, "Its id stands for another recording in the library; give it an id of its own in a table.")
        self._keep(ready)

    def _keep(self, ready: dict[str, tuple[CaseRow, NDArray[np.floating]]]) -> None:
        if not ready:
            return
        replaced = len(self.store.get(ready))
        self.store.add(list(ready), np.stack([vector for _, vector in ready.values()]), [row for row, _ in ready.values()])
        self._replaced += replaced
        self._added += len(ready) - replaced
        ready.clear()

    def report(self) -> BuildReport:
        """What was done so far."""
        return BuildReport(
            self._added, self._skipped, tuple(self._failed), {}, self._updated, self._replaced, tuple(self._duplicates),
            tuple(self._remarks), without_row=self.without_row,
        )  # fmt: skip


def _merged(there: CaseRow, new: CaseRow, record: Record) -> CaseRow:
    """A case whose recording came again: what is newly known of it goes in, and what is not said now stays."""
    return replace(
        there,
        patient_key=there.patient_key if new.patient_key is None else new.patient_key,
        age_years=there.age_years if new.age_years is None else new.age_years,
        sex=new.sex or there.sex,
        statements=new.statements or there.statements,
        where=new.where if record.where else there.where,
    )
