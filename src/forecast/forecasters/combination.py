"""The forecaster that ships: a weighted mean of unlike members, weights learned from rolling origins.

Every member forecasts from the same honest past origins; its error in totals of one short window (28 days of days) and of the
whole trajectory gives its weight, per series, shrunk to the pool's weights and those to equal: differences between good
members on few windows are mostly noise. The paths come from the combination's own past errors.

Known recurring items (`spend/recurring.py`) are taken out of the history before the members see it and put back on their days.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import InsufficientHistoryError
from forecast.forecasters.base import PointForecaster
from forecast.forecasters.baselines import RunRate, SeasonalNaive
from forecast.forecasters.boosting import BoostingForecaster
from forecast.forecasters.calibration import LEAST_KNOWN, ErrorBank, choose_origins
from forecast.forecasters.history import Floats, History, Ints
from forecast.forecasters.recent_level import RecentLevel
from forecast.forecasters.recurring import RecurringItems
from forecast.forecasters.structural import StructuralForecaster
from forecast.spend.hierarchy import Hierarchy

MEMBERS: dict[str, type[PointForecaster]] = {
    "seasonal_naive": SeasonalNaive,
    "run_rate": RunRate,
    "recent_level": RecentLevel,
    "structural": StructuralForecaster,
    "boosting": BoostingForecaster,
}

EQUAL_SHARE = 0.05
"""Share of the weights that is equal, so that no member is ever left out for one bad quarter."""


class SpendForecaster(PointForecaster):
    """Combination of `members` (names of `MEMBERS`).

    pool_trust : origins that the pool's weights count as against a series' own. sharpness : exponent on inverse errors, 0 is equal weights.
    threads : for LightGBM; results do not depend on it.
    """

    def __init__(
        self,
        freq: str = "D",
        members: tuple[str, ...] = ("seasonal_naive", "run_rate", "recent_level", "structural", "boosting"),
        pool_trust: float = 40.0,
        sharpness: float = 4.0,
        threads: int = 1,
    ) -> None:
        self.freq = freq
        self.members = members
        self.pool_trust = pool_trust
        self.sharpness = sharpness
        self.threads = threads

    def _learn(self, history: History, hierarchy: Hierarchy | None) -> None:
        self.notes_: list[str] = []
        self.fitted_: dict[str, PointForecaster] = {}
        ordinary = self._ordinary(history)
        for name in self.members:
            member = self._member(name)
            member.history_, member.series_ids_ = ordinary, ordinary.ids
            try:
                member._learn(ordinary, hierarchy)
            except InsufficientHistoryError as error:
                self.notes_.append(f"{name} left out: {error}")
                continue
            self.fitted_[name] = member

    def _fit(self, history: History, hierarchy: Hierarchy | None) -> None:
        self._learn(history, hierarchy)
        origins, block = choose_origins(history, self.first_honest_origin())
        points = np.stack([member.points(origins, block) for member in self.fitted_.values()])  # (members, n, O, block)
        # What was not yet known for an item is now, and is no error that will come again.
        came = replace(history, values=self.items_.in_hindsight)
        self.weights_by_series_ = self._weigh(came, origins, points)
        combined = np.einsum("ms,msoh->soh", self.weights_by_series_, points)
        self.bank_ = ErrorBank.of(came, origins, combined)

    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray:
        history = self._fitted_history()
        now = np.array([history.n_periods], dtype=np.int64)
        paths = self.bank_.simulate(self._ordinary_points(now, horizon)[:, 0], n_paths, rng)
        for row, items in self.items_.simulate(history, horizon, n_paths, rng):
            paths[row] += items.astype(np.float32)
        return paths

    def first_honest_origin(self) -> int:
        return max(member.first_honest_origin() for member in self.fitted_.values())

    def points(self, origins: Ints, horizon: int) -> Floats:
        return self._ordinary_points(origins, horizon) + self.items_.expected(self.history_, origins, horizon)

    def _ordinary_points(self, origins: Ints, horizon: int) -> Floats:
        found = np.zeros((self.history_.n_series, len(origins), horizon))
        for weight, member in zip(self.weights_by_series_, self.fitted_.values(), strict=True):
            found += weight[:, None, None] * member.points(origins, horizon)
        return found

    @property
    def weights_(self) -> pd.DataFrame:
        """Weight of every member (columns) in every series (index unique_id)."""
        return pd.DataFrame(self.weights_by_series_.T, index=pd.Index(self.history_.ids, name="unique_id"), columns=list(self.fitted_))

    @property
    def card_(self) -> dict[str, Any]:
        """Facts for the model card: mean weights, origins, what was left out and why."""
        return {
            "members": {name: float(weight) for name, weight in self.weights_.mean().items()},
            "origins": int(self.bank_.ratios.shape[2]),
            "trajectory": int(self.bank_.ratios.shape[1]),
            "windows": [float(count) for count in self.bank_.windows],
            "notes": list(self.notes_),
        }

    def _ordinary(self, history: History) -> History:
        """The history without its recurring items, which are kept in `items_`."""
        self.items_ = RecurringItems.find(history)
        return replace(history, values=self.items_.cleaned)

    def _member(self, name: str) -> PointForecaster:
        kind = MEMBERS[name]
        return kind(freq=self.freq, threads=self.threads) if kind is BoostingForecaster else kind(freq=self.freq)

    def _weigh(self, history: History, origins: Ints, points: Floats) -> Floats:
        """(members, n) weights, each series' summing to one."""
        block = points.shape[3]
        actual = np.nan_to_num(history.future(origins, block))
        level = np.maximum(history.level(origins), 1e-300)
        valid = (history.age(origins) >= LEAST_KNOWN) & (history.level(origins) > 0)
        short = min(history.rhythm.short, block)
        own = np.zeros(points.shape[:2])  # (members, n)
        for width in sorted({short, block}):
            error = np.abs(points[..., :width].sum(axis=3) - actual[..., :width].sum(axis=2)) / (width * level)
            judged = valid & (origins + width <= history.n_periods)
            own += np.where(judged, np.minimum(error, 3.0), 0.0).sum(axis=2) / np.maximum(judged.sum(axis=1), 1)
        count = valid.sum(axis=1)
        size = np.where(valid, level, 0.0).sum(axis=1)
        share = np.sqrt(size / max(size.sum(), 1e-300))
        pool = (own * share).sum(axis=1) / max(share.sum(), 1e-300)
        # Origins overlap: their number counts in trajectories, not in days.
        independent = count * min(1.0, max((origins[-1] - origins[0]) / max(len(origins) - 1, 1), 1) / max(short, 1))
        trust = independent / (independent + self.pool_trust)
        mixed = trust * own + (1 - trust) * pool[:, None]
        raw = (1.0 / np.maximum(mixed, 1e-9)) ** self.sharpness
        weights = raw / raw.sum(axis=0)
        return (1 - EQUAL_SHARE) * weights + EQUAL_SHARE / len(weights)

    def _learned_points(self) -> dict[str, Any]:
        return {
            "weights": self.weights_by_series_,
            "notes": list(self.notes_),
            "members": {name: member._learned_points() for name, member in self.fitted_.items()},
        }

    def _restore_points(self, learned: dict[str, Any]) -> None:
        self.weights_by_series_ = learned["weights"]
        self.notes_ = list(learned["notes"])
        self.fitted_ = {}
        ordinary = self._ordinary(self.history_)
        for name, kept in learned["members"].items():
            member = self._member(name)
            member.history_, member.series_ids_ = ordinary, ordinary.ids
            member._restore_points(kept)
            self.fitted_[name] = member
