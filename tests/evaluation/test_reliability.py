"""Coverage with intervals, reliability bins and PIT: right on data whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from forecast.errors import InputError
from forecast.evaluation.reliability import coverage_table, pit_histogram, pit_uniformity, reliability_bins
from forecast.evaluation.summary import QUANTILES, quantile_column


def made_rows(cutoffs: int, series: int, width: float, seed: int, shared: float = 0.0) -> pd.DataFrame:
    """Normal actuals around 100 and quantiles `width` times as wide as they should be; `shared` is the part common to a cutoff."""
    rng = np.random.default_rng(seed)
    noise = math.sqrt(shared) * rng.normal(size=(cutoffs, 1)) + math.sqrt(1 - shared) * rng.normal(size=(cutoffs, series))
    frame = pd.DataFrame(
        {
            "cutoff": np.repeat(np.arange(cutoffs), series),
            "unique_id": np.tile(np.arange(series), cutoffs).astype(str),
            "level": "leaf",
            "days": 28,
            "actual": 100 + noise.ravel(),
        }
    )
    for level in QUANTILES:
        frame[quantile_column(level)] = 100 + width * norm.ppf(level)
    return frame


def test_coverage_of_a_calibrated_forecast_is_nominal() -> None:
    table = coverage_table(made_rows(40, 50, 1.0, 1), draws=300)
    assert table["empirical"].to_numpy() == pytest.approx(table["nominal"].to_numpy(), abs=0.02)
    assert list(table["nominal"]) == [0.5, 0.8, 0.9, 0.95]
    assert ((table["lower"] <= table["empirical"]) & (table["empirical"] <= table["upper"])).all()


def test_narrow_intervals_are_seen_as_narrow() -> None:
    table = coverage_table(made_rows(40, 50, 0.5, 2), draws=300)
    assert table.loc[table["nominal"] == 0.8, "upper"].max() < 0.7


def test_bootstrap_interval_holds_the_truth_where_rows_of_a_cutoff_move_together() -> None:
    """Six cutoffs whose series share most of their error: rows drawn as if independent would claim to know far too much."""
    inside = 0
    independent_width = 2 * 1.645 * math.sqrt(0.8 * 0.2 / (6 * 30))
    widths = []
    for seed in range(60):
        line = coverage_table(made_rows(6, 30, 1.0, seed, shared=0.8), draws=200, seed=seed).query("nominal == 0.8")
        lower, upper = float(line["lower"].iloc[0]), float(line["upper"].iloc[0])
        inside += lower <= 0.8 <= upper
        widths.append(upper - lower)
    assert np.mean(widths) > 2 * independent_width
    assert inside / 60 > 0.7


def test_one_cutoff_has_no_interval_and_the_same_seed_the_same_one() -> None:
    rows = made_rows(1, 20, 1.0, 3)
    assert coverage_table(rows)["lower"].isna().all()
    rows = made_rows(5, 20, 1.0, 3)
    pd.testing.assert_frame_equal(coverage_table(rows, seed=4), coverage_table(rows, seed=4))


def test_reliability_bins_put_said_beside_seen() -> None:
    rng = np.random.default_rng(5)
    probability = rng.random(20_000)
    table = reliability_bins(probability, (rng.random(20_000) < probability).astype(float))
    assert len(table) == 10
    assert table["seen"].to_numpy() == pytest.approx(table["said"].to_numpy(), abs=0.03)
    assert ((table["lower"] < table["said"]) & (table["said"] < table["upper"])).mean() >= 0.7
    assert table["n"].sum() == 20_000


def test_a_probability_of_one_lies_in_the_last_bin_and_unknown_rows_are_left_out() -> None:
    table = reliability_bins([1.0, 0.0, np.nan, 0.5], [1.0, 0.0, 1.0, np.nan])
    assert table["n"].tolist() == [1, 1]
    assert table["to"].tolist() == [0.1, 1.0]
    assert table[["lower", "upper"]].to_numpy().min() >= 0
    with pytest.raises(InputError, match="1 or more"):
        reliability_bins([0.5], [1.0], bins=0)


def test_pit_histogram_shows_a_bowl_for_narrow_intervals() -> None:
    rng = np.random.default_rng(6)
    right, narrow = norm.cdf(rng.normal(size=5000)), norm.cdf(rng.normal(size=5000) * 2)
    assert pit_uniformity(right) > 0.01 > pit_uniformity(narrow)
    bowl = pit_histogram(narrow)
    assert bowl["share"].iloc[[0, -1]].min() > 2 * bowl["share"].iloc[4:6].max()
    assert bowl["n"].sum() == 5000
    assert math.isnan(pit_uniformity([np.nan]))
