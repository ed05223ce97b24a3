"""From simulated days to a snapshot: every sum and quantile against a slow twin."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError
from forecast.paths import SpendPaths
from forecast.snapshot import QUANTILES, Snapshot
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.panel import SpendMatrix, to_matrix
from forecast.workflows.snapshotting import build_snapshot, horizon_days, step_quantiles
from tests.evaluation.tiny import WeekdayBootstrap, make_panel
from tests.oracles import metrics as slow

CUTOFF = date(2026, 10, 31)
N_PATHS = 30


@pytest.fixture(scope="module")
def parts() -> tuple[SpendPaths, SpendMatrix, Hierarchy]:
    panel, hierarchy = make_panel(n_leaves=5, days=90)
    paths = WeekdayBootstrap().fit(panel).simulate(horizon_days(CUTOFF, 40, 6), N_PATHS, seed=1)
    return paths, to_matrix(panel, "D"), hierarchy


def built(paths: SpendPaths, history: SpendMatrix, hierarchy: Hierarchy) -> Snapshot:
    facts: dict[str, Any] = {"recent": pd.DataFrame(), "detector": {}, "backtest": {}, "meta": {}}
    return build_snapshot(paths, history, hierarchy, cost="effective", currency="USD", daily_steps=40, months=6, **facts)


@pytest.fixture(scope="module")
def snapshot(parts: tuple[SpendPaths, SpendMatrix, Hierarchy]) -> Snapshot:
    return built(*parts)


def test_steps_are_days_and_then_what_is_left_of_calendar_months(snapshot: Snapshot) -> None:
    assert snapshot.cutoff == CUTOFF
    assert str(snapshot.starts[0]) == "2026-11-01"
    assert str(snapshot.daily_end) == "2026-12-11"
    assert [str(day) for day in snapshot.starts[40:]] == ["2026-12-11", "2027-01-01", "2027-02-01", "2027-03-01", "2027-04-01"]
    assert str(snapshot.horizon_end) == "2027-05-01"
    assert horizon_days(CUTOFF, 40, 6) == (date(2027, 5, 1) - date(2026, 11, 1)).days


def test_a_month_step_is_the_sum_of_its_days(snapshot: Snapshot, parts: tuple[SpendPaths, SpendMatrix, Hierarchy]) -> None:
    paths, _, hierarchy = parts
    for leaf, name in enumerate(hierarchy.leaf_ids):
        row = paths.ids.index(name)
        for step, (start, end) in enumerate(zip(snapshot.starts, snapshot.ends, strict=True)):
            days = range((start - snapshot.starts[0]).astype(int), (end - snapshot.starts[0]).astype(int))
            expected = sum(float(paths.values[row, day, 7]) for day in days)
            assert float(snapshot.leaf_paths[leaf, step, 7]) == pytest.approx(expected, rel=1e-6)


def test_nodes_are_sums_of_leaves_path_by_path_and_means_add_up(snapshot: Snapshot, parts: tuple[SpendPaths, SpendMatrix, Hierarchy]) -> None:
    hierarchy = parts[2]
    for node, scope in enumerate(hierarchy.nodes):
        wanted = scope.as_values() or {}
        inside = [leaf for leaf, row in enumerate(hierarchy.leaves.to_dict("records")) if all(row[name] == value for name, value in wanted.items())]
        expected = sum(snapshot.leaf_paths[leaf].astype(np.float64) for leaf in inside)
        np.testing.assert_allclose(snapshot.node_paths[node], expected, rtol=1e-6)
        np.testing.assert_allclose(snapshot.node_means[node], np.asarray(expected).mean(axis=1), rtol=1e-9)


def test_quantiles_equal_their_slow_twin(snapshot: Snapshot) -> None:
    for node, step in ((0, 0), (0, 42), (3, 17)):
        samples = snapshot.node_paths[node, step].tolist()
        expected = [slow.quantile(samples, level) for level in QUANTILES]
        assert snapshot.node_quantiles[node, step].tolist() == pytest.approx(expected, rel=1e-6)


def test_step_quantiles_are_numpys() -> None:
    values = np.random.default_rng(0).gamma(2.0, 30.0, (3, 4, 101)).astype(np.float32)
    np.testing.assert_allclose(step_quantiles(values), np.moveaxis(np.quantile(values, QUANTILES, axis=2), 0, 2), rtol=1e-6)


def test_the_order_of_series_is_irrelevant(snapshot: Snapshot, parts: tuple[SpendPaths, SpendMatrix, Hierarchy]) -> None:
    paths, history, hierarchy = parts
    turned = SpendPaths(paths.ids[::-1], paths.starts, paths.ends, paths.values[::-1])
    mirrored = SpendMatrix(history.ids[::-1], history.ds, history.values[::-1], "D")
    again = built(turned, mirrored, hierarchy)
    np.testing.assert_array_equal(again.leaf_paths, snapshot.leaf_paths)
    np.testing.assert_array_equal(again.leaf_history, snapshot.leaf_history)


def test_a_longer_simulation_is_cut_and_a_shorter_one_is_refused(snapshot: Snapshot, parts: tuple[SpendPaths, SpendMatrix, Hierarchy]) -> None:
    paths, history, hierarchy = parts
    longer = np.concatenate([paths.values, np.full((5, 10, N_PATHS), 1e9, dtype=np.float32)], axis=1)
    edges = np.datetime64("2026-11-01", "ns") + np.arange(longer.shape[1] + 1) * np.timedelta64(1, "D")
    cut = built(SpendPaths(paths.ids, edges[None, :-1], edges[None, 1:], longer), history, hierarchy)
    np.testing.assert_array_equal(cut.node_paths, snapshot.node_paths)
    short = SpendPaths(paths.ids, paths.starts[:, :50], paths.ends[:, :50], paths.values[:, :50])
    with pytest.raises(InputError, match="days from 2026-11-01 are needed"):
        built(short, history, hierarchy)


def test_paths_that_start_on_another_day_are_refused(parts: tuple[SpendPaths, SpendMatrix, Hierarchy]) -> None:
    paths, history, hierarchy = parts
    late = dataclasses.replace(paths, starts=paths.starts + np.timedelta64(1, "D"), ends=paths.ends + np.timedelta64(1, "D"))
    with pytest.raises(InputError, match="steps from 2026-11-02"):
        built(late, history, hierarchy)


def test_other_leaves_and_unknown_days_are_refused(parts: tuple[SpendPaths, SpendMatrix, Hierarchy]) -> None:
    paths, history, hierarchy = parts
    with pytest.raises(InputError, match="paths and hierarchy name different leaves"):
        built(SpendPaths(("x", *paths.ids[1:]), paths.starts, paths.ends, paths.values), history, hierarchy)
    holed = history.values.copy()
    holed[0, 0] = np.nan
    with pytest.raises(InputError, match="not known"):
        built(paths, SpendMatrix(history.ids, history.ds, holed, "D"), hierarchy)
