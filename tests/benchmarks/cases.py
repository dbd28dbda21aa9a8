"""How alike the cases are that the built-in library finds: PTB-XL fold 9 against folds 1-8, beside five kinds of chance.

    python tests/benchmarks/cases.py PTBXL_DIR --out FILE [--run RUN] [--bootstraps 1000]

Asked: every recording of fold 9. Found: ten cases of the built-in library (folds 1-8; patients are in one fold only).

overlap@10     mean Jaccard overlap of listed statements, |A ∩ B| / |A ∪ B|, over the ten cases; any likelihood counts as listed
nDCG@10        Σ gainᵢ / log₂(i + 1) over ranks i = 1..10, gain = that overlap, divided by the same sum of the ten best cases
               that the whole library holds for this recording
precision@1    of the recordings with a superclass or rhythm, the share whose most alike case has it too

Beside the encoder: cases at random; cases of the same sex and the nearest age, ties at random; the same network with random
weights; the raw signal; the median beat. Intervals are 95 %, from resampling patients. The random network has the
initialisation that training starts from, but with its residual branches switched on (training starts them at 0), and its
normalisation fitted to 2,048 library recordings, without labels. Raw signal: 12 leads, 10 s at 100 Hz as the network sees
them. Median beat: 12 leads, 250 ms before to 450 ms after the QRS at 100 Hz. These three are compared by cosine; of random
weights also after the library's mean was taken off, for all of them point much the same way.

By words: three wordings of each statement with at least 20 library cases (``wordings.json``: written for this benchmark without
the library's own wordings at hand, by an author who had seen those of some rhythms and ventricular beats). recall@10: the
share of wordings for which one of ten cases lists the statement; precision@10: the share of cases found that list it; refused
wordings count as nothing found. "signal alone": the same wordings against the ECGs by the map between ECG and text, as if
no case carried statements; by chance is what as many cases drawn at random would give. Intervals resample statements.

``--run``: folder of `ecg-assistant train`, whose ``cache`` holds cleaned signals; what this benchmark computes is kept in its
``bench``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.beats import WORK_FS_HZ, beats_and_bands, windows
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.encode import Encoder
from encoders.errors import EcgAssistantError, InputError, QueryError
from encoders.metrics import resampled_patients
from encoders.network import EncoderConfig, EncoderNetwork
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.raw import encode_all
from encoders.vocabulary import CODES, SUPERCLASSES, codes_in
from retrieval.aligned import AlignedSpace, superclass_labels
from retrieval.library import BUILTIN, CaseLibrary

__all__ = ["gains", "main", "ndcg", "nearest"]

K = 10
BOOTSTRAPS = 1000
SEED = 0
FEWEST_ASKED = 10  # recordings of fold 9 from which a rhythm gets a figure of its own
FEWEST_CASES = 20  # library cases from which a statement is asked for by words
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


# --- vectors ---------------------------------------------------------------------------------------------------------


def kept(file: Path | None, make: Callable[[], Floats]) -> Floats:
    """What ``make`` gives, from ``file`` where it is there already."""
    if file is not None and file.exists():
        found: Floats = np.load(file)
        return found
    made = make()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file.with_suffix(".part"), "wb") as handle:
            np.save(handle, made)
        file.with_suffix(".part").rename(file)
    return made


def random_network(signals: NDArray[np.float16], config: EncoderConfig) -> EncoderNetwork:
    """The encoder's network with random weights, see the module's text; ``signals`` (n, 12, 1000) fit its normalisation."""
    import torch

    from encoders.network import Block
    from encoders.network import windows as cut

    torch.manual_seed(SEED)
    network = EncoderNetwork(config)
    rows = np.sort(np.random.default_rng(SEED).permutation(len(signals))[:2048])
    network.fit_lead_scale(torch.from_numpy(np.asarray(signals[rows])), np.arange(len(rows)))
    for module in network.modules():
        if isinstance(module, Block):
            torch.nn.init.ones_(module.norm2.weight)
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = None  # a plain average over all batches
    network.train()
    with torch.no_grad():
        for start in range(0, len(rows), 128):
            x = torch.from_numpy(np.asarray(signals[rows[start : start + 128]], np.float32))
            network(cut(x).flatten(0, 1))
    return network.eval()


def median_beats(signals: NDArray[np.float16]) -> Floats:
    """Median beat of each recording (n, 12, 1000) at 100 Hz → (n, 12 * 70); zeros where no beat was found."""
    step = int(WORK_FS_HZ / 100)
    before, after = 25 * step, 45 * step
    out = np.zeros((len(signals), 12, 70), np.float32)
    for i, signal in enumerate(tqdm(signals, desc="median beats", unit="rec", disable=None)):
        found = beats_and_bands(ECG(np.asarray(signal, np.float32), 100.0, STANDARD_LEADS))
        if len(found.centres):
            out[i] = np.median(windows(found.wander_free, found.centres, before, after), axis=0)[:, ::step]
    return out.reshape(len(out), -1)


def unit(vectors: Floats, centre: Floats | None = None) -> Floats:
    """(n, d) at length 1, after ``centre`` was taken off where given; zeros stay zeros."""
    moved = vectors if centre is None else vectors - centre
    out: Floats = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)
    return out


# --- neighbours ------------------------------------------------------------------------------------------------------


def nearest(asked: Floats, library: Floats, k: int = K) -> Rows:
    """Rows of the ``k`` library vectors (m, d) with the highest cosine to each asked one (n, d), best first: (n, k)."""
    out = np.zeros((len(asked), k), np.int64)
    for start in range(0, len(asked), 256):
        score = asked[start : start + 256] @ library.T
        top = np.argpartition(-score, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(score, top, axis=1), axis=1, kind="stable")
        out[start : start + 256] = np.take_along_axis(top, order, axis=1)
    return out


def same_age_and_sex(asked: PtbXl, ages: NDArray[np.float64], sexes: list[str | None]) -> Rows:
    """Cases of the same sex (any, where unknown) with the nearest age (any, where unknown), ties at random."""
    rng = np.random.default_rng(SEED)
    known = np.array([s or "" for s in sexes])
    out = np.zeros((len(asked), K), np.int64)
    for i, (age, sex) in enumerate(zip(asked.table["age"], asked.table["sex"], strict=True)):
        rows = rng.permutation(np.flatnonzero(known == {0: "M", 1: "F"}.get(sex, "?")) if sex in (0, 1) else len(known))
        if age == age:
            gap = np.abs(np.nan_to_num(ages[rows], nan=1e3) - min(float(age), 90.0))  # the library has 90 for 90 and more
            rows = rows[np.argsort(gap, kind="stable")]
        out[i] = rows[:K]
    return out


# --- figures ---------------------------------------------------------------------------------------------------------


def gains(asked: NDArray[np.uint8], library: NDArray[np.uint8]) -> Floats:
    """Jaccard overlap of every asked label row (n, 71) with every library row (m, 71): (n, m); 0 where neither lists any."""
    a, b = asked.astype(np.float32), library.astype(np.float32)
    both = a @ b.T
    either = a.sum(1)[:, None] + b.sum(1)[None, :] - both
    out: Floats = both / np.maximum(either, 1.0)
    return out


def ndcg(found: Floats, best: Floats) -> Floats:
    """nDCG of gains in the order found (n, k), against the best there are, in falling order (n, k): (n,)."""
    discount = 1.0 / np.log2(np.arange(2, found.shape[1] + 2))
    out: Floats = ((found @ discount) / np.maximum(best @ discount, 1e-9)).astype(np.float32)
    return out


def interval(values: NDArray[np.floating], draws: list[Rows]) -> dict[str, Any]:
    """Mean of the values that are not NaN, and its 95 % interval over the draws of rows."""
    drawn = [np.nanmean(values[rows]) for rows in draws if np.isfinite(values[rows]).any()]
    return {"value": float(np.nanmean(values)), "interval": [float(q) for q in np.quantile(drawn, [0.025, 0.975])]}


def by_recording(arms: dict[str, Rows], asked: PtbXl, labels: NDArray[np.uint8], draws: list[Rows]) -> dict[str, Any]:
    """Every figure of every arm; "gain" is the encoder's lead over it, on the same draws."""
    overlap = gains(asked.labels, labels)
    best = -np.sort(-np.partition(overlap, -K, axis=1)[:, -K:], axis=1)
    classes = {name: superclass_labels(asked.labels)[:, i] for i, name in enumerate(SUPERCLASSES)}
    has = {name: superclass_labels(labels)[:, i] for i, name in enumerate(SUPERCLASSES)}
    for code in codes_in("rhythm"):
        column = CODES.index(code)
        if asked.labels[:, column].sum() >= FEWEST_ASKED:
            classes[code], has[code] = asked.labels[:, column], labels[:, column]
    single: dict[str, dict[str, Floats]] = {}
    for name, rows in arms.items():
        found = np.take_along_axis(overlap, rows, axis=1)
        single[name] = {"overlap@10": found.mean(axis=1), "nDCG@10": ndcg(found, best)} | {
            f"precision@1 {c}": np.where(classes[c] > 0, has[c][rows[:, 0]], np.nan).astype(np.float32) for c in classes
        }
    return {
        "asked_with": {c: int(classes[c].sum()) for c in classes},
        "library_with": {c: int(has[c].sum()) for c in classes},
        "arms": {
            name: {
                measure: interval(values, draws) | {"gain": interval(single["encoder"][measure] - values, draws)}
                for measure, values in measures.items()
            }
            for name, measures in single.items()
        },
    }


def by_words(library: CaseLibrary, ids: list[str], labels: NDArray[np.uint8], bootstraps: int) -> dict[str, Any]:
    """recall@10 and precision@10 of every statement's wordings, by statements and by the signal alone."""
    wordings: dict[str, list[str]] = json.loads(Path(__file__).with_name("wordings.json").read_text(encoding="utf-8"))
    cases = dict(zip(CODES, labels.sum(axis=0).tolist(), strict=True))
    needed = {code for code, n in cases.items() if n >= FEWEST_CASES}
    if needed != set(wordings) or any(len(texts) != 3 for texts in wordings.values()):
        raise InputError("wordings.json must hold three wordings of every statement with at least 20 library cases, and no more.")
    space = AlignedSpace.load(BUILTIN, library.encoder_hash)
    vectors = library.store.vectors(ids)
    position = {case_id: i for i, case_id in enumerate(ids)}
    table: dict[str, dict[str, Any]] = {}
    for code, texts in tqdm(wordings.items(), desc="wordings", unit="statement", disable=None):
        listed = labels[:, CODES.index(code)] > 0
        fit = space.score(vectors, library.text_encoder.embed(texts))  # (n, 3)
        ranked = np.argsort(-fit, axis=0, kind="stable")[:K].T
        found, refused = [], 0
        for text in texts:
            try:
                rows = [position[case.case_id] for case in library.search_text(text, K)]
            except QueryError:
                rows, refused = [], refused + 1
            found.append(np.array(rows, np.int64))
        table[code] = {
            "cases": cases[code],
            "refused": refused,
            "recall@10": float(np.mean([listed[rows].any() for rows in found])),
            "precision@10": float(np.mean([listed[rows].mean() if len(rows) else 0.0 for rows in found])),
            "signal recall@10": float(np.mean([listed[rows].any() for rows in ranked])),
            "signal precision@10": float(np.mean(listed[ranked])),
            "chance recall@10": float(1 - (1 - listed.mean()) ** K),
            "chance precision@10": float(listed.mean()),
            "missed": [text for text, rows in zip(texts, found, strict=True) if not listed[rows].any()],
        }
    rng = np.random.default_rng(SEED)
    draws = [rng.integers(0, len(table), len(table)) for _ in range(bootstraps)]
    measures = [name for name in next(iter(table.values())) if name.endswith("@10")]
    means = {name: interval(np.array([row[name] for row in table.values()]), draws) for name in measures}
    return {"statements": len(table), "wordings": 3 * len(table), "refused": sum(r["refused"] for r in table.values()),
            "mean": means, "per_statement": table}  # fmt: skip


def arms_of(
    asked: PtbXl, before: PtbXl, library: CaseLibrary, ids: list[str], encoder: Encoder, run: Path | None
) -> dict[str, Rows]:
    """Rows of the ten cases that each way of looking finds for every asked recording."""
    bench = None if run is None else run / "bench"
    cache = None if run is None else run / "cache"
    new, old = asked.signals(cache), before.signals(cache)
    name = encoder.hash[:12]

    def file(stem: str) -> Path | None:
        return None if bench is None else bench / f"{stem}.npy"

    own = kept(file(f"fold9-{name}"), lambda: encode_all(encoder.network, new).embeddings)
    place = {case_id: i for i, case_id in enumerate(ids)}
    hits = library.search_batch(own, K)
    rng = np.random.default_rng(SEED)
    rows = library.get(ids)
    ages = np.array([np.nan if rows[i].age_years is None else rows[i].age_years for i in ids], np.float64)
    arms = {
        "encoder": np.array([[place[case.case_id] for case in cases] for cases in hits], np.int64),
        "random": np.stack([rng.choice(len(ids), K, replace=False) for _ in range(len(asked))]),
        "same age and sex": same_age_and_sex(asked, ages, [rows[i].sex for i in ids]),
    }
    del rows
    network = random_network(old, encoder.network.config)
    made = [
        kept(file(f"random-{name}-{part}"), lambda s=s: encode_all(network, s).embeddings)  # type: ignore[misc]
        for part, s in (("new", new), ("old", old))
    ]
    arms["random weights"] = nearest(unit(made[0]), unit(made[1]))
    arms["random weights, centred"] = nearest(unit(made[0], made[1].mean(axis=0)), unit(made[1], made[1].mean(axis=0)))
    beats = [kept(file(f"beats-{part}"), lambda s=s: median_beats(s)) for part, s in (("new", new), ("old", old))]  # type: ignore[misc]
    arms["median beat"] = nearest(unit(beats[0]), unit(beats[1]))
    flat = [np.asarray(s, np.float32).reshape(len(s), -1) for s in (new, old)]
    arms["raw signal"] = nearest(unit(flat[0]), unit(flat[1]))
    return arms


def show(found: dict[str, Any]) -> None:
    """Prints the tables."""
    arms = found["by_recording"]["arms"]
    print(f"{'':<26}" + "".join(f"{arm:>26}" for arm in arms))
    for measure in next(iter(arms.values())):
        cells = [arms[arm][measure] for arm in arms]
        print(f"{measure:<26}" + "".join(f"{c['value']:>11.3f} [{c['interval'][0]:.3f}, {c['interval'][1]:.3f}]" for c in cells))
    words = found["by_words"]
    print(f"\n{words['wordings']} wordings of {words['statements']} statements, {words['refused']} refused")
    for measure, cell in words["mean"].items():
        print(f"{measure:<26}{cell['value']:>11.3f} [{cell['interval'][0]:.3f}, {cell['interval'][1]:.3f}]")
    missed = {code: row["missed"] for code, row in words["per_statement"].items() if row["missed"]}
    print("not found: " + "; ".join(f"{code}: {', '.join(texts)}" for code, texts in missed.items()))


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ptbxl", metavar="PTBXL_DIR", type=Path)
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file for every figure")
    parser.add_argument("--run", type=Path, help="folder with a cache of cleaned signals; vectors are kept in its bench")
    parser.add_argument("--bootstraps", type=int, default=BOOTSTRAPS)
    args = parser.parse_args()
    encoder = Encoder.load(calibrated=False)
    asked, before = load_ptbxl(args.ptbxl, (9,)), load_ptbxl(args.ptbxl, (1, 2, 3, 4, 5, 6, 7, 8))
    with CaseLibrary.open(None, encoder.hash) as library:
        ids = [str(i) for i in before.ids]
        if library.count != len(ids) or len(library.get(ids)) != len(ids):
            raise InputError(f"The built-in library holds {library.count} cases, folds 1-8 {len(ids)}; build the library again.")
        draws = list(resampled_patients(asked.patients, args.bootstraps))
        arms = arms_of(asked, before, library, ids, encoder, args.run)
        found = {
            "fold": 9, "asked": len(asked), "library": len(ids), "encoder": encoder.hash, "bootstraps": args.bootstraps,
            "by_recording": by_recording(arms, asked, before.labels, draws),
            "by_words": by_words(library, ids, before.labels, args.bootstraps),
        }  # fmt: skip
    show(found)
    if args.out is not None:
        args.out.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except EcgAssistantError as error:
        raise SystemExit(str(error)) from None
