"""States, referral and the decision artefact."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assistant.crossfit import cross_fit_report
from assistant.decide import (
    STATES,
    UNFAMILIAR_SHARE,
    Decision,
    critical_remarks,
    fit_decision,
    heard,
    refer_many,
    referral_reasons,
    settle,
    states,
)
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence
from assistant.risk import Thresholds, rare_cases
from assistant.rules import Measured
from encoders.ecg import STANDARD_LEADS
from encoders.errors import ArtefactError, QueryError
from encoders.evaluate import patient_halves
from encoders.leadsets import LEAD_SETS
from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements
from encoders.quality import Quality
from encoders.vocabulary import CODES, STATEMENTS
from retrieval.case import Case
from retrieval.neighbours import Agreement, neighbours_say

N = len(CODES)
COLUMN = {code: i for i, code in enumerate(CODES)}
GOOD = Quality("usable", 0.95)
RARE = ("3AVB", "PSVT")


def measurements(reliability: float = 0.9, **values: float) -> Measurements:
    return Measurements(
        tuple(Measurement(n, values.get(n), 10, ("II",), reliability if n in values else 0.0) for n in MEASUREMENT_NAMES)
    )


@pytest.fixture
def thresholds() -> Thresholds:
    """Present from 0.9, absent below 0.1, RARE never absent."""
    risks = np.array([0.02 if s.urgency == "critical" else 0.05 for s in STATEMENTS])
    absent = np.array([0.0 if c in RARE else 0.1 for c in CODES])
    basis = tuple("not assessed" if c in RARE else "alone" for c in CODES)
    alert = np.maximum(absent, risks)
    return Thresholds(np.full(N, 0.9), absent, alert, ("pooled",) * N, basis, (50,) * N, 0.05, 0.05, 0.02, 1000)


def probabilities(**given: float) -> np.ndarray:
    out = np.full(N, 0.01, np.float32)
    for code, p in given.items():
        out[COLUMN[code.lstrip("_")]] = p
    return out


def evidence(thresholds: Thresholds, p: np.ndarray, quality: Quality = GOOD, age: float | None = 60, **values: float) -> Evidence:
    measured = measurements(**values)
    findings, conflicts = states(p, measured, thresholds, age, "F", quality)
    return Evidence(quality, measured, findings, (), conflicts, age, "F")


def kinds(found: Evidence, thresholds: Thresholds, leads: tuple[str, ...] = STANDARD_LEADS) -> list[str]:
    return [reason.kind for reason in referral_reasons(found, thresholds, leads=leads)]


def test_states_follow_the_thresholds_and_say_why(thresholds: Thresholds) -> None:
    found = evidence(thresholds, probabilities(AFIB=0.95, IMI=0.5, _3AVB=0.01, PSVT=0.4))
    assert found.finding("AFIB").state == PRESENT
    assert found.finding("IMI").state == UNDETERMINED
    assert found.finding("SR").state == ABSENT
    assert found.finding("3AVB").state == NOT_ASSESSED
    assert found.finding("PSVT").state == UNDETERMINED  # rare, but too likely to be passed over
    assert all(f.reason for f in found.findings)
    assert [f.code for f in found.findings] == list(CODES)


def test_conflict_makes_both_undetermined_and_is_named(thresholds: Thresholds) -> None:
    found = evidence(thresholds, probabilities(NORM=0.95, IMI=0.95, SR=0.95))
    assert found.finding("NORM").state == found.finding("IMI").state == UNDETERMINED
    assert found.finding("SR").state == PRESENT
    assert [c.id for c in found.conflicts] == ["R:normal-or-not"]
    assert "R:normal-or-not" in found.finding("NORM").reason


def test_measurement_overrules_the_network(thresholds: Thresholds) -> None:
    p = probabilities(_1AVB=0.97, SR=0.95)
    assert evidence(thresholds, p, pr_ms=240).finding("1AVB").state == PRESENT
    found = evidence(thresholds, p, pr_ms=150)
    assert found.finding("1AVB").state == UNDETERMINED
    assert "M:pr_ms" in found.conflicts[0].items


def test_ischaemia_cannot_be_judged_beside_left_bundle_branch_block(thresholds: Thresholds) -> None:
    found = evidence(thresholds, probabilities(CLBBB=0.97, ISCAL=0.02), qrs_ms=150)
    assert found.finding("CLBBB").state == PRESENT
    assert found.finding("ISCAL").state == UNDETERMINED
    assert "complete left bundle branch block" in found.finding("ISCAL").reason
    assert not found.conflicts


def test_a_clear_recording_is_a_draft(thresholds: Thresholds) -> None:
    assert kinds(evidence(thresholds, probabilities(NORM=0.95, SR=0.97)), thresholds) == []


def test_each_reason_to_refer(thresholds: Thresholds) -> None:
    p = probabilities(SR=0.97)
    clear = evidence(thresholds, p)
    flat = evidence(thresholds, p, Quality("unusable", 0.0, ("Lead V1 is off.",), ("lead_off",)))
    assert kinds(flat, thresholds) == ["unusable"]
    assert {f.state for f in flat.findings} == {NOT_ASSESSED}
    assert kinds(replace(clear, familiarity=UNFAMILIAR_SHARE / 2), thresholds) == ["unfamiliar"]
    assert kinds(evidence(thresholds, p, age=12), thresholds) == ["intended use"]
    assert kinds(evidence(thresholds, p, age=None), thresholds) == []
    assert kinds(clear, thresholds, ("V5",)) == ["intended use"]
    assert kinds(clear, thresholds, STANDARD_LEADS[:3]) == []
    assert kinds(evidence(thresholds, probabilities(SR=0.97, _3AVB=0.05)), thresholds) == ["critical"]
    assert kinds(evidence(thresholds, probabilities(SR=0.97, _3AVB=0.015)), thresholds) == []
    assert kinds(evidence(thresholds, probabilities(SR=0.5)), thresholds) == ["nothing"]


def test_statements_that_cannot_be_judged_alone_do_not_refer(thresholds: Thresholds) -> None:
    found = evidence(thresholds, probabilities(SR=0.97, IMI=0.5, LVH=0.6, PSVT=0.4))
    assert kinds(found, thresholds) == []


def test_leads_that_cannot_be_read_are_named_once(thresholds: Thresholds) -> None:
    found = evidence(thresholds, probabilities(SR=0.97), replace(GOOD, flags=("missing_leads",)))
    (reason,) = referral_reasons(found, thresholds, leads=("V5", "V6"))
    assert reason.text.count("V5") == 1 and "lead I alone" in reason.text


def test_chest_leads_out_of_order_leave_what_the_limb_leads_show(thresholds: Thresholds) -> None:
    doubted = Quality("limited", 0.7, ("V2 and V3 look exchanged.",), ("precordial_swap_suspected",))
    found = evidence(thresholds, probabilities(SR=0.97, IMI=0.95, ASMI=0.95, NORM=0.01), doubted)
    assert found.finding("SR").state == found.finding("IMI").state == PRESENT
    assert found.finding("ASMI").state == found.finding("LVH").state == UNDETERMINED
    assert found.finding("NORM").state == ABSENT
    assert "out of order" in found.finding("ASMI").reason


def test_swapped_arms_leave_the_rhythm_alone(thresholds: Thresholds) -> None:
    swapped = Quality("limited", 0.6, ("The arm electrodes look swapped.",), ("arm_swap_suspected",))
    found = evidence(thresholds, probabilities(SR=0.97, LMI=0.95), swapped)
    assert found.finding("SR").state == PRESENT
    assert found.finding("LMI").state == UNDETERMINED
    assert kinds(found, thresholds) == ["intended use"]


def test_nothing_is_settled_on_what_is_unlike_anything_known(thresholds: Thresholds) -> None:
    findings, _ = states(probabilities(AFIB=0.99), measurements(), thresholds, 60, "F", GOOD, familiarity=0.001)
    assert {f.state for f in findings} <= {UNDETERMINED, NOT_ASSESSED}


def cases_say(code: str, listed: int, asked: int = 50, similarity: float = 0.9) -> tuple[Agreement, ...]:
    """What ``asked`` cases say, all equally near, of which ``listed`` list the statement and all list sinus rhythm."""
    cases = [Case(str(i), similarity, statements={"SR": 0.0} | ({code: 0.0} if i < listed else {})) for i in range(asked)]
    return neighbours_say(cases, {code: 0.05, "SR": 0.8}, 17_000)


def heeding(thresholds: Thresholds, p: np.ndarray, say: tuple[Agreement, ...], quality: Quality = GOOD) -> Evidence:
    findings, conflicts = states(p, measurements(), thresholds, 60, "F", quality, neighbours=say)
    return Evidence(quality, measurements(), findings, (), conflicts, 60, "F", neighbours=heard(say, findings))


def test_what_similar_cases_list_is_not_called_absent(thresholds: Thresholds) -> None:
    p = probabilities(SR=0.97)
    before, after = evidence(thresholds, p), heeding(thresholds, p, cases_say("LAFB", 20))
    assert before.finding("LAFB").state == ABSENT
    doubted = after.finding("LAFB")
    assert doubted.state == UNDETERMINED and doubted.against == ("N:LAFB",) and "20 of the 50" in doubted.reason
    assert doubted.to_json()["against"] == ["N:LAFB"]
    changed = {f.code for f, old in zip(after.findings, before.findings, strict=True) if f.state != old.state}
    assert changed == {"LAFB"}, "nothing else moves, and nothing is stated for it"
    assert [ids for _, ids in after.doubts()] == [("N:LAFB",)]
    assert kinds(after, thresholds) == kinds(before, thresholds) == []
    # Few, far, or out-of-place cases change nothing.
    for say in (cases_say("LAFB", 3), cases_say("LAFB", 2, 4), cases_say("LAFB", 40, similarity=0.5), ()):
        assert heeding(thresholds, p, say).findings == before.findings
    swapped = Quality("limited", 0.6, ("The arm electrodes look swapped.",), ("arm_swap_suspected",))
    assert not any(f.against for f in heeding(thresholds, p, cases_say("LAFB", 20), swapped).findings)


def test_a_present_finding_stays_present_and_is_marked(thresholds: Thresholds) -> None:
    marked = heeding(thresholds, probabilities(SR=0.97, LAFB=0.95), cases_say("LAFB", 20))
    finding = marked.finding("LAFB")
    assert finding.state == PRESENT and finding.against == ("N:LAFB",)
    assert "less than usual: 20 of the 50" in finding.reason and "stated from 0.90" in finding.reason
    assert "bear out" in marked.doubts()[0][0]
    none = heeding(thresholds, probabilities(SR=0.97, LAFB=0.95), cases_say("LAFB", 48))
    assert none.finding("LAFB").against == () and none.doubts() == ()


def test_only_what_is_listed_or_stated_is_evidence(thresholds: Thresholds) -> None:
    found = heeding(thresholds, probabilities(AFIB=0.95), cases_say("LAFB", 2))
    assert {one.id for one in found.neighbours} == {"N:SR", "N:LAFB", "N:AFIB"}
    assert {one["id"] for one in found.to_json()["neighbours"]} == {"N:SR", "N:LAFB", "N:AFIB"}


def test_a_critical_statement_that_similar_cases_list_cannot_be_excluded(thresholds: Thresholds) -> None:
    p = probabilities(SR=0.97)
    code = "3AVB"  # as if there were cases enough to call it absent
    thresholds = replace(thresholds, absent=np.full(N, 0.1), alert=np.full(N, 0.1), absent_basis=("alone",) * N)
    assert kinds(evidence(thresholds, p), thresholds) == []
    found = heeding(thresholds, p, cases_say(code, 20))
    assert kinds(found, thresholds) == ["critical"] and found.finding(code) in found.pressing()
    (remark,) = critical_remarks(found, thresholds)
    assert remark.state == "cannot exclude" and remark.evidence == (f"F:{code}", f"N:{code}")
    listed = np.array([[c == code for c in CODES]])
    settled = settle(p[None], Measured.of(np.full((1, len(MEASUREMENT_NAMES)), np.nan), ["F"]), thresholds, listed)
    assert refer_many(settled, p[None], thresholds)["critical"].tolist() == [True]
    assert settled.heeded.sum() == 1


def test_urgent_statements_that_similar_cases_list_stand_in_the_impression(thresholds: Thresholds) -> None:
    found = heeding(thresholds, probabilities(SR=0.97), cases_say("IMI", 20))
    assert [f.code for f in found.pressing()] == ["IMI"]


def test_arrays_and_single_recordings_agree(thresholds: Thresholds) -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(0.15, 0.8, (150, N)).astype(np.float32)
    values = np.full((150, len(MEASUREMENT_NAMES)), np.nan)
    values[:, MEASUREMENT_NAMES.index("pr_ms")] = rng.uniform(120, 260, 150)
    ages = rng.choice([10.0, 50.0, np.nan], 150)
    table = Measured.of(values, ["F"] * 150)
    settled = settle(p, table, thresholds)
    many = refer_many(settled, p, thresholds, ages=ages)
    for row in range(150):
        age = None if np.isnan(ages[row]) else float(ages[row])
        found = evidence(thresholds, p[row], age=age, pr_ms=float(values[row, MEASUREMENT_NAMES.index("pr_ms")]))
        assert [f.state for f in found.findings] == [STATES[s] for s in settled.states[row]]
        assert set(kinds(found, thresholds)) == {kind for kind, which in many.items() if which[row]}


def test_critical_findings_by_network(thresholds: Thresholds) -> None:
    stated = critical_remarks(evidence(thresholds, probabilities(_3AVB=0.95)), thresholds)
    assert [(c.by, c.state, c.evidence) for c in stated] == [("network", "present", ("F:3AVB",))]
    opened = critical_remarks(evidence(thresholds, probabilities(_3AVB=0.3)), thresholds)
    assert [c.state for c in opened] == ["cannot exclude"]
    assert critical_remarks(evidence(thresholds, probabilities()), thresholds) == ()


def test_critical_findings_by_rule(thresholds: Thresholds) -> None:
    found = critical_remarks(evidence(thresholds, probabilities(SR=0.95), qtc_ms=540, rate_bpm=70), thresholds)
    assert [(c.by, c.evidence) for c in found] == [("rule", ("M:qtc_ms",))]
    assert found[0].state == "present" and found[0].citation
    weak = evidence(thresholds, probabilities(SR=0.95), qtc_ms=540, rate_bpm=70)
    weak = replace(weak, measurements=measurements(0.1, qtc_ms=540, rate_bpm=70))
    assert [c.state for c in critical_remarks(weak, thresholds)] == ["cannot exclude"]


def _calibration(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    p = rng.beta(0.2, 1.0, (n, N)).astype(np.float32)
    labels = (rng.random((n, N)) < p).astype(np.uint8)
    return labels, p, np.arange(n) // 2, rng.gamma(2.0, 0.05, n)


def test_decision_is_written_read_and_bound_to_its_encoder(tmp_path: Path) -> None:
    labels, p, patients, distances = _calibration()
    sets = [one.name for one in LEAD_SETS]
    by_set = dict.fromkeys(sets, p), patients, dict.fromkeys(sets, distances)
    cases = rare_cases(labels, p)
    made = fit_decision(
        labels, *by_set, "a" * 64, tmp_path, {"data": "made up"}, dict.fromkeys(sets, (tuple(-one[::-1] for one in cases), cases))
    )
    read = Decision.load(tmp_path, "a" * 64)
    kept = read.known["limb"]
    assert any(len(one) for one in cases) and len(kept.unseen_scores) == len(kept.summary.unseen) == N
    for one, scores, probabilities in zip(cases, kept.unseen_scores, kept.summary.unseen, strict=True):
        assert np.allclose(scores, -one[::-1], atol=1e-5) and np.allclose(probabilities, one, atol=1e-3)
    one, two = made.thresholds(present_risk=0.1), read.thresholds(present_risk=0.1)
    assert one.absent_basis == two.absent_basis and one.present_basis == two.present_basis
    assert np.allclose(one.present, two.present, atol=1e-3) and np.allclose(one.absent, two.absent, atol=1e-3)
    card = json.loads((tmp_path / "decision.json").read_text())
    assert card["encoder"] == "a" * 64 and card["patients"] == 200 and card["data"] == "made up"
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 1_000_000
    with pytest.raises(ArtefactError, match="another encoder"):
        Decision.load(tmp_path, "b" * 64)


def test_missing_and_damaged_decisions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="missing"):
        Decision.load(tmp_path, "a" * 64)
    fit_decision(*_calibration(), "a" * 64, tmp_path)
    weights = tmp_path / "decision.safetensors"
    weights.write_bytes(weights.read_bytes()[:40])
    with pytest.raises(ArtefactError, match="damaged"):
        Decision.load(tmp_path, "a" * 64)


def test_familiarity_is_a_share_of_the_calibration_recordings() -> None:
    labels, p, patients, distances = _calibration()
    decision = fit_decision(labels, p, patients, distances, "")
    assert decision.familiarity(0.0) == 1.0
    assert decision.familiarity(99.0) == 0.0
    called_strange = np.mean([decision.familiarity(d) < UNFAMILIAR_SHARE for d in distances])
    assert called_strange == pytest.approx(UNFAMILIAR_SHARE, abs=0.003)
    with pytest.raises(QueryError, match="400 recordings"):
        fit_decision(labels, p, patients, distances[:-1], "")


def test_halves_never_split_a_patient() -> None:
    patients = np.random.default_rng(0).integers(0, 60, 300)
    first = patient_halves(patients)
    assert not set(patients[first]) & set(patients[~first])
    assert 0.3 < first.mean() < 0.7


def test_cross_fit_counts_what_it_says() -> None:
    rng = np.random.default_rng(2)
    n = 800
    p = np.clip(rng.beta(0.2, 1.0, (n, N)), 1e-4, 1 - 1e-4)
    labels = (rng.random((n, N)) < p).astype(np.uint8)
    ages = rng.choice([15.0, 30.0, 70.0, np.nan], n)
    table = Measured.of(np.full((n, len(MEASUREMENT_NAMES)), np.nan), rng.choice(np.array(["F", "M"], object), n).tolist())
    report = cross_fit_report(labels, p, np.arange(n) // 2, table, logits=False, ages=ages)
    assert report["recordings"] == n
    assert report["by_group"]["age 0-17"]["referred"] == 1.0
    assert report["referred"]["by_reason"]["intended use"] == pytest.approx((ages < 18).mean())
    by_statement = report["by_statement"].values()
    assert sum(row["stated"] for row in by_statement) == report["stated"]["stated"]
    assert sum(row["stated_right"] for row in by_statement) == round(report["stated"]["precision"] * report["stated"]["stated"])
    assert report["stated"]["precision"] > 0.93
    low, high = report["stated"]["precision_95"]
    assert low < report["stated"]["precision"] < high
    assert report["by_group"]["women"]["recordings"] + report["by_group"]["men"]["recordings"] == n
    json.dumps(report)
    listed = rng.random((n, N)) < 0.2
    heeded = cross_fit_report(labels, p, np.arange(n) // 2, table, logits=False, ages=ages, listed=listed)
    moved = heeded["not_absent_for_similar_cases"]
    assert moved["findings"] > moved["recordings"] > 0 and heeded["stated"] == report["stated"]
    for kind in ("other", "critical"):
        assert heeded["absent"][kind]["called_absent"] <= report["absent"][kind]["called_absent"]
    assert report["not_absent_for_similar_cases"]["findings"] == 0
