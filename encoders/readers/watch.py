"""Single-lead recordings as watches and hand-held recorders export them: a few lines that describe, then one value per line.

The describing lines are ``key,value`` (also ``key: value``, ``key;value``, ``key=value`` or after a ``#``), their keys in the
language of the device. The keys are therefore not relied on: a value of so many hertz is the sampling rate, a voltage unit is the
unit, a lead's name is the lead, a date with a time of day the moment of recording, a date without one before it the birth date.
What is not stated must be given: ``--fs HZ``, ``--unit``. A lead that is not stated is lead I, which a watch on the left wrist
touched with the right hand records (so does a hand-held recorder between both hands). Values may have decimal commas.

Names, devices and the watch's own classification are not kept, birth dates only as an age.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import RecordingError
from encoders.readers.border import age_on, check_size, file_bytes, sex_letter, text_lines
from encoders.readers.leads import MV_PER_UNIT, check_duration, finish, given_unit, lead_name, settled_rate, unit_name

__all__ = ["is_watch", "read_watch"]

#: More lines before the first value describe something else.
_MAX_PREAMBLE = 100
_VALUE = re.compile(r"^[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d{1,2})?$", re.IGNORECASE)
_RATE = re.compile(r"^(\d+(?:[.,]\d+)?)\s*(?:hz|h[eé]?rt[sz](?:io)?|herc|sps|samples?(?:/| per )s(?:ec(?:ond)?)?)\b", re.I)
_RATE_KEY = re.compile(r"sampl\w*[\s_-]*(?:rate|freq)|messrate|abtastrate|fs(?:_hz)?$|fréquence|frecuencia", re.IGNORECASE)
_SEX_KEY = re.compile(r"^(?:sex|gender|geschlecht|sexe|sexo|sesso)$", re.IGNORECASE)
_SPLIT = re.compile(r"\s*[,;:=\t]\s*")
#: A date with its time of day, year first, as all languages of Apple's export have it.
_MOMENT = re.compile(r"^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?")
#: The first three letters of months, without accents, in English, German, French, Spanish, Italian, Portuguese and Dutch.
_MONTHS = (
    ("jan", "ene", "gen"), ("feb", "fev"), ("mar", "maa", "mrt"), ("apr", "avr", "abr"), ("may", "mai", "mag", "mei"),
    ("jun", "jui", "giu"), ("jul", "lug"), ("aug", "aou", "ago"), ("sep", "set"), ("oct", "okt", "ott", "out"), ("nov",),
    ("dec", "dez", "dic"),
)  # fmt: skip


@dataclass(frozen=True)
class _Preamble:
    """What the describing lines say."""

    fs_hz: float | None = None
    unit: str | None = None
    lead: str | None = None
    recorded_at: dt.datetime | None = None
    age_years: float | None = None
    sex: str | None = None


def is_watch(head: bytes) -> bool:
    """True where text begins with describing lines that hold a rate, unit or lead, or with nothing, then one value per line.

    A table whose first row names its columns is none: one describing line alone counts only where it states the rate.
    """
    if b"\0" in head:
        return False
    lines = text_lines(head, "")
    pairs, values = _split(lines[:-1] if len(head) >= 4096 else lines)  # the last line of many is cut off
    if not values or (len(head) < 4096 and len(values) < 3):
        return False
    if not pairs:
        return not any("," in value for value in values)
    said = _describe(pairs)
    if len(pairs) == 1:
        return said.fs_hz is not None and not any("," in value for value in values)
    return said.fs_hz is not None or said.unit is not None or said.lead is not None


def read_watch(
    path: Path,
    *,
    fs_hz: float | None = None,
    unit: str | None = None,
    age_years: float | None = None,
    sex: str | None = None,
) -> ECG:
    """One single-lead export as an ``ECG`` in mV; the module's docstring is the contract.

    ``fs_hz`` in Hz and ``unit`` ("mV", "uV", "V") are for files that do not say them. The age is given only where every way to
    read the file's birth date gives the same: 03/04/1960 may leave it open. Raises RecordingError, in one sentence, for
    anything outside the contract.
    """
    label = path.stem
    pairs, values = _split(text_lines(file_bytes(path, label), label))
    if not values:
        raise RecordingError(f"{label} holds no column of values; give one recording with one value per line.")
    check_size(1, len(values), label)
    said = _describe(pairs)
    given = given_unit(unit)
    if said.unit and given and said.unit != given:
        raise RecordingError(f"{label} states {said.unit}, but {given} was given; leave the unit out.")
    rate = settled_rate(said.fs_hz or None, fs_hz, label, 0.01)
    if said.unit is None and given is None:
        raise RecordingError(f"{label} does not say its unit; give it (mV, uV or V).")
    check_duration(len(values) / rate, label)
    if not pairs and any("," in value for value in values):
        raise RecordingError(f"{label} has commas in its lines but names no columns; name them, or write one value per line.")
    lead, sign = lead_name(said.lead or "I", 0)
    signal = np.array([float(value.replace(",", ".")) if value else np.nan for value in values])
    signal *= sign * MV_PER_UNIT[said.unit or given or "mV"]
    return finish(
        signal[None],
        [lead],
        rate,
        label=label,
        source="watch",
        age_years=said.age_years if age_years is None else age_years,
        sex=said.sex if sex is None else sex,
        recorded_at=said.recorded_at.isoformat() if said.recorded_at else None,
    )


def _split(lines: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The describing pairs, and the values after them; no values where the lines are something else."""
    pairs: list[tuple[str, str]] = []
    values: list[str] = []
    for line in lines:
        bare = line.strip().lstrip("#").strip()
        value = bare.strip('"')
        if values or _VALUE.match(value):
            if value and not _VALUE.match(value):
                return pairs, []
            values.append(value)
        elif bare:
            cells = _SPLIT.split(bare, maxsplit=1)
            if len(cells) != 2 or len(pairs) >= _MAX_PREAMBLE:
                return pairs, []
            pairs.append((cells[0].strip('" '), cells[1].strip('" ')))
    while values and not values[-1]:
        values.pop()
    return pairs, values


def _describe(pairs: list[tuple[str, str]]) -> _Preamble:
    """What the describing lines say, by the shape of their values."""
    fs_hz = unit = lead = moment = letter = None
    births: list[str] = []
    for key, value in pairs:
        rate = _RATE.match(value)
        if rate or (_RATE_KEY.search(key) and re.fullmatch(r"\d+(?:[.,]\d+)?", value)):
            fs_hz = fs_hz or float((rate[1] if rate else value).replace(",", "."))
        elif unit is None and unit_name(value) is not None:
            unit = unit_name(value)
        elif (found := _lead(key, value)) is not None:
            lead = found
        elif moment is None and (match := _MOMENT.match(value)):
            try:
                moment = dt.datetime(*(int(g or 0) for g in match.groups()))  # type: ignore[arg-type]
            except ValueError:
                moment = None
        elif _SEX_KEY.match(key):
            letter = sex_letter(value)
        elif len(value) < 32 and re.search(r"\d{4}", value):
            births.append(value)
    ages = {age_on(day, moment) for text in births[:1] for day in _days(text)} if moment else set()
    return _Preamble(fs_hz, unit, lead, moment, ages.pop() if len(ages) == 1 else None, letter)


def _lead(key: str, value: str) -> str | None:
    """The standard lead that a value such as "Lead I" or "Ableitung I" names; the patient may be called Louis II."""
    words = value.split()
    if not 1 <= len(words) <= 2 or key.lower().startswith(("nam", "nom", "pat")):
        return None
    name, _ = lead_name(words[-1], 0)
    return name if name in STANDARD_LEADS else None


def _days(text: str) -> list[dt.date]:
    """Every day that a written date can mean: order of day and month, and names of months, as languages have them."""
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    years = [n for n in numbers if 1800 < n < 2200]
    small = [n for n in numbers if 1 <= n <= 31]
    if len(years) != 1:
        return []
    folded = text.lower().translate(str.maketrans("éèûüäôç", "eeuuaoc"))
    words = [word[:3] for word in re.findall(r"[a-z]{3,}", folded)]
    months = [i + 1 for i, names in enumerate(_MONTHS) if any(word in names for word in words)]
    # "juin" and "juillet" begin alike, so both months stand.
    months = [6, 7] if months == [6] and "jui" in words else months
    if months and len(small) == 1:
        candidates = [(month, small[0]) for month in months]
    elif not words and len(small) == 2:
        year_first = numbers[0] == years[0]
        candidates = [(small[0], small[1])] if year_first else [(small[0], small[1]), (small[1], small[0])]
        if "." in text and not year_first:  # 12.08.1961 has the day first wherever dates have points
            candidates = [(small[1], small[0])]
    else:
        candidates = list(product(range(1, 13), (1, 28)))
    out = []
    for month, day in candidates:
        try:
            out.append(dt.date(years[0], month, day))
        except ValueError:
            continue
    return out
