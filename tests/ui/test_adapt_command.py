"""``adapt`` and ``heads`` on the command line, and how a head's answer joins a report: asked for, marked, and never else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import assistant
import encoders.encode
from encoders.adapt_fit import Linear
from encoders.calibrate import Calibration
from encoders.ecg import STANDARD_LEADS
from encoders.encode import Encoder
from encoders.heads import Head, HeadAnswer, HeadRefusal, save_head
from encoders.network import EncoderConfig, EncoderNetwork
from ui import cli
from ui.demo import demo
from ui.present import document_html
from ui.signing import SignedReport

ANSWER = HeadAnswer("wide", "<i>wide</i>", 0.83, None, "AUROC 0.90 [0.85, 0.94] on 300 unseen patients")
REFUSAL = HeadRefusal("low", "x", "The lower 95 % limit of its AUROC is 0.700; at least 0.80 is needed.")
FIGURES = {"patients": 300, "positive_patients": 100, "negative_patients": 200, "auroc": {"value": 0.9, "interval": [0.85, 0.94]},
           "ece": {"value": 0.03, "interval": [0.02, 0.06]}}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user folder, and a small encoder in place of the shipped one."""
    torch.manual_seed(0)
    network = EncoderNetwork(EncoderConfig(complete_only=(False,), widths=(8, 8, 16, 16), stem=8, blocks=1))
    small = Encoder(network, Calibration({}, "c" * 64), "c" * 64)
    monkeypatch.setattr(encoders.encode.Encoder, "load", classmethod(lambda cls, path=None, **_: small))
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """A folder of 24 recordings (100 Hz, 5 s), half of them with wide waves, and labels.csv beside it."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "ward"
    folder.mkdir()
    t = np.arange(500) / 100
    rows = ["recording,patient,age,sex,wide"]
    for i in range(24):
        wide = i % 2
        burst = np.exp(-0.5 * (((t + 0.5) % 1 - 0.5) / (0.03 + 0.08 * wide)) ** 2)
        signal = rng.uniform(0.5, 1.0, (12, 1)) * burst + 0.03 * rng.standard_normal((12, 500))
        np.savetxt(folder / f"r{i}.csv", signal.T, fmt="%.3f", delimiter=",", header=",".join(STANDARD_LEADS), comments="")
        rows.append(f"r{i},Miller{i},{40 + i},{'FM'[i % 2]},{wide}")
    (folder / "broken.csv").write_text("no recording at all")
    rows += ["broken,Smith,,,1", "absent,Jones,,,0"]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def argv(ward: Path, *more: str) -> list[str]:
    labels = str(ward.parent / "labels.csv")
    return ["adapt", str(ward), "--labels", labels, "--name", "wide", "--task", "binary", "--fs", "100", "--unit", "mV", *more]


def test_adapt_trains_lists_shows_and_removes(home: Path, ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv(ward)) == 0
    out, err = capsys.readouterr()
    assert "Head wide: binary" in out and "12 patients with, 12 without" in out and "refuses to answer: The rarer class" in out
    assert "left out: broken: " in err and "left out: absent: " in err
    card = json.loads((home / "heads" / "wide" / "head.json").read_text())
    assert card["data"] == {
        "recordings": 24, "patients": 24, "patients_given": True, "left_out": 2,
        "age_years": {"least": 40.0, "median": 51.5, "most": 63.0}, "age_unknown": 0, "sex": {"F": 12, "M": 12, "unknown": 0},
    }  # fmt: skip
    kept = "".join(path.read_bytes().decode("latin-1") for path in home.rglob("*") if path.is_file())
    assert "Miller" not in kept and str(ward) not in kept and "r17" not in json.dumps(card)
    assert cli.main(["heads", "list"]) == 0
    assert "answers on nothing (below the bar)" in capsys.readouterr().out
    assert cli.main(["heads", "list", "--json"]) == 0
    assert [head["name"] for head in json.loads(capsys.readouterr().out)["heads"]] == ["wide"]
    assert cli.main(["heads", "show", "wide"]) == 0
    assert capsys.readouterr().out.startswith("Head wide")
    assert cli.main(argv(ward)) == 2
    assert "there already" in capsys.readouterr().err
    assert cli.main(argv(ward, "--replace", "--leads", "I", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["leads"] == "I"
    assert cli.main(["heads", "remove", "wide"]) == 0 and not (home / "heads" / "wide").exists()
    assert cli.main(["heads", "show", "wide"]) == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--name", "A head"], "head's name"),
        (["--leads", "V1"], "not calibrated for"),
        (["--patient", "x"], "name the patients in a column"),
        (["--label", "narrow"], "no column 'narrow'"),
        (["--task", "regression", "--label", "patient"], "give a number"),
        (["nowhere.hea"], "There is no 'nowhere.hea'"),
        (["--labels", "gone/nowhere.csv"], "The table 'gone/nowhere.csv' does not exist"),
        (["gone/r1.hea"], "There is no 'gone/r1.hea'"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    home: Path, ward: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = argv(ward)
    assert cli.main([command[0], *([more[0]] if len(more) == 1 else []), *command[1:], *(more if len(more) > 1 else [])]) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err and not list(home.rglob("head.json"))


def test_too_few_patients_are_refused_before_anything_is_encoded(
    home: Path, ward: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ward.parent / "labels.csv"
    labels.write_text("\n".join(labels.read_text().splitlines()[:16]) + "\n")
    assert cli.main(argv(ward)) == 2
    assert "wide has 7 patients with it; at least 10" in capsys.readouterr().err
    assert not home.exists()


def test_the_card_holds_the_command_that_was_run(home: Path, ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> str:
        told: str = json.loads(capsys.readouterr().out)["command"]
        return told

    assert cli.main(argv(ward, "--label", "wide", "--seed", "3", "--json")) == 0
    assert command() == (
        "ecg-assistant adapt RECORDINGS --labels labels.csv --name wide --task binary --method linear --label wide"
        " --fs 100.0 --unit mV --seed 3"
    )
    # Where the table's own paths lead to the recordings, the command names none.
    lines = (ward.parent / "labels.csv").read_text().replace("wide", "wide wave").replace("\nr", "\nward/r").splitlines()
    paths = [line.replace(",", ".csv,", 1) if line.startswith("ward/") else line for line in lines]
    (ward.parent / "mine.csv").write_text("\n".join(paths) + "\n")
    words = argv(ward, "--replace", "--json", "--leads", "I")
    words[3] = str(ward.parent / "mine.csv")
    assert cli.main([words[0], *words[2:]]) == 0
    assert command() == (
        "ecg-assistant adapt --labels mine.csv --name wide --task binary --method linear --leads I --fs 100.0 --unit mV --seed 0"
    )


def test_contradicting_rows_and_cells_that_are_none_are_told(
    home: Path, ward: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ward.parent / "labels.csv"
    lines = labels.read_text().replace("Miller2,42,F", "Miller2,400,q").splitlines()
    labels.write_text("\n".join([*lines, "r5,Miller5,45,M,0", "r6,Miller6,46,F,0"]) + "\n")
    assert cli.main(argv(ward, "--json")) == 0
    out, err = capsys.readouterr()
    assert "Line 4 of labels.csv: the age '400' is no number from 0 to 130" in err
    assert "Line 4 of labels.csv: the sex 'q' is neither F nor M" in err
    contested = "left out: r5: its signal stands in lines 7 and 28 of labels.csv, which say wide 1 and 0; mend the labels."
    assert err.count(contested) == 2
    assert "left out: r6: its signal is the same as that of r6 (line 8)." in err
    data = json.loads(out)["data"]
    assert (data["recordings"], data["left_out"], data["age_unknown"], data["sex"]["unknown"]) == (23, 5, 1, 1)


@pytest.mark.parametrize("command", ["adapt", "heads", "heads list", "heads show", "heads remove"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([*command.split(), "--help"])
    out = capsys.readouterr().out
    assert left.value.code == 0 and "examples:" in out and f"ecg-assistant {command}" in out


def test_report_loads_heads_only_where_asked(stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[dict[str, Any]] = []

    class Loader:
        @staticmethod
        def load(**options: Any) -> Any:
            loaded.append(options)
            return stub

    monkeypatch.setitem(assistant.__dict__, "Assistant", Loader)
    assert cli.main(["report", "demo:af"]) == 0 and cli.main(["report", "demo:af", "--head", "wide,low"]) == 0
    assert "heads" not in loaded[0] and loaded[1]["heads"] == ("wide", "low")


def test_answers_of_heads_stand_apart_and_are_marked(stub: Any) -> None:
    plain = stub.report(demo("af"))
    asked = replace(plain, report=replace(plain.report, research=(ANSWER, REFUSAL)))
    assert plain.to_json()["research"] == [] and "esearch" not in plain.to_text()
    document = asked.to_json()
    assert [item["status"] for item in document["research"]] == ["answer", "refusal"]
    assert {key: value for key, value in document.items() if key != "research"} == {
        key: value for key, value in plain.to_json().items() if key != "research"
    }
    text = " ".join(asked.to_text().split())
    assert "Research only, not for clinical decisions" in text and "research-only: probability of <i>wide</i> 0.83" in text
    assert "does not answer on x" in text and "[H:low/x]" in text
    page = document_html(SignedReport.of(document))
    assert "&lt;i&gt;wide&lt;/i&gt; 0.83" in page and "Research only" in page
    assert "Research only" not in document_html(SignedReport.of(plain.to_json()))


def shipped_head(folder: Path, encoder: Encoder) -> Path:
    """A head for the shipped encoder that says 0.5 of everything and claims figures above the bar."""
    card = {
        "name": "half", "task": "binary", "method": "linear", "labels": ["x"], "leads": "12", "encoder": encoder.hash,
        "figures": {"x": FIGURES},
    }  # fmt: skip
    head = Head(card, Linear(np.zeros((1, 256)), np.zeros(1)), np.ones(1), np.zeros(1), np.zeros(1))
    save_head(head, folder)
    return folder


def test_the_assistant_asks_its_heads_and_withholds_them_where_it_refers(tmp_path: Path) -> None:
    folder = shipped_head(tmp_path / "half", Encoder.load(calibrated=False))
    reader = assistant.Assistant.load(heads=[folder])
    normal, noisy = reader.read([demo("normal"), demo("noisy")])
    assert isinstance(normal.research[0], HeadAnswer) and normal.research[0].value == pytest.approx(0.5)
    assert not noisy.evidence.quality.usable
    assert isinstance(noisy.research[0], HeadRefusal) and "not usable" in noisy.research[0].reason
    child = reader.read([replace(demo("normal"), age_years=9.0)])[0].research[0]
    assert isinstance(child, HeadRefusal) and "adults" in child.reason
    assert reader.report_of(normal).to_json()["research"][0]["id"] == "H:half/x"
    few = reader.read([demo("normal").select(("I",))])[0].research[0]
    assert isinstance(few, HeadRefusal) and "II is not in this recording" in few.reason
