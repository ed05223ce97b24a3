"""Calendar and fiscal periods as half-open day ranges [start, end).

A fiscal year is named after the calendar year in which it ends: with `fiscal_start=4`, 2027-Q1 is April to June 2026.
With the default `fiscal_start=1` fiscal and calendar years are the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from forecast.errors import InputError

Granularity = Literal["hour", "day", "week", "month", "quarter", "year"]
GRANULARITIES: tuple[Granularity, ...] = ("day", "week", "month", "quarter", "year")

_QUARTER = re.compile(r"^(\d{4})-?Q([1-4])$", re.IGNORECASE)
_MONTH = re.compile(r"^(\d{4})-(\d{2})$")
_WEEK = re.compile(r"^(\d{4})-?W(\d{2})$", re.IGNORECASE)
_YEAR = re.compile(r"^(\d{4})$")
_ALLOWED = "2027-Q1, 2027-03, 2027-W05, 2027 or START..END with days such as 2027-01-01..2027-04-01"


@dataclass(frozen=True, order=True)
class Period:
    """Days from `start` up to, not including, `end`."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise InputError(
                f"Period is reversed or empty: start {self.start}, end {self.end}; the end is exclusive and must be later than the start",
                field="end",
                got=str(self.end),
                allowed=f"a day after {self.start}",
            )

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    def __str__(self) -> str:
        return f"{self.start}..{self.end}"


def parse_day(text: str | date | datetime, field: str = "date") -> date:
    """A day from ISO text or a date; a time stamp counts on its UTC day."""
    if isinstance(text, datetime):
        return text.date()
    if isinstance(text, date):
        return text
    try:
        return date.fromisoformat(text.strip()[:10]) if len(text.strip()) == 10 else datetime.fromisoformat(text.strip()).date()
    except (ValueError, AttributeError):
        raise InputError(f"{field} is not a day: got {text!r}, allowed is YYYY-MM-DD", field=field, got=text, allowed="YYYY-MM-DD") from None


def parse_period(text: str, fiscal_start: int = 1) -> Period:
    """A period from `2027-Q1`, `2027-03`, `2027-W05`, `2027` or `2027-01-01..2027-04-01` (end exclusive).

    Quarters and years are fiscal where `fiscal_start` (month 1..12) is not 1; weeks are ISO weeks; months are calendar months.
    """
    check_fiscal_start(fiscal_start)
    text = text.strip()
    try:
        if match := _QUARTER.match(text):
            return fiscal_quarter(int(match[1]), int(match[2]), fiscal_start)
        if match := _MONTH.match(text):
            first = date(int(match[1]), int(match[2]), 1)
            return Period(first, add_months(first, 1))
        if match := _WEEK.match(text):
            monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
            return Period(monday, monday + timedelta(days=7))
        if match := _YEAR.match(text):
            first = fiscal_quarter(int(match[1]), 1, fiscal_start).start
            return Period(first, add_months(first, 12))
        if ".." in text:
            start, end = text.split("..", 1)
            return Period(parse_day(start, "start"), parse_day(end, "end"))
    except (ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
    raise InputError(f"period is not one that is known: got {text!r}, allowed is {_ALLOWED}", field="period", got=text, allowed=_ALLOWED)


def fiscal_quarter(year: int, quarter: int, fiscal_start: int = 1) -> Period:
    """Quarter 1..4 of the fiscal year named `year`."""
    first_year = year if fiscal_start == 1 else year - 1
    start = add_months(date(first_year, fiscal_start, 1), 3 * (quarter - 1))
    return Period(start, add_months(start, 3))


def quarter_of(day: date, fiscal_start: int = 1) -> tuple[int, int]:
    """(fiscal year, quarter) that `day` lies in."""
    months = (day.month - fiscal_start) % 12
    starts_in = day.year if day.month >= fiscal_start else day.year - 1
    return (starts_in if fiscal_start == 1 else starts_in + 1), months // 3 + 1


def next_quarter(day: date, fiscal_start: int = 1) -> tuple[str, Period]:
    """Label and days of the first fiscal quarter that starts after `day`."""
    check_fiscal_start(fiscal_start)
    year, quarter = quarter_of(day, fiscal_start)
    year, quarter = (year + 1, 1) if quarter == 4 else (year, quarter + 1)
    return f"{year}-Q{quarter}", fiscal_quarter(year, quarter, fiscal_start)


def period_before(period: Period) -> Period:
    """The period before: as many months where a period is made of whole months, else as many days."""
    if period.start.day == period.end.day == 1:
        months = (period.end.year - period.start.year) * 12 + period.end.month - period.start.month
        if period.start.year * 12 + period.start.month - 1 - months >= 12:
            return Period(add_months(period.start, -months), period.start)
    days = timedelta(days=period.days)
    return Period(period.start - min(days, period.start - date.min), period.start)


def check_fiscal_start(month: int) -> None:
    if not 1 <= month <= 12:
        raise InputError(f"fiscal_start is not a month: got {month}, allowed is 1 to 12", field="fiscal_start", got=month, allowed="1 to 12")


def add_months(day: date, months: int) -> date:
    """First-of-month arithmetic: the day of the month is kept, which callers only use with days up to 28."""
    index = day.year * 12 + day.month - 1 + months
    return date(index // 12, index % 12 + 1, day.day)


def floor_to(day: date, granularity: Granularity, fiscal_start: int = 1) -> date:
    """First day of the bucket that `day` lies in; weeks start on Monday."""
    if granularity == "week":
        return day - timedelta(days=day.weekday())
    if granularity == "month":
        return day.replace(day=1)
    if granularity == "quarter":
        return fiscal_quarter(*quarter_of(day, fiscal_start), fiscal_start).start
    if granularity == "year":
        return fiscal_quarter(quarter_of(day, fiscal_start)[0], 1, fiscal_start).start
    return day


def _next(day: date, granularity: Granularity) -> date:
    if granularity == "day":
        return day + timedelta(days=1)
    if granularity == "week":
        return day + timedelta(days=7)
    return add_months(day, {"month": 1, "quarter": 3, "year": 12}[granularity])


def split(period: Period, granularity: Granularity, fiscal_start: int = 1) -> list[Period]:
    """Buckets of the calendar that cover `period`, the first and last clipped to it."""
    if granularity not in GRANULARITIES:
        raise InputError(
            f"granularity is not one that is known: got {granularity!r}, allowed are {', '.join(GRANULARITIES)}",
            field="granularity",
            got=granularity,
            allowed=", ".join(GRANULARITIES),
        )
    buckets, start = [], floor_to(period.start, granularity, fiscal_start)
    while start < period.end:
        end = _next(start, granularity)
        buckets.append(Period(max(start, period.start), min(end, period.end)))
        start = end
    return buckets
