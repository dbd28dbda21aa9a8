"""Leads as people write them, on the command line and in a form."""

from __future__ import annotations

from encoders.ecg import LIMB_LEADS, STANDARD_LEADS
from encoders.errors import QueryError

__all__ = ["chosen_leads", "named_leads"]

_KNOWN = {name.lower(): (name,) for name in STANDARD_LEADS} | {"limb": LIMB_LEADS, "12": STANDARD_LEADS}


def chosen_leads(text: str) -> tuple[str, ...]:
    """The leads to use, from standard names with commas between them, ``limb`` for the six, or ``12``; QueryError for others."""
    words = [word.strip() for word in text.split(",")]
    wrong = [word for word in words if word.lower() not in _KNOWN]
    if wrong:
        raise QueryError(
            f"{wrong[0][:40]!r} is no lead; give some of {', '.join(STANDARD_LEADS)} with commas between them, or limb, or 12."
        )
    chosen = {name for word in words for name in _KNOWN[word.lower()]}
    return tuple(name for name in STANDARD_LEADS if name in chosen)


def named_leads(text: str) -> tuple[str, ...]:
    """The names of a file's leads, in its order, from text with commas between them; QueryError where one is empty."""
    names = tuple(word.strip() for word in text.split(","))
    if not all(names):
        raise QueryError(f"{text[:40]!r} has an empty name; give one lead name per row, with commas between them.")
    return names
