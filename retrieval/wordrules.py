"""Ages, sexes, rates and measured values in plain words, each with the limits that it is taken for.

A word such as "elderly" has no limits of its own; those used here are conventions, stated in `retrieval.phrases.LIMITS` and
shown with every search that used one of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from encoders.errors import QueryError
from retrieval.where import Condition, Not, Or, parse

__all__ = ["QUANTITY", "Understood", "conditions_in"]

_NUM = r"(\d{1,4}+(?:\.\d+)?+)"  # possessive: half of "0.3" is no number
_MORE = r"(?:over|above|greater than|more than|longer than|exceeding|>)"
_MORE_OR = r"(?:at least|no less than|not less than|not under|not below|>=|≥|from)"
_LESS = r"(?:under|below|less than|shorter than|<)"
_LESS_OR = r"(?:at most|no more than|not more than|not over|not above|<=|≤|up to)"
_OPS = ((_MORE_OR, ">="), (_LESS_OR, "<="), (_MORE, ">"), (_LESS, "<"))
_TO = r"\s*(?:-|–|to|and)\s*"
_YEARS = r"\s*(?:years?|yrs?)?"
_OLD = r"(?: years?)?(?: old| of age)?"
_PER_MINUTE = r"\s*(?:bpm\b|(?:beats )?(?:/\s?min(?:ute)?|per min(?:ute)?|a minute)\b|beats/min\b)"
_TIME = r"\s*(?:ms|msecs?|milliseconds?|s|secs?|seconds?)\b"
_DEGREES = r"\s*(?:°|deg(?:rees)?\b)"
_UNIT = rf"(?:{_TIME}|{_PER_MINUTE}|{_DEGREES}|\s*(?:mv|mm|cm|kg)\b|\s*%)"
_NEGATED = r"(?:\b(not|non|no|without|excluding|except(?: for)?)(?:\s+(?:an?|the|any|in|with|aged?|being))*[\s-]+)?"
_MEASURED = {
    "qtc_ms": (r"qtc(?: interval| time)?", 10),
    "qt_ms": (r"qt(?: interval| time)?", 10),
    "qrs_ms": (r"qrs(?: duration| width| complex)?", 10),
    "pr_ms": (r"pr(?: interval| time| duration)?", 10),
    "rate_bpm": (r"(?:heart |ventricular )?rates?|pulse|hr", 5),
    "axis_deg": (r"(?:qrs |frontal |electrical )?axis", 10),
}
#: No interval or rate of an ECG lies outside: the unit is missing or something else is meant.
_INTERVAL_MS, _RATE_BPM = (10, 3000), (10, 400)
_LINK = r"\s*(?:is |of |was |prolonged |increased |widened |raised )*"
_TENS = ("twent", "thirt", "fort", "fift", "sixt", "sevent", "eight", "ninet")
_DECADE_OF = {f"{word}ies": tens for tens, word in enumerate(_TENS, 2)} | {f"{tens}0s": tens for tens in range(2, 10)}
_ARIANS = ("vice", "trice", "quadra", "quinqua", "sexa", "septua", "octo", "nona")
_SEX_OF = {"f": "F", "female": "F", "woman": "F", "m": "M", "male": "M", "man": "M", "his": "M", "her": "F"}

_Meaning = Callable[[re.Match[str]], str | None]  # what a pattern found → the condition; None where the value makes no sense


def _about(years: str) -> str:
    """ "70 years old" is meant loosely: two years to either side."""
    return f"age>={float(years) - 2:g} and age<={float(years) + 2:g}"


def _between(field: str, one: float, other: float) -> str:
    return f"{field}>={min(one, other):g} and {field}<={max(one, other):g}"


def _decade(tens: int) -> str:
    return f"age>={tens}0 and age<{tens + 1}0"


def _fixed(text: str) -> _Meaning:
    return lambda match: text


def _values(field: str, match: re.Match[str]) -> list[float]:
    """The numbers of a match in the field's own unit, seconds as milliseconds; none where one cannot be such a value."""
    groups = match.groupdict()
    found = [float(groups[name]) for name in "ab" if groups.get(name)]
    if (groups.get("unit") or "").strip().startswith("s"):
        found = [1000 * value for value in found]
    low, high = _INTERVAL_MS if field.endswith("_ms") else _RATE_BPM if field == "rate_bpm" else (-math.inf, math.inf)
    return found if all(low <= value <= high for value in found) else []


def _compared(field: str, op: str) -> _Meaning:
    return lambda match: "".join(f"{field}{op}{value:g}" for value in _values(field, match)) or None


def _ranged(field: str) -> _Meaning:
    return lambda match: _between(field, *values) if (values := _values(field, match)) else None


def _near(field: str, spread: int) -> _Meaning:
    return lambda match: _between(field, values[0] - spread, values[0] + spread) if (values := _values(field, match)) else None


def _in_decade(match: re.Match[str]) -> str:
    sex = _SEX_OF.get(match["who"])
    return _decade(_DECADE_OF[match["ten"].replace("'", "")]) + (f" and sex={sex}" if sex else "")


def _measured(field: str, words: str, spread: int) -> tuple[tuple[str, _Meaning], ...]:
    """The rules for a measurement named by ``words``: a range, a limit, and a value, taken ``spread`` to either side."""
    sign = "-?" if field == "axis_deg" else ""
    a, b = (number.replace("\\d", sign + r"\d", 1) for number in (_A, _B))
    unit = rf"(?P<unit>{_TIME})" if field.endswith("_ms") else f"(?:{_UNIT})"
    return (
        (rf"\b(?:{words}){_LINK}(?:between |from )?{a}{_UNIT}{_TO}{b}{unit}", _ranged(field)),
        (rf"\b(?:{words}){_LINK}(?:between |from )?{a}{_TO}{b}{unit}?(?![\s-]*y)", _ranged(field)),
        *((rf"\b(?:{words}){_LINK}{word}\s*{a}{unit}?", _compared(field, op)) for word, op in _OPS),
        (rf"\b(?:{words}){_LINK}(?:about |around |near )?{a}(?:{unit}|\b)", _near(field, spread)),
    )


_A, _B = _NUM.replace("(", "(?P<a>", 1), _NUM.replace("(", "(?P<b>", 1)
_COMPARED = "|".join(word for word, _ in _OPS)
#: A number that no rule took, with what it was compared by and its unit: one with neither counts from two digits on.
QUANTITY = re.compile(
    rf"(?:(?<![a-z])(?:{_COMPARED})\s*)(?<![\w.]){_NUM}(?:{_UNIT})?|(?<![\w.]){_NUM}{_UNIT}|(?<![\w.])\d{{2,4}}+(?:\.\d+)?(?!\w)"
)
_RULES: tuple[tuple[re.Pattern[str], _Meaning], ...] = tuple(
    (re.compile(_NEGATED + pattern), meaning)
    for pattern, meaning in (
        *(rule for field, (words, spread) in _MEASURED.items() for rule in _measured(field, words, spread)),
        # "45 bpm" needs no word for the rate
        (rf"\b(?:between |from )?{_A}(?:{_PER_MINUTE})?{_TO}{_B}{_PER_MINUTE}", _ranged("rate_bpm")),
        *((rf"(?<![a-z]){word}\s*{_A}{_PER_MINUTE}", _compared("rate_bpm", op)) for word, op in _OPS),
        (rf"\b(?:about |around |near )?{_A}{_PER_MINUTE}", _near("rate_bpm", 5)),
        (r"\bleft axis(?: deviation)?\b", _fixed("axis_deg<-30")),  # AHA/ACC/HRS 2009, part III: beyond -30°
        (r"\bright axis(?: deviation)?\b", _fixed("axis_deg>90")),  # the same: beyond +90°
        # adult rates and QRS: AHA/ACC/HRS 2009, part III (QRS from 120 ms), and the usual 60 and 100/min
        (r"\b(?:wide|broad)[\s-](?:qrs[\s-])?complex tachycardias?\b", _fixed("qrs_ms>=120 and rate_bpm>100")),
        (r"\b(?:wide|broad|widened) qrs(?: complex(?:es)?)?\b", _fixed("qrs_ms>=120")),
        (r"\bnarrow qrs(?: complex(?:es)?)?\b", _fixed("qrs_ms<120")),
        (r"\b(?:rapid|fast) ventricular (?:response|rate)\b", _fixed("rate_bpm>100")),
        (r"\b(?:rapid|fast) (?=atrial fi|atrial fl|af\b|afib\b|a-fib|flutter)", _fixed("rate_bpm>100")),
        (r"\bslow ventricular (?:response|rate)\b", _fixed("rate_bpm<60")),
        (r"\bslow (?=atrial fi|atrial fl|af\b|afib\b|a-fib|flutter)", _fixed("rate_bpm<60")),
        (r"\b(?:controlled|normal) (?:ventricular |heart )?(?:response|rate)\b", _fixed("rate_bpm>=60 and rate_bpm<=100")),
        (r"\btachycardic\b", _fixed("rate_bpm>100")),
        (r"\bbradycardic\b", _fixed("rate_bpm<60")),
        (rf"\b(?:aged? |ages )?between (?:ages? )?{_A} and {_B}{_OLD}\b(?!{_UNIT})", _ranged("age")),
        (rf"\b(?:aged? |ages ){_A}{_TO}{_B}{_OLD}\b", _ranged("age")),
        (rf"\b{_A}{_TO}{_B}[\s-]*(?:years?|yrs?|y)(?:[\s/-]*(?:old|of age|o))?\b", _ranged("age")),
        (r"\bin (?P<who>his|her|their|the) (?P<ten>[2-9]0'?s|(?:" + "|".join(_TENS) + r")ies)\b", _in_decade),
        (rf"\b{_A}{_YEARS}\s*(?:old )?(?:or|and) (?:older|above|over)\b", _compared("age", ">=")),
        (rf"\b{_A}{_YEARS}\s*(?:old )?(?:or|and) (?:younger|below|under)\b", _compared("age", "<=")),
        (rf"\bolder than {_A}{_OLD}", _compared("age", ">")),
        (rf"\byounger than {_A}{_OLD}", _compared("age", "<")),
        (rf"\b{_A}[\s-]*(?:(?:years?|yrs?|y)[\s/-]*(?:old|of age|o)|yo)\b", lambda m: _about(m["a"])),
        *((rf"(?:\baged?\s*)?(?<![a-z]){word}\s*{_A}\b(?!{_UNIT}){_OLD}", _compared("age", op)) for word, op in _OPS),
        (rf"\baged? {_A}{_OLD}\b", lambda m: _about(m["a"])),
        (r"\b(?P<a>[1-9]\d)\s?(?P<who>f|m)\b", lambda m: f"{_about(m['a'])} and sex={_SEX_OF[m['who']]}"),
        (rf"\b{_A}\s*(?:years?|yrs?|y)\b", lambda m: _about(m["a"])),
        *((rf"\b{word}genarians?\b", _fixed(_decade(tens))) for tens, word in enumerate(_ARIANS, 2)),
        (r"\b(?:very (?:old|elderly)|oldest old)\b", _fixed("age>=80")),
        (r"\bmiddle[\s-]aged?\b", _fixed("age>=40 and age<65")),
        (r"\b(?:elderly|geriatric|seniors?|old (?=wom[ae]n|m[ae]n|lad|patient|person|people|female|male))", _fixed("age>=65")),
        (r"\byoung(?:er)?\b", _fixed("age<40")),
        (r"\b(?:child(?:ren)?|p(?:a)?ediatric|teenagers?|adolescents?)\b", _fixed("age<18")),
        (r"\b(?:wom[ae]n|females?|lad(?:y|ies)|girls?)\b", _fixed("sex=F")),
        (r"\b(?:m[ae]n|males?|gentlem[ae]n|boys?)\b", _fixed("sex=M")),
    )
)
_MARK = 0xE000  # private characters, one for each condition that was cut out


@dataclass(frozen=True)
class Understood:
    """``conditions``: what the words mean, all of which must hold. ``said``: (words, condition as text), in the order found.
    ``refused``: words with a value that cannot be, such as an interval of 0.3 without a unit. ``left``: the text without them."""

    conditions: tuple[Condition, ...]
    said: tuple[tuple[str, str], ...]
    refused: tuple[str, ...]
    left: str


def conditions_in(text: str) -> Understood:
    """The conditions that a text in lower case speaks of. Words of negation straight before one turn it round; "or" between
    two of them joins them.

    Raises QueryError where "or" stands between such a condition and something else: what is meant then needs --where.
    """
    parts: list[Condition] = []
    said: list[tuple[str, str]] = []
    refused: list[str] = []
    left = text

    for pattern, meaning in _RULES:

        def cut(match: re.Match[str], meaning: _Meaning = meaning) -> str:
            written = meaning(match)
            if written is None:
                refused.append(" ".join(match[0].split()))
                return " "
            condition = parse(written)
            negated = bool(match[1])
            parts.append(Not(condition) if negated else condition)
            said.append((" ".join(match[0].split()), f"not ({written})" if negated else written))
            return f" {chr(_MARK + len(parts) - 1)} "

        left = pattern.sub(cut, left)
    last = chr(_MARK + len(parts))
    alone = re.compile(rf"([{chr(_MARK)}-{last}]) *\b(?:or|nor)\b *([{chr(_MARK)}-{last}])")
    while match := alone.search(left):
        one, other = (ord(mark) - _MARK for mark in match.groups())
        parts[one] = Or((parts[one], parts[other]))
        parts[other] = parts[one]
        left = f"{left[: match.start()]}{match[1]}{left[match.end() :]}"
    if re.search(rf"[{chr(_MARK)}-{last}] *\bor\b|\bor\b *[{chr(_MARK)}-{last}]", left):
        raise QueryError(
            '"or" is understood between statements, or between ages, sexes or measurements, not across them; '
            "search twice, or write it with --where."
        )
    gone = re.sub(rf"[{chr(_MARK)}-{last}]", " ", left)
    return Understood(tuple(dict.fromkeys(parts)), tuple(said), tuple(refused), gone)
