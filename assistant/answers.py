"""Turns evidence and a question into an answer. The first words carry the bare answer: Yes, No, Cannot be judged, ..."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from assistant.bare import (
    agrees,
    asked_group,
    asked_values,
    asked_word,
    asks_abnormal,
    carried,
    case_counts,
    normality,
    query_codes,
    ranked,
    turned,
    values,
    yes_or_no,
)
from assistant.compose import STYLES, impression, uncarried
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence
from assistant.frames import (
    ABSENT_FRAMES,
    ANSWERS,
    CASES_FRAMES,
    UNASSESSED_FRAMES,
    UNDETERMINED_FRAMES,
    URGENT_UNDETERMINED_FRAMES,
    Sentence,
)
from assistant.intents import Question
from assistant.phrasing import (
    CARRIERS,
    View,
    fixed,
    fixed_sentence,
    framed,
    item,
    judged_word,
    measured_sentence,
    measurement_name,
    name_of,
    placeholder,
    sentence,
)
from assistant.serial import compared_findings
from encoders.compare import NEW, RESOLVED, UNCHANGED

__all__ = ["answer", "asked_group", "asked_word", "case_counts", "compare", "values"]


def answer(evidence: Evidence, question: Question, rng: Random | None, second: Evidence | None = None) -> list[Sentence]:
    """The answer as sentences; canonical wording without a generator. ``second``: the later recording of a comparison."""
    view = View.of(evidence)
    if question.intent == "out_of_scope":
        return [fixed_sentence("out of scope", rng)]
    if not evidence.quality.usable and question.intent not in ("define", "unclear"):
        return [Sentence("No. " + fixed("unusable", rng) if question.intent == "quality" else fixed("unusable", rng), ("Q",))]
    if question.intent == "compare":
        return compare(evidence, second, rng)
    if question.intent == "summary":
        return impression(evidence, rng, "prose" if rng is None else rng.choice(STYLES))
    if about := asked_values(view, question):
        return [measured_sentence(view, name, rng) for name in about]
    if ranked(view, question):
        return _certainty(view, question, rng)
    writer = {
        "verify": _verify,
        "choose": _choose,
        "query": _query,
        "measurement": _measurement,
        "normal": _normal,
        "explain": _explain,
        "cases": _cases,
        "quality": _quality,
        "certainty": _certainty,
        "define": _define,
    }.get(question.intent)
    return [fixed_sentence("unclear", rng)] if writer is None else writer(view, question, rng)


#: So many statements that are asked for are named where none of them is there; more are "abnormality".
_NAMED = 4


def _pick(key: str, rng: Random | None) -> str:
    """One of the frames of an answer; the first without a generator."""
    return ANSWERS[key][0] if rng is None else rng.choice(ANSWERS[key])


def _ids(codes: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"F:{c}" for c in codes)


def _names(codes: Sequence[str], rng: Random | None) -> list[str]:
    return [name_of(c, rng) for c in codes]


def _verify(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    codes = question.codes
    if not codes:
        return [Sentence(_pick("not known", rng))]
    group = asked_group(codes)
    state = view.state_of_any(codes)
    name = carried(view, codes)
    if name is not None:
        return [_judged("present" if turned(question) else "Yes", name, view.words[name], rng)]
    if len(codes) > 1 and group is None:
        return _verify_each(view, codes, "" if turned(question) else state, rng)
    if state == PRESENT:
        present = [c for c in codes if view.state(c) == PRESENT][:6]
        frame = _pick("present" if turned(question) else "yes", rng)
        items = [item(view, c, rng) for c in sorted(present, key=view.doubtful)]
        return [_led(framed(frame, items, _ids(present), None)), *_support(view, present, rng)]
    shown = group or name_of(codes[0], rng)
    if state == ABSENT:
        frame = _pick("absent" if turned(question) else "no", rng)
        return [framed(frame, [shown], _ids(codes), rng), *(_support(view, codes, rng) if group is None else ())]
    if state == UNDETERMINED:
        opened = [c for c in codes if view.state(c) == UNDETERMINED]
        names = [group] if group and len(opened) > 3 else _names(opened, rng)
        return [framed(_pick("undetermined", rng), names, _ids(opened), rng)]
    return [framed(_pick("not assessed", rng), [shown], _ids(codes), rng)]


def _led(made: Sentence) -> Sentence:
    """Behind "Yes." a new sentence starts."""
    head, mark, rest = made.text.partition("Yes. ")
    return Sentence(f"Yes. {rest[0].upper()}{rest[1:]}", made.claims) if mark and not head else made


def _verify_each(view: View, codes: Sequence[str], led_by: str, rng: Random | None) -> list[Sentence]:
    """Several single statements in one question: the bare answer for any of them, then each by its state."""
    states = (PRESENT, UNDETERMINED, ABSENT, NOT_ASSESSED)
    frames = dict(zip(states, ANSWERS["each"], strict=True))
    leads = dict(zip(states, ("Yes: ", "Cannot be judged: ", "No: ", "Not assessed: "), strict=True))
    made: list[Sentence] = []
    for state in sorted(states, key=lambda s: s != led_by):
        named = sorted((c for c in codes if view.state(c) == state), key=view.doubtful)
        if named:
            names = [item(view, c, rng) for c in named] if state == PRESENT else _names(named, rng)
            made.append(framed(f"{leads[state] if state == led_by else ''}{frames[state]}.", names, _ids(named), None))
    return made


def _support(view: View, codes: Sequence[str], rng: Random | None) -> list[Sentence]:
    """The measurement and the case count that belong to an answer; the former always for the renderer, both at times else."""
    said: list[Sentence] = []
    for name in list(dict.fromkeys(CARRIERS[c] for c in codes if c in CARRIERS))[:1]:
        if view.evidence.measurements.value(name) is not None and (rng is None or rng.random() < 0.5):
            said.append(measured_sentence(view, name, rng))
    if len(codes) == 1 and view.evidence.cases and rng is not None and rng.random() < 0.3:
        said.append(_case_sentence(view, codes[0], rng))
    return said


def _choose(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    present, opened, absent, skipped = (
        [c for c in question.codes if view.state(c) == s] for s in (PRESENT, UNDETERMINED, ABSENT, NOT_ASSESSED)
    )
    made: list[Sentence] = []
    if present:
        key = {1: "one", 2: "both"}.get(len(present), "several")
        items = [item(view, c, rng) for c in sorted(present, key=view.doubtful)]
        made.append(framed(_pick(key, rng), items, _ids(present), None))
    elif opened:
        made.append(framed(ANSWERS["undetermined"][0], _names(opened, rng), _ids(opened), None))
        opened = []
    elif absent:
        frame = _pick("neither" if len(absent) == 2 and not skipped else "none of them", rng)
        made.append(framed(frame, _names(absent, rng), _ids(absent), None, "or" if " no " in frame else "and"))
        absent = []
    for codes, frame in ((opened, UNDETERMINED_FRAMES[1]), (absent, ABSENT_FRAMES[4]), (skipped, UNASSESSED_FRAMES[0])):
        if codes and (rng is None or rng.random() < 0.6 or not made):
            made.append(framed(frame, _names(codes, rng), _ids(codes), None))
    return made


def _query(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    codes = query_codes(question)
    present, opened = (
        [f.code for f in view.evidence.in_state(s) if f.code in codes and f.code != "NORM"] for s in (PRESENT, UNDETERMINED)
    )
    by_value = list(dict.fromkeys(name for c in opened if (name := carried(view, [c])) is not None))
    opened = [c for c in opened if carried(view, [c]) is None]
    made: list[Sentence] = []
    if present:
        items = [item(view, c, rng) for c in sorted(present, key=view.doubtful)]
        frame = ANSWERS["stated"][0] if rng is None or rng.random() < 0.5 else _pick("stated", rng)
        made.append(framed(frame, items, _ids(present), rng))
    if "NORM" in codes and view.state("NORM") == PRESENT:
        beside = any(c not in ("NORM", "SR") for c in view.present) or bool(view.evidence.pressing()) or not view.rhythm_stated
        key = "otherwise normal" if beside else "probably normal" if view.doubtful("NORM") else "normal"
        made.append(fixed_sentence(key, rng, ("F:NORM",)))
    if not made and not opened:
        group = asked_group(question.codes)
        shown = [group] if group else _names(question.codes, rng) if 0 < len(question.codes) <= _NAMED else ["abnormality"]
        if view.state_of_any(codes) == NOT_ASSESSED:
            return [framed(ANSWERS["not assessed"][1], shown, () if group or len(shown) > 1 else _ids(question.codes), None)]
        name = carried(view, codes)
        if name is not None or by_value:
            return [measured_sentence(view, one, rng) for one in ([name] if name is not None else by_value)]
        absent = [c for c in codes if view.state(c) == ABSENT]
        key = "no" if yes_or_no(question) else "none"
        return [framed(_pick(key, rng), shown, _ids(absent) if len(absent) <= 15 else (), None, "or")]
    if opened and (rng is None or not made or rng.random() < 0.6):
        shown = opened[:4]
        if made:
            frame = UNDETERMINED_FRAMES[0] if rng is None else rng.choice(UNDETERMINED_FRAMES)
        else:
            frame = ANSWERS["undetermined"][0] if rng is None else rng.choice(ANSWERS["undetermined"][:3])
        made.append(framed(frame, _names(shown, rng), _ids(shown), rng))
    return made


def _judged(lead: str, name: str, word: str, rng: Random | None) -> Sentence:
    """A measurement with its judgement behind "Yes" or "No", or without either (lead "present")."""
    frame = _pick("judged", rng)
    frame = frame.removeprefix("{l}").lstrip(",: ") if lead == "present" else frame.replace("{l}", lead)
    text = (
        frame.replace("{m}", measurement_name(name, rng)).replace("{w}", judged_word(word, rng)).replace("{v}", placeholder(name))
    )
    return sentence(text, (f"M:{name}",))


def _measurement(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    asked = asked_word(question)
    made: list[Sentence] = []
    for name in question.measurements:
        word = view.words.get(name)
        claims = (f"M:{name}",)
        if view.evidence.measurements.value(name) is None:
            made.append(Sentence(_pick("no value", rng).replace("{m}", measurement_name(name, rng)), claims))
        elif asked is None or len(question.measurements) > 1:
            made.append(measured_sentence(view, name, rng, judged=rng is None or rng.random() < 0.6))
        elif word is None:
            text = _pick("value without limit", rng).replace("{m}", measurement_name(name, rng)).replace("{v}", placeholder(name))
            made += [Sentence(text, claims), fixed_sentence("no limit", rng)]
        else:
            made.append(_judged("Yes" if agrees(asked, word) else "No", name, word, rng))
    return made or [fixed_sentence("unclear", rng)]


def _normal(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    bare, abnormal = normality(view), asks_abnormal(question)
    claims = ("F:NORM",)
    ordered = [f.code for f in view.evidence.in_state(PRESENT) if f.code not in ("NORM", "SR")][:5]
    ordered.sort(key=view.doubtful)
    items = [item(view, c, rng) for c in ordered]
    lead = {None: "", False: "Yes, " if bare == "yes" else "No, ", True: "No, " if bare == "yes" else "Yes, "}[abnormal]
    if bare == "yes":
        pressing = [f.code for f in view.evidence.pressing()][:3]
        measured = uncarried(view.evidence)
        if measured and abnormal:  # "no" would deny what was measured
            lead = ""
        beside = ordered or pressing or not view.rhythm_stated or measured
        adverb = "otherwise " if beside else "probably " if view.doubtful("NORM") else ""
        made = [sentence(_pick("normal", rng).replace("{l}", lead).replace("{a}", adverb), claims)]
        if ordered:
            made.append(framed(ANSWERS["present"][0], items, _ids(ordered), None))
        if pressing:  # what cannot be excluded goes first, so that "otherwise" has something to refer to
            frame = URGENT_UNDETERMINED_FRAMES[0]
            return [framed(frame, _names(pressing, rng), _ids(pressing), rng), *made] if not lead else [
                *made, framed(frame, _names(pressing, rng), _ids(pressing), rng)
            ]  # fmt: skip
        return made if ordered or view.rhythm_stated else [*made, fixed_sentence("no rhythm", rng)]
    if bare == "no":
        first = sentence(_pick("not normal", rng).replace("{l}", lead), claims)
        if not ordered:
            return [first]
        if rng is not None and rng.random() < 0.4:
            return [framed(f"{lead.replace(', ', ': ')}{{x}}.", items, (*claims, *_ids(ordered)), rng)]
        return [first, framed("{x}." if rng is None or rng.random() < 0.5 else ANSWERS["present"][0], items, _ids(ordered), rng)]
    if bare == "undetermined":
        return [Sentence(_pick("normal undetermined", rng), claims)]
    return [framed(ANSWERS["not assessed"][1], [name_of("NORM", None)], claims, None)]


def _explain(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    """State, measurement, cases and criteria of one statement: the first asked one that is present, else the first."""
    codes = question.codes or view.present[:1]
    if not codes:
        return [fixed_sentence("nothing stated", rng)]
    code = next((c for c in codes if view.state(c) == PRESENT), codes[0])
    state = view.state(code)
    key = {PRESENT: "present", ABSENT: "absent"}.get(state, state)
    name = item(view, code, rng) if state == PRESENT else name_of(code, rng)
    made = [framed(_pick(key, rng), [name], _ids([code]), None)]
    if code in CARRIERS and view.evidence.measurements.value(CARRIERS[code]) is not None:
        made.append(measured_sentence(view, CARRIERS[code], rng))
    if view.evidence.cases and (rng is None or rng.random() < 0.7):
        made.append(_case_sentence(view, code, rng))
    if rng is None or rng.random() < 0.7:
        made.append(Sentence("Criteria: [criteria].", _ids([code])))
    return made


def _case_sentence(view: View, code: str, rng: Random | None) -> Sentence:
    frame = CASES_FRAMES[0] if rng is None else rng.choice(CASES_FRAMES)
    claims = (f"F:{code}", *(f"C:{c.case_id}" for c in view.evidence.cases if code in c.statements))
    return framed(frame, [name_of(code, rng)], claims, None)


def _cases(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    if not view.evidence.cases:
        return [fixed_sentence("no cases", rng)]
    codes = list(question.codes[:2]) if question.codes else [c for c, _ in case_counts(view.evidence).most_common(2)]
    return [_case_sentence(view, c, rng) for c in codes] or [fixed_sentence("nothing stated", rng)]


def _quality(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    limited = view.evidence.quality.verdict == "limited"
    text = fixed("limited" if limited else "usable", rng)
    made = [Sentence(f"Yes, {'with limits: ' if limited else ''}{text[0].lower()}{text[1:]}", ("Q",))]
    if limited and view.evidence.quality.reasons:
        made.append(fixed_sentence("reasons", rng, ("Q",)))
    return made


def _certainty(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    made: list[Sentence] = []
    tails = {PRESENT: "{be} present", ABSENT: "{be} absent", UNDETERMINED: "{be} undetermined"}
    # Of a group of many ("the rhythm") what is stated comes first, then what is open.
    order = (PRESENT, UNDETERMINED)
    asked = sorted(question.codes, key=lambda c: order.index(view.state(c)) if view.state(c) in order else len(order))
    for code in asked[:3] or ranked(view, question)[:2]:
        state = view.state(code)
        name = carried(view, [code])
        if name is not None:
            made.append(measured_sentence(view, name, rng))
            continue
        frame = ANSWERS["not assessed"][0] if state == NOT_ASSESSED else _pick("certainty", rng).replace("{s}", tails[state])
        made.append(framed(frame, [name_of(code, rng)], _ids([code]), None))
    return made or [fixed_sentence("nothing stated", rng)]


def _define(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    if not question.codes:
        return [fixed_sentence("unclear", rng)]
    code = question.codes[0]
    made = [sentence(f"{name_of(code, rng)}: [criteria].", _ids([code]))]
    if rng is None or rng.random() < 0.5:
        made.append(fixed_sentence("citation", rng, _ids([code])))
    return made


def compare(first: Evidence, second: Evidence | None, rng: Random | None) -> list[Sentence]:
    """What changed from the first recording to the second, by stated findings; only sure comparisons are called changes.

    A finding is new where it is present in the second and absent in the first, gone where present in the first and absent in
    the second. Where one of the two could not judge it, the change cannot be judged.
    """
    if second is None:
        return [fixed_sentence("no earlier", rng)]
    one, two = View.of(first), View.of(second)
    changes = compared_findings(first, second)
    listed = {
        "new": [f.code for f in changes if f.change == NEW],
        "gone": [f.code for f in changes if f.change == RESOLVED],
        "open": [f.code for f in changes if UNDETERMINED in (f.before, f.after)],
        "kept": [f.code for f in changes if f.change == UNCHANGED],
    }
    made: list[Sentence] = []
    if set(one.present) == set(two.present):
        made.append(fixed_sentence("no change", rng))
    for key, codes in listed.items():
        if "NORM" in codes and len(codes) > 1:
            codes = [c for c in codes if c != "NORM"]  # what else changed says more
        if codes and (key != "kept" or not made or rng is None or rng.random() < 0.6):
            made.append(framed(_pick(key, rng), _names(codes, rng), _ids(codes), None))
    return made or [fixed_sentence("nothing stated", rng)]
