"""The company's calendar and time zone on the command line: settings that every command hears."""

from __future__ import annotations

import pytest

from forecast.snapshot import Snapshot
from forecast.spend.fiscal import FiscalCalendar
from tests.cli.homes import Commands

RETAIL = FiscalCalendar(2, "4-5-4", "saturday", "nearest")


@pytest.fixture
def retail(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("START", "2"), ("PATTERN", "4-5-4"), ("WEEK_END", "saturday"), ("RULE", "nearest")):
        monkeypatch.setenv(f"FORECAST_FISCAL_{name}", value)


@pytest.mark.usefixtures("retail")
def test_quarters_years_and_months_are_those_of_weeks(forecast: Commands, snapshot: Snapshot) -> None:
    found = forecast("quarter", "--json").document
    quarter = RETAIL.quarter(2028, 1)
    assert (found["quarter"], found["start"], found["end"]) == ("2028-Q1", str(quarter.start), str(quarter.end))
    before = RETAIL.quarter(2027, 4)
    assert (found["last_quarter"]["start"], found["last_quarter"]["end"]) == (str(before.start), str(before.end))
    rows = forecast("predict", "--period", "2028-Q1", "--json").document["rows"]
    months = [RETAIL.month(2028, number) for number in (1, 2, 3)]
    assert [(row["start"], row["end"]) for row in rows] == [(str(month.start), str(month.end)) for month in months]
    month = forecast("predict", "--period", "2028-P02", "--json").document
    assert (month["start"], month["end"]) == (rows[1]["start"], rows[1]["end"])
    assert month["total"]["mean"] == pytest.approx(rows[1]["mean"], rel=1e-6)
    assert forecast("predict", "--period", "2027-03", "--json").document["start"] == "2027-03-01"


@pytest.mark.usefixtures("retail")
def test_the_option_moves_the_month_and_keeps_the_weeks(forecast: Commands, snapshot: Snapshot) -> None:
    found = forecast("predict", "--period", "2027-Q3", "--fiscal-start", "7", "--json").document
    quarter = FiscalCalendar(7, "4-5-4", "saturday", "nearest").quarter(2027, 3)
    assert (found["start"], found["end"]) == (str(quarter.start), str(quarter.end))


@pytest.mark.usefixtures("retail")
def test_explanations_compare_with_the_quarter_before_and_name_it(forecast: Commands, snapshot: Snapshot) -> None:
    found = forecast("explain", "--period", "2028-Q1", "--json").document
    before = RETAIL.quarter(2027, 4)
    assert (found["comparison"]["start"], found["comparison"]["end"]) == (str(before.start), str(before.end))
    assert found["sentence"].startswith("2028-Q1 is expected to cost")
    assert "2027-Q4" in found["sentence"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FISCAL_PATTERN", "445", "4-4-5"),
        ("FISCAL_WEEK_END", "Samstag", "saturday"),
        ("TIME_ZONE", "Berlin", "such as UTC, Europe/Berlin"),
    ],
)
def test_settings_that_cannot_be_used_say_what_is_allowed(
    forecast: Commands, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"FORECAST_{name}", value)
    ran = forecast("quarter")
    assert ran.code == 2
    assert f"FORECAST_{name}" in ran.err
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_fiscal_weeks_without_a_year_of_weeks_are_one_clear_line(forecast: Commands, snapshot: Snapshot) -> None:
    ran = forecast("predict", "--period", "2027-FW05")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "fiscal_pattern" in ran.err
