"""The state of a draft over the service, its signature, and the document that leaves the house."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio
from fastapi import Depends, FastAPI, Form, Path
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from encoders.ecg import ECG
from encoders.errors import QueryError
from ui.access import needs
from ui.audit import Actor, DraftRecord
from ui.desk import Desk
from ui.drafted import (
    ADDED,
    CHANGED,
    MAX_EDITS,
    MAX_SENTENCE,
    Edit,
    Sentence,
    drafted_sentences,
)
from ui.editing import Edition
from ui.examples import EXAMPLE_BUNDLE, EXAMPLE_SIGNED, EXAMPLE_STATE
from ui.forms import About, Demo, Files, Similar, about_of
from ui.problems import NO_DRAFT, SIGNED_BEFORE, problems, responses
from ui.reading import stated_codes
from ui.reporting import drafted, recordings_of
from ui.schemas import Kind, SignedSection, State
from ui.signing import MAX_LABEL, Signed, SignedReport
from ui.takeaway import Made, packed
from ui.worktop import Desktop

if TYPE_CHECKING:
    from assistant import Assistant

__all__ = ["add_draft_routes", "state_json"]

DraftId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="The draft_id that came with the report.")]

_DOCUMENTS: dict[str, Any] = {
    "application/fhir+json": {
        "schema": {"type": "object", "description": "A FHIR R4 Bundle, its DiagnosticReport first."}, "example": EXAMPLE_BUNDLE,
    },
    "application/pdf": {"schema": {"type": "string", "format": "binary"}, "example": "%PDF-1.4 ..."},
    "application/json": {
        "schema": {"type": "object", "description": "The report with every sentence and what became of it."},
        "example": EXAMPLE_SIGNED,
    },
}  # fmt: skip


class Decision(BaseModel):
    """What the signer decided about one drafted sentence, or a sentence of their own."""

    model_config = ConfigDict(extra="forbid")
    kind: Kind
    sentence: int | None = Field(None, ge=0, le=MAX_EDITS, description="Number in to_sign, from 0; none for an added one.")
    text: str = Field("", max_length=MAX_SENTENCE, description="The wording of a changed or added sentence.")
    codes: list[str] | None = Field(
        None, max_length=71,
        description="Findings (SCP codes) that the new wording states as present; left out, they are read from the wording.",
    )
    section: SignedSection = Field("impression", description="Where an added sentence goes.")


class SignOff(BaseModel):
    """A sign-off: who signs, and a decision for every drafted sentence."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{
        "signer": "Dr Ann Reader",
        "decisions": [
            {"kind": "accepted", "sentence": 0},
            {"kind": "changed", "sentence": 1, "text": "Atrial fibrillation, rate 104/min.", "codes": ["AFIB"]},
            {"kind": "rejected", "sentence": 2},
            {"kind": "added", "text": "Low QRS voltage.", "codes": ["LVOLT"], "section": "chambers"},
        ],
    }]})  # fmt: skip
    signer: str = Field(min_length=2, max_length=100, description="The name of the clinician who signs.")
    decisions: list[Decision] = Field(max_length=MAX_EDITS, description="One for every sentence of to_sign, and added ones.")


def add_draft_routes(app: FastAPI, desk: Desk, desktop: Desktop) -> None:
    """Adds /v1/reports/{draft_id}, its signature and its document."""

    def found(draft_id: str) -> DraftRecord:
        recorded = desk.audit.draft(draft_id)
        if recorded is None:
            raise HTTPException(404, NO_DRAFT)
        return recorded

    @app.get(
        "/v1/reports/{draft_id}", summary="What was drafted, and whether it is signed",
        responses=responses(State, EXAMPLE_STATE, 404, 503),
    )  # fmt: skip
    def read_draft(actor: Annotated[Actor, needs("reports")], draft_id: DraftId) -> JSONResponse:
        """The drafted sentences as they were recorded; the whole report is not kept."""
        return JSONResponse(_whole_state(found(draft_id)))

    @app.post(
        "/v1/reports/{draft_id}/signature", summary="Sign a draft, sentence by sentence",
        responses=responses(State, EXAMPLE_STATE, 404, 408, 409, 413, 503),
    )  # fmt: skip
    def sign_draft(actor: Annotated[Actor, needs("sign")], draft_id: DraftId, sign_off: SignOff) -> JSONResponse:
        """Every sentence of `to_sign` is accepted, changed or rejected, and others may be added. A draft is signed once.

        A finding that is rejected in one sentence, or changed away, may not stand in another one of the draft; nor may findings
        stand that exclude each other. Where a sentence that stated findings is changed into words that cannot be read for
        certain, `codes` must say what they state (`[]`: none).

        Typed text is kept in the audit store with names, dates and long numbers masked; do not write names into it.
        """
        recorded = found(draft_id)
        if recorded.signature is not None:
            raise HTTPException(409, SIGNED_BEFORE)
        edits = [_edit(decision, recorded.sentences) for decision in sign_off.decisions]
        desk.audit.sign(draft_id, actor, sign_off.signer, edits)
        return JSONResponse(_whole_state(found(draft_id)))

    @app.post(
        "/v1/reports/{draft_id}/document", summary="The report of a draft as FHIR R4, PDF or JSON",
        response_class=Response,
        responses={
            200: {"description": "The document; one that nobody signed says so (FHIR: `preliminary`).", "content": _DOCUMENTS},
            **problems(404, 408, 413, 503, 504),
        },
    )  # fmt: skip
    async def read_document(
        actor: Annotated[Actor, needs("reports")], draft_id: DraftId, about: Annotated[About, Depends(about_of)],
        files: Files = None, demo: Demo = None, k: Similar = 10,
        format: Annotated[Literal["fhir", "pdf", "json"], Form(description="What the document is to be.")] = "fhir",
        label: Annotated[
            str | None, Form(max_length=MAX_LABEL, description="The patient's, for this copy only; it is kept nowhere.")
        ] = None,
    ) -> Response:  # fmt: skip
        """Send the draft's recording again, with the same options: neither it nor its values were kept. What was signed comes
        from the audit store, with names, dates and long numbers masked."""
        recorded = await anyio.to_thread.run_sync(found, draft_id)

        def work(loaded: Assistant, ecgs: list[ECG]) -> Made:
            return packed(format, _report(recorded, ecgs[-1], drafted(loaded, ecgs, k)), ecgs[-1], label or None)

        made = await desktop.with_recordings(files, demo, about, 2, work)
        await desktop.keep(
            lambda: desk.audit.record("export", actor, recordings=recorded.recordings, kind=format, about=draft_id)
        )
        return Response(made.content, media_type=made.type, headers={
            "Content-Disposition": f'attachment; filename="{made.name}"', "Cache-Control": "no-store",
        })  # fmt: skip


def _edit(decision: Decision, drafted: tuple[Sentence, ...]) -> Edit:
    """The decision with the findings that its words state, read from them where they are left out. Raises QueryError where nobody
    can tell what became of findings that were drafted."""
    number, codes = decision.sentence, None if decision.codes is None else tuple(decision.codes)
    if codes is None and decision.kind in (CHANGED, ADDED):
        codes = stated_codes(decision.text)
    if codes is None and decision.kind == CHANGED and number is not None and number < len(drafted) and drafted[number].codes:
        raise QueryError(
            f"Sentence {number} stated {', '.join(drafted[number].codes)} as drafted, and its new words cannot be read for"
            ' certain; give "codes": what they state as present, or [] for none.'
        )
    return Edit(decision.kind, number, decision.text, codes, decision.section)


def _report(recorded: DraftRecord, ecg: ECG, document: dict[str, Any]) -> SignedReport:
    """The report of a draft as it stands, given its recording read again. Raises QueryError where that is another reading."""
    if recordings_of(document) != recorded.recordings:
        raise QueryError(
            "This is not the recording that was drafted, or not both of a comparison; send the same files, with the same leads."
        )
    if document["versions"] != recorded.versions:
        raise QueryError("The draft was made by other weights than run here now; draft the recording again.")
    if drafted_sentences(document) != recorded.sentences:
        raise QueryError("The draft was made with other options; send the same age, sex and k, or draft the recording again.")
    signature = recorded.signature
    edition = Edition(recorded.sentences, () if signature is None else signature.edits)
    signed = None if signature is None else Signed(signature.signer, signature.at)
    return SignedReport(document, edition, recorded.id, ecg.recorded_at, signed)


def state_json(draft: DraftRecord) -> dict[str, Any]:
    """What comes with a draft: its id, its state, and the numbered sentences to decide."""
    return {
        "draft_id": draft.id,
        "state": draft.state,
        "to_sign": [{"sentence": number, **sentence.to_json()} for number, sentence in enumerate(draft.sentences)],
    }


def _whole_state(draft: DraftRecord) -> dict[str, Any]:
    signature = draft.signature
    return {
        **state_json(draft),
        "drafted_at": draft.at,
        "status": draft.kind,
        "recordings": list(draft.recordings),
        "reasons": list(draft.reasons),
        "versions": draft.versions,
        "signature": None if signature is None else {
            "signer": signature.signer,
            "signed_at": signature.at,
            "decisions": [edit.to_json() for edit in signature.edits],
            "sentences": [sentence.to_json() for sentence in signature.sentences],
        },
    }  # fmt: skip
