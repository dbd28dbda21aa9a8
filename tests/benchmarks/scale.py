"""What a case library costs as it grows: build time, memory, latency and recall of flat, IVF and HNSW, and of Milvus Lite.

    python tests/benchmarks/scale.py --out FILE [--sizes 20000 200000 1000000 5000000] [--arms flat ivf …] [--work DIR]

Vectors: the built-in library's, without those of 500 patients, one recording of each of whom is asked; beyond these, perturbed
mixtures of real ones: a real vector x, moved by a share 0-0.5 (uniform) towards one of its 32 nearest neighbours, plus 0.55 times
the difference of two others of these 32, brought to unit length. So the noise has the shape that real vectors differ by
around x, and is not Gaussian. Checked first, and printed: distances (1 - cosine) from the asked recordings, and from the vectors
themselves, to their 1st, 10th and 100th neighbour, among the real ones and among as many made ones, and the intrinsic
dimension that these distances speak of (Levina and Bickel's estimate, median over vectors).

Each arm is measured in a process of its own: build (training and adding; ``--threads``), size of the file, resident memory that
the opened index adds, then one query at a time on one thread: median and 99th percentile of the 500, or of as many as are
answered in 30 s, at least 100 ("CPU": of the time that the thread itself ran, which other work on the machine does not
lengthen), and recall@10 against exact search over the 32-bit vectors, so the loss by coarser codes is in it.

flat, fp16, 8bit  every vector looked at, 32, 16 and 8 bits a number
ivf               16 bits a number in the cells of `retrieval.index.plan`, at several numbers of cells searched
hnsw              8 bits a number, 32 links (64 at the ground), efConstruction 100, at several efSearch
store             the whole of `FaissStore`, rows and all, filled by batches of 1,000, asked through `Store.search`
milvus            the same through `MilvusStore` on Milvus Lite

What is in FILE already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import EcgAssistantError
from retrieval.index import VectorIndex, plan
from retrieval.library import CaseLibrary
from retrieval.store import CaseRow, Store, open_store

__all__ = ["main", "mixtures"]

SIZES = (20_000, 200_000, 1_000_000, 5_000_000)
#: Arm → the largest size at which it is measured unless ``--arms`` names it: beyond, building takes the better part of an hour.
ARMS = {"flat": 5_000_000, "fp16": 5_000_000, "8bit": 5_000_000, "ivf": 5_000_000, "hnsw": 1_000_000, "store": 1_000_000,
        "milvus": 200_000}  # fmt: skip
PROBED = (8, 16, 32, 64, 128, 256)
EF_SEARCH = (32, 64, 128, 256)
LEAST_ASKED, LONGEST_S = 100, 30.0
ASKED, K, NEIGHBOURS, CHUNK, BATCH = 500, 10, 32, 50_000, 1000
TOWARDS, DIFFERENCE = 0.5, 0.55
Floats = NDArray[np.float32]


# --- vectors ---------------------------------------------------------------------------------------------------------


def real_vectors() -> tuple[Floats, Floats]:
    """(asked (500, 256), library (n, 256)): the built-in library's vectors, patients on one side only."""
    with CaseLibrary.open() as library:
        rows = sorted(library.store.matching(None), key=lambda row: int(row.case_id))
        vectors = library.store.vectors([row.case_id for row in rows])
    patients = np.array([row.patient_key for row in rows])
    drawn = np.random.default_rng(0).permutation(np.unique(patients))[:ASKED]
    first = [int(np.flatnonzero(patients == patient)[0]) for patient in drawn]
    return vectors[first], vectors[~np.isin(patients, drawn)]


def neighbours_of(vectors: Floats) -> NDArray[np.int64]:
    """Rows of the 32 nearest other vectors of each: (n, 32)."""
    out = np.zeros((len(vectors), NEIGHBOURS), np.int64)
    for at in range(0, len(vectors), 1000):
        score = vectors[at : at + 1000] @ vectors.T
        score[np.arange(len(score)), np.arange(at, at + len(score))] = -2
        out[at : at + 1000] = np.argpartition(-score, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    return out


def mixtures(real: Floats, near: NDArray[np.int64], n: int, seed: int) -> Floats:
    """``n`` perturbed mixtures of the real vectors, see the module's text; the same for the same seed."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, len(real), n)
    towards, one, other = (near[x, rng.integers(0, NEIGHBOURS, n)] for _ in range(3))
    share = rng.uniform(0, TOWARDS, (n, 1)).astype(np.float32)
    made = real[x] + share * (real[towards] - real[x]) + np.float32(DIFFERENCE) * (real[one] - real[other])
    out: Floats = made / np.linalg.norm(made, axis=1, keepdims=True)
    return out


def resemblance(asked: Floats, real: Floats, near: NDArray[np.int64]) -> dict[str, Any]:
    """Distances to neighbours, and intrinsic dimension, among real vectors and among as many made ones."""
    made = mixtures(real, near, len(real), seed=2**32)

    def figures(query: Floats, among: Floats, own: int) -> dict[str, Any]:
        distance = np.sort(1 - query @ among.T, axis=1)[:, own:]
        radius = np.sqrt(np.maximum(distance[:, :20], 1e-9))
        dimension = 1 / np.mean(np.log(radius[:, 19:] / radius[:, :19]), axis=1)
        quartiles = {str(rank): np.quantile(distance[:, rank - 1], [0.05, 0.5, 0.95]).round(4).tolist() for rank in (1, 10, 100)}
        return {"distance_5_50_95": quartiles, "dimension": round(float(np.median(dimension)), 1)}

    return {
        "asked among real": figures(asked, real, 0),
        "asked among made": figures(asked, made, 0),
        "real among real": figures(real[:1000], real, 1),
        "made among made": figures(made[:1000], made, 1),
    }


def write_vectors(file: Path, real: Floats, near: NDArray[np.int64], n: int) -> None:
    """Real vectors and then mixtures, ``n`` in all, float32 without a header; a file that was begun is gone on with."""
    file.parent.mkdir(parents=True, exist_ok=True)
    width = 4 * real.shape[1]
    with open(file, "ab") as handle:
        there = handle.tell() // width
        if there < len(real):
            handle.truncate(0)
            real.tofile(handle)
            there = len(real)
        while there < n:
            step, inside = divmod(there - len(real), CHUNK)
            handle.truncate((len(real) + step * CHUNK) * width)
            handle.seek(0, os.SEEK_END)
            mixtures(real, near, CHUNK, seed=step).tofile(handle)
            there += CHUNK - inside


def parts(file: Path, n: int, dim: int) -> Iterator[tuple[int, Floats]]:
    """(row, vectors) of the first ``n``, in chunks."""
    for at in range(0, n, CHUNK):
        count = min(CHUNK, n - at)
        yield at, np.fromfile(file, np.float32, count * dim, offset=4 * at * dim).reshape(count, dim)


def exact(file: Path, asked: Floats, n: int) -> NDArray[np.int64]:
    """Rows of the ten most alike of the first ``n`` vectors, (500, 10)."""
    best = np.full((len(asked), K), -np.inf, np.float32)
    rows = np.zeros((len(asked), K), np.int64)
    for at, vectors in parts(file, n, asked.shape[1]):
        score = np.concatenate([best, asked @ vectors.T], axis=1)
        number = np.concatenate([rows, np.broadcast_to(np.arange(at, at + len(vectors)), (len(asked), len(vectors)))], axis=1)
        top = np.argpartition(-score, K - 1, axis=1)[:, :K]
        best, rows = np.take_along_axis(score, top, axis=1), np.take_along_axis(number, top, axis=1)
    return rows


# --- one arm, in a process of its own ------------------------------------------------------------------------------------


def alone(function: Callable[..., Any], *given: Any) -> Any:
    """What the function gives in a fresh process, whose memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *given).result()


def resident_mb() -> float:
    """Resident memory of this process in MB (10⁶ bytes)."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


def timed(search: Callable[[Floats], Any], asked: Floats, truth: NDArray[np.int64]) -> dict[str, float]:
    """Latency of single queries and recall@10. ``search``: (1, dim) → row numbers (1, 10) or (10,)."""
    for query in asked[:5]:
        search(query[None])
    took, worked, hits = list[float](), list[float](), 0
    for query, right in zip(asked, truth, strict=True):
        if len(took) >= LEAST_ASKED and sum(took) > LONGEST_S:
            break
        start, begun = time.perf_counter(), time.thread_time()
        found = search(query[None])
        took.append(time.perf_counter() - start)
        worked.append(time.thread_time() - begun)
        hits += len(np.intersect1d(np.asarray(found).ravel(), right))
    return {
        "median_ms": float(np.median(took)) * 1e3,
        "p99_ms": float(np.quantile(took, 0.99)) * 1e3,
        "median_cpu_ms": float(np.median(worked)) * 1e3,
        "p99_cpu_ms": float(np.quantile(worked, 0.99)) * 1e3,
        "recall@10": hits / (len(took) * K),
        "asked": len(took),
    }


def _built(arm: str, n: int, vectors: Path, dim: int, file: Path, threads: int) -> float:
    """Builds one index into ``file``; seconds."""
    import faiss

    faiss.omp_set_num_threads(threads)
    start = time.perf_counter()
    index: Any
    if arm == "ivf":
        chosen = plan(n, cells_from=0)
        rng = np.random.default_rng(0)
        rows = np.sort(rng.permutation(n)[: 64 * chosen.cells])
        mapped = np.memmap(vectors, np.float32, "r", shape=(n, dim))
        own = VectorIndex.of("fp16", np.ascontiguousarray(mapped[rows]), np.asarray(rows), planned=chosen)
        own.remove(np.asarray(rows))
        del mapped
        for at, part in parts(vectors, n, dim):
            own.add(part, np.arange(at, at + len(part)))
        own.write(file)
        return time.perf_counter() - start
    inner_product = faiss.METRIC_INNER_PRODUCT
    if arm == "flat":
        index = faiss.IndexFlatIP(dim)
    elif arm == "hnsw":
        index = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, 32, inner_product)
        index.hnsw.efConstruction = 100
    else:
        code = faiss.ScalarQuantizer.QT_8bit if arm == "8bit" else faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexScalarQuantizer(dim, code, inner_product)
    if not index.is_trained:
        index.train(next(parts(vectors, min(n, 100_000), dim))[1])
    for _, part in parts(vectors, n, dim):
        index.add(part)
    faiss.write_index(index, str(file))
    return time.perf_counter() - start


def _index_arm(arm: str, n: int, vectors: Path, asked: Floats, truth: NDArray[np.int64], threads: int) -> dict[str, Any]:
    import faiss

    work = Path(tempfile.mkdtemp(dir=vectors.parent))
    try:
        file = work / "index.faiss"
        build_s = alone(_built, arm, n, vectors, asked.shape[1], file, threads)
        faiss.omp_set_num_threads(1)
        before = resident_mb()
        index = faiss.read_index(str(file))
        out: dict[str, Any] = {"build_s": build_s, "file_mb": file.stat().st_size / 1e6, "memory_mb": resident_mb() - before}
        settings: dict[str, Any] = {"": {}}
        if arm == "ivf":
            out["cells"] = int(index.nlist)
            settings = {f"{p} of {index.nlist} cells": {"params": faiss.SearchParametersIVF(nprobe=p)}
                        for p in PROBED if p <= index.nlist}  # fmt: skip
        elif arm == "hnsw":
            settings = {f"efSearch {ef}": {"params": faiss.SearchParametersHNSW(efSearch=ef)} for ef in EF_SEARCH}
        out["searches"] = {
            name: timed(lambda query, more=more: index.search(query, K, **more)[1], asked, truth)  # type: ignore[misc]
            for name, more in settings.items()
        }
        return out
    finally:
        shutil.rmtree(work, ignore_errors=True)


def made_row(i: int) -> CaseRow:
    """A row of the usual size."""
    return CaseRow(
        str(i), patient_key=i // 2, age_years=float(20 + i % 70), sex="FM"[i % 2], statements={"SR": 0.0, "NORM": 80.0},
        measurements={"rate_bpm": 60.0 + i % 40, "qrs_ms": 80.0 + i % 60}, where=f"made/{i // 1000}/{i}",
    )  # fmt: skip


def _filled(spec: str, vectors: Path, n: int, dim: int, threads: int) -> float:
    import faiss

    faiss.omp_set_num_threads(threads)
    start = time.perf_counter()
    store: Store = open_store(spec, encoder_hash="e" * 64, writable=True)
    for at, part in parts(vectors, n, dim):
        for low in range(0, len(part), BATCH):
            numbers = range(at + low, min(at + low + BATCH, at + len(part)))
            rows = [made_row(i) for i in numbers]
            store.add([row.case_id for row in rows], part[low : low + BATCH], rows)
    store.close()
    return time.perf_counter() - start


def _store_arm(arm: str, n: int, vectors: Path, asked: Floats, truth: NDArray[np.int64], threads: int) -> dict[str, Any]:
    import faiss

    work = Path(tempfile.mkdtemp(dir=vectors.parent))
    try:
        spec = f"milvus:{work / 'cases.db'}" if arm == "milvus" else str(work / "cases")
        build_s = alone(_filled, spec, vectors, n, asked.shape[1], threads)
        size = sum(path.stat().st_size for path in work.rglob("*") if path.is_file()) / 1e6
        faiss.omp_set_num_threads(1)
        before, start = resident_mb(), time.perf_counter()
        store = open_store(spec, encoder_hash="e" * 64)
        opened = time.perf_counter() - start

        def search(query: Floats) -> list[int]:
            return [int(case_id) for case_id, _ in store.search(query, K)[0]]

        out = {"build_s": build_s, "file_mb": size, "memory_mb": resident_mb() - before, "open_s": opened,
               "searches": {"": timed(search, asked, truth)}}  # fmt: skip
        store.close()
        return out
    finally:
        shutil.rmtree(work, ignore_errors=True)


def measured(arm: str, n: int, vectors: Path, asked: Floats, truth: NDArray[np.int64], threads: int) -> dict[str, Any]:
    """Figures of one arm at one size; call it in a process of its own."""
    run = _store_arm if arm in ("store", "milvus") else _index_arm
    return run(arm, n, vectors, asked, truth, threads)


# --- the table -------------------------------------------------------------------------------------------------------


def show(found: dict[str, Any]) -> None:
    """Prints the check and the table."""
    print("distances to neighbours (5, 50, 95 % of vectors) and dimension")
    for name, row in found["resemblance"].items():
        cells = "  ".join(f"{rank}th {'/'.join(f'{v:.3f}' for v in values)}" for rank, values in row["distance_5_50_95"].items())
        print(f"  {name:<18} {cells}  dimension {row['dimension']}")
    heads = ("build s", "file MB", "RAM MB", "median ms", "p99 ms", "median CPU", "p99 CPU", "recall")
    print(f"{'vectors':>9} {'arm':<6} {'searched':<18}" + "".join(f"{head:>11}" for head in heads))
    order = {arm: i for i, arm in enumerate(ARMS)}
    rows = [(int(name.split()[0]), name.split()[1], row) for name, row in found["measured"].items()]
    for size, arm, row in sorted(rows, key=lambda item: (item[0], order[item[1]])):
        for setting, s in row["searches"].items():
            costs = f"{row['build_s']:>11.1f}{row['file_mb']:>11.0f}{row['memory_mb']:>11.0f}"
            times = "".join(f"{s[name]:>11.2f}" for name in ("median_ms", "p99_ms", "median_cpu_ms", "p99_cpu_ms"))
            print(f"{size:>9,} {arm:<6} {setting:<18}{costs}{times}{s['recall@10']:>11.3f}")


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, metavar="FILE", required=True, help="JSON file; what it holds is kept")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), help="only these, at every size (default: what is feasible)")
    parser.add_argument("--work", type=Path, help="folder for vectors and indices (default: beside FILE); 1 GB per million")
    parser.add_argument("--threads", type=int, default=2, help="threads of a build (2)")
    args = parser.parse_args()
    work = args.work or args.out.parent / "scale"
    found: dict[str, Any] = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {"measured": {}}
    asked, real = real_vectors()
    near = neighbours_of(real)
    found["resemblance"] = resemblance(asked, real, near)
    found["asked"], found["real"], found["threads"] = len(asked), len(real), args.threads
    file = work / "vectors.f32"
    for n in sorted(args.sizes):
        arms = [arm for arm, most in ARMS.items() if (arm in args.arms if args.arms else n <= most)]
        arms = [arm for arm in arms if f"{n} {arm}" not in found["measured"]]
        if not arms:
            continue
        write_vectors(file, real, near, n)
        truth = exact(file, asked, n)
        for arm in arms:
            found["measured"][f"{n} {arm}"] = alone(measured, arm, n, file, asked, truth, args.threads)
            args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(f"{n} {arm} done", flush=True)
    show(found)
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except EcgAssistantError as error:
        raise SystemExit(str(error)) from None
