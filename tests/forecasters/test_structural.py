"""Structural forecaster: one large last day is no new level."""

from __future__ import annotations

import numpy as np

from forecast.forecasters.structural import MOST_GROWTH, StructuralForecaster
from tests.contracts.panels import autoregressive_panel, long_panel


def test_a_large_last_day_does_not_carry_the_next_four_weeks() -> None:
    values = autoregressive_panel(1, 12, 200)
    values[0] = 1.0
    values[0, 29::30] = 300.0
    values[0, -1] = 900.0
    fitted = StructuralForecaster().fit(long_panel(values))
    points = fitted.points(np.array([200]), 28)[:, 0]
    assert points[0].mean() <= MOST_GROWTH * fitted.history_.level(np.array([200]))[0, 0] * (1 + 1e-9)
    np.testing.assert_allclose(points[1:].mean(axis=1), 100.0, rtol=0.4)


def test_short_horizons_are_the_beginning_of_long_ones() -> None:
    fitted = StructuralForecaster().fit(long_panel(autoregressive_panel(2, 6, 200)))
    now = np.array([200])
    np.testing.assert_array_equal(fitted.points(now, 7), fitted.points(now, 91)[:, :, :7])
