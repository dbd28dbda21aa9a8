"""Runs the service and the page under uvicorn."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
from typing import Any

from encoders.errors import QueryError

__all__ = ["serve"]

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


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


def serve(*, host: str = "127.0.0.1", port: int = 8000, open_browser: bool = True, **load_options: Any) -> None:
    """Serves until interrupted. ``load_options`` go to ``Assistant.load``. Raises QueryError where it cannot listen."""
    listener = _listen(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    # Gradio keeps uploads in a folder of its own; it goes when the server goes.
    with tempfile.TemporaryDirectory(prefix="ecg-page-") as folder, listener:
        os.environ["GRADIO_TEMP_DIR"] = folder
        import uvicorn

        from assistant import Assistant
        from ui.service import create_app

        app = create_app(
            load=lambda: Assistant.load(**load_options), hosts=LOCAL_HOSTS if host in LOCAL_HOSTS else None
        )
        config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        print(f"ECG assistant: {address}  (REST: {address}/v1, ends with Ctrl-C)", file=sys.stderr, flush=True)
        if open_browser:
            _open_later(address)
        server.run(sockets=[listener])


def _open_later(address: str) -> None:
    import webbrowser

    timer = threading.Timer(1.0, webbrowser.open, (address,))
    timer.daemon = True
    timer.start()
