"""The Delta table of the ledger: its columns, and how DuckDB reads a state of it.

The table is a journal as bookkeepers keep it: nothing in it is ever changed or erased. A charge is an entry with sign 1. A charge that
is restated or withdrawn gets a counter-entry with sign −1 and negated money, dated with the delivery that said so. So what was known at
any moment is the plain sum of the entries received up to it, in any engine that reads Delta, and no query has to resolve versions.
An entry with sign 0 has no money: it records that a delivery by key said again what stood already.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from forecast.adapters.duck import quoted_name, quoted_text
from forecast.adapters.focus_objects import value_sql
from forecast.adapters.object_store import dataset_of, reaching
from forecast.errors import ArtifactError, ConfigError
from forecast.spend import focus
from forecast.spend.charges import item_sql
from forecast.spend.dimensions import DIMENSIONS, UNKNOWN

PARTITION = "billing_month"

_ARROW = {"string": pa.string(), "json": pa.string(), "decimal": pa.decimal128(38, 12), "timestamp": pa.timestamp("us", "UTC")}

SCHEMA = pa.schema(
    [
        pa.field(PARTITION, pa.string()),
        pa.field("delivery_id", pa.string()),
        pa.field("received_at", pa.timestamp("us", "UTC")),
        pa.field("source", pa.string()),
        pa.field("sign", pa.int8()),
        pa.field("file", pa.string()),
        pa.field("line", pa.int64()),
        pa.field("keyed", pa.string()),
        pa.field("charge_key", pa.decimal128(38, 0)),
        pa.field("ai_rule", pa.string()),
        pa.field("charge_kind", pa.string()),
        pa.field("treatment", pa.string()),
        *(pa.field(name, pa.string()) for name in DIMENSIONS),
        *(pa.field(column.name, _ARROW[column.kind]) for column in focus.COLUMNS),
        pa.field("extra", pa.string()),
    ]
)
"""sign : 1 a charge, −1 its counter-entry, 0 said again. file, line : where a person finds the row, the header of a CSV file being line 1.
keyed : names of the key's columns, null where rows are known by content; charge_key : 126 bits of the hash of its values.
ai_rule : the rule by which the line counts as AI spend, null where none does. charge_kind, treatment : what kind of charge it is, and what a
forecaster may do with it (`spend/charges.py`). extra : JSON of what FOCUS does not know."""

STORED = tuple(name for name in SCHEMA.names if name != PARTITION)
"""Columns of a data file: the month of a partition is in the log and not in its files."""

_SQL = {"string": "VARCHAR", "int8": "TINYINT", "int64": "BIGINT", "decimal128(38, 0)": "DECIMAL(38, 0)", "decimal128(38, 12)": "DECIMAL(38, 12)"}
SQL_TYPES = {field.name: _SQL.get(str(field.type), "TIMESTAMPTZ") for field in SCHEMA}
"""DuckDB's types of the columns."""

MONTH_SQL = f"strftime(make_timestamp(epoch_us({quoted_name(focus.BILLING_START)})), '%Y-%m') AS {PARTITION}"

MOMENTS = ("received_at", *(column.name for column in focus.COLUMNS if column.kind == "timestamp"))

AMOUNTS = tuple(column.name for column in focus.COLUMNS if column.kind == "decimal" and not column.name.endswith("UnitPrice"))
"""Columns that a counter-entry negates: money and quantities. Prices stay what they were."""

CONFIGURATION: dict[str, str | None] = {
    # The log is the record of what was delivered; Delta's default forgets it after 30 days.
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.dataSkippingStatsColumns": f"received_at,sign,delivery_id,source,{focus.CHARGE_START}",
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

    @property
    def uri(self) -> str:
        return self.address if self.folder is None else str(self.folder)

    def opened(self) -> DeltaTable | None:
        """The table at its newest version, an object of the caller's own; None where there is none yet."""
        if self.folder is not None and not DeltaTable.is_deltatable(self.uri):
            return None
        with reaching(self.uri):
            try:
                table = DeltaTable(self.uri, storage_options=self.storage_options)
            except TableNotFoundError:
                # Not asked for with `is_deltatable`, which waits for the network with Python's lock held.
                if self.folder is not None:
                    raise
                return None
        present = {field.name for field in table.schema().fields}
        missing = [name for name in ("sign", "charge_key", "ai_rule", "charge_kind", "treatment") if name not in present]
        if missing:
            raise ArtifactError(f"The ledger {self.uri} was written by an older version of this program: it lacks {', '.join(missing)}; ingest again")
        return table


@dataclass(frozen=True)
class Scan:
    """One state of the table as a FROM clause; times are TIMESTAMPTZ there, entries with sign 0 may be missing.

    reversed_months : billing months with counter-entries; only there a charge may be out of force.
    """

    sql: str
    reversed_months: tuple[str, ...]


@dataclass(frozen=True)
class DataFile:
    """A file of the table's present state."""

    path: str
    month: str
    rows: int
    size: int
    lowest_sign: int
    highest_sign: int


def data_files(table: DeltaTable) -> list[DataFile]:
    """The files that `table` consists of, sorted by path; of signs that the log does not tell, the widest."""
    rows = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    return sorted((_data_file(row) for row in rows), key=lambda file: file.path)


def _data_file(row: dict[str, Any]) -> DataFile:
    lowest, highest = row.get("min.sign"), row.get("max.sign")
    # Not the table's own list of files: it writes a blank in the folder's name as %20.
    return DataFile(
        unquote(row["path"]),
        row[f"partition.{PARTITION}"],
        row["num_records"] or 0,
        row["size_bytes"],
        -1 if lowest is None else int(lowest),
        1 if highest is None else int(highest),
    )


def scan_of(
    place: TablePlace, table: DeltaTable, connection: duckdb.DuckDBPyConnection, *, months: Sequence[str] | None = None, said_again: bool = False
) -> Scan:
    """How `connection` reads the state that `table` stands at; with `months`, only those billing months; `said_again`: with all of sign 0.

    A local table is read with DuckDB's own Parquet reader, which prunes and runs in parallel; elsewhere its files are an Arrow
    dataset, as DuckDB's object store access would have to be downloaded: it gets the columns and the row groups that DuckDB asks for.
    """
    wanted = None if months is None else set(months)
    files = [file for file in data_files(table) if wanted is None or file.month in wanted]
    if not said_again:
        files = [file for file in files if (file.lowest_sign, file.highest_sign) != (0, 0)]
    reversed_months = tuple(sorted({file.month for file in files if file.lowest_sign < 0}))
    if not files:
        connection.register(SCANNED, SCHEMA.empty_table())
        return Scan(SCANNED, ())
    if place.folder is None:
        connection.register(SCANNED, dataset_of(table, {file.path for file in files}))
        return Scan(SCANNED, reversed_months)
    # The month is made from the row and not read from the path, whose other folders may be called name=value too.
    listed = ", ".join(quoted_text(str(place.folder / file.path)) for file in files)
    return Scan(f"(SELECT {MONTH_SQL}, * FROM read_parquet([{listed}], hive_partitioning = false))", reversed_months)


def entries_sql(scan: Scan, as_of: dt.datetime | None, *, start: dt.datetime | None = None, end: dt.datetime | None = None) -> str:
    """SELECT of all entries known at `as_of` (None: now) about charges that start in `[start, end)`; times naive UTC. For sums."""
    naive = ", ".join(f"make_timestamp(epoch_us({quoted_name(name)})) AS {quoted_name(name)}" for name in MOMENTS)
    return f"SELECT * REPLACE ({naive}) FROM {scan.sql} AS charges{_where(_conditions(as_of, start, end))}"


def in_force_sql(scan: Scan, as_of: dt.datetime | None, *, start: dt.datetime | None = None, end: dt.datetime | None = None) -> str:
    """SELECT of the charges in force, one row each: entries without those that were taken back, and without what took them back."""
    naive = ", ".join(f"make_timestamp(epoch_us({quoted_name(name)})) AS {quoted_name(name)}" for name in MOMENTS)
    conditions = _conditions(as_of, start, end)
    charges = f"SELECT * REPLACE ({naive}) FROM {scan.sql} AS charges{_where([*conditions, 'sign = 1'])}"
    if not scan.reversed_months:
        return charges
    months = ", ".join(quoted_text(month) for month in scan.reversed_months)
    content = content_sql("entry")
    inside = f"SELECT *, {content} FROM {scan.sql} AS entry{_where([*conditions, f'{PARTITION} IN ({months})'])}"
    key = "source, content, content_effective, content_billed"
    taken = f"SELECT {key}, count(*) AS times FROM ({inside}) WHERE sign = -1 GROUP BY ALL"
    # Charges that were never taken back need no counting, and they are nearly all.
    rows = f"SELECT * FROM ({inside}) WHERE sign = 1"
    place = f"row_number() OVER (PARTITION BY {key} ORDER BY received_at, delivery_id, file, line) AS place"
    counted = f"SELECT *, {place} FROM ({rows}) SEMI JOIN taken USING ({key})"
    added = "content, content_effective, content_billed"
    return f"""
        WITH taken AS MATERIALIZED ({taken})
        {charges} AND {PARTITION} NOT IN ({months})
        UNION ALL
        SELECT * EXCLUDE ({added}) REPLACE ({naive}) FROM ({rows}) ANTI JOIN taken USING ({key})
        UNION ALL
        SELECT * EXCLUDE ({added}, place, times) REPLACE ({naive}) FROM ({counted}) JOIN taken USING ({key}) WHERE place > times
    """


def content_sql(table: str) -> str:
    """SQL of three columns that say whether two entries are about the same charge: a hash of all that it says, and its costs unsigned.

    The hash is DuckDB's own, equal only within one process, and never stored. With the costs beside it, two charges that were taken
    for one by an accident of hashing would still have the same cost.
    """
    unsigned = {name: f"(CASE WHEN {table}.sign < 0 THEN -{table}.{quoted_name(name)} ELSE {table}.{quoted_name(name)} END)" for name in AMOUNTS}
    said = [unsigned.get(column.name, f"{table}.{quoted_name(column.name)}") for column in focus.COLUMNS]
    hashed = ", ".join([*said, f"{table}.extra"])
    return f"hash({hashed}) AS content, {unsigned[focus.EFFECTIVE_COST]} AS content_effective, {unsigned[focus.BILLED_COST]} AS content_billed"


def dimension_column(name: str) -> str:
    """SQL of a dimension's value: a ready column, or the tag of that name."""
    if name in DIMENSIONS:
        return quoted_name(name)
    start, end = (f"make_timestamp(epoch_us({quoted_name(moment)}))" for moment in (focus.CHARGE_START, focus.CHARGE_END))
    match name:
        case "ai":
            return "CASE WHEN ai_rule IS NULL THEN 'no' ELSE 'yes' END"
        case "charge_kind":
            return "charge_kind"
        case "charge_treatment":
            return "treatment"
        case "charge_item":
            # What a known recurring item is told by; others have no item, so that they fall into one group.
            unknown = quoted_text(UNKNOWN)
            return f"CASE WHEN treatment = 'scheduled' THEN coalesce(nullif({item_sql()}, ''), {unknown}) ELSE {unknown} END"
        case "charge_end":
            # First day after a charge of more than a day, the end of a term that was paid for.
            after = f"strftime({end} + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND, '%Y-%m-%d')"
            return f"CASE WHEN treatment = 'scheduled' AND {end} - {start} > INTERVAL 1 DAY THEN {after} ELSE {quoted_text(UNKNOWN)} END"
    tag = value_sql(quoted_name(focus.TAGS), name)
    return f"coalesce(nullif(trim({tag}), ''), {quoted_text(UNKNOWN)})"


def moment_literal(moment: dt.datetime) -> str:
    return f"TIMESTAMPTZ '{naive_utc(moment).isoformat(sep=' ', timespec='microseconds')}+00'"


def naive_utc(moment: dt.datetime) -> dt.datetime:
    """The same moment without a zone; a time without one is taken as UTC."""
    plain = moment if moment.tzinfo is None else moment.astimezone(dt.UTC).replace(tzinfo=None)
    return dt.datetime(plain.year, plain.month, plain.day, plain.hour, plain.minute, plain.second, plain.microsecond)


def _conditions(as_of: dt.datetime | None, start: dt.datetime | None, end: dt.datetime | None) -> list[str]:
    found = ["sign <> 0"] if as_of is None else ["sign <> 0", f"received_at <= {moment_literal(as_of)}"]
    found += [] if start is None else [f"{quoted_name(focus.CHARGE_START)} >= {moment_literal(start)}"]
    found += [] if end is None else [f"{quoted_name(focus.CHARGE_START)} < {moment_literal(end)}"]
    return found


def _where(conditions: Iterable[str]) -> str:
    return " WHERE " + " AND ".join(conditions)
