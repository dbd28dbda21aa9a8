"""A small synthetic heart for tests: Gaussians per wave, projected to twelve leads with known boundaries and sizes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS

#: Size of P, Q, R, S and T in mV per independent lead (I, II and V1 to V6).
_SIZES = {
    "I": (0.08, -0.05, 0.7, -0.1, 0.2),
    "II": (0.14, -0.08, 1.1, -0.15, 0.3),
    "V1": (0.05, 0.0, 0.2, -0.9, 0.1),
    "V2": (0.06, 0.0, 0.4, -1.1, 0.35),
    "V3": (0.06, 0.0, 0.7, -0.7, 0.35),
    "V4": (0.06, -0.05, 1.2, -0.4, 0.35),
    "V5": (0.06, -0.08, 1.2, -0.2, 0.3),
    "V6": (0.06, -0.08, 0.9, -0.1, 0.25),
}


def synthetic_signal(
    *,
    fs_hz: float = 500.0,
    seconds: float = 10.0,
    rate_bpm: float = 60.0,
    pr_ms: float = 160.0,
    p_wave: bool = True,
    irregular: float = 0.0,
    noise_mv: float = 0.005,
    st_mv: dict[str, float] | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """(12, samples) in mV in standard order. ``irregular`` is the standard deviation of RR over its mean."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * fs_hz)) / fs_hz
    rr = 60.0 / rate_bpm
    beats, at = [], 0.4
    while at < seconds + 1:
        beats.append(at)
        at += max(0.3, rr * (1 + irregular * rng.standard_normal()))
    # Centre in s from R and width (standard deviation) in s of P, Q, R, S, T.
    p_at = -pr_ms / 1000 - 0.04 + 0.05
    waves = ((p_at, 0.02), (-0.022, 0.008), (0.0, 0.010), (0.022, 0.008), (0.27, 0.04))
    row = {}
    for lead, sizes in _SIZES.items():
        x = np.zeros_like(t)
        for beat in beats:
            for k, ((offset, width), size) in enumerate(zip(waves, sizes, strict=True)):
                if k > 0 or p_wave:
                    x += size * np.exp(-0.5 * ((t - beat - offset) / width) ** 2)
            if st_mv and lead in st_mv:
                x += (
                    st_mv[lead]
                    / (1 + np.exp(np.clip(-(t - beat - 0.03) / 0.003, -50, 50)))
                    / (1 + np.exp(np.clip((t - beat - 0.2) / 0.02, -50, 50)))
                )
        row[lead] = x + noise_mv * rng.standard_normal(len(t))
    one, two = row["I"], row["II"]
    limb = {"I": one, "II": two, "III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    return np.stack([{**row, **limb}[lead] for lead in STANDARD_LEADS])


def _make_ecg(*, age_years: float | None = None, sex: str | None = None, fs_hz: float = 500.0, **options: object) -> ECG:
    """The same as an ``ECG``."""
    signal = synthetic_signal(fs_hz=fs_hz, **options)  # type: ignore[arg-type]
    return ECG(signal.astype(np.float32), fs_hz, STANDARD_LEADS, age_years, sex, source="test")


@pytest.fixture(scope="session")
def synthetic_ecg() -> Callable[..., ECG]:
    """Maker of synthetic twelve-lead recordings; keyword arguments as in ``synthetic_signal``, plus ``age_years`` and ``sex``."""
    return _make_ecg


def _beside(name: str) -> ModuleType:
    """A module beside this file; test folders are no packages."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def writers() -> ModuleType:
    """The module writers.py: small writers of every format."""
    return _beside("writers")


@pytest.fixture(scope="session")
def xml_writers() -> ModuleType:
    """The module xml_writers.py: the same for the XML formats."""
    return _beside("xml_writers")


@pytest.fixture(scope="session")
def scp_writer() -> ModuleType:
    """The module scp_writer.py: the same for SCP-ECG."""
    return _beside("scp_writer")


@pytest.fixture(scope="session")
def fuzzing() -> ModuleType:
    """The module fuzzing.py: recordings of every format, and ways to damage them."""
    return _beside("fuzzing")
