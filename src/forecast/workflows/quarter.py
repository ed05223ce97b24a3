"""Finance's first answer: the next fiscal quarter by group, beside the last one and the budget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from forecast.budgets.budget import Budget
from forecast.budgets.overrun import overrun_probability
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import parse_dimensions
from forecast.spend.periods import Period, fiscal_quarter, next_quarter, period_before, quarter_of
from forecast.spend.scope import Scope
from forecast.workflows.readings import Reading, read_groups, read_scope
from forecast.workflows.records import backtest_record
from forecast.workflows.summary import distribution, heading

NOTES = (
    "Means add up over rows; quantiles do not: the total's P90 is less than the sum of the rows' P90s, because not everything goes wrong at once.",
    "last_quarter is actual cost; where it is not over yet, the days to come count with their mean forecast and last_quarter_over is false.",
)


def quarter_answer(
    snapshot: Snapshot, *, by: tuple[str, ...] = ("team",), period: Period | None = None, fiscal_start: int = 1, budgets: Sequence[Budget] = ()
) -> dict[str, Any]:
    """The next fiscal quarter after the cutoff (or `period`) for each combination of `by` values, and in total.

    Each row: mean, p10, p50, p90, the quarter before (`last_quarter`, null where history does not reach), the change, and the budget for exactly
    that scope and period where there is one, with its overrun_probability. Raises OutsideHorizonError, UnknownScopeError.
    """
    label, quarter = next_quarter(snapshot.cutoff, fiscal_start)
    if period is not None and period != quarter:
        quarter, label = period, _label(period, fiscal_start)
    names = parse_dimensions(by)
    before = period_before(quarter)
    groups = read_groups(snapshot, Scope(), names, quarter) if names else []
    last = {tuple(reading.group.items()): reading for reading in _last(snapshot, names, before)}
    own = {budget.scope: budget for budget in reversed(budgets) if _counts(snapshot, budget, quarter)}
    whole, whole_last = read_scope(snapshot, Scope(), quarter), last.get(())
    rows = [_row(snapshot, reading, last.get(tuple(reading.group.items())), own) for reading in groups]
    if names:
        whole_last = next(iter(_last(snapshot, (), before)), None)
    notes = list(NOTES)
    if before.start < snapshot.first_day:
        notes.append(f"History begins on {snapshot.first_day}: there is no last quarter to compare with.")
    derived = next((reading.derived for reading in groups if reading.derived), None)
    return {
        **heading(snapshot, Scope(), quarter),
        "quarter": label,
        "by": list(names),
        "last_quarter": {"start": before.start.isoformat(), "end": before.end.isoformat(), "over": before.end <= snapshot.cutoff + timedelta(days=1)},
        "rows": rows,
        "total": _row(snapshot, whole, whole_last, own),
        "backtest": backtest_record(snapshot, Scope()),
        "notes": notes,
        "warnings": list(dict.fromkeys(text for reading in (whole, *groups) for text in reading.warnings)),
        **({"derived": derived} if derived else {}),
    }


def _row(snapshot: Snapshot, reading: Reading, last: Reading | None, budgets: dict[Scope, Budget]) -> dict[str, Any]:
    totals = reading.totals()
    previous = None if last is None else float(last.totals().mean())
    summary = distribution(totals)
    change = None if previous is None else summary["mean"] - previous
    budget = budgets.get(reading.scope)
    return {
        "group": reading.group,
        "scope": str(reading.scope),
        **summary,
        "last_quarter": previous,
        "last_quarter_actual": None if last is None else last.spent,
        "last_quarter_over": None if last is None else not len(last.starts),
        "change": change,
        "change_percent": 100.0 * change / abs(previous) if change is not None and previous else None,
        "budget": None if budget is None else budget.amount,
        "budget_id": None if budget is None else budget.id,
        "overrun_probability": None if budget is None else overrun_probability(0.0, totals, budget.amount),
    }


def _last(snapshot: Snapshot, names: tuple[str, ...], before: Period) -> list[Reading]:
    if before.start < snapshot.first_day or before.end > snapshot.horizon_end:
        return []
    return read_groups(snapshot, Scope(), names, before)


def _label(period: Period, fiscal_start: int) -> str:
    year, number = quarter_of(period.start, fiscal_start)
    return f"{year}-Q{number}" if fiscal_quarter(year, number, fiscal_start) == period else str(period)


def _counts(snapshot: Snapshot, budget: Budget, quarter: Period) -> bool:
    return budget.period == quarter and budget.cost == snapshot.cost and budget.currency in (None, snapshot.currency)
