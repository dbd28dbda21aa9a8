"""Measured numbers against PTB-XL's own labels: ``python measurements.py PTBXL_DIR [--folds 9] [--sample 700] [--run DIR]``.

For each number the AUROC for the statement it should carry (a missing value counts as the lowest number), what the cited rules
call critical with the labels beside it, and the measured axis by PTB-XL's heart_axis code. The labels are readings of
cardiologists and machines, not measurements: a first-degree block at 210 ms is often not labelled.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from encoders.criteria import judge
from encoders.metrics import auroc_per_statement
from encoders.ptbxl import SEXES, PtbXl, load_ptbxl
from encoders.table import MeasuredTable, measure_table
from encoders.vocabulary import CODES

#: Number, sign (-1: low values speak for the statement), statement.
PAIRS = (
    ("rate_bpm", 1, "STACH"), ("rate_bpm", -1, "SBRAD"), ("rr_irregularity", 1, "AFIB"), ("p_wave_share", -1, "AFIB"),
    ("pr_ms", 1, "1AVB"), ("qrs_ms", 1, "CLBBB"), ("qrs_ms", 1, "CRBBB"), ("qtc_ms", 1, "LNGQT"), ("qtc_bazett_ms", 1, "LNGQT"),
    ("premature_ventricular_n", 1, "PVC"), ("premature_atrial_n", 1, "PAC"), ("sokolow_lyon_mv", 1, "LVH"),
    ("cornell_mv", 1, "LVH"), ("cornell_product_mvms", 1, "LVH"), ("longest Q (II, aVF, V4-V6)", 1, "QWAVE"),
    ("longest Q (II, III, aVF)", 1, "IMI"), ("r_transition", 1, "ASMI"), ("axis_deg", -1, "LAFB"),
    ("lowest T (I, V4-V6)", -1, "INVT"), ("p_ms", 1, "LAO/LAE"),
)  # fmt: skip


def derived(name: str, table: MeasuredTable, row: int) -> float:
    """A value of the table, or one made of several leads; NaN where missing."""
    m = table.measurements(row)
    if name.startswith("longest Q"):
        leads = ("II", "III", "aVF") if "III" in name else ("II", "aVF", "V4", "V5", "V6")
        values = [v for lead in leads if (v := m.lead(lead).q_ms) is not None]
        return max(values, default=np.nan)
    if name.startswith("lowest T"):
        values = [v for lead in ("I", "V4", "V5", "V6") if (v := m.lead(lead).t_mv) is not None]
        return min(values, default=np.nan)
    value = m.value(name)
    return np.nan if value is None else value


def table_of_labels(data: PtbXl, table: MeasuredTable) -> None:
    print(f"{'number':30s} {'statement':10s} cases  AUROC  measured in")
    for name, sign, code in PAIRS:
        truth = data.labels[:, CODES.index(code)].astype(bool)
        values = np.array([derived(name, table, row) for row in range(len(data))])
        known = np.isfinite(values)
        score = np.where(known, sign * values, np.nanmin(sign * values) - 1)
        area = auroc_per_statement(truth[:, None].astype(np.uint8), score[:, None].astype(np.float32))[0]
        print(f"{name:30s} {code:10s} {truth.sum():5d}  {area:.3f}  {100 * known.mean():.0f} %")


def table_of_axes(data: PtbXl, table: MeasuredTable) -> None:
    print("\nheart_axis   n     median axis   quartiles (degrees)")
    axis = np.array([derived("axis_deg", table, row) for row in range(len(data))])
    codes = data.table["heart_axis"].to_numpy()
    for code in ("ALAD", "LAD", "MID", "AXL", "AXR", "RAD", "ARAD", "SAG"):
        chosen = axis[(codes == code) & np.isfinite(axis)]
        if len(chosen):
            low, mid, high = np.percentile(chosen, (25, 50, 75))
            print(f"{code:10s} {len(chosen):5d}   {mid:7.0f}       {low:.0f} to {high:.0f}")


def table_of_alerts(data: PtbXl, table: MeasuredTable) -> None:
    stage = data.table[["infarction_stadium1", "infarction_stadium2"]].isin(["Stadium I", "Stadium I-II"]).any(axis=1)
    acute = stage.to_numpy() | data.labels[:, CODES.index("STE_")].astype(bool)
    rows: dict[str, set[int]] = {}
    for row, ecg_id in enumerate(data.ids):
        age = float(data.table.at[ecg_id, "age"])
        sex = SEXES.get(int(data.table.at[ecg_id, "sex"]))
        for judged in judge(table.measurements(row), min(age, 90.0) if np.isfinite(age) else None, sex):
            st = judged.criterion_id.startswith("st_elevation") or judged.criterion_id == "secondary_st"
            if judged.severity == "critical" or judged.criterion_id == "pause" or st:
                name = f"ST elevation ({judged.word}, {judged.criterion_id})" if judged.word == "withheld" else judged.word
                rows.setdefault(name, set()).add(row)
    print(f"\nrule, of {len(data)} recordings ({acute.sum()} with an acute infarction or STE_)")
    for name, fired in sorted(rows.items()):
        labels = Counter(code for row in fired for i, code in enumerate(CODES) if data.labels[row, i])
        beside = ", ".join(f"{code} {count}" for code, count in labels.most_common(6))
        print(f"{name:60s} {len(fired):4d} ({100 * len(fired) / len(data):.1f} %), acute {acute[list(fired)].sum()}; {beside}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ptbxl", type=Path)
    parser.add_argument("--folds", default="9")
    parser.add_argument("--sample", type=int, default=700, help="recordings, drawn at random; 0 for all")
    parser.add_argument("--run", type=Path, default=Path("run"), help="folder that keeps the measurements")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    data = load_ptbxl(args.ptbxl, tuple(int(fold) for fold in args.folds.split(",")))
    if 0 < args.sample < len(data):
        keep = np.zeros(len(data), bool)
        keep[np.random.default_rng(0).choice(len(data), args.sample, replace=False)] = True
        data = data.take(keep)
    table = measure_table(data, args.run, args.workers, gate=False)
    table_of_labels(data, table)
    table_of_axes(data, table)
    table_of_alerts(data, table)


if __name__ == "__main__":
    main()
