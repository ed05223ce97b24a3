"""Terms of the map that share one product of bases, as arrays."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.scenarios.bases import Product
from forecast.scenarios.responses import ONCE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOWHERE = -1
"""The source of money that comes from no leaf, 1 a day."""
Changes = dict[Product, tuple[Ints, Floats]]
"""Product → sources (m,), ascending, and (m, n_days) spend or change of it per unit of each source's baseline."""
Pieces = dict[Product, list[tuple[Ints, Floats]]]
"""Product → pieces of sources and coefficients."""


@dataclass(eq=False)
class Block:
    """E terms. source, place, response (how its cost follows usage), demand (number of what its machines cost after ÷ before, -1 for none) : (E,).
    values : (E, n_days) coefficients. base : (E,) what of each was there before any lever."""

    source: Ints
    place: Ints
    response: Ints
    demand: Ints
    values: Floats
    base: Floats

    @classmethod
    def empty(cls, n_days: int) -> Block:
        none = np.zeros(0, dtype=np.int64)
        return cls(none, none, none, none, np.zeros((0, n_days)), np.zeros(0))

    @classmethod
    def fresh(cls, source: Ints, place: Ints, response: Ints, values: Floats, base: Floats | None = None) -> Block:
        """Terms without machines."""
        return cls(source, place, response, np.full(len(source), -1), values, np.zeros(len(source)) if base is None else base)

    def copy(self) -> Block:
        return Block(self.source, self.place, self.response, self.demand, self.values.copy(), self.base)

    def rows(self, part: Floats, responses: Collection[int]) -> Ints:
        """Numbers of the terms at places with a part, of some responses. part : (n_places,)."""
        acted = np.zeros(ONCE + 1, dtype=bool)
        acted[list(responses)] = True
        return np.flatnonzero((part[self.place] != 0.0) & acted[self.response])

    def taken(self, rows: Ints, values: Floats, place: Ints | None = None, response: Ints | None = None) -> Block:
        """New terms of the same sources and machines as some of these. rows may repeat."""
        return Block(
            self.source[rows],
            self.place[rows] if place is None else place,
            self.response[rows] if response is None else response,
            self.demand[rows],
            values,
            np.zeros(len(rows)),
        )

    def append(self, other: Block) -> None:
        """Add terms; those that are alike but for their coefficients become one."""
        source, place, response, demand = (
            np.concatenate(pair)
            for pair in ((self.source, other.source), (self.place, other.place), (self.response, other.response), (self.demand, other.demand))
        )
        values, base = np.concatenate([self.values, other.values]), np.concatenate([self.base, other.base])
        key = ((source + 1) * (int(place.max()) + 1) + place) * (ONCE + 1) + response
        key = key * (int(demand.max()) + 2) + demand + 1
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.concatenate([[True], np.diff(key[order]) != 0]))
        if len(starts) < len(key):
            values, base = np.add.reduceat(values[order], starts, axis=0), np.add.reduceat(base[order], starts)
            source, place, response, demand = (array[order][starts] for array in (source, place, response, demand))
        self.source, self.place, self.response, self.demand, self.values, self.base = source, place, response, demand, values, base


def summed(keys: Ints, values: Floats) -> tuple[Ints, Floats]:
    """The distinct keys, ascending, and the sums of their rows."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(ordered) != 0])) if len(keys) else np.zeros(0, dtype=np.int64)
    if len(starts) == len(keys):
        return ordered, values[order]
    return ordered[starts], np.add.reduceat(values[order], starts, axis=0)


def joined(one: Product, other: Product) -> Product:
    """The product of both."""
    return tuple(sorted(one + other)) if one and other else one or other


def by_machines(found: Pieces, product: Product, block: Block, rows: Ints, values: Floats) -> None:
    """Terms whose cost comes in machines belong to a product of their own each."""
    if not len(rows):
        return
    order = np.argsort(block.demand[rows], kind="stable")
    numbers, first = np.unique(block.demand[rows[order]], return_index=True)
    for number, at in zip(numbers.tolist(), np.split(order, first[1:]), strict=True):
        found.setdefault(joined(product, (number,)), []).append((block.source[rows[at]], values[at]))


def gathered(found: Pieces, *, keep_nothing: bool) -> Changes:
    """Pieces summed by source; without those that come to nothing."""
    gathered: Changes = {}
    for product, pieces in found.items():
        if len(pieces) == 1:
            sources, total = summed(*pieces[0])
        else:
            sources, total = summed(np.concatenate([piece[0] for piece in pieces]), np.concatenate([piece[1] for piece in pieces]))
        if not keep_nothing:
            left = total.any(axis=1)
            sources, total = sources[left], total[left]
        if len(sources):
            gathered[product] = sources, total
    return gathered
