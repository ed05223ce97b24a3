"""Cells of a table of budgets: numbers, days, and phases in one cell or in a column for each month or quarter."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any

from forecast.budgets.budget import Phase
from forecast.errors import BudgetError
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Period, parse_period

PERIOD_COLUMN = re.compile(r"\d{4}-(?:\d{2}|P\d{2}|Q[1-4])", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_TWO_NUMBERS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d\d0", re.ASCII)
"""95.000 is ninety-five here and ninety-five thousand there; no program writes a number so."""
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?", re.ASCII)
_PLAIN = "a plain number such as 250000.50"


def as_number(cell: Any, field: str) -> float:
    """The number in a cell; BudgetError for anything else, also for thousands separators and decimal commas, which mean two things."""
    if isinstance(cell, int | float) and not isinstance(cell, bool) and math.isfinite(cell):
        return float(cell)
    text = cell.strip() if isinstance(cell, str) else ""
    if not _NUMBER.fullmatch(text) or _TWO_NUMBERS.fullmatch(text) or not math.isfinite(float(text)):
        hint = ": no thousands separators, no decimal comma, no currency sign" if isinstance(cell, str) else ""
        raise BudgetError(f"{field} {_clipped(cell)!r} is not a number", field=field, got=_clipped(cell), allowed=f"{_PLAIN}{hint}")
    return float(text)


def as_day(cell: Any, field: str) -> date:
    """The day in a cell; BudgetError for a time of day and for texts such as 1/2/2027, which mean two days."""
    if isinstance(cell, datetime):
        if cell.time() == time():
            return cell.date()
    elif isinstance(cell, date):
        return cell
    elif isinstance(cell, str) and (found := _DAY.fullmatch(cell.strip())):
        try:
            return date.fromisoformat(found[1])
        except ValueError:
            pass
    raise BudgetError(f"{field} {_clipped(cell)!r} is not a day", field=field, got=_clipped(cell), allowed="YYYY-MM-DD")


def plain_number(value: float) -> str:
    """The shortest text that reads back as the same number; whole ones without a point."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def read_phase(text: str, separator: str = ":", calendar: FiscalCalendar = CALENDAR_YEAR) -> Phase:
    """A phase from `2027-01-01:100000`; a month, quarter or fiscal period (`2027-02`, `2027-Q2`, `2027-P03`) stands for its first day."""
    start, found, amount = text.partition(separator)
    start = start.strip()
    allowed = f"START{separator}AMOUNT such as 2027-01-01{separator}100000 or 2027-02{separator}120000"
    if not found:
        raise BudgetError(f"phase {_clipped(text)!r} is not one", field="phases", got=_clipped(text), allowed=allowed)
    first = parse_period(start, calendar).start if PERIOD_COLUMN.fullmatch(start.upper()) else as_day(start, "phases")
    return Phase(first, as_number(amount, "phases"))


def read_phases(text: str, calendar: FiscalCalendar = CALENDAR_YEAR) -> tuple[Phase, ...]:
    """Phases from `2027-01-01:100000;2027-02-01:120000`; nothing from nothing."""
    return tuple(read_phase(part, calendar=calendar) for part in text.split(";") if part.strip())


def phases_text(phases: Iterable[Phase]) -> str:
    """What `read_phases` reads."""
    return ";".join(f"{phase.start}:{plain_number(phase.amount)}" for phase in phases)


def phases_of_periods(days: Period, amounts: Mapping[str, tuple[Period, float]]) -> tuple[Phase, ...]:
    """Phases of columns: name → (its days, amount). A gap between them is a phase of nothing.

    Raises BudgetError for columns that share days or reach beyond the budget's period.
    """
    phases: list[Phase] = []
    reached = days.start
    for name, (period, amount) in sorted(amounts.items(), key=lambda item: item[1][0]):
        if period.end <= days.start or period.start >= days.end:
            raise BudgetError(
                f"{name} lies outside of the budget's period {days}", field=name, got=amount, allowed="an empty cell, or another period"
            )
        if period.start < reached and phases:
            raise BudgetError(f"{name} begins before the column before it ends", field=name, got=amount, allowed="columns that share no days")
        if period.start > reached:
            phases.append(Phase(reached, 0.0))
        phases.append(Phase(max(period.start, days.start), amount))
        reached = period.end
    if reached < days.end:
        phases.append(Phase(reached, 0.0))
    return tuple(phases)


def _clipped(cell: Any) -> str:
    return str(cell)[:80]
