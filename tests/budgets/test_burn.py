"""Burn rates against a plan laid out day by day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.budgets.budget import Budget, Phase
from forecast.budgets.burn import burn_ratio, daily_allowance, planned_to_date, run_rate
from forecast.spend.scope import Scope

FIRST = date(2027, 1, 1)


def phased(lengths: list[int], amounts: list[float]) -> Budget:
    starts = [FIRST + timedelta(days=sum(lengths[:place])) for place in range(len(lengths))]
    phases = tuple(Phase(start, amount) for start, amount in zip(starts, amounts, strict=True))
    return Budget("b", Scope(), FIRST, FIRST + timedelta(days=sum(lengths)), sum(amounts), phases=phases)


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6), data=st.data())
def test_plan_to_date_is_the_sum_of_its_days(lengths: list[int], data: st.DataObject) -> None:
    amounts = [float(data.draw(st.integers(0, 900))) + 1.0 for _ in lengths]
    by_day = [amount / length for amount, length in zip(amounts, lengths, strict=True) for _ in range(length)]
    over = data.draw(st.integers(0, len(by_day) + 3))
    assert planned_to_date(phased(lengths, amounts), over) == pytest.approx(sum(by_day[:over]))


def test_part_of_a_day_counts_as_a_part() -> None:
    budget = phased([10, 10], [100.0, 300.0])
    assert planned_to_date(budget, 10.5) == pytest.approx(115.0)
    assert planned_to_date(budget, -1.0) == 0.0


def test_without_phases_the_ratio_is_share_used_by_share_of_time() -> None:
    budget = Budget("b", Scope(), FIRST, FIRST + timedelta(days=90), 900.0)
    assert burn_ratio(300.0, planned_to_date(budget, 30)) == pytest.approx((300.0 / 900.0) / (30 / 90))
    assert burn_ratio(0.0, planned_to_date(budget, 0)) is None


def test_with_phases_the_ratio_is_against_their_plan() -> None:
    assert burn_ratio(200.0, planned_to_date(phased([30, 60], [600.0, 300.0]), 30)) == pytest.approx(1 / 3)
    assert burn_ratio(200.0, planned_to_date(phased([30, 60], [0.0, 900.0]), 30)) is None


def test_run_rate_and_what_a_day_may_still_cost() -> None:
    assert run_rate(300.0, 10.0, 60) == 900.0
    assert daily_allowance(900.0, 300.0, 60) == 10.0
    assert daily_allowance(900.0, 1300.0, 60) == 0.0
    assert daily_allowance(900.0, 300.0, 0) is None
