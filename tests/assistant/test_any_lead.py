"""Fewer than twelve leads: what may be said of them, end to end."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assistant.answer import Answer
from assistant.assistant import Assistant
from assistant.decide import Decision, fit_decision, settle
from assistant.evidence import ABSENT, PRESENT, UNDETERMINED
from assistant.report import Draft, Referral
from assistant.risk import Thresholds, fit_risk
from assistant.rules import Measured
from assistant.visible import can_exclude, can_state, lead_note, lead_reason, leads_lacking
from encoders.ecg import ECG, LIMB_LEADS
from encoders.encode import Encoding
from encoders.errors import ArtefactError
from encoders.leadsets import LEAD_SETS, lead_set_of
from encoders.measurements import MEASUREMENT_NAMES
from encoders.vocabulary import CODES, STATEMENTS, codes_in
from retrieval.case import Case
from retrieval.library import Found
from retrieval.neighbours import neighbours_say
from ui import cli
from ui.demo import demo

N = len(CODES)
HASH = "e" * 64
#: From lead I alone none of these can be seen, let alone placed.
BLIND = [c for c in CODES if c in codes_in("MI") or c.startswith(("ISC", "INJ")) or c in ("STE_", "STD_", "LVH", "CLBBB", "NORM")]


class Told:
    """An encoder that says what it is told, of the leads that it is given."""

    hash = HASH

    def __init__(self, **probabilities: float) -> None:
        self.p = np.full(N, 0.004, np.float32)
        for code, value in probabilities.items():
            self.p[CODES.index(code.lstrip("_"))] = value

    def encode(self, ecgs: list[ECG]) -> list[Encoding]:
        unit = np.eye(1, 256, dtype=np.float32)[0]
        names = [found.name for ecg in ecgs if (found := lead_set_of(ecg.leads)) is not None]
        assert len(names) == len(ecgs)
        return [Encoding(self.p, self.p, unit, np.zeros((16, 256), np.float32), name) for name in names]

    def with_measurements(self, encoding: Encoding, *_: object) -> Encoding:
        return encoding


class Shelf:
    def find(self, *, embedding: np.ndarray, k: int, patient: str | None, content_hash: str) -> Found:
        cases = tuple(Case(str(i), 0.9, 60, "F", {"SR": 0.0}) for i in range(k))
        return Found(cases, neighbours=neighbours_say(cases * 10, {"SR": 0.7}, 1000))

    def nearest_distance(self, embeddings: np.ndarray) -> np.ndarray:
        return np.full(len(embeddings), 0.05, np.float32)


class Silent:
    prompts = 0

    def generate(self, prompts, tokens, max_new_tokens=96, *again):  # type: ignore[no-untyped-def]
        self.prompts += len(prompts)
        return [type("Text", (), {"text": "", "confidence": 0.9})() for _ in prompts]


def _world(n: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    """Labels and well separated probabilities: every statement has cases."""
    rng = np.random.default_rng(0)
    labels = (rng.random((n, N)) < 0.2).astype(np.uint8)
    p = np.where(labels > 0, rng.uniform(0.55, 0.99, labels.shape), rng.uniform(0.0, 0.06, labels.shape))
    hidden = (labels > 0) & (rng.random(labels.shape) < 0.1)
    return labels, np.where(hidden, rng.uniform(0.02, 0.3, labels.shape), p).astype(np.float32)


@pytest.fixture(scope="module")
def decision() -> Decision:
    labels, p = _world()
    near = np.random.default_rng(1).uniform(0.01, 0.1, len(p))
    sets = [one.name for one in LEAD_SETS]
    return fit_decision(labels, dict.fromkeys(sets, p), np.arange(len(p)), dict.fromkeys(sets, near), HASH)


def reader(decision: Decision, **probabilities: float) -> Assistant:
    return Assistant(encoder=Told(**probabilities), library=Shelf(), decision=decision, language=Silent())


@pytest.fixture(scope="module")
def one_lead() -> ECG:
    return replace(demo("normal"), age_years=60, sex="F").select(("I",))


def test_more_leads_never_see_less() -> None:
    order = ["I", "limb", "I+II+V2", "12"]
    for fewer, more in zip(order, order[1:], strict=False):
        for seen in (can_state, can_exclude):
            assert not (seen(fewer) & ~seen(more)).any()
    assert can_state("12").all() and can_exclude("12").all()
    assert not any(can_state("I")[CODES.index(c)] or can_exclude("I")[CODES.index(c)] for c in BLIND if c != "NORM")
    assert not can_state("limb")[CODES.index("NORM")] and can_exclude("limb")[CODES.index("NORM")]
    assert all(can_state("I")[CODES.index(s.code)] for s in STATEMENTS if "rhythm" in s.categories)
    assert can_state("limb")[CODES.index("IMI")] and not can_state("limb")[CODES.index("AMI")]
    for name in ("I", "limb", "I+II+V2"):
        withheld = ~(can_state(name) & can_exclude(name))
        assert all(bool(leads_lacking(c, name)) == withheld[i] for i, c in enumerate(CODES))
    assert "II, III, aVF" in lead_reason("IMI", "I") and lead_reason("IMI", "limb") == "" == lead_note("12")


def test_thresholds_leave_out_what_the_leads_cannot_bear_out() -> None:
    labels, p = _world()
    full, one = fit_risk(labels, p), fit_risk(labels, p, read_from="I")
    blind = [CODES.index(c) for c in BLIND]
    assert {full.present_basis[i] for i in blind} <= {"pooled", "alone"}
    assert {one.present_basis[i] for i in blind} == {"leads"} and (one.present[blind] > 1).all()
    assert all(one.absent[i] == 0 and one.absent_basis[i] == "leads" for i in blind if CODES[i] != "NORM")
    assert "lead I alone" in one.guarantee() and "lead" not in full.guarantee()
    again = Thresholds.from_json(json.loads(json.dumps(one.to_json())))
    assert again.lead_set == "I" and again.present_basis == one.present_basis
    empty = Measured.of(np.full((len(p), len(MEASUREMENT_NAMES)), np.nan), ["F"] * len(p))
    settled = settle(p, empty, one)
    assert set(np.unique(settled.states[:, [i for i in blind if CODES[i] != "NORM"]])) == {2}  # undetermined, all of them
    # The promise holds over what is still stated.
    said = settled.states == 0
    assert said.any() and (labels[said] == 0).mean() <= 0.05


def test_a_single_lead_is_drafted_with_what_it_cannot_show(decision: Decision, one_lead: ECG) -> None:
    made = reader(decision, SR=0.98, AMI=0.99, NORM=0.99, STE_=0.001).report(one_lead)
    assert isinstance(made, Draft)
    found = made.evidence
    assert found.lead_set == "I" and found.finding("SR").state == PRESENT
    assert {found.finding(c).state for c in BLIND} == {UNDETERMINED}
    assert "needs V2, V3, V4" in found.finding("AMI").reason
    document = made.to_json()
    assert document["lead_set"] == "I" and "lead I alone" in document["guarantee"]
    quality = " ".join(line["text"] for line in document["sections"]["quality"])
    assert "Read from lead I alone" in quality and "infarction" in quality and "cannot be judged" in quality
    assert document["quality"]["verdict"] != "unusable" and "missing_leads" not in document["quality"]["flags"]
    assert document["measurements"]["axis_deg"]["value"] is None and document["measurements"]["qrs_ms"]["value"] is not None
    text = made.to_text()
    assert "normal ECG is present" not in text and "No such finding" not in text.split("Infarction and ST-T")[1][:200]


def test_answers_from_a_single_lead_never_deny_an_infarction(decision: Decision, one_lead: ECG) -> None:
    asked = reader(decision, SR=0.98, AFIB=0.003)
    infarct = asked.ask(one_lead, "Is there a myocardial infarction?")
    assert isinstance(infarct, Referral) and infarct.values == ("cannot be judged",)
    fibrillation = asked.ask(one_lead, "Is there atrial fibrillation?")
    assert isinstance(fibrillation, Answer) and fibrillation.values == ("no",)
    assert "lead I alone" in fibrillation.text
    width = asked.ask(one_lead, "What is the QRS duration?")
    assert isinstance(width, Answer) and "lead I alone" not in width.text
    axis = asked.ask(one_lead, "What is the axis?")
    assert isinstance(axis, Referral)


def test_leads_outside_every_set_are_measured_and_referred(decision: Decision) -> None:
    made = reader(decision, SR=0.98).report(demo("normal").select(("V5",)))
    assert isinstance(made, Referral) and [r.kind for r in made.reasons] == ["intended use"]
    assert "holds only V5" in made.reasons[0].text and made.evidence.lead_set is None
    assert {f.state for f in made.evidence.findings} == {UNDETERMINED} and made.evidence.cases == ()
    assert made.evidence.measurements.value("rate_bpm") is not None
    rate = reader(decision, SR=0.98).ask(demo("normal").select(("V5",)), "What is the heart rate?")
    assert isinstance(rate, Answer)
    declined = reader(decision, SR=0.98).ask(demo("normal").select(("V5",)), "Is there atrial fibrillation?")
    assert isinstance(declined, Referral) and "V5" in declined.text


def test_spare_leads_are_named_and_limb_leads_are_completed(decision: Decision) -> None:
    made = reader(decision, SR=0.98).report(demo("normal").select(("II", "III", "V5")))
    assert made.evidence.lead_set == "limb" and made.evidence.measurements.value("axis_deg") is not None
    assert any("not read for findings: V5" in limit for limit in made.to_json()["limits"])
    three = [demo("normal"), demo("normal").select(("I",)), demo("af").select(LIMB_LEADS)]
    mixed = reader(decision, SR=0.98, NORM=0.98).read(three)
    assert [one.evidence.lead_set for one in mixed] == ["12", "I", "limb"]
    assert mixed[0].evidence.finding("NORM").state == PRESENT and mixed[1].evidence.finding("NORM").state == UNDETERMINED


def test_familiarity_is_measured_among_recordings_of_the_same_leads(tmp_path: Path) -> None:
    labels, p = _world(400)
    sets = [one.name for one in LEAD_SETS]
    far = {name: np.full(400, 0.1 * (i + 1)) for i, name in enumerate(sets)}
    fit_decision(labels, dict.fromkeys(sets, p), np.arange(400), far, HASH, tmp_path)
    read = Decision.load(tmp_path, HASH)
    assert read.familiarity(0.35) == 0.0 and read.familiarity(0.35, "I") == 1.0
    assert read.thresholds("limb").lead_set == "limb"
    fit_decision(labels, p, np.arange(400), far["12"], HASH, tmp_path)
    with pytest.raises(ArtefactError, match="damaged"):
        Decision.load(tmp_path, HASH)


def test_shipped_thresholds_cover_every_set_and_never_state_infarction_from_lead_one() -> None:
    from encoders.encode import Encoder

    decision = Decision.load(None, Encoder.load().hash)
    for one in LEAD_SETS:
        made = decision.thresholds(one.name)
        assert made.recordings == 2183 and made.lead_set == one.name
        assert (made.present[~can_state(one.name)] > 1).all() and (made.absent[~can_exclude(one.name)] == 0).all()
    lax = decision.thresholds("I", present_risk=0.5, absent_risk=0.5, critical_risk=0.5)
    assert all(lax.present[CODES.index(c)] > 1 for c in BLIND)
    assert decision.known["I"].distances.mean() > decision.known["12"].distances.mean()


def test_commands_take_a_single_lead(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*words: str) -> str:
        assert cli.main([*words, "--leads", "I"]) == 0
        return capsys.readouterr().out

    monkeypatch.setattr(Assistant, "language", Silent())
    document = json.loads(run("report", "demo:normal", "--json", "--plot", str(tmp_path / "paper.svg")))
    assert document["neighbours"] == [] and len(document["cases"]) == 10  # the bounds hold for twelve leads alone
    assert document["lead_set"] == "I" and (tmp_path / "paper.svg").read_text().count(">I<") == 1
    states = {f["code"]: f["state"] for f in document["findings"]}
    assert {states[c] for c in BLIND if c != "NORM"} == {UNDETERMINED} and states["NORM"] in (UNDETERMINED, ABSENT)
    answered = json.loads(run("ask", "demo:normal", "Is there a myocardial infarction?", "--json"))
    assert answered["values"] == ["cannot be judged"]
    predicted = run("predict", "demo:normal").splitlines()
    assert predicted[1].endswith(",true,usable,,") and len(predicted) == 2
    assert ",true,usable,," in run("measure", "demo:normal").splitlines()[1]
    assert len(json.loads(run("cases", "search", "demo:normal", "--k", "3", "--json"))["cases"]) == 3
    monkeypatch.setattr("sys.stdin", io.StringIO("What is the heart rate?\n"))
    assert "/min" in run("chat", "demo:normal")
    assert cli.main(["predict", "demo:normal", "--leads", "V5"]) == 2, "no recording gave values"
    row = capsys.readouterr().out.splitlines()[1]
    assert "holds only V5" in row and ",,,true,usable,," in row  # a good signal from leads that give no values
