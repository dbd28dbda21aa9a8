"""API keys: who may use the service, and as what.

A key is 256 random bits, so it is kept as its plain SHA-256: a slow, salted hash guards passwords that people choose and that
can be guessed from lists; nobody guesses 256 random bits, and a slow hash on every request would only help whoever wants to
keep the service busy. The comparison takes the same time wherever two hashes differ.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import hmac
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from encoders.errors import ArtefactError, QueryError
from encoders.files import user_folder
from ui.audit import Actor

__all__ = ["ROLES", "Key", "KeyFile", "default_key_file"]

ROLES = ("clinician", "researcher", "auditor")
_PREFIX = "ecg_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")
_VERSION = 1
_TABLE = """CREATE TABLE IF NOT EXISTS keys (
    name TEXT PRIMARY KEY COLLATE NOCASE, role TEXT NOT NULL, sha256 TEXT NOT NULL UNIQUE, made_at TEXT NOT NULL,
    revoked_at TEXT) STRICT"""


def default_key_file() -> Path:
    """Where the keys lie: ``keys.sqlite`` in the user's folder."""
    return user_folder() / "keys.sqlite"


@dataclass(frozen=True)
class Key:
    """What is known of a key: all but the key. Times are UTC, ISO 8601; ``revoked_at`` is None while it is good."""

    name: str
    role: str
    made_at: str
    revoked_at: str | None


class KeyFile:
    """The keys of this machine. Every call reads the file anew, so that a revoked key is refused at once everywhere.

    Raises ArtefactError where the file is damaged, of a newer version or cannot be used.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = default_key_file() if file is None else file

    @contextlib.contextmanager
    def _open(self, make: bool = False) -> Iterator[sqlite3.Connection | None]:
        if not make and not self.file.is_file():
            yield None
            return
        try:
            if make:
                self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))
            with contextlib.closing(sqlite3.connect(self.file, timeout=10)) as db, db:
                version = db.execute("PRAGMA user_version").fetchone()[0]
                if version > _VERSION:
                    raise ArtefactError(
                        f"The key file is of version {version}, this program knows up to {_VERSION}; update the program."
                    )
                if version < _VERSION and make:
                    db.execute(_TABLE)
                    db.execute(f"PRAGMA user_version = {_VERSION}")
                yield db if version or make else None
        except (OSError, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise ArtefactError(
                "The key file cannot be used; restore it from a copy, or remove it and hand out new keys."
            ) from None

    def add(self, name: str, role: str) -> str:
        """Makes a key and returns it; it is shown this once and cannot be read back.

        Raises QueryError for an unknown role, an odd name or one that was given before (also where it was revoked: the audit
        store tells people apart by these names).
        """
        if role not in ROLES:
            raise QueryError(f"The role is {role[:20]!r}; give one of {', '.join(ROLES)}.")
        if not _NAME.fullmatch(name) or name.lower() == "local":
            raise QueryError("The name of a key has 1 to 64 letters, digits, spaces or . _ @ - and is not 'local'; give another.")
        key = _PREFIX + secrets.token_urlsafe(32)
        try:
            with self._open(make=True) as db:
                assert db is not None
                db.execute("INSERT INTO keys VALUES (?, ?, ?, ?, NULL)", (name, role, _sha256(key), _now()))
        except sqlite3.IntegrityError:
            raise QueryError(f"There is a key {name!r} already, or there was one; give another name.") from None
        return key

    def keys(self) -> list[Key]:
        """All keys ever made, in the order in which they were made."""
        with self._open() as db:
            rows = [] if db is None else db.execute("SELECT name, role, made_at, revoked_at FROM keys ORDER BY rowid").fetchall()
        return [Key(*row) for row in rows]

    def revoke(self, name: str) -> None:
        """Ends a key. Raises QueryError where there is none of that name, or it has ended before."""
        with self._open() as db:
            done = 0
            if db is not None:
                sql = "UPDATE keys SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL"
                done = db.execute(sql, (_now(), name)).rowcount
        if not done:
            raise QueryError(f"There is no good key {name[:64]!r}; see `ecg-assistant keys list`.")

    def find(self, key: str) -> Actor | None:
        """Whose key it is, or None for one that is unknown or revoked."""
        asked = _sha256(key)
        found = None
        with self._open() as db:
            sql = "SELECT name, role, sha256 FROM keys WHERE revoked_at IS NULL"
            for name, role, kept in [] if db is None else db.execute(sql):
                if hmac.compare_digest(asked, kept):
                    found = Actor(name, role)
        return found

    def holds(self, actor: Actor) -> bool:
        """Whether this actor's key is still good."""
        return any(key.name == actor.name and key.role == actor.role and key.revoked_at is None for key in self.keys())


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
