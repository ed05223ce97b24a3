"""The waterfall of a plan's levers: each subset of levers that meet is a map of its own, summed over mean spend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.scenarios.effects import Effects
from forecast.scenarios.primitives import Money, Primitive, Scale
from forecast.scenarios.responses import NAMES, STEPS
from forecast.scenarios.spending import Spending
from forecast.scenarios.waterfall import MOST_SUBSETS, Waterfall, clusters_of, shapley
from forecast.workflows.whatif_levers import LoweredLevers

MOST_NUMBERS = 150_000_000
"""Of machines on days and paths that the subsets of levers may ask for (about two seconds); beyond, every second, third … path stands for all."""
FEWEST_PATHS = 100


@dataclass(frozen=True)
class LeverShares:
    """means : what of the mean delta is each lever's."""

    found: Waterfall
    means: tuple[float, ...]

    def describe(self, titles: list[str]) -> dict[str, Any]:
        parts = [{"lever": number, "name": title, "mean": mean} for number, (title, mean) in enumerate(zip(titles, self.means, strict=True))]
        told = {"method": self.found.method, "parts": parts, "sum": math.fsum(self.means)}
        return told if not self.found.orders else {**told, "orders": self.found.orders}


def waterfall(levers: LoweredLevers, spending: Spending, inside: NDArray[np.bool_], seed: int, mean: float) -> LeverShares:
    """Shares of the mean delta inside the scope. mean : of the delta; what machines on fewer paths and sums of rows that were ready miss of it is
    shared out in proportion."""
    clusters = clusters_of(levers.meets)
    thin = _thinning(levers, clusters)
    game = _Game(levers, spending if thin == 1 else replace(spending, thin=thin, _moments={}), inside)
    found = shapley(clusters, len(levers.levers), game.value, seed, game.along)
    missed = mean - math.fsum(found.means)
    size = math.fsum(map(abs, found.means))
    if size == 0.0 or (thin == 1 and isinstance(spending.leaf_paths, np.ndarray)):
        return LeverShares(found, found.means)
    return LeverShares(found, tuple(one + missed * abs(one) / size for one in found.means))


def _thinning(levers: LoweredLevers, clusters: Sequence[Sequence[int]]) -> int:
    """Every how manieth path is enough for machines."""
    world = levers.world
    machines = world.responses.shares[:, STEPS] > 0.0
    numbers = 0
    for cluster in clusters:
        by_leaf = np.zeros(world.n_leaves, dtype=np.int64)
        for number in cluster:
            for one in levers.lowered[number].primitives:
                if isinstance(one, Scale) and one.side == "demand":
                    there = np.zeros(world.n_leaves, dtype=bool)
                    there[one.leaves[one.leaves < world.n_leaves]] = True
                    for commitment in world.responses.commitments:
                        # What covers one of them is used by all.
                        there[commitment.leaves] |= there[commitment.leaves].any()
                    by_leaf += there
        asked = np.minimum(np.exp2(by_leaf[machines]) - 1.0, float(MOST_SUBSETS)).sum()
        numbers += int(asked) * world.n_days * world.n_paths
    return max(1, min(math.ceil(numbers / MOST_NUMBERS), world.n_paths // FEWEST_PATHS))


class _Game:
    """v(S) of sets of levers. Sets that begin alike share the maps of their beginning: the last one's are kept."""

    def __init__(self, levers: LoweredLevers, spending: Spending, inside: NDArray[np.bool_]) -> None:
        self.levers, self.spending, self.inside = levers, spending, inside
        self.path: list[tuple[int, Effects]] = []

    def value(self, subset: tuple[int, ...]) -> float:
        """Mean delta inside the scope when only these levers act, in their order."""
        subset = tuple(sorted(subset, key=self.levers.order.index))
        shared = 0
        while shared < min(len(subset), len(self.path)) and self.path[shared][0] == subset[shared]:
            shared += 1
        while len(self.path) > shared:
            self._give_up(self.path.pop()[1])
        for lever in subset[shared:]:
            effects = self.path[-1][1].copy() if self.path else self.levers.start(self.spending)
            effects.apply(self.levers.lowered[lever].primitives)
            self.path.append((lever, effects))
        return self.spending.mean(self.path[-1][1].change(self.inside))

    def along(self, order: tuple[int, ...]) -> list[float] | None:
        """v of the beginnings of an order, one lever after the other; None where it matters in which order levers act."""
        if not all(_commutes(one) for lever in order for one in self.levers.lowered[lever].primitives):
            return None
        effects, found = self.levers.start(self.spending), []
        for lever in order:
            effects.apply(self.levers.lowered[lever].primitives)
            found.append(self.spending.mean(effects.change(self.inside)))
        return found

    def _give_up(self, effects: Effects) -> None:
        """Arrays that only this map had: money that followed from spend under it."""
        for number in effects.own:
            self.spending.forget(number)


def _commutes(one: Primitive) -> bool:
    """Whether it comes to the same before and after others of which this holds too."""
    return (isinstance(one, Scale) and one.response != NAMES[STEPS]) or (isinstance(one, Money) and one.response == "once")
