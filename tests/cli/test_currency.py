"""Bills in two currencies on the command line: the settings, the rates that answers show, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.adapters.ledger_rows import row, write_csv
from tests.cli.homes import Commands

RATES = "date,from,to,rate,source\n2026-01-05,EUR,USD,1.1,central bank\n"
EURO = row(BillingCurrency="EUR", EffectiveCost="10", BilledCost="20")
DOLLAR = row(EffectiveCost="1", BilledCost="2")


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "bill.csv", [DOLLAR, EURO])


@pytest.fixture
def rated(empty_home: Path) -> Path:
    """A home with a table of rates."""
    empty_home.mkdir()
    (empty_home / "rates.csv").write_text(RATES)
    return empty_home


def test_table_in_the_home_is_used_and_every_answer_shows_it(forecast: Commands, rated: Path, bill: Path) -> None:
    report = forecast("ingest", bill, "--json").document
    assert (report["currency"], report["effective_cost"]) == ("USD", "12.000000000000")
    document = forecast("panel", "--json").document
    assert (document["currency"], [one["y"] for one in document["rows"]]) == ("USD", [12.0])
    (shown,) = document["rates"]
    assert (shown["from"], shown["to"], shown["lowest"], shown["newest_rate"], shown["source"]) == ("EUR", "USD", "1.1", "2026-01-05", "central bank")
    assert forecast("doctor", "--json").document["ledger"]["rates"] == [shown]


def test_people_see_the_rates_beside_the_numbers(forecast: Commands, rated: Path, bill: Path, tmp_path: Path) -> None:
    told = forecast("ingest", bill).out
    assert "1 rows in EUR: 10 effective, 20 billed" in " ".join(told.split())
    ran = forecast("panel")
    assert ran.out.splitlines() == ["unique_id,ds,y", "company,2026-01-05,12.0"]
    assert "in USD: 1 EUR is 1.1 USD (rates of 2026-01-05, central bank; charges of 2026-01-05)" in ran.err
    assert forecast("panel", "--out", tmp_path / "panel.parquet", "--json").document["rates"][0]["from"] == "EUR"


def test_table_elsewhere_and_currency_are_settings(
    forecast: Commands, empty_home: Path, bill: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rates.toml").write_text(
        'inverse = true\n[[rates]]\ndate = 2026-01-05\nfrom = "EUR"\nto = "USD"\nrate = "1.25"\n',
    )
    monkeypatch.setenv("FORECAST_RATES", str(tmp_path / "rates.toml"))
    monkeypatch.setenv("FORECAST_CURRENCY", "eur")
    assert forecast("ingest", bill, "--json").document["effective_cost"] == "10.800000000000"
    document = forecast("panel", "--json").document
    assert (document["currency"], document["rows"][0]["y"], document["rates"][0]["way"]) == ("EUR", 10.8, "inverse")


def test_one_currency_shows_no_rates(forecast: Commands, rated: Path, tmp_path: Path) -> None:
    forecast("ingest", write_csv(tmp_path / "a.csv", [DOLLAR]))
    assert forecast("panel", "--json").document["rates"] == []
    assert "EUR" not in forecast("panel").err


@pytest.mark.parametrize(
    ("rates", "told"),
    [
        (None, "there is no table of rates"),
        (RATES.replace("2026-01-05", "2025-12-01"), "no rate EUR→USD for 2026-01-05: newest is 2025-12-01"),
        (RATES.replace("EUR", "GBP"), "no rate EUR→USD: the table has GBP→USD"),
        (RATES.replace("1.1", "1,1"), "rates.csv, line 2"),
    ],
)
def test_bill_without_a_rate_is_an_input_error_and_nothing_is_taken_in(
    forecast: Commands, empty_home: Path, bill: Path, rates: str | None, told: str
) -> None:
    empty_home.mkdir()
    if rates is not None:
        (empty_home / "rates.csv").write_text(rates)
    ran = forecast("ingest", bill)
    assert ran.code == 2
    assert told in ran.err.splitlines()[-1]
    (empty_home / "rates.csv").unlink(missing_ok=True)
    assert json.loads(forecast("doctor", "--json").out)["ledger"] is None


def test_table_that_is_not_there_is_an_error_of_the_setting(
    forecast: Commands, empty_home: Path, bill: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECAST_RATES", "nowhere.csv")
    ran = forecast("ingest", bill)
    assert (ran.code, "nowhere.csv cannot be read as a table of rates" in ran.err) == (2, True)
    monkeypatch.delenv("FORECAST_RATES")
    monkeypatch.setenv("FORECAST_CURRENCY", "dollars")
    assert "currency is not a currency: got 'dollars'" in forecast("ingest", bill).err
