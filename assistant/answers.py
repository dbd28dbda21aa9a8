"""Turns evidence and a question into an answer. The first words carry the bare answer: Yes, No, Cannot be judged, ..."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from assistant.compose import STYLES, impression
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence
from assistant.frames import (
    ABSENT_FRAMES,
    CASES_FRAMES,
    UNASSESSED_FRAMES,
    UNDETERMINED_FRAMES,
    VALUE_FRAMES,
    Sentence,
)
from assistant.intents import Question
from assistant.lexicon import GROUPS, find_phrases
from assistant.phrasing import (
    CARRIERS,
    View,
    fixed,
    fixed_sentence,
    framed,
    item,
    joined,
    judged_word,
    measured_sentence,
    measurement_name,
    name_of,
    placeholder,
    sentence,
)

__all__ = ["answer", "asked_group", "asked_word", "case_counts", "compare", "values"]

#: Judging words that a person may use for one another.
_SAME_JUDGEMENT = {
    "prolonged": {"prolonged", "wide", "raised", "abnormal"},
    "wide": {"prolonged", "wide", "raised", "abnormal"},
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


def answer(evidence: Evidence, question: Question, rng: Random | None, second: Evidence | None = None) -> list[Sentence]:
    """The answer as sentences; canonical wording without a generator. ``second``: the later recording of a comparison."""
    view = View.of(evidence)
    if question.intent == "out_of_scope":
        return [fixed_sentence("out of scope", rng)]
    if not evidence.quality.usable and question.intent not in ("define", "unclear"):
        return [Sentence("No. " + fixed("unusable", rng) if question.intent == "quality" else fixed("unusable", rng), ("Q",))]
    if question.intent == "compare":
        return compare(evidence, second, rng) if second is not None else [fixed_sentence("no earlier", rng)]
    if question.intent == "summary":
        return impression(evidence, rng, "prose" if rng is None else rng.choice(STYLES))
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


def asked_group(codes: Sequence[str]) -> str | None:
    """The name of the group these codes are, if they are one."""
    return _GROUP_OF.get(frozenset(codes)) if len(codes) > 1 else None


_GROUP_OF = {frozenset(codes): name for name, codes in reversed(GROUPS.items())}


def values(evidence: Evidence, question: Question, second: Evidence | None = None) -> list[str]:
    """The bare answer: "yes", "no", "undetermined", "not assessed", statement names or measured values; empty for prose."""
    view = View.of(evidence)
    codes = list(question.codes)
    plain = {PRESENT: "yes", ABSENT: "no", UNDETERMINED: "undetermined", NOT_ASSESSED: "not assessed"}
    if question.intent in ("verify", "certainty"):
        return [plain[view.state_of_any(codes)]] if codes else []
    if question.intent == "normal":
        return [_normal_answer(view)]
    if question.intent in ("choose", "query", "summary", "explain"):
        codes = codes or [f.code for f in evidence.findings]
        named = [f.code for f in evidence.in_state(PRESENT) if f.code in codes]
        if named or question.intent == "summary":
            return [name_of(c, None) for c in named]
        state = view.state_of_any(codes)
        return ["none" if state == ABSENT else plain[state]]
    if question.intent == "measurement":
        asked = asked_word(question)
        if asked is not None and len(question.measurements) == 1:
            word = view.words.get(question.measurements[0])
            return ["undetermined"] if word is None else ["yes" if asked in _SAME_JUDGEMENT.get(word, {word}) else "no"]
        return [evidence.measurements[m].text() for m in question.measurements]
    if question.intent == "quality":
        return ["yes" if evidence.quality.usable else "no"]
    if question.intent == "compare" and second is not None:
        before, after = set(view.present), {f.code for f in second.findings if f.state == PRESENT}
        return [f"new: {name_of(c, None)}" for c in sorted(after - before)] + [
            f"gone: {name_of(c, None)}" for c in sorted(before - after)
        ]
    return []


def _verify(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    codes = question.codes
    if not codes:
        return [Sentence("Not assessed: that is not among the statements of this assistant.")]
    group = asked_group(codes)
    state = view.state_of_any(codes)
    if len(codes) > 1 and group is None:
        return _verify_each(view, codes, state, rng)
    present = [c for c in codes if view.state(c) == PRESENT]
    claims = tuple(f"F:{c}" for c in (present or codes))
    if state == PRESENT:
        frames = ("Yes, {x}.", "Yes, {x} {be} present.", "Yes. {x}.", "Yes, there {be} {x}.", "Yes: {x}.", "Yes, the ECG shows {x}.")
        frame = frames[1] if rng is None else rng.choice(frames)
        said = [_yes(frame, [item(view, c, rng) for c in present[:6]], claims)]
        return said + _support(view, present, rng)
    name = group or name_of(codes[0], rng)
    if state == ABSENT:
        frames = ("No, {x} {be} not present.", "No, no {x}.", "No {x}.", "No, there {be} no {x}.", "No, {x} {be} absent.", "No. No {x}.",
                  "No, no {x} {be} seen.", "No: {x} {be} not seen.")  # fmt: skip
        frame = frames[0] if rng is None else rng.choice(frames)
        said = [framed(frame, [name], claims, rng)]
        return said + (_support(view, codes, rng) if group is None else [])
    if state == UNDETERMINED:
        opened = [c for c in codes if view.state(c) == UNDETERMINED]
        names = [group] if group and len(opened) > 3 else [name_of(c, rng) for c in opened]
        frames = ("Cannot be judged: {x} {be} undetermined.", "Cannot be judged: {x} cannot be stated or excluded.",
                  "Cannot be judged: {x} {be} left open.", "Undetermined: {x} cannot be judged.",
                  "Cannot be judged: {x} cannot be excluded.")  # fmt: skip
        frame = frames[0] if rng is None else rng.choice(frames)
        return [framed(frame, names, tuple(f"F:{c}" for c in opened), rng)]
    frame = UNASSESSED_FRAMES[1] if rng is None else rng.choice(("Not assessed: {x}.", "Not assessed: {x} {was} not assessed."))
    return [framed(frame, [name], claims, rng)]


def _yes(frame: str, items: list[str], claims: tuple[str, ...]) -> Sentence:
    """A frame that begins with the bare answer; a full stop behind it starts a new sentence."""
    made = framed(frame, items, claims, None)
    for lead in ("Yes. ", "No. "):
        if made.text.startswith(lead):
            rest = made.text[len(lead) :]
            return Sentence(lead + rest[0].upper() + rest[1:], claims)
    return made


def _verify_each(view: View, codes: Sequence[str], state: str, rng: Random | None) -> list[Sentence]:
    """Several single statements in one question: the bare answer for any of them, then each by its state."""
    lead = {PRESENT: "Yes", ABSENT: "No", UNDETERMINED: "Cannot be judged", NOT_ASSESSED: "Not assessed"}[state]
    by_state = {s: [c for c in codes if view.state(c) == s] for s in (PRESENT, UNDETERMINED, ABSENT, NOT_ASSESSED)}
    frames = {PRESENT: "{x} {be} present", UNDETERMINED: "{x} {be} undetermined", ABSENT: "{x} {be} absent",
              NOT_ASSESSED: "{x} {was} not assessed"}  # fmt: skip
    order = (state, *(s for s in frames if s != state))
    made: list[Sentence] = []
    for s in order:
        if by_state[s]:
            names = [item(view, c, rng) if s == PRESENT else name_of(c, rng) for c in by_state[s]]
            frame = (f"{lead}: " if s == state else "") + frames[s] + "."
            made.append(framed(frame, names, tuple(f"F:{c}" for c in by_state[s]), None))
    return made


def _support(view: View, codes: Sequence[str], rng: Random | None) -> list[Sentence]:
    """The measurement and the case count that belong to an answer; always for the renderer, at times otherwise."""
    said: list[Sentence] = []
    names = list(dict.fromkeys(CARRIERS[c] for c in codes if c in CARRIERS))[:1]
    for name in names:
        if view.evidence.measurements.value(name) is not None and (rng is None or rng.random() < 0.5):
            said.append(measured_sentence(view, name, rng))
    if len(codes) == 1 and view.evidence.cases and rng is not None and rng.random() < 0.3:
        said.append(_case_sentence(view, codes[0], rng))
    return said


def _choose(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    present = [c for c in question.codes if view.state(c) == PRESENT]
    opened = [c for c in question.codes if view.state(c) == UNDETERMINED]
    absent = [c for c in question.codes if view.state(c) == ABSENT]
    skipped = [c for c in question.codes if view.state(c) == NOT_ASSESSED]
    made: list[Sentence] = []
    if present:
        items = [item(view, c, rng) for c in present]
        frames = ("{x}.", "{x} {be} present.", "It is {x}.") if len(items) == 1 else ("Both: {x}.", "Both {x} {be} present.")
        if len(items) > 2:
            frames = ("{x}.", "{x} {be} present.")
        made.append(framed(frames[0] if rng is None else rng.choice(frames), items, tuple(f"F:{c}" for c in present), None))
    elif opened:
        made.append(framed("Cannot be judged: {x} {be} undetermined.", [name_of(c, rng) for c in opened],
                           tuple(f"F:{c}" for c in opened), None))  # fmt: skip
        opened = []
    elif absent:
        frames = ("Neither: no {x}.", "Neither: {x} {be} absent.") if len(absent) == 2 else ("None: no {x}.", "None: {x} {be} absent.")
        names = [name_of(c, rng) for c in absent]
        frame = frames[0] if rng is None else rng.choice(frames)
        made.append(framed(frame, names, tuple(f"F:{c}" for c in absent), None, "or" if " no " in frame else "and"))
        absent = []
    for codes, frame in ((opened, UNDETERMINED_FRAMES[1]), (absent, ABSENT_FRAMES[4]), (skipped, UNASSESSED_FRAMES[0])):
        if codes and (rng is None or rng.random() < 0.6 or not made):
            made.append(framed(frame, [name_of(c, rng) for c in codes], tuple(f"F:{c}" for c in codes), None))
    return made


def _query(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    codes = question.codes or tuple(f.code for f in view.evidence.findings)
    group = asked_group(question.codes) or "abnormality"
    present = [f.code for f in view.evidence.in_state(PRESENT) if f.code in codes]
    opened = [f.code for f in view.evidence.in_state(UNDETERMINED) if f.code in codes]
    made: list[Sentence] = []
    if present:
        items = [item(view, c, rng) for c in sorted(present, key=view.doubtful)]
        frames = ("{x}.", "{x} {be} present.", "{x} {be} stated.", "Stated: {x}.")
        frame = frames[0] if rng is None or rng.random() < 0.5 else rng.choice(frames)
        made.append(framed(frame, items, tuple(f"F:{c}" for c in present), rng))
    elif not opened:
        claims = tuple(f"F:{c}" for c in codes if view.state(c) == ABSENT) if len(codes) <= 15 else ()
        if view.state_of_any(codes) == NOT_ASSESSED:
            return [framed("Not assessed: {x} {was} not assessed.", [group], (), None)]
        frames = ("None: no {x} {was} found.", "None: no {x} {be} seen.", "None: no {x}.")
        made.append(framed(frames[0] if rng is None else rng.choice(frames), [group], claims, None))
    if opened and (rng is None or not present or rng.random() < 0.6):
        frames = UNDETERMINED_FRAMES if present else ("Cannot be judged: {x} {be} undetermined.", "Cannot be judged: {x} {be} left open.")
        frame = frames[0] if rng is None else rng.choice(frames)
        made.append(framed(frame, [name_of(c, rng) for c in opened[:4]], tuple(f"F:{c}" for c in opened[:4]), rng))
    return made


def asked_word(question: Question) -> str | None:
    """The judging word a measurement question asks about ("is the QTc prolonged" -> "prolonged"), if any."""
    found = [m.phrase.value for m in find_phrases(question.text, ("judgement",)) if m.phrase.value != "not measurable"]
    return found[0] if found else None


def _measurement(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    asked = asked_word(question)
    made: list[Sentence] = []
    for name in question.measurements:
        value = view.evidence.measurements.value(name)
        word = view.words.get(name)
        claims = (f"M:{name}",)
        shown = measurement_name(name, rng)
        if value is None:
            frames = ("Cannot be judged: the {m} is not measurable.", "Cannot be judged: the {m} could not be measured.",
                      "Cannot be judged: {m} not measurable.")  # fmt: skip
            made.append(Sentence((frames[0] if rng is None else rng.choice(frames)).replace("{m}", shown), claims))
        elif asked is None or len(question.measurements) > 1:
            made.append(measured_sentence(view, name, rng, judged=rng is None or rng.random() < 0.6))
        elif word is None:
            plain = VALUE_FRAMES[1].replace("{m}", shown).replace("{v}", placeholder(name))
            made.append(Sentence(f"Cannot be judged: {plain[0].lower()}{plain[1:]} {fixed('no limit', rng)}", claims))
        else:
            lead = "Yes" if asked in _SAME_JUDGEMENT.get(word, {word}) else "No"
            frames = ("{l}, the {m} is {w} at {v}.", "{l}, the {m} is {v}, {w}.", "{l}: {m} {v}, {w}.", "{l}, {m} {w} at {v}.",
                      "{l}, the {m} is {w} ({v}).")  # fmt: skip
            text = (frames[0] if rng is None else rng.choice(frames)).replace("{l}", lead).replace("{m}", shown)
            made.append(Sentence(text.replace("{w}", judged_word(word, rng)).replace("{v}", placeholder(name)), claims))
    return made or [fixed_sentence("unclear", rng)]


def _normal_answer(view: View) -> str:
    abnormal = [c for c in view.present if c not in ("NORM", "SR")]
    if abnormal and view.state("NORM") != PRESENT:
        return "no"
    return {PRESENT: "yes", ABSENT: "no", UNDETERMINED: "undetermined", NOT_ASSESSED: "not assessed"}[view.state("NORM")]


def _normal(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    bare = _normal_answer(view)
    claims = ("F:NORM",)
    ordered = [f.code for f in view.evidence.in_state(PRESENT) if f.code not in ("NORM", "SR")]
    if bare == "yes":
        adverb = "probably " if view.doubtful("NORM") else "otherwise " if ordered else ""
        frames = (f"Yes, the ECG is {adverb}normal.", f"Yes, {adverb}normal ECG.", f"Yes, the recording is {adverb}normal.")
        made = [Sentence(frames[0] if rng is None else rng.choice(frames), claims)]
        if ordered:
            made.append(framed("{x} {be} present.", [item(view, c, rng) for c in ordered], tuple(f"F:{c}" for c in ordered), None))
        return made
    if bare == "no":
        frames = ("No, the ECG is not normal.", "No, this is not a normal ECG.", "No, not a normal ECG.")
        lead = frames[0] if rng is None else rng.choice(frames)
        if not ordered:
            return [Sentence(lead, claims)]
        items = [item(view, c, rng) for c in sorted(ordered[:5], key=view.doubtful)]
        named = tuple(f"F:{c}" for c in ordered[:5])
        if rng is not None and rng.random() < 0.4:
            return [framed("No: {x}.", items, (*claims, *named), rng)]
        return [Sentence(lead, claims), framed("{x}." if rng is None or rng.random() < 0.5 else "{x} {be} present.", items, named, rng)]
    if bare == "undetermined":
        frames = ("Cannot be judged: whether the ECG is normal is undetermined.", "Cannot be judged: a normal ECG cannot be confirmed.",
                  "Cannot be judged: normal ECG is undetermined.")  # fmt: skip
        return [Sentence(frames[0] if rng is None else rng.choice(frames), claims)]
    return [Sentence("Not assessed: normal ECG was not assessed.", claims)]


def _explain(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    codes = question.codes or view.present[:1]
    if not codes:
        return [fixed_sentence("nothing stated", rng)]
    present = [c for c in codes if view.state(c) == PRESENT]
    code = present[0] if present else codes[0]
    made = _verify(view, Question("", "verify", (code,)), None if rng is None else rng)[:1]
    made[0] = Sentence(made[0].text.removeprefix("Yes, ").removeprefix("Yes. ").removeprefix("Yes: "), made[0].claims)
    made[0] = sentence(made[0].text, made[0].claims)
    if code in CARRIERS and view.evidence.measurements.value(CARRIERS[code]) is not None:
        made.append(measured_sentence(view, CARRIERS[code], rng))
    if view.evidence.cases and (rng is None or rng.random() < 0.7):
        made.append(_case_sentence(view, code, rng))
    if rng is None or rng.random() < 0.7:
        made.append(Sentence("Criteria: [criteria]", (f"F:{code}",)))
    return made


def case_counts(evidence: Evidence) -> Counter[str]:
    """How many of the similar cases list each statement."""
    return Counter(code for case in evidence.cases for code in case.statements)


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
    verdict = view.evidence.quality.verdict
    if verdict == "limited":
        text = fixed("limited", rng)
        made = [Sentence(f"Yes, with limits: {text[0].lower()}{text[1:]}", ("Q",))]
        return [*made, fixed_sentence("reasons", rng, ("Q",))] if view.evidence.quality.reasons else made
    text = fixed("usable", rng)
    return [Sentence(f"Yes, {text[0].lower()}{text[1:]}", ("Q",))]


def _certainty(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    made: list[Sentence] = []
    for code in question.codes[:3] or view.present[:2]:
        state = view.state(code)
        claims = (f"F:{code}",)
        name = name_of(code, rng)
        if state == NOT_ASSESSED:
            made.append(framed("Not assessed: {x}.", [name], claims, None))
            continue
        tail = {PRESENT: "{be} present", ABSENT: "{be} absent", UNDETERMINED: "{be} undetermined"}[state]
        frames = ("{x} T: probability [probability].", "{x} T, with a probability of [probability].",
                  "Probability [probability]: {x} T.", "The probability of {x} is [probability]; {x} T.")  # fmt: skip
        frame = (frames[0] if rng is None else rng.choice(frames)).replace("T", tail, 1) if rng is None else None
        if frame is None:
            assert rng is not None
            frame = rng.choice(frames[:3]).replace(" T", f" {tail}", 1)
        made.append(framed(frame, [name], claims, None))
    return made or [fixed_sentence("nothing stated", rng)]


def _define(view: View, question: Question, rng: Random | None) -> list[Sentence]:
    if not question.codes:
        return [fixed_sentence("unclear", rng)]
    code = question.codes[0]
    name = name_of(code, rng)
    made = [sentence(f"{name}: [criteria]", (f"F:{code}",))]
    if rng is None or rng.random() < 0.5:
        made.append(fixed_sentence("citation", rng, (f"F:{code}",)))
    return made


def compare(first: Evidence, second: Evidence | None, rng: Random | None) -> list[Sentence]:
    """What changed from the first recording to the second, by stated findings; only sure comparisons are called changes.

    A finding is new where it is present in the second and absent in the first, gone where present in the first and absent in
    the second. Where one of the two could not judge it, the change cannot be judged.
    """
    if second is None:
        return [fixed_sentence("no earlier", rng)]
    one, two = View.of(first), View.of(second)
    new = [c for c in two.present if one.state(c) == ABSENT]
    gone = [c for c in one.present if two.state(c) == ABSENT]
    opened = [c for c in dict.fromkeys((*two.present, *one.present)) if UNDETERMINED in (one.state(c), two.state(c))]
    kept = [c for c in two.present if c in one.present]
    made: list[Sentence] = []
    for codes, frames in (
        (new, ("New: {x}.", "{x} {be} new.", "{x} {be} newly stated.")),
        (gone, ("No longer present: {x}.", "{x} {be} no longer present.", "{x} {be} no longer stated.")),
        (opened, ("Change cannot be judged: {x}.", "Whether {x} changed cannot be judged.")),
    ):
        if codes:
            names = [name_of(c, rng) for c in codes]
            made.append(framed(frames[0] if rng is None else rng.choice(frames), names, tuple(f"F:{c}" for c in codes), None))
    if not new and not gone and not opened:
        made.append(fixed_sentence("no change", rng))
    if kept and (rng is None or rng.random() < 0.6):
        frames = ("Unchanged: {x}.", "{x} {be} unchanged.", "Still present: {x}.", "{x} {be} still present.")
        text = frames[0] if rng is None else rng.choice(frames)
        made.append(framed(text, [name_of(c, rng) for c in kept], tuple(f"F:{c}" for c in kept), None))
    return made


assert joined(["a", "b"], None) == "a and b"
