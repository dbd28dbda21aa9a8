"""The REST service: recordings in, drafts, answers, referrals and similar cases out; the page is mounted beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from encoders.ecg import ECG
from encoders.errors import ArtefactError, InputError, QueryError
from ui.demo import PREFIX, resolve
from ui.desk import Desk
from ui.health import health
from ui.shield import Shield
from ui.texts import EXAMPLE_ANSWER, EXAMPLE_CASES, EXAMPLE_REPORT, INTENDED_USE, SERVICE_DESCRIPTION
from ui.uploads import MAX_UPLOAD_BYTES, Upload, recordings_in, stored

if TYPE_CHECKING:
    from assistant import Assistant

__all__ = ["create_app", "read_recordings"]

T = TypeVar("T")
_LOG = logging.getLogger("ecg-assistant")
MAX_CASES = 1000
MAX_QUESTION = 2000


def _error(status: int, sentence: str) -> dict[str, Any]:
    return {"description": sentence, "content": {"application/json": {"example": {"error": sentence}}}}


_ERRORS: dict[int | str, dict[str, Any]] = {
    413: _error(413, "The upload is larger than 20 MB; send one recording of up to a few minutes."),
    422: _error(422, "The file is empty; send a whole recording (WFDB, EDF, DICOM, XML, SCP-ECG, CSV or NumPy)."),
    503: _error(503, "The encoder weights are missing; reinstall."),
}


def _responses(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": example}}}, **_ERRORS}


@dataclass(frozen=True)
class _About:
    """What the form says of a recording."""

    age_years: float | None
    sex: str | None
    fs_hz: float | None
    unit: str | None


Files = Annotated[
    list[UploadFile] | None, File(description="The recording; a WFDB record is two files or more (.hea and .dat).")
]
Demo = Annotated[
    list[str] | None, Form(description="A built-in demo recording instead of files, e.g. af.", examples=[["af"]])
]
Age = Annotated[float | None, Form(ge=0, le=130, description="Age in years; goes before what the file says.")]
Sex = Annotated[str | None, Form(pattern="^[FM]?$", description="F or M; goes before what the file says.")]
Rate = Annotated[float | None, Form(gt=0, le=1e5, description="Sampling rate of a file that does not state it, in Hz.")]
Unit = Annotated[str | None, Form(pattern="^(uV|mV|V)?$", description="Unit of a file that does not state it: uV, mV or V.")]


def read_recordings(uploads: Sequence[Upload], demos: Sequence[str], about: _About) -> list[ECG]:
    """The recordings of one request: demos first, then files in their order. Nothing stays on disk.

    Raises RecordingError or QueryError; their sentences never hold the temporary folder.
    """
    ecgs = [
        resolve(PREFIX + demo_name.removeprefix(PREFIX), age_years=about.age_years, sex=about.sex) for demo_name in demos
    ]
    if uploads:
        with stored(uploads) as folder:
            try:
                for path in recordings_in(folder, [upload.name for upload in uploads]):
                    ecgs.append(
                        resolve(path, fs_hz=about.fs_hz, unit=about.unit, age_years=about.age_years, sex=about.sex)
                    )
            except InputError as error:
                raise type(error)(str(error).replace(f"{folder}/", "").replace(str(folder), "the upload")) from None
    return ecgs


def _about(age: float | None, sex: str | None, fs_hz: float | None, unit: str | None) -> _About:
    return _About(age, sex or None, fs_hz, unit or None)


async def _uploads(files: Sequence[UploadFile] | None) -> list[Upload]:
    return [Upload(file.filename or "", await file.read()) for file in files or () if file.filename or file.size]


def create_app(
    assistant: Assistant | None = None,
    *,
    load: Callable[[], Assistant] | None = None,
    page: bool = True,
    hosts: tuple[str, ...] | None = None,
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
) -> FastAPI:
    """The application: /v1 and, where ``page``, the Gradio page at /.

    ``assistant`` is used as it is; otherwise ``load`` (default: ``Assistant.load``) makes one at the first request.
    ``hosts``: names that this server answers to, None for all.
    """
    desk = Desk(assistant, load)
    app = FastAPI(
        title="ECG assistant", description=SERVICE_DESCRIPTION, version=str(health(desk)["version"]),
        docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json",
    )  # fmt: skip
    app.add_middleware(Shield, max_bytes=max_upload_bytes, hosts=hosts)
    _add_error_handlers(app)

    async def with_recordings(
        files: Sequence[UploadFile] | None, demos: Sequence[str] | None, about: _About, most: int,
        work: Callable[[Assistant, list[ECG]], T],
    ) -> T:  # fmt: skip
        uploads = await _uploads(files)

        def all_of_it() -> T:
            ecgs = read_recordings(uploads, [name for name in demos or () if name], about)
            if not 1 <= len(ecgs) <= most:
                allowed = "one recording" if most == 1 else "one or two recordings"
                raise QueryError(
                    f"The request holds {len(ecgs)} recordings; send {allowed}, as files (.hea with its .dat) or as demo."
                )
            return desk.with_assistant(lambda loaded: work(loaded, ecgs))

        return await run_in_threadpool(all_of_it)

    @app.post("/v1/reports", summary="Draft a report of one recording, or refer it", responses=_responses(EXAMPLE_REPORT))
    async def reports(
        files: Files = None, demo: Demo = None, age: Age = None, sex: Sex = None, fs_hz: Rate = None, unit: Unit = None,
        k: Annotated[int, Form(ge=0, le=MAX_CASES, description="Similar cases to look up.")] = 10,
    ) -> JSONResponse:  # fmt: skip
        result = await with_recordings(
            files, demo, _about(age, sex, fs_hz, unit), 1, lambda loaded, ecgs: loaded.report(ecgs[0], k=k).to_json()
        )
        return JSONResponse(result)

    @app.post("/v1/answers", summary="Answer a question about one or two recordings", responses=_responses(EXAMPLE_ANSWER))
    async def answers(
        question: Annotated[str, Form(min_length=1, max_length=MAX_QUESTION, examples=["What is the QRS duration?"])],
        files: Files = None, demo: Demo = None, age: Age = None, sex: Sex = None, fs_hz: Rate = None, unit: Unit = None,
    ) -> JSONResponse:  # fmt: skip
        result = await with_recordings(
            files, demo, _about(age, sex, fs_hz, unit), 2, lambda loaded, ecgs: loaded.ask(ecgs, question).to_json()
        )
        return JSONResponse(result)

    @app.post("/v1/cases/search", summary="Past cases like a recording or a description", responses=_responses(EXAMPLE_CASES))
    async def cases_search(
        files: Files = None, demo: Demo = None,
        text: Annotated[str | None, Form(max_length=MAX_QUESTION, examples=["left bundle branch block"])] = None,
        k: Annotated[int, Form(ge=1, le=MAX_CASES)] = 10,
        where: Annotated[str | None, Form(max_length=MAX_QUESTION, examples=["age>60 and sex=F"])] = None,
        age: Age = None, sex: Sex = None, fs_hz: Rate = None, unit: Unit = None,
    ) -> JSONResponse:  # fmt: skip
        if text and text.strip():
            if files or demo:
                raise QueryError("The request holds a text and a recording; send one of them.")
            words = text.strip()
            found = await run_in_threadpool(
                desk.with_assistant, lambda loaded: loaded.library.search_text(words, k, where=where or None)
            )
        else:
            found = await with_recordings(
                files, demo, _about(age, sex, fs_hz, unit), 1,
                lambda loaded, ecgs: loaded.library.search(
                    loaded.encoder.encode(ecgs)[0].embedding, k, where=where or None
                ),
            )  # fmt: skip
        return JSONResponse({"cases": [case.to_json() for case in found], "k": k, "where": where or None})

    @app.get("/v1/health", summary="Versions and artefact hashes; loads nothing")
    async def health_of() -> JSONResponse:
        return JSONResponse({**health(desk), "intended_use": INTENDED_USE})

    if page:
        from ui.page import mount

        mount(app, desk)
    return app


def _add_error_handlers(app: FastAPI) -> None:
    """Every error leaves as {"error": one sentence}; none holds a path or a traceback."""

    def sentence(status: int, text: str) -> JSONResponse:
        return JSONResponse({"error": " ".join(text.split())}, status_code=status)

    @app.exception_handler(InputError)
    async def of_input(_: Request, error: InputError) -> JSONResponse:
        return sentence(422, str(error))

    @app.exception_handler(ArtefactError)
    async def of_artefact(_: Request, error: ArtefactError) -> JSONResponse:
        return sentence(503, str(error))

    @app.exception_handler(RequestValidationError)
    async def of_form(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:]) or "form"
        why = str(first["msg"])
        return sentence(422, f"The field {field!r} is not accepted: {why[:1].lower()}{why[1:]}; see /v1/openapi.json.")

    @app.exception_handler(HTTPException)
    async def of_http(_: Request, error: HTTPException) -> JSONResponse:
        return sentence(error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    async def of_anything(_: Request, error: Exception) -> JSONResponse:
        # Kind only: a message could hold a path or a piece of the recording.
        _LOG.error("unforeseen %s", type(error).__name__)
        return sentence(500, "Something went wrong on the server's side; the recording was not judged, try again or report it.")
