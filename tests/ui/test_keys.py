"""API keys: shown once, kept as hashes, named for good, and ended at once."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from encoders.errors import ArtefactError, QueryError
from ui import cli
from ui.access import Sessions
from ui.audit import Actor
from ui.keys import ROLES, KeyFile


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "home" / "keys.sqlite")


def test_a_key_is_known_until_it_is_revoked(keys: KeyFile) -> None:
    assert keys.keys() == [] and keys.find("anything") is None and not keys.file.exists()
    made = {role: keys.add(f"a {role}", role) for role in ROLES}
    for role, key in made.items():
        assert keys.find(key) == Actor(f"a {role}", role) and keys.holds(Actor(f"a {role}", role))
        assert len(key) >= 43 + 4  # 256 bits in base64, and the prefix
    assert len(set(made.values())) == 3
    for wrong in ("", made["auditor"][:-1], made["auditor"] + "x", made["auditor"].upper(), "\ud800"):
        assert keys.find(wrong) is None
    keys.revoke("a auditor")
    assert keys.find(made["auditor"]) is None and not keys.holds(Actor("a auditor", "auditor"))
    assert keys.find(made["clinician"]) == Actor("a clinician", "clinician")
    made_keys = keys.keys()
    assert [kept.revoked_at for kept in made_keys][:2] == [None, None] and made_keys[2].revoked_at
    # The right name with another role is nobody.
    assert not keys.holds(Actor("a clinician", "auditor"))


def test_the_file_holds_no_key_and_is_the_owners_alone(keys: KeyFile) -> None:
    key = keys.add("ward 3", "clinician")
    assert key.encode() not in keys.file.read_bytes() and key[4:].encode() not in keys.file.read_bytes()
    assert keys.file.stat().st_mode & 0o777 == 0o600 and keys.file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("name", "role", "said"),
    [
        ("x", "admin", "clinician, researcher, auditor"), ("", "auditor", "1 to 64"), ("a/b", "auditor", "1 to 64"),
        ("x" * 65, "auditor", "1 to 64"), ("Local", "auditor", "not 'local'"), ("WARD 3", "auditor", "already"),
        ("gone", "auditor", "already"), ("a\nb", "auditor", "1 to 64"),
    ],
)  # fmt: skip
def test_names_and_roles_that_are_refused(keys: KeyFile, name: str, role: str, said: str) -> None:
    keys.add("ward 3", "clinician")
    keys.add("gone", "clinician")
    keys.revoke("gone")
    with pytest.raises(QueryError, match=said):
        keys.add(name, role)
    with pytest.raises(QueryError, match="no good key"):
        keys.revoke("gone")
    assert len(keys.keys()) == 2


def test_a_damaged_or_newer_file_lets_nobody_in(keys: KeyFile) -> None:
    key = keys.add("ward 3", "clinician")
    sqlite3.connect(keys.file, isolation_level=None).execute("PRAGMA user_version = 9")
    with pytest.raises(ArtefactError, match="update the program"):
        keys.find(key)
    keys.file.write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(ArtefactError) as error:
        keys.find(key)
    assert str(keys.file.parent) not in str(error.value)


def test_sessions_end_by_time_and_by_hand() -> None:
    clock = [0.0]
    sessions = Sessions(lasts_s=10, now=lambda: clock[0])
    actor = Actor("ward 3", "clinician")
    first, second = sessions.open(actor), sessions.open(actor)
    assert first != second and sessions.find(first) == actor and sessions.find("nonsense") is None
    sessions.close(first)
    assert sessions.find(first) is None and sessions.find(second) == actor
    clock[0] = 10
    assert sessions.find(second) is None


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ["--keys", str(tmp_path / "keys.sqlite")]
    assert cli.main(["keys", "list", *file]) == 0
    assert "no key yet" in capsys.readouterr().out
    assert cli.main(["keys", "add", "ward 3", "--role", "clinician", *file]) == 0
    out, err = capsys.readouterr()
    assert KeyFile(Path(file[1])).find(out.strip()) == Actor("ward 3", "clinician") and "not shown again" in err
    assert cli.main(["keys", "revoke", "ward 3", *file]) == 0
    assert KeyFile(Path(file[1])).find(out.strip()) is None
    capsys.readouterr()
    assert cli.main(["keys", "list", "--json", *file]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["role"]) == ("ward 3", "clinician") and listed["revoked_at"]
    assert cli.main(["keys", "revoke", "ward 3", *file]) == 2 and cli.main(["keys", "add", "x", "--role", "y", *file]) == 2


@pytest.mark.parametrize(
    ("argv", "roles", "said"),
    [
        ("--host 0.0.0.0", "", "there is no key yet"), ("--host ::", "", "there is no key yet"),
        ("--host ecg.example", "", "there is no key yet"), ("--host 127.0.0.1", "revoked", "All keys are revoked"),
        ("--tls-cert x.pem", "", "https needs both"), ("--tls-cert x.pem --tls-key y.pem", "", "no file 'x.pem'"),
        ("--port 70000", "", "--port is 70000"),
    ],
)  # fmt: skip
def test_serve_refuses_to_start(
    argv: str, roles: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path))
    if roles:
        KeyFile().add("gone", "auditor")
        KeyFile().revoke("gone")
    assert cli.main(["serve", "--no-browser", *argv.split()]) == 2
    err = capsys.readouterr().err
    assert said in err and err.startswith("error: ") and err.count("\n") == 1
    assert not (tmp_path / "audit.sqlite").exists()


@pytest.mark.parametrize(
    "command", ["keys", "keys add", "keys list", "keys revoke", "audit", "audit export", "audit verify", "audit rates", "serve"]
)
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([*command.split(), "--help"])
    out = capsys.readouterr().out
    assert left.value.code == 0 and "examples:" in out and f"ecg-assistant {command}" in out
