"""The records: what the company decided (budgets) and what the program did (snapshots, models, deliveries), in SQL.

SQLite by default, PostgreSQL when the address says so; small explicit methods that take and return frozen values.
No method reads a clock: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from forecast.adapters.records_schema import BUDGETS, INGESTION_LOG, MODEL_VERSIONS, PROMOTIONS, SNAPSHOTS, open_engine, upgrade
from forecast.budgets.budget import Budget
from forecast.errors import ConfigError, InputError, NotFoundError
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


class Records:
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

    # Budgets

    def put_budget(self, budget: Budget, *, now: datetime) -> None:
        """Write a budget, in place of an older one with its id."""
        values = {
            "scope": str(budget.scope),
            "start": budget.start,
            "end": budget.end,
            "amount": budget.amount,
            "currency": budget.currency,
            "cost": budget.cost,
            "name": budget.name,
            "owner": budget.owner,
            "changed_at": now,
        }
        self._upsert(BUDGETS, {"id": budget.id}, values)

    def budget(self, budget_id: str) -> Budget:
        """The budget with this id; NotFoundError where there is none."""
        with self._readers.begin() as connection:
            row = connection.execute(sa.select(BUDGETS).where(BUDGETS.c.id == _plain(budget_id))).one_or_none()
        if row is None:
            raise _no_budget(budget_id)
        return _budget(row)

    def budgets(self) -> list[Budget]:
        """All budgets, by id."""
        with self._readers.begin() as connection:
            return [_budget(row) for row in connection.execute(sa.select(BUDGETS).order_by(BUDGETS.c.id))]

    def delete_budget(self, budget_id: str) -> None:
        """Remove a budget; NotFoundError where there is none."""
        with self._writers.begin() as connection:
            removed = connection.execute(sa.delete(BUDGETS).where(BUDGETS.c.id == _plain(budget_id))).rowcount
        if not removed:
            raise _no_budget(budget_id)

    # Snapshots

    def add_snapshot(self, snapshot: SnapshotRecord) -> None:
        """Enter a snapshot in the index; where `is_current`, it becomes the current one of its cost. An id is entered once."""
        values = _fields(snapshot)
        del values["id"]
        with self._writers.begin() as connection:
            if snapshot.is_current:
                connection.execute(sa.update(SNAPSHOTS).where(SNAPSHOTS.c.cost == snapshot.cost).values(is_current=False))
            _write(connection, SNAPSHOTS, {"id": snapshot.id}, values)

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
        wanted = _plain(snapshot_id)
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
            _write(connection, table, key, values)


def _write(connection: sa.Connection, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    """One row in place of an older one with its key. Both databases speak ON CONFLICT, so two writers of one key cannot collide."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql

        connection.execute(insert_postgresql(table).values(**key, **values).on_conflict_do_update(index_elements=list(key), set_=values))
    else:
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        connection.execute(insert_sqlite(table).values(**key, **values).on_conflict_do_update(index_elements=list(key), set_=values))


def _register(connection: sa.Connection, name: str, version: str, run_id: str | None, now: datetime) -> None:
    here = (MODEL_VERSIONS.c.name == name) & (MODEL_VERSIONS.c.version == version)
    known = connection.execute(sa.select(MODEL_VERSIONS.c.run_id).where(here)).one_or_none()
    if known is None:
        connection.execute(sa.insert(MODEL_VERSIONS).values(name=name, version=version, run_id=run_id, registered_at=now))
    elif run_id is not None and known.run_id is None:
        connection.execute(sa.update(MODEL_VERSIONS).where(here).values(run_id=run_id))


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _budget(row: Any) -> Budget:
    values = dict(row._mapping)
    del values["changed_at"]
    return Budget(**{**values, "scope": Scope.parse(values["scope"])})


def _plain(text: str) -> str:
    """A key that a database takes: PostgreSQL refuses NUL inside text, and no id contains one."""
    return text.replace("\x00", "�")


def _no_budget(budget_id: str) -> NotFoundError:
    return NotFoundError(f"No budget has the id {budget_id!r}", field="id", got=budget_id, allowed="an id of the list of budgets")
