"""Long panels (`unique_id, ds, y`) and the dense matrix that forecasters compute on.

In a panel a NaN means "not known". A ledger's panel is complete in another sense: a day without a charge line cost
nothing, so `fill_spend` writes zeros there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError, SchemaError, SpendDataError

ID, DS, Y = "unique_id", "ds", "y"


@dataclass(frozen=True)
class SpendMatrix:
    """Series side by side on one time grid.

    ids : (n_series,) names. ds : (n_periods,) naive UTC period starts, regular in `freq`.
    values : (n_series, n_periods) float64 cost; NaN where not known (before a series starts, after it ends, gaps).
    """

    ids: tuple[str, ...]
    ds: pd.DatetimeIndex
    values: NDArray[np.float64]
    freq: str

    @property
    def n_series(self) -> int:
        return self.values.shape[0]

    @property
    def n_periods(self) -> int:
        return self.values.shape[1]

    def until(self, cutoff: pd.Timestamp) -> SpendMatrix:
        """What was known when the period that starts at `cutoff` was over: columns up to and including it."""
        stop = int(self.ds.searchsorted(cutoff, side="right"))
        return SpendMatrix(self.ids, self.ds[:stop], self.values[:, :stop], self.freq)

    def last_known(self) -> NDArray[np.int64]:
        """(n_series,) column of each series' last known value; -1 where a series has none."""
        known = np.isfinite(self.values)
        last = self.n_periods - 1 - np.argmax(known[:, ::-1], axis=1)
        return np.where(known.any(axis=1), last, -1)


def parse_freq(freq: str) -> Any:
    """The pandas offset of a fixed frequency (`5min`, `h`, `D`, `W`, `MS`)."""
    try:
        return pd.tseries.frequencies.to_offset(freq)
    except ValueError:
        raise InputError(
            f"freq is not a frequency: got {freq!r}, allowed are pandas frequencies such as h, D, W, MS",
            field="freq",
            got=freq,
            allowed="h, D, W, MS, 5min",
        ) from None


def check_panel(panel: pd.DataFrame) -> pd.DataFrame:
    """The panel's three columns with types checked: text ids, naive UTC times, finite or NaN float costs."""
    if not isinstance(panel, pd.DataFrame):
        raise SchemaError(
            f"panel is not a DataFrame: got {type(panel).__name__}", field="panel", got=type(panel).__name__, allowed="columns unique_id, ds, y"
        )
    for column in (ID, DS, Y):
        if column not in panel.columns:
            raise SchemaError(
                f"panel has no column {column!r}: got {', '.join(map(str, panel.columns))}; allowed are the columns unique_id, ds, y",
                field=column,
                got=[str(name) for name in panel.columns],
                allowed="columns unique_id, ds, y",
            )
    if panel.empty:
        raise SpendDataError("panel has no rows", field="panel", got=0, allowed="at least one row")
    ids = panel[ID].astype(str)
    try:
        ds = pd.to_datetime(panel[DS])
    except (ValueError, TypeError) as error:
        raise SchemaError(f"panel column ds is not a time: {error}", field=DS, got=str(panel[DS].iloc[0]), allowed="naive UTC time stamps") from None
    if ds.dt.tz is not None:
        ds = ds.dt.tz_convert("UTC").dt.tz_localize(None)
    if ds.isna().any():
        raise SpendDataError(f"Series {ids[ds.isna()].iloc[0]!r} has a row without a time", field=DS, got=None, allowed="a time stamp in every row")
    try:
        y = pd.to_numeric(panel[Y]).astype("float64")
    except (ValueError, TypeError) as error:
        raise SchemaError(
            f"panel column y is not a number: {error}", field=Y, got=str(panel[Y].dtype), allowed="numbers; NaN where not known"
        ) from None
    infinite = np.isinf(y.to_numpy())
    if infinite.any():
        where = int(np.argmax(infinite))
        raise SpendDataError(
            f"Series {ids.iloc[where]!r} has an infinite value on {ds.iloc[where]}",
            field=Y,
            got=str(y.iloc[where]),
            allowed="finite numbers; NaN where not known",
        )
    return pd.DataFrame({ID: ids.to_numpy(), DS: ds.to_numpy(), Y: y.to_numpy()})


def to_matrix(panel: pd.DataFrame, freq: str) -> SpendMatrix:
    """Dense matrix of a long panel, ids sorted; times are taken to the start of their period; rows may come in any order."""
    frame = check_panel(panel)
    offset, ds = _grid(pd.DatetimeIndex(frame[DS]), parse_freq(freq))
    codes, ids = pd.factorize(frame[ID], sort=True)
    grid = pd.date_range(ds.min(), ds.max(), freq=offset)
    columns = grid.get_indexer(ds)
    if (columns < 0).any():
        where = int(np.argmax(columns < 0))
        raise SpendDataError(
            f"Series {frame[ID].iloc[where]!r} has the time {frame[DS].iloc[where]}, which is not on the {freq!r} grid from {grid[0]}",
            field=DS,
            got=str(frame[DS].iloc[where]),
            allowed=f"times {freq} apart",
        )
    flat = codes * len(grid) + columns
    unique, counts = np.unique(flat, return_counts=True)
    if (counts > 1).any():
        cell = int(unique[np.argmax(counts > 1)])
        raise SpendDataError(
            f"Series {ids[cell // len(grid)]!r} has {int(counts.max())} rows for {grid[cell % len(grid)]}",
            field=DS,
            got=str(grid[cell % len(grid)]),
            allowed="one row for each series and period",
        )
    values = np.full(len(ids) * len(grid), np.nan)
    values[flat] = frame[Y].to_numpy()
    return SpendMatrix(tuple(map(str, ids)), grid, values.reshape(len(ids), len(grid)), freq)


def fill_spend(matrix: SpendMatrix) -> SpendMatrix:
    """A ledger's matrix: a period without a charge line cost nothing."""
    return SpendMatrix(matrix.ids, matrix.ds, np.nan_to_num(matrix.values, nan=0.0), matrix.freq)


def _grid(ds: pd.DatetimeIndex, offset: Any) -> tuple[Any, pd.DatetimeIndex]:
    """The offset anchored to the data and the stamps taken to the start of their period.

    Weeks may be stamped with any weekday and months with any day: the first stamp's weekday, and the first of the month, are the grid.
    """
    if isinstance(offset, pd.tseries.offsets.Tick) or offset == pd.tseries.offsets.Day():
        return offset, pd.DatetimeIndex(ds.floor(offset)) if offset.n == 1 else ds
    if isinstance(offset, pd.tseries.offsets.Week) and offset.n == 1:
        return pd.tseries.offsets.Week(weekday=int(ds.min().day_of_week)), pd.DatetimeIndex(ds.normalize())
    if isinstance(offset, pd.tseries.offsets.MonthBegin) and offset.n == 1:
        return offset, pd.DatetimeIndex(ds.to_period("M").start_time)
    return offset, ds
