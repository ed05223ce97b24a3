"""The measures of `benchmarks/panels.py` on examples small enough to work out by hand, and its windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from benchmarks.panel_measures import (
    BUDGETS,
    QUANTILES,
    bootstrap_weights,
    exceedance,
    figure,
    geometric_mean,
    interval,
    pinball,
    quantile_loss,
    seasonal_naive,
    window_scores,
)
from benchmarks.panel_sets import PanelSet, filled, windows
from benchmarks.panels import NAIVE, OURS, SUMMED, forecast_naive, forecast_ours, judged, table


def test_pinball_charges_the_quantile_for_what_came_above_and_its_complement_for_what_came_below() -> None:
    found = pinball(np.array([10.0, 10.0]), np.array([[7.0, 12.0], [10.0, 14.0]]), (0.1, 0.9))
    np.testing.assert_allclose(found, [[0.1 * 3, 0.1 * 2], [0.0, 0.1 * 4]])


def test_quantile_loss_is_twice_the_mean_over_deciles() -> None:
    # All quantiles at 8, actual 10: deciles cost 2·q, mean of q over 0.1..0.9 is 0.5, twice that is 2.
    assert quantile_loss(np.array([10.0]), np.full((1, 13), 8.0))[0] == pytest.approx(2.0)


def test_window_scores_of_two_windows_worked_out_by_hand() -> None:
    actual = np.array([[1.0, 3.0], [5.0, 5.0]])
    steps = np.stack([np.full((2, 13), 2.0), np.full((2, 13), 5.0)])
    totals = np.stack([np.linspace(2.0, 8.0, 13), np.full(13, 6.0)])
    scores = window_scores(actual, steps, totals, run_rate=np.array([2.0, 5.0]))
    assert scores["missed"].tolist() == [1.0, 4.0]  # middles are 5 and 6, totals that came 4 and 10
    assert figure(scores, "wape_total") == pytest.approx(5.0 / 14.0)
    assert figure(scores, "bias_total") == pytest.approx((1.0 - 4.0) / 14.0)
    # Steps: 1 and 3 against 2 twice cost 1 each, 5 and 5 against 5 nothing; |y| is 14 in all.
    assert figure(scores, "loss_steps") == pytest.approx(2.0 / 14.0)
    # 80 % interval of the first total is 3..7 and holds 4; the second's is the point 6 and misses 10.
    assert figure(scores, "coverage_80") == 0.5
    assert figure(scores, "above_90") == 0.5
    assert figure(scores, "below_10") == 0.0
    assert figure(scores, "coverage_80_steps") == 0.5


def test_brier_counts_a_certain_and_right_answer_as_nothing_and_a_certain_and_wrong_one_as_one() -> None:
    scores = window_scores(np.full((1, 2), 5.0), np.full((1, 2, 13), 5.0), np.full((1, 13), 10.0), run_rate=np.array([5.0]))
    assert scores["brier"][0] == 0.0
    wrong = window_scores(np.full((1, 2), 50.0), np.full((1, 2, 13), 5.0), np.full((1, 13), 1.0), run_rate=np.array([5.0]))
    assert wrong["brier"][0] == 1.0
    assert len(BUDGETS) == 8


def test_exceedance_reads_probabilities_off_the_quantiles_and_goes_on_like_a_gaussian() -> None:
    known = np.asarray(norm.ppf(QUANTILES, loc=100.0, scale=10.0))[None, :]
    limits = np.array([60.0, 95.0, 100.0, 112.8, 125.0])
    found = exceedance(limits, np.repeat(known, len(limits), axis=0))
    np.testing.assert_allclose(found, norm.sf(limits, 100.0, 10.0), atol=0.005)


def test_seasonal_naive_repeats_the_season_and_takes_totals_from_its_own_past_totals() -> None:
    history = np.array([1.0, 3.0] * 6 + [2.0, 4.0])
    steps, joint, summed = seasonal_naive(history, season=2, horizon=2)
    middle = QUANTILES.index(0.5)
    assert steps[:, middle].tolist() == [2.0, 4.0]
    # Errors of totals of two: nine origins saw 0, the last two +1 and +2.
    np.testing.assert_allclose(joint, 6.0 + np.sqrt(5.0 / 11.0) * norm.ppf(QUANTILES))
    spread = np.sqrt(2.0 / 12.0)
    np.testing.assert_allclose(summed, 6.0 + 2.0 * spread * norm.ppf(QUANTILES))


def test_seasonal_naive_without_past_totals_falls_back_on_summed_quantiles() -> None:
    _, joint, summed = seasonal_naive(np.arange(8.0), season=7, horizon=7)
    np.testing.assert_array_equal(joint, summed)


def test_bootstrap_intervals_hold_the_value_and_narrow_to_it_where_all_windows_agree() -> None:
    rows = pd.DataFrame({"unique_id": list("aabbcc"), "cutoff": [1, 2] * 3})
    weights = bootstrap_weights(rows)
    same = np.full(6, 2.0)
    assert interval(same, same * 2, weights) == [0.5, 0.5, 0.5]
    value, low, high = interval(np.arange(6.0), np.ones(6), weights)
    assert low < value < high
    assert geometric_mean([(same, same * 2, weights), (same * 8, same, weights)]) == pytest.approx([2.0, 2.0, 2.0])


def test_gaps_are_filled_from_a_season_earlier_then_later() -> None:
    found = filled(np.array([1.0, np.nan, 3.0, np.nan, 5.0, 6.0]), 2)
    assert found.tolist() == [1.0, 6.0, 3.0, 6.0, 5.0, 6.0]


def made_up(_: Path) -> pd.DataFrame:
    days = pd.date_range("2026-01-01", periods=60, freq="D")
    rng = np.random.default_rng(4)
    parts = [pd.DataFrame({"unique_id": name, "ds": days, "y": size * rng.lognormal(0.0, 0.2, 60)}) for name, size in (("a", 10.0), ("b", 50.0))]
    panel = pd.concat(parts, ignore_index=True)
    # A day that was not collected, the last one before the later cutoff.
    return panel.drop(index=panel[(panel["unique_id"] == "a") & (panel["ds"] == days[52])].index)


def test_windows_end_before_what_they_are_judged_by_and_all_methods_answer_the_same() -> None:
    panel_set = PanelSet(made_up, "D", 7, (7, 3), (7, 14, 40))
    found = list(windows("made_up", panel_set, Path()))
    assert [window.offset for window in found] == [7, 14]  # at 40 less than 60 % would be history
    assert found[0].ids == ("a", "b")
    assert found[0].train["ds"].max() == pd.Timestamp("2026-02-22")
    # At 14 the series with the missing day would be judged by it, and does not take part.
    assert found[1].ids == ("b",)
    frames = []
    for window in found:
        naive, summed = forecast_naive(window, panel_set)
        for method, made in ((OURS, forecast_ours(window, panel_set)), (NAIVE, naive), (SUMMED, summed)):
            frames.append(judged(window, panel_set, method, made))
    rows = pd.concat(frames)
    assert len(rows) == 3 * 3 * 2  # methods × windows × horizons
    for _, part in rows.groupby("horizon"):
        methods = table(part)[0]["methods"]
        assert methods[NAIVE]["totals_vs_joint"] == [1.0, 1.0, 1.0]
        assert methods[SUMMED]["steps_vs_naive"] == [1.0, 1.0, 1.0]
        assert 0.2 < methods[OURS]["steps_vs_naive"][0] < 2.0
