"""The map between ECG and text: what it is fitted from, what it refuses, and how a search by words uses it.

Embeddings are made up: every statement has a direction of its own, a recording is the sum of its statements' and noise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.errors import ArtefactError, QueryError
from encoders.metrics import auroc_per_statement
from encoders.vocabulary import CODES, SUPERCLASSES
from retrieval.aligned import (
    HELD_OUT,
    AlignedSpace,
    aligned_card,
    fit_aligned,
    superclass_labels,
    train_aligned,
    zero_shot_scores,
)
from retrieval.case import Case
from retrieval.library import CaseLibrary
from retrieval.store import CaseRow, open_store
from retrieval.text import TextEncoder

HASH = "d" * 64
N = 600


def labels() -> NDArray[np.uint8]:
    return (np.random.default_rng(1).random((N, len(CODES))) < 0.04).astype(np.uint8)


def embeddings(of: NDArray[np.uint8]) -> NDArray[np.float32]:
    rng = np.random.default_rng(2)
    directions = np.linalg.qr(rng.normal(size=(256, len(CODES))))[0].T
    made = of @ directions + 0.03 * rng.normal(size=(len(of), 256))
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def text() -> TextEncoder:
    return TextEncoder()


@pytest.fixture(scope="module")
def space(text: TextEncoder) -> AlignedSpace:
    return train_aligned(embeddings(labels()), labels(), HASH, text)


@pytest.fixture(scope="module")
def folder(space: AlignedSpace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("aligned")
    space.save(out, aligned_card(N))
    return out


def test_an_unseen_sentence_is_read_by_its_neighbours() -> None:
    """Three statements are trained; the text that lies between two of them finds the recordings of either."""
    rng = np.random.default_rng(0)
    known = np.linalg.qr(rng.normal(size=(384, 3)))[0].T
    y = (rng.random((400, 3)) < 0.2).astype(np.uint8)
    x = np.c_[y + 0.05 * rng.normal(size=y.shape), 0.05 * rng.normal(size=(400, 20))]
    fitted = fit_aligned(x, y, known, np.arange(3), HASH)
    between = (known[0] + known[1]) / np.sqrt(2)
    scores = fitted.score(x, np.stack([*known, between]).astype(np.float32))
    either = np.asarray(y[:, :2].max(axis=1, keepdims=True))
    assert auroc_per_statement(y, scores[:, :3]).min() > 0.99
    assert auroc_per_statement(either, scores[:, 3:])[0] > 0.95
    assert scores.shape == (400, 4) and np.abs(scores).max() <= 1 + 1e-5
    assert np.linalg.norm(fitted.project(x), axis=1) == pytest.approx(np.ones(400), abs=1e-5)


def test_more_texts_do_not_make_a_statement_count_more() -> None:
    rng = np.random.default_rng(0)
    s = rng.normal(size=(2, 384))
    y = (rng.random((200, 2)) < 0.3).astype(np.uint8)
    x = rng.normal(size=(200, 8)) + y @ rng.normal(size=(2, 8))
    once = fit_aligned(x, y, s, np.array([0, 1]), HASH)
    thrice = fit_aligned(x, y, s[[0, 0, 0, 1]], np.array([0, 0, 0, 1]), HASH)
    assert thrice.weights == pytest.approx(once.weights, abs=1e-6)


def test_held_out_statements_take_no_part(space: AlignedSpace, text: TextEncoder) -> None:
    assert len(HELD_OUT) == 10 and set(HELD_OUT) < set(CODES)
    other = labels()
    columns = [CODES.index(code) for code in HELD_OUT]
    other[:, columns] = 1 - other[:, columns]
    again = train_aligned(embeddings(labels()), other, HASH, text)
    assert np.array_equal(again.weights, space.weights)


def test_scores_from_sentences(space: AlignedSpace, text: TextEncoder) -> None:
    found = zero_shot_scores(space, embeddings(labels()), labels(), text)
    assert list(found["held_out"]) == list(HELD_OUT) and list(found["superclasses"]) == list(SUPERCLASSES)
    assert found["trained_mean"] > 0.85
    assert found["held_out_mean"] == pytest.approx(np.mean(list(found["held_out"].values())))
    one = np.zeros((1, len(CODES)), np.uint8)
    one[0, CODES.index("LVH")] = 1
    assert superclass_labels(one).tolist() == [[0, 0, 0, 0, 1]]


def test_the_map_comes_back_or_is_refused(space: AlignedSpace, tmp_path: Path) -> None:
    space.save(tmp_path, aligned_card(N))
    again = AlignedSpace.load(tmp_path, HASH)
    assert again.weights == pytest.approx(space.weights, rel=1e-3, abs=1e-3) and AlignedSpace.made_for(tmp_path) == HASH
    with pytest.raises(ArtefactError, match="made for encoder dddd"):
        AlignedSpace.load(tmp_path, "e" * 64)
    data = bytearray((tmp_path / "aligned.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "aligned.safetensors").write_bytes(data)
    with pytest.raises(ArtefactError, match="not what its card names"):
        AlignedSpace.load(tmp_path, HASH)
    (tmp_path / "aligned.json").unlink()
    assert AlignedSpace.made_for(tmp_path) is None
    with pytest.raises(ArtefactError, match="missing or damaged"):
        AlignedSpace.load(tmp_path, HASH)


# --- in a search by words --------------------------------------------------------------------------------------------


def built(
    out: Path, statements: list[dict[str, float]], text: TextEncoder, aligned: Path, encoder_hash: str = HASH
) -> CaseLibrary:
    rows = [CaseRow(str(i), age_years=30.0 + i % 60, statements=listed) for i, listed in enumerate(statements)]
    CaseLibrary.build(out, [row.case_id for row in rows], embeddings(labels())[: len(rows)], rows, encoder_hash)
    return CaseLibrary(open_store(str(out)), text, aligned)


def having(code: str) -> set[str]:
    return {str(i) for i in np.flatnonzero(labels()[:, CODES.index(code)])}


def ids(cases: tuple[Case, ...]) -> list[str]:
    return [case.case_id for case in cases]


def test_cases_without_statements_are_found_by_the_signal(text: TextEncoder, folder: Path, tmp_path: Path) -> None:
    library = built(tmp_path / "lib", [{}] * N, text, folder)
    found = library.search_text("atrial fibrillation", k=10)
    assert len(found) == 10 and {case.found_by for case in found} == {"signal"}
    assert len(set(ids(found)) & having("AFIB")) >= 7
    values = [case.similarity for case in found]
    assert values == sorted(values, reverse=True) and values[-1] >= -1
    assert found[0].to_json()["found_by"] == "signal"
    young = library.search_text("atrial fibrillation in patients under 50", k=10)
    assert young and all(case.age_years is not None and case.age_years < 50 for case in young)
    by_age = library.search_text("over 80 years old", k=5)
    assert {case.found_by for case in by_age} == {"condition"}
    described = library.search_text("broad notched R waves lateral", k=3)  # names no statement, but speaks of an ECG
    assert {case.found_by for case in described} == {"signal"}
    for words in ("pizza recipe", "kidney stones"):
        with pytest.raises(QueryError, match="names an ECG statement"):
            library.search_text(words)
    with pytest.raises(QueryError, match="carry no statements"):
        library.search_text("hypertrophy without atrial fibrillation")


def test_a_map_for_another_encoder_is_refused(text: TextEncoder, folder: Path, tmp_path: Path) -> None:
    library = built(tmp_path / "lib", [{}] * 20, text, folder, "f" * 64)
    with pytest.raises(ArtefactError, match="made for encoder"):
        library.search_text("atrial fibrillation")
    listed = built(tmp_path / "listed", [{"AFIB": 100.0}] * 5, text, folder, "f" * 64)
    assert ids(listed.search_text("atrial fibrillation")) == list("01234")  # needs no map: the order of the library


def test_equal_statements_are_ordered_by_the_signal(text: TextEncoder, folder: Path, tmp_path: Path) -> None:
    library = built(tmp_path / "lib", [{"AFIB": 100.0}] * 200, text, folder)
    found = library.search_text("atrial fibrillation", k=6)
    assert {case.found_by for case in found} == {"statements"} and {case.similarity for case in found} == {1.0}
    assert len(set(ids(found)) & having("AFIB")) >= 4  # the statements are all alike, only the signal can tell
    assert ids(found) == ids(library.search_text("atrial fibrillation", k=200))[:6]


def test_listed_cases_come_before_those_of_the_signal(text: TextEncoder, folder: Path, tmp_path: Path) -> None:
    statements: list[dict[str, float]] = [{} for _ in range(N)]
    statements[3], statements[4] = {"AFIB": 100.0}, {"LVH": 100.0}
    found = built(tmp_path / "lib", statements, text, folder).search_text("atrial fibrillation", k=5)
    assert [case.found_by for case in found] == ["statements", *["signal"] * 4]
    assert found[0].case_id == "3" and "4" not in ids(found)


@pytest.mark.parametrize("kind", ["faiss", "faiss-open", "milvus"])
def test_stores_give_their_vectors_back(kind: str, tmp_path: Path) -> None:
    vectors = embeddings(labels())[:50]
    rows = [CaseRow(f"case {i}") for i in range(50)]
    spec = str(tmp_path / "cases")
    if kind == "milvus":
        pytest.importorskip("milvus_lite", reason="Milvus Lite is not installed: pip install 'ecg-assistant[milvus]'")
        spec = f"milvus:{tmp_path / 'cases.db'}"
    store = open_store(spec, encoder_hash=HASH, writable=True)
    store.add([row.case_id for row in rows], vectors, rows)
    if kind == "faiss":  # folded into the index, no longer waiting
        store.close()
        store = open_store(spec)
    asked = [7, 0, 49, 7]
    back = store.vectors([f"case {i}" for i in asked])
    assert back == pytest.approx(vectors[asked], abs=0.002)
    assert store.vectors([]).shape == (0, 256)
    store.close()
