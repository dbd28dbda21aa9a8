"""Several libraries as one store for reading: ids carry the library's name in front (``ward/12``), ranks merge by cosine.

All must have been made with the same encoder, or their cosines would mean different things.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from encoders.errors import ArtefactError, InputError
from retrieval.store import CaseRow, Hits, Store
from retrieval.where import Condition

__all__ = ["UnionStore"]


class UnionStore:
    """See the module's text; the contract is that of `Store`, without writing."""

    def __init__(self, stores: Mapping[str, Store]) -> None:
        """``stores``: by name (without a slash), at least one. ArtefactError where they were made with different encoders."""
        self._stores = dict(stores)
        hashes = {store.encoder_hash: name for name, store in self._stores.items()}
        if len(hashes) != 1:
            first, second, *_ = hashes.values()
            raise ArtefactError(
                f"The libraries {first!r} and {second!r} were made with different encoders; build both again with this one."
            )
        self.dim = next(iter(self._stores.values())).dim
        self.encoder_hash = next(iter(hashes))

    @property
    def count(self) -> int:
        return sum(store.count for store in self._stores.values())

    def _split(self, ids: Iterable[str]) -> dict[str, list[str]]:
        """Ids by library, in their order, without its name; ids of no library here are passed over."""
        out: dict[str, list[str]] = {name: [] for name in self._stores}
        for case_id in ids:
            name, slash, own = case_id.partition("/")
            if slash and name in out:
                out[name].append(own)
        return out

    def search(self, vectors: NDArray[np.floating], k: int, allowed_ids: Iterable[str] | None = None) -> tuple[Hits, ...]:
        """See `Store.search`."""
        allowed = None if allowed_ids is None else self._split(allowed_ids)
        merged: list[list[tuple[str, float]]] = []
        for name, store in self._stores.items():
            found = store.search(vectors, k, None if allowed is None else allowed[name])
            merged = merged or [[] for _ in found]
            for all_hits, hits in zip(merged, found, strict=True):
                all_hits += [(f"{name}/{case_id}", value) for case_id, value in hits]
        return tuple(tuple(sorted(hits, key=lambda hit: -hit[1])[:k]) for hits in merged)

    def get(self, ids: Iterable[str]) -> dict[str, CaseRow]:
        """See `Store.get`."""
        wanted = list(ids)
        found: dict[str, CaseRow] = {}
        for name, own in self._split(wanted).items():
            found |= {f"{name}/{i}": replace(row, case_id=f"{name}/{i}") for i, row in self._stores[name].get(own).items()}
        return {case_id: found[case_id] for case_id in wanted if case_id in found}

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """See `Store.vectors`."""
        place = {case_id: i for i, case_id in enumerate(ids)}
        out = np.zeros((len(place), self.dim), np.float32)
        for name, own in self._split(place).items():
            if own:
                out[[place[f"{name}/{i}"] for i in own]] = self._stores[name].vectors(own)
        return out[[place[case_id] for case_id in ids]] if len(ids) else out

    def matching(self, condition: Condition | None) -> Iterator[CaseRow]:
        """See `Store.matching`."""
        for name, store in self._stores.items():
            for row in store.matching(condition):
                yield replace(row, case_id=f"{name}/{row.case_id}")

    def matching_ids(self, condition: Condition | None) -> list[str]:
        """See `Store.matching_ids`."""
        return [f"{name}/{i}" for name, store in self._stores.items() for i in store.matching_ids(condition)]

    def listed(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """See `Store.listed`."""
        for store in self._stores.values():
            yield from store.listed()

    def of_patient(self, key: int) -> list[str]:
        """See `Store.of_patient`."""
        return [f"{name}/{i}" for name, store in self._stores.items() for i in store.of_patient(key)]

    def with_content(self, hashes: Iterable[str]) -> dict[str, str]:
        """See `Store.with_content`; the first library that has it."""
        wanted, out = list(hashes), dict[str, str]()
        for name, store in self._stores.items():
            out = {digest: f"{name}/{i}" for digest, i in store.with_content(wanted).items()} | out
        return out

    def add(self, ids: Sequence[str], vectors: NDArray[np.floating], rows: Sequence[CaseRow]) -> None:
        """Refused: cases go into one library."""
        raise InputError("Several libraries are open together for reading; name one of them to change it.")

    def remove(self, ids: Iterable[str]) -> int:
        """Refused: cases are taken out of one library."""
        raise InputError("Several libraries are open together for reading; name one of them to change it.")

    def close(self) -> None:
        """Close every one of them."""
        for store in self._stores.values():
            store.close()
