"""Judging words of measurements ("QRS wide"), as evidence text and sentences use them."""

from __future__ import annotations

from assistant.evidence import Evidence

__all__ = ["judged_words"]


def judged_words(evidence: Evidence) -> dict[str, str]:
    """Word per measurement where a limit applies: normal, slow, fast, short, prolonged, wide, left, right, extreme.

    "regularity" is "regular" or "irregular". A measurement without a value, or whose limit needs an age or sex that is
    unknown, has no word.
    """
    value = evidence.measurements.value
    words: dict[str, str] = {}
    rate, pr, qrs, qtc, axis = (value(n) for n in ("rate_bpm", "pr_ms", "qrs_ms", "qtc_ms", "axis_deg"))
    if rate is not None:
        words["rate_bpm"] = "slow" if rate < 60 else "fast" if rate > 100 else "normal"
    if pr is not None:
        words["pr_ms"] = "short" if pr < 120 else "prolonged" if pr > 200 else "normal"
    if qrs is not None:
        words["qrs_ms"] = "wide" if qrs >= 120 else "normal"
    if qtc is not None:
        limit = 460 if evidence.sex != "M" else 450
        words["qtc_ms"] = "short" if qtc <= 390 else "prolonged" if qtc >= limit else "normal"
    if axis is not None:
        words["axis_deg"] = (
            "normal" if -30 <= axis <= 90 else "left" if -90 <= axis < -30 else "right" if 90 < axis <= 180 else "extreme"
        )
    return words
