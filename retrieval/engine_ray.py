"""Work spread over a Ray cluster: ``pip install 'ecg-assistant[ray]'``.

Where ``RAY_ADDRESS`` names a cluster, or one was started on this machine with ``ray start``, its workers do the work; else a
local one is started and stopped again. Every machine of a cluster needs this package in the same version and sees the
recordings under the same paths. Nothing is reported to the makers of Ray.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from encoders.errors import ArtefactError, MissingExtraError, QueryError
from retrieval.engine import DIED, DONE, FAILED, READY, Item, Lost, Make, Result, spread

__all__ = ["Ray"]


class Ray:
    """``workers`` Ray actors (default: as many as the cluster has cores), each on one core."""

    def __init__(self, workers: int | None = None) -> None:
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("--engine ray needs Ray; install it with: pip install 'ecg-assistant[ray]'") from error
        self.workers = workers

    def map(self, make: Make[Item, Result], jobs: Iterable[Sequence[Item]]) -> Iterator[list[Result | Lost]]:
        """See `Engine.map`."""
        import ray

        own = not ray.is_initialized()
        if own:
            self._join()
        try:
            workers = self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]
            yield from spread(_RayPool(make), workers, jobs)
        finally:
            if own:
                ray.shutdown()

    def _join(self) -> None:
        """Join the cluster that there is, or start a local one; never one that some other program runs for itself."""
        import ray

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own 15 lets local workers starve on a busy machine
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError:
            raise QueryError("No Ray cluster answers at RAY_ADDRESS; start it, or unset RAY_ADDRESS.") from None
        except Exception as error:  # Ray raises bare exceptions where a node does not start
            raise ArtefactError(
                "No local Ray could be started; check the machine's memory and load, or use --engine processes."
            ) from error


class _Serving:
    """The actor's side."""

    def __init__(self, make: Make[Any, Any]) -> None:
        self._make = make
        self._work: Any = None

    def prepare(self) -> None:
        self._work = self._make()

    def run(self, items: list[Any]) -> list[Any]:
        found: list[Any] = self._work(items)
        return found


class _RayPool:
    """Actors that Ray does not restart by itself: who had which job is known here. An actor gets work once it is placed and
    prepared, so that a cluster that has shrunk goes on with those it has."""

    def __init__(self, make: Make[Any, Any]) -> None:
        import ray

        self._make = ray.put(make)
        self._actor = ray.remote(num_cpus=1, max_restarts=0)(_Serving)
        self._actors: dict[int, Any] = {}
        self._waiting: dict[Any, tuple[int, str]] = {}

    def start(self, slot: int) -> None:
        self._actors[slot] = self._actor.remote(self._make)
        self._waiting[self._actors[slot].prepare.remote()] = slot, READY

    def send(self, slot: int, items: list[Any]) -> None:
        self._waiting[self._actors[slot].run.remote(items)] = slot, DONE

    def wait(self) -> list[tuple[int, str, Any]]:
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        (reference,), _ = ray.wait(list(self._waiting), num_returns=1)
        slot, what = self._waiting.pop(reference)
        try:
            return [(slot, what, ray.get(reference))]
        except RayActorError as error:
            self.start(slot)
            return [(slot, DIED, error)]
        except RayTaskError as error:
            return [(slot, FAILED, error.cause or error)]

    def close(self) -> None:
        import ray

        for actor in self._actors.values():
            ray.kill(actor)
        self._actors.clear()
        self._waiting.clear()
