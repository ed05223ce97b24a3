"""Intermittent member: chance and size apart, honest at every origin, weekly on-days, bursts and endings."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.forecasters.baselines import RunRate
from forecast.forecasters.history import History, history_of
from forecast.forecasters.intermittent import Intermittent, on_profile, smoothed_chances, smoothed_sizes, spending
from forecast.forecasters.recent_level import RecentLevel
from forecast.spend.panel import to_matrix
from tests.contracts.panels import long_panel


def history(values: np.ndarray) -> History:
    return history_of(to_matrix(long_panel(values), "D"))


def learned(values: np.ndarray, kind: type = Intermittent) -> Intermittent:
    member = kind()
    member.history_ = history(values)
    member._learn(member.history_, None)
    return member


def bursts(count: int = 40, days: int = 400, seed: int = 3) -> np.ndarray:
    """On for about three weeks, off for about five, at a size that is new in every burst."""
    rng = np.random.default_rng(seed)
    values = np.zeros((count, days))
    for row in range(count):
        day, on = 0, rng.random() < 0.4
        while day < days:
            length = int(rng.geometric(1 / (21 if on else 35)))
            if on:
                values[row, day : day + length] = rng.lognormal(4, 0.5)
            day, on = day + length, not on
    values[:, 0] = 50.0
    return values * np.exp(rng.normal(0, 0.2, values.shape))


def test_a_silent_week_lowers_the_chance_and_leaves_the_size_alone() -> None:
    values = np.where(np.random.default_rng(1).random((1, 200)) < 0.5, 80.0, 0.0)
    values[0, 193:] = 0.0
    values[0, [0, 192]] = 80.0
    past = history(values)
    spent = spending(past)
    chances = smoothed_chances(past, spent)
    assert (chances[:2, 0, 200] < chances[:2, 0, 193]).all()
    np.testing.assert_allclose(smoothed_sizes(past, spent)[0, [193, 200]], 80.0)


def test_sizes_equal_a_plain_loop_over_the_days_with_spend_where_sizes_are_constant() -> None:
    values = np.zeros((2, 60))
    values[0, 5::7] = 30.0
    values[1, 40] = 5.0
    sizes = smoothed_sizes(history(values), spending(history(values)))
    np.testing.assert_allclose(sizes[0, 6:], 30.0)
    assert (sizes[0, :6] == 0).all()
    assert (sizes[1, :41] == 0).all()
    np.testing.assert_allclose(sizes[1, 41:], 5.0)


@pytest.mark.parametrize("origin", [120, 233, 399])
def test_points_do_not_know_what_comes_later(origin: int) -> None:
    """The shares are the pool's; everything else of an origin's points is its past."""
    values = bursts()
    member = learned(values)
    before = member.points(np.array([origin]), 30)
    changed = values.copy()
    changed[:, origin:] = np.random.default_rng(0).permutation(changed[:, origin:], axis=1) * 7.0
    other = learned(changed)
    other.shares_, other.endings_ = member.shares_, member.endings_
    np.testing.assert_allclose(other.points(np.array([origin]), 30), before)


def test_a_weekly_job_is_expected_on_its_day() -> None:
    values = np.zeros((12, 210))
    values[0, 2::7] = 100.0
    values[1:] = bursts(11, 210)
    found = learned(values).points(np.array([210]), 14)[0, 0]
    on = (210 + np.arange(14)) % 7 == 2
    assert found[on].min() > 60.0
    assert found[~on].max() < 8.0
    assert found.sum() == pytest.approx(200.0, rel=0.15)


def test_days_without_rhythm_get_hardly_any() -> None:
    values = np.where(np.random.default_rng(5).random((60, 210)) < 0.3, 10.0, 0.0)
    past = history(values)
    profile, _ = on_profile(past, spending(past), np.array([210]))
    assert float(np.abs(profile - 1.0).mean()) < 0.25
    np.testing.assert_allclose(profile.mean(axis=2), 1.0)


def test_what_has_ended_is_forecast_as_nothing() -> None:
    values = bursts(20, 400)
    values[0, :250] = 60.0
    values[0, 250:] = 0.0
    assert learned(values).points(np.array([400]), 28)[0, 0].sum() < 0.01 * 60.0 * 28


def test_a_steady_series_goes_on_as_it_was() -> None:
    values = bursts(30, 400)
    values[0] = 42.0
    np.testing.assert_allclose(learned(values).points(np.array([400]), 91)[0, 0], 42.0, rtol=0.1)


def test_bursts_are_forecast_better_than_by_the_recent_level_and_the_run_rate() -> None:
    values = bursts(60, 500)
    origins = np.arange(200, 472, 14)
    errors = {}
    for kind in (Intermittent, RecentLevel, RunRate):
        member = learned(values, kind)
        came = member.history_.future(origins, 28)
        errors[kind] = {
            width: float(np.abs(member.points(origins, 28)[..., :width].sum(axis=2) - came[..., :width].sum(axis=2)).sum() / came[..., :width].sum())
            for width in (7, 28)
        }
    assert errors[Intermittent][7] < 0.8 * errors[RecentLevel][7]
    assert errors[Intermittent][28] < 0.97 * errors[RecentLevel][28]
    assert errors[Intermittent][28] < 0.97 * errors[RunRate][28]
