"""Small writers of the XML formats, each from millivolts, with a patient whose identity must not survive.

Test files reach this module through the session fixture ``xml_writers`` of conftest.py. Signals are float arrays
(leads, samples) in mV; ``who`` is a ``writers.Patient`` (name, identifier, birth_date, sex, recorded_at).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["aecg_xml", "muse_xml", "philips_xml", "xli"]

Signal = NDArray[np.floating[Any]]


def muse_xml(
    signal_mv: Signal, fs_hz: float, leads: Sequence[str], *, who: Any, unit: str = "MICROVOLTS", per_bit: float = 4.88
) -> bytes:
    """GE MUSE with a median beat before the rhythm. ``per_bit`` in ``unit``."""
    per_mv = {"MICROVOLTS": 1e3, "MILLIVOLTS": 1.0, "NANOVOLTS": 1e6}[unit]

    def lead(name: str, values: NDArray[np.float64]) -> str:
        raw = np.round(values * per_mv / per_bit).astype("<i2").tobytes()
        return (
            f"<LeadData><LeadTimeOffset>0</LeadTimeOffset><LeadSampleCountTotal>{len(values)}</LeadSampleCountTotal>"
            f"<LeadAmplitudeUnitsPerBit>{per_bit}</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>{unit}</LeadAmplitudeUnits>"
            f"<LeadID>{name}</LeadID><LeadSampleSize>2</LeadSampleSize><LeadDataCRC32>{zlib.crc32(raw)}</LeadDataCRC32>"
            f"<WaveFormData>\n{base64.encodebytes(raw).decode()}</WaveFormData></LeadData>\n"
        )

    def waveform(kind: str, rows: Signal) -> str:
        body = "".join(lead(name, np.asarray(row, float)) for name, row in zip(leads, rows, strict=True))
        return (
            f"<Waveform><WaveformType>{kind}</WaveformType><SampleBase>{fs_hz:g}</SampleBase>"
            f"<SampleExponent>0</SampleExponent>{body}</Waveform>\n"
        )

    born = f"{who.birth_date:%m-%d-%Y}" if who.birth_date else ""
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n<RestingECG>'
        f"<PatientDemographics><PatientID>{who.identifier}</PatientID><DateofBirth>{born}</DateofBirth>"
        f"<Gender>{ {'F': 'FEMALE', 'M': 'MALE'}.get(who.sex, '') }</Gender><PatientLastName>{who.name}</PatientLastName>"
        f"<PatientFirstName>{who.name}</PatientFirstName></PatientDemographics>"
        f"<TestDemographics><AcquisitionDate>{who.recorded_at:%m-%d-%Y}</AcquisitionDate>"
        f"<AcquisitionTime>{who.recorded_at:%H:%M:%S}</AcquisitionTime>"
        f"<OverreaderLastName>{who.name}</OverreaderLastName></TestDemographics>"
        f"<Diagnosis><DiagnosisStatement><StmtText>{who.name}</StmtText></DiagnosisStatement></Diagnosis>"
        f"<Order><AccessionNumber>{who.identifier}</AccessionNumber></Order>\n"
        f"{waveform('Median', signal_mv[:, : int(1.2 * fs_hz)])}{waveform('Rhythm', signal_mv)}</RestingECG>\n"
    ).encode("latin-1")


def philips_xml(
    signal_mv: Signal,
    fs_hz: float,
    leads: Sequence[str],
    *,
    who: Any,
    version: str = "1.04",
    resolution_uv: float = 5.0,
    packed: bool = True,
    pulse: bool = True,
    encoding: str = "utf-16",
) -> bytes:
    """Philips, with the calibration pulse (``pulse``) and XLI compression (``packed``) of the device. Twelve leads."""
    values = np.round(np.asarray(signal_mv, float) * 1000 / resolution_uv).astype(np.int64)
    if pulse:
        high = round(1000 / resolution_uv)
        tail = np.repeat([0, high, 0], [round(0.17 * fs_hz), round(0.2 * fs_hz), round(0.13 * fs_hz)])
        values = np.concatenate([values, np.tile(tail, (len(values), 1))], axis=1)
    raw = xli(_residuals(values, list(leads))) if packed else values.astype("<i2").tobytes()
    length = f"{1000 * values.shape[1] / fs_hz:g}"
    names = " ".join(leads)
    data = base64.encodebytes(raw).decode()
    if version == "1.03":
        kind, method = "SierraECG", 'compressflag="True" compressmethod="XLI"' if packed else ""
        facts = f"<signalresolution>{resolution_uv:g}</signalresolution>"
        waves = f'<parsedwaveforms {method} dataencoding="Base64" durationperchannel="{length}">{data}</parsedwaveforms>'
    else:
        kind, method = "PhilipsECG", 'compression="XLI"' if packed else ""
        facts = f"<resolution>{resolution_uv:g}</resolution>"
        waves = (
            f'<parsedwaveforms {method} dataencoding="Base64" numberofleads="{len(leads)}" leadlabels="{names}" '
            f'durationperchannel="{length}" samplespersecond="{fs_hz:g}" resolution="{resolution_uv:g}">{data}</parsedwaveforms>'
        )
    born = f"<dateofbirth>{who.birth_date:%Y-%m-%d}</dateofbirth>" if who.birth_date else ""
    day, clock = f"{who.recorded_at:%Y-%m-%d}", f"{who.recorded_at:%H:%M:%S}"
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<restingecgdata xmlns="http://www3.medical.philips.com"><documentinfo>'
        f"<documentname>{who.identifier}.xml</documentname><documenttype>{kind}</documenttype>"
        f"<documentversion>{version}</documentversion><comments>{who.name}</comments></documentinfo>"
        f"<orderinfo><uniqueorderid>{who.identifier}</uniqueorderid></orderinfo>"
        f'<dataacquisition date="{day}" time="{clock}"><acquirer><operator id="{who.identifier}">{who.name}</operator></acquirer>'
        f"<signalcharacteristics><samplingrate>{fs_hz:g}</samplingrate>{facts}<acquisitiontype>STD-12</acquisitiontype>"
        f"<bitspersample>16</bitspersample><numberchannelsallocated>{len(leads)}</numberchannelsallocated>"
        f"</signalcharacteristics></dataacquisition><patient><generalpatientdata><patientid>{who.identifier}</patientid>"
        f"<name><lastname>{who.name}</lastname></name><age>{born}</age>"
        f"<sex>{ {'F': 'Female', 'M': 'Male'}.get(who.sex, 'Unknown') }</sex></generalpatientdata></patient>"
        f"<waveforms>{waves}</waveforms></restingecgdata>\n"
    )
    return text.encode(encoding)


def _residuals(values: NDArray[np.int64], leads: list[str]) -> NDArray[np.int64]:
    """What the device stores: the limb leads after aVR's sign and their prediction are taken out."""
    row = {name: values[i] for i, name in enumerate(leads)}
    one, two, three = row["I"], row["II"], row["III"]
    stored = {
        **row,
        "III": two - one - three,
        "aVR": -row["aVR"] - (one + two) // 2,
        "aVL": (one - three) // 2 - row["aVL"],
        "aVF": (two + three) // 2 - row["aVF"],
    }
    return np.stack([stored[name] for name in leads])


def xli(rows: NDArray[np.int64]) -> bytes:
    """XLI of (leads, samples) integers: second differences with a bias of 64, high bytes before low bytes, LZW of 10 bits."""
    out = b""
    for x in rows.tolist():
        bend = [2 * x[i - 1] - x[i - 2] - x[i] for i in range(2, len(x))]
        stored = [x[0], x[1], *(b + 64 for b in bend[1:]), 64]
        words = [value & 0xFFFF for value in stored]
        packed = _lzw(bytes(w >> 8 for w in words) + bytes(w & 255 for w in words))
        start = bend[0] & 0xFFFF if bend else 0
        out += len(packed).to_bytes(4, "little") + b"\x01\x00" + start.to_bytes(2, "little") + packed
    return out


def _lzw(data: bytes) -> bytes:
    table = {bytes([i]): i for i in range(256)}
    codes, held = [], b""
    for byte in data:
        longer = held + bytes([byte])
        if longer in table:
            held = longer
            continue
        codes.append(table[held])
        if len(table) <= 1022:
            table[longer] = len(table)
        held = bytes([byte])
    codes += [table[held], 1023]
    bits = "".join(f"{code:010b}" for code in codes)
    return bytes(int(bits[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(bits), 8))


def aecg_xml(
    signal_mv: Signal,
    fs_hz: float,
    leads: Sequence[str],
    *,
    who: Any,
    unit: str = "uV",
    scale: float = 2.5,
    origin: float = 0.0,
    groups: Sequence[tuple[Sequence[str], float]] | None = None,
) -> bytes:
    """HL7 aECG with a representative beat before the rhythm series. ``scale`` and ``origin`` in ``unit``.

    ``groups``: leads of each sequence set and its beginning in s; the signal's rows hold what each lead recorded then.
    """
    per_mv = {"nV": 1e6, "uV": 1e3, "mV": 1.0, "V": 1e-3}[unit]
    row = {name: np.asarray(values, float) for name, values in zip(leads, signal_mv, strict=True)}

    def sequence(name: str, values: NDArray[np.float64]) -> str:
        digits = " ".join(str(int(v)) for v in np.round((values * per_mv - origin) / scale))
        return (
            f'<component><sequence><code code="MDC_ECG_LEAD_{name.upper()}" codeSystem="2.16.840.1.113883.6.24"/>'
            f'<value xsi:type="SLIST_PQ"><origin value="{origin:.12g}" unit="{unit}"/><scale value="{scale:.12g}" unit="{unit}"/>'
            f"<digits>{digits}</digits></value></sequence></component>"
        )

    def sequence_set(names: Sequence[str], begin_s: float, length: int | None = None) -> str:
        head = f"{who.recorded_at:%Y%m%d%H%M}{who.recorded_at.second + begin_s:06.3f}"
        return (
            '<component><sequenceSet><component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS">'
            f'<head value="{head}"/><increment value="{1000 / fs_hz:.12g}" unit="ms"/></value></sequence></component>'
            + "".join(sequence(name, row[name][:length]) for name in names)
            + "</sequenceSet></component>"
        )

    def series(code: str, body: str) -> str:
        return (
            f'<component><series><id extension="{who.identifier}"/><code code="{code}"/><effectiveTime>'
            f'<low value="{who.recorded_at:%Y%m%d%H%M%S}"/></effectiveTime><secondaryPerformer><seriesPerformer><assignedPerson>'
            f"<name>{who.name}</name></assignedPerson></seriesPerformer></secondaryPerformer>{body}</series></component>"
        )

    born = f'<birthTime value="{who.birth_date:%Y%m%d}"/>' if who.birth_date else ""
    rhythm = "".join(sequence_set(names, begin) for names, begin in groups or ((leads, 0.0),))
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<!-- {who.name} {who.identifier} -->\n'
        '<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<id root="{who.identifier}"/><effectiveTime><center value="{who.recorded_at:%Y%m%d%H%M%S}"/></effectiveTime>'
        "<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>"
        f'<id extension="{who.identifier}"/><subjectDemographicPerson><name>{who.name}</name>'
        f'<administrativeGenderCode code="{who.sex or "UN"}"/>{born}</subjectDemographicPerson></trialSubject></subject>'
        "</subjectAssignment></componentOf></timepointEvent></componentOf>"
        f"<pertainsTo><subjectFindingComment><text>{who.name}</text></subjectFindingComment></pertainsTo>"
        + series("REPRESENTATIVE_BEAT", sequence_set(leads, 0.0, int(fs_hz)))
        + series("RHYTHM", rhythm)
        + "</AnnotatedECG>\n"
    ).encode()
