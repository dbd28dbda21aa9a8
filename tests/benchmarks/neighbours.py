"""What neighbours say, hybrid search and near-duplicates: the figures behind the constants of `retrieval`, on PTB-XL fold 9.

    python tests/benchmarks/neighbours.py ECG_DATA RUN [--out FILE] [--parts PART ...]

The library is the built-in one, folds 1-8; no patient of fold 9 is in it. RUN holds (or gets) fold 9's measurements and
encodings, as `ecg-assistant evaluate --run` keeps them.

agreement        log loss a recording, summed over the 71 statements, of the share of neighbours that list a statement
doubt            of findings stated (or called absent) on fold 9, each half of the patients judged by thresholds of the other:
                 share that are wrong ("listed" is the truth) where neighbours speak against them and where they do not
hybrid           nDCG@10 of "like this recording, but with statement t" (t not listed there) and "with t above all" (t listed, its
                 rarest); gain = Jaccard overlap with the asked statements and t, 0 for cases without t
near-duplicates  cosine of a recording with itself resampled, re-quantised, shifted or re-scaled, and of different recordings
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from assistant.decide import Decision, settle
from assistant.risk import fit_risk
from assistant.rules import Measured
from encoders.calibrate import fit_calibration
from encoders.ecg import ECG
from encoders.encode import Encoder, prepare
from encoders.evaluate import patient_halves
from encoders.fusion import FUSED, Fusion, joined
from encoders.leadsets import ALL_LEADS
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.raw import encode_lead_sets
from encoders.readers import read
from encoders.table import measure_table
from encoders.vocabulary import CODES
from retrieval.case import Case
from retrieval.hybrid import blended, reciprocal_ranks
from retrieval.library import NEAR_DUPLICATE, CaseLibrary
from retrieval.neighbours import neighbour_agreement, says_doubt

__all__ = ["main"]

Floats = NDArray[np.floating]
LOSS_ASKED, HYBRID_ASKED, SAME_ASKED, FEWEST = 500, 400, 100, 50


def agreement_loss(labels: NDArray[np.uint8], found: list[tuple[Case, ...]], prevalence: dict[str, float]) -> dict[str, float]:
    """Log loss of the corrected share by number of neighbours, and of the plain one of ten and of prevalence alone."""

    def loss(predicted: Floats) -> float:
        p = np.clip(predicted, 1e-4, 1 - 1e-4)
        return float(-(labels * np.log(p) + (1 - labels) * np.log(1 - p)).sum(1).mean())

    rows = np.sort(np.random.default_rng(0).permutation(len(labels))[:LOSS_ASKED])
    labels, found = labels[rows], [found[int(i)] for i in rows]
    base = np.array([prevalence[code] for code in CODES])
    out = {"prevalence alone": loss(np.tile(base, (len(labels), 1)))}
    out["plain share of 10"] = loss(np.array([[np.mean([c in x.statements for x in f[:10]]) for c in CODES] for f in found]))
    for k in (5, 10, 20, 50):
        said = [[neighbour_agreement(f[:k], c, prevalence[c]).corrected for c in CODES] for f in found]
        out[f"corrected share of {k}"] = loss(np.array(said))
    return out


def doubt(
    data: PtbXl, logits: Floats, fusions: Mapping[str, Fusion], run: Path, found: list[tuple[Case, ...]],
    prevalence: dict[str, float],
) -> dict[str, dict[str, Any]]:
    """Error rate of stated and of absent findings, by whether neighbours speak against them."""
    table = measure_table(data, run, read_from=ALL_LEADS)
    scores = joined(fusions, data, {ALL_LEADS: table}, {ALL_LEADS: logits})[FUSED]
    sexes = data.table["sex"].to_numpy(float)
    measured = Measured(table.values.astype(float), table.reliability.astype(float), sexes == 1, ~np.isnan(sexes))
    states = np.zeros(data.labels.shape, np.int8)
    first = patient_halves(data.patients)
    unseen = Decision.load(None, fusions[ALL_LEADS].encoder_hash).known[ALL_LEADS].unseen_scores
    for fit, show in ((first, ~first), (~first, first)):
        curve = fit_calibration(scores[fit], data.labels[fit], "")
        thresholds = fit_risk(data.labels[fit], curve.apply(scores[fit]), unseen=curve.curves[ALL_LEADS].each(unseen))
        part = Measured(measured.values[show], measured.reliability[show], measured.female[show], measured.sex_known[show])
        states[show] = settle(curve.apply(scores[show]), part, thresholds).states
    rows: dict[str, list[tuple[bool, bool, float, bool]]] = {"present": [], "absent": []}
    for i, near in enumerate(found):
        if not table.usable[i]:
            continue
        for c, code in enumerate(CODES):
            word = {0: "present", 1: "absent"}.get(int(states[i, c]))
            if word is not None and (word == "present" or any(code in case.statements for case in near)):
                said = neighbour_agreement(near, code, prevalence[code])
                wrong = (data.labels[i, c] > 0) == (word == "absent")
                rows[word].append((bool(wrong), says_doubt(said, word), said.corrected, bool(first[i])))
    out: dict[str, dict[str, Any]] = {}
    for word, all_rows in rows.items():
        wrong, doubts, share, half = (np.array(column) for column in zip(*all_rows, strict=True))
        bands = [(low, high) for low, high in ((0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.01))]
        out[word] = {
            "judged": len(wrong), "wrong": float(wrong.mean()),
            "in_doubt": int(doubts.sum()), "wrong_in_doubt": float(wrong[doubts].mean()) if doubts.any() else None,
            "wrong_without_doubt": float(wrong[~doubts].mean()),
            "by_half": [
                [int((doubts & part).sum()), float(wrong[doubts & part].mean()), float(wrong[~doubts & part].mean())]
                for part in (half, ~half) if (doubts & part).any()
            ],
            "wrong_by_share": {
                f"{low:.2f}-{min(high, 1):.2f}": [int(((share >= low) & (share < high)).sum()),
                                                  float(wrong[(share >= low) & (share < high)].mean())]
                for low, high in bands if ((share >= low) & (share < high)).any()
            },
        }  # fmt: skip
    return out


def hybrid(data: PtbXl, embeddings: Floats, library: CaseLibrary) -> dict[str, dict[str, float]]:
    """nDCG@10 by way of joining, for both kinds of question."""
    rows = list(library.store.matching(None))
    vectors = library.store.vectors([row.case_id for row in rows])
    weights = np.zeros((len(rows), len(CODES)), np.float32)
    for i, row in enumerate(rows):
        for code, likelihood in row.statements.items():
            weights[i, CODES.index(code)] = (likelihood or 100) / 100
    listed = (weights > 0).astype(np.float32)
    sizes, share = listed.sum(1), listed.mean(0)
    common = np.flatnonzero(listed.sum(0) >= FEWEST)
    rng = np.random.default_rng(0)
    ways: dict[str, Callable[[Floats, Floats], Floats]] = {
        "recording alone": lambda cosine, words: cosine,
        "words alone": lambda cosine, words: words + 1e-6 * rng.random(len(words)),
        "reciprocal ranks": reciprocal_ranks,
    }
    for weight in (0.1, 0.3, 0.5, 0.7, 1.0, 2.0):
        ways[f"cosine + {weight:g} words"] = lambda cosine, words, weight=weight: blended(cosine, words, weight)
    scores: dict[str, dict[str, list[float]]] = {way: {"but_with": [], "above_all": []} for way in ways}
    discount = 1 / np.log2(np.arange(2, 12))
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    for i in rng.permutation(len(data))[:HYBRID_ASKED]:
        own = set(np.flatnonzero(data.labels[i]).tolist())
        cosine = vectors @ unit[i]
        for kind in ("but_with", "above_all"):
            pool = [int(t) for t in common if (int(t) in own) == (kind == "above_all")]
            if not own or not pool:
                continue
            odds = np.sqrt(1 / np.maximum(share[pool], 1e-3))
            asked = min(pool, key=lambda t: share[t]) if kind == "above_all" else int(rng.choice(pool, p=odds / odds.sum()))
            wanted = sorted(own | {asked})
            both = listed[:, wanted].sum(1)
            gain = both / (sizes + len(wanted) - both) * listed[:, asked]
            ideal = float((np.sort(gain)[::-1][:10] * discount).sum())
            for way, score in ways.items():
                order = np.argsort(-score(cosine, weights[:, asked]), kind="stable")[:10]
                scores[way][kind].append(float((gain[order] * discount).sum()) / ideal)
    return {way: {kind: float(np.mean(values)) for kind, values in both.items()} for way, both in scores.items()}


def near_duplicates(data: PtbXl, embeddings: Floats, found: list[tuple[Case, ...]]) -> dict[str, Any]:
    """Quantiles of cosine: the same recording in another form, and the nearest recording of another patient."""
    encoder = Encoder.load()
    rows = np.sort(np.random.default_rng(0).permutation(len(data))[:SAME_ASKED])
    ecgs = [read(str(data.path(int(i))) + ".hea") for i in data.ids[rows]]

    def changed(ecg: ECG, signal: Floats, fs_hz: float = 100.0) -> ECG:
        return ECG(np.asarray(signal, np.float32), fs_hz, ecg.leads, ecg.age_years, ecg.sex)

    forms: dict[str, Callable[[ECG], ECG]] = {
        "as it is": lambda e: e,
        "5 µV steps": lambda e: changed(e, np.round(e.signal_mv / 0.005) * 0.005),
        "resampled to 500 Hz": lambda e: changed(e, resample_poly(e.signal_mv, 5, 1, axis=1), 500.0),
        "half precision": lambda e: changed(e, e.signal_mv.astype(np.float16)),
        "shifted by 50 ms": lambda e: changed(e, np.roll(e.signal_mv, 5, axis=1)),
        "first 9.5 s": lambda e: changed(e, e.signal_mv[:, :950]),
        "gain off by 2 %": lambda e: changed(e, e.signal_mv * 1.02),
    }
    unit = embeddings[rows] / np.linalg.norm(embeddings[rows], axis=1, keepdims=True)
    out: dict[str, Any] = {}
    for name, form in forms.items():
        made = np.stack([e.embedding for e in encoder.encode_arrays(np.stack([prepare(form(ecg)) for ecg in ecgs]))])
        cosine = (made / np.linalg.norm(made, axis=1, keepdims=True) * unit).sum(1)
        out[name] = {
            "least": float(cosine.min()), "median": float(np.median(cosine)), "above": float((cosine >= NEAR_DUPLICATE).mean())
        }  # fmt: skip
    nearest = np.array([cases[0].similarity for cases in found])
    out["nearest of another patient"] = {
        "median": float(np.median(nearest)), "0.999": float(np.quantile(nearest, 0.999)), "most": float(nearest.max()),
        "above": float((nearest >= NEAR_DUPLICATE).mean()),
    }  # fmt: skip
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--parts", nargs="*", default=["agreement", "doubt", "hybrid", "near_duplicates"], help="only these")
    args = parser.parse_args()
    encoder = Encoder.load()
    data = load_ptbxl(args.data / "ptb-xl", (9,))
    kept = args.run / f"fold9-{encoder.hash[:12]}"
    seen = encode_lead_sets(encoder.network, data.signals(args.run / "cache"), kept)[ALL_LEADS]
    with CaseLibrary.open(None, encoder.hash) as library:
        # No other patients need leaving out: PTB-XL's folds share none.
        found = list(library.search_batch(seen.embeddings, k=50, exclude_near_duplicates=False))
        prevalence = library.prevalences()
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "agreement": lambda: agreement_loss(data.labels, found, prevalence),
            "doubt": lambda: doubt(data, seen.logits, encoder.fused(), args.run, found, prevalence),
            "hybrid": lambda: hybrid(data, seen.embeddings, library),
            "near_duplicates": lambda: near_duplicates(data, seen.embeddings, found),
        }
        result: dict[str, Any] = {"recordings": len(data)}
        for name in args.parts:
            result[name] = parts[name]()
            print(name, json.dumps(result[name], indent=1), flush=True)
    if args.out is not None:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
