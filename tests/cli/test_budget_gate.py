"""`forecast budget gate` and `history`: exit codes that a pipeline reads, and the answers of the workflows."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters.records import Records
from forecast.budgets.budget import Budget
from forecast.budgets.gate import Plan, Report
from forecast.commands.console import plain
from forecast.config import load_settings
from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from forecast.workflows.gate import gate_answer
from forecast.workflows.risk_history import budget_risks
from tests.cli.homes import NOW, Commands, Ran, make_home

EXPERIMENT = Budget("exp", Scope.parse("workload=brand-new"), date(2026, 12, 1), date(2027, 1, 1), 1000.0, kind="experiment")
AT = ("--at", "2026-12-11")


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """A home with a snapshot and an experiment that this test may write to."""
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    written = make_home(tmp_path / "home")
    put(tmp_path / "home", EXPERIMENT)
    return written


def put(home: Path, budget: Budget) -> None:
    records = Records(load_settings(home=home).records_address)
    records.put_budget(budget, now=NOW)
    records.close()


@pytest.mark.parametrize(("spent", "decision", "code"), [("100", "go", 0), ("330", "warn", 0), ("700", "stop", 3), ("5000", "stop", 3)])
def test_exit_code_is_zero_for_go_and_warn_and_three_for_stop(forecast: Commands, own_home: Snapshot, spent: str, decision: str, code: int) -> None:
    arguments = ("budget", "gate", "exp", "--planned", "900", "--low", "800", "--high", "1100", "--spent", spent, "--progress", "0.3", *AT)
    ran = forecast(*arguments)
    assert (ran.code, ran.out.splitlines()[0]) == (code, decision)
    assert own_home.id[:12] in ran.out
    as_json = forecast(*arguments, "--json")
    answer = json.loads(as_json.out)
    assert (as_json.code, answer["decision"]) == (code, decision)
    report = Report(float(spent), 0.3)
    expected = gate_answer(own_home, EXPERIMENT, plan=Plan(900.0, 800.0, 1100.0), report=report, today=date(2026, 12, 11))
    assert answer == json.loads(json.dumps(plain(expected)))


def test_limits_of_the_question_decide(forecast: Commands, own_home: Snapshot) -> None:
    asked = ("budget", "gate", "exp", "--planned", "700", "--low", "500", "--high", "1000", *AT)  # exceeded in 10 % of futures
    assert forecast(*asked).out.startswith("go")
    assert forecast(*asked, "--warn", "0.05").out.startswith("warn")
    assert forecast(*asked, "--stop", "0.05").code == 3


def test_gate_answers_before_the_first_training_by_the_plan_alone(forecast: Commands, empty_home: Path) -> None:
    empty_home.mkdir()
    put(empty_home, EXPERIMENT)
    answer = forecast("budget", "gate", "exp", "--planned", "500", *AT, "--json").document
    assert (answer["decision"], answer["snapshot_id"], answer["spent"]) == ("go", None, None)
    assert forecast("budget", "gate", "exp", "--spent", "1001", *AT).code == 3
    ran = forecast("budget", "gate", "exp", *AT)
    assert (ran.code, ran.out) == (2, "")
    assert "no snapshot" in ran.err


def test_run_outside_of_the_budgets_days_is_warned(forecast: Commands, own_home: Snapshot) -> None:
    assert forecast("budget", "gate", "exp", "--planned", "1", "--at", "2027-03-01", "--json").document["decision"] == "warn"
    assert forecast("budget", "gate", "exp", "--planned", "1", "--json").document["decision"] in {"go", "warn"}  # whatever day it is


def test_budget_that_repeats_is_asked_for_the_days_that_hold_today(forecast: Commands, own_home: Snapshot, tmp_path: Path) -> None:
    put(tmp_path / "home", Budget("monthly", Scope.parse("team=ads"), date(2026, 11, 1), date(2026, 12, 1), 40_000.0, repeats="month"))
    answer = forecast("budget", "gate", "monthly", "--planned", "10", "--at", "2027-02-14", "--json").document
    assert (answer["start"], answer["end"], answer["decision"]) == ("2027-02-01", "2027-03-01", answer["decision"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nobody"], "nobody"),
        (["exp", "--planned", "0"], "planned"),
        (["exp", "--planned", "-5"], "planned"),
        (["exp", "--planned", "nan"], "planned"),
        (["exp", "--planned", "10", "--low", "20", "--high", "5"], "above high"),
        (["exp", "--planned", "10", "--low", "5"], "high is missing"),
        (["exp", "--planned", "10", "--low", "11", "--high", "15"], "not between"),
        (["exp", "--low", "5", "--high", "10"], "planned"),
        (["exp", "--spent", "-1"], "spent"),
        (["exp", "--spent", "1", "--progress", "1.5"], "0 to 1"),
        (["exp", "--progress", "0.5"], "spent is not"),
        (["exp", "--since", "2026-12-01"], "since"),
        (["exp", "--spent", "1", "--since", "soon"], "YYYY-MM-DD"),
        (["exp", "--spent", "1", "--since", "2026-12-20"], "after today"),
        (["exp", "--planned", "1", "--warn", "0.5", "--stop", "0.2"], "above stop"),
        (["exp", "--planned", "1", "--stop", "1.5"], "probability"),
        (["exp", "--planned", "1", "--snapshot", "ffffffffffff"], "ffffffffffff"),
        (["exp"], "brand-new"),
        (["exp", "--planned", "lots"], "--planned"),
    ],
)
def test_question_that_cannot_be_is_bad_input_and_neither_go_nor_stop(
    forecast: Commands, own_home: Snapshot, arguments: list[str], told: str
) -> None:
    ran = forecast("budget", "gate", *arguments, *AT, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


def test_gate_and_history_of_a_home_without_records_make_none(forecast: Commands, empty_home: Path) -> None:
    for command in (("gate", "x", "--planned", "1"), ("history", "x")):
        ran = forecast("budget", *command)
        assert (ran.code, ran.out) == (2, "")
        assert "No budget has the id 'x'" in ran.err
    assert not empty_home.exists()


def history_of(ran: Ran) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ran.document["history"]
    return found


def test_history_shows_stored_rows_and_asks_kept_snapshots(forecast: Commands, own_home: Snapshot, tmp_path: Path) -> None:
    asked_now = history_of(forecast("budget", "history", "ads-q1", "--json"))
    assert [(row["snapshot_id"], row["stored"]) for row in asked_now] == [(own_home.id, False)]
    budget = Budget("ads-q1", Scope.parse("team=ads"), date(2027, 1, 1), date(2027, 4, 1), 100_000.0)
    records = Records(load_settings(home=tmp_path / "home").records_address)
    records.put_risks(budget_risks(own_home, [budget], now=datetime(2026, 12, 11, 7, tzinfo=UTC))[0])
    records.close()
    kept = history_of(forecast("budget", "history", "ads-q1", "--json"))
    assert [(row["snapshot_id"], row["stored"]) for row in kept] == [(own_home.id, True)]
    assert kept[0]["overrun_probability"] == asked_now[0]["overrun_probability"]
    assert kept[0]["computed_at"].startswith("2026-12-11T07:00:00")
    shown = forecast("budget", "history", "ads-q1").out
    assert "2026-12-10" in shown
    assert "100,000" in shown
    assert history_of(forecast("budget", "history", "ads-q1", "--since", "2026-12-11", "--json")) == []


def test_history_of_a_budget_that_nobody_has_seen_says_what_to_do(forecast: Commands, empty_home: Path) -> None:
    empty_home.mkdir()
    put(empty_home, EXPERIMENT)
    assert "forecast train" in forecast("budget", "history", "exp").out
    assert history_of(forecast("budget", "history", "exp", "--json")) == []
