"""The detector's part of a snapshot: arrays that training stores beside the paths, and scores that read them.

How strange a row is, is its distance in money from what was expected, against the largest such distance that its series has shown in ten
months (`own_record`); days after the cutoff, of which the snapshot has a predictive distribution, must also lie well beyond its outer 1 %.
The threshold comes from a replay of history (`threshold`), and so does how rare a strength is.
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
from forecast.anomalies.own_record import WAIT as RECORD_WAIT
from forecast.anomalies.own_record import records
from forecast.anomalies.recurring_money import ItemMoney
from forecast.anomalies.signs import FLOOR, usual_day
from forecast.anomalies.tail import LEVELS, OUTER, fit_tail, stretch
from forecast.anomalies.threshold import share_table, shares_beyond, strength_threshold, surprise_size
from forecast.errors import ArtifactError, InputError
from forecast.spend.hierarchy import COMPANY
from forecast.spend.recurring import day_kinds, recurring_items
from forecast.spend.scope import Clause, Scope

Floats = NDArray[np.float64]

SMALLEST_PART = 0.0005
"""Deviations below this part of the company's daily spend teach nothing about how wide a series' days scatter."""
REPLAYED = 400
"""Days at most that the threshold is learnt from."""
INTERVAL: tuple[float, ...] = (0.01, 0.025, 0.975, 0.99)
"""Levels of pooled surprises that are kept."""
WIDEST = 10.0
"""On the transformed scale: a factor of 22,000 either way says nothing any more."""

_NAMES = ("ids", "location", "spread", "constant", "record", "threshold", "shares", "interval", "smallest_money", "floor")


@dataclass(frozen=True)
class DetectorState:
    """What `snapshot.detector` holds, by name.

    row : number of each series' row. location, spread : (n, n_days) one-step expectation on the transformed scale, NaN while a series
    waited. constant : (n,) of the transform. record : (n, n_days + 1) money that a day is compared with, without end while a record is begun;
    the last column is that of the days after the cutoff. strength : the threshold. shares : see `threshold.share_table`. interval : (4,)
    quantiles of pooled surprises at INTERVAL. floor : money that a record counts at least.
    """

    row: Mapping[str, int]
    location: NDArray[np.float32]
    spread: NDArray[np.float32]
    constant: Floats
    record: NDArray[np.float32]
    strength: float
    shares: Floats
    interval: Floats
    smallest_money: float
    floor: float

    @property
    def threshold(self) -> float:
        """−log10 p of the threshold."""
        return float(surprise_size(shares_beyond(self.shares, np.array([self.strength])))[0])

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
            arrays["record"],
            float(arrays["threshold"][0]),
            arrays["shares"],
            arrays["interval"],
            float(arrays["smallest_money"][0]),
            float(arrays["floor"][0]),
        )


def fit_snapshot_detector(
    ids: Sequence[str],
    history: Floats,
    *,
    first_day: date | None = None,
    false_alarms_per_month: float = 1.0,
    scopes: Sequence[Scope] | None = None,
    due: Floats | None = None,
    planned: tuple[Floats, Floats] | None = None,
    minimum_impact: float = 0.0,
    own_days: int = 1,
) -> dict[str, NDArray[Any]]:
    """Arrays for `snapshot.detector` from the daily history of series: all nodes, and leaves where they are to be watched too.

    history : (n, n_days) cost that can be learnt from, columns are consecutive days. first_day : of the first column; with it, days of known
    recurring items (taxes, month-end batches) teach nothing about what is usual. scopes : of the ids, for the merging of incidents; by
    default as the ids say. due : (n, n_days) money that recurring items were expected to cost; by default as the series show it. planned :
    least and most money that planned events may have added. minimum_impact, own_days : as the product keeps and merges incidents.
    """
    if history.ndim != 2 or history.shape[0] != len(ids) or history.shape[1] == 0:
        raise InputError(
            f"history has shape {history.shape} for {len(ids)} nodes",
            field="history",
            got=history.shape,
            allowed="(n_nodes, n_days), one day at least",
        )
    largest = history[int(np.argmax(np.nanmedian(np.abs(history), axis=1)))]
    smallest, floor = SMALLEST_PART * float(np.nanmedian(np.abs(largest))), FLOOR * usual_day(largest)
    constant = transform_constant(history)
    seen = replay_days(without_recurring(history, first_day), constant, smallest)
    if due is None:
        due = np.zeros_like(history) if first_day is None else ItemMoney.of(history, np.datetime64(first_day)).amount
    deviation = deviations(history, seen, constant, due, planned)
    record = records(deviation, max(floor, 1e-9))
    record[:, : min(RECORD_WAIT, history.shape[1])] = np.inf
    strengths = np.abs(deviation) / record[:, :-1]
    late = slice(max(RECORD_WAIT, history.shape[1] - REPLAYED), None)
    known = [_scope_of(name) for name in ids] if scopes is None else scopes
    costs, beyond = history[:, late], deviation[:, late]
    threshold = strength_threshold(
        strengths[:, late], false_alarms_per_month, lambda flags: _n_incidents(flags, costs, beyond, known, minimum_impact, own_days)
    )
    usual = settled(seen.surprise)
    wildness = stretch(usual)[:, None]
    return {
        "ids": np.array(list(ids), dtype=np.str_),
        "location": seen.location.astype(np.float32),
        "spread": (seen.spread * wildness).astype(np.float32),
        "constant": constant,
        "record": record.astype(np.float32),
        "threshold": np.array([threshold]),
        "shares": share_table(strengths[:, late]),
        "interval": np.interp(INTERVAL, LEVELS, fit_tail(usual / wildness).body),
        "smallest_money": np.array([smallest]),
        "floor": np.array([floor]),
    }


def deviations(history: Floats, seen: Replay, constant: Floats, due: Floats, planned: tuple[Floats, Floats] | None = None) -> Floats:
    """(n, n_days) money above (or below) what was expected before each day, 0 where nothing could be expected yet.

    Of what a planned event may have done, as much counts as makes the day most usual.
    """
    found: Floats = np.nan_to_num(history - constant[:, None] * np.sinh(seen.location) - due)
    return found if planned is None else np.asarray(np.clip(0.0, found - planned[1], found - planned[0]))


def without_recurring(history: Floats, first_day: date | None) -> Floats:
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


def _n_incidents(flags: NDArray[np.bool_], costs: Floats, deviation: Floats, scopes: Sequence[Scope], minimum_impact: float, own_days: int) -> int:
    rows, columns = np.nonzero(flags)
    paid, beyond = costs[rows, columns].tolist(), deviation[rows, columns].tolist()
    found = [
        Flag(number, scopes[row], date.fromordinal(column + 1), paid[number], paid[number] - beyond[number], 0.0)
        for number, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True))
    ]
    return sum(_impact(group) >= minimum_impact for group in merge(found, own_days=own_days))


def _impact(group: Sequence[Flag]) -> float:
    """Money of the scope of a group that has the most of it."""
    money: dict[Scope, float] = {}
    for flag in group:
        money[flag.scope] = money.get(flag.scope, 0.0) + flag.impact
    return max(abs(impact) for impact in money.values())


def _scope_of(name: str) -> Scope:
    """The scope that an id of a node or a leaf stands for; a leaf's id has no names, so its values count as names of their own."""
    if name == COMPANY:
        return Scope()
    return Scope.parse(name) if "=" in name else Scope((Clause("leaf", (name,)),))


def replay_days(history: Floats, constant: Floats, smallest_money: float) -> Replay:
    """One-step expectations of (n, n_days) daily costs, each from the days before it."""
    return replay(Expectation.new(constant, 7, smallest_money), history, np.arange(history.shape[1]) % 7)


def next_days(history: Floats, constant: Floats, smallest_money: float) -> tuple[Replay, Floats, Floats]:
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
    """Scores of m rows; each (m,). strength is 0 and p_value 1 where nothing could be expected yet."""

    expected: Floats
    lower: Floats
    upper: Floats
    strength: Floats
    p_value: Floats


def score_by_quantiles(state: DetectorState, costs: Floats, means: Floats, tables: Floats, levels: Sequence[float], record: Floats) -> RowScores:
    """Rows against predictive distributions given as quantiles.

    means, record : (m,). tables : (m, n_levels) quantiles at `levels`, which begin at 0.01 and end at 0.99. Inside them the p-value is
    read off, beyond them it is how rare such a strength is.
    """
    wanted = np.asarray(levels)
    distance = costs - means
    edge = np.where(distance >= 0.0, tables[:, -1] - means, means - tables[:, 0])
    strength = np.abs(distance) / np.maximum(np.maximum(record, edge), 1e-9)
    hair = 1e-9 * np.maximum(np.abs(means), state.floor)
    # A cost that many paths share counts on both sides.
    below, not_above = _position(costs + hair, tables, wanted, strictly=False), _position(costs - hair, tables, wanted, strictly=True)
    read = 2.0 * np.maximum(np.minimum(below, 1.0 - not_above), OUTER)
    outside = (costs > tables[:, -1] + hair) | (costs < tables[:, 0] - hair)
    p_value = np.where(outside, np.minimum(2.0 * OUTER, shares_beyond(state.shares, strength)), np.minimum(read, 1.0))
    first, last = int(np.argmin(np.abs(wanted - 0.025))), int(np.argmin(np.abs(wanted - 0.975)))
    return RowScores(means, tables[:, first], tables[:, last], strength, p_value)


def score_by_expectation(
    state: DetectorState, costs: Floats, constant: Floats, location: Floats, spread: Floats, record: Floats, *, alone: bool | NDArray[np.bool_] = True
) -> RowScores:
    """Rows against one-step expectations on the transformed scale; all (m,). NaN expectations make p-values of 1.

    alone : whether the record alone is what a row is held against; else also the outer 1 % of what is expected: short records.
    """
    waits = ~np.isfinite(location)
    expected = constant * np.sinh(location)
    distance = np.where(waits, 0.0, costs - expected)
    bounds = [constant * np.sinh(location + np.clip(quantile * spread, -WIDEST, WIDEST)) for quantile in state.interval.tolist()]
    edge = np.nan_to_num(np.where(distance >= 0.0, bounds[3] - expected, expected - bounds[0]))
    strength = np.abs(distance) / np.maximum(np.where(alone, record, np.maximum(record, edge)), 1e-9)
    return RowScores(expected, bounds[1], bounds[2], strength, np.where(waits, 1.0, shares_beyond(state.shares, strength)))


def _position(costs: Floats, tables: Floats, levels: Floats, strictly: bool) -> Floats:
    """(m,) level of each cost in its own table, linear between quantiles, held to the table's first and last level."""
    passed = tables < costs[:, None] if strictly else tables <= costs[:, None]
    right = np.clip(passed.sum(axis=1), 1, len(levels) - 1)
    rows = np.arange(len(costs))
    low, high = tables[rows, right - 1], tables[rows, right]
    part = np.where(high > low, (costs - low) / np.where(high > low, high - low, 1.0), 0.5)
    found: Floats = levels[right - 1] + (levels[right] - levels[right - 1]) * np.clip(part, 0.0, 1.0)
    return found
