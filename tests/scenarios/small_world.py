"""A company of six leaves to lower levers in, and a slow twin of the engine: every leaf's spend as numbers by day and path."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import PlanError
from forecast.scenarios.levers import Lever, parse_lever
from forecast.scenarios.lowering import lower
from forecast.scenarios.primitives import Copy, Follow, Lowered, Money, Move, Place, Scale
from forecast.scenarios.responses import Responses
from forecast.scenarios.world import World
from forecast.spend.periods import Period
from forecast.spend.prices import PriceTable, read_prices
from forecast.spend.scope import Scope, unknown_value

DAYS = np.arange(np.datetime64("2027-01-01"), np.datetime64("2027-04-01"))
PLAN = Period(date(2027, 1, 1), date(2027, 4, 1))
PATHS = 50
LEAVES = pd.DataFrame(
    [
        ("OpenAI", "OpenAI API", "search", "prod"),
        ("OpenAI", "OpenAI API", "ads", "prod"),
        ("Anthropic", "Claude API", "search", "prod"),
        ("AWS", "EC2", "search", "prod"),
        ("AWS", "EC2", "ads", "dev"),
        ("GitHub", "Copilot", "ads", "(none)"),
    ],
    columns=["provider", "service", "team", "stage"],
)
METERS = [
    # leaf, AI model, meter, unit, cost, quantity: of the last month
    (0, "gpt-4o", "Input Tokens", "Tokens", 400.0, 160e6),
    (0, "gpt-4o", "Cached Input Tokens", "Tokens", 200.0, 160e6),
    (0, "gpt-4o", "Output Tokens", "Tokens", 400.0, 40e6),
    (1, "gpt-4o", "Input Tokens", "Tokens", 250.0, 100e6),
    (1, "gpt-4o", "Output Tokens", "Tokens", 250.0, 25e6),
    (1, "gpt-4o-mini", "Input Tokens", "Tokens", 250.0, 1000e6),
    (1, "gpt-4o-mini", "Output Tokens", "Tokens", 250.0, 250e6),
    (2, "claude-haiku", "Input Tokens", "1M Tokens", 300.0, 300.0),
    (2, "claude-haiku", "Output Tokens", "1M Tokens", 500.0, 100.0),
    (3, "(none)", "Instance Hours", "Hours", 1600.0, 800.0),
    (3, "(none)", "Spot Instance Hours", "Hours", 168.0, 210.0),
    (3, "(none)", "Storage", "GB-Hours", 32.0, 9e4),
    (4, "(none)", "Instance Hours", "Hours", 500.0, 400.0),
]
PRICES = """provider,model,meter,unit,price,currency,valid_from
OpenAI,gpt-4o,input,1M Tokens,2.50,USD,2024-01-01
OpenAI,gpt-4o,cached_input,1M Tokens,1.25,USD,2024-01-01
OpenAI,gpt-4o,output,1M Tokens,10.00,USD,2024-01-01
OpenAI,gpt-5-nano,input,1M Tokens,0.25,USD,2024-01-01
OpenAI,gpt-5-nano,output,1M Tokens,1.00,USD,2024-01-01
Mistral,mistral-large,input,1M Tokens,2.00,USD,2024-01-01
Mistral,mistral-large,output,1M Tokens,6.00,USD,2024-01-01
"""


def prices() -> PriceTable:
    return read_prices(PRICES, "test prices")


def meters() -> pd.DataFrame:
    frame = pd.DataFrame(METERS, columns=["leaf", "ai_model", "meter", "unit", "cost", "quantity"])
    return frame.assign(start=np.datetime64("2026-12-01"), end=np.datetime64("2027-01-01"), recent=True)


def small_world(**changes: Any) -> World:
    """The last leaf does not follow usage; days of leaf i cost about 100·(i + 1) on each path."""
    paths = spend_of_paths()
    frame = meters()
    responses = Responses.all_elastic(len(LEAVES), PATHS)
    responses.shares[5] = (0.0, 0.0, 0.0, 1.0)
    given: dict[str, Any] = {
        "days": DAYS,
        "leaves": LEAVES,
        "n_paths": PATHS,
        "seed": 7,
        "currency": "USD",
        "recent": np.arange(1.0, 7.0) * 100.0,
        "expected": paths.mean(axis=2),
        "responses": responses,
        "find_parts": lambda scope, field: find_parts(frame, scope, field),
        "find_paths": lambda leaves: paths[leaves],
        "meters": frame,
        "prices": prices(),
    }
    return World(**{**given, **changes})


def spend_of_paths() -> np.ndarray:
    noise = np.random.default_rng(3).gamma(4.0, 0.25, (len(LEAVES), len(DAYS), PATHS))
    return np.arange(1.0, 7.0)[:, None, None] * 100.0 * noise


def find_parts(frame: pd.DataFrame, scope: Scope, field: str) -> tuple[np.ndarray, np.ndarray]:
    """Leaf dimensions choose leaves; AI models and meters a part of each by its last month."""
    part = np.ones(len(LEAVES))
    chosen = np.ones(len(frame), dtype=bool)
    for clause in scope.clauses:
        finer = clause.dimension in ("ai_model", "meter")
        column = frame[clause.dimension] if finer else LEAVES[clause.dimension]
        for value in clause.values:
            if value not in set(column):
                raise PlanError(f"{field}: {unknown_value(clause.dimension, value, sorted(set(column)))}", field=field)
        if finer:
            chosen &= (column.isin(clause.values) != clause.exclude).to_numpy()
        else:
            part *= (column.isin(clause.values) != clause.exclude).to_numpy()
    if any(clause.dimension in ("ai_model", "meter") for clause in scope.clauses):
        leaf, cost = frame["leaf"].to_numpy(), frame["cost"].to_numpy()
        whole = np.bincount(leaf, weights=cost, minlength=len(LEAVES))
        part *= np.divide(np.bincount(leaf[chosen], weights=cost[chosen], minlength=len(LEAVES)), whole, out=np.zeros(len(LEAVES)), where=whole > 0)
    leaves = np.flatnonzero(part > 0)
    if not len(leaves):
        raise PlanError(f"{field}: no spend has ever had all of {scope}", field=field)
    return leaves, part[leaves]


def lever_of(kind: str, **values: Any) -> Lever:
    return parse_lever({"type": kind, **values}, 0, PLAN)


def lowered(kind: str, world: Any = None, **values: Any) -> Lowered:
    return lower(lever_of(kind, **values), small_world() if world is None else world, "levers[0]")


def pull(found: Lowered, spend: np.ndarray | None = None) -> tuple[np.ndarray, dict[tuple[str, ...], np.ndarray]]:
    """(n_leaves, n_days, n_paths) spend after the lever, and that of new leaves by their values."""
    now = (spend_of_paths() if spend is None else spend).copy()
    new: dict[tuple[str, ...], np.ndarray] = {}

    def arrive(place: Place, money: np.ndarray) -> None:
        if place.values is None:
            for row, weight in zip(place.rows, place.weights, strict=True):
                now[row] += weight * money
        else:
            key = tuple(f"{name}={value}" for name, value in place.values.items())
            new[key] = new.get(key, np.zeros(now.shape[1:])) + money

    fixed = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    for item in found.primitives:
        if isinstance(item, Money):
            arrive(item.target, item.amount.values() * np.ones(now.shape[1:]))
            continue
        before = now.copy()
        pairs = list(zip(item.leaves.tolist(), item.parts.tolist(), strict=True))
        if isinstance(item, Scale):
            for leaf, part in pairs:
                loose = 1.0 - fixed[leaf] * (item.side in ("demand", "running") and item.response is None)
                now[leaf] = before[leaf] * (1.0 + part * loose * item.change.values())
        elif isinstance(item, Move):
            moved = {leaf: before[leaf] * part * (1.0 - fixed[leaf] * item.keeps_fixed) * item.share.values() for leaf, part in pairs}
            for leaf, money in moved.items():
                now[leaf] = now[leaf] - money
            for leaf, money in moved.items():
                arrive(item.destinations[leaf], money * item.ratio.values())
        else:
            together = sum((part * before[leaf] for leaf, part in pairs), np.zeros(now.shape[1:]))
            arrive(item.target, together * item.scale.values() if isinstance(item, Copy) else item.money(together))
            assert isinstance(item, Copy | Follow)
    return now, new


def total(found: Lowered, spend: np.ndarray | None = None) -> np.ndarray:
    """(n_days, n_paths) change of all spend."""
    now, new = pull(found, spend)
    base = spend_of_paths() if spend is None else spend
    return np.asarray(now.sum(axis=0) - base.sum(axis=0) + sum(new.values(), np.zeros(base.shape[1:])))
