"""Price, volume and mix of a contributor, and which AI model took another's place.

The midpoint (Bennet) form, as in `budgets/variance.py`: every change is weighed with the mean of both periods, so that nothing is left over and
swapping the periods turns every sign. Lines of one team, workload, stage and meter stand in for each other: usage that moves between them to
dearer or cheaper ones is mix. What is new, what has ended, and (where it is little) what has no quantity counts as volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.anomalies.attribution_cube import Cube, Floats, numbered, sums

STAND_INS: tuple[str, ...] = ("team", "stage", "workload", "meter", "charge_category")
"""Lines that are alike in these may replace each other."""
UNQUANTIFIED = 0.05
"""Part of all change that may come without a quantity; with more there is no split."""
LARGEST_PRICE = 100.0
"""A price that alone would change a cost by more than so many times the cost is one of another unit."""
SWITCHED = 0.5
"""A switch of models makes at least this part of the impact, …"""
GAVE_UP = 0.25
"""… and the model that was left lost this part of its money."""


@dataclass(frozen=True)
class Split:
    """price + volume + mix is the change in cost. switched : (AI model that was left, one that took its place), where that is the mix."""

    price: float
    volume: float
    mix: float
    switched: tuple[str, str] | None = None


def price_volume_mix(cube: Cube) -> Split | None:
    """The change in cost of a cube, taken apart; None where quantities are not known."""
    if cube.quantity_now is None or cube.quantity_usual is None:
        return None
    before, after = cube.usual, cube.now
    change, cost = after - before, np.abs(before) + np.abs(after)
    priced = _is_priced(before, cube.quantity_usual) & _is_priced(after, cube.quantity_now)
    q0, q1 = np.where(priced, cube.quantity_usual, 0.0), np.where(priced, cube.quantity_now, 0.0)
    own0, own1 = _ratio(before, q0), _ratio(after, q1)
    p0, p1 = np.where(q0 > 0.0, own0, own1), np.where(q1 > 0.0, own1, own0)
    price = 0.5 * (q0 + q1) * (p1 - p0)
    priced &= np.isfinite(price) & (np.abs(price) <= LARGEST_PRICE * cost)
    if float(np.abs(change[~priced]).sum()) > UNQUANTIFIED * float(np.abs(change).sum()):
        return None
    q0, q1 = np.where(priced, q0, 0.0), np.where(priced, q1, 0.0)
    group, size = _groups(cube)
    whole0, whole1 = (sums(group, quantity, size)[group] for quantity in (q0, q1))
    both = priced & (whole0 > 0.0) & (whole1 > 0.0)
    s0, s1 = _ratio(q0, whole0), _ratio(q1, whole1)
    price = np.where(both, price, 0.0)
    usage = np.where(both, change - price, 0.0)
    volume = np.where(both, 0.25 * (p0 + p1) * (s0 + s1) * (whole1 - whole0), 0.0)
    # A few dear calls beside billions of cheap tokens do not stand in for each other.
    alike = sums(group, np.abs(volume), size) <= sums(group, np.where(both, cost, 0.0), size)
    volume = np.where(alike[group], volume, usage)
    mix = usage - volume
    total_mix, total = float(mix.sum()), float(change.sum())
    volumes = float(volume.sum()) + float(change[~both].sum())
    return Split(float(price.sum()), volumes, total_mix, _switch(cube, total_mix, total))


def _switch(cube: Cube, mix: float, total: float) -> tuple[str, str] | None:
    """The AI models whose money changed most in opposite ways, where mix is what changed the cost."""
    if "ai_model" not in cube.values or not abs(mix) > 0.0 or mix * total < 0.0 or abs(mix) < SWITCHED * abs(total):
        return None
    values, now, usual = cube.by_value("ai_model")
    change = now - usual
    left, came = int(np.argmin(change)), int(np.argmax(change))
    if change[left] >= -GAVE_UP * usual[left] or change[came] <= 0.0:
        return None
    return cube.text("ai_model", int(values[left])), cube.text("ai_model", int(values[came]))


def _groups(cube: Cube) -> tuple[NDArray[np.int64], int]:
    columns = [(cube.codes[name], len(cube.values[name])) for name in STAND_INS if name in cube.values]
    group, first = numbered(columns, len(cube.now))
    return group, len(first)


def _is_priced(cost: Floats, quantity: Floats) -> NDArray[np.bool_]:
    """(n,) whether money and quantity go together: a price of nothing or more, or neither money nor quantity. NaN is neither."""
    return np.asarray(((quantity > 0.0) & (cost >= 0.0) & np.isfinite(quantity)) | ((quantity == 0.0) & (cost == 0.0)))


def _ratio(amount: Floats, per: Floats) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.divide(amount, per, out=np.zeros(len(amount)), where=per > 0.0)
