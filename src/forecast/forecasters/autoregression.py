"""Ridge autoregressions on scaled differences: what a series does after moves and gaps like these.

The strongest simple member where series are long and have a rhythm. Each of a few designs (`lagged_designs.py`) is a linear regression

    x_t − x_{t−k} = Σ φ_p · feature_p(x_{t−1}, x_{t−2}, …),    x = asinh(y / (SOFTNESS · level))  or  y / level,

solved with a ridge towards the pool's coefficients, so that a long series has its own and a young one the others'; forecasts are the recursion,
and the median of the designs is the point. The asinh is logarithmic for large and linear for small values, so growth is multiplicative and zeros
and credits are allowed. Moves and gaps beyond a few standard deviations count as a few: an outlier is no law.

Coefficients are learned at a few *stages* of each series' life, and each past origin uses the newest stage before it: errors at past origins are
honest. Before a series' first stage the pool's serve.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.base import PointForecaster
from forecast.forecasters.batches import joined
from forecast.forecasters.history import Floats, History, Ints
from forecast.forecasters.lagged_designs import Design, designs_of
from forecast.forecasters.lagged_features import OUTLIER, Moments, moments, recursion
from forecast.spend.hierarchy import Hierarchy

STAGES = (0.45, 0.6, 0.75, 0.9, 1.0)
"""Shares of a series' life at which coefficients are learned; the first is where trees become honest too."""

SOFTNESS = 0.1
"""Share of the level below which the asinh scale is linear. M4 Weekly and Hourly are the same from 0.03 to 1; series with zeros want it large."""

POOL_RIDGE = 0.01
"""Ridge on the pool's coefficients, as a share of the evidence."""

YOUNGEST = 8
"""Periods of a series that are looked at for its level where a stage ends before it began; no younger series is judged."""

CEILING = 5.0
"""No forecast leaves so many times the largest value seen."""


class Autoregression(PointForecaster):
    """Median of ridge autoregressions differenced at a step, a season and a longer cycle, on an asinh and on a linear scale.

    threads : results do not depend on it.
    """

    per_series: ClassVar[tuple[str, ...] | None] = ("ends_", "levels_", "coefficients_", "limits_")

    def __init__(self, freq: str = "D", threads: int = 1) -> None:
        self.freq = freq
        self.threads = threads

    def _learn(self, history: History, hierarchy: Hierarchy | None) -> None:
        self.periods_ = history.n_periods
        active = history.n_periods - history.first
        self.ends_ = history.first[:, None] + np.ceil(np.array(STAGES)[None, :] * active[:, None]).astype(np.int64)
        levels = level_at(history, self.ends_)
        designs = self.designs_of(history)
        shape = (history.n_series, len(STAGES) + 1, sum(design.width for design in designs))
        # Slot 0 is the pool alone, for origins before a series' own first stage.
        self.levels_ = np.concatenate([levels[:, :1], levels], axis=1)
        self.coefficients_, self.limits_ = np.empty(shape), np.empty(shape)
        for stage in range(len(STAGES)):
            place = 0
            for design in designs:

                def gather(rows: slice, stage: int = stage, design: Design = design) -> tuple[Floats, ...]:
                    part = history.part(rows)
                    x = scaled(part.filled, levels[rows, stage, None], design.linear)
                    return tuple(moments(x, part.first, self.ends_[rows, stage], design))

                found = Moments(*joined(gather, history.n_series, self.threads))
                pool, own = solved(found, design)
                columns = np.s_[place : place + design.width]
                slots = ((0, pool), (1, own)) if stage == 0 else ((stage + 1, own),)
                for slot, coefficients in slots:
                    self.coefficients_[:, slot, columns] = coefficients * found.spread[:, None] / found.sizes
                    self.limits_[:, slot, columns] = OUTLIER * found.sizes
                place += design.width

    def _follow(self, history: History) -> None:
        # Series are right-aligned: what was learnt up to then ends so many columns later.
        self.ends_ = self.ends_ + (history.n_periods - self.history_.n_periods)

    def points(self, origins: Ints, horizon: int) -> Floats:
        history = self.history_
        designs = self.designs_of(history)
        reach = max(design.reach for design in designs)
        n, count = history.n_series, len(origins)
        slots = (origins[None, :, None] >= self.ends_[:, None, :]).sum(axis=2)  # (n, O)
        rows = np.arange(n)[:, None]
        level = self.levels_[rows, slots]
        columns = origins[:, None] + np.arange(-reach, 0)[None, :]
        known = _by_time(columns[None] >= history.first[:, None, None])
        past = history.window(origins, reach)
        scales = {linear: _by_time(scaled(past, level[:, :, None], linear)) for linear in (False, True)}
        said, place = [], 0
        for design in designs:
            inside = np.s_[place : place + design.width]
            coefficients, limits = (kept[rows, slots, inside].reshape(n * count, -1).T for kept in (self.coefficients_, self.limits_))
            begin = reach - design.reach
            x = recursion(
                scales[design.linear][begin:], known[begin:], horizon, design, np.ascontiguousarray(coefficients), np.ascontiguousarray(limits)
            )
            said.append(unscaled(x, level.reshape(-1), design.linear))
            place += design.width
        found = np.median(np.stack(said), axis=0).reshape(horizon, n, count).transpose(1, 2, 0)
        largest = CEILING * _largest_so_far(history, origins)[:, :, None]
        return np.clip(found, np.where(history.additive[:, None, None], -largest, 0.0), largest)

    def first_honest_origin(self) -> int:
        return int(np.ceil(STAGES[0] * self.periods_)) + self.history_.n_periods - self.periods_

    def designs_of(self, history: History) -> tuple[Design, ...]:
        """Of the length that was learnt with, whatever came since."""
        return designs_of(self.freq, history.rhythm, self.periods_)

    def _learned_points(self) -> dict[str, Any]:
        return {
            "periods": self.periods_,
            "ends": self.ends_,
            "levels": self.levels_,
            "coefficients": self.coefficients_,
            "limits": self.limits_,
        }

    def _restore_points(self, learned: dict[str, Any]) -> None:
        self.periods_ = int(learned["periods"])
        self.ends_, self.levels_, self.coefficients_, self.limits_ = (learned[name] for name in ("ends", "levels", "coefficients", "limits"))


def level_at(history: History, ends: Ints) -> Floats:
    """(n, S) mean size of each series from its first spend up to column `ends` (n, S); of its first periods where that is sooner."""
    ends = np.clip(np.maximum(ends, history.first[:, None] + YOUNGEST), 1, history.n_periods)
    sums = np.cumsum(np.abs(history.filled), axis=1)
    found = np.take_along_axis(sums, ends - 1, axis=1) / np.maximum(ends - history.first[:, None], 1)
    return np.where(found > 0.0, found, 1.0)


def scaled(values: Floats, level: Floats, linear: bool) -> Floats:
    """x of values; `level` broadcasts against them."""
    shares = values / level
    return shares if linear else np.arcsinh(shares / SOFTNESS)


def unscaled(x: Floats, level: Floats, linear: bool) -> Floats:
    """Values of x."""
    return level * (x if linear else SOFTNESS * np.sinh(np.clip(x, -30.0, 30.0)))


def solved(found: Moments, design: Design) -> tuple[Floats, Floats]:
    """(P,) coefficients of the pool and (n, P) of each series, of standardised features."""
    # A series counts in the pool with the root of its evidence.
    share = 1.0 / np.sqrt(np.maximum(found.mass, 1.0))
    unit = np.eye(design.width)
    ridge = POOL_RIDGE * float((found.mass * share).sum()) + 1e-9
    pool: Floats = np.linalg.solve(np.einsum("s,spq->pq", share, found.products) + ridge * unit, np.einsum("s,sp->p", share, found.answers))
    right: Floats = found.answers + design.trust * pool
    own = np.linalg.solve(found.products + design.trust * unit, right[:, :, None])[:, :, 0]
    return pool, np.asarray(own, dtype=np.float64)


def _by_time(values: NDArray[Any]) -> NDArray[Any]:
    """(n, O, width) → (width, n · O)."""
    return np.ascontiguousarray(values.reshape(-1, values.shape[2]).T)


def _largest_so_far(history: History, origins: Ints) -> Floats:
    """(n, O) largest size of a value before each origin; 0 at an origin before any."""
    running = np.maximum.accumulate(np.abs(history.filled), axis=1)
    return np.where(origins > 0, running[:, np.maximum(origins - 1, 0)], 0.0)
