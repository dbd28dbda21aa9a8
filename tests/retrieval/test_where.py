"""Conditions: what they mean, what they refuse, and that no text of theirs becomes SQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.errors import QueryError
from encoders.measurements import MEASUREMENT_NAMES
from encoders.vocabulary import CODES
from retrieval.faiss_store import FaissStore
from retrieval.store import CaseRow
from retrieval.where import And, Comparison, Condition, Not, Or, parse, to_milvus, to_predicate, to_sql

ROW = CaseRow(
    "x",
    age_years=70.0,
    sex="F",
    statements={"AFIB": 0.0, "LVH": 80.0},
    measurements={"qrs_ms": 118.0, "axis_deg": -40.0},
)
BARE = CaseRow("bare")


@pytest.mark.parametrize(
    ("text", "holds", "holds_bare"),
    [
        ("age>60 and sex=F", True, False),
        ("AGE >= 70.0 AND Sex = female", True, False),
        ("age<70", False, False),
        ("not age<70", True, False),
        ("statement=AFIB", True, False),
        ("statement = afib", True, False),
        ("statement!=AFIB", False, True),
        ("not (qrs_ms>=120 or statement in (CLBBB, CRBBB))", True, False),
        ("statement in (CLBBB) or statement='LVH'", True, False),
        ("code not in (CLBBB, CRBBB)", True, True),
        ("LVH>=80", True, False),
        ("LVH>80", False, False),
        ("AFIB=0", True, False),
        ("axis_deg<-30", True, False),
        ("st_j_mv_AVR>0 or age=70", True, False),
        ("superclass=HYP", True, False),
        ("superclass in (MI, NORM)", False, False),
        ("age in (69, 70)", True, False),
        ("age not in (69, 71)", True, False),
        ("sex!=M and not sex=M", True, False),
        ("age>80 or age>60 and sex=M", False, False),
        ("(age>80 or age>60) and sex=F", True, False),
        ("not not not age>80", True, False),
        ("statement!=PRC(S) and statement!='LAO/LAE' and 1AVB!=3 or age==70", True, False),
    ],
)
def test_meaning(text: str, holds: bool, holds_bare: bool) -> None:
    predicate = to_predicate(parse(text))
    assert predicate(ROW) is holds
    assert predicate(BARE) is holds_bare


def test_tree() -> None:
    assert parse("age>60 and not sex=F or qrs_ms>=120") == Or(
        (
            And((Comparison("number", "age", ">", (60.0,)), Not(Comparison("sex", "sex", "=", ("F",))))),
            Comparison("number", "qrs_ms", ">=", (120.0,)),
        )
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("age", "ends at position 4"),
        ("age>", "a number, for age"),
        ("age>old", "'old' at position 5"),
        ("age>60 sex=F", "'sex' at position 8"),
        ("age>60 and", "ends at position 11"),
        ("(age>60", "closes the one at position 1"),
        ("age>60)", r"'\)' at position 7"),
        ("weight>60", "'weight' at position 1"),
        ("qrs_m>=120", "near it: .*qrs_ms"),
        ("statement=AFB", "near it: .*AFIB"),
        ("statement>AFIB", "= "),
        ("sex=x", "F or M"),
        ("superclass=AFIB", "NORM, MI"),
        ("age in 60", "parentheses"),
        ("age in ()", "a number"),
        ("age in (60", "closing"),
        ("age not 60", "in, after not"),
        ("age>nan", "'nan'"),
        ("age>inf", "'inf'"),
        ("age>1e999", "1e999"),
        ("age>60; DROP TABLE cases", "';' at position 7"),
        ("sex='F' --", "'--' at position 9"),
        ("statement='AFIB", "position 11"),
        ("age>60 and and sex=F", "'and' at position 12"),
        ("(" * 200 + "age>1" + ")" * 200, "nests deeper"),
        ("not " * 200 + "age>1", "nests deeper"),
        ("age>1 or " * 1000 + "age>1", "4000"),
        ("age>٣", "position 5"),
    ],
)
def test_refusals_name_what_was_seen(text: str, says: str) -> None:
    with pytest.raises(QueryError, match=says) as caught:
        parse(text)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message


NUMBERS = st.integers(-300, 300).map(float) | st.sampled_from([0.1, 60.7, 1 / 3, -0.007])
FIELDS = st.sampled_from(["age", *MEASUREMENT_NAMES, "AFIB", "LAO/LAE", "PRC(S)", "1AVB"])
COMPARISONS = (
    st.builds(
        lambda f, o, v: Comparison("number", f, o, (v,)), FIELDS, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), NUMBERS
    )
    | st.builds(
        lambda f, o, v: Comparison("number", f, o, tuple(dict.fromkeys(v))),
        FIELDS,
        st.sampled_from(["=", "!="]),
        st.lists(NUMBERS, min_size=2, max_size=4, unique=True),
    )
    | st.builds(lambda o, v: Comparison("sex", "sex", o, (v,)), st.sampled_from(["=", "!="]), st.sampled_from("FM"))
    | st.builds(
        lambda o, v: Comparison("statement", "statement", o, tuple(v)),
        st.sampled_from(["=", "!="]),
        st.lists(st.sampled_from(CODES), min_size=1, max_size=3, unique=True),
    )
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    COMPARISONS,
    lambda inner: st.builds(Not, inner)
    | st.builds(lambda parts: And(tuple(parts)), st.lists(inner, min_size=2, max_size=3))
    | st.builds(lambda parts: Or(tuple(parts)), st.lists(inner, min_size=2, max_size=3)),
    max_leaves=8,
)


def written(condition: Condition) -> str:
    """A condition as a user would write it, every part in parentheses."""
    if isinstance(condition, Not):
        return f"not ({written(condition.part)})"
    if isinstance(condition, And | Or):
        return (" and " if isinstance(condition, And) else " or ").join(f"({written(part)})" for part in condition.parts)
    values = [f"{v!r}" if isinstance(v, float) else f'"{v}"' for v in condition.values]
    if len(values) > 1:
        return f"{condition.field} {'' if condition.op == '=' else 'not '}in ({', '.join(values)})"
    return f"{condition.field}{condition.op}{values[0]}"


@given(CONDITIONS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_what_is_written_is_what_is_parsed(condition: Condition) -> None:
    again = parse(written(condition))
    for row in (ROW, BARE):
        assert to_predicate(again)(row) == to_predicate(condition)(row)
    assert parse(written(again)) == again


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FaissStore:
    import numpy as np

    rng = np.random.default_rng(5)
    rows = []
    for i in range(120):
        names = rng.choice(MEASUREMENT_NAMES, 12, replace=False)
        rows.append(
            CaseRow(
                str(i),
                age_years=None if i % 4 == 0 else float(rng.integers(0, 120)),
                sex=(None, "F", "M")[i % 3],
                statements={str(c): float(rng.integers(0, 101)) for c in rng.choice(CODES, rng.integers(0, 5), replace=False)},
                measurements={str(n): float(rng.choice([0.1, 60.7, -0.007, rng.integers(-300, 300)])) for n in names},
            ).normalised()
        )
    made = FaissStore.create(tmp_path_factory.mktemp("where") / "lib", "e" * 64, dim=4)
    made.add([r.case_id for r in rows], rng.normal(size=(120, 4)), rows)
    return made


@given(condition=CONDITIONS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_sql_and_python_agree(store: FaissStore, condition: Condition) -> None:
    predicate = to_predicate(condition)
    expected = {row.case_id for row in store.matching(None) if predicate(row)}
    assert set(store.matching_ids(condition)) == expected


HOSTILE = (
    "' OR 1=1 --",
    "age>60 UNION SELECT * FROM cases",
    "age>60/**/or/**/1=1",
    "sex=F'; DROP TABLE cases; --",
    "statement=\"AFIB' OR '1'='1\"",
    "statement in (AFIB) or 1",
    "case_id='1'",
    "age>(SELECT 1)",
    "age>60 or length(case_id)>0",
    "\x00age>1",
    "statement=\"AFIB\") or true or json_contains(row[\"codes\"], \"SR\"",
    "age=60\nand; pragma writable_schema=1",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_injection_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        parse(text)


PIECES = ["age", ">", "60", "(", ")", "'", '"', ";", "or", "not", "in", "sex", "=", "F"]


@given(st.text(max_size=40) | st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        condition = parse(text)
    except QueryError:
        return
    columns = {"age": "age", "sex": "sex", **{name: "m" for name in MEASUREMENT_NAMES}}
    sql, values = to_sql(condition, columns, "s")
    assert sql.count("?") == len(values)
    assert not set(sql) & set("'\";")
    assert sqlite3.complete_statement(f"SELECT {sql};")
    assert set(to_milvus(condition)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/()+.-=!<>[]\", ")


def test_the_tree_is_frozen(tmp_path: Path) -> None:
    condition = parse("age>60")
    with pytest.raises(AttributeError):
        condition.field = "sex"  # type: ignore[misc, union-attr]
