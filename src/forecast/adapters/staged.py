"""What staging learned of the files of a delivery, and the rows of them that cannot be counted, told one by one.

A row in quarantine is the row as it came: in the file's own columns where it is a table, so that a person finds it there and mends what
the vendor wrote; of nested documents the piece that a format takes for a row, with the types of its columns.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, table_rows
from forecast.adapters.duck import quoted_text
from forecast.adapters.focus_sql import Check, Mapped, faulty_rows_sql
from forecast.adapters.formats.base import REFUSED
from forecast.adapters.formats.registry import Recognised
from forecast.adapters.second_look import SecondLook, Unread
from forecast.errors import InputError


@dataclass(frozen=True)
class BadFile:
    """A file of which nothing was taken, and why."""

    file: BillFile
    error: InputError


@dataclass(frozen=True)
class FaultyRow:
    """A row that cannot be counted. row : as it came, by column, or its text where it could not be taken apart, as JSON text.

    how : what is needed to read it again (`quarantine`), as plain data.
    """

    file: BillFile
    format: str
    line: int
    column: str
    value: str | None
    problem: str
    allowed: str
    row: str
    how: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        return f"{self.column} {describe(self.problem, self.value)}; allowed is {self.allowed}"


@dataclass(frozen=True, eq=False)
class StagedFile:
    """What staging learned about one file. look : where it needed a second one; what could not be read is among `rows`."""

    file: BillFile
    recognised: Recognised
    mapped: Mapped
    checks: tuple[Check, ...]
    rows: int
    good: int
    key: tuple[str, ...] = ()
    look: SecondLook | None = None

    @property
    def first_line(self) -> int:
        """Where a person finds the first row: the header of a CSV file is line 1."""
        return 2 if self.file.kind == "csv" else 1


@dataclass(eq=False)
class Staged:
    """parts : Parquet files with the good rows in the ledger's columns. `faulty` reads the others again, in the order of the files."""

    parts: list[Path] = field(default_factory=list)
    files: list[StagedFile] = field(default_factory=list)
    bad: list[BadFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    looks: int = 0

    @property
    def rows_read(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def good(self) -> int:
        return sum(file.good for file in self.files)

    def faulty(self, connection: duckdb.DuckDBPyConnection, batch: int = 10_000) -> Iterator[FaultyRow]:
        for staged in self.files:
            if staged.good < staged.rows:
                told = uncounted_rows(connection, staged, batch)
                yield from told if staged.look is None else heapq.merge(_unread(staged), told, key=lambda row: row.line)


def describe(problem: str, value: str | None) -> str:
    """What is wrong, in words: `'abc' is not a finite number`."""
    return problem if value is None or problem == "is missing" else f"{value[:80]!r} {problem}"


def uncounted_rows(connection: duckdb.DuckDBPyConnection, staged: StagedFile, batch: int = 10_000) -> Iterator[FaultyRow]:
    """The rows of a file that were read and cannot be counted, by line. No other statement may run on the connection before the last one."""
    own, how = _own_rows(connection, staged)
    names = [column.name for column in staged.mapped.columns]
    made = [name for name in staged.key if name.lower() not in {each.lower() for each in own.names}]
    identity = ", ".join(f"{quoted_text(name)}, CAST(given.m{names.index(name)} AS VARCHAR)" for name in made)
    sql = f"""
        SELECT faulty.row_number, faulty.fault, faulty.value, faulty.words, CAST({_row_object(own)} AS VARCHAR),
               {f"CAST(json_object({identity}) AS VARCHAR)" if identity else "NULL"}
        FROM ({faulty_rows_sql(staged.mapped, staged.checks)}) AS faulty JOIN ({own.sql}) AS own USING (row_number)
        {f"JOIN ({staged.mapped.given}) AS given USING (row_number)" if identity else ""}
        ORDER BY faulty.row_number
    """
    if staged.mapped.date_order is not None:
        how |= {"date_order": staged.mapped.date_order}
    # On the connection itself: its temporary tables are nobody else's. So no other statement may run in between.
    result = connection.execute(sql)
    while rows := result.fetchmany(batch):
        for *row, made_key in rows:
            found = faulty_row(staged, *row)
            yield replace(found, how=how if made_key is None else {**how, "identity": json.loads(made_key)})


def _unread(staged: StagedFile) -> Iterator[FaultyRow]:
    """What a second look could not read."""
    look = staged.look
    for unread in look.unread() if look is not None else ():
        yield _unread_row(staged, unread, look)


def _unread_row(staged: StagedFile, unread: Unread, look: SecondLook | None) -> FaultyRow:
    how: dict[str, Any] = {"unread": True}
    if look is not None and look.dialect is not None and isinstance(unread.row, str):
        how |= {"columns": list(look.dialect.names), "delimiter": look.dialect.delimiter}
    row = json.dumps(unread.row, ensure_ascii=False)
    name = staged.recognised.format.name
    return FaultyRow(staged.file, name, unread.line, unread.column, unread.value, unread.problem, unread.allowed, row, how)


def _own_rows(connection: duckdb.DuckDBPyConnection, staged: StagedFile) -> tuple[Rows, dict[str, Any]]:
    """The rows in the file's own columns where it is a table; else the format's pieces of its documents, with their types."""
    readable = staged.file if staged.look is None else staged.look.copy
    rows = staged.mapped.rows
    try:
        table = table_rows(connection, readable, delimiter=getattr(staged.recognised.format, "delimiter", None))
    except (duckdb.Error, InputError):
        table = None
    # A format that starts from the table has its statement within its own.
    if table is not None and table.sql in rows.sql:
        return table, {}
    return rows, {"types": dict(zip(rows.names, rows.types, strict=True))}


def _row_object(rows: Rows) -> str:
    """JSON of a row: what is text as it stands, nested values as JSON, all else as text."""
    values = [
        f"own.c{place}" if kind in ("VARCHAR", "JSON") else f"to_json(own.c{place})" if _is_nested(kind) else f"CAST(own.c{place} AS VARCHAR)"
        for place, kind in enumerate(rows.types)
    ]
    names = [name or f"column {place + 1}" for place, name in enumerate(rows.names)]
    return f"json_object({', '.join(f'{quoted_text(name)}, {value}' for name, value in zip(names, values, strict=True))})"


def _is_nested(sql_type: str) -> bool:
    return sql_type.startswith(("STRUCT", "MAP")) or sql_type.endswith("[]")


def faulty_row(staged: StagedFile, row_number: int, fault: int, value: str | None, words: str | None, row: str) -> FaultyRow:
    check = staged.checks[fault]
    column, problem, allowed = check.column, check.problem, check.allowed
    if column == REFUSED:
        column, problem, allowed = ([*(words or "").split("|", 2), "", ""])[:3]
        value = None
    line = row_number + staged.first_line - 1
    return FaultyRow(staged.file, staged.recognised.format.name, line, column, value, problem, allowed, row)
