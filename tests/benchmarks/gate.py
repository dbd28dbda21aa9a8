"""The quality gate's figures: noise on CinC 2011, exchanged electrodes and rejections on PTB-XL fold 9, LUDB, and speed.

    python tests/benchmarks/gate.py ECG_DATA [--parts placement,ludb,cinc2011,check] [--records 2183] [--chest 2183]

Nothing of the gate was fitted on fold 9 or LUDB; on CinC 2011 the noise model's figure is cross-validated. Exchanges with an
arm, a leg or the chest are matrices on the leads and exact, except for the right leg, whose potential nobody records: there
the left leg's stands in, with 0.01 mV of noise. Dextrocardia is a heart mirrored by way of Dower's matrix, so its figure is
an indication only. "Cannot be told" is the gate's own word: neither suspected nor excluded.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.beats import beats_and_bands
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.gate import check
from encoders.gate_fit import cross_validated, load_challenge
from encoders.placement import EXCHANGES, LIMB_EXCHANGES, load_models, log_odds, settle
from encoders.placement_fit import Beats, exchanged, gather
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.readers import read

__all__ = ["main"]

_NO_P = ("AFIB", "AFLT", "PACE", "SVTAC", "PSVT")


def with_rows(ecg: ECG, rows: NDArray[np.floating]) -> ECG:
    """The recording with limb leads computed anew from I, II and chest leads V1-V6, ``rows`` (8, samples)."""
    one, two = rows[0], rows[1]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return replace(ecg, signal_mv=np.vstack([*limb, rows[2:]]).astype(np.float32), leads=STANDARD_LEADS)


def independent(ecg: ECG) -> NDArray[np.float64]:
    return np.stack([ecg.lead(name) for name in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]).astype(np.float64)


def challenge(folder: Path) -> dict[str, Any]:
    x, y = load_challenge(folder)
    figures = cross_validated(x, y)
    records = [row["record"] for row in csv.DictReader((folder / "labels.csv").read_text(encoding="utf-8").splitlines())]
    verdicts = [check(read(folder / name)) for name in records]
    good = np.array([q.usable for q in verdicts])
    score = np.array([q.score for q in verdicts])
    wins = score[y == 1][:, None] - score[y == 0][None]
    return {
        "auroc_cross_validated": figures["auroc"],
        "auroc_shipped_in_sample": round(float((wins > 0).mean() + 0.5 * (wins == 0).mean()), 4),
        "unacceptable_called_unusable": round(float((~good[y == 0]).mean()), 4),
        "acceptable_called_unusable": round(float((~good[y == 1]).mean()), 4),
        "acceptable_with_doubted_placement": sum(q.placement == "doubted" for q, a in zip(verdicts, y, strict=True) if a == 1),
    }


def _states(beats: Beats, limb_only: bool) -> list[tuple[str, str]]:
    """(state, kind) of every averaged beat."""
    model = load_models()["limb" if limb_only else "full"]
    tried = LIMB_EXCHANGES if limb_only else EXCHANGES
    out: list[tuple[str, str]] = []
    for i in range(0, len(beats), 200):
        s = slice(i, i + 200)
        odds = log_odds(model, beats.bins[s], beats.products[s], beats.context[s], limb_only=limb_only)
        for row in odds:
            state, best = settle(row, tried, model.thresholds)
            out.append((state, "" if best is None else tried[best].kind))
    return out


def placement(beats: Beats, no_p: NDArray[np.bool_], limb_only: bool = False, chest: int = 10**6) -> dict[str, Any]:
    """Sensitivity of every exchange and false alarms, on averaged beats.

    ``no_p``: recordings labelled as without P waves; ``chest``: recordings, drawn at random, for exchanges of chest electrodes.
    """
    some = np.sort(np.random.default_rng(9).permutation(len(beats))[:chest])
    fewer = Beats(beats.bins[some], beats.products[some], beats.context[some], beats.ids[some])
    tried = LIMB_EXCHANGES if limb_only else EXCHANGES
    plain = _states(beats, limb_only)
    alarms = Counter(kind for state, kind in plain if state == "doubted")
    out: dict[str, Any] = {
        "recordings": len(beats),
        "false_alarms": round(sum(alarms.values()) / len(beats), 4),
        "false_alarms_by_kind": dict(alarms.most_common()),
        "cannot_be_told_as_recorded": round(float(np.mean([s == "cannot be told" for s, _ in plain])), 4),
        "false_alarms_arms_or_heart": round((alarms["RA-LA"] + alarms["dextrocardia"]) / len(beats), 4),
        "exchanges": {},
    }
    for exchange in tried:
        found = _states(exchanged(fewer if exchange.group == "chest" else beats, exchange.matrix), limb_only)
        doubted = np.array([s == "doubted" for s, _ in found])
        # Named rightly: what it says was done is what undoes it (a rotation is undone by the opposite one).
        undone = next(e.kind for e in tried if np.allclose(e.matrix @ exchange.matrix, np.eye(8)))
        named = np.array([kind == undone for _, kind in found])
        untold = np.array([s == "cannot be told" for s, _ in found])
        row = {
            "doubted": round(float(doubted.mean()), 4),
            "named_rightly": round(float((doubted & named).mean()), 4),
            "cannot_be_told": round(float(untold.mean()), 4),
            "missed": round(float((~doubted & ~untold).mean()), 4),
            "recordings": len(found),
        }
        if exchange.kind == "RA-LA":
            row["doubted_of_those_that_can_be_told"] = round(float(doubted[~untold].mean()), 4)
            row["without_p_waves_n"] = int(no_p.sum())
            row["without_p_waves_doubted"] = round(float(doubted[no_p].mean()), 4)
            row["with_p_waves_doubted"] = round(float(doubted[~no_p].mean()), 4)
        out["exchanges"][exchange.kind] = row
    return out


def end_to_end(data: PtbXl, ids: NDArray[np.int64]) -> dict[str, Any]:
    """``check`` on the recordings as they are, with the arms exchanged, and with the right leg's electrode on the right arm."""
    flags: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    found: Counter[str] = Counter()
    arms = next(e.matrix for e in EXCHANGES if e.kind == "RA-LA")
    rng = np.random.default_rng(0)
    for ecg_id in ids:
        ecg = read(f"{data.path(int(ecg_id))}.hea")
        q = check(ecg)
        verdicts[q.verdict] += 1
        flags.update(q.flags)
        rows = independent(ecg)
        swapped = check(with_rows(ecg, arms @ rows))
        found["arms doubted"] += "arm_swap_suspected" in swapped.flags or "dextrocardia_suspected" in swapped.flags
        found["arms cannot be told"] += swapped.placement == "cannot be told"
        found["arms made unusable"] += not swapped.usable and q.usable
        # Right arm cable on the right leg and back: II lies between the legs, I turns into -III, the chest leads' zero moves.
        legs = rows.copy()
        legs[0], legs[1] = rows[0] - rows[1], rng.normal(0, 0.01, rows.shape[1])
        legs[2:] -= rows[1] / 3
        found["right arm and right leg doubted"] += "limb_swap_suspected" in check(with_rows(ecg, legs)).flags
    n = len(ids)
    return {
        "recordings": n,
        "verdicts": {name: round(verdicts[name] / n, 4) for name in ("usable", "limited", "unusable")},
        "flags": {name: round(count / n, 4) for name, count in flags.most_common()},
        **{name: round(count / n, 4) for name, count in found.items()},
    }


def ludb(folder: Path) -> dict[str, Any]:
    verdicts: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    swapped: Counter[str] = Counter()
    arms = next(e.matrix for e in EXCHANGES if e.kind == "RA-LA")
    files = sorted((folder / "data").glob("*.hea"))
    for file in files:
        ecg = read(file)
        q = check(ecg)
        verdicts[q.verdict] += 1
        flags.update(q.flags)
        again = check(with_rows(ecg, arms @ independent(ecg)))
        swapped["doubted" if {"arm_swap_suspected", "dextrocardia_suspected"} & set(again.flags) else again.placement] += 1
    ecg = read(files[0])
    start = time.process_time()
    for _ in range(30):
        check(ecg)
    check_ms = (time.process_time() - start) / 30 * 1000
    start = time.process_time()
    for _ in range(30):
        beats_and_bands(ecg)
    return {
        "recordings": len(files),
        "verdicts": dict(verdicts),
        "flags": dict(flags),
        "arms_exchanged": dict(swapped),
        "check_cpu_ms": round(check_ms, 1),
        "of_which_bands_and_beats_ms": round((time.process_time() - start) / 30 * 1000, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds ptb-xl, ludb and cinc2011")
    parser.add_argument("--records", type=int, default=10**6, help="recordings of fold 9 for check itself, drawn at random")
    parser.add_argument("--cache", type=Path, help="where averaged beats are kept")
    parser.add_argument("--out", type=Path, help="the same as JSON")
    parser.add_argument("--chest", type=int, default=10**6, help="recordings of fold 9 for exchanged chest electrodes")
    parser.add_argument("--parts", default="placement,ludb,cinc2011,check", help="what to measure")
    args = parser.parse_args()
    parts = args.parts.split(",")
    result: dict[str, Any] = {}
    data = load_ptbxl(args.folder / "ptb-xl", (9,))
    if "placement" in parts:
        beats = gather(data, data.ids, "9", args.cache)
        codes = data.table.loc[beats.ids, "scp_codes"].astype(str)
        no_p = np.array([any(f"'{code}'" in text for code in _NO_P) for text in codes])
        for name, limb_only in (("twelve leads", False), ("limb leads alone", True)):
            result[name] = placement(beats, no_p, limb_only, args.chest)
            print(f"\nFold 9, {name}:", json.dumps({k: v for k, v in result[name].items() if k != "exchanges"}, indent=1))
            print(f"{'exchange':<14}{'doubted':>9}{'named':>9}{'untold':>9}{'missed':>9}{'n':>7}")
            for kind, row in result[name]["exchanges"].items():
                share = [row[k] for k in ("doubted", "named_rightly", "cannot_be_told", "missed")]
                print(f"{kind:<14}" + "".join(f"{100 * v:8.1f}%" for v in share) + f"{row['recordings']:7}", flush=True)
            print(json.dumps(result[name]["exchanges"]["RA-LA"]), flush=True)
    for part, measured in (
        ("ludb", lambda: ludb(args.folder / "ludb")),
        ("cinc2011", lambda: challenge(args.folder / "cinc2011")),
        ("check", lambda: end_to_end(data, np.random.default_rng(9).permutation(data.ids)[: args.records])),
    ):
        if part in parts:
            result[part] = measured()
            print(part, json.dumps(result[part], indent=1), flush=True)
    if args.out is not None:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
