"""Finance's first answer: the next fiscal quarter by group, beside the last one and the budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forecast.budgets.budget import Budget
from forecast.budgets.conversion import amount_in, conversion
from forecast.budgets.occurrence import occurrence
from forecast.budgets.overrun import overrun_probability
from forecast.errors import BudgetError
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.dimensions import parse_dimensions
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Period, next_quarter, period_before
from forecast.spend.scope import Scope
from forecast.workflows.readings import Reading, read_groups, read_scope
from forecast.workflows.records import backtest_record
from forecast.workflows.summary import distribution, heading

ADDING_UP = (
    "Means add up over rows; quantiles do not: the total's P90 is less than the sum of the rows' P90s, because not everything goes wrong at once."
)


def quarter_answer(
    snapshot: Snapshot,
    *,
    by: tuple[str, ...] = ("team",),
    period: Period | None = None,
    calendar: FiscalCalendar = CALENDAR_YEAR,
    budgets: Sequence[Budget] = (),
    rates: Rates | None = None,
) -> dict[str, Any]:
    """The next fiscal quarter after the cutoff (or `period`) for each combination of `by` values, and in total.

    Each row: mean, p10, p50, p90, the quarter before (`last_quarter`, null where history does not reach), the change, and the budget for exactly
    that scope and period where there is one, with its overrun_probability; one in another currency is converted by `rates`, or left out and noted.
    Raises OutsideHorizonError, UnknownScopeError.
    """
    label, quarter = next_quarter(snapshot.cutoff, calendar)
    if period is not None and period != quarter:
        quarter, label = period, calendar.name(period) or str(period)
    names = parse_dimensions(by)
    before = period_before(quarter, calendar)
    groups = read_groups(snapshot, Scope(), names, quarter) if names else []
    last = {tuple(reading.group.items()): reading for reading in _last(snapshot, names, before)}
    own, unconverted = _own(snapshot, budgets, quarter, calendar, rates)
    whole, whole_last = read_scope(snapshot, Scope(), quarter), last.get(())
    rows = [_row(snapshot, reading, last.get(tuple(reading.group.items())), own) for reading in groups]
    if names:
        whole_last = next(iter(_last(snapshot, (), before)), None)
    notes = [ADDING_UP, *unconverted]
    if before.start >= snapshot.first_day and snapshot.first_open_day < before.end:
        open_from = max(before.start, snapshot.first_open_day)
        notes.append(f"Last quarter ({calendar.name(before) or before}) is not over: its days from {open_from} on count with their mean forecast.")
    if before.start < snapshot.first_day:
        notes.append(f"History begins on {snapshot.first_day}: there is no last quarter to compare with.")
    derived = next((reading.derived for reading in groups if reading.derived), None)
    return {
        **heading(snapshot, Scope(), quarter),
        "quarter": label,
        "by": list(names),
        "last_quarter": {"start": before.start.isoformat(), "end": before.end.isoformat(), "over": before.end <= snapshot.first_open_day},
        "rows": rows,
        "total": _row(snapshot, whole, whole_last, own),
        "backtest": backtest_record(snapshot, Scope()),
        "notes": notes,
        "warnings": list(dict.fromkeys(text for reading in (whole, *groups) for text in reading.warnings)),
        **({"derived": derived} if derived else {}),
    }


def _row(snapshot: Snapshot, reading: Reading, last: Reading | None, budgets: dict[Scope, tuple[Budget, float]]) -> dict[str, Any]:
    totals = reading.totals()
    previous = None if last is None else float(last.totals().mean())
    summary = distribution(totals)
    change = None if previous is None else summary["mean"] - previous
    budget, amount = budgets.get(reading.scope, (None, 0.0))
    return {
        "group": reading.group,
        "scope": str(reading.scope),
        **summary,
        "last_quarter": previous,
        "last_quarter_actual": None if last is None else last.spent,
        "last_quarter_over": None if last is None else not len(last.starts),
        "change": change,
        "change_percent": 100.0 * change / abs(previous) if change is not None and previous else None,
        "budget": None if budget is None else amount,
        "budget_id": None if budget is None else budget.id,
        "overrun_probability": None if budget is None else overrun_probability(0.0, totals, amount),
    }


def _last(snapshot: Snapshot, names: tuple[str, ...], before: Period) -> list[Reading]:
    if before.start < snapshot.first_day or before.end > snapshot.horizon_end:
        return []
    return read_groups(snapshot, Scope(), names, before)


def _own(
    snapshot: Snapshot, budgets: Sequence[Budget], quarter: Period, calendar: FiscalCalendar, rates: Rates | None
) -> tuple[dict[Scope, tuple[Budget, float]], list[str]]:
    """The budget of each scope for exactly this quarter with its amount in the snapshot's currency, and a note on each that has none there."""
    found: dict[Scope, tuple[Budget, float]] = {}
    notes = []
    for budget in reversed(budgets):
        if budget.cost != snapshot.cost:
            continue
        try:
            meant = occurrence(budget, quarter.start, calendar)
            if meant.period == quarter:
                found[meant.scope] = meant, amount_in(meant, conversion(meant, snapshot.currency, snapshot.cutoff, rates))
        except BudgetError as error:
            notes.append(f"Left out: {error}")
    return found, notes
