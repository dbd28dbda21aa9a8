"""Filters that a file states: read from every format that has a field for them, told by the gate, named where they limit."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from encoders.ecg import ECG, Filters
from encoders.gate import check
from encoders.measure import measure
from encoders.quality import limited_by_filters
from encoders.readers import read
from encoders.readers.border import most_filtered, stated_filters

Maker = Callable[..., ECG]
STATED = Filters(0.5, 40.0, 50.0)


@pytest.fixture(scope="module")
def ecg(synthetic_ecg: Maker) -> ECG:
    return synthetic_ecg(fs_hz=250.0, seconds=3.0)


def _control(kind: str, name: str, hz: str) -> str:
    prefix = "MDC_ECG_CTL_VBL_ATTR_FILTER_"
    return (
        f'<controlVariable><controlVariable><code code="{prefix}{kind}"/><component><controlVariable>'
        f'<code code="{prefix}{name}"/><value unit="Hz" value="{hz}"/></controlVariable>'
        "</component></controlVariable></controlVariable>"
    )


def _with_filters(kind: str, folder: Path, ecg: ECG, writers: ModuleType, xml: ModuleType, scp: ModuleType) -> Path:
    """A recording of this format that states a high-pass of 0.5 Hz, a low-pass of 40 Hz and a notch at 50 Hz."""
    given, who = (ecg.signal_mv, ecg.fs_hz, ecg.leads), writers.ERIKA
    file = folder / "rec.xml"
    if kind == "muse":
        stated = "<HighPassFilter>50</HighPassFilter><LowPassFilter>40</LowPassFilter><ACFilter>50</ACFilter>"
        text = xml.muse_xml(*given, who=who).replace(b"<SampleBase>", stated.encode() + b"<SampleBase>")
    elif kind == "philips 1.03":
        # What the printed report was smoothed with is not what the stored signal went through.
        printed = b"<reportinfo><reportbandwidth><highpassfiltersetting>9</highpassfiltersetting></reportbandwidth></reportinfo>"
        stated = "<signalbandwidth>0.5-40</signalbandwidth><notchfiltered>True</notchfiltered><acsetting>50</acsetting>"
        text = xml.philips_xml(*given, who=who, version="1.03", encoding="utf-8")
        text = text.replace(b"<samplingrate>", stated.encode() + b"<samplingrate>").replace(b"<dataacq", printed + b"<dataacq", 1)
    elif kind == "philips 1.04":
        stated = "<hipass>0.5</hipass><lowpass>40</lowpass><notchfiltered>True</notchfiltered>"
        stated += "<notchfilterfreqs>50</notchfilterfreqs>"
        text = xml.philips_xml(*given, who=who, encoding="utf-8").replace(b"<samplingrate>", stated.encode() + b"<samplingrate>")
    elif kind == "aecg":
        names = (("HIGH_PASS", "CUTOFF_FREQ", "0.5"), ("LOW_PASS", "CUTOFF_FREQ", "40"), ("NOTCH", "NOTCH_FREQ", "50"))
        stated = "".join(_control(*one) for one in names)
        before, rhythm = xml.aecg_xml(*given, who=who).rsplit(b"<component><sequenceSet>", 1)
        text = before + stated.encode() + b"<component><sequenceSet>" + rhythm
    else:
        return _binary(kind, folder, ecg, writers, scp)
    file.write_bytes(text)
    return file


def _binary(kind: str, folder: Path, ecg: ECG, writers: ModuleType, scp: ModuleType) -> Path:
    given = (ecg.signal_mv, ecg.fs_hz, ecg.leads)
    if kind == "scp":
        values = ((27, struct.pack("<H", 50)), (28, struct.pack("<H", 40)), (29, b"\x02"))
        steps = np.round(np.asarray(ecg.signal_mv, float) * 400).astype(np.int64)
        tags = b"".join(scp.tag(number, value) for number, value in values)
        record = scp.ScpRecord(steps, ecg.leads, interval_us=4000, tags=tags)
        return Path(scp.write_scp(folder / "rec.scp", record))
    if kind == "edf":
        file = Path(writers.write_edf(folder / "rec.edf", *given))
        content = bytearray(file.read_bytes())
        count = int(content[252:256])
        for i in range(count):
            at = 256 + 136 * count + 80 * i
            content[at : at + 80] = (b"HP:0.5Hz LP:40Hz N:50Hz" if i % 2 else b"HP:DC LP:100,5 Hz").ljust(80)
        file.write_bytes(bytes(content))
        return file
    from pydicom import dcmread

    file = Path(writers.write_dicom(folder / "rec.dcm", *given))
    data = dcmread(file)
    for channel in data.WaveformSequence[0].ChannelDefinitionSequence:
        channel.FilterLowFrequency, channel.FilterHighFrequency, channel.NotchFilterFrequency = "0.5", "40", "50"
    data.save_as(file)
    return file


@pytest.mark.parametrize("kind", ["muse", "philips 1.03", "philips 1.04", "aecg", "scp", "edf", "dicom"])
def test_filters_come_from_the_file(
    kind: str, tmp_path: Path, ecg: ECG, writers: ModuleType, xml_writers: ModuleType, scp_writer: ModuleType
) -> None:
    got = read(_with_filters(kind, tmp_path, ecg, writers, xml_writers, scp_writer))
    assert got.filters == STATED
    assert got.select(("I",)).filters == STATED


def test_a_file_that_says_nothing_states_no_filter(
    tmp_path: Path, ecg: ECG, writers: ModuleType, xml_writers: ModuleType
) -> None:
    (tmp_path / "a.xml").write_bytes(xml_writers.muse_xml(ecg.signal_mv, ecg.fs_hz, ecg.leads, who=writers.ERIKA))
    for file in (tmp_path / "a.xml", writers.write_edf(tmp_path / "a.edf", ecg.signal_mv, ecg.fs_hz, ecg.leads)):
        assert read(file).filters == Filters()
    assert Filters().text() == ""


@pytest.mark.parametrize("stated", [float("nan"), float("inf"), -1.0, 1e9, 5000.0])
def test_what_no_filter_has_is_not_kept(stated: float) -> None:
    assert stated_filters(stated, stated if stated != 5000.0 else 1.0, stated) == Filters()


def test_leads_that_differ_give_what_was_filtered_most() -> None:
    assert most_filtered([Filters(0.05, 150.0), Filters(0.5, 0.0, 0.0), Filters(None, 40.0, 50.0)]) == Filters(0.5, 40.0, 50.0)
    assert most_filtered([Filters(0.0, 0.0), Filters()]) == Filters(0.0, 0.0)
    assert most_filtered([]) == Filters()


def test_words_name_what_is_known() -> None:
    assert Filters(0.05, 150.0, 0.0).text() == "high-pass 0.05 Hz, low-pass 150 Hz, no notch"


def test_a_high_pass_above_the_standard_limits_st_and_a_low_pass_below_it_voltages(synthetic_ecg: Maker) -> None:
    """Kligfield et al. 2007: 0.05 Hz and 150 Hz."""
    ecg = synthetic_ecg()
    plain, diagnostic, monitor = (check(replace(ecg, filters=f)) for f in (Filters(), Filters(0.05, 150.0, 50.0), STATED))
    assert (plain.verdict, plain.limited) == (diagnostic.verdict, diagnostic.limited) == ("usable", ())
    assert diagnostic.to_json()["filters"] == {"high_pass_hz": 0.05, "low_pass_hz": 150.0, "notch_hz": 50.0}
    assert monitor.verdict == "limited" and {"high_pass", "low_pass"} <= set(monitor.flags) and monitor.bad_leads == ()
    assert {"st_j_mv_V2", "sokolow_lyon_mv", "cornell_mv"} <= set(monitor.limited) and "qrs_ms" not in monitor.limited
    assert "0.5 Hz" in " ".join(monitor.reasons) and "40 Hz" in " ".join(monitor.reasons)
    assert monitor.score == plain.score
    assert set(limited_by_filters(Filters(0.16, 150.0))) == {f"st_j_mv_{lead}" for lead in ecg.leads}


def test_a_measurement_names_the_filter_and_keeps_its_value(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg()
    plain, filtered = measure(ecg), measure(replace(ecg, filters=STATED))
    assert [m.value for m in filtered.items] == [m.value for m in plain.items]
    assert "0.5 Hz" in filtered["st_j_mv_II"].note and "40 Hz" in filtered["cornell_mv"].note
    assert filtered["qrs_ms"].note == plain["qrs_ms"].note


def test_samples_state_what_their_makers_wrote(ecg_data: Path) -> None:
    said = {
        "braveheart_example1.xml": Filters(0.16, 150.0, 60.0),
        "v1_03_129DYPRG.xml": Filters(0.05, 150.0),
        "v1_04_ad4d3d80.xml": Filters(0.05, 150.0, 0.0),
        "fda_Example_aECG.xml": Filters(None, 150.0, 60.0),
        "pydicom_waveform_ecg.dcm": Filters(0.05, 300.0, 0.0),
        "scptools_ECG_20070321_110542_ANON000004.scp": Filters(None, 35.0, 50.0),
        "ecgtoolkit_Example.scp": Filters(),
    }
    for name, filters in said.items():
        assert read(ecg_data / "formats" / name).filters == filters, name
