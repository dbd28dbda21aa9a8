"""Delineation and measurement: known boundaries, invariances, poor input, real recordings."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoders.delineate import delineate
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.measure import measure
from encoders.measurements import LEAD_VALUES, MEASUREMENT_NAMES, MORE_NAMES
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
    for item in (*m.items, *m.more):
        assert item.value is None or np.isfinite(item.value), item
        assert item.value is not None or item.note, item
        assert 0 <= item.reliability <= 1
    assert tuple(item.name for item in m.more) == MORE_NAMES
    assert tuple(item.lead for item in m.per_lead) == STANDARD_LEADS
    for lead in m.per_lead:
        assert all((v := lead.value(name)) is None or np.isfinite(v) for name in LEAD_VALUES)
        assert lead.st_j_mv is not None or lead.note


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


def _shortened(ecg: ECG, at_s: float, by_s: float) -> ECG:
    """The same recording with a piece of a diastole taken out (or, ``by_s`` below 0, with quiet put in)."""
    a, n = int(at_s * ecg.fs_hz), int(abs(by_s) * ecg.fs_hz)
    x = ecg.signal_mv
    quiet = 0.004 * np.random.default_rng(1).standard_normal((len(x), n)).astype(np.float32)
    parts = [x[:, :a], x[:, a + n :]] if by_s > 0 else [x[:, :a], quiet, x[:, a:]]
    return replace(ecg, signal_mv=np.concatenate(parts, axis=1))


def test_framingham_and_hodges_and_their_flags(synthetic_ecg: Maker) -> None:
    m = measure(synthetic_ecg(rate_bpm=110))
    qt = m.value("qt_ms")
    assert qt is not None
    assert m.value("qtc_framingham_ms") == pytest.approx(qt + 154 * (1 - 60 / 110), abs=2)
    assert m.value("qtc_hodges_ms") == pytest.approx(qt + 1.75 * 50, abs=2)
    assert "Bazett" in m["qtc_bazett_ms"].note and m["qtc_ms"].note == ""
    assert measure(synthetic_ecg(rate_bpm=75))["qtc_bazett_ms"].note == ""


def test_rr_statistics_are_those_of_the_beats(synthetic_ecg: Maker) -> None:
    m, found = measure(ecg := synthetic_ecg(irregular=0.1)), delineate(ecg)
    assert found is not None
    rr = np.diff(found.centres_s) * 1000
    assert m.value("rr_min_ms") == pytest.approx(rr.min())
    assert m.value("rr_max_ms") == pytest.approx(rr.max())
    assert m.value("rr_rmssd_ms") == pytest.approx(np.sqrt(np.mean(np.diff(rr) ** 2)))
    assert m.value("rr_pnn50") == pytest.approx(np.mean(np.abs(np.diff(rr)) > 50))
    assert m.value("beats_n") == len(found.centres_s)


def test_an_early_wide_beat_is_ventricular_and_an_early_narrow_one_atrial(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg(rate_bpm=60)
    t = np.arange(ecg.n_samples) / 500 - (0.4 + 4 + 0.55)
    up, down = (np.exp(-0.5 * ((t - at) / 0.025) ** 2) for at in (-0.04, 0.04))
    wide = (np.linspace(1.5, -1.5, 12)[:, None] * (up - 0.8 * down)).astype(np.float32)
    ventricular = measure(replace(ecg, signal_mv=ecg.signal_mv + wide))
    atrial = measure(_shortened(ecg, 4.4 + 0.52, 0.22))
    for m, expected in ((measure(ecg), (0, 0)), (ventricular, (1, 0)), (atrial, (0, 1))):
        assert (m.value("premature_ventricular_n"), m.value("premature_atrial_n")) == expected


def test_early_beats_are_not_counted_as_atrial_in_fibrillation(synthetic_ecg: Maker) -> None:
    m = measure(synthetic_ecg(p_wave=False, irregular=0.25, rate_bpm=90))
    assert m.value("premature_atrial_n") is None and "irregular" in m["premature_atrial_n"].note


@pytest.mark.parametrize(("pause_s", "expected"), [(0.5, (0, 0)), (1.4, (1, 0)), (2.4, (1, 1))])
def test_pauses_are_counted(pause_s: float, expected: tuple[int, int], synthetic_ecg: Maker) -> None:
    m = measure(_shortened(synthetic_ecg(rate_bpm=60), 4.4 + 0.52, -pause_s))
    assert (m.value("pauses_2s_n"), m.value("pauses_3s_n")) == expected
    assert m.value("rr_max_ms") == pytest.approx(1000 + 1000 * pause_s, abs=15)


def test_waves_of_single_leads_are_those_of_the_model(synthetic_ecg: Maker) -> None:
    m = measure(synthetic_ecg(noise_mv=0.001))
    v1, v5 = m.lead("V1"), m.lead("V5")
    assert v5.r_mv == pytest.approx(1.2, abs=0.12) and v5.t_mv == pytest.approx(0.3, abs=0.04)
    assert v5.p_mv == pytest.approx(0.06, abs=0.02)
    assert v1.s_mv == pytest.approx(0.9, abs=0.12) and v1.r_mv == pytest.approx(0.2, abs=0.1) and v1.q_mv == 0.0
    assert v1.qrs_area_mvms is not None and v5.qrs_area_mvms is not None and v1.qrs_area_mvms < 0 < v5.qrs_area_mvms
    transition = m.value("r_transition")
    assert transition is not None and 2 < transition < 4  # R equals S in V3 of the model
    assert m.value("cornell_product_mvms") == pytest.approx((m.value("cornell_mv") or 0) * (m.value("qrs_ms") or 0))


def test_a_qrs_without_r_is_all_q(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg(noise_mv=0.001)
    signal = ecg.signal_mv.copy()
    t = np.arange(ecg.n_samples) / 500
    signal[7] = -sum(1.2 * np.exp(-0.5 * ((t - b) / 0.014) ** 2) for b in np.arange(0.4, 10.5, 1.0)).astype(np.float32)  # type: ignore[union-attr]
    v2 = measure(replace(ecg, signal_mv=signal)).lead("V2")
    assert v2.r_mv == 0.0 and v2.s_mv == 0.0
    assert v2.q_mv == pytest.approx(1.2, abs=0.1) and v2.q_ms is not None and v2.q_ms > 40


def test_what_needs_p_waves_says_that_there_are_none(synthetic_ecg: Maker) -> None:
    m = measure(synthetic_ecg(p_wave=False, irregular=0.2, noise_mv=0.02))
    assert m.value("p_ms") is None and m.value("p_axis_deg") is None and m.lead("II").p_mv is None
    assert "no P waves found" in m.lead("II").note and "no P waves found" in m["p_axis_deg"].note


def test_sinus_rhythm_has_no_atrial_rate_of_its_own(synthetic_ecg: Maker) -> None:
    for rate in (50.0, 75.0, 110.0):
        item = measure(synthetic_ecg(rate_bpm=rate))["atrial_rate_bpm"]
        assert item.value is None and item.note


def test_dissociated_p_waves_give_the_atrial_rate(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg(rate_bpm=40, p_wave=False)
    t = np.arange(ecg.n_samples) / 500
    p = sum(np.exp(-0.5 * ((t - at) / 0.025) ** 2) for at in np.arange(0.13, 10, 0.8))
    size = np.array([0.1, 0.2, 0.1, -0.15, 0.0, 0.15, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08])
    m = measure(replace(ecg, signal_mv=(ecg.signal_mv + size[:, None] * p).astype(np.float32)))
    assert m.value("rate_bpm") == pytest.approx(40, abs=1)
    assert m.value("atrial_rate_bpm") == pytest.approx(75, abs=2)


def test_a_lead_whose_beats_disagree_on_st_is_trusted_less(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg(noise_mv=0.002)
    signal = ecg.signal_mv.copy()
    t = np.arange(ecg.n_samples) / 500
    for k, beat in enumerate(np.arange(0.4, 10, 1.0)):
        if k % 2:  # every second beat has an ST segment of 0.6 mV in V4
            signal[9] += (0.6 * ((t > beat + 0.03) & (t < beat + 0.2))).astype(np.float32)
    steady, changing = measure(ecg), measure(replace(ecg, signal_mv=signal))
    assert steady["st_j_mv_V4"].reliability > 0.9
    assert changing["st_j_mv_V4"].reliability < 0.7 * steady["st_j_mv_V4"].reliability


def test_measurements_go_to_json_with_unit_beats_and_reliability(synthetic_ecg: Maker) -> None:
    m = measure(synthetic_ecg())
    document = m.to_json()
    assert set(document) == {*MEASUREMENT_NAMES, *MORE_NAMES}
    assert document["cornell_product_mvms"]["unit"] == "mV·ms" and document["beats_n"]["value"] == 10
    assert set(m.leads_to_json()) == set(STANDARD_LEADS) and set(LEAD_VALUES) < set(m.leads_to_json()["I"])
    with pytest.raises(KeyError):
        m["height_cm"]


def test_ludb_intervals_come_close_to_the_cardiologists(ecg_data: Path) -> None:
    """On every fourteenth LUDB recording, decimated or not by the reader's own rate, QRS and QT are close in the median."""
    wfdb = pytest.importorskip("wfdb")
    errors: dict[str, list[float]] = {"qrs_ms": [], "qt_ms": []}
    for header in sorted((ecg_data / "ludb" / "data").glob("*.hea"), key=lambda p: int(p.stem))[::14]:
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
