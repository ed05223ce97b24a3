"""Causes of fresh days: what the forecast expects of a leaf is no cause, however far it is from the leaf's ordinary days."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from forecast.workflows.incident_causes import Breakdown, Others, whole_cause
from tests.snapshots_for_tests import CUTOFF, make_snapshot

S = Scope.parse
NEXT = CUTOFF + timedelta(days=1)


def promoted(factor: float) -> Snapshot:
    """A snapshot whose forecast has all of `team=ads` at `factor` times its ordinary days."""
    base = make_snapshot(n_paths=50)
    paths = base.leaf_paths.copy()
    paths[base.hierarchy.leaf_mask(S("team=ads"))] *= factor
    return dataclasses.replace(base, leaf_paths=paths)


def lines_of(snapshot: Snapshot, struck: str, excess: float) -> tuple[pd.DataFrame, float, float]:
    """Lines of the next day as the forecast has them, but for one leaf dimension's value that costs more; their sum and what was expected."""
    recent = snapshot.recent
    lines = recent[recent["ds"] == recent["ds"].max()].assign(ds=np.datetime64(NEXT))
    expected = snapshot.leaf_paths[:, 0].mean(axis=1, dtype=np.float64)
    now = lines.groupby("leaf")["cost"].sum().reindex(range(len(expected))).to_numpy()
    factor = (expected / now)[lines["leaf"].to_numpy()]
    lines = lines.assign(cost=lines["cost"] * factor, quantity=lines["quantity"] * factor)
    hit = lines["leaf"].isin(np.flatnonzero(snapshot.hierarchy.leaf_mask(S(struck))))
    lines.loc[hit, ["cost", "quantity"]] *= 1.0 + excess / lines.loc[hit, "cost"].sum()
    return lines, float(lines["cost"].sum()), float(expected.sum())


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_what_was_expected_of_a_leaf_is_no_cause(factor: float) -> None:
    snapshot = promoted(factor)
    lines, actual, expected = lines_of(snapshot, "team=search,provider=anthropic", 6000.0)
    found = Breakdown(snapshot, lines).causes(S(""), [NEXT], actual, expected)
    assert found is not None
    assert found[0].scope.items() >= {"team": "search", "provider": "anthropic"}.items()
    assert found[0].impact == pytest.approx(6000.0, rel=0.1)
    assert not any(cause.scope.get("team") == "ads" for cause in found)


def test_days_that_nobody_has_lines_of_have_no_breakdown() -> None:
    snapshot = make_snapshot(n_paths=20)
    assert Breakdown(snapshot, None).causes(S(""), [NEXT], 1.0, 2.0) is None
    lines, actual, expected = lines_of(snapshot, "team=ads", 100.0)
    assert Breakdown(snapshot, lines).causes(S(""), [NEXT + timedelta(days=3)], actual, expected) is None


def test_other_rows_are_the_breakdown_where_they_add_up() -> None:
    scopes, days = [S(""), S("team=ads"), S("team=search")], [NEXT] * 3
    causes = Others(scopes, days, [300.0, 190.0, 110.0], [200.0, 100.0, 100.0]).causes(S(""), [NEXT], 100.0)
    assert [(cause.scope, cause.impact) for cause in causes] == [({"team": "ads"}, 90.0), ({"team": "search"}, 10.0)]
    assert Others([S("")], [NEXT], [300.0], [200.0]).causes(S(""), [NEXT], 100.0) == [whole_cause(S(""), 100.0)]
