"""Heads for new questions: folds by patient, honest figures, the bar, LoRA in any layer, and what is kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from encoders.adapt import adapt, card_text, trainable
from encoders.adapt_data import Examples, embed, load_examples, prepared, read_labels
from encoders.adapt_fit import (
    cross_calibrated,
    curve,
    fit_linear,
    half_width,
    out_of_fold,
    patient_folds,
)
from encoders.adapt_scores import average_precision, binary_figures, regression_figures, shortfall
from encoders.calibrate import Calibration
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.encode import Encoder
from encoders.errors import ArtefactError, QueryError, RecordingError
from encoders.heads import Head, HeadAnswer, HeadRefusal, installed_cards, load_head, remove_head, save_head
from encoders.leadsets import ALL_LEADS, lead_set
from encoders.lora import LoraConfig, embeddings_of, fit_lora, merged
from encoders.network import EncoderConfig, EncoderNetwork

HASH = "a" * 64
GOOD = {"patients": 300, "positive_patients": 100, "negative_patients": 200, "auroc": {"value": 0.9, "interval": [0.85, 0.94]},
        "ece": {"value": 0.03, "interval": [0.02, 0.06]}}  # fmt: skip
GOOD_VALUE = {"patients": 300, "r2": {"value": 0.6, "interval": [0.52, 0.68]},
              "coverage": {"value": 0.9, "interval": [0.87, 0.93]}}  # fmt: skip


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """A small network with random weights: what it encodes is enough to tell large signals from small ones."""
    torch.manual_seed(0)
    network = EncoderNetwork(EncoderConfig(complete_only=(False,), widths=(8, 8, 16, 16), stem=8, blocks=1))
    return Encoder(network, Calibration({}, HASH), HASH)


def waves(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Signals float16 (n, 12, 1000): bursts at 1 Hz on noise, and the share of their width that a question can ask for, 0-1."""
    rng = np.random.default_rng(seed)
    level = rng.random(n)
    t = np.arange(1000) / 100
    width = 0.02 + 0.12 * level[:, None]
    bursts = np.exp(-0.5 * (((t[None] + 0.5) % 1 - 0.5) / width) ** 2)
    gains = rng.uniform(0.5, 1.0, (n, 12, 1))
    return (gains * bursts[:, None] + 0.05 * rng.standard_normal((n, 12, 1000))).astype(np.float16), level


def some(
    n: int, values: np.ndarray, signals: np.ndarray, patients: np.ndarray | None = None, labels: tuple[str, ...] = ("x",)
) -> Examples:
    rng = np.random.default_rng(5)
    return Examples(
        labels, ALL_LEADS, signals, values.reshape(n, -1).astype(float), np.arange(n) if patients is None else patients,
        patients is not None, rng.uniform(20, 90, n), tuple(rng.choice(["F", "M"], n)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def learned(encoder: Encoder) -> Head:
    """A head that can tell, trained on 240 recordings of 240 patients."""
    signals, level = waves(240)
    return adapt(encoder, some(240, level > 0.5, signals), name="wide", task="binary", command="a test", note="Made up.")


# Figures --------------------------------------------------------------------------------------------------------------


def test_average_precision_is_the_mean_precision_at_each_case() -> None:
    y, p = np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    assert average_precision(y, p) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(y, np.full(4, 0.5)) == pytest.approx(0.5)  # ties: the prevalence, whatever the order
    assert np.isnan(average_precision(np.zeros(4), p))


def test_binary_figures_count_patients_and_hold_intervals() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.3).astype(float)
    p = np.clip(0.3 + 0.3 * (y - 0.3) + 0.1 * rng.standard_normal(400), 0.01, 0.99)
    found = binary_figures(y, p, np.repeat(np.arange(200), 2))
    assert found["patients"] == 200 and found["positive_patients"] + found["negative_patients"] == 200
    assert found["positive_patients"] == len(np.unique(np.flatnonzero(y) // 2))
    for name in ("auroc", "auprc", "ece", "brier"):
        low, high = found[name]["interval"]
        assert low < high and (name == "ece" or low <= found[name]["value"] <= high)
    assert found["auroc"]["value"] > 0.9
    assert found["brier"]["value"] == pytest.approx(np.mean((y - p) ** 2), abs=1e-4)


def test_resampling_patients_widens_the_interval_where_recordings_repeat() -> None:
    rng = np.random.default_rng(1)
    y, p = np.repeat((rng.random(60) < 0.5).astype(float), 10), np.repeat(rng.random(60), 10)
    wide = binary_figures(y, p, np.repeat(np.arange(60), 10))["auroc"]["interval"]
    narrow = binary_figures(y, p, np.arange(600))["auroc"]["interval"]
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_regression_figures_against_their_definition() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(60, 15, 500)
    p = y + rng.normal(0, 5, 500)
    found = regression_figures(y, p, np.full(500, 8.0), np.arange(500))
    assert found["mae"]["value"] == pytest.approx(np.mean(np.abs(y - p)), abs=1e-3)
    assert found["r2"]["value"] == pytest.approx(1 - np.sum((y - p) ** 2) / np.sum((y - y.mean()) ** 2), abs=1e-3)
    assert found["coverage"]["value"] == pytest.approx(np.mean(np.abs(y - p) <= 8), abs=1e-3)
    assert found["mae_of_mean"] > 2 * found["mae"]["value"]


@pytest.mark.parametrize(
    ("task", "change", "said"),
    [
        ("binary", {}, ""),
        ("binary", {"positive_patients": 49}, "49 patients; at least 50"),
        ("binary", {"negative_patients": 12}, "12 patients"),
        ("multilabel", {"auroc": {"value": 0.86, "interval": [0.79, 0.9]}}, "AUROC is 0.790; at least 0.80"),
        ("binary", {"auroc": {"value": None, "interval": None}}, "AUROC"),
        ("binary", {"ece": {"value": 0.051, "interval": [0.03, 0.09]}}, "0.051; at most 0.05"),
        ("regression", {}, ""),
        ("regression", {"patients": 99}, "99 patients; at least 100"),
        ("regression", {"r2": {"value": 0.55, "interval": [0.49, 0.6]}}, "R² is 0.490"),
        ("regression", {"coverage": {"value": 0.86, "interval": [0.8, 0.9]}}, "86.0 % of unseen values"),
        ("regression", {"coverage": {"value": 0.94, "interval": [0.9, 0.97]}}, "87 to 93 %"),
    ],
)
def test_the_bar(task: str, change: dict[str, Any], said: str) -> None:
    short = shortfall(task, {**(GOOD_VALUE if task == "regression" else GOOD), **change})
    assert (short == "") if not said else said in short


# Fitting --------------------------------------------------------------------------------------------------------------


def test_folds_keep_patients_together_and_spread_the_rare_class() -> None:
    rng = np.random.default_rng(3)
    patients = rng.integers(0, 100, 300)
    values = (patients % 10 == 0).astype(float)[:, None]
    folds = patient_folds(patients, values)
    assert all(len(np.unique(folds[patients == p])) == 1 for p in np.unique(patients))
    rare = [len(np.unique(patients[(folds == f) & (values[:, 0] > 0)])) for f in range(5)]
    assert sum(rare) == 10 and min(rare) >= 1 and max(rare) <= 3
    assert (patient_folds(patients, values, seed=1) != folds).any()
    missing = values.copy()
    missing[:50] = np.nan
    assert set(patient_folds(patients, missing)) == set(range(5))


def test_the_penalty_is_strong_for_noise_and_weak_for_signal() -> None:
    rng = np.random.default_rng(4)
    x, who = rng.standard_normal((300, 40)), np.arange(300)
    noise = fit_linear(x, (rng.random((300, 1)) < 0.5).astype(float), who, binary=True)
    signal = fit_linear(x, (x[:, :1] + x[:, 1:2] > 0).astype(float), who, binary=True)
    assert noise.strengths[0] > signal.strengths[0]
    assert np.abs(noise.weights).max() < 0.1 < np.abs(signal.weights[0, :2]).min()


def test_fits_are_minima_of_their_penalised_loss() -> None:
    rng = np.random.default_rng(5)
    x = 3 + 2 * rng.standard_normal((200, 6))
    z = (x - x.mean(0)) / x.std(0)
    for binary in (True, False):
        target = x[:, 0] - x[:, 1] + rng.standard_normal(200)
        y = (target > 0).astype(float) if binary else target
        head = fit_linear(x, y[:, None], np.arange(200), binary=binary)
        scores = head.scores(x)[:, 0]
        error = (1 / (1 + np.exp(-scores)) if binary else scores) - y
        gradient = z.T @ error + head.strengths[0] * head.weights[0] * x.std(0)
        assert np.abs(gradient).max() < 1e-2 and abs(error.sum()) < 1e-3


def test_a_feature_that_sleeps_in_training_cannot_throw_scores_off() -> None:
    rng = np.random.default_rng(10)
    x = rng.standard_normal((60, 20))
    x[:, 7] = 1e-7 * rng.standard_normal(60)
    head = fit_linear(x, (x[:, :1] + rng.standard_normal((60, 1))), np.arange(60), binary=False)
    awake = x.copy()
    awake[:, 7] = 1.0
    assert np.abs(head.scores(awake) - head.scores(x)).max() < 0.1


def test_a_label_is_fitted_where_it_is_known() -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_normal((200, 5))
    both = np.stack([x[:, 0] > 0, x[:, 1] > 0], axis=1).astype(float)
    half = both.copy()
    half[100:, 1] = np.nan
    whole, part = fit_linear(x, both, np.arange(200), binary=True), fit_linear(x, half, np.arange(200), binary=True)
    alone = fit_linear(x[:100], both[:100, 1:], np.arange(100), binary=True)
    assert np.allclose(whole.weights[0], part.weights[0])
    assert np.allclose(part.weights[1], alone.weights[0]) and not np.allclose(part.weights[1], whole.weights[1])


def test_out_of_fold_never_shows_a_row_to_its_own_model() -> None:
    folds = np.arange(20) % 5
    seen: list[tuple[set[int], set[int]]] = []

    def fit(rows: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        def score(unseen: np.ndarray) -> np.ndarray:
            seen.append((set(rows.tolist()), set(unseen.tolist())))
            return unseen[:, None].astype(float)

        return score

    assert np.array_equal(out_of_fold(fit, folds, 1)[:, 0], np.arange(20))
    assert len(seen) == 5 and all(not a & b and len(a | b) == 20 for a, b in seen)


def test_curves_bring_overconfident_scores_back() -> None:
    rng = np.random.default_rng(7)
    z = rng.normal(0, 1.5, 4000)
    y = (rng.random(4000) < 1 / (1 + np.exp(-z))).astype(float)
    assert curve(z, y) == pytest.approx((1, 0), abs=0.12)
    slope, offset = curve(3 * z + 2, y)
    assert slope == pytest.approx(1 / 3, abs=0.05) and offset == pytest.approx(-2 / 3, abs=0.15)
    p = cross_calibrated(3 * z + 2, y, np.arange(4000) % 5, binary=True)
    assert binary_figures(y[:1000], p[:1000], np.arange(1000))["ece"]["value"] < 0.06


def test_intervals_hold_what_they_promise_and_are_wide_for_few() -> None:
    rng = np.random.default_rng(8)
    width = half_width(rng.standard_normal(2000))
    assert np.mean(np.abs(rng.standard_normal(2000)) <= width) == pytest.approx(0.9, abs=0.025)
    assert half_width(np.arange(1.0, 10.0)) == 9.0  # ⌈10 · 0.9⌉ = 9th of nine
    residuals = rng.standard_normal(100)
    folds = np.arange(100) % 5
    own = cross_calibrated(np.zeros(100), residuals, folds, binary=False)
    assert own[0] == half_width(residuals[folds != 0])


# LoRA -----------------------------------------------------------------------------------------------------------------


class Odd(nn.Module):
    """Another architecture, with grouped convolutions and linear layers and the same ``encode``."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv1d(12, 24, 1)
        self.depth = nn.Conv1d(24, 24, 9, padding=4, groups=24)
        self.out = nn.Linear(24, 256)
        self.head = nn.Linear(256, 71)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pooled = torch.relu(self.depth(self.mix(x))).mean(-1)
        embedding = nn.functional.normalize(self.out(pooled), dim=-1)
        return self.head(embedding), embedding, embedding[:, None].expand(-1, 16, -1)


@pytest.mark.parametrize("kind", ["shipped architecture", "another"])
def test_adapters_learn_and_merge_in_any_network(encoder: Encoder, kind: str) -> None:
    torch.manual_seed(1)
    network: Any = encoder.network if kind == "shipped architecture" else Odd().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    signals, level = waves(48, seed=1)
    values, who = (level > 0.5).astype(float)[:, None], np.arange(48)
    features = embeddings_of(network, signals)
    config = LoraConfig(rank=2, lr=5e-3, batch=16)
    still = fit_lora(network, signals, values, who, features, binary=True, config=config, epochs=0)
    moved = fit_lora(network, signals, values, who, features, binary=True, config=config, epochs=12)
    assert not still.adapters and moved.epochs == 12
    assert moved.adapters and not any(name == "head" or name.endswith(".head") for name in moved.adapters)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    start = still.head.scores(features)[:, 0]
    after = moved.head.scores(embeddings_of(merged(network, moved.adapters), signals))[:, 0]
    y = values[:, 0]
    assert after[y == 1].mean() > after[y == 0].mean() + 1
    if kind == "another":  # the tiny residual network's embedding tells these waves apart already
        assert np.mean(np.logaddexp(0, after) - y * after) < np.mean(np.logaddexp(0, start) - y * start)
    again = fit_lora(network, signals, values, who, features, binary=True, config=config, epochs=12)
    assert all(np.array_equal(again.adapters[name][1], b) for name, (_, b) in moved.adapters.items())


def test_early_stopping_keeps_the_linear_head_where_adapters_do_not_help(encoder: Encoder) -> None:
    signals, _ = waves(30, seed=2)
    values = (np.random.default_rng(9).random((30, 1)) < 0.5).astype(float)
    features = embeddings_of(encoder.network, signals)
    found = fit_lora(
        encoder.network, signals, values, np.arange(30), features, binary=True, config=LoraConfig(epochs=3, lr=0.05, patience=1)
    )
    assert found.epochs < 3 and (found.epochs > 0 or not found.adapters)


def test_adapters_of_another_network_are_refused(encoder: Encoder) -> None:
    wrong = {"towers.0.stem.0": (np.zeros((2, 5), np.float32), np.zeros((8, 2), np.float32))}
    for adapters in (wrong, {"nowhere": wrong["towers.0.stem.0"]}):
        with pytest.raises(ArtefactError, match="fits no layer"):
            merged(encoder.network, adapters)


# Labels and recordings ------------------------------------------------------------------------------------------------


def table(path: Path, text: str, task: str = "binary", wanted: tuple[str, ...] = ()) -> Any:
    path.write_text(text, encoding="utf-8")
    return read_labels(path, task, wanted)


def test_labels_are_read_with_patients_and_missing_cells(tmp_path: Path) -> None:
    found = table(
        tmp_path / "l.csv", "file;Patient;age;sex;a;b\nx1;p;71;f;1;\nx2;p;;M;no;yes\n\nx3;q;300;;;0\n", "multilabel"
    )
    assert found.labels == ("a", "b") and found.recordings == ("x1", "x2", "x3") and found.patients == ("p", "p", "q")
    assert np.array_equal(found.values, [[1, np.nan], [0, 1], [np.nan, 0]], equal_nan=True)
    assert found.sexes == ("F", "M", "") and np.isnan(found.ages[1]) and np.isnan(found.ages[2])
    assert found.lines == (2, 3, 5)
    assert [remark.split(";")[0] for remark in found.remarks] == [
        "Line 5 of labels.csv: the age '300' is no number from 0 to 130"
    ]
    tabs = table(tmp_path / "l.csv", "file\tage\tsex\tx\na\t71,5\tMale\t1\nb\tunknown\t?\t0\nc\told\tX\t0\n")
    assert tabs.ages[0] == 71.5 and np.isnan(tabs.ages[1:]).all() and tabs.sexes == ("M", "", "")
    assert len(tabs.remarks) == 2 and all(remark.startswith("Line 4 of labels.csv: the ") for remark in tabs.remarks)
    assert table(tmp_path / "l.csv", "record,age\nx,71.5\n", "regression", ("age",)).values[0, 0] == 71.5


@pytest.mark.parametrize(
    ("text", "task", "said"),
    [
        ("name,x\na,1\n", "binary", "no column 'recording'"),
        ("recording,age\na,1\n", "binary", "no column of labels"),
        ("recording,x,y\na,1,0\n", "binary", "choose one with --label"),
        ("recording,x\na,maybe\n", "binary", "Line 2 of labels.csv holds 'maybe'"),
        ("recording,x\na,1\nb,2\n", "multilabel", "Line 3"),
        ("recording,x\na,tall\n", "regression", "give a number"),
        ("recording,x\na,inf\n", "regression", "give a number"),
        ("recording,x\na\n", "binary", "1 cells for 2 columns"),
        ("recording,x\n", "binary", "no rows"),
        ("", "binary", "no column"),
        ("recording,x\na,1\n", "ternary", "must be one of"),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(tmp_path: Path, text: str, task: str, said: str) -> None:
    with pytest.raises(QueryError, match=said) as refused:
        table(tmp_path / "l.csv", text, task)
    assert str(refused.value).count(". ") == 0


def test_a_table_that_is_not_there_or_not_in_utf_8_is_named_so(tmp_path: Path) -> None:
    file = tmp_path / "l.csv"
    with pytest.raises(QueryError, match="l.csv' does not exist"):
        read_labels(file, "binary")
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        file.write_bytes("recording,x\na,1\n".encode(encoding))
        with pytest.raises(QueryError, match="is in UTF-16; save it as UTF-8"):
            read_labels(file, "binary")
    file.write_bytes("recording,größe\na,1\n".encode("latin-1"))
    with pytest.raises(QueryError, match="is not text in UTF-8; save it as UTF-8"):
        read_labels(file, "binary")


def test_rows_of_one_signal_that_contradict_each_other_are_all_left_out(
    tmp_path: Path, synthetic_ecg: Callable[..., ECG]
) -> None:
    seeds = {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1, "f": 2}
    ecgs = {name: synthetic_ecg(seed=seed, rate_bpm=60 + 10 * seed) for name, seed in seeds.items()}
    for name in ecgs:
        (tmp_path / f"{name}.csv").write_text(name)

    def loaded(rows: str, task: str = "binary") -> tuple[list[str], Examples]:
        labels = table(tmp_path / "l.txt", rows, task)
        found = load_examples([], labels, lead_set("12"), tmp_path, lambda path: ecgs[path.stem])
        return [sentence.replace("its signal stands in ", "") for sentence in found.left_out], found

    told, found = loaded("recording,x\na.csv,1\nd.csv,1\nb.csv,1\ne.csv,1\nc.csv,0\nf.csv,0\n")
    assert told == [
        *(f"{name}.csv: lines 2, 4 and 6 of labels.csv, which say x 1 and 0; mend the labels." for name in "abc"),
        "e.csv: its signal is the same as that of d.csv (line 3).",
    ]
    assert found.values[:, 0].tolist() == [1, 0]
    # A cell that is not known contradicts nothing.
    told, found = loaded("recording,x,y\nd.csv,1,\ne.csv,1,0\nf.csv,0,1\n", "multilabel")
    assert len(told) == 1 and len(found) == 2
    told, found = loaded("recording,x\nd.csv,55\ne.csv,57.5\nf.csv,60\n", "regression")
    assert len(told) == 2 and "which say x 55 and 57.5" in told[0] and len(found) == 1
    with pytest.raises(QueryError, match="None of the 2 rows.*which say x 1 and 0"):
        loaded("recording,x\nd.csv,1\ne.csv,0\n")


def test_recordings_are_found_and_what_cannot_be_used_is_named(tmp_path: Path, synthetic_ecg: Callable[..., ECG]) -> None:
    ecgs = {f"r{i}": synthetic_ecg(seed=i, rate_bpm=60 + i, age_years=50 + i, sex="F") for i in range(3)}
    ecgs["twin"] = ecgs["r0"]
    ecgs["short"] = replace(ecgs["r1"], signal_mv=ecgs["r1"].signal_mv[:, :900])
    ecgs["lead2"] = ecgs["r2"].select(("II",))
    (tmp_path / "deep").mkdir()
    for name in (*ecgs, "other"):
        (tmp_path / "deep" / f"{name}.csv").write_text(name)
    text = "recording,patient,age,x\nr0,p,30,1\nr1,p,,0\ndeep/r2.csv,,,0\n"
    text += "twin,q,,1\nshort,q,,1\nlead2,q,,1\nlost,q,,1\nother,q,,\n"
    labels = table(tmp_path / "l.csv", text)
    found = load_examples([tmp_path / "deep"], labels, lead_set("12"), tmp_path, lambda path: ecgs[path.stem])
    assert len(found) == 3 and found.signals.shape == (3, 12, 1000) and found.patients_given
    assert found.patients[0] == found.patients[1] != found.patients[2]
    assert found.ages.tolist() == [30, 51, 52] and found.sexes == ("F", "F", "F")
    told = dict(sentence.split(": ", 1) for sentence in found.left_out)
    assert set(told) == {"twin", "short", "lead2", "lost", "other"}
    assert "same as that of r0 (line 2)" in told["twin"] and "no such recording was given" in told["lost"]
    assert "1.8 s" in told["short"] and "no label" in told["other"]
    labels = table(tmp_path / "l.csv", "recording,x\ndeep/r0.csv,1\n")
    beside = load_examples([], labels, lead_set("I"), tmp_path, lambda path: ecgs[path.stem])
    labels = table(tmp_path / "l.csv", "recording,x\ndeep/r0.csv,1\ndeep/gone.csv,0\n")
    gone = load_examples([], labels, lead_set("I"), tmp_path, lambda path: ecgs[path.stem])
    assert gone.left_out == ("gone.csv: gone.csv is in labels.csv, but there is no such file beside it; check the path.",)
    assert not beside.signals[0, 1:].any() and beside.signals[0, 0].any() and not beside.patients_given
    (tmp_path / "r0.csv").write_text("a second one")
    labels = table(tmp_path / "l.csv", "recording,x\nr0,1\n")
    with pytest.raises(QueryError, match="None of the 1 rows.*fits 2 files"):
        load_examples([tmp_path], labels, lead_set("12"), tmp_path, lambda path: ecgs["r0"])


def test_limb_leads_are_computed_and_flat_signals_refused(synthetic_ecg: Callable[..., ECG]) -> None:
    ecg = synthetic_ecg()
    few = prepared(ecg.select(("I", "II")), lead_set("limb"))
    whole = prepared(ecg, lead_set("limb"))
    assert np.abs(few.astype(float) - whole.astype(float)).max() < 0.02 and not few[6:].any()
    with pytest.raises(RecordingError, match="no signal"):
        prepared(ECG(np.zeros((1, 5000), np.float32), 500.0, ("I",)), lead_set("I"))


def test_embeddings_are_kept_by_signal_and_encoder(encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signals, _ = waves(5)
    kept = tmp_path / "kept" / "embeddings.sqlite"
    first = embed(encoder, signals[:4], kept)
    asked: list[int] = []
    encode = encoder.network.encode
    monkeypatch.setattr(encoder.network, "encode", lambda x: (asked.append(len(x)), encode(x))[1])
    again = embed(encoder, signals, kept)
    assert asked == [1] and np.array_equal(again[:4], first)
    assert np.allclose(again, embed(encoder, signals), atol=1e-6)
    other = Encoder(encoder.network, encoder.calibration, "b" * 64)
    asked.clear()
    embed(other, signals, kept)
    assert asked == [5]


# Heads ----------------------------------------------------------------------------------------------------------------


def test_too_few_patients_are_refused_and_rare_labels_left_out(encoder: Encoder) -> None:
    signals, level = waves(40)
    patients = np.repeat(np.arange(8), 5)
    with pytest.raises(QueryError, match="patients without it|patients with it"):
        trainable(some(40, level > 0.5, signals, patients), "binary")
    both = np.stack([level > 0.5, level > 0.95], axis=1).astype(float)
    kept, why = trainable(some(40, both, signals, labels=("wide", "widest")), "multilabel")
    assert kept.labels == ("wide",) and len(why) == 1 and "widest has" in why[0]
    with pytest.raises(QueryError, match="at least 20"):
        trainable(some(15, level[:15], signals[:15]), "regression")
    with pytest.raises(QueryError, match="nothing to learn"):
        trainable(some(40, np.ones(40), signals), "regression")


def test_a_head_that_can_tell_does_so_on_unseen_recordings_and_has_a_card(encoder: Encoder, learned: Head) -> None:
    figures = learned.card["figures"]["x"]
    assert figures["auroc"]["interval"][0] > 0.85 and figures["patients"] == 240
    card = learned.card
    assert (card["task"], card["method"], card["encoder"], card["note"]) == ("binary", "linear", HASH, "Made up.")
    assert card["data"]["recordings"] == 240 and not card["data"]["patients_given"]
    assert any("each recording counts as one" in limit for limit in card["limits"])
    assert any("must not be used" in limit for limit in card["limits"])
    json.dumps(dict(card), allow_nan=False)
    text = card_text(card)
    assert "AUROC" in text and "Made up." in text and max(map(len, text.splitlines())) <= 100
    fresh, level = waves(200, seed=11)
    p = learned.predict(encoder, fresh)[:, 0]
    unseen = binary_figures((level > 0.5).astype(float), p, np.arange(200))
    assert unseen["auroc"]["value"] > 0.9 and unseen["ece"]["value"] < 0.12


def cleared(head: Head, **figures: Any) -> Head:
    """The same head with figures that clear the bar, or with these."""
    good = {**GOOD, **(GOOD_VALUE if head.task == "regression" else {}), **figures}
    return replace(head, card={**head.card, "figures": dict.fromkeys(head.labels, good)})


def test_answers_are_marked_and_refusals_say_why(encoder: Encoder, learned: Head, synthetic_ecg: Callable[..., ECG]) -> None:
    ecg = synthetic_ecg()
    (answer,) = cleared(learned).answer(encoder, ecg)
    assert isinstance(answer, HeadAnswer) and 0 <= answer.value <= 1 and answer.id == "H:wide/x"
    assert answer.text.startswith("research-only: ") and "not for clinical decisions" in answer.text
    assert "0.90 [0.85, 0.94] on 300 unseen patients" in answer.text
    (low,) = cleared(learned, auroc={"value": 0.82, "interval": [0.75, 0.88]}).answer(encoder, ecg)
    assert isinstance(low, HeadRefusal) and "0.750" in low.reason and "does not answer on x" in low.text
    assert low.to_json()["status"] == "refusal" and "value" not in low.to_json()
    (few,) = cleared(learned).answer(encoder, ecg.select(("I", "V1")))
    assert isinstance(few, HeadRefusal) and "not in this recording" in few.reason
    (withheld,) = cleared(learned).answer(encoder, ecg, "The recording is not usable.")
    assert isinstance(withheld, HeadRefusal) and withheld.reason == "The recording is not usable."
    with pytest.raises(ArtefactError, match="another encoder"):
        learned.answer(Encoder(encoder.network, encoder.calibration, "b" * 64), ecg)


def test_noise_is_learned_as_noise_and_refused(encoder: Encoder, synthetic_ecg: Callable[..., ECG]) -> None:
    signals, _ = waves(240, seed=3)
    head = adapt(encoder, some(240, np.arange(240) % 2, signals), name="noise", task="binary")
    assert "AUROC" in head.shortfalls()["x"]
    assert isinstance(head.answer(encoder, synthetic_ecg())[0], HeadRefusal)


def test_a_regression_gives_a_value_with_an_interval_that_holds(encoder: Encoder, synthetic_ecg: Callable[..., ECG]) -> None:
    signals, level = waves(240, seed=4)
    head = adapt(encoder, some(240, 100 * level, signals, np.arange(240)), name="width", task="regression")
    figures = head.card["figures"]["x"]
    assert figures["r2"]["value"] > 0.5 and figures["mae"]["value"] < 0.6 * figures["mae_of_mean"]
    fresh, truth = waves(300, seed=12)
    inside = np.abs(head.predict(encoder, fresh)[:, 0] - 100 * truth) <= head.half_widths[0]
    assert inside.mean() == pytest.approx(0.9, abs=0.06)
    (answer,) = cleared(head).answer(encoder, synthetic_ecg())
    assert isinstance(answer, HeadAnswer) and answer.interval is not None
    assert answer.interval[1] - answer.interval[0] == pytest.approx(2 * head.half_widths[0])


def test_heads_go_to_disk_and_back_whole_or_not_at_all(
    encoder: Encoder, learned: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path))
    folder = tmp_path / "heads" / "wide"
    card = save_head(learned, folder)
    assert sorted(f.name for f in folder.iterdir()) == ["head.json", "head.safetensors"] and len(card["sha256"]) == 64
    signals, _ = waves(6, seed=13)
    back = load_head("wide", encoder)
    assert np.allclose(back.predict(encoder, signals), learned.predict(encoder, signals), atol=1e-4)
    assert [c["name"] for c in installed_cards()] == ["wide"]
    with pytest.raises(QueryError, match="a head at 'wide' already"):
        save_head(learned, folder)
    save_head(learned, folder, replace=True)
    (tmp_path / "mine").mkdir()
    with pytest.raises(QueryError, match="something else"):
        save_head(learned, tmp_path / "mine", replace=True)
    with pytest.raises(ArtefactError, match="another encoder"):
        load_head(folder, Encoder(encoder.network, encoder.calibration, "b" * 64))
    with (folder / "head.safetensors").open("r+b") as handle:
        handle.seek(-3, 2)
        handle.write(b"xyz")
    with pytest.raises(ArtefactError, match="damaged"):
        load_head("wide", encoder)
    remove_head("wide")
    assert not folder.exists() and installed_cards() == []
    for gone in (lambda: load_head("wide", encoder), lambda: load_head("../wide", encoder)):
        with pytest.raises(ArtefactError, match="There is no head"):
            gone()
    with pytest.raises(QueryError, match="no head"):
        remove_head("wide")


def test_a_lora_head_keeps_its_adapters(encoder: Encoder, tmp_path: Path) -> None:
    signals, level = waves(40, seed=6)
    head = adapt(
        encoder, some(40, level > 0.5, signals), name="fine", task="binary", method="lora",
        lora=LoraConfig(rank=2, epochs=2, lr=5e-3, batch=16, patience=2),
    )  # fmt: skip
    assert head.card["method"] == "lora" and len(head.card["epochs_per_fold"]) == 5 and max(head.card["epochs_per_fold"]) <= 2
    assert head.adapters, head.card["epochs_per_fold"]
    save_head(head, tmp_path / "fine")
    back = load_head(tmp_path / "fine", encoder)
    assert back.network is not None and set(back.adapters) == set(head.adapters)
    assert np.allclose(back.predict(encoder, signals), head.predict(encoder, signals), atol=1e-4)
    plain = Head(head.card, head.linear, head.slope, head.offset, head.half_widths)
    assert not np.allclose(plain.predict(encoder, signals), head.predict(encoder, signals), atol=1e-4)


@pytest.mark.parametrize("name", ["", "A", "../x", "a b", "x" * 41, "-x"])
def test_names_that_could_leave_the_folder_are_refused(encoder: Encoder, name: str) -> None:
    signals, level = waves(3)
    with pytest.raises(QueryError, match="head's name"):
        adapt(encoder, some(3, level > 0.5, signals), name=name, task="binary")


def test_leads_are_the_twelve_of_the_standard() -> None:
    assert lead_set(ALL_LEADS).leads == STANDARD_LEADS
