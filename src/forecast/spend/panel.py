"""Long panels (`unique_id, ds, y`) and the dense matrix that forecasters compute on.

In a panel a NaN means "not known". A ledger's panel is complete in another sense: a day without a charge line cost
nothing, so `fill_spend` writes zeros there.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError, SpendDataError
from forecast.spend.panel_columns import DS, ID, PanelColumns, Y, panel_columns

__all__ = ["DS", "ID", "SpendMatrix", "Y", "check_panel", "fill_spend", "parse_freq", "to_matrix"]

MOST_CELLS = 500_000_000
"""Series times periods of one matrix: 4 GB."""


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
    """The pandas offset of a fixed frequency (`5min`, `h`, `D`, `W`, `MS`, `QS`). Raises InputError for what is none, or runs backwards."""
    try:
        with warnings.catch_warnings():
            # Spellings that pandas is about to drop are none of ours.
            warnings.simplefilter("error")
            offset = pd.tseries.frequencies.to_offset(freq)
    except (ValueError, TypeError, Warning):
        offset = None
    if offset is None or offset.n < 1 or not isinstance(freq, str):
        allowed = "h, D, W, MS, QS, 5min"
        raise InputError(
            f"freq is not a frequency: got {freq!r}, allowed are pandas frequencies such as {allowed}", field="freq", got=freq, allowed=allowed
        )
    return offset


def check_panel(panel: pd.DataFrame) -> pd.DataFrame:
    """The panel's three columns with types checked: text ids, naive UTC times, finite or NaN float costs."""
    codes, ids, ds, y = panel_columns(panel)
    return pd.DataFrame({ID: pd.Series(ids.take(codes), dtype=object), DS: ds, Y: y})


def to_matrix(panel: pd.DataFrame, freq: str) -> SpendMatrix:
    """Dense matrix of a long panel, ids sorted; times are taken to the start of their period; rows may come in any order.

    Raises SpendDataError where two rows of a series fall into one period, and for times off the grid that the first one begins.
    """
    columns = panel_columns(panel)
    offset, ds = _grid(columns.ds, parse_freq(freq))
    grid = _checked_range(columns, ds, offset, freq)
    places = grid.get_indexer(ds)
    if (places < 0).any():
        row = int(np.argmax(places < 0))
        raise SpendDataError(
            f"Series {columns.series_of(row)!r} has the time {columns.ds[row]}, which is not on the {freq!r} grid from {grid[0]}",
            field=DS,
            got=str(columns.ds[row]),
            allowed=f"times {freq} apart",
        )
    n_series = len(columns.ids)
    flat = columns.codes * len(grid) + places
    counts = np.bincount(flat, minlength=n_series * len(grid))
    if counts.max() > 1:
        cell = int(np.argmax(counts > 1))
        raise SpendDataError(
            f"Series {columns.ids[cell // len(grid)]!r} has {int(counts[cell])} rows for {grid[cell % len(grid)]}",
            field=DS,
            got=str(grid[cell % len(grid)]),
            allowed="one row for each series and period",
        )
    values = np.full(n_series * len(grid), np.nan)
    values[flat] = columns.y
    return SpendMatrix(tuple(map(str, columns.ids)), grid, values.reshape(n_series, len(grid)), freq)


def _checked_range(columns: PanelColumns, ds: pd.DatetimeIndex, offset: Any, freq: str) -> pd.DatetimeIndex:
    """All periods from the first to the last. A mistyped year must not ask for more memory than there is."""
    first, last = ds.min(), ds.max()
    step = (first + offset) - first
    if step > pd.Timedelta(0) and len(columns.ids) * ((last - first) / step + 1) > MOST_CELLS:
        ends = [int(ds.argmin()), int(ds.argmax())]
        raise SpendDataError(
            f"panel reaches from {first} (series {columns.series_of(ends[0])!r}) to {last} (series {columns.series_of(ends[1])!r}): "
            f"more than {MOST_CELLS:,} cells of {freq!r}",
            field=DS,
            got=f"{first}..{last}",
            allowed=f"{MOST_CELLS:,} series times periods",
        )
    return pd.date_range(first, last, freq=offset)


def fill_spend(matrix: SpendMatrix) -> SpendMatrix:
    """A ledger's matrix: a period without a charge line cost nothing."""
    return SpendMatrix(matrix.ids, matrix.ds, np.nan_to_num(matrix.values, nan=0.0), matrix.freq)


def _grid(ds: pd.DatetimeIndex, offset: Any) -> tuple[Any, pd.DatetimeIndex]:
    """The offset anchored to the data and the stamps taken to the start of their period.

    Weeks may be stamped with any weekday and months with any day: the first stamp's weekday, and the first of the month, are the grid.
    """
    if isinstance(offset, pd.tseries.offsets.Tick) or offset == pd.tseries.offsets.Day():
        return offset, pd.DatetimeIndex(ds.floor(offset)) if offset.n == 1 else ds
    if isinstance(offset, pd.tseries.offsets.Week):
        return pd.tseries.offsets.Week(offset.n, weekday=int(ds.min().day_of_week)), pd.DatetimeIndex(ds.normalize())
    if isinstance(offset, pd.tseries.offsets.MonthBegin) and offset.n == 1:
        return offset, pd.DatetimeIndex(ds.to_period("M").start_time)
    return offset, ds
