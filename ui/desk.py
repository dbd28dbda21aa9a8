"""The one place where the service and the page meet the assistant: loaded once, used by one thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ui.audit import AuditStore
from ui.parcels import Parcels

if TYPE_CHECKING:
    from assistant import Assistant

__all__ = ["Busy", "Desk"]

T = TypeVar("T")
#: How many pieces of work may wait for the assistant, beside the one that runs.
MAX_WAITING = 8


class Busy(Exception):
    """The queue is full. Not part of the exception tree: it is no fault of input or artefacts, and only the service sees it."""

    sentence = "The assistant has more work than it can take; try again in a few seconds."


class Desk:
    """Holds an assistant that is loaded at its first use, and the audit store that all that leaves the house is written to.

    The models are not safe for use from several threads; ``with_assistant`` does one piece of work at a time and may be
    called from any thread. At most ``max_waiting`` wait; the next one gets Busy at once.
    """

    def __init__(
        self,
        assistant: Assistant | None = None,
        load: Callable[[], Assistant] | None = None,
        *,
        audit: AuditStore | None = None,
        max_waiting: int = MAX_WAITING,
        recordings: tuple[Path, ...] = (),
    ) -> None:
        self._assistant = assistant
        self._load = load
        # One thread for all of it: every thread that computes keeps memory and a team of helper threads of its own.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="assistant")
        self._places = threading.BoundedSemaphore(max_waiting + 1)
        #: In memory where none was given.
        self.audit = audit if audit is not None else AuditStore(None)
        #: Folders in which recordings of similar cases are looked for.
        self.recordings = recordings
        #: Files that a page waits for.
        self.parcels = Parcels()

    @property
    def loaded(self) -> bool:
        return self._assistant is not None

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue, held while the block runs. Raises Busy where none is left."""
        if not self._places.acquire(blocking=False):
            raise Busy(Busy.sentence)
        try:
            yield
        finally:
            self._places.release()

    def with_assistant(self, work: Callable[[Assistant], T], wait_s: float | None = None) -> T:
        """Runs the work alone with the assistant and returns what it returns; errors pass through.

        ``wait_s``: raises Busy where the turn has not come by then, so that nothing is done for who has given up.
        """
        begun = threading.Event()
        turn = self._worker.submit(self._run, work, begun)
        if not begun.wait(None if wait_s is None else max(wait_s, 0.0)) and turn.cancel():
            raise Busy(Busy.sentence)
        return turn.result()

    def _run(self, work: Callable[[Assistant], T], begun: threading.Event) -> T:
        begun.set()
        if self._assistant is None:
            if self._load is None:
                from assistant import Assistant

                self._assistant = Assistant.load()
            else:
                self._assistant = self._load()
        return work(self._assistant)
