"""What a question names: findings, groups, measurements and things not assessed, in order, and how much of it is known.

Shared nouns are given back to each of their adjectives first ("complete or incomplete RBBB", "is the infarct anteroseptal or
anterolateral", "ischaemic changes in the lateral leads").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.asking import JUDGED, JUDGED_CODES
from assistant.lexicon import GROUPS, Match, longest_match
from assistant.lexicon import words as lexicon_words
from assistant.plain_words import KNOWN, leads_named
from assistant.scope_model import ACUTE
from encoders.vocabulary import codes_in

__all__ = ["FILLER", "GENERIC", "Content", "content_of"]

_CONTENT_KINDS = ("statement", "group", "measurement", "value", "unassessed", "normal")
#: Groups that only introduce what is asked, where something more specific is named.
GENERIC = ("abnormality", "rhythm", "form", "diagnostic")
_WORDS = re.compile(r"\S+")
FILLER = frozenset(
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
class Content:
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


def _acute_codes(said: Sequence[str]) -> tuple[str, ...]:
    """What "acute infarction" in these words is looked for in: of STEMI and NSTEMI the ST segment too, which is measured."""
    moved = "STD_" if {"nstemi", "non"} & set(said) else "STE_" if {"stemi", "elevation"} & set(said) else ""
    return (*GROUPS["myocardial infarction"], moved) if moved else codes_in("MI")


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
        counted = longest_match(["how", "many", *words[k + 1 :]], 0, ("value",))
        if counted is not None and "many" in words[max(0, k - 4) : k]:  # "how many PVCs and PACs"
            return [*out[: k + 1], "how", "many", *out[k + 1 :]]
        right = longest_match(words, k + 1, ("statement", "group"))
        if right is None or right.end - right.start < 2:  # "right ventricular strain or hypertrophy", "ST up or down"
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


#: Sizes of the QRS voltage and their statements.
_SIZES = {
    **dict.fromkeys(("high", "large", "tall", "big", "increased"), "HVOLT"),
    **dict.fromkeys(("low", "small", "reduced", "decreased"), "LVOLT"),
}
#: Adjectives that may stand behind their noun: "is the RBBB complete", "ischaemia in the lateral leads".
_BEHIND = frozenset(
    (
        "inferior", "anterior", "lateral", "septal", "posterior", "anteroseptal", "anterolateral", "inferolateral",
        "inferoposterior", "inferoposterolateral", "complete", "incomplete",
    )
)  # fmt: skip
_BETWEEN = frozenset(("is", "are", "was", "in", "on", "of", "at", "over", "affecting", "involving", "the", "to", "it"))
#: "High-grade AV block" is of second or third degree.
_HIGH_GRADE = re.compile(r"\b(?:(?:high|higher) (?:grade|degree)|advanced) (?:av |heart |atrioventricular )?(?:block|avb)\b")
_HIGHER = ("2AVB", "3AVB")
_BLOCKS = ("AV block", "conduction disturbance")
#: Words that only qualify a finding named beside them: "slow atrial fibrillation".
_QUALIFYING = ("fast", "slow", "faster", "slower", "wide", "broad", "narrow")
#: What is regular as the beats are: "is the pulse regular?", but not "are the P waves regular?".
_BEATING = frozenset({("rate_bpm",), ("rr_ms",)})
#: Groups beside which "the voltages" are those of the left ventricle.
_LARGE = ("statement", "hypertrophy", "ventricular hypertrophy")
_REGION = frozenset(["wall", "lead", "region", "territory", "segment", "area"])


def _whole(adjective: Sequence[str], noun: Match, words: Sequence[str]) -> list[str] | None:
    """The adjective before the noun as it was said, or before its group's own name, where the lexicon knows that."""
    for tail in (words[noun.start : noun.end], lexicon_words(noun.phrase.value)):
        made = [*adjective, *tail]
        match = longest_match(made, 0, ("statement", "group"))
        if match is not None and match.end == len(made):
            return made
    return None


def _nouns(words: Sequence[str]) -> list[Match]:
    return [match for match in _matches(words) if match.phrase.kind in ("statement", "group")]


def _adjectives_behind(words: Sequence[str]) -> list[str]:
    """Bring adjectives from behind a noun before it: two that are joined by "or", else one of _BEHIND right behind it."""
    for k in range(2, len(words) - 1):
        if words[k] not in ("or", "and"):
            continue
        for noun in reversed(_nouns(words[: k - 1])[-2:]):
            for shared in ([], ["degree"] if words[k + 2 : k + 3] == ["degree"] else []):
                pair = [_whole([words[j], *shared], noun, words) for j in (k - 1, k + 1)]
                if pair[0] and pair[1]:
                    between, rest = words[noun.end : k - 1], words[k + 2 + len(shared) :]
                    return [*words[: noun.start], *between, *pair[0], words[k], *pair[1], *rest]
    for noun in _nouns(words):
        at = noun.end
        while at < len(words) and words[at] in _BETWEEN:
            at += 1
        made = _whole([words[at]], noun, words) if at < len(words) and words[at] in _BEHIND else None
        if made:
            rest = words[at + 1 :]
            return [*words[: noun.start], *made, *(rest[1:] if rest and rest[0] in _REGION else rest)]
    return list(words)


def content_of(text: str) -> Content:
    """What a text names, as the module says."""
    words = _adjectives_behind(_complete(lexicon_words(text)))
    mentions: list[tuple[str, tuple[str, ...]]] = []
    unassessed: list[str] = []
    taken = [False] * len(words)
    for match in _matches(words):
        phrase = match.phrase
        taken[match.start : match.end] = [True] * (match.end - match.start)
        if phrase.kind == "unassessed":
            if phrase.value == ACUTE:
                mentions.append((ACUTE, _acute_codes(phrase.words)))
            else:
                unassessed.append(phrase.value)
        elif phrase.kind in ("measurement", "value"):
            mentions.append(("measurement", (phrase.value,)))
        elif phrase.codes == ("PRC(S)",) and "origin" not in phrase.words:  # "extrasystoles" alone leaves their origin open
            mentions.append(("premature beats", GROUPS["premature beats"]))
        elif phrase.words == ("svt",):  # by itself it leaves open whether it comes in paroxysms
            mentions.append(("statement", ("SVTAC", "PSVT")))
        elif phrase.kind != "normal":
            codes = tuple(c for c in phrase.codes if c != "NORM")  # "any diagnostic symptom" does not ask for normality
            mentions.append((phrase.value if phrase.kind == "group" else "statement", codes))
    if _HIGH_GRADE.search(" ".join(words)):
        mentions = [("AV block", _HIGHER) if kind in _BLOCKS else (kind, named) for kind, named in mentions]
    sizes = [_SIZES[word] for word in words if word in _SIZES]
    others = {c for kind, some in mentions if kind not in ("measurement", "abnormality") for c in some}
    if "voltage" in words and sizes and others <= {*sizes}:
        # "are the QRS voltages abnormally high", "is the voltage high or low"
        mentions = [("statement", (code,)) for code in dict.fromkeys(sizes)]
        taken = [done or word in _SIZES or word == "voltage" for done, word in zip(taken, words, strict=True)]
    named = {kind for kind, _ in mentions}
    for at, word in enumerate(words):
        if taken[at]:
            continue
        if word in JUDGED_CODES:
            group = JUDGED_CODES[word]
            mentions.append((group, GROUPS.get(group, ("SBRAD",))))
            taken[at] = True
        elif word in JUDGED and "lead" not in words:
            even = JUDGED[word] == "rr_irregularity" and {m for kind, m in mentions if kind == "measurement"} <= _BEATING
            if not even and ("measurement" in named or word in _QUALIFYING and named - {"rhythm"}):
                continue
            mentions.append(("measurement", (JUDGED[word],)))
            taken[at] = True
        elif word == "voltage" and named <= {"measurement", *_LARGE} and others <= {"LVH"} and not leads_named(text):
            mentions.append(("measurement", ("sokolow_lyon_mv", "cornell_mv")))
            taken[at] = True
    known = sum(t or w in FILLER or w in KNOWN or w.isdigit() for t, w in zip(taken, words, strict=True))
    if len(mentions) > 1 and {kind for kind, _ in mentions} <= set(GENERIC):
        mentions = [m for m in mentions if m[0] != "diagnostic" and m[0] != "abnormality"] or mentions
    return Content(_specific(mentions, words), tuple(unassessed), known, len(words))


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
