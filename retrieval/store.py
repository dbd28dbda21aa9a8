"""What every case store does, and the row it keeps.

A store holds one unit vector and one row per case. It knows nothing of networks or of words: `CaseLibrary` does.
Two stores keep this contract: `FaissStore` (a folder) and `MilvusStore` (Milvus Lite or a Milvus server).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from encoders.errors import InputError
from encoders.measurements import MEASUREMENT_NAMES
from retrieval.case import Case
from retrieval.where import Condition

__all__ = ["CaseRow", "Store", "checked_batch", "open_store", "patient_key", "scale_of", "unit_vectors"]

#: Hits of one query: (case id, inner product), most alike first.
Hits = tuple[tuple[str, float], ...]

_CODE = re.compile(r"[A-Za-z0-9_/()+.\-]{1,24}")


@dataclass(frozen=True)
class CaseRow:
    """One case as a store keeps it.

    ``patient_key``: from `patient_key`, or None. ``statements``: code → likelihood 0-100 (0: listed, not graded).
    ``measurements``: name → value in the name's unit; a missing value has no entry. ``where``: where the recording can
    be had. ``content_hash``: first 32 hex digits of the recording's SHA-256, or "".
    """

    case_id: str
    patient_key: int | None = None
    age_years: float | None = None
    sex: str | None = None
    statements: dict[str, float] = field(default_factory=dict)
    measurements: dict[str, float] = field(default_factory=dict)
    where: str = ""
    content_hash: str = ""

    def as_case(self, similarity: float, found_by: str = "recording") -> Case:
        """The row as the library hands it out; every measurement's name is there, None where it is missing."""
        return Case(
            case_id=self.case_id,
            similarity=similarity,
            age_years=self.age_years,
            sex=self.sex,
            statements=dict(self.statements),
            measurements={name: self.measurements.get(name) for name in MEASUREMENT_NAMES},
            where=self.where,
            found_by=found_by,
        )

    def normalised(self) -> CaseRow:
        """The row as both stores keep it: values on the grid of `scale_of`, missing ones left out, hash cut to 32 digits.

        Raises InputError for an empty or overlong id, a sex other than F or M, an age outside 0-130, an unknown
        measurement, or a statement code or likelihood that is none.
        """
        if not self.case_id or len(self.case_id) > 512 or not self.case_id.isprintable():
            raise InputError(f"A case id has {len(self.case_id)} characters; give 1 to 512 printable ones.")
        if self.sex not in ("F", "M", None):
            raise InputError(f"Case {self.case_id} has sex {self.sex!r}; it must be F, M or left out.")
        if self.age_years is not None and not 0 <= self.age_years <= 130:
            raise InputError(
                f"Case {self.case_id} has age {self.age_years}; "
                "it must lie between 0 and 130 years, or be left out."
            )
        for code, likelihood in self.statements.items():
            if not _CODE.fullmatch(code) or not 0 <= likelihood <= 100:
                raise InputError(
                    f"Case {self.case_id} has statement {code!r} with likelihood {likelihood}; give a code and 0 to 100."
                )
        values: dict[str, float] = {}
        for name in MEASUREMENT_NAMES:
            value = self.measurements.get(name)
            if value is not None and np.isfinite(value):
                values[name] = round(float(value) * scale_of(name)) / scale_of(name)
        unknown = sorted(set(self.measurements) - set(MEASUREMENT_NAMES))
        if unknown:
            raise InputError(f"Case {self.case_id} has measurement {unknown[0]!r}; allowed are {', '.join(MEASUREMENT_NAMES)}.")
        return replace(
            self,
            age_years=None if self.age_years is None else float(self.age_years),
            statements={code: float(round(value)) for code, value in self.statements.items()},
            measurements=values,
            content_hash=self.content_hash[:32],
        )


def scale_of(name: str) -> float:
    """Steps per unit in which a measurement is kept: 1 ms, 1°, 0.1 /min, 0.001 mV, 0.001 for ratios."""
    if name.endswith(("_ms", "_deg")):
        return 1.0
    return 10.0 if name.endswith("_bpm") else 1000.0


def patient_key(patient: str | float | None) -> int | None:
    """A patient's key: 63 bits of BLAKE2b over the identifier's text; None and NaN stay None.

    It lets a patient's other recordings be left out without keeping the identifier. It is a pseudonym, not anonymity:
    who holds a list of identifiers can hash them all. 15709, 15709.0 and "15709" are the same patient.
    """
    if patient is None or patient != patient or patient == "":
        return None
    text = str(patient).strip()
    if re.fullmatch(r"-?\d+\.0+", text):
        text = text.split(".")[0]
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def unit_vectors(vectors: NDArray[np.floating], dim: int) -> NDArray[np.float32]:
    """Vectors (n, dim) or (dim,) as float32 (n, dim) of length 1. Raises InputError for another shape, NaN or zero length."""
    array = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    if array.ndim != 2 or array.shape[1] != dim:
        raise InputError(f"The embeddings have shape {np.shape(vectors)}; this library takes (n, {dim}).")
    length = np.linalg.norm(array, axis=1, keepdims=True)
    if not np.all(np.isfinite(length)) or np.any(length < 1e-12):
        raise InputError("An embedding is zero or not finite; give finite vectors that are not all zero.")
    return np.ascontiguousarray(array / length, dtype=np.float32)


def checked_batch(
    ids: Sequence[str], vectors: NDArray[np.floating], rows: Sequence[CaseRow], dim: int
) -> tuple[NDArray[np.float32], list[CaseRow]]:
    """Unit vectors and normalised rows of one batch; InputError where the three do not belong together."""
    unit = unit_vectors(vectors, dim) if len(ids) else np.zeros((0, dim), np.float32)
    if not len(ids) == len(unit) == len(rows):
        raise InputError(
            f"{len(ids)} ids, {len(unit)} vectors and {len(rows)} rows were given; "
            "there must be one of each per case."
        )
    if len(set(ids)) != len(ids):
        raise InputError("A case id stands twice in one batch; each may stand once.")
    for case_id, row in zip(ids, rows, strict=True):
        if row.case_id != case_id:
            raise InputError(f"Id {case_id!r} was given with the row of {row.case_id!r}; ids and rows must be in one order.")
    return unit, [row.normalised() for row in rows]


class Store(Protocol):
    """Vectors and rows of a case library. Vectors are brought to unit length, so that inner product is cosine."""

    dim: int
    encoder_hash: str

    @property
    def count(self) -> int:
        """Number of cases."""
        ...

    def add(self, ids: Sequence[str], vectors: NDArray[np.floating], rows: Sequence[CaseRow]) -> None:
        """Add cases, vectors (n, dim); a case that is there already is replaced. When this returns, the batch is kept,
        whole, whatever happens to the process; if it raises, none of it is."""
        ...

    def remove(self, ids: Iterable[str]) -> int:
        """Take cases out; ids that are not there are passed over. Returns how many went."""
        ...

    def search(self, vectors: NDArray[np.floating], k: int, allowed_ids: Iterable[str] | None = None) -> tuple[Hits, ...]:
        """The ``k`` (at least 1) most alike cases of each vector, among ``allowed_ids`` where given; fewer where there are
        fewer."""
        ...

    def get(self, ids: Iterable[str]) -> dict[str, CaseRow]:
        """Rows by id; ids that are not there are missing from the answer."""
        ...

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """The stored vectors of these cases, (n, dim), of unit length, in the order of ``ids``; every id must be there."""
        ...

    def matching(self, condition: Condition | None) -> Iterator[CaseRow]:
        """All rows that meet a parsed condition (every row where None), in no particular order."""
        ...

    def matching_ids(self, condition: Condition | None) -> list[str]:
        """Ids of all rows that meet a parsed condition."""
        ...

    def listed(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """The codes that cases list, and how many cases list just these; every case counts once, one without any under ()."""
        ...

    def of_patient(self, key: int) -> list[str]:
        """Ids of the cases of one patient, by `patient_key`."""
        ...

    def with_content(self, hashes: Iterable[str]) -> dict[str, str]:
        """Content hash (32 digits) → id of a case that holds this content; hashes that no case holds are missing."""
        ...

    def close(self) -> None:
        """Put everything in its final form and let go of it. May be called twice."""
        ...


def open_store(spec: str, *, encoder_hash: str | None = None, writable: bool = False) -> Store:
    """Open a store by its spec: a folder, or ``milvus:`` and a URI (``milvus:cases.db``, ``milvus:http://host:19530``).

    ``encoder_hash``: refuse (ArtefactError) a store made with another encoder. With ``writable``, a store that is not
    there is made; that needs ``encoder_hash``.
    """
    if spec.startswith("milvus:"):
        from retrieval.milvus_store import MilvusStore

        return MilvusStore.open(spec.removeprefix("milvus:"), encoder_hash=encoder_hash, writable=writable)
    from pathlib import Path

    from retrieval.faiss_store import MANIFEST, FaissStore

    if writable and encoder_hash is not None and not (Path(spec) / MANIFEST).exists():
        return FaissStore.create(spec, encoder_hash)
    return FaissStore.open(spec, encoder_hash=encoder_hash, writable=writable)
