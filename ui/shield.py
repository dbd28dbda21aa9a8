"""What stands in front of every request: a size limit, headers, and nothing but our own hosts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

__all__ = ["HEADERS", "Shield"]

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
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class _TooLarge(HTTPException):
    """The body grew over the limit while it was read. An HTTPException, or body parsers would call it a 400."""


class Shield:
    """ASGI middleware: requests over ``max_bytes`` get 413, unknown hosts 421, every answer the headers above.

    ``hosts``: names that a request may ask for, without port; None allows all (a server that others may reach sits
    behind a gate of its own). With a list, a foreign page cannot reach a local server through a rebound name.
    """

    def __init__(self, app: App, max_bytes: int, hosts: tuple[str, ...] | None = None) -> None:
        self.app, self.max_bytes, self.hosts = app, max_bytes, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                present = {key.lower() for key, _ in message["headers"]}
                extra = dict(HEADERS)
                if scope["path"].startswith("/v1/"):
                    extra["cache-control"] = "no-store"
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in extra.items() if k.encode() not in present),
                ]
            await send(message)

        if self.hosts is not None and _host(asked.get("host", "")) not in self.hosts:
            await _refuse(send_with_headers, 421, "This server does not answer to that name; use the address that it printed.")
            return
        length = asked.get("content-length", "")
        sentence = f"The upload is larger than {self.max_bytes // 2**20} MB; send one recording of up to a few minutes."
        if length.isdigit() and int(length) > self.max_bytes:
            await _refuse(send_with_headers, 413, sentence)
            return
        taken = 0

        async def receive_counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.max_bytes:
                raise _TooLarge(413, sentence)
            return message

        try:
            await self.app(scope, receive_counted, send_with_headers)
        except _TooLarge:
            if not started:
                await _refuse(send_with_headers, 413, sentence)


def _host(header: str) -> str:
    return header.rsplit("]", 1)[0].lstrip("[") if header.startswith("[") else header.split(":")[0]


async def _refuse(send: Send, status: int, sentence: str) -> None:
    import json

    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
