"""What a clinician takes away: the report as PDF, JSON or FHIR, made in memory and written nowhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders.errors import QueryError

if TYPE_CHECKING:
    from encoders.ecg import ECG
    from ui.signing import SignedReport

__all__ = ["KINDS", "Made", "packed"]

KINDS = ("pdf", "json", "fhir")


@dataclass(frozen=True)
class Made:
    """A file that was never on a disk: its name (which tells no patient), media type and content."""

    name: str
    type: str
    content: bytes


def packed(kind: str, report: SignedReport, ecg: ECG, label: str | None = None) -> Made:
    """The report as one of KINDS. ``label``: the patient's, for this copy only. Raises QueryError for another kind."""
    stem = f"ecg-report-{str(report.document['recording'])[:12]}{'' if report.signed else '-unconfirmed'}"
    if kind == "pdf":
        from ui.pdf import to_pdf

        return Made(f"{stem}.pdf", "application/pdf", to_pdf(report, ecg, label))
    if kind == "json":
        return Made(f"{stem}.json", "application/json", _text(report.to_json(label)))
    if kind == "fhir":
        from ui.fhir import bundle

        return Made(f"{stem}.fhir.json", "application/fhir+json", _text(bundle(report, label)))
    raise QueryError(f"A report cannot be had as {kind[:20]!r}; choose one of {', '.join(KINDS)}.")


def _text(document: object) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()
