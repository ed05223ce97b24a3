"""Ordinary days add up to the incident's days, weekends to weekends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.anomalies.attribution_days import ordinary

DAYS = pd.date_range("2026-01-05", periods=28)  # begins on a Monday


def reference(weekday: float = 100.0, weekend: float = 10.0) -> pd.DataFrame:
    cost = np.where(DAYS.day_of_week < 5, weekday, weekend)
    return pd.DataFrame({"ds": DAYS, "team": "a", "cost": cost, "quantity": 2 * cost})


def total(days: list[str], frame: pd.DataFrame) -> float:
    return float(ordinary(frame, np.array(days, dtype="datetime64[D]"))["cost"].sum())


def test_working_days_stand_for_working_days_and_weekends_for_weekends() -> None:
    assert total(["2026-02-02"], reference()) == pytest.approx(100.0)
    assert total(["2026-02-07"], reference()) == pytest.approx(10.0)
    assert total(["2026-02-06", "2026-02-07"], reference()) == pytest.approx(110.0)


def test_quantities_go_with_their_money_and_nothing_weighs_nothing() -> None:
    found = ordinary(reference(), np.array(["2026-02-07"], dtype="datetime64[D]"))
    assert (found["quantity"] == 2 * found["cost"]).all()
    assert (pd.DatetimeIndex(found["ds"]).day_of_week >= 5).all()


def test_late_days_count_more() -> None:
    frame = reference().assign(cost=np.where(np.arange(len(DAYS)) < 14, 100.0, 200.0))
    assert 160.0 < total(["2026-02-02"], frame) < 200.0


def test_reference_of_one_sort_stands_for_both() -> None:
    frame = reference()[DAYS.day_of_week < 5]
    assert total(["2026-02-07"], frame) == pytest.approx(100.0)


def test_nothing_to_weigh_is_left_as_it_is() -> None:
    frame = reference()
    assert ordinary(frame.iloc[:0], np.array(["2026-02-07"], dtype="datetime64[D]")).empty
    assert ordinary(frame, np.array([], dtype="datetime64[D]")).equals(frame)
