"""Known recurring items: money that comes on the same days of every month. Taxes, monthly fees, the closing of the books.

A month-end line is neither a level nor an outlier nor a spike: taken for a level it is forecast for every day or every week, left
out it is missing once a month, and watched like other days it is an alarm once a month.

Everything here is causal: what is said about a day uses that day and the ones before.
"""

from __future__ import annotations

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


def recurring_items(values: Floats, kinds: Integers) -> tuple[Floats, Floats]:
    """Items of daily series.

    values : (n, T) known costs. kinds : (T,) of `day_kinds`. Returns ordinary costs (n, T), in which believed items are replaced by the
    usual day, and amounts (n, KINDS, T + 1), what is expected on the next day of each kind from the columns before each column.
    """
    n, periods = values.shape
    ordinary, amounts = values.copy(), np.zeros((n, KINDS, periods + 1))
    for kind in range(KINDS):
        excess: list[Floats] = []
        clear: list[NDArray[np.bool_]] = []
        for column in np.flatnonzero(kinds == kind).tolist():
            before = np.arange(max(0, column - DAYS_AROUND), column)
            around = values[:, before[kinds[before] < 0]]
            if around.shape[1] < DAYS_AROUND // 2:
                continue
            usual = np.median(around, axis=1)
            noise = np.abs(around - usual[:, None]).mean(axis=1)
            excess.append(values[:, column] - usual)
            clear.append((np.abs(excess[-1]) > CLEARLY * noise) & (excess[-1] != 0))
            if len(excess) < OCCURRENCES:
                continue
            recent = np.stack(excess[-OCCURRENCES:])
            same_side = (np.sign(recent) == np.sign(recent[-1])).all(axis=0)
            believed = np.stack(clear[-OCCURRENCES:]).all(axis=0) & same_side
            ordinary[believed, column] = usual[believed]
            amounts[:, kind, column + 1 :] = np.where(believed, recent.mean(axis=0), 0.0)[:, None]
    return ordinary, amounts
