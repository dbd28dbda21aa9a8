"""Lead names, units and limb-lead arithmetic that the readers share."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import RecordingError

__all__ = ["MAX_DURATION_S", "MV_PER_UNIT", "finish", "lead_name", "unit_name"]

#: Longer recordings are Holter or monitor recordings, outside the intended use (resting 12-lead recordings).
MAX_DURATION_S = 300.0

#: Millivolts in one of each accepted unit.
MV_PER_UNIT = {"mV": 1.0, "uV": 1e-3, "V": 1e3, "nV": 1e-6}

_STANDARD = {name.lower(): name for name in STANDARD_LEADS}
_PREFIX = re.compile(r"^(mdc[_ ]?ecg[_ ]?lead|ecg[_ -]?lead|ecg|lead|ekg|channel)[\s_:.-]*(?=[ivaIVA])", re.IGNORECASE)
_HARMLESS = re.compile(r"^[A-Za-z][A-Za-z0-9+_-]{0,11}$")


def unit_name(text: str | None) -> str | None:
    """A voltage unit in the spelling of ``MV_PER_UNIT``, whatever its case or micro sign; None where it is no voltage."""
    if text is None:
        return None
    folded = text.strip().replace("µ", "u").replace("μ", "u").lower()
    return {"mv": "mV", "uv": "uV", "v": "V", "nv": "nV", "millivolt": "mV", "microvolt": "uV", "volt": "V"}.get(folded)


def lead_name(text: str, position: int) -> tuple[str, float]:
    """The standard spelling of a lead's name, and -1 where the file holds the inverted lead (``-aVR``), else 1.

    Names that are no standard lead stay as they are where they are short and plain (``MLII``, ``vx``); others, which
    could hold anything, a patient's name included, become ``ch1``, ``ch2`` … by ``position``.
    """
    bare = text.strip()
    sign = 1.0
    folded = _PREFIX.sub("", bare).strip().lower()
    if folded.startswith("-") and folded[1:] == "avr":
        folded, sign = "avr", -1.0
    if folded in _STANDARD:
        return _STANDARD[folded], sign
    return (bare if _HARMLESS.match(bare) else f"ch{position + 1}"), 1.0


def finish(
    signal_mv: NDArray[np.float64],
    leads: list[str],
    fs_hz: float,
    *,
    label: str,
    source: str,
    age_years: float | None,
    sex: str | None,
    recorded_at: str | None = None,
) -> ECG:
    """The checked ``ECG`` of what a reader has read: (leads, samples) in mV.

    Infinite values become NaN. Where I and II are there, missing limb leads are derived: III = II - I (Einthoven),
    aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2 (Goldberger). Raises RecordingError for an empty recording, one
    without a single value, or one longer than ``MAX_DURATION_S``. ``label`` names the file in messages.
    """
    if signal_mv.size == 0 or signal_mv.shape[1] < 2:
        raise RecordingError(f"{label} holds no samples; give a recording of at least some seconds.")
    if not (np.isfinite(fs_hz) and fs_hz > 0):
        raise RecordingError(f"{label} states a sampling rate of {fs_hz} Hz; it must be above 0: correct it in the file.")
    check_duration(signal_mv.shape[1] / fs_hz, label)
    repeated = sorted({name for name in leads if leads.count(name) > 1})
    if repeated:
        raise RecordingError(f"{label} holds lead {', '.join(repeated)} more than once; each lead may stand once.")
    with np.errstate(over="ignore", invalid="ignore"):
        signal = np.asarray(signal_mv, dtype=np.float32)
    signal = np.where(np.isfinite(signal), signal, np.float32(np.nan))
    if not np.isfinite(signal).any():
        raise RecordingError(f"{label} holds no valid value, every sample is missing; give a recording with a signal.")
    row = {name: signal[i] for i, name in enumerate(leads)}
    if {"I", "II"} <= row.keys():
        one, two = row["I"], row["II"]
        derived = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
        for name, values in derived.items():
            row.setdefault(name, values)
    return ECG(
        signal_mv=np.stack(list(row.values())),
        fs_hz=float(fs_hz),
        leads=tuple(row),
        age_years=age_years,
        sex=sex,
        recorded_at=recorded_at,
        source=source,
    )


def check_duration(seconds: float, label: str) -> None:
    """Raises RecordingError where a recording is longer than ``MAX_DURATION_S``."""
    if seconds > MAX_DURATION_S:
        long = f"{seconds / 60:.1f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
        raise RecordingError(
            f"{label} is {long} long; resting recordings of up to {MAX_DURATION_S / 60:.0f} minutes are accepted, Holter and "
            "monitor recordings are not: cut out the part of interest."
        )
