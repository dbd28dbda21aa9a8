"""Building from recordings: resumable, and no bad file stops it. Encoding and measuring are small functions of the signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import ArtefactError, InputError
from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements
from encoders.patient import hash_patient
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.readers import read
from encoders.vocabulary import CODES
from retrieval.build import Tools, add_recordings, build_from_folder, build_from_ptbxl
from retrieval.library import CaseLibrary
from retrieval.where import parse

ENCODER = "d" * 64


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret that patients are hashed with lies in the test's own folder."""
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))


def encode(ecgs: list[ECG]) -> NDArray[np.float32]:
    """Mean spectrum of the leads: anything that differs between recordings."""
    return np.stack([np.abs(np.fft.rfft(e.signal_mv, 510, axis=1)).mean(axis=0)[:256] for e in ecgs]).astype(np.float32)


def measure(ecg: ECG) -> Measurements:
    peak = float(np.max(ecg.signal_mv))
    return Measurements(tuple(Measurement(n, 100 * peak if n == "qrs_ms" else None) for n in MEASUREMENT_NAMES))


def write(folder: Path, name: str, seed: int) -> None:
    t = np.arange(1000) / 100
    rng = np.random.default_rng(seed)
    signal = np.stack([np.sin(2 * np.pi * (1 + seed) * t + i) + 0.05 * rng.normal(size=t.size) for i in range(12)], axis=1)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        Path(name).name, fs=100, units=["mV"] * 12, sig_name=list(STANDARD_LEADS), p_signal=signal, fmt=["16"] * 12,
        write_dir=str((folder / name).parent),
    )  # fmt: skip


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "ward"
    for i in range(5):
        write(folder, f"day{i % 2}/r{i}", i)
    return folder


def test_a_folder_without_a_table(recordings: Path, tmp_path: Path) -> None:
    (recordings / "broken.hea").write_text("this is no header")
    out = str(tmp_path / "lib")
    report = build_from_folder(recordings, None, encode, measure, out, ENCODER)
    assert (report.added, report.skipped) == (5, 0)
    assert [name for name, _ in report.failed] == ["broken.hea"]
    with CaseLibrary.open(out, ENCODER) as library:
        row = library.get(["day1/r3"])["day1/r3"]
        assert row.where == "ward/day1/r3.hea"
        assert row.measurements.keys() == {"qrs_ms"} and row.statements == {}
    again = build_from_folder(recordings, None, encode, measure, out, ENCODER)
    assert (again.added, again.skipped, len(again.failed)) == (0, 5, 1)
    write(recordings, "day1/r3", 7)  # recorded anew under the old name
    third = build_from_folder(recordings, None, encode, measure, out, ENCODER)
    assert (third.added, third.replaced, third.skipped) == (0, 1, 4)
    with pytest.raises(ArtefactError):
        build_from_folder(recordings, None, encode, measure, out, "f" * 64)


def test_a_table_names_the_recordings(recordings: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(
        "File,ID,patient,Age,sex,statements\n"
        'day0/r0,a,P1,81,F,"AFIB;LVH:50"\n'
        "day1/r1.hea,b,P1,,male,NORM XYZ\n"
        "day0/r2,c,P2,430,?,\"{'SR': 0.0, 'IMI': 80.0}\"\n"
        "day0/none,d,P3,50,M,\n"
    )
    report = build_from_folder(recordings, table, encode, measure, str(tmp_path / "lib"), ENCODER)
    assert report.added == 3 and report.unknown_codes == {"XYZ": (3,)}
    assert [name for name, _ in report.failed] == ["day0/none"]
    with CaseLibrary.open(tmp_path / "lib") as library:
        rows = library.get("abc")
    assert [rows[i].statements for i in "abc"] == [{"AFIB": 100.0, "LVH": 50.0}, {"NORM": 100.0}, {"SR": 0.0, "IMI": 80.0}]
    assert [(rows[i].age_years, rows[i].sex) for i in "abc"] == [(81.0, "F"), (None, "M"), (None, None)]
    assert rows["a"].patient_key == rows["b"].patient_key != rows["c"].patient_key
    assert b"P1" not in (tmp_path / "lib" / "cases.sqlite").read_bytes()


def test_recordings_without_a_row_are_counted(recordings: Path, tmp_path: Path) -> None:
    """With their ending or without; a row that cannot be used is a row, and the table itself is no recording."""
    table = recordings / "table.csv"
    table.write_text("file,id\nday0/r0.hea,a\nday1/r1,b\nday0/r2,a\n")
    report = build_from_folder(recordings, table, encode, measure, str(tmp_path / "lib"), ENCODER)
    assert (report.added, report.without_row, [name for name, _ in report.failed]) == (2, 2, ["day0/r2"])
    assert build_from_folder(recordings, None, encode, measure, str(tmp_path / "other"), ENCODER).without_row == 0
    asked = [recordings / "day0" / "r2.hea", recordings / "day0" / "r4.hea"]
    (tmp_path / "few.csv").write_text("file,id\nr0,a\nr2,a\n")
    chosen = add_recordings(asked, tmp_path / "few.csv", lambda: Tools(encode, measure), str(tmp_path / "lib"), ENCODER)
    assert chosen.without_row == 0 and {name: why.split(";")[0] for name, why in chosen.failed} == {
        "r2": "Row 3 has the id of row 2", "r4": "It has no row in the table",
    }  # fmt: skip


def test_a_patient_s_own_cases_can_be_left_out(recordings: Path, tmp_path: Path) -> None:
    """With the key that the table gives, as `--patient` does, on this machine; the bare key opens nothing."""
    table = tmp_path / "table.csv"
    table.write_text("file,id,patient\nday0/r0,a,17.0\nday1/r1,b,17\nday0/r2,c,18\nday1/r3,d,\n")
    build_from_folder(recordings, table, encode, measure, str(tmp_path / "lib"), ENCODER)
    asked = read(recordings / "day0" / "r0.hea", patient="17")
    with CaseLibrary.open(tmp_path / "lib", ENCODER) as library:
        embedding = encode([asked])[0]
        found = {
            patient: {c.case_id for c in library.search(embedding, exclude_patient=patient)}
            for patient in (None, "17", asked.patient)
        }
    assert found == {None: {"b", "c", "d"}, "17": {"b", "c", "d"}, asked.patient: {"c", "d"}}
    assert asked.patient == hash_patient("17") != hash_patient("17", home=tmp_path / "another")


def test_every_format_of_a_folder_is_found(recordings: Path, tmp_path: Path) -> None:
    one = read(recordings / "day0" / "r0.hea")
    np.savez(recordings / "array.npz", signal_mv=one.signal_mv * 2, fs_hz=one.fs_hz, leads=np.array(one.leads))
    (recordings / "note.txt").write_text("no recording")
    for name in ("page.XML", "scan.dcm", "cart.scp", "sleep.edf", "rows.npy"):
        (recordings / name).write_bytes(b"damaged beyond reading")
    report = build_from_folder(recordings, None, encode, measure, str(tmp_path / "lib"), ENCODER)
    assert report.added == 6
    assert {name for name, _ in report.failed} == {"page.XML", "scan.dcm", "cart.scp", "sleep.edf", "rows.npy"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,age\nx,3\n", "one named file"),
        ("file,age\n,3\n", "no row that can be used: row 2 names no file"),
        ("", "none; one named file"),
        ("file,age,age\nx,3,3\n", "'age' stands twice"),
    ],
)
def test_a_table_that_cannot_be_used(recordings: Path, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        build_from_folder(recordings, tmp_path / "t.csv", encode, measure, str(tmp_path / "lib"), ENCODER)
    assert not (tmp_path / "lib").exists()


def test_one_recording_costs_only_itself(recordings: Path, tmp_path: Path) -> None:
    def picky_encode(ecgs: list[ECG]) -> NDArray[np.float32]:
        out = encode(ecgs)
        out[[i for i, e in enumerate(ecgs) if bad(e, 2)]] = np.nan
        return out

    def bad(ecg: ECG, hertz: int) -> bool:
        return int(np.abs(np.fft.rfft(ecg.signal_mv[0])).argmax()) == 10 * (1 + hertz)

    def picky_measure(ecg: ECG) -> Measurements:
        if bad(ecg, 4):
            raise IndexError("list index out of range")
        return measure(ecg)

    report = build_from_folder(recordings, None, picky_encode, picky_measure, str(tmp_path / "lib"), ENCODER)
    assert report.added == 3
    assert {name for name, _ in report.failed} == {"day0/r2.hea", "day0/r4.hea"}
    assert any(reason.startswith("IndexError") for _, reason in report.failed)


def test_broken_off_and_taken_up(recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.build.BATCH", 2)
    calls = 0

    def stops(ecgs: list[ECG]) -> NDArray[np.float32]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return encode(ecgs)

    with pytest.raises(KeyboardInterrupt):
        build_from_folder(recordings, None, stops, measure, str(tmp_path / "lib"), ENCODER)
    report = build_from_folder(recordings, None, encode, measure, str(tmp_path / "lib"), ENCODER)
    assert (report.added, report.skipped) == (3, 2)


def small_ptbxl(folder: Path) -> PtbXl:
    table = pd.DataFrame(
        {
            "patient_id": [11.0, 11.0, 12.0],
            "age": [56.0, 300.0, np.nan],
            "sex": [1, 0, 1],
            "filename_lr": [f"records100/00000/0000{i}_lr" for i in (1, 2, 3)],
        },
        index=pd.Index([1, 2, 3], name="ecg_id"),
    )
    likelihoods = np.full((3, len(CODES)), np.nan, np.float32)
    likelihoods[0, [CODES.index("SR"), CODES.index("NORM")]] = 0, 80
    likelihoods[1, CODES.index("PRC(S)")] = 0
    return PtbXl(folder, table, (~np.isnan(likelihoods)).astype(np.uint8), likelihoods)


def test_ptbxl(tmp_path: Path) -> None:
    ptbxl = small_ptbxl(tmp_path)
    embeddings = np.random.default_rng(0).normal(size=(3, 256))
    build_from_ptbxl(ptbxl, embeddings, {"qrs_ms": np.array([88.0, np.nan, 140.4])}, tmp_path / "lib", ENCODER)
    with CaseLibrary.open(tmp_path / "lib", ENCODER) as library:
        (case,) = library.search(embeddings[0], k=1, exclude_near_duplicates=False)
        assert (case.case_id, case.age_years, case.sex) == ("1", 56.0, "F")
        assert list(case.statements.items()) == [("NORM", 80.0), ("SR", 0.0)]
        assert case.where == "PTB-XL 1.0.3 records100/00000/00001_lr"
        rows = library.get("123")
        assert [rows[i].age_years for i in "123"] == [56.0, 90.0, None]
        assert [rows[i].measurements for i in "123"] == [{"qrs_ms": 88.0}, {}, {"qrs_ms": 140.0}]
        assert {c.case_id for c in library.search(embeddings[0], exclude_patient=11)} == {"3"}
        assert library.store.notes["licence"] == "CC BY 4.0"  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="one row for each"):
        build_from_ptbxl(ptbxl, embeddings[:2], {}, tmp_path / "lib", ENCODER)
    with pytest.raises(InputError, match="cat_ms"):
        build_from_ptbxl(ptbxl, embeddings, {"cat_ms": np.zeros(3)}, tmp_path / "lib", ENCODER)


def test_ptbxl_for_real(ecg_data: Path, tmp_path: Path) -> None:
    """Every row of a fold goes in, comes back as the table has it, and the library keeps to its size."""
    ptbxl = load_ptbxl(ecg_data / "ptb-xl", folds=(1,))
    rng = np.random.default_rng(0)
    table = {name: rng.normal(100, 30, len(ptbxl)) for name in MEASUREMENT_NAMES}
    build_from_ptbxl(ptbxl, rng.normal(size=(len(ptbxl), 256)), table, tmp_path / "lib", ENCODER)
    assert sum(p.stat().st_size for p in (tmp_path / "lib").iterdir()) / len(ptbxl) < 10 * 2**20 / 17_418  # folds 1-8: 10 MB
    with CaseLibrary.open(tmp_path / "lib") as library:
        assert library.count == len(ptbxl) > 2_000
        assert len(library.store.matching_ids(None)) == library.count
        afib = {str(i) for i, row in zip(ptbxl.ids, ptbxl.labels, strict=True) if row[CODES.index("AFIB")]}
        assert set(library.store.matching_ids(parse("statement=AFIB"))) == afib
        table_rows = zip(ptbxl.ids, ptbxl.table["sex"], ptbxl.table["age"], strict=True)
        women = {str(i) for i, sex, age in table_rows if sex == 1 and age > 80}
        assert set(library.store.matching_ids(parse("sex=F and age>80"))) == women


def test_ptbxls_own_table_is_known(tmp_path: Path) -> None:
    for i in (1, 2):
        write(tmp_path / "set", f"records100/00000/0000{i}_lr", i)
    small_ptbxl(tmp_path).table.iloc[:2].assign(scp_codes=["{'NORM': 80.0, 'SR': 0.0}", "{'AFIB': 0.0}"]).to_csv(
        tmp_path / "set" / "ptbxl_database.csv"
    )
    report = build_from_folder(tmp_path / "set", None, encode, measure, str(tmp_path / "lib"), ENCODER)
    assert (report.added, report.failed) == (2, ())
    with CaseLibrary.open(tmp_path / "lib") as library:
        rows = library.get("12")
    assert [(rows[i].age_years, rows[i].sex, rows[i].statements) for i in "12"] == [
        (56.0, "F", {"NORM": 80.0, "SR": 0.0}),
        (90.0, "M", {"AFIB": 0.0}),
    ]
