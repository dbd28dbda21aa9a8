"""Options that several commands share, and what is made of them."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assistant import Assistant
    from encoders.ecg import ECG

__all__ = [
    "RECORDING_HELP",
    "add_json",
    "add_library",
    "add_parser",
    "add_recording_options",
    "add_risk_options",
    "load_assistant",
    "read_recording",
    "risks",
]

RECORDING_HELP = "a recording: a file, or demo:normal, demo:af, demo:lbbb, demo:stemi, demo:noisy, demo:swapped"


def add_parser(commands: Any, name: str, summary: str, examples: str, description: str = "") -> argparse.ArgumentParser:
    """A subcommand with its one-line summary, a description and examples under the help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=textwrap.fill(description or f"{summary[0].upper()}{summary[1:]}.", 100),
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.strip().splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _between(low: float, high: float, what: str) -> Any:
    """An argparse type: a number strictly above ``low`` and at most ``high``."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low < value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}; give a number above {low:g} and up to {high:g}")
        return value

    return parse


def _age(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 130:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; give years between 0 and 130")
    return value


def _sex(text: str) -> str:
    short = {"f": "F", "female": "F", "m": "M", "male": "M"}.get(text.strip().lower())
    if short is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no known sex; give F or M, or leave it out")
    return short


def add_recording_options(parser: argparse.ArgumentParser) -> None:
    """--age, --sex, --fs, --unit."""
    group = parser.add_argument_group("recording")
    group.add_argument("--age", type=_age, metavar="YEARS", help="age in years; goes before what the file says")
    group.add_argument("--sex", type=_sex, metavar="F|M", help="sex; goes before what the file says")
    group.add_argument("--fs", type=_between(0, 1e5, "sampling rate in Hz"), metavar="HZ", help="sampling rate of a CSV file")
    group.add_argument("--unit", choices=("uV", "mV", "V"), help="unit of a file that does not state it")


def add_risk_options(parser: argparse.ArgumentParser) -> None:
    """--present-risk, --absent-risk, --critical-risk, --min-confidence."""
    group = parser.add_argument_group("confidence")
    risk = _between(0, 0.5, "risk")
    group.add_argument(
        "--present-risk", type=risk, default=0.05, metavar="R", help="share of stated findings that may be wrong (0.05)"
    )
    group.add_argument(
        "--absent-risk", type=risk, default=0.05, metavar="R", help="share of true cases that may be called absent (0.05)"
    )
    group.add_argument(
        "--critical-risk", type=risk, default=0.02, metavar="R", help="the same for critical findings (0.02)"
    )
    group.add_argument(
        "--min-confidence", type=_between(0, 1, "confidence"), metavar="C", help="least confidence of an answer (none)"
    )


def add_library(parser: argparse.ArgumentParser) -> None:
    """--library."""
    parser.add_argument("--library", metavar="DIR", help="a case library made by `cases build` (default: the built-in one)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def risks(args: argparse.Namespace) -> dict[str, Any]:
    """What ``Assistant.load`` takes, from the options."""
    return {
        "present_risk": args.present_risk,
        "absent_risk": args.absent_risk,
        "critical_risk": args.critical_risk,
        "min_confidence": args.min_confidence,
        "library": args.library,
    }


def load_assistant(args: argparse.Namespace) -> Assistant:
    """The assistant that the options ask for."""
    from assistant import Assistant

    return Assistant.load(**risks(args))


def read_recording(spec: str, args: argparse.Namespace) -> ECG:
    """The recording named by ``spec``, with the options of ``add_recording_options``."""
    from ui.demo import resolve

    return resolve(spec, fs_hz=args.fs, unit=args.unit, age_years=args.age, sex=args.sex)
