"""The words the checker can read: how text is cut into words, and every phrase of the grammar by class."""

from __future__ import annotations

import re
from typing import Any

from assistant.lexicon import CASE_PLACEHOLDERS, GROUPS, PLACEHOLDERS
from assistant.parsing import Lexicon
from assistant.synonyms import MEASUREMENT_SYNONYMS, WRITTEN
from encoders.vocabulary import STATEMENTS

__all__ = ["NUMBER", "lexicon", "normal_text", "split_words"]

_WORD = re.compile(r"\s*(\[[a-z0-9_]+\]|-?\d+(?:\.\d+)?(?![\w.]*[a-z])|/min\b|[a-z0-9_]+(?:'[a-z]+)?|[°%.,;:()])")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
#: British spellings and plurals that change nothing. Typing errors are not mended here: what is printed must be right.
_SAME = {
    "ischaemia": "ischemia", "ischaemic": "ischemic", "complexes": "complex", "waves": "wave", "blocks": "block",
    "infarctions": "infarction", "infarct": "infarction", "beats": "beat", "changes": "change", "recognised": "recognized",
    "abnormalities": "abnormality", "disturbances": "disturbance", "arrhythmias": "arrhythmia", "intervals": "interval",
    "elevations": "elevation", "depressions": "depression", "inversions": "inversion", "voltages": "voltage",
    "electrocardiogram": "ecg", "ekg": "ecg", "recordings": "recording", "cases": "case", "ecgs": "ecg", "signs": "sign",
    "repolarisation": "repolarization", "degrees": "°", "degree": "degree", "findings": "finding", "leads": "lead",
    "abnormals": "abnormal", "nonspecific": "non specific", "nondiagnostic": "non diagnostic", "milliseconds": "ms",
    "unspecific": "non specific", "preexcitation": "pre excitation", "1st": "first", "2nd": "second", "3rd": "third",
    "cannot": "can not", "isn't": "is not", "aren't": "are not", "wasn't": "was not",
}  # fmt: skip
_NUMERALS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNTS = {w: i for i, w in enumerate(_NUMERALS)}
#: Families too wide to be stated; they may be denied or left open.
_FAMILIES = ("rhythm", "form", "diagnostic")
#: Names of families in written text: picked by hand, since what a question may call a family ("old infarction", "heart block")
#: often says more, or something else, than the family.
_GROUP_NAMES = {
    "myocardial infarction": ("infarction", "MI", "infarction pattern"),
    "subendocardial injury": ("subendocardial injuries", "subendocardial injury pattern"),
    "ischaemia": ("myocardial ischaemia", "ischaemic changes", "ischaemic ST-T changes", "ischaemic ST changes"),
    "ST-T changes": ("ST-T abnormality", "ST and T changes", "ST or T changes", "repolarisation abnormality",
                     "repolarisation changes", "repolarisation disturbance"),
    "ST changes": ("ST abnormality", "ST segment changes", "ST segment abnormality"),
    "T-wave changes": ("T changes",),
    "conduction disturbance": ("conduction abnormality", "conduction disorder", "conduction delay"),
    "bundle branch block": ("BBB",),
    "left bundle branch block": ("LBBB",),
    "right bundle branch block": ("RBBB",),
    "fascicular block": ("hemiblock",),
    "AV block": ("atrioventricular block",),
    "hypertrophy": ("chamber hypertrophy", "hypertrophy or enlargement"),
    "atrial enlargement": ("atrial overload", "atrial abnormality"),
    "chamber abnormality": ("chamber changes",),
    "arrhythmia": ("rhythm disorder", "rhythm disturbance", "cardiac arrhythmia"),
    "premature beats": ("ectopic beats", "premature contraction", "premature contractions", "ectopy"),
    "abnormality": ("abnormal finding", "abnormal statement"),
}  # fmt: skip
#: Further exact names that are common in writing.
_EXTRA = {"BIGU": ("bigeminy",), "TRIGU": ("trigeminy",), "STE_": ("ST elevation",), "STD_": ("ST depression",),
          "PVC": ("ventricular premature beat", "ventricular ectopy", "premature ventricular complex",
                  "ventricular extrasystole"),
          "PAC": ("atrial premature beat", "premature atrial complex", "atrial extrasystole"),
          "QWAVE": ("Q wave",), "INVT": ("inverted T wave", "T-wave inversion"), "1AVB": ("AV block of the first degree",),
          "2AVB": ("AV block of the second degree",), "3AVB": ("AV block of the third degree",),
          "AFLT": ("atrial flutter",), "LAO/LAE": ("left atrial enlargement", "left atrial overload or enlargement"),
          "RAO/RAE": ("right atrial enlargement", "right atrial overload or enlargement")}  # fmt: skip
_UNITS = {"ms": "ms", "/min": "/min", "bpm": "/min", "beat per minute": "/min", "per minute": "/min", "°": "°", "mv": "mV"}
_JUDGED = {
    "normal": (
        "normal",
        "within normal limits",
        "within limits",
        "within the normal range",
        "in the normal range",
        "unremarkable",
    ),
    "prolonged": ("prolonged", "long", "lengthened"),
    "short": ("short", "shortened"),
    "wide": ("wide", "broad", "widened"),
    "narrow": ("narrow",),
    "slow": ("slow", "bradycardic"),
    "low": ("low",),
    "fast": ("fast", "rapid", "tachycardic"),
    "high": ("high",),
    "slightly prolonged": ("slightly prolonged",),
    "markedly prolonged": ("markedly prolonged",),
    "left": ("deviated to the left", "leftward", "left"),
    "right": ("deviated to the right", "rightward", "right"),
    "extreme": ("extreme", "extremely deviated"),
    "raised": ("raised", "elevated"),
    "depressed": ("depressed", "lowered"),
    "abnormal": ("abnormal",),
}


def normal_text(text: str) -> str:
    """Lower case, plain hyphens and minus signs, hyphens and slashes between letters parted."""
    text = text.lower().replace("’", "'").replace("–", "-").replace("−", "-").replace("\u00a0", " ")
    text = re.sub(r"(?<=[a-z0-9])-(?=[a-z])|(?<=[a-z])-(?=[0-9])|(?<=[a-z])/(?=[a-z])", " ", text)
    return text.strip()


def split_words(text: str) -> tuple[str, ...] | None:
    """Normalised words, numbers and marks of a text; None where a character belongs to none of them."""
    text = normal_text(text)
    out: list[str] = []
    at = 0
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None:
            return None
        word = found.group(1)
        out.extend(_SAME[word].split() if word in _SAME else (word,))
        at = found.end()
    return tuple(out)


def lexicon() -> Lexicon:
    """Phrases by class and first word: F statements and families, M measurements, U units, W and A judging words (A: of the
    axis), K counts, P placeholders of measurements, C of a probability."""
    tables: dict[str, dict[tuple[str, ...], Any]] = {name: {} for name in ("F", "M", "U", "W", "A", "K", "P", "C")}

    def add(table: str, text: str, value: Any) -> None:
        words = split_words(text)
        if words:
            tables[table].setdefault(words, value)

    for s in STATEMENTS:
        for text in (s.name, *WRITTEN[s.code], *_EXTRA.get(s.code, ())):
            add("F", text, ((s.code,), "all"))
    for name, codes in GROUPS.items():
        for text in (name, *_GROUP_NAMES.get(name, ())):
            one = tables["F"].get(split_words(text) or ())
            if one is not None and one[1] == "all" and one[0][0] in codes:  # "inferior infarction": a statement and a family
                tables["F"][split_words(text) or ()] = ((*one[0], *(c for c in codes if c not in one[0])), "site")
            add("F", text, (codes, "family" if name in _FAMILIES else "any"))
    for name, texts in MEASUREMENT_SYNONYMS.items():
        for text in texts:
            add("M", text, name)
    for unit, printed in _UNITS.items():
        add("U", unit, printed)
    for word, texts in _JUDGED.items():
        for text in texts:
            add("W", text, word)
    for side in ("left", "right", "extreme"):
        add("A", f"{side} axis deviation", side)
        add("A", f"{side} axis", side)
    add("A", "normal axis", "normal")
    for text, count in _COUNTS.items():
        add("K", text, count)
    for placeholder, name in PLACEHOLDERS.items():
        add("P", placeholder, (name, placeholder))
    for text in CASE_PLACEHOLDERS:
        add("K", text, -1)
    add("C", "[probability]", "[probability]")
    out: Lexicon = {}
    for name, table in tables.items():
        out[name] = {}
        for words, value in sorted(table.items(), key=lambda kv: -len(kv[0])):
            out[name].setdefault(words[0], []).append((words, value))
    return out
