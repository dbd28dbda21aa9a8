"""No name, identifier or birth date passes the readers: canaries in every field of every format, looked for in all output."""

from __future__ import annotations

import csv
import importlib.util
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.ecg import ECG
from encoders.errors import RecordingError
from encoders.measurements import Measurements
from encoders.readers import read, read_files
from encoders.readers.leads import lead_name
from encoders.readers.named import names_in_file
from retrieval.build import build_from_folder

Maker = Callable[..., ECG]
Planter = Callable[[Path], Path]

CANARY = "Quetzalcoatl^Zenobia"
#: As names and identifiers go into fields of 16 characters, the first letters must not be found either.
FORBIDDEN = ("Quetzal", "Zenobia", "PID4711X", "1961-08-12", "19610812", "08-12-1961", "12.08.1961", "12-AUG-1961", "12 Aug 1961")


def all_text(ecg: ECG) -> str:
    """Everything a recording could print, its samples aside."""
    return " ".join([repr(ecg), str(ecg), *(str(getattr(ecg, f.name)) for f in fields(ecg))])


def assert_clean(text: str) -> None:
    found = [word for word in FORBIDDEN if word.lower() in text.lower()]
    assert not found, f"{found} in {text[:500]}"


@pytest.fixture(scope="session")
def scp_writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scp_writer", Path(__file__).with_name("scp_writer.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scp_writer"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def planters(writers: ModuleType, xml_writers: ModuleType, scp_writer: ModuleType, synthetic_ecg: Maker) -> dict[str, Planter]:
    """For each format: writes a recording of a patient with every identifying field filled, under a neutral file name."""
    who = replace(writers.ERIKA, name=CANARY)
    ecg = synthetic_ecg(fs_hz=250.0)
    given = (ecg.signal_mv, ecg.fs_hz, ecg.leads)

    def scp(path: Path) -> Path:
        born = (1961).to_bytes(2, "little") + bytes((8, 12))
        day = (2024).to_bytes(2, "little") + bytes((3, 5))
        named = {n: CANARY.encode() + b"\0" for n in (0, 1, 2, 3, 13, 16, 17, 18, 19, 20, 21, 22, 23, 30, 31, 35, 200)}
        about = {**named, 2: b"PID4711X0815\0", 5: born, 8: b"\x02", 25: day, 26: bytes((14, 30, 15))}
        tags = b"".join(scp_writer.tag(number, value) for number, value in sorted(about.items()))
        steps = np.round(np.asarray(ecg.signal_mv, float) * 400).astype(np.int64)
        extra = {n: CANARY.encode() for n in (8, 10, 11)}
        record = scp_writer.ScpRecord(steps, ecg.leads, interval_us=4000, tags=tags, extra_sections=extra)
        return Path(scp_writer.write_scp(path.with_suffix(".scp"), record))

    def xml(write: Callable[..., bytes]) -> Planter:
        def plant(path: Path) -> Path:
            path.with_suffix(".xml").write_bytes(write(*given, who=who))
            return path.with_suffix(".xml")

        return plant

    return {
        "muse": xml(xml_writers.muse_xml),
        "philips": xml(xml_writers.philips_xml),
        "aecg": xml(xml_writers.aecg_xml),
        "scp": scp,
        "edf": lambda path: writers.write_edf(path.with_suffix(".edf"), *given, patient=who, annotations=[CANARY] * 9),
        "dicom": lambda path: writers.write_dicom(path.with_suffix(".dcm"), *given, patient=who),
        "wfdb": lambda path: writers.write_wfdb(path.parent, *given, patient=who, name=path.name),
        "numpy": lambda path: writers.write_npz(path.with_suffix(".npz"), *given, patient=who),
        "watch": lambda path: writers.write_watch(path.with_suffix(".csv"), ecg.lead("I"), ecg.fs_hz, patient=who),
    }


FORMATS = ("muse", "philips", "aecg", "scp", "edf", "dicom", "wfdb", "numpy", "watch")


@pytest.fixture
def nothing_said(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Looks for canaries in what libraries print, log and warn meanwhile."""
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        yield
    shown = capfd.readouterr()
    assert_clean(shown.out + shown.err + caplog.text + " ".join(str(w.message) for w in warned))


@pytest.mark.usefixtures("nothing_said")
@pytest.mark.parametrize("kind", FORMATS)
def test_only_age_sex_and_time_are_kept(tmp_path: Path, planters: dict[str, Planter], kind: str) -> None:
    file = planters[kind](tmp_path / "rec")
    got = read(file)
    assert got.source == kind and got.fs_hz == 250.0 and got.patient is None
    assert got.age_years in (62.0, None) and got.sex in ("F", None)
    assert kind == "watch" or (got.age_years, got.sex) == (62.0, "F")
    assert_clean(all_text(got))


@pytest.mark.usefixtures("nothing_said")
@pytest.mark.parametrize("kind", FORMATS)
def test_messages_about_damaged_files_name_nobody(tmp_path: Path, planters: dict[str, Planter], kind: str) -> None:
    whole_file = planters[kind](tmp_path / "rec")
    whole, rng = whole_file.read_bytes(), np.random.default_rng(11)
    refused = 0
    for turn in range(40):
        content, at = bytearray(whole), int(rng.integers(len(whole)))
        if turn % 2:
            content = content[: int(at ** (0.5 + turn / 80))]
        else:
            for place in rng.integers(min(len(whole), 4000), size=12):
                content[place] ^= 1 << int(rng.integers(7))
        whole_file.write_bytes(bytes(content))
        try:
            assert_clean(all_text(read(whole_file)))
        except RecordingError as error:
            refused += 1
            # A log prints the whole chain of causes, not only the sentence.
            assert_clean("".join(line for line in traceback.format_exception(error) if not line.startswith("  File")))
    assert refused > 5


SAMPLES = ("braveheart_example1.xml", "v1_03_129DYPRG.xml", "v1_04_ad4d3d80.xml", "fda_Example_aECG.xml")
#: What holds the samples; it is left as it is in three of four turns, so that most files can still be read.
_SIGNAL = re.compile(r"digits|WaveFormData|parsedwaveforms|waveform", re.IGNORECASE)


@pytest.mark.parametrize("name", SAMPLES)
def test_canaries_anywhere_in_real_xml_files(ecg_data: Path, tmp_path: Path, name: str) -> None:
    """A third of all texts and attributes become a canary, whatever they were; half of the turns spare all numbers."""
    root_text = (ecg_data / "formats" / name).read_bytes()
    rng = np.random.default_rng(len(name))
    outcomes = []
    for turn in range(12):
        root = ElementTree.fromstring(root_text)
        for node in root.iter():
            if _SIGNAL.search(node.tag) and turn % 4:
                continue
            spared = turn % 2 == 0
            if node.text and node.text.strip() and not (spared and needed(node.text)) and rng.random() < 0.33:
                node.text = CANARY
            for key, value in list(node.attrib.items()):
                if not (spared and needed(value)) and rng.random() < 0.33:
                    node.set(key, CANARY)
        file = tmp_path / "rec.xml"
        file.write_bytes(ElementTree.tostring(root))
        try:
            got = read(file)
        except RecordingError as error:
            outcomes.append("refused")
            assert_clean("".join(line for line in traceback.format_exception(error) if not line.startswith("  File")))
        else:
            outcomes.append("read")
            assert_clean(all_text(got))
    assert set(outcomes) == {"read", "refused"}


#: Words without which no reader could read the file.
_WORDS = re.compile(
    r"^(?:Rhythm|MICROVOLTS|Base64|XLI|SierraECG|PhilipsECG|STD-12|RHYTHM|SLIST_PQ|GLIST_TS|TIME_\w+|MDC_ECG_LEAD_\w+|[a-z]?[Vs]"
    r"|I|II|III|aV[RLF]|V\d|(?:I|II|III|aV[RLF]|V\d)(?: (?:I|II|III|aV[RLF]|V\d))+ ?)$"
)


def needed(text: str) -> bool:
    bare = text.strip()
    return bool(re.fullmatch(r"[-+\d.eE]+", bare) or _WORDS.match(bare))


def test_no_canary_reaches_a_case_library(
    tmp_path: Path, planters: dict[str, Planter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))
    folder = tmp_path / "ward"
    folder.mkdir()
    files = [planters[kind](folder / f"r{i}") for i, kind in enumerate(FORMATS)]
    rows = [{"file": file.name, "id": file.stem, "patient": "PID4711X0815"} for file in files]
    with (tmp_path / "table.csv").open("w", newline="") as handle:
        table = csv.DictWriter(handle, ["file", "id", "patient"])
        table.writeheader()
        table.writerows(rows)

    def encode(ecgs: list[ECG]) -> NDArray[np.float32]:
        return np.stack([np.abs(np.fft.rfft(e.signal_mv[0], 510))[:256] for e in ecgs]).astype(np.float32)

    def nothing(ecg: ECG) -> Measurements:
        return Measurements(())

    done = build_from_folder(folder, tmp_path / "table.csv", encode, nothing, str(tmp_path / "lib"), "d" * 64, progress=False)
    # the same trace in two formats may come out sample for sample: that is one case, and said so
    assert done.added + len(done.duplicates) == len(FORMATS), done.failed
    for file in (tmp_path / "lib").rglob("*"):
        if file.is_file():
            assert_clean(file.read_bytes().decode("latin-1"))


def test_patient_is_kept_as_a_hash_only(
    tmp_path: Path, planters: dict[str, Planter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))
    file = planters["muse"](tmp_path / "rec")
    one, again = read(file, patient=CANARY), read_files([file], patient=f" {CANARY} ")
    assert one.patient is not None and one.patient == again.patient != read(file, patient="another").patient
    assert one.content_hash() == read(file).content_hash()
    assert one.select(("I",)).patient == one.patient
    assert_clean(all_text(one))


def test_no_canary_in_a_printed_report(
    tmp_path: Path, planters: dict[str, Planter], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The whole way once, through the command line and the real assistant."""
    pytest.importorskip("torch")
    from ui import cli

    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))
    file = planters["philips"](tmp_path / "rec")
    status: Any = cli.main(["report", str(file), "--json", "--patient", CANARY, "--k", "2"])
    shown = capfd.readouterr()
    assert status in (0, None) and '"age_years": 62' in shown.out
    assert_clean(shown.out + shown.err)
    assert cli.main(["report", str(file.with_name("gone.xml")), "--patient", CANARY]) == 2
    shown = capfd.readouterr()
    assert_clean(shown.out + shown.err)


@pytest.mark.parametrize("command", ["check", "measure", "delineate"])
def test_no_canary_in_tables_and_verdicts_of_any_format(
    tmp_path: Path, planters: dict[str, Planter], capfd: pytest.CaptureFixture[str], command: str
) -> None:
    """Every format, and one file of each cut short, through each command that many recordings go through."""
    pytest.importorskip("torch")
    from ui import cli

    files = [planters[kind](tmp_path / f"r{i}") for i, kind in enumerate(FORMATS)]
    for i, file in enumerate([*files]):
        broken = file.with_name(f"b{i}{file.suffix}")
        broken.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
        files.append(broken)
    out = tmp_path / "table.csv"
    assert cli.main([command, *map(str, files), *(["--json"] if command == "check" else ["--out", str(out)])]) == 0
    shown = capfd.readouterr()
    told = shown.out + shown.err + (out.read_text(encoding="utf-8") if out.exists() else "")
    missing = [kind for i, kind in enumerate(FORMATS) if f"r{i}" not in told]
    assert not missing and "b0" in told
    assert_clean(told)


def test_no_canary_in_the_service_and_its_audit_store(
    tmp_path: Path, planters: dict[str, Planter], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every format uploaded for a report and a measurement, whole and cut short, under a file name that tells the patient's."""
    pytest.importorskip("torch")
    from fastapi.testclient import TestClient

    from assistant import Assistant
    from ui.audit import AuditStore
    from ui.service import create_app

    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))
    kept = tmp_path / "kept"
    store = AuditStore(kept / "audit.sqlite")
    answered: dict[str, int] = {}
    with TestClient(create_app(Assistant.load(), page=False, audit=store)) as client:
        for i, kind in enumerate(FORMATS):
            file = planters[kind](tmp_path / f"r{i}")
            parts = sorted(file.parent.glob(f"{file.stem}.*")) if file.suffix == ".hea" else [file]
            for cut in (False, True):
                # A WFDB record is known by its name, so that one keeps it.
                names = [part.name if len(parts) > 1 else f"{CANARY.replace('^', ' ')}{part.suffix}" for part in parts]
                held = [part.read_bytes()[: part.stat().st_size // (3 if cut else 1)] for part in parts]
                files = [("files", pair) for pair in zip(names, held, strict=True)]
                for path, data in (("/v1/reports", {"k": "2", "patient": CANARY}), ("/v1/measurements", {})):
                    answer = client.post(path, files=files, data=data)
                    assert_clean(answer.text)
                    assert answer.status_code in ((200, 422) if cut else (200,)), f"{kind} {path}: {answer.text[:300]}"
                    answered[kind] = answered.get(kind, 0) + (answer.status_code == 200)
    assert set(answered) == set(FORMATS) and len(list(store.entries())) == sum(answered.values()) >= 2 * len(FORMATS)
    store.close()
    assert_clean(caplog.text)
    for file in kept.rglob("*"):
        assert_clean(file.read_bytes().decode("latin-1"))
        assert_clean(file.read_bytes().decode("utf-16-le", "ignore"))


FIRST_NAME = "Zenobia"


@pytest.mark.parametrize("kind", ["edf", "dicom", "aecg", "csv", "numpy", "wfdb"])
def test_a_first_name_where_a_lead_s_name_belongs_is_not_kept(
    tmp_path: Path, writers: ModuleType, xml_writers: ModuleType, synthetic_ecg: Maker, kind: str
) -> None:
    """A short plain word looks like any lead's name; only names of leads that are in use may pass."""
    ecg = synthetic_ecg(fs_hz=250.0)
    names = (*ecg.leads[:11], FIRST_NAME)
    given = (ecg.signal_mv, ecg.fs_hz, names)
    if kind == "edf":
        file = writers.write_edf(tmp_path / "rec.edf", *given)
    elif kind == "dicom":
        file = writers.write_dicom(tmp_path / "rec.dcm", *given, codes="label")
    elif kind == "aecg":
        file = tmp_path / "rec.xml"
        content = xml_writers.aecg_xml(ecg.signal_mv, ecg.fs_hz, ecg.leads, who=writers.ERIKA)
        assert b"MDC_ECG_LEAD_V6" in content
        file.write_bytes(content.replace(b"MDC_ECG_LEAD_V6", FIRST_NAME.encode()))
    elif kind == "csv":
        file = writers.write_csv(tmp_path / "rec.csv", *given)
    elif kind == "numpy":
        file = writers.write_npz(tmp_path / "rec.npz", *given)
    else:
        file = writers.write_wfdb(tmp_path, *given)
    got = read(file)
    # EDF passes over what is no lead at all; in a table the column of time counts as a position.
    assert got.leads[:11] == ecg.leads[:11] and got.leads[11:] in {(), ("ch12",), ("ch13",)}
    assert_clean(all_text(got) + repr(names_in_file(file)))


@pytest.mark.parametrize(
    "name",
    ["MLII", "ML5", "MLI", "mod.V1", "MV1", "MCL1", "V7", "V9", "V3R", "V6R", "V", "X", "Z", "vx", "ES", "A-S", "AI"]
    + ["CM5", "CC5", "CS2", "CB5", "D1", "D3", "DII", "ECG", "ECG1", "EKG", "ch2", "V4-V5"],
)
def test_leads_in_use_beside_the_twelve_keep_their_name(name: str) -> None:
    assert lead_name(f" {name} ", 4) == (name, 1.0)


@pytest.mark.parametrize("name", ["Ana", "Max", "Erika", "Li", "Vi", "Ivy", "PID4711X", "V1a", "D-1961", "EcgMax", "ECG1961", ""])
def test_any_other_word_becomes_a_position(name: str) -> None:
    assert lead_name(name, 4) == ("ch5", 1.0)


def test_leads_without_a_name_or_with_the_same_one_are_told_apart(
    tmp_path: Path, writers: ModuleType, synthetic_ecg: Maker
) -> None:
    """Tapes call both channels ECG, or leave their names out; a table of waves still needs a name for each."""
    two = synthetic_ecg(fs_hz=250.0).select(("II", "V5"))
    header = writers.write_wfdb(tmp_path, two.signal_mv, two.fs_hz, ("ECG1", "ECG2"), name="tape")
    text = header.read_text()
    for names, leads in (
        (("ECG", "ECG"), ("ECG", "ECG (2)")),
        (("signal 0", "signal 1"), ("signal 0", "signal 1")),
        (("MLII", "Zenobia"), ("MLII", "ch2")),
        (("", ""), ("ch1", "ch2")),
    ):
        header.write_text(text.replace("ECG1", names[0]).replace("ECG2", names[1]))
        assert read(header).leads == leads
        assert names_in_file(header) == {lead: lead for lead in leads}
    header.write_text(text.replace("ECG1", "v5").replace("ECG2", "V5"))
    with pytest.raises(RecordingError, match="V5 more than once"):
        read(header)
