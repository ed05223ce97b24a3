"""From a declared rate to a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.anomalies.threshold import DAYS_A_MONTH, false_alarm_threshold, score_of


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
