"""A member for short histories: what became of generated series that looked like this one.

The shipped prior (`prior/`) knows tens of thousands of generated futures of unlike processes. This member gives their mean as points from any
origin, and whole futures for whoever needs joint paths where a series has few origins of its own (`borrowed_trajectories`). Nothing is learned
from the panel, so every origin is honest. Daily series only: what a week is to days has no counterpart in the prior's other rhythms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InsufficientHistoryError
from forecast.forecasters.base import PointForecaster
from forecast.forecasters.history import Floats, History, Ints
from forecast.forecasters.prior.draws import WEEK
from forecast.forecasters.prior.features import common_profile, flattened, rows_of, shaped
from forecast.forecasters.prior.prior import Prior, shipped
from forecast.spend.hierarchy import Hierarchy

CREDIT_WINDOW = 28
"""Days whose mean credits go on; the prior itself knows spend only."""

TOGETHER = 0.2
"""Correlation of the series' places among their neighbours within one joint future."""


class PriorForecaster(PointForecaster):
    """Mean of the scaled futures of generated neighbours.

    Raises InsufficientHistoryError from `fit` where `freq` is not daily: nothing of that rhythm was generated.
    """

    def __init__(self, freq: str = "D") -> None:
        self.freq = freq

    def _learn(self, history: History, hierarchy: Hierarchy | None) -> None:
        if not knows(self.freq):
            raise InsufficientHistoryError(
                f"The shipped prior knows daily series only, and series {history.ids[0]!r} has frequency {self.freq!r}",
                series_id=history.ids[0],
                days=history.n_periods,
                needed=None,
            )

    def points(self, origins: Ints, horizon: int) -> Floats:
        return expected(self.history_, origins, horizon)


def knows(freq: str) -> bool:
    """Whether the prior has anything to say about panels of `freq`: only daily ones."""
    return pd.tseries.frequencies.to_offset(freq) == pd.tseries.offsets.Day()


def expected(history: History, origins: Ints, horizon: int, prior: Prior | None = None) -> Floats:
    """(n, O, horizon) mean of the futures that the prior holds possible at each origin; 0 before a series began."""
    rows = _rows(history, origins)
    found = (prior or shipped()).means(rows.windows, rows.age, horizon)
    return rows.in_money(found[:, None, :])[:, 0].reshape(history.n_series, len(origins), horizon)


def borrowed_trajectories(
    history: History, origins: Ints, horizon: int, count: int, *, seed: int = 0, together: float = TOGETHER, prior: Prior | None = None
) -> NDArray[np.float32]:
    """(n, O, count, horizon) whole futures in money.

    Future j of all series belongs together: their places among their neighbours correlate by `together`. Steps beyond 56 repeat the last
    four weeks of their own trajectory. Same seed, same bytes.
    Their mean lies above `expected` where futures may explode: points count those less.
    """
    rows = _rows(history, origins)
    found = (prior or shipped()).trajectories(rows.windows, rows.age, horizon, count, np.random.default_rng([seed, 524287]), together)
    return rows.in_money(found).reshape(history.n_series, len(origins), count, horizon)


@dataclass(frozen=True)
class _Rows:
    """windows : (n · O, PAST) spend without the panel's common week. week : (n · O, 7) that week. credits : (n · O,) mean daily credits ≥ 0."""

    windows: Floats
    age: Ints
    week: Floats
    credits: Floats

    def in_money(self, found: NDArray[Any]) -> NDArray[Any]:
        """(rows, count, horizon) with the common week, less credits."""
        horizon = found.shape[2]
        short = -horizon % WEEK
        whole = np.concatenate([found, found[:, :, -1:].repeat(short, axis=2)], axis=2) if short else found
        return (shaped(whole, self.week.astype(found.dtype))[:, :, :horizon] - self.credits[:, None, None]).astype(found.dtype)


def _rows(history: History, origins: Ints) -> _Rows:
    windows, age = rows_of(history, origins)
    recent = -np.minimum(windows[:, :, -CREDIT_WINDOW:], 0.0).sum(axis=2)
    credits = recent / np.maximum(np.minimum(age, CREDIT_WINDOW), 1)
    spend = np.maximum(windows, 0.0)
    # Series may end on different days, and an origin moves the weekdays of all of them alike.
    week = common_profile(spend, age, history.last % WEEK).reshape(-1, WEEK)
    return _Rows(flattened(spend.reshape(-1, windows.shape[2]), week), age.reshape(-1), week, credits.reshape(-1))
