"""Slow twins of every formula in `forecast.evaluation`: plain loops over plain floats, written from the definitions.

They import nothing of the package, so that an error cannot hide in both.
"""

from __future__ import annotations

import math
from typing import Any

Column = Any
"""Any sequence of numbers: a list, an array, a pandas column."""


def known(*columns: Column) -> list[tuple[float, ...]]:
    return [row for row in zip(*columns, strict=True) if not any(math.isnan(value) for value in row)]


def mae(actual: Column, predicted: Column) -> float:
    rows = known(actual, predicted)
    return sum(abs(y - f) for y, f in rows) / len(rows)


def wape(actual: Column, predicted: Column) -> float:
    rows = known(actual, predicted)
    return sum(abs(y - f) for y, f in rows) / sum(abs(y) for y, _ in rows)


def bias(actual: Column, predicted: Column) -> float:
    rows = known(actual, predicted)
    return sum(f - y for y, f in rows) / sum(abs(y) for y, _ in rows)


def seasonal_scale(history: Column, season: int) -> float:
    differences = [abs(history[t] - history[t - season]) for t in range(season, len(history))]
    differences = [value for value in differences if not math.isnan(value)]
    return sum(differences) / len(differences)


def pinball(y: float, f: float, quantile: float) -> float:
    return quantile * (y - f) if y >= f else (1.0 - quantile) * (f - y)


def quantile_loss(actual: Column, predicted: Column, quantile: float) -> float:
    rows = known(actual, predicted)
    return sum(pinball(y, f, quantile) for y, f in rows) / len(rows)


def scaled_crps(actual: Column, predicted: Column, quantiles: Column) -> float:
    total = 0.0
    for y, row in zip(actual, predicted, strict=True):
        for f, quantile in zip(row, quantiles, strict=True):
            total += 2.0 * pinball(y, f, quantile) / len(quantiles)
    return total / sum(abs(y) for y in actual)


def crps(y: float, samples: Column) -> float:
    n = len(samples)
    near = sum(abs(x - y) for x in samples) / n
    apart = sum(abs(a - b) for a in samples for b in samples) / n**2
    return near - apart / 2.0


def coverage(actual: Column, lower: Column, upper: Column) -> float:
    rows = known(actual, lower, upper)
    return sum(1 for y, low, high in rows if low <= y <= high) / len(rows)


def winkler_score(actual: Column, lower: Column, upper: Column, interval_coverage: float) -> float:
    rows = known(actual, lower, upper)
    total = 0.0
    for y, low, high in rows:
        total += high - low
        if y < low:
            total += 2.0 / (1.0 - interval_coverage) * (low - y)
        if y > high:
            total += 2.0 / (1.0 - interval_coverage) * (y - high)
    return total / len(rows)


def calibration(actual: Column, predicted: Column) -> float:
    rows = known(actual, predicted)
    return sum(1 for y, f in rows if y <= f) / len(rows)


def pit(y: float, samples: Column) -> float:
    return sum(1.0 if x < y else 0.5 if x == y else 0.0 for x in samples) / len(samples)


def brier_score(probability: Column, outcome: Column) -> float:
    rows = known(probability, outcome)
    return sum((p - o) ** 2 for p, o in rows) / len(rows)


def quantile(samples: Column, level: float) -> float:
    """Linear interpolation between order statistics, the definition that NumPy uses by default."""
    ordered = sorted(samples)
    place = level * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
