"""A writer killed at any moment: the library opens, with all that was acknowledged, and rows, vectors and search agree."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import retrieval

KILLING = Path(__file__).with_name("killing.py")
#: Kills per store; a run by hand may ask for more (ECG_KILLS=200).
KILLS = int(os.environ.get("ECG_KILLS", "4"))


def run(*words: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(str(retrieval.__file__)).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(KILLING), *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
    )


@pytest.mark.parametrize("kind", ["faiss", "milvus"])
def test_a_killed_writer_loses_nothing_that_was_acknowledged(kind: str, tmp_path: Path) -> None:
    if kind == "milvus":
        pytest.importorskip("milvus_lite", reason="Milvus Lite is not installed: pip install 'ecg-assistant[milvus]'")
    spec = f"milvus:{tmp_path / 'cases.db'}" if kind == "milvus" else str(tmp_path / "cases")
    rng = np.random.default_rng(0)
    surely: set[str] = set()
    for turn in range(KILLS):
        last = int(rng.integers(1, 40))
        said: list[str] = []
        with run("write", spec, str(turn)) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                said.append(line)
                if len(said) == last:  # odd: in the middle of a change; even: just after one
                    writer.send_signal(signal.SIGKILL)
                    break
            said += [line for line in writer.stdout if line.endswith("\n")]
        assert writer.returncode == -signal.SIGKILL and said
        perhaps: set[str] = set()
        for state, sign, *ids in map(str.split, said):
            if state == "done":
                surely = surely | set(ids) if sign == "+" else surely - set(ids)
            perhaps = set(ids) if state == "begin" else set()
        with run("check", spec) as reader:
            assert reader.stdout is not None
            found = json.loads(reader.stdout.read())
        there = set(found["ids"])
        assert found["sound"]
        assert there - perhaps == surely - perhaps
        assert there & perhaps in (set(), perhaps)  # the change that was under way is there whole, or not at all
        surely = there
    if kind == "faiss":
        left = sorted(file.name.partition("-")[0] for file in (tmp_path / "cases").iterdir())
        assert left.count("vectors") <= 2
