"""The inner loop of simulation says what its slow twin says, and stops where nobody asks further."""

from __future__ import annotations

import dataclasses

import numpy as np

from forecast.forecasters.baselines import RunRate
from forecast.forecasters.calibration import ErrorBank
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.resampling import resample
from forecast.forecasters.widening import scale_factors
from tests.contracts.panels import autoregressive_panel, long_panel
from tests.oracles.resampling import held_together, spend_paths

PATHS = 40


def banked(days: int = 420) -> tuple[RunRate, ErrorBank]:
    values = autoregressive_panel(8, 5, days)
    values[1, 50::60] = -200.0  # refunds
    values[2] *= np.random.default_rng(0).random(days) < 0.2
    values[3] -= 140.0
    fitted = RunRate().fit(long_panel(values))
    return fitted, fitted.bank_


def test_paths_are_those_of_the_slow_twin() -> None:
    fitted, bank = banked()
    bank = dataclasses.replace(
        bank, one_whole=True, largest=bank.largest * np.array([[1.0], [1.0], [0.3], [1.0], [1.0]])
    )  # the third is held within reason
    block, n_origins = bank.ratios.shape[1:]
    points = fitted.points(np.array([420]), block)[:, 0]
    found = resample(bank, points, PATHS, np.random.default_rng(2), threads=1)
    rng = np.random.default_rng(2)
    factors = scale_factors(bank.windows, rng, PATHS)
    own = rng.standard_normal((5, PATHS))
    first, second = (rng.choice(n_origins, size=PATHS, p=bank.weights) for _ in range(2))
    angle = np.where(rng.random(PATHS) < 0.5, 0.0, rng.random(PATHS) * np.pi / 2)
    edges = bank.edges.tolist()
    rows = (0, 1, 2, 4)
    twins = [
        spend_paths(
            bank.ratios[row].astype(float),
            bank.weights,
            edges,
            points[row],
            bank.level[row],
            bank.pull[row],
            bank.largest[row],
            first,
            second,
            angle,
            factors,
            own[row],
            len(rows),
        )
        for row in rows
    ]
    together = np.array(held_together([twin[1:] for twin in twins], [float(bank.level[row]) for row in rows], bank.windows, edges))
    assert (np.abs(together - 1.0) > 1e-3).any()
    for row, (paths, *_), factors in zip(rows, twins, together, strict=True):
        np.testing.assert_allclose(found[row], paths * factors[:, None], rtol=1e-4, atol=1e-5 * bank.level[row])
    assert (found[3] < 0).any()


def test_short_horizons_are_the_beginning_of_long_ones() -> None:
    """At the ends of stretches, nearly: how far the next stretch would have been lifted pulls a little at the last steps."""
    fitted, bank = banked()
    points = fitted.points(np.array([420]), bank.ratios.shape[1])[:, 0]
    whole = resample(bank, points, PATHS, np.random.default_rng(2), threads=1)
    for horizon in bank.edges[1:].tolist():
        part = resample(bank, points[:, :horizon], PATHS, np.random.default_rng(2), threads=1)
        assert np.isclose(part, whole[:, :horizon], rtol=2e-2, atol=1e-4).mean() > 0.95
        assert np.isclose(part, whole[:, :horizon], rtol=1e-1, atol=1e-4).all()


def test_extreme_scales_in_one_panel_stay_finite_and_in_proportion() -> None:
    values = autoregressive_panel(8, 4, 300)
    scaled = values * np.array([1e-9, 1.0, 1e6, 1e12])[:, None]
    members = ("seasonal_naive", "run_rate", "recent_level", "structural")
    plain = SpendForecaster(members=members).fit(long_panel(values)).simulate(120, n_paths=50, seed=1).values
    found = SpendForecaster(members=members).fit(long_panel(scaled)).simulate(120, n_paths=50, seed=1).values
    assert np.isfinite(found).all()
    spread = found.std(axis=2).mean(axis=1) / found.mean(axis=(1, 2))
    np.testing.assert_allclose(spread, plain.std(axis=2).mean(axis=1) / plain.mean(axis=(1, 2)), rtol=0.2)
