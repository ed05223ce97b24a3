"""One scope of a snapshot, read once for all the periods that are asked about it.

A thousand budgets ask about a few hundred scopes. A scope's paths are read (summed over leaves, or multiplied by share paths) for the days from
the first to the last that are asked about, and each period is cut from that: the same numbers as reading the period alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.paths import overlap
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.event_shares import in_scope
from forecast.workflows.readings import Reading, read_groups, read_scope
from forecast.workflows.shares import recent_spend

RECENT_DAYS = 28
"""Days whose mean is the run rate: four whole weeks, so that weekends count with their share."""
MANY_ALIKE = 3
"""Scopes that differ in one value of a dimension finer than a leaf, from which on they are read together, as the rows of a group-by."""
MOST_CELLS = 10_000
"""Rows × steps that are read together at most (40 MB at 1,000 paths)."""


@dataclass(frozen=True, eq=False)
class ScopeFuture:
    """A scope, read over all the days that are asked about it. wide : that reading; None where each period is read for itself."""

    snapshot: Snapshot
    scope: Scope
    wide: Reading | None = None

    def reading(self, period: Period) -> Reading:
        """As `read_scope` reads it; raises as it does."""
        if self.wide is None:
            return read_scope(self.snapshot, self.scope, period)
        self.snapshot.check_visible(period)
        return cut(self.snapshot, self.wide, period)

    @cached_property
    def leaves(self) -> NDArray[np.bool_]:
        """(n_leaves,) those that the scope's spend is in."""
        return self.snapshot.hierarchy.leaf_mask(self.scope)

    @cached_property
    def parts(self) -> NDArray[np.float64]:
        """(n_leaves,) part of each leaf's recent spend that lies in the scope."""
        if self.snapshot.hierarchy.covers(self.scope):
            return self.leaves.astype(np.float64)
        recent, n_leaves = recent_spend(self.snapshot), len(self.leaves)
        whole = np.bincount(recent.leaf, weights=recent.cost, minlength=n_leaves)
        own = np.bincount(recent.leaf, weights=np.where(in_scope(self.snapshot, recent, self.scope), recent.cost, 0.0), minlength=n_leaves)
        return np.divide(own, whole, out=np.zeros(n_leaves), where=whole > 0.0)

    @cached_property
    def recent_daily_mean(self) -> float:
        """Mean cost of the last four weeks of history, with what is expected to be billed yet."""
        snapshot = self.snapshot
        node = snapshot.hierarchy.node_of(self.scope)
        if node is not None:
            return float(snapshot.expected_node_history[node, -RECENT_DAYS:].mean())
        if snapshot.hierarchy.covers(self.scope):
            return float(snapshot.expected_history[self.leaves, -RECENT_DAYS:].sum(axis=0).mean())
        days, recent = recent_days(snapshot), recent_spend(snapshot)
        start = np.datetime64(days.start, "D")
        if snapshot.pending is None and snapshot.midnights is None and recent.first_day is not None and recent.first_day <= start:
            # The charge lines themselves, which is what a reading of these days is made of.
            own = in_scope(snapshot, recent, self.scope) & (recent.day >= start)
            return float(recent.cost[own].sum()) / days.days
        return float(read_scope(snapshot, self.scope, days).expected_past().sum()) / days.days


def recent_days(snapshot: Snapshot) -> Period:
    """The last four weeks of history, or all of it."""
    end = snapshot.first_open_day
    return Period(max(snapshot.first_day, end - timedelta(days=RECENT_DAYS)), end)


def scope_futures(snapshot: Snapshot, asked: Sequence[tuple[Scope, Period]]) -> Iterable[ScopeFuture]:
    """Each scope that is asked about, once, in the order in which it is first named; one at a time, because their paths take memory.

    Scopes and periods that cannot be answered are no error here: `reading` raises it.
    """
    periods: dict[Scope, list[Period]] = {}
    for scope, period in asked:
        periods.setdefault(scope, []).append(period)
    together = _groups(snapshot, periods)
    read: dict[Scope, ScopeFuture] = {}
    tried: set[tuple[Scope, str]] = set()
    for scope, own in periods.items():
        rest, dimension, others = together.get(scope, (scope, "", []))
        if others and (rest, dimension) not in tried:
            tried.add((rest, dimension))
            read.update(_read_together(snapshot, rest, dimension, {other: periods[other] for other in others}))
        yield read.pop(scope) if scope in read else _read_alone(snapshot, scope, own)


def cut(snapshot: Snapshot, wide: Reading, period: Period) -> Reading:
    """The reading of a period that lies within another's days. In UTC days only: elsewhere a period may cut what is one step of the other."""
    start, end = np.datetime64(period.start, "D"), np.datetime64(period.end, "D")
    begin, stop = (int(place) for place in np.searchsorted(wide.past_days, [start, end]))
    settled = len(wide.past_days) - len(wide.pending)
    first = int(np.searchsorted(wide.ends, start, side="right"))
    last = max(first, int(np.searchsorted(wide.starts, end, side="left")))
    starts, ends = wide.starts[first:last], wide.ends[first:last]
    return replace(
        wide,
        past_days=wide.past_days[begin:stop],
        past=wide.past[begin:stop],
        starts=starts,
        ends=ends,
        weights=overlap(starts, ends, start, end),
        paths=wide.paths[first:last],
        first_step=wide.first_step + first,
        warnings=tuple(text for text in wide.warnings if not text.startswith(OLDER) or _reaches_back(snapshot, wide.past_days[begin:stop])),
        pending=wide.pending[max(begin - settled, 0) : max(stop - settled, 0)],
    )


OLDER = "days before"
"""How the warning begins that old days of a scope finer than a leaf are not read from charge lines."""


def _reaches_back(snapshot: Snapshot, days: NDArray[np.datetime64]) -> bool:
    first = recent_spend(snapshot).first_day
    return bool(len(days)) and (first is None or bool(days[0] < first))


def _read_alone(snapshot: Snapshot, scope: Scope, periods: Sequence[Period]) -> ScopeFuture:
    days = _hull(snapshot, periods)
    if days is None or snapshot.midnights is not None or snapshot.hierarchy.node_of(scope) is not None or len(set(periods)) == 1:
        return ScopeFuture(snapshot, scope)
    try:
        return ScopeFuture(snapshot, scope, read_scope(snapshot, scope, days))
    except InputError:
        return ScopeFuture(snapshot, scope)


def _read_together(snapshot: Snapshot, rest: Scope, dimension: str, periods: dict[Scope, list[Period]]) -> dict[Scope, ScopeFuture]:
    """Scopes that are `rest` with one value of a finer dimension each: the rows of a group-by. Those that are no row are left out."""
    days = _hull(snapshot, [period for own in periods.values() for period in own])
    if days is None:
        return {}
    try:
        rows = {reading.group[dimension]: reading for reading in read_groups(snapshot, rest, (dimension,), days, most=MOST_CELLS)}
    except InputError:
        return {}
    found = {}
    for scope in periods:
        reading = rows.get(_value(scope, dimension))
        if reading is not None:
            found[scope] = ScopeFuture(snapshot, scope, replace(reading, scope=scope, group={}))
    return found


def _groups(snapshot: Snapshot, periods: dict[Scope, list[Period]]) -> dict[Scope, tuple[Scope, str, list[Scope]]]:
    """Scopes that are read together: each with what they share, the dimension that tells them apart, and all of them."""
    if snapshot.midnights is not None:
        return {}
    alike: dict[tuple[Scope, str], list[Scope]] = {}
    for scope in periods:
        finer = [clause for clause in scope.clauses if clause.dimension not in snapshot.hierarchy.dimensions]
        if len(finer) == 1 and not finer[0].exclude and len(finer[0].values) == 1:
            rest = Scope(tuple(clause for clause in scope.clauses if clause is not finer[0]))
            alike.setdefault((rest, finer[0].dimension), []).append(scope)
    return {scope: (rest, dimension, scopes) for (rest, dimension), scopes in alike.items() if len(scopes) >= MANY_ALIKE for scope in scopes}


def _value(scope: Scope, dimension: str) -> str:
    return next(clause.values[0] for clause in scope.clauses if clause.dimension == dimension)


def _hull(snapshot: Snapshot, periods: Sequence[Period]) -> Period | None:
    """From the first to the last day of the periods that the snapshot can see; None where it can see none of them."""
    first, last = snapshot.first_day, snapshot.horizon_end
    seen = [period for period in periods if period.start >= first and period.end <= last]
    return Period(min(period.start for period in seen), max(period.end for period in seen)) if seen else None
