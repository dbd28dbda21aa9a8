"""What an auditor reads over the service: the entries, and the rates."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, Query
from fastapi.responses import JSONResponse, StreamingResponse

from ui.access import needs
from ui.audit import Actor
from ui.audit_lines import COLUMNS, csv_lines, json_lines, parse_since
from ui.desk import Desk
from ui.examples import EXAMPLE_AUDIT, EXAMPLE_RATES
from ui.problems import problems, responses
from ui.rates import edit_rates
from ui.schemas import Rates

__all__ = ["add_audit_routes"]


def add_audit_routes(app: FastAPI, desk: Desk) -> None:
    """Adds /v1/audit and /v1/audit/rates."""
    lines = {"description": "Lines of JSON, or a table.", "content": {
        "application/x-ndjson": {"schema": {"type": "string"}, "example": EXAMPLE_AUDIT},
        "text/csv": {"schema": {"type": "string"}, "example": ",".join(COLUMNS) + "\n"},
    }}  # fmt: skip

    @app.get(
        "/v1/audit", summary="The audit store: one entry per line", response_class=StreamingResponse,
        responses={200: lines, **problems(503)},
    )  # fmt: skip
    def read_audit(
        actor: Annotated[Actor, needs("audit")],
        since: Annotated[str | None, Query(max_length=40, description="UTC date or time", examples=["2026-11-01"])] = None,
        form: Annotated[Literal["jsonl", "csv"], Query(alias="format", description="Lines of JSON, or a table.")] = "jsonl",
        after: Annotated[int, Query(ge=0, le=2**53, description="Leave out entries up to this `seq`.")] = 0,
        limit: Annotated[int | None, Query(ge=1, le=2**53, description="At most so many; all, if left out.")] = None,
    ) -> StreamingResponse:
        """Every entry holds the hash of the one before; `ecg-assistant audit verify` checks them on the server. Read on with
        `after` and the last `seq` that came."""
        start = parse_since(since)
        desk.audit.record("audit", actor, kind=form)
        entries = desk.audit.entries(since=start, after=after, limit=limit)
        if form == "csv":
            return StreamingResponse(csv_lines(entries), media_type="text/csv")
        return StreamingResponse(json_lines(entries), media_type="application/x-ndjson")

    @app.get(
        "/v1/audit/rates", summary="Edit and disagreement rates per finding", responses=responses(Rates, EXAMPLE_RATES, 503)
    )
    def read_rates(actor: Annotated[Actor, needs("audit")]) -> JSONResponse:
        """Of signed drafts that state a finding, the share in which it was edited; of those in which machine or human states
        it, the share in which only one does; both with 95 % Wilson intervals."""
        desk.audit.record("audit", actor, kind="rates")
        return JSONResponse(edit_rates(desk.audit.entries()).to_json())
