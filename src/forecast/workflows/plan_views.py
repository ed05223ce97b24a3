"""The world in which a plan is answered: leaves, or leaves taken apart by what is asked for that is finer than a leaf."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import PlanError, UnknownScopeError
from forecast.scenarios.bases import Bases
from forecast.scenarios.levers import Lever
from forecast.scenarios.model_mix import AI_MODEL
from forecast.scenarios.spending import Spending
from forecast.scenarios.world import World
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.periods import Period
from forecast.spend.prices import PriceTable
from forecast.spend.scope import Scope
from forecast.workflows.finer_rows import RowSplit
from forecast.workflows.finer_views import RowsKept, finer_names, kept_rows, row_paths, with_brought
from forecast.workflows.readings import Reading, read_groups
from forecast.workflows.scenario_world import leaf_world

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEVER = re.compile(r"levers\[(\d+)\]")


@dataclass(frozen=True, eq=False)
class PlanView:
    """A plan's world, its baseline paths, and readings of the baseline. split, kept : None where nothing is finer than a leaf."""

    snapshot: Snapshot
    period: Period
    world: World
    spending: Spending
    split: RowSplit | None = None
    kept: RowsKept | None = None

    def inside(self, scope: Scope) -> NDArray[np.bool_]:
        """(n_leaves or rows,) which lie in a scope that the view tells."""
        return self.snapshot.hierarchy.leaf_mask(scope) if self.split is None else self.split.inside(scope)

    def tells(self, scope: Scope) -> bool:
        """Whether rows are just as finely taken apart as the scope, by the very shares that its forecast is made of."""
        finer = finer_names(self.snapshot, scope)
        if not finer or self.split is None:
            return not finer
        return finer == self.split.names and self.split.has_one_stage and not (self.snapshot.hierarchy.leaf_mask(scope) & ~self.split.apart).any()

    def read(self, scope: Scope, names: tuple[str, ...] = ()) -> list[Reading]:
        """Readings of the baseline in the plan's days, one a group."""
        finer = finer_names(self.snapshot, scope, names)
        return read_groups(self.snapshot, scope, names, self.period) if not finer or self.kept is None else self.kept.read(scope, names, self.period)


def plan_view(
    snapshot: Snapshot,
    period: Period,
    scope: Scope,
    group_by: tuple[str, ...],
    levers: Sequence[Lever],
    *,
    rates: Rates | None = None,
    prices: PriceTable | None = None,
) -> PlanView:
    """Leaves; where the scope or a group-by name is finer, rows of its leaves. levers : of the plan; what they move to has rows too.

    Raises PlanError for dimensions that are not known, and for more combinations than one answer holds; UnknownScopeError for unknown values.
    """
    world, spending, window = leaf_world(snapshot, period, rates, prices)
    if not finer_names(snapshot, scope, group_by):
        return PlanView(snapshot, period, world, spending)
    field = "scope" if finer_names(snapshot, scope) else "group_by"
    kept = kept_rows(snapshot, scope, group_by, world, spending, window, field)
    split = kept.split.with_brought([(None if lever.to is None else lever.to.as_values()) or {} for lever in levers])
    rows, money = _rows(kept, split, world, spending)
    view = PlanView(snapshot, period, rows, money, split, kept)
    return replace(view, spending=_with_ready(view, scope, group_by))


def _rows(kept: RowsKept, split: RowSplit, world: World, spending: Spending) -> tuple[World, Spending]:
    """The world of rows, and their baseline paths."""
    added, means = with_brought(kept, split)
    responses = kept.responses if split is kept.split else kept.responses_of(split, world)
    paths = row_paths(split, kept.walks, kept.block, added, spending)
    money = Spending(paths, {}, spending.step, spending.length, responses, Bases(), spending.shares)
    expected = np.ascontiguousarray(money.by_day(means.T).T)
    money._moments[()] = np.append(np.ones(len(split), dtype=bool), False), np.concatenate([expected, np.zeros((1, money.n_days))])
    leaves = world.leaves.iloc[split.leaf].reset_index(drop=True)
    for place, name in enumerate(split.names):
        leaves[name] = split.texts[:, place].astype(str)
    leaves.index = pd.Index([f"{name}|{'|'.join(texts)}" for name, texts in zip(world.leaves.index[split.leaf], split.texts.tolist(), strict=True)])
    found: dict[Scope, tuple[Ints, Floats]] = {}

    def find_parts(scope: Scope, field: str) -> tuple[Ints, Floats]:
        if scope not in found:
            found[scope] = _parts_of(split, scope, field)
        rows, parts = found[scope]
        return rows.copy(), parts.copy()

    def find_paths(rows: Ints) -> Floats:
        return np.stack([money.by_day(paths[row]) for row in rows.tolist()])

    rows = replace(
        world,
        leaves=leaves,
        recent=world.recent[split.leaf] * split.mean,
        expected=expected,
        responses=responses,
        find_parts=find_parts,
        find_paths=find_paths,
        meters=kept.meters_of(split),
        whole=world,
        leaf_of_row=split.leaf,
    )
    return rows, money


def _parts_of(split: RowSplit, scope: Scope, field: str) -> tuple[Ints, Floats]:
    """(m,) rows of a scope and the part of each that lies in it."""
    try:
        parts = split.parts(scope)
    except UnknownScopeError as error:
        raise PlanError(f"{field}: {error}", field=field, got=error.got, allowed=error.allowed) from None
    rows = np.flatnonzero(parts)
    number = _LEVER.match(field)
    if not len(rows) or (number is not None and int(split.brought[rows].min()) >= int(number.group(1))):
        later = f", which levers[{split.brought[rows].min()}] brings" if len(rows) else ""
        raise PlanError(f"{field}: no spend has ever had all of {scope}{later}", field=field, got=str(scope), allowed="a scope with spend")
    return rows, parts[rows]


def _with_ready(view: PlanView, scope: Scope, group_by: tuple[str, ...]) -> Spending:
    """Sums of rows that are read anyway: so that a group of which nothing is left is left with nothing, and not with what was rounded."""
    paths = view.spending.leaf_paths
    if view.split is None or isinstance(paths, np.ndarray) or view.snapshot.midnights is not None:
        return view.spending
    ready = {}
    asked = [names for names in dict.fromkeys((group_by, ())) if finer_names(view.snapshot, scope, names)]
    for reading in (reading for names in asked for reading in view.read(scope, names)):
        if len(reading.paths) == paths.shape[1]:
            ready[paths.nonempty(np.flatnonzero(view.split.inside(reading.scope))).tobytes()] = reading.paths
    return replace(view.spending, leaf_paths=replace(paths, ready=ready))


def told_by_rows(levers: Sequence[Lever], view: PlanView) -> list[str]:
    """A word where levers act on rows of AI models: what they come to is then not quite what it is where these are not told apart."""
    if view.split is None or AI_MODEL not in view.split.names or not any(AI_MODEL in lever.scope.dimensions for lever in levers):
        return []
    return ["levers on an AI model act on the forecast of each; in answers that do not tell them apart, on how shares of AI models went before"]
