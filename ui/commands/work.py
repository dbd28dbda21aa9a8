"""``ecg-assistant evaluate`` and ``ecg-assistant train``: the long jobs. Both can be interrupted and taken up again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from encoders.errors import QueryError
from ui.commands import options
from ui.commands.output import quiet_stdout, write_json

__all__ = ["add"]

EVALUATE_EXAMPLES = """
ecg-assistant evaluate ptb-xl --folds 9
ecg-assistant evaluate ptb-xl --folds 9 --out scores --json
"""
TRAIN_EXAMPLES = """
ecg-assistant train all ptb-xl --run run --ecg-qa ecg-qa
ecg-assistant train encoder ptb-xl --run run --seed 0
ecg-assistant train library ptb-xl --run run
ecg-assistant train decision ptb-xl --run run
ecg-assistant train language --run run --steps 2000
ecg-assistant train align ptb-xl --run run --base path/or/name
ecg-assistant train questions ptb-xl --run run --ecg-qa ecg-qa
ecg-assistant train pretraining ptb-xl --run run
accelerate launch -m encoders.train ptb-xl --out run/encoder
"""
STEPS = ("encoder", "calibration", "library", "decision", "language", "align", "questions", "all", "pretraining")


def _at_least_one(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted; give a whole number from 1 up")
    return value


def _folds(text: str) -> tuple[int, ...]:
    try:
        folds = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        folds = ()
    if not folds or not all(1 <= fold <= 10 for fold in folds):
        raise argparse.ArgumentTypeError(f"{text!r} are no folds; give numbers from 1 to 10 with commas, e.g. 9")
    return folds


def add(commands: Any) -> None:
    """Adds the commands."""
    evaluate = options.add_parser(
        commands, "evaluate", "score the shipped models on folds of PTB-XL", EVALUATE_EXAMPLES,
        "Scores that belong in a report: AUROC, calibration, referral by age and sex, stated findings, answers, retrieval."
        " Fold 9 was set aside for this; folds 1-8 trained the encoder and fold 10 is nobody's.",
    )  # fmt: skip
    evaluate.add_argument("ptbxl", metavar="PTBXL_DIR", help="folder with ptbxl_database.csv and records100")
    evaluate.add_argument("--folds", type=_folds, default=(9,), metavar="N[,N]", help="folds to score (9)")
    evaluate.add_argument("--out", metavar="DIR", help="also write the scores there, as evaluation.json")
    evaluate.add_argument("--run", dest="run_dir", metavar="DIR", help="folder that keeps measurements between runs")
    evaluate.add_argument("--language", action="store_true", help="also score the language model (some ten minutes)")
    evaluate.add_argument("--sample", type=_at_least_one, default=300, metavar="N", help="recordings to ask about (300)")
    evaluate.add_argument("--ecg-qa", metavar="DIR", help="folder of ECG-QA: also answer questions made by its templates")
    options.add_json(evaluate)
    evaluate.set_defaults(run=run_evaluate)
    train = options.add_parser(
        commands, "train", "train one part of the chain, or all of it", TRAIN_EXAMPLES,
        "encoder → library → decision → language → align → questions; every part names the encoder it was made with, so a new"
        " encoder needs all that follows it (`train all`). `calibration` joins an encoder with measurements and fits its"
        " probabilities again; `questions` trains the heads for ECG-QA's convention (`train all` does so where"
        " --ecg-qa names its folder);"
        " `pretraining` makes the table of what learning without labels is worth. Working files stay under --run, where a"
        " killed job is taken up again.",
    )  # fmt: skip
    train.add_argument("what", choices=STEPS, help="which part")
    train.add_argument("ptbxl", metavar="PTBXL_DIR", nargs="?", help="folder with ptbxl_database.csv and records100")
    train.add_argument("--run", dest="run_dir", metavar="DIR", default="run", help="folder for working files (run)")
    train.add_argument("--out", metavar="DIR", help="folder for what ships, instead of the installed package's own folders")
    train.add_argument("--steps", type=_at_least_one, help="steps of the language model's base, or of its alignment")
    train.add_argument("--base", metavar="MODEL", help="any transformers causal language model, by folder or name, to align")
    train.add_argument("--ecg-qa", metavar="DIR", help="folder of ECG-QA: its questions, for the heads of its convention")
    train.add_argument("--seed", type=int, default=0, help="seed (0)")
    train.set_defaults(run=run_train, may_download=True)


def _ptbxl(folder: str | None) -> Path:
    if folder is None:
        raise QueryError("This step reads PTB-XL; give its folder after the step's name.")
    path = Path(folder)
    if not (path / "ptbxl_database.csv").is_file():
        raise QueryError(f"There is no ptbxl_database.csv in {path.name!r}; give the folder of an unpacked PTB-XL.")
    return path


def _ecgqa(folder: str | None) -> Path | None:
    if folder is not None and not (Path(folder) / "templates.csv").is_file():
        raise QueryError(f"There is no templates.csv in {Path(folder).name!r}; give the folder of an unpacked ECG-QA.")
    return None if folder is None else Path(folder)


def run_evaluate(args: argparse.Namespace) -> int:
    """Scores and prints."""
    folder = _ptbxl(args.ptbxl)
    with quiet_stdout():
        from assistant.evaluate import evaluate, format_table

        scores = evaluate(
            folder, args.folds, Path(args.out) if args.out else None, run=args.run_dir, language=args.language,
            sample=args.sample, ecgqa=_ecgqa(args.ecg_qa),
        )  # fmt: skip
    if args.json:
        write_json(scores)
    else:
        print(format_table(scores))
    return 0


def run_train(args: argparse.Namespace) -> int:
    """Runs one step of the chain, or all of them in order."""
    if args.base is not None and args.what != "align":
        raise QueryError(f"--base goes with `train align`, not with `train {args.what}`; leave it out.")
    run_dir = Path(args.run_dir)
    if args.what == "language":
        from assistant.language.base import pretrain

        steps = {} if args.steps is None else {"steps": args.steps}
        pretrain(run_dir / "language", seed=args.seed, **steps)
        return 0
    folder = _ptbxl(args.ptbxl)
    from assistant import chain
    from encoders.encode import Encoder

    places = chain.Places(folder, run_dir)
    if args.out is not None:
        out = Path(args.out)
        places = chain.Places(folder, run_dir, *(out / part for part in ("encoder", "library", "decision", "language")))
    if args.what == "pretraining":
        from encoders.probe import STARTS, pretraining_table

        pretraining_table(places.ptbxl, run_dir / "pretraining", STARTS, cache=places.cache)
    elif args.what == "calibration":
        chain.train_calibration(places)
    elif args.what == "all":
        chain.train_all(places, seed=args.seed, ecgqa=_ecgqa(args.ecg_qa))
    elif args.what == "encoder":
        chain.train_encoder_step(places, seed=args.seed)
    else:
        encoder = Encoder.load(places.encoder)
        if args.what == "library":
            chain.train_library(places, encoder)
        elif args.what == "decision":
            chain.train_decision(places, encoder)
        elif args.what == "questions":
            ecgqa = _ecgqa(args.ecg_qa)
            if ecgqa is None:
                raise QueryError("This step learns from ECG-QA's questions; give its folder with --ecg-qa.")
            chain.train_questions(places, encoder, ecgqa, seed=args.seed)
        else:
            steps = {} if args.steps is None else {"lora_steps": args.steps}
            chain.train_language(places, encoder, base=args.base, seed=args.seed, **steps)
    return 0
