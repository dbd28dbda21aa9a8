"""``ecg-assistant ask-many``: lines in, lines out, resumable, and blind to everything in the table but four columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from assistant.ecgqa.values import VALUES
from ui.cli import main

IDS = (1, 2, 3, 8)
QUESTIONS = [
    {"qid": "a", "question": "Does this ECG show symptoms of sinus rhythm?", "ecg_id": [1], "options": ["no", "not sure", "yes"]},
    {"qid": "b", "question": "What kind of noises does this ECG show?", "ecg_id": [2], "options": None},
    {"qid": "c", "question": "Which cardiac axis does this ECG show, left axis deviation or normal heart axis?", "ecg_id": [3]},
    {"qid": "d", "question": "What leads are showing baseline drift in this ECG?", "ecg_id": [8], "options": None},
    {"qid": 5, "question": "Compared to the first ECG, does sinus rhythm still remain in the second ECG?", "ecg_id": [1, 3]},
    {"qid": "f", "question": "What diagnostic symptoms does this ECG show, including uncertain symptoms?", "ecg_id": [8]},
    {"qid": "g", "question": "Should he get a beta blocker?", "ecg_id": [1], "options": None},
    {"qid": "h", "question": "What range does the rr interval of this ECG fall in?", "ecg_id": [3]},
]


def _folder(place: Path, source: Path, columns: list[str] | None) -> Path:
    place.mkdir()
    table = pd.read_csv(source / "ptbxl_database.csv")
    table = table[table["ecg_id"].isin(IDS)]
    (table if columns is None else table[columns]).to_csv(place / "ptbxl_database.csv", index=False)
    (place / "records100").symlink_to(source / "records100")
    return place


def _ask(place: Path, folder: Path, lines: list[str], convention: str = "ecg-qa") -> list[dict[str, Any]]:
    questions, out = place / "questions.jsonl", place / "answers.jsonl"
    questions.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert main(["ask-many", str(questions), str(folder), "--out", str(out), "--convention", convention]) == 0
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, ecg_data: Path) -> list[dict[str, Any]]:
    place = tmp_path_factory.mktemp("many")
    return _ask(place, _folder(place / "all", ecg_data / "ptb-xl", None), [json.dumps(q) for q in QUESTIONS])


def test_an_answer_has_the_strings_of_the_convention(answers: list[dict[str, Any]]) -> None:
    assert [a["qid"] for a in answers] == [q["qid"] for q in QUESTIONS]
    for answer in answers:
        assert set(answer) == {"qid", "values", "text", "declined", "confidence"}
        assert set(answer["values"]) <= VALUES and 0 <= answer["confidence"] <= 1
        assert answer["declined"] == (answer["qid"] == "g") and bool(answer["values"]) != answer["declined"] and answer["text"]
    by_qid = {a["qid"]: a["values"] for a in answers}
    assert by_qid["a"] == ["yes"] and by_qid[5] == ["yes"]


def test_every_other_column_may_be_deleted(answers: list[dict[str, Any]], tmp_path: Path, ecg_data: Path) -> None:
    bare = _folder(tmp_path / "bare", ecg_data / "ptb-xl", ["ecg_id", "filename_lr", "age", "sex"])
    assert _ask(tmp_path, bare, [json.dumps(q) for q in QUESTIONS]) == answers


def test_a_broken_run_goes_on_and_bad_lines_get_a_sentence(
    answers: list[dict[str, Any]], tmp_path: Path, ecg_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = _folder(tmp_path / "bare", ecg_data / "ptb-xl", ["ecg_id", "filename_lr", "age", "sex"])
    kept = [{**answers[0], "text": "kept"}, answers[1]]
    half = json.dumps(answers[2])[:20]
    (tmp_path / "answers.jsonl").write_text("\n".join(json.dumps(a) for a in kept) + "\n" + half, encoding="utf-8")
    bad = ["{not json", json.dumps({"qid": "x", "ecg_id": [1]}), json.dumps({**QUESTIONS[0], "qid": "y", "ecg_id": [1, 2, 3]})]
    lines = [json.dumps(q) for q in QUESTIONS[:3]]
    found = _ask(tmp_path, bare, [lines[0], *bad, *lines[1:], json.dumps({**QUESTIONS[0], "qid": "z", "ecg_id": [99999]})])
    assert found[:3] == [*kept, answers[2]]
    assert found[3]["declined"] and "99999" in found[3]["text"]
    told = capsys.readouterr().err
    assert all(f"line {n}:" in told for n in (2, 3, 4)) and str(tmp_path) not in told


def test_the_clinical_convention_answers_too(tmp_path: Path, ecg_data: Path) -> None:
    bare = _folder(tmp_path / "bare", ecg_data / "ptb-xl", ["ecg_id", "filename_lr", "age", "sex"])
    asked = [
        {"qid": 1, "question": "Is there atrial fibrillation?", "ecg_id": [1], "options": ["yes", "no"]},
        {"qid": 2, "question": "What is the heart rate?", "ecg_id": [3], "options": None},
        {"qid": 3, "question": "Write me a poem.", "ecg_id": [3], "options": None},
    ]
    found = _ask(tmp_path, bare, [json.dumps(q) for q in asked], "clinical")
    assert found[0]["values"] == ["no"] and not found[0]["declined"]
    assert found[1]["values"][0].endswith("/min") and found[2]["declined"]
