"""Panels: what is refused and how a matrix is laid out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        (panel(y=["1", "x", "2"]), SchemaError, r"'a'.*column y.*2026-01-03.*'x'"),
        (panel(y=[1.0, -1e19, 2.0]), SpendDataError, "'a' has a value that is no cost on 2026-01-03"),
        (panel(y=pd.to_datetime(["2026-01-01"] * 3)), SchemaError, "column y"),
        (panel(ds=[1, 2, 3]), SchemaError, "ds holds numbers"),
        (panel(ds=["2026-01-01", "3.1.2026", "2026-01-02"]), SchemaError, r"'a'.*'3.1.2026'"),
        (panel(ds=["2026-01-01", "2026-01-03", "9999-12-31"]), SpendDataError, "'b' has a row in the year 9999"),
        (panel(unique_id=["a", None, "b"]), SpendDataError, "Row 1 of the panel has no unique_id"),
        (panel(unique_id=[["a"], ["a"], ["b"]]), SchemaError, "unique_id holds a list"),
        (panel().set_axis(["unique_id", "ds", "ds"], axis=1), SchemaError, "'ds' 2 times"),
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
    for freq in ("fortnightly", "", "-1D", "0D", "d", None, 7):
        with pytest.raises(InputError, match="freq"):
            to_matrix(panel(), freq)  # type: ignore[arg-type]


def test_zones_may_be_mixed_and_stamps_without_one_are_utc() -> None:
    stamps = ["2026-01-01T23:30-05:00", pd.Timestamp("2026-01-03"), pd.Timestamp("2026-01-05 08:00", tz="Asia/Tokyo")]
    matrix = to_matrix(panel(unique_id="a", ds=stamps), "D")
    assert matrix.ds.tolist() == list(pd.date_range("2026-01-02", "2026-01-04"))
    np.testing.assert_array_equal(matrix.values, [[1.0, 3.0, 2.0]])


def test_a_mistyped_year_does_not_ask_for_all_memory() -> None:
    ds = pd.date_range("2026-01-01", periods=3, freq="s").tolist()
    with pytest.raises(SpendDataError, match=r"from 1926-01-01 .*'b'.* to 2026-01-01 .*'a'"):
        to_matrix(panel(ds=[ds[0], ds[1], pd.Timestamp("1926-01-01")]), "s")


def test_numbers_and_their_text_are_one_series() -> None:
    assert to_matrix(panel(unique_id=[7, "7", 8]), "D").ids == ("7", "8")


def test_categories_without_rows_are_no_series() -> None:
    ids = pd.Categorical(["b", "b", "a"], categories=["z", "b", "a"])
    assert to_matrix(panel(unique_id=ids), "D").ids == ("a", "b")


def test_costs_may_be_text_decimals_or_absent() -> None:
    for y in (["1.5", "", None], [Decimal("1.5"), None, "nan"], pd.array([1.5, None, pd.NA], dtype="Float64")):
        np.testing.assert_array_equal(to_matrix(panel(y=y), "D").values, [[1.5, np.nan, np.nan], [np.nan] * 3])


cells = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b", "ü|x", "10", "9"]), st.integers(0, 40)),
    st.one_of(st.floats(-1e18, 1e18), st.just(float("nan"))),
    min_size=1,
    max_size=60,
)


@given(cells, st.sampled_from(["D", "h", "W", "MS", "QS", "5min", "2D"]), st.randoms(use_true_random=False))
def test_any_set_of_cells_in_any_order_comes_back(known: dict[tuple[str, int], float], freq: str, order: Any) -> None:
    grid = pd.date_range("2020-01-01", periods=41, freq=freq)
    rows = [(name, grid[column], value) for (name, column), value in known.items()]
    order.shuffle(rows)
    matrix = to_matrix(pd.DataFrame(rows, columns=["unique_id", "ds", "y"]), freq)
    assert list(matrix.ids) == sorted({name for name, _ in known})
    found = {
        (matrix.ids[row], list(grid).index(matrix.ds[column])): matrix.values[row, column]
        for row in range(matrix.n_series)
        for column in range(matrix.n_periods)
    }
    for cell, value in found.items():
        expected = known.get(cell, np.nan)
        np.testing.assert_equal(value, 0.0 if abs(expected) < 1e-18 else expected)
