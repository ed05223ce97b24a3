"""One global LightGBM over all series: direct forecasts of window means, scale-free, spread over days by a weekday profile.

Targets are means over the windows between the knots 1, 7, 14, 28, 56, 91, … periods ahead, divided by the series' recent
level; features are ratios, so a team that spends cents teaches the same lesson as one that spends millions. Predicting windows
directly needs no recursion through the trees.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InsufficientHistoryError
from forecast.forecasters.base import PointForecaster
from forecast.forecasters.batches import in_batches
from forecast.forecasters.error_record import LEAST_KNOWN
from forecast.forecasters.history import Floats, History, Ints
from forecast.forecasters.trajectories import EPSILON
from forecast.spend.hierarchy import Hierarchy

KNOTS = (1, 7, 14, 28, 56, 91)
"""Ends of the windows in periods of a daily rhythm; other rhythms scale them by their short window ÷ 28."""

LEAST_ROWS = 200
MOST_ROWS = 400_000
"""Rows that trees learn from at most. Where there are more, each batch of series shows some of its origins, others than the next batch."""

TARGET_LIMIT = 20.0


class BoostingForecaster(PointForecaster):
    """Global gradient-boosted trees.

    rounds, leaves, learning_rate : of LightGBM. honest_share : share of the history that the trees behind the error record learn from;
    the trees that forecast learn from all of it.
    """

    per_series: ClassVar[tuple[str, ...] | None] = ()

    def __init__(
        self, freq: str = "D", rounds: int = 120, leaves: int = 15, learning_rate: float = 0.06, honest_share: float = 0.45, threads: int = 1
    ) -> None:
        self.freq = freq
        self.rounds = rounds
        self.leaves = leaves
        self.learning_rate = learning_rate
        self.honest_share = honest_share
        self.threads = threads

    def _learn(self, history: History, hierarchy: Hierarchy | None) -> None:
        self.knots_ = self._windows(history)
        self.whole_ = _whole_trend(history)
        # Upwards, so that no target of the error record's trees lies after the first origin that they are judged at.
        self.split_ = int(np.ceil(history.n_periods * self.honest_share))
        # Two trainings beside each other and not two threads in each: OpenMP's threads wait for each other, on a busy machine for minutes.
        stops = (self.split_, history.n_periods)
        self.honest_trees_, self.trees_ = in_batches(lambda one: self._train(history, stops[one.start]), 2, self.threads, at_once=1)

    def _follow(self, history: History) -> None:
        # A series without new rows moves to the left of its right-aligned row; what was honest for it begins that much later.
        self.split_ += history.n_periods - self.history_.n_periods
        self.whole_ = _whole_trend(history)

    def first_honest_origin(self) -> int:
        return self.split_

    def points(self, origins: Ints, horizon: int) -> Floats:
        history = self.history_
        windows = np.empty((history.n_series, len(origins), len(self.knots_)))
        known_all = origins >= history.n_periods
        for mask, trees in ((known_all, self.trees_), (~known_all, self.honest_trees_)):
            if mask.any():
                windows[:, mask] = self._predict(trees, history, origins[mask])
        level = history.level(origins)[:, :, None]
        floor = np.where(history.additive, -np.inf, 0.0)[:, None, None]
        means = np.maximum(windows, floor) * level  # (n, O, windows)
        # The mean of a window is reached in its middle; beyond the last window it stays.
        ends = np.array(self.knots_, dtype=float)
        middles = (np.concatenate([[0.0], ends[:-1]]) + 1 + ends) / 2
        steps = np.arange(1, horizon + 1, dtype=float)
        place = np.clip(np.searchsorted(middles, steps) - 1, 0, max(len(middles) - 2, 0))
        if len(middles) > 1:
            share = np.clip((steps - middles[place]) / (middles[place + 1] - middles[place]), 0.0, 1.0)
            smooth = means[:, :, place] * (1 - share) + means[:, :, place + 1] * share
        else:
            smooth = np.repeat(means, horizon, axis=2)
        profile = self._profile(history, origins)  # (n, O, season)
        return smooth * profile[:, :, np.arange(horizon) % profile.shape[2]]

    def _windows(self, history: History) -> tuple[int, ...]:
        rhythm = history.rhythm
        ends = sorted({max(1, round(knot * rhythm.short / 28)) for knot in KNOTS})
        longest = max(1, (history.n_periods - LEAST_KNOWN) // 3)
        return tuple(end for end in ends if end <= longest) or (1,)

    def _train(self, history: History, stop: int) -> Any:
        """Trees that saw columns 0..stop-1 only."""
        import lightgbm

        step = max(1, history.rhythm.season if history.rhythm.season <= 31 else 1)
        latest = np.arange(stop - 1, LEAST_KNOWN, -step, dtype=np.int64)[::-1]
        possible = history.n_series * int(sum((latest + end <= stop).sum() for end in self.knots_))
        shown = max(1, int(len(latest) * min(1.0, MOST_ROWS / max(possible, 1))))

        def examples(rows: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            chosen = np.sort(np.random.default_rng([stop, rows.start]).choice(latest, shown, replace=False)) if shown < len(latest) else latest
            return self._examples(history.part(rows), chosen, stop)

        parts = in_batches(examples, history.n_series)
        matrix, target = (np.concatenate(found) for found in zip(*parts, strict=True))
        del parts
        if len(matrix) < LEAST_ROWS:
            raise InsufficientHistoryError(
                f"{history.n_series} series of {stop} periods give {len(matrix)} training rows for the trees; {LEAST_ROWS} are needed",
                series_id=history.ids[0],
                days=history.n_periods,
                needed=None,
            )
        parameters = {
            "objective": "regression",
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": max(20, len(matrix) // 400),
            "lambda_l2": 5.0,
            "feature_fraction": 0.7,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "max_bin": 127,
            "seed": 1,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        return lightgbm.train(parameters, lightgbm.Dataset(matrix, label=target, params={"verbosity": -1}), num_boost_round=self.rounds)

    def _examples(self, history: History, origins: Ints, stop: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(rows, F + 1) features and number of the window, and (rows,) targets, of every window that ends before column `stop`."""
        matrices, targets = [], []
        begins = (0, *self.knots_[:-1])
        cumulative = np.concatenate([np.zeros((history.n_series, 1)), np.cumsum(history.filled, axis=1)], axis=1)
        features = self._features(history, origins)  # (n, O, F)
        level, age = history.level(origins), history.age(origins)
        for window, (begin, end) in enumerate(zip(begins, self.knots_, strict=True)):
            inside = origins + end <= stop
            usable = (age[:, inside] >= LEAST_KNOWN) & (level[:, inside] > 0)
            mean = (cumulative[:, origins[inside] + end] - cumulative[:, origins[inside] + begin]) / (end - begin)
            target = mean[usable] / level[:, inside][usable]
            chosen = features[:, inside][usable]
            matrices.append(np.concatenate([chosen, np.full((len(chosen), 1), window, dtype=np.float32)], axis=1))
            targets.append(np.clip(target, -TARGET_LIMIT, TARGET_LIMIT).astype(np.float32))
        return np.concatenate(matrices), np.concatenate(targets)

    def _predict(self, trees: Any, history: History, origins: Ints) -> Floats:
        features = self._features(history, origins)
        n, count, width = features.shape
        rows = np.empty((n * count, width + 1), dtype=np.float32)
        rows[:, :-1] = features.reshape(n * count, width)
        found = np.empty((n * count, len(self.knots_)))
        for window in range(len(self.knots_)):
            rows[:, -1] = window
            found[:, window] = trees.predict(rows, num_threads=1)
        return found.reshape(n, count, len(self.knots_))

    def _features(self, history: History, origins: Ints) -> NDArray[np.float32]:
        """(n, O, F) scale-free features of what was known at each origin."""
        rhythm = history.rhythm
        level = np.maximum(history.level(origins), 1e-300)
        found: list[Floats] = []
        recent = history.window(origins, min(rhythm.season if rhythm.season <= 31 else 8, 31)) / level[:, :, None]
        found.extend(np.clip(recent, -TARGET_LIMIT, TARGET_LIMIT).transpose(2, 0, 1)[-3:])
        means = {}
        for width in (rhythm.short // 4, rhythm.short // 2, rhythm.short, 2 * rhythm.short, rhythm.long, 2 * rhythm.long):
            means[width] = history.window_mean(origins, max(width, 1)) / level
            found.append(np.clip(means[width], -TARGET_LIMIT, TARGET_LIMIT))
        window = history.window(origins, rhythm.short) / level[:, :, None]
        found.append(np.minimum(window.std(axis=2), TARGET_LIMIT))
        found.append((window == 0).mean(axis=2))
        found.append(np.minimum(window.max(axis=2), TARGET_LIMIT))
        silent = np.argmax(window[:, :, ::-1] != 0, axis=2)
        found.append(np.where((window != 0).any(axis=2), silent, rhythm.short).astype(float))
        found.append(np.minimum(history.age(origins), 4 * rhythm.long).astype(float))
        found.append(_shrunk_slope(window))
        found.append(np.broadcast_to(self.whole_[origins], level.shape))
        found.append(self._day_of_month(history, origins))
        return np.stack(found, axis=2).astype(np.float32)

    def _day_of_month(self, history: History, origins: Ints) -> Floats:
        """(n, O) day of the month of the first step; windows that reach over a month-end differ from those that do not."""
        dates = history.dates(1)
        columns = history.columns_of(1)[:, np.minimum(origins, history.n_periods)]
        return np.asarray(pd.DatetimeIndex(dates).day, dtype=float)[np.clip(columns, 0, len(dates) - 1)]

    def _profile(self, history: History, origins: Ints) -> Floats:
        """(n, O, season) factor of each position after the origin: the last eight seasons' shares, shrunk towards one."""
        season = history.rhythm.season
        if season == 1 or season > 31:
            return np.ones((history.n_series, len(origins), 1))
        seasons = 8
        window = history.window(origins, seasons * season).reshape(history.n_series, len(origins), seasons, season)
        level = history.level(origins)[:, :, None]
        by_position = np.clip(window, None, 4 * level[:, :, :, None]).mean(axis=2) + EPSILON * level
        factor = by_position / np.maximum(by_position.mean(axis=2, keepdims=True), 1e-300)
        return np.clip(1 + 0.7 * (np.where(level > 0, factor, 1.0) - 1), 0.05, 5.0)

    def _learned_points(self) -> dict[str, Any]:
        return {
            "knots": list(self.knots_),
            "split": self.split_,
            "trees": self.trees_.model_to_string(),
            "honest_trees": self.honest_trees_.model_to_string(),
        }

    def _restore_points(self, learned: dict[str, Any]) -> None:
        import lightgbm

        self.knots_ = tuple(int(knot) for knot in learned["knots"])
        self.split_ = int(learned["split"])
        self.trees_ = lightgbm.Booster(model_str=learned["trees"])
        self.honest_trees_ = lightgbm.Booster(model_str=learned["honest_trees"])
        self.whole_ = _whole_trend(self.history_)


def _whole_trend(history: History) -> Floats:
    """(T + 1,) recent over longer mean of all series together at every origin: what moves one often moves the others."""
    origins = np.arange(history.n_periods + 1, dtype=np.int64)

    def sums(rows: slice) -> Floats:
        part = history.part(rows)
        return np.stack([part.window_mean(origins, width).sum(axis=0) for width in (part.rhythm.short, part.rhythm.long)])

    short, long = np.sum(in_batches(sums, history.n_series), axis=0)
    return np.clip(short / np.maximum(long, 1e-300), -TARGET_LIMIT, TARGET_LIMIT)


def _shrunk_slope(window: Floats) -> Floats:
    """(n, O) least-squares slope over the window, in levels per window, clipped."""
    width = window.shape[2]
    time = np.arange(width) - (width - 1) / 2
    slope = window @ time / max((time**2).sum(), 1.0) * width
    return np.clip(slope, -TARGET_LIMIT, TARGET_LIMIT)
