"""Leaves reconciled with forecasts of the nodes above: sums stay sums, means go where they should, and what should not move does not."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError, NotFittedError
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.minimum_trace import LEAST_FACTOR, MOST_FACTOR, reconcile, stretches
from forecast.forecasters.reconciliation import MOST_NODES, ReconciledForecaster
from forecast.forecasters.scheduled import ScheduledForecaster
from forecast.spend.hierarchy import Hierarchy

DAYS, HORIZON, PATHS = 200, 40, 200
EDGES = np.array([0, 7, 28, HORIZON])
NODES = [np.arange(6), np.arange(3), np.arange(3, 6), np.array([0, 3])]
ALL_SPEND = np.ones(6, dtype=np.bool_)


def joint_paths(seed: int = 0, n: int = 6) -> np.ndarray:
    """(n, horizon, paths) of leaves of unlike size that share a shock, and have their own."""
    rng = np.random.default_rng(seed)
    level = np.geomspace(10.0, 300.0, n)[:, None, None]
    shared, own = rng.standard_normal((1, 1, PATHS)), rng.standard_normal((n, 1, PATHS))
    days = 0.1 * rng.standard_normal((n, HORIZON, PATHS))
    return (level * np.exp(0.1 * shared + 0.2 * own + days)).astype(np.float32)


def summed(values: np.ndarray, nodes: list[np.ndarray] | None = None) -> np.ndarray:
    return np.stack([values[rows].sum(axis=0, dtype=np.float64) for rows in nodes or NODES]).astype(np.float32)


def totals(values: np.ndarray) -> np.ndarray:
    """(…, stretches, paths)"""
    return np.stack([values[..., begin:end, :].sum(axis=-2, dtype=np.float64) for begin, end in itertools.pairwise(EDGES)], axis=-2)


def moved(values: np.ndarray, own: np.ndarray, movable: np.ndarray = ALL_SPEND, **more: float) -> np.ndarray:
    found = values.copy()
    reconcile(found, own, NODES, EDGES, movable, **more)  # type: ignore[arg-type]
    return found


def test_nodes_that_say_what_the_leaves_say_move_nothing() -> None:
    values = joint_paths()
    np.testing.assert_allclose(moved(values, summed(values)), values, rtol=1e-5)


def test_strength_of_nothing_changes_no_byte() -> None:
    values = joint_paths()
    assert moved(values, 1.3 * summed(values), strength=0.0).tobytes() == values.tobytes()


def test_a_mean_moves_part_of_the_way_to_what_its_node_was_forecast_to_be_and_the_surer_a_node_the_further() -> None:
    values = joint_paths()
    own = 1.2 * summed(values)
    sure = own.mean(axis=2, keepdims=True) + 0.05 * (own - own.mean(axis=2, keepdims=True))
    before, after, after_sure = (totals(summed(one)).mean(axis=-1) for one in (values, moved(values, own), moved(values, sure)))
    way, way_sure = (after / before - 1.0) / 0.2, (after_sure / before - 1.0) / 0.2
    assert ((way > 0.3) & (way < 0.95)).all()
    assert (way_sure > way).all()
    np.testing.assert_allclose(way_sure[0], 1.0, atol=0.1)


def test_half_of_the_strength_moves_half_as_far() -> None:
    values = joint_paths()
    own = 1.1 * summed(values)
    half, whole = (summed(moved(values, own, strength=share)).mean() - summed(values).mean() for share in (0.5, 1.0))
    assert half == pytest.approx(whole / 2, rel=0.02)


def test_only_the_node_that_is_forecast_otherwise_moves_much() -> None:
    values = joint_paths()
    own = summed(values)
    own[1] *= 1.3  # the first three leaves
    own[0] += 0.3 * own[1] / 1.3
    before, after = (one.mean(axis=(1, 2)) for one in (values, moved(values, own)))
    assert (after[:3] / before[:3]).min() > 1.04
    assert np.abs(after[4:] / before[4:] - 1.0).max() < 0.05  # leaf 3 shares a node with leaf 0


def test_an_uncertain_leaf_takes_more_of_the_move_than_a_sure_one_of_its_size() -> None:
    rng = np.random.default_rng(3)
    values = np.full((6, HORIZON, PATHS), 100.0, dtype=np.float32)
    values *= np.exp(np.array([0.3, 0.02, 0.1, 0.1, 0.1, 0.1])[:, None, None] * rng.standard_normal((6, 1, PATHS))).astype(np.float32)
    after = moved(values, 1.1 * summed(values)).mean(axis=(1, 2)) / values.mean(axis=(1, 2))
    assert after[0] - 1.0 > 5.0 * (after[1] - 1.0) > 0.0


def test_dependence_and_order_of_paths_are_kept() -> None:
    values = joint_paths()
    after = moved(values, 1.2 * summed(values)[..., ::-1])  # paths of nodes are drawn beside the leaves': their order says nothing
    for rows in NODES:
        before_total, after_total = values[rows].sum(axis=(0, 1)), after[rows].sum(axis=(0, 1))
        assert np.corrcoef(before_total, after_total)[0, 1] > 0.98
    between = [np.corrcoef(np.log(one.sum(axis=1)))[np.triu_indices(6, 1)] for one in (values, after)]
    np.testing.assert_allclose(between[0], between[1], atol=0.1)


def test_zeros_stay_zeros_and_credits_stay_what_they_are() -> None:
    values = joint_paths()
    values[2] = 0.0
    values[1, :, ::2] = 0.0
    values[4] *= -1.0
    own = 1.2 * summed(values)
    movable = np.array([True, True, True, True, False, True])
    after = moved(values, own, movable)
    assert after[4].tobytes() == values[4].tobytes()
    assert not after[2].any()
    assert not after[1, :, ::2].any()
    assert (after[movable] >= 0.0).all()
    assert np.isfinite(after).all()
    assert after[5].mean() > 1.02 * values[5].mean()


def test_refunds_within_spend_and_nodes_of_nothing_do_no_harm() -> None:
    values = joint_paths()
    values[0, 10, :5] = -5000.0
    values[3:] = 0.0
    own = summed(values)
    own[0] *= 0.0
    after = moved(values, own)
    assert np.isfinite(after).all()
    assert not after[3:].any()
    spent = values != 0.0
    ratio = after[spent] / values[spent]
    assert ratio.min() >= LEAST_FACTOR - 1e-5
    assert ratio.max() <= MOST_FACTOR + 1e-5


def test_threads_change_no_byte() -> None:
    values = np.concatenate([joint_paths(seed) for seed in range(30)])
    nodes = [np.arange(180), np.arange(0, 180, 2), np.arange(90)]
    own, found = (1.1 * summed(values, nodes)).astype(np.float32), []
    for threads in (1, 4):
        found.append(values.copy())
        reconcile(found[-1], own, nodes, EDGES, np.ones(180, dtype=np.bool_), threads=threads)
    assert found[0].tobytes() == found[1].tobytes()


@pytest.mark.parametrize(
    ("edges", "horizon", "expected"),
    [
        ([0, 7, 28, 91], 91, [0, 7, 28, 91]),
        ([0, 7, 28, 91], 92, [0, 7, 28, 92]),
        ([0, 7, 28, 91], 30, [0, 7, 30]),
        ([0, 7, 28, 91], 60, [0, 7, 28, 60]),
        ([0, 7, 28, 91], 1, [0, 1]),
        ([0, 7, 28, 91], 200, [0, 7, 28, 91, 200]),
        ([0, 7, 28, 91], 280, [0, 7, 28, 91, 182, 280]),
        ([0, 5], 12, [0, 5, 12]),
        ([0, 1], 3, [0, 1, 2, 3]),
    ],
)
def test_stretches_go_on_in_lengths_of_a_trajectory_and_end_without_a_stub(edges: list[int], horizon: int, expected: list[int]) -> None:
    assert stretches(np.array(edges), horizon).tolist() == expected


LEAVES = tuple(f"{service}|{team}" for service in ("chat", "gpu") for team in ("ads", "search", "support"))


def panel(days: int = DAYS) -> pd.DataFrame:
    """Work moves from leaf to leaf: each team's spend is steady, a service's is a changing share of it."""
    rng = np.random.default_rng(5)
    share = 1.0 / (1.0 + np.exp(-np.cumsum(0.15 * rng.standard_normal((3, DAYS)), axis=1)))
    team = np.array([[200.0], [100.0], [40.0]]) * np.exp(0.05 * rng.standard_normal((3, DAYS)))
    values = np.concatenate([team * share, team * (1 - share)])[:, :days]
    grid = pd.date_range("2026-01-01", periods=DAYS, freq="D")[:days]
    return pd.DataFrame({"unique_id": np.repeat(LEAVES, days), "ds": np.tile(grid, len(LEAVES)), "y": values.ravel()})


def hierarchy(levels: tuple[tuple[str, ...], ...] = ((), ("service",), ("team",), ("service", "team"))) -> Hierarchy:
    leaves = pd.DataFrame([leaf.split("|") for leaf in LEAVES], columns=["service", "team"], index=pd.Index(LEAVES, name="unique_id"))
    return Hierarchy(leaves, levels)


def forecaster(threads: int = 1) -> SpendForecaster:
    return SpendForecaster(members=("run_rate", "recent_level"), threads=threads)


def reconciled(days: int = DAYS, threads: int = 1) -> ReconciledForecaster:
    return ReconciledForecaster(forecaster(threads)).fit(panel(days), hierarchy())


def test_forecasts_of_steady_teams_become_surer_and_sums_stay_sums() -> None:
    model = reconciled()
    after, before = model.simulate(28, 300, 3), model.forecaster_.simulate(28, 300, 3)
    nodes = hierarchy().aggregate(after.values)
    company = hierarchy().node_ids.index("company")
    np.testing.assert_allclose(nodes[company], after.values.sum(axis=0, dtype=np.float64))
    spread = [one.values.sum(axis=(0, 1), dtype=np.float64).std() for one in (before, after)]
    assert spread[1] < 0.9 * spread[0]
    mean = after.values.sum(axis=(0, 1), dtype=np.float64).mean() / 28
    assert mean == pytest.approx(340.0, rel=0.05)


def test_nodes_are_the_company_and_levels_of_one_dimension_with_two_leaves_or_more() -> None:
    assert set(reconciled().nodes_) == {"company", "service=chat", "service=gpu", "team=ads", "team=search", "team=support"}
    assert len(reconciled().nodes_) <= MOST_NODES


def test_without_a_hierarchy_or_at_no_strength_it_is_the_forecaster_inside() -> None:
    plain = forecaster().fit(panel()).simulate(30, 50, 9).values.tobytes()
    assert ReconciledForecaster(forecaster()).fit(panel()).simulate(30, 50, 9).values.tobytes() == plain
    within = forecaster().fit(panel(), hierarchy()).simulate(30, 50, 9).values.tobytes()
    assert ReconciledForecaster(forecaster(), strength=0.0).fit(panel(), hierarchy()).simulate(30, 50, 9).values.tobytes() == within


def test_series_that_end_on_different_days_are_not_reconciled() -> None:
    ragged = panel().iloc[:-3]
    model = ReconciledForecaster(forecaster()).fit(ragged, hierarchy())
    assert model.simulate(30, 50, 9).values.tobytes() == model.forecaster_.simulate(30, 50, 9).values.tobytes()
    assert "bottom-up" in model.card_["notes"][-1]


def test_the_seed_decides_and_threads_do_not() -> None:
    first, again, threaded = reconciled(), reconciled(), reconciled(threads=3)
    drawn = first.simulate(30, 60, 4).values.tobytes()
    assert drawn == first.simulate(30, 60, 4).values.tobytes() == again.simulate(30, 60, 4).values.tobytes()
    assert drawn == threaded.simulate(30, 60, 4).values.tobytes()
    assert drawn != first.simulate(30, 60, 5).values.tobytes()


def test_state_simulates_the_same_bytes() -> None:
    model = reconciled()
    restored = ReconciledForecaster.from_state(model.state())
    assert restored.simulate(50, 60, 4).values.tobytes() == model.simulate(50, 60, 4).values.tobytes()


def test_update_moves_leaves_and_nodes_on_and_waits_for_the_last_leaf() -> None:
    model = reconciled(DAYS - 1)
    newest = panel()[panel()["ds"] == panel()["ds"].max()]
    model.update(newest.iloc[:2])
    assert model.simulate(30, 50, 9).values.tobytes() == model.forecaster_.simulate(30, 50, 9).values.tobytes()
    model.update(newest)
    assert model.upper_ is not None
    assert model.upper_.history_.grid[-1] == model.forecaster_.history_.grid[-1]
    assert model.simulate(30, 50, 9).values.tobytes() != model.forecaster_.simulate(30, 50, 9).values.tobytes()


def test_it_works_inside_what_knows_schedules() -> None:
    lines = pd.DataFrame({"leaf": [], "ds": pd.to_datetime([]), "treatment": [], "kind": [], "item": [], "cost": [], "end": pd.to_datetime([])})
    inner = ReconciledForecaster(forecaster())
    outer = ScheduledForecaster(inner, lines, LEAVES).fit(panel(), hierarchy())
    assert outer.simulate(30, 50, 9).values.tobytes() == inner.fit(panel(), hierarchy()).simulate(30, 50, 9).values.tobytes()


def test_wrong_strength_and_unfitted_use_are_refused() -> None:
    with pytest.raises(InputError, match="strength"):
        ReconciledForecaster(forecaster(), strength=1.5).fit(panel(), hierarchy())
    with pytest.raises(NotFittedError):
        ReconciledForecaster(forecaster()).simulate(10)
