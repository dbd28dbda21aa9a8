"""Uploaded files: which of them make up which recording, and a temporary folder that is gone afterwards."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from encoders.errors import RecordingError

__all__ = ["MAX_UPLOAD_BYTES", "Upload", "nameless", "recordings_in", "safe_name", "stored"]

#: All files of one request together. A 12-lead recording of 10 s at 1000 Hz takes a quarter of a megabyte.
MAX_UPLOAD_BYTES = 20 * 1024 * 1024
_ALLOWED_NAME = re.compile(r"[\w][\w .()+=,-]{0,119}", re.UNICODE)
_BINARY_OF_WFDB = (".dat", ".mat")
#: Folders of our own, called as no file may be.
_AGAIN, _APART = "#", "#uploads"


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


def _places(folder: Path, names: Sequence[str]) -> list[Path]:
    """Where each file lies: under its own name, the second one of a name in a folder for the second, and so on. Carts call every
    recording alike, and the two files of a WFDB record stay together in whatever order they were sent."""
    seen: Counter[str] = Counter()
    out = []
    for name in map(safe_name, names):
        seen[name] += 1
        out.append((folder if seen[name] == 1 else folder / f"{_AGAIN}{seen[name]}") / name)
    return out


@contextlib.contextmanager
def stored(uploads: Sequence[Upload]) -> Iterator[Path]:
    """A temporary folder with the files under their own names; removed when the block is left, whatever happens.

    Raises RecordingError for odd names.
    """
    with tempfile.TemporaryDirectory(prefix="ecg-upload-") as folder:
        for upload, path in zip(uploads, _places(Path(folder), [upload.name for upload in uploads]), strict=True):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(upload.content)
        yield Path(folder)


def nameless(folder: Path, recordings: Sequence[Path]) -> list[Path]:
    """The same recordings under names that tell nobody, as people name files after patients, and errors name the file.

    A WFDB record keeps its own, which its header holds.
    """
    apart = folder / _APART
    apart.mkdir()
    return [
        path if path.suffix.lower() in (".hea", *_BINARY_OF_WFDB) else path.rename(apart / f"Upload {number}{path.suffix}")
        for number, path in enumerate(recordings, 1)
    ]


def recordings_in(folder: Path, order: Sequence[str]) -> list[Path]:
    """The recordings among the files, in the order in which they were sent (``order``: their names).

    A WFDB header and the files and segments that it names are one recording; every other file is one of its own. A .dat
    without a header stays, so that the reader can say what is missing.
    """
    places = _places(folder, order)
    headers = [path for path in places if path.suffix.lower() == ".hea"]
    belongs = {(path.parent, name) for path in headers for name in _named_in_header(path.read_bytes())}
    described = {(path.parent, path.stem) for path in headers}
    found = []
    for path in places:
        segment = path in headers and (path.parent, path.stem) in belongs
        binary = path.suffix.lower() in _BINARY_OF_WFDB and (path.parent, path.stem) in described
        if not (segment or binary or (path.parent, path.name) in belongs):
            found.append(path)
    return found
