"""From files to ``ECG``: the only place that knows file formats. The content decides which reader takes a file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from encoders.ecg import ECG
from encoders.errors import RecordingError
from encoders.patient import hash_patient
from encoders.readers.aecg import is_aecg, read_aecg
from encoders.readers.csv import read_csv
from encoders.readers.dicom import is_dicom, read_dicom
from encoders.readers.edf import is_edf, read_edf
from encoders.readers.leads import LONGEST_S, MAX_DURATION_S, check_duration
from encoders.readers.muse import is_muse, read_muse
from encoders.readers.npy import is_npy, read_npy
from encoders.readers.philips import is_philips, read_philips
from encoders.readers.scp import is_scp, read_scp
from encoders.readers.watch import is_watch, read_watch
from encoders.readers.wfdb import read_wfdb
from encoders.readers.xml import is_xml, root_name

__all__ = ["LONGEST_S", "MAX_DURATION_S", "read", "read_files"]

#: Enough for every signature; XML may have long comments before its first element.
_HEAD_BYTES, _XML_HEAD_BYTES = 4096, 65536

#: First bytes of files that people hand in by mistake, and how they are called in the message.
_OTHER_TYPES = (
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"{", "a JSON file"),
)
_ACCEPTED = (
    "accepted are WFDB records (.hea with .dat or .mat), EDF, DICOM, SCP-ECG, the XML of GE MUSE, Philips and HL7 aECG, "
    "NumPy arrays and tables (.csv, .tsv, .txt)"
)


def read(
    path: str | Path,
    *,
    fs_hz: float | None = None,
    unit: str | None = None,
    lead_names: tuple[str, ...] | None = None,
    age_years: float | None = None,
    sex: str | None = None,
    patient: str | None = None,
    long: bool = False,
) -> ECG:
    """One recording from a file, in mV, whatever its format; the content decides, the name only where the content does not tell.

    ``path`` names a WFDB record (its .hea, its .dat or .mat, or the bare record name), an EDF, DICOM or SCP-ECG file, the XML of
    GE MUSE, Philips or HL7 aECG, a NumPy array (``encoders.readers.npy``) or a table (``encoders.readers.csv`` and
    ``encoders.readers.watch`` have the contract).

    What a file says itself is taken from it. For those that do not: ``fs_hz`` in Hz, ``unit`` ("mV", "uV", "V"), and
    ``lead_names``, one per row of an array. ``age_years`` (0-130) and ``sex`` ("F", "M") overrule the file. ``patient``: a key of
    one's own that ties recordings of one patient together, kept as ``encoders.patient.hash_patient`` only. Names, identifiers
    and birth dates of the file are dropped here. ``long``: up to an hour (``LONGEST_S``) is read instead of
    ten minutes (``MAX_DURATION_S``), for whoever looks at each beat alone.

    Raises RecordingError with one sentence that names the file, never its path nor a word of its text.
    """
    tie = None if patient is None else hash_patient(patient)
    ecg = _read(Path(path), fs_hz, unit, lead_names, {"age_years": age_years, "sex": sex})
    check_duration(ecg.duration_s, Path(path).stem or "The recording", LONGEST_S if long else MAX_DURATION_S)
    return ecg if tie is None else replace(ecg, patient=tie)


def _read(
    path: Path, fs_hz: float | None, unit: str | None, lead_names: tuple[str, ...] | None, about: dict[str, Any]
) -> ECG:
    label = path.stem or "The recording"
    try:
        if path.is_dir():
            raise RecordingError(f"{path.name or label} is a folder; give one recording's file.")
        if not path.exists():
            header = path.with_name(path.name + ".hea") if path.name else path
            if header.is_file():
                return read_wfdb(header, **about)
            raise RecordingError(f"There is no file {label}; check the name.")
        if not path.is_file():
            raise RecordingError(f"{label} is no ordinary file; give one recording's file.")
        with path.open("rb") as handle:
            head = handle.read(_HEAD_BYTES)
            if is_xml(head):
                head += handle.read(_XML_HEAD_BYTES - len(head))
    except (OSError, ValueError) as error:
        raise RecordingError(f"{label} cannot be opened; check that it is there and may be read.") from error
    suffix = path.suffix.lower()
    if not head:
        raise RecordingError(f"{label} is empty; {_ACCEPTED}.")
    if suffix in (".dat", ".mat"):
        # Samples may look like anything, so the header beside them comes first.
        beside = next((h for h in (path.with_suffix(".hea"), path.with_suffix(".HEA")) if h.is_file()), None)
        if beside is not None:
            return read_wfdb(beside, **about)
    if is_dicom(head):
        return read_dicom(path, unit=unit, **about)
    if is_scp(head):
        return read_scp(path, **about)
    if is_edf(head):
        return read_edf(path, unit=unit, **about)
    if is_npy(head):
        return read_npy(path, fs_hz=fs_hz, unit=unit, leads=lead_names, **about)
    if suffix in (".dat", ".mat"):
        raise RecordingError(f"{label}{suffix} has no header {label}.hea beside it; give both files together.")
    if is_xml(head):
        return _read_xml(path, head, about)
    for magic, kind in _OTHER_TYPES:
        if head.startswith(magic):
            raise RecordingError(f"{label} is {kind}; {_ACCEPTED}.")
    if suffix == ".hea":
        return read_wfdb(path, **about)
    if is_watch(head):
        return read_watch(path, fs_hz=fs_hz, unit=unit, **about)
    if suffix in (".csv", ".tsv", ".txt", ".tab") or _looks_like_table(head):
        return read_csv(path, fs_hz=fs_hz, unit=unit, **about)
    raise RecordingError(f"{label} is of a type that is not known; {_ACCEPTED}.")


def _read_xml(path: Path, head: bytes, about: dict[str, Any]) -> ECG:
    if is_muse(head):
        return read_muse(path, **about)
    if is_philips(head):
        return read_philips(path, **about)
    if is_aecg(head):
        return read_aecg(path, **about)
    kind = "an HTML page" if root_name(head).lower() == "html" else "an XML file, but of no kind that is known"
    raise RecordingError(f"{path.stem} is {kind}; {_ACCEPTED}.")


def _looks_like_table(head: bytes) -> bool:
    first = head.splitlines()[0] if head.splitlines() else b""
    return b"\0" not in head and any(c in first for c in b",;\t") and first[:1].isalpha()


def read_files(
    paths: Sequence[str | Path],
    *,
    fs_hz: float | None = None,
    unit: str | None = None,
    lead_names: tuple[str, ...] | None = None,
    age_years: float | None = None,
    sex: str | None = None,
    patient: str | None = None,
) -> ECG:
    """One recording that came as several files (a WFDB header with its signal files, in one folder or several).

    Options and errors as in ``read``. Raises RecordingError where the files are none, or more than one recording.
    """
    files = [Path(p) for p in paths]
    if not files:
        raise RecordingError("No file was given; give one recording.")
    if len(files) == 1:
        one = files[0]
        return read(one, fs_hz=fs_hz, unit=unit, lead_names=lead_names, age_years=age_years, sex=sex, patient=patient)
    headers = [f for f in files if f.suffix.lower() == ".hea"]
    if len(headers) > 1:
        headers = [h for h in headers if _is_segmented(h)]
    if len(headers) != 1:
        raise RecordingError(
            f"{len(files)} files with {len(headers)} WFDB headers were given; give one recording: its .hea with its signal files."
        )
    header = headers[0]
    if len({f.parent.resolve() for f in files}) == 1:
        return read(header, age_years=age_years, sex=sex, patient=patient)
    with tempfile.TemporaryDirectory() as folder:
        try:
            for file in files:
                shutil.copyfile(file, Path(folder) / file.name)
        except OSError as error:
            raise RecordingError(f"{header.stem} cannot be opened; check that all its files may be read.") from error
        return read(Path(folder) / header.name, age_years=age_years, sex=sex, patient=patient)


def _is_segmented(header: Path) -> bool:
    """True where a header's first line announces segments (``name/segments``)."""
    try:
        lines = header.read_text("latin-1").splitlines()
    except OSError:
        return False
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    return "/" in first.split(" ")[0]
