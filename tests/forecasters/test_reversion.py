"""Reversion: learned from bursts that ended, none where levels stay, none from two or three series or a month."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.forecasters.baselines import RunRate
from forecast.forecasters.history import History, history_of
from forecast.forecasters.reversion import overshoot, restlessness, reversion
from forecast.spend.panel import to_matrix
from tests.contracts.panels import autoregressive_panel, long_panel


def bursty(count: int, days: int, seed: int = 0) -> np.ndarray:
    """Log levels that return to their mean within about a month."""
    rng = np.random.default_rng(seed)
    level = np.zeros((count, days))
    for day in range(1, days):
        level[:, day] = 0.96 * level[:, day - 1] + 0.25 * rng.normal(size=count)
    return 100 * np.exp(level) * np.exp(0.3 * rng.normal(size=(count, days)))


def history(values: np.ndarray) -> History:
    return history_of(to_matrix(long_panel(values), "D"))


def test_the_slope_of_a_law_is_found_and_few_windows_shrink_it() -> None:
    rng = np.random.default_rng(1)
    above = rng.normal(0, 0.5, (200, 20))
    base = rng.lognormal(3, 1, (200, 1)) * np.ones((1, 20))
    came = base * np.exp(0.1 - 0.5 * above) * rng.gamma(4, 0.25, (200, 20))
    many = reversion(came, base, above, base[:, 0], 1000.0)
    assert many == pytest.approx(-0.5, rel=0.15)
    assert abs(reversion(came, base, above, base[:, 0], 3.0)) < 0.5 * abs(many)
    assert abs(reversion(came[:3], base[:3], above[:3], base[:3, 0], 1000.0)) < 0.3
    assert reversion(came, base, np.zeros_like(above), base[:, 0], 1000.0) == 0.0


def test_growth_alone_is_no_law_of_return() -> None:
    rng = np.random.default_rng(2)
    above = rng.normal(0, 0.5, (200, 20))
    base = np.ones((200, 20))
    assert reversion(base * np.exp(0.5 * above), base, above, base[:, 0], 1000.0) == 0.0


def test_steady_growth_is_not_restless_and_bursts_are() -> None:
    growing = 100 * 1.004 ** np.arange(300)[None, :] * np.exp(0.02 * np.random.default_rng(3).normal(size=(1, 300)))
    found = restlessness(history(np.concatenate([growing, bursty(1, 300)])))
    assert found[0] < 0.05 < 0.3 < found[1]
    assert restlessness(history(autoregressive_panel(1, 2, 20))).tolist() == [0.0, 0.0]


def test_nothing_is_above_usual_in_a_history_of_one_window() -> None:
    short = history(bursty(5, 28))
    np.testing.assert_allclose(overshoot(short, np.array([28])), 0.0, atol=1e-12)


def test_paths_come_back_from_a_burst() -> None:
    values = bursty(60, 500, seed=4)
    values[0, -28:] = 800.0
    fitted = RunRate().fit(long_panel(values))
    totals = fitted.simulate(91, n_paths=400, seed=1)
    assert (fitted.bank_.pull[0] < 0.95).all()
    assert float(np.median(totals.values[0, 28:].mean(axis=0))) < 0.85 * 800.0
