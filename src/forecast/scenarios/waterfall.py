"""What of a scenario's mean delta is whose: shares that do not hang on the order of the levers and add up to it exactly (Shapley).

The game: v(S) is the mean delta when only the levers of S act, in their stated order. Levers that never meet on the same money share nothing, so each
cluster of levers that meet is a game of its own: exact up to `MOST_EXACT` levers (all subsets), beyond by sampled orders in antithetic pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

MOST_EXACT = 8
MOST_SUBSETS = 256
"""Subsets that sampled orders of one cluster may ask for."""
EXACT, SAMPLED = "exact", "sampled"


@dataclass(frozen=True)
class Waterfall:
    """means : of each lever. method : "exact" or "sampled"; orders : of the levers that were tried, where sampled."""

    means: tuple[float, ...]
    method: str
    orders: int = 0


def shapley(
    clusters: Sequence[Sequence[int]],
    n_levers: int,
    value: Callable[[tuple[int, ...]], float],
    seed: int,
    along: Callable[[tuple[int, ...]], list[float] | None] = lambda order: None,
) -> Waterfall:
    """The share of each lever. clusters : numbers of levers that meet, each lever in one. value : v of a subset of one cluster, ascending.

    along : v of the first lever of an order, the first two, and so on, where that is quicker than one by one.
    """
    means, orders = [0.0] * n_levers, 0
    for cluster in clusters:
        levers = tuple(sorted(cluster))
        if len(levers) <= MOST_EXACT:
            found = _exact(levers, value)
        else:
            found, tried = _sampled(levers, value, along, np.random.default_rng(np.random.SeedSequence([int(seed), len(levers), levers[0]])))
            orders = max(orders, tried)
        for lever, mean in zip(levers, found, strict=True):
            means[lever] = mean
    return Waterfall(tuple(means), SAMPLED if orders else EXACT, orders)


def _exact(levers: tuple[int, ...], value: Callable[[tuple[int, ...]], float]) -> list[float]:
    """Σ over subsets without the lever of |S|! (k - |S| - 1)! / k! × (v(S + lever) - v(S))."""
    k, of = len(levers), {0: 0.0}
    # In an order in which each set follows one that it begins with: then the maps of beginnings are made once.
    for places in sorted(tuple(place for place in range(k) if mask >> place & 1) for mask in range(1, 1 << k)):
        of[sum(1 << place for place in places)] = value(tuple(levers[place] for place in places))
    weight = [math.factorial(size) * math.factorial(k - size - 1) / math.factorial(k) for size in range(k)]
    return [
        math.fsum(weight[mask.bit_count()] * (of[mask | 1 << place] - of[mask]) for mask in range(1 << k) if not mask >> place & 1)
        for place in range(k)
    ]


def _sampled(
    levers: tuple[int, ...],
    value: Callable[[tuple[int, ...]], float],
    along: Callable[[tuple[int, ...]], list[float] | None],
    rng: np.random.Generator,
) -> tuple[list[float], int]:
    """Mean gain over random orders and their reverses; each order's gains add up to v(all), so their means do."""
    k = len(levers)
    known: dict[tuple[int, ...], float] = {}
    gains: list[list[float]] = [[] for _ in levers]
    orders = asked = 0
    while orders < 2 or asked + 2 * k <= MOST_SUBSETS:
        order = rng.permutation(k)
        for one in (order.tolist(), order[::-1].tolist()):
            asked += k
            values = along(tuple(levers[place] for place in one))
            if values is None:
                sets = [tuple(levers[place] for place in sorted(one[: size + 1])) for size in range(k)]
                values = [known[key] if key in known else known.setdefault(key, value(key)) for key in sets]
            for place, after, before in zip(one, values, [0.0, *values[:-1]], strict=True):
                gains[place].append(after - before)
        orders += 2
    return [math.fsum(gain) / orders for gain in gains], orders


def clusters_of(touched: Sequence[frozenset[int]]) -> list[list[int]]:
    """Levers that meet, directly or through others. touched : of each lever the places that it takes from or gives to."""
    found: list[tuple[set[int], list[int]]] = []
    for lever, places in enumerate(touched):
        meeting = [group for group in found if group[0] & places]
        merged: tuple[set[int], list[int]] = (set(places), [lever])
        for group in meeting:
            merged[0].update(group[0])
            merged[1].extend(group[1])
            found.remove(group)
        found.append(merged)
    return [sorted(levers) for _, levers in found]
