from __future__ import annotations

import numpy as np
import pytest

from forecast.forecasters.history import History, history_of
from forecast.forecasters.member_weights import EQUAL_SHARE, share_of_far, weights_of
from forecast.spend.panel import to_matrix
from tests.contracts.panels import long_panel

ORIGINS = np.arange(60, 172, 7)
BLOCK = 28


def history(values: np.ndarray) -> History:
    return history_of(to_matrix(long_panel(values), "D"))


def noisy(values: np.ndarray, spread: float, seed: int) -> np.ndarray:
    """Points that err by a lasting share of what came."""
    known = history(values)
    came = np.nan_to_num(known.future(ORIGINS, BLOCK))
    return (came * np.exp(np.random.default_rng(seed).normal(0, spread, (*came.shape[:2], 1)))).astype(np.float32)


def test_the_better_member_counts_more_and_weights_sum_to_one() -> None:
    values = np.random.default_rng(1).gamma(9.0, 10.0, (20, 200))
    weights = weights_of(history(values), ORIGINS, [noisy(values, 0.2, 2), noisy(values, 0.23, 3)], 40.0, 4.0)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0)
    assert (weights[0] > 0.5).mean() > 0.9


def test_alike_members_count_alike() -> None:
    values = np.random.default_rng(2).gamma(9.0, 10.0, (5, 200))
    said = noisy(values, 0.2, 2)
    np.testing.assert_allclose(weights_of(history(values), ORIGINS, [said, said, said], 40.0, 4.0), 1 / 3)


def test_a_member_that_is_clearly_worse_takes_no_part() -> None:
    values = np.random.default_rng(3).gamma(9.0, 10.0, (20, 200))
    weights = weights_of(history(values), ORIGINS, [noisy(values, 0.2, 2), noisy(values, 0.21, 3), noisy(values, 1.0, 4)], 40.0, 4.0)
    assert (weights[2] == 0.0).all()
    assert (weights[:2] >= EQUAL_SHARE / 2).all()


def test_who_is_right_about_next_week_need_not_be_about_next_quarter() -> None:
    values = np.random.default_rng(6).gamma(9.0, 10.0, (20, 300))
    known = history(values)
    origins = np.arange(100, 200, 4)
    came = np.nan_to_num(known.future(origins, 91))
    soon, late = came.copy(), came.copy()
    soon[:, :, 28:] *= 1.4
    late[:, :, :28] *= 1.4
    weights = weights_of(known, origins, [soon.astype(np.float32), late.astype(np.float32)], 40.0, 4.0)
    assert (weights[0, :, 0] > 0.9).all()
    assert (weights[1, :, 1] > weights[1, :, 0] + 0.2).all()
    shares = share_of_far(known.rhythm, 120)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert (np.diff(shares) >= 0).all()


def test_few_origins_leave_every_member_in() -> None:
    values = np.random.default_rng(4).gamma(9.0, 10.0, (20, 200))
    said = [noisy(values, 0.2, 2)[:, -3:], noisy(values, 1.0, 4)[:, -3:]]
    assert (weights_of(history(values), ORIGINS[-3:], said, 40.0, 4.0) > 0.0).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_series_of_nothing_and_unknown_days_do_no_harm(threads: int) -> None:
    values = np.random.default_rng(5).gamma(9.0, 10.0, (80, 200))
    said = [noisy(values, 0.2, 2), noisy(values, 0.22, 3)]
    values[0], values[1, 100:120] = 0.0, np.nan
    weights = weights_of(history(values), ORIGINS, said, 40.0, 4.0, threads)
    assert np.isfinite(weights).all()
    np.testing.assert_array_equal(weights, weights_of(history(values), ORIGINS, said, 40.0, 4.0))
