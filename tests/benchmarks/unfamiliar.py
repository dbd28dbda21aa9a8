"""How often signals that are not like the known ones are called unfamiliar: noise, shuffled leads, other databases.

    python tests/benchmarks/unfamiliar.py ECG_DATA

Fold 9 set the threshold, so its own share is what was asked for; the other rows are the effect.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assistant.decide import UNFAMILIAR_SHARE, Decision
from encoders.encode import Encoder, prepare
from encoders.ptbxl import load_ptbxl
from encoders.readers import read
from retrieval.library import CaseLibrary

__all__ = ["main"]

N = 200


def _noise(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    t = np.arange(1000) / 100
    walk = np.cumsum(rng.normal(0, 0.05, (N, 12, 1000)), axis=-1)
    return {
        "white noise, 0.2 mV": rng.normal(0, 0.2, (N, 12, 1000)).astype(np.float32),
        "random walk": (walk - walk.mean(-1, keepdims=True)).astype(np.float32),
        "sine waves, 0.5-20 Hz": (
            0.5 * np.sin(2 * np.pi * rng.uniform(0.5, 20, (N, 1, 1)) * t + rng.uniform(0, 6, (N, 12, 1)))
        ).astype(np.float32),
        "all zero": np.zeros((N, 12, 1000), np.float32),
    }


def main() -> None:
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(0)
    encoder = Encoder.load()
    library, decision = CaseLibrary.open(None, encoder.hash), Decision.load(None, encoder.hash)
    data = load_ptbxl(folder / "ptb-xl", (9,))
    rows = np.sort(rng.permutation(len(data))[:N])
    nine = np.stack([prepare(read(str(data.path(int(i))) + ".hea")) for i in data.ids[rows]])
    sets = {
        "PTB-XL fold 9": nine,
        "fold 9, leads in random order": np.stack([x[rng.permutation(12)] for x in nine]),
        "fold 9, upside down": -nine,
        "fold 9, time reversed": nine[..., ::-1].copy(),
        "LUDB": np.stack([prepare(read(f)) for f in sorted((folder / "ludb").rglob("*.hea"))[:N]]),
        "CinC 2011": np.stack([prepare(read(f)) for f in sorted((folder / "cinc2011").glob("*.hea"))[:N]]),
        **_noise(rng),
    }
    print(f"{'signals':<32} {'n':>4} {'unfamiliar':>11} {'mean distance':>14}")
    for name, signals in sets.items():
        embeddings = np.stack([e.embedding for e in encoder.encode_arrays(signals)])
        distances = np.ravel(library.nearest_distance(embeddings))
        share = np.mean([decision.familiarity(float(d)) < UNFAMILIAR_SHARE for d in distances])
        print(f"{name:<32} {len(signals):>4} {share:>11.3f} {distances.mean():>14.4f}")


if __name__ == "__main__":
    main()
