"""Lead names, units and limb-lead arithmetic that the readers share."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS, Filters
from encoders.errors import RecordingError
from encoders.leadsets import with_limb_leads

__all__ = [
    "LONGEST_S",
    "MAX_DURATION_S",
    "MV_PER_UNIT",
    "check_duration",
    "distinct",
    "finish",
    "given_unit",
    "lead_name",
    "settled_rate",
    "unit_name",
]

#: Longer recordings are Holter or monitor recordings, outside the intended use (resting 12-lead recordings).
MAX_DURATION_S = 600.0
#: Longest that is read at all: waves and intervals of each beat can be had of excerpts of Holter recordings too.
LONGEST_S = 3600.0

#: Shorter ones hold no heartbeat: what is left of a file that was cut off, or a mere sample of the format.
MIN_DURATION_S = 0.5

#: Millivolts in one of each accepted unit.
MV_PER_UNIT = {"mV": 1.0, "uV": 1e-3, "V": 1e3, "nV": 1e-6}

_STANDARD = {name.lower(): name for name in STANDARD_LEADS}
_PREFIX = re.compile(r"^(mdc[_ ]?ecg[_ ]?lead|ecg[_ -]?lead|ecg|lead|ekg|channel)[\s_:.-]*(?=[ivaIVA])", re.IGNORECASE)
#: Names beside the twelve that a file may keep: written out, because any other short word could be the patient's first name.
_ACCEPTED = (
    r"(mod\.?[ _-]?)?(ML(I{1,3}|[1-6])|MV[1-6]|MCL[1-6]?)",  # Mason-Likar and modified chest leads of monitors
    r"mod\.?[ _-]?V[1-6]",
    r"V[1-9]R|V[789]|V",  # right-sided and posterior leads; a bare V is the chest lead of a monitor
    r"v?[XYZ]",  # Frank's orthogonal leads
    r"(DI{1,3}|D[1-4])",  # limb leads as Romance languages number them
    r"[DAJ]",  # Nehb's leads in SCP-ECG (EN 1064, table of lead numbers; recalled without the text at hand)
    r"C[BCFHLMRS][1-7]",  # bipolar chest leads, CM5 and its kin
    r"(E-?S|A-?S|A-?I)",  # EASI
    r"V[1-9]-V[1-9]|[LR][AL]-[LR][AL]",  # differences of two electrodes
    r"(ECG|EKG|lead|ch|chan|channel|sig|signal)[ _.-]?\d{0,2}",
)
_KEPT = re.compile("|".join(f"(?:{pattern})" for pattern in _ACCEPTED), re.IGNORECASE)


def unit_name(text: str | None) -> str | None:
    """A voltage unit in the spelling of ``MV_PER_UNIT``, whatever its case or micro sign; None where it is no voltage."""
    if text is None:
        return None
    folded = text.strip().replace("µ", "u").replace("μ", "u").lower()
    return {"mv": "mV", "uv": "uV", "v": "V", "nv": "nV", "millivolt": "mV", "microvolt": "uV", "volt": "V"}.get(folded)


def lead_name(text: str, position: int) -> tuple[str, float]:
    """The standard spelling of a lead's name, and -1 where the file holds the inverted lead (``-aVR``), else 1.

    Names of other leads that are in use (``MLII``, ``vx``, ``V4R``, ``ECG1``) stay as the file has them; all else, which could
    hold anything, a patient's name included, becomes ``ch1``, ``ch2`` … by ``position``.
    """
    bare = text.strip()
    sign = 1.0
    folded = _PREFIX.sub("", bare).strip().lower()
    if folded.startswith("-") and folded[1:] == "avr":
        folded, sign = "avr", -1.0
    if folded in _STANDARD:
        return _STANDARD[folded], sign
    return (bare if _KEPT.fullmatch(bare) else f"ch{position + 1}"), 1.0


def distinct(names: Sequence[str]) -> list[str]:
    """The same names, a number behind each that stands there again: ``ECG``, ``ECG (2)``; the twelve standard ones stay."""
    return [
        name if name in STANDARD_LEADS or (before := names[:i].count(name)) == 0 else f"{name} ({before + 1})"
        for i, name in enumerate(names)
    ]


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
    filters: Filters | None = None,
) -> ECG:
    """The checked ``ECG`` of what a reader has read: (leads, samples) in mV.

    Infinite values become NaN; names other than the standard ones may repeat (``distinct``). Limb leads that are
    missing are computed where two are there (``encoders.leadsets``). Raises RecordingError for an empty recording, one without a
    single value, or one shorter than ``MIN_DURATION_S`` or longer than ``LONGEST_S``. ``label`` names the file in messages.
    """
    if signal_mv.size == 0 or signal_mv.shape[1] < 2:
        raise RecordingError(f"{label} holds no samples; give a recording of at least some seconds.")
    if not (np.isfinite(fs_hz) and fs_hz > 0):
        raise RecordingError(f"{label} states a sampling rate of {fs_hz} Hz; it must be above 0: correct it in the file.")
    seconds = signal_mv.shape[1] / fs_hz
    if seconds < MIN_DURATION_S:
        raise RecordingError(f"{label} is {seconds:.3g} s long; give a recording of at least some seconds.")
    check_duration(seconds, label)
    leads = distinct(leads)
    repeated = sorted({name for name in leads if leads.count(name) > 1})
    if repeated:
        raise RecordingError(f"{label} holds lead {', '.join(repeated)} more than once; each lead may stand once.")
    with np.errstate(over="ignore", invalid="ignore"):
        signal = np.asarray(signal_mv, dtype=np.float32)
    signal = np.where(np.isfinite(signal), signal, np.float32(np.nan))
    if not np.isfinite(signal).any():
        raise RecordingError(f"{label} holds no valid value, every sample is missing; give a recording with a signal.")
    ecg = ECG(
        signal_mv=signal,
        fs_hz=float(fs_hz),
        leads=tuple(leads),
        age_years=age_years,
        sex=sex,
        recorded_at=recorded_at,
        source=source,
        filters=filters or Filters(),
    )
    return with_limb_leads(ecg)


def given_unit(unit: str | None) -> str | None:
    """The unit that a user gave, as ``unit_name`` writes it; None where none was given. Raises RecordingError if not known."""
    given = unit_name(unit)
    if unit is not None and given is None:
        raise RecordingError(f"The unit {unit[:12]!r} is not known; give mV, uV or V.")
    return given


def settled_rate(stated: float | None, given: float | None, label: str, slack: float) -> float:
    """The sampling rate in Hz that a file states or a user gives; ``slack``: by what share of it the two may differ.

    Raises RecordingError where they contradict each other, where there is none, or where it is not above 0.
    """
    if stated is not None and given is not None and abs(stated - given) > slack * stated:
        raise RecordingError(f"{label} states {stated:g} Hz, but {given:g} Hz was given; leave the rate out.")
    rate = given if stated is None else stated
    if rate is None:
        raise RecordingError(f"{label} does not say its sampling rate; give it in Hz.")
    if not 0 < rate < 1e6:
        raise RecordingError(f"A sampling rate of {rate:g} Hz was given for {label}; it must be above 0: mend it.")
    return rate


def check_duration(seconds: float, label: str, limit_s: float = LONGEST_S) -> None:
    """Raises RecordingError where a recording is longer than ``limit_s``."""
    if seconds > limit_s:
        long = f"{seconds / 60:.1f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
        raise RecordingError(
            f"{label} is {long} long; resting recordings of up to {MAX_DURATION_S / 60:.0f} minutes are accepted (up to "
            f"{LONGEST_S / 60:.0f} minutes by measure, delineate and check), Holter and monitor recordings are not: cut out the "
            "part of interest."
        )
