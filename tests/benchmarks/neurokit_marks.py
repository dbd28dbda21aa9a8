"""NeuroKit2's boundaries of stored signals, for ``ludb.py --neurokit``; runs under a Python that has neurokit2.

``python neurokit_marks.py SIGNALS.npz OUT.json METHOD``: SIGNALS holds one array (leads, samples) per recording and ``fs``.
OUT: per recording, per lead, per wave, rows of onset, peak, offset in samples (null where NeuroKit2 gives none), and seconds.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import neurokit2 as nk  # type: ignore[import-not-found]
import numpy as np


def marks(signal: np.ndarray, fs: float, method: str) -> dict[str, list[list[float | None]]]:
    """One lead: rows per wave; nothing where NeuroKit2 raises."""
    try:
        cleaned = nk.ecg_clean(signal, sampling_rate=int(fs))
        _, info = nk.ecg_peaks(cleaned, sampling_rate=int(fs))
        _, waves = nk.ecg_delineate(cleaned, info["ECG_R_Peaks"], sampling_rate=int(fs), method=method)
    except Exception as error:  # its errors are of every type; the count of failures is what matters
        print(f"NeuroKit2 failed: {error}", file=sys.stderr)
        return {"P": [], "QRS": [], "T": []}

    def rows(on: str, peak: list[float] | str, off: str) -> list[list[float | None]]:
        columns = [waves.get(on, []), waves.get(peak, []) if isinstance(peak, str) else peak, waves.get(off, [])]
        n = max(len(c) for c in columns)
        table = [[float(c[k]) if k < len(c) and np.isfinite(c[k]) else None for c in columns] for k in range(n)]
        return [r for r in table if r[1] is not None]

    r_peaks = [float(p) for p in info["ECG_R_Peaks"]]
    return {
        "P": rows("ECG_P_Onsets", "ECG_P_Peaks", "ECG_P_Offsets"),
        "QRS": rows("ECG_R_Onsets", r_peaks, "ECG_R_Offsets"),
        "T": rows("ECG_T_Onsets", "ECG_T_Peaks", "ECG_T_Offsets"),
    }


def main() -> None:
    warnings.simplefilter("ignore")
    signals, out, method = np.load(sys.argv[1]), sys.argv[2], sys.argv[3]
    fs = float(signals["fs"])
    names = [name for name in signals.files if name != "fs"]
    started = time.process_time()
    found = {name: [marks(row, fs, method) for row in signals[name]] for name in names}
    seconds = (time.process_time() - started) / max(len(names), 1)
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"seconds": seconds, "marks": found}, file)


if __name__ == "__main__":
    main()
