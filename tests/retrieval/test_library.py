"""The library: who is left out, what neighbours say, and what a text finds. Embeddings are random; the text model is real."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.errors import ArtefactError, InputError, QueryError
from encoders.measurements import MEASUREMENT_NAMES
from encoders.vocabulary import CODES
from retrieval.case import Case
from retrieval.library import CaseLibrary
from retrieval.phrases import PHRASES
from retrieval.store import CaseRow, patient_key
from retrieval.text import TEXT_DIM, WEIGHTS, TextEncoder
from retrieval.textsearch import understand
from retrieval.where import parse, to_predicate

ENCODER = "b" * 64
N = 80


def vectors() -> NDArray[np.float32]:
    made = np.random.default_rng(3).normal(size=(N, 256)).astype(np.float32)
    made[41] = made[40]  # one recording twice
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def rows() -> list[CaseRow]:
    sets: list[dict[str, float]] = [
        {"AFIB": 0.0},
        {"AFIB": 0.0, "LVH": 100.0},
        {"CLBBB": 100.0, "SR": 0.0},
        {"NORM": 100.0, "SR": 0.0},
        {"LVH": 35.0, "SR": 0.0},
        {"IMI": 100.0, "AFIB": 0.0},
        {"ISCIN": 100.0},
        {"1AVB": 100.0, "CRBBB": 100.0},
    ]
    return [
        CaseRow(
            str(i),
            patient_key=patient_key(i // 4),
            age_years=float(20 + i),
            sex="FM"[i // 8 % 2],
            statements=sets[i % 8],
            measurements={"qrs_ms": 80.0 + i, "rate_bpm": 60.0 + i, "axis_deg": float(i - 60)},
            where=f"set/{i}",
            content_hash=f"{40 if i == 41 else i:032x}",
        )
        for i in range(N)
    ]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, encoder: TextEncoder) -> CaseLibrary:
    out = tmp_path_factory.mktemp("library") / "lib"
    CaseLibrary.build(out, [str(i) for i in range(N)], vectors(), rows(), ENCODER, notes={"source": "made up"})
    return CaseLibrary.open(out, ENCODER, text_encoder=encoder)


def ids(cases: tuple[Case, ...]) -> list[str]:
    return [case.case_id for case in cases]


def test_the_asked_recording_stays_out(library: CaseLibrary) -> None:
    query = vectors()[10]
    assert "10" not in ids(library.search(query, k=N))
    assert ids(library.search(query, k=3, exclude_near_duplicates=False))[0] == "10"
    found = library.search(vectors()[12], k=N)
    assert ("40" in ids(found)) != ("41" in ids(found))
    assert len(found) == N - 2
    assert not {"40", "41"} & set(ids(library.search(vectors()[40], k=N)))


def test_similarity_is_the_cosine_and_falls(library: CaseLibrary) -> None:
    found = library.search(5 * vectors()[10], k=20)
    similarity = [case.similarity for case in found]
    assert similarity == sorted(similarity, reverse=True)
    assert similarity == pytest.approx([float(vectors()[10] @ vectors()[int(c)]) for c in ids(found)], abs=0.01)
    assert set(found[0].measurements) == set(MEASUREMENT_NAMES)
    assert found[0].measurements["pr_ms"] is None
    assert found[0].measurements["qrs_ms"] == 80 + int(found[0].case_id)


def test_patients_and_ids_stay_out(library: CaseLibrary) -> None:
    assert not {"8", "9", "10", "11"} & set(ids(library.search(vectors()[9], k=N, exclude_patient=2)))
    assert {"12", "13"} <= set(ids(library.search(vectors()[9], k=N, exclude_patient="2")))
    many = [str(i) for i in range(78)]
    assert set(ids(library.search(vectors()[5], k=4, exclude_ids=many))) == {"78", "79"}


def test_conditions(library: CaseLibrary) -> None:
    found = library.search(vectors()[3], k=N, where="age>60 and sex=F and not statement in (NORM, AFIB)")
    assert {c.case_id for c in found} == {
        r.case_id for r in rows() if (r.age_years or 0) > 60 and r.sex == "F" and not {"NORM", "AFIB"} & set(r.statements)
    }
    assert library.search(vectors()[3], where=parse("age>500")) == ()
    with pytest.raises(QueryError):
        library.search(vectors()[3], where="age>60; drop table cases")


def test_a_batch_is_the_single_searches(library: CaseLibrary) -> None:
    patients = [i // 4 for i in range(N)]
    batch = library.search_batch(vectors(), 7, patients)
    for i in (0, 17, 41, 79):
        assert batch[i] == library.search(vectors()[i], 7, exclude_patient=patients[i])
    assert all(len(cases) == 7 for cases in batch)
    assert not any(int(c.case_id) // 4 == i // 4 for i, cases in enumerate(batch) for c in cases)
    with pytest.raises(InputError, match="3 patients"):
        library.search_batch(vectors(), 7, [1, 2, 3])
    for k in (0, -1, 1001):
        with pytest.raises(InputError):
            library.search(vectors()[0], k)


def test_the_search_goes_on_until_enough_is_left(tmp_path: Path) -> None:
    """A patient with a hundred near recordings must not use up the hits of everybody else."""
    rng = np.random.default_rng(0)
    near = np.ones((100, 256)) + 0.3 * rng.normal(size=(100, 256))
    far = rng.normal(size=(20, 256))
    table = [CaseRow(str(i), patient_key=patient_key("one" if i < 100 else i)) for i in range(120)]
    CaseLibrary.build(tmp_path / "lib", [r.case_id for r in table], np.concatenate([near, far]), table, ENCODER)
    with CaseLibrary.open(tmp_path / "lib") as library:
        found = library.search(np.ones(256, np.float32), k=10, exclude_patient="one")
        assert len(found) == 10 and all(int(c.case_id) >= 100 for c in found)


def test_distance_to_the_known(library: CaseLibrary) -> None:
    known = library.nearest_distance(vectors()[:5], k=1)
    assert known.dtype == np.float32 and known.max() < 0.001
    without = library.nearest_distance(vectors()[:5], k=1, exclude_patients=[0, 0, 0, 0, 1])
    assert (without > 0.5).all()
    every = vectors()[:5] @ vectors().T
    assert library.nearest_distance(vectors()[:5]) == pytest.approx(1 - np.sort(every, axis=1)[:, -5:].mean(axis=1), abs=0.01)


# --- whatever is asked ------------------------------------------------------------------------------------------------


def test_own_cases_and_twins_are_left_out_and_counted(library: CaseLibrary) -> None:
    asked = vectors()[40]  # case 41 is the same recording; 40 to 43 are one patient's
    found = library.find(embedding=asked, k=N, patient="10")
    assert not {"40", "41", "42", "43"} & set(ids(found.cases)) and (found.own, found.duplicates) == (4, 0)
    stranger = library.find(embedding=asked, k=N, patient="nobody")
    assert not {"40", "41"} & set(ids(stranger.cases)) and (stranger.own, stranger.duplicates) == (0, 2)
    everyone = library.find(embedding=asked, k=N, patient="10", include_own=True)
    assert set(ids(everyone.cases)) == {str(i) for i in range(N)} and (everyone.own, everyone.duplicates) == (0, 0)
    by_hash = library.find(embedding=vectors()[7], k=N, content_hash=f"{9:032x}" + "0" * 32)
    assert not {"7", "9"} & set(ids(by_hash.cases)) and by_hash.duplicates == 3  # 7 itself, 9 by its hash, 41 by that of 40
    few = library.find(embedding=vectors()[7], k=1)
    assert few.duplicates == 1  # only what stood before the last one shown
    # what neighbours say is said by others, whoever is shown
    assert everyone.neighbours == found.neighbours and found.asked == 50
    assert library.neighbours(asked, patient="10") == found.neighbours


def test_a_patient_s_own_cases_stay_out_of_words_and_conditions_too(library: CaseLibrary) -> None:
    every = library.find(text="atrial fibrillation", k=N)
    others = library.find(text="atrial fibrillation", k=N, patient="4")
    assert set(ids(every.cases)) - set(ids(others.cases)) == {"16", "17"} and others.own == 2
    listed = library.find(where="sex=F and age<40", k=N, patient="0")
    assert ids(listed.cases) == ["4", "5", "6", "7", "16", "17", "18", "19"] and listed.own == 4
    assert {case.found_by for case in listed.cases} == {"condition"}
    assert len(library.find(where="age>0", k=3).cases) == 3
    with pytest.raises(QueryError, match="Nothing is asked"):
        library.find()


def test_a_recording_and_words(library: CaseLibrary) -> None:
    asked = vectors()[12]
    found = library.find(embedding=asked, text="atrial fibrillation with left ventricular hypertrophy", k=N)
    cosine = vectors() @ asked
    share = {"0": 0.5, "1": 1.0, "4": 0.175, "5": 0.5}  # by what `rows` lists; round(share, 2) decides
    score = {c.case_id: c.similarity + 0.7 * round(c.answers or 0, 2) for c in found.cases}
    assert list(score.values()) == sorted(score.values(), reverse=True)
    assert {c.case_id for c in found.cases} == {str(i) for i in range(N) if str(i % 8) in share} - {"12", "40"}
    for case in found.cases:
        assert case.similarity == pytest.approx(float(cosine[int(case.case_id)]), abs=0.01)
        assert case.answers == pytest.approx(share[str(int(case.case_id) % 8)], abs=0.01) and case.found_by == "both"
    assert found.query is not None and found.query.wanted == (("AFIB",), ("LVH",)) and found.asked == 50
    few = library.find(embedding=asked, text="atrial fibrillation with left ventricular hypertrophy", k=3)
    assert ids(few.cases) == ids(found.cases)[:3]
    narrow = library.find(embedding=asked, text="women over 60 without atrial fibrillation", k=N, where="age<90")
    assert {c.case_id for c in narrow.cases} == {
        r.case_id for r in rows() if r.sex == "F" and 60 < (r.age_years or 0) < 90 and "AFIB" not in r.statements
    } - {"12"}
    assert json.loads(json.dumps(few.to_json()))["cases"][0]["answers"] == 1.0


def test_the_whole_library_or_none(tmp_path: Path) -> None:
    out = tmp_path / "lib"
    CaseLibrary.build(out, ["1"], vectors()[:1], rows()[1:2], ENCODER)
    with pytest.raises(InputError):
        CaseLibrary.build(out, ["1", "1"], vectors()[:2], rows()[1:3], ENCODER)
    assert [p.name for p in tmp_path.iterdir()] == ["lib"]
    CaseLibrary.build(out, ["2", "3"], vectors()[2:4], rows()[2:4], ENCODER)
    with CaseLibrary.open(out) as library:
        assert library.count == 2 and library.encoder_hash == ENCODER
    with pytest.raises(ArtefactError):
        CaseLibrary.open(out, "c" * 64)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("x")
    with pytest.raises(InputError):
        CaseLibrary.build(tmp_path / "other", ["1"], vectors()[:1], rows()[1:2], ENCODER)


# --- words -----------------------------------------------------------------------------------------------------------


def test_every_wording_stands_for_known_codes() -> None:
    assert all(codes and set(codes) <= set(CODES) for codes in PHRASES.values())
    assert {code for codes in PHRASES.values() for code in codes} == set(CODES)


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted", "condition"),
    [
        ("elderly woman with atrial fibrillation", [("AFIB",)], (), "age>=65 and sex=F"),
        ("man over 70 with left bundle branch block", [("CLBBB",)], (), "age>70 and sex=M"),
        ("Young women, WPW", [("WPW",)], (), "age<40 and sex=F"),
        ("LVH and LAFB without AFIB", [("LVH",), ("LAFB",)], ("AFIB",), None),
        ("AFIB or atrial flutter", [("AFIB", "AFLT")], (), None),
        ("first-degree AV block", [("1AVB", "LPR")], (), None),
        ("old inferior infarct", [("IMI", "ILMI", "IPMI", "IPLMI")], (), None),
        ("QTc above 500 ms in her 30s", [], (), "qtc_ms>500 and age>=30 and age<40 and sex=F"),
        ("heart rate at least 120 bpm, normal", [("NORM",)], (), "rate_bpm>=120"),
        ("between 40 and 50 years old", [], (), "age>=40 and age<=50"),
        ("65 or older with 3AVB", [("3AVB",)], (), "age>=65"),
        ("a 70-year-old man with pacemaker", [("PACE",)], (), "age>=68 and age<=72 and sex=M"),
        ("left axis deviation", [], (), "axis_deg<-30"),
        ("ischemia in the inferior leads", [("ISCIN",)], (), None),
        ("women without AFIB and LBBB", [], ("AFIB", "CLBBB"), "sex=F"),
        ("no AFIB, LBBB or WPW, but LVH", [("LVH",)], ("AFIB", "CLBBB", "WPW"), None),
        ("no AFIB, LBBB", [("CLBBB",)], ("AFIB",), None),
        ("without AFIB and with LBBB", [("CLBBB",)], ("AFIB",), None),
        ("free of AFIB, LVH absent, LBBB", [("CLBBB",)], ("AFIB", "LVH"), None),
        ("neither AFIB nor LBBB in a man", [], ("AFIB", "CLBBB"), "sex=M"),
        ("bifascicular block", [("CRBBB",), ("LAFB", "LPFB")], (), None),
        ("fast atrial fibrillation in a nonagenarian", [("AFIB",)], (), "rate_bpm>100 and age>=90 and age<100"),
        ("72F, LBBB, rate 50 to 60", [("CLBBB",)], (), "age>=70 and age<=74 and sex=F and rate_bpm>=50 and rate_bpm<=60"),
        ("AFIB, rate between 50 and 60", [("AFIB",)], (), "rate_bpm>=50 and rate_bpm<=60"),
        ("bradycardic, wide QRS, in their eighties", [], (), "rate_bpm<60 and qrs_ms>=120 and age>=80 and age<90"),
        ("LVH, otherwise normal", [("LVH",)], (), None),
        ("LVH, PR about 200 ms", [("LVH",)], (), "pr_ms>=190 and pr_ms<=210"),
        ("60-69 year old men", [], (), "age>=60 and age<=69 and sex=M"),
    ],
)
def test_understanding(
    encoder: TextEncoder, text: str, wanted: list[tuple[str, ...]], unwanted: tuple[str, ...], condition: str | None
) -> None:
    query = understand(text, encoder)
    if text.startswith("ischemia"):
        assert "ISCIN" in query.wanted[0] and not {"ISCAN", "ISCLA", "ISCAS"} & set(query.wanted[0])
    else:
        assert list(query.wanted) == wanted
    assert query.unwanted == unwanted
    if condition is None:
        assert query.condition is None
    else:
        assert query.condition is not None
        assert leaves(query.condition) == leaves(parse(condition))


def leaves(condition: object) -> set[object]:
    parts = getattr(condition, "parts", None)
    return {condition} if parts is None else {leaf for part in parts for leaf in leaves(part)}


def test_what_negation_turns_round(encoder: TextEncoder) -> None:
    cases = {
        "not elderly, LVH": "not age>=65",
        "non-elderly, LVH": "not age>=65",
        "LVH, not over 50": "age<=50",
        "LVH without left axis deviation": "not axis_deg<-30",
        "LVH, elderly or young": "age>=65 or age<40",
        "LVH in a man or woman": "sex=M or sex=F",
    }
    for text, condition in cases.items():
        query = understand(text, encoder)
        assert query.wanted == (("LVH",),)
        for row in rows():
            met = to_predicate(query.condition)(row) if query.condition is not None else None
            assert met == to_predicate(parse(condition))(row), text
    for text in ("women or LBBB", "LBBB or QRS over 120 ms"):
        with pytest.raises(QueryError, match='"or" is understood between'):
            understand(text, encoder)
    assert understand("elderly woman with LVH", encoder).said == (("elderly", "age>=65"), ("woman", "sex=F"))


def test_other_words_go_by_meaning_or_not_at_all(encoder: TextEncoder) -> None:
    assert "SBRAD" in understand("slow heartbeat", encoder).wanted[0]
    assert "CLBBB" in understand("blocked left bundle", encoder).wanted[0]
    assert understand("women with kidney stones", encoder).ignored == ("kidney stones",)
    for text in ("pizza recipe", "the weather in Paris", "' OR 1=1 --", "", "x" * 501, "no P waves"):
        with pytest.raises(QueryError):
            understand(text, encoder)


def test_words_find_cases(library: CaseLibrary) -> None:
    found = library.search_text("elderly woman with atrial fibrillation", k=50)
    assert {c.case_id for c in found} == {
        r.case_id for r in rows() if "AFIB" in r.statements and r.sex == "F" and (r.age_years or 0) >= 65
    }
    assert all(c.similarity == 1.0 for c in found)
    assert found[0].statements == {"AFIB": 0.0}  # nothing besides what was asked for
    both = library.search_text("atrial fibrillation and left ventricular hypertrophy", k=50)
    assert both[0].statements == {"AFIB": 0.0, "LVH": 100.0} and both[0].similarity == 1.0
    assert sorted({round(c.similarity, 4) for c in both}) == [0.175, 0.5, 1.0]  # (0 + 0.35) / 2: LVH at 35 %
    assert [c.similarity for c in both] == sorted((c.similarity for c in both), reverse=True)
    assert all("AFIB" not in c.statements for c in library.search_text("LVH without AFIB", k=50))
    assert ids(library.search_text("women", k=80, where="age>=90")) == ["70", "71"]
    assert library.search_text("WPW") == ()


def test_text_vectors(encoder: TextEncoder) -> None:
    one, other = encoder.embed(["atrial fibrillation", "irregularly irregular rhythm"]), encoder.embed(["pizza"])
    assert one.shape == (2, TEXT_DIM) and one.dtype == np.float32
    assert np.linalg.norm(one, axis=1) == pytest.approx([1.0, 1.0], abs=1e-5)
    assert one[0] @ one[1] > one[0] @ other[0]
    assert encoder.embed([]).shape == (0, TEXT_DIM)
    assert np.array_equal(encoder.embed(["pizza"]), other)


def test_a_foreign_text_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="lacks"):
        TextEncoder(tmp_path).embed(["x"])
    (tmp_path / WEIGHTS).write_bytes(b"not the weights")
    with pytest.raises(ArtefactError, match="SHA-256"):
        TextEncoder(tmp_path).embed(["x"])
