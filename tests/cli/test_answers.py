"""Answers from a snapshot: the same numbers as the workflows give, as JSON and as tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from forecast.budgets.budget import Budget
from forecast.commands.console import money, percent, plain
from forecast.snapshot import Snapshot
from forecast.spend.periods import parse_period
from forecast.spend.scope import Scope
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.overruns import overrun_answer
from tests.cli.homes import Commands

QUARTER = parse_period("2027-Q1")


def test_predict_gives_the_answer_of_the_workflow(forecast: Commands, snapshot: Snapshot) -> None:
    ran = forecast("predict", "--period", "2027-Q1", "--scope", "stage=prod", "--by", "team", "--quantiles", "0.05,0.5", "--json")
    expected = forecast_answer(snapshot, scope=Scope.parse("stage=prod"), period=QUARTER, group_by=("team",), quantiles=[0.05, 0.5])
    assert ran.document == json.loads(json.dumps(plain(expected)))
    assert len(ran.document["rows"]) == 6  # research has no stage prod


def test_predict_by_start_and_end_is_predict_by_period(forecast: Commands, snapshot: Snapshot) -> None:
    by_days = forecast("predict", "--start", "2027-01-01", "--end", "2027-04-01", "--json").document
    assert by_days == forecast("predict", "--period", "2027-Q1", "--json").document


def test_fiscal_quarters_move_with_the_start_of_the_year(forecast: Commands, snapshot: Snapshot) -> None:
    answer = forecast("predict", "--period", "2027-Q4", "--fiscal-start", "4", "--json").document
    assert (answer["start"], answer["end"]) == ("2027-01-01", "2027-04-01")


def test_table_names_snapshot_cutoff_and_backtest(forecast: Commands, snapshot: Snapshot) -> None:
    ran = forecast("predict", "--period", "2027-Q1", "--by", "team", "--quantiles", "0.5,0.975")
    assert ran.code == 0
    for told in (snapshot.id[:12], str(snapshot.cutoff), "effective cost in USD", "WAPE", "P97.5", "research", "quantiles do not"):
        assert told in ran.out


def test_snapshot_can_be_chosen_by_the_beginning_of_its_id(forecast: Commands, snapshot: Snapshot) -> None:
    answer = forecast("predict", "--period", "2027-Q1", "--snapshot", snapshot.id[:8], "--json").document
    assert answer["snapshot_id"] == snapshot.id


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["predict", "--period", "2027-Q1", "--scope", "team=adds"], "nearest: ads"),
        (["predict", "--period", "2035-Q1"], "horizon"),
        (["predict", "--period", "2027-Q1", "--granularity", "fortnight"], "fortnight"),
        (["predict", "--period", "2027-Q1", "--cost", "billed"], "forecast train --cost billed"),
        (["predict", "--period", "2027-Q1", "--snapshot", "ffffffffffff"], "ffffffffffff"),
        (["budget", "risk", "nobody"], "nobody"),
        (["budget", "risk", "--period", "2027-Q1"], "--amount is missing"),
        (["budget", "risk", "--period", "2027-Q1", "--amount", "-1"], "-1"),
        (["budget", "risk", "--period", "2027-Q1", "--amount", "nan"], "nan"),
        (["budget", "risk", "ads-q1", "--amount", "5"], "two ways"),
        (["budget", "remove", "nobody"], "nobody"),
    ],
)
def test_wrong_question_is_an_input_error(forecast: Commands, snapshot: Snapshot, arguments: list[str], told: str) -> None:
    ran = forecast(*arguments, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


def test_overrun_of_a_stored_budget_names_it(forecast: Commands, snapshot: Snapshot) -> None:
    expected = overrun_answer(snapshot, Budget("ads-q1", Scope.parse("team=ads"), QUARTER.start, QUARTER.end, 100_000.0))
    document = forecast("budget", "risk", "ads-q1", "--json").document
    assert document == json.loads(json.dumps(plain(expected)))
    assert (document["budget_id"], document["kind"], document["parent"]) == ("ads-q1", "budget", None)
    told = forecast("budget", "risk", "ads-q1").out
    assert "100,000" in told
    assert "probability of an overrun" in told


def test_ad_hoc_overrun_is_the_stored_one(forecast: Commands, snapshot: Snapshot) -> None:
    ad_hoc = forecast(
        "budget", "risk", "--scope", "team=ads", "--start", "2027-01-01", "--end", "2027-04-01", "--amount", "100000", "--json"
    ).document
    stored = forecast("budget", "risk", "ads-q1", "--json").document
    assert {name: stored[name] for name in ad_hoc} == ad_hoc
    assert set(stored) - set(ad_hoc) == {"budget_id", "name", "owner", "kind", "parent", "repeats"}


def test_all_stored_budgets_at_once_leave_out_what_nobody_can_answer(forecast: Commands, snapshot: Snapshot) -> None:
    ran = forecast("budget", "risk", "--json")
    assert [answer["budget_id"] for answer in ran.document["budgets"]] == ["ads-q1", "company-q1"]
    assert "budget old is left out" in ran.err


def test_budgets_of_a_file_are_answered_in_its_order(forecast: Commands, snapshot: Snapshot, tmp_path: Path) -> None:
    asked = [
        ("team=search,stage=prod", "2027-01-01", "2027-02-01", "200000"),
        ("", "2026-12-01", "2027-01-01", "3e5"),
        ("team=ads", "2027-03-01", "2027-04-01", "1"),
    ]
    file = tmp_path / "budgets.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["amount", "scope", "start", "end"])
        writer.writerows((amount, scope, start, end) for scope, start, end, amount in asked)
    answers = forecast("budget", "risk", "--file", file, "--json").document["budgets"]
    for answer, (scope, start, end, amount) in zip(answers, asked, strict=True):
        days = parse_period(f"{start}..{end}")
        budget = Budget("ad-hoc", Scope.parse(scope), days.start, days.end, float(amount))
        assert answer == json.loads(json.dumps(plain(overrun_answer(snapshot, budget))))
    assert "team=ads" in forecast("budget", "risk", "--file", file).out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("scope,start,end,amount\n", "no rows"),
        ("scope,start,end\nx=1,2027-01-01,2027-02-01\n", "no column amount"),
        ("scope,start,end,amount\nteam=ads,2027-01-01,2027-02-01\n", "line 2"),
        ("scope,start,end,amount\nteam=ads,stage=prod,2027-01-01,2027-02-01,5\n", "in quotes"),
        ("scope,start,end,amount\nteam=ads,2027-01-01,2027-02-01,5\nteam=ads,2027-02-01,2027-01-01,5\n", "line 3"),
        ("scope,start,end,amount\nteam=ads,soon,2027-01-01,5\n", "soon"),
        ("scope,start,end,amount\nteam=ads,2027-01-01,2027-02-01,lots\n", "lots"),
        ("scope,start,end,amount\nteam=ads,2027-01-01,2027-02-01,inf\n", "inf"),
        ("scope,start,end,amount\nteam=nobody,2027-01-01,2027-02-01,5\n", "nobody"),
        ('scope,start,end,amount\n"team=ads,2027-01-01,2027-02-01,5\n', "not CSV"),
    ],
)
def test_file_of_budgets_with_a_fault_is_refused_as_a_whole(forecast: Commands, snapshot: Snapshot, tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "budgets.csv"
    file.write_text(text)
    ran = forecast("budget", "risk", "--file", file, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert "budgets.csv" in ran.err


def test_budget_is_added_listed_replaced_and_removed(forecast: Commands, empty_home: Path) -> None:
    assert forecast("budget", "list", "--json").document == {"budgets": []}
    assert not empty_home.exists()
    added = forecast(
        "budget", "add", "q1", "--scope", "team=ads", "--period", "2027-Q1", "--amount", "5", "--currency", "eur", "--owner", "Ada", "--json"
    ).document
    assert added["currency"] == "EUR"
    assert added.pop("warnings") == []
    assert forecast("budget", "list", "--json").document == {"budgets": [added]}
    forecast("budget", "add", "q1", "--period", "2027-Q2", "--amount", "7")
    assert [item["amount"] for item in forecast("budget", "list", "--json").document["budgets"]] == [7.0]
    assert "q1" in forecast("budget", "list").out
    assert forecast("budget", "remove", "q1", "--json").document == {"removed": "q1"}
    assert forecast("budget", "list", "--json").document == {"budgets": []}


@pytest.mark.parametrize("amount", ["0", "-5", "nan", "inf"])
def test_amount_that_is_not_money_is_refused_and_nothing_is_made(forecast: Commands, empty_home: Path, amount: str) -> None:
    ran = forecast("budget", "add", "q1", "--period", "2027-Q1", "--amount", amount)
    assert ran.code == 2
    assert not empty_home.exists()


def test_money_and_percentages_read_well() -> None:
    assert [money(value) for value in (1234567.8, 99.5, 0.0, -2500.0, None, float("nan"))] == ["1,234,568", "99.50", "0", "-2,500", "–", "–"]
    assert [percent(value) for value in (0.1234, None)] == ["12.3 %", "–"]


def test_a_single_row_that_is_the_total_is_shown_once(forecast: Commands, snapshot: Snapshot) -> None:
    month = forecast("predict", "--period", "2027-02").out
    assert [row.split()[0] for row in month.splitlines() if "2027-02-01   2027-03-01" in row] == ["total"]
    assert forecast("predict", "--period", "2027-Q1").out.count("total ") == 4
