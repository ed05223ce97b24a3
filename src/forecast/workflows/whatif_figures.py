"""What a plan does beside the money: what a unit costs, energy, price and volume, and the day from which it has paid for itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.scenarios.blocks import Changes
from forecast.scenarios.primitives import Change, Copy, Follow, Money, Move, Primitive, Scale
from forecast.scenarios.response_rules import is_machine_hours
from forecast.scenarios.spending import Spending
from forecast.workflows.whatif_levers import LoweredLevers

Floats = NDArray[np.float64]

MILLION = 1e6
_KILOWATT_HOURS = re.compile(r"^(kwh|kilowatt[- ]hours?)$", re.IGNORECASE)
_UNITS = (("million_tokens", MILLION), ("machine_hour", 1.0))
LEAST_QUANTITY = 1e-9


def unit_costs(levers: LoweredLevers, spending: Spending, inside: NDArray[np.bool_], change: Changes, volume: Changes) -> list[dict[str, Any]]:
    """Cost of a unit before and after, where the bills give quantities: of metered spend alone, on the mean."""
    world = levers.world
    if world.meters is None or not world.n_days:
        return []
    frame = world.meters[world.meters["recent"].to_numpy(dtype=bool)]
    leaf, cost, quantity = (frame[name].to_numpy() for name in ("leaf", "cost", "quantity"))
    of_leaf = np.bincount(leaf, np.maximum(cost, 0.0), minlength=world.n_leaves)
    base = np.where(inside[: world.n_leaves], world.expected.sum(axis=1), 0.0)
    added, more = spending.mean_by_source(change)[:-1], spending.mean_by_source(volume)[:-1]
    found = []
    for (unit, size), rows in zip(_UNITS, _rows_of_units(frame), strict=True):
        money = np.bincount(leaf[rows], np.maximum(cost[rows], 0.0), minlength=world.n_leaves)
        units = np.bincount(leaf[rows], quantity[rows], minlength=world.n_leaves) / size
        known = (money > 0.0) & (units > 0.0) & (of_leaf > 0.0)
        share, rate = np.where(known, money / np.where(known, of_leaf, 1.0), 0.0), np.where(known, units / np.where(known, money, 1.0), 0.0)
        before, quantity_before = float(share @ base), float((share * rate) @ base)
        after, quantity_after = float(share @ (base + added)), float((share * rate) @ (base + more))
        if quantity_before > LEAST_QUANTITY:
            found.append(
                {
                    "unit": unit,
                    "before": before / quantity_before,
                    "after": after / quantity_after if quantity_after > LEAST_QUANTITY else None,
                    "quantity_before": quantity_before,
                    "quantity_after": max(quantity_after, 0.0),
                }
            )
    return found


def _rows_of_units(frame: pd.DataFrame) -> list[NDArray[np.bool_]]:
    pairs, names = pd.factorize(pd.MultiIndex.from_frame(frame[["meter", "unit"]]))
    tokens = np.array(["token" in f"{meter} {unit}".lower() and str(unit).lower() in ("tokens", "token") for meter, unit in names], dtype=bool)
    machines = np.array([is_machine_hours(str(meter), str(unit)) for meter, unit in names], dtype=bool)
    return [tokens[pairs], machines[pairs]]


def decomposition(levers: LoweredLevers, spending: Spending, inside: NDArray[np.bool_], volume: Changes, mean: float) -> dict[str, float]:
    """The mean delta as volume at the prices of today, money that comes and goes by itself, and the rest: price and mix."""
    at_prices = spending.mean(volume)
    effects = levers.start(spending)
    for lowered in levers.lowered:
        effects.apply(one for one in lowered.primitives if isinstance(one, Money))
    money = spending.mean(effects.change(inside))
    return {"volume": at_prices, "price_and_mix": mean - at_prices - money, "money": money}


def volume_change(levers: LoweredLevers, spending: Spending, inside: NDArray[np.bool_]) -> Changes:
    """What changes when prices stay as they are."""
    effects = levers.start(spending)
    for number in levers.order:
        effects.apply(at_today_prices(levers.lowered[number].primitives, levers.world.n_days))
    return effects.change(inside)


def at_today_prices(primitives: Sequence[Primitive], n_days: int) -> list[Primitive]:
    """The primitives that change how much is used, moved work at the price that it has now."""
    found: list[Primitive] = []
    for one in primitives:
        if isinstance(one, Scale) and one.side != "price":
            found.append(one)
        elif isinstance(one, Move):
            found.append(Move(one.leaves, one.parts, one.destinations, one.share, Change(np.ones(n_days)), one.keeps_fixed))
        elif isinstance(one, Copy):
            found.append(one)
        elif isinstance(one, Follow | Money):
            continue
    return found


def energy(levers: LoweredLevers, spending: Spending, inside: NDArray[np.bool_], volume: Changes) -> dict[str, float] | None:
    """Kilowatt hours of the plan's days, where bills or levers speak of them: metered ones follow usage, levers say theirs."""
    world = levers.world
    told = [float(value) for lowered in levers.lowered if isinstance(value := lowered.figures.get("energy_kwh"), int | float)]
    before = after = 0.0
    if world.meters is not None and world.n_days:
        frame = world.meters[world.meters["recent"].to_numpy(dtype=bool)]
        rows = np.array([bool(_KILOWATT_HOURS.match(str(unit).strip())) for unit in frame["unit"]], dtype=bool)
        if rows.any():
            leaf = frame["leaf"].to_numpy(dtype=np.int64)
            cost = np.bincount(leaf, np.maximum(frame["cost"].to_numpy(), 0.0), minlength=world.n_leaves)
            hours = np.bincount(leaf[rows], frame["quantity"].to_numpy()[rows], minlength=world.n_leaves)
            rate = np.where(cost > 0.0, hours / np.where(cost > 0.0, cost, 1.0), 0.0)
            before = float(rate @ np.where(inside[: world.n_leaves], world.expected.sum(axis=1), 0.0))
            after = before + float(rate @ spending.mean_by_source(volume)[:-1])
    if not told and before == 0.0:
        return None
    return {"kwh_before": before, "kwh_after": after + sum(told), "kwh_of_levers": sum(told)}


def break_even(delta: Floats, days: NDArray[np.datetime64]) -> dict[str, Any]:
    """From which day on the plan has saved more than it cost so far, and goes on to. delta : (n_days, n_paths).

    A quantile is None where fewer futures than that come to it within the plan.
    """
    names = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
    if not len(days):
        return {"probability": 0.0, **dict.fromkeys(names)}
    ahead = np.cumsum(delta, axis=0) < 0.0
    since = len(days) - np.argmin(ahead[::-1], axis=0)
    first = np.where(ahead.all(axis=0), 0, np.where(ahead[-1], since, len(days)))
    ordered = np.sort(first)
    found: dict[str, Any] = {"probability": float(ahead[-1].mean())}
    for name, level in names.items():
        place = int(ordered[max(int(np.ceil(round(level * len(ordered), 9))), 1) - 1])
        day: date | None = days[place].astype("datetime64[D]").item() if place < len(days) else None
        found[name] = None if day is None else day.isoformat()
    return found
