"""Philips XML (``restingecgdata``, schema 1.03 and 1.04): Base64, mostly compressed with XLI.

XLI has no public standard; it was described by the open Sierra ECG tools (C. Watford, from 2010). Their package ``sierraecg``
is not used: it leaves out the resolution, trusts the order of leads, cannot open uncompressed files and keeps the calibration
pulse. In short, as decoded here:

- One chunk per lead: 4 bytes length (little endian), 2 bytes that are not needed, 2 bytes start value, then the data.
- The data are LZW codes of 10 bits, most significant bit first, from a table that fills up to code 1022 and is not cleared.
- The bytes so unpacked are the high bytes of all values, then their low bytes.
- Values are second differences with a bias of 64; the first two are samples.
- III, aVR, aVL and aVF hold what is left after predicting them from I and II.

At the end the device writes a calibration pulse, the same in all leads; it is cut off, for it is no heartbeat.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, LIMB_LEADS, STANDARD_LEADS, Filters
from encoders.errors import RecordingError
from encoders.readers.border import age_on, check_size, known_age, sex_letter, stated_filters
from encoders.readers.leads import check_duration, finish, lead_name
from encoders.readers.xml import base64_bytes, clock_of, day_of, iso_time, number, parse_xml, root_name, text_of

__all__ = ["is_philips", "read_philips"]

_TYPES, _VERSIONS = ("SierraECG", "PhilipsECG"), ("1.03", "1.04")
#: Acquisitions whose leads are not named in the file (1.03): the twelve standard ones, in standard order.
_STANDARD_12 = ("STD-12", "10-WIRE")
_MAX_LEADS = 32
_BITS, _LAST_CODE = 10, (1 << 10) - 2


def is_philips(head: bytes) -> bool:
    """True where the first bytes are those of a Philips XML file."""
    return root_name(head) == "restingecgdata"


def read_philips(path: Path, *, age_years: float | None = None, sex: str | None = None) -> ECG:
    """A Philips XML file as an ``ECG`` in mV.

    ``age_years`` and ``sex`` go before the file's. Raises RecordingError, in one sentence without a word of the file's text.
    """
    label = path.stem
    root = parse_xml(path, label)
    info = root.find("documentinfo")
    kind, version = text_of(info, "documenttype"), text_of(info, "documentversion")
    if root.tag != "restingecgdata" or kind not in _TYPES or not version.startswith(_VERSIONS):
        raise RecordingError(
            f"{label} is no Philips ECG of a known kind; accepted are {' and '.join(_TYPES)} documents of version 1.03 and 1.04."
        )
    node = next(root.iter("parsedwaveforms"), None)
    signal = root.find("dataacquisition/signalcharacteristics")
    if node is None or signal is None:
        raise RecordingError(f"{label} holds no waveforms; export the recording with its waveforms.")
    fs_hz = number(node.get("samplespersecond") or text_of(signal, "samplingrate"))
    microvolts = number(node.get("resolution") or text_of(signal, "resolution") or text_of(signal, "signalresolution"))
    if fs_hz is None or not 0 < fs_hz <= 1e4 or microvolts is None or microvolts <= 0:
        raise RecordingError(f"{label} does not state its sampling rate and resolution; export the recording again.")
    names, signs = zip(*(lead_name(name, i) for i, name in enumerate(_names(node, signal, label))), strict=True)
    samples = _without_calibration(_samples(node, signal, names, fs_hz, label), microvolts)
    age, recorded = root.find("patient/generalpatientdata/age"), root.find("dataacquisition")
    day = day_of("" if recorded is None else recorded.get("date", ""), "%Y-%m-%d")
    clock = clock_of("" if recorded is None else recorded.get("time", ""))
    born = age_on(day_of(text_of(age, "dateofbirth"), "%Y-%m-%d"), day)
    known = known_age(number(text_of(age, "years"))) if born is None else born
    return finish(
        samples * (np.array(signs)[:, None] * microvolts / 1000), list(names), fs_hz, label=label, source="philips",
        age_years=known if age_years is None else age_years,
        sex=sex or sex_letter(text_of(root, "patient/generalpatientdata/sex")),
        recorded_at=iso_time(day, clock), filters=_filters(signal),
    )  # fmt: skip


def _filters(signal: Element) -> Filters:
    """Those of the stored signal; ``reportbandwidth`` is only what the printed report was smoothed with.

    1.03 writes ``signalbandwidth`` as "0.05-150"; 1.04 has elements of their own, and the mains' frequency beside a flag.
    """
    low, _, high = text_of(signal, "signalbandwidth").partition("-")
    flag, mains = text_of(signal, "notchfiltered").lower(), text_of(signal, "notchfilterfreqs").split()
    notch = {"false": 0.0, "true": number(mains[0] if mains else text_of(signal, "acsetting"))}.get(flag)
    return stated_filters(number(text_of(signal, "hipass") or low), number(text_of(signal, "lowpass") or high), notch)


def _names(node: Element, signal: Element, label: str) -> list[str]:
    """Lead names in the order of the data."""
    names = node.get("leadlabels", "").split()
    stated = number(node.get("numberofleads") or text_of(signal, "numberchannelsallocated"))
    count = int(stated) if stated is not None and 0 < stated <= _MAX_LEADS else 0
    if not names and text_of(signal, "acquisitiontype") in _STANDARD_12:
        names = list(STANDARD_LEADS)
    if not 0 < count <= len(names):
        raise RecordingError(f"{label} does not name its leads; export it as a 12-lead recording.")
    return names[:count]


def _samples(node: Element, signal: Element, names: tuple[str, ...], fs_hz: float, label: str) -> NDArray[np.int64]:
    """(leads, samples) in units of the resolution."""
    if node.get("dataencoding") != "Base64":
        raise RecordingError(f"The waveforms of {label} are not in Base64, which is all that is read; export it again.")
    raw = base64_bytes(node.text, "all leads", label)
    stated = number(node.get("durationperchannel"))
    if stated is None or stated <= 0:
        raise RecordingError(f"{label} does not state how long its waveforms are; export the recording again.")
    check_duration(stated / 1000, label)
    length = int(stated * fs_hz / 1000)
    check_size(len(names), length, label)
    method = node.get("compressmethod") or node.get("compression") or "Uncompressed"
    cut_off = RecordingError(f"The waveforms of {label} are shorter than announced; the file is cut off: export it again.")
    if method == "XLI":
        rows = _chunks(raw, len(names), length, label)
        if len(rows) < len(names) or any(len(row) < length for row in rows):
            raise cut_off
        return _limb_leads(np.stack([row[:length] for row in rows]), names, label)
    if method != "Uncompressed" or number(text_of(signal, "bitspersample") or "16") != 16:
        raise RecordingError(f"The waveforms of {label} are packed in an unknown way; XLI and plain 16 bits are read.")
    if len(raw) < 2 * len(names) * length:
        raise cut_off
    plain = np.frombuffer(raw, "<i2", len(names) * length).astype(np.int64).reshape(len(names), length)
    return plain - int(number(text_of(signal, "signaloffset")) or 0)


def _chunks(raw: bytes, count: int, length: int, label: str) -> list[NDArray[np.int64]]:
    """The decoded leads of an XLI stream, at most ``count``; fewer or shorter ones where the stream ends early."""
    rows: list[NDArray[np.int64]] = []
    at, limit = 0, 4 * length + 64
    while len(rows) < count and at + 8 <= len(raw):
        size = int.from_bytes(raw[at : at + 4], "little")
        start = int.from_bytes(raw[at + 6 : at + 8], "little", signed=True)
        unpacked = _lzw(raw[at + 8 : at + 8 + size], limit)
        # Two bytes per sample; a few may pad them, but a damaged stream must not unfold without end.
        if len(unpacked) >= limit:
            raise RecordingError(f"The waveforms of {label} unpack to far more than announced; export the recording again.")
        rows.append(_undo_differences(unpacked, start))
        at += 8 + size
    return rows


def _lzw(data: bytes, limit: int) -> bytes:
    """LZW with codes of 10 bits, at most ``limit`` bytes of it."""
    # Every code gives a byte at least, and four codes lie in five bytes.
    fives = np.frombuffer(data[: 5 * (limit // 4 + 1)].ljust(5, b"\xff"), np.uint8)
    count = len(data[: 5 * (limit // 4 + 1)]) * 8 // _BITS
    a, b, c, d, e = np.append(fives, np.zeros(-len(fives) % 5, np.uint8)).astype(np.uint16).reshape(-1, 5).T
    codes = np.stack((a << 2 | b >> 6, (b & 63) << 4 | c >> 4, (c & 15) << 6 | d >> 2, (d & 3) << 8 | e), axis=1).ravel()[:count]
    table = [bytes([i]) for i in range(256)]
    out = bytearray()
    before = b""
    for code in codes.tolist():
        if code > _LAST_CODE or code > len(table) or (code == len(table) and not before):
            break  # the code that ends a stream, or a damaged one
        entry = table[code] if code < len(table) else before + before[:1]
        if before and len(table) <= _LAST_CODE:
            table.append(before + entry[:1])
        out += entry
        if len(out) >= limit:
            break
        before = entry
    return bytes(out[:limit])


def _undo_differences(unpacked: bytes, start: int) -> NDArray[np.int64]:
    """Samples from high bytes, low bytes and second differences, (n,)."""
    half = (len(unpacked) + 1) // 2
    padded = np.frombuffer(unpacked.ljust(2 * half, b"\0"), np.uint8).astype(np.int64)
    values = ((padded[:half] << 8 | padded[half:]) + 0x8000) % 0x10000 - 0x8000
    if half < 3:
        return values
    bend = -np.concatenate(([start], values[2:-1] - 64))
    step = values[1] - values[0] + np.cumsum(bend)
    samples = np.concatenate((values[:2], values[1] + np.cumsum(step)))
    # The device counts in 16 bits and lets them overflow.
    return (samples + 0x8000) % 0x10000 - 0x8000


def _limb_leads(rows: NDArray[np.int64], names: tuple[str, ...], label: str) -> NDArray[np.int64]:
    """The same rows with III, aVR, aVL and aVF made whole from their prediction and what the file holds of them."""
    at = {name: i for i, name in enumerate(names)}
    if not at.keys() & set(LIMB_LEADS[2:]):
        return rows
    if not at.keys() >= set(LIMB_LEADS):
        raise RecordingError(f"{label} holds limb leads that cannot be unpacked without the others; export all twelve.")
    one, two, three, right, left, foot = (rows[at[name]] for name in LIMB_LEADS)
    three = two - one - three
    out = rows.copy()
    out[[at[name] for name in LIMB_LEADS]] = (
        one, two, three, -right - (one + two) // 2, (one - three) // 2 - left, (two + three) // 2 - foot
    )  # fmt: skip
    return out


def _without_calibration(samples: NDArray[np.int64], microvolts: float) -> NDArray[np.int64]:
    """Samples up to the calibration pulse: a tail that is the same in all leads, of which a part stands at 1 mV (within 10 %)."""
    if len(samples) < 2:
        return samples
    differs = np.flatnonzero((samples != samples[0]).any(axis=0))
    begin = int(differs[-1]) + 1 if len(differs) else 0
    tail = samples[0, begin:]
    pulse = np.abs(tail * microvolts - 1000) < 100
    return samples[:, :begin] if begin and pulse.any() and not pulse.all() else samples
