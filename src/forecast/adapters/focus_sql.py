"""FOCUS rows of any column types to the ledger's types, as one SQL statement made from the specification.

Layers, each a common table expression:

    raw      row_number and the file's columns as c0, c1, …          (a reader of `focus_files`)
    texts    + columns that hold objects, in one spelling, and the values under known keys (`focus_objects`)
    typed    + FOCUS columns in the ledger's types; null where absent, empty or unreadable
    checked  + fault, the number of the first check that the row fails, and `extra`
    result   + dimensions, content (a hash of everything given, whatever the file's format and column order)

`extra` is JSON text of what the specification does not know, and of values that cannot be read as their column's type
where a row can be counted without them. Nothing is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from forecast.adapters.duck import quoted_name, quoted_text
from forecast.adapters.focus_columns import GivenColumn, is_empty, text_of, typed
from forecast.adapters.focus_objects import ObjectColumn, texts_sql
from forecast.spend import focus
from forecast.spend.dimension_rules import RULES, DimensionRule, FromColumn, FromKey
from forecast.spend.dimensions import UNKNOWN

LARGEST_COST = 10**15
"""A single charge beyond this is taken for a mistake; it also keeps exact sums far from the end of their range."""


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
    forms = {"decimal": "a decimal number below 10^15", "timestamp": "an ISO 8601 time such as 2026-01-31T00:00:00Z", "string": "a value"}
    problems = {"decimal": "is not a finite number", "timestamp": "is not an ISO 8601 time"}
    found: list[Check] = []
    for name in focus.REQUIRED:
        kind, quoted = focus.BY_NAME[name].kind, quoted_name(name)
        found.append(Check(name, f"{quoted} IS NULL AND {is_empty(by_focus_name[name])}", "is missing", forms[kind]))
        if kind in problems:
            found.append(Check(name, f"{quoted} IS NULL", problems[kind], forms[kind], about_type=True))
        if kind == "decimal":
            found.append(Check(name, f"abs({quoted}) >= {LARGEST_COST}", "is too large", forms[kind]))
    categories = focus.BY_NAME[focus.CHARGE_CATEGORY].allowed
    listed = ", ".join(quoted_text(value) for value in categories)
    start, end, currency = quoted_name(focus.CHARGE_START), quoted_name(focus.CHARGE_END), quoted_name(focus.BILLING_CURRENCY)
    found += [
        Check(focus.CHARGE_CATEGORY, f"{quoted_name(focus.CHARGE_CATEGORY)} NOT IN ({listed})", "is not a charge category", ", ".join(categories)),
        Check(focus.BILLING_CURRENCY, f"NOT regexp_full_match({currency}, '[A-Z]{{3}}')", "is not a currency code", "three letters such as USD"),
        Check(focus.CHARGE_END, f"{end} <= {start}", f"is not after {focus.CHARGE_START}", "a period that ends after it starts"),
    ]
    by_name = {column.name: column for column in given}
    found += [Check(name, is_empty(by_name[name]), "is missing", "a value in every column of the key") for name in key]
    return tuple(found)


def normalising_sql(
    raw: str,
    given: Sequence[GivenColumn],
    objects: Sequence[ObjectColumn],
    row_checks: Sequence[Check],
    key: Sequence[str],
    file_number: int,
) -> str:
    """SELECT of a file's rows as the staging table holds them, from `raw` (SQL with row_number and all references)."""
    known = {column.focus_name: column for column in given if column.focus_name}
    by_object = {str(column.given.focus_name): column for column in objects}
    others = [column for column in given if not column.focus_name]
    objects_by_name = {name: quoted_name(column.object_name) for name, column in by_object.items()}
    values = {column.name: objects_by_name.get(column.name) or typed(column, known.get(column.name)) for column in focus.COLUMNS}
    ledger_columns = ", ".join(f"{value} AS {quoted_name(name)}" for name, value in values.items())
    fault = " ".join(f"WHEN {check.fails} THEN {number}" for number, check in enumerate(row_checks))
    optional = [column for name, column in known.items() if name not in focus.REQUIRED and focus.BY_NAME[name].kind != "string"]
    unread = [(column, f"{quoted_name(str(column.focus_name))} IS NULL AND NOT {is_empty(column)}") for column in optional]
    extra = [(column.name, f"NOT {is_empty(column)}", text_of(column)) for column in others]
    extra += [(column.name, condition, text_of(column)) for column, condition in unread]
    unread_names = ", ".join(f"CASE WHEN {condition} THEN {quoted_text(str(column.focus_name))} END" for column, condition in unread)
    whole_row = ", ".join(f"{quoted_text(column.name)}, {text_of(column)}" for column in given)
    return f"""
        WITH raw AS ({raw}),
        texts AS ({texts_sql("raw", objects)}),
        typed AS (SELECT *, {ledger_columns} FROM texts),
        checked AS (
            SELECT *, CASE {fault} END AS fault, {_json_of(extra)} AS extra,
                   {f"nullif(concat_ws(',', {unread_names}), '')" if unread_names else "CAST(NULL AS VARCHAR)"} AS unread
            FROM typed
        )
        SELECT {file_number}::INTEGER AS file, row_number, fault::INTEGER AS fault, unread,
               CASE WHEN fault IS NOT NULL THEN CAST(json_object({whole_row}) AS VARCHAR) END AS whole_row,
               {_key_identity(given, key)} AS key_identity,
               md5(concat_ws(chr(31), {_content_parts()})) AS content,
               strftime({quoted_name(focus.BILLING_START)}, '%Y-%m') AS billing_month,
               {", ".join(f"{_dimension(rule, by_object, others)} AS {rule.dimension}" for rule in RULES)},
               {", ".join(quoted_name(column.name) for column in focus.COLUMNS)},
               extra
        FROM checked
    """


def _dimension(rule: DimensionRule, objects: dict[str, ObjectColumn], others: Sequence[GivenColumn]) -> str:
    """A dimension's value by its rule, `UNKNOWN` where no source has one."""
    added = {column.name.lower(): column for column in others}
    sources: list[str] = []
    for source in rule.sources:
        match source:
            case FromKey(column, key) if column in objects:
                sources.append(quoted_name(objects[column].value_name(key)))
            case FromColumn(column) if column in focus.BY_NAME:
                sources.append(quoted_name(column))
            case FromColumn(column) if column.lower() in added:
                sources.append(text_of(added[column.lower()]))
    if not sources:
        return quoted_text(UNKNOWN)
    value = f"coalesce({', '.join(f'''nullif(trim({source}), '')''' for source in sources)})"
    if rule.any_case:
        value = f"lower({value})"
    if rule.names:
        cases = " ".join(f"WHEN {quoted_text(written)} THEN {quoted_text(meant)}" for written, meant in rule.names.items())
        value = f"CASE {value} {cases} ELSE {value} END"
    return f"coalesce({value}, {quoted_text(UNKNOWN)})"


def _key_identity(given: Sequence[GivenColumn], key: Sequence[str]) -> str:
    """Hash of the values of the declared key, whatever the order in which it was declared; null without one."""
    if not key:
        return "CAST(NULL AS VARCHAR)"
    by_name = {column.name: column for column in given}
    parts = [
        f"{quoted_text((by_name[name].focus_name or name).lower() + '=')}, trim({text_of(by_name[name])})" for name in sorted(key, key=str.lower)
    ]
    return f"md5(concat('key', chr(31), {', chr(31), '.join(parts)}))"


def _content_parts() -> str:
    """Everything that a row says: name and value of each column that has one, in the specification's order."""
    parts = [f"{quoted_text(column.name + '=')} || CAST({quoted_name(column.name)} AS VARCHAR)" for column in focus.COLUMNS]
    return ", ".join([*parts, "'extra=' || extra"])


def _json_of(parts: Sequence[tuple[str, str, str]]) -> str:
    """JSON object text of (name, condition, value text) triples whose condition holds, names sorted; null where none."""
    if not parts:
        return "CAST(NULL AS VARCHAR)"
    names = {name: quoted_text(json.dumps(name, ensure_ascii=False) + ":") for name, _, _ in parts}
    pairs = [f"CASE WHEN {condition} THEN {names[name]} || CAST(to_json({value}) AS VARCHAR) END" for name, condition, value in sorted(parts)]
    return f"nullif(concat('{{', concat_ws(',', {', '.join(pairs)}), '}}'), '{{}}')"
