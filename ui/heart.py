"""A small physiological model of the 12-lead electrocardiogram: a moving dipole, seen from twelve places.

The heart is one dipole in Frank's axes (x to the left, y to the feet, z to the back; mV). Every wave is a sum of
Gaussian bumps and plateaus in time, each pointing somewhere; Dower's matrix turns the dipole into the leads. The
noise of skin, muscle and electrodes is added afterwards, lead by lead. For demonstration only: nothing is trained
or scored on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import STANDARD_LEADS

__all__ = ["DOWER", "Bump", "Fibrillation", "Heart", "Noise", "beat_times_s", "project", "synthesise"]

#: Lead vectors for Frank x, y, z (Dower, Machado & Osborne 1980, "On deriving the electrocardiogram from
#: vectorcardiographic leads", doi:10.1002/clc.1980.3.2.87). III and the augmented leads follow from I and II.
DOWER: dict[str, tuple[float, float, float]] = {
    "I": (0.632, -0.235, 0.059),
    "II": (0.235, 1.066, -0.132),
    "V1": (-0.515, 0.157, -0.917),
    "V2": (0.044, 0.164, -1.387),
    "V3": (0.882, 0.098, -1.277),
    "V4": (1.213, 0.127, -0.601),
    "V5": (1.125, 0.127, -0.086),
    "V6": (0.831, 0.076, 0.230),
}


@dataclass(frozen=True)
class Bump:
    """One deflection of the dipole, timed from the onset of QRS.

    ``at_ms`` centre; ``rise_ms`` and ``fall_ms`` standard deviations before and after it; ``hold_ms`` length of a flat
    top that follows the centre; ``xyz`` the dipole there in mV. ``gate_ms``: nothing before this moment (the ST-T
    complex of a heart in injury starts at J, however wide it is). ``repolarisation``: stretches with the cycle.
    """

    at_ms: float
    rise_ms: float
    fall_ms: float
    xyz: tuple[float, float, float]
    hold_ms: float = 0.0
    gate_ms: float | None = None
    repolarisation: bool = False


@dataclass(frozen=True)
class Fibrillation:
    """Fibrillatory waves: a sawtooth of wandering rate and size. ``xyz`` mV; ``hz`` mean rate."""

    xyz: tuple[float, float, float] = (-0.03, 0.03, -0.055)
    hz: float = 6.3


@dataclass(frozen=True)
class Noise:
    """What the skin, the muscles and the cables add: root mean square in mV, per lead.

    ``detached``: leads whose electrode is off and that show a flat line.
    """

    muscle_mv: float = 0.006
    wander_mv: float = 0.025
    detached: tuple[str, ...] = ()
    jumps_mv: float = 0.0


@dataclass(frozen=True)
class Heart:
    """One subject: rate, its variation, the bumps of a beat, and what is laid over them.

    ``rate_bpm`` mean ventricular rate; ``rr_sd`` relative standard deviation of RR; ``irregular`` draws RR without
    memory (atrial fibrillation) instead of with the slow swing of breathing. ``atrial`` and ``ventricular`` bumps.
    """

    rate_bpm: float
    ventricular: tuple[Bump, ...]
    atrial: tuple[Bump, ...] = ()
    rr_sd: float = 0.03
    irregular: bool = False
    fibrillation: Fibrillation | None = None
    noise: Noise = field(default_factory=Noise)
    beat_sd: float = 0.015
    breath_hz: float = 0.24


def beat_times_s(heart: Heart, duration_s: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Onsets of QRS in seconds, from before the start to after the end of the recording, shape (beats,)."""
    mean_s, times = 60 / heart.rate_bpm, []
    now = -mean_s * (1 + rng.random())
    while now < duration_s + 1.0:
        times.append(now)
        if heart.irregular:
            # A gamma law keeps the short refractory limit and the long tail of conducted fibrillation.
            shape = 1 / heart.rr_sd**2
            step = max(0.32, rng.gamma(shape, mean_s / shape))
        else:
            swing = np.sin(2 * np.pi * heart.breath_hz * now) * np.sqrt(2) * 0.8
            step = mean_s * (1 + heart.rr_sd * (swing + 0.6 * rng.standard_normal()))
        now += step
    return np.array(times)


def _bump(bump: Bump, t_ms: NDArray[np.float64], stretch: float) -> NDArray[np.float64]:
    """The bump's course over time, 0-1; ``stretch`` scales everything after J of repolarisation bumps."""
    k = stretch if bump.repolarisation else 1.0
    start, end = bump.at_ms * k, (bump.at_ms + bump.hold_ms) * k
    before, after = np.minimum(t_ms - start, 0) / (bump.rise_ms * k), np.maximum(t_ms - end, 0) / (bump.fall_ms * k)
    course = np.exp(-0.5 * (before**2 + after**2))
    if bump.gate_ms is not None:
        course *= 1 / (1 + np.exp(-(t_ms - bump.gate_ms) / 5.0))
    return np.asarray(course, dtype=np.float64)


def _coloured(rng: np.random.Generator, n: int, fs_hz: float, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Gaussian noise of unit RMS between two frequencies, shape (n,)."""
    spectrum = rng.standard_normal(n // 2 + 1) + 1j * rng.standard_normal(n // 2 + 1)
    freqs_hz = np.fft.rfftfreq(n, 1 / fs_hz)
    spectrum[(freqs_hz < low_hz) | (freqs_hz > high_hz)] = 0
    noise = np.fft.irfft(spectrum, n)
    return np.asarray(noise / max(float(np.sqrt(np.mean(noise**2))), 1e-12))


def _fibrillation(f: Fibrillation, n: int, fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Fibrillatory dipole, shape (3, n) in mV."""
    rate_hz = f.hz * (1 + 0.12 * _coloured(rng, n, fs_hz, 0.1, 1.5))
    phase = 2 * np.pi * np.cumsum(rate_hz) / fs_hz
    size = 1 + 0.35 * _coloured(rng, n, fs_hz, 0.1, 1.0)
    saw = size * (np.sin(phase) + 0.35 * np.sin(2 * phase + 0.6) + 0.12 * np.sin(3 * phase + 1.1))
    waves: NDArray[np.float64] = np.outer(np.array(f.xyz), saw)
    return waves


def project(dipole_mv: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twelve standard leads of a dipole: (3, samples) in mV → (12, samples) in mV."""
    leads = {name: np.array(vector) @ dipole_mv for name, vector in DOWER.items()}
    leads["III"] = leads["II"] - leads["I"]
    leads["aVR"] = -(leads["I"] + leads["II"]) / 2
    leads["aVL"] = leads["I"] - leads["II"] / 2
    leads["aVF"] = leads["II"] - leads["I"] / 2
    return np.stack([leads[name] for name in STANDARD_LEADS])


def _electrodes(noise: Noise, signal: NDArray[np.float64], fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Adds muscle noise, wander, jumps and lost electrodes to (12, samples), electrode by electrode."""
    n = signal.shape[1]

    def of_one_electrode() -> NDArray[np.float64]:
        made = noise.muscle_mv * _coloured(rng, n, fs_hz, 20, 150) + noise.wander_mv * _coloured(rng, n, fs_hz, 0.05, 0.45)
        if noise.jumps_mv:
            for _ in range(int(rng.integers(3, 7))):
                made[int(rng.integers(0, n)) :] += rng.normal(0, noise.jumps_mv)
        return made

    right, left, foot = of_one_electrode(), of_one_electrode(), of_one_electrode()
    one, two = left - right, foot - right  # leads I and II as Einthoven wires them
    limbs = np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2])
    chest = np.stack([of_one_electrode() for _ in range(6)]) - (right + left + foot) / 3
    out: NDArray[np.float64] = signal + np.concatenate([limbs, chest])
    for name in noise.detached:
        out[STANDARD_LEADS.index(name)] = 0.0
    return out


def synthesise(heart: Heart, *, duration_s: float = 10.0, fs_hz: float = 500.0, seed: int = 0) -> NDArray[np.float32]:
    """A recording of this heart: float32 (12, samples) in mV, standard leads in standard order.

    The same seed gives the same samples. Values are rounded to 1 µV, as a recorder would store them.
    """
    rng = np.random.default_rng(seed)
    n = round(duration_s * fs_hz)
    t_s = np.arange(n) / fs_hz
    dipole = np.zeros((3, n))
    times = beat_times_s(heart, duration_s, rng)
    for i, onset_s in enumerate(times):
        cycle_s = times[i] - times[i - 1] if i else 60 / heart.rate_bpm
        near = (t_s > onset_s - 0.4) & (t_s < onset_s + 0.9)
        if not near.any():
            continue
        t_ms = (t_s[near] - onset_s) * 1000
        # QT follows the cube root of the cycle before it (Fridericia 1920), slowly and not to extremes.
        stretch = float(np.clip(cycle_s, 0.45, 1.3)) ** (1 / 3)
        breath = 1 + 0.04 * np.sin(2 * np.pi * heart.breath_hz * onset_s)
        for bump in heart.atrial + heart.ventricular:
            size = breath * (1 + heart.beat_sd * rng.standard_normal())
            dipole[:, near] += np.outer(bump.xyz, size * _bump(bump, t_ms, stretch))
    if heart.fibrillation is not None:
        dipole += _fibrillation(heart.fibrillation, n, fs_hz, rng)
    leads = _electrodes(heart.noise, project(dipole), fs_hz, rng)
    return np.round(leads, 3).astype(np.float32)
