"""Shares that do not hang on the order: against all orders by hand, and by what such shares must be."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.scenarios import waterfall
from forecast.scenarios.waterfall import MOST_EXACT, clusters_of, shapley
from tests.oracles.scenarios import shapley_by_orders


def game(n: int, seed: int) -> dict[tuple[int, ...], float]:
    rng = np.random.default_rng(seed)
    subsets = [subset for size in range(n + 1) for subset in combinations(range(n), size)]
    return {subset: float(rng.normal(0.0, 100.0)) if subset else 0.0 for subset in subsets}


@given(st.integers(1, 6), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_shares_are_the_mean_gain_over_all_orders(n: int, seed: int) -> None:
    value = game(n, seed)
    found = shapley([list(range(n))], n, value.__getitem__, 0)
    assert found.means == pytest.approx(shapley_by_orders(n, value), rel=1e-9, abs=1e-9)
    assert math.fsum(found.means) == pytest.approx(value[tuple(range(n))], rel=1e-12, abs=1e-9)
    assert found.method == "exact"


def additive(sizes: list[float]) -> Callable[[tuple[int, ...]], float]:
    return lambda subset: math.fsum(sizes[lever] for lever in subset)


def test_levers_that_do_nothing_to_each_other_have_what_they_do_alone() -> None:
    sizes = [1.0, -2.0, 3.5]
    assert shapley([[0], [1], [2]], 3, additive(sizes), 0).means == pytest.approx(sizes)
    assert shapley([[0, 1, 2]], 3, additive(sizes), 0).means == pytest.approx(sizes)


def test_many_levers_are_sampled_add_up_exactly_and_are_the_same_each_time() -> None:
    n = MOST_EXACT + 4
    sizes = [float(number) for number in range(n)]

    def value(subset: tuple[int, ...]) -> float:
        return additive(sizes)(subset) + 0.5 * len(subset) * (len(subset) - 1)

    one, two = (shapley([list(range(n))], n, value, 7) for _ in range(2))
    assert one == two
    assert one.method == "sampled"
    assert math.fsum(one.means) == pytest.approx(value(tuple(range(n))), rel=1e-12)
    # Antithetic pairs take what is quadratic in the number of levers apart without error.
    assert one.means == pytest.approx([size + 0.5 * (n - 1) for size in sizes])


def test_clusters_are_levers_that_meet_directly_or_through_others() -> None:
    touched = [frozenset({1, 2}), frozenset({5}), frozenset({2, 3}), frozenset({3, 4}), frozenset[int]()]
    assert sorted(clusters_of(touched)) == [[0, 2, 3], [1], [4]]


@pytest.mark.parametrize("wrong", ["in their order", "alone"])
def test_checks_bite(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_their_order(levers: tuple[int, ...], value: Callable[[tuple[int, ...]], float]) -> list[float]:
        before = [value(levers[:place]) if place else 0.0 for place in range(len(levers))]
        return [value(levers[: place + 1]) - before[place] if wrong == "in their order" else value((lever,)) for place, lever in enumerate(levers)]

    monkeypatch.setattr(waterfall, "_exact", in_their_order)
    value = game(4, 1)
    assert shapley([list(range(4))], 4, value.__getitem__, 0).means != pytest.approx(shapley_by_orders(4, value))
