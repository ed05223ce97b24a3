"""Whether the month or the day comes first in a file's dates with slashes, decided by the file itself and never by a guess.

A date says so where only one reading is possible: a number beyond 12 is a day, a billing period begins on the first day of a
month and ends on the first day of the next or within the last days of its own. 4/1/25 as the beginning of a billing period
is the first of April and not the fourth of January. A file whose dates say both, or neither, decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from forecast.adapters.duck import execute, quoted_text
from forecast.adapters.focus_columns import SLASHED_DATE, DateOrder, GivenColumn, text_of
from forecast.spend import focus

FIRST_ROWS = 10_000
"""A file without such a date in its first rows is not searched for them: that would be one more pass over every file."""

_EARLIEST_LAST_DAY = 28


def find_date_order(connection: duckdb.DuckDBPyConnection, raw: str, given: Sequence[GivenColumn]) -> DateOrder | None:
    """The order that a file's own dates decide; None where it has no dates with slashes or they do not decide it.

    raw : SQL of the file's rows with all references of `given`.
    """
    columns = [column for column in given if _may_hold_dates(column)]
    if not columns:
        return None
    some = " OR ".join(_is_slashed(column) for column in columns)
    if not execute(connection, f"SELECT coalesce(bool_or({some}), false) FROM (SELECT * FROM ({raw}) LIMIT {FIRST_ROWS})")[0][0]:
        return None
    # Each date once: a bill repeats a few dates in every row, and a regular expression a row would cost more than reading the file.
    texts = ", ".join(f"struct_pack(place := {place}, v := {text_of(column)})" for place, column in enumerate(columns))
    dates = f"SELECT DISTINCT date.place AS place, date.v AS v FROM (SELECT unnest([{texts}]) AS date FROM ({raw})) WHERE contains(date.v, '/')"
    alone = [GivenColumn(column.name, column.focus_name, "VARCHAR", "v") for column in columns]
    month_first = " OR ".join(f"(place = {place} AND {_decides(column, 'mdy')})" for place, column in enumerate(alone))
    day_first = " OR ".join(f"(place = {place} AND {_decides(column, 'dmy')})" for place, column in enumerate(alone))
    sql = f"SELECT coalesce(bool_or({month_first}), false), coalesce(bool_or({day_first}), false) FROM ({dates})"
    match execute(connection, sql)[0]:
        case (True, False):
            return "mdy"
        case (False, True):
            return "dmy"
        case _:
            return None


def _may_hold_dates(column: GivenColumn) -> bool:
    is_time = column.focus_name is not None and focus.BY_NAME[column.focus_name].kind == "timestamp"
    return is_time and column.sql_type in ("VARCHAR", "JSON")


def _is_slashed(column: GivenColumn) -> str:
    text = text_of(column)
    return f"coalesce(contains({text}, '/') AND regexp_full_match({text}, {quoted_text(SLASHED_DATE)}), false)"


def _decides(column: GivenColumn, order: DateOrder) -> str:
    """Whether a value can be read in this order and in the other one cannot."""
    first, second = (f"TRY_CAST(regexp_extract({text_of(column)}, {quoted_text(SLASHED_DATE)}, {group}) AS INTEGER)" for group in (1, 2))
    month, day = (first, second) if order == "mdy" else (second, first)
    possible, impossible = _possible(column, month, day), _possible(column, day, month)
    return f"({_is_slashed(column)} AND {possible} AND NOT ({impossible}))"


def _possible(column: GivenColumn, month: str, day: str) -> str:
    possible = f"{month} BETWEEN 1 AND 12 AND {day} BETWEEN 1 AND 31"
    if column.focus_name == focus.BILLING_START:
        return f"({possible} AND {day} = 1)"
    if column.focus_name == focus.BILLING_END:
        return f"({possible} AND ({day} = 1 OR {day} >= {_EARLIEST_LAST_DAY}))"
    return f"({possible})"
