"""Rows finer than a leaf: they add up to their leaves on every path, are what the forecast reads, and the map over them is what a slow twin gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.scenarios.finer_world import WHOLE, row_meters, row_responses
from forecast.scenarios.plan import parse_plan
from forecast.scenarios.responses import FIXED, STEPS, Responses
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period, parse_period
from forecast.spend.scope import Scope
from forecast.workflows.applied_plans import apply_plan
from forecast.workflows.finer_rows import RowSplit, split_rows
from forecast.workflows.plan_views import PlanView, plan_view
from forecast.workflows.readings import read_groups
from forecast.workflows.scenario_world import scenario_world
from tests.oracles.scenarios import scenario
from tests.snapshots_for_tests import make_snapshot, shared_snapshot
from tests.workflows.test_event_shares import with_price_rise

JANUARY = parse_period("2027-01")
VIEWS = [("", ("ai_model",)), ("team=search", ("region", "sku")), ("ai_model=haiku|opus", ()), ("ai_model=gpt-large,team!=ads", ("region",))]


def view_of(snapshot: Snapshot, scope: str = "", names: tuple[str, ...] = (), period: Period = JANUARY, *levers: dict[str, Any]) -> PlanView:
    parsed = parse_plan({"period": str(period), "levers": list(levers)})
    return plan_view(snapshot, period, Scope.parse(scope), names, parsed.levers)


def split_of(view: PlanView) -> RowSplit:
    assert view.split is not None
    return view.split


def rows_of(view: PlanView) -> np.ndarray:
    """(n_rows, n_days, n_paths), each by itself."""
    return np.stack([view.spending.by_day(view.spending.leaf_paths[row]) for row in range(len(split_of(view)))])


@pytest.mark.parametrize(("scope", "names"), VIEWS)
@pytest.mark.parametrize("period", ["2027-01", "2026-12-20..2027-06-15"])
def test_rows_of_a_leaf_add_up_to_it_on_every_path(scope: str, names: tuple[str, ...], period: str) -> None:
    snapshot = shared_snapshot()
    view = view_of(snapshot, scope, names, parse_period(period))
    _, money = scenario_world(snapshot, parse_period(period))
    rows, split = rows_of(view), split_of(view)
    for leaf in range(len(snapshot.leaf_paths)):
        np.testing.assert_allclose(rows[split.leaf == leaf].sum(axis=0), money.by_day(money.of(np.array([leaf]))), rtol=1e-12)
    np.testing.assert_allclose(rows.mean(axis=2), view.world.expected, rtol=1e-9)
    some = np.flatnonzero(np.arange(len(rows)) % 3 != 0)
    np.testing.assert_allclose(view.spending.by_day(view.spending.of(some)), rows[some].sum(axis=0), rtol=1e-6)


@pytest.mark.parametrize(("scope", "names"), VIEWS)
@pytest.mark.parametrize("made", [shared_snapshot, lambda: with_price_rise(0.5)])
def test_rows_are_the_paths_that_the_forecast_reads(scope: str, names: tuple[str, ...], made: Any) -> None:
    snapshot = made()
    view = view_of(snapshot, scope, names)
    rows, split = rows_of(view), split_of(view)
    for reading in read_groups(snapshot, Scope.parse(scope), names, JANUARY):
        np.testing.assert_allclose(rows[split.inside(reading.scope)].sum(axis=0), reading.paths, rtol=2e-6)


def test_leaves_without_charge_lines_go_like_all_lines_together() -> None:
    made = shared_snapshot()
    snapshot = replace(made, recent=made.recent[~made.recent["leaf"].isin([0, 5])])
    for names in (("ai_model",), ("ai_model", "region")):
        view = view_of(snapshot, "team!=research", names)
        rows, split = rows_of(view), split_of(view)
        for reading in read_groups(snapshot, Scope.parse("team!=research"), names, JANUARY):
            np.testing.assert_allclose(rows[split.inside(reading.scope)].sum(axis=0), reading.paths, rtol=2e-6)


def test_nothing_finer_leaves_leaves_as_they_are() -> None:
    view = view_of(shared_snapshot(), "team=search", ("service",))
    assert view.split is None
    assert view.world.whole is None
    assert isinstance(view.spending.leaf_paths, np.ndarray)


SMALL = make_snapshot(seed=5, n_paths=4, with_detector=False)
DAYS = parse_period("2027-01-01..2027-01-04")
LEVERS: list[dict[str, Any]] = [
    {"type": "scale_usage", "scope": "ai_model=haiku", "factor": {"expected": 1.5, "low": 1.2, "high": 2.0}},
    {"type": "change_price", "scope": "region=eu-west,team=search", "factor": 0.7},
    {"type": "scale_usage", "scope": "tenant=tenant-1", "factor": 1.4},
    {"type": "move_share", "scope": "ai_model=gpt-large", "to": "ai_model=gpt-mini", "share": 0.4, "price_ratio": 0.2},
    {"type": "move_share", "scope": "ai_model=haiku", "to": "provider=openai,service=OpenAI API", "share": 0.5, "price_ratio": 2.0},
    {"type": "move_share", "scope": "team=search", "to": "region=eu-west", "share": 0.3, "price_ratio": 1.2},
    {"type": "new_workload", "like": "team=ads", "scale": 0.5, "target": "team=robots"},
    {"type": "switch_off", "scope": "ai_model=opus", "from": "2027-01-02"},
]


@given(st.lists(st.sampled_from(LEVERS), min_size=1, max_size=3, unique_by=str), st.sampled_from(VIEWS))
@settings(max_examples=15, deadline=None)
def test_map_over_rows_is_what_moving_every_portion_gives(levers: list[dict[str, Any]], asked: tuple[str, tuple[str, ...]]) -> None:
    scope, names = asked
    view = view_of(SMALL, scope, names, DAYS, *levers)
    applied = apply_plan(parse_plan({"period": str(DAYS), "scope": scope, "levers": levers}), view)
    before = rows_of(view)
    virtual = [dict(values) for values in applied.levers.virtual]
    after = scenario(before, view.world.responses, [applied.levers.lowered[number].primitives for number in applied.levers.order], virtual)
    after[: len(before)] -= before
    inside = applied.inside(Scope.parse(scope))
    np.testing.assert_allclose(view.spending.held(applied.final.change(inside)), after[inside].sum(axis=0), rtol=2e-6, atol=1e-5)


def test_move_lets_money_arrive_in_the_same_leaf_and_region() -> None:
    lever = {"type": "move_share", "scope": "ai_model=gpt-large", "to": "ai_model=gpt-mini", "share": 1.0, "price_ratio": 1.0}
    view = view_of(SMALL, "", ("ai_model", "region"), DAYS, lever)
    applied = apply_plan(parse_plan({"period": str(DAYS), "levers": [lever]}), view)
    leaves = view.world.leaves
    for row, place in applied.levers.lowered[0].primitives[0].destinations.items():  # type: ignore[union-attr]
        here, (there,) = leaves.iloc[row], place.rows.tolist()
        same = [name for name in leaves.columns if name != "ai_model"]
        assert here[same].tolist() == leaves.iloc[there][same].tolist()
        assert leaves.iloc[there]["ai_model"] == "gpt-mini"


def test_move_to_another_seller_arrives_at_the_ai_models_that_are_used_there() -> None:
    lever = {"type": "move_share", "scope": "service=OpenAI API", "to": "provider=anthropic,service=Claude API", "share": 1.0, "price_ratio": 1.0}
    view = view_of(SMALL, "", ("ai_model",), DAYS, lever)
    applied = apply_plan(parse_plan({"period": str(DAYS), "levers": [lever]}), view)
    for place in applied.levers.lowered[0].primitives[0].destinations.values():  # type: ignore[union-attr]
        there = view.world.leaves.iloc[place.rows]
        assert set(there["service"]) == {"Claude API"}
        assert set(there["ai_model"]) == {"opus", "haiku"}
        np.testing.assert_allclose(place.weights, view.world.weights(place.rows))


def meters() -> pd.DataFrame:
    rows = [(0, "large", "Input Tokens", "Tokens", 60.0), (0, "(none)", "Instance Hours", "Hours", 30.0), (1, "large", "Input Tokens", "Tokens", 5.0)]
    frame = pd.DataFrame(rows, columns=["leaf", "ai_model", "meter", "unit", "cost"])
    return frame.assign(quantity=frame["cost"] * 2.0, recent=True)


def test_meters_go_to_the_rows_of_their_ai_model_else_by_size() -> None:
    leaf, size = np.array([0, 0, 1]), np.array([6.0, 4.0, 1.0])
    texts = np.array([["large"], ["(none)"], [WHOLE]], dtype=object)
    found = row_meters(meters(), leaf, ["ai_model"], texts, size)
    assert found[["leaf", "meter", "cost"]].to_numpy().tolist() == [[0, "Input Tokens", 60.0], [1, "Instance Hours", 30.0], [2, "Input Tokens", 5.0]]
    by_region = row_meters(meters(), leaf, ["region"], np.array([["eu"], ["us"], [WHOLE]], dtype=object), size)
    assert by_region["cost"].sum() == pytest.approx(95.0)
    assert by_region.loc[by_region["leaf"] == 0, "quantity"].sum() == pytest.approx(0.6 * 180.0)


def test_rows_follow_usage_as_their_meters_say_and_together_as_their_leaf_does() -> None:
    shares = np.array([[0.6, 0.0, 0.3, 0.1], [1.0, 0.0, 0.0, 0.0]])
    known = Responses(shares, np.array([5.0, np.nan]), np.array([-1, -1]), (), np.linspace(0.1, 0.9, 4))
    leaf, mean = np.array([0, 0, 1]), np.array([0.6, 0.4, 1.0])
    texts = np.array([["large"], ["(none)"], [WHOLE]], dtype=object)
    found = row_responses(known, leaf, mean, row_meters(meters(), leaf, ["ai_model"], texts, mean))
    np.testing.assert_allclose(mean[:2] @ found.shares[:2], shares[0], atol=2e-3)
    assert found.shares[0, STEPS] < 0.01 < 0.7 < found.shares[1, STEPS]
    assert found.shares[1, FIXED] > 0.2
    np.testing.assert_allclose(found.shares[2], shares[1])
    np.testing.assert_allclose(found.phase_of(1), known.phase_of(0))


def test_rows_of_a_scope_know_what_lies_outside_it() -> None:
    split = split_rows(shared_snapshot(), Scope.parse("ai_model=gpt-large"), ("region",))
    inside = split.inside(Scope.parse("ai_model=gpt-large"))
    assert set(split.texts[inside, 0]) == {"gpt-large"}
    assert WHOLE not in set(split.texts[inside, 1])
    assert set(split.texts[~inside, 1]) == {WHOLE}
    np.testing.assert_allclose(np.bincount(split.leaf, split.mean), 1.0)
