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
from forecast.forecasters.batches import in_batches
from forecast.paths import SpendPaths
from forecast.snapshot import QUANTILES, Snapshot, month_steps
from forecast.spend.hierarchy import Hierarchy, sum_rows
from forecast.spend.panel import SpendMatrix
from forecast.spend.provisional import Provisional

NODES_AT_ONCE = 8
"""Nodes that one thread takes at a time: the first are the largest."""

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
    billed: NDArray[np.float64] | None = None,
    provisional: Provisional | None = None,
    known_money: pd.DataFrame | None = None,
    meters: pd.DataFrame | None = None,
    event_effects: pd.DataFrame | None = None,
    driver_effects: pd.DataFrame | None = None,
    signs: pd.DataFrame | None = None,
    threads: int = 1,
) -> Snapshot:
    """A draft (id "") from daily leaf paths: `SnapshotStore.write` gives it its id.

    paths : every leaf, daily, from the day after the history's last day, at least `horizon_days(…)` long. history : every leaf's
    daily cost, no unknown days. recent, detector, backtest, meta, known_money, meters, signs : see `Snapshot`. billed : (n_leaves, n_days) the
    history as billed, rows as in `history`, where its last days are expectations; provisional : what those may come to, at least as many as paths.
    event_effects : mean money of planned events by day, columns event, unique_id, ds, effect; driver_effects : of drivers, with `driver`.
    threads : how many share the work; the snapshot does not depend on it.
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
    node_paths, quantiles = nodes_of(leaf_paths, hierarchy, threads)
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
        node_quantiles=quantiles,
        node_means=hierarchy.aggregate(leaf_paths.mean(axis=2, dtype=np.float64)),
        history_ds=history.ds.to_numpy().astype("datetime64[D]"),
        leaf_history=np.ascontiguousarray((history.values if billed is None else billed)[rows]),
        recent=recent,
        detector=dict(detector),
        backtest=dict(backtest),
        meta=dict(meta),
        pending=None if provisional is None else _pending(provisional, history.values if billed is None else billed, leaf_paths.shape[2])[rows],
        watermarks=None if provisional is None else provisional.watermarks,
        known_money=known_money,
        meters=meters,
        event_effects=_by_step(event_effects, "event", hierarchy, starts),
        driver_effects=_by_step(driver_effects, "driver", hierarchy, starts),
        signs=signs,
    )


def _pending(provisional: Provisional, billed: NDArray[np.float64], n_paths: int) -> NDArray[np.float32]:
    """(n_leaves, k, n_paths) what the draws have more than is billed."""
    return provisional.draws[:, :, :n_paths] - billed[:, provisional.first :, None].astype(np.float32)


def step_quantiles(paths: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, n_steps, n_paths) → (n, n_steps, len(QUANTILES)), node by node, so that the sorted copy stays small."""
    found = np.empty((*paths.shape[:2], len(QUANTILES)), dtype=np.float32)
    for node, values in enumerate(paths):
        found[node] = sorted_quantiles(values, QUANTILES)
    return found


def nodes_of(leaf_paths: NDArray[np.float32], hierarchy: Hierarchy, threads: int = 1) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Paths (n_nodes, n_steps, n_paths) and quantiles (n_nodes, n_steps, len(QUANTILES)) of every node above the leaves."""
    paths = np.empty((len(hierarchy.nodes), *leaf_paths.shape[1:]), dtype=np.float32)
    quantiles = np.empty((*paths.shape[:2], len(QUANTILES)), dtype=np.float32)
    members = hierarchy.members

    def write(nodes: slice) -> None:
        for node in range(nodes.start, nodes.stop):
            paths[node] = sum_rows(leaf_paths, members[node])
        quantiles[nodes] = step_quantiles(paths[nodes])

    in_batches(write, len(paths), threads, NODES_AT_ONCE)
    return paths, quantiles


def _steps(values: NDArray[np.float32], order: NDArray[np.int64], days: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n_leaves, n_steps, n_paths) in the hierarchy's order; leaf by leaf, so that the float64 copy stays small. `values` itself where it is that."""
    edges = np.concatenate([[0], np.cumsum(days)[:-1]])
    daily = int((np.cumsum(days) <= np.arange(1, len(days) + 1)).sum())  # leading steps of one day are copied, not summed
    length = int(days.sum())
    if daily == len(days) == values.shape[1] and np.array_equal(order, np.arange(len(values))):
        return values
    found = np.empty((len(order), len(days), values.shape[2]), dtype=np.float32)
    for leaf, row in enumerate(order):
        found[leaf, :daily] = values[row, :daily]
        if daily < len(days):
            found[leaf, daily:] = np.add.reduceat(values[row, daily:length].astype(np.float64), edges[daily:] - daily, axis=0)
    return found


def _by_step(effects: pd.DataFrame | None, name: str, hierarchy: Hierarchy, starts: NDArray[np.datetime64]) -> pd.DataFrame | None:
    """Columns `name`, leaf, step, effect, sorted: what `Snapshot.event_effects` and `driver_effects` hold; None where there are none."""
    if effects is None or effects.empty:
        return None
    leaf = pd.Index(hierarchy.leaf_ids).get_indexer(pd.Index(effects["unique_id"]))
    step = np.searchsorted(starts, effects["ds"].to_numpy().astype("datetime64[D]"), side="right") - 1
    frame = pd.DataFrame({name: effects[name].to_numpy(), "leaf": leaf, "step": step, "effect": effects["effect"].to_numpy()})
    return frame.groupby([name, "leaf", "step"], sort=True, as_index=False)[["effect"]].sum()


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
