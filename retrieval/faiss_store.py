"""A case store in one folder: vectors in FAISS, rows in SQLite, and a manifest that is written last.

    cases.sqlite        rows; and vectors that are in no FAISS file yet
    vectors-<n>.faiss   the others, inner product on unit vectors, 8-bit or half precision codes, in cells where they are many
    manifest.json       names both by SHA-256, the encoder by hash; replaced by one atomic rename

Order of writes: `add` and `remove` are one SQLite transaction each, on the disk before they return. Folding the waiting
vectors in writes a new FAISS file, then the manifest that names it, then clears what waited, then drops the old file: a
process killed at any point leaves rows and vectors from which the same library opens. SQLite decides which cases exist.
While a store is open for writing its manifest says ``"sealed": false`` and gives no checksum for the rows.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import ArtefactError, InputError
from encoders.files import file_sha256
from retrieval.index import PRECISIONS, VectorIndex
from retrieval.rows import RowTable
from retrieval.store import CaseRow, Hits, checked_batch, unit_vectors
from retrieval.where import Condition

__all__ = ["MANIFEST", "STORE_VERSION", "FaissStore"]

MANIFEST = "manifest.json"
ROWS = "cases.sqlite"
FORMAT = "ecg-assistant case library"
STORE_VERSION = 1
#: Waiting vectors are searched exactly and by brute force; they are folded in at this many, or a quarter of the library.
FOLD_AT = 20_000


def _faiss() -> Any:
    """FAISS, imported when first needed; untyped, for its own stubs do not know all of it."""
    import faiss

    return faiss


def _sync(path: Path) -> None:
    """Force a file's bytes, or a folder's names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _empty_index(precision: str, dim: int) -> VectorIndex:
    return VectorIndex.of(precision, np.zeros((0, dim), np.float32), np.zeros(0, np.int64))


class FaissStore:
    """See the module's text. Open with `create` or `open`; use as a context manager or `close` it."""

    def __init__(self, folder: Path, manifest: dict[str, Any], table: RowTable, index: VectorIndex, writable: bool) -> None:
        faiss = _faiss()
        self.folder = folder
        self.dim = int(manifest["dim"])
        self.encoder_hash = str(manifest["encoder_hash"])
        self.notes: dict[str, Any] = dict(manifest.get("notes", {}))
        self._manifest = manifest
        self._table = table
        self._index = index
        self._writable = writable
        self._lock = threading.RLock()
        self._open = True
        self._numbers, ids = table.keys()
        self._id_of = dict(zip(self._numbers.tolist(), ids, strict=True))
        self._number_of = {case_id: n for n, case_id in self._id_of.items()}
        self._tail = faiss.IndexIDMap2(faiss.IndexFlatIP(self.dim))
        self._tail_source = self._tail.index  # kept alive beside the wrapper
        self._reconcile()

    # --- opening -----------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        folder: str | Path,
        encoder_hash: str,
        *,
        dim: int = 256,
        precision: str = "fp16",
        notes: dict[str, Any] | None = None,
    ) -> FaissStore:
        """A new, empty store, open for writing. ``precision``: fp16 (grows well) or 8bit (half the size; best filled at once).

        Raises InputError where the folder already holds a library or files of others.
        """
        folder = Path(folder)
        if precision not in PRECISIONS:
            raise InputError(f"Precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}.")
        folder.mkdir(parents=True, exist_ok=True)
        present = sorted(p.name for p in folder.iterdir())
        if MANIFEST in present or any(not name.startswith((ROWS, MANIFEST, "vectors-")) for name in present):
            what = "already holds a case library" if MANIFEST in present else f"holds other files ({present[0]})"
            raise InputError(f"The folder {folder.name!r} {what}; give an empty or a new folder.")
        for name in present:  # left by a creation that was broken off before its manifest
            (folder / name).unlink()
        table = RowTable(folder / ROWS, writable=True, create=True)
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "store_version": STORE_VERSION,
            "encoder_hash": encoder_hash,
            "dim": dim,
            "count": 0,
            "precision": precision,
            "generation": 0,
            "sealed": False,
            "vectors": None,
            "rows": {"file": ROWS, "sha256": None},
            "notes": notes or {},
        }
        store = cls(folder, manifest, table, _empty_index(precision, dim), True)
        store._write_manifest()
        return store

    @classmethod
    def open(cls, folder: str | Path, *, encoder_hash: str | None = None, writable: bool = False) -> FaissStore:
        """Open a library. ArtefactError where it is missing, damaged, of a later version or made with another encoder."""
        folder = Path(folder)
        manifest = read_manifest(folder)
        if encoder_hash is not None and manifest["encoder_hash"] != encoder_hash:
            raise ArtefactError(
                f"The case library {folder.name!r} was made with encoder {manifest['encoder_hash'][:12]}, this is encoder "
                f"{encoder_hash[:12]}; build the library again with this encoder."
            )
        rows = folder / ROWS
        named = [manifest["rows"], *([manifest["vectors"]] if manifest["vectors"] else [])]
        for part in named:
            file = folder / str(part["file"])
            if Path(str(part["file"])).name != part["file"] or not file.is_file():
                raise ArtefactError(f"The case library {folder.name!r} lacks {part['file']}; restore it or build it again.")
            if part["sha256"] is not None and file_sha256(file) != part["sha256"]:
                raise ArtefactError(
                    f"The case library's {part['file']} is damaged (its SHA-256 is not the manifest's); "
                    "restore it or build it again."
                )
        recover = not manifest["sealed"] and os.access(folder, os.W_OK)
        table = RowTable(rows, writable=writable, recover=recover)
        if not manifest["sealed"]:
            table.check()
        if writable:  # the lock is held: what a killed writer left beside the named files belongs to nobody
            named_files = {str(part["file"]) for part in named}
            for file in folder.glob("vectors-*.faiss"):
                if file.name not in named_files:
                    file.unlink()
            (folder / (MANIFEST + ".part")).unlink(missing_ok=True)
        return cls(folder, manifest, table, cls._read_index(folder, manifest), writable)

    @staticmethod
    def _read_index(folder: Path, manifest: dict[str, Any]) -> VectorIndex:
        dim, precision = int(manifest["dim"]), str(manifest["precision"])
        if not manifest["vectors"]:
            return _empty_index(precision, dim)
        return VectorIndex.read(folder / str(manifest["vectors"]["file"]), dim, precision)

    def _reconcile(self) -> None:
        """Bring vectors in line with the rows: the index loses what SQLite lost, and gains what waits."""
        waiting, vectors = self._table.pending(self.dim)
        indexed = self._index.numbers()
        self._index.remove(np.concatenate([np.setdiff1d(indexed, self._numbers), np.intersect1d(indexed, waiting)]))
        self._next = int(max(self._numbers.max(initial=0), indexed.max(initial=0))) + 1
        #: Numbers only grow, so this one and all later ones wait in the tail, and no earlier one does.
        self._waits_from = int(waiting.min(initial=self._next))
        if len(waiting):
            self._tail.add_with_ids(vectors, waiting)
        total = len(self._index) + self._tail.ntotal
        if total != len(self._numbers) or not np.isin(waiting, self._numbers).all():
            raise ArtefactError(
                f"The case library {self.folder.name!r} has {len(self._numbers)} rows and {total} vectors; build it again."
            )

    # --- reading -----------------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        return len(self._id_of)

    def search(self, vectors: NDArray[np.floating], k: int, allowed_ids: Iterable[str] | None = None) -> tuple[Hits, ...]:
        """See `Store.search`. The cosine is that with the stored codes, brought to unit length."""
        faiss = _faiss()
        if k < 1:
            raise InputError(f"k is {k}; it must be at least 1.")
        query = unit_vectors(vectors, self.dim)
        with self._lock:
            options: dict[str, Any] = {}
            allowed: NDArray[np.int64] | None = None
            reach = min(k, self.count)
            spare = 8 if self._index.precision == "8bit" else 0  # for those whose order the codes' lengths change
            if allowed_ids is not None:
                allowed = np.array([self._number_of[i] for i in allowed_ids if i in self._number_of], np.int64)
                reach = min(k, len(allowed))
                selector = faiss.IDSelectorBatch(allowed)
                options = {"params": faiss.SearchParameters(sel=selector)}
            if reach == 0:
                return tuple(() for _ in query)
            parts = [self._index.search(query, reach + spare, allowed)] if len(self._index) else []
            if self._tail.ntotal:
                parts.append(self._tail.search(query, min(reach + spare, self._tail.ntotal), **options))
            similarity = np.concatenate([d for d, _ in parts], axis=1)
            numbers = np.concatenate([n for _, n in parts], axis=1)
            similarity = np.where(numbers >= 0, similarity / self._lengths(numbers), -np.inf)
            order = np.lexsort((numbers, -similarity), axis=1)[:, :reach]  # ties by age in the store: same answer every time
            numbers = np.take_along_axis(numbers, order, axis=1)
            similarity = np.clip(np.take_along_axis(similarity, order, axis=1), -1.0, 1.0)
            return tuple(
                tuple((self._id_of[n], s) for n, s in zip(row, values, strict=True) if n >= 0)
                for row, values in zip(numbers.tolist(), similarity.tolist(), strict=True)
            )

    def _lengths(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Length of each stored vector, same shape: coding to 8 bits moves it by some thousandths from 1."""
        found, place = np.unique(numbers, return_inverse=True)
        lengths = np.ones(len(found), np.float32)
        coded = (found >= 0) & (found < self._waits_from)
        lengths[coded] = np.linalg.norm(self._index.vectors(found[coded]), axis=1)
        return lengths[place].reshape(numbers.shape)

    def get(self, ids: Iterable[str]) -> dict[str, CaseRow]:
        """See `Store.get`."""
        with self._lock:
            numbers = [self._number_of[i] for i in ids if i in self._number_of]
            return {row.case_id: row for row in self._table.read(numbers)}

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """See `Store.vectors`; as decoded from the stored codes."""
        with self._lock:
            numbers = np.array([self._number_of[i] for i in ids], np.int64)
            out = np.zeros((len(numbers), self.dim), np.float32)
            coded = numbers < self._waits_from
            out[coded] = self._index.vectors(numbers[coded])
            if not coded.all():
                out[~coded] = self._tail.reconstruct_batch(numbers[~coded])
        return unit_vectors(out, self.dim) if len(out) else out

    def matching(self, condition: Condition | None) -> Iterator[CaseRow]:
        """See `Store.matching`."""
        with self._lock:
            yield from self._table.matching(condition)

    def matching_ids(self, condition: Condition | None) -> list[str]:
        """See `Store.matching_ids`."""
        with self._lock:
            return [self._id_of[n] for n in self._table.matching_numbers(condition)]

    def listed(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """See `Store.listed`."""
        with self._lock:
            yield from self._table.listed()

    def of_patient(self, key: int) -> list[str]:
        """See `Store.of_patient`."""
        with self._lock:
            return [self._id_of[n] for n in self._table.of_patient(key)]

    def with_content(self, hashes: Iterable[str]) -> dict[str, str]:
        """See `Store.with_content`."""
        with self._lock:
            return self._table.with_content(hashes)

    # --- writing -----------------------------------------------------------------------------------------------------

    def add(self, ids: Sequence[str], vectors: NDArray[np.floating], rows: Sequence[CaseRow]) -> None:
        """See `Store.add`: one SQLite transaction, on the disk before this returns."""
        unit, kept = checked_batch(ids, vectors, rows, self.dim)
        with self._lock:
            self._begin()
            drop = [self._number_of[i] for i in ids if i in self._number_of]
            numbers = np.arange(self._next, self._next + len(kept), dtype=np.int64)
            self._table.write(numbers.tolist(), unit, kept, drop)
            self._forget(drop)
            self._next += len(kept)
            if len(kept):
                self._tail.add_with_ids(unit, numbers)
            for n, row in zip(numbers.tolist(), kept, strict=True):
                self._id_of[n], self._number_of[row.case_id] = row.case_id, n
            if self._tail.ntotal >= max(FOLD_AT, len(self._index) // 4):
                self._fold()

    def remove(self, ids: Iterable[str]) -> int:
        """See `Store.remove`."""
        with self._lock:
            drop = [self._number_of[i] for i in set(ids) if i in self._number_of]
            if drop:
                self._begin()
                self._table.write([], np.zeros((0, self.dim), np.float32), [], drop)
                self._forget(drop)
            return len(drop)

    def _forget(self, numbers: list[int]) -> None:
        if numbers:
            gone = np.array(numbers, np.int64)
            self._index.remove(gone)
            self._tail.remove_ids(gone)
        for n in numbers:
            del self._number_of[self._id_of.pop(n)]

    def _begin(self) -> None:
        """Before the first change: the manifest stops vouching for the rows' checksum."""
        if not self._writable or not self._open:
            raise InputError("This case library is open for reading only; open it with writable=True to change it.")
        if self._manifest["sealed"]:
            self._manifest = {**self._manifest, "sealed": False, "rows": {"file": ROWS, "sha256": None}}
            self._write_manifest()
        self._table.start_writing()

    def _fold(self) -> None:
        """Write one FAISS file with every vector, name it in the manifest, then let go of the old one and of what waited."""
        new = _ids(self._tail)
        if len(new):
            self._index = self._index.extended(self._tail_source.reconstruct_n(0, len(new)), new)
        generation = int(self._manifest["generation"]) + 1
        file = self.folder / f"vectors-{generation}.faiss"
        self._index.write(file)
        _sync(file)
        previous = self._manifest["vectors"]
        self._manifest = {
            **self._manifest,
            "generation": generation,
            "vectors": {"file": file.name, "sha256": file_sha256(file)},
            "count": self.count,
        }
        self._write_manifest()
        self._table.clear_pending()
        self._tail.reset()
        self._waits_from = self._next
        if previous:
            (self.folder / previous["file"]).unlink(missing_ok=True)

    def _write_manifest(self) -> None:
        part = self.folder / (MANIFEST + ".part")
        part.write_text(json.dumps(self._manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        _sync(part)
        part.replace(self.folder / MANIFEST)
        _sync(self.folder)

    def close(self) -> None:
        """Fold, compact and seal where there were changes; then let go. May be called twice."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            if not self._writable or self._manifest["sealed"]:
                self._table.close()
                return
            on_disk = int(self._manifest["count"]) if self._manifest["vectors"] else -1
            if self._tail.ntotal or len(self._index) != on_disk:
                self._fold()
            self._table.seal()
            rows = self.folder / ROWS
            _sync(rows)
            self._manifest = {
                **self._manifest,
                "count": self.count,
                "sealed": True,
                "rows": {"file": ROWS, "sha256": file_sha256(rows)},
            }
            self._write_manifest()

    def __enter__(self) -> FaissStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ids(index: Any) -> NDArray[np.int64]:
    """Row numbers in a mapped FAISS index, in its own order."""
    return np.asarray(_faiss().vector_to_array(index.id_map), np.int64)


def read_manifest(folder: Path) -> dict[str, Any]:
    """A library's manifest, checked for form. Raises ArtefactError."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtefactError(
            f"There is no case library in {folder.name!r} (no {MANIFEST}); "
            "give its folder or build one."
        ) from error
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"The manifest of the case library {folder.name!r} cannot be read; "
            "restore it or build it again."
        ) from error
    needed = {"encoder_hash": str, "dim": int, "count": int, "precision": str, "generation": int, "sealed": bool, "rows": dict}
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtefactError(f"The {MANIFEST} in {folder.name!r} is not that of a case library; give a library's folder.")
    if manifest.get("store_version") != STORE_VERSION:
        raise ArtefactError(
            f"The case library {folder.name!r} has store version {manifest.get('store_version')}, this program reads "
            f"{STORE_VERSION}; build it again or update the program."
        )
    wrong = [name for name, kind in needed.items() if not isinstance(manifest.get(name), kind)]
    if wrong or "vectors" not in manifest:
        raise ArtefactError(
            f"The manifest of the case library {folder.name!r} lacks {(wrong or ['vectors'])[0]}; "
            "build it again."
        )
    return manifest
