"""What the words of a report state and deny, read with the grammar that the checker reads the draft with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

__all__ = ["NORMAL", "Reading", "read", "stated_codes"]

#: The statement of a normal ECG.
NORMAL = "NORM"


@dataclass(frozen=True)
class Reading:
    """``stated``: findings that the words state as present. ``denied``: findings that they say are not there. ``otherwise``: the
    ECG is called normal but for what stands beside it. Findings that are merely possible or probable are in neither."""

    stated: tuple[str, ...]
    denied: frozenset[str]
    otherwise: bool


@lru_cache(maxsize=4096)
def read(text: str) -> Reading | None:
    """What one or more sentences say; None where any part of them cannot be read for certain."""
    from assistant.check import split_sentences
    from assistant.claims import CompareClaim, FindingClaim, NormalClaim, ReplyClaim
    from assistant.grammar import parse

    stated: list[str] = []
    denied: set[str] = set()
    otherwise = False
    for sentence in split_sentences(text):
        claims = parse(sentence)
        # A question and a lone "no" may take back what stands before them.
        if claims is None or "?" in sentence or any(isinstance(claim, ReplyClaim) for claim in claims):
            return None
        for claim in claims:
            if isinstance(claim, FindingClaim) and claim.polarity == "present":
                if claim.quantifier != "all":  # one of several, and nobody knows which
                    return None
                stated += claim.codes
            elif isinstance(claim, FindingClaim) and claim.polarity == "absent":
                denied |= set(claim.codes)
            elif isinstance(claim, CompareClaim) and claim.kind in ("new", "unchanged"):
                stated += claim.codes
            elif isinstance(claim, CompareClaim) and claim.kind == "resolved":
                denied |= set(claim.codes)
            elif isinstance(claim, NormalClaim) and claim.polarity == "present":
                stated.append(NORMAL)
                otherwise = otherwise or claim.otherwise
            elif isinstance(claim, NormalClaim) and claim.polarity == "absent":
                denied.add(NORMAL)
    return None if denied.intersection(stated) else Reading(tuple(dict.fromkeys(stated)), frozenset(denied), otherwise)


def stated_codes(text: str) -> tuple[str, ...] | None:
    """Findings that typed words state as present; None where they cannot be read for certain."""
    found = read(text)
    return None if found is None else found.stated
