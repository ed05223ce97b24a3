"""Which leaf a fresh line belongs to: one of the snapshot's, one that gathers small ones, or a new one. And the nodes above them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.spend.dimensions import OTHER, UNKNOWN
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.scope import Scope

Floats = NDArray[np.float64]


def coded(fresh: pd.DataFrame, leaves: pd.DataFrame, dimensions: Sequence[str], before: Floats) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The fresh lines with a column `leaf` (row number), and the leaves with those that only fresh lines have, at their end.

    fresh : columns `ds`, the dimensions, `spend`. leaves : one column a dimension. before : (n_leaves, n_days) what leaves cost before.
    Training gathers small leaves as `(other)` under their parent (`spend.hierarchy.build_hierarchy`). A combination that may be one of those
    belongs there while no day of it costs more than all of them together ever did; beyond that it is spend of its own.
    """
    names = list(dimensions)
    values = fresh[names].astype(object).fillna(UNKNOWN).astype(str)
    own, unique = pd.MultiIndex.from_frame(values).factorize()
    combinations = pd.DataFrame(list(unique), columns=names)
    known = pd.MultiIndex.from_frame(leaves)
    row = known.get_indexer(pd.MultiIndex.from_frame(combinations)).astype(np.int64)
    if (leaves == OTHER).to_numpy().any():
        by_day = fresh["spend"].abs().groupby([own, fresh["ds"].to_numpy()]).sum()
        dearest = by_day.groupby(level=0).max().reindex(np.arange(len(combinations)), fill_value=0.0).to_numpy()
        most = np.abs(before).max(axis=1, initial=0.0)
        for kept in (len(names) - 1, 1):
            gathered = combinations.copy()
            gathered[names[kept:]] = OTHER
            place = known.get_indexer(pd.MultiIndex.from_frame(gathered))
            fits = (row < 0) & (place >= 0) & (dearest <= np.where(place >= 0, most[place], 0.0))
            row = np.where(fits, place, row)
    new = np.flatnonzero(row < 0)
    row[new] = len(leaves) + np.arange(len(new))
    every = pd.concat([leaves, combinations.iloc[new]], ignore_index=True) if len(new) else leaves
    return fresh.assign(leaf=row[own]), every


def nodes_of(hierarchy: Hierarchy, leaves: pd.DataFrame) -> tuple[list[Scope], list[NDArray[np.int64]]]:
    """The hierarchy's nodes with the new leaves in them, and nodes that only new leaves have; of each the numbers of its leaves."""
    if len(leaves) == len(hierarchy.leaf_ids):
        return list(hierarchy.nodes), list(hierarchy.members)
    nodes: list[Scope] = []
    members: list[NDArray[np.int64]] = []
    for level in hierarchy.levels:
        groups = leaves.groupby(list(level), sort=False).indices if level else {(): np.arange(len(leaves))}
        for value, rows in groups.items():
            named = value if isinstance(value, tuple) else (value,)
            nodes.append(Scope.parse({name: [str(one)] for name, one in zip(level, named, strict=True)}))
            members.append(np.sort(np.asarray(rows, dtype=np.int64)))
    return nodes, members
