"""Error trajectories: what they keep, what the newest origins lack, and what a stretch is centred on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from forecast.forecasters.baselines import RunRate
from forecast.forecasters.calibration import ErrorBank, choose_origins
from forecast.forecasters.combination import SpendForecaster
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


@pytest.mark.parametrize("days", [14, 20, 31, 90, 200, 548])
def test_origins_leave_their_first_window_before_the_end_and_some_the_whole_trajectory(days: int) -> None:
    history = history_of(to_matrix(long_panel(autoregressive_panel(1, 2, days)), "D"))
    origins, block = choose_origins(history)
    assert len(origins) >= 1
    assert (origins + min(block, 28) <= days).all()
    assert origins[0] + block <= days
    assert (np.diff(origins) > 0).all()


def test_longer_stretches_stand_on_fewer_windows() -> None:
    _, long = bank(500)
    assert long.edges.tolist() == [0, 7, 28, 91]
    assert (np.diff(long.windows) < 0).all()


def test_the_newest_origins_lend_their_first_window_as_it_was() -> None:
    """A jump in the last month is in the error record, and what follows it there is finite and centred like the rest."""
    values = np.full((60, 400), 100.0) + autoregressive_panel(2, 60, 400) / 10
    values[:, -21:] *= 2.0
    found = RunRate().fit(long_panel(values)).bank_
    newest = found.ratios[:, :28, -1].mean(axis=1)
    assert (newest > 1.5 * found.ratios[:, :28, 0].mean(axis=1)).all()
    assert np.isfinite(found.ratios).all()
    later = found.ratios[:, 28:].mean(axis=(1, 2))
    np.testing.assert_allclose(later, 0.8, rtol=0.1)


def test_paths_keep_the_mean_that_the_errors_justify() -> None:
    fitted, _ = bank(400)
    paths = fitted.simulate(91, n_paths=3000, seed=2)
    for begin, end in ((0, 7), (7, 28), (28, 91)):
        mean = paths.values[:, begin:end].mean(axis=(1, 2))
        np.testing.assert_allclose(mean, fitted.points(np.array([400]), 91)[:, 0, begin:end].mean(axis=1), rtol=0.05)


def test_a_refund_now_and_then_leaves_spend_spend() -> None:
    """One refund a quarter: paths are negative on refund days only, and the width of totals is that of the same series without."""
    clean = autoregressive_panel(5, 12, 420)
    refunded = clean.copy()
    refunded[0, 40::90] = -300.0
    with_refunds = RunRate().fit(long_panel(refunded)).simulate(28, n_paths=1000, seed=1)
    without = RunRate().fit(long_panel(clean)).simulate(28, n_paths=1000, seed=1)
    assert (with_refunds.values[1:] >= 0).all()
    assert 0.0 < (with_refunds.values[0] < 0).mean() < 0.05
    totals = with_refunds.total().to_numpy()
    spread = np.ptp(np.quantile(totals, [0.1, 0.9], axis=1), axis=0)
    usual = np.ptp(np.quantile(without.total().to_numpy(), [0.1, 0.9], axis=1), axis=0)
    assert spread[0] < 3 * usual[0]
    np.testing.assert_allclose(np.median(totals[1:], axis=1), np.median(without.total().to_numpy()[1:], axis=1), rtol=0.05)


def test_one_refund_lends_no_fortune_to_a_grant_that_begins_later() -> None:
    """Next to its own small level a refund is a huge error; a young grant borrows errors in units of a large one."""
    rng = np.random.default_rng(4)
    values = np.zeros((3, 300))
    values[0] = 500.0 * np.exp(0.1 * rng.normal(size=300))
    values[1, 120] = -5000.0
    values[2, 200:] = -1000.0 * np.exp(0.1 * rng.normal(size=100))
    paths = SpendForecaster(members=("run_rate", "recent_level")).fit(long_panel(values)).simulate(28, n_paths=300, seed=1)
    assert np.abs(paths.values[2].sum(axis=0)).max() < 10 * 28 * 1000.0
