"""What of a scope's spend stays when its usage changes, in words: fixed cost, slow machines, commitments that go on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from forecast.scenarios.responses import FIXED, NAMES, STEPS, Commitment
from forecast.scenarios.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_TOLD = 0.02
"""Share of a scope's money below which nothing is said of it."""


def kept(world: World, leaves: Ints, parts: Floats, verb: str = "does not follow usage and goes on") -> list[str]:
    """Notes; none where that is next to none. leaves, parts : (m,) of the scope. verb : what fixed cost does."""
    known, money = world.responses, parts * world.recent[leaves]
    fixed, notes = known.of(leaves, money)[NAMES[FIXED]], []
    if fixed >= LEAST_TOLD:
        notes.append(f"{fixed:.0%} of this spend is fixed (licences, commitments, storage) and {verb}")
    if known.rates is not None and known.slow is not None:
        slow = float(money[known.slow[leaves]].sum() / money.sum()) if money.sum() > 0.0 else 0.0
        rate = float(np.median(known.rates))
        if slow >= LEAST_TOLD and 0.0 < rate < 1.0:
            half = np.log(0.5) / np.log1p(-rate)
            notes.append(f"{slow:.0%} of it is machines that follow usage slowly, as measured: by half in {half:.0f} days")
    return notes + committed(world, leaves, parts)


def committed(world: World, leaves: Ints, parts: Floats) -> list[str]:
    """How much of a scope is under commitments, and below what part of today's usage nothing more is saved."""
    money = needed = usage = 0.0
    for one, share, cost in _shares_of_commitments(world, leaves, parts):
        whole = float(one.usage(np.asarray(cost)))
        money += share * one.money
        usage += share * whole
        # What is given up here is used by the other leaves under the commitment first.
        needed += min(max(one.worth - (1.0 - share) * whole, 0.0), share * whole)
    spent = float(np.maximum(parts * world.recent[leaves], 0.0).sum())
    if money < LEAST_TOLD * spent or usage <= 0.0:
        return []
    told = f"{money:,.0f} {world.currency} a day of this usage is paid by commitments that go on, until a term that the bills do not say"
    if needed <= LEAST_TOLD * usage:
        return [f"{told}; what is given up of it, other spend under the same commitments uses"]
    return [f"{told}; below {needed / usage:.0%} of today's usage nothing more is saved"]


def covered_already(world: World, leaves: Ints, parts: Floats) -> float:
    """Money a day in the scope's own bills that commitments pay for."""
    return float(sum(share * min(one.inside, cost) for one, share, cost in _shares_of_commitments(world, leaves, parts)))


def _shares_of_commitments(world: World, leaves: Ints, parts: Floats) -> Iterator[tuple[Commitment, float, float]]:
    """Each commitment that covers some of a scope, the scope's share of its usage, and what all of that usage costs a day lately."""
    own = np.zeros(world.n_leaves)
    own[leaves] = parts
    for one in world.responses.commitments:
        cost = np.maximum(world.recent[one.leaves], 0.0) * world.responses.shares[one.leaves, STEPS]
        whole = float(cost.sum())
        if whole > 0.0 and own[one.leaves].any():
            yield one, float(own[one.leaves] @ cost) / whole, whole
