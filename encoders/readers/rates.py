"""Leads of one recording that were sampled at different rates."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from encoders.errors import RecordingError

__all__ = ["at_one_rate"]

#: Largest integer factor of a change of rate; the filter grows with it.
_MAX_FACTOR = 2000


def at_one_rate(
    rows: Sequence[NDArray[np.float64]], rates_hz: Sequence[Fraction], label: str
) -> tuple[NDArray[np.float64], float]:
    """Rows brought to the highest of their rates, as (leads, samples), and that rate in Hz.

    Slower leads are interpolated by a polyphase filter, so nothing of a faster lead is lost; NaN stay NaN, and shorter rows end
    in NaN. Raises RecordingError for rates without a common multiple in reach.
    """
    rate = max(rates_hz)
    length = max(len(row) for row in rows)
    out = np.full((len(rows), length), np.nan)
    for i, (row, own) in enumerate(zip(rows, rates_hz, strict=True)):
        ratio = (rate / own).limit_denominator(_MAX_FACTOR) if own else Fraction(0)
        if not 0 < ratio.numerator <= _MAX_FACTOR:
            raise RecordingError(
                f"{label} holds ECG signals of {float(own):g} and {float(rate):g} Hz, rates that cannot be brought together; "
                "export them at one rate."
            )
        values = np.asarray(row) if ratio == 1 else _interpolated(row, ratio)
        out[i, : min(length, len(values))] = values[:length]
    return out, float(rate)


def _interpolated(row: NDArray[np.float64], ratio: Fraction) -> NDArray[np.float64]:
    from scipy.signal import resample_poly

    missing = np.isnan(row)
    # Around its first value, so that the filter sees no step at the edges.
    level = row[~missing][0] if not missing.all() else 0.0
    values = resample_poly(np.where(missing, 0.0, row - level), ratio.numerator, ratio.denominator) + level
    nearest = np.minimum((np.arange(len(values)) / float(ratio)).astype(int), len(row) - 1)
    result: NDArray[np.float64] = np.where(missing[nearest], np.nan, values)
    return result
