"""The recording type and the cleaning for the network."""

from __future__ import annotations

import numpy as np
import pytest

from encoders.clean import MODEL_FS_HZ, clean
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import RecordingError


def test_leads_come_in_standard_order_whatever_the_file_says():
    signal = np.arange(12, dtype=np.float32)[:, None] * np.ones((1, 5), np.float32)
    shuffled = ECG(signal[::-1], 500, STANDARD_LEADS[::-1])
    assert shuffled.leads == STANDARD_LEADS
    assert shuffled.lead("V6")[0] == 11


def test_the_signal_cannot_be_changed_and_is_a_copy():
    source = np.zeros((1, 4), np.float32)
    ecg = ECG(source, 100, ("II",))
    source[:] = 1
    assert ecg.signal_mv.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        ecg.signal_mv[0, 0] = 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"fs_hz": 0},
        {"leads": ("I",)},
        {"leads": ("I", "I")},
        {"sex": "male"},
        {"age_years": 300},
        {"signal_mv": np.zeros(4)},
    ],
)
def test_what_is_outside_the_contract_is_refused_in_one_sentence(wrong):
    good = {"signal_mv": np.zeros((2, 4)), "fs_hz": 100, "leads": ("I", "II")}
    with pytest.raises(RecordingError) as error:
        ECG(**{**good, **wrong})
    assert str(error.value).count("\n") == 0


def test_the_hash_names_the_content_alone():
    signal = np.random.default_rng(0).normal(size=(2, 50))
    one, two = ECG(signal, 100, ("I", "II"), sex="F"), ECG(signal, 100, ("I", "II"), age_years=50)
    assert one.content_hash() == two.content_hash()
    assert one.content_hash() != ECG(signal, 101, ("I", "II")).content_hash()


@pytest.mark.parametrize("fs_hz", [100, 250, 500, 1000])
def test_cleaning_removes_wander_and_hum_and_keeps_the_rest(fs_hz):
    t = np.arange(int(10 * fs_hz)) / fs_hz
    wanted = np.sin(2 * np.pi * 8 * t)
    mains = 0.5 * np.sin(2 * np.pi * 60 * t) if fs_hz > 120 else 0
    cleaned = clean((wanted + 2 * np.sin(2 * np.pi * 0.1 * t) + mains)[None].astype(np.float32), fs_hz)[0]
    reference = np.sin(2 * np.pi * 8 * np.arange(1000) / MODEL_FS_HZ)
    inner = slice(100, 900)
    assert len(cleaned) == 1000
    assert np.abs(cleaned[inner] - reference[inner]).max() < 0.12


def test_cleaning_takes_missing_samples_and_nothing_at_all():
    assert np.isfinite(clean(np.full((2, 300), np.nan, np.float32), 100)).all()
    assert clean(np.zeros((2, 0), np.float32), 100).shape == (2, 0)
