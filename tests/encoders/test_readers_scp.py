"""SCP-ECG: what a record holds comes back step by step; what was left out comes back closely; who it is about never does."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import RecordingError
from encoders.readers.scp import is_scp, read_scp

Steps = NDArray[np.int64]
EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def steps_of(ecg: ECG, nanovolts: int = 2500) -> Steps:
    return np.rint(ecg.signal_mv.astype(np.float64) * 1e6 / nanovolts).astype(np.int64)


def millivolts(steps: Steps, nanovolts: int = 2500) -> NDArray[np.float32]:
    return (steps * nanovolts * 1e-6).astype(np.float32)


@pytest.fixture(scope="module")
def heart(request: pytest.FixtureRequest) -> Steps:
    """Eight leads of 4 s at 500 Hz in steps of 2.5 µV."""
    make = request.getfixturevalue("synthetic_ecg")
    return steps_of(make(seconds=4.0).select(EIGHT))


def own_tables(scp_writer: ModuleType) -> list[list[Any]]:
    """Two tables: small numbers in the first, all others in the second, each with a way to the other."""
    row = scp_writer.CodeRow
    small = [row("0", 0, 0), row("10", 0, 1), row("110", 0, -1), row("1110", 4, 0), row("1111", 0, 2, True)]
    large = [row("0", 0, 1, True), row("10", 8, 300), row("11", 16, 0)]
    return [small, large]


def one_table(scp_writer: ModuleType) -> list[list[Any]]:
    row = scp_writer.CodeRow
    return [[row("11", 4, -3), row("10", 0, 40), row("01", 9, 0), row("000", 12, 0), row("001011", 32, 0)]]


@pytest.mark.parametrize("differences", [0, 1, 2])
@pytest.mark.parametrize("coding", ["none", "default", "one own table", "two own tables"])
def test_every_coding_is_read_back_step_by_step(
    tmp_path: Path, scp_writer: ModuleType, heart: Steps, differences: int, coding: str
) -> None:
    tables = {"one own table": one_table(scp_writer), "two own tables": own_tables(scp_writer)}.get(coding, coding)
    file = scp_writer.write_scp(tmp_path / "rec.scp", scp_writer.ScpRecord(heart, EIGHT, differences=differences, coding=tables))
    got = read_scp(file)
    assert got.leads == STANDARD_LEADS and got.fs_hz == 500 and got.source == "scp"
    for row, name in enumerate(EIGHT):
        np.testing.assert_array_equal(got.lead(name), millivolts(heart[row]), err_msg=name)


@pytest.mark.parametrize("differences", [0, 1, 2])
@pytest.mark.parametrize("coding", ["none", "default"])
def test_the_largest_jumps_survive(tmp_path: Path, scp_writer: ModuleType, differences: int, coding: str) -> None:
    rng = np.random.default_rng(3)
    steps = rng.integers(-32768, 32768, (3, 700))
    steps[0, :4] = [32767, -32768, 32767, -32768]
    file = scp_writer.write_scp(
        tmp_path / "jump.scp", scp_writer.ScpRecord(steps, ("I", "II", "V1"), differences=differences, coding=coding)
    )
    got = read_scp(file)
    for row, name in enumerate(("I", "II", "V1")):
        np.testing.assert_array_equal(got.lead(name), millivolts(steps[row]))


@pytest.mark.parametrize("seed", range(8))
def test_any_prefix_code_is_decoded(tmp_path: Path, scp_writer: ModuleType, seed: int) -> None:
    rng = np.random.default_rng(seed)
    prefixes = ["0", "1"]
    for _ in range(14):  # split a code in two until there are sixteen
        longest = prefixes.pop(int(rng.integers(len(prefixes))))
        prefixes += [longest + "0", longest + "1"]
    values = [int(v) for v in rng.choice(np.arange(-3000, 3000), len(prefixes) - 1, replace=False)]
    table = [scp_writer.CodeRow(p, 0, v) for p, v in zip(prefixes[1:], values, strict=True)] + [
        scp_writer.CodeRow(prefixes[0], 14, 0)
    ]
    steps = np.where(rng.random((2, 900)) < 0.7, rng.choice(values, (2, 900)), rng.integers(-8000, 8000, (2, 900)))
    record = scp_writer.ScpRecord(steps.astype(np.int64), ("I", "V1"), differences=0, coding=[table])
    got = read_scp(scp_writer.write_scp(tmp_path / "own.scp", record))
    np.testing.assert_array_equal(got.signal_mv, millivolts(steps))


def beats_of(n_samples: int, protect: bool = True) -> list[tuple[int, int, int, int, int, int]]:
    """Beats each 500 samples; the second is of another kind; the last zone runs over the recording's end."""
    rows = []
    for number, peak in enumerate(range(201, n_samples + 1, 500)):
        area = (peak - 25, peak + 30) if protect else (0, 0)
        rows.append((int(number == 1), max(1, peak - 150), peak, min(n_samples, peak + 250), *area))
    return rows


@pytest.mark.parametrize("reference_nanovolts", [2500, 5000])
@pytest.mark.parametrize("coding", ["none", "default"])
def test_a_subtracted_reference_beat_is_added_again(
    tmp_path: Path, scp_writer: ModuleType, heart: Steps, coding: str, reference_nanovolts: int
) -> None:
    reference = heart[:, 60:460] * 2500 // reference_nanovolts
    record = scp_writer.ScpRecord(
        heart,
        EIGHT,
        coding=coding,
        differences=1,
        reference=reference,
        reference_nanovolts=reference_nanovolts,
        fiducial=141,
        beats=beats_of(heart.shape[1]),
        subtract=True,
    )
    got = read_scp(scp_writer.write_scp(tmp_path / "rec.scp", record))
    for row, name in enumerate(EIGHT):
        np.testing.assert_allclose(got.lead(name), millivolts(heart[row]), atol=1e-6, err_msg=name)
    plain = tmp_path / "plain.scp"
    scp_writer.write_scp(plain, scp_writer.ScpRecord(heart, EIGHT, coding=coding, differences=1))
    assert (tmp_path / "rec.scp").read_bytes() != plain.read_bytes()


def test_a_reference_beat_that_was_not_subtracted_is_not_added(tmp_path: Path, scp_writer: ModuleType, heart: Steps) -> None:
    record = scp_writer.ScpRecord(heart, EIGHT, reference=heart[:, 60:460], fiducial=141, beats=beats_of(heart.shape[1]))
    got = read_scp(scp_writer.write_scp(tmp_path / "rec.scp", record))
    np.testing.assert_array_equal(got.lead("V4"), millivolts(heart[EIGHT.index("V4")]))


@pytest.mark.parametrize("factor", [2, 4])
def test_samples_left_out_between_beats_are_drawn_in(
    tmp_path: Path, scp_writer: ModuleType, synthetic_ecg: Callable[..., ECG], factor: int
) -> None:
    heart = steps_of(synthetic_ecg(seconds=4.0, noise_mv=0.0).select(EIGHT))
    beats = beats_of(heart.shape[1])
    record = scp_writer.ScpRecord(
        heart, EIGHT, reference=heart[:, 60:460], fiducial=141, beats=beats, subtract=True, factor=factor, differences=1
    )
    got = read_scp(scp_writer.write_scp(tmp_path / "thin.scp", record))
    assert got.fs_hz == 500 and got.n_samples == heart.shape[1]
    inside = np.zeros(heart.shape[1], bool)
    for *_, start, end in beats:
        inside[start - 1 : end] = True
    for row, name in enumerate(EIGHT):
        error = got.lead(name) - millivolts(heart[row])
        assert np.abs(error[inside]).max() < 1e-6, name
        assert np.sqrt(np.mean(error[~inside] ** 2)) < 0.006, name


def test_straight_lines_come_back_without_delay(tmp_path: Path, scp_writer: ModuleType) -> None:
    """Groups of four are averaged in the middle of the group, so a ramp comes back where it was."""
    ramp = np.tile(4 * np.arange(1200), (1, 1))
    record = scp_writer.ScpRecord(
        ramp, ("II",), reference=np.zeros((1, 100), np.int64), beats=[(0, 1, 500, 1200, 480, 529)], factor=4, differences=1
    )
    got = read_scp(scp_writer.write_scp(tmp_path / "ramp.scp", record)).lead("II")
    error = got - millivolts(ramp[0])
    assert np.abs(error[479:529]).max() < 1e-6
    assert np.abs(error[8:470]).max() < 0.0026 and np.abs(error[540:1190]).max() < 0.0026  # half a step, from rounding


def test_leads_one_after_the_other_leave_gaps(tmp_path: Path, scp_writer: ModuleType, heart: Steps) -> None:
    record = scp_writer.ScpRecord(heart[:2, :500], ("V1", "V2"), firsts=(1, 401))
    got = read_scp(scp_writer.write_scp(tmp_path / "rec.scp", record))
    assert got.n_samples == 900
    assert np.isnan(got.lead("V1")[500:]).all() and np.isnan(got.lead("V2")[:400]).all()
    np.testing.assert_array_equal(got.lead("V2")[400:], millivolts(heart[1, :500]))


def test_leads_are_named_by_the_table_of_the_standard(tmp_path: Path, scp_writer: ModuleType, heart: Steps) -> None:
    numbers = ("V1", "-aVR", 66, 0, 31)
    got = read_scp(scp_writer.write_scp(tmp_path / "rec.scp", scp_writer.ScpRecord(heart[:5], numbers)))
    assert got.leads == ("aVR", "V1", "V8", "ch4", "ch5")
    np.testing.assert_array_equal(got.lead("aVR"), -millivolts(heart[1]))
    twice = scp_writer.write_scp(tmp_path / "twice.scp", scp_writer.ScpRecord(heart[:2], ("V1", "V1")))
    assert "V1 more than once" in sentence(lambda: read_scp(twice))


@pytest.mark.parametrize(
    ("interval_us", "fs_hz"), [(2000, 500), (1667, 600), (4000, 250), (3906, 256), (1000, 1000), (2003, 499.25)]
)
def test_the_rate_follows_from_whole_microseconds(
    tmp_path: Path, scp_writer: ModuleType, heart: Steps, interval_us: int, fs_hz: float
) -> None:
    got = read_scp(
        scp_writer.write_scp(tmp_path / "rec.scp", scp_writer.ScpRecord(heart[:2], ("I", "II"), interval_us=interval_us))
    )
    assert got.fs_hz == pytest.approx(fs_hz, abs=0.01)


def date(year: int, month: int, day: int) -> bytes:
    return struct.pack("<HBB", year, month, day)


@pytest.mark.parametrize(
    ("fields", "age", "sex", "moment"),
    [
        ({4: struct.pack("<HB", 67, 1), 8: b"\x02"}, 67.0, "F", None),
        ({4: struct.pack("<HB", 18, 2), 8: b"\x01"}, 1.5, "M", None),
        ({5: date(1950, 6, 2), 25: date(2020, 6, 1), 26: bytes([13, 5, 59])}, 69.0, None, "2020-06-01T13:05:59"),
        ({4: struct.pack("<HB", 0, 1), 5: date(1950, 6, 2), 25: date(2020, 6, 2)}, 70.0, None, "2020-06-02"),
        ({5: date(1950, 6, 2)}, None, None, None),
        ({4: struct.pack("<HB", 999, 1), 8: b"\x09"}, None, None, None),
        ({25: b"\x07\xd0\x01\x01", 26: b"\0\0\0"}, None, None, None),  # an anonymised date, its bytes the wrong way round
        ({25: date(2020, 2, 30), 26: bytes([25, 0, 0])}, None, None, None),
    ],
)
def test_age_sex_and_time(
    tmp_path: Path, scp_writer: ModuleType, heart: Steps, fields: dict[int, bytes], age: float, sex: str, moment: str
) -> None:
    tags = b"".join(scp_writer.tag(number, value) for number, value in fields.items())
    got = read_scp(scp_writer.write_scp(tmp_path / "rec.scp", scp_writer.ScpRecord(heart[:2], ("I", "II"), tags=tags)))
    assert (got.age_years, got.sex, got.recorded_at) == (pytest.approx(age) if age else age, sex, moment)
    over = read_scp(tmp_path / "rec.scp", age_years=41, sex="F")
    assert (over.age_years, over.sex) == (41, "F")


def test_lengths_that_do_not_add_up_give_no_age(tmp_path: Path, scp_writer: ModuleType, heart: Steps) -> None:
    tags = scp_writer.tag(4, struct.pack("<HB", 67, 1)) + struct.pack("<BH", 0, 60000) + b"Mustermann"
    got = read_scp(scp_writer.write_scp(tmp_path / "rec.scp", scp_writer.ScpRecord(heart[:2], ("I", "II"), tags=tags)))
    assert got.age_years is None


def test_nobody_is_named(tmp_path: Path, scp_writer: ModuleType, heart: Steps) -> None:
    canaries = {n: f"canary{n:03}".encode() + b"\0" for n in (0, 1, 2, 3, 13, 16, 17, 18, 19, 20, 21, 22, 23, 30, 31, 35, 200)}
    fields = {**canaries, 5: date(1953, 8, 5), 8: b"\x02", 25: date(2002, 11, 22), 14: b"\0" * 36 + b"canarydevice\0" * 5}
    tags = b"".join(scp_writer.tag(number, value) for number, value in sorted(fields.items()))
    record = scp_writer.ScpRecord(
        heart, EIGHT, tags=tags, extra_sections={8: b"canarytext", 10: b"canarymeasure", 11: b"canarystate"}
    )
    file = scp_writer.write_scp(tmp_path / "canary.scp", record)
    got = read_scp(file)
    shown = f"{got!r} {got.leads} {got.recorded_at} {got.source} {got.sex} {got.age_years} {got.patient}"
    assert "canary" not in shown and "1953" not in shown and got.age_years == 49 and got.sex == "F"
    for cut in range(len(file.read_bytes()) - 1, 0, -97):  # no message names anybody either (the file's stem aside)
        damaged = tmp_path / "x.scp"
        damaged.write_bytes(file.read_bytes()[:cut])
        assert "canary" not in sentence(lambda damaged=damaged: read_scp(damaged))  # type: ignore[misc]


def sentence(action: Callable[[], object]) -> str:
    with pytest.raises(RecordingError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and "/" not in text
    return text


def with_checksum(content: bytes) -> bytes:
    return struct.pack("<H", binascii.crc_hqx(content[2:], 0xFFFF)) + content[2:]


def section_place(content: bytes, number: int) -> int:
    """Where a section's data begins."""
    return struct.unpack_from("<HII", content, 22 + 10 * number)[2] - 1 + 16


@pytest.mark.parametrize(
    ("section", "at", "new", "said"),
    [
        (3, 0, b"\0", "0 leads"),
        (3, 2, struct.pack("<II", 9, 9), "no samples"),
        (3, 6, struct.pack("<I", 60_000_000), "hours"),
        (3, 6, struct.pack("<I", 100_000), "fewer samples"),
        (6, 0, b"\0\0", "out of range"),
        (6, 2, b"\0\0", "out of range"),
        (6, 4, b"\x03", "out of range"),
        (6, 5, b"\x01", "lacks them"),
        (6, 6, b"\xff\xff", "cut off"),
        (2, 0, b"\x01\0", "Huffman"),
        (2, 0, b"\xff\x10", "4351 Huffman tables"),
        (3, 1, b"\x01", "lacks them"),
    ],
)
def test_nonsense_with_a_right_checksum_is_refused(
    tmp_path: Path, scp_writer: ModuleType, heart: Steps, section: int, at: int, new: bytes, said: str
) -> None:
    file = scp_writer.write_scp(tmp_path / "rec.scp", scp_writer.ScpRecord(heart[:2, :400], ("I", "II")))
    content = bytearray(file.read_bytes())
    place = section_place(bytes(content), section) + at
    content[place : place + len(new)] = new
    file.write_bytes(with_checksum(bytes(content)))
    assert said in sentence(lambda: read_scp(file))


def test_ambiguous_and_cut_off_tables_are_refused(tmp_path: Path, scp_writer: ModuleType, heart: Steps) -> None:
    row = scp_writer.CodeRow
    ambiguous = [[row("0", 16, 0), row("00", 0, 5)], [row("1", 0, 0)]]
    file = scp_writer.write_scp(tmp_path / "rec.scp", scp_writer.ScpRecord(heart[:2, :100], ("I", "II"), coding=ambiguous))
    assert "Huffman" in sentence(lambda: read_scp(file))
    nowhere = [[row("0", 16, 0), row("1", 0, 7, True)]]
    file = scp_writer.write_scp(tmp_path / "rec.scp", scp_writer.ScpRecord(heart[:2, :100], ("I", "II"), coding=nowhere))
    assert "Huffman" in sentence(lambda: read_scp(file))


def test_checksums_are_held_against_the_content(tmp_path: Path, scp_writer: ModuleType, heart: Steps) -> None:
    file = scp_writer.write_scp(tmp_path / "rec.scp", scp_writer.ScpRecord(heart, EIGHT))
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[-100] ^= 1
    file.write_bytes(bytes(flipped))
    assert "checksum" in sentence(lambda: read_scp(file))
    file.write_bytes(b"\xff\xff" + bytes(flipped[2:]))  # no checksum of the record: the section's own decides
    assert "checksum of section 6" in sentence(lambda: read_scp(file))
    file.write_bytes(b"\xff\xff" + whole[2:] + b"padding")
    assert read_scp(file).leads == STANDARD_LEADS
    file.write_bytes(whole[:-1])
    assert "announces" in sentence(lambda: read_scp(file))


def test_missing_sections_are_named(tmp_path: Path, scp_writer: ModuleType, heart: Steps) -> None:
    file = scp_writer.write_scp(tmp_path / "rec.scp", scp_writer.ScpRecord(heart, EIGHT))
    for number, said in ((3, "lead definition"), (6, "rhythm data")):
        content = bytearray(file.read_bytes())
        content[22 + 10 * number + 2 : 22 + 10 * number + 6] = b"\0\0\0\0"
        other = tmp_path / "other.scp"
        other.write_bytes(with_checksum(bytes(content)))
        assert said in sentence(lambda other=other: read_scp(other))  # type: ignore[misc]


def test_records_are_known_by_their_first_bytes(tmp_path: Path, scp_writer: ModuleType, heart: Steps) -> None:
    marked = scp_writer.write_scp(tmp_path / "a.scp", scp_writer.ScpRecord(heart[:2], ("I", "II"))).read_bytes()
    unmarked = scp_writer.write_scp(tmp_path / "b.scp", scp_writer.ScpRecord(heart[:2], ("I", "II"), marked=False)).read_bytes()
    assert is_scp(marked[:512]) and is_scp(unmarked[:512]) and b"SCPECG" not in unmarked
    assert not any(is_scp(head) for head in (b"", b"\0" * 512, marked[:20], b"%PDF-1.7" * 10, b"I_mV,II_mV\n" * 20))


def test_sample_records(ecg_data: Path) -> None:
    """Two makers' records: the derived limb leads hold to one step, sizes and rates are those of a resting ECG."""
    twelve = read_scp(ecg_data / "formats" / "ecgtoolkit_Example.scp")
    assert (twelve.fs_hz, twelve.duration_s, twelve.age_years, twelve.sex) == (500, 10, 49, "M")
    assert twelve.recorded_at == "2002-11-22T09:10:00" and "Clark" not in repr(twelve)
    eight = read_scp(ecg_data / "formats" / "scptools_ECG_20070321_110542_ANON000004.scp")
    assert (eight.fs_hz, eight.duration_s, eight.age_years, eight.sex) == (600, 10, 39, None)
    for got in (twelve, eight):
        one, two = got.lead("I").astype(float), got.lead("II").astype(float)
        derived = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
        assert got.leads == STANDARD_LEADS
        assert all(np.abs(got.lead(name) - values).max() < 0.0026 for name, values in derived.items())
        assert 0.3 < np.ptp(got.lead("V5")) < 4 and np.abs(got.signal_mv).max() < 4
