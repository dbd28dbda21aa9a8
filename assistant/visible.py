"""Which statements a set of leads can bear out, and which it can exclude.

A network trained on twelve leads will guess at an anterior infarction from lead I, and its guess may even be calibrated; but
nobody could check it on the tracing. So a statement is only made, and only excluded, where the leads that its definition
names (``encoders/statements.json`` with its sources) are among those read. Otherwise it is left undetermined.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import LIMB_LEADS, STANDARD_LEADS
from encoders.leadsets import ALL_LEADS, lead_set
from encoders.vocabulary import CODES

__all__ = ["can_exclude", "can_state", "lead_note", "lead_reason", "leads_lacking"]

#: All of these groups are needed, and of each group at least one lead.
_Groups = tuple[tuple[str, ...], ...]


def _each(*leads: str) -> _Groups:
    return tuple((lead,) for lead in leads)


_INFERIOR, _ALL = _each("II", "III", "aVF"), _each(*STANDARD_LEADS)
#: The two sides of a bundle branch block (AHA/ACCF/HRS 2009, part III).
_RIGHT, _LEFT = (("V1", "V2"), ("I", "V6")), (("I",), ("V5", "V6"))
_AXIS = _each(*LIMB_LEADS)

#: Leads that a statement's definition names; a statement that is not listed shows in any lead.
_STATED: dict[str, _Groups] = {
    "NORM": _ALL,
    "IMI": _INFERIOR, "ISCIN": _INFERIOR, "INJIN": _INFERIOR,
    **dict.fromkeys(("ILMI", "ISCIL", "INJIL"), (*_INFERIOR, *_each("V5", "V6"))),
    "IPMI": (*_INFERIOR, *_each("V1", "V2")), "IPLMI": (*_INFERIOR, *_each("V1", "V2", "V5", "V6")), "PMI": _each("V1", "V2"),
    **dict.fromkeys(("ASMI", "ISCAS", "INJAS"), _each("V1", "V2", "V3", "V4")),
    **dict.fromkeys(("AMI", "ISCAN"), _each("V2", "V3", "V4")),
    **dict.fromkeys(("ALMI", "ISCAL", "INJAL"), _each("I", "aVL", "V3", "V4", "V5", "V6")),
    **dict.fromkeys(("LMI", "ISCLA", "INJLA"), _each("I", "aVL", "V5", "V6")),
    # Two neighbouring leads at least (Fourth Universal Definition).
    **dict.fromkeys(("ISC_", "STD_", "STE_", "QWAVE", "ANEUR"), _INFERIOR),
    "LVH": _each("aVL", "V1", "V3", "V5", "V6"), "VCLVH": _each("aVL", "V1", "V3", "V5", "V6"),
    "RVH": _each("V1", "V5", "V6"), "SEHYP": _each("V1", "V2", "V5", "V6"),
    "LAO/LAE": _each("II"), "RAO/RAE": _each("II"),
    "LAFB": _AXIS, "LPFB": _AXIS,
    "CRBBB": _RIGHT, "IRBBB": _RIGHT, "CLBBB": _LEFT, "ILBBB": _LEFT, "IVCD": (*_RIGHT, *_LEFT),
    "LVOLT": _AXIS,
}  # fmt: skip
#: What may sit in any lead is excluded only where every lead was read; a recording may be called not normal from any.
_EXCLUDED: dict[str, _Groups] = {
    "NORM": (),
    **dict.fromkeys(
        ("NDT", "NST_", "DIG", "EL", "ISC_", "STD_", "STE_", "QWAVE", "ANEUR", "ABQRS", "LOWT", "NT_", "INVT", "LVOLT", "HVOLT",
         "TAB_"), _ALL,
    ),
    "LAO/LAE": _each("II", "V1"), "RAO/RAE": _each("II", "V1"),
}  # fmt: skip

#: What is told of a set of leads in a report.
_NOTES = {
    "I+II+V2": "infarction and ischaemia outside the inferior leads, hypertrophy and left bundle branch block cannot be judged, "
    "and neither ST changes in the other leads nor a normal ECG",
    "limb": "anterior, lateral and posterior infarction and ischaemia, hypertrophy and bundle branch blocks cannot be "
    "judged, and neither ST changes in the chest leads nor a normal ECG",
    "I": "infarction, ischaemia, ST changes, axis, hypertrophy and bundle branch blocks cannot be judged, and neither can "
    "whether the ECG is normal",
}


def _met(groups: _Groups, leads: tuple[str, ...]) -> bool:
    return all(any(lead in leads for lead in group) for group in groups)


@cache
def can_state(name: str) -> NDArray[np.bool_]:
    """Statements that the set of leads ``name`` may state as present, bool (71,) in the order of CODES."""
    return _fixed([_met(_STATED.get(code, ()), lead_set(name).leads) for code in CODES])


@cache
def can_exclude(name: str) -> NDArray[np.bool_]:
    """Statements that the set of leads ``name`` may call absent, bool (71,) in the order of CODES."""
    return _fixed([_met(_EXCLUDED.get(code, _STATED.get(code, ())), lead_set(name).leads) for code in CODES])


def _fixed(values: list[bool]) -> NDArray[np.bool_]:
    out = np.array(values, bool)
    out.setflags(write=False)
    return out


def leads_lacking(code: str, name: str) -> tuple[str, ...]:
    """Leads, in standard order, that a set lacks to state and to exclude a statement; of alternatives the first is named."""
    leads = lead_set(name).leads
    groups = (*_STATED.get(code, ()), *_EXCLUDED.get(code, ()))
    needed = {group[0] for group in groups if not any(lead in leads for lead in group)}
    return tuple(lead for lead in STANDARD_LEADS if lead in needed)


def lead_reason(code: str, name: str) -> str:
    """Why a statement stays open, e.g. "cannot be judged from lead I alone; needs II, III, aVF"; empty where leads suffice."""
    lacking = leads_lacking(code, name)
    return f"cannot be judged from {lead_set(name).words}; needs {', '.join(lacking)}" if lacking else ""


def lead_note(name: str) -> str:
    """One sentence on what a report from fewer than twelve leads cannot say; empty for all twelve."""
    return "" if name == ALL_LEADS else f"Read from {lead_set(name).words}: {_NOTES[name]}."
