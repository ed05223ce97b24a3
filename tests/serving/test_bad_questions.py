"""Clumsy and hostile callers of the anomaly, incident and scenario routes: what is wrong is said with its place, and nothing is kept of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from forecast.config import Settings
from forecast.scenarios.kinds import KINDS, Kind, example
from forecast.serving.bodies import MOST_WRITTEN
from tests.serving.homes import TestClient, problem_of
from tests.snapshots_for_tests import CUTOFF

NEXT = (CUTOFF + timedelta(days=1)).isoformat()
DAYS: dict[str, Any] = {"start": "2027-01-01", "end": "2027-04-01"}
LEVER: dict[str, Any] = {"type": "scale_usage", "name": "traffic", "scope": "team=ads", "factor": 2}
GOAL: dict[str, Any] = {"lever": "traffic", "field": "factor", "low": 1, "high": 5, "figure": "mean", "aim": "minimise"}


@pytest.fixture
def kept(home: Settings) -> Iterator[Any]:
    """What the tables hold of incidents and scenarios; emptied when the test is over."""
    engine = sa.create_engine(home.records_address)
    tables = ("incident_feedback", "incidents", "scenario_runs", "scenario_versions", "scenarios")

    def read() -> dict[str, list[Any]]:
        with engine.connect() as connection:
            return {name: [tuple(row) for row in connection.execute(sa.text(f"SELECT * FROM {name}"))] for name in tables}

    yield read
    with engine.begin() as connection:
        for name in tables:
            connection.execute(sa.text(f"DELETE FROM {name}"))
    engine.dispose()


def row(scope: str, cost: float, at: str = NEXT) -> dict[str, Any]:
    return {"scope": scope, "timestamp": at, "cost": cost}


def fault_of(response: Any) -> tuple[int, str | None]:
    """Status and field of a problem, whose first fault says what is allowed."""
    problem = problem_of(response)
    assert problem["errors"][0]["allowed"], problem
    return problem["status"], problem["errors"][0]["field"]


WRONG: tuple[Any, ...] = (-1, 10**400, "", "team=nobody", "9999-12-31", {"team": 5})
WRONG += ({"expected": 1, "low": 2, "high": 0.5}, {"expected": 0.5, "low": 0.2, "high": 0.9})


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_lever_with_any_wrong_value_is_answered_or_refused_by_name(client: TestClient, kind: Kind) -> None:
    for lever in (example(kind, way) for way in range(max(1, len(kind.ways)))):
        for name in (*kind.field_names, "scope", "from"):
            for value in WRONG:
                response = client.post("/v1/whatif", json={**DAYS, "levers": [{**lever, name: value}]})
                if response.status_code == 200:
                    assert all(response.json()[part][figure] is not None for part in ("scenario", "delta") for figure in ("mean", "p10", "p90"))
                else:
                    status, field = fault_of(response)
                    assert (status, str(field)[:9]) == (422, "levers[0]"), (lever, name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("low", 10**400), ("high", 10**400), ("low", "1"), ("high", None), ("budget", 5), ("limit", 10**400), ("points", 10**30), ("points", 2)),
        *(("lever", "a" * 1_000_000), ("lever", 7), ("lever", True), ("field", "ramp"), ("figure", "means"), ("aim", "least"), ("perhaps", 1)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_goal_with_a_wrong_value_is_refused_by_name(client: TestClient, name: str, value: Any) -> None:
    status, field = fault_of(client.post("/v1/whatif/goal", json={**DAYS, "levers": [LEVER], "goal": {**GOAL, name: value}}))
    assert (status, field) == (422, f"goal.{name}")


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        ({"name": 5}, "name"),
        ({"name": "a\x1b[2J"}, "name"),
        ({"name": "x" * 5000}, "name"),
        ({"compare_to": 5}, "compare_to"),
        ({"scope": 5}, "scope"),
        ({"scope": {"team": 5}}, "scope"),
        ({"scope": {"team": {"ads": 1}}}, "scope"),
        ({"scope": "team=\x00"}, "scope"),
        ({"start": [], "end": "2027-01-01"}, "start"),
        ({"period": ["2027-Q1"], "start": None, "end": None}, "period"),
        ({"levers": [{**LEVER, "name": "\x1b"}]}, "levers[0].name"),
        ({"levers": [{"type": "grow", "percent_a_month": 1000, "from": "0001-01-01"}]}, "levers[0].from"),
        ({"levers": [{"type": "change_price", "factor": 1e6}, {"type": "scale_usage", "factor": 1e6, "elasticity": 3}] * 25}, "levers"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_plan_that_cannot_be_is_not_kept(client: TestClient, kept: Any, plan: dict[str, Any], field: str) -> None:
    before = kept()
    response = client.put("/v1/scenarios/bad", json={"plan": {**DAYS, "levers": [LEVER], **plan}})
    assert fault_of(response) == (422, field)
    assert kept() == before


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/v1/anomalies", {"rows": [row("team=ads", 1.0)] * 7 + [row("team", 1.0)]}, 400, "rows.7.scope"),
        ("/v1/anomalies", {"rows": [row("team=ads", 1.0), {"scope": {"team": 5}, "timestamp": NEXT, "cost": 1}]}, 400, "rows.1.scope.team"),
        ("/v1/anomalies", {"rows": [row("team=ads", 1.0), row("team=\x7f", 1.0)]}, 400, "rows.1.scope"),
        ("/v1/anomalies", {"rows": [row("team=ads", 1.0, "now")]}, 400, "rows.0.timestamp"),
        ("/v1/anomalies", {"rows": [row("team=ads", 1.0), {"series": "aws|x", "timestamp": NEXT, "cost": 1}]}, 404, "rows[1].series"),
        ("/v1/anomalies", {"rows": [{"series": "a\x1b|b", "timestamp": NEXT, "cost": 1}]}, 422, "rows.0.series"),
        ("/v1/anomalies", {"rows": []}, 422, "rows"),
        ("/v1/anomalies?commit=true", {"rows": [row("team=ads", 90_000.0)]}, 422, "commit"),
        ("/v1/whatif", {**DAYS, "group_by": ["team", "team"]}, 400, "group_by"),
        ("/v1/whatif", {**DAYS, "levers": [None]}, 422, "levers.0"),
        ("/v1/incidents/nobody/feedback", {"verdict": "expected", "until": "x"}, 400, "until"),
        ("/v1/incidents/nobody/feedback", {"verdict": "expected", "until": "9999-12-31"}, 400, "until"),
        ("/v1/incidents/nobody/feedback", {"verdict": "expected", "reason": "\x1b[31m"}, 422, "reason"),
        ("/v1/incidents/nobody/resolve", {"why": "\x00"}, 422, "why"),
        ("/v1/scenarios/nobody/run", {"version": "1"}, 422, "version"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_fault_is_told_with_its_whole_place(client: TestClient, kept: Any, path: str, body: Any, status: int, field: str) -> None:
    before = kept()
    assert fault_of(client.post(path, json=body)) == (status, field)
    assert kept() == before


def test_one_faulty_row_is_one_fault(client: TestClient) -> None:
    problem = problem_of(client.post("/v1/anomalies", json={"rows": [row("team=ads", 1.0, "now")]}))
    assert len(problem["errors"]) == 1


@pytest.mark.parametrize(
    "address",
    [
        *("/v1/incidents?statuss=open", "/v1/incidents/x?shap=aws", "/v1/scenarios?limit=5", "/v1/scenarios/x?versions=1", "/v1/budgets?scope=x"),
        *("/v1/accuracy?scop=team%3Dads", "/v1/events?x=", "/v1/drivers?%00=1"),
    ],
)
def test_query_parameter_that_is_not_known_is_refused_and_not_ignored(client: TestClient, address: str) -> None:
    name = address.split("?")[1].split("=")[0].replace("%00", "\x00")
    assert fault_of(client.get(address)) == (422, name)


def test_name_that_stands_twice_is_refused_where_a_hand_may_have_written_it(client: TestClient) -> None:
    twice = b'{"rows": [{"scope": "team=ads", "timestamp": "2026-12-11", "cost": 1, "cost": 90000}]}'
    assert fault_of(client.post("/v1/anomalies", content=twice)) == (400, "cost")
    long = twice.replace(b'"rows"', b'"rows": [], "rows"').replace(b"team=ads", b"team=ads" + b" " * 3000) + b" " * MOST_WRITTEN
    assert client.post("/v1/anomalies", content=long).status_code == 200


def test_body_that_is_packed_is_refused_as_such(client: TestClient) -> None:
    response = client.post("/v1/whatif", json=DAYS, headers={"Content-Encoding": "gzip"})
    assert fault_of(response) == (415, "Content-Encoding")


@pytest.mark.parametrize(
    "cursor",
    [
        *(["0001-01-01T00:00:00+14:00", "inc-1", "x"], ["9999-12-31T23:59:59-14:00", "inc-1", "x"], ["2026-12-11", "\ud800", "x"], [None] * 3),
        *({"a": 1, "b": 2, "c": 3}, "abc", 5, [[]], ["2026-12-11", 5, "x"], ["2026-12-11", "inc-1"]),
    ],
    ids=str,
)
def test_cursor_that_somebody_made_up_is_refused(client: TestClient, cursor: Any) -> None:
    text = base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")
    assert fault_of(client.get(f"/v1/incidents?cursor={text}")) == (400, "cursor")


def test_cursor_that_is_deeper_than_a_reader_goes_is_refused(client: TestClient) -> None:
    text = base64.urlsafe_b64encode(b"[" * 740).decode()
    assert fault_of(client.get(f"/v1/incidents?cursor={text}")) == (400, "cursor")


def test_precondition_that_fails_is_named_by_its_header(client: TestClient, kept: Any) -> None:
    plan = {"plan": {**DAYS, "levers": [LEVER]}}
    assert client.put("/v1/scenarios/taken", json=plan).status_code == 201
    before = kept()
    assert fault_of(client.put("/v1/scenarios/taken", json=plan, headers={"If-None-Match": "*"})) == (412, "If-None-Match")
    assert fault_of(client.put("/v1/scenarios/taken", json=plan, headers={"If-Match": '"x"'})) == (412, "If-Match")
    assert fault_of(client.delete("/v1/scenarios/taken", headers={"If-Match": '"x"'})) == (412, "If-Match")
    assert kept() == before


def test_row_of_an_unknown_series_gets_the_cold_start_answer(client: TestClient) -> None:
    leaf = client.get("/v1/snapshots").json()["snapshots"][0]["id"]
    dimensions = client.get(f"/v1/snapshots/{leaf}").json()["dimensions"]
    series = "|".join(f"new {name}" for name in dimensions)
    answer = client.post("/v1/anomalies", json={"rows": [{"series": series, "timestamp": NEXT, "cost": 10.0}]}).json()
    (found,) = answer["rows"]
    assert found["derived"] == "parent"
    assert found["scope"] == ",".join(f"{name}=new {name}" for name in sorted(dimensions))
    same = client.post("/v1/anomalies", json={"rows": [row(found["scope"], 10.0)]}).json()["rows"]
    assert same == [found]


def test_last_of_rows_that_contradict_each_other_counts_and_the_others_are_marked(client: TestClient) -> None:
    costs = (90_000.0, 80_000.0, 80_000.0, 10.0)
    alone = client.post("/v1/anomalies", json={"rows": [row("team=ads", 10.0)]}).json()
    answer = client.post("/v1/anomalies", json={"rows": [row("team=ads", cost) for cost in costs]}).json()
    assert [found.get("replaced", False) for found in answer["rows"]] == [True, True, True, False]
    assert [found["is_anomaly"] for found in answer["rows"][:3]] == [True] * 3
    assert [found["incident"] for found in answer["rows"][:3]] == [None] * 3
    assert answer["rows"][3] == alone["rows"][0]
    assert answer["incidents"] == alone["incidents"]
    late = client.post("/v1/anomalies", json={"rows": [row("team=ads", 10.0), row("team=ads", 90_000.0, f"{NEXT}T05:00Z")]}).json()
    assert [found["incident"] for found in late["rows"]] == [None, late["incidents"][0]["id"]]
    assert [incident["actual"] for incident in late["incidents"]] == [90_000.0]
