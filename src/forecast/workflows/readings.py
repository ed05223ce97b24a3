"""What a snapshot knows of a scope in a period: the days that are over, and joint paths of the days to come.

Every answer is a reduction of readings, so that no two answers can contradict each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.paths import overlap
from forecast.snapshot import Snapshot
from forecast.spend.examples import TOLERANCE
from forecast.spend.hierarchy import sum_rows
from forecast.spend.periods import Period
from forecast.spend.scope import Clause, Scope
from forecast.workflows.company_days import CompanyWindow, company_window
from forecast.workflows.event_shares import move_shares
from forecast.workflows.finer import split_leaves
from forecast.workflows.shares import recent_spend

MOST_CELLS = 50_000
"""Groups × steps of a group-by finer than a leaf that are held in memory at once (200 MB at 1,000 paths)."""

SHARE = "share"


@dataclass(frozen=True)
class Reading:
    """One scope in one period.

    past_days : (n_past,) datetime64[D]; past : (n_past,) cost of the period's days that are over, as billed. pending : (k, n_paths) what the
    last k of these days will still be billed; k is 0 where they are settled.
    starts, ends : (n_steps,) future steps that touch the period; weights : (n_steps,) share of each that lies in it.
    paths : (n_steps, n_paths) cost per whole step. derived : "share" where the scope is finer than a leaf.
    node : number of the ready node that this is, in UTC days; first_step : number of the first step in the snapshot.
    Days and steps are the company's: where its time zone is not UTC they are made from days in UTC (see `company_days.py`), and the day on
    which knowledge ends is the first step to come.
    """

    scope: Scope
    group: dict[str, str]
    past_days: NDArray[np.datetime64]
    past: NDArray[np.float64]
    starts: NDArray[np.datetime64]
    ends: NDArray[np.datetime64]
    weights: NDArray[np.float64]
    paths: NDArray[np.floating]
    derived: str | None = None
    node: int | None = None
    first_step: int = 0
    warnings: tuple[str, ...] = ()
    pending: NDArray[np.floating] = field(default_factory=lambda: _NOTHING)

    @property
    def spent(self) -> float:
        """What is billed."""
        return float(self.past.sum())

    def owed(self) -> NDArray[np.float64] | None:
        """(n_paths,) what the days that are over will still be billed; None where they are settled."""
        return self.pending.sum(axis=0, dtype=np.float64) if self.pending.any() else None

    @property
    def open_days(self) -> NDArray[np.datetime64]:
        """Days that are over whose bill is expected to change by more than TOLERANCE yet, up or down."""
        last = len(self.past_days) - len(self.pending)
        return self.past_days[last:][np.abs(self.pending).mean(axis=1) > TOLERANCE * np.abs(self.past[last:])]

    def expected_past(self) -> NDArray[np.float64]:
        """(n_past,) cost of the days that are over, with what is expected to be billed yet."""
        found = self.past.copy()
        if len(self.pending):
            found[-len(self.pending) :] += self.pending.mean(axis=1, dtype=np.float64)
        return found

    def totals(self) -> NDArray[np.float64]:
        """(n_paths,) the period's total: what is billed, what is not billed yet, and what is to come."""
        owed = self.owed()
        total = self.spent + self.to_come()
        return total if owed is None else total + owed

    def to_come(self) -> NDArray[np.float64]:
        """(n_paths,) the part of the total that is not over."""
        whole = self.weights == 1.0
        if whole.all():
            return self.paths.sum(axis=0, dtype=np.float64)
        return np.einsum("s,sp->p", self.weights, self.paths, dtype=np.float64)

    def buckets(self, buckets: Sequence[Period]) -> NDArray[np.float64]:
        """(n_buckets, n_paths) totals of each bucket."""
        edges = np.array([[bucket.start, bucket.end] for bucket in buckets], dtype="datetime64[D]")
        weights = overlap(self.starts[None, :], self.ends[None, :], edges[:, :1], edges[:, 1:])
        samples = weights @ self.paths.astype(np.float64, copy=False)
        inside = ((self.past_days[None, :] >= edges[:, :1]) & (self.past_days[None, :] < edges[:, 1:])).astype(np.float64)
        samples += (inside @ self.past)[:, None]
        if len(self.pending):
            samples += inside[:, -len(self.pending) :] @ self.pending.astype(np.float64, copy=False)
        return samples


def read_scope(snapshot: Snapshot, scope: Scope, period: Period) -> Reading:
    """The scope's reading; scopes finer than a leaf are leaf paths × share paths."""
    return read_groups(snapshot, scope, (), period)[0]


def read_groups(snapshot: Snapshot, scope: Scope, group_by: Sequence[str], period: Period, *, most: int = MOST_CELLS) -> list[Reading]:
    """One reading for each combination of `group_by` values within the scope, in sorted order; no names give the scope itself."""
    snapshot.check_visible(period)
    finer = [name for name in (*scope.dimensions, *group_by) if name not in snapshot.hierarchy.dimensions]
    if finer:
        return _read_finer(snapshot, scope, tuple(group_by), period, most)
    if not group_by:
        return [_read_leaves(snapshot, scope, {}, period, None)]
    mask = snapshot.hierarchy.leaf_mask(scope)
    inside = snapshot.hierarchy.leaves.loc[mask, list(group_by)]
    rows = np.flatnonzero(mask)
    return [
        _read_leaves(snapshot, narrowed(scope, group), group, period, rows[numbers])
        for group, numbers in ((dict(zip(group_by, map(str, key), strict=True)), numbers) for key, numbers in _groups(inside.to_numpy(dtype=object)))
    ]


def narrowed(scope: Scope, group: dict[str, str]) -> Scope:
    """The scope of one group: its own values in place of the scope's conditions on the same dimensions."""
    kept = [clause for clause in scope.clauses if clause.dimension not in group]
    return Scope(tuple(sorted([*kept, *(Clause(name, (value,)) for name, value in group.items())])))


def _groups(values: NDArray[np.object_]) -> list[tuple[tuple[str, ...], NDArray[np.int64]]]:
    found: dict[tuple[str, ...], list[int]] = {}
    for number, key in enumerate(map(tuple, values)):
        found.setdefault(key, []).append(number)
    return [(key, np.array(found[key], dtype=np.int64)) for key in sorted(found)]


@dataclass(frozen=True)
class _Window:
    """The columns of history, those of `pending`, and the steps of the future that a period touches."""

    past: slice
    pending: slice
    steps: slice
    days: NDArray[np.datetime64]
    starts: NDArray[np.datetime64]
    ends: NDArray[np.datetime64]
    weights: NDArray[np.float64]

    def convert(
        self, past: NDArray[np.float64], pending: NDArray[np.floating] | None, paths: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.floating] | None, NDArray[np.floating]]:
        """Days in UTC are the company's."""
        return past, pending, paths


def _window(snapshot: Snapshot, period: Period) -> _Window | CompanyWindow:
    if snapshot.midnights is not None:
        return company_window(snapshot, snapshot.midnights, period)
    start, end = np.datetime64(period.start, "D"), np.datetime64(period.end, "D")
    first = int(np.searchsorted(snapshot.ends, start, side="right"))
    last = max(first, int(np.searchsorted(snapshot.starts, end, side="left")))
    past = snapshot.past_slice(period)
    pending = slice(max(past.start - snapshot.first_pending, 0), max(past.stop - snapshot.first_pending, 0))
    starts, ends = snapshot.starts[first:last], snapshot.ends[first:last]
    return _Window(past, pending, slice(first, last), snapshot.history_ds[past], starts, ends, overlap(starts, ends, start, end))


def _read_leaves(snapshot: Snapshot, scope: Scope, group: dict[str, str], period: Period, rows: NDArray[np.int64] | None) -> Reading:
    window = _window(snapshot, period)
    node = snapshot.hierarchy.node_of(scope)
    warnings: tuple[str, ...] = ()
    if node is not None:
        paths: NDArray[np.floating] = snapshot.node_paths[node, window.steps]
        past = snapshot.node_history[node, window.past]
        pending: NDArray[np.floating] | None = None if snapshot.node_pending is None else snapshot.node_pending[node, window.pending]
    else:
        if rows is None:
            rows = np.flatnonzero(snapshot.hierarchy.leaf_mask(scope))
            if not len(rows):
                warnings = (_nothing(scope),)
        paths = sum_rows(snapshot.leaf_paths[:, window.steps], rows)
        # Row by row: of a single day `sum` would add in another order than of several, and answers would differ in their last digit.
        past = sum_rows(snapshot.leaf_history[:, window.past], rows)
        pending = None if snapshot.pending is None else sum_rows(snapshot.pending[:, window.pending], rows)
    past, pending, paths = window.convert(past, pending, paths)
    return Reading(
        scope,
        group,
        window.days,
        past,
        window.starts,
        window.ends,
        window.weights,
        paths,
        node=node if snapshot.midnights is None else None,
        first_step=window.steps.start,
        warnings=warnings,
        pending=_NOTHING if pending is None else pending,
    )


_NOTHING: NDArray[np.floating] = np.zeros((0, 1))


def _nothing(scope: Scope) -> str:
    return f"no spend has ever had all of {scope}: the answer is zero"


def _read_finer(snapshot: Snapshot, scope: Scope, group_by: tuple[str, ...], period: Period, most: int) -> list[Reading]:
    """Leaf paths × share paths, summed by group."""
    window = _window(snapshot, period)
    days, steps = snapshot.history_ds[window.past], window.steps
    starts, ends = snapshot.starts[steps], snapshot.ends[steps]
    recent = recent_spend(snapshot)
    split = split_leaves(snapshot, recent, scope, group_by)
    n_groups, n_steps = len(split.groups), len(starts)
    if n_groups * n_steps > most:
        raise InputError(
            f"group_by {','.join(group_by)} has {n_groups} groups over {n_steps} steps, which is more than one answer holds",
            field="group_by",
            got=n_groups,
            allowed=f"at most {most // n_steps} groups for this period; narrow the scope or the period",
        )
    paths = np.zeros((n_groups, n_steps, snapshot.n_paths), dtype=np.float32)
    owed = None if snapshot.pending is None else snapshot.pending[:, window.pending]
    pending = np.zeros((n_groups, 0 if owed is None else owed.shape[1], snapshot.n_paths), dtype=np.float32)
    if n_steps or pending.shape[1]:
        blocks = split.blocks(starts, ends)
        for leaf in split.leaves:
            leaf_paths = snapshot.leaf_paths[leaf, steps]
            for group, share in split.share_paths(int(leaf), int(blocks.max(initial=0)) + 1):
                paths[group] += leaf_paths * share[blocks]
                if owed is not None:
                    pending[group] += owed[leaf] * share[0]
        if n_steps:
            move_shares(snapshot, split, steps, paths)
    past = split.past(window.past)
    warnings = [
        f"{', '.join(split.names)}: finer than the series that are forecast, which are split by recent shares; how far shares wander is counted"
    ]
    if len(days) and (recent.first_day is None or days[0] < recent.first_day):
        warnings.append(f"days before {recent.first_day} are actual cost times recent shares")
    if not n_groups:
        warnings.append(_nothing(scope))
        if not group_by:
            zeros = np.zeros((len(window.starts), snapshot.n_paths), dtype=np.float32)
            nothing = np.zeros(len(window.days))
            first_step, texts = window.steps.start, tuple(warnings)
            return [Reading(scope, {}, window.days, nothing, window.starts, window.ends, window.weights, zeros, SHARE, None, first_step, texts)]
    found = []
    for number, values in enumerate(split.groups):
        own_past, own_pending, own_paths = window.convert(past[number], pending[number], paths[number])
        found.append(
            Reading(
                narrowed(scope, values),
                values,
                window.days,
                own_past,
                window.starts,
                window.ends,
                window.weights,
                own_paths,
                SHARE,
                None,
                window.steps.start,
                tuple(warnings),
                _NOTHING if own_pending is None else own_pending,
            )
        )
    return found
