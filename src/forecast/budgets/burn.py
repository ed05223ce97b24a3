"""How fast is a budget used up: against its plan, at the recent rate, and what a day may still cost."""

from __future__ import annotations

from forecast.budgets.budget import Budget


def run_rate(used: float, daily_mean: float, days_left: float) -> float:
    """Period total if the recent daily mean goes on."""
    return used + daily_mean * days_left


def planned_to_date(budget: Budget, days_over: float) -> float:
    """What the budget planned for its first `days_over` days, in its own currency or unit.

    By its phases, each even over its days; a budget without phases is even over its period.
    """
    days_over = min(max(days_over, 0.0), float(budget.period.days))
    if not budget.phases:
        return budget.amount * days_over / budget.period.days
    planned = 0.0
    for phase, days in zip(budget.phases, budget.phase_periods(), strict=True):
        over = min(max(days_over - (days.start - budget.start).days, 0.0), float(days.days))
        planned += phase.amount * over / days.days
    return planned


def burn_ratio(used: float, planned: float) -> float | None:
    """What is used ÷ what was planned for the days that are over; above 1 is faster than planned. None where nothing was planned for them yet.

    Without phases the same as the share of the budget used ÷ the share of the period elapsed.
    """
    return used / planned if planned > 0.0 else None


def daily_allowance(amount: float, used: float, days_left: float) -> float | None:
    """What a day of those left may cost on average without an overrun; 0 where all is used up, None where no day is left."""
    return max(amount - used, 0.0) / days_left if days_left > 0.0 else None
