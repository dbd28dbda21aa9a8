"""A reply of the chat as it appears: sentence by sentence, each with the evidence it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ui import texts
from ui.naming import percent
from ui.panes import chips

if TYPE_CHECKING:
    from assistant.report import Line

__all__ = ["growing", "reply_html"]


def reply_html(lines: Sequence[Line], reply: Mapping[str, Any], document: Mapping[str, Any], most: int | None = None) -> str:
    """The first ``most`` sentences (None: all, with how sure the answer is behind them); text is escaped.

    ``reply``: the whole answer or referral (``to_json``); ``document``: the report whose evidence is cited.
    """
    shown = "".join(f"<p>{escape(line.text)} {chips(line.evidence, document)}</p>" for line in lines[:most])
    if most is not None and most < len(lines):
        return shown
    sure = ""
    if reply["status"] == "answer":
        sure = f'<p class="ea-note">{escape(texts.CONFIDENCE.format(percent(float(reply["confidence"]))))}</p>'
    return f'<div class="ea-asked" data-status="{escape(reply["status"])}">{shown}{sure}</div>'


def growing(lines: Sequence[Line], reply: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    """The reply with one sentence more each time."""
    for most in range(1, len(lines)):
        yield reply_html(lines, reply, document, most)
    yield reply_html(lines, reply, document)
