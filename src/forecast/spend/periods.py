"""Calendar and fiscal periods as half-open day ranges [start, end): read from text, cut into buckets, compared with the one before."""

from __future__ import annotations

import re
from datetime import date, timedelta

from forecast.errors import InputError
from forecast.spend.days import GRANULARITIES, Granularity, Period, add_months, check_granularity, parse_day
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar

__all__ = ["GRANULARITIES", "Granularity", "Period", "add_months", "next_quarter", "parse_day", "parse_period", "period_before", "split"]

_QUARTER = re.compile(r"(\d{4})-?Q([1-4])", re.IGNORECASE)
_FISCAL_MONTH = re.compile(r"(\d{4})-?P(0[1-9]|1[0-2])", re.IGNORECASE)
_FISCAL_WEEK = re.compile(r"(\d{4})-?FW(\d{2})", re.IGNORECASE)
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_WEEK = re.compile(r"(\d{4})-?W(\d{2})", re.IGNORECASE)
_YEAR = re.compile(r"(\d{4})")
_ALLOWED = "2027-Q1, 2027-03, 2027-P03, 2027-W05, 2027 or START..END with days such as 2027-01-01..2027-04-01"


def parse_period(text: str, calendar: FiscalCalendar = CALENDAR_YEAR) -> Period:
    """A period from `2027-Q1`, `2027-03`, `2027-P03`, `2027-W05`, `2027-FW05`, `2027` or `2027-01-01..2027-04-01` (end exclusive).

    Quarters and years are those of `calendar`. `2027-03` is always March and `2027-P03` always the fiscal year's third period; `2027-W05` is
    always the ISO week and `2027-FW05` the fifth week of a fiscal year of weeks.
    """
    text = text.strip()
    try:
        if match := _QUARTER.fullmatch(text):
            return calendar.quarter(int(match[1]), int(match[2]))
        if match := _FISCAL_MONTH.fullmatch(text):
            return calendar.month(int(match[1]), int(match[2]))
        if match := _FISCAL_WEEK.fullmatch(text):
            return calendar.week(int(match[1]), int(match[2]))
        if match := _MONTH.fullmatch(text):
            first = date(int(match[1]), int(match[2]), 1)
            return Period(first, add_months(first, 1))
        if match := _WEEK.fullmatch(text):
            monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
            return Period(monday, monday + timedelta(days=7))
        if match := _YEAR.fullmatch(text):
            return calendar.year(int(match[1]))
        if ".." in text:
            start, end = text.split("..", 1)
            return Period(parse_day(start, "start"), parse_day(end, "end"))
    except (ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
    raise InputError(f"period is not one that is known: got {text!r}, allowed is {_ALLOWED}", field="period", got=text, allowed=_ALLOWED)


def next_quarter(day: date, calendar: FiscalCalendar = CALENDAR_YEAR) -> tuple[str, Period]:
    """Label and days of the first fiscal quarter that starts after `day`."""
    year, quarter = calendar.quarter_of(day)
    year, quarter = (year + 1, 1) if quarter == 4 else (year, quarter + 1)
    return f"{year}-Q{quarter}", calendar.quarter(year, quarter)


def period_before(period: Period, calendar: FiscalCalendar = CALENDAR_YEAR) -> Period:
    """The period before: as many fiscal periods or months where it is made of whole ones, else as many days."""
    earlier = calendar.before(period)
    if earlier is not None:
        return earlier
    if period.start.day == period.end.day == 1:
        months = (period.end.year - period.start.year) * 12 + period.end.month - period.start.month
        if period.start.year * 12 + period.start.month - 1 - months >= 12:
            return Period(add_months(period.start, -months), period.start)
    days = timedelta(days=period.days)
    return Period(period.start - min(days, period.start - date.min), period.start)


def split(period: Period, granularity: Granularity, calendar: FiscalCalendar = CALENDAR_YEAR) -> list[Period]:
    """Buckets of the calendar that cover `period`, the first and last clipped to it."""
    check_granularity(granularity)
    buckets, start = [], period.start
    while start < period.end:
        end = min(calendar.bucket(start, granularity).end, period.end)
        buckets.append(Period(start, end))
        start = end
    return buckets
