"""From files to ``ECG``: the only place that knows file formats."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from encoders.ecg import ECG
from encoders.errors import RecordingError
from encoders.readers.csv import read_csv
from encoders.readers.wfdb import read_wfdb

__all__ = ["read", "read_files"]

#: First bytes of files that people hand in by mistake, and how they are called in the message.
_OTHER_TYPES = (
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"{", "a JSON file"),
    (b"0       ", "an EDF file"),
)
_ACCEPTED = "accepted are WFDB records (.hea with .dat or .mat) and tables (.csv, .tsv, .txt)"


def read(
    path: str | Path,
    *,
    fs_hz: float | None = None,
    unit: str | None = None,
    age_years: float | None = None,
    sex: str | None = None,
) -> ECG:
    """One recording from a file.

    ``path`` names a WFDB record (its .hea, its .dat or .mat, or the bare record name) or a table (``encoders.readers.csv``
    has the contract). ``fs_hz`` in Hz and ``unit`` ("mV", "uV", "V") are for tables that do not say them; a WFDB header
    says them itself. ``age_years`` (0-130) and ``sex`` ("F", "M") overrule the file. The content decides the format, the
    name only where the content does not tell.

    Raises RecordingError with one sentence that names the file's stem, never its path.
    """
    path = Path(path)
    label = path.stem or "The recording"
    try:
        if path.is_dir():
            raise RecordingError(f"{path.name or label} is a folder; give one recording's file.")
        if not path.exists():
            header = path.with_name(path.name + ".hea") if path.name else path
            if header.is_file():
                return read_wfdb(header, age_years=age_years, sex=sex)
            raise RecordingError(f"There is no file {label}; check the name.")
        if not path.is_file():
            raise RecordingError(f"{label} is no ordinary file; give one recording's file.")
        with path.open("rb") as handle:
            head = handle.read(512)
    except (OSError, ValueError) as error:
        raise RecordingError(f"{label} cannot be opened; check that it is there and may be read.") from error
    suffix = path.suffix.lower()
    if not head:
        raise RecordingError(f"{label} is empty; {_ACCEPTED}.")
    if head[128:132] == b"DICM":
        raise RecordingError(f"{label} is a DICOM file; {_ACCEPTED}.")
    if suffix not in (".dat", ".mat") and head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0").startswith(b"<"):
        raise RecordingError(f"{label} is an XML or HTML file; {_ACCEPTED}.")
    for magic, kind in _OTHER_TYPES:
        if head.startswith(magic) and suffix not in (".dat", ".mat"):
            raise RecordingError(f"{label} is {kind}; {_ACCEPTED}.")
    if suffix == ".hea":
        return read_wfdb(path, age_years=age_years, sex=sex)
    if suffix in (".dat", ".mat"):
        beside = next((h for h in (path.with_suffix(".hea"), path.with_suffix(".HEA")) if h.is_file()), None)
        if beside is None:
            raise RecordingError(f"{label}{suffix} has no header {label}.hea beside it; give both files together.")
        return read_wfdb(beside, age_years=age_years, sex=sex)
    if suffix in (".csv", ".tsv", ".txt", ".tab") or _looks_like_table(head):
        return read_csv(path, fs_hz=fs_hz, unit=unit, age_years=age_years, sex=sex)
    raise RecordingError(f"{label} is of a type that is not known; {_ACCEPTED}.")


def _looks_like_table(head: bytes) -> bool:
    first = head.splitlines()[0] if head.splitlines() else b""
    return b"\0" not in head and any(c in first for c in b",;\t") and first[:1].isalpha()


def read_files(
    paths: Sequence[str | Path],
    *,
    fs_hz: float | None = None,
    unit: str | None = None,
    age_years: float | None = None,
    sex: str | None = None,
) -> ECG:
    """One recording that came as several files (a WFDB header with its signal files, in one folder or several).

    Options and errors as in ``read``. Raises RecordingError where the files are none, or more than one recording.
    """
    files = [Path(p) for p in paths]
    if not files:
        raise RecordingError("No file was given; give one recording.")
    options = {"age_years": age_years, "sex": sex}
    if len(files) == 1:
        return read(files[0], fs_hz=fs_hz, unit=unit, age_years=age_years, sex=sex)
    headers = [f for f in files if f.suffix.lower() == ".hea"]
    if len(headers) > 1:
        headers = [h for h in headers if _is_segmented(h)]
    if len(headers) != 1:
        raise RecordingError(
            f"{len(files)} files with {len(headers)} WFDB headers were given; give one recording: its .hea with its signal files."
        )
    header = headers[0]
    if len({f.parent.resolve() for f in files}) == 1:
        return read_wfdb(header, **options)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        try:
            for file in files:
                shutil.copyfile(file, Path(folder) / file.name)
        except OSError as error:
            raise RecordingError(f"{header.stem} cannot be opened; check that all its files may be read.") from error
        return read_wfdb(Path(folder) / header.name, **options)  # type: ignore[arg-type]


def _is_segmented(header: Path) -> bool:
    """True where a header's first line announces segments (``name/segments``)."""
    try:
        lines = header.read_text("latin-1").splitlines()
    except OSError:
        return False
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    return "/" in first.split(" ")[0]
