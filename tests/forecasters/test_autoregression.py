from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from forecast.forecasters.autoregression import STAGES, Autoregression, scaled, solved
from forecast.forecasters.history import history_of, rhythm_of
from forecast.forecasters.lagged_designs import Design, cycle_of, designs_of
from forecast.forecasters.lagged_features import OUTLIER, Moments, moments, recursion
from forecast.spend.panel import to_matrix
from tests.contracts.panels import long_panel

DESIGN = Design(difference=7, moves_at=1, moves=(1, 2, 7), gaps=((14,), (14, 21)), linear=False, half_life=40.0, trust=5.0)


def seasonal(seed: int = 1, count: int = 3, days: int = 160) -> np.ndarray:
    rng = np.random.default_rng(seed)
    level = np.exp(np.cumsum(rng.normal(0, 0.02, (count, days)), axis=1))
    return 100 * level * (1 + 0.5 * np.sin(2 * np.pi * np.arange(days) / 7)) * rng.lognormal(0, 0.1, (count, days))


def fitted(values: np.ndarray, freq: str = "D") -> Autoregression:
    panel = long_panel(values)
    if freq != "D":
        panel["ds"] = np.tile(pd.date_range("2020-01-05", periods=values.shape[1], freq=freq), len(values))
    model = Autoregression(freq=freq)
    model.history_ = history_of(to_matrix(panel, freq))
    model.series_ids_ = model.history_.ids
    model._learn(model.history_, None)
    return model


def now(model: Autoregression) -> np.ndarray:
    return np.array([model.history_.n_periods])


def slow_features(x: np.ndarray, t: int, move: float, gap_sizes: list[float]) -> list[float]:
    """Features of one period of one series, in plain words."""
    found = []
    for lag in DESIGN.moves:
        step = x[t - lag] - x[t - lag - 1] if t - lag - 1 >= 0 else 0.0
        found.append(float(np.clip(step / move, -OUTLIER, OUTLIER)))
    for lags, size in zip(DESIGN.gaps, gap_sizes, strict=True):
        there = [x[t - lag] for lag in lags if t - lag >= 0]
        gap = np.mean(there) - x[t - DESIGN.difference] if there else 0.0
        found.append(float(np.clip(gap / size, -OUTLIER, OUTLIER)))
    return found


def slow_sizes(x: np.ndarray) -> tuple[float, float, list[float]]:
    k = DESIGN.difference
    sizes = []
    for lags in DESIGN.gaps:
        gaps = [np.mean([x[t - lag] for lag in lags if t >= lag]) - x[t - k] for t in range(k, len(x)) if any(t >= lag for lag in lags)]
        sizes.append(float(np.sqrt(np.mean(np.square(gaps)))))
    return float(np.sqrt(np.mean(np.diff(x) ** 2))), float(np.sqrt(np.mean((x[k:] - x[:-k]) ** 2))), sizes


def test_coefficients_are_those_of_sklearns_ridge_around_the_pool() -> None:
    values = seasonal()
    level = values.mean(axis=1)
    x = scaled(values, level[:, None], DESIGN.linear)
    first, end = np.zeros(3, dtype=np.int64), np.full(3, values.shape[1])
    found = moments(x, first, end, DESIGN)
    pool, own = solved(found, DESIGN)
    for row in range(3):
        move, spread, gap_sizes = slow_sizes(x[row])
        periods = range(DESIGN.difference + 1, values.shape[1])
        table = np.array([slow_features(x[row], t, move, gap_sizes) for t in periods])
        answer = np.clip([(x[row, t] - x[row, t - DESIGN.difference]) / spread for t in periods], -OUTLIER, OUTLIER)
        weight = 0.5 ** ((values.shape[1] - 1 - np.array(periods)) / DESIGN.half_life)
        ridge = Ridge(alpha=DESIGN.trust, fit_intercept=False, solver="cholesky").fit(table, answer - table @ pool, sample_weight=weight)
        np.testing.assert_allclose(own[row], ridge.coef_ + pool, rtol=1e-8, atol=1e-10)


def test_recursion_is_the_plain_loop() -> None:
    values = seasonal()
    x = scaled(values, values.mean(axis=1)[:, None], DESIGN.linear)
    found = Moments(*moments(x, np.zeros(3, dtype=np.int64), np.full(3, values.shape[1]), DESIGN))
    _, own = solved(found, DESIGN)
    coefficients = own * found.spread[:, None] / found.sizes
    got = recursion(x.T, np.ones_like(x.T, dtype=bool), 20, DESIGN, coefficients.T, (OUTLIER * found.sizes).T)
    for row in range(3):
        line = list(x[row])
        limit = OUTLIER * found.sizes[row]
        moved = [0.0] + [float(np.clip(step, -limit[0], limit[0])) for step in np.diff(x[row])]
        for _ in range(20):
            t = len(line)
            change = sum(coefficients[row, p] * moved[t - lag] for p, lag in enumerate(DESIGN.moves))
            for p, lags in enumerate(DESIGN.gaps, start=len(DESIGN.moves)):
                change += coefficients[row, p] * np.clip(np.mean([line[t - lag] for lag in lags]) - line[t - DESIGN.difference], -limit[p], limit[p])
            line.append(line[t - DESIGN.difference] + change)
            moved.append(line[t] - line[t - 1])
        np.testing.assert_allclose(got[:, row], line[-20:], rtol=1e-10)


def test_a_season_on_a_growing_level_is_followed() -> None:
    days = np.arange(240)
    values = (100 * 1.002**days * (1 + 0.6 * np.sin(2 * np.pi * days / 7)))[None]
    model = fitted(values[:, :212])
    said = model.points(now(model), 28)[0, 0]
    np.testing.assert_allclose(said, values[0, 212:], rtol=0.05)


def test_weeks_a_year_ago_teach_weekly_series() -> None:
    weeks = np.arange(52 * 8)
    rng = np.random.default_rng(2)
    values = (200 * (1 + 0.5 * np.sin(2 * np.pi * weeks / 52)) * np.exp(np.cumsum(rng.normal(0, 0.01, (6, len(weeks))), axis=1)))[:, :403]
    model = fitted(values[:, :390], "W-SUN")
    said = model.points(now(model), 13)[:, 0]
    last = np.abs(values[:, 389:390] - values[:, 390:]).mean()
    assert np.abs(said - values[:, 390:]).mean() < 0.4 * last


def test_points_at_a_past_origin_know_nothing_of_what_came_after() -> None:
    values = seasonal(3, 5, 200)
    origin = int(np.ceil(STAGES[1] * 200)) + 3
    changed = values.copy()
    changed[:, origin:] = 7.0
    one, other = fitted(values), fitted(changed)
    np.testing.assert_array_equal(one.points(np.array([origin]), 14), other.points(np.array([origin]), 14))


def test_points_of_an_origin_do_not_depend_on_which_others_are_asked_for() -> None:
    model = fitted(seasonal(4, 4, 180))
    origins = np.array([90, 120, 150, 180])
    together = model.points(origins, 10)
    for place, origin in enumerate(origins):
        np.testing.assert_allclose(together[:, place], model.points(np.array([origin]), 10)[:, 0], rtol=1e-12)


def test_batches_and_threads_change_nothing() -> None:
    model = fitted(seasonal(5, 150, 90))
    said = model.points(np.array([60, 90]), 7).astype(np.float32)
    np.testing.assert_array_equal(model.points_in_batches(np.array([60, 90]), 7, threads=2), said)


def test_state_is_plain_data_and_brings_the_same_points() -> None:
    model = fitted(seasonal(6))
    learned = model._learned_points()
    assert all(isinstance(value, np.ndarray | int) for value in learned.values())
    json.dumps({name: value for name, value in learned.items() if not isinstance(value, np.ndarray)})
    restored = Autoregression()
    restored.history_ = model.history_
    restored._restore_points(learned)
    np.testing.assert_array_equal(restored.points(now(model), 30), model.points(now(model), 30))


def test_new_days_are_followed_without_learning_again() -> None:
    values = seasonal(7, 4, 200)
    model = Autoregression().fit(long_panel(values[:, :190]))
    before = model.coefficients_.copy()
    new = long_panel(values)
    model.update(new[new["ds"] >= new["ds"].min() + pd.Timedelta(days=190)])
    np.testing.assert_array_equal(model.coefficients_, before)
    assert model.history_.n_periods == 200
    np.testing.assert_allclose(model.points(now(model), 7)[:, 0].mean(axis=1), values[:, -28:].mean(axis=1), rtol=0.5)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])
def test_points_scale_with_the_unit_of_money(scale: float) -> None:
    values = seasonal(8)
    said = fitted(values * scale).points(np.array([160]), 28)
    np.testing.assert_allclose(said, scale * fitted(values).points(np.array([160]), 28), rtol=1e-6)


def test_odd_series_give_finite_points() -> None:
    rng = np.random.default_rng(9)
    values = seasonal(9, 9, 120)
    values[0] = 0.0
    values[1] = 50.0
    values[2, :-1] = 0.0
    values[3] *= rng.random(120) < 0.1
    values[4, 30:60] = np.nan
    values[5] -= 130.0
    values[6] = -values[6]
    values[7] *= 1e12
    values[8] *= 1e-9
    model = fitted(values)
    said = model.points(np.array([1, 8, 54, 100, 120]), 91)
    assert np.isfinite(said).all()
    assert (said[0] == 0.0).all()
    np.testing.assert_allclose(said[1, -1], 50.0)
    assert (said[[0, 1, 2, 3, 4, 7, 8]] >= 0.0).all()
    assert (said[6, -1] < 0.0).all()


@pytest.mark.parametrize("days", [14, 15, 22, 40])
def test_short_histories_have_points(days: int) -> None:
    model = fitted(seasonal(10, 4, days))
    said = model.points(np.array([days // 2, days]), 28)
    assert np.isfinite(said).all()
    assert said[:, -1].mean() == pytest.approx(100, rel=0.6)


def test_one_outlier_yesterday_is_far_from_a_new_level() -> None:
    values = seasonal(11, 4, 200)
    calm = fitted(values).points(np.array([200]), 28)[:, 0].mean(axis=1)
    values[:, 199] *= 20
    assert (fitted(values).points(np.array([200]), 28)[:, 0].mean(axis=1) < 20 / 4 * calm).all()


@pytest.mark.parametrize(
    ("freq", "periods", "differences"),
    [
        ("D", 10, {1}),
        ("D", 200, {1, 7}),
        ("D", 1500, {1, 7, 364}),
        ("h", 96, {1, 24}),
        ("h", 700, {1, 24, 168}),
        ("W-SUN", 600, {1}),
        ("MS", 60, {1, 12}),
    ],
)
def test_designs_follow_rhythm_and_length(freq: str, periods: int, differences: set[int]) -> None:
    designs = designs_of(freq, rhythm_of(freq, periods), periods)
    assert {design.difference for design in designs} == differences
    assert {design.linear for design in designs} == {True, False}


def test_cycles_are_weeks_of_hours_and_years_of_days() -> None:
    assert (cycle_of("h", 24), cycle_of("30min", 48), cycle_of("D", 7), cycle_of("W-SUN", 52), cycle_of("MS", 12)) == (168, 336, 364, None, None)


def test_a_part_is_what_it_is_in_the_whole() -> None:
    model = fitted(seasonal(12, 6, 120))
    np.testing.assert_allclose(model.part(slice(2, 4)).points(np.array([120]), 9), model.points(np.array([120]), 9)[2:4], rtol=1e-12)
