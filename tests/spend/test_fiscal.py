"""Fiscal calendars: years of months and years of weeks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.tseries.offsets import FY5253

from forecast.errors import InputError
from forecast.spend.fiscal import CALENDAR_YEAR, WEEKDAYS, FiscalCalendar, Pattern, Rule
from forecast.spend.periods import GRANULARITIES, Granularity, Period, next_quarter, parse_period, period_before, split

RETAIL = FiscalCalendar(2, "4-5-4", "saturday", "nearest")
SEPTEMBER = FiscalCalendar(10, "4-4-5", "saturday", "last")
PATTERNS: tuple[Pattern, ...] = ("months", "4-4-5", "4-5-4", "5-4-4")
RULES: tuple[Rule, ...] = ("last", "nearest")

calendars = st.builds(FiscalCalendar, st.integers(1, 12), st.sampled_from(PATTERNS), st.sampled_from(WEEKDAYS), st.sampled_from(RULES))
weekly = st.builds(FiscalCalendar, st.integers(1, 12), st.sampled_from(PATTERNS[1:]), st.sampled_from(WEEKDAYS), st.sampled_from(RULES))
years = st.integers(1990, 2090)
days = st.dates(date(1990, 1, 1), date(2090, 12, 31))


@given(calendars, years)
def test_years_touch_and_their_quarters_and_months_partition_them(calendar: FiscalCalendar, year: int) -> None:
    whole = calendar.year(year)
    assert whole.end == calendar.year(year + 1).start
    for read, number in ((calendar.quarter, 4), (calendar.month, 12)):
        check_partition(whole, [read(year, place) for place in range(1, number + 1)])
    for quarter in range(1, 5):
        check_partition(calendar.quarter(year, quarter), [calendar.month(year, 3 * quarter - 2 + place) for place in range(3)])


@given(weekly, years)
def test_weeks_of_a_year_partition_it_and_follow_the_pattern(calendar: FiscalCalendar, year: int) -> None:
    whole = calendar.year(year)
    assert whole.days in {364, 371}
    check_partition(whole, [calendar.week(year, number) for number in range(1, whole.days // 7 + 1)])
    check_partition(whole, split(whole, "week", calendar))
    weeks = [calendar.month(year, number).days // 7 for number in range(1, 13)]
    usual = [int(part) for part in calendar.pattern.split("-")] * 4
    assert weeks[:11] == usual[:11]
    assert weeks[11] - usual[11] == whole.days // 7 - 52
    assert WEEKDAYS[(whole.end - timedelta(days=1)).weekday()] == calendar.week_end
    with pytest.raises(InputError, match="no fiscal week"):
        calendar.week(year, whole.days // 7 + 1)


@given(calendars, days, st.sampled_from(GRANULARITIES))
def test_every_day_lies_in_exactly_one_bucket(calendar: FiscalCalendar, day: date, granularity: Granularity) -> None:
    bucket = calendar.bucket(day, granularity)
    assert bucket.start <= day < bucket.end
    assert calendar.bucket(bucket.start, granularity) == calendar.bucket(bucket.end - timedelta(days=1), granularity) == bucket
    assert calendar.bucket(bucket.end, granularity).start == bucket.end


@given(calendars, days, st.integers(1, 800), st.sampled_from(GRANULARITIES))
def test_buckets_cover_any_days_once_and_in_order(calendar: FiscalCalendar, start: date, length: int, granularity: Granularity) -> None:
    period = Period(start, start + timedelta(days=length))
    check_partition(period, split(period, granularity, calendar))


@given(calendars, days)
def test_names_are_read_back(calendar: FiscalCalendar, day: date) -> None:
    for granularity in ("month", "quarter", "year"):
        period = calendar.bucket(day, granularity)
        name = calendar.name(period)
        if granularity != "month" or calendar.is_weekly:
            assert name is not None
            assert parse_period(name, calendar) == period
    year, number = calendar.month_of(day)
    assert parse_period(f"{year}-P{number:02}", calendar) == calendar.bucket(day, "month")
    assert parse_period(f"{day:%Y-%m}", calendar) == CALENDAR_YEAR.bucket(day, "month")


@given(weekly, days, st.sampled_from(["month", "quarter", "year"]))
def test_the_period_before_is_the_calendars(calendar: FiscalCalendar, day: date, granularity: Granularity) -> None:
    bucket = calendar.bucket(day, granularity)
    assert period_before(bucket, calendar) == calendar.bucket(bucket.start - timedelta(days=1), granularity)


@given(calendars, days)
def test_the_next_quarter_starts_after_the_day(calendar: FiscalCalendar, day: date) -> None:
    label, period = next_quarter(day, calendar)
    assert day < period.start <= day + timedelta(days=98)
    assert parse_period(label, calendar) == period
    assert calendar.bucket(day, "quarter").end == period.start


@given(weekly, years)
def test_years_of_weeks_end_where_pandas_has_them(calendar: FiscalCalendar, year: int) -> None:
    closing = calendar.start - 1 or 12
    offset = FY5253(weekday=WEEKDAYS.index(calendar.week_end), startingMonth=closing, variation=calendar.rule)
    assert offset.is_on_offset(pd.Timestamp(calendar.year(year).end - timedelta(days=1)))


@given(years, st.integers(1, 12))
def test_a_year_of_months_is_named_by_the_calendar_year_in_which_it_ends(year: int, start: int) -> None:
    calendar = FiscalCalendar(start)
    assert (calendar.year(year).end - timedelta(days=1)).year == year
    assert calendar.year(year).start.month == start


@pytest.mark.parametrize(
    ("calendar", "long_years"),
    [
        # The retailers' published 53-week years are 2000, 2006, 2012, 2017 and 2023, named there by their first month.
        (RETAIL, {2001, 2007, 2013, 2018, 2024}),
        (SEPTEMBER, {2000, 2006, 2012, 2017, 2023}),
        (FiscalCalendar(1, "4-4-5", "saturday", "last"), {2000, 2005, 2011, 2016, 2022}),
    ],
)
def test_years_of_53_weeks_are_the_published_ones(calendar: FiscalCalendar, long_years: set[int]) -> None:
    assert {year for year in range(2000, 2025) if calendar.year(year).days == 371} == long_years


def test_published_years_begin_and_end_on_their_days() -> None:
    assert RETAIL.year(2024) == Period(date(2023, 1, 29), date(2024, 2, 4))
    assert RETAIL.year(2025) == Period(date(2024, 2, 4), date(2025, 2, 2))
    assert RETAIL.month(2024, 12).days == 35
    assert SEPTEMBER.year(2023) == Period(date(2022, 9, 25), date(2023, 10, 1))
    assert SEPTEMBER.year(2024).end == date(2024, 9, 29)
    assert SEPTEMBER.month(2023, 12).days == 42


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024", "2023-01-29", "2024-02-04"),
        ("2024-Q4", "2023-10-29", "2024-02-04"),
        ("2024-P02", "2023-02-26", "2023-04-02"),
        ("2024p12", "2023-12-31", "2024-02-04"),
        ("2024-FW53", "2024-01-28", "2024-02-04"),
        ("2024-02", "2024-02-01", "2024-03-01"),
        ("2024-W05", "2024-01-29", "2024-02-05"),
    ],
)
def test_fiscal_periods_and_calendar_periods_are_written_differently(text: str, start: str, end: str) -> None:
    assert parse_period(text, RETAIL) == Period(date.fromisoformat(start), date.fromisoformat(end))


def test_the_third_period_of_a_year_of_months_is_its_third_month() -> None:
    assert parse_period("2027-P03", FiscalCalendar(4)) == parse_period("2026-06")
    assert parse_period("2027-P03") == parse_period("2027-03")


@pytest.mark.parametrize("text", ["2027-P00", "2027-P13", "2027-P3", "2027-FW54", "2027-FW00", "0001", "0001-P01"])
def test_what_is_not_in_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_period(text, RETAIL)
    assert caught.value.field == "period"


def test_fiscal_weeks_need_a_year_of_weeks() -> None:
    with pytest.raises(InputError, match="fiscal_pattern"):
        parse_period("2027-FW05")


@pytest.mark.parametrize("day", [date.min, date.max])
@pytest.mark.parametrize("calendar", [RETAIL, FiscalCalendar(4)])
def test_the_ends_of_time_are_an_error_that_is_named(day: date, calendar: FiscalCalendar) -> None:
    with pytest.raises(InputError, match="end of all calendars"):
        calendar.bucket(day, "year")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: FiscalCalendar(0), "fiscal_start"),
        (lambda: FiscalCalendar(13), "fiscal_start"),
        (lambda: FiscalCalendar(True), "fiscal_start"),
        (lambda: FiscalCalendar(1, "4-4-4"), "fiscal_pattern"),  # type: ignore[arg-type]
        (lambda: FiscalCalendar(1, "4-4-5", "sat"), "fiscal_week_end"),  # type: ignore[arg-type]
        (lambda: FiscalCalendar(1, "4-4-5", "sunday", "first"), "fiscal_rule"),  # type: ignore[arg-type]
        (lambda: CALENDAR_YEAR.bucket(date(2027, 1, 1), "hour"), "granularity"),
    ],
)
def test_what_is_no_calendar_is_refused(make: Callable[[], object], field: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.field == field


@given(calendars)
def test_a_described_calendar_is_the_same_one(calendar: FiscalCalendar) -> None:
    again = FiscalCalendar.described(calendar.describe())
    assert again == calendar if calendar.is_weekly else again == FiscalCalendar(calendar.start)
    assert FiscalCalendar.described({}) == CALENDAR_YEAR


def check_partition(whole: Period, parts: list[Period]) -> None:
    assert parts[0].start == whole.start
    assert parts[-1].end == whole.end
    assert all(left.end == right.start for left, right in pairwise(parts))
