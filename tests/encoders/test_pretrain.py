"""Towers that read any leads, pretraining without labels, and what it is measured by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from encoders.network import EncoderConfig, EncoderNetwork, windows
from encoders.pretrain import PretrainConfig, clinical_distance, pair_weights, pretrain
from encoders.probe import linear_probe, some_patients, tower_features
from encoders.ptbxl import PtbXl

TINY = EncoderConfig(complete_only=(False,), stem=8, widths=(8, 8), blocks=1, kernel=3)


def test_a_tower_for_complete_recordings_keeps_silent_where_a_lead_is_missing():
    torch.manual_seed(0)
    network = EncoderNetwork(replace(TINY, complete_only=(True, False))).eval()
    x = torch.randn(2, 12, 1000)
    x[1, 6:] = 0
    logits, embedding, tokens = network.encode(x)
    by_tower = network(windows(x).flatten(0, 1)).unflatten(0, (2, 4))  # (recordings, windows, towers, statements)
    expected = (by_tower.mean(1) + by_tower.amax(1)) / 2
    assert torch.allclose(logits[0], expected[0].mean(0), atol=1e-5)
    assert torch.allclose(logits[1], expected[1, 1], atol=1e-5)
    assert tokens[1, :, :128].abs().max() == 0 and tokens[1, :, 128:].abs().max() > 0
    assert embedding.shape == (2, 256) and tokens.shape == (2, 16, 256)
    assert EncoderConfig.from_json({"complete_only": [False, True], "widths": [8, 8]}).widths == (8, 8)


def test_pairs_weigh_by_clinical_distance_and_missing_values_are_left_out():
    table = pd.DataFrame(
        {
            "age": [30, 32, 80, np.nan, 300], "sex": [0, 0, 1, 1, np.nan], "height": [np.nan] * 5,
            "weight": [70.0, np.nan, 70.0, np.nan, np.nan], "heart_axis": ["MID", "MID", "LAD", None, None],
        }
    )  # fmt: skip
    features = clinical_distance(table)
    assert features[4, 0] == pytest.approx(90 / 40) and np.isnan(features[3, 0])
    weights = pair_weights(torch.from_numpy(features))
    assert weights[0, 2] > weights[0, 1], "a man of 80 differs more from one of 30 than one of 32 does"
    off = ~torch.eye(5, dtype=torch.bool)
    assert torch.isfinite(weights).all() and (weights[off] > 0).all()
    unknown = pair_weights(torch.full((3, 5), float("nan")))
    assert torch.allclose(unknown, torch.ones(3, 3)), "nothing known: every pair weighs the same"


def toy(tmp_path: Path, n: int = 64) -> tuple[PtbXl, Path]:
    rng = np.random.default_rng(1)
    labels = np.zeros((n, 71), np.uint8)
    labels[:, 0] = np.arange(n) // 2 % 2
    table = pd.DataFrame(
        {
            "patient_id": np.arange(n) // 2, "strat_fold": (np.arange(n) // 2) % 8 + 1, "age": rng.integers(30, 90, n),
            "sex": rng.integers(0, 2, n), "height": np.nan, "weight": np.nan, "heart_axis": None,
        },
        index=pd.RangeIndex(1, n + 1, name="ecg_id"),
    )  # fmt: skip
    data = PtbXl(Path("."), table, labels, np.full((n, 71), np.nan, np.float32))
    signals = rng.normal(0, 0.1, (n, 12, 1000)) + labels[:, :1, None] * np.sin(np.arange(1000) / 5)
    tmp_path.mkdir(parents=True, exist_ok=True)
    np.save(tmp_path / f"ptbxl-{n}-1-{n}-{int(data.ids.sum())}.npy", signals.astype(np.float16))
    return data, tmp_path


@pytest.mark.parametrize("guided", [False, True])
def test_pretraining_goes_on_where_it_was_and_learns_without_labels(tmp_path, guided):
    data, cache = toy(tmp_path / "cache")
    config = PretrainConfig(epochs=4, batch=16, guided=guided)
    blind = replace(data, labels=np.zeros_like(data.labels))
    whole = pretrain(blind, tmp_path / "whole", config, TINY, cache)
    pretrain(blind, tmp_path / "cut", replace(config, epochs=4), TINY, cache)
    again = pretrain(blind, tmp_path / "cut", config, TINY, cache)  # nothing left to do: the kept state comes back
    for name, tensor in whole.state_dict().items():
        assert torch.allclose(tensor, again.state_dict()[name], atol=1e-5), name
    features = tower_features(whole, data.signals(cache))
    half = np.arange(len(data)) // 4 % 2 == 0
    logits = linear_probe(features[half], data.labels[half], (features[half], data.labels[half]), features[~half])
    positive, negative = logits[data.labels[~half][:, 0] == 1, 0], logits[data.labels[~half][:, 0] == 0, 0]
    assert positive.mean() > negative.mean()


def test_pretraining_takes_one_tower(tmp_path):
    data, cache = toy(tmp_path / "cache")
    with pytest.raises(ValueError, match="one tower"):
        pretrain(data, tmp_path, PretrainConfig(), EncoderConfig(), cache)


def test_shares_of_patients_are_nested_and_keep_patients_whole():
    patients = np.repeat(np.arange(100), 2)
    rows = np.arange(200)
    tenth, all_rows = some_patients(patients, rows, 0.1), some_patients(patients, rows, 1.0)
    one = some_patients(patients, rows, 0.01)
    assert set(one) <= set(tenth) <= set(all_rows) and len(tenth) == 20 and len(one) == 2
