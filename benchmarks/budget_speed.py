"""Scenario budgets_demo_v1: the risk of 1,000 different budgets at once, and of one over HTTP.

    python -m benchmarks.budget_speed HOME [--seconds 4] [--rounds 5] [--out benchmarks/budget_speed.json]

HOME is a home with a snapshot (`forecast demo --once` leaves one). The budgets: 588 of ready nodes, 392 of sums of leaves (`team=a|b`, a team at a
provider without `dev`), 20 finer than a leaf (AI models, regions), over months, quarters and days that cut months, no two alike. `at_once` is
`overrun_answers` from a warm snapshot, the median over rounds, and its processor time, which says what it takes where others use the machine.
Over HTTP each question is a new one, at one connection: of a ready node, of a sum of leaves, and of a scope finer than a leaf.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from benchmarks.serving_latency import ROOT, measure, serving
from forecast.budgets.budget import Budget
from forecast.commands.home import Home
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period, add_months
from forecast.spend.scope import Scope
from forecast.workflows.overruns import AD_HOC, overrun_answers

SCENARIO = "budgets_demo_v1"
BUDGETS, FINER, UNREADY = 1000, 20, 392
SEED = 6


def periods(snapshot: Snapshot) -> list[Period]:
    """Months and quarters around the cutoff, and days that cut months."""
    this = snapshot.cutoff.replace(day=1)
    quarter = add_months(this, -((this.month - 1) % 3))
    months = [Period(add_months(this, number), add_months(this, number + 1)) for number in range(4)]
    quarters = [Period(add_months(quarter, 3 * number), add_months(quarter, 3 * number + 3)) for number in range(-1, 3)]
    return [*months, *quarters, Period(this.replace(day=15), add_months(this, 4).replace(day=10))]


def make_budgets(snapshot: Snapshot) -> list[Budget]:
    """The scenario's budgets, shuffled, of amounts around what will be spent and far from it."""
    rng = random.Random(SEED)
    leaves = snapshot.hierarchy.leaves
    teams = sorted(set(leaves["team"]))
    known = snapshot.meta["known_values"]
    finer = [f"{name}={value}" for name in ("ai_model", "region") for value in known[name]]
    scopes: list[Scope] = [Scope.parse(finer[number % len(finer)]) for number in range(FINER)]
    for number in range(UNREADY):
        if number % 2:
            scopes.append(Scope.parse(f"team={'|'.join(rng.sample(teams, 2))}"))
        else:
            leaf = leaves.iloc[rng.randrange(len(leaves))]
            scopes.append(Scope.parse(f"team={leaf['team']},provider={leaf['provider']},stage!=dev"))
    scopes += [rng.choice(snapshot.hierarchy.nodes) for _ in range(BUDGETS - len(scopes))]
    days = periods(snapshot)
    found = []
    for scope in scopes:
        period = rng.choice(days)
        found.append(Budget(AD_HOC, scope, period.start, period.end, round(10 ** rng.uniform(3.0, 6.3), 2)))
    rng.shuffle(found)
    return found


def at_once(snapshot: Snapshot, rounds: int) -> dict[str, Any]:
    """Seconds of `overrun_answers` for all budgets."""
    budgets = make_budgets(snapshot)
    overrun_answers(snapshot, budgets)  # warm
    walls, processor = [], []
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        found = overrun_answers(snapshot, budgets)
        walls.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    unanswered = sum(not isinstance(answer, dict) for answer in found)
    if unanswered:
        raise SystemExit(f"{unanswered} budgets have no answer")
    return {
        "budgets": len(budgets),
        "scopes": len({budget.scope for budget in budgets}),
        "finer_than_a_leaf": FINER,
        "seconds": round(statistics.median(walls), 2),
        "processor_seconds": round(statistics.median(processor), 2),
    }


def questions(snapshot: Snapshot, scopes: list[str]) -> Iterator[bytes]:
    """Questions about these scopes, none of them twice."""
    days = periods(snapshot)[:8]
    for number in count():
        period = days[number % len(days)]
        body = {"scope": scopes[number % len(scopes)], "start": str(period.start), "end": str(period.end), "amount": 50_000 + number}
        yield json.dumps(body).encode()


def over_http(home: Path, snapshot: Snapshot, seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of POST /v1/overrun, by kind of scope."""
    teams = sorted(set(snapshot.hierarchy.leaves["team"]))
    asked: dict[str, Callable[[], Iterator[bytes]]] = {
        "ready_node": lambda: questions(snapshot, [f"team={team}" for team in teams]),
        "sum_of_leaves": lambda: questions(snapshot, [f"team={one}|{other}" for one, other in pairwise(teams)]),
        "finer_than_a_leaf": lambda: questions(snapshot, [f"ai_model={value}" for value in snapshot.meta["known_values"]["ai_model"]]),
    }
    with (
        tempfile.TemporaryDirectory(prefix="forecast-bench-") as name,
        serving("forecast.serving.service:SpendForecastService", home, Path(name)) as port,
    ):
        found = {}
        for kind, bodies in asked.items():
            several = bodies()
            results = [measure(port, "/v1/overrun", several, seconds) for _ in range(rounds)]
            found[kind] = {name: round(statistics.median(result[name] for result in results), 2) for name in ("p50_ms", "p99_ms")}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="home folder with a snapshot")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement over HTTP")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "budget_speed.json")
    options = parser.parse_args()
    home = options.home.resolve()
    snapshot = Home(home).snapshot()
    result = {
        "scenario": SCENARIO,
        "cores": os.cpu_count(),
        "rounds": options.rounds,
        "at_once": at_once(snapshot, options.rounds),
        "over_http": over_http(home, snapshot, options.seconds, min(options.rounds, 3)),
    }
    text = json.dumps(result, indent=2, sort_keys=True) + "\n"
    options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
