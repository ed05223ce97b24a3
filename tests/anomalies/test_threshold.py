"""From a declared rate to a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.anomalies.threshold import DAYS_A_MONTH, false_alarm_threshold, score_of, share_table, shares_beyond, strength_threshold


def incidents(sizes: np.ndarray, threshold: float) -> int:
    """Twin: walk and count beginnings."""
    count, inside = 0, False
    for size in sizes:
        if size >= threshold and not inside:
            count += 1
        inside = size >= threshold
    return count


@pytest.mark.parametrize("declared", [0.5, 1.0, 4.0])
def test_replay_has_the_declared_number_of_incidents(declared: float) -> None:
    sizes = -np.log10(np.random.default_rng(1).uniform(size=(20, 730)).min(axis=0))
    threshold = false_alarm_threshold(sizes, DAYS_A_MONTH, declared)
    assert incidents(sizes, threshold) == pytest.approx(declared * 24, abs=1.01)


def test_days_side_by_side_are_one_incident() -> None:
    sizes = np.full(300, 0.5)
    sizes[100:110] = 5.0
    assert false_alarm_threshold(sizes, DAYS_A_MONTH, 0.102) < 5.0


def test_rate_rarer_than_history_goes_beyond_its_largest_surprise() -> None:
    sizes = -np.log10(np.random.default_rng(2).uniform(size=60))
    assert false_alarm_threshold(sizes, DAYS_A_MONTH, 0.01) > sizes.max()


def test_more_alarms_allowed_never_raises_the_threshold() -> None:
    sizes = -np.log10(np.random.default_rng(3).uniform(size=400))
    found = [false_alarm_threshold(sizes, DAYS_A_MONTH, rate) for rate in (0.01, 0.1, 0.5, 1, 2, 5, 10)]
    assert found == sorted(found, reverse=True)


def test_score_is_a_half_at_the_threshold() -> None:
    assert score_of(np.array([0.0, 2.5, 1e9]), 2.5).tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_nothing_scored_gives_the_rate_itself() -> None:
    assert false_alarm_threshold(np.full(30, np.nan), DAYS_A_MONTH, 1.0) == pytest.approx(np.log10(DAYS_A_MONTH))


def flagged_days(flags: np.ndarray) -> int:
    """A plain way to count incidents: every flagged series and day is one."""
    return int(flags.sum())


@pytest.mark.parametrize("declared", [0.5, 2.0, 8.0])
def test_strength_threshold_allows_as_many_incidents_as_declared_and_no_fewer(declared: float) -> None:
    strengths = np.abs(np.random.default_rng(4).standard_cauchy((30, 400)))
    allowed = declared * 400 / DAYS_A_MONTH
    threshold = strength_threshold(strengths, declared, flagged_days)
    assert allowed - 1.01 <= flagged_days(strengths >= threshold) <= allowed


def test_strength_threshold_beyond_a_replay_that_is_too_short_for_the_rate() -> None:
    strengths = np.abs(np.random.default_rng(4).standard_cauchy((30, 100)))
    assert strength_threshold(strengths, 0.01, flagged_days) > 2.0 * strengths.max()
    assert strength_threshold(np.zeros((3, 10)), 1.0, flagged_days) == 3.0, "no history: three records"
    assert strength_threshold(np.full((3, 200), 0.2), 1.0, flagged_days) == 1.0, "never below a record"
    assert strength_threshold(np.full((30, 400), 7.0), 1.0, flagged_days) > 7.0, "where one step is too many, none are flagged"


def test_shares_are_those_of_the_replay_and_go_on_beyond_it() -> None:
    strengths = np.random.default_rng(0).pareto(2.0, (50, 400))
    table = share_table(strengths)
    wanted = np.array([0.05, 0.5, 2.0, 8.0])
    truth = np.array([(strengths >= level).mean() for level in wanted])
    np.testing.assert_allclose(shares_beyond(table, wanted), truth, rtol=0.15)
    top = strengths.max()
    np.testing.assert_allclose(shares_beyond(table, np.array([top, 2 * top])), [1 / 20_000, 0.25 / 20_000])
    assert (np.diff(shares_beyond(table, np.linspace(0.0, 3 * top, 500))) <= 1e-15).all()
    np.testing.assert_allclose(shares_beyond(share_table(np.zeros((2, 3))), np.array([0.0, 1.0, 10.0])), [1.0, 0.01, 1e-4])


def test_one_monster_in_a_short_history_hardly_moves_the_threshold() -> None:
    sizes = -np.log10(np.random.default_rng(5).uniform(size=200))
    without = false_alarm_threshold(sizes, 730.5, 1.0)
    sizes[100] = 15.0
    assert without <= false_alarm_threshold(sizes, 730.5, 1.0) < 1.15 * without


def test_beyond_history_the_threshold_is_near_the_true_one() -> None:
    """Sizes of uniform p-values are exponential: one in 2,000 periods is a size of log10(2,000)."""
    found = [false_alarm_threshold(-np.log10(np.random.default_rng(seed).uniform(size=400)), 2000.0, 1.0) for seed in range(40)]
    assert np.mean(found) == pytest.approx(np.log10(2000.0), rel=0.07)
