"""The words of the assistant: every phrase for a statement, a group, a measurement, a doubt or a judgement.

Writer, checker and question parser share these phrases, so that what one writes the others read. Pure data and small
lookups; British and American spellings and common misspellings meet in ``normalise``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.synonyms import GROUP_SYNONYMS, MEASUREMENT_SYNONYMS, MORE_SYNONYMS, SPELLINGS, STATEMENT_SYNONYMS, UNASSESSED
from encoders.measurements import MEASUREMENT_NAMES
from encoders.vocabulary import STATEMENTS, codes_in, statement

__all__ = [
    "CASE_PLACEHOLDERS",
    "GROUPS",
    "HEDGES",
    "JUDGEMENTS",
    "NEGATIONS",
    "OTHER_PLACEHOLDERS",
    "PHRASES",
    "PLACEHOLDERS",
    "Match",
    "Phrase",
    "canonical",
    "find_phrases",
    "group_codes",
    "longest_match",
    "normalise",
    "synonyms",
    "tokens",
    "words",
]

#: Placeholders of generated text and the measurement each stands for.
PLACEHOLDERS: dict[str, str] = {f"[{name.lower()}]": name for name in MEASUREMENT_NAMES}
#: Placeholders for counts of similar cases: how many were found, and how many of them carry the statement named.
CASE_PLACEHOLDERS = ("[n_cases]", "[k_cases]")
#: Placeholders for texts and numbers that come from tables or other evidence, never from the model.
OTHER_PLACEHOLDERS = ("[probability]", "[criteria]", "[citation]", "[quality_reasons]")

_TOKEN = re.compile(
    r"\[[a-z0-9_]+\]|(?<![a-z0-9])-\d+(?:\.\d+)?|\d+\.\d+|/min\b|\d+(?:st|nd|rd|th)\b|[a-z0-9]+(?:'[a-z]+)?|[°%.,;:()?!]"
)


def normalise(word: str) -> str:
    """One word in lower case, with American spelling and common misspellings mended ("ischaemia" -> "ischemia")."""
    word = word.lower().replace("’", "'")
    return SPELLINGS.get(word, word)


def tokens(text: str) -> tuple[str, ...]:
    """Normalised words, numbers, placeholders and punctuation marks of a text, in order; hyphens and slashes part words.

    "First-degree AV block, 72/min." -> ("first", "degree", "av", "block", ",", "72", "/min", ".")
    """
    found = _TOKEN.findall(text.lower().replace("’", "'").replace("–", "-").replace("−", "-"))
    return tuple(SPELLINGS.get(word, word) for word in found)


def words(text: str) -> tuple[str, ...]:
    """Like ``tokens`` without punctuation."""
    return tuple(t for t in tokens(text) if t not in set("°%.,;:()?!"))


@dataclass(frozen=True)
class Phrase:
    """A run of normalised words and what it means.

    ``kind``: "statement" (``codes``: one or more), "group" (``value``: the group, ``codes``: its members),
    "measurement" (``value``: a name of MEASUREMENT_NAMES), "value" (one of MORE_NAMES: understood, never generated), "hedge"
    (``value``: "probable" or "undetermined"),
    "negation", "judgement" (``value``: one of JUDGEMENTS), "normal" (the whole recording, NORM) or "unassessed"
    (``value``: a thing people ask of an ECG that no statement answers, e.g. an acute infarction).
    """

    words: tuple[str, ...]
    kind: str
    codes: tuple[str, ...] = ()
    value: str = ""
    canonical: bool = False


@dataclass(frozen=True)
class Match:
    """A phrase found at ``words[start:end]``."""

    phrase: Phrase
    start: int
    end: int


#: Groups of statements by name. Families first, then the superclasses of PTB-XL.
GROUPS: dict[str, tuple[str, ...]] = {
    "myocardial infarction": tuple(c for c in codes_in("MI") if not c.startswith("INJ")),
    "inferior infarction": ("IMI", "ILMI", "IPMI", "IPLMI"),
    "anterior infarction": ("AMI", "ASMI", "ALMI"),
    "lateral infarction": ("LMI", "ALMI", "ILMI", "IPLMI"),
    "posterior infarction": ("PMI", "IPMI", "IPLMI"),
    "subendocardial injury": tuple(s.code for s in STATEMENTS if s.code.startswith("INJ")),
    "ischaemia": tuple(s.code for s in STATEMENTS if s.code.startswith("ISC")),
    "inferior ischaemia": ("ISCIN", "ISCIL"),
    "anterior ischaemia": ("ISCAN", "ISCAS", "ISCAL"),
    "lateral ischaemia": ("ISCLA", "ISCAL", "ISCIL"),
    "ST-T changes": tuple(dict.fromkeys((*codes_in("STTC"), "STD_", "STE_", "TAB_", "NT_", "LOWT", "INVT"))),
    "ST changes": ("NST_", "STD_", "STE_"),
    "T-wave changes": ("NDT", "NT_", "INVT", "LOWT", "TAB_"),
    "conduction disturbance": codes_in("CD"),
    "bundle branch block": ("CLBBB", "CRBBB", "ILBBB", "IRBBB"),
    "left bundle branch block": ("CLBBB", "ILBBB"),
    "right bundle branch block": ("CRBBB", "IRBBB"),
    "fascicular block": ("LAFB", "LPFB"),
    "AV block": ("1AVB", "2AVB", "3AVB"),
    "hypertrophy": codes_in("HYP"),
    "ventricular hypertrophy": ("LVH", "RVH", "SEHYP"),
    "atrial enlargement": ("LAO/LAE", "RAO/RAE"),
    "chamber abnormality": codes_in("HYP"),
    "rhythm": codes_in("rhythm"),
    "arrhythmia": (
        "AFIB", "AFLT", "SVARR", "SVTAC", "PSVT", "STACH", "SBRAD", "SARRH", "PVC", "PAC", "PRC(S)", "BIGU", "TRIGU",
        "2AVB", "3AVB",
    ),
    "supraventricular rhythm disturbance": ("AFIB", "AFLT", "SVTAC", "PSVT", "SVARR"),
    "tachycardia": ("STACH", "SVTAC", "PSVT"),
    "premature beats": ("PVC", "PAC", "PRC(S)"),
    "voltage abnormality": ("LVOLT", "HVOLT", "VCLVH"),
    "form": codes_in("form"),
    "diagnostic": codes_in("diagnostic"),
    "urgent finding": tuple(s.code for s in STATEMENTS if s.urgency in ("critical", "urgent")),
    "abnormality": tuple(s.code for s in STATEMENTS if s.code not in ("NORM", "SR")),
}  # fmt: skip

#: Judgements on a measurement, and the words for each. The key is what ``encoders.criteria`` calls it.
JUDGEMENTS: dict[str, tuple[str, ...]] = {
    "normal": (
        "normal",
        "within normal limits",
        "within limits",
        "unremarkable",
        "in the normal range",
        "within the normal range",
    ),
    "prolonged": ("prolonged", "long", "lengthened", "too long"),
    "slightly prolonged": ("slightly prolonged", "slightly widened", "borderline"),
    "markedly prolonged": ("markedly prolonged", "very long", "extremely prolonged"),
    "short": ("short", "shortened", "abbreviated", "too short"),
    "wide": ("wide", "broad", "widened", "broadened"),
    "narrow": ("narrow",),
    "slow": ("slow", "low", "bradycardic", "too slow"),
    "fast": ("fast", "high", "rapid", "tachycardic", "too fast"),
    "irregular": ("irregular", "not regular"),
    "regular": ("regular",),
    "left": ("left", "leftward", "deviated to the left", "left axis deviation", "left deviation"),
    "right": ("right", "rightward", "deviated to the right", "right axis deviation", "right deviation"),
    "extreme": ("extreme", "extreme axis deviation", "northwest", "extreme deviation", "indeterminate"),
    "raised": ("raised", "elevated", "increased"),
    "depressed": ("depressed", "lowered"),
    "abnormal": ("abnormal", "out of range", "outside the limits"),
    "not measurable": ("not measurable", "cannot be measured", "could not be measured", "unmeasurable", "not measured"),
}

HEDGES: dict[str, tuple[str, ...]] = {
    "probable": ("probable", "probably", "likely", "suspected", "presumed", "suggestive of", "consistent with"),
    "possible": ("possible", "possibly", "perhaps", "maybe"),
    "undetermined": (
        "undetermined", "cannot be judged", "can not be judged", "cannot be excluded", "can not be excluded",
        "cannot be ruled out", "cannot be confirmed or excluded", "not certain", "uncertain", "could not be judged",
        "cannot be determined", "remains open", "remain open", "cannot exclude", "cannot rule out", "left open", "unclear",
        "cannot be decided", "is open", "are open", "undecided", "not decided",
    ),
    "not assessed": ("not assessed", "was not assessed", "were not assessed", "is not assessed", "are not assessed",
                     "outside what was assessed", "not evaluated"),
}  # fmt: skip

NEGATIONS = (
    "no", "not", "without", "absent", "no evidence of", "no sign of", "no signs of", "free of", "nor", "neither", "none",
    "none of", "absence of", "not seen", "not present", "not found", "isn't", "doesn't", "aren't", "not stated", "not there",
)  # fmt: skip


def _build() -> tuple[Phrase, ...]:
    made: dict[tuple[str, ...], Phrase] = {}

    def add(text: str, kind: str, codes: tuple[str, ...], value: str, canonical: bool = False) -> None:
        key = words(text)
        if key and key not in made:  # the first meaning of a phrase stands: statements, then groups, then the rest
            made[key] = Phrase(key, kind, codes, value, canonical)

    for s in STATEMENTS:
        kind = "normal" if s.code == "NORM" else "statement"
        add(s.name, kind, (s.code,), s.code, True)
    for s in STATEMENTS:
        kind = "normal" if s.code == "NORM" else "statement"
        for text in STATEMENT_SYNONYMS[s.code]:
            add(text, kind, (s.code,), s.code)
    for name, codes in GROUPS.items():
        add(name, "group", codes, name, True)
        for text in GROUP_SYNONYMS.get(name, ()):
            add(text, "group", codes, name)
    for name, texts in MEASUREMENT_SYNONYMS.items():
        for i, text in enumerate(texts):
            add(text, "measurement", (), name, i == 0)
    for name, texts in MORE_SYNONYMS.items():
        for text in texts:
            add(text, "value", (), name)
    for name, texts in UNASSESSED.items():
        for i, text in enumerate((name, *texts)):
            add(text, "unassessed", (), name, i == 0)
    for table, kind in ((HEDGES, "hedge"), (JUDGEMENTS, "judgement")):
        for value, texts in table.items():
            for i, text in enumerate(texts):
                add(text, kind, (), value, i == 0)
    for text in NEGATIONS:
        add(text, "negation", (), "no")
    for s in STATEMENTS:  # codes themselves, where they are not ordinary words
        if s.code not in ("NORM",):
            add(s.code, "statement", (s.code,), s.code)
    return tuple(made.values())


PHRASES: tuple[Phrase, ...] = _build()
_BY_WORDS = {p.words: p for p in PHRASES}
_LONGEST = max(len(p.words) for p in PHRASES)


def longest_match(word_list: Sequence[str], start: int, kinds: Sequence[str] | None = None) -> Match | None:
    """The longest phrase that begins at ``word_list[start]`` (normalised words or tokens), of these kinds or of any."""
    for end in range(min(len(word_list), start + _LONGEST), start, -1):
        phrase = _BY_WORDS.get(tuple(word_list[start:end]))
        if phrase is not None and (kinds is None or phrase.kind in kinds):
            return Match(phrase, start, end)
    return None


def find_phrases(text: str, kinds: Sequence[str] | None = None) -> tuple[Match, ...]:
    """All phrases of a text from left to right, longest first, never overlapping; positions count ``words(text)``."""
    word_list = words(text)
    found: list[Match] = []
    at = 0
    while at < len(word_list):
        match = longest_match(word_list, at, kinds)
        if match is None:
            at += 1
        else:
            found.append(match)
            at = match.end
    return tuple(found)


def canonical(code: str) -> str:
    """The name that reports print for a code, e.g. "complete left bundle branch block"."""
    return statement(code).name


def synonyms(code: str) -> tuple[str, ...]:
    """All phrases for a code that mean it alone, canonical name first. Fit for reading; ``compose`` writes a part of them."""
    return (statement(code).name, *STATEMENT_SYNONYMS[code])


def group_codes(name: str) -> tuple[str, ...]:
    """Members of a group of GROUPS; KeyError where there is none."""
    return GROUPS[name]
