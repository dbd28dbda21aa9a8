"""The case library: recordings like this one, by embedding or by words, out of one store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import InputError, QueryError
from encoders.vocabulary import CODES
from retrieval.aligned import AlignedSpace
from retrieval.case import Case
from retrieval.store import CaseRow, Store, open_store, patient_key
from retrieval.text import TextEncoder
from retrieval.textsearch import TextIndex, TextQuery, understand
from retrieval.where import And, Condition, parse

__all__ = ["BUILTIN", "NEAR_DUPLICATE", "CaseLibrary"]

#: The library that is shipped: PTB-XL, folds 1-8.
BUILTIN = Path(__file__).with_name("builtin")
#: Cosine from which a case counts as the very recording that is asked about, not as a similar one.
NEAR_DUPLICATE = 0.9995
#: Hits fetched beyond those asked for, so that leaving some out seldom needs a second search.
SPARE = 24
MAX_K = 1000
KEPT_ROWS = 200_000
#: Cases whose vectors are held against a sentence at a time.
CHUNK = 50_000


class CaseLibrary:
    """Past cases behind one store. Open with `open` (the built-in one where no path is given); `close` when done."""

    def __init__(self, store: Store, text_encoder: TextEncoder | None = None, aligned: Path = BUILTIN) -> None:
        """``aligned``: folder of the map between ECG and text; it is read when a search first needs it."""
        self.store = store
        self._aligned_folder = aligned
        self._space: AlignedSpace | None = None
        self.text_encoder = text_encoder or TextEncoder()
        self._rows: dict[str, CaseRow] = {}
        self._text: TextIndex | None = None

    @classmethod
    def open(
        cls, path: str | Path | None = None, encoder_hash: str | None = None, *, text_encoder: TextEncoder | None = None
    ) -> CaseLibrary:
        """Open for reading: a folder, ``milvus:URI``, or the built-in library where ``path`` is None.

        Raises ArtefactError where it is missing, damaged, or made with another encoder than ``encoder_hash``.
        """
        own = Path(BUILTIN if path is None else path)
        aligned = own if AlignedSpace.made_for(own) else BUILTIN
        return cls(open_store(str(BUILTIN if path is None else path), encoder_hash=encoder_hash), text_encoder, aligned)

    @staticmethod
    def build(
        out_dir: str | Path,
        ids: Sequence[str],
        embeddings: NDArray[np.floating],
        rows: Sequence[CaseRow],
        encoder_hash: str,
        *,
        precision: str = "8bit",
        notes: dict[str, Any] | None = None,
    ) -> None:
        """Write a whole library at once: embeddings (n, d), a row per id. It stands in ``out_dir`` complete or not at all; a
        library that was there is replaced. ``notes`` go into the manifest (source, licence, commit)."""
        from retrieval.faiss_store import MANIFEST, FaissStore

        out = Path(out_dir)
        if out.exists() and any(out.iterdir()) and not (out / MANIFEST).exists():
            raise InputError(f"The folder {out.name!r} holds other files; give a new or empty folder, or that of a library.")
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            width = int(np.asarray(embeddings).shape[-1])
            with FaissStore.create(work / "new", encoder_hash, dim=width, precision=precision, notes=notes) as store:
                store.add(list(ids), embeddings, list(rows))
            if out.exists():
                out.rename(work / "old")
            (work / "new").rename(out)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    @property
    def count(self) -> int:
        """Number of cases."""
        return self.store.count

    @property
    def encoder_hash(self) -> str:
        """Hash of the encoder that made the embeddings."""
        return self.store.encoder_hash

    # --- by embedding ------------------------------------------------------------------------------------------------

    def search(
        self,
        embedding: NDArray[np.floating],
        k: int = 10,
        where: str | Condition | None = None,
        exclude_patient: str | int | None = None,
        exclude_ids: Iterable[str] = (),
        exclude_near_duplicates: bool = True,
    ) -> tuple[Case, ...]:
        """The ``k`` (1-1000) most alike cases of one embedding (d,), most alike first; fewer where there are fewer.

        ``where``: a condition (`retrieval.where`). ``exclude_patient``: identifier of a patient whose cases stay out.
        ``exclude_near_duplicates``: leave out the asked recording itself (cosine of at least 0.9995), and show a recording
        that is in the library twice once. Raises QueryError for a condition that cannot be understood.
        """
        (found,) = self.search_batch(
            np.atleast_2d(embedding),
            k,
            exclude_patients=[exclude_patient],
            where=where,
            exclude_ids=exclude_ids,
            exclude_near_duplicates=exclude_near_duplicates,
        )
        return found

    def search_batch(
        self,
        embeddings: NDArray[np.floating],
        k: int = 10,
        exclude_patients: Sequence[str | int | None] | None = None,
        *,
        where: str | Condition | None = None,
        exclude_ids: Iterable[str] = (),
        exclude_near_duplicates: bool = True,
    ) -> tuple[tuple[Case, ...], ...]:
        """`search` for many embeddings (n, d). ``exclude_patients``: one identifier (or None) per embedding."""
        _check_k(k)
        embeddings = np.atleast_2d(embeddings)
        patients = [patient_key(p) for p in exclude_patients] if exclude_patients is not None else [None] * len(embeddings)
        if len(patients) != len(embeddings):
            raise InputError(
                f"{len(patients)} patients were given for {len(embeddings)} embeddings; "
                "give one, or None, for each."
            )
        condition = parse(where) if isinstance(where, str) else where
        allowed = None if condition is None else self.store.matching_ids(condition)
        banned = frozenset(exclude_ids)
        out: list[tuple[Case, ...]] = [()] * len(embeddings)
        todo = np.arange(len(embeddings))
        reach = k + SPARE + min(len(banned), MAX_K)
        total = self.count if allowed is None else len(allowed)
        while len(todo):
            hits = self.store.search(embeddings[todo], reach, allowed)
            rows = self._fetch(case_id for found in hits for case_id, _ in found)
            short = []
            for i, found in zip(todo.tolist(), hits, strict=True):
                cases = _pick(found, rows, k, patients[i], banned, exclude_near_duplicates)
                out[i] = cases
                if len(cases) < k and len(found) == reach:
                    short.append(i)
            if reach >= total:
                break
            todo, reach = np.array(short, np.int64), min(reach * 8, total)
        return tuple(out)

    def nearest_distance(
        self, embeddings: NDArray[np.floating], k: int = 5, exclude_patients: Sequence[str | int | None] | None = None
    ) -> NDArray[np.float32]:
        """Mean over the ``k`` nearest cases of 1 - cosine, float32 (n,), 0-2: how unlike everything known a recording is.

        The recording itself counts where it is in the library, unless its patient is excluded. NaN for an empty library.
        """
        _check_k(k)
        embeddings = np.atleast_2d(embeddings)
        if exclude_patients is None:
            found = [[s for _, s in hits] for hits in self.store.search(embeddings, k)]
        else:
            batch = self.search_batch(embeddings, k, exclude_patients, exclude_near_duplicates=False)
            found = [[case.similarity for case in cases] for cases in batch]
        return np.array([1.0 - np.mean(s) if s else np.nan for s in found], np.float32)

    @staticmethod
    def neighbours_say(cases: Sequence[Case]) -> dict[str, tuple[int, int]]:
        """Code → (cases that list it, all cases), most frequent first, then in the vocabulary's order."""
        counts = {code: sum(code in case.statements for case in cases) for code in CODES}
        ranked = sorted((code for code in CODES if counts[code]), key=lambda code: -counts[code])
        return {code: (counts[code], len(cases)) for code in ranked}

    # --- by words ----------------------------------------------------------------------------------------------------

    def understand(self, text: str) -> TextQuery:
        """What a text asks for; QueryError where it names nothing that cases are known by."""
        return understand(text, self.text_encoder, keep_spoken=bool(self._index().unlabelled()))

    def _index(self) -> TextIndex:
        if self._text is None:
            self._text = TextIndex(self.store.matching(None), self.text_encoder)
        return self._text

    def search_text(self, text: str, k: int = 10, where: str | Condition | None = None) -> tuple[Case, ...]:
        """Cases that a text describes, such as "elderly woman with atrial fibrillation", best first.

        ``similarity`` is the share of the asked statements that the case has, weighted by likelihood; 1 where only age, sex
        or measurements were asked; cases with the same statements come in the order in which the sentence fits the ECG
        itself, where the map between ECG and text was made for this library's encoder. Cases that carry no statements come
        after those that list what is asked, by that fit alone (`Case.found_by`). Raises QueryError where the text or the
        condition cannot be understood, and ArtefactError where cases without statements are held against a sentence and
        the map is missing or was made for another encoder.
        """
        _check_k(k)
        condition = parse(where) if isinstance(where, str) else where
        query = self.understand(text)
        if query.condition is not None:
            condition = query.condition if condition is None else And((condition, query.condition))
        allowed = None if condition is None else self.store.matching_ids(condition)
        index = self._index()
        fit = self._fit(query.line) if AlignedSpace.made_for(self._aligned_folder) == self.encoder_hash else None
        listed = index.rank(query, k, allowed, fit) if query.wanted or not query.spoken else []
        known_by = "statements" if query.wanted or query.unwanted else "condition"
        ranked = [(case_id, share, known_by) for case_id, share in listed]
        bare = index.unlabelled(allowed) if query.line or query.unwanted else []
        if bare and query.unwanted and not ranked:
            raise QueryError(
                f"What cases must not have was asked, but {len(bare)} of them carry no statements that could tell; "
                "say only what they should show."
            )
        if bare and query.line and not query.unwanted and len(ranked) < k:
            ranked += [(case_id, value, "signal") for case_id, value in self._fitting(query.line, bare, k - len(ranked))]
        rows = self._fetch(case_id for case_id, _, _ in ranked)
        return tuple(rows[case_id].as_case(value, by) for case_id, value, by in ranked)

    def _fit(self, sentence: str) -> Callable[[list[str]], NDArray[np.float32]]:
        """Case ids → cosine of each ECG and the sentence in their common space, (n,)."""

        def fit(ids: list[str]) -> NDArray[np.float32]:
            if self._space is None:
                self._space = AlignedSpace.load(self._aligned_folder, self.encoder_hash)
            return self._space.score(self.store.vectors(ids), self.text_encoder.embed([sentence]))[:, 0]

        return fit

    def _fitting(self, sentence: str, ids: list[str], k: int) -> list[tuple[str, float]]:
        """The ``k`` of these cases whose ECG the sentence fits best, and how well."""
        fit, best = self._fit(sentence), list[tuple[str, float]]()
        for start in range(0, len(ids), CHUNK):
            part = ids[start : start + CHUNK]
            best += zip(part, fit(part).tolist(), strict=True)
            best = sorted(best, key=lambda item: -item[1])[:k]
        return best

    # --- the rest ----------------------------------------------------------------------------------------------------

    def get(self, ids: Iterable[str]) -> dict[str, CaseRow]:
        """Rows by case id."""
        return self._fetch(ids)

    def _fetch(self, ids: Iterable[str]) -> dict[str, CaseRow]:
        wanted = list(dict.fromkeys(ids))
        if len(self._rows) > KEPT_ROWS:
            self._rows = {}
        kept = self._rows
        missing = [case_id for case_id in wanted if case_id not in kept]
        if missing:
            kept.update(self.store.get(missing))
        return {case_id: kept[case_id] for case_id in wanted if case_id in kept}

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    def __enter__(self) -> CaseLibrary:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_k(k: int) -> None:
    if not 1 <= k <= MAX_K:
        raise InputError(f"k is {k}; it must lie between 1 and {MAX_K}.")


def _pick(
    hits: tuple[tuple[str, float], ...],
    rows: dict[str, CaseRow],
    k: int,
    patient: int | None,
    banned: frozenset[str],
    without_duplicates: bool,
) -> tuple[Case, ...]:
    chosen: list[Case] = []
    seen: set[str] = set()
    for case_id, similarity in hits:
        row = rows[case_id]
        if case_id in banned or (patient is not None and row.patient_key == patient):
            continue
        if without_duplicates:
            if similarity >= NEAR_DUPLICATE or (row.content_hash and row.content_hash in seen):
                continue
            seen.add(row.content_hash)
        chosen.append(row.as_case(similarity))
        if len(chosen) == k:
            break
    return tuple(chosen)
