"""What is expected stays among what was seen, however often strange values come back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.anomalies.expectation import WAIT, Expectation, replay, transform_constant


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.05, 0.6), st.floats(2.0, 200.0))
def test_bursts_with_normal_days_between_them_move_the_level_no_further_than_they_are(seed: int, often: float, size: float) -> None:
    rng = np.random.default_rng(seed)
    values = 50.0 * np.exp(0.2 * rng.standard_normal((4, 250)))
    values[:, 30:] *= np.where(rng.random((4, 220)) < often, size, 1.0)
    values[2] *= rng.random(250) < 0.7
    constant = transform_constant(values)
    seen = replay(Expectation.new(constant, 7), values, np.arange(250) % 7)
    expected = constant[:, None] * np.sinh(seen.location[:, WAIT:])
    assert np.nanmax(expected / values.max(axis=1, keepdims=True)) < 3.0


def test_flags_that_go_on_are_the_new_normal() -> None:
    values = np.concatenate([np.full(60, 100.0), np.full(30, 1000.0)])[None, :] * np.exp(0.05 * np.random.default_rng(1).standard_normal((1, 90)))
    constant = transform_constant(values)
    seen = replay(Expectation.new(constant, 7), values, np.arange(90) % 7)
    assert 700.0 < float(constant[0] * np.sinh(seen.location[0, -1])) < 1400.0


def test_season_counts_where_there_is_one_and_the_plain_level_where_there_is_none() -> None:
    rng = np.random.default_rng(2)
    days = np.arange(400)
    week = np.where(days % 7 >= 5, 0.4, 1.0)
    values = 100.0 * np.stack([week, np.ones(400)]) * np.exp(0.1 * rng.standard_normal((2, 400)))
    constant = transform_constant(values)
    state = Expectation.new(constant, 7)
    seen = replay(state, values, days % 7)
    expected = constant[:, None] * np.sinh(seen.location[:, 200:])
    true = 100.0 * np.stack([week, np.ones(400)])[:, 200:]
    assert np.mean(np.abs(expected[0] / true[0] - 1.0)) < 0.1
    # Of seven weekdays' noise less than half is left.
    season = state.season[1] - state.season[1].mean()
    shown = np.array([state.location(phase)[1] for phase in range(7)])
    assert np.ptp(shown) < 0.6 * np.ptp(season)
