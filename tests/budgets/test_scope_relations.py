"""Which scopes lie inside each other: told from the writing, and from leaves where the writing leaves it open."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.budgets.scope_relations import leaf_masks, relate
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.scope import Scope
from tests.snapshots_for_tests import make_leaves

HIERARCHY = Hierarchy(make_leaves())
CONDITIONS = st.dictionaries(
    st.sampled_from(["team", "team!", "stage", "workload", "provider!"]),
    st.lists(st.sampled_from(["ads", "search", "research", "prod", "dev", "ranking", "index", "aws", "openai"]), min_size=1, max_size=2),
    max_size=3,
)


@pytest.mark.parametrize(
    ("one", "other", "inside", "outside", "shared"),
    [
        ("team=ads,stage=prod", "team=ads", True, False, True),
        ("team=ads", "", True, False, True),
        ("", "team=ads", False, False, True),
        ("team=ads", "team=search", False, True, False),
        ("team=ads|search", "team=ads", False, True, True),
        ("team=ads", "team!=ads", False, True, False),
        ("team=ads", "team!=search", True, False, True),
        ("team!=ads|search", "team!=ads", True, False, True),
        ("team!=ads", "team!=ads|search", False, True, True),
        ("workload=ranking", "team=ads", False, False, True),
        ("team=ads", "provider=openai", False, False, True),
    ],
)
def test_writing_tells(one: str, other: str, inside: bool, outside: bool, shared: bool) -> None:
    found = relate([Scope.parse(one), Scope.parse(other)])
    assert (found.inside[0, 1], found.outside[0, 1], found.shared[0, 1]) == (inside, outside, shared)


@pytest.mark.parametrize(
    ("one", "other", "inside", "outside", "shared"),
    [
        ("workload=ranking", "team=ads", True, False, True),
        ("workload=ranking", "team=search", False, True, False),
        ("team=ads", "provider=openai", False, True, True),
        ("team=research,stage=prod", "team=ads", True, False, False),  # such spend has never been
        ("stage!=dev", "stage=prod", True, False, True),
        ("workload=ranking,ai_model=haiku", "team=ads", True, False, True),
        ("ai_model=haiku", "team=ads", False, False, True),
        ("team=ads,ai_model=haiku", "ai_model=opus", False, True, False),
        ("team=nobody", "team=ads", False, True, False),
        ("workload=nothing", "team=ads", False, False, True),
    ],
)
def test_leaves_tell_what_the_writing_leaves_open(one: str, other: str, inside: bool, outside: bool, shared: bool) -> None:
    found = relate([Scope.parse(one), Scope.parse(other)], HIERARCHY)
    assert (found.inside[0, 1], found.outside[0, 1], found.shared[0, 1]) == (inside, outside, shared)


@settings(max_examples=60)
@given(st.lists(CONDITIONS, min_size=1, max_size=4))
def test_relations_are_those_of_the_sets_of_leaves(conditions: list[dict[str, list[str]]]) -> None:
    scopes = [Scope.parse(item) for item in conditions]
    masks, known = leaf_masks(scopes, HIERARCHY)
    written, settled = relate(scopes), relate(scopes, HIERARCHY)
    for row, scope in enumerate(scopes):
        if not known[row]:
            continue
        assert np.array_equal(masks[row], HIERARCHY.leaf_mask(scope))
        for column in np.flatnonzero(known):
            is_inside, has_common = bool((masks[row] <= masks[column]).all()), bool((masks[row] & masks[column]).any())
            assert settled.inside[row, column] == (is_inside or written.inside[row, column])
            assert settled.shared[row, column] == has_common
            assert not (settled.inside[row, column] and settled.outside[row, column])
            assert not written.inside[row, column] or is_inside
            assert written.shared[row, column] or not has_common
