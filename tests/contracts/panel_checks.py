"""The promises of every forecaster about what panels may look like: any spelling, any length, any calendar, any size; and what is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from forecast.errors import ForecastError, InputError, SchemaError, SpendDataError
from tests.contracts.panels import DAYS, autoregressive_panel, long_panel, spend_panel

CALENDARS = {"5min": 700, "h": 300, "W-WED": 110, "MS": 48, "QS-FEB": 32}
"""Frequencies and how many periods of each."""
SERIES = 60
"""So many that trees have rows to learn from in 32 quarters."""


def drawn(forecaster: Any, panel: pd.DataFrame, horizon: int = 20) -> np.ndarray:
    values: np.ndarray = clone(forecaster).fit(panel).simulate(horizon, n_paths=30, seed=1).values
    return values


def check_spelling_of_a_panel_is_irrelevant(forecaster: Any) -> None:
    """Text, zones, dates, decimals in text, categories, further columns, another index: the same bytes as the plain panel."""
    panel = spend_panel()
    plain = drawn(forecaster, panel)
    in_utc = panel["ds"].dt.tz_localize("UTC")
    elsewhere = [stamp.tz_convert("Asia/Tokyo" if row % 2 else "America/New_York") for row, stamp in enumerate(in_utc)]
    for spelled in (
        panel.assign(ds=panel["ds"].dt.strftime("%Y-%m-%d"), y=panel["y"].map(repr)),
        panel.assign(ds=pd.Series(elsewhere, dtype=object), unique_id=panel["unique_id"].astype("category"), team="x"),
        panel.assign(ds=panel["ds"].dt.date).iloc[::-1].set_index(np.arange(len(panel)) // 7)[["y", "unique_id", "ds"]],
    ):
        np.testing.assert_array_equal(drawn(forecaster, spelled), plain)


def check_ids_need_not_be_text(forecaster: Any) -> None:
    """Numbers name series as their text does."""
    panel = spend_panel()
    number = panel["unique_id"].str[-2:].astype(int) + 10
    paths = clone(forecaster).fit(panel.assign(unique_id=number)).simulate(20, n_paths=30, seed=1)
    assert paths.ids == tuple(str(one) for one in range(10, 22))
    np.testing.assert_array_equal(paths.values, drawn(forecaster, panel))


def check_gaps_are_not_zeros(forecaster: Any) -> None:
    """A period without a row is one with NaN: not known, and no silence."""
    values = autoregressive_panel(7, 12, DAYS)
    unknown = values.copy()
    unknown[0, 60:66] = np.nan
    unknown[1, 100:181:10] = np.nan
    unknown[2, -10:-4] = np.nan
    without_rows = drawn(forecaster, long_panel(unknown).dropna(), 28)
    np.testing.assert_array_equal(without_rows, drawn(forecaster, long_panel(unknown), 28))
    known = drawn(forecaster, long_panel(values), 28).sum(axis=1).mean(axis=1)
    np.testing.assert_allclose(without_rows.sum(axis=1).mean(axis=1)[:3], known[:3], rtol=0.25)


def check_bad_rows_are_refused_by_name(forecaster: Any) -> None:
    """What cannot be meant is refused with the series, and the day or the value, in the message."""
    panel = spend_panel()
    row = 3 * DAYS + 30  # series-03 on 2026-01-31
    there = panel.index == row

    def changed(column: str, value: Any) -> pd.DataFrame:
        return panel.assign(**{column: panel[column].astype(object).where(~there, value)})

    bad: list[tuple[pd.DataFrame, type[InputError], tuple[str, ...]]] = [
        (changed("y", np.inf), SpendDataError, ("series-03", "2026-01-31")),
        (changed("y", -np.inf), SpendDataError, ("series-03", "2026-01-31")),
        (changed("y", 1e200), SpendDataError, ("series-03", "2026-01-31")),
        (changed("y", "1,000"), SchemaError, ("series-03", "2026-01-31", "1,000")),
        (changed("ds", None), SpendDataError, ("series-03", "time")),
        (changed("ds", "31/01/2026"), SchemaError, ("series-03", "31/01/2026")),
        (changed("ds", "0999-01-31"), SpendDataError, ("series-03", "999")),
        (changed("unique_id", None), SpendDataError, ("unique_id", str(row))),
        (pd.concat([panel, panel[there]]), SpendDataError, ("series-03", "2 rows", "2026-01-31")),
        (changed("ds", "2026-01-30T07:00:00"), SpendDataError, ("series-03", "2 rows", "2026-01-30")),
        (panel.rename(columns={"y": "cost"}), SchemaError, ("'y'", "cost")),
        (panel.assign(ds=np.arange(len(panel))), SchemaError, ("ds", "series-00")),
        (panel.iloc[:0], SpendDataError, ("no rows",)),
    ]
    for frame, kind, named in bad:
        with pytest.raises(kind) as caught:
            clone(forecaster).fit(frame)
        assert all(name in str(caught.value) for name in named), str(caught.value)
    weekly = panel[panel["ds"].dt.day_of_week == 2].copy()
    weekly.loc[weekly.index[40], "ds"] += pd.Timedelta(days=1)
    with pytest.raises(SpendDataError, match=r"series-01.*not on the 'W' grid"):
        clone(forecaster).set_params(freq="W").fit(weekly)


def check_extreme_scales_live_side_by_side(forecaster: Any) -> None:
    """From 1e-9 to 1e12 in one panel: finite, and each forecast in proportion to its own history."""
    values = autoregressive_panel(8, 12, DAYS)
    sizes = np.array([1e-9, 1e-9, 1e-3, 1e-3, 1.0, 1.0, 1.0, 1.0, 1e6, 1e6, 1e12, 1e12])
    totals = drawn(forecaster, long_panel(values * sizes[:, None]), 28).astype(np.float64).sum(axis=1)
    assert np.isfinite(totals).all()
    ratio = np.median(totals, axis=1) / (values[:, -28:].sum(axis=1) * sizes)
    assert (ratio > 0.5).all()
    assert (ratio < 2.0).all()


def check_odd_series_do_not_disturb(forecaster: Any) -> None:
    """All zero, never known, one observation, constant, only credits, one spike: finite beside ordinary series, and no warning."""
    values = np.concatenate([autoregressive_panel(7, 8, DAYS), np.zeros((7, DAYS))])
    values[9] = np.nan
    values[10, :-1] = np.nan
    values[10, -1] = 40.0
    values[11] = 25.0
    values[12] = -25.0
    values[13, 50] = 1e6
    values[14] = 1e-9
    paths = drawn(forecaster, long_panel(values), 28)
    assert np.isfinite(paths).all()
    assert (paths[[8, 9]] == 0).all()
    np.testing.assert_allclose(paths[11].sum(axis=0).mean(), 25.0 * 28, rtol=0.15)
    np.testing.assert_allclose(paths[12].sum(axis=0).mean(), -25.0 * 28, rtol=0.25)
    assert np.median(paths[13].sum(axis=0)) < 1e4


def check_any_length_widens_and_says_so(forecaster: Any) -> None:
    """A team of nine days and a model of yesterday are less certain than the others; a series that has ended is forecast as nothing."""
    values = autoregressive_panel(7, 15, 400, persistence=0.5)
    values[0, :-9] = 0.0
    values[1, :-1] = 0.0
    values[2, 300:] = 0.0
    fitted = clone(forecaster).fit(long_panel(values))
    totals = fitted.simulate(28, n_paths=400, seed=1).total().to_numpy()
    low, middle, high = np.quantile(totals, [0.1, 0.5, 0.9], axis=1)
    width = (high - low) / np.maximum(middle, 1e-9)
    assert (width[:2] > 2.5 * np.median(width[3:])).all()
    assert width[1] > width[0]
    assert high[2] == 0.0
    assert totals[2].mean() < 0.01 * 28 * values[2, :300].mean()
    notes = " ".join(fitted.notes_)
    assert all(f"series-{number:02d}" in notes for number in range(3))
    assert "series-03" not in notes


def check_any_calendar(forecaster: Any) -> None:
    """From minutes to fiscal quarters: steps that follow each other on the calendar, near what was spent, kept through state and update."""
    for freq, periods in CALENDARS.items():
        ds = pd.date_range("2010-01-06", periods=periods + 1, freq=freq)
        values = autoregressive_panel(4, SERIES, periods + 1)
        panel = pd.DataFrame(
            {"unique_id": np.repeat([f"series-{n:02d}" for n in range(SERIES)], len(ds)), "ds": np.tile(ds, SERIES), "y": values.ravel()}
        )
        known = panel[panel["ds"] < ds[-1]]
        fitted = clone(forecaster).set_params(freq=freq).fit(known)
        paths = fitted.simulate(6, n_paths=30, seed=1)
        follow = pd.date_range(ds[-1], periods=7, freq=ds.freq).to_numpy()
        np.testing.assert_array_equal(paths.starts[0], follow[:-1])
        np.testing.assert_array_equal(paths.ends[0], follow[1:])
        assert np.isfinite(paths.values).all()
        company = paths.values.sum(axis=(0, 1)).mean() / (values[:, -7:-1].sum())
        assert 0.8 < company < 1.25, freq
        rebuilt = type(forecaster).from_state(fitted.state())
        newest = panel[panel["ds"] == ds[-1]]
        moved = fitted.update(newest).simulate(6, n_paths=30, seed=1)
        assert moved.starts[0, 0] == follow[1], freq
        np.testing.assert_array_equal(rebuilt.update(newest).simulate(6, n_paths=30, seed=1).values, moved.values)


def check_eighteen_months_ahead_stay_within_reason(forecaster: Any) -> None:
    totals = clone(forecaster).fit(spend_panel()).simulate(548, n_paths=40, seed=1).total().to_numpy()
    assert np.isfinite(totals).all()
    recent = spend_panel().groupby("unique_id")["y"].apply(lambda y: y.to_numpy()[-28:].mean()).to_numpy() * 548
    assert 0.4 < np.median(totals.sum(axis=0)) / recent.sum() < 2.5


def check_errors_are_ours(forecaster: Any) -> None:
    """Whatever one column is made of, an error is one of this package's."""
    panel = spend_panel(count=4, days=30)
    for column in ("unique_id", "ds", "y"):
        for odd in ([1, 2], {"a": 1}, object(), b"bytes", 1 + 2j, pd.Timedelta("1D"), pd.NaT, float("nan"), "", "NaN", True, 10**40):
            made = pd.Series([odd] * len(panel), dtype=object, index=panel.index)
            try:
                clone(forecaster).fit(panel.assign(**{column: made}))
            except ForecastError:
                continue
