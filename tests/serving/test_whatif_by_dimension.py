"""What-if answers finer than a leaf over HTTP, and how dimensions that nobody knows are refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from forecast.serving import answers
from tests.serving.homes import TestClient, problem_of

MOVE = {"type": "move_share", "scope": "ai_model=gpt-large", "to": "ai_model=gpt-mini", "share": 0.4, "price_ratio": 0.2}


def test_rows_by_ai_model_add_up_and_have_the_baseline_of_the_forecast(client: TestClient) -> None:
    body: dict[str, Any] = {"period": "2027-Q1", "group_by": ["ai_model"]}
    response = client.post("/v1/whatif", json={**body, "levers": [MOVE]})
    assert response.status_code == 200, response.text
    answers.WhatIfAnswer.model_validate_json(response.content)
    answer = response.json()
    assert math.isclose(sum(row["delta"]["mean"] for row in answer["rows"]), answer["delta"]["mean"], rel_tol=1e-9)
    told = client.post("/v1/forecast", json={**body, "granularity": "quarter"}).json()["rows"]
    assert {row["group"]["ai_model"]: row["baseline"]["mean"] for row in answer["rows"]} == pytest.approx(
        {row["group"]["ai_model"]: row["mean"] for row in told}, rel=1e-9
    )


def test_scope_on_an_ai_model_is_what_the_answer_is_about(client: TestClient) -> None:
    answer = client.post("/v1/whatif", json={"period": "2027-Q1", "scope": "ai_model=gpt-large", "levers": [MOVE], "group_by": ["region"]}).json()
    assert answer["delta"]["mean"] == pytest.approx(-0.4 * answer["baseline"]["mean"], rel=1e-6)
    assert {row["group"]["region"] for row in answer["rows"]} == {"eu-west", "us-east"}


@pytest.mark.parametrize(
    ("body", "status", "field", "hint"),
    [
        ({"group_by": ["ai_modle"]}, 422, "group_by", "ai_model"),
        ({"scope": "ai_model=gpt-larg"}, 404, "scope", "gpt-large"),
        ({"scope": {"regoin": "eu-west"}}, 422, "scope", "region"),
    ],
)
def test_what_nobody_knows_is_refused_with_the_nearest(client: TestClient, body: dict[str, Any], status: int, field: str, hint: str) -> None:
    response = client.post("/v1/whatif", json={"period": "2027-Q1", "levers": [MOVE], **body})
    assert response.status_code == status
    problem = problem_of(response)
    assert problem["errors"][0]["field"] == field
    assert hint in response.text


def test_budget_on_an_ai_model_is_told_by_its_share(client: TestClient) -> None:
    scope = {"ai_model": "gpt-large"}
    put = client.put("/v1/budgets/large", json={"scope": scope, "start": "2027-01-01", "end": "2027-04-01", "amount": 10_000.0})
    assert put.status_code in (200, 201), put.text
    answer = client.post("/v1/whatif", json={"period": "2027-Q1", "levers": [MOVE]}).json()
    client.delete("/v1/budgets/large")
    found = next(row for row in answer["budgets"] if row["id"] == "large")
    assert found["derived"] == "share"
    assert found["expected_overrun_after"] < found["expected_overrun_before"]
