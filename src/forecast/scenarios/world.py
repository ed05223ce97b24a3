"""What levers are lowered in: the spend of a snapshot as plain arrays, its prices, drivers and responses, and draws that do not depend on the plan.

Made by `workflows/scenario_world.py`. Days are the plan's days that are still to come; leaves are rows of the snapshot's hierarchy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from forecast.errors import PlanError
from forecast.scenarios.kinds import KINDS
from forecast.scenarios.levers import Lever
from forecast.scenarios.primitives import Change, Place
from forecast.scenarios.responses import Responses
from forecast.scenarios.uncertain import Uncertain
from forecast.spend.currency import Rates
from forecast.spend.prices import PriceTable
from forecast.spend.scope import Scope

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_STREAM = 8
"""Of the seed: levers draw beside forecasters, events and schedules, whose paths stay what they are."""


def standard_normals(seed: int, n_paths: int, key: str) -> Floats:
    """(n_paths,) standard normals of a key: exactly normal in their quantiles, in an order that hangs on seed and key alone."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    order = np.random.default_rng(np.random.SeedSequence([int(seed), _STREAM, number])).permutation(n_paths)
    return np.asarray(ndtri((order + 0.5) / n_paths), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class World:
    """Everything that lowering may look at.

    days : (n_days,) datetime64[D], consecutive, the plan's days to come (n_days may be 0). leaves : one row a leaf, text columns of the leaf
    dimensions. recent : (n_leaves,) mean money a day of the last 28 days. expected : (n_leaves, n_days) mean baseline money a day.
    responses : how each leaf's cost follows usage. meters : money and quantities by leaf, AI model and meter (`spend/meters.py`), None where
    the snapshot keeps none. drivers : what the snapshot says of each (`driver_report.Elasticity.describe`). facts : the snapshot's `meta`.
    rates, prices : exchange rates and list prices, where there are any.
    find_parts, find_paths : behind `parts_of` and `paths_of`.
    Where leaves are taken apart by finer dimensions, rows stand for leaves in all of this: whole is then the world of the leaves, and leaf_of_row
    (n_leaves,) says which of its leaves each row is of.
    """

    days: NDArray[np.datetime64]
    leaves: pd.DataFrame
    n_paths: int
    seed: int
    currency: str
    recent: Floats
    expected: Floats
    responses: Responses
    find_parts: Callable[[Scope, str], tuple[Ints, Floats]]
    find_paths: Callable[[Ints], Floats]
    meters: pd.DataFrame | None = None
    drivers: Sequence[Mapping[str, Any]] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    rates: Rates | None = None
    prices: PriceTable | None = None
    whole: World | None = None
    leaf_of_row: Ints | None = None

    @property
    def n_days(self) -> int:
        return len(self.days)

    @property
    def n_leaves(self) -> int:
        return len(self.leaves)

    def parts_of(self, scope: Scope, field: str) -> tuple[Ints, Floats]:
        """(m,) leaves of a scope and the part of each leaf's recent spend that lies in it.

        Raises PlanError, named by `field`, for values that never occurred (with the nearest) and for scopes without spend.
        """
        return self.find_parts(scope, field)

    def paths_of(self, leaves: Ints) -> Floats:
        """(m, n_days, n_paths) baseline money a day; large: only for what cannot be told from means."""
        return self.find_paths(leaves)

    def draw(self, key: str) -> Floats:
        """(n_paths,) standard normals of a key, the same in every plan on this snapshot."""
        return standard_normals(self.seed, self.n_paths, key)

    def number(self, lever: Lever, name: str) -> float | Floats:
        """A number field of a lever: one number, or (n_paths,) how it turns out where it is uncertain. The field must be there."""
        value = lever.values[name]
        if isinstance(value, Uncertain):
            about = KINDS[lever.type].field(name)
            return value.draws(self.draw(f"{lever.key}|{name}"), about.type, about.least, about.most)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{lever.type}.{name} is no number: {value!r}")
        return float(value)

    def strength(self, lever: Lever) -> Floats:
        """(n_days,) how much of its full effect the lever has on each day, 0 to 1."""
        return lever.strength(self.days)

    def change(self, lever: Lever, size: float | Floats) -> Change:
        """What grows to `size` with the lever's dates and ramp: strength × size. size : a number or (n_paths,)."""
        by_day = lever.strength(self.days)
        if isinstance(size, float | int) or size.ndim == 0:
            return Change(by_day * float(size))
        return Change(by_day, np.asarray(size, dtype=np.float64))

    def powered(self, lever: Lever, factor: float | Floats, power: float | Floats) -> Change:
        """Cost that follows usage by a power: (1 + strength × (factor - 1)) ^ power - 1."""
        by_day = lever.strength(self.days)
        size = np.power(np.maximum(np.asarray(factor, dtype=np.float64), 0.0), power) - 1.0
        if size.ndim == 0 and np.ndim(power) == 0 and np.ndim(factor) == 0:
            return Change(np.power(np.maximum(1.0 + by_day * (float(factor) - 1.0), 0.0), float(power)) - 1.0)
        if np.isin(by_day, (0.0, 1.0)).all():
            return Change(by_day, np.broadcast_to(size, (self.n_paths,)).astype(np.float64))
        usage = 1.0 + by_day[:, None] * (np.broadcast_to(factor, (self.n_paths,)) - 1.0)[None, :]
        return Change.of(np.power(np.maximum(usage, 0.0), power) - 1.0, self.n_days)

    def acting(self, lever: Lever, size: float | Floats = 1.0) -> Change:
        """`size` on the days [from, until) of the lever, whatever its ramp."""
        by_day = lever.acts(self.days).astype(np.float64)
        if isinstance(size, float | int) or size.ndim == 0:
            return Change(by_day * float(size))
        return Change(by_day, np.asarray(size, dtype=np.float64))

    def place(self, values: Mapping[str, str] | Scope, field: str) -> Place:
        """Where money of these values is counted: the leaves that have all of them, by their recent spend; else a new leaf.

        Raises PlanError where `values` is not one value each, or names a dimension that leaves do not have.
        """
        wanted = values.as_values() if isinstance(values, Scope) else dict(values)
        if wanted is None:
            raise PlanError(
                f"{field} does not name one place: got {values}", field=field, got=str(values), allowed="name=value pairs, one value each"
            )
        names = self.dimensions
        for name in wanted:
            if name not in names:
                raise PlanError(f"{field}: {name!r} is no dimension of leaves", field=field, got=name, allowed=", ".join(names))
        rows = np.flatnonzero(self.mask(wanted))
        return Place(rows, self.weights(rows)) if len(rows) else Place(values=wanted)

    def destinations(self, leaves: Ints, to: Scope) -> dict[int, Place]:
        """Where spend of each leaf goes that moves `to` a place: the leaf that is the same but for what `to` names; else its like, by their spend.

        Conditions on what stays the same are dropped from the last dimension on, until some leaf meets the rest. What `to` names that is finer
        than a leaf (an AI model) changes no leaf. A place of which no leaf is there yet is a new leaf that keeps the rest.
        """
        wanted = {clause.dimension: clause.values[0] for clause in to.clauses if clause.dimension in self.dimensions}
        if not wanted:
            return {int(leaf): Place(np.array([leaf], dtype=np.int64), np.ones(1)) for leaf in leaves}
        there = np.flatnonzero(self.mask(wanted))
        kept = [name for name in self.dimensions if name not in wanted]
        texts = self.leaves[kept].to_numpy(dtype=object)
        if not len(there):
            return {int(leaf): Place(values={**dict(zip(kept, map(str, texts[leaf]), strict=True)), **wanted}) for leaf in leaves}
        by_size: list[dict[tuple[str, ...], list[int]]] = [{} for _ in range(len(kept) + 1)]
        for row in there.tolist():
            for size in range(len(kept) + 1):
                by_size[size].setdefault(tuple(texts[row, :size]), []).append(row)
        found: dict[int, Place] = {}
        made: dict[tuple[str, ...], Place] = {}
        for leaf in leaves.tolist():
            own = next(own for size in range(len(kept), -1, -1) if (own := tuple(texts[leaf, :size])) in by_size[size])
            if own not in made:
                rows = np.array(by_size[len(own)][own], dtype=np.int64)
                made[own] = Place(rows, self.weights(rows))
            found[leaf] = made[own]
        return found

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Of leaves."""
        return tuple(map(str, self.leaves.columns))

    def mask(self, values: Mapping[str, str]) -> NDArray[np.bool_]:
        """(n_leaves,) whether a leaf has all of these values of leaf dimensions."""
        found = np.ones(self.n_leaves, dtype=bool)
        for name, value in values.items():
            found &= (self.leaves[name] == value).to_numpy()
        return found

    def weights(self, rows: Ints) -> Floats:
        """(k,) parts of leaves by their recent spend, equal where there is none; they add up to 1."""
        size = np.maximum(self.recent[rows], 0.0)
        return np.asarray(size / size.sum() if size.sum() > 0 else np.full(len(rows), 1.0 / max(len(rows), 1)), dtype=np.float64)

    def target(self, lever: Lever, where: str) -> Place:
        """The lever's `target`; without one a new leaf that belongs to the whole company alone."""
        given = lever.values.get("target")
        return self.place(given, f"{where}.target") if isinstance(given, Scope) else Place(values={})
