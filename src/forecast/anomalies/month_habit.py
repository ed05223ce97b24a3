"""What came at the same place of the last months is a habit: taxes, closing batches, the first invoice of a month.

`recurring_money` knows the items of a series and what they cost. This is the plain rule beside it, for what is irregular in its size or
comes a day earlier or later: what stands out near a month's end is news only beyond what stood out there before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEAR = 3
"""Days from a month's end, on either side, where habits are looked for."""
MONTHS = 3
BESIDE = 1
ROOM = 1.3
"""A habit may be so much larger this time."""


def beyond_habit(sizes: Floats, first_day: np.datetime64) -> Floats:
    """(n, n_days) sizes less what the largest one at the same place of the last three months explains; causal.

    sizes : (n, n_days) signed money, NaN where not known; columns are consecutive days from `first_day` on. Rises explain rises, falls falls.
    """
    known = np.nan_to_num(sizes)
    days = first_day.astype("datetime64[D]") + np.arange(known.shape[1])
    months = days.astype("datetime64[M]")
    from_start = (days - months.astype("datetime64[D]")).astype(np.int64)
    from_end = ((months + 1).astype("datetime64[D]") - days).astype(np.int64)
    found = np.where(np.isnan(sizes), np.nan, known)
    first = int(months[0].astype(np.int64))
    numbers = (months.astype(np.int64) - first).tolist()
    column_of = {("start", month, place): column for column, (month, place) in enumerate(zip(numbers, from_start.tolist(), strict=True))}
    column_of |= {("end", month, place): column for column, (month, place) in enumerate(zip(numbers, from_end.tolist(), strict=True))}
    for column in np.flatnonzero((from_start <= NEAR) | (from_end <= NEAR)).tolist():
        month = numbers[column]
        keys = [
            (edge, month - back, int(place[column])) for back in range(1, MONTHS + 1) for edge, place in (("start", from_start), ("end", from_end))
        ]
        near = [
            at
            for key in keys
            if (centre := column_of.get(key)) is not None
            for at in range(max(centre - BESIDE, 0), min(centre + BESIDE + 1, column))
        ]
        if not near:
            continue
        before = known[:, sorted(set(near))]
        most, least = np.maximum(before.max(axis=1), 0.0), np.minimum(before.min(axis=1), 0.0)
        here = known[:, column]
        found[:, column] = np.where(here > 0.0, np.maximum(here - ROOM * most, 0.0), np.minimum(here - ROOM * least, 0.0))
    return found
