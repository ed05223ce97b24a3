"""The laws that spend follows, each by itself: its mean, its stationary statistics, and that its state survives any cut."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest

from forecast.company.processes import (
    Accumulation,
    Autoscaler,
    Bursts,
    DeveloperUse,
    EvaluationRuns,
    Holidays,
    LevelShifts,
    MonthEndBatch,
    MultiplicativeGrowth,
    PersistentNoise,
    Spells,
    WeeklyBatch,
    WeeklyRhythm,
    autoregression,
    held,
    logistic_switch,
    mean_below,
)
from forecast.company.span import Floats, Span
from forecast.company.stretch import Streams, Stretch

START = date(2025, 1, 1)


def stretch(days: int, seed: int = 5, whole: int | None = None) -> Stretch:
    return Stretch.beginning(Span(START, START + timedelta(days=days)), Streams(seed), whole or days).called("law")


def renewal(place: Stretch, n: int) -> Floats:
    """A value for each spell, and whether it is on."""
    on, age = Spells(np.full(n, 6.0), np.full(n, 3.0)).simulate(place)
    return held(place, "value", place.normal("values", n), age) * on


def pool(place: Stretch, n: int) -> Floats:
    return Autoscaler().machines(place, 4.0 * PersistentNoise(0.2, 0.9).factors(place.called("load"), n))


LAWS: dict[str, Callable[[Stretch, int], Floats]] = {
    "autoregression": lambda place, n: autoregression(place, "z", 0.7, n),
    "growth": lambda place, n: MultiplicativeGrowth(np.full(n, 0.4), 0.01).factors(place),
    "noise": lambda place, n: PersistentNoise(0.3, 0.6).factors(place, n),
    "level_shifts": lambda place, n: LevelShifts(0.05, 0.3).factors(place, n),
    "bursts": lambda place, n: Bursts(0.03, 0.5, 0.7).factors(place, n),
    "weekly_batch": lambda place, n: WeeklyBatch(np.arange(n) % 7).factors(place),
    "renewal": renewal,
    "developer_use": lambda place, n: DeveloperUse().factors(place, n),
    "evaluation_runs": lambda place, n: EvaluationRuns(np.full(n, 0.4)).factors(place),
    "autoscaler": pool,
    "accumulation": lambda place, n: Accumulation(np.full(n, 0.8)).factors(place),
}


@pytest.mark.parametrize("name", list(LAWS))
@pytest.mark.parametrize("cut", [1, 17, 39])
def test_a_law_in_two_stretches_is_the_law_in_one(name: str, cut: int) -> None:
    law = LAWS[name]
    whole = law(stretch(40), 6)
    first = stretch(cut, whole=40)
    parts = [law(first, 6), law(first.next(40 - cut), 6)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", list(LAWS))
def test_forks_with_one_number_are_equal_and_leave_what_really_comes_alone(name: str) -> None:
    law = LAWS[name]
    undisturbed, past = stretch(30, whole=60), stretch(30, whole=60)
    law(undisturbed, 6)
    law(past, 6)
    memory = dict(past.memory)
    one, again, other = (law(past.fork(30, 4, number, memory), 6) for number in (0, 0, 1))
    assert one.shape == (30, 4, 6)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[:, 0], one[:, 1])
    np.testing.assert_array_equal(law(past.next(30), 6), law(undisturbed.next(30), 6))


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("noise", 0.01), ("level_shifts", 0.03), ("weekly_batch", 0.02), ("developer_use", 0.08), ("evaluation_runs", 0.08)],
)
def test_factors_have_a_mean_near_one(name: str, tolerance: float) -> None:
    days = 364
    assert LAWS[name](stretch(days), 2000).mean() == pytest.approx(1.0, abs=tolerance)


def test_laws_without_noise_have_mean_one_over_whole_years_or_weeks() -> None:
    year = Span(START, START + timedelta(days=365))
    assert MonthEndBatch(9.0).factors(year).mean() == pytest.approx(1.0, abs=1e-9)
    rhythm = WeeklyRhythm.drawn(np.random.default_rng(1), np.full(5, 0.3))
    np.testing.assert_allclose(rhythm.factors(Span(START, START + timedelta(days=364))).mean(axis=0), 1.0)
    assert set(np.unique(Holidays(0.25).factors(year))) == {0.25, 1.0}


def test_autoregression_is_stationary_from_its_first_day() -> None:
    z = autoregression(stretch(30), "z", 0.8, 20_000)[:, 0]
    np.testing.assert_allclose(z.std(axis=1), 1.0, atol=0.025)
    for lag in (1, 7):
        assert np.corrcoef(z[10], z[10 + lag])[0, 1] == pytest.approx(0.8**lag, abs=0.025)


def test_growth_is_a_log_random_walk_around_its_drift() -> None:
    law = MultiplicativeGrowth(np.full(4000, 0.5), 0.01, swing=0.0)
    log = np.log(law.factors(stretch(366))[:, 0])
    steps = np.diff(log, axis=0)
    assert steps.std() == pytest.approx(0.01, rel=0.01)
    assert abs(np.corrcoef(steps[:-1].ravel(), steps[1:].ravel())[0, 1]) < 0.005
    assert (log[-1] - log[0]).mean() == pytest.approx(0.5 - 0.01**2 / 2 * 365, abs=0.02)
    assert (log[-1] - log[0]).std() == pytest.approx(0.01 * np.sqrt(365), rel=0.05)
    assert np.exp(log).mean() == pytest.approx(1.0, abs=0.02)


def test_wandering_drift_makes_a_quarters_growth_persist() -> None:
    log = np.log(MultiplicativeGrowth(np.zeros(3000), 0.0, swing=0.35).factors(stretch(181))[:, 0])
    first, second = log[90] - log[0], log[180] - log[90]
    assert 0.3 < np.corrcoef(first, second)[0, 1] < 0.9


def test_level_shifts_are_rare_and_return_to_the_middle() -> None:
    log = np.log(LevelShifts(0.05, 0.3).factors(stretch(200), 2000)[:, 0])
    assert (np.diff(log, axis=0) != 0.0).mean() == pytest.approx(0.05, abs=0.003)
    assert log.std() == pytest.approx(0.3, abs=0.01)
    jumped = np.diff(log, axis=0) != 0.0
    assert np.corrcoef(log[:-1][jumped], log[1:][jumped])[0, 1] == pytest.approx(0.5, abs=0.03)


def test_bursts_die_out() -> None:
    factors = Bursts(0.01, 0.5, 0.7).factors(stretch(100), 2000)[:, 0]
    assert factors.min() >= 1.0
    log = np.log(factors)
    fading = (log[:-1] > 0.1) & (log[1:] < log[:-1])
    assert np.median(log[1:][fading] / log[:-1][fading]) == pytest.approx(0.7, abs=1e-6)


def test_spells_have_their_mean_lengths_and_share() -> None:
    on, age = Spells(np.full(2000, 8.0), np.full(2000, 4.0)).simulate(stretch(300))
    assert on.mean() == pytest.approx(8.0 / 12.0, abs=0.01)
    ended_on = (age[1:, 0] == 0) & on[:-1, 0]
    assert (age[:-1, 0][ended_on] + 1).mean() == pytest.approx(8.0, rel=0.05)


def test_a_held_value_changes_only_with_its_spell() -> None:
    place = stretch(120)
    _, age = Spells(np.full(50, 6.0), np.full(50, 3.0)).simulate(place)
    value = held(place, "value", place.normal("values", 50), age)
    np.testing.assert_array_equal(np.diff(value, axis=0) != 0.0, age[1:] == 0)


def test_developer_use_is_intermittent_heavy_tailed_and_capped() -> None:
    use = DeveloperUse().factors(stretch(364), 1500)[:, 0]
    assert 0.28 < (use == 0.0).mean() < 0.40
    assert use.std() / use.mean() > 2.0
    law = DeveloperUse()
    assert use.max() <= law.most / (mean_below(law.most, 1.0) * 0.4)
    weekday = stretch(364).span.weekday
    assert (use[weekday < 5] == 0.0).mean() + 0.3 < (use[weekday >= 5] == 0.0).mean()


def test_mean_of_a_capped_lognormal_is_exact() -> None:
    draws = np.exp(1.5 * np.random.default_rng(0).standard_normal(2_000_000) - 1.5**2 / 2)
    assert mean_below(8.0, 1.5) == pytest.approx(float(np.minimum(draws, 8.0).mean()), abs=0.004)
    assert mean_below(1e12, 1.5) == pytest.approx(1.0)


def test_evaluation_runs_are_rare_at_weekends() -> None:
    place = stretch(364)
    runs = EvaluationRuns(np.full(1000, 0.3)).factors(place)[:, 0] > 0.0
    weekday = place.span.weekday
    assert runs[weekday < 5].mean() > 4.0 * runs[weekday >= 5].mean()


def test_weekly_batch_runs_on_its_weekday_only() -> None:
    place = stretch(70)
    batch = WeeklyBatch(np.array([0, 3])).factors(place)[:, 0]
    for column, weekday in enumerate((0, 3)):
        assert (batch[place.span.weekday != weekday, column] == 0.0).all()
        assert set(np.unique(batch[:, column])) <= {0.0, 7.0, 14.0}


def test_month_end_is_its_peak_times_the_quiet_days() -> None:
    factors = MonthEndBatch(9.0).factors(Span(START, START + timedelta(days=31)))[:, 0, 0]
    assert factors[[0, 29, 30]] == pytest.approx(9.0 * factors[10])
    assert (factors[1:29] == factors[10]).all()


def test_pool_of_an_autoscaler_carries_its_load_in_whole_shifts_and_stays_between_reviews() -> None:
    place = stretch(300)
    load = 4.0 * PersistentNoise(0.2, 0.9).factors(place.called("load"), 200)
    machines = Autoscaler().machines(place, load)
    assert (machines >= load).all()
    np.testing.assert_array_equal(machines * 4, np.round(machines * 4))
    assert 0.2 < (np.diff(machines, axis=0) == 0.0).mean() < 0.8
    assert machines.mean() / load.mean() == pytest.approx(1.28, abs=0.06)
    assert (Autoscaler().machines(stretch(5), np.zeros((5, 1, 3))) == 0.0).all()


def test_accumulation_never_falls_and_grows_at_its_pace() -> None:
    stock = Accumulation(np.full(500, 0.8)).factors(stretch(366))[:, 0]
    assert (np.diff(stock, axis=0) > 0.0).all()
    assert stock[-1].mean() == pytest.approx(1.8, abs=0.02)


def test_logistic_switch_takes_its_width_and_leaves_no_tails() -> None:
    share = logistic_switch(np.arange(200), np.array([100.0]), np.array([40.0]))[:, 0]
    assert share[100] == 0.5
    assert (np.diff(share) >= 0.0).all()
    assert share[79] < 0.02 < 0.98 < share[121]
    assert share[60] == 0.0
    assert share[140] == 1.0
