"""The body of `forecast models promote`: another trained version serves, with the snapshot that it made."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from forecast.adapters.records import Records
from forecast.adapters.snapshots import SnapshotStore
from forecast.config import Settings
from forecast.errors import NotFoundError
from training.specs import DEFAULT_NAME


@dataclass(frozen=True)
class PromoteReport:
    """The champion now and before; snapshot_ids : the snapshots that answer now, one for each cost that the version was trained on."""

    name: str
    version: str
    previous: str | None
    snapshot_ids: tuple[str, ...]


def promote(
    settings: Settings,
    records: Records,
    store: SnapshotStore,
    version: str,
    *,
    name: str = DEFAULT_NAME,
    reason: str = "",
    now: dt.datetime | None = None,
) -> PromoteReport:
    """Make a registered version the champion and its newest snapshot the current one.

    The records decide; the alias in MLflow follows. Raises NotFoundError for a version that is not registered, or whose snapshots
    have lost their paths (train again instead): then nothing has changed.
    """
    from training.tracking import Tracking

    model = records.model(name, str(version))
    mine = [found for found in records.snapshots() if (found.champion_name, found.champion_version) == (name, model.version)]
    newest = {found.cost: found for found in reversed(mine)}  # newest first, so the newest of a cost is written last
    for found in newest.values():
        # A read of one path: it raises where the paths have been pruned, before anything has changed.
        _ = store.open(found.id).node_paths[0]
    before = next((other for other in records.models() if other.is_champion), None)
    Tracking(settings).point_champion(name, model.version)
    moment = now or dt.datetime.now(dt.UTC)
    records.promote(name, model.version, now=moment, reason=reason or "promoted by hand")
    for found in newest.values():
        records.add_snapshot(replace(found, is_current=True))
    return PromoteReport(
        name, model.version, None if before is None else f"{before.name}/{before.version}", tuple(found.id for found in newest.values())
    )


def rollback(settings: Settings, records: Records, store: SnapshotStore, *, reason: str = "", now: dt.datetime | None = None) -> PromoteReport:
    """Promote the champion before this one. NotFoundError where there was none."""
    history = records.promotions()
    current = next(iter(history), None)
    for line in history:
        if current is not None and (line.name, line.version) != (current.name, current.version):
            return promote(settings, records, store, line.version, name=line.name, reason=reason or "rolled back", now=now)
    raise NotFoundError("There is no champion before this one to roll back to", field="version", got=None, allowed="two promoted versions")
