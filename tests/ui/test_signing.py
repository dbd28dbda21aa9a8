"""Sign-off: by name, once, on record; the patient's label is printed and kept nowhere."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from encoders.errors import QueryError
from ui.audit import LOCAL, AuditStore
from ui.demo import demo
from ui.signing import SignedReport, checked_label
from ui.takeaway import KINDS, packed

LABEL = "Zzyzx, Quentin 1950-02-03"


@pytest.fixture
def store(tmp_path: Path) -> AuditStore:
    return AuditStore(tmp_path / "audit.sqlite")


@pytest.fixture
def report(stub: Any, store: AuditStore) -> SignedReport:
    document = stub.report(demo("af")).to_json()
    entry = store.record("report", LOCAL, recordings=[document["recording"]], document=document)
    return SignedReport.of(document, draft_id=entry.id, recorded_at="2025-03-01T10:22:00")


def test_a_draft_says_that_it_is_unconfirmed_and_a_signed_one_who_answers_for_it(report: SignedReport, store: AuditStore) -> None:
    assert report.state == "Unconfirmed draft" and report.to_json()["unconfirmed"] is True
    signed = report.edited(report.edition.reject("0")).sign(store, LOCAL, " Dr  Ada Lovelace ", LABEL)
    assert signed.state.startswith("Signed by Dr Ada Lovelace, 20") and signed.edition.open == 0
    document = signed.to_json()
    assert document["unconfirmed"] is False and document["signed_by"] == "Dr Ada Lovelace"
    rejected = [row["section"] for row in document["sentences"] if row["state"] == "rejected"]
    assert rejected == ["impression", "rhythm"]  # the finding, wherever it stands
    kept = store.draft(report.draft_id)
    assert kept is not None and kept.state == "signed"
    for again in (lambda: signed.sign(store, LOCAL, "Dr Ada", LABEL), lambda: signed.edited(signed.edition)):
        with pytest.raises(QueryError, match="is signed"):
            again()


def test_a_report_that_contradicts_itself_is_not_signed(report: SignedReport, store: AuditStore) -> None:
    torn = report.edited(report.edition.reject("0").accept("1"))
    with pytest.raises(QueryError, match='^Atrial fibrillation was taken out under impression, but "Atrial fib'):
        torn.sign(store, LOCAL, "Dr Ada", LABEL)
    assert [entry.action for entry in store.entries()] == ["report"]
    signed = torn.edited(torn.edition.accept("1")).sign(store, LOCAL, "Dr Ada", LABEL)
    assert signed.signed is not None and all("AFIB" not in s.codes for _, rows in signed.edition.standing() for s in rows)


def test_the_exported_json_says_one_thing_of_what_was_signed(report: SignedReport, store: AuditStore) -> None:
    edited = report.edited(report.edition.reject("0").add("Atrial flutter."))
    early = edited.to_json()
    assert (early["status"], early["state"], early["unconfirmed"]) == ("draft", "Unconfirmed draft", True)
    kept = edited.sign(store, LOCAL, "Dr Ada", LABEL).to_json()
    assert (kept["status"], kept["state"], kept["unconfirmed"]) == ("signed", "Signed", False)
    wording = report.edition.drafted[0].text
    for document in (early, kept):
        assert "impression" not in document and "sections" not in document
        assert document["report"]["impression"] == ["Atrial flutter."] and wording not in json.dumps(document["report"])
        assert document["drafted"]["status"] == "draft" and document["drafted"]["impression"][0]["text"] == wording
        assert document["drafted"]["sections"] == report.document["sections"]
    assert report.document["status"] == "draft" and report.document["impression"][0]["text"] == wording


@pytest.mark.parametrize(("name", "label"), [("", LABEL), ("A", LABEL), ("Dr Ada", ""), ("Dr Ada", "  "), ("Dr Ada", "x" * 200)])
def test_neither_name_nor_label_may_be_missing(report: SignedReport, store: AuditStore, name: str, label: str) -> None:
    with pytest.raises(QueryError) as refused:
        report.sign(store, LOCAL, name, label)
    assert "Zzyzx" not in str(refused.value)
    assert [entry.action for entry in store.entries()] == ["report"]


def test_the_label_is_in_what_is_taken_away_and_nowhere_else(
    report: SignedReport, store: AuditStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signed = report.sign(store, LOCAL, "Dr Ada Lovelace", LABEL)
    made = {kind: packed(kind, signed, demo("af"), LABEL) for kind in KINDS}
    assert json.loads(made["json"].content)["patient_label"] == LABEL
    assert all("Zzyzx" not in one.name for one in made.values())
    assert "Zzyzx" not in repr(signed) and "Zzyzx" not in json.dumps(signed.to_json()) and "Zzyzx" not in caplog.text
    store.close()
    for path in tmp_path.rglob("*"):
        assert b"Zzyzx" not in path.read_bytes(), path.name
    with sqlite3.connect(tmp_path / "audit.sqlite") as db:
        assert all("Zzyzx" not in line for line in db.iterdump())


def test_a_label_is_one_line() -> None:
    assert checked_label(" Bed 7,\n\tWard 3\x00 ") == "Bed 7, Ward 3"


def test_an_unknown_kind_of_export_is_refused(report: SignedReport) -> None:
    with pytest.raises(QueryError, match="pdf, json, fhir"):
        packed("docx", report, demo("af"))
