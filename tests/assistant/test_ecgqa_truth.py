"""Labels of ECG-QA's attributes from PTB-XL's columns, and the set of questions made from them."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assistant.ecgqa.asked import Asked, Target
from assistant.ecgqa.benchmark import build, expected
from assistant.ecgqa.truth import Truth, axis_of, interval_labels, noisy_leads, read_truth
from assistant.ecgqa.values import FEATURES, LEADS, NOISES, RANGES, VALUES
from encoders.vocabulary import CODES


@pytest.mark.parametrize(
    ("text", "leads"),
    [
        (" , I-AVF,  ", range(6)), ("alles", range(12)), ("V5,6", (10, 11)), ("v3-4", (8, 9)), (" , mittel,  ", ()),
        ("II,III,AVF", (1, 2, 5)), (" , V 4", (9,)), (" , 2,  ", (7,)), ("I-ALF", range(6)), ("V4-V6", (9, 10, 11)),
        ("V1???", (6,)),
    ],
)  # fmt: skip
def test_leads_of_a_remark_on_noise(text: str, leads: tuple[int, ...]) -> None:
    assert noisy_leads(text) == frozenset(leads)


@pytest.mark.parametrize(("i", "avf", "axis"), [(1, 1, "normal heart axis"), (1, -1, "left axis deviation"),
                                               (-1, 1, "right axis deviation"), (-1, -1, "extreme axis deviation")])  # fmt: skip
def test_the_axis_goes_by_quadrant(i: float, avf: float, axis: str) -> None:
    assert axis_of(i, avf) == axis


def _row(**columns: object) -> Truth:
    names = ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems", "extra_beats",
             "infarction_stadium1", "infarction_stadium2")  # fmt: skip
    table = pd.DataFrame([{name: columns.get(name, np.nan) for name in names}], index=[7]).astype(object)
    return read_truth(table, np.full((1, len(CODES)), np.nan))[7]


def test_extra_beats_and_stages() -> None:
    assert _row(extra_beats="VES1,alles").extras == {"ventricular extrasystoles"}
    assert _row(extra_beats="SVES").extras == {"supraventricular extrasystoles"}
    assert _row(extra_beats="VES,SVES1,alles").extras == {"ventricular extrasystoles", "supraventricular extrasystoles"}
    assert _row(extra_beats="2ES").extras == {"extrasystoles"} == _row(extra_beats="1,alles").extras
    assert _row(infarction_stadium1="Stadium II-III").stages == {
        "middle stage of myocardial infarction", "old stage of myocardial infarction",
    }  # fmt: skip
    assert _row(infarction_stadium1="unknown").stages == {"unknown stage of myocardial infarction"}
    assert _row(static_noise=" , leicht,  ").noise == {}


def test_likelihood_makes_yes_or_not_sure() -> None:
    ask = Asked("verify", "scp_code", (Target("left ventricular hypertrophy", ("LVH",)),))
    assert expected(ask, [Truth(frozenset({"LVH"}), frozenset())]) == {"yes"}
    assert expected(ask, [Truth(frozenset(), frozenset({"LVH"}))]) == {"not sure"}
    assert expected(ask, [Truth(frozenset(), frozenset())]) == {"no"}


def test_relations_between_two_recordings() -> None:
    with_it, without = Truth(frozenset({"AFIB"}), frozenset()), Truth(frozenset(), frozenset())
    for relation, first, second in (("resolved", with_it, without), ("new", without, with_it),
                                    ("still", with_it, with_it), ("absent", without, without)):  # fmt: skip
        ask = Asked("verify", "scp_code", (Target("atrial fibrillation", ("AFIB",)),), relation=relation)
        assert expected(ask, [first, second]) == {"yes"}
        assert expected(ask, [second, first]) == ({"yes"} if first is second else {"no"})


def test_questions_on_noise_have_the_answers_that_the_columns_give(ecg_data: Path) -> None:
    table = pd.read_csv(ecg_data / "ptb-xl" / "ptbxl_database.csv", index_col="ecg_id")
    questions = json.loads((ecg_data / "ecg-qa/template/train/120000.json").read_text("utf-8"))
    wanted = sorted({q["ecg_id"][0] for q in questions})
    truths = read_truth(table.loc[wanted], np.full((len(wanted), len(CODES)), np.nan))
    for q in questions:
        kinds = NOISES if q["attribute"] == ["any kind of noises"] else q["attribute"]
        named = re.search(r"in (lead \w+)\?", q["question"])
        noise = truths[q["ecg_id"][0]].noise
        there = any(kind in noise and (named is None or LEADS.index(named[1]) in noise[kind]) for kind in kinds)
        assert q["answer"] == ["yes" if there else "no"], q


def test_interval_labels_explain_every_question_they_came_from(ecg_data: Path) -> None:
    labels = interval_labels(ecg_data / "ecg-qa")
    states = {68: (True, False), 69: (False, True), 70: (True, True)}
    for q in json.loads((ecg_data / "ecg-qa/template/valid/60000.json").read_text("utf-8")):
        first, second = (labels.get(i, {}) for i in q["ecg_id"])
        for feature in set(first) & set(second):
            assert (feature in q["answer"]) == ((first[feature], second[feature]) == states[q["template_id"]])


def test_the_set_of_questions_is_balanced_and_the_same_every_time(ecg_data: Path) -> None:
    rng = np.random.default_rng(0)
    codes = list(CODES)
    truths = {
        i: Truth(
            frozenset(rng.choice(codes, 3)), frozenset(rng.choice(["LVH", "IMI", "ASMI"], 1)),
            {NOISES[i % 4]: frozenset({i % 12, (i + 1) % 12})} if i % 3 else {}, frozenset({"extrasystoles"} if i % 2 else ()),
            frozenset({"old stage of myocardial infarction"} if i % 4 == 0 else ()), axis_of(1 - 2 * (i % 2), 1),
            {f: bool((i + k) % 2) for k, f in enumerate(FEATURES)},
        )
        for i in range(60)
    }  # fmt: skip
    patients, times = {i: i // 2 for i in truths}, {i: str(i) for i in truths}
    items = build(ecg_data / "ecg-qa", truths, patients, times, per_template=24)
    again = build(ecg_data / "ecg-qa", truths, patients, times, per_template=24)
    assert [(i.question, i.ecg_ids, i.answer) for i in items] == [(i.question, i.ecg_ids, i.answer) for i in again]
    counts = Counter(next(iter(i.answer)) for i in items if i.template.number == 27)
    assert abs(counts["yes"] - counts["no"]) <= 4
    assert {i.asked.kind for i in items} == {"verify", "choose", "query"}
    for item in items:
        assert item.answer <= VALUES and expected(item.asked, [truths[i] for i in item.ecg_ids]) == item.answer
        assert len(item.ecg_ids) == (2 if item.asked.relation else 1)
    assert RANGES[1] in VALUES
