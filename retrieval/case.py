"""A past case as the library returns it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Case", "left_out_words"]


def left_out_words(own: int, duplicates: int) -> str:
    """A sentence on cases that a search passed over: the patient's own, and this very recording again; "" where none was."""
    said = [
        f"{own} of this patient's own" if own else "",
        f"{duplicates} that {'is' if duplicates == 1 else 'are'} this very recording or one already shown" if duplicates else "",
    ]
    return f"Left out: {' and '.join(part for part in said if part)}." if own or duplicates else ""


@dataclass(frozen=True)
class Case:
    """One past recording and how like the asked one it is.

    ``found_by`` says what ``similarity`` is: "recording", cosine of two ECGs' embeddings, -1..1; "statements", the share
    of the asked statements that the case lists, 0..1; "condition", only age, sex or measurements were asked, 1; "signal",
    cosine of the ECG itself and the sentence in their common space, -1..1, comparable within one search only; "both",
    cosine of two ECGs' embeddings where words were asked as well, of which ``answers`` is the share that the case has, 0..1.
    ``statements``: SCP code → annotator's likelihood 0-100. ``measurements``: name → value.
    ``where``: where the recording can be had, e.g. "PTB-XL 1.0.3 records100/12000/12345_lr".
    """

    case_id: str
    similarity: float
    age_years: float | None = None
    sex: str | None = None
    statements: dict[str, float] = field(default_factory=dict)
    measurements: dict[str, float | None] = field(default_factory=dict)
    where: str = ""
    found_by: str = "recording"
    answers: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": f"C:{self.case_id}",
            "similarity": round(self.similarity, 4),
            "age_years": self.age_years,
            "sex": self.sex,
            "statements": self.statements,
            "measurements": self.measurements,
            "where": self.where,
            "found_by": self.found_by,
            **({} if self.answers is None else {"answers": round(self.answers, 4)}),
        }
