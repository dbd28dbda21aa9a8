"""What the service answers, as models for its description.

They describe what ``to_json`` of the assistant's own records gives. Nothing that is sent is run through them; the tests hold real
answers against them, field by field.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from assistant.intents import INTENTS
from assistant.report import SECTIONS
from encoders.measurements import UNITS
from ui.drafted import KINDS, SIGNED_SECTIONS

__all__ = ["Answered", "Drafted", "FoundCases", "Health", "Measured", "Rates", "State"]

_UNITS = (*UNITS.values(), "")

Hash = Annotated[str, Field(description="SHA-256 of a recording's signal, rate and lead names: its name in the audit store.")]
Share = Annotated[float, Field(ge=0, le=1)]
Kind = Literal[KINDS]  # type: ignore[valid-type]
SignedSection = Literal[SIGNED_SECTIONS]  # type: ignore[valid-type]
Section = Literal[SECTIONS]  # type: ignore[valid-type]
Intent = Literal[INTENTS]  # type: ignore[valid-type]
ReasonKind = Literal[
    "unusable", "unfamiliar", "intended use", "critical", "nothing", "undetermined", "low confidence", "out of scope", "unclear"
]
Unit = Literal[_UNITS]  # type: ignore[valid-type]
Versions = Annotated[dict[str, str], Field(description="Of the program, its schema, and the encoder (by its hash).")]
AuditId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="Id of the entry in the audit store.")]
Checks = Annotated[
    dict[str, int], Field(description="`sentences` that the language model wrote, how many were `dropped`, and further counts.")
]
Caution = Annotated[
    list[str],
    Field(description="Why two recordings may not be the earlier and the later one of one patient; a sentence each."),
]
Sex = Literal["F", "M"] | None


class Filters(BaseModel):
    """What the file says that the signal went through; 0 for none, null where it says nothing."""

    high_pass_hz: float | None
    low_pass_hz: float | None
    notch_hz: float | None


class Quality(BaseModel):
    """The verdict on a recording as it was recorded."""

    verdict: Literal["usable", "limited", "unusable"]
    score: Share
    p_unacceptable: Share
    reasons: list[str] = Field(description="A sentence each that a person can act on.")
    flags: list[str]
    bad_leads: list[str]
    lead_noise_mv: dict[str, float]
    lead_noise_kinds: dict[str, list[str]]
    limited: list[str] = Field(description="Measurements not to be relied on.")
    placement: Literal["as expected", "doubted", "cannot be told", "not examined"]
    exchange: str | None
    exchange_probability: Share
    filters: Filters


class Measurement(BaseModel):
    """A measured value with what it rests on; null where it could not be measured."""

    value: float | None
    unit: Unit
    beats: int
    leads: list[str]
    reliability: Share
    note: str


class Finding(BaseModel):
    """A statement of the vocabulary, its calibrated probability and what was decided of it."""

    id: str
    code: str
    name: str
    probability: Share
    state: Literal["present", "absent", "undetermined", "not assessed"]
    urgency: Literal["critical", "urgent", "routine", "normal"]
    reason: str
    against: list[str]
    criteria: str
    citation: str


class Conflict(BaseModel):
    """Two items that cannot both hold."""

    id: str
    items: list[str]
    text: str
    citation: str


class Critical(BaseModel):
    """A critical remark."""

    by: Literal["network", "rule"]
    state: Literal["present", "cannot exclude"]
    text: str
    evidence: list[str]
    citation: str


class Line(BaseModel):
    """A sentence with the ids of the evidence that it rests on."""

    text: str
    evidence: list[str]
    source: Literal["language model", "renderer"]


class Case(BaseModel):
    """A past case. ``similarity`` is of the kind that ``found_by`` says."""

    id: str
    similarity: float
    age_years: float | None
    sex: Sex
    statements: dict[str, float] = Field(description="SCP code and the annotator's likelihood, 0-100; 0 where it is ungraded.")
    measurements: dict[str, float | None]
    where: str = Field(description="Where its recording can be had.")
    found_by: Literal["recording", "statements", "condition", "signal", "both"]
    answers: Share | None = Field(None, description="With a recording and words: the share of the words that it answers.")


class LeftOut(BaseModel):
    """Cases that were passed over: the patient's own, and this very recording or one already shown."""

    own: int
    duplicates: int


class Neighbour(BaseModel):
    """What the most similar cases of the recording list of one statement, beside what chance would give."""

    id: str
    text: str
    listed: int
    asked: int
    expected: float
    share: Share
    effective_n: float
    prevalence: Share
    corrected: Share
    lift: float | None


class Research(BaseModel):
    """What a head trained by the user says; for research only."""

    id: str
    head: str
    label: str
    status: Literal["answer", "refusal"]
    text: str
    value: float | None = None
    interval: list[float] | None = None
    reason: str | None = None


class ComparedWith(BaseModel):
    """The earlier recording that a report compares with."""

    recording: Hash
    recorded_at: str | None


class Sentence(BaseModel):
    """A sentence of a draft, or one that was signed; ``codes``: findings that it states as present."""

    text: str
    section: SignedSection
    evidence: list[str]
    codes: list[str]
    source: Literal["language model", "renderer", "human"]


class SentenceToSign(Sentence):
    """A drafted sentence that the signer decides about, by its number."""

    sentence: int


class _ToSign(BaseModel):
    draft_id: AuditId
    state: Literal["unconfirmed draft", "signed"]
    to_sign: list[SentenceToSign]


class _Report(_ToSign):
    schema_version: str
    reasons: list[str]
    reason_kinds: list[ReasonKind]
    unconfirmed: Literal[True]
    intended_use: str
    critical: list[Critical]
    quality: Quality
    measurements: dict[str, Measurement]
    findings: list[Finding]
    conflicts: list[Conflict]
    sections: dict[Section, list[Line]]
    impression: list[Line]
    cases: list[Case]
    left_out: LeftOut
    neighbours: list[Neighbour]
    age_years: float | None
    sex: Sex
    recording: Hash
    compared_with: ComparedWith | None
    caution: Caution
    familiarity: Share
    lead_set: Literal["12", "I+II+V2", "limb", "I"] | None
    limits: list[str]
    guarantee: str
    research: list[Research]
    checker: Checks
    versions: Versions


class DraftReport(_Report):
    """A drafted report, for a clinician to review."""

    status: Literal["draft"]


class ReferredReport(_Report):
    """A recording that was handed over to a human: why, to whom, and what is known all the same."""

    status: Literal["referral"]
    who_should_look: str


Drafted = Annotated[DraftReport | ReferredReport, Field(discriminator="status")]


class _Reply(BaseModel):
    schema_version: str
    text: str
    values: list[str]
    confidence: Share
    evidence: list[str]
    reasons: list[str]
    sentences: list[Line]
    checker: Checks
    intended_use: str
    recordings: list[Hash]
    caution: Caution
    versions: Versions
    audit_id: AuditId


class Answer(_Reply):
    """An answer, for a clinician to check."""

    status: Literal["answer"]
    intent: Intent
    unconfirmed: Literal[True]


class Declined(_Reply):
    """A question that was declined: why, who can answer it, and what is known all the same."""

    status: Literal["referral"]
    reason_kinds: list[ReasonKind]
    who_should_look: str


Answered = Annotated[Answer | Declined, Field(discriminator="status")]


class Measured(BaseModel):
    """Quality and measurements of a recording."""

    recording: Hash
    quality: Quality
    measurements: dict[str, Measurement]
    versions: Versions
    audit_id: AuditId


class Taken(BaseModel):
    """Words that were taken for a condition."""

    words: str
    condition: str


class Understood(BaseModel):
    """How the words of a search were taken."""

    text: str
    wanted: list[list[str]] = Field(description="Statements asked for: one code of each group.")
    unwanted: list[str]
    conditions: list[Taken]
    by_the_signal: list[str] = Field(description="Words that are held against the signals.")
    not_understood: list[str]


class FoundCases(BaseModel):
    """Past cases, the best first."""

    cases: list[Case]
    left_out: LeftOut
    understood: Understood | None
    neighbours: list[Neighbour]
    k: int
    where: str | None
    recording: Hash | None
    quality: Quality | None
    remark: str = Field(description="Why what was found may mean nothing; empty where nothing speaks against it.")
    versions: Versions
    audit_id: AuditId


class Decided(BaseModel):
    """What the signer decided about one drafted sentence, or a sentence of their own."""

    kind: Kind
    sentence: int | None
    text: str
    codes: list[str] | None
    section: SignedSection


class Signature(BaseModel):
    """A sign-off."""

    signer: str
    signed_at: str
    decisions: list[Decided]
    sentences: list[Sentence]


class State(_ToSign):
    """What was drafted, and the signature where there is one."""

    drafted_at: str
    status: Literal["draft", "referral"]
    recordings: list[Hash]
    reasons: list[str]
    versions: Versions
    signature: Signature | None


class Rate(BaseModel):
    """How often a finding was edited, and how often only one of machine and human states it; null where nothing was counted."""

    code: str
    name: str
    drafted: int
    accepted: int
    changed: int
    rejected: int
    added: int
    edit_rate: Share | None
    edit_low: Share | None
    edit_high: Share | None
    disagreement_rate: Share | None
    disagreement_low: Share | None
    disagreement_high: Share | None


class Rates(BaseModel):
    """Drafts written, drafts signed, and rates per finding."""

    drafts: int
    signed: int
    findings: list[Rate]


class Health(BaseModel):
    """What this installation is."""

    status: Literal["ok", "incomplete"]
    version: str
    python: str
    packages: dict[str, str | None]
    artefacts: dict[str, str | None]
    loaded: bool
    intended_use: str
