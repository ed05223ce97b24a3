"""`forecast incidents`: what went wrong, as whoever is on duty reads it, steps through it and judges it."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path

import pytest

from forecast.adapters.records import Records
from forecast.alerts.payloads import SHAPES
from forecast.config import load_settings
from tests.alerts.examples import DAY, MONDAY, days, new_key, runaway
from tests.cli.homes import Commands

SEEN = MONDAY + 3 * DAY


@pytest.fixture
def kept(empty_home: Path) -> tuple[str, str]:
    """Ids of two incidents in the records of a home: a runaway agent, and a key that was new two weeks later."""
    empty_home.mkdir()
    records = Records(load_settings().records_address)
    later = tuple(part for part in days(14, [(40.0, 0.0)]))
    found = records.put_detections([runaway(), new_key(parts=later, currency="USD")], now=SEEN).incidents
    records.close()
    return found[0].id, found[1].id


def test_incidents_are_listed_with_the_latest_first_and_filtered(kept: tuple[str, str], forecast: Commands) -> None:
    document = forecast("incidents", "list", "--json").document
    assert set(document) == {"incidents", "next_cursor", "precision"}
    assert [found["id"] for found in document["incidents"]] == [kept[1], kept[0]]
    wanted = {"id", "kind", "status", "direction", "severity", "scope", "start", "end", "actual", "expected", "impact", "impact_percent", "p_value"}
    assert wanted | {"root_causes", "sentence", "suppressed"} <= set(document["incidents"][0])

    def ids(*words: str) -> list[str]:
        return [found["id"] for found in forecast("incidents", "list", *words, "--json").document["incidents"]]

    runaway_id, key_id = kept
    assert ids("--kind", "spike") == ids("--scope", "team=SEARCH") == ids("--minimum-impact", "100") == [runaway_id]
    assert ids("--kind", "spike,new_spend", "--status", "open", "--status", "resolved") == [key_id, runaway_id]
    assert ids("--since", "2027-03-10") == [key_id]
    assert ids("--severity", "low,medium,critical") == []
    assert ids("--until", "2027-03-10T12:00:00Z", "--told") == [runaway_id]
    assert ids("--suppressed") == []
    page = forecast("incidents", "list", "--limit", "1", "--json").document
    assert ids("--limit", "1", "--cursor", page["next_cursor"]) == [runaway_id]
    shown = forecast("incidents", "list").out
    assert "service=Vertex AI,team=search" in shown
    assert "Nobody has judged" in shown


def test_incident_is_looked_at_resolved_and_reopened(kept: tuple[str, str], forecast: Commands) -> None:
    one = kept[0]
    assert forecast("incidents", "acknowledge", one, "--by", "özge", "--why", "looking", "--json").document["status"] == "acknowledged"
    assert forecast("incidents", "resolve", one, "--by", "", "--json").document["status"] == "resolved"
    again = forecast("incidents", "acknowledge", one)
    assert again.code == 2
    assert "is resolved" in again.err
    assert "is open since" in forecast("incidents", "reopen", one).out
    history = forecast("incidents", "show", one, "--json").document["history"]
    assert [(step["event"], step["by"]) for step in history[:3]] == [("opened", "forecast"), ("acknowledged", "özge"), ("resolved", "")]
    shown = forecast("incidents", "show", one).out
    for text in ("ai_model=lynx-large", "the rest", "output tokens", "looking", "reopened", "2027-03-02"):
        assert text in shown


def test_feedback_is_given_counted_and_taken_back(kept: tuple[str, str], forecast: Commands) -> None:
    one = kept[0]
    said = forecast("incidents", "feedback", one, "expected", "--reason", "load test", "--until", "2100-01-01", "--by", "özge", "--json").document
    assert said["incident"]["suppressed"]["until"] == "2100-01-01T00:00:00Z"
    assert said["precision"]["value"] == 0.0
    listed = forecast("incidents", "list").out
    assert "(not told)" in listed
    assert "1 judged, 0 of them worth telling: precision 0 %" in listed
    assert [found["id"] for found in forecast("incidents", "list", "--suppressed", "--json").document["incidents"]] == [one]
    assert "load test" in forecast("incidents", "show", one).out
    undone = forecast("incidents", "undo", one)
    assert "taken back" in undone.out
    assert "people are told of it" in undone.out
    assert forecast("incidents", "undo", one).code == 2
    assert forecast("incidents", "feedback", one, "unexpected", "--json").document["precision"]["value"] == 1.0


@pytest.mark.parametrize("shape", list(SHAPES))
def test_incident_is_shown_in_the_shapes_of_other_programs(kept: tuple[str, str], forecast: Commands, shape: str) -> None:
    ran = forecast("incidents", "show", kept[0], "--shape", shape)
    assert ran.code == 0
    json.loads(ran.out)
    assert kept[0] in ran.out


def test_export_writes_every_incident_a_line(kept: tuple[str, str], forecast: Commands, tmp_path: Path) -> None:
    lines = [json.loads(text) for text in forecast("incidents", "export").out.splitlines()]
    assert [found["id"] for found in lines] == [kept[1], kept[0]]
    assert lines[1]["parts"][0] == {"start": "2027-03-01", "end": "2027-03-02", "actual": 500.0, "expected": 100.0}
    file = tmp_path / "incidents.ndjson"
    report = forecast("incidents", "export", "--kind", "spike", "--shape", "cloudevents", "--out", file, "--json").document
    assert report == {"out": str(file), "incidents": 1}
    assert json.loads(file.read_text(encoding="utf-8"))["subject"] == kept[0]
    assert forecast("incidents", "export", "--out", tmp_path / "incidents.xlsx").code == 2
    assert forecast("incidents", "export", "--shape", "pigeon").code == 2


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("list", "--status", "closed"), "open, acknowledged, resolved"),
        (("list", "--since", "yesterday"), "since is no day"),
        (("list", "--limit", "0"), "1 to 1000"),
        (("list", "--cursor", "abc"), "cursor"),
        (("list", "--cursor", base64.urlsafe_b64encode(b"[" * 60_000).decode()), "cursor"),
        (("list", "--kind", "spik"), "nearest: spike"),
        (("list", "--since", "2026-12-01", "--until", "2026-11-01"), "until 2026-11-01"),
        (("list", "--since", "0001-01-01T00:00:00+14:00"), "since is no day"),
        (("resolve", "inc-nobody", "--why", "\x1b[2J"), "inc-nobody"),
        (("show", "inc-nobody"), "inc-nobody"),
        (("resolve", "inc-nobody"), "inc-nobody"),
        (("feedback", "inc-nobody", "expected"), "inc-nobody"),
    ],
)
def test_what_cannot_be_is_one_clear_line(kept: tuple[str, str], forecast: Commands, words: tuple[str, ...], problem: str) -> None:
    ran = forecast("incidents", *words)
    assert ran.code == 2
    assert problem in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_feedback_that_cannot_be_is_refused(kept: tuple[str, str], forecast: Commands) -> None:
    for words in (("fine",), ("expected", "--days", "-1"), ("unexpected", "--days", "3"), ("expected", "--days", "3", "--until", "2100-01-01")):
        assert forecast("incidents", "feedback", kept[0], *words).code == 2
    for words in (
        ("expected", "--reason", "\x1b[31mred"),
        ("expected", "--by", "a\nb"),
        ("expected", "--by", "x" * 201),
        ("expected", "--days", "nan"),
    ):
        assert forecast("incidents", "feedback", kept[0], *words).code == 2
    assert forecast("incidents", "resolve", kept[0], "--why", "\x07").code == 2
    assert forecast("incidents", "show", kept[0], "--shape", "pigeon").code == 2
    shown = forecast("incidents", "show", kept[0], "--json").document
    assert (shown["entries"], shown["status"]) == ([], "open")


def test_home_without_incidents_is_no_error_to_list_and_none_is_made(empty_home: Path, forecast: Commands) -> None:
    assert forecast("incidents", "list", "--json").document["incidents"] == []
    assert "forecast detect" in forecast("incidents", "list").out
    assert forecast("incidents", "export").out == ""
    assert forecast("incidents", "resolve", "inc-1").code == 2
    assert not empty_home.exists()


def test_days_of_an_incident_begin_and_end_on_the_day(kept: tuple[str, str], forecast: Commands) -> None:
    found = forecast("incidents", "show", kept[0], "--json").document
    assert (found["start"], found["end"]) == (str(MONDAY.date()), str((MONDAY + timedelta(days=2)).date()))
