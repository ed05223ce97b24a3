"""Days of history that were known to be unlike others: month-ends, schedules, planned events. And causes seen from several sides at once."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.anomalies.snapshot_detector import fit_snapshot_detector
from forecast.snapshot import Snapshot
from forecast.spend.recurring import day_kinds
from forecast.spend.scope import Scope
from forecast.workflows.leaf_excess import LeafExcess
from forecast.workflows.spike_scores import RowAnswers, score_rows
from forecast.workflows.spikes import SpendRow, anomaly_answer
from tests.snapshots_for_tests import CUTOFF, make_snapshot

S = Scope.parse
TAXED = S("team=ads,stage=dev,provider=openai")
SIDES = ("stage=dev,team=ads", "provider=openai,team=ads", "service=OpenAI API,stage=dev")
"""Three nodes none of which lies in another and which share the taxed leaf."""
LAST_END = date(2026, 11, 30)


def with_history(snapshot: Snapshot, history: np.ndarray, **changes: Any) -> Snapshot:
    """The snapshot of another history, with the detector that training would fit to it."""
    hierarchy = snapshot.hierarchy
    detector = fit_snapshot_detector(hierarchy.node_ids, hierarchy.aggregate(history), first_day=snapshot.first_day)
    return dataclasses.replace(snapshot, leaf_history=history, detector=detector, **changes)


def taxed_history(base: Snapshot, amount: float = 3000.0) -> np.ndarray:
    """An item of the month's end on one leaf, a little larger each time."""
    history = base.leaf_history.copy()
    ends = np.flatnonzero(day_kinds(pd.DatetimeIndex(base.history_ds)) == 1)
    (leaf,) = np.flatnonzero(base.hierarchy.leaf_mask(TAXED))
    history[leaf, ends] += amount * 1.05 ** np.arange(len(ends))
    return history


@pytest.fixture(scope="module")
def taxed() -> Snapshot:
    base = make_snapshot(n_paths=20, history_days=300)
    return with_history(base, taxed_history(base))


def column_of(snapshot: Snapshot, day: date) -> int:
    return (day - snapshot.first_day).days


def cost_of(snapshot: Snapshot, text: str, day: date) -> float:
    return float(snapshot.scope_history(S(text))[column_of(snapshot, day)])


def score(snapshot: Snapshot, text: str, day: date, cost: float) -> RowAnswers:
    return score_rows(snapshot, [S(text)], np.array([day], dtype="datetime64[D]"), np.array([cost]))


@pytest.mark.parametrize(
    "text", ["", "team=ads", *SIDES, "team=ads|research,stage=dev", "service=OpenAI API,stage=dev,team=ads,workload=ranking,provider=openai"]
)
def test_item_of_the_months_end_is_expected_on_its_day_in_every_scope_above_it(taxed: Snapshot, text: str) -> None:
    cost, before = cost_of(taxed, text, LAST_END), cost_of(taxed, text, LAST_END - timedelta(days=7))
    found = score(taxed, text, LAST_END, cost)
    assert not found.is_anomaly[0]
    assert found.p_value[0] > 0.01
    assert found.expected[0] - before > 2500.0
    # The same money in the middle of a month is strange, and so is five times the item on its day.
    middle = date(2026, 11, 18)
    assert score(taxed, text, middle, cost_of(taxed, text, middle) + 3800.0).p_value[0] < (0.2 if text == "" else 0.02)
    assert score(taxed, text, LAST_END, cost + 20_000.0).p_value[0] < 0.002


def test_what_comes_later_does_not_change_what_was_expected_of_a_month_end(taxed: Snapshot) -> None:
    base = make_snapshot(n_paths=20, history_days=300)
    history = taxed_history(base)
    poisoned = history.copy()
    poisoned[:, column_of(base, LAST_END) :] *= 50.0
    other = dataclasses.replace(taxed, leaf_history=poisoned)
    for text in SIDES:
        plain, late = score(taxed, text, LAST_END, 100.0), score(other, text, LAST_END, 100.0)
        assert plain.expected[0] == late.expected[0]
        assert plain.p_value[0] == late.p_value[0]


def test_schedules_and_one_offs_are_expected_in_scopes_that_are_no_node() -> None:
    base = make_snapshot(n_paths=20, history_days=300)
    day = date(2026, 11, 18)
    history = base.leaf_history.copy()
    leaf = int(np.flatnonzero(base.hierarchy.leaf_mask(TAXED))[0])
    history[leaf, column_of(base, day)] += 9000.0
    text = "team=ads|research,stage=dev"
    rows = {"leaf": [leaf], "ds": [pd.Timestamp(day)], "kind": ["one_off"], "cost": [9000.0]}
    unknown, known = with_history(base, history), with_history(base, history, known_money=pd.DataFrame(rows))
    cost = cost_of(known, text, day)
    assert score(unknown, text, day, cost).p_value[0] < 0.003
    found = score(known, text, day, cost)
    assert found.p_value[0] > 0.05
    assert found.expected[0] == pytest.approx(cost, rel=0.25)


def test_cause_seen_from_several_sides_is_one_incident_named_by_the_smallest(taxed: Snapshot) -> None:
    base = make_snapshot(n_paths=20, history_days=300)
    day = date(2026, 11, 18)
    history = base.leaf_history.copy()
    history[base.hierarchy.leaf_mask(TAXED), column_of(base, day)] += 30_000.0
    research = base.hierarchy.leaf_mask(S("team=research,service=Amazon EC2"))
    history[research, column_of(base, day)] += 90_000.0
    struck = with_history(base, history)
    texts = (*SIDES, "service=Amazon EC2,team=research")
    answer = anomaly_answer(struck, [SpendRow(S(text), day, cost_of(struck, text, day)) for text in texts])
    assert all(row["is_anomaly"] for row in answer["rows"])
    by_row = [row["incident"] for row in answer["rows"]]
    assert by_row[0] == by_row[1] == by_row[2] != by_row[3]
    assert len(answer["incidents"]) == 2
    names = {found["id"]: found["scope"] for found in answer["incidents"]}
    assert names[by_row[0]] in ({"stage": "dev", "team": "ads"}, {"provider": "openai", "team": "ads"}, {"service": "OpenAI API", "stage": "dev"})
    backwards = anomaly_answer(struck, [SpendRow(S(text), day, cost_of(struck, text, day)) for text in texts[::-1]])
    assert [found["id"] for found in backwards["incidents"]] == [found["id"] for found in answer["incidents"]]


def test_fresh_lines_join_incidents_of_days_ahead_and_without_them_they_stay_apart(taxed: Snapshot) -> None:
    day = CUTOFF + timedelta(days=1)
    leaves = taxed.hierarchy.leaves.reset_index(drop=True)
    usual = taxed.leaf_paths[:, 0].mean(axis=1)
    hit = taxed.hierarchy.leaf_mask(TAXED)
    lines = leaves.assign(ds=np.datetime64(day), cost=usual + np.where(hit, 30_000.0, 0.0), quantity=1.0)
    rows = [SpendRow(S(text), day, float(lines["cost"][taxed.hierarchy.leaf_mask(S(text))].sum())) for text in SIDES]
    assert len(anomaly_answer(taxed, rows, lines=lines)["incidents"]) == 1
    assert len(anomaly_answer(taxed, rows)["incidents"]) == 3
    known = LeafExcess(taxed, lines)(S(""), [day])
    assert known is not None
    np.testing.assert_allclose(known[0], np.where(hit, 30_000.0, 0.0), atol=0.1)


def test_excess_of_a_leaf_is_above_its_usual_day_and_its_items(taxed: Snapshot) -> None:
    (leaf,) = np.flatnonzero(taxed.hierarchy.leaf_mask(TAXED))
    excess = LeafExcess(taxed, None)
    known = excess(TAXED, [LAST_END, date(2026, 11, 18)])
    assert known is not None
    assert known.shape == (2, len(taxed.hierarchy.leaf_ids))
    assert abs(known[0, leaf]) < 1000.0 < taxed.leaf_history[leaf, column_of(taxed, LAST_END)]
    assert (np.delete(known, leaf, axis=1) == 0.0).all()
    before = taxed.leaf_history[leaf, column_of(taxed, date(2026, 10, 21)) : column_of(taxed, date(2026, 11, 18))]
    assert known[1, leaf] == pytest.approx(taxed.leaf_history[leaf, column_of(taxed, date(2026, 11, 18))] - np.median(before))
    assert excess(S("ai_model=haiku"), [LAST_END]) is None
    assert excess(TAXED, [CUTOFF + timedelta(days=1)]) is None


def test_values_that_only_fresh_lines_have_are_all_excess(taxed: Snapshot) -> None:
    day = CUTOFF + timedelta(days=1)
    new = {"provider": "openai", "service": "OpenAI API", "team": "newcomers", "stage": "dev", "workload": "ranking"}
    lines = pd.DataFrame([{**new, "ds": np.datetime64(day), "cost": 70.0}, {**new, "ds": np.datetime64(day), "cost": 5.0}])
    known = LeafExcess(taxed, lines)(S("team=newcomers"), [day])
    assert known is not None
    assert known.sum() == pytest.approx(75.0)
    assert np.count_nonzero(known) == 1


START, END = date(2026, 10, 20), date(2026, 11, 3)


def event(**changes: Any) -> dict[str, Any]:
    plain = {"id": "promotion", "scope": "team=ads", "start": str(START), "end": str(END), "announced": "2026-10-01", "currency": None}
    return {**plain, "effect": {"factor": 2.0, "low": 1.5, "high": 3.0}, "ramp_days": 0, **changes}


@pytest.fixture(scope="module")
def calm() -> Snapshot:
    return make_snapshot(n_paths=20, history_days=300)


def p_with(calm: Snapshot, text: str, day: date, part: float, **changes: Any) -> float:
    """p-value of a day that costs `part` of what it did, with one event in the record."""
    snapshot = dataclasses.replace(calm, meta={**calm.meta, "events": [event(**changes)]})
    return float(score(snapshot, text, day, cost_of(calm, text, day) * part).p_value[0])


def test_planned_event_is_no_alarm_while_it_begins_or_after_it_has_ended(calm: Snapshot) -> None:
    plain = float(score(calm, "team=ads", START, cost_of(calm, "team=ads", START) * 2.5).p_value[0])
    assert plain < 0.01
    assert p_with(calm, "team=ads", START, 2.5) > 0.2
    assert p_with(calm, "stage=prod,team=ads", START, 2.5) > 0.2
    assert p_with(calm, "team=ads", START, 1.0) > 0.2, "nor is an event that did not come"
    assert p_with(calm, "team=ads", START, 9.0) < 0.01
    assert p_with(calm, "team=ads", START, 0.2) < 0.01, "a fall is not what was planned"
    assert p_with(calm, "team=ads", END, 0.3) > 0.2
    assert p_with(calm, "team=ads", END, 2.5) < 0.01


def test_event_counts_only_where_it_acts_when_it_was_known(calm: Snapshot) -> None:
    assert p_with(calm, "team=search", START, 2.5) < 0.01
    assert p_with(calm, "team=ads", START - timedelta(days=1), 2.5) < 0.01
    assert p_with(calm, "team=ads", START, 2.5, announced=str(START + timedelta(days=1))) < 0.01
    assert p_with(calm, "team=ads", START, 2.5, scope="ai_model=haiku") < 0.01
    assert p_with(calm, "team=ads", START + timedelta(days=27), 2.5, end=None) > 0.2
    assert p_with(calm, "team=ads", START + timedelta(days=28), 2.5, end=None) < 0.01


def test_events_in_money_count_by_the_day_and_in_the_snapshots_currency(calm: Snapshot) -> None:
    more = 1.5 * cost_of(calm, "team=ads", START)
    assert p_with(calm, "team=ads", START, 2.5, effect={"money_per_day": more}) > 0.05
    assert p_with(calm, "team=ads", START, 2.5, effect={"money": 14 * more}) > 0.05
    assert p_with(calm, "team=ads", START, 2.5, effect={"money": more}) < 0.01
    assert p_with(calm, "team=ads", START, 2.5, effect={"money_per_day": more}, currency="EUR") < 0.01
    assert p_with(calm, "team=ads", START, 2.5, effect={"money_per_day": more}, currency="USD") > 0.05
