"""Network and measurements joined: the same numbers from records and tables, what is not known is neutral, and the fit finds what
was planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoders.calibrate import Calibration
from encoders.ecg import STANDARD_LEADS
from encoders.encode import Encoder, Encoding
from encoders.errors import ArtefactError
from encoders.fusion import COLUMNS, FUSED_READINGS, Columns, load_fusions, measured_row, row_names, save_fusions
from encoders.fusion_fit import Settings, cross_fused, fit_fusion, left_out_table
from encoders.leadsets import ALL_LEADS, LEAD_SETS
from encoders.measurements import (
    LEAD_VALUES,
    MEASUREMENT_NAMES,
    MORE_NAMES,
    LeadMeasurement,
    Measurement,
    Measurements,
)
from encoders.metrics import auroc_per_statement
from encoders.table import MeasuredTable
from encoders.vocabulary import CODES

HASH = "a" * 64
STRICT = Settings(weights=300.0, others=300.0, share=1.0, units=8, epochs=2)


def measurements(**values: float | None) -> Measurements:
    def some(names: tuple[str, ...]) -> tuple[Measurement, ...]:
        return tuple(Measurement(name, values.get(name), reliability=1.0) for name in names)

    lead = LeadMeasurement("V2", **{LEAD_VALUES[0]: 0.25})
    others = tuple(LeadMeasurement(name) for name in STANDARD_LEADS if name != "V2")
    return Measurements(some(MEASUREMENT_NAMES), some(MORE_NAMES), (lead, *others))


def planted(n: int = 1200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, numbers and labels in which long PR intervals make 1AVB, of which the network knows nothing."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n, COLUMNS))
    rows[:, row_names().index("pr_ms")] = rng.normal(165, 30, n)
    rows[:, -1] = rng.integers(0, 2, n)
    labels = (rng.random((n, len(CODES))) < 0.2).astype(np.uint8)
    labels[:, CODES.index("1AVB")] = rows[:, row_names().index("pr_ms")] > 200
    logits = rng.normal(size=labels.shape) + labels * 1.5
    logits[:, CODES.index("1AVB")] = rng.normal(size=n)
    return logits, rows, labels


def test_a_record_and_a_table_give_the_same_numbers() -> None:
    made = measurements(pr_ms=212.0, rate_bpm=71.0, beats_n=12.0)
    row = measured_row(made, 64.0, "F")
    named = dict(zip(row_names(), row, strict=True))
    assert row.shape == (COLUMNS,) == (len(set(row_names())),)
    assert (named["pr_ms"], named["rate_bpm"], named["beats_n"], named["age"], named["female"]) == (212, 71, 12, 64, 1)
    assert named[f"{LEAD_VALUES[0]} V2"] == 0.25 and np.isnan(named[f"{LEAD_VALUES[0]} V3"]) and np.isnan(named["qrs_ms"])
    assert np.isnan(measured_row(made, None, None)[-2:]).all() and measured_row(made, 64.0, "M")[-1] == 0
    per_lead = np.array([[np.nan if (v := next(one for one in made.per_lead if one.lead == lead).value(name)) is None else v
                          for name in LEAD_VALUES] for lead in STANDARD_LEADS])  # fmt: skip
    values = [np.array([np.nan if m.value is None else m.value for m in part]) for part in (made.items, made.more)]
    table = MeasuredTable(
        values[0][None], values[0][None], np.ones(1, bool), values[1][None], values[1][None], per_lead[None], np.ones((1, 12))
    )
    assert np.array_equal(
        np.concatenate([table.values[0], table.more[0], table.per_lead[0].ravel()]), row[:-2], equal_nan=True
    )


def test_the_fit_finds_what_the_network_does_not_know_and_survives_a_file(tmp_path: Path) -> None:
    logits, rows, labels = planted()
    found = left_out_table(logits, rows, labels, np.arange(len(rows)) % 4, ((0,), (1,)), STRICT)
    assert [one["folds"] for one in found] == [[0], [1]] and all(one["fused"] > one["network"] for one in found)
    fusion = fit_fusion(logits, rows, labels, HASH, STRICT)
    at = CODES.index("1AVB")
    long, short = rows[:1].copy(), rows[:1].copy()
    long[0, row_names().index("pr_ms")], short[0, row_names().index("pr_ms")] = 230, 150
    assert fusion.apply(logits[:1], long)[0, at] > fusion.apply(logits[:1], short)[0, at]
    other = fit_fusion(logits, rows, 1 - labels, HASH, STRICT)
    every = {one.name: other if one.name == "I" else fusion for one in LEAD_SETS}
    save_fusions(every, tmp_path, {"date": "2026-01-01"})
    again = load_fusions(tmp_path, HASH)
    assert again.keys() == every.keys()
    for name, one in every.items():
        assert np.abs(again[name].apply(logits, rows) - one.apply(logits, rows)).max() < 0.02, name
    with pytest.raises(ArtefactError, match="another encoder"):
        load_fusions(tmp_path, "b" * 64)
    save_fusions({name: one for name, one in every.items() if name != "limb"}, tmp_path, {})
    with pytest.raises(ArtefactError, match="older version"):
        load_fusions(tmp_path, HASH)
    (tmp_path / "fusion.safetensors").write_bytes(b"x")
    with pytest.raises(ArtefactError, match="differ from their card"):
        load_fusions(tmp_path, HASH)
    with pytest.raises(ArtefactError, match="missing"):
        load_fusions(tmp_path / "nowhere", HASH)


def test_the_hidden_layer_finds_what_no_weighted_sum_can_tell_and_counts_by_cases() -> None:
    n = 2400
    axis = np.random.default_rng(0).normal(size=n)
    common, rare = CODES.index("NORM"), CODES.index("PRC(S)")
    labels = np.zeros((n, len(CODES)), np.uint8)
    labels[:, common] = np.abs(axis) > 1  # far to either side
    labels[:3, rare] = 1
    logits = np.zeros(labels.shape)
    rows = np.where(np.arange(COLUMNS) == row_names().index("axis_deg"), axis[:, None], 0.5)
    settings = Settings(weights=300.0, others=300.0, units=64, dropout=0.0, epochs=60, cases=100.0)
    away = np.arange(n) % 4 == 0
    alone, both = (
        fit_fusion(logits[~away], rows[~away], labels[~away], HASH, replace(settings, cases=cases)) for cases in (1e12, 100.0)
    )
    linear, deep = (auroc_per_statement(labels[away], one.apply(logits[away], rows[away])) for one in (alone, both))
    assert linear[common] < 0.6 and deep[common] > 0.8
    size = np.abs(both.outer).max(axis=0)
    assert size[rare] < 0.2 * size[common] and not np.abs(alone.outer).max() > 1e-6


def test_each_fold_is_joined_by_a_fit_that_left_it_out() -> None:
    logits, rows, labels = planted(300)
    folds = np.arange(300) % 4
    found = cross_fused(logits, rows, labels, folds, STRICT)
    away = folds < 2
    other = labels.copy()
    other[away] = 1 - other[away]  # what a fold's own labels say does not matter to it
    assert np.array_equal(cross_fused(logits, rows, other, folds, STRICT)[away], found[away])
    assert not np.array_equal(cross_fused(logits, rows, other, folds, STRICT)[~away], found[~away])
    assert np.isfinite(found).all() and found.shape == labels.shape


def test_what_moved_a_score_is_told_and_adds_up() -> None:
    logits, rows, labels = planted(600)
    fusion = fit_fusion(logits, rows, labels, HASH, STRICT)
    row = rows[0].copy()
    row[row_names().index("pr_ms")] = 240
    every = fusion.weighed("1AVB", logits[0], row, most=COLUMNS)
    assert every[0].name == "pr_ms" and every[0].log_odds > 0.3 and every[0].value == 240
    assert all(abs(one.log_odds) >= 0.2 for one in every) and len(fusion.weighed("1AVB", logits[0], row)) <= 4
    usual = np.where(np.arange(COLUMNS) == row_names().index("pr_ms"), np.nan, row)
    moved = fusion.apply(logits[:1], row[None]) - fusion.apply(logits[:1], usual[None])
    unknown = [one for one in fusion.weighed("1AVB", logits[0], usual, most=COLUMNS) if one.name == "pr_ms"]
    gone = unknown[0].log_odds if unknown else 0.0
    assert moved[0, CODES.index("1AVB")] == pytest.approx(every[0].log_odds - gone, abs=0.2)


def test_what_is_not_known_counts_as_usual_and_what_is_wild_is_bounded() -> None:
    rows = planted()[1]
    columns = Columns.of(rows)
    usual = columns(np.full((1, COLUMNS), np.nan))[0]
    missing = slice(COLUMNS + 1, COLUMNS + 1 + len(MEASUREMENT_NAMES))
    assert (usual[missing] == 1).all() and not np.delete(usual, np.r_[missing]).any()
    lead = row_names().index(f"{LEAD_VALUES[0]} V6")
    rows[:, lead] = np.nan  # a lead that the set has not: whatever is measured there says nothing
    rows[:, row_names().index("sokolow_lyon_mv")] = np.nan
    few = Columns.of(rows)
    seen, unseen = np.full((1, COLUMNS), 7.0), np.full((1, COLUMNS), 7.0)
    unseen[0, [lead, row_names().index("sokolow_lyon_mv")]] = np.nan
    assert few(seen)[0, lead] == 0 and np.array_equal(few(seen), few(unseen))
    wild = columns(np.full((1, COLUMNS), 1e12))
    assert np.isfinite(wild).all() and np.abs(wild[0, :COLUMNS]).max() < 10


def test_an_encoding_is_joined_by_the_weights_of_its_own_leads() -> None:
    logits, rows, labels = planted(400)
    fusion, blind = (fit_fusion(logits, some, labels, HASH, STRICT) for some in (rows, np.full_like(rows, np.nan)))
    fusions = {one.name: fusion if one.name == ALL_LEADS else blind for one in LEAD_SETS}
    zero = np.zeros(1, np.float32)
    read = Encoding(np.full(71, 0.5, np.float32), logits[0].astype(np.float32), zero, zero, ALL_LEADS)

    class Network:
        def eval(self) -> Network:
            return self

    encoder = Encoder(Network(), Calibration.identity(HASH), HASH, fusions)  # type: ignore[arg-type]
    one = encoder.with_measurements(read, measurements(pr_ms=230.0), None, None)
    other = encoder.with_measurements(read, measurements(pr_ms=150.0), None, None)
    at = CODES.index("1AVB")
    assert one.probabilities[at] > other.probabilities[at] and np.array_equal(one.logits, read.logits)
    few = replace(read, lead_set="I")
    long, short = (encoder.with_measurements(few, measurements(pr_ms=pr), None, None) for pr in (230.0, 150.0))
    assert np.array_equal(long.probabilities, short.probabilities) and long.lead_set == "I"
    with pytest.raises(ArtefactError, match="load it calibrated"):
        Encoder(Network(), Calibration.identity(HASH), HASH).with_measurements(read, measurements(), None, None)  # type: ignore[arg-type]
    assert set(FUSED_READINGS.values()) < Calibration.identity(HASH).curves.keys()
