"""Panels: what is refused and how a matrix is laid out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError, SchemaError, SpendDataError
from forecast.spend.panel import fill_spend, to_matrix


def panel(**columns: object) -> pd.DataFrame:
    base = {"unique_id": ["a", "a", "b"], "ds": ["2026-01-01", "2026-01-03", "2026-01-02"], "y": [1.0, 3.0, 2.0]}
    return pd.DataFrame({**base, **columns})


def test_rows_in_any_order_and_gaps_are_not_known() -> None:
    matrix = to_matrix(panel().iloc[::-1], "D")
    assert matrix.ids == ("a", "b")
    np.testing.assert_array_equal(matrix.values, [[1.0, np.nan, 3.0], [np.nan, 2.0, np.nan]])
    np.testing.assert_array_equal(fill_spend(matrix).values, [[1.0, 0.0, 3.0], [0.0, 2.0, 0.0]])
    np.testing.assert_array_equal(matrix.last_known(), [2, 1])
    assert matrix.until(pd.Timestamp("2026-01-02")).n_periods == 2


def test_zones_become_naive_utc() -> None:
    stamps = pd.to_datetime(["2026-01-01T23:30-05:00", "2026-01-03T00:00-05:00", "2026-01-02T00:00-05:00"]).tz_convert("Europe/Berlin")
    assert to_matrix(panel(ds=stamps), "D").ds[0] == pd.Timestamp("2026-01-02")


@pytest.mark.parametrize("freq", ["D", "h", "W", "MS", "5min", "W-WED"])
def test_any_fixed_frequency_is_a_grid(freq: str) -> None:
    ds = pd.date_range("2026-01-07", periods=6, freq=freq)
    assert to_matrix(pd.DataFrame({"unique_id": "a", "ds": ds, "y": range(6)}), freq).n_periods == 6


def test_weeks_may_be_stamped_with_any_weekday() -> None:
    ds = pd.date_range("2026-01-05", periods=6, freq="W-MON")
    assert to_matrix(pd.DataFrame({"unique_id": "a", "ds": ds, "y": range(6)}), "W").n_periods == 6


@pytest.mark.parametrize(
    ("frame", "kind", "named"),
    [
        (panel().drop(columns="y"), SchemaError, "'y'"),
        (panel(y=["1", "x", "2"]), SchemaError, "y"),
        (panel(y=[1.0, np.inf, 2.0]), SpendDataError, "'a'"),
        (panel(ds=["2026-01-01", "2026-01-01", "2026-01-02"]), SpendDataError, "'a'"),
        (panel(ds=["2026-01-01", None, "2026-01-02"]), SpendDataError, "'a'"),
        (panel().iloc[:0], SpendDataError, "no rows"),
    ],
)
def test_bad_panels_name_what_is_wrong(frame: pd.DataFrame, kind: type[InputError], named: str) -> None:
    with pytest.raises(kind, match=named):
        to_matrix(frame, "D")


def test_a_panel_that_is_no_frame_and_a_frequency_that_is_none() -> None:
    with pytest.raises(SchemaError, match="DataFrame"):
        to_matrix([1, 2], "D")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="freq"):
        to_matrix(panel(), "fortnightly")
