"""What commands write: one JSON document, whole tables, progress."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from encoders.errors import QueryError

__all__ = ["progress", "quiet_stdout", "table_rows_to", "whole_file", "write_json"]

T = TypeVar("T")


def write_json(document: Any) -> None:
    """One JSON document on stdout, UTF-8, without NaN (which JSON does not know)."""
    print(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """Whatever a library prints inside goes to stderr, so that stdout holds the result alone."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def whole_file(path: Path, *, binary: bool = False) -> Iterator[Any]:
    """An open file that takes its name only when everything has been written; on an error nothing is left.

    Raises QueryError where the folder is not there or cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        handle: Any = open(part, "wb") if binary else open(part, "w", encoding="utf-8", newline="")  # noqa: SIM115
    except OSError as error:
        raise QueryError(
            f"{path.name!r} cannot be written ({error.strerror}); name a file in a folder that exists and may be written."
        ) from None
    try:
        with handle:
            yield handle
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def table_rows_to(out: str | None, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV table to a file, whole or not at all, or to stdout where ``out`` is None or "-"."""
    if out in (None, "-"):
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        return
    with whole_file(Path(str(out))) as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def progress(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, with a progress bar on stderr (where stderr is a terminal it moves; elsewhere it is one closing line)."""
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    yield from tqdm(items, desc=what, unit="rec", file=sys.stderr, mininterval=0.1 if terminal else 5.0)
