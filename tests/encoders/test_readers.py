"""Readers: formats, units, names, ages, and one sentence for everything that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import RecordingError
from encoders.readers import read, read_files

Maker = Callable[..., ECG]


def write_wfdb(
    folder: Path, ecg: ECG, name: str = "rec", unit: str = "mV", fmt: str = "16", comments: list[str] | None = None
) -> Path:
    scale = {"mV": 1.0, "uV": 1e3, "V": 1e-3}[unit]
    leads = ["AVR" if n == "aVR" else n.lower() for n in ecg.leads]
    wfdb.wrsamp(
        name,
        fs=ecg.fs_hz,
        units=[unit] * len(leads),
        sig_name=leads,
        p_signal=ecg.signal_mv.T.astype(float) * scale,
        fmt=[fmt] * len(leads),
        comments=comments or [],
        write_dir=str(folder),
    )
    return folder / f"{name}.hea"


def write_csv(file: Path, ecg: ECG, header: str | None = None, separator: str = ",", decimal: str = ".") -> Path:
    rows = [header or separator.join(f"{n}_mV" for n in ecg.leads)]
    rows += [separator.join(f"{v:.4f}".replace(".", decimal) for v in column) for column in ecg.signal_mv.T]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


def sentence(action: Callable[[], object]) -> str:
    with pytest.raises(RecordingError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and "/" not in text.replace("mV|uV|V", "").replace("and/or", "")
    return text


@pytest.mark.parametrize("unit", ["mV", "uV", "V"])
@pytest.mark.parametrize("fmt", ["16", "24", "32", "212"])
def test_wfdb_formats_and_units_give_the_same_millivolts(tmp_path: Path, synthetic_ecg: Maker, unit: str, fmt: str) -> None:
    ecg = synthetic_ecg(fs_hz=250.0)
    got = read(write_wfdb(tmp_path, ecg, unit=unit, fmt=fmt))
    assert got.leads == STANDARD_LEADS and got.fs_hz == 250.0 and got.source == "wfdb"
    np.testing.assert_allclose(got.signal_mv, ecg.signal_mv, atol=2e-3)


def test_wfdb_by_header_signal_file_or_bare_name(tmp_path: Path, synthetic_ecg: Maker) -> None:
    header = write_wfdb(tmp_path, synthetic_ecg())
    hashes = {read(p).content_hash() for p in (header, header.with_suffix(".dat"), header.with_suffix(""), str(header))}
    assert len(hashes) == 1


def test_missing_samples_stay_missing(tmp_path: Path, synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg()
    signal = ecg.signal_mv.copy()
    signal[3, 100:200] = np.nan
    got = read(write_wfdb(tmp_path, ECG(signal, 500.0, STANDARD_LEADS)))
    assert np.isnan(got.lead("aVR")[100:200]).all() and np.isfinite(got.lead("I")).all()


@pytest.mark.parametrize(
    ("comments", "age", "sex"),
    [
        (["Age: 56", "Sex: Female"], 56.0, "F"),
        (["<age>: 51", "<sex>: M"], 51.0, "M"),
        (["age: 81 sex: male"], 81.0, "M"),
        (["69 M 1085 1629 x1"], 69.0, "M"),
        (["Age: 300", "Sex: 1"], 90.0, None),
        (["Age: NaN", "Sex: Unknown", "Dosage: 40"], None, None),
        ([], None, None),
    ],
)
def test_age_and_sex_come_from_comments(
    tmp_path: Path, synthetic_ecg: Maker, comments: list[str], age: float | None, sex: str | None
) -> None:
    got = read(write_wfdb(tmp_path, synthetic_ecg(), comments=comments))
    assert (got.age_years, got.sex) == (age, sex)


def test_options_overrule_and_no_other_comment_survives(tmp_path: Path, synthetic_ecg: Maker) -> None:
    header = write_wfdb(tmp_path, synthetic_ecg(), comments=["Age: 56", "Name: Erika Mustermann", "Sex: F"])
    got = read(header, age_years=40, sex="M")
    assert (got.age_years, got.sex) == (40, "M")
    assert "Mustermann" not in repr(got)


def test_names_that_could_be_anyone_s_are_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(
        "time_s,II_mV,Erika Mustermann 1961 (mV),MLII_mV\n" + "".join(f"{i / 100},0.1,0.2,{i % 7}\n" for i in range(900))
    )
    assert read(file).leads == ("II", "ch2", "MLII")


def test_several_files_from_several_folders_are_one_recording(tmp_path: Path, synthetic_ecg: Maker) -> None:
    header = write_wfdb(tmp_path, synthetic_ecg())
    other = tmp_path / "other"
    other.mkdir()
    moved = header.with_suffix(".dat").rename(other / "rec.dat")
    assert read_files([moved, header]).leads == STANDARD_LEADS
    assert "No file" in sentence(lambda: read_files([]))
    second = write_wfdb(other, synthetic_ecg(), name="second")
    assert "one recording" in sentence(lambda: read_files([header, second]))


def test_csv_with_units_in_the_header_and_a_time_column(tmp_path: Path, synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg(fs_hz=250.0)
    file = tmp_path / "a.csv"
    header = "time_s," + ",".join(f"{n} (uV)" for n in reversed(ecg.leads))
    rows = [",".join([f"{i / 250:.3f}"] + [f"{1000 * v:.2f}" for v in col[::-1]]) for i, col in enumerate(ecg.signal_mv.T)]
    file.write_text("\n".join([header, *rows]))
    got = read(file)
    assert got.fs_hz == 250.0 and got.leads == STANDARD_LEADS
    np.testing.assert_allclose(got.signal_mv, ecg.signal_mv, atol=1e-4)


def test_csv_with_semicolons_and_decimal_commas(tmp_path: Path, synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg()
    got = read(
        write_csv(tmp_path / "a.csv", ecg, separator=";", decimal=",", header=";".join(STANDARD_LEADS)), fs_hz=500, unit="mV"
    )
    np.testing.assert_allclose(got.signal_mv, ecg.signal_mv, atol=1e-4)


def test_csv_refuses_to_guess_unit_and_rate(tmp_path: Path, synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg(seconds=3.0)
    bare = write_csv(tmp_path / "bare.csv", ecg, header=",".join(ecg.leads))
    # One message for the command line, the service and the page: it names the file and the thing to give, no option.
    assert sentence(lambda: read(bare, fs_hz=500)).startswith("bare.csv does not say its unit; ")
    assert "give the sampling rate in Hz" in sentence(lambda: read(bare, unit="mV"))
    assert read(bare, unit="uV", fs_hz=500).signal_mv == pytest.approx(ecg.signal_mv / 1000, abs=1e-6)
    assert "furlong" in sentence(lambda: read(bare, unit="furlong", fs_hz=500))
    stated = write_csv(tmp_path / "stated.csv", ecg)
    assert "leave the unit out" in sentence(lambda: read(stated, unit="uV", fs_hz=500))


def test_a_text_that_is_no_table_of_leads_is_not_asked_for_its_unit(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear colleague, thank you\nfor seeing this patient,\nwho was well.\n")
    said = sentence(lambda: read(letter))
    assert said.startswith("letter.txt is no ECG table: ") and "unit" not in said and "--" not in said
    # One lead among other columns, or one unit, makes a table.
    for header in ("remark,II", "remark,other_mV"):
        letter.write_text(f"{header}\n" + "1,2\n" * 5)
        assert "does not say its unit" in sentence(lambda: read(letter))


def test_limb_leads_are_derived_from_i_and_ii(tmp_path: Path, synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg(noise_mv=0.0)
    eight = ecg.select(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))
    got = read(write_csv(tmp_path / "eight.csv", eight), fs_hz=500)
    assert got.leads == STANDARD_LEADS
    np.testing.assert_allclose(got.signal_mv, ecg.signal_mv, atol=3e-4)


def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path: Path, synthetic_ecg: Maker) -> None:
    header = write_wfdb(tmp_path, synthetic_ecg(), name="whole")
    folder = tmp_path / "folder"
    folder.mkdir()
    alone = tmp_path / "alone.hea"
    alone.write_text(header.read_text().replace("whole", "alone"))
    files = {
        "empty.csv": b"",
        "junk.csv": bytes(range(256)) * 40,
        "photo.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
        "page.xml": b"\n<?xml version='1.0'?>",
    }
    files |= {"numbers.csv": b"1,2,3\n4,5,6\n7,8,9\n", "head.csv": b"I_mV,II_mV\n", "words.csv": b"I_mV,II_mV\n1,x\n2,3\n4,5\n"}
    files |= {"short.csv": b"I_mV,II_mV\n1,2\n2\n", "lonely.dat": b"\1\2" * 100, "empty.hea": b"", "junk.hea": b"hello\n\0\1"}
    files |= {
        "nan.csv": b"I_mV,II_mV\n" + b"nan,nan\n" * 900,
        "outside.hea": b"outside 1 100 1000\n../../etc/hosts 16 200 16 0 0 0 0 I\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        text = sentence(lambda name=name: read(tmp_path / name, fs_hz=100))  # type: ignore[misc]
        assert str(tmp_path) not in text and Path(name).stem in text
    assert "folder" in sentence(lambda: read(folder))
    assert "no file" in sentence(lambda: read(tmp_path / "nowhere.hea"))
    assert "beside" in sentence(lambda: read(alone))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_table_in_utf_16_is_said_to_be_one(tmp_path: Path, synthetic_ecg: Maker, encoding: str) -> None:
    file = write_csv(tmp_path / "sheet.csv", synthetic_ecg())
    file.write_bytes(file.read_text(encoding="utf-8").encode(encoding))
    assert "UTF-16; save it as UTF-8" in sentence(lambda: read(file, fs_hz=500))
    file.write_bytes(np.arange(-500, 500, dtype="<i2").tobytes())  # numbers of two bytes are no text, however small
    assert "UTF-16" not in sentence(lambda: read(file, fs_hz=500))


def test_long_recordings_are_refused_before_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "holter.hea").write_text("holter 1 250 21600000\nholter.dat 16 200 16 0 0 0 0 I\n")
    (tmp_path / "holter.dat").write_bytes(b"\0\0" * 100)
    assert "24.0 hours" in sentence(lambda: read(tmp_path / "holter", long=True))


def test_a_quarter_of_an_hour_is_read_where_each_beat_counts_alone(tmp_path: Path, synthetic_ecg: Maker) -> None:
    """Reports are for resting recordings of up to ten minutes; waves can be had of excerpts of Holter recordings too."""
    ten_s = synthetic_ecg(fs_hz=250.0).select(("II", "V5"))
    header = write_wfdb(tmp_path, replace(ten_s, signal_mv=np.tile(ten_s.signal_mv, 90)))
    assert "15.0 minutes" in sentence(lambda: read(header))
    assert read(header, long=True).duration_s == 900.0


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """A truncated, flipped, grown or overwritten copy."""
    kind, at = rng.integers(4), int(rng.integers(len(content)))
    if kind == 0:
        return content[:at]
    if kind == 1:
        flipped = bytearray(content)
        for place in rng.integers(len(content), size=int(rng.integers(1, 8))):
            flipped[place] ^= 1 << int(rng.integers(8))
        return bytes(flipped)
    if kind == 2:
        return content[:at] + rng.bytes(int(rng.integers(1, 200))) + content[at:]
    return content[:at] + rng.bytes(min(50, len(content) - at)) + content[at + 50 :]


@pytest.mark.parametrize("part", [".hea", ".dat", ".csv"])
def test_damaged_copies_are_read_or_refused_in_one_sentence(tmp_path: Path, synthetic_ecg: Maker, part: str) -> None:
    ecg = synthetic_ecg(fs_hz=100.0, seconds=4.0)
    header = write_wfdb(tmp_path, ecg, comments=["Age: 56"])
    table = write_csv(tmp_path / "rec.csv", ecg)
    target = table if part == ".csv" else header.with_suffix(part)
    whole, rng = target.read_bytes(), np.random.default_rng(7)
    refused = 0
    for _ in range(100):
        target.write_bytes(damaged(whole, rng))
        try:
            got = read(target, fs_hz=100.0 if part == ".csv" else None)
        except RecordingError as error:
            refused += 1
            text = str(error)
            assert "\n" not in text and text.endswith(".") and str(tmp_path) not in text
        else:
            assert got.signal_mv.shape[0] == len(got.leads) and np.isfinite(got.signal_mv).any()
    assert refused > 12


def test_sample_records_are_read(ecg_data: Path) -> None:
    ptb = read(ecg_data / "formats" / "s0010_re.hea")
    assert ptb.leads == STANDARD_LEADS and ptb.fs_hz == 1000 and (ptb.age_years, ptb.sex) == (81, "F")
    ludb = read(ecg_data / "ludb" / "data" / "1.hea")
    assert ludb.leads == STANDARD_LEADS and (ludb.age_years, ludb.sex) == (51, "F")


@pytest.mark.parametrize("line", ["r 1 500 " + "9" * 400, "r 1 " + "9" * 400 + " 1000", "r/2 1 500 " + "9" * 400])
def test_numbers_beyond_all_bounds_in_a_wfdb_header_get_one_sentence(tmp_path: Path, line: str) -> None:
    (tmp_path / "r.hea").write_text(f"{line}\nr.dat 16 200/mV 16 0 0 0 0 I\n")
    (tmp_path / "r.dat").write_bytes(b"\1\0" * 1000)
    with pytest.raises(RecordingError) as refused:
        read(tmp_path / "r.hea")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 200
