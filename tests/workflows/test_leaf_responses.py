"""What a snapshot knows of how its leaves follow usage: meters, schedules, taxes, energy, pools whose load is smoothed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast.scenarios.responses import ELASTIC, FIXED, MEASURED, STEPS, Responses
from forecast.scenarios.world import standard_normals
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period, parse_period
from forecast.spend.scope import Scope
from forecast.workflows.leaf_lags import calm_pools, following_rate
from forecast.workflows.leaf_responses import leaf_responses
from forecast.workflows.scenario_world import open_days, parts_of, scenario_world
from forecast.workflows.whatif import whatif_answer
from tests.snapshots_for_tests import make_snapshot

RATE = 0.05


def meter_rows(rows: list[tuple[int, str, str, float, float]]) -> pd.DataFrame:
    """leaf, meter, unit, cost, quantity of the last month."""
    frame = pd.DataFrame(rows, columns=["leaf", "meter", "unit", "cost", "quantity"])
    return frame.assign(start=np.datetime64("2026-11-11", "s"), end=np.datetime64("2026-12-11", "s"), recent=True, ai_model="(none)")


def responses_of(snapshot: Snapshot) -> Responses:
    return leaf_responses(snapshot, lambda name: standard_normals(0, snapshot.n_paths, name), np.full(snapshot.n_paths, 0.5))


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """400 days of history; leaf 1 is a pool that follows the tokens of leaf 0 by a twentieth of the way a day."""
    made = make_snapshot(history_days=400, with_detector=False)
    rng = np.random.default_rng(3)
    days = made.leaf_history.shape[1]
    load = 1000.0 * np.exp(np.cumsum(rng.normal(0.0, 0.04, days))) * np.exp(rng.normal(0.0, 0.05, days))
    smooth = np.empty(days)
    state = load[0]
    for day in range(days):
        state += RATE * (load[day] - state)
        smooth[day] = state
    history = made.leaf_history.copy()
    history[0], history[1] = load, 0.3 * smooth
    leaves = made.hierarchy.leaves.copy()
    for name in ("team", "stage", "workload"):
        values = leaves[name].to_numpy(dtype=object).copy()
        values[1] = values[0]
        leaves[name] = values
    leaves["service"] = np.where(np.arange(len(leaves)) == 1, "Pools", leaves["service"].to_numpy(dtype=object))
    rows = [(leaf, "Input Tokens", "Tokens", 100.0, 1e6) for leaf in range(len(leaves)) if leaf not in (1, 2, 3, 4, 5)]
    rows += [(1, "Instance Hours", "Hours", 90.0, 30.0), (2, "Storage", "GB-Hours", 30.0, 1.0), (2, "Read Units", "Read Units", 70.0, 1.0)]
    rows += [(3, "Energy", "kWh", 40.0, 300.0), (3, "Node Days", "Node-Days", 60.0, 2.0), (4, "Instance Hours", "Hours", 50.0, 10.0)]
    known = pd.DataFrame({"leaf": [5], "ds": [np.datetime64("2026-12-01", "s")], "kind": ["scheduled"], "cost": [500.0]})
    hierarchy = replace(made.hierarchy, leaves=leaves)
    recent = made.recent[made.recent["leaf"] != 1]
    return replace(made, hierarchy=hierarchy, leaf_history=history, recent=recent, meters=meter_rows(rows), known_money=known)


def test_shares_come_from_meters_and_schedules(snapshot: Snapshot) -> None:
    shares = responses_of(snapshot).shares
    assert shares[0, ELASTIC] == shares[1, STEPS] == shares[5, FIXED] == 1.0
    assert shares[2].tolist() == pytest.approx([0.7, 0.0, 0.0, 0.3])
    assert shares[3, MEASURED] == pytest.approx(0.4), "electricity"
    assert shares[3, FIXED] == pytest.approx(0.6), "hardware by the day"
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert responses_of(snapshot).quantum[1] == pytest.approx(3.0), "an hour: its days do not cost whole machines"
    history = snapshot.leaf_history.copy()
    history[1] = 72.0 * np.random.default_rng(0).integers(1, 6, history.shape[1])
    assert responses_of(replace(snapshot, leaf_history=history)).quantum[1] == pytest.approx(72.0), "a machine for a day"


def test_leaves_of_which_nothing_is_known_follow_in_proportion() -> None:
    bare = make_snapshot(with_detector=False)
    shares = responses_of(bare).shares
    assert (shares[:, ELASTIC] == 1.0).all()


def test_pools_that_follow_slowly_are_told_by_their_calm_and_their_rate_by_the_tokens_beside_them(snapshot: Snapshot) -> None:
    assert calm_pools(snapshot, np.array([1, 4])).tolist() == [1]
    rate = following_rate(snapshot, np.array([1]))
    assert rate is not None
    assert RATE / 1.5 < rate < RATE * 1.5
    found = responses_of(snapshot)
    assert found.slow is not None
    assert np.flatnonzero(found.slow).tolist() == [1]
    assert found.rates is not None
    assert np.quantile(found.rates, 0.9) / np.median(found.rates) == pytest.approx(1.6, rel=0.05)
    assert following_rate(snapshot, np.array([4])) is None, "no tokens of its team, workload and stage"


def test_slow_pools_have_little_of_a_change_in_the_first_weeks(snapshot: Snapshot) -> None:
    plan = {"start": "2026-12-11", "end": "2027-03-11", "scope": "service=Pools,workload=ranking", "levers": [{"type": "scale_usage", "factor": 2.0}]}
    early, _, late, _ = whatif_answer(snapshot, plan, group_by=(), granularity="month")["rows"]
    ratio = [row["delta"]["mean"] / row["baseline"]["mean"] for row in (early, late)]
    assert ratio[0] < 0.5
    assert ratio[1] > 0.85


def test_taxes_follow_usage_as_far_as_the_money_that_they_are_on(snapshot: Snapshot) -> None:
    providers = snapshot.hierarchy.leaves["provider"].to_numpy()
    own = np.flatnonzero(providers == providers[5])
    tax = int(own[own != 5][0])
    lines = pd.DataFrame(
        {
            "leaf": [*own.tolist(), tax],
            "charge_category": ["Usage"] * len(own) + ["Tax"],
            "ds": np.datetime64("2026-12-01", "s"),
            "cost": [100.0 if leaf == 5 else 0.0 for leaf in own] + [10.0],
        }
    )
    lines = lines[lines["cost"] > 0.0]
    shares = responses_of(replace(snapshot, recent=lines)).shares
    assert shares[tax, FIXED] == pytest.approx(1.0), "its provider's money is all licences"


def test_world_of_days_that_are_over_is_empty_and_parts_are_kept_apart(snapshot: Snapshot) -> None:
    over = Period(snapshot.first_day, snapshot.cutoff)
    assert len(open_days(snapshot, over)) == 0
    world, spending = scenario_world(snapshot, over)
    assert (world.n_days, spending.n_days, world.expected.shape[1]) == (0, 0, 0)
    world, _ = scenario_world(snapshot, parse_period("2027-Q1"))
    leaves, parts = world.parts_of(Scope.parse("team=ads"), "scope")
    parts[:] = 7.0
    assert (world.parts_of(Scope.parse("team=ads"), "scope")[1] == 1.0).all()
    assert np.array_equal(leaves, parts_of(snapshot, Scope.parse("team=ads"), "scope")[0])


def test_expected_days_add_up_to_the_means_of_steps(snapshot: Snapshot) -> None:
    world, spending = scenario_world(snapshot, parse_period("2027-09"))
    assert world.expected.shape == (len(snapshot.hierarchy.leaves), 30)
    step = int(np.flatnonzero(snapshot.starts == np.datetime64("2027-09-01"))[0])
    np.testing.assert_allclose(world.expected.sum(axis=1), snapshot.leaf_paths[:, step].mean(axis=1), rtol=1e-6)
    assert spending.leaf_paths.shape[1] == 1
