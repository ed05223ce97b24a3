"""The sparse map against a slow twin that keeps every leaf's spend as a number."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.scenarios.effects import Effects, Reach
from forecast.scenarios.levers import CHANGE_PRICE, MOVE_SHARE, SCALE_USAGE, Lever
from forecast.spend.scope import Scope

DAYS = np.arange(np.datetime64("2027-01-01"), np.datetime64("2027-01-11"))
N_LEAVES = 5


def lever(kind: str, first: int = 1, last: int = 11, ramp: str = "step", **values: float) -> Lever:
    return Lever(kind, Scope(), date(2027, 1, first), date(2027, 1, last) if last < 32 else date(2027, 2, 1), ramp, **values)  # type: ignore[arg-type]


def slow(spend: np.ndarray, levers: list[Lever], reaches: list[Reach]) -> np.ndarray:
    """Twin: (n_leaves, n_days) spend after the levers, one leaf and day at a time."""
    now = spend.copy()
    for item, reach in zip(levers, reaches, strict=True):
        strength = item.strength(DAYS)
        after = now.copy()
        for day in range(len(DAYS)):
            for leaf, part in zip(reach.leaves, reach.parts, strict=True):
                if item.type == MOVE_SHARE:
                    moved = now[leaf, day] * part * item.share * strength[day]
                    after[leaf, day] -= moved
                    for place, weight in zip(*reach.destinations[int(leaf)], strict=True):
                        after[place, day] += moved * weight * item.price_ratio
                else:
                    after[leaf, day] = now[leaf, day] * (1 + (item.factor - 1) * part * strength[day])
        now = after
    return now


def fast(spend: np.ndarray, levers: list[Lever], reaches: list[Reach], inside: np.ndarray | None = None) -> np.ndarray:
    effects = Effects(DAYS)
    for item, reach in zip(levers, reaches, strict=True):
        effects.apply(item, reach)
    total = spend.sum(axis=0) if inside is None else spend[inside].sum(axis=0)
    return total + sum((change * spend[source] for source, change in effects.change(inside).items()), np.zeros(len(DAYS)))


leaf_sets = st.lists(st.integers(0, N_LEAVES - 1), min_size=1, max_size=N_LEAVES, unique=True).map(sorted)


@st.composite
def steps(draw: st.DrawFn) -> tuple[Lever, Reach]:
    leaves = np.array(draw(leaf_sets))
    parts = np.array([draw(st.sampled_from([1.0, 0.25])) for _ in leaves])
    first = draw(st.integers(1, 8))
    dates: dict[str, Any] = {"first": first, "last": draw(st.integers(first + 1, 15)), "ramp": draw(st.sampled_from(["step", "linear"]))}
    if draw(st.booleans()):
        places = {int(leaf): draw(leaf_sets) for leaf in leaves}
        destinations = {leaf: (np.array(goes), np.full(len(goes), 1.0 / len(goes))) for leaf, goes in places.items()}
        item = lever(MOVE_SHARE, share=draw(st.floats(0, 1)), price_ratio=draw(st.floats(0, 3)), **dates)
        return item, Reach(leaves, parts, destinations)
    return lever(draw(st.sampled_from([SCALE_USAGE, CHANGE_PRICE])), factor=draw(st.floats(0, 4)), **dates), Reach(leaves, parts)


@given(st.lists(steps(), max_size=4), leaf_sets)
@settings(max_examples=150, deadline=None)
def test_map_is_what_moving_every_number_gives(items: list[tuple[Lever, Reach]], wanted: list[int]) -> None:
    spend = np.random.default_rng(0).uniform(1.0, 100.0, (N_LEAVES, len(DAYS)))
    levers, reaches = [item for item, _ in items], [reach for _, reach in items]
    after = slow(spend, levers, reaches)
    inside = np.isin(np.arange(N_LEAVES), wanted)
    np.testing.assert_allclose(fast(spend, levers, reaches), after.sum(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fast(spend, levers, reaches, inside), after[inside].sum(axis=0), rtol=1e-9, atol=1e-9)


def whole(*leaves: int) -> Reach:
    return Reach(np.array(leaves), np.ones(len(leaves)))


def moves(leaf: int, place: int) -> Reach:
    return Reach(np.array([leaf]), np.ones(1), {leaf: (np.array([place]), np.ones(1))})


def test_nothing_done_changes_nothing_at_all() -> None:
    effects = Effects(DAYS)
    assert effects.change() == {}
    effects.apply(lever(SCALE_USAGE, factor=1.0), whole(0, 1))
    assert effects.change() == {}


def test_scaling_and_scaling_back_restores() -> None:
    spend = np.random.default_rng(1).uniform(1, 9, (N_LEAVES, len(DAYS)))
    again = fast(spend, [lever(SCALE_USAGE, factor=3.7), lever(SCALE_USAGE, factor=1 / 3.7)], [whole(0, 2), whole(0, 2)])
    np.testing.assert_allclose(again, spend.sum(axis=0), rtol=1e-12)


def test_levers_on_disjoint_leaves_commute() -> None:
    spend = np.random.default_rng(2).uniform(1, 9, (N_LEAVES, len(DAYS)))
    one, two = (lever(SCALE_USAGE, factor=2.0), whole(0)), (lever(MOVE_SHARE, share=0.5, price_ratio=0.3), moves(1, 2))
    np.testing.assert_allclose(fast(spend, [one[0], two[0]], [one[1], two[1]]), fast(spend, [two[0], one[0]], [two[1], one[1]]), rtol=1e-12)


def test_move_at_equal_price_conserves_money() -> None:
    spend = np.random.default_rng(3).uniform(1, 9, (N_LEAVES, len(DAYS)))
    np.testing.assert_allclose(fast(spend, [lever(MOVE_SHARE, share=0.8)], [moves(0, 3)]), spend.sum(axis=0), rtol=1e-12)


def test_moved_spend_meets_later_levers_where_it_is_now() -> None:
    spend = np.ones((N_LEAVES, len(DAYS)))
    both = fast(spend, [lever(MOVE_SHARE, share=1.0), lever(CHANGE_PRICE, factor=10.0)], [moves(0, 1), whole(1)])
    assert both.tolist() == pytest.approx([3 + 20.0] * len(DAYS))
    swapped = fast(
        spend, [lever(MOVE_SHARE, share=1.0)], [Reach(np.array([0, 1]), np.ones(2), {0: (np.array([1]), np.ones(1)), 1: (np.array([0]), np.ones(1))})]
    )
    assert swapped.tolist() == pytest.approx([5.0] * len(DAYS)), "a swap moves nothing twice"
