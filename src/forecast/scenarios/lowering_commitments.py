"""Commitments and minimum fees: money that is due whatever is used, counted against what is used after all other levers, path by path."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.commitment_cover import best_commitment, break_even_utilisation, cover, shortfall
from forecast.scenarios.kept_spend import covered_already
from forecast.scenarios.levers import Lever
from forecast.scenarios.lowering_figures import Figures, bound_strength, days_in_month, expected, scope_place
from forecast.scenarios.primitives import Follow, Lowered
from forecast.scenarios.responses import FIXED
from forecast.scenarios.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_DISCOUNT = 0.95
LEAST_PART = 0.001
"""Part of a scope's spend that must follow usage for a commitment to cover anything."""
CHUNK = 64
"""Leaves whose paths are looked at together."""


def commit(lever: Lever, world: World, where: str) -> Lowered:
    """A commitment of money a day at the committed price, for its whole term; see `commitment_cover.py` for what it covers and wastes.

    What does not follow usage (licences) and what commitments that are there already cover is not covered. Without a target the difference is
    counted where the usage is.
    """
    leaves, parts = world.parts_of(lever.scope, f"{where}.scope")
    eligible = parts * (1.0 - world.responses.shares[leaves, FIXED])
    covered = covered_already(world, leaves, parts)
    already = _committed_already(world, leaves, covered)
    some = eligible > 0.0
    whole = float(np.maximum(world.recent[leaves] * parts, 0.0).sum())
    leaves, eligible = leaves[some], eligible[some]
    recent = float((world.recent[leaves] * eligible).sum()) - covered
    if not len(leaves) or recent < LEAST_PART * whole:
        raise PlanError(
            f"{where}.scope: nothing of {str(lever.scope) or 'the company'} follows usage, so a commitment covers nothing",
            field=f"{where}.scope",
            got=str(lever.scope),
            allowed="a scope with usage",
        )
    _check_discount(lever, where)
    discount = np.minimum(np.asarray(world.number(lever, "discount")), MOST_DISCOUNT)
    term = int(lever.expected("term_days"))
    by_day = bound_strength(lever, world.days, term)
    committed = _by_day(lever, world, recent, discount, by_day)
    upfront = lever.expected("upfront")
    a_day = _a_day(lever, recent, expected(discount))
    if upfront > a_day * term * (1.0 + 1e-9):
        raise PlanError(
            f"{where}.upfront: {upfront:,.2f} is more than all of the commitment, {a_day * term:,.2f} in {term} days",
            field=f"{where}.upfront",
            got=str(upfront),
            allowed=f"at most {a_day * term:,.2f}",
        )
    target = world.target(lever, where) if "target" in lever.values else scope_place(leaves, eligible, world)

    def money(spend: Floats) -> Floats:
        return cover(np.maximum(spend - covered, 0.0), committed, discount).change

    usage = np.maximum(spend_paths(world, leaves, eligible) - covered, 0.0)
    figures = _figures(usage, committed, discount, by_day > 0.0)
    figures["committed_a_day"] = a_day
    figures["covers_usage_a_day"] = a_day / (1.0 - expected(discount))
    figures["committed_in_all"] = a_day * term
    figures["paid_upfront"] = upfront
    # Amortised: what was paid up front is counted day by day too.
    figures["remains_after_plan"] = max(a_day * term - expected(committed.sum(axis=0)) - _before(lever, world, a_day), 0.0)
    follow = (Follow(leaves, eligible, target, money),) if world.n_days else ()
    return Lowered(follow, (*_notes(lever, world, figures, term), *already), figures.plain())


def _check_discount(lever: Lever, where: str) -> None:
    if lever.expected("discount") > MOST_DISCOUNT:
        raise PlanError(
            f"{where}.discount: got {lever.expected('discount'):g}, allowed is a share from 0 to {MOST_DISCOUNT:g}",
            field=f"{where}.discount",
            got=str(lever.expected("discount")),
            allowed=f"a share from 0 to {MOST_DISCOUNT:g}",
        )


def _a_day(lever: Lever, recent: float, discount: float) -> float:
    """Expected money a day: of a month as its twelfth of a year; of usage at the price that it has with the commitment."""
    if "a_day" in lever.values:
        return lever.expected("a_day")
    if "a_month" in lever.values:
        return lever.expected("a_month") * 12.0 / 365.25
    return lever.expected("share_of_usage") * recent * (1.0 - discount)


def _by_day(lever: Lever, world: World, recent: float, discount: Floats, by_day: Floats) -> Floats:
    """(n_days, 1) or (n_days, n_paths) committed money."""
    if "a_day" in lever.values:
        size, days = world.number(lever, "a_day"), by_day
    elif "a_month" in lever.values:
        size, days = world.number(lever, "a_month"), by_day / days_in_month(world.days)
    else:
        size, days = world.number(lever, "share_of_usage") * recent * (1.0 - discount), by_day
    return np.asarray(days[:, None] * np.atleast_1d(np.asarray(size, dtype=np.float64))[None, :])


def _before(lever: Lever, world: World, a_day: float) -> float:
    """Committed money of days of the term that are over before the first day of the plan to come."""
    if not world.n_days:
        return 0.0
    over = (world.days[0] - np.datetime64(lever.start, "D")).astype(int)
    return a_day * max(int(over), 0)


def _figures(spend: Floats, committed: Floats, discount: Floats, bound: NDArray[np.bool_]) -> Figures:
    """What the commitment does to the forecast as it is, without other levers. spend : (n_days, n_paths) usage that it may cover."""
    found = cover(spend, committed, discount)
    rate = expected(discount)
    halved = cover(spend / 2.0, committed, discount)
    return Figures(
        break_even_utilisation=break_even_utilisation(rate),
        utilisation=found.utilisation,
        coverage=found.coverage,
        unused=expected(found.unused.sum(axis=0)),
        saves=-expected(found.change.sum(axis=0)),
        probability_saves=float((found.change.sum(axis=0) < 0.0).mean()),
        best_committed_a_day=best_commitment(spend[bound], rate),
        unused_if_usage_halves=expected(halved.unused.sum(axis=0)),
    )


def spend_paths(world: World, leaves: Ints, parts: Floats) -> Floats:
    """(n_days, n_paths) baseline money a day of some leaves together, a few leaves at a time."""
    total = np.zeros((world.n_days, world.n_paths))
    for first in range(0, len(leaves), CHUNK):
        some = slice(first, first + CHUNK)
        total += np.tensordot(parts[some], world.paths_of(leaves[some]), axes=1)
    return total


def _notes(lever: Lever, world: World, figures: Figures, term: int) -> list[str]:
    notes = ["figures are of the forecast without other levers; the delta counts what is used after all of them, wherever it stands in the plan"]
    ends = lever.start + timedelta(days=term)
    if world.n_days and np.datetime64(lever.end, "D") <= world.days[-1] and lever.end < ends:
        notes.append(f"binds until {ends}, beyond the lever's end")
    remains, use = figures["remains_after_plan"], figures["utilisation"]
    if isinstance(remains, float) and remains > 0.005:
        notes.append(f"{remains:,.0f} {world.currency} remain to be paid after the plan, whatever is used then")
    if isinstance(use, float) and use < 1.0 - lever.expected("discount"):
        notes.append(f"{use:.0%} of it are used: less than the {1.0 - lever.expected('discount'):.0%} from which on it saves money")
    return notes


def _committed_already(world: World, leaves: Ints, covered: float) -> tuple[str, ...]:
    """A word where the scope has a commitment in its bills. covered : money a day that commitments are known to pay for."""
    if covered > 0.0:
        return (f"{covered:,.0f} {world.currency} a day are committed already, as billed, and not covered again",)
    if world.meters is None or world.responses.commitments:
        return ()
    meters = world.meters.loc[world.meters["recent"].to_numpy(dtype=bool) & world.meters["leaf"].isin(leaves).to_numpy(), "meter"]
    known = sorted({str(meter) for meter in meters if "commit" in str(meter).lower()})
    return (f"{', '.join(known)} is billed here already: what that covers is counted as usage again",) if known else ()


def minimum_fee(lever: Lever, world: World, where: str) -> Lowered:
    """Each calendar month costs at least the fee; of months that are only partly in the plan, their part of it."""
    leaves, parts = world.parts_of(lever.scope, f"{where}.scope")
    month = world.days.astype("datetime64[M]").astype(np.int64)
    _, number = np.unique(month, return_inverse=True)
    by_day = world.strength(lever) / days_in_month(world.days)
    fee = by_day[:, None] * np.atleast_1d(np.asarray(world.number(lever, "a_month"), dtype=np.float64))[None, :]
    acts = (by_day > 0.0)[:, None]
    target = world.target(lever, where) if "target" in lever.values else scope_place(leaves, parts, world)

    def money(spend: Floats) -> Floats:
        due, spent = _by_month(fee, number), _by_month(np.where(acts, spend, 0.0), number)
        short = shortfall(spent, due)
        # What is short of a month's fee is spread over its days like the fee itself.
        part = np.divide(short, due, out=np.zeros(np.broadcast(short, due).shape), where=np.broadcast_to(due > 0.0, np.broadcast(short, due).shape))
        return np.asarray(part[number] * fee)

    extra = money(spend_paths(world, leaves, parts)).sum(axis=0) if world.n_days else np.zeros(1)
    recent = float((world.recent[leaves] * parts).sum())
    figures = Figures(
        fee_a_month=lever.expected("a_month"),
        spend_a_month=recent * 365.25 / 12.0,
        paid_beyond_usage=expected(extra),
        probability_due=float((extra > 0.0).mean()),
        break_even_usage=lever.expected("a_month") / (recent * 365.25 / 12.0) if recent > 0.0 else None,
    )
    notes = ["figures are of the forecast without other levers"]
    if world.n_days and (world.days[0].astype("datetime64[M]").astype("datetime64[D]") < world.days[0]):
        notes.append("of the first month its days to come are held against their part of the fee")
    return Lowered((Follow(leaves, parts, target, money),) if world.n_days else (), tuple(notes), figures.plain())


def _by_month(values: Floats, number: Ints) -> Floats:
    """(n_months, n_paths) sums. number : (n_days,) of the month that each day is in, rising."""
    if not len(number):
        return np.zeros((0, values.shape[1]))
    return np.asarray(np.add.reduceat(values, np.flatnonzero(np.diff(number, prepend=-1)), axis=0))


LOWER: dict[str, Callable[[Lever, World, str], Lowered]] = {"commit": commit, "minimum_fee": minimum_fee}
