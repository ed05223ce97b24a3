"""Money once, by the month, and in another currency."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import PlanError

from .small_world import DAYS, lowered, pull, small_world, spend_of_paths, total

few = settings(max_examples=25, deadline=None)


@given(st.floats(-1e6, 1e6), st.integers(0, 89))
@few
def test_one_off_comes_once_and_whole(amount: float, day: int) -> None:
    found = total(lowered("one_off", amount=amount, day=str(DAYS[day])))
    np.testing.assert_allclose(found[day], amount)
    assert (np.delete(found, day, axis=0) == 0.0).all()


def test_one_off_without_a_day_comes_on_the_first_that_is_to_come() -> None:
    late = small_world(days=DAYS[10:], expected=np.zeros((6, 80)))
    found = lowered("one_off", late, amount=100.0)
    assert total(found, np.zeros((6, 80, 50)))[0, 0] == 100.0
    assert found.notes == ("on 2027-01-11, the first day that is still to come",)


def test_one_off_on_a_day_that_is_over_changes_nothing_and_says_so() -> None:
    late = small_world(days=DAYS[10:], expected=np.zeros((6, 80)))
    found = lowered("one_off", late, amount=100.0, day="2027-01-03")
    assert not found.primitives
    assert "is over" in found.notes[0]


def test_one_off_outside_the_days_is_refused() -> None:
    with pytest.raises(PlanError, match=r"levers\[0\].day: 2027-07-01 is outside"):
        lowered("one_off", amount=100.0, day="2027-07-01")


@given(st.floats(-500.0, 500.0), st.floats(0.0, 100.0))
@few
def test_every_month_of_seats_costs_the_same(seats: float, price: float) -> None:
    found = total(lowered("licences", seats=seats, price_a_month=price))[:, 0]
    for month in (slice(0, 31), slice(31, 59), slice(59, 90)):
        assert found[month].sum() == pytest.approx(seats * price, abs=1e-6)


def test_people_who_go_save_their_cost_where_they_are_counted() -> None:
    now, new = pull(lowered("people", count=-2, cost_a_month=9300.0, target="team=ads,stage=dev"))
    assert not new
    assert (now - spend_of_paths())[4, 0, 0] == pytest.approx(-600.0)


@given(st.floats(0.0, 3.0), st.floats(0.0, 1.0))
@few
def test_currency_moves_the_share_that_is_billed_in_it(factor: float, share: float) -> None:
    now, _ = pull(lowered("currency", scope="provider=AWS", currency="EUR", factor=factor, share=share))
    spend = spend_of_paths()
    np.testing.assert_allclose(now[[3, 4]], spend[[3, 4]] * (1 + share * (factor - 1)), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(now[[0, 1, 2, 5]], spend[[0, 1, 2, 5]])


def test_currency_of_the_answer_and_an_unknown_share_are_refused() -> None:
    with pytest.raises(PlanError, match="is the currency of the answer"):
        lowered("currency", currency="USD", factor=1.1)
    with pytest.raises(PlanError, match=r"levers\[0\].share"):
        lowered("currency", currency="EUR", factor=1.1)
