"""``ecg-assistant ask`` and ``ecg-assistant chat``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from encoders.errors import InputError, QueryError
from ui.commands import options
from ui.commands.output import quiet_stdout, write_json

__all__ = ["add"]

ASK_EXAMPLES = """
ecg-assistant ask demo:lbbb "What is the QRS duration?"
ecg-assistant ask recording.hea "Is there atrial fibrillation?" --json
ecg-assistant ask earlier.hea later.hea "Has the rhythm changed?"
"""
CHAT_EXAMPLES = """
ecg-assistant chat demo:af
echo "What is the rate?" | ecg-assistant chat recording.hea
"""
LEAVE = ("quit", "exit", ":q")


def add(commands: Any) -> None:
    """Adds the commands."""
    ask = options.add_parser(commands, "ask", "answer a question about one recording, or about two of one patient", ASK_EXAMPLES)
    ask.add_argument("words", nargs="+", metavar='FILE [FILE2] "QUESTION"', help="one or two recordings, then the question")
    chat = options.add_parser(commands, "chat", "talk about a recording in the terminal; the context is kept", CHAT_EXAMPLES)
    chat.add_argument("file", metavar="FILE", help=options.RECORDING_HELP)
    for parser in (ask, chat):
        options.add_recording_options(parser)
        options.add_risk_options(parser)
        options.add_library(parser)
    options.add_json(ask)
    ask.set_defaults(run=run_ask)
    chat.set_defaults(run=run_chat)


def run_ask(args: argparse.Namespace) -> int:
    """Answers one question."""
    *files, question = args.words
    if not 1 <= len(files) <= 2:
        raise QueryError(
            f"ask got {len(files)} recordings and a question; give one or two recordings, then the question in quotes."
        )
    if not question.strip():
        raise QueryError("The question is empty; write it in quotes after the recording.")
    ecgs = [options.read_recording(file, args) for file in files]
    with quiet_stdout():
        answer = options.load_assistant(args).ask(ecgs, question)
    if args.json:
        write_json(answer.to_json())
    else:
        print(answer.to_text())
    return 0


def run_chat(args: argparse.Namespace) -> int:
    """Questions from the terminal or a pipe, one per line, until the end or "quit"."""
    ecg = options.read_recording(args.file, args)
    with quiet_stdout():
        chat = options.load_assistant(args).chat(ecg)
    terminal = sys.stdin.isatty()
    if terminal:
        print('Ask about this recording; "quit" ends the conversation. Drafts for a clinician to review, no treatment advice.')
    while True:
        try:
            question = input("> ") if terminal else next(sys.stdin).strip()
        except (EOFError, StopIteration):
            return 0
        if not question.strip():
            continue
        if question.strip().lower() in LEAVE:
            return 0
        try:
            with quiet_stdout():
                answer = chat.ask(question)
        except InputError as error:
            # One bad question does not end a conversation.
            print(error)
            continue
        print(answer.to_text() if terminal else f"> {question}\n{answer.to_text()}", flush=True)
