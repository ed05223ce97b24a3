"""The measures of `benchmarks/company_forecasts.py` on examples small enough to work out by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from benchmarks.company_forecasts import BUDGETS, FIGURES, calibration_errors, figures, scores, skill, tables, true_totals
from benchmarks.company_rivals import Totals, usual_rules
from benchmarks.panel_measures import QUANTILES
from forecast.company.generate import generate
from forecast.spend.hierarchy import Hierarchy


def scored(said: float, came: float, truth: list[float], so_far: float = 100.0) -> pd.DataFrame:
    """One node that has spent 100 of a quarter, is forecast to cost `said` for sure, and whose run rate is a quarter of 200 in all."""
    budgets = np.array([[factor * (so_far + 100.0) - so_far for factor in BUDGETS]])
    return scores(Totals.of_samples(np.full((1, 50), said)), budgets, np.array([came]), np.array([truth]), np.array([so_far]))


def test_a_sure_and_right_forecast_has_no_error_and_is_within_twelve_percent() -> None:
    row = scored(100.0, 100.0, [100.0, 100.0]).iloc[0]
    assert [row[name] for name in ("missed", "apart", "brier", "brier_expected", "crps_true")] == [0.0] * 5
    assert row["within"] == row["within_true"] == 1.0
    assert row["spent"] == 200.0


def test_error_counts_in_shares_of_the_whole_quarter() -> None:
    row = scored(130.0, 110.0, [106.0, 134.0, 190.0, 80.0]).iloc[0]
    assert row["missed"] / row["spent"] == pytest.approx(20.0 / 210.0)
    assert row["within"] == 1.0
    assert row["within_true"] == 0.5  # off by 24 of 206, 4 of 234, 60 of 290 and 50 of 180
    # Left of the budgets: 70, 80, … 160. Said for sure to be passed are the first six; true are 1, ¾, ¾, ¾, ½, ½, ½, ¼, ¼, ¼.
    assert row["apart"] == pytest.approx((3 * 0.25 + 3 * 0.5 + 3 * 0.25) / 10)
    assert row["apart_90_125"] == pytest.approx((3 * 0.25 + 3 * 0.5 + 2 * 0.25) / 8)


def test_quantiles_of_a_gaussian_become_that_gaussian() -> None:
    totals = Totals.of_quantiles(50.0 + 10.0 * np.asarray(norm.ppf(QUANTILES))[None, :], np.array([True]))
    np.testing.assert_allclose(totals.exceedance(np.array([[40.0, 50.0, 75.0]]))[0], norm.sf([-1.0, 0.0, 2.5]), atol=0.004)
    assert totals.quantile(0.9)[0] == pytest.approx(50.0 + 10.0 * norm.ppf(0.9), abs=0.1)


def test_rules_of_thumb_of_a_steady_weekly_rhythm_are_all_right_and_sure() -> None:
    grid = pd.date_range("2026-01-05", periods=140, freq="D")
    daily = np.tile([10.0, 10.0, 10.0, 10.0, 10.0, 3.0, 3.0], 20)[None, :]
    for name, totals in usual_rules(daily, grid, 14).items():
        assert totals.mean[0] == pytest.approx(112.0), name
        assert totals.quantile(0.9)[0] - totals.quantile(0.1)[0] < (1.0 if name != "run_rate_normal" else 60.0), name


def test_bounds_of_months_are_added_up_where_an_interval_is_read_backwards() -> None:
    rng = np.random.default_rng(0)
    daily = 100.0 + rng.standard_normal((1, 300))
    widths = []
    for last in ("2026-01-31", "2026-02-14"):  # 28 days of one month, and 14 days of each of two
        grid = pd.date_range(end=last, periods=300, freq="D")
        made = usual_rules(daily, grid, 28)["interval_inversion"]
        widths.append(float(made.quantile(0.9)[0] - made.quantile(0.1)[0]))
    assert widths[1] > 1.2 * widths[0]


def test_figures_are_ratios_of_sums_with_an_interval_over_companies() -> None:
    rows = pd.concat([scored(100.0 + 10.0 * seed, 100.0, [100.0, 90.0]).assign(seed=seed) for seed in range(5)])
    found = figures(rows)
    value, low, high = found["wape"]
    assert value == pytest.approx(100.0 / 1000.0)
    assert low < value < high
    assert set(found) == set(FIGURES)
    table = tables(rows.assign(level="team", method="ours", elapsed=0))
    assert table["levels"]["team"]["ours"]["n"] == 5
    assert sum(row["n"] for row in table["reliability"]["team"]["ours"]) == 5 * len(BUDGETS)


def test_skill_and_calibration_error_are_those_of_who_says_it_right_and_who_says_the_reverse() -> None:
    right = pd.concat([scored(100.0, 100.0, [100.0]).assign(seed=seed) for seed in range(4)])
    wrong = pd.concat([scored(1000.0, 100.0, [100.0]).assign(seed=seed) for seed in range(4)])
    passed = sum(200.0 * factor - 100.0 >= 100.0 for factor in BUDGETS) / len(BUDGETS)  # said to be passed and not
    assert skill(right, wrong)["brier"][0] == 1.0
    assert calibration_errors(right)["came"][0] == 0.0
    assert calibration_errors(wrong)["true"][0] == pytest.approx(passed)


def test_true_totals_of_leaves_and_nodes_are_those_of_the_futures() -> None:
    company = generate(3, days=120, teams=2, cutoff=date(2026, 9, 30), futures=6, horizon=20)
    assert company.futures is not None
    names = ["provider", "service", "team"]
    leaves = company.daily[names].drop_duplicates()
    hierarchy = Hierarchy(leaves.set_index(leaves.agg("|".join, axis=1).rename("unique_id")).sort_index(), ((), ("team",), ("provider", "team")))
    found = true_totals(company.futures, hierarchy)[len(hierarchy.leaf_ids) :]
    for row, scope in zip(found, hierarchy.nodes, strict=True):
        np.testing.assert_allclose(row, company.futures.total(scope), rtol=1e-4)
