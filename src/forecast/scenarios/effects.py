"""What levers do to leaves, day by day: a sparse linear map from baseline spend to scenario spend.

Every lever multiplies or moves spend, so a scenario's leaf is Σ over sources of (daily coefficient × the source's baseline
path). Baseline paths are never copied or changed: what no lever touches stays exactly as it was, and deltas are computed
path by path on the same simulated futures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forecast.scenarios.levers import MOVE_SHARE, Lever

Coefficients = dict[int, dict[int, NDArray[np.float64]]]
"""Source leaf → destination leaf → (n_days,) coefficients; a leaf that is missing keeps its own spend."""


@dataclass(frozen=True)
class Reach:
    """What a lever touches. leaves : row numbers; parts : (n_leaves,) part of each leaf's spend, 1 for whole leaves.

    destinations : for moves, source leaf → (row numbers, weights that add up to 1).
    """

    leaves: NDArray[np.int64]
    parts: NDArray[np.float64]
    destinations: Mapping[int, tuple[NDArray[np.int64], NDArray[np.float64]]] = field(default_factory=dict)


@dataclass
class Effects:
    """The map after some levers, for days (n_days,) datetime64[D] that are consecutive."""

    days: NDArray[np.datetime64]
    coefficients: Coefficients = field(default_factory=dict)

    def copy(self) -> Effects:
        return Effects(self.days, {source: dict(goes) for source, goes in self.coefficients.items()})

    @property
    def sources(self) -> tuple[int, ...]:
        """Leaves whose spend some lever touches."""
        return tuple(sorted(self.coefficients))

    def apply(self, lever: Lever, reach: Reach) -> None:
        """Let one more lever act on what the earlier ones made."""
        strength = lever.strength(self.days)
        held = self._held()
        # What a lever moves arrives only when all of it has left, so that nothing moves twice.
        on_its_way: list[tuple[int, int, NDArray[np.float64]]] = []
        for leaf, part in zip(reach.leaves.tolist(), reach.parts.tolist(), strict=True):
            for source in held.get(leaf, [leaf]):
                goes = self.coefficients.setdefault(source, {source: np.ones(len(self.days))})
                here = goes[leaf]
                if lever.type == MOVE_SHARE:
                    moved = here * (lever.share * part * strength)
                    goes[leaf] = here - moved
                    on_its_way.append((source, leaf, moved * lever.price_ratio))
                else:
                    goes[leaf] = here * (1.0 + (lever.factor - 1.0) * part * strength)
        for source, leaf, moved in on_its_way:
            goes = self.coefficients[source]
            for destination, weight in zip(*reach.destinations[leaf], strict=True):
                key = int(destination)
                goes[key] = goes[key] + weight * moved if key in goes else weight * moved

    def _held(self) -> dict[int, list[int]]:
        """Leaf → the sources that it holds spend of."""
        held: dict[int, list[int]] = {}
        for source, goes in self.coefficients.items():
            for leaf in goes:
                held.setdefault(leaf, []).append(source)
        # A leaf that only received spend still holds all of its own.
        for leaf, sources in held.items():
            if leaf not in self.coefficients and leaf not in sources:
                sources.append(leaf)
        return held

    def change(self, inside: NDArray[np.bool_] | None = None) -> dict[int, NDArray[np.float64]]:
        """Source leaf → (n_days,) change of the spend inside some leaves, per unit of the source's baseline; zeros are left out."""
        found = {}
        for source, goes in self.coefficients.items():
            change = np.zeros(len(self.days))
            for leaf, coefficient in goes.items():
                if inside is None or inside[leaf]:
                    change += coefficient
            if inside is None or inside[source]:
                change -= 1.0
            if change.any():
                found[source] = change
        return found
