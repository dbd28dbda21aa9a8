"""The table of conflicts: every rule can fire, none fires on what belongs together, and what it names is right."""

from __future__ import annotations

import numpy as np
import pytest

from assistant.rules import RELIABLE, RULES, Measured, conflicts_of, doubts, fired, tabulate
from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements
from encoders.vocabulary import CODES

COLUMN = {code: i for i, code in enumerate(CODES)}


def flags(*codes: str) -> np.ndarray:
    out = np.zeros((1, len(CODES)), bool)
    for code in codes:
        out[0, COLUMN[code]] = True
    return out


def measurements(reliability: float = 0.9, **values: float) -> Measurements:
    return Measurements(
        tuple(
            Measurement(name, values.get(name), 10, ("II",), reliability if name in values else 0.0)
            for name in MEASUREMENT_NAMES
        )
    )


def ids(present: np.ndarray, values: Measurements, sex: str | None = None) -> set[str]:
    which = fired(present, tabulate([values], [sex]))[0]
    return {rule.id for rule, on in zip(RULES, which, strict=True) if on}


@pytest.mark.parametrize(
    ("codes", "values", "rule"),
    [
        (("1AVB",), {"pr_ms": 150}, "pr-not-long"),
        (("AFIB",), {"p_wave_share": 0.95, "rr_irregularity": 0.01}, "af-with-p-waves"),
        (("SBRAD",), {"rate_bpm": 80}, "bradycardia-rate"),
        (("STACH",), {"rate_bpm": 80}, "tachycardia-rate"),
        (("CRBBB",), {"qrs_ms": 90}, "bbb-narrow"),
        (("IVCD",), {"qrs_ms": 90}, "ivcd-narrow"),
        (("LNGQT",), {"qtc_ms": 400, "qtc_bazett_ms": 405}, "qt-not-long"),
        (("NORM",), {"qrs_ms": 140}, "normal-wide-qrs"),
        (("NORM",), {"pr_ms": 240}, "normal-long-pr"),
        (("NORM",), {"qtc_ms": 520}, "normal-long-qt"),
        (("AFIB", "SR"), {}, "af-or-sinus"),
        (("AFLT", "1AVB"), {}, "af-and-pr"),
        (("SBRAD", "STACH"), {}, "sinus-rates"),
        (("1AVB", "3AVB"), {}, "av-block-degrees"),
        (("2AVB", "3AVB"), {}, "av-block-complete"),
        (("CLBBB", "CRBBB"), {}, "bbb-sides"),
        (("CLBBB", "ILBBB"), {}, "lbbb-degree"),
        (("CRBBB", "IRBBB"), {}, "rbbb-degree"),
        (("LAFB", "LPFB"), {}, "fascicles"),
        (("LVOLT", "HVOLT"), {}, "voltage"),
        (("NORM", "IMI"), {}, "normal-or-not"),
        (("NORM", "LVH"), {}, "normal-or-not"),
        (("ISCAL", "CLBBB"), {}, "st-masked"),
        (("LVH", "PACE"), {}, "lvh-masked"),
    ],
)
def test_each_conflict_is_found_and_named(codes: tuple[str, ...], values: dict[str, float], rule: str) -> None:
    present, measured = flags(*codes), measurements(**values)
    assert ids(present, measured) == {rule}
    which = fired(present, tabulate([measured], [None]))
    (conflict,) = conflicts_of(present[0], which[0], measured)
    assert conflict.id == f"R:{rule}"
    assert conflict.citation
    assert {f"F:{c}" for c in codes} | {f"M:{m}" for m in values} == set(conflict.items)
    for name in values:
        assert measured[name].text() in conflict.text


def test_every_rule_is_covered_by_the_test_above() -> None:
    (mark,) = test_each_conflict_is_found_and_named.pytestmark
    assert {row[2] for row in mark.args[1]} == {rule.id for rule in RULES}


@pytest.mark.parametrize(
    "codes",
    [("NORM", "SR"), ("NORM", "SBRAD"), ("NORM", "PVC"), ("SR", "1AVB"), ("AFIB", "CLBBB"), ("CRBBB", "LAFB"), ("PACE", "AFIB"),
     ("SR", "LVH", "IMI"), ("AFIB", "3AVB"), ("1AVB", "LPR")],
)  # fmt: skip
def test_what_belongs_together_is_no_conflict(codes: tuple[str, ...]) -> None:
    assert ids(flags(*codes), measurements()) == set()


def test_a_value_beside_the_limit_starts_no_conflict() -> None:
    assert ids(flags("1AVB"), measurements(pr_ms=195)) == set()
    assert ids(flags("CLBBB"), measurements(qrs_ms=112)) == set()
    assert ids(flags("NORM"), measurements(qrs_ms=125, pr_ms=208)) == set()


def test_unreliable_or_missing_measurements_contradict_nothing() -> None:
    assert ids(flags("1AVB"), measurements(RELIABLE - 0.01, pr_ms=120)) == set()
    assert ids(flags("1AVB", "CLBBB", "SBRAD"), measurements()) == set()


def test_both_sides_become_undetermined_but_a_block_is_not_doubted_by_what_it_masks() -> None:
    present, measured = flags("NORM", "IMI", "SR"), tabulate([measurements()], [None])
    absent = np.zeros_like(present)
    out = doubts(present, absent, fired(present, measured))
    assert set(np.flatnonzero(out[0])) == {COLUMN["NORM"], COLUMN["IMI"]}
    present, absent = flags("CLBBB", "LVH"), flags("ISCAL")
    out = doubts(present, absent, fired(present, measured))
    assert set(np.flatnonzero(out[0])) == {COLUMN["LVH"], COLUMN["ISCAL"]}


def test_limits_that_depend_on_sex_take_the_cautious_one_where_it_is_unknown() -> None:
    values = measurements(qtc_ms=445, qtc_bazett_ms=445)
    assert ids(flags("LNGQT"), values, "F") == {"qt-not-long"}
    assert ids(flags("LNGQT"), values, "M") == set()
    assert ids(flags("LNGQT"), values, None) == set()


def test_arrays_of_recordings_agree_with_one_at_a_time() -> None:
    rng = np.random.default_rng(0)
    present = rng.random((200, len(CODES))) < 0.1
    values = rng.uniform(30, 300, (200, len(MEASUREMENT_NAMES)))
    values[rng.random(values.shape) < 0.3] = np.nan
    sexes = rng.choice(np.array(["F", "M", None], object), 200).tolist()
    table = Measured.of(values, sexes)
    together = fired(present, table)
    for row in (0, 17, 199):
        alone = fired(present[row : row + 1], Measured.of(values[row : row + 1], sexes[row : row + 1]))
        assert (alone[0] == together[row]).all()
    assert together.any()


def test_rules_name_real_codes_and_cite() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert set(rule.codes) | set(rule.against) <= set(CODES)
        assert bool(rule.against) != bool(rule.measured)
        assert rule.citation and rule.why.endswith(".")
        assert not set(rule.codes) & set(rule.against)
