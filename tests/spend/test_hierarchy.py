"""Hierarchy: parents are sums of leaves, whatever the leaves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import UnknownScopeError
from forecast.spend.dimensions import OTHER
from forecast.spend.hierarchy import Hierarchy, build_hierarchy
from forecast.spend.scope import Scope

DIMENSIONS = ("provider", "service", "team", "stage", "workload")


def totals(seed: int, rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: rng.choice(list("abcd"), rows) for name in DIMENSIONS}).drop_duplicates(ignore_index=True)
    return frame.assign(total=rng.lognormal(0, 2, len(frame)))


@given(st.integers(0, 50), st.integers(1, 60))
def test_every_level_adds_up_to_the_company(seed: int, rows: int) -> None:
    hierarchy, ids = build_hierarchy(totals(seed, rows), DIMENSIONS)
    values = np.random.default_rng(seed).lognormal(0, 1, (len(hierarchy.leaves), 3, 2))
    nodes = hierarchy.aggregate(values)
    position = 0
    for level in hierarchy.levels:
        count = sum(1 for scope in hierarchy.nodes if scope.dimensions == tuple(sorted(level)))
        np.testing.assert_allclose(nodes[position : position + count].sum(axis=0), values.sum(axis=0), rtol=1e-9)
        position += count
    assert position == len(hierarchy.nodes)
    assert set(ids) == set(hierarchy.leaf_ids)


@given(st.integers(0, 50))
def test_a_node_is_the_sum_of_the_leaves_that_its_scope_names(seed: int) -> None:
    hierarchy, _ = build_hierarchy(totals(seed, 40), DIMENSIONS)
    values = np.random.default_rng(seed).random((len(hierarchy.leaves), 2))
    nodes = hierarchy.aggregate(values)
    for number, scope in enumerate(hierarchy.nodes):
        np.testing.assert_allclose(nodes[number], values[hierarchy.leaf_mask(scope)].sum(axis=0), rtol=1e-12)
        assert hierarchy.node_of(scope) == number


def test_small_leaves_are_gathered_within_their_parent_and_none_is_lost() -> None:
    frame = totals(1, 200)
    hierarchy, ids = build_hierarchy(frame, DIMENSIONS, most=10)
    assert len(ids) == len(frame)
    assert set(ids) <= set(hierarchy.leaf_ids)
    assert (hierarchy.leaves["workload"] == OTHER).any()
    assert len(hierarchy.leaves) < len(frame)


def test_an_unknown_value_is_an_error_with_the_nearest() -> None:
    leaves = pd.DataFrame({"team": ["search", "ads"]}, index=pd.Index(["search", "ads"], name="unique_id"))
    with pytest.raises(UnknownScopeError, match="search"):
        Hierarchy(leaves, ((), ("team",))).leaf_mask(Scope.parse("team=serach"))
