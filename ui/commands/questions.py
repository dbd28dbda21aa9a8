"""``ecg-assistant ask-many``: a file of questions in, a file of answers out; a run that was broken off goes on."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.errors import QueryError
from ui.commands import options
from ui.commands.output import quiet_stdout

if TYPE_CHECKING:
    from assistant.ecgqa.many import Ask

__all__ = ["add"]

EXAMPLES = """
ecg-assistant ask-many questions.jsonl ptb-xl --out answers.jsonl
ecg-assistant ask-many questions.jsonl ptb-xl --out answers.jsonl --convention ecg-qa
"""


def add(commands: Any) -> None:
    """Adds the command."""
    parser = options.add_parser(
        commands, "ask-many", "answer many questions about recordings of PTB-XL", EXAMPLES,
        "A line of the questions: qid, question, ecg_id (a list of one or two), options (the answers allowed, or null). A line of"
        " the answers: qid, values, text, declined, confidence. Of PTB-XL's table only ecg_id, file name, age and sex are read."
        " Answers are not declined for low confidence. Questions that the answers' file already answers are passed over, so that"
        " a run that was broken off goes on.",
    )  # fmt: skip
    parser.add_argument("questions", metavar="QUESTIONS.jsonl", help="the questions, one JSON object a line")
    parser.add_argument("ptbxl", metavar="PTBXL_DIR", help="folder with ptbxl_database.csv and records100")
    parser.add_argument("--out", required=True, metavar="ANSWERS.jsonl", help="where the answers go, one JSON object a line")
    parser.add_argument(
        "--convention", choices=("clinical", "ecg-qa"), default="clinical",
        help="whose words and limits: the assistant's own (clinical), or those of ECG-QA (ecg-qa)",
    )  # fmt: skip
    parser.set_defaults(run=run_ask_many)


def run_ask_many(args: argparse.Namespace) -> int:
    """Answers what has no answer yet."""
    from tqdm import tqdm

    from assistant.ecgqa.many import Clinical, EcgQa, Table, answer_all

    table = Table(args.ptbxl)
    asks, wrong = _read(Path(args.questions))
    out = Path(args.out)
    done = _answered(out)
    left = [ask for ask in asks if str(ask.qid) not in done]
    if len(left) < len(asks):
        print(f"{len(asks) - len(left)} of {len(asks)} questions are answered already.", file=sys.stderr)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    if not left:
        return 0
    with quiet_stdout():
        answerer = EcgQa() if args.convention == "ecg-qa" else Clinical()
        try:
            handle = open(out, "a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise QueryError(
                f"{out.name!r} cannot be written ({error.strerror}); name a file in a folder that exists and may be written."
            ) from None
        terminal = sys.stderr.isatty()
        often = 0.1 if terminal else 5.0
        with handle, tqdm(total=len(left), desc="ask-many", unit="q", file=sys.stderr, mininterval=often) as bar:

            def step(n: int) -> None:
                handle.flush()
                bar.update(n)

            for line in answer_all(left, table, answerer, step):
                handle.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    if wrong:
        print(f"{len(wrong)} of {len(wrong) + len(asks)} lines could not be read; the others are answered.", file=sys.stderr)
    return 0


def _read(file: Path) -> tuple[list[Ask], list[str]]:
    """The questions, and a sentence for every line that holds none."""
    from assistant.ecgqa.many import read_line

    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise QueryError(f"The questions {file.name!r} cannot be read; give a text file with one JSON object a line.") from None
    asks: list[Ask] = []
    wrong: list[str] = []
    seen: set[str] = set()
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            ask = read_line(text)
            if str(ask.qid) in seen:
                raise QueryError("The qid was used before; give every question one of its own.")
        except QueryError as error:
            wrong.append(f"line {number}: {error}")
            continue
        seen.add(str(ask.qid))
        asks.append(ask)
    if not asks:
        raise QueryError(f"{file.name!r} holds no question that can be read; write a JSON object a line: qid, question, ecg_id.")
    return asks, wrong


def _answered(out: Path) -> set[str]:
    """The qids that have their answer; half a line at the end, left by a killed run, is taken off the file."""
    if not out.exists():
        return set()
    data = out.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with open(out, "r+b") as handle:
            handle.truncate(whole)
    found = set()
    for text in data[:whole].decode("utf-8", "replace").splitlines():
        try:
            row = json.loads(text)
            found.add(str(row["qid"]))
        except (ValueError, KeyError, TypeError):
            raise QueryError(
                f"{out.name!r} holds lines that are no answers; name another file for the answers, or remove it."
            ) from None
    return found
