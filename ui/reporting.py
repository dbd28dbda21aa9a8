"""The documents of a drafted report and of a search for cases, as everything outside hands them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assistant import Assistant
    from assistant.assistant import Reading
    from encoders.ecg import ECG
    from encoders.quality import Quality
    from retrieval.library import Found

__all__ = ["drafted", "found_document", "recordings_of", "report_document"]

UNUSABLE = "The recording is not usable, so what looks like it may mean nothing."


def report_document(assistant: Assistant, ecgs: Sequence[ECG], readings: Sequence[Reading]) -> dict[str, Any]:
    """The report of one recording, or of the later one of two compared with the earlier one, which comes first.

    ``compared_with`` says by itself which recording the changes are since, or is None; ``caution``: why the two may not be the
    earlier and the later one of one patient.
    """
    from assistant.serial import order_caution

    earlier = readings[0] if len(readings) == 2 else None
    document = assistant.report_of(readings[-1], earlier).to_json()
    document["compared_with"] = None
    document["caution"] = []
    if earlier is not None:
        document["compared_with"] = {"recording": earlier.evidence.recording_hash, "recorded_at": ecgs[0].recorded_at}
        document["caution"] = list(order_caution(ecgs[0], ecgs[1]))
    return document


def drafted(assistant: Assistant, ecgs: Sequence[ECG], k: int) -> dict[str, Any]:
    """The same of recordings that nobody has read yet; ``k``: similar cases to look up."""
    return report_document(assistant, ecgs, assistant.read(ecgs, k=k))


def recordings_of(document: dict[str, Any]) -> tuple[str, ...]:
    """Hashes of the recordings that a report is about, the earlier one first."""
    earlier = document["compared_with"]
    return (document["recording"],) if earlier is None else (earlier["recording"], document["recording"])


def found_document(found: Found, quality: Quality | None) -> dict[str, Any]:
    """What a search found, with the ``quality`` of the recording that was searched with (None without one) and a ``remark`` where
    that speaks against the cases; what the neighbours of an unusable one list is not told at all."""
    document = {**found.to_json(), "quality": None if quality is None else quality.to_json(), "remark": ""}
    return document if quality is None or quality.usable else {**document, "neighbours": [], "remark": UNUSABLE}
