"""``ecg-assistant cases search`` and ``ecg-assistant cases build``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.errors import QueryError
from ui.commands import options
from ui.commands.output import quiet_stdout, write_json

if TYPE_CHECKING:
    from encoders.ecg import ECG
    from retrieval.case import Case

__all__ = ["add", "case_lines"]

SEARCH_EXAMPLES = """
ecg-assistant cases search demo:stemi
ecg-assistant cases search recording.hea --k 5 --where "age>60 and sex=F" --json
ecg-assistant cases search --text "left bundle branch block with a long PR interval"
"""
BUILD_EXAMPLES = """
ecg-assistant cases build ptb-xl --out library
ecg-assistant cases build ward --metadata ward.csv --out library
"""


def add(commands: Any) -> None:
    """Adds the group with its two commands."""
    examples = SEARCH_EXAMPLES + BUILD_EXAMPLES.lstrip()
    group = options.add_parser(commands, "cases", "search or build the library of past cases", examples)
    actions = group.add_subparsers(metavar="ACTION", required=True)
    search = options.add_parser(actions, "search", "past cases like a recording or a description", SEARCH_EXAMPLES)
    search.add_argument("file", nargs="?", metavar="FILE", help=options.RECORDING_HELP)
    search.add_argument("--text", help="describe the case in words instead of giving a recording")
    search.add_argument("--k", type=int, default=10, help="how many cases (10)")
    search.add_argument("--where", metavar="CONDITION", help='e.g. "age>60 and sex=F"')
    options.add_recording_options(search)
    options.add_library(search)
    options.add_json(search)
    search.set_defaults(run=run_search)
    build = options.add_parser(actions, "build", "make a library from a folder of recordings", BUILD_EXAMPLES)
    build.add_argument("folder", metavar="DIR", help="folder with recordings; a PTB-XL folder is known by its own table")
    build.add_argument("--metadata", metavar="TABLE.csv", help="a table with a row per recording (PTB-XL's own is found)")
    build.add_argument("--out", metavar="DIR", default="library", help="where it goes: a folder (library), or milvus:URI")
    build.set_defaults(run=run_build)


def case_lines(found: list[Case]) -> list[str]:
    """Cases as lines of a plain table, the most alike first."""
    lines = [f"{'case':<10} {'alike':>6}  {'age':>4} sex  statements"]
    for case in found:
        age = "?" if case.age_years is None else f"{case.age_years:.0f}"
        codes = ", ".join(sorted(case.statements, key=lambda code: -case.statements[code]))
        lines.append(f"{'C:' + case.case_id:<10} {case.similarity:>6.3f}  {age:>4} {case.sex or '?':<3}  {codes}")
    return lines


def run_search(args: argparse.Namespace) -> int:
    """Finds and prints cases."""
    if (args.file is None) == (args.text is None):
        raise QueryError("cases search needs either a recording or --text; give exactly one of them.")
    if args.text is not None and not args.text.strip():
        raise QueryError("--text is empty; describe the case in words.")
    if args.k < 1:
        raise QueryError(f"--k is {args.k}; ask for at least 1 case.")
    from retrieval.library import CaseLibrary

    with quiet_stdout():
        if args.file is not None:
            ecg = options.read_recording(args.file, args)
            from encoders.encode import Encoder

            encoder = Encoder.load()
            library = CaseLibrary.open(args.library, encoder.hash)
            embedding = encoder.encode([ecg])[0].embedding
            found = list(library.search(embedding, args.k, where=args.where, exclude_patient=ecg.patient))
        else:
            library = CaseLibrary.open(args.library)
            found = list(library.search_text(args.text, args.k, where=args.where))
        library.close()
    if args.json:
        write_json({"cases": [case.to_json() for case in found], "k": args.k, "where": args.where})
    elif found:
        print("\n".join(case_lines(found)))
        if any(case.found_by == "signal" for case in found):
            listed = sum(case.found_by != "signal" for case in found)
            print(f"Found by the ECG itself, not by statements: {len(found) - listed} of {len(found)}; there, alike compares "
                  "ECGs within this search only.")
    else:
        print("No case in the library fits.")
    return 0


def run_build(args: argparse.Namespace) -> int:
    """Makes a library; the manifest comes last, so a broken run leaves nothing that could be mistaken for one."""
    folder, metadata = Path(args.folder), Path(args.metadata) if args.metadata else None
    if not folder.is_dir():
        raise QueryError(f"There is no folder {folder.name!r}; give the folder that holds the recordings.")
    if metadata is not None and not metadata.is_file():
        raise QueryError(f"There is no table {metadata.name!r}; give a CSV file with a row per recording.")
    import numpy as np

    from encoders.encode import Encoder
    from encoders.measure import measure
    from retrieval.build import build_from_folder

    encoder = Encoder.load()

    def embeddings(ecgs: list[ECG]) -> Any:
        return np.stack([encoding.embedding for encoding in encoder.encode(ecgs)])

    with quiet_stdout():
        done = build_from_folder(folder, metadata, embeddings, measure, args.out, encoder.hash)
    print(f"{done.added} cases added, {done.skipped} were there, {len(done.failed)} failed; use the library with --library.")
    for name, reason in done.failed:
        print(f"{name}: {reason}", file=sys.stderr)
    if done.unknown_codes:
        print(f"Codes that the vocabulary does not know: {', '.join(done.unknown_codes)}.", file=sys.stderr)
    return 0
