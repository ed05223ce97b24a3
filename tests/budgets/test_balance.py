"""Balances: what is left and what is lost, in money and in units, from the same paths as the overrun."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from forecast.budgets.balance import balance_fields, probability_unused, remaining, remaining_paths
from forecast.budgets.overrun import expected_overrun, overrun_probability
from forecast.errors import InputError

RNG = np.random.default_rng(5)
COSTS = RNG.lognormal(3.0, 0.4, (4, 300))
TOTALS = COSTS.sum(axis=0)


def test_unused_and_overrun_are_two_sides_of_the_same_paths() -> None:
    for amount in (60.0, 85.0, 120.0):
        found = balance_fields(TOTALS, amount, used=0.0, spent=0.0)
        assert found["forfeited"] - expected_overrun(TOTALS, amount) == pytest.approx(amount - TOTALS.mean())
        assert found["probability_unused"] == pytest.approx(1.0 - overrun_probability(0.0, TOTALS, amount))
        assert found["forfeited_share"] == pytest.approx(found["forfeited"] / amount)
        assert found["unused"]["mean"] == pytest.approx(found["forfeited"])


def test_remaining_paths_are_what_walking_through_the_steps_finds() -> None:
    left = remaining_paths(COSTS, 70.0)
    for path in range(0, 300, 37):
        balance = 70.0
        for step in range(4):
            balance -= COSTS[step, path]
            assert left[step, path] == pytest.approx(max(balance, 0.0))
    assert (np.diff(left, axis=0) <= 0.0).all()


def test_balance_over_time_ends_with_what_is_unused() -> None:
    ends = [date(2027, month, 1) for month in (2, 3, 4, 5)]
    found = balance_fields(TOTALS, 90.0, used=0.0, spent=0.0, ends=ends, costs=COSTS)
    assert [row["day"] for row in found["over_time"]] == ["2027-02-01", "2027-03-01", "2027-04-01", "2027-05-01"]
    last = {name: found["over_time"][-1][name] for name in ("mean", "p10", "p50", "p90")}
    assert last == pytest.approx(found["unused"])
    means = [row["mean"] for row in found["over_time"]]
    assert means == sorted(means, reverse=True)


def test_units_are_money_divided_by_their_price() -> None:
    found = balance_fields(TOTALS, 90.0, used=30.0, spent=25.0, unit="credits", unit_price=0.01)
    units = found["units"]
    assert (units["unit"], units["amount"], units["spent"], units["remaining"]["p50"]) == ("credits", pytest.approx(9000), pytest.approx(2500), 6000)
    assert units["unused"]["p90"] == pytest.approx(100 * found["unused"]["p90"])
    assert units["forfeited"] == pytest.approx(100 * found["forfeited"])
    assert balance_fields(TOTALS, 90.0, used=30.0, spent=30.0)["units"] is None


def test_pending_bills_make_todays_balance_uncertain() -> None:
    found = balance_fields(TOTALS, 200.0, used=20.0 + COSTS[0], spent=20.0)
    assert found["remaining"]["p10"] < found["remaining"]["p90"]
    settled = balance_fields(TOTALS, 200.0, used=20.0, spent=20.0)["remaining"]
    assert settled == {"mean": 180.0, "p10": 180.0, "p50": 180.0, "p90": 180.0}


def test_refund_leaves_no_more_than_was_paid_and_an_overrun_no_less_than_nothing() -> None:
    assert remaining(np.array([-10.0, 0.0, 40.0, 400.0]), 100.0).tolist() == [100.0, 100.0, 60.0, 0.0]


def test_exactly_the_amount_leaves_nothing() -> None:
    assert probability_unused(np.array([100.0, 99.0, 101.0, 100.0]), 100.0) == 0.25


def test_costs_without_their_days_are_refused() -> None:
    with pytest.raises(InputError):
        balance_fields(TOTALS, 90.0, used=0.0, spent=0.0, costs=COSTS)
    with pytest.raises(InputError):
        balance_fields(TOTALS, 90.0, used=0.0, spent=0.0, ends=[date(2027, 1, 1)])
