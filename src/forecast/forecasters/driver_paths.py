"""Futures of a driver as paths: its plan with the plan's doubt where there is one, its forecast elsewhere.

The forecast's own paths say how a driver moves from day to day and how far its level wanders. Around a plan the days' movements stay, and the level
goes as far as the plan's P10 and P90 say; a plan without them is believed with half of the forecast's wandering (`HALF`). Beyond the end of a
plan the forecast goes on from the level that the plan ended on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.spend.drivers import BRIDGED_DAYS, Driver

Floats = NDArray[np.float64]

HALF = 0.5
SMOOTH = 28
"""Days of a level, here and at the end of a plan."""
RHYTHM_DAYS = 56
Z90 = 1.2815515655446004


@dataclass(frozen=True, eq=False)
class Plan:
    """What is planned of a driver after its cutoff. value, low, high : (days,) from the day after on, NaN where not planned or not said."""

    value: Floats
    low: Floats
    high: Floats

    @property
    def is_empty(self) -> bool:
        return not np.isfinite(self.value).any()

    def state(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high}


def plan_of(driver: Driver, past: Floats, cutoff: pd.Timestamp) -> Plan:
    """The plan as known at `cutoff`; averages of weeks and months get the rhythm of the week that the driver had (`past`, up to the cutoff)."""
    known = driver.known_at(cutoff)
    ahead = known[known.index > cutoff]
    if ahead.empty:
        return Plan(*(np.empty(0),) * 3)
    grid = pd.date_range(cutoff + pd.Timedelta(days=1), ahead.index[-1], freq="D")
    rows = ahead.reindex(grid)
    value = rows["value"].interpolate(limit_area="inside").to_numpy(dtype=np.float64)
    said = np.isfinite(rows["value"].to_numpy(dtype=np.float64))
    value = np.where(_near(said), value, np.nan)
    rhythm = np.where(rows["average"].eq(True).to_numpy() & said, weekday_rhythm(past)[np.arange(len(grid)) % 7], 1.0)
    low, high = (rows[name].to_numpy(dtype=np.float64) for name in ("low", "high"))
    return Plan(value * rhythm, low * rhythm, high * rhythm)


def weekday_rhythm(past: Floats) -> Floats:
    """(7,) factors of the days after the last one of `past`, with mean one, from its last eight weeks."""
    recent = past[-(len(past) // 7 * 7) :][-RHYTHM_DAYS:]
    days = recent.reshape(-1, 7).mean(axis=0) if len(recent) >= 14 else np.ones(7)
    return np.asarray(days / days.mean()) if days.mean() > 0 else np.ones(7)


def driver_paths(forecast: Floats, plan: Plan, rng: np.random.Generator) -> Floats:
    """(horizon, n_paths) of a driver from its forecast's paths of that shape and its plan. The plan is the mean of the paths where it has no
    P10 and P90, and their middle where it has."""
    horizon, n_paths = forecast.shape
    # Drawn whether needed or not: a longer plan changes nothing else.
    far = np.abs(rng.standard_normal(n_paths))
    above = np.asarray(rng.random(n_paths) < 0.5)
    length = min(len(plan.value), horizon)
    if not np.isfinite(plan.value[:length]).any():
        return forecast
    value, low, high = (np.full(horizon, np.nan) for _ in range(3))
    value[:length], low[:length], high[:length] = plan.value[:length], plan.low[:length], plan.high[:length]
    mean = np.maximum(forecast.mean(axis=1, keepdims=True), 1e-300)
    moved = np.log(np.maximum(forecast / mean, 1e-6))
    level = _smoothed(moved)
    planned = np.isfinite(value)
    safe = np.where(planned, value, 1.0)
    up = np.where(np.isfinite(high) & (high > 0) & (safe > 0), np.log(np.maximum(high, 1e-300) / np.maximum(safe, 1e-300)), np.nan)
    down = np.where(np.isfinite(low) & (low > 0) & (safe > 0), np.log(np.maximum(safe, 1e-300) / np.maximum(low, 1e-300)), np.nan)
    ranged = np.isfinite(up) | np.isfinite(down)
    size = np.where(above[None, :], np.nan_to_num(up)[:, None], -np.nan_to_num(down)[:, None]) * far[None, :] / Z90
    spread = np.exp(moved - level + np.where(ranged[:, None], size, HALF * level))
    days = np.exp(moved - level)
    # The mean of what stands around the plan is taken out: the plan says where the middle is, its doubt and its days only how far it may be off.
    spread /= np.where(ranged[:, None], days.mean(axis=1, keepdims=True), spread.mean(axis=1, keepdims=True))
    around = safe[:, None] * spread
    found = np.where(planned[:, None], around, forecast)
    last = int(np.flatnonzero(planned)[-1])
    if last + 1 < horizon:
        begin = max(int(np.flatnonzero(planned)[0]), last + 1 - SMOOTH)
        # Level at the end of the plan, in the forecast's own: path by path for the doubt of it, on average for its size.
        found[last + 1 :] = forecast[last + 1 :] * (np.nanmean(value[begin : last + 1]) / float(mean[begin : last + 1].mean()))
    return found


def _smoothed(moved: Floats) -> Floats:
    """Running mean over SMOOTH days along the first axis, shorter at the ends."""
    horizon = len(moved)
    sums = np.concatenate([np.zeros((1, moved.shape[1])), np.cumsum(moved, axis=0)])
    place = np.arange(horizon)
    begin, end = np.maximum(place - SMOOTH // 2, 0), np.minimum(place + SMOOTH // 2, horizon)
    return np.asarray((sums[end] - sums[begin]) / (end - begin)[:, None])


def _near(said: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Days that are planned or lie in a short gap between planned ones."""
    there = np.flatnonzero(said)
    found = said.copy()
    for before, after in pairwise(there.tolist()):
        if 1 < after - before <= BRIDGED_DAYS + 1:
            found[before:after] = True
    return found
