"""JSON as rows: a list of objects, one object a line, or what SQL takes out of nested pages.

DuckDB's JSON functions, and its reader too, take a number with a decimal point for a binary float: 0.1234567890123456789 comes back as
0.12345678901234568. Only the text of a document (`read_json_objects`) is what stands in the file, so numbers with more digits than a
float keeps are put in quotes there before anything reads them. That is slower, and done only for files that have such numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import duckdb

from forecast.adapters.bill_rows import LINE_KEY, LONGEST_LINE, BillFile, Rows, beginning, not_what_it_says, unreadable
from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.errors import DeliveryError

# 15 digits always survive a float; with the point that is 16 signs.
LONG_NUMBER = r"-?[0-9][0-9.]{16,}(?:[eE][-+]?[0-9]+)?"
_LONG_VALUE = r":\s*" + LONG_NUMBER
# A string and, where a colon makes it a name, the long number behind it. Every string is matched, so that nothing in one is taken for a name.
_NAMED_LONG = rf'("(?:[^"\\]|\\.)*"(?:\s*:\s*)?)({LONG_NUMBER})?'


def json_rows(connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
    """Rows of a table in JSON under the names of their values; each value as JSON, numbers that a float would shorten as text."""
    layout = "array" if json_beginning(file).startswith(b"[") else "newline_delimited"
    # maximum_depth = 1 leaves each value as it stands: the specification decides on types, not a guess from a sample.
    options = "maximum_depth = 1, sample_size = -1, map_inference_threshold = -1, records = true, hive_partitioning = false"
    source = f"read_json({_read(file, layout)}, {options})"
    described = [(str(row[0]), str(row[1])) for row in execute(connection, f"DESCRIBE SELECT * FROM {source}")]
    pairs = [pair for pair in described if not (file.numbered and pair[0] == LINE_KEY)]
    names = tuple(name for name, _ in pairs)
    number = "row_number() OVER ()"
    documents = f"read_json_objects({_read(file, layout)})"
    has_long = f"SELECT coalesce(bool_or(regexp_matches(json, {quoted_text(_LONG_VALUE)})), false) FROM {documents}"
    if not execute(connection, has_long)[0][0]:
        number = f"CAST({quoted_name(LINE_KEY)} ->> '$' AS BIGINT)" if file.numbered else number
        renamed = ", ".join(f"{quoted_name(name)} AS c{place}" for place, name in enumerate(names))
        return Rows(f"SELECT {number} AS row_number, {renamed} FROM {source}", names, tuple(sql_type for _, sql_type in pairs))
    shape = quoted_text(json.dumps(dict.fromkeys(names, "JSON"), ensure_ascii=False))
    taken = ", ".join(f"given.{quoted_name(name)} AS c{place}" for place, name in enumerate(names))
    line = quoted_text('$."' + LINE_KEY + '"')
    number = f"CAST(json ->> {line} AS BIGINT)" if file.numbered else number
    exact = f"SELECT {number} AS row_number, json_transform({_exact('json')}, {shape}) AS given FROM {documents}"
    return Rows(f"SELECT row_number, {taken} FROM ({exact})", names, ("JSON",) * len(names))


def document_rows(connection: duckdb.DuckDBPyConnection, file: BillFile, sql: str, names: Sequence[str]) -> Rows:
    """Rows out of nested JSON (pages of an API): `sql` selects one column for each of `names` from `documents`, in the order of the file.

    `documents` has one row a document of the file (several: a list or one a line, in order) with the columns `number` and `document` (JSON).
    The document is the text of the file; `->>` reads numbers in it as floats, so amounts are taken from `formats.pages.exact_documents`.
    """
    if file.kind != "json":
        raise not_what_it_says(file, "JSON")
    layout = "array" if json_beginning(file).startswith(b"[") else "unstructured"
    documents = f"SELECT row_number() OVER () AS number, json AS document FROM read_json_objects({_read(file, layout)})"
    types = [str(row[1]) for row in execute(connection, f"DESCRIBE WITH documents AS ({documents}) {sql}")]
    columns = ", ".join(f"c{place}" for place in range(len(names)))
    rows = f"WITH documents AS ({documents}), found({columns}) AS ({sql}) SELECT row_number() OVER () AS row_number, {columns} FROM found"
    return Rows(rows, tuple(names), tuple(types))


def json_beginning(file: BillFile) -> bytes:
    """The first bytes of JSON, from its bracket on. Raises where there is none, or nothing in it."""
    given = beginning(file)[0].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not given:
        raise DeliveryError(f"{file.name} is empty: it is blank", field="path", got="blank", allowed="at least one charge line")
    if given[:1] not in (b"[", b"{"):
        raise not_what_it_says(file, "JSON")
    inside = given[1:].lstrip(b" \t\r\n")
    if given[:1] == b"[" and not inside.removeprefix(b"]").strip():
        raise DeliveryError(f"{file.name} is empty: it is a list without rows", field="path", got="[]", allowed="at least one charge line")
    if given[:1] == b"[" and inside[:1] != b"{":
        raise unreadable(file, "its rows are not objects with a name for each value")
    return given


def _read(file: BillFile, layout: str) -> str:
    compression = "gzip" if file.compressed else "uncompressed"
    return f"{quoted_text(str(file.path))}, format = '{layout}', compression = '{compression}', maximum_object_size = {LONGEST_LINE}"


def _exact(text: str) -> str:
    # chr(1) cannot stand in JSON as itself. Where no long number follows, the two marks meet and go away together.
    marked = f"regexp_replace(CAST({text} AS VARCHAR), {quoted_text(_NAMED_LONG)}, concat('\\1', chr(1), '\\2', chr(1)), 'gs')"
    return f"CAST(replace(replace({marked}, chr(1) || chr(1), ''), chr(1), '\"') AS JSON)"
