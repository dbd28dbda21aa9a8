"""What hum, wander and muscle noise cost the encoder, with cleaning and without.

    python tests/benchmarks/cleaning.py PTBXL_DIR [--recordings 700] [--out JSON]

A random sample of fold 9 (fixed seed). Disturbances are made at 500 Hz on the recordings brought up from 100 Hz (50 Hz does not
exist at 100 Hz) and go the way of a clinic's file: "cleaned" through `encoders.clean.clean` from 500 Hz, "plain" through an
ordinary polyphase resampler to 100 Hz and straight into the network, and, for hum, "every fifth" sample without any filter, so
that 60 Hz folds to 40. Disturbances are drawn for I, II and V1 to V6; the other limb leads follow by Einthoven's law.

hum      a sine of 50 or 60 Hz of this amplitude, its frequency off by up to 0.1 Hz, own phase in each lead
wander   noise of 0.05 to 0.4 Hz whose largest excursion in each lead is this
muscle   noise of 20 to 150 Hz of this root mean square

Printed: macro AUROC over all statements that have cases in the sample, and cleaned minus plain with 95 % bootstrap intervals
over recordings; "cost": cleaned as recorded minus cleaned here. The network was trained on cleaned signals, so "plain" holds the
effect of not knowing them, too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import wfdb
from numpy.typing import NDArray
from scipy.signal import resample_poly

from encoders.clean import MODEL_FS_HZ, clean
from encoders.encode import Encoder
from encoders.metrics import auroc_per_statement
from encoders.ptbxl import load_ptbxl

__all__ = ["main"]

FS_HZ, UP = 500.0, 5
BOOTSTRAPS = 200
SEED = 0
Signal = NDArray[np.floating]
Disturbance = Callable[[np.random.Generator, int], Signal]


def twelve(eight: Signal) -> Signal:
    """I, II, V1-V6 (8, samples) → twelve leads in standard order."""
    one, two = eight[:2]
    return np.concatenate([np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]), eight[2:]])


def band_noise(rng: np.random.Generator, n: int, low_hz: float, high_hz: float) -> Signal:
    """Noise of one band at 500 Hz, (8, n), of unit root mean square in each lead."""
    freqs_hz = np.fft.rfftfreq(n, 1 / FS_HZ)
    inside = (freqs_hz >= low_hz) & (freqs_hz <= high_hz)
    spectrum = np.where(inside, rng.normal(size=(8, len(freqs_hz))) + 1j * rng.normal(size=(8, len(freqs_hz))), 0)
    noise = np.fft.irfft(spectrum, n=n, axis=-1)
    return np.asarray(noise / np.sqrt(np.mean(noise**2, axis=-1, keepdims=True)))


def hum(mains_hz: float, amplitude_mv: float) -> Disturbance:
    def make(rng: np.random.Generator, n: int) -> Signal:
        t = np.arange(n) / FS_HZ
        drift = 0.1 * np.sin(2 * np.pi * rng.uniform(0.02, 0.1) * t + rng.uniform(0, 2 * np.pi))
        turned = 2 * np.pi * np.cumsum(mains_hz + drift) / FS_HZ
        return amplitude_mv * np.sin(turned + rng.uniform(0, 2 * np.pi, (8, 1)))

    return make


def wander(peak_mv: float) -> Disturbance:
    def make(rng: np.random.Generator, n: int) -> Signal:
        noise = band_noise(rng, 4 * n, 0.05, 0.4)[:, :n]  # of a longer one, or it would begin where it ends
        return peak_mv * noise / np.abs(noise).max(axis=-1, keepdims=True)

    return make


def muscle(rms_mv: float) -> Disturbance:
    return lambda rng, n: rms_mv * band_noise(rng, n, 20.0, 150.0)


CONDITIONS: dict[str, Disturbance] = {
    **{f"hum {f:g} Hz {a:g} mV": hum(f, a) for f in (50.0, 60.0) for a in (0.1, 0.3)},
    **{f"wander {a:g} mV": wander(a) for a in (0.5, 1.0)},
    **{f"muscle {a:g} mV": muscle(a) for a in (0.05, 0.1, 0.2)},
}


def arms(recorded: Signal, name: str) -> dict[str, Signal]:
    """The ways of one condition into the network: name → (n, 12, 1000) in mV at 100 Hz. ``recorded``: (n, 12, 1000)."""
    if name == "as recorded":
        return {"cleaned": clean(recorded.astype(np.float32), MODEL_FS_HZ), "plain": recorded}
    ways: dict[str, list[Signal]] = {"cleaned": [], "plain": []} | ({"every fifth": []} if name.startswith("hum") else {})
    rng = np.random.default_rng([SEED, list(CONDITIONS).index(name)])
    for signal in recorded:
        fast = resample_poly(signal, UP, 1, axis=-1, padtype="line")
        fast = (fast + twelve(CONDITIONS[name](rng, fast.shape[-1]))).astype(np.float32)
        ways["cleaned"].append(clean(fast, FS_HZ))
        ways["plain"].append(resample_poly(fast, 1, UP, axis=-1, padtype="line"))
        if "every fifth" in ways:
            ways["every fifth"].append(fast[:, ::UP])
    return {way: np.stack(signals) for way, signals in ways.items()}


def scored(labels: NDArray[np.uint8], logits: dict[str, dict[str, NDArray[np.float32]]]) -> dict[str, dict[str, Any]]:
    """Figures of every condition; all differences are drawn from the same resampled recordings."""
    rng = np.random.default_rng(SEED)
    draws = [np.arange(len(labels)), *(rng.integers(0, len(labels), len(labels)) for _ in range(BOOTSTRAPS))]
    value = {
        (name, way): np.array([np.nanmean(auroc_per_statement(labels[rows], z[rows])) for rows in draws])
        for name, ways in logits.items()
        for way, z in ways.items()
    }
    out: dict[str, dict[str, Any]] = {}
    for name, ways in logits.items():
        figures: dict[str, Any] = {way.replace(" ", "_"): float(value[name, way][0]) for way in ways}
        for label, other, sign in (
            ("gain", value[name, "plain"], 1),
            ("gain_over_every_fifth", value.get((name, "every fifth")), 1),
            ("cost", value["as recorded", "cleaned"] if name != "as recorded" else None, -1),
        ):
            if other is not None:
                difference = sign * (value[name, "cleaned"] - other)
                figures[label] = float(difference[0])
                figures[f"{label}_interval"] = [float(q) for q in np.quantile(difference[1:], [0.025, 0.975])]
        out[name] = figures
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of hum, wander and muscle noise with cleaning and without.")
    parser.add_argument("ptbxl", type=Path, help="folder of an unpacked PTB-XL")
    parser.add_argument("--recordings", type=int, default=700, help="how many of fold 9 (700)")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    encoder = Encoder.load(calibrated=False)
    data = load_ptbxl(args.ptbxl, (9,))
    keep = np.zeros(len(data), bool)
    keep[np.random.default_rng(SEED).permutation(len(data))[: args.recordings]] = True
    data = data.take(keep)
    recorded = np.stack([np.nan_to_num(wfdb.rdsamp(str(data.path(int(i))))[0].T) for i in data.ids])
    print(f"encoder {encoder.hash[:12]}, {len(data)} recordings of fold 9", flush=True)
    logits: dict[str, dict[str, NDArray[np.float32]]] = {}
    for name in ("as recorded", *CONDITIONS):
        logits[name] = {
            way: np.stack([e.logits for e in encoder.encode_arrays(np.clip(signals, -10, 10))])
            for way, signals in arms(recorded, name).items()
        }
        print(f"  {name} encoded", flush=True)
    figures = scored(data.labels, logits)
    print(f"{'condition':<20} {'cleaned':>8} {'plain':>8} {'gain':>8} {'95 % interval':>18} {'every 5th':>10} {'cost':>8}")
    for name, f in figures.items():
        low, high = f["gain_interval"]
        fifth = f"{f['every_fifth']:.4f}" if "every_fifth" in f else ""
        cost = f"{f['cost']:+.4f}" if "cost" in f else ""
        span = f"[{low:+.4f}, {high:+.4f}]"
        print(f"{name:<20} {f['cleaned']:8.4f} {f['plain']:8.4f} {f['gain']:+8.4f} {span:>18} {fifth:>10} {cost:>8}")
    if args.out is not None:
        statements = int((data.labels.any(axis=0)).sum())
        found = {"encoder": encoder.hash, "recordings": len(data), "statements": statements, "macro_auroc": figures}
        args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
