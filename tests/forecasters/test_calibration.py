"""Error trajectories: what short histories add, and what a stretch does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from forecast.forecasters.baselines import RunRate
from forecast.forecasters.calibration import ErrorBank, choose_origins, small_sample_stretch, unseen_drift
from forecast.forecasters.history import history_of
from forecast.spend.panel import to_matrix
from tests.contracts.panels import autoregressive_panel, long_panel


def bank(days: int, count: int = 6) -> tuple[RunRate, ErrorBank]:
    fitted = RunRate().fit(long_panel(autoregressive_panel(1, count, days)))
    return fitted, fitted.bank_


def test_a_month_of_history_is_less_sure_than_its_own_errors_say() -> None:
    fitted, short = bank(31)
    with_drift = fitted.simulate(28, n_paths=2000, seed=1).total()
    fitted.bank_ = dataclasses.replace(short, drift=np.zeros(6))
    without = fitted.simulate(28, n_paths=2000, seed=1).total()
    assert (with_drift.std(axis=1) > 1.15 * without.std(axis=1)).all()
    np.testing.assert_allclose(with_drift.mean(axis=1), without.mean(axis=1), rtol=0.04)


def test_drift_fades_with_history_and_is_nothing_after_a_year() -> None:
    found = [float(unseen_drift(history_of(to_matrix(long_panel(autoregressive_panel(1, 2, days)), "D"))).max()) for days in (31, 60, 120, 240, 365)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == 0.0


def test_a_constant_series_is_given_little_of_it() -> None:
    restless = autoregressive_panel(1, 1, 40)
    drift = unseen_drift(history_of(to_matrix(long_panel(np.concatenate([restless, np.full((1, 40), 80.0)])), "D")))
    assert drift[1] == pytest.approx(drift[0] / 4, rel=0.3)


@pytest.mark.parametrize("days", [14, 20, 31, 90, 200, 548])
def test_origins_leave_their_trajectory_before_the_end(days: int) -> None:
    history = history_of(to_matrix(long_panel(autoregressive_panel(1, 2, days)), "D"))
    origins, block = choose_origins(history)
    assert len(origins) >= 1
    assert (origins + block <= days).all()
    assert (np.diff(origins) > 0).all()


def test_few_independent_origins_widen_and_many_do_not() -> None:
    assert small_sample_stretch(3) > small_sample_stretch(10) > small_sample_stretch(100) > 1.0
    assert small_sample_stretch(1000) < 1.01
