"""One column of a FOCUS file as SQL: its value as text, whether it says anything, and its value in the ledger's type.

Plain values (`12.30`, ISO 8601 times) are read by a cast. What a cast cannot read is looked at a second time for the other
forms that say one thing only: `$10,000.00`, `(12.30)`, `20260131`, and `4/1/25` where the file has decided whether the month
or the day comes first. A value that could say two things is not read; `doubt` gives the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from forecast.adapters.duck import quoted_text
from forecast.spend import focus

MONEY = "DECIMAL(38, 12)"
SQL_TYPES = {"string": "VARCHAR", "json": "VARCHAR", "decimal": MONEY, "timestamp": "TIMESTAMP"}

FIRST_MOMENT, END_OF_TIME = "1970-01-01", "2200-01-01"
"""A time outside is a misread date (5/1/25 reads as the year 5), never a charge."""

DateOrder = Literal["mdy", "dmy"]
"""Whether the month or the day comes first in dates such as 4/1/25; see `date_order`."""

SLASHED_DATE = r"\s*(\d{1,2})/(\d{1,2})/(?:\d{4}|\d{2})(?:[ T].*)?"
"""A date with the year last, with or without a time of day: the first two numbers are its groups."""

_FLOATS = ("DOUBLE", "FLOAT")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
_NULL_UNLESS_GIVEN = (*_FLOATS, *_WHOLE, "DECIMAL", "TIMESTAMP", "DATE")

# Commas are thousands only where a decimal point or a second comma says so: 1,234 alone may be a decimal comma.
_DIGITS = r"(?:[1-9]\d{0,2}(?:,\d{3})+\.\d+|[1-9]\d{0,2}(?:,\d{3}){2,}|\d+(?:\.\d*)?|\.\d+)"
_MARKED_AMOUNT = rf"\s*(?:[-+]?\s?\$?\s?{_DIGITS}|\$\s?[-+]?{_DIGITS}|\(\s?\$?\s?{_DIGITS}\s?\)|\$\s?\({_DIGITS}\))\s*"
_DOUBTFUL_AMOUNT = r"\s*\(?[-+]?\s?\$?\s?[-+]?\d{1,3},\d{3}\s?\)?\s*"

_YEAR = r"(?:19[7-9]\d|20\d\d|21\d\d)"
_WHOLE_DATE = rf"^(\d{{1,2}})/(\d{{1,2}})/({_YEAR})(.*)$"
_COMPACT_DATE = rf"\s*{_YEAR}\d{{4}}\s*"


@dataclass(frozen=True)
class GivenColumn:
    """A column of a file: its own name, its FOCUS name (None: the vendor's addition), its DuckDB type, its place in `raw`."""

    name: str
    focus_name: str | None
    sql_type: str
    reference: str


@dataclass(frozen=True)
class Doubt:
    """A value that could say two things. holds : SQL. problem, allowed : words that follow the value, as in a check."""

    holds: str
    problem: str
    allowed: str


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


def typed(column: focus.Column, given: GivenColumn | None, *, date_order: DateOrder | None = None) -> str:
    """The value in the ledger's type; null where the file has none or it cannot be read. Not for object columns.

    date_order : what the file decides about dates such as 4/1/25; without it only those are read that say the same either way.
    """
    if given is None:
        return f"CAST(NULL AS {SQL_TYPES[column.kind]})"
    if column.kind == "decimal":
        return _decimal(given)
    if column.kind == "timestamp":
        return _moment(given, date_order)
    text = f"nullif(nullif(nullif(trim({text_of(given)}), ''), 'NULL'), 'null')"
    if column.name == focus.BILLING_CURRENCY:
        return f"upper({text})"
    if column.name == focus.CHARGE_CATEGORY:
        cases = " ".join(f"WHEN {quoted_text(value.lower())} THEN {quoted_text(value)}" for value in column.allowed)
        return f"CASE lower({text}) {cases} ELSE {text} END"
    return text


def doubt(column: focus.Column, given: GivenColumn, *, date_order: DateOrder | None = None) -> Doubt | None:
    """When a value that `typed` could not read may mean two things; None where this kind of column has no such values."""
    if given.sql_type not in ("VARCHAR", "JSON"):
        return None
    if column.kind == "decimal":
        holds = f"regexp_full_match({text_of(given)}, {quoted_text(_DOUBTFUL_AMOUNT)})"
        return Doubt(holds, "may mean thousands or a decimal comma", "1234.00 or 1,234.00; a mapping file can say which mark is which")
    if column.kind == "timestamp" and date_order is None:
        holds = f"regexp_full_match({text_of(given)}, {quoted_text(SLASHED_DATE)})"
        problem = "may begin with the month or with the day, and the dates of the file do not decide which"
        return Doubt(holds, problem, "a time such as 2026-01-31T00:00:00Z; a mapping file can say which comes first")
    return None


def is_decimal(sql_type: str) -> bool:
    """Whether a DuckDB type holds exact numbers."""
    return sql_type.startswith("DECIMAL") or sql_type in _WHOLE


def amount_of_marked(text: str) -> str:
    """The exact number of an amount with a dollar sign, thousands commas or accounting brackets; null where it may mean two things."""
    sign = f"CASE WHEN contains({text}, '-') OR contains({text}, '(') THEN '-' ELSE '' END"
    digits = f"regexp_replace({text}, '[^0-9.]', '', 'g')"
    return f"CASE WHEN regexp_full_match({text}, {quoted_text(_MARKED_AMOUNT)}) THEN TRY_CAST(concat({sign}, {digits}) AS {MONEY}) END"


def slashed_moment(text: str, order: DateOrder | None) -> str:
    """The time of a date with slashes and the year last, UTC; without an order only where day and month are the same number."""
    if order is None:
        month, day = (f"TRY_CAST(regexp_extract({text}, {quoted_text(SLASHED_DATE)}, {group}) AS INTEGER)" for group in (1, 2))
        return f"CASE WHEN {month} = {day} THEN {slashed_moment(text, 'mdy')} END"
    # Turned into ISO 8601 and cast: a list of patterns for strptime takes ten times as long.
    turned = "'\\3-\\1-\\2\\4'" if order == "mdy" else "'\\3-\\2-\\1\\4'"
    whole_year = f"regexp_replace(trim({text}), '/(\\d{{2}})( |T|$)', '/20\\1\\2')"
    iso = f"regexp_replace({whole_year}, {quoted_text(_WHOLE_DATE)}, {turned})"
    half_day = f"try_strptime({iso}, ['%Y-%m-%d %I:%M:%S %p', '%Y-%m-%d %I:%M %p'])"
    return f"CASE WHEN regexp_matches({text}, '[AaPp][Mm]\\s*$') THEN {half_day} ELSE make_timestamp(epoch_us(TRY_CAST({iso} AS TIMESTAMPTZ))) END"


def _decimal(given: GivenColumn) -> str:
    if is_decimal(given.sql_type):
        return f"TRY_CAST({given.reference} AS {MONEY})"
    # Floats by way of their shortest text: a binary float times 10^12 is not the number that was meant. Text that fits
    # 18 digits is read 4 times faster as such; DuckDB reads 1_000 as a thousand, and a bill does not mean that.
    text = text_of(given)
    plain = f"TRY_CAST({text} AS DECIMAL(18, 12)), TRY_CAST({text} AS {MONEY})"
    if given.sql_type in _FLOATS:
        return f"coalesce({plain})"
    # Inside the one CASE the second look costs plain and empty values nothing that can be measured.
    return f"CASE WHEN {text} <> '' AND NOT contains({text}, '_') THEN coalesce({plain}, {amount_of_marked(text)}) END"


def _moment(given: GivenColumn, order: DateOrder | None) -> str:
    if given.sql_type.startswith(("TIMESTAMP", "DATE")):
        # By way of a zoned time, the only cast that every unit has with and without a zone; the session's zone is UTC.
        return _in_range(f"make_timestamp(epoch_us(CAST({given.reference} AS TIMESTAMPTZ)))")
    # Text without a zone is UTC; TIMESTAMP would read an offset and ignore it.
    text = text_of(given)
    zoned = f"TRY_CAST({text} AS TIMESTAMPTZ)"
    plain = f"CASE WHEN isfinite({zoned}) THEN make_timestamp(epoch_us({zoned})) END"
    # Years are held to the range by the patterns, so that what is read a second time is worked out once.
    compact = f"WHEN regexp_full_match({text}, {quoted_text(_COMPACT_DATE)}) THEN try_strptime(trim({text}), '%Y%m%d')"
    slashed = f"WHEN regexp_full_match({text}, {quoted_text(SLASHED_DATE)}) THEN {slashed_moment(text, order)}"
    return _in_range(plain, f"CASE {compact} {slashed} END")


def _in_range(value: str, otherwise: str = "NULL") -> str:
    # One CASE and no coalesce: only so is `value`, which stands here three times, worked out once a row.
    return f"CASE WHEN {value} >= TIMESTAMP '{FIRST_MOMENT}' AND {value} < TIMESTAMP '{END_OF_TIME}' THEN {value} ELSE {otherwise} END"
