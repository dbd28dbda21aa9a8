"""Measured values, each with what it rests on. Missing is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from encoders.ecg import STANDARD_LEADS

__all__ = ["MEASUREMENT_NAMES", "UNITS", "Measurement", "Measurements"]

#: Every measurement of the first version, in the order of tables. Units are in the names.
MEASUREMENT_NAMES = (
    "rate_bpm",  # ventricular rate
    "rr_ms",  # mean RR interval
    "rr_sd_ms",  # its standard deviation
    "rr_irregularity",  # RMSSD of RR over mean RR, without unit
    "p_wave_share",  # share of beats with a P wave in front, 0-1
    "pr_ms",
    "qrs_ms",
    "qt_ms",
    "qtc_ms",  # Fridericia
    "qtc_bazett_ms",
    "axis_deg",  # frontal QRS axis, -180..180
    "sokolow_lyon_mv",  # S in V1 + the larger R of V5 and V6
    "cornell_mv",  # R in aVL + S in V3
    *(f"st_j_mv_{lead}" for lead in STANDARD_LEADS),  # ST level at J against the PR segment
)

UNITS = {"bpm": "/min", "ms": "ms", "deg": "°", "mv": "mV"}


@dataclass(frozen=True)
class Measurement:
    """One value. ``beats`` and ``leads`` say what it rests on, ``reliability`` is 0-1, ``note`` why it is None or weak."""

    name: str
    value: float | None
    beats: int = 0
    leads: tuple[str, ...] = ()
    reliability: float = 0.0
    note: str = ""

    @property
    def unit(self) -> str:
        """Printed unit: "/min", "ms", "°", "mV" or nothing."""
        for part in self.name.split("_"):
            if part in UNITS:
                return UNITS[part]
        return ""

    def text(self) -> str:
        """The value as it is printed, e.g. "142 ms"; "not measurable" where it is None."""
        if self.value is None:
            return "not measurable"
        if self.unit == "/min":
            return f"{self.value:.0f}/min"
        if self.unit in ("ms", "°"):
            return f"{self.value:.0f}{' ' if self.unit == 'ms' else ''}{self.unit}"
        return f"{self.value:.2f} {self.unit}".rstrip()


@dataclass(frozen=True)
class Measurements:
    """All measurements of one recording; every name of MEASUREMENT_NAMES is there."""

    items: tuple[Measurement, ...]

    def __getitem__(self, name: str) -> Measurement:
        for item in self.items:
            if item.name == name:
                return item
        raise KeyError(name)

    def value(self, name: str) -> float | None:
        return self[name].value

    def to_json(self) -> dict[str, Any]:
        return {
            m.name: {
                "value": None if m.value is None else round(m.value, 3),
                "unit": m.unit,
                "beats": m.beats,
                "leads": list(m.leads),
                "reliability": round(m.reliability, 3),
                "note": m.note,
            }
            for m in self.items
        }
