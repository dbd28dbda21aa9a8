"""Rows of a case library in SQLite: compact (about 150 bytes a case), and the truth about which cases there are.

Measurements are small integers on the grid of `scale_of`, statements one short text, the folder part of ``where`` is kept
once. Vectors that are in no FAISS file yet wait in ``pending``, in the same transaction as their rows.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.errors import ArtefactError
from encoders.measurements import MEASUREMENT_NAMES
from retrieval.store import CaseRow, scale_of
from retrieval.where import Condition, to_sql

__all__ = ["RowTable"]

_COLUMN = {name: "m_" + name.lower() for name in MEASUREMENT_NAMES}
_SQL_OF = {
    "age": "age",
    "sex": "sex",
    # the same division as in CaseRow.normalised, so that "=" means the same in SQL and in Python
    **{name: f"({column} / {scale_of(name)!r})" for name, column in _COLUMN.items()},
}
_STATEMENTS = "(' ' || statements)"
_FIELDS = f"n, case_id, patient, age, sex, statements, place, name, hash, {', '.join(_COLUMN.values())}"
_PAGE = 4000  # rows read at a time
_SCHEMA = f"""
CREATE TABLE place (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE cases (
    n INTEGER PRIMARY KEY, case_id TEXT NOT NULL, patient INTEGER, age REAL, sex TEXT, statements TEXT NOT NULL,
    place INTEGER NOT NULL, name TEXT NOT NULL, hash BLOB NOT NULL, {", ".join(f"{c} INTEGER" for c in _COLUMN.values())});
CREATE TABLE pending (n INTEGER PRIMARY KEY, vector BLOB NOT NULL);
"""


class RowTable:
    """The SQLite file of one library. Any sqlite3 error surfaces as ArtefactError that names the file."""

    def __init__(self, file: Path, *, writable: bool, create: bool = False, recover: bool = False) -> None:
        """Open ``file``. Opening changes nothing in it; `start_writing` does. ``recover``: a reader of a library whose last
        writer was killed must be let to replay the journal."""
        self.file = file
        mode = "rwc" if create else "rw" if writable or recover else "ro"
        # Where the folder cannot be written nobody can change the file, and SQLite must not try to lock it.
        frozen = "" if mode != "ro" or os.access(file.parent, os.W_OK) else "&immutable=1"
        self._writing = False
        try:
            uri = f"{file.absolute().as_uri()}?mode={mode}{frozen}"
            self.db = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None, timeout=5.0)
            self.db.execute("PRAGMA trusted_schema = OFF")
            self.db.execute("PRAGMA secure_delete = ON")  # what is removed is overwritten, not only let go of
            if create:
                self.db.execute("PRAGMA page_size = 8192")
            if writable:  # one writer, alone, from now on; taking the lock leaves the file as it is
                self.db.execute("PRAGMA locking_mode = EXCLUSIVE")
                self.db.execute("BEGIN EXCLUSIVE")
                if create:
                    for command in _SCHEMA.split(";"):
                        self.db.execute(command)
                self.db.execute("COMMIT")
            self._places: dict[str, int] = dict(self.db.execute("SELECT text, id FROM place"))
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def start_writing(self) -> None:
        """Switch to a write-ahead journal, so that a commit is one append, on the disk before it is acknowledged."""
        if self._writing:
            return
        try:
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as error:
            raise self._broken(error) from error
        self._writing = True

    def _broken(self, error: sqlite3.Error) -> ArtefactError:
        if "locked" in str(error):
            return ArtefactError(
                f"The case library's {self.file.name} is being written by another process; "
                "try again when it is done."
            )
        return ArtefactError(
            f"The case library's {self.file.name} cannot be read ({error}); "
            "restore the library or build it again."
        )

    def check(self) -> None:
        """Quick integrity check; ArtefactError where the file is damaged."""
        try:
            found = self.db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            raise self._broken(error) from error
        if found != "ok":
            raise ArtefactError(
                f"The case library's {self.file.name} is damaged ({found}); "
                "restore the library or build it again."
            )

    # --- reading -----------------------------------------------------------------------------------------------------

    def keys(self) -> tuple[NDArray[np.int64], list[str]]:
        """All row numbers, ascending, and their case ids."""
        try:
            found = self.db.execute("SELECT n, case_id FROM cases ORDER BY n").fetchall()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        return np.array([n for n, _ in found], np.int64), [case_id for _, case_id in found]

    def pending(self, dim: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Row numbers and vectors that wait to enter the FAISS file."""
        try:
            found = self.db.execute("SELECT n, vector FROM pending ORDER BY n").fetchall()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        if any(len(blob) != 4 * dim for _, blob in found):
            raise ArtefactError(
                f"The case library's {self.file.name} holds vectors of another length than {dim}; "
                "build it again."
            )
        vectors = np.frombuffer(b"".join(blob for _, blob in found), np.float32).reshape(-1, dim)
        return np.array([n for n, _ in found], np.int64), vectors

    def read(self, numbers: Iterable[int]) -> Iterator[CaseRow]:
        """Rows by number; numbers that are not there are passed over."""
        wanted = [int(n) for n in numbers]
        for start in range(0, len(wanted), 500):
            chunk = wanted[start : start + 500]
            yield from self._select(f"WHERE n IN ({', '.join('?' * len(chunk))})", chunk)

    def matching(self, condition: Condition | None) -> Iterator[CaseRow]:
        """Rows that meet the condition, read a page at a time: a large library need not fit in memory."""
        where, values = self._where(condition)
        last = -1
        while True:
            numbers = self._numbers(f"WHERE n > ? AND ({where}) ORDER BY n LIMIT {_PAGE}", [last, *values])
            yield from self.read(numbers)
            if len(numbers) < _PAGE:
                return
            last = numbers[-1]

    def listed(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """See `Store.listed`; counted in the database, since a large library has few different combinations."""
        try:
            found = self.db.execute("SELECT statements, COUNT(*) FROM cases GROUP BY statements").fetchall()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        for text, count in found:
            yield tuple(entry.rsplit(":", 1)[0] for entry in text.split()), count

    def matching_numbers(self, condition: Condition | None) -> list[int]:
        """Numbers of the rows that meet the condition."""
        where, values = self._where(condition)
        return self._numbers(f"WHERE {where} ORDER BY n", values)

    def of_patient(self, key: int) -> list[int]:
        """Numbers of one patient's rows."""
        return self._numbers("WHERE patient = ?", [key])

    def with_content(self, hashes: Iterable[str]) -> dict[str, str]:
        """Content hash → id of a case of that content, for those that are there.

        The first call on a library open for writing makes an index for it; without one every call reads the whole table.
        """
        wanted = list(dict.fromkeys(bytes.fromhex(text) for text in hashes if text))
        out: dict[str, str] = {}
        try:
            if self._writing:
                self.db.execute("CREATE INDEX IF NOT EXISTS by_content ON cases (hash)")
            for start in range(0, len(wanted), 500):
                chunk = wanted[start : start + 500]
                marks = ", ".join("?" * len(chunk))
                found = self.db.execute(f"SELECT hash, case_id FROM cases WHERE hash IN ({marks}) ORDER BY n DESC", chunk)
                out |= {digest.hex(): case_id for digest, case_id in found}
        except sqlite3.Error as error:
            raise self._broken(error) from error
        return out

    def _numbers(self, sql: str, values: Sequence[float | str]) -> list[int]:
        try:
            return [n for (n,) in self.db.execute(f"SELECT n FROM cases {sql}", values)]
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _where(self, condition: Condition | None) -> tuple[str, Sequence[float | str]]:
        return ("1", ()) if condition is None else to_sql(condition, _SQL_OF, _STATEMENTS)

    def _select(self, where: str, values: Sequence[float | str]) -> Iterator[CaseRow]:
        try:
            places = {number: text for text, number in self._places.items()}
            found = self.db.execute(f"SELECT {_FIELDS} FROM cases {where} ORDER BY n", values).fetchall()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        for _, case_id, patient, age, sex, statements, place, name, digest, *measured in found:
            pairs = (entry.rsplit(":", 1) for entry in statements.split())
            yield CaseRow(
                case_id=case_id,
                patient_key=patient,
                age_years=age,
                sex=sex,
                statements={code: float(likelihood) for code, likelihood in pairs},
                measurements={
                    name: value / scale_of(name)
                    for name, value in zip(MEASUREMENT_NAMES, measured, strict=True)
                    if value is not None
                },
                where=places[place] + name,
                content_hash=digest.hex(),
            )

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, numbers: Sequence[int], vectors: NDArray[np.float32], rows: Sequence[CaseRow], drop: Sequence[int]) -> None:
        """One transaction: rows ``drop`` go, ``rows`` come under ``numbers``, their vectors wait in ``pending``."""
        known = dict(self._places)
        try:
            self.db.execute("BEGIN IMMEDIATE")
            for table in ("cases", "pending"):
                self.db.executemany(f"DELETE FROM {table} WHERE n = ?", [(int(n),) for n in drop])
            marks = ", ".join("?" * (9 + len(_COLUMN)))
            self.db.executemany(
                f"INSERT INTO cases ({_FIELDS}) VALUES ({marks})",
                [(int(n), *self._cells(row, known)) for n, row in zip(numbers, rows, strict=True)],
            )
            self.db.executemany(
                "INSERT INTO pending VALUES (?, ?)",
                [(int(n), np.ascontiguousarray(v).tobytes()) for n, v in zip(numbers, vectors, strict=True)],
            )
            new = [(number, text) for text, number in known.items() if text not in self._places]
            self.db.executemany("INSERT INTO place VALUES (?, ?)", new)
            self.db.execute("COMMIT")
        except BaseException as error:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise self._broken(error) from error
            raise
        self._places = known

    @staticmethod
    def _cells(row: CaseRow, places: dict[str, int]) -> tuple[object, ...]:
        folder, slash, name = row.where.rpartition("/")
        place = places.setdefault(folder + slash, len(places) + 1)
        measured = (row.measurements.get(m) for m in MEASUREMENT_NAMES)
        return (
            row.case_id,
            row.patient_key,
            row.age_years,
            row.sex,
            " ".join(f"{code}:{likelihood:.0f}" for code, likelihood in row.statements.items()),
            place,
            name,
            bytes.fromhex(row.content_hash),
            *(None if v is None else round(v * scale_of(m)) for m, v in zip(MEASUREMENT_NAMES, measured, strict=True)),
        )

    def clear_pending(self) -> None:
        """Forget the waiting vectors, once a FAISS file that holds them is named in the manifest."""
        try:
            self.db.execute("DELETE FROM pending")
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def seal(self) -> None:
        """Leave one compact file without a journal beside it, and without a word of what was removed, and close."""
        try:
            self.db.execute("DELETE FROM place WHERE id NOT IN (SELECT place FROM cases)")
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.db.execute("PRAGMA journal_mode = DELETE")
            self.db.execute("VACUUM")
        except sqlite3.Error as error:
            raise self._broken(error) from error
        self.close()

    def close(self) -> None:
        self.db.close()
