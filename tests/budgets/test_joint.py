"""Several budgets at once: exact answers for normal totals, a walk through the paths for any, and what always holds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from forecast.budgets.joint import contributions, given, independently, mean_of, overrun_paths, rank_correlation, together
from tests.oracles import joint_budgets as oracle

MEANS, SHARED, OWN = [100.0, 60.0, 200.0, 40.0], [12.0, 5.0, 30.0, 1.0], [6.0, 8.0, 10.0, 9.0]
AMOUNTS = [110.0, 66.0, 215.0, 48.0]
AMOUNT = 430.0
N_PATHS = 200_000

TOTALS = st.integers(1, 5).flatmap(lambda n: arrays(np.float64, (n, 12), elements=st.floats(0.0, 1e6)))


def common_shock(n_paths: int, seed: int = 7) -> NDArray[np.float64]:
    """(4, n_paths) totals of children that share a shock."""
    rng = np.random.default_rng(seed)
    shock = rng.normal(size=n_paths)
    return np.array([m + a * shock + e * rng.normal(size=n_paths) for m, a, e in zip(MEANS, SHARED, OWN, strict=True)])


def test_joint_answer_of_normal_totals_is_the_exact_one_and_the_independent_one_is_not() -> None:
    totals, amounts = common_shock(N_PATHS), np.array(AMOUNTS)
    whole = totals.sum(axis=0)
    found = together(totals, amounts, whole > AMOUNT)
    mean, deviation = oracle.moments(MEANS, SHARED, OWN)
    exact_any, exact_parent = oracle.any_over(MEANS, SHARED, OWN, AMOUNTS), oracle.over(mean, deviation, AMOUNT)
    assert found.any_child.value == pytest.approx(exact_any, abs=4 * found.any_child.standard_error)
    assert found.parent.value == pytest.approx(exact_parent, abs=4 * found.parent.standard_error)
    each = [oracle.expected_overrun(m, np.hypot(a, e), b) for m, a, e, b in zip(MEANS, SHARED, OWN, AMOUNTS, strict=True)]
    assert found.expected.value == pytest.approx(sum(each), abs=4 * found.expected.standard_error)

    apart = independently(totals, amounts, np.zeros(N_PATHS), AMOUNT, seed=1)
    alone = [np.hypot(a, e) for a, e in zip(SHARED, OWN, strict=True)]
    exact_apart = oracle.any_over(MEANS, [0.0] * 4, [float(deviation) for deviation in alone], AMOUNTS)
    assert apart.any_child == pytest.approx(exact_apart, abs=0.004)
    assert apart.parent == pytest.approx(oracle.over(mean, float(np.hypot.reduce(alone)), AMOUNT), abs=0.004)
    assert apart.any_child - exact_any > 0.1  # 0.68 against 0.55
    assert exact_parent - apart.parent > 0.06  # 0.28 against 0.21


def test_contributions_of_normal_totals_are_the_exact_ones() -> None:
    totals, amounts = common_shock(N_PATHS), np.array(AMOUNTS)
    whole = totals.sum(axis=0)
    found = contributions(totals, amounts, whole > AMOUNT)
    for number, estimate in enumerate(found):
        exact = oracle.contribution(number, MEANS, SHARED, OWN, AMOUNTS, AMOUNT)
        assert estimate.value == pytest.approx(exact, abs=4 * estimate.standard_error)
    mean, deviation = oracle.moments(MEANS, SHARED, OWN)
    rest = (sum(AMOUNTS) - AMOUNT) * oracle.over(mean, deviation, AMOUNT)
    assert sum(oracle.contribution(i, MEANS, SHARED, OWN, AMOUNTS, AMOUNT) for i in range(4)) + rest == pytest.approx(
        oracle.expected_overrun(mean, deviation, AMOUNT)
    )


def test_standard_error_is_how_far_repetitions_lie_apart() -> None:
    amounts = np.array(AMOUNTS)
    runs = [common_shock(1000, seed) for seed in range(100)]
    found = [contributions(totals, amounts, totals.sum(axis=0) > AMOUNT)[2] for totals in runs]
    assert np.std([estimate.value for estimate in found]) == pytest.approx(np.mean([estimate.standard_error for estimate in found]), rel=0.3)


@for_all(TOTALS, st.data())
def test_every_number_is_what_walking_through_the_paths_finds(totals: NDArray[np.float64], data: st.DataObject) -> None:
    n = len(totals)
    amounts = data.draw(arrays(np.float64, n, elements=st.floats(1.0, 1e6)))
    parent, amount = totals.sum(axis=0) + data.draw(st.floats(0.0, 1e5)), data.draw(st.floats(1.0, 1e6))
    found = together(totals, amounts, parent > amount)
    slow = oracle.walk(totals.tolist(), amounts.tolist(), parent.tolist(), amount)
    for name, value in slow.items():
        assert getattr(found, name).value == pytest.approx(value, rel=1e-9, abs=1e-9), name


@for_all(TOTALS, st.data())
def test_chance_of_any_lies_between_the_largest_and_the_sum(totals: NDArray[np.float64], data: st.DataObject) -> None:
    amounts = data.draw(arrays(np.float64, len(totals), elements=st.floats(1.0, 1e6)))
    each = overrun_paths(totals, amounts).mean(axis=1)
    found = together(totals, amounts, np.zeros(12, dtype=bool))
    assert each.max() - 1e-12 <= found.any_child.value <= min(1.0, each.sum()) + 1e-12
    assert found.any_budget.value == found.any_child.value
    assert found.number.value == pytest.approx(each.sum())


@for_all(TOTALS, st.data())
def test_contributions_of_parts_add_up_to_the_expected_overrun_of_the_whole(totals: NDArray[np.float64], data: st.DataObject) -> None:
    whole = totals.sum(axis=0) + data.draw(arrays(np.float64, 12, elements=st.floats(0.0, 1e6)))
    amounts = data.draw(arrays(np.float64, len(totals), elements=st.floats(1.0, 1e6)))
    amount = data.draw(st.floats(1.0, 5e6))
    parts = np.vstack([totals, whole - totals.sum(axis=0)])
    found = contributions(parts, np.append(amounts, amount - amounts.sum()), whole > amount)
    assert sum(estimate.value for estimate in found) == pytest.approx(np.maximum(whole - amount, 0.0).mean(), rel=1e-9, abs=1e-6)


def test_cents_are_a_hundred_times_dollars() -> None:
    totals, amounts = common_shock(500), np.array(AMOUNTS)
    over = totals.sum(axis=0) > AMOUNT
    dollars, cents = contributions(totals, amounts, over), contributions(100 * totals, 100 * amounts, over)
    assert [one.value for one in cents] == pytest.approx([100 * one.value for one in dollars])
    assert rank_correlation(100 * totals) == pytest.approx(rank_correlation(totals))


def test_ten_teams_that_only_share_their_shock_overrun_together() -> None:
    """The same 20 % each: one in five futures with all of them over, and nine in ten said of the same teams as if they were independent."""
    shock = np.tile(np.arange(100.0), (10, 1))
    amounts = np.full(10, 79.5)
    found = together(shock, amounts, shock.sum(axis=0) > 795.0)
    assert (found.any_child.value, found.parent.value, found.children_alone.value, found.parent_alone.value) == (0.2, 0.2, 0.0, 0.0)
    apart = independently(shock, amounts, np.zeros(100), 795.0, seed=3)
    assert apart.any_child == pytest.approx(1 - 0.8**10)
    assert apart.parent < 0.01
    assert rank_correlation(shock) == pytest.approx(1.0)


def test_teams_that_take_spend_from_each_other_overrun_one_at_a_time() -> None:
    up = np.arange(100.0)
    totals = np.array([up, 99.0 - up])
    found = together(totals, np.array([89.5, 89.5]), totals.sum(axis=0) > 100.0)
    assert (found.any_child.value, found.parent.value) == (0.2, 0.0)
    assert independently(totals, np.array([89.5, 89.5]), np.zeros(100), 100.0, seed=3).parent > 0.3
    assert rank_correlation(totals) == pytest.approx(-1.0)


def test_one_child_alone_is_the_same_either_way() -> None:
    totals = common_shock(1000)[:1]
    apart = independently(totals, np.array([110.0]), np.zeros(1000), 110.0, seed=5)
    assert apart.parent == pytest.approx(mean_of(totals[0] > 110.0).value)
    assert apart.any_child == pytest.approx(apart.parent)
    assert rank_correlation(totals) is None


def test_shuffling_is_decided_by_its_seed_and_keeps_the_mean() -> None:
    totals, rest = common_shock(1000), np.linspace(0.0, 50.0, 1000)
    one, same, other = (independently(totals, np.array(AMOUNTS), rest, AMOUNT, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(one.totals, same.totals)
    assert not np.array_equal(one.totals, other.totals)
    assert one.totals.mean() == pytest.approx((totals.sum(axis=0) + rest).mean())


def test_rank_correlation_is_the_mean_over_pairs_and_leaves_out_what_does_not_vary() -> None:
    totals = common_shock(400)
    totals[1, :200] = 0.0  # ties
    pairs = pd.DataFrame(totals.T).corr("spearman").to_numpy()[np.triu_indices(4, 1)]
    assert rank_correlation(np.vstack([totals, np.full(400, 5.0)])) == pytest.approx(pairs.mean())


def test_nothing_is_said_of_a_condition_that_no_path_meets() -> None:
    flags = np.array([True, False, True])
    assert given(flags, np.zeros(3, dtype=bool)) is None
    found = given(flags, np.array([True, True, False]))
    assert found is not None
    assert found.value == 0.5
