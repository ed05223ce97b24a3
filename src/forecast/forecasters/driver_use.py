"""Whether spend is forecast better with a driver than without it, leaf by leaf: rolling origins inside the history.

At every origin a stand-in for the forecaster (each weekday as in the last four weeks) forecasts the next 28 days of a leaf, once of its spend and
once of its intensity spend ÷ driver^(weight·β), with the β of the weeks before the origin and the driver as it was known then: values up to the
origin, then the plan that had been handed in by then. Where no plan was, the driver is forecast like the spend; where a plan exists today but no
older one was kept, the values that came stand for it, because what is asked is how good the relation is when the driver is planned.

A leaf's gain is shrunk to that of its driver's leaves together. A driver takes part with the weight whose gain is surest after `DOUBT` standard
errors are taken off, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.forecasters.elasticity import Elasticities, elasticities
from forecast.spend.drivers import BRIDGED_DAYS, Driver, on_grid

Floats = NDArray[np.float64]

WINDOW = 28
"""Days of the totals that are judged, and of the level."""
STEP = 14
MOST_ORIGINS = 26
FEWEST_ORIGINS = 4
LEAST_OVERLAP = 84
"""Days of spend and driver before the first origin."""
WEIGHTS = (0.25, 0.5, 0.75, 1.0)
DOUBT = 1.0
"""Standard errors that a gain is lowered by before it is believed."""
DOUBT_UNPLANNED = 3.0
"""The same where the driver is forecast too: it can hardly help then, and a forecast of a driver is one more thing that can be wrong."""
ABOUT = 0.5
"""Standard errors by which gains do not differ."""
SURE = 1.6
"""Standard errors that β must be away from nothing."""
UNLIKE = 0.08
"""How far a leaf's gain may lie from its driver's, as a standard deviation."""
GAIN_PRIOR = 0.3
SMALLEST = 0.02
"""In middles of the driver: less counts as this much, so that a day without requests is not a day of infinite intensity."""


@dataclass(frozen=True)
class Use:
    """How a driver is used in its n leaves.

    weight : (n,) 0 to 1, the part of β that is used. gain, bound : (n,) share of the error of a 28-day total that goes, expected and lowered by
    `DOUBT` standard errors. pool_gain : of all its leaves with the best weight of all. origins : how many it was judged at.
    """

    found: Elasticities
    weight: Floats
    gain: Floats
    bound: Floats
    pool_gain: float
    origins: int


def filled(past: Floats) -> Floats | None:
    """A driver (T,) without gaps: before its first value its first four weeks' mean, after its last one its last week again.

    None where there is too little of it, or it ended too long ago.
    """
    there = np.flatnonzero(np.isfinite(past))
    if len(there) < 2 * WINDOW or len(past) - 1 - there[-1] > BRIDGED_DAYS:
        return None
    found = past.copy()
    first, last = int(there[0]), int(there[-1])
    found[:first] = past[first : first + WINDOW].mean()
    if last + 1 < len(past):
        missing = np.arange(last + 1, len(past))
        found[missing] = past[last - 6 + (missing - last - 1) % 7]
    return found


def index_of(values: Floats, reference: float, floor: float) -> Floats:
    """The driver in units of `reference`, never below `floor`."""
    return np.maximum(values, floor) / reference


def scale_of(past: Floats) -> tuple[float, float]:
    """Reference (mean of the last four weeks) and floor of a driver without gaps; (0, 0) where it was nothing lately."""
    positive = past[past > 0]
    if not len(positive) or past[-WINDOW:].mean() <= 0:
        return 0.0, 0.0
    floor = SMALLEST * float(np.median(positive))
    return float(np.maximum(past[-WINDOW:], floor).mean()), floor


def judge_use(spend: Floats, driver: Driver, grid: pd.DatetimeIndex, *, planned: bool) -> Use | None:
    """spend : (n, T) daily money of the driver's leaves on `grid`, NaN where not known. planned : whether the driver's future is given today.

    None where too little of the driver is known to say anything.
    """
    known = driver.known_at(grid[-1])
    came = on_grid(known[known.index <= grid[-1]], grid)
    now = filled(came)
    if now is None or scale_of(now)[0] == 0.0:
        return None
    found = elasticities(spend, came)
    errors, origins = _errors(np.nan_to_num(spend), spend, driver, grid, came, planned)
    if origins < FEWEST_ORIGINS:
        nothing = np.zeros(len(spend))
        return Use(found, nothing, nothing, nothing, 0.0, origins)
    size = np.sqrt(np.maximum(errors[0].sum(axis=1), 1e-300))
    pools = [_gain((errors[0] / size[:, None]).sum(axis=0)[None], (one / size[:, None]).sum(axis=0)[None]) for one in errors[1:]]
    means, spreads = np.zeros((2, len(WEIGHTS), len(spend)))
    for place in range(len(WEIGHTS)):
        pool, pool_variance = float(pools[place][0][0]), float(pools[place][1][0])
        trust = GAIN_PRIOR**2 / (GAIN_PRIOR**2 + pool_variance)
        own, variance = _gain(errors[0], errors[place + 1])
        prior = trust * pool_variance + UNLIKE**2
        alone = np.isfinite(variance)
        variance = np.where(alone, variance, 1.0)
        means[place] = np.where(alone, (own * prior + trust * pool * variance) / (prior + variance), trust * pool)
        spreads[place] = np.sqrt(np.where(alone, prior * variance / (prior + variance), prior))
    bounds = means - (DOUBT if planned else DOUBT_UNPLANNED) * spreads
    # β is as small as its doubts make it already: of weights that are about as good the largest.
    good = (bounds > 0.0) & (means >= (means - ABOUT * spreads).max(axis=0))
    chosen = len(WEIGHTS) - 1 - np.argmax(good[::-1], axis=0)
    usable = good.any(axis=0) & (np.abs(found.value) > SURE * found.error)
    weight, gain, bound = (
        np.where(usable, np.take_along_axis(values, chosen[None], axis=0)[0], 0.0)
        for values in (np.broadcast_to(np.array(WEIGHTS)[:, None], means.shape), means, bounds)
    )
    best = max(float(pool[0][0]) for pool in pools)
    return Use(found, weight, gain, bound, best, origins)


def _errors(money: Floats, spend: Floats, driver: Driver, grid: pd.DatetimeIndex, came: Floats, planned: bool) -> tuple[Floats, int]:
    """(1 + weights, n, O) absolute errors of 28-day totals without the driver and with each weight of it."""
    periods = len(grid)
    there = np.flatnonzero(np.isfinite(came))
    first = max(int(there[0]), 0) + LEAST_OVERLAP if len(there) else periods
    columns = []
    for origin in range(periods - WINDOW, first - 1, -STEP)[:MOST_ORIGINS]:
        day = grid[origin - 1]
        known = driver.known_at(day)
        past = filled(on_grid(known[known.index <= day], grid[:origin]))
        if past is None:
            continue
        reference, floor = scale_of(past)
        if reference == 0.0:
            continue
        future = known["value"].reindex(grid[origin : origin + WINDOW]).interpolate(limit_area="inside").to_numpy(dtype=np.float64)
        if np.isfinite(future).mean() < 0.5:
            future = came[origin : origin + WINDOW] if planned else np.tile(past[-WINDOW:].reshape(4, 7).mean(axis=0), 4)
        repeated = np.tile(past[-WINDOW:].reshape(4, 7).mean(axis=0), 4)
        future = np.where(np.isfinite(future), future, repeated)
        beta = elasticities(spend[:, :origin], np.where(np.isfinite(came[:origin]), past, np.nan)).value
        recent, ahead = index_of(past[-WINDOW:], reference, floor), index_of(future, reference, floor)
        actual = money[:, origin : origin + WINDOW].sum(axis=1)
        tried = [_total(money[:, origin - WINDOW : origin], recent, ahead, weight * beta) for weight in (0.0, *WEIGHTS)]
        columns.append(np.abs(np.stack(tried) - actual))
    return (np.stack(columns[::-1], axis=2) if columns else np.zeros((1 + len(WEIGHTS), len(spend), 0))), len(columns)


def _total(recent: Floats, index: Floats, ahead: Floats, exponent: Floats) -> Floats:
    """(n,) 28-day total of the stand-in: weekday means of the intensity times what the driver will be."""
    before = np.exp(-exponent[:, None] * np.log(index)[None, :])
    after = np.exp(exponent[:, None] * np.log(ahead)[None, :])
    profile = (recent * before).reshape(len(recent), 4, 7).mean(axis=1)
    found: Floats = np.einsum("nd,nwd->n", profile, after.reshape(len(recent), 4, 7))
    return found


def _gain(without: Floats, with_it: Floats) -> tuple[Floats, Floats]:
    """(n,) share of the errors (n, O) that goes, and its variance; neighbouring origins share half of their days."""
    total = without.sum(axis=1)
    nothing = total <= 0
    safe = np.where(nothing, 1.0, total)
    gain = np.where(nothing, 0.0, (without - with_it).sum(axis=1) / safe)
    scores = without - with_it - gain[:, None] * without
    spread = np.square(scores).sum(axis=1)
    for gap in (1, 2):
        spread = spread + 2.0 * (1.0 - gap / 3.0) * (scores[:, gap:] * scores[:, :-gap]).sum(axis=1)
    origins = without.shape[1]
    spread = np.maximum(spread, 0.5 * np.square(scores).sum(axis=1)) * (origins + 2.0) / max(origins - 2.0, 1.0)
    return gain, np.where(nothing, np.inf, np.maximum(spread / safe**2, 1e-6))
