"""Holds every sentence of generated text against the evidence, before a reader sees it.

A sentence is read in full (``assistant.grammar``) into claims, and each claim must hold. One that cannot be read in full, or
of which one claim does not hold, is unsupported; the caller drops it. Silence is the safe side: a right sentence that is
dropped costs a line of the draft, a wrong one that passes costs trust.

What can never pass, because the grammar has no words for it: an acute or old infarction ("no acute infarction" included),
treatment, prognosis, causes, leads a finding was not stated for, degrees and sites beyond the statement.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from assistant.answers import values
from assistant.claims import (
    CaseClaim,
    CertaintyClaim,
    Claim,
    CompareClaim,
    DefinitionClaim,
    FindingClaim,
    FixedClaim,
    MeasurementClaim,
    NormalClaim,
    QualityClaim,
    ReplyClaim,
    ReviewClaim,
)
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence
from assistant.grammar import UNSPLIT, parse
from assistant.intents import Question
from assistant.lexicon import GROUPS
from encoders.criteria import judge
from encoders.measurements import Measurements
from encoders.vocabulary import CODES, codes_in

__all__ = ["Checked", "check", "check_text", "parse", "split_sentences"]

#: Words of a sentence that agree with a word of ``encoders.criteria.judge``; every other pair does not.
_AGREES = {
    "bradycardia": {"slow", "low"},
    "extreme bradycardia": {"slow", "low"},
    "tachycardia": {"fast", "high"},
    "extreme tachycardia": {"fast", "high"},
    "wide-complex tachycardia": {"fast", "high"},
    "slightly prolonged": {"prolonged", "slightly prolonged"},
    "markedly prolonged": {"prolonged", "markedly prolonged"},
    "wide": {"wide", "prolonged"},
    "high": {"high", "raised"},
    "elevated": {"raised"},
}
#: Statements that say the same as a measurement: they are not denied where the measurement says so.
_PROLONGED = {"LPR": "pr_ms", "LNGQT": "qtc_ms"}
#: Statements that may stand beside "normal ECG".
_BESIDE_NORMAL = {"NORM", *codes_in("rhythm"), *codes_in("form")} - {
    "AFIB",
    "AFLT",
    "SVTAC",
    "PSVT",
    "PACE",
    "SVARR",
    "BIGU",
    "TRIGU",
}
_RHYTHMS = frozenset(codes_in("rhythm"))
_END = re.compile(r"[.!?]+(?=\s|$)|\n+|(?<=\[criteria\])(?=\s)")
#: A full stop behind these ends no sentence.
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|vs|approx|resp|cf|no|et al|al|dr|fig|ca|incl)|\b[a-z])$", re.IGNORECASE)


@dataclass(frozen=True)
class Checked:
    """One sentence with what came of it. ``evidence_ids``: what it rests on; ``reason``: why it is not supported, or ""."""

    text: str
    supported: bool
    evidence_ids: tuple[str, ...]
    claims: tuple[Claim, ...]
    reason: str


class _Unsupported(Exception):
    """A claim does not hold; the message says why."""


@dataclass(frozen=True)
class _Context:
    evidence: Evidence
    question: Question | None
    second: Evidence | None
    placeholders: bool

    def states(self, codes: Sequence[str], evidence: Evidence | None = None) -> dict[str, str]:
        """State of each code; a code that the evidence does not list is not assessed."""
        listed = {f.code: f.state for f in (evidence or self.evidence).findings}
        return {c: listed.get(c, NOT_ASSESSED) for c in codes}

    def words(self) -> dict[str, frozenset[str]]:
        return _words(self.evidence.measurements, self.evidence.age_years, self.evidence.sex)


def check(
    sentence: str,
    evidence: Evidence,
    *,
    question: Question | None = None,
    second: Evidence | None = None,
    placeholders: bool = False,
) -> Checked:
    """Whether one sentence is supported by the evidence.

    ``question``: what is answered; a leading or lone "yes" or "no", and "no such finding was stated", are held against
    it and are unsupported without it where they rest on it. ``second``: the later recording of a comparison; then every other
    claim must hold for both recordings. ``placeholders``: accept text whose placeholders are not filled yet.
    """
    text = sentence.strip()
    exact = _exact(text, evidence)
    claims: tuple[Claim, ...] | None = exact[0] if exact else parse(text)
    if claims is None:
        return Checked(sentence, False, (), (), "not readable in full")
    if exact:
        return Checked(sentence, True, exact[1], claims, "")
    context = _Context(evidence, question, second, placeholders)
    ids: list[str] = []
    try:
        _agree(claims)
        for claim in claims:
            ids += _hold_both(claim, context)
        _reply(claims, context)
    except _Unsupported as why:
        return Checked(sentence, False, (), claims, str(why))
    return Checked(sentence, True, tuple(dict.fromkeys(ids)), claims, "")


def check_text(
    text: str,
    evidence: Evidence,
    *,
    question: Question | None = None,
    second: Evidence | None = None,
    placeholders: bool = False,
) -> tuple[Checked, ...]:
    """Every sentence of a text, in order, each checked on its own."""
    keep = (*evidence.quality.reasons, *(c.text for c in evidence.conflicts), *(text for text, _ in evidence.doubts()))
    return tuple(
        check(s, evidence, question=question, second=second, placeholders=placeholders) for s in split_sentences(text, keep)
    )


def split_sentences(text: str, keep: Sequence[str] = ()) -> tuple[str, ...]:
    """Sentences of a text with their closing marks.

    Decimals, abbreviations ("et al.") and the sentences of ``keep`` or of the criteria stay whole; a lone "Yes." or "No." stays
    with the sentence behind it, which says what it means.
    """
    whole = [
        (m.start(), m.end())
        for k in (*UNSPLIT, *(k for k in keep if _END.search(k[:-1])))
        for m in re.finditer(re.escape(k), text)
    ]
    parts: list[str] = []
    start = 0
    for mark in _END.finditer(text):
        if any(a <= mark.start() < b - 1 for a, b in whole) or (mark.group() == "." and _abbreviated(text[start : mark.start()])):
            continue
        parts.append(text[start : mark.end()].strip())
        start = mark.end()
    parts.append(text[start:].strip())
    out: list[str] = []
    for part in (p for p in parts if p):
        if out and out[-1].lower().rstrip(".") in ("yes", "no"):
            out[-1] = f"{out[-1]} {part}"
        else:
            out.append(part)
    return tuple(out)


def _abbreviated(before: str) -> bool:
    found = _ABBREVIATION.search(before)
    return found is not None and found.group().lower() != "no" or before.lower().endswith((" no", ", no"))


def _exact(text: str, evidence: Evidence) -> tuple[tuple[Claim, ...], tuple[str, ...]] | None:
    """Sentences that the evidence itself holds: the gate's reasons, the named conflicts, what similar cases speak against."""
    for reason in evidence.quality.reasons:
        if text.rstrip(". ") == reason.rstrip(". "):
            return (QualityClaim("reason", reason),), ("Q",)
    for conflict in evidence.conflicts:
        if text.rstrip(". ") == conflict.text.rstrip(". "):
            return (FixedClaim("conflict"),), (
                conflict.id if conflict.id.startswith("R:") else f"R:{conflict.id}",
                *conflict.items,
            )
    for doubt, ids in evidence.doubts():
        if text.rstrip(". ") == doubt.rstrip(". "):
            return (FixedClaim("doubt"),), ids
    return None


def _agree(claims: Sequence[Claim]) -> None:
    """Claims of one sentence must not contradict each other."""
    said: dict[str, str] = {}
    numbers: dict[str, str] = {}
    words: dict[str, str] = {}
    normal = any(
        isinstance(c, NormalClaim | FindingClaim)
        and c.polarity in ("present", "probable")
        and (isinstance(c, NormalClaim) or c.codes == ("NORM",))
        for c in claims
    )
    for claim in claims:
        if isinstance(claim, FindingClaim) and (claim.quantifier == "all" or claim.polarity == "absent"):
            polarity = "present" if claim.polarity == "probable" else claim.polarity
            for code in claim.codes:
                if said.setdefault(code, polarity) != polarity:
                    raise _Unsupported(f"says two things of {code}")
                if normal and polarity == "present" and code not in _BESIDE_NORMAL:
                    raise _Unsupported(f"calls the ECG normal and states {code}")
        if isinstance(claim, MeasurementClaim):
            if claim.printed and numbers.setdefault(claim.name, claim.printed) != claim.printed:
                raise _Unsupported(f"two values of {claim.name}")
            if claim.word and words.setdefault(claim.name, claim.word) != claim.word:
                raise _Unsupported(f"two judgements of {claim.name}")


def _hold(claim: Claim, context: _Context) -> tuple[str, ...]:
    """Ids that a claim rests on; raises _Unsupported where it does not hold."""
    if isinstance(claim, FindingClaim):
        return _finding(claim, context)
    if isinstance(claim, MeasurementClaim):
        return _measurement(claim, context)
    if isinstance(claim, CaseClaim):
        return _cases(claim, context)
    if isinstance(claim, NormalClaim):
        return _normal(claim, context)
    if isinstance(claim, QualityClaim):
        return _quality(claim, context)
    if isinstance(claim, CertaintyClaim):
        return _certainty(claim, context)
    if isinstance(claim, CompareClaim):
        return _compare(claim, context)
    if isinstance(claim, FixedClaim):
        return _fixed(claim, context)
    if isinstance(claim, DefinitionClaim):
        return _definition(claim, context)
    if isinstance(claim, ReviewClaim | ReplyClaim):
        return ()
    raise _Unsupported("a kind of claim that is not checked")  # pragma: no cover


def _hold_both(claim: Claim, context: _Context) -> tuple[str, ...]:
    """Like ``_hold``; where two recordings are compared, what is not said of their difference must hold for both."""
    if context.second is None or isinstance(claim, CompareClaim | FixedClaim | ReplyClaim | ReviewClaim):
        return _hold(claim, context)
    later = _Context(context.second, context.question, None, context.placeholders)
    if isinstance(claim, QualityClaim) and claim.word in ("limited", "unusable"):  # a warning may be about either
        try:
            return _hold(claim, context)
        except _Unsupported:
            return _hold(claim, later)
    return tuple(dict.fromkeys((*_hold(claim, context), *_hold(claim, later))))


def _finding(claim: FindingClaim, context: _Context) -> tuple[str, ...]:
    states = context.states(claim.codes)
    names = f"{'/'.join(claim.codes[:3])}{'…' if len(claim.codes) > 3 else ''}"
    ids = {s: tuple(f"F:{c}" for c, state in states.items() if state == s) for s in (PRESENT, ABSENT, UNDETERMINED, NOT_ASSESSED)}
    single = claim.quantifier == "all"
    if claim.polarity in ("present", "probable"):
        if (len(ids[PRESENT]) == len(states)) if single else ids[PRESENT]:
            return ids[PRESENT]
    elif claim.polarity == "absent":
        if claim.codes == GROUPS["tachycardia"] and "fast" in context.words().get("rate_bpm", ()):
            raise _Unsupported("no tachycardia is said of a fast rate")
        for code, name in _PROLONGED.items():
            if claim.codes == (code,) and "prolonged" in context.words().get(name, ()):
                raise _Unsupported(f"{name} is prolonged, so that {code} is not denied")
        denied = not ids[PRESENT] and not ids[UNDETERMINED] and ids[ABSENT]
        if denied and (not single or len(ids[ABSENT]) == len(states)):
            return ids[ABSENT]
    elif claim.polarity == "undetermined":
        if (len(ids[UNDETERMINED]) == len(states)) if single else (ids[UNDETERMINED] and not ids[PRESENT]):
            return ids[UNDETERMINED]
    elif claim.polarity == NOT_ASSESSED and len(ids[NOT_ASSESSED]) == len(states):
        return ids[NOT_ASSESSED]
    held = ", ".join(sorted(set(states.values())))
    raise _Unsupported(f"{names} is said to be {claim.polarity}, the evidence has it {held}")


def _normal(claim: NormalClaim, context: _Context) -> tuple[str, ...]:
    state = context.states(("NORM",))["NORM"]
    abnormal = [f for f in context.evidence.in_state(PRESENT) if f.code not in ("NORM", "SR")]
    if claim.polarity in ("present", "probable") and state == PRESENT:
        beside = [f.code for f in abnormal if f.code != "SARRH"]  # breathing makes a healthy rhythm vary
        if beside and not claim.otherwise:
            raise _Unsupported(f"{beside[0]} is present, so the ECG is at most otherwise normal")
        return ("F:NORM",)
    if claim.polarity == "absent" and (state == ABSENT or (abnormal and state != PRESENT)):
        return ("F:NORM", *(f.id for f in abnormal))
    if claim.polarity in (UNDETERMINED, NOT_ASSESSED) and state == claim.polarity:
        return ("F:NORM",)
    raise _Unsupported(f"normal ECG is said to be {claim.polarity}, the evidence has it {state}")


def _measurement(claim: MeasurementClaim, context: _Context) -> tuple[str, ...]:
    try:
        measured = context.evidence.measurements[claim.name]
    except KeyError as error:
        raise _Unsupported(f"{claim.name} is not among the measurements") from error
    if claim.printed.startswith("["):
        if not context.placeholders or measured.value is None:
            raise _Unsupported(f"{claim.printed} is not filled")
    elif claim.printed:
        given = f"{claim.printed} {claim.unit}".strip() if claim.unit in ("ms", "mV", "") else f"{claim.printed}{claim.unit}"
        if given != measured.text():
            raise _Unsupported(f"{claim.name} is said to be {given}, it is {measured.text()}")
    if claim.word == "not measurable":
        if measured.value is not None:
            raise _Unsupported(f"{claim.name} was measured")
    elif claim.word is not None:
        _judged(claim, context)
    return (f"M:{claim.name}",)


@lru_cache(maxsize=256)
def _words(measurements: Measurements, age_years: float | None, sex: str | None) -> dict[str, frozenset[str]]:
    """Words that may be said of each measurement to which a limit applies."""
    words: dict[str, frozenset[str]] = {}
    for judged in judge(measurements, age_years, sex):
        if judged.word == "withheld":
            continue
        may = _AGREES.get(judged.word, {judged.word}) | (set() if judged.severity == "normal" else {"abnormal"})
        if judged.measurement == "qrs_ms" and judged.word == "normal":
            may = may | {"narrow"}
        words[judged.measurement] = words.get(judged.measurement, frozenset()) | may
    return words


def _judged(claim: MeasurementClaim, context: _Context) -> None:
    may = context.words().get(claim.name)
    if may is None:
        raise _Unsupported(f"no limit applies to {claim.name}")
    word = str(claim.word)
    if (word.removeprefix("not ") in may) is word.startswith("not "):
        raise _Unsupported(f"{claim.name} is called {claim.word}, it is {sorted(may)[0]}")


def _cases(claim: CaseClaim, context: _Context) -> tuple[str, ...]:
    cases = context.evidence.cases
    with_it = [c for c in cases if any(code in c.statements for code in claim.codes)]
    if -1 in (claim.n, claim.k):
        if not context.placeholders or not cases:
            raise _Unsupported("a count of cases is not filled")
    elif not cases or claim.n != len(with_it) or (claim.k is not None and claim.k != len(cases)):
        raise _Unsupported(f"{len(with_it)} of {len(cases)} similar cases list {'/'.join(claim.codes[:3])}")
    return tuple(f"C:{c.case_id}" for c in with_it) or tuple(f"C:{c.case_id}" for c in cases)


def _quality(claim: QualityClaim, context: _Context) -> tuple[str, ...]:
    verdict = context.evidence.quality.verdict
    if claim.word == "reason":
        if context.placeholders and context.evidence.quality.reasons:
            return ("Q",)
        raise _Unsupported("a reason of the quality gate is not filled")
    if claim.word != verdict:
        raise _Unsupported(f"the recording is called {claim.word}, the gate called it {verdict}")
    return ("Q",)


def _certainty(claim: CertaintyClaim, context: _Context) -> tuple[str, ...]:
    if len(claim.codes) != 1:
        raise _Unsupported("a probability is known of single statements only")
    code = claim.codes[0]
    for finding in context.evidence.findings:
        if finding.code == code and finding.state != NOT_ASSESSED:
            if claim.printed.startswith("["):
                if context.placeholders:
                    return (finding.id,)
                raise _Unsupported(f"{claim.printed} is not filled")
            if claim.printed == finding.percent:
                return (finding.id,)
            raise _Unsupported(f"the probability of {code} is {finding.percent}")
    raise _Unsupported(f"no probability of {code} is known")


def _definition(claim: DefinitionClaim, context: _Context) -> tuple[str, ...]:
    if not claim.code:
        if context.placeholders:
            return ()
        raise _Unsupported("the criteria are not filled")
    question = context.question
    asked = question is not None and question.intent in (("define", "explain") if claim.named else ("define",))
    stated = context.states((claim.code,))[claim.code] == PRESENT
    if not (claim.citation or asked or (claim.named and stated)):
        raise _Unsupported(f"the criteria of {claim.code} read as a finding where nobody asked for them")
    return (f"F:{claim.code}",)


def _compare(claim: CompareClaim, context: _Context) -> tuple[str, ...]:
    later = context.second
    if later is None:
        raise _Unsupported("there is no second recording to compare with")
    if claim.name:
        return _changed(claim, context.evidence, later)
    before, after = (context.states(claim.codes, e) for e in (context.evidence, later))
    pairs = {(before[c], after[c]) for c in claim.codes}
    held = {
        "new": pairs == {(ABSENT, PRESENT)},
        "resolved": pairs == {(PRESENT, ABSENT)},
        "unchanged": pairs == {(PRESENT, PRESENT)},
        "open": len(pairs) == 1 and any(s in pair for pair in pairs for s in (UNDETERMINED, NOT_ASSESSED)),
    }
    if not held.get(claim.kind, False):
        raise _Unsupported(f"{'/'.join(claim.codes[:3])} is not {claim.kind} from the first recording to the second")
    return tuple(f"F:{c}" for c in claim.codes)


def _changed(claim: CompareClaim, first: Evidence, second: Evidence) -> tuple[str, ...]:
    """A change is the difference of the two printed values."""
    one, two = first.measurements[claim.name], second.measurements[claim.name]
    if one.value is None or two.value is None:
        raise _Unsupported(f"{claim.name} is not measured in both recordings")
    if claim.values:
        gap = "" if claim.unit in ("/min", "°") else " "
        if tuple(f"{v}{gap}{claim.unit}".rstrip() for v in claim.values) == (one.text(), two.text()):
            return (f"M:{claim.name}",)
    else:
        places = 0 if claim.unit in ("/min", "ms", "°") else 2
        change = round(two.value, places) - round(one.value, places)
        if claim.unit == two.unit and claim.sign * change > 0 and claim.printed == f"{abs(change):.{places}f}":
            return (f"M:{claim.name}",)
    raise _Unsupported(f"{claim.name} went from {one.text()} to {two.text()}")


def _fixed(claim: FixedClaim, context: _Context) -> tuple[str, ...]:
    """Fixed sentences about the report itself."""
    evidence, question = context.evidence, context.question
    present = {f.code for f in evidence.in_state(PRESENT)}
    holds = True
    if claim.kind == "nothing stated":
        # Beside a critical measurement the sentence would reassure where it must not.
        judged = judge(evidence.measurements, evidence.age_years, evidence.sex)
        holds = not present - {"NORM", "SR"} and not any(j.severity == "critical" for j in judged)
    elif claim.kind == "no such finding":
        holds = question is not None and bool(question.codes) and not present & set(question.codes)
    elif claim.kind == "no rhythm":
        holds = not present & _RHYTHMS
    elif claim.kind == "no cases":
        holds = not evidence.cases
    elif claim.kind == "no limit":
        words = context.words()
        asked = (
            question.measurements
            if question is not None and question.measurements
            else tuple(m.name for m in evidence.measurements.items)
        )
        holds = any(name not in words for name in asked)
    elif claim.kind == "no change":
        pairs = [(context.states(CODES)[c], context.states(CODES, context.second)[c]) for c in CODES] if context.second else []
        holds = bool(pairs) and all((a == PRESENT) == (b == PRESENT) for a, b in pairs)
    elif claim.kind == "no earlier":
        holds = context.second is None
    if not holds:
        raise _Unsupported(f"the evidence does not bear out: {claim.kind}")
    return ()


def _reply(claims: Sequence[Claim], context: _Context) -> None:
    """A "yes" or "no" must fit what follows it and what was asked."""
    replies = [c for c in claims if isinstance(c, ReplyClaim)]
    if not replies:
        return
    yes = replies[0].yes
    question = context.question
    said = "yes" if yes else "no"
    bare: list[str] = []
    if question is not None and question.intent in ("verify", "normal", "measurement", "quality"):
        bare = values(context.evidence, question)[:1]
        if bare and bare[0] in ("yes", "no", "undetermined", "not assessed") and bare[0] != said:
            raise _Unsupported(f'"{said}" does not answer what was asked')
        if bare == [said] and question.intent != "verify":
            return
    for claim in claims:
        if isinstance(claim, FindingClaim | NormalClaim):
            if (claim.polarity in ("present", "probable")) is not yes:
                raise _Unsupported('"yes" or "no" does not fit what follows it')
            return
    if len(claims) == 1 and bare != [said]:
        raise _Unsupported("a bare reply without the question it answers")
