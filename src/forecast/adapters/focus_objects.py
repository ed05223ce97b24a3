"""Columns that hold an object (`Tags`, `SkuPriceDetails`): from any spelling to one, and the values under known keys.

The work per value is dear (2 µs) and a bill repeats its tags, so it is done once per distinct text in a small table that
is joined; only where nearly every row has tags of its own is it done row by row. Both ways use the same expressions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.adapters.focus_columns import GivenColumn, text_of
from forecast.spend import focus
from forecast.spend.dimension_rules import DimensionRule, FromKey

MOST_DISTINCT = 100_000
"""Distinct texts of a column beyond which the table would be dearer than the work that it saves."""


@dataclass(frozen=True)
class ObjectColumn:
    """An object column of a file. keys : those that are looked up. table : of its distinct texts, None where it is read row by row."""

    given: GivenColumn
    keys: tuple[str, ...]
    table: str | None

    @property
    def object_name(self) -> str:
        """Column of the `texts` layer with the one spelling of the object; null where it cannot be read."""
        return f"object_{self.given.reference}"

    def value_name(self, key: str) -> str:
        """Column of the `texts` layer with the value under a key."""
        return f"value_{self.given.reference}_{self.keys.index(key)}"


def keys_of(column: str, rules: Sequence[DimensionRule]) -> tuple[str, ...]:
    """Keys of an object column that a dimension rule asks for."""
    wanted = [source.key for rule in rules for source in rule.sources if isinstance(source, FromKey) and source.column == column]
    return tuple(dict.fromkeys(wanted))


def prepare(
    connection: duckdb.DuckDBPyConnection, raw: str, given: Sequence[GivenColumn], rules: Sequence[DimensionRule], name: str
) -> tuple[ObjectColumn, ...]:
    """Look at the distinct texts of each object column and make the tables, called `name` and more; one more pass over those columns only."""
    found = []
    for column in given:
        if column.focus_name is not None and focus.BY_NAME[column.focus_name].kind == "json":
            keys = keys_of(column.focus_name, rules)
            found.append(ObjectColumn(column, keys, _table(connection, raw, column, keys, name)))
    return tuple(found)


def texts_sql(source: str, objects: Sequence[ObjectColumn]) -> str:
    """SELECT over `source` that adds the columns `object_name` and `value_name` of every object column."""
    sql = f"SELECT * FROM {source}"
    for column in objects:
        if column.table is None:
            sql = _read_sql(f"SELECT *, {_object_text(column.given)} AS written FROM ({sql})", column, "* EXCLUDE (written)")
        else:
            same = f"read.source = {text_of(column.given, 'rows')}"
            sql = f"SELECT rows.*, read.* EXCLUDE (source) FROM ({sql}) AS rows LEFT JOIN {column.table} AS read ON {same}"
    return sql


def value_sql(object_text: str, key: str) -> str:
    """The value under a key of an object's text: the key as written first, else without regard to upper and lower case."""
    exact = f"json_extract_string({object_text}, {quoted_text(json_pointer(key))})"
    found = f"list_filter(json_keys({object_text}), lambda k: lower(k) = {quoted_text(key.lower())})[1]"
    marker = quoted_text('"' + key.lower() + '"')
    folded = f"json_extract_string({object_text}, {_pointer_sql(found)})"
    return f"coalesce({exact}, CASE WHEN contains(lower({object_text}), {marker}) THEN {folded} END)"


def json_pointer(key: str) -> str:
    """The JSON Pointer of one top-level key; unlike a JSON path it can name every key, `*` and the empty one included."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _pointer_sql(key: str) -> str:
    return f"'/' || replace(replace({key}, '~', '~0'), '/', '~1')"


def _table(connection: duckdb.DuckDBPyConnection, raw: str, column: GivenColumn, keys: tuple[str, ...], name: str) -> str | None:
    table = f"{name}_{column.reference}"
    distinct = f"SELECT DISTINCT {text_of(column)} AS source FROM ({raw}) WHERE {column.reference} IS NOT NULL LIMIT {MOST_DISTINCT + 1}"
    execute(connection, f"CREATE OR REPLACE TEMP TABLE {table}_sources AS {distinct}")
    if execute(connection, f"SELECT count(*) > {MOST_DISTINCT} FROM {table}_sources")[0][0]:
        return None
    source = GivenColumn(column.name, column.focus_name, "VARCHAR", "source")
    object_column = ObjectColumn(column, keys, table)
    written = f"SELECT source, {_object_text(source)} AS written FROM {table}_sources"
    execute(connection, f"CREATE OR REPLACE TEMP TABLE {table} AS {_read_sql(written, object_column, 'source')}")
    return table


def _read_sql(written: str, column: ObjectColumn, keep: str) -> str:
    """SELECT the columns of `keep`, the canonical object and the values under the known keys, from a `written` object text."""
    name = quoted_name(column.object_name)
    values = "".join(f", {value_sql(name, key)} AS {quoted_name(column.value_name(key))}" for key in column.keys)
    return f"SELECT *{values} FROM (SELECT {keep}, {_canonical('written')} AS {name} FROM ({written}))"


def _object_text(given: GivenColumn) -> str:
    """The value as text of a JSON object: JSON, a Python dictionary's text, pairs without braces; else null."""
    text = f"nullif(nullif(nullif(trim({text_of(given)}), ''), 'NULL'), 'null')"
    quotes = f"replace({text}, '''', '\"')"
    pythonic = f"regexp_replace(regexp_replace({quotes}, ':\\s*None\\b', ': null', 'g'), ':\\s*(True|False)\\b', ': \"\\1\"', 'g')"
    braced = f"concat('{{', {text}, '}}')"
    branches = " ".join(f"WHEN json_valid({form}) AND json_type({form}) = 'OBJECT' THEN {form}" for form in (text, pythonic, braced))
    return f"CASE WHEN {text} IS NULL THEN NULL {branches} END"


def _canonical(text: str) -> str:
    """One spelling per set of pairs: keys sorted, no spaces, keys with a null value left out.

    A Parquet STRUCT has every key in every row, most of them null: the same tags as a map without them.
    """
    keys = f"list_sort(list_distinct(json_keys({text})))"
    pair = f"CAST(to_json(k) AS VARCHAR) || ':' || nullif(CAST(json_extract({text}, {_pointer_sql('k')}) AS VARCHAR), 'null')"
    return f"CASE WHEN {text} IS NOT NULL THEN concat('{{', array_to_string(list_transform({keys}, lambda k: {pair}), ','), '}}') END"
