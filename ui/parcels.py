"""Files on their way from the page to the browser: each waits in memory under a random name until it is fetched, once."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import FastAPI, Response
from starlette.exceptions import HTTPException

from ui.access import NOTHING, needs
from ui.audit import Actor
from ui.takeaway import Made

__all__ = ["PATH", "Parcels", "add_parcel_route"]

PATH = "/parcels"
#: A browser fetches at once; a parcel that nobody fetched is gone after this time.
KEEP_S = 120.0
_MOST = 64


@dataclass(frozen=True)
class _Parcel:
    made: Made
    actor: Actor
    visitor: str
    until: float


class Parcels:
    """What waits to be fetched. A patient's label may be printed in it, so that it is never on a disk and not here for long."""

    def __init__(self, lasts_s: float = KEEP_S, now: Callable[[], float] = time.monotonic) -> None:
        self.lasts_s, self._now = lasts_s, now
        self._kept: OrderedDict[str, _Parcel] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, made: Made, actor: Actor, visitor: str) -> list[str]:
        """Keeps a file for one visitor (a session of the page) and returns the tokens of all that waits for them, oldest first:
        a browser that missed one is told again."""
        with self._lock:
            self._forget_old()
            self._kept[secrets.token_urlsafe(32)] = _Parcel(made, actor, visitor, self._now() + self.lasts_s)
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
            return [token for token, parcel in self._kept.items() if (parcel.actor, parcel.visitor) == (actor, visitor)]

    def take(self, token: str, actor: Actor) -> Made | None:
        """The file, once and for whom it was made; None otherwise."""
        with self._lock:
            self._forget_old()
            parcel = self._kept.get(token)
            if parcel is None or parcel.actor != actor:
                return None
            del self._kept[token]
            return parcel.made

    def _forget_old(self) -> None:
        now = self._now()
        for token in [token for token, parcel in self._kept.items() if parcel.until <= now]:
            del self._kept[token]


def add_parcel_route(app: FastAPI, parcels: Parcels) -> None:
    """Adds /parcels/{token}, which the page's scripts open; it is no part of the described interface."""

    @app.get(PATH + "/{token}", include_in_schema=False)
    def fetch(actor: Annotated[Actor, needs("page")], token: str) -> Response:
        made = parcels.take(token, actor)
        if made is None:
            raise HTTPException(404, NOTHING)
        # The name is made here from the recording's hash, and needs no quoting.
        named = {"content-disposition": f'attachment; filename="{made.name}"'}
        return Response(made.content, media_type=made.type, headers=named)
