"""The REST service: recordings in, drafts, answers, referrals and similar cases out; the page is mounted beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Form
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from encoders.ecg import ECG
from encoders.errors import QueryError
from encoders.leadsets import wanted_leads
from encoders.patient import hashed
from ui.access import Access, Sessions, needs
from ui.apidocs import docs_html
from ui.audit import Actor, AuditStore
from ui.audit_routes import add_audit_routes
from ui.desk import Desk
from ui.draft_routes import add_draft_routes, state_json
from ui.examples import EXAMPLE_ANSWER, EXAMPLE_CASES, EXAMPLE_HEALTH, EXAMPLE_MEASUREMENTS, EXAMPLE_REPORT
from ui.forms import MOST_CASES, About, Demo, Files, Similar, about_of, check_heeded, known_parameters
from ui.health import health
from ui.keys import KeyFile
from ui.limits import Limits, Rates
from ui.parcels import add_parcel_route
from ui.problems import NothingElse, add_handlers, responses
from ui.reporting import drafted, found_document, recordings_of
from ui.schemas import Answered, Drafted, FoundCases, Health, Measured
from ui.shield import Shield
from ui.signin import add_sign_in, sign_in_html
from ui.texts import INTENDED_USE, SERVICE_DESCRIPTION
from ui.worktop import Desktop

if TYPE_CHECKING:
    from assistant import Assistant
    from encoders.quality import Quality

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
        generate_unique_id_function=lambda route: route.name, dependencies=[Depends(known_parameters)],
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

    for address in ("/v1", "/v1/{rest:path}"):
        app.router.routes.append(Route(address, NothingElse(app)))
    if page:
        from ui.page import mount

        add_parcel_route(app, desk.parcels)
        mount(app, desk, sign_out=keys is not None)
    return app


def _add_work(app: FastAPI, desk: Desk, desktop: Desktop) -> None:
    """Reports, answers, measurements, cases and health."""

    @app.post(
        "/v1/reports", summary="Draft a report of one recording, or refer it",
        responses=responses(Drafted, EXAMPLE_REPORT, 408, 413, 503, 504),
    )  # fmt: skip
    async def draft_report(
        actor: Annotated[Actor, needs("reports")], about: Annotated[About, Depends(about_of)],
        files: Files = None, demo: Demo = None,
        k: Similar = 10,
    ) -> JSONResponse:  # fmt: skip
        """A draft is unconfirmed until it is signed. It comes with a `draft_id` and, as `to_sign`, the sentences to decide.

        With two recordings of one patient, the earlier one first, the later one is reported and compared with the other.
        Where `status` is "referral", `reasons` and `who_should_look` tell why, and who goes on."""
        document = await desktop.with_recordings(files, demo, about, 2, lambda loaded, ecgs: drafted(loaded, ecgs, k))

        def recorded() -> dict[str, Any]:
            entry = desk.audit.record("report", actor, recordings=recordings_of(document), document=document)
            known = desk.audit.draft(entry.id)
            return {**document, **({} if known is None else state_json(known))}

        return JSONResponse(await desktop.keep(recorded))

    @app.post(
        "/v1/answers", summary="Answer a question about one or two recordings",
        responses=responses(Answered, EXAMPLE_ANSWER, 408, 413, 503, 504),
    )  # fmt: skip
    async def answer_question(
        actor: Annotated[Actor, needs("answers")], about: Annotated[About, Depends(about_of)],
        question: Annotated[
            str, Form(min_length=1, max_length=MAX_QUESTION, examples=["What is the QRS duration?"], description=QUESTION)
        ],
        files: Files = None, demo: Demo = None,
    ) -> JSONResponse:  # fmt: skip
        """Of two recordings the earlier one comes first; `caution` says where their own times, ages or sexes speak against that.
        The question is kept; do not write names into it."""

        def work(loaded: Assistant, ecgs: list[ECG]) -> dict[str, Any]:
            from assistant.serial import order_caution

            document, hashes = loaded.ask(ecgs, question).to_json(), [ecg.content_hash() for ecg in ecgs]
            caution = [] if len(ecgs) == 1 else list(order_caution(ecgs[0], ecgs[1]))
            return {**document, "recordings": hashes, "caution": caution, "versions": loaded.versions()}

        document = await desktop.with_recordings(files, demo, about, 2, work)
        return JSONResponse(await desktop.keep(lambda: {**document, "audit_id": desk.audit.record(
            "question", actor, recordings=document["recordings"], asked=question, document=document
        ).id}))  # fmt: skip

    @app.post(
        "/v1/measurements", summary="Measure one recording, without any finding",
        responses=responses(Measured, EXAMPLE_MEASUREMENTS, 408, 413, 503, 504),
    )  # fmt: skip
    async def measure_recording(
        actor: Annotated[Actor, needs("measurements")], about: Annotated[About, Depends(about_of)],
        files: Files = None, demo: Demo = None,
    ) -> JSONResponse:  # fmt: skip
        """Quality, rate, intervals, axes, voltages and ST levels; each value with its reliability, missing ones as null."""

        def work(loaded: Assistant, ecgs: list[ECG]) -> dict[str, Any]:
            from encoders.measure import measure

            (ecg,) = ecgs
            return {
                "recording": ecg.content_hash(), "quality": _quality(ecg).to_json(), "measurements": measure(ecg).to_json(),
                "versions": loaded.versions(),
            }  # fmt: skip

        document = await desktop.with_recordings(files, demo, about, 1, work)
        return JSONResponse(await desktop.keep(lambda: {**document, "audit_id": desk.audit.record(
            "measure", actor, recordings=[document["recording"]], kind="measurements", versions=document["versions"]
        ).id}))  # fmt: skip

    @app.post(
        "/v1/cases/search", summary="Past cases like a recording or a description",
        responses=responses(FoundCases, EXAMPLE_CASES, 408, 413, 503, 504),
    )  # fmt: skip
    async def search_cases(
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
        cases of the recording list, beside what chance would give; `understood`, how the words were taken; `remark`, why the
        cases may mean nothing, as with a recording that is not usable."""
        words, condition = (text or "").strip() or None, (where or "").strip() or None

        def work(loaded: Assistant, ecgs: list[ECG]) -> dict[str, Any]:
            ecg = ecgs[0] if ecgs else None
            recording = "" if ecg is None else ecg.content_hash()
            found = loaded.library.find(
                embedding=None if ecg is None else loaded.encoder.encode([ecg])[0].embedding, text=words, where=condition, k=k,
                patient=hashed(about.patient) if ecg is None else ecg.patient, content_hash=recording,
            )  # fmt: skip
            document = found_document(found, None if ecg is None else _quality(ecg))
            return {**document, "k": k, "where": condition, "recording": recording or None, "versions": loaded.versions()}

        if files or any(demo or ()):
            document = await desktop.with_recordings(files, demo, about, 1, work)
        elif words or condition:
            check_heeded(about, files=False, recordings=False)
            document = await desktop.run(lambda: desktop.in_turn(lambda loaded: work(loaded, [])))
        else:
            raise QueryError("The request asks for nothing; send a recording, text or where, or several of them.")
        return JSONResponse(await desktop.keep(lambda: {**document, "audit_id": desk.audit.record(
            "search", actor, recordings=[document["recording"]] if document["recording"] else [], kind="cases",
            versions=document["versions"], asked=" ".join(part for part in (words, condition) if part),
        ).id}))  # fmt: skip

    @app.get(
        "/v1/health", summary="Versions and artefact hashes; loads nothing", responses=responses(Health, EXAMPLE_HEALTH)
    )
    async def read_health(actor: Annotated[Actor, needs("health")]) -> JSONResponse:
        return JSONResponse({**health(desk), "intended_use": INTENDED_USE})


def _quality(ecg: ECG) -> Quality:
    from encoders.gate import check

    return check(ecg, wanted=wanted_leads(ecg.leads))
