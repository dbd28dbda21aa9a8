"""What a new question is trained on: a table of labels, the recordings it names, and their embeddings, kept between runs."""

from __future__ import annotations

import csv
import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.ecg import ECG
from encoders.errors import EcgAssistantError, QueryError, RecordingError
from encoders.gate_rules import listed
from encoders.leadsets import LeadSet, with_limb_leads
from encoders.readers.border import known_age, sex_letter, utf8_text

if TYPE_CHECKING:
    from encoders.encode import Encoder

__all__ = ["TASKS", "Examples", "LabelTable", "embed", "load_examples", "prepared", "read_labels"]

TASKS = ("binary", "multilabel", "regression")
_RECORDING_COLUMNS = ("recording", "record", "file", "filename", "path", "ecg")
_PATIENT_COLUMNS = ("patient", "patient_id")
_RESERVED = (*_RECORDING_COLUMNS, *_PATIENT_COLUMNS, "age", "sex")
_YES_NO = {"1": 1.0, "1.0": 1.0, "yes": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "no": 0.0, "false": 0.0}
_MISSING = ("", "na", "nan", "none", "null")
#: What stands for an age or a sex that is not known, beside an empty cell.
_UNKNOWN = (*_MISSING, "n/a", "-", "?", "u", "unknown")
#: A recording is told by more than its first seconds; below this nothing is left of most rhythms.
_LEAST_S = 2.5
_NOT_TAKEN = "what the recording itself says is taken, if it says it."
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Rows of labels.csv: what names the recording, the patient, age (NaN unknown), sex ("" unknown), values (rows, labels).

    ``lines``: where each row stands in the file, the header being 1. ``values`` are 0 or 1 for binary and multilabel, numbers for
    regression, NaN where the cell is empty. ``remarks``: a sentence per age or sex that is none, and so was not taken.
    """

    labels: tuple[str, ...]
    recordings: tuple[str, ...]
    lines: tuple[int, ...]
    patients: tuple[str, ...]
    patients_given: bool
    ages: NDArray[np.float64]
    sexes: tuple[str, ...]
    values: NDArray[np.float64]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Examples:
    """Recordings ready for training, one row each.

    ``signals`` float16 (n, 12, 1000) in mV as the network reads them, leads outside ``lead_set`` (``encoders.leadsets``) 0;
    ``values`` float64 (n, labels), NaN where not known; ``patients`` int64 (n,), numbers without meaning; ``ages`` years, NaN
    unknown; ``sexes`` "F", "M" or "". ``left_out``: one sentence per recording or row that could not be used.
    """

    labels: tuple[str, ...]
    lead_set: str
    signals: NDArray[np.float16]
    values: NDArray[np.float64]
    patients: NDArray[np.int64]
    patients_given: bool
    ages: NDArray[np.float64]
    sexes: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: NDArray[np.int64]) -> Examples:
        """The same with these rows only."""
        return Examples(
            self.labels, self.lead_set, self.signals[rows], self.values[rows], self.patients[rows], self.patients_given,
            self.ages[rows], tuple(self.sexes[int(i)] for i in rows), self.left_out,
        )  # fmt: skip


# Labels ---------------------------------------------------------------------------------------------------------------


def _column(header: Sequence[str], names: Sequence[str]) -> str | None:
    return next((column for name in names for column in header if column.strip().lower() == name), None)


def _label_columns(header: Sequence[str], task: str, wanted: Sequence[str]) -> tuple[str, ...]:
    free = [column for column in header if column.strip() and column.strip().lower() not in _RESERVED]
    chosen = list(wanted) or free
    unknown = [name for name in chosen if name not in header]
    if unknown:
        raise QueryError(f"labels.csv has no column {unknown[0]!r}; it has {', '.join(header)}.")
    if not chosen:
        raise QueryError(f"labels.csv has no column of labels beside {', '.join(header)}; add one, or name it with --label.")
    if task != "multilabel" and len(chosen) > 1:
        raise QueryError(f"A {task} head has one label, but the table has {', '.join(chosen)}; choose one with --label.")
    bad = next((name for name in chosen if len(name) > 60 or not name.isprintable()), None)
    if bad is not None:
        raise QueryError(f"The label column {bad[:60]!r} has no usable name; use at most 60 printable characters.")
    return tuple(chosen)


def _value(text: str, task: str, column: str, line: int) -> float:
    cell = text.strip().lower()
    if cell in _MISSING:
        return float("nan")
    if task == "regression":
        try:
            number = float(cell)
        except ValueError:
            number = float("inf")
        if np.isfinite(number):
            return number
        raise QueryError(f"Line {line} of labels.csv holds {text[:40]!r} in {column}; give a number or leave it empty.")
    if cell not in _YES_NO:
        raise QueryError(f"Line {line} of labels.csv holds {text[:40]!r} in {column}; give 0 or 1 (no, yes), or leave it empty.")
    return _YES_NO[cell]


def _age(text: str, line: int, remarks: list[str]) -> float:
    """Years, NaN where they are not known; a remark for what is no age."""
    if text.strip().lower() in _UNKNOWN:
        return float("nan")
    try:
        years = known_age(float(text.replace(",", ".")))
    except ValueError:
        years = None
    if years is None:
        remarks.append(f"Line {line} of labels.csv: the age {text.strip()[:20]!r} is no number from 0 to 130; {_NOT_TAKEN}")
        return float("nan")
    return years


def _sex(text: str, line: int, remarks: list[str]) -> str:
    """ "F", "M", or "" where it is not known; a remark for what is neither."""
    sex = sex_letter(text)
    if sex is None and text.strip().lower() not in _UNKNOWN:
        remarks.append(f"Line {line} of labels.csv: the sex {text.strip()[:20]!r} is neither F nor M; {_NOT_TAKEN}")
    return sex or ""


def read_labels(file: Path, task: str, wanted: Sequence[str] = ()) -> LabelTable:
    """The table of labels: CSV with a header.

    Columns: ``recording`` (or record, file, filename, path: the file's path or its stem), optionally ``patient``, ``age``
    (years), ``sex`` (F, M), and the labels; all other columns are labels unless ``wanted`` names which. Empty cells are missing;
    an age or sex that is none is missing, too, and is remarked on.
    Raises QueryError with one sentence that says what is wrong in which line.
    """
    if task not in TASKS:
        raise QueryError(f"The task is {task!r}; it must be one of {', '.join(TASKS)}.")
    text = utf8_text(file, "table")
    first = text.split("\n", 1)[0]
    rows = list(csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count)))
    header = rows[0] if rows else []
    recording = _column(header, _RECORDING_COLUMNS)
    if recording is None:
        raise QueryError(f"labels.csv has no column 'recording' that names the recording's file; it has {', '.join(header)}.")
    labels = _label_columns(header, task, wanted)
    patient, age, sex = _column(header, _PATIENT_COLUMNS), _column(header, ("age",)), _column(header, ("sex",))
    names, lines, patients, ages, sexes, values = [], [], [], [], [], []
    remarks: list[str] = []
    for line, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise QueryError(f"Line {line} of labels.csv has {len(row)} cells for {len(header)} columns; mend the line.")
        cells = dict(zip(header, row, strict=True))
        names.append(cells[recording].strip())
        lines.append(line)
        patients.append(cells[patient].strip() if patient else "")
        ages.append(_age(cells[age], line, remarks) if age else float("nan"))
        sexes.append(_sex(cells[sex], line, remarks) if sex else "")
        values.append([_value(cells[label], task, label, line) for label in labels])
    if not names:
        raise QueryError("labels.csv has a header but no rows; write one row per recording.")
    return LabelTable(
        labels, tuple(names), tuple(lines), tuple(patients), patient is not None, np.array(ages), tuple(sexes),
        np.array(values, np.float64), tuple(remarks),
    )  # fmt: skip


# Recordings -----------------------------------------------------------------------------------------------------------


def _index(files: Sequence[Path]) -> dict[str, list[Path]]:
    """Files by path, name and stem. Of the files of one WFDB record only the header is kept; folders are searched."""
    found: list[Path] = []
    for file in files:
        found += sorted(path for path in file.rglob("*") if path.is_file()) if file.is_dir() else [file]
    present = {str(path) for path in found}
    by: dict[str, list[Path]] = {}
    for path in dict.fromkeys(found):
        if path.suffix in (".dat", ".mat") and str(path.with_suffix(".hea")) in present:
            continue
        for key in dict.fromkeys((str(path), path.name, path.stem)):
            by.setdefault(key, []).append(path)
    return by


def _find(name: str, by: dict[str, list[Path]], beside: Path) -> Path:
    """The file that a row names: by name or stem among those given, else by path from the table's own folder."""
    for key in (name, str(beside / name), Path(name).name):
        if key in by:
            if len(by[key]) > 1:
                raise RecordingError(f"{Path(name).name} fits {len(by[key])} files; write the path in labels.csv.")
            return by[key][0]
    for path in (beside / name, (beside / name).with_name(Path(name).name + ".hea")):
        if not by and path.is_file():
            return path
    why = "no such recording was given; check the name" if by else "there is no such file beside it; check the path"
    raise RecordingError(f"{Path(name).name or 'A row'} is in labels.csv, but {why}.")


def prepared(ecg: ECG, leads: LeadSet) -> NDArray[np.float16]:
    """What the network reads of these leads: (12, 1000) in mV, the others 0. Raises RecordingError where one is missing."""
    from encoders.encode import prepare

    chosen = with_limb_leads(ecg).select(leads.leads)
    if chosen.duration_s < _LEAST_S:
        raise RecordingError(f"It lasts {chosen.duration_s:.1f} s; at least {_LEAST_S:g} s are needed.")
    signal = prepare(chosen).astype(np.float16)
    if not np.isfinite(signal).all() or not signal.any():
        raise RecordingError("It holds no signal in the leads asked for; record it again.")
    return signal


def load_examples(
    files: Sequence[Path], table: LabelTable, leads: LeadSet, beside: Path, read: Callable[[Path], ECG]
) -> Examples:
    """Reads every recording that the table names; what cannot be used is left out with a sentence.

    ``files``: recordings and folders; none: rows name paths from the folder ``beside``. ``read`` opens one file.
    Rows without any label are passed over. Of recordings with the same signal only the first is used: were they two patients'
    by mistake, one would be tested on what the other taught. Where their labels contradict each other, none is used, since
    nothing says which is right.
    """
    by = _index(files)
    found: list[tuple[int, NDArray[np.float16], float, str]] = []
    left_out: list[str] = []
    same: dict[str, list[int]] = {}
    for row, name in enumerate(tqdm(table.recordings, desc="reading", unit="rec", disable=None)):
        if np.isnan(table.values[row]).all():
            left_out.append(f"{Path(name).name}: it has no label.")
            continue
        try:
            ecg = read(_find(name, by, beside))
            signal = prepared(ecg, leads)
        except EcgAssistantError as error:
            left_out.append(f"{Path(name).name}: {' '.join(str(error).split())}")
            continue
        with_it = same.setdefault(_key(signal), [])
        with_it.append(row)
        if len(with_it) > 1:
            continue
        # What the table does not say, the file may.
        age = table.ages[row]
        age = float(age) if not np.isnan(age) or ecg.age_years is None else ecg.age_years
        found.append((row, signal, age, table.sexes[row] or ecg.sex or ""))
    contested: set[int] = set()
    for group in same.values():
        sentences = _repeated(table, group)
        left_out += sentences
        contested |= set(group) if len(sentences) == len(group) else set()
    found = [one for one in found if one[0] not in contested]
    if not found:
        why = f" The first: {left_out[0]}" if left_out else ""
        raise QueryError(f"None of the {len(table.recordings)} rows of labels.csv has a recording that can be used.{why}")
    rows, signals, ages, sexes = (list(column) for column in zip(*found, strict=True))
    # A row without a patient counts as a patient of its own, as does every row where there is no such column.
    people = [table.patients[i] or f"row {i}" for i in rows]
    _, numbers = np.unique(people, return_inverse=True)
    return Examples(
        table.labels, leads.name, np.stack(signals), table.values[rows], numbers.astype(np.int64), table.patients_given,
        np.array(ages), tuple(sexes), tuple(left_out),
    )  # fmt: skip


def _repeated(table: LabelTable, rows: Sequence[int]) -> list[str]:
    """A sentence for each of these rows of one signal that is left out: all but the first, or all where their labels
    contradict each other."""
    names = [Path(table.recordings[row]).name for row in rows]
    contested = []
    for column, label in enumerate(table.labels):
        said = list(dict.fromkeys(f"{value:g}" for value in table.values[rows, column] if not np.isnan(value)))
        if len(said) > 1:
            contested.append(f"{label} {listed(said)}")
    if not contested:
        return [f"{name}: its signal is the same as that of {names[0]} (line {table.lines[rows[0]]})." for name in names[1:]]
    lines = listed([str(table.lines[row]) for row in rows])
    why = f"its signal stands in lines {lines} of labels.csv, which say {', '.join(contested)}; mend the labels."
    return [f"{name}: {why}" for name in names]


# Embeddings -----------------------------------------------------------------------------------------------------------


def _key(signal: NDArray[np.float16]) -> str:
    return hashlib.sha256(np.ascontiguousarray(signal).tobytes()).hexdigest()


def embed(encoder: Encoder, signals: NDArray[np.float16], kept: Path | None = None) -> NDArray[np.float32]:
    """Embeddings (n, 256) of prepared signals (n, 12, 1000).

    ``kept``: an SQLite file that holds them between runs by hash of the prepared signal and of the encoder, so that a
    killed run goes on where it stood and another question costs no encoding. It holds no name and no signal.
    """
    import torch

    keys = [_key(signal) for signal in signals]
    out = np.zeros((len(keys), 0), np.float32)
    known: dict[str, NDArray[np.float32]] = {}
    store = None
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        store = sqlite3.connect(kept)
        store.execute(
            "CREATE TABLE IF NOT EXISTS embeddings (encoder TEXT, recording TEXT, value BLOB, PRIMARY KEY(encoder, recording))"
        )
        wanted = set(keys)
        for key, blob in store.execute("SELECT recording, value FROM embeddings WHERE encoder = ?", (encoder.hash,)):
            if key in wanted:
                known[key] = np.frombuffer(blob, np.float32)
    try:
        todo = [i for i, key in enumerate(keys) if key not in known]
        device = next(encoder.network.parameters()).device
        quiet = None if len(todo) > _CHUNK else True
        with torch.inference_mode(), tqdm(total=len(todo), desc="encoding", unit="rec", disable=quiet) as bar:
            for start in range(0, len(todo), _CHUNK):
                chunk = todo[start : start + _CHUNK]
                x = torch.from_numpy(signals[chunk].astype(np.float32)).to(device)
                for i, value in zip(chunk, encoder.network.encode(x)[1].float().cpu().numpy(), strict=True):
                    known[keys[i]] = value
                if store is not None:
                    rows = [(encoder.hash, keys[i], known[keys[i]].tobytes()) for i in chunk]
                    store.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", rows)
                    store.commit()
                bar.update(len(chunk))
    finally:
        if store is not None:
            store.close()
    if keys:
        out = np.stack([known[key] for key in keys])
    return out
