"""Judging words of measurements ("QRS wide"), as evidence text and sentences use them. The limits are ``encoders.criteria``'s."""

from __future__ import annotations

from assistant.evidence import Evidence
from encoders.criteria import judge
from encoders.measurements import MEASUREMENT_NAMES

__all__ = ["judged_words", "said_by_value"]

#: Words of the criteria that sentences say otherwise, since "tachycardia" names a statement there.
_SAID = {
    "bradycardia": "slow",
    "extreme bradycardia": "slow",
    "tachycardia": "fast",
    "extreme tachycardia": "fast",
    "wide-complex tachycardia": "fast",
    "elevated": "raised",
}
#: Statements that are nothing but a measurement beyond its limit.
_SAYING = {"LPR": "pr_ms", "LNGQT": "qtc_ms"}


def judged_words(evidence: Evidence) -> dict[str, str]:
    """Word per measurement where a limit applies.

    normal, slow, fast, short, prolonged, slightly prolonged, markedly prolonged, wide, left, right, extreme, high or raised. A
    measurement without a value, or whose limit needs an age or sex that is unknown, has none.
    """
    judged = judge(evidence.measurements, evidence.age_years, evidence.sex)
    said = (j for j in judged if j.word != "withheld" and j.measurement in MEASUREMENT_NAMES)
    return {j.measurement: _SAID.get(j.word, j.word) for j in said}


def said_by_value(evidence: Evidence, code: str) -> str | None:
    """The measurement that says what a statement would (a long PR, a long QTc), where it does; None otherwise."""
    name = _SAYING.get(code)
    return name if name is not None and judged_words(evidence).get(name) in ("prolonged", "markedly prolonged") else None
