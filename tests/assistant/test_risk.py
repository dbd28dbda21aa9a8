"""Thresholds from a stated risk: the promises hold on fresh data, few cases give no promise, files give back what they got."""

from __future__ import annotations

import numpy as np
import pytest

from assistant.risk import (
    MIN_CASES,
    RARE,
    USEFUL,
    CalibrationSummary,
    Thresholds,
    fit_risk,
    rare_cases,
    summarise,
    thresholds_for,
)  # fmt: skip
from encoders.errors import ArtefactError, QueryError
from encoders.vocabulary import CODES, STATEMENTS

N = len(CODES)


def calibrated(n: int, seed: int, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the very probabilities, so that these are calibrated by construction."""
    rng = np.random.default_rng(seed)
    offset = np.log(rates / (1 - rates))
    logits = 3.0 * rng.normal(size=(n, N)) + 1.8 * offset - 1
    p = 1 / (1 + np.exp(-logits))
    return (rng.random((n, N)) < p).astype(np.uint8), p.astype(np.float32)


RATES = np.r_[np.full(10, 0.3), np.full(30, 0.08), np.full(N - 40, 0.01)]


def test_promises_hold_on_recordings_not_calibrated_on() -> None:
    wrong_shares, missed_shares = [], []
    for seed in range(6):
        labels, p = calibrated(1000, seed, RATES)
        thresholds = fit_risk(labels, p)
        fresh_labels, fresh = calibrated(3000, 100 + seed, RATES)
        said = fresh >= thresholds.present
        wrong_shares.append((said & (fresh_labels == 0)).sum() / said.sum())
        absent = ~said & (fresh < thresholds.absent)
        judged = np.array([basis != "not assessed" for basis in thresholds.absent_basis])
        true = (fresh_labels > 0) & judged
        missed_shares.append((absent & true).sum() / true.sum())
        assert said.sum() > 1000 and absent.sum() > 10_000  # the promise is not kept by silence
    assert max(wrong_shares) <= 0.055
    assert np.mean(missed_shares) <= 0.052


def test_risk_is_an_option_and_changes_both_sides() -> None:
    labels, p = calibrated(2000, 1, RATES)
    strict, lax = fit_risk(labels, p, present_risk=0.02, absent_risk=0.02), fit_risk(labels, p, present_risk=0.2, absent_risk=0.2)
    assert ((p >= strict.present).sum()) < ((p >= lax.present).sum())
    assert ((p < strict.absent).sum()) < ((p < lax.absent).sum())
    assert "20 %" in lax.guarantee() and "2000" in lax.guarantee()


@pytest.mark.parametrize("risk", [0.0, -0.1, 0.6, float("nan")])
@pytest.mark.parametrize("name", ["present_risk", "absent_risk", "critical_risk"])
def test_risks_out_of_range_are_refused_with_a_sentence(name: str, risk: float) -> None:
    labels, p = calibrated(50, 1, RATES)
    with pytest.raises(QueryError, match=name):
        fit_risk(labels, p, **{name: risk})


def test_few_cases_are_never_called_absent() -> None:
    labels, p = calibrated(400, 3, RATES)
    thresholds = fit_risk(labels, p)
    for i in range(N):
        if labels[:, i].sum() < MIN_CASES:
            assert thresholds.absent_basis[i] == "not assessed"
            assert thresholds.absent[i] == 0
    assert "not assessed" in thresholds.absent_basis and "alone" in thresholds.absent_basis


def test_absence_of_critical_statements_needs_more_cases() -> None:
    """2 % of n + 1 cases is below one case until n = 49, so that fewer cases give no promise of their own."""
    i = next(k for k, s in enumerate(STATEMENTS) if s.urgency == "critical")
    rng = np.random.default_rng(0)
    labels = np.zeros((1000, N), np.uint8)
    labels[:48, i] = 1
    p = rng.uniform(0, 0.1, (1000, N)).astype(np.float32)
    p[:48, i] += 0.6
    assert fit_risk(labels, p).absent_basis[i] != "alone"
    labels[48, i] = 1
    p[48, i] += 0.6
    thresholds = fit_risk(labels, p)
    assert thresholds.absent_basis[i] == "alone"
    assert np.isclose(thresholds.absent[i], p[:49, i].min(), atol=1e-6)


def test_a_statement_that_is_often_wrong_is_not_carried_by_the_others() -> None:
    rng = np.random.default_rng(5)
    labels, p = calibrated(1500, 5, RATES)
    p[:, 20] = rng.uniform(0.9, 1.0, 1500)  # loud and mostly wrong
    labels[:, 20] = rng.random(1500) < 0.3
    thresholds = fit_risk(labels, p)
    assert (p[:, 20] >= thresholds.present[20]).mean() < 0.02
    assert (np.delete(p, 20, 1) >= np.delete(thresholds.present, 20)).sum() > 500


def test_a_wrong_label_among_the_surest_does_not_shut_a_statement_out() -> None:
    labels, p = calibrated(2000, 5, RATES)
    at = 3
    surest = np.argsort(-p[:, at])[:120]
    labels[surest, at] = 1
    labels[surest[[1, 40, 70]], at] = 0  # too many for a cut of its own, not for the pool
    p[:, at] = np.minimum(p[:, at], 0.97)
    p[surest[:2], at] = 0.99
    thresholds = fit_risk(labels, p)
    assert thresholds.present[at] < 0.95 and thresholds.present_basis[at] != "never"
    labels[surest[::4], at] = 0  # one in four wrong is another matter
    assert fit_risk(labels, p).present[at] > thresholds.present[at]


def test_crossing_thresholds_leave_no_gap_and_no_overlap() -> None:
    labels = np.zeros((600, N), np.uint8)
    labels[:300] = 1
    p = np.where(labels > 0, 0.95, 0.02).astype(np.float32)
    thresholds = fit_risk(labels, p)
    assert (thresholds.absent <= thresholds.present).all()
    assert ((p >= thresholds.present) == (labels > 0)).all()
    assert ((p < thresholds.absent) == (labels == 0)).all()


def test_alert_is_never_below_the_risk_accepted() -> None:
    labels, p = calibrated(800, 7, RATES)
    thresholds = fit_risk(labels, p)
    for i, s in enumerate(STATEMENTS):
        assert thresholds.alert[i] >= (0.02 if s.urgency == "critical" else 0.05)
        assert thresholds.alert[i] >= thresholds.absent[i]


def test_summary_and_thresholds_come_back_from_their_files() -> None:
    labels, p = calibrated(777, 2, RATES)
    summary = summarise(labels, p)
    again = CalibrationSummary.from_arrays(summary.to_arrays())
    assert (again.labels == summary.labels).all()
    assert np.allclose(again.probabilities, summary.probabilities, atol=1e-4)
    one, two = thresholds_for(summary), thresholds_for(again)
    assert one.absent_basis == two.absent_basis and np.allclose(one.present, two.present, atol=1e-3)
    back = Thresholds.from_json(one.to_json())
    assert np.allclose(back.present, one.present, atol=1e-6) and back.guarantee() == one.guarantee()
    data = one.to_json()
    del data["statements"]["AFIB"]
    with pytest.raises(ArtefactError, match="AFIB"):
        Thresholds.from_json(data)


def test_summary_holds_no_recording_as_a_whole() -> None:
    labels, p = calibrated(200, 4, RATES)
    assert (np.diff(summarise(labels, p).probabilities, axis=0) <= 0).all()


def test_shapes_must_fit() -> None:
    with pytest.raises(QueryError, match="71"):
        summarise(np.zeros((5, 70), np.uint8), np.zeros((5, 70), np.float32))


RARELY = np.r_[np.full(10, 0.3), np.full(30, 0.08), np.full(N - 40, 0.004)]


def test_the_absence_of_rare_statements_is_promised_from_cases_elsewhere() -> None:
    missed = cases = settled = 0
    for seed in range(4):
        labels, p = calibrated(1200, seed, RARELY)
        unseen = rare_cases(*calibrated(20_000, 50 + seed, RARELY))
        plain, more = fit_risk(labels, p), fit_risk(labels, p, unseen=unseen)
        rare = [i for i, basis in enumerate(more.absent_basis) if basis == "out of fold"]
        assert rare and all(plain.absent_basis[i] == "not assessed" and labels[:, i].sum() < MIN_CASES for i in rare)
        others = [i for i in range(N) if i not in rare]
        assert np.array_equal(plain.absent[others], more.absent[others]) and np.array_equal(plain.present, more.present)
        fresh_labels, fresh = calibrated(20_000, 90 + seed, RARELY)
        true = fresh_labels[:, rare] > 0
        missed += int((true & (fresh[:, rare] < more.absent[rare])).sum())
        cases += int(true.sum())
        settled += float((fresh[:, rare] < more.absent[rare]).mean())
    assert cases > 500 and missed <= 0.06 * cases
    assert settled / 4 >= USEFUL


def test_a_threshold_that_would_settle_little_is_not_used() -> None:
    labels, p = calibrated(1200, 0, RARELY)
    rare = next(i for i in range(40, N) if 0 < labels[:, i].sum() < MIN_CASES and STATEMENTS[i].urgency != "critical")
    low, high = np.quantile(p[:, rare], [0.3, 0.7])
    for value, basis in ((low, "not assessed"), (high, "out of fold")):
        unseen = tuple(np.full(40, value) if i == rare else np.zeros(0) for i in range(N))
        assert fit_risk(labels, p, unseen=unseen).absent_basis[rare] == basis
    few = tuple(np.full(MIN_CASES - 1, high) if i == rare else np.zeros(0) for i in range(N))
    assert fit_risk(labels, p, unseen=few).absent_basis[rare] == "not assessed"


def test_rare_statements_with_too_few_cases_elsewhere_share_them() -> None:
    labels, p = calibrated(1200, 0, RARELY)
    pool = [i for i in range(40, N) if labels[:, i].sum() < MIN_CASES and STATEMENTS[i].urgency != "critical"][:3]
    unseen = tuple(np.quantile(p[:, i], np.linspace(0.7, 0.99, 12)) if i in pool else np.zeros(0) for i in range(N))
    found = fit_risk(labels, p, unseen=unseen)
    assert all(found.absent_basis[i] == "out of fold" for i in pool)
    below = [(p[:, i] < found.absent[i]).mean() for i in pool]
    assert max(below) - min(below) < 0.02 and max(below) <= 0.72  # one cut for all, on the scale of shares


def test_unseen_cases_come_back_from_their_file() -> None:
    labels, p = calibrated(300, 2, RATES)
    unseen = rare_cases(*calibrated(600, 3, RATES))
    assert [len(one) > 0 for one in unseen] == [0 < count <= RARE for count in calibrated(600, 3, RATES)[0].sum(axis=0)]
    again = CalibrationSummary.from_arrays(summarise(labels, p, unseen).to_arrays()).unseen
    assert all(len(a) == len(b) and np.allclose(a, b, atol=1e-4) for a, b in zip(unseen, again, strict=True))
    assert all((np.diff(one) >= 0).all() for one in unseen)
