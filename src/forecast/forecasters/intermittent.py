"""Intermittent demand: how likely a period has spend, and how much it then has, are smoothed apart.

Training jobs, campaigns and people's token bills are silent for days and weeks. Croston's method and its heir TSB (Teunter, Syntetos & Babai
2011) smooth the chance of spend and its size by themselves, so that a silent week lowers the chance and leaves the size alone, and a series
that has ended goes to nothing. Two things are added here. How fast a burst, or a silence, is forgotten depends on how far ahead one looks: the
chance is a sum of several smoothings, with shares for a week, the rest of a month and the rest of a quarter that all series of the panel
decide together. And a silence longer than any before counts as an ending, by as much as such silences have been endings in this panel.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from forecast.forecasters.base import PointForecaster
from forecast.forecasters.batches import joined
from forecast.forecasters.endings import Endings, relative_silence
from forecast.forecasters.error_record import smoothing
from forecast.forecasters.fitted_level import KEPT, _smoothed, _weights
from forecast.forecasters.history import Floats, History, Ints
from forecast.spend.hierarchy import Hierarchy

MEMORIES = (1 / 14, 1 / 4, 1.0, 4.0)
"""Half-lives of the smoothed chance, in short windows: two days, a week, a month and a season of days."""

USUAL_SHARES = ((0.35, 0.35, 0.2, 0.1), (0.1, 0.35, 0.35, 0.2), (0.0, 0.2, 0.4, 0.4))
"""Shares of the memories believed beforehand, for a week, the rest of a month and the rest of a quarter of days."""

BELIEF = 100.0
"""Cells (a series at an origin) that this belief counts as."""

SIZE_WIDTHS = (4, 14)
"""Periods with spend whose totals decide how fast a size is forgotten; as in `fitted_level.py`."""

ALWAYS = 30
"""Power of the share of periods with spend that tells series that are always on from those that often are."""

LEAST_SHARES = 0.3
SEASONS_SEEN = 8
LONGEST_SEASON = 31
"""A week of days or a day of hours comes round often enough to know which of its places are silent."""

SOMETIMES = (0.02, 0.98)
"""Share of periods with spend between which a series says something about bursts."""


class Intermittent(PointForecaster):
    """Chance of spend × its size, the chance by position in the season where history stands out of chance."""

    per_series: ClassVar[tuple[str, ...] | None] = ()

    def __init__(self, freq: str = "D") -> None:
        self.freq = freq

    def _learn(self, history: History, hierarchy: Hierarchy | None) -> None:
        self.edges_ = edges_of(history)
        self.endings_ = Endings.of(history, self.threads)
        self.shares_ = self._shares(history)

    def _follow(self, history: History) -> None:
        return

    def points(self, origins: Ints, horizon: int) -> Floats:
        history = self.history_
        spent = spending(history)
        profile, rhythm = on_profile(history, spent, origins)
        chances = smoothed_chances(history, spent)[:, :, origins]  # (K, n, O)
        whole_seasons = smoothed_chances(history, seasonal_share(history, spent))[:, :, origins] if profile.shape[2] > 1 else chances
        by_stretch = np.einsum("kso,wk->sow", chances + rhythm * (whole_seasons - chances), self.shares_)
        # What has a rhythm is no burst that ends.
        total = np.maximum(self.shares_.sum(axis=1), LEAST_SHARES)
        by_stretch *= 1.0 + rhythm[:, :, None] * (1.0 / np.minimum(total, 1.0) - 1.0)
        # What shares lack to one is bursts that end. A series that has hardly been silent is no burst, the less so the older it is.
        whole = spent_share(history, spent)[:, origins]
        age = history.age(origins)
        by_stretch += (1.0 - self.shares_.sum(axis=1)) * (whole**ALWAYS * age / (age + history.rhythm.long))[:, :, None]
        by_stretch *= self.endings_.alive(relative_silence(history)[:, origins])[:, :, None]
        steps = smoothing(self.edges_)  # (last edge, windows)
        places = np.minimum(np.arange(horizon), len(steps) - 1)
        chance = by_stretch @ steps[places].T  # (n, O, horizon)
        if profile.shape[2] > 1:
            chance = chance * profile[:, :, np.arange(horizon) % profile.shape[2]]
        return np.asarray(chance * smoothed_sizes(history, spent)[:, origins][:, :, None])

    def _shares(self, history: History) -> Floats:
        """(windows, K) shares of the memories: least squares over all series and origins, drawn to what is believed beforehand."""
        begin, step = history.rhythm.short, max(1, history.rhythm.short // 4)
        origins = np.arange(begin, history.n_periods, step, dtype=np.int64)
        usual = np.array(USUAL_SHARES)[: len(self.edges_) - 1]
        if not len(origins):
            return usual
        windows = len(self.edges_) - 1

        def gather(rows: slice) -> tuple[NDArray[Any], ...]:
            part = history.part(rows)
            spent = spending(part)
            chances = smoothed_chances(part, spent)[:, :, origins].transpose(1, 2, 0)
            known = (np.isfinite(part.values) & (np.arange(part.n_periods)[None, :] >= part.first[:, None])).astype(np.float64)
            share = spent.sum(axis=1) / np.maximum(known.sum(axis=1), 1.0)
            judged = ((share > SOMETIMES[0]) & (share < SOMETIMES[1]))[:, None] & (part.age(origins) >= begin)
            products, answers = np.zeros((len(share), windows, len(MEMORIES), len(MEMORIES))), np.zeros((len(share), windows, len(MEMORIES)))
            for window in range(windows):
                low, high = origins + self.edges_[window], origins + self.edges_[window + 1]
                inside = high <= part.n_periods
                if not inside.any():
                    continue
                on, there = (_sums(one, low[inside], high[inside]) for one in (spent, known))
                came = on / np.maximum(there, 1.0)
                seen = np.where((judged[:, inside] & (there > 0))[:, :, None], chances[:, inside], 0.0)
                # Every series says as much as it can vary.
                weight = 1.0 / np.maximum(share * (1.0 - share), 0.02)
                products[:, window] = np.einsum("sok,sol->skl", seen, seen) * weight[:, None, None]
                answers[:, window] = np.einsum("sok,so->sk", seen, came) * weight[:, None]
            return products, answers

        products, answers = (found.sum(axis=0) for found in joined(gather, history.n_series, self.threads))
        return np.stack([_solved(products[window], answers[window], usual[window]) for window in range(windows)])

    def _learned_points(self) -> dict[str, Any]:
        return {"edges": self.edges_, "shares": self.shares_, "returns": self.endings_.returns}

    def _restore_points(self, learned: dict[str, Any]) -> None:
        self.edges_, self.shares_ = np.asarray(learned["edges"]), np.asarray(learned["shares"])
        self.endings_ = Endings(np.asarray(learned["returns"]))


def edges_of(history: History) -> Ints:
    """Steps at which a week, the rest of a month and the rest of a quarter (of days) begin, and the end."""
    rhythm = history.rhythm
    return np.array(sorted({0, max(1, rhythm.short // 4), rhythm.short, max(rhythm.long, rhythm.short + 1)}), dtype=np.int64)


def spending(history: History) -> NDArray[np.bool_]:
    """(n, T) periods with spend (or credits); those that are not known, and those before a series began, have none."""
    return np.asarray((np.nan_to_num(history.values) != 0.0) & (np.arange(history.n_periods)[None, :] >= history.first[:, None]))


def smoothed_chances(history: History, spent: NDArray[Any]) -> Floats:
    """(K, n, T + 1) chance of spend before each column by each memory; periods that are not known are left out.

    spent : (n, T) whether, or in what share, periods had spend.
    """
    counted = np.isfinite(history.values) & (np.arange(history.n_periods)[None, :] >= history.first[:, None])
    found = np.zeros((len(MEMORIES), history.n_series, history.n_periods + 1))
    for place, memory in enumerate(MEMORIES):
        keep = 0.5 ** (1.0 / max(memory * history.rhythm.short, 1.0))
        sums, mass = (signal.lfilter([1.0], [1.0, -keep], part.astype(np.float64), axis=1) for part in (spent * counted, counted))
        found[place, :, 1:] = np.where(mass > 0.0, sums / np.maximum(mass, 1e-300), 0.0)
    return found


def spent_share(history: History, spent: NDArray[np.bool_]) -> Floats:
    """(n, T + 1) share of the known periods before each column that had spend; 0 before any."""
    counted = np.isfinite(history.values) & (np.arange(history.n_periods)[None, :] >= history.first[:, None])
    found = np.zeros((history.n_series, history.n_periods + 1))
    found[:, 1:] = np.cumsum(spent, axis=1) / np.maximum(np.cumsum(counted, axis=1), 1)
    return found


def smoothed_sizes(history: History, spent: NDArray[np.bool_]) -> Floats:
    """(n, T + 1) size of spend before each column, the later periods with spend the more; 0 before the first."""
    count = np.cumsum(spent, axis=1, dtype=np.int64)
    most = int(count.max(initial=0))
    found = np.zeros((history.n_series, history.n_periods + 1))
    if not most:
        return found
    # Periods with spend come to the left, one after the other, so that smoothing counts them and not the silence between them.
    packed = np.zeros((history.n_series, most))
    series, column = np.nonzero(spent)
    packed[series, count[series, column] - 1] = history.values[series, column]
    there = np.arange(most)[None, :] < count[:, -1:]
    levels = np.stack([_smoothed(packed, there, keep) for keep in KEPT])
    sizes = (_weights(levels, packed, there, list(SIZE_WIDTHS)) * levels).sum(axis=0)
    found[:, 1:] = np.take_along_axis(sizes, count, axis=1)
    return found


def seasonal_share(history: History, spent: NDArray[np.bool_]) -> Floats:
    """(n, T) share of periods with spend in the season that ends with each column, so that it does not matter where in it one stands."""
    season = history.rhythm.season
    sums = np.concatenate([np.zeros((history.n_series, 1)), np.cumsum(spent, axis=1)], axis=1)
    column = np.arange(1, history.n_periods + 1)
    begin = np.maximum(np.maximum(column - season, 0)[None, :], np.minimum(history.first[:, None], column - 1))
    return np.asarray((sums[:, column] - np.take_along_axis(sums, begin, axis=1)) / (column[None, :] - begin))


def on_profile(history: History, spent: NDArray[np.bool_], origins: Ints) -> tuple[Floats, Floats]:
    """(n, O, season) factors of mean one on the chance for the steps after each origin, ones of (n, O, 1) without a short season; and (n, O) by
    how much positions differ beyond what chance would make them differ, the share in which factors are kept (James–Stein style)."""
    season = history.rhythm.season
    if season == 1 or season > LONGEST_SEASON:
        return np.ones((history.n_series, len(origins), 1)), np.zeros((history.n_series, len(origins)))
    shape = (history.n_series, len(origins), SEASONS_SEEN, season)
    columns = origins[:, None] + np.arange(-SEASONS_SEEN * season, 0)[None, :]
    begun = ((columns[None] >= history.first[:, None, None]) & (columns[None] >= 0)).reshape(shape).sum(axis=2)
    on = np.where(columns >= 0, spent[:, np.maximum(columns, 0)], False).reshape(shape).sum(axis=2)
    mean = on.sum(axis=2, keepdims=True) / np.maximum(begun.sum(axis=2, keepdims=True), 1)
    seen = np.where(begun > 0, on / np.maximum(begun, 1), mean)
    chance = mean * (1.0 - mean) / np.maximum(begun.min(axis=2, keepdims=True), 1)
    spread = seen.var(axis=2, keepdims=True, ddof=1)
    keep = np.where(spread > 0.0, np.clip(1.0 - chance / np.maximum(spread, 1e-300), 0.0, 1.0), 0.0)
    middle = seen.mean(axis=2, keepdims=True)
    return 1.0 + np.where(middle > 0.0, keep * (seen / np.maximum(middle, 1e-300) - 1.0), 0.0), keep[:, :, 0]


def _sums(values: NDArray[Any], low: Ints, high: Ints) -> Floats:
    """(n, O) sums of columns low..high-1."""
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1, dtype=np.float64)], axis=1)
    return np.asarray(sums[:, high] - sums[:, low])


def _solved(products: Floats, answers: Floats, usual: Floats) -> Floats:
    """(K,) shares ≥ 0 that explain the answers best, with what is usual as `BELIEF` cells of evidence."""
    ridge = BELIEF * np.eye(len(usual))
    shares = np.linalg.solve(products + ridge, answers + ridge @ usual)
    for _ in usual:
        if (shares >= 0.0).all():
            break
        kept = shares > 0.0
        shares = np.zeros_like(usual)
        shares[kept] = np.linalg.solve((products + ridge)[np.ix_(kept, kept)], (answers + ridge @ usual)[kept])
    return np.asarray(np.maximum(shares, 0.0))
