"""The forecaster that ships: a weighted mean of unlike members, weights learned from rolling origins.

Every member forecasts from the same honest past origins; errors in single steps, in totals of one short window (28 days of days) and of the whole
trajectory give the weights (`member_weights.py`), per series, shrunk to the pool's. The paths come from the combination's own past errors.

Known recurring items (`spend/recurring.py`) are taken out of the history before the members see it and put back on their days.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InsufficientHistoryError
from forecast.forecasters.analogs import PriorForecaster
from forecast.forecasters.autoregression import Autoregression
from forecast.forecasters.base import PointForecaster
from forecast.forecasters.baselines import RunRate, SeasonalNaive
from forecast.forecasters.batches import in_batches
from forecast.forecasters.boosting import BoostingForecaster
from forecast.forecasters.calibration import ErrorBank, choose_origins
from forecast.forecasters.fitted_level import FittedLevel
from forecast.forecasters.history import Floats, History, Ints
from forecast.forecasters.member_weights import share_of_far, weights_of
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
    "autoregression": Autoregression,
    "fitted_level": FittedLevel,
    "prior": PriorForecaster,
}

Singles = NDArray[np.float32]


class SpendForecaster(PointForecaster):
    """Combination of `members` (names of `MEMBERS`).

    pool_trust : origins that the pool's errors count as against a series' own. sharpness : exponent on inverse errors, 0 is equal weights.
    threads : how many share the work; results do not depend on it.
    """

    def __init__(
        self,
        freq: str = "D",
        members: tuple[str, ...] = ("seasonal_naive", "run_rate", "recent_level", "structural", "boosting", "autoregression", "fitted_level"),
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
        # What was not yet known for an item is now, and is no error that will come again.
        came = replace(history, values=self.items_.in_hindsight)
        said = self._said(origins, block)
        self.weights_by_series_ = weights_of(came, origins, said, self.pool_trust, self.sharpness, self.threads)
        self.bank_ = ErrorBank.of(came, origins, self._combined(said), threads=self.threads)

    def _advance(self, history: History) -> None:
        ordinary = self._ordinary(history)
        for member in self.fitted_.values():
            member._follow(ordinary)
            member.history_ = ordinary
        self.history_ = history
        origins, block = choose_origins(history, self.first_honest_origin())
        came = replace(history, values=self.items_.in_hindsight)
        combined = self._combined(self._said(origins, block))
        self.bank_ = ErrorBank.of(came, origins, combined, threads=self.threads)

    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray:
        history = self._fitted_history()
        now = np.array([history.n_periods], dtype=np.int64)
        paths = self.bank_.simulate(self._combined(self._said(now, horizon))[:, 0].astype(np.float64), n_paths, rng, self.threads)
        for row, items in self.items_.simulate(history, horizon, n_paths, rng):
            paths[row] += items.astype(np.float32)
        return paths

    def first_honest_origin(self) -> int:
        return max(member.first_honest_origin() for member in self.fitted_.values())

    def points(self, origins: Ints, horizon: int) -> Floats:
        return self._combined(self._said(origins, horizon)) + self.items_.expected(self.history_, origins, horizon)

    def _said(self, origins: Ints, horizon: int) -> list[Singles]:
        """(n, O, horizon) points of each member."""
        return [member.points_in_batches(origins, horizon, self.threads) for member in self.fitted_.values()]

    def _combined(self, said: list[Singles]) -> Singles:
        found = np.zeros_like(said[0])

        far = share_of_far(self.history_.rhythm, found.shape[2])

        def write(rows: slice) -> None:
            for weights, points in zip(self.weights_by_series_[:, rows].astype(np.float32), said, strict=True):
                found[rows] += (weights[:, :1] + (weights[:, 1:] - weights[:, :1]) * far)[:, None, :] * points[rows]

        in_batches(write, len(found), self.threads)
        return found

    @property
    def weights_(self) -> pd.DataFrame:
        """Weight of every member (columns) in every series (index unique_id): the mean of its near and far ones."""
        return pd.DataFrame(self.weights_by_series_.mean(axis=2).T, index=pd.Index(self.history_.ids, name="unique_id"), columns=list(self.fitted_))

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
        member = MEMBERS[name](freq=self.freq)
        member.threads = self.threads
        return member

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
