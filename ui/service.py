"""The REST service: recordings in, drafts, answers, referrals and similar cases out; the page is mounted beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Form
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from encoders.ecg import ECG
from encoders.leadsets import wanted_leads
from encoders.patient import hashed
from ui.access import NOTHING, Access, Sessions, needs
from ui.apidocs import docs_html
from ui.audit import Actor, AuditStore
from ui.audit_routes import add_audit_routes
from ui.desk import Desk
from ui.draft_routes import add_draft_routes, state_json
from ui.examples import EXAMPLE_DRAFTED, EXAMPLE_HEALTH, EXAMPLE_MEASUREMENTS
from ui.forms import MOST_CASES, About, Demo, Files, Similar, about_of
from ui.health import health
from ui.keys import KeyFile
from ui.limits import Limits, Rates
from ui.parcels import add_parcel_route
from ui.problems import add_handlers, responses
from ui.shield import Shield
from ui.signin import add_sign_in, sign_in_html
from ui.texts import EXAMPLE_ANSWER, EXAMPLE_CASES, EXAMPLE_REPORT, INTENDED_USE, SERVICE_DESCRIPTION
from ui.worktop import Desktop

if TYPE_CHECKING:
    from assistant import Assistant

__all__ = ["create_app"]

MAX_QUESTION = 2000
QUESTION = "About findings, measurements, quality, similar cases or, with two recordings, their change."
TEXT = "What the cases should show, in words; alone, or besides a recording."
WHERE = (
    "A condition that cases must meet, on age, sex, statement and measurements (such as qrs_ms), with and, or, not; alone, or"
    " besides the others."
)


def create_app(
    assistant: Assistant | None = None,
    *,
    load: Callable[[], Assistant] | None = None,
    page: bool = True,
    hosts: tuple[str, ...] | None = None,
    keys: KeyFile | None = None,
    audit: AuditStore | None = None,
    limits: Limits | None = None,
    recordings: tuple[Path, ...] = (),
) -> FastAPI:
    """The application: /v1 and, where ``page``, the Gradio page at /.

    ``assistant`` is used as it is; otherwise ``load`` (default: ``Assistant.load``) makes one at the first request.
    ``hosts``: names that this server answers to, None for all. ``keys``: who may use it, None for everyone who reaches it.
    ``audit``: where it is written down, None for a store in memory. ``recordings``: folders in which the page looks for the
    recordings of similar cases.
    """
    granted = limits or Limits()
    desk = Desk(assistant, load, audit=audit, max_waiting=granted.waiting, recordings=recordings)
    sessions = Sessions()
    app = FastAPI(
        title="ECG assistant", description=SERVICE_DESCRIPTION, version=str(health(desk)["version"]),
        docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json", redirect_slashes=False,
        form_limits={"max_files": granted.files, "max_fields": granted.fields, "max_part_size": granted.form_bytes},
    )  # fmt: skip
    # The last one added is met first.
    app.add_middleware(
        Access, keys=keys, sessions=sessions, sign_in=sign_in_html().encode(), limits=granted, rates=Rates()
    )
    app.add_middleware(Shield, limits=granted, hosts=hosts)
    add_handlers(app)
    desktop = Desktop(desk, granted)
    _add_work(app, desk, desktop)
    add_draft_routes(app, desk, desktop)
    add_audit_routes(app, desk)
    if keys is not None:
        add_sign_in(app, keys, sessions, desk.audit)

    @app.get("/v1/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_html(app.openapi()))

    @app.api_route("/v1/{rest:path}", include_in_schema=False, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
    async def nothing_else(rest: str) -> JSONResponse:
        raise HTTPException(404, NOTHING)

    if page:
        from ui.page import mount

        add_parcel_route(app, desk.parcels)
        mount(app, desk, sign_out=keys is not None)
    return app


def _add_work(app: FastAPI, desk: Desk, desktop: Desktop) -> None:
    """Reports, answers, measurements, cases and health."""

    @app.post(
        "/v1/reports", summary="Draft a report of one recording, or refer it",
        responses=responses({**EXAMPLE_REPORT, **EXAMPLE_DRAFTED}, 408, 413, 422, 503, 504),
    )  # fmt: skip
    async def reports(
        actor: Annotated[Actor, needs("reports")], about: Annotated[About, Depends(about_of)],
        files: Files = None, demo: Demo = None,
        k: Similar = 10,
    ) -> JSONResponse:  # fmt: skip
        """A draft is unconfirmed until it is signed. It comes with a `draft_id` and, as `to_sign`, the sentences to decide."""

        def work(loaded: Assistant, ecgs: list[ECG]) -> dict[str, Any]:
            document = loaded.report(ecgs[0], k=k).to_json()
            entry = desk.audit.record("report", actor, recordings=[ecgs[0].content_hash()], document=document)
            recorded = desk.audit.draft(entry.id)
            return {**document, **({} if recorded is None else state_json(recorded))}

        return JSONResponse(await desktop.with_recordings(files, demo, about, 1, work))

    @app.post(
        "/v1/answers", summary="Answer a question about one or two recordings",
        responses=responses(EXAMPLE_ANSWER, 408, 413, 422, 503, 504),
    )  # fmt: skip
    async def answers(
        actor: Annotated[Actor, needs("answers")], about: Annotated[About, Depends(about_of)],
        question: Annotated[
            str, Form(min_length=1, max_length=MAX_QUESTION, examples=["What is the QRS duration?"], description=QUESTION)
        ],
        files: Files = None, demo: Demo = None,
    ) -> JSONResponse:  # fmt: skip
        """Of two recordings the earlier one comes first. The question is kept; do not write names into it."""

        def work(loaded: Assistant, ecgs: list[ECG]) -> dict[str, Any]:
            document = loaded.ask(ecgs, question).to_json()
            hashes = [ecg.content_hash() for ecg in ecgs]
            desk.audit.record(
                "question", actor, recordings=hashes, asked=question, document=document, versions=loaded.versions()
            )
            return document

        return JSONResponse(await desktop.with_recordings(files, demo, about, 2, work))

    @app.post(
        "/v1/measurements", summary="Measure one recording, without any finding",
        responses=responses(EXAMPLE_MEASUREMENTS, 408, 413, 422, 503, 504),
    )  # fmt: skip
    async def measurements(
        actor: Annotated[Actor, needs("measurements")], about: Annotated[About, Depends(about_of)],
        files: Files = None, demo: Demo = None,
    ) -> JSONResponse:  # fmt: skip
        """Quality, rate, intervals, axes, voltages and ST levels; each value with its reliability, missing ones as null."""

        def work(loaded: Assistant, ecgs: list[ECG]) -> dict[str, Any]:
            from encoders.gate import check
            from encoders.measure import measure

            ecg, recording = ecgs[0], ecgs[0].content_hash()
            quality = check(ecg, wanted=wanted_leads(ecg.leads))
            document = {"recording": recording, "quality": quality.to_json(), "measurements": measure(ecg).to_json()}
            desk.audit.record("measure", actor, recordings=[recording], kind="measurements", versions=loaded.versions())
            return document

        return JSONResponse(await desktop.with_recordings(files, demo, about, 1, work))

    @app.post(
        "/v1/cases/search", summary="Past cases like a recording or a description",
        responses=responses(EXAMPLE_CASES, 408, 413, 422, 503, 504),
    )  # fmt: skip
    async def cases_search(
        actor: Annotated[Actor, needs("cases")], about: Annotated[About, Depends(about_of)],
        files: Files = None, demo: Demo = None,
        text: Annotated[
            str | None, Form(max_length=MAX_QUESTION, examples=["left bundle branch block"], description=TEXT)
        ] = None,
        k: Annotated[int, Form(ge=1, le=MOST_CASES, description="How many cases.")] = 10,
        where: Annotated[str | None, Form(max_length=MAX_QUESTION, examples=["age>60 and sex=F"], description=WHERE)] = None,
    ) -> JSONResponse:  # fmt: skip
        """By a recording, by words, by a condition, or by several of them at once: with a recording and words, a case's cosine
        with the recording counts, plus 0.7 times the share of the words that it answers; `where`, and ages, sexes and
        measurements in the words, hold strictly. `left_out` counts the cases that were passed over: those of the same patient
        (send `patient`), and those that are this very recording or one already shown. `neighbours` tells what the 50 nearest
        cases of the recording list, beside what chance would give; `understood`, how the words were taken."""
        words, condition = (text or "").strip() or None, (where or "").strip() or None

        def work(loaded: Assistant, ecgs: list[ECG]) -> dict[str, Any]:
            ecg = ecgs[0] if ecgs else None
            found = loaded.library.find(
                embedding=None if ecg is None else loaded.encoder.encode([ecg])[0].embedding, text=words, where=condition, k=k,
                patient=hashed(about.patient) if ecg is None else ecg.patient,
                content_hash="" if ecg is None else ecg.content_hash(),
            )  # fmt: skip
            desk.audit.record(
                "search", actor, recordings=[one.content_hash() for one in ecgs], kind="cases", versions=loaded.versions(),
                asked=" ".join(part for part in (words, condition) if part),
            )
            return {**found.to_json(), "k": k, "where": condition}

        if files or demo or not (words or condition):
            return JSONResponse(await desktop.with_recordings(files, demo, about, 1, work))
        return JSONResponse(await desktop.run(lambda: desktop.in_turn(lambda loaded: work(loaded, []))))

    @app.get("/v1/health", summary="Versions and artefact hashes; loads nothing", responses=responses(EXAMPLE_HEALTH))
    async def health_of(actor: Annotated[Actor, needs("health")]) -> JSONResponse:
        return JSONResponse({**health(desk), "intended_use": INTENDED_USE})
