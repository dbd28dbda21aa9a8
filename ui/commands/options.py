"""Options that several commands share, and what is made of them."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from encoders.errors import QueryError

if TYPE_CHECKING:
    from assistant import Assistant
    from encoders.ecg import ECG
    from retrieval.engine import Engine

__all__ = [
    "RECORDING_HELP",
    "SPREAD_FROM",
    "add_engine",
    "add_heads",
    "add_json",
    "add_library",
    "add_parser",
    "add_recording_options",
    "add_recordings",
    "add_risk_options",
    "chosen_engine",
    "load_assistant",
    "parse_leads",
    "read_recording",
    "risks",
]

#: Recordings from which starting several processes (some seconds) pays.
SPREAD_FROM = 200
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


def parse_leads(text: str) -> tuple[str, ...]:
    """An argparse type: the leads to use, see `ui.leadwords.chosen_leads`."""
    from ui.leadwords import chosen_leads

    return _told(chosen_leads, text)


def _lead_names(text: str) -> tuple[str, ...]:
    from ui.leadwords import named_leads

    return _told(named_leads, text)


def _told(read: Callable[[str], tuple[str, ...]], text: str) -> tuple[str, ...]:
    """What ``read`` makes of the text; its complaint as argparse puts it into a sentence of its own."""
    try:
        return read(text)
    except QueryError as error:
        raise argparse.ArgumentTypeError(str(error).removesuffix(".")) from None


def _patient(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the key is empty; give a text that stands for the patient, or leave it out")
    return text


def add_recording_options(parser: argparse.ArgumentParser) -> None:
    """--age, --sex, --fs, --unit, --lead-names, --leads, --patient."""
    group = parser.add_argument_group("recording")
    group.add_argument("--age", type=_age, metavar="YEARS", help="age in years; goes before what the file says")
    group.add_argument("--sex", type=_sex, metavar="F|M", help="sex; goes before what the file says")
    group.add_argument(
        "--fs", "--fs-hz", type=_between(0, 1e5, "sampling rate in Hz"), metavar="HZ",
        help="sampling rate of a file that does not state it",
    )  # fmt: skip
    group.add_argument("--unit", choices=("uV", "mV", "V"), help="unit of a file that does not state it")
    group.add_argument(
        "--lead-names", type=_lead_names, metavar="NAMES", help="names of the leads, in order, of a file that does not state them"
    )
    group.add_argument(
        "--leads", type=parse_leads, metavar="LEADS", help="use only these leads: I, or I,II,V2, or limb, or 12 (default: all)"
    )
    group.add_argument(
        "--patient", type=_patient, metavar="KEY",
        help="ties recordings of one patient together; kept only as a hash that is keyed on this machine",
    )  # fmt: skip


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
    parser.add_argument(
        "--library", metavar="LIB", help="library of similar cases, by name, folder or milvus:URI (default: the built-in one)"
    )


def add_recordings(parser: argparse.ArgumentParser, what_for: str) -> None:
    """--recordings."""
    parser.add_argument(
        "--recordings", metavar="DIR", action="append", default=[],
        help=f"{what_for}: the folder that a library was built from or its parent, or an unpacked PTB-XL for the built-in one; "
        "may be repeated",
    )  # fmt: skip


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """--engine and --workers."""
    group = parser.add_argument_group("spreading the work")
    group.add_argument(
        "--engine", choices=("here", "processes", "ray"),
        help="where it is done: here, in one process; in several on this machine; or on a Ray cluster (the one that RAY_ADDRESS "
        f"names or `ray start` started, else a local one). Default: processes from {SPREAD_FROM} recordings on, else here",
    )  # fmt: skip
    group.add_argument("--workers", type=int, metavar="N", help="how many processes or Ray workers (default: one per core)")


def chosen_engine(args: argparse.Namespace, recordings: int | None) -> Engine:
    """The engine that the options of `add_engine` ask for, for so many recordings (None: nobody knows yet)."""
    from retrieval.engine import open_engine

    few = recordings is not None and recordings < SPREAD_FROM
    return open_engine(args.engine or ("here" if few and args.workers is None else "processes"), args.workers)


def risks(args: argparse.Namespace) -> dict[str, Any]:
    """What ``Assistant.load`` takes, from the options."""
    return {
        "present_risk": args.present_risk,
        "absent_risk": args.absent_risk,
        "critical_risk": args.critical_risk,
        "min_confidence": args.min_confidence,
        "library": args.library,
    }


def add_heads(parser: argparse.ArgumentParser) -> None:
    """--head."""
    parser.add_argument(
        "--head", type=lambda text: [name.strip() for name in text.split(",") if name.strip()], default=[], metavar="NAME[,NAME]",
        help="also ask heads made by `adapt`, by name or folder; their answers are research-only (none)",
    )  # fmt: skip


def load_assistant(args: argparse.Namespace, heads: Sequence[str] = ()) -> Assistant:
    """The assistant that the options ask for, with these heads."""
    from assistant import Assistant

    more: dict[str, Any] = {"heads": tuple(heads)} if heads else {}
    return Assistant.load(**risks(args), **more)


def read_recording(spec: str, args: argparse.Namespace, *, long: bool = False) -> ECG:
    """The recording named by ``spec``, with the options of ``add_recording_options``: the one place where commands read.

    Raises RecordingError or QueryError, also where a lead of --leads is not in the recording.
    """
    from encoders.patient import hash_patient
    from ui.demo import resolve

    ecg = resolve(spec, fs_hz=args.fs, unit=args.unit, lead_names=args.lead_names, age_years=args.age, sex=args.sex, long=long)
    if args.patient is not None:
        ecg = replace(ecg, patient=hash_patient(args.patient))
    return ecg if args.leads is None else ecg.select(args.leads)
