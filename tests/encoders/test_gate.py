"""The quality gate: rules by rule, the score on real recordings."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoders.ecg import ECG
from encoders.errors import QueryError
from encoders.gate import check
from encoders.gate_fit import CHOSEN, fit_logistic
from encoders.quality import PLACEMENT_FLAGS, limited_by
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


def test_swapped_arms_limit_the_limb_leads_and_nothing_else(synthetic_ecg: Maker) -> None:
    q = check(swapped(synthetic_ecg()))
    assert {"arm_swap_suspected", "dextrocardia_suspected"} & set(q.flags) and q.verdict == "limited"
    assert "I" in q.bad_leads and "axis_deg" in q.limited and "st_j_mv_I" in q.limited
    assert not {"pr_ms", "qrs_ms", "qt_ms", "rate_bpm"} & set(q.limited)
    assert any("dextrocardia" in reason and "arm electrodes" in reason for reason in q.reasons)
    assert q.placement == "doubted" and q.exchange in ("RA-LA", "dextrocardia") and q.exchange_probability > 0.5


def test_a_single_lead_is_judged_for_itself(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg()
    q = check(ecg.select(("I",)), wanted=("I",))
    assert q.verdict == "usable" and q.flags == () and q.placement == "not examined"
    signal = ecg.signal_mv.copy()
    signal[8] = 0
    assert check(with_signal(ecg, signal), wanted=("I", "II")).verdict == "usable"  # V3 is off, and nobody wants it
    assert check(swapped(ecg).select(("I",)), wanted=("I",)).placement == "not examined"
    noisy = ecg.select(("I",))
    noise = np.random.default_rng(0).standard_normal((1, noisy.n_samples)) * 1.5
    assert not check(with_signal(noisy, noisy.signal_mv + noise), wanted=("I",)).usable


def test_two_limb_leads_stand_for_six(synthetic_ecg: Maker) -> None:
    eight = synthetic_ecg().select(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))
    assert "missing_leads" not in check(eight).flags
    assert "missing_leads" in check(eight.select(("I", "V1", "V2", "V3", "V4", "V5", "V6"))).flags


@pytest.mark.parametrize("wanted", [(), ("I", "MLII")])
def test_wanted_leads_are_standard_ones(synthetic_ecg: Maker, wanted: tuple[str, ...]) -> None:
    with pytest.raises(QueryError, match="V6"):
        check(synthetic_ecg(), wanted=wanted)


@pytest.mark.parametrize(
    ("kind", "flag", "make"),
    [
        ("mains", "mains", lambda t, rng: 0.15 * np.sin(2 * np.pi * 50 * t)),
        ("muscle", "muscle", lambda t, rng: 0.25 * rng.standard_normal(len(t))),
        ("wander", "wander", lambda t, rng: 4.0 * np.sin(2 * np.pi * 0.25 * t)),
    ],
)
def test_the_kind_of_noise_is_named(
    synthetic_ecg: Maker, kind: str, flag: str, make: Callable[[np.ndarray, np.random.Generator], np.ndarray]
) -> None:
    ecg = synthetic_ecg()
    signal = ecg.signal_mv.astype(float)
    signal[7] += make(np.arange(ecg.n_samples) / ecg.fs_hz, np.random.default_rng(1))
    q = check(with_signal(ecg, signal))
    assert kind in q.lead_noise_kinds["V2"] and flag in q.flags and q.bad_leads == ("V2",), q
    assert all(kind not in kinds for lead, kinds in q.lead_noise_kinds.items() if lead != "V2")
    assert any("V2" in reason for reason in q.reasons) and "st_j_mv_V2" in q.limited and q.usable


def test_pacing_spikes_and_tall_t_waves_are_no_noise(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg(irregular=0.0)
    paced = ecg.signal_mv.astype(float)
    for beat in np.arange(0.4, 9.9, 1.0):  # the synthetic heart's beats at 60/min
        at = round((beat - 0.06) * ecg.fs_hz)
        paced[:, at : at + 1] += 2.0
    tall = ecg.signal_mv + 0.9 * np.clip(np.roll(ecg.signal_mv, round(0.27 * ecg.fs_hz), axis=1), 0, None)
    for signal in (paced, tall):
        q = check(with_signal(ecg, signal))
        assert q.usable and not {"noise", "muscle", "mains"} & set(q.flags), q


def test_limits_follow_the_leads() -> None:
    assert limited_by(()) == ()
    assert set(limited_by(("V3",))) >= {"cornell_mv", "r_transition", "st_j_mv_V3"}
    assert "axis_deg" not in limited_by(("V3",)) and "axis_deg" in limited_by(("aVF",))
    assert "arm_swap_suspected" in PLACEMENT_FLAGS


def test_the_json_holds_the_verdict_and_its_probability(synthetic_ecg: Maker) -> None:
    q = check(synthetic_ecg())
    told = q.to_json()
    assert told["verdict"] == q.verdict and told["p_unacceptable"] == pytest.approx(1 - q.score, abs=1e-3)
    assert told["placement"] == q.placement and told["limited"] == list(q.limited)


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
    rows = list(csv.DictReader((ecg_data / "cinc2011" / "labels.csv").read_text(encoding="utf-8").splitlines()))[::12]
    scores = np.array([check(read(ecg_data / "cinc2011" / row["record"])).score for row in rows])
    good = np.array([row["acceptable"] == "1" for row in rows])
    wins = scores[good][:, None] - scores[~good][None]
    assert (wins > 0).mean() + 0.5 * (wins == 0).mean() > 0.92


def test_ptb_xl_is_usable_and_swapped_arms_are_found(ecg_data: Path) -> None:
    rows = csv.DictReader((ecg_data / "ptb-xl" / "ptbxl_database.csv").read_text(encoding="utf-8").splitlines())
    names = [row["filename_lr"] for row in rows if row["strat_fold"] == "8" and "'NORM'" in row["scp_codes"]][::20][:15]
    recordings = [read(ecg_data / "ptb-xl" / name) for name in names]
    plain = [check(ecg) for ecg in recordings]
    assert np.mean([q.usable for q in plain]) > 0.94
    assert np.mean([q.placement == "doubted" for q in plain]) < 0.05
    arms = [check(swapped(ecg)) for ecg in recordings]
    assert np.mean(["arm_swap_suspected" in q.flags for q in arms]) > 0.9
