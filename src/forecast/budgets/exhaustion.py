"""On which day does the budget run out? A censored quantity: in some futures it never does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NEVER = -1


def exhaustion_days(past: NDArray[np.float64], future: NDArray[np.floating], budget: float) -> NDArray[np.int64]:
    """(n_paths,) number of the day on which cumulative cost first exceeds the budget, 0 is the period's first; -1 where it never does.

    past : (n_past,) actual cost of the period's days that are over. future : (n_days, n_paths) cost of the days to come.
    """
    n_paths = future.shape[1]
    crossed = np.flatnonzero(np.cumsum(past) > budget)
    if len(crossed):
        return np.full(n_paths, crossed[0], dtype=np.int64)
    over = float(past.sum()) + np.cumsum(future, axis=0, dtype=np.float64) > budget
    if not len(over):
        return np.full(n_paths, NEVER, dtype=np.int64)
    return np.where(over.any(axis=0), len(past) + over.argmax(axis=0), NEVER)


def daily(paths: NDArray[np.floating], weights: NDArray[np.float64], step_days: NDArray[np.int64]) -> NDArray[np.floating]:
    """(n_days, n_paths) cost of single days: steps of several days are taken as even over their days.

    paths : (n_steps, n_paths) cost per whole step. weights : (n_steps,) share of each step that counts, in whole days.
    """
    days = np.rint(weights * step_days).astype(np.int64)
    if (step_days == 1).all() and (days == 1).all():
        return paths
    return np.repeat(paths / step_days[:, None], days, axis=0)


def censored_quantiles(days: NDArray[np.int64], quantiles: Sequence[float]) -> list[int | None]:
    """For each quantile the first day by which at least that share of paths is exhausted; None where it never gets there."""
    ordered = np.sort(np.where(days == NEVER, np.iinfo(np.int64).max, days))
    found: list[int | None] = []
    for level in quantiles:
        # The least k with k / n ≥ level; rounding guards against 0.1 × 1,000 = 100.00000000000001.
        rank = int(np.ceil(round(level * len(ordered), 9))) - 1
        value = int(ordered[max(rank, 0)])
        found.append(None if value == np.iinfo(np.int64).max else value)
    return found
