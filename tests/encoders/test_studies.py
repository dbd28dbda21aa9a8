"""Studies in the encoder's card: added by name, refused when made with another encoder, printed with their command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from encoders.errors import ArtefactError, QueryError
from encoders.studies import STUDIES, add_study, study_lines


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "encoder.json").write_text(json.dumps({"sha256": "ab" * 32, "metrics": {}}))
    return tmp_path


def test_a_study_is_kept_and_printed_with_its_command(weights, tmp_path):
    held_out = {"PVC": {"value": 0.75, "interval": [0.7, 0.8], "n": 9}}
    (tmp_path / "s.json").write_text(json.dumps({"encoder": "ab" * 6, "held_out": held_out, "mean": 0.7}))
    add_study("zero_shot", tmp_path / "s.json", "2026-11-21", weights)
    text = "\n".join(study_lines(weights))
    assert STUDIES["zero_shot"] in text and "PVC 0.75 [0.7, 0.8]" in text and "mean 0.7" in text
    assert json.loads((weights / "encoder.json").read_text())["metrics"] == {}


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [("fame", "{}", QueryError), ("cleaning", "no json", QueryError), ("cleaning", '{"encoder": "cdcd"}', ArtefactError)],
)
def test_what_does_not_belong_is_refused(weights, tmp_path, name, content, error):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(error):
        add_study(name, tmp_path / "s.json", "2026-11-21", weights)
    assert study_lines(weights) == []


def test_a_study_of_rows_is_printed_row_by_row(weights, tmp_path):
    figure = {"value": 0.816, "interval": [0.797, 0.836]}
    rows = [{"question": "sex", "labels": 50, "refused": "too few"}, {"question": "age", "labels": 50, "fold9": {"mae": figure}}]
    (tmp_path / "s.json").write_text(json.dumps({"encoder": "ab" * 6, "rows": rows}))
    add_study("adapt", tmp_path / "s.json", "2026-11-21", weights)
    text = "\n".join(study_lines(weights))
    assert "question sex  labels 50  refused too few" in text and "question age  labels 50" in text
    assert "mae 0.816 [0.797, 0.836]" in text


def test_the_shipped_card_can_be_printed():
    assert len(study_lines()) > 10
