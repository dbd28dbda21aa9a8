"""The trained encoder, its calibration and scores, and training that goes on where it was killed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.signal import resample_poly

from encoders.calibrate import fit_calibration
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.encode import WEIGHTS, Encoder, prepare, save_encoder
from encoders.errors import ArtefactError
from encoders.evaluate import age_bands, cross_calibrate, evaluate_encoder, patient_halves
from encoders.folded import folded
from encoders.leadsets import LEAD_SETS
from encoders.metrics import auroc_per_statement, calibration_error, macro_auroc
from encoders.network import EMBEDDING_DIM, N_TOKENS, TOKEN_DIM, EncoderConfig, EncoderNetwork, windows
from encoders.outoffold import Helper, out_of_fold
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.raw import encode_all, encode_lead_sets
from encoders.train import Cycle, TrainConfig, train_encoder
from encoders.vocabulary import CODES, STATEMENTS, codes_in

TINY = EncoderConfig(complete_only=(False,), stem=8, widths=(8, 8), blocks=1, kernel=3)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load()


def noise(seed: int = 0, fs_hz: int = 100) -> ECG:
    rng = np.random.default_rng(seed)
    return ECG(rng.normal(0, 0.1, (12, 10 * fs_hz)), fs_hz, STANDARD_LEADS)


def test_the_vocabulary_is_the_71_statements_of_ptb_xl():
    assert len(CODES) == len(set(CODES)) == 71
    assert (len(codes_in("diagnostic")), len(codes_in("form")), len(codes_in("rhythm"))) == (44, 19, 12)
    assert all(s.name and s.criteria and s.citation for s in STATEMENTS)
    assert {s.urgency for s in STATEMENTS} == {"critical", "urgent", "routine", "normal"}


def test_widths_are_fixed_and_the_embedding_has_unit_length(encoder):
    (out,) = encoder.encode([noise()])
    assert out.tokens.shape == (N_TOKENS, TOKEN_DIM) and out.embedding.shape == (EMBEDDING_DIM,)
    assert out.probabilities.shape == (71,) and ((out.probabilities > 0) & (out.probabilities < 1)).all()
    assert np.linalg.norm(out.embedding) == pytest.approx(1, abs=1e-5)


def test_a_recording_reads_the_same_alone_and_in_a_batch(encoder):
    ecgs = [noise(i) for i in range(3)]
    together = encoder.encode(ecgs)
    alone = encoder.encode(ecgs[1:2])[0]
    assert np.allclose(together[1].logits, alone.logits, atol=1e-4)


def test_sampling_rate_does_not_matter_much(encoder):
    rng = np.random.default_rng(1)
    slow = np.cumsum(rng.normal(0, 0.05, (12, 1000)), axis=1)
    at_100 = ECG(slow - slow.mean(1, keepdims=True), 100, STANDARD_LEADS)
    at_500 = ECG(resample_poly(at_100.signal_mv, 5, 1, axis=1, padtype="line"), 500, STANDARD_LEADS)
    a, b = prepare(at_100), prepare(at_500)
    assert np.corrcoef(a[:, 100:900].ravel(), b[:, 100:900].ravel())[0, 1] > 0.98
    assert encoder.encode([at_500])[0].probabilities.shape == (71,)


def test_kept_encodings_read_back_as_they_were(encoder, tmp_path):
    signals = np.random.default_rng(3).normal(0, 0.2, (3, 12, 1000)).astype(np.float16)
    fresh = encode_all(encoder.network, signals)
    for _ in range(2):  # written, then read
        kept = encode_lead_sets(encoder.network, signals, tmp_path / "kept")["12"]
        assert np.array_equal(kept.tokens, fresh.tokens) and np.array_equal(kept.logits, fresh.logits)


def test_missing_leads_and_short_or_absurd_signals_still_give_every_probability(encoder):
    one = noise().select(("I",))
    short = ECG(np.zeros((12, 50)), 100, STANDARD_LEADS)
    huge = ECG(np.full((12, 1000), 1e6), 100, STANDARD_LEADS)
    for out in encoder.encode([one, short, huge]):
        assert np.isfinite(out.probabilities).all()


def test_windows_tile_the_recording():
    x = torch.arange(1000.0).expand(1, 12, 1000)
    views = windows(x)
    assert views.shape == (1, 4, 12, 250)
    assert views[0, 1, 0, 0] == 250
    assert windows(x[..., :100]).shape == (1, 1, 12, 250)


def test_weights_that_do_not_belong_together_are_refused(tmp_path):
    shutil.copytree(WEIGHTS, tmp_path / "w")
    card = json.loads((tmp_path / "w" / "encoder.json").read_text())
    (tmp_path / "w" / "encoder.json").write_text(json.dumps({**card, "sha256": "0" * 64}))
    with pytest.raises(ArtefactError, match="card"):
        Encoder.load(tmp_path / "w")
    (tmp_path / "w" / "encoder.json").write_text(json.dumps(card))
    calibration = json.loads((tmp_path / "w" / "calibration.json").read_text())
    (tmp_path / "w" / "calibration.json").write_text(json.dumps({**calibration, "encoder": "0" * 64}))
    with pytest.raises(ArtefactError, match="another encoder"):
        Encoder.load(tmp_path / "w")
    with pytest.raises(ArtefactError, match="missing"):
        Encoder.load(tmp_path / "nowhere")


def test_saved_weights_load_and_agree_to_half_precision(tmp_path):
    torch.manual_seed(0)
    network = EncoderNetwork(TINY).eval()
    save_encoder(network, tmp_path, {})
    loaded = Encoder.load(tmp_path, calibrated=False)
    x = torch.randn(2, 12, 1000)
    with torch.no_grad():
        assert torch.allclose(network.encode(x)[0], loaded.network.encode(x)[0], atol=2e-3)


def test_calibration_finds_the_true_curve_and_leaves_rare_statements_near_the_common_one():
    rng = np.random.default_rng(0)
    z = rng.normal(-2, 2, (4000, 3))
    true = 1 / (1 + np.exp(-(1.6 * z - 0.5)))
    y = (rng.random(z.shape) < true).astype(np.uint8)
    y[:, 2] = 0
    y[0, 2] = 1
    fitted = fit_calibration(z, y, "h")
    curves = fitted.curves["12"]
    assert curves.slope[0] == pytest.approx(1.6, abs=0.2) and curves.offset[0] == pytest.approx(-0.5, abs=0.3)
    assert calibration_error(y[:, :2], fitted.apply(z)[:, :2]).max() < 0.03
    assert 0.3 < curves.slope[2] < 3
    fewer = fit_calibration({"12": z, "I": 0.5 * z}, y, "h")
    assert np.allclose(fewer.curves["12"].slope, curves.slope)
    assert fewer.curves["I"].slope[0] > curves.slope[0] + 0.5  # half the logit needs a steeper curve
    rows = np.stack([z[0], 0.5 * z[0]])
    assert np.allclose(fewer.apply(rows, ["12", "I"])[1], fewer.apply(rows[1], "I"))
    assert np.allclose(fewer.apply(rows, ["12", "I"])[0], fitted.apply(rows[0]))


def test_auroc_is_the_share_of_pairs_in_order():
    labels = np.array([[0], [0], [1], [1]], np.uint8)
    scores = np.array([[0.1], [0.4], [0.35], [0.8]], np.float32)
    assert auroc_per_statement(labels, scores)[0] == 0.75
    assert macro_auroc(labels, np.zeros_like(scores)) == 0.5
    assert np.isnan(auroc_per_statement(np.zeros((4, 1), np.uint8), scores)[0])


def test_patients_never_cross_and_every_age_has_at_most_one_band():
    patients = np.repeat(np.arange(50), 3)
    half = patient_halves(patients)
    assert not set(patients[half]) & set(patients[~half]) and half.any() and (~half).any()
    bands = np.stack(list(age_bands(np.array([5.0, 18, 39.9, 40, 79, 80, 300, np.nan])).values()))
    assert (bands.sum(0) == [1, 1, 1, 1, 1, 1, 1, 0]).all()


def test_scores_have_a_row_for_every_set_of_leads():
    rng = np.random.default_rng(7)
    n = 240
    labels = (rng.random((n, 71)) < 0.2).astype(np.uint8)
    clear = (labels + rng.normal(0, 0.4, labels.shape)).astype(np.float32)
    table = pd.DataFrame({"patient_id": np.arange(n) // 2, "age": rng.uniform(20, 90, n), "sex": np.arange(n) % 2})
    data = PtbXl(Path("."), table, labels, np.full((n, 71), np.nan, np.float32))
    made = evaluate_encoder(data, {"12": clear, "I": rng.normal(size=clear.shape).astype(np.float32)}, bootstraps=5)
    full, one = made["lead_sets"]["12"], made["lead_sets"]["I"]
    assert one["leads"] == ["I"] and full["macro_auroc"]["all"] == made["macro_auroc"]["all"]
    for group in ("all", "diagnostic", "form", "rhythm", "superclasses"):
        assert full["macro_auroc"][group]["value"] > 0.85 and 0.4 < one["macro_auroc"][group]["value"] < 0.6
        low, high = full["macro_auroc"][group]["interval"]
        assert low <= full["macro_auroc"][group]["value"] + 0.02 and low < high
    assert set(full["by_group"]) >= {"M", "F", "age 40-59"} and one["calibration_error"]["mean"] >= 0
    assert set(made["per_statement"]["AFIB"]["auroc_by_lead_set"]) == {"12", "I"}
    alone = evaluate_encoder(data, clear, bootstraps=0)
    assert alone["macro_auroc"]["all"]["value"] == made["macro_auroc"]["all"]["value"] and "interval" not in alone["superclasses"]
    json.dumps(made)


def toy_set(n: int = 160) -> PtbXl:
    """A set in which statement 0 is a large first lead; folds 1-8, two recordings a patient."""
    rng = np.random.default_rng(3)
    labels = np.zeros((n, 71), np.uint8)
    labels[:, 0] = rng.random(n) < 0.5
    labels[:, 1] = rng.random(n) < 0.5
    table = pd.DataFrame(
        {"patient_id": np.arange(n) // 2, "strat_fold": (np.arange(n) // 2) % 8 + 1, "age": 50.0, "sex": 0},
        index=pd.RangeIndex(1, n + 1, name="ecg_id"),
    )
    return PtbXl(Path("."), table, labels, np.full((n, 71), np.nan, np.float32))


def toy_cache(data: PtbXl, folder: Path) -> Path:
    rng = np.random.default_rng(4)
    signals = rng.normal(0, 0.1, (len(data), 12, 1000))
    signals[:, 0] += data.labels[:, :1] * np.sin(np.arange(1000) / 5)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"ptbxl-{len(data)}-1-{len(data)}-{int(data.ids.sum())}.npy", signals.astype(np.float16))
    return folder


@pytest.mark.parametrize("complete_only", [(True, False), (False,)])
def test_the_folded_network_says_the_same(complete_only: tuple[bool, ...]) -> None:
    torch.manual_seed(3)
    network = EncoderNetwork(replace(TINY, complete_only=complete_only, blocks=2))
    network.lead_scale_mv.uniform_(0.1, 0.4)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            for value, low in ((part.running_mean, -1.0), (part.running_var, 0.5), (part.weight, 0.5), (part.bias, -1.0)):
                assert value is not None
                torch.nn.init.uniform_(value, low, low + 1.5)
    x = torch.randn(3, 12, 990) / 3
    x[1, 6:] = 0.0  # few leads: the tower for complete recordings keeps silent
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        for one, other in zip(network.eval().encode(x), folded(network).encode(x), strict=True):
            assert torch.allclose(one, other, atol=1e-4, rtol=1e-4) and one.abs().max() > 0.01
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path):
    data = toy_set()
    cache = toy_cache(data, tmp_path / "cache")
    config = TrainConfig(cycles=(Cycle(2, 5e-3), Cycle(2, 2e-3)), batch=16)
    whole = train_encoder(data, tmp_path / "whole", config, TINY, cache)

    class Killed(Exception):
        pass

    calls = 0
    real = torch.save

    def save(state: object, file: Path) -> None:
        nonlocal calls
        real(state, file)
        calls += 1
        if calls == 3:  # within the second cycle
            file.rename(file.with_suffix(".ckpt"))
            raise Killed

    torch.save = save  # type: ignore[assignment]
    try:
        with pytest.raises(Killed):
            train_encoder(data, tmp_path / "cut", config, TINY, cache)
    finally:
        torch.save = real
    resumed = train_encoder(data, tmp_path / "cut", config, TINY, cache)
    for name, tensor in whole.state_dict().items():
        assert torch.allclose(tensor, resumed.state_dict()[name], atol=1e-5), name


def test_training_learns_and_the_out_of_fold_view_is_of_unseen_recordings(tmp_path):
    data = toy_set()
    cache = toy_cache(data, tmp_path / "cache")
    config = TrainConfig(cycles=(Cycle(6, 5e-3, subsets=0.0),), batch=16, lead_dropout=0.0)
    shipped = train_encoder(data, tmp_path / "a", config, TINY, cache)
    halves = [
        Helper(*[train_encoder(data, tmp_path / f"h{i}", replace(config, folds=folds), TINY, cache)] * 2)
        for i, folds in enumerate(((1, 2, 3, 4), (5, 6, 7)))
    ]
    found = out_of_fold(data, shipped, halves, data.signals(cache))
    assert auroc_per_statement(data.labels, found.probabilities["12"])[0] > 0.9
    assert found.probabilities.keys() == {one.name for one in LEAD_SETS}
    assert found.tokens.shape == (len(data), N_TOKENS, TOKEN_DIM)
    assert np.allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-3)


def test_fold_9_reaches_its_figure(ecg_data, encoder):
    data = load_ptbxl(ecg_data / "ptb-xl", (9,))
    signals = data.signals()
    logits = np.stack([e.logits for e in encoder.encode_arrays(signals)])
    assert macro_auroc(data.labels, logits) >= 0.92
    calibrated = cross_calibrate(logits, data.labels, data.patients)
    assert calibration_error(data.labels, calibrated).mean() <= 0.0113
