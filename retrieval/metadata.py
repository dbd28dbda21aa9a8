"""The table that goes with a folder of recordings: what its columns mean, read row by row, bad cells named and never fatal.

`CONTRACT` is the whole agreement, as ``ecg-assistant cases build --help`` prints it.
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from encoders.errors import InputError, QueryError
from encoders.patient import hash_patient
from encoders.vocabulary import CODES
from retrieval.phrases import PHRASES

__all__ = ["CONTRACT", "MetadataTable", "Record", "TableRow", "statements_in"]

#: What the table may hold, for --help and for whoever writes one.
CONTRACT = """\
The table is CSV (comma, semicolon or tab; UTF-8 or Windows-1252), one line per recording, names of columns in any case:
  file        required: the recording's file, relative to DIR, with or without its ending
              (also: filename, path, record, filename_lr)
  id          the case's id, different in every row; the file's name where left out (also: case_id, ecg_id)
  patient     any text that stands for the patient; kept only as a hash keyed on this machine (also: patient_id, subject)
  age         years, 0 to 130 (also: age_years); goes before what the recording says
  sex         F or M, female or male (also: gender; in PTB-XL's own table 0 is M and 1 is F)
  statements  SCP codes or their names with ; between them, each with :likelihood 0-100 where known: "AFIB;LVH:80"
              (also: scp_codes, codes; PTB-XL's own form "{'AFIB': 0.0}" is understood)
  where       where the recording can be had; DIR's name and the file where left out
Measurements are always made from the recording. Other columns are named once and not kept: a library must not take
in a patient's name by accident. A row that cannot be used is named with one sentence, and so is a cell; a case with a
bad cell goes in without it, and all other rows go on. Where a case is there already, what the table newly says of it
goes in, and an empty cell leaves what is known. File names and ids are kept as they are: keep names of people out.
"""

_COLUMNS = {
    "file": ("file", "filename", "path", "record", "filename_lr"),
    "id": ("id", "case_id", "ecg_id"),
    "patient": ("patient", "patient_id", "subject", "subject_id"),
    "age": ("age", "age_years"),
    "sex": ("sex", "gender"),
    "statements": ("statements", "scp_codes", "codes"),
    "where": ("where",),
}
_SEX_WORDS = {"f": "F", "female": "F", "woman": "F", "m": "M", "male": "M", "man": "M"}
#: Cells that say openly that nothing is known.
_UNKNOWN = frozenset({"", "?", "-", "na", "n/a", "nan", "none", "null", "unknown", "u"})
MASKED_AGE, MASKED_AS = 300.0, 90.0  # PTB-XL writes 300 for ages it masks, which are 90 and more


@dataclass(frozen=True)
class Record:
    """One recording to take in: ``file`` lies under ``root``; None and empty where nothing is known.

    ``patient``: the hash of `encoders.patient.hash_patient`. ``own_id``: whether the id was given, not made from the file.
    """

    root: Path
    file: str
    case_id: str
    own_id: bool = False
    patient: str | None = None
    age_years: float | None = None
    sex: str | None = None
    statements: dict[str, float] = field(default_factory=dict)
    where: str = ""

    @property
    def at(self) -> str:
        """Where the recording can be had: as the table says, else its folder's name and the file."""
        return self.where or f"{self.root.name}/{self.file}"


@dataclass(frozen=True)
class TableRow:
    """One row: its ``line`` in the file (the header is 1), the record, or None where it cannot be used, and what is wrong
    with it, a sentence each."""

    line: int
    name: str
    record: Record | None
    remarks: tuple[str, ...] = ()


class MetadataTable:
    """A table over the recordings in ``root``. Iterating reads it anew, a row at a time."""

    def __init__(self, file: Path, root: Path) -> None:
        """Reads the header. InputError where the table cannot be read or has no column for the file."""
        self.file, self.root = file, root
        #: codes that the vocabulary lacks, and the lines, of those read so far, that hold them
        self.unknown_codes: dict[str, list[int]] = {}
        try:
            raw = file.read_bytes()
        except OSError as error:
            raise InputError(f"The metadata table {file.name!r} cannot be read; give a CSV with a column file.") from error
        try:
            raw.decode("utf-8-sig")
            self._encoding = "utf-8-sig"
        except UnicodeDecodeError:
            self._encoding = "cp1252"
        self._lines = raw.count(b"\n")
        first = raw.split(b"\n", 1)[0].decode(self._encoding, "replace")
        self._delimiter = max(",;\t", key=first.count)
        header = next(self._cells(), (1, []))[1] or []
        names = [name.strip().lower() for name in header]
        doubled = sorted({name for name in names if name and names.count(name) > 1})
        at = {name: i for i, name in enumerate(names)}
        self._column = {what: at[alias] for what, aliases in _COLUMNS.items() for alias in reversed(aliases) if alias in at}
        if "file" not in self._column or doubled:
            seen = ", ".join(name.strip()[:40] for name in header[:8]) or "none"
            needed = f"the column {doubled[0]!r} stands twice" if doubled else "one named file is needed"
            raise InputError(f"The metadata table {file.name!r} has the columns {seen}; {needed}: give a CSV with a header.")
        self._width = len(header)
        #: PTB-XL's own table: it leaves out nothing, and names each recording at one of its two rates
        self.ptbxl = "filename_lr" in at and "scp_codes" in at
        used = set(self._column.values())
        #: columns that are not understood and not kept; PTB-XL's own are known to be so
        self.ignored = () if self.ptbxl else tuple(n.strip() for i, n in enumerate(header) if i not in used and n.strip())

    def __len__(self) -> int:
        """Rows at most: lines without the header."""
        return max(self._lines, 1)

    def _cells(self) -> Iterator[tuple[int, list[str] | None]]:
        """Line number and cells; None for a line with a quote that is not closed, which so costs no other row."""
        try:
            with open(self.file, encoding=self._encoding, errors="replace", newline=None) as handle:
                for number, line in enumerate(handle, 1):
                    try:
                        yield number, next(csv.reader([line], delimiter=self._delimiter, strict=True), [])
                    except csv.Error:
                        yield number, None
        except OSError as error:
            raise InputError(f"The metadata table {self.file.name!r} cannot be read; give a CSV with a column file.") from error

    def __iter__(self) -> Iterator[TableRow]:
        self.unknown_codes.clear()
        line_of: dict[str, int] = {}
        for line, cells in self._cells():
            if line == 1 or (cells is not None and not any(cell.strip() for cell in cells)):
                continue
            row = self._row(line, cells)
            if row.record is not None:
                first = line_of.setdefault(row.record.case_id, line)
                if first != line:
                    row = TableRow(line, row.name, None, (f"Row {line} has the id of row {first}; give each row its own id.",))
            yield row

    def _row(self, line: int, cells: list[str] | None) -> TableRow:
        if cells is None:
            unclosed = f"Row {line} has quotes that do not close; put quotes round whole cells and keep a row on one line."
            return TableRow(line, f"row {line}", None, (unclosed,))
        text = {what: cells[i].strip() for what, i in self._column.items() if i < len(cells)}
        name = text.get("file", "") or f"row {line}"
        if len(cells) != self._width:
            wrong = f"Row {line} has {len(cells)} cells where the header has {self._width}; mend the row, or quote its commas."
            return TableRow(line, name, None, (wrong,))
        if not text["file"]:
            return TableRow(line, name, None, (f"Row {line} names no file; fill in the column for the file.",))
        remarks: list[str] = []
        values: dict[str, Any] = {
            "age_years": self._age(text.get("age", ""), line, remarks),
            "sex": self._sex(text.get("sex", ""), line, remarks),
            "patient": self._patient(text.get("patient", ""), line, remarks),
        }
        try:
            listed, unknown = statements_in(text.get("statements", ""))
        except QueryError as error:
            listed, unknown = {}, ()
            remarks.append(f"Row {line}: {error}")
        for word in dict.fromkeys(unknown):
            self.unknown_codes.setdefault(word, []).append(line)
        record = Record(
            self.root, text["file"], text.get("id") or text["file"].removesuffix(".hea"), bool(text.get("id")),
            statements=listed, where=text.get("where", "")[:400], **values,
        )  # fmt: skip
        return TableRow(line, name, record, tuple(remarks))

    def _age(self, text: str, line: int, remarks: list[str]) -> float | None:
        if text.lower() in _UNKNOWN:
            return None
        try:
            age = float(text.replace(",", "."))
        except ValueError:
            age = float("nan")
        if self.ptbxl and age == MASKED_AGE:
            return MASKED_AS
        if 0 <= age <= 130:
            return age
        remarks.append(f"Row {line}: the age {text[:20]!r} is no number from 0 to 130; the case goes in without it.")
        return None

    def _sex(self, text: str, line: int, remarks: list[str]) -> str | None:
        from encoders.ptbxl import SEXES  # pandas and wfdb, which --help must not wait for

        word = text.lower().removesuffix(".0")
        # in PTB-XL 0 is male and 1 female; in a table of another source bare numbers say nothing safe
        known = _SEX_WORDS | ({str(number): sex for number, sex in SEXES.items()} if self.ptbxl else {})
        if word in known or word in _UNKNOWN:
            return known.get(word)
        remarks.append(f"Row {line}: the sex {text[:20]!r} is neither F nor M; the case goes in without it.")
        return None

    def _patient(self, text: str, line: int, remarks: list[str]) -> str | None:
        if text.lower() in _UNKNOWN:
            return None
        try:
            return hash_patient(re.sub(r"^(\d+)\.0+$", r"\1", text))  # tables of numbers with gaps write 17 as 17.0
        except QueryError:
            remarks.append(f"Row {line}: the patient cannot be read; the case goes in without it.")
            return None


def statements_in(text: str) -> tuple[dict[str, float], tuple[str, ...]]:
    """Code → likelihood 0-100 out of "AFIB;LVH:80", "AFIB, LVH", "Atrial fibrillation" or "{'AFIB': 100.0}", and the words that
    are no statement. 100 where no likelihood is given. QueryError where the text or a likelihood cannot be read.
    """
    text = text.strip()
    if text.lower() in _UNKNOWN:
        return {}, ()
    if text.startswith("{"):
        try:
            pairs = [(str(code), str(value)) for code, value in ast.literal_eval(text).items()]
        except (ValueError, SyntaxError, AttributeError, TypeError, MemoryError, RecursionError):
            raise QueryError("the statements cannot be read as {'CODE': likelihood}; the case goes in without them.") from None
    else:
        pairs = []
        for piece in re.split(r"[;,|]", text):
            word, _, likelihood = piece.strip().rpartition(":") if ":" in piece else (piece.strip(), "", "")
            whole = _code(word)
            pairs += [(part, likelihood) for part in ([word] if whole else word.split())]
    out: dict[str, float] = {}
    unknown = []
    for word, likelihood in pairs:
        code = _code(word)
        if code is None:
            unknown.append(word[:24])
            continue
        try:
            value = float(likelihood) if likelihood.strip() else 100.0
        except ValueError:
            value = -1.0
        if not 0 <= value <= 100:
            raise QueryError(f"the likelihood {likelihood[:12]!r} of {code} is no number from 0 to 100; "
                             "the case goes in without statements.")
        out[code] = value
    return out, tuple(unknown)


def _code(word: str) -> str | None:
    """The code that a word or a name stands for, where it stands for exactly one."""
    if word.strip().upper() in CODES:
        return word.strip().upper()
    codes = PHRASES.get(word.strip().lower(), ())
    return codes[0] if len(codes) == 1 else None
