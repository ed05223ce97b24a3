"""Files of entries to one commit of the Delta table: by billing month, with the statistics that readers prune by.

The files are put in place first and the commit names them, so a process that dies in between leaves files that no state of the table
knows of; `vacuum` removes them, and running the delivery again completes it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import uuid
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.fs
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction

from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.adapters.ledger_table import CONFIGURATION, PARTITION, SCHEMA, TablePlace, data_files
from forecast.adapters.object_store import reaching
from forecast.spend import focus

_ROW_GROUP = 122_880
_FEW_MONTHS = 3
"""Months that a row group holds on average up to which a file is split month by month; beyond, its rows are dealt out in one pass."""


@dataclass(frozen=True)
class MonthFile:
    """A local file with entries of one billing month."""

    path: Path
    month: str
    stats: Mapping[str, Any]


def by_month(connection: duckdb.DuckDBPyConnection, parts: Sequence[Path], folder: Path) -> list[MonthFile]:
    """Split files of entries into files of one billing month each, charges apart from entries of other signs. A file that is so already stays."""
    found: list[MonthFile] = []
    start = quoted_name(focus.BILLING_START)
    for number, part in enumerate(parts):
        read = f"read_parquet({quoted_text(str(part))}, hive_partitioning = false, file_row_number = true)"
        month = f"strftime(make_timestamp(epoch_us({start})), '%Y-%m')"
        kinds = execute(connection, f"SELECT {month} AS month, sign <> 1 AS other FROM {read} GROUP BY ALL ORDER BY ALL")
        if len(kinds) <= 1:
            if kinds:
                found.append(_month_file(connection, part, str(kinds[0][0])))
            continue
        groups = f"SELECT file_row_number // {_ROW_GROUP} AS place, count(DISTINCT ({month}, sign <> 1)) AS months FROM {read} GROUP BY place"
        scattered = float(str(execute(connection, f"SELECT avg(months) FROM ({groups})")[0][0])) > _FEW_MONTHS
        if scattered:
            found += _dealt_out(connection, part, folder / f"months-{number}", month)
            continue
        for name, other in kinds:
            first = dt.date.fromisoformat(f"{name}-01")
            after = (first + dt.timedelta(days=32)).replace(day=1)
            target = folder / f"month-{number}-{name}-{other}.parquet"
            rows = f"SELECT * EXCLUDE (file_row_number) FROM {read}"
            within = f"{start} >= TIMESTAMPTZ '{first} 00:00:00+00' AND {start} < TIMESTAMPTZ '{after} 00:00:00+00' AND (sign <> 1) = {other}"
            _copy(connection, f"{rows} WHERE {within}", target)
            found.append(_month_file(connection, target, str(name)))
    return found


def _dealt_out(connection: duckdb.DuckDBPyConnection, part: Path, folder: Path, month: str) -> list[MonthFile]:
    """Split a file whose months are mixed, in one pass. Row groups become small; compaction makes them large again."""
    execute(connection, "SET partitioned_write_flush_threshold = 65536")
    rows = f"SELECT *, {month} AS {PARTITION}, sign <> 1 AS other FROM read_parquet({quoted_text(str(part))}, hive_partitioning = false)"
    execute(connection, f"COPY ({rows}) TO {quoted_text(str(folder))} (FORMAT parquet, COMPRESSION snappy, PARTITION_BY ({PARTITION}, other))")
    files = sorted(folder.rglob("*.parquet"))
    return [_month_file(connection, file, file.parent.parent.name.removeprefix(f"{PARTITION}=")) for file in files]


def commit(
    place: TablePlace, table: DeltaTable | None, files: Sequence[MonthFile], metadata: Mapping[str, str], transaction: Transaction, name: str
) -> None:
    """Append the files as one commit to the state that `table` stands at. Raises CommitFailedError where somebody was faster.

    name : begins the files' names. After a failure nothing of them is left in the table's place.
    """
    properties = CommitProperties(
        custom_metadata=dict(metadata),
        # A second commit that looked at the same state must fail and look again, or it would append what is there.
        max_commit_retries=0,
        app_transactions=[transaction],
    )
    if table is None:
        table = DeltaTable.create(
            place.uri,
            schema=SCHEMA,
            mode="ignore",
            partition_by=[PARTITION],
            name="charges",
            configuration=CONFIGURATION,
            storage_options=place.storage_options,
        )
        if table.version():
            # Somebody made it and filled it since we looked and saw nothing: what is new must be decided again.
            raise CommitFailedError(f"The ledger {place.uri} came into being meanwhile")
    store = _store(place, table)
    put: list[str] = []
    try:
        actions: list[AddAction | RemoveAction] = []
        for file in files:
            path = f"{PARTITION}={file.month}/{name}-{uuid.uuid4().hex[:12]}.parquet"
            put.append(path)
            store.put(file.path, path)
            actions.append(add_action(path, file))
        table.create_write_transaction(actions, "append", SCHEMA, [PARTITION], commit_properties=properties)
    except BaseException as error:
        if isinstance(error, CommitFailedError) and put and store.is_committed(put[0]):
            # Our own commit: its answer was lost, the library asked again, and the version was there already.
            return
        for path in put:
            with suppress(OSError):
                store.remove(path)
        raise


def add_action(path: str, file: MonthFile) -> AddAction:
    return AddAction(path, file.path.stat().st_size, {PARTITION: file.month}, int(file.path.stat().st_mtime * 1000), True, json.dumps(file.stats))


class _Folder:
    """Files beside the local table: another name for the same file, so that a try that fails costs nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, source: Path, path: str) -> None:
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
        with target.open("rb") as stream:
            os.fsync(stream.fileno())

    def remove(self, path: str) -> None:
        (self._root / path).unlink()

    def is_committed(self, path: str) -> bool:
        """Nothing gets lost between us and a folder."""
        return False


class _ObjectStore:
    """Files beside a table in an object store; one for each try to commit."""

    def __init__(self, table: DeltaTable, options: Mapping[str, str] | None) -> None:
        self._address, self._options = str(table.table_uri).rstrip("/"), dict(options) if options else None
        self._files = pyarrow.fs.PyFileSystem(DeltaStorageHandler(self._address, self._options))

    def put(self, source: Path, path: str) -> None:
        # Buffered, as the library's stream takes bytes and not the buffers that pyarrow hands on without it.
        with reaching(self._address), source.open("rb") as read, self._files.open_output_stream(path, buffer_size=2**23) as written:
            shutil.copyfileobj(read, written, 2**20)

    def remove(self, path: str) -> None:
        """Delete the file unless the table has it: the answer to a commit that was carried out may have been lost on its way here."""
        if path not in self._kept:
            self._files.delete_file(path)

    def is_committed(self, path: str) -> bool:
        return not isinstance(self._kept, _Everything) and path in self._kept

    @cached_property
    def _kept(self) -> Container[str]:
        try:
            return {file.path for file in data_files(DeltaTable(self._address, storage_options=self._options))}
        except (OSError, DeltaError):
            # Nobody can say what the table has, and nobody would delete: files that no state knows do no harm.
            return _Everything()


class _Everything:
    def __contains__(self, _: object) -> bool:
        return True


def _store(place: TablePlace, table: DeltaTable) -> _Folder | _ObjectStore:
    return _ObjectStore(table, place.storage_options) if place.folder is None else _Folder(place.folder)


def _copy(connection: duckdb.DuckDBPyConnection, select: str, target: Path) -> None:
    execute(connection, f"COPY ({select}) TO {quoted_text(str(target))} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {_ROW_GROUP})")


def _month_file(connection: duckdb.DuckDBPyConnection, path: Path, month: str) -> MonthFile:
    columns = {name: quoted_name(name) for name in ("sign", "delivery_id", "source")}
    # Without a zone: DuckDB gives times with one to Python by way of a package that nothing else needs.
    columns |= {name: f"make_timestamp(epoch_us({quoted_name(name)}))" for name in ("received_at", focus.CHARGE_START)}
    wanted = ", ".join(f"min({value}), max({value}), count(*) - count({value})" for value in columns.values())
    row = execute(connection, f"SELECT count(*), {wanted} FROM read_parquet({quoted_text(str(path))}, hive_partitioning = false)")[0]
    lows, highs, nulls = (dict(zip(columns, row[start::3], strict=True)) for start in (1, 2, 3))
    stats = {
        "numRecords": row[0],
        "minValues": {name: _plain(value) for name, value in lows.items() if value is not None},
        "maxValues": {name: _plain(value) for name, value in highs.items() if value is not None},
        "nullCount": nulls,
    }
    return MonthFile(path, month, stats)


def _plain(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value
