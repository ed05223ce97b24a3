"""What of a scope is metered lately: tokens in and out, from a cache or not, and machine hours; how much of it, and at which price.

Vendors name their meters differently (`Cached Input Tokens`, `cached_input`, `prompt`, `gpu-hours`); what a meter counts is read off its words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.world import World
from forecast.spend.scope import Clause, Scope

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

INPUT, CACHED, CACHE_WRITE, OUTPUT, TOKENS = "input", "cached_input", "cache_write", "output", "tokens"
HOURS, SPOT_HOURS = "hours", "spot_hours"
TOKEN_KINDS = frozenset({INPUT, CACHED, CACHE_WRITE, OUTPUT, TOKENS})
HOUR_KINDS = frozenset({HOURS, SPOT_HOURS})
MILLION = 1e6

_SCALES = {"1k": 1e3, "1000": 1e3, "thousand": 1e3, "1m": 1e6, "1000000": 1e6, "million": 1e6, "1b": 1e9}
_WORDS = re.compile(r"[a-z0-9]+")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WRITES = frozenset({"write", "writes", "creation", "written"})
_OUT = frozenset({"output", "completion", "completions", "generated", "response"})
_SPOT = ("spot", "preempt", "interruptible", "lowpriority")
_STORED = frozenset({"gb", "gib", "tb", "storage", "seat", "seats", "unit", "units"})


def kind_of(meter: str, unit: str) -> str | None:
    """What the meter counts: a kind of tokens, machine hours (spot or not), or None for everything else."""
    words, counted = _words(meter), _words(unit)
    counted |= words
    if counted & {"token", "tokens"} or (not unit and words & {"input", "output", "prompt"}):
        if any(word.startswith("cach") for word in words):
            return CACHE_WRITE if words & _WRITES else CACHED
        return OUTPUT if words & _OUT else INPUT if words & {"input", "prompt"} else TOKENS
    if counted & {"hour", "hours", "hrs"} and not counted & _STORED:
        return SPOT_HOURS if any(word.startswith(_SPOT) for word in words) else HOURS
    return None


def _words(text: str) -> set[str]:
    return set(_WORDS.findall(_HUMPS.sub(" ", text).lower()))


@dataclass(frozen=True, eq=False)
class Items:
    """What was metered in a scope in the last month, one row an AI model and meter of a leaf. quantity : in single tokens, or hours."""

    leaf: Ints
    ai_model: NDArray[np.object_]
    kind: NDArray[np.object_]
    cost: Floats
    quantity: Floats

    def of(self, kinds: Collection[str]) -> Items:
        """The rows of these kinds."""
        return self.where(np.isin(self.kind, list(kinds)))

    def where(self, mask: NDArray[np.bool_]) -> Items:
        return Items(self.leaf[mask], self.ai_model[mask], self.kind[mask], self.cost[mask], self.quantity[mask])

    @property
    def price(self) -> float | None:
        """Money of one token or hour; None where nothing is metered."""
        quantity = float(self.quantity.sum())
        return float(self.cost.sum()) / quantity if quantity > 0.0 else None

    def prices(self) -> dict[tuple[str, str], tuple[float, float]]:
        """(AI model, kind) → quantity and cost, of what has both."""
        model, models = pd.factorize(self.ai_model)
        kind, kinds = pd.factorize(self.kind)
        size = len(models) * len(kinds)
        quantity, cost = (np.bincount(model * len(kinds) + kind, weights=of, minlength=size) for of in (self.quantity, self.cost))
        some = np.flatnonzero((quantity > 0.0) & (cost > 0.0)).tolist()
        found = {(str(models[at // len(kinds)]), str(kinds[at % len(kinds)])): (float(quantity[at]), float(cost[at])) for at in some}
        return dict(sorted(found.items()))


def items_of(world: World, scope: Scope, leaves: Ints) -> Items:
    """The metered items of a scope. leaves : of the scope. Conditions finer than a leaf other than AI model and meter are not looked at."""
    if world.meters is None:
        nothing, words = np.zeros(0), np.zeros(0, dtype=object)
        return Items(np.zeros(0, dtype=np.int64), words, words, nothing, nothing)
    meters, inside = world.meters, np.zeros(world.n_leaves, dtype=bool)
    inside[leaves] = True
    leaf = meters["leaf"].to_numpy(dtype=np.int64)
    chosen = meters["recent"].to_numpy(dtype=bool) & inside[leaf]
    for clause in scope.clauses:
        if clause.dimension in ("ai_model", "meter"):
            chosen &= (meters[clause.dimension].isin(clause.values) != clause.exclude).to_numpy()
    rows = np.flatnonzero(chosen)
    meter, unit, ai_model = (np.asarray(meters[name].array[rows], dtype=object) for name in ("meter", "unit", "ai_model"))
    pairs = list(zip(meter.tolist(), unit.tolist(), strict=True))
    about = {pair: (kind_of(*pair) or "", _scale(pair[1])) for pair in set(pairs)}
    return Items(
        leaf[rows],
        ai_model,
        np.array([about[pair][0] for pair in pairs], dtype=object),
        meters["cost"].to_numpy(dtype=np.float64)[rows],
        meters["quantity"].to_numpy(dtype=np.float64)[rows] * np.array([about[pair][1] for pair in pairs], dtype=np.float64),
    )


def meters_of(world: World, kinds: Collection[str]) -> tuple[str, ...]:
    """Names of the meters of these kinds that the snapshot knows."""
    pairs: set[tuple[str, str]] = set()
    if world.meters is not None:
        frame = world.meters[["meter", "unit"]].drop_duplicates()
        pairs |= set(zip(frame["meter"].astype(str), frame["unit"].astype(str), strict=True))
    known = world.facts.get("known_values", {})
    pairs |= {(str(meter), "") for meter in known.get("meter", ())}
    return tuple(sorted({meter for meter, unit in pairs if kind_of(meter, unit) in kinds}))


def metered_parts(world: World, scope: Scope, kinds: Collection[str], what: str, field: str) -> tuple[Ints, Floats]:
    """Leaves of a scope, and the part of each that is billed by meters of these kinds. what : in words, for the PlanError where there is none."""
    world.parts_of(scope, field)
    narrowed = narrow(scope, "meter", meters_of(world, kinds))
    if narrowed is None:
        raise _unmetered(scope, what, field)
    try:
        return world.parts_of(narrowed, field)
    except PlanError:
        raise _unmetered(scope, what, field) from None


def _unmetered(scope: Scope, what: str, field: str) -> PlanError:
    whole = str(scope) or "the company"
    return PlanError(f"{field}: nothing of {whole} is billed by {what}", field=field, got=str(scope), allowed=f"spend on {what}")


def narrow(scope: Scope, dimension: str, values: Iterable[str]) -> Scope | None:
    """The scope with one dimension held to some values; None where nothing is left of it."""
    wanted, kept = set(values), []
    for clause in scope.clauses:
        if clause.dimension != dimension:
            kept.append(clause)
        else:
            wanted = wanted - set(clause.values) if clause.exclude else wanted & set(clause.values)
    return replace(scope, clauses=tuple(sorted([*kept, Clause(dimension, tuple(sorted(wanted)))]))) if wanted else None


def _scale(unit: str) -> float:
    """How many tokens or hours one unit is: a million for `1M Tokens`."""
    return _SCALES.get(unit.partition(" ")[0].lower(), 1.0)
