"""Conditions on cases: ``age>60 and sex=F``, ``not (qrs_ms>=120 or statement in (CLBBB, CRBBB))``.

    condition  = term { "or" term }
    term       = factor { "and" factor }
    factor     = "not" factor | "(" condition ")" | comparison
    comparison = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value | field [ "not" ] "in" "(" value { "," value } ")"

Fields: age, sex, statement (or code), superclass, any measurement (qrs_ms), any statement's code for its likelihood
(``LVH>=80``). A missing value meets no condition, neither a comparison nor its negation, as NULL does in SQL.
Text is tokenised and parsed here into a frozen tree of known fields and checked values; it never becomes part of SQL.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from encoders.errors import QueryError
from encoders.measurements import MEASUREMENT_NAMES
from encoders.vocabulary import CODES, SUPERCLASSES, codes_in

if TYPE_CHECKING:
    from retrieval.store import CaseRow

__all__ = ["And", "Comparison", "Condition", "Not", "Or", "parse", "to_milvus", "to_predicate", "to_sql"]

MAX_LENGTH = 4000
MAX_DEPTH = 60

NUMBER, SEX, STATEMENT = "number", "sex", "statement"
_OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


@dataclass(frozen=True)
class Comparison:
    """``kind`` number: ``field`` is age, a measurement or a code (its likelihood), ``values`` floats, ``op`` any.
    ``kind`` sex or statement: ``op`` is = or !=, ``values`` words; = holds where any of them fits."""

    kind: str
    field: str
    op: str
    values: tuple[float | str, ...]


@dataclass(frozen=True)
class Not:
    part: Condition


@dataclass(frozen=True)
class And:
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Or:
    parts: tuple[Condition, ...]


Condition = Comparison | Not | And | Or


@dataclass(frozen=True)
class _Token:
    kind: str  # word, text (quoted), op, punct, end
    text: str
    at: int  # position from 1


_PIECES = re.compile(
    r"""(?P<space>\s+)
      | (?P<text>"[^"]*"|'[^']*')
      | (?P<op><=|>=|!=|<>|==|=|<|>)
      | (?P<word>PRC\(S\)|[A-Za-z0-9_./+\-]+)
      | (?P<punct>[(),])""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)


def _tokens(text: str) -> list[_Token]:
    out: list[_Token] = []
    at = 0
    while at < len(text):
        match = _PIECES.match(text, at)
        if match is None:
            raise QueryError(
                f"The condition has {text[at]!r} at position {at + 1}; "
                "allowed are fields, numbers, words, = != < <= > >=, in, and, or, not, commas and parentheses."
            )
        if match.lastgroup != "space":
            piece = match.group()
            kind = str(match.lastgroup)
            out.append(_Token(kind, piece[1:-1] if kind == "text" else piece, at + 1))
        at = match.end()
    out.append(_Token("end", "", len(text) + 1))
    return out


_FIELDS: dict[str, tuple[str, str]] = {
    "age": (NUMBER, "age"),
    "age_years": (NUMBER, "age"),
    "sex": (SEX, "sex"),
    "statement": (STATEMENT, "statement"),
    "code": (STATEMENT, "statement"),
    "superclass": (STATEMENT, "superclass"),
    **{name.lower(): (NUMBER, name) for name in MEASUREMENT_NAMES},
    **{code.lower(): (NUMBER, code) for code in CODES},
}
_SEXES = {"f": "F", "female": "F", "woman": "F", "m": "M", "male": "M", "man": "M"}
_FIELD_HELP = "age, sex, statement, superclass, a measurement such as qrs_ms, or a statement's code for its likelihood"


def _near(word: str, allowed: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word.lower(), [a.lower() for a in allowed], n=3, cutoff=0.6)
    names = [a for a in allowed if a.lower() in close]
    return f" (near it: {', '.join(names)})" if names else ""


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.next = 0
        self.depth = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.next]

    def take(self) -> _Token:
        token = self.token
        if token.kind != "end":
            self.next += 1
        return token

    def is_word(self, *words: str) -> bool:
        return self.token.kind == "word" and self.token.text.lower() in words

    def is_punct(self, mark: str) -> bool:
        return self.token.kind == "punct" and self.token.text == mark

    def fail(self, token: _Token, allowed: str) -> QueryError:
        seen = f"has {token.text!r}" if token.kind != "end" else "ends"
        return QueryError(f"The condition {seen} at position {token.at}; expected is {allowed}.")

    def deeper(self, token: _Token) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise QueryError(f"The condition nests deeper than {MAX_DEPTH} at position {token.at}; write it flatter.")

    def condition(self) -> Condition:
        parts = [self.term()]
        while self.is_word("or"):
            self.take()
            parts.append(self.term())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def term(self) -> Condition:
        parts = [self.factor()]
        while self.is_word("and"):
            self.take()
            parts.append(self.factor())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def factor(self) -> Condition:
        token = self.token
        if self.is_word("not"):
            self.deeper(self.take())
            inner: Condition = Not(self.factor())
            self.depth -= 1
            return inner
        if self.is_punct("("):
            self.deeper(self.take())
            inner = self.condition()
            if not self.is_punct(")"):
                raise self.fail(self.token, f"and, or, or the parenthesis that closes the one at position {token.at}")
            self.take()
            self.depth -= 1
            return inner
        return self.comparison()

    def comparison(self) -> Condition:
        token = self.take()
        if token.kind != "word" or token.text.lower() in ("and", "or", "in"):
            raise self.fail(token, f"a field: {_FIELD_HELP}")
        if token.text.lower() not in _FIELDS:
            allowed = ("age", "sex", "statement", "superclass", *MEASUREMENT_NAMES, *CODES)
            raise self.fail(token, f"a field: {_FIELD_HELP}{_near(token.text, allowed)}")
        kind, field = _FIELDS[token.text.lower()]
        if self.is_word("in", "not"):
            negated = self.take().text.lower() == "not"
            if negated:
                if not self.is_word("in"):
                    raise self.fail(self.token, "in, after not")
                self.take()
            return Comparison(kind, field, "!=" if negated else "=", self.members(kind, field))
        op = self.take()
        if op.kind != "op":
            raise self.fail(op, f"=, !=, <, <=, >, >= or in, after {token.text}")
        sign = {"==": "=", "<>": "!="}.get(op.text, op.text)
        if kind != NUMBER and sign not in ("=", "!="):
            raise self.fail(op, f"=, != or in, after {token.text}")
        return Comparison(kind, field, sign, self.value(kind, field))

    def members(self, kind: str, field: str) -> tuple[float | str, ...]:
        if not self.is_punct("("):
            raise self.fail(self.token, "a list in parentheses, such as (CLBBB, CRBBB)")
        self.take()
        values = list(self.value(kind, field))
        while self.is_punct(","):
            self.take()
            values += self.value(kind, field)
        if not self.is_punct(")"):
            raise self.fail(self.token, "a comma or the closing parenthesis of the list")
        self.take()
        return tuple(dict.fromkeys(values))

    def value(self, kind: str, field: str) -> tuple[float | str, ...]:
        token = self.take()
        if kind == NUMBER:
            number = float(token.text) if token.kind == "word" and _NUMBER.fullmatch(token.text) else math.inf
            if not abs(number) < 1e12:
                raise self.fail(token, f"a number, for {field}")
            return (number,)
        if token.kind not in ("word", "text"):
            raise self.fail(token, f"a word, for {field}")
        word = token.text.strip()
        if kind == SEX:
            if word.lower() not in _SEXES:
                raise self.fail(token, "F or M, for sex")
            return (_SEXES[word.lower()],)
        if field == "superclass":
            if word.upper() not in SUPERCLASSES:
                raise self.fail(token, f"one of {', '.join(SUPERCLASSES)}, for superclass")
            return codes_in(word.upper())
        if word.upper() not in CODES:
            raise self.fail(token, f"one of the {len(CODES)} codes such as AFIB or CLBBB, for statement{_near(word, CODES)}")
        return (word.upper(),)


def parse(text: str) -> Condition:
    """The condition as a frozen tree. QueryError says what was seen, where, and what is allowed."""
    if not isinstance(text, str) or not text.strip():
        raise QueryError('The condition is empty; write one such as "age>60 and sex=F", or leave it out.')
    if len(text) > MAX_LENGTH:
        raise QueryError(f"The condition has {len(text)} characters; at most {MAX_LENGTH} are allowed.")
    parser = _Parser(text)
    found = parser.condition()
    if parser.token.kind != "end":
        raise parser.fail(parser.token, "and, or, or the end")
    return found


# --- as a Python predicate -------------------------------------------------------------------------------------------


def _number(row: CaseRow, field: str) -> float | None:
    if field == "age":
        return row.age_years
    return row.statements.get(field) if field in CODES else row.measurements.get(field)


_TESTS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _holds(condition: Condition, row: CaseRow) -> bool | None:
    """True, False, or None where a missing value leaves it open (three-valued logic, as in SQL)."""
    if isinstance(condition, Not):
        inner = _holds(condition.part, row)
        return None if inner is None else not inner
    if isinstance(condition, And | Or):
        stop = isinstance(condition, Or)
        results = [_holds(part, row) for part in condition.parts]
        if stop in results:
            return stop
        return None if None in results else not stop
    if condition.kind == STATEMENT:
        return any(code in row.statements for code in condition.values) == (condition.op == "=")
    value: Any = row.sex if condition.kind == SEX else _number(row, condition.field)
    if value is None:
        return None
    if condition.op in ("=", "!="):
        return (value in condition.values) == (condition.op == "=")
    return _TESTS[condition.op](value, float(condition.values[0]))


def to_predicate(condition: Condition) -> Callable[[CaseRow], bool]:
    """The condition as a function of a row."""
    return lambda row: _holds(condition, row) is True


# --- as parametrised SQL ---------------------------------------------------------------------------------------------


def to_sql(condition: Condition, columns: dict[str, str], statements: str) -> tuple[str, list[float | str]]:
    """The condition as (SQL with ``?`` only, parameters).

    ``columns``: the caller's SQL expression per field (age, sex, each measurement). ``statements``: SQL expression of the
    listed statements as text ``" AFIB:0 LVH:80"``, each with a space in front.
    """
    if isinstance(condition, Not):
        sql, values = to_sql(condition.part, columns, statements)
        return f"NOT ({sql})", values
    if isinstance(condition, And | Or):
        pieces = [to_sql(part, columns, statements) for part in condition.parts]
        word = " AND " if isinstance(condition, And) else " OR "
        return word.join(f"({sql})" for sql, _ in pieces), [v for _, values in pieces for v in values]
    if condition.kind == STATEMENT:
        listed = " OR ".join([f"instr({statements}, ?) > 0"] * len(condition.values))
        return (f"({listed})" if condition.op == "=" else f"NOT ({listed})"), [f" {code}:" for code in condition.values]
    marks = ", ".join("?" * len(condition.values))
    test = {"=": f"IN ({marks})", "!=": f"NOT IN ({marks})"}.get(condition.op, f"{condition.op} ?")
    if condition.kind == NUMBER and condition.field in CODES:
        key = f" {condition.field}:"
        likelihood = f"CAST(substr({statements}, instr({statements}, ?) + length(?)) AS REAL)"
        return f"CASE WHEN instr({statements}, ?) > 0 THEN {likelihood} END {test}", [key, key, key, *condition.values]
    return f"{columns[condition.field]} {test}", list(condition.values)


# --- as a Milvus expression ------------------------------------------------------------------------------------------


def to_milvus(condition: Condition, negated: bool = False) -> str:
    """The condition as a Milvus filter over a JSON field ``row`` with age, sex, codes, s (likelihoods) and m (measurements).

    Milvus Lite takes no parameters, so the text is built from the tree alone: every word is one of a closed list (fields,
    codes, F, M) and every number is printed from a float. Negation is pushed down to the comparisons, so that a missing
    value meets neither a comparison nor its negation, as in SQL.
    """
    if isinstance(condition, Not):
        return to_milvus(condition.part, not negated)
    if isinstance(condition, And | Or):
        word = " and " if isinstance(condition, And) != negated else " or "
        return word.join(f"({to_milvus(part, negated)})" for part in condition.parts)
    op = _OPPOSITE[condition.op] if negated else condition.op
    if condition.kind == STATEMENT:
        listed = " or ".join(f'json_contains(row["codes"], "{code}")' for code in condition.values)
        return f"({listed})" if op == "=" else f"(not ({listed}))"
    group = '["s"]' if condition.field in CODES else '["m"]' if condition.field in MEASUREMENT_NAMES else ""
    path = f'row{group}["{condition.field}"]'
    sign = "==" if op == "=" else op
    values = [f'"{v}"' if isinstance(v, str) else f"{v:.12f}" for v in condition.values]
    joined = (" and " if op == "!=" else " or ").join(f"{path} {sign} {v}" for v in values)
    return f"(exists {path} and ({joined}))" if op == "!=" else f"({joined})"  # "!=" must not pass where there is no value
