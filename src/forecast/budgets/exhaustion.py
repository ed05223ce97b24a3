"""On which day does the budget run out? A censored quantity: in some futures it never does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Exhaustion:
    """probability : share of paths in which the budget is used up by the end. days : for each quantile the number of the day (0 is the period's
    first) by which at least that share of paths is used up; None where it never comes to that."""

    probability: float
    days: tuple[int | None, ...]


def exhaustion(
    settled: Floats, settled_days: Ints, costs: NDArray[np.floating], first_days: Ints, lengths: Ints, amount: float, quantiles: Sequence[float]
) -> Exhaustion:
    """When the cumulative cost first exceeds the amount; exactly the amount does not.

    settled : (m,) costs of the period's beginning that are the same in all paths, one a day; settled_days : (m,) numbers of these days.
    costs : (n, n_paths) what follows, in order. first_days, lengths : (n,) number of the first day of each of these steps, and its days (at least
    1); a step of several days is even over them.
    """
    crossed = np.flatnonzero(np.cumsum(settled) > amount)
    if len(crossed):
        return Exhaustion(1.0, (int(settled_days[crossed[0]]),) * len(quantiles))
    reached = _cumulated(float(settled.sum()), costs)
    highest = _highest(reached) if (costs < 0).any() else reached
    n_paths = costs.shape[1]
    exhausted = np.count_nonzero(highest[1:] > amount, axis=1)  # (n,) paths by the end of each step, never falling
    days: list[int | None] = []
    for level in quantiles:
        # The least k with k / n ≥ level; rounding guards against 0.1 × 1,000 = 100.00000000000001.
        needed = max(int(np.ceil(round(level * n_paths, 9))), 1)
        step = int(np.searchsorted(exhausted, needed))
        if step == len(exhausted):
            days.append(None)
        elif lengths[step] <= 1:
            days.append(int(first_days[step]))
        else:
            days.append(int(first_days[step]) + _day_within(reached[step], highest[step], costs[step], int(lengths[step]), amount, needed))
    return Exhaustion(float(exhausted[-1]) / n_paths if len(exhausted) else 0.0, tuple(days))


def _cumulated(before: float, costs: NDArray[np.floating]) -> Floats:
    """(n + 1, n_paths) cumulative cost before the first step and after each; a loop, because `cumsum` along the first axis takes thrice as long."""
    found = np.empty((len(costs) + 1, costs.shape[1]))
    found[0] = before
    for step, cost in enumerate(np.asarray(costs)):
        np.add(found[step], cost, out=found[step + 1])
    return found


def _highest(reached: Floats) -> Floats:
    """The most that each path has reached so far: a refund does not undo that the budget was used up."""
    found = reached.copy()
    for step in range(1, len(found)):
        np.maximum(found[step - 1], found[step], out=found[step])
    return found


def _day_within(before: Floats, highest: Floats, cost: NDArray[np.floating], length: int, amount: float, needed: int) -> int:
    """Which day of a step of several days (0 is its first) is the first by which so many paths are used up."""
    parts = np.arange(1, length + 1)[:, None] / length
    counts = np.count_nonzero((before + cost * parts > amount) | (highest > amount), axis=1)
    return min(int(np.searchsorted(counts, needed)), length - 1)
