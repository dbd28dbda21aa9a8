"""Decisions from probabilities, the shipped heads, and signs of the signal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import assistant
from assistant.ecgqa.asked import Asked, Target
from assistant.ecgqa.decide import Rule, decide
from assistant.ecgqa.features import FEATURE_COUNT, axis_signs, signal_features
from assistant.ecgqa.heads import CARD, WEIGHTS, Heads
from assistant.ecgqa.known import Known
from assistant.ecgqa.outputs import OUTPUTS
from assistant.ecgqa.said import said
from assistant.ecgqa.sets import SetTable
from assistant.ecgqa.values import VALUES
from encoders.errors import ArtefactError

SHIPPED = Path(assistant.__file__).with_name("weights")
HASH = json.loads((SHIPPED / CARD).read_text("utf-8"))["encoder"]


@pytest.fixture(scope="module")
def heads() -> Heads:
    return Heads.load(HASH)


def _known(heads: Heads, axis: tuple[float, float] = (1.0, 1.0), **chances: float) -> Known:
    """A recording of which nothing is known but the shares of all recordings, and ``chances`` by output's name."""
    p = np.array([chances.get(name, heads.prior[name]) for name in OUTPUTS])
    return Known(p, axis, np.zeros((12, 100)))


def test_yes_from_a_chance_far_above_the_share_of_cases(heads: Heads) -> None:
    ask = Asked("verify", "noise", (Target("burst noise"),))
    assert decide(ask, [_known(heads, **{"noise:burst noise": 0.2})], heads).values == ("yes",)
    assert decide(ask, [_known(heads, **{"noise:burst noise": 0.001})], heads).values == ("no",)


def test_not_sure_is_a_class_and_only_where_it_may_be_answered(heads: Heads) -> None:
    ask = Asked("verify", "scp_code", (Target("left ventricular hypertrophy", ("LVH",)),))
    doubted = _known(heads, **{"sure:LVH": 0.01, "unsure:LVH": 0.7})
    assert decide(ask, [doubted], heads).values == ("not sure",)
    assert decide(ask, [doubted], heads, allowed=("yes", "no")).values != ("not sure",)
    assert decide(Asked("verify", "scp_code", ask.targets, doubt="exclude"), [doubted], heads).values == ("no",)


def test_between_two_recordings(heads: Heads) -> None:
    with_it = _known(heads, **{"sure:AFIB": 0.95, "sure:SR": 0.01})
    without = _known(heads, **{"sure:AFIB": 0.001, "sure:SR": 0.99})
    target = (Target("atrial fibrillation", ("AFIB",)),)
    for relation, pair in (("resolved", (with_it, without)), ("new", (without, with_it)), ("still", (with_it, with_it)),
                           ("absent", (without, without))):  # fmt: skip
        ask = Asked("verify", "scp_code", target, relation=relation)
        assert decide(ask, pair, heads).values == ("yes",), relation
    query = Asked("query", "scp_code", relation="new")
    assert "atrial fibrillation" in decide(query, (without, with_it), heads).values


def test_the_axis_and_a_choice_that_holds_neither(heads: Heads) -> None:
    left = _known(heads, (0.8, -0.6))
    assert decide(Asked("query", "heart_axis"), [left], heads).values == ("left axis deviation",)
    pair = (Target("right axis deviation"), Target("normal heart axis"))
    assert decide(Asked("choose", "heart_axis", pair), [left], heads).values == ("none",)


def test_every_answer_has_the_convention_s_strings_and_a_sentence(heads: Heads) -> None:
    known = _known(heads)
    for asked in (
        Asked("query", "scp_code", family="diagnostic", doubt="include"), Asked("query", "scp_code", family="rhythm"),
        Asked("query", "noise"), Asked("query", "noise", (Target("static noise"),), wants="leads"),
        Asked("query", "extra_systole"), Asked("query", "stage_of_infarction"),
        Asked("query", "numeric_feature", ranges=("within the normal range",), wants="features"),
        Asked("query", "numeric_feature", (Target("qrs duration"),), wants="range"),
        Asked("query", "scp_code", (Target("inverted t-waves", ("INVT",)),), wants="leads"),
        Asked("query", "scp_code", family="form", lead=3),
    ):  # fmt: skip
        found = decide(asked, [known], heads)
        assert found.values and set(found.values) <= VALUES and 0 <= found.confidence <= 1
        assert said(asked, found).endswith("a draft for a clinician to review.")


def test_rhythms_that_exclude_each_other_are_not_answered_together(heads: Heads) -> None:
    torn = _known(heads, **{"sure:AFIB": 0.55, "sure:SR": 0.55})
    assert len(decide(Asked("query", "scp_code", family="rhythm"), [torn], heads).values) == 1


def test_weights_of_another_encoder_or_damaged_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="another encoder"):
        Heads.load("0" * 64)
    for name in (WEIGHTS, CARD):
        shutil.copy(SHIPPED / name, tmp_path / name)
    data = bytearray((tmp_path / WEIGHTS).read_bytes())
    data[-5] ^= 1
    (tmp_path / WEIGHTS).write_bytes(data)
    with pytest.raises(ArtefactError, match="differ"):
        Heads.load(HASH, tmp_path)
    with pytest.raises(ArtefactError, match="missing"):
        Heads.load(HASH, tmp_path / "nothing")


def test_a_rule_comes_from_the_card(heads: Heads) -> None:
    assert Rule.of(heads) == Rule(**heads.card["rule"]) and (SHIPPED / WEIGHTS).stat().st_size < 300_000


def test_sets_that_were_written_go_before_sets_that_never_were() -> None:
    table = SetTable.of([frozenset({"SR", "NORM"})] * 6 + [frozenset({"AFIB"})] * 3 + [frozenset({"SR", "AFIB"})])
    back = SetTable.unpacked(table.packed(), table.counts)
    assert (back.members == table.members).all()
    p = np.full(71, 0.01)
    from encoders.vocabulary import CODES

    p[[CODES.index("SR"), CODES.index("NORM")]] = 0.9
    likely = table.likely(p, np.full(71, 0.05), 0.5, 5)
    assert likely.sets[0] == {"SR", "NORM"} and likely.p.sum() == pytest.approx(1.0)
    assert frozenset({"SR", "AFIB"}) not in likely.sets


@pytest.mark.parametrize("value", [0.0, np.nan, 5.0, 1e6])
def test_no_signal_raises(value: float) -> None:
    features, beat = signal_features(np.full((12, 1000), value))
    assert features.shape == (FEATURE_COUNT,) and np.isfinite(features).all() and np.isfinite(beat).all()


def test_an_upright_beat_points_left_and_down() -> None:
    t = np.arange(1000) / 100
    beat = sum(np.exp(-(((t - at) / 0.02) ** 2)) for at in np.arange(0.5, 10, 0.8))
    signal = np.tile(beat, (12, 1))
    features, average = signal_features(signal)
    assert all(sign > 0.3 for sign in axis_signs(average))
    assert features[12 * 12 + 24] == pytest.approx(0.8, abs=0.03)  # mean RR in s
