"""The slow twin of `forecasters/elasticity.py` up to the shrinkage: one leaf, loops over pairs of weeks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

LAGS, REACH, SMALL, ROUNDS = (1, 2, 4, 8), 8, 0.02, 4


def regression(spend: Sequence[float], driver: Sequence[float]) -> tuple[float, float]:
    """Slope and variance from daily spend and a daily driver without gaps."""
    weeks = len(spend) // 7
    begin = len(spend) - 7 * weeks
    money, moved = ([sum(values[begin + 7 * week : begin + 7 * week + 7]) for week in range(weeks)] for values in (spend, driver))
    usual = median(value for value in money if value > 0)
    pairs = [
        (lag, week, math.log(moved[week] / moved[week - lag]), math.log(money[week] / money[week - lag]))
        for lag in LAGS
        for week in range(lag, weeks)
        if min(money[week], money[week - lag]) > SMALL * usual
    ]
    centred = []
    for lag in LAGS:
        own = [pair for pair in pairs if pair[0] == lag]
        x_mean, y_mean = (sum(pair[place] for pair in own) / len(own) for place in (2, 3))
        centred += [(lag, week, x - x_mean, y - y_mean) for _, week, x, y in own]
    weights = [1.0 / lag for lag, *_ in centred]
    slope = sxx = 0.0
    for _ in range(ROUNDS):
        sxx = sum(w * x * x for w, (_, _, x, _) in zip(weights, centred, strict=True))
        slope = sum(w * x * y for w, (_, _, x, y) in zip(weights, centred, strict=True)) / sxx
        weights = []
        for lag, _, x, y in centred:
            limit = 2.0 * 1.4826 * median(abs(v - slope * u) for other, _, u, v in centred if other == lag)
            weights.append(min(1.0, limit / abs(y - slope * x)) / lag)
    scores = [0.0] * weeks
    for w, (_, week, x, y) in zip(weights, centred, strict=True):
        scores[week] += w * x * (y - slope * x)
    floor = sum(score * score for score in scores)
    spread = floor + sum(
        2.0 * (1.0 - gap / (REACH + 1.0)) * scores[week] * scores[week - gap] for gap in range(1, REACH + 1) for week in range(gap, weeks)
    )
    seen = sum(score != 0.0 for score in scores)
    return slope, max(spread, 0.5 * floor) * (seen + 2.0 * REACH) / (seen - 3.0) / sxx**2
