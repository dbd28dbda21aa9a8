"""Measured values, each with what it rests on. Missing is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from encoders.ecg import STANDARD_LEADS

__all__ = [
    "LEAD_VALUES",
    "MEASUREMENT_NAMES",
    "MORE_NAMES",
    "UNITS",
    "LeadMeasurement",
    "Measurement",
    "Measurements",
]

#: What case libraries store and the language model is told, in the order of tables. Units are in the names. A change here
#: needs a new library and a new alignment; further values belong in MORE_NAMES.
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

#: Further values of one recording: in the report's document, in tables and in criteria, not in the library's columns.
MORE_NAMES = (
    "atrial_rate_bpm",  # only where P waves outnumber the QRS complexes or run apart from them
    "rr_min_ms",
    "rr_max_ms",
    "rr_rmssd_ms",
    "rr_pnn50",  # share of successive RR intervals that differ by more than 50 ms, 0-1
    "p_ms",  # P duration
    "qtc_framingham_ms",
    "qtc_hodges_ms",
    "p_axis_deg",
    "t_axis_deg",
    "cornell_product_mvms",  # Cornell voltage times QRS duration
    "r_transition",  # chest position at which R outgrows S: 3.5 is halfway between V3 and V4
    "beats_n",
    "premature_ventricular_n",
    "premature_atrial_n",
    "pauses_2s_n",  # RR intervals of 2 s and more
    "pauses_3s_n",
)

UNITS = {"bpm": "/min", "ms": "ms", "deg": "°", "mv": "mV", "mvms": "mV·ms"}


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
        """Printed unit: "/min", "ms", "°", "mV", "mV·ms" or nothing."""
        for part in self.name.split("_"):
            if part in UNITS:
                return UNITS[part]
        return ""

    @property
    def whole(self) -> bool:
        """Whether it is printed without decimals; the others have two."""
        return self.unit in ("/min", "ms", "°", "mV·ms") or self.name.endswith("_n")

    @property
    def printed(self) -> float | None:
        """The value as rounded for print: from the three decimals of documents, so that whoever prints those shows the same."""
        if self.value is None:
            return None
        return round(round(self.value, 3), 0 if self.whole else 2) + 0.0  # no value is "-0"

    def text(self) -> str:
        """The value as it is printed, e.g. "142 ms"; "not measurable" where it is None."""
        if self.printed is None:
            return "not measurable"
        gap = "" if self.unit in ("/min", "°", "") else " "
        return f"{self.printed:.{0 if self.whole else 2}f}{gap}{self.unit}"


@dataclass(frozen=True)
class LeadMeasurement:
    """What was read off one lead's averaged beat, in mV against the level just before QRS onset, and in ms.

    Attributes
    ----------
    p_mv, t_mv : the wave's extreme, signed. ``t_mv`` lies between J + 60 ms and the end of T.
    q_mv, r_mv, s_mv : size of the wave, 0 or above; 0: the lead was read and has no such wave. A QRS without R is all Q (QS).
    q_ms : how long Q lasts, 0 where there is none.
    qrs_area_mvms : net area of QRS, signed: which way the lead's QRS points.
    st_j_mv, st_j60_mv, st_j80_mv : level at J (the 8 ms after QRS offset), and 60 and 80 ms later.
    beats : beats of one shape that the average rests on. ``reliability`` 0-1; ``note`` why values are None or weak.
    """

    lead: str
    p_mv: float | None = None
    q_mv: float | None = None
    q_ms: float | None = None
    r_mv: float | None = None
    s_mv: float | None = None
    qrs_area_mvms: float | None = None
    st_j_mv: float | None = None
    st_j60_mv: float | None = None
    st_j80_mv: float | None = None
    t_mv: float | None = None
    beats: int = 0
    reliability: float = 0.0
    note: str = ""

    def value(self, name: str) -> float | None:
        """The value of this name; KeyError where it is none of LEAD_VALUES."""
        if name not in LEAD_VALUES:
            raise KeyError(name)
        found: float | None = getattr(self, name)
        return found

    def to_json(self) -> dict[str, Any]:
        """Values to three decimals, with what they rest on."""
        values = {name: None if (v := self.value(name)) is None else round(v, 3) for name in LEAD_VALUES}
        return {**values, "beats": self.beats, "reliability": round(self.reliability, 3), "note": self.note}


#: Names of the values of a ``LeadMeasurement``, in the order of tables.
LEAD_VALUES = tuple(f.name for f in fields(LeadMeasurement) if f.name not in ("lead", "beats", "reliability", "note"))


@dataclass(frozen=True)
class Measurements:
    """All measurements of one recording.

    ``items``: every name of MEASUREMENT_NAMES. ``more``: those of MORE_NAMES. ``per_lead``: one record per standard lead.
    What comes from a table that kept less has an empty ``more`` or ``per_lead``.
    """

    items: tuple[Measurement, ...]
    more: tuple[Measurement, ...] = field(default=())
    per_lead: tuple[LeadMeasurement, ...] = field(default=())

    def __getitem__(self, name: str) -> Measurement:
        for item in (*self.items, *self.more):
            if item.name == name:
                return item
        if name in MORE_NAMES:
            return Measurement(name, None, note="not kept in this table")
        raise KeyError(name)

    def value(self, name: str) -> float | None:
        """The value of this name, None where it is missing; KeyError where the name is none of ours."""
        return self[name].value

    def lead(self, name: str) -> LeadMeasurement:
        """What was read off this lead; all None where there is nothing."""
        for item in self.per_lead:
            if item.lead == name:
                return item
        return LeadMeasurement(name, note="not measured in this lead")

    def to_json(self) -> dict[str, Any]:
        """Every value by name with its unit and what it rests on."""
        return {
            m.name: {
                "value": None if m.value is None else round(m.value, 3),
                "unit": m.unit,
                "beats": m.beats,
                "leads": list(m.leads),
                "reliability": round(m.reliability, 3),
                "note": m.note,
            }
            for m in (*self.items, *self.more)
        }

    def leads_to_json(self) -> dict[str, Any]:
        """The per-lead table by lead."""
        return {item.lead: item.to_json() for item in self.per_lead}
