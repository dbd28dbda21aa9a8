"""Intervals and beats against the cardiologists' boundaries of LUDB: ``python ludb_intervals.py LUDB_FOLDER``.

Reference, per recording: in every lead and beat the annotated interval, then the median over beats and leads. Each row is
printed for the recordings as they are (500 Hz) and decimated to 100 Hz. ``pooled`` compares with the interval between the
third earliest onset and the third latest offset over the leads instead, as a view on the choice of reference.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import wfdb
from scipy.signal import resample_poly

from encoders.delineate import delineate
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.measure import measure

TOLERANCE_MS = 150.0
NAMES = ("pr_ms", "qrs_ms", "qt_ms")


def annotated(stem: Path) -> np.ndarray:
    """Boundaries in ms, (beats, leads, 6): P on, P off, QRS on, QRS off, T on, T off; NaN where not annotated."""
    waves: dict[str, list[tuple[str, float, float, float]]] = {}
    for lead in STANDARD_LEADS:
        a = wfdb.rdann(str(stem), lead.lower())
        marks = list(zip(a.symbol, a.sample * 2.0, strict=True))
        waves[lead] = []
        for k, (symbol, at) in enumerate(marks):
            if symbol in "pNt":
                on = marks[k - 1][1] if k and marks[k - 1][0] == "(" else np.nan
                off = marks[k + 1][1] if k + 1 < len(marks) and marks[k + 1][0] == ")" else np.nan
                waves[lead].append((symbol, on, at, off))
    rows = []
    for peak in [w[2] for w in waves["II"] if w[0] == "N"]:
        row = np.full((12, 6), np.nan)
        for i, lead in enumerate(STANDARD_LEADS):
            qrs = sorted((w for w in waves[lead] if w[0] == "N" and abs(w[2] - peak) < 100), key=lambda w: abs(w[2] - peak))
            if not qrs:
                continue
            at = qrs[0][2]
            others = [w[2] for w in waves[lead] if w[0] == "N"]
            before = max((o for o in others if o < at - 10), default=at - 800)
            after = min((o for o in others if o > at + 10), default=at + 800)
            row[i, 2:4] = qrs[0][1], qrs[0][3]
            ps = [w for w in waves[lead] if w[0] == "p" and max(before, at - 400) < w[2] < at]
            ts = [w for w in waves[lead] if w[0] == "t" and at < w[2] < min(after, at + 640)]
            if ps:
                row[i, 0:2] = ps[-1][1], ps[-1][3]
            if ts:
                row[i, 4:6] = ts[0][1], ts[0][3]
        if np.isfinite(row[:, 2]).sum() >= 6:
            rows.append(row)
    return np.array(rows)


def reference(a: np.ndarray) -> tuple[dict[str, float], dict[str, float], bool]:
    """Median intervals, pooled intervals, and whether P waves are annotated at all."""
    median = {
        "pr_ms": float(np.nanmedian(a[:, :, 2] - a[:, :, 0])),
        "qrs_ms": float(np.nanmedian(a[:, :, 3] - a[:, :, 2])),
        "qt_ms": float(np.nanmedian(a[:, :, 5] - a[:, :, 2])),
    }
    early = np.sort(a, axis=1)[:, 2]
    late = -np.sort(-a, axis=1)[:, 2]
    pooled = {
        "pr_ms": float(np.nanmedian(early[:, 2] - early[:, 0])),
        "qrs_ms": float(np.nanmedian(late[:, 3] - early[:, 2])),
        "qt_ms": float(np.nanmedian(late[:, 5] - early[:, 2])),
    }
    return median, pooled, float(np.isfinite(a[:, :, 0]).mean()) > 0.4


def main(folder: str) -> None:
    warnings.simplefilter("ignore")
    stems = sorted((Path(folder) / "data").glob("*.hea"), key=lambda p: int(p.stem))
    table = {stem: annotated(stem.with_suffix("")) for stem in stems}
    for fs in (500, 100):
        hits = missed = extra = pr_without_p = no_p = 0
        errors: dict[str, list[float]] = {n: [] for n in NAMES}
        wide: dict[str, list[float]] = {n: [] for n in NAMES}
        absent = dict.fromkeys(NAMES, 0)
        spent = 0.0
        for stem, a in table.items():
            signal = wfdb.rdsamp(str(stem.with_suffix("")))[0].T
            signal = signal if fs == 500 else resample_poly(signal, 1, 5, axis=1, padtype="line")
            ecg = ECG(signal, float(fs), STANDARD_LEADS)
            started = time.perf_counter()
            m = measure(ecg)
            spent += time.perf_counter() - started
            found = delineate(ecg)
            true = np.nanmedian((a[:, :, 2] + a[:, :, 3]) / 2, axis=1)
            got = np.zeros(0) if found is None else found.centres_s * 1000
            got = got[(got > true[0] - TOLERANCE_MS) & (got < true[-1] + TOLERANCE_MS)]
            hit = sum(bool(len(got)) and np.abs(got - t).min() <= TOLERANCE_MS for t in true)
            hits, missed = hits + hit, missed + len(true) - hit
            extra += sum(np.abs(true - g).min() > TOLERANCE_MS for g in got)
            median, pooled, has_p = reference(a)
            if not has_p:
                no_p += 1
                pr_without_p += m.value("pr_ms") is not None
            for name in NAMES:
                if name == "pr_ms" and not has_p:
                    continue
                value = m.value(name)
                if value is None:
                    absent[name] += 1
                else:
                    errors[name].append(value - median[name])
                    wide[name].append(value - pooled[name])
        print(f"{fs} Hz: {len(table)} recordings, {spent / len(table) * 1000:.1f} ms each")
        print(f"  QRS sensitivity {hits / (hits + missed):.4f}, PPV {hits / (hits + extra):.4f} at {TOLERANCE_MS:.0f} ms")
        print(f"  PR given although no P annotated: {pr_without_p} of {no_p}")
        for name in NAMES:
            e, w = np.array(errors[name]), np.array(wide[name])
            print(
                f"  {name:7s} n {len(e):3d} not given {absent[name]:2d}  MAE {np.abs(e).mean():5.1f}  bias {np.median(e):+5.1f}"
                f"  P95 {np.percentile(np.abs(e), 95):5.1f}   pooled: MAE {np.abs(w).mean():5.1f} bias {np.median(w):+5.1f}"
            )


if __name__ == "__main__":
    main(sys.argv[1])
