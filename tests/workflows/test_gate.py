"""The gate before and while a run goes on: with bills, before the first one, and without any snapshot."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from forecast.budgets.budget import Budget
from forecast.budgets.gate import Plan, Report
from forecast.budgets.thresholds import Threshold
from forecast.errors import BudgetError, InputError, NotFoundError, OutsideHorizonError, UnknownScopeError
from forecast.snapshot import Snapshot
from forecast.spend.currency import DatedRate, Rates
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.gate import gate_answer, read_run
from forecast.workflows.overruns import overrun_answer
from forecast.workflows.readings import read_scope
from tests.snapshots_for_tests import CUTOFF, shared_snapshot

DECEMBER = Period(date(2026, 12, 1), date(2027, 1, 1))
FIELDS = {"decision", "probability", "standard_error", "amount", "spent", "reported", "expected_total", "p10", "p50", "p90", "reasons", "snapshot_id"}


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return shared_snapshot()


def experiment(scope: str = "workload=ranking", amount: float = 5000.0, **more: Any) -> Budget:
    return Budget("exp", Scope.parse(scope), DECEMBER.start, DECEMBER.end, amount, kind="experiment", **more)


def of_team(amount: float = 40_000.0, **more: Any) -> Budget:
    return Budget("ads", Scope.parse("team=ads"), DECEMBER.start, DECEMBER.end, amount, **more)


def billed(snapshot: Snapshot, budget: Budget, since: date | None = None) -> float:
    return read_scope(snapshot, budget.scope, Period(since or budget.start, CUTOFF + timedelta(days=1))).spent


@pytest.mark.parametrize("kind", ["budget", "experiment", "balance"])
def test_without_plan_and_report_it_is_the_plain_probability_of_an_overrun(snapshot: Snapshot, kind: str) -> None:
    for amount in (35_000.0, 37_000.0, 39_000.0):
        budget = of_team(amount, kind=kind)
        gate, overrun = gate_answer(snapshot, budget), overrun_answer(snapshot, budget)
        assert gate["probability"] == overrun["overrun_probability"]
        assert gate["standard_error"] == overrun["standard_error"]
        assert gate["expected_total"] == pytest.approx(overrun["total"]["mean"])
        assert (gate["spent"], gate["reported"], gate["rest"], gate["snapshot_id"]) == (overrun["spent"], None, None, snapshot.id)


def test_answer_has_its_fields_and_is_plain_data(snapshot: Snapshot) -> None:
    answer = gate_answer(snapshot, of_team(), plan=Plan.of(4000.0), report=Report(100.0, 0.1, date(2026, 12, 9)), today=date(2026, 12, 11))
    assert set(answer) >= FIELDS
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert all(any(letter.isdigit() for letter in sentence) and sentence.endswith(".") for sentence in answer["reasons"])


def test_equal_questions_have_equal_answers(snapshot: Snapshot) -> None:
    asked: dict[str, Any] = {"plan": Plan.of(4000.0), "report": Report(100.0, 0.1)}
    assert gate_answer(snapshot, of_team(), **asked) == gate_answer(snapshot, of_team(), **asked)
    assert gate_answer(snapshot, of_team(), **asked) != gate_answer(snapshot, of_team(), seed=1, **asked)


@pytest.mark.parametrize("reported", [0.5, 1.0, 2.0])
def test_money_that_bills_hold_already_is_not_counted_twice(snapshot: Snapshot, reported: float) -> None:
    since = date(2026, 12, 8)
    budget = experiment(amount=1e6)
    bills, before = billed(snapshot, budget, since), billed(snapshot, budget) - billed(snapshot, budget, since)
    answer = gate_answer(snapshot, budget, report=Report(reported * bills, 1.0, since))
    assert answer["expected_total"] == pytest.approx(before + max(1.0, reported) * bills)
    assert answer["spent"] == pytest.approx(before + bills)


def test_experiment_that_reports_without_its_first_day_began_with_its_budget(snapshot: Snapshot) -> None:
    budget = experiment(amount=1e6)
    answer = gate_answer(snapshot, budget, report=Report(10.0, 1.0))
    assert answer["expected_total"] == pytest.approx(billed(snapshot, budget))


def test_run_that_has_not_begun_comes_on_top_of_what_others_were_billed(snapshot: Snapshot) -> None:
    budget = experiment(amount=1e6)
    answer = gate_answer(snapshot, budget, plan=Plan(500.0, 500.0, 500.0))
    assert answer["expected_total"] == pytest.approx(billed(snapshot, budget) + 500.0)


def test_run_inside_a_teams_budget_is_added_to_the_teams_forecast(snapshot: Snapshot) -> None:
    plain = overrun_answer(snapshot, of_team())
    planned = gate_answer(snapshot, of_team(), plan=Plan(500.0, 500.0, 500.0))
    assert planned["expected_total"] == pytest.approx(plain["total"]["mean"] + 500.0)
    fresh = gate_answer(snapshot, of_team(), report=Report(200.0, 0.5, CUTOFF + timedelta(days=1)), plan=Plan(400.0, 400.0, 400.0))
    assert fresh["expected_total"] == pytest.approx(plain["total"]["mean"] + 400.0)


def test_gate_works_before_the_first_bill_of_its_scope(snapshot: Snapshot) -> None:
    budget = experiment("workload=brand-new", amount=1000.0)
    answer = gate_answer(snapshot, budget, plan=Plan(800.0, 500.0, 1300.0))
    assert (answer["spent"], answer["snapshot_id"]) == (0.0, snapshot.id)
    assert answer["p50"] == pytest.approx(800.0, rel=1e-3)
    assert "Nothing has been billed for workload=brand-new yet" in " ".join(answer["reasons"])
    with pytest.raises(UnknownScopeError):
        gate_answer(snapshot, budget)


def test_gate_works_without_any_snapshot() -> None:
    plan = Plan(800.0, 500.0, 1300.0)
    answer = gate_answer(None, experiment(amount=1300.0, currency="EUR"), plan=plan)
    assert answer["probability"] == pytest.approx(0.1, abs=1e-3)
    assert (answer["decision"], answer["spent"], answer["snapshot_id"], answer["cutoff"], answer["currency"]) == ("go", None, None, None, "EUR")
    assert gate_answer(None, experiment(amount=1300.0), report=Report(1301.0))["decision"] == "stop"
    with pytest.raises(NotFoundError, match="no snapshot"):
        gate_answer(None, experiment())


def test_run_fails_fast_as_it_goes_over_its_plan(snapshot: Snapshot) -> None:
    budget, plan = experiment("workload=brand-new", amount=1000.0), Plan(800.0, 650.0, 1000.0)
    decisions = [gate_answer(snapshot, budget, plan=plan, report=Report(spent, 0.4))["decision"] for spent in (200.0, 320.0, 420.0, 550.0, 900.0)]
    assert decisions == sorted(decisions, key=["go", "warn", "stop"].index)
    assert (decisions[0], decisions[-1]) == ("go", "stop")


def test_probability_rises_with_what_is_reported_and_falls_with_the_amount(snapshot: Snapshot) -> None:
    plan = Plan(20_000.0, 15_000.0, 30_000.0)
    rising = [gate_answer(snapshot, experiment(amount=25_000.0), plan=plan, report=Report(spent, 0.5))["probability"] for spent in (1e3, 1e4, 2e4)]
    falling = [gate_answer(snapshot, experiment(amount=amount), plan=plan)["probability"] for amount in (2e4, 3e4, 5e4)]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)


def test_thresholds_of_the_budget_and_of_the_question_decide(snapshot: Snapshot) -> None:
    own = tuple(Threshold.parse(text) for text in ("probability>=5%", "probability>=10%:act"))
    budget = experiment("workload=brand-new", amount=1000.0, thresholds=own)
    plan = Plan(800.0, 640.0, 1000.0)  # exceeded in 10 % of futures
    assert gate_answer(snapshot, budget, plan=plan)["decision"] == "stop"
    assert gate_answer(snapshot, budget, plan=plan, stop=0.5)["decision"] == "warn"
    assert gate_answer(snapshot, budget, plan=plan, warn=0.2, stop=0.5)["decision"] == "go"
    with pytest.raises(BudgetError):
        gate_answer(snapshot, budget, plan=plan, warn=0.5, stop=0.2)


@pytest.mark.parametrize("today", [date(2026, 11, 30), date(2027, 1, 1)])
def test_run_outside_of_the_budgets_days_is_warned_at_least(snapshot: Snapshot, today: date) -> None:
    budget = experiment(amount=1e9)
    answer = gate_answer(snapshot, budget, plan=Plan.of(10.0), today=today)
    assert (answer["probability"], answer["decision"]) == (0.0, "warn")
    assert str(today) in answer["reasons"][-1]
    assert gate_answer(snapshot, budget, plan=Plan.of(10.0), today=DECEMBER.start)["decision"] == "go"
    assert gate_answer(snapshot, budget, today=today)["decision"] == "go"


def test_first_day_after_today_is_refused(snapshot: Snapshot) -> None:
    with pytest.raises(BudgetError, match="after today"):
        gate_answer(snapshot, experiment(), report=Report(1.0, None, date(2026, 12, 20)), today=date(2026, 12, 12))


def test_experiment_beyond_the_horizon_asks_the_forecast_nothing(snapshot: Snapshot) -> None:
    far = replace(experiment(), end=date(2035, 1, 1))
    assert gate_answer(snapshot, far, plan=Plan.of(10.0), report=Report(1.0))["spent"] == pytest.approx(billed(snapshot, far))
    later = replace(experiment(), start=date(2034, 1, 1), end=date(2035, 1, 1))
    assert gate_answer(snapshot, later, plan=Plan.of(10.0))["spent"] == 0.0
    with pytest.raises(OutsideHorizonError):
        gate_answer(snapshot, far)
    with pytest.raises(OutsideHorizonError):
        gate_answer(snapshot, replace(far, kind="budget"), plan=Plan.of(10.0))


def test_budget_that_begins_before_the_first_bill_has_none_of_these_days(snapshot: Snapshot) -> None:
    early = replace(of_team(1e9), start=snapshot.first_day - timedelta(days=100))
    assert gate_answer(snapshot, early)["spent"] == pytest.approx(billed(snapshot, of_team(), snapshot.first_day))
    over = replace(of_team(), start=snapshot.first_day - timedelta(days=100), end=snapshot.first_day)
    assert gate_answer(snapshot, over, report=Report(5.0))["expected_total"] == 5.0


def test_run_is_told_in_the_budgets_currency_and_answered_in_the_forecasts(snapshot: Snapshot) -> None:
    rates = Rates.of([DatedRate("EUR", "USD", CUTOFF, Decimal("1.25"))])
    budget = experiment("workload=brand-new", amount=1000.0, currency="EUR")
    answer = gate_answer(snapshot, budget, plan=Plan(800.0, 800.0, 800.0), report=Report(400.0), rates=rates)
    assert (answer["currency"], answer["amount"], answer["reported"], answer["expected_total"]) == ("USD", 1250.0, 500.0, pytest.approx(1000.0))
    assert answer["converted"]["rate"] == "1.25"
    with pytest.raises(BudgetError, match="EUR→USD"):
        gate_answer(snapshot, budget, plan=Plan.of(800.0))


def test_what_is_said_of_a_run_is_read_as_a_whole() -> None:
    assert read_run() == (None, Report())
    plan, report = read_run(planned=10.0, low=5.0, high=20.0, spent=1.0, progress=0.5, since=date(2026, 12, 1))
    assert (plan, report) == (Plan(10.0, 5.0, 20.0), Report(1.0, 0.5, date(2026, 12, 1)))
    wrongs: tuple[dict[str, Any], ...] = ({"since": date(2026, 12, 1)}, {"progress": 0.5}, {"low": 1.0, "high": 2.0}, {"spent": -1.0})
    for wrong in wrongs:
        with pytest.raises(InputError):
            read_run(**wrong)


@pytest.mark.parametrize("limit", [0.9, 1.0, 1.15])
def test_gate_over_bills_and_plan_says_the_frequency(snapshot: Snapshot, limit: float) -> None:
    """The team's future is one of the snapshot's paths and the run costs a draw of its plan: P(said) is how often both exceed the budget."""
    plan = Plan(6000.0, 4500.0, 9000.0)
    rng = np.random.default_rng(11)
    z = rng.standard_normal((snapshot.n_paths, 400)) / 1.2815515655446004
    runs = plan.planned * np.where(z > 0, (plan.high / plan.planned) ** z, (plan.planned / plan.low) ** z)
    totals = read_scope(snapshot, of_team().scope, DECEMBER).totals()[:, None] + runs
    budget = of_team(limit * float(np.median(totals)))
    answer = gate_answer(snapshot, budget, plan=plan)
    assert answer["probability"] == pytest.approx(np.mean(totals > budget.amount), abs=3 * max(answer["standard_error"], 0.005))


@pytest.mark.parametrize("spent", [None, 0.0, 1e-9, 1e3, 1e15])
@pytest.mark.parametrize("planned", [None, 1e-9, 1e3, 1e15])
def test_answers_are_numbers_however_large_or_small_what_is_said(snapshot: Snapshot, spent: float | None, planned: float | None) -> None:
    for progress in [None] if spent is None else [None, 0.0, 1e-12, 0.5, 0.999999, 1.0]:
        plan = None if planned is None else Plan(planned, 1e-6 * planned, max(planned, 1e15))
        for kind in ("experiment", "budget"):
            answer = gate_answer(snapshot, of_team(kind=kind), plan=plan, report=Report(spent, progress))
            assert json.loads(json.dumps(answer, allow_nan=False)) == answer
            assert 0.0 <= answer["probability"] <= 1.0
            assert answer["p10"] <= answer["p50"] <= answer["p90"]
            assert answer["p10"] >= (spent or 0.0)
