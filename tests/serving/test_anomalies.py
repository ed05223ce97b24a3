"""Rows over real HTTP: what is wrong with them is said, what is odd is answered, and incidents that are over are resolved."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from forecast.adapters.records import Records
from forecast.config import Settings
from tests.serving.homes import make_home, problem_of

ROOT = Path(__file__).resolve().parents[2]
CUTOFF = date(2026, 5, 10)
"""Long over, whatever the clock says: days after it are billed."""
NEXT = CUTOFF + timedelta(days=1)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_home(tmp_path_factory.mktemp("rows") / "home", cutoff=CUTOFF)


@pytest.fixture(scope="module")
def rules(served: Settings) -> Path:
    """The file of sensitivity rules of the service; empty but where a test writes to it."""
    file = served.home / "sensitivity.toml"
    file.write_text("", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def http(served: Settings, rules: Path) -> Iterator[httpx.Client]:
    """A client of the service in a process and on a socket of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "uvicorn", "--factory", "tests.serving.homes:service_app", "--port", str(port)]
    environment = {**os.environ, "FORECAST_HOME": str(served.home), "FORECAST_SENSITIVITY": str(rules)}
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as client:
            _wait_for(client, process)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30.0)


def _wait_for(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 90.0
    while time.monotonic() < until:
        assert process.poll() is None, "the service has ended"
        with suppress(httpx.TransportError):
            client.get("/v1/incidents")
            return
        time.sleep(0.2)
    pytest.fail("the service does not answer")


@pytest.fixture(autouse=True)
def forget(served: Settings) -> Iterator[None]:
    yield
    records = Records(served.records_address)
    with records._writers.begin() as connection:
        connection.exec_driver_sql("DELETE FROM incidents")
    records.close()


def row(scope: str, cost: float, days: int = 0) -> dict[str, Any]:
    return {"scope": scope, "timestamp": (NEXT + timedelta(days=days)).isoformat(), "cost": cost}


def ask(http: httpx.Client, rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    response = http.post("/v1/anomalies", json={"rows": rows, **more})
    assert response.status_code == 200, response.text[:500]
    found: dict[str, Any] = response.json()
    assert len(found["rows"]) == len(rows)
    return found


def usual(http: httpx.Client, scope: str, days: int = 0) -> float:
    return float(ask(http, [row(scope, 1.0, days)])["rows"][0]["expected"])


def test_duplicate_rows_are_answered_each_and_their_money_counts_once(http: httpx.Client) -> None:
    once = ask(http, [row("team=ads", 90_000.0)])
    twice = ask(http, [row("team=ads", 90_000.0)] * 3)
    assert [found["is_anomaly"] for found in twice["rows"]] == [True] * 3
    assert twice["incidents"] == once["incidents"]


def test_order_of_rows_changes_nothing_but_the_order_of_answers(http: httpx.Client) -> None:
    rows = [row("team=ads", 50_000.0 + day, day) for day in range(4)] + [row("team=search", 1000.0, 2), row("", 40_000.0, -30)]
    plain, mixed = ask(http, rows), ask(http, rows[::-1])
    assert mixed["rows"][::-1] == plain["rows"]
    assert mixed["incidents"] == plain["incidents"]


def test_future_dated_rows_are_answered_and_marked_and_settle_nothing(http: httpx.Client) -> None:
    (opened,) = ask(http, [row("team=ads", 90_000.0)], commit=True)["incidents"]
    far = {"scope": "team=ads", "timestamp": "2199-01-01", "cost": 10.0}
    (found,) = ask(http, [far], commit=True)["rows"]
    assert found["derived"] == "beyond"
    assert http.get(f"/v1/incidents/{opened['id']}").json()["status"] == "open"


def test_negative_costs_are_credits_and_judged_as_falls(http: httpx.Client) -> None:
    answer = ask(http, [row("team=ads", -30_000.0), row("team=ads", -0.0, 1)])
    assert answer["rows"][0]["is_anomaly"]
    assert answer["rows"][0]["direction"] == "down"
    assert answer["incidents"][0]["kind"] == "drop"


@pytest.mark.parametrize("cost", ["NaN", "Infinity", "-Infinity", "null", '"12"', "true", "1e400"])
def test_costs_that_are_no_money_are_refused_with_their_place(http: httpx.Client, cost: str) -> None:
    good = json.dumps(row("team=ads", 5.0))
    body = f'{{"rows": [{good}, {{"scope": "team=ads", "timestamp": "{NEXT}", "cost": {cost}}}], "commit": true}}'
    response = http.post("/v1/anomalies", content=body, headers={"content-type": "application/json"})
    problem = problem_of(response)
    assert problem["status"] in (400, 422)
    if problem["status"] == 422:
        assert problem["errors"][0]["field"].startswith("rows.1.cost")
    assert http.get("/v1/incidents").json()["incidents"] == [], "all rows or none"


def test_rows_before_the_first_day_of_spend_are_refused_with_their_place(http: httpx.Client) -> None:
    problem = problem_of(http.post("/v1/anomalies", json={"rows": [row("", 5.0), {"scope": "", "timestamp": "1970-01-01", "cost": 1.0}]}))
    assert problem["status"] in (400, 422)
    assert problem["errors"][0]["field"] == "rows[1].timestamp"


def test_ten_thousand_unknown_series_are_answered_by_their_parent_in_bounded_time(http: httpx.Client) -> None:
    rows = [row(f"team=stranger-{number}", number / 50.0) for number in range(10_000)]
    started = time.perf_counter()
    answer = ask(http, rows)
    assert time.perf_counter() - started < 8.0, "goal is 1 s on a quiet machine"
    assert {found["derived"] for found in answer["rows"]} == {"parent"}
    assert [found["cost"] for found in answer["rows"]] == [line["cost"] for line in rows]
    problem = problem_of(http.post("/v1/anomalies", json={"rows": [*rows, row("", 1.0)]}))
    assert problem["status"] in (413, 422)


def test_unknown_series_id_is_named(http: httpx.Client) -> None:
    problem = problem_of(http.post("/v1/anomalies", json={"rows": [{"series": "aws|nowhere", "timestamp": str(NEXT), "cost": 1.0}]}))
    assert problem["status"] in (404, 422)


def test_clock_that_jumps_back_between_calls_does_not_change_the_answer(http: httpx.Client) -> None:
    """Scores are of days and not of calls: a late day after a later one is judged as if it had come first."""
    first = ask(http, [row("team=ads", 3000.0, 0)])
    ask(http, [row("team=ads", 90_000.0, 5)], commit=True)
    assert ask(http, [row("team=ads", 3000.0, 0)]) == first


def test_incident_is_resolved_by_normal_days_that_are_sent_after_it(http: httpx.Client) -> None:
    normal = usual(http, "team=ads", 3)
    (opened,) = ask(http, [row("team=ads", 90_000.0), row("team=search", 90_000.0)], commit=True)["incidents"][:1]
    scope = ",".join(f"{name}={value}" for name, value in opened["scope"].items())
    status = [http.get(f"/v1/incidents/{opened['id']}").json()["status"]]
    for day in (1, 2):
        ask(http, [row(scope, usual(http, scope, day), day)], commit=True)
        status.append(http.get(f"/v1/incidents/{opened['id']}").json()["status"])
    assert status == ["open", "open", "resolved"]
    others = [found for found in http.get("/v1/incidents").json()["incidents"] if found["id"] != opened["id"]]
    assert all(found["status"] == "open" for found in others), "nobody said anything of these"
    assert normal > 0.0


def test_without_commit_normal_days_resolve_nothing(http: httpx.Client) -> None:
    (opened,) = ask(http, [row("team=ads", 90_000.0)], commit=True)["incidents"]
    ask(http, [row("team=ads", usual(http, "team=ads", 4), 4)])
    assert http.get(f"/v1/incidents/{opened['id']}").json()["status"] == "open"


def test_rules_of_the_setting_decide_what_is_kept(http: httpx.Client, rules: Path) -> None:
    rows = [row("team=ads", 90_000.0), row("team=search", 90_000.0)]
    rules.write_text('[[rule]]\nscope = "team=ads"\nignore = true\n', encoding="utf-8")
    try:
        answer = ask(http, rows, commit=True)
        assert [found["scope"] for found in answer["incidents"]] == [{"team": "search"}]
        assert [found["is_anomaly"] for found in answer["rows"]] == [False, True]
        rules.write_text("[[rule]]\nwhere = 1\n", encoding="utf-8")
        problem = problem_of(http.post("/v1/anomalies", json={"rows": rows}))
        assert problem["status"] >= 500, "the operator's mistake, not the caller's"
    finally:
        rules.write_text("", encoding="utf-8")
