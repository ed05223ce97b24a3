"""What a row of fresh spend should have cost and how strange it is, for any scope and day, in one vectorised pass.

Where the expectation comes from, by row (`basis`):
- forecast: the snapshot's predictive distribution of that scope and day;
- beyond: a day after the last daily step, read from the same weekday of the last week that has one;
- history: a day up to the cutoff, by what was expected from the days before it, with what is dated: schedules, one-offs, recurring items;
- recent: a scope finer than a leaf, by the same one-step expectation over its recent charge lines;
- parent: a value that never occurred; the row is judged by how much its parent would be surprised by that much more.

How strange: money away from that, against the record of its series (`anomalies.snapshot_detector`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.anomalies.expectation import transform_constant
from forecast.anomalies.known_money import moved_by
from forecast.anomalies.snapshot_detector import DetectorState, deviations, next_days, score_by_expectation, score_by_quantiles
from forecast.anomalies.threshold import score_of
from forecast.snapshot import QUANTILES, Snapshot
from forecast.spend.completeness import benefit_of_doubt
from forecast.spend.provisional import Watermarks
from forecast.spend.scope import Scope
from forecast.workflows.dated_money import dated_money
from forecast.workflows.event_doubt import event_doubt
from forecast.workflows.replayed_series import replayed_series, series_records
from forecast.workflows.row_places import Place, places_of
from forecast.workflows.shares import recent_spend
from forecast.workflows.summary import quantiles_of

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

_MEDIAN = QUANTILES.index(0.5)


@dataclass(frozen=True)
class RowAnswers:
    """Arrays of (m,). lower, upper : 2.5 % and 97.5 % quantiles. strength : 1 is as much as the series' record, or the outer 1 % of the forecast.
    ratio : strength ÷ threshold; score is 0.5 where it is 1. basis : where the expectation came from."""

    expected: Floats
    lower: Floats
    upper: Floats
    p_value: Floats
    strength: Floats
    ratio: Floats
    score: Floats
    is_anomaly: NDArray[np.bool_]
    basis: NDArray[np.str_]


def score_rows(
    snapshot: Snapshot, scopes: Sequence[Scope], days: NDArray[np.datetime64], costs: Floats, now: np.datetime64 | None = None
) -> RowAnswers:
    """Score m rows; days are datetime64[D] from the first day of history on. Reads the snapshot only, changes nothing.

    now : when the costs were known; by default when the snapshot's bills were. Days that may not be fully billed by then get the benefit of
    the doubt: what is scored is the plausible final cost that lies nearest to the usual one.
    """
    state = detector_state(snapshot)
    places, codes = places_of(snapshot, scopes)
    found = _Expected.empty(len(codes))
    offset = (days - np.datetime64(snapshot.cutoff, "D")).astype(np.int64)
    order = np.argsort(codes, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(codes, minlength=len(places)))[:-1])
    finer = [(place, rows) for place, rows in zip(places, rows_of, strict=True) if place.lines is not None]
    coarse = [(place, rows) for place, rows in zip(places, rows_of, strict=True) if place.lines is None]
    _set_records(snapshot, state, coarse, offset, found)
    _from_forecast(snapshot, coarse, offset, found)
    _from_history(snapshot, state, coarse, offset, found)
    _from_lines(snapshot, state, finer, offset, found)
    unknown = np.array([place.unknown for place in places], dtype=bool)[codes]
    return _answers(state, costs, found, unknown, _shares_known(snapshot, places, rows_of, days, now), _planned(snapshot, coarse, days, len(codes)))


def detector_state(snapshot: Snapshot) -> DetectorState:
    """The detector's arrays by name, read once per snapshot."""
    found: DetectorState | None = snapshot.__dict__.get("_detector_state")
    if found is None:
        found = snapshot.__dict__["_detector_state"] = DetectorState.from_arrays(snapshot.detector)
    return found


@dataclass
class _Expected:
    """Per row its record, and either a quantile table or a one-step expectation on the transformed scale. alone : whether the record is of months."""

    by_table: NDArray[np.bool_]
    tables: Floats
    means: Floats
    constant: Floats
    location: Floats
    spread: Floats
    record: Floats
    alone: NDArray[np.bool_]
    basis: NDArray[np.str_]

    @classmethod
    def empty(cls, m: int) -> _Expected:
        nan = np.full(m, np.nan)
        return cls(
            by_table=np.zeros(m, dtype=bool),
            tables=np.zeros((m, len(QUANTILES))),
            means=nan.copy(),
            constant=np.ones(m),
            location=nan.copy(),
            spread=nan.copy(),
            record=np.full(m, np.inf),
            alone=np.ones(m, dtype=bool),
            basis=np.full(m, "history", dtype="<U8"),
        )


def _stored(snapshot: Snapshot, state: DetectorState, place: Place) -> int | None:
    """The row of the detector's arrays that a place has."""
    if place.node is not None:
        return state.row.get(snapshot.hierarchy.node_ids[place.node])
    return state.row.get(snapshot.hierarchy.leaf_ids[int(place.leaves[0])]) if len(place.leaves) == 1 else None


def _set_records(snapshot: Snapshot, state: DetectorState, places: Sequence[tuple[Place, Rows]], offset: Rows, found: _Expected) -> None:
    """Records, and what was expected of days of history without what is dated, of the places."""
    n_days = len(snapshot.history_ds)
    waiting: list[tuple[Place, Rows]] = []
    for place, rows in places:
        stored = _stored(snapshot, state, place)
        if stored is None:
            waiting.append((place, rows))
            continue
        column = np.minimum(n_days - 1 + offset[rows], n_days)
        before = column < n_days
        found.record[rows] = state.record[stored, column]
        found.constant[rows] = state.constant[stored]
        found.location[rows[before]] = state.location[stored, column[before]]
        found.spread[rows[before]] = state.spread[stored, column[before]]
    if not waiting:
        return
    dated = dated_money(snapshot)
    for (place, rows), series in zip(waiting, replayed_series(snapshot, state, [place.leaves for place, _ in waiting]), strict=True):
        column = np.minimum(n_days - 1 + offset[rows], n_days)
        past, at = rows[column < n_days], column[column < n_days]
        found.record[rows] = series.record[column]
        found.constant[rows] = series.constant
        # Stored expectations have the money of schedules and one-offs in them.
        known = dated.known[np.ix_(place.leaves, at)].sum(axis=0)
        found.location[past], found.spread[past] = moved_by(series.location[at], series.spread[at], series.constant, known)


def _from_forecast(snapshot: Snapshot, places: Sequence[tuple[Place, Rows]], offset: Rows, found: _Expected) -> None:
    daily = int(((snapshot.ends - snapshot.starts).astype(np.int64) == 1).sum())
    step = offset - 1
    beyond = step >= daily
    # A day after the last daily step is read from the same weekday of the last daily week.
    week = min(7, daily)
    step = np.where(beyond, daily - week + (step - daily) % week, step)
    ahead = [(place, kept) for place, rows in places if len(kept := rows[offset[rows] > 0])]
    nodes = [(place.node, rows) for place, rows in ahead if place.node is not None]
    if nodes:
        rows = np.concatenate([rows for _, rows in nodes])
        node = np.repeat([node for node, _ in nodes], [len(rows) for _, rows in nodes])
        found.tables[rows], found.means[rows] = snapshot.node_quantiles[node, step[rows]], snapshot.node_means[node, step[rows]]
    for place, rows in ahead:
        found.by_table[rows] = True
        found.basis[rows] = np.where(beyond[rows], "beyond", "forecast")
        if place.node is None:
            wanted, inverse = np.unique(step[rows], return_inverse=True)
            samples = np.zeros((len(wanted), snapshot.n_paths))
            for leaf in place.leaves:
                samples += snapshot.leaf_paths[leaf, wanted]
            found.tables[rows], found.means[rows] = quantiles_of(samples, QUANTILES)[inverse], samples.mean(axis=1)[inverse]


def _from_history(snapshot: Snapshot, state: DetectorState, places: Sequence[tuple[Place, Rows]], offset: Rows, found: _Expected) -> None:
    n_days = len(snapshot.history_ds)
    past = [(place, kept) for place, rows in places if len(kept := rows[offset[rows] <= 0])]
    if not past:
        return
    for (_, rows), (amount, miss) in zip(past, dated_money(snapshot).items([place.leaves for place, _ in past]), strict=True):
        at = n_days - 1 + offset[rows]
        found.location[rows], found.spread[rows] = moved_by(found.location[rows], found.spread[rows], found.constant[rows], amount[at], miss[at])


def _from_lines(snapshot: Snapshot, state: DetectorState, places: Sequence[tuple[Place, Rows]], offset: Rows, found: _Expected) -> None:
    recent = recent_spend(snapshot)
    if not places or recent.first_day is None:
        return
    first = int((recent.first_day - np.datetime64(snapshot.cutoff, "D")).astype(np.int64))
    n_days = 1 - first
    column = (recent.day - recent.first_day).astype(np.int64)
    history = np.stack([_line_sums(column, recent.cost, place.lines, n_days) for place, _ in places])
    constant = transform_constant(history)
    seen, location, spread = next_days(history, constant, state.smallest_money)
    record = series_records(deviations(history, seen, constant, np.zeros_like(history)), state.floor)
    for line, (_, rows) in enumerate(places):
        at = offset[rows] - first
        past = (at >= 0) & (at < n_days)
        coming = at >= n_days
        found.constant[rows] = constant[line]
        found.location[rows[past]], found.spread[rows[past]] = seen.location[line, at[past]], seen.spread[line, at[past]]
        ahead = (at[coming] - n_days) % 7
        found.location[rows[coming]], found.spread[rows[coming]] = location[line, ahead], spread[line, ahead]
        found.record[rows[past]], found.record[rows[coming]] = record[line, at[past]], record[line, -1]
        found.alone[rows] = False
        found.basis[rows] = "recent"


def _line_sums(column: Rows, cost: Floats, lines: NDArray[np.bool_] | None, n_days: int) -> Floats:
    return np.bincount(column[lines], weights=cost[lines], minlength=n_days)[:n_days].astype(np.float64)


def _shares_known(
    snapshot: Snapshot, places: Sequence[Place], rows_of: Sequence[Rows], days: NDArray[np.datetime64], now: np.datetime64 | None
) -> tuple[Floats, Floats] | None:
    """(m,) lower and upper share of each row's final cost that may be known by `now`; None where nothing is known of how bills come in."""
    if snapshot.watermarks is None:
        return None
    marks = Watermarks.of(snapshot.watermarks)
    ages = marks.ages(days, now)
    low, high = np.ones(len(days)), np.ones(len(days))
    for place, rows in zip(places, rows_of, strict=True):
        low[rows], high[rows] = marks.shares(sources_of(snapshot, place.leaves), ages[rows])
    return low, high


def _planned(snapshot: Snapshot, places: Sequence[tuple[Place, Rows]], days: NDArray[np.datetime64], m: int) -> tuple[Floats, Floats] | None:
    """(m,) least and most that planned events may have added to each row's cost; None where none is known."""
    doubt = event_doubt(snapshot)
    if not doubt.events:
        return None
    low, high = np.zeros(m), np.zeros(m)
    for place, rows in places:
        here = rows[days[rows] <= doubt.last]
        if len(here):
            low[here], high[here] = doubt.between(place.leaves, days[here])
    return low, high


def sources_of(snapshot: Snapshot, leaves: Rows) -> dict[str, float] | None:
    """Parts that sources have in the recent spend of some leaves (row numbers); None where leaves do not tell."""
    if "provider" not in snapshot.hierarchy.dimensions:
        return None
    sizes = np.abs(snapshot.expected_history[leaves, -28:]).sum(axis=1)
    providers = snapshot.hierarchy.leaves["provider"].to_numpy()[leaves]
    names, number = np.unique(providers.astype(np.str_), return_inverse=True)
    parts = np.bincount(number, weights=sizes, minlength=len(names))
    parts = parts / parts.sum() if parts.sum() > 0 else np.full(len(names), 1.0 / max(len(names), 1))
    return dict(zip(names.tolist(), parts.tolist(), strict=True))


def _answers(
    state: DetectorState,
    costs: Floats,
    found: _Expected,
    unknown: NDArray[np.bool_],
    shares: tuple[Floats, Floats] | None,
    planned: tuple[Floats, Floats] | None,
) -> RowAnswers:
    usual = np.where(found.by_table, found.tables[:, _MEDIAN], found.constant * np.sinh(found.location))
    # Spend that never was is judged as so much more of its parent.
    judged = np.where(unknown, np.nan_to_num(usual) + costs, costs)
    if shares is not None:
        judged = np.where(unknown | np.isnan(usual), judged, benefit_of_doubt(costs, np.nan_to_num(usual), *shares))
    if planned is not None:
        # Of what an event may have done, as much counts as makes the day most usual.
        judged = np.where(np.isnan(usual), judged, np.clip(usual, judged - planned[1], judged - planned[0]))
    expected, lower, upper, strength, p_value = (np.full(len(costs), np.nan) for _ in range(5))
    for by_table in (True, False):
        here = found.by_table == by_table
        if not here.any():
            continue
        record = found.record[here]
        scores = (
            score_by_quantiles(state, judged[here], found.means[here], found.tables[here], QUANTILES, record)
            if by_table
            else score_by_expectation(
                state, judged[here], found.constant[here], found.location[here], found.spread[here], record, alone=found.alone[here]
            )
        )
        expected[here], lower[here], upper[here] = scores.expected, scores.lower, scores.upper
        strength[here], p_value[here] = scores.strength, scores.p_value
    upper = np.where(unknown, np.maximum(upper - usual, 0.0), upper)
    expected, lower = np.where(unknown, 0.0, expected), np.where(unknown, 0.0, lower)
    return RowAnswers(
        expected,
        lower,
        upper,
        p_value,
        strength,
        strength / state.strength,
        score_of(strength, state.strength),
        strength >= state.strength,
        np.where(unknown, "parent", found.basis),
    )
