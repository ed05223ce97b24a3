"""Baselines: what a console does. Every other forecaster has to beat them, and they are members of the combination."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from forecast.forecasters.base import PointForecaster
from forecast.forecasters.history import Floats, History, Ints
from forecast.spend.hierarchy import Hierarchy


class SeasonalNaive(PointForecaster):
    """The last season (a week of days) again and again."""

    per_series: ClassVar[tuple[str, ...] | None] = ()

    def __init__(self, freq: str = "D") -> None:
        self.freq = freq

    def _learn(self, history: History, hierarchy: Hierarchy | None) -> None:
        return

    def points(self, origins: Ints, horizon: int) -> Floats:
        season = self.history_.rhythm.season
        last = self.history_.window(origins, season)  # (n, O, season)
        return last[:, :, np.arange(horizon) % season]


class RunRate(PointForecaster):
    """The mean of the last `window` periods (or since the series began) for every step: what most consoles call a forecast."""

    per_series: ClassVar[tuple[str, ...] | None] = ()

    def __init__(self, freq: str = "D", window: int | None = None) -> None:
        self.freq = freq
        self.window = window

    def _learn(self, history: History, hierarchy: Hierarchy | None) -> None:
        return

    def points(self, origins: Ints, horizon: int) -> Floats:
        mean = self.history_.window_mean(origins, self.window or self.history_.rhythm.short)
        return np.repeat(mean[:, :, None], horizon, axis=2)
