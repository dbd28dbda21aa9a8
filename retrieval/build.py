"""Case libraries from recordings: PTB-XL's embeddings at once, or any files and folders, resumable.

Reading is `encoders.readers.read`; encoding and measuring come in as functions, so that a library can be built with any
encoder. What a build has stored is kept: broken off, it goes on where it was. A recording that the library holds already,
under whatever name, is not added twice: its content hash says so.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.ecg import ECG
from encoders.errors import InputError
from encoders.measurements import MEASUREMENT_NAMES, Measurements
from encoders.ptbxl import SEXES, PtbXl
from encoders.vocabulary import CODES
from retrieval.engine import Engine, InProcess
from retrieval.intake import BuildReport, Intake, Tools, worker
from retrieval.library import CaseLibrary
from retrieval.metadata import MASKED_AGE, MASKED_AS, MetadataTable, Record
from retrieval.recordings import remember_folder
from retrieval.store import CaseRow, Store, open_store, patient_key

__all__ = ["BuildReport", "Tools", "add_recordings", "build_from_folder", "build_from_ptbxl", "records_in", "remove_cases"]

PTBXL_WHERE = "PTB-XL 1.0.3"
PTBXL_NOTES = {
    "source": "PTB-XL 1.0.3 (labels as of 1.0.1), Wagner et al. 2020, doi:10.1038/s41597-020-0495-6",
    "licence": "CC BY 4.0",
}
BATCH = 32
#: Endings of files that are one recording each; a WFDB record is its header. What a file is, its content decides.
SUFFIXES = (".hea", ".edf", ".dcm", ".scp", ".xml", ".npy", ".npz", ".csv", ".tsv")


def build_from_ptbxl(
    ptbxl: PtbXl,
    embeddings: NDArray[np.floating],
    measurements_table: Mapping[str, NDArray[np.floating]],
    out: str | Path,
    encoder_hash: str,
    *,
    content_hashes: list[str] | None = None,
    notes: dict[str, Any] | None = None,
) -> None:
    """The library of a PTB-XL selection: embeddings (records, 256) and measurements (name → (records,), NaN where missing),
    in the selection's order. Cases are named by ecg_id; the folder ``out`` is replaced as a whole.

    ``content_hashes``: of each recording (`ECG.content_hash`), where they are at hand.
    """
    lengths = {len(ptbxl), len(embeddings), *(len(column) for column in measurements_table.values())}
    if len(lengths) != 1:
        raise InputError(f"PTB-XL has {len(ptbxl)} records here; embeddings and measurements must have one row for each.")
    unknown = sorted(set(measurements_table) - set(MEASUREMENT_NAMES))
    if unknown:
        raise InputError(f"The measurements have a column {unknown[0]!r}; allowed are {', '.join(MEASUREMENT_NAMES)}.")
    table = ptbxl.table
    rows = []
    for i, (ecg_id, patient, age, sex, file) in enumerate(
        zip(table.index, ptbxl.patients, table["age"], table["sex"], table["filename_lr"], strict=True)
    ):
        listed = {code: float(value) for code, value in zip(CODES, ptbxl.likelihoods[i], strict=True) if not np.isnan(value)}
        values = {name: float(column[i]) for name, column in measurements_table.items()}
        rows.append(
            CaseRow(
                case_id=str(ecg_id),
                patient_key=patient_key(int(patient)),
                age_years=MASKED_AS if age == MASKED_AGE else float(age) if 0 <= age <= 130 else None,
                sex=SEXES.get(int(sex)) if sex == sex else None,
                statements=dict(sorted(listed.items(), key=lambda item: -item[1])),
                measurements={name: value for name, value in values.items() if np.isfinite(value)},
                where=f"{PTBXL_WHERE} {file}",
                content_hash=content_hashes[i] if content_hashes else "",
            )
        )
    CaseLibrary.build(out, [row.case_id for row in rows], embeddings, rows, encoder_hash, notes={**PTBXL_NOTES, **(notes or {})})


def build_from_folder(
    folder: str | Path,
    metadata_csv: str | Path | None,
    encode: Callable[[list[ECG]], NDArray[np.floating]],
    measure: Callable[[ECG], Measurements],
    out: str,
    encoder_hash: str,
    *,
    progress: bool | None = None,
) -> BuildReport:
    """Add every recording under ``folder`` to the library ``out`` (a folder, made where missing, or ``milvus:URI``).

    ``encode``, ``measure``: as in `Tools`. ``metadata_csv``: a table as `retrieval.metadata.CONTRACT` says. Where None, a
    ``ptbxl_database.csv`` in the folder is taken, or each recording's own age and sex. Nothing stops for one recording or
    one row: what could not be used is named in the report. Patients are kept as `encoders.patient.hash_patient` gives them, so
    that `--patient` with the same key on the same machine leaves their cases out of a search. ``progress``: None shows the bar
    on a terminal only.
    """
    if not Path(folder).is_dir():
        raise InputError(f"There is no folder {Path(folder).name!r}; give one with recordings.")
    return add_recordings([folder], metadata_csv, lambda: Tools(encode, measure), out, encoder_hash, progress=progress)


def add_recordings(
    paths: Sequence[str | Path],
    metadata_csv: str | Path | None,
    tools: Callable[[], Tools],
    out: str,
    encoder_hash: str,
    *,
    engine: Engine | None = None,
    about: Mapping[str, Any] | None = None,
    progress: bool | None = None,
) -> BuildReport:
    """The same from files and folders; a table goes with one folder only, or with files that lie in one folder.

    ``tools``: makes what each worker of ``engine`` (default: this process) works with; for workers in other processes it must be
    a function that can be named, or a partial of one. ``about``: fields of `Record` that hold for every recording (patient,
    age_years, sex, statements), going before the table. What a batch of 32 stored is kept whatever happens to the process, and
    memory does not grow with the number of recordings.
    """
    table = _table(paths, metadata_csv)
    if table is None and not any(True for path in paths for _ in records_in(Path(path))):
        raise InputError(f"There are no recordings in {Path(paths[0]).name!r}; accepted are {', '.join(SUFFIXES)}.")
    chosen = None if all(Path(path).is_dir() for path in paths) else {_plain(Path(p)) for p in paths if not Path(p).is_dir()}
    intake = Intake(open_store(out, encoder_hash=encoder_hash, writable=True))
    planned = iter(tqdm(
        _planned(paths, table, chosen, dict(about or {}), intake), total=None if table is None else len(table),
        desc="taking in", unit="rec", disable=None if progress is None else not progress,
    ))  # fmt: skip
    pending: deque[list[Record]] = deque()

    def jobs() -> Iterator[list[tuple[Record, str]]]:
        while batch := list(islice(planned, BATCH)):
            known = intake.store.get(record.case_id for record in batch)
            pending.append(batch)
            yield [(r, known[r.case_id].content_hash if r.case_id in known else "") for r in batch]

    try:
        for made in (engine or InProcess()).map(partial(worker, tools, intake.store.dim), jobs()):
            intake.take(list(zip(pending.popleft(), made, strict=True)))
    finally:
        intake.store.close()  # what was added is kept, also where the user breaks off
    for path in paths:
        remember_folder(Path(path) if Path(path).is_dir() else Path(path).parent)
    if table is None:
        return intake.report()
    unknown = {code: tuple(lines) for code, lines in sorted(table.unknown_codes.items())}
    return replace(intake.report(), unknown_codes=unknown, ignored_columns=table.ignored)


def _table(paths: Sequence[str | Path], metadata_csv: str | Path | None) -> MetadataTable | None:
    """The table that goes with the recordings, where there is one; InputError where it fits nothing."""
    own = Path(paths[0]) / "ptbxl_database.csv"
    if metadata_csv is None and not (len(paths) == 1 and own.is_file()):
        return None
    roots = {Path(path) if Path(path).is_dir() else Path(path).parent for path in paths}
    if len(roots) != 1:
        raise InputError(f"A table goes with the recordings of one folder; {len(roots)} are given: add one at a time.")
    table = MetadataTable(own if metadata_csv is None else Path(metadata_csv), roots.pop())
    first = ""
    for row in table:
        if row.record is not None:
            return table
        first = first or row.remarks[0]
    why = f": {first[0].lower()}{first[1:]}" if first else "; fill it in."
    raise InputError(f"The metadata table {table.file.name!r} has no row that can be used{why}")


def _plain(path: Path) -> str:
    """A recording's name whatever of its files was given."""
    return str(path.with_suffix("") if path.suffix in (".hea", ".dat", ".mat") else path)


def _planned(
    paths: Sequence[str | Path], table: MetadataTable | None, chosen: set[str] | None, about: dict[str, Any], intake: Intake
) -> Iterator[Record]:
    """The records to take in; what is wrong with rows of the table goes to ``intake``."""
    if table is None:
        yield from (replace(record, **about) for path in paths for record in records_in(Path(path)))
        return
    found: set[str] = set()
    for row in table:
        own = _plain(table.root / row.name)
        found.add(own)
        if chosen is not None and own not in chosen:
            continue
        if row.record is None:
            intake.fail(row.name, row.remarks[0])
        else:
            intake.remark(row.name, row.remarks)
            yield replace(row.record, **about)
    for name in sorted((chosen or set()) - found):  # a file that was asked for is never passed over in silence
        intake.fail(Path(name).name, "It has no row in the table; add one, or add it without a table.")
    if chosen is None and not table.ptbxl:
        intake.without_row = sum(1 for path in paths for file in _files(path) if not _has_row(file, found, table))


def _has_row(file: Path, found: set[str], table: MetadataTable) -> bool:
    """Whether a file is in the table, with its ending or without; the table itself is no recording."""
    return _plain(file) in found or str(file.with_suffix("")) in found or file.resolve() == table.file.resolve()


def _files(path: str | Path) -> Iterator[Path]:
    return (record.root / record.file for record in records_in(Path(path)))


def records_in(path: Path) -> Iterator[Record]:
    """Every recording under a folder, folder by folder, or the one recording that ``path`` names."""
    if not path.is_dir():
        yield Record(path.parent, path.name, path.name.removesuffix(".hea"))
        return
    for folder, below, files in os.walk(path):  # a folder at a time: a million names are never held at once
        below.sort()
        for file in sorted(files):
            if Path(file).suffix.lower() in SUFFIXES:
                name = (Path(folder) / file).relative_to(path).as_posix()
                yield Record(path, name, name.removesuffix(".hea"))


def remove_cases(store: Store, ids: Iterable[str] = (), patient: str | None = None) -> tuple[int, tuple[str, ...]]:
    """Take cases out, by id and by patient (a hash of `encoders.patient.hash_patient`). Returns how many went, and the ids
    that were not there. When the store is closed nothing of them is left in its files."""
    asked = list(dict.fromkeys(ids))
    missing = tuple(sorted(set(asked) - set(store.get(asked))))
    key = patient_key(patient)
    return store.remove({*asked, *(store.of_patient(key) if key is not None else ())}), missing
