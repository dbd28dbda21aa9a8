"""The recording: one frozen record in millivolts and hertz that everything else works on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from encoders.errors import RecordingError

__all__ = ["ECG", "LIMB_LEADS", "PRECORDIAL_LEADS", "STANDARD_LEADS", "Filters"]

LIMB_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF")
PRECORDIAL_LEADS = ("V1", "V2", "V3", "V4", "V5", "V6")
#: Lead order used everywhere inside (AHA/ACC/HRS 2007, part I: names of the standard 12 leads).
STANDARD_LEADS = LIMB_LEADS + PRECORDIAL_LEADS


@dataclass(frozen=True)
class Filters:
    """What the file says its samples went through: cut-off of high-pass and low-pass and the notch, in Hz.

    None: the file does not say. 0: it says that there was none. Where leads differ, what was filtered most.
    """

    high_pass_hz: float | None = None
    low_pass_hz: float | None = None
    notch_hz: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """The three by name."""
        return {"high_pass_hz": self.high_pass_hz, "low_pass_hz": self.low_pass_hz, "notch_hz": self.notch_hz}

    def text(self) -> str:
        """In words, e.g. "high-pass 0.05 Hz, low-pass 150 Hz, no notch"; empty where the file says nothing."""
        named = (("high-pass", self.high_pass_hz), ("low-pass", self.low_pass_hz), ("notch", self.notch_hz))
        return ", ".join(f"{name} {hz:g} Hz" if hz else f"no {name}" for name, hz in named if hz is not None)


@dataclass(frozen=True, eq=False)
class ECG:
    """One resting electrocardiogram.

    Attributes
    ----------
    signal_mv : float32 array (leads, samples), in mV. NaN marks samples that were not recorded.
    fs_hz : sampling rate in Hz, the rate at which it was recorded.
    leads : names, one per row; standard leads come first and in the order of ``STANDARD_LEADS``.
    age_years : None where unknown. 90 stands for "90 or older" in files that mask high ages.
    sex : "F", "M" or None where unknown.
    recorded_at : ISO date and time as the file gives it, or None.
    filters : what the file says of filters before it was stored (``Filters``).
    source : a short word on where it came from, e.g. "wfdb", "csv", "demo"; never a path or an identifier.
    patient : a locally keyed hash (``encoders.patient``) that ties recordings of one patient together, or None; never an
        identifier itself.
    """

    signal_mv: NDArray[np.float32]
    fs_hz: float
    leads: tuple[str, ...]
    age_years: float | None = None
    sex: str | None = None
    recorded_at: str | None = None
    source: str = "array"
    patient: str | None = None
    filters: Filters = Filters()

    def __post_init__(self) -> None:
        signal = np.array(self.signal_mv, dtype=np.float32, copy=True)
        if signal.ndim != 2:
            raise RecordingError(f"The signal has {signal.ndim} dimensions; it must be (leads, samples).")
        if signal.shape[0] != len(self.leads):
            raise RecordingError(f"The signal has {signal.shape[0]} rows for {len(self.leads)} lead names; one each is needed.")
        if len(set(self.leads)) != len(self.leads):
            raise RecordingError(f"Lead names repeat: {', '.join(self.leads)}; each lead may stand once.")
        if not 0 < self.fs_hz < 1e6:
            raise RecordingError(f"The sampling rate is {self.fs_hz} Hz; it must be above 0.")
        if self.sex not in ("F", "M", None):
            raise RecordingError(f"Sex is {self.sex!r}; it must be F, M or left out.")
        if self.age_years is not None and not 0 <= self.age_years <= 130:
            raise RecordingError(f"Age is {self.age_years}; it must lie between 0 and 130 years.")
        signal.setflags(write=False)
        order = sorted(
            range(len(self.leads)),
            key=lambda i: STANDARD_LEADS.index(self.leads[i]) if self.leads[i] in STANDARD_LEADS else 12 + i,
        )
        if order != list(range(len(self.leads))):
            signal = signal[order]
            signal.setflags(write=False)
            object.__setattr__(self, "leads", tuple(self.leads[i] for i in order))
        object.__setattr__(self, "signal_mv", signal)

    @property
    def n_samples(self) -> int:
        return int(self.signal_mv.shape[1])

    @property
    def duration_s(self) -> float:
        return self.n_samples / self.fs_hz

    def lead(self, name: str) -> NDArray[np.float32]:
        """One lead's samples in mV, shape (samples,). Raises RecordingError where the lead is not there."""
        if name not in self.leads:
            raise RecordingError(f"Lead {name} is not in this recording; it has {', '.join(self.leads)}.")
        row: NDArray[np.float32] = self.signal_mv[self.leads.index(name)]
        return row

    def select(self, leads: tuple[str, ...]) -> ECG:
        """The same recording with only these leads."""
        return replace(self, signal_mv=np.stack([self.lead(name) for name in leads]), leads=leads)

    def content_hash(self) -> str:
        """SHA-256 over signal, rate and lead names: the recording's name in stores and audit (no identifier)."""
        digest = hashlib.sha256(f"{self.fs_hz:.6f}|{','.join(self.leads)}|".encode())
        digest.update(np.ascontiguousarray(self.signal_mv).tobytes())
        return digest.hexdigest()
