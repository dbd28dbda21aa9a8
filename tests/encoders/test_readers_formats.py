"""EDF, DICOM, NumPy, watch exports and every WFDB format: the same millivolts, and one sentence for what cannot be read."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import RecordingError
from encoders.readers import read
from encoders.readers.border import age_on, sex_letter
from encoders.readers.dicom import read_dicom
from encoders.readers.edf import is_edf, read_edf
from encoders.readers.npy import is_npy, read_npy
from encoders.readers.watch import is_watch, read_watch

Maker = Callable[..., ECG]
Signal = NDArray[np.float64]
BORN, ON = dt.date(1961, 8, 12), dt.datetime(2024, 3, 5, 14, 30, 15)


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(RecordingError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


@pytest.fixture(scope="module")
def signal(synthetic_ecg: Maker) -> Signal:
    """Twelve leads of 6 s at 250 Hz, in mV."""
    made: Signal = synthetic_ecg(fs_hz=250.0, seconds=6.0).signal_mv.astype(np.float64)
    return made


def written(writers: ModuleType, folder: Path, signal: Signal, fs: float, leads: tuple[str, ...], kind: str) -> Path:
    """The recording as a file of one kind, about the patient Erika."""
    who = writers.ERIKA
    if kind.startswith("wfdb"):
        path = writers.write_wfdb(folder, signal, fs, leads, patient=who, fmt=kind.removeprefix("wfdb"), name=f"r{kind}")
    elif kind == "edf":
        path = writers.write_edf(folder / "r.edf", signal, fs, leads, patient=who)
    elif kind == "dicom":
        path = writers.write_dicom(folder / "r.dcm", signal, fs, leads, patient=who, sensitivity=1.25)
    elif kind == "npz":
        path = writers.write_npz(folder / "r.npz", signal, fs, leads, patient=who)
    else:
        path = writers.write_csv(folder / "r.csv", signal, fs, leads)
    assert isinstance(path, Path)
    return path


#: Half a step of each format in mV for signals within ±2 mV: EDF 16 bits over the range, DICOM 1.25 uV, WFDB by its bits.
STEPS = {"edf": 4e-5, "dicom": 6.3e-4, "wfdb16": 4e-5, "wfdb212": 6e-4, "csv": 6e-6, "npz": 1e-6}


@pytest.mark.parametrize("kind", STEPS)
def test_the_same_recording_through_every_format(writers: ModuleType, tmp_path: Path, signal: Signal, kind: str) -> None:
    got = read(written(writers, tmp_path, signal, 250.0, STANDARD_LEADS, kind))
    assert got.leads == STANDARD_LEADS and got.fs_hz == 250.0
    np.testing.assert_allclose(got.signal_mv, signal, atol=STEPS[kind])
    if kind != "csv":
        assert (got.age_years, got.sex) == (62.0, "F")
    if kind not in ("csv", "npz"):
        assert got.recorded_at == "2024-03-05T14:30:15"
    assert not any(word in repr(got) for word in ("Mustermann", "PID4711", "1961"))


def test_real_recordings_through_every_format(writers: ModuleType, tmp_path: Path, ecg_data: Path) -> None:
    real = read(ecg_data / "ludb" / "data" / "1.hea")
    step = {kind: size * max(1.0, np.ptp(real.signal_mv) / 4) for kind, size in STEPS.items()}
    for kind in STEPS:
        got = read(written(writers, tmp_path, real.signal_mv.astype(float), real.fs_hz, real.leads, kind))
        np.testing.assert_allclose(got.signal_mv, real.signal_mv, atol=step[kind], err_msg=kind)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["edf", "dicom", "csv", "npz"]),
    unit=st.sampled_from(["uV", "mV", "V"]),
    fs=st.sampled_from([100.0, 128.0, 250.0, 360.0, 1000.0]),
    gain=st.floats(0.01, 30.0),
    order=st.permutations(STANDARD_LEADS),
    seed=st.integers(0, 2**16),
)
def test_gain_unit_rate_and_lead_order_do_not_matter(
    writers: ModuleType, tmp_path: Path, kind: str, unit: str, fs: float, gain: float, order: list[str], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    signal = np.round(gain * np.clip(rng.standard_normal((12, int(fs))), -3, 3), 5)
    span = float(np.ptp(signal))
    if kind == "edf":
        path, step = writers.write_edf(tmp_path / "x.edf", signal, fs, order, unit=unit), span / 65535
        step += span * 0.02 if unit == "V" and gain < 1 else span * 1e-3  # the header holds ranges in eight characters
    elif kind == "dicom":
        size = span / 60000 * writers.PER_MV[unit]
        path, step = writers.write_dicom(tmp_path / "x.dcm", signal, fs, order, unit=unit, sensitivity=size), span / 50000
    elif kind == "csv":
        path, step = writers.write_csv(tmp_path / "x.csv", signal, fs, order, unit=unit, digits=9), 1e-5
    else:
        path, step = writers.write_npz(tmp_path / "x.npz", signal, fs, order), 1e-5
    got = read(path)
    assert got.leads == STANDARD_LEADS and got.fs_hz == pytest.approx(fs)
    np.testing.assert_allclose(got.signal_mv, signal[[order.index(lead) for lead in STANDARD_LEADS]], atol=step + 1e-6 * span)


# --- WFDB ---------------------------------------------------------------------------------------------------------------------


def packed(values: NDArray[np.int64], fmt: str) -> bytes:
    """Samples (already interleaved) as the signal file of a format, after https://wfdb.io/spec/signal.html."""
    v = values.ravel()
    plain = {"16": ("<i2", 0), "61": (">i2", 0), "32": ("<i4", 0), "80": ("u1", 128), "160": ("<u2", 32768)}
    if fmt in plain:
        kind, offset = plain[fmt]
        return (v + offset).astype(kind).tobytes()
    if fmt == "24":
        return b"".join(int(x).to_bytes(3, "little", signed=True) for x in v)
    group, bits = {"212": (2, 12), "310": (3, 10), "311": (3, 10)}[fmt]
    u = np.pad(v & (2**bits - 1), (0, -len(v) % group)).reshape(-1, group)
    if fmt == "212":
        rows = np.stack([u[:, 0] & 255, (u[:, 0] >> 8) | (u[:, 1] >> 8 << 4), u[:, 1] & 255], 1)
    elif fmt == "310":
        first, second = (u[:, 0] << 1) | (u[:, 2] & 31) << 11, (u[:, 1] << 1) | (u[:, 2] >> 5) << 11
        rows = np.stack([first & 255, first >> 8, second & 255, second >> 8], 1)
    else:
        word = u[:, 0] | u[:, 1] << 10 | u[:, 2] << 20
        rows = np.stack([word >> shift & 255 for shift in (0, 8, 16, 24)], 1)
    return rows.astype(np.uint8).tobytes()


@pytest.mark.parametrize("fmt", ["8", "16", "24", "32", "61", "80", "160", "212", "310", "311"])
def test_every_wfdb_format_gives_its_own_digits(tmp_path: Path, fmt: str) -> None:
    t = np.arange(201)
    digits = np.stack([100 * np.sin(t / 9), 90 * np.cos(t / 7)], 1).round().astype(np.int64)
    # Format 8 holds first differences, from the initial value in the header.
    differences = np.diff(digits, axis=0, prepend=digits[:1]).astype("i1")
    (tmp_path / "r.dat").write_bytes(differences.tobytes() if fmt == "8" else packed(digits, fmt))
    lines = [f"r.dat {fmt} 50(10)/mV 12 0 {digits[0, k]} 0 0 {lead}" for k, lead in enumerate(("V1", "V5"))]
    (tmp_path / "r.hea").write_text("\n".join(["r 2 100 201", *lines]) + "\n")
    got = read(tmp_path / "r.hea")
    assert got.leads == ("V1", "V5")
    np.testing.assert_allclose(got.signal_mv, (digits.T - 10) / 50, atol=1e-6)


def test_segments_of_a_wfdb_record_with_a_gap_and_changing_leads(tmp_path: Path) -> None:
    digits = np.arange(200).reshape(100, 2)
    (tmp_path / "a.dat").write_bytes(packed(digits, "16"))
    (tmp_path / "b.dat").write_bytes(packed(digits[:, 1], "16"))
    (tmp_path / "a.hea").write_text("a 2 100 100\na.dat 16 100/mV 12 0 0 0 0 I\na.dat 16 100/mV 12 0 0 0 0 V2\n")
    (tmp_path / "b.hea").write_text("b 1 100 100\nb.dat 16 100/mV 12 0 1 0 0 V2\n")
    (tmp_path / "plan.hea").write_text("plan 2 100 0\n~ 0 100/mV 12 0 0 0 0 I\n~ 0 100/mV 12 0 0 0 0 V2\n")
    (tmp_path / "r.hea").write_text("r/4 2 100 250\nplan 0\na 100\n~ 50\nb 100\n")
    got = read(tmp_path / "r.hea")
    assert got.leads == ("I", "V2") and got.signal_mv.shape == (2, 250)
    np.testing.assert_allclose(got.lead("V2")[:100], digits[:, 1] / 100, atol=1e-6)
    np.testing.assert_allclose(got.lead("V2")[150:], digits[:, 1] / 100, atol=1e-6)
    assert np.isnan(got.lead("V2")[100:150]).all() and np.isnan(got.lead("I")[100:]).all()
    (tmp_path / "b.hea").write_text("b 1 100 100\n../outside.dat 16 100/mV 12 0 1 0 0 V2\n")
    refused(lambda: read(tmp_path / "r.hea"))
    (tmp_path / "b.hea").write_text("b 1 100 100\nb.dat 16:999999999 100/mV 12 0 1 0 0 V2\n")
    refused(lambda: read(tmp_path / "r.hea"))


def test_wfdb_leads_of_several_rates_keep_the_finest(tmp_path: Path) -> None:
    t = np.arange(600) / 300
    fine, coarse = 1000 * np.sin(2 * np.pi * 3 * t), 1000 * np.sin(2 * np.pi * 3 * t[::2])
    frames = np.column_stack([fine.reshape(-1, 2), coarse]).round().astype(np.int64)
    (tmp_path / "r.dat").write_bytes(packed(frames, "16"))
    (tmp_path / "r.hea").write_text("r 2 150 300\nr.dat 16x2 1000/mV 12 0 0 0 0 I\nr.dat 16 1000/mV 12 0 0 0 0 II\n")
    got = read(tmp_path / "r.hea")
    assert got.fs_hz == 300
    np.testing.assert_allclose(got.lead("I"), fine / 1000, atol=1e-3)
    np.testing.assert_allclose(got.lead("II")[30:-30], fine[30:-30] / 1000, atol=0.01)


@pytest.mark.parametrize(
    "line",
    ["r 1 100\nr.dat 16 100/mV 12 0 0 0 0 I", "r 1 100 300000000\nr.dat 16 1/mV 12 0 0 0 0 I",
     "r 1 100 900\nr.dat 16x99999999 1/mV 12 0 0 0 0 I", "r 1 100 900\nr.dat 16:999999999 1/mV 12 0 0 0 0 I"],
)  # fmt: skip
def test_wfdb_headers_that_announce_too_much_are_refused_unread(tmp_path: Path, line: str) -> None:
    (tmp_path / "r.hea").write_text(line + "\n")
    with (tmp_path / "r.dat").open("wb") as file:
        file.truncate(400_000_000)  # sparse: over five hours at 100 Hz where the header leaves the length out
    refused(lambda: read(tmp_path / "r.hea"))


def test_ten_minutes_are_read_and_more_are_not(writers: ModuleType, tmp_path: Path, ecg_data: Path) -> None:
    alarm = read(ecg_data / "formats" / "a103l.mat")
    assert alarm.leads == ("II", "V") and alarm.duration_s == 330 and alarm.fs_hz == 250
    beat = np.tile(np.sin(np.arange(100) / 16), (2, 600))
    got = read(writers.write_npz(tmp_path / "ten.npz", beat, 100.0, ("I", "II")))
    assert got.duration_s == 600 and got.leads == ("I", "II", "III", "aVR", "aVL", "aVF")
    longer = writers.write_npz(tmp_path / "longer.npz", np.tile(beat, 2), 100.0, ("I", "II"))
    assert "20.0 minutes" in refused(lambda: read(longer))


# --- EDF ----------------------------------------------------------------------------------------------------------------------


def test_edf_takes_ecg_signals_of_all_rates_and_leaves_the_rest(writers: ModuleType, tmp_path: Path, signal: Signal) -> None:
    import edfio

    t = np.arange(1500) / 250
    slow = np.sin(2 * np.pi * 2 * t[::2])
    signals = [
        edfio.EdfSignal(1000 * np.sin(2 * np.pi * 2 * t), 250, label="ECG I", physical_dimension="uV"),
        edfio.EdfSignal(slow, 125, label="EKG II", physical_dimension="mV"),
        edfio.EdfSignal(signal[0] * 100, 250, label="EEG Fpz-Cz", physical_dimension="uV"),
        edfio.EdfSignal(signal[0] * 100, 250, label="Fpz-Cz", physical_dimension="uV"),
        edfio.EdfSignal(slow, 125, label="SaO2", physical_dimension="%"),
    ]
    edfio.Edf(signals, data_record_duration=1).write(tmp_path / "psg.edf")
    got = read(tmp_path / "psg.edf")
    assert got.leads[:2] == ("I", "II") and got.fs_hz == 250 and len(got.leads) == 6
    np.testing.assert_allclose(got.lead("I"), np.sin(2 * np.pi * 2 * t), atol=1e-3)
    np.testing.assert_allclose(got.lead("II")[50:-50], got.lead("I")[50:-50], atol=0.01)
    assert (got.age_years, got.sex) == (None, None)


def test_edf_gaps_are_missing_samples(writers: ModuleType, tmp_path: Path, signal: Signal) -> None:
    starts = [0, 1, 2, 10.5, 11.5, 12.5]
    note = ["a long enough annotation to make room"]
    path = writers.write_edf(tmp_path / "d.edf", signal, 250.0, STANDARD_LEADS, gaps_s=starts, annotations=note)
    got = read(path)
    assert got.n_samples == int(13.5 * 250) and np.isnan(got.lead("I")[750:2625]).all()
    np.testing.assert_allclose(got.signal_mv[:, 2625:], signal[:, 750:], atol=1e-4)
    writers.write_edf(path, signal, 250.0, STANDARD_LEADS, gaps_s=[0, 1, 1.5, 3, 4, 5], annotations=note)
    assert "overlap" in refused(lambda: read(path))
    writers.write_edf(path, signal, 250.0, STANDARD_LEADS, gaps_s=[0, 1, 2, 3, 4, 500000], annotations=note)
    assert "hours" in refused(lambda: read(path))


def patched(path: Path, at: int, field: bytes, width: int) -> Path:
    raw = bytearray(path.read_bytes())
    raw[at : at + width] = field.ljust(width)
    path.write_bytes(bytes(raw))
    return path


def test_edf_headers_are_checked_before_samples(writers: ModuleType, tmp_path: Path, signal: Signal) -> None:
    path = writers.write_edf(tmp_path / "x.edf", signal[:2], 250.0, ("I", "II"))
    whole = path.read_bytes()
    assert is_edf(whole[:4096]) and not is_edf(b"PK\x03\x04" + b" " * 300)
    dimension = 256 + 2 * 96
    fields = [
        (236, b"99999999", 8, "announces"), (244, b"0", 8, "longer than 0"), (244, b"1e99999", 8, "longer than 0"),
        (244, b"nan", 8, "longer than 0"), (252, b"99", 4, "damaged"), (dimension, b"", 8, "unit"), (184, b"512", 8, "damaged"),
        (dimension, b"degC", 8, "states"), (256 + 2 * 104, b"5", 16, "damaged|range"),
        (256 + 2 * 216, b"9" * 8, 8, "no data record"),
    ]  # fmt: skip
    for at, field, width, word in fields:
        path.write_bytes(whole)
        patched(path, at, field, width)
        if word == "states":
            assert read(path).leads == ("II",)  # a lead that is no voltage is left out
        else:
            assert any(w in refused(lambda: read(path)) for w in word.split("|")), field
    path.write_bytes(whole[: len(whole) - 300])
    assert "cut off" in refused(lambda: read(path))
    path.write_bytes(whole + b"grown")
    assert read(path).n_samples == 1500
    path.write_bytes(whole)
    patched(path, dimension, b"", 16)
    np.testing.assert_allclose(read_edf(path, unit="mV").signal_mv[:2], 1000 * signal[:2], atol=0.1)


def test_edf_of_nobody_knows_no_age_and_no_day(writers: ModuleType, tmp_path: Path, signal: Signal) -> None:
    path = writers.write_edf(tmp_path / "x.edf", signal, 250.0, STANDARD_LEADS, patient=writers.ERIKA)
    patched(path, 8, b"X X X X", 80)
    patched(path, 88, b"Startdate X X X X", 80)
    got = read(path)
    assert (got.age_years, got.sex, got.recorded_at) == (None, None, None)
    patched(path, 88, b"some ward", 80)
    patched(path, 168, b"17.02.99", 8)
    assert read(path).recorded_at == "1999-02-17T14:30:15"


# --- DICOM --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", ["SCPECG", "MDC", "label"])
@pytest.mark.parametrize("options", [{"bits": 32}, {"unit": "mV", "sensitivity": 0.002, "baseline": 0.1}, {"correction": 0.5}])
def test_dicom_codes_widths_and_scales(
    writers: ModuleType, tmp_path: Path, signal: Signal, codes: str, options: dict[str, object]
) -> None:
    path = writers.write_dicom(tmp_path / "x.dcm", signal, 250.0, STANDARD_LEADS, codes=codes, **options)
    got = read(path)
    assert got.leads == STANDARD_LEADS and got.source == "dicom"
    np.testing.assert_allclose(got.signal_mv, signal, atol=1.3e-3)


def test_dicom_median_beats_are_not_the_recording(writers: ModuleType, tmp_path: Path, signal: Signal) -> None:
    got = read(writers.write_dicom(tmp_path / "x.dcm", signal, 250.0, STANDARD_LEADS, median_beat=True))
    assert got.n_samples == 1500
    import pydicom

    data = pydicom.dcmread(tmp_path / "x.dcm")
    data.WaveformSequence = [data.WaveformSequence[0]]
    data.save_as(tmp_path / "beat.dcm")
    assert "averaged" in refused(lambda: read(tmp_path / "beat.dcm"))


def test_dicom_groups_of_a_printout_stand_at_their_times(writers: ModuleType, tmp_path: Path, signal: Signal) -> None:
    got = read(writers.write_dicom(tmp_path / "x.dcm", signal, 250.0, STANDARD_LEADS, split=True))
    assert got.leads == STANDARD_LEADS and got.n_samples == 6000
    for k, lead in enumerate(STANDARD_LEADS):
        start = k // 3 * 1500
        np.testing.assert_allclose(got.lead(lead)[start : start + 1500], signal[k], atol=1.3e-3)
        assert np.isnan(np.delete(got.lead(lead), np.s_[start : start + 1500])).all()


def test_dicom_fields_that_matter_and_those_that_do_not(writers: ModuleType, tmp_path: Path, signal: Signal) -> None:
    import pydicom

    path = writers.write_dicom(tmp_path / "x.dcm", signal, 250.0, STANDARD_LEADS, patient=writers.ERIKA)

    def changed(change: Callable[[pydicom.Dataset], object]) -> Path:
        data = pydicom.dcmread(path)
        change(data)
        data.save_as(tmp_path / "y.dcm")
        return tmp_path / "y.dcm"

    def group(data: pydicom.Dataset) -> pydicom.Dataset:
        item: pydicom.Dataset = data.WaveformSequence[0]
        return item

    for text, age in (("018M", 1.0), ("300D", 0.0), ("", 62.0), ("999Y", None)):
        assert read(changed(lambda d, text=text: setattr(d, "PatientAge", text))).age_years == age  # type: ignore[misc]
    other = read(changed(lambda d: setattr(d, "PatientSex", "O")), sex="M", age_years=7)
    assert (other.sex, other.age_years) == ("M", 7)
    gap = np.frombuffer(group(pydicom.dcmread(path)).WaveformData, "<i2")[12 * 40]
    padded = read(changed(lambda d: group(d).add_new(0x5400100A, "OW", gap.tobytes())))
    assert np.isnan(padded.lead("I")[40]) and np.isfinite(padded.lead("I")).any()

    def no_volt(data: pydicom.Dataset) -> None:
        group(data).ChannelDefinitionSequence[2].ChannelSensitivityUnitsSequence[0].CodeValue = "mm[Hg]"

    left_out = read(changed(no_volt))
    np.testing.assert_allclose(left_out.lead("III"), signal[1] - signal[0], atol=3e-3)  # derived, the pressure is gone
    for change, word in (
        (lambda d: setattr(group(d), "NumberOfWaveformSamples", 4_000_000_000), "million"),
        (lambda d: setattr(group(d), "NumberOfWaveformSamples", 1501), "cut off"),
        (lambda d: setattr(group(d), "NumberOfWaveformChannels", 13), "describes 12 of 13"),
        (lambda d: setattr(group(d), "WaveformSampleInterpretation", "MB"), "plain integers"),
        (lambda d: setattr(group(d), "SamplingFrequency", "0"), "above 0"),
        (lambda d: delattr(d, "WaveformSequence"), "without a waveform"),
    ):
        assert word in refused(lambda change=change: read(changed(change)))  # type: ignore[misc]
    whole = path.read_bytes()
    for size in (140, 300, 2000, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:size])
        refused(lambda: read(path))
    path.write_bytes(whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"))
    assert "deflated" in refused(lambda: read_dicom(path))


def test_dicom_stored_with_the_largest_byte_first(writers: ModuleType, tmp_path: Path, signal: Signal) -> None:
    import pydicom

    path = writers.write_dicom(tmp_path / "x.dcm", signal, 250.0, STANDARD_LEADS)
    data = pydicom.dcmread(path)
    item = data.WaveformSequence[0]
    item.WaveformData = np.frombuffer(item.WaveformData, "<i2").astype(">i2").tobytes()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    pydicom.dcmwrite(tmp_path / "big.dcm", data, implicit_vr=False, little_endian=False, force_encoding=True)
    np.testing.assert_allclose(read(tmp_path / "big.dcm").signal_mv, signal, atol=1.3e-3)


# --- NumPy --------------------------------------------------------------------------------------------------------------------


def test_npy_needs_what_it_cannot_say(writers: ModuleType, tmp_path: Path, signal: Signal) -> None:
    path = writers.write_npy(tmp_path / "a.npy", signal)
    assert is_npy(path.read_bytes()[:4096])
    assert "give it in Hz" in refused(lambda: read(path))
    assert read(path, fs_hz=250).leads == STANDARD_LEADS
    turned = writers.write_npy(tmp_path / "b.npy", signal, transposed=True)
    np.testing.assert_array_equal(read(turned, fs_hz=250).signal_mv, read(path, fs_hz=250).signal_mv)
    three = writers.write_npy(tmp_path / "c.npy", signal[:3] * 1000)
    assert "give their names" in refused(lambda: read_npy(three, fs_hz=250))
    got = read_npy(three, fs_hz=250, unit="uV", leads=("V1", "V2", "-aVR"))
    assert got.leads == ("aVR", "V1", "V2")
    np.testing.assert_allclose(got.lead("aVR"), -signal[2], atol=1e-6)
    assert "one name per lead" in refused(lambda: read_npy(three, fs_hz=250, leads=("I", "II")))
    np.save(tmp_path / "d.npy", np.ones((12, 900), np.int16))
    assert "give the unit" in refused(lambda: read(tmp_path / "d.npy", fs_hz=100))


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        raise AssertionError("was pickled")


def test_numpy_files_are_never_unpickled_and_bounded(writers: ModuleType, tmp_path: Path, signal: Signal) -> None:
    np.save(tmp_path / "o.npy", np.array([[1, "x"], [None, 2.0]], dtype=object), allow_pickle=True)
    assert "objects" in refused(lambda: read(tmp_path / "o.npy", fs_hz=100))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (12, 10**9)})
    (tmp_path / "big.npy").write_bytes(header.getvalue())
    assert "million" in refused(lambda: read(tmp_path / "big.npy", fs_hz=100))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("signal_mv.npy", header.getvalue() + bytes(50_000_000))
    assert (tmp_path / "bomb.npz").stat().st_size < 100_000
    assert "million" in refused(lambda: read(tmp_path / "bomb.npz", fs_hz=100))
    whole = writers.write_npz(tmp_path / "x.npz", signal, 250.0, STANDARD_LEADS).read_bytes()
    for size in (8, 100, 3000, len(whole) // 2, len(whole) - 30):
        (tmp_path / "x.npz").write_bytes(whole[:size])
        refused(lambda: read(tmp_path / "x.npz"))
    np.savez(tmp_path / "y.npz", ecg=signal)
    assert "signal_mv" in refused(lambda: read(tmp_path / "y.npz"))


# --- watches and tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "de"])
def test_watch_exports_in_two_languages(writers: ModuleType, tmp_path: Path, signal: Signal, language: str) -> None:
    path = writers.write_watch(tmp_path / "w.csv", signal[0], 512.0, patient=writers.ERIKA, language=language)
    got = read(path)
    assert (got.source, got.leads, got.fs_hz, got.age_years) == ("watch", ("I",), 512.0, 62.0)
    assert got.recorded_at == "2024-03-05T14:30:15" and "Mustermann" not in repr(got)
    np.testing.assert_allclose(got.signal_mv[0], signal[0], atol=1e-6)


def test_single_columns_say_what_they_need(tmp_path: Path) -> None:
    values = "\n".join(f"{i % 7 / 10}" for i in range(900))
    path = tmp_path / "k.csv"
    path.write_text(values)
    assert is_watch(path.read_bytes())
    assert "give it in Hz" in refused(lambda: read(path, unit="mV"))
    assert "does not say its unit" in refused(lambda: read(path, fs_hz=300))
    assert read(path, fs_hz=300, unit="mV").leads == ("I",)
    path.write_text("# Sampling frequency: 300 Hz\n# Lead: II\n# Unit: mV\n" + values)
    got = read_watch(path)
    assert (got.leads, got.fs_hz) == (("II",), 300.0)
    assert "leave the rate out" in refused(lambda: read(path, fs_hz=250))
    path.write_text("Name,Louis II\nSampling Rate,300\nUnit,mV\n" + values)
    assert read(path).leads == ("I",) and "Louis" not in repr(read(path))


@pytest.mark.parametrize(
    ("text", "age"),
    [("12 Aug 1961", 62.0), ("Aug 12, 1961", 62.0), ("12.08.1961", 62.0), ("1961-08-12", 62.0), ("12 août 1961", 62.0),
     ("31/01/1961", 63.0), ("04/02/1961", None), ("5 3 1961", None), ("03/03/1961", 63.0), ("1961", None), ("12.13.1961", None)],
)  # fmt: skip
def test_ages_from_birth_dates_that_can_be_read_in_one_way(tmp_path: Path, text: str, age: float | None) -> None:
    path = tmp_path / "w.csv"
    lines = [f'Date of Birth,"{text}"', "Recorded Date,2024-03-05 14:30:15 +0100", "Sample Rate,500 hertz", "Unit,µV"]
    path.write_text("\n".join([*lines, *(f"{i % 9}.5" for i in range(900))]), encoding="utf-8")
    assert read(path).age_years == age


def test_tables_are_no_watch_exports(tmp_path: Path) -> None:
    tables = ("time_s,I_mV\n0,0.1\n0.01,0.2\n0.02,0.1\n", "sample,I\n0,5\n1,7\n2,9\n", "1,2\n3,4\n5,6\n", "I_mV\n0.1\n0.2\n0.3\n")
    for text in tables:
        assert not is_watch(text.encode())
    path = tmp_path / "one.csv"
    path.write_text("V1_mV\n" + "\n".join(f"{i % 7},25" for i in range(900)))
    got = read(path, fs_hz=300)
    assert got.leads == ("V1",) and got.lead("V1")[3] == pytest.approx(3.25)
    path.write_text("V1_mV\n" + "\n" * 4_500_000 + "1\n")
    assert "lines" in refused(lambda: read(path, fs_hz=300))


def test_ages_and_sexes_at_the_border() -> None:
    assert age_on(BORN, ON) == 62 and age_on(BORN, dt.date(2024, 8, 12)) == 63 and age_on(None, ON) is None
    assert age_on(ON, BORN) is None and age_on(dt.date(1850, 1, 1), ON) is None
    assert [sex_letter(t) for t in ("F", "male", "Weiblich", "O", "", None)] == ["F", "M", "F", None, None, None]
