"""Price, volume and mix one item at a time, in exact fractions: the slow twin of `budgets/variance.py`, written from the definitions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

NAMES = ("price", "volume", "mix", "new", "ended", "unquantified")


def item_changes(
    cost_before: Sequence[float],
    quantity_before: Sequence[float | None],
    cost_after: Sequence[float],
    quantity_after: Sequence[float | None],
    group: Sequence[int],
    comparable: Sequence[bool],
) -> dict[str, list[Fraction]]:
    """Each part of each item's change; None is a quantity that is not known."""
    n = len(cost_before)
    c0, c1 = [Fraction(value) for value in cost_before], [Fraction(value) for value in cost_after]
    q0 = [None if value is None else Fraction(value) for value in quantity_before]
    q1 = [None if value is None else Fraction(value) for value in quantity_after]
    priced = [comparable[i] and _priced(c0[i], q0[i]) and _priced(c1[i], q1[i]) for i in range(n)]
    for i in range(n):
        if priced[i]:
            p0, p1 = _prices(c0[i], q0[i], c1[i], q1[i])
            price = ((q0[i] or Fraction(0)) + (q1[i] or Fraction(0))) / 2 * abs(p1 - p0)
            priced[i] = _within(price, 100 * (abs(c0[i]) + abs(c1[i])))
    found: dict[str, list[Fraction]] = {name: [Fraction(0)] * n for name in NAMES}
    for i in range(n):
        before, after = q0[i], q1[i]
        if not priced[i] or before is None or after is None:
            found["unquantified"][i] = c1[i] - c0[i]
            continue
        others = [j for j in range(n) if group[j] == group[i] and priced[j]]
        whole0 = sum((q0[j] or Fraction(0) for j in others), Fraction(0))
        whole1 = sum((q1[j] or Fraction(0) for j in others), Fraction(0))
        if whole0 == 0 or whole1 == 0:
            found["new" if whole0 == 0 else "ended"][i] = c1[i] - c0[i]
            continue
        p0, p1 = _prices(c0[i], before, c1[i], after)
        s0, s1 = before / whole0, after / whole1
        found["price"][i] = (before + after) / 2 * (p1 - p0)
        found["volume"][i] = (p0 + p1) / 2 * (s0 + s1) / 2 * (whole1 - whole0)
        found["mix"][i] = (p0 + p1) / 2 * (whole0 + whole1) / 2 * (s1 - s0)
    for one in set(group):
        items = [i for i in range(n) if group[i] == one]
        money = sum((abs(c0[i]) + abs(c1[i]) for i in items if priced[i]), Fraction(0))
        if not _within(sum((abs(found["volume"][i]) for i in items), Fraction(0)), money):
            for i in items:
                found["volume"][i], found["mix"][i] = found["volume"][i] + found["mix"][i], Fraction(0)
    return found


class NearBoundError(Exception):
    """So near to a bound that floats may lie on its other side."""


def _within(amount: Fraction, bound: Fraction) -> bool:
    if amount and bound and abs(amount - bound) < bound / 10**6:
        raise NearBoundError
    return amount <= bound


def _prices(cost0: Fraction, quantity0: Fraction | None, cost1: Fraction, quantity1: Fraction | None) -> tuple[Fraction, Fraction]:
    p0 = cost0 / quantity0 if quantity0 else cost1 / quantity1 if quantity1 else Fraction(0)
    return p0, cost1 / quantity1 if quantity1 else p0


def _priced(cost: Fraction, quantity: Fraction | None) -> bool:
    if quantity is None:
        return False
    return cost >= 0 if quantity > 0 else quantity == 0 and cost == 0
