"""Items of a month's end are expected on their day, from the days before it and from no other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from forecast.anomalies.recurring_money import FIRST_MISS, LARGEST_MISS, PRIOR_ITEMS, ItemMoney

FIRST = np.datetime64("2026-01-01")
DAYS = pd.date_range("2026-01-01", "2026-10-31")
ENDS = np.flatnonzero(DAYS.day == DAYS.days_in_month)


def taxed(amounts: list[float]) -> NDArray[np.float64]:
    """Ten a day, and the amounts on top at the months' ends."""
    values = np.full((1, len(DAYS)), 10.0)
    values[0, ENDS] += amounts
    return values


def test_amount_is_expected_from_the_fourth_month_on_and_only_on_its_day() -> None:
    money = ItemMoney.of(taxed([100.0, 200.0, 300.0, 400.0, *[400.0] * 6]), FIRST)
    assert money.amount[0, ENDS].tolist() == pytest.approx([0.0, 0.0, 0.0, 200.0, 300.0, 1100.0 / 3, *[400.0] * 4])
    assert (np.delete(money.amount[0], ENDS) == 0.0).all()
    assert money.came[0, ENDS[3]] == pytest.approx(400.0)


def test_what_comes_on_a_day_or_after_it_changes_nothing_that_was_expected_of_it() -> None:
    values = taxed([100.0, 130.0, 90.0, 120.0, 150.0, 80.0, 110.0, 95.0, 140.0, 100.0])
    poisoned = values.copy()
    day = int(ENDS[6])
    poisoned[0, day:] = 1e6
    plain, changed = ItemMoney.of(values, FIRST), ItemMoney.of(poisoned, FIRST)
    np.testing.assert_array_equal(plain.amount[:, : day + 1], changed.amount[:, : day + 1])
    np.testing.assert_array_equal(plain.usual_miss()[: day + 1], changed.usual_miss()[: day + 1])
    np.testing.assert_array_equal(plain.miss(plain.usual_miss())[:, : day + 1], changed.miss(changed.usual_miss())[:, : day + 1])
    assert plain.amount[0, day] > 0


def test_miss_begins_with_a_quarter_and_is_learnt_from_own_items_and_the_companys() -> None:
    money = ItemMoney(np.array([[0.0, 100.0, 100.0, 100.0], [0.0, 0.0, 300.0, 0.0]]), np.array([[0.0, 150.0, 500.0, 100.0], [0.0, 0.0, 300.0, 0.0]]))
    usual = money.usual_miss()
    # Of 100 first due a quarter is supposed; then 50 of 100 were missed, then 100 (all of it, at most) and 0 of 400.
    assert usual.tolist() == pytest.approx([FIRST_MISS, FIRST_MISS, (50 + 25) / 200, (150 + 25) / 600])
    own = money.miss(usual)[0]
    assert own[0] == 0.0
    assert own[1] == pytest.approx(100 * FIRST_MISS)
    assert own[2] == pytest.approx(100 * (0.5 + PRIOR_ITEMS * usual[2]) / (1 + PRIOR_ITEMS))
    assert own[3] == pytest.approx(100 * (0.5 + LARGEST_MISS + PRIOR_ITEMS * usual[3]) / (2 + PRIOR_ITEMS))


def test_company_without_items_misses_by_the_first_guess() -> None:
    nothing = ItemMoney(np.zeros((2, 5)), np.zeros((2, 5)))
    assert nothing.usual_miss().tolist() == [FIRST_MISS] * 5
    assert (nothing.miss(nothing.usual_miss()) == 0.0).all()


def test_parts_speak_where_the_whole_shows_no_item() -> None:
    leaves = ItemMoney(np.array([[0.0, 5.0], [0.0, 7.0], [1.0, 1.0]]), np.array([[0.0, 6.0], [0.0, 8.0], [2.0, 2.0]]))
    both = leaves.sum_of(np.array([0, 1]))
    assert (both.amount.tolist(), both.came.tolist()) == ([[0.0, 12.0]], [[0.0, 14.0]])
    whole = ItemMoney(np.array([[3.0, 0.0]]), np.array([[4.0, 9.0]])).or_else(both)
    assert (whole.amount.tolist(), whole.came.tolist()) == ([[3.0, 12.0]], [[4.0, 14.0]])
