"""From a draft to its signature over the service, and what the audit store knows of it afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from encoders.ecg import ECG, STANDARD_LEADS
from ui.audit import AuditStore
from ui.demo import demo
from ui.keys import KeyFile
from ui.service import create_app


@pytest.fixture
def audit(tmp_path: Path) -> AuditStore:
    return AuditStore(tmp_path / "audit.sqlite")


@pytest.fixture
def client(stub: Any, audit: AuditStore) -> Iterator[TestClient]:
    with TestClient(create_app(stub, page=False, audit=audit)) as client:
        yield client


def accepted(draft: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"kind": "accepted", "sentence": sentence["sentence"]} for sentence in draft["to_sign"]]


def test_a_draft_is_signed_sentence_by_sentence(client: TestClient, audit: AuditStore) -> None:
    draft = client.post("/v1/reports", data={"demo": "af"}).json()
    assert draft["state"] == "unconfirmed draft" and draft["to_sign"][0]["text"] == "Atrial fibrillation <i>."
    address = f"/v1/reports/{draft['draft_id']}"
    state = client.get(address).json()
    assert state["signature"] is None and state["to_sign"] == draft["to_sign"]
    assert state["recordings"] == [demo("af").content_hash()]
    decisions = accepted(draft)
    decisions[0] = {"kind": "changed", "sentence": 0, "text": "Atrial flutter.", "codes": ["AFLT"]}
    decisions.append({"kind": "added", "text": "Low voltage.", "codes": ["LVOLT"], "section": "chambers"})
    half = client.post(f"{address}/signature", json={"signer": "Dr Ann Reader", "decisions": decisions})
    assert half.status_code == 422 and client.get(address).json()["signature"] is None
    # The rhythm section still says atrial fibrillation.
    assert 'was taken out under impression, but "Atrial fibrillation." under rhythm still' in half.json()["error"]
    decisions[1] = {"kind": "rejected", "sentence": 1}
    signed = client.post(f"{address}/signature", json={"signer": "Dr Ann Reader", "decisions": decisions})
    assert signed.status_code == 200 and signed.json()["state"] == "signed" == client.get(address).json()["state"]
    signature = signed.json()["signature"]
    assert signature["signer"] == "Dr Ann Reader" and signature["sentences"][0]["text"] == "Atrial flutter."
    assert signature["sentences"][-1]["codes"] == ["LVOLT"]
    again = client.post(f"{address}/signature", json={"signer": "Dr Ann Reader", "decisions": decisions})
    assert again.status_code == 409 and "signed already" in again.json()["error"]
    rates = {rate["code"]: rate for rate in client.get("/v1/audit/rates").json()["findings"]}
    assert (rates["AFIB"]["drafted"], rates["AFIB"]["rejected"], rates["AFLT"]["added"]) == (1, 1, 1)
    assert audit.verify().fault is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"signer": "Dr Ann Reader", "decisions": []}, 422),
        ({"signer": "A", "decisions": []}, 422),
        ({"decisions": []}, 422),
        ({"signer": "Dr Ann Reader", "decisions": [{"kind": "kept", "sentence": 0}]}, 422),
        ({"signer": "Dr Ann Reader", "decisions": [], "patient": "x"}, 422),
        ([], 422),
    ],
)
def test_sign_offs_that_make_no_sense(client: TestClient, body: Any, status: int) -> None:
    draft = client.post("/v1/reports", data={"demo": "af"}).json()
    answer = client.post(f"/v1/reports/{draft['draft_id']}/signature", json=body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert client.get(f"/v1/reports/{draft['draft_id']}").json()["state"] == "unconfirmed draft"


def test_a_draft_leaves_as_fhir_pdf_or_json_before_and_after_its_signature(client: TestClient, audit: AuditStore) -> None:
    draft = client.post("/v1/reports", data={"demo": "af"}).json()
    address = f"/v1/reports/{draft['draft_id']}"
    first = client.post(f"{address}/document", data={"demo": "af", "label": "Bed 7 Zzyzx"})
    assert first.status_code == 200 and first.headers["content-type"] == "application/fhir+json"
    top = first.json()["entry"][0]["resource"]
    assert (top["status"], top["subject"]["display"]) == ("preliminary", "Bed 7 Zzyzx") and "signer" not in first.text
    decisions = accepted(draft)
    decisions[0] = {"kind": "changed", "sentence": 0, "text": "Coarse atrial fibrillation.", "codes": ["AFIB"]}
    signed = client.post(f"{address}/signature", json={"signer": "Dr Ann Reader", "decisions": decisions})
    assert signed.status_code == 200
    bundle = client.post(f"{address}/document", data={"demo": "af"}).json()
    top = bundle["entry"][0]["resource"]
    assert (top["status"], top["resultsInterpreter"]) == ("final", [{"display": "Dr Ann Reader"}]) and "subject" not in top
    assert "Coarse atrial fibrillation." in top["conclusion"] and top["issued"] == signed.json()["signature"]["signed_at"]
    document = client.post(f"{address}/document", data={"demo": "af", "format": "json"})
    assert document.json()["report"]["impression"][0] == "Coarse atrial fibrillation." and not document.json()["unconfirmed"]
    printed = client.post(f"{address}/document", data={"demo": "af", "format": "pdf"})
    assert printed.content.startswith(b"%PDF-") and printed.headers["content-type"] == "application/pdf"
    assert printed.headers["content-disposition"].startswith('attachment; filename="ecg-report-')
    exports = [entry for entry in audit.entries() if entry.action == "export"]
    assert [entry.body["kind"] for entry in exports] == ["fhir", "fhir", "json", "pdf"]
    assert {entry.about for entry in exports} == {draft["draft_id"]}
    assert "Zzyzx" not in json.dumps([entry.to_json() for entry in audit.entries()])


def test_what_new_words_state_is_read_from_them_or_asked_for(client: TestClient, audit: AuditStore) -> None:
    draft = client.post("/v1/reports", data={"demo": "af"}).json()
    address = f"/v1/reports/{draft['draft_id']}"
    stating = [n for n, sentence in enumerate(draft["to_sign"]) if "AFIB" in sentence["codes"]]

    def sign(text: str, **more: Any) -> Any:
        decisions = accepted(draft)
        for n in stating:
            decisions[n] = {"kind": "changed", "sentence": n, "text": text, **more}
        return client.post(f"{address}/signature", json={"signer": "Dr Ann Reader", "decisions": decisions})

    for words in ("Not atrial fibrillation.", "Sinus rhythm with artefact; no atrial fibrillation."):
        refused = sign(words)
        assert refused.status_code == 422 and "Sentence 0 stated AFIB as drafted" in refused.json()["error"]
        assert 'give "codes"' in refused.json()["error"]
    torn = sign("No atrial fibrillation.", codes=["AFIB"])
    assert torn.status_code == 422 and "denies atrial fibrillation" in torn.json()["error"]
    both = sign("Sinus rhythm with atrial fibrillation.")
    assert both.status_code == 422 and "exclude each other" in both.json()["error"]
    signed = sign("Sinus rhythm.")
    assert signed.status_code == 200
    said = signed.json()["signature"]
    assert [said["sentences"][n]["codes"] for n in stating] == [["SR"]] * len(stating)
    assert said["decisions"][0]["codes"] == ["SR"]
    bundle = client.post(f"{address}/document", data={"demo": "af"}).json()
    values = [entry["resource"].get("valueCodeableConcept", {}).get("text", "") for entry in bundle["entry"]]
    assert "sinus rhythm (SR)" in values and not any("AFIB" in value for value in values)
    rates = {rate["code"]: rate for rate in client.get("/v1/audit/rates").json()["findings"]}
    assert rates["AFIB"]["disagreement_rate"] == 1.0 and rates["SR"]["added"] == 1


def test_an_empty_report_is_not_signed(client: TestClient) -> None:
    draft = client.post("/v1/reports", data={"demo": "af"}).json()
    address = f"/v1/reports/{draft['draft_id']}/signature"
    rejected = [{**decision, "kind": "rejected"} for decision in accepted(draft)]
    refused = client.post(address, json={"signer": "Dr Ann Reader", "decisions": rejected})
    assert refused.status_code == 422 and "Nothing would be signed" in refused.json()["error"]
    own = [*rejected, {"kind": "added", "text": "Not to be read; record again."}]
    assert client.post(address, json={"signer": "Dr Ann Reader", "decisions": own}).status_code == 200


def test_a_document_is_of_the_reading_that_was_drafted_or_none(
    client: TestClient, audit: AuditStore, stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = client.post("/v1/reports", data={"demo": "af"}).json()
    address = f"/v1/reports/{draft['draft_id']}/document"
    assert client.post(f"/v1/reports/{'0' * 32}/document", data={"demo": "af"}).status_code == 404
    for data, said in (
        ({"demo": "normal"}, "not the recording"), ({"demo": "af", "leads": "I"}, "not the recording"),
        ({"demo": "af", "format": "doc"}, "'fhir', 'pdf' or 'json'"), ({"demo": "af", "colour": "x"}, "no field 'colour'"),
        ({}, "0 recordings"), ({"demo": "af", "label": "x" * 200}, "'label'"),
    ):  # fmt: skip
        answer = client.post(address, data=data)
        assert answer.status_code == 422 and list(answer.json()) == ["error"] and said in answer.json()["error"], data
    with monkeypatch.context() as other:
        whole = stub.report

        def otherwise(ecg: ECG, *, k: int = 10) -> Any:
            made = whole(ecg, k=k)
            return replace(made, report=replace(made.report, sections={**made.report.sections, "impression": ()}))

        other.setattr(stub, "report", otherwise)
        answer = client.post(address, data={"demo": "af"})
        assert answer.status_code == 422 and "other options" in answer.json()["error"]
    assert not [entry for entry in audit.entries() if entry.action == "export"]


def test_unknown_drafts(client: TestClient) -> None:
    body = {"signer": "Dr Ann Reader", "decisions": []}
    assert client.get(f"/v1/reports/{'0' * 32}").status_code == 404
    assert client.post(f"/v1/reports/{'0' * 32}/signature", json=body).status_code == 404
    assert client.get("/v1/reports/x").status_code == 422


def test_referrals_are_drafts_to_sign_too(client: TestClient) -> None:
    referral = client.post("/v1/reports", data={"demo": "noisy"}).json()
    assert referral["status"] == "referral" and referral["draft_id"]
    body = {"signer": "Dr Ann Reader", "decisions": accepted(referral)}
    signed = client.post(f"/v1/reports/{referral['draft_id']}/signature", json=body).json()
    assert (signed["state"], signed["status"], signed["reasons"]) == ("signed", "referral", referral["reasons"])


def test_each_piece_of_work_stands_in_the_audit_store_without_a_name(client: TestClient, audit: AuditStore, stub: Any) -> None:
    ecg = demo("normal")
    rows = [",".join(STANDARD_LEADS), *(",".join(f"{v:.3f}" for v in row) for row in ecg.signal_mv.T)]
    files = [("files", ("Kowalski_Anna_1950.csv", "\n".join(rows).encode()))]
    more = {"fs_hz": "500", "unit": "mV"}
    assert client.post("/v1/reports", files=files, data=more).status_code == 200
    asked = {**more, "question": "Does Kowalski have atrial fibrillation?"}
    assert client.post("/v1/answers", files=files, data=asked).status_code == 200
    assert client.post("/v1/cases/search", files=files, data={**more, "where": "age>60"}).status_code == 200
    assert client.post("/v1/cases/search", data={"text": "like Mrs Kowalski"}).status_code == 200
    assert client.post("/v1/measurements", files=files, data=more).status_code == 200
    broken = [("files", ("Kowalski_Anna_1950.hea", b"broken"))]
    assert client.post("/v1/reports", files=broken).status_code == 422  # nothing was drafted, nothing is kept
    entries = list(audit.entries())
    assert [entry.action for entry in entries] == ["report", "question", "search", "search", "measure"]
    recording = stub.seen[0].content_hash()
    assert [entry.body["recordings"] for entry in entries] == [[recording]] * 3 + [[]] + [[recording]]
    assert all(entry.body["versions"] for entry in entries) and {entry.actor for entry in entries} == {"local"}
    text = json.dumps([entry.to_json() for entry in entries])
    assert "Kowalski" not in text and "1950" not in text and "age>60" in text


def test_nothing_is_handed_out_that_could_not_be_written_down(client: TestClient, audit: AuditStore) -> None:
    audit.close()
    answer = client.post("/v1/reports", data={"demo": "af"})
    assert answer.status_code == 503 and list(answer.json()) == ["error"] and "audit store" in answer.json()["error"]


def test_whoever_acts_stands_in_the_audit_store_by_the_name_of_their_key(stub: Any, audit: AuditStore, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.sqlite")
    ward, auditor = keys.add("ward 3", "clinician"), keys.add("auditor", "auditor")
    with TestClient(create_app(stub, page=False, audit=audit, keys=keys)) as client:
        assert client.post("/v1/reports", data={"demo": "af"}, headers={"x-api-key": ward}).status_code == 200
        lines = client.get("/v1/audit", headers={"authorization": f"Bearer {auditor}"})
        table = client.get("/v1/audit", params={"format": "csv", "since": "2020-01-01"}, headers={"x-api-key": auditor})
        assert client.get("/v1/audit", params={"since": "soon"}, headers={"x-api-key": auditor}).status_code == 422
    first, second = (json.loads(line) for line in lines.text.splitlines())
    assert (first["actor"], first["role"], first["action"]) == ("ward 3", "clinician", "report")
    assert (second["actor"], second["action"]) == ("auditor", "audit")  # reading is written down, too
    assert table.text.startswith("seq,id,at,actor") and len(table.text.splitlines()) == 4
