"""The demo recordings: shape, physiology, and that they are what they say they are."""

from __future__ import annotations

import numpy as np
import pytest

from encoders.ecg import STANDARD_LEADS
from encoders.encode import WEIGHTS, Encoder
from encoders.errors import QueryError
from encoders.measure import measure
from encoders.vocabulary import CODES
from ui.demo import DEMOS, demo, resolve, swap_arms
from ui.heart import project

NAMES = ("normal", "af", "lbbb", "stemi", "noisy", "swapped")


def test_the_six_names_of_the_command_line_are_there() -> None:
    assert tuple(subject.name for subject in DEMOS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_shape_rate_and_repeatability(name: str) -> None:
    ecg = resolve(f"demo:{name}")
    assert ecg.signal_mv.shape == (12, 5000) and ecg.fs_hz == 500.0 and ecg.leads == STANDARD_LEADS
    assert ecg.source == "demo" and ecg.age_years is not None and ecg.sex in ("F", "M")
    assert np.isfinite(ecg.signal_mv).all()
    assert ecg.content_hash() == demo(name).content_hash()


@pytest.mark.parametrize("name", ["normal", "af", "lbbb", "stemi", "swapped"])
def test_limb_leads_obey_einthoven_and_amplitudes_are_human(name: str) -> None:
    ecg = demo(name)
    sums = ecg.lead("I") + ecg.lead("III") - ecg.lead("II"), ecg.lead("aVR") + ecg.lead("aVL") + ecg.lead("aVF")
    assert max(float(np.abs(s).max()) for s in sums) < 0.004  # rounding to 1 µV
    size = np.ptp(ecg.signal_mv, axis=1)
    assert (size > 0.15).all() and (size < 4.0).all()


def test_unknown_demo_names_the_known_ones() -> None:
    with pytest.raises(QueryError, match=r"'xyz'.*demo:normal.*demo:swapped"):
        resolve("demo:xyz")


def test_age_and_sex_given_go_before_the_demo() -> None:
    ecg = resolve("demo:af", age_years=33, sex="F")
    assert (ecg.age_years, ecg.sex) == (33, "F")
    assert resolve("demo:af").age_years == 74


def test_swapping_twice_is_nothing_and_once_is_an_arm_swap() -> None:
    signal = demo("normal").signal_mv
    swapped = dict(zip(STANDARD_LEADS, swap_arms(signal), strict=True))
    plain = dict(zip(STANDARD_LEADS, signal, strict=True))
    assert np.array_equal(swap_arms(swap_arms(signal)), signal)
    assert np.array_equal(swapped["I"], -plain["I"]) and np.array_equal(swapped["II"], plain["III"])
    assert np.array_equal(swapped["aVF"], plain["aVF"]) and np.array_equal(swapped["V3"], plain["V3"])


def test_dipole_to_the_left_is_seen_from_the_left() -> None:
    leads = dict(zip(STANDARD_LEADS, project(np.array([[1.0], [0.0], [0.0]]))[:, 0], strict=True))
    assert leads["I"] > 0 and leads["V6"] > 0 and leads["V1"] < 0 and leads["aVR"] < 0


def test_measured_values_are_those_of_the_condition() -> None:
    normal, af, lbbb, stemi = (measure(demo(name)) for name in ("normal", "af", "lbbb", "stemi"))

    def of(found: object, name: str) -> float:
        value = found.value(name)  # type: ignore[attr-defined]
        assert value is not None, name
        return float(value)

    # Reference ranges: AHA/ACC/HRS 2009, parts III and IV; ST elevation: Fourth Universal Definition.
    assert 60 <= of(normal, "rate_bpm") <= 75 and 120 <= of(normal, "pr_ms") <= 200 and 70 <= of(normal, "qrs_ms") < 110
    assert 350 <= of(normal, "qtc_ms") <= 450 and -30 < of(normal, "axis_deg") < 90
    assert of(af, "rr_irregularity") > 0.15 > of(normal, "rr_irregularity")
    assert of(af, "p_wave_share") < 0.3 < of(normal, "p_wave_share")
    assert 120 <= of(lbbb, "qrs_ms") < 180
    assert of(stemi, "st_j_mv_V2") >= 0.2 and of(stemi, "st_j_mv_V3") >= 0.2 and of(stemi, "st_j_mv_III") < 0
    assert abs(of(normal, "st_j_mv_V2")) < 0.1


@pytest.mark.skipif(not (WEIGHTS / "encoder.safetensors").exists(), reason="the encoder's weights are not in this tree")
def test_the_trained_encoder_reads_them_as_what_they_are() -> None:
    clean = [demo(name) for name in ("normal", "af", "lbbb", "stemi")]
    seen = [dict(zip(CODES, e.probabilities, strict=True)) for e in Encoder.load().encode(clean)]
    normal, af, lbbb, stemi = seen
    assert normal["NORM"] > 0.8 and normal["SR"] > 0.8
    assert af["AFIB"] > 0.8 and af["SR"] < 0.1
    assert lbbb["CLBBB"] > 0.8
    assert max(stemi[code] for code in ("ASMI", "AMI", "INJAS", "INJAL", "STE_", "ALMI")) > 0.6 and stemi["NORM"] < 0.1


def test_the_gate_refuses_the_noisy_and_passes_the_others() -> None:
    from encoders.gate import check

    assert not check(demo("noisy")).usable
    for name in ("normal", "af", "lbbb", "stemi"):
        assert check(demo(name)).usable, name
    swapped = check(demo("swapped"))
    assert "arm_swap_suspected" in swapped.flags or not swapped.usable
