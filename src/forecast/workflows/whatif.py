"""What if we scale? A plan's scenario beside the forecast, on the same simulated futures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.budgets.budget import Budget
from forecast.budgets.conversion import amount_in, conversion
from forecast.budgets.occurrence import occurrence
from forecast.budgets.overrun import expected_overrun, overrun_probability
from forecast.errors import InputError, PlanError, UnknownScopeError
from forecast.scenarios.effects import Effects, Reach
from forecast.scenarios.levers import MOVE_SHARE, Lever
from forecast.scenarios.plan import Plan, parse_plan
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.dimensions import parse_dimensions
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.hierarchy import sum_rows
from forecast.spend.periods import Granularity, Period, split
from forecast.spend.scope import Scope
from forecast.workflows.company_days import day_shares
from forecast.workflows.finer import split_leaves
from forecast.workflows.readings import Reading, read_groups, read_scope
from forecast.workflows.shares import recent_spend
from forecast.workflows.summary import distribution, heading


def whatif_answer(
    snapshot: Snapshot,
    plan: Plan | Mapping[str, Any] | str,
    budgets: Sequence[Budget] = (),
    group_by: tuple[str, ...] | None = None,
    *,
    granularity: Granularity | None = None,
    calendar: FiscalCalendar = CALENDAR_YEAR,
    rates: Rates | None = None,
) -> dict[str, Any]:
    """Baseline, scenario and delta of a plan, by group and period, by lever, and what it does to budgets.

    plan : a Plan, or what `parse_plan` reads. group_by : leaf dimensions of the rows; by default the team, where leaves have one.
    granularity : calendar buckets of the rows; by default one row a group for all of the plan's days. Deltas are computed path by path;
    levers' deltas are what each adds in its turn, and their means add up to the mean delta. Days that are over are never changed.
    budgets : of those that repeat the occurrence that the plan begins in is meant; rates : for those in another currency.
    A lever on a scope finer than a leaf acts on the leaf's recent share of it (`derived: "share"` on the lever).
    Raises PlanError naming the lever and the field; OutsideHorizonError beyond the horizon.
    """
    if not isinstance(plan, Plan):
        plan = parse_plan(plan, calendar=calendar)
    snapshot.check_visible(plan.period)
    names = _group_names(snapshot, plan, group_by)
    buckets = [plan.period] if granularity is None else split(plan.period, granularity, calendar)
    warnings: list[str] = []
    reaches = [_reach(snapshot, lever, number) for number, lever in enumerate(plan.levers)]
    warnings.extend(_overlaps(plan.levers, reaches))
    stages = _stages(snapshot, plan, reaches)
    final = stages[-1]
    inside = snapshot.hierarchy.leaf_mask(plan.scope)
    baseline = read_scope(snapshot, plan.scope, plan.period)
    totals = baseline.totals()
    delta = _delta(snapshot, final.change(inside), final.days, plan.period)
    answer = {
        **heading(snapshot, plan.scope, plan.period),
        "name": plan.name,
        "spent": baseline.spent,
        "baseline": distribution(totals),
        "scenario": distribution(totals + delta),
        "delta": distribution(delta),
        "probability_cheaper": float(np.mean(delta < 0)),
        "rows": _rows(snapshot, plan, names, buckets, final),
        "levers": _lever_answers(snapshot, plan, stages, inside),
        "budgets": [_budget_answer(snapshot, meant_budget(snapshot, budget, plan.period, calendar), final, rates) for budget in budgets],
        "warnings": warnings,
    }
    first = snapshot.cutoff.isoformat()
    if plan.period.start <= snapshot.cutoff:
        warnings.append(f"days up to the cutoff {first} are over and not changed")
    return answer


def _group_names(snapshot: Snapshot, plan: Plan, group_by: tuple[str, ...] | None) -> tuple[str, ...]:
    leaf_dimensions = snapshot.hierarchy.dimensions
    names = tuple(name for name in ("team",) if name in leaf_dimensions) if group_by is None else parse_dimensions(group_by)
    for name, field in [*((name, "group_by") for name in names), *((name, "scope") for name in plan.scope.dimensions)]:
        if name not in leaf_dimensions:
            raise PlanError(
                f"{field} {name!r} is finer than a leaf, which scenarios are computed for", field=field, got=name, allowed=", ".join(leaf_dimensions)
            )
    return names


def _stages(snapshot: Snapshot, plan: Plan, reaches: Sequence[Reach]) -> list[Effects]:
    """The map after no lever, after the first, and so on; on the plan's days that are to come."""
    first = max(np.datetime64(plan.period.start, "D"), np.datetime64(snapshot.first_open_day, "D"))
    days = np.arange(first, max(np.datetime64(plan.period.end, "D"), first))
    stages = [Effects(days)]
    for lever, reach in zip(plan.levers, reaches, strict=True):
        after = stages[-1].copy()
        after.apply(lever, reach)
        stages.append(after)
    return stages


def _rows(snapshot: Snapshot, plan: Plan, names: tuple[str, ...], buckets: Sequence[Period], final: Effects) -> list[dict[str, Any]]:
    found = []
    for reading in read_groups(snapshot, plan.scope, names, plan.period):
        change = final.change(snapshot.hierarchy.leaf_mask(reading.scope))
        samples = reading.buckets(buckets) if len(buckets) > 1 else reading.totals()[None, :]
        for number, bucket in enumerate(buckets):
            delta = _delta(snapshot, change, final.days, bucket)
            found.append(
                {
                    "group": reading.group,
                    "start": bucket.start.isoformat(),
                    "end": bucket.end.isoformat(),
                    "baseline": distribution(samples[number]),
                    "scenario": distribution(samples[number] + delta),
                    "delta": distribution(delta),
                }
            )
    return found


def _lever_answers(snapshot: Snapshot, plan: Plan, stages: Sequence[Effects], inside: NDArray[np.bool_]) -> list[dict[str, Any]]:
    changes = [stage.change(inside) for stage in stages]
    found = []
    for number, lever in enumerate(plan.levers):
        added = _difference(changes[number + 1], changes[number])
        answer = {**lever.as_dict(), "delta": distribution(_delta(snapshot, added, stages[0].days, plan.period))}
        if any(name not in snapshot.hierarchy.dimensions for name in (*lever.scope.dimensions, *(lever.to.dimensions if lever.to else ()))):
            answer["derived"] = "share"
        found.append(answer)
    return found


def meant_budget(snapshot: Snapshot, budget: Budget, period: Period, calendar: FiscalCalendar) -> Budget:
    """The occurrence of a repeating budget that a plan for `period` is first about; its days that are over cannot be planned."""
    return occurrence(budget, max(period.start, snapshot.first_open_day), calendar)


def _budget_answer(snapshot: Snapshot, budget: Budget, final: Effects, rates: Rates | None) -> dict[str, Any]:
    """A budget's overrun probability without and with the plan; None after it where the budget is finer than a leaf."""
    answer: dict[str, Any] = {
        "id": budget.id,
        "name": budget.name,
        "scope": str(budget.scope),
        "start": budget.start.isoformat(),
        "end": budget.end.isoformat(),
        "amount": budget.amount,
        "overrun_probability_before": None,
        "overrun_probability_after": None,
        "expected_overrun_before": None,
        "expected_overrun_after": None,
    }
    if budget.cost != snapshot.cost:
        return {**answer, "warning": f"the budget counts {budget.cost} cost, the forecast {snapshot.cost}"}
    try:
        converted = conversion(budget, snapshot.currency, snapshot.cutoff, rates)
        reading: Reading = read_scope(snapshot, budget.scope, budget.period)
    except InputError as error:
        return {**answer, "warning": str(error)}
    amount = answer["amount"] = amount_in(budget, converted)
    if converted is not None:
        answer["converted"] = converted.describe()
    totals = reading.totals()
    answer["overrun_probability_before"] = overrun_probability(0.0, totals, amount)
    answer["expected_overrun_before"] = expected_overrun(totals, amount)
    if reading.derived:
        return {**answer, "warning": "the budget's scope is finer than a leaf, which scenarios are computed for"}
    after = totals + _delta(snapshot, final.change(snapshot.hierarchy.leaf_mask(budget.scope)), final.days, budget.period)
    answer["overrun_probability_after"] = overrun_probability(0.0, after, amount)
    answer["expected_overrun_after"] = expected_overrun(after, amount)
    return answer


def _delta(snapshot: Snapshot, change: Mapping[int, NDArray[np.float64]], days: NDArray[np.datetime64], period: Period) -> NDArray[np.float64]:
    """(n_paths,) change of a period's total. change : source leaf → (n_days,) change per unit of its baseline."""
    total = np.zeros(snapshot.n_paths)
    wanted = (days >= np.datetime64(period.start, "D")) & (days < np.datetime64(period.end, "D"))
    if not change or not wanted.any():
        return total
    cut = None if snapshot.midnights is None else day_shares(snapshot, snapshot.midnights, days[wanted])
    step = np.searchsorted(snapshot.starts, days, side="right") - 1
    length = (snapshot.ends - snapshot.starts).astype(np.int64)[step]
    touched = step[wanted] if cut is None else np.flatnonzero(cut.any(axis=0))
    first, last = int(touched.min()), int(touched.max()) + 1
    alike: dict[bytes, list[int]] = {}
    for source, by_day in change.items():
        alike.setdefault(by_day.tobytes(), []).append(source)
    for sources in alike.values():
        # A day of a month-long step is an even part of it.
        own = change[sources[0]]
        if cut is not None:
            per_step = own[wanted] @ cut[:, first:last]
        else:
            per_step = np.bincount(step[wanted] - first, weights=(own / length)[wanted], minlength=last - first).astype(np.float64)
        total += per_step @ _sum_of(snapshot, np.array(sorted(sources), dtype=np.int64), slice(first, last))
    return total


def _sum_of(snapshot: Snapshot, leaves: NDArray[np.int64], steps: slice) -> NDArray[np.float64]:
    """(n_steps, n_paths) sum of some leaves; read from a node where they are one."""
    nodes: dict[bytes, int] | None = snapshot.__dict__.get("_node_of_members")
    if nodes is None:
        nodes = {members.astype(np.int64).tobytes(): number for number, members in enumerate(snapshot.hierarchy.members)}
        snapshot.__dict__["_node_of_members"] = nodes
    node = nodes.get(leaves.tobytes())
    if node is not None:
        return snapshot.node_paths[node, steps].astype(np.float64)
    return sum_rows(snapshot.leaf_paths[:, steps], leaves)


def _difference(after: Mapping[int, NDArray[np.float64]], before: Mapping[int, NDArray[np.float64]]) -> dict[int, NDArray[np.float64]]:
    found = {}
    for source in {**after, **before}:
        change = after.get(source, 0.0) - before.get(source, 0.0)
        if np.any(change):
            found[source] = np.asarray(change, dtype=np.float64)
    return found


def _reach(snapshot: Snapshot, lever: Lever, number: int) -> Reach:
    """The leaves that a lever touches; raises PlanError for values that never occurred and for scopes without spend."""
    leaves, parts = _parts(snapshot, lever.scope, f"levers[{number}].scope")
    if lever.type != MOVE_SHARE or lever.to is None:
        return Reach(leaves, parts)
    field = f"levers[{number}].to"
    _parts(snapshot, lever.to, field)
    hierarchy = snapshot.hierarchy
    target = Scope(tuple(clause for clause in lever.to.clauses if clause.dimension in hierarchy.dimensions))
    there = hierarchy.leaf_mask(target)
    if len(target.clauses) == len(lever.to.clauses):
        # Spend that is there already does not move; without this its price would change.
        leaves, parts = leaves[~there[leaves]], parts[~there[leaves]]
        if not len(leaves):
            raise PlanError(
                f"levers[{number}]: all of the scope {str(lever.scope)!r} is in {str(lever.to)!r} already",
                field=field,
                got=str(lever.to),
                allowed="a place outside the scope",
            )
    means = np.asarray(snapshot.expected_history[:, -28:].mean(axis=1))
    values = target.as_values() or {}
    return Reach(leaves, parts, {int(leaf): _destination(hierarchy.leaves, int(leaf), values, there, means) for leaf in leaves})


def _parts(snapshot: Snapshot, scope: Scope, field: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    try:
        leaves = np.flatnonzero(snapshot.hierarchy.leaf_mask(scope))
        parts = np.ones(len(leaves))
        if not snapshot.hierarchy.covers(scope):
            split_up = split_leaves(snapshot, recent_spend(snapshot), scope, ())
            parts = np.array([sum(share for _, share in split_up.mean_shares(int(leaf))) for leaf in leaves])
            leaves, parts = leaves[parts != 0], parts[parts != 0]
    except UnknownScopeError as error:
        raise PlanError(f"{field}: {error}", field=field, got=error.got, allowed=error.allowed) from None
    if not len(leaves):
        raise PlanError(f"{field}: no spend has ever had all of {scope}", field=field, got=str(scope), allowed="a scope with spend")
    return leaves, parts


def _destination(
    leaves: pd.DataFrame, leaf: int, values: Mapping[str, str], there: NDArray[np.bool_], means: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where a leaf's spend moves to: the leaf of the same team, stage and workload at the new place; else its like there, by their spend.

    Conditions on what stays the same are dropped from the last dimension on, until some leaf meets the rest.
    """
    if not values:
        return np.array([leaf]), np.ones(1)
    kept = [name for name in leaves.columns if name not in values]
    own = leaves.iloc[leaf]
    for size in range(len(kept), -1, -1):
        mask = there.copy()
        for name in kept[:size]:
            mask &= (leaves[name] == own[name]).to_numpy()
        rows = np.flatnonzero(mask)
        if len(rows):
            break
    weights = np.maximum(means[rows], 0.0)
    return rows, weights / weights.sum() if weights.sum() > 0 else np.full(len(rows), 1.0 / len(rows))


def _overlaps(levers: Sequence[Lever], reaches: Sequence[Reach]) -> list[str]:
    """Which levers touch the same spend on the same days: then their order matters to what each is said to do."""
    found = []
    for second in range(len(levers)):
        for first in range(second):
            a, b = levers[first], levers[second]
            if a.start < b.end and b.start < a.end and len(np.intersect1d(reaches[first].leaves, reaches[second].leaves)):
                found.append(f"levers {first} and {second} touch the same spend on the same days; they act in the order given")
    return found
