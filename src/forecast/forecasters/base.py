"""The contract of every forecaster, and the common way from point forecasts to joint paths.

    Forecaster         fit(panel) → simulate(horizon, n_paths, seed) → SpendPaths
      PointForecaster  gives points from any origin; `calibration.ErrorBank` turns their past errors into joint paths

The public method validates, the underscore method computes. Constructors only store. What is learned ends in `_`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from forecast.errors import InputError, InsufficientHistoryError, NotFittedError
from forecast.forecasters.batches import in_batches
from forecast.forecasters.calibration import ErrorBank, choose_origins
from forecast.forecasters.endings import Endings, end
from forecast.forecasters.history import Floats, History, Ints, extended, history_of, rhythm_of
from forecast.forecasters.newcomers import learned_scale, unsettle, youth_of
from forecast.forecasters.notes import notes_of
from forecast.forecasters.planned_events import EventPlan, Events
from forecast.paths import SpendPaths
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.panel import SpendMatrix, parse_freq, to_matrix

MOST_STEPS = 13_250
"""Eighteen months of hours."""
LEAST_PERIODS = 14
LEAST_LONG_PERIODS = 9
"""Of weeks, months and quarters: one past origin to take errors from, and a period after it."""
_LIVES = 2
"""Of the seed: what begins and what ends is drawn beside the paths, which stay what they are without it."""


class Forecaster(BaseEstimator, ABC):  # type: ignore[misc]
    """Joint sample paths of many series.

    freq : pandas frequency of the panel, such as "D". threads : how many share the work; results do not depend on it.
    notes_ : after `fit` and `update`, sentences about series that are not long, whole and ordinary, and what was done with them.
    """

    freq: str
    threads: int = 1

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: Events = None) -> Self:
        """Learn from a long panel (`unique_id, ds, y`; NaN = not known; rows in any order; series may start and end on different days).

        hierarchy : how the series add up, where they are leaves of one: parts of one whole, whose growth says something about theirs.
        events : planned events (`PlannedEvent` objects, or a frame with the columns of a calendar): what they are known to do is not learnt, and
        is part of the paths. Those announced after the panel's last period are not known.
        Raises SchemaError, SpendDataError, InsufficientHistoryError (fewer than 14 periods, or nine weeks, months or
        quarters, in the longest series).
        """
        matrix = to_matrix(panel, self.freq)
        self.events_ = EventPlan.of(events, matrix, hierarchy)
        history = replace(history_of(self.events_.taken_out_of(matrix)), one_whole=hierarchy is not None)
        self._check_length(matrix)
        if hierarchy is not None and set(hierarchy.leaf_ids) != set(matrix.ids):
            odd = sorted(set(hierarchy.leaf_ids) ^ set(matrix.ids))
            raise InputError(
                f"hierarchy and panel name different series, first {odd[0]!r}", field="hierarchy", got=odd[:5], allowed="the panel's unique_ids"
            )
        self.history_ = history
        self.series_ids_ = matrix.ids
        self.endings_ = Endings.of(history, self.threads)
        self.newcomers_ = learned_scale(history)
        self.notes_: list[str] = []
        self._fit(history, hierarchy)
        self._take_stock(list(self.notes_))
        return self

    def update(self, new_rows: pd.DataFrame) -> Self:
        """Take in newer rows (`unique_id, ds, y`) without learning again: the next day's bill, or a corrected one.

        What was learnt (parameters, trees, weights) stays; the history, what is computed from it, and the record of past errors move on. Series
        without new rows stay where they were: their horizon starts after their own last row. Rows that bring nothing new change nothing.
        Raises SchemaError and SpendDataError as `fit` does, and InputError for series that were not learnt and for times before the history.
        """
        history = self._fitted_history()
        if len(new_rows):
            moved = extended(history, self.events_.taken_out_of(to_matrix(new_rows, self.freq)))
            if moved is not history:
                self._advance(moved)
                self.history_ = moved
                self.events_ = self.events_.until(moved.dates(1)[-1].to_datetime64())
                self._take_stock(self.learned_notes_)
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
        if history.signed.any():
            # A series that never had a refund may have borrowed the errors of one that had.
            for row in np.flatnonzero(~history.signed):
                np.maximum(values[row], 0.0, out=values[row])
        lives = np.random.default_rng([int(seed), _LIVES])
        unsettle(values, self.youth_, lives)
        end(values, self.alive_, lives)
        dates = history.dates(int(horizon) + 1)
        columns = history.columns_of(int(horizon) + 1)[:, history.n_periods :]
        if (history.last == history.last[0]).all():
            columns = columns[:1]
        stamps = dates.to_numpy().astype("datetime64[ns]")[columns]
        paths = SpendPaths(history.ids, stamps[:, :-1], stamps[:, 1:], values)
        self.applied_ = self.events_.put_on(paths, int(seed))
        return paths

    def _take_stock(self, learned: list[str]) -> None:
        """What follows from the history alone: who is young, who has ended, and what is said about it. learned : notes of the learning itself."""
        history = self._fitted_history()
        self.alive_ = self.endings_.now(history, self.threads)
        self.youth_ = youth_of(history, self.newcomers_)
        self.learned_notes_ = learned
        self.notes_ = [*learned, *notes_of(history, self.alive_), *self.events_.notes]

    @abstractmethod
    def _fit(self, history: History, hierarchy: Hierarchy | None) -> None: ...

    @abstractmethod
    def _advance(self, history: History) -> None:
        """Bring everything that follows the history up to `history`, which is newer than `history_`; nothing is learnt."""

    @abstractmethod
    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray: ...  # (n, horizon, n_paths) float32

    def state(self) -> dict[str, Any]:
        """What was learned as plain data: JSON values, NumPy arrays and text. Nothing in it is code."""
        history = self._fitted_history()
        return {
            "forecaster": type(self).__name__,
            # How many threads share the work is the machine's matter and changes no byte.
            "params": {name: value for name, value in self.get_params(deep=False).items() if name != "threads"},
            "history": {
                "ids": list(history.ids),
                "values": history.values,
                "first": history.first,
                "grid": history.grid.to_numpy().astype("datetime64[ns]").astype(np.int64),
                "last": history.last,
                "grid_freq": history.grid.freqstr,
                "season": history.rhythm.season,
                "outage_cells": history.outage_cells,
                "outage_values": history.outage_values,
                "one_whole": history.one_whole,
            },
            "endings": self.endings_.returns,
            "newcomers": self.newcomers_,
            "events": self.events_.state(),
            "notes": list(self.learned_notes_),
            "learned": self._learned(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The forecaster that `state` was taken from; it simulates the same bytes."""
        self = cls(**state["params"])
        kept = state["history"]
        grid = pd.DatetimeIndex(np.asarray(kept["grid"]).astype("datetime64[ns]"), freq=kept["grid_freq"])
        values = np.asarray(kept["values"])
        self.history_ = History(
            ids=tuple(kept["ids"]),
            values=values,
            first=np.asarray(kept["first"]),
            grid=grid,
            last=np.asarray(kept["last"]),
            freq=self.freq,
            rhythm=replace(rhythm_of(self.freq, values.shape[1]), season=int(kept["season"])),
            outage_cells=np.asarray(kept["outage_cells"]),
            outage_values=np.asarray(kept["outage_values"]),
            one_whole=bool(kept["one_whole"]),
        )
        self.series_ids_ = self.history_.ids
        self._restore(state["learned"])
        self.newcomers_ = float(state["newcomers"])
        self.endings_ = Endings(np.asarray(state["endings"]))
        self.events_ = EventPlan.from_state(state["events"])
        self._take_stock(list(state["notes"]))
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
        needed = least_periods(self.freq)
        if known[longest] < needed:
            raise InsufficientHistoryError(
                f"Series {matrix.ids[longest]!r} is the longest and has {known[longest]} periods of {self.freq!r} spend; {needed} are needed",
                series_id=matrix.ids[longest],
                days=int(known[longest]),
                needed=needed,
            )


def least_periods(freq: str) -> int:
    """Periods that the longest series of a panel must have."""
    origin = pd.Timestamp("2024-01-01")
    return LEAST_PERIODS if origin + parse_freq(freq) <= origin + pd.Timedelta("2D") else LEAST_LONG_PERIODS


class PointForecaster(Forecaster):
    """A forecaster that gives point forecasts from any past origin; its own past errors make the paths.

    per_series : names of what was learnt whose first axis is the series, so that `part` can take the forecaster apart. None (not said, or points
    of a series need all the others'): it computes all series at once.
    """

    per_series: ClassVar[tuple[str, ...] | None] = None

    def _fit(self, history: History, hierarchy: Hierarchy | None) -> None:
        self._learn(history, hierarchy)
        self.bank_ = self._bank(history)

    def _bank(self, history: History) -> ErrorBank:
        origins, block = choose_origins(history, self.first_honest_origin())
        points = self.points_in_batches(origins, block, self.threads)
        return ErrorBank.of(history, origins, points, threads=self.threads)

    def _advance(self, history: History) -> None:
        self._follow(history)
        self.history_ = history
        self.bank_ = self._bank(history)

    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray:
        history = self._fitted_history()
        now = np.array([history.n_periods], dtype=np.int64)
        points = self.points_in_batches(now, horizon, self.threads)[:, 0].astype(np.float64)
        return self.bank_.simulate(points, n_paths, rng, self.threads)

    @abstractmethod
    def _learn(self, history: History, hierarchy: Hierarchy | None) -> None:
        """Learn from the whole history."""

    def _follow(self, history: History) -> None:
        """Bring what depends on the history up to `history`, newer than `history_`. Learns again where a forecaster says nothing better."""
        self._learn(history, None)

    @abstractmethod
    def points(self, origins: Ints, horizon: int) -> Floats:
        """(n, O, horizon) expected cost, each origin seeing only the columns before it."""

    def part(self, rows: slice) -> Self:
        """The forecaster of some of its series: views, nothing is copied."""
        found = copy(self)
        found.history_ = self._fitted_history().part(rows)
        found.series_ids_ = found.history_.ids
        for name in self.per_series or ():
            setattr(found, name, getattr(self, name)[rows])
        return found

    def points_in_batches(self, origins: Ints, horizon: int, threads: int = 1) -> NDArray[np.float32]:
        """`points` as 32-bit numbers, computed for a few series at a time by so many threads: temporaries stay small."""
        if self.per_series is None:
            return self.points(origins, horizon).astype(np.float32)
        found = np.empty((self._fitted_history().n_series, len(origins), horizon), dtype=np.float32)

        def write(rows: slice) -> None:
            found[rows] = self.part(rows).points(origins, horizon)

        in_batches(write, len(found), threads)
        return found

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
