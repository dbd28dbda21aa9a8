"""A build over many recordings: memory that does not grow with them, and one that goes on where it was killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from retrieval.library import CaseLibrary

SCRIPT = Path(__file__).with_name("engine_work.py")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))


def build(folder: Path, n: int, end_at: int | None = None) -> Any:
    """What the build in a process of its own printed; its exit code where it was killed."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(SCRIPT), str(folder), str(n), *([] if end_at is None else [str(end_at)])]
    done = subprocess.run(command, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else done.returncode


def test_killed_it_goes_on_and_memory_does_not_grow(tmp_path: Path) -> None:
    """Killed on the way, a build of 2,000 goes on where it was and ends with the rows and vectors of one that nobody
    disturbed. That one takes 6,000 recordings more, 288 MB of signals; the library itself takes some 3 kB for each."""
    assert build(tmp_path / "few", 2000, end_at=1500) == -9
    few, many = build(tmp_path / "few", 2000), build(tmp_path / "many", 8000)
    assert few["added"] + few["skipped"] == 2000 and few["skipped"] > 0 and few["failed"] == []
    assert (many["added"], many["skipped"], many["failed"]) == (8000, 0, [])
    for before, after in zip(few["peak_mb"], many["peak_mb"], strict=True):  # the building process, the largest worker
        assert after - before < 60
    with CaseLibrary.open(tmp_path / "few" / "library") as one, CaseLibrary.open(tmp_path / "many" / "library") as other:
        ids = [str(i) for i in range(2000)]
        rows = [{i: (row.content_hash, row.age_years) for i, row in store.get(ids).items()} for store in (one, other)]
        assert len(rows[0]) == 2000 and rows[0] == rows[1]
        assert (one.store.vectors(ids) == other.store.vectors(ids)).all()
