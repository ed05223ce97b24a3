"""How each day of a bill came to its total: what was known of it at every age, kept as sorted changes.

A *trajectory* is the running sum of the changes of one series and period, by age: hours since the period's end, or, for a vendor that
delivers once a week or month, since the end of that week or month (`clock`). Ages may be negative: a running day has one too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Days = NDArray[np.datetime64]

CLOCKS = ("period", "day", "week", "month")
STEPS: dict[str, Any] = {"D": np.timedelta64(24, "h"), "h": np.timedelta64(1, "h")}
WINDOW = {"D": 400, "h": 60 * 24}
"""Most recent periods that are kept."""

BACKFILL_HOURS = 45 * 24.0
"""What becomes known for the first time this long after its end is history that was connected, and says nothing about lateness."""

FIRST_DELIVERY_HOURS = 24
"""History may be loaded file by file: what comes within a day after the first line of a source, or of a series, is its first delivery."""

CONNECTED_HOURS = 48.0
"""What a series' first delivery has of periods older than this is its history; a new series' first day is one day like others."""

NOTHING = 1e-12
"""Part of all that was ever added to and taken from a cell, below which what is left is rounding."""

_SPAN = 1e6  # hours; more than any age, so that cell and age make one sorted key


@dataclass(frozen=True, eq=False)
class Trajectories:
    """One source: S series on a grid of D periods.

    series : (S,) names. ds : (D,) period starts. now : (D,) age of each period at the moment of learning. observed_from : (D,) age from
    which on it was watched; before it, that nothing was known says nothing. keys : sorted (cell number, age) of all changes, starts :
    (S × D + 1,) where each cell's begin. sums : running sum of each cell at each change. first_age : (S × D,) age at which a cell was first
    known, inf where never. backfilled : (S × D,) cells that came as history.
    """

    series: tuple[str, ...]
    ds: Days
    clock: str
    now: Floats
    observed_from: Floats
    keys: Floats
    sums: Floats
    starts: Integers
    first_age: Floats
    backfilled: Booleans

    @property
    def n_periods(self) -> int:
        return len(self.ds)

    def known(self, ages: Floats) -> Floats:
        """(S, D, A) what was known of every cell at these ages (A,) on the source's clock; ages beyond `now` say what is known now."""
        n_cells = len(self.starts) - 1
        wanted = np.arange(n_cells)[:, None] * _SPAN + np.clip(ages, -_SPAN / 4, _SPAN / 4)[None, :] + _SPAN / 2
        place = np.searchsorted(self.keys, wanted, side="right") - 1
        found = np.where(place >= self.starts[:-1, None], np.append(self.sums, 0.0)[place], 0.0)
        # A series connected later with its history was not late: its first value stands for what was there all the time.
        if self.backfilled.any():
            early = self.backfilled[:, None] & (ages[None, :] < self.first_age[:, None])
            found = np.where(early, self.first_value[:, None], found)
        return found.reshape(len(self.series), self.n_periods, len(ages))

    @cached_property
    def first_value(self) -> Floats:
        """(S × D,) the first value of each cell that was not nothing."""
        has = self.starts[1:] > self.starts[:-1]
        return np.where(has, np.append(self.sums, 0.0)[np.minimum(self.starts[:-1], len(self.sums))], 0.0)

    @cached_property
    def final(self) -> Floats:
        """(S, D) what is known now."""
        has = self.starts[1:] > self.starts[:-1]
        last = np.append(self.sums, 0.0)[self.starts[1:] - 1] if len(self.sums) else np.zeros(len(has))
        return np.where(has, last, 0.0).reshape(len(self.series), self.n_periods)

    @cached_property
    def together(self) -> Trajectories:
        """The same source as one series."""
        cell = (self.keys // _SPAN).astype(np.int64)
        age = self.keys - cell * _SPAN - _SPAN / 2
        change = self.sums.copy()
        inner = np.ones(len(change), dtype=np.bool_)
        inner[self.starts[:-1][self.starts[:-1] < len(change)]] = False
        change[1:] -= np.where(inner[1:], self.sums[:-1], 0.0)
        moment = np.full(len(cell), np.inf)  # of one series nothing is told apart
        return _assembled(("all",), self.ds, self.clock, self.now, self.observed_from, cell % self.n_periods, age, change, moment)


def checked(developments: pd.DataFrame, as_of: np.datetime64, freq: str) -> pd.DataFrame:
    """The developments up to `as_of` with changes that are numbers, types checked."""
    missing = [name for name in ("source", "ds", "known_at", "change") if name not in developments.columns]
    if missing:
        raise InputError(
            f"developments have no column {missing[0]!r}: got {', '.join(map(str, developments.columns))}",
            field=missing[0],
            got=[str(name) for name in developments.columns],
            allowed="source, ds, known_at, change",
        )
    if freq not in STEPS:
        raise InputError(f"freq is {freq!r}; allowed are {', '.join(STEPS)}", field="freq", got=freq, allowed=", ".join(STEPS))
    frame = developments[["source", "ds", "known_at", "change"]]
    change = frame["change"].to_numpy(dtype=np.float64)
    known = frame["known_at"].to_numpy(dtype="datetime64[us]")
    return frame.loc[np.isfinite(change) & (change != 0.0) & (known <= as_of)]


def trajectories(developments: pd.DataFrame, as_of: np.datetime64, *, freq: str = "D", clock: str = "period") -> Trajectories:
    """Trajectories of one source. developments : of `checked`, `source` names the series."""
    step, hour = STEPS[freq], STEPS["h"]
    ds: Any = developments["ds"].to_numpy(dtype="datetime64[us]").astype(f"datetime64[{freq}]").astype("datetime64[h]")
    known: Any = developments["known_at"].to_numpy(dtype="datetime64[us]")
    last = max(ds.max(), as_of.astype(f"datetime64[{freq}]").astype("datetime64[h]") - step)
    first = max(ds.min(), last - (WINDOW[freq] - 1) * step)
    grid = np.arange(first, last + step, step)
    began = known.min() + np.timedelta64(FIRST_DELIVERY_HOURS, "h")
    anchor: Any = anchors(grid, freq, clock).astype("datetime64[us]")
    inside = ds >= first
    names, series = np.unique(developments["source"].to_numpy(dtype=np.str_)[inside], return_inverse=True)
    day = ((ds[inside] - first) // step).astype(np.int64)
    age = (known[inside] - anchor[day]) / hour
    now = (as_of - anchor) / hour
    came = np.full(len(grid), np.inf)
    np.minimum.at(came, day, age)
    watched = (began - anchor) / hour
    watched = np.where(np.isfinite(came) & (came > BACKFILL_HOURS), np.maximum(watched, came), watched)
    change = developments["change"].to_numpy(dtype=np.float64)[inside]
    # Hours since each series was first known: what came with it.
    since = (known[inside] - as_of) / hour
    begun = np.full(len(names), np.inf)
    np.minimum.at(begun, series, since)
    return _assembled(tuple(names.tolist()), grid, clock, now, watched, series * len(grid) + day, age, change, since - begun[series])


def anchors(ds: Days, freq: str, clock: str) -> Days:
    """(D,) datetime64[h] moments from which ages are counted: ends of the periods, or of their days, weeks (Monday) or months."""
    if clock == "day":
        return (ds.astype("datetime64[D]") + 1).astype("datetime64[h]")
    if clock == "week":
        days = ds.astype("datetime64[D]")
        weekday = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
        return (days + (7 - weekday)).astype("datetime64[h]")
    if clock == "month":
        return (ds.astype("datetime64[M]") + 1).astype("datetime64[h]")
    ends: Days = ds.astype("datetime64[h]") + STEPS[freq]
    return ends


def _assembled(
    series: tuple[str, ...], ds: Days, clock: str, now: Floats, observed_from: Floats, cell: Integers, age: Floats, change: Floats, since: Floats
) -> Trajectories:
    order = np.lexsort((age, cell))
    cell, age, change, since = cell[order], age[order], change[order], since[order]
    n_cells = len(series) * len(ds)
    starts = np.searchsorted(cell, np.arange(n_cells + 1))
    # Each cell is summed on its own: a difference of long running sums would not give back its cents.
    sums: Any = pd.Series(change).groupby(cell).cumsum().to_numpy(dtype=np.float64)
    size = pd.Series(np.abs(change)).groupby(cell).cumsum().to_numpy(dtype=np.float64)
    sums = np.where(np.abs(sums) <= NOTHING * size, 0.0, sums).astype(np.float64)
    has = starts[1:] > starts[:-1]
    place = np.minimum(starts[:-1], len(age))
    first_age = np.where(has, np.append(age, np.inf)[place], np.inf).astype(np.float64)
    with_series = np.append(since, np.inf)[place] <= FIRST_DELIVERY_HOURS
    backfilled = np.isfinite(first_age) & ((first_age > BACKFILL_HOURS) | (with_series & (first_age > CONNECTED_HOURS)))
    keys = cell * _SPAN + age + _SPAN / 2
    return Trajectories(series, ds, clock, now, observed_from, keys, sums, starts, first_age, backfilled)
