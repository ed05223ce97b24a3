"""The contract of every forecaster, and the common way from point forecasts to joint paths.

    Forecaster         fit(panel) → simulate(horizon, n_paths, seed) → SpendPaths
      PointForecaster  gives points from any origin; `calibration.ErrorBank` turns their past errors into joint paths

The public method validates, the underscore method computes. Constructors only store. What is learned ends in `_`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from forecast.errors import InputError, InsufficientHistoryError, NotFittedError
from forecast.forecasters.calibration import ErrorBank
from forecast.forecasters.history import Floats, History, Ints, history_of, rhythm_of
from forecast.paths import SpendPaths
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.panel import SpendMatrix, to_matrix

MOST_STEPS = 3660
LEAST_PERIODS = 14


class Forecaster(BaseEstimator, ABC):  # type: ignore[misc]
    """Joint sample paths of many series.

    freq : pandas frequency of the panel, such as "D".
    """

    freq: str

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: pd.DataFrame | None = None) -> Self:
        """Learn from a long panel (`unique_id, ds, y`; NaN = not known; rows in any order; series may start and end on different days).

        hierarchy : how the series add up, where they are leaves of one. events : planned events; not supported yet.
        Raises SchemaError, SpendDataError, InsufficientHistoryError (fewer than 14 periods in the longest series).
        """
        if events is not None and len(events):
            raise InputError("events are not part of the forecast yet", field="events", got=len(events), allowed="None")
        matrix = to_matrix(panel, self.freq)
        history = history_of(matrix)
        self._check_length(matrix)
        if hierarchy is not None and set(hierarchy.leaf_ids) != set(matrix.ids):
            odd = sorted(set(hierarchy.leaf_ids) ^ set(matrix.ids))
            raise InputError(
                f"hierarchy and panel name different series, first {odd[0]!r}", field="hierarchy", got=odd[:5], allowed="the panel's unique_ids"
            )
        self.history_ = history
        self.series_ids_ = matrix.ids
        self._fit(history, hierarchy)
        return self

    def simulate(self, horizon: int, n_paths: int = 1000, seed: int = 0) -> SpendPaths:
        """`n_paths` joint futures of `horizon` periods; each series' horizon starts after its own last row. Same seed, same bytes."""
        history = self._fitted_history()
        for name, value, most in (("horizon", horizon, MOST_STEPS), ("n_paths", n_paths, 100_000)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= most:
                raise InputError(
                    f"{name} is not usable: got {value!r}, allowed is a whole number from 1 to {most}", field=name, got=value, allowed=f"1 to {most}"
                )
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise InputError(f"seed is not usable: got {seed!r}, allowed is a whole number from 0", field="seed", got=seed, allowed="0 or more")
        values = self._simulate(int(horizon), int(n_paths), np.random.default_rng(int(seed)))
        dates = history.dates(int(horizon) + 1)
        columns = history.columns_of(int(horizon) + 1)[:, history.n_periods :]
        if (history.last == history.last[0]).all():
            columns = columns[:1]
        stamps = dates.to_numpy().astype("datetime64[ns]")[columns]
        return SpendPaths(history.ids, stamps[:, :-1], stamps[:, 1:], values)

    @abstractmethod
    def _fit(self, history: History, hierarchy: Hierarchy | None) -> None: ...

    @abstractmethod
    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray: ...  # (n, horizon, n_paths) float32

    def state(self) -> dict[str, Any]:
        """What was learned as plain data: JSON values, NumPy arrays and text. Nothing in it is code."""
        history = self._fitted_history()
        return {
            "forecaster": type(self).__name__,
            "params": self.get_params(deep=False),
            "history": {
                "ids": list(history.ids),
                "values": history.values,
                "first": history.first,
                "grid": history.grid.to_numpy().astype("datetime64[ns]").astype(np.int64),
                "last": history.last,
                "grid_freq": history.grid.freqstr,
            },
            "learned": self._learned(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The forecaster that `state` was taken from; it simulates the same bytes."""
        self = cls(**state["params"])
        kept = state["history"]
        grid = pd.DatetimeIndex(np.asarray(kept["grid"]).astype("datetime64[ns]"), freq=kept["grid_freq"])
        values = np.asarray(kept["values"])
        rhythm = rhythm_of(self.freq, values.shape[1])
        self.history_ = History(tuple(kept["ids"]), values, np.asarray(kept["first"]), grid, np.asarray(kept["last"]), self.freq, rhythm)
        self.series_ids_ = self.history_.ids
        self._restore(state["learned"])
        return self

    @abstractmethod
    def _learned(self) -> dict[str, Any]: ...

    @abstractmethod
    def _restore(self, learned: dict[str, Any]) -> None: ...

    def _fitted_history(self) -> History:
        history: History | None = getattr(self, "history_", None)
        if history is None:
            raise NotFittedError(f"{type(self).__name__} is not fitted: call fit(panel) before simulate or state")
        return history

    def _check_length(self, matrix: SpendMatrix) -> None:
        known = np.isfinite(matrix.values).sum(axis=1)
        longest = int(np.argmax(known))
        if known[longest] < LEAST_PERIODS:
            raise InsufficientHistoryError(
                f"Series {matrix.ids[longest]!r} is the longest and has {known[longest]} periods of {self.freq!r} spend; {LEAST_PERIODS} are needed",
                series_id=matrix.ids[longest],
                days=int(known[longest]),
                needed=LEAST_PERIODS,
            )


class PointForecaster(Forecaster):
    """A forecaster that gives point forecasts from any past origin; its own past errors make the paths."""

    def _fit(self, history: History, hierarchy: Hierarchy | None) -> None:
        self._learn(history, hierarchy)
        self.bank_ = ErrorBank.build(history, self.points, first_origin=self.first_honest_origin())

    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray:
        history = self._fitted_history()
        now = np.array([history.n_periods], dtype=np.int64)
        return self.bank_.simulate(self.points(now, horizon)[:, 0], n_paths, rng)

    @abstractmethod
    def _learn(self, history: History, hierarchy: Hierarchy | None) -> None:
        """Learn from the whole history."""

    @abstractmethod
    def points(self, origins: Ints, horizon: int) -> Floats:
        """(n, O, horizon) expected cost, each origin seeing only the columns before it."""

    def first_honest_origin(self) -> int:
        """First origin whose points did not learn from what came after it (beyond a handful of shared parameters)."""
        return 0

    def _learned(self) -> dict[str, Any]:
        return {"bank": self.bank_.state(), **self._learned_points()}

    def _restore(self, learned: dict[str, Any]) -> None:
        self.bank_ = ErrorBank.from_state(learned["bank"])
        self._restore_points(learned)

    def _learned_points(self) -> dict[str, Any]:
        return {}

    def _restore_points(self, learned: dict[str, Any]) -> None:
        return
