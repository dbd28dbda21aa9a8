"""Normal ranges of measurements, read off the project's own table of criteria, with its citations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from encoders.criteria_table import ADULT_YEARS, CRITERIA, Criterion, criterion

__all__ = ["Range", "judged", "normal_range", "verdict"]

#: A value is judged as it is printed: whole ms, /min and degrees. The upper limit of a range is the last one that is normal.
_STEP = {"bpm": 1.0, "ms": 1.0, "deg": 1.0, "mv": 0.01}
#: Below the table's limit of a short QTc lie many healthy people; low it is called from where it speaks for a short QT syndrome
#: (at most 340 ms, ESC 2015, doi:10.1093/eurheartj/ehv316).
_QTC, _QTC_LOW_MS = "qtc_ms", 341.0


@dataclass(frozen=True)
class Range:
    """Normal values from ``low`` to ``high``, both included (None: no limit on that side), and where that stands.

    ``text``: the rule in words. ``note``: for whom it holds, where that is not everybody. ``low_from``: a value is called low
    below this one, which is not ``low`` where many healthy people lie between the two.
    """

    low: float | None
    high: float | None
    text: str
    citation: str
    note: str = ""
    low_from: float | None = None

    @property
    def soft(self) -> bool:
        """Whether values below ``low`` are not all called low."""
        return self.low_from != self.low

    def words(self, unit: str) -> str:
        """The range as it is printed, e.g. "120–200"."""
        def shown(value: float) -> str:
            return (f"{value:.0f}" if unit in ("ms", "/min", "°") else f"{value:.2f}").replace("-", "−")

        if self.low is not None and self.high is not None:
            return f"{shown(self.low)} to {shown(self.high)}" if self.low < 0 else f"{shown(self.low)}–{shown(self.high)}"
        return f"≤ {shown(self.high)}" if self.high is not None else f"≥ {shown(self.low)}" if self.low is not None else ""


def _step(name: str) -> float:
    return next((_STEP[part] for part in name.split("_") if part in _STEP), 0.01)


def _from(rule: Criterion, name: str, note: str = "") -> Range:
    high = None if rule.high is None else round(rule.high - _step(name), 2)
    return Range(rule.low, high, rule.text, rule.citation, note, _QTC_LOW_MS if name == _QTC else rule.low)


def normal_range(name: str, age_years: float | None = None, sex: str | None = None) -> Range | None:
    """The normal range of a measurement for this person, None where the table has none or the person is under 18.

    Where the limit differs between women and men and sex is unknown, the range that is normal for both.
    """
    if age_years is not None and age_years < ADULT_YEARS:
        return None
    if name.startswith("st_j_mv_"):
        return _st_range(name.rsplit("_", 1)[-1], age_years, sex)
    if name == "rr_max_ms":
        rule = criterion("pause")
        return Range(None, float(rule.low or 0.0) - 1.0, rule.text, rule.citation)
    rules = [r for r in CRITERIA if r.measurement == name and r.word == "normal"]
    own = [r for r in rules if r.sex in (None, sex)]
    if own:
        return _from(own[0], name)
    if not rules:
        return None
    narrowest = min(rules, key=lambda rule: rule.high if rule.high is not None else float("inf"))
    return _from(narrowest, name, "sex unknown: normal for women and men")


def _st_range(lead: str, age_years: float | None, sex: str | None) -> Range | None:
    """ST level at J below the limit of the Universal Definition; aVR has none, and depression has no limit in the table."""
    if lead == "aVR":
        return None
    if lead not in ("V2", "V3"):
        rule = criterion("st_elevation")
    elif sex == "F":
        rule = criterion("st_elevation_v23_f")
    elif sex == "M" and age_years is not None:
        rule = criterion("st_elevation_v23_m_young" if age_years < 40 else "st_elevation_v23_m")
    else:
        return None
    high = round(float(rule.low or 0.0) - 0.01, 2)
    return Range(None, high, rule.text, rule.citation, "limit for elevation, beside a neighbouring lead")


def _rounded(value: float, name: str) -> float:
    step = _step(name)
    return round(round(value / step) * step, 2)


def judged(value: float | None, name: str, limits: Range | None) -> str:
    """ "low", "high" or "" of a value that is rounded as it is printed; "" where there is no value or no range."""
    if value is None or limits is None:
        return ""
    rounded = _rounded(value, name)
    if limits.low_from is not None and rounded < limits.low_from:
        return "low"
    return "high" if limits.high is not None and rounded > limits.high else ""


def verdict(name: str, document: Mapping[str, Any]) -> tuple[str, Range | None]:
    """How a measurement of a report's document is to be marked ("low", "high", "normal"; "": not at all), and its normal range.

    Neither where the report judges nothing by it: the recording is not usable, or not to be relied on for this value.
    """
    quality, value = document["quality"], document["measurements"][name]["value"]
    if quality["verdict"] == "unusable" or name in quality["limited"]:
        return "", None
    limits = normal_range(name, document.get("age_years"), document.get("sex"))
    if limits is None or value is None:
        return "", limits
    inside = limits.low is None or _rounded(value, name) >= limits.low
    return judged(value, name, limits) or ("normal" if inside else ""), limits
