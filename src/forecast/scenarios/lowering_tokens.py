"""Levers on tokens: which AI model does the work, how many tokens it takes, and how they are bought (cache, batch)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.kept_spend import committed
from forecast.scenarios.levers import Lever
from forecast.scenarios.lowering_figures import Figures, change_of, expected
from forecast.scenarios.metered import CACHED, INPUT, MILLION, TOKEN_KINDS, Items, items_of, metered_parts, narrow
from forecast.scenarios.model_mix import part_factors
from forecast.scenarios.move_places import AI_MODEL, check_place, move_places
from forecast.scenarios.moved_prices import COMPARED, PRICED, PriceRatio, list_price, price_ratio
from forecast.scenarios.primitives import Change, Lowered, Move, Scale, Side
from forecast.scenarios.responses import FIXED
from forecast.scenarios.unit_economics import break_even_retry_rate, discounted_factor, moved_cost_ratio
from forecast.scenarios.world import World
from forecast.spend.scope import Scope

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOKEN_WORDS = "tokens"


def move_share(lever: Lever, world: World, where: str) -> Lowered:
    """A share of the spend leaves; price ratio × token ratio × (1 + retries) of it arrives at the place. What does not follow usage stays."""
    to = lever.to
    if to is None:
        raise PlanError(f"{where}.to: got nothing, allowed is a place", field=f"{where}.to", got=None, allowed="name=value pairs")
    notes = list(check_place(world, to, f"{where}.to"))
    leaves, parts = _not_there_yet(lever.scope, to, world, where)
    ratio, words = _price_ratio(lever, to, world, leaves)
    notes += words
    price = world.number(lever, "price_ratio") if ratio is None else ratio.value
    token_ratio, retry_rate = world.number(lever, "token_ratio"), world.number(lever, "retry_rate")
    cost_ratio = moved_cost_ratio(price, token_ratio, retry_rate)
    places, wander = move_places(world, leaves, to), part_factors(world, lever.scope, leaves, parts)
    share, arriving = world.number(lever, "share"), change_of(np.ones(world.n_days), cost_ratio)
    moves = tuple(
        Move(leaves[some], parts[some], {int(leaf): places[int(leaf)] for leaf in leaves[some]}, _sized(lever, world, share, factor), arriving)
        for some, factor in wander.groups
    )
    fixed = float((world.recent[leaves] * parts * world.responses.shares[leaves, FIXED]).sum())
    recent = float((world.recent[leaves] * parts).sum())
    if recent > 0.0 and fixed > 0.005 * recent:
        notes.append(f"{fixed / recent:.0%} of the scope's spend does not follow usage and stays where it is")
    figures = Figures(
        price_ratio=expected(price),
        price_ratio_source="given" if ratio is None else ratio.source,
        cost_ratio=expected(cost_ratio),
        break_even_retry_rate=break_even_retry_rate(expected(price), expected(token_ratio)),
        moved_a_day=lever.share * (recent - fixed),
    )
    if wander.at_the_end is not None:
        low, high = np.quantile(wander.at_the_end, (0.1, 0.9)).tolist()
        figures |= {"share_at_the_end_p10": low, "share_at_the_end_p90": high}
        notes.append(f"by the end of the plan its share of the spend is {low:.2g} to {high:.2g} times today's (P10 to P90), as shares went before")
    here = items_of(world, lever.scope, leaves).of(TOKEN_KINDS)
    if here.price is not None:
        figures["price_a_million_before"] = here.price * MILLION
        figures["price_a_million_after"] = here.price * MILLION * expected(cost_ratio)
    if AI_MODEL in to.dimensions and lever.expected("token_ratio", 1.0) == 1.0:
        notes.append("the same number of tokens is taken for granted: token_ratio says otherwise")
    if expected(cost_ratio) >= 1.0 and expected(price) < 1.0:
        notes.append("more tokens and retries eat up what the lower price saves")
    notes += committed(world, leaves, parts)
    return Lowered(moves, tuple(notes), figures.plain())


def _scales(
    lever: Lever, world: World, leaves: Ints, parts: Floats, size: float | Floats, side: Side, response: str | None = None
) -> tuple[Scale, ...]:
    """The parts × (1 + size), by groups of leaves whose parts go on alike."""
    wander = part_factors(world, lever.scope, leaves, parts)
    return tuple(Scale(leaves[some], parts[some], _sized(lever, world, size, factor), side, response) for some, factor in wander.groups)


def _sized(lever: Lever, world: World, size: float | Floats, factor: Floats | None) -> Change:
    """size × factor with the lever's dates and ramp."""
    return world.change(lever, size) if factor is None else Change(world.strength(lever), None, np.asarray(size * factor))


def _not_there_yet(scope: Scope, to: Scope, world: World, where: str) -> tuple[Ints, Floats]:
    """The scope without what is at the place already: that does not move, and its price does not change."""
    leaves, parts = world.parts_of(scope, f"{where}.scope")
    already: Scope | None = scope
    for clause in to.clauses:
        already = narrow(already, clause.dimension, clause.values) if already is not None else None
    if already is not None:
        try:
            rows, there = world.parts_of(already, f"{where}.to")
        except PlanError:
            rows, there = np.zeros(0, dtype=np.int64), np.zeros(0)
        own = np.zeros(world.n_leaves)
        own[rows] = there
        parts = np.maximum(parts - own[leaves], 0.0)
    moving = parts > 1e-12
    if not moving.any():
        raise PlanError(
            f"{where}: all of the scope {str(scope)!r} is in {str(to)!r} already",
            field=f"{where}.to",
            got=str(to),
            allowed="a place outside the scope",
        )
    return leaves[moving], parts[moving]


def _price_ratio(lever: Lever, to: Scope, world: World, leaves: Ints) -> tuple[PriceRatio | None, list[str]]:
    """What the bills and lists say where the lever does not; None where it does."""
    if "price_ratio" in lever.values:
        return None, []
    if not PRICED & set(to.dimensions):
        return PriceRatio(1.0, "same price"), []
    values = to.as_values() or {}
    model = values.get(AI_MODEL)
    here = items_of(world, lever.scope, leaves)
    # What is on the model already is not what moves.
    here = here if model is None else here.where(here.ai_model != model)
    known = world.mask({name: value for name, value in values.items() if name in world.dimensions})
    there = items_of(world, Scope(tuple(clause for clause in to.clauses if clause.dimension == AI_MODEL)), np.flatnonzero(known))
    found = price_ratio(here, there, model, world) if COMPARED & set(to.dimensions) else None
    if found is None:
        return PriceRatio(1.0, "taken to be the same"), ["no price is known of both places: a unit is taken to cost the same; say price_ratio"]
    part = f", told from {found.compared:.0%} of the tokens' cost" if found.compared < 0.995 else ""
    return found, [f"a token there costs {found.value:.3g} of what it costs here, {found.source}{part}"]


def tokens_per_request(lever: Lever, world: World, where: str) -> Lowered:
    """What is billed by tokens × factor; the rest of the scope as it is."""
    leaves, parts = metered_parts(world, lever.scope, TOKEN_KINDS, TOKEN_WORDS, f"{where}.scope")
    factor = world.number(lever, "factor")
    scales = _scales(lever, world, leaves, parts, factor - 1.0, "demand", "elastic")
    items = items_of(world, lever.scope, leaves).of(TOKEN_KINDS)
    figures = Figures(tokens_cost_a_day=float((world.recent[leaves] * parts).sum()))
    if items.price is not None:
        figures["price_a_million"] = items.price * MILLION
    return Lowered(scales, figures=figures.plain())


def cache_hit_rate(lever: Lever, world: World, where: str) -> Lowered:
    """Cost of input tokens × (1 − d·to) ÷ (1 − d·from); output tokens cost what they cost."""
    leaves, parts = metered_parts(world, lever.scope, {INPUT, CACHED}, "input tokens", f"{where}.scope")
    items = items_of(world, lever.scope, leaves).of({INPUT, CACHED})
    discount: float | Floats
    if "discount" in lever.values:
        discount, source = world.number(lever, "discount"), "given"
    else:
        told = _cache_discount(items, world)
        if told is None:
            raise PlanError(
                f"{where}.discount: got nothing, and no price of cached tokens is known of this spend",
                field=f"{where}.discount",
                got=None,
                allowed="a share from 0 to 1: part of the price that a cached token saves",
            )
        discount, source = told
    before: float | Floats
    notes = []
    if "from_share" in lever.values:
        before = world.number(lever, "from_share")
    else:
        told_share = _cached_share(items, expected(discount))
        before = 0.0 if told_share is None else told_share
        notes.append("no cached tokens are billed" if not before else f"{before:.0%} of input tokens come from a cache now, as billed")
    after = world.number(lever, "to")
    factor = discounted_factor(before, after, discount)
    scales = _scales(lever, world, leaves, parts, factor - 1.0, "price")
    notes.append("writing to a cache may cost extra, which is not counted")
    figures = Figures(from_share=expected(before), discount=expected(discount), discount_source=source, input_cost_ratio=expected(factor))
    figures["input_cost_a_day"] = float((world.recent[leaves] * parts).sum())
    if items.price is not None:
        figures["input_price_a_million_before"] = items.price * MILLION
        figures["input_price_a_million_after"] = items.price * MILLION * expected(factor)
    return Lowered(scales, tuple(notes), figures.plain())


def _cache_discount(items: Items, world: World) -> tuple[float, str] | None:
    """Part of the price that a cached token saves, weighted by what full price all input tokens would cost; as billed, else as listed."""
    prices = items.prices()
    full = saved = 0.0
    source = "as billed"
    for model in sorted({name for name, _ in prices}):
        quantity = sum(prices[model, kind][0] for kind in (INPUT, CACHED) if (model, kind) in prices)
        pair = [prices[model, kind][1] / prices[model, kind][0] if (model, kind) in prices else None for kind in (INPUT, CACHED)]
        if None in pair and world.prices is not None and world.n_days:
            day = world.days[0].astype("datetime64[D]").item()
            pair, source = [list_price(world.prices, model, kind, day, world.currency) for kind in (INPUT, CACHED)], "as billed and listed"
        if pair[0] is not None and pair[1] is not None and pair[0] > 0.0:
            full += quantity * pair[0]
            saved += quantity * max(pair[0] - pair[1], 0.0)
    return (saved / full, source) if full > 0.0 else None


def _cached_share(items: Items, discount: float) -> float | None:
    """Share of input tokens from a cache that explains the bill: weighted by price, so that cost = full price × (1 − discount × share)."""
    prices = items.prices()
    full = saved = 0.0
    for model in sorted({name for name, _ in prices}):
        plain, cached = prices.get((model, INPUT)), prices.get((model, CACHED))
        at = plain[1] / plain[0] if plain else cached[1] / cached[0] / (1.0 - discount) if cached and discount < 1.0 else 0.0
        full += at * sum(pair[0] for pair in (plain, cached) if pair)
        saved += at * cached[0] if cached else 0.0
    return min(saved / full, 1.0) if full > 0.0 else None


def batch_share(lever: Lever, world: World, where: str) -> Lowered:
    """Cost of tokens × (1 − d·to) ÷ (1 − d·from)."""
    leaves, parts = metered_parts(world, lever.scope, TOKEN_KINDS, TOKEN_WORDS, f"{where}.scope")
    before, after, discount = (world.number(lever, name) for name in ("from_share", "to", "discount"))
    factor = discounted_factor(before, after, discount)
    scales = _scales(lever, world, leaves, parts, factor - 1.0, "price")
    figures = Figures(cost_ratio=expected(factor), tokens_cost_a_day=float((world.recent[leaves] * parts).sum()))
    items = items_of(world, lever.scope, leaves).of(TOKEN_KINDS)
    if items.price is not None:
        figures["price_a_million_before"] = items.price * MILLION
        figures["price_a_million_after"] = items.price * MILLION * expected(factor)
    return Lowered(scales, ("answers of a batch may take up to a day",), figures.plain())


LOWER: dict[str, Callable[[Lever, World, str], Lowered]] = {
    "move_share": move_share,
    "tokens_per_request": tokens_per_request,
    "cache_hit_rate": cache_hit_rate,
    "batch_share": batch_share,
}
