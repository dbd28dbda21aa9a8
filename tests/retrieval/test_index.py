"""Flat or in cells: the same answers but for a few, and the choice between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.errors import ArtefactError
from retrieval import faiss_store
from retrieval.faiss_store import FaissStore
from retrieval.index import CELLS_FROM, PRECISIONS, Plan, VectorIndex, plan
from retrieval.store import CaseRow

DIM = 32
N = 4000
CELLS = Plan(cells=64, probed=16)


def clustered(n: int, dim: int = DIM, seed: int = 0) -> NDArray[np.float32]:
    """Unit vectors around 40 centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(40, dim))
    vectors = (centres[rng.integers(0, 40, n)] + 0.4 * rng.normal(size=(n, dim))).astype(np.float32)
    out: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return out


VECTORS = clustered(N)
NUMBERS = np.arange(N, dtype=np.int64) * 3 + 100
QUERIES = clustered(50, seed=1)
NEAREST = NUMBERS[np.argsort(-(QUERIES @ VECTORS.T), axis=1)[:, :10]]


def recall(found: NDArray[np.int64], right: NDArray[np.int64] = NEAREST) -> float:
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, right, strict=True)]))


@pytest.fixture(params=[("fp16", Plan()), ("8bit", Plan()), ("fp16", CELLS)], ids=["fp16", "8bit", "cells"])
def index(request: pytest.FixtureRequest) -> VectorIndex:
    precision, planned = request.param
    return VectorIndex.of(precision, VECTORS, NUMBERS, planned=planned)


def test_the_nearest_are_found(index: VectorIndex) -> None:
    similarity, numbers = index.search(QUERIES, 10)
    assert recall(numbers) > (0.95 if index.cells or index.precision == "8bit" else 0.99)
    assert np.all(np.diff(similarity, axis=1) <= 0)
    places = (numbers - 100) // 3
    exact = np.take_along_axis(QUERIES @ VECTORS.T, places, axis=1)
    assert np.abs(similarity - exact).max() < 0.02
    assert sorted(index.numbers().tolist()) == NUMBERS.tolist() and len(index) == N
    assert np.abs(index.vectors(NUMBERS[[5, 3, 3999]]) - VECTORS[[5, 3, 3999]]).max() < 0.02
    assert index.vectors(NUMBERS[:0]).shape == (0, DIM)


def test_among_allowed_ones_none_is_missing(index: VectorIndex) -> None:
    """However few are allowed and however far away they lie: as many as asked for, or all."""
    allowed = NUMBERS[::400]
    similarity, numbers = index.search(QUERIES, 20, allowed)
    assert numbers.shape == (50, 20) and (numbers[:, 10:] == -1).all()
    assert all(set(row[:10]) == set(allowed) for row in numbers.tolist())
    some = NUMBERS[::4]
    right = some[np.argsort(-(QUERIES @ VECTORS[::4].T), axis=1)[:, :10]]
    _, numbers = index.search(QUERIES, 10, some)
    assert recall(numbers, right) > 0.93 and np.isin(numbers, some).all()


def test_all_can_be_asked_for(index: VectorIndex) -> None:
    """Beyond what the cells searched hold, the others are searched too."""
    _, numbers = index.search(QUERIES[:3], N + 5)
    assert numbers.shape == (3, N)
    assert all(sorted(row) == NUMBERS.tolist() for row in numbers.tolist())


def test_removed_is_gone_and_added_is_there(index: VectorIndex, tmp_path: Path) -> None:
    index.remove(np.concatenate([NEAREST[0], [1, 2]]))
    index.remove(NUMBERS[:0])
    assert len(index) == N - 10
    assert not np.isin(NEAREST[0], index.search(QUERIES[:1], 50)[1]).any()
    index.add(QUERIES[:1], np.array([7]))
    assert index.search(QUERIES[:1], 1)[1].tolist() == [[7]]
    index.write(tmp_path / "i.faiss")
    again = VectorIndex.read(tmp_path / "i.faiss", DIM, index.precision)
    assert (len(again), again.cells) == (len(index), index.cells)
    for one, other in zip(index.search(QUERIES, 10), again.search(QUERIES, 10), strict=True):
        assert np.array_equal(one, other)
    again.remove(np.array([7]))  # the table of places was kept, too
    assert len(again) == N - 10
    with pytest.raises(ArtefactError, match="32 dimensions, its manifest says 33"):
        VectorIndex.read(tmp_path / "i.faiss", 33, index.precision)
    (tmp_path / "i.faiss").write_bytes(b"IxSQ and then nothing")
    with pytest.raises(ArtefactError, match="cannot be read"):
        VectorIndex.read(tmp_path / "i.faiss", DIM, index.precision)


def test_the_plan_goes_by_count() -> None:
    assert plan(0) == plan(CELLS_FROM - 1) == Plan()
    sizes = (CELLS_FROM, 10**6, 5 * 10**6, 10**8)
    plans = [plan(n) for n in sizes]
    assert all(0 < p.probed < p.cells for p in plans)
    assert [p.cells for p in plans] == sorted(p.cells for p in plans)
    assert all(n / p.cells > 39 for n, p in zip(sizes, plans, strict=True))  # enough vectors to draw each cell from
    assert all(p.probed / p.cells < 0.1 for p in plans)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_moves_into_cells_and_more_of_them_as_it_grows(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.index.CELLS_FROM", 1000)
    index = VectorIndex.of(precision, VECTORS[:0], NUMBERS[:0])
    cells = []
    for at in range(0, N, 500):
        index = index.extended(VECTORS[at : at + 500], NUMBERS[at : at + 500])
        assert len(index) == at + 500
        cells.append(index.cells)
    assert cells[0] == 0 and cells[1] > 0 and cells == sorted(cells)
    far = index.extended(np.tile(VECTORS, (20, 1)), np.arange(10**6, 10**6 + 20 * N))
    assert far.cells > 2 * cells[-1] and len(far) == 21 * N
    assert recall(index.search(QUERIES, 10)[1]) > 0.93


def rows(numbers: range) -> list[CaseRow]:
    return [CaseRow(f"case {i}", age_years=float(i % 100)) for i in numbers]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_store_in_cells_keeps_its_contract(precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filled past the switch, changed, closed, opened: the cases of the flat store, in the same order but for near ties."""
    monkeypatch.setattr("retrieval.index.CELLS_FROM", 1000)
    monkeypatch.setattr(faiss_store, "FOLD_AT", 700)
    with FaissStore.create(tmp_path / "lib", "e" * 64, dim=DIM, precision=precision) as store:
        for at in range(0, N, 250):
            some = rows(range(at, at + 250))
            store.add([row.case_id for row in some], VECTORS[at : at + 250], some)
        store.remove([f"case {i}" for i in (NEAREST[0] - 100) // 3])
        store.add(["case 9"], -VECTORS[9:10], rows(range(9, 10)))
        waiting = [h[0] for h in store.search(-VECTORS[9], 1)[0]]
    with FaissStore.open(tmp_path / "lib", writable=True) as store:
        assert store.count == N - 10 and waiting == ["case 9"]
        assert store._index.cells > 0
        found = np.array([[int(case_id[5:]) * 3 + 100 for case_id, _ in hits] for hits in store.search(QUERIES[1:], 10)])
        assert recall(found, NEAREST[1:]) > 0.85  # the first query's ten are gone, from others' too
        gone = {f"case {i}" for i in (NEAREST[0] - 100) // 3}
        assert not gone & {case_id for case_id, _ in store.search(QUERIES[0], 200)[0]}
        ((case_id, similarity), *_) = store.search(VECTORS[77], 3)[0]
        assert case_id == "case 77" and similarity == pytest.approx(1.0, abs=1e-4)
        few = ["case 1", "case 2001", "nobody"]
        assert {case_id for case_id, _ in store.search(QUERIES[0], 5, few)[0]} == {"case 1", "case 2001"}
        assert store.vectors(["case 77", "case 9"]) == pytest.approx(np.stack([VECTORS[77], -VECTORS[9]]), abs=0.02)
        assert store.remove(["case 77"]) == 1
    with FaissStore.open(tmp_path / "lib") as store:
        assert store.count == N - 11 == len(store.search(QUERIES[0], N)[0])
