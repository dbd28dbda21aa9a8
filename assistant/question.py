"""From a typed question to a typed one: intent, codes, measurements, or why it is declined.

Rules: clauses beyond the scope are set aside, the lexicon finds what the rest names, patterns find what is asked of it. What
they leave open, and what no pattern foresaw, is the matter of ``assistant.understanding``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from assistant.asking import (
    ABOUT_ECG,
    ABOUT_PERSON,
    ALL_MEASURES,
    ASKING,
    BROKEN,
    CASES,
    CERTAINTY,
    COMPARE,
    COMPARE_TWO,
    DEFINE,
    EXPLAIN,
    JUDGED,
    JUDGED_CODES,
    LEFT_OPEN,
    LONG,
    NORMAL,
    QUALITY,
    QUERY,
    SIGNAL,
    SUMMARY,
    SURELY_ECG,
    TRUST,
)
from assistant.intents import Question, parted
from assistant.lexicon import GROUPS, Match, longest_match
from assistant.lexicon import words as lexicon_words
from assistant.plain_words import KNOWN, clauses, leads_named
from assistant.scope import INTENDED_USE, reason_for, topic_of
from assistant.scope_model import ACUTE
from encoders.vocabulary import codes_in

__all__ = [
    "ASK_BACK",
    "GENERIC",
    "GUESS",
    "INTERVALS",
    "LONGEST_QUESTION",
    "NO_PREVIOUS",
    "UNCLEAR_BELOW",
    "asks_for_absence",
    "content_of",
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
_NEEDS_SECOND = "A comparison needs a second recording of the same patient; please open it beside this one."

#: Confidence of a decline that rests only on the absence of every known word; the sentence model may overrule it.
GUESS = 0.5
#: Confidence of an intent found by a loose pattern alone; the sentence model may decline it.
_WEAK = 0.6

_CONTENT_KINDS = ("statement", "group", "measurement", "value", "unassessed", "normal")
INTERVALS = ("pr_ms", "qrs_ms", "qt_ms", "qtc_ms")

_INFARCTION = frozenset(codes_in("MI"))
GENERIC = ("abnormality", "rhythm", "form", "diagnostic")
_WORDS = re.compile(r"\S+")
_FILLER = frozenset(
    _WORDS.findall(
        """a an the of in on at to for this that these those it its i we you he she they me us him her them my our your his and or
    is are was were be been am does do did has have had can could would should may might will shall any some there here no not
    yes please ecg pt patient patients tracing trace recording strip what which where when who why how show shows showing see
    seen seeing present visible evidence sign signs hint suggestion suggestive consistent with by from as if whether tell give
    about just now then also still only both either all one right correct true really actually possible possibly likely
    probable so but year years old yo man woman male female lead leads symptoms symptom kind kinds type types think call find
    found look looks like ask asking question want need know check confirm exclude rule out criteria met y o"""
    )
)


@dataclass(frozen=True)
class _Content:
    """What a text names: one tuple of codes or one measurement per mention, in order."""

    mentions: tuple[tuple[str, tuple[str, ...]], ...]  # (kind or group name, codes or measurement)
    unassessed: tuple[str, ...]
    covered: int
    total: int

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c for kind, named in self.mentions if kind != "measurement" for c in named))

    @property
    def measurements(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(m for kind, named in self.mentions if kind == "measurement" for m in named))

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(kind for kind, _ in self.mentions)


def _matches(words: Sequence[str]) -> list[Match]:
    found, at = [], 0
    while at < len(words):
        match = longest_match(words, at, _CONTENT_KINDS)
        if match is None:
            at += 1
        else:
            found.append(match)
            at = match.end
    return found


def _complete(words: Sequence[str]) -> list[str]:
    """Open "complete or incomplete right bundle branch block" and "left and right atrial enlargement" to two full phrases."""
    out = list(words)
    for k in range(len(words) - 2, 0, -1):
        if words[k] not in ("or", "and"):
            continue
        right = longest_match(words, k + 1, ("statement", "group"))
        if right is None:
            continue
        if right.end - right.start < 2:  # "right ventricular strain or hypertrophy"
            for size in (2, 1):
                shared = list(words[max(0, k - 1 - size) : k - 1])
                match = longest_match([*shared, words[k + 1]], 0, ("statement", "group")) if shared else None
                if match is not None and match.end == size + 1:
                    return [*out[: k + 1], *shared, *out[k + 1 :]]
            continue
        for size in (3, 2, 1):
            left = list(words[max(0, k - size) : k])
            if len(left) < size or longest_match(left, 0, _CONTENT_KINDS) is not None and len(left) > 1:
                continue
            for tail in range(right.start + 1, right.end):
                whole = [*left, *words[tail : right.end]]
                match = longest_match(whole, 0, ("statement", "group"))
                if match is not None and match.end == len(whole):
                    return [*out[:k], *words[tail : right.end], *out[k:]]
    return out


def content_of(text: str) -> _Content:
    words = _complete(lexicon_words(text))
    mentions: list[tuple[str, tuple[str, ...]]] = []
    unassessed: list[str] = []
    taken = [False] * len(words)
    for match in _matches(words):
        phrase = match.phrase
        taken[match.start : match.end] = [True] * (match.end - match.start)
        if phrase.kind == "unassessed":
            if phrase.value == ACUTE:
                mentions.append((ACUTE, codes_in("MI")))
            else:
                unassessed.append(phrase.value)
        elif phrase.kind in ("measurement", "value"):
            mentions.append(("measurement", (phrase.value,)))
        elif phrase.codes == ("PRC(S)",):  # "extrasystoles" alone leaves their origin open
            mentions.append(("premature beats", GROUPS["premature beats"]))
        elif phrase.kind != "normal":
            codes = tuple(c for c in phrase.codes if c != "NORM")  # "any diagnostic symptom" does not ask for normality
            mentions.append((phrase.value if phrase.kind == "group" else "statement", codes))
    named = {kind for kind, _ in mentions}
    for at, word in enumerate(words):
        if taken[at]:
            continue
        if word in JUDGED_CODES:
            group = JUDGED_CODES[word]
            mentions.append((group, GROUPS.get(group, ("SBRAD",))))
            taken[at] = True
        elif word in JUDGED and "measurement" not in named and ("lead" not in words):
            if word in ("fast", "slow", "wide", "broad", "narrow", "regular", "irregular") and named - {"rhythm"}:
                continue
            mentions.append(("measurement", (JUDGED[word],)))
            taken[at] = True
    known = sum(t or w in _FILLER or w in KNOWN or w.isdigit() for t, w in zip(taken, words, strict=True))
    if len(mentions) > 1 and {kind for kind, _ in mentions} <= set(GENERIC):
        mentions = [m for m in mentions if m[0] != "diagnostic" and m[0] != "abnormality"] or mentions
    return _Content(_specific(mentions, words), tuple(unassessed), known, len(words))


def _specific(mentions: list[tuple[str, tuple[str, ...]]], words: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Without the generic names that only introduce a specific one ("symptoms of LBBB", "which rhythm, AF or flutter")."""
    specific = any(kind not in ("measurement", *GENERIC) for kind, _ in mentions)
    if specific:
        bare_block = not {"conduction", "heart"} & set(words)
        mentions = [
            m
            for m in mentions
            if m[0] not in GENERIC and not (bare_block and m[0] == "conduction disturbance" and len(mentions) > 1)
        ]
    elif any(kind == "measurement" for kind, _ in mentions):
        mentions = [m for m in mentions if m[0] != "abnormality"]
    if ("measurement", ("p_wave_share",)) in mentions:  # "a P wave before every QRS" asks nothing of the QRS
        mentions = [m for m in mentions if m[1] != ("qrs_ms",)]
    return tuple(mentions)


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
        topics.append(topic_of(clause, has_content=bool(content.mentions)))
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
    content = content_of(joined)
    if first:  # "his mother had AF. Is this sinus rhythm?": what is asked goes before what is told
        narrower = content_of(asked)
        content = narrower if narrower.mentions else content
    content = _with_leads(text, content)
    leads = leads_named(text)
    if (
        previous is not None
        and leads
        and not content.codes
        and len(joined.split()) <= 6
        and any(m.startswith("st_j_mv") for m in previous.measurements)
    ):
        levels = tuple(f"st_j_mv_{lead}" for lead in leads)  # "and in V3?"
        return replace(previous, text=text, measurements=levels, recordings=recordings, confidence=0.9, reason="")
    intent = told or _intent(asked, joined, content, previous, recordings, text)
    codes, measurements, reason = content.codes, content.measurements, ""
    if intent is None:
        if content.unassessed:
            return declined_as(text, "not_assessed", recordings)
        words = [w for w in joined.split() if w not in _FILLER]
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
    leans = intent in ("explain", "certainty") or intent == "compare" and short
    if leans and previous is not None and not codes and not measurements:
        codes, measurements = previous.codes, previous.measurements
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
        reason = _NEEDS_SECOND
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


def _intent(asked: str, joined: str, content: _Content, previous: Question | None, recordings: int, text: str) -> str | None:
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
    if (
        previous is not None
        and not named
        and re.search(r"\bwhere (?:do|can|did) (?:you|i|one) see\b|\bin which leads?$|^where$", joined)
    ):
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
        r"|all)\b.*\babnormalit",
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


def _bare_definition(asked: str, content: _Content) -> bool:
    """ "what is LAFB" asks for a meaning; "what is the rhythm" and "what is the QTc" ask for what this ECG has."""
    return (
        len(content.mentions) == 1
        and content.groups[0] not in ("measurement", "rhythm", "abnormality", "diagnostic", "form", "arrhythmia")
        and re.match(r"^what is (?:the|this|that|his|her|wrong|seen|there|here)\b", asked) is None
    )


def _intent_of_named(asked: str, joined: str, content: _Content, previous: Question | None, follow_up: bool, text: str) -> str:
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
        r"\b(?:how (?:many|much|high|deep) (?:mm|mv|millimet\w+|is the st)|st (?:level|deviation))\b", joined
    ) and leads_named(text):
        return "measurement"
    if content.measurements and only <= set(GROUPS["rhythm"]) and groups <= {"rhythm"}:
        return "measurement"
    different = len({named for _, named in statements}) > 1 and "abnormality" not in groups
    slashed = re.search(r"\w ?/ ?\w", text) is not None and not re.search(r"\bany\b", joined)
    if different and (re.search(r"\bor\b", joined) or slashed) and not re.search(r"\b(?:any|signs? of|evidence of)\b", asked):
        return "choose"
    if re.search(r"\b(?:which|what|where|list|name|enumerate)\b", asked) and not re.search(r"\bany\b|\bwhat about\b", asked):
        return "query"
    if groups == {"rhythm"} or (groups <= {"diagnostic", "form"} and not re.search(r"\bany\b", joined)):
        return "query"
    return "verify"


def _with_leads(text: str, content: _Content) -> _Content:
    """ST questions that name leads get the ST level of each of these leads; "ST in V2" alone is such a measurement."""
    leads = leads_named(text)
    about_st = any(c in ("STE_", "STD_", "NST_") for c in content.codes) or any(
        m.startswith("st_j_mv") for m in content.measurements
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


def _judged(joined: str, content: _Content) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Codes and measurements of a measurement question; "prolonged QT" and "prolonged PR" carry their statement."""
    measurements = list(content.measurements)
    if "rr_ms" in measurements and re.search(r"\b(?:ir)?regular(?:ly|ity)?\b", joined):
        measurements = ["rr_irregularity" if m == "rr_ms" else m for m in measurements]
    codes = [c for c in content.codes if c in ("LNGQT", "LPR", "STE_", "STD_")]
    if not measurements and not codes:
        return (), INTERVALS if ALL_MEASURES.search(joined) else ()
    if measurements == ["p_wave_share"] and _LONG_P.search(joined):
        measurements = ["p_ms"]
    if "LNGQT" in codes or (
        LONG.search(joined) and {"qt_ms", "qtc_ms"} & set(measurements) and not re.search(r"\bhow long\b", joined)
    ):
        codes = ["LNGQT"]
        measurements = ["qtc_ms", *(m for m in measurements if m not in ("qt_ms", "qtc_ms"))]
    if "LPR" in codes or (LONG.search(joined) and "pr_ms" in measurements and not re.search(r"\bhow long\b", joined)):
        codes = [*(c for c in codes if c != "LPR"), "LPR"]
        measurements = ["pr_ms", *(m for m in measurements if m != "pr_ms")]
    return tuple(dict.fromkeys(codes)), tuple(dict.fromkeys(measurements))
