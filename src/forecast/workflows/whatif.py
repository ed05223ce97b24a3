"""What if we scale? A plan's scenario beside the forecast, on the same simulated futures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.budgets.budget import Budget
from forecast.errors import PlanError
from forecast.scenarios.bins import Wanted
from forecast.scenarios.blocks import Changes
from forecast.scenarios.effects import Effects
from forecast.scenarios.plan import Plan, parse_plan
from forecast.scenarios.spending import Spending
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.dimensions import UNKNOWN, parse_dimensions
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Granularity, Period, split
from forecast.spend.prices import PriceTable
from forecast.workflows.readings import Reading, narrowed, read_groups, read_scope
from forecast.workflows.scenario_world import scenario_world
from forecast.workflows.summary import distribution, heading
from forecast.workflows.whatif_budgets import budget_cases
from forecast.workflows.whatif_budgets import meant_budget as meant_budget
from forecast.workflows.whatif_figures import break_even, decomposition, energy, unit_costs, volume_change
from forecast.workflows.whatif_levers import LoweredLevers, lever_answer, lower_levers, overlaps
from forecast.workflows.whatif_waterfall import waterfall

Floats = NDArray[np.float64]


def whatif_answer(
    snapshot: Snapshot,
    plan: Plan | Mapping[str, Any] | str,
    budgets: Sequence[Budget] = (),
    group_by: tuple[str, ...] | None = None,
    *,
    granularity: Granularity | None = None,
    calendar: FiscalCalendar = CALENDAR_YEAR,
    rates: Rates | None = None,
    prices: PriceTable | None = None,
    with_waterfall: bool = True,
) -> dict[str, Any]:
    """Baseline, scenario and delta of a plan, by group and period, by lever, and what it does to budgets.

    plan : a Plan, or what `parse_plan` reads. group_by : leaf dimensions of the rows; by default the team, where leaves have one.
    granularity : calendar buckets of the rows; by default one row a group for all of the plan's days. Deltas are computed path by path;
    levers' deltas are what each adds in its turn, and their means add up to the mean delta; `waterfall` shares it out whatever the order.
    Days that are over are never changed. budgets : of those that repeat the occurrence that the plan begins in is meant; rates : for those in
    another currency, and for levers on one; prices : list prices, for levers that need one. with_waterfall : without it `waterfall` and the
    levers' `share_of_delta` are None, which takes about half the time.
    A lever on a scope finer than a leaf acts on the leaf's recent share of it (`derived: "share"` on the lever).
    Raises PlanError naming the lever and the field; OutsideHorizonError beyond the horizon.
    """
    if not isinstance(plan, Plan):
        plan = parse_plan(plan, calendar=calendar)
    snapshot.check_visible(plan.period)
    names = _group_names(snapshot, plan, group_by)
    buckets = [plan.period] if granularity is None else split(plan.period, granularity, calendar)
    world, spending = scenario_world(snapshot, plan.period, rates=rates, prices=prices)
    levers = lower_levers(plan.levers, world)
    inside = levers.inside(plan.scope, snapshot.hierarchy.leaf_mask(plan.scope))
    final, stages = _stages(levers, spending, inside)
    baseline = read_scope(snapshot, plan.scope, plan.period)
    totals = baseline.totals()

    rows = _Rows(snapshot, plan, names, buckets, levers)
    cases = budget_cases(snapshot, [meant_budget(snapshot, budget, plan.period, calendar) for budget in budgets], levers, world.days, rates)
    every_day = np.zeros(world.n_days, dtype=np.int64)
    wanted = [Wanted(stages, every_day), Wanted(stages[-1:], np.arange(world.n_days), world.n_days)]
    wanted += [Wanted([final.change(mask)], rows.bins(world.days), len(buckets)) for mask in rows.masks]
    wanted += [case.wanted(final) for case in cases]
    in_turn, by_day, *others = spending.totals(wanted)
    of_rows, of_budgets = others[: len(rows.masks)], others[len(rows.masks) :]

    delta = in_turn[-1, 0]
    shared = waterfall(levers, spending, inside, int(world.seed), float(delta.mean())) if with_waterfall else None
    volume = volume_change(levers, spending, inside)
    answers = []
    turn_of = {number: turn for turn, number in enumerate(levers.order)}
    for number in range(len(plan.levers)):
        turn = turn_of[number]
        added = in_turn[turn, 0] - (in_turn[turn - 1, 0] if turn else 0.0)
        share = None if shared is None else shared.means[number]
        answers.append({**lever_answer(levers, number), "delta": distribution(added), "share_of_delta": share})
    warnings = overlaps(levers)
    if plan.period.start <= snapshot.cutoff:
        warnings.append(f"days up to the cutoff {snapshot.cutoff.isoformat()} are over and not changed")
    return {
        **heading(snapshot, plan.scope, plan.period),
        "name": plan.name,
        "spent": baseline.spent,
        "baseline": distribution(totals),
        "scenario": distribution(totals + delta),
        "delta": distribution(delta),
        "probability_cheaper": float(np.mean(delta < 0)),
        "rows": rows.answers(of_rows),
        "levers": answers,
        "waterfall": None if shared is None else shared.describe([lever.title for lever in plan.levers]),
        "decomposition": decomposition(levers, spending, inside, volume, float(delta.mean())),
        "budgets": [case.answer(after[0]) for case, after in zip(cases, of_budgets, strict=True)],
        "unit_costs": unit_costs(levers, spending, inside, stages[-1], volume),
        "energy": energy(levers, spending, inside, volume),
        "break_even": break_even(by_day[0], world.days) if plan.levers else None,
        "warnings": warnings,
    }


def _group_names(snapshot: Snapshot, plan: Plan, group_by: tuple[str, ...] | None) -> tuple[str, ...]:
    leaf_dimensions = snapshot.hierarchy.dimensions
    names = tuple(name for name in ("team",) if name in leaf_dimensions) if group_by is None else parse_dimensions(group_by)
    for name, field in [*((name, "group_by") for name in names), *((name, "scope") for name in plan.scope.dimensions)]:
        if name not in leaf_dimensions:
            raise PlanError(
                f"{field} {name!r} is finer than a leaf, which scenarios are computed for", field=field, got=name, allowed=", ".join(leaf_dimensions)
            )
    return names


def _stages(levers: LoweredLevers, spending: Spending, inside: NDArray[np.bool_]) -> tuple[Effects, list[Changes]]:
    """The map after all levers, and what has changed inside the scope after the first, the first two, and so on; one empty one without levers."""
    effects = levers.start(spending)
    stages: list[Changes] = []
    for number in levers.order:
        effects.apply(levers.lowered[number].primitives)
        stages.append(effects.change(inside))
    return effects, stages or [{}]


class _Rows:
    """Groups × buckets of an answer; groups that only a lever brings have a baseline of nothing."""

    def __init__(self, snapshot: Snapshot, plan: Plan, names: tuple[str, ...], buckets: Sequence[Period], levers: LoweredLevers) -> None:
        self.buckets, self.n_paths = buckets, snapshot.n_paths
        self.readings: list[Reading | None] = list(read_groups(snapshot, plan.scope, names, plan.period))
        self.groups = [reading.group for reading in self.readings if reading is not None]
        self.masks = [levers.inside(reading.scope, snapshot.hierarchy.leaf_mask(reading.scope)) for reading in self.readings if reading is not None]
        nothing = np.zeros(len(snapshot.hierarchy.leaves), dtype=bool)
        for values in levers.virtual:
            group = {name: values.get(name, UNKNOWN) for name in names}
            if group not in self.groups and levers.inside(plan.scope, nothing)[levers.world.n_leaves + levers.virtual.index(values)]:
                self.groups.append(group)
                self.readings.append(None)
                self.masks.append(levers.inside(narrowed(plan.scope, group), nothing))

    def bins(self, days: NDArray[np.datetime64]) -> NDArray[np.int64]:
        starts = np.array([bucket.start for bucket in self.buckets], dtype="datetime64[D]")
        return (np.searchsorted(starts, days, side="right") - 1).astype(np.int64)

    def answers(self, deltas: Sequence[Floats]) -> list[dict[str, Any]]:
        found = []
        order = sorted(range(len(self.groups)), key=lambda number: tuple(self.groups[number].values()))
        for number in order:
            reading = self.readings[number]
            if reading is None:
                samples = np.zeros((len(self.buckets), self.n_paths))
            else:
                samples = reading.buckets(self.buckets) if len(self.buckets) > 1 else reading.totals()[None, :]
            for place, bucket in enumerate(self.buckets):
                delta = deltas[number][0, place]
                found.append(
                    {
                        "group": self.groups[number],
                        "start": bucket.start.isoformat(),
                        "end": bucket.end.isoformat(),
                        "baseline": distribution(samples[place]),
                        "scenario": distribution(samples[place] + delta),
                        "delta": distribution(delta),
                    }
                )
        return found
