"""Levers on usage, prices and drivers, lowered to primitives: the family that every other is written like.

Each function takes a lever, the world and where the lever stands (`levers[2]`, for messages), and says what it comes down to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.kept_spend import kept
from forecast.scenarios.levers import Lever
from forecast.scenarios.primitives import Change, Lowered, Money, Place, Primitive, Scale
from forecast.scenarios.world import World
from forecast.spend.events import P90
from forecast.spend.scope import Scope

Floats = NDArray[np.float64]

HOURS_A_WEEK = 168.0
OFFICE_HOURS = 60.0
"""8 to 20 on five days."""
DAYS_A_MONTH = 365.25 / 12.0


def scale_usage(lever: Lever, world: World, where: str) -> Lowered:
    """Usage × factor; with an elasticity of the lever's own, cost × factor^elasticity."""
    leaves, parts = world.parts_of(lever.scope, f"{where}.scope")
    factor = world.number(lever, "factor")
    if "elasticity" in lever.values:
        change = world.powered(lever, factor, world.number(lever, "elasticity"))
        return Lowered((Scale(leaves, parts, change, "spend"),), notes=("cost follows usage by the elasticity given, whatever the spend is",))
    response = str(lever.values["response"]) if "response" in lever.values else None
    notes = [f"taken as {response}, as the lever says"] if response else kept(world, leaves, parts)
    if response == "steps":
        _check_machines(world, leaves, where)
    return Lowered((Scale(leaves, parts, world.change(lever, factor - 1.0), "demand", response),), tuple(notes))


def change_price(lever: Lever, world: World, where: str) -> Lowered:
    leaves, parts = world.parts_of(lever.scope, f"{where}.scope")
    return Lowered((Scale(leaves, parts, world.change(lever, world.number(lever, "factor") - 1.0), "price"),))


def scale_driver(lever: Lever, world: World, where: str) -> Lowered:
    """The driver × factor; spend × factor^β with β as it was measured, drawn path by path."""
    driver = _driver(lever, world, where)
    name, value = str(driver["driver"]), float(driver["value"])
    scope = Scope.parse(driver["scope"]) if lever.scope.is_company else lever.scope
    leaves, parts = world.parts_of(scope, f"{where}.scope")
    error = (float(driver["high"]) - float(driver["low"])) / (2.0 * P90)
    power = value + error * world.draw(f"driver|{name}")
    gain = float(driver.get("gain_if_known") or 0.0)
    notes = [
        f"spend of {str(scope) or 'the company'} follows {name} with power {value:.2f} ({driver['low']:.2f} to {driver['high']:.2f})",
        _how_good(gain),
    ]
    figures = {"elasticity": value, "elasticity_low": float(driver["low"]), "elasticity_high": float(driver["high"]), "out_of_sample_gain": gain}
    change = world.powered(lever, world.number(lever, "factor"), power)
    return Lowered((Scale(leaves, parts, change, "spend"),), tuple(notes), figures)


def grow(lever: Lever, world: World, where: str) -> Lowered:
    """Usage × (1 + percent/100)^(months since the lever's first day)."""
    leaves, parts = world.parts_of(lever.scope, f"{where}.scope")
    percent = world.number(lever, "percent_a_month")
    since = (world.days - np.datetime64(lever.start, "D")).astype(np.float64) + 1.0
    months = np.where(lever.acts(world.days), since, 0.0) / DAYS_A_MONTH
    monthly = np.maximum(1.0 + np.asarray(percent, dtype=np.float64) / 100.0, 0.0)
    if monthly.ndim == 0:
        change = Change(np.where(months > 0.0, np.power(float(monthly), months) - 1.0, 0.0))
    else:
        change = Change.of(np.where(months[:, None] > 0.0, np.power(monthly[None, :], months[:, None]) - 1.0, 0.0), world.n_days)
    return Lowered((Scale(leaves, parts, change, "demand"),), tuple(kept(world, leaves, parts)))


def switch_off(lever: Lever, world: World, where: str) -> Lowered:
    """Usage × 0; fixed cost goes on unless it is said to end; exit cost on the first day."""
    leaves, parts = world.parts_of(lever.scope, f"{where}.scope")
    keeps = bool(lever.values.get("keeps_fixed", True))
    primitives: list[Primitive] = [Scale(leaves, parts, world.change(lever, -1.0), "demand" if keeps else "spend")]
    primitives += exit_cost(lever, world, leaves, parts)
    notes = kept(world, leaves, parts, "goes on; keeps_fixed = false ends it too") if keeps else ()
    return Lowered(tuple(primitives), tuple(notes))


def exit_cost(lever: Lever, world: World, leaves: NDArray[np.int64], parts: Floats) -> list[Primitive]:
    """What ending costs, once, where the spend was."""
    cost = world.number(lever, "exit_cost")
    if not np.any(cost) or not world.n_days:
        return []
    first = (world.days == max(np.datetime64(lever.start, "D"), world.days[0])).astype(np.float64)
    size = np.maximum(world.recent[leaves] * parts, 0.0)
    weights = size / size.sum() if size.sum() > 0.0 else np.full(len(leaves), 1.0 / len(leaves))
    return [Money(Place(leaves, weights), Change(first * float(cost)) if np.ndim(cost) == 0 else Change(first, np.asarray(cost)))]


def downsize(lever: Lever, world: World, where: str) -> Lowered:
    """Running cost × factor: smaller machines are another price of the same work, so no steps."""
    leaves, parts = world.parts_of(lever.scope, f"{where}.scope")
    change = world.change(lever, world.number(lever, "factor") - 1.0)
    return Lowered((Scale(leaves, parts, change, "running"),), tuple(kept(world, leaves, parts)))


def schedule(lever: Lever, world: World, where: str) -> Lowered:
    """Running cost × hours ÷ 168, on the days of the week on which there are hours."""
    leaves, parts = world.parts_of(lever.scope, f"{where}.scope")
    if lever.values.get("nights_and_weekends"):
        weekday = (world.days.astype("datetime64[D]").astype(np.int64) + 3) % 7 < 5
        by_day = np.where(weekday, OFFICE_HOURS / 5.0 / 24.0, 0.0) - 1.0
        change = Change(by_day * world.strength(lever))
        hours: float | Floats = OFFICE_HOURS
    else:
        hours = world.number(lever, "hours_a_week")
        change = world.change(lever, hours / HOURS_A_WEEK - 1.0)
    figures = {"hours_a_week": float(np.mean(hours)), "share_of_hours": float(np.mean(hours)) / HOURS_A_WEEK}
    return Lowered((Scale(leaves, parts, change, "running"),), tuple(kept(world, leaves, parts)), figures)


def _check_machines(world: World, leaves: NDArray[np.int64], where: str) -> None:
    """Steps need the price of a machine."""
    unknown = leaves[~np.isfinite(world.responses.quantum[leaves])]
    if len(unknown):
        name = str(world.leaves.index[int(unknown[0])])
        raise PlanError(
            f"{where}.response: nobody knows what a machine costs in {name}: its bills count no hours of machines",
            field=f"{where}.response",
            got="steps",
            allowed="elastic or fixed, or a scope of machines billed by the hour",
        )


def _driver(lever: Lever, world: World, where: str) -> Mapping[str, Any]:
    """What the snapshot says of the driver; PlanError where it knows none of that name, or has no relation to spend."""
    name, field = str(lever.values["driver"]), f"{where}.driver"
    known = [str(one["driver"]) for one in world.drivers]
    for one in world.drivers:
        if one["driver"] == name:
            if one.get("value") is None:
                raise PlanError(
                    f"{field}: nothing is measured of how spend follows {name!r}: {one.get('note') or 'too little is known'}",
                    field=field,
                    got=name,
                    allowed="a driver with an elasticity",
                )
            return one
    near = get_close_matches(name, known, n=3) or known
    allowed = ", ".join(near) or "a driver that was there when the forecast was trained (forecast drivers)"
    raise PlanError(f"{field}: the forecast knows no driver {name!r}; it knows: {', '.join(known) or 'none'}", field=field, got=name, allowed=allowed)


def _how_good(gain: float) -> str:
    """What past origins say of the relation."""
    if gain <= 0.0:
        return "out of sample the relation did not help to forecast this spend: take the effect with care"
    return f"out of sample, knowing the driver took {100.0 * gain:.0f} % off the error of 28-day totals"


LOWER: dict[str, Callable[[Lever, World, str], Lowered]] = {
    "scale_usage": scale_usage,
    "change_price": change_price,
    "scale_driver": scale_driver,
    "grow": grow,
    "switch_off": switch_off,
    "downsize": downsize,
    "schedule": schedule,
}
