"""How much anyone may ask for: sizes, times, and how often."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ui.uploads import MAX_UPLOAD_BYTES

__all__ = ["Limits", "Rates"]

#: So many addresses and keys are remembered; whoever was not seen for longest is forgotten first.
_MOST_KNOWN = 10_000


@dataclass(frozen=True)
class Limits:
    """What one server grants.

    ``upload_bytes``: all files of a request together; ``form_bytes``: a body that is no upload. ``files``, ``fields``: parts of
    a form. ``upload_s``: time in which a request's body must have come; ``work_s``: time from then to the answer, of which half
    may go by in waiting for a turn. ``waiting``: requests that wait for the assistant. ``per_minute``: requests of one key, or of
    one address where the service runs open; ``strangers_per_minute``: requests without a good key, of one address.
    """

    upload_bytes: int = MAX_UPLOAD_BYTES
    form_bytes: int = 2**20
    files: int = 64
    fields: int = 100
    upload_s: float = 60.0
    work_s: float = 60.0
    waiting: int = 8
    per_minute: float = 300.0
    strangers_per_minute: float = 60.0


class Rates:
    """A bucket of tokens per name that fills up again with time; it holds a quarter of a minute's worth."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, name: str, per_minute: float, cost: float = 1.0) -> float:
        """Takes ``cost`` tokens and returns 0; where there are too few, takes none and returns the seconds until there are."""
        now, most = self._now(), max(per_minute / 4, cost)
        with self._lock:
            left, seen = self._left.pop(name, (most, now))
            left = min(most, left + (now - seen) * per_minute / 60)
            granted = left >= cost
            self._left[name] = (left - cost if granted else left, now)
            while len(self._left) > _MOST_KNOWN:
                self._left.popitem(last=False)
        return 0.0 if granted else (cost - left) * 60 / per_minute
