"""A past case as the library returns it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Case"]


@dataclass(frozen=True)
class Case:
    """One past recording and how like the asked one it is.

    ``similarity``: cosine of the embeddings, -1..1 (text search: cosine of text embeddings, or the share of asked
    statements). ``statements``: SCP code → annotator's likelihood 0-100. ``measurements``: name → value.
    ``where``: where the recording can be had, e.g. "PTB-XL 1.0.3 records100/12000/12345_lr".
    """

    case_id: str
    similarity: float
    age_years: float | None = None
    sex: str | None = None
    statements: dict[str, float] = field(default_factory=dict)
    measurements: dict[str, float | None] = field(default_factory=dict)
    where: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": f"C:{self.case_id}",
            "similarity": round(self.similarity, 4),
            "age_years": self.age_years,
            "sex": self.sex,
            "statements": self.statements,
            "measurements": self.measurements,
            "where": self.where,
        }
