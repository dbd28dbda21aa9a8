"""Turns evidence into text: the impression, the sections of a report and answers to questions.

Two uses of one writer. With a random generator it words freely (training text of the language model); without one it is the
renderer: canonical names, one fixed style, used for the sections and wherever the model's text does not stand. No number is
written here: values are placeholders such as ``[qrs_ms]``, which ``fill`` replaces by what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from assistant.bare import carried
from assistant.decide import SWAP_FLAGS, critical_by_rule
from assistant.evidence import PRESENT, UNDETERMINED, Evidence
from assistant.frames import (
    CLOSINGS,
    HEDGED_FRAMES,
    RATE_FRAMES,
    STATED_FRAMES,
    UNDETERMINED_FRAMES,
    URGENT_UNDETERMINED_FRAMES,
    Sentence,
)
from assistant.lexicon import GROUPS
from assistant.phrasing import (
    RHYTHMS,
    SECTION_MEASUREMENTS,
    TOPICS,
    View,
    article,
    fixed,
    fixed_sentence,
    framed,
    item,
    joined,
    measured_sentence,
    name_of,
    sentence,
)
from assistant.serial import NOTHING_SURE, compare_evidence
from encoders.vocabulary import statement

__all__ = ["STYLES", "Sentence", "impression", "renderer", "review_is_urgent", "sections", "uncarried", "unjudged"]

#: prose: grouped sentences with verbs; terse: the clipped style of a cart; structured: topic by topic with headings.
STYLES = ("prose", "terse", "structured")
_HEADINGS = {
    "rhythm": "Rhythm",
    "conduction": "Conduction",
    "chambers": "Chambers",
    "infarction": "Infarction",
    "st-t": "ST-T",
    "form": "Form",
}
#: Repeating patterns of early beats: the rhythm only where no other is stated.
_PATTERNS = frozenset(("BIGU", "TRIGU"))
#: Findings that prose joins to the rhythm: "Sinus rhythm with first-degree AV block".
_JOINED = ("1AVB", "2AVB", "LPR", "PVC", "PAC", "PRC(S)", "BIGU", "TRIGU", "CRBBB", "CLBBB", "IRBBB", "LAFB")
#: Families that are named as a whole where three or more members are open and none is stated.
_FAMILIES = ("myocardial infarction", "ischaemia", "subendocardial injury")


def renderer(evidence: Evidence) -> list[Sentence]:
    """The impression in canonical wording and one fixed style; what stands in for the language model's text."""
    return impression(evidence, None, "prose")


def impression(
    evidence: Evidence, rng: Random | None, style: str = "prose", *, measured: bool = True
) -> list[Sentence]:
    """The impression as sentences. Every present finding stands in it exactly once, no other is stated as present.

    Critical findings first, then the rhythm with its rate, then topic by topic with urgent topics first, abnormal measurements
    that no finding carries, urgent or critical statements that cannot be judged ("cannot be excluded"), and a closing line.
    ``rng`` None gives canonical wording; ``style`` is one of STYLES; ``measured`` False leaves measurements but the rate out.
    """
    view = View.of(evidence)
    if not evidence.quality.usable:
        return [fixed_sentence("unusable", rng, ("Q",)), fixed_sentence("reasons", None, ("Q",))]
    present = [f.code for f in evidence.in_state(PRESENT)]
    body: list[Sentence] = []
    critical = [c for c in present if statement(c).urgency == "critical"]
    rest = [c for c in present if c not in critical and c != "NORM"]
    if critical:
        body += _stated(view, critical, rng, style)
    rhythm = [c for c in rest if c in RHYTHMS and (c not in _PATTERNS or not any(r in RHYTHMS - _PATTERNS for r in rest))]
    others = [c for c in rest if c not in rhythm]
    lead, others = _rhythm(view, rhythm, others, rng, style)
    body += lead
    for topic in _topic_order(others, rng):
        body += _stated(view, [c for c in others if c in TOPICS[topic]], rng, style, _HEADINGS[topic])
    beyond = _measured(view, present, rng) if measured else []
    body += beyond
    normal = view.normal_sentence(present, rng, alone=not beyond)
    if normal is not None:
        early = "NORM" in present and len(rest) <= 1 and not critical and not beyond
        if rng is not None and rng.random() < 0.3 and early:
            body.insert(0, normal)
        else:
            body.append(normal)
    body += _open(view, present, rng)
    if evidence.quality.verdict == "limited" and (rng is None or rng.random() < 0.5):
        body.append(fixed_sentence("limited", rng, ("Q",)))
    pressing = review_is_urgent(evidence)
    if rng is None or pressing or rng.random() < 0.4:
        texts = CLOSINGS["urgent" if pressing else "routine"]
        body.append(Sentence(texts[0] if rng is None else rng.choice(texts)))
    return body


def _topic_order(codes: Sequence[str], rng: Random | None) -> list[str]:
    """Topics with one of these codes; urgent ones first (always for the renderer, mostly otherwise)."""
    topics = [t for t in _HEADINGS if any(c in TOPICS[t] for c in codes)]
    if rng is None or rng.random() < 0.8:
        topics.sort(key=lambda t: all(statement(c).urgency != "urgent" for c in codes if c in TOPICS[t]))
    return topics


def _stated(
    view: View, codes: Sequence[str], rng: Random | None, style: str = "prose", heading: str | None = None
) -> list[Sentence]:
    """Sentences that state these present findings: joined in prose, one each in terse style, under a heading otherwise."""
    if not codes:
        return []
    codes = sorted(codes, key=view.doubtful)  # certain ones first, so that "probable" never seems to cover them
    if style == "terse" or (style == "prose" and rng is not None and len(codes) > 1 and rng.random() < 0.25):
        return [_state_one(view, c, rng, style) for c in codes]
    claims = tuple(f"F:{c}" for c in codes)
    if style == "structured" and heading is not None:
        return [sentence(f"{heading}: {joined([item(view, c, rng) for c in codes], rng)}.", claims)]
    if len(codes) == 1:
        return [_state_one(view, codes[0], rng, style)]
    if len(codes) > 4:
        half = len(codes) // 2
        return _stated(view, codes[:half], rng, style) + _stated(view, codes[half:], rng, style)
    frame = STATED_FRAMES[0] if rng is None or rng.random() < 0.45 else rng.choice(STATED_FRAMES[1:])
    return [framed(frame, [item(view, c, rng, articles=article(frame)) for c in codes], claims, rng)]


def _state_one(view: View, code: str, rng: Random | None, style: str) -> Sentence:
    """One present finding in one sentence, with "probable" where its probability is below CERTAIN."""
    claims = (f"F:{code}",)
    frames = HEDGED_FRAMES if view.doubtful(code) else STATED_FRAMES
    plain = rng is None or style == "terse" or rng.random() < 0.5
    frame = frames[0] if plain or rng is None else rng.choice(frames)
    return framed(frame, [item(view, code, rng, articles=article(frame), hedge=False)], claims, rng)


def _rhythm(
    view: View, rhythm: Sequence[str], others: Sequence[str], rng: Random | None, style: str
) -> tuple[list[Sentence], list[str]]:
    """The rhythm with its rate, often joined with conduction or early beats; and the findings that are left."""
    left = list(others)
    rate = view.evidence.measurements.value("rate_bpm")
    if not rhythm:
        said: list[Sentence] = []
        if not any(c in view.present for c in ("PACE", "3AVB", "2AVB")):
            said.append(fixed_sentence("no rhythm", rng, tuple(f"F:{c}" for c in view.undetermined if c in TOPICS["rhythm"])))
        if rate is not None:
            said.append(measured_sentence(view, "rate_bpm", rng, judged=False))
        return said, left
    ordered = sorted(rhythm, key=lambda c: (view.doubtful(c), c not in ("SR", "AFIB", "AFLT")))
    claims = [f"F:{c}" for c in ordered]
    if style == "structured":
        ordered += sorted((c for c in left if c in TOPICS["rhythm"]), key=view.doubtful)
        claims, left = [f"F:{c}" for c in ordered], [c for c in left if c not in ordered]
        text = joined([item(view, c, rng) for c in sorted(ordered, key=view.doubtful)], rng)
        if rate is not None:
            text += ", rate [rate_bpm]"
            claims.append("M:rate_bpm")
        return [sentence(f"Rhythm: {text}.", tuple(claims))], left
    text = joined([item(view, c, rng) for c in ordered], rng)
    if rate is not None and (rng is None or rng.random() < 0.75):
        frame = RATE_FRAMES[0] if rng is None else rng.choice(RATE_FRAMES)
        text = frame.replace("{x}", text).replace("{v}", "[rate_bpm]")
        claims.append("M:rate_bpm")
    joinable = [c for c in left if c in _JOINED]
    if joinable and style == "prose" and (rng is None or rng.random() < 0.6):
        tail = sorted(joinable if rng is None else joinable[: rng.randint(1, 2)], key=view.doubtful)
        text += f" with {joined([item(view, c, rng) for c in tail], None)}"
        claims += [f"F:{c}" for c in tail]
        left = [c for c in left if c not in tail]
    opener = ""
    if rng is not None and style == "prose" and rng.random() < 0.25:
        opener = rng.choice(("The ECG shows ", "The rhythm is ", "There is ", "The recording shows "))
    return [sentence(f"{opener}{text}.", tuple(claims))], left


def uncarried(evidence: Evidence) -> list[Sentence]:
    """Abnormal measurements that no stated finding carries already (left axis, say): an impression tells them."""
    view = View.of(evidence)
    return _measured(view, view.present, None)


def unjudged(evidence: Evidence) -> frozenset[str]:
    """Measurements that are told without being called normal or not: those the gate limits, and the axis of swapped leads."""
    swapped = not SWAP_FLAGS.isdisjoint(evidence.quality.flags)
    return frozenset((*evidence.quality.limited, *(("axis_deg",) if swapped else ())))


def _measured(view: View, present: Sequence[str], rng: Random | None) -> list[Sentence]:
    said, withheld = [], unjudged(view.evidence)
    for name, carriers in SECTION_MEASUREMENTS.items():
        word = view.words.get(name)
        if name == "rate_bpm" or name in withheld or word in (None, "normal") or any(c in present for c in carriers):
            continue
        if name == "qtc_ms" and word == "short":
            continue  # the 2009 limit of 390 ms calls many healthy people short: told in its section, no finding by itself
        said.append(measured_sentence(view, name, rng))
    return said


def _open(view: View, present: Sequence[str], rng: Random | None) -> list[Sentence]:
    """Critical and urgent statements that cannot be judged; a family as a whole where three or more of it are open."""
    codes = [f.code for f in view.evidence.pressing()]
    said: list[Sentence] = []
    for family in _FAMILIES:
        members = [c for c in codes if c in GROUPS[family]]
        if len(members) >= 3 and not any(c in present for c in GROUPS[family]):
            frame = URGENT_UNDETERMINED_FRAMES[0] if rng is None else rng.choice(URGENT_UNDETERMINED_FRAMES)
            said.append(framed(frame, [family], tuple(f"F:{c}" for c in members), rng))
            codes = [c for c in codes if c not in members]
    for start in range(0, len(codes), 3):
        part = codes[start : start + 3]
        frames = URGENT_UNDETERMINED_FRAMES if rng is None or rng.random() < 0.75 else UNDETERMINED_FRAMES
        frame = frames[0] if rng is None else rng.choice(frames)
        names = [name_of(c, rng) for c in part]
        said.insert(start // 3, framed(frame, names, tuple(f"F:{c}" for c in part), rng))
    return said


UNUSABLE = "Not assessed: the recording is not usable."


def review_is_urgent(evidence: Evidence) -> bool:
    """Whether a critical statement is present or cannot be judged, an urgent one is present, or a measurement is critical: the
    closing line then says so."""
    if any(one.state == PRESENT for one in critical_by_rule(evidence)):
        return True
    present = {statement(f.code).urgency for f in evidence.in_state(PRESENT)}
    left_open = {statement(f.code).urgency for f in evidence.in_state(UNDETERMINED)}
    return "critical" in present | left_open or "urgent" in present


def sections(evidence: Evidence, earlier: Evidence | None = None) -> dict[str, list[Sentence]]:
    """Texts of the report's sections by name, canonical wording, placeholders not filled yet.

    Keys: rhythm; rate and intervals; axis; conduction; chambers; infarction and ST-T; comparison; not assessed.
    """
    view, usable = View.of(evidence), evidence.quality.usable
    topics = {
        "rhythm": ("rhythm",),
        "conduction": ("conduction", "form"),
        "chambers": ("chambers",),
        "infarction and ST-T": ("infarction", "st-t"),
    }
    made: dict[str, list[Sentence]] = {}
    for name, parts in topics.items():
        codes = [c for part in parts for c in TOPICS[part]]
        said = _stated(view, [f.code for f in evidence.in_state(PRESENT) if f.code in codes], None)
        said += _undetermined(
            view, [f.code for f in evidence.in_state(UNDETERMINED) if f.code in codes and carried(view, [f.code]) is None]
        )
        said += [
            Sentence(c.text, (c.id if c.id.startswith("R:") else f"R:{c.id}", *c.items))
            for c in evidence.conflicts
            if any(i.removeprefix("F:") in codes for i in c.items)
        ]
        said += [Sentence(text, ids) for text, ids in evidence.doubts() if ids[0].removeprefix("N:") in codes]
        if name == "rhythm" and view.state("AFIB") == "absent":
            said.append(framed("No {x}.", [name_of("AFIB", None)], ("F:AFIB",), None))
        made[name] = said or [fixed_sentence("no such finding", None) if usable else Sentence(UNUSABLE, ("Q",))]
    # What was measured on an unusable recording is told without calling it normal.
    intervals = ("rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms")
    made["rate and intervals"] = [measured_sentence(view, m, None, usable) for m in intervals]
    if usable and view.words.get("qtc_ms") == "short":
        made["rate and intervals"].append(Sentence("Many healthy people lie below that limit.", ("M:qtc_ms",)))
    made["axis"] = [measured_sentence(view, "axis_deg", None, usable and "axis_deg" not in unjudged(evidence))]
    made["comparison"] = _compared(earlier, evidence)
    made["not assessed"] = [
        framed("Not assessed: {x}.", [name_of(f.code, None)], (f.id,), None) for f in evidence.in_state("not assessed")
    ]
    made["not assessed"].append(Sentence(fixed("acute", None)))
    order = (
        "rhythm",
        "rate and intervals",
        "axis",
        "conduction",
        "chambers",
        "infarction and ST-T",
        "comparison",
        "not assessed",
    )
    return {name: made[name] for name in order}


def _compared(earlier: Evidence | None, evidence: Evidence) -> list[Sentence]:
    """The comparison with an earlier recording, by stated findings; where there is nothing to compare, that."""
    from assistant.answers import compare

    if earlier is None:
        return [fixed_sentence("no earlier", None)]
    compared = compare_evidence(earlier, evidence)
    unusable = [text for text in compared.caution if not (earlier.quality.usable and evidence.quality.usable)]
    if unusable:
        return [Sentence(text, ("Q",)) for text in unusable]
    return compare(earlier, evidence, None) if compared.findings else [Sentence(NOTHING_SURE)]


def _undetermined(view: View, codes: Sequence[str]) -> list[Sentence]:
    said = []
    named = {f.code for f in view.evidence.pressing()}  # what the impression names too: the rest may stand beside "normal ECG"
    for pressing in (True, False):
        part = [c for c in codes if (c in named) is pressing]
        frame = (URGENT_UNDETERMINED_FRAMES if pressing else UNDETERMINED_FRAMES)[0]
        said += [framed(frame, [name_of(c, None)], (f"F:{c}",), None) for c in part]
    return said
