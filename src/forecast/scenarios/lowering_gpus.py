"""Levers on machines: rented on top, bought as spot capacity, or bought outright."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.kept_spend import committed
from forecast.scenarios.levers import Lever
from forecast.scenarios.lowering_figures import Figures, bound_strength, change_of, expected, scope_place
from forecast.scenarios.metered import HOUR_KINDS, HOURS, SPOT_HOURS, items_of, metered_parts
from forecast.scenarios.own_hardware import DAYS_A_MONTH, OwnHardware, break_even_hours, break_even_months, break_even_rent
from forecast.scenarios.primitives import Lowered, Money, Place, Scale
from forecast.scenarios.responses import FIXED
from forecast.scenarios.unit_economics import break_even_overhead, discounted_factor, spot_discount, useful_share
from forecast.scenarios.world import World
from forecast.spend.scope import Scope

Floats = NDArray[np.float64]

MACHINE_HOURS = "machine hours"


def gpus(lever: Lever, world: World, where: str) -> Lowered:
    """count × hours × price a day, used or not. Without a target it is counted where what it is like is counted."""
    target, price = world.target(lever, where), 0.0
    like = lever.values.get("like")
    notes: list[str] = []
    rate: float | Floats
    if isinstance(like, Scope):
        leaves, parts = metered_parts(world, like, HOUR_KINDS, MACHINE_HOURS, f"{where}.like")
        items = items_of(world, like, leaves).of(HOUR_KINDS)
        if items.price is None:
            raise PlanError(f"{where}.like: no hours of {like} are known", field=f"{where}.like", got=str(like), allowed="spend billed by hours")
        rate = price = items.price
        notes.append(f"an hour costs {price:.4g} {world.currency}, as {like} was billed lately")
        if "target" not in lever.values:
            target = scope_place(leaves, parts, world)
    else:
        rate = world.number(lever, "price_an_hour")
        price = expected(rate)
    count, hours = world.number(lever, "count"), world.number(lever, "hours_a_day")
    used = lever.expected("utilisation", 1.0)
    amount = np.asarray(count * hours * rate)
    figures = Figures(
        money_a_day=expected(amount),
        hours_a_day=expected(np.asarray(count * hours)),
        price_an_hour=price,
        price_of_a_useful_hour=price / used if used > 0.0 else math.inf,
    )
    if used < 1.0 and lever.expected("count") > 0.0:
        notes.append(f"paid whether used or not: {1.0 - used:.0%} of the hours do no work")
    notes += _too_much_off(amount, target, world)
    return Lowered((Money(target, change_of(world.strength(lever), amount), "fixed"),), tuple(notes), figures.plain())


def _too_much_off(amount: Floats, target: Place, world: World) -> list[str]:
    """A word where more is taken away than is spent at the target."""
    spent = float(world.recent[target.rows].sum()) if len(target.rows) else 0.0
    if expected(amount) >= -spent:
        return []
    return [f"takes {-expected(amount):,.0f} {world.currency} a day from where {spent:,.0f} a day is spent"]


def spot_share(lever: Lever, world: World, where: str) -> Lowered:
    """Cost of machine hours × (1 − e·to) ÷ (1 − e·from), where a useful hour on spot is e = 1 − (1 − discount)(1 + overhead) cheaper."""
    leaves, parts = metered_parts(world, lever.scope, HOUR_KINDS, MACHINE_HOURS, f"{where}.scope")
    items = items_of(world, lever.scope, leaves).of(HOUR_KINDS)
    discount, overhead = world.number(lever, "discount"), world.number(lever, "interruption_overhead")
    saved = spot_discount(discount, overhead)
    notes: list[str] = []
    before: float | Floats
    if "from_share" in lever.values:
        before = world.number(lever, "from_share")
    else:
        spot, on_demand = (float(items.of({kind}).quantity.sum()) for kind in (SPOT_HOURS, HOURS))
        before = useful_share(spot, on_demand, expected(overhead))
        notes.append(f"{before:.0%} of the hours run on spot now, as billed")
    factor = discounted_factor(before, world.number(lever, "to"), saved)
    if expected(saved) <= 0.0:
        notes.append("interruptions eat up the discount: spot costs more than it saves")
    figures = Figures(
        from_share=expected(before),
        spot_cost_of_a_useful_hour=1.0 - expected(saved),
        break_even_overhead=break_even_overhead(lever.expected("discount")),
        cost_ratio=expected(factor),
        machine_cost_a_day=float((world.recent[leaves] * parts).sum()),
    )
    if items.price is not None:
        figures["price_an_hour_before"] = items.price
        figures["price_an_hour_after"] = items.price * expected(factor)
    return Lowered((Scale(leaves, parts, world.change(lever, factor - 1.0), "price"),), tuple(notes), figures.plain())


def own_hardware(lever: Lever, world: World, where: str) -> Lowered:
    """Running cost of the scope ends; depreciation, energy and staff come. What is written off goes on when the lever ends."""
    leaves, parts = world.parts_of(lever.scope, f"{where}.scope")
    own = OwnHardware(
        *(world.number(lever, name) for name in ("purchase", "months", "kilowatts", "price_a_kwh", "hours_a_day", "pue", "staff")),
    )
    replaces = world.number(lever, "replaces")
    target = world.target(lever, where) if "target" in lever.values else scope_place(leaves, parts, world)
    strength = world.strength(lever)
    length = math.ceil(expected(own.months) * DAYS_A_MONTH)
    written_off = bound_strength(lever, world.days, length)
    since_bought = np.arange(np.datetime64(lever.start, "D"), world.days[-1] + 1) if world.n_days else world.days
    primitives = (
        Scale(leaves, parts, world.change(lever, -replaces), "running"),
        Money(target, change_of(written_off, own.depreciation_a_day), "once"),
        Money(target, change_of(strength, own.energy_a_day + own.staff_a_day), "once"),
    )
    recent = float((world.recent[leaves] * parts).sum())
    fixed = float((world.recent[leaves] * parts * world.responses.shares[leaves, FIXED]).sum())
    rent = (recent - fixed) * expected(replaces)
    kwh = own.kwh_a_day * float(strength.sum())
    months = expected(own.months)
    figures = Figures(
        own_a_day=expected(own.cost_a_day),
        depreciation_a_day=expected(own.depreciation_a_day),
        energy_a_day=expected(own.energy_a_day),
        energy_kwh=expected(kwh),
        rent_a_day=rent,
        break_even_months=break_even_months(own, rent),
        break_even_rent_an_hour=break_even_rent(own),
        cash_at_purchase=expected(own.purchase),
        book_value_after=max(
            expected(own.purchase) - expected(own.depreciation_a_day) * float(bound_strength(lever, since_bought, length).sum()), 0.0
        ),
    )
    if expected(own.hours_a_day) > 0.0:
        figures["break_even_hours_a_day"] = break_even_hours(own, rent / expected(own.hours_a_day))
    notes = [f"the purchase of {expected(own.purchase):,.0f} {world.currency} is counted as it is written off, over {months:g} months"]
    if recent > 0.0 and fixed > 0.005 * recent:
        notes.append(f"{fixed / recent:.0%} of the scope's spend (commitments, licences, scheduled) goes on beside the bought machines")
    if expected(own.cost_a_day) > rent:
        notes.append("owning costs more a day than the rent that ends")
    notes += committed(world, leaves, parts)
    return Lowered(primitives, tuple(notes), figures.plain())


LOWER: dict[str, Callable[[Lever, World, str], Lowered]] = {"gpus": gpus, "spot_share": spot_share, "own_hardware": own_hardware}
