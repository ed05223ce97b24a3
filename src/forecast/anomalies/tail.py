"""How rare is a surprise? The body from pooled past surprises, the outer 1 % from a fitted tail.

1,000 paths say nothing about one in 100,000, and one series never has the history. So standardised surprises of all
series are pooled and beyond their 1 % point u the survival is 0.01 · (1 + ξ (z/u − 1) / β)^(−1/ξ), a generalised Pareto
tail (Pickands 1975), exponential where ξ = 0, fitted by probability-weighted moments (Hosking and Wallis 1987).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVELS: NDArray[np.float64] = np.arange(1, 100) / 100.0
OUTER = 0.01
MOST_SHAPE = 0.5
MOST_EXCESS = 20.0
"""Excesses are counted up to so many 1 % points: a leaked key or the first tax of all is one event, and not the law of the tail."""
FEW = 20
"""With fewer excesses no shape is told, and one of them may be all of their mean: then the largest fifth does not count."""
TRIMMED, TRIMMED_MEAN = 0.8, 1.673
"""The mean of an exponential law is so many times that of its lower four fifths."""
SMALLEST_P = 1e-15

_REFERENCE: NDArray[np.float64] = stats.t(df=4).ppf((np.arange(200) + 0.5) / 200)
"""A heavy-tailed sample that stands in while there is little history."""


@dataclass(frozen=True)
class Tail:
    """Distribution of standardised surprises.

    body : (99,) their quantiles at 0.01 … 0.99. upper, lower : (ξ, β) of the excess over the 1 % points, in units of those points.
    """

    body: NDArray[np.float64]
    upper: NDArray[np.float64]
    lower: NDArray[np.float64]

    def p_values(self, surprises: NDArray[np.float64]) -> NDArray[np.float64]:
        """Two-sided p-values: twice the smaller side, at most 1; NaN stays NaN.

        What happens often is not rare: a value that many share counts on both sides.
        """
        high, low = self.body[-1], self.body[0]
        hair = 1e-9 * (high - low)
        below, not_above = np.interp(surprises + hair, self.body, LEVELS), np.interp(surprises - hair, self.body, LEVELS)
        rise = self.survival(np.maximum(surprises / high, 1.0), upper=True)
        fall = self.survival(np.maximum(surprises / low, 1.0), upper=False)
        above_p = np.where(surprises > high, rise, 1.0 - not_above)
        below_p = np.where(surprises < low, fall, below)
        return np.clip(2.0 * np.minimum(above_p, below_p), SMALLEST_P, 1.0)

    def survival(self, ratio: NDArray[np.float64], upper: bool) -> NDArray[np.float64]:
        """P(beyond `ratio` times the 1 % point) for ratios of at least 1."""
        shape, scale = self.upper if upper else self.lower
        excess = (ratio - 1.0) / scale
        if shape < 1e-6:
            return np.asarray(OUTER * np.exp(-excess))
        return np.asarray(OUTER * (1.0 + shape * excess) ** (-1.0 / shape))


def fit_tail(surprises: NDArray[np.float64]) -> Tail:
    """Fit to pooled surprises of any shape; NaN is left out. A reference sample counts as 200 more surprises."""
    known = surprises[np.isfinite(surprises)]
    pooled = np.concatenate([known, _REFERENCE])
    body = np.quantile(pooled, LEVELS)
    # The 1 % points must lie on their own sides of zero, also for one-sided surprises.
    body[-1], body[0] = max(body[-1], 1e-3), min(body[0], -1e-3)
    return Tail(body, _excess_fit(pooled[pooled > body[-1]] / body[-1] - 1.0), _excess_fit(pooled[pooled < body[0]] / body[0] - 1.0))


def _excess_fit(excess: NDArray[np.float64]) -> NDArray[np.float64]:
    """(ξ, β) of a generalised Pareto distribution, ξ held in 0 … 0.5; exponential for few values."""
    if not len(excess):
        return np.array([0.0, 0.5])
    ordered = np.sort(np.minimum(excess, MOST_EXCESS))
    if len(ordered) < FEW:
        return np.array([0.0, max(trimmed_mean(ordered), 1e-3)])
    mean = max(float(ordered.mean()), 1e-3)
    weights = 1.0 - (np.arange(1, len(ordered) + 1) - 0.35) / len(ordered)
    moment = float((ordered * weights).mean())
    # PWM: ξ = 2 − a0 / (a0 − 2 a1); β follows from the mean.
    shape = 2.0 - mean / (mean - 2.0 * moment) if mean > 2.0 * moment else 0.0
    shape = min(max(shape, 0.0), MOST_SHAPE)
    return np.array([shape, mean * (1.0 - shape)])


def trimmed_mean(ordered: NDArray[np.float64]) -> float:
    """The mean of an exponential law that rising values (n ≥ 1) come from, told by their lower four fifths."""
    return TRIMMED_MEAN * float(ordered[: max(int(TRIMMED * len(ordered)), 1)].mean())


def stretch(surprises: NDArray[np.float64], trust: float = 60.0) -> NDArray[np.float64]:
    """(n,) how much wilder each series is than the pool: its 95 % point of |surprise| over the pool's, shrunk to 1 for short series."""
    size = np.abs(surprises)
    known = np.isfinite(size)
    pool = float(np.quantile(size[known], 0.95)) if known.any() else 1.0
    own = np.full(len(size), pool)
    for row in np.flatnonzero(known.sum(axis=1) >= 20):
        own[row] = np.quantile(size[row, known[row]], 0.95)
    count = known.sum(axis=1)
    ratio = np.maximum(own, 1e-6) / max(pool, 1e-6)
    return np.asarray(np.maximum(np.exp(np.log(ratio) * count / (count + trust)), 0.2))
