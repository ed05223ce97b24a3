"""What a series may cost on a period of which nothing is billed yet: last weeks' level, and the errors that this rule made.

Not a forecast to show to anybody: it fills the gap of a day or two between the bills and the calendar, and says which costs are plausible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.spend.developments import Floats
from forecast.spend.recurring import day_kinds, recurring_items

SEASON = {"D": 7, "h": 24}
BANK = 56
"""Periods whose errors are kept."""
WIDER = 1.15
"""56 past errors are few: as they are, 80 % intervals of providers and teams held 73 %."""


@dataclass(frozen=True, eq=False)
class Outlook:
    """Errors of the rule on the last settled periods. errors : (n, B) in units of the size; column b is one past period of all series."""

    errors: Floats
    season: int
    signed: NDArray[np.bool_]

    @classmethod
    def of(cls, values: Floats, last: int, freq: str) -> Outlook:
        """values : (n, T) costs. last : number of columns that are settled."""
        season = SEASON[freq]
        begin = max(2 * season, last - BANK) if last > 2 * season else max(1, last // 2)
        columns = range(begin, last)
        errors = [
            (values[:, column] - base) / np.where(size > 0, size, np.inf) for column in columns for base, size in [usual(values, column, season)]
        ]
        bank = np.clip(np.stack(errors, axis=1), -10.0, 10.0) if errors else np.zeros((len(values), 1))
        return cls(bank, season, np.asarray((values[:, :last] < 0).any(axis=1)))

    def picks(self, n_draws: int, periods: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(n_draws,) a past period for each draw, the first of `periods` that follow each other."""
        return rng.integers(0, max(1, self.errors.shape[1] - periods + 1), n_draws)

    def draws(self, values: Floats, column: int, picks: NDArray[np.int64], offset: int) -> Floats:
        """(n, n_draws) plausible costs of one column, from those before it; `offset` periods after the picked ones."""
        base, size = usual(values, column, self.season)
        found = base[:, None] + WIDER * size[:, None] * self.errors[:, np.minimum(picks + offset, self.errors.shape[1] - 1)]
        floored = np.maximum(found, 0.0)
        # What is cut off below nothing, and bursts of the past, would make every gap dearer than what usually fills it (+10 % of a company).
        wanted = np.maximum(base + 0.5 * size * self.errors.mean(axis=1), 0.0)
        mean = floored.mean(axis=1)
        scaled = floored * np.where(mean > 0, wanted / np.where(mean > 0, mean, 1.0), 1.0)[:, None]
        return np.where(self.signed[:, None], found, scaled)


def usual(values: Floats, column: int, season: int) -> tuple[Floats, Floats]:
    """(n,) expected cost of a column from those before it, and (n,) the size of the series, its mean absolute cost of four seasons."""
    first = np.where((values[:, :column] != 0.0).any(axis=1), np.argmax(values[:, :column] != 0.0, axis=1), column)
    lived = np.maximum(column - first, 1)

    def mean(width: int) -> Floats:
        return values[:, max(0, column - width) : column].sum(axis=1) / np.minimum(lived, width)

    last, short, long = mean(max(1, 3 * season // 7)), mean(season), mean(4 * season)
    size = np.abs(values[:, max(0, column - 4 * season) : column]).sum(axis=1) / np.minimum(lived, 4 * season)
    same = values[:, [column - season * week for week in range(1, 5) if column >= season * week]]
    # Part of what the same weekday says: four of them are few.
    factor = (same.sum(axis=1) + 3.0 * long) / np.where(long > 0, (same.shape[1] + 3.0) * long, 1.0)
    old_enough = (lived >= 4 * season) & (long > 0)
    return (0.4 * last + 0.3 * short + 0.3 * long) * np.where(old_enough, factor, 1.0), size


def zero_probability(values: Floats, column: int) -> Floats:
    """(n,) chance that a series costs nothing in a column, from how often that followed a period like the last one."""
    window = values[:, max(0, column - BANK) : column] == 0.0
    if window.shape[1] < 2:
        return np.full(len(values), 0.1)
    last = window[:, -1:]
    like = window[:, :-1] == last
    zeros = (like & window[:, 1:]).sum(axis=1)
    prior = np.where(last[:, 0], 0.95, 0.05)
    return (zeros + 2.0 * prior) / (like.sum(axis=1) + 2.0)


def item_amounts(values: Floats, dates: pd.DatetimeIndex) -> tuple[Floats, Floats, Floats]:
    """Costs without believed recurring items (n, T), amounts expected on each column (n, T; 0 where none) and past misses (ratios)."""
    kinds = day_kinds(dates)
    found = recurring_items(values, kinds)
    expected = np.take_along_axis(found.amounts[:, :, :-1], np.maximum(kinds, 0)[None, None, :], axis=1)[:, 0]
    return found.ordinary, np.where(kinds >= 0, expected, 0.0), found.misses
