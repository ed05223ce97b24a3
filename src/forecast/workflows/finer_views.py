"""A snapshot's rows on the days of a plan: their paths, what is metered of them, and readings of the baseline; kept for the next question.

Shares are random walks, and drawing them takes longer than all that is done with them. So what does not hang on a plan's levers is kept with the
snapshot, the latest first, up to `KEPT_NUMBERS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.finer_paths import RowPaths
from forecast.scenarios.finer_world import RowResponses, row_meters, row_responses
from forecast.scenarios.spending import Spending
from forecast.scenarios.world import World
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import DIMENSIONS
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.event_shares import event_lines
from forecast.workflows.finer_rows import RowSplit, split_rows
from forecast.workflows.readings import Reading, read_groups
from forecast.workflows.shares import WEEK, RecentSpend, recent_spend

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_NUMBERS = 100_000_000
"""Rows × weeks × paths of shares that one answer holds in memory (800 MB)."""
KEPT_NUMBERS = 50_000_000
"""The same, of all that is kept."""
KEPT_IN_READINGS = 25_000_000
"""Numbers of baseline paths (100 MB) that are kept with the rows."""


@dataclass(eq=False)
class RowsKept:
    """Rows in one window of a snapshot's steps, without what a plan's levers bring.

    walks, block : see `RowPaths`. added : row → (n_steps,). means : (n_rows, n_steps) mean money a step.
    """

    split: RowSplit
    window: slice
    walks: Floats
    block: Ints
    added: dict[int, Floats]
    means: Floats
    meters: pd.DataFrame | None
    responses: RowResponses
    readings: dict[tuple[Scope, tuple[str, ...], Period], list[Reading]] = field(default_factory=dict)

    def meters_of(self, split: RowSplit) -> pd.DataFrame | None:
        """Meters by the rows of a split that has rows for what levers bring."""
        if self.meters is None or split is self.split:
            return self.meters
        return self.meters.assign(leaf=np.flatnonzero(split.brought < 0)[self.meters["leaf"].to_numpy(dtype=np.int64)])

    def responses_of(self, split: RowSplit, world: World) -> RowResponses:
        """Responses likewise: rows that levers bring follow usage as their leaves do. world : of leaves."""
        return row_responses(world.responses, split.leaf, split.mean, self.meters_of(split))

    def read(self, scope: Scope, names: tuple[str, ...], period: Period) -> list[Reading]:
        """`read_groups`, kept."""
        key = (scope, names, period)
        found = self.readings.get(key)
        if found is None:
            found = read_groups(self.split.snapshot, scope, names, period)
            size = sum(reading.paths.size for readings in (found, *self.readings.values()) for reading in readings)
            if size > KEPT_IN_READINGS:
                self.readings.clear()
            self.readings[key] = found
        return found


def finer_names(snapshot: Snapshot, scope: Scope, group_by: Sequence[str] = ()) -> tuple[str, ...]:
    """What of a scope and of group-by names is finer than a leaf."""
    names = (*scope.dimensions, *group_by)
    return tuple(dict.fromkeys(name for name in names if name not in snapshot.hierarchy.dimensions))


def kept_rows(snapshot: Snapshot, scope: Scope, group_by: tuple[str, ...], world: World, spending: Spending, window: slice, field: str) -> RowsKept:
    """Rows of a scope by what of it and of `group_by` is finer than a leaf. world, spending : of leaves. field : for messages.

    Raises PlanError for dimensions that nobody knows (with the nearest), where charge lines are not kept, and for more rows than one answer holds;
    UnknownScopeError for values that never occurred.
    """
    finer, leaf_scope = finer_names(snapshot, scope), _of_leaves(snapshot, scope)
    added = tuple(name for name in finer_names(snapshot, Scope(), group_by) if name not in finer)
    # With one stage alone the shares are the same whichever part of the dimension is asked for.
    asked = (scope, added) if finer and added else (leaf_scope, finer or added)
    kept: dict[object, RowsKept] = snapshot.__dict__.setdefault("_rows_kept", {})
    key = (*asked, window.start, window.stop)
    found = kept.pop(key, None)
    if found is None:
        for name in (*finer, *added):
            _check_dimension(recent_spend(snapshot), name, field)
        found = _made(split_rows(snapshot, *asked), world, spending, window, field)
    size = found.walks.size
    while kept and size + sum(one.walks.size for one in kept.values()) > KEPT_NUMBERS:
        kept.pop(next(iter(kept)), None)
    if size <= KEPT_NUMBERS:
        kept[key] = found
    return found


def _of_leaves(snapshot: Snapshot, scope: Scope) -> Scope:
    """What of a scope leaves tell."""
    return Scope(tuple(clause for clause in scope.clauses if clause.dimension in snapshot.hierarchy.dimensions))


def _check_dimension(recent: RecentSpend, name: str, field: str) -> None:
    """Refuse a dimension of which the recent charge lines say nothing."""
    if not len(recent.cost):
        raise PlanError(
            f"{field} {name!r} is finer than a leaf, and this forecast keeps no recent charge lines to tell it apart by",
            field=field,
            got=name,
            allowed="dimensions of leaves, or a forecast that was trained on recent bills",
        )
    kept = [one for one in DIMENSIONS if one in recent.frame.columns]
    known = [*kept, *(key for key in recent.tag_keys if key not in kept)]
    if name in known:
        return
    if name in DIMENSIONS:
        raise PlanError(f"{field}: the recent charge lines of this forecast do not keep {name!r}", field=field, got=name, allowed=", ".join(known))
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    text = f"{field}: {name!r} is neither a dimension nor a tag key that has occurred lately{hint}"
    raise PlanError(text, field=field, got=name, allowed=", ".join(near or known))


def _made(split: RowSplit, world: World, spending: Spending, window: slice, field: str) -> RowsKept:
    snapshot = split.snapshot
    starts, ends = snapshot.starts[window], snapshot.ends[window]
    middle = starts + (ends - starts) // 2
    weeks, block = np.unique((middle - np.datetime64(snapshot.cutoff, "D")).astype(np.int64) // WEEK, return_inverse=True)
    _check_size(split, len(weeks), field)
    walks = split.walks(weeks.astype(np.int64))
    added = _event_shares(split, window)
    paths = row_paths(split, walks, block.astype(np.int64), added, spending)
    rows = np.arange(len(split))
    means = paths.weighted(rows, np.full(snapshot.n_paths, 1.0 / snapshot.n_paths))
    meters = None
    if world.meters is not None:
        meters = row_meters(world.meters, split.leaf, split.names, split.texts, world.recent[split.leaf] * split.mean)
    responses = row_responses(world.responses, split.leaf, split.mean, meters)
    return RowsKept(split, window, walks, block.astype(np.int64), added, means, meters, responses)


def _check_size(split: RowSplit, n_weeks: int, field: str) -> None:
    n_rows, n_paths = int(split.varying.sum()), split.snapshot.n_paths
    if n_rows * n_weeks * n_paths > MOST_NUMBERS:
        most = MOST_NUMBERS // (n_weeks * n_paths)
        raise PlanError(
            f"{field}: leaves × {', '.join(split.names)} are {n_rows:,} combinations over {n_weeks} weeks, more than one answer holds",
            field=field,
            got=n_rows,
            allowed=f"at most {most:,} combinations for these days; narrow the scope or the days",
        )


def row_paths(
    split: RowSplit, walks: Floats, block: Ints, added: dict[int, Floats], spending: Spending, ready: dict[bytes, NDArray[np.floating]] | None = None
) -> RowPaths:
    """The paths of rows. spending : of leaves, in the same window of steps."""
    walk = np.full(len(split), -1, dtype=np.int64)
    walk[split.varying] = np.arange(len(walks))
    share = np.where(split.varying, 0.0, split.mean)
    leaf_paths = np.asarray(spending.leaf_paths)
    return RowPaths(leaf_paths, spending.nodes, split.leaf, share, walk, walks, block, added, ready or {})


def with_brought(kept: RowsKept, split: RowSplit) -> tuple[dict[int, Floats], Floats]:
    """`added` and `means` by the rows of a split that has rows for what levers bring."""
    own = np.flatnonzero(split.brought < 0)
    means = np.zeros((len(split), kept.means.shape[1]))
    means[own] = kept.means
    return {int(own[row]): found for row, found in kept.added.items()}, means


def _event_shares(split: RowSplit, window: slice) -> dict[int, Floats]:
    """Row → (n_steps,) what planned events finer than a leaf add to its share of the leaf, as `event_shares.py` moves their money."""
    snapshot, found = split.snapshot, dict[int, Floats]()
    effects = snapshot.event_effects
    if effects is None:
        return found
    lines = pd.DataFrame({"leaf": split.recent.leaf, "row": split.line_row, "all": split.recent.cost})
    apart = np.bincount(split.leaf, minlength=len(snapshot.hierarchy.leaves)) > 1
    for event in snapshot.meta.get("events") or ():
        scope = Scope.parse(event["scope"])
        own = effects[(effects["event"] == event["id"]) & (effects["step"] >= window.start) & (effects["step"] < window.stop)]
        own = own[apart[own["leaf"].to_numpy(dtype=np.int64)]]
        if own.empty or snapshot.hierarchy.covers(scope):
            continue
        own_lines = lines.assign(own=np.where(event_lines(snapshot, split.recent, scope), lines["all"], 0.0))
        by_row, by_leaf = own_lines.groupby(["leaf", "row"])[["all", "own"]].sum(), own_lines.groupby("leaf")[["all", "own"]].sum()
        for leaf, money in own.groupby("leaf", sort=True):
            number = int(str(leaf))
            whole = by_leaf.loc[[number]].to_numpy(dtype=np.float64)[0] if number in by_leaf.index else np.zeros(2)
            if not (whole > 0.0).all():
                continue
            mean = snapshot.leaf_paths[number, window].mean(axis=1, dtype=np.float64)
            effect = np.zeros(len(mean))
            effect[money["step"].to_numpy() - window.start] = money["effect"].to_numpy()
            relative = np.divide(effect, mean, out=np.zeros_like(effect), where=mean > 0.0)
            rows = by_row.loc[number]
            # Part of the event's money that is the row's, less the row's part of the leaf.
            moved = rows["own"].to_numpy() / whole[1] - rows["all"].to_numpy() / whole[0]
            for row, part in zip(rows.index.tolist(), moved.tolist(), strict=True):
                found[row] = found.get(row, 0.0) + relative * part
    return found
