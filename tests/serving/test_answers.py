"""The four answers and the record over HTTP: the same numbers as in process, in the documented shape."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import pytest

from forecast.adapters.snapshots import SnapshotStore
from forecast.budgets.budget import Budget
from forecast.config import Settings
from forecast.serving import answers
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.overruns import overrun_answer
from tests.serving.homes import TestClient, problem_of

QUARTER = Period(date(2027, 1, 1), date(2027, 4, 1))


@pytest.fixture(scope="module")
def snapshot(home: Settings) -> Snapshot:
    store = SnapshotStore(home.snapshots_folder)
    return store.open(store.ids()[0])


def ask(client: TestClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_forecast_over_http_is_the_forecast_of_the_workflow(client: TestClient, snapshot: Snapshot) -> None:
    body = {"scope": {"team": ["ads", "search"]}, "period": "2027-Q1", "group_by": ["team"], "quantiles": [0.05, 0.5]}
    answer = ask(client, "/v1/forecast", body)
    expected = forecast_answer(snapshot, scope=Scope.parse("team=ads|search"), period=QUARTER, group_by=("team",), quantiles=(0.05, 0.5))
    assert answer == expected
    answers.ForecastAnswer.model_validate_json(client.post("/v1/forecast", json=body).content)


@pytest.mark.parametrize(
    "body",
    [
        {"period": "2027-Q1"},
        {"start": "2027-01-01", "end": "2027-04-01"},
        {"scope": "", "period": "2027-Q1"},
        {"scope": {}, "period": "2027-q1", "cost": "effective"},
        {"scope": None, "period": "2027-01-01..2027-04-01", "as_of": "2026-12-31"},
        {"period": "2027-Q1", "as_of": "2026-12-10T23:00:00Z"},
    ],
)
def test_one_question_said_in_several_ways_has_one_answer(client: TestClient, body: dict[str, Any]) -> None:
    assert ask(client, "/v1/forecast", body) == ask(client, "/v1/forecast", {"period": "2027-Q1"})


def test_answer_from_the_cache_is_the_answer(client: TestClient) -> None:
    body = {"scope": "stage=prod", "period": "2027-02"}
    assert client.post("/v1/forecast", json=body).content == client.post("/v1/forecast", json=body).content


def test_means_of_rows_add_up_to_the_total(client: TestClient) -> None:
    answer = ask(client, "/v1/forecast", {"period": "2027-Q1", "group_by": "team,stage", "granularity": "month"})
    assert math.isclose(sum(row["mean"] for row in answer["rows"]), answer["total"]["mean"], rel_tol=1e-6)


def test_snapshot_may_be_named_by_the_beginning_of_its_id(client: TestClient, snapshot: Snapshot) -> None:
    answer = ask(client, "/v1/forecast", {"period": "2027-Q1", "snapshot_id": snapshot.id[:8]})
    assert answer["snapshot_id"] == snapshot.id


def test_forecast_of_a_scope_finer_than_a_leaf_says_that_it_is_derived(client: TestClient) -> None:
    assert ask(client, "/v1/forecast", {"scope": "ai_model=haiku", "period": "2027-Q1"})["derived"] == "share"


def test_overrun_over_http_is_the_overrun_of_the_workflow(client: TestClient, snapshot: Snapshot) -> None:
    response = client.post("/v1/overrun", json={"scope": "team=ads", "period": "2027-Q1", "amount": 120_000})
    assert response.json() == overrun_answer(snapshot, Budget("ad-hoc", Scope.parse("team=ads"), QUARTER.start, QUARTER.end, 120_000.0))
    answers.OverrunAnswer.model_validate_json(response.content)


def test_overrun_grows_as_the_amount_shrinks(client: TestClient) -> None:
    chances = [ask(client, "/v1/overrun", {"period": "2027-Q1", "amount": amount})["overrun_probability"] for amount in (1.0, 1e6, 1e12)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == 1.0
    assert chances[-1] == 0.0


def test_overrun_of_a_stored_budget_follows_the_budget(client: TestClient) -> None:
    for amount, expected in ((1.0, 1.0), (1e12, 0.0)):
        client.put("/v1/budgets/moving", json={"scope": "team=ads", "period": "2027-Q1", "amount": amount})
        answer = ask(client, "/v1/overrun", {"budget_id": "moving"})
        assert (answer["budget_id"], answer["amount"], answer["overrun_probability"]) == ("moving", amount, expected)
    client.delete("/v1/budgets/moving")


def test_budget_in_another_currency_has_no_overrun(client: TestClient) -> None:
    client.put("/v1/budgets/euros", json={"period": "2027-Q1", "amount": 5, "currency": "EUR"})
    problem = problem_of(client.post("/v1/overrun", json={"budget_id": "euros"}))
    assert problem["status"] == 422
    assert problem["errors"][0]["field"] == "currency"
    client.delete("/v1/budgets/euros")


def test_budget_id_and_an_amount_together_are_refused(client: TestClient) -> None:
    problem = problem_of(client.post("/v1/overrun", json={"budget_id": "x", "amount": 5}))
    assert (problem["status"], problem["errors"][0]["field"]) == (400, "amount")


def test_anomalies_answer_row_by_row_in_order(client: TestClient, snapshot: Snapshot) -> None:
    usual = ask(client, "/v1/forecast", {"scope": "team=search", "start": "2026-12-11", "end": "2026-12-12"})["total"]["p50"]
    costs = [usual, usual * 50, usual]
    rows = [{"scope": "team=search", "timestamp": "2026-12-11T00:00:00Z", "cost": cost} for cost in costs]
    response = client.post("/v1/anomalies", json={"rows": rows})
    assert response.status_code == 200, response.text
    found = answers.AnomaliesAnswer.model_validate_json(response.content).rows
    assert [row.is_anomaly for row in found] == [False, True, False]


def test_series_of_a_leaf_is_the_scope_of_its_values(client: TestClient, snapshot: Snapshot) -> None:
    leaf = snapshot.hierarchy.leaf_ids[3]
    scope = {str(name): str(value) for name, value in snapshot.hierarchy.leaves.loc[leaf].items()}
    moment = {"timestamp": "2026-12-11", "cost": 100.0}
    by_series = ask(client, "/v1/anomalies", {"rows": [{"series": leaf, **moment}]})["rows"][0]
    by_scope = ask(client, "/v1/anomalies", {"rows": [{"scope": scope, **moment}]})["rows"][0]
    assert by_series == by_scope


def test_ten_thousand_rows_are_answered_and_one_more_is_not(client: TestClient) -> None:
    row = {"scope": "team=ads", "timestamp": "2026-12-11", "cost": 900.0}
    assert len(ask(client, "/v1/anomalies", {"rows": [row] * 10_000})["rows"]) == 10_000
    assert problem_of(client.post("/v1/anomalies", json={"rows": [row] * 10_001}))["status"] == 422


def test_whatif_without_levers_changes_nothing(client: TestClient) -> None:
    response = client.post("/v1/whatif", json={"period": "2027-Q1"})
    assert response.status_code == 200, response.text
    answer = answers.WhatIfAnswer.model_validate_json(response.content)
    assert answer.baseline == answer.scenario
    assert answer.delta.mean == 0


def test_whatif_that_doubles_usage_doubles_the_cost_to_come(client: TestClient) -> None:
    lever = {"type": "scale_usage", "scope": "team=ads", "factor": 2.0}
    answer = ask(client, "/v1/whatif", {"scope": "team=ads", "period": "2027-Q1", "levers": [lever]})
    assert math.isclose(answer["delta"]["mean"], answer["baseline"]["mean"], rel_tol=1e-6)


def test_whatif_names_the_budgets_that_it_touches(client: TestClient) -> None:
    client.put("/v1/budgets/ads-plan", json={"scope": "team=ads", "period": "2027-Q1", "amount": 130_000})
    answer = ask(client, "/v1/whatif", {"period": "2027-Q1", "levers": [{"type": "scale_usage", "scope": "team=ads", "factor": 3.0}]})
    assert len(answer["budgets"]) == 1
    client.delete("/v1/budgets/ads-plan")


def test_budget_of_a_team_that_never_spent_does_not_hold_up_a_whatif(client: TestClient) -> None:
    client.put("/v1/budgets/newcomers", json={"scope": "team=newcomers", "period": "2027-Q1", "amount": 5})
    client.put("/v1/budgets/by-model", json={"scope": "ai_model=haiku", "period": "2027-Q1", "amount": 5})
    client.put("/v1/budgets/last-year", json={"scope": "team=ads", "period": "2025", "amount": 5})
    found = ask(client, "/v1/whatif", {"period": "2027-Q1"})["budgets"]
    assert {budget["id"]: "warning" in budget for budget in found} == {"by-model": False, "newcomers": True}
    problem = problem_of(client.post("/v1/overrun", json={"budget_id": "newcomers"}))
    assert problem["status"] == 404
    client.delete("/v1/budgets/newcomers")
    client.delete("/v1/budgets/by-model")
    client.delete("/v1/budgets/last-year")


def test_levers_that_no_usage_can_follow_are_refused(client: TestClient) -> None:
    levers = [{"type": "scale_usage", "factor": 1e300}] * 3
    problem = problem_of(client.post("/v1/whatif", json={"period": "2027-Q1", "levers": levers}))
    assert (problem["status"], problem["errors"][0]["field"]) == (422, "levers[0].factor")


def test_whatif_by_month_and_stage_has_a_row_for_each(client: TestClient) -> None:
    answer = ask(client, "/v1/whatif", {"period": "2027-Q1", "granularity": "month", "group_by": ["stage"]})
    assert len(answer["rows"]) == 6


def test_accuracy_tells_the_backtest_of_a_scope(client: TestClient, snapshot: Snapshot) -> None:
    response = client.get("/v1/accuracy", params={"scope": "team=ads"})
    answers.AccuracyAnswer.model_validate_json(response.content)
    assert response.json()["snapshot_id"] == snapshot.id
    assert problem_of(client.get("/v1/accuracy", params={"scope": "team=adz"}))["suggestions"][0] == "ads"


def test_champion_is_told_with_its_history(client: TestClient) -> None:
    champion = answers.ChampionAnswer.model_validate_json(client.get("/v1/models/champion").content)
    assert (champion.name, champion.version, champion.run_id, len(champion.history)) == ("combination", "1", "run-1", 1)


def test_snapshots_are_listed_and_told_one_by_one(client: TestClient, snapshot: Snapshot) -> None:
    listed = answers.SnapshotList.model_validate_json(client.get("/v1/snapshots").content).snapshots
    assert [entry.id for entry in listed] == [snapshot.id]
    one = client.get(f"/v1/snapshots/{snapshot.id[:10]}")
    answers.SnapshotAnswer.model_validate_json(one.content)
    assert one.json()["horizon_end"] == snapshot.horizon_end.isoformat()
    assert problem_of(client.get("/v1/snapshots/ffffffffffff"))["status"] == 404
