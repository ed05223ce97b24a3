"""The families on the engine itself: what one lever does, and what it does after others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forecast.scenarios.bases import Bases
from forecast.scenarios.spending import Spending
from forecast.workflows.whatif_levers import lower_levers

from .small_world import DAYS, lever_of, lowered, small_world, spend_of_paths, total
from .test_lowering_docs import AWS, LEVERS

RANGE = {"expected": 0.5, "low": 0.3, "high": 0.6}
UNCERTAIN: list[tuple[str, str, dict[str, Any]]] = [
    ("", "move_share", {"scope": "ai_model=gpt-4o", "to": "ai_model=claude-haiku", "share": RANGE, "retry_rate": RANGE, "ramp": "s_curve"}),
    ("", "cache_hit_rate", {"scope": "provider=OpenAI", "to": RANGE, "ramp": "linear", "ramp_days": 20}),
    ("", "spot_share", {**AWS, "to": RANGE, "discount": RANGE, "interruption_overhead": RANGE}),
    ("", "own_hardware", {**AWS, "purchase": 1e5, "months": 36, "kilowatts": {"expected": 5, "low": 4, "high": 7}, "price_a_kwh": 0.2}),
    ("", "commit", {**AWS, "a_month": {"expected": 9e3, "low": 8e3, "high": 1e4}, "discount": RANGE, "ramp": "linear"}),
    ("", "minimum_fee", {**AWS, "a_month": {"expected": 3e4, "low": 2e4, "high": 4e4}}),
    ("", "new_workload", {"like": "provider=OpenAI", "scale": RANGE, "target": "team=maps"}),
    ("", "licences", {"seats": {"expected": 10, "low": 5, "high": 20}, "price_a_month": RANGE}),
]


def delta(*levers: tuple[str, dict[str, Any]]) -> np.ndarray:
    """(n_days, n_paths) what the levers change together, in their order."""
    world = small_world()
    money = Spending(spend_of_paths(), {}, np.arange(len(DAYS)), np.ones(len(DAYS)), world.responses, Bases())
    found = lower_levers([lever_of(kind, **values) for kind, values in levers], world)
    state = found.start(money)
    for one in found.lowered:
        state.apply(one.primitives)
    return money.held(state.change(None))


@pytest.mark.parametrize(("kind", "values"), [item[1:] for item in LEVERS + UNCERTAIN], ids=[item[1] for item in LEVERS + UNCERTAIN])
def test_engine_does_what_the_slow_twin_does(kind: str, values: dict[str, Any]) -> None:
    np.testing.assert_allclose(delta((kind, values)), total(lowered(kind, **values)), rtol=1e-9, atol=1e-6)


def test_commitment_covers_what_is_left_after_a_scale_down() -> None:
    usage = 0.4 * spend_of_paths()[[3, 4]].sum(axis=0)
    both = delta(("scale_usage", {**AWS, "factor": 0.4}), ("commit", {**AWS, "a_day": 500.0, "discount": 0.3}))
    cost = 500.0 + usage - np.minimum(usage, 500.0 / 0.7)
    np.testing.assert_allclose(both, cost - spend_of_paths()[[3, 4]].sum(axis=0), rtol=1e-9, atol=1e-6)


def test_discounts_multiply_and_their_order_is_no_matter() -> None:
    cache = ("cache_hit_rate", {"scope": "provider=OpenAI", "to": 0.9})
    batch = ("batch_share", {"scope": "provider=OpenAI", "to": 0.4})
    one, other = delta(cache, batch), delta(batch, cache)
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    assert (one > delta(cache) + delta(batch)).all(), "what is saved once cannot be saved again"


def test_money_that_moved_is_met_where_it_is_now() -> None:
    move = ("move_share", {"scope": "ai_model=gpt-4o,team=search", "to": "ai_model=claude-haiku", "share": 1.0, "price_ratio": 1.0})
    both = delta(move, ("change_price", {"scope": "provider=Anthropic", "factor": 2.0}))
    np.testing.assert_allclose(both, spend_of_paths()[[0, 2]].sum(axis=0), rtol=1e-9)


def test_rented_gpus_follow_prices_but_people_do_not() -> None:
    there = {"target": "provider=AWS,team=ads"}
    dearer = ("change_price", {"scope": "provider=AWS,team=ads", "factor": 1.5})
    gpus, people = ("gpus", {"count": 1, "price_an_hour": 10, **there}), ("people", {"count": 1, "cost_a_month": 9000, **there})
    np.testing.assert_allclose(delta(gpus, dearer) - delta(dearer), 1.5 * 240.0)
    np.testing.assert_allclose(delta(people, dearer) - delta(dearer), delta(people))
