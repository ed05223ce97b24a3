"""Budgets as resources."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forecast.serving import answers
from tests.serving.homes import TestClient, problem_of

BODY = {"scope": "team=ads", "period": "2027-Q1", "amount": 250_000.5, "currency": "USD", "owner": "Özge"}


def test_budget_is_put_read_listed_and_deleted(client: TestClient) -> None:
    assert client.put("/v1/budgets/ads-q1", json=BODY).status_code == 201
    again = client.put("/v1/budgets/ads-q1", json=BODY)
    assert again.status_code == 200
    budget = client.get("/v1/budgets/ads-q1").json()
    assert {**budget, "warnings": []} == again.json()
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


FULL = {
    "scope": "team=ads",
    "period": "2027-01",
    "amount": 100,
    "currency": "EUR",
    "cost": "billed",
    "kind": "balance",
    "parent": "whole",
    "repeats": "month",
    "phases": [{"start": "2027-01-01", "amount": 30}, {"start": "2027-01-11", "amount": 70.5}],
    "thresholds": ["probability>=0.3", "actual>=80%:act"],
    "unit": "credits",
    "unit_price": 0.01,
}


@pytest.fixture
def whole(client: TestClient) -> Iterator[None]:
    """A budget that others may be a part of."""
    assert client.put("/v1/budgets/whole", json={"period": "2027", "amount": 1000, "cost": "billed"}).status_code == 201
    yield
    for budget in sorted(client.get("/v1/budgets").json()["budgets"], key=lambda budget: budget["id"] == "whole"):
        assert client.delete(f"/v1/budgets/{budget['id']}").status_code == 204


def test_budget_with_all_its_fields_comes_back(client: TestClient, whole: None) -> None:
    put = client.put("/v1/budgets/full", json={**FULL, "amount": 100.5})
    assert put.status_code == 201, put.text
    found = client.get("/v1/budgets/full").json()
    answers.BudgetAnswer.model_validate(found)
    expected = {**FULL, "id": "full", "amount": 100.5, "name": "", "owner": "", "start": "2027-01-01", "end": "2027-02-01"}
    del expected["period"]
    assert found == {**expected, "thresholds": ["probability>=30%:warn", "actual>=80%:act"]}
    back = {name: value for name, value in found.items() if name != "id"}
    again = client.put("/v1/budgets/full", json=back)
    assert again.status_code == 200, again.text
    assert client.get("/v1/budgets/full").json() == found
    assert answers.BudgetList.model_validate_json(client.get("/v1/budgets").content).budgets[0].kind == "balance"


def test_amount_may_be_what_the_phases_add_up_to(client: TestClient, whole: None) -> None:
    put = client.put("/v1/budgets/sum", json={name: value for name, value in FULL.items() if name != "amount"})
    assert put.json()["amount"] == 100.5


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"parent": "nobody"}, "parent"),
        ({"parent": "full"}, "parent"),
        ({"repeats": "quarter"}, "end"),
        ({"repeats": "week"}, "repeats"),
        ({"kind": "grant"}, "kind"),
        ({"kind": "budget"}, "unit"),
        ({"unit_price": None}, "unit_price"),
        ({"unit_price": -1}, "unit_price"),
        ({"phases": [{"start": "2027-01-02", "amount": 100}]}, "phases"),
        ({"phases": [{"start": "2027-01-01", "amount": 99}]}, "amount"),
        ({"phases": [{"start": "2027-01-01", "amount": -1}]}, "phases.0.amount"),
        ({"phases": [{"start": "2027-01-01"}]}, "phases.0.amount"),
        ({"phases": "2027-01-01:100"}, "phases"),
        ({"phases": [{"start": "2027-01-01", "amount": 1}] * 61}, "phases"),
        ({"thresholds": ["soon"]}, "thresholds"),
        ({"thresholds": ["actual>=1"] * 21}, "thresholds"),
        ({"thresholds": [0.3]}, "thresholds.0"),
        ({"amount": None, "phases": []}, "amount"),
        ({"period": "2250"}, "end"),
    ],
)
def test_fields_that_cannot_be_are_refused_with_their_name(client: TestClient, whole: None, change: dict[str, object], field: str) -> None:
    problem = problem_of(client.put("/v1/budgets/full", json={**FULL, "phases": [], **change}))
    assert (problem["status"], problem["errors"][0]["field"]) == (422, field)
    assert [budget["id"] for budget in client.get("/v1/budgets").json()["budgets"]] == ["whole"]


def test_family_is_kept_whole_and_what_does_not_fit_is_warned_of(client: TestClient, whole: None) -> None:
    assert client.get("/v1/budgets/whole").json()["parent"] is None
    part = {"scope": "team=ads", "period": "2027", "amount": 1500, "cost": "billed", "parent": "whole"}
    warnings = client.put("/v1/budgets/part", json=part).json()["warnings"]
    assert len(warnings) == 1
    assert "500.00 more" in warnings[0]
    assert client.put("/v1/budgets/part", json={**part, "amount": 900}).json()["warnings"] == []
    circle = problem_of(client.put("/v1/budgets/whole", json={"period": "2027", "amount": 1000, "parent": "part"}))
    assert (circle["status"], circle["errors"][0]["field"]) == (422, "parent")
    kept = problem_of(client.delete("/v1/budgets/whole"))
    assert kept["status"] == 422
    assert "parent of part" in kept["detail"]
