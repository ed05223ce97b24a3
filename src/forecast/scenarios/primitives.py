"""What levers come down to: scale, move, copy, money, and money that follows from spend. The engine (`effects.py`) knows nothing else.

Sizes are `Change`s: numbers by day and path, already with the lever's dates and ramp in them, 0 on days on which it does not act.
Where a change is the same shape on all paths (a ramp × how large it turns out) it is kept as two short arrays: `world.change` makes them so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DEMAND, RUNNING, PRICE, SPEND = "demand", "running", "price", "spend"
Side = Literal["demand", "running", "price", "spend"]
"""What a Scale acts on. demand: usage, which cost follows by each leaf's response (in proportion, by a power, in whole machines, not at all).
running: in proportion on all that follows usage, machines by the hour too (schedules, spot, smaller machines); fixed cost stays. price: in
proportion on all metered and fixed money. spend: the same, but the cause is usage (a measured relation, an elasticity of the lever's own).
Money that another lever brings once is met by none of them."""


@dataclass(frozen=True, eq=False)
class Change:
    """A number by day and path: by_day[d] × by_path[p], or table[d, p].

    by_day : (n_days,). by_path : (n_paths,), None where it is the same on all paths. table : (n_days, n_paths) in place of both.
    """

    by_day: Floats
    by_path: Floats | None = None
    table: Floats | None = None

    @classmethod
    def of(cls, values: Floats | float, n_days: int) -> Change:
        """From a number, (n_days,), (n_days, 1) or (n_days, n_paths)."""
        found = np.asarray(values, dtype=np.float64)
        if found.ndim == 2 and found.shape[1] > 1:
            return cls(np.ones(n_days), None, np.broadcast_to(found, (n_days, found.shape[1])))
        return cls(np.broadcast_to(found.reshape(-1) if found.ndim else found, (n_days,)).astype(np.float64))

    @property
    def is_certain(self) -> bool:
        return self.by_path is None and self.table is None

    @property
    def is_nothing(self) -> bool:
        return not self.by_day.any() or (self.by_path is not None and not self.by_path.any()) or (self.table is not None and not self.table.any())

    def values(self) -> Floats:
        """(n_days, 1) where certain, else (n_days, n_paths)."""
        if self.table is not None:
            return self.by_day[:, None] * self.table
        return self.by_day[:, None] if self.by_path is None else self.by_day[:, None] * self.by_path[None, :]

    def mean(self) -> Floats:
        """(n_days,) mean over the paths."""
        if self.table is not None:
            return np.asarray(self.by_day * self.table.mean(axis=1), dtype=np.float64)
        return self.by_day if self.by_path is None else self.by_day * float(self.by_path.mean())

    def times(self, other: Change | float) -> Change:
        """The product, day by day and path by path."""
        if not isinstance(other, Change):
            return Change(self.by_day * other, self.by_path, self.table)
        if self.table is None and other.table is None:
            both = self.by_path if other.by_path is None else other.by_path if self.by_path is None else self.by_path * other.by_path
            return Change(self.by_day * other.by_day, both)
        return Change(np.ones(len(self.by_day)), None, self.values() * other.values())


@dataclass(frozen=True, eq=False)
class Place:
    """Where money arrives: existing leaves by weight, or a new one.

    rows, weights : (k,) row numbers of leaves, and parts that add up to 1. values : of a leaf that is not there yet, `{dimension: value}`.
    """

    rows: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    weights: Floats = field(default_factory=lambda: np.zeros(0))
    values: Mapping[str, str] | None = None


@dataclass(frozen=True, eq=False)
class Scale:
    """The part of each leaf's spend is multiplied with 1 + change (demand: through the leaf's response).

    leaves : (m,) row numbers; parts : (m,) part of each leaf's spend that is meant. response : for this lever, in place of what is known of
    the leaves (`kinds.RESPONSES`; measured needs a driver).
    """

    leaves: Ints
    parts: Floats
    change: Change
    side: Side = "demand"
    response: str | None = None


@dataclass(frozen=True, eq=False)
class Move:
    """A share leaves each leaf, share × ratio arrives at the leaf's destination, when all of it has left.

    destinations : leaf → Place. share : 0 to 1. ratio : money there ÷ money here. keeps_fixed : what does not follow usage stays where it is.
    """

    leaves: Ints
    parts: Floats
    destinations: Mapping[int, Place]
    share: Change
    ratio: Change
    keeps_fixed: bool = True


@dataclass(frozen=True, eq=False)
class Copy:
    """Σ leaves × parts × scale arrives at `target` and the leaves stay as they are."""

    leaves: Ints
    parts: Floats
    target: Place
    scale: Change


@dataclass(frozen=True, eq=False)
class Money:
    """Money a day that arrives; negative: credits, savings.

    response : how later levers meet it: "elastic" (usage and price), "fixed" (price), "once" (neither).
    """

    target: Place
    amount: Change
    response: Literal["elastic", "fixed", "once"] = "once"


@dataclass(frozen=True, eq=False)
class Follow:
    """Money that follows from what the leaves cost after the levers before this one, such as what a commitment saves and wastes.

    money : (n_days, n_paths) spend a day of leaves × parts → (n_days, n_paths) money a day that arrives at `target`. Must be pure; it is called
    once for each set of levers that is looked at.
    """

    leaves: Ints
    parts: Floats
    target: Place
    money: Callable[[Floats], Floats]


Primitive = Scale | Move | Copy | Money | Follow


@dataclass(frozen=True)
class Lowered:
    """What a lever comes down to.

    primitives : in the order in which they act. notes : what a reader should know. figures : numbers and words that belong to the lever alone
    (break-even utilisation, price ratio, `energy_kwh` of the plan's days). derived : "share" where a scope is finer than a leaf.
    """

    primitives: tuple[Primitive, ...]
    notes: tuple[str, ...] = ()
    figures: Mapping[str, float | str | None] = field(default_factory=dict)
