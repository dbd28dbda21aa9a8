"""Shared fixtures: where the real recordings are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def ecg_data() -> Path:
    """Folder with ptb-xl, ludb, cinc2011 and formats, as ECG_DATA names it; skips where it is not set."""
    folder = os.environ.get("ECG_DATA")
    if not folder:
        pytest.skip("ECG_DATA is not set: it must name a folder with the unpacked real recordings")
    return Path(folder)
