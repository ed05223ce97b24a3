"""What planned events do to series: taken out of histories before a forecaster learns, and put on the paths that it simulates.

An event that ends is taken out of its days with its expected size, so that it teaches no level. An event that lasts and has begun is in
the level that is to be learnt: what came before it is taken to the level after it, with a weight that goes to nothing while real days come
in (`PlannedEvent.belief`); then it is history like any other. How large an event turns out is drawn with the same weight: what the bills have
shown of it is not guessed any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import UnknownScopeError
from forecast.evaluation.cutoffs import season_of
from forecast.paths import SpendPaths
from forecast.spend.events import FACTOR, MONEY, PlannedEvent, in_order
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.panel import SpendMatrix
from forecast.spend.scope import Clause, Scope

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SERIES = "unique_id"
"""A dimension that every panel has: a scope `unique_id=a|b` names series."""
FROZEN = 0.1
"""A day that an event leaves less of does not say what it would have cost; a season before does."""
NEXT_TO_NONE = 1e-3
"""Part of an event's money that series have to spend at least for theirs to say where it goes: what has ended may come back on a path or two."""
RECENT_DAYS = 28
"""Days whose spend says how money that lasts is spread over series that it came to."""


@dataclass(frozen=True, eq=False)
class PlacedEvent:
    """An event on series. rows : (k,) row numbers. parts : (k,) part of each series' spend that lies in the scope.

    belief : how much the plan says beside the bills at the cutoff. begun : the history is taken to the level with the event in full.
    """

    event: PlannedEvent
    rows: Ints
    parts: Floats
    belief: float
    begun: bool


@dataclass(frozen=True, eq=False)
class EventEffect:
    """What one event added to simulated paths. rows : (k,) row numbers. first : first step. money : (k, steps) mean over paths."""

    event: PlannedEvent
    rows: Ints
    first: int
    money: Floats

    @property
    def total(self) -> float:
        return float(self.money.sum())


def place_events(
    events: Sequence[PlannedEvent],
    ids: Sequence[str],
    until: np.datetime64,
    hierarchy: Hierarchy | None = None,
    parts: Mapping[Scope, Floats] | None = None,
) -> tuple[list[PlacedEvent], list[str]]:
    """The events that still say something at `until` (end of the history) on the series `ids`, in the order in which they act; and notes.

    parts : scope finer than a series → (n_series,) part of each series in it. Where no series lies in an event's scope, its money goes to the
    nearest scope above that has series, with a note: what is launched has no spend yet, and the sums above it are to be right. A factor has
    nothing to multiply there and is left out with a note.
    """
    placed, notes = [], []
    for event in in_order(list(events)):
        belief = float(event.belief(until))
        if event.lasts and belief == 0.0:
            continue  # it is history
        inside = (parts or {}).get(event.scope)
        if inside is None:
            finer = [name for name in event.scope.dimensions if name != SERIES and (hierarchy is None or name not in hierarchy.dimensions)]
            if finer:
                notes.append(f"event {event.id} is left out: {finer[0]} is not known of the series")
                continue
            inside = series_in(event.scope, ids, hierarchy).astype(np.float64)
        rows = np.flatnonzero(inside > 0.0)
        if not len(rows) and event.effect.kind == FACTOR:
            notes.append(f"event {event.id} is left out: nothing has been spent in its scope {event.scope}")
            continue
        if not len(rows):
            above = scope_above(event.scope, ids, hierarchy)
            notes.append(f"event {event.id}: nothing has been spent in its scope {event.scope} yet; its money goes to {above or 'the company'}")
            inside = series_in(above, ids, hierarchy).astype(np.float64)
            rows = np.flatnonzero(inside)
        placed.append(PlacedEvent(event, rows, inside[rows], belief, event.lasts and bool(event.full_days(until) >= 1.0)))
    return placed, notes


def series_in(scope: Scope, ids: Sequence[str], hierarchy: Hierarchy | None = None) -> NDArray[np.bool_]:
    """(n_series,) whether a series lies in the scope; conditions on what is finer than a series are not looked at. No value is an error."""
    mask = np.ones(len(ids), dtype=np.bool_)
    names = np.array(ids, dtype=object)
    for clause in scope.clauses:
        if clause.dimension == SERIES:
            inside = np.isin(names, clause.values)
        elif hierarchy is not None and clause.dimension in hierarchy.dimensions:
            inside = _leaves_with(clause, hierarchy)[pd.Index(hierarchy.leaf_ids).get_indexer(pd.Index(ids))]
        else:
            continue
        mask &= ~inside if clause.exclude else inside
    return mask


def scope_above(scope: Scope, ids: Sequence[str], hierarchy: Hierarchy | None = None) -> Scope:
    """The scope without the conditions that leave it without series: those that no series meets, then the finest one by one."""
    order = (SERIES,) if hierarchy is None else (SERIES, *hierarchy.dimensions)
    met = [clause for clause in scope.clauses if clause.dimension in order and series_in(Scope((clause,)), ids, hierarchy).any()]
    kept = sorted(met, key=lambda clause: order.index(clause.dimension))
    while kept and not series_in(Scope(tuple(sorted(kept))), ids, hierarchy).any():
        kept.pop()
    return Scope(tuple(sorted(kept)))


def _leaves_with(clause: Clause, hierarchy: Hierarchy) -> NDArray[np.bool_]:
    """(n_leaves,) leaves that have one of the clause's values, whether it excludes them or not."""
    found = np.zeros(len(hierarchy.leaves), dtype=np.bool_)
    for value in clause.values:
        try:
            found |= hierarchy.leaf_mask(Scope((Clause(clause.dimension, (value,)),)))
        except UnknownScopeError:
            continue
    return found


def without_events(matrix: SpendMatrix, ends: NDArray[np.datetime64], placed: Sequence[PlacedEvent]) -> Floats:
    """(n_series, n_periods) the history that a forecaster learns from; the matrix' own values where no event has touched it.

    ends : (n_periods,) end of each period. Money is taken out first, then factors, the last first: the way back from what paths go through.
    """
    starts = matrix.ds.to_numpy().astype("datetime64[us]")
    ends = ends.astype("datetime64[us]")
    values = matrix.values
    for one in reversed(placed):
        acting = one.event.acting_days(starts, ends)
        if not acting.any():
            continue
        if values is matrix.values:
            values = values.copy()
        length = (ends - starts) / np.timedelta64(1, "D")
        if one.event.effect.kind == FACTOR:
            _divide(values, one, acting / length, season_of(matrix.freq))
        else:
            _subtract(values, one, acting, length)
    return values


def _divide(values: Floats, one: PlacedEvent, strength: Floats, season: int) -> None:
    change = (one.event.effect.expected - 1.0) * one.parts  # (k,)
    if one.begun:
        full = (1.0 + change)[:, None]
        here = 1.0 + change[:, None] * strength
        ratio = np.divide(full, here, out=np.ones_like(here), where=here > 0.0)
        values[one.rows] *= np.where(strength == 1.0, 1.0, ratio**one.belief)
        return
    columns = np.flatnonzero(strength > 0.0)
    remaining = 1.0 + change[:, None] * strength[columns]  # (k, columns)
    told = remaining >= FROZEN
    block = values[np.ix_(one.rows, columns)]
    values[np.ix_(one.rows, columns)] = np.where(told, block / np.where(told, remaining, 1.0), block)
    for number in np.flatnonzero(~told.all(axis=0)):
        before = columns[number] - season
        rows = one.rows[~told[:, number]]
        if before >= 0:
            values[rows, columns[number]] = values[rows, before]


def _subtract(values: Floats, one: PlacedEvent, acting: Floats, length: Floats) -> None:
    effect, event = one.event.effect, one.event
    a_day = effect.expected / event.days if effect.kind == MONEY else effect.expected
    if one.begun:
        recent = slice(max(len(length) - int(np.searchsorted(np.cumsum(length[::-1]), RECENT_DAYS)) - 1, 0), None)
        share = _shares(np.nan_to_num(values[one.rows, recent]).sum(axis=1), one.parts, a_day * RECENT_DAYS)
        values[one.rows] += one.belief * a_day * share[:, None] * (length - acting)
        return
    columns = np.flatnonzero(acting > 0.0)
    block = values[np.ix_(one.rows, columns)]
    share = _shares(np.nan_to_num(block).sum(axis=1), one.parts, a_day * float(acting.sum()))
    money = a_day * share[:, None] * acting[columns]
    # What is taken out leaves nothing rather than a debt; a saving that is put back has no such bound.
    values[np.ix_(one.rows, columns)] = np.where(money > 0.0, np.maximum(block - money, np.minimum(block, 0.0)), block - money)


def _shares(spend: Floats, parts: Floats, money: float) -> Floats:
    """(k,) how money is spread over series: in proportion to their spend, evenly where they have next to none."""
    weights = np.maximum(spend, 0.0) * parts
    total = float(weights.sum())
    return np.asarray(weights / total if total > NEXT_TO_NONE * abs(money) else np.full(len(parts), 1.0 / len(parts)))


def add_events(paths: SpendPaths, placed: Sequence[PlacedEvent], seed: int) -> list[EventEffect]:
    """Put the events on the paths, in place, and say what each added in its turn: the sum is the difference of the means."""
    found = []
    for one in placed:
        effect = _factor(paths, one, seed) if one.event.effect.kind == FACTOR else _money(paths, one, seed)
        if effect is not None:
            found.append(effect)
    return found


def _drawn(one: PlacedEvent, n_paths: int, seed: int) -> Floats:
    """(n_paths,) how large the event turns out; what the bills have shown of it counts as expected."""
    effect = one.event.effect
    draws = one.event.draws(n_paths, seed)
    if one.belief == 1.0:
        return draws
    if effect.kind == FACTOR:
        return effect.expected * (draws / effect.expected) ** one.belief if effect.expected > 0.0 else draws
    return np.asarray(effect.expected + one.belief * (draws - effect.expected))


def _factor(paths: SpendPaths, one: PlacedEvent, seed: int) -> EventEffect | None:
    expected = one.event.effect.expected
    draws = _drawn(one, paths.n_paths, seed)
    if one.begun:
        draws = draws / expected if expected > 0.0 else np.ones_like(draws)
        if (draws == 1.0).all():
            return None
    steps, acting, length = _steps(paths, one.event)
    if steps is None:
        return None
    money = np.zeros((len(one.rows), steps.stop - steps.start))
    for number, (row, part) in enumerate(zip(one.rows, one.parts, strict=True)):
        own = _own(paths, row)
        strength = acting[own] / length[own]
        block = paths.values[row, steps]
        before = block.mean(axis=1, dtype=np.float64)
        block *= (1.0 + part * strength[:, None] * (draws - 1.0)).astype(np.float32)
        money[number] = block.mean(axis=1, dtype=np.float64) - before
    return EventEffect(one.event, one.rows, steps.start, money)


def _money(paths: SpendPaths, one: PlacedEvent, seed: int) -> EventEffect | None:
    effect, event = one.event.effect, one.event
    draws = _drawn(one, paths.n_paths, seed)
    if one.begun:
        draws = draws - effect.expected
        if not draws.any():
            return None
    steps, acting, _ = _steps(paths, event)
    if steps is None:
        return None
    if effect.kind == MONEY:
        draws = draws / event.days
    spend = np.array([float(paths.values[row, steps].mean(axis=1, dtype=np.float64).sum()) for row in one.rows])
    share = _shares(spend, one.parts, float(draws.mean() * acting.sum()))
    money = np.zeros((len(one.rows), steps.stop - steps.start))
    for number, row in enumerate(one.rows):
        block = paths.values[row, steps]
        before = block.mean(axis=1, dtype=np.float64)
        block += (share[number] * acting[_own(paths, row)][:, None] * draws).astype(np.float32)
        money[number] = block.mean(axis=1, dtype=np.float64) - before
    return EventEffect(event, one.rows, steps.start, money)


def _steps(paths: SpendPaths, event: PlannedEvent) -> tuple[slice, Floats, Floats] | tuple[None, Floats, Floats]:
    """The steps that the event touches, and within them its days of full effect and the steps' lengths, one row or one a series."""
    acting = event.acting_days(paths.starts, paths.ends)
    touched = np.flatnonzero(acting.any(axis=0))
    if not len(touched):
        return None, acting, acting
    steps = slice(int(touched[0]), int(touched[-1]) + 1)
    length = (paths.ends - paths.starts) / np.timedelta64(1, "D")
    return steps, acting[:, steps], length[:, steps]


def _own(paths: SpendPaths, row: int) -> int:
    return int(row) if paths.starts.shape[0] > 1 else 0
