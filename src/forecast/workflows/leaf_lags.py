"""Serving pools: machines that follow a load which something smooths, told apart by how calm they are; and how slowly they follow, measured.

An autoscaler that looks at weeks of load answers a change of demand by a part of it a day. What the load was, the tokens of the same team, workload
and stage say: the rate is the one at which they, smoothed, move over eight weeks most like the pools' cost does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.snapshot import Snapshot

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CALM = 0.05
"""Median change of a pool's cost from day to day (logarithm) below which its load is smoothed; others move by a tenth and more."""
LOOKED_BACK, FEWEST_CHANGES = 180, 28
RATES = np.exp(np.linspace(np.log(0.01), 0.0, 24))
LEAST_RATE = 0.015
"""What is likest to no load at all follows something else."""
WARM_UP, APART, FEWEST_DAYS = 60, 56, 150
PLACE = ("team", "workload", "stage")
TOKENS = "tokens"


def calm_pools(snapshot: Snapshot, machines: Ints) -> Ints:
    """Those of some leaves (whose machines are billed by the hour) whose cost hardly moves from day to day."""
    history = snapshot.leaf_history[machines, -LOOKED_BACK:]
    logs = np.log(np.where(history > 0.0, history, np.nan))
    change = np.abs(np.diff(logs, axis=1))
    enough = np.isfinite(change).sum(axis=1) >= FEWEST_CHANGES
    found = machines[enough]
    return found[np.nanmedian(change[enough], axis=1) < CALM] if len(found) else found


def following_rate(snapshot: Snapshot, pools: Ints) -> float | None:
    """Part of a change of demand that the pools follow in a day, 1 for at once; None where nothing tells."""
    leaves, meters = snapshot.hierarchy.leaves, snapshot.meters
    names = [name for name in PLACE if name in leaves.columns]
    if meters is None or not len(names):
        return None
    place = leaves[names].apply("|".join, axis=1).to_numpy()
    tokens = np.unique(meters.loc[meters["unit"].str.lower() == TOKENS, "leaf"].to_numpy(dtype=np.int64))
    errors = []
    for pool in pools.tolist():
        load = snapshot.leaf_history[tokens[place[tokens] == place[pool]]].sum(axis=0)
        cost = snapshot.leaf_history[pool]
        both = np.flatnonzero((load > 0.0) & (cost > 0.0))
        if len(both) < FEWEST_DAYS or len(cost) - both[0] < FEWEST_DAYS:
            continue
        errors.append(_errors(cost[both[0] :], load[both[0] :]))
    if not errors:
        return None
    total = np.mean([own / own.min() for own in errors], axis=0)
    rate = float(np.exp(_lowest(np.log(RATES), total)))
    return rate if rate >= LEAST_RATE else None


def _errors(cost: Floats, load: Floats) -> Floats:
    """Median apartness, at each rate, of what cost and smoothed load do over eight weeks."""
    known = pd.Series(np.where(load > 0.0, load, np.nan)).ffill()
    # Before the first day the load was what it was in the first weeks.
    since = pd.concat([pd.Series([float(known[:14].mean())]), known], ignore_index=True)
    logs = np.log(np.maximum(cost, 1e-3 * float(np.median(cost))))[WARM_UP:]
    found = np.empty(len(RATES))
    for place, rate in enumerate(RATES.tolist()):
        smooth = since.ewm(alpha=rate, adjust=False).mean().to_numpy()[1:]
        apart = logs - np.log(smooth[WARM_UP:])
        change = apart[APART:] - apart[:-APART]
        found[place] = np.median(np.abs(change - np.median(change)))
    return np.maximum(found, 1e-6)


def _lowest(at: Floats, values: Floats) -> float:
    """Where the parabola through the least of some evenly spaced values and its neighbours is lowest."""
    number = int(values.argmin())
    if number in (0, len(values) - 1):
        return float(at[number])
    before, here, after = values[number - 1 : number + 2]
    return float(at[number] + 0.5 * (at[1] - at[0]) * (before - after) / max(before - 2.0 * here + after, 1e-12))
