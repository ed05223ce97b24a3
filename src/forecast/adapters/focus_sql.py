"""FOCUS rows of any column types to the ledger's types, as one SQL statement made from the specification.

Layers, each a common table expression, so that nothing is computed twice:

    raw      row_number and the file's columns as c0, c1, …          (a reader of `focus_files`)
    texts    columns of JSON kind as text of one JSON object
    typed    FOCUS columns in the ledger's types; null where absent, empty or unreadable
    checked  + fault, the number of the first check that the row fails, and what the vendor added as JSON text
    result   + dimensions, content (a hash of everything given, whatever the file's format and column order)

A value of a column that a row can be counted without, and that cannot be read as its type, is kept as text in `extra`
beside the columns that the specification does not know. Nothing is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from forecast.adapters.duck import quoted_name, quoted_text
from forecast.spend import focus
from forecast.spend.dimension_rules import RULES, DimensionRule, FromColumn, FromKey
from forecast.spend.dimensions import UNKNOWN

MONEY = "DECIMAL(38, 12)"
LARGEST_COST = 10**15
"""A single charge beyond this is taken for a mistake; it also keeps exact sums far from the end of their range."""
FIRST_MOMENT, END_OF_TIME = "1970-01-01", "2200-01-01"

SQL_TYPES = {"string": "VARCHAR", "json": "VARCHAR", "decimal": MONEY, "timestamp": "TIMESTAMP"}

_FLOATS = ("DOUBLE", "FLOAT")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
_NESTED = ("STRUCT", "MAP")


@dataclass(frozen=True)
class GivenColumn:
    """A column of a file: its own name, its FOCUS name (None: the vendor's addition), its DuckDB type, its place in `raw`."""

    name: str
    focus_name: str | None
    sql_type: str
    reference: str


@dataclass(frozen=True)
class Check:
    """Something that must hold for a row to be counted. `fails` is SQL over `typed`; `problem` and `allowed` are words."""

    column: str
    fails: str
    problem: str
    allowed: str
    about_type: bool = False


def checks(given: Sequence[GivenColumn], key: Sequence[str]) -> tuple[Check, ...]:
    """The checks of one file in the order in which they are reported; `key` are names as the file writes them."""
    by_focus_name = {column.focus_name: column for column in given if column.focus_name}
    kinds = {name: focus.BY_NAME[name].kind for name in focus.REQUIRED}
    forms = {"decimal": "a decimal number below 10^15", "timestamp": "an ISO 8601 time such as 2026-01-31T00:00:00Z", "string": "a value"}
    found: list[Check] = []
    for name in focus.REQUIRED:
        found.append(Check(name, f"{quoted_name(name)} IS NULL AND {_empty(by_focus_name[name])}", "is missing", forms[kinds[name]]))
        if kinds[name] in ("decimal", "timestamp"):
            what = "is not a finite number" if kinds[name] == "decimal" else "is not a time"
            found.append(Check(name, f"{quoted_name(name)} IS NULL", what, forms[kinds[name]], about_type=True))
        if kinds[name] == "decimal":
            found.append(Check(name, f"abs({quoted_name(name)}) >= {LARGEST_COST}", "is too large", forms[kinds[name]]))
    categories = focus.BY_NAME[focus.CHARGE_CATEGORY].allowed
    listed = ", ".join(quoted_text(value) for value in categories)
    start, end, currency = quoted_name(focus.CHARGE_START), quoted_name(focus.CHARGE_END), quoted_name(focus.BILLING_CURRENCY)
    found += [
        Check(focus.CHARGE_CATEGORY, f"{quoted_name(focus.CHARGE_CATEGORY)} NOT IN ({listed})", "is not a charge category", ", ".join(categories)),
        Check(focus.BILLING_CURRENCY, f"NOT regexp_full_match({currency}, '[A-Z]{{3}}')", "is not a currency code", "three letters such as USD"),
        Check(focus.CHARGE_END, f"{end} <= {start}", "is not after " + focus.CHARGE_START, "a period that ends after it starts"),
    ]
    names = {column.name: column for column in given}
    found += [Check(name, _empty(names[name]), "is missing", "a value in every column of the key") for name in key]
    return tuple(found)


def normalising_sql(raw: str, given: Sequence[GivenColumn], row_checks: Sequence[Check], key: Sequence[str], file_number: int) -> str:
    """SELECT over `raw` (SQL text with row_number and the references of `given`) with the columns of `staged_columns`."""
    known = {column.focus_name: column for column in given if column.focus_name}
    others = [column for column in given if not column.focus_name]
    json_columns = [column for column in known.values() if focus.BY_NAME[str(column.focus_name)].kind == "json"]
    texts = ", ".join(f"{_object_text(column)} AS {quoted_name('object_' + column.reference)}" for column in json_columns)
    typed = ", ".join(f"{_typed(c, known.get(c.name))} AS {quoted_name(c.name)}" for c in focus.COLUMNS)
    fault = " ".join(f"WHEN {check.fails} THEN {number}" for number, check in enumerate(row_checks))
    unreadable = [column for name, column in known.items() if name not in focus.REQUIRED and _may_be_unreadable(column)]
    unread = {column.reference: f"{quoted_name(str(column.focus_name))} IS NULL AND NOT {_empty(column)}" for column in unreadable}
    extra_parts = [(column.name, f"NOT {_empty(column)}", _text(column)) for column in others]
    extra_parts += [(column.name, unread[column.reference], _text(column)) for column in unreadable]
    unread_names = [f"CASE WHEN {unread[column.reference]} THEN {quoted_text(str(column.focus_name))} END" for column in unreadable]
    whole_row = ", ".join(f"{quoted_text(column.name)}, {_text(column)}" for column in given)
    key_by_name = {column.name: column for column in given}
    key_text = ", chr(31), ".join(["'key'", *(f"{quoted_text(name)}, '=', trim({_text(key_by_name[name])})" for name in sorted(key))])
    return f"""
        WITH raw AS ({raw}),
        texts AS (SELECT *{", " + texts if texts else ""} FROM raw),
        typed AS (SELECT *, {typed} FROM texts),
        checked AS (
            SELECT *, CASE {fault} END AS fault, {_json_of(extra_parts)} AS extra,
                   {f"nullif(concat_ws(',', {', '.join(unread_names)}), '')" if unread_names else "CAST(NULL AS VARCHAR)"} AS unread
            FROM typed
        )
        SELECT {file_number}::INTEGER AS file, row_number, fault::INTEGER AS fault, unread,
               CASE WHEN fault IS NOT NULL THEN CAST(json_object({whole_row}) AS VARCHAR) END AS whole_row,
               {f"md5(concat({key_text}))" if key else "CAST(NULL AS VARCHAR)"} AS key_identity,
               md5(concat_ws(chr(31), {_content_parts()})) AS content,
               strftime({quoted_name(focus.BILLING_START)}, '%Y-%m') AS billing_month,
               {", ".join(f"{dimension_sql(rule, others)} AS {rule.dimension}" for rule in RULES)},
               {", ".join(quoted_name(column.name) for column in focus.COLUMNS)},
               extra
        FROM checked
    """


def tag_sql(column: str, key: str) -> str:
    """The value under a key of a JSON text column; the key as written first, else without regard to upper and lower case."""
    name = quoted_name(column)
    exact = f"json_extract_string({name}, {quoted_text(_json_path(key))})"
    folded = quoted_text(key.lower())
    place = f"'$.\"' || list_filter(json_keys({name}), lambda k: lower(k) = {folded})[1] || '\"'"
    marker = quoted_text('"' + key.lower() + '"')
    return f"coalesce({exact}, CASE WHEN contains(lower({name}), {marker}) THEN json_extract_string({name}, {place}) END)"


def dimension_sql(rule: DimensionRule, others: Sequence[GivenColumn]) -> str:
    """A dimension's value by its rule, `UNKNOWN` where no source has one."""
    added = {column.name.lower(): column for column in others}
    sources: list[str] = []
    for source in rule.sources:
        match source:
            case FromKey():
                sources.append(tag_sql(source.column, source.key))
            case FromColumn(column) if column in focus.BY_NAME:
                sources.append(quoted_name(column))
            case FromColumn(column) if column.lower() in added:
                sources.append(_text(added[column.lower()]))
            case _:
                continue
    value = f"coalesce({', '.join(f'''nullif(trim({source}), '')''' for source in sources)}, NULL)"
    if rule.lower_case:
        cases = " ".join(f"WHEN {quoted_text(written)} THEN {quoted_text(meant)}" for written, meant in rule.names.items())
        value = f"CASE lower({value}) {cases} ELSE lower({value}) END"
    return f"coalesce({value}, {quoted_text(UNKNOWN)})"


def _json_path(key: str) -> str:
    """A JSON path to one top-level key, with its quotes and backslashes escaped."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'$."{escaped}"'


def _text(column: GivenColumn) -> str:
    """The column's value as text."""
    if column.sql_type == "JSON":
        return f"({column.reference} ->> '$')"
    if column.sql_type.startswith(_NESTED) or column.sql_type.endswith("[]"):
        return f"CAST(to_json({column.reference}) AS VARCHAR)"
    return column.reference if column.sql_type == "VARCHAR" else f"CAST({column.reference} AS VARCHAR)"


def _empty(column: GivenColumn) -> str:
    """Whether a value says nothing: null, blank, or the word null."""
    if column.sql_type in _FLOATS or column.sql_type in _WHOLE or column.sql_type.startswith(("DECIMAL", "TIMESTAMP", "DATE")):
        return f"({column.reference} IS NULL)"
    return f"(coalesce(trim({_text(column)}), '') IN ('', 'NULL', 'null'))"


def _typed(column: focus.Column, given: GivenColumn | None) -> str:
    if given is None:
        return f"CAST(NULL AS {SQL_TYPES[column.kind]})"
    if column.kind == "decimal":
        return _decimal(given)
    if column.kind == "timestamp":
        return _moment(given)
    if column.kind == "json":
        return _canonical(quoted_name("object_" + given.reference))
    text = f"nullif(nullif(nullif(trim({_text(given)}), ''), 'NULL'), 'null')"
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
    text = _text(given)
    number = f"coalesce(TRY_CAST({text} AS DECIMAL(18, 12)), TRY_CAST({text} AS {MONEY}))"
    return number if given.sql_type in _FLOATS else f"CASE WHEN NOT contains({text}, '_') THEN {number} END"


def _moment(given: GivenColumn) -> str:
    if given.sql_type == "TIMESTAMP WITH TIME ZONE":
        value = f"make_timestamp(epoch_us({given.reference}))"
    elif given.sql_type.startswith(("TIMESTAMP", "DATE")):
        value = f"CAST({given.reference} AS TIMESTAMP)"
    else:
        zoned = f"TRY_CAST({_text(given)} AS TIMESTAMPTZ)"
        value = f"CASE WHEN isfinite({zoned}) THEN make_timestamp(epoch_us({zoned})) END"
    # A year outside this range is a misread date (5/1/25 reads as the year 5), never a charge.
    return f"CASE WHEN {value} >= TIMESTAMP '{FIRST_MOMENT}' AND {value} < TIMESTAMP '{END_OF_TIME}' THEN {value} END"


def _object_text(given: GivenColumn) -> str:
    """The value as text of a JSON object: JSON, a Python dictionary's text, pairs without braces; else null."""
    text = f"nullif(nullif(nullif(trim({_text(given)}), ''), 'NULL'), 'null')"
    quotes = f"replace({text}, '''', '\"')"
    pythonic = f"regexp_replace(regexp_replace({quotes}, ':\\s*None\\b', ': null', 'g'), ':\\s*(True|False)\\b', ': \"\\1\"', 'g')"
    braced = f"concat('{{', {text}, '}}')"
    branches = " ".join(f"WHEN json_valid({form}) AND json_type({form}) = 'OBJECT' THEN {form}" for form in (text, pythonic, braced))
    return f"CASE WHEN {text} IS NULL THEN NULL {branches} END"


def _canonical(text: str) -> str:
    """One spelling per set of pairs: keys sorted, no spaces, keys with a null value left out (a STRUCT has them all)."""
    keys = f"list_sort(list_distinct(json_keys({text})))"
    place = "'$.' || CAST(to_json(k) AS VARCHAR)"
    pairs = f"list_transform({keys}, lambda k: CAST(to_json(k) AS VARCHAR) || ':' || nullif(CAST(json_extract({text}, {place}) AS VARCHAR), 'null'))"
    return f"CASE WHEN {text} IS NOT NULL THEN concat('{{', array_to_string({pairs}, ','), '}}') END"


def _may_be_unreadable(column: GivenColumn) -> bool:
    return focus.BY_NAME[str(column.focus_name)].kind != "string"


def _json_of(parts: Sequence[tuple[str, str, str]]) -> str:
    """JSON object text of (name, condition, value text) triples whose condition holds, names sorted; null where none."""
    if not parts:
        return "CAST(NULL AS VARCHAR)"
    pairs = [f"CASE WHEN {condition} THEN {quoted_text(_json_name(name))} || CAST(to_json({value}) AS VARCHAR) END" for name, condition, value in sorted(parts)]
    return f"nullif(concat('{{', concat_ws(',', {', '.join(pairs)}), '}}'), '{{}}')"


def _json_name(name: str) -> str:
    return json.dumps(name, ensure_ascii=False) + ":"


def _content_parts() -> str:
    """Everything that a row says: name and value of each column that has one, in the specification's order."""
    parts = [f"{quoted_text(column.name + '=')} || CAST({quoted_name(column.name)} AS VARCHAR)" for column in focus.COLUMNS]
    return ", ".join([*parts, "'extra=' || extra"])
