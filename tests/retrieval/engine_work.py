"""Work for the engine tests, in a module of its own: other processes must be able to import it."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import ArtefactError
from encoders.measurements import Measurements
from retrieval.build import add_recordings
from retrieval.engine import Processes
from retrieval.intake import Tools
from retrieval.metadata import Record

__all__ = ["disturbed", "ends_now", "ends_once", "ends_with", "fails", "made_up", "main", "squares", "unmade"]


def squares() -> Callable[[list[int]], list[tuple[int, int]]]:
    """Each number's square, and the process that worked it out; larger numbers are done sooner."""

    def work(items: list[int]) -> list[tuple[int, int]]:
        time.sleep(0.02 / (1 + items[0] % 3))
        return [(n * n, os.getpid()) for n in items]

    return work


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ends_once(marker: Path, at: int) -> Callable[[list[int]], list[tuple[int, int]]]:
    """Squares; the process that is first given ``at`` is killed before it has answered."""
    usual = squares()

    def work(items: list[int]) -> list[tuple[int, int]]:
        if at in items and not marker.exists():
            marker.write_text(str(os.getpid()))
            _end()
        return usual(items)

    return work


def disturbed(make: Callable[[], Callable[[list[Any]], list[Any]]], marker: Path, at: Any) -> Callable[[list[Any]], list[Any]]:
    """Somebody's work; the process that is first given ``at`` is killed before it has answered."""
    own = make()

    def work(items: list[Any]) -> list[Any]:
        if not marker.exists() and any(at in (item, getattr(item[0], "file", None)) for item in items):
            marker.write_text(str(os.getpid()))
            _end()
        return own(items)

    return work


def ends_with(poison: int) -> Callable[[list[int]], list[tuple[int, int]]]:
    """Squares; whoever is given ``poison`` is killed, each time."""
    usual = squares()

    def work(items: list[int]) -> list[tuple[int, int]]:
        if poison in items:
            _end()
        return usual(items)

    return work


def fails() -> Callable[[list[int]], list[int]]:
    """Raises when it comes to 5."""

    def work(items: list[int]) -> list[int]:
        if 5 in items:
            raise ArtefactError("Five is missing; restore it.")
        return items

    return work


def unmade() -> Callable[[list[int]], list[int]]:
    """Cannot be made."""
    raise ArtefactError("The weights are missing; restore them.")


def ends_now() -> Callable[[list[int]], list[int]]:
    """Is killed before it is made."""
    _end()
    return list


# --- a build whose recordings are made up as they are read, so that no disk fills ------------------------------------------


def made_up(end_parent_at: int | None = None) -> Tools:
    """Tools that make a recording from its file's name; whoever reads number ``end_parent_at`` kills the building process."""
    from encoders.ecg import ECG, STANDARD_LEADS

    def read_record(record: Record) -> ECG:
        number = int(record.file)
        if number == end_parent_at:
            os.kill(os.getppid(), signal.SIGKILL)
            os._exit(1)
        rng = np.random.default_rng(number)
        return ECG(rng.normal(size=(12, 1000)).astype(np.float32), 100.0, STANDARD_LEADS, age_years=record.age_years)

    def encode(ecgs: list[ECG]) -> NDArray[np.floating]:
        return np.stack([ecg.signal_mv[:, :256].mean(axis=0) for ecg in ecgs])

    return Tools(encode, lambda ecg: Measurements(()), read_record)


def main() -> None:
    """``python engine_work.py FOLDER RECORDINGS [NUMBER]``: builds, then prints counts and peak memory as JSON."""
    folder, n = Path(sys.argv[1]), int(sys.argv[2])
    table = folder / f"{n}.csv"
    table.write_text("file,age\n" + "".join(f"{i},{i % 90}\n" for i in range(n)), encoding="utf-8")
    tools = partial(made_up, int(sys.argv[3]) if len(sys.argv) > 3 else None)
    done = add_recordings([folder], table, tools, str(folder / "library"), "e" * 64, engine=Processes(2), progress=False)
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({"added": done.added, "skipped": done.skipped, "failed": done.failed, "peak_mb": peaks}))


if __name__ == "__main__":
    main()
