"""Tables of the records, the engine that reaches them, and the upgrade that makes them.

SQLite runs in WAL mode and waits for a lock; PostgreSQL is reached through psycopg 3. Moments are stored in UTC and
come back with their time zone on both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine, event
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from forecast.errors import ConfigError

METADATA = sa.MetaData()
HEAD = "0006"
"""Newest revision in `migrations/versions`; kept here so that an upgraded home need not import Alembic (a test compares)."""

BUSY_SECONDS = 30
"""How long SQLite waits for another writer."""

_UPGRADE_LOCK = 0x5BE4D
"""PostgreSQL advisory lock: two services that start at once upgrade one after the other."""


class Moment(sa.TypeDecorator[datetime]):
    """A point in time, UTC. A naive value counts as UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BUDGETS = sa.Table(
    "budgets",
    METADATA,
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("start", sa.Date, nullable=False),
    sa.Column("end", sa.Date, nullable=False),
    sa.Column("amount", sa.Double, nullable=False),
    sa.Column("currency", sa.String(3)),
    sa.Column("cost", sa.String(16), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False, server_default="budget"),
    sa.Column("parent", sa.String(100)),
    sa.Column("repeats", sa.String(16)),
    sa.Column("phases", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("thresholds", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("unit", sa.Text, nullable=False, server_default=""),
    sa.Column("unit_price", sa.Double),
)

BUDGET_RISKS = sa.Table(
    "budget_risks",
    METADATA,
    sa.Column("budget_id", sa.String(100), sa.ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("snapshot_id", sa.String(64), primary_key=True),
    sa.Column("start", sa.Date, primary_key=True),
    sa.Column("end", sa.Date, nullable=False),
    sa.Column("cutoff", sa.Date, nullable=False),
    sa.Column("computed_at", Moment, nullable=False),
    sa.Column("amount", sa.Double, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("spent", sa.Double, nullable=False),
    sa.Column("mean", sa.Double, nullable=False),
    sa.Column("p10", sa.Double, nullable=False),
    sa.Column("p50", sa.Double, nullable=False),
    sa.Column("p90", sa.Double, nullable=False),
    sa.Column("overrun_probability", sa.Double, nullable=False),
    sa.Column("expected_overrun", sa.Double, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
)

PLANNED_EVENTS = sa.Table(
    "planned_events",
    METADATA,
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("start", sa.Date, nullable=False),
    sa.Column("end", sa.Date),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("effect", sa.String(16), nullable=False),
    sa.Column("expected", sa.Double, nullable=False),
    sa.Column("low", sa.Double, nullable=False),
    sa.Column("high", sa.Double, nullable=False),
    sa.Column("ramp_days", sa.Integer, nullable=False),
    sa.Column("currency", sa.String(3)),
    sa.Column("announced", sa.Date, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
)

DRIVERS = sa.Table(
    "drivers",
    METADATA,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("rows", sa.JSON, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
)

SNAPSHOTS = sa.Table(
    "snapshots",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("cutoff", sa.Date, nullable=False),
    sa.Column("cost", sa.String(16), nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("n_paths", sa.Integer, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("champion_name", sa.Text, nullable=False),
    sa.Column("champion_version", sa.Text, nullable=False),
    sa.Column("ledger_digest", sa.Text, nullable=False),
    sa.Column("is_current", sa.Boolean, nullable=False),
    sa.Index("snapshots_by_cost", "cost", "created_at"),
)

MODEL_VERSIONS = sa.Table(
    "model_versions",
    METADATA,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("version", sa.String(100), primary_key=True),
    sa.Column("run_id", sa.Text),
    sa.Column("registered_at", Moment, nullable=False),
)

PROMOTIONS = sa.Table(
    "promotions",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("version", sa.String(100), nullable=False),
    sa.Column("promoted_at", Moment, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["name", "version"], ["model_versions.name", "model_versions.version"]),
)

INGESTION_LOG = sa.Table(
    "ingestion_log",
    METADATA,
    sa.Column("delivery_id", sa.String(100), primary_key=True),
    sa.Column("received_at", Moment, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("accepted", sa.BigInteger, nullable=False),
    sa.Column("unchanged", sa.BigInteger, nullable=False),
    sa.Column("superseded", sa.BigInteger, nullable=False),
    sa.Column("quarantined", sa.BigInteger, nullable=False),
    sa.Column("report", sa.JSON, nullable=False),
)


def open_engine(address: str) -> Engine:
    """An engine for a SQLite or PostgreSQL address; ConfigError for an address that is neither or whose driver is missing."""
    url = _read_address(address)
    shown = url.render_as_string(hide_password=True)
    try:
        if url.get_backend_name() == "sqlite":
            if url.database and url.database != ":memory:":
                Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    except ModuleNotFoundError as error:
        raise ConfigError(f"Records at {shown} need the package {error.name!r}: install ai-spend-forecast[postgres]") from None
    except OSError as error:
        raise ConfigError(f"Records at {shown} cannot be made: {error.strerror}") from None


def _read_address(address: str) -> URL:
    backend = ""
    try:
        url = make_url("postgresql://" + address.removeprefix("postgres://") if address.startswith("postgres://") else address)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        pass
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return url
    raise ConfigError(
        "The address of the records (FORECAST_RECORDS) is not one that is known: allowed are sqlite:///FILE and"
        " postgresql://USER:PASSWORD@HOST:PORT/DATABASE"  # the address itself may hold a password and is not shown
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN leaves DDL outside of transactions; ours is in _begin_sqlite
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes its lock at once and waits for it; a reader that turns writer would fail instead of waiting.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def upgrade(engine: Engine) -> None:
    """Bring the tables to `HEAD`; does nothing, quickly, where they are. ConfigError for tables of a newer program."""
    address = engine.url.render_as_string(hide_password=True)
    try:
        with engine.connect() as connection:
            found = _revision(connection)
        if found == HEAD:
            return
        with engine.execution_options(writes=True).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
            if _revision(connection) != HEAD:
                _run_migrations(connection, address)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise ConfigError(f"Records at {address} cannot be opened: {reason}") from None


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _run_migrations(connection: sa.Connection, address: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise ConfigError(f"Records at {address} were made by another version of this program: {error}") from None
