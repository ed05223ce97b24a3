"""Caches, batches, spot, retries and requests: limits, direction, and the cost of work that is done twice."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.scenarios.unit_economics import (
    break_even_overhead,
    break_even_retry_rate,
    discounted_factor,
    moved_cost_ratio,
    request_money,
    spot_discount,
    useful_share,
)

shares = st.floats(0.0, 1.0)
discounts = st.floats(0.0, 0.95)


@given(shares, shares, discounts)
def test_going_there_and_back_restores_cost(before: float, after: float, discount: float) -> None:
    there, back = discounted_factor(before, after, discount), discounted_factor(after, before, discount)
    assert float(there * back) == pytest.approx(1.0, rel=1e-12)


@given(shares, shares, shares, discounts)
def test_more_discounted_work_never_costs_more(before: float, one: float, other: float, discount: float) -> None:
    low, high = sorted((one, other))
    assert discounted_factor(before, high, discount) <= discounted_factor(before, low, discount) + 1e-12
    assert 1.0 - discount - 1e-12 <= float(discounted_factor(0.0, one, discount)) <= 1.0


@given(shares, discounts)
def test_same_share_changes_nothing(share: float, discount: float) -> None:
    assert float(discounted_factor(share, share, discount)) == 1.0


def test_what_is_free_already_stays_so() -> None:
    assert float(discounted_factor(1.0, 0.5, 1.0)) == 1.0


@given(st.floats(0.0, 0.9))
def test_spot_saves_nothing_at_the_break_even_overhead(discount: float) -> None:
    assert float(spot_discount(discount, break_even_overhead(discount))) == pytest.approx(0.0, abs=1e-12)
    assert float(spot_discount(discount, 0.0)) == pytest.approx(discount)


@given(st.floats(0.0, 1e4), st.floats(0.0, 1e4), st.floats(0.0, 2.0), discounts)
def test_hours_billed_now_cost_what_they_cost_now(cheap: float, dear: float, overhead: float, discount: float) -> None:
    """Useful hours × (1 − discount × share) is the bill: what is undone is what was there."""
    share = useful_share(cheap, dear, overhead)
    useful = dear + cheap / (1.0 + overhead)
    cost = useful * (1.0 - float(spot_discount(discount, overhead)) * share)
    assert cost == pytest.approx(dear + cheap * (1.0 - discount), rel=1e-9, abs=1e-9)


@given(st.floats(0.01, 3.0), st.floats(0.5, 2.0))
def test_a_move_saves_nothing_at_the_break_even_retries(price: float, tokens: float) -> None:
    rate = break_even_retry_rate(price, tokens)
    if price * tokens <= 1.0:
        assert float(moved_cost_ratio(price, tokens, rate)) == pytest.approx(1.0)
    else:
        assert rate == 0.0


def test_limits() -> None:
    assert break_even_overhead(1.0) == math.inf
    assert break_even_retry_rate(0.0, 1.0) == math.inf
    assert useful_share(0.0, 0.0, 0.1) == 0.0


def test_a_request_costs_its_tokens_at_the_price_of_a_million() -> None:
    assert float(request_money(2000.0, 500.0, 2.5, 10.0)) == pytest.approx(0.01)
    assert request_money(np.array([1e6, 0.0]), 0.0, 3.0, 1.0).tolist() == [3.0, 0.0]
