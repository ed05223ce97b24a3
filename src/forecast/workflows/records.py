"""The accuracy record that goes with an answer: the backtest of its scope, or of its nearest ancestor that has one."""

from __future__ import annotations

from typing import Any

from forecast.snapshot import Snapshot
from forecast.spend import joined
from forecast.spend.hierarchy import COMPANY, Hierarchy
from forecast.spend.scope import Scope

GRADES: tuple[tuple[float, str], ...] = ((0.12, "run"), (0.15, "walk"), (0.20, "crawl"))
"""FinOps Foundation maturity of forecast accuracy: WAPE at most 12 %, 15 %, 20 %."""

_EMPTY: dict[str, Any] = {"cutoffs": 0, "wape": None, "bias": None, "coverage_80": None, "grade": None}


def grade(wape: float | None) -> str | None:
    """Maturity of a forecast accuracy: run, walk, crawl or pre-crawl."""
    if wape is None:
        return None
    return next((name for most, name in GRADES if wape <= most), "pre-crawl")


def backtest_record(snapshot: Snapshot, scope: Scope) -> dict[str, Any]:
    """{scope, cutoffs, wape, bias, coverage_80, grade}; `scope` says whose record it is ("" for the company)."""
    nodes: dict[str, dict[str, Any]] = {COMPANY: snapshot.backtest.get("company", {}), **snapshot.backtest.get("nodes", {})}
    own = nodes.get(series_name(snapshot.hierarchy, scope) or str(scope))
    found = scope
    if not own:
        clauses = set(scope.clauses)
        known = zip(snapshot.hierarchy.nodes, snapshot.hierarchy.node_ids, strict=True)
        above = [node for node, name in known if nodes.get(name) and set(node.clauses) < clauses]
        found = max(above, key=lambda node: len(node.clauses), default=Scope())
        own = nodes.get(str(found) or COMPANY)
    record = {**_EMPTY, **(own or {})}
    if record["grade"] is None:
        record["grade"] = grade(record["wape"])
    return {"scope": str(found), **record}


def series_name(hierarchy: Hierarchy, scope: Scope) -> str | None:
    """The name of a ready node or of a leaf in stored records; None for any other scope."""
    node = hierarchy.node_of(scope)
    if node is not None:
        return hierarchy.node_ids[node]
    values = scope.as_values()
    if values is None or set(values) != set(hierarchy.dimensions):
        return None
    name = joined.series_name([values[dimension] for dimension in hierarchy.dimensions])
    return name if name in hierarchy.leaves.index else None
