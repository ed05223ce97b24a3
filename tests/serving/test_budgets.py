"""Budgets as resources."""

from __future__ import annotations

import pytest

from forecast.serving import answers
from tests.serving.homes import TestClient, problem_of

BODY = {"scope": "team=ads", "period": "2027-Q1", "amount": 250_000.5, "currency": "USD", "owner": "Özge"}


def test_budget_is_put_read_listed_and_deleted(client: TestClient) -> None:
    assert client.put("/v1/budgets/ads-q1", json=BODY).status_code == 201
    again = client.put("/v1/budgets/ads-q1", json=BODY)
    assert again.status_code == 200
    budget = client.get("/v1/budgets/ads-q1").json()
    assert budget == again.json()
    assert (budget["start"], budget["end"], budget["amount"], budget["owner"]) == ("2027-01-01", "2027-04-01", 250_000.5, "Özge")
    listed = answers.BudgetList.model_validate_json(client.get("/v1/budgets").content)
    assert "ads-q1" in [entry.id for entry in listed.budgets]
    gone = client.delete("/v1/budgets/ads-q1")
    assert (gone.status_code, gone.content) == (204, b"")
    assert problem_of(client.get("/v1/budgets/ads-q1"))["status"] == 404
    assert problem_of(client.delete("/v1/budgets/ads-q1"))["status"] == 404


@pytest.mark.parametrize(
    ("budget_id", "change", "status", "field"),
    [
        ("b", {"amount": 0}, 422, "amount"),
        ("b", {"amount": -1}, 422, "amount"),
        ("b", {"amount": "5"}, 422, "amount"),
        ("b", {"amount": True}, 422, "amount"),
        ("b", {"currency": "dollars"}, 422, "currency"),
        ("b", {"cost": "list"}, 422, "cost"),
        ("b", {"period": None, "start": "2027-04-01", "end": "2027-01-01"}, 400, "end"),
        ("b", {"period": "next year"}, 400, "period"),
        ("b", {"start": "2027-01-01"}, 400, "period"),
        ("b", {"scope": "team"}, 400, "scope"),
        ("b", {"name": "nul \x00 byte"}, 422, "name"),
        ("b", {"colour": "red"}, 422, "colour"),
        ("-b", {}, 422, "id"),
        ("b b", {}, 422, "id"),
        ("x" * 101, {}, 422, "id"),
        ("%00", {}, 422, "id"),
    ],
)
def test_budget_that_cannot_be_is_refused_with_its_field(
    client: TestClient, budget_id: str, change: dict[str, object], status: int, field: str
) -> None:
    problem = problem_of(client.put(f"/v1/budgets/{budget_id}", json={**BODY, **change}))
    assert (problem["status"], problem["errors"][0]["field"]) == (status, field)
    assert client.get("/v1/budgets").json()["budgets"] == []


@pytest.mark.parametrize("budget_id", ["%00", "..%2F..", "%FF", "a%20b", "☃", "%"])
def test_budget_under_a_strange_name_is_not_found(client: TestClient, budget_id: str) -> None:
    assert problem_of(client.get(f"/v1/budgets/{budget_id}"))["status"] == 404
