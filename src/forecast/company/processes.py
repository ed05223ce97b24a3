"""The laws of time that spend follows. Each class is one process, its law in its docstring.

Every law is causal (day t depends on noise of days ≤ t only) and draws its noise day by day for all series at once, so
that another future can later be attached to the same past by replacing the noise after a cutoff. Factors multiply a
level and have a mean near one. Arrays have the shape (days, n).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from forecast.company.span import Booleans, Floats, Integers, Span


@dataclass(frozen=True)
class Streams:
    """Independent random streams by name: a process that is added later does not shift the others."""

    seed: int

    def of(self, *names: str) -> np.random.Generator:
        """The generator of the process called `names`; calling again starts it anew."""
        key = tuple(zlib.crc32(name.encode()) for name in names)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def autoregression(noise: Floats, persistence: float | Floats) -> Floats:
    """Stationary AR(1) of unit variance driven by standard normal `noise`, shape (days, n)."""
    gain = np.sqrt(1.0 - np.square(persistence))
    state = np.empty_like(noise)
    state[0] = noise[0]
    for day in range(1, len(noise)):
        state[day] = persistence * state[day - 1] + gain * noise[day]
    return state


@dataclass(frozen=True)
class MultiplicativeGrowth:
    """Log random walk with drift.

    log g(t) = drift · t / 365 + Σ_{s≤t} (σ ε(s) − σ²/2), divided by the mean over the span of the drift alone, so the
    expected mean factor over the span is one.  drift : annual log growth, (n,).  sd : σ per day.
    """

    drift: Floats
    sd: float

    def factors(self, rng: np.random.Generator, days: int) -> Floats:
        """Shape (days, n)."""
        trend = np.arange(days)[:, None] * self.drift[None, :] / 365.0
        walk = np.cumsum(self.sd * rng.standard_normal((days, len(self.drift))) - self.sd**2 / 2.0, axis=0)
        return np.asarray(np.exp(trend + walk) / np.exp(trend).mean(axis=0))


@dataclass(frozen=True)
class PersistentNoise:
    """exp(σ z(t) − σ²/2), z a stationary AR(1) of unit variance with lag-1 correlation `persistence`."""

    sd: float
    persistence: float

    def factors(self, rng: np.random.Generator, days: int, n: int) -> Floats:
        """Shape (days, n)."""
        return np.asarray(np.exp(self.sd * autoregression(rng.standard_normal((days, n)), self.persistence) - self.sd**2 / 2.0))


@dataclass(frozen=True)
class Bursts:
    """Something goes viral: a jump of log-size Exp(`size`) with probability `rate` a day, dying out by `decay` a day."""

    rate: float
    size: float
    decay: float

    def factors(self, rng: np.random.Generator, days: int, n: int) -> Floats:
        """Shape (days, n), ≥ 1."""
        jumps = (rng.random((days, n)) < self.rate) * rng.exponential(self.size, (days, n))
        level = np.zeros((days, n))
        level[0] = jumps[0]
        for day in range(1, days):
            level[day] = self.decay * level[day - 1] + jumps[day]
        return np.asarray(np.exp(level))


@dataclass(frozen=True)
class WeeklyRhythm:
    """Multiplicative weekday profile of mean one: log w(d) = amplitude · shape(d) + small own deviation of each series.

    shape falls by about one log unit from Tuesday to Sunday, so an amplitude of 0.2 means weekends some 18 % lower.
    """

    amplitude: Floats

    SHAPE = (0.25, 0.35, 0.35, 0.30, 0.10, -0.65, -0.70)

    def factors(self, rng: np.random.Generator, span: Span) -> Floats:
        """Shape (days, n)."""
        own = 0.03 * rng.standard_normal((7, len(self.amplitude)))
        profile = np.exp(np.array(self.SHAPE)[:, None] * self.amplitude[None, :] + own)
        return np.asarray((profile / profile.mean(axis=0))[span.weekday])


@dataclass(frozen=True)
class YearEndLull:
    """Between 22 December and 2 January work falls to `share` of normal; the same rule every year, no noise."""

    share: float

    def factors(self, span: Span) -> Floats:
        """Shape (days, 1)."""
        month = span.dates.astype("datetime64[M]").astype(np.int64) % 12
        day = span.day_of_month
        lull = ((month == 11) & (day >= 22)) | ((month == 0) & (day <= 2))
        return np.where(lull, self.share, 1.0)[:, None]


@dataclass(frozen=True)
class MonthEndBatch:
    """Closing of the books: `peak` times the quiet level on the last two and the first day of a month, mean one."""

    peak: float

    def factors(self, span: Span) -> Floats:
        """Shape (days, 1)."""
        close = (span.days_to_month_end <= 1) | (span.day_of_month == 1)
        busy_share = 3.0 * 12.0 / 365.0
        quiet = 1.0 / (1.0 + busy_share * (self.peak - 1.0))
        return np.where(close, self.peak * quiet, quiet)[:, None]


@dataclass(frozen=True)
class Spells:
    """Alternating renewal process: on for 1 + Geometric days of mean `on_days`, off for 1 + Geometric of mean `off_days`."""

    on_days: Floats
    off_days: Floats

    def simulate(self, rng: np.random.Generator, days: int) -> tuple[Booleans, Integers]:
        """`on` and `age` (days since the spell began), each (days, n). The first spell is on with its long-run share."""
        n = len(self.on_days)
        uniform = rng.random((days, n))
        stop_on, stop_off = 1.0 / self.on_days, 1.0 / self.off_days
        on = np.zeros((days, n), dtype=np.bool_)
        age = np.zeros((days, n), dtype=np.int64)
        on[0] = uniform[0] < self.on_days / (self.on_days + self.off_days)
        for day in range(1, days):
            flips = uniform[day] < np.where(on[day - 1], stop_on, stop_off)
            on[day] = on[day - 1] ^ flips
            age[day] = np.where(flips, 0, age[day - 1] + 1)
        return on, age

    @staticmethod
    def held(values: Floats, age: Integers) -> Floats:
        """The value drawn on the first day of each spell, held until its end."""
        first_day = np.arange(len(age))[:, None] - age
        return np.asarray(np.take_along_axis(values, first_day, axis=0))


@dataclass(frozen=True)
class DeveloperUse:
    """One person's use of language models: regime-switching, bursty, with days and weeks of nothing.

    On and off spells alternate. Each on-spell draws its own level (log sd `spell_sd`); within it days vary by an AR(1)
    (log sd `day_sd`, lag-1 `persistence`); a slow mean-reverting habit (log sd `habit_sd`, half-life about two months)
    moves everything; weekends are worked with probability `weekend`. Mean one over on- and off-days, cut at 15 times the
    mean. The aim is the table of real users: CV near 1.9, a third of the days zero, a tenth of the days half the money.
    """

    spell_sd: float = 0.85
    day_sd: float = 0.8
    persistence: float = 0.6
    habit_sd: float = 0.85
    weekend: float = 0.5
    on_days: float = 18.0
    off_days: float = 4.5

    def factors(self, rng: np.random.Generator, span: Span, n: int) -> Floats:
        """Shape (days, n)."""
        days = span.days
        on, age = Spells(np.full(n, self.on_days), np.full(n, self.off_days)).simulate(rng, days)
        level = Spells.held(rng.standard_normal((days, n)), age)
        daily = autoregression(rng.standard_normal((days, n)), self.persistence)
        habit = autoregression(rng.standard_normal((days, n)), 0.988)
        at_work = (span.weekday[:, None] < 5) | (rng.random((days, n)) < self.weekend)
        log_sd = np.sqrt(self.spell_sd**2 + self.day_sd**2 + self.habit_sd**2)
        use = np.exp(self.spell_sd * level + self.day_sd * daily + self.habit_sd * habit - log_sd**2 / 2.0)
        present = self.on_days / (self.on_days + self.off_days) * (5.0 + 2.0 * self.weekend) / 7.0
        return np.asarray(np.minimum(use / present, 15.0) * (on & at_work))


@dataclass(frozen=True)
class EvaluationRuns:
    """Test suites: on some weekdays a run (probability of each series' `rate`), its size lognormal of log sd `sd`;
    rare release weeks triple the rate."""

    rate: Floats
    sd: float = 0.8

    def factors(self, rng: np.random.Generator, span: Span) -> Floats:
        """Shape (days, n); mean near one."""
        days, n = span.days, len(self.rate)
        release, _ = Spells(np.full(n, 6.0), np.full(n, 45.0)).simulate(rng, days)
        chance = np.where(span.weekday[:, None] < 5, self.rate, self.rate * 0.15) * np.where(release, 3.0, 1.0)
        runs = rng.random((days, n)) < np.minimum(chance, 0.95)
        size = np.exp(self.sd * rng.standard_normal((days, n)) - self.sd**2 / 2.0)
        return np.asarray(runs * size / (self.rate * 0.94))


def ramp(days: int, first_day: Integers, ramp_days: Floats, last_day: Integers) -> Floats:
    """0 before `first_day`, rising linearly to 1 in `ramp_days`, 0 from `last_day` on; shape (days, n)."""
    day = np.arange(days)[:, None]
    rising = np.clip((day - first_day[None, :] + 1.0) / np.maximum(ramp_days[None, :], 1.0), 0.0, 1.0)
    return np.asarray(rising * (day < last_day[None, :]))


def logistic_switch(days: int, midpoint: Floats, width: Floats) -> Floats:
    """Share that has moved: 1 / (1 + exp(−(t − midpoint) · 8 / width)), so the middle 96 % takes `width` days; shape (days, n)."""
    steps = (np.arange(days)[:, None] - midpoint[None, :]) * 8.0 / width[None, :]
    share = 1.0 / (1.0 + np.exp(-np.clip(steps, -50.0, 50.0)))
    # Nobody keeps a handful of tokens on a model for ever: the tails are cut off.
    return np.asarray(np.where(share < 0.01, 0.0, np.where(share > 0.99, 1.0, share)))
