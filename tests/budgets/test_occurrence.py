"""Budgets that begin anew: which period holds a day, and where the phases are in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from forecast.budgets.budget import Budget, Phase
from forecast.budgets.occurrence import check_repeats, occurrence
from forecast.errors import BudgetError
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Period
from forecast.spend.scope import Scope

MONTHLY = Budget("b", Scope(), date(2027, 1, 1), date(2027, 2, 1), 300.0, repeats="month")
QUARTERLY = replace(MONTHLY, end=date(2027, 4, 1), repeats="quarter")
WEEKS = FiscalCalendar(pattern="4-4-5")


def test_budget_that_does_not_repeat_is_its_only_occurrence() -> None:
    once = replace(MONTHLY, repeats=None)
    assert occurrence(once, date(2030, 1, 1), CALENDAR_YEAR) is once


@pytest.mark.parametrize(
    ("day", "period"),
    [
        (date(2020, 5, 5), Period(date(2027, 1, 1), date(2027, 2, 1))),
        (date(2027, 1, 31), Period(date(2027, 1, 1), date(2027, 2, 1))),
        (date(2027, 2, 1), Period(date(2027, 2, 1), date(2027, 3, 1))),
        (date(2028, 2, 29), Period(date(2028, 2, 1), date(2028, 3, 1))),
    ],
)
def test_the_occurrence_holds_the_day_and_is_never_before_the_first(day: date, period: Period) -> None:
    found = occurrence(MONTHLY, day, CALENDAR_YEAR)
    assert (found.period, found.amount, found.repeats) == (period, 300.0, "month")


def test_quarters_and_years_are_the_companys() -> None:
    april = FiscalCalendar(start=5)
    quarter = replace(QUARTERLY, start=date(2027, 2, 1), end=date(2027, 5, 1))
    check_repeats(quarter, april)
    assert occurrence(quarter, date(2027, 7, 31), april).period == Period(date(2027, 5, 1), date(2027, 8, 1))
    year = replace(MONTHLY, start=date(2026, 5, 1), end=date(2027, 5, 1), repeats="year")
    assert occurrence(year, date(2027, 5, 1), april).period == Period(date(2027, 5, 1), date(2028, 5, 1))


def test_phases_on_months_stay_on_months_and_others_move_by_days() -> None:
    months = replace(QUARTERLY, phases=(Phase(date(2027, 1, 1), 50.0), Phase(date(2027, 2, 1), 100.0), Phase(date(2027, 3, 1), 150.0)))
    assert [phase.start for phase in occurrence(months, date(2027, 5, 9), CALENDAR_YEAR).phases] == [
        date(2027, 4, 1),
        date(2027, 5, 1),
        date(2027, 6, 1),
    ]
    halves = replace(MONTHLY, phases=(Phase(date(2027, 1, 1), 100.0), Phase(date(2027, 1, 16), 200.0)))
    assert [phase.start for phase in occurrence(halves, date(2027, 2, 9), CALENDAR_YEAR).phases] == [date(2027, 2, 1), date(2027, 2, 16)]


def test_phases_of_a_calendar_of_weeks_stay_on_its_periods_through_a_year_of_53_weeks() -> None:
    first = WEEKS.year(2027)
    starts = [WEEKS.month(2027, number).start for number in (1, 5, 9)]
    budget = replace(MONTHLY, start=first.start, end=first.end, repeats="year", phases=tuple(Phase(start, 100.0) for start in starts))
    check_repeats(budget, WEEKS)
    for year in range(2028, 2040):
        found = occurrence(budget, WEEKS.year(year).start + timedelta(days=100), WEEKS)
        assert found.period == WEEKS.year(year)
        assert [phase.start for phase in found.phases] == [WEEKS.month(year, number).start for number in (1, 5, 9)]


def test_phase_that_does_not_fit_into_a_shorter_month_is_an_error() -> None:
    late = replace(MONTHLY, phases=(Phase(date(2027, 1, 1), 100.0), Phase(date(2027, 1, 31), 200.0)))
    with pytest.raises(BudgetError, match="do not fit"):
        occurrence(late, date(2027, 2, 9), CALENDAR_YEAR)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        (replace(MONTHLY, start=date(2027, 1, 2)), "start"),
        (replace(MONTHLY, end=date(2027, 1, 31)), "end"),
        (replace(MONTHLY, repeats="year"), "end"),
        (replace(QUARTERLY, start=date(2027, 2, 1), end=date(2027, 5, 1)), "start"),
    ],
)
def test_budget_repeats_only_with_a_period_of_the_calendar(changed: Budget, field: str) -> None:
    with pytest.raises(BudgetError, match="company's calendar") as caught:
        check_repeats(changed, CALENDAR_YEAR)
    assert caught.value.field == field
