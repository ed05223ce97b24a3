"""Levers on machines: rented hours cost what they cost, spot is bounded by its discount, and bought machines are written off exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import PlanError
from forecast.scenarios.own_hardware import DAYS_A_MONTH

from .small_world import DAYS, lowered, pull, spend_of_paths, total

shares = st.floats(0.0, 1.0)
few = settings(max_examples=25, deadline=None)
BOUGHT = {"purchase": 60_000.0, "months": 24, "kilowatts": 8.0, "price_a_kwh": 0.2, "hours_a_day": 20.0, "pue": 1.5, "staff": 500.0}


@given(st.floats(-50.0, 50.0), st.floats(0.0, 24.0), st.floats(0.0, 50.0))
@few
def test_rented_gpus_cost_count_times_hours_times_price(count: float, hours: float, price: float) -> None:
    found = total(lowered("gpus", count=count, hours_a_day=hours, price_an_hour=price))
    np.testing.assert_allclose(found, count * hours * price, rtol=1e-12, atol=1e-9)


def test_gpus_like_others_cost_what_those_were_billed_and_are_counted_with_them() -> None:
    found = lowered("gpus", count=2, like="provider=AWS,team=search")
    assert found.figures["price_an_hour"] == pytest.approx((1600 + 168) / (800 + 210))
    now, new = pull(found)
    np.testing.assert_allclose((now - spend_of_paths())[3], 48.0 * 1768 / 1010)
    assert not new


def test_gpus_like_something_without_hours_are_refused() -> None:
    with pytest.raises(PlanError, match=r"levers\[0\].like: nothing of provider=OpenAI is billed by machine hours"):
        lowered("gpus", count=2, like="provider=OpenAI")


def test_an_hour_of_work_costs_more_where_machines_stand_idle() -> None:
    found = lowered("gpus", count=4, price_an_hour=3.0, utilisation=0.6)
    assert found.figures["price_of_a_useful_hour"] == pytest.approx(5.0)
    assert lowered("gpus", count=4, price_an_hour=3.0, utilisation=0.0).figures["price_of_a_useful_hour"] is None


def test_taking_away_more_than_is_spent_is_said() -> None:
    assert "takes 4,800 USD a day" in lowered("gpus", count=-100, price_an_hour=2.0, target="provider=AWS,team=ads").notes[0]


def test_uncertain_count_becomes_certain_in_the_limit() -> None:
    certain = total(lowered("gpus", count=10, price_an_hour=2.0))
    wide = total(lowered("gpus", count={"expected": 10, "low": 9, "high": 12}, price_an_hour=2.0))
    assert np.quantile(wide[0], [0.1, 0.5, 0.9]) == pytest.approx([432, 480, 576], rel=0.01)
    narrow = total(lowered("gpus", count={"expected": 10, "low": 10 - 1e-9, "high": 10 + 1e-9}, price_an_hour=2.0))
    np.testing.assert_allclose(narrow, certain, rtol=1e-9)


@given(shares, shares, st.floats(0.0, 0.95), shares)
@few
def test_more_spot_never_costs_more_where_it_is_cheaper(one: float, other: float, discount: float, overhead: float) -> None:
    low, high = sorted((one, other))
    less, more = (
        total(lowered("spot_share", scope="provider=AWS", to=to, from_share=0.2, discount=discount, interruption_overhead=overhead)).sum()
        for to in (high, low)
    )
    if (1.0 - discount) * (1.0 + overhead) <= 1.0:
        assert less <= more + 1e-6
    else:
        assert less >= more - 1e-6


def test_spot_as_billed_now_changes_nothing() -> None:
    spot = lowered("spot_share", scope="provider=AWS,team=search", to=0.5, discount=0.6, interruption_overhead=0.05).figures["from_share"]
    assert spot == pytest.approx((210 / 1.05) / (210 / 1.05 + 800))
    found = lowered("spot_share", scope="provider=AWS,team=search", to=spot, discount=0.6, interruption_overhead=0.05)
    assert np.abs(total(found)).max() < 1e-9


def test_spot_leaves_storage_alone() -> None:
    now, _ = pull(lowered("spot_share", scope="provider=AWS,team=search", to=1.0, from_share=0.0, discount=0.9, interruption_overhead=0.0))
    np.testing.assert_allclose(now[3], spend_of_paths()[3] * (32 + 0.1 * 1768) / 1800)


def test_interruptions_that_eat_up_the_discount_are_said() -> None:
    found = lowered("spot_share", scope="provider=AWS", to=0.5, discount=0.3, interruption_overhead=0.5)
    assert "eat up" in found.notes[-1]
    assert total(found).sum() > 0.0
    assert found.figures["break_even_overhead"] == pytest.approx(0.3 / 0.7)


def test_bought_machines_cost_their_parts_and_end_the_rent() -> None:
    found = lowered("own_hardware", scope="provider=AWS", **BOUGHT)
    now, _ = pull(found)
    a_day = 60_000 / (24 * DAYS_A_MONTH) + 8 * 20 * 1.5 * 0.2 + 500 / DAYS_A_MONTH
    np.testing.assert_allclose(now[[3, 4]].sum(axis=0), a_day, rtol=1e-12)
    assert found.figures["own_a_day"] == pytest.approx(a_day)
    assert found.figures["energy_kwh"] == pytest.approx(8 * 20 * 1.5 * len(DAYS))
    assert found.figures["rent_a_day"] == pytest.approx(900.0)
    assert found.figures["break_even_months"] == pytest.approx(60_000 / (900 - a_day + 60_000 / (24 * DAYS_A_MONTH)) / DAYS_A_MONTH)


@given(st.floats(0.0, 1e6), st.floats(0.0, 100.0), st.floats(0.0, 2.0), st.floats(1.0, 5.0))
@few
def test_dearer_hardware_or_energy_never_costs_less(purchase: float, kilowatts: float, price: float, pue: float) -> None:
    given_ = {**BOUGHT, "purchase": purchase, "kilowatts": kilowatts, "price_a_kwh": price, "pue": pue}
    base = total(lowered("own_hardware", scope="provider=AWS", **given_)).sum()
    for name in ("purchase", "kilowatts", "price_a_kwh", "staff"):
        assert total(lowered("own_hardware", scope="provider=AWS", **{**given_, name: given_[name] + 1.0})).sum() >= base - 1e-6


def test_purchase_is_written_off_over_its_months_and_no_longer() -> None:
    found = lowered("own_hardware", scope="provider=AWS", **{**BOUGHT, "months": 1, "kilowatts": 0.0, "staff": 0.0}, replaces=0.0)
    after = total(found)
    assert (after[31:] == 0.0).all()
    assert (after[:31] > 0.0).all()
    assert after.sum(axis=0) == pytest.approx(np.full(50, 60_000.0), rel=0.02)


def test_what_was_bought_is_written_off_when_the_lever_has_ended() -> None:
    after = total(lowered("own_hardware", scope="provider=AWS", **BOUGHT, replaces=0.0, until="2027-02-01"))
    np.testing.assert_allclose(after[31:], 60_000 / (24 * DAYS_A_MONTH))
    assert (after[:31] > after[31:].max()).all()


def test_fixed_cost_beside_bought_machines_goes_on_and_is_said() -> None:
    found = lowered("own_hardware", scope="team=ads", **BOUGHT)
    assert (pull(found)[0][5] >= spend_of_paths()[5]).all()
    assert any("goes on" in note for note in found.notes)
    rent = found.figures["rent_a_day"]
    assert isinstance(rent, float)
    assert math.isclose(rent, 700.0)


def test_book_value_counts_what_was_written_off_before_the_plan() -> None:
    early = lowered("own_hardware", scope="provider=AWS", **BOUGHT, **{"from": "2026-10-03"}).figures["book_value_after"]
    assert early == pytest.approx(60_000 * (1 - 180 / (24 * DAYS_A_MONTH)))
