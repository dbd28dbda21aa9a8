"""The assistant: evidence, confidence and declining, the language model, report, answers and chat.

    from assistant import Assistant
    Assistant.load().report("recording.hea")

Importing this package is cheap; models load when they are first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assistant.answer import Answer
    from assistant.assistant import Assistant
    from assistant.chat import Chat
    from assistant.report import Draft, Referral

__all__ = ["Answer", "Assistant", "Chat", "Draft", "Referral"]

_HOMES = {
    "Answer": "assistant.answer",
    "Assistant": "assistant.assistant",
    "Chat": "assistant.chat",
    "Draft": "assistant.report",
    "Referral": "assistant.report",
}


def __getattr__(name: str) -> Any:
    """Loads a public name's module on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'assistant' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
