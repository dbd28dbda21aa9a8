"""Serial comparison: noise limits from both sides, axes by the shorter way, what may be called new or resolved."""

from __future__ import annotations

import pytest

from encoders.compare import CANNOT_JUDGE, CHANGE_LIMITS, NEW, RESOLVED, UNCHANGED, finding_changes, value_changes
from encoders.measurements import MEASUREMENT_NAMES, MORE_NAMES, Measurement, Measurements


def measured(reliability: float = 1.0, **values: float) -> Measurements:
    def items(names: tuple[str, ...]) -> tuple[Measurement, ...]:
        return tuple(Measurement(n, values.get(n), 10, (), reliability if n in values else 0.0) for n in names)

    return Measurements(items(MEASUREMENT_NAMES), items(MORE_NAMES))


def change(name: str, before: float, after: float) -> tuple[str, float | None]:
    found = next(c for c in value_changes(measured(**{name: before}), measured(**{name: after})) if c.name == name)
    return found.change, found.difference


@pytest.mark.parametrize("limit", CHANGE_LIMITS, ids=lambda limit: limit.name)
def test_a_change_counts_only_beyond_its_limit(limit) -> None:  # type: ignore[no-untyped-def]
    start = 10.0
    assert change(limit.name, start, start + 0.99 * limit.limit)[0] == "within noise"
    assert change(limit.name, start, start + 1.01 * limit.limit)[0] == "higher"
    assert change(limit.name, start, start - 1.01 * limit.limit)[0] == "lower"
    assert limit.limit > 0 and limit.source


def test_an_axis_turns_the_shorter_way() -> None:
    assert change("axis_deg", 170, -170) == ("within noise", 20)
    assert change("axis_deg", -170, 150) == ("lower", -40)


def test_a_difference_is_that_of_the_values_as_printed() -> None:
    for name, before, after, shown in (
        ("pr_ms", 315.6, 321.4, ("316 ms", "321 ms", 5.0)),
        ("cornell_mv", 0.8149, 1.10502, ("0.81 mV", "1.10 mV", 0.29)),  # documents hold 1.105, and print 1.10
        ("axis_deg", -48.6, -93.6, ("-49°", "-94°", -45.0)),
        ("st_j_mv_V2", -0.004, 0.004, ("0.00 mV", "0.00 mV", 0.0)),
    ):
        found = value_changes(measured(**{name: before}), measured(**{name: after}))
        one = next(c for c in found if c.name == name)
        assert (one.before, one.after, one.difference) == shown


def test_missing_and_weak_values_are_not_called_changes() -> None:
    full, none = measured(pr_ms=150), measured()
    by_name = {c.name: c for c in value_changes(full, none)}
    assert by_name["pr_ms"].change == "only in the first" and by_name["pr_ms"].difference is None
    assert by_name["qrs_ms"].change == "not comparable"
    assert next(c for c in value_changes(none, full) if c.name == "pr_ms").change == "only in the second"
    weak = next(c for c in value_changes(measured(0.1, qt_ms=300), measured(qt_ms=500)) if c.name == "qt_ms")
    assert weak.change == "not comparable" and not weak.changed and weak.difference == 200


def test_comparing_a_recording_with_itself_changes_nothing() -> None:
    same = measured(**{limit.name: 20.0 for limit in CHANGE_LIMITS})
    changes = value_changes(same, same)
    assert [c.name for c in changes] == [limit.name for limit in CHANGE_LIMITS]
    assert {c.change for c in changes} == {"within noise"} and {c.difference for c in changes} == {0.0}


def test_findings_are_new_or_resolved_only_against_a_sure_absence() -> None:
    before = {"AFIB": "absent", "LVH": "present", "IMI": "present", "PVC": "undetermined", "1AVB": "present"}
    after = {"AFIB": "present", "LVH": "absent", "IMI": "present", "PVC": "present", "WPW": "present"}
    found = {c.code: c.change for c in finding_changes(before, after)}
    assert found == {
        "AFIB": NEW, "LVH": RESOLVED, "IMI": UNCHANGED, "PVC": CANNOT_JUDGE, "WPW": CANNOT_JUDGE, "1AVB": CANNOT_JUDGE,
    }  # fmt: skip
    assert finding_changes({"AFIB": "absent"}, {"AFIB": "undetermined"}) == ()
