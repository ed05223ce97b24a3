"""Widening: few windows widen more than many, bursts are not stretched in proportion, calm months are not believed."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.forecasters.history import history_of
from forecast.forecasters.widening import COMMON_SHARE, scale_factors, split, unseen_drift, wander, widen
from forecast.spend.panel import to_matrix
from tests.contracts.panels import autoregressive_panel, long_panel


def test_few_windows_widen_and_many_do_not() -> None:
    factors = scale_factors(np.array([1.0, 3.0, 10.0, 1000.0]), np.random.default_rng(0), 4000)
    middle = np.median(factors, axis=1)
    assert (np.diff(middle) < 0).all()
    assert middle[-1] == pytest.approx(1.0, abs=0.01)
    assert np.quantile(factors[1], 0.99) > 2 * middle[1]


def test_widening_moves_both_sides_and_tames_bursts() -> None:
    rng = np.random.default_rng(1)
    calm, bursty = np.exp(rng.normal(0, 0.1, 2000)), np.exp(rng.normal(0, 1.5, 2000))
    means, factors = np.stack([calm, bursty]), np.full((2, 2000), 1.5)
    common, alone = split(factors)
    added = widen(means, factors, np.zeros(2000))
    assert np.corrcoef(np.log(calm), added[0])[0, 1] > 0.99
    assert added[0].std() == pytest.approx((common[0, 0] - 1.0) * np.log(calm).std(), rel=0.1)
    assert added[1].std() < 0.25
    # With noise of its own the whole factor, and a series' own noise is not another's.
    whole = np.log(calm) + widen(means, factors, rng.standard_normal(2000))[0]
    assert whole.std() == pytest.approx(1.5 * np.log(calm).std(), rel=0.1)
    np.testing.assert_allclose(common**2 + alone**2, 1.5**2)


def test_sums_of_many_series_are_widened_less_than_each() -> None:
    rng = np.random.default_rng(2)
    together = rng.normal(0, 0.1, 4000)
    factors = np.full((1, 4000), 2.0)
    paths = [np.exp(together + widen(np.exp(together)[None], factors, rng.standard_normal(4000))[0]) for _ in range(50)]
    each, total = np.log(paths[0]).std(), np.log(np.sum(paths, axis=0)).std()
    assert each == pytest.approx(0.2, rel=0.1)
    assert total == pytest.approx(0.1 * np.sqrt(1 + COMMON_SHARE * 3), rel=0.1)


def test_drift_fades_with_history_and_is_nothing_after_a_year() -> None:
    found = [float(unseen_drift(history_of(to_matrix(long_panel(autoregressive_panel(1, 2, days)), "D"))).max()) for days in (31, 60, 120, 240, 365)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == 0.0


def test_a_constant_series_is_given_half_of_it() -> None:
    restless = autoregressive_panel(1, 1, 40)
    drift = unseen_drift(history_of(to_matrix(long_panel(np.concatenate([restless, np.full((1, 40), 80.0)])), "D")))
    assert drift[1] == pytest.approx(drift[0] / 2, rel=0.3)


def test_drift_grows_with_the_horizon_keeps_means_and_is_partly_common() -> None:
    paths = np.full((3, 40, 4000), 10.0, dtype=np.float32)
    wander(paths, np.array([0.02, 0.02, 0.0]), 28, np.random.default_rng(3))
    spread = np.log(paths[0]).std(axis=1)
    assert spread[0] < spread[10] < spread[27]
    assert spread[39] == pytest.approx(spread[27], rel=1e-3)
    np.testing.assert_allclose(paths.mean(axis=2), 10.0, rtol=1e-4)
    assert (paths[2] == 10.0).all()
    assert 0.2 < np.corrcoef(np.log(paths[0, 27]), np.log(paths[1, 27]))[0, 1] < 0.8
