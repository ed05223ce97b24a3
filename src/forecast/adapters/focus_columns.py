"""One column of a FOCUS file as SQL: its value as text, whether it says anything, and its value in the ledger's type."""

from __future__ import annotations

from dataclasses import dataclass

from forecast.adapters.duck import quoted_text
from forecast.spend import focus

MONEY = "DECIMAL(38, 12)"
SQL_TYPES = {"string": "VARCHAR", "json": "VARCHAR", "decimal": MONEY, "timestamp": "TIMESTAMP"}

FIRST_MOMENT, END_OF_TIME = "1970-01-01", "2200-01-01"
"""A time outside is a misread date (5/1/25 reads as the year 5), never a charge."""

_FLOATS = ("DOUBLE", "FLOAT")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
_NULL_UNLESS_GIVEN = (*_FLOATS, *_WHOLE, "DECIMAL", "TIMESTAMP", "DATE")


@dataclass(frozen=True)
class GivenColumn:
    """A column of a file: its own name, its FOCUS name (None: the vendor's addition), its DuckDB type, its place in `raw`."""

    name: str
    focus_name: str | None
    sql_type: str
    reference: str


def text_of(column: GivenColumn, table: str = "") -> str:
    """The column's value as text; objects and lists as JSON."""
    reference = f"{table}.{column.reference}" if table else column.reference
    if column.sql_type == "JSON":
        return f"({reference} ->> '$')"
    if column.sql_type.startswith(("STRUCT", "MAP")) or column.sql_type.endswith("[]"):
        return f"CAST(to_json({reference}) AS VARCHAR)"
    return reference if column.sql_type == "VARCHAR" else f"CAST({reference} AS VARCHAR)"


def is_empty(column: GivenColumn) -> str:
    """Whether a value says nothing: null, blank, or the word null."""
    if column.sql_type.startswith(_NULL_UNLESS_GIVEN):
        return f"({column.reference} IS NULL)"
    return f"(coalesce(trim({text_of(column)}), '') IN ('', 'NULL', 'null'))"


def typed(column: focus.Column, given: GivenColumn | None) -> str:
    """The value in the ledger's type; null where the file has none or it cannot be read. Not for object columns."""
    if given is None:
        return f"CAST(NULL AS {SQL_TYPES[column.kind]})"
    if column.kind == "decimal":
        return _decimal(given)
    if column.kind == "timestamp":
        return _moment(given)
    text = f"nullif(nullif(nullif(trim({text_of(given)}), ''), 'NULL'), 'null')"
    if column.name == focus.BILLING_CURRENCY:
        return f"upper({text})"
    if column.name == focus.CHARGE_CATEGORY:
        cases = " ".join(f"WHEN {quoted_text(value.lower())} THEN {quoted_text(value)}" for value in column.allowed)
        return f"CASE lower({text}) {cases} ELSE {text} END"
    return text


def _decimal(given: GivenColumn) -> str:
    if given.sql_type.startswith("DECIMAL") or given.sql_type in _WHOLE:
        return f"TRY_CAST({given.reference} AS {MONEY})"
    # Floats by way of their shortest text: a binary float times 10^12 is not the number that was meant. Text that fits
    # 18 digits is read 4 times faster as such; DuckDB reads 1_000 as a thousand, and a bill does not mean that.
    text = text_of(given)
    number = f"coalesce(TRY_CAST({text} AS DECIMAL(18, 12)), TRY_CAST({text} AS {MONEY}))"
    return number if given.sql_type in _FLOATS else f"CASE WHEN NOT contains({text}, '_') THEN {number} END"


def _moment(given: GivenColumn) -> str:
    if given.sql_type.startswith(("TIMESTAMP", "DATE")):
        # By way of a zoned time, the only cast that every unit has with and without a zone; the session's zone is UTC.
        value = f"make_timestamp(epoch_us(CAST({given.reference} AS TIMESTAMPTZ)))"
    else:
        # Text without a zone is UTC; TIMESTAMP would read an offset and ignore it.
        zoned = f"TRY_CAST({text_of(given)} AS TIMESTAMPTZ)"
        value = f"CASE WHEN isfinite({zoned}) THEN make_timestamp(epoch_us({zoned})) END"
    return f"CASE WHEN {value} >= TIMESTAMP '{FIRST_MOMENT}' AND {value} < TIMESTAMP '{END_OF_TIME}' THEN {value} END"
