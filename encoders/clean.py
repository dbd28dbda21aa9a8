"""Cleaning for the network: frequency-domain filtering and resampling to the rate it was trained at.

Three steps in one pass over the spectrum, after the order the DeepECG study describes: baseline wander, mains hum,
high-frequency noise. Measurements and the quality gate never see the result; they work on the signal as recorded.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

__all__ = ["MODEL_FS_HZ", "clean"]

MODEL_FS_HZ = 100.0
#: Raised-cosine edges in Hz. A high-pass that ends below 0.67 Hz keeps the ST segment diagnostic
#: (AHA/ACC/HRS 2007, part I: low-frequency cut-off).
_WANDER_HZ = (0.2, 0.5)
_NOISE_HZ = (44.0, 49.0)
_MAINS_HZ = (50.0, 60.0)
_MAINS_HALF_WIDTH_HZ = 1.0


def _gain(freqs_hz: NDArray[np.floating], fs_hz: float) -> NDArray[np.float32]:
    gain = np.ones_like(freqs_hz)
    low, high = _WANDER_HZ
    rise = np.clip((freqs_hz - low) / (high - low), 0, 1)
    gain *= 0.5 - 0.5 * np.cos(np.pi * rise)
    for mains in _MAINS_HZ:
        if mains < fs_hz / 2 - _MAINS_HALF_WIDTH_HZ:
            gain *= 1 - np.clip(1 - np.abs(freqs_hz - mains) / _MAINS_HALF_WIDTH_HZ, 0, 1)
    low, high = _NOISE_HZ
    fall = np.clip((freqs_hz - low) / (high - low), 0, 1)
    gain *= 0.5 + 0.5 * np.cos(np.pi * fall)
    return gain.astype(np.float32)


def clean(signal_mv: NDArray[np.float32], fs_hz: float) -> NDArray[np.float32]:
    """Filtered signal at ``MODEL_FS_HZ``.

    Takes (..., samples) in mV at ``fs_hz`` and gives (..., samples') in mV at 100 Hz. NaN counts as 0 mV.
    The ends are mirrored for one second so that the filter does not ring there.
    """
    x = np.nan_to_num(np.asarray(signal_mv, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if x.shape[-1] == 0:
        return x
    if fs_hz != MODEL_FS_HZ:
        ratio = Fraction(MODEL_FS_HZ / fs_hz).limit_denominator(1000)
        x = resample_poly(x, ratio.numerator, ratio.denominator, axis=-1, padtype="line").astype(np.float32)
    n = x.shape[-1]
    pad = min(int(MODEL_FS_HZ), n - 1)
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(pad, pad)], mode="reflect", reflect_type="odd")
    freqs_hz = np.fft.rfftfreq(padded.shape[-1], 1 / MODEL_FS_HZ)
    spectrum = np.fft.rfft(padded, axis=-1) * _gain(freqs_hz, MODEL_FS_HZ)
    return np.fft.irfft(spectrum, n=padded.shape[-1], axis=-1)[..., pad : pad + n].astype(np.float32)
