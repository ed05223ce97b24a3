"""`forecast budget risk`: currencies, what was known on a day, occurrences, and what a person is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from forecast.adapters.records import Records
from forecast.budgets.budget import Budget, Phase
from forecast.budgets.thresholds import Threshold
from forecast.config import load_settings
from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from tests.cli.homes import NOW, Commands, make_home
from tests.serving.homes import add_snapshot
from tests.snapshots_for_tests import make_snapshot

ADS = Scope.parse("team=ads")
QUESTION = ("budget", "risk", "--scope", "team=ads", "--period", "2027-Q1", "--amount", "100000")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, because these tests write to it."""
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    make_home(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def forecast(capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(capsys)


def put(home: Path, *budgets: Budget) -> None:
    records = Records(load_settings(home=home).records_address)
    records.put_budgets(list(budgets), now=NOW)
    records.close()


def older(home: Path) -> Snapshot:
    """A second snapshot that knows a month less."""
    made = make_snapshot(cutoff=date(2026, 11, 10), n_paths=50)
    return add_snapshot(load_settings(home=home), made, created_at=datetime(2026, 11, 11, tzinfo=UTC))


def test_amount_in_another_currency_needs_a_rate(forecast: Commands, home: Path) -> None:
    refused = forecast(*QUESTION, "--currency", "eur")
    assert refused.code == 2
    assert "EUR→USD" in refused.err
    assert "2026-12-10,EUR,USD,RATE" in refused.err
    (home / "rates.csv").write_text("date,from,to,rate,source\n2026-12-08,EUR,USD,1.1,bank\n", encoding="utf-8")
    answer = forecast(*QUESTION, "--currency", "EUR", "--json").document
    assert (answer["amount"], answer["converted"]["rate"]) == (pytest.approx(110_000.0), "1.1")
    assert "100,000.00 EUR at 1.1 USD (rate of 2026-12-08, bank)" in forecast(*QUESTION, "--currency", "EUR").out


def test_currency_column_of_a_file_is_not_passed_over(forecast: Commands, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "budgets.csv"
    file.write_text("scope,start,end,amount,currency\nteam=ads,2027-01-01,2027-04-01,5,\nteam=ads,2027-01-01,2027-04-01,5,eur\n", encoding="utf-8")
    refused = forecast("budget", "risk", "--file", file)
    assert (refused.code, "line 3" in refused.err, "EUR→USD" in refused.err) == (2, True, True)
    (home / "rates.csv").write_text("date,from,to,rate\n2026-12-08,EUR,USD,1.1\n", encoding="utf-8")
    answers = forecast("budget", "risk", "--file", file, "--json").document["budgets"]
    assert [answer["amount"] for answer in answers] == [5.0, pytest.approx(5.5)]


def test_as_of_answers_from_what_was_known_on_that_day(forecast: Commands, home: Path) -> None:
    known_then = older(home)
    for day, cutoff in (("2026-11-10", "2026-11-10"), ("2026-12-09", "2026-11-10"), ("2026-12-10", "2026-12-10"), ("2030-01-01", "2026-12-10")):
        assert forecast(*QUESTION, "--as-of", day, "--json").document["cutoff"] == cutoff
    assert {answer["cutoff"] for answer in forecast("budget", "risk", "--as-of", "2026-12-01", "--json").document["budgets"]} == {"2026-11-10"}
    early = forecast(*QUESTION, "--as-of", "2026-11-09")
    assert (early.code, "the oldest of cost effective is of 2026-11-10" in early.err) == (2, True)
    contradiction = forecast(*QUESTION, "--as-of", "2026-11-09", "--snapshot", known_then.id)
    assert (contradiction.code, "after as_of 2026-11-09" in contradiction.err) == (2, True)
    assert forecast(*QUESTION, "--as-of", "yesterday").code == 2


def test_named_snapshot_of_billed_cost_answers_ad_hoc_questions(forecast: Commands, home: Path) -> None:
    billed = add_snapshot(load_settings(home=home), replace(make_snapshot(n_paths=50, seed=3), cost="billed"))
    answer = forecast(*QUESTION, "--snapshot", billed.id, "--json").document
    assert (answer["snapshot_id"], answer["cost"]) == (billed.id, "billed")
    assert forecast(*QUESTION, "--snapshot", billed.id, "--cost", "effective").code == 2


def test_occurrence_of_a_budget_that_repeats(forecast: Commands, home: Path) -> None:
    put(home, Budget("monthly", ADS, date(2026, 9, 1), date(2026, 10, 1), 35_000.0, repeats="month"))
    assert forecast("budget", "risk", "monthly", "--json").document["start"] == "2026-12-01"
    assert forecast("budget", "risk", "monthly", "--at", "2027-02-14", "--json").document["start"] == "2027-02-01"
    assert forecast("budget", "risk", "monthly", "--at", "2026-10-14", "--json").document["status"] == "over"
    everything = forecast("budget", "risk", "--json").document["budgets"]
    assert [answer["start"] for answer in everything if answer["budget_id"] == "monthly"] == ["2026-12-01"]
    asked_twice = forecast(*QUESTION, "--at", "2027-02-14")
    assert (asked_twice.code, "--at" in asked_twice.err) == (2, True)


def test_budget_that_is_over_is_left_out_of_all_and_answered_alone(forecast: Commands, home: Path) -> None:
    put(home, Budget("october", ADS, date(2026, 10, 1), date(2026, 11, 1), 35_000.0))
    ran = forecast("budget", "risk", "--json")
    assert "october" not in {answer["budget_id"] for answer in ran.document["budgets"]}
    assert "it was over on 2026-11-01" in ran.err
    alone = forecast("budget", "risk", "october", "--json").document
    assert (alone["status"], alone["overrun_probability"] in {0.0, 1.0}) == ("over", True)


def test_person_is_shown_state_phases_and_what_is_left(forecast: Commands, home: Path) -> None:
    phases = (Phase(date(2027, 1, 1), 20_000.0), Phase(date(2027, 2, 1), 60_000.0))
    put(
        home,
        Budget("phased", ADS, date(2027, 1, 1), date(2027, 4, 1), 80_000.0, phases=phases, thresholds=(Threshold.parse("forecast>=1:act"),)),
        Budget("credits", ADS, date(2026, 12, 1), date(2027, 2, 1), 90_000.0, kind="balance"),
    )
    told = forecast("budget", "risk", "phased").out
    for text in ("act (forecast>=1:act)", "Phases", "2027-02-01", "overrun so far", "a day may still cost"):
        assert text in told
    assert "left at the end" in forecast("budget", "risk", "credits").out
