"""Levers that are money themselves: once, seats, people; and the money that spend is billed in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.levers import Lever
from forecast.scenarios.lowering_figures import Figures, change_of, days_in_month, expected
from forecast.scenarios.primitives import Lowered, Money, Place, Scale
from forecast.scenarios.world import World

Floats = NDArray[np.float64]


def one_off(lever: Lever, world: World, where: str) -> Lowered:
    """All of it on one day."""
    given = lever.values.get("day")
    day = given if isinstance(given, date) else lever.start
    target, amount = world.target(lever, where), world.number(lever, "amount")
    if not lever.start <= day < lever.end:
        raise PlanError(
            f"{where}.day: {day} is outside the lever's days {lever.start} to {lever.end} (exclusive)",
            field=f"{where}.day",
            got=day.isoformat(),
            allowed=f"a day from {lever.start} to before {lever.end}",
        )
    notes: tuple[str, ...] = ()
    if world.n_days and np.datetime64(day, "D") < world.days[0]:
        if given is not None:
            return Lowered((), (f"{day} is over: what came then is in the bills",), {"day": day.isoformat()})
        # Without a day of its own it comes on the first that can still be changed.
        day = world.days[0].astype("datetime64[D]").item()
        notes = (f"on {day}, the first day that is still to come",)
    by_day = (world.days == np.datetime64(day, "D")).astype(np.float64)
    return Lowered((Money(target, change_of(by_day, amount), "once"),), notes, {"amount": expected(amount), "day": day.isoformat()})


def licences(lever: Lever, world: World, where: str) -> Lowered:
    """seats × price a month, in even parts of each month's days."""
    target, amount = world.target(lever, where), np.asarray(world.number(lever, "seats") * world.number(lever, "price_a_month"))
    return Lowered((_monthly(lever, world, target, amount, "fixed"),), figures=Figures(money_a_month=expected(amount)).plain())


def people(lever: Lever, world: World, where: str) -> Lowered:
    """count × cost a month, in even parts of each month's days."""
    target, amount = world.target(lever, where), np.asarray(world.number(lever, "count") * world.number(lever, "cost_a_month"))
    return Lowered((_monthly(lever, world, target, amount, "once"),), figures=Figures(money_a_month=expected(amount)).plain())


def _monthly(lever: Lever, world: World, target: Place, amount: Floats, response: Literal["fixed", "once"]) -> Money:
    return Money(target, change_of(world.strength(lever) / days_in_month(world.days), amount), response)


def currency(lever: Lever, world: World, where: str) -> Lowered:
    """Spend billed in the currency × factor, whatever it is."""
    code = str(lever.values["currency"])
    if code == world.currency:
        raise PlanError(
            f"{where}.currency: {code} is the currency of the answer",
            field=f"{where}.currency",
            got=code,
            allowed=f"the currency of bills that are converted to {code}, with the reciprocal factor",
        )
    if "share" not in lever.values:
        raise PlanError(
            f"{where}.share: got nothing, and the forecast does not keep which spend was billed in {code}",
            field=f"{where}.share",
            got=None,
            allowed=f"a share from 0 to 1: part of the scope that is billed in {code}; 1 for a scope that all is",
        )
    leaves, parts = world.parts_of(lever.scope, f"{where}.scope")
    share, factor = world.number(lever, "share"), world.number(lever, "factor")
    figures = Figures(exposed_a_day=float((world.recent[leaves] * parts).sum()) * expected(share), cost_ratio=1.0 + expected(share * (factor - 1.0)))
    return Lowered((Scale(leaves, parts, world.change(lever, share * (factor - 1.0)), "spend"),), figures=figures.plain())


LOWER: dict[str, Callable[[Lever, World, str], Lowered]] = {"one_off": one_off, "licences": licences, "people": people, "currency": currency}
