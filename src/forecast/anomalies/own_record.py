"""How strange is an amount of money for a series, held against the largest that the series itself has shown in ten months?

Spend has heavy tails that differ from series to series: a nightly evaluation that multiplies by ten every other week, a machine pool that moves
by one percent. Where four false alarms a month are tolerated over hundreds of series, only what goes well beyond a series' own record is
news; ratios to a standard deviation or to a 95 % point rank the wild series first (docs/decisions/0016).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WAIT = 28
"""Periods before anything is scored."""
BLOCKS, BLOCK = 10, 30
"""The record is kept in ten blocks of thirty periods: bounded memory, whatever the length of the history."""
GROWTH = 1.5
"""A record grows by half at a time, so that one monster does not deafen a series for ten months, nor alarm for ever."""


def strengths(sizes: Floats, floor: float, lag: int = 1) -> Floats:
    """(n, n_periods) |size| ÷ the series' record before it, causal: later sizes never change earlier strengths.

    sizes : (n, n_periods) money, NaN where not known. floor : money that a record counts at least. lag : periods that a size looks
    back on; it joins the record only when it does not overlap with what is scored any more. 0 for the first WAIT periods.
    """
    found: Floats = np.abs(np.nan_to_num(sizes)) / records(sizes, floor, lag)[:, :-1]
    found[:, :WAIT] = 0.0
    return found


def records(sizes: Floats, floor: float, lag: int = 1) -> Floats:
    """(n, n_periods + 1) the series' record before each period, `floor` at least; the last column is that of the period after them."""
    size = np.abs(np.nan_to_num(sizes))
    n, n_periods = size.shape
    blocks = np.zeros((n, BLOCKS))
    found = np.empty((n, n_periods + 1))
    waiting: list[Floats] = []
    for period in range(n_periods):
        if period % BLOCK == 0:
            blocks = np.roll(blocks, 1, axis=1)
            blocks[:, 0] = 0.0
        record = found[:, period] = np.maximum(blocks.max(axis=1), floor)
        here = size[:, period]
        if period >= WAIT:
            here = np.minimum(here, GROWTH * record)
        waiting.append(here)
        if len(waiting) >= lag:
            np.maximum(blocks[:, 0], waiting.pop(0), out=blocks[:, 0])
    found[:, n_periods] = np.maximum(blocks.max(axis=1), floor)
    return found
