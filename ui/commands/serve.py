"""``ecg-assistant serve``: the page and the REST service."""

from __future__ import annotations

import argparse
import ipaddress
import sys
from typing import Any

from encoders.errors import QueryError
from ui.commands import options

__all__ = ["add"]

EXAMPLES = """
ecg-assistant serve
ecg-assistant serve --port 8123 --no-browser
"""


def add(commands: Any) -> None:
    """Adds the command."""
    parser = options.add_parser(
        commands, "serve", "open the page, and serve the REST interface beside it", EXAMPLES,
        "Serves the page at / and the REST interface at /v1 (its description at /v1/openapi.json). There is no login:"
        " on an address that other machines reach, put a gate of your own in front.",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000; 0 picks a free one)")
    parser.add_argument("--no-browser", action="store_true", help="do not open the page in a browser")
    options.add_risk_options(parser)
    options.add_library(parser)
    options.add_heads(parser)
    parser.set_defaults(run=run)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run(args: argparse.Namespace) -> int:
    """Serves until interrupted."""
    if not 0 <= args.port < 65536:
        raise QueryError(f"--port is {args.port}; give a number from 0 to 65535.")
    if not _is_local(args.host):
        print(
            f"warning: {args.host} may be reached by other machines, and there is no login; recordings are patients' data.",
            file=sys.stderr,
        )
    from ui.server import serve

    serve(host=args.host, port=args.port, open_browser=not args.no_browser, **options.risks(args), heads=tuple(args.head))
    return 0
