"""In-memory DuckDB connections that download nothing, know one time zone and stay within a memory limit."""

from __future__ import annotations

from pathlib import Path

import duckdb

MEMORY_LIMIT = "2GB"


def connect(*, threads: int | None = None, spill: str | Path | None = None, memory_limit: str = MEMORY_LIMIT) -> duckdb.DuckDBPyConnection:
    """A connection of its own, to be closed by the caller; `spill` is a folder for what does not fit in memory."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    execute(connection, "SET TimeZone = 'UTC'")
    execute(connection, "SET memory_limit = '" + memory_limit + "'")
    execute(connection, "SET enable_progress_bar = false")
    execute(connection, f"SET temp_directory = {quoted_text(str(spill) if spill is not None else '')}")
    if threads is not None:
        execute(connection, f"SET threads = {int(threads)}")
    return connection


def execute(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[object] | None = None) -> list[tuple[object, ...]]:
    """Run to the end and return all rows: DuckDB 2 refuses the next statement while a result is unread."""
    rows: list[tuple[object, ...]] = connection.execute(sql, parameters or []).fetchall()
    return rows


def quoted_text(value: str) -> str:
    """A string as an SQL literal, where no parameter can stand (file names, JSON paths)."""
    return "'" + value.replace("'", "''") + "'"


def quoted_name(name: str) -> str:
    """A column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
