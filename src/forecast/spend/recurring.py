"""Known recurring items: money that comes on the same days of every month. Taxes, monthly fees, the closing of the books.

A month-end line is neither a level nor an outlier nor a spike: taken for a level it is forecast for every day or every week, left
out it is missing once a month, and watched like other days it is an alarm once a month.

Everything here is causal: what is said about a day uses that day and the ones before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DAYS_AROUND = 14
"""Ordinary days before an occurrence that it is compared with."""

OCCURRENCES = 3
"""Months in a row on which an item must have come before it is believed; their mean is expected."""

CLEARLY = 2.0
"""An occurrence counts where it stands out by so many mean deviations of the ordinary days before it."""

KINDS = 3
"""The first day of a month, its last, and the one before the last."""


def day_kinds(dates: pd.DatetimeIndex) -> Integers:
    """(dates,) 0 for the first day of a month, 1 for the last, 2 for the one before the last, −1 for all others."""
    left = (dates.days_in_month - dates.day).to_numpy()
    return np.select([dates.day.to_numpy() == 1, left == 0, left == 1], [0, 1, 2], -1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Items:
    """Recurring items of daily series.

    ordinary : (n, T) costs in which items are replaced by the usual day, from the occurrence on at which they are believed.
    in_hindsight : (n, T) the same with the occurrences before that, which made them believed. amounts : (n, KINDS, T + 1) what is
    expected on the next day of each kind from the columns before each column. misses : ratios of what came to what was expected.
    """

    ordinary: Floats
    in_hindsight: Floats
    amounts: Floats
    misses: Floats


def recurring_items(values: Floats, kinds: Integers) -> Items:
    """Find items. values : (n, T) known costs. kinds : (T,) of `day_kinds`."""
    n, periods = values.shape
    ordinary, amounts = values.copy(), np.zeros((n, KINDS, periods + 1))
    in_hindsight = values.copy()
    misses: list[Floats] = []
    for kind in range(KINDS):
        excess: list[Floats] = []
        clear: list[NDArray[np.bool_]] = []
        usuals: list[tuple[int, Floats]] = []
        for column in np.flatnonzero(kinds == kind).tolist():
            before = np.arange(max(0, column - DAYS_AROUND), column)
            around = values[:, before[kinds[before] < 0]]
            if around.shape[1] < DAYS_AROUND // 2:
                continue
            usual = np.median(around, axis=1)
            noise = np.abs(around - usual[:, None]).mean(axis=1)
            excess.append(values[:, column] - usual)
            usuals.append((column, usual))
            clear.append((np.abs(excess[-1]) > CLEARLY * noise) & (excess[-1] != 0))
            if len(excess) < OCCURRENCES:
                continue
            recent = np.stack(excess[-OCCURRENCES:])
            same_side = (np.sign(recent) == np.sign(recent[-1])).all(axis=0)
            believed = np.stack(clear[-OCCURRENCES:]).all(axis=0) & same_side
            ordinary[believed, column] = usual[believed]
            for seen, then in usuals[-OCCURRENCES:]:
                in_hindsight[believed, seen] = then[believed]
            expected = amounts[:, kind, column]
            misses.append((excess[-1] / np.where(expected != 0.0, expected, 1.0))[believed & (expected != 0.0)])
            amounts[:, kind, column + 1 :] = np.where(believed, recent.mean(axis=0), 0.0)[:, None]
    return Items(ordinary, in_hindsight, amounts, np.concatenate(misses) if misses else np.empty(0))
