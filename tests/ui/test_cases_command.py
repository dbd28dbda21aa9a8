"""``ecg-assistant cases`` as a researcher uses it, on a small library of made-up recordings. The encoder is a small function of
the signal, the assistant a stand-in with made-up findings; readers, measurements, stores, tables and words are real."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import wfdb

import assistant
from assistant.evidence import ABSENT, PRESENT, UNDETERMINED, Evidence, Finding
from encoders.ecg import STANDARD_LEADS
from encoders.gate import check
from encoders.measure import measure
from encoders.vocabulary import CODES
from retrieval import recordings
from ui import cli

HASH = "0" * 64


class SmallEncoder:
    hash = HASH

    def encode(self, ecgs: Any) -> list[Any]:
        return [
            SimpleNamespace(embedding=np.abs(np.fft.rfft(e.signal_mv, 510, axis=1)).mean(axis=0)[:256].astype(np.float32))
            for e in ecgs
        ]


class SmallAssistant:
    """Everyone has atrial fibrillation, nobody LVH, and IMI is open."""

    def read(self, ecgs: Any, k: int) -> list[Any]:
        assert k == 0
        states = {"AFIB": PRESENT, "IMI": UNDETERMINED}
        out = []
        for ecg in ecgs:
            findings = tuple(Finding(code, 0.5, states.get(code, ABSENT)) for code in CODES)
            name = "12" if len(ecg.leads) == 12 else None
            evidence = Evidence(check(ecg), measure(ecg), findings, lead_set=name)
            out.append(SimpleNamespace(evidence=evidence, embedding=SmallEncoder().encode([ecg])[0].embedding))
        return out


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import encoders.encode

    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(encoders.encode.Encoder, "load", staticmethod(lambda *a, **k: SmallEncoder()))
    loader = SimpleNamespace(load=lambda **k: SmallAssistant())
    monkeypatch.setitem(assistant.__dict__, "Assistant", loader)


def record(file: Path, seed: int) -> None:
    """Twelve leads of a made-up heart beating at 60 + 5 · seed a minute."""
    t = np.arange(1000) / 100
    rng = np.random.default_rng(seed)
    beats = np.exp(-(((t * (60 + 5 * seed) / 60) % 1 - 0.5) ** 2) / 0.0008)
    signal = np.stack([(0.4 + 0.1 * i) * beats + 0.01 * rng.normal(size=t.size) for i in range(12)], axis=1)
    file.parent.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(file.name, fs=100, units=["mV"] * 12, sig_name=list(STANDARD_LEADS), p_signal=signal, fmt=["16"] * 12,
                write_dir=str(file.parent))  # fmt: skip


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    for i in range(6):
        record(tmp_path / "ward" / f"r{i}", i)
    (tmp_path / "ward.csv").write_text(
        "file;id;patient;age;sex;codes;nurse\n"
        "r0;a;P1;81;F;AFIB;x\nr1;b;P1;70;F;LVH;x\nr2;c;P2;old;M;\"AFIB;IMI\";\nr3;d;P3;45;M;SR;\nr4;e;;50;F;NORM XYZ;\n"
        "none;f;;;;;\n",
        encoding="utf-8",
    )  # fmt: skip
    return tmp_path / "ward"


def run(capsys: pytest.CaptureFixture[str], *argv: str, rc: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert cli.main(["cases", *argv]) == rc
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out, err


def found(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run(capsys, "search", *argv, "--json")[0])
    return document


def ids(document: dict[str, Any]) -> list[str]:
    return [case["id"] for case in document["cases"]]


@pytest.fixture
def library(ward: Path, capsys: pytest.CaptureFixture[str]) -> str:
    run(capsys, "build", str(ward), "--metadata", "ward.csv")
    return "ward"


def test_building_says_what_became_of_every_row(ward: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out, err = run(capsys, "build", str(ward), "--metadata", "ward.csv")
    assert out == "Cases: 5 added, 1 not taken in; search it with --library ward.\n"
    assert err.splitlines()[-5:] == [
        "none: There is no file none; check the name.",
        "r2: Row 4: the age 'old' is no number from 0 to 130; the case goes in without it.",
        "1 recording has no row in the table; left out.",
        "Words in the table that are no statements, left out: XYZ (row 6).",
        "Columns that are not kept: nurse.",
    ]
    assert str(tmp_path) not in out + err
    again = json.loads(run(capsys, "build", str(ward), "--metadata", "ward.csv", "--json")[0])
    assert (again["added"], again["there_already"], len(again["failed"]), again["without_row"]) == (0, 5, 1, 1)
    assert again["unknown_codes"] == {"XYZ": [6]}
    (tmp_path / "ward.csv").write_text("file,id,age\nr2,c,66\n", encoding="utf-8")
    mended = json.loads(run(capsys, "build", str(ward), "--metadata", "ward.csv", "--json")[0])
    assert (mended["updated"], mended["added"]) == (1, 0)


def test_libraries_are_listed_and_described(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    listed = {one["name"]: one for one in json.loads(run(capsys, "list", "--json")[0])["libraries"]}
    assert listed["ward"]["cases"] == 5 and listed["built-in"]["cases"] == 17_418
    assert run(capsys, "list")[0].count("\n") == 3
    out, _ = run(capsys, "info", "--library", library)
    assert out.startswith("ward: 5 cases of 3 known patients") and "AFIB            2  atrial fibrillation" in out
    assert json.loads(run(capsys, "info", "--library", library, "--json")[0])["statements"]["AFIB"] == 2


def test_a_recording_finds_others_and_not_itself(library: str, ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [str(ward / "r0.hea"), "--library", library]
    document = found(capsys, *asked)
    assert set(ids(document)) == {"C:b", "C:c", "C:d", "C:e"} and document["left_out"] == {"own": 0, "duplicates": 1}
    own = found(capsys, *asked, "--patient", "P1")
    assert set(ids(own)) == {"C:c", "C:d", "C:e"} and own["left_out"] == {"own": 2, "duplicates": 0}
    assert set(ids(found(capsys, *asked, "--patient", "P1", "--include-own"))) == {"C:a", "C:b", "C:c", "C:d", "C:e"}
    beside = {case["id"]: case["beside"] for case in document["cases"]}
    assert beside["C:c"]["shared"] == ["AFIB"] and beside["C:c"]["open"] == ["IMI"]
    assert beside["C:b"]["only_asked"] == ["AFIB"] and beside["C:b"]["only_case"] == ["LVH"]
    assert beside["C:b"]["measurements"]["rate_bpm"]["difference"] == pytest.approx(5, abs=1)
    assert next(one for one in document["neighbours"] if one["id"] == "N:AFIB")["listed"] == 1
    out, _ = run(capsys, "search", *asked, "--k", "4")
    assert "shared: " in out and "recording: ward/" in out
    assert "Left out: 1 that is this very recording or one already shown. --" in out
    assert "P1" not in out and str(ward.parent) not in out


def test_recordings_are_named_where_the_user_says_where_they_lie(
    library: str, ward: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ["search", str(ward / "r0.hea"), "--library", library]
    out, _ = run(capsys, *asked, "--recordings", str(tmp_path))
    assert f"; here: {ward / 'r1.hea'}" in out and "; here:" not in run(capsys, *asked)[0]
    document = json.loads(run(capsys, *asked, "--recordings", str(ward), "--json")[0])
    assert {Path(case["file"]).parent for case in document["cases"]} == {ward}
    assert "file" not in json.loads(run(capsys, *asked, "--json")[0])["cases"][0]
    _, err = run(capsys, *asked, "--recordings", str(tmp_path / "gone"), rc=2)
    assert "no folder 'gone'" in err and str(tmp_path) not in err


def test_words_conditions_and_both(library: str, ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ids(found(capsys, "--text", "elderly woman with atrial fibrillation", "--library", library)) == ["C:a"]
    out, _ = run(capsys, "search", "--text", "elderly woman with kidney stones, no LVH", "--library", library)
    assert "Taken as conditions: elderly = age>=65; woman = sex=F." in out and "Statements ruled out: LVH." in out
    assert "Not understood, and left out: kidney stones." in out
    assert ids(found(capsys, "--where", "statement=AFIB", "--library", library)) == ["C:a", "C:c"]
    both = found(capsys, str(ward / "r3.hea"), "--text", "atrial fibrillation", "--library", library)
    assert set(ids(both)) == {"C:a", "C:c"} and all(case["answers"] == 1.0 for case in both["cases"])
    assert both["understood"]["wanted"] == [["AFIB"]]
    assert set(ids(found(capsys, str(ward / "r0.hea"), "--where", "sex=M", "--library", library))) == {"C:c", "C:d"}
    out, _ = run(capsys, "search", "--where", "age>120", "--library", library)
    assert out == "No case in the library fits.\n"


def test_values_that_are_asked_for_are_printed(library: str, ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Conditions alone find nothing that is alike, so no likeness is printed; with words or a recording it is."""
    conditions = (["--where", "rate_bpm>65 and AFIB>=80"], ["--text", "heart rate above 65", "--where", "AFIB>=80"])
    for condition in conditions:
        lines = run(capsys, "search", *condition, "--library", library)[0].splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("case "))
        assert "alike" not in lines[at] and [lines[at][:4], *lines[at].split()[1:]] == ["case", "age", "sex", "statements"]
        assert lines[at + 1].startswith("C:c") and "1.000" not in lines[at + 1]
        rate, likelihood = lines[at + 2].strip().split(", ")
        assert rate.startswith("rate_bpm ") and 65 < float(rate.split()[1]) < 80 and likelihood == "AFIB 100"
    out, _ = run(capsys, "search", str(ward / "r0.hea"), "--where", "rate_bpm>65", "--library", library)
    assert "alike" in out.splitlines()[0] and "   rate_bpm 7" in out


def test_several_libraries(library: str, ward: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    record(tmp_path / "clinic" / "x", 9)
    run(capsys, "build", "clinic", "--out", "elsewhere", "--name", "second")
    asked = [str(ward / "r0.hea")]
    document = found(capsys, *asked, "--library", "ward,second")
    assert set(ids(document)) == {"C:ward/b", "C:ward/c", "C:ward/d", "C:ward/e", "C:second/x"}
    assert ids(found(capsys, *asked, "--library", "ward", "--library", "second")) == ids(document)


def test_adding_and_removing(library: str, ward: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out, _ = run(capsys, "add", str(ward / "r5.hea"), "--library", library, "--patient", "P9", "--age", "60",
                 "--statements", "CLBBB:80")  # fmt: skip
    assert out == "Cases: 1 added; library ward.\n"
    record(tmp_path / "copy" / "r5", 5)  # the same recording under the same name, and nothing said of it now
    record(tmp_path / "copy" / "twin", 5)
    record(tmp_path / "copy" / "r0", 7)
    out, err = run(capsys, "add", "copy", "--library", library)
    assert out == "Cases: 1 added, 1 there already, 1 the same recording as another case; library ward.\n"
    assert "twin.hea: the same recording as case r5; not added again." in err
    assert ids(found(capsys, "--text", "left bundle branch block", "--library", library)) == ["C:r5"]
    out, err = run(capsys, "remove", "C:a", "nobody", "--library", library, rc=2)
    assert out == "1 case removed, 6 left.\n" and "nobody: there is no such case." in err
    assert run(capsys, "remove", "--patient", "P9", "--library", library)[0] == "1 case removed, 5 left.\n"
    assert "No case here is of the patient" in run(capsys, "remove", "--patient", "P9", "--library", library, rc=2)[1]
    out, err = run(capsys, "remove", "C:b", "--patient", "P9", "--library", library, rc=2)
    assert out == "1 case removed, 4 left.\n" and "No case here is of the patient" in err
    assert json.loads(run(capsys, "remove", "b", "--library", library, "--json", rc=2)[0])["not_there"] == ["b"]


def test_a_trace_is_fetched_only_when_asked(
    library: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def nobody(url: str) -> bytes:
        asked.append(url)
        raise OSError

    monkeypatch.setattr(recordings, "download", nobody)
    out, _ = run(capsys, "fetch", "C:b", "--library", library, "--out", "got")
    assert out == "r1.dat, r1.hea put into got, from a folder on this machine.\n" and (tmp_path / "got" / "r1.hea").is_file()
    assert "PhysioNet was not to be asked" in run(capsys, "fetch", "12", "--out", "got", "--offline", rc=2)[1] and not asked
    assert "PhysioNet could not be reached" in run(capsys, "fetch", "12", "--out", "got", rc=2)[1]
    assert asked == ["https://physionet.org/files/ptb-xl/1.0.3/records100/00000/00012_lr.hea"]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["search", "--text", "LVH", "--library", "nothing"], "There is no library 'nothing'"),
        (["search", "demo:af", "--leads", "V1,V2", "--library", "ward"], "from the leads V1, V2"),
        (["remove", "--library", "ward"], "Nothing is named"),
        (["remove", "x", "--library", "built-in"], "cannot be changed"),
        (["remove", "x", "--library", "ward,built-in"], "one at a time"),
        (["add", "nothing.hea", "--library", "ward"], "no file or folder 'nothing.hea'"),
        (["add", "ward", "--library", "ward", "--statements", "FOO"], "'FOO' is no statement"),
        (["add", "ward", "--library", "ward", "--metadata", "none.csv"], "no table 'none.csv'"),
        (["build", "ward", "--name", "a/b"], "cannot name a library"),
        (["fetch", "nobody", "--library", "ward", "--out", "x"], "There is no case 'nobody'"),
        (["info", "--library", "ward,built-in"], "one at a time"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    argv: list[str], says: str, library: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, err = run(capsys, *argv, rc=2)
    assert err.startswith("error: ") and err.count("\n") == 1 and says in err and str(tmp_path) not in err
