"""How work on many recordings is spread: in this process, over several on this machine, or over a Ray cluster.

An engine takes a function that makes the work (so that each worker loads its network once) and an iterable of jobs, lists of
up to some dozen items, and yields the results in the order of the jobs, whichever worker had them. No more than
`AHEAD` jobs per worker are under way or waiting to be yielded, so that memory does not grow with their number. A job whose
worker dies goes to another; one that has cost two workers is taken apart, and an item that costs two alone is `Lost`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

from encoders.errors import ArtefactError, QueryError

__all__ = [
    "ENGINES",
    "Engine",
    "InProcess",
    "Lost",
    "Make",
    "Pool",
    "Processes",
    "Work",
    "available_cores",
    "open_engine",
    "spread",
]

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[list[Item]], list[Result]]  # a job's items → a result for each, in order
Make = Callable[[], Work[Item, Result]]  # must survive being sent to another process: a function, or a partial of one

ENGINES = ("here", "processes", "ray")
AHEAD = 4
_DEATHS = 2  # workers that one job, and then one item, may cost
READY, DONE, FAILED, DIED = "ready", "done", "failed", "died"


@dataclass(frozen=True)
class Lost:
    """In the place of a result whose item ended two workers."""

    reason: str = "Working on this recording ended the process that had it, twice; check the file, or the machine's memory."


class Engine(Protocol):
    """See the module's text."""

    def map(self, make: Make[Item, Result], jobs: Iterable[Sequence[Item]]) -> Iterator[list[Result | Lost]]:
        """The results of every job, in the order of the jobs. What ``make`` or the work raises is raised here."""
        ...


class InProcess:
    """One job after the other, here."""

    def map(self, make: Make[Item, Result], jobs: Iterable[Sequence[Item]]) -> Iterator[list[Result | Lost]]:
        """See `Engine.map`."""
        work = make()
        for items in jobs:
            yield [*work(list(items))]


class Processes:
    """``workers`` processes on this machine (default: one per core), each on one thread."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or available_cores()

    def map(self, make: Make[Item, Result], jobs: Iterable[Sequence[Item]]) -> Iterator[list[Result | Lost]]:
        """See `Engine.map`."""
        return spread(_ProcessPool(make), self.workers, jobs)


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_engine(name: str, workers: int | None = None) -> Engine:
    """The engine of this name, one of `ENGINES`, with so many workers (default: a core each). QueryError for another name;
    MissingExtraError for "ray" where Ray is not installed."""
    if name not in ENGINES:
        raise QueryError(f"There is no engine {name!r}; choose one of {', '.join(ENGINES)}.")
    if workers is not None and workers < 1:
        raise QueryError(f"The number of workers is {workers}; give at least 1.")
    if name == "here":
        return InProcess()
    if name == "processes":
        return Processes(workers)
    from retrieval.engine_ray import Ray

    return Ray(workers)


# --- spreading -------------------------------------------------------------------------------------------------------


class Pool(Protocol):
    """Workers by slot, each at one job at a time. A worker that died has been started anew when that is reported."""

    def start(self, slot: int) -> None:
        """Start the worker of a slot."""
        ...

    def send(self, slot: int, items: list[Any]) -> None:
        """Give a job to a worker that is ready."""
        ...

    def wait(self) -> list[tuple[int, str, Any]]:
        """At least one (slot, READY, None), (slot, DONE, results), (slot, FAILED, exception) or (slot, DIED,
        exception or None)."""
        ...

    def close(self) -> None:
        """Stop all workers."""
        ...


@dataclass
class _Job:
    number: int
    offset: int  # of its first item in the job as it was given
    items: list[Any]
    deaths: int = 0


def spread(pool: Pool, workers: int, jobs: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
    """The results of all jobs, in order, from ``workers`` workers of a pool, which is closed at the end."""
    source = iter(jobs)
    first = next(source, None)
    if first is None:  # nothing to start workers for
        return
    source = chain([first], source)
    again: deque[_Job] = deque()
    running: dict[int, _Job] = {}
    ready: list[int] = []
    results: dict[int, list[Any]] = {}
    left: dict[int, int] = {}  # items of each job without a result
    taken = given = stillborn = 0
    more = True

    def settle(job: _Job, found: list[Any]) -> None:
        results[job.number][job.offset : job.offset + len(found)] = found
        left[job.number] -= len(found)

    try:
        for slot in range(workers):
            pool.start(slot)
        while True:
            while ready and (again or (more and taken - given < AHEAD * workers)):
                if not again:
                    items = next(source, None)
                    if items is None:
                        more = False
                        continue
                    again.append(_Job(taken, 0, list(items)))
                    results[taken], left[taken] = [None] * len(items), len(items)
                    taken += 1
                slot = ready.pop(0)
                running[slot] = again.popleft()
                pool.send(slot, running[slot].items)
            if not more and given == taken:
                return
            for slot, what, found in pool.wait():
                if what == FAILED:
                    raise found
                if what == READY:
                    stillborn = 0
                elif what == DONE:
                    settle(running.pop(slot), found)
                elif slot in running:
                    job = running.pop(slot)
                    job.deaths += 1
                    if job.deaths < _DEATHS:
                        again.append(job)
                    elif len(job.items) == 1:
                        settle(job, [Lost()])
                    else:
                        again.extend(_Job(job.number, job.offset + i, [item]) for i, item in enumerate(job.items))
                else:
                    stillborn += 1
                    if stillborn > _DEATHS * workers:
                        raise ArtefactError("The worker processes end before they begin; check the machine's memory.") from found
                if what != DIED:
                    ready.append(slot)
            while given < taken and not left[given]:
                del left[given]
                yield results.pop(given)
                given += 1
    finally:
        pool.close()


# --- processes on this machine ---------------------------------------------------------------------------------------


class _ProcessPool:
    """Fresh interpreters, not forks: threads of numerical libraries do not survive a fork."""

    def __init__(self, make: Make[Any, Any]) -> None:
        import multiprocessing

        self._make = make
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, tuple[Any, Connection[Any, Any]]] = {}

    def start(self, slot: int) -> None:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(self._make, there), daemon=True)
        process.start()
        there.close()  # so that the death of the process, its only holder now, ends the pipe
        self._workers[slot] = process, here

    def send(self, slot: int, items: list[Any]) -> None:
        import contextlib

        with contextlib.suppress(OSError):  # it died just now: the next wait says so
            self._workers[slot][1].send(items)

    def wait(self) -> list[tuple[int, str, Any]]:
        from multiprocessing.connection import wait

        events: list[tuple[int, str, Any]] = []
        spoken = wait([pipe for _, pipe in self._workers.values()])
        for slot, pipe in [(slot, pipe) for slot, (_, pipe) in self._workers.items() if pipe in spoken]:
            try:
                events.append((slot, *pipe.recv()))
            except (EOFError, OSError):
                self._stop(slot)
                self.start(slot)
                events.append((slot, DIED, None))
        return events

    def _stop(self, slot: int) -> None:
        process, pipe = self._workers.pop(slot)
        pipe.close()
        process.terminate()
        process.join()

    def close(self) -> None:
        for slot in list(self._workers):
            self._stop(slot)


def _serve(make: Make[Any, Any], pipe: Connection[Any, Any]) -> None:
    """The worker's side: makes its work, says it is ready, and answers jobs until the pipe ends."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interrupt is the parent's, which then ends this process
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes are the parallelism; read by libraries that are not loaded yet
    try:
        work = make()
        pipe.send((READY, None))
        while True:
            pipe.send((DONE, work(pipe.recv())))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        pipe.send((FAILED, error))
