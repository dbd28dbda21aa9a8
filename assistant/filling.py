"""Puts measured values, counts and table texts where a text has placeholders. The only way a number enters generated text."""

from __future__ import annotations

import re

from assistant.bare import case_counts
from assistant.evidence import Evidence
from assistant.lexicon import PLACEHOLDERS, find_phrases
from encoders.vocabulary import statement

__all__ = ["fill"]

_SLOT = re.compile(r"\[[a-z0-9_]+\]")
_SENTENCE = re.compile(r"[^.!?]+(?:\.(?!\s|$)[^.!?]*)*[.!?]?\s*")


def fill(text: str, evidence: Evidence, code: str | None = None) -> str:
    """The text with every placeholder replaced from the evidence.

    ``[k_cases]``, ``[probability]``, ``[criteria]`` and ``[citation]`` belong to the first statement their own sentence names,
    else to the last one named before it, else to ``code``. A value that is missing becomes "not measurable" or "not known";
    an unknown placeholder stays, so that the checker drops its sentence.
    """
    made: list[str] = []
    current = code
    for part in _SENTENCE.findall(text):
        if "[" in part:
            named = [m.phrase.codes[0] for m in find_phrases(part, ("statement", "normal"))]
            current = named[0] if named else current
            owner = current
            part = "".join(_value(p, evidence, owner) if _SLOT.fullmatch(p) else p for p in re.split(r"(\[[a-z0-9_]+\])", part))
        else:
            named = [m.phrase.codes[0] for m in find_phrases(part, ("statement", "normal"))]
            current = named[-1] if named else current
        made.append(part)
    return re.sub(r"\.\.(?=\s|$)", ".", "".join(made))


def _value(slot: str, evidence: Evidence, code: str | None) -> str:
    if slot in PLACEHOLDERS:
        return evidence.measurements[PLACEHOLDERS[slot]].text()
    if slot == "[n_cases]":
        return str(len(evidence.cases))
    if slot == "[quality_reasons]":
        return " ".join(evidence.quality.reasons)
    if slot not in ("[k_cases]", "[probability]", "[criteria]", "[citation]"):
        return slot
    if code is None:
        return "not known"
    if slot == "[k_cases]":
        return str(case_counts(evidence)[code])
    if slot == "[probability]":
        found = [f.percent for f in evidence.findings if f.code == code]
        return found[0] if found else "not known"
    return statement(code).criteria if slot == "[criteria]" else statement(code).citation
