"""What stands in front of every request: limits of size and time, headers, and nothing but our own hosts."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

from ui.limits import Limits

__all__ = ["HEADERS", "UNFORESEEN", "App", "Message", "Receive", "Scope", "Send", "Shield", "headers_of", "refuse"]

_LOG = logging.getLogger("ecg-assistant")
UNFORESEEN = "Something went wrong on the server's side; the recording was not judged, try again or report it."

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: The page may load from this server alone; scripts and styles of Gradio stand inline in its page.
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With "no-referrer", browsers send forms of our own pages with the origin "null", as if they came from elsewhere.
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
#: Our own pages and documents need no script at all.
_WITHOUT_SCRIPT = (
    "default-src 'none'; img-src data:; style-src 'self' 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
#: Parts of the page itself, the same for everyone; all else is about patients and is kept nowhere on the way.
_SAME_FOR_ALL = ("/assets/", "/static/", "/svelte/", "/theme.css", "/favicon.ico")


class _Refused(HTTPException):
    """The body grew too large or came too slowly. An HTTPException, or body parsers would call it a 400."""


class Shield:
    """ASGI middleware: too large bodies get 413, too slow ones 408, unknown hosts 421, every answer the headers above, and what
    nobody foresaw is 500 without a word of its own.

    ``hosts``: names that a request may ask for, without port; None allows all (a server that others may reach has keys).
    With a list, a foreign page cannot reach a local server through a rebound name. Websockets are refused: nothing uses them.
    """

    def __init__(self, app: App, limits: Limits, hosts: tuple[str, ...] | None = None) -> None:
        self.app, self.limits, self.hosts = app, limits, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = headers_of(scope)
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                present = {key.lower() for key, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in _headers(scope["path"]).items() if k.encode() not in present),
                ]
            await send(message)

        if self.hosts is not None and _host(asked.get("host", "")) not in self.hosts:
            await refuse(send_with_headers, 421, "This server does not answer to that name; use the address that it printed.")
            return
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in scope["path"]):
            await refuse(send_with_headers, 400, "The address holds a control character; leave it out.")
            return
        upload = asked.get("content-type", "").lower().startswith("multipart/")
        most = self.limits.upload_bytes if upload else min(self.limits.form_bytes, self.limits.upload_bytes)
        sentence = (
            f"The upload is larger than {most // 2**20} MB; send one recording of up to a few minutes." if upload
            else f"The request's body is larger than {most // 1024} KB; send recordings as multipart/form-data."
        )  # fmt: skip
        length = asked.get("content-length", "")
        if length.isdigit() and int(length) > most:
            await refuse(send_with_headers, 413, sentence)
            return
        taken, complete = 0, False
        until = asyncio.get_running_loop().time() + self.limits.upload_s

        async def receive_counted() -> Message:
            nonlocal taken, complete
            if complete:  # what comes now is that the client has gone, and that may take as long as it likes
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise _Refused(408, f"The upload took longer than {self.limits.upload_s:.0f} s; send it again.") from None
            taken += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if taken > most:
                raise _Refused(413, sentence)
            return message

        try:
            await self.app(scope, receive_counted, send_with_headers)
        except _Refused as refused:
            if not started:
                await refuse(send_with_headers, refused.status_code, str(refused.detail))
        except Exception as error:
            # Kind and place only, here and in the log: a message could hold a path or a piece of the recording.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            _LOG.error("unforeseen %s in %s, line %s", type(error).__name__, frame.name, frame.lineno)
            if not started:
                await refuse(send_with_headers, 500, UNFORESEEN)


def _headers(path: str) -> dict[str, str]:
    out = dict(HEADERS)
    if path.startswith("/v1/") or path == "/sign-in":
        out["content-security-policy"] = _WITHOUT_SCRIPT
    if not path.startswith(_SAME_FOR_ALL):
        out["cache-control"] = "no-store"
    return out


def headers_of(scope: Scope) -> dict[str, str]:
    """A request's headers by their names in lower case; of several, the last."""
    return {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}


def _host(header: str) -> str:
    return header.rsplit("]", 1)[0].lstrip("[") if header.startswith("[") else header.split(":")[0]


async def refuse(
    send: Send, status: int, sentence: str, *, html: bytes | None = None, extra: Mapping[str, str] | None = None
) -> None:
    """Answers with ``{"error": sentence}``, or with a page where ``html`` is given."""
    body = json.dumps({"error": sentence}).encode() if html is None else html
    kind = "application/json" if html is None else "text/html; charset=utf-8"
    headers = {"content-type": kind, "content-length": str(len(body)), **(extra or {})}
    pairs = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
