"""The command line: names, output, exit codes, and that nothing is written half."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assistant
import encoders.encode
from encoders.ecg import STANDARD_LEADS
from encoders.errors import ArtefactError, QueryError
from encoders.vocabulary import CODES
from ui import cli
from ui.commands.output import whole_file
from ui.commands.tables import expand
from ui.demo import demo

COMMANDS = (
    "report", "ask", "chat", "ask-many", "explain", "predict", "measure", "delineate", "check", "compare", "cases", "evaluate",
    "train", "adapt", "heads", "serve", "keys", "audit",
)  # fmt: skip


@pytest.fixture
def stub_encoder(stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders.encode.Encoder, "load", classmethod(lambda cls, path=None: stub.encoder))


def write_csv(path: Path, name: str = "normal") -> Path:
    """A demo recording as a CSV file that the reader takes with --fs and --unit."""
    ecg = demo(name)
    np.savetxt(path, ecg.signal_mv.T, fmt="%.3f", delimiter=",", header=",".join(STANDARD_LEADS), comments="")
    return path


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom ui.cli import build_parser\nbuild_parser().format_help()\n"
        "heavy = {'torch', 'transformers', 'gradio', 'fastapi', 'matplotlib', 'faiss', 'numpy', 'pandas', 'scipy', 'wfdb'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", [*COMMANDS, "cases search", "cases build"])
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([*command.split(), "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert "examples:" in out and f"ecg-assistant {command}" in out


def test_report_prints_one_json_document_and_nothing_else(stubbed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "demo:af", "--json", "--age", "51", "--sex", "f"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "draft" and document["findings"]
    assert (stubbed.seen[0].age_years, stubbed.seen[0].sex) == (51, "F")


def test_risks_reach_the_assistant(stubbed: Any) -> None:
    argv = "report demo:af --present-risk 0.1 --critical-risk 0.01 --min-confidence 0.7 --library lib"
    assert cli.main(argv.split()) == 0
    assert stubbed.options == {
        "present_risk": 0.1, "absent_risk": 0.05, "critical_risk": 0.01, "min_confidence": 0.7, "library": "lib",
    }  # fmt: skip


def test_report_as_text_and_as_picture(stubbed: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["report", "demo:af", "--plot", str(tmp_path / "paper.svg")]) == 0
    assert capsys.readouterr().out.startswith("ECG report, draft")
    assert "<svg" in (tmp_path / "paper.svg").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["paper.svg"]


def test_a_question_may_follow_the_options(stubbed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ask", "demo:af", "--age", "61", "--sex", "M", "Is it normal?"]) == 0
    assert "Is it normal?" in capsys.readouterr().out
    for words in (["ask", "demo:af", "--agee", "61", "Is it normal?"], ["report", "demo:af", "Is it normal?"]):
        with pytest.raises(SystemExit) as left:
            cli.main(words)
        assert left.value.code == 2 and "unrecognized arguments" in capsys.readouterr().err


def test_ask_takes_one_or_two_recordings(stubbed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ask", "demo:af", "demo:normal", "Has it changed?", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == "2 recordings: Has it changed?"
    assert cli.main(["ask", "only a question"]) == 2
    assert "one or two recordings" in capsys.readouterr().err


def test_chat_answers_line_by_line_until_quit(
    stubbed: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("What is the rate?\n\nAnd the rhythm?\nquit\nnever asked\n"))
    assert cli.main(["chat", "demo:af"]) == 0
    out = capsys.readouterr().out
    assert "Answer 1 to" in out and "Answer 2 to" in out and "never asked" not in out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["report", "demo:xyz"], "There is no demo recording 'xyz'"),
        (["report", "no-such-file.hea"], "no-such-file"),
        (["report", "demo:af", "--plot", "x.pdf"], ".png or .svg"),
        (["cases", "search"], "needs a recording, --text or --where"),
        (["cases", "search", "--text", " "], "--text is empty"),
        (["cases", "search", "--text", "x", "--k", "0"], "--k is 0"),
        (["cases", "build", "no-such-folder", "--out", "x"], "There is no folder"),
        (["evaluate", "no-such-folder"], "ptbxl_database.csv"),
        (["train", "encoder"], "give its folder"),
        (["train", "encoder", "x", "--base", "y"], "--base goes with"),
        (["predict", "nothing-*.hea"], "No file fits"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    argv: list[str], said: str, stubbed: Any, stub_encoder: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and said in err and "Traceback" not in err


@pytest.mark.parametrize(
    "argv",
    ["report", "report demo:af --age x", "report demo:af --sex ?", "nonsense", "evaluate x --folds 0", "train everything",
     "report demo:af --present-risk 0"],
)  # fmt: skip
def test_options_that_make_no_sense_are_one_sentence_and_exit_code_2(argv: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(argv.split())
    err = capsys.readouterr().err
    assert left.value.code == 2 and err.startswith("error: ") and err.count("\n") == 1 and "--help" in err


def test_a_missing_artefact_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Loader:
        @staticmethod
        def load(**_: Any) -> Any:
            raise ArtefactError("The weights are missing; reinstall.")

    monkeypatch.setitem(assistant.__dict__, "Assistant", Loader)
    assert cli.main(["report", "demo:af"]) == 1
    assert capsys.readouterr().err == "error: The weights are missing; reinstall.\n"


def _table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_predict_gives_every_recording_a_row_whatever_it_is(
    stub_encoder: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "good.csv")
    (tmp_path / "broken.csv").write_text("I,II\nx,y\n", encoding="utf-8")
    (tmp_path / "empty.hea").write_bytes(b"")
    (tmp_path / "list.txt").write_text("# ward 3\ngood.csv\n\ndemo:af\n", encoding="utf-8")
    out = tmp_path / "table.csv"
    named = [str(tmp_path / "list.txt"), str(tmp_path / "[bg]*.csv"), str(tmp_path / "empty.hea"), "gone.hea"]
    assert cli.main(["predict", *named, "--out", str(out), "--fs", "500", "--unit", "mV"]) == 0
    rows = _table(out)
    assert list(rows[0]) == ["record", *CODES, "usable", "verdict", "reasons", "error"]
    assert [Path(row["record"]).name for row in rows] == ["good.csv", "demo:af", "broken.csv", "empty.hea", "gone.hea"]
    for row in rows[:2]:
        assert (row["error"], row["usable"], row["verdict"]) == ("", "true", "usable")
        assert all(row[code] == "0.250000" for code in CODES)
    for row in rows[2:]:
        assert row["error"] and row["usable"] == "false" and not any(row[code] for code in (*CODES, "verdict", "reasons"))
        assert str(tmp_path) not in row["error"]
    assert "3 of 5" in capsys.readouterr().err
    assert not out.with_name("table.csv.part").exists()
    assert cli.main(["predict", "gone.hea", "--out", str(out)]) == 2 and _table(out)[0]["error"]


def test_predict_tells_what_the_signal_is_apart_from_what_can_be_read_of_its_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from encoders.leadsets import needed_set

    class Choosy:
        def encode(self, ecgs: list[Any]) -> list[Any]:
            return [needed_set(ecg.leads) for ecg in ecgs]

    monkeypatch.setattr(encoders.encode.Encoder, "load", classmethod(lambda cls, path=None: Choosy()))
    ecg = demo("normal").select(("V1", "V5"))
    for name, x in (("chest.csv", ecg.signal_mv), ("short.csv", ecg.signal_mv[:, :2500])):
        np.savetxt(tmp_path / name, x.T, fmt="%.3f", delimiter=",", header="V1_mV,V5_mV", comments="")
    out = tmp_path / "table.csv"
    assert cli.main(["predict", str(tmp_path / "*.csv"), "--fs", "500", "--out", str(out)]) == 2
    chest, short = _table(out)
    assert (chest["usable"], chest["verdict"], chest["reasons"]) == ("true", "usable", "") and "not calibrated" in chest["error"]
    assert (short["usable"], short["verdict"]) == ("false", "unusable") and "lasts 5.0 s" in short["reasons"]


def test_tables_go_to_stdout_without_out(stub_encoder: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "demo:normal"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("demo:normal,0.25")
    assert cli.main(["predict", "demo:normal", "--network-alone"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("demo:normal,0.200000")


def test_a_run_that_breaks_leaves_no_file(tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    out.write_text("before", encoding="utf-8")
    with pytest.raises(RuntimeError), whole_file(out) as handle:
        handle.write("half")
        raise RuntimeError
    assert out.read_text(encoding="utf-8") == "before" and [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_a_folder_that_is_not_there_is_refused_before_the_work(tmp_path: Path, stub_encoder: None) -> None:
    assert cli.main(["predict", "demo:af", "--out", str(tmp_path / "none" / "t.csv")]) == 2


def test_expand_keeps_the_header_of_a_wfdb_record_and_each_name_once(tmp_path: Path) -> None:
    for name in ("a.hea", "a.dat", "b.mat", "b.hea", "c.dat", "d.csv"):
        (tmp_path / name).write_bytes(b"x")
    found = expand([str(tmp_path / "*"), str(tmp_path / "a.hea"), "demo:af"])
    assert [Path(name).name for name in found] == ["a.hea", "b.hea", "c.dat", "d.csv", "demo:af"]
    (tmp_path / "empty.txt").write_text("\n# nothing\n", encoding="utf-8")
    with pytest.raises(QueryError, match="empty"):
        expand([str(tmp_path / "empty.txt")])
    (tmp_path / "sheet.txt").write_text("a.hea\n", encoding="utf-16")
    for named, said in (
        ("gone/*.hea", r"No file fits the pattern 'gone/\*.hea'"), ("gone/list.txt", "The list 'gone/list.txt' does not exist"),
        (str(tmp_path / "sheet.txt"), "is in UTF-16; save it as UTF-8"),
    ):  # fmt: skip
        with pytest.raises(QueryError, match=said):
            expand([named])


def test_train_all_and_align_call_the_chain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from assistant import chain
    from encoders.encode import Encoder

    (tmp_path / "ptbxl_database.csv").write_text("ecg_id\n", encoding="utf-8")
    calls: list[tuple[str, Any]] = []
    monkeypatch.setattr(chain, "train_all", lambda places, **options: calls.append(("all", options)))
    monkeypatch.setattr(chain, "train_language", lambda places, encoder, **options: calls.append(("align", options)))
    monkeypatch.setattr(Encoder, "load", classmethod(lambda cls, path=None: "encoder"))
    monkeypatch.setattr(chain, "train_questions", lambda places, encoder, ecgqa, **options: calls.append((ecgqa.name, options)))
    assert cli.main(["train", "all", str(tmp_path), "--seed", "7"]) == 0
    assert cli.main(["train", "align", str(tmp_path), "--base", "some/model", "--steps", "5"]) == 0
    assert cli.main(["train", "questions", str(tmp_path)]) == 2  # without the questions there is nothing to learn
    (tmp_path / "qa").mkdir()
    (tmp_path / "qa" / "templates.csv").write_text("template_id\n", encoding="utf-8")
    assert cli.main(["train", "questions", str(tmp_path), "--ecg-qa", str(tmp_path / "qa")]) == 0
    assert calls == [
        ("all", {"seed": 7, "ecgqa": None}), ("align", {"base": "some/model", "seed": 0, "lora_steps": 5}),
        ("qa", {"seed": 0}),
    ]  # fmt: skip
