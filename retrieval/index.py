"""Vectors under numbers in FAISS: searched one by one while they are few, by cells (IVF) once they are many.

`plan` decides by count; its figures come from ``tests/benchmarks/scale.py``. `VectorIndex` is one way to use either kind: add,
remove, search, read back, write. Codes are half precision or, while they are few, 8 bits a number: distances are to the codes.
In cells they are always half precision: 8-bit ranges are learned once, and would cut an unusual ECG that comes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import ArtefactError

__all__ = ["CELLS_FROM", "PRECISIONS", "Plan", "VectorIndex", "plan"]

PRECISIONS = ("fp16", "8bit")
#: Count from which vectors are kept in cells. There a flat search takes some 25 ms of one core; cells take a tenth of that
#: and miss about 1 in 100 of the ten nearest.
CELLS_FROM = 500_000
#: Cells are about this many times √n: twice as many are hardly searched faster, and take four times as long to draw.
_CELLS_PER_ROOT = 2
_MOST_CELLS = 16_384
#: Share of the cells that a search looks into, and the least of them.
_PROBED_SHARE, _LEAST_PROBED = 1 / 64, 32
_TRAINED_ON = 64  # vectors per cell
_CHUNK = 65_536
#: Cells are drawn anew when the number that fits the count has grown to this many times theirs.
_OUTGROWN = 2

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


def _faiss() -> Any:
    """FAISS, imported when first needed; untyped, for its own stubs do not know all of it."""
    import faiss

    return faiss


@dataclass(frozen=True)
class Plan:
    """How ``n`` vectors are kept: ``cells`` 0 is flat, every vector looked at; else ``probed`` of the cells are searched."""

    cells: int = 0
    probed: int = 0


def plan(n: int, cells_from: int | None = None) -> Plan:
    """The plan for ``n`` vectors: flat below ``cells_from`` (default: `CELLS_FROM`), then cells, a power of two near 2 √n."""
    if n < (CELLS_FROM if cells_from is None else cells_from):
        return Plan()
    cells = min(_MOST_CELLS, 1 << round(np.log2(_CELLS_PER_ROOT * n**0.5)))
    return Plan(cells, _probed(cells))


def _probed(cells: int) -> int:
    return min(cells, max(_LEAST_PROBED, round(cells * _PROBED_SHARE)))


class VectorIndex:
    """Unit vectors (n, dim) under distinct numbers, compared by inner product. Made by `of` or `read`."""

    def __init__(self, index: Any, precision: str) -> None:
        self._index = index
        self.precision = "fp16" if self.cells else precision

    # --- making ------------------------------------------------------------------------------------------------------

    @classmethod
    def of(cls, precision: str, vectors: Floats, numbers: Numbers, *, planned: Plan | None = None) -> VectorIndex:
        """An index of these vectors, (n, dim), kept as `plan` says unless ``planned`` says otherwise.

        8-bit codes are ranges per dimension, and cells are centres; both are learned from the vectors themselves.
        """
        chosen = plan(len(vectors)) if planned is None else planned
        made = cls._empty(precision, chosen, vectors.shape[1], vectors)
        made._fill((vectors[at : at + _CHUNK], numbers[at : at + _CHUNK]) for at in range(0, len(numbers), _CHUNK))
        return made

    @classmethod
    def _empty(cls, precision: str, chosen: Plan, dim: int, learned_from: Floats) -> VectorIndex:
        faiss = _faiss()
        half = faiss.ScalarQuantizer.QT_fp16
        if chosen.cells:
            centres = faiss.IndexFlatIP(dim)
            index = faiss.IndexIVFScalarQuantizer(centres, dim, chosen.cells, half, faiss.METRIC_INNER_PRODUCT, False)
            centres.this.disown()
            index.own_fields = True
            index.cp.spherical = True
            index.cp.max_points_per_centroid = _TRAINED_ON
            index.cp.min_points_per_centroid = 1  # a library that has just outgrown flat is no cause for a warning
            index.train(_sample(learned_from, _TRAINED_ON * chosen.cells))
            index.nprobe = chosen.probed
            index.set_direct_map_type(faiss.DirectMap.Hashtable)  # numbers → places, for reading back and removal
            return cls(index, precision)
        kind = faiss.ScalarQuantizer.QT_8bit if precision == "8bit" else half
        inner = faiss.IndexScalarQuantizer(dim, kind, faiss.METRIC_INNER_PRODUCT)
        inner.train(learned_from if len(learned_from) else np.eye(dim, dtype=np.float32))
        index = faiss.IndexIDMap2(inner)
        inner.this.disown()
        index.own_fields = True
        return cls(index, precision)

    def _fill(self, parts: Iterable[tuple[Floats, Numbers]]) -> None:
        for vectors, numbers in parts:
            if len(numbers):
                self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), np.ascontiguousarray(numbers, np.int64))

    @classmethod
    def read(cls, file: Path, dim: int, precision: str) -> VectorIndex:
        """The index in ``file``. Raises ArtefactError where it cannot be read or is of another kind or width."""
        faiss = _faiss()
        try:
            index = faiss.read_index(str(file))
        except RuntimeError as error:
            raise ArtefactError(
                f"The case library's {file.name} cannot be read; restore the library or build it again."
            ) from error
        if index.d != dim or not isinstance(index, faiss.IndexIDMap2 | faiss.IndexIVFScalarQuantizer):
            raise ArtefactError(
                f"The case library's {file.name} has {index.d} dimensions, its manifest says {dim}; build it again."
            )
        return cls(index, precision)

    def write(self, file: Path) -> None:
        """Write the index to ``file``."""
        _faiss().write_index(self._index, str(file))

    # --- what it holds -----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return int(self._index.d)

    @property
    def cells(self) -> int:
        """Number of cells; 0 where the index is flat."""
        return int(self._index.nlist) if self._in_cells() else 0

    def _in_cells(self) -> bool:
        return isinstance(self._index, _faiss().IndexIVFScalarQuantizer)

    def numbers(self) -> Numbers:
        """All numbers, int64 (n,), in the index's own order."""
        faiss = _faiss()
        if not self._in_cells():
            return np.asarray(faiss.vector_to_array(self._index.id_map), np.int64)
        lists = self._index.invlists
        found = [_cell(lists, cell) for cell in range(lists.nlist)]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def vectors(self, numbers: Numbers) -> Floats:
        """The stored vectors of these numbers, (n, dim), as decoded from their codes; every number must be there."""
        if not len(numbers):
            return np.zeros((0, self.dim), np.float32)
        return np.asarray(self._index.reconstruct_batch(np.ascontiguousarray(numbers, np.int64)), np.float32)

    # --- searching ---------------------------------------------------------------------------------------------------

    def search(self, query: Floats, k: int, allowed: Numbers | None = None) -> tuple[Floats, Numbers]:
        """Inner products and numbers of the ``k`` most alike vectors, (n, k) each, best first, among ``allowed`` where given.

        Where there are fewer than ``k``, the rest is number -1. In cells the answer is near, not exact: so many of them are
        searched that few of the ten most alike are missed (see the benchmark), and the fewer are allowed, the more;
        where the cells searched hold fewer than ``k``, all are searched.
        """
        faiss = _faiss()
        k = min(k, len(self))
        selector = None if allowed is None else faiss.IDSelectorBatch(np.ascontiguousarray(allowed, np.int64))
        if not self._in_cells():
            flat = {} if selector is None else {"params": faiss.SearchParameters(sel=selector)}
            return self._index.search(query, k, **flat)  # type: ignore[no-any-return]
        cells, within = self.cells, len(self) if allowed is None else len(allowed)
        probed = min(cells, int(np.ceil(self._index.nprobe * len(self) / max(within, 1))))
        similarity, numbers = self._probe(query, k, probed, selector)
        short = (numbers < 0).sum(axis=1) > max(0, k - within)
        if probed < cells and short.any():
            similarity[short], numbers[short] = self._probe(query[short], k, cells, selector)
        return similarity, numbers

    def _probe(self, query: Floats, k: int, probed: int, selector: Any) -> tuple[Floats, Numbers]:
        more = {} if selector is None else {"sel": selector}
        params = _faiss().SearchParametersIVF(nprobe=probed, **more)
        return self._index.search(query, k, params=params)  # type: ignore[no-any-return]

    # --- changing ----------------------------------------------------------------------------------------------------

    def add(self, vectors: Floats, numbers: Numbers) -> None:
        """Add vectors (n, dim) under numbers that are not there yet, coded with the ranges and cells that there are."""
        self._fill([(vectors, numbers)])

    def remove(self, numbers: Numbers) -> None:
        """Take these numbers out; those that are not there are passed over."""
        faiss = _faiss()
        numbers = np.ascontiguousarray(numbers, np.int64)
        if len(numbers) and len(self):
            # A table of places is kept right only where numbers are taken out one by one.
            self._index.remove_ids(faiss.IDSelectorArray(numbers) if self._in_cells() else faiss.IDSelectorBatch(numbers))

    def extended(self, vectors: Floats, numbers: Numbers) -> VectorIndex:
        """The index with these vectors too: this one, or a new one where the count asks for another kind or more cells.

        A new one is made from the stored codes, which costs 8-bit ones half a step once; their ranges must hold the new
        vectors too, so there it is always a new one.
        """
        chosen = plan(len(self) + len(numbers))
        if chosen.cells > _OUTGROWN * self.cells or (not self.cells and (chosen.cells or self.precision == "8bit")):
            return self._remade(chosen, vectors, numbers)
        self.add(vectors, numbers)
        return self

    def _remade(self, chosen: Plan, vectors: Floats, numbers: Numbers) -> VectorIndex:
        own = self.numbers()
        if not chosen.cells:
            both = np.concatenate([self.vectors(own), vectors])
            return VectorIndex.of(self.precision, both, np.concatenate([own, numbers]), planned=chosen)
        share = _TRAINED_ON * chosen.cells / max(len(own) + len(numbers), 1)
        rng = np.random.default_rng(0)
        picked = np.sort(rng.permutation(own)[: int(np.ceil(share * len(own)))])
        learned_from = np.concatenate([self.vectors(picked), _sample(vectors, int(np.ceil(share * len(numbers))))])
        made = VectorIndex._empty(self.precision, chosen, self.dim, learned_from)
        made._fill(self._parts(own))
        made.add(vectors, numbers)
        return made

    def _parts(self, numbers: Numbers) -> Iterator[tuple[Floats, Numbers]]:
        for at in range(0, len(numbers), _CHUNK):
            yield self.vectors(numbers[at : at + _CHUNK]), numbers[at : at + _CHUNK]


def _cell(lists: Any, cell: int) -> Numbers:
    size = lists.list_size(cell)
    return _faiss().rev_swig_ptr(lists.get_ids(cell), size).copy() if size else np.zeros(0, np.int64)


def _sample(vectors: Floats, n: int) -> Floats:
    """``n`` rows drawn at random, in order, always the same; all where there are no more."""
    if len(vectors) <= n:
        return vectors
    return np.ascontiguousarray(vectors[np.sort(np.random.default_rng(0).permutation(len(vectors))[:n])])
