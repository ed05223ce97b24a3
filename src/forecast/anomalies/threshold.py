"""From a declared number of false incidents a month to a threshold, by replaying history.

Each period's largest surprise over all series is what the company would have been alarmed by; periods side by side are
one incident. The threshold is the lowest one at which the replay has no more incidents than declared. That holds under
dependent parents and children, where false-discovery control would not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DAYS_A_MONTH = 365.25 / 12
LEAST = 1.0
"""A surprise of 1 is p = 0.1; thresholds are not below it."""


def surprise_size(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """−log10 p: 3 is one in a thousand."""
    return -np.log10(p_values)


def false_alarm_threshold(largest: NDArray[np.float64], periods_a_month: float, false_alarms_per_month: float) -> float:
    """Size of surprise that the replay exceeds with the declared number of merged incidents.

    largest : (n_periods,) each period's largest −log10 p over all series, NaN where nothing was scored.
    """
    sizes = np.nan_to_num(largest, nan=0.0)
    n_periods = int((sizes > 0).sum())
    rate = false_alarms_per_month / periods_a_month
    if n_periods == 0:
        return max(-np.log10(min(rate, 0.1)), LEAST)
    allowed = rate * n_periods
    levels = np.unique(sizes[sizes > 0])[::-1]
    if allowed < 1.0:
        # Less than one incident is expected in all of history: go on beyond its largest surprise, as an exponential tail does.
        outer = levels[: max(len(levels) // 10, 2)]
        return max(float(levels[0] + max(outer.mean() - outer[-1], 0.05) * -np.log(allowed)), LEAST)
    accepted = 0
    for number, level in enumerate(levels):
        if _incidents(sizes >= level) > allowed:
            break
        accepted = number + 1
    if accepted == 0:
        return max(float(levels[0]) + 0.05, LEAST)
    below = float(levels[accepted]) if accepted < len(levels) else 0.0
    return max(0.5 * (float(levels[accepted - 1]) + below), LEAST)


def _incidents(flagged: NDArray[np.bool_]) -> int:
    """Runs of flagged periods."""
    return int(flagged[0]) + int((flagged[1:] & ~flagged[:-1]).sum())


def score_of(sizes: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Score in [0, 1): 0.5 at the threshold, whatever rate was declared."""
    return sizes / (sizes + threshold)
