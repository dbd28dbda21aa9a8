"""Decisions from probabilities, the shipped heads, and signs of the signal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import assistant
from assistant.ecgqa.asked import Asked, Target
from assistant.ecgqa.benchmark import Item
from assistant.ecgqa.decide import Rule, decide
from assistant.ecgqa.features import FEATURE_COUNT, axis_signs, signal_features
from assistant.ecgqa.heads import CARD, WEIGHTS, Heads
from assistant.ecgqa.known import Known
from assistant.ecgqa.outputs import OUTPUTS
from assistant.ecgqa.said import said
from assistant.ecgqa.sets import BASE, FIELDS, SCORES, SetTable, rows_of, written
from assistant.ecgqa.templates import TEMPLATES
from assistant.ecgqa.train import failures
from assistant.ecgqa.truth import Truth
from assistant.ecgqa.values import EXTRAS, FAMILIES, NAME_OF, VALUES
from encoders.errors import ArtefactError
from encoders.vocabulary import CODES

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
    held = heads.card["rule"]
    assert Rule.of(heads) == Rule(**{**held, "apart": tuple(held["apart"])}) != Rule()
    assert (SHIPPED / WEIGHTS).stat().st_size < 700_000


def _truth(*codes: str, **more: object) -> Truth:
    return Truth(sure=frozenset(codes), unsure=frozenset(), **more)  # type: ignore[arg-type]


def test_sets_that_were_written_are_the_candidates() -> None:
    truths = [_truth("SR", "LVH")] * 6 + [_truth("AFIB")] * 3 + [_truth("SR", "AFIB")]
    members = written(truths, "all")
    names = [frozenset(np.asarray(FIELDS["all"], object)[row]) for row in members]
    assert names[0] == {NAME_OF["SR"], NAME_OF["LVH"]} and frozenset() in names
    assert frozenset({NAME_OF["SR"], NAME_OF["AFIB"]}) not in names  # written once only
    assert all(frozenset({name}) in names for name in FIELDS["all"])
    assert rows_of(truths, "all", members).tolist() == [0] * 6 + [1] * 3 + [-1]
    assert rows_of([_truth()], "numeric_feature", written([], "numeric_feature")).tolist() == [-1]


def test_a_set_s_probability_is_a_softmax_over_the_sets() -> None:
    members = np.array([[False, False], [True, False], [True, True]])
    table = SetTable(members, np.array([0.0, -1.0, 1.0], np.float32))
    likely = table.likely(np.array([0.5, 0.25]), 2)
    z = np.exp([0.0, -0.5, 1.75])
    assert np.exp(table.log_p(np.array([0.5, 0.25]))) == pytest.approx(z / z.sum())
    assert likely.sets.tolist() == [[True, True], [False, False]] and likely.p.sum() == pytest.approx(1.0)


def test_scores_cover_every_field_and_start_from_the_statements() -> None:
    stops = [SCORES[field].stop - SCORES[field].start for field in FIELDS]
    assert stops == [len(names) for names in FIELDS.values()] and sum(stops) == len(BASE)
    first = SCORES["rhythm"].start
    assert CODES[BASE[first]] == FAMILIES["rhythm"][0] and (BASE[SCORES["noise"]] == -1).all()


def test_lists_go_by_whole_sets(heads: Heads) -> None:
    table = SetTable(np.array([[False] * 3, [True, True, False], [False, False, True]]), np.array([0.0, 3.0, 0.0], np.float32))
    own = Heads(heads.arrays, heads.prior, heads.card, {**heads.tables, "extra_systole": table})
    known = _known(own, **{f"extra:{name}": 0.5 for name in EXTRAS})
    asked = Asked("query", "extra_systole")
    assert set(decide(asked, [known], own, Rule()).values) == set(EXTRAS[:2])
    apart = decide(asked, [known], own, Rule(apart=("extra_systole",)))
    assert set(apart.values) != set(EXTRAS[:2])
    assert decide(asked, [known], own, Rule(), allowed=EXTRAS[2:]).values == (EXTRAS[2],)


def test_failures_are_told_by_kind_with_ids_and_without_wordings() -> None:
    template = TEMPLATES[9]
    item = Item("1", template, "?", template.form, (17,), frozenset({"sinus rhythm"}))
    found = failures([item, item], [frozenset({"sinus rhythm"}), frozenset({"atrial fibrillation"})])
    group = found["one/query/scp_code"]
    assert (group["wrong"], group["of"]) == (1, 2) and group["missed_most"] == [("sinus rhythm", 1)]
    assert group["examples"][0]["ecg_ids"] == [17] and "question" not in group["examples"][0]


def test_the_card_holds_figures_and_failures(heads: Heads) -> None:
    figures = heads.card["exact_match"]
    assert figures["fold 8, chosen on"]["verify"] > 0.8 and figures["fold 9, reported"]["choose"] > 0.68
    assert figures["fold 9, reported"]["query"] > 0.38
    assert all({"wrong", "of", "examples"} <= group.keys() for group in heads.card["failures_fold9"].values())


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
