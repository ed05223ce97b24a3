"""Known recurring items of a history: taken out before forecasters learn from it, put back on their days; see `spend/recurring.py`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.forecasters.history import Floats, History, Ints
from forecast.spend.recurring import DAYS_AROUND, KINDS, day_kinds, recurring_items


@dataclass(frozen=True, eq=False)
class RecurringItems:
    """cleaned : (n, T) values without the items, NaN where unknown. amounts : (n, kinds, T + 1), what is expected on the next day of each
    kind from the columns before each column."""

    cleaned: Floats
    amounts: Floats

    @classmethod
    def find(cls, history: History) -> RecurringItems:
        """Items of every series; none unless periods are days."""
        amounts = np.zeros((history.n_series, KINDS, history.n_periods + 1))
        cleaned = history.values.copy()
        if history.freq == "D" and history.n_periods > 2 * DAYS_AROUND:
            days = day_kinds(history.dates(0))
            # Series that end on the same day have their month-ends in the same columns.
            for last in {int(last) for last in history.last}:
                rows = np.flatnonzero(history.last == last)
                columns = last + np.arange(-history.n_periods + 1, 1)
                kinds = np.where(columns >= 0, days[np.maximum(columns, 0)], -1)
                ordinary, amounts[rows] = recurring_items(history.filled[rows], kinds)
                cleaned[rows] = np.where(np.isfinite(cleaned[rows]), ordinary, np.nan)
        return cls(cleaned, amounts)

    def expected(self, history: History, origins: Ints, horizon: int) -> Floats:
        """(n, O, horizon) what comes on top of ordinary days."""
        n = history.n_series
        if not self.amounts.any():
            return np.zeros((n, len(origins), horizon))
        days = np.append(day_kinds(history.dates(horizon)), -1)
        columns = history.columns_of(horizon)
        steps = columns[:, origins[:, None] + np.arange(horizon)[None, :]]  # (n, O, horizon)
        kinds = days[np.where(steps >= 0, steps, -1)]
        known = self.amounts[:, :, origins].transpose(0, 2, 1)  # (n, O, kinds)
        found = np.take_along_axis(known, np.maximum(kinds, 0), axis=2)
        return np.where(kinds >= 0, found, 0.0)
