"""Schemathesis over the OpenAPI document: whatever is sent, the service does not break, and answers as described."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from starlette.testclient import TestClient

from ui.audit import LOCAL, AuditStore
from ui.limits import Limits
from ui.service import create_app

EXAMPLES = 20
SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
)


@pytest.fixture
def schema(stub: Any) -> Any:
    """The schema of an app that answers with the stand-in."""
    load_all_checks()
    app = create_app(stub, page=False, audit=AuditStore(None), limits=Limits(per_minute=1e9))
    return schemathesis.openapi.from_asgi("/v1/openapi.json", app, config=SchemathesisConfig())


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_whatever_is_sent_is_answered_as_described(schema: Any, mode: GenerationMode) -> None:
    tried: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()

        @SETTINGS
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def judge(case: Any) -> None:
            answer = case.call()
            tried.setdefault(f"{case.method} {case.path}", set()).add(answer.status_code)
            assert answer.status_code < 500, answer.text
            case.validate_response(answer, checks=[status_code_conformance, response_schema_conformance])
            if answer.status_code >= 400:
                assert list(answer.json()) == ["error"] and "\n" not in answer.json()["error"]

        judge()
    assert len(tried) == 10
    if mode is GenerationMode.POSITIVE:
        # Generated words seldom make a search or a recording; that those are answered, test_service tells.
        assert 200 in tried["GET /v1/audit"] and 200 in tried["GET /v1/health"]


def test_a_draft_can_be_signed_with_whatever_names_and_words(stub: Any) -> None:
    """Random decisions seldom fit a draft, so this one puts generated text into decisions that do."""
    words = hypothesis.strategies.text(max_size=40)
    audit = AuditStore(None)
    client = TestClient(create_app(stub, page=False, audit=audit, limits=Limits(per_minute=1e9)))
    statuses = set()

    @SETTINGS
    @hypothesis.given(signer=words, text=words)
    def judge(signer: str, text: str) -> None:
        entry = audit.record("report", LOCAL, kind="draft")
        body = {"signer": signer, "decisions": [{"kind": "added", "text": text}]}
        statuses.add(client.post(f"/v1/reports/{entry.id}/signature", json=body).status_code)

    judge()
    assert statuses == {200, 422} and audit.verify().fault is None
