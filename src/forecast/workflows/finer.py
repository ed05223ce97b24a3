"""How the leaves of a scope split over groups finer than a leaf.

Two stages, so that a total does not depend on what it is grouped by: first the scope's part of each leaf (its own
conditions), then the groups' parts of that part. A leaf without recent charge lines splits like its neighbours in the scope.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from forecast.workflows.shares import WEEK, RecentSpend, SeedOf, Shares, combine, split_shares


@dataclass(frozen=True)
class LeafSplit:
    """Leaves of a scope and the groups that they split into.

    names : the dimensions that are finer than a leaf. groups : each group's values, sorted. leaves : row numbers of the scope's leaves.
    line_group : (n_lines,) group of each recent line, -1 outside the scope.
    """

    snapshot: Snapshot
    recent: RecentSpend
    names: tuple[str, ...]
    groups: list[dict[str, str]]
    leaves: NDArray[np.int64]
    line_group: NDArray[np.int64]
    _keys: _Keys
    _of_scope: Shares
    _of_group: Shares
    _pooled: dict[int, float]
    _group_of: dict[int, int]

    def blocks(self, starts: NDArray[np.datetime64], ends: NDArray[np.datetime64]) -> NDArray[np.int64]:
        """(n_steps,) week after the cutoff that the middle of each step lies in."""
        middle = starts + (ends - starts) // 2
        return (middle - np.datetime64(self.snapshot.cutoff, "D")).astype(np.int64) // WEEK

    def share_paths(self, leaf: int, n_blocks: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """(group, (n_blocks, n_paths) share) for each group that has a part in the leaf."""
        keys, n_paths = self._keys, self.snapshot.n_paths
        pairs = self._of_scope.pairs_of(leaf)
        if pairs.start == pairs.stop:
            for key, share in self._pooled.items():
                yield self._group_of[keys.group(leaf, key)], np.full((n_blocks, n_paths), share)
            return
        of_scope = self._of_scope.paths(pairs, n_blocks, n_paths, keys.scope_seed)
        by_shown: dict[int, NDArray[np.float64]] = {}
        for row, value in enumerate(self._of_scope.value[pairs].tolist()):
            if keys.wanted[value]:
                shown = int(keys.shown_of[value])
                by_shown[shown] = by_shown[shown] + of_scope[row] if shown in by_shown else of_scope[row]
        for shown, part in by_shown.items():
            parent = keys.parent(leaf, shown)
            inner = self._of_group.pairs_of(parent)
            of_group = self._of_group.paths(inner, n_blocks, n_paths, keys.group_seed)
            for row, added in enumerate(self._of_group.value[inner].tolist()):
                yield self._group_of[keys.group(leaf, shown * keys.n_added + added)], part * of_group[row]

    def mean_shares(self, leaf: int) -> Iterator[tuple[int, float]]:
        """(group, recent share) for each group that has a part in the leaf."""
        keys = self._keys
        pairs = self._of_scope.pairs_of(leaf)
        if pairs.start == pairs.stop:
            for key, share in self._pooled.items():
                yield self._group_of[keys.group(leaf, key)], share
            return
        by_shown: dict[int, float] = {}
        for value, mean in zip(self._of_scope.value[pairs].tolist(), self._of_scope.mean[pairs].tolist(), strict=True):
            if keys.wanted[value]:
                shown = int(keys.shown_of[value])
                by_shown[shown] = by_shown.get(shown, 0.0) + mean
        for shown, share in by_shown.items():
            inner = self._of_group.pairs_of(keys.parent(leaf, shown))
            for added, mean in zip(self._of_group.value[inner].tolist(), self._of_group.mean[inner].tolist(), strict=True):
                yield self._group_of[keys.group(leaf, shown * keys.n_added + added)], share * mean

    def past(self, columns: slice) -> NDArray[np.float64]:
        """(n_groups, n_days) actual cost: charge lines where the snapshot has them, else the leaves' actual cost × recent shares."""
        days = self.snapshot.history_ds[columns]
        past = np.zeros((len(self.groups), len(days)))
        if not len(days):
            return past
        first = self.recent.first_day
        older = np.ones(len(days), dtype=bool) if first is None else days < first
        if older.any():
            history = self.snapshot.leaf_history[:, columns]
            for leaf in self.leaves:
                for group, share in self.mean_shares(int(leaf)):
                    past[group, older] += share * history[leaf, older]
        usable = (self.line_group >= 0) & (self.recent.day >= days[0]) & (self.recent.day <= days[-1])
        column = (self.recent.day - days[0]).astype(np.int64)
        np.add.at(past, (self.line_group[usable], column[usable]), self.recent.cost[usable])
        return past


@dataclass(frozen=True)
class _Keys:
    """Codes of value combinations. wanted, shown_of : per value of the scope's own dimensions."""

    wanted: NDArray[np.bool_]
    shown_of: NDArray[np.int64]
    leaf_group: NDArray[np.int64]
    n_shown: int
    n_added: int
    scope_seed: SeedOf
    group_seed: SeedOf

    def parent(self, leaf: int, shown: int) -> int:
        return leaf * self.n_shown + shown

    def group(self, leaf: int, key: int) -> int:
        return int(self.leaf_group[leaf]) * self.n_shown * self.n_added + key


def split_leaves(snapshot: Snapshot, recent: RecentSpend, scope: Scope, group_by: Sequence[str]) -> LeafSplit:
    """Prepare the split; raises UnknownScopeError for values that never occurred and for tag keys that nobody used."""
    leaves, leaf_dimensions = snapshot.hierarchy.leaves, snapshot.hierarchy.dimensions
    mask = snapshot.hierarchy.leaf_mask(scope)
    clauses = [clause for clause in scope.clauses if clause.dimension not in leaf_dimensions]
    own = tuple(dict.fromkeys(clause.dimension for clause in clauses))
    shown = tuple(name for name in group_by if name in own)
    added = tuple(name for name in group_by if name not in own and name not in leaf_dimensions)
    n_lines = len(recent.cost)
    matching = np.ones(n_lines, dtype=bool)
    for clause in clauses:
        matching &= recent.matches(clause)
    own_codes, own_values = combine([recent.column(name) for name in own], n_lines)
    shown_codes, shown_values = combine([recent.column(name) for name in shown], n_lines)
    added_codes, added_values = combine([recent.column(name, "group_by") for name in added], n_lines)
    by_leaf = [name for name in group_by if name in leaf_dimensions]
    leaf_group, leaf_values = combine([_codes(leaves[name]) for name in by_leaf], len(leaves))
    n_shown, n_added = max(len(shown_values), 1), max(len(added_values), 1)
    wanted, shown_of = np.zeros(max(len(own_values), 1), dtype=bool), np.zeros(max(len(own_values), 1), dtype=np.int64)
    wanted[own_codes], shown_of[own_codes] = matching, shown_codes
    leaf_ids = snapshot.hierarchy.leaf_ids
    parents = _Parents(leaf_ids, n_shown, shown_values)
    keys = _Keys(
        wanted,
        shown_of,
        leaf_group,
        n_shown,
        n_added,
        SeedOf(snapshot.id, leaf_ids.__getitem__, own, own_values),
        SeedOf(snapshot.id, parents, added, added_values),
    )
    in_leaves = mask[recent.leaf]
    inside = matching & in_leaves
    key = shown_codes * n_added + added_codes
    flat = leaf_group[recent.leaf] * (n_shown * n_added) + key
    of_scope = split_shares(recent.leaf[in_leaves], own_codes[in_leaves], recent.week[in_leaves], recent.cost[in_leaves])
    of_group = split_shares(recent.leaf[inside] * n_shown + shown_codes[inside], added_codes[inside], recent.week[inside], recent.cost[inside])
    rows = np.flatnonzero(mask)
    silent = np.setdiff1d(rows, recent.leaf[in_leaves])
    pooled = _pool(key[inside], recent.cost[inside], float(recent.cost[in_leaves].sum())) if len(silent) else {}
    present = sorted({*flat[inside].tolist(), *(keys.group(int(leaf), code) for leaf in silent for code in pooled)})
    groups: list[tuple[tuple[str, ...], int]] = []
    for code in present:
        rest, add = divmod(code, n_added)
        of_leaf, show = divmod(rest, n_shown)
        by_name = {
            **dict(zip(by_leaf, leaf_values[of_leaf], strict=True)),
            **(dict(zip(shown, shown_values[show], strict=True)) if shown else {}),
            **(dict(zip(added, added_values[add], strict=True)) if added else {}),
        }
        groups.append((tuple(by_name[name] for name in group_by), code))
    groups.sort()
    group_of = {code: number for number, (_, code) in enumerate(groups)}
    line_group = np.full(n_lines, -1, dtype=np.int64)
    line_group[inside] = [group_of[code] for code in flat[inside].tolist()]
    named = [dict(zip(group_by, values, strict=True)) for values, _ in groups]
    return LeafSplit(snapshot, recent, (*own, *added), named, rows, line_group, keys, of_scope, of_group, pooled, group_of)


def _codes(column: pd.Series) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    codes, values = pd.factorize(column, sort=True)
    return codes.astype(np.int64), tuple(map(str, values))


def _pool(keys: NDArray[np.int64], cost: NDArray[np.float64], total: float) -> dict[int, float]:
    """Share of each key in all lines of the scope's leaves: what a leaf without recent lines is taken to do."""
    if not len(keys) or total == 0:
        return {}
    unique, inverse = np.unique(keys, return_inverse=True)
    return dict(zip(unique.tolist(), (np.bincount(inverse, weights=cost) / total).tolist(), strict=True))


class _Parents:
    """Text of (leaf, shown values) parents, for seeds."""

    def __init__(self, leaf_ids: Sequence[str], n_shown: int, shown_values: Sequence[tuple[str, ...]]) -> None:
        self.leaf_ids, self.n_shown, self.shown_values = leaf_ids, n_shown, shown_values

    def __call__(self, parent: int) -> str:
        leaf, shown = divmod(parent, self.n_shown)
        return "|".join((self.leaf_ids[leaf], *self.shown_values[shown]))
