"""Goal seek over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters.records import Records
from forecast.budgets.budget import Budget
from forecast.serving.app import create_app
from forecast.serving.stores import Stores
from forecast.spend.scope import Scope
from tests.serving.homes import NOW, TestClient, make_home, problem_of

LEVER: dict[str, Any] = {"type": "scale_usage", "name": "traffic", "scope": "team=ads", "factor": 2.0}
GOAL = {
    "lever": "traffic",
    "field": "factor",
    "low": 1,
    "high": 3,
    "figure": "overrun_probability",
    "budget": "ads-q1",
    "aim": "at_most",
    "limit": 0.2,
}
BODY: dict[str, Any] = {"period": "2027-Q1", "levers": [LEVER], "goal": GOAL}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("goals") / "home"
    settings = make_home(folder)
    records = Records(settings.records_address)
    records.put_budget(Budget("ads-q1", Scope.parse("team=ads"), date(2027, 1, 1), date(2027, 4, 1), 400_000.0), now=NOW)
    records.close()
    stores = Stores(settings)
    with TestClient(create_app(stores)) as client:
        yield client
    stores.close()


def test_the_value_the_bracket_and_the_curve_are_answered(client: TestClient) -> None:
    baseline = client.post("/v1/whatif", json={"period": "2027-Q1", "scope": "team=ads"}).json()["baseline"]["mean"]
    client.put("/v1/budgets/ads-q1", json={"scope": "team=ads", "period": "2027-Q1", "amount": 1.7 * baseline})
    answer = client.post("/v1/whatif/goal", json=BODY).json()
    assert (answer["status"], answer["is_monotone"], answer["goal"]["budget"]) == ("found", True, "ads-q1")
    value, bracket = answer["value"], answer["bracket"]
    assert value == bracket["low"]

    def risk(factor: float) -> float:
        told = client.post("/v1/whatif", json={"period": "2027-Q1", "levers": [{**LEVER, "factor": factor}]}).json()
        return float(next(row for row in told["budgets"] if row["id"] == "ads-q1")["overrun_probability_after"])

    assert risk(value) == answer["figure"] <= 0.2 < risk(bracket["high"])
    assert answer["at"]["scenario"]["mean"] == next(point["mean"] for point in answer["curve"] if point["value"] == value)


def test_a_saved_scenario_can_be_asked_about(client: TestClient) -> None:
    client.put("/v1/scenarios/growth", json={"plan": {"period": "2027-Q1", "levers": [LEVER]}})
    goal = {"lever": 0, "field": "factor", "low": 0.5, "high": 2, "figure": "mean", "aim": "minimise"}
    answer = client.post("/v1/whatif/goal", json={"scenario_id": "growth", "goal": goal}).json()
    assert (answer["status"], answer["value"]) == ("at_low", 0.5)
    assert problem_of(client.post("/v1/whatif/goal", json={"scenario_id": "grwth", "goal": goal}))["status"] == 404
    twice = problem_of(client.post("/v1/whatif/goal", json={"scenario_id": "growth", "period": "2027-Q1", "goal": goal}))
    assert (twice["status"], twice["errors"][0]["field"]) == (422, "scenario_id")
    assert problem_of(client.post("/v1/whatif/goal", json={**BODY, "version": 1}))["errors"][0]["field"] == "version"


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"low": 3, "high": 1}, 422, "goal.high"),
        ({"low": None}, 422, "goal.low"),
        ({"field": "facter"}, 422, "goal.field"),
        ({"field": "share"}, 422, "goal.field"),
        ({"lever": "trafic"}, 422, "goal.lever"),
        ({"budget": "ads-q2"}, 404, "goal.budget"),
        ({"budget": None}, 422, "goal.budget"),
        ({"limit": 20}, 422, "goal.limit"),
        ({"points": 1000}, 422, "goal.points"),
        ({"low": -1}, 422, "goal.low"),
        ({"aim": "equal"}, 422, "goal.aim"),
        ({"more": 1}, 422, "goal.more"),
    ],
)
def test_a_goal_that_cannot_be_is_named(client: TestClient, change: dict[str, Any], status: int, field: str) -> None:
    problem = problem_of(client.post("/v1/whatif/goal", json={**BODY, "goal": {**GOAL, **change}}))
    assert (problem["status"], problem["errors"][0]["field"]) == (status, field)


def test_days_and_a_goal_are_needed(client: TestClient) -> None:
    assert problem_of(client.post("/v1/whatif/goal", json={"levers": [LEVER], "goal": GOAL}))["errors"][0]["field"] == "start"
    assert problem_of(client.post("/v1/whatif/goal", json={"period": "2027-Q1", "levers": [LEVER]}))["errors"][0]["field"] == "goal"
    assert problem_of(client.post("/v1/whatif/goal", json={"period": "2027-Q1", "goal": GOAL}))["errors"][0]["field"] == "goal.lever"
