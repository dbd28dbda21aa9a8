"""The bare answer to a question, as values; and how a question is turned, so that its yes and no mean what they say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence
from assistant.intents import Question
from assistant.judged import said_by_value
from assistant.lexicon import GROUPS, find_phrases, words
from assistant.phrasing import View, name_of
from assistant.question import asks_for_absence
from assistant.serial import compared_findings
from encoders.compare import NEW, RESOLVED
from encoders.measurements import MEASUREMENT_NAMES
from encoders.vocabulary import CODES

__all__ = [
    "agrees",
    "asked_group",
    "asked_values",
    "asked_word",
    "asks_abnormal",
    "case_counts",
    "carried",
    "counted",
    "denied",
    "masking_signs",
    "meant",
    "normality",
    "query_codes",
    "ranked",
    "signs_beside",
    "turned",
    "values",
    "yes_or_no",
]

#: Judging words that a person may use for one another, by the word the measurement got.
_SAME_JUDGEMENT = {
    "prolonged": {"prolonged", "wide", "raised", "abnormal"},
    "wide": {"prolonged", "wide", "raised", "abnormal"},
    "slightly prolonged": {"prolonged", "slightly prolonged", "raised", "abnormal"},
    "markedly prolonged": {"prolonged", "markedly prolonged", "raised", "abnormal"},
    "high": {"fast", "raised", "abnormal"},
    "raised": {"fast", "raised", "abnormal"},
    "short": {"short", "narrow", "slow", "abnormal"},
    "fast": {"fast", "raised", "abnormal"},
    "slow": {"slow", "short", "abnormal"},
    "left": {"left", "abnormal"},
    "right": {"right", "abnormal"},
    "extreme": {"extreme", "abnormal"},
    "normal": {"normal", "narrow"},
    "irregular": {"irregular", "abnormal"},
    "regular": {"regular", "normal"},
}
_ABNORMAL = frozenset(
    (
        "abnormal", "abnormality", "abnormalities", "abnormally", "wrong", "problem", "problems", "pathological", "pathology",
        "unusual", "suspicious", "worry", "worried", "worrying", "concern", "concerned", "concerning", "odd", "strange", "weird",
        "off",
    )  # fmt: skip
)
#: How bad rather than whether: neither "yes" nor "no" to normality answers these.
_GRADED = frozenset(("critical", "urgent", "serious", "dangerous", "alarming", "emergency", "attention", "first"))
_YES_OR_NO = re.compile(r"\W*(?:(?:and|but|so|or|please|hi|ok)\W+)*(?:is|are|was|were|does|do|did|has|have|any|no)\b")
_LEAST_SURE = re.compile(r"\b(?:least|lowest|weakest|most (?:un\w+|doubt\w+|question\w+))\b")
_SURENESS = re.compile(
    r"\b(?:least|most|best|lowest|highest|weakest|strongest)\b.*"
    r"\b(?:(?:un)?(?:sure|certain\w*)|confiden\w+|convinc\w+|doubt\w*|questionable)\b"
)
#: Sinus rhythms that have a statement of their own beside plain sinus rhythm.
_SINUS = ("STACH", "SBRAD", "SARRH")
_ISCHAEMIC = frozenset((*GROUPS["myocardial infarction"], *GROUPS["ischaemia"], *GROUPS["subendocardial injury"]))
#: What can be the sign of an ischaemia or an infarction that no pattern of it states.
_SIGNS = (*GROUPS["subendocardial injury"], "STD_", "STE_")
_GROUP_OF = {frozenset(codes): name for name, codes in reversed(GROUPS.items())}


def asked_group(codes: Sequence[str]) -> str | None:
    """The name of the group these codes are, if they are one."""
    return _GROUP_OF.get(frozenset(codes)) if len(codes) > 1 else None


def asked_word(question: Question) -> str | None:
    """The judging word a measurement question asks about ("is the QTc prolonged" -> "prolonged"), if any.

    "How long is the PR interval" asks for the value, not whether it is long.
    """
    if "how" in words(question.text):
        return None
    found = [m.phrase.value for m in find_phrases(question.text, ("judgement",)) if m.phrase.value != "not measurable"]
    if len(set(found)) > 1 and "or" in words(question.text):  # "wide or narrow?" is no yes or no
        return None
    return found[0] if found else None


def agrees(asked: str, word: str) -> bool:
    """Whether the word a measurement got answers "yes" to the word that was asked."""
    return asked in _SAME_JUDGEMENT.get(word, {word})


def turned(question: Question) -> bool:
    """Whether a question asks for absence ("can it be excluded"), so that a bare yes or no would mislead."""
    return bool(question.text) and asks_for_absence(question.text)


def asks_abnormal(question: Question) -> bool | None:
    """For questions about normality: True where abnormality is asked for, None where both are ("normal or abnormal")."""
    said = set(words(question.text))
    if ("normal" in said and "abnormal" in said) or {"or", "not"} <= said or _GRADED & said:
        return None
    return not _ABNORMAL.isdisjoint(said)


def query_codes(question: Question) -> tuple[str, ...]:
    """What a query ranges over: the codes it names, else all statements, without normal ones where abnormality is asked for."""
    return question.codes or (GROUPS["abnormality"] if asks_abnormal(question) else CODES)


def normality(view: View) -> str:
    """Whether the ECG is normal: yes, no, undetermined or not assessed; no where anything abnormal is stated."""
    abnormal = [c for c in view.present if c not in ("NORM", "SR")]
    if abnormal and view.state("NORM") != PRESENT:
        return "no"
    return {PRESENT: "yes", ABSENT: "no", UNDETERMINED: "undetermined", NOT_ASSESSED: "not assessed"}[view.state("NORM")]


def carried(view: View, codes: Sequence[str]) -> str | None:
    """The measurement that says what no statement does: a fast rate where plain "tachycardia" is asked for (in flutter, say),
    a long PR or QTc where the statement of it is absent or open. Denying the statement would deny the measurement."""
    if view.state_of_any(codes) != PRESENT:
        if asked_group(codes) == "tachycardia" and view.words.get("rate_bpm") == "fast":
            return "rate_bpm"
        return said_by_value(view.evidence, codes[0]) if len(codes) == 1 else None
    return None


def asked_values(view: View, question: Question) -> tuple[str, ...]:
    """The measurements that an explanation or a degree of certainty is asked of ("is the QTc prolonged?" - "how sure?").

    Also the one that carries the statement asked for. Empty where the question is about statements.
    """
    if question.intent not in ("explain", "certainty"):
        return ()
    if question.measurements and set(question.codes) <= {"LNGQT", "LPR"}:
        return question.measurements
    name = carried(view, question.codes) if question.codes else None
    return () if name is None else (name,)


def meant(question: Question, view: View) -> Question:
    """The question with the sinus rhythm that is stated, where plain "sinus rhythm" is asked for.

    Sinus tachycardia is a sinus rhythm: without this, sinus rhythm would be denied beside it.
    """
    stated = tuple(code for code in _SINUS if view.state(code) == PRESENT)
    asked = question.intent in ("verify", "choose", "certainty", "explain") and "SR" in question.codes
    if not asked or not stated or view.state("SR") == PRESENT or not set(_SINUS).isdisjoint(question.codes):
        return question
    codes = (code for named in question.codes for code in (stated if named == "SR" else (named,)))
    return replace(question, codes=tuple(codes))


def ranked(view: View, question: Question) -> tuple[str, ...]:
    """What is stated, the surest first, or the least sure where that is asked for; of a question on how sure the reading is
    that names nothing. Empty for any other."""
    named = question.codes or question.measurements
    text = question.text.lower()
    if named or not (question.intent == "certainty" or question.intent == "query" and _SURENESS.search(text)):
        return ()
    least = _LEAST_SURE.search(text) is not None
    return tuple(sorted(view.present, key=lambda code: view.by_code[code].probability * (1 if least else -1)))


def denied(view: View, codes: Sequence[str]) -> bool:
    """Whether these are statements on infarction or ischaemia of which none is stated or open."""
    on_it = not _ISCHAEMIC.isdisjoint(codes) and set(codes) <= _ISCHAEMIC.union(_SIGNS)
    return on_it and view.state_of_any(codes) == ABSENT


def signs_beside(view: View, codes: Sequence[str]) -> tuple[str, ...]:
    """Stated or open statements that can be signs of the infarction or ischaemia that ``codes`` deny."""
    return tuple(c for c in _SIGNS if c not in codes and view.state(c) in (PRESENT, UNDETERMINED)) if denied(view, codes) else ()


def masking_signs(view: View, codes: Sequence[str]) -> tuple[str, ...]:
    """Those beside which ischaemia is neither there nor ruled out."""
    return signs_beside(view, codes) if set(codes) <= set(GROUPS["ischaemia"]) else ()


def yes_or_no(question: Question) -> bool:
    """Whether a question can be answered by yes or no: "is there ...?", as against "which ...?"."""
    return _YES_OR_NO.match(question.text.lower()) is not None


def counted(evidence: Evidence, question: Question) -> bool | None:
    """Whether any was counted, where a yes or no is asked of a count ("are there pauses?"); None else."""
    name = question.measurements[0] if len(question.measurements) == 1 else ""
    if not name.endswith("_n") or not yes_or_no(question):
        return None
    value = evidence.measurements.value(name)
    return None if value is None else value > 0


def case_counts(evidence: Evidence) -> Counter[str]:
    """How many of the similar cases list each statement."""
    return Counter(code for case in evidence.cases for code in case.statements)


def values(evidence: Evidence, question: Question, second: Evidence | None = None) -> list[str]:
    """The bare answer as a list of strings.

    "yes", "no", "undetermined" or "not assessed" for questions that take them ("present" or "absent" where the question is
    turned), "normal" or "abnormal" where both were asked, statement names or "none", measured values, "new: ..." and
    "gone: ..." for a comparison; empty where an answer has no bare form.
    """
    view = View.of(evidence)
    codes = list(question.codes)
    plain = {PRESENT: "yes", ABSENT: "no", UNDETERMINED: "undetermined", NOT_ASSESSED: "not assessed"}
    if question.intent in ("verify", "certainty"):
        state = PRESENT if question.intent == "verify" and carried(view, codes) else view.state_of_any(codes)
        return [] if not codes else [state if turned(question) and state in (PRESENT, ABSENT) else plain[state]]
    if question.intent == "normal":
        bare, abnormal = normality(view), asks_abnormal(question)
        if bare not in ("yes", "no"):
            return [bare]
        if abnormal is None:
            return ["normal" if bare == "yes" else "abnormal"]
        return [{"yes": "no", "no": "yes"}[bare] if abnormal else bare]
    if question.intent in ("choose", "query", "summary", "explain"):
        codes = list(query_codes(question))
        named = [f.code for f in evidence.in_state(PRESENT) if f.code in codes]
        if named or question.intent == "summary":
            return [name_of(c, None) for c in named]
        state = view.state_of_any(codes)
        return ["none" if state == ABSENT and not (question.intent == "query" and yes_or_no(question)) else plain[state]]
    if question.intent == "measurement":
        asked = asked_word(question)
        if (some := counted(evidence, question)) is not None:
            return ["yes" if some else "no"]
        if asked is not None and len(question.measurements) == 1 and question.measurements[0] in MEASUREMENT_NAMES:
            word = view.words.get(question.measurements[0])
            return ["undetermined"] if word is None else ["yes" if agrees(asked, word) else "no"]
        return [evidence.measurements[m].text() for m in question.measurements]
    if question.intent == "quality":
        return ["yes" if evidence.quality.usable else "no"]
    if question.intent == "compare" and second is not None:
        changes = compared_findings(evidence, second)
        return [f"{word}: {name_of(f.code, None)}" for kind, word in ((NEW, "new"), (RESOLVED, "gone"))
                for f in changes if f.change == kind]  # fmt: skip
    return []
