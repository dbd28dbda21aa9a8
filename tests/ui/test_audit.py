"""The audit store: rows are only added, changes are found, nothing that was acknowledged is lost, and no name gets in."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from encoders.errors import ArtefactError, QueryError
from ui import cli
from ui.audit import LOCAL, MIGRATIONS, Actor, AuditStore, Entry
from ui.drafted import ACCEPTED, ADDED, CHANGED, REJECTED, Edit, Sentence, drafted_sentences, signed_sentences
from ui.masking import MASK, masked
from ui.rates import FindingRate, edit_rates, wilson

WARD = Actor("ward 3", "clinician")


def document(*lines: tuple[str, tuple[str, ...]], states: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A report's document with an impression of these lines."""
    findings = [{"code": code, "state": state} for code, state in (states or {}).items()]
    impression = [{"text": text, "evidence": list(ids), "source": "renderer"} for text, ids in lines]
    return {
        "status": "draft", "reasons": [], "reason_kinds": [], "findings": findings, "sections": {"impression": impression},
        "versions": {"encoder": "e"}, **more,
    }  # fmt: skip


AF = document(("Atrial fibrillation.", ("F:AFIB",)), ("Rate 104/min.", ("M:rate_bpm",)), states={"AFIB": "present"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.sqlite"


@pytest.fixture
def store(file: Path) -> AuditStore:
    return AuditStore(file)


def raw(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None)


def test_an_entry_keeps_who_what_and_by_which_versions(store: AuditStore) -> None:
    entry = store.record("report", WARD, recordings=["ab" * 32], document=AF)
    (kept,) = store.entries()
    assert kept == entry and (kept.seq, kept.actor, kept.role, kept.action) == (1, "ward 3", "clinician", "report")
    assert kept.at.endswith("Z") and kept.body["recordings"] == ["ab" * 32] and kept.body["versions"] == {"encoder": "e"}
    assert kept.body["sentences"][0] == {
        "text": "Atrial fibrillation.", "section": "impression", "evidence": ["F:AFIB"], "codes": ["AFIB"], "source": "renderer",
    }  # fmt: skip
    assert kept.body["findings"] == {"present": ["AFIB"]}


def test_what_was_declined_is_kept_with_its_reasons(store: AuditStore) -> None:
    referral = {**AF, "status": "referral", "reasons": ["Lead off."], "reason_kinds": ["unusable"]}
    assert store.record("report", WARD, document=referral).body["kind"] == "referral"
    declined = {"status": "referral", "reasons": ["Out of scope."], "reason_kinds": ["out of scope"], "sentences": []}
    body = store.record("question", WARD, asked="Which drug?", document=declined, versions={"encoder": "e"}).body
    assert (body["kind"], body["reasons"], body["asked"]) == ("declined", ["Out of scope."], "Which drug?")
    with pytest.raises(ValueError):
        store.record("sign", WARD)


def test_sign_off_keeps_each_decision_and_happens_once(store: AuditStore) -> None:
    draft = store.record("report", LOCAL, recordings=["ab" * 32], document=AF)
    before = store.draft(draft.id)
    assert before is not None and before.state == "unconfirmed draft" and len(before.sentences) == 2
    edits = [
        Edit(CHANGED, 0, "Atrial flutter.", ("AFLT",)), Edit(REJECTED, 1),
        Edit(ADDED, text="Low voltage.", codes=("LVOLT",), section="chambers"),
    ]  # fmt: skip
    signature = store.sign(draft.id, WARD, "Dr Ann  Reader", edits)
    after = store.draft(draft.id)
    assert after is not None and after.state == "signed" and after.signature == signature
    assert signature.signer == "Dr Ann Reader" and signature.edits == tuple(edits)
    assert [s.text for s in signature.sentences] == ["Atrial flutter.", "Low voltage."]
    with pytest.raises(QueryError, match="signed at"):
        store.sign(draft.id, WARD, "Dr Ann Reader", edits)
    with pytest.raises(QueryError, match="no draft"):
        store.sign("0" * 32, WARD, "Dr Ann Reader", edits)
    assert store.draft("0" * 32) is None and store.verify().entries == 2


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([Edit(ACCEPTED, 0)], "No decision is given for sentence 1"),
        ([Edit(ACCEPTED, 0), Edit(ACCEPTED, 0), Edit(ACCEPTED, 1)], "two decisions"),
        ([Edit(ACCEPTED, 2)], "sentences 0 to 1"),
        ([Edit("kept", 0)], "one of accepted"),
        ([Edit(CHANGED, 0, "  ")], "is empty"),
        ([Edit(CHANGED, 0, "x" * 1001)], "at most 1000"),
        ([Edit(ADDED, 0, "x")], "has no number"),
        ([Edit(ADDED, None, "x", section="referral")], "goes into one of"),
        ([Edit(ADDED, None, "x", ("XYZ",))], "SCP codes"),
        ([Edit(ACCEPTED, 0)] * 501, "at most 500"),
    ],
)
def test_decisions_that_make_no_sense_leave_no_trace(store: AuditStore, edits: list[Edit], said: str) -> None:
    draft = store.record("report", LOCAL, document=AF)
    with pytest.raises(QueryError, match=said):
        store.sign(draft.id, WARD, "Dr Ann Reader", edits)
    with pytest.raises(QueryError, match="name"):
        store.sign(draft.id, WARD, " ", [Edit(ACCEPTED, 0), Edit(ACCEPTED, 1)])
    assert store.verify().entries == 1


def test_sentences_of_a_report_that_a_human_is_asked_about() -> None:
    sections = {
        "impression": [{"text": "X cannot be excluded.", "evidence": ["F:AMI"], "source": "renderer"}],
        "rhythm": [
            {"text": "Sinus rhythm.", "evidence": ["F:SR"], "source": "renderer"},
            {"text": "Y cannot be judged.", "evidence": ["F:PAC"], "source": "renderer"},
            {"text": "No atrial fibrillation.", "evidence": ["F:AFIB"], "source": "renderer"},
        ],
        "not assessed": [{"text": "Not assessed: Z.", "evidence": ["F:WPW"], "source": "renderer"}],
    }
    states = {"SR": "present", "PAC": "undetermined", "AFIB": "absent", "AMI": "undetermined", "WPW": "not assessed"}
    found = drafted_sentences({**document(states=states), "sections": sections})
    assert [s.text for s in found] == ["X cannot be excluded.", "Sinus rhythm.", "No atrial fibrillation."]
    assert [s.codes for s in found] == [(), ("SR",), ()]  # only what is stated as present counts as stated
    signed = signed_sentences(found, [Edit(ACCEPTED, 0), Edit(CHANGED, 1, "Sinus tachycardia."), Edit(REJECTED, 2)])
    assert [(s.text, s.source, s.codes) for s in signed] == [
        ("X cannot be excluded.", "renderer", ()), ("Sinus tachycardia.", "human", ()),
    ]  # fmt: skip


def test_entries_are_read_from_a_time_and_a_number_on(store: AuditStore) -> None:
    made = [store.record("search", WARD, asked=f"{n}") for n in range(5)]
    assert [e.seq for e in store.entries(after=2, limit=2)] == [3, 4]
    assert list(store.entries(since="2999-01-01")) == [] and len(list(store.entries(since=made[0].at))) == 5


# Nothing is changed or removed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE entries SET actor = 'x' WHERE seq = 2", "never changed"),
        ("DELETE FROM entries WHERE seq = 3", "never removed"),
        ("INSERT OR REPLACE INTO entries SELECT seq, 'x', at, actor, role, action, about, body, previous, 'y' FROM entries"
         " WHERE seq = 2", "only added"),
        ("INSERT OR REPLACE INTO entries SELECT 4, id, at, actor, role, action, about, body, previous, 'y' FROM entries"
         " WHERE seq = 2", "only added"),
        ("INSERT INTO entries SELECT 9, 'x', at, actor, role, action, about, body, previous, 'y' FROM entries WHERE seq = 2",
         "only added"),
    ],
)  # fmt: skip
def test_the_file_itself_refuses_changes(store: AuditStore, file: Path, sql: str, said: str) -> None:
    for _ in range(3):
        store.record("report", WARD, document=AF)
    with pytest.raises(sqlite3.IntegrityError, match=said):
        raw(file).execute(sql)
    assert store.verify().fault is None and store.verify().entries == 3


WITHOUT_GUARDS = ("DROP TRIGGER no_update", "DROP TRIGGER no_delete")
GUARDS = MIGRATIONS[0][1:3]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE entries SET actor = 'x' WHERE seq = 2", "Entry 2 was changed"),
        ("UPDATE entries SET body = replace(body, 'Atrial', 'Sinus') WHERE seq = 1", "Entry 1 was changed"),
        ("UPDATE entries SET previous = hash WHERE seq = 3", "Entry 3 was changed"),
        ("DELETE FROM entries WHERE seq = 1", "Entry 1 was removed"),
        ("DELETE FROM entries WHERE seq = 2", "Entry 2 was removed"),
        ("DELETE FROM entries WHERE seq >= 2", "2 entries at the end were removed"),
    ],
)
def test_changes_behind_the_triggers_back_are_found(
    store: AuditStore, file: Path, sql: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        store.record("report", WARD, document=AF)
    with raw(file) as db:
        for statement in (*WITHOUT_GUARDS, sql, *GUARDS):
            db.execute(statement)
    assert said in str(store.verify().fault)
    assert cli.main(["audit", "verify", "--audit", str(file)]) == 1
    assert said in capsys.readouterr().err


def test_missing_triggers_and_a_store_written_anew_are_found(store: AuditStore, file: Path, tmp_path: Path) -> None:
    store.record("report", WARD, document=AF)
    head = store.verify().head
    store.record("report", WARD, document=AF)
    assert store.verify(head).fault is None
    other = AuditStore(tmp_path / "anew.sqlite")
    other.record("report", WARD, document=AF)
    assert other.verify().fault is None and "noted head" in str(other.verify(head).fault)
    raw(file).execute("DROP TRIGGER no_delete")
    assert "triggers" in str(store.verify().fault)


# Versions of the file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(len(MIGRATIONS) + 1))
def test_a_file_of_any_version_is_brought_forward_with_its_entries(file: Path, version: int) -> None:
    db = raw(file)
    for number in range(version):
        for sql in MIGRATIONS[number]:
            db.execute(sql)
        db.execute(f"PRAGMA user_version = {number + 1}")
    if version:
        # As the first version wrote it, spelt out here: the chain of an old file must hold for ever.
        fields = [1, "a" * 32, "2026-01-01T00:00:00.000Z", "ward 3", "clinician", "report", None, '{"kind":"draft"}', "0" * 64]
        digest = hashlib.sha256(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
        db.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?)", [*fields, digest])
    db.close()
    store = AuditStore(file)
    store.record("report", WARD, document=AF)
    verdict = store.verify()
    assert verdict.fault is None and verdict.entries == 1 + bool(version)
    assert raw(file).execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    indices = {row[0] for row in raw(file).execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert {"entries_at", "entries_about", "one_signature"} <= indices


def test_a_newer_or_damaged_file_is_refused_in_one_sentence(file: Path, tmp_path: Path) -> None:
    AuditStore(file).close()
    raw(file).execute("PRAGMA user_version = 99")
    with pytest.raises(ArtefactError, match="version 99.*update the program"):
        AuditStore(file)
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"no database at all, but long enough to be taken for one" * 20)
    for wrong in (broken, tmp_path):
        with pytest.raises(ArtefactError) as error:
            AuditStore(wrong)
        assert str(tmp_path) not in str(error.value)
    with pytest.raises(QueryError, match="no audit store"):
        AuditStore(tmp_path / "none.sqlite", make=False)


def test_the_file_is_the_owners_alone(store: AuditStore, file: Path) -> None:
    store.record("report", WARD, document=AF)
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}


# Many writers, and sudden death ---------------------------------------------------------------------------------------


def test_many_threads_write_one_chain(store: AuditStore, file: Path) -> None:
    second = AuditStore(file)
    threads = [
        threading.Thread(target=lambda s=s: [s.record("search", WARD, asked="x") for _ in range(20)]) for s in (store, second) * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.verify().fault is None and store.verify().entries == 80


WRITER = """
import sys
from pathlib import Path
from ui.audit import LOCAL, AuditStore
store = AuditStore(Path(sys.argv[1]))
while True:
    print(store.record("search", LOCAL, asked="left bundle branch block").id, flush=True)
"""


def test_killed_at_any_moment_it_keeps_all_that_was_acknowledged(file: Path) -> None:
    dice, acknowledged = random.Random(6), set()
    for _ in range(4):
        # Two processes at a time write into the one file; both are killed in the middle of it.
        command = [sys.executable, "-c", WRITER, str(file)]
        writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for writer in writers:
            assert writer.stdout is not None
            acknowledged |= {writer.stdout.readline().strip() for _ in range(dice.randrange(1, 40))}
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            out, _ = writer.communicate()
            # What still stood in the pipe was acknowledged, too, save for a line that was cut.
            acknowledged |= {line for line in out.split("\n")[:-1] if len(line) == 32}
        store = AuditStore(file)
        assert store.verify().fault is None
        assert acknowledged <= {entry.id for entry in store.entries()}
        store.close()
    assert len(acknowledged) > 10


# Nothing that names a patient -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Is there left bundle branch block?", None),
        ("QTc 510 ms per Fridericia, ST/T changes in V1-V3, LAO/LAE; Wolff-Parkinson-White?", None),
        ("Sinus rhythm. Left axis deviation, PR 147 ms, QRS 98 ms, rate 91/min.", None),
        ("age>60 and sex=F", None),
        ("Is Müller in atrial fibrillation?", f"Is {MASK} in atrial fibrillation?"),
        ("Mr John Smith has flutter", f"Mr {MASK} has flutter"),
        ("patient Doe: any change?", f"patient {MASK}: any change?"),
        ("record 12345678, or A12345, of 12.03.1950", f"record {MASK}, or {MASK}, of {MASK}"),
        ("see /home/ann/x.hea, C:\\ward\\y.dat and smith.xml", None),
        ("mail ann@ward.example", f"mail {MASK}"),
        ("call 0171 234 56 78", f"call {MASK}"),
        ("lone \ud800 surrogate", "lone surrogate"),
    ],
)
def test_free_text_is_masked(typed: str, kept: str | None) -> None:
    if "hea" in typed:
        kept = masked(typed)
        assert all(word not in kept for word in ("ann", "ward", "smith", "hea")) and MASK in kept
    assert masked(typed) == (typed if kept is None else kept)


def test_typed_names_do_not_reach_the_file_but_the_signer_does(store: AuditStore, file: Path) -> None:
    draft = store.record("report", WARD, document=AF)
    store.record("question", WARD, asked="Does Mrs Kowalski need a check?", document={**AF, "status": "answer"})
    edits = [Edit(CHANGED, 0, "Unlike Kowalski before, atrial fibrillation."), Edit(REJECTED, 1, "Kowalski, thrown away")]
    store.sign(draft.id, WARD, "Dr Ann Reader", edits)
    written = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert b"Kowalski" not in written and b"Dr Ann Reader" in written


# Rates ----------------------------------------------------------------------------------------------------------------


def test_wilson_intervals() -> None:
    """Values of the score interval, worked out by hand: 0 of 10 and 5 of 10."""
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert wilson(5, 10) == pytest.approx((0.23659, 0.76341), abs=1e-5)
    assert wilson(10, 10)[1] == 1.0 and wilson(0, 0) == (0.0, 1.0)


OWN = Edit(ADDED, text="See the earlier ECG.")


def signed(store: AuditStore, lines: list[tuple[str, ...]], edits: list[Edit]) -> None:
    states = {code: "present" for codes in lines for code in codes}
    said = document(*((f"Sentence {n}.", tuple(f"F:{c}" for c in codes)) for n, codes in enumerate(lines)), states=states)
    store.sign(store.record("report", WARD, document=said).id, WARD, "Dr Ann Reader", edits)


def test_rates_per_finding() -> None:
    store = AuditStore(None)
    signed(store, [("AFIB",)], [Edit(ACCEPTED, 0)])
    signed(store, [("AFIB",)], [Edit(CHANGED, 0, "In other words.", ("AFIB",))])  # edited, not gone
    signed(store, [("AFIB",)], [Edit(REJECTED, 0), OWN])
    signed(store, [("AFIB",)], [Edit(CHANGED, 0, "Flutter.", ("AFLT",))])  # another finding in its place
    signed(store, [("AFIB",), ("AFIB", "LVH")], [Edit(ACCEPTED, 0), Edit(CHANGED, 1, "So.", ("AFIB", "LVH"))])  # one is edited
    signed(store, [("LVH",)], [Edit(ACCEPTED, 0), Edit(ADDED, text="And AF.", codes=("AFIB",))])
    signed(store, [("AFIB",), ("LVH",)], [Edit(REJECTED, 0), Edit(CHANGED, 1, "Both.", ("LVH", "AFIB"))])  # moved
    store.record("report", WARD, document=AF)  # never signed
    rates = edit_rates(store.entries())
    assert (rates.drafts, rates.signed) == (8, 7)
    assert rates.findings == (
        FindingRate("AFIB", 6, 1, 3, 2, 1), FindingRate("LVH", 3, 1, 2, 0, 0), FindingRate("AFLT", 0, 0, 0, 0, 1),
    )  # fmt: skip
    first = rates.to_json()["findings"][0]
    assert first["edit_rate"] == round(5 / 6, 4) and first["disagreement_rate"] == round(3 / 7, 4)
    assert first["edit_low"] < first["edit_rate"] < first["edit_high"]
    assert rates.to_json()["findings"][2]["edit_rate"] is None


def test_words_that_nobody_can_read_count_as_disagreement() -> None:
    store = AuditStore(None)
    signed(store, [("AFIB",)], [Edit(CHANGED, 0, "Not atrial fibrillation.")])
    assert edit_rates(store.entries()).findings == (FindingRate("AFIB", 1, 0, 0, 1, 0),)


# The commands ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(store: AuditStore, file: Path) -> list[Entry]:
    signed(store, [("AFIB",)], [Edit(REJECTED, 0), OWN])
    store.record("question", WARD, asked="=1+1 rate?", document={**AF, "status": "answer"})
    entries = list(store.entries())
    store.close()
    return entries


def test_export_as_lines_and_as_a_table(
    filled: list[Entry], file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["audit", "export", "--audit", str(file)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [entry.to_json() for entry in filled] and lines[1]["signer"] == "Dr Ann Reader"
    out = tmp_path / "audit.csv"
    assert cli.main(["audit", "export", "--audit", str(file), "--out", str(out)]) == 0
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert [row["action"] for row in rows] == ["report", "sign", "question"]
    assert rows[2]["asked"] == "'=1+1 rate?"  # no formula for the spreadsheet
    assert cli.main(["audit", "export", "--audit", str(file), "--since", "2999-01-01"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("argv", ["export --since soon", "export --out x.pdf", "rates --since 0000-01-01"])
def test_what_the_commands_do_not_take(filled: list[Entry], file: Path, argv: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", *argv.split(), "--audit", str(file)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert cli.main(["audit", "verify", "--audit", str(file.with_name("none.sqlite"))]) == 2


def test_verify_and_rates_print_what_they_found(filled: list[Entry], file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", "verify", "--audit", str(file), "--head", filled[0].hash]) == 0
    assert capsys.readouterr().out == f"3 entries, none changed or removed; head {filled[-1].hash}\n"
    assert cli.main(["audit", "rates", "--audit", str(file)]) == 0
    out = capsys.readouterr().out
    assert "1 of 1 drafts are signed." in out and "atrial fibrillation (AFIB)" in out and "100 % [21, 100]" in out
    assert cli.main(["audit", "rates", "--json", "--audit", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["findings"][0]["rejected"] == 1


def test_sentences_survive_their_documents() -> None:
    sentence = Sentence("Text.", "rhythm", ("F:SR",), ("SR",), "human")
    edit = Edit(CHANGED, 3, "Text.", ("SR",), "rhythm")
    assert Sentence.from_json(sentence.to_json()) == sentence and Edit.from_json(edit.to_json()) == edit
