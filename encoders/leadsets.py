"""Which leads a recording has, which can be computed, and which of the calibrated sets of leads the network reads.

The network sees twelve rows; what is not there is 0 mV. Its figures and calibration hold for the sets in ``LEAD_SETS``; any
other recording is served by the largest of them that it contains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, LIMB_LEADS, STANDARD_LEADS
from encoders.errors import RecordingError

__all__ = [
    "ALL_LEADS",
    "LEAD_SETS",
    "LeadSet",
    "lead_set",
    "lead_set_of",
    "masked",
    "needed_set",
    "unread_leads",
    "wanted_leads",
    "with_limb_leads",
]


@dataclass(frozen=True)
class LeadSet:
    """One calibrated choice of leads: its ``name``, the ``leads`` the network is given, and how they are called in a sentence."""

    name: str
    leads: tuple[str, ...]
    words: str

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of the network's input that are not silent."""
        return tuple(STANDARD_LEADS.index(lead) for lead in self.leads)


#: Largest first. From I and II all six limb leads follow, so they are given to the network wherever two of them are known.
LEAD_SETS = (
    LeadSet("12", STANDARD_LEADS, "all twelve leads"),
    LeadSet("I+II+V2", (*LIMB_LEADS, "V2"), "leads I, II and V2 (with the limb leads that follow from I and II)"),
    LeadSet("limb", LIMB_LEADS, "the six limb leads"),
    LeadSet("I", ("I",), "lead I alone"),
)
ALL_LEADS = LEAD_SETS[0].name
_BY_NAME = {one.name: one for one in LEAD_SETS}

#: Every limb lead as a·I + b·II (Einthoven's law and Goldberger's augmented leads; AHA/ACC/HRS 2007, part I).
_LIMB = {"I": (1.0, 0.0), "II": (0.0, 1.0), "III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}
#: Pairs are taken in this order: what was recorded between two electrodes goes before what a network of resistors gave.
_PREFERRED = ("I", "II", "III", "aVF", "aVL", "aVR")


def lead_set(name: str) -> LeadSet:
    """The set of this name; KeyError where there is none."""
    return _BY_NAME[name]


def with_limb_leads(ecg: ECG) -> ECG:
    """The recording with the limb leads that it lacks computed from two that it has, in mV; unchanged where it has fewer.

    Any two limb leads give all six, if they were recorded at the same time. Leads that are there are never replaced.
    """
    known = [name for name in _PREFERRED if name in ecg.leads]
    missing = [name for name in LIMB_LEADS if name not in ecg.leads]
    if len(known) < 2 or not missing:
        return ecg
    pair = known[:2]
    to_pair = np.array([_LIMB[name] for name in pair])
    one_two = np.linalg.inv(to_pair) @ np.stack([ecg.lead(name) for name in pair]).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        computed = (np.array([_LIMB[name] for name in missing]) @ one_two).astype(np.float32)
    # A sum of absurd values may leave the range of single precision: such samples are missing, as in the readers.
    signal = np.concatenate([ecg.signal_mv, np.where(np.isfinite(computed), computed, np.float32(np.nan))])
    return replace(ecg, signal_mv=signal, leads=(*ecg.leads, *missing))


def lead_set_of(leads: tuple[str, ...]) -> LeadSet | None:
    """The largest set that these leads contain, limb leads that follow from two others included; None where none is.

    ``leads``: the recording's own names.
    """
    known = set(leads)
    if len(known & set(LIMB_LEADS)) >= 2:
        known |= set(LIMB_LEADS)
    return next((one for one in LEAD_SETS if known.issuperset(one.leads)), None)


def needed_set(leads: tuple[str, ...]) -> LeadSet:
    """The same; raises RecordingError with what to record where the leads contain no calibrated set."""
    found = lead_set_of(leads)
    if found is None:
        raise RecordingError(unread_leads(leads))
    return found


def unread_leads(leads: tuple[str, ...]) -> str:
    """What is said of a recording that contains no calibrated set of leads, and what to record instead."""
    return (
        f"The recording holds only {', '.join(leads)}, which the network is not calibrated for; statements can be read from "
        "12 leads, from any two limb leads (with or without V2), or from lead I alone: record one of these."
    )


def wanted_leads(leads: tuple[str, ...]) -> tuple[str, ...]:
    """Leads that a reading of a recording with these leads rests on, for the quality gate to judge.

    Those of its set; where it is in none, the standard leads that it has.
    """
    found = lead_set_of(leads)
    return found.leads if found is not None else tuple(name for name in STANDARD_LEADS if name in leads) or STANDARD_LEADS


def masked(signals_mv: NDArray[np.floating], name: str) -> NDArray[np.floating]:
    """Prepared recordings (n, 12, samples) with the rows outside the set ``name`` silent; the same array for all twelve."""
    if name == ALL_LEADS:
        return signals_mv
    rows = list(lead_set(name).rows)
    out = np.zeros_like(signals_mv)
    out[:, rows] = signals_mv[:, rows]
    return out
