"""Ages, sexes, rates and measured values in plain words, each with the limits that it is taken for.

A word such as "elderly" has no limits of its own; those used here are conventions, stated in `retrieval.phrases.LIMITS` and
shown with every search that used one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from encoders.errors import QueryError
from retrieval.where import Condition, Not, Or, parse

__all__ = ["Understood", "conditions_in"]

_NUM = r"(\d{1,4}(?:\.\d+)?)"
_MORE = r"(?:over|above|greater than|more than|longer than|exceeding|>)"
_MORE_OR = r"(?:at least|no less than|not less than|not under|not below|>=|≥|from)"
_LESS = r"(?:under|below|less than|shorter than|<)"
_LESS_OR = r"(?:at most|no more than|not more than|not over|not above|<=|≤|up to)"
_OPS = ((_MORE_OR, ">="), (_LESS_OR, "<="), (_MORE, ">"), (_LESS, "<"))
_TO = r"\s*(?:-|–|to|and)\s*"
_YEARS = r"\s*(?:years?|yrs?)?"
_OLD = r"(?: years?)?(?: old| of age)?"
_UNIT = r"\s*(?:ms|bpm|mv|/\s?min|per minute|beats per minute|°|degrees)"
_NEGATED = r"(?:\b(not|non|no|without|excluding|except(?: for)?)(?:\s+(?:an?|the|any|in|with|aged?|being))*[\s-]+)?"
_MEASURED = {
    "qtc_ms": (r"qtc(?: interval| time)?", 10),
    "qt_ms": (r"qt(?: interval| time)?", 10),
    "qrs_ms": (r"qrs(?: duration| width| complex)?", 10),
    "pr_ms": (r"pr(?: interval| time| duration)?", 10),
    "rate_bpm": (r"(?:heart |ventricular )?rates?|pulse|hr", 5),
    "axis_deg": (r"(?:qrs |frontal |electrical )?axis", 10),
}
_LINK = r"\s*(?:is |of |was |prolonged |increased |widened |raised )*"
_TENS = ("twent", "thirt", "fort", "fift", "sixt", "sevent", "eight", "ninet")
_DECADE_OF = {f"{word}ies": tens for tens, word in enumerate(_TENS, 2)} | {f"{tens}0s": tens for tens in range(2, 10)}
_ARIANS = ("vice", "trice", "quadra", "quinqua", "sexa", "septua", "octo", "nona")
_SEX_OF = {"f": "F", "female": "F", "woman": "F", "m": "M", "male": "M", "man": "M", "his": "M", "her": "F"}

_Meaning = Callable[[re.Match[str]], str]  # what a pattern found, its own groups by name or number → the condition


def _about(years: str) -> str:
    """ "70 years old" is meant loosely: two years to either side."""
    return f"age>={float(years) - 2:g} and age<={float(years) + 2:g}"


def _between(field: str, low: str, high: str) -> str:
    return f"{field}>={low} and {field}<={high}"


def _decade(tens: int) -> str:
    return f"age>={tens}0 and age<{tens + 1}0"


def _fixed(text: str) -> _Meaning:
    return lambda match: text


def _compared(field: str, op: str) -> _Meaning:
    return lambda match: f"{field}{op}{match['a']}"


def _ranged(field: str) -> _Meaning:
    return lambda match: _between(field, match["a"], match["b"])


def _near(field: str, spread: int) -> _Meaning:
    return lambda match: _between(field, f"{float(match['a']) - spread:g}", f"{float(match['a']) + spread:g}")


def _in_decade(match: re.Match[str]) -> str:
    sex = _SEX_OF.get(match["who"])
    return _decade(_DECADE_OF[match["ten"].replace("'", "")]) + (f" and sex={sex}" if sex else "")


_A, _B = _NUM.replace("(", "(?P<a>", 1), _NUM.replace("(", "(?P<b>", 1)
_RULES: tuple[tuple[re.Pattern[str], _Meaning], ...] = tuple(
    (re.compile(_NEGATED + pattern), meaning)
    for pattern, meaning in (
        *(
            rule
            for field, (words, spread) in _MEASURED.items()
            for rule in (
                (rf"\b(?:{words}){_LINK}(?:between |from )?{_A}{_TO}{_B}(?:{_UNIT})?", _ranged(field)),
                *((rf"\b(?:{words}){_LINK}{word}\s*{_A}(?:{_UNIT})?", _compared(field, op)) for word, op in _OPS),
                (rf"\b(?:{words}){_LINK}(?:about |around |near )?{_A}\b(?:{_UNIT})?", _near(field, spread)),
            )
        ),
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
    ``left``: the text without them."""

    conditions: tuple[Condition, ...]
    said: tuple[tuple[str, str], ...]
    left: str


def conditions_in(text: str) -> Understood:
    """The conditions that a text in lower case speaks of. Words of negation straight before one turn it round; "or" between
    two of them joins them.

    Raises QueryError where "or" stands between such a condition and something else: what is meant then needs --where.
    """
    parts: list[Condition] = []
    said: list[tuple[str, str]] = []
    left = text

    for pattern, meaning in _RULES:

        def cut(match: re.Match[str], meaning: _Meaning = meaning) -> str:
            written = meaning(match)
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
    return Understood(tuple(dict.fromkeys(parts)), tuple(said), gone)
