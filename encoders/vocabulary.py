"""The 71 SCP-ECG statements (EN 1064 / ISO 11073-91064; selection and grouping as in PTB-XL) that the encoder knows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CODES", "STATEMENTS", "SUPERCLASSES", "Statement", "codes_in", "statement"]

SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")


@dataclass(frozen=True)
class Statement:
    """One statement.

    ``categories``: any of diagnostic, form, rhythm. ``urgency``: critical, urgent, routine or normal.
    ``criteria``: how it is recognised, in one sentence; ``citation``: where that stands.
    """

    code: str
    name: str
    categories: tuple[str, ...]
    superclass: str | None
    subclass: str | None
    urgency: str
    criteria: str
    citation: str


def _load() -> tuple[Statement, ...]:
    rows = json.loads(Path(__file__).with_name("statements.json").read_text(encoding="utf-8"))
    return tuple(Statement(**{**row, "categories": tuple(row["categories"])}) for row in rows)


STATEMENTS = _load()
#: Column order of every array over statements.
CODES = tuple(s.code for s in STATEMENTS)
_BY_CODE = {s.code: s for s in STATEMENTS}


def statement(code: str) -> Statement:
    """The statement with this SCP code; KeyError where there is none."""
    return _BY_CODE[code]


def codes_in(category: str) -> tuple[str, ...]:
    """Codes of one category ("diagnostic", "form", "rhythm") or superclass ("NORM", "MI", "STTC", "CD", "HYP")."""
    return tuple(s.code for s in STATEMENTS if category in s.categories or category == s.superclass)
