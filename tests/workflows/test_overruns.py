"""Overrun answers: the promises of the probability, the censored day and a period in every state."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pytest

from forecast.errors import BudgetError, OutsideHorizonError
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period, parse_period
from forecast.spend.scope import Scope
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.overruns import overrun_answer
from tests.snapshots_for_tests import shared_snapshot

ADS = Scope.parse("team=ads")


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return shared_snapshot()


def slow_exhaustion(snapshot: Snapshot, scope: Scope, period: Period, amount: float) -> list[date | None]:
    """Twin: walk through every day of every path."""
    node = snapshot.hierarchy.node_of(scope)
    assert node is not None
    found: list[date | None] = []
    for path in range(snapshot.n_paths):
        total, day, hit = 0.0, period.start, None
        while day < period.end and hit is None:
            stamp = np.datetime64(day, "D")
            past = np.flatnonzero(snapshot.history_ds == stamp)
            if len(past):
                total += float(snapshot.node_history[node, past[0]])
            else:
                step = int(np.flatnonzero((snapshot.starts <= stamp) & (snapshot.ends > stamp))[0])
                total += float(snapshot.node_paths[node, step, path]) / int((snapshot.ends[step] - snapshot.starts[step]).astype(int))
            hit = day if total > amount else None
            day += timedelta(days=1)
        found.append(hit)
    return found


@pytest.mark.parametrize(("period", "amount"), [("2026-Q4", 107_000.0), ("2027-Q1", 113_000.0), ("2027-03-01..2027-06-15", 130_000.0)])
def test_exhaustion_day_is_what_walking_through_the_days_finds(snapshot: Snapshot, period: str, amount: float) -> None:
    days = slow_exhaustion(snapshot, ADS, parse_period(period), amount)
    answer = overrun_answer(snapshot, scope=ADS, period=parse_period(period), amount=amount)
    assert answer["probability_exhausted"] == pytest.approx(np.mean([day is not None for day in days]))
    ordered = sorted(day or date.max for day in days)
    for name, level in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
        expected = ordered[int(np.ceil(level * len(ordered) - 1e-9)) - 1]
        assert answer["exhaustion_day"][name] == (None if expected == date.max else expected.isoformat())


def test_probability_falls_with_the_amount_and_agrees_with_the_forecast(snapshot: Snapshot) -> None:
    period = parse_period("2027-Q1")
    total = forecast_answer(snapshot, scope=ADS, period=period)["total"]
    answers = [overrun_answer(snapshot, scope=ADS, period=period, amount=amount) for amount in np.linspace(0.8, 1.2, 9) * total["mean"]]
    probabilities = [answer["overrun_probability"] for answer in answers]
    assert probabilities == sorted(probabilities, reverse=True)
    assert probabilities[0] == 1.0
    assert probabilities[-1] == 0.0
    at_p90 = overrun_answer(snapshot, scope=ADS, period=period, amount=total["p90"])
    assert at_p90["overrun_probability"] == pytest.approx(0.1, abs=0.01)
    assert at_p90["total"]["mean"] == total["mean"]
    assert at_p90["budget_at_risk"]["p90"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("amount", "probability"), [(1.0, 1.0), (1e9, 0.0)])
def test_period_that_is_over_is_certain(snapshot: Snapshot, amount: float, probability: float) -> None:
    answer = overrun_answer(snapshot, scope=ADS, period=parse_period("2026-10"), amount=amount)
    assert answer["status"] == "over"
    assert answer["overrun_probability"] == probability
    assert answer["standard_error"] == 0.0
    assert answer["run_rate"] == pytest.approx(answer["spent"])
    assert answer["exhaustion_day"]["p50"] == ("2026-10-01" if probability else None)


def test_status_burn_ratio_and_run_rate(snapshot: Snapshot) -> None:
    ahead = overrun_answer(snapshot, scope=ADS, period=parse_period("2027-Q1"), amount=1e5)
    assert (ahead["status"], ahead["spent"], ahead["burn_ratio"]) == ("ahead", 0.0, None)
    running = overrun_answer(snapshot, scope=ADS, period=parse_period("2026-Q4"), amount=1e5)
    history = snapshot.scope_history(ADS)
    assert running["status"] == "running"
    assert running["burn_ratio"] == pytest.approx((running["spent"] / 1e5) / (71 / 92))
    assert running["run_rate"] == pytest.approx(running["spent"] + history[-28:].mean() * 21)


def test_scope_finer_than_a_leaf_is_marked(snapshot: Snapshot) -> None:
    answer = overrun_answer(snapshot, scope=Scope.parse("ai_model=haiku"), period=parse_period("2026-Q4"), amount=1e5)
    assert answer["derived"] == "share"
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize("amount", [0.0, -5.0, float("nan"), float("inf"), True])
def test_amount_that_is_not_money_is_refused(snapshot: Snapshot, amount: float) -> None:
    with pytest.raises(BudgetError) as caught:
        overrun_answer(snapshot, scope=ADS, period=parse_period("2027-Q1"), amount=amount)
    assert caught.value.field == "amount"


def test_period_beyond_the_horizon_says_how_far_it_sees(snapshot: Snapshot) -> None:
    with pytest.raises(OutsideHorizonError, match="horizon ends on"):
        overrun_answer(snapshot, scope=ADS, period=parse_period("2030"), amount=1.0)
