"""Overrun probabilities against enumeration, and the promises that finance relies on."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.budgets.overrun import budget_at_risk, expected_overrun, overrun_probability, standard_error
from forecast.errors import BudgetError, InputError

money = st.floats(-1e6, 1e6, allow_nan=False)
samples = st.lists(money, min_size=1, max_size=60)


@given(days=st.integers(1, 3), data=st.data())
def test_probability_is_what_enumerating_all_paths_gives(days: int, data: st.DataObject) -> None:
    paths = [data.draw(st.lists(st.integers(0, 5), min_size=days, max_size=days)) for _ in range(3)]
    spent, budget = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 20))
    over = sum(1 for path in paths if spent + sum(path) > budget)
    assert overrun_probability(spent, np.array(paths, dtype=float).sum(axis=1), budget) == over / 3


@given(spent=money, totals=samples, budget=money, more=st.floats(0, 1e6))
@settings(max_examples=200)
def test_probability_is_a_probability_and_moves_the_right_way(spent: float, totals: list[float], budget: float, more: float) -> None:
    probability = overrun_probability(spent, totals, budget)
    assert 0.0 <= probability <= 1.0
    assert overrun_probability(spent, totals, budget + more) <= probability
    assert overrun_probability(spent + more, totals, budget) >= probability


def test_exactly_the_budget_is_not_an_overrun() -> None:
    assert overrun_probability(60.0, [40.0, 40.0], 100.0) == 0.0


def test_days_that_move_together_overrun_more_often_than_days_taken_as_independent() -> None:
    """Three days of 10 or 20 each: together P(total > 50) is a half, as independent days an eighth."""
    together = np.array([30.0, 60.0])
    independent = np.array([sum(days) for days in product((10.0, 20.0), repeat=3)])
    assert overrun_probability(0.0, together, 50.0) == 0.5
    assert overrun_probability(0.0, independent, 50.0) == 0.125


def test_frame_of_totals_gives_one_probability_per_series() -> None:
    totals = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], index=pd.Index(["a", "b"], name="unique_id"))
    found = overrun_probability(0.0, totals, [1.5, 2.0])
    assert isinstance(found, pd.Series)
    assert found.to_dict() == {"a": 0.5, "b": 1.0}
    assert overrun_probability([1.0], totals.iloc[:1], 2.5) == 0.5


@pytest.mark.parametrize(
    ("spent", "totals", "budget", "field"), [(0.0, [1.0], np.nan, "budget"), (np.inf, [1.0], 1.0, "spent"), (0.0, [np.nan], 1.0, "totals")]
)
def test_numbers_that_are_not_finite_are_named(spent: float, totals: list[float], budget: float, field: str) -> None:
    with pytest.raises(InputError) as caught:
        overrun_probability(spent, totals, budget)
    assert caught.value.field == field
    assert isinstance(caught.value, BudgetError) == (field == "budget")


def test_no_paths_are_an_error_and_not_a_nan() -> None:
    with pytest.raises(InputError, match="totals"):
        overrun_probability(0.0, [], 1.0)


def test_standard_error_is_what_repeating_the_simulation_shows() -> None:
    rng = np.random.default_rng(1)
    repeats = [overrun_probability(0.0, rng.normal(100.0, 10.0, 1000), 112.8155) for _ in range(400)]
    assert standard_error(0.1, 1000) == pytest.approx(0.0095, abs=1e-4)
    assert np.std(repeats) == pytest.approx(standard_error(0.1, 1000), rel=0.15)


def test_expected_overrun_and_budget_at_risk_against_plain_loops() -> None:
    totals = np.array([80.0, 90.0, 110.0, 150.0])
    assert expected_overrun(totals, 100.0) == (0 + 0 + 10 + 50) / 4
    assert budget_at_risk(totals, 100.0, 0.9) == pytest.approx(np.quantile(totals, 0.9) - 100.0)
    assert budget_at_risk(totals, 1000.0) == 0.0
