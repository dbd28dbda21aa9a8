"""The audit store: who asked what of which recording, what was drafted or declined, and what a human made of it.

One SQLite file to which rows are only added. Triggers refuse UPDATE, DELETE and REPLACE; every row holds the hash of the one
before, so that a row that was changed or removed behind the triggers' back is found by ``verify``. Rows are on the disk
before anything is handed out (WAL, synchronous=FULL). It holds no patient's label, file name, path or identifier: recordings
are named by the hash of their content, and free text is masked (``ui.masking``).
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from encoders.errors import ArtefactError, QueryError
from encoders.files import user_folder
from ui.drafted import Edit, Sentence, check_agreement, drafted_sentences, masked_edit, signed_sentences
from ui.masking import masked

__all__ = [
    "ACTIONS",
    "LOCAL",
    "MIGRATIONS",
    "Actor",
    "AuditStore",
    "DraftRecord",
    "Entry",
    "Signature",
    "Verdict",
    "actor_of",
    "default_file",
]

ACTIONS = ("report", "question", "search", "measure", "sign", "export", "sign-in", "audit")
_FIRST = "0" * 64
_BUSY_S = 30.0

#: Number N of the list brings a file from version N-1 to N. Never change one that was released; add another.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE entries (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at TEXT NOT NULL, actor TEXT NOT NULL,
            role TEXT NOT NULL, action TEXT NOT NULL, about TEXT, body TEXT NOT NULL, previous TEXT NOT NULL,
            hash TEXT NOT NULL UNIQUE) STRICT""",
        "CREATE TRIGGER no_update BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END",
        "CREATE TRIGGER no_delete BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END",
        # INSERT OR REPLACE removes rows without the trigger above; a row that does not follow the last one is refused.
        """CREATE TRIGGER only_next BEFORE INSERT ON entries
            WHEN NEW.seq IS NOT (SELECT COALESCE(MAX(seq), 0) + 1 FROM entries)
              OR EXISTS (SELECT 1 FROM entries WHERE id = NEW.id OR hash = NEW.hash)
            BEGIN SELECT RAISE(ABORT, 'entries are only added'); END""",
    ),
    (
        "CREATE INDEX entries_at ON entries (at)",
        "CREATE INDEX entries_about ON entries (about)",
        "CREATE UNIQUE INDEX one_signature ON entries (about) WHERE action = 'sign'",
    ),
)
_TRIGGERS = ("no_update", "no_delete", "only_next")
_COLUMNS = "seq, id, at, actor, role, action, about, body, previous, hash"


def default_file() -> Path:
    """Where the audit store lies unless another place is named: ``audit.sqlite`` in the user's folder."""
    return user_folder() / "audit.sqlite"


@dataclass(frozen=True)
class Actor:
    """Who acts: the name of their key, or "local" where the service runs open on this machine, and their role."""

    name: str
    role: str


LOCAL = Actor("local", "local")


def actor_of(request: Any) -> Actor:
    """Who sent a request (of Starlette or of Gradio), as the gate in front of the service found out; LOCAL without a gate."""
    inner = getattr(request, "request", None) or request
    actor = getattr(getattr(inner, "state", None), "actor", None)
    return actor if isinstance(actor, Actor) else LOCAL


@dataclass(frozen=True)
class Entry:
    """One row. ``at``: UTC, ISO 8601. ``about``: id of the draft that the entry is about, or None. ``body``: see AuditStore."""

    seq: int
    id: str
    at: str
    actor: str
    role: str
    action: str
    about: str | None
    body: dict[str, Any]
    previous: str
    hash: str

    def to_json(self) -> dict[str, Any]:
        """A document of plain types, the body's fields beside the others."""
        head = {
            "seq": self.seq, "id": self.id, "at": self.at, "actor": self.actor, "role": self.role, "action": self.action,
            "about": self.about,
        }  # fmt: skip
        return {**head, **self.body, "previous": self.previous, "hash": self.hash}


@dataclass(frozen=True)
class Signature:
    """A sign-off: when, the signer's name, whose key, the edits, and the sentences that were signed (masked)."""

    id: str
    at: str
    signer: str
    actor: str
    edits: tuple[Edit, ...]
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True)
class DraftRecord:
    """A draft or referral as it was recorded; ``signature`` is None as long as it is an unconfirmed draft."""

    id: str
    at: str
    actor: str
    kind: str
    recordings: tuple[str, ...]
    sentences: tuple[Sentence, ...]
    reasons: tuple[str, ...]
    versions: dict[str, str]
    signature: Signature | None

    @property
    def state(self) -> str:
        """"unconfirmed draft" or "signed"."""
        return "unconfirmed draft" if self.signature is None else "signed"


@dataclass(frozen=True)
class Verdict:
    """What ``verify`` found: the number of entries, the hash of the last one, and the first fault in one sentence or None."""

    entries: int
    head: str
    fault: str | None


class AuditStore:
    """An open audit store. Safe for several threads, and for several processes on one file.

    ``file``: made where there is none, with mode 600; None keeps everything in memory (tests, ``create_app`` on its own).
    ``make=False`` refuses a file that is not there. Raises ArtefactError for a file that is damaged, newer than this program
    or cannot be written, QueryError where ``make`` is False and there is none.

    Body of an entry: ``recordings`` (content hashes), ``asked`` (masked text), ``kind`` (draft, referral, answer, declined,
    cases, ...), ``sentences``, ``reasons``, ``reason_kinds``, ``findings`` (codes by state), ``versions``; of a signature
    ``signer``, ``edits`` and ``sentences``.
    """

    def __init__(self, file: Path | None, *, make: bool = True) -> None:
        self._lock = threading.RLock()
        try:
            if file is not None:
                if not make and not file.is_file():
                    raise QueryError(f"There is no audit store {file.name!r} yet; it is made when the service first runs.")
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(
                ":memory:" if file is None else file, isolation_level=None, check_same_thread=False, timeout=_BUSY_S
            )
        except OSError as error:
            raise ArtefactError(
                f"The audit store cannot be opened ({error.strerror}); name a file in a folder that may be written."
            ) from None
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise _damaged(error) from None
        except ArtefactError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        version = self._version()
        if version > len(MIGRATIONS):
            raise ArtefactError(
                f"The audit store is of version {version}, this program knows up to {len(MIGRATIONS)}; update the program."
            )
        _patiently(lambda: self._db.execute("PRAGMA journal_mode = WAL"))
        self._db.execute("PRAGMA synchronous = FULL")
        if version == len(MIGRATIONS):
            return
        with self._writing():
            for number in range(self._version(), len(MIGRATIONS)):
                for sql in MIGRATIONS[number]:
                    self._db.execute(sql)
                self._db.execute(f"PRAGMA user_version = {number + 1}")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._db.close()

    # Writing ----------------------------------------------------------------------------------------------------------

    def record(
        self,
        action: str,
        actor: Actor,
        *,
        recordings: Sequence[str] = (),
        asked: str = "",
        document: dict[str, Any] | None = None,
        kind: str | None = None,
        about: str | None = None,
        versions: dict[str, str] | None = None,
    ) -> Entry:
        """Adds an entry and returns it when it is on the disk; what it is about may be handed out after that, not before.

        ``recordings``: content hashes (``ECG.content_hash``). ``asked``: a question, or the words or condition of a search.
        ``document``: the report, referral or answer as it is handed out (``to_json``). ``kind``: where there is no document,
        e.g. "cases", "pdf". ``about``: id of the draft. The id of a "report" entry is the draft's id.
        """
        if action not in ACTIONS or action == "sign":
            raise ValueError(action)
        body: dict[str, Any] = {"recordings": list(recordings), "asked": masked(asked), "kind": kind, "versions": versions or {}}
        if document is not None:
            status = document["status"]
            body["kind"] = "declined" if status == "referral" and "sections" not in document else status
            # Answers and what is said in declining may repeat words of the question; reports have none but their own.
            kept = masked if "sections" not in document else str
            said = drafted_sentences(document)
            body["sentences"] = [replace(sentence, text=kept(sentence.text)).to_json() for sentence in said]
            body["reasons"] = [kept(reason) for reason in document["reasons"]]
            body["reason_kinds"] = list(document.get("reason_kinds", ()))
            body["findings"] = _by_state(document)
            body["versions"] = {**document.get("versions", {}), **(versions or {})}
        with _explained(), self._writing():
            return self._add(action, actor, about, body)

    def sign(self, draft_id: str, actor: Actor, signer: str, edits: Sequence[Edit]) -> Signature:
        """Records the sign-off of a draft: a decision for every drafted sentence, and added ones. Once per draft.

        Raises QueryError where there is no such draft, it is signed already, the name is empty, a decision makes no sense or
        what is signed contradicts itself (``check_agreement``).
        """
        name = " ".join(signer.encode("utf-8", "ignore").decode().split())
        if not 2 <= len(name) <= 100:
            raise QueryError("The signer's name is missing or too long; give 2 to 100 characters.")
        with _explained(), self._writing():
            draft = self.draft(draft_id)
            if draft is None:
                raise QueryError("There is no draft of this id; give the id that came with the report.")
            if draft.signature is not None:
                raise QueryError(f"The draft was signed at {draft.signature.at}; draft the recording again to correct it.")
            kept = [masked_edit(edit) for edit in edits]
            signed_sentences(draft.sentences, edits)
            check_agreement(draft.sentences, edits)
            said = signed_sentences(draft.sentences, kept)
            entry = self._add("sign", actor, draft_id, {
                "recordings": list(draft.recordings), "kind": "signed", "signer": name, "versions": draft.versions,
                "edits": [edit.to_json() for edit in kept], "sentences": [sentence.to_json() for sentence in said],
            })  # fmt: skip
        return _signature(entry)

    def _add(self, action: str, actor: Actor, about: str | None, body: dict[str, Any]) -> Entry:
        last = self._db.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
        seq, previous = (1, _FIRST) if last is None else (last[0] + 1, last[1])
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        fields = (seq, secrets.token_hex(16), at, actor.name, actor.role, action, about, text, previous)
        row = (*fields, _hash(fields))
        self._db.execute(f"INSERT INTO entries ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)", row)
        return _entry(row)

    # Reading ----------------------------------------------------------------------------------------------------------

    def entries(self, *, since: str | None = None, after: int = 0, limit: int | None = None) -> Iterator[Entry]:
        """Entries in order, from a time (ISO 8601 date or UTC time) or behind a number on; at most ``limit``."""
        start, left = after, limit
        while left is None or left > 0:
            page = 500 if left is None else min(left, 500)
            with self._lock, _explained():
                rows = self._db.execute(
                    f"SELECT {_COLUMNS} FROM entries WHERE seq > ? AND at >= ? ORDER BY seq LIMIT ?", (start, since or "", page)
                ).fetchall()
            yield from map(_entry, rows)
            if len(rows) < page:
                return
            start = rows[-1][0]
            left = None if left is None else left - len(rows)

    def draft(self, draft_id: str) -> DraftRecord | None:
        """The draft or referral of this id with its signature, or None."""
        with self._lock, _explained():
            row = self._db.execute(f"SELECT {_COLUMNS} FROM entries WHERE id = ? AND action = 'report'", (draft_id,)).fetchone()
            signed = self._db.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE about = ? AND action = 'sign'", (draft_id,)
            ).fetchone()
        if row is None:
            return None
        entry = _entry(row)
        return DraftRecord(
            entry.id, entry.at, entry.actor, str(entry.body["kind"]), tuple(entry.body["recordings"]),
            _sentences(entry), tuple(entry.body.get("reasons", ())), dict(entry.body["versions"]),
            None if signed is None else _signature(_entry(signed)),
        )  # fmt: skip

    def verify(self, head: str | None = None) -> Verdict:
        """Goes through all entries. ``head``: a hash that was noted earlier and must still be in the chain."""
        previous, count, seen = _FIRST, 0, head in (None, _FIRST)
        with _explained():
            for entry in self.entries():
                row = self._db.execute(f"SELECT {_COLUMNS} FROM entries WHERE seq = ?", (entry.seq,)).fetchone()
                if entry.seq != count + 1:
                    return Verdict(count, previous, f"Entry {count + 1} was removed.")
                if entry.previous != previous or _hash(row[:-1]) != entry.hash:
                    return Verdict(count, previous, f"Entry {entry.seq} was changed, or does not follow the one before it.")
                previous, count, seen = entry.hash, entry.seq, seen or entry.hash == head
            last = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'").fetchone()
            guards = {row[0]: row[1] for row in self._db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")}
        if last is not None and last[0] > count:
            return Verdict(count, previous, f"{last[0] - count} entries at the end were removed.")
        if not seen:
            return Verdict(count, previous, "The noted head is not in the chain: entries were removed or written anew.")
        if any(sql not in guards.values() for sql in MIGRATIONS[0][1:]) or len(guards) != len(_TRIGGERS):
            return Verdict(count, previous, "The triggers that keep entries from being changed are missing or altered.")
        return Verdict(count, previous, None)


def _entry(row: Sequence[Any]) -> Entry:
    seq, entry_id, at, actor, role, action, about, body, previous, own = row
    return Entry(seq, entry_id, at, actor, role, action, about, json.loads(body), previous, own)


def _sentences(entry: Entry) -> tuple[Sentence, ...]:
    return tuple(Sentence.from_json(item) for item in entry.body.get("sentences", ()))


def _signature(entry: Entry) -> Signature:
    edits = tuple(Edit.from_json(item) for item in entry.body["edits"])
    return Signature(entry.id, entry.at, str(entry.body["signer"]), entry.actor, edits, _sentences(entry))


def _by_state(document: dict[str, Any]) -> dict[str, list[str]]:
    """Codes of a report's findings by state; the absent ones are the rest of the vocabulary."""
    states: dict[str, list[str]] = {}
    for finding in document.get("findings", ()):
        if finding["state"] != "absent":
            states.setdefault(finding["state"], []).append(finding["code"])
    return states


def _hash(fields: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(list(fields), ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _damaged(error: sqlite3.Error) -> ArtefactError:
    return ArtefactError(f"The audit store cannot be used ({str(error)[:60]}); restore it from a copy, or make room on the disk.")


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _damaged(error) from None


def _patiently(work: Any) -> None:
    """Changing to WAL does not wait for others as other statements do."""
    until = time.monotonic() + _BUSY_S
    while True:
        try:
            work()
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
