"""What is told behind an answer: what hides a finding, what was measured beside it, what is open, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.answer import LEAST_RELIABLE, asked_codes, value_line
from assistant.bare import asked_group, asked_values, denied, masking_signs, normality, ranked, signs_beside, turned
from assistant.compose import uncarried
from assistant.decide import capital, critical_by_rule
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence
from assistant.filling import fill
from assistant.frames import ANSWERS
from assistant.intents import Question
from assistant.lexicon import GROUPS, find_phrases
from assistant.phrasing import (
    CARRIERS,
    View,
    framed,
    item,
    joined,
    measured_sentence,
    measurement_name,
    name_of,
    titled,
)
from assistant.report import Line
from assistant.scope import INTENDED_USE
from assistant.serial import compare_evidence
from encoders.compare import ValueChange
from encoders.measurements import MEASUREMENT_NAMES, Measurement
from encoders.quality import PLACEMENT_FLAGS
from encoders.vocabulary import codes_in, statement

__all__ = [
    "abnormal_lines", "basis_lines", "beat_lines", "carrier_lines", "change_lines", "denial_lines", "likely_lines",
    "masked_lines", "measure_line", "range_lines", "sign_lines", "st_lines", "unassessed", "urgent_lines", "why_open",
]  # fmt: skip

_INFARCTION = frozenset(codes_in("MI"))
_ST_LEADS = 10  # measured leads from which "no two contiguous ones" may be said
_ST = "st_j_mv_"
_WHETHER = re.compile(r"\W*(?:(?:and|but|so|or|please|hi|ok)\W+)*(?:is|are|was|were|does|do|did|has|have|any)\b")
_MORE = re.compile(r"\b(?:higher|faster|longer|wider|widened|lengthened|prolonged|increased?|risen|rose|quicker|larger|up)\b")
_LESS = re.compile(r"\b(?:lower|slower|shorter|shortened|narrower|narrowed|decreased?|fallen|fell|dropped|smaller|down)\b")
_SAME = re.compile(r"\b(?:same|unchanged|stable|identical|constant)\b")
_CHANGED = re.compile(r"\b(?:chang\w*|differ\w*|moved|shift\w*|real|significant\w*)\b")
_HIDING = ("CLBBB", "PACE", "WPW")


def masked_lines(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """That a stated conduction hides infarction, behind an answer that states none; empty where it does not.

    Left bundle branch block, ventricular pacing and pre-excitation change the initial QRS, so that the patterns of infarction
    cannot be relied on (Thygesen et al. 2018, Fourth Universal Definition, on conduction disturbances and pacing; recalled
    without the text at hand).
    """
    asked = question.intent in ("verify", "choose", "explain", "certainty") and _INFARCTION.intersection(question.codes)
    hiding = [f for f in evidence.in_state(PRESENT) if f.code in _HIDING]
    if not asked or not hiding or any(f.code in _INFARCTION for f in evidence.in_state(PRESENT)):
        return ()
    name = statement(hiding[0].code).name
    return (Line(f"{capital(name)} hides infarction, so that its absence says little here.", (hiding[0].id,)),)


def st_lines(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """What the measured ST levels say where ST elevation is asked for and the statement of it is neither present nor absent.

    Only where every measured lead lies below its limit (``encoders.criteria``, Fourth Universal Definition); what meets one is
    told as critical anyway. Empty otherwise.
    """
    from encoders.criteria import judge

    asked = "STE_" in question.codes and question.intent in ("verify", "certainty", "explain")
    state = next((f.state for f in evidence.findings if f.code == "STE_"), PRESENT)
    if not asked or state not in (UNDETERMINED, NOT_ASSESSED) or not evidence.quality.usable:
        return ()
    if not PLACEMENT_FLAGS.isdisjoint(evidence.quality.flags):
        return (Line("Electrodes seem to be exchanged, so the ST levels of single leads say little.", ("Q",)),)
    levels = {m.name: m for m in evidence.measurements.items if m.name.startswith("st_j_mv_") and m.value is not None}
    found = judge(evidence.measurements, age_years=evidence.age_years, sex=evidence.sex)
    if len(levels) < _ST_LEADS or any(j.criterion_id.startswith(("st_elevation", "secondary_st")) for j in found):
        return ()
    levels.pop("st_j_mv_aVR", None)  # no limit holds for aVR
    levels = {name: m for name, m in levels.items() if not _gone_after_j(evidence, m)}
    if not levels:
        return ()
    top = max(levels.values(), key=lambda m: m.value or 0.0)
    text = (
        f"By measurement no two contiguous leads meet the limits of ST elevation; the J point lies highest in "
        f"{top.name.removeprefix('st_j_mv_')}, at {top.text()}. That does not rule out an acute infarction."
    )
    return (Line(text, (f"M:{top.name}",)),)


def _gone_after_j(evidence: Evidence, level: Measurement) -> bool:
    """Whether an elevation at J is gone 60 ms later: then J was set on the QRS, and the rules do not count it either."""
    from encoders.criteria import criterion

    lead = level.name.removeprefix(_ST)
    limit = criterion("st_elevation_v23_f" if lead in ("V2", "V3") else "st_elevation").low or 0.0
    later = evidence.measurements.lead(lead).st_j60_mv
    return later is not None and (level.value or 0.0) >= limit > later


def denial_lines(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """The answer where infarction or ischaemia is asked for and no pattern of it is stated; empty where one is, or is open.

    Never a bare "no": the statements tell patterns, and an acute infarction is not ruled out by their absence (DESIGN, rule 8).
    """
    view, codes = View.of(evidence), question.codes
    if question.intent not in ("verify", "choose", "query") or not denied(view, codes) or not evidence.quality.usable:
        return ()
    absent = [c for c in codes if view.state(c) == ABSENT]
    lead = "Cannot be judged: no" if masking_signs(view, codes) else "No"
    text = f"{lead} pattern of {joined(_called(absent), None, 'or')} is stated."
    return (Line(text, tuple(f"F:{c}" for c in absent)),)


def sign_lines(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """Behind an answer that denies infarction or ischaemia: what is stated or open beside it that can be the sign of either, and
    that an acute infarction is not ruled out. Empty for any other."""
    view = View.of(evidence)
    asked = question.intent in ("verify", "choose", "query", "explain", "certainty")
    if not asked or not denied(view, question.codes) or not evidence.quality.usable:
        return ()
    lines = []
    for state, frame in ((PRESENT, "{x} {be} present"), (UNDETERMINED, "{x} cannot be excluded")):
        found = [c for c in signs_beside(view, question.codes) if view.state(c) == state]
        if found:
            made = framed(f"{frame} and can come from ischaemia or infarction.", _called(found), (), None)
            lines.append(Line(made.text, tuple(f"F:{c}" for c in found)))
    return tuple(lines) if INTENDED_USE in question.reason else (*lines, Line(INTENDED_USE))


def _called(codes: Sequence[str]) -> list[str]:
    """Names of statements on ischaemia and infarction, a whole family by its own name."""
    families = [GROUPS[name] for name in ("myocardial infarction", "ischaemia", "subendocardial injury")]
    parts = [[c for c in codes if c in family] for family in families]
    parts.append([c for c in codes if not any(c in family for family in families)])
    names: list[str] = []
    for part in parts:
        group = asked_group(part)
        names += [group] if group else [name_of(c, None) for c in part]
    return names


def measure_line(evidence: Evidence, name: str) -> Line:
    """One measured value with its judgement, where a limit applies: "QRS duration 127 ms, wide."."""
    if name not in MEASUREMENT_NAMES or evidence.measurements.value(name) is None:
        return value_line(evidence, name)
    made = measured_sentence(View.of(evidence), name, None)
    return Line(fill(made.text, evidence), made.claims)


def basis_lines(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """Value, limit with its source and reliability of a measurement, where it is asked why or how sure; empty otherwise."""
    from encoders.criteria import criterion, judge

    judged = {j.measurement: j for j in judge(evidence.measurements, evidence.age_years, evidence.sex)}
    lines: list[Line] = []
    for name in asked_values(View.of(evidence), question):
        found, ids = evidence.measurements[name], (f"M:{name}",)
        lines.append(measure_line(evidence, name))
        if found.value is None:
            continue
        rule = judged.get(name)
        if rule is None:
            lines.append(Line("No limit was applied to it.", ids))
        else:
            text = rule.text if rule.word == "withheld" else criterion(rule.criterion_id).text
            lines.append(Line(f"{capital(text)} ({rule.citation})", ids))
        beats = f" on {found.beats} beats" if found.beats else ""
        leads = f" in {', '.join(found.leads) if len(found.leads) < _ST_LEADS else 'all leads'}" if found.leads else ""
        doubt = "; too uncertain to be relied on" if found.reliability < LEAST_RELIABLE else ""
        note = f" {capital(found.note)}." if found.note else ""
        lines.append(Line(f"Measured{beats}{leads}, with a reliability of {found.reliability:.2f} of 1{doubt}.{note}", ids))
    return tuple(lines)


def carrier_lines(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """The measurement behind statements that cannot be judged: the PR interval where AV block is open. Empty where several or
    none stand behind them."""
    view = View.of(evidence)
    if question.intent not in ("verify", "choose", "query") or view.state_of_any(question.codes) != UNDETERMINED:
        return ()
    names = {CARRIERS[code] for code in question.codes if code in CARRIERS}
    known = [name for name in names if evidence.measurements.value(name) is not None]
    return (measure_line(evidence, known[0]),) if len(names) == 1 and known and evidence.quality.usable else ()


def abnormal_lines(question: Question, evidence: Evidence, said: Sequence[Line]) -> tuple[Line, ...]:
    """What is abnormal, behind an answer that the ECG is not normal or on all that is abnormal, where ``said`` leaves it out:
    stated findings by name, and measurements beyond their limits."""
    whole = question.intent == "query" and not question.codes and not ranked(View.of(evidence), question)
    if question.intent != "normal" and not whole or not evidence.quality.usable:
        return ()
    view = View.of(evidence)
    named = {code for line in said for m in find_phrases(line.text, ("statement", "group")) for code in m.phrase.codes}
    missing = [f.code for f in evidence.in_state(PRESENT) if f.code not in (*named, "NORM", "SR")]
    lines = []
    if missing and (whole or normality(view) == "no"):
        names = [item(view, code, None) for code in sorted(missing, key=view.doubtful)]
        made = framed(ANSWERS["present"][0], names, tuple(f"F:{code}" for code in missing), None)
        lines.append(Line(made.text, made.claims))
    told = {i for line in said for i in line.evidence}
    beyond = (one for one in uncarried(evidence) if not told.issuperset(one.claims))
    return (*lines, *(Line(fill(one.text, evidence), one.claims) for one in beyond))


def range_lines(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """The normal range of a measurement, with its source and this recording's value: "what is a normal PR?"."""
    from encoders.criteria_table import CRITERIA

    if question.intent != "define" or question.codes or not question.measurements:
        return ()
    lines: list[Line] = []
    for name in dict.fromkeys("qtc_ms" if name == "qt_ms" else name for name in question.measurements):
        ranges = [rule for rule in CRITERIA if rule.measurement == name and rule.word == "normal"]
        lines += [Line(f"{rule.text} ({rule.citation})", (f"M:{name}",)) for rule in ranges]
        if not ranges:
            lines.append(Line(f"{titled(name)}: no normal range is given by the standards used here.", (f"M:{name}",)))
        lines.append(value_line(evidence, name))
    return tuple(lines)


def beat_lines(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """Premature beats that were measured, behind an answer on the statements of them."""
    wanted = {"PVC": "premature_ventricular_n", "PAC": "premature_atrial_n"}
    if question.intent not in ("verify", "query", "explain", "certainty") or not set(question.codes) & wanted.keys():
        return ()
    if not evidence.quality.usable or not set(question.codes) <= set(GROUPS["premature beats"]):
        return ()
    names = [name for code, name in wanted.items() if code in question.codes and name not in question.beside]
    return tuple(value_line(evidence, name) for name in names if evidence.measurements.value(name))


def change_lines(first: Evidence, second: Evidence, question: Question | None = None) -> tuple[Line, ...]:
    """What measured values did from the first recording to the second, against the noise of a repetition
    (``encoders.compare.CHANGE_LIMITS``): those that went beyond it, or each that ``question`` names, led by "yes" or "no"
    where it asks whether one changed. Empty where a recording is unusable."""
    if not (first.quality.usable and second.quality.usable):
        return ()
    values = compare_evidence(first, second).values
    if question is not None and question.measurements:
        asked = [value for value in values if value.name in question.measurements and value.difference is not None]
        lead = _changed_as_asked(question.text, asked[0]) if len(asked) == 1 else ""
        named = measurement_name if lead else titled
        return tuple(Line(f"{lead}{named(value.name)} {_step(value)}.", (f"M:{value.name}",)) for value in asked)
    changed = [value for value in values if value.changed]
    lines = [
        Line(f"{titled(v.name)} {v.before} before, {v.after} now: {_step(v).removeprefix('is ')}.", (f"M:{v.name}",))
        for v in changed if not v.name.startswith(_ST)
    ]  # fmt: skip
    levels = [value for value in changed if value.name.startswith(_ST)]
    if levels:
        leads = " and ".join(", ".join(v.name.removeprefix(_ST) for v in levels).rsplit(", ", 1))
        most = max(levels, key=lambda v: abs(v.difference or 0.0))
        where = most.name.removeprefix(_ST)
        lines.append(Line(
            f"ST level at J changed in {leads}, most in {where} ({most.before} before, {most.after} now): more than in repeated"
            " recordings.", tuple(f"M:{v.name}" for v in levels),
        ))  # fmt: skip
    told = tuple(f"M:{value.name}" for value in values if value.change == "within noise" and not value.name.startswith(_ST))
    if told and not lines:
        return (Line("No measured value changed by more than a repeated recording would.", told),)
    return tuple(lines)


def _step(value: ValueChange) -> str:
    """How far a value went, and whether repeated recordings differ as much."""
    unit = value.unit if value.unit in ("°", "/min") else f" {value.unit}"
    places = 0 if value.unit in ("ms", "°", "/min") else 2
    step, limit = f"{abs(value.difference or 0.0):.{places}f}{unit}", f"{value.limit:.{places}f}{unit}"
    if not value.changed and value.change != "within noise":
        return "is too uncertain to be compared"
    way = "higher" if (value.difference or 0.0) > 0 else "lower"
    moved = f"turned by {step}" if value.name.endswith("_deg") else f"is {step} {way}" if value.difference else "is the same"
    beyond = f"more than the {limit}" if value.changed else f"within the {limit}"
    return f"{moved}, {beyond} by which repeated recordings differ"


def _changed_as_asked(text: str, value: ValueChange) -> str:
    """ "Yes: ", "No: " or nothing, by what a question asks of a change; within the noise of a repetition nothing changed."""
    asked = text.lower()
    if not _WHETHER.match(asked) or not value.changed and value.change != "within noise":
        return ""
    if _MORE.search(asked) or _LESS.search(asked):
        wanted = "higher" if _MORE.search(asked) else "lower"
        return "Yes: " if value.change == wanted else "No: "
    if _SAME.search(asked):
        return "No: " if value.changed else "Yes: "
    return ("Yes: " if value.changed else "No: ") if _CHANGED.search(asked) else ""


def likely_lines(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """Abnormal findings that are likelier than not but not certain enough to be stated, where normality is asked for."""
    likely = [f for f in evidence.in_state(UNDETERMINED) if f.probability >= 0.5 and f.code not in ("NORM", "SR")]
    if question.intent != "normal" or not likely:
        return ()
    named = ", ".join(statement(f.code).name for f in sorted(likely, key=lambda f: -f.probability)[:4])
    return (Line(f"Likelier than not, but not certain enough to be stated: {named}.", tuple(f.id for f in likely[:4])),)


def unassessed(question: Question, evidence: Evidence) -> Line | None:
    """What a "no" about a family of statements leaves out: its members that were not assessed, in one sentence."""
    codes = asked_codes(question)
    family = question.intent in ("verify", "query", "choose") and len(codes) > 1
    left = [f for f in evidence.in_state(NOT_ASSESSED) if f.code in codes]
    if not family or not left or any(f.code in codes for f in evidence.in_state(PRESENT)):
        return None
    names = ", ".join(statement(f.code).name for f in left[:6]) + (f" and {len(left) - 6} more" if len(left) > 6 else "")
    return Line(f"Not assessed: {names}.", tuple(f.id for f in left))


def urgent_lines(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """Where anything urgent is asked for and none is stated: whether a measurement is critical, and which findings cannot be
    excluded, the likeliest first."""
    if question.intent not in ("verify", "query") or asked_group(question.codes) != "urgent finding":
        return ()
    measured = tuple(i for one in critical_by_rule(evidence) if one.state == PRESENT for i in one.evidence)
    opened = [f for f in evidence.in_state(UNDETERMINED) if f.code in question.codes]
    if not opened and not measured or any(f.code in question.codes for f in evidence.in_state(PRESENT)):
        return ()
    lead = "Yes: a" if question.intent == "verify" and not turned(question) else "A"
    lines = [Line(f"{lead} measurement is critical.", measured)] if measured else []
    if not opened:
        return tuple(lines)
    pressing = [f for f in evidence.pressing() if f.code in question.codes]
    shown = sorted(pressing or opened, key=lambda f: -f.probability)[:3]
    more = " and others" if len(pressing or opened) > len(shown) else ""
    names = ", ".join(statement(f.code).name for f in shown)
    start = "Besides, these" if measured else "No urgent finding is stated, but these"
    return (*lines, Line(f"{start} cannot be excluded: {names}{more}.", tuple(f.id for f in shown)))


def why_open(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """Why up to three findings that an explanation is asked for are not stated: "why?" after "left bundle branch block?"."""
    if question.intent != "explain" or asked_values(View.of(evidence), question):
        return ()
    if not question.codes or any(f.code in question.codes for f in evidence.in_state(PRESENT)):
        return ()
    found = [f for f in evidence.findings if f.code in question.codes and f.reason][:3]
    return tuple(Line(f"{capital(statement(f.code).name)}: {f.reason}.", (f.id,)) for f in found)
