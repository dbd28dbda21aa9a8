"""The patient's hash: the same on this machine, another on any other, and nowhere the text itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from encoders.errors import ArtefactError, QueryError
from encoders.patient import hash_patient


def test_one_key_one_hash(tmp_path: Path) -> None:
    first = hash_patient("Erika M. 4711", tmp_path)
    assert len(first) == 64 and int(first, 16) >= 0
    assert first == hash_patient("  Erika M. 4711\n", tmp_path) != hash_patient("Erika M. 4712", tmp_path)
    assert hash_patient("Ju\u0308rgen", tmp_path) == hash_patient("J\u00fcrgen", tmp_path)


def test_another_machine_gives_another_hash(tmp_path: Path) -> None:
    assert hash_patient("4711", tmp_path / "here") != hash_patient("4711", tmp_path / "there")


def test_the_text_is_kept_nowhere(tmp_path: Path) -> None:
    shown = hash_patient("Mustermann", tmp_path)
    kept = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert [p.name for p in kept] == ["patient.key"]
    assert "Mustermann" not in kept[0].read_text() + shown
    assert shown not in kept[0].read_text()
    if os.name == "posix":
        assert kept[0].stat().st_mode & 0o777 == 0o600


def test_the_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "a" / "b"))
    assert hash_patient("x") == hash_patient("x", tmp_path / "a" / "b")
    monkeypatch.delenv("ECG_ASSISTANT_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "me")
    hash_patient("x")
    assert (tmp_path / "me" / ".local" / "share" / "ecg-assistant" / "patient.key").is_file()


def test_a_secret_that_others_may_read_is_closed(tmp_path: Path) -> None:
    hash_patient("x", tmp_path)
    (tmp_path / "patient.key").chmod(0o644)
    hash_patient("x", tmp_path)
    assert os.name != "posix" or (tmp_path / "patient.key").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="empty"):
        hash_patient("  ", tmp_path)
    for content in ("", "zz", "ab" * 16):
        (tmp_path / "patient.key").write_text(content)
        with pytest.raises(ArtefactError, match="damaged"):
            hash_patient("x", tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtefactError, match="ECG_ASSISTANT_HOME"):
        hash_patient("x", tmp_path / "file")
