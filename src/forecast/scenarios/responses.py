"""How the cost of each leaf follows usage: in proportion, by a measured power, in whole machines, or not at all.

Shares of a leaf's recent spend, adding up to 1: `elastic` (tokens, requests, hours by the second), `measured` (what a driver's relation says),
`steps` (machines that run whether full or not), `fixed` (scheduled money, commitments, licences, seats, storage).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecast.scenarios.primitives import Change

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ELASTIC, MEASURED, STEPS, FIXED, ONCE = range(5)
NAMES = ("elastic", "measured", "steps", "fixed")
"""Of the first four; `ONCE` is money that a lever brings and that no other meets."""
ROUNDING = 1e-9
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, eq=False)
class Commitment:
    """Money that is paid whatever is used, and the leaves whose usage it covers; several commitments where they cover the same leaves.

    leaves : (k,) row numbers. money : what is paid a day. worth : what it covers a day when all of it is used, at the price without it.
    inside : what of it stands in these leaves' own bills when all of it is used: money where cost is amortised, 0 where it is billed apart.
    """

    leaves: Ints
    money: float
    worth: float
    inside: float

    def usage(self, spend: Floats) -> Floats:
        """What the leaves' usage is worth at the price without the commitment. spend : what they cost, of any shape."""
        partly = np.maximum(spend, 0.0) * (self.worth / self.inside if self.inside > 0.0 else 0.0)
        return np.asarray(np.where(spend >= self.inside, spend + (self.worth - self.inside), partly), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Responses:
    """Of n leaves.

    shares : (n, 4) by `NAMES`, rows add up to 1. quantum : (n,) money of one machine a day where it is known, else NaN. phase : (n_paths,) from
    0 to 1, how full the last machine is. driver : (n,) number of the driver by whose relation the measured share goes, -1 for none. powers : of
    each driver the (n_paths,) power with which cost follows usage, drawn from what was measured.
    slow : (n,) pools of machines whose load something smooths: they follow demand by a part of the way a day, rates (n_paths,), drawn from what was
    measured; None: no such. commitments : what covers usage of the leaves' machines, each leaf at most once.
    """

    shares: Floats
    quantum: Floats
    driver: Ints
    powers: Sequence[Floats]
    phase: Floats
    slow: NDArray[np.bool_] | None = None
    rates: Floats | None = None
    commitments: tuple[Commitment, ...] = ()

    @classmethod
    def all_elastic(cls, n: int, n_paths: int) -> Responses:
        shares = np.zeros((n, 4))
        shares[:, ELASTIC] = 1.0
        return cls(shares, np.full(n, np.nan), np.full(n, -1, dtype=np.int64), (), np.full(n_paths, 0.5))

    def phase_of(self, leaf: int) -> Floats:
        """(n_paths,) of one leaf: other leaves' last machines are full at other times."""
        return np.asarray((self.phase + leaf * _GOLDEN) % 1.0, dtype=np.float64)

    def follows(self, leaf: int) -> Floats | None:
        """(n_paths,) part of the way a day by which a leaf's machines follow demand; None where they do at once."""
        return self.rates if self.rates is not None and self.slow is not None and self.slow[leaf] else None

    @cached_property
    def covering(self) -> Mapping[int, int]:
        """Leaf → number of the commitment that covers its machines."""
        return {leaf: number for number, one in enumerate(self.commitments) for leaf in one.leaves.tolist()}

    def of(self, leaves: Ints, weights: Floats) -> dict[str, float]:
        """Shares of some spend by name. weights : (m,) money of the leaves; all elastic where there is none."""
        size = np.maximum(weights, 0.0)
        shares = size @ self.shares[leaves] / size.sum() if size.sum() > 0.0 else self.shares[leaves].mean(axis=0)
        return dict(zip(NAMES, map(float, shares), strict=True))


def machine_ratio(spend: Floats, quantum: float, demand: Floats, phase: Floats) -> Floats:
    """(n_days, n_paths) cost after ÷ cost before, where cost comes in whole machines.

    spend : (n_days, n_paths) before. quantum : money of one machine a day. demand : after ÷ before, broadcastable. phase : (n_paths,), how much of
    the last machine is not needed: of n machines it takes n - phase. Below one machine one keeps running, unless nothing is asked of it.
    """
    load = spend * (1.0 / quantum)
    small = float(load.min(initial=1.0)) < 1.0
    if small:
        np.maximum(load, 0.0, out=load)
        load -= phase * np.minimum(load, 1.0) + ROUNDING
    else:
        load -= phase + ROUNDING
    before = np.ceil(load)
    after = np.ceil(np.multiply(load, demand, out=load), out=load)
    if not small:
        return np.divide(after, before, out=after)
    # Where nothing runs (or money comes back) there is no last machine to be half empty.
    some = before > 0.0
    return np.where(some, after / np.where(some, before, 1.0), demand)


def powered(change: Change, power: Floats) -> Change:
    """(1 + change)^power - 1, cost that follows usage by a power that is drawn path by path. power : (n_paths,)."""
    sizes = np.unique(change.by_day[change.by_day != 0.0])
    if change.table is None and len(sizes) <= 1 and (change.by_path is None or not len(sizes) or sizes[0] == 1.0):
        size = (float(sizes[0]) if len(sizes) else 0.0) if change.by_path is None else change.by_path
        return Change((change.by_day != 0.0).astype(np.float64), np.power(np.maximum(1.0 + size, 0.0), power) - 1.0)
    return Change.of(np.power(np.maximum(1.0 + change.values(), 0.0), power[None, :]) - 1.0, len(change.by_day))


def followed(demand: Floats, rates: Floats) -> Floats:
    """(n_days, n_paths) what pools run for that follow demand by a part of the way a day; where nothing is asked they stop at once.

    demand : (n_days, …) after ÷ before. rates : (n_paths,) part of the way a day, 0 to 1.
    """
    found = np.empty((len(demand), len(rates)))
    state = np.ones(len(rates))
    for day, wanted in enumerate(demand):
        state = np.where(wanted > 0.0, state + rates * (wanted - state), 0.0)
        found[day] = state
    return found
