"""The REST service: what it answers, what it refuses, and what it leaves behind (nothing)."""

from __future__ import annotations

import io
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from assistant.serial import SAME
from encoders.ecg import STANDARD_LEADS
from encoders.errors import ArtefactError, QueryError, RecordingError
from ui.demo import demo
from ui.desk import Desk
from ui.limits import Limits
from ui.reporting import UNUSABLE
from ui.service import create_app
from ui.uploads import Upload, recordings_in, safe_name, stored


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))


@pytest.fixture
def client(stub: Any) -> Iterator[TestClient]:
    with TestClient(create_app(stub, page=False), raise_server_exceptions=False) as client:
        yield client


def csv_bytes(name: str = "normal") -> bytes:
    rows = [",".join(STANDARD_LEADS), *(",".join(f"{v:.3f}" for v in row) for row in demo(name).signal_mv.T)]
    return "\n".join(rows).encode()


def wfdb_files(name: str) -> list[tuple[str, tuple[str, bytes]]]:
    """A demo recording as the two files of a WFDB record (format 16, 1000 units per mV), written by hand."""
    signal = demo("normal").signal_mv
    header = [f"{name} 12 500 {signal.shape[1]}"]
    counts = np.round(signal * 1000).astype("<i2")
    for lead, row in zip(STANDARD_LEADS, counts, strict=True):
        checksum = int(row.astype(np.int64).sum()) & 0xFFFF
        checksum -= 0x10000 if checksum & 0x8000 else 0
        header.append(f"{name}.dat 16 1000/mV 16 0 {int(row[0])} {checksum} 0 {lead}")
    return [
        ("files", (f"{name}.hea", ("\n".join(header) + "\n").encode())),
        ("files", (f"{name}.dat", counts.T.tobytes())),
    ]


def test_report_of_a_demo(client: TestClient, stub: Any) -> None:
    answer = client.post("/v1/reports", data={"demo": "af", "age": "51", "sex": "F"})
    assert answer.status_code == 200 and answer.json()["status"] == "draft"
    assert (stub.seen[0].age_years, stub.seen[0].sex, stub.seen[0].source) == (51, "F", "demo")


def test_report_of_a_wfdb_record_in_two_files(client: TestClient, stub: Any) -> None:
    answer = client.post("/v1/reports", files=wfdb_files("record"))
    assert answer.status_code == 200, answer.text
    assert np.allclose(stub.seen[0].signal_mv, demo("normal").signal_mv, atol=2e-3)


def test_report_of_a_table_needs_rate_and_unit(client: TestClient, stub: Any) -> None:
    files = [("files", ("leads.csv", csv_bytes()))]
    refused = client.post("/v1/reports", files=files)
    assert refused.status_code == 422 and set(refused.json()) == {"error"}
    assert client.post("/v1/reports", files=files, data={"fs_hz": "500", "unit": "mV"}).status_code == 200
    assert stub.seen[0].fs_hz == 500


def test_report_of_an_array_needs_the_names_of_its_leads(client: TestClient, stub: Any) -> None:
    content = io.BytesIO()
    np.save(content, demo("normal").signal_mv[[1, 7]])
    files, told = [("files", ("two.npy", content.getvalue()))], {"fs_hz": "500", "unit": "mV"}
    refused = client.post("/v1/reports", files=files, data=told)
    assert refused.status_code == 422 and "give their names" in refused.json()["error"] and "--" not in refused.json()["error"]
    assert client.post("/v1/reports", files=files, data={**told, "lead_names": "II,V2"}).status_code == 200
    assert stub.seen[-1].leads == ("II", "V2")
    assert client.post("/v1/reports", files=files, data={**told, "lead_names": "II,V2", "leads": "v2"}).status_code == 200
    assert stub.seen[-1].leads == ("V2",)


@pytest.mark.parametrize("path", ["/v1/reports", "/v1/answers", "/v1/measurements", "/v1/cases/search"])
def test_a_field_that_a_route_lacks_is_never_passed_over(client: TestClient, path: str) -> None:
    answer = client.post(path, data={"demo": "af", "question": "Is it AF?", "k": "3", "text": "AF", "bogus": "1"})
    assert answer.status_code == 422 and "There is no field" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "sent", "said"),
    [
        ("/v1/reports?age=15", {"demo": "af"}, "no parameter 'age' here; there is none; fields go into the form"),
        ("/v1/reports", {"demo": "af", "age": ["15", "50"]}, "'age' came 2 times"),
        ("/v1/reports", {"demo": "af", "fs_hz": "500", "unit": "mV"}, "tells fs_hz and unit of a file"),
        ("/v1/cases/search", {"text": "AF", "age": "80", "leads": "I"}, "tells age and leads of a recording"),
        ("/v1/answers?k=3", {"demo": "af", "question": "x"}, "no parameter 'k'"),
        ("/v1/answers", {"demo": "af", "question": ["x", "y"]}, "'question' came 2 times"),
    ],
)
def test_nothing_that_is_sent_goes_unheeded(client: TestClient, stub: Any, path: str, sent: Any, said: str) -> None:
    answer = client.post(path, data=sent)
    assert answer.status_code == 422 and said in answer.json()["error"], answer.text
    assert stub.seen == []


def test_a_parameter_of_an_address_is_heeded_or_refused(client: TestClient) -> None:
    for _ in range(3):
        client.get("/v1/audit/rates")
    assert "the parameters are after, format, limit, since" in client.get("/v1/audit?colour=red").json()["error"]
    assert client.get("/v1/audit?limit=1&limit=2").status_code == 422 == client.get("/v1/health?x").status_code
    kept = [json.loads(line)["seq"] for line in client.get("/v1/audit?limit=2&after=1").text.splitlines()]
    assert kept == [2, 3]


def test_answers_take_two_recordings_in_their_order(client: TestClient, stub: Any) -> None:
    files = [*wfdb_files("later"), *wfdb_files("earlier")]
    answer = client.post("/v1/answers", files=files, data={"question": "Has it changed?"})
    assert answer.status_code == 200 and answer.json()["text"] == "2 recordings: Has it changed?"
    assert client.post("/v1/answers", data={"question": "x", "demo": ["af", "demo:lbbb", "normal"]}).status_code == 422
    assert client.post("/v1/answers", data={"demo": "af"}).status_code == 422


def test_two_recordings_of_one_name_are_two_and_the_files_of_a_record_stay_together(client: TestClient, stub: Any) -> None:
    told = {"fs_hz": "500", "unit": "mV", "question": "Has it changed?"}
    files = [("files", ("ecg.csv", csv_bytes("normal"))), ("files", ("ecg.csv", csv_bytes("af")))]
    answer = client.post("/v1/answers", files=files, data=told).json()
    assert answer["recordings"] == [ecg.content_hash() for ecg in stub.seen] and len(set(answer["recordings"])) == 2
    one, other = wfdb_files("ecg"), wfdb_files("ecg")
    for order in ([*one, *other], [one[0], other[0], one[1], other[1]]):
        answer = client.post("/v1/answers", files=order, data={"question": "Has it changed?"})
        assert answer.status_code == 200 and len(answer.json()["recordings"]) == 2, answer.text
    assert answer.json()["caution"] == [SAME]
    lone = client.post("/v1/answers", files=[*one, other[1]], data={"question": "Has it changed?"})
    assert lone.status_code == 422 and "ecg.hea" in lone.json()["error"] and "#" not in lone.json()["error"]


def test_a_report_may_be_compared_with_an_earlier_recording(client: TestClient, stub: Any) -> None:
    alone = client.post("/v1/reports", data={"demo": "af"}).json()
    assert alone["compared_with"] is None and alone["caution"] == []
    both = client.post("/v1/reports", data={"demo": ["normal", "af"]}).json()
    assert both["recording"] == alone["recording"] == stub.seen[-1].content_hash()
    assert both["compared_with"] == {"recording": demo("normal").content_hash(), "recorded_at": None}
    assert stub.earlier is not None and stub.earlier.ecg.content_hash() == demo("normal").content_hash()
    assert len(both["caution"]) == 1 and "different sexes" in both["caution"][0]
    address = f"/v1/reports/{both['draft_id']}"
    assert client.get(address).json()["recordings"] == [demo("normal").content_hash(), demo("af").content_hash()]
    assert client.post(f"{address}/document", data={"demo": ["normal", "af"], "format": "json"}).status_code == 200
    for other in ("af", ["af", "normal"], ["lbbb", "af"]):
        refused = client.post(f"{address}/document", data={"demo": other})
        assert refused.status_code == 422 and "both of a comparison" in refused.json()["error"]


def test_what_comes_back_can_be_tied_to_its_entry_its_recordings_and_its_versions(client: TestClient, stub: Any) -> None:
    made = [
        client.post("/v1/answers", data={"demo": ["af", "normal"], "question": "x"}).json(),
        client.post("/v1/measurements", data={"demo": "af"}).json(),
        client.post("/v1/cases/search", data={"demo": "af"}).json(), client.post("/v1/cases/search", data={"text": "AF"}).json(),
    ]  # fmt: skip
    entries = {json.loads(line)["id"]: json.loads(line) for line in client.get("/v1/audit").text.splitlines()}
    for document in made:
        entry = entries[document["audit_id"]]
        known = document["recordings"] if "recordings" in document else [document["recording"]]
        assert entry["recordings"] == [one for one in known if one]
        assert entry["versions"] == document["versions"] == stub.versions()
    assert made[3]["recording"] is None and made[3]["quality"] is None


def test_cases_of_an_unusable_recording_come_with_a_warning(client: TestClient) -> None:
    found = client.post("/v1/cases/search", data={"demo": "noisy"}).json()
    assert found["cases"] and found["quality"]["verdict"] == "unusable"
    assert found["remark"] == UNUSABLE and found["neighbours"] == []
    assert client.post("/v1/cases/search", data={"demo": "af"}).json()["remark"] == ""


def test_cases_by_recording_or_text(client: TestClient, stub: Any) -> None:
    found = client.post("/v1/cases/search", data={"demo": "af", "k": "3", "where": "age>60", "patient": "P 17"}).json()
    assert found["cases"][0]["id"] == "C:17" and found["left_out"] == {"own": 2, "duplicates": 1}
    assert found["neighbours"][0]["text"].startswith("50 of the 50 most similar cases list atrial")
    asked = stub.library.asked[-1]
    assert asked["embedding"].shape == (256,) and (asked["k"], asked["where"], asked["text"]) == (3, "age>60", None)
    assert len(asked["patient"]) == 64 and len(asked["content_hash"]) == 64
    assert client.post("/v1/cases/search", data={"text": " left bundle "}).json()["cases"][0]["id"] == "C:18"
    assert stub.library.asked[-1]["text"] == "left bundle" and stub.library.asked[-1]["patient"] is None
    both = client.post("/v1/cases/search", data={"text": "without infarction", "demo": "af"})
    assert both.status_code == 200 and stub.library.asked[-1]["embedding"] is not None
    assert client.post("/v1/cases/search", data={"where": "age>60"}).status_code == 200
    nothing = client.post("/v1/cases/search", data={"text": " ", "where": ""})
    assert nothing.status_code == 422 and "send a recording, text or where" in nothing.json()["error"]


@pytest.mark.parametrize(
    ("files", "data", "said"),
    [
        ([], {}, "0 recordings"),
        ([], {"demo": "xyz"}, "no demo recording"),
        ([("files", ("a.hea", b""))], {}, "empty"),
        ([("files", ("a.hea", b"\x00\x01\x02"))], {}, "WFDB header"),
        ([("files", ("a.dat", b"\x00" * 100))], {}, "a.hea"),
        ([("files", ("report.pdf", b"%PDF-1.4 x"))], {}, "PDF"),
        ([("files", (".hidden", b"x"))], {}, "unusual name"),
        ([("files", (f"{n}.csv", csv_bytes())) for n in range(3)], {"fs_hz": "500", "unit": "mV"}, "3 recordings; send one"),
        ([("files", ("a.hea", b"a 1 500 10\n../../etc/passwd 16 200 16 0 0 0 0 II\n"))], {}, "header"),
        ([], {"demo": "af", "age": "-3"}, "'age'"),
        ([], {"demo": "af", "sex": "x"}, "'sex'"),
        ([], {"demo": "af", "fs": "500"}, "no field 'fs' here; the fields are age, demo, files, fs_hz"),
        ([], {"demo": "af", "library": "Ward"}, "no field 'library'"),
        ([], {"demo": "af", "leads": "I,V9"}, "'V9' is no lead"),
        ([], {"demo": "af", "lead_names": "I,,II"}, "empty name"),
        ([("files", ("a.csv", csv_bytes()))], {"unit": "mV"}, "give the sampling rate in Hz"),
    ],
)
def test_bad_input_is_4xx_and_one_sentence_without_a_path(client: TestClient, files: Any, data: Any, said: str) -> None:
    answer = client.post("/v1/reports", files=files or None, data=data)
    assert answer.status_code == 422
    body = answer.json()
    assert list(body) == ["error"] and said in body["error"] and "\n" not in body["error"]
    assert tempfile.gettempdir() not in body["error"] and "Traceback" not in body["error"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/reports", "POST"), ("OPTIONS", "/v1/reports", "POST"), ("TRACE", "/v1/health", "GET"),
        ("POST", "/v1/health", "GET"), ("DELETE", f"/v1/reports/{'0' * 32}", "GET"),
        ("BREW", "/v1/answers", "POST"), ("GET", "/v1", None), ("OPTIONS", "/v1/nothing", None), ("PUT", "/v1/x/y", None),
    ],
)
def test_another_method_is_405_and_another_address_404(client: TestClient, method: str, path: str, allowed: str | None) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers.get("allow")) == ((404, None) if allowed is None else (405, allowed))
    said = answer.json()["error"]
    assert list(answer.json()) == ["error"] and ("nothing at this address" in said if allowed is None else said.endswith("."))


@pytest.mark.parametrize(
    ("path", "sent", "said"),
    [
        (f"/v1/reports/{'0' * 32}/signature", {"content": b"{x", "headers": {"content-type": "application/json"}}, "no JSON: "),
        (f"/v1/reports/{'0' * 32}/signature", {"data": {"signer": "Dr Ann Reader"}}, "send a JSON object"),
        (f"/v1/reports/{'0' * 32}/signature", {"json": {"signer": "A B", "decisions": [{"kind": "kept"}]}}, "decisions.0.kind"),
        ("/v1/reports", {"json": {"demo": "af"}}, "sent as 'application/json'; send a form"),
        ("/v1/answers", {"content": b"x", "headers": {"content-type": "text/plain"}}, "sent as 'text/plain'; send a form"),
        ("/v1/reports", {"files": [("files", ("Kowalski.csv", b""))]}, "Upload 1 is empty"),
    ],
)
def test_a_body_of_another_kind_is_told_as_one_sentence(client: TestClient, path: str, sent: Any, said: str) -> None:
    answer = client.post(path, **sent)
    assert answer.status_code == 422 and said in answer.json()["error"] and answer.json()["error"][0].isupper(), answer.text


def test_nothing_stays_on_disk(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert client.post("/v1/reports", files=wfdb_files("record")).status_code == 200
    assert client.post("/v1/reports", files=[("files", ("a.hea", b"broken"))]).status_code == 422
    assert list(tmp_path.iterdir()) == []


def test_too_large_is_413_with_and_without_a_stated_length(stub: Any) -> None:
    with TestClient(create_app(stub, page=False, limits=Limits(upload_bytes=2_000_000))) as client:
        big = [("files", ("a.csv", b"0" * 2_100_000))]
        stated = client.post("/v1/reports", files=big)
        assert stated.status_code == 413 and "1 MB" in stated.json()["error"]

        def trickle() -> Iterator[bytes]:
            yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'
            for _ in range(30):
                yield b"0" * 100_000
            yield b"\r\n--x--\r\n"

        unstated = client.post("/v1/reports", content=trickle(), headers={"content-type": "multipart/form-data; boundary=x"})
        assert unstated.status_code == 413 and "larger than" in unstated.json()["error"]
        assert stub.seen == []


def test_foreign_host_names_are_refused_where_hosts_are_named(stub: Any) -> None:
    with TestClient(create_app(stub, page=False, hosts=("127.0.0.1",)), base_url="http://127.0.0.1:81") as client:
        assert client.get("/v1/health").status_code == 200
        assert client.get("/v1/health", headers={"host": "rebound.example"}).status_code == 421


def test_every_answer_carries_the_headers(client: TestClient) -> None:
    for path in ("/v1/health", "/v1/openapi.json", "/nothing"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and "default-src '" in headers["content-security-policy"]
    assert client.get("/v1/health").headers["cache-control"] == "no-store"


def test_health_names_versions_and_loads_nothing() -> None:
    def load() -> Any:
        raise AssertionError("health must not load the models")

    with TestClient(create_app(load=load, page=False)) as client:
        health = client.get("/v1/health").json()
    assert health["loaded"] is False and health["packages"]["torch"] and health["intended_use"]
    assert set(health["artefacts"]) == {"encoder", "fusion", "library", "decision", "language"}
    assert (health["status"] == "ok") == all(health["artefacts"].values())


def test_missing_artefacts_are_503_and_the_unforeseen_is_500_without_details(stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> Any:
        raise ArtefactError("The weights are missing; reinstall.")

    with TestClient(create_app(load=load, page=False)) as client:
        answer = client.post("/v1/reports", data={"demo": "af"})
        assert answer.status_code == 503 and answer.json() == {"error": "The weights are missing; reinstall."}

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(stub, "report", broken)
    with TestClient(create_app(stub, page=False), raise_server_exceptions=False) as client:
        answer = client.post("/v1/reports", data={"demo": "af"})
        assert answer.status_code == 500 and "secret" not in answer.text and set(answer.json()) == {"error"}


def test_openapi_describes_every_route_with_its_errors_and_examples(client: TestClient) -> None:
    document = client.get("/v1/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/reports", "/v1/reports/{draft_id}", "/v1/reports/{draft_id}/signature",
        "/v1/reports/{draft_id}/document", "/v1/answers", "/v1/measurements",
        "/v1/cases/search", "/v1/audit", "/v1/audit/rates", "/v1/health",
    }  # fmt: skip
    assert {scheme["type"] for scheme in document["components"]["securitySchemes"].values()} == {"http", "apiKey"}
    for methods in document["paths"].values():
        for item in methods.values():
            assert len(item["security"]) == 2 and item["summary"]
            assert all("example" in content for content in item["responses"]["200"]["content"].values())
            errors = {code: answer for code, answer in item["responses"].items() if code != "200"}
            assert {"400", "401", "403", "421", "429", "500"} <= set(errors)
            for answer in errors.values():
                assert list(answer["content"]["application/json"]["example"]) == ["error"]
    assert "http://" not in json.dumps(document) and "https://" not in json.dumps(document)


def test_the_description_can_be_read_without_anything_from_elsewhere(client: TestClient) -> None:
    answer = client.get("/v1/docs")
    document = client.get("/v1/openapi.json").json()
    assert answer.headers["content-type"].startswith("text/html")
    for path, methods in document["paths"].items():
        for method, item in methods.items():
            assert f"{method.upper()} {path}" in answer.text and item["summary"] in answer.text
    for said in ("ecg-assistant keys add", "X-API-Key", "decisions[].kind", "Retry-After", "clinician", "in Hz"):
        assert said in answer.text, said
    assert "<script" not in answer.text and "src=" not in answer.text


def test_models_are_loaded_once_and_used_by_one_thread_at_a_time() -> None:
    loads, inside, most = [], 0, 0

    def load() -> Any:
        loads.append(1)
        return object()

    def work(_: Any) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.005)
        inside -= 1

    desk = Desk(load=load)
    threads = [threading.Thread(target=desk.with_assistant, args=(work,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [1] and most == 1


def test_a_failed_work_frees_the_desk(stub: Any) -> None:
    desk = Desk(stub)

    def fail(_: Any) -> None:
        raise QueryError("no")

    with pytest.raises(QueryError):
        desk.with_assistant(fail)
    assert desk.with_assistant(lambda loaded: loaded) is stub


@pytest.mark.parametrize("name", ["", "..", "a/..", ".x", "a\x00b", "x" * 200, "a\nb"])
def test_odd_file_names_are_refused(name: str) -> None:
    with pytest.raises(RecordingError):
        safe_name(name)


def test_file_names_lose_their_folders() -> None:
    assert safe_name("../../etc/ward 3.hea") == "ward 3.hea" and safe_name("C:\\data\\a.csv") == "a.csv"


def test_files_of_a_segmented_record_are_one_recording() -> None:
    uploads = [
        Upload("m.hea", b"m/2 1 500 20\ns1 10\ns2 10\n"), Upload("s1.hea", b"s1 1 500 10\ns1.dat 16 200 16 0 0 0 0 II\n"),
        Upload("s2.hea", b"s2 1 500 10\ns2.dat 16 200 16 0 0 0 0 II\n"), Upload("s1.dat", b"x"), Upload("s2.dat", b"x"),
        Upload("other.csv", b"x"),
    ]  # fmt: skip
    with stored(uploads) as folder:
        found = recordings_in(folder, [upload.name for upload in uploads])
    assert [path.name for path in found] == ["m.hea", "other.csv"]
    assert not folder.exists()
