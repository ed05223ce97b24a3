"""Money of single hours and of short windows beyond what is usual at those hours of the day: what a runaway of the night shows by morning.

What is usual is the middle one of the same hour on the 28 days before; only rises say something. A day has one amount: its largest window, ÷ √hours,
so that windows of all lengths are held against one record (`own_record`). Whoever has no lines of single hours has no amounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HOURS_A_DAY = 24
WINDOWS = (1, 3, 6)
"""Hours that are looked at together; they may begin on the day before."""
BACK, FEWEST = 28, 8
"""Days of which the same hour is looked at, and how many there must be."""
DAYS_BEFORE = BACK + 1
"""Days that are needed before the first one wanted: what was usual then, and on the day on which a window begins."""
UNFINISHED = 2
"""Days at the end that may be going on: bills of yesterday's last hours come in today."""
ROWS_AT_ONCE = 1000
DIGITS = 6
_HOUR, _DAY = np.timedelta64(1, "h"), np.timedelta64(1, "D")


@dataclass(frozen=True)
class HourLines:
    """Money of single hours. combinations : one row a value combination, columns are dimensions. combination, hour, spend : (m,) number of its row,
    begin of the hour (datetime64[h], UTC), money; sums, so that a combination has an hour once."""

    combinations: pd.DataFrame
    combination: NDArray[np.int64]
    hour: NDArray[np.datetime64]
    spend: Floats

    def by_hour(self, row_of: NDArray[np.int64], n_rows: int, first_day: np.datetime64, n_days: int) -> Floats:
        """(n_rows, n_days, 24) money of rows. row_of : (n_combinations,) row of each, -1 for those that have none."""
        found = np.zeros((n_rows, n_days * HOURS_A_DAY))
        column = ((self.hour - first_day.astype("datetime64[h]")) // _HOUR).astype(np.int64)
        row = row_of[self.combination]
        inside = (row >= 0) & (column >= 0) & (column < found.shape[1])
        np.add.at(found, (row[inside], column[inside]), self.spend[inside])
        # Combinations of one row come in any order: the same again must say the same.
        return np.asarray(found.round(DIGITS)).reshape(n_rows, n_days, HOURS_A_DAY)


@dataclass(frozen=True)
class DayHours:
    """What the hours of days say, (n, n_days) money each.

    amount : largest window beyond the usual ÷ √hours, never below 0. most : the most that a day had beyond the usual at the end of one of its hours.
    so_far, spent : of days that are going on, up to the series' last hour that is known: beyond the usual, and all; 0 on other days.
    """

    amount: Floats
    most: Floats
    so_far: Floats
    spent: Floats

    @classmethod
    def nothing(cls, n: int, n_days: int) -> DayHours:
        """Where no hours are known; takes no memory."""
        none = np.broadcast_to(np.float64(0.0), (n, n_days))
        return cls(none, none, none, none)

    @property
    def is_nothing(self) -> bool:
        return not self.amount.any()


def day_hours(hours: Floats, rows_at_once: int = ROWS_AT_ONCE) -> DayHours:
    """Of all but the first DAYS_BEFORE days. hours : (n, n_days, 24) money, consecutive days; amount and most are causal.

    Raises ValueError where there are no days but those.
    """
    n, n_days, _ = hours.shape
    if n_days <= DAYS_BEFORE:
        raise ValueError(f"hours: got {n_days} days; allowed is more than {DAYS_BEFORE}")
    amount, most, so_far, spent = (np.zeros((n, n_days - DAYS_BEFORE)) for _ in range(4))
    active = np.flatnonzero(hours.any(axis=(1, 2)))
    for first in range(0, len(active), rows_at_once):
        rows = active[first : first + rows_at_once]
        part = hours[rows]
        beyond = part[:, BACK:] - _usual(part)
        amount[rows] = _amounts(beyond)
        running = np.cumsum(beyond[:, 1:], axis=2)
        most[rows] = np.maximum(running.max(axis=2), 0.0)
        so_far[rows], spent[rows] = _going_on(part[:, DAYS_BEFORE:], running)
    return DayHours(amount, most, so_far, spent)


def joined(parts: Sequence[DayHours], axis: int) -> DayHours:
    """Parts of one kind of rows after each other in time (axis 1), or rows below each other (axis 0)."""
    names = ("amount", "most", "so_far", "spent")
    return DayHours(*(np.concatenate([getattr(part, name) for part in parts], axis=axis) for name in names))


def node_hours(hours: Floats, members: Sequence[NDArray[np.int64]]) -> Floats:
    """(n_nodes, n_days, 24) of nodes. hours : of leaves. members : leaves of each node."""
    found = np.empty((len(members), *hours.shape[1:]))
    for number, rows in enumerate(members):
        found[number] = hours[rows].sum(axis=0)
    return found


def _usual(hours: Floats) -> Floats:
    """(n, n_days - BACK, 24) the middle one of the same hour on the days before each; never below 0, so that an hour of which nothing is known yet
    is no rise. A series counts from its first day among those; where that is less than FEWEST days ago, as usual is whatever the day has."""
    n_days = hours.shape[1]
    busy = np.asarray(hours.any(axis=2))
    found = np.empty((len(hours), n_days - BACK, HOURS_A_DAY))
    for day in range(BACK, n_days):
        window, here = hours[:, day - BACK : day], found[:, day - BACK]
        seen = busy[:, day - BACK : day]
        age = np.asarray(np.where(seen.any(axis=1), BACK - np.argmax(seen, axis=1), 0))
        whole, short, none = np.flatnonzero(age == BACK), np.flatnonzero((age >= FEWEST) & (age < BACK)), np.flatnonzero(age < FEWEST)
        if len(whole):
            here[whole] = np.partition(window[whole], BACK // 2, axis=1)[:, BACK // 2]
        if len(short):
            # Days before the first one are sorted behind all others.
            before = np.arange(BACK) < BACK - age[short][:, None]
            ordered = np.sort(np.where(before[:, :, None], np.inf, window[short]), axis=1)
            here[short] = np.take_along_axis(ordered, (age[short] // 2)[:, None, None], axis=1)[:, 0]
        here[none] = hours[none, day]
    return np.maximum(found, 0.0)


def _amounts(beyond: Floats) -> Floats:
    """(n, n_days - 1) of all days but the first."""
    n, n_days, _ = beyond.shape
    flat = beyond.reshape(n, -1)
    total, found = np.zeros((n, (n_days - 1) * HOURS_A_DAY)), np.zeros((n, n_days - 1))
    # Added one by one: differences of running totals would hang on where an array begins.
    for back in range(max(WINDOWS)):
        total += flat[:, HOURS_A_DAY - back : flat.shape[1] - back]
        if back + 1 in WINDOWS:
            np.maximum(found, total.reshape(n, n_days - 1, HOURS_A_DAY).max(axis=2) / (back + 1) ** 0.5, out=found)
    return found


def _going_on(hours: Floats, running: Floats) -> tuple[Floats, Floats]:
    """so_far and spent. hours : (n, n_days, 24); running : what they have beyond the usual, added up within each day."""
    n, n_days, _ = hours.shape
    so_far, spent = np.zeros((n, n_days)), np.zeros((n, n_days))
    late = hours[:, -UNFINISHED:].reshape(n, -1)
    last = late.shape[1] - 1 - np.argmax(late[:, ::-1] != 0.0, axis=1)
    rows = np.flatnonzero(late.any(axis=1) & (last % HOURS_A_DAY < HOURS_A_DAY - 1))
    day, hour = n_days - min(UNFINISHED, n_days) + last[rows] // HOURS_A_DAY, last[rows] % HOURS_A_DAY
    so_far[rows, day] = running[rows, day, hour]
    spent[rows, day] = hours[rows, day].sum(axis=1)
    return so_far, spent
