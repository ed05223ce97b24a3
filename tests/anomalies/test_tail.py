"""p-values: uniform on what they were fitted to, monotone, and sensible beyond everything that was seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from forecast.anomalies.tail import fit_tail, stretch


@pytest.mark.parametrize("draw", ["normal", "t", "skewed"])
def test_p_values_of_normal_data_are_uniform(draw: str) -> None:
    rng = np.random.default_rng(3)

    def make(n: int) -> np.ndarray:
        return {"normal": rng.standard_normal(n), "t": rng.standard_t(4, n), "skewed": rng.gumbel(size=n) - 0.5}[draw]

    p_values = fit_tail(make(20_000)).p_values(make(5_000))
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    # Two-sided at 1 %: the outer half percents of both sides.
    assert np.mean(p_values < 0.01) == pytest.approx(0.01, abs=0.006)


def test_tail_beyond_the_data_is_near_the_true_one() -> None:
    rng = np.random.default_rng(4)
    tail = fit_tail(rng.standard_t(5, 50_000))
    for z in (6.0, 8.0):
        true = 2 * stats.t(5).sf(z)
        assert tail.p_values(np.array([z]))[0] == pytest.approx(true, rel=0.8)


def test_farther_is_rarer_on_both_sides() -> None:
    tail = fit_tail(np.random.default_rng(5).standard_normal(3_000))
    z = np.linspace(0.5, 60.0, 500)
    for side in (z, -z):
        p_values = tail.p_values(side)
        assert (np.diff(p_values) <= 1e-12).all()
        assert (p_values > 0).all()


def test_no_history_still_gives_a_heavy_reference_tail() -> None:
    for surprises in (np.zeros(0), np.full(50, np.nan), np.zeros(400)):
        p_values = fit_tail(surprises).p_values(np.array([0.0, 3.0, 30.0, np.nan]))
        assert p_values[0] > 0.5
        assert p_values[2] < p_values[1] < 0.2
        assert np.isnan(p_values[3])


def test_wild_series_are_stretched_and_short_ones_are_trusted_less() -> None:
    rng = np.random.default_rng(7)
    surprises = rng.standard_normal((10, 400))
    surprises[8:] *= 4.0
    surprises[9, 30:] = np.nan
    calm, wild, short = stretch(surprises)[[0, 8, 9]]
    assert calm < 1.0 < short < wild
    assert wild > 2.0 * calm
