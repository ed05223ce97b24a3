"""Places that levers bring (a new team, a new service) as leaves that the levers after them can name and act on.

The world of a lever has, after its own leaves, a row for each place that levers before it brought: with its values, the money that it is expected to
have, and all of it in proportion to usage. What is finer than a leaf (an AI model) such a place has in the shares of the leaves that it is made like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.primitives import Copy, Follow, Lowered, Money, Move, Place, Scale
from forecast.scenarios.responses import ELASTIC, Responses
from forecast.scenarios.world import World
from forecast.spend.dimensions import UNKNOWN
from forecast.spend.scope import Clause, Scope

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Brought:
    """Places that levers brought so far, in the order in which they came: the numbers after the world's own leaves."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.values: list[Mapping[str, str]] = []
        self.money = np.zeros((0, world.n_days))
        self.like = np.zeros((0, world.n_leaves))

    def take(self, lowered: Lowered) -> None:
        """Let a lever bring its places, and change what those before it brought."""
        for place in places_of(lowered):
            if place.values is not None and place.values not in self.values:
                self.values.append(place.values)
                self.money = np.concatenate([self.money, np.zeros((1, self.world.n_days))])
                self.like = np.concatenate([self.like, np.zeros((1, self.world.n_leaves))])
        if not self.values:
            return
        for one in lowered.primitives:
            if isinstance(one, Scale):
                own = np.flatnonzero(one.leaves >= self.world.n_leaves)
                factor = 1.0 + one.parts[own, None] * one.change.mean()[None, :]
                self._scale(one.leaves[own] - self.world.n_leaves, factor)
            elif isinstance(one, Copy):
                self._arrive(one.target, one.parts, one.leaves, one.scale.mean())
            elif isinstance(one, Move):
                self._move(one)
            elif isinstance(one, Money):
                for row, weight in self._rows(one.target):
                    self.money[row] += weight * one.amount.mean()

    def seen(self) -> World:
        """The world with the places as leaves; the world itself where there are none."""
        if not self.values:
            return self.world
        world, n = self.world, len(self.values)
        names = world.dimensions
        rows = pd.DataFrame([[place.get(name, UNKNOWN) for name in names] for place in self.values], columns=list(names))
        rows.index = pd.Index(["|".join(map(str, texts)) for texts in rows.to_numpy().tolist()], name=world.leaves.index.name)
        days = (self.money != 0.0).sum(axis=1)
        recent = np.divide(self.money.sum(axis=1), days, out=np.zeros(n), where=days > 0)
        return replace(
            world,
            leaves=pd.concat([world.leaves.astype(object), rows.astype(object)]),
            recent=np.concatenate([world.recent, recent]),
            expected=np.concatenate([world.expected, self.money]),
            responses=_longer(world.responses, n),
            find_parts=self._find_parts,
            find_paths=self._find_paths,
        )

    def _scale(self, places: Ints, factor: Floats) -> None:
        self.money[places] *= factor
        mean = factor.mean(axis=1, keepdims=True) if factor.shape[1] else np.ones((len(factor), 1))
        self.like[places] *= mean

    def _arrive(self, target: Place, parts: Floats, sources: Ints, size: Floats) -> None:
        """Money of leaves × parts × size (a day) comes to the target, as far as that was brought."""
        n, n_days = self.world.n_leaves, max(self.world.n_days, 1)
        real, new = sources < n, sources >= n
        money = parts[real] @ self.world.expected[sources[real]] + parts[new] @ self.money[sources[new] - n]
        like = np.zeros(n)
        like[sources[real]] = parts[real] * (self.world.expected[sources[real]] @ size) / n_days
        like += (parts[new] * float(size.mean() if len(size) else 0.0)) @ self.like[sources[new] - n]
        for place, weight in self._rows(target):
            self.money[place] += weight * money * size
            self.like[place] += weight * like

    def _move(self, move: Move) -> None:
        share, ratio = move.share.mean(), move.ratio.mean()
        n = self.world.n_leaves
        for number, leaf in enumerate(move.leaves.tolist()):
            target = move.destinations[leaf]
            if target.values is not None or (target.rows >= n).any():
                self._arrive(target, move.parts[[number]], move.leaves[[number]], share * ratio)
        own = np.flatnonzero(move.leaves >= n)
        self._scale(move.leaves[own] - n, 1.0 - move.parts[own, None] * share[None, :])

    def _rows(self, place: Place) -> list[tuple[int, float]]:
        """Which of the places brought it is, and its part of it."""
        if place.values is not None:
            return [(self.values.index(place.values), 1.0)]
        n = self.world.n_leaves
        return [(row - n, weight) for row, weight in zip(place.rows.tolist(), place.weights.tolist(), strict=True) if row >= n]

    def _find_paths(self, leaves: Ints) -> Floats:
        n = self.world.n_leaves
        found = np.repeat(self.money[np.maximum(leaves - n, 0)][:, :, None], self.world.n_paths, axis=2)
        real = leaves < n
        if real.any():
            found[real] = self.world.find_paths(leaves[real])
        return found

    def _find_parts(self, scope: Scope, field: str) -> tuple[Ints, Floats]:
        """Parts of the world's own leaves, and of the places that lie in the scope."""
        places, parts = self._parts_of_places(scope, field)
        try:
            own, own_parts = self._own_parts(scope, field)
        except PlanError:
            if not len(places) or not self._all_known(scope):
                raise
            own, own_parts = np.zeros(0, dtype=np.int64), np.zeros(0)
        return np.concatenate([own, places + self.world.n_leaves]), np.concatenate([own_parts, parts])

    def _own_parts(self, scope: Scope, field: str) -> tuple[Ints, Floats]:
        """Of the world's own leaves, which know nothing of values that only levers bring."""
        clauses: list[Clause] = []
        for clause in scope.clauses:
            values = tuple(value for value in clause.values if not self._only_brought(clause.dimension, value))
            if values:
                clauses.append(replace(clause, values=values))
            elif not clause.exclude:
                raise PlanError(f"{field}: no spend has ever had all of {scope}", field=field, got=str(scope), allowed="a scope with spend")
        return self.world.find_parts(Scope(tuple(clauses)), field)

    def _parts_of_places(self, scope: Scope, field: str) -> tuple[Ints, Floats]:
        names = self.world.dimensions
        coarse = [clause for clause in scope.clauses if clause.dimension in names]
        finer = tuple(clause for clause in scope.clauses if clause.dimension not in names)
        found = np.flatnonzero(
            [all((place.get(clause.dimension, UNKNOWN) in clause.values) != clause.exclude for clause in coarse) for place in self.values]
        ).astype(np.int64)
        if not finer or not len(found):
            return found, np.ones(len(found))
        leaves, parts = self.world.find_parts(Scope(finer), field)
        money = np.maximum(self.money[found].mean(axis=1), 0.0) if self.world.n_days else np.zeros(len(found))
        like = self.like[found]
        of_like = like[:, leaves] @ parts
        # Money from nowhere has no value of what is finer than a leaf.
        plain = np.maximum(money - like.sum(axis=1), 0.0) * all((UNKNOWN in clause.values) != clause.exclude for clause in finer)
        part = np.divide(of_like + plain, np.maximum(money, like.sum(axis=1)), out=np.zeros(len(found)), where=money > 0.0).clip(0.0, 1.0)
        return found[part > 0.0], part[part > 0.0]

    def _only_brought(self, name: str, value: str) -> bool:
        if name not in self.world.dimensions or bool((self.world.leaves[name] == value).any()):
            return False
        return any(place.get(name, UNKNOWN) == value for place in self.values)

    def _all_known(self, scope: Scope) -> bool:
        """Whether all values of leaf dimensions that the scope names are there, brought or not."""
        return all(
            bool((self.world.leaves[clause.dimension] == value).any()) or self._only_brought(clause.dimension, value)
            for clause in scope.clauses
            if clause.dimension in self.world.dimensions
            for value in clause.values
        )


def places_of(lowered: Lowered) -> Iterator[Place]:
    """Where a lever's money arrives."""
    for one in lowered.primitives:
        if isinstance(one, Move):
            seen: set[int] = set()
            for place in one.destinations.values():
                if id(place) not in seen:
                    seen.add(id(place))
                    yield place
        elif isinstance(one, Copy | Money | Follow):
            yield one.target


def brought_later(scopes: Sequence[Scope], world: World, later: Sequence[tuple[int, Sequence[Scope]]]) -> tuple[int, str] | None:
    """Number of the first of some later levers that brings a value which these scopes name and the world does not have, and that value in words.

    later : number, and the scopes that a lever puts money to.
    """
    for scope in scopes:
        for clause in scope.clauses:
            for value in clause.values:
                if clause.dimension in world.dimensions and not bool((world.leaves[clause.dimension] == value).any()):
                    for number, targets in later:
                        if any(clause.dimension == there.dimension and value in there.values for to in targets for there in to.clauses):
                            return number, f"{clause.dimension} {value!r}"
    return None


def _longer(known: Responses, more: int) -> Responses:
    """Responses with so many leaves more that follow usage in proportion."""
    elastic = np.zeros((more, known.shares.shape[1]))
    elastic[:, ELASTIC] = 1.0
    return Responses(
        np.concatenate([known.shares, elastic]),
        np.concatenate([known.quantum, np.full(more, np.nan)]),
        np.concatenate([known.driver, np.full(more, -1)]),
        known.powers,
        known.phase,
        None if known.slow is None else np.concatenate([known.slow, np.zeros(more, dtype=bool)]),
        known.rates,
        known.commitments,
    )
