"""Time zones: when a company's days begin, and how days in UTC are taken apart."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.spend.zones import check_zone, midnights, shares

ZONES = (
    "America/New_York",
    "Europe/Berlin",
    "Asia/Tokyo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Cairo",
    "Etc/GMT+12",
)
DAY = np.timedelta64(1, "D")


@given(st.sampled_from(ZONES), st.dates(date(2008, 1, 1), date(2040, 12, 31)), st.integers(1, 400))
@settings(deadline=None)
def test_days_in_utc_are_taken_apart_without_rest(zone: str, first: date, length: int) -> None:
    days = np.arange(np.datetime64(first, "D"), np.datetime64(first, "D") + length)
    found = midnights(days[0] - DAY, days[-1] + 2 * DAY, zone)
    local = found.days[:-1]
    parts = shares(days, days + DAY, found.of(local), found.of(local + DAY))
    np.testing.assert_allclose(parts.sum(axis=0), 1.0, rtol=0, atol=1e-12)
    assert (parts >= 0.0).all()
    hours = (found.of(local + DAY) - found.of(local)).astype(np.int64) / 3600
    assert set(hours[1:-1]) <= {0.0, 23.0, 23.5, 24.0, 24.5, 25.0}


@given(st.sampled_from(ZONES), st.dates(date(2008, 1, 1), date(2040, 12, 31)))
@settings(deadline=None)
def test_a_day_begins_with_the_first_moment_that_has_its_date(zone: str, day: date) -> None:
    moment = midnights(np.datetime64(day, "D"), np.datetime64(day, "D"), zone).moments[0].astype(datetime).replace(tzinfo=UTC)
    assert moment.astimezone(ZoneInfo(zone)).date() >= day  # later where the calendar leaves the day out
    assert (moment - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date() < day


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", date(2027, 3, 14), 23),
        ("America/New_York", date(2027, 11, 7), 25),
        ("America/Havana", date(2025, 11, 2), 25),  # midnight comes twice
        ("America/Sao_Paulo", date(2018, 11, 4), 23),  # midnight does not come
        ("Australia/Lord_Howe", date(2027, 4, 4), 24.5),
        ("Pacific/Apia", date(2011, 12, 30), 0),  # the day does not come
    ],
)
def test_days_on_which_clocks_change_have_their_own_length(zone: str, day: date, hours: float) -> None:
    begin, end = midnights(np.datetime64(day, "D"), np.datetime64(day, "D") + 1, zone).moments
    assert (end - begin) / np.timedelta64(1, "h") == hours


@pytest.mark.parametrize(("name", "kept"), [("UTC", "UTC"), ("utc", "UTC"), ("Etc/UTC", "UTC"), ("Zulu", "UTC"), ("Europe/Berlin", "Europe/Berlin")])
def test_names_of_zones(name: str, kept: str) -> None:
    assert check_zone(name) == kept


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "Berlin", "+02:00", "../etc/passwd", "/etc/localtime", "Europe/Berlin ", "Europe", "a\0b", "x" * 5000]
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        check_zone(name)
    assert caught.value.field == "time_zone"
