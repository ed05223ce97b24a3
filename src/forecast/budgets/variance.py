"""Price, volume and mix: why many metered items together cost more or less than before, in money that adds up.

The midpoint (Bennet) formula: every change is weighed with the mean of both periods, so that no period is the base, swapping the periods
turns every sign, and nothing is left over. Within a group of items that stand in for each other (the AI models of one workload, one kind of
meter, one unit) with quantity q = share s × group quantity Q and price p = cost ÷ q:

    price  = mean(q) · Δp        a unit costs more or less
    volume = mean(p) · mean(s) · ΔQ    the group is used more or less, its items in proportion
    mix    = mean(p) · mean(Q) · Δs    usage moves between dearer and cheaper items

An item without a price in one period (a model that was released since) has the other period's price in both: taking it up is volume and mix.
A group without quantity before is new, and one without quantity after has ended. An item whose money comes without a quantity, with one below
nothing (a refund), below nothing itself (credits), or in another unit than before, has no price to speak of: its change is unquantified.

Two bounds keep parts from outgrowing the money that they explain. An item whose price alone would change its cost by more than `LARGEST_PRICE`
times the cost is counted in another unit than it says. Items of a group whose volume is more than all that the group costs are too unlike to
stand in for each other (a few dear calls beside billions of cheap tokens): what each item's own quantity does is volume, and there is no mix.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast.errors import InputError

Floats = NDArray[np.float64]

LARGEST_PRICE = 100.0
"""Times the cost of both periods together."""
LARGEST_VOLUME = 1.0
"""Times the cost of both periods together, of a group."""


@dataclass(frozen=True, eq=False)
class ItemChanges:
    """The change in cost of each item, (n,) each; the six parts of an item add up to its change."""

    price: Floats
    volume: Floats
    mix: Floats
    new: Floats
    ended: Floats
    unquantified: Floats

    @property
    def total(self) -> Floats:
        """(n,) the change of each item's cost."""
        return self.price + self.volume + self.mix + self.new + self.ended + self.unquantified

    def sums(self) -> dict[str, float]:
        """Each part summed over the items."""
        return {part.name: float(getattr(self, part.name).sum()) for part in fields(self)}

    def by(self, code: NDArray[np.int64], size: int) -> dict[str, Floats]:
        """Each part summed over the items of each code, (size,); code : (n,) numbers from 0 to size − 1."""
        return {part.name: np.bincount(code, weights=getattr(self, part.name), minlength=size).astype(np.float64) for part in fields(self)}


def item_changes(
    cost_before: ArrayLike,
    quantity_before: ArrayLike,
    cost_after: ArrayLike,
    quantity_after: ArrayLike,
    group: ArrayLike,
    comparable: ArrayLike | None = None,
) -> ItemChanges:
    """Take the changes of many items' costs apart.

    cost_before, cost_after : (n,) money; 0 where there was none. quantity_before, quantity_after : (n,) in one unit an item; NaN where it is not
    known. group : (n,) whole numbers from 0; items of a group have one unit and stand in for each other. comparable : (n,) False where the two
    quantities do not count the same thing (another unit); by default all do.

    Raises InputError for arrays of other lengths, and for money that is not finite.
    """
    before, after = _money(cost_before, "cost_before"), _money(cost_after, "cost_after")
    q_before, q_after = np.asarray(quantity_before, dtype=np.float64), np.asarray(quantity_after, dtype=np.float64)
    codes = np.asarray(group, dtype=np.int64)
    same = np.ones(len(before), dtype=np.bool_) if comparable is None else np.asarray(comparable, dtype=np.bool_)
    for name, values in {"cost_after": after, "quantity_before": q_before, "quantity_after": q_after, "group": codes, "comparable": same}.items():
        if values.shape != before.shape:
            raise InputError(f"{name} has shape {values.shape}, cost_before {before.shape}", field=name, got=values.shape, allowed=str(before.shape))
    change, cost = after - before, np.abs(before) + np.abs(after)
    priced = same & _is_priced(before, q_before) & _is_priced(after, q_after)
    q0, q1 = np.where(priced, q_before, 0.0), np.where(priced, q_after, 0.0)
    own0, own1 = _prices(before, q0), _prices(after, q1)
    p0, p1 = np.where(q0 > 0.0, own0, own1), np.where(q1 > 0.0, own1, own0)
    with np.errstate(over="ignore", invalid="ignore"):
        price = 0.5 * (q0 + q1) * (p1 - p0)
        # Also what floats do not hold, such as the price of a quantity next to nothing.
        priced &= np.isfinite(p0) & np.isfinite(p1) & (np.abs(price) <= LARGEST_PRICE * cost)
    q0, q1 = np.where(priced, q0, 0.0), np.where(priced, q1, 0.0)
    size = int(codes.max(initial=-1)) + 1
    # An empty bincount is one of integers.
    whole0, whole1 = (np.bincount(codes, quantity, size).astype(np.float64)[codes] for quantity in (q0, q1))
    both = priced & (whole0 > 0.0) & (whole1 > 0.0)
    s0, s1 = _prices(q0, whole0), _prices(q1, whole1)
    zero = np.zeros(len(change))
    with np.errstate(over="ignore", invalid="ignore"):
        volume = np.where(both, 0.25 * (p0 + p1) * (s0 + s1) * (whole1 - whole0), zero)
        gross, money = (np.bincount(codes, values, size).astype(np.float64)[codes] for values in (np.abs(volume), np.where(both, cost, zero)))
        alike = gross <= LARGEST_VOLUME * money
    price = np.where(both, price, zero)
    usage = np.where(both, change, zero) - price
    volume = np.where(alike, volume, usage)
    return ItemChanges(
        price=price,
        volume=volume,
        mix=usage - volume,
        new=np.where(priced & ~both & (whole0 <= 0.0), change, zero),
        ended=np.where(priced & ~both & (whole0 > 0.0), change, zero),
        unquantified=np.where(priced, zero, change),
    )


def _money(values: ArrayLike, field: str) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise InputError(f"{field} has shape {found.shape}", field=field, got=found.shape, allowed="(n,)")
    if not np.isfinite(found).all():
        raise InputError(f"{field} holds money that is not finite", field=field, got="NaN or infinite", allowed="finite numbers")
    return found


def _is_priced(cost: Floats, quantity: Floats) -> NDArray[np.bool_]:
    """(n,) whether money and quantity go together: a price of nothing or more, or neither money nor quantity. NaN is neither."""
    return np.asarray(((quantity > 0.0) & (cost >= 0.0) & np.isfinite(quantity)) | ((quantity == 0.0) & (cost == 0.0)))


def _prices(amount: Floats, per: Floats) -> Floats:
    """amount ÷ per; 0 where there is nothing to divide by."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.divide(amount, per, out=np.zeros(len(amount)), where=per > 0.0)
