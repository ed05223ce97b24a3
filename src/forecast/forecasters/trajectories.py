"""Trajectories of past ratios made fit to be resampled: tamed, completed, corrected for bias, lent to series that have none.

A trajectory is what came over what was expected, step by step from one past origin; arrays are (n, O, block). See `calibration.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.history import Floats, Ints

EPSILON = 0.25
"""Share of the recent level added to a point before a ratio is taken: keeps the ratio of a series that wakes up finite."""

NEUTRAL = 1.0 / (1.0 + EPSILON)
"""The ratio of a steady series whose point was right."""

POOL_TRUST = 6.0
"""Windows at which the pool's mean error is believed by half."""

LIKELY_BIAS = 0.05
"""Standard deviation of true biases between series. A series' own mean error is believed as far as it stands out of its own scatter against
this: a steady pool's after a few windows, a bursty user's, or that of a level that jumped once, hardly ever."""

PERSISTENCE = 0.75
"""Share of a deviation at the end of one stretch or block that the next begins with: a month of silence does not end a series for ever."""

LARGEST_CARRY = 3.0


def money_base(points: Floats, level: Floats, additive: NDArray[np.bool_]) -> Floats:
    """What ratios multiply: the point and a share of the level; differences are added to the point itself."""
    return np.where(additive, points, np.maximum(points, 0.0) + EPSILON * level)


def total_ratios(ratios: Floats, base: Floats, additive: NDArray[np.bool_]) -> Floats:
    """(n, O) ratio of a stretch's total to its base, the mean of differences for additive series.

    Where spend falls on one weekday the mean of the days' ratios says little about the week.
    """
    money = base.sum(axis=2)
    total = (ratios * base).sum(axis=2) / np.where(money > 0, money, 1.0)
    return np.where(additive[:, None] | (money <= 0), ratios.mean(axis=2), total)


def completed(ratios: Floats, length: Ints, head: int, additive: NDArray[np.bool_]) -> Floats:
    """Trajectories (n, O, block) that are not over yet go on as an older one of all series did, from where they stand.

    length : (O,) steps that are over. The end of what is known differs from the older one's by a factor (a difference), which persists
    in part.
    """
    block = ratios.shape[2]
    older, newer = np.flatnonzero(length >= block), np.flatnonzero(length < block)
    if not len(older) or not len(newer):
        return ratios
    spread = older[np.linspace(0, len(older) - 1, len(newer)).round().astype(np.int64)]
    for origin, donor in zip(newer, np.random.default_rng(0).permutation(spread), strict=True):
        end = int(length[origin])
        recent = np.s_[max(0, end - head) : end]
        own, other = ratios[:, origin, recent].mean(axis=1), ratios[:, donor, recent].mean(axis=1)
        factor = (PERSISTENCE * own + 1 - PERSISTENCE) / np.maximum(PERSISTENCE * other + 1 - PERSISTENCE, 1e-9)
        factor = np.clip(factor, 1 / LARGEST_CARRY, LARGEST_CARRY)[:, None]
        rest = ratios[:, donor, end:]
        ratios[:, origin, end:] = np.where(additive[:, None], rest + PERSISTENCE * (own - other)[:, None], rest * factor)
    return ratios


def pool_bias(came: Floats, expected: Floats, windows: float) -> float:
    """Mean ratio of one stretch over all series of spend, shrunk to that of points that are right.

    came, expected : (n,) weighted sums of what came and of what ratios multiply, of every series.
    """
    counted = expected > 0
    seen = came[counted].sum() / max(expected[counted].sum(), 1e-300) if counted.any() else NEUTRAL
    return NEUTRAL + windows / (windows + POOL_TRUST) * (float(np.clip(seen, 0.8 * NEUTRAL, 1.25 * NEUTRAL)) - NEUTRAL)


def bias_corrected(
    ratios: Floats,
    base: Floats,
    came: Floats,
    expected: Floats,
    *,
    valid: NDArray[np.bool_],
    over: NDArray[np.bool_],
    additive: NDArray[np.bool_],
    weights: Floats,
    windows: float,
    pool: float,
) -> Floats:
    """Give each series' ratios of one stretch the mean that its past errors justify, shrunk to the pool's.

    The mean of ratios is not a bias: where points are noisy, E[actual / point] is far above sum(actual) / sum(point) (Jensen). So the
    wanted mean is the ratio of sums. Differences are centred likewise. Only origins that are `over` (O,) count as seen; the completed
    trajectories of the others get the same mean. came, expected : (n,) as in `pool_bias`; pool : what it gives.
    """
    weight = np.where(valid & over, weights, 0.0)
    mass = weight.sum(axis=1)
    known = mass > 0
    means = total_ratios(ratios, base, additive)
    mean = (means * weight).sum(axis=1) / np.maximum(mass, 1e-300)  # (n,)
    multiplicative = known & ~additive & (expected > 0)
    away = ((means - mean[:, None]) ** 2 * weight).sum(axis=1) / np.maximum(mass, 1e-300)
    scatter = away / np.where(additive, 1.0, np.maximum(mean, 1e-9)) ** 2
    share = windows / (windows + scatter / LIKELY_BIAS**2)
    own = np.where(multiplicative, came / np.where(multiplicative, expected, 1.0), pool)
    wanted = np.where(additive, share * mean, share * own + (1 - share) * pool)
    factors, shifts = np.ones_like(valid, dtype=np.float64), np.zeros_like(valid, dtype=np.float64)
    for group in (over, ~over):
        there = np.where(valid & group, weights, 0.0)
        count = there.sum(axis=1)
        have = (means * there).sum(axis=1) / np.maximum(count, 1e-300)
        usable = known & (count > 0)
        factor = np.where(usable & multiplicative & (have > 0.05 * wanted), wanted / np.maximum(have, 1e-12), 1.0)
        shift = np.where(usable & additive, wanted - have, 0.0)
        factors[:, group], shifts[:, group] = factor[:, None], shift[:, None]
    corrected = ratios * factors[:, :, None]
    return corrected + shifts[:, :, None] if additive.any() else corrected


def size_limits(means: Floats, valid: NDArray[np.bool_], additive: NDArray[np.bool_]) -> Floats:
    """(n,) the pool's 99.5 % point of the size of trajectories, at least 1; infinite where fewer than 50 are known.

    means : (n, O) total ratios of the first window of every trajectory, signs left aside.
    """
    limits = np.full(len(means), np.inf)
    for group in (additive, ~additive):
        pooled = means[group][valid[group]]
        if pooled.size >= 50:
            limits[group] = max(float(np.quantile(pooled, 0.995)), 1.0)
    return limits


def tamed(ratios: Floats, means: Floats, limits: Floats) -> Floats:
    """Trajectories (n, O, block) scaled down to where their size is `limits`: one leaked key is not a law of nature."""
    factor = np.where(means > limits[:, None], limits[:, None] / np.maximum(means, 1e-12), 1.0)
    return ratios * factor[:, :, None]


def lent(ratios: NDArray[np.float32], valid: NDArray[np.bool_], additive: NDArray[np.bool_]) -> None:
    """Where a series has no honest trajectory at an origin (too young, unknown), it borrows another series' of the same origin.

    ratios : (n, block, O), changed in place; what is lent is honest and so is never borrowed itself. valid : (n, O).
    """
    rng = np.random.default_rng(len(ratios))
    for group in (additive, ~additive):
        rows = np.flatnonzero(group)
        donors_by_origin = valid[rows]
        everything = np.argwhere(donors_by_origin)
        for origin in range(ratios.shape[2]):
            needy = rows[~donors_by_origin[:, origin]]
            if not len(needy) or not len(everything):
                continue
            donors = rows[donors_by_origin[:, origin]]
            if len(donors):
                ratios[needy, :, origin] = ratios[rng.choice(donors, size=len(needy)), :, origin]
            else:
                pick = everything[rng.integers(len(everything), size=len(needy))]
                ratios[needy, :, origin] = ratios[rows[pick[:, 0]], :, pick[:, 1]]
