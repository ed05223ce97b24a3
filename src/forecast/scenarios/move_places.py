"""Where spend goes that moves: what the place names changes, the rest stays; an AI model takes its spend along to whoever sells it.

Spend arrives at the leaf that is the same but for what the place names; else at its like of the same team. It never goes to another team: where the
team has nothing like it at the place, a new leaf of that team is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import cast

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.finer_places import row_places
from forecast.scenarios.moved_prices import provider_of
from forecast.scenarios.primitives import Place
from forecast.scenarios.world import World
from forecast.spend.dimensions import UNKNOWN
from forecast.spend.scope import Scope

Ints = NDArray[np.int64]

SOLD_BY = ("provider", "service")
"""Leaf dimensions that follow from the AI model."""
OWNER = "team"
AI_MODEL = "ai_model"


def check_place(world: World, to: Scope, field: str) -> tuple[str, ...]:
    """Refuse values that never occurred, with the nearest; an AI model that is only listed is not refused. Gives back notes."""
    notes = []
    for clause in to.clauses:
        if _is_known(world, clause.dimension, clause.values[0]):
            continue
        try:
            (world.whole or world).parts_of(Scope((clause,)), field)
        except PlanError:
            name, listed = clause.values[0], world.prices is not None and world.n_days > 0
            seller = provider_of(world.prices, name, _first_day(world)) if listed and world.prices is not None else None
            if clause.dimension != AI_MODEL or seller is None:
                raise
            notes.append(f"{name} is listed by {seller} and has never been used here")
    return tuple(notes)


def _is_known(world: World, name: str, value: str) -> bool:
    if name in world.dimensions:
        # Where leaves are taken apart there are rows for what levers bring, which nobody has to know.
        new = world.whole is not None and name not in world.whole.dimensions
        return bool(((world.leaves[name] == value).to_numpy() & ((world.recent != 0.0) | (not new))).any())
    return value in world.facts.get("known_values", {}).get(name, ())


def move_places(world: World, leaves: Ints, to: Scope) -> dict[int, Place]:
    """Leaf → where its spend goes. to : one value each; what is finer than a leaf and no AI model changes no leaf."""
    if world.whole is not None:
        return row_places(world, leaves, to, move_places)
    values = {clause.dimension: clause.values[0] for clause in to.clauses}
    fixed = {name: value for name, value in values.items() if name in world.dimensions}
    homes = _homes(world, values[AI_MODEL], fixed) if AI_MODEL in values else []
    texts = world.leaves.astype(str).to_numpy(dtype=object)
    indexes: dict[tuple[tuple[str, str], ...], _Index] = {}
    found: dict[int, Place] = {}
    for leaf in leaves.tolist():
        own = dict(zip(world.dimensions, texts[leaf], strict=True))
        changes = {**fixed, **_home_of(own, fixed, homes)}
        if all(own[name] == value for name, value in changes.items()):
            found[leaf] = Place(np.array([leaf], dtype=np.int64), np.ones(1))
            continue
        key = tuple(changes.items())
        if key not in indexes:
            indexes[key] = _Index(world, texts, changes)
        found[leaf] = indexes[key].place(own)
    return found


class _Index:
    """The leaves that have what changes, by what stays the same: the team first, then the other dimensions in their order."""

    def __init__(self, world: World, texts: NDArray[np.object_], changes: dict[str, str]) -> None:
        self.world, self.changes = world, changes
        rows = np.flatnonzero(world.mask(changes))
        # A provider that is named takes the service of its own that is used most, for the same work where it can.
        takes_service = "provider" in changes and "service" in world.dimensions and "service" not in changes
        kept = [name for name in world.dimensions if name not in changes and not (takes_service and name == "service")]
        self.kept = sorted(kept, key=lambda name: name != OWNER)
        self.least = 1 if OWNER in kept else 0
        columns = [world.dimensions.index(name) for name in self.kept]
        self.rows: dict[tuple[str, ...], list[int]] = {}
        for row in rows.tolist():
            same = tuple(texts[row, columns])
            for size in range(self.least, len(same) + 1):
                self.rows.setdefault(same[:size], []).append(row)
        self.new = dict(changes)
        if takes_service:
            self.new["service"] = str(texts[rows[int(np.argmax(world.recent[rows]))], world.dimensions.index("service")]) if len(rows) else UNKNOWN
        self.places: dict[tuple[str, ...], Place] = {}

    def place(self, own: dict[str, str]) -> Place:
        """The leaf that is the same in all that stays; else, dropping that from the last dimension on, its like; else a new one."""
        same = tuple(own[name] for name in self.kept)
        held = next((same[:size] for size in range(len(same), self.least - 1, -1) if same[:size] in self.rows), None)
        key = same if held is None else held
        if key not in self.places:
            rows = np.array(self.rows.get(key, ()), dtype=np.int64)
            self.places[key] = Place(rows, self.world.weights(rows)) if len(rows) else Place(values={**own, **self.new})
        return self.places[key]


def _homes(world: World, ai_model: str, fixed: Mapping[str, str]) -> list[dict[str, str]]:
    """Who sells an AI model, most spend first: the leaf dimensions of `SOLD_BY` that the place does not name."""
    names = [name for name in SOLD_BY if name in world.dimensions and name not in fixed]
    if not names:
        return []
    if world.meters is not None:
        rows = np.flatnonzero(world.meters["recent"].to_numpy(dtype=bool) & (world.meters["ai_model"] == ai_model).to_numpy())
        leaf, cost = world.meters["leaf"].to_numpy(dtype=np.int64)[rows], world.meters["cost"].to_numpy(dtype=np.float64)[rows]
        spent = np.bincount(leaf, weights=cost, minlength=world.n_leaves) * world.mask(fixed)
        sellers = world.leaves[names].iloc[np.flatnonzero(spent > 0.0)].astype(str).assign(cost=spent[spent > 0.0])
        ranked = sellers.groupby(names, sort=True)["cost"].sum().sort_values(ascending=False, kind="stable")
        if len(ranked):
            keys = [key if isinstance(key, tuple) else (key,) for key in ranked.index.tolist()]
            return [dict(zip(names, map(str, key), strict=True)) for key in keys]
    seller = provider_of(world.prices, ai_model, _first_day(world)) if world.prices is not None and world.n_days else None
    return [{"provider": seller}] if seller is not None and "provider" in names else []


def _home_of(own: Mapping[str, str], fixed: Mapping[str, str], homes: list[dict[str, str]]) -> dict[str, str]:
    """Where a leaf's spend on the AI model is sold: where it is already, if that sells it; else where it is used most."""
    if not homes or any(all(own[name] == value for name, value in home.items()) for home in homes if not fixed.keys() & set(SOLD_BY)):
        return {}
    return homes[0]


def _first_day(world: World) -> date:
    return cast(date, world.days[0].astype("datetime64[D]").item())
