"""The recent level: what was spent lately, the later the more, with the rhythm of the season."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy import signal

from forecast.forecasters.base import PointForecaster
from forecast.forecasters.batches import in_batches
from forecast.forecasters.history import Floats, History, Ints
from forecast.spend.hierarchy import Hierarchy

SEASONS_SEEN = 8
CREDIT_LIFE = 0.25
"""Half-life of series of credits, in those of spend: a grant begins and is used up on one day."""
SEASON_BELIEF = 6.0
"""Seasons without any rhythm that are added to those seen: weekly rhythm is weak in most AI spend."""


class RecentLevel(PointForecaster):
    """Exponentially weighted mean (half-life `half_life` periods, default 0.4 of the short window: 11 days), times a shrunken seasonal profile.

    The weighted mean is what a random walk observed with noise asks for, and spend is nearer to that than to a fixed mean: on generated
    companies its totals were nearer to the true expectation than those of any fixed window.
    """

    per_series: ClassVar[tuple[str, ...] | None] = ("levels_",)

    def __init__(self, freq: str = "D", half_life: float | None = None) -> None:
        self.freq = freq
        self.half_life = half_life

    def _learn(self, history: History, hierarchy: Hierarchy | None) -> None:
        self._follow(history)

    def _follow(self, history: History) -> None:
        self.levels_ = np.concatenate(in_batches(lambda rows: self._levels(history.part(rows)), history.n_series, self.threads))

    def points(self, origins: Ints, horizon: int) -> Floats:
        history = self.history_
        level = self.levels_[:, origins][:, :, None]
        season = history.rhythm.season
        if season == 1:
            return np.repeat(level, horizon, axis=2)
        return np.asarray(level * self._profile(origins)[:, :, np.arange(horizon) % season])

    def _levels(self, history: History) -> Floats:
        """(n, T + 1) level from the columns before each column; unknown periods are left out, and those before a series began."""
        half_life = self.half_life or 0.4 * history.rhythm.short
        counted = np.isfinite(history.values) & (np.arange(history.n_periods)[None, :] >= history.first[:, None])
        known = np.where(counted, history.filled, 0.0)
        found = np.zeros((history.n_series, history.n_periods + 1))
        for rows, life in ((~history.additive, half_life), (history.additive, CREDIT_LIFE * half_life)):
            keep = 0.5 ** (1.0 / life)
            sums, weights = (signal.lfilter([1.0], [1.0, -keep], part[rows], axis=1) for part in (known, counted.astype(np.float64)))
            found[rows, 1:] = np.where(weights > 0.0, sums / np.maximum(weights, 1e-300), 0.0)
        return np.where(history.additive[:, None], found, np.maximum(found, 0.0))

    def _profile(self, origins: Ints) -> Floats:
        """(n, O, season) factors of mean one for the steps after each origin; one for series with credits."""
        history = self.history_
        season = history.rhythm.season
        shape = (history.n_series, len(origins), SEASONS_SEEN, season)
        columns = origins[:, None] + np.arange(-SEASONS_SEEN * season, 0)[None, :]
        begun = (columns[None] >= history.first[:, None, None]).reshape(shape).sum(axis=2)
        sums = history.window(origins, SEASONS_SEEN * season).reshape(shape).sum(axis=2)
        mean = sums.sum(axis=2, keepdims=True) / np.maximum(begun.sum(axis=2, keepdims=True), 1)
        seen = np.where(begun > 0, sums / np.maximum(begun, 1), mean)
        mean = seen.mean(axis=2, keepdims=True)
        usable = (mean > 0.0) & (seen >= 0.0).all(axis=2, keepdims=True)
        ratio = np.where(usable, seen / np.where(usable, mean, 1.0), 1.0)
        return np.asarray(1.0 + SEASONS_SEEN / (SEASONS_SEEN + SEASON_BELIEF) * (ratio - 1.0))

    def _restore_points(self, learned: dict[str, Any]) -> None:
        self._follow(self.history_)
