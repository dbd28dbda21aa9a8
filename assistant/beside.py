"""What is told behind an answer: what hides a finding, what was measured beside it, what is open, and why."""

from __future__ import annotations

import re

from assistant.answer import asked_codes, value_line
from assistant.bare import asked_group
from assistant.decide import capital
from assistant.evidence import NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence
from assistant.intents import Question
from assistant.lexicon import GROUPS
from assistant.phrasing import measurement_name, titled
from assistant.report import Line
from assistant.serial import compare_evidence
from encoders.compare import ValueChange
from encoders.quality import PLACEMENT_FLAGS
from encoders.vocabulary import codes_in, statement

__all__ = [
    "beat_lines", "change_lines", "likely_lines", "masked_lines", "range_lines", "st_lines", "unassessed", "urgent_lines",
    "why_open",
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
    top = max(levels.values(), key=lambda m: m.value or 0.0)
    text = (
        f"By measurement no two contiguous leads meet the limits of ST elevation; the J point lies highest in "
        f"{top.name.removeprefix('st_j_mv_')}, at {top.text()}. That does not rule out an acute infarction."
    )
    return (Line(text, (f"M:{top.name}",)),)


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
    """Where anything urgent is asked for, none is stated and some cannot be excluded: which, the likeliest first."""
    if question.intent not in ("verify", "query") or asked_group(question.codes) != "urgent finding":
        return ()
    opened = [f for f in evidence.in_state(UNDETERMINED) if f.code in question.codes]
    if not opened or any(f.code in question.codes for f in evidence.in_state(PRESENT)):
        return ()
    pressing = [f for f in evidence.pressing() if f.code in question.codes]
    shown = sorted(pressing or opened, key=lambda f: -f.probability)[:3]
    more = " and others" if len(pressing or opened) > len(shown) else ""
    names = ", ".join(statement(f.code).name for f in shown)
    return (Line(f"No urgent finding is stated, but these cannot be excluded: {names}{more}.", tuple(f.id for f in shown)),)


def why_open(question: Question, evidence: Evidence) -> tuple[Line, ...]:
    """Why up to three findings that an explanation is asked for are not stated: "why?" after "left bundle branch block?"."""
    if question.intent != "explain" or not question.codes or any(f.code in question.codes for f in evidence.in_state(PRESENT)):
        return ()
    found = [f for f in evidence.findings if f.code in question.codes and f.reason][:3]
    return tuple(Line(f"{capital(statement(f.code).name)}: {f.reason}.", (f.id,)) for f in found)
