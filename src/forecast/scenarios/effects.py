"""What levers do to leaves, day by day: a sparse linear map from baseline spend to scenario spend.

A scenario's leaf is Σ over sources of (coefficient × the source's baseline path), and money from nowhere is a source of its own (`NOWHERE`, 1 a day).
Coefficients are numbers by day times products of `bases.py`. Baseline paths are never copied or changed: what no lever touches stays exactly as it
was, and deltas are computed path by path on the same simulated futures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.bases import Bases, Covered, Demand, Product
from forecast.scenarios.blocks import NOWHERE, Block, Changes, Pieces, by_machines, gathered, joined
from forecast.scenarios.primitives import Change, Copy, Follow, Money, Move, Place, Primitive, Scale
from forecast.scenarios.responses import ELASTIC, FIXED, MEASURED, NAMES, ONCE, STEPS, Responses, powered

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_UNCERTAIN = 8
"""Uncertain effects that may act on one and the same money: each doubles the terms that it is made of."""

_FOLLOWS = frozenset({ELASTIC, MEASURED, STEPS})
_ALL = _FOLLOWS | {FIXED}
_ACTED: Mapping[str, frozenset[int]] = {"demand": _FOLLOWS, "running": _FOLLOWS, "price": _ALL, "spend": _ALL}
_OF_MONEY = {"elastic": ELASTIC, "fixed": FIXED, "once": ONCE}

_Added = list[tuple[Product, Block]]
"""Terms on their way."""


class Effects:
    """The map after some levers.

    bases : shared by all maps that are compared. virtual : leaves that levers make, `{dimension: value}`, numbered on from the last real one.
    usage : what leaves × parts cost under a map, for money that follows from it; None where no lever asks.
    """

    def __init__(
        self,
        n_days: int,
        responses: Responses,
        bases: Bases,
        virtual: Sequence[Mapping[str, str]] = (),
        usage: Callable[[Effects, Floats], Floats] | None = None,
    ) -> None:
        self.n_days, self.responses, self.bases, self.virtual, self.usage = n_days, responses, bases, virtual, usage
        self.n_leaves = len(responses.shares)
        self.n_places = self.n_leaves + len(virtual)
        self.blocks: dict[Product, Block] = {}
        self.touched = np.zeros(self.n_leaves, dtype=bool)
        self.own: list[int] = []
        self._demand: dict[int, int] = {}

    def copy(self) -> Effects:
        found = Effects(self.n_days, self.responses, self.bases, self.virtual, self.usage)
        found.blocks = {product: block.copy() for product, block in self.blocks.items()}
        found.touched, found._demand = self.touched.copy(), dict(self._demand)
        return found

    def apply(self, primitives: Iterable[Primitive]) -> None:
        """Let more primitives act, one after the other, on what the earlier ones made."""
        for primitive in primitives:
            if isinstance(primitive, Scale):
                self._scale(primitive)
            elif isinstance(primitive, Move):
                self._move(primitive)
            elif isinstance(primitive, Copy):
                self._copy(primitive)
            elif isinstance(primitive, Money):
                self._arrive(primitive.target, primitive.amount, _OF_MONEY[primitive.response])
            else:
                self._follow(primitive)

    def change(self, inside: NDArray[np.bool_] | None = None) -> Changes:
        """How spend inside some places (None: anywhere) changes; what does not change is left out. inside : (n_places,)."""
        found: Pieces = {}
        for product, block in self.blocks.items():
            rows = np.arange(len(block.source)) if inside is None else np.flatnonzero(inside[block.place])
            plain = block.demand[rows] < 0
            # What was there before is taken off term by term, so that what no lever changed is exactly nothing.
            own, with_machines = rows[plain], rows[~plain]
            found.setdefault(product, []).append((block.source[own], block.values[own] - block.base[own, None]))
            if len(with_machines):
                had = with_machines[block.base[with_machines] != 0.0]
                found[product].append((block.source[had], np.repeat(-block.base[had, None], self.n_days, axis=1)))
                by_machines(found, product, block, with_machines, block.values[with_machines])
        return gathered(found, keep_nothing=False)

    def held(self, parts: Floats) -> Changes:
        """What places × parts hold now, per unit of each source's baseline. parts : (n_places,)."""
        found: Pieces = {}
        for product, block in self.blocks.items():
            rows = np.flatnonzero(parts[block.place])
            values = parts[block.place[rows], None] * block.values[rows]
            plain = block.demand[rows] < 0
            found.setdefault(product, []).append((block.source[rows[plain]], values[plain]))
            by_machines(found, product, block, rows[~plain], values[~plain])
        return gathered(found, keep_nothing=True)

    def _scale(self, scale: Scale) -> None:
        part, acted, forced = self._parts(scale.leaves, scale.parts), _ACTED[scale.side], scale.response
        if forced == NAMES[FIXED] or scale.change.is_nothing:
            return
        if forced == NAMES[ELASTIC]:
            # What the lever says of the spend stands in place of what is known: then fixed cost follows usage too.
            acted = _ALL
        elif scale.side == "demand":
            self._scale_machines(part, scale.change, forced == NAMES[STEPS])
            self._scale_measured(scale, part)
            acted = frozenset({ELASTIC})
        elif scale.side == "running" and self._covered(part).any():
            # Hours that a commitment covers are paid whether machines run in them or not.
            covered = self._covered(part)
            self._scale_machines(covered, scale.change, forced=False, in_proportion=True)
            self._multiply(covered, acted - {STEPS}, scale.change)
            part = np.where(covered > 0.0, 0.0, part)
        self._multiply(part, acted, scale.change)

    def _multiply(self, part: Floats, responses: frozenset[int], change: Change) -> None:
        """Terms at places with a part, of some responses, × (1 + part × change). part : (n_places,)."""
        extra = self.bases.of(change)
        added: _Added = []
        for product, block in self.blocks.items():
            rows = block.rows(part, responses)
            if not len(rows):
                continue
            factor = part[block.place[rows], None] * change.by_day[None, :]
            if extra:
                added.append((joined(product, extra), block.taken(rows, block.values[rows] * factor)))
            else:
                block.values[rows] *= 1.0 + factor
        self._append(added)

    def _covered(self, part: Floats) -> Floats:
        """(n_places,) the parts of leaves whose machines a commitment covers, 0 elsewhere."""
        found = np.zeros_like(part)
        leaves = [leaf for leaf in self.responses.covering if part[leaf] != 0.0]
        found[leaves] = part[leaves]
        return found

    def _scale_measured(self, scale: Scale, part: Floats) -> None:
        """Cost follows usage by the power that was measured; leaves of one driver turn out together."""
        known = scale.leaves[scale.leaves < self.n_leaves]
        drivers = self.responses.driver[known]
        for number in np.unique(drivers[drivers >= 0]).tolist():
            power = self.responses.powers[number]
            change = self.bases.once(("powered", id(scale.change), id(power)), (scale.change, power), partial(powered, scale.change, power))
            own, leaves = np.zeros_like(part), known[drivers == number]
            own[leaves] = part[leaves]
            self._multiply(own, frozenset({MEASURED}), change)

    def _scale_machines(self, part: Floats, change: Change, forced: bool, in_proportion: bool = False) -> None:
        """Whole machines: a leaf's terms are multiplied with one base, which knows all that levers did to its demand so far."""
        if forced:
            for block in self.blocks.values():
                rows = block.rows(part, frozenset({ELASTIC, MEASURED}))
                block.response = block.response.copy()
                block.response[rows] = STEPS
        there = {leaf for block in self.blocks.values() for leaf in block.place[block.rows(part, frozenset({STEPS}))].tolist()}
        for leaf in sorted(there):
            self._demand[leaf] = self._demanded(leaf, (float(part[leaf]), change, in_proportion), forced)
        costs = self._costs(there)
        for block in self.blocks.values():
            rows = np.flatnonzero((block.response == STEPS) & np.isin(block.place, list(costs)))
            if len(rows):
                block.demand = block.demand.copy()
                block.demand[rows] = [costs[leaf] for leaf in block.place[rows].tolist()]

    def _costs(self, leaves: Collection[int]) -> dict[int, int]:
        """Leaf → number of the base of its machines, of leaves whose demand changed and of those that share a commitment with them."""
        covering = self.responses.covering
        found = {leaf: self._demand[leaf] for leaf in leaves if leaf not in covering}
        for commitment in sorted({covering[leaf] for leaf in leaves if leaf in covering}):
            asked = [leaf for leaf in self.responses.commitments[commitment].leaves.tolist() if leaf in self._demand]
            beside = tuple(sorted(self._demand[leaf] for leaf in asked))
            found |= {leaf: self.bases.covered(Covered(self._demand[leaf], beside, commitment)) for leaf in asked}
        return found

    def _demanded(self, leaf: int, step: tuple[float, Change, bool], forced: bool) -> int:
        """Number of what a leaf's machines are asked for after one more change of demand."""
        before = self.bases.found[self._demand[leaf]] if leaf in self._demand else None
        steps = (*before.steps, step) if isinstance(before, Demand) else (step,)
        shares = self.responses.shares[leaf]
        share = float(shares[[ELASTIC, MEASURED, STEPS]].sum()) if forced else float(shares[STEPS])
        return self.bases.demand(Demand(leaf, share, steps))

    def _move(self, move: Move) -> None:
        """A share leaves; what it costs there arrives when all of it has left, so that nothing moves twice."""
        part = self._parts(move.leaves, move.parts)
        acted = _FOLLOWS if move.keeps_fixed else _ALL
        leaving, arriving = self.bases.of(move.share), joined(self.bases.of(move.share), self.bases.of(move.ratio))
        by_day = move.share.by_day * move.ratio.by_day
        goes = self.bases.once(("move", id(move)), move, lambda: _Destinations(self, move))
        covered = self._covered(part) if move.keeps_fixed else np.zeros_like(part)
        added: _Added = []
        for product, block in self.blocks.items():
            rows = block.rows(part, acted)
            if not len(rows):
                continue
            moved = part[block.place[rows], None] * block.values[rows]
            goes_away = (block.response[rows] != STEPS) | (covered[block.place[rows]] == 0.0)
            if leaving:
                added.append((joined(product, leaving), block.taken(rows[goes_away], -moved[goes_away] * move.share.by_day)))
            else:
                block.values[rows[goes_away]] -= moved[goes_away] * move.share.by_day
            which, where, weight = goes.of(block.place[rows])
            kind = np.where(block.response[rows[which]] == FIXED, FIXED, ELASTIC)
            added.append((joined(product, arriving), block.taken(rows[which], moved[which] * weight[:, None] * by_day, where, kind)))
        if covered.any():
            away = self.bases.once(("away", id(move)), move, partial(move.share.times, -1.0))
            self._scale_machines(covered, away, forced=False, in_proportion=True)
        self._append(added)

    def _copy(self, copy: Copy) -> None:
        part, extra = self._parts(copy.leaves, copy.parts), self.bases.of(copy.scale)
        rows_there, weights = self.rows_of(copy.target)
        added: _Added = []
        for product, block in self.blocks.items():
            rows = block.rows(part, _ALL)
            values = part[block.place[rows], None] * block.values[rows] * copy.scale.by_day
            kind = np.where(block.response[rows] == FIXED, FIXED, ELASTIC)
            for there, weight in zip(rows_there.tolist(), weights.tolist(), strict=True):
                added.append((joined(product, extra), block.taken(rows, values * weight, np.full(len(rows), there), kind)))
        self._append(added)

    def _arrive(self, target: Place, amount: Change, response: int) -> None:
        rows, weights = self.rows_of(target)
        nowhere, kind = np.full(len(rows), NOWHERE), np.full(len(rows), response)
        self._append([(self.bases.of(amount), Block.fresh(nowhere, rows, kind, weights[:, None] * amount.by_day[None, :]))])

    def _follow(self, follow: Follow) -> None:
        if self.usage is None:
            raise TypeError("money that follows from spend needs the spend's paths")
        money = follow.money(self.usage(self, self._parts(follow.leaves, follow.parts)))
        change = Change.of(money, self.n_days)
        self.own.extend(self.bases.of(change))
        self._arrive(follow.target, change, FIXED)

    def rows_of(self, place: Place) -> tuple[Ints, Floats]:
        """Place numbers and weights; a leaf that is not there yet has a number beyond the real ones."""
        if place.values is None:
            return place.rows, place.weights
        return np.array([self.n_leaves + list(self.virtual).index(place.values)], dtype=np.int64), np.ones(1)

    def _parts(self, leaves: Ints, parts: Floats) -> Floats:
        """(n_places,) parts. Leaves that are touched for the first time hold all of their own spend, by response; places that levers make none."""
        known = leaves[leaves < self.n_leaves]
        fresh = known[~self.touched[known]]
        if len(fresh):
            self.touched[fresh] = True
            rows, response = np.nonzero(self.responses.shares[fresh])
            share, source = self.responses.shares[fresh][rows, response], fresh[rows]
            block = self.blocks.setdefault((), Block.empty(self.n_days))
            block.append(Block.fresh(source, source, response, np.repeat(share[:, None], self.n_days, axis=1), share))
        found = np.zeros(self.n_places)
        found[leaves] = parts
        return found

    def _append(self, added: _Added) -> None:
        for product, terms in added:
            if len(product) > MOST_UNCERTAIN:
                raise PlanError(
                    f"levers: more than {MOST_UNCERTAIN} uncertain effects act on the same spend",
                    field="levers",
                    got=len(product),
                    allowed=f"at most {MOST_UNCERTAIN}; give the others one number",
                )
            if len(terms.source):
                self.blocks.setdefault(product, Block.empty(self.n_days)).append(terms)


class _Destinations:
    """Where the leaves of a move go, as arrays."""

    def __init__(self, effects: Effects, move: Move) -> None:
        self.first = np.zeros(effects.n_places + 1, dtype=np.int64)
        found = [effects.rows_of(move.destinations[int(leaf)]) for leaf in move.leaves]
        order = np.argsort(move.leaves, kind="stable")
        counts = np.zeros(effects.n_places, dtype=np.int64)
        counts[move.leaves] = [len(rows) for rows, _ in found]
        self.first[1:] = np.cumsum(counts)
        self.places = np.concatenate([found[number][0] for number in order]) if len(order) else np.zeros(0, dtype=np.int64)
        self.weights = np.concatenate([found[number][1] for number in order]) if len(order) else np.zeros(0)

    def of(self, places: Ints) -> tuple[Ints, Ints, Floats]:
        """For terms at some places: the number of the term, where it goes, and the weight; a row for each destination."""
        counts = self.first[places + 1] - self.first[places]
        which = np.repeat(np.arange(len(places)), counts)
        offset = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        at = self.first[places][which] + offset
        return which, self.places[at], self.weights[at]
