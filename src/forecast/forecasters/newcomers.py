"""Series that have just begun: a few days tell little about a level, and past errors of old series know nothing of that.

A model released yesterday, or a team that started nine days ago, borrows the errors of series whose level has been known for months; its paths
are moved by how uncertain the level of so young a series is. How uncertain, the panel's own newcomers say: what they spent over a short window
beside what they had spent per period until then. The medians of paths stay, so means rise: most newcomers grow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.history import Floats, History

FIRST_SPREAD = 0.8
"""Log standard deviation of the level of a series before it has been seen, believed beforehand."""

QUARTERED = 0.75
"""Short windows (three weeks of days) after which its variance has fallen to a quarter."""

BELIEF = 10.0
"""Newcomers that this belief counts as."""

GROWN = 2.0
"""Short windows after which a series speaks for itself."""

SCALES = (0.5, 2.0)
FARTHEST = 2.5
"""Standard deviations beyond which no level lies."""

FLOOR = 0.05
"""Share of what was expected that is added before logarithms, so that a newcomer that vanishes is far down but not infinitely far."""


def believed_spread(history: History, age: NDArray[np.integer]) -> Floats:
    """Log standard deviation of the level by age, on top of what a grown series has."""

    def variance(periods: NDArray[np.integer]) -> Floats:
        return np.asarray(FIRST_SPREAD**2 / (1.0 + 3.0 * periods / (QUARTERED * history.rhythm.short)))

    grown = np.array(min(GROWN * history.rhythm.short, history.n_periods))
    return np.sqrt(np.maximum(variance(np.maximum(age, 0)) - variance(grown), 0.0))


def learned_scale(history: History) -> float:
    """How much more (or less) uncertain this panel's newcomers were after a quarter of a short window than is believed beforehand."""
    short, week = history.rhythm.short, max(history.rhythm.short // 4, 1)
    origin = history.first + week
    # A series of the first day may be as old as the company.
    born = (history.first > history.n_periods - 1 - history.last + week) & (origin + short <= history.n_periods) & ~history.additive
    rows = np.flatnonzero(born)
    sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(history.filled[rows], axis=1)], axis=1)
    row, start = np.arange(len(rows)), origin[rows]
    expected = (sums[row, start] - sums[row, start - week]) / week * short
    came = (sums[row, start + short] - sums[row, start])[expected > 0.0]
    expected = expected[expected > 0.0]
    if not len(expected):
        return 1.0
    away = np.log((np.maximum(came, 0.0) + FLOOR * expected) / ((1 + FLOOR) * expected))
    believed = float(believed_spread(history, np.array(week)))
    if believed <= 0.0:
        return 1.0
    low, high = np.quantile(away, [0.1, 0.9])
    seen = (float(high - low) / 2.56) ** 2
    return float(np.clip(np.sqrt((len(came) * seen + BELIEF * believed**2) / (len(came) + BELIEF)) / believed, *SCALES))


def youth_of(history: History, scale: float) -> Floats:
    """(n,) log standard deviation that the level of each series has for being young; 0 for grown ones, for credits and for series of nothing."""
    age = history.n_periods - history.first
    return np.where((age > 0) & ~history.additive, scale * believed_spread(history, age), 0.0)


def unsettle(paths: NDArray[np.float32], youth: Floats, rng: np.random.Generator) -> None:
    """Move, in place, each young series' paths (n, horizon, n_paths) up or down as a whole, medians kept."""
    for row in np.flatnonzero(youth > 0.0):
        drawn = np.clip(rng.standard_normal(paths.shape[2]), -FARTHEST, FARTHEST)
        paths[row] *= np.exp(youth[row] * drawn).astype(np.float32)
