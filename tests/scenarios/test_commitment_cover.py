"""What a commitment covers: never negative, never more than is used or paid for, and every unit of money in one place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecast.scenarios.commitment_cover import best_commitment, break_even_utilisation, cover, shortfall

usages = arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 8)), elements=st.floats(-50.0, 1e6))
commitments = st.floats(0.0, 1e6)
discounts = st.floats(0.0, 0.95)


@given(usages, commitments, discounts)
def test_every_unit_of_money_is_in_one_place(usage: np.ndarray, committed: float, discount: float) -> None:
    found = cover(usage, committed, discount)
    np.testing.assert_allclose(found.used + found.unused, committed, rtol=1e-12, atol=0.0)
    np.testing.assert_allclose(found.cost, found.used + found.unused + (usage - found.covered), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(found.cost - usage, found.change, rtol=1e-9, atol=1e-6)


@given(usages, commitments, discounts)
def test_what_is_covered_is_within_what_is_used_and_what_is_paid_for(usage: np.ndarray, committed: float, discount: float) -> None:
    found = cover(usage, committed, discount)
    assert (found.covered >= 0.0).all()
    assert (found.covered <= np.maximum(usage, 0.0)).all()
    assert (found.unused >= 0.0).all()
    assert (found.used >= 0.0).all()
    assert (found.used <= committed).all()
    assert (found.cost >= np.minimum(usage, 0.0) + committed * 0.0).all(), "nothing that is used costs less than nothing"
    assert 0.0 <= found.utilisation <= 1.0 + 1e-12
    assert 0.0 <= found.coverage <= 1.0


@given(usages, commitments, discounts, st.floats(1.0, 3.0))
def test_more_usage_never_costs_less(usage: np.ndarray, committed: float, discount: float, factor: float) -> None:
    spent = np.maximum(usage, 0.0)
    less, more = cover(spent, committed, discount), cover(spent * factor, committed, discount)
    assert (more.cost >= less.cost * (1.0 - 1e-12) - 1e-9).all()
    assert (more.unused <= less.unused + 1e-9).all()


@given(usages, commitments, st.floats(0.0, 0.9), st.floats(0.0, 0.05))
def test_a_larger_discount_never_costs_more(usage: np.ndarray, committed: float, discount: float, more: float) -> None:
    assert (cover(usage, committed, discount + more).cost <= cover(usage, committed, discount).cost + 1e-6).all()


@given(usages)
def test_no_commitment_changes_nothing(usage: np.ndarray) -> None:
    assert (cover(usage, 0.0, 0.5).change == 0.0).all()


@given(st.floats(1.0, 1e6), st.floats(0.01, 0.9), st.floats(0.05, 1.0))
def test_it_pays_exactly_above_its_break_even_utilisation(committed: float, discount: float, utilisation: float) -> None:
    found = cover(np.array([utilisation * committed / (1.0 - discount)]), committed, discount)
    assert found.utilisation == pytest.approx(utilisation)
    if abs(utilisation - break_even_utilisation(discount)) > 1e-6:
        assert (found.change[0] < 0.0) == (utilisation > break_even_utilisation(discount))


@given(arrays(np.float64, 40, elements=st.floats(0.0, 1e3)), st.floats(0.05, 0.9), st.floats(0.0, 2.0))
def test_no_other_commitment_is_expected_to_be_cheaper_than_the_best(usage: np.ndarray, discount: float, factor: float) -> None:
    best = best_commitment(usage, discount)
    other = factor * best + (factor == 0.0) * 7.0
    assert cover(usage, best, discount).cost.mean() <= cover(usage, other, discount).cost.mean() + 1e-6


def test_a_fee_is_due_only_as_far_as_spend_falls_short_of_it() -> None:
    assert shortfall(np.array([0.0, 40.0, 100.0, 160.0]), 100.0).tolist() == [100.0, 60.0, 0.0, 0.0]


def test_what_is_half_used_is_half_unused() -> None:
    # 60 a day at 40 % off cover usage of 100; of 50 used, 30 of the commitment are used up.
    found = cover(np.array([50.0, 150.0]), 60.0, 0.4)
    assert found.used.tolist() == pytest.approx([30.0, 60.0])
    assert found.unused.tolist() == pytest.approx([30.0, 0.0])
    assert found.cost.tolist() == pytest.approx([60.0, 110.0])
