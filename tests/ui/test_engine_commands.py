"""`predict` and `cases build` on a local Ray of two workers, one of them killed on the way: as here in one process."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from encoders.ecg import STANDARD_LEADS
from retrieval.engine import Engine, InProcess, Processes, open_engine
from retrieval.library import CaseLibrary
from ui import cli
from ui.commands import options, tables

HELPERS = Path(__file__).parents[1] / "retrieval"
Disturb = Callable[[str, str], Path]


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Ten recordings and a broken file; batches of two; one thread, as workers have."""
    folder = tmp_path / "ward"
    folder.mkdir()
    rng = np.random.default_rng(0)
    t = np.arange(1000) / 100
    for i in range(10):
        signal = np.sin(2 * np.pi * (1 + i / 5) * t) ** 15 + 0.05 * rng.normal(size=(12, 1000))
        np.savez(folder / f"r{i}.npz", signal_mv=signal.astype(np.float32), fs_hz=100.0, leads=np.array(STANDARD_LEADS))
    (folder / "r5x.npz").write_bytes(b"broken")
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("retrieval.build.BATCH", 2)
    monkeypatch.setattr(tables, "BATCH", 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture
def disturb(tmp_path: Path, ray_of_two: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disturb]:
    """(engine, item) → commands use that engine, and the worker that is first given the item is killed; gives the marker."""
    from ray import cloudpickle

    monkeypatch.syspath_prepend(str(HELPERS))
    helpers = importlib.import_module("engine_work")
    cloudpickle.register_pickle_by_value(helpers)

    def use(name: str, item: str) -> Path:
        marker = tmp_path / f"killed-{name}-{item.rpartition('/')[2]}"

        class Disturbed:
            def map(self, make: Any, jobs: Any) -> Iterator[list[Any]]:
                return open_engine(name, 2).map(partial(helpers.disturbed, make, marker, item), jobs)

        monkeypatch.setattr(options, "chosen_engine", lambda args, recordings: Disturbed())
        return marker

    yield use
    cloudpickle.unregister_pickle_by_value(helpers)


def test_predict(recordings: Path, tmp_path: Path, disturb: Disturb, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["predict", str(recordings / "*.npz"), "--out"]
    assert cli.main([*command, str(tmp_path / "here.csv")]) == 0
    marker = disturb("ray", str(recordings / "r6.npz"))
    assert cli.main([*command, str(tmp_path / "ray.csv")]) == 0
    assert marker.exists()
    table = (tmp_path / "here.csv").read_text(encoding="utf-8")
    assert len(table.splitlines()) == 12 and (tmp_path / "ray.csv").read_text(encoding="utf-8") == table
    assert capsys.readouterr().err.count("1 of 11 recordings could not be read") == 2


def test_cases_build(recordings: Path, tmp_path: Path, disturb: Disturb, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["cases", "build", str(recordings), "--out"]
    assert cli.main([*command, str(tmp_path / "here")]) == 0
    marker = disturb("ray", "r6.npz")
    assert cli.main([*command, str(tmp_path / "ray")]) == 0
    assert marker.exists()
    assert capsys.readouterr().out.count("10 added") == 2
    with CaseLibrary.open(tmp_path / "here") as one, CaseLibrary.open(tmp_path / "ray") as other:
        ids = sorted(one.store.matching_ids(None))
        assert len(ids) == 10 and ids == sorted(other.store.matching_ids(None))
        assert one.get(ids) == other.get(ids)
        assert np.array_equal(one.store.vectors(ids), other.store.vectors(ids))


@pytest.mark.parametrize(
    ("words", "recordings", "kind"),
    [([], 3, InProcess), ([], 199, InProcess), ([], 200, Processes), ([], None, Processes), (["--workers", "3"], 3, Processes),
     (["--engine", "here"], 10**6, InProcess), (["--engine", "processes"], 1, Processes)],
)  # fmt: skip
def test_the_engine_goes_by_what_there_is_to_do(words: list[str], recordings: int | None, kind: type[Engine]) -> None:
    args = cli.build_parser().parse_args(["predict", "x", *words])
    engine = options.chosen_engine(args, recordings)
    assert type(engine) is kind
    assert not isinstance(engine, Processes) or engine.workers == (args.workers or engine.workers) >= 1


def test_no_workers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "demo:af", "--engine", "processes", "--workers", "0"]) == 2
    assert "The number of workers is 0; give at least 1." in capsys.readouterr().err
