"""The case library: recordings like this one, by embedding or by words, out of one store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import InputError, QueryError
from retrieval.aligned import AlignedSpace
from retrieval.case import Case
from retrieval.hybrid import WORDS_WEIGHT, blended
from retrieval.neighbours import NEIGHBOURS, Agreement, neighbours_say, prevalences
from retrieval.places import BUILTIN, find_places
from retrieval.store import CaseRow, Store, open_store, patient_key
from retrieval.text import TextEncoder
from retrieval.textsearch import TextIndex, TextQuery, understand
from retrieval.union import UnionStore
from retrieval.where import And, Condition, parse

__all__ = ["BUILTIN", "NEAR_DUPLICATE", "CaseLibrary", "Found"]

#: Cosine from which a case counts as the very recording that is asked about, not as a similar one. Fold 9, 100 recordings: the
#: same resampled, re-quantised or with its gain off by 2 % lies at 0.9996 or nearer; the nearest of another patient, at most at
#: 0.9966 (2,183 recordings). Another stretch of the same recording (shifted, cut) is not told from a stranger's: 0.983 upwards.
NEAR_DUPLICATE = 0.9995
#: Hits fetched beyond those asked for, so that leaving some out seldom needs a second search.
SPARE = 24
MAX_K = 1000
KEPT_ROWS = 200_000
#: Cases whose vectors are held against a sentence at a time.
CHUNK = 50_000


@dataclass(frozen=True)
class Found:
    """What a search found. ``cases``: best first. ``own``, ``duplicates``: cases that were passed over on the way to the last
    one shown: the asking patient's own, and those that are the asked recording itself or one already shown.
    ``query``: how the words were understood, where there were any. ``neighbours``: what the ``asked`` nearest cases of the
    recording say of each statement of the vocabulary, most said first; empty without a recording."""

    cases: tuple[Case, ...]
    own: int = 0
    duplicates: int = 0
    query: TextQuery | None = None
    neighbours: tuple[Agreement, ...] = ()
    asked: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "cases": [case.to_json() for case in self.cases],
            "left_out": {"own": self.own, "duplicates": self.duplicates},
            "understood": None if self.query is None else self.query.to_json(),
            "neighbours": [one.to_json() for one in self.neighbours if one.listed],
        }


@dataclass(frozen=True)
class _Picked:
    cases: tuple[Case, ...]
    own: int
    duplicates: int


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
        self._prevalences: dict[str, float] | None = None

    @classmethod
    def open(
        cls,
        path: str | Path | Sequence[str | Path] | None = None,
        encoder_hash: str | None = None,
        *,
        text_encoder: TextEncoder | None = None,
    ) -> CaseLibrary:
        """Open for reading: a named library, a folder, ``milvus:URI``, several of them at once (a sequence, or with commas
        between them), or the built-in library where ``path`` is None. Of several, ids carry the library's name in front.

        Raises ArtefactError where one is missing, damaged, or made with another encoder than ``encoder_hash``.
        """
        places = find_places(path)
        stores: dict[str, Store] = {}
        try:
            for place in places:
                stores[place.name] = open_store(place.spec, encoder_hash=encoder_hash)
            store = stores[places[0].name] if len(places) == 1 else UnionStore(stores)
        except BaseException:
            for opened in stores.values():
                opened.close()
            raise
        own = Path(places[0].spec)
        aligned = own if len(places) == 1 and AlignedSpace.made_for(own) else BUILTIN
        return cls(store, text_encoder, aligned)

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
        patients = [None] * len(np.atleast_2d(embeddings)) if exclude_patients is None else exclude_patients
        picked = self._pick_batch(
            np.atleast_2d(embeddings), k, [patient_key(p) for p in patients], parse(where) if isinstance(where, str) else where,
            frozenset(exclude_ids), exclude_near_duplicates,
        )  # fmt: skip
        return tuple(one.cases for one in picked)

    def _pick_batch(
        self, embeddings: NDArray[np.floating], k: int, patients: Sequence[int | None], condition: Condition | None,
        banned: frozenset[str], without_duplicates: bool, content_hash: str = "",
    ) -> list[_Picked]:  # fmt: skip
        _check_k(k)
        if len(patients) != len(embeddings):
            raise InputError(
                f"{len(patients)} patients were given for {len(embeddings)} embeddings; "
                "give one, or None, for each."
            )
        allowed = None if condition is None else self.store.matching_ids(condition)
        out = [_Picked((), 0, 0)] * len(embeddings)
        todo = np.arange(len(embeddings))
        reach = k + SPARE + min(len(banned), MAX_K)
        total = self.count if allowed is None else len(allowed)
        while len(todo):
            hits = self.store.search(embeddings[todo], reach, allowed)
            rows = self._fetch(case_id for found in hits for case_id, _ in found)
            short = []
            for i, found in zip(todo.tolist(), hits, strict=True):
                out[i] = _pick(found, rows, k, patients[i], banned, without_duplicates, content_hash)
                if len(out[i].cases) < k and len(found) == reach:
                    short.append(i)
            if reach >= total:
                break
            todo, reach = np.array(short, np.int64), min(reach * 8, total)
        return out

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

    def prevalences(self) -> dict[str, float]:
        """Code → share of the cases with statements that list it, 0-1; counted once."""
        if self._prevalences is None:
            self._prevalences = prevalences(self.store.listed())
        return self._prevalences

    # --- whatever is asked -------------------------------------------------------------------------------------------

    def find(
        self,
        *,
        embedding: NDArray[np.floating] | None = None,
        text: str | None = None,
        where: str | Condition | None = None,
        k: int = 10,
        patient: str | None = None,
        content_hash: str = "",
        include_own: bool = False,
    ) -> Found:
        """Cases by a recording's embedding (d,), by words, by both, or by a condition alone: at least one of the three.

        By both, a case's score is its cosine plus 0.7 times the share of the words that it answers (`retrieval.hybrid`); ages,
        sexes and measurements in the words, and ``where``, hold strictly. ``patient``: the asking patient's hash
        (`encoders.patient.hash_patient`); their cases, the recording itself (``content_hash``, or a cosine of at least
        NEAR_DUPLICATE) and what is there twice are left out, and counted, unless ``include_own``. With a recording, what its
        nearest cases say is asked of the whole library, whatever words and conditions choose.

        Raises QueryError where nothing is asked, or the words or the condition cannot be understood.
        """
        _check_k(k)
        condition = parse(where) if isinstance(where, str) else where
        key = None if include_own else patient_key(patient)
        if embedding is None and text is None:
            if condition is None:
                raise QueryError("Nothing is asked; give a recording, words, a condition, or several of them.")
            return self._listed(condition, k, key)
        if embedding is None:
            assert text is not None
            cases, own, query = self._by_words(text, k, condition, key)
            return Found(cases, own, 0, query)
        vector = np.atleast_2d(embedding)
        say = self.neighbours(vector, patient=patient, content_hash=content_hash)
        asked = max((one.asked for one in say), default=0)
        if text is not None:
            picked, query = self._by_both(vector, text, k, condition, key, not include_own, content_hash)
            return Found(picked.cases, picked.own, picked.duplicates, query, say, asked)
        (shown,) = self._pick_batch(vector, k, [key], condition, frozenset(), not include_own, content_hash)
        return Found(shown.cases, shown.own, shown.duplicates, None, say, asked)

    def neighbours(
        self, embedding: NDArray[np.floating], *, patient: str | None = None, content_hash: str = ""
    ) -> tuple[Agreement, ...]:
        """What the 50 nearest cases of one embedding (d,) say of each statement of the vocabulary, most said first.

        The patient's own cases and the recording itself are never among them, whoever is shown: others are asked.
        """
        vector = np.atleast_2d(embedding)
        (near,) = self._pick_batch(vector, NEIGHBOURS, [patient_key(patient)], None, frozenset(), True, content_hash)
        return neighbours_say(near.cases, self.prevalences(), self.count)

    def _listed(self, condition: Condition, k: int, key: int | None) -> Found:
        """The first ``k`` cases that meet a condition, in the order of the library."""
        cases, own = list[Case](), 0
        for row in self.store.matching(condition):
            if key is not None and row.patient_key == key:
                own += 1
            elif len(cases) < k:
                cases.append(row.as_case(1.0, "condition"))
            if len(cases) == k:
                break
        return Found(tuple(cases), own)

    def _by_both(
        self, vector: NDArray[np.floating], text: str, k: int, condition: Condition | None, key: int | None,
        without_duplicates: bool, content_hash: str,
    ) -> tuple[_Picked, TextQuery]:  # fmt: skip
        """The best by `blended`, exactly: the nearest of each share of the words, from the highest share down to where no
        cosine could make up for what is missing."""
        query, allowed = self._understood(text, condition)
        ids, shares = self._index().shares(query, allowed)
        levels = np.round(shares, 2)
        bare = set(self._index().unlabelled(allowed)) if query.line and not query.unwanted else set()
        scored: list[tuple[float, str, float, float | None]] = []
        best: list[float] = []
        for level in sorted(set(levels.tolist()), reverse=True):
            if len(best) >= k + SPARE and best[k + SPARE - 1] >= level * WORDS_WEIGHT + 1.0:
                break
            members = [case_id for case_id, own in zip(ids, levels, strict=True) if own == level and case_id not in bare]
            scored += self._scored(vector, members, k, level)
            best = sorted((score for score, *_ in scored), reverse=True)
        if bare:  # nobody has said what they show: the sentence is held against the signal
            members = sorted(bare)
            (hits,) = self.store.search(vector, min(len(members), 4 * (k + SPARE)), members)
            known = hits and self._has_map()
            fits = self._fit(query.line)([case_id for case_id, _ in hits]) if known else np.zeros(len(hits), np.float32)
            values = blended(np.array([value for _, value in hits]), np.clip(fits, 0.0, 1.0))
            scored += [(float(v), i, near, None) for v, (i, near) in zip(values, hits, strict=True)]
        scored.sort(key=lambda one: (-one[0], one[1]))
        rows = self._fetch(case_id for _, case_id, _, _ in scored)
        answers = {case_id: share for _, case_id, _, share in scored}
        picked = _pick(
            tuple((case_id, near) for _, case_id, near, _ in scored), rows, k, key, frozenset(), without_duplicates, content_hash
        )
        cases = tuple(replace(case, found_by="both", answers=answers[case.case_id]) for case in picked.cases)
        return replace(picked, cases=cases), query

    def _scored(
        self, vector: NDArray[np.floating], members: list[str], k: int, share: float
    ) -> list[tuple[float, str, float, float | None]]:
        """(score, id, cosine, share) of the nearest members, enough of them that leaving some out leaves ``k``."""
        if not members:
            return []
        (hits,) = self.store.search(vector, min(len(members), k + SPARE), members)
        values = blended(np.array([value for _, value in hits]), np.full(len(hits), share))
        return [(float(v), case_id, near, share) for v, (case_id, near) in zip(values, hits, strict=True)]

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
        condition cannot be understood, and ArtefactError where only cases without statements could answer and the map is
        missing or was made for another encoder.
        """
        return self._by_words(text, k, parse(where) if isinstance(where, str) else where, None)[0]

    def _understood(self, text: str, condition: Condition | None) -> tuple[TextQuery, list[str] | None]:
        """The words, and the ids that meet the conditions in them and ``condition``; None where there are none."""
        query = self.understand(text)
        if query.condition is not None:
            condition = query.condition if condition is None else And((condition, query.condition))
        return query, None if condition is None else self.store.matching_ids(condition)

    def _by_words(
        self, text: str, k: int, condition: Condition | None, key: int | None
    ) -> tuple[tuple[Case, ...], int, TextQuery]:
        """`search_text`, with how many of a patient's own cases were passed over, and the words as understood."""
        _check_k(k)
        query, allowed = self._understood(text, condition)
        own = set() if key is None else set(self.store.of_patient(key))
        k += len(own)
        index = self._index()
        fit = self._fit(query.line) if self._has_map() else None
        listed = index.rank(query, k, allowed, fit) if query.wanted or not query.spoken else []
        known_by = "statements" if query.wanted or query.unwanted else "condition"
        ranked = [(case_id, share, known_by) for case_id, share in listed]
        bare = index.unlabelled(allowed) if query.line or query.unwanted else []
        if bare and query.unwanted and not ranked:
            raise QueryError(
                f"What cases must not have was asked, but {len(bare)} of them carry no statements that could tell; "
                "say only what they should show."
            )
        if bare and query.line and not query.unwanted and len(ranked) < k and (fit is not None or not ranked):
            ranked += [(case_id, value, "signal") for case_id, value in self._fitting(query.line, bare, k - len(ranked))]
        k -= len(own)
        others = [i for i, (case_id, _, _) in enumerate(ranked) if case_id not in own][:k]
        passed = sum(case_id in own for case_id, _, _ in ranked[: others[-1] if len(others) == k else None])
        rows = self._fetch(ranked[i][0] for i in others)
        found = [ranked[i] for i in others]
        return tuple(rows[case_id].as_case(value, by) for case_id, value, by in found), passed, query

    def _has_map(self) -> bool:
        """Whether the map between ECG and text was made for this library's encoder."""
        return AlignedSpace.made_for(self._aligned_folder) == self.encoder_hash

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
    content_hash: str = "",
) -> _Picked:
    """The first ``k`` hits that may be shown, and how many were passed over before the last of them, and why."""
    chosen: list[Case] = []
    own = duplicates = 0
    seen = {content_hash[:32]} - {""}
    for case_id, similarity in hits:
        row = rows[case_id]
        if case_id in banned:
            continue
        if patient is not None and row.patient_key == patient:
            own += 1
            continue
        if without_duplicates:
            if similarity >= NEAR_DUPLICATE or (row.content_hash and row.content_hash in seen):
                duplicates += 1
                continue
            seen.add(row.content_hash)
        chosen.append(row.as_case(similarity))
        if len(chosen) == k:
            break
    return _Picked(tuple(chosen), own, duplicates)
