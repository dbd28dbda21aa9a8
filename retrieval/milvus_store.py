"""The same store over Milvus: a file (Milvus Lite) or a server (``http://host:19530``).

One collection: ``key`` (63 bits of the id's hash, primary), ``vector``, and ``row``, a JSON object with the whole row. Every
filter sent to Milvus is built here from integers, or by `to_milvus` from a parsed condition; no user text goes into it.
The encoder's hash stands in the collection's properties and is checked on opening.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import ArtefactError, InputError, MissingExtraError
from retrieval.store import CaseRow, Hits, checked_batch, unit_vectors
from retrieval.where import Condition, to_milvus

__all__ = ["MilvusStore"]

COLLECTION = "ecg_cases"
CARD = "ecg_assistant.card"
FORMAT = "ecg-assistant case library"
STORE_VERSION = 1
BATCH = 1000
MAX_HITS = 16_384  # Milvus' own limit on hits per query


def _key(case_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(case_id.encode(), digest_size=8).digest(), "big") >> 1


def _to_json(row: CaseRow) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "id": row.case_id,
        "patient": row.patient_key,
        "age": row.age_years,
        "sex": row.sex,
        "codes": list(row.statements),
        "s": row.statements,
        "m": row.measurements,
        "where": row.where,
        "hash": row.content_hash,
    }
    return {name: value for name, value in cell.items() if value is not None}


def _from_json(cell: Any) -> CaseRow:
    if isinstance(cell, str | bytes):
        cell = json.loads(cell)
    return CaseRow(
        case_id=cell["id"],
        patient_key=cell.get("patient"),
        age_years=None if cell.get("age") is None else float(cell["age"]),
        sex=cell.get("sex"),
        # "codes" keeps the order in which the statements were given; JSON objects need not
        statements={code: float(cell["s"][code]) for code in cell["codes"]},
        measurements={name: float(value) for name, value in cell["m"].items()},
        where=cell["where"],
        content_hash=cell["hash"],
    )


class MilvusStore:
    """See the module's text. Made by `open`; use as a context manager or `close` it."""

    def __init__(self, client: Any, collection: str, dim: int, encoder_hash: str, writable: bool) -> None:
        self.dim = dim
        self.encoder_hash = encoder_hash
        self._client = client
        self._collection = collection
        self._writable = writable
        self._lock = threading.RLock()
        self._open = True

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        encoder_hash: str | None = None,
        writable: bool = False,
        dim: int = 256,
        collection: str = COLLECTION,
    ) -> MilvusStore:
        """Connect to ``uri``: a file's path for Milvus Lite, or a server's http(s) address (``http://user:pass@host:19530``).

        With ``writable`` and ``encoder_hash`` a missing collection is made. MissingExtraError without pymilvus or
        milvus-lite; ArtefactError where the collection is missing, foreign or made with another encoder.
        """
        try:
            from pymilvus import MilvusClient, MilvusException
        except ImportError as error:
            raise MissingExtraError("Milvus needs pymilvus; install it with: pip install 'ecg-assistant[milvus]'") from error
        # it writes its own warnings and tracebacks to the terminal; what matters of them comes as one sentence below
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        local = not uri.startswith(("http://", "https://", "tcp://", "unix:"))
        if local:
            try:
                import milvus_lite  # noqa: F401
            except ImportError as error:
                raise MissingExtraError(
                    "A Milvus file needs milvus-lite; install it with: pip install 'ecg-assistant[milvus]'"
                ) from error
            uri = uri if uri.endswith(".db") else uri + ".db"  # the ending by which pymilvus knows a file
        try:
            client = MilvusClient(uri=uri)
            if not client.has_collection(collection):
                if not writable or encoder_hash is None:
                    client.close()
                    raise ArtefactError(f"There is no case library {collection!r} at this Milvus; build one first.")
                # a file stays small enough for exact search; a server may hold millions
                cls._make(client, collection, dim, encoder_hash, "FLAT" if local else "AUTOINDEX")
            found = cls._description(client, collection)
            client.load_collection(collection)
        except MilvusException as error:
            raise ArtefactError(
                f"Milvus did not open the case library ({error.message}); "
                "check the address and the server."
            ) from error
        if encoder_hash is not None and found["encoder_hash"] != encoder_hash:
            client.close()
            raise ArtefactError(
                f"The case library {collection!r} was made with encoder {found['encoder_hash'][:12]}, this is encoder "
                f"{encoder_hash[:12]}; build the library again with this encoder."
            )
        return cls(client, collection, int(found["dim"]), str(found["encoder_hash"]), writable)

    @staticmethod
    def _make(client: Any, collection: str, dim: int, encoder_hash: str, index_type: str) -> None:
        from pymilvus import DataType

        card = {"format": FORMAT, "store_version": STORE_VERSION, "encoder_hash": encoder_hash, "dim": dim}
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("key", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        schema.add_field("row", DataType.JSON)
        index = client.prepare_index_params()
        index.add_index("vector", index_type=index_type, metric_type="IP")
        client.create_collection(
            collection,
            schema=schema,
            index_params=index,
            consistency_level="Strong",
            properties={CARD: json.dumps(card)},  # Milvus Lite forgets descriptions, but keeps properties
        )

    @staticmethod
    def _description(client: Any, collection: str) -> dict[str, Any]:
        try:
            card = json.loads(client.describe_collection(collection)["properties"][CARD])
        except (ValueError, KeyError) as error:
            raise ArtefactError(f"The Milvus collection {collection!r} is not a case library; give another address.") from error
        if card.get("format") != FORMAT or card.get("store_version") != STORE_VERSION:
            raise ArtefactError(
                f"The Milvus collection {collection!r} is not a case library of version {STORE_VERSION}; "
                "build one."
            )
        return dict(card)

    def _call(self, name: str, **options: Any) -> Any:
        from pymilvus import MilvusException

        if not self._open:
            raise InputError("This case library is closed; open it again.")
        try:
            with self._lock:
                return getattr(self._client, name)(self._collection, **options)
        except MilvusException as error:
            raise ArtefactError(f"Milvus failed at {name} ({error.message}); check the server and try again.") from error

    # --- reading -----------------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        return int(self._call("query", filter="", output_fields=["count(*)"])[0]["count(*)"])

    def search(self, vectors: NDArray[np.floating], k: int, allowed_ids: Iterable[str] | None = None) -> tuple[Hits, ...]:
        """See `Store.search`; at most 16,384 hits a query, Milvus' own limit."""
        if k < 1:
            raise InputError(f"k is {k}; it must be at least 1.")
        query = unit_vectors(vectors, self.dim)
        options: dict[str, Any] = {}
        if allowed_ids is not None:
            keys = sorted({_key(case_id) for case_id in allowed_ids})
            if not keys:
                return tuple(() for _ in query)
            options["filter"] = f"key in [{', '.join(map(str, keys))}]"
        found = self._call(
            "search",
            data=query.tolist(),
            anns_field="vector",
            limit=min(k, MAX_HITS),
            output_fields=["row"],
            search_params={"metric_type": "IP"},
            **options,
        )
        return tuple(
            tuple((_from_json(hit["entity"]["row"]).case_id, min(1.0, max(-1.0, float(hit["distance"])))) for hit in hits)
            for hits in found
        )

    def get(self, ids: Iterable[str]) -> dict[str, CaseRow]:
        """See `Store.get`."""
        wanted = list(dict.fromkeys(ids))
        out: dict[str, CaseRow] = {}
        for start in range(0, len(wanted), BATCH):
            keys = [_key(case_id) for case_id in wanted[start : start + BATCH]]
            for hit in self._call("query", filter=f"key in [{', '.join(map(str, keys))}]", output_fields=["row"]):
                row = _from_json(hit["row"])
                out[row.case_id] = row
        return {case_id: out[case_id] for case_id in wanted if case_id in out}

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """See `Store.vectors`."""
        found: dict[int, list[float]] = {}
        keys = [_key(case_id) for case_id in ids]
        for start in range(0, len(keys), BATCH):
            asked = ", ".join(map(str, keys[start : start + BATCH]))
            for hit in self._call("query", filter=f"key in [{asked}]", output_fields=["key", "vector"]):
                found[int(hit["key"])] = hit["vector"]
        out = np.array([found[key] for key in keys], np.float32).reshape(-1, self.dim)
        return unit_vectors(out, self.dim) if len(out) else out

    def matching(self, condition: Condition | None) -> Iterator[CaseRow]:
        """See `Store.matching`; read in batches, so that a large library need not fit in memory."""
        return self._rows("" if condition is None else to_milvus(condition))

    def _rows(self, chosen: str) -> Iterator[CaseRow]:
        iterator = self._call("query_iterator", batch_size=BATCH, filter=chosen, output_fields=["row"])
        try:
            while batch := iterator.next():
                for hit in batch:
                    yield _from_json(hit["row"])
        finally:
            iterator.close()

    def matching_ids(self, condition: Condition | None) -> list[str]:
        """See `Store.matching_ids`."""
        return [row.case_id for row in self.matching(condition)]

    def listed(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """See `Store.listed`; one pass over the rows."""
        yield from Counter(tuple(row.statements) for row in self._rows("")).items()

    def of_patient(self, key: int) -> list[str]:
        """See `Store.of_patient`."""
        return [row.case_id for row in self._rows(f'row["patient"] == {int(key)}')]

    def with_content(self, hashes: Iterable[str]) -> dict[str, str]:
        """See `Store.with_content`."""
        wanted = [bytes.fromhex(text).hex() for text in dict.fromkeys(hashes) if text]
        out: dict[str, str] = {}
        for start in range(0, len(wanted), 50):  # Milvus Lite knows no "in" for parts of a JSON field
            listed = " or ".join(f'row["hash"] == "{digest}"' for digest in wanted[start : start + 50])
            found = (_from_json(hit["row"]) for hit in self._call("query", filter=listed, output_fields=["row"], limit=MAX_HITS))
            out |= {row.content_hash: row.case_id for row in found}
        return out

    # --- writing -----------------------------------------------------------------------------------------------------

    def add(self, ids: Sequence[str], vectors: NDArray[np.floating], rows: Sequence[CaseRow]) -> None:
        """See `Store.add`. One upsert up to 1000 cases; a larger batch is kept in steps of 1000."""
        unit, kept = checked_batch(ids, vectors, rows, self.dim)
        self._must_write()
        cells = [
            {"key": _key(row.case_id), "vector": vector.tolist(), "row": _to_json(row)}
            for vector, row in zip(unit, kept, strict=True)
        ]
        for start in range(0, len(cells), BATCH):
            self._call("upsert", data=cells[start : start + BATCH])

    def remove(self, ids: Iterable[str]) -> int:
        """See `Store.remove`."""
        self._must_write()
        there = self.get(ids)
        keys = [_key(case_id) for case_id in there]
        for start in range(0, len(keys), BATCH):
            self._call("delete", ids=keys[start : start + BATCH])
        return len(keys)

    def _must_write(self) -> None:
        if not self._writable:
            raise InputError("This case library is open for reading only; open it with writable=True to change it.")

    def close(self) -> None:
        """Disconnect; Milvus itself keeps the data. May be called twice."""
        if self._open:
            self._open = False
            self._client.close()

    def __enter__(self) -> MilvusStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
