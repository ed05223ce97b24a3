"""The detector's part of a snapshot: arrays that training stores beside the paths, and scores that read them.

Days after the cutoff are scored by the snapshot's own predictive distribution (the same that forecasts are read from);
its outer 1 % comes from the tail fitted here. Days of the history are scored by what was expected before them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.anomalies.expectation import WAIT, Expectation, Replay, replay, settled, transform_constant
from forecast.anomalies.incidents import Flag, merge
from forecast.anomalies.tail import LEVELS, OUTER, SMALLEST_P, Tail, fit_tail, stretch
from forecast.anomalies.threshold import DAYS_A_MONTH, false_alarm_threshold, surprise_size
from forecast.errors import ArtifactError, InputError
from forecast.spend.hierarchy import COMPANY
from forecast.spend.recurring import day_kinds, recurring_items
from forecast.spend.scope import Clause, Scope

SMALLEST_PART = 0.0005
"""Deviations below this part of the company's daily spend are no surprise, whatever series they are in."""

IDLE_WINDOW = 28

MOST_FLAGS = 20_000
"""More strange values than this in a replay are more incidents than anybody declares."""

_NAMES = ("ids", "location", "spread", "constant", "threshold", "smallest_money", "tail_body", "tail_upper", "tail_lower")


@dataclass(frozen=True)
class DetectorState:
    """What `snapshot.detector` holds, by name.

    ids : (n,) names of series. location, spread : (n, n_days) one-step expectation on the transformed scale, NaN while a
    series waited. constant : (n,) of the transform. threshold : −log10 p of the declared rate. smallest_money : a deviation that matters.
    """

    row: Mapping[str, int]
    location: NDArray[np.float32]
    spread: NDArray[np.float32]
    constant: NDArray[np.float64]
    threshold: float
    smallest_money: float
    tail: Tail

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> DetectorState:
        missing = [name for name in _NAMES if name not in arrays]
        if missing:
            raise ArtifactError(f"the snapshot's detector has no {', '.join(missing)}: it was written by another version; train again")
        return cls(
            {str(name): number for number, name in enumerate(arrays["ids"])},
            arrays["location"],
            arrays["spread"],
            arrays["constant"],
            float(arrays["threshold"][0]),
            float(arrays["smallest_money"][0]),
            Tail.from_arrays(dict(arrays)),
        )


def fit_snapshot_detector(
    node_ids: Sequence[str], history: NDArray[np.float64], *, first_day: date | None = None, false_alarms_per_month: float = 1.0
) -> dict[str, NDArray[Any]]:
    """Arrays for `snapshot.detector` from the daily history of all nodes (and leaves, by their ids, where they are to be watched too).

    history : (n, n_days) cost, columns are consecutive days. first_day : of the first column; with it, days of known recurring items
    (taxes, month-end batches) are not scored and teach nothing about what is usual.
    """
    if history.ndim != 2 or history.shape[0] != len(node_ids) or history.shape[1] == 0:
        raise InputError(
            f"history has shape {history.shape} for {len(node_ids)} nodes",
            field="history",
            got=history.shape,
            allowed="(n_nodes, n_days), one day at least",
        )
    smallest = SMALLEST_PART * float(np.nanmedian(np.abs(history), axis=1).max())
    constant = transform_constant(history)
    seen = replay_days(without_recurring(history, first_day), constant, smallest)
    usual = np.where(_idle(history), np.nan, settled(seen.surprise))
    wildness = stretch(usual)[:, None]
    surprises = usual / wildness
    tail = fit_tail(surprises)
    sizes = np.where(np.isfinite(surprises), surprise_size(tail.p_values(surprises)), 0.0)
    threshold = false_alarm_threshold(sizes.max(axis=0), DAYS_A_MONTH, false_alarms_per_month)
    threshold = _merged_threshold(threshold, sizes, surprises, [_scope_of(name) for name in node_ids], false_alarms_per_month)
    return {
        "ids": np.array(list(node_ids), dtype=np.str_),
        "location": seen.location.astype(np.float32),
        "spread": (seen.spread * wildness).astype(np.float32),
        "constant": constant,
        "threshold": np.array([threshold]),
        "smallest_money": np.array([smallest]),
        **tail.arrays(),
    }


def _idle(history: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n, n_days) days before which a series had spent nothing on most days of four weeks.

    How far such a series' first dollar lies from nothing is no scale for the others: credits, taxes and one-offs would set the threshold.
    """
    spent = np.cumsum(np.nan_to_num(history) != 0.0, axis=1, dtype=np.float64)
    before = np.concatenate([np.zeros((len(history), 1)), spent[:, :-1]], axis=1)
    window = np.minimum(np.arange(history.shape[1]), IDLE_WINDOW)
    begin = np.arange(history.shape[1]) - window
    return np.asarray(before - before[:, begin] < 0.5 * window)


def without_recurring(history: NDArray[np.float64], first_day: date | None) -> NDArray[np.float64]:
    """The history with the days of recurring items unknown, from the third month of an item on."""
    if first_day is None:
        return history
    kinds = day_kinds(pd.date_range(first_day, periods=history.shape[1]))
    known = np.nan_to_num(history)
    items = recurring_items(known, kinds)
    before = np.take_along_axis(items.amounts[:, :, :-1], np.maximum(kinds, 0)[None, None, :], axis=1)[:, 0]
    expected = (before != 0.0) & (kinds >= 0)
    # Not in hindsight: an item's first months were surprises, and the threshold is about surprises.
    return np.where(expected | (items.ordinary != known), np.nan, history)


def _merged_threshold(
    least: float, sizes: NDArray[np.float64], surprises: NDArray[np.float64], scopes: Sequence[Scope], false_alarms_per_month: float
) -> float:
    """The threshold raised until the replay's incidents, merged as the product merges them, are no more than declared.

    Unrelated scopes that are strange on one day are two incidents, which counting days alone does not see.
    """
    allowed = max(false_alarms_per_month / DAYS_A_MONTH * np.isfinite(surprises).any(axis=0).sum(), 1.0)
    levels = np.unique(sizes[sizes >= least])
    # Levels are tried upwards by halves: the count falls with the threshold, but for merges that come apart.
    low, high = 0, len(levels)
    while low < high:
        middle = (low + high) // 2
        found = np.argwhere(sizes >= levels[middle])
        if len(found) > MOST_FLAGS or _n_incidents(found, surprises, scopes) > allowed:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return least
    return float(levels[low - 1] + 1e-6 if low == len(levels) else 0.5 * (levels[low - 1] + levels[low]))


def _n_incidents(found: NDArray[np.int64], surprises: NDArray[np.float64], scopes: Sequence[Scope]) -> int:
    flags = [
        Flag(number, scopes[row], date.fromordinal(column + 1), float(np.sign(surprises[row, column])), 0.0, 0.0)
        for number, (row, column) in enumerate(found.tolist())
    ]
    return len(merge(flags))


def _scope_of(name: str) -> Scope:
    """The scope that an id of a node or a leaf stands for; a leaf's id has no names, so its values count as names of their own."""
    if name == COMPANY:
        return Scope()
    return Scope.parse(name) if "=" in name else Scope((Clause("leaf", (name,)),))


def replay_days(history: NDArray[np.float64], constant: NDArray[np.float64], smallest_money: float) -> Replay:
    """One-step expectations of (n, n_days) daily costs, each from the days before it."""
    return replay(Expectation.new(constant, 7, smallest_money), history, np.arange(history.shape[1]) % 7)


def next_days(
    history: NDArray[np.float64], constant: NDArray[np.float64], smallest_money: float
) -> tuple[Replay, NDArray[np.float64], NDArray[np.float64]]:
    """Replay of a history that also gives what is expected after it: (n, 7) location and spread of the next seven days."""
    state = Expectation.new(constant, 7, smallest_money)
    n_days = history.shape[1]
    seen = replay(state, history, np.arange(n_days) % 7)
    coming = [(n_days + day) % 7 for day in range(7)]
    waits = (state.seen < WAIT)[:, None]
    location = np.where(waits, np.nan, np.stack([state.location(phase) for phase in coming], axis=1))
    spread = np.where(waits, np.nan, np.stack([state.spread(state.location(phase)) for phase in coming], axis=1))
    wildness = stretch(settled(seen.surprise))[:, None]
    return Replay(seen.location, seen.spread * wildness, seen.surprise / wildness), location, spread * wildness


@dataclass(frozen=True)
class RowScores:
    """Scores of m rows; each (m,). p_value is 1 where nothing could be expected yet."""

    expected: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    p_value: NDArray[np.float64]


def score_by_quantiles(
    state: DetectorState, costs: NDArray[np.float64], means: NDArray[np.float64], tables: NDArray[np.float64], levels: Sequence[float]
) -> RowScores:
    """Rows against predictive distributions given as quantiles.

    means : (m,). tables : (m, n_levels) quantiles at `levels`, which begin at 0.01 and end at 0.99. Inside them the p-value is
    read off, beyond them the fitted tail goes on, in units of the distance from the median to the 1 % point.
    """
    wanted = np.asarray(levels)
    median = tables[:, int(np.argmin(np.abs(wanted - 0.5)))]
    least = np.maximum(0.01 * np.abs(median), state.smallest_money)
    high, low = np.maximum(tables[:, -1] - median, least), np.maximum(median - tables[:, 0], least)
    spread_table = tables.copy()
    spread_table[:, -1], spread_table[:, 0] = median + high, median - low
    # A cost that many paths share counts on both sides.
    below, not_above = (_position(costs, spread_table, wanted, strictly) for strictly in (False, True))
    distance = costs - median
    rise = state.tail.survival(np.maximum(distance / high, 1.0), upper=True)
    fall = state.tail.survival(np.maximum(-distance / low, 1.0), upper=False)
    above_p = np.where(distance > high, rise, np.maximum(1.0 - not_above, OUTER))
    below_p = np.where(-distance > low, fall, np.maximum(below, OUTER))
    first, last = int(np.argmin(np.abs(wanted - 0.025))), int(np.argmin(np.abs(wanted - 0.975)))
    return RowScores(means, tables[:, first], tables[:, last], np.clip(2.0 * np.minimum(above_p, below_p), SMALLEST_P, 1.0))


def score_by_expectation(
    state: DetectorState, costs: NDArray[np.float64], constant: NDArray[np.float64], location: NDArray[np.float64], spread: NDArray[np.float64]
) -> RowScores:
    """Rows against one-step expectations on the transformed scale; all (m,). NaN expectations make p-values of 1."""
    waits = ~np.isfinite(location)
    surprises = np.where(waits, 0.0, (np.arcsinh(costs / constant) - location) / spread)
    low, high = np.interp((0.025, 0.975), LEVELS, state.tail.body)
    return RowScores(
        constant * np.sinh(location),
        constant * np.sinh(location + low * spread),
        constant * np.sinh(location + high * spread),
        np.where(waits, 1.0, state.tail.p_values(surprises)),
    )


def _position(costs: NDArray[np.float64], tables: NDArray[np.float64], levels: NDArray[np.float64], strictly: bool) -> NDArray[np.float64]:
    """(m,) level of each cost in its own table, linear between quantiles, held to the table's first and last level."""
    passed = tables < costs[:, None] if strictly else tables <= costs[:, None]
    right = np.clip(passed.sum(axis=1), 1, len(levels) - 1)
    rows = np.arange(len(costs))
    low, high = tables[rows, right - 1], tables[rows, right]
    part = np.where(high > low, (costs - low) / np.where(high > low, high - low, 1.0), 0.5)
    return levels[right - 1] + (levels[right] - levels[right - 1]) * np.clip(part, 0.0, 1.0)
