"""The gate in front of everything: who is asking, and whether that role may.

Nothing passes without a key but the sign-in page and the description of the interface; that holds for the endpoints of Gradio
as for our own, whatever the method, since the rule is a list of what is open and not of what is closed. What a role may do is
asked a second time where the work is done (``needs``), so that no odd spelling of an address slips by.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from encoders.errors import ArtefactError
from ui.audit import LOCAL, Actor
from ui.keys import KeyFile
from ui.limits import Limits, Rates
from ui.shield import App, Receive, Scope, Send, headers_of, refuse

__all__ = ["ALLOWED", "COOKIE", "NOTHING", "NO_KEY", "OPEN_PATHS", "Access", "Sessions", "needs", "not_allowed", "token_of"]

COOKIE = "ecg_session"
#: What anyone may read: how to sign in, and what the interface is. Compared letter by letter.
OPEN_PATHS = ("/sign-in", "/v1/docs", "/v1/openapi.json")
#: Doors of Gradio that this page does not use, shut for everyone: they call other hosts, send browsers there, or are for
#: whoever writes a page.
SHUT_PATHS = (
    "/gradio_api/proxy=", "/gradio_api/file=http:", "/gradio_api/file=https:", "/gradio_api/vibe", "/gradio_api/undo-vibe",
    "/gradio_api/dev/", "/gradio_api/process_recording", "/monitoring",
)  # fmt: skip
SESSION_S = 8 * 3600
_MOST_SESSIONS = 10_000
_SAFE = ("GET", "HEAD", "OPTIONS")

#: What each role may do. "local" is whoever uses the service that runs open on its own machine.
ALLOWED: dict[str, tuple[str, ...]] = {
    "page": ("clinician", "local"),
    "reports": ("clinician", "local"),
    "answers": ("clinician", "local"),
    "sign": ("clinician", "local"),
    "measurements": ("clinician", "researcher", "local"),
    "cases": ("clinician", "researcher", "local"),
    "audit": ("auditor", "local"),
    "health": ("clinician", "researcher", "auditor", "local"),
}

NO_KEY = "A key is needed: send it as Authorization: Bearer or X-API-Key, or sign in at /sign-in."
NOTHING = "There is nothing at this address; see /v1/docs."
TOO_MANY = "Too many requests in a short time; wait as long as the header Retry-After says."
FOREIGN = "The request comes from a page of another site; open this service's own page."


def not_allowed(role: str) -> str:
    """The sentence for a key whose role may not do this."""
    return f"A key of the role {role} may not do this; ask for one of another role."


@dataclass(frozen=True)
class _Session:
    actor: Actor
    until: float


class Sessions:
    """Who is signed in on the page: random tokens in memory, kept as hashes; they end after ``lasts_s`` and with the server."""

    def __init__(self, lasts_s: float = SESSION_S, now: Callable[[], float] = time.monotonic) -> None:
        self.lasts_s, self._now = lasts_s, now
        self._kept: OrderedDict[str, _Session] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, actor: Actor) -> str:
        """A token for the cookie."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._kept[_digest(token)] = _Session(actor, self._now() + self.lasts_s)
            while len(self._kept) > _MOST_SESSIONS:
                self._kept.popitem(last=False)
        return token

    def find(self, token: str) -> Actor | None:
        """Whose session it is, or None where it is unknown or over."""
        with self._lock:
            session = self._kept.get(_digest(token))
            if session is not None and session.until <= self._now():
                del self._kept[_digest(token)]
                session = None
        return None if session is None else session.actor

    def close(self, token: str) -> None:
        """Ends a session."""
        with self._lock:
            self._kept.pop(_digest(token), None)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("latin-1", "replace")).hexdigest()


class Access:
    """ASGI middleware that finds out who is asking (``request.state.actor``) and refuses whoever may not, or asks too often.

    ``keys`` None: the service runs open and everyone is LOCAL. ``sign_in``: the page that a browser gets in place of a 401.
    """

    def __init__(
        self, app: App, keys: KeyFile | None, sessions: Sessions, sign_in: bytes, limits: Limits, rates: Rates
    ) -> None:
        self.app, self.keys, self.sessions, self.sign_in = app, keys, sessions, sign_in
        self.limits, self.rates = limits, rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = headers_of(scope)

        async def refused(status: int, sentence: str, html: bytes | None = None, extra: dict[str, str] | None = None) -> None:
            await self._read(receive)
            await refuse(send, status, sentence, html=html, extra=extra)

        if scope["method"] not in _SAFE and not _own(asked):
            # A browser on another site may send forms here, though it cannot read what comes back.
            await refused(403, FOREIGN)
            return
        try:
            actor = self._actor(asked)
        except ArtefactError as error:
            await refused(503, str(error))
            return
        wait_s = self._wait_s(scope, actor)
        if wait_s:
            await refused(429, TOO_MANY, extra={"retry-after": str(math.ceil(wait_s))})
            return
        path = str(scope["path"])
        if actor is not None:
            scope.setdefault("state", {})["actor"] = actor
            page = not path.startswith("/v1/") and path not in (*OPEN_PATHS, "/sign-out")
            if page and actor.role not in ALLOWED["page"]:
                await refused(403, not_allowed(actor.role))
                return
        elif path not in OPEN_PATHS:
            browser = scope["method"] == "GET" and path == "/" and "text/html" in asked.get("accept", "")
            await refused(401, NO_KEY, html=self.sign_in if browser else None, extra={"www-authenticate": "Bearer"})
            return
        if path.lower().startswith(SHUT_PATHS):
            await refused(404, NOTHING)
            return
        await self.app(scope, receive, send)

    async def _read(self, receive: Receive) -> None:
        """Takes in a body of moderate size before it is refused: many clients send all of it before they listen, and would find
        the connection broken in place of the answer."""
        taken, more = 0, True
        while more and taken <= self.limits.form_bytes:
            message = await receive()
            taken += len(message.get("body", b""))
            more = bool(message.get("more_body", False))

    def _wait_s(self, scope: Scope, actor: Actor | None) -> float:
        """0 where the request may pass. Work counts whole; what a page loads by the dozen counts a tenth."""
        address = f"address {scope['client'][0] if scope.get('client') else ''}"
        if actor is None or (scope["path"] == "/sign-in" and scope["method"] not in _SAFE):
            return self.rates.wait_s(f"stranger at {address}", self.limits.strangers_per_minute)
        work = scope["method"] not in _SAFE or str(scope["path"]).startswith("/v1/")
        name = address if actor == LOCAL else f"key {actor.name}"
        return self.rates.wait_s(name, self.limits.per_minute, 1.0 if work else 0.1)

    def _actor(self, asked: dict[str, str]) -> Actor | None:
        if self.keys is None:
            return LOCAL
        scheme, _, credentials = asked.get("authorization", "").partition(" ")
        given = credentials.strip() if scheme.lower() == "bearer" else asked.get("x-api-key", "").strip()
        if given:
            return self.keys.find(given)
        actor = self.sessions.find(token_of(asked))
        return actor if actor is not None and self.keys.holds(actor) else None


def token_of(asked: dict[str, str]) -> str:
    """The session's token in a request's cookies, or an empty string."""
    try:
        morsel = SimpleCookie(asked.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value


def _own(asked: dict[str, str]) -> bool:
    """Whether a request that changes something comes from our own page, or from no page at all."""
    origin = asked.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == asked.get("host", "").lower()


_bearer = HTTPBearer(auto_error=False, description="A key made by `ecg-assistant keys add`.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key in a header of its own.")


def needs(what: str) -> Callable[..., Actor]:
    """A dependency of FastAPI: the actor, if their role may do ``what`` (of ALLOWED); otherwise 403."""

    def allowed(
        request: Request,
        _: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
        __: Annotated[str | None, Security(_header)] = None,
    ) -> Actor:
        actor = getattr(request.state, "actor", None)
        if not isinstance(actor, Actor):
            raise HTTPException(401, NO_KEY, {"WWW-Authenticate": "Bearer"})
        if actor.role not in ALLOWED[what]:
            raise HTTPException(403, not_allowed(actor.role))
        return actor

    return Depends(allowed)  # type: ignore[no-any-return]
