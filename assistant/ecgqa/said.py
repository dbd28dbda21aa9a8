"""The sentence beside an answer: what was understood, what is answered, and how likely it is to be right."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.ecgqa.asked import Asked
from assistant.ecgqa.decide import Decided
from assistant.ecgqa.values import LEADS, NONE, NOT_SURE

__all__ = ["said"]

_RELATION = {
    "resolved": "resolved in the later recording", "new": "new in the later recording", "still": "in both recordings",
    "absent": "in neither recording",
}  # fmt: skip
_NUMERIC = {
    "resolved": "become normal in the later recording", "new": "become abnormal in the later recording",
    "still": "abnormal in both recordings", "absent": "normal in both recordings",
}  # fmt: skip
_WHAT = {
    "scp_code": "statements", "noise": "noise", "stage_of_infarction": "stage of infarction", "extra_systole": "extra systoles",
    "heart_axis": "heart axis", "numeric_feature": "intervals",
}  # fmt: skip


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))


def said(asked: Asked, decided: Decided) -> str:
    """One or two plain sentences; the values in ECG-QA's own words."""
    names = [t.name for t in asked.targets]
    what = _listed([{"any": f"any {_WHAT[asked.attribute]}", "normal": "a normal ECG", "abnormal": "anything abnormal"}.get(n, n)
                    for n in names]) or _WHAT[asked.attribute]  # fmt: skip
    place = "" if asked.lead is None else f" in {LEADS[asked.lead]}"
    if asked.relation:
        place = f" {(_NUMERIC if asked.attribute == 'numeric_feature' else _RELATION)[asked.relation]}"
    elif asked.ranges:
        place = f" {_listed([r if r != 'abnormal' else 'outside the normal range' for r in asked.ranges])}"
    head = f"{what}{place}"
    if asked.kind == "verify":
        answer = {"yes": "yes", "no": "no", NOT_SURE: "not sure"}[decided.values[0]]
        text = f"{head[0].upper()}{head[1:]}: {answer}."
    else:
        if asked.wants == "leads":
            head = f"leads with {what}"
        answer = "none" if decided.values == (NONE,) else _listed(decided.values)
        text = f"{head[0].upper()}{head[1:]}: {answer}."
    return f"{text} Confidence {decided.confidence:.2f}; a draft for a clinician to review."
