"""The day on which a budget runs out, against a loop over the days of every path."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.budgets.exhaustion import Exhaustion, exhaustion
from tests.oracles.exhaustion import censored_quantile, exhaustion_day, single_days

LEVELS = (0.1, 0.5, 0.9)
NO_DAYS = np.zeros(0, dtype=np.int64)


def found_and_expected(past: list[float], lengths: list[int], costs: list[list[float]], amount: float) -> tuple[Exhaustion, Exhaustion]:
    """What the fast code and the loop say. costs : a row a step, a column a path."""
    first = [len(past) + sum(lengths[:step]) for step in range(len(lengths))]
    paths = np.array(costs, dtype=float).reshape(len(lengths), -1)
    fast = exhaustion(np.array(past, dtype=float), np.arange(len(past)), paths, np.array(first), np.array(lengths), amount, LEVELS)
    days = [exhaustion_day([*enumerate(past), *single_days(first, lengths, path)], amount) for path in paths.T.tolist()]
    share = sum(day is not None for day in days) / len(days)
    return fast, Exhaustion(share, tuple(censored_quantile(days, level) for level in LEVELS))


@given(
    past=st.lists(st.integers(-3, 9), max_size=4),
    costs=st.lists(st.lists(st.integers(-3, 9), min_size=7, max_size=7), min_size=1, max_size=6),
    amount=st.integers(1, 40),
)
def test_days_are_what_a_loop_finds(past: list[int], costs: list[list[int]], amount: int) -> None:
    fast, slow = found_and_expected([float(cost) for cost in past], [1] * len(costs), [[float(cost) for cost in step] for step in costs], amount)
    assert fast == slow


@given(
    lengths=st.lists(st.sampled_from([1, 2, 4, 8]), min_size=1, max_size=5),
    data=st.data(),
    past=st.lists(st.integers(0, 9), max_size=3),
    amount=st.integers(1, 60),
)
def test_steps_of_several_days_are_even_over_their_days(lengths: list[int], data: st.DataObject, past: list[int], amount: int) -> None:
    # Lengths are powers of two and costs whole numbers, so that the loop's sums are exact and days at the very amount are no matter of rounding.
    costs = [data.draw(st.lists(st.integers(-6, 30), min_size=9, max_size=9)) for _ in lengths]
    fast, slow = found_and_expected([float(cost) for cost in past], lengths, [[float(cost) for cost in step] for step in costs], amount + 0.5)
    assert fast == slow


def test_day_is_null_where_the_budget_outlives_the_quantile() -> None:
    costs = np.array([[2.0] * 3 + [0.0] * 7])
    assert exhaustion(np.zeros(0), NO_DAYS, costs, np.array([5]), np.array([1]), 1.0, (0.1, 0.3, 0.31, 0.9)) == Exhaustion(0.3, (5, 5, None, None))


def test_refund_does_not_undo_that_a_budget_was_used_up() -> None:
    costs = np.array([[12.0], [-8.0], [1.0]])
    assert exhaustion(np.zeros(0), NO_DAYS, costs, np.arange(3), np.ones(3, dtype=np.int64), 10.0, (0.5,)) == Exhaustion(1.0, (0,))


@pytest.mark.parametrize(("past", "expected"), [([5.0, 6.0], Exhaustion(1.0, (1, 1))), ([5.0, 5.0], Exhaustion(0.0, (None, None)))])
def test_period_without_days_to_come_is_decided_by_the_past(past: list[float], expected: Exhaustion) -> None:
    assert exhaustion(np.array(past), np.arange(2), np.zeros((0, 4)), NO_DAYS, NO_DAYS, 10.0, (0.1, 0.9)) == expected
