"""How far an attribution can be trusted: faithfulness, where in the beat it falls, and what its variants cost and leave.

    python tests/benchmarks/attribution.py PTBXL_DIR [--folds 9] [--pairs 50] [--out FILE]      the figures of the shipped one
    python tests/benchmarks/attribution.py PTBXL_DIR --folds 8 --variants [--pairs 10]          what it was chosen from

Pairs of a recording and a statement that is listed for it, with a logit more than 1 above that of a silent recording: ``--pairs``
of each of three groups, at most one of each recording, drawn at random. The groups are the statements whose criteria lie in
P and PR, in the QRS complex, or in ST and T.

faithfulness   deletion (low is good) and insertion (high is good), beside random order and beside the order of plain amplitude
parts          share of what speaks for the statement on P-PR, QRS and ST-T (encoders.explanation.beat_parts) and outside, beside
               the share of time (an indifferent attribution), of amplitude (one that follows the size of the signal), and of
               the same attribution with its patches in random order
completeness   what the sum of the values misses of the logit's difference to silence, as a share of it

Intervals: 95 %, from resampling recordings.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
import wfdb
from numpy.typing import NDArray

from encoders.attribution import PATCH, POWER, SILENCE, STEPS, deletion_insertion, integrated, path
from encoders.clean import clean
from encoders.delineate import delineate
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.encode import Encoder
from encoders.explanation import OUTSIDE, PARTS, beat_parts, share_by_part
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.vocabulary import CODES

__all__ = ["main"]

#: Statements by the part of the beat that their criteria lie in. Left out: what lies in several (WPW, infarctions with ST and
#: Q, RVH) and what is told from the rhythm. Enlarged atria are told from P itself and counted within the first group.
GROUPS = {
    "P-PR": ("1AVB", "LPR", "LAO/LAE", "RAO/RAE"),
    "QRS": (
        "CLBBB", "CRBBB", "ILBBB", "IRBBB", "LAFB", "LPFB", "IVCD", "LVH", "VCLVH", "HVOLT", "LVOLT", "PVC", "ABQRS", "QWAVE",
    ),
    "ST-T": (
        "NDT", "NT_", "NST_", "STD_", "STE_", "INVT", "LOWT", "TAB_", "LNGQT", "DIG", "ISC_", "ISCAL", "ISCIN", "ISCIL", "ISCAS",
        "ISCLA", "ISCAN", "INJAS", "INJAL", "INJIN", "INJLA", "INJIL",
    ),
}  # fmt: skip
LEAST_LOGIT = 1.0
#: A statement with fewer pairs than this has no rows of its own.
LEAST_PAIRS = 5
#: Figures so far are written after so many pairs.
KEPT_EVERY = 15
BOOTSTRAPS = 1000

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Pair:
    """A recording as recorded and as the network sees it, a statement, and the logit with that of silence."""

    group: str
    code: str
    ecg: ECG
    x: Array
    logit: float
    silent: float

    @property
    def column(self) -> int:
        return CODES.index(self.code)


def logits_of(encoder: Encoder, x: Array) -> Array:
    with torch.inference_mode():
        out: Array = encoder.network.encode(torch.from_numpy(x))[0].numpy()
    return out


def read(data: PtbXl, row: int) -> tuple[ECG, Array]:
    signal, _ = wfdb.rdsamp(str(data.path(int(data.ids[row]))))
    mv = signal.T.astype(np.float32)
    return ECG(mv, 100.0, STANDARD_LEADS), np.clip(clean(mv, 100.0), -10, 10)


def drawn(encoder: Encoder, data: PtbXl, count: int, rng: np.random.Generator) -> list[Pair]:
    """``count`` pairs of each group (fewer where there are not as many), the groups taking turns."""
    groups: list[list[Pair]] = []
    used: set[int] = set()
    for group, codes in GROUPS.items():
        columns = [CODES.index(code) for code in codes]
        listed = np.argwhere(data.labels[:, columns] > 0)
        found: list[Pair] = []
        for row, k in rng.permutation(listed):
            if len(found) == count:
                break
            if row in used:
                continue
            ecg, x = read(data, int(row))
            logit, silent = logits_of(encoder, np.stack([x, SILENCE * x]))[:, columns[k]].tolist()
            if logit - silent > LEAST_LOGIT:
                used.add(row)
                found.append(Pair(group, codes[k], ecg, x, logit, silent))
        groups.append(found)
    return [pair for turn in zip_longest(*groups) for pair in turn if pair is not None]


def with_interval(values: list[float], rng: np.random.Generator, statistic: Callable[..., Any] = np.mean) -> dict[str, Any]:
    """The statistic over recordings with its interval; every recording gives one value."""
    x = np.array(values)
    again = statistic(x[rng.integers(0, len(x), (BOOTSTRAPS, len(x)))], axis=1)
    low, high = np.quantile(again, (0.025, 0.975))
    return {"value": round(float(statistic(x)), 4), "interval": [round(float(low), 4), round(float(high), 4)], "n": len(x)}


def shuffled(values: Array, rng: np.random.Generator) -> Array:
    """The same values with their patches of 0.1 s of one lead in random order."""
    patches = values.reshape(len(values), -1, PATCH)
    return rng.permutation(patches.reshape(-1, PATCH)).reshape(values.shape).astype(np.float32)


@dataclass(frozen=True)
class Judged:
    """One pair's figures; ``parts`` is empty where no beats could be told."""

    pair: Pair
    faithful: dict[str, float]
    missed: float
    parts: dict[str, dict[str, float]]
    wall_s: float
    cpu_s: float


def judge(encoder: Encoder, pair: Pair, rng: np.random.Generator) -> Judged:
    """Every figure of the shipped attribution for one pair."""
    wall, cpu = time.perf_counter(), time.process_time()
    values = integrated(encoder.network, pair.x, pair.column, *path(STEPS))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    faithful = {}
    for name, order in {"": values, "random_": rng.random(values.shape), "amplitude_": np.abs(pair.x)}.items():
        curves = deletion_insertion(encoder.network, pair.x, pair.column, order)
        faithful[f"{name}deletion"], faithful[f"{name}insertion"] = curves
    parts: dict[str, dict[str, float]] = {}
    found = delineate(pair.ecg)
    if found is not None:
        part, _ = beat_parts(found, 100.0, values.shape[1])
        weights = {
            "attribution": np.clip(values, 0, None), "time": np.ones_like(values), "amplitude": np.abs(pair.x),
            "random order": np.clip(shuffled(values, rng), 0, None),
        }  # fmt: skip
        parts = {kind: share_by_part(each, part) for kind, each in weights.items()}
    return Judged(pair, faithful, missed(values, pair), parts, wall, cpu)


def missed(values: Array, pair: Pair) -> float:
    """Completeness error: what the sum leaves unexplained, as a share of the logit's difference to silence."""
    return abs(float(values.sum()) - (pair.logit - pair.silent)) / (pair.logit - pair.silent)


def figures(rows: list[Judged], rng: np.random.Generator) -> dict[str, Any]:
    """The figures over pairs, with intervals."""
    over = {name: [row.faithful[name] for row in rows] for name in rows[0].faithful}
    labels = {name: [row for row in rows if row.pair.group == name and row.parts] for name in GROUPS}
    codes = {code: [row for row in rows if row.pair.code == code and row.parts] for code in CODES}
    labels = {name: each for name, each in labels.items() if each} | {
        code: each for code, each in codes.items() if len(each) >= LEAST_PAIRS
    }
    return {
        "pairs": len(rows),
        "faithfulness": {name: with_interval(values, rng) for name, values in over.items()},
        "better_than_random": {
            "deletion": with_interval(list(np.subtract(over["random_deletion"], over["deletion"])), rng),
            "insertion": with_interval(list(np.subtract(over["insertion"], over["random_insertion"])), rng),
        },
        "completeness_error": with_interval([row.missed for row in rows], rng, np.median),
        "parts": {
            label: {
                kind: {name: with_interval([row.parts[kind][name] for row in each], rng) for name in (*PARTS, OUTSIDE)}
                for kind in each[0].parts
            }
            for label, each in labels.items()
        },
        "seconds": {
            "wall_median": round(float(np.median([row.wall_s for row in rows])), 3),
            "cpu_median": round(float(np.median([row.cpu_s for row in rows])), 3),
            "threads": torch.get_num_threads(),
        },
    }


def smoothed(values: Array, samples: int) -> Array:
    kernel = np.ones(samples) / samples
    return np.stack([np.convolve(row, kernel, "same") for row in values]).astype(np.float32)


def variants(encoder: Encoder, pairs: list[Pair], rng: np.random.Generator) -> dict[str, Any]:
    """Deletion, insertion and completeness of other ways, on the same pairs."""

    def way(steps: int, power: float) -> Callable[[Pair], Array]:
        return lambda pair: integrated(encoder.network, pair.x, pair.column, *path(steps, power))

    one = np.ones(1, np.float32)
    ways: dict[str, Callable[[Pair], Array]] = {
        "gradient x input": lambda pair: integrated(encoder.network, pair.x, pair.column, one, one),
        # Patches are ordered by their sum, so smoothing matters only where it reaches beyond one.
        "integrated, 8 steps, power 2, smoothed over 0.3 s": lambda pair: smoothed(way(8, 2.0)(pair), 3 * PATCH),
        **{
            f"integrated, {steps} steps, power {power:g}": way(steps, power)
            for power in (1.0, 2.0, 3.0)
            for steps in (4, 8, 12, 16)
        },
    }
    out: dict[str, Any] = {}
    for name, make in ways.items():
        rows, seconds = [], 0.0
        for pair in pairs:
            clock = time.process_time()
            values = make(pair)
            seconds += time.process_time() - clock
            rows.append((*deletion_insertion(encoder.network, pair.x, pair.column, values), missed(values, pair)))
        table = np.array(rows)
        out[name] = {
            "deletion": with_interval(list(table[:, 0]), rng), "insertion": with_interval(list(table[:, 1]), rng),
            "completeness_error_median": round(float(np.median(table[:, 2])), 4),
            "completeness_error_90": round(float(np.quantile(table[:, 2], 0.9)), 4),
            "cpu_s": round(seconds / len(pairs), 3),
        }  # fmt: skip
        print(f"{name:50s} {json.dumps(out[name])}", flush=True)
    return out


def shown(result: dict[str, Any]) -> None:
    def text(item: dict[str, Any]) -> str:
        return f"{item['value']:.3f} [{item['interval'][0]:.3f}, {item['interval'][1]:.3f}]"

    print(f"{result['pairs']} pairs; completeness error (median) {text(result['completeness_error'])}; {result['seconds']}")
    for name, item in result["faithfulness"].items():
        print(f"{name:22s} {text(item)}")
    for label, kinds in result["parts"].items():
        print(f"{label} (n={kinds['time'][OUTSIDE]['n']})")
        for kind in kinds if label in GROUPS else ("attribution", "time"):
            print(f"  {kind:13s} " + ", ".join(f"{part} {text(item)}" for part, item in kinds[kind].items()))


def kept(result: dict[str, Any], out: Path | None) -> None:
    if out is not None:
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ptbxl", type=Path)
    parser.add_argument("--folds", default="9")
    parser.add_argument("--pairs", type=int, default=50, help="of each of the three groups (50)")
    parser.add_argument("--encoder", type=Path, help="folder of another encoder than the built-in one")
    parser.add_argument("--variants", action="store_true", help="compare ways instead (choose on fold 8)")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    encoder = Encoder.load(args.encoder, calibrated=False)
    rng = np.random.default_rng(0)
    pairs = drawn(encoder, load_ptbxl(args.ptbxl, tuple(int(fold) for fold in args.folds.split(","))), args.pairs, rng)
    result: dict[str, Any] = {"encoder": encoder.hash, "folds": args.folds, "steps": STEPS, "power": POWER}
    if args.variants:
        result["variants"] = variants(encoder, pairs, rng)
    else:
        rows: list[Judged] = []
        for pair in pairs:
            rows.append(judge(encoder, pair, rng))
            if len(rows) % KEPT_EVERY == 0 or len(rows) == len(pairs):
                result.update(figures(rows, np.random.default_rng(0)))
                kept(result, args.out)
        shown(result)
    kept(result, args.out)


if __name__ == "__main__":
    main()
