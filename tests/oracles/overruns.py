"""The slow twin of overrun answers: every day of every path with plain loops, read straight from a snapshot's arrays."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np

from forecast.budgets.budget import Budget
from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from tests.oracles.exhaustion import censored_quantile, exhaustion_day

LEVELS = {"p10": 0.1, "p50": 0.5, "p90": 0.9}


def leaves_of(snapshot: Snapshot, scope: Scope) -> list[int]:
    """Rows of the leaves that meet every condition of a scope over leaf dimensions."""
    found = []
    for row, values in enumerate(snapshot.hierarchy.leaves.to_dict("records")):
        if all((str(values[clause.dimension]) in clause.values) != clause.exclude for clause in scope.clauses):
            found.append(row)
    return found


def day_costs(snapshot: Snapshot, leaves: list[int], day: date) -> tuple[list[float], float | None]:
    """Cost of one day in every path, and what of it is billed; None for a day to come."""
    stamp = np.datetime64(day, "D")
    history = {str(known): column for column, known in enumerate(snapshot.history_ds.astype("datetime64[D]"))}
    if str(stamp) in history:
        column = history[str(stamp)]
        billed = sum(float(snapshot.leaf_history[leaf, column]) for leaf in leaves)
        place = column - snapshot.first_pending
        if snapshot.pending is None or place < 0:
            return [billed] * snapshot.n_paths, billed
        return [billed + sum(float(snapshot.pending[leaf, place, path]) for leaf in leaves) for path in range(snapshot.n_paths)], billed
    step = next(number for number in range(len(snapshot.starts)) if snapshot.starts[number] <= stamp < snapshot.ends[number])
    length = int((snapshot.ends[step] - snapshot.starts[step]).astype(int))
    return [sum(float(snapshot.leaf_paths[leaf, step, path]) for leaf in leaves) / length for path in range(snapshot.n_paths)], None


def slow_overrun(snapshot: Snapshot, budget: Budget) -> dict[str, Any]:
    """The figures of `overrun_answer` of a budget in the snapshot's currency, over leaf dimensions."""
    leaves = leaves_of(snapshot, budget.scope)
    days = [budget.start + timedelta(days=number) for number in range((budget.end - budget.start).days)]
    costs = [day_costs(snapshot, leaves, day) for day in days]
    paths = [[cost[path] for cost, _ in costs] for path in range(snapshot.n_paths)]
    totals = [sum(path) for path in paths]
    billed = [amount for _, amount in costs if amount is not None]
    spent, over, left = sum(billed), len(billed), len(days) - len(billed)
    used = spent + sum(sum(path[:over]) - spent for path in paths) / len(paths)
    exhausted = [exhaustion_day(list(enumerate(path)), budget.amount) for path in paths]
    recent = [day_costs(snapshot, leaves, snapshot.cutoff - timedelta(days=back))[0] for back in range(28)]
    daily_mean = sum(sum(cost) / len(cost) for cost in recent) / 28
    plan = _plan(budget, days)
    planned = sum(plan[:over])
    return {
        "spent": spent,
        "overrun_probability": sum(total > budget.amount for total in totals) / len(totals),
        "expected_overrun": sum(max(total - budget.amount, 0.0) for total in totals) / len(totals),
        "mean": sum(totals) / len(totals),
        "run_rate": used + daily_mean * left,
        "planned_to_date": planned,
        "burn_ratio": used / planned if planned > 0 else None,
        "daily_allowance": max(budget.amount - used, 0.0) / left if left else None,
        "probability_exhausted": sum(day is not None for day in exhausted) / len(exhausted),
        "exhaustion_day": {name: _named(censored_quantile(exhausted, level), budget) for name, level in LEVELS.items()},
        "phases": [_phase(budget, number, days, paths, billed) for number in range(len(budget.phases))],
    }


def _named(number: int | None, budget: Budget) -> str | None:
    return None if number is None else (budget.start + timedelta(days=number)).isoformat()


def _plan(budget: Budget, days: list[date]) -> list[float]:
    """What is planned for each day."""
    if not budget.phases:
        return [budget.amount / len(days)] * len(days)
    found = []
    for number, phase in enumerate(budget.phases):
        end = budget.phases[number + 1].start if number + 1 < len(budget.phases) else budget.end
        length = (end - phase.start).days
        found += [phase.amount / length] * length
    return found


def _phase(budget: Budget, number: int, days: list[date], paths: list[list[float]], billed: list[float]) -> dict[str, Any]:
    phase = budget.phases[number]
    end = budget.phases[number + 1].start if number + 1 < len(budget.phases) else budget.end
    first, last = days.index(phase.start), (end - budget.start).days
    totals, so_far = [sum(path[first:last]) for path in paths], [sum(path[:last]) for path in paths]
    planned = sum(one.amount for one in budget.phases[: number + 1])
    return {
        "start": phase.start.isoformat(),
        "end": end.isoformat(),
        "amount": phase.amount,
        "spent": sum(billed[first:last]),
        "mean": sum(totals) / len(totals),
        "overrun_probability": sum(total > phase.amount for total in totals) / len(totals),
        "expected_overrun": sum(max(total - phase.amount, 0.0) for total in totals) / len(totals),
        "cumulative_amount": planned,
        "cumulative_overrun_probability": sum(total > planned for total in so_far) / len(so_far),
    }
