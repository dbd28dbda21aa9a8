"""Ways to damage a recording, and what a reader may make of it.

Used by test_readers_fuzz.py and tests/benchmarks/fuzz_readers.py. A mutant follows from its format, a seed and its number alone,
so any one can be made again.
"""

from __future__ import annotations

import base64
import binascii
import importlib.util
import io
import re
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from encoders.ecg import ECG
from encoders.errors import RecordingError
from encoders.readers import read
from encoders.readers.leads import MAX_DURATION_S

if TYPE_CHECKING:
    from fuzz_seeds import Seed

__all__ = ["Attempt", "attempt", "mutant", "numbered", "seeds"]

_TEXT = ("wfdb header", "muse", "philips", "aecg", "csv", "watch")
_XML = ("muse", "philips", "aecg")

Rng = np.random.Generator


def _beside(name: str) -> ModuleType:
    """A module of this folder by its name; test folders are no packages."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


seeds = _beside("fuzz_seeds")


def numbered(form: str, number: int, found: dict[str, list[Seed]], samples: dict[str, list[Seed]]) -> tuple[Seed, bytes]:
    """Mutant ``number`` of a format and the seed it was made from: a written one, one in 25 a sample recording (if there are)."""
    rng = np.random.default_rng([zlib.crc32(form.encode()), number])
    pool = samples[form] if number % 25 == 24 and samples.get(form) else found[form]
    seed = pool[int(rng.integers(len(pool)))]
    return seed, mutant(seed, found[form], rng)


_EXTREMES = (
    0, 1, -1, 2, 127, 128, 255, 256, 32767, 32768, -32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, -(2**31), 2**63 - 1,
    2**64 - 1,
)  # fmt: skip
_WORDS = (
    b"0", b"-1", b"1", b"99999999", b"4294967296", b"9223372036854775808", b"1e308", b"-1e308", b"1e-320", b"1e999", b"nan",
    b"inf", b"-inf", b"", b"0x10", b"1_000", b"1,5", b"--3", b"9" * 400, b"0.0000001", "\u0661\u0662".encode(), b"2147483647",
    b"65536", b"NaN", b"1e5",
)  # fmt: skip
_SNIPPETS = (
    b"\0", b"\n", b"\r\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1a", b'"', b",", b";", b"<", b">", b"&", b"&amp;", b"&#0;",
    b"]]>", b"%s", b"../", b"\t", b"/", b"+", b":", b"(", b")", "\u00e9".encode(), "\u202e".encode(), b"#",
)  # fmt: skip


def mutant(seed: Seed, others: list[Seed], rng: Rng) -> bytes:
    """A damaged copy of the seed's target: one to three damages, then, mostly, checksums that fit again."""
    content = seed.content
    if seed.form in _XML and rng.random() < 0.35:
        return _inner_base64(content, rng)
    if seed.form == "npz" and rng.random() < 0.6:
        return _inner_zip(content, rng)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        kinds: list[Callable[[bytes, Rng], bytes]] = list(_BINARY)
        if seed.form in _TEXT:
            kinds += _TEXTUAL * 2
        if seed.form in _XML:
            kinds += _MARKUP * 2
        if seed.form == "edf" or seed.form == "dicom":
            kinds += [_number_word] * 6
        kind = kinds[int(rng.integers(len(kinds)))]
        content = _splice(content, others, rng) if rng.random() < 0.06 else kind(content, rng)
    if seed.form == "scp" and rng.random() < 0.8 and len(content) > 6:
        content = seeds.scp_checksum(content, keep_length=rng.random() < 0.5)
    return content


def _place(content: bytes, rng: Rng) -> int:
    """A position, half of the time within the first 700 bytes, where headers are."""
    if not content:
        return 0
    return int(rng.integers(min(len(content), 700))) if rng.random() < 0.5 else int(rng.integers(len(content)))


def _length(rng: Rng, most: int) -> int:
    return int(min(most, 1 + rng.integers(1, 4) ** rng.integers(0, 6)))


def _cut(content: bytes, rng: Rng) -> bytes:
    return content[: _place(content, rng)]


def _flip(content: bytes, rng: Rng) -> bytes:
    out = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        if out:
            out[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _byte(content: bytes, rng: Rng) -> bytes:
    out = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        if out:
            out[_place(content, rng)] = int(rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))]))
    return bytes(out)


def _overwrite(content: bytes, rng: Rng) -> bytes:
    at, n = _place(content, rng), _length(rng, 300)
    filler = rng.bytes(n) if rng.random() < 0.6 else bytes([int(rng.choice([0, 255, 32]))]) * n
    return content[:at] + filler[: max(0, len(content) - at)] + content[at + n :]


def _insert(content: bytes, rng: Rng) -> bytes:
    at = _place(content, rng)
    return content[:at] + rng.bytes(_length(rng, 500)) + content[at:]


def _delete(content: bytes, rng: Rng) -> bytes:
    at = _place(content, rng)
    return content[:at] + content[at + _length(rng, 500) :]


def _repeat(content: bytes, rng: Rng) -> bytes:
    at, n = _place(content, rng), _length(rng, 600)
    return content[:at] + content[at : at + n] * int(rng.integers(2, 6)) + content[at:]


def _grow(content: bytes, rng: Rng) -> bytes:
    """The file with much behind it: itself again, zeros, or noise."""
    tail = (content, bytes(20_000), rng.bytes(5_000))[int(rng.integers(3))]
    return content + tail


def _swap(content: bytes, rng: Rng) -> bytes:
    a, b = sorted((_place(content, rng), _place(content, rng)))
    n = min(_length(rng, 300), b - a, len(content) - b)
    return content[:a] + content[b : b + n] + content[a + n : b] + content[a : a + n] + content[b + n :]


def _field(content: bytes, rng: Rng) -> bytes:
    """A binary number of 1 to 8 bytes, little or big endian, set to an extreme."""
    width = int(rng.choice([1, 2, 2, 4, 4, 8]))
    at = _place(content, rng)
    value = _EXTREMES[int(rng.integers(len(_EXTREMES)))] % (1 << (8 * width))
    new = value.to_bytes(width, "little" if rng.random() < 0.8 else "big")
    return (content[:at] + new + content[at + width :])[: max(len(content), at)]


def _splice(content: bytes, others: list[Seed], rng: Rng) -> bytes:
    """The beginning of this file and the end of another."""
    other = others[int(rng.integers(len(others)))].content
    return content[: _place(content, rng)] + other[_place(other, rng) :]


def _number_word(content: bytes, rng: Rng) -> bytes:
    """A number that is written in digits replaced by an extreme one; in its width half of the time, as EDF needs."""
    found = [m.span() for m in re.finditer(rb"[+-]?\d[\d.]*", content[:6000])]
    if not found:
        return _byte(content, rng)
    start, end = found[int(rng.integers(len(found)))]
    word = _WORDS[int(rng.integers(len(_WORDS)))]
    if rng.random() < 0.5:
        word = word[: end - start].ljust(end - start)
    return content[:start] + word + content[end:]


def _snippet(content: bytes, rng: Rng) -> bytes:
    at = _place(content, rng)
    return content[:at] + _SNIPPETS[int(rng.integers(len(_SNIPPETS)))] * int(rng.choice([1, 1, 1, 40])) + content[at:]


def _lines(content: bytes, rng: Rng) -> bytes:
    """A line taken out, doubled, emptied or moved."""
    lines = content.split(b"\n")
    a, b = (int(rng.integers(min(len(lines), 20) if rng.random() < 0.6 else len(lines))) for _ in range(2))
    kind = int(rng.integers(4))
    if kind == 0:
        del lines[a]
    elif kind == 1:
        lines.insert(b, lines[a])
    elif kind == 2:
        lines[a] = b""
    else:
        lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def _words(content: bytes, rng: Rng) -> bytes:
    """A word replaced by another one of the file."""
    found = [m.span() for m in re.finditer(rb"[\w.-]+", content[:20_000])]
    if not found:
        return content
    (a, b), (c, d) = (found[int(rng.integers(len(found)))] for _ in range(2))
    return content[:a] + content[c:d] + content[b:]


def _encoding(content: bytes, rng: Rng) -> bytes:
    """The text in another encoding, with or without saying so."""
    text = content.decode("utf-8", "replace")
    name = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "latin-1", "cp500")[int(rng.integers(7))]
    return text.encode(name, "replace")


def _deep(content: bytes, rng: Rng) -> bytes:
    """Elements within elements, or many beside each other."""
    at = content.find(b">", _place(content, rng)) + 1
    depth = int(rng.choice([3, 70, 3000]))
    middle = b"<a>" * depth + b"</a>" * depth if rng.random() < 0.5 else b"<a/>" * depth
    return content[:at] + middle + content[at:]


def _entities(content: bytes, rng: Rng) -> bytes:
    """Entities that unfold, or that reach for other files."""
    name = b"ecg"
    kinds = (
        b'<!DOCTYPE %s [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
        b'<!DOCTYPE %s [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
        b'<!DOCTYPE %s SYSTEM "http://localhost/none.dtd">',
    )
    start = content.find(b"?>") + 2 if content.startswith(b"<?") else 0
    return content[:start] + kinds[int(rng.integers(3))] % name + content[start:]


def _element(content: bytes, rng: Rng) -> bytes:
    """An attribute or element renamed, emptied or taken out."""
    found = [m.span() for m in re.finditer(rb'<(\w+)[^<>]*>[^<>]{0,60}</\1>|\w+="[^"]*"', content[:60_000])]
    if not found:
        return content
    a, b = found[int(rng.integers(len(found)))]
    kind = int(rng.integers(3))
    piece = content[a:b]
    if kind == 0:
        return content[:a] + content[b:]
    if kind == 1:
        return content[:b] + b" " + piece + content[b:]
    return content[:a] + re.sub(rb">[^<]*<", b"><", piece).replace(b'="', b'="x', 1) + content[b:]


_BINARY: list[Callable[[bytes, Rng], bytes]] = [
    _cut, _flip, _flip, _byte, _byte, _overwrite, _insert, _delete, _repeat, _grow, _swap, _field, _field, _field,
]  # fmt: skip
_TEXTUAL: list[Callable[[bytes, Rng], bytes]] = [_number_word, _number_word, _snippet, _lines, _words, _encoding]
_MARKUP: list[Callable[[bytes, Rng], bytes]] = [_deep, _entities, _element, _element, _element, _number_word]


def _binary_damage(content: bytes, rng: Rng) -> bytes:
    return _BINARY[int(rng.integers(len(_BINARY)))](content, rng)


def _inner_base64(content: bytes, rng: Rng) -> bytes:
    """Damage to the bytes that stand in the XML as Base64 text."""
    found = [m.span() for m in re.finditer(rb"[A-Za-z0-9+/\n\r]{120,}={0,2}", content)]
    if not found:
        return _binary_damage(content, rng)
    a, b = found[int(rng.integers(len(found)))]
    text = re.sub(rb"\s", b"", content[a:b])
    try:
        raw = base64.b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return _binary_damage(content, rng)
    return content[:a] + base64.b64encode(_binary_damage(raw, rng)) + content[b:]


def _inner_zip(content: bytes, rng: Rng) -> bytes:
    """Damage to one member of an archive, whose own checksum fits."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = sorted(members)[int(rng.integers(len(members)))]
    members[name] = _number_word(members[name], rng) if rng.random() < 0.4 else _binary_damage(members[name], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, raw in members.items():
            archive.writestr(member, raw)
    return out.getvalue()


@dataclass(frozen=True)
class Attempt:
    """What reading gave: "read", "refused", or "failed" with the reason why that must not be."""

    state: str
    reason: str = ""


def attempt(seed: Seed, content: bytes, folder: Path) -> Attempt:
    """Reads the seed with ``content`` in place of its target, written into ``folder``, and judges what comes of it."""
    for name, whole in seed.files.items():
        (folder / name).write_bytes(content if name == seed.target else whole)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = read(folder / seed.entry, **seed.options)
    except RecordingError as error:
        text = str(error)
        if "\n" in text or not text.endswith(".") or len(text) > 600:
            return Attempt("failed", f"not one sentence: {text[:200]!r}")
        if str(folder) in text or seeds.CANARY in text:
            return Attempt("failed", f"says too much: {text[:200]!r}")
        return Attempt("refused")
    except (KeyboardInterrupt, TimeoutError):
        raise
    except BaseException as error:
        return Attempt("failed", f"{type(error).__name__}: {str(error)[:200]}")
    finally:
        for name in seed.files:
            (folder / name).unlink(missing_ok=True)
    return _judged(got)


def _judged(got: ECG) -> Attempt:
    if got.signal_mv.dtype != np.float32 or got.signal_mv.shape[0] != len(got.leads) or got.n_samples < 2:
        return Attempt("failed", f"an ECG of shape {got.signal_mv.shape} with {len(got.leads)} leads")
    if not np.isfinite(got.signal_mv).any() or np.isinf(got.signal_mv).any():
        return Attempt("failed", "an ECG without a value, or with infinite ones")
    if (
        not 0 < got.fs_hz < 1e6
        or not got.duration_s <= MAX_DURATION_S * 1.01
        or (got.age_years is not None and not 0 <= got.age_years <= 130)
    ):
        return Attempt("failed", f"an ECG at {got.fs_hz} Hz of {got.duration_s} s, age {got.age_years}")
    if any(len(name) > 40 or not name.isprintable() for name in got.leads):
        return Attempt("failed", "an ECG with lead names that are no names")
    stated = [hz for hz in got.filters.to_json().values() if hz is not None]
    if not all(0 <= hz <= 1e5 for hz in stated):  # NaN fails this too
        return Attempt("failed", f"an ECG with filters {got.filters}")
    return Attempt("read")
