"""Uploaded files: which of them make up which recording, and a temporary folder that is gone afterwards."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from encoders.errors import RecordingError

__all__ = ["MAX_UPLOAD_BYTES", "Upload", "nameless", "recordings_in", "safe_name", "stored"]

#: All files of one request together. A 12-lead recording of 10 s at 1000 Hz takes a quarter of a megabyte.
MAX_UPLOAD_BYTES = 20 * 1024 * 1024
_ALLOWED_NAME = re.compile(r"[\w][\w .()+=,-]{0,119}", re.UNICODE)
_BINARY_OF_WFDB = (".dat", ".mat")


@dataclass(frozen=True)
class Upload:
    """One uploaded file: the name that the sender gave it, and its content."""

    name: str
    content: bytes


def safe_name(name: str) -> str:
    """The last part of a file name as sent, fit to be written into our own folder.

    Raises RecordingError for names that are empty, hidden, too long or hold odd characters. The name is kept otherwise,
    for a WFDB header names its signal file.
    """
    last = PurePosixPath(name.replace("\\", "/")).name
    if not _ALLOWED_NAME.fullmatch(last):
        raise RecordingError(
            "An uploaded file has an unusual name; use letters, digits, spaces, dots, dashes and underscores, up to 120."
        )
    return last


def _named_in_header(header: bytes) -> set[str]:
    """Signal files and segments that a WFDB header names (the reader refuses names that point elsewhere)."""
    lines = [line.strip() for line in header.decode("latin-1").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    return {line.split()[0] for line in lines[1:]}


@contextlib.contextmanager
def stored(uploads: Sequence[Upload]) -> Iterator[Path]:
    """A temporary folder with the files under their own names; removed when the block is left, whatever happens.

    Raises RecordingError for odd names or two files of one name.
    """
    with tempfile.TemporaryDirectory(prefix="ecg-upload-") as folder:
        for upload in uploads:
            path = Path(folder) / safe_name(upload.name)
            if path.exists():
                raise RecordingError("Two uploaded files have the same name; send each file once.")
            path.write_bytes(upload.content)
        yield Path(folder)


def nameless(folder: Path, recordings: Sequence[Path]) -> list[Path]:
    """The same recordings under names that tell nobody, as people name files after patients, and errors name the file.

    A WFDB record keeps its own, which its header holds.
    """
    apart = folder / "uploads"
    while apart.exists():  # a file may be called so
        apart = apart.with_name(f"{apart.name}-")
    apart.mkdir()
    return [
        path if path.suffix.lower() in (".hea", *_BINARY_OF_WFDB) else path.rename(apart / f"upload {number}{path.suffix}")
        for number, path in enumerate(recordings, 1)
    ]


def recordings_in(folder: Path, order: Sequence[str]) -> list[Path]:
    """The recordings among the files, in the order in which they were sent.

    A WFDB header and the files and segments that it names are one recording; every other file is one of its own. A .dat
    without a header stays, so that the reader can say what is missing.
    """
    belongs: set[str] = set()
    headers = {path.stem for path in folder.iterdir() if path.suffix.lower() == ".hea"}
    for path in folder.iterdir():
        if path.suffix.lower() == ".hea":
            belongs |= _named_in_header(path.read_bytes())
    found = []
    for name in order:
        path = folder / safe_name(name)
        segment = path.suffix.lower() == ".hea" and path.stem in belongs
        if segment or path.name in belongs or (path.suffix.lower() in _BINARY_OF_WFDB and path.stem in headers):
            continue
        found.append(path)
    return found
