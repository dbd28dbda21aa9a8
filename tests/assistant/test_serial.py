"""What measured values do between two recordings of one patient, in sentences."""

from __future__ import annotations

import pytest

from assistant.beside import change_lines
from assistant.evidence import Evidence
from assistant.intents import Question
from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements
from encoders.quality import Quality


def evidence(verdict: str = "usable", reliability: float = 0.9, **known: float) -> Evidence:
    units = {"rate_bpm": "/min", "axis_deg": "°"}
    items = tuple(
        Measurement(name, known.get(name), 8, ("II",), reliability if name in known else 0.0) for name in MEASUREMENT_NAMES
    )
    assert all(item.unit == units.get(item.name, item.unit) for item in items)
    return Evidence(Quality(verdict, 1.0), Measurements(items), (), (), (), 60.0, "M", "")


def asked(text: str, *names: str) -> Question:
    return Question(text, "compare", measurements=names, recordings=2)


def test_a_change_beyond_the_noise_of_a_repetition_is_told_with_that_noise() -> None:
    first = evidence(rate_bpm=55.0, qtc_ms=380.0, qrs_ms=92.0, st_j_mv_II=0.0, st_j_mv_V2=0.05, st_j_mv_V6=0.0)
    second = evidence(rate_bpm=103.0, qtc_ms=400.0, qrs_ms=94.0, st_j_mv_II=0.1, st_j_mv_V2=0.4, st_j_mv_V6=0.05)
    rate, level = change_lines(first, second)
    assert rate.text == (
        "Ventricular rate 55/min before, 103/min now: 48/min higher, more than the 25/min by which repeated recordings differ."
    )
    assert rate.evidence == ("M:rate_bpm",)
    assert level.text.startswith("ST level at J changed in II and V2, most in V2 (0.05 mV before, 0.40 mV now)")
    assert level.evidence == ("M:st_j_mv_II", "M:st_j_mv_V2")


@pytest.mark.parametrize(
    ("text", "after", "said"),
    [
        ("Is the heart rate higher than before?", 103.0, "Yes: ventricular rate is 48/min higher"),
        ("Is the heart beating slower now?", 103.0, "No: ventricular rate is 48/min higher"),
        ("Is the rate slower now?", 40.0, "No: ventricular rate is 15/min lower, within the 25/min"),
        ("Has the rate changed?", 103.0, "Yes: ventricular rate is 48/min higher"),
        ("Has the rate changed?", 60.0, "No: ventricular rate is 5/min higher, within"),
        ("Is the rate the same?", 60.0, "Yes: ventricular rate is 5/min higher, within"),
        ("What happened to the rate?", 55.0, "Ventricular rate is the same, within"),
    ],
)
def test_whether_a_value_changed_is_answered_by_yes_or_no(text: str, after: float, said: str) -> None:
    (line,) = change_lines(evidence(rate_bpm=55.0), evidence(rate_bpm=after), asked(text, "rate_bpm"))
    assert line.text.startswith(said)


def test_where_nothing_changed_that_is_said_of_what_was_compared() -> None:
    first, second = evidence(rate_bpm=70.0, qrs_ms=92.0), evidence(rate_bpm=75.0, qrs_ms=94.0)
    (line,) = change_lines(first, second)
    assert line.text == "No measured value changed by more than a repeated recording would."
    assert set(line.evidence) == {"M:rate_bpm", "M:qrs_ms"}
    assert change_lines(evidence(), evidence()) == ()


def test_values_that_are_asked_for_are_told_whether_they_changed_or_not() -> None:
    first, second = evidence(qtc_ms=380.0, axis_deg=170.0), evidence(qtc_ms=400.0, axis_deg=-150.0)
    qtc, axis = change_lines(first, second, asked("Have QTc and axis changed?", "qtc_ms", "axis_deg"))
    assert qtc.text == "QTc interval is 20 ms higher, within the 45 ms by which repeated recordings differ."
    assert "turned by 40°, more than the 30°" in axis.text  # by the shorter way round
    (weak,) = change_lines(first, evidence(reliability=0.1, qtc_ms=500.0), asked("Did the QTc change?", "qtc_ms"))
    assert "too uncertain to be compared" in weak.text
    assert change_lines(first, evidence(), asked("Did the QTc change?", "qtc_ms")) == ()


def test_an_unusable_recording_is_compared_in_nothing() -> None:
    assert change_lines(evidence(rate_bpm=55.0), evidence("unusable", rate_bpm=103.0)) == ()
