"""Which library is meant: the built-in one, a named one of this user, a folder, or a Milvus address; also several at once.

A named library lies under ``user_folder()/libraries/NAME``: a folder that holds it, or NAME.json that says where it is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from encoders.errors import ArtefactError, QueryError
from encoders.files import user_folder

__all__ = ["BUILTIN", "BUILTIN_NAME", "Place", "find_places", "named_folder", "named_places", "register"]

#: The library that is shipped: PTB-XL, folds 1-8.
BUILTIN = Path(__file__).with_name("builtin")
BUILTIN_NAME = "built-in"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,63}")
_MILVUS = "milvus:"


@dataclass(frozen=True)
class Place:
    """A library's ``name``, as results show it, and its ``spec``, as `retrieval.store.open_store` takes it."""

    name: str
    spec: str

    @property
    def builtin(self) -> bool:
        return not self.spec.startswith(_MILVUS) and Path(self.spec).resolve() == BUILTIN.resolve()


def _libraries() -> Path:
    return user_folder() / "libraries"


def named_folder(name: str) -> Path:
    """Where the named library lies, or would lie. QueryError for a name that cannot be one."""
    if not _NAME.fullmatch(name) or name == BUILTIN_NAME or name.endswith(".json"):
        raise QueryError(
            f"{name[:40]!r} cannot name a library; give up to 64 letters, digits, dots, dashes and underscores, "
            f"and not {BUILTIN_NAME!r}."
        )
    return _libraries() / name


def register(name: str, spec: str) -> None:
    """Let ``name`` stand for a library that lies elsewhere: a folder, or ``milvus:URI``. QueryError where the name is taken."""
    folder = named_folder(name)
    link = folder.with_name(name + ".json")
    where = spec if spec.startswith(_MILVUS + "http") else _absolute(spec)
    if folder.is_dir() or (link.exists() and _linked(link) != where):
        raise QueryError(f"There is another library named {name!r} already; choose another name.")
    link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = link.with_suffix(".part")
    part.write_text(json.dumps({"library": where}) + "\n", encoding="utf-8")
    part.replace(link)


def _absolute(spec: str) -> str:
    if spec.startswith(_MILVUS):
        return _MILVUS + str(Path(spec.removeprefix(_MILVUS)).absolute())
    return str(Path(spec).absolute())


def _linked(file: Path) -> str:
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["library"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"The note on where the library {file.stem!r} lies is damaged; build it again.") from error


def named_places() -> tuple[Place, ...]:
    """The built-in library and every named one of this user, by name."""
    found = [Place(BUILTIN_NAME, str(BUILTIN))]
    folder = _libraries()
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.suffix == ".json" and entry.is_file():
            found.append(Place(entry.stem, _linked(entry)))
        elif entry.is_dir() and _NAME.fullmatch(entry.name):
            found.append(Place(entry.name, str(entry)))
    return tuple(found)


def _one(spec: str) -> Place:
    if spec == BUILTIN_NAME:
        return Place(BUILTIN_NAME, str(BUILTIN))
    if spec.startswith(_MILVUS):
        # the address may hold a password: only the last part of it names the library
        return Place(re.sub(r"[^A-Za-z0-9._\-]", "-", spec.split("@")[-1].rstrip("/").split("/")[-1]) or "milvus", spec)
    if _NAME.fullmatch(spec):
        named = {place.name: place for place in named_places()}
        if spec in named:
            return named[spec]
    if os.sep not in spec and not Path(spec).exists():
        names = ", ".join(place.name for place in named_places())
        raise QueryError(f"There is no library {spec[:60]!r}; known by name are {names}; or give a folder or milvus:URI.")
    return Place(re.sub(r"[^A-Za-z0-9._\-]", "-", Path(spec).resolve().name) or "library", spec)


def find_places(specs: str | Path | Sequence[str | Path] | None) -> tuple[Place, ...]:
    """The libraries meant by ``specs``: names, folders, ``milvus:URI``, several with commas between them or as a sequence; the
    built-in one where None. A name goes before a folder of that name. Names in the answer differ from each other.

    Raises QueryError for a name that nothing has, or an empty or repeated one.
    """
    if specs is None:
        return (Place(BUILTIN_NAME, str(BUILTIN)),)
    out: list[Place] = []
    for given in [specs] if isinstance(specs, str | Path) else specs:
        whole = isinstance(given, Path) or Path(given).exists()
        for piece in [str(given)] if whole else str(given).split(","):
            if not piece.strip():
                raise QueryError("A library's name is empty; give names, folders or milvus:URI, with commas between them.")
            place = _one(piece.strip())
            if any(_same(place, other) for other in out):
                raise QueryError(f"The library {place.name!r} is given twice; name each once.")
            taken = {other.name for other in out}
            name = next(n for n in (place.name, *(f"{place.name}-{i}" for i in range(2, 99))) if n not in taken)
            out.append(Place(name, place.spec))
    return tuple(out)


def _same(one: Place, other: Place) -> bool:
    return one.spec == other.spec or (
        not one.spec.startswith(_MILVUS) and not other.spec.startswith(_MILVUS)
        and Path(one.spec).resolve() == Path(other.spec).resolve()
    )
