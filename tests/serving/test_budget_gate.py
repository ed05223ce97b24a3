"""The gate and the history over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters.records import Records
from forecast.budgets.budget import Budget
from forecast.config import Settings
from forecast.serving.app import create_app
from forecast.serving.gate_schemas import GateAnswer, HistoryAnswer
from forecast.serving.stores import Stores
from forecast.spend.scope import Scope
from forecast.workflows.gate import gate_answer, read_run
from forecast.workflows.risk_history import budget_risks
from tests.serving.homes import NOW, TestClient, problem_of
from tests.snapshots_for_tests import shared_snapshot

EXPERIMENT = {"scope": "workload=brand-new", "start": "2026-12-01", "end": "2027-01-01", "amount": 1000, "kind": "experiment"}
RUN = {"planned": 900, "low": 800, "high": 1100, "spent": 330, "progress": 0.3, "at": "2026-12-11"}


@pytest.fixture
def gated(client: TestClient) -> Iterator[TestClient]:
    client.put("/v1/budgets/exp", json=EXPERIMENT)
    client.put("/v1/budgets/ads-dec", json={"scope": "team=ads", "period": "2026-12", "amount": 37_000})
    yield client
    for budget_id in ("exp", "ads-dec"):
        client.delete(f"/v1/budgets/{budget_id}")


def ask(client: TestClient, budget_id: str, **body: Any) -> Any:
    return client.post(f"/v1/budgets/{budget_id}/gate", json=body)


def test_gate_answers_as_the_workflow_does(gated: TestClient) -> None:
    response = ask(gated, "exp", **RUN)
    assert response.status_code == 200
    answer = response.json()
    assert GateAnswer.model_validate_json(response.content).decision == "warn"
    assert set(answer) == set(GateAnswer.model_fields)
    plan, report = read_run(planned=900, low=800, high=1100, spent=330, progress=0.3)
    budget = Budget("exp", Scope.parse("workload=brand-new"), date(2026, 12, 1), date(2027, 1, 1), 1000.0, kind="experiment")
    expected = gate_answer(shared_snapshot(), budget, plan=plan, report=report, today=date(2026, 12, 11))
    assert {**answer, "snapshot_id": None} == {**expected, "snapshot_id": None}


def test_stop_is_an_answer_and_no_error(gated: TestClient) -> None:
    response = ask(gated, "exp", **{**RUN, "spent": 5000})
    assert (response.status_code, response.json()["decision"], response.json()["probability"]) == (200, "stop", 1.0)


def test_empty_question_is_the_plain_probability_of_an_overrun(gated: TestClient) -> None:
    overrun = gated.post("/v1/overrun", json={"budget_id": "ads-dec"}).json()
    gate = ask(gated, "ads-dec", at="2026-12-11").json()
    assert (gate["probability"], gate["snapshot_id"]) == (overrun["overrun_probability"], overrun["snapshot_id"])
    by_id = ask(gated, "ads-dec", at="2026-12-11", snapshot_id=gate["snapshot_id"][:8]).json()
    assert by_id == gate == ask(gated, "ads-dec", at="2026-12-11", as_of="2026-12-31").json()
    assert ask(gated, "ads-dec").status_code == 200


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"planned": 0}, 422, "planned"),
        ({"planned": "900"}, 422, "planned"),
        ({"planned": None}, 422, "planned"),
        ({"low": 2000, "high": 1000}, 422, "low"),
        ({"low": None}, 422, "low"),
        ({"planned": 1200}, 422, "planned"),
        ({"spent": -1}, 422, "spent"),
        ({"spent": None}, 422, "spent"),
        ({"progress": 1.01}, 422, "progress"),
        ({"warn": 0.5, "stop": 0.2}, 422, "warn"),
        ({"stop": 0}, 422, "stop"),
        ({"since": "2026-12-20"}, 422, "since"),
        ({"since": "soon"}, 422, "since"),
        ({"colour": "red"}, 422, "colour"),
        ({"as_of": "2020-01-01"}, 404, "as_of"),
        ({"snapshot_id": "ffffffffffff"}, 404, "snapshot_id"),
    ],
)
def test_question_that_cannot_be_is_refused_with_its_field(gated: TestClient, change: dict[str, object], status: int, field: str) -> None:
    problem = problem_of(ask(gated, "exp", **{**RUN, **change}))
    assert (problem["status"], problem["errors"][0]["field"]) == (status, field)


def test_budget_or_scope_that_is_not_there_is_not_found(gated: TestClient) -> None:
    assert problem_of(ask(gated, "nobody", **RUN))["status"] == 404
    assert problem_of(gated.get("/v1/budgets/nobody/history"))["status"] == 404
    problem = problem_of(ask(gated, "exp"))
    assert (problem["status"], problem["errors"][0]["field"]) == (404, "scope")


def test_history_over_http(gated: TestClient, home: Settings) -> None:
    found = gated.get("/v1/budgets/ads-dec/history")
    assert found.status_code == 200
    first = HistoryAnswer.model_validate_json(found.content)
    assert [(row.cutoff, row.stored) for row in first.history] == [(date(2026, 12, 10), False)]
    budget = Budget("ads-dec", Scope.parse("team=ads"), date(2026, 12, 1), date(2027, 1, 1), 37_000.0)
    records = Records(home.records_address)
    stored = records.latest_snapshot()
    assert stored is not None
    from forecast.adapters.snapshots import SnapshotStore

    records.put_risks(budget_risks(SnapshotStore(home.snapshots_folder).open(stored.id), [budget], now=NOW)[0])
    records.close()
    rows = gated.get("/v1/budgets/ads-dec/history").json()["history"]
    assert [(row["snapshot_id"], row["stored"], row["change"]) for row in rows] == [(stored.id, True, None)]
    assert gated.get("/v1/budgets/ads-dec/history?since=2026-12-11").json()["history"] == []
    problem = problem_of(gated.get("/v1/budgets/ads-dec/history?since=soon"))
    assert (problem["status"], problem["errors"][0]["field"]) == (400, "since")


def test_gate_answers_without_any_snapshot(tmp_path: Any) -> None:
    from forecast.config import load_settings

    stores = Stores(load_settings(home=tmp_path))
    with TestClient(create_app(stores)) as client:
        client.put("/v1/budgets/exp", json=EXPERIMENT)
        answer = ask(client, "exp", planned=500, at="2026-12-11").json()
        assert (answer["decision"], answer["snapshot_id"], answer["cutoff"], answer["spent"]) == ("go", None, None, None)
        problem = problem_of(ask(client, "exp", at="2026-12-11"))
        assert (problem["status"], problem["errors"][0]["field"]) == (404, "planned")
        assert client.get("/v1/budgets/exp/history").json()["history"] == []
    stores.close()


def test_training_loop_of_the_page_stops_a_run_that_goes_over(gated: TestClient) -> None:
    page = Path(__file__).resolve().parents[2] / "docs/how-to/budget-gate.md"
    names: dict[str, Any] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)), names)  # the page is ours
    names["gate"] = lambda url, budget, **run: ask(gated, budget, **run).json()
    steps: list[int] = []
    with pytest.raises(SystemExit) as stopped:
        names["train"](4000, steps.append, lambda: 2.0 * len(steps), "", "exp")
    assert stopped.value.code == 3
    assert 500 <= len(steps) <= 1000
