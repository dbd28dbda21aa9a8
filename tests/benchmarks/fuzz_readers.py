"""How the readers bear damaged files: many mutants of every format, read in worker processes with bounds on memory and time.

    python tests/benchmarks/fuzz_readers.py --count 20000 --data FOLDER

prints, per format, how many files were read all the same, refused in one sentence, or failed (any other exception, a result that
is no recording, a hang, a crash), with the slowest file's processor time and the memory that the worker grew by. Exit code 1 on
any failure. ``--data`` (default: $ECG_DATA) names the folder with ``formats``, whose samples are damaged too. ``--only
NAME:NUMBER`` repeats one mutant and shows what comes of it; ``--keep FOLDER`` keeps the files that failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing as mp
import os
import queue
import resource
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

#: Beyond this a file counts as a hang: processor seconds, and (for what cannot be interrupted) seconds without news.
CPU_S, SILENCE_S = 20.0, 120.0
#: What the worker may grow by while it reads mutants of small files; the samples of other makers have up to 1 MB.
PEAK_MB = 600.0
#: The worker's address space; NumPy and its libraries take about 1 GB of it without using it.
ADDRESS_BYTES = 6 << 30


@dataclass
class Tally:
    """The outcomes of one format."""

    read: int = 0
    refused: int = 0
    failed: int = 0
    slowest_ms: float = 0.0
    slowest: int = -1
    peak_mb: float = 0.0
    reasons: dict[str, list[int]] = field(default_factory=dict)

    def fail(self, reason: str, number: int) -> None:
        self.failed += 1
        self.reasons.setdefault(reason[:160], []).append(number)


def _fuzzing() -> ModuleType:
    path = Path(__file__).resolve().parent.parent / "encoders" / "fuzzing.py"
    spec = importlib.util.spec_from_file_location("fuzzing", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzzing"] = module
    spec.loader.exec_module(module)
    return module


def _too_slow(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _worker(form: str, first: int, count: int, data: str | None, keep: str | None, news: Any) -> None:
    """Reads mutants ``first`` to ``first + count`` and tells of each: (number, state, reason, ms, MB)."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    signal.signal(signal.SIGVTALRM, _too_slow)
    fuzzing = _fuzzing()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = fuzzing.seeds.written_seeds(folder)
        samples = fuzzing.seeds.sample_seeds(Path(data) / "formats") if data else {}
        for seed in [*written[form], *samples.get(form, [])]:
            fuzzing.attempt(seed, seed.content, folder)
        before = _peak_mb()
        for number in range(first, first + count):
            news.put((number, "begun", "", 0.0, 0.0))
            seed, content = fuzzing.numbered(form, number, written, samples)
            begun = time.process_time()
            signal.setitimer(signal.ITIMER_VIRTUAL, CPU_S)
            try:
                got = fuzzing.attempt(seed, content, folder)
            except TimeoutError:
                got = fuzzing.Attempt("failed", f"more than {CPU_S:.0f} s of processor time")
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            spent = 1000 * (time.process_time() - begun)
            if got.state == "failed" and keep:
                (Path(keep) / f"{form.replace(' ', '_')}-{number}-{seed.target}").write_bytes(content)
            news.put((number, got.state, got.reason, spent, _peak_mb() - before))
    news.put((-1, "done", "", 0.0, 0.0))


def fuzz(form: str, count: int, data: str | None, keep: str | None) -> Tally:
    """``count`` mutants of one format, in a process that is started again after a hang or a crash."""
    tally, at = Tally(), 0
    context = mp.get_context("spawn")
    while at < count:
        news = context.Queue()
        process = context.Process(target=_worker, args=(form, at, count - at, data, keep, news), daemon=True)
        process.start()
        last, state = at, "starting"
        while True:
            try:
                number, state, reason, spent, grown = news.get(timeout=1.0 if not process.is_alive() else SILENCE_S)
            except queue.Empty:
                crashed = not process.is_alive()
                tally.fail(f"the worker ended with {process.exitcode}" if crashed else f"silent for {SILENCE_S:.0f} s", last)
                at = last + 1
                break
            if state == "done":
                at = count
                break
            last = number
            if state == "begun":
                continue
            tally.read += state == "read"
            tally.refused += state == "refused"
            if state == "failed":
                tally.fail(reason, number)
            if spent > tally.slowest_ms:
                tally.slowest_ms, tally.slowest = spent, number
            tally.peak_mb = max(tally.peak_mb, grown)
        process.kill()
        process.join()
    if tally.peak_mb > PEAK_MB:
        tally.fail(f"grew by {tally.peak_mb:.0f} MB; {PEAK_MB:.0f} are allowed", -1)
    return tally


def _show_one(name: str, data: str | None) -> int:
    form, _, number = name.rpartition(":")
    fuzzing = _fuzzing()
    with tempfile.TemporaryDirectory() as folder:
        samples = fuzzing.seeds.sample_seeds(Path(data) / "formats") if data else {}
        seed, content = fuzzing.numbered(form, int(number), fuzzing.seeds.written_seeds(Path(folder)), samples)
        begun = time.process_time()
        got = fuzzing.attempt(seed, content, Path(folder))
    print(f"{form}:{number} of {seed.name}, {len(content)} bytes: {got} in {1000 * (time.process_time() - begun):.0f} ms")
    return int(got.state == "failed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000, help="mutants per format")
    parser.add_argument("--formats", nargs="*", help="formats, all by default")
    parser.add_argument("--data", default=os.environ.get("ECG_DATA"), help="folder that holds formats/ with sample recordings")
    parser.add_argument("--keep", help="existing folder for files that failed")
    parser.add_argument("--only", metavar="NAME:NUMBER", help="one mutant")
    given = parser.parse_args()
    if given.only:
        return _show_one(given.only, given.data)
    print(
        f"{'format':<12} {'files':>7} {'read':>7} {'refused':>8} {'failed':>7} {'slowest ms':>11} {'(number)':>9} {'peak MB':>8}",
        flush=True,
    )
    failed = 0
    for form in given.formats or _fuzzing().seeds.FORMATS:
        t = fuzz(form, given.count, given.data, given.keep)
        failed += t.failed
        files = t.read + t.refused + t.failed
        line = f"{form:<12} {files:>7} {t.read:>7} {t.refused:>8} {t.failed:>7} {t.slowest_ms:>11.0f} {t.slowest:>9}"
        print(f"{line} {t.peak_mb:>8.0f}", flush=True)
        for reason, numbers in t.reasons.items():
            print(f"    {len(numbers)} times: {reason} (such as {', '.join(f'{form}:{n}' for n in numbers[:3])})", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
