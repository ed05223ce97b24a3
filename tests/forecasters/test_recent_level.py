from __future__ import annotations

import numpy as np
import pytest

from forecast.forecasters.history import history_of
from forecast.forecasters.recent_level import CREDIT_LIFE, RecentLevel
from forecast.spend.panel import to_matrix
from tests.contracts.panels import long_panel


def points(values: np.ndarray, horizon: int = 28, half_life: float | None = None) -> np.ndarray:
    model = RecentLevel(half_life=half_life)
    model.history_ = history_of(to_matrix(long_panel(values), "D"))
    model._learn(model.history_, None)
    return model.points(np.array([model.history_.n_periods]), horizon)[:, 0]


def test_level_is_the_exponentially_weighted_mean() -> None:
    values = np.random.default_rng(1).gamma(3.0, 10.0, (4, 120))
    weights = 0.5 ** (np.arange(120)[::-1] / 9.0)
    expected = (values * weights).sum(axis=1) / weights.sum()
    np.testing.assert_allclose(points(values, half_life=9.0)[:, :28].mean(axis=1), expected)


def test_days_before_a_series_began_do_not_count() -> None:
    values = np.zeros((1, 100))
    values[0, 60:] = 50.0
    np.testing.assert_allclose(points(values), 50.0)


def test_a_weekly_rhythm_is_followed_and_shrunk_and_moves_no_week() -> None:
    weekday = np.array([1.4, 1.4, 1.4, 1.4, 1.4, 0.0, 0.0])
    values = np.tile(100.0 * weekday, 20)[None]
    found = points(values, 7)[0]
    assert found.mean() == pytest.approx(found.sum() / 7)
    assert found[:5].min() > 105.0
    assert 0.0 < found[5] < 70.0


def test_credits_follow_at_once() -> None:
    # A grant that was used up a week ago is over.
    values = np.full((1, 100), -200.0)
    values[0, 92:] = 0.0
    half_life = 11.2
    kept = 0.5 ** (8 / (CREDIT_LIFE * half_life))
    assert points(values)[0].mean() == pytest.approx(-200.0 * kept, rel=0.01)
