"""The gate of a run: its probabilities are frequencies, it narrows with progress, and the same money is never counted twice."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from forecast.budgets.gate import DRAWS, Bills, Limits, Plan, Report, decide, rest_of_run, run_and_scope
from forecast.budgets.thresholds import Threshold
from forecast.errors import BudgetError

PLAN = Plan(1000.0, 700.0, 1900.0)
Z = norm.ppf(0.9)


def plan_draws(plan: Plan, n: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Twin: true costs of runs that keep to their plan, drawn by their own formula and not by the gate's."""
    z = np.random.default_rng(seed).standard_normal(n)
    above, below = (plan.high / plan.planned) ** (z / Z), (plan.planned / plan.low) ** (z / Z)
    return plan.planned * np.where(z > 0, above, below)


def said(plan: Plan | None, spent: float, progress: float | None, budget: float) -> float:
    rest = rest_of_run(plan, spent, progress, DRAWS, 7)
    assert rest is not None
    return float(np.mean(spent + rest > budget))


def test_plan_is_met_at_its_three_numbers() -> None:
    rest = rest_of_run(PLAN, 0.0, None, DRAWS, 7)
    assert rest is not None
    assert np.quantile(rest, [0.1, 0.5, 0.9]) == pytest.approx([700.0, 1000.0, 1900.0], rel=1e-3)


@pytest.mark.parametrize("budget", [500.0, 800.0, 1000.0, 1200.0, 1600.0, 2200.0, 3000.0])
def test_probability_before_a_run_is_the_frequency_with_which_such_runs_overrun(budget: float) -> None:
    n = 20_000
    came = float(np.mean(plan_draws(PLAN, n, seed=1) > budget))
    assert said(PLAN, 0.0, None, budget) == pytest.approx(came, abs=3.5 * np.sqrt(came * (1 - came) / n) + 1 / DRAWS)


@pytest.mark.parametrize("spent", [400.0, 1000.0, 2500.0])
def test_probability_of_a_run_without_progress_is_the_frequency_among_runs_that_came_so_far(spent: float) -> None:
    costs = plan_draws(PLAN, 400_000, seed=2)
    costs = costs[costs >= spent]
    for budget in spent * np.array([1.05, 1.3, 2.0]):
        came = float(np.mean(costs > budget))
        assert said(PLAN, spent, None, float(budget)) == pytest.approx(came, abs=3.5 * np.sqrt(came * (1 - came) / len(costs)) + 1 / DRAWS)


@pytest.mark.parametrize("progress", [0.1, 0.5, 0.9])
def test_reliability_while_runs_go_on(progress: float) -> None:
    """Runs whose pace is drawn from the plan and whose first part is off by the projection's error: of those for which P was said, P overran."""
    plan, n = Plan(1000.0, 600.0, 1000.0**2 / 600.0), 6000
    rng = np.random.default_rng(3)
    sigma = np.log(plan.high / plan.planned) / Z
    pace = plan.planned * np.exp(sigma * rng.standard_normal(n))
    spent = progress * pace * np.exp(sigma * np.sqrt((1 - progress) / progress) * rng.standard_normal(n))
    total = spent + (1 - progress) * pace
    budget = np.median(total) * rng.uniform(0.7, 1.5, n)
    probabilities = np.array([_closed(plan, float(one), progress, float(limit)) for one, limit in zip(spent, budget, strict=True)])
    for number in range(40):  # the closed form is the gate's own distribution
        assert said(plan, float(spent[number]), progress, float(budget[number])) == pytest.approx(probabilities[number], abs=2 / DRAWS)
    over = total > budget
    bins = np.clip((probabilities * 5).astype(int), 0, 4)
    for one in range(5):
        inside = bins == one
        mean, came = probabilities[inside].mean(), over[inside].mean()
        assert came == pytest.approx(mean, abs=3.5 * np.sqrt(max(mean * (1 - mean), 1e-4) / inside.sum()))


def _closed(plan: Plan, spent: float, progress: float, budget: float) -> float:
    """Twin: P(spent + (1 − p) · pace > budget) for a lognormal pace."""
    if budget <= spent:
        return 1.0
    centre = (1 - progress) * np.log(plan.planned) + progress * np.log(spent / progress)
    spread = np.sqrt(1 - progress) * np.log(plan.high / plan.planned) / Z
    return float(norm.sf((np.log((budget - spent) / (1 - progress)) - centre) / spread))


def test_run_that_goes_on_as_planned_is_never_called_more_certain_than_it_is() -> None:
    """Where progress is even, what is said to overrun with more than 90 % does so, and what is said to overrun with less than 10 % does not."""
    costs = plan_draws(PLAN, 300, seed=4)
    for progress in (0.3, 0.7):
        found = np.array([said(PLAN, progress * cost, progress, 1200.0) for cost in costs])
        assert (costs[found > 0.9] > 1200.0).mean() >= 0.9
        assert (costs[found < 0.1] > 1200.0).mean() <= 0.1


def test_distribution_narrows_with_progress_and_ends_certain() -> None:
    widths = []
    for progress in (0.0, 0.2, 0.5, 0.8, 0.95, 1.0):
        rest = rest_of_run(PLAN, 1000.0 * progress, progress, DRAWS, 7)
        assert rest is not None
        widths.append(float(np.subtract(*np.quantile(rest, [0.9, 0.1]))))
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == 0.0
    assert rest_of_run(None, 5.0, 1.0, 10, 7).tolist() == [0.0] * 10  # type: ignore[union-attr]


def test_plan_and_projection_are_weighed_by_progress() -> None:
    rest = rest_of_run(Plan(1000.0, 800.0, 1250.0), 1000.0, 0.25, DRAWS, 7)  # the projection is 4,000
    assert rest is not None
    assert np.median(rest) == pytest.approx(0.75 * 1000.0**0.75 * 4000.0**0.25, rel=1e-3)


def test_projection_alone_is_wide_at_first_and_finite_always() -> None:
    early, late = (rest_of_run(None, progress * 1000.0, progress, DRAWS, 7) for progress in (0.05, 0.8))
    assert early is not None
    assert late is not None
    assert np.median(0.05 * 1000 + early) == pytest.approx(1000.0, rel=0.01)
    assert np.quantile(early, 0.9) / np.quantile(early, 0.1) > 4 * np.quantile(late, 0.9) / np.quantile(late, 0.1)
    for spent, progress in ((1e-12, 1e-12), (1e15, 1e-9), (1.0, 1 - 1e-12)):
        rest = rest_of_run(None, spent, progress, 100, 7)
        assert rest is not None
        assert np.isfinite(rest).all()


@pytest.mark.parametrize("spent", [1e4, 1e8, 1e14])
def test_run_far_beyond_its_plan_costs_at_least_what_it_has_spent(spent: float) -> None:
    rest = rest_of_run(PLAN, spent, None, DRAWS, 7)
    assert rest is not None
    assert np.isfinite(rest).all()
    assert (rest >= 0.0).all()
    exact = rest_of_run(Plan(1000.0, 1000.0, 1000.0), spent, None, 50, 7)
    assert exact is not None
    assert exact == pytest.approx(np.zeros(50), abs=1e-6 * spent)


def test_plan_without_spread_is_exact() -> None:
    rest = rest_of_run(Plan(1000.0, 1000.0, 1000.0), 400.0, None, 50, 7)
    assert rest is not None
    assert rest == pytest.approx(np.full(50, 600.0))


def test_nothing_said_of_the_rest_is_nothing() -> None:
    assert rest_of_run(None, 100.0, None, 10, 7) is None
    assert rest_of_run(None, 100.0, 0.0, 10, 7) is None
    assert rest_of_run(None, 0.0, 0.5, 10, 7) is None
    paceless = rest_of_run(PLAN, 0.0, 0.5, DRAWS, 7)
    assert paceless is not None
    assert np.median(paceless) == pytest.approx(500.0, rel=1e-3)


def test_seed_decides_which_draw_meets_which_path_and_not_the_distribution() -> None:
    first, again, other = (rest_of_run(PLAN, 100.0, 0.2, 500, seed) for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert (first == again).all()
    assert (first != other).any()
    assert np.sort(first) == pytest.approx(np.sort(other))


def bills(before: float = 0.0, since: float = 0.0, coming: float = 0.0, n: int = 500) -> Bills:
    return Bills(np.full(n, before), np.full(n, since), np.full(n, coming))


@pytest.mark.parametrize(("billed", "reported"), [(300.0, 400.0), (400.0, 300.0), (400.0, 400.0)])
def test_same_money_in_bills_and_report_counts_once(billed: float, reported: float) -> None:
    totals, rest = run_and_scope(bills(before=50.0, since=billed), None, Report(reported, 1.0), alone=True, seed=7)
    assert rest is not None
    assert totals == pytest.approx(np.full(500, 50.0 + 400.0))


def test_run_beside_others_is_added_to_their_forecast() -> None:
    plan = Plan(200.0, 200.0, 200.0)
    totals, _ = run_and_scope(bills(1000.0, 0.0, 500.0), plan, Report(50.0), alone=False, seed=7)
    assert totals == pytest.approx(np.full(500, 1000.0 + 500.0 + 200.0))
    alone, _ = run_and_scope(bills(1000.0, 0.0, 500.0), plan, Report(50.0), alone=True, seed=7)
    assert alone == pytest.approx(np.full(500, 1000.0 + 200.0))


def test_bills_tell_what_a_silent_run_has_spent() -> None:
    totals, _ = run_and_scope(bills(since=150.0, coming=1e6), Plan(200.0, 200.0, 200.0), Report(), alone=True, seed=7)
    assert totals == pytest.approx(np.full(500, 200.0))


def test_without_plan_and_progress_the_forecast_of_the_scope_counts_and_the_report_is_its_floor() -> None:
    for alone, expected in ((True, 700.0), (False, 700.0)):
        totals, rest = run_and_scope(bills(100.0, 200.0, 400.0), None, Report(), alone=alone, seed=7)
        assert rest is None
        assert totals == pytest.approx(np.full(500, expected))
    totals, _ = run_and_scope(bills(100.0, 200.0, 400.0), None, Report(900.0), alone=True, seed=7)
    assert totals == pytest.approx(np.full(500, 1000.0))


@pytest.mark.parametrize(
    ("planned", "low", "high", "field"),
    [
        (0.0, None, None, "planned"),
        (-5.0, None, None, "planned"),
        (float("nan"), None, None, "planned"),
        (float("inf"), None, None, "planned"),
        (True, None, None, "planned"),
        (1e16, None, None, "planned"),
        (None, 1.0, 2.0, "planned"),
        (10.0, 5.0, None, "high"),
        (10.0, None, 15.0, "low"),
        (10.0, 15.0, 5.0, "low"),
        (10.0, 0.0, 15.0, "low"),
        (10.0, 11.0, 15.0, "planned"),
        (10.0, 5.0, 9.0, "planned"),
    ],
)
def test_plan_that_cannot_be_is_refused(planned: float | None, low: float | None, high: float | None, field: str) -> None:
    with pytest.raises(BudgetError) as caught:
        Plan.of(planned, low, high)
    assert caught.value.field == field
    assert caught.value.allowed


@pytest.mark.parametrize(
    ("spent", "progress", "field"),
    [
        (-1.0, None, "spent"),
        (float("nan"), None, "spent"),
        (1.0, -0.1, "progress"),
        (1.0, 1.1, "progress"),
        (1.0, True, "progress"),
        (None, 0.5, "spent"),
    ],
)
def test_report_that_cannot_be_is_refused(spent: float | None, progress: float | None, field: str) -> None:
    with pytest.raises(BudgetError) as caught:
        Report(spent, progress)
    assert caught.value.field == field


def test_no_plan_is_none_and_one_without_range_has_the_usual_one() -> None:
    assert Plan.of(None) is None
    assert Plan.of(100.0) == Plan(100.0, 80.0, 150.0, assumed=True)
    assert Plan(100.0, 80.0, 150.0).times(2.0) == Plan(200.0, 160.0, 300.0)
    assert Report(100.0, 0.5, date(2027, 1, 1)).times(2.0) == Report(200.0, 0.5, date(2027, 1, 1))


@pytest.mark.parametrize(
    ("thresholds", "warn", "stop", "expected"),
    [
        ((), None, None, (0.3, 0.6)),
        ((), 0.1, 0.2, (0.1, 0.2)),
        ((), 0.7, None, (0.7, 0.7)),
        ((), None, 0.2, (0.2, 0.2)),
        (("actual>=80%",), None, None, (0.3, 0.6)),
        (("probability>=10%", "probability>=40%:act", "probability>=20%:act"), None, None, (0.1, 0.2)),
        (("probability>=50%:act",), None, None, (0.5, 0.5)),
        (("probability>=20%",), None, None, (0.2, 0.6)),
        (("probability>=10%", "probability>=40%:act"), None, 0.9, (0.1, 0.9)),
    ],
)
def test_limits_are_those_asked_for_else_the_budgets_own_else_the_usual(
    thresholds: tuple[str, ...], warn: float | None, stop: float | None, expected: tuple[float, float]
) -> None:
    limits = Limits.of([Threshold.parse(text) for text in thresholds], warn, stop)
    assert (limits.warn, limits.stop) == expected


@pytest.mark.parametrize(("warn", "stop", "field"), [(0.5, 0.2, "warn"), (0.0, None, "warn"), (None, 1.1, "stop"), (float("nan"), None, "warn")])
def test_limits_that_cannot_be_are_refused(warn: float | None, stop: float | None, field: str) -> None:
    with pytest.raises(BudgetError) as caught:
        Limits.of((), warn, stop)
    assert caught.value.field == field


def test_decision_is_made_at_the_limit_and_above() -> None:
    limits = Limits(0.3, 0.6)
    assert [decide(probability, limits) for probability in (0.0, 0.29, 0.3, 0.59, 0.6, 1.0)] == ["go", "go", "warn", "warn", "stop", "stop"]
    assert decide(0.99, Limits(1.0, 1.0)) == "go"
