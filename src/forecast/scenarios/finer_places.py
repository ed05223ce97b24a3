"""Where spend goes that moves, where leaves are taken apart: to the leaf that it goes to anyway, and there to the row that fits.

What the place names changes, and the rest stays; but what hangs on the seller (an AI model, a meter) does not go along: spend that moves to another
leaf arrives there at what is used there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.finer_world import WHOLE
from forecast.scenarios.primitives import Change, Copy, Place
from forecast.scenarios.world import World
from forecast.spend.dimensions import UNKNOWN
from forecast.spend.scope import Scope

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SOLD = frozenset({"ai_model", "meter", "sku", "resource"})
"""Finer dimensions whose values belong to who sells them."""
SELLS = frozenset({"provider", "service", "ai_model", "meter", "sku"})
"""Dimensions of a place with which those change."""
LeafPlaces = Callable[[World, Ints, Scope], dict[int, Place]]


def row_places(world: World, rows: Ints, to: Scope, leaf_places: LeafPlaces) -> dict[int, Place]:
    """Row → where its spend goes. leaf_places : leaf → where its spend goes, of the world of leaves."""
    if world.whole is None or world.leaf_of_row is None:
        raise TypeError("a world of leaves has no rows")
    own_rows = rows[rows < len(world.leaf_of_row)]
    goes = leaf_places(world.whole, np.unique(world.leaf_of_row[own_rows]), to)
    index = _Index(world, to)
    # Places that earlier levers brought are no part of any leaf.
    found = leaf_places(replace(world, whole=None), rows[rows >= len(world.leaf_of_row)], to) if len(own_rows) < len(rows) else {}
    for row in own_rows.tolist():
        leaf = int(world.leaf_of_row[row])
        place, own = goes[leaf], index.texts[row]
        if place.values is not None:
            found[row] = Place(values={**place.values, **index.new(own)})
            continue
        pairs = list(zip(place.rows.tolist(), place.weights.tolist(), strict=True))
        if pairs == [(leaf, 1.0)]:
            there, weights = index.same_leaf(row, leaf, own)
        else:
            each = [(index.other_leaf(there, own), weight) for there, weight in pairs]
            there = np.concatenate([rows_there for (rows_there, _), _ in each])
            weights = np.concatenate([parts * weight for (_, parts), weight in each])
        found[row] = Place(there, weights)
    return found


def copies(world: World, rows: Ints, parts: Floats, target: Place, scale: Change) -> tuple[Copy, ...]:
    """A copy of some spend; to a place that is not there yet each value that rows tell apart is copied by itself, so that it keeps its AI model."""
    if world.whole is None or target.values is None or world.leaf_of_row is None:
        return (Copy(rows, parts, target, scale),)
    names = [name for name in world.dimensions if name not in world.whole.dimensions and name not in target.values]
    found: dict[tuple[str, ...], list[int]] = {}
    for number, texts in enumerate(map(tuple, world.leaves[names].iloc[rows].astype(str).to_numpy(dtype=object).tolist())):
        found.setdefault(texts, []).append(number)
    return tuple(
        Copy(rows[some], parts[some], Place(values={**target.values, **{n: t for n, t in zip(names, texts, strict=True) if t != WHOLE}}), scale)
        for texts, some in found.items()
    )


class _Index:
    """Rows by leaf and values."""

    def __init__(self, world: World, to: Scope) -> None:
        leaf_dimensions = world.whole.dimensions if world.whole is not None else ()
        self.world = world
        self.names = tuple(name for name in world.dimensions if name not in leaf_dimensions)
        self.wanted = {clause.dimension: clause.values[0] for clause in to.clauses if clause.dimension in self.names}
        self.texts: list[tuple[str, ...]] = list(map(tuple, world.leaves[list(self.names)].to_numpy(dtype=object).tolist()))
        self.rows_of: dict[int, list[int]] = {}
        for row, leaf in enumerate(world.leaf_of_row.tolist() if world.leaf_of_row is not None else []):
            self.rows_of.setdefault(leaf, []).append(row)
        self.leaves_row = bool(SOLD.intersection(self.names) - self.wanted.keys() and SELLS.intersection(to.dimensions))
        self.fits = self._fits(to)
        self.kept: dict[tuple[int, tuple[str, ...]], tuple[Ints, Floats]] = {}

    def _fits(self, to: Scope) -> Floats:
        """(n_rows,) part of each row that has what the place names and rows do not tell; all of it where they tell all."""
        told = (*self.names, *(self.world.whole.dimensions if self.world.whole is not None else ()))
        untold = tuple(clause for clause in to.clauses if clause.dimension not in told)
        found = np.zeros(self.world.n_leaves) if untold else np.ones(self.world.n_leaves)
        if untold:
            try:
                rows, parts = self.world.parts_of(Scope(untold), "to")
            except PlanError:
                return np.ones(self.world.n_leaves)  # An AI model that is only listed: nobody knows its SKU.
            found[rows] = parts
        return found

    def new(self, own: tuple[str, ...]) -> Mapping[str, str]:
        """Values at a place that is not there yet."""
        return {**{name: UNKNOWN if text == WHOLE else text for name, text in zip(self.names, own, strict=True)}, **self.wanted}

    def same_leaf(self, row: int, leaf: int, own: tuple[str, ...]) -> tuple[Ints, Floats]:
        """The row that is the same but for what the place names; rows that are not taken apart stay as they are."""
        values = tuple(self.wanted.get(name, text) for name, text in zip(self.names, own, strict=True))
        exact = [there for there in self.rows_of[leaf] if self.texts[there] == values]
        if WHOLE in (text for name, text in zip(self.names, own, strict=True) if name in self.wanted):
            exact = []
        if exact and (self.fits[exact[0]] > 0.0 or not self.leaves_row):
            return np.array(exact[:1], dtype=np.int64), np.ones(1)
        return self._by_size(leaf, {**self._stays(own), **self.wanted}) or (np.array(exact[:1] or [row], dtype=np.int64), np.ones(1))

    def other_leaf(self, leaf: int, own: tuple[str, ...]) -> tuple[Ints, Floats]:
        """Rows of another leaf: with what the place names, and what stays of the row if some are like it; by their size."""
        stays = self._stays(own)
        key = leaf, tuple(stays.values())
        if key not in self.kept:
            every = np.array(self.rows_of[leaf], dtype=np.int64)
            found = self._by_size(leaf, {**stays, **self.wanted}) or self._by_size(leaf, self.wanted)
            self.kept[key] = found or (every, self.world.weights(every))
        return self.kept[key]

    def _stays(self, own: tuple[str, ...]) -> dict[str, str]:
        """What of a row does not hang on who sells it."""
        return {name: text for name, text in zip(self.names, own, strict=True) if name not in self.wanted and name not in SOLD and text != WHOLE}

    def _by_size(self, leaf: int, like: Mapping[str, str]) -> tuple[Ints, Floats] | None:
        """Rows of a leaf with some values, by their recent spend on what the place names; None where there is no such row."""
        places = [(self.names.index(name), text) for name, text in like.items()]
        rows = np.array([there for there in self.rows_of[leaf] if all(self.texts[there][at] == text for at, text in places)], dtype=np.int64)
        rows = rows[self.fits[rows] > 0.0]
        if not len(rows):
            return None
        size = np.maximum(self.world.recent[rows], 0.0) * self.fits[rows]
        return rows, size / size.sum() if size.sum() > 0.0 else np.full(len(rows), 1.0 / len(rows))
