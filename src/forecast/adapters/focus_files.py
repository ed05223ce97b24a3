"""Finds, opens and stages FOCUS 1.0 to 1.2 files: CSV, JSON, NDJSON (each plain or gzip) and Parquet, or folders of them.

A file is taken whole or refused whole. It is refused (`DeliveryError`, `SchemaError`) where it is empty, cut off, not
the format that its name says, lacks a required column, or where no row of it can be counted. Single rows that cannot be
counted are marked in the staging table with the check that they fail, and the ledger puts them in quarantine.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.adapters.focus_columns import GivenColumn
from forecast.adapters.focus_objects import prepare
from forecast.adapters.focus_sql import Check, checks, normalising_sql
from forecast.errors import DeliveryError, InputError, SchemaError, SpendDataError
from forecast.spend import focus

Format = Literal["csv", "json", "parquet"]

ENDINGS: dict[str, Format] = {".csv": "csv", ".json": "json", ".ndjson": "json", ".jsonl": "json", ".parquet": "parquet"}
ALLOWED = "CSV, JSON or NDJSON (each also as .gz) and Parquet: .csv .csv.gz .json .ndjson .jsonl .parquet"

STAGED = "staged"
"""The view over all staged rows; its columns are those of `focus_sql.normalising_sql`."""

_STAGING_ROWS = 61_440

_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_LONGEST_LINE = 64 * 2**20
_HEADER_BYTES = 2**20


@dataclass(frozen=True)
class FocusFile:
    """A file to take in. `name` is how reports call it: as given, or relative to the folder that was given."""

    path: Path
    name: str
    format: Format
    compressed: bool


@dataclass(frozen=True)
class StagedFile:
    """What staging learned about a file: its rows are in the table `staged` under `file == number`."""

    number: int
    file: FocusFile
    columns: tuple[GivenColumn, ...]
    checks: tuple[Check, ...]
    rows: int
    notes: tuple[str, ...]

    @property
    def focus_names(self) -> tuple[str, ...]:
        return tuple(column.focus_name for column in self.columns if column.focus_name)

    def line(self, row: int) -> int:
        """Where a person finds row `row` (1-based): the header of a CSV file is line 1."""
        return row + 1 if self.file.format == "csv" else row


def find_files(paths: Sequence[str | Path]) -> list[FocusFile]:
    """The files under `paths` in a fixed order; folders are searched to the bottom.

    In a folder, hidden names, names that begin with `_` (logs of table formats) and manifests are not bills and are
    passed over, as are other endings; a file that is named outright must have an ending that we read.
    """
    found: list[FocusFile] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            inside = sorted(item for item in path.rglob("*") if item.is_file() and _is_bill(item.relative_to(path)))
            files = [file for item in inside if (file := _focus_file(item, str(Path(path.name) / item.relative_to(path)))) is not None]
            if not files:
                raise DeliveryError(f"Folder {path} holds no file to take in; allowed are {ALLOWED}", field="path", got=str(path), allowed=ALLOWED)
            found += files
        elif path.is_file():
            file = _focus_file(path, path.name)
            if file is None:
                raise DeliveryError(
                    f"{path.name} is not a format that is read: got the ending {path.suffix or 'none'!r}, allowed are {ALLOWED}",
                    field="path",
                    got=path.name,
                    allowed=ALLOWED,
                )
            found.append(file)
        else:
            raise DeliveryError(f"No such file or folder: {path}", field="path", got=str(path), allowed="a path that exists")
    if not found:
        raise InputError("Nothing to ingest: no path was given", field="path", got=None, allowed="at least one file or folder")
    unique = {file.path.resolve(): file for file in reversed(found)}
    return [file for file in found if unique[file.path.resolve()] is file]


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def stage(connection: duckdb.DuckDBPyConnection, file: FocusFile, number: int, key: Sequence[str], folder: Path) -> StagedFile:
    """Normalise one file into `folder`, where the view `staged` finds it. Raises where the file must be refused.

    Staged as Parquet: rows of 80 columns in memory, or spilled from it, would take several times the room.
    """
    before = file.path.stat()
    try:
        staged = _stage(connection, file, number, key, folder)
    except duckdb.Error as error:
        raise _as_delivery_error(file, error) from error
    after = file.path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DeliveryError(
            f"{file.name} changed while it was read: ingest it again once it is complete", field="path", got=file.name, allowed="a file at rest"
        )
    return staged


def _stage(connection: duckdb.DuckDBPyConnection, file: FocusFile, number: int, key: Sequence[str], folder: Path) -> StagedFile:
    _check_beginning(file)
    notes: list[str] = []
    if file.format == "csv":
        raw, names = _csv_reader(file, notes)
        types = ["VARCHAR"] * len(names)
    else:
        raw, names, types = _self_describing_reader(connection, file)
    columns = _given_columns(file, names, types)
    _check_columns(file, columns, key)
    key_names = [_key_column(file, columns, name) for name in key]
    row_checks = checks(columns, key_names)
    select = normalising_sql(raw, columns, prepare(connection, raw, columns), row_checks, key_names, number)
    target = quoted_text(str(folder / f"staged_{number}.parquet"))
    execute(connection, f"COPY ({select}) TO {target} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {_STAGING_ROWS})")
    # Folders called name=value are not columns, neither above our own files nor above a vendor's.
    every = ", ".join(quoted_text(str(folder / f"staged_{done}.parquet")) for done in range(number + 1))
    execute(connection, f"CREATE OR REPLACE TEMP VIEW {STAGED} AS SELECT * FROM read_parquet([{every}], hive_partitioning = false)")
    (rows, bad) = execute(connection, f"SELECT count(*), count(fault) FROM {STAGED} WHERE file = ?", [number])[0]
    if not rows:
        raise DeliveryError(f"{file.name} is empty: it has a header and no rows", field="path", got="0 rows", allowed="at least one charge line")
    staged = StagedFile(number, file, columns, row_checks, int(str(rows)), tuple(notes))
    if rows == bad:
        _refuse_hopeless(connection, staged)
    return staged


def _focus_file(path: Path, name: str) -> FocusFile | None:
    lowered = path.name.lower()
    compressed = lowered.endswith(".gz")
    ending = Path(lowered.removesuffix(".gz")).suffix
    kind = ENDINGS.get(ending)
    if kind is None or (compressed and kind == "parquet"):
        return None
    return FocusFile(path, name, kind, compressed)


def _is_bill(relative: Path) -> bool:
    return not any(part.startswith((".", "_")) for part in relative.parts) and "manifest" not in relative.name.lower()


def _check_beginning(file: FocusFile) -> None:
    """Refuse what the first and last bytes give away, with words of our own instead of a parser's."""
    size = file.path.stat().st_size
    if size == 0:
        raise DeliveryError(f"{file.name} is empty: it has 0 bytes", field="path", got="0 bytes", allowed="at least one charge line")
    with file.path.open("rb") as stream:
        first = stream.read(4)
        stream.seek(max(0, size - 4))
        last = stream.read(4)
    if file.format == "parquet":
        if first != _PARQUET:
            raise _not_what_it_says(file, "Parquet")
        if last != _PARQUET or size < 12:
            raise DeliveryError(
                f"{file.name} is cut off: it begins as Parquet and its footer is missing", field="path", got=f"{size} bytes", allowed="a whole file"
            )
    elif file.compressed and not first.startswith(_GZIP):
        raise _not_what_it_says(file, "gzip")
    elif not file.compressed and (first.startswith(_GZIP) or first == _PARQUET):
        raise _not_what_it_says(file, "text")


def _csv_reader(file: FocusFile, notes: list[str]) -> tuple[str, list[str]]:
    """SQL that reads the rows as text c0, c1, …, and the names in the header."""
    beginning, size = _beginning(file)
    try:
        text = beginning.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(beginning) - 4 or size <= len(beginning):
            raise DeliveryError(
                f"{file.name} is not UTF-8 text at byte {error.start}", field="path", got="other encoding", allowed="UTF-8"
            ) from error
        text = beginning.decode("utf-8-sig", errors="ignore")
    if not text.strip():
        raise DeliveryError(f"{file.name} is empty: it is blank", field="path", got="blank", allowed="at least one charge line")
    if "\x00" in text[:4096]:
        raise _not_what_it_says(file, "CSV")
    names = [name.strip() for name in next(csv.reader(io.StringIO(text)), [])]
    if text.lstrip()[:1] in ("{", "["):
        raise _not_what_it_says(file, "CSV")
    if len(names) == 1 and (mark := next((mark for mark in (";", "\t", "|") if mark in names[0]), None)):
        raise DeliveryError(
            f"{file.name} is separated by {mark!r}: got {names[0][:60]!r} as the header", field="path", got=mark, allowed="a comma between columns"
        )
    if not file.compressed and not _ends_with_line_end(file.path):
        notes.append(f"{file.name}: the last line has no line end; if the file was cut off there, its last value may be short")
    columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(names)))
    compression = "gzip" if file.compressed else "none"
    # A line may be as long as the whole file, and the reader sets aside several times this much for every thread.
    longest = min(max(size, 2**21), _LONGEST_LINE)
    raw = (
        f"SELECT row_number() OVER () AS row_number, * FROM read_csv({quoted_text(str(file.path))}, auto_detect = false, columns = {{{columns}}}, "
        f"header = true, delim = ',', quote = '\"', escape = '\"', strict_mode = true, nullstr = ['', 'NULL', 'null'], "
        f"compression = '{compression}', max_line_size = {longest}, hive_partitioning = false)"
    )
    return raw, names


def _self_describing_reader(connection: duckdb.DuckDBPyConnection, file: FocusFile) -> tuple[str, list[str], list[str]]:
    """SQL that reads rows of a format that names its own columns, with those names and their DuckDB types."""
    path = quoted_text(str(file.path))
    if file.format == "parquet":
        source, number, exclude = f"read_parquet({path}, file_row_number = true, hive_partitioning = false)", "file_row_number + 1", "file_row_number"
    else:
        beginning = _beginning(file)[0].removeprefix(b"\xef\xbb\xbf").lstrip()
        if not beginning:
            raise DeliveryError(f"{file.name} is empty: it is blank", field="path", got="blank", allowed="at least one charge line")
        if beginning[:1] not in (b"[", b"{"):
            raise _not_what_it_says(file, "JSON")
        layout = "array" if beginning[:1] == b"[" else "newline_delimited"
        if layout == "array" and not beginning[1:].lstrip(b" \t\r\n").removeprefix(b"]").strip():
            raise DeliveryError(f"{file.name} is empty: it is a list without rows", field="path", got="[]", allowed="at least one charge line")
        compression = "gzip" if file.compressed else "uncompressed"
        # maximum_depth = 1 leaves each value as it stands: the specification decides on types, not a guess from a sample.
        source = (
            f"read_json({path}, format = '{layout}', maximum_depth = 1, sample_size = -1, map_inference_threshold = -1, records = true, "
            f"compression = '{compression}', maximum_object_size = {_LONGEST_LINE}, hive_partitioning = false)"
        )
        number, exclude = "row_number() OVER ()", ""
    described = execute(connection, f"DESCRIBE SELECT * FROM {source}")
    pairs = [(str(row[0]), str(row[1])) for row in described if row[0] != exclude]
    renamed = ", ".join(f"{quoted_name(name)} AS c{place}" for place, (name, _) in enumerate(pairs))
    return f"SELECT {number} AS row_number, {renamed} FROM {source}", [name for name, _ in pairs], [sql_type for _, sql_type in pairs]


def _given_columns(file: FocusFile, names: Sequence[str], types: Sequence[str]) -> tuple[GivenColumn, ...]:
    columns: list[GivenColumn] = []
    seen: dict[str, str] = {}
    for place, (name, sql_type) in enumerate(zip(names, types, strict=True)):
        canonical = focus.canonical_name(name)
        label = name or f"column {place + 1}"
        folded = (canonical or label).lower()
        if folded in seen:
            raise SchemaError(f"{file.name} has the column {label!r} twice", field=label, got=[seen[folded], label], allowed="each column once")
        seen[folded] = label
        columns.append(GivenColumn(label, canonical, sql_type, f"c{place}"))
    return tuple(columns)


def _check_columns(file: FocusFile, columns: Sequence[GivenColumn], key: Sequence[str]) -> None:
    missing = focus.missing_required([column.focus_name for column in columns if column.focus_name])
    if missing:
        named = ", ".join(missing)
        got = [column.name for column in columns]
        lacks = f"lacks the column{'s' if len(missing) > 1 else ''} {named}"
        raise SchemaError(
            f"{file.name} {lacks}: got {len(got)} columns ({_listed(got)}), required are {', '.join(focus.REQUIRED)}",
            field=missing[0],
            got=got,
            allowed=", ".join(focus.REQUIRED),
        )
    for name in key:
        _key_column(file, columns, name)


def _key_column(file: FocusFile, columns: Sequence[GivenColumn], name: str) -> str:
    """The file's own spelling of a key column."""
    for column in columns:
        if name.lower() in (column.name.lower(), (column.focus_name or column.name).lower()):
            return column.name
    got = [column.name for column in columns]
    raise SchemaError(f"{file.name} lacks the key column {name!r}: got {_listed(got)}", field="key", got=name, allowed=", ".join(got))


def _refuse_hopeless(connection: duckdb.DuckDBPyConnection, staged: StagedFile) -> None:
    """No row can be counted, so the file is at fault and not its rows: name the first one's column and value."""
    sql = f"SELECT fault, whole_row, row_number FROM {STAGED} WHERE file = ? ORDER BY row_number LIMIT 1"
    fault, whole_row, row = execute(connection, sql, [staged.number])[0]
    check = staged.checks[int(str(fault))]
    value = value_at_fault(staged, check, str(whole_row))
    line = staged.line(int(str(row)))
    error = SchemaError if check.about_type and not _is_non_finite(value) else SpendDataError
    first = f"line {line}: {check.column} {describe(check, value)}, allowed is {check.allowed}"
    raise error(
        f"{staged.file.name}: none of its {staged.rows} rows can be counted; {first}",
        field=check.column,
        got=value,
        allowed=check.allowed,
    )


def value_at_fault(staged: StagedFile, check: Check, whole_row: str) -> str | None:
    """The value that failed a check, out of the row as it came."""
    values = json.loads(whole_row)
    name = next((column.name for column in staged.columns if check.column in (column.focus_name, column.name)), check.column)
    value = values.get(name)
    return None if value is None else str(value)


def describe(check: Check, value: str | None) -> str:
    """What is wrong, in words: `'abc' is not a finite number`."""
    return check.problem if value is None or check.problem == "is missing" else f"{value[:80]!r} {check.problem}"


def _is_non_finite(value: str | None) -> bool:
    return value is not None and value.strip().lower().lstrip("+-") in ("nan", "inf", "infinity")


def _as_delivery_error(file: FocusFile, error: duckdb.Error) -> InputError:
    """DuckDB's account of an unreadable file in one line of ours; the file's content stays out of the message."""
    text = str(error)
    line = found[1] if (found := re.search(r"CSV Error on Line: (\d+)", text)) else None
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    malformed = re.search(r"Malformed JSON in file .*?, at (.*?): ([^\n]*)", text)
    if fields:
        problem = f"line {line} has {fields[2]} fields and the header has {fields[1]}; it is cut off or damaged there"
    elif "unterminated quote" in text:
        problem = f"line {line} opens a quote that is never closed; it is cut off or damaged there"
    elif "Unexpected end of GZIP" in text or "GZIP" in text.upper():
        problem = "the gzip stream ends early; it is cut off"
    elif "unicode" in text.lower():
        problem = f"line {line} is not UTF-8 text" if line else "it is not UTF-8 text"
    elif "maximum line size" in text.lower() or "maximum_object_size" in text:
        problem = f"line {line or '?'} is longer than {_LONGEST_LINE // 2**20} MiB"
    elif "expected records" in text:
        problem = "its rows are not objects with a name for each value"
    elif malformed:
        problem = f"malformed JSON at {malformed[1]}; it is cut off or damaged there"
    elif "state machine" in text:
        problem = "its lines end in different ways, or its quotes do not match"
    else:
        problem = text.splitlines()[0][:200]
    return DeliveryError(f"{file.name} cannot be read: {problem}", field="path", got=file.name, allowed=f"a whole {file.format} file")


def _not_what_it_says(file: FocusFile, what: str) -> DeliveryError:
    return DeliveryError(f"{file.name} is not {what}, which its ending says it is", field="path", got=file.name, allowed=ALLOWED)


def _beginning(file: FocusFile) -> tuple[bytes, int]:
    """The first bytes of the content, unpacked, and the size of the file (times 20 where it is packed)."""
    size = file.path.stat().st_size
    with file.path.open("rb") as plain:
        if not file.compressed:
            return plain.read(_HEADER_BYTES), size
        try:
            with gzip.open(plain) as stream:
                return stream.read(_HEADER_BYTES), size * 20
        except EOFError:
            return _partly_unpacked(file.path), size * 20
        except (OSError, zlib.error) as error:
            raise _not_what_it_says(file, "gzip") from error


def _partly_unpacked(path: Path) -> bytes:
    """What can be unpacked of a cut-off file: enough for its header, so that the reader can say where it ends."""
    unpacker = zlib.decompressobj(wbits=31)
    with path.open("rb") as stream:
        return unpacker.decompress(stream.read(_HEADER_BYTES), _HEADER_BYTES)


def _ends_with_line_end(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, io.SEEK_END)
        return stream.read(1) in (b"\n", b"\r")


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
