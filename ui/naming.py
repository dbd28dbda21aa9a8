"""Measurements and probabilities as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from encoders.measurements import UNITS

if TYPE_CHECKING:
    from encoders.fusion import Weighed

__all__ = ["VITALS", "name_of", "number", "percent", "value_of", "weighed"]

#: The values that stand in the strip under the paper, as on the header of a cart's print.
VITALS = (
    ("rate_bpm", "Rate"), ("pr_ms", "PR"), ("qrs_ms", "QRS"), ("qt_ms", "QT"), ("qtc_ms", "QTcF"),
    ("axis_deg", "QRS axis"), ("rr_irregularity", "RR irregularity"), ("p_wave_share", "Beats with P"),
)  # fmt: skip
_SHARES = ("p_wave_share", "rr_pnn50")
_NAMES = {
    **dict(VITALS), "qtc_ms": "QTc (Fridericia)", "sokolow_lyon_mv": "Sokolow-Lyon voltage", "cornell_mv": "Cornell voltage",
    "p_ms": "P duration",
    "cornell_product_mvms": "Cornell product", "qtc_bazett_ms": "QTc (Bazett)", "qtc_framingham_ms": "QTc (Framingham)",
    "qtc_hodges_ms": "QTc (Hodges)", "pauses_2s_n": "Pauses of 2 s and more", "pauses_3s_n": "Pauses of 3 s and more",
    "rr_ms": "RR, mean", "rr_sd_ms": "RR, standard deviation", "rr_min_ms": "RR, shortest", "rr_max_ms": "RR, longest",
    "rr_rmssd_ms": "RMSSD", "rr_pnn50": "pNN50", "beats_n": "Beats", "atrial_rate_bpm": "Atrial rate",
    "p_axis_deg": "P axis", "t_axis_deg": "T axis", "r_transition": "R transition, chest position",
    "premature_ventricular_n": "Premature ventricular beats", "premature_atrial_n": "Premature atrial beats",
}  # fmt: skip
#: Values of single leads.
_OF_LEADS = {
    "p_mv": "P amplitude", "q_mv": "Q depth", "q_ms": "Q duration", "r_mv": "R amplitude", "s_mv": "S depth",
    "qrs_area_mvms": "QRS net area", "st_j_mv": "ST at J", "st_j60_mv": "ST at J + 60 ms", "st_j80_mv": "ST at J + 80 ms",
    "t_mv": "T amplitude",
}  # fmt: skip


def number(value: float | None, unit: str) -> str:
    """A value as it is printed; a dash where it is missing."""
    if value is None:
        return "—"
    # Rounded first, and 0 added: no value is "-0.00". The minus is a minus, as wide as the digits.
    shown = f"{round(value) + 0:d}" if unit in ("/min", "ms", "°") else f"{round(value, 2) + 0.0:.2f}"
    return f"{shown.replace('-', '−')}{'' if unit in ('/min', '°', '') else ' '}{unit}"


def name_of(name: str) -> str:
    """A measurement as people call it."""
    if name.startswith("st_j_mv_"):
        return f"ST at J, lead {name.rsplit('_', 1)[-1]}"
    plain = " ".join(part for part in name.split("_") if part not in UNITS)
    return _NAMES.get(name, plain[:1].upper() + plain[1:])


def unit_of(name: str) -> str:
    """The printed unit of a value by its name; empty where it has none."""
    return next((UNITS[part] for part in name.split(" ")[0].split("_") if part in UNITS), "")


def value_of(name: str, value: float | None, unit: str) -> str:
    """A measurement's value as it is printed."""
    if value is not None and name.endswith("_n"):
        return f"{value:.0f}"
    return f"{100 * value:.0f} %" if name in _SHARES and value is not None else number(value, unit)


def percent(probability: float) -> str:
    """A probability in whole percent; never 0 or 100."""
    shown = 100 * probability
    return "< 1 %" if shown < 1 else "> 99 %" if shown > 99 else f"{shown:.0f} %"


def weighed(one: Weighed) -> str:
    """What one number added to a finding: "QRS 159 ms (+0.6)"."""
    moved = f"{one.log_odds:+.1f}".replace("-", "−")
    if one.name in ("age", "female"):
        shown = "" if one.value is None else f" {one.value:.0f}" if one.name == "age" else " F" if one.value else " M"
        return f"{'age' if one.name == 'age' else 'sex'}{shown or ' not known'} ({moved})"
    kind, _, lead = one.name.partition(" ")
    name = f"{_OF_LEADS[kind]}, lead {lead}" if lead else name_of(one.name)
    value = "not measured" if one.value is None else value_of(kind, one.value, unit_of(kind))
    return f"{name} {value} ({moved})"
