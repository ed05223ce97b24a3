"""Budgets as rows of a table, the way finance keeps them, and as objects of an answer.

A table has a column for each field. `period` may stand in place of `start` and `end`; phases are one cell, or a column for each month
(`2027-01`, `2027-P01`) or quarter (`2027-Q1`). An empty cell says nothing. Whatever is wrong is told with its file, line and column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from forecast.budgets.budget import Budget, Phase
from forecast.budgets.entry import check_entry, parent_problem
from forecast.budgets.phase_rows import PERIOD_COLUMN, as_day, as_number, phases_of_periods, phases_text, plain_number, read_phases
from forecast.budgets.thresholds import Threshold
from forecast.errors import BudgetError, InputError, SchemaError
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Period, parse_period
from forecast.spend.scope import Scope

Cell = str | float | int | bool | date | datetime | time | None
"""What a cell holds. Text tables have text only; a spreadsheet has numbers and days too."""

COLUMNS = (
    "id",
    "scope",
    "start",
    "end",
    "amount",
    "currency",
    "cost",
    "name",
    "owner",
    "kind",
    "parent",
    "repeats",
    "phases",
    "thresholds",
    "unit",
    "unit_price",
)
"""Columns of an exported table, in their order."""

READABLE = (*COLUMNS, "period")
MOST_ROWS = 10_000
MOST_TOLD = 10
"""Problems of one table that are told at once; the others are counted."""


@dataclass(frozen=True)
class Table:
    """A table that was read: `name` as errors call it, the header, and each row with its number in the file.

    is_sheet : a row is told as `cell E7`, else as `line 7`.
    """

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[Cell, ...]], ...]
    is_sheet: bool = False

    def place(self, number: int, column: str | None = None) -> str:
        """Where something is: `budgets.csv, line 7, column amount` or `budgets.xlsx, cell E7 (column amount)`."""
        if not self.is_sheet:
            return f"{self.name}, line {number}" + ("" if column is None else f", column {column}")
        if column is None:
            return f"{self.name}, row {number}"
        return f"{self.name}, cell {column_letters(self.header.index(column) + 1)}{number} (column {column})"


@dataclass(frozen=True)
class BudgetTable:
    """Budgets of a table. rows : the row of each. ignored : columns that say nothing about budgets."""

    budgets: tuple[Budget, ...]
    rows: tuple[int, ...]
    ignored: tuple[str, ...]


def describe(budget: Budget) -> dict[str, Any]:
    """A budget as answers carry it; what was put comes back."""
    return {
        "id": budget.id,
        "scope": str(budget.scope),
        "start": budget.start.isoformat(),
        "end": budget.end.isoformat(),
        "amount": budget.amount,
        "currency": budget.currency,
        "cost": budget.cost,
        "name": budget.name,
        "owner": budget.owner,
        "kind": budget.kind,
        "parent": budget.parent,
        "repeats": budget.repeats,
        "phases": [{"start": phase.start.isoformat(), "amount": phase.amount} for phase in budget.phases],
        "thresholds": [str(threshold) for threshold in budget.thresholds],
        "unit": budget.unit,
        "unit_price": budget.unit_price,
    }


def row_of(budget: Budget) -> tuple[Cell, ...]:
    """The cells of `COLUMNS`; reading them gives the budget back."""
    cells: dict[str, Cell] = {**describe(budget), "start": budget.start, "end": budget.end}
    cells["phases"] = phases_text(budget.phases)
    cells["thresholds"] = ";".join(map(str, budget.thresholds))
    return tuple(cells[name] for name in COLUMNS)


def read_budgets(table: Table, calendar: FiscalCalendar = CALENDAR_YEAR, *, ignore_unknown: bool = False) -> BudgetTable:
    """Budgets of a table, all or none; calendar : of periods and of budgets that repeat.

    Raises SchemaError for columns that are missing, twice or unknown (but with `ignore_unknown`), BudgetError with all that is wrong with the rows.
    """
    ignored = _check_header(table, ignore_unknown)
    found: list[Budget] = []
    problems: list[InputError] = []
    seen: dict[str, int] = {}
    for number, cells in table.rows:
        row = {name: cell for name, cell in zip(table.header, cells, strict=False) if not _is_empty(cell) and name not in ignored}
        try:
            budget = _budget(row, calendar)
            if budget.id in seen:
                raise BudgetError(
                    f"it is the budget {budget.id} of {'row' if table.is_sheet else 'line'} {seen[budget.id]} again",
                    field="id",
                    got=budget.id,
                    allowed="an id of its own",
                )
            seen[budget.id] = number
            found.append(budget)
        except InputError as error:
            column = error.field if error.field in table.header else None
            problems.append(BudgetError(f"{table.place(number, column)}: {error}", field=error.field, got=error.got, allowed=error.allowed))
    if problems:
        raise problems[0] if len(problems) == 1 else _together(problems)
    return BudgetTable(tuple(found), tuple(number for number, _ in table.rows), ignored)


def column_letters(number: int) -> str:
    """1 → A, 27 → AA."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def read_thresholds(text: str) -> tuple[Threshold, ...]:
    """Thresholds of one text, semicolons between them."""
    return tuple(Threshold.parse(part) for part in text.split(";") if part.strip())


def check_parents_of(table: Table, found: BudgetTable, stored: Mapping[str, str | None]) -> None:
    """BudgetError with the place of each budget whose parent is neither stored nor in the table, or that would be a part of itself.

    stored : id → parent of the budgets that there are.
    """
    parents = {**stored, **{budget.id: budget.parent for budget in found.budgets}}
    problems: list[InputError] = [
        BudgetError(f"{table.place(number, 'parent')}: {problem}", field="parent", got=problem.got, allowed=problem.allowed)
        for number, budget in zip(found.rows, found.budgets, strict=True)
        if (problem := parent_problem(budget, parents)) is not None
    ]
    if problems:
        raise problems[0] if len(problems) == 1 else _together(problems)


def losses(table: Table, found: BudgetTable, stored: Mapping[str, Budget]) -> list[str]:
    """What stored budgets lose because the table has no column for it, in sentences: a row replaces the whole budget."""
    absent = [name for name in COLUMNS if name not in table.header]
    if any(PERIOD_COLUMN.fullmatch(name) for name in table.header):
        absent = [name for name in absent if name != "phases"]
    return [
        f"{budget.id} loses what it had as {', '.join(lost)}: the table has no such column"
        for budget in found.budgets
        if budget.id in stored and (lost := [name for name in absent if getattr(stored[budget.id], name) and not getattr(budget, name)])
    ]


def _check_header(table: Table, ignore_unknown: bool) -> tuple[str, ...]:
    twice = sorted({name for name in table.header if name and table.header.count(name) > 1})
    if twice:
        raise SchemaError(f"{table.name}: the column {twice[0]} is there twice", field=twice[0], got=twice, allowed="each column once")
    unknown = tuple(name for name in table.header if name not in READABLE and not PERIOD_COLUMN.fullmatch(name))
    allowed = f"{', '.join(READABLE)}, and months or quarters such as 2027-01, 2027-Q1"
    if unknown and not ignore_unknown:
        shown = ", ".join(name or "(no name)" for name in unknown)
        raise SchemaError(f"{table.name}: no column of budgets is called {shown}", field=unknown[0], got=list(unknown), allowed=allowed)
    for name in table.header:
        if PERIOD_COLUMN.fullmatch(name):
            parse_period(name)
    if "id" not in table.header:
        raise SchemaError(
            f"{table.name}: the column id is missing: got {', '.join(table.header)}", field="id", got=list(table.header), allowed=allowed
        )
    if not table.rows:
        raise InputError(f"{table.name} has a header and no rows", field="file", got=0, allowed="at least one row")
    return unknown


def _budget(row: Mapping[str, Cell], calendar: FiscalCalendar) -> Budget:
    texts = {name: _text(row, name) for name in ("id", "scope", "period", "currency", "cost", "name", "owner", "kind", "parent", "repeats", "unit")}
    if not texts["id"]:
        raise BudgetError("the id is missing", field="id", got=None, allowed="1 to 100 letters, digits, '.', '_', '-'")
    by_period = {name: (parse_period(name, calendar), as_number(row[name], name)) for name in row if PERIOD_COLUMN.fullmatch(name)}
    days = _days(row, texts["period"], [period for period, _ in by_period.values()], calendar)
    phases = _phases(row, days, by_period, calendar)
    budget = Budget(
        texts["id"],
        Scope.parse(texts["scope"]),
        days.start,
        days.end,
        amount_of(None if "amount" not in row else as_number(row["amount"], "amount"), phases),
        texts["currency"].upper() or None,
        texts["cost"].lower() or "effective",
        texts["name"],
        texts["owner"],
        texts["kind"].lower() or "budget",
        texts["parent"] or None,
        texts["repeats"].lower() or None,
        phases,
        read_thresholds(_text(row, "thresholds")),
        texts["unit"],
        None if "unit_price" not in row else as_number(row["unit_price"], "unit_price"),
    )
    check_entry(budget, calendar)
    return budget


def amount_of(said: float | None, phases: Sequence[Phase]) -> float:
    """The amount, or what the phases add up to where it is not said; BudgetError where there is neither."""
    from math import fsum

    if said is None and not phases:
        raise BudgetError("the amount is missing", field="amount", got=None, allowed="a number above 0, or phases")
    return fsum(phase.amount for phase in phases) if said is None else said


def _days(row: Mapping[str, Cell], period: str, columns: Sequence[Period], calendar: FiscalCalendar) -> Period:
    start, end = (as_day(row[name], name) if name in row else None for name in ("start", "end"))
    if period:
        if start is not None or end is not None:
            raise BudgetError("the days are said twice, by period and by start or end", field="period", got=period, allowed="one of them")
        return parse_period(period, calendar)
    if start is None and end is None and columns:
        return Period(min(days.start for days in columns), max(days.end for days in columns))
    if start is None or end is None:
        missing = "start" if start is None else "end"
        raise BudgetError(f"{missing} is missing", field=missing, got=None, allowed="YYYY-MM-DD, or a period such as 2027-Q1")
    return Period(start, end)


def _phases(row: Mapping[str, Cell], days: Period, columns: Mapping[str, tuple[Period, float]], calendar: FiscalCalendar) -> tuple[Phase, ...]:
    text = _text(row, "phases")
    if text and columns:
        raise BudgetError("the phases are said twice, in one cell and by period", field="phases", got=text, allowed="one of them")
    return phases_of_periods(days, columns) if columns else read_phases(text, calendar)


def _text(row: Mapping[str, Cell], name: str) -> str:
    cell = row.get(name)
    if cell is None:
        return ""
    if isinstance(cell, bool | date | time):
        raise BudgetError(f"{name} is no text: {cell}", field=name, got=str(cell), allowed="text; format the cell as text")
    return plain_number(float(cell)) if isinstance(cell, int | float) else cell.strip()


def _is_empty(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _together(problems: Sequence[InputError]) -> BudgetError:
    first, rest = problems[0], len(problems) - MOST_TOLD
    told = "; ".join(f"{error} (allowed: {error.allowed})" if error.allowed else str(error) for error in problems[:MOST_TOLD])
    more = f"; and {rest} more" if rest > 0 else ""
    return BudgetError(f"{len(problems)} problems, nothing is taken in: {told}{more}", field=first.field, got=first.got, allowed=first.allowed)


_SPACES = re.compile(r"\s+")


def column_name(cell: Cell) -> str:
    """A header's cell as the name of a column: lower case with underscores; months and quarters in capitals; the first day of a month is it."""
    if isinstance(cell, datetime | date):
        return f"{cell.year:04}-{cell.month:02}" if cell.day == 1 else str(cell)[:10]
    text = _SPACES.sub("_", str(cell if cell is not None else "").strip())
    return text.upper() if PERIOD_COLUMN.fullmatch(text.upper()) else text.lower()
