"""The quality gate: rules by rule, the score on real recordings."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoders.ecg import ECG
from encoders.gate import arm_swap_suspected, check
from encoders.gate_fit import CHOSEN, fit_logistic
from encoders.readers import read

Maker = Callable[..., ECG]
SWAP = [0, 2, 1, 4, 3, 5, 6, 7, 8, 9, 10, 11]


def with_signal(ecg: ECG, signal: np.ndarray) -> ECG:
    return replace(ecg, signal_mv=signal.astype(np.float32))


def swapped(ecg: ECG) -> ECG:
    signal = ecg.signal_mv[SWAP].copy()
    signal[0] *= -1
    return with_signal(ecg, signal)


@pytest.mark.parametrize("fs", [100.0, 500.0, 1000.0])
def test_a_clean_recording_is_usable(synthetic_ecg: Maker, fs: float) -> None:
    q = check(synthetic_ecg(fs_hz=fs))
    assert q.verdict == "usable" and q.reasons == () and q.score > 0.7
    assert len(q.lead_noise_mv) == 12


@pytest.mark.parametrize(
    ("spoil", "flag"),
    [
        (lambda x: x * 0, "flat"),
        (lambda x: x * 0 + 0.3, "flat"),
        (lambda x: x * 1000, "wrong_gain"),
        (lambda x: x / 1000, "wrong_gain"),
        (lambda x: np.clip(x, -0.25, 0.25), "clipped"),
        (lambda x: x[:, :1500], "too_short"),
        (lambda x: x + np.random.default_rng(0).standard_normal(x.shape) * 2, "no_beats|noise"),
        (lambda x: np.where(np.arange(12)[:, None] == 7, 0, x), "lead_off"),
        (lambda x: np.where(np.arange(12)[:, None] == 7, np.nan, x), "missing_samples"),
        (lambda x: np.random.default_rng(0).standard_normal(x.shape) * 0.2, "no_beats|noise"),
    ],
)
def test_what_cannot_be_used_is_named(synthetic_ecg: Maker, spoil: Callable[[np.ndarray], np.ndarray], flag: str) -> None:
    ecg = synthetic_ecg()
    q = check(with_signal(ecg, spoil(ecg.signal_mv.astype(float))))
    assert q.verdict == "unusable" and not q.usable
    assert set(flag.split("|")) & set(q.flags), q
    assert all(reason.endswith(".") for reason in q.reasons) and q.reasons
    assert q.score < 0.65


def test_missing_leads_are_named(synthetic_ecg: Maker) -> None:
    q = check(synthetic_ecg().select(("I", "II", "V1")))
    assert q.verdict == "unusable" and "missing_leads" in q.flags and "V6" in q.reasons[0]


def test_a_low_rate_is_unusable(synthetic_ecg: Maker) -> None:
    assert "low_rate" in check(synthetic_ecg(fs_hz=80.0)).flags


def test_noise_in_one_lead_is_named(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg()
    signal = ecg.signal_mv.astype(float)
    signal[8] += np.random.default_rng(0).standard_normal(signal.shape[1]) * 1.5
    q = check(with_signal(ecg, signal))
    assert "V3" in q.bad_leads and "noise" in q.flags


def test_limb_leads_that_do_not_add_up_are_named(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg()
    q = check(with_signal(ecg, ecg.signal_mv[[0, 6, 2, 3, 4, 5, 1, 7, 8, 9, 10, 11]]))
    assert "limb_leads_inconsistent" in q.flags


def test_swapped_arms_are_suspected_only_with_p_waves(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg()
    assert not arm_swap_suspected(ecg)
    q = check(swapped(ecg))
    assert "arm_swap_suspected" in q.flags and "I" in q.bad_leads and q.usable
    assert not arm_swap_suspected(swapped(synthetic_ecg(p_wave=False, irregular=0.2, noise_mv=0.02)))


def test_the_score_does_not_depend_on_moderate_gain(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg()
    assert check(with_signal(ecg, ecg.signal_mv * 2)).score == pytest.approx(check(ecg).score, abs=0.05)


def test_logistic_fit_separates_what_can_be_separated() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 3))
    y = (x[:, 0] > 0).astype(float)
    weights, intercept = fit_logistic(x, y, ridge=1.0)
    assert ((x @ weights + intercept > 0) == (y > 0)).mean() > 0.95
    assert abs(weights[0]) > 5 * abs(weights[1])
    assert len(CHOSEN) == len(set(CHOSEN))


def test_challenge_recordings_are_ranked_as_experts_do(ecg_data: Path) -> None:
    rows = list(csv.DictReader((ecg_data / "cinc2011" / "labels.csv").read_text(encoding="utf-8").splitlines()))[::6]
    scores = np.array([check(read(ecg_data / "cinc2011" / row["record"])).score for row in rows])
    good = np.array([row["acceptable"] == "1" for row in rows])
    wins = scores[good][:, None] - scores[~good][None]
    assert (wins > 0).mean() + 0.5 * (wins == 0).mean() > 0.92


def test_ptb_xl_is_usable_and_swapped_arms_are_found(ecg_data: Path) -> None:
    rows = csv.DictReader((ecg_data / "ptb-xl" / "ptbxl_database.csv").read_text(encoding="utf-8").splitlines())
    names = [row["filename_lr"] for row in rows if row["strat_fold"] == "8" and "'NORM'" in row["scp_codes"]][::20][:25]
    recordings = [read(ecg_data / "ptb-xl" / name) for name in names]
    assert np.mean([check(ecg).usable for ecg in recordings]) > 0.94
    assert np.mean([arm_swap_suspected(ecg) for ecg in recordings]) < 0.03
    assert np.mean([arm_swap_suspected(swapped(ecg)) for ecg in recordings]) > 0.9
