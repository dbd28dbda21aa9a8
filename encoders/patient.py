"""Which recordings are of one patient, without keeping who that is.

Whoever needs to tie recordings together gives a key of their own choosing (``--patient KEY``). It is kept only as an
HMAC-SHA256 (RFC 2104) under a secret that lies on this machine and nowhere else: without the secret, nobody can try a list of
identifiers against the hashes, which a plain hash would allow.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
import unicodedata
from pathlib import Path

from encoders.errors import ArtefactError, QueryError
from encoders.files import user_folder

__all__ = ["hash_patient", "hashed"]

_FILE = "patient.key"
_BYTES = 32


def hash_patient(key: str, home: Path | None = None) -> str:
    """The hash (64 hexadecimal digits) by which a patient's recordings are tied together on this machine.

    ``key``: any text; white space around it and the way accents are encoded do not count. ``home``: folder of the secret, by
    default ``$ECG_ASSISTANT_HOME`` or ``~/.local/share/ecg-assistant``; the secret is made on first use, readable by its owner
    only (mode 600). Another machine, or another secret, gives another hash.

    Raises QueryError for an empty key and ArtefactError where the secret is damaged or cannot be kept.
    """
    text = unicodedata.normalize("NFC", key).strip()
    if not text:
        raise QueryError("The patient key is empty; give a text that stands for the patient, or leave it out.")
    secret = _secret(user_folder() if home is None else home)
    return hmac.new(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def hashed(key: str | None) -> str | None:
    """The same for a field that may be left empty: None where no key was given."""
    return hash_patient(key) if key and key.strip() else None


def _secret(home: Path) -> bytes:
    """The machine's secret, made where there is none yet."""
    file = home / _FILE
    try:
        if not file.exists():
            _make(file)
        secret = bytes.fromhex(file.read_text("ascii").strip())
        if os.name == "posix" and file.stat().st_mode & 0o077:
            file.chmod(0o600)
    except OSError as error:
        raise ArtefactError(
            f"The secret {_FILE} for patient keys cannot be kept; name a folder that may be written in ECG_ASSISTANT_HOME."
        ) from error
    except ValueError:
        secret = b""
    if len(secret) != _BYTES:
        raise ArtefactError(
            f"The secret {_FILE} for patient keys is damaged; restore it from a copy, or remove it to begin with new hashes."
        )
    return secret


def _make(file: Path) -> None:
    """Writes a new secret whole or not at all; of two processes that start at once, the first one's stays."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".patient-")  # mkstemp opens with mode 600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as out:
            out.write(secrets.token_hex(_BYTES) + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(name, file)
    finally:
        os.unlink(name)
