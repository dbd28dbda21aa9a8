"""``ecg-assistant keys``: who may use the service."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ui.commands import options
from ui.commands.output import write_json

__all__ = ["add"]

EXAMPLES = """
ecg-assistant keys add "ward 3" --role clinician
ecg-assistant keys list
ecg-assistant keys revoke "ward 3"
"""
ABOUT = (
    "A key lets a person or a program use the service. A clinician drafts, asks, searches, measures and signs; a researcher"
    " searches cases and measures; an auditor reads the audit store and its rates. A key is shown once, when it is made; only"
    " its hash is kept. The name stands in the audit store, so give each person a key of their own."
)


def add(commands: Any) -> None:
    """Adds the group with its three commands."""
    group = options.add_parser(commands, "keys", "make, list and revoke the keys of the service", EXAMPLES, ABOUT)
    actions = group.add_subparsers(metavar="ACTION", required=True)
    made = options.add_parser(actions, "add", "make a key and show it once", EXAMPLES.splitlines()[1], ABOUT)
    made.add_argument("name", metavar="NAME", help="whom it stands for, e.g. a person or a ward")
    made.add_argument("--role", required=True, metavar="ROLE", help="clinician, researcher or auditor")
    made.set_defaults(run=run_add)
    listed = options.add_parser(actions, "list", "list the keys, good and revoked", EXAMPLES.splitlines()[2])
    options.add_json(listed)
    listed.set_defaults(run=run_list)
    revoked = options.add_parser(actions, "revoke", "end a key; it is refused from the next request on", EXAMPLES.splitlines()[3])
    revoked.add_argument("name", metavar="NAME", help="the name of the key")
    revoked.set_defaults(run=run_revoke)
    for parser in (made, listed, revoked):
        parser.add_argument("--keys", metavar="FILE", type=Path, help="file of the keys (default: in the user's folder)")


def run_add(args: argparse.Namespace) -> int:
    """Makes a key: the key alone on stdout, what to do with it on stderr."""
    from ui.keys import KeyFile

    key = KeyFile(args.keys).add(args.name, args.role)
    print(key, flush=True)
    said = "it is not shown again. A server that runs open asks for keys after it was started anew."
    print(f"The key of {args.name!r} ({args.role}); {said}", file=sys.stderr)
    return 0


def run_list(args: argparse.Namespace) -> int:
    """Lists all keys ever made."""
    from ui.keys import KeyFile

    keys = KeyFile(args.keys).keys()
    if args.json:
        write_json([{"name": k.name, "role": k.role, "made_at": k.made_at, "revoked_at": k.revoked_at} for k in keys])
        return 0
    if not keys:
        print("There is no key yet; make one with `ecg-assistant keys add NAME --role ROLE`.")
    for key in keys:
        print(f"{key.name:<24} {key.role:<11} made {key.made_at}  {f'revoked {key.revoked_at}' if key.revoked_at else 'good'}")
    return 0


def run_revoke(args: argparse.Namespace) -> int:
    """Ends a key."""
    from ui.keys import KeyFile

    KeyFile(args.keys).revoke(args.name)
    print(f"The key of {args.name!r} is revoked; a running server refuses it from now on.")
    return 0
