"""Shared fixtures: where the real recordings are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def ecg_data() -> Path:
    """Folder with ptb-xl, ludb, cinc2011 and formats, as ECG_DATA names it; skips where it is not set."""
    folder = os.environ.get("ECG_DATA")
    if not folder:
        pytest.skip("ECG_DATA is not set: it must name a folder with the unpacked real recordings")
    return Path(folder)


@pytest.fixture(scope="module")
def ray_of_two() -> Iterator[None]:
    """A local Ray of two workers that a module's tests share; its token and files lie in no one's home."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_worker_niceness", "0")  # else workers starve where the machine is busy
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
        yield
        ray.shutdown()
