"""What recurring items are expected to cost on their days, and how far off that has been: known before each day, from the days before it.

A detector learns what an ordinary day costs. On the last day of a month a tax or a fee comes on top, and that it comes is no surprise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.spend.recurring import day_kinds, recurring_items

Floats = NDArray[np.float64]

FIRST_MISS = 0.25
"""Part of an item's amount by which it misses before any has been seen twice."""
PRIOR_ITEMS = 2.0
"""The company's items count as much for a series as so many of its own."""
LARGEST_MISS = 1.0
"""An item that stays away, or comes twice, has missed by all of it."""


@dataclass(frozen=True)
class ItemMoney:
    """Of series, by day; (n, n_days). amount : expected beforehand, 0 on days without items. came : what stood out, in hindsight."""

    amount: Floats
    came: Floats

    @classmethod
    def of(cls, values: Floats, first_day: np.datetime64) -> ItemMoney:
        """Find items. values : (n, n_days) cost without one-offs and schedules, columns are consecutive days from `first_day` on."""
        kinds = day_kinds(pd.date_range(pd.Timestamp(first_day), periods=values.shape[1]))
        found = recurring_items(values, kinds)
        ahead = np.take_along_axis(found.amounts[:, :, :-1], np.maximum(kinds, 0)[None, None, :], axis=1)[:, 0]
        return cls(np.where(kinds >= 0, ahead, 0.0), values - found.ordinary)

    def sum_of(self, rows: NDArray[np.int64]) -> ItemMoney:
        """The items of some series as those of one, (1, n_days)."""
        return ItemMoney(self.amount[rows].sum(axis=0, keepdims=True), self.came[rows].sum(axis=0, keepdims=True))

    def or_else(self, parts: ItemMoney) -> ItemMoney:
        """Items as the series themselves show them; where they show none, those of their parts: large spend drowns small items."""
        own = self.amount != 0.0
        return ItemMoney(np.where(own, self.amount, parts.amount), np.where(own, self.came, parts.came))

    def usual_miss(self) -> Floats:
        """(n_days,) part of the amounts by which the items of all the series had missed before each day."""
        here = self.amount != 0.0
        missed = np.where(here, np.minimum(np.abs(self.came - self.amount), LARGEST_MISS * np.abs(self.amount)), 0.0).sum(axis=0)
        due = np.abs(self.amount).sum(axis=0)
        first = due[np.argmax(due > 0.0)]
        return (_before(missed) + FIRST_MISS * first) / np.maximum(_before(due) + first, 1e-300) if first > 0 else np.full(len(due), FIRST_MISS)

    def miss(self, usual: Floats) -> Floats:
        """(n, n_days) money by which each day's items usually miss, from the series' own before it and from `usual_miss` of the company."""
        here = self.amount != 0.0
        part = np.abs(self.came - self.amount) / np.where(here, np.abs(self.amount), 1.0)
        part = np.where(here, np.minimum(part, LARGEST_MISS), 0.0)
        times = _before(here.astype(np.float64))
        return np.asarray((_before(part) + PRIOR_ITEMS * usual) / (times + PRIOR_ITEMS) * np.abs(self.amount))


def _before(values: Floats) -> Floats:
    """Sums over the columns before each."""
    return np.concatenate([np.zeros_like(values[..., :1]), np.cumsum(values[..., :-1], axis=-1)], axis=-1)
