"""Recordings to damage: small ones of each format, samples of other makers, and files that are built to do harm.

Loaded by its path, as test folders are no packages.
"""

from __future__ import annotations

import binascii
import importlib.util
import io
import struct
import sys
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from encoders.ecg import STANDARD_LEADS

__all__ = ["CANARY", "FORMATS", "Seed", "hostile", "load", "sample_seeds", "scp_checksum", "written_seeds"]

FORMATS = (
    "wfdb header", "wfdb signal", "wfdb mat", "edf", "dicom", "muse", "philips", "aecg", "scp", "npy", "npz", "csv", "watch",
)  # fmt: skip
#: In every seed that has room for a patient; no message may repeat it.
CANARY = "Mustermann"


@dataclass(frozen=True)
class Seed:
    """A whole recording: its files, which one is damaged, which one is opened, and the options it needs."""

    form: str
    name: str
    files: dict[str, bytes]
    target: str
    entry: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.files[self.target]


def load(name: str) -> ModuleType:
    """A module of this folder by its name."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def written_seeds(folder: Path) -> dict[str, list[Seed]]:
    """Small recordings of each format, written into ``folder`` by the tests' own writers: 3 s, 2 to 12 leads."""
    writers, xml, scp = load("writers"), load("xml_writers"), load("scp_writer")
    rng = np.random.default_rng(0)
    leads = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    fs_hz = 100.0
    t = np.arange(300) / fs_hz
    beat = np.exp(-(((t % 1.0) - 0.4) ** 2) / 0.0008)
    mv = np.stack([(0.3 + 0.1 * i) * beat + 0.01 * rng.standard_normal(len(t)) for i in range(len(leads))])
    derived = [mv[1] - mv[0], -(mv[0] + mv[1]) / 2, mv[0] - mv[1] / 2, mv[1] - mv[0] / 2]
    erika = writers.ERIKA
    seeds: dict[str, list[Seed]] = {name: [] for name in FORMATS}

    def one(form: str, path: Path, **options: Any) -> None:
        seeds[form].append(Seed(form, path.name, {path.name: path.read_bytes()}, path.name, path.name, options))

    for fmt in ("16", "212", "24", "80"):
        header = writers.write_wfdb(folder, mv[:3], fs_hz, leads[:3], patient=erika, name=f"w{fmt}", fmt=fmt)
        files = {p.name: p.read_bytes() for p in (header, header.with_suffix(".dat"))}
        seeds["wfdb header"].append(Seed("wfdb header", fmt, files, header.name, header.name))
        seeds["wfdb signal"].append(Seed("wfdb signal", fmt, files, f"w{fmt}.dat", header.name))
    mat = struct.pack("<5I", 30, 3, 300, 0, 4) + b"val\0" + np.round(mv[:3].T * 1000).astype("<i2").tobytes()
    lines = [f"m.mat 16+24 1000/mV 16 0 0 0 0 {lead}" for lead in leads[:3]]
    text = "\n".join(["m 3 100 300", *lines, f"#Patient: {CANARY}", "#Age: 60"]) + "\n"
    both = {"m.hea": text.encode(), "m.mat": mat}
    seeds["wfdb mat"].append(Seed("wfdb mat", "mat", both, "m.mat", "m.mat"))
    seeds["wfdb header"].append(Seed("wfdb header", "mat", both, "m.hea", "m.hea"))

    one("edf", writers.write_edf(folder / "a.edf", mv, fs_hz, leads, patient=erika))
    gaps = writers.write_edf(
        folder / "d.edf", mv[:2], fs_hz, leads[:2], patient=erika, gaps_s=(0, 1, 4), annotations=("long enough text",) * 3
    )
    one("edf", gaps)
    one("edf", writers.write_edf(folder / "r.edf", mv[:2], fs_hz, leads[:2], respiration=True))
    one("dicom", writers.write_dicom(folder / "a.dcm", mv, fs_hz, leads, patient=erika))
    one("dicom", writers.write_dicom(folder / "m.dcm", mv[:3], fs_hz, leads[:3], codes="MDC", bits=8, median_beat=True))
    one("dicom", writers.write_dicom(folder / "s.dcm", mv[:6], fs_hz, leads[:6], codes="label", bits=32, split=True))
    one("csv", writers.write_csv(folder / "a.csv", mv[:3], fs_hz, leads[:3]))
    one("csv", writers.write_csv(folder / "b.csv", mv[:2], fs_hz, leads[:2], unit="uV", separator=";", decimal=","))
    for dtype in ("<f4", "<f8", ">i2", "<i4"):
        np.save(folder / "a.npy", (mv * 1000).astype(dtype))
        one("npy", folder / "a.npy", fs_hz=fs_hz, unit="uV", lead_names=leads)
    one("npz", writers.write_npz(folder / "a.npz", mv, fs_hz, leads, patient=erika))
    one("watch", writers.write_watch(folder / "a.txt", mv[0], fs_hz, patient=erika))
    one("watch", writers.write_watch(folder / "b.csv", mv[0], fs_hz, patient=erika, language="de"))

    steps = np.round(mv * 400).astype(np.int64)
    tags = scp.tag(0, CANARY.encode() + b"\0") + scp.tag(4, struct.pack("<HB", 60, 1)) + scp.tag(8, b"\x02")
    row = scp.CodeRow
    small = [row("0", 0, 0), row("10", 0, 1), row("110", 0, -1), row("1111", 0, 2, True)]
    tables = [small, [row("0", 0, 1, True), row("10", 8, 0), row("11", 16, 0)]]
    beats = [(0, max(1, peak - 30), peak, min(300, peak + 50), peak - 6, peak + 6) for peak in (41, 141, 241)]
    with_beat = {"reference": steps[:, :90], "fiducial": 41, "beats": beats, "subtract": True, "differences": 1}
    for number, extra in enumerate(
        [{}, {"coding": "none"}, {"coding": tables}, with_beat, {**with_beat, "factor": 4}, {**with_beat, "coding": "none"}]
    ):
        record = scp.ScpRecord(steps, leads, interval_us=10000, tags=tags, **extra)
        one("scp", scp.write_scp(folder / f"s{number}.scp", record))

    twelve = np.stack([mv[0], mv[1], *derived, *mv[2:]])
    for name, form, content in (
        ("a.xml", "muse", xml.muse_xml(mv, fs_hz, leads, who=erika)),
        ("p.xml", "philips", xml.philips_xml(twelve, fs_hz, STANDARD_LEADS, who=erika, version="1.03", encoding="utf-8")),
        ("u.xml", "philips", xml.philips_xml(twelve, fs_hz, STANDARD_LEADS, who=erika, packed=False)),
        ("h.xml", "aecg", xml.aecg_xml(mv, fs_hz, leads, who=erika)),
    ):
        (folder / name).write_bytes(content)
        one(form, folder / name)
    return seeds


#: Sample recordings of other makers, by format: the file that is damaged and the one that is opened.
_SAMPLES = {
    "wfdb header": [("s0010_re.hea", "s0010_re.hea"), ("a103l.hea", "a103l.hea")],
    "wfdb signal": [("s0010_re.dat", "s0010_re.hea")],
    "wfdb mat": [("a103l.mat", "a103l.mat")],
    "edf": [("contec_0000050.edf", "contec_0000050.edf")],
    "dicom": [("pydicom_waveform_ecg.dcm", "pydicom_waveform_ecg.dcm")],
    "muse": [("braveheart_example1.xml", "braveheart_example1.xml")],
    "philips": [("v1_03_129DYPRG.xml", "v1_03_129DYPRG.xml"), ("v1_04_ad4d3d80.xml", "v1_04_ad4d3d80.xml")],
    "aecg": [("fda_Example_aECG.xml", "fda_Example_aECG.xml"), ("fda_minimum_aecg.xml", "fda_minimum_aecg.xml")],
    "scp": [
        ("ecgtoolkit_Example.scp", "ecgtoolkit_Example.scp"),
        ("scptools_ECG_20070321_110542_ANON000004.scp", "scptools_ECG_20070321_110542_ANON000004.scp"),
    ],
}


def sample_seeds(formats: Path) -> dict[str, list[Seed]]:
    """The sample recordings in a folder, by format."""
    seeds: dict[str, list[Seed]] = {name: [] for name in FORMATS}
    for form, pairs in _SAMPLES.items():
        for target, entry in pairs:
            stem = Path(target).stem
            files = {p.name: p.read_bytes() for p in formats.iterdir() if p.stem == stem}
            seeds[form].append(Seed(form, target, files, target, entry))
    return seeds


def scp_checksum(content: bytes, *, keep_length: bool) -> bytes:
    """The record with a checksum (and a length, unless that is kept) that fits."""
    length = struct.unpack_from("<I", content, 2)[0] if keep_length else len(content)
    body = struct.pack("<I", length) + content[6:]
    return struct.pack("<H", binascii.crc_hqx(body[: max(length - 2, 0)], 0xFFFF)) + body


def _npy_header(text: str) -> bytes:
    head = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head


def hostile(folder: Path) -> list[Seed]:
    """Small files that announce or unfold to far more than they hold, one after another way to do so."""
    whole = written_seeds(folder)
    found: list[Seed] = []

    def add(form: str, name: str, content: bytes, **options: Any) -> None:
        found.append(Seed(form, name, {name: content}, name, name, options))

    for shape in ("(1099511627776,)", "(12, 1099511627776)", "(4294967296, 4294967296)", "(-1, 5)", "(0, 5)"):
        for kind in ("<f8", "|O", "<U999999999", "<f2", "V1000000000"):
            content = _npy_header(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}")
            add("npy", "a.npy", content + bytes(64), fs_hz=100.0, lead_names=("I",))
    add("npy", "n.npy", _npy_header("(" * 100), fs_hz=100.0)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        head = _npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (12, 16666666), }")
        archive.writestr("signal_mv.npy", head + bytes(200_000_000))
        archive.writestr("fs_hz.npy", _npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (), }") + bytes(8))
    add("npz", "bomb.npz", bomb.getvalue())

    laugh = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    for form, root in (("muse", "RestingECG"), ("philips", "restingecgdata"), ("aecg", "AnnotatedECG")):
        add(form, "l.xml", f'<!DOCTYPE {root} [<!ENTITY a "ha">{laugh}]><{root}>&i;</{root}>'.encode())
        add(form, "d.xml", (f"<{root}>" + "<a>" * 200_000).encode())
        add(form, "w.xml", (f"<{root}>" + "<a/>" * 700_000 + f"</{root}>").encode())
        add(form, "t.xml", (f"<{root} " + " ".join(f'a{i}="x"' for i in range(100_000)) + "/>").encode())

    edf = whole["edf"][0].content
    for records in (b"99999999", b"-1      ", b"0       "):
        for samples in (b"99999999", b"0       ", b"-5      "):
            head = bytearray(edf)
            count = int(edf[252:256])
            head[236:244] = records
            head[256 + 216 * count : 264 + 216 * count] = samples
            add("edf", "a.edf", bytes(head))
    many = bytearray(edf)
    many[252:256] = b"9999"
    add("edf", "m.edf", bytes(many))

    dicom = whole["dicom"][0].content
    for tag, values in ((0x003A0005, (0, 1, 65535)), (0x003A0010, (0, 2**31, 2**32 - 1)), (0x003A001A, None)):
        needle = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        at = dicom.find(needle)
        for value in values or ():
            size = struct.unpack_from("<H", dicom, at + 6)[0]
            add("dicom", "a.dcm", dicom[: at + 8] + value.to_bytes(size, "little") + dicom[at + 8 + size :])
        if values is None:
            for text in (b"1e9 ", b"0   ", b"nan ", b"-1  "):
                size = struct.unpack_from("<H", dicom, at + 6)[0]
                add("dicom", "f.dcm", dicom[: at + 8] + text[:size].ljust(size) + dicom[at + 8 + size :])
    inner = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = inner.compress(bytes(300_000_000)) + inner.flush()
    deflated = b"1.2.840.10008.1.2.1.99"
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(deflated)) + deflated
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta))
    add("dicom", "z.dcm", bytes(128) + b"DICM" + length + meta + packed)
    nested = struct.pack("<HH2s2xIHHI", 0x5400, 0x0100, b"SQ", 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF) * 20_000
    add("dicom", "n.dcm", dicom[:400] + nested)

    for line in (
        "h 1 100 4000000000",
        "h 4000000000 100 100",
        "h 64 250 70000",
        "h 1 1e-300 10",
        "h/999999 1 100 10",
        "h 1 0 10",
    ):
        header = f"{line}\nh.dat 16x9999999:2+4294967295 1e-300/mV 16 0 0 0 0 I\n".encode()
        found.append(Seed("wfdb header", line, {"h.hea": header, "h.dat": bytes(2000)}, "h.hea", "h.hea"))
    long = b"n 1 100 10\n" + b"n" * 400 + b".dat 16 200 16 0 0 0 0 I\n"
    add("wfdb header", "n.hea", long)
    loop = b"l/2 1 100 20\nl 10\nl 10\n"
    found.append(Seed("wfdb header", "a record within itself", {"l.hea": loop}, "l.hea", "l.hea"))

    add("csv", "w.csv", b"I_mV" + b",V1_mV" * 200_000 + b"\n1,2\n", fs_hz=100.0)
    add("csv", "q.csv", b'I_mV,II_mV\n"' + b"1," * 500_000, fs_hz=100.0)
    add("csv", "l.csv", b"I_mV,II_mV\n" + b"9" * 3_000_000 + b",1\n" * 3, fs_hz=100.0)
    add("csv", "n.csv", b"I_mV,II_mV\n" + b"\n" * 1_000_000, fs_hz=100.0)
    add("csv", "t.csv", b"time_s,I_mV\n0,1\n1e-300,2\n2e-300,1\n3e-300,2\n" * 50)
    add("watch", "w.txt", b"Sample Rate,1e300 hertz\nUnit,mV\n\n" + b"1\n" * 3000)
    add("watch", "v.txt", b"Sample Rate,500 hertz\nUnit,mV\n\n" + b"1\n" * 800_000)
    add("watch", "k.txt", b"Sample Rate," + b"9" * 3_000_000 + b" hertz\n\n1\n2\n")

    scp = whole["scp"][4].content
    for section, at, values in (
        (3, 2, (1, 2**31, 2**32 - 1)),
        (3, 6, (300, 10**7, 2**32 - 1)),
        (4, 4, (65535,)),
        (6, 2, (1, 65535)),
    ):
        for value in values:
            place = struct.unpack_from("<HII", scp, 22 + 10 * section)[2] - 1 + 16 + at
            width = 4 if section == 3 else 2
            changed = scp[:place] + value.to_bytes(width, "little") + scp[place + width :]
            add("scp", "a.scp", scp_checksum(changed, keep_length=False))
    return found
