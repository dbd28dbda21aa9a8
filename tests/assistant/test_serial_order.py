"""Whether two recordings may be the earlier and the later one of one patient, by what they say themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from assistant.serial import SAME, order_caution
from ui.demo import demo

FIRST = replace(demo("normal"), recorded_at="2002-11-22T09:10:00", age_years=49.0, sex="M")
SECOND = replace(demo("af"), recorded_at="2004-11-22T09:10:00", age_years=51.0, sex="M")


def test_nothing_is_said_of_two_that_fit_or_tell_nothing() -> None:
    assert order_caution(FIRST, SECOND) == ()
    untold: dict[str, Any] = {"recorded_at": None, "age_years": None, "sex": None}
    assert order_caution(replace(FIRST, **untold), SECOND) == order_caution(FIRST, replace(SECOND, **untold)) == ()


def test_two_that_change_places_of_two_people_are_told_of() -> None:
    later = replace(SECOND, recorded_at="2013-01-25T10:59:19", age_years=42.0, sex="F")
    order, sexes, ages = order_caution(later, FIRST)
    assert order.startswith("The first recording was made after the second") and "different sexes (F and M)" in sexes
    assert "ages 42 and 49, 10 years apart" in ages
    assert order_caution(FIRST, replace(FIRST, signal_mv=FIRST.signal_mv)) == (SAME,)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("2002-11-22T10:00:00", "2002-11-22T09:00:00", 1),
        ("2002-11-22T10:00:00", "2002-11-22", 0),  # the day alone: either may be the earlier one
        ("2002-11-23", "2002-11-22T10:00:00", 1),
        ("2002-11-22T10:00:00+02:00", "2002-11-22T09:00:00+00:00", 0),
        ("2002-11-22T10:00:00+02:00", "2002-11-22T09:00:00", 1),  # one without a zone: the clocks alone
        ("yesterday", "2002-11-22", 0),
    ],
)
def test_times_are_held_against_each_other_as_far_as_they_are_told(first: str, second: str, said: int) -> None:
    told = order_caution(replace(FIRST, recorded_at=first, age_years=None), replace(SECOND, recorded_at=second))
    assert len(told) == said


@pytest.mark.parametrize(("age", "said"), [(49.0, 0), (53.0, 0), (60.0, 1), (40.0, 1), (90.0, 0)])
def test_ages_are_held_against_the_time_between(age: float, said: int) -> None:
    """The same age may have been typed for both, and from 89 on files keep it to themselves."""
    assert len(order_caution(FIRST, replace(SECOND, age_years=age))) == said
