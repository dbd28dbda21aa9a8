"""Options of every command that reads recordings: which leads, whose recording, what the file does not say."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from encoders.ecg import LIMB_LEADS, STANDARD_LEADS
from encoders.errors import RecordingError
from ui.commands import options
from ui.demo import demo


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    options.add_recording_options(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("text", "leads"),
    [
        ("I", ("I",)),
        ("v2, i ,II", ("I", "II", "V2")),
        ("limb", LIMB_LEADS),
        ("LIMB,V2", (*LIMB_LEADS, "V2")),
        ("12", STANDARD_LEADS),
        ("avr,aVR", ("aVR",)),
    ],
)
def test_leads_are_named_in_any_order_and_case(text: str, leads: tuple[str, ...]) -> None:
    assert options.parse_leads(text) == leads
    assert options.read_recording("demo:normal", parsed("--leads", text)).leads == leads


@pytest.mark.parametrize("text", ["V7", "", "I,,II", "I;II", "13"])
def test_a_wrong_lead_is_named(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no lead; give some of I, II"):
        options.parse_leads(text)
    with pytest.raises(SystemExit):
        parsed("--leads", text)
    assert "is no lead" in capsys.readouterr().err


def test_a_lead_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = tmp_path / "one.npy"
    np.save(file, demo("normal").lead("I")[None])
    ready = ("--fs-hz", "500", "--lead-names", "I")
    assert options.read_recording(str(file), parsed(*ready)).leads == ("I",)
    with pytest.raises(RecordingError, match="Lead V2 is not in this recording; it has I"):
        options.read_recording(str(file), parsed(*ready, "--leads", "I,V2"))
    with pytest.raises(RecordingError, match="give their names"):
        options.read_recording(str(file), parsed("--fs", "500"))


def test_patient_is_hashed_for_files_and_demos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))
    np.save(tmp_path / "a.npy", demo("normal").signal_mv)
    one = options.read_recording("demo:normal", parsed("--patient", "P 17"))
    other = options.read_recording(str(tmp_path / "a.npy"), parsed("--patient", "P 17", "--fs", "500"))
    assert one.patient is not None and one.patient == other.patient and "P 17" not in repr(one)
    assert options.read_recording("demo:normal", parsed()).patient is None
    with pytest.raises(SystemExit):
        parsed("--patient", " ")
