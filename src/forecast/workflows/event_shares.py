"""How planned events move the shares of what is finer than a leaf.

A leaf's paths hold what an event adds to it; where the event's scope is finer than the leaf (the price of one AI model), all of it belongs to
that part and none to its neighbours. Shares are read off the past and know nothing of it, so its money is moved within the leaf: sums over
the parts of a leaf stay what they are, path by path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import UnknownScopeError
from forecast.snapshot import Snapshot
from forecast.spend.scope import Clause, Scope
from forecast.workflows.finer import LeafSplit
from forecast.workflows.shares import RecentSpend, recent_spend


def move_shares(snapshot: Snapshot, split: LeafSplit, steps: slice, paths: NDArray[np.float32]) -> None:
    """Add to `paths` (n_groups, steps, n_paths), in place, what finer events move between the parts of a leaf."""
    for scope, effects in _finer_events(snapshot):
        own = effects[(effects["step"] >= steps.start) & (effects["step"] < steps.stop) & effects["leaf"].isin(split.leaves)]
        if own.empty:
            continue
        pairs = _moved(split, event_lines(snapshot, split.recent, scope))
        for leaf, money in own.groupby("leaf", sort=True):
            here = pairs[pairs["leaf"] == leaf]
            if here.empty:
                continue
            leaf_paths = snapshot.leaf_paths[int(str(leaf)), steps]
            mean = leaf_paths.mean(axis=1, dtype=np.float64)
            added = np.zeros(len(mean))
            added[money["step"].to_numpy() - steps.start] = money["effect"].to_numpy()
            # In proportion to the leaf's path, as the effect of a factor is.
            relative = np.divide(added, mean, out=np.zeros_like(added), where=mean > 0.0)
            for group, moved in zip(here["group"].to_numpy(), here["moved"].to_numpy(), strict=True):
                paths[group] += ((relative * moved)[:, None] * leaf_paths).astype(np.float32)


def event_parts(snapshot: Snapshot, event: Scope, asked: Scope) -> NDArray[np.float64] | None:
    """(n_leaves,) part of an event's money in each leaf that lies in the asked scope; None where the event is not finer than leaves."""
    if snapshot.hierarchy.covers(event):
        return None
    if snapshot.hierarchy.covers(asked):
        return snapshot.hierarchy.leaf_mask(asked).astype(np.float64)
    recent = recent_spend(snapshot)
    within = event_lines(snapshot, recent, event)
    n_leaves = len(snapshot.hierarchy.leaf_ids)
    whole = np.bincount(recent.leaf, weights=np.where(within, recent.cost, 0.0), minlength=n_leaves)
    both = np.bincount(recent.leaf, weights=np.where(within & in_scope(snapshot, recent, asked), recent.cost, 0.0), minlength=n_leaves)
    return np.divide(both, whole, out=np.zeros(n_leaves), where=whole > 0.0)


def in_scope(snapshot: Snapshot, recent: RecentSpend, scope: Scope) -> NDArray[np.bool_]:
    """(n_lines,) recent lines in a scope; raises UnknownScopeError for values that never occurred."""
    inside: NDArray[np.bool_] = snapshot.hierarchy.leaf_mask(scope)[recent.leaf]
    for clause in scope.clauses:
        if clause.dimension not in snapshot.hierarchy.dimensions:
            inside &= recent.matches(clause)
    return inside


def event_lines(snapshot: Snapshot, recent: RecentSpend, scope: Scope) -> NDArray[np.bool_]:
    """(n_lines,) recent lines in an event's scope, which may name what was never spent: a price list has AI models that nobody here uses."""
    kept = []
    for clause in scope.clauses:
        known = tuple(value for value in clause.values if _occurs(snapshot, recent, replace(clause, values=(value,))))
        if known:
            kept.append(replace(clause, values=known))
        elif not clause.exclude:
            return np.zeros(len(recent.leaf), dtype=np.bool_)
    return in_scope(snapshot, recent, Scope(tuple(kept)))


def _occurs(snapshot: Snapshot, recent: RecentSpend, clause: Clause) -> bool:
    try:
        in_scope(snapshot, recent, Scope((clause,)))
    except UnknownScopeError:
        return False
    return True


def _finer_events(snapshot: Snapshot) -> Iterator[tuple[Scope, pd.DataFrame]]:
    effects = snapshot.event_effects
    if effects is None:
        return
    for event in snapshot.meta.get("events") or ():
        scope = Scope.parse(event["scope"])
        own = effects[effects["event"] == event["id"]]
        if len(own) and not snapshot.hierarchy.covers(scope):
            yield scope, own


def _moved(split: LeafSplit, within: NDArray[np.bool_]) -> pd.DataFrame:
    """Columns leaf, group, moved: part of the event's money in the leaf that is the group's, less the group's share of the leaf."""
    recent = split.recent
    lines = pd.DataFrame({"leaf": recent.leaf, "group": split.line_group, "all": recent.cost, "own": np.where(within, recent.cost, 0.0)})
    whole = lines.groupby("leaf")[["all", "own"]].sum()
    pairs = lines[lines["group"] >= 0].groupby(["leaf", "group"], as_index=False)[["all", "own"]].sum()
    of = whole.loc[pairs["leaf"]]
    usable = ((of["all"] > 0.0) & (of["own"] > 0.0)).to_numpy()
    pairs, of = pairs[usable], of[usable]
    return pairs[["leaf", "group"]].assign(moved=pairs["own"].to_numpy() / of["own"].to_numpy() - pairs["all"].to_numpy() / of["all"].to_numpy())
