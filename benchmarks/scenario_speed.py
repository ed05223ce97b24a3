"""How long a scenario takes: five levers on 1,000 leaves × 120 days × 1,000 paths from a snapshot in memory, and the waterfall of its levers.

    .venv/bin/python benchmarks/scenario_speed.py [--leaves 1000] [--out benchmarks/scenario_speed.json]

The snapshot is made from random paths: what is timed is the sums, and not what they are of. Cases: levers that are certain, levers with ranges, and
levers with ranges on parts of leaves (a scope finer than a leaf gives each leaf a part of its own, so that nothing can be added up beforehand);
each of them once more with rows by AI model, for which every leaf is taken apart.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.scenarios.plan import parse_plan
from forecast.snapshot import QUANTILES, Snapshot, month_steps
from forecast.spend.dimensions import LEAF_DIMENSIONS
from forecast.spend.hierarchy import Hierarchy
from forecast.workflows.scenario_world import scenario_world
from forecast.workflows.whatif import whatif_answer
from forecast.workflows.whatif_levers import lower_levers
from forecast.workflows.whatif_waterfall import waterfall

CUTOFF = date(2026, 12, 31)
PERIOD = {"start": "2027-01-01", "end": "2027-05-01"}
RANGE = {"expected": 1.5, "low": 1.2, "high": 2.0}
CERTAIN: list[dict[str, Any]] = [
    {"type": "scale_usage", "scope": "team=team-1|team-2|team-3", "factor": 1.5},
    {"type": "change_price", "scope": "provider=provider-1", "factor": 0.8, "from": "2027-02-01"},
    {"type": "move_share", "scope": "provider=provider-0", "to": "provider=provider-2", "share": 0.5, "price_ratio": 0.4},
    {"type": "scale_usage", "scope": "stage=prod", "factor": 2.0, "ramp": "linear", "ramp_days": 60},
    {"type": "switch_off", "scope": "team=team-9"},
]
UNCERTAIN: list[dict[str, Any]] = [
    {**CERTAIN[0], "factor": RANGE},
    {**CERTAIN[1], "factor": {"expected": 0.8, "low": 0.7, "high": 0.9}},
    {**CERTAIN[2], "share": {"expected": 0.5, "low": 0.3, "high": 0.7}},
    {**CERTAIN[3], "factor": RANGE},
    CERTAIN[4],
]
FINER: list[dict[str, Any]] = [
    {**lever, "scope": ",".join([lever["scope"], "ai_model=model-0"]), "name": f"finer {number}"} if number != 2 else lever
    for number, lever in enumerate(UNCERTAIN)
]


def make_snapshot(n_leaves: int, n_paths: int, seed: int = 0) -> Snapshot:
    """Leaves of 4 providers, 20 teams and 2 stages; a fifth of them machines by the hour, a tenth seats by the month."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(n_leaves)
    leaves = pd.DataFrame(
        {
            "provider": [f"provider-{number % 4}" for number in numbers],
            "service": [f"service-{number % 8}" for number in numbers],
            "team": [f"team-{number % 20}" for number in numbers],
            "stage": np.where(numbers % 3 == 0, "dev", "prod"),
            "workload": [f"workload-{number}" for number in numbers],
        },
        columns=list(LEAF_DIMENSIONS),
    )
    leaves.index = pd.Index(leaves.agg("|".join, axis=1), name="unique_id")
    hierarchy = Hierarchy(leaves.sort_index())
    starts, ends, _ = month_steps(CUTOFF, 120, 4)
    level = np.exp(rng.normal(4.0, 1.0, n_leaves))
    paths = rng.standard_normal((n_leaves, len(starts), n_paths), dtype=np.float32)
    paths *= np.float32(0.3)
    np.exp(paths, out=paths)
    paths *= level[:, None, None].astype(np.float32)
    nodes = hierarchy.aggregate(paths).astype(np.float32)
    history_ds = np.arange(np.datetime64(CUTOFF) - 89, np.datetime64(CUTOFF) + 1)
    history = level[:, None] * np.exp(0.2 * rng.standard_normal((n_leaves, len(history_ds))))
    month = np.datetime64("2026-12-01"), np.datetime64("2027-01-01")
    machines = numbers % 5 == 0
    meters = pd.DataFrame(
        {
            "leaf": numbers,
            "start": month[0].astype("datetime64[s]"),
            "end": month[1].astype("datetime64[s]"),
            "recent": True,
            "ai_model": np.where(machines, "(none)", "model-0"),
            "meter": np.where(machines, "Instance Hours", np.where(numbers % 10 == 1, "Seats", "Input Tokens")),
            "unit": np.where(machines, "Hours", np.where(numbers % 10 == 1, "Seats", "Tokens")),
            "cost": level * 31.0,
            "quantity": level * 31.0 / np.where(machines, 2.0, 1e-6),
        }
    )
    recent = pd.DataFrame(
        {
            "leaf": np.repeat(numbers, 2 * 6),
            "ds": np.tile(np.repeat(np.datetime64(CUTOFF) - 7 * np.arange(6), 2), n_leaves).astype("datetime64[s]"),
            "ai_model": np.tile(["model-0", "model-1"], 6 * n_leaves),
            "cost": np.repeat(level, 12) * rng.uniform(0.2, 0.8, 12 * n_leaves),
            "quantity": 1.0,
            "tags": "{}",
        }
    )
    return Snapshot(
        "0" * 64,
        CUTOFF,
        "effective",
        "USD",
        hierarchy,
        starts,
        ends,
        paths,
        nodes,
        np.zeros((len(nodes), len(starts), len(QUANTILES)), dtype=np.float32),
        nodes.mean(axis=2, dtype=np.float64),
        history_ds,
        history,
        recent,
        {},
        {},
        {"seed": 7},
        meters=meters,
    )


def timed(call: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Middle seconds of the clock and of the processor: the first hang on what else the machine does."""
    wall, processor = [], []
    for _ in range(rounds):
        begun, used = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - begun)
        processor.append(time.process_time() - used)
    return {
        "seconds": round(float(np.median(wall)), 3),
        "least_seconds": round(min(wall), 3),
        "processor_seconds": round(float(np.median(processor)), 3),
    }


def only_waterfall(snapshot: Snapshot, plan: dict[str, Any]) -> Callable[[], Any]:
    parsed = parse_plan(plan)

    def call() -> Any:
        world, spending = scenario_world(snapshot, parsed.period)
        levers = lower_levers(parsed.levers, world)
        return waterfall(levers, spending, levers.inside(parsed.scope, np.ones(world.n_leaves, dtype=bool)), 0, 0.0)

    return call


def by_ai_model(snapshot: Snapshot, plan: dict[str, Any], rounds: int) -> dict[str, float]:
    """The answer without its waterfall on leaves taken apart; `first_seconds` is with drawing the shares, which are kept."""
    snapshot.__dict__.pop("_rows_kept", None)
    ask = partial(whatif_answer, snapshot, plan, group_by=("ai_model",), with_waterfall=False)
    first = timed(ask, 1)["seconds"]
    return {"first_seconds": first, **timed(ask, rounds)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaves", type=int, default=1000)
    parser.add_argument("--paths", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    snapshot = make_snapshot(options.leaves, options.paths)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    cases = {"certain": CERTAIN, "uncertain": UNCERTAIN, "uncertain_finer": FINER}
    found: dict[str, Any] = {}
    for name, levers in cases.items():
        plan = {**PERIOD, "levers": levers}
        whatif_answer(snapshot, plan)
        found[name] = {
            "answer_without_waterfall": timed(partial(whatif_answer, snapshot, plan, with_waterfall=False), options.rounds),
            "waterfall": timed(only_waterfall(snapshot, plan), options.rounds),
            "by_ai_model": by_ai_model(snapshot, plan, options.rounds),
        }
        print(name, found[name], file=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    document = {
        "leaves": options.leaves,
        "days": 120,
        "paths": options.paths,
        "levers": 5,
        "cases": found,
        "peak_gibibytes": round(peak, 2),
        "of_which_the_snapshot": round(before, 2),
    }
    text = json.dumps(document, indent=1, sort_keys=True)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
