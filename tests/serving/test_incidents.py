"""Incidents over HTTP: kept only when asked for, listed in pages, looked at, resolved, judged, and told in the shapes of other programs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from forecast.alerts.payloads import SHAPES, media_type
from forecast.config import Settings
from forecast.serving.incident_schemas import FeedbackAnswer, IncidentListAnswer, WholeIncidentAnswer
from tests.serving.homes import TestClient, problem_of
from tests.snapshots_for_tests import CUTOFF

NEXT = CUTOFF + timedelta(days=1)


def row(scope: str, cost: float, days: int = 0) -> dict[str, Any]:
    return {"scope": scope, "timestamp": (NEXT + timedelta(days=days)).isoformat(), "cost": cost}


def scored(client: TestClient, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = client.post("/v1/anomalies", json={"rows": list(rows), **more})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def tables(settings: Settings) -> dict[str, list[Any]]:
    """Every row of every table of the records."""
    engine = sa.create_engine(settings.records_address)
    with engine.connect() as connection:
        names = sa.inspect(engine).get_table_names()
        found = {name: [tuple(line) for line in connection.execute(sa.text(f'SELECT * FROM "{name}"'))] for name in sorted(names)}
    engine.dispose()
    return found


@pytest.fixture
def clean(client: TestClient, home: Settings) -> Iterator[TestClient]:
    """The service, with no incident before or after the test."""
    engine = sa.create_engine(home.records_address)

    def forget() -> None:
        with engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM incident_feedback"))
            connection.execute(sa.text("DELETE FROM incidents"))

    forget()
    yield client
    forget()
    engine.dispose()


def test_scoring_without_commit_leaves_the_records_as_they_are_byte_for_byte(clean: TestClient, home: Settings, tmp_path: Path) -> None:
    before = tables(home)
    shutil.copyfile(home.home / "records.db", tmp_path / "before")
    for commit in ({}, {"commit": False}):
        answer = scored(clean, row("team=ads", 90_000), row("", 1.0, 1), row("team=nobody", 50_000), **commit)
        assert answer["incidents"]
    assert tables(home) == before
    assert (home.home / "records.db").read_bytes() == (tmp_path / "before").read_bytes()
    assert clean.get("/v1/incidents").json()["incidents"] == []


def test_commit_keeps_the_incidents_and_answers_the_one_that_each_row_belongs_to(clean: TestClient) -> None:
    usual = scored(clean, row("team=search", 0.0))["rows"][0]["expected"]
    first = scored(clean, row("team=ads", 90_000), row("team=search", usual), commit=True)
    assert first["rows"][1]["incident"] is None
    (incident,) = first["incidents"]
    assert first["rows"][0]["incident"] == incident["id"]
    assert (incident["status"], incident["scope"], incident["suppressed"]) == ("open", {"team": "ads"}, None)
    page = clean.get("/v1/incidents")
    listed = IncidentListAnswer.model_validate_json(page.content)
    assert [found.id for found in listed.incidents] == [incident["id"]]
    assert listed.next_cursor is None
    assert page.json()["incidents"] == [incident]

    # The next day goes on with it, and the same rows again change no money.
    second = scored(clean, row("team=ads", 80_000, 1), commit=True)
    assert second["rows"][0]["incident"] == incident["id"]
    whole = WholeIncidentAnswer.model_validate_json(clean.get(f"/v1/incidents/{incident['id']}").content)
    assert [part["actual"] for part in whole.parts] == [90_000, 80_000]
    assert whole.actual == 170_000
    assert whole.end == (NEXT + timedelta(days=2)).isoformat()
    scored(clean, row("team=ads", 80_000, 1), row("team=ads", 90_000), commit=True)
    again = clean.get(f"/v1/incidents/{incident['id']}").json()
    assert (again["actual"], again["history"]) == (170_000, whole.history)

    # A restated day replaces its money exactly, because detections say their days one by one.
    scored(clean, row("team=ads", 60_000), row("team=ads", 80_000, 1), commit=True)
    restated = clean.get(f"/v1/incidents/{incident['id']}").json()
    assert [part["actual"] for part in restated["parts"]] == [60_000, 80_000]


def test_an_answer_says_its_incident_day_by_day(clean: TestClient) -> None:
    (incident,) = scored(clean, row("team=ads", 90_000), row("team=ads", 80_000, 1))["incidents"]
    assert [(part["start"], part["end"], part["actual"]) for part in incident["parts"]] == [
        (NEXT.isoformat(), (NEXT + timedelta(days=1)).isoformat(), 90_000),
        ((NEXT + timedelta(days=1)).isoformat(), (NEXT + timedelta(days=2)).isoformat(), 80_000),
    ]
    assert sum(part["actual"] - part["expected"] for part in incident["parts"]) == pytest.approx(incident["impact"])


def test_incident_is_acknowledged_resolved_and_reopened(clean: TestClient) -> None:
    (incident,) = scored(clean, row("team=ads", 90_000), commit=True)["incidents"]
    one = f"/v1/incidents/{incident['id']}"
    assert clean.post(f"{one}/acknowledge", json={"by": "özge", "why": "looking"}).json()["status"] == "acknowledged"
    assert clean.post(f"{one}/acknowledge").json()["status"] == "acknowledged"  # once more, without a body, changes nothing
    assert clean.post(f"{one}/resolve", json={"by": "özge"}).json()["status"] == "resolved"
    problem = problem_of(clean.post(f"{one}/acknowledge"))
    assert (problem["status"], problem["errors"][0]["field"], problem["errors"][0]["got"]) == (409, "status", "resolved")
    assert clean.post(f"{one}/reopen", json={"why": "not over"}).json()["status"] == "open"
    history = clean.get(one).json()["history"]
    assert [(step["event"], step["by"], step["why"]) for step in history] == [
        ("opened", "forecast", ""),
        ("acknowledged", "özge", "looking"),
        ("resolved", "özge", ""),
        ("reopened", "", "not over"),
    ]


def test_feedback_suppresses_counts_and_is_undone(clean: TestClient) -> None:
    rows = [row("team=ads", 90_000), row("team=search", 0.0)]
    incidents = scored(clean, *rows, commit=True)["incidents"]
    ads, search = sorted(incidents, key=lambda found: str(found["scope"]["team"]))
    said = clean.post(f"/v1/incidents/{ads['id']}/feedback", json={"verdict": "expected", "reason": "load test", "by": "özge", "days": 10})
    assert said.status_code == 201
    answer = FeedbackAnswer.model_validate_json(said.content)
    assert answer.incident.suppressed is not None
    assert (answer.precision.judged, answer.precision.value) == (1, 0.0)
    clean.post(f"/v1/incidents/{search['id']}/feedback", json={"verdict": "unexpected"})
    page = clean.get("/v1/incidents").json()
    assert page["precision"]["value"] == 0.5
    assert {found["id"]: found["suppressed"] is not None for found in page["incidents"]} == {ads["id"]: True, search["id"]: False}
    assert [found["id"] for found in clean.get("/v1/incidents?suppressed=true").json()["incidents"]] == [ads["id"]]
    again = scored(clean, *rows, commit=True)["incidents"]
    assert {found["id"]: found["feedback"] for found in again} == {ads["id"]: "expected", search["id"]: "unexpected"}

    undone = clean.delete(f"/v1/incidents/{ads['id']}/feedback", params={"by": "özge"})
    assert undone.status_code == 200
    assert (undone.json()["incident"]["suppressed"], undone.json()["precision"]["judged"]) == (None, 1)
    number = undone.json()["entry"]["number"]
    assert clean.delete(f"/v1/incidents/{ads['id']}/feedback/{number}").status_code == 200  # undone already
    assert clean.get(f"/v1/incidents/{ads['id']}").json()["entries"][0]["undone_by"] == "özge"
    assert problem_of(clean.delete(f"/v1/incidents/{ads['id']}/feedback"))["status"] == 404


def test_list_is_filtered_and_comes_in_pages_that_link_to_each_other(clean: TestClient) -> None:
    scored(
        clean,
        *(row(scope, cost, days) for scope, cost, days in (("team=ads", 90_000, 0), ("team=search", 0.0, 5), ("team=research", 0.0, 10))),
        commit=True,
    )

    def teams(**wanted: Any) -> list[str]:
        response = clean.get("/v1/incidents", params=wanted)
        assert response.status_code == 200, response.text
        return [found["scope"]["team"] for found in response.json()["incidents"]]

    assert teams() == ["research", "search", "ads"]
    assert teams(kind="spike") == ["ads"]
    assert teams(kind=["drop", "level_shift"]) == ["research", "search"]
    assert teams(status="open,acknowledged", scope="team=SEARCH") == ["search"]
    assert teams(since=(NEXT + timedelta(days=5)).isoformat(), until=(NEXT + timedelta(days=6)).isoformat()) == ["search"]
    assert teams(severity="critical") == ["ads"]
    assert teams(minimum_impact=50_000) == ["ads"]
    assert teams(suppressed=True) == []
    found, address = [], "/v1/incidents?limit=1&status=open"
    while address:
        page = clean.get(address)
        found += [incident["scope"]["team"] for incident in page.json()["incidents"]]
        link = page.headers.get("Link", "")
        assert bool(link) == (page.json()["next_cursor"] is not None)
        address = link.partition(">")[0].removeprefix("<")
    assert found == ["research", "search", "ads"]


def test_etag_says_whether_a_page_or_an_incident_has_changed(clean: TestClient) -> None:
    (incident,) = scored(clean, row("team=ads", 90_000), commit=True)["incidents"]
    for address in ("/v1/incidents", f"/v1/incidents/{incident['id']}"):
        etag = clean.get(address).headers["ETag"]
        unchanged = clean.get(address, headers={"If-None-Match": f'"other", W/{etag}'})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", etag)
        clean.post(f"/v1/incidents/{incident['id']}/acknowledge")
        clean.post(f"/v1/incidents/{incident['id']}/resolve")
        clean.post(f"/v1/incidents/{incident['id']}/reopen")
        clean.post(f"/v1/incidents/{incident['id']}/feedback", json={"verdict": "unexpected"})
        assert clean.get(address, headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize("shape", list(SHAPES))
def test_incident_is_told_in_each_shape_with_one_key(clean: TestClient, shape: str) -> None:
    (incident,) = scored(clean, row("team=ads", 90_000), commit=True)["incidents"]
    response = clean.get(f"/v1/incidents/{incident['id']}", params={"shape": shape})
    assert response.headers["content-type"] == media_type(shape)
    assert incident["id"] in response.text


def test_cloud_event_is_had_by_its_media_type(clean: TestClient) -> None:
    (incident,) = scored(clean, row("team=ads", 90_000), commit=True)["incidents"]
    address = f"/v1/incidents/{incident['id']}"
    event = clean.get(address, headers={"Accept": "application/cloudevents+json, application/json;q=0.5"})
    assert event.headers["content-type"] == "application/cloudevents+json"
    assert (event.json()["specversion"], event.json()["subject"]) == ("1.0", incident["id"])
    plain = clean.get(address, headers={"Accept": "application/json, application/cloudevents+json"})
    assert plain.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "address", "body", "status", "field"),
    [
        ("GET", "/v1/incidents?status=closed", None, 400, "status"),
        ("GET", "/v1/incidents?severity=awful", None, 400, "severity"),
        ("GET", "/v1/incidents?since=yesterday", None, 400, "since"),
        ("GET", "/v1/incidents?until=9999999999999", None, 400, "until"),
        ("GET", "/v1/incidents?minimum_impact=-1", None, 400, "minimum_impact"),
        ("GET", "/v1/incidents?minimum_impact=nan", None, 400, "minimum_impact"),
        ("GET", "/v1/incidents?suppressed=perhaps", None, 422, "suppressed"),
        ("GET", "/v1/incidents?limit=0", None, 400, "limit"),
        ("GET", "/v1/incidents?limit=many", None, 422, "limit"),
        ("GET", "/v1/incidents?cursor=abc", None, 400, "cursor"),
        ("GET", "/v1/incidents/inc-nobody", None, 404, "id"),
        ("GET", "/v1/incidents/%00", None, 404, "id"),
        ("POST", "/v1/incidents/inc-nobody/acknowledge", {}, 404, "id"),
        ("POST", "/v1/incidents/inc-nobody/resolve", {"colour": "red"}, 422, "colour"),
        ("POST", "/v1/incidents/inc-nobody/reopen", {"by": "nul \x00 byte"}, 422, "by"),
        ("POST", "/v1/incidents/inc-nobody/feedback", {"verdict": "fine"}, 422, "verdict"),
        ("POST", "/v1/incidents/inc-nobody/feedback", {"verdict": "expected", "days": 1e9}, 422, "days"),
        ("POST", "/v1/incidents/inc-nobody/feedback", {"verdict": "expected"}, 404, "id"),
        ("DELETE", "/v1/incidents/inc-nobody/feedback", None, 404, "id"),
        ("DELETE", "/v1/incidents/inc-nobody/feedback/first", None, 422, "number"),
        ("POST", "/v1/anomalies", {"rows": [row("team=ads", 1.0)], "commit": "yes"}, 422, "commit"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(clean: TestClient, method: str, address: str, body: Any, status: int, field: str) -> None:
    response = clean.request(method, address, json=body)
    problem = problem_of(response)
    assert (problem["status"], problem["errors"][0]["field"]) == (status, field)


def test_feedback_that_contradicts_itself_or_a_shape_that_is_none_is_refused(clean: TestClient) -> None:
    (incident,) = scored(clean, row("team=ads", 90_000), commit=True)["incidents"]
    one = f"/v1/incidents/{incident['id']}"
    assert problem_of(clean.get(f"{one}?shape=pigeon"))["errors"][0]["field"] == "shape"
    both = {"verdict": "expected", "days": 3, "until": "2100-01-01"}
    assert problem_of(clean.post(f"{one}/feedback", json=both))["errors"][0]["field"] == "days"
    assert problem_of(clean.post(f"{one}/feedback", json={"verdict": "expected", "until": "2020-01-01"}))["errors"][0]["field"] == "until"
    assert problem_of(clean.post(f"{one}/feedback", json={"verdict": "unexpected", "days": 3}))["errors"][0]["field"] == "until"
    assert clean.get(one).json()["entries"] == []
