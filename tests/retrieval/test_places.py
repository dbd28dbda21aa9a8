"""Libraries by name, several at once, and where a case's recording can be had."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import wfdb

from encoders.ecg import STANDARD_LEADS
from encoders.errors import ArtefactError, InputError, QueryError
from encoders.readers import read
from retrieval.library import CaseLibrary
from retrieval.overview import overview
from retrieval.places import BUILTIN, find_places, named_folder, named_places, register
from retrieval.recordings import fetch, local_file, remember_folder, source_of
from retrieval.store import CaseRow, open_store, patient_key
from retrieval.union import UnionStore
from retrieval.where import parse

ENCODER = "a" * 64


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def vectors(seed: int, n: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 256)).astype(np.float32)


def build(spec: Path, seed: int, encoder: str = ENCODER, n: int = 6) -> None:
    rows = [
        CaseRow(str(i), patient_key(i), 50.0 + i, "FM"[i % 2], {"AFIB": 100.0}, {}, f"{spec.name}/r{i}", f"{seed:016x}{i:016x}")
        for i in range(n)
    ]
    CaseLibrary.build(spec, [row.case_id for row in rows], vectors(seed, n), rows, encoder, precision="fp16")


# --- by name ---------------------------------------------------------------------------------------------------------


def test_names_folders_and_addresses(own_home: Path) -> None:
    build(named_folder("ward"), 1)
    build(own_home / "elsewhere", 2)
    assert [place.name for place in find_places(None)] == ["built-in"] and find_places(None)[0].builtin
    assert [(p.name, p.spec) for p in find_places("ward, built-in")] == [
        ("ward", str(named_folder("ward"))), ("built-in", str(BUILTIN))
    ]  # fmt: skip
    assert [p.name for p in find_places(["ward", str(own_home / "elsewhere")])] == ["ward", "elsewhere"]
    assert find_places("milvus:http://user:secret@host:19530")[0].name == "host-19530"  # never the password
    assert [place.name for place in named_places()] == ["built-in", "ward"]
    build(own_home / "other" / "ward", 3)
    assert [p.name for p in find_places(f"ward,{own_home / 'other' / 'ward'}")] == ["ward", "ward-2"]


def test_a_folder_with_a_comma_is_one(own_home: Path) -> None:
    build(own_home / "a,b", 1)
    assert len(find_places(str(own_home / "a,b"))) == 1


@pytest.mark.parametrize(
    ("spec", "says"), [("nothing", "known by name are built-in"), ("built-in,", "is empty"), ("x,x", "no library")]
)
def test_names_that_nothing_has(spec: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        find_places(spec)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "built-in", "x" * 65, ".hidden", "a.json", "a b"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(QueryError, match="cannot name a library"):
        named_folder(name)


def test_a_name_for_a_library_elsewhere(own_home: Path) -> None:
    build(own_home / "far", 1)
    register("near", "far")
    register("near", "far")
    assert Path(find_places("near")[0].spec) == own_home / "far"
    with pytest.raises(QueryError, match="another library named 'near'"):
        register("near", "other")
    with pytest.raises(QueryError, match="given twice"):
        find_places("near,far")
    (own_home / "home" / "libraries" / "near.json").write_text("{")
    with pytest.raises(ArtefactError, match="damaged"):
        find_places("near")


# --- several ---------------------------------------------------------------------------------------------------------


def test_several_libraries_are_one(own_home: Path) -> None:
    build(own_home / "one", 1)
    build(own_home / "two", 2, n=4)
    with CaseLibrary.open(["one/", "two/"], ENCODER) as library:
        assert library.count == 10
        asked = vectors(2, 4)[1]
        found = library.search(asked, k=10, exclude_near_duplicates=False)
        assert len(found) == 10 and found[0].case_id == "two/1"
        assert [c.similarity for c in found] == sorted((c.similarity for c in found), reverse=True)
        alone = [CaseLibrary.open(name + "/").search(asked, k=10, exclude_near_duplicates=False) for name in ("one", "two")]
        merged = sorted((case.similarity for cases in alone for case in cases), reverse=True)
        assert [case.similarity for case in found] == pytest.approx(merged)
        assert {c.case_id for c in library.search(asked, where="age<52", exclude_near_duplicates=False)} == {
            "one/0", "one/1", "two/0", "two/1"
        }  # fmt: skip
        assert library.get(["two/3", "three/3", "9"]) == {"two/3": library.get(["two/3"])["two/3"]}
        assert len(library.search_text("atrial fibrillation", k=10)) == 10
    both = UnionStore({name: open_store(name) for name in ("one", "two")})
    assert both.of_patient(int(patient_key(3) or 0)) == ["one/3", "two/3"]
    assert both.with_content([f"{2:016x}{1:016x}", "f" * 32]) == {f"{2:016x}{1:016x}": "two/1"}
    assert both.vectors(["two/1", "one/0"]) == pytest.approx(
        np.stack([v / np.linalg.norm(v) for v in (vectors(2, 4)[1], vectors(1)[0])]), abs=2e-3
    )
    assert set(both.matching_ids(parse("sex=F"))) == {"one/0", "one/2", "one/4", "two/0", "two/2"}
    with pytest.raises(InputError, match="name one of them"):
        both.remove(["one/0"])
    both.close()


def test_libraries_of_two_encoders_do_not_go_together(own_home: Path) -> None:
    build(own_home / "one", 1)
    build(own_home / "two", 2, "b" * 64)
    with pytest.raises(ArtefactError, match="different encoders"):
        CaseLibrary.open(["one/", "two/"])
    with pytest.raises(ArtefactError, match="made with encoder"):
        CaseLibrary.open(["one/", "two/"], ENCODER)


def test_an_overview_counts() -> None:
    rows = [
        CaseRow("1", 7, 60.0, "F", {"AFIB": 100.0, "SR": 0.0}, {}, "PTB-XL 1.0.3 records100/00000/00001_lr"),
        CaseRow("2", 7, None, "M", {"AFIB": 15.0}, {}, "ward/day1/r1"), CaseRow("3"),
    ]  # fmt: skip
    seen = overview(rows)
    assert (seen.cases, seen.patients, seen.with_age, seen.with_sex, seen.women, seen.with_statements) == (3, 1, 1, 2, 1, 2)
    assert seen.statements == (("AFIB", 2), ("SR", 1)) and seen.ages == (60.0, 60.0)
    assert dict(seen.sources) == {"PTB-XL 1.0.3": 1, "ward": 1, "nothing said": 1}
    assert json.dumps(seen.to_json()) and overview([]).lines()


# --- recordings ------------------------------------------------------------------------------------------------------


def record(folder: Path, name: str, seed: int = 0) -> str:
    """A small WFDB record; its content hash."""
    folder.mkdir(parents=True, exist_ok=True)
    signal = np.random.default_rng(seed).normal(0, 0.3, (1000, 12))
    wfdb.wrsamp(name, fs=100, units=["mV"] * 12, sig_name=list(STANDARD_LEADS), p_signal=signal, fmt=["16"] * 12,
                write_dir=str(folder))  # fmt: skip
    return read(folder / f"{name}.hea").content_hash()[:32]


def test_a_recording_out_of_a_folder(own_home: Path) -> None:
    digest = record(own_home / "ward" / "day1", "r1")
    row = CaseRow("day1/r1", where="ward/day1/r1.hea", content_hash=digest)
    with pytest.raises(InputError, match="in no folder known here"):
        fetch(row, own_home / "out", network=None)
    assert not (own_home / "out").exists()
    remember_folder(own_home / "ward")
    trace = fetch(row, own_home / "out", network=None)
    assert [file.name for file in trace.files] == ["r1.dat", "r1.hea"] and trace.came_from == "folder"
    assert read(own_home / "out" / "r1.hea").content_hash().startswith(digest)
    elsewhere = own_home / "copied" / "ward"
    record(elsewhere / "day1", "r1")
    for given in (elsewhere, elsewhere.parent):  # the folder itself, or the one it lies in
        assert local_file(row, [given]) == elsewhere / "day1" / "r1.hea"
    record(own_home / "ward" / "day1", "r1", seed=5)  # recorded anew: not this case's recording any more
    assert local_file(row) is None
    assert local_file(CaseRow("x", where="ward/../../secret")) is None


def test_a_recording_from_physionet(own_home: Path) -> None:
    digest = record(own_home / "net", "00012_lr")
    row = CaseRow("12", where="PTB-XL 1.0.3 records100/00000/00012_lr")
    asked: list[str] = []

    def network(url: str) -> bytes:
        asked.append(url)
        return (own_home / "net" / url.rsplit("/", 1)[1]).read_bytes()

    trace = fetch(row, own_home / "out", network=network)
    assert trace.came_from == "PhysioNet" and sorted(file.name for file in trace.files) == ["00012_lr.dat", "00012_lr.hea"]
    assert asked[0] == "https://physionet.org/files/ptb-xl/1.0.3/records100/00000/00012_lr.hea"
    wrong = CaseRow("12", where=row.where, content_hash="0" * 32)
    with pytest.raises(ArtefactError, match="not the recording in the library"):
        fetch(wrong, own_home / "other", network=network)
    assert list((own_home / "other").iterdir()) == []
    asked.clear()
    net = CaseRow("12", where=row.where, content_hash=digest)
    (own_home / "set" / "records100").mkdir(parents=True)
    (own_home / "net").rename(own_home / "set" / "records100" / "00000")
    assert fetch(net, own_home / "third", folders=[own_home / "set"], network=network).came_from == "folder" and not asked


def test_without_a_network_nothing_is_left_behind(own_home: Path) -> None:
    def nobody(url: str) -> bytes:
        raise OSError("unreachable")

    row = CaseRow("12", where="PTB-XL 1.0.3 records100/00000/00012_lr")
    with pytest.raises(InputError, match="PhysioNet could not be reached for case 12; connect to a network"):
        fetch(row, own_home / "out", network=nobody)
    assert list((own_home / "out").iterdir()) == []
    with pytest.raises(InputError, match="PhysioNet was not to be asked"):
        fetch(row, own_home / "out", network=None)


@pytest.mark.parametrize("where", ["", "ward/r1", "PTB-XL 1.0.3 ../../etc/passwd", "PTB-XL 1.0.3 a b", "PTB-XL 9 records/1"])
def test_what_is_not_at_physionet(where: str) -> None:
    assert source_of(where) is None
