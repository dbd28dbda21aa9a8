"""The recording type."""

from __future__ import annotations

import numpy as np
import pytest

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
