"""Case libraries from recordings: PTB-XL's embeddings at once, or any folder of recordings, one by one and resumable.

Reading is `encoders.readers.read`; encoding and measuring come in as functions, so that a library can be built with any
encoder. What a folder's build has stored is kept: broken off, it goes on where it was.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.ecg import ECG
from encoders.errors import EcgAssistantError, InputError
from encoders.measurements import MEASUREMENT_NAMES, Measurements
from encoders.patient import hash_patient
from encoders.ptbxl import SEXES, PtbXl
from encoders.readers import read
from encoders.vocabulary import CODES
from retrieval.library import CaseLibrary
from retrieval.store import CaseRow, Store, open_store, patient_key, unit_vectors

__all__ = ["BuildReport", "build_from_folder", "build_from_ptbxl"]

PTBXL_WHERE = "PTB-XL 1.0.3"
PTBXL_NOTES = {
    "source": "PTB-XL 1.0.3 (labels as of 1.0.1), Wagner et al. 2020, doi:10.1038/s41597-020-0495-6",
    "licence": "CC BY 4.0",
}
BATCH = 32
MASKED_AGE, MASKED_AS = 300.0, 90.0  # PTB-XL writes 300 for ages it masks, which are 90 and more
#: Endings of files that are one recording each; a WFDB record is its header. What a file is, its content decides.
SUFFIXES = (".hea", ".edf", ".dcm", ".scp", ".xml", ".npy", ".npz", ".csv", ".tsv")
_COLUMNS = {
    "file": ("file", "filename", "path", "record", "filename_lr"),
    "id": ("id", "case_id", "ecg_id"),
    "patient": ("patient", "patient_id", "subject", "subject_id"),
    "age": ("age", "age_years"),
    "sex": ("sex", "gender"),
    "statements": ("statements", "scp_codes", "codes"),
}


@dataclass(frozen=True)
class BuildReport:
    """What a build did. ``failed``: (file, reason). ``unknown_codes``: codes in the table that the vocabulary lacks."""

    added: int
    skipped: int
    failed: tuple[tuple[str, str], ...]
    unknown_codes: tuple[str, ...] = ()


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
                age_years=_age(age),
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

    ``encode``: recordings → embeddings (n, 256); it is called with up to 32, and again one by one where a batch fails.
    ``measure``: recording → measurements. ``metadata_csv``: one row per recording; columns file (relative to ``folder``, with
    or without ending), and where known id, patient, age, sex (F, M; PTB-XL's 0 is M, 1 is F), statements
    ("AFIB;LVH:80" or PTB-XL's own form). Where None, a ``ptbxl_database.csv`` in the folder is taken, or each header's own age
    and sex. Recordings that are in the library already (same id, same content) are skipped; a file that cannot be read is listed
    in the report and stops nothing. Patients are kept as `encoders.patient.hash_patient` gives them, so that `--patient` with the
    same key on the same machine leaves their cases out of a search. ``progress``: None shows the bar on a terminal only.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder.name!r}; give one with recordings.")
    records, unknown = _records(folder, Path(metadata_csv) if metadata_csv is not None else None)
    if not records:
        raise InputError(f"There are no recordings in {folder.name!r}; accepted are {', '.join(SUFFIXES)}.")
    store = open_store(out, encoder_hash=encoder_hash, writable=True)
    added = skipped = 0
    failed: list[tuple[str, str]] = []
    waiting: list[tuple[ECG, CaseRow]] = []

    def flush() -> None:
        nonlocal added
        good, bad = _store_batch(store, waiting, encode)
        added += good
        failed.extend(bad)
        waiting.clear()

    try:
        for record in tqdm(records, desc="building the library", unit="rec", disable=None if progress is None else not progress):
            name = record["file"]
            try:
                ecg = read(folder / name, age_years=record.get("age"), sex=record.get("sex"))
                digest = ecg.content_hash()[:32]
                known = store.get([record["id"]]).get(record["id"])
                if known is not None and known.content_hash == digest:
                    skipped += 1
                    continue
                measured = measure(ecg)
                values = {m.name: float(m.value) for m in measured.items if m.value is not None and m.name in MEASUREMENT_NAMES}
                row = CaseRow(
                    case_id=record["id"],
                    patient_key=patient_key(record.get("patient")),
                    age_years=_age(ecg.age_years),
                    sex=ecg.sex,
                    statements=record.get("statements", {}),
                    measurements=values,
                    where=f"{folder.name}/{name}",
                    content_hash=digest,
                ).normalised()
            except Exception as error:  # one recording, whatever is wrong with it, must not stop the others
                failed.append((name, _reason(error)))
                continue
            waiting.append((ecg, row))
            if len(waiting) == BATCH:
                flush()
        if waiting:
            flush()
    finally:
        store.close()  # what was added is kept, also where the user breaks off
    return BuildReport(added, skipped, tuple(failed), unknown)


def _store_batch(
    store: Store, batch: list[tuple[ECG, CaseRow]], encode: Callable[[list[ECG]], NDArray[np.floating]]
) -> tuple[int, list[tuple[str, str]]]:
    """Encode and add; where the batch as a whole fails, each on its own, so that one recording costs only itself."""
    try:
        embeddings = encode([ecg for ecg, _ in batch])
        unit_vectors(embeddings, store.dim)
    except Exception as error:  # the encoder's trouble with one recording; a store that fails is another matter, and stops
        if len(batch) == 1:
            return 0, [(batch[0][1].where.split("/", 1)[1], _reason(error))]
    else:
        store.add([row.case_id for _, row in batch], embeddings, [row for _, row in batch])
        return len(batch), []
    done, failed = 0, []
    for item in batch:
        good, bad = _store_batch(store, [item], encode)
        done += good
        failed += bad
    return done, failed


def _reason(error: Exception) -> str:
    """One line; the kind of error stands in front where it is none of this project's sentences."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, EcgAssistantError) else f"{type(error).__name__}: {text}"


# --- metadata --------------------------------------------------------------------------------------------------------


def _records(folder: Path, metadata: Path | None) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """One dict per recording (file, id, and what the table says), and the statement codes that are not in the vocabulary."""
    if metadata is None and (folder / "ptbxl_database.csv").is_file():
        metadata = folder / "ptbxl_database.csv"
    if metadata is None:
        found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        return [{"file": name, "id": name.removesuffix(".hea")} for name in found], ()
    try:
        table = pd.read_csv(metadata, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"The metadata table {metadata.name!r} cannot be read; give a CSV with a column file.") from error
    by_lower = {str(column).strip().lower(): column for column in table.columns}
    column = {name: by_lower[c] for name, names in _COLUMNS.items() for c in reversed(names) if c in by_lower}
    if "file" not in column:
        raise InputError(
            f"The metadata table {metadata.name!r} has the columns {', '.join(map(str, table.columns[:8]))}; "
            "one named file is needed."
        )
    unknown: set[str] = set()
    ids: set[str] = set()
    out = []
    for record in _rows(table, column):
        if not record["file"]:
            raise InputError(f"The metadata table {metadata.name!r} has a row without a file; fill it in or take the row out.")
        record.setdefault("id", record["file"].removesuffix(".hea"))
        if record["id"] in ids:
            raise InputError(f"The metadata table {metadata.name!r} has the id {record['id']!r} twice; ids must differ.")
        ids.add(record["id"])
        unknown |= set(record["statements"]) - set(CODES)
        record["statements"] = {code: value for code, value in record["statements"].items() if code in CODES}
        out.append(record)
    return out, tuple(sorted(unknown))


def _rows(table: pd.DataFrame, column: dict[str, Any]) -> Iterator[dict[str, Any]]:
    names = list(column)
    ptbxl = "filename_lr" in table.columns
    for cells in table[[column[name] for name in names]].itertuples(index=False):
        record: dict[str, Any] = {name: str(cell).strip() for name, cell in zip(names, cells, strict=True) if str(cell).strip()}
        record.setdefault("file", "")
        record["age"] = _age(record.get("age"))
        if "patient" in record:
            # tables of numbers with gaps write 17 as 17.0
            record["patient"] = hash_patient(re.sub(r"^(\d+)\.0+$", r"\1", record["patient"]))
        # in PTB-XL 0 is male and 1 female; in a table of another source bare numbers say nothing safe
        sexes = {"f": "F", "female": "F", "m": "M", "male": "M"} | ({str(n): s for n, s in SEXES.items()} if ptbxl else {})
        record["sex"] = sexes.get(str(record.get("sex", "")).lower().removesuffix(".0"))
        record["statements"] = _statements(record.get("statements", ""))
        yield record


def _age(value: Any) -> float | None:
    try:
        age = float(value)
    except (TypeError, ValueError):
        return None
    if age == MASKED_AGE:
        return MASKED_AS
    return age if 0 <= age <= 130 else None


def _statements(text: str) -> dict[str, float]:
    """ "AFIB;LVH:80", "AFIB, LVH" or "{'AFIB': 100.0}" → code → likelihood; 100 where none is given, 0 where none can be read."""
    if text.startswith("{"):
        try:
            found = ast.literal_eval(text)
            return {str(code): float(value) for code, value in found.items()}
        except (ValueError, SyntaxError, AttributeError, TypeError):
            return {}
    out: dict[str, float] = {}
    for piece in re.split(r"[;,|]\s*|\s+", text):
        code, _, likelihood = piece.strip().partition(":")
        if code:
            out[code.upper()] = float(likelihood) if re.fullmatch(r"\d+(\.\d+)?", likelihood) else 100.0
    return out
