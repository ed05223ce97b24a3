"""Strange spend in the hour in which it comes in, of leaves and of nodes, where bills have lines of single hours."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from forecast.anomalies.hours import DayHours
from forecast.anomalies.sign_thresholds import fit_thresholds
from forecast.anomalies.signs import HOURS, HOURS_ABOVE
from forecast.spend.scope import Scope
from forecast.workflows.event_doubt import event_doubt
from forecast.workflows.hour_boards import has_hours, known_hours, without_events
from forecast.workflows.watch import board_of, history_board, n_incidents, thresholds_in
from tests.workflows.hourly_companies import TODAY, by_the_hour, hourly_company, hours, leaf_rows, lines_of, next_hours
from tests.workflows.watched_companies import HISTORY, LEAF, company, history, next_days

NIGHT = 2
MIDNIGHT = 24 * TODAY


def runaway(factor: float) -> np.ndarray:
    """A leaf costs `factor` times as much from two o'clock on."""
    fresh = next_hours()
    fresh[leaf_rows(**LEAF), TODAY, NIGHT:] *= factor
    return fresh


@pytest.mark.parametrize(("factor", "hours_later"), [(4.0, 3), (10.0, 1)])
def test_runaway_is_said_within_its_first_hours_although_the_day_is_not_beyond_a_whole_one(factor: float, hours_later: int) -> None:
    fresh = runaway(factor)
    incidents, first = by_the_hour(fresh, [MIDNIGHT + NIGHT + hour for hour in (hours_later - 1, hours_later)])
    (incident,) = incidents
    assert (incident.scope, incident.kind, incident.direction, incident.status) == (LEAF, "spike", "up", "open")
    assert first[incident.id] == NIGHT + hours_later
    row = leaf_rows(**LEAF)[0]
    assert fresh[row, TODAY, : NIGHT + hours_later].sum() < history()[row, -28:].mean()


def test_without_hours_the_same_runaway_waits_for_the_day() -> None:
    assert by_the_hour(runaway(4.0), [MIDNIGHT + 5], knows_hours=False)[0] == []


def test_money_of_a_day_that_is_going_on_is_beyond_what_is_usual_by_then() -> None:
    fresh = runaway(8.0)
    (incident,), _ = by_the_hour(fresh, [MIDNIGHT + 6])
    row = leaf_rows(**LEAF)[0]
    usual = np.median(hours()[row, HISTORY - 24 : HISTORY + TODAY], axis=0)[:6].sum()
    spent = fresh[row, TODAY, :6].sum()
    assert incident.actual == pytest.approx(spent)
    assert incident.actual - incident.expected == pytest.approx(spent - usual, rel=0.05)


def test_hours_of_quiet_days_are_no_incidents() -> None:
    assert by_the_hour(next_hours(), [MIDNIGHT + hour for hour in (4, 13)])[0] == []


def test_less_than_usual_in_an_hour_is_no_drop() -> None:
    fresh = next_hours()
    fresh[:, TODAY, 3:9] *= 0.2
    assert by_the_hour(fresh, [MIDNIGHT + 4, MIDNIGHT + 9])[0] == []


def test_leak_over_all_leaves_of_a_team_is_said_of_the_team() -> None:
    fresh = next_hours()
    rows = leaf_rows(team=LEAF["team"])
    assert len(rows) >= 4
    fresh[rows, TODAY, NIGHT:] *= 1.6
    incidents, first = by_the_hour(fresh, [MIDNIGHT + hour for hour in (4, 8)])
    assert incidents
    largest = max(incidents, key=lambda one: one.impact)
    assert largest.scope["team"] == LEAF["team"]
    assert set(largest.scope) <= {"team", "provider", "service", "stage"}
    assert first[largest.id] <= NIGHT + 6


def test_signs_without_hours_leave_thresholds_and_incidents_as_they_are() -> None:
    board = history_board(company())

    def count(flagged: Mapping[str, np.ndarray]) -> int:
        return n_incidents(board, flagged)

    old = [sign for sign in board.signs if sign.name not in (HOURS, HOURS_ABOVE)]
    before, after = fit_thresholds(old, 4.0, count), fit_thresholds(board.signs, 4.0, count)
    assert not any(sign.strength.any() for sign in board.signs if sign.name in (HOURS, HOURS_ABOVE))
    assert {name: after.of_sign[name] for name in (sign.name for sign in old)} == {sign.name: before.of_sign[sign.name] for sign in old}
    assert not has_hours(company())
    assert has_hours(hourly_company())


def test_hours_read_anew_are_those_that_were_kept() -> None:
    snapshot = hourly_company()
    start = snapshot.history_ds[HISTORY - 20].astype("datetime64[D]")
    names = list(snapshot.hierarchy.dimensions)
    leaves = snapshot.hierarchy.leaves[names].reset_index(drop=True)
    frame = pd.concat([leaves.assign(ds=pd.Timestamp(day)) for day in snapshot.history_ds[HISTORY - 20 : HISTORY]], ignore_index=True)
    nothing = dict.fromkeys(next_days(1).columns.difference([*leaves.columns, "ds"]), 0.0)
    board = board_of(snapshot, frame.assign(**nothing), None, since=start, hours=lines_of(next_hours(), 0))
    whole = history_board(snapshot)
    assert board.hours is not None
    assert whole.hours is not None
    np.testing.assert_allclose(board.hours.amount, whole.hours.amount[:, -board.hours.amount.shape[1] :], atol=1e-5)


def test_kept_hours_stay_with_their_scopes_where_new_leaves_and_nodes_came() -> None:
    snapshot = hourly_company()
    leaves = snapshot.hierarchy.leaves.reset_index(drop=True)
    new = leaves.iloc[[0]].assign(team="newcomers", provider="vendor")
    days = next_days(2)
    extra = days.iloc[[-1]].assign(**{name: new[name].iloc[0] for name in new.columns}, spend=40.0)
    lines = lines_of(next_hours(), 48)
    hour = np.array([pd.Timestamp(extra["ds"].iloc[0]) + pd.Timedelta(hours=5)], dtype="datetime64[h]")
    more = dataclasses.replace(
        lines,
        combinations=pd.concat([lines.combinations, new[lines.combinations.columns]], ignore_index=True),
        combination=np.append(lines.combination, len(lines.combinations)),
        hour=np.append(lines.hour, hour),
        spend=np.append(lines.spend, 40.0),
    )
    board, plain = board_of(snapshot, pd.concat([days, extra], ignore_index=True), None, hours=more), board_of(snapshot, days, None, hours=lines)
    assert board.hours is not None
    assert plain.hours is not None
    assert len(board.scopes) > len(plain.scopes)
    for scope in plain.scopes:
        if "newcomers" in str(scope) or scope == Scope.parse({}):
            continue
        np.testing.assert_array_equal(board.hours.amount[board.row_of[scope], :-1], plain.hours.amount[plain.row_of[scope], :-1])
    row = board.row_of[Scope.parse({name: [str(new[name].iloc[0])] for name in snapshot.hierarchy.dimensions})]
    assert not board.hours.amount[row].any()


def test_hours_of_the_history_are_none_where_the_snapshot_has_none() -> None:
    assert known_hours(company(), company().history_ds, 28, company().hierarchy.nodes) is None


def test_announced_events_are_taken_off_the_hours_of_their_leaves_and_nodes() -> None:
    last = hourly_company().cutoff
    event = {
        "id": "evt-1",
        "name": "launch",
        "type": "launch",
        "scope": "team=" + LEAF["team"],
        "start": last.isoformat(),
        "end": None,
        "announced": "2020-01-01",
        "effect": {"per_day": 50.0, "low": 10.0, "high": 90.0},
        "currency": "USD",
    }
    snapshot = dataclasses.replace(hourly_company(), meta={**hourly_company().meta, "events": [event]})
    doubt = event_doubt(snapshot)
    touched = doubt.touched(len(snapshot.hierarchy.leaf_ids))
    assert touched.any()
    members = snapshot.hierarchy.members
    n, days = len(snapshot.hierarchy.leaf_ids) + len(members), snapshot.history_ds[-3:]
    ones = np.full((n, 3), 1000.0)
    found = without_events(DayHours(ones, ones, ones, ones), doubt, days, len(touched), members)
    rows = np.flatnonzero(touched)
    assert (found.amount[rows, -1] < 1000.0).all()
    assert (found.amount[np.flatnonzero(~touched)] == 1000.0).all()
    company_row = len(touched) + next(number for number, own in enumerate(members) if len(own) == len(touched))
    assert found.so_far[company_row, -1] < 1000.0
    np.testing.assert_array_equal(found.spent, ones)


def test_thresholds_of_hours_come_from_the_replay() -> None:
    thresholds, _ = thresholds_in(hourly_company())
    assert 1.0 < thresholds.of_sign[HOURS] < 10.0
    assert 1.0 < thresholds.of_sign[HOURS_ABOVE] < 10.0
