"""``ecg-assistant adapt``: a head for a question of one's own; ``ecg-assistant heads``: those that are there."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from encoders.errors import QueryError
from ui.commands import options
from ui.commands.output import quiet_stdout, write_json

__all__ = ["add"]

ADAPT_EXAMPLES = """
ecg-assistant adapt ward/ --labels labels.csv --name amyloid --task binary
ecg-assistant adapt 'ward/*.hea' --labels labels.csv --name ef --task regression --label ef_percent --leads I
ecg-assistant adapt ward/ --labels labels.csv --name old-mi --task binary --method lora
ecg-assistant report recording.hea --head amyloid
"""
ADAPT_DESCRIPTION = (
    "Trains a head on your own recordings, calibrates it, measures it on patients it has not seen and writes its card. labels.csv"
    " has a row per recording: recording (path or stem), the labels (0 or 1, or a number; empty where not known) and, better than"
    " not, patient, age and sex. What cannot be used is named, and so are rows whose labels contradict each other on one signal:"
    " none of these is used. Below a stated bar the head refuses to answer; above it, reports that ask for it (--head) hold"
    " its answer, marked research-only. Recordings stay where they are: the head keeps numbers, and embeddings are kept by hash."
)
HEADS_EXAMPLES = """
ecg-assistant heads list
ecg-assistant heads show amyloid
ecg-assistant heads remove amyloid
"""


def _names(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def add(commands: Any) -> None:
    """Adds both commands."""
    adapt = options.add_parser(
        commands, "adapt", "train a head for a new question on your own recordings", ADAPT_EXAMPLES, ADAPT_DESCRIPTION
    )
    adapt.add_argument(
        "files", nargs="*", metavar="RECORDING", help="files, globs in quotes, folders (left out: the paths in labels.csv)"
    )
    adapt.add_argument("--labels", required=True, metavar="TABLE.csv", help="the table of labels")
    adapt.add_argument("--name", required=True, help="the head's name: a-z, 0-9, - and _")
    adapt.add_argument("--task", required=True, choices=("binary", "multilabel", "regression"), help="what the labels are")
    adapt.add_argument("--label", type=_names, default=[], metavar="COLUMN[,COLUMN]", help="label columns (default: all others)")
    adapt.add_argument(
        "--method", choices=("linear", "lora"), default="linear",
        help="linear: on the frozen embedding (fast); lora: low-rank adapters in the encoder, too (linear)",
    )  # fmt: skip
    adapt.add_argument("--out", metavar="DIR", help="the head's folder (default: its name, in your own folder of heads)")
    adapt.add_argument("--replace", action="store_true", help="replace a head of this name")
    adapt.add_argument("--note", default="", help="a sentence for the card, on where recordings and labels come from")
    adapt.add_argument("--seed", type=int, default=0, help="seed (0)")
    options.add_recording_options(adapt)
    options.add_json(adapt)
    adapt.set_defaults(run=run_adapt)
    heads = options.add_parser(commands, "heads", "list, show or remove trained heads", HEADS_EXAMPLES)
    actions = heads.add_subparsers(metavar="ACTION", required=True)
    listing = options.add_parser(actions, "list", "the heads in your folder, and whether they answer", "ecg-assistant heads list")
    listing.set_defaults(run=run_list)
    for name, summary, run in (("show", "a head's card", run_show), ("remove", "delete a head", run_remove)):
        parser = options.add_parser(actions, name, summary, f"ecg-assistant heads {name} amyloid")
        parser.add_argument("name", metavar="NAME", help="the head's name")
        parser.set_defaults(run=run)
    options.add_json(listing)


def _command(args: argparse.Namespace) -> str:
    """The command for the card: all that decides what is learned, but no names of recordings, which may be patients', and no
    folders."""
    given = {
        "--labels": Path(args.labels).name, "--name": args.name, "--task": args.task, "--method": args.method,
        "--label": ",".join(args.label), "--leads": ",".join(args.leads or ()), "--fs": args.fs, "--unit": args.unit,
        "--lead-names": ",".join(args.lead_names or ()), "--age": args.age, "--sex": args.sex, "--seed": args.seed,
    }  # fmt: skip
    words = [word for name, value in given.items() if value not in (None, "") for word in (name, f"{value}")]
    return shlex.join(["ecg-assistant", "adapt", *(["RECORDINGS"] if args.files else []), *words])


def run_adapt(args: argparse.Namespace) -> int:
    """Reads, trains, writes the head, prints its card; what was left out is named on stderr."""
    from encoders.adapt_data import load_examples, read_labels
    from encoders.files import user_folder
    from encoders.heads import check_name, head_folder
    from encoders.leadsets import LEAD_SETS, lead_set_of, unread_leads
    from ui.commands.tables import expand

    check_name(args.name)
    if args.patient is not None:
        raise QueryError("--patient is for one patient's recordings; for adapt, name the patients in a column of labels.csv.")
    folder = Path(args.out) if args.out else head_folder(args.name)
    if folder.exists() and not args.replace:
        raise QueryError(f"{folder.name!r} is there already; choose another name, or replace the head with --replace.")
    leads = lead_set_of(args.leads) if args.leads else LEAD_SETS[0]
    if leads is None:
        raise QueryError(unread_leads(args.leads))
    labels = Path(args.labels)
    table = read_labels(labels, args.task, args.label)
    files = [Path(name) for name in expand(args.files)]
    lost = next((file for file in files if not file.exists() and not file.with_name(f"{file.name}.hea").exists()), None)
    if lost is not None:
        raise QueryError(f"There is no {str(lost)!r}; give files, patterns in quotes or folders.")
    for sentence in table.remarks:
        print(sentence, file=sys.stderr)
    with quiet_stdout():
        examples = load_examples(files, table, leads, labels.parent, lambda path: options.read_recording(str(path), args))
        for sentence in examples.left_out:
            print(f"left out: {sentence}", file=sys.stderr)
        from encoders.adapt import adapt, card_text, trainable
        from encoders.encode import Encoder
        from encoders.heads import save_head

        trainable(examples, args.task)  # says so before anything is encoded
        encoder = Encoder.load(calibrated=False)
        _to_gpu(encoder)
        head = adapt(
            encoder, examples, name=args.name, task=args.task, method=args.method, seed=args.seed, note=args.note,
            kept=user_folder() / "embeddings.sqlite", command=_command(args),
        )  # fmt: skip
        card = save_head(head, folder, replace=args.replace)
    if args.json:
        write_json(card)
    else:
        print(card_text(card))
    return 0


def _to_gpu(encoder: Any) -> None:
    import torch

    if torch.cuda.is_available():
        encoder.network.to("cuda")


def run_list(args: argparse.Namespace) -> int:
    """One line per head."""
    from encoders.heads import installed_cards

    cards = installed_cards()
    if args.json:
        write_json({"heads": cards})
        return 0
    for card in cards:
        answering = [label for label, verdict in card["verdict"].items() if verdict == "cleared"]
        print(
            f"{card['name']}: {card['task']}, {card['method']}, leads {card['leads']}, encoder {card['encoder'][:12]}; "
            f"answers on {', '.join(answering) or 'nothing (below the bar)'}"
        )
    if not cards:
        print("There is no head yet; `ecg-assistant adapt` trains one.")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Prints a head's card."""
    from encoders.adapt import card_text
    from encoders.heads import installed_cards

    card = next((card for card in installed_cards() if card["name"] == args.name), None)
    if card is None:
        raise QueryError(f"There is no head {args.name!r}; `ecg-assistant heads list` shows those that are there.")
    print(card_text(card))
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Deletes a head."""
    from encoders.heads import remove_head

    remove_head(args.name)
    print(f"The head {args.name} is gone.")
    return 0
