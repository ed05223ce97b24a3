"""Every metric against its slow twin, with missing values at some places, and the promises of the docstrings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.evaluation import metrics
from tests.oracles import metrics as slow

Floats = NDArray[np.float64]
QUANTILES = (0.1, 0.25, 0.5, 0.9)


@pytest.fixture(params=["complete", "unknown_actual", "unknown_prediction", "negative", "ties"])
def pair(request: pytest.FixtureRequest) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(11)
    actual, predicted = rng.gamma(2.0, 50.0, 40), rng.gamma(2.0, 50.0, 40)
    if request.param == "unknown_actual":
        actual[[0, 7, 39]] = np.nan
    if request.param == "unknown_prediction":
        predicted[[3, 4]] = np.nan
    if request.param == "negative":
        actual -= 80.0
    if request.param == "ties":
        predicted[::3] = actual[::3]
    return actual, predicted


@pytest.mark.parametrize("name", ["mae", "wape", "bias", "calibration"])
def test_point_metric_equals_its_slow_twin(name: str, pair: tuple[Floats, Floats]) -> None:
    assert getattr(metrics, name)(*pair) == pytest.approx(getattr(slow, name)(*pair), rel=1e-12)


@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.99])
def test_quantile_loss_equals_its_slow_twin(quantile: float, pair: tuple[Floats, Floats]) -> None:
    assert metrics.quantile_loss(*pair, quantile) == pytest.approx(slow.quantile_loss(*pair, quantile), rel=1e-12)
    assert metrics.scaled_quantile_loss(*pair, quantile, 4.0) == pytest.approx(slow.quantile_loss(*pair, quantile) / 4.0, rel=1e-12)


def test_interval_metrics_equal_their_slow_twins(pair: tuple[Floats, Floats]) -> None:
    actual, middle = pair
    lower, upper = middle - 30.0, middle + 45.0
    assert metrics.coverage(actual, lower, upper) == pytest.approx(slow.coverage(actual, lower, upper))
    assert metrics.winkler_score(actual, lower, upper, 0.8) == pytest.approx(slow.winkler_score(actual, lower, upper, 0.8), rel=1e-12)


@pytest.mark.parametrize("season", [1, 7])
def test_mase_scales_by_the_mean_seasonal_difference(season: int, pair: tuple[Floats, Floats]) -> None:
    actual, predicted = pair
    scale = slow.seasonal_scale(actual, season)
    assert metrics.seasonal_scale(actual, season) == pytest.approx(scale, rel=1e-12)
    assert metrics.mase(actual, predicted, scale) == pytest.approx(slow.mae(actual, predicted) / scale, rel=1e-12)


def test_scaled_crps_and_mean_quantile_loss_equal_their_slow_twins() -> None:
    rng = np.random.default_rng(3)
    actual = rng.gamma(2.0, 50.0, 25)
    predicted = np.sort(rng.gamma(2.0, 50.0, (25, len(QUANTILES))), axis=1)
    by_level = [slow.quantile_loss(actual, predicted[:, number], level) for number, level in enumerate(QUANTILES)]
    assert metrics.mean_quantile_loss(actual, predicted, QUANTILES) == pytest.approx(sum(by_level) / len(QUANTILES), rel=1e-12)
    assert metrics.scaled_crps(actual, predicted, QUANTILES) == pytest.approx(slow.scaled_crps(actual, predicted, QUANTILES), rel=1e-12)


def test_crps_and_pit_of_samples_equal_their_slow_twins() -> None:
    rng = np.random.default_rng(5)
    samples = rng.integers(0, 12, (9, 60)).astype(np.float64)
    actual = np.array([-1.0, 0.0, 3.0, 3.5, 6.0, 11.0, 12.0, 100.0, 5.0])
    assert metrics.crps(actual, samples) == pytest.approx([slow.crps(y, row) for y, row in zip(actual, samples, strict=True)], rel=1e-12)
    assert metrics.pit(actual, samples) == pytest.approx([slow.pit(y, row) for y, row in zip(actual, samples, strict=True)], rel=1e-12)


def test_brier_score_equals_its_slow_twin() -> None:
    rng = np.random.default_rng(6)
    probability, outcome = rng.random(50), rng.integers(0, 2, 50).astype(np.float64)
    probability[4] = np.nan
    assert metrics.brier_score(probability, outcome) == pytest.approx(slow.brier_score(probability, outcome), rel=1e-12)


def test_pit_is_uniform_for_a_forecaster_that_knows_the_process() -> None:
    rng = np.random.default_rng(8)
    values = metrics.pit(rng.gamma(2.0, 1.0, 4000), rng.gamma(2.0, 1.0, (4000, 400)))
    assert np.histogram(values, bins=10, range=(0, 1))[0] / 4000 == pytest.approx(0.1, abs=0.02)


def test_crps_is_smallest_for_the_true_distribution() -> None:
    rng = np.random.default_rng(9)
    actual = rng.normal(0.0, 1.0, 2000)
    scores = {width: metrics.crps(actual, rng.normal(0.0, width, (2000, 300))).mean() for width in (0.5, 1.0, 2.0)}
    assert min(scores, key=lambda width: scores[width]) == 1.0


def test_nothing_known_is_nan_and_not_zero() -> None:
    unknown = np.array([np.nan])
    for value in (
        metrics.wape(unknown, unknown),
        metrics.wape([0.0], [0.0]),
        metrics.bias([0.0], [5.0]),
        metrics.coverage(unknown, unknown, unknown),
        metrics.brier_score([], []),
        metrics.mase([1.0], [2.0], 0.0),
        metrics.seasonal_scale([1.0, 2.0], 7),
    ):
        assert math.isnan(value)
    assert math.isnan(metrics.pit([np.nan], np.ones((1, 4)))[0])


@pytest.mark.parametrize(
    ("error", "word"), [(0.0, "run"), (0.12, "run"), (0.13, "walk"), (0.15, "walk"), (0.2, "crawl"), (0.21, "pre-crawl"), (float("nan"), None)]
)
def test_grade_is_the_finops_maturity_word(error: float, word: str | None) -> None:
    assert metrics.grade(error) == word


@pytest.mark.parametrize("level", [0.0, 1.0, 90.0, float("nan")])
def test_a_quantile_outside_zero_to_one_is_refused(level: float) -> None:
    with pytest.raises(InputError, match="strictly between 0 and 1"):
        metrics.quantile_loss([1.0], [1.0], level)


def test_predictions_without_one_column_a_quantile_are_refused() -> None:
    with pytest.raises(InputError, match="4 quantiles"):
        metrics.mean_quantile_loss([1.0], [[1.0, 2.0]], QUANTILES)
