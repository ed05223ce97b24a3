"""The records: what the company decided and told us (budgets, planned events, drivers, scenarios) and what the program did (snapshots, …), in SQL.

SQLite by default, PostgreSQL when the address says so; small explicit methods that take and return frozen values.
No method reads a clock: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from forecast.adapters.budget_records import BudgetRecords
from forecast.adapters.driver_records import DriverRecords
from forecast.adapters.incident_records import IncidentRecords
from forecast.adapters.record_rows import plain, write
from forecast.adapters.records_schema import (
    INGESTION_LOG,
    MODEL_VERSIONS,
    PLANNED_EVENTS,
    PROMOTIONS,
    SNAPSHOTS,
    open_engine,
    upgrade,
)
from forecast.adapters.scenario_records import ScenarioRecords
from forecast.errors import ConfigError, InputError, NotFoundError
from forecast.spend.events import Effect, PlannedEvent
from forecast.spend.nearest import not_kept
from forecast.spend.scope import Scope

LEAST_PREFIX = 8
"""Shortest beginning of a snapshot id that may stand for the whole."""


@dataclass(frozen=True)
class SnapshotRecord:
    """One forecast run in the index; the arrays are in the snapshot store. One snapshot of each cost is the current one."""

    id: str
    created_at: datetime
    cutoff: date
    cost: str
    currency: str
    n_paths: int
    size_bytes: int
    champion_name: str = ""
    champion_version: str = ""
    ledger_digest: str = ""
    is_current: bool = True


@dataclass(frozen=True)
class ModelRecord:
    """One registered version of a forecaster. `promoted_at` is its last promotion, None where it never served."""

    name: str
    version: str
    run_id: str | None
    registered_at: datetime
    promoted_at: datetime | None = None
    is_champion: bool = False


@dataclass(frozen=True)
class PromotionRecord:
    """One line of the history of champions."""

    name: str
    version: str
    promoted_at: datetime
    reason: str


@dataclass(frozen=True)
class IngestionRecord:
    """One delivery as the log tells it; counts are rows. The ledger's own commits are the truth, this is their index."""

    delivery_id: str
    received_at: datetime
    source: str
    accepted: int = 0
    unchanged: int = 0
    superseded: int = 0
    quarantined: int = 0
    report: Mapping[str, Any] = field(default_factory=dict)


class Records(BudgetRecords, DriverRecords, IncidentRecords, ScenarioRecords):
    """The records at an SQLAlchemy address, upgraded to the newest tables when opened.

    Raises ConfigError for an address that is not one, cannot be reached, or holds the tables of a newer program.
    """

    def __init__(self, address: str) -> None:
        self._readers = open_engine(address)
        self._writers = self._readers.execution_options(writes=True)
        try:
            upgrade(self._readers)
        except ConfigError:
            self._readers.dispose()
            raise

    def close(self) -> None:
        """Give the connections back."""
        self._readers.dispose()

    # Planned events

    def put_events(self, events: Sequence[PlannedEvent], *, now: datetime) -> None:
        """Write events, in place of older ones with their ids; all or none."""
        with self._writers.begin() as connection:
            for event in events:
                values = {
                    "name": event.name,
                    "type": event.type,
                    "start": event.start,
                    "end": event.end,
                    "scope": str(event.scope),
                    "effect": event.effect.kind,
                    "expected": event.effect.expected,
                    "low": event.effect.low,
                    "high": event.effect.high,
                    "ramp_days": event.ramp_days,
                    "currency": event.currency,
                    "announced": event.announced,
                    "changed_at": now,
                }
                write(connection, PLANNED_EVENTS, {"id": event.id}, values)

    def event(self, event_id: str) -> PlannedEvent:
        """The event with this id; NotFoundError where there is none."""
        with self._readers.begin() as connection:
            row = connection.execute(sa.select(PLANNED_EVENTS).where(PLANNED_EVENTS.c.id == plain(event_id))).one_or_none()
            if row is None:
                raise _no_event(connection, event_id)
        return _event(row)

    def events(self) -> list[PlannedEvent]:
        """All planned events, by start and id."""
        query = sa.select(PLANNED_EVENTS).order_by(PLANNED_EVENTS.c.start, PLANNED_EVENTS.c.id)
        with self._readers.begin() as connection:
            return [_event(row) for row in connection.execute(query)]

    def delete_event(self, event_id: str) -> None:
        """Remove an event; NotFoundError where there is none."""
        with self._writers.begin() as connection:
            if not connection.execute(sa.delete(PLANNED_EVENTS).where(PLANNED_EVENTS.c.id == plain(event_id))).rowcount:
                raise _no_event(connection, event_id)

    # Snapshots

    def add_snapshot(self, snapshot: SnapshotRecord) -> None:
        """Enter a snapshot in the index; where `is_current`, it becomes the current one of its cost. An id is entered once."""
        values = _fields(snapshot)
        del values["id"]
        with self._writers.begin() as connection:
            if snapshot.is_current:
                connection.execute(sa.update(SNAPSHOTS).where(SNAPSHOTS.c.cost == snapshot.cost).values(is_current=False))
            write(connection, SNAPSHOTS, {"id": snapshot.id}, values)

    def latest_snapshot(self, cost: str = "effective") -> SnapshotRecord | None:
        """The current snapshot of a cost, None before the first training."""
        query = sa.select(SNAPSHOTS).where(SNAPSHOTS.c.cost == cost, SNAPSHOTS.c.is_current)
        with self._readers.begin() as connection:
            row = connection.execute(query.order_by(SNAPSHOTS.c.created_at.desc()).limit(1)).one_or_none()
        return None if row is None else SnapshotRecord(**row._mapping)

    def snapshots(self, cost: str | None = None) -> list[SnapshotRecord]:
        """All snapshots (of a cost), newest first."""
        query = sa.select(SNAPSHOTS).order_by(SNAPSHOTS.c.created_at.desc(), SNAPSHOTS.c.id)
        if cost is not None:
            query = query.where(SNAPSHOTS.c.cost == cost)
        with self._readers.begin() as connection:
            return [SnapshotRecord(**row._mapping) for row in connection.execute(query)]

    def snapshot(self, snapshot_id: str) -> SnapshotRecord:
        """The snapshot with this id or with the only id that begins so (8 characters at least)."""
        wanted = plain(snapshot_id)
        if len(wanted) < LEAST_PREFIX:
            raise InputError(
                f"Snapshot id {snapshot_id!r} is too short",
                field="snapshot_id",
                got=snapshot_id,
                allowed=f"at least {LEAST_PREFIX} characters of an id",
            )
        with self._readers.begin() as connection:
            rows = connection.execute(sa.select(SNAPSHOTS).where(SNAPSHOTS.c.id.startswith(wanted, autoescape=True)).limit(2)).all()
        if len(rows) != 1:
            problem = "No snapshot has" if not rows else "More than one snapshot has"
            raise NotFoundError(
                f"{problem} an id that begins with {snapshot_id!r}", field="snapshot_id", got=snapshot_id, allowed="an id of the list"
            )
        return SnapshotRecord(**rows[0]._mapping)

    # Models

    def register_model(self, name: str, version: str, *, now: datetime, run_id: str | None = None) -> ModelRecord:
        """Enter a model version; one that is known stays as it is, but for a run id that was not known."""
        with self._writers.begin() as connection:
            _register(connection, name, version, run_id, now)
        return self.model(name, version)

    def promote(self, name: str, version: str, *, now: datetime, run_id: str | None = None, reason: str = "") -> ModelRecord:
        """Make a model version the champion (and enter it where it is not known); the history keeps who was before."""
        with self._writers.begin() as connection:
            _register(connection, name, version, run_id, now)
            connection.execute(sa.insert(PROMOTIONS).values(name=name, version=version, promoted_at=now, reason=reason))
        return self.model(name, version)

    def champion(self) -> ModelRecord:
        """The model version that serves; NotFoundError before the first promotion."""
        for model in self.models():
            if model.is_champion:
                return model
        raise NotFoundError("No model has been promoted yet; `forecast train` does", field="champion", allowed="a promoted model")

    def model(self, name: str, version: str) -> ModelRecord:
        """One model version; NotFoundError where it is not known."""
        for model in self.models():
            if (model.name, model.version) == (name, version):
                return model
        raise NotFoundError(
            f"No model {name} version {version} is registered", field="version", got=f"{name}/{version}", allowed="a registered version"
        )

    def models(self) -> list[ModelRecord]:
        """All model versions, the youngest first."""
        last = sa.select(PROMOTIONS.c.name, PROMOTIONS.c.version, sa.func.max(PROMOTIONS.c.number).label("number"))
        last = last.group_by(PROMOTIONS.c.name, PROMOTIONS.c.version)
        with self._readers.begin() as connection:
            registered = connection.execute(
                sa.select(MODEL_VERSIONS).order_by(MODEL_VERSIONS.c.registered_at.desc(), MODEL_VERSIONS.c.version.desc())
            ).all()
            numbers = {(row.name, row.version): row.number for row in connection.execute(last)}
            promoted = sa.select(PROMOTIONS.c.number, PROMOTIONS.c.promoted_at).where(PROMOTIONS.c.number.in_(numbers.values()))
            moments = {row.number: row.promoted_at for row in connection.execute(promoted)}
        newest = max(numbers.values(), default=None)
        found = []
        for row in registered:
            number = numbers.get((row.name, row.version))
            found.append(
                ModelRecord(
                    **row._mapping,
                    promoted_at=None if number is None else moments[number],
                    is_champion=number is not None and number == newest,
                )
            )
        return found

    def promotions(self) -> list[PromotionRecord]:
        """The history of champions, newest first."""
        columns = (PROMOTIONS.c.name, PROMOTIONS.c.version, PROMOTIONS.c.promoted_at, PROMOTIONS.c.reason)
        with self._readers.begin() as connection:
            return [PromotionRecord(**row._mapping) for row in connection.execute(sa.select(*columns).order_by(PROMOTIONS.c.number.desc()))]

    # Ingestion log

    def log_ingestion(self, ingestion: IngestionRecord) -> None:
        """Enter a delivery; a second entry of one delivery replaces the first, so that the log can be rebuilt."""
        values = _fields(ingestion)
        del values["delivery_id"]
        self._upsert(INGESTION_LOG, {"delivery_id": ingestion.delivery_id}, values)

    def ingestions(self, most: int = 1000) -> list[IngestionRecord]:
        """The last deliveries, newest first."""
        query = sa.select(INGESTION_LOG).order_by(INGESTION_LOG.c.received_at.desc(), INGESTION_LOG.c.delivery_id).limit(most)
        with self._readers.begin() as connection:
            return [IngestionRecord(**row._mapping) for row in connection.execute(query)]

    def _upsert(self, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> None:
        with self._writers.begin() as connection:
            write(connection, table, key, values)


def _register(connection: sa.Connection, name: str, version: str, run_id: str | None, now: datetime) -> None:
    here = (MODEL_VERSIONS.c.name == name) & (MODEL_VERSIONS.c.version == version)
    known = connection.execute(sa.select(MODEL_VERSIONS.c.run_id).where(here)).one_or_none()
    if known is None:
        connection.execute(sa.insert(MODEL_VERSIONS).values(name=name, version=version, run_id=run_id, registered_at=now))
    elif run_id is not None and known.run_id is None:
        connection.execute(sa.update(MODEL_VERSIONS).where(here).values(run_id=run_id))


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _event(row: Any) -> PlannedEvent:
    values = dict(row._mapping)
    del values["changed_at"]
    effect = Effect(values["effect"], values.pop("expected"), values.pop("low"), values.pop("high"))
    return PlannedEvent(**{**values, "effect": effect, "scope": Scope.parse(values["scope"])})


def _no_event(connection: sa.Connection, event_id: str) -> NotFoundError:
    return not_kept("No planned event has the id", event_id, connection.execute(sa.select(PLANNED_EVENTS.c.id)).scalars())
