"""Hours beyond what is usual at that time of the day: causal, only upwards, and the same however they are cut into parts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.anomalies.hours import BACK, DAYS_BEFORE, FEWEST, WINDOWS, DayHours, HourLines, day_hours, joined, node_hours

N, DAYS = 5, 60
OFFICE = 1.0 + 3.0 * np.exp(-0.5 * ((np.arange(24) - 13.0) / 3.0) ** 2)


def quiet(seed: int = 0, n_days: int = DAYS) -> np.ndarray:
    """(N, n_days, 24) of five series that rest at night, each hour within five percent of what is usual."""
    rng = np.random.default_rng(seed)
    return np.arange(1.0, N + 1)[:, None, None] * OFFICE * np.exp(0.05 * rng.normal(size=(N, n_days, 24)))


def naive_amount(hours: np.ndarray, day: int) -> float:
    """Of one series, hour by hour."""
    flat, largest = hours.reshape(-1), 0.0
    for hour in range(24 * day, 24 * day + 24):
        for window in WINDOWS:
            beyond = 0.0
            for at in range(hour - window + 1, hour + 1):
                back = sorted(flat[at - 24 * number] for number in range(1, BACK + 1))
                beyond += flat[at] - max(back[BACK // 2], 0.0)
            largest = max(largest, beyond / window**0.5)
    return largest


def test_an_amount_is_the_largest_window_beyond_the_middle_of_the_same_hours() -> None:
    hours = quiet()
    hours[1, -3, 2:6] += 9.0
    found = day_hours(hours)
    assert found.amount.shape == found.most.shape == found.so_far.shape == (N, DAYS - DAYS_BEFORE)
    for row in range(N):
        expected = [naive_amount(hours[row], day) for day in range(DAYS_BEFORE, DAYS)]
        assert found.amount[row] == pytest.approx(expected)
    assert found.amount[1, -3] > 9.0
    assert found.most[1, -3] == pytest.approx(36.0, rel=0.2)


def test_a_window_may_begin_on_the_day_before() -> None:
    hours = np.ones((1, DAYS, 24))
    hours[0, -2, 22:], hours[0, -1, :1] = 11.0, 11.0
    assert day_hours(hours).amount[0, -1] == pytest.approx(30.0 / 3**0.5)


def test_falls_and_hours_that_are_not_known_yet_say_nothing() -> None:
    hours = np.tile(OFFICE, (2, DAYS, 1))
    hours[:, -1, 9:] = 0.0
    hours[1] -= 5.0  # money that comes back every hour
    hours[1, -1, 9:] = 0.0
    found = day_hours(hours)
    assert found.amount.max() == pytest.approx(0.0)
    assert found.most.max() == pytest.approx(0.0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(DAYS_BEFORE + 1, DAYS - 1))
def test_what_comes_later_changes_nothing_of_a_day(seed: int, day: int) -> None:
    hours = quiet(seed)
    poisoned = hours.copy()
    poisoned[:, day:] = np.random.default_rng(seed).normal(0.0, 1e6, size=poisoned[:, day:].shape)
    before, after = day_hours(hours), day_hours(poisoned)
    np.testing.assert_array_equal(before.amount[:, : day - DAYS_BEFORE], after.amount[:, : day - DAYS_BEFORE])
    np.testing.assert_array_equal(before.most[:, : day - DAYS_BEFORE], after.most[:, : day - DAYS_BEFORE])


@pytest.mark.parametrize("cut", [30, 41, 59])
def test_parts_of_time_and_of_series_give_the_same_bits_as_the_whole(cut: int) -> None:
    hours = quiet(3)
    hours[2, :35] = 0.0
    whole = day_hours(hours)
    in_time = joined([day_hours(hours[:, :cut]), day_hours(hours[:, cut - DAYS_BEFORE :])], axis=1)
    below = day_hours(hours, rows_at_once=2)
    for parts in (in_time, below):
        np.testing.assert_array_equal(parts.amount, whole.amount)
        np.testing.assert_array_equal(parts.most, whole.most)


def test_a_series_says_nothing_before_it_was_seen_for_eight_days() -> None:
    hours = np.zeros((1, DAYS, 24))
    hours[0, 40:] = 100.0
    hours[0, 40 + FEWEST] = 150.0
    found = day_hours(hours).amount[0]
    assert not found[: 40 + FEWEST - DAYS_BEFORE].any()
    assert found[40 + FEWEST - DAYS_BEFORE] == pytest.approx(50.0 * 6**0.5)


def test_a_series_that_is_used_once_in_a_month_says_nothing() -> None:
    hours = np.zeros((1, DAYS, 24))
    hours[0, [29, 59]] = 100.0
    assert not day_hours(hours).amount.any()


def test_money_of_a_day_that_is_going_on_is_that_of_the_hours_known_so_far() -> None:
    hours = np.tile(OFFICE, (3, DAYS, 1))
    hours[:2, -1, 3:] = 0.0
    hours[0, -1, :3] += 10.0
    found = day_hours(hours)
    assert found.so_far[0, -1] == pytest.approx(30.0)
    assert found.spent[0, -1] == pytest.approx(30.0 + OFFICE[:3].sum())
    assert found.so_far[1, -1] == pytest.approx(0.0)
    assert not found.spent[2].any()
    assert not found.spent[:, :-1].any()


def test_yesterday_may_be_going_on_where_bills_come_late() -> None:
    hours = np.tile(OFFICE, (2, DAYS, 1))
    hours[0, -2, 20:], hours[0, -1] = 0.0, 0.0
    found = day_hours(hours)
    assert found.spent[0, -2] == pytest.approx(OFFICE[:20].sum())
    assert not found.spent[0, -1]
    assert not found.spent[1].any()


def test_nodes_add_up_their_leaves_hour_by_hour() -> None:
    hours = quiet()
    found = node_hours(hours, [np.arange(N), np.array([1, 3])])
    np.testing.assert_allclose(found[1], hours[1] + hours[3])
    np.testing.assert_allclose(found[0], hours.sum(axis=0))


def test_small_rises_of_many_series_stand_out_in_their_sum() -> None:
    rng = np.random.default_rng(5)
    hours = OFFICE * np.exp(0.5 * rng.normal(size=(40, DAYS, 24)))
    hours[:, -1, 2:8] += 0.8
    alone, together = day_hours(hours).amount, day_hours(node_hours(hours, [np.arange(40)])).amount
    assert together[0, -1] > 2.0 * together[0, :-1].max()
    assert np.median(alone[:, -1] / alone[:, :-1].max(axis=1)) < 1.0


def test_lines_become_rows_and_those_without_a_row_are_left_out() -> None:
    first = np.datetime64("2026-03-01")
    lines = HourLines(
        pd.DataFrame({"team": ["a", "b", "c"]}),
        np.array([0, 1, 1, 2, 0]),
        np.array(["2026-03-01T00", "2026-03-01T00", "2026-03-02T23", "2026-03-01T05", "2026-03-03T00"], dtype="datetime64[h]"),
        np.array([1.0, 2.0, 4.0, 8.0, 16.0]),
    )
    found = lines.by_hour(np.array([0, 0, -1]), 1, first, 2)
    assert found.shape == (1, 2, 24)
    assert (found[0, 0, 0], found[0, 1, 23], found.sum()) == (3.0, 4.0, 7.0)


def test_days_without_those_before_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 29"):
        day_hours(np.zeros((1, DAYS_BEFORE, 24)))
    assert DayHours.nothing(2, 3).is_nothing
