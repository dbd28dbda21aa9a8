"""How the service works on a request: in its place in the queue, in its turn, within its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import anyio
from fastapi import UploadFile
from starlette.exceptions import HTTPException

from encoders.ecg import ECG
from encoders.errors import QueryError
from ui.desk import Desk
from ui.forms import About, check_heeded, read_recordings, uploads_of
from ui.limits import Limits
from ui.problems import TOO_LONG

if TYPE_CHECKING:
    from assistant import Assistant

__all__ = ["Desktop"]

T = TypeVar("T")


class Desktop:
    """Work of the service: a place in the queue, a turn with the assistant, a limit of time, and then an entry in the audit
    store."""

    def __init__(self, desk: Desk, limits: Limits) -> None:
        self.desk, self.limits = desk, limits

    async def run(self, work: Callable[[], T]) -> T:
        """Runs blocking work in a thread; 504 where it takes too long. What it makes then comes to nothing, so long as the work
        itself writes nothing down: that is for ``keep``."""

        def in_its_place() -> T:
            with self.desk.place():
                return work()

        try:
            with anyio.fail_after(self.limits.work_s):
                return await anyio.to_thread.run_sync(in_its_place, abandon_on_cancel=True)
        except TimeoutError:
            raise HTTPException(504, TOO_LONG.format(self.limits.work_s)) from None

    async def keep(self, record: Callable[[], T]) -> T:
        """Writes down what was made in time, before it is handed out; there is no 504 any more, and no copy of a draft that
        nobody got."""
        return await anyio.to_thread.run_sync(record)

    def in_turn(self, work: Callable[[Assistant], T]) -> T:
        """Does the work when its turn comes; 429 where that takes half of the time, so that the rest is enough to do it."""
        return self.desk.with_assistant(work, self.limits.work_s / 2)

    async def with_recordings(
        self, files: Sequence[UploadFile] | None, demos: Sequence[str] | None, about: About, most: int,
        work: Callable[[Assistant, list[ECG]], T],
    ) -> T:  # fmt: skip
        """Runs the work with the recordings of a request; 422 where there is none, or more than ``most``."""
        uploads = await uploads_of(files)

        def all_of_it() -> T:
            ecgs = read_recordings(uploads, [name for name in demos or () if name], about)
            if not 1 <= len(ecgs) <= most:
                allowed = "one recording" if most == 1 else "one recording, or two of one patient"
                raise QueryError(
                    f"The request holds {len(ecgs)} recordings; send {allowed}, as files (.hea with its .dat) or as demo."
                )
            check_heeded(about, files=bool(uploads), recordings=True)
            return self.in_turn(lambda loaded: work(loaded, ecgs))

        return await self.run(all_of_it)
