"""`forecast events`: what is planned, as its user writes and reads it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from forecast.adapters.records import Records
from forecast.config import load_settings
from forecast.snapshot import Snapshot
from tests.cli.homes import Commands, make_home

SALE = ("--type", "campaign", "--scope", "team=ads", "--start", "2027-03-01", "--end", "2027-03-15", "--factor", "1.6")
CALENDAR = """name,type,start,end,scope,effect,effect_low,effect_high,effect_unit,announced,owner
Spring sale,promotion,2027-03-01,2027-03-15,"team=ads,stage=prod",1.6,1.3,2.0,factor,2027-01-05,Ada
Cheaper opus,price_change,2027-02-01,,"{""ServiceName"": ""Claude API"", ""SkuPriceDetails"": {""ModelId"": ""opus""}}",0.5,0.5,0.5,factor,,
Assistant launch,launch,2027-04-01,,team=research,300,150,600,usd_per_day,2027-01-05,
"""


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """A home with a snapshot that this test may write to."""
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    return make_home(tmp_path / "home")


def test_event_is_added_listed_replaced_and_removed(empty_home: Path, forecast: Commands) -> None:
    added = forecast("events", "add", "sale", *SALE, "--low", "1.3", "--high", "2", "--name", "Spring sale", "--json").document
    assert (added["id"], added["end"], added["effect"]) == ("sale", "2027-03-15", {"factor": 1.6, "low": 1.3, "high": 2.0})
    assert added["announced"] == str(datetime.now(UTC).date())
    assert forecast("events", "list", "--json").document == {"events": [added]}
    forecast("events", "add", "sale", *SALE[:-1], "1.2")
    shown = forecast("events", "list")
    assert "×1.2" in shown.out
    assert "team=ads" in shown.out
    assert forecast("events", "remove", "sale", "--json").document == {"removed": "sale"}
    assert "No planned events yet" in forecast("events", "list").out
    assert forecast("events", "remove", "sale").code == 2


def test_an_event_that_is_entered_again_stays_announced_on_its_first_day(empty_home: Path, forecast: Commands) -> None:
    forecast("events", "add", "sale", *SALE, "--announced", "2026-12-01")
    assert forecast("events", "add", "sale", *SALE, "--json").document["announced"] == "2026-12-01"
    changed = forecast("events", "add", "sale", *SALE[:-1], "3", "--json").document
    assert changed["announced"] == str(datetime.now(UTC).date())


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((*SALE[:-2],), "no effect"),
        ((*SALE, "--money", "5"), "one thing"),
        ((*SALE, "--low", "1"), "together"),
        ((*SALE[:-1], "-2"), "0 to 1000"),
        (("--start", "2027-03-01", "--money", "5"), "needs an end"),
        (("--factor", "2"), "start is missing"),
        ((*SALE, "--type", "party"), "party"),
        ((*SALE, "--ramp-days", "99"), "0 to 14"),
    ],
)
def test_event_that_cannot_be_is_one_clear_line(empty_home: Path, forecast: Commands, words: tuple[str, ...], problem: str) -> None:
    ran = forecast("events", "add", "sale", *words)
    assert ran.code == 2
    assert problem in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert not empty_home.exists()


def test_scope_without_spend_is_refused_when_it_is_added_by_hand(own_home: Snapshot, forecast: Commands) -> None:
    ran = forecast("events", "add", "sale", *SALE, "--scope", "team=adds")
    assert ran.code == 2
    assert "nearest: ads" in ran.err
    assert "whoever will pay" in ran.err
    both = forecast("events", "add", "sale", *SALE, "--scope", "team=research,stage=prod")  # each occurs, never together
    assert both.code == 2
    assert "no spend lies in stage=prod,team=research" in both.err
    assert forecast("events", "add", "sale", *SALE, "--scope", "ai_model=haiku", "--json").document["scope"] == "ai_model=haiku"
    assert forecast("events", "add", "s", "--start", "2027-03-01", "--money-per-day", "5", "--currency", "eur").code == 2


def test_calendar_is_imported_with_warnings_for_what_has_no_spend_yet(own_home: Snapshot, forecast: Commands, tmp_path: Path) -> None:
    file = tmp_path / "calendar.csv"
    file.write_text(CALENDAR.replace("team=research", "team=newcomers"), encoding="utf-8")
    report = forecast("events", "import", file, "--json").document
    assert (report["added"], report["replaced"]) == (3, 0)
    assert [event["scope"] for event in report["events"]] == ["stage=prod,team=ads", "ai_model=opus,service=Claude API", "team=newcomers"]
    assert report["events"][2]["effect"] == {"money_per_day": 300.0, "low": 150.0, "high": 600.0}
    assert len(report["warnings"]) == 2
    assert "newcomers" in report["warnings"][0]
    assert report["warnings"][1] == "columns that say nothing about events: owner"
    again = forecast("events", "import", file, "--json").document
    assert (again["added"], again["replaced"]) == (0, 3)
    records = Records(load_settings().records_address)
    assert [event.announced for event in records.events()][1] == date(2027, 1, 5)
    records.close()


def test_calendar_with_a_wrong_row_changes_nothing_and_names_it(empty_home: Path, forecast: Commands, tmp_path: Path) -> None:
    file = tmp_path / "calendar.csv"
    file.write_text(CALENDAR.replace("2027-03-15", "2027-02-15"), encoding="utf-8")
    ran = forecast("events", "import", file)
    assert ran.code == 2
    assert "row 1" in ran.err
    assert "reversed" in ran.err
    assert forecast("events", "list", "--json").document == {"events": []}
    for text, problem in (("", "is empty"), ("name,start\n", "no rows"), ("name,start\na\n", "fields"), ("a,b\n1,2\n", "name is missing")):
        file.write_text(text, encoding="utf-8")
        assert problem in forecast("events", "import", file).err


def test_forecast_shows_the_events_that_it_holds(own_home: Snapshot, forecast: Commands) -> None:
    assert json.loads(forecast("predict", "--period", "2027-Q1", "--json").out)["events"] == []
