"""The command line: ``ecg-assistant COMMAND …``.

Every command lives in a file of its own under ``ui/commands``; this one only wires them together and turns errors into
one sentence and an exit code. Nothing heavy is imported before a command runs, so that ``--help`` answers at once.

Exit codes: 0 done (a referral is an answer, too), 1 something of ours is missing or damaged, 2 the input is outside the
contract, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from encoders.errors import EcgAssistantError, InputError
from ui.commands import adapt, audit, cases, dialogue, explain, keys, questions, report, serve, signals, tables, work

__all__ = ["build_parser", "main"]

DESCRIPTION = """\
Reads a resting 12-lead electrocardiogram of an adult, drafts a report for a clinician to review, answers questions
about it, shows similar past cases, and hands over to a human where it is not sure enough. No treatment advice."""

EXAMPLES = """\
examples:
  ecg-assistant report demo:af
  ecg-assistant report recording.hea --age 71 --sex F --json
  ecg-assistant ask demo:lbbb "What is the QRS duration?"
  ecg-assistant ask earlier.hea later.hea "Has the rhythm changed?"
  ecg-assistant predict 'ward/*.hea' --out table.csv
  ecg-assistant measure 'ward/*.hea' --out table.csv
  ecg-assistant compare earlier.hea later.hea
  ecg-assistant check recording.hea
  ecg-assistant cases search demo:stemi --k 5 --where "age>60 and sex=F"
  ecg-assistant serve

A recording is a file, or one of demo:normal, demo:af, demo:lbbb, demo:stemi, demo:noisy, demo:swapped."""


class _Parser(argparse.ArgumentParser):
    """An argument parser that complains in one sentence instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ecg-assistant")
    except PackageNotFoundError:
        return "0 (not installed)"


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.exit(0, f"ecg-assistant {_version()}\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands; each sets ``run``, a function of the parsed arguments that returns the exit code."""
    parser = _Parser(
        prog="ecg-assistant", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for module in (report, dialogue, questions, explain, tables, signals, cases, work, adapt, serve, keys, audit):
        module.add(commands)
    return parser


def _parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, where a command's files and words may also follow its options (``ask FILE --age 61 "Is it normal?"``),
    which argparse does not allow within a subcommand."""
    args, left = parser.parse_known_args(argv)
    more = [word for word in left if not word.startswith("-")]
    name = next((name for name in ("words", "files", "paths") if isinstance(getattr(args, name, None), list)), None)
    if left and (name is None or len(more) < len(left)):
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    if name is not None:
        setattr(args, name, [*getattr(args, name), *more])
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code; all that can go wrong on purpose ends in one sentence on stderr."""
    args = _parsed(build_parser(), argv)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not getattr(args, "may_download", False):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    try:
        return int(args.run(args))
    except InputError as error:
        return _fail(error, 2)
    except EcgAssistantError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone; Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _fail(error: Exception, code: int) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
