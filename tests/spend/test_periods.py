"""Calendar and fiscal periods."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.spend.fiscal import FiscalCalendar
from forecast.spend.periods import GRANULARITIES, Granularity, Period, next_quarter, parse_period, split

DAYS = st.dates(date(2020, 1, 1), date(2035, 12, 31))


@pytest.mark.parametrize(
    ("text", "fiscal_start", "start", "end"),
    [
        ("2027-Q1", 1, "2027-01-01", "2027-04-01"),
        ("2027-Q1", 4, "2026-04-01", "2026-07-01"),
        ("2027-Q4", 4, "2027-01-01", "2027-04-01"),
        ("2027-03", 1, "2027-03-01", "2027-04-01"),
        ("2026-12", 7, "2026-12-01", "2027-01-01"),
        ("2027", 1, "2027-01-01", "2028-01-01"),
        ("2027", 10, "2026-10-01", "2027-10-01"),
        ("2026-W53", 1, "2026-12-28", "2027-01-04"),
        ("2026-01-05..2026-02-01", 1, "2026-01-05", "2026-02-01"),
    ],
)
def test_period_texts(text: str, fiscal_start: int, start: str, end: str) -> None:
    assert parse_period(text, FiscalCalendar(fiscal_start)) == Period(date.fromisoformat(start), date.fromisoformat(end))


@pytest.mark.parametrize("text", ["", "2027-Q5", "2027-13", "soon", "2027-01-01..2026-01-01", "2027-01-01..2027-01-01", "2025-W54", "0000-Q1"])
def test_what_is_not_a_period_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_period(text)
    assert caught.value.field in {"period", "end", "start"}


@given(DAYS, st.integers(1, 12))
def test_next_quarter_starts_after_the_day_and_within_three_months(day: date, fiscal_start: int) -> None:
    calendar = FiscalCalendar(fiscal_start)
    label, period = next_quarter(day, calendar)
    assert day < period.start <= day + timedelta(days=92)
    assert period == parse_period(label, calendar)
    year, quarter = calendar.quarter_of(period.start)
    assert label == f"{year}-Q{quarter}"


@given(DAYS, st.integers(1, 400), st.sampled_from(GRANULARITIES), st.integers(1, 12))
def test_buckets_cover_a_period_once_and_in_order(start: date, days: int, granularity: Granularity, fiscal_start: int) -> None:
    period = Period(start, start + timedelta(days=days))
    buckets = split(period, granularity, FiscalCalendar(fiscal_start))
    assert buckets[0].start == period.start
    assert buckets[-1].end == period.end
    assert all(left.end == right.start for left, right in pairwise(buckets))
