"""Normal ranges: from the table of criteria, for the person, with the citation."""

from __future__ import annotations

import pytest

from encoders.criteria_table import CRITERIA
from ui.ranges import judged, normal_range


@pytest.mark.parametrize(
    ("name", "sex", "words"),
    [
        ("rate_bpm", None, "60–100"), ("pr_ms", None, "120–200"), ("qrs_ms", None, "≤ 109"), ("qtc_ms", "F", "391–459"),
        ("qtc_ms", "M", "391–449"), ("axis_deg", None, "−30 to 90"), ("cornell_mv", "M", "≤ 2.80"), ("cornell_mv", "F", "≤ 2.00"),
        ("st_j_mv_V2", "F", "≤ 0.14"), ("st_j_mv_II", None, "≤ 0.09"),
    ],
)  # fmt: skip
def test_ranges_are_those_of_the_table(name: str, sex: str | None, words: str) -> None:
    found = normal_range(name, 60, sex)
    unit = {"bpm": "/min", "ms": "ms", "deg": "°"}.get(name.split("_")[-1], "mV")
    assert found is not None and found.words(unit) == words
    assert found.citation in {rule.citation for rule in CRITERIA}


def test_an_unknown_sex_gets_the_range_that_is_normal_for_both() -> None:
    found = normal_range("qtc_ms", 60, None)
    assert found is not None and found.high == 449 and "sex unknown" in found.note


def test_where_the_table_has_no_rule_there_is_no_range() -> None:
    assert normal_range("qt_ms", 60, "F") is None and normal_range("st_j_mv_aVR", 60, "F") is None
    assert normal_range("st_j_mv_V2", None, "M") is None  # the limit needs the age
    assert all(normal_range(name, 12, "F") is None for name in ("rate_bpm", "pr_ms", "qrs_ms"))


def test_values_are_judged_as_they_are_printed() -> None:
    limits = normal_range("pr_ms", 60, None)
    assert [judged(v, "pr_ms", limits) for v in (119.4, 119.6, 200.4, 200.6, None)] == ["low", "", "", "high", ""]
    assert judged(99.0, "qt_ms", None) == ""
    qtc = normal_range("qtc_ms", 60, "F")
    assert [judged(v, "qtc_ms", qtc) for v in (340.0, 341.0, 378.0, 459.0, 460.0)] == ["low", "", "", "", "high"]
