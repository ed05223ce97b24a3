"""From levers to primitives: one function a kind, found by the kind's name."""

from __future__ import annotations

from collections.abc import Callable

from forecast.errors import PlanError
from forecast.scenarios import lowering_commitments, lowering_gpus, lowering_money, lowering_newcomers, lowering_tokens, lowering_usage
from forecast.scenarios.levers import Lever
from forecast.scenarios.primitives import Lowered
from forecast.scenarios.world import World

LOWER: dict[str, Callable[[Lever, World, str], Lowered]] = {
    **lowering_usage.LOWER,
    **lowering_tokens.LOWER,
    **lowering_gpus.LOWER,
    **lowering_commitments.LOWER,
    **lowering_newcomers.LOWER,
    **lowering_money.LOWER,
}
"""Kind → (lever, world, where) → what it comes down to; where : `levers[2]`, for messages."""


def lower(lever: Lever, world: World, where: str) -> Lowered:
    """What the lever comes down to on this world; PlanError where it cannot be carried out."""
    if lever.type not in LOWER:
        raise PlanError(f"{where}.type: {lever.type} cannot be carried out yet", field=f"{where}.type", got=lever.type, allowed=", ".join(LOWER))
    return LOWER[lever.type](lever, world, where)
