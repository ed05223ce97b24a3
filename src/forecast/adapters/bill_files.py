"""Finds bills on disk, looks at their beginning, and reads their rows as they are: CSV, JSON, NDJSON (plain or gzip), Parquet.

What the columns mean is the business of `formats`; whether a row can be counted, that of `staging`. A file that is empty,
cut off or not the format that its name says is a `DeliveryError` in words of our own instead of a parser's.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from forecast.adapters import json_rows
from forecast.adapters.bill_rows import ALLOWED, ENDINGS, LONGEST_LINE, BillFile, Kind, Rows, Sample, not_what_it_says, stamp_of, unreadable
from forecast.adapters.bill_rows import beginning as _beginning
from forecast.adapters.csv_rows import UnreadableHeaderError, csv_rows, dialect_of
from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.errors import DeliveryError, InputError

__all__ = ["ALLOWED", "BillFile", "Kind", "Rows", "Sample", "bill_file", "document_rows", "file_digest", "find_files", "sample_of", "table_rows"]

_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"


def find_files(paths: Sequence[str | Path]) -> list[BillFile]:
    """The files under `paths` in a fixed order; folders are searched to the bottom.

    In a folder, hidden names, names that begin with `_` (logs of table formats) and manifests are not bills and are
    passed over, as are other endings; a file that is named outright must have an ending that we read.
    """
    found: list[BillFile] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            inside = sorted(item for item in path.rglob("*") if item.is_file() and _is_bill(item.relative_to(path)))
            files = [file for item in inside if (file := bill_file(item, str(Path(path.name) / item.relative_to(path)))) is not None]
            if not files:
                raise DeliveryError(f"Folder {path} holds no file to take in; allowed are {ALLOWED}", field="path", got=str(path), allowed=ALLOWED)
            found += files
        elif path.is_file():
            file = bill_file(path, path.name)
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
    files = [file for file in found if unique[file.path.resolve()] is file]
    # Rows are told apart by the names of their files, so two files of one name go by their paths.
    times = Counter(file.name for file in files)
    return [replace(file, name=str(file.path)) if times[file.name] > 1 else file for file in files]


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes; of one that cannot be opened, the same for all of them."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return hashlib.sha256(b"cannot be opened").hexdigest()


def table_rows(connection: duckdb.DuckDBPyConnection, file: BillFile, *, delimiter: str | None = None, encoding: str | None = None) -> Rows:
    """The rows of a table: a CSV file, a Parquet file, JSON objects in a list or one a line. Values of JSON stay as they are written.

    delimiter, encoding : of a CSV file, where they are declared; else its beginning says what separates its columns, and it is UTF-8.
    """
    check_beginning(file)
    if file.kind == "csv":
        # A copy is ours, whatever the file was.
        return csv_rows(file, dialect_of(file) if file.numbered else dialect_of(file, delimiter, encoding))
    return _parquet_rows(connection, file) if file.kind == "parquet" else json_rows.json_rows(connection, file)


def document_rows(connection: duckdb.DuckDBPyConnection, file: BillFile, sql: str, names: Sequence[str]) -> Rows:
    """Rows out of nested JSON (pages of an API), as `json_rows.document_rows` says."""
    check_beginning(file)
    return json_rows.document_rows(connection, file, sql, names)


def sample_of(connection: duckdb.DuckDBPyConnection, file: BillFile) -> Sample:
    """The beginning of a file, for recognising its format."""
    check_beginning(file)
    if file.kind == "parquet":
        return Sample(file, _parquet_rows(connection, file).names, frozenset(), "")
    if file.kind == "csv":
        try:
            dialect = dialect_of(file)
        except UnreadableHeaderError:
            # Names of an unknown encoding: enough to tell whether a mapping, which can say the encoding, is about this table.
            dialect = dialect_of(file, encoding="windows-1252")
        return Sample(file, dialect.names, frozenset(), _beginning(file)[0].decode(dialect.encoding, errors="replace").removeprefix("\ufeff"))
    text = json_rows.json_beginning(file).decode("utf-8", errors="replace")
    return Sample(file, (), frozenset(re.findall(r'"((?:[^"\\]|\\.)*)"\s*:', text)), text)


def bill_file(path: Path, name: str) -> BillFile | None:
    lowered = path.name.lower()
    compressed = lowered.endswith(".gz")
    ending = Path(lowered.removesuffix(".gz")).suffix
    kind = ENDINGS.get(ending)
    if kind is None or (compressed and kind == "parquet"):
        return None
    return BillFile(path, name, kind, compressed, stamp_of(path))


def _is_bill(relative: Path) -> bool:
    return not any(part.startswith((".", "_")) for part in relative.parts) and "manifest" not in relative.name.lower()


def check_beginning(file: BillFile) -> None:
    """Refuse what the first and last bytes give away, with words of our own instead of a parser's."""
    try:
        size = file.path.stat().st_size
        with file.path.open("rb") as stream:
            first = stream.read(4)
            stream.seek(max(0, size - 4))
            last = stream.read(4)
    except OSError as error:
        raise unreadable(file, error.strerror or "it cannot be opened") from error
    if size == 0:
        raise DeliveryError(f"{file.name} is empty: it has 0 bytes", field="path", got="0 bytes", allowed="at least one charge line")
    if file.kind == "parquet":
        if first != _PARQUET:
            raise not_what_it_says(file, "Parquet")
        if last != _PARQUET or size < 12:
            raise DeliveryError(
                f"{file.name} is cut off: it begins as Parquet and its footer is missing", field="path", got=f"{size} bytes", allowed="a whole file"
            )
    elif file.compressed and not first.startswith(_GZIP):
        raise not_what_it_says(file, "gzip")
    elif not file.compressed and (first.startswith(_GZIP) or first == _PARQUET):
        raise not_what_it_says(file, "text")


def _parquet_rows(connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
    source = f"read_parquet({quoted_text(str(file.path))}, file_row_number = true, hive_partitioning = false)"
    described = execute(connection, f"DESCRIBE SELECT * FROM {source}")
    pairs = [(str(row[0]), str(row[1])) for row in described if row[0] != "file_row_number"]
    renamed = "".join(f", {quoted_name(name)} AS c{place}" for place, (name, _) in enumerate(pairs))
    sql = f"SELECT file_row_number + 1 AS row_number{renamed} FROM {source}"
    return Rows(sql, tuple(name for name, _ in pairs), tuple(sql_type for _, sql_type in pairs))


def as_delivery_error(file: BillFile, error: duckdb.Error) -> InputError:
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
        problem = f"line {line or '?'} is longer than {LONGEST_LINE // 2**20} MiB"
    elif "expected records" in text:
        problem = "its rows are not objects with a name for each value"
    elif malformed:
        problem = f"malformed JSON at {malformed[1]}; it is cut off or damaged there"
    elif "state machine" in text:
        problem = "its lines end in different ways, or its quotes do not match"
    else:
        problem = text.splitlines()[0][:200]
    return unreadable(file, problem)
