"""Leaves taken apart into rows by dimensions finer than a leaf, with the same shares, path by path, that answers finer than a leaf are made of.

Two stages as in `finer.py`: a scope's own conditions first, then what is asked for beside them; so a row's share is the very number that
`forecast predict --by` reads. What lies outside the scope is a row of its own, because levers may move it in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.scenarios.finer_world import WHOLE
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import UNKNOWN
from forecast.spend.scope import Clause, Scope
from forecast.workflows.shares import RecentSpend, SeedOf, Shares, combine, recent_spend, split_shares

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Texts = NDArray[np.object_]
Bools = NDArray[np.bool_]

LITTLE = 1e-6
"""Of a scope's money a day: leaves without recent lines that cost less belong to the largest group alone."""


@dataclass(frozen=True, eq=False)
class RowSplit:
    """Rows in the order of their leaves; leaves outside the scope, and those of which nothing is known, are one row each (`WHOLE`).

    names : the dimensions that leaves are taken apart by. leaf, mean : (n_rows,) leaf and recent share of it. texts : (n_rows, n_names) values.
    first, second : (n_rows,) pairs of the two stages whose shares a row's is the product of, -1 for none. line_row : (n_lines,) row of each recent
    line. brought : (n_rows,) of rows without spend the first lever that may bring some, -1 of all others. apart : (n_leaves,) leaves of the scope.
    """

    snapshot: Snapshot
    recent: RecentSpend
    names: tuple[str, ...]
    leaf: Ints
    texts: Texts
    mean: Floats
    first: Ints
    second: Ints
    line_row: Ints
    brought: Ints
    apart: Bools
    of_scope: Shares
    of_group: Shares
    scope_seed: SeedOf
    group_seed: SeedOf

    def __len__(self) -> int:
        return len(self.leaf)

    @property
    def has_one_stage(self) -> bool:
        """Then rows are the same for every scope over `names` and every group-by of them."""
        return not (self.scope_seed.dimensions and self.group_seed.dimensions)

    def told(self, clauses: Sequence[Clause]) -> Bools:
        """(n_rows,) whether rows meet conditions on `names`; those that are not told apart meet none."""
        found = np.ones(len(self), dtype=bool)
        for clause in clauses:
            texts = self.texts[:, self.names.index(clause.dimension)]
            found &= (np.isin(texts, list(clause.values)) != clause.exclude) & (texts != WHOLE)
        return found

    def inside(self, scope: Scope) -> Bools:
        """(n_rows,) whether rows lie in a scope over leaf dimensions and `names`."""
        finer = [clause for clause in scope.clauses if clause.dimension in self.names]
        return np.asarray(self.snapshot.hierarchy.leaf_mask(scope)[self.leaf] & self.told(finer), dtype=np.bool_)

    def parts(self, scope: Scope) -> Floats:
        """(n_rows,) part of each row that lies in a scope over any dimensions: 0 or 1 where rows tell, else as recent lines say.

        Raises UnknownScopeError for values that never occurred and that no lever brings.
        """
        leaf_dimensions = self.snapshot.hierarchy.dimensions
        finer = [clause for clause in scope.clauses if clause.dimension not in leaf_dimensions]
        found = self.snapshot.hierarchy.leaf_mask(scope)[self.leaf].astype(np.float64)
        lines = np.ones(len(self.recent.cost), dtype=bool)
        unsure = np.zeros(len(self), dtype=bool)
        others = np.ones(len(self.recent.cost), dtype=bool)
        for clause in finer:
            matching = self._matches(clause)
            lines &= matching
            if clause.dimension in self.names:
                texts = self.texts[:, self.names.index(clause.dimension)]
                found *= (texts == WHOLE) | (np.isin(texts, list(clause.values)) != clause.exclude)
                unsure |= texts == WHOLE
            else:
                others &= matching
                unsure[:] = True
        unsure &= found > 0.0
        if unsure.any():
            found[unsure] *= self._by_lines(lines, others)[unsure]
        return found

    def _matches(self, clause: Clause) -> Bools:
        """(n_lines,) lines that meet a condition; values that only levers bring are on none."""
        if clause.dimension not in self.names:
            return self.recent.matches(clause)
        new = set(self.texts[self.brought >= 0, self.names.index(clause.dimension)].tolist())
        known = tuple(value for value in clause.values if value not in new or value in self.recent.column(clause.dimension)[1])
        if known:
            return self.recent.matches(replace(clause, values=known))
        return np.full(len(self.recent.cost), clause.exclude, dtype=np.bool_)

    def _by_lines(self, lines: Bools, others: Bools) -> Floats:
        """(n_rows,) part of each row's recent money on some lines; of rows without lines that of all together (`others`: but for `names`)."""
        cost = self.recent.cost
        whole, own = (np.bincount(self.line_row, weights=weights, minlength=len(self)) for weights in (cost, np.where(lines, cost, 0.0)))
        usual = float(cost[others].sum() / cost.sum()) if cost.sum() != 0.0 else 0.0
        return np.asarray(np.divide(own, whole, out=np.full(len(self), usual), where=whole != 0.0), dtype=np.float64)

    def with_brought(self, places: Sequence[Mapping[str, str]]) -> RowSplit:
        """The same with rows of each leaf for what levers bring: its own rows, with the values of a lever's place (in the order of the levers, empty
        for those that move nothing) in place of theirs."""
        names = list(self.names)
        frame = pd.DataFrame(self.texts, columns=names).assign(leaf=self.leaf, lever=-1)
        found = frame[(self.texts != WHOLE).any(axis=1)].replace(WHOLE, UNKNOWN)
        known = len(found)
        for number, place in enumerate(places):
            values = {name: value for name, value in place.items() if name in self.names}
            if values:
                found = pd.concat([found, found.assign(**values, lever=number)]).drop_duplicates([*names, "leaf"])
        made = found.iloc[known:]
        if made.empty:
            return self
        leaf = np.concatenate([self.leaf, made["leaf"].to_numpy(dtype=np.int64)])
        order = np.argsort(leaf, kind="stable")
        nothing, none = np.zeros(len(made)), np.full(len(made), -1)
        return replace(
            self,
            leaf=leaf[order],
            texts=np.concatenate([self.texts, made[names].to_numpy(dtype=object)])[order],
            mean=np.concatenate([self.mean, nothing])[order],
            first=np.concatenate([self.first, none])[order],
            second=np.concatenate([self.second, none])[order],
            brought=np.concatenate([self.brought, made["lever"].to_numpy(dtype=np.int64)])[order],
            line_row=np.argsort(order, kind="stable")[self.line_row],
        )

    @cached_property
    def varying(self) -> Bools:
        """(n_rows,) rows whose share is not the same on all paths."""
        return np.asarray(self._varies(self.of_scope, self.first) | self._varies(self.of_group, self.second), dtype=np.bool_)

    @staticmethod
    def _varies(shares: Shares, pairs: Ints) -> Bools:
        if not len(shares.parent):
            return np.zeros(len(pairs), dtype=bool)
        first = np.searchsorted(shares.parent, shares.parent, side="left")
        alone = np.searchsorted(shares.parent, shares.parent, side="right") - first == 1
        fixed = np.maximum.reduceat(shares.fixed, np.flatnonzero(np.concatenate([[True], np.diff(shares.parent) != 0])))
        of_pair = fixed[np.cumsum(np.concatenate([[True], np.diff(shares.parent) != 0])) - 1]
        return np.asarray((pairs >= 0) & ~(alone | of_pair)[pairs], dtype=np.bool_)

    def walks(self, blocks: Ints) -> Floats:
        """(varying rows, n_blocks, n_paths) shares in some weeks after the cutoff."""
        rows = np.flatnonzero(self.varying)
        n_blocks, n_paths = int(blocks.max(initial=0)) + 1, self.snapshot.n_paths
        found = np.ones((len(rows), len(blocks), n_paths))
        for shares, pairs, seed in ((self.of_scope, self.first[rows], self.scope_seed), (self.of_group, self.second[rows], self.group_seed)):
            order = np.argsort(pairs, kind="stable")
            order = order[pairs[order] >= 0]
            parents = shares.parent[pairs[order]]
            for some in np.split(order, np.flatnonzero(np.diff(parents)) + 1):
                if len(some):
                    whole = shares.pairs_of(int(shares.parent[pairs[some[0]]]))
                    paths = shares.paths(whole, n_blocks, n_paths, seed)[:, blocks]
                    found[some] *= paths[pairs[some] - whole.start]
        return found


def split_rows(snapshot: Snapshot, scope: Scope, group_by: Sequence[str]) -> RowSplit:
    """Rows of the leaves of a scope by what of it and of `group_by` is finer than a leaf.

    Raises UnknownScopeError for values that never occurred and for tag keys that nobody used.
    """
    recent, hierarchy = recent_spend(snapshot), snapshot.hierarchy
    clauses = [clause for clause in scope.clauses if clause.dimension not in hierarchy.dimensions]
    own = tuple(dict.fromkeys(clause.dimension for clause in clauses))
    shown = tuple(name for name in group_by if name in own)
    added = tuple(name for name in group_by if name not in own and name not in hierarchy.dimensions)
    n_lines = len(recent.cost)
    matching = np.ones(n_lines, dtype=bool)
    for clause in clauses:
        matching &= recent.matches(clause)
    own_codes, own_values = combine([recent.column(name) for name in own], n_lines)
    shown_codes, shown_values = combine([recent.column(name) for name in shown], n_lines)
    added_codes, added_values = combine([recent.column(name, "group_by") for name in added], n_lines)
    n_own, n_added, n_shown = (max(len(values), 1) for values in (own_values, added_values, shown_values))
    wanted, shown_of = np.zeros(n_own, dtype=bool), np.zeros(n_own, dtype=np.int64)
    wanted[own_codes], shown_of[own_codes] = matching, shown_codes
    in_leaves = hierarchy.leaf_mask(scope)[recent.leaf]
    inside = matching & in_leaves
    of_scope = split_shares(recent.leaf[in_leaves], own_codes[in_leaves], recent.week[in_leaves], recent.cost[in_leaves])
    of_group = split_shares(recent.leaf[inside] * n_shown + shown_codes[inside], added_codes[inside], recent.week[inside], recent.cost[inside])

    first, second = _pairs(of_scope, of_group, wanted, shown_of, n_shown)
    apart = second >= 0
    codes = of_scope.value[first] * (n_added + 1) + np.where(apart, of_group.value[second] if len(of_group.value) else 0, n_added)
    mean = of_scope.mean[first] * np.where(apart, of_group.mean[second] if len(of_group.mean) else 1.0, 1.0)
    leaf = of_scope.parent[first]

    # Leaves without recent lines go like all lines of the scope's leaves together.
    flat = own_codes * (n_added + 1) + np.where(matching, added_codes, n_added)
    masked = np.flatnonzero(hierarchy.leaf_mask(scope))
    silent = np.setdiff1d(masked, recent.leaf[in_leaves])
    total = float(recent.cost[in_leaves].sum())
    pool, numbers = np.unique(flat[in_leaves], return_inverse=True)
    known = len(pool) > 0 and total != 0.0
    shares = np.bincount(numbers, weights=recent.cost[in_leaves]) / total if known else np.zeros(0)
    silent, little = _by_size(snapshot, silent if known else silent[:0], total / max(len(np.unique(recent.day)), 1))
    whole = np.setdiff1d(np.arange(len(hierarchy.leaves)), np.concatenate([leaf, silent, little]))
    n_pooled, none = len(silent) * len(pool) + len(little), n_own * (n_added + 1)
    leaf = np.concatenate([leaf, np.repeat(silent, len(pool)), little, whole])
    largest = np.full(len(little), pool[shares.argmax()] if known else none)
    codes = np.concatenate([codes, np.tile(pool, len(silent)), largest, np.full(len(whole), none)])
    mean = np.concatenate([mean, np.tile(shares, len(silent)), np.ones(len(little) + len(whole))])
    first, second = (np.concatenate([pairs, np.full(n_pooled + len(whole), -1)]) for pairs in (first, second))
    key = leaf * (none + 1) + codes
    order = np.argsort(key, kind="stable")
    line_key = recent.leaf * (none + 1) + np.where(in_leaves, flat, none)

    of_own = [*(own_values or [()] * n_own), (WHOLE,) * len(own)]
    of_added = [*(added_values or [()] * n_added), (WHOLE,) * len(added)]
    rows = [of_own[code // (n_added + 1)] + of_added[-1 if code == none else code % (n_added + 1)] for code in codes[order].tolist()]
    texts = np.array(rows, dtype=object).reshape(len(rows), len(own) + len(added))
    leaf_ids = hierarchy.leaf_ids

    def of_parent(number: int) -> str:
        return "|".join((leaf_ids[number // n_shown], *shown_values[number % n_shown]))

    return RowSplit(
        snapshot,
        recent,
        (*own, *added),
        leaf[order],
        texts,
        mean[order],
        first[order],
        second[order],
        np.searchsorted(key[order], line_key).astype(np.int64),
        np.full(len(order), -1),
        hierarchy.leaf_mask(scope),
        of_scope,
        of_group,
        SeedOf(snapshot.id, leaf_ids.__getitem__, own, own_values),
        SeedOf(snapshot.id, of_parent, added, added_values),
    )


def _pairs(of_scope: Shares, of_group: Shares, wanted: Bools, shown_of: Ints, n_shown: int) -> tuple[Ints, Ints]:
    """(n_rows,) pairs of both stages: values that meet the scope's conditions are taken apart by what was added, others stay whole (-1)."""
    parent = of_scope.parent * n_shown + shown_of[of_scope.value]
    low, high = np.searchsorted(of_group.parent, parent, side="left"), np.searchsorted(of_group.parent, parent, side="right")
    inner = np.where(wanted[of_scope.value], high - low, 0)
    rows = np.maximum(inner, 1)
    first = np.repeat(np.arange(len(parent)), rows)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(rows) - rows, rows)
    return first, np.where((inner > 0)[first], low[first] + offset, -1)


def _by_size(snapshot: Snapshot, leaves: Ints, a_day: float) -> tuple[Ints, Ints]:
    """Leaves that cost something, and those that cost next to nothing: these are not worth rows for each value. a_day : money to compare with."""
    if not len(leaves):
        return leaves, leaves
    days = (snapshot.ends - snapshot.starts).astype(np.float64)
    cost = np.array([float(np.abs(snapshot.leaf_paths[leaf]).mean(axis=1, dtype=np.float64).sum()) for leaf in leaves.tolist()]) / days.sum()
    little = cost < LITTLE * abs(a_day)
    return leaves[~little], leaves[little]
