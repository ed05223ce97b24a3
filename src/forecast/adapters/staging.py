"""Stages a delivery: every file recognised, mapped, checked, and its good rows written as the ledger will hold them.

Files of the same shape are read together, so that all cores work; where that fails, one by one, so that one bad file is named and the
others go on. Rows that cannot be counted are looked at in a second pass, which is made only where there are any.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from forecast.adapters.ai_sql import judge_staged
from forecast.adapters.bill_files import BillFile, as_delivery_error
from forecast.adapters.date_order import find_date_order
from forecast.adapters.delivery import Delivery
from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.adapters.focus_columns import GivenColumn
from forecast.adapters.focus_objects import prepare
from forecast.adapters.focus_sql import Check, Mapped, checks, faulty_rows_sql, good_rows_sql, readable_columns
from forecast.adapters.formats.base import REFUSED
from forecast.adapters.formats.registry import Recognised
from forecast.adapters.ledger_table import MONTH_SQL, STORED, moment_literal
from forecast.errors import DeliveryError, InputError, SchemaError, SpendDataError
from forecast.spend import focus
from forecast.spend.rules import Rules

STAGED = "staged"
"""The view over all staged rows; its columns are the ledger's."""

STAGING_ROWS = 61_440
MOST_TOGETHER = 16
"""Files that are read by one statement."""


@dataclass(frozen=True)
class BadFile:
    """A file of which nothing was taken, and why."""

    file: BillFile
    error: InputError


@dataclass(frozen=True)
class FaultyRow:
    """A row that cannot be counted. `row` is the row as it came, as JSON text."""

    file: BillFile
    format: str
    line: int
    column: str
    value: str | None
    problem: str
    allowed: str
    row: str

    @property
    def reason(self) -> str:
        return f"{self.column} {describe(self.problem, self.value)}; allowed is {self.allowed}"


@dataclass(frozen=True, eq=False)
class StagedFile:
    """What staging learned about one file."""

    file: BillFile
    recognised: Recognised
    mapped: Mapped
    checks: tuple[Check, ...]
    rows: int
    good: int

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

    @property
    def rows_read(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def good(self) -> int:
        return sum(file.good for file in self.files)

    def faulty(self, connection: duckdb.DuckDBPyConnection, batch: int = 10_000) -> Iterator[FaultyRow]:
        for staged in self.files:
            if staged.good < staged.rows:
                # On the connection itself: its temporary tables are nobody else's. So no other statement may run in between.
                result = connection.execute(f"{faulty_rows_sql(staged.mapped, staged.checks)} ORDER BY row_number")
                while rows := result.fetchmany(batch):
                    for row in rows:
                        yield _faulty_row(staged, *row)


Progress = Callable[[int, int, str], None]
"""Called with files done, files in all, and what happens now."""


def stage(
    connection: duckdb.DuckDBPyConnection,
    delivery: Delivery,
    recognised: Mapping[BillFile, Recognised],
    unknown: Mapping[BillFile, InputError],
    rules: Rules,
    folder: Path,
    progress: Progress,
) -> Staged:
    """Stage all files of a delivery into `folder`; the view `staged` shows the good rows. `unknown` : files of no format, and why.

    Raises what is wrong with the file where there is only one, or none that can be read, or where the delivery replaces what was said
    before: there a file that is left out would take its rows from the ledger.
    """
    staged = Staged(bad=[BadFile(file, error) for file, error in unknown.items()])
    before = {file: file.path.stat() for file in delivery.files}
    done = 0
    for group in _groups(recognised):
        progress(done, len(delivery.files), f"reading {group[0][0].name}" + (f" and {len(group) - 1} more" if len(group) > 1 else ""))
        _stage_group(connection, delivery, group, rules, folder, staged)
        done += len(group)
    for file, then in before.items():
        now = file.path.stat() if file.path.exists() else None
        if now is None or (then.st_size, then.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
            # What was staged of it may be half of the old and half of the new, beside rows of other files in the same part.
            raise DeliveryError(
                f"{file.name} changed while it was read: ingest it again once it is complete", field="path", got=file.name, allowed="a file at rest"
            )
    if staged.bad and (not staged.files or len(delivery.files) == 1):
        raise staged.bad[0].error
    if staged.bad and delivery.reading.mode == "replace":
        first = staged.bad[0].error
        raise DeliveryError(
            f"{len(staged.bad)} of {len(delivery.files)} files cannot be read, and a delivery that replaces must be whole: {first}",
            field="path",
            got=staged.bad[0].file.name,
            allowed="all files of the export",
        ) from first
    listed = ", ".join(quoted_text(str(part)) for part in staged.parts)
    execute(connection, f"CREATE OR REPLACE TEMP VIEW {STAGED} AS SELECT {MONTH_SQL}, * FROM read_parquet([{listed}], hive_partitioning = false)")
    staged.notes += _notes(connection, staged)
    return staged


def describe(problem: str, value: str | None) -> str:
    """What is wrong, in words: `'abc' is not a finite number`."""
    return problem if value is None or problem == "is missing" else f"{value[:80]!r} {problem}"


def _groups(recognised: Mapping[BillFile, Recognised]) -> Iterator[list[tuple[BillFile, Recognised]]]:
    """Neighbouring files of one format and kind, a few at a time."""
    group: list[tuple[BillFile, Recognised]] = []
    for file, found in recognised.items():
        if group and (len(group) == MOST_TOGETHER or group[0][1].format is not found.format or group[0][0].kind != file.kind):
            yield group
            group = []
        group.append((file, found))
    if group:
        yield group


def _stage_group(
    connection: duckdb.DuckDBPyConnection,
    delivery: Delivery,
    group: Sequence[tuple[BillFile, Recognised]],
    rules: Rules,
    folder: Path,
    staged: Staged,
) -> None:
    ready: list[StagedFile] = []
    selects: list[str] = []
    for place, (file, found) in enumerate(group):
        try:
            one, select = _prepared(connection, delivery, file, found, rules, f"f{len(staged.parts)}_{place}")
        except InputError as error:
            staged.bad.append(BadFile(file, error))
        except duckdb.Error as error:
            staged.bad.append(BadFile(file, as_delivery_error(file, error)))
        else:
            ready.append(one)
            selects.append(select)
    if not ready:
        return
    try:
        part, counts = _write(connection, selects, folder / f"part-{len(staged.parts):05}.parquet")
    except duckdb.Error as error:
        if len(ready) == 1:
            staged.bad.append(BadFile(ready[0].file, as_delivery_error(ready[0].file, error)))
            return
        for one in ready:
            _stage_group(connection, delivery, [(one.file, one.recognised)], rules, folder, staged)
        return
    written = []
    for one in ready:
        good = counts.get(one.file.name, 0)
        try:
            rows = _count(connection, one, good)
            whole = StagedFile(one.file, one.recognised, one.mapped, one.checks, rows, good)
            if not good:
                _refuse_hopeless(connection, whole)
        except InputError as error:
            staged.bad.append(BadFile(one.file, error))
        except duckdb.Error as error:
            staged.bad.append(BadFile(one.file, as_delivery_error(one.file, error)))
        else:
            written.append(whole)
    staged.files += written
    if counts:
        staged.parts.append(part)


def _prepared(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, file: BillFile, found: Recognised, rules: Rules, name: str
) -> tuple[StagedFile, str]:
    """The statement that selects the good rows of a file."""
    rows = found.format.rows(connection, file)
    expressions = found.format.columns(rows)
    own = "".join(f", c{place}" for place in range(len(rows.names)))
    made = "".join(f", {sql} AS m{place}" for place, sql in enumerate(expressions.values()))
    given = f"SELECT row_number{own}{made} FROM ({rows.sql})"
    described = {str(row[0]): str(row[1]) for row in execute(connection, f"DESCRIBE {given}")}
    columns = _given_columns(file, [(column, described[f"m{place}"]) for place, column in enumerate(expressions)])
    _check_columns(file, columns, rows.names)
    key = [_key_column(file, columns, column) for column in delivery.reading.key]
    date_order = find_date_order(connection, given, columns)
    row_checks = checks(columns, key, date_order)
    objects = prepare(connection, given, columns, rules.dimensions, name)
    mapped = Mapped(given, columns, rows, objects, rules.dimensions, date_order)
    one = StagedFile(file, found, mapped, row_checks, 0, 0)
    constants = {
        "delivery_id": quoted_text(delivery.delivery_id),
        "received_at": moment_literal(delivery.received_at),
        "source": quoted_text(delivery.source),
        "file": quoted_text(file.name),
        "keyed": "CAST(NULL AS VARCHAR)" if delivery.keyed is None else quoted_text(delivery.keyed),
    }
    ai = judge_staged(connection, mapped, name, rules.ai)
    return one, good_rows_sql(mapped, row_checks, key, constants, ai.expression, ai.joins, one.first_line)


def _write(connection: duckdb.DuckDBPyConnection, selects: Sequence[str], target: Path) -> tuple[Path, dict[str, int]]:
    """Write the good rows and count them by file. Each SELECT has common table expressions of its own, hence the brackets."""
    union = " UNION ALL ".join(f"SELECT * FROM ({select})" for select in selects)
    names = ", ".join(quoted_name(name) for name in STORED)
    path = quoted_text(str(target))
    execute(connection, f"COPY (SELECT {names} FROM ({union})) TO {path} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {STAGING_ROWS})")
    counted = execute(connection, f"SELECT file, count(*) FROM read_parquet({path}, hive_partitioning = false) GROUP BY file")
    return target, {str(file): int(str(count)) for file, count in counted}


def _count(connection: duckdb.DuckDBPyConnection, one: StagedFile, good: int) -> int:
    """Rows of a file, good and bad."""
    rows = int(str(execute(connection, f"SELECT count(*) FROM ({one.mapped.rows.sql})")[0][0]))
    if not rows:
        raise DeliveryError(f"{one.file.name} is empty: it has a header and no rows", field="path", got="0 rows", allowed="at least one charge line")
    return rows


def _given_columns(file: BillFile, columns: Sequence[tuple[str, str]]) -> tuple[GivenColumn, ...]:
    found: list[GivenColumn] = []
    seen: dict[str, str] = {}
    for place, (name, sql_type) in enumerate(columns):
        canonical = focus.canonical_name(name)
        label = name or f"column {place + 1}"
        folded = (canonical or label).lower()
        if folded in seen:
            raise SchemaError(f"{file.name} has the column {label!r} twice", field=label, got=[seen[folded], label], allowed="each column once")
        seen[folded] = label
        found.append(GivenColumn(label, canonical, sql_type, f"m{place}"))
    return tuple(found)


def _check_columns(file: BillFile, columns: Sequence[GivenColumn], own: Sequence[str]) -> None:
    missing = focus.missing_required([column.focus_name for column in columns if column.focus_name])
    if missing:
        lacks = f"lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        raise SchemaError(
            f"{file.name} {lacks}: got {len(own)} columns ({_listed(own)}), required are {', '.join(focus.REQUIRED)}",
            field=missing[0],
            got=list(own),
            allowed=", ".join(focus.REQUIRED),
        )


def _key_column(file: BillFile, columns: Sequence[GivenColumn], name: str) -> str:
    """The file's own spelling of a key column."""
    for column in columns:
        if name.lower() in (column.name.lower(), (column.focus_name or column.name).lower()):
            return column.name
    got = [column.name for column in columns]
    raise SchemaError(f"{file.name} lacks the key column {name!r}: got {_listed(got)}", field="key", got=name, allowed=", ".join(got))


def _refuse_hopeless(connection: duckdb.DuckDBPyConnection, staged: StagedFile) -> None:
    """No row can be counted, so the file is at fault and not its rows: name the first one's column and value."""
    sql = f"{faulty_rows_sql(staged.mapped, staged.checks)} ORDER BY row_number LIMIT 1"
    row: Any = execute(connection, sql)[0]
    first = _faulty_row(staged, *row)
    check = staged.checks[int(row[1])]
    error = SchemaError if check.about_type and not _is_non_finite(first.value) else SpendDataError
    words = f"line {first.line}: {first.column} {describe(first.problem, first.value)}, allowed is {first.allowed}"
    raise error(
        f"{staged.file.name}: none of its {staged.rows} rows can be counted; {words}", field=first.column, got=first.value, allowed=first.allowed
    )


def _faulty_row(staged: StagedFile, row_number: int, fault: int, value: str | None, words: str | None, whole_row: str) -> FaultyRow:
    check = staged.checks[fault]
    column, problem, allowed = check.column, check.problem, check.allowed
    if column == REFUSED:
        column, problem, allowed = ([*(words or "").split("|", 2), "", ""])[:3]
        value = None
    line = row_number + staged.first_line - 1
    return FaultyRow(staged.file, staged.recognised.format.name, line, column, value, problem, allowed, whole_row)


def _notes(connection: duckdb.DuckDBPyConnection, staged: Staged) -> list[str]:
    notes = [note for file in staged.files for note in file.mapped.rows.notes]
    missing = sorted({name for file in staged.files for name in focus.missing_mandatory(file.mapped.focus_names)})
    if missing and any(file.recognised.format.name == "focus" for file in staged.files):
        version = focus.version_of(name for file in staged.files for name in file.mapped.focus_names)
        notes.append(f"columns that FOCUS {version} demands and no row needs: {', '.join(missing)}")
    optional = sorted({str(column.focus_name) for file in staged.files for column in readable_columns(file.mapped)})
    if optional and staged.parts:
        counted = ", ".join(f"count(*) FILTER (contains(extra, {quoted_text(chr(34) + name + chr(34) + ':')}))" for name in optional)
        counts = execute(connection, f"SELECT {counted} FROM {STAGED} WHERE extra IS NOT NULL")[0]
        kept = "and are kept as text in extra"
        notes += [
            f"{count} values of {name} cannot be read as {focus.BY_NAME[name].kind} {kept}"
            for name, count in zip(optional, counts, strict=True)
            if count
        ]
    return notes


def _is_non_finite(value: str | None) -> bool:
    return value is not None and re.fullmatch(r"[+-]?(nan|inf|infinity)", value.strip().lower()) is not None


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
