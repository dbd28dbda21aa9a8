"""XML as the readers need it: parsed without danger, within bounds, without namespaces.

A file from outside may be built to do harm: entities that unfold to gigabytes, entities that fetch other files, nesting that
exhausts the stack. defusedxml refuses the entities; size, depth and number of elements are bounded. A DOCTYPE that names
a DTD elsewhere is passed over unread, for GE MUSE writes one.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from datetime import date, datetime, time
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from encoders.errors import RecordingError
from encoders.readers.border import file_bytes

__all__ = ["base64_bytes", "clock_of", "day_of", "is_xml", "iso_time", "number", "parse_xml", "root_name", "text_of"]

_MAX_DEPTH = 64
_MAX_ELEMENTS = 50_000
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_START = re.compile(r"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)[\s/>]")
#: What may stand before the root element, and how it ends.
_PROLOGUE = (("<?", "?>"), ("<!--", "-->"), ("<!DOCTYPE", ">"))


def _encoding(head: bytes) -> str | None:
    """The encoding that the first bytes give away; None where the declaration in the file decides."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    if head[:4] == b"<\0?\0" or (head[:1] == b"<" and head[1:2] == b"\0"):
        return "utf-16le"
    if head[:2] == b"\0<":
        return "utf-16be"
    # A file that was transcoded on its way may still call itself UTF-16; its bytes show that it is not.
    if re.match(rb"\s*<\?xml[^>]*encoding\s*=\s*[\"']utf-?16", head, re.IGNORECASE):
        return "utf-8"
    return None


def _decoded(head: bytes) -> str:
    name = _encoding(head) or "latin-1"
    return head.decode(name, "replace").lstrip("\ufeff \t\r\n")


def is_xml(head: bytes) -> bool:
    """True where a file begins like XML (or HTML): with ``<``, after a byte order mark or blanks, in UTF-8 or UTF-16."""
    return _decoded(head[:512]).startswith("<")


def root_name(head: bytes) -> str:
    """The root element's name without its namespace, as far as the first bytes show it, else an empty text."""
    text, at = _decoded(head), 0
    while True:
        at += len(text[at : at + 4096]) - len(text[at : at + 4096].lstrip())
        end = next((end for start, end in _PROLOGUE if text.startswith(start, at)), None)
        if end is None:
            break
        # An internal subset of the DOCTYPE may hold ">" itself.
        subset = text.find("[", at, text.find(">", at)) if end == ">" else -1
        found = text.find(end, text.find("]", subset) if subset >= 0 else at)
        if found < 0:
            return ""
        at = found + len(end)
    root = _START.match(text, at)
    return root.group(1) if root else ""


class _Bounded(TreeBuilder):
    """Builds the tree with plain names and gives up on what no recording looks like."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._count = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        self._count += 1
        if self._depth > _MAX_DEPTH or self._count > _MAX_ELEMENTS:
            raise _TooLarge
        return super().start(_plain(tag), {_plain(name): value for name, value in attrs.items()})

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(_plain(tag))


class _TooLarge(Exception):
    pass


def _plain(name: str) -> str:
    return name.rpartition("}")[2]


def parse_xml(path: Path, label: str) -> Element:
    """The root element of a file, names without namespaces.

    Raises RecordingError, without a word of the file's text, for files that cannot be opened, are too large, no well-formed
    XML, nested more than 64 deep, of more than 50,000 elements, or that define entities.
    """
    raw = file_bytes(path, label)
    parser = DefusedXMLParser(
        target=_Bounded(), encoding=_encoding(raw[:512]), forbid_dtd=False, forbid_entities=True, forbid_external=True
    )
    try:
        parser.feed(raw.lstrip(b" \t\r\n") if raw[:1].isspace() else raw)
        root: Element = parser.close()
    # "from None" throughout: the causes quote the file.
    except DefusedXmlException:
        raise RecordingError(f"{label} defines XML entities, which no ECG device does; it is refused as unsafe.") from None
    except _TooLarge:
        raise RecordingError(f"{label} is nested too deeply, or has too many elements, for an ECG; export it again.") from None
    except ParseError:
        raise RecordingError(f"{label} is no well-formed XML, it is cut off or damaged; export the recording again.") from None
    except (ValueError, LookupError):
        raise RecordingError(f"{label} is in a text encoding that XML readers do not know; save it as UTF-8.") from None
    return root


def text_of(node: Element | None, path: str = ".") -> str:
    """The text at a path below an element, without blanks around it; empty where there is none."""
    found = None if node is None else node.find(path)
    return ("" if found is None else found.text or "").strip()


def number(text: str | None) -> float | None:
    """A finite number written in digits, or None."""
    if not text or len(text) > 40 or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def base64_bytes(text: str | None, what: str, label: str) -> bytes:
    """The bytes of Base64 text, whatever its line breaks. Raises RecordingError where it is none."""
    try:
        return base64.b64decode("".join((text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise RecordingError(f"The signal of {what} in {label} is no valid Base64 text; export the recording again.") from None


def day_of(text: str, pattern: str) -> date | None:
    """The date written like ``pattern`` (``strptime``), or None."""
    try:
        return datetime.strptime(text.strip(), pattern).date()
    except ValueError:
        return None


def clock_of(text: str, pattern: str = "%H:%M:%S") -> time | None:
    """The time of day written like ``pattern``, or None."""
    try:
        return datetime.strptime(text.strip(), pattern).time()
    except ValueError:
        return None


def iso_time(day: date | None, clock: time | None = None) -> str | None:
    """``recorded_at`` of a day and a time of day: "2011-12-01T07:27:34", the day alone without a time, None without a day."""
    if day is None or clock is None:
        return None if day is None else day.isoformat()
    return datetime.combine(day, clock).replace(tzinfo=None).isoformat(timespec="seconds")
