"""Saved scenarios over HTTP: versions, tags that guard them, runs, what changed since, and the plan beside what happened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters.snapshots import SnapshotStore
from forecast.config import Settings, load_settings
from forecast.serving.answers import Answer, Heading
from forecast.serving.app import create_app
from forecast.serving.scenario_schemas import (
    ActualAnswer,
    ChangesAnswer,
    ComparedScenario,
    Comparison,
    GoalAnswer,
    GoalRequest,
    RunBody,
    ScenarioAnswer,
    ScenarioList,
    ScenarioRunAnswer,
    VersionList,
)
from forecast.serving.schemas import PeriodChoice
from forecast.serving.stores import Stores
from forecast.snapshot import Snapshot
from tests.serving.homes import NOW, TestClient, add_snapshot, make_home, problem_of
from tests.snapshots_for_tests import make_snapshot

PLAN: dict[str, Any] = {
    "period": "2027-Q1",
    "levers": [{"type": "scale_usage", "name": "traffic", "scope": "team=ads", "factor": 2.0, "from": "2027-02-01"}],
}
BODY = {"plan": PLAN, "name": "Traffic doubles", "by": "ada", "note": "for the board"}


@contextmanager
def serving(settings: Settings) -> Iterator[TestClient]:
    """The service of a home, which looks for a newer snapshot at every question."""
    seconds = count()
    stores = Stores(settings, clock=lambda: float(next(seconds)))
    with TestClient(create_app(stores)) as client:
        yield client
    stores.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with serving(make_home(tmp_path_factory.mktemp("scenarios") / "home")) as client:
        yield client


@pytest.fixture
def client(shared: TestClient) -> Iterator[TestClient]:
    """The service of a home without scenarios."""
    yield shared
    for one in shared.get("/v1/scenarios").json()["scenarios"]:
        shared.delete(f"/v1/scenarios/{one['id']}")


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home of its own, for tests that add snapshots."""
    return make_home(tmp_path / "home")


def later_snapshot(home: Settings) -> Snapshot:
    return add_snapshot(home, make_snapshot(seed=1, cutoff=date(2027, 2, 14), history_days=266), created_at=NOW + timedelta(days=66))


def plan_with(**lever: Any) -> dict[str, Any]:
    return {**BODY, "plan": {**PLAN, "levers": [{**PLAN["levers"][0], **lever}]}}


def test_a_scenario_is_saved_read_listed_and_removed(client: TestClient) -> None:
    put = client.put("/v1/scenarios/growth", json=BODY)
    assert put.status_code == 201
    saved = put.json()
    assert (saved["id"], saved["version"], saved["latest_version"], saved["plan"], saved["is_new"]) == ("growth", 1, 1, PLAN, True)
    assert saved["run"]["delta"]["mean"] > 0
    assert put.headers["location"] == "/v1/scenarios/growth"
    got = client.get("/v1/scenarios/growth")
    assert {name: got.json()[name] for name in ("name", "by", "note", "plan")} == {**BODY}
    assert got.headers["etag"] == put.headers["etag"]
    listed = client.get("/v1/scenarios").json()["scenarios"]
    assert [(one["id"], one["run"]["delta"]) for one in listed] == [("growth", saved["run"]["delta"])]
    assert client.delete("/v1/scenarios/growth").status_code == 204
    assert client.get("/v1/scenarios").json() == {"scenarios": []}
    assert problem_of(client.get("/v1/scenarios/growth"))["status"] == 404
    assert problem_of(client.delete("/v1/scenarios/growth"))["status"] == 404


def test_every_save_of_a_changed_plan_is_a_version_and_old_ones_stay_readable(client: TestClient) -> None:
    client.put("/v1/scenarios/growth", json=BODY)
    again = client.put("/v1/scenarios/growth", json=BODY)
    assert (again.status_code, again.json()["version"], again.json()["is_new"]) == (200, 1, False)
    changed = client.put("/v1/scenarios/growth", json=plan_with(factor=3.0))
    assert (changed.status_code, changed.json()["version"], changed.json()["is_new"]) == (200, 2, True)
    assert client.get("/v1/scenarios/growth?version=1").json()["plan"] == PLAN
    assert client.get("/v1/scenarios/growth").json()["plan"]["levers"][0]["factor"] == 3.0
    versions = client.get("/v1/scenarios/growth/versions").json()["versions"]
    assert [(one["version"], len(one["runs"])) for one in versions] == [(2, 1), (1, 1)]
    assert versions[0]["runs"][0]["delta"]["mean"] == pytest.approx(2 * versions[1]["runs"][0]["delta"]["mean"], rel=1e-6)
    problem = problem_of(client.get("/v1/scenarios/growth?version=3"))
    assert (problem["status"], problem["errors"][0]["field"], problem["errors"][0]["allowed"]) == (404, "version", "1 to 2")
    assert problem_of(client.get("/v1/scenarios/growth?version=0"))["status"] == 422


def test_tags_spare_a_transfer_and_guard_against_lost_updates(client: TestClient) -> None:
    first = client.put("/v1/scenarios/growth", json=BODY, headers={"If-None-Match": "*"})
    assert first.status_code == 201
    tag = first.headers["etag"]
    assert client.get("/v1/scenarios/growth", headers={"If-None-Match": tag}).status_code == 304
    assert problem_of(client.put("/v1/scenarios/growth", json=plan_with(factor=4), headers={"If-None-Match": "*"}))["status"] == 412
    second = client.put("/v1/scenarios/growth", json=plan_with(factor=3.0), headers={"If-Match": tag})
    assert second.status_code == 200
    assert second.headers["etag"] != tag
    lost = client.put("/v1/scenarios/growth", json=plan_with(factor=5.0), headers={"If-Match": tag})
    assert problem_of(lost)["errors"][0]["field"] == "If-Match"
    assert lost.status_code == 412
    assert client.get("/v1/scenarios/growth", headers={"If-None-Match": tag}).status_code == 200
    assert client.delete("/v1/scenarios/growth", headers={"If-Match": tag}).status_code == 412
    assert problem_of(client.put("/v1/scenarios/other", json=BODY, headers={"If-Match": tag}))["status"] == 412
    assert client.delete("/v1/scenarios/growth", headers={"If-Match": second.headers["etag"]}).status_code == 204


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "plan"),
        ({"plan": []}, 422, "plan"),
        ({"plan": {}}, 422, "start"),
        ({"plan": PLAN, "nme": ""}, 422, "nme"),
        ({"plan": {**PLAN, "nme": ""}}, 422, "nme"),
        (plan_with(scope="team=adz"), 422, "levers[0].scope"),
        (plan_with(factor=-1), 422, "levers[0].factor"),
        (plan_with(fctor=2), 422, "levers[0].fctor"),
        ({"plan": {**PLAN, "period": "2040-Q1"}}, 422, None),
        ({"plan": {**PLAN, "levers": PLAN["levers"] * 51}}, 422, "levers"),
        ({"plan": {**PLAN, "name": "x" * 300_000}}, 422, "plan"),
        ({"plan": PLAN, "note": "x" * 1001}, 422, "note"),
    ],
)
def test_what_cannot_be_saved_is_named_and_nothing_is_kept(client: TestClient, body: Any, status: int, field: str | None) -> None:
    problem = problem_of(client.put("/v1/scenarios/growth", json=body))
    assert problem["status"] == status, problem
    if field is not None:
        assert field in str(problem["errors"][0]["field"]) or field in problem["errors"][0]["message"], problem
    assert client.get("/v1/scenarios").json() == {"scenarios": []}


def test_names_that_cannot_be_and_the_nearest_of_those_that_are(client: TestClient) -> None:
    assert problem_of(client.put("/v1/scenarios/a%20b", json=BODY))["errors"][0]["field"] == "id"
    client.put("/v1/scenarios/growth", json=BODY)
    for path in ("grwth", "grwth/versions", "grwth/changes", "grwth/actual"):
        assert "nearest: growth" in problem_of(client.get(f"/v1/scenarios/{path}"))["detail"]
    assert "nearest: growth" in problem_of(client.post("/v1/scenarios/grwth/run"))["detail"]


def test_a_run_is_the_what_if_answer_of_its_plan(client: TestClient) -> None:
    client.put("/v1/scenarios/growth", json=BODY)
    client.put("/v1/scenarios/growth", json=plan_with(factor=3.0))
    ran = client.post("/v1/scenarios/growth/run").json()
    asked = client.post("/v1/whatif", json=plan_with(factor=3.0)["plan"]).json()
    assert {name: ran[name] for name in ("baseline", "scenario", "delta", "rows", "levers")} == {
        name: asked[name] for name in ("baseline", "scenario", "delta", "rows", "levers")
    }
    assert (ran["scenario_id"], ran["version"], ran["name"]) == ("growth", 2, "Traffic doubles")
    old = client.post("/v1/scenarios/growth/run", json={"version": 1, "granularity": "month", "group_by": []}).json()
    assert old["version"] == 1
    assert [row["start"] for row in old["rows"]] == ["2027-01-01", "2027-02-01", "2027-03-01"]
    assert problem_of(client.post("/v1/scenarios/growth/run", json={"version": 9}))["status"] == 404
    assert problem_of(client.post("/v1/scenarios/growth/run", json={"snapshot_id": "ab" * 32}))["status"] == 404


def test_a_run_on_a_newer_snapshot_shows_what_changed_and_what_happened(home: Settings) -> None:
    with serving(home) as client:
        first = client.put("/v1/scenarios/growth", json=BODY).json()["run"]
        assert "no day of the plan" in problem_of(client.get("/v1/scenarios/growth/actual"))["detail"]
        newest = later_snapshot(home)
        assert client.post("/v1/scenarios/growth/run").json()["snapshot_id"] == newest.id
        changes = client.get("/v1/scenarios/growth/changes").json()
        assert (changes["before"]["snapshot_id"], changes["after"]["snapshot_id"]) == (first["snapshot_id"], newest.id)
        assert changes["before"]["delta"] == first["delta"]
        assert (changes["remaining"]["start"], changes["days_passed"]) == ("2027-02-15", 45)
        named = client.get(f"/v1/scenarios/growth/changes?since={newest.id[:8]}").json()
        assert set(named["change"]["delta"].values()) == {0.0}
        actual = client.get("/v1/scenarios/growth/actual?group_by=provider").json()
        assert (actual["start"], actual["end"], actual["made_on"]["snapshot_id"]) == ("2027-01-01", "2027-02-15", first["snapshot_id"])
        assert actual["effect"]["mean"] == pytest.approx(actual["actual"]["cost"] - actual["baseline"]["mean"])
        assert [row["group"]["provider"] for row in actual["rows"]] == ["anthropic", "aws", "openai"]
        runs = client.get("/v1/scenarios/growth/versions").json()["versions"][0]["runs"]
        assert [run["snapshot_id"] for run in runs] == [first["snapshot_id"], newest.id]
        assert problem_of(client.get("/v1/scenarios/growth/changes?since=zz"))["status"] == 422
        assert problem_of(client.get(f"/v1/scenarios/growth/changes?since={'ab' * 8}"))["status"] == 404
        # A version that was never run on the older snapshot is run there when it is asked for.
        client.put("/v1/scenarios/growth", json=plan_with(factor=3.0))
        later = client.get(f"/v1/scenarios/growth/changes?since={first['snapshot_id']}").json()
        assert later["before"]["delta"]["mean"] == pytest.approx(2 * first["delta"]["mean"], rel=1e-6)


def test_answers_are_what_the_description_says_and_the_page_tells_every_field(home: Settings) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/http-scenarios.md").read_text(encoding="utf-8")
    with serving(home) as client:
        client.put("/v1/scenarios/growth", json=BODY)
        later_snapshot(home)
        goal = {"lever": 0, "field": "factor", "low": 0.5, "high": 2, "figure": "mean", "aim": "minimise"}
        found: dict[type[Answer], Any] = {
            ScenarioAnswer: client.get("/v1/scenarios/growth").json(),
            ScenarioList: client.get("/v1/scenarios").json(),
            VersionList: client.get("/v1/scenarios/growth/versions").json(),
            ScenarioRunAnswer: client.post("/v1/scenarios/growth/run").json(),
            ChangesAnswer: client.get("/v1/scenarios/growth/changes").json(),
            ActualAnswer: client.get("/v1/scenarios/growth/actual").json(),
            Comparison: client.post("/v1/whatif", json={**PLAN, "compare_to": "base"}).json()["compare"],
            GoalAnswer: client.post("/v1/whatif/goal", json={"scenario_id": "growth", "goal": goal}).json(),
        }
    for model, answer in found.items():
        model.model_validate(answer)
    told = (ScenarioAnswer, ChangesAnswer, ActualAnswer, Comparison, ComparedScenario, GoalAnswer, RunBody, GoalRequest)
    names = {name for model in told for name in model.model_fields} - set(Heading.model_fields) - set(PeriodChoice.model_fields)
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", page)] == []


def test_what_was_said_stays_when_the_paths_are_gone(home: Settings) -> None:
    with serving(home) as client:
        first = client.put("/v1/scenarios/growth", json=BODY).json()["run"]
    newest = add_snapshot(home, make_snapshot(seed=1, cutoff=date(2027, 3, 10), history_days=290), created_at=NOW + timedelta(days=90))
    SnapshotStore(home.snapshots_folder).prune(keep=1)
    with serving(home) as client:
        changes = client.get("/v1/scenarios/growth/changes").json()
        assert (changes["before"]["delta"], changes["after"]["snapshot_id"]) == (first["delta"], newest.id)
        assert changes["remaining"] is None
        actual = client.get("/v1/scenarios/growth/actual").json()
        assert (actual["start"], actual["end"]) == ("2027-01-01", "2027-03-01")
        assert any("only their means add up" in text for text in actual["warnings"])


def test_a_plan_is_kept_before_the_first_training_and_asked_for_a_run_later(tmp_path: Path) -> None:
    with serving(load_settings(home=tmp_path / "home")) as client:
        put = client.put("/v1/scenarios/growth", json=BODY)
        assert (put.status_code, put.json()["run"]) == (201, None)
        assert client.get("/v1/scenarios").json()["scenarios"][0]["run"] is None
        assert problem_of(client.post("/v1/scenarios/growth/run"))["status"] == 503
        assert problem_of(client.put("/v1/scenarios/other", json=plan_with(factor=-1)))["status"] == 422


def test_a_what_if_question_stands_beside_saved_scenarios(client: TestClient) -> None:
    client.put("/v1/scenarios/double", json=BODY)
    client.put("/v1/scenarios/half", json=plan_with(factor=0.5))
    asked = {**PLAN, "compare_to": ["half", "double", "base"]}
    answer = client.post("/v1/whatif", json=asked).json()
    scenarios = {one["id"]: one for one in answer["compare"]["scenarios"]}
    assert list(scenarios) == ["this plan", "half", "double", "base"]
    assert scenarios["this plan"]["scenario"] == answer["scenario"]
    assert scenarios["double"]["against_first"]["mean"] == 0.0
    assert scenarios["half"]["against_first"]["probability_cheaper"] == 1.0
    assert scenarios["base"]["delta"]["mean"] == 0.0
    assert "compare" not in client.post("/v1/whatif", json=PLAN).json()
    assert client.post("/v1/whatif", json={**PLAN, "compare_to": "half"}).json()["compare"]["best"]["mean"] == "half"
    # A scenario that is saved anew is compared as it is now, not as it was when the question was answered first.
    client.put("/v1/scenarios/half", json=plan_with(factor=0.25))
    again = client.post("/v1/whatif", json=asked).json()["compare"]["scenarios"][1]
    assert (again["version"], again["delta"]["mean"] < scenarios["half"]["delta"]["mean"]) == (2, True)


@pytest.mark.parametrize(
    ("compare_to", "status", "field", "told"),
    [
        (["haf"], 404, "compare_to[0]", "nearest: half"),
        ([f"s{number}" for number in range(11)], 422, "compare_to", "names 11 scenarios"),
        (["half", "half"], 422, "compare_to[1]", "twice"),
        (["a b"], 422, "compare_to[0]", "is not one"),
        (7, 400, "compare_to", "neither"),
        ([7], 400, "compare_to", "neither"),
    ],
)
def test_what_cannot_be_compared_with_is_named(client: TestClient, compare_to: Any, status: int, field: str, told: str) -> None:
    client.put("/v1/scenarios/half", json=plan_with(factor=0.5))
    problem = problem_of(client.post("/v1/whatif", json={**PLAN, "compare_to": compare_to}))
    assert (problem["status"], field in problem["errors"][0]["field"], told in problem["detail"]) == (status, True, True), problem
