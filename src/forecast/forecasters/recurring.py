"""Known recurring items of a history: taken out before forecasters learn from it, put back on their days; see `spend/recurring.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from forecast.forecasters.history import Floats, History, Ints
from forecast.spend.recurring import DAYS_AROUND, KINDS, day_kinds, recurring_items

FEWEST_MISSES = 10
USUAL_SPREAD = 0.2


@dataclass(frozen=True, eq=False)
class RecurringItems:
    """cleaned : (n, T) values without the items, NaN where unknown; in_hindsight : without those that nobody could know yet as well.
    amounts : (n, kinds, T + 1), what is expected on the next day of each kind from the columns before each column. spread : log standard
    deviation of what came around what was expected, over all items."""

    cleaned: Floats
    in_hindsight: Floats
    amounts: Floats
    spread: float

    @classmethod
    def find(cls, history: History) -> RecurringItems:
        """Items of every series; none unless periods are days."""
        amounts = np.zeros((history.n_series, KINDS, history.n_periods + 1))
        cleaned, hindsight = history.values.copy(), history.values.copy()
        misses: list[Floats] = []
        if history.freq == "D" and history.n_periods > 2 * DAYS_AROUND:
            days = day_kinds(history.dates(0))
            # Series that end on the same day have their month-ends in the same columns.
            for last in {int(last) for last in history.last}:
                rows = np.flatnonzero(history.last == last)
                columns = last + np.arange(-history.n_periods + 1, 1)
                kinds = np.where(columns >= 0, days[np.maximum(columns, 0)], -1)
                items = recurring_items(history.filled[rows], kinds)
                known = np.isfinite(history.values[rows])
                cleaned[rows], hindsight[rows] = np.where(known, items.ordinary, np.nan), np.where(known, items.in_hindsight, np.nan)
                amounts[rows] = items.amounts
                misses.append(items.misses)
        return cls(cleaned, hindsight, amounts, _spread(np.concatenate(misses) if misses else np.empty(0)))

    def simulate(self, history: History, horizon: int, n_paths: int, rng: np.random.Generator) -> Iterator[tuple[int, Floats]]:
        """(series, (horizon, n_paths)) of every series with items: what is expected times noise of each item's own, one draw a path."""
        expected = self.expected(history, np.array([history.n_periods], dtype=np.int64), horizon)[:, 0]
        for row in np.flatnonzero(expected.any(axis=1)):
            noise = np.exp(self.spread * rng.standard_normal(n_paths) - 0.5 * self.spread**2)
            yield int(row), expected[row][:, None] * noise

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


def _spread(misses: Floats) -> float:
    """Log spread of what came around what was expected, from quantiles, for an item that ends is not noise; between 0.05 and 0.5."""
    positive = misses[misses > 0.0]
    if len(positive) < FEWEST_MISSES:
        return USUAL_SPREAD
    low, high = np.quantile(np.log(positive), [0.1, 0.9])
    return float(np.clip((high - low) / 2.56, 0.05, 0.5))
