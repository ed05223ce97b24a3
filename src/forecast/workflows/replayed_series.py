"""What was expected of some leaves together before each day of history, and their record: for scopes that the detector keeps no arrays of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.anomalies.expectation import transform_constant
from forecast.anomalies.own_record import WAIT, records
from forecast.anomalies.snapshot_detector import DetectorState, deviations, next_days
from forecast.snapshot import Snapshot
from forecast.workflows.dated_money import dated_money
from forecast.workflows.event_doubt import event_doubt

Floats = NDArray[np.float64]

AT_ONCE = 500
"""Scopes that are replayed in one pass: arrays stay small."""
MOST_KEPT = 2000
"""Scopes that are kept with a snapshot; with more of them all are computed anew."""


@dataclass(frozen=True)
class ReplayedSeries:
    """location, spread : (n_days,) on the transformed scale, without what is dated. record : (n_days + 1,) as in `DetectorState`."""

    constant: float
    location: Floats
    spread: Floats
    record: Floats


def replayed_series(snapshot: Snapshot, state: DetectorState, groups: Sequence[NDArray[np.int64]]) -> list[ReplayedSeries]:
    """One for each group of leaves (row numbers)."""
    kept: dict[bytes, ReplayedSeries] = snapshot.__dict__.setdefault("_replayed_series", {})
    keys = [leaves.tobytes() for leaves in groups]
    fresh = {key: leaves for key, leaves in zip(keys, groups, strict=True) if key not in kept}
    found = {key: kept[key] for key in keys if key in kept}
    names = list(fresh)
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        found.update(zip(some, _replayed(snapshot, state, [fresh[key] for key in some]), strict=True))
    if len(kept) + len(fresh) > MOST_KEPT:
        kept.clear()
    kept.update((key, found[key]) for key in names[:MOST_KEPT])
    return [found[key] for key in keys]


def _replayed(snapshot: Snapshot, state: DetectorState, groups: Sequence[NDArray[np.int64]]) -> list[ReplayedSeries]:
    dated = dated_money(snapshot)
    history = np.stack([dated.learnable[leaves].sum(axis=0) for leaves in groups])
    constant = transform_constant(history)
    seen, _, _ = next_days(dated.without_items(history), constant, state.smallest_money)
    due = np.stack([amount for amount, _ in dated.items(groups)])
    record = series_records(deviations(history, seen, constant, due, planned_money(snapshot, groups)), state.floor)
    return [ReplayedSeries(float(constant[row]), seen.location[row], seen.spread[row], record[row]) for row in range(len(groups))]


def series_records(deviation: Floats, floor: float) -> Floats:
    """(n, n_days + 1) records, without end for the days on which they are begun; the last column always has one."""
    found = records(deviation, max(floor, 1e-9))
    found[:, : min(WAIT, deviation.shape[1])] = np.inf
    return found


def planned_money(snapshot: Snapshot, groups: Sequence[NDArray[np.int64]]) -> tuple[Floats, Floats] | None:
    """(n, n_days) least and most that planned events may have added to groups of leaves; None where none is known."""
    doubt = event_doubt(snapshot)
    if not doubt.events:
        return None
    days = snapshot.history_ds.astype("datetime64[D]")
    low, high = np.zeros((len(groups), len(days))), np.zeros((len(groups), len(days)))
    touched = doubt.touched(len(snapshot.leaf_history))
    for row, leaves in enumerate(groups):
        if touched[leaves].any():
            low[row], high[row] = doubt.between(leaves, days)
    return low, high
