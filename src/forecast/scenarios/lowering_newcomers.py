"""A workload that was not there: like one that is, or built up from users × requests × tokens × price."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.finer_places import copies
from forecast.scenarios.levers import Lever
from forecast.scenarios.lowering_figures import Figures, change_of, expected
from forecast.scenarios.metered import MILLION, TOKEN_KINDS, items_of
from forecast.scenarios.primitives import Lowered, Money
from forecast.scenarios.unit_economics import request_money
from forecast.scenarios.world import World
from forecast.spend.scope import Scope

Floats = NDArray[np.float64]


def new_workload(lever: Lever, world: World, where: str) -> Lowered:
    """By analogy it varies as what it is like does, on the same futures; from unit economics it varies as its own numbers do."""
    like = lever.values.get("like")
    return _like(lever, like, world, where) if isinstance(like, Scope) else _built_up(lever, world, where)


def _like(lever: Lever, like: Scope, world: World, where: str) -> Lowered:
    leaves, parts = world.parts_of(like, f"{where}.like")
    target, scale = world.target(lever, where), world.number(lever, "scale")
    recent = float((world.recent[leaves] * parts).sum())
    if recent <= 0.0:
        raise PlanError(
            f"{where}.like: nothing was spent on {like} lately", field=f"{where}.like", got=str(like), allowed="a scope with recent spend"
        )
    figures = Figures(like_a_day=recent, money_a_day=recent * expected(scale))
    items = items_of(world, like, leaves).of(TOKEN_KINDS)
    if items.price is not None:
        figures["price_a_million"] = items.price * MILLION
    return Lowered(copies(world, leaves, parts, target, world.change(lever, scale)), figures=figures.plain())


def _built_up(lever: Lever, world: World, where: str) -> Lowered:
    requests = np.asarray(world.number(lever, "users")) * world.number(lever, "requests_a_user_a_day")
    if "tokens_a_request" in lever.values:
        tokens = np.asarray(world.number(lever, "tokens_a_request"))
        request = request_money(tokens, 0.0, world.number(lever, "price_a_million"), 0.0)
    else:
        asked, answered = (np.asarray(world.number(lever, name)) for name in ("input_tokens", "output_tokens"))
        tokens = asked + answered
        request = request_money(asked, answered, world.number(lever, "input_price"), world.number(lever, "output_price"))
    amount = np.asarray(requests * request)
    users = lever.expected("users")
    figures = Figures(
        requests_a_day=expected(requests),
        tokens_a_day=expected(requests * tokens),
        money_a_request=expected(request),
        money_a_day=expected(amount),
        money_a_user_a_month=expected(amount) / users * 365.25 / 12.0 if users > 0.0 else None,
    )
    money = Money(world.target(lever, where), change_of(world.strength(lever), amount), "elastic")
    return Lowered((money,), ("the same every day, without the rhythm of a week: say like for that",), figures.plain())


LOWER: dict[str, Callable[[Lever, World, str], Lowered]] = {"new_workload": new_workload}
