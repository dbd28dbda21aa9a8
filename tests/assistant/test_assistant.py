"""The assistant end to end, with a made-up encoder and a stub for the language model; every other part is the real one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from assistant.answer import Answer
from assistant.assistant import Assistant
from assistant.check import check
from assistant.decide import Decision, fit_decision
from assistant.evidence import ABSENT, PRESENT, UNDETERMINED
from assistant.report import Draft, Referral
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.encode import Encoding
from encoders.errors import QueryError
from encoders.vocabulary import CODES
from retrieval.case import Case
from retrieval.library import Found
from retrieval.neighbours import Agreement, neighbours_say
from ui.demo import resolve

N = len(CODES)
HASH = "e" * 64


class FakeEncoder:
    """Probabilities as told, an embedding that points where it is told."""

    hash = HASH

    def __init__(self, **probabilities: float) -> None:
        self.probabilities = np.full(N, 0.004, np.float32)
        for code, p in probabilities.items():
            self.probabilities[CODES.index(code.lstrip("_"))] = p

    def encode(self, ecgs: Sequence[ECG]) -> list[Encoding]:
        unit = np.eye(1, 256, dtype=np.float32)[0]
        return [Encoding(self.probabilities, self.probabilities, unit, np.zeros((16, 256), np.float32)) for _ in ecgs]

    def with_measurements(self, encoding: Encoding, *_: object) -> Encoding:
        return encoding


@dataclass
class FakeLibrary:
    distance: float = 0.05
    left_out: list[str | None] = field(default_factory=list)

    say: tuple[Agreement, ...] = ()

    def find(self, *, embedding: np.ndarray, k: int, patient: str | None, content_hash: str) -> Found:
        assert len(content_hash) == 64
        self.left_out.append(patient)
        return Found(tuple(Case(str(i), 0.9, 60, "F", {"SR": 0.0}) for i in range(k)), 2, 1, neighbours=self.say)

    def neighbours(self, embedding: np.ndarray, *, patient: str | None, content_hash: str) -> tuple[Agreement, ...]:
        return self.say

    def nearest_distance(self, embeddings: np.ndarray) -> np.ndarray:
        return np.full(len(embeddings), self.distance, np.float32)


@dataclass
class Text:
    text: str
    confidence: float = 0.9


class StubModel:
    """Says what it is told, and remembers what it was asked."""

    def __init__(self, text: str = "") -> None:
        self.text, self.prompts, self.tokens = text, [], []

    def generate(
        self, prompts: Sequence[str], tokens: Sequence[Sequence[np.ndarray]], max_new_tokens: int = 96, *again: Sequence[str]
    ) -> list[Text]:
        self.prompts += prompts
        self.tokens += [len(t) for t in tokens]
        return [Text(self.text) for _ in prompts]


@pytest.fixture(scope="module")
def decision() -> Decision:
    """Cut-offs of a well separated world: every statement has cases, present from about 0.5."""
    rng = np.random.default_rng(0)
    labels = (rng.random((1200, N)) < 0.2).astype(np.uint8)
    p = np.where(labels > 0, rng.uniform(0.55, 0.99, labels.shape), rng.uniform(0.0, 0.06, labels.shape))
    # Some true cases look like nothing, so that there is room between the cut-offs.
    hidden = (labels > 0) & (rng.random(labels.shape) < 0.1)
    p = np.where(hidden, rng.uniform(0.02, 0.3, labels.shape), p).astype(np.float32)
    return fit_decision(labels, p, np.arange(1200), rng.uniform(0.01, 0.1, 1200), HASH)


def assistant(decision: Decision, text: str = "", distance: float = 0.05, **probabilities: float) -> Assistant:
    return Assistant(
        encoder=FakeEncoder(**probabilities), library=FakeLibrary(distance), decision=decision, language=StubModel(text)
    )


@pytest.fixture(scope="module")
def normal() -> ECG:
    return resolve("demo:normal", age_years=60, sex="F")


@pytest.fixture(scope="module")
def af() -> ECG:
    """No P waves, irregular: the rules would not let atrial fibrillation stand on the normal one."""
    return resolve("demo:af", age_years=70, sex="M")


def test_importing_is_cheap_and_public_names_are_there() -> None:
    code = (
        "import sys, assistant; from assistant import Assistant; "
        "assert not {'torch', 'transformers', 'faiss', 'gradio', 'matplotlib'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    import assistant as package

    assert all(hasattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = package.nothing_like_it


def test_a_clear_recording_is_drafted_in_the_models_words(decision: Decision, normal: ECG) -> None:
    made = assistant(decision, "Sinus rhythm at [rate_bpm]. Normal ECG.", SR=0.98, NORM=0.97).report(normal)
    assert isinstance(made, Draft)
    first = made.impression[0]
    rate = made.evidence.measurements["rate_bpm"].text()
    assert first.text == f"Sinus rhythm at {rate}." and first.source == "language model"
    assert set(first.evidence) == {"F:SR", "M:rate_bpm"}
    assert made.report.checker["dropped"] == 0
    assert len(made.evidence.cases) == 10
    json.dumps(made.to_json(), allow_nan=False)


def test_similar_cases_are_heard_and_never_called_absent_against_them(decision: Decision, normal: ECG) -> None:
    def say(code: str, listed: int) -> tuple[Agreement, ...]:
        cases = [Case(str(i), 0.9, statements={"SR": 0.0} | ({code: 0.0} if i < listed else {})) for i in range(50)]
        return neighbours_say(cases, {code: 0.05, "SR": 0.8}, 17_000)

    reader = assistant(decision, "Sinus rhythm. No left anterior fascicular block.", SR=0.98)
    reader.library.say = say("LAFB", 20)
    made = reader.report(normal)
    document, text = made.to_json(), " ".join(made.to_text().split())
    assert made.evidence.finding("LAFB").state == UNDETERMINED
    assert "No left anterior fascicular block" not in text
    assert "Left anterior fascicular block cannot be judged." in {line["text"] for line in document["sections"]["conduction"]}
    said = [line for line in document["sections"]["conduction"] if line["evidence"] == ["N:LAFB"]]
    assert len(said) == 1 and "leave the absence" in said[0]["text"] and check(said[0]["text"], made.evidence).supported
    assert {"id": "N:LAFB", "listed": 20, "asked": 50, "expected": 2.5}.items() <= document["neighbours"][1].items()
    assert document["left_out"] == {"own": 2, "duplicates": 1} and "Left out: 2 of this patient's own" in text
    assert "listed by 20 of 50 similar cases, 2.5 by chance [N:LAFB]" in text
    asked = reader.ask(normal, "Is there a left anterior fascicular block?")
    assert isinstance(asked, Referral) and asked.values == ("cannot be judged",)
    # What is found does not depend on how many cases are shown.
    shown_none = reader.report(normal, k=0).evidence
    assert shown_none.findings == made.evidence.findings and shown_none.cases == ()
    # Another library is searched for cases; the one whose bounds are known is heard.
    reader.known = FakeLibrary(say=say("LVH", 20))
    other = reader.analyse(normal)
    assert other.finding("LAFB").state == ABSENT and other.finding("LVH").against == ("N:LVH",)


def test_unsupported_sentences_never_reach_the_reader(decision: Decision, normal: ECG) -> None:
    text = (
        "Sinus rhythm. Acute infarction is excluded. Give aspirin 300 mg. Atrial flutter is present. "
        "The QRS duration is 310 ms."
    )
    made = assistant(decision, text, SR=0.98, NORM=0.97).report(normal)
    printed = made.to_text().lower()
    for wrong in ("excluded. give", "aspirin", "atrial flutter is present", "310 ms"):
        assert wrong not in printed
    assert made.report.checker["sentences"] == 5 and made.report.checker["dropped"] == 4
    assert any("F:NORM" in line.evidence for line in made.impression)  # what the model left out is said by the renderer


def test_every_present_finding_is_in_the_impression_even_if_the_model_says_nothing(decision: Decision, af: ECG) -> None:
    made = assistant(decision, "", AFIB=0.98, PVC=0.9, LVH=0.02).report(af, k=0)
    said = {i for line in made.impression for i in line.evidence}
    present = {f.id for f in made.evidence.in_state(PRESENT)}
    assert present and present <= said
    assert {line.source for line in made.impression} == {"renderer"}
    assert made.evidence.cases == ()


def test_referrals_say_why_and_keep_what_is_known(decision: Decision, normal: ECG) -> None:
    nothing = assistant(decision, "", SR=0.2).report(normal)
    assert isinstance(nothing, Referral) and [r.kind for r in nothing.reasons] == ["nothing"]
    strange = assistant(decision, "", distance=0.9, SR=0.98).report(normal)
    assert [r.kind for r in strange.reasons][0] == "unfamiliar"
    assert strange.evidence.finding("SR").state == UNDETERMINED
    flat = ECG(np.zeros((12, 5000), np.float32), 500.0, STANDARD_LEADS)
    unusable = assistant(decision, "", SR=0.98).report(flat)
    assert isinstance(unusable, Referral) and unusable.reasons[0].kind == "unusable"
    child = assistant(decision, "", SR=0.98).report(resolve("demo:normal", age_years=9, sex="F"))
    assert [r.kind for r in child.reasons] == ["intended use"]
    for made in (nothing, strange, unusable, child):
        assert made.to_json()["status"] == "referral" and made.to_json()["reasons"] and made.who
        assert "Referral" in made.to_text()


def test_an_unusable_recording_is_never_shown_to_the_model(decision: Decision) -> None:
    reader = assistant(decision, "Normal ECG.", SR=0.98, NORM=0.98)
    made = reader.report(ECG(np.zeros((12, 5000), np.float32), 500.0, STANDARD_LEADS))
    assert reader.language.prompts == []
    assert "Normal ECG." not in made.to_text()


def test_answers_give_bare_values_confidence_and_ids(decision: Decision, af: ECG) -> None:
    reader = assistant(decision, "", AFIB=0.98, SR=0.004)
    yes = reader.ask(af, "Is there atrial fibrillation?")
    assert isinstance(yes, Answer) and yes.values == ("yes",) and yes.confidence == pytest.approx(0.98, abs=1e-3)
    assert "F:AFIB" in yes.ids and yes.text.lower().startswith("yes")
    no = reader.ask(af, "Is there sinus rhythm?")
    assert isinstance(no, Answer) and no.values == ("no",) and no.confidence == pytest.approx(0.996, abs=1e-3)
    width = reader.ask(af, "What is the QRS duration?")
    measured = reader.analyse(af).measurements["qrs_ms"]
    assert isinstance(width, Answer) and width.values == (measured.text(),) and measured.text() in width.text
    assert width.to_json()["status"] == "answer" and width.to_json()["evidence"]


def test_the_models_answer_stands_only_where_it_carries_the_bare_answer(decision: Decision, af: ECG) -> None:
    right = assistant(decision, "Yes, there is atrial fibrillation.", AFIB=0.98)
    line = right.ask(af, "Is there atrial fibrillation?").sentences[0]
    assert line.source == "language model" and line.text == "Yes, there is atrial fibrillation."
    for text in ("No, there is no atrial fibrillation.", "The recording is usable.", "Yes, there is ventricular tachycardia."):
        wrong = assistant(decision, text, AFIB=0.98).ask(af, "Is there atrial fibrillation?")
        assert wrong.sentences[0].source == "renderer" and wrong.values == ("yes",)


def test_undetermined_and_low_confidence_are_declined_with_what_is_known(decision: Decision, af: ECG) -> None:
    opened = assistant(decision, "", AFIB=0.2).ask(af, "Is there atrial fibrillation?")
    assert isinstance(opened, Referral) and opened.values == ("cannot be judged",)
    assert "atrial fibrillation" in opened.text.lower() and opened.reasons
    reader = assistant(decision, "", AFIB=0.9, SR=0.004)
    assert isinstance(reader.ask(af, "Is there atrial fibrillation?"), Answer)
    reader.min_confidence = 0.95
    doubted = reader.ask(af, "Is there atrial fibrillation?")
    assert isinstance(doubted, Referral) and "0.95" in doubted.reasons[0].text and doubted.values == ("yes",)


def test_every_value_that_is_asked_for_is_told_once(decision: Decision, normal: ECG) -> None:
    stammering = "The QT interval is [qt_ms]. QT interval: [qt_ms]."
    said = assistant(decision, stammering, SR=0.98).ask(normal, "Give me QT and QTc please")
    cited = [line.evidence for line in said.sentences]
    assert cited == [("M:qt_ms",), ("M:qtc_ms",)] and said.sentences[0].source == "language model"
    both = assistant(decision, "", SR=0.98, _1AVB=0.2).ask(normal, "Is there first-degree AV block?")
    assert [line.evidence for line in both.sentences] == [("F:1AVB",), ("M:pr_ms",)]


def test_what_the_model_only_cites_is_named_where_the_ecg_is_not_normal(decision: Decision, af: ECG) -> None:
    said = assistant(decision, "No, the ECG is not normal.", AFIB=0.98).ask(af, "Is the ECG normal?")
    assert said.text.startswith("No, the ECG is not normal.") and "atrial fibrillation" in said.text.lower()


@pytest.mark.parametrize("text", ["What is abnormal?", "List the abnormalities", "What are the key findings?", "Is it urgent?"])
def test_what_is_critical_goes_before_what_matters(decision: Decision, normal: ECG, text: str) -> None:
    reader = assistant(decision, "", SR=0.98)
    reading = reader.read([normal])[0]
    table = reading.evidence.measurements
    items = tuple(replace(one, value=532.0, reliability=0.9) if one.name == "qtc_ms" else one for one in table.items)
    long = replace(reading, evidence=replace(reading.evidence, measurements=replace(table, items=items)))
    asked, said = reader.reply((long,), text)
    assert said.text.startswith("Critical: 532 ms") and "No urgent finding" not in said.text
    assert "prolonged QT interval" not in said.text, "what the measurement says is not left open"


def test_a_heart_attack_is_not_denied_in_the_models_words(decision: Decision, normal: ECG) -> None:
    reader = assistant(decision, "No, myocardial infarction is not present.", SR=0.98, NORM=0.97)
    said = reader.ask(normal, "Am I having a heart attack?")
    assert said.text.startswith("No pattern of myocardial infarction is stated. ") and said.values == ("none stated",)
    assert "cannot be ruled out here" in said.text
    opened = assistant(decision, "No, no ischaemia.", SR=0.98, INJIN=0.2).ask(normal, "Is there ischaemia?")
    assert isinstance(opened, Referral) and opened.values == ("cannot be judged",)
    assert "nferior subendocardial injury cannot be excluded" in opened.text and "acute infarction cannot be ruled" in opened.text


def test_a_measurement_is_explained_by_itself(decision: Decision, normal: ECG) -> None:
    chat = assistant(decision, "Sinus rhythm is present.", SR=0.98).chat(normal)
    chat.ask("Is the QRS complex broadened?")
    for text in ("And why?", "How sure?"):
        said = chat.ask(text)
        assert "F:SR" not in said.ids and "M:qrs_ms" in said.ids and "reliability" in said.text, text


def test_out_of_scope_questions_point_to_someone_and_the_chat_goes_on(decision: Decision, af: ECG) -> None:
    chat = assistant(decision, "", AFIB=0.98).chat(af)
    declined = chat.ask("Which dose of amiodarone should I give?")
    assert isinstance(declined, Referral) and "physician" in declined.text and declined.values == ()
    answered = chat.ask("Is there atrial fibrillation?")
    assert isinstance(answered, Answer)
    leaning = chat.ask("And atrial flutter?")
    assert leaning.values == ("no",)
    assert [turn.question.intent for turn in chat.turns] == ["out_of_scope", "verify", "verify"]


def test_a_streamed_reply_is_the_reply_sentence_by_sentence(decision: Decision, af: ECG, normal: ECG) -> None:
    chat = assistant(decision, "", AFIB=0.98).chat([normal, af])
    lines = list(chat.stream("Is there atrial fibrillation?"))
    reply = chat.turns[-1].reply
    assert isinstance(reply, Answer) and tuple(lines) == reply.sentences and "F:AFIB" in lines[0].evidence
    declined = list(chat.stream("Which dose of amiodarone should I give?"))
    assert len(declined) == 1 and "please ask the treating physician" in declined[0].text
    assert chat.ask("Is there atrial fibrillation?").to_json() == reply.to_json(), "the same answer whatever came between"
    with pytest.raises(QueryError, match="3 recordings"):
        assistant(decision).chat([normal, af, af])


def test_what_a_text_gets_wrong_is_written_once_more(decision: Decision, af: ECG) -> None:
    class Twice(StubModel):
        """Wrong at first; on a second try it goes on from what stood."""

        def generate(self, prompts, tokens, max_new_tokens=96, begun=(), avoid=()):  # type: ignore[no-untyped-def]
            self.asked = [*getattr(self, "asked", []), (tuple(begun), tuple(avoid))]
            return [Text("Atrial fibrillation is present." if begun else self.text) for _ in prompts]

    reader = assistant(decision, "", AFIB=0.98)
    model = Twice("The recording is usable. There is ventricular tachycardia. No pacing.")
    reader._language = model
    draft = reader.report(af)
    assert model.asked[1] == ((" The recording is usable.",), ("There is ventricular tachycardia.",))
    own = [line.text for line in draft.impression if line.source == "language model"]
    assert "Atrial fibrillation is present." in own and not any("ventricular" in text for text in own)


def test_what_the_model_left_out_is_added_once_and_by_name(decision: Decision, af: ECG) -> None:
    reader = assistant(decision, "Not excluded: atrial fibrillation.", AFIB=0.2, AFLT=0.2, SR=0.004)
    lines = reader.report_of(reader.read([af])[0]).impression
    texts = [line.text.lower() for line in lines]
    assert sum("atrial fibrillation" in text for text in texts) == 1, texts
    flutter = [line for line in lines if "atrial flutter" in line.text.lower()]
    assert len(flutter) == 1 and flutter[0].source == "renderer" and "F:AFLT" in flutter[0].evidence


def test_findings_of_an_unusable_recording_are_not_answered(decision: Decision) -> None:
    flat = ECG(np.zeros((12, 5000), np.float32), 500.0, STANDARD_LEADS)
    reader = assistant(decision, "Yes, atrial fibrillation.", AFIB=0.98)
    declined = reader.ask(flat, "Is there atrial fibrillation?")
    assert isinstance(declined, Referral) and declined.values == ("cannot be judged",)
    assert "Every sample is zero" in declined.text
    assert isinstance(reader.ask(flat, "Is the signal quality good?"), Answer)


def test_two_recordings_are_compared_only_where_both_are_sure(decision: Decision, normal: ECG, af: ECG) -> None:
    reader = assistant(decision, "", AFIB=0.98)
    later, earlier = reader.read([af])[0], assistant(decision, "", SR=0.98).read([normal])[0]
    _, changed = reader.reply((earlier, later), "What has changed?")
    assert set(changed.values) == {"new: atrial fibrillation", "gone: sinus rhythm"}
    _, rate = reader.reply((earlier, later), "Has the heart rate changed since the first recording?")
    assert "→" in rate.values[0] and "second" in rate.text
    vague = assistant(decision, "", AFIB=0.2, SR=0.2).read([normal])[0]
    _, unsure = reader.reply((vague, later), "What has changed?")
    assert isinstance(unsure, Referral)
    assert not any(v.startswith(("new", "gone")) for v in unsure.values)


def test_no_to_a_family_names_what_was_not_assessed(normal: ECG) -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random((600, N)) < 0.2).astype(np.uint8)
    labels[:, CODES.index("PMI")] = 0
    p = np.where(labels > 0, rng.uniform(0.5, 0.99, labels.shape), rng.uniform(0.0, 0.2, labels.shape)).astype(np.float32)
    rare = fit_decision(labels, p, np.arange(600), rng.uniform(0.01, 0.1, 600), HASH)
    answer = assistant(rare, "", SR=0.98).ask(normal, "Is there a myocardial infarction?")
    assert answer.values == ("no",)
    assert "Not assessed: posterior myocardial infarction" in answer.text


def test_batches_and_order(decision: Decision, normal: ECG) -> None:
    reader = assistant(decision, "", SR=0.98)
    flat = ECG(np.zeros((12, 5000), np.float32), 500.0, STANDARD_LEADS)
    evidences = reader.analyse_many([normal, flat, normal], k=3)
    assert [e.quality.usable for e in evidences] == [True, False, True]
    assert [len(e.cases) for e in evidences] == [3, 0, 3]
    assert evidences[0].recording_hash == normal.content_hash() == evidences[2].recording_hash
    assert evidences[0].finding("AFIB").state == ABSENT


def test_options_and_inputs_out_of_range_are_refused(decision: Decision, normal: ECG) -> None:
    with pytest.raises(QueryError, match="min_confidence"):
        Assistant(encoder=FakeEncoder(), library=FakeLibrary(), decision=decision, min_confidence=1.5)
    with pytest.raises(QueryError, match="present_risk"):
        Assistant(encoder=FakeEncoder(), library=FakeLibrary(), decision=decision, present_risk=0.9)
    reader = assistant(decision, "", SR=0.98)
    with pytest.raises(QueryError, match="recordings"):
        reader.ask([normal] * 3, "Is there atrial fibrillation?")
    with pytest.raises(QueryError, match="empty"):
        reader.ask(normal, "  ")
    with pytest.raises(QueryError, match="k is"):
        reader.report(normal, k=-1)


def test_coarse_recordings_and_unknown_people_carry_their_limits(decision: Decision) -> None:
    ecg = resolve("demo:normal")
    coarse = ECG(ecg.signal_mv[:, :: max(1, round(ecg.fs_hz / 100))], 100.0, ecg.leads)
    limits = " ".join(assistant(decision, "", SR=0.98).report(coarse).to_json()["limits"])
    assert "100 Hz" in limits and "age" in limits and "sex" in limits
    known = assistant(decision, "", SR=0.98).report(resolve("demo:normal", age_years=60, sex="F"))
    assert "age" not in " ".join(known.to_json()["limits"])
