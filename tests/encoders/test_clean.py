"""Cleaning for the network: what each step takes out, and what it must leave alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import resample_poly

from encoders.clean import clean, mains_gain, noise_gain, wander_gain
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.ludb import read_marks
from encoders.readers import read

Maker = Callable[..., ECG]
INNER = slice(100, 900)  # without the second at either end in which filters may settle

#: The bounds that `clean` states: share of QRS height, mV of ST level, and the share of beats and leads they hold for.
QRS_SHARE, ST_MV, HELD = 0.05, 0.03, 0.95


def sine(fs_hz: float, hz: float, seconds: float = 10.0) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * fs_hz)) / fs_hz).astype(np.float32)


def test_the_three_steps_one_by_one() -> None:
    hz = np.array([0.0, 0.1, 0.2, 0.35, 0.5, 0.67, 10.0, 44.0, 46.5, 49.0, 150.0])
    np.testing.assert_allclose(wander_gain(hz), [0, 0, 0, 0.5, 1, 1, 1, 1, 1, 1, 1], atol=1e-12)
    np.testing.assert_allclose(noise_gain(hz), [1, 1, 1, 1, 1, 1, 1, 1, 0.5, 0, 0], atol=1e-12)
    assert not mains_gain(np.array([50.0, 60, 100, 120, 150, 180, 300])).any()
    np.testing.assert_allclose(mains_gain(np.array([0.0, 10, 40, 49, 49.5, 51, 59, 61, 75, 99, 101])), [1] * 4 + [0.5] + [1] * 6)


def test_at_100_hz_it_stays_what_the_encoder_was_trained_on() -> None:
    """Values of the first version, rounded: other ones would need another encoder."""
    t = np.arange(1000) / 100
    x = np.stack([np.sin(2 * np.pi * (0.1 + 0.37 * k) * t) + np.sin(2 * np.pi * (41 + k) * t + k) for k in range(8)])
    x += (t * 1.1) % 1 < 0.08
    first = {
        0: [-0.00815, 1.00849, -0.08984, -1.04795, -0.07631, 0.92534, -0.07674, -1.12424],
        5: [-0.02649, 0.96379, -1.43895, 1.51315, -1.70084, 1.46452, -1.41989, 1.05103],
        7: [-0.05063, 0.86274, -0.99246, 0.52611, 0.29412, -0.92329, 0.86407, -0.37415],
    }
    cleaned = clean(x.astype(np.float32), 100.0)
    for row, values in first.items():
        np.testing.assert_allclose(cleaned[row, ::125], values, atol=2e-5)


@pytest.mark.parametrize("fs_hz", [100, 125, 128, 250, 257, 360, 500, 1000, 997.3])
def test_wander_hum_and_harmonics_go_and_the_rest_stays_in_place(fs_hz: float) -> None:
    x = sine(fs_hz, 8) + 2 * sine(fs_hz, 0.1)
    for mains in (50, 60, 100, 120, 150, 180, 300):
        if mains < 0.48 * fs_hz:
            x += 0.5 * sine(fs_hz, mains)
    cleaned = clean(x[None], fs_hz)[0]
    assert len(cleaned) == pytest.approx(1000, abs=1)
    assert np.abs(cleaned[INNER] - sine(100, 8)[INNER]).max() < 0.12
    assert np.abs(cleaned[200:800] - sine(100, 8)[200:800]).max() < 0.08


@pytest.mark.parametrize(("hz", "left"), [*((hz, 0.0) for hz in (50, 52, 58, 60, 73, 140)), (20, 1.0), (43, 1.0)])
def test_nothing_above_the_band_folds_into_it(hz: float, left: float) -> None:
    """A plain resampler leaves half of 50 Hz, and of 52 Hz a third as 48 Hz."""
    cleaned = clean(sine(500, hz)[None], 500)[0, 200:800]  # 52 Hz leaks at the ends and moves the baseline a little
    assert np.sqrt(2 * np.mean(cleaned**2)) == pytest.approx(left, abs=0.05)


@pytest.mark.parametrize("fs_hz", [125, 250, 500, 1000])
def test_hum_is_gone_to_the_last_sample(synthetic_ecg: Maker, fs_hz: float) -> None:
    """Also where it drifts; broken off at the ends it would shift the baseline there."""
    ecg = synthetic_ecg(fs_hz=fs_hz, noise_mv=0.0).signal_mv
    t = np.arange(ecg.shape[1]) / fs_hz
    for mains in (50, 60):
        if mains < 0.45 * fs_hz:
            hummed = ecg + 0.3 * np.sin(2 * np.pi * (mains * t + 0.05 * np.sin(t)) + np.arange(12)[:, None])
            left = np.abs(clean(hummed.astype(np.float32), fs_hz) - clean(ecg, fs_hz))
            assert left.max() < 0.06 and left[:, INNER].max() < 0.01


@pytest.mark.parametrize("fs_hz", [250, 360, 500, 1000])
def test_the_rate_of_the_recording_does_not_matter(synthetic_ecg: Maker, fs_hz: float) -> None:
    reference = clean(synthetic_ecg(fs_hz=2000.0, noise_mv=0.0).signal_mv, 2000.0)
    cleaned = clean(synthetic_ecg(fs_hz=fs_hz, noise_mv=0.0).signal_mv, fs_hz)
    assert np.abs(cleaned - reference)[:, INNER].max() < 0.005


def test_missing_samples_nothing_at_all_and_very_short_signals() -> None:
    assert np.isfinite(clean(np.full((2, 300), np.nan, np.float32), 100)).all()
    assert clean(np.zeros((2, 0), np.float32), 100).shape == (2, 0)
    for fs_hz in (1.0, 60.0, 100.0, 257.0, 500.0, 8e5):
        for n in (1, 2, 3, 37):
            cleaned = clean(np.ones((2, n), np.float32), fs_hz)
            assert np.isfinite(cleaned).all() and cleaned.shape == (2, max(1, int(np.ceil(n * 100 / fs_hz))))


def st_and_qrs(signal: NDArray[np.floating], onset: float, offset: float) -> tuple[float, float]:
    """At 100 Hz: ST level at J + 60 ms against the PR level at QRS onset, and QRS peak to peak; onset and offset in s."""
    j60, on = round((offset + 0.06) * 100), round(onset * 100)
    qrs = signal[max(0, on - 2) : int(offset * 100) + 3]
    return float(signal[j60 - 1 : j60 + 2].mean() - signal[on - 2 : on].mean()), float(np.ptp(qrs))


@pytest.mark.parametrize("st_mv", [-0.2, 0.1, 0.3])
@pytest.mark.parametrize("rate_bpm", [45, 60, 100])
def test_a_known_st_level_is_left(synthetic_ecg: Maker, st_mv: float, rate_bpm: float) -> None:
    """A step from J to 200 ms in V2 and V5, against the same heart without it: its height after cleaning is its height."""
    given = {"rate_bpm": rate_bpm, "noise_mv": 0.0}
    raised = clean(synthetic_ecg(st_mv={"V2": st_mv, "V5": st_mv}, **given).signal_mv, 500.0)
    level = clean(synthetic_ecg(**given).signal_mv, 500.0)
    rows = [STANDARD_LEADS.index(lead) for lead in ("V2", "V5")]
    beats = np.arange(0.4, 9.4, 60 / rate_bpm)
    for row in rows:
        found = [
            np.subtract(st_and_qrs(raised[row], b - 0.05, b + 0.05), st_and_qrs(level[row], b - 0.05, b + 0.05))[0] for b in beats
        ]
        assert np.mean(np.abs(np.array(found) - st_mv) < ST_MV) >= HELD


def test_clean_recordings_keep_st_and_qrs(ecg_data: Path) -> None:
    """LUDB at 500 Hz: cleaned, against the same brought to 100 Hz without cleaning, at the cardiologists' QRS boundaries."""
    st, qrs = [], []
    for header in sorted((ecg_data / "ludb" / "data").glob("*.hea"))[::10]:
        stem = header.with_suffix("")
        ecg = read(header)
        assert ecg.fs_hz == 500.0 and ecg.leads == STANDARD_LEADS
        cleaned = clean(ecg.signal_mv, ecg.fs_hz)
        plain = resample_poly(ecg.signal_mv, 1, 5, axis=-1, padtype="line")
        for lead in ("I", "II", "aVF", "V1", "V3", "V5"):
            row = STANDARD_LEADS.index(lead)
            for onset, _, offset in read_marks(stem, lead.lower()).waves["QRS"] / 500.0:
                if np.isfinite([onset, offset]).all() and onset > 0.03 and offset < 9.9:
                    (st_c, qrs_c), (st_p, qrs_p) = (st_and_qrs(s[row], onset, offset) for s in (cleaned, plain))
                    st.append(abs(st_c - st_p))
                    qrs.append(abs(qrs_c / qrs_p - 1))
    assert len(st) > 700
    assert np.mean(np.array(st) < ST_MV) >= HELD and np.mean(np.array(qrs) < QRS_SHARE) >= HELD
    assert np.median(st) < 0.005 and np.median(qrs) < 0.01
