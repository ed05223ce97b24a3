"""What the pages of vendors' APIs have in common: numbers with their digits, FOCUS names, identities of charges.

DuckDB's JSON functions (`->>`, `json_extract_string`, reading a column of JSON) read a number with a decimal point as a binary float and
write the shortest text of that: 0.1234567890123456789 comes back as 0.12345678901234568, 1e-05 as 0.00001, and only whole numbers keep
all their digits (DuckDB 2.0). The text of a document is not touched before such a function reads it, so `exact_documents` first puts
every number behind a name in quotes; from then on it is text and comes out as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, document_rows
from forecast.adapters.duck import quoted_name, quoted_text
from forecast.adapters.formats.base import Reading
from forecast.spend import focus

CHARGE_ID = "x_charge_id"
"""Column with the identity of a charge, made of what does not change when the vendor restates it."""

BY_CHARGE_ID = Reading("merge", (CHARGE_ID,))
"""How pages are read: what is fetched again restates what was fetched before."""

# A string and, where a colon makes it a name, the number behind it. Every string is matched, so that nothing inside one is taken for a name.
_NAMED_NUMBER = r'("(?:[^"\\]|\\.)*"(?:\s*:\s*)?)(-?[0-9][0-9.eE+-]*)?'


def exact_documents(source: str = "documents") -> str:
    """SELECT of `number` and `document` from `source`, each number behind a name as text with the digits of the file."""
    # chr(1) cannot stand in JSON as itself. Where no number follows, the two marks meet and go away together.
    marked = f"regexp_replace(CAST(document AS VARCHAR), {quoted_text(_NAMED_NUMBER)}, concat('\\1', chr(1), '\\2', chr(1)), 'gs')"
    return f"SELECT number, CAST(replace(replace({marked}, chr(1) || chr(1), ''), chr(1), '\"') AS JSON) AS document FROM {source}"


def page_results(connection: duckdb.DuckDBPyConnection, file: BillFile, fields: Mapping[str, str], lines: str = "", order: str = "") -> Rows:
    """One row for each result of each bucket of each page: pages → `data` → `results`, in the order of the file.

    fields : name of a column → SQL over `bucket` (its times) and `result` (JSON), and `page_number`, `bucket_number`, `result_number`.
    lines : further relations after the results (`, unnest(…) AS …`), where a result becomes several rows. order : by what those are sorted.
    """
    selected = ", ".join(f"{sql} AS {quoted_name(name)}" for name, sql in fields.items())
    # Only the times of a bucket go along with its results, and are taken out before: a whole bucket would be copied for each of them.
    times = ", ".join(f"'{name}', bucket ->> '{name}'" for name in ("start_time", "end_time", "starting_at", "ending_at"))
    sql = f"""
        SELECT {selected} FROM (
            SELECT page_number, bucket_number, bucket, unnest(items) AS result, generate_subscripts(items, 1) AS result_number
            FROM (
                SELECT page_number, bucket_number, json_object({times}) AS bucket, json_extract(bucket, '$.results[*]') AS items
                FROM (
                    SELECT page_number, unnest(items) AS bucket, generate_subscripts(items, 1) AS bucket_number
                    FROM (SELECT number AS page_number, json_extract(document, '$.data[*]') AS items FROM ({exact_documents()}))
                )
            )
        ) AS results{lines}
        ORDER BY page_number, bucket_number, result_number{order}
    """
    return document_rows(connection, file, sql, tuple(fields))


def focus_columns(**columns: str) -> dict[str, str]:
    """SQL by FOCUS column from snake case, so that the specification's names stay in one place: `billed_cost` is BilledCost."""
    return {_focus_name(name): sql for name, sql in columns.items()}


def moment_of_seconds(seconds: str) -> str:
    """SQL of a TIMESTAMP (UTC) from epoch seconds as text; null where they are none."""
    number = f"TRY_CAST({seconds} AS BIGINT)"
    return f"CASE WHEN {number} BETWEEN 0 AND 253402300799 THEN make_timestamp({number} * 1000000) END"


def moment_of_text(text: str) -> str:
    """SQL of a TIMESTAMP (UTC) from ISO 8601 text, with a zone or in UTC; null where it is none."""
    return f"make_timestamp(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ)))"


def readable(moment: str, given: str) -> str:
    """SQL of a moment as text, or of what was given in its place, so that a refusal shows it."""
    return f"coalesce(CAST({moment} AS VARCHAR), {given})"


def month_of(moment: str) -> tuple[str, str]:
    """SQL of the first moment of the calendar month (UTC) of a moment, and of the month after it."""
    first = f"date_trunc('month', {moment})"
    return first, f"({first} + INTERVAL 1 MONTH)"


def charge_id(kind: str, parts: Sequence[str]) -> str:
    """SQL of an identity: the kind and a hash of the parts in their order, with null told apart from empty text."""
    listed = ", ".join(f"CAST({part} AS VARCHAR)" for part in parts)
    return f"concat({quoted_text(kind + ':')}, md5(CAST(to_json([{listed}]) AS VARCHAR)))"


def occurrence(parts: Sequence[str], order: str) -> str:
    """SQL of the place of a row among those that agree in all parts, 1 for the first: two equal results of one bucket are both real."""
    return f"row_number() OVER (PARTITION BY {', '.join(parts)} ORDER BY {order})"


def refusal(column: str, problem: str, allowed: str) -> str:
    """SQL of the text by which a format refuses a row; `problem` and `allowed` are SQL, a `|` in them becomes a stroke."""
    return f"concat({quoted_text(column)}, '|', replace({problem}, '|', '/'), '|', replace({allowed}, '|', '/'))"


def _focus_name(name: str) -> str:
    found = focus.canonical_name(name.replace("_", ""))
    if found is None:
        raise KeyError(name)
    return found
