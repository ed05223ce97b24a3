"""History: the panel as forecasters compute on it. Series right-aligned, so that origins are shared columns.

An *origin* o is a number of known columns: a forecast from origin o has seen columns 0..o-1, and step h is column o + h - 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.forecasters.batches import joined
from forecast.spend.panel import SpendMatrix, parse_freq

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# season, short window, long window, in periods
_RHYTHMS: dict[str, tuple[int, int, int]] = {
    "h": (24, 96, 336),
    "D": (7, 28, 91),
    "B": (5, 20, 65),
    "W": (52, 8, 26),
    "MS": (12, 3, 12),
    "ME": (12, 3, 12),
    "QS": (4, 4, 8),
    "YS": (1, 2, 5),
}


CREDIT_SHARE = 0.1
"""Share of a series' money, signs left aside, beyond which credits are its nature and no exception."""

OUTAGE_WINDOW = 7
"""Periods before and after that an outage is compared with."""


@dataclass(frozen=True)
class Rhythm:
    """season : periods in the main season (1 where history is too short for one). short, long : windows of the recent level."""

    season: int
    short: int
    long: int


def rhythm_of(freq: str, n_periods: int) -> Rhythm:
    """Season and level windows of a frequency; a season needs two of its length in the history."""
    offset = parse_freq(freq)
    name = str(offset.freqstr).split("-")[0]
    if name in _RHYTHMS:
        season, short, long = _RHYTHMS[name]
    else:
        try:
            per_day = max(1, round(pd.Timedelta("1D") / pd.Timedelta(offset)))
        except (ValueError, TypeError):
            per_day = 1
        season, short, long = per_day, 2 * per_day, 7 * per_day
    return Rhythm(season if n_periods >= 2 * season else 1, max(2, short), max(4, long))


def is_intraday(freq: str) -> bool:
    """Whether periods are parts of days."""
    offset = parse_freq(freq)
    return isinstance(offset, pd.tseries.offsets.Tick) and pd.Timedelta(offset) < pd.Timedelta("1D")


@dataclass(frozen=True)
class History:
    """Right-aligned series.

    values : (n, T) cost, NaN where not known. first : (n,) first column with spend in it; T for a series without any.
    grid : the union time grid; last : (n,) column of `grid` that a series' last column stands for.
    signed : (n,) whether negative values occur, so that forecasts may be negative too.
    outage_cells : (k, 2) row and column of values that were taken for outages, NaN in `values`; outage_values : (k,) what they were.
    one_whole : whether the series are parts of one whole (leaves of a hierarchy) and not a collection.
    """

    ids: tuple[str, ...]
    values: Floats
    first: Ints
    grid: pd.DatetimeIndex
    last: Ints
    freq: str
    rhythm: Rhythm
    outage_cells: Ints = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    outage_values: Floats = field(default_factory=lambda: np.empty(0))
    one_whole: bool = False

    def part(self, rows: slice) -> History:
        """The history of some series: views of this one's arrays, nothing is computed twice."""
        found = replace(self, ids=self.ids[rows], values=self.values[rows], first=self.first[rows], last=self.last[rows])
        for name in ("filled", "signed", "additive", "_cumulative", "_cumulative_size"):
            found.__dict__[name] = getattr(self, name)[rows]
        return found

    @property
    def n_series(self) -> int:
        return self.values.shape[0]

    @property
    def n_periods(self) -> int:
        return self.values.shape[1]

    @cached_property
    def filled(self) -> Floats:
        """(n, T) values with unknown cells inside a series taken from the period before, and 0 before it began."""
        known = np.isfinite(self.values)
        position = np.where(known, np.arange(self.n_periods), -1)
        position = np.maximum.accumulate(position, axis=1)
        filled = np.take_along_axis(np.nan_to_num(self.values), np.maximum(position, 0), axis=1)
        return np.where(position < 0, 0.0, filled)

    @cached_property
    def signed(self) -> NDArray[np.bool_]:
        return np.asarray((self.filled < 0).any(axis=1))

    @cached_property
    def additive(self) -> NDArray[np.bool_]:
        """(n,) whether credits make up so much of a series that totals may be near nothing or below: errors are then differences, not ratios.

        A refund now and then in a series of spend leaves it a series of spend.
        """
        credited = np.where(self.filled < 0, -self.filled, 0.0).sum(axis=1)
        return np.asarray(credited > CREDIT_SHARE * np.abs(self.filled).sum(axis=1))

    @cached_property
    def _cumulative(self) -> Floats:
        return np.concatenate([np.zeros((self.n_series, 1)), np.cumsum(self.filled, axis=1)], axis=1)

    @cached_property
    def _cumulative_size(self) -> Floats:
        return np.concatenate([np.zeros((self.n_series, 1)), np.cumsum(np.abs(self.filled), axis=1)], axis=1)

    def window_mean(self, origins: Ints, width: int, *, size: bool = False) -> Floats:
        """(n, O) mean (of absolute values with `size`) over the `width` periods before each origin, or since the series began."""
        sums = self._cumulative_size if size else self._cumulative
        begin = np.maximum(origins[None, :] - width, np.minimum(self.first[:, None], origins[None, :]))
        length = np.maximum(origins[None, :] - begin, 1)
        return (sums[:, origins] - np.take_along_axis(sums, begin, axis=1)) / length

    def level(self, origins: Ints) -> Floats:
        """(n, O) recent size of each series at each origin, ≥ 0: a blend, so that one quiet month does not make it zero."""
        short = self.window_mean(origins, self.rhythm.short, size=True)
        long = self.window_mean(origins, self.rhythm.long, size=True)
        whole = self.window_mean(origins, self.n_periods, size=True)
        return 0.6 * short + 0.3 * long + 0.1 * whole

    def age(self, origins: Ints) -> Ints:
        """(n, O) periods that a series has been active at each origin; 0 before it began."""
        return np.maximum(origins[None, :] - self.first[:, None], 0)

    def window(self, origins: Ints, width: int) -> Floats:
        """(n, O, width) the last `width` filled values before each origin, oldest first; 0 before the panel began."""
        columns = origins[:, None] + np.arange(-width, 0)[None, :]
        return np.where(columns >= 0, self.filled[:, np.maximum(columns, 0)], 0.0)

    def future(self, origins: Ints, horizon: int) -> Floats:
        """(n, O, horizon) what came after each origin; NaN beyond the end and where not known."""
        columns = origins[:, None] + np.arange(horizon)[None, :]
        inside = columns < self.n_periods
        return np.where(inside, self.values[:, np.minimum(columns, self.n_periods - 1)], np.nan)

    def totals(self, origins: Ints, horizon: int) -> Floats:
        """(n, O) sum of what is known of the `horizon` periods after each origin."""
        sums = np.concatenate([np.zeros((self.n_series, 1)), np.cumsum(np.nan_to_num(self.values), axis=1)], axis=1)
        return sums[:, np.minimum(origins + horizon, self.n_periods)] - sums[:, origins]

    def dates(self, horizon: int) -> pd.DatetimeIndex:
        """The grid from the first column of the longest history to `horizon` periods beyond the newest row."""
        if not horizon:
            return self.grid
        return pd.DatetimeIndex(self.grid.append(pd.date_range(self.grid[-1], periods=horizon + 1, freq=self.grid.freq)[1:]))

    def columns_of(self, horizon: int) -> Ints:
        """(n, T + horizon) position in `dates(horizon)` of every column of every series; negative before the grid begins."""
        return self.last[:, None] + np.arange(-self.n_periods + 1, horizon + 1)[None, :]


def history_of(matrix: SpendMatrix) -> History:
    """Right-align a matrix: each series' last known value comes to the last column. Leading zeros are 'not begun', outages 'not known'."""
    last = matrix.last_known()
    width = matrix.n_periods

    def aligned(rows: slice) -> tuple[NDArray[Any], ...]:
        shift = np.where(last[rows] >= 0, width - 1 - last[rows], 0)
        columns = np.arange(width)[None, :] - shift[:, None]
        values = np.where(columns >= 0, np.take_along_axis(matrix.values[rows], np.maximum(columns, 0), axis=1), np.nan)
        spent = np.nan_to_num(values) != 0
        first = np.where(spent.any(axis=1), np.argmax(spent, axis=1), width).astype(np.int64)
        cells = np.argwhere(outages(values, first))
        row, column = cells.T
        kept = values[row, column]
        values[row, column] = np.nan
        return values, first, cells + np.array([rows.start, 0]), kept

    values, first, cells, kept = joined(aligned, len(last))
    return History(
        ids=matrix.ids,
        values=values,
        first=first,
        grid=matrix.ds,
        last=np.where(last >= 0, last, width - 1).astype(np.int64),
        freq=matrix.freq,
        rhythm=rhythm_of(matrix.freq, width),
        outage_cells=cells,
        outage_values=kept,
    )


def extended(history: History, newer: SpendMatrix) -> History:
    """The history with what `newer` knows: later periods of its series, or other values of known ones. The same object where that is nothing new.

    The rhythm stays what it was: it is what was learnt with. Raises InputError for series that the history does not have and for periods before
    it or off its grid.
    """
    rows = pd.Index(history.ids).get_indexer(pd.Index(newer.ids))
    if (rows < 0).any():
        strange = [name for name, row in zip(newer.ids, rows, strict=True) if row < 0]
        raise InputError(
            f"new rows name {len(strange)} series that were not learnt, first {strange[0]!r}; fit again to take them in",
            field="unique_id",
            got=strange[:5],
            allowed="series of the panel that was fitted",
        )
    grid = history.grid
    if newer.ds[-1] > grid[-1]:
        grid = pd.date_range(grid[0], newer.ds[-1], freq=grid.freq)
    columns = grid.get_indexer(newer.ds)
    if (columns < 0).any():
        odd = newer.ds[int(np.argmax(columns < 0))]
        raise InputError(
            f"new rows have the time {odd}, which is before the history or off its grid from {grid[0]}",
            field="ds",
            got=str(odd),
            allowed=f"times {history.freq} apart from {grid[0]}",
        )
    values = np.full((history.n_series, len(grid)), np.nan)
    known = history.values.copy()
    known[history.outage_cells[:, 0], history.outage_cells[:, 1]] = history.outage_values
    places = history.columns_of(0)
    series, column = np.nonzero(places >= 0)
    values[series, places[series, column]] = known[series, column]
    before = values[rows[:, None], columns[None, :]]
    after = np.where(np.isfinite(newer.values), newer.values, before)
    if len(grid) == len(history.grid) and np.array_equal(before, after, equal_nan=True):
        return history
    values[rows[:, None], columns[None, :]] = after
    return replace(history_of(SpendMatrix(history.ids, grid, values, history.freq)), rhythm=history.rhythm, one_whole=history.one_whole)


def outages(values: Floats, first: Ints) -> NDArray[np.bool_]:
    """(n, T) days on which a steady series nearly stopped for at most two periods: a failed cluster or collection, not a price of nothing.

    Steady: nonzero on 95 % of its days. Stopped: below a twentieth of the median of the week before, and of the week after where
    it is known. Real clusters show such days (2 % of normal); learnt as spend they make every rebound look like growth.
    """
    n, periods = values.shape
    found = np.zeros((n, periods), dtype=bool)
    if periods < 2 * OUTAGE_WINDOW:
        return found
    active = np.arange(periods)[None, :] >= first[:, None]
    spent = np.nan_to_num(values)
    steady = ((spent > 0) & active).sum(axis=1) >= 0.95 * np.maximum(active.sum(axis=1), 1) - 1
    steady &= ~(spent < 0).any(axis=1) & (first < periods - OUTAGE_WINDOW)
    rows = np.flatnonzero(steady & (np.where(active, spent, np.inf).min(axis=1) < spent.max(axis=1) / 20))
    if not len(rows):
        return found
    windows = np.median(np.lib.stride_tricks.sliding_window_view(spent[rows], OUTAGE_WINDOW, axis=1), axis=2)
    before = np.full((len(rows), periods), np.nan)
    before[:, OUTAGE_WINDOW:] = windows[:, :-1]
    after = np.full((len(rows), periods), np.inf)
    after[:, : periods - OUTAGE_WINDOW] = windows[:, 1:]
    with np.errstate(invalid="ignore"):
        low = (spent[rows] < before / 20) & (spent[rows] < after / 20)
    low &= np.arange(periods)[None, :] >= first[rows, None] + OUTAGE_WINDOW
    longer = np.zeros_like(low)
    longer[:, 2:] = low[:, 2:] & low[:, 1:-1] & low[:, :-2]
    stretched = longer.copy()
    stretched[:, :-1] |= longer[:, 1:]
    stretched[:, :-2] |= longer[:, 2:]
    found[rows] = low & ~stretched
    return found
