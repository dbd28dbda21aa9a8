"""One contract, three engines: results complete and in order, whoever dies on the way."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from encoders.errors import ArtefactError, QueryError
from retrieval.engine import AHEAD, ENGINES, Engine, InProcess, Lost, Processes, open_engine
from retrieval.engine_ray import Ray

JOBS = [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(12)]
SQUARES = [[n * n for n in job] for job in JOBS]


@pytest.fixture(scope="module")
def work() -> Iterator[ModuleType]:
    """Importable here and, as ``sys.path`` is handed on, in worker processes; Ray takes it by value."""
    import importlib

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        module = importlib.import_module("engine_work")
        from ray import cloudpickle

        cloudpickle.register_pickle_by_value(module)
        yield module
        cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "ray":
        request.getfixturevalue("ray_of_two")
    return open_engine(request.param, 2)


@pytest.fixture(params=["processes", "ray"])
def spreading(request: pytest.FixtureRequest) -> Engine:
    if request.param == "ray":
        request.getfixturevalue("ray_of_two")
    return open_engine(request.param, 2)


def values(found: list[list[Any]]) -> list[list[int]]:
    return [[value for value, _ in items] for items in found]


def test_results_come_in_the_order_of_the_jobs(engine: Engine, work: ModuleType) -> None:
    found = list(engine.map(work.squares, JOBS))
    assert values(found) == SQUARES
    workers = {worker for items in found for _, worker in items}
    assert workers == {os.getpid()} if isinstance(engine, InProcess) else os.getpid() not in workers
    assert list(engine.map(work.squares, [])) == []


def test_a_worker_killed_on_the_way_costs_nothing(spreading: Engine, work: ModuleType, tmp_path: Path) -> None:
    """The results are those of the engine that works here; the killed one's job was done by another."""
    marker = tmp_path / "killed"
    found = list(spreading.map(partial(work.ends_once, marker, 16), JOBS))
    assert values(found) == values(list(InProcess().map(work.squares, JOBS)))
    assert int(marker.read_text()) not in {worker for _, worker in found[5]}


def test_what_kills_every_worker_costs_only_itself(work: ModuleType) -> None:
    found = list(Processes(2).map(partial(work.ends_with, 16), JOBS))
    assert found[5][1] == Lost()
    assert [found[5][0][0], found[5][2][0]] == [225, 289]
    assert values(found[:5] + found[6:]) == SQUARES[:5] + SQUARES[6:]


def test_errors_reach_the_caller_as_they_are(engine: Engine, work: ModuleType) -> None:
    with pytest.raises(ArtefactError, match="^Five is missing; restore it.$"):
        list(engine.map(work.fails, JOBS))
    if not isinstance(engine, Ray):  # where it goes the same way, but starts two more workers
        with pytest.raises(ArtefactError, match="^The weights are missing; restore them.$"):
            list(engine.map(work.unmade, JOBS))


def test_jobs_are_drawn_as_they_are_needed(work: ModuleType) -> None:
    """However many there are: a bounded number beyond what has been taken."""
    drawn = 0

    def endless() -> Iterator[list[int]]:
        nonlocal drawn
        for n in itertools.count():
            drawn += 1
            yield [n]

    results = Processes(2).map(work.squares, endless())
    for n in range(30):
        assert next(results)[0][0] == n * n
        assert drawn <= n + 1 + 2 * AHEAD
    results.close()  # type: ignore[attr-defined]


def test_workers_that_never_begin(work: ModuleType) -> None:
    with pytest.raises(ArtefactError, match="end before they begin"):
        list(Processes(2).map(work.ends_now, JOBS))


@pytest.mark.parametrize(
    ("raised", "error", "says"),
    [(ConnectionError("10.0.0.1"), QueryError, "No Ray cluster answers at RAY_ADDRESS; start it, or unset RAY_ADDRESS."),
     (Exception("timed out in /tmp/ray"), ArtefactError, "No local Ray could be started; .* use --engine processes.")],
)  # fmt: skip
def test_ray_that_cannot_be_had(
    raised: Exception, error: type[Exception], says: str, work: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    def init(**options: Any) -> None:
        assert "address" not in options  # with one, Ray would join whatever runs on this machine, other people's too
        raise raised

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(error, match=f"^{says}$"):
        list(Ray(2).map(work.squares, JOBS))


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(QueryError, match="'steam'; choose one of here, processes, ray"):
        open_engine("steam")
    with pytest.raises(QueryError, match="is 0; give at least 1"):
        open_engine("processes", 0)
