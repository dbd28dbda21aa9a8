"""What a library holds, counted in one pass over its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from encoders.vocabulary import statement
from retrieval.store import CaseRow

__all__ = ["Overview", "overview"]

_COMMONEST = 12


@dataclass(frozen=True)
class Overview:
    """Counts over the cases: how many, of how many known patients, with how much known of them. ``ages``: least and greatest,
    years. ``statements``: (code, cases that list it), commonest first. ``sources``: (where from, cases), commonest first."""

    cases: int
    patients: int
    with_age: int
    with_sex: int
    with_statements: int
    women: int
    ages: tuple[float, float] | None
    statements: tuple[tuple[str, int], ...]
    sources: tuple[tuple[str, int], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "cases": self.cases,
            "patients": self.patients,
            "with_age": self.with_age,
            "with_sex": self.with_sex,
            "with_statements": self.with_statements,
            "women": self.women,
            "ages": None if self.ages is None else list(self.ages),
            "statements": dict(self.statements),
            "sources": dict(self.sources),
        }

    def lines(self) -> list[str]:
        """The counts as plain sentences and a short table."""
        ages = "" if self.ages is None else f", {self.ages[0]:.0f} to {self.ages[1]:.0f} years"
        out = [
            f"Age known in {self.with_age}{ages}; sex in {self.with_sex}, {self.women} of them women; "
            f"statements in {self.with_statements}.",
            f"From: {', '.join(f'{name} ({count})' for name, count in self.sources[:5]) or 'nothing said'}.",
        ]
        if self.statements:
            out.append(f"Commonest of {len(self.statements)} statements:")
            out += [f"  {code:<8} {count:>8}  {_name(code)}" for code, count in self.statements[:_COMMONEST]]
        return out


def _name(code: str) -> str:
    try:
        return statement(code).name
    except KeyError:
        return ""


def overview(rows: Iterable[CaseRow]) -> Overview:
    """Counts over all rows; memory does not grow with them but for the patients' keys."""
    patients: set[int] = set()
    statements, sources = Counter[str](), Counter[str]()
    cases = with_age = with_sex = with_statements = women = 0
    low, high = float("inf"), float("-inf")
    for row in rows:
        cases += 1
        with_sex += row.sex is not None
        women += row.sex == "F"
        with_statements += bool(row.statements)
        statements.update(row.statements.keys())
        sources[_source(row.where)] += 1
        if row.patient_key is not None:
            patients.add(row.patient_key)
        if row.age_years is not None:
            with_age += 1
            low, high = min(low, row.age_years), max(high, row.age_years)
    return Overview(
        cases, len(patients), with_age, with_sex, with_statements, women, (low, high) if with_age else None,
        tuple(statements.most_common()), tuple(sources.most_common()),
    )  # fmt: skip


def _source(where: str) -> str:
    """The folder or data set of a case: "ward/day1/r3" is from ward, "PTB-XL 1.0.3 records100/..." from PTB-XL 1.0.3."""
    folder = where.split("/", 1)[0]
    return folder.rsplit(" ", 1)[0] if " records" in folder else folder or "nothing said"
