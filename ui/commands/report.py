"""``ecg-assistant report``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from encoders.errors import QueryError
from ui.commands import options
from ui.commands.output import quiet_stdout, whole_file, write_json

__all__ = ["add"]

EXAMPLES = """
ecg-assistant report demo:af
ecg-assistant report recording.hea --age 71 --sex F
ecg-assistant report leads.csv --fs 500 --unit mV --json
ecg-assistant report demo:stemi --plot paper.png
ecg-assistant report recording.hea --head amyloid
ecg-assistant report recording.hea --pdf report.pdf --fhir report.json
"""


#: What else a report can be written as, and how such a file ends.
_TAKEN = (("pdf", ".pdf"), ("fhir", ".json"))


def add(commands: Any) -> None:
    """Adds the command."""
    parser = options.add_parser(commands, "report", "draft a report of one recording, or refer it", EXAMPLES)
    parser.add_argument("file", metavar="FILE", help=options.RECORDING_HELP)
    options.add_recording_options(parser)
    options.add_risk_options(parser)
    options.add_library(parser)
    options.add_heads(parser)
    parser.add_argument("--k", type=int, default=10, help="similar cases to look up (10)")
    parser.add_argument("--plot", metavar="IMAGE", help="also draw the leads on ECG paper, to a .png or .svg file")
    parser.add_argument("--pdf", metavar="OUT.pdf", help="also write the report with its 12 leads as PDF, an unconfirmed draft")
    parser.add_argument(
        "--fhir", metavar="OUT.json", help="also write it as a FHIR R4 Bundle (DiagnosticReport, preliminary) to a .json file"
    )
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Reads, reports, prints."""
    if args.k < 0:
        raise QueryError(f"--k is {args.k}; give 0 or more similar cases.")
    if args.plot and Path(args.plot).suffix.lower() not in (".png", ".svg"):
        raise QueryError(f"--plot is {Path(args.plot).name!r}; name a file that ends in .png or .svg.")
    for kind, ending in _TAKEN:
        if getattr(args, kind) and Path(getattr(args, kind)).suffix.lower() != ending:
            raise QueryError(f"--{kind} is {Path(getattr(args, kind)).name!r}; name a file that ends in {ending}.")
    ecg = options.read_recording(args.file, args)
    with quiet_stdout():
        result = options.load_assistant(args, args.head).report(ecg, k=args.k)
    if args.plot:
        _plot(ecg, Path(args.plot))
    for kind, _ in _TAKEN:
        if getattr(args, kind):
            _take(kind, result.to_json(), ecg, Path(getattr(args, kind)))
    if args.json:
        write_json(result.to_json())
    else:
        print(result.to_text())
    return 0


def _plot(ecg: Any, path: Path) -> None:
    from ui.plot import to_png, to_svg

    image = to_svg(ecg).encode() if path.suffix.lower() == ".svg" else to_png(ecg)
    with whole_file(path, binary=True) as handle:
        handle.write(image)


def _take(kind: str, document: dict[str, Any], ecg: Any, path: Path) -> None:
    """Nobody signs at the command line: what is written says that it is an unconfirmed draft."""
    from ui.signing import SignedReport
    from ui.takeaway import packed

    made = packed(kind, SignedReport.of(document, recorded_at=ecg.recorded_at), ecg)
    with whole_file(path, binary=True) as handle:
        handle.write(made.content)
