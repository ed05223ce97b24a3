"""Slow twin of the what-if engine: every leaf's spend as a number, on one path and one day at a time, lever by lever.

It knows nothing of sparse maps, products of bases or moments: state is a list of portions (how the cost follows usage, money), moved in plain loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from forecast.scenarios.primitives import Copy, Follow, Money, Move, Place, Primitive, Scale
from forecast.scenarios.responses import ELASTIC, FIXED, MEASURED, ONCE, STEPS, Responses

KINDS = {"elastic": ELASTIC, "fixed": FIXED, "once": ONCE}


@dataclass
class Portion:
    """Money at a place. demand : what was asked of the machines so far, for portions in steps; start : what they cost before any lever,
    whatever was moved away since. Where a commitment covers them: running, what part of their hours they run; factor : all else that levers did."""

    place: int
    response: int
    money: float
    demand: float = 1.0
    start: float = 0.0
    running: float = 1.0
    factor: float = 1.0


def scenario(spend: np.ndarray, responses: Responses, levers: Sequence[Sequence[Primitive]], virtual: Sequence[dict[str, str]] = ()) -> np.ndarray:
    """(n_places, n_days, n_paths) spend after the levers. spend : (n_leaves, n_days, n_paths) before."""
    n_leaves, n_days, n_paths = spend.shape
    found = np.zeros((n_leaves + len(virtual), n_days, n_paths))
    # Money that follows from spend needs all days and paths at once, so levers go outside and days inside.
    state = [[_portions(spend, responses, day, path) for path in range(n_paths)] for day in range(n_days)]
    for lever in levers:
        for one in lever:
            followed = _followed(one, state, n_leaves + len(virtual)) if isinstance(one, Follow) else None
            for day in range(n_days):
                for path in range(n_paths):
                    after = _after(one, state[day][path], responses, day, path, n_leaves, virtual, followed)
                    state[day][path] = _settled(after, responses, path)
    for day in range(n_days):
        for path in range(n_paths):
            for portion in state[day][path]:
                found[portion.place, day, path] += portion.money
    return found


def shapley_by_orders(n_levers: int, value: dict[tuple[int, ...], float]) -> list[float]:
    """The mean gain of each lever over all orders in which levers may join. value : v of every subset, ascending."""
    gains = [0.0] * n_levers
    orders = list(permutations(range(n_levers)))
    for order in orders:
        for place, lever in enumerate(order):
            before, after = tuple(sorted(order[:place])), tuple(sorted(order[: place + 1]))
            gains[lever] += value[after] - value[before]
    return [gain / len(orders) for gain in gains]


def _portions(spend: np.ndarray, responses: Responses, day: int, path: int) -> list[Portion]:
    return [
        Portion(
            leaf,
            kind,
            float(responses.shares[leaf, kind] * spend[leaf, day, path]),
            start=float(responses.shares[leaf, kind] * spend[leaf, day, path]),
        )
        for leaf in range(len(spend))
        for kind in (ELASTIC, MEASURED, STEPS, FIXED)
        if responses.shares[leaf, kind] > 0.0
    ]


def _at(change: object, day: int, path: int) -> float:
    values = change.values()  # type: ignore[attr-defined]
    return float(values[day, path if values.shape[1] > 1 else 0])


def _rows(place: Place, n_leaves: int, virtual: Sequence[dict[str, str]]) -> list[tuple[int, float]]:
    if place.values is not None:
        return [(n_leaves + list(virtual).index(dict(place.values)), 1.0)]
    return list(zip(place.rows.tolist(), place.weights.tolist(), strict=True))


def _followed(one: Follow, state: list[list[list[Portion]]], n_places: int) -> np.ndarray:
    part = dict(zip(one.leaves.tolist(), one.parts.tolist(), strict=True))
    usage = np.array([[math.fsum(portion.money * part.get(portion.place, 0.0) for portion in portions) for portions in row] for row in state])
    return one.money(usage)


def _after(
    one: Primitive,
    before: list[Portion],
    responses: Responses,
    day: int,
    path: int,
    n_leaves: int,
    virtual: Sequence[dict[str, str]],
    followed: np.ndarray | None,
) -> list[Portion]:
    if isinstance(one, Money):
        amount = _at(one.amount, day, path)
        return before + [Portion(place, KINDS[one.response], amount * weight) for place, weight in _rows(one.target, n_leaves, virtual)]
    if isinstance(one, Follow):
        assert followed is not None
        return before + [Portion(place, FIXED, followed[day, path] * weight) for place, weight in _rows(one.target, n_leaves, virtual)]
    part = dict(zip(one.leaves.tolist(), one.parts.tolist(), strict=True))
    kept: list[Portion] = []
    arrived: list[Portion] = []
    for portion in before:
        p = part.get(portion.place, 0.0)
        if p == 0.0 or portion.response == ONCE:
            kept.append(portion)
        elif isinstance(one, Scale):
            kept.append(_scaled(one, portion, p, _at(one.change, day, path), responses, path))
        elif isinstance(one, Copy):
            kept.append(portion)
            kind = FIXED if portion.response == FIXED else ELASTIC
            for place, weight in _rows(one.target, n_leaves, virtual):
                arrived.append(Portion(place, kind, portion.money * p * _at(one.scale, day, path) * weight))
        elif isinstance(one, Move):
            if portion.response == FIXED and one.keeps_fixed:
                kept.append(portion)
                continue
            share = _at(one.share, day, path)
            left = replace(portion, money=portion.money * (1.0 - p * share))
            if _is_covered(portion, responses):
                stays = one.keeps_fixed
                left = replace(left, **{"running" if stays else "factor": (portion.running if stays else portion.factor) * (1.0 - p * share)})
            kept.append(left)
            kind = FIXED if portion.response == FIXED else ELASTIC
            for place, weight in _rows(one.destinations[portion.place], n_leaves, virtual):
                arrived.append(Portion(place, kind, portion.money * p * share * _at(one.ratio, day, path) * weight))
    return kept + arrived


def _scaled(one: Scale, portion: Portion, part: float, change: float, responses: Responses, path: int) -> Portion:
    money, kind = portion.money, portion.response
    times = 1.0 + part * change
    if one.response == "fixed":
        return portion
    if one.response == "elastic":
        return replace(portion, money=money * times, factor=portion.factor * times)
    if kind == FIXED and one.side in ("demand", "running"):
        return portion
    if one.side == "running" and _is_covered(portion, responses):
        return replace(portion, running=portion.running * times)
    if one.side != "demand" or kind == ELASTIC:
        return replace(portion, money=money * times, factor=portion.factor * times)
    if kind == MEASURED:
        power = float(responses.powers[int(responses.driver[portion.place])][path])
        return Portion(portion.place, kind, money * (1.0 + part * ((1.0 + change) ** power - 1.0)))
    demand = max(portion.demand * times, 0.0)
    ratio = _machines(portion, responses, path, demand) / _machines(portion, responses, path, portion.demand)
    return replace(portion, money=money * ratio, demand=demand)


def _is_covered(portion: Portion, responses: Responses) -> bool:
    return portion.response == STEPS and any(portion.place in one.leaves for one in responses.commitments)


def _settled(portions: list[Portion], responses: Responses, path: int) -> list[Portion]:
    """What machines under commitments cost: usage beyond what is paid for anyhow, and what of that stays idle by whose usage falls."""
    found = list(portions)
    for one in responses.commitments:
        own = [number for number, portion in enumerate(portions) if _is_covered(portion, responses) and portion.place in one.leaves]
        cost = math.fsum(portions[number].start for number in own)
        if cost <= 0.0:
            continue
        usage = cost + one.worth - one.inside if cost >= one.inside else cost * one.worth / one.inside
        change = {}
        for number in own:
            portion = portions[number]
            ratio = _machines(portion, responses, path, portion.demand) / _machines(portion, responses, path, 1.0) * portion.running
            change[number] = portion.start * (ratio - 1.0) * usage / cost
        after = usage + math.fsum(change.values())
        idle = max(one.worth - after, 0.0) - max(one.worth - usage, 0.0)
        given_up = math.fsum(-size for size in change.values() if size < 0.0)
        added = math.fsum(size for size in change.values() if size > 0.0)
        for number, size in change.items():
            stays = idle * (-size / given_up if idle > 0.0 and size < 0.0 else size / added if idle < 0.0 and size > 0.0 else 0.0)
            paid = max(portions[number].start + size + stays, 0.0)
            found[number] = replace(portions[number], money=paid * portions[number].factor)
    return found


def _machines(portion: Portion, responses: Responses, path: int, demand: float) -> float:
    """Machines that a demand takes; the phase says how much of the last one was empty before any lever."""
    machines = portion.start / float(responses.quantum[portion.place])
    load = machines - float(responses.phase_of(portion.place)[path]) * min(machines, 1.0)
    return max(math.ceil(demand * load - 1e-9), 0)
