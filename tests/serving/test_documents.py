"""What the service says about itself: /docs.json, health, metrics, and problems of BentoML's own routes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forecast.serving.schemas import AnomaliesRequest, BudgetBody, ForecastRequest, OverrunRequest, WhatIfRequest
from tests.serving.homes import TestClient, problem_of

ROUTES = {
    ("post", "/v1/spend"),
    ("post", "/v1/forecast"),
    ("post", "/v1/overrun"),
    ("post", "/v1/anomalies"),
    ("post", "/v1/whatif"),
    ("get", "/v1/budgets"),
    ("get", "/v1/budgets/{budget_id}"),
    ("put", "/v1/budgets/{budget_id}"),
    ("delete", "/v1/budgets/{budget_id}"),
    ("get", "/v1/accuracy"),
    ("get", "/v1/models/champion"),
    ("get", "/v1/snapshots"),
    ("get", "/v1/snapshots/{snapshot_id}"),
    ("get", "/"),
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/metrics"),
}


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    response = client.get("/docs.json")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def test_document_lists_every_route(document: dict[str, Any]) -> None:
    found = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert found >= ROUTES
    assert document["openapi"].startswith("3.1")


def test_every_reference_of_the_document_has_its_schema(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    references = {part.split('"')[0] for part in text.split('"$ref": "')[1:]}
    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"], reference


def test_questions_are_documented_with_their_fields_and_examples(document: dict[str, Any]) -> None:
    for path, name in (("/v1/forecast", "ForecastRequest"), ("/v1/overrun", "OverrunRequest"), ("/v1/whatif", "WhatIfRequest")):
        schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert schema["$ref"].endswith(name)
        described = document["components"]["schemas"][name]
        assert described["additionalProperties"] is False
        assert described["examples"]
        assert described["properties"]["scope"]["description"]


def test_faults_are_documented_as_problems(document: dict[str, Any]) -> None:
    for status in ("400", "404", "413", "415", "422", "503"):
        assert "application/problem+json" in document["paths"]["/v1/forecast"]["post"]["responses"][status]["content"]


@pytest.mark.parametrize("model", [ForecastRequest, OverrunRequest, AnomaliesRequest, WhatIfRequest, BudgetBody])
def test_examples_of_the_documents_are_read(model: type[ForecastRequest]) -> None:
    examples = model.model_json_schema()["examples"]
    assert examples
    for example in examples:
        model.model_validate_json(json.dumps(example))


def test_health_says_that_the_service_is_ready(client: TestClient) -> None:
    for path in ("/livez", "/readyz", "/healthz"):
        assert client.get(path).status_code == 200


def test_wrong_method_on_a_route_of_bentoml_is_a_problem_too(client: TestClient) -> None:
    assert problem_of(client.post("/livez"))["status"] == 405
