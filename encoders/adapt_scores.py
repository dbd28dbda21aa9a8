"""How good a head is on patients it has not seen, with intervals, and the bar that it must clear to answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.metrics import auroc_per_statement, calibration_error, resampled_patients

__all__ = ["BAR", "Bar", "average_precision", "binary_figures", "group_figures", "regression_figures", "shortfall"]

BOOTSTRAPS = 1000
Figures = dict[str, Any]
_Column = NDArray[np.float64]


@dataclass(frozen=True)
class Bar:
    """What a head must show on patients it has not seen before it may answer in a report.

    The figures are this project's choice; no standard sets them. ``auroc_low``: lower 95 % limit; 0.8 is where discrimination is
    customarily called excellent (Hosmer, Lemeshow and Sturdivant 2013, section 5.2.4; recalled, not at hand). The limit, not
    the value, so that few labels cannot clear it by luck. ``class_patients``: patients with and without, each; below about
    fifty the interval itself is unreliable (100 of each is the usual advice for external validation; Vergouwe et al. 2005,
    recalled). ``ece``: printed probabilities are off by at most 5 points on average; chance alone adds to this error where
    there are few recordings, so it asks for some hundreds. ``r2_low``: at least half of the variance explained, lower 95 %
    limit. ``coverage_gap``: the 90 % interval holds 87 to 93 % of unseen values; ``regression_patients``: fewer cannot tell.
    """

    auroc_low: float = 0.80
    class_patients: int = 50
    ece: float = 0.05
    r2_low: float = 0.5
    coverage_gap: float = 0.03
    regression_patients: int = 100


BAR = Bar()
#: Share of values that the interval of a regression head is made to hold.
COVERAGE = 0.9


def _auroc(y: _Column, p: _Column) -> float:
    return float(auroc_per_statement(y[:, None].astype(np.uint8), p[:, None].astype(np.float32))[0])


def average_precision(y: _Column, p: _Column) -> float:
    """Area under the precision-recall curve as the mean precision at each case, ties taken together; NaN without cases."""
    order = np.argsort(-p, kind="stable")
    y, p = y[order], p[order]
    last = np.flatnonzero(np.r_[p[1:] != p[:-1], True])
    cases = np.cumsum(y)[last]
    if not len(cases) or cases[-1] == 0:
        return float("nan")
    return float(np.sum(np.diff(np.r_[0.0, cases]) * cases / (last + 1)) / cases[-1])


def _ece(y: _Column, p: _Column) -> float:
    return float(calibration_error(y[:, None].astype(np.uint8), p[:, None].astype(np.float32))[0])


def _with_intervals(
    measures: Mapping[str, Callable[[_Column, _Column], float]], y: _Column, p: _Column, patients: NDArray[np.int64]
) -> Figures:
    """Each measure with its 95 % percentile interval over resampled patients (predictions are kept as they are)."""
    drawn: dict[str, list[float]] = {name: [] for name in measures}
    for rows in resampled_patients(patients, BOOTSTRAPS):
        for name, measure in measures.items():
            drawn[name].append(measure(y[rows], p[rows]))
    out: Figures = {}
    for name, measure in measures.items():
        kept = np.array(drawn[name])[~np.isnan(drawn[name])]
        interval = [round(float(q), 4) for q in np.quantile(kept, [0.025, 0.975])] if len(kept) else None
        value = measure(y, p)
        out[name] = {"value": None if np.isnan(value) else round(value, 4), "interval": interval}
    return out


def binary_figures(y: _Column, p: _Column, patients: NDArray[np.int64]) -> Figures:
    """AUROC, AUPRC, ECE and Brier score of probabilities p (n,) for labels y (n,) 0 or 1, each with a 95 % interval, and counts.

    A patient counts as positive if any recording is.
    """
    positive = np.unique(patients[y > 0])
    return {
        **_with_intervals(
            {
                "auroc": _auroc,
                "auprc": average_precision,
                "ece": _ece,
                "brier": lambda a, b: float(np.mean((a - b) ** 2)),
            }, y, p, patients,
        ),
        "recordings": len(y), "positive_recordings": int(y.sum()), "prevalence": round(float(y.mean()), 4),
        "patients": len(np.unique(patients)), "positive_patients": len(positive),
        "negative_patients": len(np.unique(patients)) - len(positive),
    }  # fmt: skip


def regression_figures(y: _Column, p: _Column, half_widths: _Column, patients: NDArray[np.int64]) -> Figures:
    """MAE and R² of predictions p (n,), and the share of y inside p ± half_widths (n,), each with a 95 % interval, and counts.

    ``mae_of_mean``: the error of always saying the mean.
    """

    def r2(a: _Column, b: _Column) -> float:
        spread = float(np.sum((a - a.mean()) ** 2))
        return 1 - float(np.sum((a - b) ** 2)) / spread if spread > 0 else float("nan")

    inside = (np.abs(y - p) <= half_widths).astype(np.float64)
    return {
        **_with_intervals({"mae": lambda a, b: float(np.mean(np.abs(a - b))), "r2": r2}, y, p, patients),
        **_with_intervals({"coverage": lambda a, _: float(a.mean())}, inside, inside, patients),
        "mae_of_mean": round(float(np.mean(np.abs(y - y.mean()))), 4),
        "recordings": len(y), "patients": len(np.unique(patients)),
    }  # fmt: skip


def group_figures(y: _Column, p: _Column, ages: _Column, sexes: tuple[str, ...], *, binary: bool) -> dict[str, Figures]:
    """The main figure (AUROC, or MAE) by sex and age band, where a group has at least ten recordings (of each class)."""
    from encoders.evaluate import age_bands

    known = np.array(sexes)
    out: dict[str, Figures] = {}
    for name, mask in {"F": known == "F", "M": known == "M", **age_bands(ages)}.items():
        enough = mask.sum() >= 10 and (not binary or min(y[mask].sum(), (1 - y[mask]).sum()) >= 10)
        if enough:
            value = _auroc(y[mask], p[mask]) if binary else float(np.mean(np.abs(y[mask] - p[mask])))
            out[name] = {"recordings": int(mask.sum()), "auroc" if binary else "mae": round(value, 4)}
    return out


def shortfall(task: str, figures: Figures, bar: Bar = BAR) -> str:
    """Why a head with these figures must not answer, in a sentence; empty where it clears the bar."""
    if task == "regression":
        if figures["patients"] < bar.regression_patients:
            return f"It learned from {figures['patients']} patients; at least {bar.regression_patients} are needed."
        low = _low(figures["r2"])
        if low < bar.r2_low:
            return f"The lower 95 % limit of its R² is {low:.3f}; at least {bar.r2_low:.2f} is needed."
        share = figures["coverage"]["value"]
        if abs(share - COVERAGE) > bar.coverage_gap:
            return (
                f"Its {100 * COVERAGE:.0f} % interval held {100 * share:.1f} % of unseen values; "
                f"{100 * (COVERAGE - bar.coverage_gap):.0f} to {100 * (COVERAGE + bar.coverage_gap):.0f} % is needed."
            )
        return ""
    fewest = min(figures["positive_patients"], figures["negative_patients"])
    if fewest < bar.class_patients:
        return f"The rarer class has {fewest} patients; at least {bar.class_patients} are needed."
    low = _low(figures["auroc"])
    if low < bar.auroc_low:
        return f"The lower 95 % limit of its AUROC is {low:.3f}; at least {bar.auroc_low:.2f} is needed."
    if figures["ece"]["value"] > bar.ece:
        return f"Its calibration error is {figures['ece']['value']:.3f}; at most {bar.ece:.2f} is allowed."
    return ""


def _low(figure: Mapping[str, Any]) -> float:
    return float(figure["interval"][0]) if figure["interval"] else float("-inf")
