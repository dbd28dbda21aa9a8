"""XML readers: GE MUSE, Philips and HL7 aECG give the millivolts that were written, and bad XML one sentence."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import RecordingError
from encoders.readers import read

Maker = Callable[..., ECG]
EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(RecordingError) as caught:
        read(path, **options)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and "/" not in text and path.stem in text
    return text


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def ecg(synthetic_ecg: Maker) -> ECG:
    return synthetic_ecg(seconds=4.0)


@pytest.fixture(scope="module")
def texts(writers: ModuleType, xml_writers: ModuleType, ecg: ECG) -> dict[str, bytes]:
    """The same recording in every format."""
    given = (ecg.signal_mv, ecg.fs_hz, ecg.leads)
    return {
        "muse": xml_writers.muse_xml(*given, who=writers.ERIKA),
        "philips": xml_writers.philips_xml(*given, who=writers.ERIKA),
        "aecg": xml_writers.aecg_xml(*given, who=writers.ERIKA),
    }


def test_one_recording_through_every_format_is_the_same(tmp_path: Path, texts: dict[str, bytes], ecg: ECG) -> None:
    for name, content in texts.items():
        got = read(saved(tmp_path / "any.name", content))  # the content decides, not the ending
        assert (got.source, got.leads, got.fs_hz) == (name, STANDARD_LEADS, ecg.fs_hz)
        assert (got.age_years, got.sex, got.recorded_at) == (62, "F", "2024-03-05T14:30:15")
        np.testing.assert_allclose(got.signal_mv, ecg.signal_mv, atol=0.0051)


@pytest.mark.parametrize(("unit", "per_bit", "lsb_mv"), [("MICROVOLTS", 4.88, 4.88e-3), ("MILLIVOLTS", 0.001, 1e-3)])
def test_muse_units_and_derived_leads(
    tmp_path: Path, writers: ModuleType, xml_writers: ModuleType, ecg: ECG, unit: str, per_bit: float, lsb_mv: float
) -> None:
    eight = ecg.select(EIGHT)
    content = xml_writers.muse_xml(eight.signal_mv, 500, EIGHT, who=writers.NOBODY, unit=unit, per_bit=per_bit)
    got = read(saved(tmp_path / "m.xml", content))
    assert got.leads == STANDARD_LEADS
    np.testing.assert_allclose(got.select(EIGHT).signal_mv, eight.signal_mv, atol=0.51 * lsb_mv)
    one, two = got.lead("I"), got.lead("II")
    np.testing.assert_allclose(got.lead("III"), two - one, atol=1e-6)
    np.testing.assert_allclose(got.lead("aVR") + got.lead("aVL") + got.lead("aVF"), 0, atol=1e-6)
    np.testing.assert_allclose(got.signal_mv, ecg.signal_mv, atol=1.6 * lsb_mv)


def test_muse_rhythm_goes_before_the_median_beat(tmp_path: Path, texts: dict[str, bytes]) -> None:
    assert read(saved(tmp_path / "m.xml", texts["muse"])).duration_s == 4.0
    only_median = re.sub(rb"<Waveform><WaveformType>Rhythm.*</Waveform>", b"", texts["muse"], flags=re.DOTALL)
    assert "no rhythm waveform" in refusal(saved(tmp_path / "m.xml", only_median))


def test_muse_checksum_finds_a_changed_sample(tmp_path: Path, texts: dict[str, bytes]) -> None:
    at = texts["muse"].rindex(b"<WaveFormData>") + 40
    other = b"A" if texts["muse"][at : at + 1] != b"A" else b"B"
    assert "checksum" in refusal(saved(tmp_path / "m.xml", texts["muse"][:at] + other + texts["muse"][at + 1 :]))


@pytest.mark.parametrize("version", ["1.03", "1.04"])
@pytest.mark.parametrize("pulse", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_philips_versions_packed_and_plain(
    tmp_path: Path, writers: ModuleType, xml_writers: ModuleType, ecg: ECG, version: str, pulse: bool, packed: bool
) -> None:
    content = xml_writers.philips_xml(
        ecg.signal_mv, 500, ecg.leads, who=writers.NOBODY, version=version, packed=packed, pulse=pulse, encoding="utf-8"
    )
    got = read(saved(tmp_path / "p.xml", content))
    # The calibration pulse of 1 mV at the end is no heartbeat.
    assert got.duration_s == pytest.approx(4.0, abs=0.01) and got.leads == STANDARD_LEADS
    np.testing.assert_allclose(got.signal_mv[:, :1990], ecg.signal_mv[:, :1990], atol=0.0026)


def test_philips_compression_holds_for_any_signal(tmp_path: Path, writers: ModuleType, xml_writers: ModuleType) -> None:
    rng = np.random.default_rng(5)
    steps = (1, 30, 2000)  # from nearly flat to every table entry used
    for step in steps:
        counts = np.clip(np.cumsum(rng.integers(-step, step + 1, (12, 700)), axis=1), -8000, 8000)
        content = xml_writers.philips_xml(counts / 1000, 500, STANDARD_LEADS, who=writers.NOBODY, resolution_uv=1.0)
        got = read(saved(tmp_path / "p.xml", content))
        np.testing.assert_allclose(got.signal_mv, counts[:, : got.n_samples] / 1000, atol=1e-5)
        assert got.n_samples == 700


@pytest.mark.parametrize(("unit", "scale"), [("nV", 2500.0), ("uV", 2.5), ("mV", 0.0025), ("V", 2.5e-6)])
def test_aecg_units_scale_and_origin(
    tmp_path: Path, writers: ModuleType, xml_writers: ModuleType, ecg: ECG, unit: str, scale: float
) -> None:
    content = xml_writers.aecg_xml(
        ecg.signal_mv, 500, ecg.leads, who=writers.NOBODY, unit=unit, scale=scale, origin=40 * scale
    )
    got = read(saved(tmp_path / "a.xml", content))
    np.testing.assert_allclose(got.signal_mv, ecg.signal_mv, atol=0.00126)
    assert (got.fs_hz, got.age_years, got.sex) == (500, None, None)


def test_aecg_leads_one_after_the_other_are_set_on_one_time_line(
    tmp_path: Path, writers: ModuleType, xml_writers: ModuleType, ecg: ECG
) -> None:
    groups = [(STANDARD_LEADS[:6], 0.0), (STANDARD_LEADS[6:], 4.0)]
    got = read(saved(tmp_path / "a.xml", xml_writers.aecg_xml(ecg.signal_mv, 500, ecg.leads, who=writers.NOBODY, groups=groups)))
    assert got.n_samples == 4000
    assert np.isnan(got.lead("I")[2000:]).all() and np.isnan(got.lead("V1")[:2000]).all()
    np.testing.assert_allclose(got.lead("V1")[2000:], ecg.lead("V1"), atol=0.00126)


#: Latin-1 without a declaration is left out: nothing tells it from UTF-8.
ENCODINGS = [
    (encoding, declared)
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1")
    for declared in ("same", "utf-16", "none")
    if (encoding, declared) != ("latin-1", "none")
]


@pytest.mark.parametrize(("encoding", "declared"), ENCODINGS)
def test_encodings_and_byte_order_marks(tmp_path: Path, texts: dict[str, bytes], encoding: str, declared: str) -> None:
    words = {"same": {"utf-8-sig": "utf-8", "latin-1": "iso-8859-1"}.get(encoding, encoding[:6].rstrip("-")), "utf-16": "utf-16"}
    line = f'<?xml version="1.0" encoding="{words[declared]}"?>' if declared in words else ""
    text = re.sub(r"<\?xml.*?\?>", line, texts["aecg"].decode(), count=1).lstrip()
    got = read(saved(tmp_path / "a.xml", text.encode(encoding)))
    assert got.leads == STANDARD_LEADS and got.sex == "F"


LAUGHS = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(9))


@pytest.mark.parametrize(
    "doctype",
    [
        f'<!DOCTYPE AnnotatedECG [<!ENTITY a0 "ha">{LAUGHS}]>',
        '<!DOCTYPE AnnotatedECG [<!ENTITY a9 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE AnnotatedECG [<!ENTITY % a9 SYSTEM "file:///etc/passwd"> %a9;]>',
    ],
)
def test_entities_are_refused(tmp_path: Path, doctype: str) -> None:
    text = f'<?xml version="1.0"?>{doctype}<AnnotatedECG><component>&a9;</component></AnnotatedECG>'
    assert "unsafe" in refusal(saved(tmp_path / "bomb.xml", text.encode()))


def test_bounds_on_depth_and_elements(tmp_path: Path) -> None:
    deep = "<a>" * 5000 + "</a>" * 5000
    assert "nested" in refusal(saved(tmp_path / "deep.xml", f"<RestingECG>{deep}</RestingECG>".encode()))
    many = "<a/>" * 50_001
    assert "elements" in refusal(saved(tmp_path / "many.xml", f"<RestingECG>{many}</RestingECG>".encode()))
    unknown = b'<?xml version="1.0" encoding="klingon"?><RestingECG/>'
    assert "encoding" in refusal(saved(tmp_path / "k.xml", unknown))
    assert "HTML" in refusal(saved(tmp_path / "page.xml", b"<!DOCTYPE html>\n<html><body></body></html>"))
    assert "of no kind" in refusal(saved(tmp_path / "other.xml", b"<svg/>"))
    late = b"<!--" + b"x" * 20_000 + b"--><RestingECG/>"
    assert "no rhythm" in refusal(saved(tmp_path / "late.xml", late))


@pytest.mark.parametrize(
    ("kind", "pattern", "instead", "said"),
    [
        ("muse", b"<SampleBase>500", b"<SampleBase>none", "sampling rate"),
        ("muse", b"<SampleExponent>0", b"<SampleExponent>9999", "sampling rate"),
        ("muse", b"MICROVOLTS", b"PARSEC", "microvolts"),
        ("muse", b"UnitsPerBit>4.88", b"UnitsPerBit>-1", "microvolts"),
        ("muse", b"<LeadSampleSize>2", b"<LeadSampleSize>4", "2 bytes"),
        ("muse", b"<LeadSampleCountTotal>2000", b"<LeadSampleCountTotal>2001", "shorter than announced"),
        ("muse", b"<LeadID>II<", b"<LeadID>I<", "more than once"),
        ("muse", b"<LeadTimeOffset>0", b"<LeadTimeOffset>7", "begin and end"),
        ("philips", b"PhilipsECG", b"OtherECG", "of a known kind"),
        ("philips", b"<documentversion>1.04", b"<documentversion>9.99", "of a known kind"),
        ("philips", b'samplespersecond="500"', b'samplespersecond="0.0"', "sampling rate"),
        ("philips", b'compression="XLI"', b'compression="ZIP"', "unknown way"),
        ("philips", b'dataencoding="Base64"', b'dataencoding="Plain"', "Base64"),
        ("philips", b'durationperchannel="4', b'durationperchannel="9', "shorter than announced"),
        ("philips", b'durationperchannel="4', b'durationperchannel="', "far more than announced"),
        ("philips", b'durationperchannel="4', b'durationperchannel="400000', "long; resting"),
        ("philips", b" V6", b"", "name its leads"),
        ("aecg", b'"RHYTHM"', b'"OTHER"', "no rhythm"),
        ("aecg", b'unit="ms"', b'unit="parsec"', "time between samples"),
        ("aecg", b'increment value="2"', b'increment value="0"', "time between samples"),
        ("aecg", b'unit="uV"', b'unit="mm"', "no scale"),
        ("aecg", b'<scale value="2.5"', b'<scale value="inf"', "no scale"),
        ("aecg", b"SLIST_PQ", b"GLIST_PQ", "SLIST_PQ"),
        ("aecg", b"</digits>", b" one</digits>", "no number"),
        ("aecg", b"LEAD_II\"", b"LEAD_I\"", "twice"),
    ],
)
def test_what_a_file_does_not_say_is_refused(
    tmp_path: Path, texts: dict[str, bytes], kind: str, pattern: bytes, instead: bytes, said: str
) -> None:
    encoding = "utf-16" if kind == "philips" else "utf-8"
    text = texts[kind].decode(encoding)
    last = kind == "muse" and pattern.startswith(b"<LeadTime")
    changed = text.replace(pattern.decode(), instead.decode(), 1) if last else text.replace(pattern.decode(), instead.decode())
    assert changed != text
    if last:  # one lead of the rhythm only
        head, _, tail = text.rpartition(pattern.decode())
        changed = head + instead.decode() + tail
    assert said in refusal(saved(tmp_path / "x.xml", changed.encode(encoding)))


def test_ages_are_those_of_the_day_of_recording(
    tmp_path: Path, writers: ModuleType, xml_writers: ModuleType, synthetic_ecg: Maker
) -> None:
    short = synthetic_ecg(seconds=1.0, fs_hz=250.0)
    given = (short.signal_mv, 250, short.leads)
    ages = (((1961, 3, 5), 63), ((1961, 3, 6), 62), ((1928, 1, 1), 96), ((2025, 1, 1), None))
    for born, age in ages:
        who = replace(writers.ERIKA, birth_date=dt.date(*born))
        for write in (xml_writers.muse_xml, xml_writers.philips_xml, xml_writers.aecg_xml):
            file = saved(tmp_path / "x.xml", write(*given, who=who))
            assert read(file).age_years == age
            assert read(file, age_years=5, sex="M").age_years == 5 and read(file, sex="M").sex == "M"


def test_damaged_copies_are_read_or_refused_in_one_sentence(
    tmp_path: Path, writers: ModuleType, xml_writers: ModuleType, synthetic_ecg: Maker
) -> None:
    rng = np.random.default_rng(3)
    short = synthetic_ecg(seconds=1.0, fs_hz=250.0)
    given = (short.signal_mv, 250, short.leads)
    for write in (xml_writers.muse_xml, xml_writers.philips_xml, xml_writers.aecg_xml):
        whole = write(*given, who=writers.ERIKA)
        digits = np.flatnonzero((np.frombuffer(whole, np.uint8) >= 48) & (np.frombuffer(whole, np.uint8) <= 57))
        refused = 0
        for turn in range(80):
            content, at = bytearray(whole), int(rng.integers(len(whole)))
            if turn % 4 == 0:
                content = content[:at]
            elif turn % 4 == 1:
                for place in rng.integers(len(whole), size=5):
                    content[place] ^= 1 << int(rng.integers(8))
            elif turn % 4 == 2:
                content[at:at] = rng.bytes(int(rng.integers(1, 200)))
            else:
                for place in rng.choice(digits, 20):
                    content[place] = 48 + int(rng.integers(10))
            try:
                got = read(saved(tmp_path / "d.xml", bytes(content)))
            except RecordingError as error:
                refused += 1
                assert str(error).endswith(".") and "\n" not in str(error) and "Mustermann" not in str(error)
            else:
                assert got.signal_mv.shape[0] == len(got.leads) and np.isfinite(got.signal_mv).any()
        assert refused > 20


# Real files -----------------------------------------------------------------------------------------------------------


def qrs_span_mv(ecg: ECG, lead: str) -> float:
    """Median over beats of the largest minus the smallest value within 60 ms of R, found in the leads together."""
    x = ecg.signal_mv[[ecg.leads.index(name) for name in EIGHT if name != "V3"]].astype(float)
    slope = np.abs(np.diff(x, axis=1)).sum(axis=0)
    half = int(0.06 * ecg.fs_hz)
    beats: list[int] = []
    left = slope.copy()
    while left.max() > 0.5 * slope.max():
        at = int(left.argmax())
        beats.append(at)
        left[max(0, at - 5 * half) : at + 5 * half] = 0
    row = ecg.lead(lead)
    return float(np.median([np.ptp(row[at - half : at + half]) for at in beats if half < at < ecg.n_samples - half]))


def test_muse_sample(ecg_data: Path) -> None:
    got = read(ecg_data / "formats" / "braveheart_example1.xml")
    assert (got.leads, got.fs_hz, got.duration_s, got.source) == (STANDARD_LEADS, 500.0, 10.0, "muse")
    assert 1.0 < qrs_span_mv(got, "II") < 2.0
    np.testing.assert_allclose(got.lead("III"), got.lead("II") - got.lead("I"), atol=4.88e-3)
    np.testing.assert_allclose(got.lead("aVF"), got.lead("II") - got.lead("I") / 2, atol=4.88e-3)


@pytest.mark.parametrize(
    ("name", "age", "sex", "day"),
    [("v1_03_129DYPRG.xml", 50, "M", "2011-12-01T07:27:34"), ("v1_04_ad4d3d80.xml", 32, "F", "2008-12-23T19:44:46")],
)
def test_philips_samples_agree_with_the_device_s_own_measurements(
    ecg_data: Path, name: str, age: int, sex: str, day: str
) -> None:
    file = ecg_data / "formats" / name
    got = read(file)
    assert (got.leads, got.fs_hz, got.age_years, got.sex, got.recorded_at) == (STANDARD_LEADS, 500.0, age, sex, day)
    assert 10 <= got.duration_s < 11  # without the calibration pulse
    lead = got.lead
    for made, law in (
        ("III", lead("II") - lead("I")),
        ("aVR", -(lead("I") + lead("II")) / 2),
        ("aVL", lead("I") - lead("II") / 2),
        ("aVF", lead("II") - lead("I") / 2),
    ):
        np.testing.assert_allclose(lead(made), law, atol=0.0101)  # 2 bits of 5 uV
    root = ElementTree.fromstring(file.read_bytes())
    told = {n.get("leadname"): n for n in root.iter() if n.tag.endswith("leadmeasurement")}
    for one in ("I", "II", "III", "V1", "V2", "V5", "V6"):
        peak = next(n for n in told[one] if n.tag.endswith("qrsppk"))
        assert 1000 * qrs_span_mv(got, one) == pytest.approx(float(peak.text or "nan"), rel=0.12, abs=25)


def test_philips_beats_are_those_of_the_stored_mean_beat(ecg_data: Path) -> None:
    file = ecg_data / "formats" / "v1_04_ad4d3d80.xml"
    got = read(file)
    for node in ElementTree.fromstring(file.read_bytes()).iter():
        if node.tag.endswith("}repbeat") and node.get("leadname") in ("I", "II", "V2", "V5"):
            wave = next(n for n in node if n.tag.endswith("waveform"))
            raw = np.frombuffer(base64.b64decode(wave.text or ""), "<i2")
            beat = raw[np.abs(raw.astype(int)) < 30_000] * 2.5  # without padding, at the file's own resolution of it, in uV
            assert best_match(got.lead(str(node.get("leadname"))) * 1000, beat.astype(float)) > 0.97


def best_match(row: NDArray[np.floating], beat: NDArray[np.float64]) -> float:
    """Highest correlation of the beat's QRS with any place of the row."""
    peak = int(np.abs(np.diff(beat)).argmax())
    part = beat[max(0, peak - 60) : peak + 60]
    windows = np.lib.stride_tricks.sliding_window_view(row.astype(float), len(part))
    windows = windows - windows.mean(axis=1, keepdims=True)
    part = part - part.mean()
    return float((windows @ part / (np.linalg.norm(windows, axis=1) * np.linalg.norm(part) + 1e-9)).max())


def test_aecg_sample_is_the_recording_that_scp_holds_too(ecg_data: Path) -> None:
    folder = ecg_data / "formats"
    got = read(folder / "fda_Example_aECG.xml")
    assert (got.leads, got.fs_hz, got.duration_s) == (STANDARD_LEADS, 500.0, 10.0)
    assert (got.age_years, got.sex, got.recorded_at) == (49, "M", "2002-11-22T09:10:00")
    other = read(folder / "ecgtoolkit_Example.scp")
    np.testing.assert_array_equal(got.signal_mv, other.signal_mv)


def test_samples_that_hold_no_recording(ecg_data: Path) -> None:
    folder = ecg_data / "formats"
    assert "no rhythm" in refusal(folder / "fda_empty.xml")
    assert "0.026 s" in refusal(folder / "fda_minimum_aecg.xml")
    assert "of a known kind" in refusal(folder / "invalid-doc-type.xml")
