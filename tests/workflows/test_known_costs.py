"""What of a budget's total is known: each kind by its name, in the bill or to come, and always a part of the total."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.budgets.budget import Budget
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period, parse_period
from forecast.spend.schedules import DAILY, MONTHLY, Schedules
from forecast.spend.scope import Scope
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.known_costs import MOST_LISTED
from forecast.workflows.overruns import AD_HOC, overrun_answer
from tests.oracles.overruns import leaves_of
from tests.snapshots_for_tests import CUTOFF, make_snapshot
from tests.workflows.planted import planted_snapshot

SCOPES = ("", "team=ads", "provider=aws,stage=prod", "team=ads|search,stage!=dev")
Line = tuple[int, int, str, int]
"""Leaf, days before the cutoff, kind, cost."""
LATE_2026 = Period(date(2026, 11, 1), date(2027, 3, 1))


def known(snapshot: Snapshot, scope: str, period: Period) -> list[dict[str, Any]]:
    answer = overrun_answer(snapshot, Budget(AD_HOC, Scope.parse(scope), period.start, period.end, 1e5))
    found: list[dict[str, Any]] = answer["known"]
    return found


def schedules(kinds: list[str], cadence: int, amount: float, leaves: list[int], n_leaves: int) -> Schedules:
    """Items charged last on the first of December, or daily, that neither grow nor end."""
    m = len(kinds)
    zeros, nothing = np.zeros(m), np.zeros(m, dtype=bool)
    last = np.full(m, np.datetime64(CUTOFF if cadence == DAILY else date(2026, 12, 1), "D"))
    return Schedules(
        np.array(leaves),
        np.array(kinds, dtype=object),
        np.array([f"item-{number}" for number in range(m)], dtype=object),
        np.full(m, cadence),
        last,
        np.full(m, amount),
        nothing,
        nothing,
        np.full(m, np.datetime64("NaT", "D")),
        np.zeros(m, dtype=np.int64),
        nothing,
        zeros,
        zeros,
        zeros,
        n_leaves,
    )


@cache
def scheduled(cadence: int = MONTHLY) -> Snapshot:
    """A snapshot with a licence, a commitment, an upfront commitment and another fee, each in a leaf of its own."""
    made = make_snapshot(n_paths=10, with_detector=False)
    items = schedules(["subscription", "commitment_fee", "commitment_purchase", "tax"], cadence, 50.0, [0, 3, 7, 20], len(made.hierarchy.leaf_ids))
    return replace(made, meta={**made.meta, "schedules": items.record(made.hierarchy.leaf_ids)})


def test_all_of_a_team_that_only_pays_fees_is_known() -> None:
    snapshot = planted_snapshot()
    period = parse_period("2026-09-01..2027-01-01")
    found = known(snapshot, "team=seats", period)
    by_kind = {(one["kind"], one["in_bill"]): one for one in found}
    once, paid, due = by_kind["one_off", True], by_kind["licence", True], by_kind["licence", False]
    assert (once["start"], once["end"], once["amount"]) == ("2026-09-15", "2026-09-16", pytest.approx(2500.0))
    assert (paid["start"], paid["end"], paid["amount"]) == ("2026-09-01", "2026-10-02", pytest.approx(1500.0))
    assert (due["start"], due["end"]) == ("2026-11-01", "2026-12-02")
    assert "team seats" in once["name"]
    total = forecast_answer(snapshot, scope=Scope.parse("team=seats"), period=period)["total"]["mean"]
    assert sum(one["amount"] for one in found) == pytest.approx(total, rel=0.03)


def test_what_is_known_is_part_of_the_total_and_never_added_to_it() -> None:
    snapshot, period = planted_snapshot(), parse_period("2026-09-01..2027-01-01")
    answer = overrun_answer(snapshot, Budget(AD_HOC, Scope(), period.start, period.end, 1e5))
    assert answer["total"]["mean"] == forecast_answer(snapshot, scope=Scope(), period=period)["total"]["mean"]
    billed = sum(one["amount"] for one in answer["known"] if one["in_bill"])
    assert billed == pytest.approx(4000.0)
    assert billed < answer["spent"]
    assert known(snapshot, "team=steady", period) == []


@pytest.mark.parametrize(("period", "months"), [("2026-12-05..2027-01-01", 0), ("2027-01", 1), ("2027-Q1", 3), ("2026-11-01..2027-02-15", 2)])
def test_fees_to_come_are_named_by_their_kind_and_counted_on_their_days(period: str, months: int) -> None:
    found = {one["kind"]: one for one in known(scheduled(), "", parse_period(period))}
    assert set(found) == ({"licence", "commitment", "recurring"} if months else set())
    for one in found.values():
        assert not one["in_bill"]
        assert one["amount"] == pytest.approx(50.0 * months)
        assert one["start"] == "2027-01-01"


def test_fees_stay_within_their_scope() -> None:
    leaves = scheduled().hierarchy.leaves
    own = ",".join(f"{name}={value}" for name, value in leaves.iloc[3].items())
    (fee,) = known(scheduled(), own, LATE_2026)
    assert (fee["kind"], fee["amount"]) == ("commitment", pytest.approx(100.0))
    assert fee["name"].startswith("item-1: ")


def test_fee_in_a_month_that_is_one_step_counts_as_the_total_does() -> None:
    """Beyond the daily steps a month is even over its days: half of it has half of the fee that is due on its first."""
    period = Period(date(2027, 6, 16), date(2027, 7, 1))
    assert scheduled().daily_end < period.start
    for one in known(scheduled(), "", period):
        assert one["amount"] == pytest.approx(25.0)
        assert (one["start"], one["end"]) == ("2027-06-16", "2027-07-01")


def test_finer_than_a_leaf_has_its_share_of_the_fees_to_come_and_no_history() -> None:
    snapshot = scheduled(DAILY)
    lines = pd.DataFrame({"leaf": [0], "ds": [np.datetime64("2026-12-01", "s")], "kind": ["one_off"], "cost": [70.0]})
    period = parse_period("2026-12-01..2027-01-01")
    regions = [known(replace(snapshot, known_money=lines), f"region={name}", period) for name in ("eu-west", "us-east")]
    assert not any(one["in_bill"] for found in regions for one in found)
    whole = sum(one["amount"] for one in known(snapshot, "", period))
    assert sum(one["amount"] for found in regions for one in found) == pytest.approx(whole)


@settings(max_examples=40, deadline=None)
@given(
    lines=st.lists(st.tuples(st.integers(0, 27), st.integers(0, 60), st.sampled_from(["one_off", "scheduled"]), st.integers(-50, 500)), max_size=60),
    scope=st.sampled_from(SCOPES),
    back=st.integers(0, 60),
    length=st.integers(1, 90),
)
def test_what_is_in_the_bill_is_every_line_of_the_scope_and_its_days(
    lines: list[tuple[int, int, str, int]], scope: str, back: int, length: int
) -> None:
    snapshot = make()
    days = [CUTOFF - timedelta(days=ago) for _, ago, _, _ in lines]
    frame = pd.DataFrame(
        {
            "leaf": np.array([leaf for leaf, *_ in lines], dtype=np.int64),
            "ds": np.array(days, dtype="datetime64[s]"),
            "kind": np.array([kind for _, _, kind, _ in lines], dtype=object),
            "cost": np.array([float(cost) for *_, cost in lines]),
        }
    )
    first = CUTOFF - timedelta(days=back)
    period, inside = Period(first, first + timedelta(days=length)), leaves_of(snapshot, Scope.parse(scope))
    found = known(replace(snapshot, known_money=frame), scope, period)
    for kind, names in (("one_off", {"one_off"}), ("scheduled", {"recurring"})):
        expected = sum(
            cost for (leaf, _, of, cost), day in zip(lines, days, strict=True) if of == kind and leaf in inside and period.start <= day < period.end
        )
        assert sum(one["amount"] for one in found if one["kind"] in names) == pytest.approx(expected)
    assert all(one["in_bill"] for one in found)
    assert len(found) <= MOST_LISTED + 2


@cache
def make() -> Snapshot:
    return make_snapshot(n_paths=4, with_detector=False)


def test_many_small_items_become_one_entry() -> None:
    leaves = np.repeat(np.arange(28), 3)
    ds = np.tile(np.array(["2026-11-03", "2026-11-04", "2026-11-05"], dtype="datetime64[s]"), 28)
    frame = pd.DataFrame({"leaf": leaves, "ds": ds, "kind": "one_off", "cost": np.arange(1.0, 85.0)})
    found = known(replace(make(), known_money=frame), "", LATE_2026)
    assert len(found) == MOST_LISTED + 1
    assert found[0]["amount"] == 84.0
    assert (found[-1]["name"], found[-1]["amount"]) == ("64 more", sum(range(1, 65)))
    assert (found[-1]["start"], found[-1]["end"]) == ("2026-11-03", "2026-11-06")


def with_event(start: str, end: str | None, status: str, scope: str = "team=ads") -> Snapshot:
    """A snapshot with an event that adds 10 a day to each leaf of a scope on its days to come."""
    snapshot = make()
    event = {"id": "launch", "name": "Launch", "type": "launch", "start": start, "end": end, "scope": scope, "status": status}
    begin, stop = np.datetime64(start, "D"), np.datetime64(end or "2100-01-01", "D")
    rows = [
        ("launch", leaf, step, 10.0 * int((snapshot.ends[step] - snapshot.starts[step]).astype(int)))
        for leaf in leaves_of(snapshot, Scope.parse(scope))
        for step in range(len(snapshot.starts))
        if begin <= snapshot.starts[step] < stop
    ]
    return replace(snapshot, meta={**snapshot.meta, "events": [event]}, event_effects=pd.DataFrame(rows, columns=["event", "leaf", "step", "effect"]))


def test_planned_event_is_there_with_its_mean_money() -> None:
    snapshot = with_event("2026-12-20", "2026-12-25", "ahead")
    leaves = len(leaves_of(snapshot, Scope.parse("team=ads")))
    expected = {"kind": "event", "name": "Launch", "start": "2026-12-20", "end": "2026-12-25", "amount": 50.0 * leaves, "in_bill": False}
    assert known(snapshot, "team=ads", LATE_2026) == [expected]
    assert known(snapshot, "", parse_period("2026-12-01..2026-12-22"))[0]["amount"] == pytest.approx(20.0 * leaves)
    assert known(snapshot, "team=search", LATE_2026) == []
    assert known(snapshot, "team=ads", parse_period("2027-Q1")) == []


def test_event_that_is_over_is_in_the_bill_and_has_no_money_of_its_own() -> None:
    (event,) = known(with_event("2026-11-20", "2026-11-25", "over"), "team=ads", LATE_2026)
    assert (event["amount"], event["in_bill"], event["start"], event["end"]) == (None, True, "2026-11-20", "2026-11-25")


def test_event_without_an_end_ends_with_the_period() -> None:
    (event,) = known(with_event("2026-12-20", None, "ahead"), "team=ads", LATE_2026)
    assert event["end"] == "2027-03-01"


def test_snapshot_that_keeps_no_record_of_charges_knows_nothing() -> None:
    assert known(make(), "", LATE_2026) == []
