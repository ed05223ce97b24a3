"""Where in a snapshot a row's scope is read: a ready node, some leaves, or charge lines; what never occurred is read at its parent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.errors import UnknownScopeError
from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from forecast.workflows.records import series_name
from forecast.workflows.shares import recent_spend


@dataclass(frozen=True)
class Place:
    """scope : what is read. node : its number, None for other scopes. leaves : their row numbers. lines : (n_lines,) charge lines of a scope
    finer than a leaf. unknown : a part of the scope that was asked for never occurred."""

    scope: Scope
    node: int | None
    leaves: NDArray[np.int64]
    lines: NDArray[np.bool_] | None
    unknown: bool


def places_of(snapshot: Snapshot, scopes: Sequence[Scope]) -> tuple[list[Place], NDArray[np.int64]]:
    """The places of some scopes, each once, and for every scope the number of its own: scopes that nobody knows share that of their parent."""
    places: list[Place] = []
    number_of: dict[Scope, int] = {}
    parents: dict[Scope, int] = {}
    values = _Values(snapshot)
    found = np.empty(len(scopes), dtype=np.int64)
    for row, scope in enumerate(scopes):
        number = number_of.get(scope)
        if number is None:
            parent = None if (place := _ready(snapshot, scope)) is not None else values.parent(scope)
            number = None if parent is None else parents.get(parent)
            if number is None:
                number = len(places)
                if parent is not None:
                    place, parents[parent] = _unknown(snapshot, parent), number
                places.append(place or _searched(snapshot, scope))
            number_of[scope] = number
        found[row] = number
    return places, found


@dataclass(frozen=True)
class _LeafMasks:
    """(n_leaves,) masks by dimension and value, for thousands of scopes at once."""

    masks: dict[tuple[str, str], NDArray[np.bool_]]
    row: dict[str, int]

    @classmethod
    def of(cls, snapshot: Snapshot) -> _LeafMasks:
        found: _LeafMasks | None = snapshot.__dict__.get("_leaf_masks")
        if found is None:
            leaves = snapshot.hierarchy.leaves
            masks = {(name, str(value)): (leaves[name] == value).to_numpy() for name in leaves.columns for value in leaves[name].unique()}
            found = snapshot.__dict__["_leaf_masks"] = cls(masks, {name: number for number, name in enumerate(snapshot.hierarchy.leaf_ids)})
        return found


def _ready(snapshot: Snapshot, scope: Scope) -> Place | None:
    """A node or a leaf."""
    node = snapshot.hierarchy.node_of(scope)
    if node is not None:
        return Place(scope, node, snapshot.hierarchy.members[node], None, False)
    name = series_name(snapshot.hierarchy, scope)
    return None if name is None else Place(scope, None, np.array([_LeafMasks.of(snapshot).row[name]]), None, False)


class _Values:
    """The values that have ever occurred, by dimension or tag key."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.known: dict[str, frozenset[str]] = {}

    def parent(self, scope: Scope) -> Scope | None:
        """What is left of a scope without the conditions on values that never occurred; None where all have."""
        kept = tuple(clause for clause in scope.clauses if self._of(clause.dimension).issuperset(clause.values))
        return None if len(kept) == len(scope.clauses) else Scope(kept)

    def _of(self, dimension: str) -> frozenset[str]:
        if dimension not in self.known:
            hierarchy = self.snapshot.hierarchy
            if dimension in hierarchy.dimensions:
                found = frozenset(map(str, hierarchy.leaves[dimension].unique()))
            else:
                recent = recent_spend(self.snapshot)
                try:
                    found = frozenset(recent.column(dimension)[1]) | frozenset(recent.seen.get(dimension, ()))
                except UnknownScopeError:
                    found = frozenset()
            self.known[dimension] = found
        return self.known[dimension]


def _unknown(snapshot: Snapshot, parent: Scope) -> Place:
    place = _ready(snapshot, parent) or _searched(snapshot, parent)
    return Place(place.scope, place.node, place.leaves, place.lines, True)


def _searched(snapshot: Snapshot, scope: Scope) -> Place:
    """A scope whose values have all occurred, but that is neither a node nor a leaf."""
    hierarchy, masks = snapshot.hierarchy, _LeafMasks.of(snapshot).masks
    mask = np.ones(len(hierarchy.leaves), dtype=bool)
    recent = recent_spend(snapshot)
    lines: NDArray[np.bool_] | None = None
    for clause in scope.clauses:
        if clause.dimension in hierarchy.dimensions:
            inside = np.logical_or.reduce([masks[clause.dimension, value] for value in clause.values])
            mask &= ~inside if clause.exclude else inside
        else:
            matching = recent.matches(clause)
            lines = matching if lines is None else lines & matching
    if not mask.any():
        # Each value has occurred, the combination has not: judged as new spend of the first condition's scope.
        first = Scope(scope.clauses[:1]) if scope.clauses[0].dimension in hierarchy.dimensions else Scope()
        node = hierarchy.node_of(first)
        return Place(first, node, np.flatnonzero(hierarchy.leaf_mask(first)), None, True)
    return Place(scope, None, np.flatnonzero(mask), None if lines is None else lines & mask[recent.leaf], False)
