"""Pieces of SQL that the cloud bills share: a vendor's column under any of its spellings as text, as exact amount, as time, as key and value pairs.

Nothing here knows a vendor. Text that cannot be read as a time stays as it is, so that the ledger can name the value in quarantine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import duckdb

from forecast.adapters.bill_files import Rows
from forecast.adapters.date_order import find_date_order
from forecast.adapters.duck import quoted_text
from forecast.adapters.focus_columns import SLASHED_DATE, DateOrder, GivenColumn, slashed_moment, text_of

MONEY = "DECIMAL(38, 12)"
NO_TEXT = "CAST(NULL AS VARCHAR)"
NO_PAIRS = "CAST(NULL AS MAP(VARCHAR, VARCHAR))"

_NESTED = ("STRUCT", "MAP")


@dataclass(frozen=True)
class Given:
    """The columns of a file by the vendor's names. Of several spellings the first that has a value in the row counts."""

    rows: Rows

    def has(self, *names: str) -> bool:
        """Whether the file has a column under any of the names."""
        return any(self.rows.find(name) is not None for name in names)

    def text(self, *names: str) -> str:
        """Trimmed text; null where the file has no such column or the value is empty. Nested values as JSON."""
        found = [f"nullif(trim({self._as_text(reference)}), '')" for name in names if (reference := self.rows.find(name)) is not None]
        return _first(found, NO_TEXT)

    def amount(self, *names: str) -> str:
        """An exact number; null where there is none or it cannot be read."""
        return amount(self.text(*names))

    def moment(self, *names: str, slashed: DateOrder | None = None) -> str:
        """A TIMESTAMP in UTC; null where there is none or it cannot be read. slashed : the vendor's order in dates with slashes."""
        return moment(self.text(*names), slashed)

    def json(self, name: str) -> str:
        """A nested value as JSON, whether the file has it as JSON, JSON text, struct, map or list; null where absent or unreadable."""
        reference = self.rows.find(name)
        if reference is None:
            return "CAST(NULL AS JSON)"
        sql_type = self._type(reference)
        if sql_type == "JSON":
            return reference
        return f"to_json({reference})" if _is_nested(sql_type) else f"TRY_CAST(nullif(trim(CAST({reference} AS VARCHAR)), '') AS JSON)"

    def pairs(self, name: str) -> str:
        """A column of keys and values (a map, a struct or JSON text of an object) as MAP(VARCHAR, VARCHAR)."""
        reference = self.rows.find(name)
        if reference is None:
            return NO_PAIRS
        if self._type(reference).startswith("MAP"):
            return f"CAST({reference} AS MAP(VARCHAR, VARCHAR))"
        return f"TRY_CAST({self.json(name)} AS MAP(VARCHAR, VARCHAR))"

    def _type(self, reference: str) -> str:
        return self.rows.types[int(reference.removeprefix("c"))]

    def _as_text(self, reference: str) -> str:
        sql_type = self._type(reference)
        if sql_type == "JSON":
            return f"({reference} ->> '$')"
        return f"CAST(to_json({reference}) AS VARCHAR)" if _is_nested(sql_type) else f"CAST({reference} AS VARCHAR)"


def amount(text: str) -> str:
    """Text as an exact number. DuckDB reads 1_000 as a thousand; a bill does not mean that."""
    return f"CASE WHEN NOT contains({text}, '_') THEN TRY_CAST({text} AS {MONEY}) END"


def computed(value: str, *parts: str) -> str:
    """A computed amount as text, or the first of the texts it comes from that is there and cannot be read, for quarantine to name."""
    unread = " ".join(f"WHEN {part} IS NOT NULL AND {amount(part)} IS NULL THEN {part}" for part in parts)
    return f"CASE {unread} ELSE CAST({value} AS VARCHAR) END"


def moment(text: str, slashed: DateOrder | None = None) -> str:
    """Text as a TIMESTAMP in UTC; without a zone it is UTC.

    slashed : whether month or day comes first in dates with slashes, where the vendor's documentation says so. Elsewhere such a date is
    read only where it says one thing; what a file's own dates decide, `dated_rows` has written as ISO 8601 before.
    """
    slashed_date = f"CASE WHEN regexp_full_match({text}, {quoted_text(SLASHED_DATE)}) THEN {slashed_moment(text, slashed)} END"
    zoned = f"TRY_CAST({text} AS TIMESTAMPTZ)"
    iso = f"CASE WHEN isfinite({zoned}) THEN make_timestamp(epoch_us({zoned})) END"
    return f"CASE WHEN contains({text}, '/') THEN {slashed_date} WHEN length({text}) = 8 THEN try_strptime({text}, '%Y%m%d') ELSE {iso} END"


def dated_rows(connection: duckdb.DuckDBPyConnection, rows: Rows, dates: Mapping[str, str]) -> Rows:
    """Rows whose dates with slashes (a bill saved again by a spreadsheet) are ISO 8601, where the file itself decides which number is the month.

    dates : the vendor's name of a column → the FOCUS column it becomes, which says what it may hold (`date_order`).
    """
    found = {place: dates[name] for place, name in enumerate(rows.names) if name in dates}
    given = [GivenColumn(rows.names[place], column, rows.types[place], f"c{place}") for place, column in found.items()]
    order = find_date_order(connection, rows.sql, given)
    if order is None:
        return rows
    texts = [column for column in given if column.sql_type == "VARCHAR"]
    turned = ", ".join(f"coalesce({moment_text(moment(text_of(column), order))}, {column.reference}) AS {column.reference}" for column in texts)
    return replace(rows, sql=f"SELECT * REPLACE ({turned}) FROM ({rows.sql})")


def moment_text(value: str, unread: str = NO_TEXT) -> str:
    """A TIMESTAMP as ISO 8601 text; the text `unread` where it is null."""
    return f"coalesce(strftime({value}, '%Y-%m-%dT%H:%M:%SZ'), {unread})"


def month_start(value: str) -> str:
    """The first moment of a TIMESTAMP's month."""
    return f"CAST(date_trunc('month', {value}) AS TIMESTAMP)"


def object_text(pairs: str, keep: str = "") -> str:
    """JSON text of an object from a MAP(VARCHAR, VARCHAR); null where it has no value that says something.

    keep : a regular expression that is taken off the beginning of each key.
    """
    key = f"regexp_replace(entry.key, {quoted_text(keep)}, '')" if keep else "entry.key"
    entries = f"list_filter(map_entries({pairs}), lambda entry: nullif(trim(entry.value), '') IS NOT NULL)"
    written = f"list_transform({entries}, lambda entry: concat(CAST(to_json({key}) AS VARCHAR), ':', CAST(to_json(entry.value) AS VARCHAR)))"
    return f"CASE WHEN len({entries}) > 0 THEN concat('{{', array_to_string({written}, ','), '}}') END"


def cases(value: str, meanings: Mapping[str, str | None], otherwise: str = "NULL") -> str:
    """CASE over texts in lower case: what each written value means."""
    parts = " ".join(f"WHEN {quoted_text(written)} THEN {quoted_text(meant) if meant is not None else 'NULL'}" for written, meant in meanings.items())
    return f"CASE lower({value}) {parts} ELSE {otherwise} END"


def one_of(value: str, *allowed: str) -> str:
    """Whether a text is one of `allowed`, whatever its case; false where it is null."""
    return f"(coalesce(lower({value}), '') IN ({', '.join(quoted_text(item.lower()) for item in allowed)}))"


def extracted(text: str, pattern: str) -> str:
    """The first group of a regular expression in a text; null where it does not match."""
    return f"nullif(trim(regexp_extract({text}, {quoted_text(pattern)}, 1)), '')"


def product(price: str, quantity: str) -> str:
    """Price times quantity in double precision, for columns that compare (ListCost, ContractedCost) and are never summed as money."""
    return f"TRY_CAST(CAST({price} AS DOUBLE) * CAST({quantity} AS DOUBLE) AS {MONEY})"


def _first(found: list[str], none: str) -> str:
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})" if found else none


def _is_nested(sql_type: str) -> bool:
    return sql_type.startswith(_NESTED) or sql_type.endswith("[]")
