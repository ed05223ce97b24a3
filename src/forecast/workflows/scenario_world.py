"""A snapshot as the world in which levers are lowered, and the baseline paths that their effects are summed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError, UnknownScopeError
from forecast.scenarios.bases import Bases
from forecast.scenarios.responses import Responses
from forecast.scenarios.spending import Spending
from forecast.scenarios.world import World, standard_normals
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.periods import Period
from forecast.spend.prices import PriceTable
from forecast.spend.scope import Scope
from forecast.workflows.company_days import day_shares
from forecast.workflows.finer import split_leaves
from forecast.workflows.leaf_responses import leaf_responses
from forecast.workflows.shares import recent_spend

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RECENT_DAYS = 28
MOST_SCOPES = 1_000
"""Scopes whose parts of leaves are kept for the next question."""


def open_days(snapshot: Snapshot, period: Period) -> NDArray[np.datetime64]:
    """The plan's days that are to come."""
    first = max(np.datetime64(period.start, "D"), np.datetime64(snapshot.first_open_day, "D"))
    return np.arange(first, max(np.datetime64(period.end, "D"), first))


def scenario_world(snapshot: Snapshot, period: Period, *, rates: Rates | None = None, prices: PriceTable | None = None) -> tuple[World, Spending]:
    """The world on the days of a plan, and its baseline paths."""
    world, spending, _ = leaf_world(snapshot, period, rates, prices)
    return world, spending


def leaf_world(snapshot: Snapshot, period: Period, rates: Rates | None, prices: PriceTable | None) -> tuple[World, Spending, slice]:
    """The same, and which steps of the snapshot the paths are of."""
    days = open_days(snapshot, period)
    seed = int(snapshot.meta.get("seed") or 0)
    n_paths = snapshot.n_paths
    responses = _responses(snapshot, seed)
    spending, window = _spending(snapshot, days, responses)
    found: dict[Scope, tuple[Ints, Floats]] = snapshot.__dict__.setdefault("_scope_parts", {})

    def find_parts(scope: Scope, field: str) -> tuple[Ints, Floats]:
        if scope not in found:
            if len(found) >= MOST_SCOPES:
                found.clear()
            found[scope] = parts_of(snapshot, scope, field)
        leaves, parts = found[scope]
        return leaves.copy(), parts.copy()

    def find_paths(leaves: Ints) -> Floats:
        return np.stack([spending.by_day(spending.of(np.array([leaf], dtype=np.int64))) for leaf in leaves.tolist()])

    world = World(
        days=days,
        leaves=snapshot.hierarchy.leaves,
        n_paths=n_paths,
        seed=seed,
        currency=snapshot.currency,
        recent=np.asarray(snapshot.expected_history[:, -RECENT_DAYS:].mean(axis=1), dtype=np.float64),
        expected=_expected(snapshot, spending, window),
        responses=responses,
        find_parts=find_parts,
        find_paths=find_paths,
        meters=snapshot.meters,
        drivers=tuple(snapshot.meta.get("drivers") or ()),
        facts=snapshot.meta,
        rates=rates,
        prices=prices,
    )
    return world, spending, window


def _responses(snapshot: Snapshot, seed: int) -> Responses:
    """How the snapshot's leaves follow usage; found once a snapshot, kept in the instance as a cached property would be."""
    found: Responses | None = snapshot.__dict__.get("_responses")
    if found is None:
        n_paths = snapshot.n_paths
        phase = (np.argsort(np.argsort(standard_normals(seed, n_paths, "machines"))) + 0.5) / n_paths
        found = snapshot.__dict__["_responses"] = leaf_responses(snapshot, partial(standard_normals, seed, n_paths), phase)
    return found


def parts_of(snapshot: Snapshot, scope: Scope, field: str) -> tuple[Ints, Floats]:
    """(m,) leaves of a scope and the recent share of each that lies in it; PlanError for values that never occurred and scopes without spend."""
    try:
        leaves = np.flatnonzero(snapshot.hierarchy.leaf_mask(scope))
        parts = np.ones(len(leaves))
        if not snapshot.hierarchy.covers(scope):
            split_up = split_leaves(snapshot, recent_spend(snapshot), scope, ())
            parts = np.array([sum(share for _, share in split_up.mean_shares(int(leaf))) for leaf in leaves])
            leaves, parts = leaves[parts != 0], parts[parts != 0]
    except UnknownScopeError as error:
        raise PlanError(f"{field}: {error}", field=field, got=error.got, allowed=error.allowed) from None
    if not len(leaves):
        raise PlanError(f"{field}: no spend has ever had all of {scope}", field=field, got=str(scope), allowed="a scope with spend")
    return leaves, parts


def _spending(snapshot: Snapshot, days: NDArray[np.datetime64], responses: Responses) -> tuple[Spending, slice]:
    """The steps that the days touch, and how the days lie in them."""
    shares: Floats | None = None
    step, length = np.zeros(0, dtype=np.int64), np.zeros(0)
    window = slice(0, 0)
    if len(days) and snapshot.midnights is not None:
        cut = day_shares(snapshot, snapshot.midnights, days)
        touched = np.flatnonzero(cut.any(axis=0))
        window = slice(int(touched[0]), int(touched[-1]) + 1)
        shares = cut[:, window]
        step, length = np.zeros(len(days), dtype=np.int64), np.ones(len(days))
    elif len(days):
        step = np.searchsorted(snapshot.starts, days, side="right") - 1
        length = (snapshot.ends - snapshot.starts).astype(np.float64)[step]
        window = slice(int(step[0]), int(step[-1]) + 1)
        step = step - window.start
    nodes = _Nodes(snapshot, _node_of_members(snapshot), window)
    return Spending(snapshot.leaf_paths[:, window], nodes, step, length, responses, Bases(), shares), window


def _node_of_members(snapshot: Snapshot) -> dict[bytes, int]:
    """Which ready node has exactly these leaves; kept in the instance, as a cached property would be."""
    found: dict[bytes, int] | None = snapshot.__dict__.get("_node_of_members")
    if found is None:
        found = {members.astype(np.int64).tobytes(): number for number, members in enumerate(snapshot.hierarchy.members)}
        snapshot.__dict__["_node_of_members"] = found
    return found


class _Nodes(Mapping[bytes, NDArray[np.floating]]):
    """Paths of ready nodes by the rows of their leaves."""

    def __init__(self, snapshot: Snapshot, numbers: Mapping[bytes, int], window: slice) -> None:
        self._paths, self._numbers, self._window = snapshot.node_paths, numbers, window

    def __getitem__(self, key: bytes) -> NDArray[np.floating]:
        return self._paths[self._numbers[key], self._window]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def _expected(snapshot: Snapshot, spending: Spending, window: slice) -> Floats:
    """(n_leaves, n_days) mean baseline; means of steps are made once a snapshot."""
    means: Floats | None = snapshot.__dict__.get("_leaf_means")
    if means is None:
        means = np.stack([paths.mean(axis=1, dtype=np.float64) for paths in snapshot.leaf_paths])
        snapshot.__dict__["_leaf_means"] = means
    return np.ascontiguousarray(spending.by_day(means[:, window].T).T)
