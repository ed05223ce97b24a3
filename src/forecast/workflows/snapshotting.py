"""From simulated days to a snapshot: sum days to steps, leaves to nodes, and take quantiles once for all readers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.evaluation.quantiles import sorted_quantiles
from forecast.paths import SpendPaths
from forecast.snapshot import QUANTILES, Snapshot, month_steps
from forecast.spend.hierarchy import Hierarchy, sum_rows
from forecast.spend.panel import SpendMatrix

DRAFT = ""
"""Id of a snapshot that no store has written yet: the store computes the content address."""


def horizon_days(cutoff: date, daily: int, months: int) -> int:
    """Days that a forecaster has to simulate so that the last month step is complete."""
    return int(month_steps(cutoff, daily, months)[2].sum())


def build_snapshot(
    paths: SpendPaths,
    history: SpendMatrix,
    hierarchy: Hierarchy,
    *,
    cost: str,
    currency: str,
    daily_steps: int,
    months: int,
    recent: pd.DataFrame,
    detector: Mapping[str, NDArray[Any]],
    backtest: Mapping[str, Any],
    meta: Mapping[str, Any],
) -> Snapshot:
    """A draft (id "") from daily leaf paths: `SnapshotStore.write` gives it its id.

    paths : every leaf, daily, from the day after the history's last day, at least `horizon_days(…)` long. history : every leaf's
    daily cost, no unknown days. recent, detector, backtest, meta : see `Snapshot`.
    Node paths are float64 sums of the float32 leaf steps, path by path; node means are sums of leaf means, so that they add up.
    Raises InputError where paths, history and hierarchy do not name the same leaves and days.
    """
    cutoff = history.ds[-1].date()
    order = _order(paths.ids, hierarchy, "paths")
    rows = _order(history.ids, hierarchy, "history")
    if not np.isfinite(history.values).all():
        raise InputError("history has days that are not known", field="history", got="NaN", allowed="a cost for each leaf and day")
    starts, ends, days = month_steps(cutoff, daily_steps, months)
    _check_days(paths, cutoff, int(days.sum()))
    leaf_paths = _steps(paths.values, order, days)
    node_paths = np.empty((len(hierarchy.nodes), *leaf_paths.shape[1:]), dtype=np.float32)
    for node, members in enumerate(hierarchy.members):
        node_paths[node] = sum_rows(leaf_paths, members)
    return Snapshot(
        id=DRAFT,
        cutoff=cutoff,
        cost=cost,
        currency=currency,
        hierarchy=hierarchy,
        starts=starts,
        ends=ends,
        leaf_paths=leaf_paths,
        node_paths=node_paths,
        node_quantiles=step_quantiles(node_paths),
        node_means=hierarchy.aggregate(leaf_paths.mean(axis=2, dtype=np.float64)),
        history_ds=history.ds.to_numpy().astype("datetime64[D]"),
        leaf_history=np.ascontiguousarray(history.values[rows]),
        recent=recent,
        detector=dict(detector),
        backtest=dict(backtest),
        meta=dict(meta),
    )


def step_quantiles(paths: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, n_steps, n_paths) → (n, n_steps, len(QUANTILES)), node by node, so that the sorted copy stays small."""
    found = np.empty((*paths.shape[:2], len(QUANTILES)), dtype=np.float32)
    for node, values in enumerate(paths):
        found[node] = sorted_quantiles(values, QUANTILES)
    return found


def _steps(values: NDArray[np.float32], order: NDArray[np.int64], days: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n_leaves, n_steps, n_paths) in the hierarchy's order; leaf by leaf, so that the float64 copy stays small."""
    edges = np.concatenate([[0], np.cumsum(days)[:-1]])
    daily = int((np.cumsum(days) <= np.arange(1, len(days) + 1)).sum())  # leading steps of one day are copied, not summed
    length = int(days.sum())
    found = np.empty((len(order), len(days), values.shape[2]), dtype=np.float32)
    for leaf, row in enumerate(order):
        found[leaf, :daily] = values[row, :daily]
        if daily < len(days):
            found[leaf, daily:] = np.add.reduceat(values[row, daily:length].astype(np.float64), edges[daily:] - daily, axis=0)
    return found


def _order(ids: tuple[str, ...], hierarchy: Hierarchy, field: str) -> NDArray[np.int64]:
    rows = pd.Index(ids).get_indexer(pd.Index(hierarchy.leaf_ids))
    if (rows < 0).any() or len(ids) != len(hierarchy.leaf_ids):
        odd = sorted(set(ids) ^ set(hierarchy.leaf_ids))
        raise InputError(f"{field} and hierarchy name different leaves, first {odd[:1]}", field=field, got=odd[:5], allowed="the hierarchy's leaves")
    return np.asarray(rows, dtype=np.int64)


def _check_days(paths: SpendPaths, cutoff: date, needed: int) -> None:
    expected = np.datetime64(cutoff + timedelta(days=1), "D") + np.arange(needed)
    if paths.horizon < needed or (paths.starts[:, :needed].astype("datetime64[D]") != expected).any():
        first = paths.starts.min().astype("datetime64[D]")
        raise InputError(
            f"paths have {paths.horizon} steps from {first}; {needed} days from {expected[0]} are needed for every leaf",
            field="paths",
            got=paths.horizon,
            allowed=f"{needed} days from {expected[0]}",
        )
