"""What a row of fresh spend should have cost, for any scope and day, in one vectorised pass.

Where the expectation comes from, by row (`basis`):
- forecast: the snapshot's predictive distribution of that scope and day;
- beyond: a day after the last daily step, read from the same weekday of the last week that has one;
- history: a day up to the cutoff, by what was expected from the days before it, with what is dated: schedules, one-offs, recurring items;
- recent: a scope finer than a leaf, by the same one-step expectation over its recent charge lines;
- parent: a value that never occurred; the row is judged by how much its parent would be surprised by that much more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.anomalies.expectation import transform_constant
from forecast.anomalies.known_money import moved_by
from forecast.anomalies.snapshot_detector import DetectorState, next_days, score_by_expectation, score_by_quantiles
from forecast.anomalies.threshold import score_of, surprise_size
from forecast.errors import UnknownScopeError
from forecast.snapshot import QUANTILES, Snapshot
from forecast.spend.completeness import benefit_of_doubt
from forecast.spend.hierarchy import COMPANY
from forecast.spend.provisional import Watermarks
from forecast.spend.scope import Clause, Scope
from forecast.workflows.dated_money import dated_money
from forecast.workflows.event_doubt import event_doubt
from forecast.workflows.records import series_name
from forecast.workflows.shares import RecentSpend, recent_spend
from forecast.workflows.summary import quantiles_of

_MEDIAN = QUANTILES.index(0.5)


@dataclass(frozen=True)
class RowAnswers:
    """Arrays of (m,). lower, upper : 2.5 % and 97.5 % quantiles. basis : where the expectation came from."""

    expected: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    p_value: NDArray[np.float64]
    score: NDArray[np.float64]
    is_anomaly: NDArray[np.bool_]
    basis: NDArray[np.str_]


def score_rows(
    snapshot: Snapshot, scopes: Sequence[Scope], days: NDArray[np.datetime64], costs: NDArray[np.float64], now: np.datetime64 | None = None
) -> RowAnswers:
    """Score m rows; days are datetime64[D] from the first day of history on. Reads the snapshot only, changes nothing.

    now : when the costs were known; by default when the snapshot's bills were. Days that may not be fully billed by then get the benefit of
    the doubt: what is scored is the plausible final cost that lies nearest to the usual one.
    """
    state = detector_state(snapshot)
    unique = {scope: number for number, scope in enumerate(dict.fromkeys(scopes))}
    codes = np.fromiter((unique[scope] for scope in scopes), dtype=np.int64, count=len(scopes))
    places = [_place(snapshot, scope) for scope in unique]
    expectation = _Expected.empty(len(codes))
    offset = (days - np.datetime64(snapshot.cutoff, "D")).astype(np.int64)
    order = np.argsort(codes, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(codes, minlength=len(places)))[:-1])
    finer = [number for number, place in enumerate(places) if place.lines is not None]
    coarse = [number for number, place in enumerate(places) if place.lines is None]
    _from_forecast(snapshot, state, places, coarse, rows_of, offset, expectation)
    _from_history(snapshot, state, places, coarse, rows_of, offset, expectation)
    _from_lines(snapshot, state, places, finer, rows_of, offset, expectation)
    unknown = np.array([place.unknown for place in places], dtype=bool)[codes]
    return _answers(
        state,
        costs,
        expectation,
        unknown,
        _shares_known(snapshot, places, rows_of, days, now),
        _planned(snapshot, places, coarse, rows_of, days),
    )


def detector_state(snapshot: Snapshot) -> DetectorState:
    """The detector's arrays by name, read once per snapshot."""
    found: DetectorState | None = snapshot.__dict__.get("_detector_state")
    if found is None:
        found = snapshot.__dict__["_detector_state"] = DetectorState.from_arrays(snapshot.detector)
    return found


@dataclass
class _Expected:
    """Per row either a quantile table or a one-step expectation on the transformed scale."""

    by_table: NDArray[np.bool_]
    tables: NDArray[np.float64]
    means: NDArray[np.float64]
    constant: NDArray[np.float64]
    location: NDArray[np.float64]
    spread: NDArray[np.float64]
    basis: NDArray[np.str_]

    @classmethod
    def empty(cls, m: int) -> _Expected:
        nan = np.full(m, np.nan)
        return cls(
            np.zeros(m, dtype=bool), np.zeros((m, len(QUANTILES))), nan.copy(), np.ones(m), nan.copy(), nan.copy(), np.full(m, "history", dtype="<U8")
        )


@dataclass(frozen=True)
class _Place:
    """Where in the snapshot a scope is read: a node, some leaves, or some charge lines. unknown : a part of the scope never occurred."""

    scope: Scope
    node: int | None
    leaves: NDArray[np.int64]
    lines: NDArray[np.bool_] | None
    unknown: bool


@dataclass(frozen=True)
class _LeafMasks:
    """(n_leaves,) masks by dimension and value, for thousands of scopes at once."""

    masks: dict[tuple[str, str], NDArray[np.bool_]]
    row: dict[str, int]

    @classmethod
    def of(cls, snapshot: Snapshot) -> _LeafMasks:
        found: _LeafMasks | None = snapshot.__dict__.get("_leaf_masks")
        if found is None:
            leaves = snapshot.hierarchy.leaves
            masks = {(name, str(value)): (leaves[name] == value).to_numpy() for name in leaves.columns for value in leaves[name].unique()}
            found = snapshot.__dict__["_leaf_masks"] = cls(masks, {name: number for number, name in enumerate(snapshot.hierarchy.leaf_ids)})
        return found


def _place(snapshot: Snapshot, scope: Scope) -> _Place:
    hierarchy = snapshot.hierarchy
    node = hierarchy.node_of(scope)
    if node is not None:
        return _Place(scope, node, np.zeros(0, dtype=np.int64), None, False)
    masks = _LeafMasks.of(snapshot)
    name = series_name(hierarchy, scope)
    if name is not None:
        return _Place(scope, None, np.array([masks.row[name]]), None, False)
    kept: list[Clause] = []
    mask = np.ones(len(hierarchy.leaves), dtype=bool)
    recent = recent_spend(snapshot)
    lines: NDArray[np.bool_] | None = None
    for clause in scope.clauses:
        if clause.dimension in hierarchy.dimensions:
            known = [masks.masks[key] for value in clause.values if (key := (clause.dimension, value)) in masks.masks]
            if len(known) < len(clause.values):
                continue
            inside = np.logical_or.reduce(known)
            mask &= ~inside if clause.exclude else inside
        else:
            matching = _matching(recent, clause)
            if matching is None:
                continue
            lines = matching if lines is None else lines & matching
        kept.append(clause)
    unknown = len(kept) < len(scope.clauses)
    parent = Scope(tuple(kept))
    if unknown:
        node = hierarchy.node_of(parent)
    elif not mask.any():
        # Each value has occurred, the combination has not: judged as new spend of the first condition's scope.
        parent, unknown, lines = Scope(scope.clauses[:1]) if scope.clauses[0].dimension in hierarchy.dimensions else Scope(), True, None
        node = hierarchy.node_of(parent)
        mask = hierarchy.leaf_mask(parent)
    if lines is not None:
        lines = lines & mask[recent.leaf]
    return _Place(parent, node if lines is None else None, np.flatnonzero(mask), lines, unknown)


def _matching(recent: RecentSpend, clause: Clause) -> NDArray[np.bool_] | None:
    try:
        return recent.matches(clause)
    except UnknownScopeError:
        return None


def _from_forecast(
    snapshot: Snapshot,
    state: DetectorState,
    places: Sequence[_Place],
    numbers: Sequence[int],
    rows_of: Sequence[NDArray[np.int64]],
    offset: NDArray[np.int64],
    found: _Expected,
) -> None:
    daily = int(((snapshot.ends - snapshot.starts).astype(np.int64) == 1).sum())
    step = offset - 1
    beyond = step >= daily
    # A day after the last daily step is read from the same weekday of the last daily week.
    week = min(7, daily)
    step = np.where(beyond, daily - week + (step - daily) % week, step)
    for number in numbers:
        rows = rows_of[number]
        rows = rows[offset[rows] > 0]
        if not len(rows):
            continue
        place = places[number]
        found.by_table[rows] = True
        found.basis[rows] = np.where(beyond[rows], "beyond", "forecast")
        if place.node is not None:
            found.tables[rows] = snapshot.node_quantiles[place.node, step[rows]]
            found.means[rows] = snapshot.node_means[place.node, step[rows]]
            continue
        wanted, inverse = np.unique(step[rows], return_inverse=True)
        samples = np.zeros((len(wanted), snapshot.n_paths))
        for leaf in place.leaves:
            samples += snapshot.leaf_paths[leaf, wanted]
        found.tables[rows] = quantiles_of(samples, QUANTILES)[inverse]
        found.means[rows] = samples.mean(axis=1)[inverse]


def _from_history(
    snapshot: Snapshot,
    state: DetectorState,
    places: Sequence[_Place],
    numbers: Sequence[int],
    rows_of: Sequence[NDArray[np.int64]],
    offset: NDArray[np.int64],
    found: _Expected,
) -> None:
    n_days = len(snapshot.history_ds)
    dated = dated_money(snapshot)
    replayed: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]] = []
    past = [(places[number], rows) for number in numbers if len(rows := rows_of[number][offset[rows_of[number]] <= 0])]
    groups = [snapshot.hierarchy.members[place.node] if place.node is not None else place.leaves for place, _ in past]
    for (place, rows), (amount, miss_by_day) in zip(past, dated.items(groups), strict=True):
        column = n_days - 1 + offset[rows]
        money, miss = amount[column], miss_by_day[column]
        name = series_name(snapshot.hierarchy, place.scope) or COMPANY
        stored = state.row.get(name) if place.node is not None or len(place.leaves) == 1 else None
        if stored is None:
            # Stored expectations have the money of schedules and one-offs in them.
            replayed.append((rows, place.leaves, money + dated.known[np.ix_(place.leaves, column)].sum(axis=0), miss))
            continue
        constant = state.constant[stored]
        found.constant[rows] = constant
        location, spread = state.location[stored, column].astype(np.float64), state.spread[stored, column].astype(np.float64)
        found.location[rows], found.spread[rows] = moved_by(location, spread, constant, money, miss)
    if replayed:
        history = np.stack([dated.learnable[leaves].sum(axis=0) for _, leaves, _, _ in replayed])
        constants = transform_constant(history)
        seen, _, _ = next_days(dated.without_items(history), constants, state.smallest_money)
        for line, (rows, _, money, miss) in enumerate(replayed):
            column = n_days - 1 + offset[rows]
            found.constant[rows] = constants[line]
            location, spread = seen.location[line, column], seen.spread[line, column]
            found.location[rows], found.spread[rows] = moved_by(location, spread, constants[line], money, miss)


def _from_lines(
    snapshot: Snapshot,
    state: DetectorState,
    places: Sequence[_Place],
    numbers: Sequence[int],
    rows_of: Sequence[NDArray[np.int64]],
    offset: NDArray[np.int64],
    found: _Expected,
) -> None:
    recent = recent_spend(snapshot)
    if not numbers or recent.first_day is None:
        return
    first = int((recent.first_day - np.datetime64(snapshot.cutoff, "D")).astype(np.int64))
    n_days = 1 - first
    column = (recent.day - recent.first_day).astype(np.int64)
    history = np.stack([_line_sums(column, recent.cost, places[number].lines, n_days) for number in numbers])
    constant = transform_constant(history)
    seen, location, spread = next_days(history, constant, state.smallest_money)
    for line, number in enumerate(numbers):
        rows = rows_of[number]
        at = offset[rows] - first
        past = (at >= 0) & (at < n_days)
        coming = at >= n_days
        found.constant[rows] = constant[line]
        found.location[rows[past]], found.spread[rows[past]] = seen.location[line, at[past]], seen.spread[line, at[past]]
        ahead = (at[coming] - n_days) % 7
        found.location[rows[coming]], found.spread[rows[coming]] = location[line, ahead], spread[line, ahead]
        found.basis[rows] = "recent"


def _line_sums(column: NDArray[np.int64], cost: NDArray[np.float64], lines: NDArray[np.bool_] | None, n_days: int) -> NDArray[np.float64]:
    return np.bincount(column[lines], weights=cost[lines], minlength=n_days)[:n_days].astype(np.float64)


def _shares_known(
    snapshot: Snapshot, places: Sequence[_Place], rows_of: Sequence[NDArray[np.int64]], days: NDArray[np.datetime64], now: np.datetime64 | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(m,) lower and upper share of each row's final cost that may be known by `now`; None where nothing is known of how bills come in."""
    if snapshot.watermarks is None:
        return None
    marks = Watermarks.of(snapshot.watermarks)
    ages = marks.ages(days, now)
    low, high = np.ones(len(days)), np.ones(len(days))
    for place, rows in zip(places, rows_of, strict=True):
        if len(rows):
            leaves = snapshot.hierarchy.members[place.node] if place.node is not None else place.leaves
            low[rows], high[rows] = marks.shares(sources_of(snapshot, leaves), ages[rows])
    return low, high


def _planned(
    snapshot: Snapshot, places: Sequence[_Place], numbers: Sequence[int], rows_of: Sequence[NDArray[np.int64]], days: NDArray[np.datetime64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(m,) least and most that planned events may have added to each row's cost; None where none is known."""
    doubt = event_doubt(snapshot)
    if not doubt.events:
        return None
    low, high = np.zeros(len(days)), np.zeros(len(days))
    for number in numbers:
        place, rows = places[number], rows_of[number]
        rows = rows[days[rows] <= doubt.last]
        if len(rows):
            leaves = snapshot.hierarchy.members[place.node] if place.node is not None else place.leaves
            low[rows], high[rows] = doubt.between(leaves, days[rows])
    return low, high


def sources_of(snapshot: Snapshot, leaves: NDArray[np.int64]) -> dict[str, float] | None:
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
    costs: NDArray[np.float64],
    found: _Expected,
    unknown: NDArray[np.bool_],
    shares: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    planned: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
) -> RowAnswers:
    m = len(costs)
    usual = np.where(found.by_table, found.tables[:, _MEDIAN], found.constant * np.sinh(found.location))
    # Spend that never was is judged as so much more of its parent.
    judged = np.where(unknown, np.nan_to_num(usual) + costs, costs)
    if shares is not None:
        judged = np.where(unknown | np.isnan(usual), judged, benefit_of_doubt(costs, np.nan_to_num(usual), *shares))
    if planned is not None:
        # Of what an event may have done, as much counts as makes the day most usual.
        judged = np.where(np.isnan(usual), judged, np.clip(usual, judged - planned[1], judged - planned[0]))
    expected, lower, upper, p_value = (np.full(m, np.nan) for _ in range(4))
    for by_table in (True, False):
        here = found.by_table == by_table
        if not here.any():
            continue
        scores = (
            score_by_quantiles(state, judged[here], found.means[here], found.tables[here], QUANTILES)
            if by_table
            else score_by_expectation(state, judged[here], found.constant[here], found.location[here], found.spread[here])
        )
        expected[here], lower[here], upper[here], p_value[here] = scores.expected, scores.lower, scores.upper, scores.p_value
    upper = np.where(unknown, np.maximum(upper - usual, 0.0), upper)
    expected, lower = np.where(unknown, 0.0, expected), np.where(unknown, 0.0, lower)
    sizes = surprise_size(p_value)
    enough = np.abs(judged - np.where(unknown, np.nan_to_num(usual), np.nan_to_num(expected))) >= state.smallest_money
    return RowAnswers(
        expected,
        lower,
        upper,
        p_value,
        score_of(sizes, state.threshold),
        (sizes >= state.threshold) & enough,
        np.where(unknown, "parent", found.basis),
    )
