"""Baseline paths of rows finer than a leaf: a leaf's paths × the row's share of it, multiplied when they are read and never kept.

A row is the part of a leaf that is one AI model, region, tag value …; shares of a leaf's rows add up to 1 on every path, so that all rows of a leaf
together are read as the leaf itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from forecast.spend.hierarchy import sum_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RowPaths:
    """What `Spending` reads in place of leaf paths.

    leaf_paths : (n_leaves, n_steps, n_paths) money a step. leaf_sums : rows of leaves (as bytes) → (n_steps, n_paths), sums that are ready.
    leaf : (n_rows,) leaf of each row. share : (n_rows,) its share where that is the same on all paths (0 for rows without spend).
    walk : (n_rows,) number of its share in `walks` where that differs, -1 where not. walks : (n_walks, n_blocks, n_paths). block : (n_steps,) which
    block a step lies in. added : row → (n_steps,) what planned events add to the share. ready : as leaf_sums, of rows.
    """

    leaf_paths: NDArray[np.floating]
    leaf_sums: Mapping[bytes, NDArray[np.floating]]
    leaf: Ints
    share: Floats
    walk: Ints
    walks: Floats
    block: Ints
    added: Mapping[int, Floats] = field(default_factory=dict)
    ready: Mapping[bytes, NDArray[np.floating]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.leaf)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of what the paths of all rows would be."""
        _, n_steps, n_paths = self.leaf_paths.shape
        return len(self.leaf), n_steps, n_paths

    def __getitem__(self, row: int) -> Floats:
        """(n_steps, n_paths) of one row."""
        paths = self.leaf_paths[self.leaf[row]].astype(np.float64)
        paths *= self._share([row])
        return paths

    def of(self, rows: Ints) -> Floats:
        """(n_steps, n_paths) sum of some rows. rows : ascending."""
        rows = rows[self._some[rows]]
        ready = self.ready.get(rows.tobytes())
        if ready is not None:
            return ready.astype(np.float64)
        leaves = self.leaf[rows]
        whole = np.bincount(leaves, minlength=len(self.leaf_paths)) == self._rows_of_leaf
        together = np.unique(leaves[whole[leaves]])
        known = self.leaf_sums.get(together.tobytes()) if len(together) > 1 else None
        total = sum_rows(self.leaf_paths, together) if known is None else known.astype(np.float64)
        parts = rows[~whole[leaves]]
        own = np.empty_like(total)
        for some in np.split(parts, np.flatnonzero(np.diff(self.leaf[parts])) + 1):
            if len(some):
                own[...] = self.leaf_paths[self.leaf[some[0]]]
                total += np.multiply(own, self._share(some.tolist()), out=own)
        return total

    def weighted(self, rows: Ints, factor: Floats) -> Floats:
        """(m, n_steps) Σ over the paths of each row × factor. rows : ascending. factor : (n_paths,)."""
        found = np.zeros((len(rows), len(self.block)))
        edges = np.flatnonzero(np.concatenate([[True], np.diff(self.block) != 0, [True]])).tolist() if len(self.block) else []
        leaves = self.leaf[rows]
        for some in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(leaves)) + 1):
            if not len(some):
                continue
            paths = self.leaf_paths[leaves[some[0]]] * factor
            walks = self.walk[rows[some]]
            varying = some[walks >= 0]
            for first, last in pairwise(edges):
                found[varying, first:last] = (paths[first:last] @ self.walks[walks[walks >= 0], self.block[first]].T).T
            whole = paths.sum(axis=1)
            constant = some[walks < 0]
            found[constant] = self.share[rows[constant], None] * whole
            for place in some.tolist():
                if int(rows[place]) in self.added:
                    found[place] += self.added[int(rows[place])] * whole
        return found

    def nonempty(self, rows: Ints) -> Ints:
        """Those of some rows that have spend."""
        return rows[self._some[rows]]

    def _share(self, rows: list[int]) -> Floats | float:
        """(n_steps, n_paths) of some rows of one leaf together, or one number."""
        constant = float(self.share[rows].sum())
        walks = self.walk[rows]
        walks = walks[walks >= 0]
        extra = [self.added[row] for row in rows if row in self.added]
        if not len(walks):
            return constant if not extra else constant + np.sum(extra, axis=0)[:, None]
        by_block = self.walks[walks[0]] if len(walks) == 1 else self.walks[walks].sum(axis=0)
        found: Floats = (by_block + constant if constant else by_block)[self.block]
        return found + np.sum(extra, axis=0)[:, None] if extra else found

    @cached_property
    def _some(self) -> NDArray[np.bool_]:
        """(n_rows,) rows with spend."""
        found = (self.share != 0.0) | (self.walk >= 0)
        found[list(self.added)] = True
        return np.asarray(found, dtype=np.bool_)

    @cached_property
    def _rows_of_leaf(self) -> Ints:
        """(n_leaves,) rows with spend."""
        return np.bincount(self.leaf[self._some], minlength=len(self.leaf_paths)).astype(np.int64)
