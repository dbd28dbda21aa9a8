"""What `ecg-assistant adapt` makes of 50, 500 and 5,000 labels: sex, age and the age of an infarction, on PTB-XL.

    python tests/benchmarks/adapt.py PTBXL_DIR [--run RUN] [--counts 50,500,5000] [--lora-up-to 500] [--leads 12,I] [--out FILE]

Labels come from folds 1-8, patient by patient in one random order (so that 50 are among the 500), and every head is
tested on fold 9. Questions:

sex        female or male, as recorded
age        in years; the ages that PTB-XL masks (300: 90 or older) are left out
old        infarction_stadium1 "Stadium III" (old) against "Stadium I", "I-II" and "II" (acute to subacute); recordings with
           "Stadium II-III" and "unknown" are left out; drawn so that both classes keep their share, as there are 992 in all

The encoder learned from the recordings of folds 1-7 (their statements, not these labels), so the cards' own figures are not those
of recordings it has not seen; fold 9's are. Rows are printed as they come, and kept in FILE as JSON.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.adapt import adapt
from encoders.adapt_data import Examples
from encoders.adapt_scores import binary_figures, regression_figures
from encoders.encode import Encoder
from encoders.errors import QueryError
from encoders.leadsets import masked
from encoders.ptbxl import SEXES, PtbXl, load_ptbxl

__all__ = ["main"]

NOTE = "The encoder was trained on PTB-XL folds 1-7 (on statements, not these labels) and sees them otherwise than new ones."
RECENT, OLD = ("Stadium I", "Stadium I-II", "Stadium II"), ("Stadium III",)
TASKS = {"sex": "binary", "age": "regression", "old": "binary"}
#: LoRA heads encode every test recording anew; so many recordings of fold 9, in random order of patients, are enough.
LORA_TEST = 600


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows of a set in random order of patients, with the values of one question."""

    rows: NDArray[np.int64]
    values: NDArray[np.float64]

    def first(self, n: int, *, stratified: bool) -> Sample:
        """The first n; ``stratified``: with both classes in their share."""
        if n >= len(self.rows):
            return self
        if not stratified:
            return Sample(self.rows[:n], self.values[:n])
        cases = round(n * float(self.values.mean()))
        keep = np.sort(np.r_[np.flatnonzero(self.values == 1)[:cases], np.flatnonzero(self.values == 0)[: n - cases]])
        return Sample(self.rows[keep], self.values[keep])


def sample(data: PtbXl, question: str) -> Sample:
    """All recordings of which the answer is known."""
    table = data.table
    order = np.random.default_rng(0).permutation(np.unique(data.patients))
    place = dict(zip(order.tolist(), range(len(order)), strict=True))
    rows = np.lexsort((data.ids, [place[p] for p in data.patients.tolist()]))
    ages = table["age"].to_numpy(float)
    known = ages < 120
    if question == "sex":
        values = table["sex"].to_numpy(float)  # 1 is female in PTB-XL
    elif question == "age":
        values = ages
    else:
        stage = table["infarction_stadium1"]
        known, values = stage.isin([*RECENT, *OLD]).to_numpy(), stage.isin(OLD).to_numpy().astype(float)
    rows = rows[known[rows]]
    return Sample(rows, values[rows])


def examples(data: PtbXl, signals: NDArray[np.float16], chosen: Sample, question: str, leads: str) -> Examples:
    """The sample as `adapt` takes it."""
    table = data.table
    order = np.argsort(chosen.rows)  # a memory map is read in order
    rows = chosen.rows[order]
    read = np.asarray(masked(np.array(signals[rows]), leads), np.float16)
    ages = table["age"].to_numpy(float)[rows]
    return Examples(
        (question,), leads, read, chosen.values[order][:, None], data.patients[rows], True, np.where(ages < 120, ages, np.nan),
        tuple(SEXES[int(s)] for s in table["sex"].to_numpy()[rows]),
    )  # fmt: skip


def shown(question: str, figures: dict[str, Any]) -> str:
    """The figures of a row."""
    names = ("mae", "r2", "coverage") if TASKS[question] == "regression" else ("auroc", "auprc", "ece", "brier")
    parts = []
    for name in names:
        low, high = figures[name]["interval"]
        parts.append(f"{name} {figures[name]['value']:.3f} [{low:.3f}, {high:.3f}]")
    return ", ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ptbxl", type=Path)
    parser.add_argument("--run", type=Path, default=Path("runs"), help="keeps signals and embeddings between runs")
    parser.add_argument("--counts", default="50,500,5000")
    parser.add_argument("--questions", default=",".join(TASKS))
    parser.add_argument("--leads", default="12,I")
    parser.add_argument("--methods", default="linear,lora")
    parser.add_argument("--lora-up-to", type=int, default=500)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    encoder = Encoder.load(calibrated=False)
    train, test = (load_ptbxl(args.ptbxl, folds) for folds in ((1, 2, 3, 4, 5, 6, 7, 8), (9,)))
    train_signals, test_signals = (data.signals(args.run / "cache") for data in (train, test))
    kept = args.run / "adapt" / "embeddings.sqlite"
    rows: list[dict[str, Any]] = []
    jobs = [
        (method, leads, question, int(count))
        for method in args.methods.split(",") for leads in args.leads.split(",")
        for count in args.counts.split(",") for question in args.questions.split(",")
        if method == "linear" or int(count) <= args.lora_up_to
    ]  # fmt: skip
    for method, leads, question, count in jobs:
        chosen = sample(train, question).first(count, stratified=question == "old")
        held = sample(test, question).first(10**9 if method == "linear" else LORA_TEST, stratified=False)
        row: dict[str, Any] = {"question": question, "labels": len(chosen.rows), "leads": leads, "method": method}
        name = f"{question:<4} {len(chosen.rows):>5} labels, leads {leads:<3} {method:<6}"
        try:
            head = adapt(
                encoder, examples(train, train_signals, chosen, question, leads), name=question, task=TASKS[question],
                method=method, kept=kept, note=NOTE, command="tests/benchmarks/adapt.py",
            )  # fmt: skip
        except QueryError as error:
            print(f"{name}: refused: {error}", flush=True)
            rows.append({**row, "refused": str(error)})
            continue
        seen = examples(test, test_signals, held, question, leads)
        p, y = head.predict(encoder, seen.signals, kept)[:, 0], seen.values[:, 0]
        if TASKS[question] == "binary":
            figures = binary_figures(y, p, seen.patients)
        else:
            figures = regression_figures(y, p, np.full(len(y), head.half_widths[0]), seen.patients)
        short = head.shortfalls()[question]
        print(f"{name}: fold 9 (n={len(y)}): {shown(question, figures)}", flush=True)
        print(f"{'':>30} its card: {shown(question, head.card['figures'][question])}: {short or 'clears the bar'}", flush=True)
        rows.append({**row, "fold9": figures, "card": head.card, "refuses": short})
        if args.out:
            args.out.write_text(json.dumps({"encoder": encoder.hash, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
