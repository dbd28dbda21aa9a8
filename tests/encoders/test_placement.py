"""Exchanged electrodes: the algebra, the rule for the right leg, and the network on real beats."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoders.beats import beats_and_bands
from encoders.ecg import ECG, LIMB_LEADS, PRECORDIAL_LEADS, STANDARD_LEADS
from encoders.gate import check
from encoders.placement import EXCHANGES, GROUPS, LIMB_EXCHANGES, judge_placement, load_models, settle
from encoders.placement_beat import ROWS, average_beat, independent_rows
from encoders.placement_fit import BUDGET, Beats, exchanged
from encoders.placement_signs import LIMB_SIGN_COUNT, SIGN_COUNT, signs_under, waveforms
from encoders.readers import read

Maker = Callable[..., ECG]
BY_KIND = {e.kind: e for e in EXCHANGES}


def limb_leads(ra: float, la: float, ll: float) -> dict[str, float]:
    """The limb leads of three electrodes' potentials (Einthoven, Goldberger)."""
    leads = {"I": la - ra, "II": ll - ra, "III": ll - la}
    return leads | {"aVR": ra - (la + ll) / 2, "aVL": la - (ra + ll) / 2, "aVF": ll - (ra + la) / 2}


def with_rows(ecg: ECG, rows: np.ndarray) -> ECG:
    one, two = rows[0], rows[1]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return replace(ecg, signal_mv=np.vstack([*limb, rows[2:]]).astype(np.float32), leads=STANDARD_LEADS)


def rows_of(ecg: ECG) -> np.ndarray:
    return independent_rows(ecg.signal_mv.astype(float), ecg.leads)


@pytest.mark.parametrize(
    ("kind", "order"),
    [("RA-LA", (1, 0, 2)), ("RA-LL", (2, 1, 0)), ("LA-LL", (0, 2, 1)), ("RA-LA-LL", (1, 2, 0)), ("RA-LL-LA", (2, 0, 1))],
)
def test_limb_exchanges_are_what_electrodes_give(kind: str, order: tuple[int, int, int]) -> None:
    at = np.array([0.31, -0.17, 0.83])
    right, wrong = limb_leads(*at), limb_leads(*at[list(order)])
    one, two = BY_KIND[kind].matrix[:2, :2] @ [right["I"], right["II"]]
    assert one == pytest.approx(wrong["I"]) and two == pytest.approx(wrong["II"])
    sizes = {name: abs(wrong[name] - right[name]) for name in LIMB_LEADS}
    assert set(BY_KIND[kind].leads) == {name for name, size in sizes.items() if size > 1e-9}


def test_every_exchange_can_be_undone_by_one_that_is_tried() -> None:
    for exchange in EXCHANGES:
        assert any(np.allclose(other.matrix @ exchange.matrix, np.eye(8)) for other in EXCHANGES), exchange.kind
        assert exchange.group in GROUPS and exchange.leads
    assert len(BY_KIND) == len(EXCHANGES) and set(BUDGET) == set(GROUPS) and sum(BUDGET.values()) <= 0.01
    assert all(e.group != "chest" for e in LIMB_EXCHANGES)


def test_exchanging_beats_is_exchanging_electrodes(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg()
    exchange = BY_KIND["V2-V4"]
    plain = waveforms(average_beat(beats_and_bands(ecg), ecg.leads))  # type: ignore[arg-type]
    moved = with_rows(ecg, exchange.matrix @ rows_of(ecg))
    other = waveforms(average_beat(beats_and_bands(moved), moved.leads))  # type: ignore[arg-type]
    beats = Beats(plain.bins[None], plain.products[None], plain.context[None], np.array([1]))
    assert np.allclose(exchanged(beats, exchange.matrix).bins[0], other.bins, atol=0.01)
    tried = np.stack([np.eye(8), exchange.matrix])
    signs = signs_under(plain.bins[None], plain.products[None], plain.context[None], tried)
    back = signs_under(other.bins[None], other.products[None], other.context[None], tried)
    assert signs.shape == (1, 2, SIGN_COUNT) and np.allclose(signs[0, 0], back[0, 1], atol=0.1)
    assert (
        signs_under(plain.bins[None], plain.products[None], plain.context[None], tried, limb_only=True).shape[2]
        == LIMB_SIGN_COUNT
    )


def test_signs_do_not_depend_on_gain_or_rate(synthetic_ecg: Maker) -> None:
    def signs(ecg: ECG) -> np.ndarray:
        w = waveforms(average_beat(beats_and_bands(ecg), ecg.leads))  # type: ignore[arg-type]
        return signs_under(w.bins[None], w.products[None], w.context[None], np.eye(8)[None])[0, 0]

    ecg = synthetic_ecg(noise_mv=0.001)
    twice = replace(ecg, signal_mv=ecg.signal_mv * 2)
    # The certainty of P is against an absolute floor of noise, so it may move a little.
    assert np.median(np.abs(signs(ecg) - signs(twice))) < 0.01
    assert np.median(np.abs(signs(ecg) - signs(synthetic_ecg(noise_mv=0.001, fs_hz=1000.0)))) < 0.05


@pytest.mark.parametrize(("lead", "kind"), [("II", "RA-RL"), ("III", "LA-RL"), ("I", "arms-legs")])
def test_a_flat_limb_lead_points_at_the_right_leg(synthetic_ecg: Maker, lead: str, kind: str) -> None:
    ecg = synthetic_ecg(noise_mv=0.003)
    rows = rows_of(ecg)
    legs = np.random.default_rng(0).normal(0, 0.003, ecg.n_samples)
    if lead == "II":  # the right arm's cable lies on the right leg
        rows[0], rows[1] = rows[0] - rows[1], legs
    elif lead == "III":
        rows[0] = rows[1] + legs
    else:
        rows[0] = legs
    q = check(with_rows(ecg, rows))
    assert q.exchange == kind and "limb_swap_suspected" in q.flags and f"Lead {lead} is nearly flat" in " ".join(q.reasons)
    assert q.usable and set(LIMB_LEADS) <= set(q.bad_leads)


def test_what_cannot_be_judged_is_said_to_be_so(synthetic_ecg: Maker) -> None:
    assert judge_placement(None, frozenset(STANDARD_LEADS)).state == "not examined"
    ecg = synthetic_ecg().select(("V1", "V2", "V3"))
    assert judge_placement(average_beat(beats_and_bands(ecg), ecg.leads), frozenset(ecg.leads)).state == "not examined"
    ecg = synthetic_ecg()
    beat = average_beat(beats_and_bands(ecg), ecg.leads)
    assert judge_placement(beat, frozenset(PRECORDIAL_LEADS)).state == "cannot be told"
    assert judge_placement(beat, frozenset(LIMB_LEADS)).state in ("as expected", "cannot be told")


def test_settling_takes_the_likeliest_that_passes() -> None:
    thresholds = {e.kind: 2.0 for e in LIMB_EXCHANGES}
    odds = np.full(len(LIMB_EXCHANGES), -9.0)
    assert settle(odds, LIMB_EXCHANGES, thresholds) == ("as expected", None)
    odds[0] = 0.0
    assert settle(odds, LIMB_EXCHANGES, thresholds) == ("cannot be told", None)
    odds[:2] = 3.0, 6.0
    assert settle(odds, LIMB_EXCHANGES, thresholds) == ("doubted", 1)
    odds[1] = 4.0  # the arms are exchanged far more often
    assert settle(odds, LIMB_EXCHANGES, thresholds) == ("doubted", 0)


def test_the_shipped_networks_fit_their_signs() -> None:
    for name, count, tried in (("full", SIGN_COUNT, EXCHANGES), ("limb", LIMB_SIGN_COUNT, LIMB_EXCHANGES)):
        model = load_models()[name]
        assert len(model.mean) == len(model.scale) == model.layers[0][0].shape[1] == count
        assert set(model.thresholds) == {e.kind for e in tried} and min(model.thresholds.values()) >= 1.0


def test_exchanges_are_found_on_real_beats(ecg_data: Path) -> None:
    rows = csv.DictReader((ecg_data / "ptb-xl" / "ptbxl_database.csv").read_text(encoding="utf-8").splitlines())
    names = [row["filename_lr"] for row in rows if row["strat_fold"] == "9" and "'SR'" in row["scp_codes"]][::60][:25]
    fit = frozenset(ROWS)
    beats = []
    for name in names:
        ecg = read(ecg_data / "ptb-xl" / name).select(ROWS)
        beats.append(average_beat(beats_and_bands(ecg), ecg.leads))
    found = [beat for beat in beats if beat is not None]
    assert np.mean([judge_placement(beat, fit).state == "doubted" for beat in found]) <= 0.08
    for kind, share in (("RA-LA", 0.9), ("RA-LL", 0.9), ("V6..V1", 0.9), ("V1-V4", 0.8), ("dextrocardia", 0.8)):
        moved = [replace(b, average_mv=BY_KIND[kind].matrix @ b.average_mv) for b in found]
        judged = [judge_placement(b, fit) for b in moved]
        assert np.mean([p.kind == kind for p in judged]) >= share, kind
        assert np.mean([p.state == "doubted" for p in judged]) >= share, kind
        assert all(p.reason.endswith(".") and p.flag for p in judged if p.state == "doubted")
