"""``ecg-assistant audit``: reads, checks and counts the audit store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.errors import QueryError
from ui.commands import options
from ui.commands.output import whole_file, write_json

if TYPE_CHECKING:
    from ui.audit import AuditStore
    from ui.rates import FindingRate

__all__ = ["add"]

EXPORT = """
ecg-assistant audit export --out audit.jsonl
ecg-assistant audit export --since 2026-11-01 --out audit.csv
"""
VERIFY = """
ecg-assistant audit verify
ecg-assistant audit verify --head e3062b324de145228cace75c3f3eef100ebbff62aa287291ddd0e8e37600be36
"""
RATES = """
ecg-assistant audit rates
ecg-assistant audit rates --since 2026-11-01 --json
"""


def add(commands: Any) -> None:
    """Adds the group with its three commands."""
    group = options.add_parser(
        commands, "audit", "read, check and count what was asked, drafted, declined and signed",
        EXPORT + VERIFY.lstrip() + RATES.lstrip(),
        "The audit store keeps who asked what of which recording, what was drafted or declined and by which versions, and what"
        " the human made of each sentence. Entries are only added; each holds the hash of the one before. It keeps no"
        " patient's label, file name or identifier: recordings are named by the hash of their content.",
    )  # fmt: skip
    actions = group.add_subparsers(metavar="ACTION", required=True)
    export = options.add_parser(actions, "export", "write the entries as lines of JSON or as a table", EXPORT)
    export.add_argument("--out", metavar="FILE", help="a file .jsonl or .csv (default: lines of JSON to stdout)")
    export.set_defaults(run=run_export)
    verify = options.add_parser(
        actions, "verify", "check that no entry was changed or removed", VERIFY,
        "Goes through the chain of hashes and prints the head, the hash of the last entry. Note it elsewhere: with --head the"
        " command also finds a store that was written anew or cut short as a whole. Exit code 1 where something is wrong.",
    )  # fmt: skip
    verify.add_argument("--head", metavar="HASH", help="a head that was noted earlier; it must still be in the chain")
    verify.set_defaults(run=run_verify)
    rates = options.add_parser(
        actions, "rates", "edit and disagreement rates per finding, out of signed drafts", RATES,
        "Edited: of the signed drafts that state a finding, the share in which a sentence with it was changed or rejected."
        " Disagreement: of the signed drafts in which machine or human states it, the share in which only one does. In"
        " brackets 95 % Wilson intervals.",
    )  # fmt: skip
    options.add_json(rates)
    rates.set_defaults(run=run_rates)
    for parser in (export, rates):
        parser.add_argument("--since", metavar="DATE", help="leave out what was earlier (UTC), e.g. 2026-11-01")
    for parser in (export, verify, rates):
        parser.add_argument("--audit", metavar="FILE", type=Path, help="the audit store (default: in the user's folder)")


def _open(args: argparse.Namespace) -> AuditStore:
    from ui.audit import AuditStore, default_file

    return AuditStore(args.audit or default_file(), make=False)


def run_export(args: argparse.Namespace) -> int:
    """Writes the entries, whole or not at all."""
    from ui.audit_lines import csv_lines, json_lines, parse_since

    since = parse_since(args.since)
    kind = "jsonl" if args.out in (None, "-") else Path(args.out).suffix.lstrip(".").lower()
    if kind not in ("jsonl", "csv"):
        raise QueryError(f"--out ends in .{kind[:10]}; give a file that ends in .jsonl or .csv.")
    store = _open(args)
    try:
        entries = store.entries(since=since)
        lines: Iterable[str] = csv_lines(entries) if kind == "csv" else json_lines(entries)
        if args.out in (None, "-"):
            sys.stdout.writelines(lines)
        else:
            with whole_file(Path(args.out)) as handle:
                handle.writelines(lines)
    finally:
        store.close()
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Checks the chain."""
    store = _open(args)
    try:
        verdict = store.verify(args.head)
    finally:
        store.close()
    if verdict.fault:
        print(f"{verdict.fault} The {verdict.entries} entries before that are as they were written.", file=sys.stderr)
        return 1
    print(f"{verdict.entries} entries, none changed or removed; head {verdict.head}")
    return 0


def run_rates(args: argparse.Namespace) -> int:
    """Prints the rates."""
    from ui.audit_lines import parse_since
    from ui.rates import edit_rates

    since = parse_since(args.since)
    store = _open(args)
    try:
        rates = edit_rates(store.entries(since=since))
    finally:
        store.close()
    if args.json:
        write_json(rates.to_json())
        return 0
    print(f"{rates.signed} of {rates.drafts} drafts are signed.")
    if rates.findings:
        counts = f"{'drafted':>7} {'accepted':>8} {'changed':>7} {'rejected':>8} {'added':>5}"
        print(f"{'finding':<34} {counts}  {'edited':<18} disagreement")
    for rate in rates.findings:
        print(_line(rate))
    return 0


def _line(rate: FindingRate) -> str:
    document = rate.to_json()

    def share(name: str) -> str:
        if document[f"{name}_rate"] is None:
            return "-"
        low, high = (f"{100 * document[f'{name}_{end}']:.0f}" for end in ("low", "high"))
        return f"{100 * document[f'{name}_rate']:.0f} % [{low}, {high}]"

    name = f"{document['name'][:26]} ({rate.code})"
    counts = f"{rate.drafted:>7} {rate.accepted:>8} {rate.changed:>7} {rate.rejected:>8} {rate.added:>5}"
    return f"{name:<34} {counts}  {share('edit'):<18} {share('disagreement')}"
