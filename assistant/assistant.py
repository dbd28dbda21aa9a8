"""The assistant as everything outside uses it: recordings in, drafts, answers and referrals out."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from assistant.answer import (
    CANNOT,
    Answer,
    bare_answer,
    declined_before,
    more_lines,
    open_lines,
    preceded,
    signal_lines,
    weigh,
)  # fmt: skip
from assistant.answers import answer
from assistant.bare import meant, ranked
from assistant.beside import (
    abnormal_lines,
    basis_lines,
    beat_lines,
    carrier_lines,
    change_lines,
    denial_lines,
    likely_lines,
    masked_lines,
    measure_line,
    range_lines,
    sign_lines,
    st_lines,
    unassessed,
    urgent_lines,
    why_open,
)  # fmt: skip
from assistant.compose import uncarried
from assistant.decide import Critical, Decision, Reason, critical_remarks, heard, referral_reasons, states, unread
from assistant.evidence import Conflict, Evidence
from assistant.filling import fill
from assistant.intents import Question
from assistant.phrasing import View
from assistant.report import Draft, Line, Referral, Report, who_should_look
from assistant.risk import Thresholds
from assistant.scope import reason_for
from assistant.visible import lead_note
from assistant.writing import Writer, Written, write_answer, write_report
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import QueryError
from encoders.leadsets import ALL_LEADS, lead_set, lead_set_of, wanted_leads, with_limb_leads
from encoders.vocabulary import codes_in

if TYPE_CHECKING:
    from assistant.chat import Chat
    from encoders.encode import Encoder, Encoding
    from encoders.heads import Head, HeadAnswer, HeadRefusal
    from retrieval.library import CaseLibrary, Found
    from retrieval.neighbours import Agreement

__all__ = ["Assistant", "Reading"]

#: Where a recording is referred for one of these, a head trained by the user does not answer either.
_WITHHOLDING = ("unusable", "unfamiliar", "intended use")
#: Questions about the whole recording.
_WHOLE = ("summary", "normal", "query")
#: What is declined for these reasons may be asked for the sake of something critical, which is then told first.
_BESIDE_CRITICAL = tuple(map(reason_for, ("not_assessed", "disposition", "treatment", "prognosis", "other_disease")))
_ISCHAEMIC = frozenset((*codes_in("MI"), *codes_in("STTC"), "STE_", "STD_"))
#: At and below this rate a recording carries the limits of DESIGN, rule 8.
_COARSE_HZ = 100.0


@dataclass(frozen=True, eq=False)
class Reading:
    """One analysed recording: evidence, the ECG's tokens (16, 256), its leads, and what it cannot show."""

    evidence: Evidence
    tokens: NDArray[np.float32]
    embedding: NDArray[np.float32]
    leads: tuple[str, ...]
    limits: tuple[str, ...]
    reasons: tuple[Reason, ...]
    research: tuple[HeadAnswer | HeadRefusal, ...] = ()


class Assistant:
    """Loads its parts once. Not safe for use from several threads at a time."""

    def __init__(
        self,
        *,
        encoder: Encoder,
        library: CaseLibrary,
        decision: Decision,
        known: CaseLibrary | None = None,
        language: Writer | None = None,
        language_path: str | Path | None = None,
        present_risk: float = 0.05,
        absent_risk: float = 0.05,
        critical_risk: float = 0.02,
        min_confidence: float | None = None,
        heads: Sequence[Head] = (),
    ) -> None:
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise QueryError(f"min_confidence is {min_confidence}; it must lie between 0 and 1.")
        self.encoder, self.library, self.decision = encoder, library, decision
        #: What "known" means is fixed by the library that the decision was fitted with, whichever is searched.
        self.known = known if known is not None else library
        self._risks = {"present_risk": present_risk, "absent_risk": absent_risk, "critical_risk": critical_risk}
        self._thresholds = {ALL_LEADS: decision.thresholds(ALL_LEADS, **self._risks)}
        self.min_confidence = min_confidence
        self.heads = tuple(heads)
        self._language, self._language_path = language, language_path

    @classmethod
    def load(
        cls,
        *,
        present_risk: float = 0.05,
        absent_risk: float = 0.05,
        critical_risk: float = 0.02,
        min_confidence: float | None = None,
        library: str | Path | CaseLibrary | None = None,
        encoder: str | Path | Encoder | None = None,
        language: str | Path | Writer | None = None,
        decision: str | Path | Decision | None = None,
        heads: Sequence[str | Path] = (),
    ) -> Assistant:
        """The assistant with its built-in parts, or with others: each a loaded part or the folder it lies in.

        ``present_risk``: share of stated findings that may be wrong; ``absent_risk``, ``critical_risk``: share of true cases that
        may be called absent; each above 0 and at most 0.5. ``min_confidence`` 0-1: least confidence of an answer.
        Another ``library`` is searched for cases; how familiar a recording is stays measured against the built-in one,
        unless ``decision`` was fitted with the other. ``heads``: names or folders of heads (``encoders.heads``) whose
        research-only answers reports shall hold.
        Raises QueryError for options out of range and ArtefactError where parts are missing or do not fit together.
        """
        from encoders.encode import Encoder
        from encoders.heads import load_head
        from retrieval.library import CaseLibrary

        eye = Encoder.load(encoder) if encoder is None or isinstance(encoder, str | Path) else encoder
        shelf = CaseLibrary.open(library, eye.hash) if library is None or isinstance(library, str | Path) else library
        own_decision = decision is not None
        known = shelf if library is None or own_decision else CaseLibrary.open(None, eye.hash)
        rule = Decision.load(decision, eye.hash) if decision is None or isinstance(decision, str | Path) else decision
        by_path = language is None or isinstance(language, str | Path)
        return cls(
            encoder=eye, library=shelf, decision=rule, known=known,
            language=None if by_path else language,  # type: ignore[arg-type]
            language_path=language if isinstance(language, str | Path) else None,
            present_risk=present_risk, absent_risk=absent_risk, critical_risk=critical_risk, min_confidence=min_confidence,
            heads=[load_head(head, eye) for head in heads],
        )  # fmt: skip

    @cached_property
    def language(self) -> Writer:
        """The language model, loaded when the first text is written."""
        if self._language is not None:
            return self._language
        from assistant.language.model import LanguageModel

        return LanguageModel.load(self._language_path, self.encoder.hash)

    def thresholds(self, lead_set: str | None = ALL_LEADS) -> Thresholds:
        """Thresholds of recordings read from one set of leads, computed when the first such recording comes.

        None, for leads that are in no set, gives those of all twelve: nothing is stated there, only the risks are told.
        """
        name = lead_set or ALL_LEADS
        if name not in self._thresholds:
            self._thresholds[name] = self.decision.thresholds(name, **self._risks)
        return self._thresholds[name]

    # Reading ----------------------------------------------------------------------------------------------------------

    def analyse(self, ecg: ECG | str | Path, *, k: int = 10) -> Evidence:
        """All that is known about one recording, with ``k`` similar cases."""
        return self.analyse_many([ecg], k=k)[0]

    def analyse_many(self, ecgs: Sequence[ECG | str | Path], *, k: int = 10) -> list[Evidence]:
        """The same for several recordings, in one batch of the encoder."""
        return [reading.evidence for reading in self.read(ecgs, k=k)]

    def read(self, ecgs: Sequence[ECG | str | Path], *, k: int = 10) -> list[Reading]:
        """Evidence with the tokens that the language model needs, one per recording, in order."""
        if k < 0:
            raise QueryError(f"k is {k}; give 0 or more similar cases.")
        recordings = [with_limb_leads(_opened(ecg)) for ecg in ecgs]
        # Leads that the network was never calibrated for are measured, not read.
        seen = iter(self.encoder.encode([ecg for ecg in recordings if lead_set_of(ecg.leads) is not None]))
        return [self._reading(ecg, next(seen) if lead_set_of(ecg.leads) is not None else None, k) for ecg in recordings]

    def _reading(self, ecg: ECG, encoding: Encoding | None, k: int) -> Reading:
        from encoders.gate import check
        from encoders.measure import measure

        quality, measurements = check(ecg, wanted=wanted_leads(ecg.leads)), measure(ecg)
        person = (ecg.age_years, ecg.sex)
        name = None if encoding is None else encoding.lead_set
        thresholds, familiarity = self.thresholds(name), 1.0
        findings = unread(ecg.leads)
        conflicts: tuple[Conflict, ...] = ()
        found: Found | None = None
        neighbours: tuple[Agreement, ...] = ()
        if encoding is None:
            from encoders.network import EMBEDDING_DIM, N_TOKENS, TOKEN_DIM

            tokens, embedding = np.zeros((N_TOKENS, TOKEN_DIM), np.float32), np.zeros(EMBEDDING_DIM, np.float32)
        else:
            tokens, embedding = encoding.tokens, encoding.embedding
            distance = float(np.ravel(self.known.nearest_distance(embedding[None]))[0])
            familiarity = self.decision.familiarity(distance, encoding.lead_set)
            if quality.usable:  # neighbours of a signal that cannot be read mean nothing
                who: dict[str, Any] = {"patient": ecg.patient, "content_hash": ecg.content_hash()}
                found = self.library.find(embedding=embedding, k=k, **who) if k else None
                # What they say does not depend on how many are shown; its bounds were chosen on twelve leads and this library.
                if name == ALL_LEADS and found is not None and self.known is self.library:
                    neighbours = found.neighbours
                elif name == ALL_LEADS:
                    neighbours = self.known.neighbours(embedding, **who)
            together = self.encoder.with_measurements(encoding, measurements, *person)
            findings, conflicts = states(
                together.probabilities, measurements, thresholds, *person, quality, familiarity, neighbours
            )
        cases, left_out = ((), (0, 0)) if found is None else (found.cases, (found.own, found.duplicates))
        evidence = Evidence(
            quality, measurements, findings, cases, conflicts, *person, ecg.content_hash(), familiarity, name,
            heard(neighbours, findings), left_out,
        )  # fmt: skip
        reasons = referral_reasons(evidence, thresholds, leads=ecg.leads)
        withheld = next((reason.text for reason in reasons if reason.kind in _WITHHOLDING), "")
        research = tuple(item for head in self.heads for item in head.answer(self.encoder, ecg, withheld))
        return Reading(evidence, tokens, embedding, ecg.leads, _limits(ecg, name), reasons, research)

    # Writing ----------------------------------------------------------------------------------------------------------

    def report(self, ecg: ECG | str | Path, *, k: int = 10) -> Draft | Referral:
        """A drafted report of one recording, or a referral with all that is known."""
        return self.report_of(self.read([ecg], k=k)[0])

    def report_of(self, reading: Reading, earlier: Reading | None = None) -> Draft | Referral:
        """The same from a reading; ``earlier``: a reading of the same patient to compare with."""
        from assistant.compose import sections
        from assistant.filling import fill

        evidence = reading.evidence
        thresholds = self.thresholds(evidence.lead_set)
        written = write_report(self.language, [evidence], [reading.tokens])[0]
        said = {
            name: tuple(Line(fill(s.text, evidence), s.claims) for s in lines)
            for name, lines in sections(evidence, None if earlier is None else earlier.evidence).items()
        }
        if earlier is not None:
            said["comparison"] += change_lines(earlier.evidence, evidence)
        said["quality"] = _quality_lines(evidence)
        said["impression"] = written.lines
        said["referral"] = tuple(Line(reason.text) for reason in reading.reasons)
        report = Report(
            evidence=evidence, sections=said, impression=written.lines, critical=critical_remarks(evidence, thresholds),
            checker=written.checker, versions=self.versions(), limits=reading.limits, guarantee=thresholds.guarantee(),
            research=reading.research,
        )  # fmt: skip
        return Referral(reading.reasons, who_should_look(reading.reasons), report) if reading.reasons else Draft(report)

    def ask(
        self,
        ecgs: ECG | str | Path | Sequence[ECG | str | Path],
        question: str,
        history: Sequence[str] | None = None,
    ) -> Answer | Referral:
        """An answer about one recording, or about two of one patient (the earlier one first).

        ``history``: questions asked before in the same conversation, oldest first.
        """
        several = _one_or_two(ecgs)
        previous = None
        for past in history or ():
            understood = self._understood(past, previous, len(several))
            previous = previous if understood.intent in ("out_of_scope", "unclear") else understood
        return self.reply(tuple(self.read(several)), question, previous)[1]

    def chat(self, ecgs: ECG | str | Path | Sequence[ECG | str | Path]) -> Chat:
        """A conversation about one recording, or about two of one patient (the earlier one first); they are read once."""
        from assistant.chat import Chat

        return Chat(self, tuple(self.read(_one_or_two(ecgs))))

    def reply(
        self, readings: Sequence[Reading], question: str, previous: Question | None = None
    ) -> tuple[Question, Answer | Referral]:
        """The question as it was understood, and the answer or referral."""
        if not question.strip():
            raise QueryError("The question is empty; ask about this recording.")
        asked = self._understood(question, previous, len(readings))
        asked = meant(asked, View.of(readings[-1].evidence))
        # Without "earlier" or "compare" in it, a question about two recordings is about the later one.
        about = tuple(readings) if asked.intent == "compare" else tuple(readings[-1:])
        reasons = tuple(dict.fromkeys(reason for reading in about for reason in reading.reasons))
        declined, last = declined_before(asked, reasons), about[-1].evidence
        remarks = critical_remarks(last, self.thresholds(last.lead_set))
        if declined is not None:
            return asked, preceded(declined, _critical_lines(remarks)) if asked.reason in _BESIDE_CRITICAL else declined
        first, second = about[0].evidence, about[1].evidence if len(about) > 1 else None
        bare = bare_answer(asked, first, second)
        fixed = signal_lines(asked, first) or open_lines(asked, first)
        # A comparison that is open says so, not "no change": silence in both recordings is no sameness.
        if not fixed and bare.open and (asked.intent == "compare" or CANNOT in bare.values and asked.intent == "measurement"):
            fixed = (Line(bare.open, bare.ids),)
        fixed = fixed or more_lines(asked, first, second) or urgent_lines(asked, first) or range_lines(asked, first)
        fixed = fixed or basis_lines(asked, first) or denial_lines(asked, first) or _plain_lines(asked, first)
        tokens = [reading.tokens for reading in about]
        written = Written(fixed, 0, 0) if fixed else write_answer(self.language, asked, first, tokens, second)
        lines = written.lines if fixed or asked.intent != "measurement" else _each_value_once(asked, first, written.lines)
        lines = (*lines, *abnormal_lines(asked, last, lines))
        left_out = unassessed(asked, first)
        told = [line for line in lines if "not assessed" in line.text.lower()]
        if left_out is not None and not any(
            line.text.startswith("Not assessed") or set(left_out.evidence) <= set(line.evidence) for line in told
        ):
            lines = (*lines, left_out)
        values = (*(measure_line(last, name) for name in asked.beside), *carrier_lines(asked, last))
        beside = _untold(values, lines)
        beside += (*beat_lines(asked, last), *likely_lines(asked, last), *why_open(asked, last))
        if second is not None:  # a comparison: what was measured goes with what was found, and before the two values
            changes = change_lines(first, second, asked)
            lines = (*changes, *lines) if asked.measurements else (*lines, *changes)
        more = (*beside, *masked_lines(asked, last), *sign_lines(asked, last), *st_lines(asked, last), *_leads_read(asked, last))
        lines = (*_critical_first(asked, remarks), *lines, *more)
        if asked.reason:
            lines = (*lines, Line(asked.reason))
        return asked, weigh(asked, bare, lines, written.checker, self.min_confidence)

    @staticmethod
    def _understood(question: str, previous: Question | None, recordings: int) -> Question:
        from assistant.understanding import understand

        return understand(question, previous, recordings=recordings)

    def versions(self) -> dict[str, str]:
        """Program version and the encoder's hash, for reports and audit."""
        try:
            program = version("ecg-assistant")
        except PackageNotFoundError:
            program = "0"
        return {"ecg-assistant": program, "encoder": self.encoder.hash, "python": platform.python_version()}


def _critical_first(asked: Question, remarks: Sequence[Critical]) -> tuple[Line, ...]:
    """Critical remarks go before an answer on the whole recording, or on infarction and ST-T (DESIGN, rule 9)."""
    touching = _ISCHAEMIC.intersection(asked.codes) and asked.intent in ("verify", "choose", "query", "explain", "certainty")
    whole = asked.intent in ("summary", "normal") or asked.intent == "query" and not asked.codes
    if not whole and not touching:
        return ()
    return _critical_lines(remarks)


def _critical_lines(remarks: Sequence[Critical]) -> tuple[Line, ...]:
    return tuple(Line(f"Critical: {item.text}", item.evidence) for item in remarks)


def _plain_lines(asked: Question, evidence: Evidence) -> tuple[Line, ...]:
    """The renderer's answer where freely worded text would mislead: what the reading is most or least sure of, whose order
    counts, and normality beside a measurement beyond its limits, which is no more than "otherwise normal"."""
    if not ranked(View.of(evidence), asked) and not (asked.intent == "normal" and uncarried(evidence)):
        return ()
    return tuple(Line(fill(made.text, evidence), made.claims) for made in answer(evidence, asked, None))


def _each_value_once(asked: Question, evidence: Evidence, lines: Sequence[Line]) -> tuple[Line, ...]:
    """The lines that answer for measured values, without those that only repeat a value, and with each that they leave out."""
    kept: list[Line] = []
    for line in lines:
        values = all(i.startswith("M:") for i in line.evidence)
        if not line.evidence or not values or _untold((line,), kept):
            kept.append(line)
    return (*kept, *_untold([measure_line(evidence, name) for name in asked.measurements], kept))


def _untold(lines: Sequence[Line], before: Sequence[Line]) -> tuple[Line, ...]:
    """Those of the lines that rest on something no line before them rests on."""
    told = {i for line in before for i in line.evidence}
    out: list[Line] = []
    for line in lines:
        if not told.issuperset(line.evidence):
            out.append(line)
            told.update(line.evidence)
    return tuple(out)


def _one_or_two(ecgs: ECG | str | Path | Sequence[ECG | str | Path]) -> list[ECG | str | Path]:
    several = [ecgs] if isinstance(ecgs, ECG | str | Path) else list(ecgs)
    if not 1 <= len(several) <= 2:
        raise QueryError(f"There are {len(several)} recordings; give one, or two of the same patient.")
    return several


def _opened(ecg: ECG | str | Path) -> ECG:
    if isinstance(ecg, ECG):
        return ecg
    from encoders.readers import read

    return read(ecg)


def _leads_read(asked: Question, evidence: Evidence) -> tuple[Line, ...]:
    """What fewer than twelve leads cannot show, behind an answer about findings (definitions and values stand without)."""
    note = lead_note(evidence.lead_set) if evidence.lead_set is not None and (asked.codes or asked.intent in _WHOLE) else ""
    return (Line(note, ("Q",)),) if note and asked.intent != "define" else ()


def _limits(ecg: ECG, read_from: str | None) -> tuple[str, ...]:
    out = [lead_note(read_from)] if read_from not in (None, ALL_LEADS) else []
    spare = [name for name in STANDARD_LEADS if name in ecg.leads and name not in lead_set(read_from).leads] if read_from else []
    if spare:
        out.append(f"Measured, but not read for findings: {', '.join(spare)}.")
    if ecg.fs_hz <= _COARSE_HZ:
        out.append(
            f"Recorded at {ecg.fs_hz:g} Hz: pacing spikes and notches of the QRS may be missed; intervals are good to "
            "about 10 ms."
        )
    if ecg.age_years is None:
        out.append("The age is unknown: criteria that need it are withheld.")
    if ecg.sex is None:
        out.append("The sex is unknown: criteria that need it are withheld.")
    return tuple(out)


def _quality_lines(evidence: Evidence) -> tuple[Line, ...]:
    verdict = {
        "usable": "The recording is usable.",
        "limited": "The recording is of limited quality.",
        "unusable": "The recording is not usable.",
    }[evidence.quality.verdict]
    said = [verdict, *evidence.quality.reasons]
    if evidence.lead_set is not None and evidence.quality.usable:
        said.append(lead_note(evidence.lead_set))
    return tuple(Line(text, ("Q",)) for text in said if text)

