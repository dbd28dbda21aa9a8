"""The one table of conflicts: network against measurement, and statements that exclude each other.

A rule that fires makes what it names undetermined on both sides and is named in the report (DESIGN, rule 7). One kind is
one-sided on purpose: under left bundle branch block, pacing or pre-excitation it is the ischaemia or the hypertrophy
that cannot be judged; the block itself is not in doubt through them.

Limits are those of the criterion, moved by the tolerance of a measurement at 100 Hz (10 ms; 5/min for rates), so that
a value beside the limit never starts a conflict. Everything works on arrays of recordings; one recording is n = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assistant.evidence import Conflict
from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements
from encoders.vocabulary import CODES, STATEMENTS, codes_in, statement

__all__ = ["RELIABLE", "RULES", "Limit", "Measured", "Rule", "conflicts_of", "doubts", "fired", "tabulate"]

#: Reliability from which a measurement may contradict the network.
RELIABLE = 0.5

_PART_III = "AHA/ACCF/HRS 2009, part III (intraventricular conduction)"
_PART_IV = "AHA/ACCF/HRS 2009, part IV (ST, T and U waves, QT interval)"
_BRADY = "ACC/AHA/HRS 2018 (bradycardia and conduction delay)"
_AF = "ACC/AHA/ACCP/HRS 2023 (atrial fibrillation)"
_SVT = "ACC/AHA/HRS 2015 (supraventricular tachycardia)"
_NORMAL = "AHA/ACC/HRS 2007, part II (statement list)"


@dataclass(frozen=True)
class Limit:
    """One measured condition: ``name`` below or above ``value``; ``value_f`` for women where the criterion has one."""

    name: str
    below: bool
    value: float
    value_f: float | None = None


@dataclass(frozen=True)
class Rule:
    """``codes`` cannot stand beside ``against`` (statements), or beside ``measured`` (all limits met, each reliable).

    ``one_sided``: only ``codes`` become undetermined, and whether they are present or absent.
    """

    id: str
    codes: tuple[str, ...]
    why: str
    citation: str
    against: tuple[str, ...] = ()
    measured: tuple[Limit, ...] = ()
    one_sided: bool = False


_SINUS = ("SR", "STACH", "SBRAD", "SARRH")
_ISCHAEMIA = tuple(c for c in CODES if c.startswith(("ISC", "INJ"))) + ("STD_", "STE_")
_ABNORMAL = (
    *codes_in("MI"), *(c for c in codes_in("STTC") if c.startswith("ISC")),
    *(s.code for s in STATEMENTS if s.superclass == "CD" and s.code not in ("IRBBB", "1AVB", "IVCD")),
    "LVH", "RVH", "AFIB", "AFLT", "SVTAC", "PSVT", "LNGQT",
)  # fmt: skip

RULES: tuple[Rule, ...] = (
    Rule("pr-not-long", ("1AVB", "LPR"), "A long PR interval is one above 200 ms.", _BRADY,
         measured=(Limit("pr_ms", True, 190),)),
    Rule("af-with-p-waves", ("AFIB",), "Atrial fibrillation has irregular RR intervals and no distinct P waves.", _AF,
         measured=(Limit("p_wave_share", False, 0.8), Limit("rr_irregularity", True, 0.05))),
    Rule("bradycardia-rate", ("SBRAD",), "Sinus bradycardia is slower than 60 per minute.", _NORMAL,
         measured=(Limit("rate_bpm", False, 65),)),
    Rule("tachycardia-rate", ("STACH",), "Sinus tachycardia is faster than 100 per minute.", _SVT,
         measured=(Limit("rate_bpm", True, 95),)),
    Rule("bbb-narrow", ("CLBBB", "CRBBB"), "Complete bundle branch block has a QRS of at least 120 ms.", _PART_III,
         measured=(Limit("qrs_ms", True, 110),)),
    Rule("ivcd-narrow", ("IVCD",), "A non-specific conduction delay has a QRS above 110 ms.", _PART_III,
         measured=(Limit("qrs_ms", True, 100),)),
    Rule("qt-not-long", ("LNGQT",), "A long QT interval has a QTc of at least 450 ms in men, 460 ms in women.", _PART_IV,
         measured=(Limit("qtc_ms", True, 440, 450), Limit("qtc_bazett_ms", True, 440, 450))),
    Rule("normal-wide-qrs", ("NORM",), "A normal recording has a QRS below 120 ms.", _PART_III,
         measured=(Limit("qrs_ms", False, 130),)),
    Rule("normal-long-pr", ("NORM",), "A normal recording has a PR interval of at most 200 ms.", _BRADY,
         measured=(Limit("pr_ms", False, 210),)),
    Rule("normal-long-qt", ("NORM",), "A QTc of 500 ms or more is markedly long, not normal.", _PART_IV,
         measured=(Limit("qtc_ms", False, 500),)),
    Rule("af-or-sinus", ("AFIB", "AFLT"), "Atrial fibrillation or flutter and sinus rhythm exclude each other.", _AF,
         against=_SINUS),
    Rule("af-and-pr", ("AFIB", "AFLT"), "Without P waves that lead the QRS there is no PR interval to be long.", _AF,
         against=("1AVB", "LPR", "2AVB")),
    Rule("sinus-rates", ("SBRAD",), "Sinus rhythm cannot be slow and fast at once.", _NORMAL, against=("STACH",)),
    Rule("av-block-degrees", ("1AVB", "LPR"), "In first-degree block every P wave is conducted.", _BRADY,
         against=("2AVB", "3AVB")),
    Rule("av-block-complete", ("2AVB",), "In second-degree block some P waves are conducted, in third-degree block none.", _BRADY,
         against=("3AVB",)),
    Rule("bbb-sides", ("CLBBB", "ILBBB"), "Left and right bundle branch block have opposite patterns.", _PART_III,
         against=("CRBBB", "IRBBB")),
    Rule("lbbb-degree", ("CLBBB",), "A block is complete or incomplete.", _PART_III, against=("ILBBB",)),
    Rule("rbbb-degree", ("CRBBB",), "A block is complete or incomplete.", _PART_III, against=("IRBBB",)),
    Rule("fascicles", ("LAFB",), "The two fascicular blocks turn the axis to opposite sides.", _PART_III, against=("LPFB",)),
    Rule("voltage", ("LVOLT",), "QRS voltage cannot be low and high at once.",
         "AHA/ACCF/HRS 2009, part V (chamber hypertrophy)", against=("HVOLT", "VCLVH")),
    Rule("normal-or-not", ("NORM",), "A normal recording carries no abnormal diagnostic statement.", _NORMAL,
         against=_ABNORMAL),
    Rule("st-masked", _ISCHAEMIA, "Secondary ST-T changes of abnormal depolarisation hide ischaemia and injury.",
         "Fourth Universal Definition of Myocardial Infarction 2018 (conditions that confound the ECG)",
         against=("CLBBB", "PACE", "WPW"), one_sided=True),
    Rule("lvh-masked", ("LVH", "VCLVH"), "Voltage criteria for hypertrophy do not hold in abnormal depolarisation.",
         "AHA/ACCF/HRS 2009, part V (chamber hypertrophy)", against=("CLBBB", "PACE", "WPW"), one_sided=True),
)  # fmt: skip

_COLUMN = {code: i for i, code in enumerate(CODES)}
_MEASURE = {name: i for i, name in enumerate(MEASUREMENT_NAMES)}


@dataclass(frozen=True, eq=False)
class Measured:
    """Measurements of n recordings as arrays, columns in the order of MEASUREMENT_NAMES.

    ``values`` float64 (n, m), NaN where missing; ``reliability`` float64 (n, m), 0-1; ``female`` bool (n,); where sex is
    not known the limit that starts fewer conflicts is used, marked by ``sex_known`` False.
    """

    values: NDArray[np.float64]
    reliability: NDArray[np.float64]
    female: NDArray[np.bool_]
    sex_known: NDArray[np.bool_]

    @classmethod
    def of(
        cls, values: NDArray[np.floating], sexes: Sequence[str | None], reliability: NDArray[np.floating] | None = None
    ) -> Measured:
        """From a table of values (n, m) in the order of MEASUREMENT_NAMES; what is there counts as reliable by default."""
        table = np.asarray(values, np.float64)
        weights = np.isfinite(table).astype(np.float64) if reliability is None else np.asarray(reliability, np.float64)
        return cls(table, weights, np.array([s == "F" for s in sexes], bool), np.array([s is not None for s in sexes], bool))


def tabulate(measurements: Sequence[Measurements], sexes: Sequence[str | None]) -> Measured:
    """Arrays from measurement records and sexes ("F", "M" or None), one each per recording."""
    shape = (len(measurements), len(MEASUREMENT_NAMES))
    values, weights = np.full(shape, np.nan), np.zeros(shape)
    for row, record in enumerate(measurements):
        for item in record.items:
            if item.value is not None:
                values[row, _MEASURE[item.name]], weights[row, _MEASURE[item.name]] = item.value, item.reliability
    return Measured.of(values, sexes, weights)


def _meets(limit: Limit, measured: Measured) -> NDArray[np.bool_]:
    column = _MEASURE[limit.name]
    bound = np.full(len(measured.values), limit.value)
    if limit.value_f is not None:
        bound = np.where(measured.female, limit.value_f, limit.value)
        cautious = min(limit.value, limit.value_f) if limit.below else max(limit.value, limit.value_f)
        bound = np.where(measured.sex_known, bound, cautious)
    value = measured.values[:, column]
    # NaN compares as False: what was not measured contradicts nothing.
    met: NDArray[np.bool_] = np.less(value, bound) if limit.below else np.greater(value, bound)
    return met & (measured.reliability[:, column] >= RELIABLE)


def _columns(codes: tuple[str, ...]) -> list[int]:
    return [_COLUMN[code] for code in codes]


def fired(present: NDArray[np.bool_], measured: Measured) -> NDArray[np.bool_]:
    """Which rules fire: bool (n, rules) from what is stated present, bool (n, 71).

    All rules look at the same first reading, so their order does not matter. What a one-sided rule masks although it was
    called absent is no conflict; ``doubts`` names it.
    """
    out = np.zeros((len(present), len(RULES)), bool)
    for r, rule in enumerate(RULES):
        doubted = present[:, _columns(rule.codes)].any(1)
        if rule.against:
            out[:, r] = doubted & present[:, _columns(rule.against)].any(1)
        else:
            for limit in rule.measured:
                doubted = doubted & _meets(limit, measured)
            out[:, r] = doubted
    return out


def doubts(present: NDArray[np.bool_], absent: NDArray[np.bool_], which: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Statements that become undetermined, bool (n, 71), given ``which`` = ``fired(...)``."""
    out = np.zeros_like(present)
    for r, rule in enumerate(RULES):
        codes, against = _columns(rule.codes), _columns(rule.against)
        if rule.one_sided:
            masked: NDArray[np.bool_] = np.any(present[:, against], axis=1, keepdims=True)
            out[:, codes] |= masked & (present | absent)[:, codes]
        else:
            out[:, codes] |= which[:, r, None] & present[:, codes]
            if against:
                out[:, against] |= which[:, r, None] & present[:, against]
    return out


def conflicts_of(
    present: NDArray[np.bool_], which: NDArray[np.bool_], measurements: Measurements
) -> tuple[Conflict, ...]:
    """Named conflicts of one recording: ``present`` bool (71,), ``which`` bool (rules,)."""
    out = []
    for r, rule in enumerate(RULES):
        if not which[r]:
            continue
        doubted = [c for c in rule.codes if present[_COLUMN[c]]]
        if rule.against:
            other = [c for c in rule.against if present[_COLUMN[c]]]
            beside, ids = ", ".join(statement(c).name for c in other), [f"F:{c}" for c in other]
        else:
            items = [measurements[limit.name] for limit in rule.measured]
            beside, ids = ", ".join(_told(m) for m in items), [f"M:{m.name}" for m in items]
        names = ", ".join(statement(c).name for c in doubted)
        verdict = "the former cannot be judged" if rule.one_sided else "left undetermined"
        text = f"{names[0].upper()}{names[1:]} against {beside}: {verdict}. {rule.why}"
        out.append(Conflict(f"R:{rule.id}", (*(f"F:{c}" for c in doubted), *ids), text, rule.citation))
    return tuple(out)


_LABELS = {
    "rate_bpm": "a measured rate of", "pr_ms": "a measured PR interval of", "qrs_ms": "a measured QRS duration of",
    "qtc_ms": "a measured QTc of", "qtc_bazett_ms": "a QTc by Bazett of", "p_wave_share": "a share of beats with P waves of",
    "rr_irregularity": "an RR irregularity of",
}  # fmt: skip


def _told(measurement: Measurement) -> str:
    return f"{_LABELS[measurement.name]} {measurement.text()}"
