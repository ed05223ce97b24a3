"""The company's calendar: a year that begins in any month, of months or of whole weeks.

A fiscal year is named after the calendar year of the month end that closes it: where it begins in April, 2027-Q1 is April to June 2026.
A year of weeks ends on one weekday, on the last of its closing month or on the one nearest to that month's end (which may be in the first days
of the next month), and so has 52 or 53 weeks. Its quarters have 13 weeks, in periods of 4, 4 and 5 weeks in the order that the pattern
says; a 53rd week goes into the last period.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Literal, get_args

from forecast.errors import InputError
from forecast.spend.days import Granularity, Period, add_months, check_granularity

Pattern = Literal["months", "4-4-5", "4-5-4", "5-4-4"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Rule = Literal["last", "nearest"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class FiscalCalendar:
    """start : month 1..12 in which the fiscal year begins, for years of weeks the month after the one that closes it. pattern : "months", or the
    weeks of a quarter's three periods. week_end : weekday on which years of weeks end. rule : "last" such day of the closing month, or the one
    "nearest" to its end. The last two say nothing where a year is made of months.
    """

    start: int = 1
    pattern: Pattern = "months"
    week_end: Weekday = "saturday"
    rule: Rule = "last"

    def __post_init__(self) -> None:
        if isinstance(self.start, bool) or not 1 <= self.start <= 12:
            raise InputError(
                f"fiscal_start is not a month: got {self.start}, allowed is 1 to 12", field="fiscal_start", got=self.start, allowed="1 to 12"
            )
        _one_of("fiscal_pattern", self.pattern, get_args(Pattern))
        _one_of("fiscal_week_end", self.week_end, WEEKDAYS)
        _one_of("fiscal_rule", self.rule, get_args(Rule))

    @property
    def is_weekly(self) -> bool:
        """Years, quarters and months are made of whole weeks."""
        return self.pattern != "months"

    def year(self, year: int) -> Period:
        """The fiscal year of that name. ValueError, here and below, where it is outside the years 1 to 9999."""
        edges = _edges(self, year)
        return Period(edges[0], edges[12])

    def quarter(self, year: int, number: int) -> Period:
        """Quarter 1..4 of a fiscal year."""
        edges = _edges(self, year)
        return Period(edges[3 * number - 3], edges[3 * number])

    def month(self, year: int, number: int) -> Period:
        """Period 1..12 of a fiscal year: a calendar month, or 4 or 5 weeks (6 where a 53rd week follows on 5)."""
        edges = _edges(self, year)
        return Period(edges[number - 1], edges[number])

    def week(self, year: int, number: int) -> Period:
        """Week 1..53 of a fiscal year of weeks."""
        whole = self.year(year)
        weeks = whole.days // 7
        if not self.is_weekly or not 1 <= number <= weeks:
            allowed = f"weeks 1 to {weeks} of {year}" if self.is_weekly else "calendars of weeks: set fiscal_pattern"
            raise InputError(
                f"The fiscal year {year} has no fiscal week {number}; allowed are {allowed}", field="period", got=number, allowed=allowed
            )
        return Period(whole.start + WEEK * (number - 1), whole.start + WEEK * number)

    def month_of(self, day: date) -> tuple[int, int]:
        """(fiscal year, period 1..12) that `day` lies in."""
        if not self.is_weekly:
            starts_in = day.year if day.month >= self.start else day.year - 1
            return (starts_in if self.start == 1 else starts_in + 1), (day.month - self.start) % 12 + 1
        year = day.year
        if day < _edges(self, year)[0]:
            year -= 1
        elif day >= _edges(self, year)[12]:
            year += 1
        return year, bisect_right(_edges(self, year), day)

    def quarter_of(self, day: date) -> tuple[int, int]:
        """(fiscal year, quarter 1..4) that `day` lies in."""
        year, number = self.month_of(day)
        return year, (number + 2) // 3

    def bucket(self, day: date, granularity: Granularity) -> Period:
        """The day, week, month, quarter or year that `day` lies in.

        Weeks begin on Monday, and in a calendar of weeks on the day after the year's last weekday; months of such a calendar are its periods.
        """
        check_granularity(granularity)
        try:
            if granularity == "day":
                return Period(day, day + timedelta(days=1))
            if granularity == "week":
                first = day - timedelta(days=(day.weekday() - self._first_weekday) % 7)
                return Period(first, first + WEEK)
            if granularity == "month":
                return self.month(*self.month_of(day))
            if granularity == "quarter":
                return self.quarter(*self.quarter_of(day))
            return self.year(self.month_of(day)[0])
        except (ValueError, OverflowError):
            raise InputError(f"{day} is at the end of all calendars", field="period", got=str(day), allowed="0003-01-01 to 9997-12-31") from None

    def name(self, period: Period) -> str | None:
        """What the calendar calls a period, such as "2027", "2027-Q1", in a calendar of weeks "2027-P03"; None where it has no name."""
        try:
            year, number = self.month_of(period.start)
            if self.year(year) == period:
                return str(year)
            if self.quarter(*self.quarter_of(period.start)) == period:
                return f"{year}-Q{(number + 2) // 3}"
            if self.is_weekly and self.month(year, number) == period:
                return f"{year}-P{number:02}"
        except (ValueError, OverflowError):
            return None
        return None

    def before(self, period: Period) -> Period | None:
        """As many periods of a calendar of weeks before, where `period` is made of whole ones; else None."""
        if not self.is_weekly:
            return None
        try:
            (year, number), (end_year, end_number) = self.month_of(period.start), self.month_of(period.end)
            if self.month(year, number).start != period.start or self.month(end_year, end_number).start != period.end:
                return None
            first = 12 * year + number - 1
            earlier = 2 * first - (12 * end_year + end_number - 1)
            return Period(self.month(earlier // 12, earlier % 12 + 1).start, period.start)
        except (ValueError, OverflowError):
            return None

    def describe(self) -> dict[str, Any]:
        """The settings that make this calendar; those that say nothing in it are left out."""
        weeks = {"fiscal_pattern": self.pattern, "fiscal_week_end": self.week_end, "fiscal_rule": self.rule}
        return {"fiscal_start": self.start, **(weeks if self.is_weekly else {})}

    @classmethod
    def described(cls, data: Mapping[str, Any]) -> FiscalCalendar:
        """The calendar of what `describe` gave, and of any data without such names the calendar year."""
        return cls(
            int(data.get("fiscal_start", 1)),
            data.get("fiscal_pattern", "months"),
            data.get("fiscal_week_end", "saturday"),
            data.get("fiscal_rule", "last"),
        )

    @property
    def _first_weekday(self) -> int:
        return (WEEKDAYS.index(self.week_end) + 1) % 7 if self.is_weekly else 0


@lru_cache(maxsize=512)
def _edges(calendar: FiscalCalendar, year: int) -> tuple[date, ...]:
    """First days of the twelve periods of a fiscal year, and the first day after it."""
    if not calendar.is_weekly:
        first = date(year if calendar.start == 1 else year - 1, calendar.start, 1)
        return tuple(add_months(first, months) for months in range(13))
    first, end = _end(calendar, year - 1), _end(calendar, year)
    edges = [first]
    for weeks in [int(weeks) for weeks in calendar.pattern.split("-")] * 4:
        edges.append(edges[-1] + WEEK * weeks)
    return (*edges[:12], end)


def _end(calendar: FiscalCalendar, year: int) -> date:
    """First day after a fiscal year of weeks."""
    end = date(year + 1, 1, 1) if calendar.start == 1 else date(year, calendar.start, 1)
    # The last such weekday of the closing month is 0 to 6 days before its end; from 4 days on the one after it is nearer.
    back = (end.weekday() - WEEKDAYS.index(calendar.week_end) - 1) % 7
    return end + timedelta(days=7 - back if calendar.rule == "nearest" and back > 3 else -back)


def _one_of(field: str, got: str, allowed: tuple[str, ...]) -> None:
    if got not in allowed:
        raise InputError(f"{field} is not one that is known: got {got!r}", field=field, got=got, allowed=", ".join(allowed))


CALENDAR_YEAR = FiscalCalendar()
