"""A budget that begins anew each month, quarter or year: which occurrence of it holds a day.

Its first occurrence is the period it was entered with; the later ones are the months, quarters or years of the company's calendar.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, cast

from forecast.budgets.budget import Budget, Phase
from forecast.errors import BudgetError
from forecast.spend.periods import Granularity, Period

if TYPE_CHECKING:
    from forecast.spend.fiscal import FiscalCalendar


def occurrence(budget: Budget, day: date, calendar: FiscalCalendar) -> Budget:
    """The budget with the period that holds `day`; its first one for a day before that, itself where it does not repeat.

    Phases that begin with the calendar's months begin with the same months of the new period; others move by as many days.
    Raises BudgetError where the phases do not fit into it.
    """
    if budget.repeats is None or day < budget.end:
        return budget
    period = calendar.bucket(day, cast(Granularity, budget.repeats))
    phases = _by_months(budget, period, calendar)
    return budget.moved(period) if phases is None else replace(budget, start=period.start, end=period.end, phases=phases)


def check_repeats(budget: Budget, calendar: FiscalCalendar) -> None:
    """BudgetError where a budget repeats and its own period is no month, quarter or year of the calendar."""
    if budget.repeats is None:
        return
    period = calendar.bucket(budget.start, cast(Granularity, budget.repeats))
    if period != budget.period:
        raise BudgetError(
            f"Budget {budget.id} repeats each {budget.repeats}, and its period {budget.period} is no {budget.repeats} of the company's calendar",
            field="end" if period.start == budget.start else "start",
            got=str(budget.period),
            allowed=f"the {budget.repeats} {period}, or no repeats",
        )


def _by_months(budget: Budget, period: Period, calendar: FiscalCalendar) -> tuple[Phase, ...] | None:
    """Phases on the months of `period`; None where the budget's are not on months, or the two periods have not as many."""
    if not budget.phases:
        return ()
    before, after = _months(budget.period, calendar), _months(period, calendar)
    if len(before) != len(after) or not {phase.start for phase in budget.phases} <= set(before):
        return None
    new = dict(zip(before, after, strict=True))
    return tuple(Phase(new[phase.start], phase.amount) for phase in budget.phases)


def _months(period: Period, calendar: FiscalCalendar) -> list[date]:
    """First days of the calendar's months within the period, its own first day among them."""
    starts = [period.start]
    while (following := calendar.bucket(starts[-1], "month").end) < period.end:
        starts.append(following)
    return starts
