"""Audit entries as lines of JSON or as a table."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from encoders.errors import QueryError
from ui.audit import Entry

__all__ = ["COLUMNS", "csv_lines", "json_lines", "parse_since"]

#: Columns of the table; what is more than a word is JSON in its cell.
COLUMNS = (
    "seq", "id", "at", "actor", "role", "action", "about", "recordings", "asked", "kind", "reasons", "sentences", "signer",
    "edits", "findings", "versions", "previous", "hash",
)  # fmt: skip


def parse_since(text: str | None) -> str | None:
    """A date or time (UTC) as entries carry it, or None for none. Raises QueryError for anything else."""
    if text is None or not text.strip():
        return None
    try:
        when = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise QueryError("The date is not understood; give it like 2026-11-01 or 2026-11-01T08:30:00Z.") from None
    when = when.replace(tzinfo=datetime.UTC) if when.tzinfo is None else when
    try:
        return when.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        raise QueryError("The date lies outside the calendar; give it like 2026-11-01.") from None


def json_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """An entry per line."""
    for entry in entries:
        yield json.dumps(entry.to_json(), ensure_ascii=False) + "\n"


def csv_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """A header and a row per entry. Cells that a spreadsheet would take for a formula begin with an apostrophe."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")

    def written(row: Iterable[str]) -> str:
        line.seek(0)
        line.truncate()
        writer.writerow(row)
        return line.getvalue()

    yield written(COLUMNS)
    for entry in entries:
        document = entry.to_json()
        yield written(_cell(document.get(name)) for name in COLUMNS)


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
