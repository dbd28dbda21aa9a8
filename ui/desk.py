"""The one place where the service and the page meet the assistant: loaded once, used by one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from assistant import Assistant

__all__ = ["Desk"]

T = TypeVar("T")


class Desk:
    """Holds an assistant that is loaded at its first use.

    The models are not safe for use from several threads; ``with_assistant`` lets one piece of work in at a time and may
    be called from any thread.
    """

    def __init__(self, assistant: Assistant | None = None, load: Callable[[], Assistant] | None = None) -> None:
        self._assistant = assistant
        self._load = load
        self._lock = threading.Lock()

    @property
    def loaded(self) -> bool:
        return self._assistant is not None

    def with_assistant(self, work: Callable[[Assistant], T]) -> T:
        """Runs the work alone with the assistant and returns what it returns; errors pass through."""
        with self._lock:
            if self._assistant is None:
                if self._load is None:
                    from assistant import Assistant

                    self._assistant = Assistant.load()
                else:
                    self._assistant = self._load()
            return work(self._assistant)
