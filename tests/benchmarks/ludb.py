"""The delineation table on LUDB: ``python tests/benchmarks/ludb.py LUDB_DIR [options]``.

Per wave, lead by lead and pooled: sensitivity and positive predictive value of the peaks at 150 ms, mean and SD of the
boundary errors; per recording, the error of PR, QRS and QT (median over beats and leads of the per-lead boundaries). Only
waves within the annotated span (first to last annotated QRS of the lead) count as extra, since LUDB leaves the outermost
beats without marks.

``--weights FOLDER …`` uses these delineation weights, each on the recordings that its card names as held out: cross-validated
figures. Without it the shipped weights are used, which have seen every recording here. ``--fs`` decimates first;
``--leads II`` keeps only these leads. ``--neurokit PYTHON`` adds NeuroKit2's dwt and prominence, run by a Python that has it.
``--out FILE`` writes what was pooled over the leads as JSON, for the card of the weights.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from encoders.delineate import Delineation, delineate, without_fibrillation_p
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.ludb import Annotated, LeadMarks, load_ludb
from encoders.measure import measure_delineation
from encoders.segment import SegmentNetwork, load_segmenter

TOLERANCE_MS = 150.0
WAVES = ("P", "QRS", "T")
BOUNDARIES = ("P on", "P off", "QRS on", "QRS off", "T on", "T off")
#: Per lead and wave: rows of onset, peak, offset in samples of the file.
Marks = dict[str, np.ndarray]
#: Name of a figure to its value, as JSON takes it.
Figures = dict[str, object]


def matched(reference: np.ndarray, found: np.ndarray, tolerance: float) -> list[tuple[int, int]]:
    """Pairs (reference, found) whose peaks lie within ``tolerance``, nearest first, each used once."""
    if len(reference) == 0 or len(found) == 0:
        return []
    distance = np.abs(reference[:, 1][:, None] - found[:, 1][None])
    order = np.argsort(distance, axis=None, kind="stable")
    pairs, used_a, used_b = [], set(), set()
    for flat in order:
        a, b = divmod(int(flat), distance.shape[1])
        if distance[a, b] > tolerance:
            break
        if a not in used_a and b not in used_b:
            pairs.append((a, b))
            used_a.add(a)
            used_b.add(b)
    return pairs


class Tally:
    """Hits, misses, extras and boundary errors (ms) of one lead or of all."""

    def __init__(self) -> None:
        self.hit = dict.fromkeys(WAVES, 0)
        self.miss = dict.fromkeys(WAVES, 0)
        self.extra = dict.fromkeys(WAVES, 0)
        self.errors: dict[str, list[float]] = {f"{w} {b}": [] for w in WAVES for b in ("on", "peak", "off")}

    def add(self, truth: LeadMarks, found: Marks, fs_hz: float, shift: float) -> None:
        """``shift``: samples of truth per sample of ``found``."""
        for wave in WAVES:
            reference, got = truth.waves[wave], found[wave] * shift
            pairs = matched(reference, got, TOLERANCE_MS * fs_hz / 1000)
            self.hit[wave] += len(pairs)
            self.miss[wave] += len(reference) - len(pairs)
            taken = {b for _, b in pairs}
            inside = (got[:, 1] >= truth.span[0]) & (got[:, 1] <= truth.span[1])
            self.extra[wave] += sum(1 for k in np.flatnonzero(inside) if int(k) not in taken)
            for a, b in pairs:
                for column, boundary in enumerate(("on", "peak", "off")):
                    error = (got[b, column] - reference[a, column]) * 1000 / fs_hz
                    if np.isfinite(error):
                        self.errors[f"{wave} {boundary}"].append(float(error))

    def merge(self, other: Tally) -> None:
        for wave in WAVES:
            self.hit[wave] += other.hit[wave]
            self.miss[wave] += other.miss[wave]
            self.extra[wave] += other.extra[wave]
        for name, values in other.errors.items():
            self.errors[name] += values

    def figures(self) -> Figures:
        """Sensitivity and PPV in %, mean and SD of the boundary errors in ms."""
        out: Figures = {}
        for wave in WAVES:
            rates = (self.hit[wave] / max(self.hit[wave] + count[wave], 1) for count in (self.miss, self.extra))
            out[f"{wave} sensitivity/PPV, %"] = [round(100 * rate, 2) for rate in rates]
        for name in BOUNDARIES:
            e = np.array(self.errors[name] or [np.nan])
            out[f"{name} mean/SD, ms"] = [round(float(e.mean()), 1), round(float(e.std()), 1)]
        return out

    def row(self) -> str:
        rates = []
        for wave in WAVES:
            sensitivity = self.hit[wave] / max(self.hit[wave] + self.miss[wave], 1)
            ppv = self.hit[wave] / max(self.hit[wave] + self.extra[wave], 1)
            rates.append(f"{100 * sensitivity:5.1f}/{100 * ppv:5.1f}")
        cells = []
        for name in BOUNDARIES:
            e = np.array(self.errors[name] or [np.nan])
            cells.append(f"{e.mean():+5.1f} ±{e.std():5.1f}")
        return "  ".join(rates) + "  " + "  ".join(cells)


def intervals(marks: list[Marks], ms: float) -> dict[str, float]:
    """Medians over beats and leads of PR, QRS and QT in ms; ``ms`` per sample. P and T are those next to each QRS."""
    values: dict[str, list[float]] = {"PR": [], "QRS": [], "QT": []}
    for lead in marks:
        qrs = lead["QRS"]
        for k, (on, peak, off) in enumerate(qrs):
            before = qrs[k - 1, 1] if k else -np.inf
            after = qrs[k + 1, 1] if k + 1 < len(qrs) else np.inf
            p = lead["P"][(lead["P"][:, 1] > before) & (lead["P"][:, 1] < peak)]
            t = lead["T"][(lead["T"][:, 1] > peak) & (lead["T"][:, 1] < after)]
            values["QRS"].append((off - on) * ms)
            if len(p):
                values["PR"].append((on - p[-1, 0]) * ms)
            if len(t):
                values["QT"].append((t[0, 2] - on) * ms)
    return {n: float(np.nanmedian(v)) if np.isfinite(v).any() else float("nan") for n, v in values.items()}


def lead_marks(found: Delineation | None, leads: tuple[str, ...]) -> list[Marks]:
    """Our boundaries per lead as ``Marks``."""
    empty = {wave: np.zeros((0, 3)) for wave in WAVES}
    if found is None:
        return [dict(empty) for _ in leads]
    shown, out = without_fibrillation_p(found), []
    for name in leads:
        rows = [w for w in shown.waves if w.lead == name]
        out.append({k: np.array([(w.onset, w.peak, w.offset) for w in rows if w.wave == k]).reshape(-1, 3) for k in WAVES})
    return out


def report(title: str, records: list[Annotated], leads: tuple[str, ...], found: dict[str, list[Marks]], fs: float) -> Figures:
    """Prints the table of one method; returns what is pooled over the leads."""
    each = {lead: Tally() for lead in leads}
    errors: dict[str, list[float]] = {"PR": [], "QRS": [], "QT": []}
    absent = dict.fromkeys(errors, 0)
    for r in records:
        truth = [r.marks[STANDARD_LEADS.index(lead)] for lead in leads]
        for lead, marks, got in zip(leads, truth, found[r.name], strict=True):
            each[lead].add(marks, got, r.fs_hz, r.fs_hz / fs)
        want = intervals([m.waves for m in truth], 1000 / r.fs_hz)
        have = intervals(found[r.name], 1000 / fs)
        for name, value in want.items():
            if np.isfinite(value):
                absent[name] += not np.isfinite(have[name])
                if np.isfinite(have[name]):
                    errors[name].append(have[name] - value)
    total = Tally()
    print(f"\n{title}: {len(records)} recordings, {fs:g} Hz, {len(leads)} leads")
    print("lead  P se/ppv     QRS se/ppv   T se/ppv     " + "  ".join(f"{n:12s}" for n in BOUNDARIES))
    for lead, tally in each.items():
        total.merge(tally)
        print(f"{lead:5s} {tally.row()}")
    print(f"all   {total.row()}")
    figures = total.figures()
    for name, values in errors.items():
        e = np.array(values or [np.nan])
        print(
            f"  {name:3s} mean absolute error {np.abs(e).mean():5.1f} ms, mean {e.mean():+5.1f},"
            f" P95 {np.percentile(np.abs(e), 95):5.1f}, n {len(values)}, not given {absent[name]}"
        )
        figures[f"{name} mean absolute error, ms"] = round(float(np.abs(e).mean()), 1)
    return {"what": f"{title}, {len(records)} recordings, {fs:g} Hz, leads {' '.join(leads)}", **figures}


def at_rate(r: Annotated, leads: tuple[str, ...], fs: float) -> np.ndarray:
    """The signal of these leads at ``fs``."""
    x = r.signal_mv[[STANDARD_LEADS.index(lead) for lead in leads]].astype(np.float64)
    if fs == r.fs_hz:
        return x
    ratio = Fraction(fs / r.fs_hz).limit_denominator(1000)
    return np.asarray(resample_poly(x, ratio.numerator, ratio.denominator, axis=1, padtype="line"))


def ours(
    records: list[Annotated], leads: tuple[str, ...], fs: float, network_of: Callable[[str], SegmentNetwork | None]
) -> tuple[dict[str, list[Marks]], Figures]:
    """Our marks, the share of recordings that get a PR, or any P wave, although no P is annotated, and the time taken."""
    found: dict[str, list[Marks]] = {}
    given = seen = without = refused = with_p = 0
    spent = 0.0
    for r in records:
        ecg = ECG(at_rate(r, leads, fs).astype(np.float32), fs, leads)
        network = network_of(r.name)
        started = time.process_time()
        result = delineate(ecg, network)
        spent += time.process_time() - started
        found[r.name] = lead_marks(result, leads)
        pr = measure_delineation(ecg, result).value("pr_ms")
        if sum(len(m.waves["P"]) for m in r.marks) == 0:
            without += 1
            given += pr is not None
            seen += result is not None and bool(result.has_p[result.regular].mean() > 0.5)
        else:
            with_p += 1
            refused += pr is None
    print(f"\nPR given in {given} of {without} recordings without P, refused in {refused} of {with_p} with P (measure);")
    print(f"P before most regular beats in {seen} of {without} recordings without P")
    print(f"delineation: {spent / len(records):.3f} s CPU per recording")
    return found, {
        "PR given where there is no P": f"{given} of {without}",
        "PR refused where there is P": f"{refused} of {with_p}",
        "CPU per recording, s": round(spent / len(records), 3),
    }


def neurokit(python: str, method: str, records: list[Annotated], leads: tuple[str, ...], fs: float) -> dict[str, list[Marks]]:
    """NeuroKit2's marks through another Python."""
    script = Path(__file__).with_name("neurokit_marks.py")
    with tempfile.TemporaryDirectory() as folder:
        signals, out = Path(folder) / "signals.npz", Path(folder) / "marks.json"
        np.savez(signals, fs=np.array(fs), **{r.name: at_rate(r, leads, fs) for r in records})  # type: ignore[arg-type]
        subprocess.run([python, str(script), str(signals), str(out), method], check=True)
        answer = json.loads(out.read_text(encoding="utf-8"))
    print(f"\nNeuroKit2 {method}: {answer['seconds']:.3f} s CPU per recording")
    return {
        name: [{w: np.array(rows, float).reshape(-1, 3) for w, rows in lead.items()} for lead in marks]
        for name, marks in answer["marks"].items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("ludb", type=Path)
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="folders of cross-validation weights")
    parser.add_argument("--fs", type=float, nargs="*", default=[500.0])
    parser.add_argument("--leads", default=",".join(STANDARD_LEADS))
    parser.add_argument("--neurokit", default="", help="a Python that has neurokit2")
    parser.add_argument("--out", type=Path, help="write the pooled figures as JSON")
    args = parser.parse_args()
    records, leads = load_ludb(args.ludb), tuple(args.leads.split(","))
    by_name: dict[str, SegmentNetwork] = {}
    for folder in args.weights:
        network = load_segmenter(folder)
        card = json.loads((folder / "delineation.json").read_text(encoding="utf-8"))
        by_name.update(dict.fromkeys(card["held_out"], network))
    if by_name:
        records = [r for r in records if r.name in by_name]
    figures: list[Figures] = []
    for fs in args.fs:
        title = "ours, out of fold" if by_name else "ours, shipped weights (seen in training)"
        found, more = ours(records, leads, fs, by_name.get)
        figures.append({**report(title, records, leads, found, fs), **more})
        for method in ("dwt", "prominence") if args.neurokit else ():
            found = neurokit(args.neurokit, method, records, leads, fs)
            figures.append(report(f"NeuroKit2 {method}", records, leads, found, fs))
    if args.out is not None:
        args.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
