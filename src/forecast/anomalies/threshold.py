"""From a declared number of false incidents a month to a threshold, by replaying history.

Each period's largest surprise over all series is what the company would have been alarmed by; periods side by side are
one incident. The threshold is the lowest one at which the replay has no more incidents than declared. That holds under
dependent parents and children, where false-discovery control would not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from forecast.anomalies.tail import trimmed_mean

Floats = NDArray[np.float64]

DAYS_A_MONTH = 365.25 / 12
LEAST = 1.0
"""A surprise of 1 is p = 0.1; thresholds are not below it. Nor is the strength of less than a series' own record news."""
OUTER_PART = 0.1
"""Share of periods from which a size beyond all of history is told."""
PRIOR_STRENGTH = 3.0
"""Strength that is asked for at least while less than FEW_DAYS have been replayed."""
FEW_DAYS = 91
FLAGS_PER_INCIDENT = 60
"""More flags than so many for each incident that is declared are too many incidents: they are not merged to be counted."""
TAIL_INDEX = 2.0
"""Strengths beyond the largest of the replay go on as a Pareto law."""
SHARE_POINTS = 64
_NO_HISTORY: Floats = np.array([[1.0], [0.01]])


def surprise_size(p_values: Floats) -> Floats:
    """−log10 p: 3 is one in a thousand."""
    return -np.log10(p_values)


def strength_threshold(strengths: Floats, false_alarms_per_month: float, n_incidents: Callable[[NDArray[np.bool_]], int]) -> float:
    """The lowest strength at which a replay has no more merged incidents than declared.

    strengths : (n, n_days) of series and days, 0 where nothing is said. n_incidents : how many incidents (n, n_days) flags make up.
    Where less than one incident is expected in all of the replay, the threshold lies beyond its largest strength.
    """
    months = strengths.shape[1] / DAYS_A_MONTH
    allowed = false_alarms_per_month * months
    levels = np.sort(strengths[strengths >= LEAST])[::-1]
    levels = np.unique(levels[: int(FLAGS_PER_INCIDENT * max(allowed, 1.0)) + 1])[::-1]
    found = LEAST
    if allowed < 1.0:
        found = float(levels[0]) * float(max(allowed, 1e-6) ** (-1.0 / TAIL_INDEX)) if len(levels) else LEAST
    elif len(levels):
        # The count grows as the level falls, but for merges; the lowest level that is still allowed is looked for by halves.
        low, high = -1, len(levels) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if n_incidents(strengths >= levels[middle]) <= allowed:
                low = middle
            else:
                high = middle - 1
        below = float(levels[low + 1]) if low + 1 < len(levels) else LEAST
        found = 0.5 * (float(levels[low]) + below) if low >= 0 else float(levels[0]) * (1.0 + 1e-6)
    return max(found, PRIOR_STRENGTH if strengths.shape[1] < FEW_DAYS else LEAST)


def share_table(strengths: Floats) -> Floats:
    """(2, k) strengths of a replay, largest first, and the share of all of them (but zeros) that reach each."""
    known = np.sort(strengths[strengths > 0.0])[::-1]
    if not len(known):
        return _NO_HISTORY
    ranks = np.unique(np.geomspace(1, len(known), SHARE_POINTS).astype(np.int64))
    return np.stack([known[ranks - 1], ranks / len(known)])


def shares_beyond(table: Floats, strengths: Floats) -> Floats:
    """How rare each strength is: the share of the replay's that reach it, and beyond its largest the law that goes on."""
    levels, shares = table
    inside = np.exp(np.interp(strengths, levels[::-1], np.log(shares[::-1])))
    beyond = shares[0] * (levels[0] / np.maximum(strengths, levels[0])) ** TAIL_INDEX
    return np.asarray(np.where(strengths < levels[-1], 1.0, np.where(strengths > levels[0], beyond, inside)))


def false_alarm_threshold(largest: Floats, periods_a_month: float, false_alarms_per_month: float) -> float:
    """Size of surprise that the replay exceeds with the declared number of merged incidents.

    largest : (n_periods,) each period's largest −log10 p over all series, NaN where nothing was scored.
    """
    sizes = np.nan_to_num(largest, nan=0.0)
    n_periods = int((sizes > 0).sum())
    rate = false_alarms_per_month / periods_a_month
    if n_periods == 0:
        return float(max(-np.log10(min(rate, 0.1)), LEAST))
    allowed = rate * n_periods
    beyond = _beyond_history(sizes, min(allowed, 1.0))
    if allowed < 1.0:
        return max(beyond, LEAST)
    levels = np.unique(sizes[sizes > 0])[::-1]
    accepted = 0
    for number, level in enumerate(levels):
        if _incidents(sizes >= level) > allowed:
            break
        accepted = number + 1
    below = float(levels[accepted]) if accepted < len(levels) else 0.0
    replayed = 0.5 * (float(levels[accepted - 1]) + below) if accepted else float(levels[0]) + 0.05
    return max(min(replayed, beyond), LEAST)


def _beyond_history(sizes: Floats, allowed: float) -> float:
    """The size that less than one incident is expected to reach: an exponential tail over the outer tenth's merged incidents.

    Its mean excess is that of the lower four fifths of them: one monster in a short history must not make the detector deaf.
    """
    start = float(np.quantile(sizes[sizes > 0], 1.0 - OUTER_PART))
    flagged = sizes >= start
    run = np.cumsum(flagged & ~np.append(False, flagged[:-1]))[flagged]
    tops = np.zeros(int(run[-1]))
    np.maximum.at(tops, run - 1, sizes[flagged])
    excess = max(trimmed_mean(np.sort(tops) - start), 0.05)
    return float(start + excess * np.log(max(len(tops) / allowed, 1.0)))


def _incidents(flagged: NDArray[np.bool_]) -> int:
    """Runs of flagged periods."""
    return int(flagged[0]) + int((flagged[1:] & ~flagged[:-1]).sum())


def score_of(sizes: Floats, threshold: float) -> Floats:
    """Score in [0, 1): 0.5 at the threshold, whatever rate was declared."""
    return sizes / (sizes + threshold)
