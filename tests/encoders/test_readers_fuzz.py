"""Damaged files of every format: a recording or one sentence comes of them, and never much memory.

tests/benchmarks/fuzz_readers.py does the same in the tens of thousands, with bounds on time.
"""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

#: Mutants per format; numbers 24, 49, … are made from the samples of other makers where these are at hand.
MUTANTS = 250
#: Peak of a small file that announces or unfolds to gigabytes. The largest that is read at all: 16 million values of 8 bytes.
PEAK_BYTES = 200_000_000
FORMATS = (
    "wfdb header", "wfdb signal", "wfdb mat", "edf", "dicom", "muse", "philips", "aecg", "scp", "npy", "npz", "csv", "watch",
)  # fmt: skip


@pytest.fixture(scope="module")
def written(fuzzing: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fuzzing.seeds.written_seeds(tmp_path_factory.mktemp("seeds"))


@pytest.fixture(scope="module")
def samples(fuzzing: ModuleType) -> Any:
    folder = os.environ.get("ECG_DATA")
    return fuzzing.seeds.sample_seeds(Path(folder) / "formats") if folder else {}


def test_all_formats_are_here(fuzzing: ModuleType) -> None:
    assert fuzzing.seeds.FORMATS == FORMATS


@pytest.mark.parametrize("form", FORMATS)
def test_whole_files_are_read(fuzzing: ModuleType, written: Any, tmp_path: Path, form: str) -> None:
    """What is damaged below is sound to begin with."""
    assert written[form]
    for seed in written[form]:
        assert fuzzing.attempt(seed, seed.content, tmp_path).state == "read", seed.name


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_files_are_read_or_refused(fuzzing: ModuleType, written: Any, samples: Any, tmp_path: Path, form: str) -> None:
    states = []
    for number in range(MUTANTS):
        seed, content = fuzzing.numbered(form, number, written, samples)
        got = fuzzing.attempt(seed, content, tmp_path)
        assert got.state != "failed", f"{form}:{number} of {seed.name}: {got.reason}"
        states.append(got.state)
    assert 10 < states.count("refused") < MUTANTS - 10  # the damage is neither harmless nor total


def test_mutants_follow_from_their_number(fuzzing: ModuleType, written: Any) -> None:
    first = [fuzzing.numbered("csv", n, written, {})[1] for n in range(40)]
    assert first == [fuzzing.numbered("csv", n, written, {})[1] for n in range(40)]
    assert len(set(first)) > 35


def test_files_built_to_do_harm_take_little_memory(fuzzing: ModuleType, tmp_path: Path) -> None:
    hostile = fuzzing.seeds.hostile(tmp_path)
    assert {seed.form for seed in hostile} == set(FORMATS) - {"wfdb signal", "wfdb mat"}
    refused = 0
    tracemalloc.start()
    try:
        for seed in hostile:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            got = fuzzing.attempt(seed, seed.content, tmp_path)
            peak = tracemalloc.get_traced_memory()[1] - before
            assert got.state != "failed", f"{seed.form} {seed.name}: {got.reason}"
            assert peak < PEAK_BYTES, f"{seed.form} {seed.name}: {peak / 1e6:.0f} MB"
            refused += got.state == "refused"
    finally:
        tracemalloc.stop()
    assert refused > len(hostile) - 10
