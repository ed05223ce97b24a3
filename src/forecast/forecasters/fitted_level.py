"""A level that forgets as fast as the series asks for: exponential smoothing whose constant is chosen, at every origin, by its past errors.

Which constant is best turns over between kinds of spend: the last day alone beats every mean of a week on inference services, and is the worst
rule for people's LLM spend. Errors of the next day and of the next short week number nearly as many as the days of history, so they tell
constants apart long before a dozen rolling origins could tell members apart.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy import signal

from forecast.forecasters.history import Floats, History
from forecast.forecasters.recent_level import RecentLevel

KEPT = (0.0, 0.3, 0.5, 0.7, 0.85, 0.93, 0.97)
"""Parts of a level that are kept from one period to the next: from the last period alone to half-lives of three weeks of days."""
WIDTHS = (1, 7)
"""Periods of the totals whose errors count; the second is cut to the short season."""
SHARPNESS = 6.0
BELIEF = 20.0
"""Past errors at which half of the sharpness is used: with few, all constants weigh about the same."""
FORGET = 0.98
"""Of past errors, per period."""


class FittedLevel(RecentLevel):
    """Exponential smoothing with a constant of its own for each series and origin, times a shrunken seasonal profile."""

    per_series: ClassVar[tuple[str, ...] | None] = ("levels_",)

    def __init__(self, freq: str = "D") -> None:
        self.freq = freq

    def _levels(self, history: History) -> Floats:
        """(n, T + 1) level before each column; unknown periods are left out, and those before a series began."""
        counted = np.isfinite(history.values) & (np.arange(history.n_periods)[None, :] >= history.first[:, None])
        known = np.where(counted, history.filled, 0.0)
        levels = np.stack([_smoothed(known, counted, keep) for keep in KEPT])  # (constants, n, T + 1)
        weights = _weights(levels, known, counted, [min(width, max(history.rhythm.season, 2)) for width in WIDTHS])
        found = (weights * levels).sum(axis=0)
        return np.where(history.additive[:, None], found, np.maximum(found, 0.0))


def _smoothed(known: Floats, counted: np.ndarray, keep: float) -> Floats:
    """(n, T + 1) weighted mean of what is known before each column; the last known value where nothing is kept."""
    n, periods = known.shape
    found = np.zeros((n, periods + 1))
    if keep == 0.0:
        last = np.maximum.accumulate(np.where(counted, np.arange(periods), -1), axis=1)
        found[:, 1:] = np.where(last >= 0, np.take_along_axis(known, np.maximum(last, 0), axis=1), 0.0)
        return found
    sums, mass = (signal.lfilter([1.0], [1.0, -keep], part, axis=1) for part in (known, counted.astype(np.float64)))
    found[:, 1:] = np.where(mass > 0.0, sums / np.maximum(mass, 1e-300), 0.0)
    return found


def _weights(levels: Floats, known: Floats, counted: np.ndarray, widths: list[int]) -> Floats:
    """(constants, n, T + 1) weights at each origin, by errors in what was over by then; they sum to one."""
    constants, n, columns = levels.shape
    periods = columns - 1
    errors, counts = np.zeros((constants, n, columns)), np.zeros((n, columns))
    sums = np.concatenate([np.zeros((n, 1)), np.cumsum(known, axis=1)], axis=1)
    there = np.concatenate([np.zeros((n, 1)), np.cumsum(counted, axis=1)], axis=1)
    begun = there[:, :periods] > 0
    for width in sorted(set(widths)):
        if width >= periods:
            continue
        came = (sums[:, width:] - sums[:, :-width]) / width  # of the `width` columns from each column on
        judged = (there[:, width:] - there[:, :-width] == width) & begun[:, : columns - width]
        away = np.where(judged, np.abs(levels[:, :, : columns - width] - came), 0.0)
        # An error of a total is known once the last of its periods is over.
        errors[:, :, width:] += signal.lfilter([1.0], [1.0, -FORGET], away, axis=2)
        counts[:, width:] += signal.lfilter([1.0], [1.0, -FORGET], judged.astype(np.float64), axis=1)
    mean = errors / np.maximum(counts, 1e-12)
    middle = mean.mean(axis=0)
    relative = np.where(middle > 0, mean / np.where(middle > 0, middle, 1.0), 1.0)
    sharpness = SHARPNESS * counts / (counts + BELIEF)
    raw = np.maximum(relative, 1e-3) ** -sharpness
    return np.asarray(raw / raw.sum(axis=0))
