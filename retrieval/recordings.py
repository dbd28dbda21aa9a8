"""Where a case's recording can be had: in a folder of this machine, or from PhysioNet, and only when the user asks for it.

A case keeps ``where`` as a folder's name and a file (``ward/day1/r3.hea``) or as a data set and a record ("PTB-XL 1.0.3
records100/00000/00001_lr"). Which folders of that name lie on this machine is noted beside the user's own things, never in a
library: a library can be passed on without saying how someone's disk is laid out.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from encoders.errors import ArtefactError, EcgAssistantError, InputError
from encoders.files import user_folder
from encoders.readers import read
from retrieval.store import CaseRow

__all__ = ["Source", "Trace", "download", "fetch", "local_file", "remember_folder", "source_of"]

#: Data sets by the name that ``where`` begins with → their folder at https://physionet.org/files/ (version in it).
_PHYSIONET = {"PTB-XL 1.0.3": "ptb-xl/1.0.3"}
_URL = "https://physionet.org/files"
_RECORD = re.compile(r"[A-Za-z0-9_\-]+(?:/[A-Za-z0-9_\-]+)*")
_TIMEOUT_S = 30.0
_LARGEST = 64 * 2**20


@dataclass(frozen=True)
class Source:
    """A recording's place at PhysioNet: the data set with its version, the record in it, and its address without ending."""

    dataset: str
    record: str

    @property
    def url(self) -> str:
        return f"{_URL}/{_PHYSIONET[self.dataset]}/{self.record}"


@dataclass(frozen=True)
class Trace:
    """Files that were fetched, and whether they came out of a folder here ("folder") or from "PhysioNet"."""

    files: tuple[Path, ...]
    came_from: str


def source_of(where: str) -> Source | None:
    """The place at PhysioNet that a case's ``where`` names, or None."""
    for dataset in _PHYSIONET:
        record = where.removeprefix(dataset + " ")
        if record != where and _RECORD.fullmatch(record):
            return Source(dataset, record)
    return None


# --- folders of this machine -----------------------------------------------------------------------------------------


def _note() -> Path:
    return user_folder() / "recordings.json"


def _folders() -> list[str]:
    try:
        found = json.loads(_note().read_text(encoding="utf-8"))["folders"]
        return [str(folder) for folder in found]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # only a convenience: without it nothing is lost but the short way to the traces


def remember_folder(folder: Path) -> None:
    """Note that recordings lie in ``folder``, so that `local_file` finds them; silent where the note cannot be written."""
    place = str(folder.resolve())
    known = _folders()
    if place in known:
        return
    with contextlib.suppress(OSError):
        _note().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=_note().parent, prefix=".recordings-")
        with open(handle, "w", encoding="utf-8") as out:
            json.dump({"folders": [*known, place]}, out)
        Path(part).replace(_note())


def local_file(row: CaseRow, folders: Sequence[str | Path] = ()) -> Path | None:
    """The case's recording in one of ``folders`` or of the folders that were read from before; None where it is not there.

    A folder given may be the one that ``where`` names or its parent, or a data set's own. Where the case has a content hash, only
    a recording with that content counts.
    """
    source = source_of(row.where)
    name = source.record if source is not None else row.where.partition("/")[2]
    top = None if source is not None else row.where.partition("/")[0]
    if not name or top == "" or Path(name).is_absolute() or ".." in Path(row.where).parts:
        return None
    known = [Path(folder) for folder in _folders()]
    names = [name] if top is None else [name, f"{top}/{name}"]
    given = [Path(folder) / one for folder in folders for one in names]
    for place in [*given, *(f / name for f in known if top is None or f.name == top)]:
        for file in (place, place.with_name(place.name + ".hea")):
            if file.is_file() and _is(file, row.content_hash):
                return file
    return None


def _is(file: Path, content_hash: str) -> bool:
    if not content_hash:
        return True
    try:
        return read(file).content_hash().startswith(content_hash)
    except EcgAssistantError:
        return False


def _parts(file: Path) -> list[Path]:
    """All files of a recording: a WFDB header names its signal files."""
    if file.suffix != ".hea":
        return [file]
    names = [line.split()[0] for line in file.read_text(encoding="latin-1").splitlines()[1:] if line and line[0] not in "#"]
    return [file, *(file.with_name(name) for name in dict.fromkeys(names) if Path(name).name == name)]


# --- fetching --------------------------------------------------------------------------------------------------------


def download(url: str) -> bytes:
    """The content at an address. The one place of this program that opens a network connection, on `cases fetch` alone.

    Raises OSError where there is no network or no such file.
    """
    from urllib.request import Request, urlopen

    with urlopen(Request(url, headers={"User-Agent": "ecg-assistant"}), timeout=_TIMEOUT_S) as answer:
        content: bytes = answer.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise OSError("too large")
    return content


def fetch(
    row: CaseRow, out: str | Path, *, folders: Sequence[str | Path] = (), network: Callable[[str], bytes] | None = download
) -> Trace:
    """Put a case's recording into the folder ``out`` (made where missing): from a folder here, else from PhysioNet.

    ``folders``: where to look besides the folders that were read from before. ``network``: address → content; None keeps off the
    network. All files of the recording arrive, or none. Raises InputError where the recording is neither here nor at PhysioNet,
    where there is no network, or where what is fetched is not the case's recording.
    """
    here = local_file(row, folders)
    source = source_of(row.where)
    if here is None and (source is None or network is None):
        raise InputError(
            f"The recording of case {row.case_id} is in no folder known here; give the folder it lies in with --from."
            if source is None or network is not None
            else f"The recording of case {row.case_id} is in no folder known here, and PhysioNet was not to be asked; "
            "give the folder it lies in with --from."
        )
    target = Path(out)
    try:
        target.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".fetch-", dir=target))
    except OSError as error:
        raise InputError(f"The folder {target.name!r} cannot be written; name one that may be.") from error
    try:
        if here is not None:
            for file in _parts(here):
                shutil.copyfile(file, work / file.name)
        elif source is not None and network is not None:
            _from_physionet(row, source, work, network)
        files = sorted(work.iterdir())
        for file in files:
            file.replace(target / file.name)
        return Trace(tuple(target / file.name for file in files), "PhysioNet" if here is None else "folder")
    except FileNotFoundError as error:
        raise InputError(f"The recording of case {row.case_id} lacks its signal file; restore the folder it lies in.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _from_physionet(row: CaseRow, source: Source, work: Path, network: Callable[[str], bytes]) -> None:
    name = source.record.rsplit("/", 1)[-1]
    try:
        for suffix in (".hea", ".dat"):
            (work / (name + suffix)).write_bytes(network(source.url + suffix))
    except OSError as error:
        raise InputError(
            f"PhysioNet could not be reached for case {row.case_id}; connect to a network, or give the folder that holds "
            f"{source.dataset} with --from."
        ) from error
    try:
        fetched = read(work / f"{name}.hea")
    except EcgAssistantError as error:
        raise ArtefactError(f"What PhysioNet sent for case {row.case_id} is no recording; try again later.") from error
    if row.content_hash and not fetched.content_hash().startswith(row.content_hash):
        raise ArtefactError(f"What PhysioNet sent for case {row.case_id} is not the recording in the library; nothing was kept.")
