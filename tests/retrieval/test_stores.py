"""One contract, two stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.errors import ArtefactError, InputError
from retrieval.engine import Lost
from retrieval.faiss_store import FaissStore
from retrieval.intake import Intake, Made
from retrieval.metadata import Record
from retrieval.store import CaseRow, Store, open_store, patient_key
from retrieval.where import parse, to_predicate

DIM = 256
Opener = Callable[..., Store]


def some_rows(n: int) -> list[CaseRow]:
    """Rows with gaps: every third without sex, every fifth without age, every fourth without QRS."""
    codes = ("AFIB", "SR", "CLBBB", "LAO/LAE", "PRC(S)", "1AVB")
    return [
        CaseRow(
            case_id=f"case {i}",
            patient_key=patient_key(i // 2),
            age_years=None if i % 5 == 0 else float(20 + i),
            sex=(None, "F", "M")[i % 3],
            statements={codes[i % 6]: float(i % 101), codes[(i + 2) % 6]: 0.0},
            measurements={"rate_bpm": 60 + i / 10, "st_j_mv_aVR": -i / 1000} | ({} if i % 4 == 0 else {"qrs_ms": 80.0 + i}),
            where=f"Test set {i // 10}/record_{i}",
            content_hash=f"{i:032x}",
        )
        for i in range(n)
    ]


def unit(n: int, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(params=["faiss", "milvus"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the same place again and again, as a later process would."""
    if request.param == "milvus":
        pytest.importorskip("milvus_lite", reason="Milvus Lite is not installed: pip install 'ecg-assistant[milvus]'")
        spec = f"milvus:{tmp_path / 'cases.db'}"
    else:
        spec = str(tmp_path / "cases")

    def open_again(encoder_hash: str | None = "e" * 64, writable: bool = True) -> Store:
        return open_store(spec, encoder_hash=encoder_hash, writable=writable)

    return open_again


def test_rows_come_back_as_they_went_in(opener: Opener) -> None:
    rows, vectors = some_rows(40), unit(40)
    store = opener()
    store.add([r.case_id for r in rows], vectors, rows)
    assert store.count == 40
    assert store.get(["case 7", "no such case", "case 3"]) == {"case 7": rows[7], "case 3": rows[3]}
    store.close()
    store.close()
    again = opener(writable=False)
    assert again.count == 40
    assert sorted(again.matching(None), key=lambda r: r.case_id) == sorted(rows, key=lambda r: r.case_id)
    again.close()


def test_what_cases_list_is_counted(opener: Opener) -> None:
    rows, vectors = [*some_rows(12), CaseRow("bare"), CaseRow("bare too")], unit(14)
    store = opener()
    store.add([r.case_id for r in rows], vectors, rows)
    store.remove(["case 3"])
    wanted = Counter(code for row in rows for code in row.statements if row.case_id != "case 3")
    found, total = Counter[str](), 0
    for codes, cases in store.listed():
        total += cases
        found.update(dict.fromkeys(codes, cases))
    assert found == wanted and total == 13 and sum(cases for codes, cases in store.listed() if not codes) == 2
    store.close()


def test_search_ranks_by_cosine(opener: Opener) -> None:
    rows, vectors = some_rows(60), unit(60)
    store = opener()
    store.add([r.case_id for r in rows], 3 * vectors, rows)
    for _ in range(2):  # before and after closing: waiting vectors and folded ones
        hits = store.search(vectors[[4, 9]] * 0.1, 60)
        assert [len(h) for h in hits] == [60, 60]
        assert hits[0][0][0] == "case 4"
        assert hits[0][0][1] == pytest.approx(1.0, abs=2e-3)
        found = {case_id: s for case_id, s in hits[1]}
        assert [found[f"case {i}"] for i in range(60)] == pytest.approx((vectors @ vectors[9]).tolist(), abs=2e-3)
        values = [s for _, s in hits[1]]
        assert values == sorted(values, reverse=True)
        assert all(-1 <= s <= 1 for s in values)
        store.close()
        store = opener()
    assert len(store.search(vectors[:1], 500)[0]) == 60
    store.close()


def test_search_keeps_to_the_allowed_ids(opener: Opener) -> None:
    rows, vectors = some_rows(30), unit(30)
    store = opener()
    store.add([r.case_id for r in rows[:20]], vectors[:20], rows[:20])
    store.close()
    store = opener()
    store.add([r.case_id for r in rows[20:]], vectors[20:], rows[20:])
    (hits,) = store.search(vectors[0], 10, allowed_ids=["case 3", "case 25", "nobody"])
    assert {case_id for case_id, _ in hits} == {"case 3", "case 25"}
    assert store.search(vectors[:2], 10, allowed_ids=[]) == ((), ())
    assert store.search(vectors[:1], 10, allowed_ids=["nobody"]) == ((),)
    store.close()


def test_added_again_is_replaced_and_removed_is_gone(opener: Opener) -> None:
    rows, vectors = some_rows(12), unit(12)
    store = opener()
    store.add([r.case_id for r in rows], vectors, rows)
    changed = CaseRow(case_id="case 5", age_years=99.0)
    store.add(["case 5"], -vectors[5:6], [changed])
    assert store.count == 12
    assert store.get(["case 5"])["case 5"] == changed
    assert store.remove(["case 2", "case 11", "nobody"]) == 2
    assert store.count == 10
    store.close()
    again = opener()
    (hits,) = again.search(vectors[5], 20)
    assert hits[-1][0] == "case 5"
    assert {h[0] for h in hits} == {r.case_id for r in rows} - {"case 2", "case 11"}
    assert again.get(["case 2"]) == {}
    again.close()


CONDITIONS = (
    "age>60 and sex=F",
    "statement=AFIB",
    "not (qrs_ms>=120 or statement in (CLBBB, 1AVB))",
    "sex!=F",
    "not sex=F",
    "age not in (21, 22) and not age<30",
    "AFIB>=10",
    "not LAO/LAE>=10",
    "statement!=PRC(S) or st_j_mv_aVR = -0.007",
    "rate_bpm in (60.7, 61.3)",
    "not (not age>40 and (sex=M or qrs_ms<100))",
    "superclass=CD and qrs_ms != 101",
    "code='PRC(S)' and rate_bpm<=62.05",
)


def test_conditions_mean_the_same_in_the_store_and_in_python(opener: Opener) -> None:
    rows = some_rows(60)
    store = opener()
    store.add([r.case_id for r in rows], unit(60), rows)
    for text in CONDITIONS:
        condition = parse(text)
        expected = {r.case_id for r in rows if to_predicate(condition)(r)}
        assert 0 < len(expected) < 60, text
        assert set(store.matching_ids(condition)) == expected, text
        assert {r.case_id for r in store.matching(condition)} == expected, text
    store.close()


def test_hostile_ids_are_only_ids(opener: Opener) -> None:
    names = ["'; DROP TABLE cases; --", '" or 1==1 or "', "a\\b", "пациент", "%_*"]
    rows = [CaseRow(case_id=name, where="' OR ''='") for name in names]
    store = opener()
    store.add(names, unit(5), rows)
    assert store.get(['" or 1==1 or "']) == {'" or 1==1 or "': rows[1]}
    assert len(store.search(unit(5)[0], 9, allowed_ids=names[:2])[0]) == 2
    assert store.remove(["' or ''='"]) == 0
    assert store.remove(names[:1]) == 1
    assert store.count == 4
    store.close()


def test_a_bad_batch_leaves_nothing_behind(opener: Opener) -> None:
    rows, vectors = some_rows(3), unit(3)
    ids = [r.case_id for r in rows]
    store = opener()
    broken = vectors.copy()
    broken[1, 0] = np.nan
    for args in (
        (ids, broken, rows),
        (ids, vectors[:2], rows),
        (ids, vectors[:, :100], rows),
        (["case 0", "case 0", "case 2"], vectors, rows),
        (["case 1", "case 0", "case 2"], vectors, rows),
        (ids, vectors, [*rows[:2], CaseRow("case 2", sex="X")]),
        (ids, vectors, [*rows[:2], CaseRow("case 2", statements={"A B": 1.0})]),
        (ids, vectors, [*rows[:2], CaseRow("case 2", measurements={"nonsense_ms": 1.0})]),
        (ids, vectors, [*rows[:2], CaseRow("case 2", age_years=300.0)]),
    ):
        with pytest.raises(InputError):
            store.add(*args)
    assert store.count == 0
    with pytest.raises(InputError):
        store.search(vectors[:, :7], 3)
    with pytest.raises(InputError):
        store.search(vectors, 0)
    assert store.search(vectors, 3) == ((), (), ())
    store.close()


def test_another_encoder_is_refused(opener: Opener) -> None:
    opener().close()
    with pytest.raises(ArtefactError, match="eeeeeeeeeeee.*ffffffffffff"):
        opener("f" * 64)
    again = opener(None, False)
    assert again.encoder_hash == "e" * 64
    again.close()


def test_reading_only_means_reading_only(opener: Opener) -> None:
    rows = some_rows(1)
    with pytest.raises(ArtefactError):
        opener(writable=False)
    opener().close()
    store = opener(writable=False)
    with pytest.raises(InputError, match="reading only"):
        store.add(["case 0"], unit(1), rows)
    store.close()


def test_patient_keys() -> None:
    assert patient_key(15709) == patient_key("15709") == patient_key(15709.0) != patient_key(15710)
    assert patient_key(None) is None and patient_key(float("nan")) is None and patient_key("") is None
    assert 0 <= int(patient_key("x") or 0) < 2**63


def test_faiss_refuses_a_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="holiday.jpg"):
        FaissStore.create(tmp_path, "e" * 64)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


def test_cases_by_patient_and_by_content(opener: Opener) -> None:
    rows, vectors = some_rows(20), unit(20)
    store = opener()
    store.add([r.case_id for r in rows[:10]], vectors[:10], rows[:10])
    store.close()
    store = opener()  # some folded or flushed, some not
    store.add([r.case_id for r in rows[10:]], vectors[10:], rows[10:])
    key = patient_key(3)
    assert key is not None and set(store.of_patient(key)) == {"case 6", "case 7"}
    assert store.of_patient(5) == []
    wanted = [rows[4].content_hash, rows[15].content_hash, "e" * 32, ""]
    assert store.with_content(wanted) == {rows[4].content_hash: "case 4", rows[15].content_hash: "case 15"}
    assert store.with_content([]) == {}
    assert store.remove([*store.of_patient(key), "case 4"]) == 3
    store.close()
    again = opener(writable=False)
    assert again.of_patient(key) == [] and again.count == 17
    assert again.with_content(wanted) == {rows[15].content_hash: "case 15"}
    again.close()


def test_an_intake_is_the_same_for_every_store(opener: Opener) -> None:
    """Added, skipped, updated, replaced, the same recording under another name, another recording under the same id."""

    def record(case_id: str, where: str = "ward/x", own_id: bool = True) -> Record:
        return Record(Path("ward"), f"{case_id}.hea", case_id, own_id, where=where)

    def row(case_id: str, content: int, where: str = "ward/x", age: float | None = None) -> CaseRow:
        return CaseRow(case_id, age_years=age, where=where, content_hash=f"{content:032x}").normalised()

    vectors = unit(9)
    store = opener()
    intake = Intake(store)
    intake.take([
        (record("a"), Made(row("a", 1), vectors[1])), (record("b"), Made(row("b", 2), vectors[2])),
        (record("twin"), Made(row("twin", 1), vectors[1])), (record("bad"), Made(reason="It cannot be read.")),
        (record("gone"), Lost()),
    ])  # fmt: skip
    store.close()
    store = intake.store = opener()
    intake.take([
        (record("a"), Made(row("a", 1))), (record("b"), Made(row("b", 2, age=70.0))),
        (record("c"), Made(row("c", 2), vectors[2])),
    ])  # fmt: skip
    intake.take([
        (record("a"), Made(row("a", 3), vectors[3])), (record("b", "day 2/x"), Made(row("b", 4, "day 2/x"), vectors[4])),
        (record("b", "day 2/x", False), Made(row("b", 4, "day 2/x"), vectors[4])),
    ])  # fmt: skip
    report = intake.report()
    assert (report.added, report.skipped, report.updated, report.replaced) == (3, 1, 1, 1)
    assert report.duplicates == (("twin.hea", "a"), ("c.hea", "b"))
    assert [name for name, _ in report.failed] == ["bad.hea", "gone.hea", "b.hea"]
    assert "another recording" in report.failed[-1][1]
    store.close()
    again = opener(writable=False)
    assert set(again.matching_ids(None)) == {"a", "b", "day 2/x"}
    assert again.get(["b"])["b"].age_years == 70.0 and again.get(["a"])["a"].content_hash == f"{3:032x}"
    assert [h[0][0] for h in again.search(vectors[[3, 2, 4]], 1)] == ["a", "b", "day 2/x"]
    again.close()


def test_what_is_removed_is_gone_from_the_files(tmp_path: Path) -> None:
    marked = CaseRow("a-rather-telling-id", where="a-telling-folder/name", content_hash="ab" * 16)
    with FaissStore.create(tmp_path / "cases", "e" * 64, dim=DIM) as store:
        store.add(["a-rather-telling-id"], unit(1), [marked])
        store.add([r.case_id for r in some_rows(5)], unit(5, 1), some_rows(5))
    with FaissStore.open(tmp_path / "cases", writable=True) as store:
        assert store.remove(["a-rather-telling-id"]) == 1
    left = b"".join(file.read_bytes() for file in (tmp_path / "cases").iterdir())
    assert b"telling" not in left and bytes.fromhex("ab" * 16) not in left
    assert unit(1)[0].astype(np.float16).tobytes() not in left and unit(1)[0].tobytes() not in left
    assert unit(5, 1)[2].astype(np.float16).tobytes() in left


def test_leftovers_of_a_killed_writer_are_swept_up(tmp_path: Path) -> None:
    with FaissStore.create(tmp_path / "cases", "e" * 64, dim=DIM) as store:
        store.add([r.case_id for r in some_rows(5)], unit(5), some_rows(5))
    (tmp_path / "cases" / "vectors-7.faiss").write_bytes(b"half a fold")
    (tmp_path / "cases" / "manifest.json.part").write_text("{")
    FaissStore.open(tmp_path / "cases").close()  # a reader leaves everything as it is
    assert (tmp_path / "cases" / "vectors-7.faiss").exists()
    FaissStore.open(tmp_path / "cases", writable=True).close()
    assert sorted(file.name for file in (tmp_path / "cases").iterdir()) == ["cases.sqlite", "manifest.json", "vectors-1.faiss"]
