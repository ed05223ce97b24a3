"""What a billing format is: how it is recognised, how its files are read by default, and which FOCUS column comes from where.

A format is a small object that computes nothing itself: it says in SQL how FOCUS columns come from the columns of a file.
The ledger's staging runs that SQL, checks every row, and puts what cannot be counted into quarantine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample
from forecast.adapters.duck import execute, quoted_name, quoted_text

Mode = Literal["append", "merge", "replace"]

REFUSED = "x_refused"
"""Column that a format may give: text `column|problem|allowed` where it must refuse a row itself (a missing price), else null."""

PRICED_BY = "x_priced_by"
"""Column of rows whose cost is usage times a price of our own: which price table, entry and date."""


@dataclass(frozen=True)
class Reading:
    """How a delivery is read. append : by content, the same file twice changes nothing. merge : by the columns of `key`, a later row with
    the same values stands. replace : it stands for all that its source said before about the billing periods (or days) that it covers."""

    mode: Mode = "append"
    key: tuple[str, ...] = ()


class BillFormat(Protocol):
    """One format. `name` is what `--format` takes; `looks_for` says in words what it is recognised by."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def looks_for(self) -> str: ...
    @property
    def reading(self) -> Reading: ...

    def recognise(self, sample: Sample) -> str | None:
        """Why the file is of this format, in words; None where it is not."""

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        """The file's charge lines as a relation; most formats return `table_rows(connection, file)`."""

    def columns(self, rows: Rows) -> Mapping[str, str]:
        """SQL over the columns of `rows` for each FOCUS column (`BilledCost`, …) and each addition (`x_…`); absent ones are null.

        Text, numbers and times of any type are read by the ledger: amounts as text keep their digits, times without a zone are UTC,
        `Tags` is JSON text of one object, a map or a struct.
        """


def has_all(names: Iterable[str], *wanted: str) -> bool:
    """Whether all wanted names are among `names`, whatever their case."""
    present = {name.lower() for name in names}
    return all(name.lower() in present for name in wanted)


def tags_sql(pairs: Mapping[str, str]) -> str:
    """SQL of JSON text of an object with the keys whose SQL value is neither null nor empty; null where there is none."""
    if not pairs:
        return "CAST(NULL AS VARCHAR)"
    parts = ", ".join(
        f"CASE WHEN nullif(trim(CAST({value} AS VARCHAR)), '') IS NOT NULL THEN concat(CAST(to_json({quoted_text(key)}) AS VARCHAR), ':', "
        f"CAST(to_json(CAST({value} AS VARCHAR)) AS VARCHAR)) END"
        for key, value in pairs.items()
    )
    return f"nullif(concat('{{', concat_ws(',', {parts}), '}}'), '{{}}')"


def focus_rows(connection: duckdb.DuckDBPyConnection, format: BillFormat, file: BillFile) -> list[dict[str, Any]]:
    """The FOCUS columns of every row as the format gives them, for looking at and for golden tests; no check is made."""
    rows = format.rows(connection, file)
    columns = format.columns(rows)
    selected = ", ".join(f"{sql} AS {quoted_name(name)}" for name, sql in columns.items())
    found = execute(connection, f"SELECT row_number, {selected} FROM ({rows.sql}) ORDER BY row_number")
    return [dict(zip(("row_number", *columns), row, strict=True)) for row in found]


def first_of(rows: Rows, names: Sequence[str]) -> str | None:
    """The reference of the first of the columns that the file has, whatever their case; None where it has none."""
    return next((reference for name in names if (reference := rows.find(name)) is not None), None)
