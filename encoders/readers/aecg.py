"""HL7 annotated ECG (``AnnotatedECG``, the FDA's exchange format).

Read as the Implementation Guide for HL7 aECG, Final 21-March-2005 (HL7 standard PORT_MT020001), has it; recalled without the
text at hand and checked on its published example. A *series* of code RHYTHM holds *sequence sets*; in each, one sequence is
the time (``GLIST_TS`` or ``GLIST_PQ``: head and increment) and the others are leads (``SLIST_PQ``: origin + scale × digits).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, Filters
from encoders.errors import RecordingError
from encoders.readers.border import age_on, check_size, known_age, sex_letter, stated_filters
from encoders.readers.leads import LONGEST_S, MV_PER_UNIT, check_duration, finish, lead_name, unit_name
from encoders.readers.xml import iso_time, number, parse_xml, root_name, text_of

__all__ = ["is_aecg", "read_aecg"]

_LEAD = "MDC_ECG_LEAD_"
_FILTER = "MDC_ECG_CTL_VBL_ATTR_FILTER_"
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_YEARS = {"a": 1.0, "mo": 1 / 12, "wk": 7 / 365.25, "d": 1 / 365.25}
_PERSON = "componentOf/timepointEvent/componentOf/subjectAssignment/subject/trialSubject/subjectDemographicPerson"


def is_aecg(head: bytes) -> bool:
    """True where the first bytes are those of an HL7 annotated ECG."""
    return root_name(head) == "AnnotatedECG"


def read_aecg(path: Path, *, age_years: float | None = None, sex: str | None = None) -> ECG:
    """The rhythm series of an HL7 aECG file as an ``ECG`` in mV; the longest where there are several.

    Leads that were recorded one after the other (several sequence sets) are set on one time line with NaN where they were not
    recorded. ``age_years`` and ``sex`` go before the file's. Raises RecordingError, in one sentence without the file's text.
    """
    label = path.stem
    root = parse_xml(path, label)
    if root.tag != "AnnotatedECG":
        raise RecordingError(f"{label} is no HL7 aECG file, its root element is not AnnotatedECG; export it as HL7 aECG.")
    series = [s for s in root.findall("component/series") if _code(s) == "RHYTHM"]
    if not series:
        raise RecordingError(f"{label} holds no rhythm waveforms; export the recording with its waveforms.")
    recordings = [(_sets(one, label), one) for one in series]
    sets, chosen = max(recordings, key=lambda pair: max((s.seconds for s in pair[0]), default=0.0))
    if not sets:
        raise RecordingError(f"{label} holds no lead in its rhythm waveforms; export the recording again.")
    signal, leads = _joined(sets, label)
    stated = next((s.begin for s in sets if s.begin is not None), None)
    moment = stated or _moment(_effective(chosen)) or _moment(_effective(root))
    person = root.find(_PERSON)
    birth = _moment(_value(person, "birthTime"))
    known = age_on(birth, moment)
    gender = _value(person, "administrativeGenderCode", "code")
    return finish(
        signal, leads, 1 / sets[0].step_s, label=label, source="aecg",
        age_years=age_years if age_years is not None else known if known is not None else _stated_age(root),
        sex=sex or sex_letter(gender), recorded_at=iso_time(moment, moment.time() if moment else None),
        filters=_filters(chosen),
    )  # fmt: skip


def _filters(series: Element) -> Filters:
    """Out of the series' control variables: a filter's code, and the frequency among its components."""
    found: dict[str, float | None] = {}
    for node in series.findall("controlVariable/controlVariable"):
        kind = _code(node).removeprefix(_FILTER)
        for part in node.findall("component/controlVariable"):
            if _code(part) in (f"{_FILTER}CUTOFF_FREQ", f"{_FILTER}NOTCH_FREQ") and _value(part, "value", "unit") in ("Hz", ""):
                found[kind] = number(_value(part, "value"))
    return stated_filters(found.get("HIGH_PASS"), found.get("LOW_PASS"), found.get("NOTCH"))


@dataclass(frozen=True)
class _Set:
    """Leads that were recorded together: step in s, beginning as a date or in s, and rows in mV by name."""

    step_s: float
    begin: datetime | None
    begin_s: float
    rows: dict[str, NDArray[np.float64]]

    @property
    def seconds(self) -> float:
        return max((len(row) for row in self.rows.values()), default=0) * self.step_s


def _sets(series: Element, label: str) -> list[_Set]:
    found = [_set(node, label) for node in series.findall("component/sequenceSet")]
    return [one for one in found if one.rows]


def _set(node: Element, label: str) -> _Set:
    sequences = node.findall("component/sequence")
    times = [s for s in sequences if _code(s) in ("TIME_ABSOLUTE", "TIME_RELATIVE")]
    value = times[0].find("value") if times else None
    increment = number(_value(value, "increment"))
    unit = _SECONDS.get(_value(value, "increment", "unit"))
    if increment is None or unit is None or not 1e-4 <= increment * unit <= 1:
        raise RecordingError(
            f"{label} does not state a time between samples from 0.1 ms to 1 s; export it again with its sampling rate."
        )
    step = increment * unit
    begin = _moment(_value(value, "head"))
    absolute = begin is not None and _code(times[0]) == "TIME_ABSOLUTE"
    head = number(_value(value, "head")) or 0.0
    begin_s = 0.0 if absolute else head * _SECONDS.get(_value(value, "head", "unit"), 1.0)
    rows: dict[str, NDArray[np.float64]] = {}
    for position, sequence in enumerate(s for s in sequences if s not in times):
        name, sign = lead_name(_lead_code(_code(sequence)), position)
        if name in rows:
            raise RecordingError(f"{label} holds lead {name} twice in one set of sequences; each lead may stand once.")
        rows[name] = sign * _lead(sequence.find("value"), name, step, label)
    return _Set(step, begin if absolute else None, begin_s, rows)


def _lead(value: Element | None, name: str, step_s: float, label: str) -> NDArray[np.float64]:
    """origin + scale × digits, in mV."""
    if value is None or value.get("type", "SLIST_PQ") != "SLIST_PQ":
        raise RecordingError(f"Lead {name} of {label} is no list of sampled values (SLIST_PQ); export the recording again.")
    scale, unit = number(_value(value, "scale")), unit_name(_value(value, "scale", "unit"))
    origin, origin_unit = number(_value(value, "origin") or "0"), unit_name(_value(value, "origin", "unit"))
    if not scale or unit is None or origin is None or (origin and origin_unit is None):
        raise RecordingError(f"Lead {name} of {label} states no scale in V, mV, uV or nV; export the recording again.")
    limit = int(LONGEST_S / step_s) + 2
    digits = text_of(value, "digits").split(maxsplit=limit)
    check_duration((len(digits) - 1) * step_s, label)
    try:
        values = np.array(digits, dtype=np.float64)
    except ValueError:
        raise RecordingError(f"Lead {name} of {label} holds something that is no number; export the recording again.") from None
    return values * (scale * MV_PER_UNIT[unit]) + origin * MV_PER_UNIT[origin_unit or "mV"]


def _joined(sets: list[_Set], label: str) -> tuple[NDArray[np.float64], list[str]]:
    """All sets on one time line, (leads, samples), and the names of the leads."""
    step = sets[0].step_s
    if any(abs(one.step_s - step) > 1e-9 * step for one in sets):
        raise RecordingError(f"The leads of {label} were sampled at different rates; export them at one rate.")
    dated = [one.begin for one in sets if one.begin is not None]
    if len({one.begin is None for one in sets}) > 1 or len({begin.tzinfo is None for begin in dated}) > 1:
        raise RecordingError(f"{label} times its leads in different ways; export the recording again.")
    first = min(dated) if dated else None
    starts = [one.begin_s if first is None or one.begin is None else (one.begin - first).total_seconds() for one in sets]
    check_duration(max(s - min(starts) + one.seconds for s, one in zip(starts, sets, strict=True)), label)
    offsets = [round((start - min(starts)) / step) for start in starts]
    length = max(o + max(len(row) for row in one.rows.values()) for o, one in zip(offsets, sets, strict=True))
    check_size(len({name for one in sets for name in one.rows}), length, label)
    lines: dict[str, NDArray[np.float64]] = {}
    for offset, one in zip(offsets, sets, strict=True):
        for name, row in one.rows.items():
            line = lines.setdefault(name, np.full(length, np.nan))
            line[offset : offset + len(row)] = row
    return np.stack(list(lines.values())), list(lines)


def _code(node: Element) -> str:
    return _value(node, "code", "code")


def _lead_code(code: str) -> str:
    """A lead's MDC code without its prefix; ISO 11073-10102 (recalled) writes the inverted aVR as ``AVRneg``."""
    bare = code[len(_LEAD) :] if code.upper().startswith(_LEAD) else code
    return "-aVR" if bare.lower() == "avrneg" else bare


def _value(node: Element | None, path: str, attribute: str = "value") -> str:
    found = None if node is None else node.find(path)
    return ("" if found is None else found.get(attribute) or "").strip()


def _effective(node: Element) -> str:
    return _value(node, "effectiveTime/low") or _value(node, "effectiveTime/center") or _value(node, "effectiveTime")


def _moment(text: str) -> datetime | None:
    """An HL7 time stamp (YYYYMMDD, with HHMMSS and fractions where they stand; a zone is passed over), or None."""
    bare = text.split("+")[0].split("-")[0]
    whole, _, fraction = bare.partition(".")
    if not whole.isascii() or not whole.isdigit() or not (fraction == "" or fraction.isdigit()):
        return None
    try:
        moment = datetime.strptime(whole, {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}[len(whole)])
    except (KeyError, ValueError):
        return None
    return moment.replace(microsecond=int(fraction[:6].ljust(6, "0")) if fraction else 0)


def _stated_age(root: Element) -> float | None:
    """Age as an observation beside the recording (LOINC 21612-7, reported age; 30525-0, age)."""
    for node in root.findall("controlVariable/relatedObservation"):
        if _code(node) in ("21612-7", "30525-0"):
            value, per = number(_value(node, "value")), _YEARS.get(_value(node, "value", "unit"))
            if value is not None and per is not None:
                return known_age(value * per)
    return None
