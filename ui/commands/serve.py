"""``ecg-assistant serve``: the page and the REST service."""

from __future__ import annotations

import argparse
import ipaddress
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from encoders.errors import QueryError
from ui.commands import options

__all__ = ["add"]

EXAMPLES = """
ecg-assistant serve
ecg-assistant serve --port 8123 --no-browser
ecg-assistant serve --library ward --recordings ward --recordings ptb-xl
ecg-assistant keys add "ward 3" --role clinician
ecg-assistant serve --host 0.0.0.0 --tls-cert server.pem --tls-key server.key --no-browser
"""


def add(commands: Any) -> None:
    """Adds the command."""
    parser = options.add_parser(
        commands, "serve", "open the page, and serve the REST interface beside it", EXAMPLES,
        "Serves the page at / and the REST interface at /v1 (to read at /v1/docs). Without keys it runs open, and on this"
        " machine's own address only; once a key was made (`ecg-assistant keys add`), nothing is served without one. All"
        " that is drafted, answered, searched and signed is written to the audit store (`ecg-assistant audit`).",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000; 0 picks a free one)")
    parser.add_argument("--no-browser", action="store_true", help="do not open the page in a browser")
    safety = parser.add_argument_group("keys, audit and limits")
    safety.add_argument("--keys", metavar="FILE", type=Path, help="file of the keys (default: in the user's folder)")
    safety.add_argument("--audit", metavar="FILE", type=Path, help="file of the audit store (default: in the user's folder)")
    safety.add_argument("--tls-cert", metavar="FILE", type=Path, help="certificate (PEM), for https")
    safety.add_argument("--tls-key", metavar="FILE", type=Path, help="its private key (PEM)")
    safety.add_argument("--proxy", metavar="ADDRESS", help="trust what a proxy at this address says of the client")
    safety.add_argument("--per-minute", type=_count, metavar="N", help="requests per minute of one key or address (300)")
    safety.add_argument("--waiting", type=_count, metavar="N", help="requests that wait for the assistant; more get 429 (8)")
    safety.add_argument("--work-seconds", type=_count, metavar="S", help="time limit of one request, in seconds (60)")
    options.add_risk_options(parser)
    options.add_library(parser)
    options.add_recordings(parser, "where the page looks for the recordings of similar cases, to show their traces")
    options.add_heads(parser)
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted; give a whole number from 1 to 1000000")
    return int(text)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run(args: argparse.Namespace) -> int:
    """Serves until interrupted."""
    if not 0 <= args.port < 65536:
        raise QueryError(f"--port is {args.port}; give a number from 0 to 65535.")
    if (args.tls_cert is None) != (args.tls_key is None):
        raise QueryError("Of --tls-cert and --tls-key only one is given; https needs both.")
    for file in (args.tls_cert, args.tls_key):
        if file is not None and not file.is_file():
            raise QueryError(f"There is no file {file.name!r}; give the certificate and its key as PEM files.")
    from ui.audit import AuditStore, default_file
    from ui.keys import KeyFile
    from ui.limits import Limits

    keys = KeyFile(args.keys)
    # Once a key was made, even a revoked one, the service never runs open again by itself.
    made = keys.keys()
    if not made and not _is_local(args.host):
        raise QueryError(
            f"{args.host} may be reached by other machines, and there is no key yet; make one with `ecg-assistant keys add`, or"
            " listen on 127.0.0.1."
        )
    if made and all(key.revoked_at for key in made):
        raise QueryError("All keys are revoked, so nobody could use the service; make one with `ecg-assistant keys add`.")
    if not _is_local(args.host) and args.tls_cert is None and args.proxy is None:
        said = "keys and recordings travel unencrypted; give --tls-cert, or put a proxy with https in front."
        print(f"warning: {said}", file=sys.stderr)
    granted = {"per_minute": args.per_minute, "waiting": args.waiting, "work_s": args.work_seconds}
    limits = replace(Limits(), **{name: value for name, value in granted.items() if value is not None})
    from ui.looking import recording_folders
    from ui.server import Door, serve

    folders = recording_folders(args.recordings)
    audit = AuditStore(args.audit or default_file())
    try:
        serve(
            Door(args.host, args.port, args.tls_cert, args.tls_key, args.proxy), keys=keys if made else None, audit=audit,
            limits=limits, recordings=folders, open_browser=not args.no_browser, **options.risks(args), heads=tuple(args.head),
        )  # fmt: skip
    finally:
        audit.close()
    return 0
