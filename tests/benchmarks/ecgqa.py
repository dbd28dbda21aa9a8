"""Exact match on questions by ECG-QA's templates, beside baselines; and how many wordings are understood.

``python tests/benchmarks/ecgqa.py PTBXL_DIR ECGQA_DIR --run RUN [--folds 9] [--out FILE.json]``. RUN keeps measurements and
encodings. Fold 8 is for choosing, fold 9 for reporting.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from assistant.ecgqa.evaluate import evaluate_ecgqa, format_ecgqa
from assistant.ecgqa.parse import parse


def wordings(folder: Path) -> tuple[int, list[str]]:
    """How many distinct paraphrases there are in the data set, and those read otherwise than the template they come from."""
    pairs: dict[tuple[str, int], str] = {}
    for file in sorted((folder / "paraphrased").glob("*/*.json")):
        plain = folder / "template" / file.parent.name / file.name
        rows = zip(json.loads(file.read_text("utf-8")), json.loads(plain.read_text("utf-8")), strict=True)
        pairs |= {(one["question"], len(one["ecg_id"])): other["question"] for one, other in rows}
    wrong = [text for (text, n), template in pairs.items() if not parse(text, n).same_as(parse(template, n))]
    return len(pairs), wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ptbxl", type=Path)
    parser.add_argument("ecgqa", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--folds", default="9")
    parser.add_argument("--per-template", type=int, default=120)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    folds = [int(fold) for fold in args.folds.split(",")]
    result = evaluate_ecgqa(args.ptbxl, args.ecgqa, args.run, folds, per_template=args.per_template)
    total, wrong = wordings(args.ecgqa)
    result["paraphrases"] = {"total": total, "understood": 1 - len(wrong) / max(total, 1), "not_understood": wrong}
    print(format_ecgqa(result))
    print(f"  paraphrases of the data set understood: {total - len(wrong)} of {total}")
    for failure in result["failures"]:
        print(f"  {failure['question']}  right: {', '.join(failure['right'])}; given: {', '.join(failure['given'])}")
    if args.out is not None:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
