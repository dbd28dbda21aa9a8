"""Runs the service and the page under uvicorn."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.errors import QueryError

if TYPE_CHECKING:
    from ui.audit import AuditStore
    from ui.keys import KeyFile
    from ui.limits import Limits

__all__ = ["LOCAL_HOSTS", "Door", "patient_protocol", "serve"]

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
#: Time in which the first line and the headers of a request must have come.
HEADERS_S = 10.0
#: How long an idle connection is kept; longer than clients wait that were told to come back, or they find it closed.
KEEP_ALIVE_S = 75


@dataclass(frozen=True)
class Door:
    """Where the service listens: address, port (0 picks a free one), certificate with its key, and a proxy to be trusted.

    ``proxy``: the address of a proxy whose word on the client's address and on https counts; None trusts nobody's.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    tls_cert: Path | None = None
    tls_key: Path | None = None
    proxy: str | None = None


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket; raises QueryError where the address is taken or unknown."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise QueryError(f"{host} port {port} cannot be used ({error.strerror}); choose another --host or --port.") from None
    return listener


def patient_protocol(headers_s: float = HEADERS_S) -> type[asyncio.Protocol]:
    """uvicorn's own HTTP protocol, but a connection whose headers take longer than ``headers_s`` is closed.

    uvicorn waits for ever for the rest of a request line; a few hundred such connections would keep all others out.
    """
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Patient(H11Protocol):
        _clock: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def _watch(self) -> None:
            if self.conn.their_state is not h11.IDLE:
                self._stop()
            elif self._clock is None:
                self._clock = self.loop.call_later(headers_s, self._give_up)

        def _stop(self) -> None:
            if self._clock is not None:
                self._clock.cancel()
                self._clock = None

        def _give_up(self) -> None:
            self._clock = None
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self.transport.close()

    return Patient


def serve(
    door: Door, *, keys: KeyFile | None, audit: AuditStore, limits: Limits, recordings: tuple[Path, ...] = (),
    open_browser: bool = True, **load_options: Any,
) -> None:
    """Serves until interrupted. ``recordings``: folders with recordings of similar cases. ``load_options`` go to
    ``Assistant.load``. Raises QueryError where it cannot listen."""
    listener = _listen(door.host, door.port)
    scheme = "http" if door.tls_cert is None else "https"
    address = f"{scheme}://{f'[{door.host}]' if ':' in door.host else door.host}:{listener.getsockname()[1]}"
    # Gradio keeps uploads in a folder of its own; it goes when the server goes.
    with tempfile.TemporaryDirectory(prefix="ecg-page-") as folder, listener:
        os.environ["GRADIO_TEMP_DIR"] = folder
        import uvicorn

        from assistant import Assistant
        from ui.service import create_app

        app = create_app(
            load=lambda: Assistant.load(**load_options), hosts=LOCAL_HOSTS if door.host in LOCAL_HOSTS else None,
            keys=keys, audit=audit, limits=limits, recordings=recordings,
        )  # fmt: skip
        config = uvicorn.Config(
            app, http=patient_protocol(), ws="none", log_level="warning", server_header=False, timeout_graceful_shutdown=2,
            timeout_keep_alive=KEEP_ALIVE_S,
            proxy_headers=door.proxy is not None, forwarded_allow_ips=door.proxy or "", ssl_certfile=door.tls_cert,
            ssl_keyfile=door.tls_key,
        )  # fmt: skip
        server = uvicorn.Server(config)
        listener.listen(128)  # whoever reads the line below and comes at once waits a moment and is not turned away
        print(f"ECG assistant: {address}  (REST: {address}/v1/docs, ends with Ctrl-C)", file=sys.stderr, flush=True)
        if open_browser:
            _open_later(address)
        server.run(sockets=[listener])


def _open_later(address: str) -> None:
    import webbrowser

    timer = threading.Timer(1.0, webbrowser.open, (address,))
    timer.daemon = True
    timer.start()
