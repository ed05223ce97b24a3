"""What the next value should be: a robust, causal one-step expectation for many series side by side.

Costs are taken to x = asinh(y / c), which is a logarithm for large values and linear near zero, so that growth is a shift
and zeros and credits are allowed. On x there is a level, a factor for the phase of the season (weekday or hour) that is
trusted as it is seen more often, a plain level without season, which counts the more the better it was lately, and a robust
scale; all are exponentially weighted. A flagged value does not teach; when
flags go on, they are the new normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LEVEL_GAIN = 0.15
SEASON_GAIN = 0.15
SCALE_GAIN = 0.05
SEASON_TRUST = 2.0
"""A phase that was seen n times counts n / (n + 2)."""
ERROR_GAIN, POWER = 0.05, 4.0
"""Season and plain level share the expectation by their latest mean errors to the power of −4: few series have the season that is looked for."""
CLIP, FLAG = 3.0, 4.5
"""In scales: residuals teach no more than CLIP, and beyond FLAG not at all."""
NEW_NORMAL = 5.0
"""After so many flagged values (leaking by a third for every normal one) the level moves to them."""
OFTEN = 0.02
LINEAR = 5.0
"""Times the median: c of a scale on which ordinary values are as they are."""
WAIT = 8
"""Values of a new series before it can be surprising."""
SMALLEST_SCALE = 0.01
"""On x: one percent of a large cost."""


@dataclass
class Expectation:
    """State after some values of n series; arrays of (n,) except season (n, n_phases).

    constant : c of the transform. smallest_money : the least scale, as money. seen : values taught. flags, flag_sum : leaky
    count of flagged values, and the sum of their residuals. plain : level without season. season_error, plain_error : latest mean
    distance from either.
    """

    constant: NDArray[np.float64]
    smallest_money: NDArray[np.float64]
    level: NDArray[np.float64]
    scale: NDArray[np.float64]
    season: NDArray[np.float64]
    season_seen: NDArray[np.float64]
    seen: NDArray[np.float64]
    flags: NDArray[np.float64]
    flag_sum: NDArray[np.float64]
    plain: NDArray[np.float64]
    season_error: NDArray[np.float64]
    plain_error: NDArray[np.float64]

    @classmethod
    def new(cls, constant: NDArray[np.float64], n_phases: int, smallest_money: float = 0.0) -> Expectation:
        n = len(constant)
        zeros = [np.zeros(n) for _ in range(8)]
        return cls(constant, np.full(n, smallest_money), zeros[0], zeros[1], np.zeros((n, n_phases)), np.zeros((n, n_phases)), *zeros[2:])

    def copy(self) -> Expectation:
        return Expectation(**{name: value.copy() for name, value in self.__dict__.items()})

    def location(self, phase: int) -> NDArray[np.float64]:
        """(n,) expected x of the next value."""
        of_plain, of_season = (self.plain_error + 1e-12) ** POWER, (self.season_error + 1e-12) ** POWER
        weight = of_plain / (of_plain + of_season)
        return np.asarray(weight * self._seasonal(phase) + (1.0 - weight) * self.plain)

    def _seasonal(self, phase: int) -> NDArray[np.float64]:
        seen = self.season_seen[:, phase]
        return self.level + self.season[:, phase] * seen / (seen + SEASON_TRUST)

    def spread(self, location: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) scale of the next value's surprise on x; wider while little has been seen."""
        # A deviation of so much money is dy = c cosh(x) dx.
        money = self.constant * np.cosh(np.clip(location, -300, 300))
        floor = np.maximum(SMALLEST_SCALE, self.smallest_money / money)
        return np.maximum(1.2533 * self.scale * np.sqrt(1.0 + 4.0 / np.maximum(self.seen, 1.0)), floor)

    def learn(self, x: NDArray[np.float64], phase: int, location: NDArray[np.float64], spread: NDArray[np.float64]) -> None:
        """Take in the next x, (n,), which was expected at `location` with `spread`; NaN teaches nothing."""
        known = np.isfinite(x)
        residual = np.where(known, x - location, 0.0)
        first = known & (self.seen == 0)
        flagged = known & (self.seen >= WAIT) & (np.abs(residual) > FLAG * spread)
        leaked = np.where(known & ~flagged, np.maximum(self.flags - 1.0 / 3.0, 0.0), self.flags)
        # The sum leaks with the count: else flags with normal values between them would move the level by more than any of them.
        self.flag_sum = self.flag_sum * leaked / np.maximum(self.flags, 1e-9) + np.where(flagged, residual, 0.0)
        self.flags = leaked + flagged
        moved = flagged & (self.flags >= NEW_NORMAL)
        taught = known & ~flagged & ~first
        limit = np.where(self.seen >= WAIT, CLIP * spread, np.inf)
        clipped = np.clip(residual, -limit, limit)
        of_season = np.clip(np.where(known, x - self._seasonal(phase), 0.0), -limit, limit)
        of_plain = np.clip(np.where(known, x - self.plain, 0.0), -limit, limit)
        error_gain = np.maximum(ERROR_GAIN, 1.0 / np.maximum(self.seen, 1.0))
        self.season_error += np.where(taught, error_gain * (np.abs(of_season) - self.season_error), 0.0)
        self.plain_error += np.where(taught, error_gain * (np.abs(of_plain) - self.plain_error), 0.0)
        level_gain = np.maximum(LEVEL_GAIN, 1.0 / (self.seen + 1.0))
        self.level = np.where(first, x, np.where(taught, self.level + level_gain * of_season, self.level))
        self.plain = np.where(first, x, np.where(taught, self.plain + level_gain * of_plain, self.plain))
        season_gain = np.maximum(SEASON_GAIN, 1.0 / (self.season_seen[:, phase] + 2.0))
        self.season[:, phase] += np.where(taught, season_gain * (1.0 - level_gain) * of_season, 0.0)
        self.season_seen[:, phase] += taught
        scale_gain = np.maximum(SCALE_GAIN, 1.0 / np.maximum(self.seen, 1.0))
        self.scale = np.where(taught, self.scale + scale_gain * (np.abs(clipped) - self.scale), self.scale)
        self.seen = self.seen + (taught | first)
        if moved.any():
            count = np.maximum(np.round(self.flags + 0.5), 1.0)
            step = np.where(moved, self.flag_sum / count, 0.0)
            self.level, self.plain = self.level + step, self.plain + step
            self.scale = np.where(moved, 1.5 * self.scale + 0.1 * spread, self.scale)
            self.flags, self.flag_sum = np.where(moved, 0.0, self.flags), np.where(moved, 0.0, self.flag_sum)


def transform_constant(values: NDArray[np.float64], of_median: float = 0.1) -> NDArray[np.float64]:
    """(n,) c of asinh(y / c): so much of the median of what is not zero; 1 where a series has nothing.

    At a tenth, x is all but a logarithm: a day of nothing is as far from the median as its twentyfold. At `LINEAR` x is money up to
    some medians, and a logarithm only far beyond them. A series that is often negative swings around zero, where a logarithm would hide
    its outliers: it has the linear scale whatever is asked for.
    """
    constants = np.ones(len(values))
    for row, line in enumerate(values):
        spent = line[np.isfinite(line) & (line != 0)]
        if len(spent):
            constants[row] = (max(LINEAR, of_median) if np.mean(spent < 0) > OFTEN else of_median) * np.median(np.abs(spent))
    return np.maximum(constants, 1e-9)


def phases(ds: pd.DatetimeIndex, freq: str) -> tuple[NDArray[np.int64], int]:
    """Phase of the season of each time and how many there are: weekdays for days, hours of the day below that, none above."""
    offset = pd.tseries.frequencies.to_offset(freq)
    if isinstance(offset, (pd.tseries.offsets.Day, pd.tseries.offsets.BusinessDay)):
        return np.asarray(ds.day_of_week, dtype=np.int64), 7
    if isinstance(offset, pd.tseries.offsets.Tick):
        return np.asarray(ds.hour, dtype=np.int64), 24
    return np.zeros(len(ds), dtype=np.int64), 1


@dataclass(frozen=True)
class Replay:
    """One-step expectations over a history, each made before its value was seen; (n, n_periods), NaN while a series waits."""

    location: NDArray[np.float64]
    spread: NDArray[np.float64]
    surprise: NDArray[np.float64]


def settled(surprise: NDArray[np.float64]) -> NDArray[np.float64]:
    """The surprises without a first month (of short histories: a first third), in which seasons are still being learned."""
    kept = surprise.copy()
    kept[:, : min(28, surprise.shape[1] // 3)] = np.nan
    return kept


def replay(state: Expectation, values: NDArray[np.float64], phase: NDArray[np.int64]) -> Replay:
    """Run through (n, n_periods) values, teaching `state` on the way; `surprise` is (x − location) / spread."""
    x = np.arcsinh(values / state.constant[:, None])
    location, spread = np.empty_like(x), np.empty_like(x)
    for column in range(x.shape[1]):
        waits = state.seen < WAIT
        here = state.location(int(phase[column]))
        width = state.spread(here)
        location[:, column], spread[:, column] = np.where(waits, np.nan, here), np.where(waits, np.nan, width)
        state.learn(x[:, column], int(phase[column]), here, width)
    return Replay(location, spread, (x - location) / spread)
