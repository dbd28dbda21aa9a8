"""From a typed question to a typed one: intent, codes, measurements, or why it is declined.

Rules: clauses beyond the scope are set aside, the lexicon finds what the rest names, patterns find what is asked of it. What
they leave open, and what no pattern foresaw, is the matter of ``assistant.understanding``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from assistant.asking import (
    ABOUT_ECG,
    ABOUT_PERSON,
    AGE,
    ALL_INTERVALS,
    ALL_LEADS,
    ALL_MEASURES,
    ASKING,
    BROKEN,
    CASES,
    CERTAINTY,
    COMPARE,
    COMPARE_TWO,
    DEFINE,
    EITHER,
    EXPLAIN,
    JUDGES_IT,
    LEFT_OPEN,
    LONG,
    NARROW_OR_BROAD,
    NORMAL,
    QUALITY,
    QUERY,
    RHYTHM_TOO,
    SIDES,
    SIGNAL,
    SUMMARY,
    SURELY_ECG,
    TRUST,
    URGENT,
    WAVE_SIZE,
    WHICH_LEADS,
)
from assistant.content import FILLER, GENERIC, Content, content_of
from assistant.intents import Question, parted
from assistant.lexicon import GROUPS, find_phrases
from assistant.plain_words import KNOWN, clauses, leads_named
from assistant.scope import INTENDED_USE, reason_for, topic_of
from assistant.scope_model import ACUTE
from encoders.ecg import STANDARD_LEADS
from encoders.measurements import MEASUREMENT_NAMES
from encoders.vocabulary import codes_in

__all__ = [
    "AGE_UNKNOWN",
    "ASK_BACK",
    "GUESS",
    "INTERVALS",
    "LONGEST_QUESTION",
    "NEEDS_SECOND",
    "NO_PREVIOUS",
    "UNCLEAR_BELOW",
    "asks_for_absence",
    "asks_urgency",
    "declined_as",
    "leads_named",
    "typed_by_rules",
    "understand_by_rules",
]

#: Below this confidence a question is called unclear and asked back.
UNCLEAR_BELOW = 0.45
#: Characters; longer texts are asked back rather than cut.
LONGEST_QUESTION = 2000

ASK_BACK = (
    'The question was not understood; please name a finding ("is there atrial fibrillation?"), a measurement '
    '("what is the QTc?"), or ask for a summary, the recording\'s quality or similar cases.'
)
NO_PREVIOUS = "It is not clear what this refers to; please name the finding or the measurement that is meant."
_WAVES = "Sizes of single waves are not told here; please ask for a finding, an interval, the axis or the ST level of a lead."
AGE_UNKNOWN = "How old an infarction is cannot be told from its pattern."
_ONLY_MEASURED = "It was measured on the signal; no limit or criterion was applied to it."
NEEDS_SECOND = "A comparison needs a second recording of the same patient; please open it beside this one."

#: Confidence of a decline that rests only on the absence of every known word; the sentence model may overrule it.
GUESS = 0.5
#: Confidence of an intent found by a loose pattern alone; the sentence model may decline it.
_WEAK = 0.6

INTERVALS = ("pr_ms", "qrs_ms", "qt_ms", "qtc_ms")

_INFARCTION = frozenset(codes_in("MI"))


def asks_for_absence(text: str) -> bool:
    """Whether "yes" to this question means that the thing is absent: "no AF, right?", "can we exclude LVH"."""
    joined = " ".join(clause for clause, _ in clauses(text))
    return bool(
        re.search(
            r"^(?:so |and |ok |then |well )*(?:there (?:is|are) |it is |this is |definitely )?(?:no|not|without|never)\b", joined
        )
        or re.search(r"\b(?:is there|are there|there is|there are|shows?|has|have) (?:really |definitely )?no\b", joined)
        or re.search(r"\b(?:exclude[ds]?|rule[ds]? out|absen(?:t|ce)|free of|not found|not present)\b", joined)
    )


def asks_urgency(text: str) -> bool:
    """Whether a text asks how urgent the ECG is and nothing else: "who should look at this?" is no question on disposition."""
    found = clauses(text)
    return bool(found) and all(URGENT.fullmatch(clause) for clause, _ in found)


def understand_by_rules(text: str, previous: Question | None = None, *, recordings: int = 1) -> Question:
    """``understand`` without the sentence model: the same contract, and "unclear" where the rules do not reach.

    An unclear outcome with confidence 0 is final (nothing legible in it); above 0 the sentence model may still decide.
    """
    if len(text) > LONGEST_QUESTION:
        reason = f"The question has {len(text)} characters where at most {LONGEST_QUESTION} are read; please shorten it."
        return Question(text, "unclear", confidence=0.0, reason=reason)
    parts = clauses(text)
    if not parts:
        return Question(text, "unclear", confidence=0.0, reason=ASK_BACK)
    topics: list[str | None] = []
    for clause, _ in parts:
        content = content_of(clause)
        topics.append(None if URGENT.fullmatch(clause) else topic_of(clause, has_content=bool(content.mentions)))
    declined = [(topic, clause, mark) for topic, (clause, mark) in zip(topics, parts, strict=True) if topic]
    kept = [part for topic, part in zip(topics, parts, strict=True) if not topic]
    if not declined:
        return typed_by_rules(text, parts, previous, recordings)
    asking = [part for part in kept if part[1] or ASKING.search(part[0])]
    rest_text = " ".join(clause for clause, _ in kept)
    someone_else = any(topic == "other_patient" for topic, _, _ in declined)
    pronoun = re.search(r"\b(?:he|she|him|her|his)\b", rest_text) is not None
    about_other = someone_else and (pronoun or not content_of(rest_text).mentions)
    if asking and not about_other:
        rest = typed_by_rules(text, tuple(kept), previous, recordings)
        if rest.intent not in ("unclear", "out_of_scope"):
            left_out = next((t for t, clause, mark in declined if mark or ASKING.search(clause) or t == "instructions"), None)
            note = " ".join(x for x in (rest.reason, reason_for(left_out) if left_out else "") if x)
            return replace(rest, reason=note, confidence=min(rest.confidence, 0.85))
    topic = next((t for t, clause, mark in declined if mark or ASKING.search(clause)), declined[0][0])
    return declined_as(text, topic, recordings)


def declined_as(text: str, topic: str, recordings: int, confidence: float = 0.9) -> Question:
    return Question(text, "out_of_scope", recordings=recordings, confidence=confidence, reason=reason_for(topic))


def typed_by_rules(
    text: str, parts: Sequence[tuple[str, bool]], previous: Question | None, recordings: int, told: str | None = None
) -> Question:
    """Intent and content of the clauses that are in scope. ``told``: the intent, where the judge is surer of it than rules."""
    joined = " ".join(clause for clause, _ in parts)
    first = next((i for i, (clause, mark) in enumerate(parts) if ASKING.search(clause)), None)
    if first is None:  # "sinus tachycardia, or flutter?" is one question, "chest pain, AF?" is not
        first = next((i for i, (clause, mark) in enumerate(parts) if mark and not re.match(r"(?:or|and)\b", clause)), 0)
    asked = " ".join(clause for clause, _ in parts[first:])
    while first and _asks_too(parts[first - 1][0]):  # "rhythm, rate and axis?"
        first -= 1
    asked = " ".join(clause for clause, _ in parts[first:])
    before = _GIVEN.split(asked)[0]
    if before != asked and content_of(before).mentions:  # "is the QTc prolonged given the bundle branch block?"
        parts, first, asked, joined = ((before, parts[first][1]),), 0, before, before
    if told is None and (joint := _finding_and_value(text, parts[first:], previous, recordings)) is not None:
        return joint
    content = content_of(joined)
    if first:  # "his mother had AF. Is this sinus rhythm?": what is asked goes before what is told
        narrower = content_of(asked)
        content = narrower if narrower.mentions else content
    content = _with_leads(text, content)
    leads = leads_named(text)
    if URGENT.fullmatch(joined):
        content = replace(content, mentions=(("urgent finding", GROUPS["urgent finding"]),), covered=content.total)
    if WAVE_SIZE.search(joined) and not content.codes:
        return Question(text, "unclear", recordings=recordings, confidence=0.0, reason=_WAVES)
    if NARROW_OR_BROAD.search(joined):
        content = replace(content, mentions=(("measurement", ("qrs_ms",)), ("measurement", ("rate_bpm",))))
    if previous is not None and not content.mentions and _judges(joined, previous):
        content = replace(content, mentions=tuple(("measurement", (name,)) for name in _values_of(previous)))
        told = "measurement"
    if previous is not None and leads and not content.codes and len(joined.split()) <= 6 and _on_st(previous, joined):
        levels = tuple(f"st_j_mv_{lead}" for lead in leads)  # "and in V3?"
        again = previous.intent if previous.intent in ("verify", "measurement") else "verify" if previous.codes else "measurement"
        return Question(text, again, previous.codes, levels, recordings, 0.9)
    intent = told or _intent(asked, joined, content, previous, recordings, text)
    aged = intent in ("verify", "choose", "query", "compare") and recordings < 2 and _asks_age(joined, content)
    if aged:
        intent = "query"  # which infarction there is; a bare "yes" would answer how old it is
    if intent == "compare" and not content.mentions and NORMAL.search(joined) and _LATER.search(joined):
        intent = "normal"  # "is the second ECG normal?"
    if intent == "choose":
        content = _alternatives(content)
    codes, measurements, reason = content.codes, content.measurements, ""
    if intent is None and previous is not None and previous.codes and leads and len(joined.split()) <= 6:
        intent = "explain"  # "and in V3?" of a finding that no lead is measured for
    if intent is None:
        if content.unassessed:
            return declined_as(text, "not_assessed", recordings)
        words = [w for w in joined.split() if w not in FILLER]
        legible = sum(w in KNOWN for w in words) / len(words) if words else 0.0
        if (
            (ASKING.search(asked) or any(mark for _, mark in parts))
            and len(joined.split()) >= 3
            and words
            and not ABOUT_ECG.search(joined)
        ):
            # A whole question without one word of electrocardiography: about the patient, or about nothing here.
            return declined_as(text, "other_disease" if ABOUT_PERSON.search(joined) else "off_topic", recordings, GUESS)
        # Some known words can be an unusual wording; the sentence model decides. Less cannot be read by anyone.
        doubt = 0.3 if len(joined.split()) >= 2 and (legible > 0 or len(words) >= 3) else 0.0
        return Question(text, "unclear", recordings=recordings, confidence=doubt, reason=ASK_BACK)
    short = len(joined.split()) <= 5
    if intent == "certainty" and not codes and not measurements and re.search(r"\bnormal\b", joined):
        codes = ("NORM",)  # named itself, whatever was asked before
    leans = intent in ("explain", "certainty") or intent == "compare" and short
    if leans and previous is not None and not codes and not measurements:
        codes, measurements = previous.codes, previous.measurements
        only = measurements and not codes and not set(measurements) & set(MEASUREMENT_NAMES)
        if only and intent != "compare":  # "longest RR?" - "why?"
            return replace(previous, text=text, confidence=0.85, reason=_ONLY_MEASURED)
    if intent == "explain" and previous is None and not codes and not measurements and len(joined.split()) <= 2:
        return Question(text, "unclear", recordings=recordings, confidence=0.0, reason=NO_PREVIOUS)
    if (
        intent in ("query", "normal", "summary", "quality", "cases", "explain", "certainty", "compare", "define")
        and "abnormality" in content.groups
    ):
        codes = tuple(
            dict.fromkeys(c for kind, named in content.mentions if kind not in ("measurement", "abnormality") for c in named)
        )
    if intent == "measurement":
        codes, measurements = _judged(joined, content)
    elif intent == "compare" and not codes and not measurements and NORMAL.search(joined):
        codes = ("NORM",)  # "was the earlier ECG normal?"
    elif intent == "normal":
        codes, measurements = (() if BROKEN.search(joined) or "abnormality" in content.groups else ("NORM",)), ()
    elif intent in ("quality", "summary", "cases"):
        codes, measurements = (codes if intent == "cases" else ()), ()
    elif intent in ("verify", "choose", "query", "define") and codes and intent != "define":
        measurements = tuple(m for m in measurements if m.startswith("st_j_mv")) if intent == "verify" else ()
    measurements, beside = parted(intent, content.measurements, measurements)
    if intent == "define" and beside and not codes and not measurements:
        return Question(text, "unclear", recordings=recordings, confidence=0.3, reason=ASK_BACK)
    if ACUTE in content.groups or intent in ("verify", "choose") and _INFARCTION.intersection(content.codes):
        reason = INTENDED_USE  # the statements tell patterns; their absence is no rule-out (DESIGN, rule 8)
    if aged:
        reason = f"{AGE_UNKNOWN} {INTENDED_USE}"
    if content.unassessed and intent in ("verify", "choose"):
        intent = "verify" if intent == "choose" and len(content.mentions) < 2 else intent
        reason = " ".join(
            x
            for x in (
                reason,
                f"As for {content.unassessed[0]}: {reason_for('not_assessed')[0].lower()}{reason_for('not_assessed')[1:]}",
            )
            if x
        )
    if intent == "compare" and recordings < 2:
        reason = NEEDS_SECOND
    confidence = 0.95 - 0.6 * (1 - content.covered / content.total) if content.total else 0.95
    if intent not in ("verify", "choose", "query", "measurement"):
        confidence = max(confidence, 0.85)  # the pattern speaks for itself, whatever else stands around it
    if (
        intent in ("query", "normal", "summary")
        and not content.mentions
        and not SURELY_ECG.search(joined)
        and len(joined.split()) > 3
    ):
        confidence = min(confidence, _WEAK)
    if confidence < UNCLEAR_BELOW:
        return Question(text, "unclear", recordings=recordings, confidence=round(confidence, 3), reason=ASK_BACK)
    both = 2 if intent == "compare" else recordings
    return Question(text, intent, codes, measurements, both, round(confidence, 3), reason, beside)


def _intent(asked: str, joined: str, content: Content, previous: Question | None, recordings: int, text: str) -> str | None:
    """The first intent whose pattern fits; order matters: what speaks about an answer goes before what asks for one."""
    named = bool(content.mentions)
    statements = any(kind != "measurement" for kind, _ in content.mentions)
    specific = any(kind not in ("measurement", *GENERIC) for kind, _ in content.mentions)
    follow_up = re.match(r"^(?:and|what about|how about|or|also|same for|now)\b", joined) is not None
    if CASES.search(joined):
        return "cases"
    if re.search(r"\b(?:trust|rely)\b.*\b(?:recording|tracing|trace|signal)\b", joined):
        return "quality"
    if not named and TRUST.search(joined) and (leads_named(text) or SIGNAL.search(joined)):
        return "quality"
    if not specific and LEFT_OPEN.search(joined) and re.search(r"\b(?:what|which|list|name|anything)\b", joined):
        return "define" if re.search(r"\bmean", joined) else "query"
    if CERTAINTY.search(joined):
        return "certainty"
    if previous is not None and not named and previous.intent == "quality" and WHICH_LEADS.match(joined):
        return "quality"
    if previous is not None and not named and re.search(r"\bwhere (?:do|can|did) (?:you|i|one) see\b|\bin which leads?$", joined):
        return "explain"
    if previous is not None and not named and set(previous.codes) - {"NORM"} and WHICH_LEADS.match(joined):
        return "explain"
    if previous is not None and not named and re.search(r"\b(?:certain|sure|definite|confident|positive)\b", joined):
        return "certainty"
    if COMPARE.search(joined) or (recordings > 1 and COMPARE_TWO.search(joined)):
        return "compare"
    if named and DEFINE.search(asked):
        return "define"
    if named and re.search(r"^what is (?:\w+ ?){1,5}$", asked) and _bare_definition(asked, content):
        return "define"
    if EXPLAIN.search(asked):
        return "explain"
    if QUALITY.search(joined) and not (
        specific and not re.search(r"^(?!.* or ).*\b(?:noise|artefact|artifact|drift|quality)\b", joined)
    ):
        return "quality"
    if "lead reversal" in content.unassessed and "dextrocardia" not in joined:
        return "quality"
    if ALL_MEASURES.search(joined) and not statements:
        return "measurement"
    if named:
        return _intent_of_named(asked, joined, content, previous, follow_up, text)
    if content.unassessed:
        return None
    if re.search(
        r"\bwhat is (?:wrong|abnormal)\b|\bwhat (?:are|were) the (?:\w+ )?abnormalit|\b(?:list|name|which|what"
        r"|all)\b.*\babnormalit|\b(?:list|name|show|give|tell)\b.*\b(?:everything|all|anything|whatever|things)\b.*\babnormal\b",
        joined,
    ):
        return "query"
    if NORMAL.search(joined) or re.fullmatch(r"(?:ok|okay|fine)", joined) and "?" in text:
        return "normal"
    if SUMMARY.search(joined):
        return "summary"
    if QUERY.search(joined):
        return "query"
    return None


def _judges(joined: str, previous: Question) -> bool:
    """Whether a follow-up puts a word on the values asked for before: "is that prolonged?", "too long?"."""
    found = find_phrases(joined, ("judgement",))
    if not _values_of(previous) or len(joined.split()) > 6:
        return False
    if JUDGES_IT.match(joined):
        return bool(found) or re.search(r"\b(?:ok|okay|fine|alright)$", joined) is not None
    alone = len(found) == 1 and found[0].phrase.value not in ("normal", "abnormal")  # "normal?" asks of the whole ECG
    return alone and found[0].end - found[0].start == len(joined.split())


def _values_of(previous: Question) -> tuple[str, ...]:
    """The values a question asked for, alone or beside a finding."""
    return previous.measurements or previous.beside


def _asks_too(clause: str) -> bool:
    """Whether a clause in front of a question asks, too: no more than the name of a value or of the rhythm, or two findings of
    which one is meant ("AF or flutter, and what is the rate?")."""
    content = content_of(clause)
    named = content.covered == content.total <= 3 and {*content.groups} in ({"measurement"}, {"rhythm"})
    alone = named and not any(word.isdigit() for word in clause.split())
    return alone or len(content.mentions) > 1 and re.search(r"\bor\b", clause) is not None


def _asks_age(joined: str, content: Content) -> bool:
    """Whether a question is how old an infarction is."""
    return AGE.search(joined) is not None and not _INFARCTION.isdisjoint(content.codes)


def _finding_and_value(
    text: str, parts: Sequence[tuple[str, bool]], previous: Question | None, recordings: int
) -> Question | None:
    """A question for a finding with the values beside it that another clause asks for ("Is there AV block, and how long is the
    PR?"); None where the clauses are not of both kinds, or ask one thing: "what is the rate, is it slow?"."""
    named = [content_of(clause) for clause, _ in parts]
    on_values = [
        not content.codes and not content.unassessed and bool(content.measurements or ALL_INTERVALS.search(clause))
        for content, (clause, _) in zip(named, parts, strict=True)
    ]
    if all(on_values) or not any(on_values) or not any(content.codes for content in named):
        return None
    rest = tuple(part for part, value in zip(parts, on_values, strict=True) if not value)
    asked = typed_by_rules(text, rest, previous, recordings)
    rates = {"SBRAD", *GROUPS["tachycardia"]}
    if asked.intent not in ("verify", "choose", "query") or not asked.codes or on_values[0] and rates.issuperset(asked.codes):
        return None
    values = [name for value, content in zip(on_values, named, strict=True) if value for name in content.measurements]
    if any(value and ALL_INTERVALS.search(clause) for value, (clause, _) in zip(on_values, parts, strict=True)):
        values += INTERVALS
    return replace(asked, beside=tuple(dict.fromkeys((*asked.beside, *values))))


def _on_st(previous: Question, joined: str) -> bool:
    """Whether the question before was about the ST segment, so that a lead named now gets its level; not if it is doubted."""
    stated = bool(previous.codes) and set(previous.codes) <= {"STE_", "STD_"}
    about = stated or any(name.startswith("st_j_mv") for name in previous.measurements)
    return about and not QUALITY.search(joined) and not TRUST.search(joined)


_LATER = re.compile(r"\b(?:second|later|latest|newer|current)\b(?!.*\b(?:still|become|again)\b)")
_GIVEN = re.compile(r"\b(?:given|despite|in view of|considering|in spite of|in the (?:presence|setting|context) of)\b")


def _alternatives(content: Content) -> Content:
    """Without the group that only introduces two of its members: "are the early beats atrial or ventricular?"."""
    named = [set(codes) for kind, codes in content.mentions if kind != "measurement"]
    kept = tuple(m for m in content.mentions if m[0] == "measurement" or sum(set(m[1]) > other for other in named) < 2)
    return replace(content, mentions=kept)


def _bare_definition(asked: str, content: Content) -> bool:
    """ "what is LAFB" asks for a meaning; "what is the rhythm" and "what is the QTc" ask for what this ECG has."""
    return (
        len(content.mentions) == 1
        and content.groups[0] not in ("measurement", *GENERIC, "arrhythmia", "urgent finding")
        and re.match(r"^what is (?:the|this|that|his|her|wrong|seen|there|here)\b", asked) is None
    )


def _intent_of_named(asked: str, joined: str, content: Content, previous: Question | None, follow_up: bool, text: str) -> str:
    statements = [(kind, named) for kind, named in content.mentions if kind != "measurement"]
    if follow_up and previous is not None and previous.intent in ("certainty", "explain", "define", "compare", "cases"):
        return previous.intent
    if not statements:
        return "measurement"
    groups = {kind for kind, _ in statements}
    if len(groups) > 1 and groups <= set(GENERIC):
        return "query"
    if groups == {"abnormality"}:
        if re.search(r"\bany(?:thing)?\b|^(?:are|is|does) ", joined) and not re.search(r"\b(?:which|what|list|name)\b", joined):
            return "normal"
        return "summary" if SUMMARY.search(joined) and not QUERY.search(joined) else "query"
    only = {c for _, named in statements for c in named}
    if only <= {"LNGQT", "LPR"} and not re.search(r"\bor\b", joined):
        return "measurement"
    if re.search(
        r"\b(?:how (?:many|much|high|deep) (?:mm|mv|millimet\w+|is (?:the )?st)|st (?:level|deviation)|^quantify)\b", joined
    ) and leads_named(text):
        return "measurement"
    if content.measurements and only <= set(GROUPS["rhythm"]) and groups <= {"rhythm"} and not RHYTHM_TOO.search(joined):
        return "measurement"
    if "rate_bpm" in content.measurements and only <= {"SBRAD", *GROUPS["tachycardia"]} and _ASKS_RATE.search(joined):
        return "measurement"  # "what is the rate, is it brady?": the value, judged
    if only <= {"STE_", "STD_"} and any(m.startswith("st_j_mv") for m in content.measurements):
        return "verify"  # of named leads the levels are told, up or down
    different = len({named for _, named in statements}) > 1 and "abnormality" not in groups and groups != {ACUTE}
    slashed = re.search(r"\w ?/ ?\w", text) is not None and not re.search(r"\bany\b", joined)
    if SIDES.search(joined) and not _INFARCTION.isdisjoint(only):
        return "query"
    if different and (EITHER.search(joined) or slashed) and not re.search(r"\b(?:any|signs? of|evidence of)\b", asked):
        return "choose"
    listed = re.search(r"\b(?:which|what|where|list|name|enumerate|classify)\b|^(?:\w+ )?grade the\b", asked)
    if listed and not re.search(r"\bany\b|\bwhat about\b", asked):
        return "query"
    if groups == {"rhythm"} or (groups <= {"diagnostic", "form"} and not re.search(r"\bany\b", joined)):
        return "query"
    return "verify"


_ST_MOVED = re.compile(r"\bst(?: segment)?s? (?:\w+ ){0,2}?(?:deviat\w+|shift\w*|displac\w+|offset|levels?)\b")


_ASKS_RATE = re.compile(r"\b(?:what|how fast|how slow|tell|give)\b.*\b(?:rate|hr|pulse|frequency|bpm)\b(?!.* or )")


def _with_leads(text: str, content: Content) -> Content:
    """ST questions that name leads get the ST level of each of these leads; "ST in V2" alone is such a measurement."""
    leads = leads_named(text)
    if not content.codes and ALL_LEADS.search(" ".join(clause for clause, _ in clauses(text))):
        levels = [("measurement", (f"st_j_mv_{lead}",)) for lead in leads or STANDARD_LEADS]
        return replace(content, mentions=(*(m for m in content.mentions if not m[1][0].startswith("st_j_mv")), *levels))
    moved = leads and _ST_MOVED.search(text.lower()) is not None
    if moved:  # "by how many mV does the ST deviate in V5": not the axis
        others = [m for m in content.mentions if m[0] != "ST changes" and ("axis" in text.lower() or m[1] != ("axis_deg",))]
        content = replace(content, mentions=tuple(others))
    about_st = (
        moved
        or any(c in ("STE_", "STD_", "NST_") for c in content.codes)
        or any(m.startswith("st_j_mv") for m in content.measurements)
    )
    if not leads or not about_st or re.search(r"\bnon specific\b|\bnonspecific\b", text.lower()) or "NST_" in content.codes:
        return content
    kept = tuple(m for m in content.mentions if not (m[0] == "measurement" and m[1][0].startswith("st_j_mv")))
    return replace(content, mentions=(*kept, ("measurement", tuple(f"st_j_mv_{lead}" for lead in leads))))


_LONG_P = re.compile(
    r"\bhow (?:long|wide|broad) (?:is|are|was|were) (?:the |his |her )?p\b"
    r"|\bp(?: waves?)? (?:is |are |too |very |abnormally )*(?:wide|broad(?:ened)?|widened|long|prolonged)\b"
    r"|\b(?:wide|broad(?:ened)?|prolonged|long) p\b"
)


def _judged(joined: str, content: Content) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Codes and measurements of a measurement question; "prolonged QT" and "prolonged PR" carry their statement."""
    measurements = list(content.measurements)
    if "rr_irregularity" in measurements and not _ASKS_RATE.search(joined):  # "is the pulse regular?" asks not how fast it is
        measurements = [m for m in measurements if m not in ("rate_bpm", "rr_ms")]
    codes = [c for c in content.codes if c in ("LNGQT", "LPR", "STE_", "STD_")]
    if ALL_INTERVALS.search(joined) or not measurements and not codes and ALL_MEASURES.search(joined):
        measurements += [name for name in INTERVALS if name not in measurements]
    if not measurements and not codes:
        return (), ()
    if re.search(r"\bshort(?:ened)?\b", joined):  # the limit is QTc's
        measurements = ["qtc_ms" if m == "qt_ms" else m for m in measurements]
    if measurements == ["p_wave_share"] and _LONG_P.search(joined):
        measurements = ["p_ms"]
    if "LNGQT" in codes or (
        LONG.search(joined) and {"qt_ms", "qtc_ms"} & set(measurements) and not re.search(r"\bhow long\b", joined)
    ):
        codes = ["LNGQT"]
        both = [m for m in measurements if m in ("qt_ms", "qtc_ms")]  # the limit is QTc's; QT stays where both are named
        measurements = [*(both if len(both) > 1 else ["qtc_ms"]), *(m for m in measurements if m not in both)]
    if "LPR" in codes or (LONG.search(joined) and "pr_ms" in measurements and not re.search(r"\bhow long\b", joined)):
        codes = [*(c for c in codes if c != "LPR"), "LPR"]
        measurements = ["pr_ms", *(m for m in measurements if m != "pr_ms")]
    return tuple(dict.fromkeys(codes)), tuple(dict.fromkeys(measurements))
