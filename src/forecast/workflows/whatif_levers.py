"""A plan's levers on a snapshot: what they come down to, whom they touch, and which of them contradict each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.brought import Brought, brought_later, places_of
from forecast.scenarios.effects import Effects
from forecast.scenarios.levers import Lever
from forecast.scenarios.lowering import lower
from forecast.scenarios.primitives import Lowered, Money, Move, Place, Scale
from forecast.scenarios.spending import Spending
from forecast.scenarios.world import World
from forecast.spend.scope import Scope

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WHOLE = 1.0 - 1e-9
SWITCH_OFF = "switch_off"
SETTLED_LAST = frozenset({"commit", "minimum_fee"})
"""A commitment covers, and a minimum fee tops up, what is there after every other lever, wherever they stand in the plan."""


@dataclass(frozen=True, eq=False)
class LoweredLevers:
    """All levers of a plan, lowered. virtual : leaves that they make, `{dimension: value}`, numbered on from the last real one."""

    world: World
    levers: tuple[Lever, ...]
    lowered: tuple[Lowered, ...]
    virtual: tuple[Mapping[str, str], ...]

    @property
    def n_places(self) -> int:
        return self.world.n_leaves + len(self.virtual)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Numbers of the levers as they act."""
        return order_of(self.levers)

    @cached_property
    def takes(self) -> tuple[frozenset[int], ...]:
        """Of each lever the leaves whose spend it looks at or changes."""
        return tuple(
            frozenset(leaf for one in lowered.primitives if not isinstance(one, Money) for leaf in one.leaves.tolist()) for lowered in self.lowered
        )

    @cached_property
    def touches(self) -> tuple[frozenset[int], ...]:
        """Of each lever the places that it takes from or gives to."""
        return tuple(
            taken | frozenset(row for place in places_of(lowered) for row in self.rows_of(place))
            for taken, lowered in zip(self.takes, self.lowered, strict=True)
        )

    @cached_property
    def meets(self) -> tuple[frozenset[int], ...]:
        """Of each lever the same, and the commitments that its leaves share with others, as numbers below 0."""
        covering = self.world.responses.covering
        return tuple(places | frozenset(-1 - covering[leaf] for leaf in places if leaf in covering) for places in self.touches)

    def rows_of(self, place: Place) -> list[int]:
        found: list[int] = place.rows.tolist() if place.values is None else [self.world.n_leaves + self.virtual.index(place.values)]
        return found

    def inside(self, scope: Scope, leaves: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(n_places,) which places lie in a scope. leaves : (n_leaves,) which real ones do."""
        there = [
            all((values.get(clause.dimension, "(none)") in clause.values) != clause.exclude for clause in scope.clauses) for values in self.virtual
        ]
        return np.concatenate([leaves, np.array(there, dtype=bool)])

    def start(self, spending: Spending) -> Effects:
        """The map before any lever."""

        def usage(effects: Effects, parts: Floats) -> Floats:
            return spending.held(effects.held(parts))

        return Effects(self.world.n_days, self.world.responses, spending.bases, self.virtual, usage)

    def response(self, number: int) -> dict[str, float] | None:
        """How what the lever touches of what is there follows usage, as shares of its recent spend; None where it touches none."""
        weights = np.zeros(self.n_places)
        for one in self.lowered[number].primitives:
            if not isinstance(one, Money):
                weights[one.leaves] = np.maximum(weights[one.leaves], one.parts)
        leaves = np.flatnonzero(weights[: self.world.n_leaves])
        return self.world.responses.of(leaves, weights[leaves] * self.world.recent[leaves]) if len(leaves) else None


def order_of(levers: Sequence[Lever]) -> tuple[int, ...]:
    """Numbers of levers as they act: as in the plan, but what bills for spend that is left over when all is done is settled last."""
    return tuple(sorted(range(len(levers)), key=lambda number: (levers[number].type in SETTLED_LAST, number)))


def lower_levers(levers: Sequence[Lever], world: World) -> LoweredLevers:
    """Lower each lever, on the world with what those before it bring; PlanError where one cannot be carried out, or where two cannot both be."""
    brought = Brought(world)
    lowered: dict[int, Lowered] = {}
    for number in order_of(levers):
        seen = brought.seen()
        try:
            lowered[number] = lower(levers[number], seen, f"levers[{number}]")
        except PlanError as error:
            _say_what_comes_later(error, levers, number, seen)
            raise
        brought.take(lowered[number])
    found = LoweredLevers(world, tuple(levers), tuple(lowered[number] for number in range(len(levers))), tuple(brought.values))
    _check_moves(found)
    _check_switched_off(found)
    return found


def _say_what_comes_later(error: PlanError, levers: Sequence[Lever], number: int, world: World) -> None:
    """Raise the error anew where the lever names what a lever after it brings."""
    order = order_of(levers)
    later = [(other, _scopes(levers[other], ("target", "to"))) for other in order[order.index(number) + 1 :]]
    found = brought_later(_scopes(levers[number], ("scope", "like")), world, later)
    if found is not None:
        other, value = found
        message = f"{error}; levers[{other}] brings {value}, and acts after levers[{number}]"
        raise PlanError(message, field=error.field, got=error.got, allowed=f"levers[{other}] before levers[{number}]") from None


def _scopes(lever: Lever, names: Sequence[str]) -> list[Scope]:
    """The scopes among some fields of a lever."""
    given = {**lever.values, "scope": lever.scope, "to": lever.to}
    return [one for name in names if isinstance(one := given.get(name), Scope)]


def overlaps(found: LoweredLevers) -> list[str]:
    """Which levers touch the same spend on the same days: then what each does in its turn hangs on the order."""
    spent: list[bool] = np.any(found.world.expected != 0.0, axis=1).tolist()
    alive = [frozenset(place for place in places if place >= len(spent) or spent[place]) for places in found.touches]
    meeting = [
        {second for second, b in enumerate(found.levers) if second != first and a.start < b.end and b.start < a.end and alive[first] & alive[second]}
        for first, a in enumerate(found.levers)
    ]
    texts, told = [], set[int]()
    for first in range(len(meeting)):
        group, fresh = {first}, {first}
        while fresh and first not in told:
            fresh = set[int]().union(*(meeting[number] for number in fresh)) - group
            group |= fresh
        told |= group
        if len(group) > 1:
            *names, last = map(str, sorted(group))
            order = "they act in the order given"
            if found.order != tuple(range(len(found.levers))) and any(found.levers[number].type in SETTLED_LAST for number in group):
                order += ", commitments and minimum fees after all others"
            texts.append(f"levers {', '.join(names)} and {last} touch the same spend on the same days; {order}")
    return texts


def _check_moves(found: LoweredLevers) -> None:
    """Shares that leave one leaf must not add up to more than all of it on any day."""
    world = found.world
    left = np.zeros((found.n_places, world.n_days))
    for number, lowered in enumerate(found.lowered):
        for one in lowered.primitives:
            if not isinstance(one, Move):
                continue
            before = left[one.leaves].max(initial=0.0)
            left[one.leaves] += one.parts[:, None] * one.share.mean()[None, :]
            worst = left[one.leaves].max(initial=0.0)
            if before > 0.0 and worst > 1.0 + 1e-9:
                leaf = int(one.leaves[int(left[one.leaves].max(axis=1).argmax())])
                name = str(world.leaves.index[leaf]) if leaf < world.n_leaves else str(Scope.parse(found.virtual[leaf - world.n_leaves]))
                raise PlanError(
                    f"levers[{number}].share: with the levers before it, {worst:.0%} of {name} would move away on one day",
                    field=f"levers[{number}].share",
                    got=str(found.levers[number].expected("share")),
                    allowed="shares that add up to at most 1 on every day",
                )


def _check_switched_off(found: LoweredLevers) -> None:
    """What is switched off cannot be switched off again, and nothing can be moved from it."""
    off: list[tuple[int, Lever, dict[int, float]]] = []
    for number, lever in enumerate(found.levers):
        scales = [one for one in found.lowered[number].primitives if isinstance(one, Scale | Move)]
        own = {int(leaf): float(part) for one in scales for leaf, part in zip(one.leaves, one.parts, strict=True)}
        if lever.type in (SWITCH_OFF, "move_share"):
            for earlier, other, gone in off:
                same_days = other.start <= lever.start and lever.end <= other.end
                meets = other.start < lever.end and lever.start < other.end
                ended = all(gone.get(leaf, 0.0) >= WHOLE for leaf in own)
                if own and ended and (same_days if lever.type != SWITCH_OFF else meets):
                    verb = "switches off" if lever.type == SWITCH_OFF else "moves"
                    raise PlanError(
                        f"levers[{number}].scope: it {verb} {str(lever.scope) or 'the company'}, which lever {earlier} has switched off",
                        field=f"levers[{number}].scope",
                        got=str(lever.scope),
                        allowed="spend that is still there",
                    )
        if lever.type == SWITCH_OFF and lever.ramp == "step":
            off.append((number, lever, own))


def lever_answer(found: LoweredLevers, number: int) -> dict[str, Any]:
    """What is said of a lever beside its money."""
    lever, lowered, dimensions = found.levers[number], found.lowered[number], found.world.dimensions
    to = lever.to
    answer: dict[str, Any] = {
        **lever.as_dict(),
        "response": found.response(number),
        "notes": list(lowered.notes),
        "figures": dict(lowered.figures),
    }
    if any(name not in dimensions for name in (*lever.scope.dimensions, *(to.dimensions if to else ()))):
        answer["derived"] = "share"
    return answer
