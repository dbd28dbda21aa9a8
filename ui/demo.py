"""Demo recordings: six synthesised subjects to show and test with. Nothing below ``ui`` knows of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import QueryError
from ui.heart import Bump, Fibrillation, Heart, Noise, synthesise

__all__ = ["DEMOS", "PREFIX", "Demo", "demo", "resolve", "swap_arms"]

PREFIX = "demo:"
FS_HZ = 500.0
DURATION_S = 10.0

# A P wave starts in the right atrium (forwards, down) and ends in the left (leftwards, slightly back).
_P = (
    Bump(-112, 17, 17, (0.06, 0.065, -0.045)),
    Bump(-82, 17, 18, (0.10, 0.060, 0.030)),
)
# Septum from left to right, then the free walls, then the base of the heart, which points back and up.
_QRS = (
    Bump(16, 6, 6, (-0.12, -0.06, -0.22)),
    Bump(40, 9, 9, (1.00, 0.80, 0.16)),
    Bump(60, 8, 8, (0.12, 0.02, 0.62)),
    Bump(73, 7, 7, (-0.13, -0.12, 0.24)),
)
_T = (Bump(292, 52, 34, (0.27, 0.22, -0.16), repolarisation=True),)
_NORMAL = Heart(66, _QRS + _T, _P)

_AF = Heart(
    104,
    (*_QRS, Bump(285, 52, 36, (0.17, 0.13, -0.08), repolarisation=True)),
    rr_sd=0.3,
    irregular=True,
    fibrillation=Fibrillation(xyz=(-0.015, 0.015, -0.028)),
    noise=Noise(muscle_mv=0.007, wander_mv=0.03),
)

# Left bundle branch block: no septal q, a slow swing left and back with a notched plateau, ST-T turned against it
# (AHA/ACC/HRS 2009, part III, doi:10.1161/CIRCULATIONAHA.108.191095).
_LBBB = Heart(
    72,
    (
        Bump(24, 10, 13, (0.42, 0.14, 0.22)),
        Bump(54, 15, 17, (0.90, 0.16, 1.12)),
        Bump(92, 16, 13, (0.96, 0.02, 1.05)),
        Bump(117, 9, 8, (0.20, -0.04, 0.34)),
        Bump(142, 8, 60, (-0.12, -0.02, -0.18), hold_ms=100, gate_ms=132),
        Bump(335, 60, 42, (-0.36, -0.04, -0.34), repolarisation=True),
    ),
    tuple(replace(p, at_ms=p.at_ms - 12) for p in _P),
)

# Anterior ST-elevation infarction: injury current forwards and up, a dome from J into T; lost forces leave QS in V1-V2
# and reciprocal depression below (Fourth Universal Definition, doi:10.1161/CIR.0000000000000617).
_STEMI = Heart(
    92,
    (
        Bump(14, 6, 6, (0.03, -0.05, 0.16)),
        Bump(40, 9, 9, (0.72, 0.62, 0.38)),
        Bump(60, 8, 8, (0.08, 0.02, 0.50)),
        Bump(74, 7, 7, (-0.10, -0.10, 0.16)),
        Bump(215, 120, 62, (0.08, -0.17, -0.30), hold_ms=45, gate_ms=82),
        Bump(285, 50, 36, (0.06, 0.02, -0.12), repolarisation=True),
    ),
    _P,
)

_NOISY = replace(
    _NORMAL,
    rate_bpm=84,
    noise=Noise(muscle_mv=0.22, wander_mv=0.6, jumps_mv=0.6, detached=("V1", "V2", "V3", "V5")),
)


@dataclass(frozen=True)
class Demo:
    """One demo subject: its name after ``demo:``, what it shows, and what is needed to synthesise it."""

    name: str
    title: str
    heart: Heart
    age_years: float
    sex: str
    seed: int
    arms_swapped: bool = False


DEMOS: tuple[Demo, ...] = (
    Demo("normal", "Normal sinus rhythm", _NORMAL, 45, "F", 11),
    Demo("af", "Atrial fibrillation", _AF, 74, "M", 12),
    Demo("lbbb", "Left bundle branch block", _LBBB, 71, "F", 13),
    Demo("stemi", "Anterior ST-elevation infarction", _STEMI, 58, "M", 14),
    Demo("noisy", "Electrodes off, muscle noise", _NOISY, 66, "F", 15),
    Demo("swapped", "Arm electrodes swapped", replace(_NORMAL, rate_bpm=71), 52, "M", 16, arms_swapped=True),
)


def swap_arms(signal_mv: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the recorder shows when the two arm electrodes change places: (12, samples) in, (12, samples) out, mV.

    Lead I turns over, II and III change places, and so do aVR and aVL; aVF and the chest leads stay.
    """
    out = signal_mv.copy()
    row = {name: i for i, name in enumerate(STANDARD_LEADS)}
    out[row["I"]] = -signal_mv[row["I"]]
    for one, other in (("II", "III"), ("aVR", "aVL")):
        out[row[one]], out[row[other]] = signal_mv[row[other]], signal_mv[row[one]]
    return out


def demo(name: str) -> ECG:
    """The demo recording of this name (with or without ``demo:``): 12 leads, 10 s, 500 Hz, age and sex set.

    Raises QueryError where there is none of that name.
    """
    short = name.removeprefix(PREFIX)
    for subject in DEMOS:
        if subject.name == short:
            signal = synthesise(subject.heart, duration_s=DURATION_S, fs_hz=FS_HZ, seed=subject.seed)
            if subject.arms_swapped:
                signal = swap_arms(signal)
            return ECG(signal, FS_HZ, STANDARD_LEADS, age_years=subject.age_years, sex=subject.sex, source="demo")
    known = ", ".join(f"{PREFIX}{subject.name}" for subject in DEMOS)
    raise QueryError(f"There is no demo recording {short!r}; choose one of {known}.")


def resolve(
    spec: str | Path,
    *,
    fs_hz: float | None = None,
    unit: str | None = None,
    lead_names: tuple[str, ...] | None = None,
    age_years: float | None = None,
    sex: str | None = None,
    long: bool = False,
) -> ECG:
    """The recording that a user named: ``demo:NAME`` or a path.

    ``fs_hz``, ``unit`` and ``lead_names`` are for files that do not state them; ``age_years`` (0-130) and ``sex`` ("F", "M")
    go before what the file says; ``long`` as in ``encoders.readers.read``. Raises RecordingError or QueryError.
    """
    if isinstance(spec, str) and spec.startswith(PREFIX):
        ecg = demo(spec)
        return replace(
            ecg,
            age_years=ecg.age_years if age_years is None else age_years,
            sex=ecg.sex if sex is None else sex,
        )
    from encoders.readers import read

    return read(Path(spec), fs_hz=fs_hz, unit=unit, lead_names=lead_names, age_years=age_years, sex=sex, long=long)
