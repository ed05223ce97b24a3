"""Structural forecaster: level, damped trend, an optional season that may change, and month-end effects, in state-space form.

Costs are taken to x = asinh(y / scale), which is logarithmic for large and linear for small values, so growth is
multiplicative and zeros are allowed. The model of x (Harvey 1989, ch. 2; damped trend after Gardner & McKenzie 1985):

    x_t = level_t + season_t + calendar_t + noise
    level_t = level_{t-1} + slope_{t-1} + …,   slope_t = damping · slope_{t-1} + …,   season_t = −Σ season_{t-1..t-m+1} + …

Variances are estimated by statsmodels for the largest series; their median serves the rest, which makes the Kalman gains of
all other series the same and the filter one recursion over time for thousands of series.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.forecasters.base import PointForecaster
from forecast.forecasters.batches import in_batches, joined
from forecast.forecasters.history import Floats, History, Ints, is_intraday
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.panel import parse_freq

LARGEST_SEASON = 24
SURPRISE_LIMIT = 3.0
"""An innovation beyond so many standard deviations moves the state as if it were this large: an outlier is no new level."""

LONGEST_ESTIMATED = 750
"""Newest periods that variances are estimated from: two years of days, a month of hours. A year of hours took minutes and said the same."""

FILTERED_AT_ONCE = 512
"""The filter's steps over time are many small sums: larger batches than elsewhere, so that few of them are Python's."""

DAYS_DAMPED = 28.0
"""Short window of the rhythm that `damping` speaks of, one of days. Others damp as much over theirs: by the week .90, by the month .75."""

MOST_GROWTH = 2.0
"""Most that the mean of the next short window may be of the recent level."""


@dataclass(frozen=True)
class StateSpace:
    """Matrices shared by all series: x = design · state + noise, state' = transition · state + …"""

    transition: Floats  # (k, k)
    design: Floats  # (k,)

    @classmethod
    def of(cls, season: int, damping: float) -> StateSpace:
        seasonal = max(season - 1, 0)
        k = 2 + seasonal
        transition = np.zeros((k, k))
        transition[0, :2] = 1.0
        transition[1, 1] = damping
        if seasonal:
            transition[2, 2:] = -1.0
            transition[3:, 2:-1] = np.eye(seasonal - 1)
        design = np.zeros(k)
        design[0] = 1.0
        if seasonal:
            design[2] = 1.0
        return cls(transition, design)

    def forecast_rows(self, horizon: int) -> Floats:
        """(horizon, k): row h-1 times the predicted state for the next period gives x at step h."""
        rows = np.empty((horizon, len(self.design)))
        row = self.design
        for step in range(horizon):
            rows[step] = row
            row = row @ self.transition
        return rows


class StructuralForecaster(PointForecaster):
    """Level + damped trend + optional season + month-end effects for every series.

    damping : factor on the slope per day, 0..1, and as much over the short window of other rhythms; within days there is no slope, because what
    looks like one is the week (M4 Hourly: error of 168-hour totals .77 of the level with it, .22 without).
    fitted_series : how many of the largest series get their own variances.
    calendar : whether first and last days of months have effects of their own (daily data only).
    """

    per_series: ClassVar[tuple[str, ...] | None] = ("scale_", "effects_", "states_", "smear_")

    def __init__(self, freq: str = "D", damping: float = 0.97, fitted_series: int = 8, calendar: bool = True) -> None:
        self.freq = freq
        self.damping = damping
        self.fitted_series = fitted_series
        self.calendar = calendar

    def _learn(self, history: History, hierarchy: Hierarchy | None) -> None:
        size = np.abs(history.filled).sum(axis=1)
        self.scale_ = np.maximum(size / np.maximum(history.n_periods - history.first, 1), 1e-300)
        space = self._space(history)
        largest = np.argsort(-size, kind="stable")[: self.fitted_series]
        largest = largest[history.first[largest] < history.n_periods - 2 * history.rhythm.short]
        begin = np.maximum(history.first, history.n_periods - LONGEST_ESTIMATED)
        found = [estimate_variances(self._transformed(history, slice(row, row + 1))[0, begin[row] :], space) for row in largest]
        self.variances_ = np.median(np.array(found), axis=0) if found else np.array([0.1, 1e-4, 1e-4, 0.9])
        self.effects_ = np.zeros((history.n_series, 3))
        if self.calendar and _is_daily(self.freq):

            def effects(rows: slice) -> Floats:
                part = history.part(rows)
                _, surprises = self._filter(part, self._transformed(history, rows))
                return month_effects(surprises, self._month_days(part, 0), part)

            self.effects_ = np.concatenate(in_batches(effects, history.n_series, self.threads, FILTERED_AT_ONCE))
        self.smear_ = self._states(history)

    def _follow(self, history: History) -> None:
        self._states(history)

    def _states(self, history: History) -> Floats:
        """Filter the history into `states_` (n, T + 1, k); returns what `_smearing` finds."""

        def follow(rows: slice) -> tuple[NDArray[np.float32], Floats]:
            part, x = history.part(rows), self._transformed(history, rows)
            states, surprises = self._filter(part, x - self._calendar(part, 0, self.effects_[rows]))
            return states, self._smearing(part, x - surprises, self.scale_[rows])

        self.states_, smear = joined(follow, history.n_series, self.threads, FILTERED_AT_ONCE)
        return smear

    def points(self, origins: Ints, horizon: int) -> Floats:
        history = self.history_
        steps = max(horizon, history.rhythm.short)
        rows = self._space(history).forecast_rows(steps)
        x = self.states_[:, origins].astype(np.float64) @ rows.T  # (n, O, steps)
        if self.effects_.any():
            columns = origins[:, None] + np.arange(steps)[None, :]
            x += self._calendar(history, steps, self.effects_)[:, np.minimum(columns, history.n_periods + steps - 1)]
        # A damped trend on a log-like scale may still multiply: no forecast leaves ten times the largest value seen.
        ceiling = 10.0 * np.abs(history.filled).max(axis=1)[:, None, None]
        cost = np.clip((self.scale_ * self.smear_)[:, None, None] * np.sinh(np.clip(x, -30, 30)), -ceiling, ceiling)
        spend = np.maximum(cost, 0.0)
        # The filter takes a large last day (a month-end line, a batch) for a level; the recent level knows better.
        mean = spend[:, :, : history.rhythm.short].mean(axis=2)
        allowed = MOST_GROWTH * history.level(origins)
        spend *= np.where(mean > allowed, allowed / np.where(mean > allowed, mean, 1.0), 1.0)[:, :, None]
        return np.where(history.additive[:, None, None], cost, spend)[:, :, :horizon]

    def _smearing(self, history: History, x: Floats, scale: Floats) -> Floats:
        """(n,) what sinh of a mean lacks to the mean of sinh: actual over fitted one-step cost (Duan 1983), by series, within 1/2..4.

        x : (n, T) what the filter expected of each period; NaN before a series begins.
        """
        settled = np.arange(history.n_periods)[None, :] >= history.first[:, None] + 2 * history.rhythm.season
        fitted = scale[:, None] * np.sinh(np.clip(np.where(settled, x, 0.0), -30, 30))
        credits = history.additive[:, None]
        fitted = np.where(credits, np.abs(fitted), np.maximum(fitted, 0.0))
        came = np.where(settled, np.where(credits, np.abs(history.filled), history.filled), 0.0).sum(axis=1)
        expected = np.where(settled, fitted, 0.0).sum(axis=1)
        return np.where((expected > 0) & (came > 0), np.clip(came / np.maximum(expected, np.where(came > 0, came / 8.0, 1.0)), 0.5, 4.0), 1.0)

    def _transformed(self, history: History, rows: slice) -> Floats:
        # Rounded, so that the same spend in cents is the same x to the last bit and takes the optimiser the same way.
        return np.round(np.arcsinh(history.filled[rows] / self.scale_[rows, None]), 9)

    def _space(self, history: History) -> StateSpace:
        season = history.rhythm.season
        damping = 0.0 if is_intraday(self.freq) else self.damping ** (DAYS_DAMPED / history.rhythm.short)
        return StateSpace.of(season if season <= LARGEST_SEASON else 1, damping)

    def _filter(self, history: History, x: Floats) -> tuple[NDArray[np.float32], Floats]:
        return filter_all(x, history.first, self._space(history), self.variances_)

    def _calendar(self, history: History, horizon: int, effects: Floats) -> Floats:
        """(n, T + horizon) month effects in x."""
        if not effects.any():
            return np.zeros((history.n_series, history.n_periods + horizon))
        kinds = self._month_days(history, horizon)
        return np.take_along_axis(np.concatenate([np.zeros((history.n_series, 1)), effects], axis=1), kinds, axis=1)

    def _month_days(self, history: History, horizon: int) -> NDArray[np.int64]:
        """(n, T + horizon) 0 ordinary day, 1 first day of a month, 2 last day, 3 one of the two before the last."""
        dates = history.dates(horizon)
        kinds = np.zeros(len(dates), dtype=np.int64)
        kinds[dates.is_month_start] = 1
        kinds[dates.is_month_end] = 2
        left = dates.days_in_month.to_numpy() - dates.day.to_numpy()
        kinds[(left == 1) | (left == 2)] = 3
        columns = history.columns_of(horizon)
        return np.where(columns >= 0, kinds[np.clip(columns, 0, len(dates) - 1)], 0)

    def _learned_points(self) -> dict[str, Any]:
        # States follow from the rest and would be by far the largest part.
        return {"scale": self.scale_, "variances": self.variances_, "effects": self.effects_, "smear": self.smear_}

    def _restore_points(self, learned: dict[str, Any]) -> None:
        self.scale_, self.variances_, self.effects_, self.smear_ = (learned[name] for name in ("scale", "variances", "effects", "smear"))
        self._follow(self.history_)


def estimate_variances(x: Floats, space: StateSpace) -> Floats:
    """(4,) variances of level, slope, season and noise, as shares of their sum: maximum likelihood by statsmodels."""
    from statsmodels.tools.sm_exceptions import ConvergenceWarning
    from statsmodels.tsa.statespace.mlemodel import MLEModel

    k = len(space.design)
    seasonal = k > 2

    class Structural(MLEModel):  # type: ignore[misc]
        def __init__(self, endog: Floats) -> None:
            super().__init__(endog, k_states=k, k_posdef=3 if seasonal else 2, initialization="approximate_diffuse", loglikelihood_burn=k)
            self["design"] = space.design[None, :]
            self["transition"] = space.transition
            selection = np.zeros((k, 3 if seasonal else 2))
            selection[0, 0] = selection[1, 1] = 1.0
            if seasonal:
                selection[2, 2] = 1.0
            self["selection"] = selection

        @property
        def start_params(self) -> Floats:
            variance = max(float(np.var(np.diff(self.endog[:, 0]))), 1e-6)
            return np.log(np.array([0.2, 0.001, 0.001, 0.5]) * variance)

        def update(self, params: Floats, **kwargs: Any) -> None:
            params = super().update(params, **kwargs)
            level, slope, season, noise = np.exp(np.clip(np.real(params), -25, 10))
            self["state_cov"] = np.diag([level, slope, season] if seasonal else [level, slope])
            self["obs_cov", 0, 0] = noise

    model = Structural(x)
    with warnings.catch_warnings():
        # The optimiser's own complaints: the median over series forgives a fit that stopped early.
        warnings.simplefilter("ignore", category=ConvergenceWarning)
        warnings.simplefilter("ignore", category=RuntimeWarning)
        result = model.fit(method="lbfgs", maxiter=12, disp=0, cov_type="none")
    found = np.exp(np.clip(np.asarray(result.params, dtype=float), -25, 10))
    return found / found.sum()


def filter_all(x: Floats, first: Ints, space: StateSpace, variances: Floats) -> tuple[NDArray[np.float32], Floats]:
    """Predicted states of all series at every origin, (n, T + 1, k), and one-step surprises (n, T), NaN before a series begins.

    The gains are those of the common variances from a diffuse start; a series that begins later starts later. Series lie side by side in
    memory while time goes by, so that each step is a few sums over rows.
    """
    n, periods = x.shape
    k = len(space.design)
    gains, spread = kalman_gains(space, variances, periods)
    width = SURPRISE_LIMIT * np.sqrt(spread / spread[-1])
    by_age = np.ascontiguousarray(gains.T)  # (k, periods)
    came = np.ascontiguousarray(x.T)  # (T, n)
    states = np.zeros((periods + 1, k, n), dtype=np.float32)
    surprises = np.full((periods, n), np.nan)
    state, size, count = np.zeros((k, n)), np.zeros(n), np.zeros(n)
    for t in range(periods):
        age = t - first
        active = age >= 0
        if not active.any():
            continue
        starts = age == 0
        state[0, starts] = came[t, starts]
        surprise = np.where(active, came[t] - space.design @ state, 0.0)
        surprises[t, active] = surprise[active]
        age = np.maximum(age, 0)
        # Robust running scale of each series' surprises, from its past only.
        limit = np.where(count >= 10, np.sqrt(size / np.maximum(count, 1)) * width[age], np.inf)
        state += by_age[:, age] * np.clip(surprise, -limit, limit)
        moved = space.transition @ state
        state = moved if active.all() else np.where(active, moved, state)
        settled = active & (age >= k)
        size = np.where(settled, 0.98 * size + np.minimum(surprise**2, np.where(count >= 10, 4 * limit**2, np.inf)), size)
        count = np.where(settled, 0.98 * count + 1, count)
        states[t + 1] = state
    return np.ascontiguousarray(states.transpose(2, 0, 1)), surprises.T


def kalman_gains(space: StateSpace, variances: Floats, periods: int) -> tuple[Floats, Floats]:
    """(periods, k) filter gains and (periods,) innovation variances by age, from a vague start."""
    k = len(space.design)
    level, slope, season, noise = variances
    shocks = np.zeros((k, k))
    shocks[0, 0], shocks[1, 1] = level, slope
    if k > 2:
        shocks[2, 2] = season
    start = np.full(k, 10.0)
    start[1] = 0.01
    covariance = np.diag(start)
    gains, spread = np.empty((periods, k)), np.empty(periods)
    for t in range(periods):
        forward = covariance @ space.design
        spread[t] = space.design @ forward + noise
        gains[t] = forward / spread[t]
        covariance = space.transition @ (covariance - np.outer(gains[t], forward)) @ space.transition.T + shocks
        if t > 3 * k and np.abs(gains[t] - gains[t - 1]).max() < 1e-10:
            gains[t:], spread[t:] = gains[t], spread[t]
            break
    return gains, spread


def month_effects(surprises: Floats, kinds: NDArray[np.int64], history: History) -> Floats:
    """(n, 3) mean surprise on first, last and second-to-last days of months, shrunk by the number of months seen."""
    settled = (np.arange(history.n_periods)[None, :] >= history.first[:, None] + 28) & np.isfinite(surprises)
    size = np.where(settled, np.abs(surprises), 0.0)
    spread = size.sum(axis=1, keepdims=True) / np.maximum(settled.sum(axis=1, keepdims=True), 1)
    capped = np.clip(np.nan_to_num(surprises), -5 * spread, 5 * spread)
    effects = np.zeros((len(surprises), 3))
    for kind in (1, 2, 3):
        inside = settled & (kinds[:, : history.n_periods] == kind)
        count = inside.sum(axis=1)
        mean = np.where(inside, capped, 0.0).sum(axis=1) / np.maximum(count, 1)
        error = np.sqrt(np.where(inside, (capped - mean[:, None]) ** 2, 0.0).sum(axis=1)) / np.maximum(count, 1)
        # Kept in the share by which it stands out of its own noise (James–Stein style), none below six days seen.
        keep = np.where(count >= 6, np.clip(1 - 2 * error**2 / np.maximum(mean**2, 1e-12), 0.0, 1.0), 0.0)
        effects[:, kind - 1] = keep * mean
    return effects


def _is_daily(freq: str) -> bool:
    return bool(parse_freq(freq) == pd.tseries.offsets.Day())
