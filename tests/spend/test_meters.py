"""Kinds of meter, the last month, and money that is known."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from forecast.spend.known_money import ONE_OFF, SCHEDULED, known_money, money_by_day
from forecast.spend.meters import meter_kind, recent_start
from forecast.spend.schedules import Schedules
from forecast.spend.split_history import SplitHistory


@pytest.mark.parametrize(
    ("meter", "kind"),
    [
        ("Input Tokens", "input tokens"),
        ("Cached Input Tokens", "input tokens"),
        ("input_cached_tokens", "input tokens"),
        ("cache_read_input_tokens", "input tokens"),
        ("cache-creation-input-tokens", "input tokens"),
        ("Output Tokens", "output tokens"),
        ("Read Units", "read units"),
        ("Instance Hours", "instance hours"),
        ("Cache Reads", "cache reads"),
        ("(none)", "(none)"),
    ],
)
def test_tokens_from_a_cache_are_of_one_kind_with_those_that_are_not(meter: str, kind: str) -> None:
    assert meter_kind(meter) == kind


def test_the_last_month_has_each_day_of_a_month_and_one_months_end() -> None:
    assert recent_start(date(2026, 10, 31)) == date(2026, 10, 1)
    assert recent_start(date(2026, 12, 10)) == date(2026, 11, 11)
    assert recent_start(date(2027, 2, 28)) == date(2027, 2, 1)
    for day in (date(2026, 1, 31) + timedelta(days=number) for number in range(800)):
        first = recent_start(day)
        days = [first + timedelta(days=number) for number in range((day - first).days + 1)]
        assert 28 <= len(days) <= 31
        assert sum((one + timedelta(days=1)).day == 1 for one in days) == 1, day


def test_known_money_comes_back_day_by_day() -> None:
    days = np.arange(np.datetime64("2026-01-01"), np.datetime64("2026-01-11"))
    rng = np.random.default_rng(0)
    one_offs, scheduled = (np.where(rng.random((3, 10)) < 0.2, rng.normal(100.0, 50.0, (3, 10)), 0.0) for _ in range(2))
    empty = np.zeros(0)
    none = Schedules(
        *(empty.astype(np.int64), empty.astype(object), empty.astype(object), empty.astype(np.int64), empty.astype("datetime64[D]"), empty),
        *(empty.astype(np.bool_), empty.astype(np.bool_), empty.astype("datetime64[D]"), empty.astype(np.int64), empty.astype(np.bool_)),
        *(empty, empty, empty),
        n_leaves=3,
    )
    frame = known_money(SplitHistory(np.zeros((3, 10)), one_offs, scheduled, none), days)
    np.testing.assert_array_equal(money_by_day(frame, ONE_OFF, 3, days), one_offs)
    np.testing.assert_array_equal(money_by_day(frame, SCHEDULED, 3, days), scheduled)
    np.testing.assert_array_equal(money_by_day(frame, SCHEDULED, 3, days[4:8]), scheduled[:, 4:8])
    assert not money_by_day(None, ONE_OFF, 3, days).any()
