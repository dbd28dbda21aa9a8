"""What an impression must say, whatever the language model wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from assistant.decide import SWAP_FLAGS
from assistant.evidence import ABSENT, PRESENT, UNDETERMINED, Evidence, Finding
from assistant.writing import Written, write_report
from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements
from encoders.quality import Quality
from encoders.vocabulary import CODES


@dataclass
class Made:
    text: str
    confidence: float = 0.9


class Says:
    """A model that writes one text, and nothing when it is asked again."""

    def __init__(self, text: str, again: str = "") -> None:
        self.texts = [text, again]
        self.prompts: list[str] = []

    def generate(self, prompts: Sequence[str], *_: object, **__: object) -> list[Made]:
        self.prompts += prompts
        return [Made(self.texts.pop(0) if self.texts else "") for _ in prompts]


def evidence(values: dict[str, float] | None = None, **states: str) -> Evidence:
    usual = {"rate_bpm": 72.0, "pr_ms": 160.0, "qrs_ms": 92.0, "qt_ms": 390.0, "qtc_ms": 410.0, "axis_deg": 40.0}
    known = {**usual, **(values or {})}
    items = tuple(Measurement(n, known.get(n), beats=10, reliability=0.95) for n in MEASUREMENT_NAMES)
    probability = {PRESENT: 0.95, UNDETERMINED: 0.3, ABSENT: 0.01}
    findings = tuple(Finding(c, probability[states.get(c, ABSENT)], states.get(c, ABSENT)) for c in CODES)
    return Evidence(Quality("usable", 0.9), Measurements(items), findings, (), (), 60.0, "F", "x")


def impression(text: str, one: Evidence, again: str = "") -> tuple[Written, Says]:
    model = Says(text, again)
    (written,) = write_report(model, [one], [np.zeros((16, 256), np.float32)])
    return written, model


def test_an_abnormal_measurement_that_the_model_left_out_is_asked_for_and_then_added() -> None:
    wide = evidence({"qrs_ms": 141.0}, SR=PRESENT, NORM=UNDETERMINED)
    written, model = impression("Sinus rhythm at [rate_bpm].", wide)
    assert len(model.prompts) == 2 and "QRS wide" in model.prompts[1]
    assert [(line.text, line.source) for line in written.lines[:2]] == [
        ("Sinus rhythm at 72/min.", "language model"), ("QRS duration 141 ms, wide.", "renderer"),
    ]  # fmt: skip
    written, _ = impression("Sinus rhythm at [rate_bpm].", wide, "The QRS duration is wide at [qrs_ms].")
    assert ("The QRS duration is wide at 141 ms.", "language model") in [(line.text, line.source) for line in written.lines]
    written, model = impression("Sinus rhythm at [rate_bpm]. QRS [qrs_ms], wide.", wide)
    assert len(model.prompts) == 1 and sum("141 ms" in line.text for line in written.lines) == 1


@pytest.mark.parametrize(
    ("one", "said", "unsaid"),
    [
        (evidence(SR=PRESENT), "The ECG is not normal.", "No abnormal finding was stated."),
        (evidence({"axis_deg": -50.0}, SR=PRESENT, NORM=UNDETERMINED), "Left axis deviation at -50°.", "No abnormal finding"),
        (evidence({"pr_ms": 204.0}, SR=PRESENT, NORM=PRESENT), "Otherwise normal ECG.", "The ECG is normal."),
    ],
)
def test_nothing_reads_as_normal_that_is_not(one: Evidence, said: str, unsaid: str) -> None:
    for text in ("Sinus rhythm. No abnormal finding was stated.", "Sinus rhythm. The ECG is normal."):
        written, _ = impression(text, one)
        told = " ".join(line.text for line in written.lines)
        assert said in told and unsaid not in told


def test_normal_apart_from_a_value_comes_behind_that_value() -> None:
    written, _ = impression("Sinus rhythm. The ECG is normal.", evidence({"pr_ms": 204.0}, SR=PRESENT, NORM=PRESENT))
    told = [line.text for line in written.lines]
    assert told.index("PR interval 204 ms, prolonged.") < told.index("Otherwise normal ECG.")


@pytest.mark.parametrize(
    "text",
    [
        "AV block of second degree, first-degree AV block and first-degree AV block cannot be excluded.",
        "Not excluded: inferior myocardial infarction or inferior myocardial infarction.",
    ],
)
def test_a_sentence_that_names_one_finding_twice_does_not_stand(text: str) -> None:
    one = evidence(SR=PRESENT, NORM=UNDETERMINED, **{"1AVB": UNDETERMINED, "2AVB": UNDETERMINED, "IMI": UNDETERMINED})
    written, _ = impression(f"Sinus rhythm. {text}", one)
    assert text not in [line.text for line in written.lines]


def test_the_axis_of_swapped_leads_is_not_judged() -> None:
    swapped = Quality("limited", 0.6, ("Arm electrodes look swapped.",), ("arm_swap_suspected",))
    one = replace(evidence({"axis_deg": 124.0}, SR=PRESENT, NORM=UNDETERMINED), quality=swapped)
    assert not SWAP_FLAGS.isdisjoint(swapped.flags)
    for text in ("Sinus rhythm.", "Sinus rhythm. Right axis deviation at [axis_deg]."):
        written, _ = impression(text, one)
        assert "axis" not in " ".join(line.text for line in written.lines)
