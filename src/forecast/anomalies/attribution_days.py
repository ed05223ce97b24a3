"""Ordinary days as an incident's days would have been: late ones count more, weekends stand for weekends."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HALF_LIFE = 8.0
"""Days in which an ordinary day's weight halves: what was last month is no longer usual."""
_FIRST_MONDAY = np.datetime64("1970-01-05", "D")


def ordinary(reference: pd.DataFrame, days: NDArray[np.datetime64]) -> pd.DataFrame:
    """The lines of ordinary days with `cost` (and `quantity`) weighted so that they add up to as many days as the incident has.

    reference : columns `ds`, `cost`, others kept. days : (n,) distinct days of the incident. Working days stand for working days and weekends
    for weekends; where the reference has none of one sort, all of it stands for both. Lines that weigh nothing are left out.
    """
    if reference.empty or not len(days):
        return reference
    day = reference["ds"].to_numpy().astype("datetime64[D]")
    known, place = np.unique(day, return_inverse=True)
    weight = 0.5 ** ((known[-1] - known).astype(np.int64) / HALF_LIFE)
    weekend, wanted = _is_weekend(known), _is_weekend(days.astype("datetime64[D]"))
    if weekend.any() and (~weekend).any():
        for sort in (False, True):
            own = weekend == sort
            weight[own] *= float((wanted == sort).sum()) / weight[own].sum()
    else:
        weight *= len(days) / weight.sum()
    of_line = weight[place]
    changed = {name: reference[name] * of_line for name in ("cost", "quantity") if name in reference}
    weighted: pd.DataFrame = reference.assign(**changed)[of_line > 0.0]
    return weighted


def _is_weekend(days: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    return np.asarray((days - _FIRST_MONDAY).astype(np.int64) % 7 >= 5)
