"""The slow twin of `forecast.budgets.exhaustion`: walk through every day of every path, with plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence


def exhaustion_day(days: Sequence[tuple[int, float]], amount: float) -> int | None:
    """First day on which the costs so far are more than the amount. days : (number of the day, its cost), in order."""
    total = 0.0
    for day, cost in days:
        total += cost
        if total > amount:
            return day
    return None


def single_days(first_days: Sequence[int], lengths: Sequence[int], costs: Sequence[float]) -> list[tuple[int, float]]:
    """Steps of several days as single days, even over each step."""
    return [(first + k, cost / length) for first, length, cost in zip(first_days, lengths, costs, strict=True) for k in range(length)]


def censored_quantile(days: Sequence[int | None], level: float) -> int | None:
    """The first day by which at least that share of paths is used up; None where it never comes to that."""
    ordered = sorted(math.inf if day is None else day for day in days)
    found = ordered[max(math.ceil(level * len(ordered) - 1e-9), 1) - 1]
    return None if math.isinf(found) else int(found)
