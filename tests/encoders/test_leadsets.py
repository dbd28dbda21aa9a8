"""Lead arithmetic, the choice of a calibrated set, and that the network reads exactly that set."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from encoders.calibrate import Calibration, fit_calibration
from encoders.ecg import ECG, LIMB_LEADS, PRECORDIAL_LEADS, STANDARD_LEADS
from encoders.encode import Encoder, prepare
from encoders.errors import ArtefactError, RecordingError
from encoders.leadsets import ALL_LEADS, LEAD_SETS, lead_set, lead_set_of, masked, wanted_leads, with_limb_leads

Maker = Callable[..., ECG]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load()


@pytest.mark.parametrize("pair", list(itertools.combinations(LIMB_LEADS, 2)))
def test_any_two_limb_leads_give_all_six(pair: tuple[str, str], synthetic_ecg: Maker) -> None:
    full = synthetic_ecg()
    got = with_limb_leads(full.select((*pair, "V4")))
    assert got.leads == (*LIMB_LEADS, "V4")
    for name in LIMB_LEADS:
        assert np.allclose(got.lead(name), full.lead(name), atol=1e-5), name
    assert np.array_equal(got.lead(pair[0]), full.lead(pair[0]))  # what was recorded stays as it was


def test_one_limb_lead_gives_nothing_and_all_six_stay(synthetic_ecg: Maker) -> None:
    full = synthetic_ecg()
    assert with_limb_leads(full) is full
    assert with_limb_leads(full.select(("II", "V1"))).leads == ("II", "V1")


def test_samples_that_are_missing_or_absurd_stay_missing() -> None:
    signal = np.zeros((2, 100), np.float32)
    signal[0, 5], signal[:, 7] = np.nan, (3e38, -3e38)
    got = with_limb_leads(ECG(signal, 100, ("I", "II")))
    assert np.isnan(got.lead("III")[[5, 7]]).all() and np.isfinite(np.delete(got.lead("III"), [5, 7])).all()


def test_the_largest_set_that_the_leads_contain_is_read() -> None:
    named = {
        "12": (STANDARD_LEADS, ("II", "III", *PRECORDIAL_LEADS)),
        "I+II+V2": (("I", "II", "V2"), STANDARD_LEADS[:-1], ("aVR", "aVF", "V2", "V3", "MLII")),
        "limb": (LIMB_LEADS, ("I", "II"), ("aVL", "III", "V5")),
        "I": (("I",), ("I", "V2", "V5"), ("I", "MLII")),
    }
    for name, recorded in named.items():
        for leads in recorded:
            found = lead_set_of(leads)
            assert found is not None and found.name == name, leads
    for leads in (("V5",), ("II",), ("aVL", "V2"), ("MLII", "V1")):
        assert lead_set_of(leads) is None, leads
    assert wanted_leads(("I", "V5")) == ("I",) and wanted_leads(("V5", "MLII")) == ("V5",)
    assert [len(one.leads) for one in LEAD_SETS] == sorted((len(one.leads) for one in LEAD_SETS), reverse=True)


def test_only_the_chosen_rows_reach_the_network(synthetic_ecg: Maker) -> None:
    full = prepare(synthetic_ecg())
    for one in LEAD_SETS:
        rows = prepare(synthetic_ecg().select(one.leads))
        assert np.allclose(rows, masked(full[None], one.name)[0], atol=1e-5)
        assert np.flatnonzero(np.abs(rows).max(1) > 0).tolist() == list(one.rows)
    spare = prepare(synthetic_ecg().select(("I", "V5")))
    assert np.flatnonzero(np.abs(spare).max(1) > 0).tolist() == [0]  # a lead beyond the set is dropped


def test_each_recording_is_calibrated_for_what_was_read(encoder: Encoder, synthetic_ecg: Maker) -> None:
    full = synthetic_ecg()
    parts = [full, full.select(("I",)), full.select(("III", "aVF")), full.select(("I", "II", "V2"))]
    together = encoder.encode(parts)
    assert [one.lead_set for one in together] == ["12", "I", "limb", "I+II+V2"]
    for ecg, one in zip(parts, together, strict=True):
        alone = encoder.encode([ecg])[0]
        assert np.allclose(one.probabilities, alone.probabilities, atol=1e-4)
        assert np.allclose(one.probabilities, encoder.calibration.apply(one.logits, one.lead_set))
    assert not np.allclose(encoder.calibration.apply(together[1].logits), together[1].probabilities, atol=1e-3)
    limb = encoder.encode([full.select(LIMB_LEADS)])[0]
    assert np.allclose(limb.logits, together[2].logits, atol=1e-3)


def test_leads_outside_every_set_are_refused_with_what_to_record(encoder: Encoder, synthetic_ecg: Maker) -> None:
    with pytest.raises(RecordingError, match="holds only V5.*lead I alone"):
        encoder.encode([synthetic_ecg(), synthetic_ecg().select(("V5",))])


def test_a_calibration_without_a_set_of_leads_is_refused(tmp_path, encoder: Encoder) -> None:  # type: ignore[no-untyped-def]
    encoder.calibration.save(tmp_path / "all.json", {"recordings": 2183})
    again = Calibration.load(tmp_path / "all.json", encoder.hash)
    for one in LEAD_SETS:
        assert np.allclose(again.curves[one.name].slope, encoder.calibration.curves[one.name].slope)
    z = np.random.default_rng(0).normal(size=(50, 71))
    fit_calibration(z, (z > 1).astype(np.uint8), "h").save(tmp_path / "one.json", {})
    with pytest.raises(ArtefactError, match="lacks the lead set"):
        Calibration.load(tmp_path / "one.json", "h")
    assert lead_set(ALL_LEADS).leads == STANDARD_LEADS
