"""Small writers of the file formats that the readers read, each from millivolts, with a patient whose identity must not survive.

Test files reach this module through the session fixture ``writers`` of conftest.py; a script may load it by its path.
Signals are float arrays (leads, samples) in mV.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ERIKA",
    "NOBODY",
    "Patient",
    "write_csv",
    "write_dicom",
    "write_edf",
    "write_npy",
    "write_npz",
    "write_watch",
    "write_wfdb",
]

Signal = NDArray[np.floating[Any]]

#: Units of each format's choice per millivolt.
PER_MV = {"mV": 1.0, "uV": 1e3, "V": 1e-3, "nV": 1e6}

#: Code and meaning of each lead in DICOM files: SCP-ECG lead numbers and ISO/IEEE 11073-10101 reference identifiers.
SCP_CODES = {
    "I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64,
}  # fmt: skip
MDC_CODES = {**SCP_CODES}


@dataclass(frozen=True)
class Patient:
    """Whom a file is about. Only age, sex and the time of the recording may be found again in what a reader gives."""

    name: str = ""
    identifier: str = ""
    birth_date: dt.date | None = None
    sex: str | None = None
    recorded_at: dt.datetime = dt.datetime(2024, 3, 5, 14, 30, 15)

    @property
    def age_years(self) -> int | None:
        """Completed years on the day of the recording."""
        if self.birth_date is None:
            return None
        born, day = self.birth_date, self.recorded_at.date()
        return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


NOBODY = Patient()
#: A patient with every identifying field filled; 62 years old and female.
ERIKA = Patient("Mustermann^Erika", "PID4711X0815", dt.date(1961, 8, 12), "F")


def write_edf(
    path: Path,
    signal_mv: Signal,
    fs_hz: float,
    leads: Sequence[str],
    *,
    patient: Patient = NOBODY,
    unit: str = "uV",
    prefix: str = "",
    gaps_s: Sequence[float] | None = None,
    respiration: bool = False,
    annotations: Sequence[str] = (),
    record_s: float = 1.0,
) -> Path:
    """EDF+; with ``gaps_s`` (a start in s for each data record of ``record_s``) an EDF+D. ``prefix`` goes before lead names.

    ``respiration`` adds a channel at 25 Hz that is no ECG; ``annotations`` are texts, each a second after the other.
    """
    import edfio

    scale = PER_MV[unit]
    size = int(round(record_s * fs_hz))
    whole = signal_mv[:, : signal_mv.shape[1] // size * size] * scale
    signals = [
        edfio.EdfSignal(row, fs_hz, label=f"{prefix}{lead}"[:16], physical_dimension=unit)
        for row, lead in zip(np.asarray(whole, float), leads, strict=True)
    ]
    if respiration:
        wave = np.sin(np.arange(whole.shape[1] * 25 // int(fs_hz)) / 12)
        signals.append(edfio.EdfSignal(wave, 25, label="Resp", physical_dimension="Ohm"))
    edf = edfio.Edf(
        signals,
        patient=edfio.Patient(
            code=patient.identifier or "X",
            sex=patient.sex or "X",  # type: ignore[arg-type]
            birthdate=patient.birth_date,
            name=patient.name or "X",
        ),
        recording=edfio.Recording(
            startdate=patient.recorded_at.date(),
            hospital_administration_code=patient.identifier or "X",
            investigator_technician_code=patient.name or "X",
        ),
        starttime=patient.recorded_at.time(),
        data_record_duration=record_s,
        annotations=[edfio.EdfAnnotation(float(i), None, text) for i, text in enumerate(annotations)]
        if annotations or gaps_s is not None
        else None,
    )
    edf.write(path)
    if gaps_s is not None:
        _shift_records(path, gaps_s)
    return path


def _shift_records(path: Path, onsets_s: Sequence[float]) -> None:
    """Makes an EDF+C with one annotation signal (the last) an EDF+D whose data records start at ``onsets_s``."""
    raw = bytearray(path.read_bytes())
    raw[192:197] = b"EDF+D"
    start, count = int(raw[184:192]), int(raw[252:256])
    at = 256 + count * (256 - 32 - 8)
    sizes = [2 * int(raw[at + 8 * i : at + 8 * i + 8]) for i in range(count)]
    for record, onset in enumerate(onsets_s):
        place = start + record * sum(sizes) + sum(sizes[:-1])
        text = f"+{onset:g}\x14\x14\0".encode()
        assert len(text) <= sizes[-1], "give annotations long enough to make room"
        raw[place : place + sizes[-1]] = text.ljust(sizes[-1], b"\0")
    path.write_bytes(bytes(raw))


def write_dicom(
    path: Path,
    signal_mv: Signal,
    fs_hz: float,
    leads: Sequence[str],
    *,
    patient: Patient = NOBODY,
    unit: str = "uV",
    sensitivity: float = 2.5,
    correction: float = 1.0,
    baseline: float = 0.0,
    codes: str = "SCPECG",
    bits: int = 16,
    median_beat: bool = False,
    age: bool = True,
    split: bool = False,
) -> Path:
    """A 12-lead ECG object: value = (stored * sensitivity * correction + baseline) in ``unit``.

    ``codes``: "SCPECG", "MDC" or "label" (channel labels only). ``bits``: 8, 16 or 32 allocated, signed. ``median_beat`` puts a
    group of one second before the rhythm group; ``age`` writes PatientAge beside the birth date; ``split`` writes the leads
    as groups of three, as 3 x 4 printouts do, each with its time offset.
    """
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality = "ECG"
    data.PatientName, data.PatientID, data.OtherPatientNames = patient.name, patient.identifier, patient.name
    data.ReferringPhysicianName = data.OperatorsName = patient.name
    data.AccessionNumber = patient.identifier[:16]
    data.PatientBirthDate = patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""
    data.PatientSex = patient.sex or ""
    if age and patient.age_years is not None:
        data.PatientAge = f"{patient.age_years:03d}Y"
    data.AcquisitionDateTime = patient.recorded_at.strftime("%Y%m%d%H%M%S")
    data.StudyDate, data.StudyTime = patient.recorded_at.strftime("%Y%m%d"), patient.recorded_at.strftime("%H%M%S")
    step = sensitivity * correction
    limits = np.iinfo({8: np.int8, 16: np.int16, 32: np.int32}[bits])

    def group(rows: NDArray[np.float64], names: Sequence[str], label: str, originality: str, offset_s: float) -> Dataset:
        item = Dataset()
        item.MultiplexGroupTimeOffset, item.MultiplexGroupLabel = str(1000 * offset_s), label
        item.WaveformOriginality = originality
        item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = len(names), rows.shape[1]
        item.SamplingFrequency = f"{fs_hz:g}"
        item.WaveformBitsAllocated, item.WaveformSampleInterpretation = bits, {8: "SB", 16: "SS", 32: "SL"}[bits]
        stored = np.clip(np.round((rows * PER_MV[unit] - baseline) / step), limits.min, limits.max).astype(limits.dtype)
        channels = []
        for name in names:
            channel, source, scheme = Dataset(), Dataset(), Dataset()
            if codes == "SCPECG":
                source.CodeValue, source.CodingSchemeDesignator = f"5.6.3-9-{SCP_CODES[name]}", "SCPECG"
                source.CodeMeaning = f"Lead {name}"
            elif codes == "MDC":
                source.CodeValue, source.CodingSchemeDesignator = f"2:{MDC_CODES[name]}", "MDC"
                source.CodeMeaning = f"Lead {name}"
            else:
                channel.ChannelLabel = name
                source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = "1", "99LOCAL", "ECG"
            scheme.CodeValue, scheme.CodingSchemeDesignator, scheme.CodeMeaning = unit, "UCUM", unit
            channel.ChannelSourceSequence, channel.ChannelSensitivityUnitsSequence = [source], [scheme]
            channel.ChannelSensitivity = f"{sensitivity:.8g}"
            channel.ChannelSensitivityCorrectionFactor = f"{correction:.8g}"
            channel.ChannelBaseline, channel.WaveformBitsStored = f"{baseline:.8g}", bits
            channels.append(channel)
        item.ChannelDefinitionSequence = channels
        item.add_new(0x54001010, "OB" if bits == 8 else "OW", np.ascontiguousarray(stored.T).tobytes())
        return item

    signal = np.asarray(signal_mv, float)
    groups = [group(signal[:, : int(fs_hz)], leads, "MEDIAN BEAT", "DERIVED", 0.0)] if median_beat else []
    if split:
        seconds = signal.shape[1] / fs_hz
        groups += [group(signal[k : k + 3], leads[k : k + 3], "", "ORIGINAL", k // 3 * seconds) for k in range(0, len(leads), 3)]
    else:
        groups.append(group(signal, leads, "RHYTHM", "ORIGINAL", 0.0))
    data.WaveformSequence = groups
    data.save_as(path, enforce_file_format=True)
    return path


def write_wfdb(
    folder: Path,
    signal_mv: Signal,
    fs_hz: float,
    leads: Sequence[str],
    *,
    patient: Patient = NOBODY,
    name: str = "rec",
    unit: str = "mV",
    fmt: str = "16",
    gain: float | None = None,
) -> Path:
    """A WFDB record in one format; returns its header's path. ``gain`` in ADC units per ``unit``, chosen by wfdb if None."""
    import wfdb

    comments = [f"Patient: {patient.name} {patient.identifier}"] if patient.name else []
    comments += [f"Age: {patient.age_years}"] if patient.age_years is not None else []
    comments += [f"Sex: {patient.sex}"] if patient.sex else []
    comments += [f"Born: {patient.birth_date}"] if patient.birth_date else []
    wfdb.wrsamp(
        name,
        fs=fs_hz,
        units=[unit] * len(leads),
        sig_name=list(leads),
        p_signal=np.asarray(signal_mv, float).T * PER_MV[unit],
        fmt=[fmt] * len(leads),
        adc_gain=[gain] * len(leads) if gain else None,
        baseline=[0] * len(leads) if gain else None,
        comments=comments,
        base_datetime=patient.recorded_at,
        write_dir=str(folder),
    )
    return folder / f"{name}.hea"


def write_csv(
    path: Path,
    signal_mv: Signal,
    fs_hz: float,
    leads: Sequence[str],
    *,
    unit: str = "mV",
    separator: str = ",",
    decimal: str = ".",
    digits: int = 5,
) -> Path:
    """A table with a time column and one column per lead, units in the header. It has no room for a patient."""
    rows = [separator.join(["time_s", *(f"{lead}_{unit}" for lead in leads)])]
    for i, values in enumerate(np.asarray(signal_mv, float).T * PER_MV[unit]):
        cells = [f"{i / fs_hz:.6f}", *("" if np.isnan(v) else f"{v:.{digits}f}" for v in values)]
        rows.append(separator.join(cells).replace(".", decimal))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def write_npy(path: Path, signal_mv: Signal, *, transposed: bool = False) -> Path:
    """A bare array, (leads, samples) or ``transposed``."""
    np.save(path, np.asarray(signal_mv, np.float32).T if transposed else np.asarray(signal_mv, np.float32))
    return path


def write_npz(path: Path, signal_mv: Signal, fs_hz: float, leads: Sequence[str], *, patient: Patient = NOBODY) -> Path:
    """An archive by the contract, with keys beside it that a reader must pass over."""
    keys: dict[str, Any] = {"signal_mv": np.asarray(signal_mv, np.float32), "fs_hz": fs_hz, "leads": np.array(list(leads))}
    if patient.age_years is not None:
        keys["age_years"] = float(patient.age_years)
    if patient.sex:
        keys["sex"] = patient.sex
    if patient.name:
        keys |= {"patient_name": patient.name, "patient_id": patient.identifier, "birth_date": str(patient.birth_date)}
    np.savez_compressed(path, **keys)
    return path


def write_watch(
    path: Path,
    signal_mv: Signal,
    fs_hz: float,
    *,
    patient: Patient = NOBODY,
    language: str = "en",
    unit: str = "µV",
    lead: str = "I",
) -> Path:
    """A single lead as watches export it; ``language`` "en" (decimal point) or "de" (localised keys, decimal comma)."""
    day = patient.recorded_at
    values = np.asarray(signal_mv, float).ravel() * PER_MV[unit.replace("µ", "u")]
    if language == "de":
        born = patient.birth_date.strftime("%d.%m.%Y") if patient.birth_date else ""
        head = [
            f"Name,{patient.name}",
            f"Geburtsdatum,{born}",
            f"Aufzeichnungsdatum,{day:%Y-%m-%d %H:%M:%S} +0100",
            "Klassifizierung,Sinusrhythmus",
            "Symptome,",
            "Softwareversion,1.90",
            'Gerät,"Watch6,1"',
            f"Messrate,{fs_hz:g} Hertz",
            f"Ableitung,Ableitung {lead}",
            f"Einheit,{unit}",
        ]
        body = [f"{v:.3f}".replace(".", ",") for v in values]
    else:
        born = patient.birth_date.strftime("%d %b %Y") if patient.birth_date else ""
        head = [
            f'Name,"{patient.name}"',
            f'Date of Birth,"{born}"',
            f"Recorded Date,{day:%Y-%m-%d %H:%M:%S} +0000",
            "Classification,Sinus Rhythm",
            "Symptoms,",
            "Software Version,2.0",
            'Device,"Watch6,1"',
            f"Sample Rate,{fs_hz:g} hertz",
            f"Lead,Lead {lead}",
            f"Unit,{unit}",
        ]
        body = [f"{v:.3f}" for v in values]
    path.write_text("\n".join([*head, "", "", *body]) + "\n", encoding="utf-8")
    return path
