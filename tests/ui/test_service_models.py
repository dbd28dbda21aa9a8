"""The models of the description against what is really sent: nothing that they lack, nothing that they leave out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from assistant.decide import Reason
from assistant.report import Line, Referral, who_should_look
from ui import examples
from ui.schemas import Answered, Drafted, FoundCases, Health, Measured, Rates, State
from ui.service import create_app

EXAMPLES = [
    (Drafted, examples.EXAMPLE_REPORT), (Answered, examples.EXAMPLE_ANSWER), (Measured, examples.EXAMPLE_MEASUREMENTS),
    (FoundCases, examples.EXAMPLE_CASES), (State, examples.EXAMPLE_STATE), (Rates, examples.EXAMPLE_RATES),
    (Health, examples.EXAMPLE_HEALTH),
]  # fmt: skip


@pytest.fixture
def client(stub: Any) -> Iterator[TestClient]:
    with TestClient(create_app(stub, page=False)) as client:
        yield client


def fits(model: Any, document: Any) -> None:
    """The document is of the model, which knows each of its fields."""
    adapter: TypeAdapter[Any] = TypeAdapter(model)
    assert adapter.dump_python(adapter.validate_python(document), exclude_unset=True) == document


@pytest.mark.parametrize(("model", "example"), EXAMPLES)
def test_the_examples_are_whole(model: Any, example: Any) -> None:
    fits(model, example)


@pytest.mark.parametrize("recordings", ["af", "noisy", ["normal", "lbbb"]])
def test_reports_are_as_described(client: TestClient, recordings: Any) -> None:
    document = client.post("/v1/reports", data={"demo": recordings}).json()
    fits(Drafted, document)
    assert (document["status"] == "referral") == (recordings == "noisy") == ("who_should_look" in document)
    address = f"/v1/reports/{document['draft_id']}"
    fits(State, client.get(address).json())
    kept = [{"kind": "accepted", "sentence": one["sentence"]} for one in document["to_sign"]]
    added = {"kind": "added", "text": "Low QRS voltage.", "codes": ["LVOLT"], "section": "chambers"}
    body = {"signer": "Dr Ann Reader", "decisions": [*kept, added]}
    fits(State, client.post(f"{address}/signature", json=body).json())
    fits(Rates, client.get("/v1/audit/rates").json())


def test_answers_measurements_cases_and_health_are_as_described(
    client: TestClient, stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"demo": "af", "question": "Is it AF?"}
    fits(Answered, client.post("/v1/answers", data=asked).json())
    reasons = (Reason("undetermined", "Nobody knows."),)
    declined = Referral(reasons, who_should_look(reasons), text="No.", sentences=(Line("No."),))
    monkeypatch.setattr(stub, "ask", lambda *_: declined)
    fits(Answered, client.post("/v1/answers", data=asked).json())
    fits(Measured, client.post("/v1/measurements", data={"demo": "af"}).json())
    for sent in ({"demo": "af"}, {"demo": "noisy"}, {"text": "AF"}):
        fits(FoundCases, client.post("/v1/cases/search", data=sent).json())
    fits(Health, client.get("/v1/health").json())


def test_a_program_can_be_made_from_the_description(client: TestClient) -> None:
    document = client.get("/v1/openapi.json").json()
    operations = {f"{method} {path}": item for path, methods in document["paths"].items() for method, item in methods.items()}
    assert {item["operationId"] for item in operations.values()} == {
        "draft_report", "read_draft", "sign_draft", "read_document", "answer_question", "measure_recording", "search_cases",
        "read_audit", "read_rates", "read_health",
    }  # fmt: skip
    for name, item in operations.items():
        good = item["responses"]["200"]["content"]
        assert all(content["schema"] for content in good.values()), name
        assert "Retry-After" in item["responses"]["429"]["headers"], name
        assert "WWW-Authenticate" in item["responses"]["401"]["headers"], name
    report = operations["post /v1/reports"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert {one["$ref"].rsplit("/", 1)[-1] for one in report["oneOf"]} == {"DraftReport", "ReferredReport"}
    assert report["discriminator"]["propertyName"] == "status"
    parts = document["components"]["schemas"]
    assert parts["Decision"]["properties"]["kind"]["enum"] == ["accepted", "changed", "rejected", "added"]
    assert "impression" in parts["Decision"]["properties"]["section"]["enum"]
    assert parts["Finding"]["properties"]["state"]["enum"] == ["present", "absent", "undetermined", "not assessed"]
    form = parts["Body_draft_report"]["properties"]
    assert form["sex"]["anyOf"][0]["enum"] == ["F", "M", ""] and form["unit"]["anyOf"][0]["enum"] == ["uV", "mV", "V", ""]
