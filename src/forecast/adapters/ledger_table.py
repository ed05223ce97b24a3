"""The Delta table of the ledger: its columns, how DuckDB scans it, and which of its rows are in force.

Append-only. Every version of a row stays; a row is in force at a moment if no other version of the same identity was
received later, up to that moment. Most identities have one version, so the view is a plain scan minus a short list of
rows that gave way.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from forecast.adapters.duck import quoted_name, quoted_text
from forecast.adapters.focus_objects import value_sql
from forecast.errors import ConfigError
from forecast.spend import focus
from forecast.spend.dimensions import DIMENSIONS, UNKNOWN

PARTITION = "billing_month"

_ARROW = {"string": pa.string(), "json": pa.string(), "decimal": pa.decimal128(38, 12), "timestamp": pa.timestamp("us", "UTC")}

SCHEMA = pa.schema(
    [
        pa.field(PARTITION, pa.string()),
        pa.field("delivery_id", pa.string()),
        pa.field("received_at", pa.timestamp("us", "UTC")),
        pa.field("source", pa.string()),
        pa.field("identity", pa.string()),
        pa.field("version", pa.int64()),
        pa.field("keyed", pa.string()),
        pa.field("content", pa.string()),
        *(pa.field(name, pa.string()) for name in DIMENSIONS),
        *(pa.field(column.name, _ARROW[column.kind]) for column in focus.COLUMNS),
        pa.field("extra", pa.string()),
    ]
)
"""identity : hash of the key's values, or of the content with an occurrence number. version : 1, 2, … within an identity.
keyed : names of the key's columns, null where rows are known by content. content : hash of the row, for keyed rows only."""

MOMENTS = ("received_at", *(column.name for column in focus.COLUMNS if column.kind == "timestamp"))

CONFIGURATION: dict[str, str | None] = {
    # The log is the record of what was delivered; Delta's default forgets it after 30 days.
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.dataSkippingStatsColumns": f"received_at,version,delivery_id,keyed,{focus.CHARGE_START},provider,team",
}

SCANNED = "delta_charges"


@dataclass(frozen=True)
class TablePlace:
    """Where the table is: a folder, or an object store's address with the options that it needs."""

    address: str
    storage_options: dict[str, str] | None = None

    def __post_init__(self) -> None:
        if self.folder is not None and (marks := [mark for mark in "[]" if mark in str(self.folder)]):
            # The Delta library takes them for part of a host name and dies of it.
            raise ConfigError(f"The ledger cannot be in {self.folder}: got {' and '.join(marks)} in its path, allowed are folders without [ and ]")

    @property
    def folder(self) -> Path | None:
        """The absolute folder; None for an object store."""
        return None if "://" in self.address else Path(self.address).absolute()

    def opened(self) -> DeltaTable | None:
        """The table at its newest version, an object of the caller's own; None where there is none yet."""
        address = self.address if self.folder is None else str(self.folder)
        if not DeltaTable.is_deltatable(address, self.storage_options):
            return None
        return DeltaTable(address, storage_options=self.storage_options)


@dataclass(frozen=True)
class Scan:
    """One state of the table as a FROM clause.

    sql : scans all rows; times are TIMESTAMPTZ there. restated : whether any identity may have more than one version.
    """

    sql: str
    restated: bool


def scan_of(place: TablePlace, table: DeltaTable, connection: duckdb.DuckDBPyConnection, *, months: Sequence[str] | None = None) -> Scan:
    """How `connection` reads the state that `table` stands at; with `months`, only those billing months.

    A local table is read with DuckDB's own Parquet reader, which prunes and runs in parallel; elsewhere its Arrow
    dataset is registered, as DuckDB's object store access would have to be downloaded.
    """
    actions = pa.table(table.get_add_actions(flatten=True))
    highest = actions.column("max.version").to_pylist() if "max.version" in actions.column_names else [None]
    restated = any(version is None or version > 1 for version in highest)
    if place.folder is None:
        connection.register(SCANNED, table.to_pyarrow_dataset())
        listed = ", ".join(quoted_text(month) for month in months or ())
        return Scan(SCANNED if months is None else f"(SELECT * FROM {SCANNED} WHERE {PARTITION} IN ({listed}))", restated)
    # Not the table's own list of files: it writes a blank in the folder's name as %20.
    paths = zip(actions.column("path").to_pylist(), actions.column(f"partition.{PARTITION}").to_pylist(), strict=True)
    files = [str(place.folder / unquote(path)) for path, month in paths if months is None or month in months]
    if not files:
        connection.register(SCANNED, SCHEMA.empty_table())
        return Scan(SCANNED, False)
    # The month is made from the row and not read from the path, whose other folders may be called name=value too.
    month = f"strftime(make_timestamp(epoch_us({quoted_name(focus.BILLING_START)})), '%Y-%m') AS {PARTITION}"
    listed = ", ".join(quoted_text(file) for file in sorted(files))
    return Scan(f"(SELECT {month}, * FROM read_parquet([{listed}], hive_partitioning = false))", restated)


def in_force_sql(scan: Scan, as_of: dt.datetime | None, *, start: dt.datetime | None = None, end: dt.datetime | None = None) -> str:
    """SELECT of the rows in force at `as_of` (None: now) whose charge starts in `[start, end)`; times naive UTC."""
    known = [] if as_of is None else [f"received_at <= {moment_literal(as_of)}"]
    wanted = list(known)
    wanted += [] if start is None else [f"{quoted_name(focus.CHARGE_START)} >= {moment_literal(start)}"]
    wanted += [] if end is None else [f"{quoted_name(focus.CHARGE_START)} < {moment_literal(end)}"]
    naive = ", ".join(f"make_timestamp(epoch_us({quoted_name(name)})) AS {quoted_name(name)}" for name in MOMENTS)
    rows = f"SELECT * REPLACE ({naive}) FROM {scan.sql} AS charges{_where(wanted)}"
    if not scan.restated:
        return rows
    # Versions of an identity are few and identities with several are fewer, so only they are ranked.
    ranked = f"""
        SELECT identity, version, row_number() OVER (PARTITION BY identity ORDER BY received_at DESC, version DESC) AS place
        FROM {scan.sql} {_where([*known, f"identity IN (SELECT identity FROM {scan.sql} WHERE version > 1)"])}
    """
    return f"{rows}{' AND' if wanted else ' WHERE'} (identity, version) NOT IN (SELECT identity, version FROM ({ranked}) WHERE place > 1)"


def dimension_column(name: str) -> str:
    """SQL of a dimension's value: a ready column, or the tag of that name."""
    if name in DIMENSIONS:
        return quoted_name(name)
    tag = value_sql(quoted_name(focus.TAGS), name)
    return f"coalesce(nullif(trim({tag}), ''), {quoted_text(UNKNOWN)})"


def moment_literal(moment: dt.datetime) -> str:
    return f"TIMESTAMPTZ '{naive_utc(moment).isoformat(sep=' ', timespec='microseconds')}+00'"


def naive_utc(moment: dt.datetime) -> dt.datetime:
    """The same moment without a zone; a time without one is taken as UTC."""
    plain = moment if moment.tzinfo is None else moment.astimezone(dt.UTC).replace(tzinfo=None)
    return dt.datetime(plain.year, plain.month, plain.day, plain.hour, plain.minute, plain.second, plain.microsecond)


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
