"""Snapshots that still have their paths: those that can be asked about a budget that was entered after they were made."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date

from forecast.adapters.records import Records
from forecast.adapters.snapshots import PATHS, SnapshotStore
from forecast.errors import ForecastError
from forecast.snapshot import Snapshot

MOST = 8
"""Of the newest snapshots with paths at most so many are opened: training keeps three and the current ones."""


def kept_snapshots(
    records: Records, store: SnapshotStore, *, cost: str, without: Collection[str] = (), since: date | None = None
) -> Iterator[Snapshot]:
    """Snapshots of a cost with paths, the newest first. without : ids that are not asked for. since : only cutoffs from this day on."""
    found = 0
    for record in records.snapshots(cost):
        if record.id in without or (since is not None and record.cutoff < since) or not _has_paths(store, record.id):
            continue
        if found == MOST:
            return
        found += 1
        try:
            yield store.open(record.id)
        except (ForecastError, OSError):
            continue  # a history is not worth failing for one of its days


def _has_paths(store: SnapshotStore, snapshot_id: str) -> bool:
    return all((store.folder / snapshot_id / name).exists() for name in PATHS)
