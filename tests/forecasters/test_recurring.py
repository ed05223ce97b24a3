"""Money that comes on the same days of every month is known, put back on its days, and never taken for a level."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.history import History, history_of
from forecast.forecasters.recurring import RecurringItems
from forecast.spend.panel import to_matrix
from forecast.spend.recurring import day_kinds
from tests.contracts.panels import long_panel

START = "2026-01-01"


def monthly(days: int, amount: float = 900.0, seed: int = 1) -> np.ndarray:
    """Two series of noise around 100 and 10; the first pays `amount` on the last day of each month, the second never."""
    rng = np.random.default_rng(seed)
    values = np.array([[100.0], [10.0]]) * np.exp(0.1 * rng.normal(size=(2, days)))
    ends = pd.date_range(START, periods=days).is_month_end
    values[0] += np.where(ends, amount * np.exp(0.05 * rng.normal(size=days)), 0.0)
    return values


def history(values: np.ndarray) -> History:
    return history_of(to_matrix(long_panel(values, start=START), "D"))


def test_a_month_end_line_is_found_after_three_months_and_put_on_its_days() -> None:
    values = monthly(200)
    known = history(values)
    items = RecurringItems.find(known)
    ends = np.flatnonzero(pd.date_range(START, periods=200).is_month_end)
    assert (items.cleaned[0, ends[2:]] < 150.0).all()
    np.testing.assert_array_equal(items.cleaned[0, ends[:2]], values[0, ends[:2]])  # twice is not yet a habit
    np.testing.assert_array_equal(items.cleaned[1], values[1])
    ahead = items.expected(known, np.array([200]), 60)[:, 0]
    days = pd.date_range(START, periods=260)[200:]
    np.testing.assert_array_equal(ahead[0] > 0, days.is_month_end)
    assert ahead[0].max() == pytest.approx(900.0, rel=0.1)
    assert (ahead[1] == 0.0).all()


def test_what_is_said_at_an_origin_does_not_know_what_came_after() -> None:
    values = monthly(200)
    poisoned = values.copy()
    poisoned[:, 130:] *= 50.0
    origins = np.array([125, 130])
    first, second = (RecurringItems.find(history(panel)) for panel in (values, poisoned))
    np.testing.assert_array_equal(first.cleaned[:, :130], second.cleaned[:, :130])
    np.testing.assert_array_equal(first.expected(history(values), origins, 40), second.expected(history(poisoned), origins, 40))


def test_an_item_that_stops_is_no_longer_expected() -> None:
    values = monthly(200)
    values[0, 170:] = 100.0
    items = RecurringItems.find(history(values))
    assert items.expected(history(values), np.array([200]), 60).max() == 0.0


def test_refunds_that_come_every_month_are_items_too() -> None:
    items = RecurringItems.find(history(monthly(200, amount=-400.0)))
    assert items.amounts[0, :, -1].min() == pytest.approx(-400.0, rel=0.15)


def test_series_that_end_on_different_days_have_their_own_month_ends() -> None:
    panel = long_panel(monthly(200), start=START)
    shorter = panel[(panel["unique_id"] != "series-00") | (panel["ds"] < "2026-07-10")]
    known = history_of(to_matrix(shorter, "D"))
    ahead = RecurringItems.find(known).expected(known, np.array([known.n_periods]), 40)[0, 0]
    days = pd.date_range("2026-07-10", periods=40)
    np.testing.assert_array_equal(ahead > 0, days.is_month_end)


def test_only_days_have_month_ends_and_short_histories_none() -> None:
    for freq, periods in (("h", 900), ("W", 60), ("D", 28)):
        ds = pd.date_range(START, periods=periods, freq=freq)
        panel = pd.DataFrame({"unique_id": "a", "ds": ds, "y": np.arange(periods, dtype=float)})
        items = RecurringItems.find(history_of(to_matrix(panel, freq)))
        assert not items.amounts.any()
    kinds = day_kinds(pd.date_range("2026-02-26", "2026-03-02"))
    assert kinds.tolist() == [-1, 2, 1, 0, -1]


def test_the_forecast_has_the_line_once_a_month() -> None:
    model = SpendForecaster(members=("run_rate", "recent_level")).fit(long_panel(monthly(300), start=START))
    paths = model.simulate(60, n_paths=200, seed=1)
    mean = paths.values[0].mean(axis=1)
    ends = pd.DatetimeIndex(paths.starts[0]).is_month_end
    assert (mean[ends] > 700.0).all()
    # Months are not weeks: a trajectory whose line fell on another step leaves a trace of it there.
    assert np.median(mean[~ends]) < 110.0
    assert (mean[~ends] < 250.0).all()
    restored = SpendForecaster.from_state(model.state())
    np.testing.assert_array_equal(restored.simulate(60, n_paths=200, seed=1).values, paths.values)
