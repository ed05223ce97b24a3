"""The day on which a budget runs out, against a loop over days."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from forecast.budgets.exhaustion import NEVER, censored_quantiles, daily, exhaustion_days


def slow_exhaustion_day(past: list[float], path: list[float], budget: float) -> int:
    """Twin: add day by day until it is too much."""
    total = 0.0
    for day, cost in enumerate([*past, *path]):
        total += cost
        if total > budget:
            return day
    return NEVER


@given(
    past=st.lists(st.integers(-3, 9), max_size=4),
    future=st.lists(st.lists(st.integers(-3, 9), min_size=3, max_size=3), min_size=1, max_size=4),
    budget=st.integers(0, 30),
)
def test_days_are_what_a_loop_finds(past: list[int], future: list[list[int]], budget: int) -> None:
    paths: NDArray[np.float64] = np.array(future, dtype=float)  # (n_days, 3)
    found = exhaustion_days(np.array(past, dtype=float), paths, budget)
    assert found.tolist() == [slow_exhaustion_day([float(c) for c in past], paths[:, k].tolist(), budget) for k in range(3)]


def test_quantile_is_null_where_the_budget_outlives_it() -> None:
    days = np.array([5, 7, 9, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER])
    assert censored_quantiles(days, (0.1, 0.3, 0.31, 0.9)) == [5, 9, None, None]
    assert censored_quantiles(np.full(10, NEVER), (0.1, 0.5)) == [None, None]


@given(st.lists(st.integers(-1, 30), min_size=1, max_size=40), st.floats(0.01, 0.99))
def test_quantile_is_the_first_day_by_which_that_share_is_exhausted(days: list[int], level: float) -> None:
    array = np.array(days)
    (found,) = censored_quantiles(array, (level,))
    shares = {day: np.mean((array != NEVER) & (array <= day)) for day in range(31)}
    expected = next((day for day in range(31) if shares[day] >= level - 1e-12), None)
    assert found == expected


def test_a_month_is_even_over_its_days_and_only_the_days_asked_for_count() -> None:
    paths = np.array([[10.0, 20.0], [310.0, 620.0]])
    found = daily(paths, np.array([1.0, 3 / 31]), np.array([1, 31]))
    assert found.tolist() == [[10.0, 20.0], [10.0, 20.0], [10.0, 20.0], [10.0, 20.0]]


def test_period_without_days_to_come_is_decided_by_the_past() -> None:
    assert exhaustion_days(np.array([5.0, 6.0]), np.zeros((0, 4)), 10.0).tolist() == [1, 1, 1, 1]
    assert exhaustion_days(np.array([5.0, 5.0]), np.zeros((0, 4)), 10.0).tolist() == [NEVER] * 4
