"""Incidents and feedback in the records, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from forecast.adapters.incident_lists import IncidentFilter, IncidentPage
from forecast.adapters.incident_records import IncidentRecords
from forecast.adapters.incident_rows import INCIDENT_FEEDBACK, INCIDENTS
from forecast.adapters.records import Records
from forecast.alerts.incident import Detection, Incident
from forecast.alerts.life_cycle import merged
from forecast.errors import InputError, NotFoundError
from tests.alerts.examples import DAY, MONDAY, new_key, runaway
from tests.postgres import running_postgres

NOW = MONDAY + 3 * DAY


class Store(Records, IncidentRecords):
    """Records that certainly keep incidents."""


@contextmanager
def _store(address: str) -> Iterator[Store]:
    opened = Store(address)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('records')}/records.db"
        return
    with running_postgres() as found:
        yield found


@pytest.fixture
def records(address: str) -> Iterator[Store]:
    with _store(address) as opened:
        with opened._writers.begin() as connection:
            connection.execute(sa.delete(INCIDENT_FEEDBACK))
            connection.execute(sa.delete(INCIDENTS))
        yield opened


def put(records: Store, *detections: Detection) -> list[Incident]:
    return records.put_detections(list(detections), now=NOW).incidents


def team(name: str, first: int = 0, cost: float = 500.0, **changes: Any) -> Detection:
    return runaway(first, [(cost, 100.0)], scope={"team": name, "service": "Vertex AI"}, sentence="", **changes)


def listed(page: IncidentPage) -> list[str]:
    return [incident.scope["team"] for incident in page.incidents]


def test_incident_comes_back_as_it_was_put(records: Store) -> None:
    for detection in (runaway(), new_key(), runaway(scope={}, sentence="Özge’s 日本 \x00 company")):
        (incident,) = put(records, detection)
        assert records.incident(incident.id) == incident
        found = records.incidents(IncidentFilter(kinds=[incident.kind]))
        assert incident in found.incidents


def test_same_detections_again_change_only_when_they_were_last_seen(records: Store) -> None:
    first = records.put_detections([runaway(), new_key()], now=NOW)
    again = records.put_detections([runaway(), new_key()], now=NOW + DAY)
    assert [event.transition.event for event in first.events] == ["opened", "opened"]
    assert again.events == []
    assert [replace(incident, last_seen=NOW) for incident in again.incidents] == first.incidents
    assert len(records.incidents().incidents) == 2
    assert records.put_detections([], now=NOW).incidents == []


def test_detections_day_by_day_are_one_incident_as_the_life_cycle_has_it(records: Store) -> None:
    known: dict[str, Incident] = {}
    for first in (0, 1, 2, 5, 12, 13):
        detection = team("search", first, 500.0 + first)
        moment = NOW + first * DAY
        known.update(merged(known.values(), [detection], now=moment).incidents)
        records.put_detections([detection], now=moment)
    found = records.incidents().incidents
    assert sorted(found, key=lambda incident: incident.id) == sorted(known.values(), key=lambda incident: incident.id)
    assert [round(incident.actual) for incident in found] == [1025, 2008]


def test_incident_that_moved_away_from_its_first_day_is_not_overwritten(records: Store) -> None:
    (first,) = put(records, team("search", 20))
    put(records, team("search", 0))
    # in another currency its first day is gone; a detection of that day is still the same incident
    (moved,) = put(records, replace(team("search", 18), currency="EUR"))
    assert moved.id == first.id
    assert len(records.incidents().incidents) == 2
    (again,) = put(records, replace(team("search", 20), currency="EUR"))
    assert again.id == first.id


def test_by_hand_it_is_acknowledged_resolved_and_reopened(records: Store) -> None:
    (incident,) = put(records, runaway())
    assert records.acknowledge_incident(incident.id, now=NOW, by="ada", why="looking").status == "acknowledged"
    assert records.resolve_incident(incident.id, now=NOW, by="ada", why="stopped").status == "resolved"
    with pytest.raises(InputError, match="resolved"):
        records.acknowledge_incident(incident.id, now=NOW, by="bob")
    assert records.reopen_incident(incident.id, now=NOW, by="bob").status == "open"
    kept = records.incident(incident.id)
    assert [(transition.event, transition.by, transition.why) for transition in kept.history] == [
        ("opened", "forecast", ""),
        ("acknowledged", "ada", "looking"),
        ("resolved", "ada", "stopped"),
        ("reopened", "bob", ""),
    ]


@pytest.mark.parametrize("name", ["", "nobody", "a\x00b", "%", "'; DROP TABLE incidents; --", "x" * 10_000])
def test_incident_that_is_not_there_is_a_not_found_error(records: Store, name: str) -> None:
    put(records, runaway())
    with pytest.raises(NotFoundError):
        records.incident(name)
    with pytest.raises(NotFoundError):
        records.acknowledge_incident(name, now=NOW, by="ada")
    with pytest.raises(NotFoundError):
        records.give_feedback(name, "expected", now=NOW)
    with pytest.raises(NotFoundError):
        records.undo_feedback(name, now=NOW)


def test_what_is_calm_is_resolved_by_itself(records: Store) -> None:
    early, late = put(records, team("ads", 0), team("search", 5))
    events = records.settle_incidents(scored_through=MONDAY + 4 * DAY, now=NOW + 4 * DAY)
    assert [(event.incident.id, event.transition.event) for event in events] == [(early.id, "resolved")]
    assert records.settle_incidents(scored_through=MONDAY + 4 * DAY, now=NOW + 4 * DAY) == []
    assert records.settle_incidents(scored_through=MONDAY + 30 * DAY, now=NOW + 40 * DAY, only=[early.id]) == []
    assert records.incident(late.id).is_active


def test_filters_let_through_what_they_say(records: Store) -> None:
    ads, search, drop = put(records, team("Ads", 0, 120.0), team("search", 5, 9000.0), team("data_x", 9, 20.0, kind="drop", direction="down"))
    records.resolve_incident(ads.id, now=NOW, by="ada")
    everything = listed(records.incidents())
    assert everything == ["data_x", "search", "Ads"]
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"statuses": ["open"]}, ["data_x", "search"]),
        ({"statuses": ["resolved", "acknowledged"]}, ["Ads"]),
        ({"kinds": ["drop"]}, ["data_x"]),
        ({"kinds": ["new_spend"]}, []),
        ({"severities": [search.severity]}, ["search"]),
        ({"scope": "team=ads"}, ["Ads"]),
        ({"scope": "VERTEX"}, everything),
        ({"scope": "data_"}, ["data_x"]),
        ({"scope": "data%"}, []),
        ({"scope": "a\x00"}, []),
        ({"since": MONDAY + 6 * DAY}, ["data_x"]),
        ({"since": MONDAY + 5 * DAY, "until": MONDAY + 9 * DAY}, ["search"]),
        ({"until": MONDAY}, []),
        ({"minimum_impact": abs(drop.impact)}, ["data_x", "search"]),
        ({"minimum_impact": 0.0, "statuses": ["open"], "kinds": ["spike"], "scope": "search"}, ["search"]),
        ({"suppressed": True}, []),
        ({"suppressed": False}, everything),
    ]
    for fields, wanted in cases:
        assert listed(records.incidents(IncidentFilter(**fields))) == wanted, fields


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"statuses": ["gone"]}, "status"),
        ({"severities": ["awful"]}, "severity"),
        ({"kinds": ["spik"]}, "kind"),
        ({"minimum_impact": -1.0}, "minimum_impact"),
        ({"since": MONDAY + DAY, "until": MONDAY + DAY}, "until"),
    ],
)
def test_filter_that_cannot_be_is_an_error(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        IncidentFilter(**fields)
    assert caught.value.field == field


def test_pages_hold_every_incident_once_whatever_arrives_meanwhile(records: Store) -> None:
    put(records, *(team(f"team{number:02d}", number % 4, 500.0) for number in range(23)))
    before = [incident.id for incident in records.incidents().incidents]
    seen: list[str] = []
    cursor = None
    for turn in range(20):
        page = records.incidents(limit=5, cursor=cursor)
        seen += [incident.id for incident in page.incidents]
        put(records, team(f"newcomer{turn}", 30 + turn))
        records.acknowledge_incident(before[turn], now=NOW, by="ada")
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == before
    assert len(seen) == len(set(seen)) == 23


def test_page_that_is_just_full_is_the_last(records: Store) -> None:
    put(records, team("a"), team("b"))
    assert records.incidents(limit=2).next_cursor is None
    assert records.incidents(limit=1).next_cursor is not None


@pytest.mark.parametrize("cursor", ["", "x", "!!!!", "e30", "WzEsMiwzXQ", "WyIyMDI3LTAzLTAxIiwyLCJ4Il0", "WyIyMDI3LTAzLTAxIiwiYSJd", "é", "A" * 5000])
def test_cursor_that_is_none_of_ours_is_an_error(records: Store, cursor: str) -> None:
    with pytest.raises(InputError) as caught:
        records.incidents(cursor=cursor)
    assert caught.value.field == "cursor"


def test_cursor_of_another_filter_and_a_wrong_limit_are_errors(records: Store) -> None:
    put(records, team("a"), team("b"))
    cursor = records.incidents(limit=1).next_cursor
    with pytest.raises(InputError, match="another filter"):
        records.incidents(IncidentFilter(kinds=["spike"]), cursor=cursor)
    for limit in (0, -1, 1001):
        with pytest.raises(InputError, match="limit"):
            records.incidents(limit=limit)


def test_etag_changes_with_the_page_and_only_with_it(records: Store) -> None:
    ads, search = put(records, team("ads", 0), team("search", 1))
    first = records.incidents(limit=1)
    assert first.etag == records.incidents(limit=1).etag
    assert first.etag.startswith('"')
    records.acknowledge_incident(ads.id, now=NOW, by="ada")
    assert records.incidents(limit=1).etag == first.etag
    records.acknowledge_incident(search.id, now=NOW, by="ada")
    assert records.incidents(limit=1).etag != first.etag


def test_expected_hides_the_same_again_and_undo_shows_it(records: Store) -> None:
    (first,) = put(records, team("search", 0))
    said, entry = records.give_feedback(first.id, "expected", now=NOW, by="ada", reason="load test", days=60)
    assert (said.feedback, said.suppressed is not None) == ("expected", True)
    (later,) = put(records, team("search", 20))
    assert later.suppressed is not None
    assert later.suppressed.feedback == entry.number
    assert records.incident(later.id) == later
    (other,) = put(records, team("ads", 20))
    assert listed(records.incidents(IncidentFilter(suppressed=False))) == ["ads"]
    after, undone = records.undo_feedback(first.id, now=NOW + DAY, by="bob")
    assert (after.feedback, after.suppressed) == (None, None)
    assert (undone.number, undone.undone_by, undone.undone_at) == (entry.number, "bob", NOW + DAY)
    assert records.incident(later.id).suppressed is None
    assert records.incident(other.id) == other
    assert records.undo_feedback(first.id, now=NOW + 2 * DAY, number=entry.number)[1] == undone
    with pytest.raises(NotFoundError, match="stands"):
        records.undo_feedback(first.id, now=NOW)
    with pytest.raises(NotFoundError, match="999"):
        records.undo_feedback(first.id, now=NOW, number=999_999)
    assert records.feedback() == records.feedback(first.id) == [undone]


def test_too_small_hides_what_is_no_larger_in_that_scope(records: Store) -> None:
    small, large = put(records, team("search", 0, 140.0), team("search", 20, 500.0))
    records.give_feedback(small.id, "too_small", now=NOW)
    (level,) = put(records, team("search", 20, 130.0, kind="level_shift"))
    assert level.suppressed is not None
    assert records.incident(large.id).suppressed is None


def test_feedback_of_nothing_known_is_an_error_and_leaves_no_entry(records: Store) -> None:
    (incident,) = put(records, runaway())
    with pytest.raises(InputError, match="meh"):
        records.give_feedback(incident.id, "meh", now=NOW)
    assert records.feedback() == []
    assert records.incident(incident.id) == incident


def test_precision_is_measured_from_feedback(records: Store) -> None:
    assert records.incident_precision().value is None
    incidents = put(records, *(team(f"team{number}") for number in range(4)))
    for incident, verdict in zip(incidents, ("unexpected", "unexpected", "unexpected", "planned"), strict=True):
        records.give_feedback(incident.id, verdict, now=NOW)
    assert records.incident_precision().value == 0.75
    records.undo_feedback(incidents[3].id, now=NOW)
    assert records.incident_precision().value == 1.0


def test_status_changes_do_not_lose_feedback_and_the_other_way_round(records: Store) -> None:
    (incident,) = put(records, team("search", 0))
    records.give_feedback(incident.id, "planned", now=NOW)
    records.acknowledge_incident(incident.id, now=NOW, by="ada")
    (grown,) = put(records, team("search", 1))
    assert (grown.status, grown.feedback) == ("acknowledged", "planned")
    assert records.incident(incident.id) == grown


def test_many_writers_at_once_lose_nothing(records: Store, address: str) -> None:
    incidents = put(records, *(team(f"team{number}") for number in range(3)))
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            with _store(address) as opened:
                for turn in range(8):
                    put(opened, team("team0", turn), team(f"new{number}-{turn}"))
                    opened.acknowledge_incident(incidents[1].id, now=NOW + timedelta(hours=turn), by=f"hand{number}")
                    opened.give_feedback(incidents[2].id, "unexpected", now=NOW, by=f"hand{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(records.incidents(limit=1000).incidents) == 3 + 24
    assert records.incident(incidents[0].id).actual == pytest.approx(8 * 500.0)
    assert [transition.event for transition in records.incident(incidents[1].id).history] == ["opened", "acknowledged"]
    assert len(records.feedback(incidents[2].id)) == 24


def test_number_that_is_none_becomes_null(records: Store) -> None:
    (incident,) = put(records, runaway(root_causes=({"scope": {"meter": "x"}, "impact": 5.0, "share": float("nan"), "more": [float("inf")]},)))
    assert records.incident(incident.id).root_causes == ({"scope": {"meter": "x"}, "impact": 5.0, "share": None, "more": [None]},)


def test_migration_makes_the_tables_that_the_code_speaks_of(address: str, tmp_path: Path) -> None:
    with _store(address) as opened, opened._readers.connect() as connection:
        ours = {INCIDENTS.name, INCIDENT_FEEDBACK.name}
        context = MigrationContext.configure(connection, opts={"include_name": lambda name, kind, _: kind != "table" or name in ours})
        metadata = sa.MetaData()
        for table in (INCIDENTS, INCIDENT_FEEDBACK):
            table.to_metadata(metadata)
        assert compare_metadata(context, metadata) == []
