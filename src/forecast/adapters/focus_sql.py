"""Rows in FOCUS columns of any types to the ledger's columns, as one SQL statement made from the specification.

Layers, each a common table expression:

    given    row_number, what a format gives as m0, m1, …, and the file's own columns c0, c1, …
    texts    + columns that hold objects, in one spelling, and the values under known keys (`focus_objects`)
    typed    + FOCUS columns in the ledger's types; null where absent, empty or unreadable
    checked  + fault, the number of the first check that the row fails, and `extra`

`extra` is JSON text of what the specification does not know, and of values that cannot be read as their column's type
where a row can be counted without them. Nothing is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forecast.adapters.bill_files import Rows
from forecast.adapters.duck import quoted_name, quoted_text
from forecast.adapters.focus_columns import DateOrder, GivenColumn, doubt, is_decimal, is_empty, text_of, typed
from forecast.adapters.focus_objects import ObjectColumn, texts_sql
from forecast.adapters.formats.base import REFUSED
from forecast.adapters.ledger_table import MOMENTS, STORED
from forecast.spend import charges, focus
from forecast.spend.dimension_rules import DimensionRule, FromColumn, FromKey
from forecast.spend.dimensions import UNKNOWN

LARGEST_COST = 10**15
"""A single charge beyond this is taken for a mistake; it also keeps exact sums far from the end of their range."""


@dataclass(frozen=True)
class Check:
    """Something that must hold for a row to be counted. `fails` is SQL over `typed`; `problem` and `allowed` are words.

    A check of `REFUSED` has its words in the row itself.
    """

    column: str
    fails: str
    problem: str
    allowed: str
    about_type: bool = False


@dataclass(frozen=True, eq=False)
class Mapped:
    """Rows of a file with what its format makes of them. given : SQL of the layer of that name; columns : the m0, m1, … of it."""

    given: str
    columns: tuple[GivenColumn, ...]
    rows: Rows
    objects: tuple[ObjectColumn, ...]
    rules: tuple[DimensionRule, ...]
    date_order: DateOrder | None = None

    @property
    def focus_names(self) -> tuple[str, ...]:
        return tuple(column.focus_name for column in self.columns if column.focus_name)

    def by_name(self) -> dict[str, GivenColumn]:
        """Columns by FOCUS name, or by their own where they have none."""
        return {column.focus_name or column.name: column for column in self.columns}


def checks(columns: Sequence[GivenColumn], key: Sequence[str], date_order: DateOrder | None = None) -> tuple[Check, ...]:
    """The checks of one file in the order in which they are reported; `key` are names of columns as they are given."""
    by_focus_name = {column.focus_name: column for column in columns if column.focus_name}
    by_name = {column.name: column for column in columns}
    forms = {"decimal": "a decimal number below 10^15", "timestamp": "an ISO 8601 time such as 2026-01-31T00:00:00Z", "string": "a value"}
    problems = {"decimal": "is not a finite number", "timestamp": "is not an ISO 8601 time"}
    found: list[Check] = []
    if REFUSED in by_name:
        found.append(Check(REFUSED, f"NOT {is_empty(by_name[REFUSED])}", "", ""))
    for name in focus.REQUIRED:
        kind, quoted = focus.BY_NAME[name].kind, quoted_name(name)
        found.append(Check(name, f"{quoted} IS NULL AND {is_empty(by_focus_name[name])}", "is missing", forms[kind]))
        if kind in problems:
            if unsure := doubt(focus.BY_NAME[name], by_focus_name[name], date_order=date_order):
                found.append(Check(name, f"{quoted} IS NULL AND {unsure.holds}", unsure.problem, unsure.allowed, about_type=True))
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
    found += [Check(name, is_empty(by_name[name]), "is missing", "a value in every column of the key") for name in key]
    return tuple(found)


def checked_sql(mapped: Mapped, row_checks: Sequence[Check]) -> str:
    """WITH … of the layers up to `checked`, to be followed by a SELECT from it."""
    known = {column.focus_name: column for column in mapped.columns if column.focus_name}
    by_object = {str(column.given.focus_name): column for column in mapped.objects}
    objects_by_name = {name: quoted_name(column.object_name) for name, column in by_object.items()}
    values = {
        column.name: objects_by_name.get(column.name) or typed(column, known.get(column.name), date_order=mapped.date_order)
        for column in focus.COLUMNS
    }
    ledger_columns = ", ".join(f"{value} AS {quoted_name(name)}" for name, value in values.items())
    fault = " ".join(f"WHEN {check.fails} THEN {number}" for number, check in enumerate(row_checks))
    extra = [(column.name, f"NOT {is_empty(column)}", text_of(column)) for column in additions(mapped)]
    extra += [(column.name, unreadable(column), text_of(column)) for column in readable_columns(mapped)]
    return f"""
        WITH given AS ({mapped.given}),
        texts AS ({texts_sql("given", mapped.objects)}),
        typed AS (SELECT *, {ledger_columns} FROM texts),
        checked AS (SELECT *, CASE {fault} END AS fault, {_json_of(extra)} AS extra FROM typed)
    """


def good_rows_sql(
    mapped: Mapped,
    row_checks: Sequence[Check],
    key: Sequence[str],
    constants: Mapping[str, str],
    ai_rule: str,
    joins: str,
    first_line: int,
) -> str:
    """SELECT of the rows that can be counted, in the ledger's columns. constants : SQL for the columns that are the delivery's.

    ai_rule : SQL over `checked` and what `joins` adds to it. first_line : where the first row is found.
    """
    by_object = {str(column.given.focus_name): column for column in mapped.objects}
    others = additions(mapped)
    values = {rule.dimension: _dimension(rule, by_object, others) for rule in mapped.rules}
    values |= {name: f"make_timestamptz(epoch_us({quoted_name(name)}))" for name in MOMENTS}
    values |= dict(constants)
    values |= {
        "sign": "1::TINYINT",
        "line": f"row_number + {first_line - 1}",
        "charge_key": _charge_key(mapped, key),
        "ai_rule": ai_rule,
        "charge_kind": charges.kind_of_number_sql("charge_rule"),
        "treatment": charges.treatment_of_number_sql("charge_rule"),
    }
    columns = ", ".join(f"{values.get(name, quoted_name(name))} AS {quoted_name(name)}" for name in STORED)
    # A layer of its own: the rules of the two columns are tried once (0.3 µs a line; for each column by itself 0.5).
    good = f"SELECT *, {charges.number_sql()} AS charge_rule FROM checked WHERE fault IS NULL"
    return f"{checked_sql(mapped, row_checks)} SELECT {columns} FROM ({good}) AS checked{joins}"


def faulty_rows_sql(mapped: Mapped, row_checks: Sequence[Check]) -> str:
    """SELECT of row_number, fault, the value at fault as text, the format's own words, and the row as it came (JSON text)."""
    names = mapped.by_name()
    at_fault = " ".join(f"WHEN {number} THEN {text_of(names[check.column])}" for number, check in enumerate(row_checks) if check.column in names)
    raw = [
        GivenColumn(name, None, sql_type, f"c{place}")
        for place, (name, sql_type) in enumerate(zip(mapped.rows.names, mapped.rows.types, strict=True))
    ]
    whole_row = ", ".join(f"{quoted_text(column.name)}, {text_of(column)}" for column in raw)
    words = text_of(names[REFUSED]) if REFUSED in names else "CAST(NULL AS VARCHAR)"
    return f"""
        {checked_sql(mapped, row_checks)}
        SELECT row_number, fault, CASE fault {at_fault} END AS value, {words} AS words, CAST(json_object({whole_row}) AS VARCHAR) AS whole_row
        FROM checked WHERE fault IS NOT NULL
    """


def additions(mapped: Mapped) -> list[GivenColumn]:
    """Columns that the specification does not know."""
    return [column for column in mapped.columns if not column.focus_name and column.name != REFUSED]


def readable_columns(mapped: Mapped) -> list[GivenColumn]:
    """Optional columns whose values may be of the wrong type: those of a FOCUS type that a file has as something else."""
    found = []
    for column in mapped.columns:
        kind = "string" if not column.focus_name or column.focus_name in focus.REQUIRED else focus.BY_NAME[column.focus_name].kind
        if kind != "string" and not (kind == "decimal" and is_decimal(column.sql_type)):
            found.append(column)
    return found


def unreadable(column: GivenColumn) -> str:
    return f"{quoted_name(str(column.focus_name))} IS NULL AND NOT {is_empty(column)}"


def _dimension(rule: DimensionRule, objects: Mapping[str, ObjectColumn], others: Sequence[GivenColumn]) -> str:
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


def _charge_key(mapped: Mapped, key: Sequence[str]) -> str:
    """126 bits of the hash of the values of the declared key, whatever the order in which it was declared; null without one."""
    if not key:
        return "CAST(NULL AS DECIMAL(38, 0))"
    by_name = {column.name: column for column in mapped.columns}
    parts = [
        f"{quoted_text((by_name[name].focus_name or name).lower() + '=')}, trim({text_of(by_name[name])})" for name in sorted(key, key=str.lower)
    ]
    return f"CAST(md5_number(concat('key', chr(31), {', chr(31), '.join(parts)})) >> 2 AS DECIMAL(38, 0))"


def _json_of(parts: Sequence[tuple[str, str, str]]) -> str:
    """JSON object text of (name, condition, value text) triples whose condition holds, names sorted; null where none."""
    if not parts:
        return "CAST(NULL AS VARCHAR)"
    names = {name: quoted_text(json.dumps(name, ensure_ascii=False) + ":") for name, _, _ in parts}
    pairs = [f"CASE WHEN {condition} THEN {names[name]} || CAST(to_json({value}) AS VARCHAR) END" for name, condition, value in sorted(parts)]
    return f"nullif(concat('{{', concat_ws(',', {', '.join(pairs)}), '}}'), '{{}}')"
