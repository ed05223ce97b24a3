"""A small, real Snapshot in memory, from seeded random paths: what tests ask their questions of.

The history and the futures come from one process (level × weekday × a shared and an own autoregressive shock), so that
what a test says about calibration is about the code and not about the data.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date, timedelta
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.anomalies.snapshot_detector import fit_snapshot_detector
from forecast.snapshot import QUANTILES, Snapshot, month_steps
from forecast.spend.dimensions import LEAF_DIMENSIONS
from forecast.spend.hierarchy import Hierarchy

CUTOFF = date(2026, 12, 10)

SERVICES = {"openai": ("OpenAI API",), "anthropic": ("Claude API",), "aws": ("Amazon EC2", "Amazon Bedrock")}
MODELS = {"OpenAI API": ("gpt-large", "gpt-mini"), "Claude API": ("opus", "haiku"), "Amazon EC2": ("(none)",), "Amazon Bedrock": ("llama", "haiku")}
WORKLOADS = {"ads": ("ranking",), "search": ("answers", "index"), "research": ("training",)}
SIZES = {"ads": 300.0, "search": 900.0, "research": 2000.0}


@cache
def shared_snapshot() -> Snapshot:
    """The default snapshot, built once per test run; nothing may write to it."""
    return make_snapshot()


def make_leaves() -> pd.DataFrame:
    """28 leaves: every provider, service, team and stage; `research` has no stage `prod`."""
    rows = [
        (provider, service, team, stage, workload)
        for provider, services in SERVICES.items()
        for service, (team, workloads), stage in product(services, WORKLOADS.items(), ("dev", "prod"))
        for workload in workloads
        if not (team == "research" and stage == "prod")
    ]
    leaves = pd.DataFrame(rows, columns=list(LEAF_DIMENSIONS))
    leaves["unique_id"] = ["|".join(row) for row in rows]
    return leaves.set_index("unique_id").sort_index()


def make_snapshot(
    seed: int = 0,
    n_paths: int = 200,
    *,
    cutoff: date = CUTOFF,
    history_days: int = 200,
    daily: int = 120,
    months: int = 18,
    recent_days: int = 42,
    with_detector: bool = True,
    false_alarms_per_month: float = 1.0,
) -> Snapshot:
    """A snapshot of 28 leaves whose history ends with `cutoff`; equal arguments give equal bytes."""
    rng = np.random.default_rng(seed)
    leaves = make_leaves()
    hierarchy = Hierarchy(leaves)
    first = cutoff - timedelta(days=history_days - 1)
    starts, ends, step_days = month_steps(cutoff, daily, months)
    future_days = int(step_days.sum())
    days = np.arange(np.datetime64(first, "D"), np.datetime64(cutoff, "D") + np.timedelta64(future_days + 1, "D"))
    level = _levels(leaves, rng)[:, None] * _weekday_factors(leaves, days) * np.exp(0.0008 * (np.arange(len(days)) - history_days))
    past_noise, state = _noise(rng, len(leaves), history_days, 1, np.zeros((len(leaves), 1)))
    future_noise, _ = _noise(rng, len(leaves), future_days, n_paths, np.repeat(state, n_paths, axis=1))
    leaf_history = (level[:, :history_days] * past_noise[:, :, 0]).round(6)
    by_day = level[:, history_days:, None] * future_noise
    edges = np.concatenate([[0], np.cumsum(step_days)[:-1]])
    leaf_paths = np.add.reduceat(by_day, edges, axis=1).astype(np.float32)
    node_paths = hierarchy.aggregate(leaf_paths).astype(np.float32)
    history_ds = days[:history_days].copy()
    detector: dict[str, NDArray[Any]] = {}
    if with_detector:
        node_history = hierarchy.aggregate(leaf_history)
        detector = fit_snapshot_detector(hierarchy.node_ids, node_history, false_alarms_per_month=false_alarms_per_month)
    return Snapshot(
        id=hashlib.sha256(f"{seed}/{n_paths}/{cutoff}/{history_days}/{daily}/{months}".encode()).hexdigest(),
        cutoff=cutoff,
        cost="effective",
        currency="USD",
        hierarchy=hierarchy,
        starts=starts,
        ends=ends,
        leaf_paths=leaf_paths,
        node_paths=node_paths,
        node_quantiles=np.moveaxis(np.quantile(node_paths, QUANTILES, axis=2), 0, 2).astype(np.float32),
        node_means=node_paths.mean(axis=2, dtype=np.float64),
        history_ds=history_ds,
        leaf_history=leaf_history,
        recent=_recent(leaves, leaf_history, history_ds, recent_days, rng),
        detector=detector,
        backtest=_backtest(hierarchy),
        meta={"champion": "seeded", "seed": seed, "fiscal_start": 1},
    )


def _levels(leaves: pd.DataFrame, rng: np.random.Generator) -> NDArray[np.float64]:
    size = leaves["team"].map(SIZES).to_numpy(dtype=np.float64) * np.where(leaves["stage"] == "prod", 1.0, 0.2)
    return np.asarray(size, dtype=np.float64) * np.exp(rng.normal(0.0, 0.3, len(leaves)))


def _weekday_factors(leaves: pd.DataFrame, days: NDArray[np.datetime64]) -> NDArray[np.float64]:
    weekend = (days.astype(np.int64) + 3) % 7 >= 5
    quiet = np.where(leaves["stage"] == "prod", 0.8, 0.4)
    return np.where(weekend[None, :], quiet[:, None], 1.0)


def _noise(
    rng: np.random.Generator, n_leaves: int, n_days: int, n_paths: int, state: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n_leaves, n_days, n_paths) factors around 1 and the last state; a shock of the whole company and one of each leaf."""
    found = np.empty((n_leaves, n_days, n_paths))
    for day in range(n_days):
        state = 0.8 * state + rng.normal(0.0, 0.05, (1, n_paths)) + rng.normal(0.0, 0.1, (n_leaves, n_paths))
        found[:, day] = np.exp(state)
    return found, state


def _recent(leaves: pd.DataFrame, history: NDArray[np.float64], ds: NDArray[np.datetime64], days: int, rng: np.random.Generator) -> pd.DataFrame:
    """Each leaf's last days split over AI models and regions; lines of a leaf and day add up to its cost."""
    frames = []
    for row, (provider, service, team, stage, workload) in enumerate(leaves.itertuples(index=False, name=None)):
        parts = list(product(MODELS[service], ("eu-west", "us-east")))
        base = rng.normal(0.0, 1.0, len(parts))
        logits = base + rng.normal(0.0, 0.2, (days, len(parts)))
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        price = np.linspace(1.0, 5.0, len(parts))
        for number, (ai_model, region) in enumerate(parts):
            cost = history[row, -days:] * shares[:, number]
            frames.append(
                pd.DataFrame(
                    {
                        "leaf": row,
                        "ds": ds[-days:],
                        "provider": provider,
                        "service": service,
                        "team": team,
                        "stage": stage,
                        "region": region,
                        "ai_model": ai_model,
                        "meter": "Output Tokens" if number % 2 else "Input Tokens",
                        "sku": f"{ai_model}-{number}",
                        "resource": f"{team}-{workload}-{region}",
                        "charge_category": "Usage",
                        "workload": workload,
                        "tags": json.dumps({"team": team, "env": stage, "workload": workload, "tenant": f"tenant-{number % 3}"}),
                        "cost": cost,
                        "quantity": cost / price[number],
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def _backtest(hierarchy: Hierarchy) -> dict[str, Any]:
    record = {"cutoffs": 6, "wape": 0.11, "bias": 0.01, "coverage_80": 0.79, "grade": "run"}
    nodes = {node: {**record, "wape": round(0.1 + 0.01 * (number % 8), 3)} for number, node in enumerate(hierarchy.node_ids) if number < 12}
    return {"nodes": nodes, "company": record}
