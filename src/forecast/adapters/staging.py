"""Stages a delivery: every file recognised, mapped, checked, and its good rows written as the ledger will hold them.

Files of the same shape are read together, so that all cores work; where that fails, one by one, so that one bad file is named and the
others go on, and a file that its reader refuses gets a second look (`second_look`). Rows that cannot be counted are told in a second pass,
which is made only where there are any.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from forecast.adapters.ai_sql import judge_staged
from forecast.adapters.bill_files import BillFile, as_delivery_error, check_beginning, table_rows
from forecast.adapters.bill_rows import stamp_of
from forecast.adapters.csv_rows import dialect_of
from forecast.adapters.date_order import find_date_order
from forecast.adapters.delivery import Delivery
from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.adapters.focus_columns import GivenColumn
from forecast.adapters.focus_objects import prepare
from forecast.adapters.focus_sql import Mapped, checks, faulty_rows_sql, good_rows_sql, readable_columns
from forecast.adapters.formats.registry import Recognised
from forecast.adapters.ledger_table import MONTH_SQL, STORED, moment_literal
from forecast.adapters.second_look import SecondLook, look_again_at_csv, look_again_at_lines
from forecast.adapters.staged import BadFile, FaultyRow, Staged, StagedFile, describe, faulty_row, uncounted_rows
from forecast.errors import DeliveryError, InputError, SchemaError, SpendDataError
from forecast.spend import focus
from forecast.spend.rules import Rules

__all__ = ["STAGED", "Progress", "Staged", "stage", "uncounted"]

STAGED = "staged"
"""The view over all staged rows; its columns are the ledger's."""

STAGING_ROWS = 61_440
MOST_TOGETHER = 16
"""Files that are read by one statement."""


BY_MONTH_FROM = 200_000
"""Rows from which a few files are staged month by month."""
MOST_MONTHS = 4
"""Months that such a file holds on average; each is a look at the file's columns."""
LEDGER_ROWS = 122_880

_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S", "TIMESTAMP WITH TIME ZONE")
"""Types whose values can be told apart by month while a file is read."""

_Select = Callable[[str | None], str]

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
    done = 0
    for group in _groups(recognised):
        progress(done, len(delivery.files), f"reading {group[0][0].name}" + (f" and {len(group) - 1} more" if len(group) > 1 else ""))
        _stage_group(connection, delivery, [_Source(file, found) for file, found in group], rules, folder, staged)
        done += len(group)
    for file in delivery.files:
        # Since it was found: its digest, by which the delivery will be known, was taken after that.
        if stamp_of(file.path) != file.stamp:
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


@dataclass(frozen=True)
class _Source:
    """A file on its way; `look` is set where it is read by way of a copy."""

    file: BillFile
    found: Recognised
    look: SecondLook | None = None

    @property
    def readable(self) -> BillFile:
        return self.file if self.look is None else self.look.copy

    @property
    def declared(self) -> tuple[str | None, str | None]:
        """Delimiter and encoding that a mapping declares; other formats have none to declare."""
        return getattr(self.found.format, "delimiter", None), getattr(self.found.format, "encoding", None)


def _stage_group(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, group: Sequence[_Source], rules: Rules, folder: Path, staged: Staged
) -> None:
    ready: list[tuple[_Source, StagedFile]] = []
    selects: list[_Select] = []
    odd: list[tuple[_Source, duckdb.Error | None]] = []
    for place, source in enumerate(group):
        try:
            if _is_odd(source):
                odd.append((source, None))
                continue
            one, select = _prepared(connection, delivery, source, rules, f"f{len(staged.parts)}_{place}")
        except InputError as error:
            staged.bad.append(BadFile(source.file, error))
        except duckdb.Error as error:
            odd.append((source, error))
        else:
            ready.append((source, one))
            selects.append(select)
    alone: list[_Source] = []
    if ready:
        try:
            parts, counts = _write(connection, [one for _, one in ready], selects, folder / f"part-{len(staged.parts):05}")
            counted = [(source, replace(one, rows=_count(connection, one), good=counts.get(one.file.name, 0))) for source, one in ready]
            suspects = [source for source, one in counted if one.good < one.rows and _may_hold_headers(connection, source)]
        except duckdb.Error as error:
            # One of them: whoever it is will be alone then.
            alone = [source for source, _ in ready] if len(ready) > 1 else []
            odd += [] if alone else [(ready[0][0], error)]
        else:
            alone = [source for source, _ in ready if source not in suspects] if suspects else []
            odd += [(source, None) for source in suspects]
            if not suspects:
                _accept(connection, [one for _, one in counted], parts, staged)
    for source in alone:
        _stage_group(connection, delivery, [source], rules, folder, staged)
    for source, cause in odd:
        try:
            again = _looked_at_again(source, cause, folder / f"look-{staged.looks}")
        except InputError as error:
            staged.bad.append(BadFile(source.file, error))
        else:
            staged.looks += 1
            _stage_group(connection, delivery, [again], rules, folder, staged)


def _accept(connection: duckdb.DuckDBPyConnection, counted: Sequence[StagedFile], parts: Sequence[Path], staged: Staged) -> None:
    for one in counted:
        try:
            if not one.rows:
                raise DeliveryError(
                    f"{one.file.name} is empty: it has a header and no rows", field="path", got="0 rows", allowed="at least one charge line"
                )
            if not one.good:
                _refuse_hopeless(connection, one)
        except InputError as error:
            staged.bad.append(BadFile(one.file, error))
        else:
            staged.files.append(one)
    staged.parts += parts


def _is_odd(source: _Source) -> bool:
    """Whether a file's beginning says that its reader would not do."""
    if source.file.kind != "csv" or source.look is not None:
        return False
    check_beginning(source.file)
    return not dialect_of(source.file, *source.declared).is_plain


def _looked_at_again(source: _Source, cause: duckdb.Error | None, target: Path) -> _Source:
    """The file by way of a copy of what can be read of it. Raises what is wrong with it where that does not help."""
    file = source.file
    if source.look is None and file.kind == "csv":
        return replace(source, look=look_again_at_csv(file, dialect_of(file, *source.declared), target.with_suffix(".csv")))
    refusal = as_delivery_error(file, cause) if cause is not None else DeliveryError(f"{file.name} cannot be read", field="path", got=file.name)
    if source.look is not None or file.kind != "json":
        raise refusal from cause
    try:
        return replace(source, look=look_again_at_lines(file, target.with_suffix(".ndjson")))
    except InputError:
        raise refusal from cause


def _may_hold_headers(connection: duckdb.DuckDBPyConnection, source: _Source) -> bool:
    """Whether a row of a CSV file begins or ends with the name of a column, as a header in the middle of the file does."""
    if source.file.kind != "csv" or source.look is not None:
        return False
    table = table_rows(connection, source.file, delimiter=source.declared[0])
    names = ", ".join(quoted_text(name.lower()) for name in table.names if name)
    ends = " OR ".join(f"lower(trim({reference}, ' \ufeff')) IN ({names})" for reference in ("c0", f"c{len(table.names) - 1}"))
    return bool(execute(connection, f"SELECT 1 FROM ({table.sql}) WHERE {ends} LIMIT 1"))


def _prepared(connection: duckdb.DuckDBPyConnection, delivery: Delivery, source: _Source, rules: Rules, name: str) -> tuple[StagedFile, _Select]:
    """The statement that selects the good rows of a file, or those for which a condition on what its format gives holds."""
    file, found = source.file, source.found
    rows = found.format.rows(connection, source.readable)
    expressions = found.format.columns(rows)
    own = "".join(f", c{place}" for place in range(len(rows.names)))
    made = "".join(f", {sql} AS m{place}" for place, sql in enumerate(expressions.values()))
    given = f"SELECT row_number{own}{made} FROM ({rows.sql})"
    described = {str(row[0]): str(row[1]) for row in execute(connection, f"DESCRIBE {given}")}
    columns = _given_columns(file, [(column, described[f"m{place}"]) for place, column in enumerate(expressions)])
    _check_columns(file, columns, rows.names)
    key = [_key_column(file, columns, column) for column in delivery.reading.key]
    date_order = rows.date_order or find_date_order(connection, given, columns)
    row_checks = checks(columns, key, date_order)
    objects = prepare(connection, given, columns, rules.dimensions, name)
    mapped = Mapped(given, columns, rows, objects, rules.dimensions, date_order)
    one = StagedFile(file, found, mapped, row_checks, 0, 0, tuple(key), source.look)
    constants = {
        "delivery_id": quoted_text(delivery.delivery_id),
        "received_at": moment_literal(delivery.received_at),
        "source": quoted_text(delivery.source),
        "file": quoted_text(file.name),
        "keyed": "CAST(NULL AS VARCHAR)" if delivery.keyed is None else quoted_text(delivery.keyed),
    }
    ai = judge_staged(connection, mapped, name, rules.ai)

    def select(condition: str | None) -> str:
        chosen = mapped if condition is None else replace(mapped, given=f"SELECT * FROM ({given}) WHERE {condition}")
        return good_rows_sql(chosen, row_checks, key, constants, ai.expression, ai.joins, one.first_line)

    return one, select


def _write(
    connection: duckdb.DuckDBPyConnection, files: Sequence[StagedFile], selects: Sequence[_Select], target: Path
) -> tuple[list[Path], dict[str, int]]:
    """Write the good rows, month by month where that is cheap, and count them by file."""
    months = _months(connection, files)
    groups = [[select(None) for select in selects]] if months is None else [[selects[place](condition) for place, condition in one] for one in months]
    rows = STAGING_ROWS if months is None else LEDGER_ROWS
    parts: list[Path] = []
    counts: dict[str, int] = {}
    for number, group in enumerate(groups):
        # Each SELECT has common table expressions of its own, hence the brackets.
        union = " UNION ALL ".join(f"SELECT * FROM ({select})" for select in group)
        names = ", ".join(quoted_name(name) for name in STORED)
        part = target.with_name(f"{target.name}-{number:03}.parquet")
        path = quoted_text(str(part))
        execute(connection, f"COPY (SELECT {names} FROM ({union})) TO {path} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {rows})")
        found = execute(connection, f"SELECT file, count(*) FROM read_parquet({path}, hive_partitioning = false) GROUP BY file")
        if found:
            parts.append(part)
        for file, count in found:
            counts[str(file)] = counts.get(str(file), 0) + int(str(count))
    return parts, counts


def _months(connection: duckdb.DuckDBPyConnection, files: Sequence[StagedFile]) -> list[list[tuple[int, str]]] | None:
    """For each billing month the files (by place) that have rows of it, and the condition on them; None where one pass is better.

    Rows staged by month are the ledger's files as they are: encoding them once more costs as much as all checks together (4 of 12 µs a line).
    Parquet in order of time can be read so; of other files each month would read everything.
    """
    months: dict[str, list[tuple[int, str]]] = {}
    read = rows = 0
    for place, one in enumerate(files):
        column = {given.focus_name: given for given in one.mapped.columns}.get(focus.BILLING_START)
        if one.file.kind != "parquet" or column is None or column.sql_type not in _TIMES:
            return None
        month = f"strftime(date_trunc('month', CAST({column.reference} AS TIMESTAMP)), '%Y-%m-%d')"
        sql = f"SELECT {month}, CAST({month} AS DATE) + INTERVAL 1 MONTH, count(*) FROM ({one.mapped.given}) GROUP BY ALL ORDER BY ALL"
        for first, after, count in execute(connection, sql):
            within = f"{column.reference} >= '{first}' AND {column.reference} < '{after}'" if first else f"{column.reference} IS NULL"
            months.setdefault(str(first), []).append((place, within))
            read, rows = read + 1, rows + int(str(count))
    if rows < BY_MONTH_FROM or read > MOST_MONTHS * len(files):
        return None
    return [months[first] for first in sorted(months)]


def _count(connection: duckdb.DuckDBPyConnection, one: StagedFile) -> int:
    """Rows of a file: good ones, bad ones, and those that could not be read."""
    read = int(str(execute(connection, f"SELECT count(*) FROM ({one.mapped.rows.sql})")[0][0]))
    return read + (0 if one.look is None else one.look.count)


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
    first = faulty_row(staged, *row)
    check = staged.checks[int(row[1])]
    error = SchemaError if check.about_type and not _is_non_finite(first.value) else SpendDataError
    words = f"line {first.line}: {first.column} {describe(first.problem, first.value)}, allowed is {first.allowed}"
    raise error(
        f"{staged.file.name}: none of its {staged.rows} rows can be counted; {words}", field=first.column, got=first.value, allowed=first.allowed
    )


def uncounted(connection: duckdb.DuckDBPyConnection, delivery: Delivery, file: BillFile, found: Recognised, rules: Rules) -> list[FaultyRow]:
    """The rows of a file that could not be counted if it were staged as a part of the delivery, and why."""
    staged, _ = _prepared(connection, delivery, _Source(file, found), rules, "checked")
    return list(uncounted_rows(connection, staged))


def _notes(connection: duckdb.DuckDBPyConnection, staged: Staged) -> list[str]:
    # Of a copy only what its making found: that it is separated by commas says nothing about the file.
    notes = [note for file in staged.files for note in (file.mapped.rows.notes if file.look is None else _look_notes(file.look))]
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


def _look_notes(look: SecondLook) -> tuple[str, ...]:
    told = f"{look.copy.name}: {look.count} lines cannot be read and are in quarantine"
    return (*look.notes, *([told] if look.count else []))


def _is_non_finite(value: str | None) -> bool:
    return value is not None and re.fullmatch(r"[+-]?(nan|inf|infinity)", value.strip().lower()) is not None


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
