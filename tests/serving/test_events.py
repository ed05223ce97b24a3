"""Planned events as resources, and in the answer."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from forecast.serving import answers
from forecast.serving.event_schemas import EventList
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.forecasts import forecast_answer
from tests.serving.homes import TestClient, problem_of
from tests.snapshots_for_tests import make_snapshot

BODY = {"name": "Özge's sale", "type": "campaign", "scope": "team=ads", "start": "2027-03-01", "end": "2027-03-15", "effect": {"factor": 1.6}}


def test_event_is_put_read_listed_and_deleted(client: TestClient) -> None:
    assert client.put("/v1/events/sale", json={**BODY, "announced": "2026-12-01"}).status_code == 201
    again = client.put("/v1/events/sale", json=BODY)
    assert again.status_code == 200
    event = client.get("/v1/events/sale").json()
    assert event == again.json()
    assert (event["announced"], event["effect"], event["end"]) == ("2026-12-01", {"factor": 1.6}, "2027-03-15")
    listed = EventList.model_validate_json(client.get("/v1/events").content)
    assert [entry.id for entry in listed.events] == ["sale"]
    changed = client.put("/v1/events/sale", json={**BODY, "end": None, "effect": {"money_per_day": -5, "low": -9, "high": 0}}).json()
    assert (changed["announced"], changed["end"]) == (str(datetime.now(UTC).date()), None)
    gone = client.delete("/v1/events/sale")
    assert (gone.status_code, gone.content) == (204, b"")
    assert problem_of(client.get("/v1/events/sale"))["status"] == 404
    assert problem_of(client.delete("/v1/events/sale"))["status"] == 404


@pytest.mark.parametrize(
    ("event_id", "change", "status", "field"),
    [
        ("e", {"effect": {}}, 422, "effect"),
        ("e", {"effect": {"factor": 2, "money": 3}}, 422, "effect"),
        ("e", {"effect": {"factor": 2, "low": 1}}, 422, "effect.high"),
        ("e", {"effect": {"factor": -1}}, 422, "effect.factor"),
        ("e", {"effect": {"factor": "2"}}, 422, "effect.factor"),
        ("e", {"effect": {"factor": 2, "low": 3, "high": 4}}, 422, "effect"),
        ("e", {"effect": None}, 422, "effect"),
        ("e", {"type": "party"}, 422, "type"),
        ("e", {"start": None}, 422, "start"),
        ("e", {"end": "2027-01-01"}, 422, "end"),
        ("e", {"end": None, "effect": {"money": 5}}, 422, "end"),
        ("e", {"scope": "team"}, 400, "scope"),
        ("e", {"scope": 5}, 422, "scope"),
        ("e", {"scope": "x" * 5000}, 400, "scope"),
        ("e", {"scope": "team=adds"}, 404, "scope"),
        ("e", {"scope": "team=research,stage=prod"}, 422, "scope"),
        ("e", {"scope": {"Tags": {"team": "a\u0001"}}}, 400, "scope"),
        ("e", {"ramp_days": 20}, 422, "ramp_days"),
        ("e", {"currency": "EUR", "effect": {"money": 5}}, 422, "currency"),
        ("e", {"name": "nul \x00 byte"}, 422, "name"),
        ("e", {"colour": "red"}, 422, "colour"),
        ("-e", {}, 422, "id"),
        ("%00", {}, 422, "id"),
    ],
)
def test_event_that_cannot_be_is_refused_with_its_field(
    client: TestClient, event_id: str, change: dict[str, object], status: int, field: str
) -> None:
    problem = problem_of(client.put(f"/v1/events/{event_id}", json={**BODY, **change}))
    assert (problem["status"], problem["errors"][0]["field"]) == (status, field)
    assert client.get("/v1/events").json()["events"] == []


def test_scope_of_an_event_may_be_the_columns_of_a_bill(client: TestClient) -> None:
    put = client.put("/v1/events/bill", json={**BODY, "scope": {"ServiceName": "OpenAI API", "Tags": {"team": "Ads"}}})
    assert put.json()["scope"] == "service=OpenAI API,team=ads"
    client.delete("/v1/events/bill")


def test_forecast_without_events_says_so(client: TestClient) -> None:
    answer = client.post("/v1/forecast", json={"period": "2027-Q1"})
    assert answers.ForecastAnswer.model_validate_json(answer.content).events == []


@pytest.fixture(scope="module")
def planned() -> Snapshot:
    """A snapshot in whose paths one event adds ten a day to each leaf of a team from its first step on; two others are over or learnt."""
    snapshot = make_snapshot(n_paths=20)
    leaves = snapshot.hierarchy.leaf_mask(Scope.parse("team=ads")).nonzero()[0]
    rows = [("sale", int(leaf), step, 10.0 * days) for leaf in leaves for step, days in enumerate((snapshot.ends - snapshot.starts).astype(int))]
    snapshot.meta["events"] = [
        {"id": name, "name": name, "type": "campaign", "start": start, "end": end, "scope": "team=ads", "status": status}
        for name, start, end, status in (
            ("sale", "2026-12-11", None, "ahead"),
            ("old", "2026-12-01", "2026-12-11", "over"),
            ("price", "2026-07-01", None, "learnt"),
        )
    ]
    object.__setattr__(snapshot, "event_effects", pd.DataFrame(rows, columns=["event", "leaf", "step", "effect"]))
    return snapshot


def within(snapshot: Snapshot, scope: str, start: date, end: date) -> dict[str, float | None]:
    answer = forecast_answer(snapshot, scope=Scope.parse(scope), period=Period(start, end))
    return {event["id"]: event["effect"] for event in answer["events"]}


def test_answer_lists_the_events_that_touch_it_with_their_money(planned: Snapshot) -> None:
    january = date(2027, 1, 1), date(2027, 2, 1)
    leaves = int(planned.hierarchy.leaf_mask(Scope.parse("team=ads")).sum())
    assert within(planned, "", *january) == within(planned, "team=ads", *january) == {"price": None, "sale": pytest.approx(310.0 * leaves)}
    assert within(planned, "team=search", *january) == {}
    assert within(planned, "", date(2026, 12, 6), date(2026, 12, 16)) == {"price": None, "old": None, "sale": pytest.approx(50.0 * leaves)}
    prod = within(planned, "team=ads,stage=prod", *january)["sale"]
    assert prod == pytest.approx(310.0 * leaves / 2)


def test_finer_scope_has_its_part_of_an_event(planned: Snapshot) -> None:
    january = date(2027, 1, 1), date(2027, 2, 1)
    leaves = int(planned.hierarchy.leaf_mask(Scope.parse("team=ads,service=OpenAI API")).sum())
    large, mini = (within(planned, f"team=ads,service=OpenAI API,ai_model={name}", *january)["sale"] or 0.0 for name in ("gpt-large", "gpt-mini"))
    assert large + mini == pytest.approx(310.0 * leaves)
    assert min(large, mini) > 0.0


def test_effects_are_part_of_a_snapshot_on_disk(planned: Snapshot, tmp_path: Path) -> None:
    from forecast.adapters.snapshots import SnapshotStore

    written = SnapshotStore(tmp_path).write(planned)
    assert written.event_effects is not None
    assert planned.event_effects is not None
    pd.testing.assert_frame_equal(written.event_effects, planned.event_effects, check_dtype=False)
    assert "event_effects.parquet" in {path.name for path in (tmp_path / written.id).iterdir()}
