"""From a typed question and evidence to an answer or a referral. Text is written elsewhere; here it is weighed."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from assistant.asking import LEFT_OPEN, QUALITY, SIGNAL, TRUST
from assistant.bare import (
    asked_group,
    asked_values,
    asked_word,
    carried,
    case_counts,
    counted,
    masking_signs,
    normality,
    query_codes,
    ranked,
    turned,
    values,
)
from assistant.content import content_of
from assistant.decide import SWAPPED, Reason, capital, critical_by_rule
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence
from assistant.intents import Question
from assistant.phrasing import View, both_values, name_of, titled
from assistant.plain_words import clauses, leads_named
from assistant.report import INTENDED_USE, SCHEMA_VERSION, Line, Referral, who_should_look
from assistant.scope import person_for
from assistant.scope_model import ACUTE
from assistant.serial import compared_findings
from assistant.synonyms import MORE_SYNONYMS
from encoders.compare import CANNOT_JUDGE, RESOLVED
from encoders.measure import IRREGULAR
from encoders.measurements import Measurement
from encoders.vocabulary import codes_in, statement

__all__ = [
    "CANNOT", "LEAST_RELIABLE", "Answer", "Bare", "asked_codes", "bare_answer", "declined_before", "more_lines",
    "open_lines", "preceded", "signal_lines", "value_line", "weigh",
]  # fmt: skip

CANNOT = "cannot be judged"
#: Reliability of a measurement below which its value is not given as an answer.
LEAST_RELIABLE = 0.3
#: Questions about the assistant's reading, as against those about the vocabulary or the recording as such.
_ON_FINDINGS = ("verify", "choose", "query", "normal", "summary", "explain", "certainty", "compare")


_RHYTHM = frozenset(codes_in("rhythm"))
_FAULT = re.compile(
    r"\bnois|\bart[ei]fact|\bdistrust|\bunreliable|\bunreadable|\bunusable|\binterfer|\bdisturb|\bspoil|\btoo short\b|\bloose"
    r"|\b(?:bad|wrong|off|flat|lost|missing|swap\w*|revers\w*|mix\w*|misplac\w*|limit\w*|move[ds]?|movement|shaky|hz)\b"
    r"|\bdrift|\bwander|\btremor|\bhum\b|\bclipp|\bnot (?:trust|rely|to be relied)"
)
_WHICH_LEADS = re.compile(r"\b(?:which|what|any|list|name)\b(?: of the)? (?:\w+ )?(?:leads?|channels?|electrodes?)\b")
_PLACING = re.compile(
    r"\bplac(?:ed|ement|es?)\b|\battached\b|\bposition|\bswap\w*|\brevers\w*|\bmisplac\w*|\bmix\w*|\bright way round\b|\bput on\b"
    r"|\b(?:electrodes?|leads?|cables?) (?:\w+ )?(?:right|ok|okay|fine|correct(?:ly)?|in order|where they should)\b"
)
_DIRECTED = ("sokolow", "cornell", "st_", "r_transition")
_UNEVEN = re.compile(r"\b(?:irregular\w*|uneven\w*|erratic\w*|varying|chaotic)\b")
_EVEN = re.compile(r"\b(?:regular\w*|even|evenly|steady|constant)\b")
_OPEN_QUESTION = re.compile(r"\W*(?:which|what|how|where|why|name|list)\b")
_NOISE_WORDS = {"wander": "baseline wander", "mains": "mains hum", "muscle": "muscle noise", "movement": "movement"}


@dataclass(frozen=True)
class Answer:
    """An answer: ``text`` as it is read, ``values`` the bare answer, ``confidence`` 0-1, ``ids`` the evidence behind it."""

    text: str
    values: tuple[str, ...]
    confidence: float
    ids: tuple[str, ...]
    sentences: tuple[Line, ...]
    question: Question
    checker: dict[str, int] = field(default_factory=lambda: {"sentences": 0, "dropped": 0})

    @property
    def status(self) -> str:
        return "answer"

    @property
    def reasons(self) -> tuple[Reason, ...]:
        return ()

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "status": "answer",
            "text": self.text,
            "values": list(self.values),
            "confidence": round(self.confidence, 4),
            "evidence": list(self.ids),
            "reasons": [],
            "intent": self.question.intent,
            "sentences": [line.to_json() for line in self.sentences],
            "checker": dict(self.checker),
            "unconfirmed": True,
            "intended_use": INTENDED_USE,
        }

    def to_text(self) -> str:
        known = f" [{', '.join(self.ids)}]" if self.ids else ""
        return "\n".join(textwrap.wrap(f"{self.text}{known} (confidence {self.confidence:.2f})", 100))


@dataclass(frozen=True)
class Bare:
    """The answer without words: ``values``, ``confidence`` that they are right, ``ids``; ``open`` says why it is declined.

    ``critical``: something critical is among what could not be judged.
    """

    values: tuple[str, ...]
    confidence: float
    ids: tuple[str, ...]
    open: str = ""
    critical: bool = False


def declined_before(question: Question, reasons: Sequence[Reason]) -> Referral | None:
    """Referral where no answer may be tried: out of scope, not understood, or a recording that cannot be read for it.

    ``reasons`` are those of the recordings' own referral. What the recording is worth and what a word means can always
    be asked; measurements of a usable recording, too.
    """
    if question.intent in ("out_of_scope", "unclear"):
        kind = "out of scope" if question.intent == "out_of_scope" else "unclear"
        said = question.reason or "The question was not understood; please name a finding or a measurement."
        who = person_for(question.reason) if kind == "out of scope" else "the person asking, to ask again"
        return Referral((Reason(kind, said),), who, text=said, sentences=(Line(said),))
    # Rate and intervals hold whatever the leads are called; axis, voltages and ST levels do not.
    directed = any(name.startswith(_DIRECTED) or name.endswith("axis_deg") for name in question.measurements)
    values = question.intent in ("measurement", "cases") or _on_values(question)
    timing = values and not directed
    barring = {"unusable"} if timing else {"unusable", "unfamiliar", "intended use"}
    stop = [r for r in reasons if r.kind in barring] if question.intent in (*_ON_FINDINGS, "measurement", "cases") else []
    if question.codes and set(question.codes) <= _RHYTHM:  # which holds whatever the limb leads are called
        stop = [r for r in stop if r.text != SWAPPED]
    if not stop:
        return None
    text = " ".join(dict.fromkeys(r.text for r in stop))
    return Referral(tuple(stop), who_should_look(stop), text=text, values=(CANNOT,), ids=("Q",), sentences=(Line(text, ("Q",)),))


def _on_values(question: Question) -> bool:
    """Whether a comparison, an explanation or a degree of certainty is asked of measured values alone."""
    return bool(question.measurements) and (
        question.intent == "compare" or question.intent in ("explain", "certainty") and not question.codes
    )


def preceded(declined: Referral, lines: Sequence[Line]) -> Referral:
    """The same referral with these lines before its own."""
    if not lines:
        return declined
    text = " ".join((*(line.text for line in lines), declined.text))
    ids = tuple(dict.fromkeys((*(i for line in lines for i in line.evidence), *declined.ids)))
    return replace(declined, text=text, ids=ids, sentences=(*lines, *declined.sentences))


def bare_answer(question: Question, evidence: Evidence, second: Evidence | None = None) -> Bare:
    """Values, confidence and evidence ids of an answer, from the evidence alone.

    Confidence is the calibrated probability of the answered state, the least over all states that the answer rests on
    (1 - probability for absent ones); for a measurement its reliability; 1 for definitions and counts.
    """
    if question.intent == "compare":
        return _compare(question, evidence, second)
    told = tuple(CANNOT if v == UNDETERMINED else v for v in values(evidence, question, second))
    if about := asked_values(View.of(evidence), question):
        return _measured(replace(question, measurements=about), evidence, tuple(evidence.measurements[m].text() for m in about))
    if question.intent == "measurement":
        found = _even(question, evidence) if question.measurements == ("rr_irregularity",) else None
        return _measured(question, evidence, told if found is None else (found[1],))
    if question.intent == "quality":
        score, fault = evidence.quality.score, _signal_fault(question, evidence)
        if fault is None:
            return Bare((CANNOT,), 1.0, ("Q",))
        if not _asks_quality(question):
            return Bare((evidence.quality.verdict,), score if evidence.quality.usable else 1 - score, ("Q",))
        said = "yes" if fault == _asks_fault(question) else "no"
        return Bare((said,), score if evidence.quality.usable else 1 - score, ("Q",))
    if open_lines(question, evidence):
        names = tuple(statement(f.code).name for f in evidence.findings if f.state in (UNDETERMINED, NOT_ASSESSED))
        return Bare(names or ("none",), 1.0, ("Q",))
    if question.intent == "cases":
        counts = case_counts(evidence)
        asked = [c for c in question.codes if c in counts] or [c for c, _ in counts.most_common(3)]
        shares = tuple(f"{statement(c).name}: {counts[c]} of {len(evidence.cases)}" for c in asked)
        return Bare(shares, 1.0, tuple(f"C:{case.case_id}" for case in evidence.cases))
    if question.intent == "define":
        return Bare(told, 1.0, tuple(f"F:{c}" for c in question.codes))
    return _states(question, evidence, told)


def _asks_quality(question: Question) -> bool:
    """Whether the text itself asks of the signal; where only the judge of questions takes it so, "yes" may answer another."""
    text = " ".join(clause for clause, _ in clauses(question.text))
    patterns = (QUALITY, TRUST, SIGNAL, _FAULT, _PLACING, _WHICH_LEADS)
    return bool(leads_named(question.text)) or any(pattern.search(text) for pattern in patterns)


def _asks_fault(question: Question) -> bool:
    """Whether "yes" to a question on the signal means that something is wrong with it."""
    return _FAULT.search(question.text.lower()) is not None


def _signal_fault(question: Question, evidence: Evidence) -> bool | None:
    """Whether what a quality question asks about is at fault: the leads it names, the electrodes' places, or the recording.

    None where it cannot be told.
    """
    quality, named = evidence.quality, leads_named(question.text)
    if named and _WHICH_LEADS.search(question.text.lower()) is None:
        return not quality.usable or any(lead in quality.bad_leads for lead in named)
    if _PLACING.search(question.text.lower()):
        return None if quality.placement not in ("as expected", "doubted") else quality.placement == "doubted"
    return not quality.usable if not _asks_fault(question) else bool(quality.reasons)


def signal_lines(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """What the gate found in that which a quality question asks about, and before how many beats P waves stand where that is
    asked; empty for any other question.

    "Could the signal be trusted in V3?" is answered by lead V3, "are the electrodes placed correctly?" by the direction of the
    leads, "which leads are bad?" by their names; "yes" and "no" answer the question as it is put. What else limits the recording
    follows.
    """
    if question.intent == "measurement" and question.measurements == ("p_wave_share",):
        return _p_waves(question, evidence)
    if question.intent == "measurement" and question.measurements == ("rr_irregularity",):
        return _regularity(question, evidence)
    if question.intent != "quality":
        return ()
    quality, named, text = evidence.quality, leads_named(question.text), question.text.lower()
    fault = _signal_fault(question, evidence)
    said: list[str] = []
    if _WHICH_LEADS.search(text):
        doubtful = quality.bad_leads
        found = _leads(doubtful) if doubtful else "no lead was found that"
        said.append(f"{found} should not be relied on.")
    elif named:
        doubtful = tuple(lead for lead in named if lead in quality.bad_leads)
        for leads in (doubtful, tuple(lead for lead in named if lead not in doubtful)):
            kinds = dict.fromkeys(kind for lead in leads for kind in quality.lead_noise_kinds.get(lead, ()))
            seen = " and ".join(_NOISE_WORDS.get(kind, kind) for kind in kinds)
            if leads and leads == doubtful:
                said.append(f"{_leads(leads)} should not be relied on{f' ({seen})' if seen else ''}.")
            elif leads and quality.usable:
                found = f"can be read, with {seen}" if seen else "can be relied on: no disturbance was found there"
                said.append(f"{_leads(leads)} {found}.")
    elif _PLACING.search(text):
        said.append(
            "whether the electrodes are where they should be cannot be told from this recording." if fault is None
            else "the direction of the leads speaks against the usual places of the electrodes." if fault
            else "the leads run as they do with the electrodes in their usual places."
        )  # fmt: skip
    if not said or not quality.usable:
        verdict = {"usable": "usable", "limited": "usable with limits"}.get(quality.verdict, "not usable")
        said.append(f"the recording is {verdict}.")
    plain = fault is not None and _asks_quality(question) and not _OPEN_QUESTION.match(text)
    bare = "" if not plain else "Yes: " if fault == _asks_fault(question) else "No: "
    said[0] = f"{bare}{said[0]}"
    lines = [Line(capital(one), ("Q",)) for one in said]
    whole = fault is not False or not (named or _PLACING.search(text))
    return (*lines, *(Line(reason, ("Q",)) for reason in quality.reasons if whole))


def _p_waves(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """Before how many beats a P wave was found; "yes" from 95 %, since single P waves are missed."""
    share = evidence.measurements.value("p_wave_share")
    if share is None or not evidence.quality.usable:
        return ()
    every, few = share >= 0.95, share < 0.05
    where = "before every beat" if share == 1 else f"before {share:.0%} of the beats"
    bare = "Yes" if every else "No" if few else "Not before every beat"
    found = "no P wave was found before any beat." if share == 0 else f"a P wave was found {where.replace('%', ' %')}."
    text = capital(found) if _OPEN_QUESTION.match(question.text.lower()) else f"{bare}: {found}"
    return (Line(text, ("M:p_wave_share",)),)


def _even(question: Question, evidence: Evidence) -> tuple[bool, str] | None:
    """Whether the beats follow each other evenly, and the bare answer to whether they do (or do not); None where it was not
    measured, or the value itself is asked for.

    No standard gives a bound: this is the one above which intervals count as averages over unequal beats. On fold 9 it lies
    below 93 % of the recordings with atrial fibrillation and above 92 % of those in sinus rhythm.
    """
    item = evidence.measurements["rr_irregularity"]
    weak = item.value is None or item.reliability < LEAST_RELIABLE or not evidence.quality.usable
    if item.value is None or weak or _OPEN_QUESTION.match(question.text.lower()):
        return None
    even, text = item.value <= IRREGULAR, question.text.lower()
    uneven_asked, even_asked = _UNEVEN.search(text) is not None, _EVEN.search(text) is not None
    if uneven_asked == even_asked:
        return even, "regular" if even else "irregular"
    return even, "yes" if even == even_asked else "no"


def _regularity(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """The answer to "is it regular?"; empty where it was not measured."""
    found = _even(question, evidence)
    if found is None:
        return ()
    even, bare = found
    value = evidence.measurements["rr_irregularity"].text()
    said = f"the beats follow each other {'evenly' if even else 'unevenly'}"
    lead = f"{capital(bare)}: " if bare in ("yes", "no") else ""
    bound = f"RR irregularity {value}; up to {IRREGULAR:g} counts as even here"
    return (Line(capital(f"{lead}{said} ({bound})."), ("M:rr_irregularity",)),)


def more_lines(question: Question, evidence: Evidence, second: Evidence | None = None) -> tuple[Line, ...]:
    """Values that no statement or limit speaks of (MORE_NAMES), of one recording or of both, and what else is asked for beside
    them; empty for any other question. Generated text never speaks of these."""
    if question.intent not in ("measurement", "compare") or not set(question.measurements) & MORE_SYNONYMS.keys():
        return ()
    if question.intent == "compare" and second is not None:
        return tuple(
            Line(f"{titled(name)}: {both_values(name, evidence, second)}", (f"M:{name}",)) for name in question.measurements
        )
    lines = [value_line(evidence, name) for name in question.measurements]
    some = counted(evidence, question)
    if some is not None:
        lines = [replace(lines[0], text=f"{'Yes' if some else 'No'}: {lines[0].text[0].lower()}{lines[0].text[1:]}")]
    elif asked_word(question) is not None:
        lines.append(Line("No limit was applied to it.", lines[0].evidence))
    return tuple(lines)


def _settled(item: Measurement) -> bool:
    """Whether it was measured that there is no such value: R that stays below S up to V6 has no transition."""
    return item.value is None and item.reliability >= LEAST_RELIABLE and bool(item.note)


def value_line(evidence: Evidence, name: str) -> Line:
    """One measured value in words, with what limits it."""
    item = evidence.measurements[name]
    label = titled(name)
    longest = evidence.measurements["rr_max_ms"]
    ids: tuple[str, ...] = (f"M:{name}",)
    if _settled(item):
        text = f"{label}: {item.note}."
    elif item.value is None:
        text = f"{label}: not measurable" + (f" ({item.note})." if item.note else ".")
    elif name.startswith("pauses_"):
        text = f"{label}: {f'{item.value:.0f}' if item.value else 'none'} in this recording"
        text += "." if longest.value is None else f"; the longest RR interval is {longest.text()}."
        ids = ids if longest.value is None else (*ids, "M:rr_max_ms")
    elif name.startswith("premature_"):
        text = f"{label} by measurement: {item.value:.0f} among {item.beats} beats."
    elif name == "r_transition":
        low, high = int(item.value), -int(-item.value // 1)
        text = f"{label}: R outgrows S {f'in V{low}' if low == high else f'between V{low} and V{high}'}."
    else:
        text = f"{label}: {item.text()}."
    if item.value is not None and item.note and name.startswith(("pauses_", "rr_m")):
        text += f" {capital(item.note)}."
    return Line(text, ids)


def _asks_acute(question: Question) -> bool:
    """Whether an acute infarction is asked for, by its name or as people call it."""
    return "heart attack" in question.text.lower() or ACUTE in content_of(question.text).groups


def _leads(names: Sequence[str]) -> str:
    shown = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))
    return f"{'leads' if len(names) > 1 else 'lead'} {shown}"


def open_lines(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """What was not assessed and what cannot be judged, where just this is asked; empty for any other question."""
    if question.intent != "query" or question.codes or not LEFT_OPEN.search(" ".join(c for c, _ in clauses(question.text))):
        return ()
    lines = []
    for lead, found in (("Cannot be judged", evidence.in_state(UNDETERMINED)), ("Not assessed", evidence.in_state(NOT_ASSESSED))):
        if found:
            lines.append(Line(f"{lead}: {', '.join(statement(f.code).name for f in found)}.", tuple(f.id for f in found)))
    return tuple(lines) or (Line("Every statement was judged.", ("Q",)),)


def _states(question: Question, evidence: Evidence, told: tuple[str, ...]) -> Bare:
    view = View.of(evidence)
    codes = asked_codes(question) if not (order := ranked(view, question)) else order[:2]
    measurement = carried(view, list(question.codes)) if question.intent == "verify" and question.codes else None
    if measurement is not None:
        return Bare(told, evidence.measurements[measurement].reliability, (f"M:{measurement}",))
    known = [view.by_code[c] for c in codes if c in view.by_code]
    present = [f for f in known if f.state == PRESENT]
    assessed = [f for f in known if f.state != NOT_ASSESSED]
    if (question.intent == "certainty" or order) and assessed:
        # The probability is the answer, settled or not.
        shown = tuple(f.percent for f in assessed)
        return Bare(shown, min(max(f.probability, 1 - f.probability) for f in assessed), tuple(f.id for f in assessed))
    if question.intent == "normal" and not present and normality(view) == "no":
        # Not normal, since something abnormal is stated.
        present = [f for f in evidence.in_state(PRESENT) if f.code not in ("NORM", "SR")]
    if present:
        # "Which", "summary" and "explain" rest on all that is named; "is there any" on the surest one.
        p = [f.probability for f in present]
        return Bare(told, max(p) if question.intent in ("verify", "normal") else min(p), tuple(f.id for f in present))
    urgent = [one for one in critical_by_rule(evidence) if one.state == PRESENT]
    if urgent and question.intent in ("verify", "query") and asked_group(question.codes) == "urgent finding":
        ids = tuple(i for one in urgent for i in one.evidence)
        items = [evidence.measurements[i.removeprefix("M:")] for i in ids]
        shown = (PRESENT if turned(question) else "yes",) if question.intent == "verify" else tuple(m.text() for m in items)
        return Bare(shown, min(m.reliability for m in items), ids)
    opened = [f for f in known if f.state == UNDETERMINED]
    if opened:
        critical = any(statement(f.code).urgency == "critical" for f in opened)
        where = "" if evidence.lead_set is not None else " from the leads recorded"
        why = f"Cannot be judged{where}: {', '.join(statement(f.code).name for f in opened[:4])}"
        why += " and others." if len(opened) > 4 else "."
        return Bare(told or (CANNOT,), 0.0, tuple(f.id for f in opened), why, critical)
    absent = [f for f in known if f.state == ABSENT]
    signs = masking_signs(view, codes)
    if signs:
        names = ", ".join(name_of(c, None) for c in signs[:4]) + (" and others." if len(signs) > 4 else ".")
        return Bare((CANNOT,), 0.0, tuple(f"F:{c}" for c in signs), f"Ischaemia cannot be ruled out beside {names}")
    if absent and question.intent in ("verify", "choose", "query") and _asks_acute(question):
        told = ("none stated",)  # never "no": an acute infarction is not ruled out here (DESIGN, rule 8)
    if absent:
        return Bare(told, min(1 - f.probability for f in absent), tuple(f.id for f in absent[:12]))
    unknown = [f for f in known if f.state == NOT_ASSESSED]
    names = ", ".join(statement(f.code).name for f in unknown[:4]) + (" and others" if len(unknown) > 4 else "")
    why = f"Too few known cases to judge {names}." if names else "Nothing was assessed in this recording."
    return Bare(told or (NOT_ASSESSED,), 0.0, tuple(f.id for f in unknown[:12]), why)


def asked_codes(question: Question) -> tuple[str, ...]:
    """The statements that an answer rests on: what is named, or all that a list or a summary ranges over."""
    if question.intent == "normal":
        return ("NORM",)
    return query_codes(question) if question.intent in ("query", "choose", "summary", "explain") else question.codes


def _measured(question: Question, evidence: Evidence, told: tuple[str, ...]) -> Bare:
    items = [evidence.measurements[name] for name in question.measurements]
    ids = tuple(f"M:{m.name}" for m in items)
    found = [m for m in items if m.value is not None]
    settled = [m for m in items if _settled(m)]
    if settled and not found:
        return Bare(tuple(m.note for m in settled), min(m.reliability for m in settled), ids)
    if not found:
        notes = "; ".join(dict.fromkeys(m.note for m in items if m.note))
        return Bare(told, 0.0, ids, "The value could not be measured" + (f": {notes}." if notes else "."))
    trust = min(m.reliability for m in found)
    if trust < LEAST_RELIABLE:
        shown = "; ".join(m.text() + (f" ({m.note})" if m.note else "") for m in found)
        return Bare((CANNOT,), trust, ids, f"The measurement is too uncertain to be relied on: {shown}.")
    return Bare(told, trust, ids)


def _compare(question: Question, first: Evidence, second: Evidence | None) -> Bare:
    if second is None:
        return Bare((), 0.0, (), "A comparison needs a second recording of the same patient.")
    if question.measurements:
        return _compare_values(question, first, second)
    one, two = View.of(first), View.of(second)
    changes = [f for f in compared_findings(first, second) if not question.codes or f.code in question.codes]
    told, trust, ids = [], [], []
    for found in changes:
        p, q = one.by_code[found.code].probability, two.by_code[found.code].probability
        name = statement(found.code).name
        if found.change == CANNOT_JUDGE:
            told.append(f"{CANNOT}: {name}")
        else:
            told.append(f"{'gone' if found.change == RESOLVED else found.change}: {name}")
            trust.append(min(1 - p if found.before == ABSENT else p, 1 - q if found.after == ABSENT else q))
        ids.append(f"F:{found.code}")
    if trust:
        return Bare(tuple(told), min(trust), tuple(ids))
    if not changes:
        asked = [one.by_code[c] for c in question.codes] + [two.by_code[c] for c in question.codes]
        if asked and all(f.state == ABSENT for f in asked):
            return Bare(("no change",), min(1 - f.probability for f in asked), tuple(f"F:{c}" for c in question.codes))
    return Bare(tuple(told) or (CANNOT,), 0.0, tuple(ids), "No finding is certain enough in both recordings to be compared.")


def _compare_values(question: Question, first: Evidence, second: Evidence) -> Bare:
    told, trust = [], []
    for name in question.measurements:
        before, after = first.measurements[name], second.measurements[name]
        told.append(f"{before.text()} → {after.text()}")
        if before.value is not None and after.value is not None:
            trust.append(min(before.reliability, after.reliability))
    ids = tuple(f"M:{name}" for name in question.measurements)
    if not trust:
        return Bare(tuple(told), 0.0, ids, "The value could not be measured in both recordings.")
    return Bare(tuple(told), min(trust), ids)


def weigh(
    question: Question, bare: Bare, lines: Sequence[Line], checker: dict[str, int], min_confidence: float | None
) -> Answer | Referral:
    """The answer, or a referral where it is open or its confidence lies below the least one asked for."""
    text = " ".join(line.text for line in lines)
    ids = tuple(dict.fromkeys((*bare.ids, *(i for line in lines for i in line.evidence))))
    if bare.open:
        reason = Reason("critical" if bare.critical else "undetermined", bare.open)
    elif min_confidence is not None and bare.confidence < min_confidence:
        reason = Reason(
            "low confidence", f"The confidence is {bare.confidence:.2f}, below the {min_confidence:.2f} that was asked for."
        )
        text = f"{reason.text} {text}".strip()
    else:
        return Answer(text, bare.values, bare.confidence, ids, tuple(lines), question, checker)
    return Referral(
        (reason,), who_should_look((reason,)), text=text or bare.open, values=bare.values, confidence=bare.confidence, ids=ids,
        sentences=tuple(lines), checker=checker,
    )  # fmt: skip
