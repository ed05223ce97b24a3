"""Bought machines: what they cost a day, and where buying and renting cost the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.scenarios.own_hardware import DAYS_A_MONTH, OwnHardware, break_even_hours, break_even_months, break_even_rent

positive = st.floats(0.1, 1e5)
machines = st.builds(
    OwnHardware,
    purchase=st.floats(1e3, 1e7),
    months=st.integers(1, 96),
    kilowatts=st.floats(0.1, 500.0),
    price_a_kwh=st.floats(0.0, 1.0),
    hours_a_day=st.floats(0.5, 24.0),
    pue=st.floats(1.0, 2.5),
    staff_a_month=st.floats(0.0, 1e5),
)


@given(machines)
def test_cost_is_its_parts_and_the_purchase_is_written_off_exactly(own: OwnHardware) -> None:
    assert own.cost_a_day == pytest.approx(own.depreciation_a_day + own.energy_a_day + own.staff_a_day)
    assert own.depreciation_a_day * own.months * DAYS_A_MONTH == pytest.approx(own.purchase)
    assert own.kwh_a_day == pytest.approx(own.kilowatts * own.hours_a_day * own.pue)


@given(machines)
def test_rent_at_break_even_costs_as_much_as_owning(own: OwnHardware) -> None:
    assert break_even_rent(own) * own.hours_a_day == pytest.approx(own.cost_a_day)


@given(machines, st.floats(1.0, 1e3))
def test_owning_and_renting_cost_the_same_at_the_break_even_hours(own: OwnHardware, rent: float) -> None:
    hours = break_even_hours(own, rent)
    if math.isfinite(hours):
        at = OwnHardware(own.purchase, own.months, own.kilowatts, own.price_a_kwh, hours, own.pue, own.staff_a_month)
        assert at.cost_a_day == pytest.approx(rent * hours, rel=1e-9)
    else:
        assert rent <= own.kilowatts * own.pue * own.price_a_kwh


@given(machines, positive)
def test_saved_rent_of_the_break_even_months_is_the_purchase(own: OwnHardware, rent: float) -> None:
    months = break_even_months(own, rent)
    if math.isfinite(months):
        assert months * DAYS_A_MONTH * (rent - own.energy_a_day - own.staff_a_day) == pytest.approx(own.purchase, rel=1e-6)


def test_machines_that_never_run_have_no_break_even_rent() -> None:
    assert break_even_rent(OwnHardware(1e5, 36, 5.0, 0.2, 0.0)) == math.inf
    assert break_even_hours(OwnHardware(1e5, 36, 5.0, 2.0, 8.0), 4.0) == math.inf
    assert break_even_months(OwnHardware(1e5, 36, 5.0, 0.2, 8.0), 1.0) == math.inf


def test_a_worked_example() -> None:
    own = OwnHardware(purchase=36_525.0, months=12, kilowatts=2.0, price_a_kwh=0.25, hours_a_day=20.0, pue=1.5, staff_a_month=304.375)
    assert own.depreciation_a_day == pytest.approx(100.0)
    assert own.kwh_a_day == pytest.approx(60.0)
    assert own.cost_a_day == pytest.approx(100.0 + 15.0 + 10.0)
