"""Answers in the company's time zone: no answer contradicts another, no money is lost, and UTC is what it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.snapshot import Snapshot
from forecast.spend.fiscal import FiscalCalendar
from forecast.spend.periods import Period, parse_period, split
from forecast.spend.scope import Scope
from forecast.workflows.explanation import explain, explanation_answer
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.leaf_days import leaf_days
from forecast.workflows.quarter import quarter_answer
from forecast.workflows.readings import read_groups, read_scope
from forecast.workflows.whatif import whatif_answer
from tests.oracles.company_days import slow_total
from tests.snapshots_for_tests import CUTOFF, make_snapshot, shared_snapshot
from tests.workflows.planted import planted_snapshot

WEST, EAST, NEAR, HALF = "America/Los_Angeles", "Asia/Tokyo", "Europe/Berlin", "Asia/Kolkata"
ZONES = (WEST, EAST, NEAR, HALF, "Pacific/Kiritimati", "Etc/GMT+12")
DST = Period(date(2027, 3, 10), date(2027, 3, 31))
"""Days in which clocks change in Los Angeles and in Berlin."""


@cache
def provisional() -> Snapshot:
    """A snapshot whose last five days are not settled."""
    plain = make_snapshot(n_paths=50)
    rng = np.random.default_rng(3)
    owed = rng.gamma(2.0, 0.05, (len(plain.leaf_history), 5, plain.n_paths)) * plain.leaf_history[:, -5:, None]
    return replace(plain, pending=owed.astype(np.float32))


def in_zone(snapshot: Snapshot, zone: str) -> Snapshot:
    return replace(snapshot, meta={**snapshot.meta, "time_zone": zone})


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("text", ["2026-12", "2026-12-08..2026-12-13", "2026-11", "2027-03", "2027-03-13..2027-03-16", "2027-06-20..2027-07-04"])
def test_totals_are_those_of_quarters_of_an_hour_with_their_local_dates(zone: str, text: str) -> None:
    snapshot, period, scope = in_zone(provisional(), zone), parse_period(text), Scope.parse("team=ads")
    expected = slow_total(snapshot, zone, snapshot.hierarchy.leaf_mask(scope), period)
    np.testing.assert_allclose(read_scope(snapshot, scope, period).totals(), expected, rtol=1e-6)


@pytest.mark.parametrize("zone", ZONES)
def test_all_company_days_cost_what_all_days_cost(zone: str) -> None:
    plain = provisional()
    snapshot = in_zone(plain, zone)
    # From inside the history to inside the daily horizon, each with its neighbours: what the edges cut is on both sides.
    period = Period(CUTOFF - timedelta(days=40), CUTOFF + timedelta(days=110))
    before, after = Period(period.start - timedelta(days=20), period.start), Period(period.end, period.end + timedelta(days=20))
    pieces = [read_scope(snapshot, Scope(), part).totals() for part in (before, *split(period, "day"), after)]
    whole = read_scope(snapshot, Scope(), Period(before.start, after.end)).totals()
    np.testing.assert_allclose(np.sum(pieces, axis=0), whole, rtol=1e-6)
    margin = np.abs(whole - read_scope(plain, Scope(), Period(before.start, after.end)).totals())
    largest = 2.0 * max(plain.leaf_history.sum(axis=0).max(), plain.leaf_paths[:, :160].sum(axis=0).max())
    assert margin.max() < largest


@given(st.sampled_from(ZONES), st.integers(-60, 200), st.integers(1, 90), st.sampled_from(["day", "week", "month"]))
@settings(deadline=None, max_examples=40)
def test_buckets_add_up_to_the_total(zone: str, first: int, length: int, granularity: str) -> None:
    snapshot = in_zone(provisional(), zone)
    start = CUTOFF + timedelta(days=first)
    period = Period(start, start + timedelta(days=length))
    reading = read_scope(snapshot, Scope(), period)
    samples = reading.buckets(split(period, granularity, FiscalCalendar(2, "4-4-5")))  # type: ignore[arg-type]
    np.testing.assert_allclose(samples.sum(axis=0), reading.totals(), rtol=1e-6)
    assert len(reading.past_days) + len(reading.starts) >= 1
    assert len(reading.past) == len(reading.past_days)


@pytest.mark.parametrize("zone", ZONES)
def test_groups_add_up_and_finer_scopes_follow_the_zone_too(zone: str) -> None:
    snapshot, period = in_zone(provisional(), zone), Period(CUTOFF - timedelta(days=8), CUTOFF + timedelta(days=20))
    whole = read_scope(snapshot, Scope(), period).totals()
    for names in (("team",), ("team", "ai_model")):
        together = np.sum([reading.totals() for reading in read_groups(snapshot, Scope(), names, period)], axis=0)
        np.testing.assert_allclose(together, whole, rtol=1e-4)


@pytest.mark.parametrize(("zone", "open_day", "part"), [(WEST, CUTOFF, 16 / 24), (EAST, CUTOFF + timedelta(days=1), 9 / 24)])
def test_the_day_on_which_knowledge_ends_is_not_over(zone: str, open_day: date, part: float) -> None:
    snapshot = in_zone(shared_snapshot(), zone)
    assert snapshot.first_open_day == open_day
    reading = read_scope(snapshot, Scope(), Period(open_day - timedelta(days=1), open_day + timedelta(days=1)))
    assert (len(reading.past), reading.starts.tolist()) == (1, [open_day])
    known = part * shared_snapshot().leaf_history[:, -1].sum()
    coming = (1 - part) * shared_snapshot().leaf_paths[:, 0].sum(axis=0)
    np.testing.assert_allclose(reading.paths[0], known + coming, rtol=1e-5)
    rows = forecast_answer(snapshot, scope=Scope(), period=Period(open_day - timedelta(days=1), open_day + timedelta(days=1)), granularity="day")[
        "rows"
    ]
    assert [row.get("actual") for row in rows] == [True, None]


def test_without_a_zone_and_in_utc_answers_are_the_same_to_the_bit() -> None:
    plain, period = shared_snapshot(), parse_period("2026-Q4")
    utc = in_zone(plain, "UTC")
    assert utc.midnights is None
    assert forecast_answer(utc, scope=Scope(), period=period) == forecast_answer(plain, scope=Scope(), period=period)
    assert "time_zone" not in forecast_answer(utc, scope=Scope(), period=period)
    reading, same = read_scope(plain, Scope(), period), read_scope(utc, Scope(), period)
    assert np.shares_memory(reading.paths, plain.node_paths)
    assert (reading.totals() == same.totals()).all()


@pytest.mark.parametrize("zone", [WEST, EAST, NEAR])
@pytest.mark.parametrize("text", ["2026-12", "2027-Q1", "2027-Q2"])
def test_answers_do_not_contradict_each_other(zone: str, text: str) -> None:
    snapshot, period = in_zone(provisional(), zone), parse_period(text)
    answer = forecast_answer(snapshot, scope=Scope(), period=period)
    assert answer["time_zone"] == zone
    mean = answer["total"]["mean"]
    explained = explain(snapshot, scope=Scope(), period=period)
    assert explained.after == pytest.approx(mean, rel=1e-6)
    assert explained.before == pytest.approx(read_scope(snapshot, Scope(), explained.comparison).totals().mean(), rel=1e-6)
    assert explained.actual_after == pytest.approx(answer["spent"], rel=1e-9)
    assert sum(part.money for part in explained.contributions) == pytest.approx(explained.change, rel=1e-6, abs=1e-6 * mean)
    assert quarter_answer(snapshot, period=period)["total"]["mean"] == pytest.approx(mean, rel=1e-6)
    plan = {"start": str(period.start), "end": str(period.end), "levers": [{"type": "scale_usage", "factor": 2.0}]}
    scenario = whatif_answer(snapshot, plan)
    assert scenario["baseline"]["mean"] == pytest.approx(mean, rel=1e-6)
    # Doubling everything adds what is to come: all but what is billed or owed.
    reading = read_scope(snapshot, Scope(), period)
    known = reading.expected_past().sum()
    if period.start > CUTOFF:
        assert scenario["delta"]["mean"] == pytest.approx(mean - known, rel=1e-6)
    else:
        assert 0.0 < scenario["delta"]["mean"] <= mean - known


def test_explanations_of_periods_that_are_over_say_so_by_the_companys_days() -> None:
    asked = {"scope": Scope(), "period": parse_period("2026-12"), "comparison": Period(CUTOFF, CUTOFF + timedelta(days=1))}
    assert explanation_answer(shared_snapshot(), **asked)["comparison"]["over"] is True
    assert explanation_answer(in_zone(shared_snapshot(), WEST), **asked)["comparison"]["over"] is False


@pytest.mark.parametrize("zone", ZONES)
def test_days_of_leaves_are_the_companys(zone: str) -> None:
    snapshot = in_zone(provisional(), zone)
    days = leaf_days(snapshot)
    for period in (
        Period(CUTOFF - timedelta(days=9), CUTOFF + timedelta(days=9)),
        DST,
        parse_period("2027-06"),
        Period(CUTOFF, snapshot.horizon_end),
    ):
        reading = read_scope(snapshot, Scope(), period)
        assert days.total(days.between(period)).sum() == pytest.approx(reading.totals().mean(), rel=1e-6)


def test_the_ready_totals_of_months_are_the_companys() -> None:
    snapshot, march = in_zone(shared_snapshot(), WEST), parse_period("2027-03")
    samples = snapshot.future_weights(march) @ snapshot.node_paths[0]
    np.testing.assert_allclose(samples, read_scope(snapshot, Scope(), march).totals(), rtol=1e-5)


def test_the_whole_horizon_can_be_asked_for_in_every_zone() -> None:
    for zone in ZONES:
        snapshot = in_zone(shared_snapshot(), zone)
        last = Period(snapshot.horizon_end - timedelta(days=31), snapshot.horizon_end)
        usual = read_scope(shared_snapshot(), Scope(), last).totals().mean()
        assert read_scope(snapshot, Scope(), last).totals().mean() == pytest.approx(usual, rel=0.02)


@pytest.mark.parametrize("zone", [WEST, EAST])
@pytest.mark.parametrize("text", ["2026-10", "2026-11"])
def test_price_volume_and_mix_add_up_in_every_zone(zone: str, text: str) -> None:
    snapshot, plain = in_zone(planted_snapshot(), zone), planted_snapshot()
    for scope in map(Scope.parse, ("", "team=switched", "team=busier")):
        found = explain(snapshot, scope=scope, period=parse_period(text), group_by=("team",))
        parts = {part.name: part.money for part in found.contributions}
        assert sum(parts.values()) == pytest.approx(found.change, rel=1e-6, abs=1e-6)
        assert found.after == pytest.approx(read_scope(snapshot, scope, parse_period(text)).totals().mean(), rel=1e-6)
        usual = {part.name: part.money for part in explain(plain, scope=scope, period=parse_period(text), group_by=("team",)).contributions}
        # A zone moves money between days, it does not make another story.
        for name in ("price", "volume"):
            assert parts.get(name, 0.0) == pytest.approx(usual.get(name, 0.0), abs=0.1 * found.before)
