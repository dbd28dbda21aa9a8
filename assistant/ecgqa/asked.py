"""A question in the style of ECG-QA, typed: what kind, about what, in which lead, of one recording or between two."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ATTRIBUTES", "Asked", "Target"]

ATTRIBUTES = ("scp_code", "noise", "stage_of_infarction", "extra_systole", "heart_axis", "numeric_feature")


@dataclass(frozen=True)
class Target:
    """One thing named: ``name`` as ECG-QA calls it, or "any", "normal", "abnormal"; ``codes`` of a statement or group."""

    name: str
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What a question asks.

    ``kind``: "verify", "choose" or "query". ``attribute``: one of ATTRIBUTES. ``targets``: what it names. ``family``:
    "diagnostic", "form", "rhythm" or "all". ``doubt``: "include" or "exclude" where it says what becomes of uncertain
    symptoms, else "". ``lead``: 0-11 or None. ``relation`` between two recordings: "resolved", "new", "still" or "absent" (of
    numeric features: became normal, became abnormal, still abnormal, still normal), "" for one recording. ``ranges``: numeric
    ranges it names. ``wants``: "values", "leads", "range" or "features". ``confidence`` 0-1: how sure the parser is.
    """

    kind: str
    attribute: str
    targets: tuple[Target, ...] = ()
    family: str = "all"
    doubt: str = ""
    lead: int | None = None
    relation: str = ""
    ranges: tuple[str, ...] = ()
    wants: str = "values"
    confidence: float = 1.0

    def same_as(self, other: Asked) -> bool:
        """Whether both ask the same thing, however sure; the order of what they name does not count."""

        def key(one: Asked) -> tuple[object, ...]:
            return (
                one.kind, one.attribute, frozenset(t.name for t in one.targets), one.family if one.kind != "verify" else "",
                one.doubt, one.lead, one.relation, frozenset(one.ranges), one.wants,
            )  # fmt: skip

        return key(self) == key(other)
