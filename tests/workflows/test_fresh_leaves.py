"""A fresh line belongs to its leaf, to the one that gathers small ones, or to a new one; and nodes know of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.spend.dimensions import UNKNOWN
from forecast.spend.hierarchy import build_hierarchy
from forecast.workflows.fresh_leaves import coded, nodes_of

NAMES = ("provider", "service", "team", "stage", "workload")
DAY = pd.Timestamp("2026-11-01")


def totals(n: int = 12) -> pd.DataFrame:
    """Value combinations of one team, each half as dear as the one before."""
    rows = [("aws", "EC2", "ads", "prod", f"w{number}", 1000.0 / 2**number) for number in range(n)]
    return pd.DataFrame(rows, columns=[*NAMES, "total"])


def lines(*rows: tuple[str | None, ...], spend: float = 1.0) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(NAMES)).assign(ds=DAY, spend=spend)


def gathered(most: int = 4) -> tuple[pd.DataFrame, np.ndarray]:
    """The leaves of a hierarchy that keeps few apart, and what they cost on each of ten days."""
    hierarchy, _ = build_hierarchy(totals(), NAMES, most=most)
    leaves = hierarchy.leaves.reset_index(drop=True)
    return leaves[list(NAMES)], np.full((len(leaves), 10), 50.0)


def test_line_of_a_known_leaf_is_of_it_and_what_is_not_said_is_unknown() -> None:
    leaves = totals()[list(NAMES)]
    found, every = coded(lines(("aws", "EC2", "ads", "prod", "w3"), ("aws", "EC2", None, "prod", "w3")), leaves, NAMES, np.zeros((12, 5)))
    assert found["leaf"].tolist() == [3, 12]
    assert len(every) == 13
    assert every.iloc[12]["team"] == UNKNOWN


def test_small_leaf_that_training_gathered_is_no_new_one() -> None:
    leaves, before = gathered()
    assert (leaves["workload"] == "(other)").any()
    found, every = coded(lines(("aws", "EC2", "ads", "prod", "w9"), ("aws", "EC2", "ads", "prod", "w0")), leaves, NAMES, before)
    assert len(every) == len(leaves)
    assert leaves.iloc[found["leaf"].iloc[0]]["workload"] == "(other)"
    assert leaves.iloc[found["leaf"].iloc[1]]["workload"] == "w0"


def test_combination_of_known_values_that_was_gathered_is_no_new_one_either() -> None:
    rows = totals()
    second = rows.assign(team="search", total=rows["total"] / 1e6)
    hierarchy, _ = build_hierarchy(pd.concat([rows, second], ignore_index=True), NAMES, most=6)
    leaves = hierarchy.leaves.reset_index(drop=True)[list(NAMES)]
    found, every = coded(lines(("aws", "EC2", "search", "prod", "w1")), leaves, NAMES, np.full((len(leaves), 3), 9.0))
    assert len(every) == len(leaves)
    assert tuple(leaves.iloc[found["leaf"].iloc[0]][["team", "workload"]]) == ("search", "(other)")


def test_small_leaf_that_costs_more_than_all_gathered_ones_ever_did_is_its_own() -> None:
    leaves, before = gathered()
    found, every = coded(lines(("aws", "EC2", "ads", "prod", "w9"), spend=400.0), leaves, NAMES, before)
    assert len(every) == len(leaves) + 1
    assert every.iloc[found["leaf"].iloc[0]]["workload"] == "w9"


def test_new_team_is_new_where_leaves_are_gathered_too() -> None:
    leaves, before = gathered()
    _, every = coded(lines(("aws", "EC2", "labs", "prod", "w0")), leaves, NAMES, before)
    assert every.iloc[-1]["team"] == "labs"


def test_nodes_have_the_new_leaf_and_those_that_only_it_has_are_there() -> None:
    hierarchy, _ = build_hierarchy(totals(), NAMES)
    leaves = hierarchy.leaves.reset_index(drop=True)[list(NAMES)]
    same, _ = nodes_of(hierarchy, leaves)
    assert same == list(hierarchy.nodes)
    _, every = coded(lines(("aws", "EC2", "labs", "prod", "w0")), leaves, NAMES, np.zeros((12, 3)))
    nodes, members = nodes_of(hierarchy, every)
    by_text = dict(zip(map(str, nodes), members, strict=True))
    assert by_text["team=labs"].tolist() == [12]
    assert by_text[""].tolist() == list(range(13))
    assert set(map(str, hierarchy.nodes)) < set(by_text)


@pytest.mark.parametrize("n", [1, 3])
def test_lines_without_any_spend_before_are_coded(n: int) -> None:
    found, every = coded(
        lines(*[("aws", "EC2", "ads", "prod", f"w{number}") for number in range(n)]), totals(n)[list(NAMES)], NAMES, np.zeros((n, 0))
    )
    assert found["leaf"].tolist() == list(range(n))
    assert len(every) == n
