"""Whatever numbers a panel holds, the answer is finite, of the right sign, and reached without a warning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from forecast.errors import InsufficientHistoryError
from forecast.forecasters.autoregression import Autoregression
from forecast.forecasters.base import Forecaster
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.fitted_level import FittedLevel
from forecast.forecasters.intermittent import Intermittent
from forecast.forecasters.structural import StructuralForecaster
from tests.contracts.panels import long_panel

SIZES = [0.0, 0.0, 1.0, 1.0, 3.0, -2.0, 1e-9, 1e12, -1e6, 1e-17, float("nan")]

FORECASTERS: list[Forecaster] = [
    FittedLevel(),
    Intermittent(),
    Autoregression(),
    StructuralForecaster(),
    SpendForecaster(members=("seasonal_naive", "run_rate", "recent_level", "structural", "autoregression")),
]


@st.composite
def matrices(draw: Any) -> np.ndarray:
    """A few series of odd values in runs, as real ones change: rarely, and by orders of magnitude."""
    periods = draw(st.integers(14, 80))
    rows: list[np.ndarray] = []
    for _ in range(draw(st.integers(1, 5))):
        values = np.empty(0)
        while len(values) < periods:
            values = np.concatenate([values, np.full(draw(st.integers(1, 40)), draw(st.sampled_from(SIZES)))])
        noise = draw(st.sampled_from([0.0, 0.1, 1.0]))
        rows.append(values[:periods] * np.exp(noise * np.random.default_rng(len(rows)).normal(size=periods)).clip(0, 10))
    return np.array(rows)


@pytest.mark.parametrize("forecaster", FORECASTERS, ids=lambda one: type(one).__name__)
@given(values=matrices(), horizon=st.sampled_from([1, 5, 120]))
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
def test_paths_are_finite_and_negative_only_where_history_is(forecaster: Forecaster, values: np.ndarray, horizon: int) -> None:
    values = np.clip(values, -1e12, 1e12)
    try:
        paths = clone(forecaster).fit(long_panel(values)).simulate(horizon, n_paths=7, seed=1).values
    except InsufficientHistoryError:
        return
    assert np.isfinite(paths).all()
    spent = np.nan_to_num(values)
    assert (paths[(spent >= 0).all(axis=1)] >= 0).all()
    assert (paths[(spent == 0).all(axis=1)] == 0).all()
