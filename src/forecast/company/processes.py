"""The laws of time that spend follows. Each class is one process, its law in its docstring.

Every law runs over a stretch: it draws its noise by name, takes up what it remembers from the days before and leaves its state
for the days after. Factors multiply a level and have a mean near one. Arrays have the shape (days, worlds, n); traits that do
not move in time have the shape (n,).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, log, sqrt
from typing import cast

import numpy as np

from forecast.company.span import Booleans, Floats, Integers, Span
from forecast.company.stretch import Stretch


def autoregression(stretch: Stretch, name: str, persistence: float | Floats, n: int) -> Floats:
    """Stationary AR(1) of unit variance: z(t) = φ z(t−1) + √(1−φ²) ε(t)."""
    noise = stretch.normal(name, n)
    gain = np.sqrt(1.0 - np.square(persistence))
    before = stretch.recall(name)
    state = np.empty_like(noise)
    # The first day of all is drawn from the stationary law.
    state[0] = noise[0] if before is None else persistence * cast(Floats, before) + gain * noise[0]
    for day in range(1, len(noise)):
        state[day] = persistence * state[day - 1] + gain * noise[day]
    stretch.remember(name, state[-1])
    return state


@dataclass(frozen=True)
class MultiplicativeGrowth:
    """Log random walk whose drift itself wanders.

    log g(t) = Σ_{s≤t} [(drift + swing · z(s)) / 365 + σ ε(s) − σ²/2], z a slow AR(1) of unit variance (half-life three months),
    divided by the mean over the company's span of the drift alone.  drift : annual log growth, (n,).  sd : σ per day.
    """

    drift: Floats
    sd: float
    swing: float = 0.35

    SLOW = 0.9923

    def factors(self, stretch: Stretch) -> Floats:
        n = len(self.drift)
        pace = self.swing * autoregression(stretch, "pace", self.SLOW, n) / 365.0
        steps = pace + self.sd * stretch.normal("steps", n) - self.sd**2 / 2.0
        before = stretch.recall("level")
        if before is not None:
            steps[0] += cast(Floats, before)
        walk = np.cumsum(steps, axis=0, out=steps)
        stretch.remember("level", walk[-1].copy())
        trend = np.exp(np.arange(stretch.whole_days)[:, None] * self.drift / 365.0).mean(axis=0)
        walk += stretch.day[:, None, None] * self.drift / 365.0
        np.exp(walk, out=walk)
        walk /= trend
        return walk


@dataclass(frozen=True)
class PersistentNoise:
    """exp(σ z(t) − σ²/2), z a stationary AR(1) of unit variance with lag-1 correlation `persistence`."""

    sd: float | Floats
    persistence: float

    def factors(self, stretch: Stretch, n: int) -> Floats:
        return np.asarray(np.exp(self.sd * autoregression(stretch, "noise", self.persistence, n) - np.square(self.sd) / 2.0))


@dataclass(frozen=True)
class LevelShifts:
    """Now and then the level jumps and stays: a pool of mean one, log sd `sd`, redrawn with probability `rate` a day.

    A jump keeps `memory` of the old log level, so levels come back to the middle in the end.
    """

    rate: float
    sd: float
    memory: float = 0.5

    def factors(self, stretch: Stretch, n: int) -> Floats:
        jumps = stretch.uniform("jumps", n) < self.rate
        fresh = stretch.normal("levels", n)
        before = stretch.recall("level")
        level = np.empty_like(fresh)
        now = fresh[0] if before is None else np.broadcast_to(cast(Floats, before), fresh[0].shape)
        gain = np.sqrt(1.0 - self.memory**2)
        for day in range(len(fresh)):
            now = np.where(jumps[day], self.memory * now + gain * fresh[day], now)
            level[day] = now
        stretch.remember("level", level[-1])
        return np.asarray(np.exp(self.sd * level - self.sd**2 / 2.0))


@dataclass(frozen=True)
class Bursts:
    """Something goes viral: a jump of log-size Exp(`size`) with probability `rate` a day, dying out by `decay` a day."""

    rate: float
    size: float
    decay: float

    def factors(self, stretch: Stretch, n: int) -> Floats:
        """≥ 1."""
        level = (stretch.uniform("jumps", n) < self.rate) * (self.size * stretch.exponential("sizes", n))
        before = stretch.recall("level")
        if before is not None:
            level[0] += self.decay * cast(Floats, before)
        for day in range(1, len(level)):
            level[day] += self.decay * level[day - 1]
        stretch.remember("level", level[-1].copy())
        return np.asarray(np.exp(level))


@dataclass(frozen=True)
class WeeklyRhythm:
    """Multiplicative weekday profile of mean one: log w(d) = amplitude · shape(d) + small own deviation of each series.

    shape falls by about one log unit from Tuesday to Sunday, so an amplitude of 0.2 means weekends some 18 % lower.
    `own` : (7, n) deviations, drawn once.
    """

    amplitude: Floats
    own: Floats

    SHAPE = (0.25, 0.35, 0.35, 0.30, 0.10, -0.65, -0.70)

    @classmethod
    def drawn(cls, rng: np.random.Generator, amplitude: Floats) -> WeeklyRhythm:
        return cls(amplitude, 0.03 * rng.standard_normal((7, len(amplitude))))

    def factors(self, span: Span) -> Floats:
        """(days, 1, n)."""
        profile = np.exp(np.array(self.SHAPE)[:, None] * self.amplitude[None, :] + self.own)
        return np.asarray((profile / profile.mean(axis=0))[span.weekday][:, None, :])


@dataclass(frozen=True)
class Holidays:
    """Days on which offices are empty: work falls to `share` of normal. No noise; the calendar is `Span.holiday`."""

    share: float

    def factors(self, span: Span) -> Floats:
        """(days, 1, 1)."""
        return np.where(span.holiday, self.share, 1.0)[:, None, None]


@dataclass(frozen=True)
class MonthEndBatch:
    """Closing of the books: `peak` times the quiet level on the last two and the first day of a month, mean one."""

    peak: float

    def factors(self, span: Span) -> Floats:
        """(days, 1, 1)."""
        close = (span.days_to_month_end <= 1) | (span.day_of_month == 1)
        busy_share = 3.0 * 12.0 / 365.0
        quiet = 1.0 / (1.0 + busy_share * (self.peak - 1.0))
        return np.where(close, self.peak * quiet, quiet)[:, None, None]


@dataclass(frozen=True)
class WeeklyBatch:
    """A job of one night a week: nothing but on `weekday` (n,), seven times the mean there; some runs are skipped or run twice."""

    weekday: Integers

    def factors(self, stretch: Stretch) -> Floats:
        runs = stretch.uniform("runs", len(self.weekday))
        size = np.where(runs < 0.04, 0.0, np.where(runs > 0.96, 2.0, 1.0))
        return np.asarray(7.0 * size * (stretch.span.weekday[:, None, None] == self.weekday))


@dataclass(frozen=True)
class Spells:
    """Alternating renewal process: on for 1 + Geometric days of mean `on_days`, off for 1 + Geometric of mean `off_days`."""

    on_days: Floats
    off_days: Floats

    def simulate(self, stretch: Stretch) -> tuple[Booleans, Integers]:
        """`on` and `age` (days since the spell began). The first spell of all is on with its long-run share."""
        uniform = stretch.uniform("flips", len(self.on_days))
        stop_on, stop_off = 1.0 / self.on_days, 1.0 / self.off_days
        on = np.empty(uniform.shape, dtype=np.bool_)
        age = np.empty(uniform.shape, dtype=np.int64)
        was_on, was_age = cast("Booleans | None", stretch.recall("on")), cast("Integers | None", stretch.recall("age"))
        for day in range(len(uniform)):
            if was_on is None or was_age is None:
                on[day] = uniform[day] < self.on_days / (self.on_days + self.off_days)
                age[day] = 0
            else:
                flips = uniform[day] < np.where(was_on, stop_on, stop_off)
                on[day] = was_on ^ flips
                age[day] = np.where(flips, 0, was_age + 1)
            was_on, was_age = on[day], age[day]
        stretch.remember("on", on[-1])
        stretch.remember("age", age[-1])
        return on, age


def held(stretch: Stretch, name: str, values: Floats, age: Integers) -> Floats:
    """The value drawn on the first day of each spell (`age` 0), held until its end."""
    before = stretch.recall(name)
    start = np.arange(len(age))[:, None, None] - age
    found = np.take_along_axis(values, np.maximum(start, 0), axis=0)
    if before is not None:
        found = np.where(start < 0, cast(Floats, before), found)
    stretch.remember(name, found[-1])
    return np.asarray(found, dtype=np.float64)


def mean_below(most: float, log_sd: float) -> float:
    """Mean of min(x, most) where x is lognormal with mean one."""

    def normal(z: float) -> float:
        return 0.5 * (1.0 + erf(z / sqrt(2.0)))

    edge = log(most) / log_sd
    return normal(edge - log_sd / 2.0) + most * (1.0 - normal(edge + log_sd / 2.0))


@dataclass(frozen=True)
class DeveloperUse:
    """One person's use of language models: regime-switching, bursty, with days and weeks of nothing.

    On and off spells alternate. Each on-spell draws its own level (log sd `spell_sd`); within it days vary by an AR(1)
    (log sd `day_sd`, lag-1 `persistence`); a slow mean-reverting habit (log sd `habit_sd`, half-life about two months)
    moves everything: this is what makes one month of a person ten or fifty times another; weekends are worked with probability
    `weekend`. A day is cut at `most` times the mean; mean one over on- and off-days, cut included.
    """

    spell_sd: float = 0.2
    day_sd: float = 0.55
    persistence: float = 0.6
    habit_sd: float = 1.5
    weekend: float = 0.4
    on_days: float = 20.0
    off_days: float = 4.5
    most: float = 20.0

    HABIT = 0.99

    def factors(self, stretch: Stretch, n: int) -> Floats:
        on, age = Spells(np.full(n, self.on_days), np.full(n, self.off_days)).simulate(stretch)
        level = held(stretch, "spell", stretch.normal("spells", n), age)
        daily = autoregression(stretch, "daily", self.persistence, n)
        habit = autoregression(stretch, "habit", self.HABIT, n)
        at_work = (stretch.span.weekday[:, None, None] < 5) | (stretch.uniform("weekends", n) < self.weekend)
        log_sd = sqrt(self.spell_sd**2 + self.day_sd**2 + self.habit_sd**2)
        use = np.exp(self.spell_sd * level + self.day_sd * daily + self.habit_sd * habit - log_sd**2 / 2.0)
        present = self.on_days / (self.on_days + self.off_days) * (5.0 + 2.0 * self.weekend) / 7.0
        mean = mean_below(self.most, log_sd)
        return np.asarray(np.minimum(use, self.most) / (mean * present) * (on & at_work))


@dataclass(frozen=True)
class EvaluationRuns:
    """Test suites: on some weekdays a run (probability of each series' `rate`), its size lognormal of log sd `sd`;
    rare release weeks triple the rate."""

    rate: Floats
    sd: float = 0.8

    def factors(self, stretch: Stretch) -> Floats:
        n = len(self.rate)
        release, _ = Spells(np.full(n, 6.0), np.full(n, 45.0)).simulate(stretch)
        chance = np.where(stretch.span.weekday[:, None, None] < 5, self.rate, self.rate * 0.15) * np.where(release, 3.0, 1.0)
        runs = stretch.uniform("runs", n) < np.minimum(chance, 0.95)
        size = np.exp(self.sd * stretch.normal("sizes", n) - self.sd**2 / 2.0)
        return np.asarray(runs * size / (self.rate * 0.94))


@dataclass(frozen=True)
class Autoscaler:
    """A pool of machines that follows its load in steps.

    Every day with probability `review`, and at once where the load exceeds the pool, the pool is set to the load plus `spare`;
    between reviews it stays. A machine runs for whole shifts, `shifts` to a day, at least one where there is load at all.
    """

    review: float = 0.5
    spare: float = 0.25
    shifts: int = 4

    def machines(self, stretch: Stretch, load: Floats) -> Floats:
        """Machines (in shifts) for a load in machines, both (days, worlds, n)."""
        looked = stretch.uniform("reviews", load.shape[2]) < self.review
        wanted = np.ceil(load * (1.0 + self.spare) * self.shifts - 1e-9) / self.shifts
        pool = np.empty_like(load)
        before = stretch.recall("pool")
        now = wanted[0] if before is None else np.broadcast_to(cast(Floats, before), wanted[0].shape)
        for day in range(len(load)):
            now = np.where(looked[day] | (load[day] > now) | (load[day] <= 0.0), wanted[day], now)
            pool[day] = now
        stretch.remember("pool", pool[-1])
        return pool


@dataclass(frozen=True)
class Accumulation:
    """A stock that only grows: 1 + Σ e^{ε(t)−½} · pace / 365, `pace` (n,) in stocks of the first day a year."""

    pace: Floats

    def factors(self, stretch: Stretch) -> Floats:
        added = np.exp(stretch.normal("added", len(self.pace)) - 0.5) * self.pace / 365.0
        before = stretch.recall("stock")
        added[0] += 1.0 if before is None else cast(Floats, before)
        stock = np.cumsum(added, axis=0)
        stretch.remember("stock", stock[-1].copy())
        return np.asarray(stock)


def logistic_switch(day: Integers, midpoint: Floats, width: Floats) -> Floats:
    """Share that has moved on each day (days,): 1 / (1 + exp(−(t − midpoint) · 8 / width)), so the middle 96 % takes `width` days.

    midpoint, width : any shape that broadcasts; the result has the days in front of it.
    """
    steps = (day.reshape(-1, *[1] * np.ndim(midpoint)) - midpoint) * (-8.0 / width)
    np.clip(steps, -50.0, 50.0, out=steps)
    share = 1.0 / (1.0 + np.exp(steps, out=steps))
    # Nobody keeps a handful of tokens on a model for ever: the tails are cut off.
    share[share < 0.01] = 0.0
    share[share > 0.99] = 1.0
    return np.asarray(share)
