"""Takes what may name a patient out of free text, before it is kept.

Questions and corrected sentences are typed by people, and people type names. What can be told by its form goes: paths and
file names, addresses, dates, long numbers, numbers mixed with letters, and capitalised words within a sentence that are no
clinical words. It is a net, not a promise: a name that is written like an ordinary word stays, so whoever types is asked not
to write names.
"""

from __future__ import annotations

import re
from functools import cache

from encoders.vocabulary import STATEMENTS

__all__ = ["MASK", "masked"]

MASK = "[masked]"
#: Names of people that stand for a sign, a formula or a disease; they stay.
_EPONYMS = (
    "adams", "andersen", "ashman", "bachmann", "bazett", "brugada", "chagas", "cornell", "ebstein", "einthoven", "estes",
    "fallot", "framingham", "fridericia", "ganong", "goldberger", "his", "hodges", "holter", "james", "kent", "levine", "lown",
    "lyon", "mahaim", "mobitz", "morris", "osborn", "parkinson", "prinzmetal", "purkinje", "romhilt", "sgarbossa", "sokolow",
    "spodick", "stokes", "takotsubo", "tawara", "timothy", "wellens", "wenckebach", "white", "wilson", "winter", "wolff",
)  # fmt: skip
_ENDINGS = "hea|dat|mat|edf|bdf|dcm|dicom|xml|scp|ecg|csv|tsv|npy|npz|txt|pdf|zip|json|png|jpe?g|docx?|xlsx?"
_SHAPES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\S+@\S+",
        r"\w+://\S+",
        r"(?<!\S)(?:[a-z]:)?[~.]{0,2}[\\/]\S+",  # /home/…, ~/…, C:\…
        r"\S+[\\/]\S*[\\/]\S*",  # a/b/c; ST/T and LAO/LAE stay
        rf"[^\s,;]+\.(?:{_ENDINGS})\b",
        r"\b\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\b",  # dates
        r"\b\d(?:[ -]?\d){6,}\b",  # telephone and insurance numbers
        r"\b(?=\w*\d{5})\w+\b|\b(?=\w*[a-z])(?=(?:\w*\d){4})\w+\b",  # record numbers
    )
)
_NAME = r"[A-ZÀ-Þ][\w'’-]*"
_AFTER_TITLE = re.compile(
    rf"\b((?i:mr|mrs|ms|miss|dr|prof|herr|frau|named|name(?: is)?|patient)\b[.:]?\s+)({_NAME})(?:\s+{_NAME})*"
)
_CAPITALISED = re.compile(r"(?<=[^\s.!?:\n])(\s+)([A-ZÀ-Þ][a-zß-ÿ'’][\w'’-]*)")


@cache
def _clinical() -> frozenset[str]:
    words = set(_EPONYMS)
    for statement in STATEMENTS:
        words.update(re.findall(r"[a-zà-ÿ]+", f"{statement.name} {statement.criteria} {statement.citation}".lower()))
    return frozenset(words)


def _known(word: str) -> bool:
    return all(part in _clinical() or part.removesuffix("s") in _clinical() for part in re.findall(r"[a-zà-ÿ]+", word.lower()))


def masked(text: str) -> str:
    """The text with ``[masked]`` where something stood that may name a patient; white space collapsed."""
    out = " ".join(text.encode("utf-8", "ignore").decode().split())
    for shape in _SHAPES:
        out = shape.sub(MASK, out)
    out = _AFTER_TITLE.sub(lambda found: found[0] if _known(found[2]) else found[1] + MASK, out)
    return _CAPITALISED.sub(lambda found: found[0] if _known(found[2]) else found[1] + MASK, out)
