"""What comes at the same place of every month is a habit, and explains as much again; from the months before, and no others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.anomalies.month_habit import BESIDE, MONTHS, NEAR, ROOM, beyond_habit
from tests.oracles.month_habit import slow_beyond_habit

FIRST = np.datetime64("2026-01-01")
DAYS = pd.date_range("2026-01-01", "2026-08-31")
ENDS = np.flatnonzero(DAYS.day == DAYS.days_in_month)


def items(amounts: list[float]) -> np.ndarray:
    money = np.zeros((1, len(DAYS)))
    money[0, ENDS] = amounts
    return money


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 700))
def test_what_is_left_is_what_the_slow_twin_leaves(seed: int, start: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.normal(0.0, 100.0, (2, 150)) * (rng.random((2, 150)) < 0.4)
    first = FIRST + start
    days = (first + np.arange(150)).astype("datetime64[D]").tolist()
    found = beyond_habit(sizes, first)
    for row, own in zip(found, sizes, strict=True):
        slow = slow_beyond_habit(dict(zip(days, own.tolist(), strict=True)), NEAR, MONTHS, BESIDE, ROOM)
        np.testing.assert_allclose(row, list(slow.values()), atol=1e-9)


def test_item_of_every_months_end_is_news_once_and_then_only_beyond_its_room() -> None:
    left = beyond_habit(items([100.0, 110.0, 90.0, 130.0, 100.0, 400.0, 100.0, 100.0]), FIRST)[0, ENDS]
    assert left[0] == 100.0
    assert left[[1, 2, 3, 4, 6, 7]].tolist() == [0.0] * 6
    assert left[5] == pytest.approx(400.0 - ROOM * 130.0)


def test_item_that_comes_a_day_earlier_or_later_is_the_same_habit() -> None:
    money = np.zeros((1, len(DAYS)))
    for month, (end, away) in enumerate(zip(ENDS.tolist(), (0, -1, 1, 0, -1, 0, 1, -1), strict=True)):
        money[0, min(end + away, len(DAYS) - 1)] = 100.0 + month
    assert np.count_nonzero(beyond_habit(money, FIRST)) == 1


def test_rises_do_not_explain_falls_and_the_middle_of_a_month_is_left_alone() -> None:
    money = items([100.0] * 8)
    money[0, ENDS[-1]] = -100.0
    money[0, ENDS[-1] - 15] = 100.0
    left = beyond_habit(money, FIRST)[0]
    assert left[ENDS[-1]] == -100.0
    assert left[ENDS[-1] - 15] == 100.0


def test_habit_is_forgotten_after_three_months() -> None:
    left = beyond_habit(items([100.0, 0.0, 0.0, 0.0, 100.0, 0.0, 0.0, 100.0]), FIRST)[0, ENDS]
    assert left.tolist() == [100.0, 0.0, 0.0, 0.0, 100.0, 0.0, 0.0, 0.0]


def test_later_days_change_nothing_and_what_is_not_known_is_nothing() -> None:
    sizes = np.random.default_rng(4).normal(0.0, 50.0, (3, len(DAYS)))
    sizes[1, ENDS[3]] = np.nan
    plain = beyond_habit(sizes, FIRST)
    assert np.nan_to_num(plain[1, ENDS[3]]) == 0.0
    for day in (ENDS[2], ENDS[5] - 1, ENDS[6] + 2):
        poisoned = sizes.copy()
        poisoned[:, day:] = 1e9
        np.testing.assert_array_equal(beyond_habit(poisoned, FIRST)[:, :day], plain[:, :day])
