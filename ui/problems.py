"""Every error of the service: one sentence, an example of each in its description, and handlers that let nothing else out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Route

from encoders.errors import ArtefactError, InputError
from ui.access import NO_KEY, NOTHING, not_allowed
from ui.desk import Busy
from ui.shield import UNFORESEEN, Receive, Scope, Send

__all__ = [
    "NO_DRAFT", "RETRY_S", "SIGNED_BEFORE", "TOO_LONG", "NothingElse", "Problem", "add_handlers", "problems", "responses",
]  # fmt: skip

#: When to come back after the queue was full: about the time of a few reports.
RETRY_S = 2

NOT_SO = "The method {} does nothing at this address; it takes {}."
NO_DRAFT = "There is no draft of this id; give the draft_id that came with the report."
SIGNED_BEFORE = "The draft is signed already; draft the recording again to correct it."
TOO_LONG = "The work took longer than {:.0f} s and was given up; try again when the server is less busy."
_EXAMPLES: dict[int, tuple[str, str]] = {
    400: ("The request cannot be read", "Too many files. Maximum number of files is 64."),
    401: ("No key, or one that is unknown or revoked", NO_KEY),
    403: ("The key's role may not do this", not_allowed("auditor")),
    404: ("There is no such thing", NO_DRAFT),
    408: ("The upload came too slowly", "The upload took longer than 60 s; send it again."),
    409: ("Done before", SIGNED_BEFORE),
    413: ("The upload is too large", "The upload is larger than 20 MB; send one recording of up to a few minutes."),
    421: ("Wrong name of the server", "This server does not answer to that name; use the address that it printed."),
    422: (
        "What was sent is outside the contract",
        "The file is empty; send a whole recording (WFDB, EDF, DICOM, XML, SCP-ECG, CSV or NumPy).",
    ),
    429: ("Too many requests; the header Retry-After says when to come back", Busy.sentence),
    500: ("An error of the server", UNFORESEEN),
    503: ("An artefact or the audit store is missing or damaged", "The encoder weights are missing; reinstall."),
    504: ("The work took too long", TOO_LONG.format(60)),
}
_OF_ALL = (400, 401, 403, 421, 422, 429, 500)
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "How to send the key.", "schema": {"type": "string", "enum": ["Bearer"]}}},
    429: {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}},
}


class Problem(BaseModel):
    """What every error looks like."""

    error: str = Field(description="One sentence: what was seen, what is allowed, what to do.")


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The errors of an endpoint for its description, each with an example; those of every endpoint are added."""
    return {
        code: {
            "model": Problem,
            "description": _EXAMPLES[code][0],
            "content": {"application/json": {"example": {"error": _EXAMPLES[code][1]}}},
            **({"headers": _HEADERS[code]} if code in _HEADERS else {}),
        }
        for code in sorted({*codes, *_OF_ALL})
    }


def responses(model: Any, example: Any, *codes: int) -> dict[int | str, dict[str, Any]]:
    """An endpoint's answers for its description: the good one (of ``ui.schemas``) with its example, and its errors.

    The model describes and is checked in tests; what is sent is not run through it.
    """
    return {200: {"model": model, "content": {"application/json": {"example": example}}}, **problems(*codes)}


def add_handlers(app: FastAPI) -> None:
    """Every error leaves as {"error": one sentence}; what nobody foresaw is left to the shield."""

    def sentence(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"error": " ".join(text.split())}, status_code=status, headers=headers)

    @app.exception_handler(InputError)
    async def of_input(_: Request, error: InputError) -> JSONResponse:
        return sentence(422, str(error))

    @app.exception_handler(ArtefactError)
    async def of_artefact(_: Request, error: ArtefactError) -> JSONResponse:
        return sentence(503, str(error))

    @app.exception_handler(Busy)
    async def of_busy(_: Request, error: Busy) -> JSONResponse:
        return sentence(429, str(error), {"Retry-After": str(RETRY_S)})

    @app.exception_handler(RequestValidationError)
    async def of_form(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = [str(part) for part in first["loc"][1:]]
        if first["type"] == "json_invalid":
            said = f"The body is no JSON: {first['ctx']['error']} at character {where[-1]}"
        elif not where:
            said = "The body is not accepted: send a JSON object, with the header Content-Type: application/json"
        else:
            why = str(first["msg"])
            said = f"The field {'.'.join(where)[:100]!r} is not accepted: {why[:1].lower()}{why[1:200]}"
        return sentence(422, f"{said}; see /v1/docs.")

    @app.exception_handler(HTTPException)
    async def of_http(_: Request, error: HTTPException) -> JSONResponse:
        # What Starlette says of itself is no sentence.
        said = NOTHING if error.status_code == 404 and error.detail == HTTPStatus.NOT_FOUND.phrase else str(error.detail)
        return sentence(error.status_code, said, dict(error.headers) if error.headers else None)


class NothingElse:
    """An ASGI endpoint behind all others of /v1: 405 where an address takes another method, and 404 where there is none."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = {
            method for route in self.app.routes
            if isinstance(route, Route) and route.methods and route.path_regex.match(scope["path"]) for method in route.methods
        }  # fmt: skip
        if allowed:
            methods = ", ".join(sorted(allowed))
            raise HTTPException(405, NOT_SO.format(scope["method"][:20], methods), {"Allow": methods})
        raise HTTPException(404, NOTHING)
