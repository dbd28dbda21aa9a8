"""Delineation and measurement: known boundaries, invariances, poor input, real recordings."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoders.delineate import delineate, fiducials
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.measure import measure
from encoders.measurements import MEASUREMENT_NAMES
from encoders.readers import read

Maker = Callable[..., ECG]


@pytest.mark.parametrize("rate", [45.0, 60.0, 90.0, 130.0])
def test_rate_is_that_of_the_beats(rate: float, synthetic_ecg: Maker) -> None:
    assert measure(synthetic_ecg(rate_bpm=rate)).value("rate_bpm") == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize("fs", [100.0, 250.0, 257.0, 500.0, 1000.0])
def test_intervals_do_not_depend_on_the_sampling_rate(fs: float, synthetic_ecg: Maker) -> None:
    usual, other = measure(synthetic_ecg(fs_hz=500.0)), measure(synthetic_ecg(fs_hz=fs))
    for name, tolerance in (("pr_ms", 12), ("qrs_ms", 12), ("qt_ms", 15), ("axis_deg", 5)):
        value = other.value(name)
        assert value is not None
        assert value == pytest.approx(usual.value(name), abs=tolerance), name


def test_a_longer_pr_is_measured_longer_by_as_much(synthetic_ecg: Maker) -> None:
    short, long = (measure(synthetic_ecg(pr_ms=pr)).value("pr_ms") for pr in (140.0, 220.0))
    assert short is not None and long is not None
    assert long - short == pytest.approx(80, abs=10)


@pytest.mark.parametrize("factor", [0.3, 3.0])
def test_intervals_keep_and_voltages_follow_the_gain(factor: float, synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg(noise_mv=0.003)
    scaled = measure(replace(ecg, signal_mv=ecg.signal_mv * np.float32(factor)))
    usual = measure(ecg)
    assert scaled.value("qt_ms") == pytest.approx(usual.value("qt_ms"), abs=4)
    assert scaled.value("sokolow_lyon_mv") == pytest.approx(factor * (usual.value("sokolow_lyon_mv") or 0), rel=0.03)


def test_voltages_and_axis_are_those_of_the_model(synthetic_ecg: Maker) -> None:
    m = measure(synthetic_ecg(noise_mv=0.001))
    assert m.value("sokolow_lyon_mv") == pytest.approx(0.9 + 1.2, abs=0.25)
    axis = m.value("axis_deg")
    assert axis is not None and 40 < axis < 75


def test_st_elevation_is_seen_in_its_leads_only(synthetic_ecg: Maker) -> None:
    m = measure(synthetic_ecg(st_mv={"V3": 0.3, "V4": 0.3}, noise_mv=0.002))
    assert (m.value("st_j_mv_V3") or 0) > 0.15
    assert (m.value("st_j_mv_V4") or 0) > 0.15
    assert abs(m.value("st_j_mv_V6") or 0) < 0.08


def test_qtc_follows_fridericia_and_bazett(synthetic_ecg: Maker) -> None:
    m = measure(synthetic_ecg(rate_bpm=80))
    qt, rr = m.value("qt_ms"), 0.75
    assert qt is not None
    assert m.value("qtc_ms") == pytest.approx(qt / rr ** (1 / 3), rel=0.005)
    assert m.value("qtc_bazett_ms") == pytest.approx(qt / rr**0.5, rel=0.005)


def test_no_pr_without_p_waves(synthetic_ecg: Maker) -> None:
    m = measure(synthetic_ecg(p_wave=False, irregular=0.2, noise_mv=0.02))
    assert m.value("pr_ms") is None and m["pr_ms"].note
    assert (m.value("rr_irregularity") or 0) > 0.1


def test_regular_rhythm_has_low_irregularity_and_p_before_every_beat(synthetic_ecg: Maker) -> None:
    m = measure(synthetic_ecg())
    assert (m.value("rr_irregularity") or 0) < 0.02
    assert m.value("p_wave_share") == pytest.approx(1.0)


def test_an_early_beat_is_left_out_of_intervals_but_counts_for_the_rate(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg(rate_bpm=60)
    signal = ecg.signal_mv.copy()
    # An extra wide beat 0.45 s after the fifth R.
    t = np.arange(ecg.n_samples) / 500 - (0.4 + 4 + 0.45)
    signal += np.float32(1.5) * np.exp(-0.5 * (t / 0.03) ** 2).astype(np.float32)
    with_extra = replace(ecg, signal_mv=signal)
    found, usual = delineate(with_extra), delineate(ecg)
    assert found is not None and usual is not None
    assert len(found.centres_s) == len(usual.centres_s) + 1
    assert not found.regular.all()
    assert measure(with_extra).value("qrs_ms") == pytest.approx(measure(ecg).value("qrs_ms"), abs=6)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: x * 0,
        lambda x: x * np.nan,
        lambda x: x[:, :1],
        lambda x: x[:, :2],
        lambda x: x[:, :300],
        lambda x: np.random.default_rng(0).standard_normal(x.shape),
        lambda x: x * 1e6,
        lambda x: x * 1e-6,
        lambda x: np.where(np.arange(x.shape[1]) % 2, np.nan, x),
        lambda x: np.concatenate([x[:6], np.full_like(x[6:], np.nan)]),
        lambda x: x + 1e4,
        lambda x: np.repeat(np.linspace(-5, 5, x.shape[1])[None], 12, axis=0),
    ],
)
def test_poor_input_gives_missing_values_with_a_note_and_never_raises(spoil, synthetic_ecg: Maker) -> None:  # type: ignore[no-untyped-def]
    ecg = synthetic_ecg()
    with np.errstate(all="ignore"):
        bad = ECG(np.asarray(spoil(ecg.signal_mv.astype(float)), np.float32), 500.0, STANDARD_LEADS)
    m = measure(bad)
    assert tuple(item.name for item in m.items) == MEASUREMENT_NAMES
    for item in m.items:
        assert item.value is None or np.isfinite(item.value), item
        assert item.value is not None or item.note, item
        assert 0 <= item.reliability <= 1
    assert isinstance(fiducials(bad), list)


def test_a_single_lead_and_a_flat_lead_are_handled(synthetic_ecg: Maker) -> None:
    one = measure(synthetic_ecg().select(("II",)))
    assert one.value("rate_bpm") == pytest.approx(60, rel=0.02)
    assert one.value("axis_deg") is None and one.value("cornell_mv") is None
    ecg = synthetic_ecg()
    signal = ecg.signal_mv.copy()
    signal[7] = 0
    m = measure(replace(ecg, signal_mv=signal))
    assert m.value("st_j_mv_V2") is None and "flat" in m["st_j_mv_V2"].note
    assert m.value("qt_ms") == pytest.approx(measure(ecg).value("qt_ms"), abs=10)


def test_fiducials_stand_in_order_on_the_recording_s_own_samples(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg(fs_hz=250.0)
    marks = fiducials(ecg)
    assert len(marks) == 10
    for mark in marks[1:-1]:
        points = (mark.p_on, mark.p_off, mark.qrs_on, mark.qrs, mark.qrs_off, mark.t_peak, mark.t_off)
        assert None not in points
        assert list(points) == sorted(points)  # type: ignore[type-var]
        assert 0 <= mark.qrs < ecg.n_samples


def test_ludb_intervals_come_close_to_the_cardiologists(ecg_data: Path) -> None:
    """On every seventh LUDB recording, decimated or not by the reader's own rate, QRS and QT are close in the median."""
    wfdb = pytest.importorskip("wfdb")
    errors: dict[str, list[float]] = {"qrs_ms": [], "qt_ms": []}
    for header in sorted((ecg_data / "ludb" / "data").glob("*.hea"), key=lambda p: int(p.stem))[::7]:
        ecg = read(header)
        m = measure(ecg)
        durations: dict[str, list[float]] = {"qrs_ms": [], "qt_ms": []}
        for lead in STANDARD_LEADS:
            a = wfdb.rdann(str(header.with_suffix("")), lead.lower())
            start = None
            for k, symbol in enumerate(a.symbol):
                if symbol == "N" and 0 < k < len(a.symbol) - 1 and a.symbol[k - 1] == "(" and a.symbol[k + 1] == ")":
                    start = a.sample[k - 1] * 2.0
                    durations["qrs_ms"].append(a.sample[k + 1] * 2.0 - start)
                elif symbol == "t" and start is not None and k < len(a.symbol) - 1 and a.symbol[k + 1] == ")":
                    durations["qt_ms"].append(a.sample[k + 1] * 2.0 - start)
                    start = None
        for name, values in durations.items():
            measured = m.value(name)
            assert measured is not None
            errors[name].append(abs(measured - float(np.median(values))))
    assert np.mean(errors["qrs_ms"]) < 10
    assert np.mean(errors["qt_ms"]) < 15


def test_ptb_xl_recordings_give_rates_and_rarely_pr_in_fibrillation(ecg_data: Path) -> None:
    rows = csv.DictReader((ecg_data / "ptb-xl" / "ptbxl_database.csv").read_text(encoding="utf-8").splitlines())
    fibrillation = [row["filename_lr"] for row in rows if row["strat_fold"] == "8" and "'AFIB'" in row["scp_codes"]][:25]
    given = 0
    for name in fibrillation:
        m = measure(read(ecg_data / "ptb-xl" / name))
        assert m.value("rate_bpm") is not None
        given += m.value("pr_ms") is not None
    assert given <= 4
