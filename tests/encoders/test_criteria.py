"""Words for numbers: every threshold from both sides, withholding, contiguous leads."""

from __future__ import annotations

import pytest

from encoders.criteria import CRITERIA, contiguous, criterion, judge
from encoders.measurements import MEASUREMENT_NAMES, MORE_NAMES, LeadMeasurement, Measurement, Measurements


def measured(per_lead: tuple[LeadMeasurement, ...] = (), **values: float) -> Measurements:
    def items(names: tuple[str, ...]) -> tuple[Measurement, ...]:
        return tuple(Measurement(n, values.get(n), 10, (), 1.0 if n in values else 0.0) for n in names)

    return Measurements(items(MEASUREMENT_NAMES), items(MORE_NAMES), per_lead)


def word(name: str, value: float, age: float | None = 50, sex: str | None = "M") -> str:
    return next(j.word for j in judge(measured(**{name: value}), age, sex) if j.measurement == name)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rate_bpm", 39, "extreme bradycardia"),
        ("rate_bpm", 40, "bradycardia"),
        ("rate_bpm", 59, "bradycardia"),
        ("rate_bpm", 59.6, "normal"),
        ("rate_bpm", 60, "normal"),
        ("rate_bpm", 100, "normal"),
        ("rate_bpm", 100.4, "normal"),
        ("rate_bpm", 101, "tachycardia"),
        ("rate_bpm", 150, "tachycardia"),
        ("rate_bpm", 151, "extreme tachycardia"),
        ("pr_ms", 119, "short"),
        ("pr_ms", 120, "normal"),
        ("pr_ms", 200, "normal"),
        ("pr_ms", 201, "prolonged"),
        ("qrs_ms", 109, "normal"),
        ("qrs_ms", 110, "slightly prolonged"),
        ("qrs_ms", 119, "slightly prolonged"),
        ("qrs_ms", 120, "wide"),
        ("qtc_ms", 390, "short"),
        ("qtc_ms", 391, "normal"),
        ("qtc_ms", 449, "normal"),
        ("qtc_ms", 450, "prolonged"),
        ("qtc_ms", 499, "prolonged"),
        ("qtc_ms", 500, "markedly prolonged"),
        ("axis_deg", -30, "normal"),
        ("axis_deg", -31, "left"),
        ("axis_deg", -90, "left"),
        ("axis_deg", -91, "extreme"),
        ("axis_deg", -180, "extreme"),
        ("axis_deg", 90, "normal"),
        ("axis_deg", 91, "right"),
        ("axis_deg", 180, "right"),
        ("sokolow_lyon_mv", 3.49, "normal"),
        ("sokolow_lyon_mv", 3.5, "high"),
        ("cornell_mv", 2.8, "normal"),
        ("cornell_mv", 2.81, "high"),
    ],
)
def test_thresholds_in_men(name: str, value: float, expected: str) -> None:
    assert word(name, value) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("qtc_ms", 459, "normal"), ("qtc_ms", 460, "prolonged"), ("cornell_mv", 2.0, "normal"), ("cornell_mv", 2.01, "high")],
)
def test_thresholds_in_women(name: str, value: float, expected: str) -> None:
    assert word(name, value, sex="F") == expected


def test_without_sex_only_what_depends_on_it_is_withheld() -> None:
    assert word("qtc_ms", 455, sex=None) == "withheld"
    assert word("qtc_ms", 420, sex=None) == "normal"
    assert word("qtc_ms", 470, sex=None) == "prolonged"
    assert word("qtc_ms", 510, sex=None) == "markedly prolonged"
    assert word("cornell_mv", 2.4, sex=None) == "withheld"
    assert word("cornell_mv", 3.0, sex=None) == "high"
    assert word("rate_bpm", 70, age=None, sex=None) == "normal"


def test_children_are_withheld_throughout() -> None:
    judged = judge(measured(rate_bpm=130, pr_ms=210, qrs_ms=130, st_j_mv_V4=0.5, st_j_mv_V5=0.5), 17.9, "M")
    assert {j.word for j in judged} == {"withheld"}
    assert {j.severity for j in judged} == {"normal"}


def test_missing_values_give_no_judgement() -> None:
    assert judge(measured(), 50, "F") == ()


def test_wide_complex_tachycardia_is_critical() -> None:
    judged = judge(measured(rate_bpm=140, qrs_ms=150), 60, "M")
    assert any(j.criterion_id == "wide_tachycardia" and j.severity == "critical" for j in judged)
    assert not any(j.criterion_id == "wide_tachycardia" for j in judge(measured(rate_bpm=140, qrs_ms=100), 60, "M"))
    assert not any(j.criterion_id == "wide_tachycardia" for j in judge(measured(rate_bpm=90, qrs_ms=150), 60, "M"))


def elevated(age: float | None, sex: str | None, **levels: float) -> set[str]:
    judged = judge(measured(**{f"st_j_mv_{lead}": v for lead, v in levels.items()}), age, sex)
    return {j.measurement.removeprefix("st_j_mv_") for j in judged if j.word == "elevated" and j.severity == "critical"}


def test_st_elevation_needs_two_contiguous_leads() -> None:
    assert elevated(60, "M", II=0.1, III=0.12, aVF=0.11) == {"II", "III", "aVF"}
    assert elevated(60, "M", II=0.3, V5=0.3) == set()
    assert elevated(60, "M", V4=0.1, V5=0.09) == set()
    assert elevated(60, "M", aVR=0.2, I=0.1) == set()


def test_st_limits_in_v2_and_v3_follow_age_and_sex() -> None:
    assert elevated(60, "M", V2=0.2, V3=0.2) == {"V2", "V3"}
    assert elevated(60, "M", V2=0.19, V3=0.19) == set()
    assert elevated(30, "M", V2=0.24, V3=0.24) == set()
    assert elevated(30, "M", V2=0.25, V3=0.25) == {"V2", "V3"}
    assert elevated(30, "F", V2=0.15, V3=0.15) == {"V2", "V3"}
    assert elevated(60, "F", V2=0.14, V3=0.14) == set()


def test_st_in_v2_and_v3_is_withheld_where_age_or_sex_decides_and_is_unknown() -> None:
    judged = judge(measured(st_j_mv_V2=0.2, st_j_mv_V3=0.2), None, None)
    assert {(j.measurement, j.word) for j in judged} == {("st_j_mv_V2", "withheld"), ("st_j_mv_V3", "withheld")}
    assert all("cannot exclude" in j.text for j in judged)
    assert elevated(None, None, V2=0.26, V3=0.26) == {"V2", "V3"}
    assert judge(measured(st_j_mv_V2=0.1, st_j_mv_V3=0.1), None, None) == ()


def lead(name: str, st: float, *, later: float | None = None, s_mv: float = 0.3, area: float = 10.0) -> LeadMeasurement:
    return LeadMeasurement(
        name, r_mv=0.5, s_mv=s_mv, q_mv=0.0, qrs_area_mvms=area, st_j_mv=st, st_j60_mv=st if later is None else later
    )


def judged_st(leads: tuple[LeadMeasurement, ...], **values: float) -> set[tuple[str, str]]:
    levels = {f"st_j_mv_{item.lead}": item.st_j_mv for item in leads if item.st_j_mv is not None}
    judged = judge(measured(leads, **levels, **values), 60, "M")
    return {(j.measurement.removeprefix("st_j_mv_"), j.criterion_id) for j in judged if j.measurement.startswith("st_j")}


def test_elevation_must_last_beyond_the_j_point() -> None:
    assert judged_st((lead("V4", 0.2), lead("V5", 0.2))) == {("V4", "st_elevation"), ("V5", "st_elevation")}
    assert judged_st((lead("V4", 0.2, later=0.02), lead("V5", 0.2, later=0.02))) == set()


def test_elevation_against_a_wide_or_tall_negative_qrs_is_withheld_below_a_quarter_of_s() -> None:
    small = tuple(lead(n, 0.3, s_mv=2.4, area=-60) for n in ("V2", "V3"))
    large = tuple(lead(n, 0.7, s_mv=2.4, area=-60) for n in ("V2", "V3"))
    upright = tuple(lead(n, 0.3, s_mv=0.1, area=60) for n in ("V5", "V6"))
    assert {i for _, i in judged_st(small)} == {"st_elevation_v23_m"}
    assert {i for _, i in judged_st(small, qrs_ms=150)} == {"secondary_st"}
    assert {i for _, i in judged_st(large, qrs_ms=150)} == {"st_elevation_v23_m"}
    assert {i for _, i in judged_st(upright, qrs_ms=150)} == {"st_elevation"}
    assert {i for _, i in judged_st(small, sokolow_lyon_mv=4.2)} == {"st_elevation_voltage"}
    judged = judge(measured(small, st_j_mv_V2=0.3, st_j_mv_V3=0.3, qrs_ms=150), 60, "M")
    assert {j.word for j in judged if j.measurement.startswith("st_j")} == {"withheld"}


def test_a_qs_in_v3_is_no_voltage_of_hypertrophy() -> None:
    infarct = tuple(
        LeadMeasurement(n, r_mv=0.0, s_mv=0.0, q_mv=2.4, qrs_area_mvms=-60, st_j_mv=0.3, st_j60_mv=0.4) for n in ("V2", "V3")
    )
    assert {i for _, i in judged_st(infarct, cornell_mv=3.2)} == {"st_elevation_v23_m"}


def test_a_lead_whose_beats_disagree_does_not_count() -> None:
    m = measured(st_j_mv_V4=0.3, st_j_mv_V5=0.3)
    weak = tuple(Measurement(i.name, i.value, 10, (), 0.4 if i.name == "st_j_mv_V4" else i.reliability) for i in m.items)
    assert not [j for j in judge(Measurements(weak), 60, "M") if j.word == "elevated"]


@pytest.mark.parametrize(("rr", "expected"), [(1999, None), (2000, "pause"), (2999, "pause"), (3000, "long pause")])
def test_pauses(rr: float, expected: str | None) -> None:
    judged = [j for j in judge(measured(rr_max_ms=rr), 60, "M") if j.measurement == "rr_max_ms"]
    assert [j.word for j in judged] == ([expected] if expected else [])
    assert all((j.severity == "critical") is (rr >= 3000) for j in judged)


@pytest.mark.parametrize(
    ("values", "fires"),
    [
        ({"rate_bpm": 38, "atrial_rate_bpm": 80}, True),
        ({"rate_bpm": 59, "atrial_rate_bpm": 110}, True),
        ({"rate_bpm": 60, "atrial_rate_bpm": 120}, False),  # not slow
        ({"rate_bpm": 50, "atrial_rate_bpm": 80}, False),  # fewer than nine P waves to five QRS
        ({"rate_bpm": 50, "atrial_rate_bpm": 200}, False),  # atrial tachycardia or flutter
        ({"rate_bpm": 38}, False),
    ],
)
def test_high_grade_block(values: dict[str, float], fires: bool) -> None:
    judged = judge(measured(**values), 60, "M")
    assert any(j.criterion_id == "high_grade_block" and j.severity == "critical" for j in judged) is fires


@pytest.mark.parametrize(
    ("change", "fires"),
    [
        ({}, True), ({"rr_min_ms": 310}, False), ({"qrs_ms": 110}, False), ({"rr_irregularity": 0.05}, False),
        ({"rate_bpm": 110}, False), ({"pr_ms": 150}, False),
    ],
)  # fmt: skip
def test_pre_excited_fibrillation(change: dict[str, float], fires: bool) -> None:
    values = {"rate_bpm": 180, "qrs_ms": 140, "rr_min_ms": 240, "rr_irregularity": 0.3, **change}
    assert any(j.criterion_id == "pre_excited_af" for j in judge(measured(**values), 40, "M")) is fires


def test_every_value_of_a_person_is_covered_by_exactly_one_rule() -> None:
    ranges = {"rate_bpm": (20, 250), "pr_ms": (60, 400), "qrs_ms": (40, 260), "qtc_ms": (250, 700), "axis_deg": (-180, 180)}
    for name, (low, high) in ranges.items():
        for sex in ("F", "M"):
            for value in range(low, high + 1):
                rules = [
                    r
                    for r in CRITERIA
                    if r.measurement == name and r.covers(value) and r.sex in (None, sex) and r.id != "wide_tachycardia"
                ]
                assert len(rules) == 1, (name, sex, value, [r.id for r in rules])


def test_the_table_is_cited_and_ids_are_unique() -> None:
    assert len({c.id for c in CRITERIA}) == len(CRITERIA)
    assert all(c.citation and c.text.endswith(".") for c in CRITERIA)
    assert criterion("qrs_wide").low == 120
    assert contiguous({"V1", "V2", "V4"}) == (("V1", "V2"),)
