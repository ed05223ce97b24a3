"""How complete days are: what is learned from versions of bills, and what must not be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError
from forecast.spend.completeness import Completeness, benefit_of_doubt, is_settled, learn_completeness
from forecast.spend.examples import Pool
from tests.spend.bills import START, after_hours, bill, connected, final_costs


def day(number: int) -> np.datetime64:
    return np.datetime64(START.isoformat(), "h") + np.timedelta64(24 * number, "h")


def at(number: int, hours: float = 0.0) -> pd.Timestamp:
    """Some hours after the end of a day."""
    return START + pd.Timedelta(days=number + 1, hours=hours)


def pool_of(developments: pd.DataFrame, number: int, hours: float, source: str = "vendor") -> Pool:
    return learn_completeness(developments, at(number, hours)).pool(source, day(number))


def test_day_is_empty_before_the_vendor_delivers_and_complete_after() -> None:
    developments = bill("vendor", final_costs(120), after_hours(8))
    before, after = pool_of(developments, 100, 7), pool_of(developments, 100, 9)
    assert not before.has_arrived
    assert before.mean == pytest.approx(0.0)
    assert before.not_arrived == 1.0
    assert after.has_arrived
    assert after.mean == pytest.approx(1.0)
    assert is_settled(after)
    assert not is_settled(before)


def test_totals_that_are_too_high_at_first_are_shares_above_one() -> None:
    rng = np.random.default_rng(1)
    first = np.where(rng.random(150) < 0.6, rng.uniform(1.06, 1.11, 150), 1.0)
    developments = bill("vendor", final_costs(150), after_hours(5), first=first)
    early, late = pool_of(developments, 140, 10), pool_of(developments, 140, 60)
    assert early.quantile([0.9])[0] == pytest.approx(1.10, abs=0.01)
    assert 1.03 < early.mean < 1.07
    assert not is_settled(early)
    assert is_settled(late)


def test_day_that_was_corrected_already_is_more_settled_than_one_that_was_not() -> None:
    rng = np.random.default_rng(1)
    final, first, hours = final_costs(150), np.where(rng.random(150) < 0.6, 1.08, 1.0), rng.uniform(25.0, 72.0, 150)
    days = pd.date_range(START, periods=150, freq="D")
    ends = days + pd.Timedelta(days=1)
    early = pd.DataFrame({"source": "vendor", "ds": days, "known_at": ends + pd.Timedelta(hours=5), "change": final * first})
    rest = pd.DataFrame({"source": "vendor", "ds": days, "known_at": ends + pd.to_timedelta(hours, unit="h"), "change": final * (1.0 - first)})
    developments = pd.concat([early, rest[first != 1.0]])
    corrected = np.flatnonzero((first != 1.0) & (hours < 48))[-3:]
    others = np.flatnonzero((first == 1.0) | (hours > 48))[-3:]
    assert all(pool_of(developments, number, 48).change_probability < 0.1 for number in corrected)
    assert all(pool_of(developments, number, 48).change_probability > 0.2 for number in others)


def test_history_that_was_connected_at_once_says_nothing_about_lateness() -> None:
    developments = connected(bill("vendor", final_costs(300), after_hours(8)), at(259))
    pool = pool_of(developments, 298, 10)
    assert pool.mean == pytest.approx(1.0)
    assert 10 < pool.days < 40
    only_history = developments[developments["known_at"] <= at(259)]
    alone = learn_completeness(only_history, at(259, 1)).pool("vendor", day(259))
    assert alone.days == 0.0
    assert not is_settled(alone)


def test_history_loaded_file_by_file_is_one_delivery() -> None:
    developments = connected(bill("vendor", final_costs(300), after_hours(8)), at(259))
    months = developments["ds"].dt.month + 12 * developments["ds"].dt.year
    loaded = developments["known_at"] == at(259)
    hours = pd.to_timedelta((months - months.min()).where(loaded, 0), unit="h")
    pool = pool_of(developments.assign(known_at=developments["known_at"] + hours), 298, 10)
    assert pool.mean == pytest.approx(1.0)
    assert pool.not_arrived == 0.0


def test_series_connected_later_with_its_history_was_not_late() -> None:
    old, new = bill("old", final_costs(300), after_hours(8)), bill("new", final_costs(300, 2), after_hours(8))
    developments = pd.concat([old, connected(new, at(200))])
    found = learn_completeness(developments, at(298, 10), source_of={"old": "vendor", "new": "vendor"}).pool("vendor", day(298))
    assert found.mean == pytest.approx(1.0, abs=0.02)


def test_vendor_that_delivers_on_mondays_is_read_on_the_clock_of_weeks() -> None:
    def arrival(number: int, end: pd.Timestamp) -> pd.Timestamp:
        return START + pd.Timedelta(days=7 * (number // 7 + 1), hours=9)

    found = learn_completeness(bill("vendor", final_costs(140), arrival), at(135, 12))
    assert found.sources["vendor"].clock == "week"
    assert found.pool("vendor", day(135)).mean == pytest.approx(0.0)
    assert is_settled(found.pool("vendor", day(130)))


def test_vendor_that_sends_an_invoice_after_the_month_is_read_on_the_clock_of_months() -> None:
    def arrival(number: int, end: pd.Timestamp) -> pd.Timestamp:
        return (end - pd.Timedelta(days=1) + pd.offsets.MonthBegin()) + pd.Timedelta(hours=60)

    found = learn_completeness(bill("vendor", final_costs(260), arrival), at(250, 12))
    assert found.sources["vendor"].clock == "month"
    assert found.pool("vendor", day(250)).mean == pytest.approx(0.0)
    assert found.pool("vendor", day(200)).mean == pytest.approx(1.0)


def test_weekend_days_that_wait_for_monday_are_told_apart() -> None:
    def arrival(number: int, end: pd.Timestamp) -> pd.Timestamp:
        return end + pd.Timedelta(hours=6 + {4: 48, 5: 24}.get((end - pd.Timedelta(days=1)).day_of_week, 0))

    developments = bill("vendor", final_costs(140), arrival)
    saturday, tuesday = 131, 127
    assert pool_of(developments, saturday, 12).not_arrived > 0.9
    assert pool_of(developments, tuesday, 12).not_arrived < 0.1


def test_source_that_changed_its_rhythm_is_judged_by_its_recent_days() -> None:
    developments = bill("vendor", final_costs(200), lambda number, end: end + pd.Timedelta(hours=5 if number < 120 else 30))
    assert pool_of(developments, 195, 12).not_arrived > 0.8


def test_source_with_few_days_borrows_from_the_others() -> None:
    late = bill("late", final_costs(150), after_hours(30))
    young = bill("young", final_costs(150, 3), after_hours(30))
    developments = pd.concat([late, young[young["ds"] >= at(134)]])
    pool = pool_of(developments, 148, 40, "young")
    assert 0 < pool.days < 10
    assert len(pool.total) > 2 * pool.days
    assert pool.own < 0.9


def test_what_became_known_later_is_not_looked_at() -> None:
    developments = bill("vendor", final_costs(150), after_hours(8), first=1.05)
    poisoned = developments.assign(change=developments["change"].where(developments["known_at"] <= at(120, 10), 1e9))
    clean, other = pool_of(developments, 120, 10), pool_of(poisoned, 120, 10)
    np.testing.assert_array_equal(clean.total, other.total)
    np.testing.assert_array_equal(clean.weight, other.weight)


def test_watermarks_say_what_they_rest_on() -> None:
    found = learn_completeness(bill("vendor", final_costs(150), after_hours(30)), at(140, 6))
    table = found.watermarks(pd.date_range(START + pd.Timedelta(days=136), periods=5), levels=(0.05, 0.95))
    assert list(table.columns[:6]) == ["source", "ds", "age", "share_known", "share_0.05", "share_0.95"]
    assert list(table.columns[6:]) == ["change_probability", "settled", "days_observed", "arrived"]
    assert table["age"].tolist() == [102.0, 78.0, 54.0, 30.0, 6.0]
    assert table["settled"].tolist() == [True, True, True, True, False]
    assert (table["days_observed"] > 30).all()


def test_hours_of_a_day_that_is_delivered_at_once_are_complete_together() -> None:
    hours = pd.date_range(START, periods=60 * 24, freq="h")
    known = hours.normalize() + pd.Timedelta(days=1, hours=5)
    developments = pd.DataFrame({"source": "vendor", "ds": hours, "known_at": known, "change": 1.0})
    moment = START + pd.Timedelta(days=50, hours=6)
    found = learn_completeness(developments, moment, freq="h")
    assert found.sources["vendor"].clock == "day"
    assert found.pool("vendor", np.datetime64(moment - pd.Timedelta(hours=7), "h")).mean == pytest.approx(1.0)
    assert found.pool("vendor", np.datetime64(moment - pd.Timedelta(hours=1), "h")).mean == pytest.approx(0.0)


def test_unknown_source_has_no_examples() -> None:
    pool = Completeness(np.datetime64("2026-02-01", "us"), "D", {}, 30.0).pool("nobody", np.datetime64("2026-01-31", "h"))
    assert pool.days == 0.0
    assert pool.mean == pytest.approx(1.0)
    assert pool.quantile([0.1, 0.9]).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("column", ["source", "ds", "known_at", "change"])
def test_missing_column_is_named(column: str) -> None:
    with pytest.raises(InputError, match=column):
        learn_completeness(bill("vendor", final_costs(20), after_hours(1)).drop(columns=column), at(10))


def test_unknown_frequency_is_refused() -> None:
    with pytest.raises(InputError, match="freq"):
        learn_completeness(bill("vendor", final_costs(20), after_hours(1)), at(10), freq="W")


def test_detector_gives_incomplete_days_the_benefit_of_doubt() -> None:
    one = np.ones(1)

    def scored(known: float, low: float, high: float) -> float:
        return float(benefit_of_doubt(known * one, 100.0 * one, low * one, high * one)[0])

    assert scored(40.0, 0.3, 1.0) == 100.0  # may yet become usual
    assert scored(0.0, 0.0, 1.0) == 100.0  # nothing has come, and may not have
    assert scored(40.0, 0.9, 1.0) == pytest.approx(40.0 / 0.9)  # too little even if a tenth is missing
    assert scored(500.0, 0.3, 1.0) == 500.0  # too much already
    assert scored(108.0, 1.0, 1.1) == 100.0  # an early total that is usually too high
    assert scored(40.0, 1.0, 1.0) == 40.0  # settled
